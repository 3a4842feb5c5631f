package sandbox

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/google/go-cmp/cmp"
)

// desk calls a simulator without a network, with a clock that stands still until it is moved.
type desk struct {
	*Simulator
	t     *testing.T
	now   time.Time
	token string
}

func newDesk(t *testing.T, o room.Options, k Knobs) *desk {
	t.Helper()
	d := &desk{t: t, now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	if o.Now == nil {
		o.Now = func() time.Time { return d.now }
	}
	if k.Activation == 0 {
		k.Activation = -1
	}
	s, err := NewWith(o, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	d.Simulator = s
	if d.token, err = s.issue(s.Now(), s.knobs); err != nil {
		t.Fatal(err)
	}
	return d
}

// call sends a request as a client should, a second after the last.
func (d *desk) call(method, path, body string) *httptest.ResponseRecorder {
	d.t.Helper()
	d.now = d.now.Add(time.Second)
	r := httptest.NewRequest(method, prefix+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+d.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return d.serve(r)
}

func (d *desk) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

// create makes a customer and returns its id, as the ledger knows it; the vendor does not tell.
func (d *desk) create(body string) string {
	d.t.Helper()
	if w := d.call("POST", "/customers", body); w.Code != 200 {
		d.t.Fatalf("create %s: %d %s", body, w.Code, w.Body)
	}
	writes := d.Ledger().Writes
	return writes[len(writes)-1].ID
}

func (d *desk) read(id string) customer {
	d.t.Helper()
	w := d.call("GET", "/customers/"+id, "")
	var c customer
	if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil || w.Code != 200 {
		d.t.Fatalf("read %s: %d %s, %v", id, w.Code, w.Body, err)
	}
	return c
}

func file(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func TestCreateRules(t *testing.T) {
	png := "\x89PNG\r\n\x1a\n"
	fill := func(head string, n int) string { return file(append([]byte(head), make([]byte, n-len(head))...)) }
	for _, c := range []struct {
		body   string
		status int
		says   string
	}{
		{`{"name":"Ada"}`, 200, ""},
		{`{"company":"Ltd"}`, 200, ""},
		{`{"name":"","company":"Ltd"}`, 200, ""},
		{`{"name":" \t","company":"\u00a0"}`, 400, "name or company"},
		{`{"address":"1 Main St"}`, 400, "name or company"},
		{`{}`, 400, "name or company"},
		{`{"name":"Ada"`, 400, "JSON"},
		{`{"name":"Ada"} x`, 400, "JSON"},
		{`{"name":"Ada","name":"Bob"}`, 400, "twice"},
		{`[{"name":"Ada"}]`, 400, "not a JSON object"},
		{`"Ada"`, 400, "not a JSON object"},
		{``, 415, "application/json"},
		{`{"name":7}`, 400, "name: want a string"},
		{`{"name":null,"company":"Ltd"}`, 400, "name: want a string"},
		{`{"name":"Ada","zip":2134}`, 400, "zip: want a string"},
		{`{"name":"Ada","phone":14325557891}`, 400, "phone: want a string"},
		{`{"name":"Ada","custom3":true}`, 400, "custom3: want a string"},
		{`{"name":"Ada","custom10":"x"}`, 400, "custom10"},
		{`{"name":"Ada","Company":"x"}`, 400, "Company"},
		{`{"name":"Ada","id":"rSOUoiTGTh"}`, 400, "id"},
		{`{"name":"Ada","createdAt":{"date":"2016-05-21 02:27:42"}}`, 400, "createdAt"},
		{`{"name":"Ada","color":"neon purple"}`, 200, ""},
		{`{"name":"Ada","color":"Red"}`, 400, "color"},
		{`{"name":"Ada","color":"gray"}`, 400, "color"},
		{`{"name":"Ada","color":""}`, 400, "color"},
		{`{"name":"Ada","groups":["SC","New Leads"]}`, 200, ""},
		{`{"name":"Ada","groups":[]}`, 200, ""},
		{`{"name":"Ada","groups":"SC;New Leads"}`, 400, "groups: want an array"},
		{`{"name":"Ada","groups":["SC",7]}`, 400, "groups: want an array"},
		{`{"name":"Ada","groups":[null]}`, 400, "groups: want an array"},
		{`{"name":"Ada","dealAmount":1200.50}`, 200, ""},
		{`{"name":"Ada","dealAmount":null}`, 200, ""},
		{`{"name":"Ada","dealAmount":"1200.50"}`, 400, "dealAmount: want a number"},
		{`{"name":"Ada","dealAmount":1e999}`, 400, "dealAmount: want a number"},
		{`{"name":"Ada","latitude":33.43213,"longitude":-79.13183}`, 200, ""},
		{`{"name":"Ada","latitude":"33.4"}`, 400, "latitude: want a number"},
		{`{"name":"Ada","lastVisit":1464295966,"numVisits":3,"remindAt":1466124582,"remindType":"Visit Again"}`, 200, ""},
		{`{"name":"Ada","lastVisit":null,"remindAt":null}`, 200, ""},
		{`{"name":"Ada","lastVisit":1464295966.5}`, 400, "lastVisit: want a whole number"},
		{`{"name":"Ada","lastVisit":"2016-05-26"}`, 400, "lastVisit: want a whole number"},
		{`{"name":"Ada","numVisits":3.0}`, 400, "numVisits: want a whole number"},
		{`{"name":"Ada","numVisits":null}`, 400, "numVisits: want a whole number"},
		{`{"name":"Ada","file":"` + file([]byte("%PDF-1.7")) + `"}`, 200, ""},
		{`{"name":"Ada","file":"` + file([]byte("\xff\xd8\xff\xe0")) + `"}`, 200, ""},
		{`{"name":"Ada","file":"` + file([]byte("GIF89a")) + `"}`, 200, ""},
		{`{"name":"Ada","file":"` + file([]byte("GIF87a")) + `"}`, 200, ""},
		{`{"name":"Ada","file":"` + file([]byte("RIFF\x00\x00\x00\x00WEBP")) + `"}`, 200, ""},
		{`{"name":"Ada","file":"` + file([]byte("RIFF\x00\x00\x00\x00WAVE")) + `"}`, 400, "file: neither"},
		{`{"name":"Ada","file":"` + file([]byte("plain text")) + `"}`, 400, "file: neither"},
		{`{"name":"Ada","file":"data:image/png;base64,` + file([]byte(png)) + `"}`, 400, "file: want base64"},
		{`{"name":"Ada","file":"` + strings.TrimRight(file([]byte(png)), "=") + `"}`, 400, "file: want base64"},
		{`{"name":"Ada","file":""}`, 400, "file: neither"},
		{`{"name":"Ada","file":7}`, 400, "file: want a string"},
		{`{"name":"Ada","file":null}`, 400, "file: want a string"},
		{`{"name":"Ada","file":"` + fill(png, 5_000_000) + `"}`, 200, ""},
		{`{"name":"Ada","file":"` + fill(png, 5_000_001) + `"}`, 400, "over 5MB"},
		{`{"name":"Ada","notes":"` + strings.Repeat("x", 60<<20) + `","city":"` + strings.Repeat("x", 5<<20) + `"}`, 413, "too large"},
	} {
		d := newDesk(t, room.Options{}, Knobs{})
		w := d.call("POST", "/customers", c.body)
		short := c.body
		if len(short) > 100 {
			short = short[:100]
		}
		var e struct{ Error, Message string }
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
			t.Errorf("%s: %v", short, err)
		}
		if w.Code != c.status || !strings.Contains(e.Error, c.says) {
			t.Errorf("%s: %d %s, want %d %s", short, w.Code, w.Body, c.status, c.says)
		}
		made := 0
		if c.status == 200 {
			made = 1
			if e.Message != "Object created." {
				t.Errorf("%s: says %q", short, e.Message)
			}
		}
		if n := d.Store.Len(kindCustomers); n != made || len(d.Ledger().Writes) != made || d.Store.Len(kindUpdates) != made {
			t.Errorf("%s: made %d", short, n)
		}
	}
}

func TestContentType(t *testing.T) {
	for contentType, want := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, "Application/JSON": 200,
		"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "application/jsonx": 415,
	} {
		d := newDesk(t, room.Options{}, Knobs{})
		r := httptest.NewRequest("POST", prefix+"/customers", strings.NewReader(`{"name":"Ada"}`))
		r.Header.Set("Authorization", "Bearer "+d.token)
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		if w := d.serve(r); w.Code != want {
			t.Errorf("%q: %d, want %d", contentType, w.Code, want)
		}
	}
}

func TestPathsAndMethods(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	id := d.create(`{"name":"Ada"}`)
	for _, c := range []struct {
		path  string
		allow string // "" for 404
	}{
		{"/token", "GET, POST"},
		{"/customers", "GET, POST"},
		{"/customers/" + id, "DELETE, GET, PUT"},
		{"/customers/search/ada", "GET"},
		{"/routes", "GET, POST"},
		{"/territories", "GET"},
		{"/updates", "GET"},
		{"/user", "GET"},
		{"/user/customfields", "PUT"},
		{"/user/groups", "PUT"},
		{"/customers/", ""},
		{"/customers/search/", ""},
		{"/customers/search/a/b", ""},
		{"/routes/x", ""},
		{"/groups", ""},
		{"", ""},
		{"/", ""},
		{"//customers", ""},
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			if strings.Contains(c.allow, method) {
				continue
			}
			want := 405
			if c.allow == "" {
				want = 404
			}
			w := d.call(method, c.path, "")
			if w.Code != want || w.Header().Get("Allow") != c.allow {
				t.Errorf("%s %s: %d, Allow %q", method, c.path, w.Code, w.Header().Get("Allow"))
			}
		}
	}
	for _, path := range []string{"/customers", "/v1/customers", "/api/v2/customers"} {
		if w := d.serve(httptest.NewRequest("GET", path, nil)); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		body := ""
		if method == "PUT" {
			body = `{"name":"x"}`
		}
		if w := d.call(method, "/customers/nothere123", body); w.Code != 404 || !strings.Contains(w.Body.String(), "nothere123") {
			t.Errorf("%s of an unknown id: %d %s", method, w.Code, w.Body)
		}
	}
	if len(d.Ledger().Writes) != 1 {
		t.Errorf("%d writes", len(d.Ledger().Writes))
	}
}

func TestUpdate(t *testing.T) {
	const before = `{"name":"Ada","company":"Ltd","phone":"+1432","groups":["SC"],"dealAmount":10.50,"notes":"first","numVisits":3,"color":"teal"}`
	for _, c := range []struct {
		mode, body string
		status     int
		want       func(*customer) // from what was there
	}{
		{merge, `{"phone":"+1999"}`, 200, func(c *customer) { c.Phone = "+1999" }},
		{merge, `{"phone":"","groups":[],"dealAmount":null}`, 200, func(c *customer) { c.Phone, c.Groups, c.DealAmount = "", []string{}, nil }},
		{merge, `{"notes":"second"}`, 200, func(c *customer) { c.Notes = "first\nsecond" }},
		{merge, `{"name":""}`, 200, func(c *customer) { c.Name = "" }},
		{merge, `{"name":"","company":" "}`, 400, nil},
		{merge, `{}`, 200, func(*customer) {}},
		{merge, `{"file":"JVBERi0="}`, 400, nil},
		{merge, `{"id":"x"}`, 400, nil},
		{merge, `{"color":"pinkish"}`, 400, nil},
		{merge, `{"phone":"1","zip":5}`, 400, nil},
		{replace, `{"name":"Bob","notes":"second"}`, 200, func(c *customer) {
			fresh := newCustomer()
			fresh.ID, fresh.CreatedAt, fresh.Name, fresh.Notes = c.ID, c.CreatedAt, "Bob", "first\nsecond"
			*c = fresh
		}},
		{replace, `{"name":"Bob"}`, 200, func(c *customer) {
			fresh := newCustomer()
			fresh.ID, fresh.CreatedAt, fresh.Name, fresh.Notes = c.ID, c.CreatedAt, "Bob", "first"
			*c = fresh
		}},
		{replace, `{"phone":"+1999"}`, 400, nil},
	} {
		d := newDesk(t, room.Options{}, Knobs{PutMode: c.mode})
		id := d.create(before)
		want := d.read(id)
		w := d.call("PUT", "/customers/"+id, c.body)
		changed := d.now
		if w.Code != c.status {
			t.Errorf("%s %s: %d %s", c.mode, c.body, w.Code, w.Body)
		}
		if c.want != nil {
			c.want(&want)
			want.UpdatedAt = newDate(changed, d.knobs)
		}
		if diff := cmp.Diff(want, d.read(id)); diff != "" {
			t.Errorf("%s %s:\n%s", c.mode, c.body, diff)
		}
		updates := d.call("GET", "/updates", "").Body.String()
		if got := strings.Contains(updates, `"customerId":"`+id+`","type":"addedNote","notes":"second"`); got != (c.status == 200 && strings.Contains(c.body, "notes")) {
			t.Errorf("%s %s: updates %s", c.mode, c.body, updates)
		}
	}
}

// TestText carries what spreadsheets break: it comes back as it was sent.
func TestText(t *testing.T) {
	d := newDesk(t, room.Options{Dir: t.TempDir()}, Knobs{})
	body := `{"name":"Zoë \"Z\" <O'Brien> & 王 😀","zip":"02134","phone":"+00432","notes":"a\nb\tc\\d\u2028\u0000","dealAmount":0.10,"latitude":33.4300,"custom0":"12345678901234567890","lastVisit":0,"groups":["a;b",""]}`
	id := d.create(body)
	got := d.read(id)
	if got.Name != `Zoë "Z" <O'Brien> & 王 😀` || got.Zip != "02134" || got.Phone != "+00432" || got.Notes != "a\nb\tc\\d\u2028\x00" ||
		got.DealAmount.String() != "0.10" || got.Latitude.String() != "33.4300" || got.Custom0 != "12345678901234567890" || got.LastVisit.String() != "0" ||
		!cmp.Equal(got.Groups, []string{"a;b", ""}) || got.Color != "red" || got.Longitude != nil {
		t.Errorf("got %+v", got)
	}
	if w := d.Ledger().Writes[0]; w.Method != "POST" || w.Path != "/customers" || w.ID != id || w.Body != room.NewWritten(time.Time{}, "", "", []byte(body)).Body || !w.Time.Equal(d.now.Add(-time.Second)) {
		t.Errorf("ledger %+v", w)
	}
}

func TestSearch(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	for _, body := range []string{
		`{"name":"New5","city":"Pawleys Island"}`,
		`{"company":"ISLAND & Sons \"Quality\" C:\\Work"}`,
		`{"name":"c","address":"360 County Road S-22-779"}`,
		`{"name":"d","state":"South Carolina","zip":"29585","country":"United States"}`,
		`{"name":"e","email":"island@example.com","phone":"island","notes":"island","groups":["island"],"custom0":"island","remindType":"island"}`,
		`{"name":"ÅBERG Zoë"}`,
		`{"name":"\u212Aelvin"}`,
		`{"name":"100% a/b?#+"}`,
	} {
		d.create(body)
	}
	all := elements(t, d.call("GET", "/customers", "").Body.String())
	for term, want := range map[string]string{
		"island": "[0 1]", "ISLAND": "[0 1]", "IsLaNd": "[0 1]", "s-22": "[2]", "29585": "[3]", "south c": "[3]", "STATES": "[3]",
		"example.com": "[]", "created": "[]", "åberg": "[5]", "ZOË": "[5]", "zoe": "[]", "kelvin": "[6]", "100%": "[7]", "a/b": "[7]", "?#+": "[7]",
		`"quality"`: "[1]", `c:\work`: "[1]", "& sons": "[1]", "name": "[]", "2016": "[]", " ": "[0 1 2 3 5 7]",
	} {
		w := d.call("GET", "/customers/search/"+url.PathEscape(term), "")
		if w.Code != 200 {
			t.Errorf("%q: %d", term, w.Code)
			continue
		}
		found := []int{}
		for _, doc := range elements(t, w.Body.String()) {
			for i, one := range all {
				if one == doc {
					found = append(found, i)
				}
			}
		}
		if got := fmt.Sprint(found); got != want {
			t.Errorf("%q: %s, want %s", term, got, want)
		}
	}
}

func TestRoutes(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	a := d.create(`{"name":"a","latitude":1.50,"longitude":-2}`)
	b := d.create(`{"name":"b","address":"1 Main St"}`)
	for _, c := range []struct {
		body   string
		status int
	}{
		{`{"routeName":"r","customerIds":["` + b + `","` + a + `"]}`, 200},
		{`{"routeName":"r","customerIds":["` + a + `","nothere123"]}`, 400},
		{`{"routeName":"r","customerIds":[]}`, 400},
		{`{"routeName":"r"}`, 400},
		{`{"routeName":" ","customerIds":["` + a + `"]}`, 400},
		{`{"customerIds":["` + a + `"]}`, 400},
		{`{"routeName":7,"customerIds":["` + a + `"]}`, 400},
		{`{"routeName":"r","customerIds":"` + a + `"}`, 400},
		{`{"name":"r","customerIds":["` + a + `"]}`, 400},
	} {
		if w := d.call("POST", "/routes", c.body); w.Code != c.status {
			t.Errorf("%s: %d %s", c.body, w.Code, w.Body)
		}
	}
	routes := elements(t, d.call("GET", "/routes", "").Body.String())
	var r path
	if len(routes) != 1 {
		t.Fatalf("routes: %v", routes)
	}
	if err := json.Unmarshal([]byte(routes[0]), &r); err != nil || len(r.ID) != 10 || r.Name != "r" || len(r.Points) != 2 || r.Points[1] != "1.50,-2" || strings.Count(r.Points[0], ",") != 1 {
		t.Errorf("route %s, %v", routes[0], err)
	}
	if w := d.call("GET", "/territories", ""); w.Body.String() != readExchange(t, "10-territories").sample(t) {
		t.Errorf("territories: %s", w.Body)
	}
}

func TestUser(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"/user/customfields", `{"birthday":0,"socialStatus":1,"salesToDate":9}`, 200},
		{"/user/customfields", `{"a":0,"b":0}`, 400},
		{"/user/customfields", `{"a":10}`, 400},
		{"/user/customfields", `{"a":-1}`, 400},
		{"/user/customfields", `{"a":"1"}`, 400},
		{"/user/customfields", `{"a":1.0}`, 400},
		{"/user/customfields", `{"a":null}`, 400},
		{"/user/customfields", `{"a":1,"a":2}`, 400},
		{"/user/customfields", `{" ":1}`, 400},
		{"/user/customfields", `{}`, 400},
		{"/user/customfields", `{"gender":1,"birthday":2}`, 200},
		{"/user/groups", `{"groups":["x","y"]}`, 200},
		{"/user/groups", `{"groups":["z"]}`, 200},
		{"/user/groups", `{"groups":"z"}`, 400},
		{"/user/groups", `{"groups":[1]}`, 400},
		{"/user/groups", `{"groups":[" "]}`, 400},
		{"/user/groups", `{}`, 400},
		{"/user/groups", `{"groups":["z"],"mode":"add"}`, 400},
	} {
		if w := d.call("PUT", c.path, c.body); w.Code != c.status {
			t.Errorf("%s %s: %d %s", c.path, c.body, w.Code, w.Body)
		}
	}
	if doc, _, err := d.Store.Get(kindFields, single); err != nil || string(doc) != `{"1":"gender","2":"birthday","9":"salesToDate"}` {
		t.Errorf("custom fields %s, %v", doc, err)
	}
	var u user
	if err := json.Unmarshal(d.call("GET", "/user", "").Body.Bytes(), &u); err != nil || !cmp.Equal(u.Groups, []string{"z"}) || u.Username != "ops@example.com" || len(u.Colors) != 15 {
		t.Errorf("user %+v, %v", u, err)
	}
	d.call("PUT", "/user/groups", `{"groups":[]}`)
	if got := d.call("GET", "/user", "").Body.String(); !strings.Contains(got, `"groups":[],`) {
		t.Errorf("user %s", got)
	}
}

