package sandbox

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/google/go-cmp/cmp"
)

// exchange is one example of the vendor's document, as it stands there: the body of a request and the answer. The
// document names methods and no paths: the file's first line has both.
type exchange struct{ method, path, body, answer string }

func readExchange(t *testing.T, name string) exchange {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "wire", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	asked, answer, ok := strings.Cut(string(b), "\n\n")
	line, body, more := strings.Cut(asked, "\n")
	method, path, blank := strings.Cut(line, " ")
	if !ok || !more || !blank {
		t.Fatalf("%s: want METHOD PATH, a body, an empty line, an answer", name)
	}
	return exchange{method, path, body, strings.TrimSuffix(answer, "\n")}
}

// sample is the example's answer without blanks, if it is JSON.
func (e exchange) sample() string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(e.answer)); err != nil {
		return e.answer
	}
	return b.String()
}

func examples() []string { return []string{"01-create", "02-search", "03-edit", "04-delete"} }

// TestExamplesAreTheDocuments holds the files against the vendor's document.
func TestExamplesAreTheDocuments(t *testing.T) {
	doc := sandboxtest.Document(t, "003_*.txt")
	for _, name := range examples() {
		e := readExchange(t, name)
		if !bytes.Contains(doc, []byte("Request Method:\n"+e.method+"\n")) || !bytes.Contains(doc, []byte("Request Example\n"+e.body+"\n")) ||
			!bytes.Contains(append(doc, '\n'), []byte("Response Example\n"+e.answer+"\n")) {
			t.Errorf("%s is not the document's", name)
		}
	}
}

// start serves a simulator over loopback.
func start(t *testing.T, o room.Options, k Knobs) (s *Simulator, base string) {
	t.Helper()
	s, err := NewWith(o, k)
	if err != nil {
		t.Fatal(err)
	}
	return s, sandboxtest.Serve(t, Name, s)
}

// send sends a request with the key, over the network.
func send(t *testing.T, method, url, body string) (status int, contentType, answer string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", "", err
	}
	r.Header.Set("x-api-key", "sandbox")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	a, answer, err := sandboxtest.Do(r)
	if a == nil {
		return 0, "", "", err
	}
	return a.StatusCode, a.Header.Get("Content-Type"), answer, err
}

