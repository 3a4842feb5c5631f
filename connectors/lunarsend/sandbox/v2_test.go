package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/google/go-cmp/cmp"
)

func TestV2CreateRules(t *testing.T) {
	for _, c := range []rule{
		{`{"first_name":"Ada","email":"a@b.c"}`, 200, ""},
		{`{"data":{"first_name":"Ada","email":"a@b.c","user_id":"u-1","phone":7}}`, 200, ""},
		{`{"first_name":"Ada","email":"TAKEN@example.com"}`, 400, "TAKEN@example.com already"},
		{`{"first_name":"Ada"}`, 400, "email is required"},
		{`{"data":{"email":"a@b.c"}}`, 400, "first_name is required"},
		{`{"data":{"first_name":"Ada","email":"a@b.c"},"notes":"x"}`, 400, "notes: stands beside data"},
		{`{"data":[{"first_name":"Ada","email":"a@b.c"}]}`, 400, "data: want an object"},
		{`{"data":null}`, 400, "data: want an object"},
		{`{"first_name":"Ada","email":"a@b.c","id":"x"}`, 400, "id"},
		{`{"first_name":"Ada","email":"a@b.c","owner":"x"}`, 400, "owner"},
		{`{"first_name":"Ada","email":"a@b.c","tags":[]}`, 400, "tags"},
		{`{"first_name":"Ada","email":"a@b.c","company":null}`, 400, "company: want a string"},
		{`[]`, 400, "empty"},
		{`[{"first_name":"Ada","email":"a@b.c"}`, 400, "JSON"},
		{`[{"first_name":"Ada","email":"a@b.c"}] x`, 400, "JSON"},
		{`{"first_name":"Ada","email":"a@b.c"`, 400, "JSON"},
		{`7`, 400, "not a JSON object"},
		{``, 400, "application/json"},
	} {
		d := newDesk(t, room.Options{}, Knobs{})
		keep(t, d.Simulator, `{"id":"1","first_name":"Old","email":"taken@example.com"}`)
		w := d.call("POST", "/v2/contacts", c.body)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.body, w.Code, w.Body)
		}
		made := 0
		if c.status == 200 {
			made = 1
		} else if f := failed(t, w); !strings.Contains(f.Message, c.says) {
			t.Errorf("%s: %+v, want %s", c.body, f, c.says)
		}
		if n := d.Store.Len(kindContacts); n != 1+made || len(d.Ledger().Writes) != made {
			t.Errorf("%s: made %d", c.body, n)
		}
	}
}

// TestV2Array has an outcome for each contact, and a line of the ledger for each that was made.
func TestV2Array(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	w := d.call("POST", "/v2/contacts", ` [{"first_name":"a","email":"a@b.c"},7,{"first_name":"b","email":"A@b.c"},{"data":{"first_name":"c","email":"c@b.c","user_id":"u-1"}},{"first_name":"d","first_name":"d"}]`)
	var got []struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || len(got) != 5 {
		t.Fatalf("%d %s, %v", w.Code, w.Body, err)
	}
	writes := d.Ledger().Writes
	for i, want := range []struct{ status, says, data string }{
		{"success", "", `"first_name":"a"`}, {"error", "not a JSON object", "7"}, {"error", "already", `{"first_name":"b","email":"A@b.c"}`},
		{"success", "", `"user_id":"u-1","owner":null`}, {"error", "twice", `"first_name":"d"`},
	} {
		if got[i].Status != want.status || !strings.Contains(got[i].Error, want.says) || !strings.Contains(string(got[i].Data), want.data) {
			t.Errorf("entry %d: %+v", i, got[i])
		}
	}
	if len(writes) != 2 || d.Store.Len(kindContacts) != 2 || !strings.Contains(string(got[0].Data), writes[0].ID) || !strings.Contains(string(got[3].Data), writes[1].ID) ||
		writes[0].Body != writes[1].Body {
		t.Errorf("writes %+v", writes)
	}
}

