package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/google/go-cmp/cmp"
)

// ask requests a token: JSON if the body looks like it, else a form.
func (d *desk) ask(path, basic, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("User-Agent", "test")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	if basic != "" {
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(basic)))
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

const credentials = `{"scope":"openid","grant_type":"client_credentials"}`

// login takes a new token and returns all of the answer.
func (d *desk) login() granted {
	d.t.Helper()
	w := d.ask(tokenPath, "sandbox-key:sandbox-secret", credentials)
	var g granted
	if err := json.Unmarshal(w.Body.Bytes(), &g); err != nil || w.Code != 200 {
		d.t.Fatalf("%d %s, %v", w.Code, w.Body, err)
	}
	d.token = g.AccessToken
	return g
}

// TestToken goes through a token's life by the clock.
func TestToken(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	g := d.login()
	if g.TokenType != "Bearer" || g.ExpiresIn != 1800 || g.RefreshToken != "" {
		t.Errorf("granted %+v", g)
	}
	born := d.now
	for after, want := range map[time.Duration]int{0: 200, 1799 * time.Second: 200, 1800 * time.Second: 401, time.Hour: 401} {
		d.now = born.Add(after - time.Second) // call moves it on
		if w := d.call("GET", "/leads", ""); w.Code != want || want == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("after %s: %d", after, w.Code)
		}
	}
	d.now = born
	other := newDesk(t, room.Options{}, Knobs{})
	other.login()
	refresh, err := d.issue(d.now, d.knobs, "sandbox-key", useRefresh)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := d.issue(d.now, d.knobs, "someone", useAccess)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"", "x", "a.b.c", ".", g.AccessToken[:len(g.AccessToken)-4] + "AAAA", other.token, refresh, stranger} {
		d.token = token
		if w := d.call("GET", "/leads", ""); w.Code != 401 {
			t.Errorf("%.20q: %d", token, w.Code)
		}
	}
	d.set("set token_ttl=5s")
	if g := d.login(); g.ExpiresIn != 5 {
		t.Errorf("token_ttl=5s: %+v", g)
	}
	var codes []int
	for range 6 {
		codes = append(codes, d.call("GET", "/leads", "").Code) // a second later each
	}
	if diff := cmp.Diff([]int{200, 200, 200, 200, 401, 401}, codes); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string][2]int{"": {200, 401}, "set static_token=mine": {401, 200}, "set static_token=off": {401, 401}} {
		d.set(text)
		for i, token := range []string{"sandbox-static-token", "mine"} {
			d.token = token
			if w := d.call("GET", "/leads", ""); w.Code != want[i] {
				t.Errorf("%s: %s: %d", text, token, w.Code)
			}
		}
	}
	d.set("set static_token=off")
	d.token = off
	if w := d.call("GET", "/leads", ""); w.Code != 401 {
		t.Errorf("the token off: %d", w.Code)
	}
}

