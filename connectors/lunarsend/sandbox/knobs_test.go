package sandbox

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
)

// TestShapes sets each setting that is about an answer's form by a rule, and wants the answer. The account has a and b
// with one company, a with a number as phone.
func TestShapes(t *testing.T) {
	const a = `{"email":"a@x.y","phone":"7","company":"c","created_at":"1970-01-01T00:00:00Z","id":"1",` +
		`"user_id":"7b1f0f5e-3c56-4b7e-9a53-0d4b3d0c9a11","owner":"Sandbox Owner","last_activity":null,"last_name":null,"job_title":null,"notes":null,"first_name":"a"}`
	b := strings.NewReplacer(`"a@x.y"`, `"b@x.y"`, `"phone":"7"`, `"phone":null`, `"1"`, `"2"`, `"first_name":"a"`, `"first_name":"b"`).Replace(a)
	const one, two, none = "GET /contacts?searchby=email&search=a@x.y", "GET /contacts?searchby=company&search=C", "GET /contacts?searchby=email&search=z"
	const edit = `POST /contacts {"contactID":"1","updateFields":{"phone":7}}`
	const remove = `DELETE /contacts {"contact_id":"1"}`
	v2 := func(body string) string { return "POST /v2/contacts " + body }
	const taken = `{"first_name":"z","email":"A@x.y"}`
	const says = "email: there is a contact with A@x.y already"
	patch := `PATCH /v2/contacts {"id":"1","phone":"7"}`
	for _, c := range []struct {
		set, call string
		status    int
		want      string
	}{
		{"", one, 200, `{"id":"1"}`},
		{"", two, 200, `[{"id":"1"},{"id":"2"}]`},
		{"", none, 200, `{}`},
		{"search_answer=first_id", two, 200, `{"id":"1"}`},
		{"search_answer=first_id", none, 200, `{}`},
		{"search_answer=array", one, 200, `[{"id":"1"}]`},
		{"search_answer=array", none, 200, `[]`},
		{"search_answer=full", two, 200, "[" + a + "," + b + "]"},
		{"search_answer=full", none, 200, `[]`},
		{"search_answer=data", one, 200, `{"data":[` + a + `]}`},
		{"search_answer=data", none, 200, `{"data":[]}`},
		{"no_match=empty_object search_answer=full", none, 200, `{}`},
		{"no_match=empty_array", none, 200, `[]`},
		{"no_match=null", none, 200, `null`},
		{"no_match=404", none, 404, `{"error":"not_found","message":"there is no contact with email z"}`},
		{"no_match=404", one, 200, `{"id":"1"}`},
		{"search_match=contains", "GET /contacts?searchby=email&search=@X", 200, `[{"id":"1"},{"id":"2"}]`},
		{"search_match=contains", "GET /contacts?searchby=id&search=2", 200, `{"id":"2"}`},
		{"empty=string search_answer=full", one, 200, "[" + strings.ReplaceAll(a, "null", `""`) + "]"},
		{"phone_answer=as_sent search_answer=full", two, 200, "[" + strings.Replace(a, `"7"`, "7", 1) + "," + b + "]"},
		{"", edit, 200, `{"id":"1"}`},
		{"answer=array", edit, 200, `[{"id":"1"}]`},
		{"answer=full", edit, 200, "[" + a + "]"},
		{"answer=data", edit, 200, `{"data":{"id":"1"}}`},
		{"", remove, 200, "Document deleted successfully"},
		{"delete_answer=json_string", remove, 200, `"Document deleted successfully"`},
		{"delete_answer=object", remove, 200, `{"message":"Document deleted successfully"}`},
		{"drop_delete_bodies=on", remove, 400, `{"error":"bad_request","message":"contact_id is required"}`},
		{"drop_delete_bodies=on", "DELETE /contacts?contact_id=1", 200, "Document deleted successfully"},
		{"drop_delete_bodies=on v2_delete=body", `DELETE /v2/contacts {"id":"1"}`, 400, `{"error":"bad_request","message":"id is required"}`},
		{"ignore_get_bodies=on", `GET /contacts {"searchby":"email","search":"a@x.y"}`, 400, `{"error":"bad_request","message":"searchby is required"}`},
		{"ignore_get_bodies=on", one, 200, `{"id":"1"}`},
		{"edit_at=shared", edit, 200, `{"id":"1"}`},
		{"edit_at=shared", strings.Replace(edit, "/contacts", "/contacts/edit", 1), 405, `{"error":"method_not_allowed","message":"this path does not take POST"}`},
		{"edit_at=own", strings.Replace(edit, "/contacts", "/contacts/edit", 1), 200, `{"id":"1"}`},
		{"edit_at=own", edit, 400, `{"error":"bad_request","message":"contactID: a new contact has no such field"}`},
		{"edit_at=own strict=off", edit, 400, `{"error":"bad_request","message":"first_name is required"}`},
		{"edit_naming=snake", edit, 400, `{"error":"bad_request","message":"contact_id is required"}`},
		{"edit_fields=email,notes", edit, 400, `{"error":"bad_request","message":"phone: can't be changed; only email, notes can"}`},
		{"edit_fields=email,notes answer=full", `POST /contacts {"contactID":"1","updateFields":{"notes":"n"}}`, 200, "[" + strings.Replace(a, `"notes":null`, `"notes":"n"`, 1) + "]"},
		{"duplicates=400", `POST /contacts {"contactID":"1","updateFields":{"email":"B@x.y"}}`, 400, `{"error":"duplicate_email","message":"email: there is a contact with B@x.y already"}`},
		{"duplicates=400", "POST /contacts " + taken, 400, `{"error":"duplicate_email","message":"` + says + `"}`},
		{"duplicates=400 v2_duplicate_status=409", "POST /contacts " + taken, 400, `{"error":"duplicate_email","message":"` + says + `"}`},
		{"legacy_arrays=on", `POST /contacts [{"first_name":"z","email":"z@x.y"},{"first_name":"z"}]`, 400, `{"error":"bad_request","message":"contact 2: email is required"}`},
		{"legacy_arrays=on duplicates=400", `POST /contacts [{"first_name":"z","email":"z@x.y"},{"first_name":"z","email":"Z@x.y"}]`, 400, `{"error":"duplicate_email","message":"email: there is a contact with Z@x.y already"}`},
		{"", v2(taken), 400, `{"error":"duplicate_email","message":"` + says + `"}`},
		{"v2_duplicate_status=409", v2(taken), 409, `{"error":"duplicate_email","message":"` + says + `"}`},
		{"v2_errors=entries", v2(taken), 200, `[{"status":"error","error":"` + says + `","data":` + taken + `}]`},
		{"v2_errors=entries", v2("{"), 400, `{"error":"bad_request","message":"the body is not valid JSON: it ends too early"}`},
		{"v2_errors=entries", `PATCH /v2/contacts {"id":"9","phone":"7"}`, 200, `[{"success":false,"error":"there is no contact with id 9","data":{"id":"9","phone":"7"}}]`},
		{"v2_errors=status", v2(`[{"first_name":"z","email":"z@x.y"},` + taken + `]`), 400, `{"error":"duplicate_email","message":"` + says + `"}`},
		{"v2_errors=status", v2(`[{"first_name":"z","email":"z@x.y"},{"email":"y@x.y"}]`), 400, `{"error":"bad_request","message":"first_name is required"}`},
		{"v2_form=success", v2("[" + taken + "]"), 200, `[{"success":false,"error":"` + says + `","data":` + taken + `}]`},
		{"", patch, 200, `[{"success":true,"data":` + a + `}]`},
		{"v2_form=status", patch, 200, `[{"status":"success","data":` + a + `}]`},
		{"v2_empty_search=none", "GET /v2/contacts/search?search_term=", 200, `{"data":[]}`},
		{"", `DELETE /v2/contacts {"id":"1"}`, 405, `{"error":"method_not_allowed","message":"this path does not take DELETE"}`},
		{"v2_delete=body", `DELETE /v2/contacts {"id":"1"}`, 200, `[{"success":true,"data":{"id":"1"}}]`},
		{"v2_delete=body", `DELETE /v2/contacts {"id":"1","x":1}`, 400, `{"error":"bad_request","message":"x: a delete has id alone"}`},
		{"v2_delete=body", `DELETE /v2/contacts {"id":1}`, 400, `{"error":"bad_request","message":"id: want a string"}`},
		{"v2_delete=body", "DELETE /v2/contacts?id=1", 400, `{"error":"bad_request","message":"id is required"}`},
		{"v2_delete=query", "DELETE /v2/contacts?id=1", 200, `[{"success":true,"data":{"id":"1"}}]`},
		{"v2_delete=path", "DELETE /v2/contacts/1", 200, `[{"success":true,"data":{"id":"1"}}]`},
		{"v2_delete=path", "DELETE /v2/contacts/9", 404, `{"error":"not_found","message":"there is no contact with id 9"}`},
		{"v2_delete=path", `DELETE /v2/contacts {"id":"1"}`, 405, `{"error":"method_not_allowed","message":"this path does not take DELETE"}`},
	} {
		d := newDesk(t, room.Options{}, Knobs{})
		keep(t, d.Simulator, `{"id":"1","first_name":"a","email":"a@x.y","company":"c","phone":"7","phone_number":true}`, `{"id":"2","first_name":"b","email":"b@x.y","company":"C"}`)
		if c.set != "" {
			d.set("set " + c.set)
		}
		method, rest, _ := strings.Cut(c.call, " ")
		path, body, _ := strings.Cut(rest, " ")
		w := d.call(method, path, body)
		want := c.want
		if strings.Contains(c.set, "search_answer") {
			want = strings.Replace(want, `"company":"c","created_at":"1970-01-01T00:00:00Z","id":"2"`, `"company":"C","created_at":"1970-01-01T00:00:00Z","id":"2"`, 1)
		}
		if w.Code != c.status || w.Body.String() != want {
			t.Errorf("set %s: %s:\n%d %s, want\n%d %s", c.set, c.call, w.Code, w.Body, c.status, want)
		}
		wrote := c.status == 200 && method != "GET" && !strings.Contains(c.want, says) && !strings.Contains(c.want, `"error"`)
		if (len(d.Ledger().Writes) == 1) != wrote {
			t.Errorf("set %s: %s: %d writes", c.set, c.call, len(d.Ledger().Writes))
		}
	}
}