func TestColorsAreTheDocuments(t *testing.T) {
	var u user
	if err := json.Unmarshal([]byte(readExchange(t, "12-user").answer), &u); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(u.Colors, colors()); diff != "" {
		t.Error(diff)
	}
}

// TestToken goes through a token's life by the clock.
func TestToken(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{Activation: 10 * time.Second})
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
		{Knobs{RetryAfter: room.RetryDate, LimitBody: room.BodyHTML}, "Sun, 22 Nov 2026 10:01:01 GMT", "text/html; charset=utf-8", "<!DOCTYPE html>"},
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
		f, err := room.ParseFaults(text)
		if err != nil {
			t.Fatal(err)
		}
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
		f, err := room.ParseFaults(text)
		if err != nil {
			t.Fatal(err)
		}
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

// TestAmbiguousCreate is the case that clients must get right: the vendor has made the customer, and the client can't know.
func TestAmbiguousCreate(t *testing.T) {
	for rule, made := range map[string]bool{
		"POST /customers #1 drop=after":         true,
		"POST /customers #1 drop=before":        false,
		"POST /customers #1 status=502 applied": true,
		"POST /customers #1 html=502":           false,
		"POST /customers #1 cut=0":              true,
	} {
		f, err := room.ParseFaults(rule)
		if err != nil {
			t.Fatal(err)
		}
		s, base, token := start(t, room.Options{Faults: f}, Knobs{})
		r := readExchange(t, "05-create").request(t, base, token)
		a, err := http.DefaultClient.Do(r)
		if err == nil {
			_, err = io.ReadAll(a.Body)
			_ = a.Body.Close()
			if err == nil && a.StatusCode < 500 {
				t.Errorf("%s: %d", rule, a.StatusCode)
			}
		}
		if got := s.Store.Len(kindCustomers) == 1 && len(s.Ledger().Writes) == 1; got != made {
			t.Errorf("%s: made %v", rule, got)
		}
	}
}

