package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/google/go-cmp/cmp"
)

// TestAmbiguousCreate is the case that clients must get right: the vendor has made the contact, and the client can't know.
func TestAmbiguousCreate(t *testing.T) {
	for rule, made := range map[string]bool{
		"POST /contacts #1 drop=after":         true,
		"POST /contacts #1 drop=before":        false,
		"POST /contacts #1 status=502 applied": true,
		"POST /contacts #1 html=502":           false,
		"POST /contacts #1 cut=0":              true,
		"POST /contacts #1 cut=50% clean":      true,
	} {
		f := sandboxtest.Faults(t, rule)
		s, base := start(t, room.Options{Faults: f}, Knobs{})
		e := readExchange(t, "01-create")
		status, _, body, err := send(t, e.method, base+e.path, e.body)
		if err == nil && status < 500 && json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s", rule, status, body)
		}
		if got := s.Store.Len(kindContacts) == 1 && len(s.Ledger().Writes) == 1; got != made {
			t.Errorf("%s: made %v", rule, got)
		}
		// By the address the client can learn which.
		_, _, body, err = send(t, "GET", base+"/api/contacts?searchby=email&search=johndoe%40example.com", "")
		if got := body != "{}"; got != made || err != nil {
			t.Errorf("%s: found %s, %v", rule, body, err)
		}
	}
}

// TestCutList breaks off a list at a share of a size that is not known beforehand.
func TestCutList(t *testing.T) {
	f := sandboxtest.Faults(t, "GET /v2/contacts/search cut=50%")
	_, base := start(t, room.Options{Faults: f, Seed: 100}, Knobs{})
	status, _, body, err := send(t, "GET", base+"/api/v2/contacts/search?query_amount=100", "")
	if err == nil || status != 200 || len(body) < 1000 || json.Valid([]byte(body)) {
		t.Errorf("%d, %d bytes, %v", status, len(body), err)
	}
}

// TestManyAtOnce makes contacts from many sides while others read: none is lost, none is doubled, and of one address
// there is one contact in v2.
func TestManyAtOnce(t *testing.T) {
	s, base := start(t, room.Options{Dir: t.TempDir(), Seed: 100}, Knobs{Rate: -1})
	const writers, each = 8, 20
	var wait sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for w := range writers {
		wait.Go(func() {
			for i := range each {
				status, _, body, err := send(t, "POST", base+"/api/contacts", fmt.Sprintf(`{"first_name":"w","email":"w%d-%d@b.c"}`, w, i))
				if status != 200 || err != nil {
					t.Errorf("create: %d %s %v", status, body, err)
				}
				status, _, body, err = send(t, "POST", base+"/api/v2/contacts", fmt.Sprintf(`{"first_name":"v","email":"v%d@b.c"}`, i))
				if status != 200 && !strings.Contains(body, "duplicate_email") || err != nil {
					t.Errorf("create in v2: %d %s %v", status, body, err)
				}
				if status != 200 {
					mu.Lock()
					refused++
					mu.Unlock()
				}
			}
		})
	}
	for range 2 {
		wait.Go(func() {
			for range 10 {
				status, _, body, err := send(t, "GET", base+"/api/v2/contacts/search?query_amount=100&page=1", "")
				if status != 200 || err != nil || !json.Valid([]byte(body)) {
					t.Errorf("list: %d, %d bytes, %v", status, len(body), err)
				}
			}
		})
	}
	wait.Wait()
	l := s.Ledger()
	ids := map[string]bool{}
	for i, w := range l.Writes {
		ids[w.ID] = true
		if w.N != int64(i)+1 {
			t.Errorf("ledger %d: %+v", i, w)
		}
	}
	if want := writers*each + each; s.Store.Len(kindContacts) != want+100 || len(ids) != want || refused != (writers-1)*each || l.Count("POST", "/contacts", 200) != writers*each {
		t.Errorf("%d contacts, %d written, %d refused", s.Store.Len(kindContacts), len(ids), refused)
	}
}

// TestSurvives makes records in one process and finds them in the next, closed or killed: the log is copied as it is
// while the first still has it open.
func TestSurvives(t *testing.T) {
	dir := t.TempDir()
	first := newDesk(t, room.Options{Dir: dir, Seed: 20}, Knobs{})
	id := first.create("/contacts", `{"first_name":"Ada","email":"ada@b.c","notes":"one\ntwo","phone":7}`)
	gone := first.create("/contacts", `{"first_name":"Bob","email":"bob@b.c"}`)
	young := first.create("/v2/contacts", `{"first_name":"Cy","email":"cy@b.c"}`)
	first.call("POST", "/contacts", `{"contactID":"`+id+`","updateFields":{"email":"countess@b.c"}}`)
	first.call("PATCH", "/v2/contacts", `{"id":"`+young+`","company":"c"}`)
	first.call("DELETE", "/contacts", `{"contact_id":"`+gone+`"}`)
	look := func(d *desk) (out []string) {
		for _, path := range []string{"/v2/contacts/search?query_amount=100", "/contacts?searchby=email&search=ada@b.c", "/contacts?searchby=email&search=countess@b.c",
			"/contacts?searchby=email&search=bob@b.c", "/contacts?searchby=id&search=" + id, "/contacts?searchby=id&search=" + gone, "/contacts?searchby=company&search=C"} {
			w := d.call("GET", path, "")
			out = append(out, path, strconv.Itoa(w.Code), w.Body.String())
		}
		return append(out, sandboxtest.Writes(d.Ledger())...)
	}
	want := look(first)
	if len(first.Ledger().Writes) != 6 || first.Store.Len(kindContacts) != 22 {
		t.Fatalf("%d writes, %d contacts", len(first.Ledger().Writes), first.Store.Len(kindContacts))
	}
	for _, dir := range sandboxtest.Ended(t, dir, first, func() (io.Closer, error) { return New(room.Options{Dir: dir}) }) {
		next := newDesk(t, room.Options{Dir: dir, Seed: 500}, Knobs{}) // seeded once only
		if diff := cmp.Diff(want, look(next)); diff != "" {
			t.Errorf("%s:\n%s", dir, diff)
		}
		if again := next.create("/contacts", `{"first_name":"Di","email":"di@b.c"}`); again == gone || again == id {
			t.Error("an id was given twice")
		}
		if w := next.call("POST", "/v2/contacts", `{"first_name":"x","email":"COUNTESS@b.c"}`); w.Code != 400 {
			t.Errorf("an address was given twice: %d", w.Code)
		}
	}
}