// TestOtherKnobs are those that a single answer does not show.
func TestOtherKnobs(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	const ada = `{"first_name":"Ada","email":"a@b.c"}`
	d.set("set create_status=201 othervendor.colour=none")
	for _, path := range []string{"/contacts", "/v2/contacts"} {
		if w := d.call("POST", path, strings.Replace(ada, "a@", path[1:3]+"@", 1)); w.Code != 201 {
			t.Errorf("create_status=201: %d %s", w.Code, w.Body)
		}
	}
	// Without a rule the legacy API takes an address twice, and both are found.
	d.set("")
	first, second := d.create("/contacts", ada), d.create("/contacts", strings.Replace(ada, "a@b.c", "A@B.C", 1))
	if got := d.find("email", "a@b.c").Body.String(); got != `[{"id":"`+first+`"},{"id":"`+second+`"}]` {
		t.Errorf("twice: %s", got)
	}
	if w := d.call("DELETE", "/contacts", `{"contact_id":"`+first+`"}`); w.Code != 200 || d.find("email", "a@b.c").Body.String() != `{"id":"`+second+`"}` {
		t.Errorf("one of two deleted: %d", w.Code)
	}
	d.set("set lunarsend.strict=off")
	id := d.create("/contacts", `{"first_name":"Bea","email":"bea@b.c","company":null,"shoe":9}`)
	if w := d.call("POST", "/contacts", `{"contactID":"`+id+`","updateFields":{"company":"x","phone":null},"shoe":9}`); w.Code != 200 || d.kept(id).Company != "" {
		t.Errorf("strict=off: %d %s, %+v", w.Code, w.Body, d.kept(id))
	}
	for _, call := range []string{"GET /contacts?searchby=email&search=bea@b.c&x=1", "GET /v2/contacts/search?x=1", `PATCH /v2/contacts {"id":"` + id + `","shoe":9}`,
		`GET /contacts {"searchby":"email","search":"bea@b.c","x":1}`, `DELETE /contacts {"contact_id":"` + id + `","x":1}`} {
		method, rest, _ := strings.Cut(call, " ")
		path, body, _ := strings.Cut(rest, " ")
		if w := d.call(method, path, body); w.Code != 200 {
			t.Errorf("strict=off: %s: %d %s", call, w.Code, w.Body)
		}
	}
	d.set("set legacy_arrays=on")
	before := len(d.Ledger().Writes)
	if w := d.call("POST", "/contacts", `[{"first_name":"x","email":"x@b.c"},{"first_name":"y","email":"y@b.c"}]`); w.Code != 200 || len(d.Ledger().Writes) != before+2 ||
		w.Body.String() != `[{"id":"`+d.Ledger().Writes[before].ID+`"},{"id":"`+d.Ledger().Writes[before+1].ID+`"}]` {
		t.Errorf("legacy_arrays=on: %d %s", w.Code, w.Body)
	}

	pages := newDesk(t, room.Options{Seed: 7}, Knobs{MaxQueryAmount: 5})
	page := func(n string) string {
		return pages.call("GET", "/v2/contacts/search?query_amount=9&page="+n, "").Body.String()
	}
	if a, b := page("0"), page("1"); strings.Count(a, "contact_id") != 5 || strings.Count(b, "contact_id") != 2 {
		t.Errorf("max_query_amount: %s %s", a, b)
	}
	pages.set("set v2_first_page=1 max_query_amount=4")
	if page("0") != page("1") || strings.Count(page("1"), "contact_id") != 4 || strings.Count(page("2"), "contact_id") != 3 {
		t.Errorf("v2_first_page=1: %s %s", page("0"), page("2"))
	}
}