// TestSurvives makes records in one process and finds them in the next, closed or killed: the log is copied as it is
// while the first still has it open.
func TestSurvives(t *testing.T) {
	dir := t.TempDir()
	first := newDesk(t, room.Options{Dir: dir, Seed: 20}, Knobs{})
	id := first.create(`{"name":"Ada","notes":"one\ntwo"}`)
	gone := first.create(`{"name":"Bob"}`)
	first.call("PUT", "/customers/"+id, `{"city":"London","notes":"three"}`)
	first.call("DELETE", "/customers/"+gone, "")
	first.call("POST", "/routes", `{"routeName":"r","customerIds":["`+id+`"]}`)
	first.call("PUT", "/user/groups", `{"groups":["g"]}`)
	look := func(d *desk) (out []string) {
		for _, path := range []string{"/customers", "/customers/" + id, "/routes", "/territories", "/updates", "/user", "/customers/search/london", "/customers/" + gone} {
			w := d.call("GET", path, "")
			out = append(out, path, strconv.Itoa(w.Code), w.Body.String())
		}
		for _, w := range d.Ledger().Writes {
			out = append(out, fmt.Sprint(w.N, w.Method, w.Path, w.ID, w.Body, w.Time.UTC()))
		}
		return out
	}
	want := look(first)

	killed := t.TempDir()
	log, err := os.ReadFile(dir + "/records.log")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(killed+"/records.log", log, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(room.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("opened twice: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{dir, killed} {
		next := newDesk(t, room.Options{Dir: dir, Seed: 500}, Knobs{}) // seeded once only
		next.token = first.token                                       // tokens outlive the process
		if diff := cmp.Diff(want, look(next)); diff != "" {
			t.Errorf("%s:\n%s", dir, diff)
		}
		if again := next.create(`{"name":"Cy"}`); again == gone || again == id {
			t.Error("an id was given twice")
		}
	}
}

func TestReset(t *testing.T) {
	d := newDesk(t, room.Options{Dir: t.TempDir(), Seed: 3}, Knobs{})
	d.create(`{"name":"Ada"}`)
	before := d.call("GET", "/customers", "").Body.String()
	if err := d.Reset(); err != nil {
		t.Fatal(err)
	}
	w := d.call("GET", "/customers", "")
	if w.Code != 200 || !strings.HasPrefix(before, strings.TrimSuffix(w.Body.String(), "]")) || len(elements(t, w.Body.String())) != 3 {
		t.Errorf("after reset: %d %s", w.Code, w.Body)
	}
}

// TestSeeds are the same whatever their number, and all different.
func TestSeeds(t *testing.T) {
	few, many := newDesk(t, room.Options{Seed: 50}, Knobs{}), newDesk(t, room.Options{Seed: 5000, Dir: t.TempDir()}, Knobs{})
	a, b := elements(t, few.call("GET", "/customers", "").Body.String()), elements(t, many.call("GET", "/customers", "").Body.String())
	if diff := cmp.Diff(a, b[:50]); diff != "" || len(b) != 5000 {
		t.Errorf("%d:\n%s", len(b), diff)
	}
	ids := map[string]bool{}
	size := 0
	for _, doc := range b {
		var c customer
		if err := json.Unmarshal([]byte(doc), &c); err != nil || c.named() != nil || len(c.ID) != 10 || ids[c.ID] {
			t.Fatalf("%s: %v", doc, err)
		}
		ids[c.ID] = true
		size += len(doc)
		// What is made up can also be sent.
		members, err := room.ParseObject([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			if known, err := new(customer).set(m); err != nil || !known && m.Name != "id" && m.Name != "createdAt" && m.Name != "updatedAt" {
				t.Fatalf("%s: %v", m.Name, err)
			}
		}
	}
	if mean := size / len(b); mean < 500 || mean > 900 {
		t.Errorf("%d bytes each", mean)
	}
}

// BenchmarkStart200k starts with 200,000 customers: made up, and found in the folder.
func BenchmarkStart200k(b *testing.B) {
	for _, again := range []bool{false, true} {
		b.Run(map[bool]string{false: "made up", true: "found"}[again], func(b *testing.B) {
			dir := b.TempDir()
			for b.Loop() {
				if !again {
					dir = b.TempDir()
				}
				s, err := New(room.Options{Dir: dir, Seed: 200_000})
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStream200k lists and searches 200,000 customers over loopback.
func BenchmarkStream200k(b *testing.B) {
	for _, kept := range []string{"folder", "memory"} {
		o := room.Options{Seed: 200_000}
		if kept == "folder" {
			o.Dir = b.TempDir()
		}
		s, err := NewWith(o, Knobs{Activation: -1, Rate: -1})
		if err != nil {
			b.Fatal(err)
		}
		server, err := room.Serve(b.Context(), "127.0.0.1:0", map[string]room.Simulator{Name: s})
		if err != nil {
			b.Fatal(err)
		}
		token, err := s.issue(s.Now(), s.knobs)
		if err != nil {
			b.Fatal(err)
		}
		for _, path := range []string{"/customers", "/customers/search/coeur"} {
			b.Run(kept+path, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r, err := http.NewRequestWithContext(b.Context(), "GET", server.URL(Name)+prefix+path, nil)
					if err != nil {
						b.Fatal(err)
					}
					r.Header.Set("Authorization", "Bearer "+token)
					a, err := http.DefaultClient.Do(r)
					if err != nil {
						b.Fatal(err)
					}
					n, err := io.Copy(io.Discard, a.Body)
					_ = a.Body.Close()
					if err != nil || a.StatusCode != 200 {
						b.Fatal(a.StatusCode, err)
					}
					b.SetBytes(n)
				}
			})
		}
		_ = server.Close()
		_ = s.Close()
	}
}
