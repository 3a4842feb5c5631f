package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
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
		{`{"name":"Ada","file":"` + fill(png, 5_000_001) + `"}`, 400, "over 5MB"},
		{`{"name":"Ada","notes":"` + strings.Repeat("x", 16<<20) + `"}`, 413, "too large"},
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

// TestFileLimit is exact: 5,000,000 bytes are 5MB, one more is over.
func TestFileLimit(t *testing.T) {
	b := append([]byte("%PDF-1.4"), make([]byte, 5_000_000)...)
	for size, good := range map[int]bool{5_000_000: true, 5_000_001: false} {
		a, err := readFile(room.Member{Name: "file", Value: []byte(`"` + file(b[:size]) + `"`)})
		if (err == nil) != good || good && (a.Bytes != size || a.Type != "application/pdf") {
			t.Errorf("%d bytes: %v", size, err)
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
		`{"name":"\u212Aelv\u0130n"}`,
		`{"name":"100% a/b?#+"}`,
	} {
		d.create(body)
	}
	all := sandboxtest.Elements(t, d.call("GET", "/customers", "").Body.String())
	for term, want := range map[string]string{
		"island": "[0 1]", "ISLAND": "[0 1]", "IsLaNd": "[0 1]", "s-22": "[2]", "29585": "[3]", "south c": "[3]", "STATES": "[3]",
		"example.com": "[]", "created": "[]", "åberg": "[5]", "ZOË": "[5]", "zoe": "[]", "kelvin": "[6]", "zzz": "[]", "ß": "[]", "100%": "[7]", "a/b": "[7]", "?#+": "[7]",
		`"quality"`: "[1]", `c:\work`: "[1]", "& sons": "[1]", "name": "[]", "2016": "[]", " ": "[0 1 2 3 5 7]",
	} {
		w := d.call("GET", "/customers/search/"+url.PathEscape(term), "")
		if w.Code != 200 {
			t.Errorf("%q: %d", term, w.Code)
			continue
		}
		found := []int{}
		for _, doc := range sandboxtest.Elements(t, w.Body.String()) {
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
	routes := sandboxtest.Elements(t, d.call("GET", "/routes", "").Body.String())
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