// keep puts contacts into the store as they are.
func keep(t *testing.T, s *Simulator, docs ...string) {
	t.Helper()
	err := s.Store.Fill(func(tx *room.Tx) error {
		for _, doc := range docs {
			one := newContact(time.Unix(0, 0))
			if err := json.Unmarshal([]byte(doc), &one); err != nil {
				return err
			}
			if err := insert(tx, &one); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestWire plays each example of the document against an account that has the contact of the example, and wants the
// document's answer, byte for byte but for blanks and, of a create, the digits of the id.
func TestWire(t *testing.T) {
	const id = "12345678901234567890"
	for _, name := range examples() {
		t.Run(name, func(t *testing.T) {
			s, base := start(t, room.Options{}, Knobs{})
			if name != "01-create" {
				keep(t, s, `{"id":"`+id+`","first_name":"John","last_name":"Doe","email":"johndoe@example.com","phone":"+1234567890","company":"Example Inc."}`,
					`{"id":"22345678901234567890","first_name":"Jane","email":"jane@example.com","company":"Example Incorporated"}`)
			}
			e := readExchange(t, name)
			status, contentType, body, err := send(t, e.method, base+e.path, e.body)
			if err != nil || status != 200 {
				t.Fatalf("status %d, %v", status, err)
			}
			wantType := "application/json"
			if name == "04-delete" {
				wantType = "text/plain; charset=utf-8"
			}
			if contentType != wantType {
				t.Errorf("Content-Type %q", contentType)
			}
			made := s.Ledger().Writes
			if name == "01-create" {
				if !regexp.MustCompile(`^\{"id":"[1-9][0-9]{19}"\}$`).MatchString(body) {
					t.Errorf("answer %s", body)
				}
				body = strings.Replace(body, made[0].ID, id, 1)
			}
			if diff := cmp.Diff(e.sample(), body); diff != "" {
				t.Error(diff)
			}
			switch name {
			case "01-create":
				got, err := find(s.Store, made[0].ID)
				want := contact{ID: got.ID, FirstName: "John", LastName: "Doe", Email: "johndoe@example.com", Phone: "+1234567890", Company: "Example Inc.",
					JobTitle: "Sales Manager", Notes: "Interested in product demo", UserID: userID, Owner: userOwner, CreatedAt: got.CreatedAt, Tags: []tag{}}
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Error(diff, err)
				}
			case "02-search":
				if len(made) != 0 {
					t.Errorf("writes %v", made)
				}
			case "03-edit":
				got, err := find(s.Store, id)
				if err != nil || got.Email != "example@example.com" || got.Phone != "1234567890" || got.FirstName != "John" || s.Store.Len(kindContacts) != 2 {
					t.Errorf("edited to %+v, %v", got, err)
				}
			case "04-delete":
				if _, _, err := s.Store.Get(kindContacts, id); err != nil || s.Store.Len(kindContacts) != 1 {
					t.Errorf("%d contacts left, %v", s.Store.Len(kindContacts), err)
				}
				if status, _, _, _ := send(t, e.method, base+e.path, e.body); status != 404 {
					t.Errorf("deleted again: %d", status)
				}
			}
		})
	}
}

// TestWireGenerations plays what the vendor's other pages show of the same call: mid-2025 took an array and answered
// whole contacts, v2 answers an outcome each.
func TestWireGenerations(t *testing.T) {
	_, base := start(t, room.Options{Now: func() time.Time { return time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC) }},
		Knobs{LegacyArrays: true, Answer: shapeFull, Rate: -1})
	ids := regexp.MustCompile(`"(id|contact_id)":"(?:[0-9]{20}|[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"`)
	john := `"first_name":"John","last_name":"Doe","phone":"+1234567890","company":"Example Inc.","job_title":"Sales Manager","notes":"Demo"`
	const user = `"user_id":"7b1f0f5e-3c56-4b7e-9a53-0d4b3d0c9a11","owner":"Sandbox Owner","last_activity":null`
	full := func(email string) string {
		return `{"email":"` + email + `","phone":"+1234567890","company":"Example Inc.","created_at":"2026-11-22T10:00:00Z","id":"ID",` + user +
			`,"last_name":"Doe","job_title":"Sales Manager","notes":"Demo","first_name":"John"}`
	}
	found := func(email, total string) string {
		return `{"contact_id":"ID","first_name":"John","last_name":"Doe","phone":"+1234567890","email":"` + email +
			`","company":"Example Inc.","owner":"Sandbox Owner","last_activity":null,"user_id":"7b1f0f5e-3c56-4b7e-9a53-0d4b3d0c9a11","tags":[],"total_count":` + total + `}`
	}
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/api/contacts", `{` + john + `,"email":"1@example.com"}`, `[` + full("1@example.com") + `]`},
		{"POST", "/api/contacts", `[{` + john + `,"email":"2@example.com"},{` + john + `,"email":"3@example.com"}]`, `[` + full("2@example.com") + `,` + full("3@example.com") + `]`},
		{"POST", "/api/v2/contacts", `{` + john + `,"email":"4@example.com"}`, `[{"status":"success","data":` + full("4@example.com") + `}]`},
		{"POST", "/api/v2/contacts", `{"data":{` + john + `,"email":"5@example.com"}}`, `[{"status":"success","data":` + full("5@example.com") + `}]`},
		{"POST", "/api/v2/contacts", `[{"data":{` + john + `,"email":"6@example.com"}},{"email":"1@EXAMPLE.com","first_name":"John"},{"first_name":"J"}]`,
			`[{"status":"success","data":` + full("6@example.com") + `},` +
				`{"status":"error","error":"email: there is a contact with 1@EXAMPLE.com already","data":{"email":"1@EXAMPLE.com","first_name":"John"}},` +
				`{"status":"error","error":"email is required","data":{"first_name":"J"}}]`},
		{"POST", "/api/v2/contacts", `{` + john + `,"email":"4@example.com"}`, `{"error":"duplicate_email","message":"email: there is a contact with 4@example.com already"}`},
		{"GET", "/api/v2/contacts/search?search_term=2%40example.com&search_by=email&query_amount=10&page=0", "", `{"data":[` + found("2@example.com", "1") + `]}`},
		{"GET", "/api/v2/contacts/search?search_term=&search_by=&query_amount=2&page=2", "", `{"data":[` + found("5@example.com", "6") + `,` + found("6@example.com", "6") + `]}`},
		{"GET", "/api/v2/contacts/search?search_term=&search_by=&query_amount=2&page=3", "", `{"data":[]}`},
	} {
		_, contentType, got, err := send(t, c.method, base+c.path, c.body)
		if diff := cmp.Diff(c.want, ids.ReplaceAllString(got, `"$1":"ID"`)); diff != "" || contentType != "application/json" || err != nil {
			t.Errorf("%s %s %s: %s %v\n%s", c.method, c.path, c.body, contentType, err, diff)
		}
	}
}

// TestWirePatch plays the PATCH of v2 on a contact of either profile.
func TestWirePatch(t *testing.T) {
	s, base := start(t, room.Options{}, Knobs{Rate: -1})
	for _, path := range []string{"/api/contacts", "/api/v2/contacts"} {
		if status, _, body, err := send(t, "POST", base+path, `{"first_name":"John","email":"`+path+`"}`); err != nil || status != 200 {
			t.Fatal(status, body, err)
		}
	}
	for _, w := range s.Ledger().Writes {
		before, err := find(s.Store, w.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{
			`{"id":"` + w.ID + `","last_name":"Doe"}`,
			`{"data":{"id":"` + w.ID + `","last_name":"Dow"}}`,
			`{"id":"` + w.ID + `","data":{"last_name":"Dot"}}`,
		} {
			status, _, answer, err := send(t, "PATCH", base+"/api/v2/contacts", body)
			last := regexp.MustCompile(`Do.`).FindString(body)
			want := `[{"success":true,"data":{"email":"` + before.Email + `","phone":null,"company":null,"created_at":"` + before.CreatedAt + `","id":"` + w.ID +
				`","user_id":"7b1f0f5e-3c56-4b7e-9a53-0d4b3d0c9a11","owner":"Sandbox Owner","last_activity":null,"last_name":"` + last + `","job_title":null,"notes":null,"first_name":"John"}}]`
			if diff := cmp.Diff(want, answer); diff != "" || status != 200 || err != nil {
				t.Errorf("%s: %d %v\n%s", body, status, err, diff)
			}
		}
	}
}
