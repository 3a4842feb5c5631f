package sandbox

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/google/go-cmp/cmp"
)

// TestToken goes through a token's life by the clock.
func TestToken(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{Activation: 10 * time.Second, Rate: -1})
	get := func(authorization string) int {
		r := httptest.NewRequest("GET", prefix+"/user", nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		return d.serve(r).Code
	}
	born := d.now
	for _, c := range []struct {
		after time.Duration
		want  int
	}{
		{0, 401}, {9 * time.Second, 401}, {9999 * time.Millisecond, 401}, {10 * time.Second, 200}, {time.Hour, 200},
		{180*24*time.Hour - time.Second, 200}, {180 * 24 * time.Hour, 401},
	} {
		d.now = born.Add(c.after)
		if got := get("Bearer " + d.token); got != c.want {
			t.Errorf("after %s: %d, want %d", c.after, got, c.want)
		}
	}
	d.now = born.Add(time.Hour)
	other := newDesk(t, room.Options{}, Knobs{})
	forged := d.token[:len(d.token)-4] + "AAAA"
	for _, a := range []string{"", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Bearer " + forged, "Bearer " + other.token, "Basic " + d.token, d.token} {
		if got := get(a); got != 401 {
			t.Errorf("%.20q: %d", a, got)
		}
	}
	if got := get("bearer " + d.token); got != 200 {
		t.Errorf("the scheme has no case: %d", got)
	}
}