func TestV2PatchRules(t *testing.T) {
	const id = "0f0e3f4a-0d6e-4b5c-8a51-0c4f7d2b9e10"
	for _, c := range []struct {
		body   string
		status int
		says   string
		want   func(*contact)
	}{
		{`{"id":"ID","first_name":"Ada","last_name":"King","company":"","notes":"n","job_title":"j"}`, 200, "", func(c *contact) {
			c.FirstName, c.LastName, c.Company, c.Notes, c.JobTitle = "Ada", "King", "", "n", "j"
		}},
		{`{"id":"ID","email":"JOHN@example.com"}`, 200, "", func(c *contact) { c.Email = "JOHN@example.com" }},
		{`{"id":"ID","email":"new@example.com"}`, 200, "", func(c *contact) { c.Email = "new@example.com" }},
		{`{"id":"ID","user_id":"u-2"}`, 200, "", func(c *contact) { c.UserID, c.Owner = "u-2", "" }},
		{`{"id":"ID","email":"taken@Example.com"}`, 400, "already", nil},
		{`{"id":"ID","email":""}`, 400, "email is required", nil},
		{`{"id":"ID","first_name":" "}`, 400, "first_name is required", nil},
		{`{"id":"ID","phone":true}`, 400, "phone", nil},
		{`{"id":"ID","name":"Ada"}`, 400, "name", nil},
		{`{"id":"ID","contact_id":"ID","phone":"1"}`, 400, "contact_id", nil},
		{`{"id":"ID","data":{"id":"2","phone":"1"}}`, 400, "id of one contact", nil},
		{`{"id":"ID","phone":"1","data":{"notes":"x"}}`, 400, "phone", nil},
		{`{"id":"ID"}`, 400, "nothing to change", nil},
		{`{"phone":"1"}`, 400, "id is required", nil},
		{`{"id":7,"phone":"1"}`, 400, "id: want a string", nil},
		{`{"id":"nobody","phone":"1"}`, 404, "nobody", nil},
		{`[{"id":"ID","phone":"1"}]`, 400, "not a JSON object", nil},
	} {
		d := newDesk(t, room.Options{}, Knobs{})
		keep(t, d.Simulator, `{"id":"`+id+`","first_name":"John","email":"john@example.com","company":"c"}`, `{"id":"1","first_name":"Old","email":"taken@example.com"}`)
		want := d.kept(id)
		w := d.call("PATCH", "/v2/contacts", strings.ReplaceAll(c.body, `"ID"`, `"`+id+`"`))
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.body, w.Code, w.Body)
		}
		if c.want != nil {
			c.want(&want)
		} else if f := failed(t, w); !strings.Contains(f.Message, c.says) {
			t.Errorf("%s: %+v", c.body, f)
		}
		if diff := cmp.Diff(want, d.kept(id)); diff != "" || len(d.Ledger().Writes) != 1 && c.want != nil || len(d.Ledger().Writes) != 0 && c.want == nil {
			t.Errorf("%s:\n%s", c.body, diff)
		}
		if got := d.find("email", want.Email).Body.String(); got != `{"id":"`+id+`"}` || d.Store.Len(kindEmails) != 2 {
			t.Errorf("%s: the address finds %s", c.body, got)
		}
	}
}

// rows are the data of a search.
func rows(t *testing.T, w *httptest.ResponseRecorder) []row {
	t.Helper()
	var answer struct{ Data []row }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 || answer.Data == nil {
		t.Fatalf("%d %s, %v", w.Code, w.Body, err)
	}
	return answer.Data
}

// TestV2Pages reads all contacts page by page, both forms of ids among them.
func TestV2Pages(t *testing.T) {
	d := newDesk(t, room.Options{Seed: 250, Dir: t.TempDir()}, Knobs{})
	for amount, sizes := range map[string]string{
		"query_amount=100": "[100 100 50 0]", "query_amount=1000": "[100 100 50 0]", "per_page=60": "[60 60 60 60 10 0]",
		"query_amount=125&per_page=7": "[100 100 50 0]", "query_amount=50": "[50 50 50 50 50 0]",
	} {
		seen := map[string]int{}
		var got []int
		for page := 0; page < 10 && (page == 0 || got[page-1] > 0); page++ {
			list := rows(t, d.call("GET", "/v2/contacts/search?search_term=&"+amount+"&page="+strconv.Itoa(page), ""))
			for _, r := range list {
				seen[r.ContactID]++
				if r.TotalCount != 250 || len(r.ContactID) != 20 && len(r.ContactID) != 36 || r.Tags == nil {
					t.Errorf("row %+v", r)
				}
			}
			got = append(got, len(list))
		}
		if fmt.Sprint(got) != sizes || len(seen) != 250 {
			t.Errorf("%s: %v, %d contacts", amount, got, len(seen))
		}
	}
	if n := len(rows(t, d.call("GET", "/v2/contacts/search", ""))); n != defaultAmount {
		t.Errorf("a page has %d", n)
	}
	if n := len(rows(t, d.call("GET", "/v2/contacts/search?page=9223372036854775807&query_amount=9223372036854775807", ""))); n != 0 {
		t.Errorf("a page beyond the end has %d", n)
	}
	for _, q := range []string{"page=-1", "page=x", "page=1.0", "query_amount=0", "query_amount=x", "per_page=-1", "page=99999999999999999999",
		"page=1&page=2", "limit=3", "search_term=x", "search_term=x&search_by=colour", "search_term=x&search_by=tags"} {
		if w := d.call("GET", "/v2/contacts/search?"+q, ""); w.Code != 400 || failed(t, w).Error != "bad_request" {
			t.Errorf("%s: %d", q, w.Code)
		}
	}
}