func TestKnobErrors(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	for text, want := range map[string]string{
		"set answer=xml":            "set answer=xml: want one of",
		"set colour=red":            `has no setting "colour"; it has answer, create_status,`,
		"set rate=-1":               "want a whole number",
		"set window=1":              "want a duration",
		"set window=0s":             "want a duration",
		"set create_status=404":     "want one of",
		"set key_status=x":          "want one of",
		"set limit_body=xml":        "want one of",
		"set strict=yes":            "want one of",
		"set limit_retry_after=2":   "want one of",
		"set edit_fields=name,shoe": "want some of",
		"set edit_fields=":          "want some of",
		"set delete_by=mail":        "want some of",
		"set max_query_amount=0":    "want a whole number",
	} {
		f := sandboxtest.Faults(t, text)
		if err := d.SetFaults(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := NewWith(room.Options{Faults: f}, Knobs{}); err == nil {
			t.Errorf("%s: New took it", text)
		}
	}
	for _, k := range []Knobs{{Answer: "x"}, {KeyStatus: 404}, {Window: -1}, {MaxQueryAmount: -1}, {EditFields: "shoe"}, {DeleteBy: "x"}, {V2FirstPage: 2}} {
		if _, err := NewWith(room.Options{}, k); err == nil {
			t.Errorf("%+v: New took it", k)
		}
	}
}

func TestRate(t *testing.T) {
	const body = `{"error":"rate_limit_exceeded","message":"Rate limit exceeded"}`
	for _, c := range []struct {
		set    string
		status int
		retry  string
		typ    string
		body   string
	}{
		{"rate=2", 429, "", "application/json", body},
		{"limit_status=500 limit_retry_after=seconds", 500, "1", "application/json", body},
		{"limit_retry_after=date limit_body=html", 429, "Sun, 22 Nov 2026 10:01:02 GMT", "text/html; charset=utf-8", "<!DOCTYPE html>"},
		{"limit_body=empty", 429, "", "", ""},
	} {
		d := newDesk(t, room.Options{}, Knobs{})
		d.set("set " + c.set)
		d.now = d.now.Add(time.Minute)
		begin := d.now
		call := func(after time.Duration, path string) *httptest.ResponseRecorder {
			d.now = begin.Add(after)
			return d.serve(request("POST", path, `{"first_name":"Ada","email":"`+after.String()+`@b.c"}`))
		}
		for i, path := range []string{"/contacts", "/v2/contacts"} {
			if w := call(time.Duration(i)*100*time.Millisecond, path); w.Code != 200 {
				t.Fatalf("request %d: %d", i, w.Code)
			}
		}
		// Others' requests are no reason to refuse this key's.
		stranger := request("GET", "/contacts", "")
		stranger.Header.Set("x-api-key", "other")
		for range 5 {
			if w := d.serve(stranger); w.Code != 401 {
				t.Fatalf("stranger: %d", w.Code)
			}
		}
		w := call(500*time.Millisecond, "/contacts")
		if w.Code != c.status || w.Header().Get("Retry-After") != c.retry || w.Header().Get("Content-Type") != c.typ || !strings.HasPrefix(w.Body.String(), c.body) || (c.body == "") != (w.Body.Len() == 0) {
			t.Errorf("%s: %d %v %s", c.set, w.Code, w.Header(), w.Body)
		}
		if w := call(1099*time.Millisecond, "/v2/contacts"); w.Code != c.status {
			t.Errorf("100, 500 and 1099 ms are three in a second: %d", w.Code)
		}
		if w := call(1500*time.Millisecond, "/contacts"); w.Code != 200 {
			t.Errorf("1099 and 1500 ms: %d", w.Code)
		}
		l := d.Ledger()
		if l.MaxPerSecond != 8 || l.Count("POST", "/contacts", c.status) != 1 || l.Count("POST", "/v2/contacts", c.status) != 1 || l.Count("POST", "/contacts", 200) != 2 || len(l.Writes) != 3 {
			t.Errorf("ledger %+v", l)
		}
	}
	free := newDesk(t, room.Options{}, Knobs{Rate: -1})
	for range 20 {
		if w := free.serve(request("GET", "/v2/contacts/search", "")); w.Code != 200 {
			t.Errorf("no limit: %d", w.Code)
		}
	}
	free.set("set rate=1 window=1h limit_retry_after=seconds")
	free.call("GET", "/v2/contacts/search", "")
	if w := free.call("GET", "/v2/contacts/search", ""); w.Code != 429 || w.Header().Get("Retry-After") != "3600" {
		t.Errorf("rate=1 window=1h: %d %v", w.Code, w.Header())
	}
}