func TestReset(t *testing.T) {
	d := newDesk(t, room.Options{Dir: t.TempDir(), Seed: 3}, Knobs{})
	list := func() string { return d.call("GET", "/v2/contacts/search", "").Body.String() }
	before := list()
	d.create("/contacts", `{"first_name":"Ada","email":"ada@b.c"}`)
	if list() == before {
		t.Error("the contact is not there")
	}
	if err := d.Reset(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, list()); diff != "" || len(d.Ledger().Writes) != 0 {
		t.Error(diff)
	}
	if w := d.call("POST", "/v2/contacts", `{"first_name":"Ada","email":"ada@b.c"}`); w.Code != 200 {
		t.Errorf("the address is still taken: %s", w.Body)
	}
}

// TestSeeds are the same whatever their number, all different, and of both forms of ids.
func TestSeeds(t *testing.T) {
	few, many := newDesk(t, room.Options{Seed: 50}, Knobs{}), newDesk(t, room.Options{Seed: 2500, Dir: t.TempDir()}, Knobs{})
	read := func(d *desk) (out []contact) {
		for doc, err := range d.Store.List(kindContacts).All() {
			var one contact
			if err != nil || json.Unmarshal(doc, &one) != nil {
				t.Fatalf("%s: %v", doc, err)
			}
			out = append(out, one)
		}
		return out
	}
	a, b := read(few), read(many)
	if diff := cmp.Diff(a, b[:50]); diff != "" || len(b) != 2500 {
		t.Errorf("%d:\n%s", len(b), diff)
	}
	ids, forms := map[string]bool{}, map[int]int{}
	for _, one := range b {
		if one.complete() != nil || ids[one.ID] {
			t.Fatalf("%+v", one)
		}
		ids[one.ID] = true
		forms[len(one.ID)]++
		if found, err := withEmail(many.Store, strings.ToUpper(one.Email)); err != nil || len(found) != 1 || found[0] != one.ID {
			t.Fatalf("%s finds %v, %v", one.Email, found, err)
		}
	}
	if len(forms) != 2 || forms[20] < 1000 || forms[36] < 500 {
		t.Errorf("lengths of ids %v", forms)
	}
}

// FuzzBodies sends any body anywhere: the simulator answers, and an error has its form and leaves nothing behind.
func FuzzBodies(f *testing.F) {
	for _, body := range []string{`{"first_name":"Ada","email":"a@b.c"}`, `{"contactID":"1","updateFields":{"name":"A B"}}`, `[{"data":{"first_name":"a","email":"b"}}]`,
		`{"id":"1","data":{"phone":7}}`, `{"contact_id":"1"}`, `{"searchby":"email","search":"a@b.c"}`, "", "[", "null", `{"data":{}}`} {
		f.Add(body, "searchby=email&search=x&page=1&query_amount=3")
	}
	s, err := NewWith(room.Options{}, Knobs{Rate: -1, LegacyArrays: true, V2Delete: byBody})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body, query string) {
		d := &desk{Simulator: s, t: t}
		for _, call := range []string{"GET /contacts", "POST /contacts", "POST /contacts/edit", "DELETE /contacts", "POST /v2/contacts", "PATCH /v2/contacts", "GET /v2/contacts/search", "DELETE /v2/contacts"} {
			method, path, _ := strings.Cut(call, " ")
			before := len(s.Ledger().Writes)
			r := request(method, path, body)
			r.URL.RawQuery = query
			w := d.serve(r)
			wrote := len(s.Ledger().Writes) - before
			if w.Code == http.StatusOK {
				if method == "GET" && wrote != 0 || w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()) {
					t.Errorf("%s %q: %d writes, %s", call, body, wrote, w.Body)
				}
				continue
			}
			if f := failed(t, w); w.Code >= 500 || wrote != 0 {
				t.Errorf("%s %q: %d %+v, %d writes", call, body, w.Code, f, wrote)
			}
		}
	})
}

// BenchmarkSearch200k looks for one contact among 200,000: by its address, and by its company.
func BenchmarkSearch200k(b *testing.B) {
	s, err := NewWith(room.Options{Seed: 200_000, Dir: b.TempDir()}, Knobs{Rate: -1})
	if err != nil {
		b.Fatal(err)
	}
	base := sandboxtest.Serve(b, Name, s)
	for _, query := range []string{"/contacts?searchby=email&search=contact77777%40example.com", "/contacts?searchby=company&search=x", "/v2/contacts/search?query_amount=100&page=1500"} {
		b.Run(query, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := http.NewRequestWithContext(b.Context(), "GET", base+prefix+query, nil)
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("x-api-key", "sandbox")
				a, err := http.DefaultClient.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				_, err = io.Copy(io.Discard, a.Body)
				_ = a.Body.Close()
				if err != nil || a.StatusCode != 200 {
					b.Fatal(a.StatusCode, err)
				}
			}
		})
	}
}