func TestV2Search(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	old := d.create("/contacts", `{"first_name":"Ada","email":"a@example.com","company":"Ltd","phone":7}`)
	for i := range 5 {
		d.create("/v2/contacts", fmt.Sprintf(`{"first_name":"n%d","email":"%d@example.com","company":"LTD","user_id":"u-%d"}`, i, i, i%2))
	}
	for query, want := range map[string]string{
		"search_by=company&search_term=ltd":                               "Ada n0 n1 n2 n3 n4 of 6",
		"search_by=company&search_term=ltd&query_amount=4&page=1":         "n3 n4 of 6",
		"search_by=company&search_term=lt":                                "",
		"search_by=email&search_term=3%40EXAMPLE.com":                     "n3 of 1",
		"search_by=email&search_term=3%40EXAMPLE.com&page=1":              "",
		"search_by=contact_id&search_term=" + old:                         "Ada of 1",
		"search_by=id&search_term=" + old:                                 "Ada of 1",
		"search_by=phone&search_term=7":                                   "Ada of 1",
		"search_by=user_id&search_term=u-1":                               "n1 n3 of 2",
		"search_by=owner&search_term=sandbox+owner":                       "Ada of 1",
		"search_by=&search_term=&query_amount=2":                          "Ada n0 of 6",
		"search_by=email&search_term=&query_amount=2&page=2":              "n3 n4 of 6",
		"search_by=first_name&search_term=ada&query_amount=3&per_page=99": "Ada of 1",
	} {
		list := rows(t, d.call("GET", "/v2/contacts/search?"+query, ""))
		var got string
		for _, r := range list {
			got += *r.FirstName + " "
		}
		if len(list) > 0 {
			got += "of " + strconv.Itoa(list[0].TotalCount)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// TestBothProfiles lets each profile find, change and delete what the other has made.
func TestBothProfiles(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{V2Delete: byBody})
	old := d.create("/contacts", `{"first_name":"Old","email":"old@example.com"}`)
	young := d.create("/v2/contacts", `{"first_name":"New","email":"new@example.com"}`)
	if len(old) != 20 || len(young) != 36 {
		t.Errorf("ids %s and %s", old, young)
	}
	for id, email := range map[string]string{old: "old@example.com", young: "new@example.com"} {
		if got := d.find("email", email).Body.String(); got != `{"id":"`+id+`"}` {
			t.Errorf("legacy finds %s", got)
		}
		if got := rows(t, d.call("GET", "/v2/contacts/search?search_by=email&search_term="+email, "")); len(got) != 1 || got[0].ContactID != id {
			t.Errorf("v2 finds %+v", got)
		}
		if w := d.call("POST", "/contacts", `{"contactID":"`+id+`","updateFields":{"phone":"1"}}`); w.Body.String() != `{"id":"`+id+`"}` {
			t.Errorf("legacy edit: %s", w.Body)
		}
		if w := d.call("PATCH", "/v2/contacts", `{"id":"`+id+`","notes":"2"}`); w.Code != 200 || d.kept(id).Phone != "1" || d.kept(id).Notes != "2" {
			t.Errorf("v2 edit: %s, %+v", w.Body, d.kept(id))
		}
	}
	if w := d.call("DELETE", "/contacts", `{"contact_id":"`+young+`"}`); w.Code != 200 {
		t.Errorf("legacy delete: %s", w.Body)
	}
	if w := d.call("DELETE", "/v2/contacts", `{"id":"`+old+`"}`); w.Body.String() != `[{"success":true,"data":{"id":"`+old+`"}}]` {
		t.Errorf("v2 delete: %s", w.Body)
	}
	if d.Store.Len(kindContacts) != 0 || d.Store.Len(kindEmails) != 0 || len(d.Ledger().Writes) != 8 {
		t.Errorf("%d contacts, %d addresses, %d writes", d.Store.Len(kindContacts), d.Store.Len(kindEmails), len(d.Ledger().Writes))
	}
}