func TestTokenRequests(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	basic := func(method, user, password string) *http.Request {
		r := httptest.NewRequest(method, prefix+"/token", nil)
		r.SetBasicAuth(user, password)
		return r
	}
	form := func(method, body string) *http.Request {
		r := httptest.NewRequest(method, prefix+"/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	multi := func(user, password string) *http.Request {
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		_ = m.WriteField("username", user)
		_ = m.WriteField("password", password)
		_ = m.Close()
		r := httptest.NewRequest("POST", prefix+"/token", &b)
		r.Header.Set("Content-Type", m.FormDataContentType())
		return r
	}
	good := url.Values{"username": {"ops@example.com"}, "password": {"sandbox"}}.Encode()
	for name, c := range map[string]struct {
		r    *http.Request
		want int
	}{
		"basic get":         {basic("GET", "ops@example.com", "sandbox"), 200},
		"basic post":        {basic("POST", "ops@example.com", "sandbox"), 200},
		"form post":         {form("POST", good), 200},
		"multipart post":    {multi("ops@example.com", "sandbox"), 200},
		"form get":          {form("GET", good), 401},
		"query":             {httptest.NewRequest("GET", prefix+"/token?"+good, nil), 401},
		"query post":        {httptest.NewRequest("POST", prefix+"/token?"+good, nil), 401},
		"nothing":           {httptest.NewRequest("GET", prefix+"/token", nil), 401},
		"wrong password":    {basic("GET", "ops@example.com", "Sandbox"), 401},
		"wrong user":        {basic("GET", "ops", "sandbox"), 401},
		"wrong in form":     {form("POST", strings.Replace(good, "sandbox", "x", 1)), 401},
		"wrong multipart":   {multi("ops@example.com", ""), 401},
		"no password":       {form("POST", "username=ops%40example.com"), 401},
		"form without type": {httptest.NewRequest("POST", prefix+"/token", strings.NewReader(good)), 401},
	} {
		if w := d.serve(c.r); w.Code != c.want || c.want == 200 && !strings.HasPrefix(w.Body.String(), `{"token":"ey`) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestRate(t *testing.T) {
	for _, c := range []struct {
		knobs      Knobs
		retry, typ string
		body       string
	}{
		{Knobs{}, "", "application/json", `{"error":"rate limit exceeded"}`},
		{Knobs{RetryAfter: room.RetrySeconds}, "1", "application/json", `{"error":"rate limit exceeded"}`},
		{Knobs{RetryAfter: room.RetryDate, LimitBody: room.BodyHTML}, "Sun, 22 Nov 2026 10:01:02 GMT", "text/html; charset=utf-8", "<!DOCTYPE html>"},
		{Knobs{LimitBody: room.BodyEmpty}, "", "", ""},
	} {
		d := newDesk(t, room.Options{}, c.knobs)
		d.now = d.now.Add(time.Minute)
		start := d.now
		call := func(after time.Duration, token string) *httptest.ResponseRecorder {
			d.now = start.Add(after)
			r := httptest.NewRequest("POST", prefix+"/customers", strings.NewReader(`{"name":"Ada"}`))
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", "application/json")
			return d.serve(r)
		}
		for i := range 3 {
			if w := call(time.Duration(i)*100*time.Millisecond, d.token); w.Code != 200 {
				t.Fatalf("request %d: %d", i, w.Code)
			}
		}
		// Asking for tokens is not under the rate.
		for range 5 {
			r := httptest.NewRequest("GET", prefix+"/token", nil)
			r.SetBasicAuth("ops@example.com", "sandbox")
			if w := d.serve(r); w.Code != 200 {
				t.Fatalf("token: %d", w.Code)
			}
		}
		w := call(500*time.Millisecond, d.token)
		if w.Code != 429 || w.Header().Get("Retry-After") != c.retry || w.Header().Get("Content-Type") != c.typ || !strings.HasPrefix(w.Body.String(), c.body) || (c.body == "") != (w.Body.Len() == 0) {
			t.Errorf("%+v: %d %v %s", c.knobs, w.Code, w.Header(), w.Body)
		}
		another, err := d.issue(d.now.Add(-time.Second), d.knobs)
		if err != nil {
			t.Fatal(err)
		}
		if w := call(600*time.Millisecond, another); w.Code != 200 {
			t.Errorf("the limit is each token's: %d", w.Code)
		}
		if w := call(1099*time.Millisecond, d.token); w.Code != 429 {
			t.Errorf("100, 200, 500 and 1099 ms are four in a second: %d", w.Code)
		}
		if w := call(1500*time.Millisecond, d.token); w.Code != 200 {
			t.Errorf("500 and 1099 and 1500 ms: %d", w.Code)
		}
		l := d.Ledger()
		if l.MaxPerSecond != 5 || l.Count("POST", "/customers", 429) != 2 || l.Count("POST", "/customers", 200) != 5 || l.Count("GET", "/token", 200) != 5 || len(l.Writes) != 5 {
			t.Errorf("ledger %+v", l)
		}
	}
}

// TestKnobs sets each setting by a rule and sees it at work.
func TestKnobs(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	set := func(text string) {
		t.Helper()
		f := sandboxtest.Faults(t, text)
		if err := d.SetFaults(f); err != nil {
			t.Fatal(err)
		}
	}
	set("set create_status=201 micros=on")
	w := d.call("POST", "/customers", `{"name":"a","city":"b"}`)
	id := d.Ledger().Writes[0].ID
	if w.Code != 201 || !strings.HasSuffix(d.read(id).CreatedAt.Date, ".000000") {
		t.Errorf("created with %d, %+v", w.Code, d.read(id))
	}
	set("set mapmycustomers.put_mode=replace othervendor.colour=none")
	d.call("PUT", "/customers/"+id, `{"name":"c"}`)
	if d.read(id).City != "" {
		t.Error("put_mode=replace left a field")
	}
	set("set strict=off")
	if w := d.call("POST", "/customers", `{"name":"a","unknown":1,"id":"x"}`); w.Code != 200 || d.read(d.Ledger().Writes[2].ID).Name != "a" {
		t.Errorf("strict=off: %d %s", w.Code, w.Body)
	}
	set("set content_length=on")
	if w := d.call("GET", "/customers", ""); w.Header().Get("Content-Length") != strconv.Itoa(w.Body.Len()) {
		t.Errorf("content_length=on: %v", w.Header())
	}
	set("set rate=1 window=1h limit_retry_after=seconds")
	d.call("GET", "/user", "")
	if w := d.call("GET", "/user", ""); w.Code != 429 || w.Header().Get("Retry-After") != "3600" {
		t.Errorf("rate=1 window=1h: %d %v", w.Code, w.Header())
	}
	set("set rate=0 token_ttl=5s token_activation=2s")
	r := httptest.NewRequest("GET", prefix+"/token", nil)
	r.SetBasicAuth("ops@example.com", "sandbox")
	var answer struct{ Token string }
	if err := json.Unmarshal(d.serve(r).Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	d.token = answer.Token
	var codes []int
	for range 6 {
		codes = append(codes, d.call("GET", "/user", "").Code) // a second later each
	}
	if diff := cmp.Diff([]int{401, 200, 200, 200, 401, 401}, codes); diff != "" {
		t.Errorf("token_ttl=5s token_activation=2s:\n%s", diff)
	}
	for text, want := range map[string]string{
		"set put_mode=patch":      "set put_mode=patch: want one of",
		"set colour=red":          `has no setting "colour"; it has put_mode,`,
		"set rate=-1":             "want a whole number",
		"set window=1":            "want a duration",
		"set create_status=500":   "want one of",
		"set limit_body=xml":      "want one of",
		"set micros=yes":          "want one of",
		"set limit_retry_after=2": "want one of",
	} {
		f := sandboxtest.Faults(t, text)
		if err := d.SetFaults(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := NewWith(room.Options{Faults: f}, Knobs{}); err == nil {
			t.Errorf("%s: New took it", text)
		}
	}
	for _, k := range []Knobs{{PutMode: "x"}, {CreateStatus: 404}, {Window: -1}, {TokenTTL: -1}} {
		if _, err := NewWith(room.Options{}, k); err == nil {
			t.Errorf("%+v: New took it", k)
		}
	}
}

func TestSettings(t *testing.T) {
	sim, err := New(room.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sim.Close() }()
	want := map[string]string{"base_url": "http://127.0.0.1:4711/mapmycustomers/api/v1", "username": "ops@example.com", "password": "sandbox", "token_activation": "1s"}
	if diff := cmp.Diff(want, sim.Settings("http://127.0.0.1:4711/mapmycustomers")); diff != "" {
		t.Error(diff)
	}
}