func TestTokenRequests(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	password := url.Values{"grant_type": {"password"}, "domain": {"sandbox"}, "username": {"ops@example.com"}, "password": {"sandbox"}, "scope": {"offline"}}.Encode()
	inJSON := `{"grant_type":"password","domain":"sandbox","username":"ops@example.com","password":"sandbox","scope":"offline"}`
	for name, c := range map[string]struct {
		path, basic, body string
		status            int
		says              string
	}{
		"credentials":      {tokenPath, "sandbox-key:sandbox-secret", credentials, 200, `"expires_in":1800}`},
		"wrong secret":     {tokenPath, "sandbox-key:Sandbox-secret", credentials, 401, "invalid_client"},
		"no credentials":   {tokenPath, "", credentials, 401, "invalid_client"},
		"no grant":         {tokenPath, "sandbox-key:sandbox-secret", `{"scope":"openid"}`, 400, "unsupported_grant_type"},
		"another grant":    {tokenPath, "sandbox-key:sandbox-secret", strings.ReplaceAll(inJSON, "offline", "openid"), 400, "unsupported_grant_type"},
		"no scope":         {tokenPath, "sandbox-key:sandbox-secret", `{"grant_type":"client_credentials"}`, 400, "invalid_scope"},
		"credentials form": {tokenPath, "sandbox-key:sandbox-secret", "scope=openid&grant_type=client_credentials", 415, "application/json"},
		"credentials junk": {tokenPath, "sandbox-key:sandbox-secret", `{"scope":`, 400, "JSON"},
		"password form":    {"/token", "", password, 200, `"refresh_token":"`},
		"password json":    {"/token", "", inJSON, 200, `"refresh_token":"`},
		"not offline":      {"/token", "", strings.Replace(inJSON, `,"scope":"offline"`, "", 1), 200, `"expires_in":1800}`},
		"wrong password":   {"/token", "", strings.Replace(inJSON, `"password":"sandbox"`, `"password":"x"`, 1), 401, "invalid_grant"},
		"wrong domain":     {"/token", "", strings.Replace(inJSON, `"domain":"sandbox"`, `"domain":"x"`, 1), 401, "invalid_grant"},
		"wrong refresh":    {"/token", "", `{"grant_type":"refresh_token","refresh_token":"x"}`, 401, "invalid_grant"},
		"key at /token":    {"/token", "sandbox-key:sandbox-secret", credentials, 400, "unsupported_grant_type"},
		"broken form":      {"/token", "", "a=%zz", 400, "form"},
	} {
		w := d.ask(c.path, c.basic, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	d.set("set token_status=201")
	w := d.ask("/token", "", inJSON)
	var g granted
	if err := json.Unmarshal(w.Body.Bytes(), &g); err != nil || w.Code != 201 {
		t.Fatalf("token_status=201: %d %s", w.Code, w.Body)
	}
	d.token = g.RefreshToken
	d.good(401, "GET", "/leads", "")
	d.token = g.AccessToken
	d.good(200, "GET", "/leads", "")
	w = d.ask("/token", "", `{"grant_type":"refresh_token","refresh_token":"`+g.RefreshToken+`"}`)
	if err := json.Unmarshal(w.Body.Bytes(), &g); err != nil || w.Code != 201 || g.RefreshToken == "" {
		t.Fatalf("refreshed: %d %s", w.Code, w.Body)
	}
	d.token = g.AccessToken
	d.good(200, "GET", "/leads", "")
}

// TestEdge: without a User-Agent nothing gets as far as the token.
func TestEdge(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	for _, path := range []string{"/leads", "/nowhere", tokenPath} {
		for _, token := range []string{"", "x", d.token} {
			r := httptest.NewRequest("POST", path, strings.NewReader(leadBody(t, "")))
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			d.ServeHTTP(w, r)
			if w.Code != 403 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") || !strings.HasPrefix(w.Body.String(), "<!DOCTYPE html>") {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	}
	if d.Store.Len(kindLeads) != 0 {
		t.Error("a lead was made")
	}
}

func TestRights(t *testing.T) {
	patch := func(path, op, v string) string {
		return `{"operations":[{"op":"` + op + `","path":"` + path + `","value":` + v + `}]}`
	}
	for _, c := range []struct {
		right, method, path, body string
	}{
		{"lead.read", "GET", "/leads", ""},
		{"lead.read", "GET", "/leads/1001", ""},
		{"lead.update", "POST", "/leads", leadBody(t, "")},
		{"lead.update", "PUT", "/leads/1001", leadBody(t, "")},
		{"lead.update", "PATCH", "/leads/1001", patch("/status", "replace", `"qualified"`)},
		{"lead.update", "PATCH", "/leads", patch("/1001/status", "replace", `"qualified"`)},
		{"lead.update", "DELETE", "/leads/1001", ""},
		{"lead.update", "DELETE", "/lead/1001", ""},
		{"lead.update", "DELETE", "/leads", ""},
		{"lead.update.other", "POST", "/leads", leadBody(t, `"user":2`)},
		{"lead.update.other", "PUT", "/leads/1001", leadBody(t, `"user":2`)},
		{"user.update", "PATCH", "/leads/1001", patch("/assignment/user", "replace", "2")},
		{"user.update", "PATCH", "/leads", patch("/1001/assignment/user", "replace", "2")},
		{"property.read", "PATCH", "/leads/1001", patch("/assignment/property", "add", "2")},
		{"property.read", "PATCH", "/leads", patch("/*/assignment/mls", "remove", "2")},
	} {
		d := newDesk(t, room.Options{}, Knobs{})
		d.create("")
		d.set("set deny=" + c.right)
		if w := d.call(c.method, c.path, c.body); w.Code != 403 || w.Header().Get("Content-Type") != "application/json" || !strings.Contains(w.Body.String(), "the right "+c.right) || len(d.Ledger().Writes) != 1 {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
		// Everything else may go.
		others := ""
		for _, r := range rights {
			if r != c.right && !strings.HasPrefix(c.right, r) && !strings.HasPrefix(c.path, "/lead") {
				others += "," + r
			}
		}
		d.set("set deny=" + strings.TrimPrefix(others, ","))
		if w := d.call(c.method, c.path, c.body); w.Code >= 300 {
			t.Errorf("allowed %+v: %d %s", c, w.Code, w.Body)
		}
	}
	d := newDesk(t, room.Options{}, Knobs{Deny: "lead.update.other,user.update"})
	d.create(`"user":1`)
	d.good(204, "PATCH", "/leads/1001", patch("/status", "replace", `"qualified"`))
}

func TestRate(t *testing.T) {
	for _, c := range []struct {
		knobs, retry, typ, body string
	}{
		{"rate=3", "", "application/json", `{"error":"rate limit exceeded"}`},
		{"rate=3 limit_retry_after=seconds limit_body=html", "1", "text/html; charset=utf-8", "<!DOCTYPE html>"},
		{"rate=3 limit_retry_after=date limit_body=empty", "Sun, 22 Nov 2026 10:01:02 GMT", "", ""},
	} {
		d := newDesk(t, room.Options{}, Knobs{})
		d.set("set " + c.knobs)
		first := d.now.Add(time.Minute)
		call := func(after time.Duration) *httptest.ResponseRecorder {
			d.now = first.Add(after - time.Second)
			return d.call("POST", "/leads", leadBody(t, ""))
		}
		for i := range 3 {
			if w := call(time.Duration(i) * 100 * time.Millisecond); w.Code != 200 {
				t.Fatalf("request %d: %d", i, w.Code)
			}
		}
		d.login() // not under the rate, and the rate is the account's, not the token's
		w := call(500 * time.Millisecond)
		if w.Code != 429 || w.Header().Get("Retry-After") != c.retry || w.Header().Get("Content-Type") != c.typ || !strings.HasPrefix(w.Body.String(), c.body) {
			t.Errorf("%s: %d %v %s", c.knobs, w.Code, w.Header(), w.Body)
		}
		if w := call(1500 * time.Millisecond); w.Code != 200 {
			t.Errorf("later: %d", w.Code)
		}
		if l := d.Ledger(); l.Count("POST", "/leads", 429) != 1 || l.Count("POST", "/leads", 200) != 4 || len(l.Writes) != 4 || l.MaxPerSecond != 4 {
			t.Errorf("ledger %+v", l)
		}
	}
	d := newDesk(t, room.Options{}, Knobs{})
	for range 100 {
		d.now = d.now.Add(-time.Second)
		d.good(200, "GET", "/leads", "")
	}
	d.set("set rate=1 window=1h limit_retry_after=seconds")
	d.good(200, "GET", "/leads", "")
	if w := d.call("GET", "/leads", ""); w.Code != 429 || w.Header().Get("Retry-After") != "3600" {
		t.Errorf("window=1h: %d %v", w.Code, w.Header())
	}
}

// TestWritingKnobs sets those that the other tests do not.
func TestWritingKnobs(t *testing.T) {
	post := func(d *desk, body string) int { return d.call("POST", "/leads", body).Code }
	d := newDesk(t, room.Options{}, Knobs{})
	d.set("set create_status=201 invalid_status=422")
	if got := post(d, leadBody(t, "")); got != 201 {
		t.Errorf("create_status=201: %d", got)
	}
	if w := d.call("POST", "/leads", `{"lead":{}}`); w.Code != 422 || !strings.Contains(w.Body.String(), `{"errors":{"category":["is required"],`) {
		t.Errorf("invalid_status=422: %d %s", w.Code, w.Body)
	}
	d.set("set mycrm.duplicates=409 mapmycustomers.colour=red")
	w := d.call("POST", "/leads", leadBody(t, ""))
	if w.Code != 409 || w.Body.String() != `{"error":"lead 1001 has this mobile"}` {
		t.Errorf("duplicates=409: %d %s", w.Code, w.Body)
	}
	if got := post(d, leadBody(t, `"mobile":"0501234567"`)); got != 200 {
		t.Errorf("duplicates=409, another mobile: %d", got)
	}
	d.good(200, "PUT", "/leads/1001", leadBody(t, ""))
	d.good(409, "PUT", "/leads/1001", leadBody(t, `"mobile":"0501234567"`))
	d.set("")
	if got := post(d, leadBody(t, "")); got != 200 {
		t.Errorf("duplicates are allowed: %d", got)
	}

	d.set("set mandatory_field=8")
	covers(t, "mandatory_field", `{"id":8,"mandatory":true}`, sandboxtest.Elements(t, inner(t, d.good(200, "GET", "/fields?filters[resource]=lead", ""), "fields"))[7])
	for members, want := range map[string]int{``: 400, `"fields":{"1":"x"}`: 400, `"fields":{"8":null}`: 400, `"fields":{"8":5}`: 200} {
		if got := post(d, leadBody(t, members)); got != want {
			t.Errorf("mandatory_field=8: %s: %d", members, got)
		}
	}
	if got := refused(t, d.call("POST", "/leads", leadBody(t, "")).Body.String()); got != "fields.8: is required" {
		t.Errorf("mandatory_field=8: %s", got)
	}
	for _, c := range []struct {
		knob, members string
		want          int
	}{
		{"preference_key=preferences", `"preference":"-","preferences":` + usualWish, 200},
		{"preference_key=preferences", ``, 400},
		{"preference_key=both", ``, 200},
		{"preference_key=both", `"preference":"-","preferences":` + usualWish, 200},
		{"preference_shape=object", ``, 200},
		{"preference_shape=object", `"preference":[` + usualWish + `]`, 400},
		{"preference_shape=array", ``, 400},
		{"preference_shape=array", `"preference":[` + usualWish + `]`, 200},
		{"offering_type_at=preference", ``, 200},
		{"offering_type_at=preference", `"offering_type":"rent","preference":` + edited(t, usualWish, `"offering_type":"-"`), 400},
		{"offering_type_at=lead", ``, 400},
		{"offering_type_at=lead", `"offering_type":"rent"`, 200},
		{"offering_type_at=either", `"offering_type":"rent","preference":` + edited(t, usualWish, `"offering_type":"-"`), 200},
		{"offering_type_at=either", `"offering_type":"rent","preference":` + edited(t, usualWish, `"offering_type":null`), 200},
	} {
		d.set("set " + c.knob)
		w := d.call("POST", "/leads", leadBody(t, c.members))
		if w.Code != c.want {
			t.Errorf("%s: %s: %d %s", c.knob, c.members, w.Code, w.Body)
		}
		if strings.Contains(c.members, `"rent"`) && c.want == 200 && !strings.Contains(w.Body.String(), `"offering_type":"rent"`) {
			t.Errorf("%s: %s", c.knob, w.Body)
		}
	}
}

func TestKnobErrors(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	for text, want := range map[string]string{
		"set put_mode=patch":       "set put_mode=patch: want one of [replace merge]",
		"set colour=red":           `has no setting "colour"; it has mandatory,`,
		"set rate=-1":              "want a whole number from 0",
		"set churn=x":              "want a whole number from 0",
		"set window=1":             "want a duration",
		"set token_ttl=0s":         "want a duration",
		"set create_status=500":    "want one of [200 201]",
		"set limit_body=xml":       "want one of",
		"set limit_retry_after=2":  "want one of",
		"set omit_page=yes":        "want one of [on off]",
		"set deny=lead.write":      "want one of [lead.read",
		"set mandatory_field=21":   "leads have no such custom field",
		"set missing_delete=410":   "want one of [404 405]",
		"set bulk_atomic=partly":   "want one of [on off]",
		"set preference_shape=map": "want one of",
	} {
		f := sandboxtest.Faults(t, text)
		if err := d.SetFaults(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
		if s, err := New(room.Options{Faults: f}); err == nil || s != nil {
			t.Errorf("%s: New took it", text)
		}
	}
	for _, k := range []Knobs{{PutMode: "x"}, {CreateStatus: 404}, {Window: -1}, {TokenTTL: -1}, {Churn: -1}, {Deny: "all"}, {MandatoryField: 99}, {TextMatch: "fuzzy"}} {
		if _, err := NewWith(room.Options{}, k); err == nil {
			t.Errorf("%+v: New took it", k)
		}
	}
	seen := map[string]bool{}
	for _, k := range knobTable(&Knobs{}) {
		if seen[k.Name] {
			t.Errorf("%s is there twice", k.Name)
		}
		seen[k.Name] = true
	}
}

func TestSettings(t *testing.T) {
	sim, err := New(room.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sim.Close() }()
	want := map[string]string{"base_url": "http://127.0.0.1:4711/mycrm", "token_url": "http://127.0.0.1:4711/mycrm/auth/oauth/v1/token", "api_key": "sandbox-key", "api_secret": "sandbox-secret"}
	if diff := cmp.Diff(want, sim.Settings("http://127.0.0.1:4711/mycrm")); diff != "" {
		t.Error(diff)
	}
	// They do reach it, over a connection.
	_, base := start(t, room.Options{}, Knobs{})
	settings := sim.Settings(base)
	r, err := http.NewRequestWithContext(t.Context(), "POST", settings["token_url"], strings.NewReader(credentials))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(settings["api_key"], settings["api_secret"])
	r.Header.Set("Content-Type", "application/json")
	a, body, err := sandboxtest.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	var g granted
	if err := json.Unmarshal([]byte(body), &g); err != nil || a.StatusCode != 200 || g.AccessToken == "" {
		t.Errorf("%d %v", a.StatusCode, err)
	}
}
