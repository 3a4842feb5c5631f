package sandbox

import (
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

// desk calls a simulator without a network, with a clock that stands still until it is moved.
type desk struct {
	*Simulator
	t   *testing.T
	now time.Time
}

func newDesk(t *testing.T, o room.Options, k Knobs) *desk {
	t.Helper()
	d := &desk{t: t, now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	if o.Now == nil {
		o.Now = func() time.Time { return d.now }
	}
	s, err := NewWith(o, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	d.Simulator = s
	return d
}

// request makes a request as a client should.
func request(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, prefix+path, strings.NewReader(body))
	r.Header.Set("x-api-key", "sandbox")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// call sends a request, a second after the last.
func (d *desk) call(method, path, body string) *httptest.ResponseRecorder {
	d.now = d.now.Add(time.Second)
	return d.serve(request(method, path, body))
}

func (d *desk) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

// create makes a contact and returns its id, as the ledger knows it.
func (d *desk) create(path, body string) string {
	d.t.Helper()
	if w := d.call("POST", path, body); w.Code != 200 {
		d.t.Fatalf("create %s: %d %s", body, w.Code, w.Body)
	}
	writes := d.Ledger().Writes
	return writes[len(writes)-1].ID
}

// kept is a contact as it is in the store.
func (d *desk) kept(id string) contact {
	d.t.Helper()
	one, err := find(d.Store, id)
	if err != nil {
		d.t.Fatalf("contact %s: %v", id, err)
	}
	return one
}

// set replaces the faults.
func (d *desk) set(text string) {
	d.t.Helper()
	if err := d.SetFaults(sandboxtest.Faults(d.t, text)); err != nil {
		d.t.Fatal(err)
	}
}

// failed checks the shape of an error, which is the same in both profiles.
func failed(t *testing.T, w *httptest.ResponseRecorder) failure {
	t.Helper()
	var f failure
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil || f.Error == "" || f.Message == "" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("error %d %+v, %v", w.Code, f, err)
	}
	return f
}

// find asks the legacy API who has a value.
func (d *desk) find(by, term string) *httptest.ResponseRecorder {
	return d.call("GET", "/contacts?"+url.Values{"searchby": {by}, "search": {term}}.Encode(), "")
}

// rule is a body that the API takes or refuses.
type rule struct {
	body   string
	status int
	says   string
}

func TestCreateRules(t *testing.T) {
	for _, c := range []rule{
		{`{"first_name":"Ada","email":"a@b.c"}`, 200, ""},
		{`{"first_name":"Ada","email":"a@b.c","last_name":"","company":"","phone":"","job_title":"","notes":""}`, 200, ""},
		{`{"first_name":"Ada","email":"a@b.c","phone":1234567890}`, 200, ""},
		{`{"first_name":"Ada","email":"a@b.c","phone":"+1 (234) 567"}`, 200, ""},
		{`{"first_name":"Ada"}`, 400, "email is required"},
		{`{"email":"a@b.c"}`, 400, "first_name is required"},
		{`{"first_name":" \t","email":"a@b.c"}`, 400, "first_name is required"},
		{`{"first_name":"Ada","email":"\u00a0"}`, 400, "email is required"},
		{`{}`, 400, "first_name is required"},
		{`{"first_name":"Ada","email":"a@b.c","id":"1"}`, 400, "id: a new contact has no such field"},
		{`{"first_name":"Ada","email":"a@b.c","firstName":"Ada"}`, 400, "firstName"},
		{`{"first_name":"Ada","email":"a@b.c","name":"Ada"}`, 400, "name"},
		{`{"first_name":"Ada","email":"a@b.c","user_id":"x"}`, 400, "user_id"},
		{`{"first_name":7,"email":"a@b.c"}`, 400, "first_name: want a string"},
		{`{"first_name":"Ada","email":null}`, 400, "email: want a string"},
		{`{"first_name":"Ada","email":"a@b.c","notes":null}`, 400, "notes: want a string"},
		{`{"first_name":"Ada","email":"a@b.c","notes":["x"]}`, 400, "notes: want a string"},
		{`{"first_name":"Ada","email":"a@b.c","phone":1.5}`, 400, "phone: want a string or a whole number"},
		{`{"first_name":"Ada","email":"a@b.c","phone":-1}`, 400, "phone: want a string or a whole number"},
		{`{"first_name":"Ada","email":"a@b.c","phone":1e9}`, 400, "phone: want a string or a whole number"},
		{`{"first_name":"Ada","email":"a@b.c","phone":99999999999999999999}`, 400, "phone"},
		{`{"first_name":"Ada","email":"a@b.c","phone":null}`, 400, "phone"},
		{`{"first_name":"Ada","email":"a@b.c"`, 400, "JSON"},
		{`{"first_name":"Ada","email":"a@b.c"} x`, 400, "JSON"},
		{`{"first_name":"Ada","first_name":"Bob","email":"a@b.c"}`, 400, "twice"},
		{`"Ada"`, 400, "not a JSON object"},
		{`[{"first_name":"Ada","email":"a@b.c"}]`, 400, "not a JSON object"},
		{"{\"first_name\":\"\xff\",\"email\":\"a@b.c\"}", 400, "UTF-8"},
		{``, 400, "application/json"},
		{`{"first_name":"Ada","email":"a@b.c","notes":"` + strings.Repeat("x", maxBody) + `"}`, 413, "too large"},
	} {
		d := newDesk(t, room.Options{}, Knobs{})
		w := d.call("POST", "/contacts", c.body)
		short := c.body[:min(len(c.body), 100)]
		if w.Code != c.status {
			t.Errorf("%s: %d %s", short, w.Code, w.Body)
		}
		made := 0
		if c.status == 200 {
			made = 1
		} else if f := failed(t, w); !strings.Contains(f.Message, c.says) {
			t.Errorf("%s: %+v, want %s", short, f, c.says)
		}
		if n := d.Store.Len(kindContacts); n != made || len(d.Ledger().Writes) != made || d.Store.Len(kindEmails) != made {
			t.Errorf("%s: made %d", short, n)
		}
	}
}

func TestEditRules(t *testing.T) {
	const id = "12345678901234567890"
	for _, c := range []struct {
		naming, body string
		status       int
		says         string // of a refusal
		want         func(*contact)
	}{
		{"", `{"contactID":"ID","updateFields":{"phone":"007"}}`, 200, "", func(c *contact) { c.Phone = "007" }},
		{"", `{"contact_id":"ID","update_fields":{"phone":7}}`, 200, "", func(c *contact) { c.Phone, c.PhoneNumber = "7", true }},
		{"", `{"contactID":"ID","update_fields":{"phone":""}}`, 200, "", func(c *contact) { c.Phone = "" }},
		{"", `{"contactID":"ID","updateFields":{"phone":"1"},"contact_id":"ID","update_fields":{"phone":"1"}}`, 200, "", func(c *contact) { c.Phone = "1" }},
		{"", `{"contactID":"ID","updateFields":{"phone":"1"},"contact_id":"2","update_fields":{"phone":"1"}}`, 400, "contactID and contact_id differ", nil},
		{"", `{"contactID":"ID","updateFields":{"phone":"1"},"update_fields":{"phone":"2"}}`, 400, "differ", nil},
		{"", `{"contactID":"ID","updateFields":{"name":"Ada"}}`, 200, "", func(c *contact) { c.FirstName, c.LastName = "Ada", "" }},
		{"", `{"contactID":"ID","updateFields":{"name":" Ada  King of Lovelace "}}`, 200, "", func(c *contact) { c.FirstName, c.LastName = "Ada", "King of Lovelace" }},
		{"", `{"contactID":"ID","updateFields":{"email":"New@x.y"}}`, 200, "", func(c *contact) { c.Email = "New@x.y" }},
		{"", `{"contactID":"ID","updateFields":{"name":" "}}`, 400, "first_name is required", nil},
		{"", `{"contactID":"ID","updateFields":{"email":""}}`, 400, "email is required", nil},
		{"", `{"contactID":"ID","updateFields":{"email":null}}`, 400, "email: want a string", nil},
		{"", `{"contactID":"ID","updateFields":{"company":"x"}}`, 400, "company: can't be changed; only name, email, phone can", nil},
		{"", `{"contactID":"ID","updateFields":{"phone":"1","first_name":"x"}}`, 400, "first_name", nil},
		{"", `{"contactID":"ID","updateFields":{}}`, 400, "nothing to change", nil},
		{"", `{"contactID":"ID","updateFields":"phone"}`, 400, "updateFields: want an object", nil},
		{"", `{"contactID":"ID","updateFields":null}`, 400, "updateFields: want an object", nil},
		{"", `{"contactID":"ID"}`, 400, "updateFields is required", nil},
		{"", `{"updateFields":{"phone":"1"}}`, 400, "contactID is required", nil},
		{"", `{"contactID":12345678901234567890,"updateFields":{"phone":"1"}}`, 400, "contactID: want a string", nil},
		{"", `{"contactID":"","updateFields":{"phone":"1"}}`, 400, "contactID: want a string", nil},
		{"", `{"contactID":"999","updateFields":{"phone":"1"}}`, 404, "999", nil},
		{"", `{"contactID":"ID","updateFields":{"phone":"1"},"first_name":"x","email":"a@b.c"}`, 400, "first_name", nil},
		{namingCamel, `{"contactID":"ID","updateFields":{"phone":"1"}}`, 200, "", func(c *contact) { c.Phone = "1" }},
		{namingCamel, `{"contact_id":"ID","update_fields":{"phone":"1"}}`, 400, "contactID is required", nil},
		{namingCamel, `{"contactID":"ID","update_fields":{"phone":"1"}}`, 400, "updateFields is required", nil},
		{namingCamel, `{"contactID":"ID","updateFields":{"phone":"1"},"contact_id":"ID","update_fields":{"phone":"1"}}`, 200, "", func(c *contact) { c.Phone = "1" }},
		{namingSnake, `{"contact_id":"ID","update_fields":{"phone":"1"}}`, 200, "", func(c *contact) { c.Phone = "1" }},
		{namingSnake, `{"contactID":"ID","updateFields":{"phone":"1"}}`, 400, "contact_id is required", nil},
	} {
		for _, path := range []string{"/contacts", "/contacts/edit"} {
			d := newDesk(t, room.Options{}, Knobs{EditNaming: c.naming})
			keep(t, d.Simulator, `{"id":"`+id+`","first_name":"John","last_name":"Doe","email":"johndoe@example.com","phone":"+1","company":"c","tags":[]}`)
			want := d.kept(id)
			body := strings.ReplaceAll(c.body, `"ID"`, `"`+id+`"`)
			w := d.call("POST", path, body)
			if w.Code != c.status {
				t.Errorf("%s %s: %d %s", path, body, w.Code, w.Body)
			}
			if c.want != nil {
				c.want(&want)
				if w.Body.String() != `{"id":"`+id+`"}` {
					t.Errorf("%s: %s", body, w.Body)
				}
			} else if f := failed(t, w); !strings.Contains(f.Message, c.says) {
				t.Errorf("%s: %+v, want %s", body, f, c.says)
			}
			if diff := cmp.Diff(want, d.kept(id)); diff != "" || d.Store.Len(kindContacts) != 1 {
				t.Errorf("%s:\n%s", body, diff)
			}
			if n := len(d.Ledger().Writes); (n == 1) != (c.status == 200) {
				t.Errorf("%s: %d writes", body, n)
			}
			if got := d.find("email", want.Email).Body.String(); got != `{"id":"`+id+`"}` || d.Store.Len(kindEmails) != 1 {
				t.Errorf("%s: the address finds %s", body, got)
			}
		}
	}
}

func TestLegacySearch(t *testing.T) {
	d := newDesk(t, room.Options{Dir: t.TempDir()}, Knobs{})
	ids := map[string]string{
		"a": d.create("/contacts", `{"first_name":"Zoë","last_name":"Doe","email":"A@Example.com","phone":1234567890,"company":"Example Inc.","job_title":"CEO","notes":"x & \"y\""}`),
		"b": d.create("/contacts", `{"first_name":"Bob","last_name":"Doe","email":"b@example.com","phone":"+1234567890","company":"example inc."}`),
		"c": d.create("/v2/contacts", `{"first_name":"Cy","email":"c@example.com","company":"Example Inc. 2"}`),
	}
	for _, c := range []struct{ by, term, want string }{
		{"company", "Example Inc.", "ab"}, {"company", "EXAMPLE INC.", "ab"}, {"company", "Example", ""}, {"company", "Example Inc. 2", "c"},
		{"email", "a@example.com", "a"}, {"email", "A@EXAMPLE.COM", "a"}, {"email", "example.com", ""}, {"email", " a@example.com", ""},
		{"first_name", "zoë", "a"}, {"first_name", "ZOË", "a"}, {"first_name", "zoe", ""}, {"last_name", "doe", "ab"},
		{"phone", "1234567890", "a"}, {"phone", "+1234567890", "b"}, {"job_title", "ceo", "a"}, {"notes", `x & "y"`, "a"},
		{"id", "{a}", "a"}, {"id", "{c}", "c"}, {"id", "{C}", "c"}, {"id", "0", ""},
	} {
		for name, id := range ids {
			c.term = strings.NewReplacer("{"+name+"}", id, "{"+strings.ToUpper(name)+"}", strings.ToUpper(id)).Replace(c.term)
		}
		want := "{}"
		if len(c.want) == 1 {
			want = `{"id":"` + ids[c.want] + `"}`
		} else if len(c.want) > 1 {
			var list []string
			for _, n := range c.want {
				list = append(list, `{"id":"`+ids[string(n)]+`"}`)
			}
			want = "[" + strings.Join(list, ",") + "]"
		}
		body, err := room.Marshal(map[string]string{"searchby": c.by, "search": c.term})
		if err != nil {
			t.Fatal(err)
		}
		byQuery, byBody := d.find(c.by, c.term), d.call("GET", "/contacts", string(body))
		if byQuery.Code != 200 || byQuery.Body.String() != want {
			t.Errorf("%s %s: %d %s, want %s", c.by, c.term, byQuery.Code, byQuery.Body, want)
		}
		if byBody.Code != 200 || byBody.Body.String() != want {
			t.Errorf("%s %s in the body: %d %s", c.by, c.term, byBody.Code, byBody.Body)
		}
	}
	// The query comes first.
	if w := d.call("GET", "/contacts?searchby=first_name&search=bob", `{"searchby":"first_name","search":"cy"}`); w.Body.String() != `{"id":"`+ids["b"]+`"}` {
		t.Errorf("query and body: %s", w.Body)
	}
	for _, c := range []struct{ query, body, says string }{
		{"", "", "searchby is required"},
		{"?searchby=email", "", "search is required"},
		{"?searchby=email&search=", "", "search is required"},
		{"?search=x", "", "searchby is required"},
		{"?searchby=name&search=x", "", `"name" is none of first_name, email,`},
		{"?searchby=Email&search=x", "", "none of"},
		{"?searchby=owner&search=x", "", "none of"},
		{"?searchby=email&search=x&limit=3", "", "limit"},
		{"?searchby=email&search=x&search=y", "", "twice"},
		{"?searchby=email&search=%zz", "", "query"},
		{"", `{"searchby":"email"}`, "search is required"},
		{"", `{"searchby":"phone","search":1234567890}`, "search: want a string"},
		{"", `{"searchby":"email","search":"x","limit":3}`, "limit"},
		{"", `["email"]`, "not a JSON object"},
	} {
		w := d.call("GET", "/contacts"+c.query, c.body)
		if f := failed(t, w); w.Code != 400 || !strings.Contains(f.Message, c.says) {
			t.Errorf("%s %s: %d %+v", c.query, c.body, w.Code, f)
		}
	}
	if len(d.Ledger().Writes) != 3 {
		t.Error("a search is no write")
	}
}

func TestDeleteRules(t *testing.T) {
	const id = "12345678901234567890"
	for _, c := range []struct {
		by, path, body string
		status         int
		says           string
	}{
		{"", "/contacts", `{"contact_id":"` + id + `"}`, 200, ""},
		{"", "/contacts?contact_id=" + id, "", 200, ""},
		{"", "/contacts?id=" + id, "", 200, ""},
		{"", "/contacts?contact_id=" + id, `{"contact_id":"` + id + `"}`, 200, ""},
		{"", "/contacts?contact_id=2", `{"contact_id":"` + id + `"}`, 400, "two contacts"},
		{"", "/contacts?contact_id=2&id=" + id, "", 400, "two contacts"},
		{"", "/contacts", "", 400, "contact_id is required"},
		{"", "/contacts", `{}`, 400, "contact_id is required"},
		{"", "/contacts", `{"contact_id":""}`, 400, "contact_id is required"},
		{"", "/contacts", `{"contact_id":12345678901234567890}`, 400, "want a string"},
		{"", "/contacts", `{"contactID":"` + id + `"}`, 400, "contact_id alone"},
		{"", "/contacts", `{"contact_id":"` + id + `","all":true}`, 400, "contact_id alone"},
		{"", "/contacts", `["` + id + `"]`, 400, "not a JSON object"},
		{"", "/contacts", `{"contact_id":"2"}`, 404, "id 2"},
		{"", "/contacts/" + id, "", 405, ""},
		{"path", "/contacts/" + id, "", 200, ""},
		{"path", "/contacts/2", "", 404, "id 2"},
		{"path", "/contacts", `{"contact_id":"` + id + `"}`, 400, "contact_id is required"},
		{"body", "/contacts", `{"contact_id":"` + id + `"}`, 200, ""},
		{"body", "/contacts?contact_id=" + id, "", 400, "contact_id is required"},
		{"query", "/contacts?contact_id=" + id, "", 200, ""},
		{"query", "/contacts", `{"contact_id":"` + id + `"}`, 400, "contact_id is required"},
		{"body,query,path", "/contacts/" + id, "", 200, ""},
	} {
		d := newDesk(t, room.Options{}, Knobs{DeleteBy: c.by})
		keep(t, d.Simulator, `{"id":"`+id+`","first_name":"John","email":"johndoe@example.com"}`, `{"id":"3","first_name":"Jane","email":"JohnDoe@example.com"}`)
		w := d.call("DELETE", c.path, c.body)
		left := 2
		switch {
		case w.Code != c.status:
			t.Errorf("%s %s: %d %s", c.path, c.body, w.Code, w.Body)
		case c.status == 200:
			left = 1
			if w.Body.String() != "Document deleted successfully" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
				t.Errorf("%s: says %s", c.path, w.Body)
			}
			if got := d.find("email", "johndoe@example.com").Body.String(); got != `{"id":"3"}` {
				t.Errorf("%s: then finds %s", c.path, got)
			}
			if w := d.Ledger().Writes[0]; w.Method != "DELETE" || w.ID != id || w.Path != strings.Split(c.path, "?")[0] {
				t.Errorf("%s: ledger %+v", c.path, w)
			}
		default:
			if f := failed(t, w); !strings.Contains(f.Message, c.says) {
				t.Errorf("%s %s: %+v", c.path, c.body, f)
			}
		}
		if n := d.Store.Len(kindContacts); n != left {
			t.Errorf("%s %s: %d contacts left", c.path, c.body, n)
		}
	}
}

func TestPathsAndMethods(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	for _, c := range []struct {
		path  string
		known bool
		allow string
	}{
		{"/contacts", true, "DELETE, GET, POST"},
		{"/contacts/edit", true, "POST"},
		{"/contacts/123", true, ""},
		{"/v2/contacts", true, "PATCH, POST"},
		{"/v2/contacts/search", true, "GET"},
		{"/v2/contacts/123", true, ""},
		{"/contacts/", false, ""},
		{"/contacts/1/2", false, ""},
		{"/v1/contacts", false, ""},
		{"/v2/contacts/search/x", false, ""},
		{"/pipeline", false, ""},
		{"", false, ""},
		{"/", false, ""},
		{"//contacts", false, ""},
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			if strings.Contains(c.allow, method) {
				continue
			}
			want := 404
			if c.known {
				want = 405
			}
			w := d.call(method, c.path, "")
			if w.Code != want || w.Header().Get("Allow") != c.allow {
				t.Errorf("%s %s: %d, Allow %q", method, c.path, w.Code, w.Header().Get("Allow"))
			}
		}
	}
	for _, path := range []string{"/contacts", "/apicontacts", "/v2/contacts"} {
		if w := d.serve(httptest.NewRequest("GET", path, nil)); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestKey(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	try := func(header, key string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", prefix+"/v2/contacts/search", nil)
		if header != "" {
			r.Header.Set(header, key)
		}
		return d.serve(r)
	}
	for _, c := range []struct {
		header, key string
		want        int
	}{
		{"x-api-key", "sandbox", 200}, {"X-API-KEY", "sandbox", 200},
		{"", "", 401}, {"x-api-key", "", 401}, {"x-api-key", "Sandbox", 401}, {"Authorization", "Bearer sandbox", 401},
	} {
		d.now = d.now.Add(time.Second)
		w := try(c.header, c.key)
		if w.Code != c.want {
			t.Errorf("%s %s: %d", c.header, c.key, w.Code)
		}
		if c.want == 401 {
			if f := failed(t, w); f.Error != "unauthorized" || strings.Contains(f.Message, "sandbox") {
				t.Errorf("%+v", f)
			}
		}
	}
	r := request("GET", "/v2/contacts/search", "")
	r.Header.Add("x-api-key", "other")
	if w := d.serve(r); w.Code != 401 {
		t.Errorf("two keys: %d", w.Code)
	}
	d.set("set key_status=403")
	if w := try("x-api-key", "wrong"); w.Code != 403 || failed(t, w).Error != "forbidden" {
		t.Errorf("key_status=403: %d", w.Code)
	}
	own := newDesk(t, room.Options{}, Knobs{APIKey: "own"})
	if w := own.call("GET", "/v2/contacts/search", ""); w.Code != 401 {
		t.Errorf("another key: %d", w.Code)
	}
}

func TestContentType(t *testing.T) {
	for contentType, want := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, "Application/JSON": 200,
		"": 400, "text/plain": 400, "application/x-www-form-urlencoded": 400, "application/jsonx": 400,
	} {
		for _, path := range []string{"/contacts", "/v2/contacts"} {
			d := newDesk(t, room.Options{}, Knobs{})
			r := request("POST", path, `{"first_name":"Ada","email":"a@b.c"}`)
			r.Header.Set("Content-Type", contentType)
			if w := d.serve(r); w.Code != want {
				t.Errorf("%s %q: %d, want %d", path, contentType, w.Code, want)
			}
		}
	}
}

// TestText carries what spreadsheets break: it comes back as it was sent.
func TestText(t *testing.T) {
	d := newDesk(t, room.Options{Dir: t.TempDir()}, Knobs{SearchAnswer: shapeFull})
	body := `{"first_name":"Zoë \"Z\" <O'Brien> & 王 😀","email":" Odd One@example.com\t","phone":"+00432","notes":"a\nb\tc\\d\u2028\u0000","company":"12345678901234567890","job_title":" x "}`
	id := d.create("/contacts", body)
	var found []contact
	if err := json.Unmarshal(d.find("email", " Odd One@example.com\t").Body.Bytes(), &found); err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	got := found[0]
	if got.ID != id || got.FirstName != `Zoë "Z" <O'Brien> & 王 😀` || got.Email != " Odd One@example.com\t" || got.Phone != "+00432" || got.Notes != "a\nb\tc\\d\u2028\x00" ||
		got.Company != "12345678901234567890" || got.JobTitle != " x " || got.LastName != "" || got.CreatedAt != "2026-11-22T10:00:01Z" {
		t.Errorf("got %+v", got)
	}
	if w := d.Ledger().Writes[0]; w.Method != "POST" || w.Path != "/contacts" || w.ID != id || w.Body != room.NewWritten(time.Time{}, "", "", []byte(body)).Body || !w.Time.Equal(d.now.Add(-time.Second)) {
		t.Errorf("ledger %+v", w)
	}
}

func TestSettings(t *testing.T) {
	sim, err := New(room.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sim.Close() }()
	want := map[string]string{"base_url": "http://127.0.0.1:4711/lunarsend/api", "api_key": "sandbox"}
	if diff := cmp.Diff(want, sim.Settings("http://127.0.0.1:4711/lunarsend")); diff != "" {
		t.Error(diff)
	}
}
