package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/google/go-cmp/cmp"
)

// TestAmbiguousCreate is the case that clients must get right: the vendor has made the lead, and the client can't know.
func TestAmbiguousCreate(t *testing.T) {
	for rule, made := range map[string]bool{
		"POST /leads #1 drop=after":         true,
		"POST /leads #1 drop=before":        false,
		"POST /leads #1 status=502 applied": true,
		"POST /leads #1 html=403":           false,
		"POST /leads #1 cut=10":             true,
	} {
		f := sandboxtest.Faults(t, rule)
		s, base := start(t, room.Options{Faults: f}, Knobs{})
		r, err := http.NewRequestWithContext(t.Context(), "POST", base+"/leads", strings.NewReader(leadBody(t, "")))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer sandbox-static-token")
		r.Header.Set("Content-Type", "application/json")
		if a, _, err := sandboxtest.Do(r); err == nil && a.StatusCode < 400 {
			t.Errorf("%s: %d", rule, a.StatusCode)
		}
		if got := s.Store.Len(kindLeads) == 1 && len(s.Ledger().Writes) == 1; got != made {
			t.Errorf("%s: made %v", rule, got)
		}
	}
}

// TestManyAtOnce makes, patches and deletes leads from many sides while others page: none is lost, none is doubled.
func TestManyAtOnce(t *testing.T) {
	s, base := start(t, room.Options{Dir: t.TempDir(), Seed: 100}, Knobs{})
	call := func(method, path, body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		r.Header.Set("Authorization", "Bearer sandbox-static-token")
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		a, answer, err := sandboxtest.Do(r)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		return a.StatusCode, answer
	}
	const writers, each = 6, 20
	var wait sync.WaitGroup
	for w := range writers {
		bodies := make([]string, each)
		for i := range bodies {
			bodies[i] = leadBody(t, fmt.Sprintf(`"last_name":"w%d-%d"`, w, i))
		}
		wait.Go(func() {
			for i, body := range bodies {
				status, answer := call("POST", "/leads", body)
				var made struct{ Lead struct{ ID int64 } }
				if err := json.Unmarshal([]byte(answer), &made); err != nil || status != 200 {
					t.Errorf("create: %d %s", status, answer)
					continue
				}
				path := "/leads/" + strconv.FormatInt(made.Lead.ID, 10)
				if i%4 == 0 {
					if status, answer = call("DELETE", path, ""); status != 204 {
						t.Errorf("delete: %d %s", status, answer)
					}
				} else if status, answer = call("PATCH", path, `{"operations":[{"op":"replace","path":"/status","value":"qualified"}]}`); status != 204 {
					t.Errorf("patch: %d %s", status, answer)
				}
			}
		})
	}
	for _, query := range []string{"sort=id", "filters[query]=w1&sort=price", "filters[quality]=hot"} {
		wait.Go(func() {
			for range 8 {
				if status, body := call("GET", "/leads?"+query, ""); status != 200 || !json.Valid([]byte(body)) {
					t.Errorf("list: %d, %d bytes", status, len(body))
				}
			}
		})
	}
	wait.Wait()
	seen := map[string]bool{}
	for page := 1; page < 4; page++ {
		_, body := call("GET", "/leads?filters[status]=qualified&filters[name]=w&per_page=50&page="+strconv.Itoa(page), "")
		for _, doc := range sandboxtest.Elements(t, inner(t, body, "leads")) {
			if name := inner(t, doc, "last_name"); strings.HasPrefix(name, `"w`) && strings.Contains(name, "-") {
				if seen[name] {
					t.Errorf("%s is there twice", name)
				}
				seen[name] = true
			}
		}
	}
	if want := writers * each * 3 / 4; len(seen) != want || s.Store.Len(kindLeads) != 100+want || len(s.Ledger().Writes) != 2*writers*each {
		t.Errorf("%d names, %d leads, %d writes", len(seen), s.Store.Len(kindLeads), len(s.Ledger().Writes))
	}
}

// TestSurvives makes records in one process and finds them in the next, closed or killed: the log is copied as it is
// while the first still has it open.
func TestSurvives(t *testing.T) {
	dir := t.TempDir()
	first := newDesk(t, room.Options{Dir: dir, Seed: 20}, Knobs{})
	token := first.login().AccessToken
	id := first.create(`"first_name":"Ada","notes":[{"body":"one\ntwo"}]`)
	gone := first.create("")
	first.good(200, "PUT", "/leads/"+id, leadBody(t, `"city":"Dubai","user":4`))
	first.good(204, "DELETE", "/leads/"+gone, "")
	first.good(204, "PATCH", "/leads", `{"operations":[{"op":"add","path":"/1003/assignment/property","value":7}]}`)
	first.good(204, "DELETE", "/leads", `{"leads":[1001,1002]}`)
	look := func(d *desk) (out []string) {
		d.expand = "true"
		for _, path := range []string{"/leads", "/leads/" + id, "/leads/" + gone, "/leads?filters[user]=4", "/leads?filters[property]=7", "/leads?filters[name]=ada&sort=created"} {
			w := d.call("GET", path, "")
			out = append(out, path, strconv.Itoa(w.Code), w.Body.String())
		}
		return append(out, sandboxtest.Writes(d.Ledger())...)
	}
	want := look(first)
	for _, dir := range sandboxtest.Ended(t, dir, first, func() (io.Closer, error) { return New(room.Options{Dir: dir}) }) {
		next := newDesk(t, room.Options{Dir: dir, Seed: 500}, Knobs{}) // seeded once only
		next.token = token                                             // tokens outlive the process
		if diff := cmp.Diff(want, look(next)); diff != "" {
			t.Errorf("%s:\n%s", dir, diff)
		}
		if again := next.create(""); again != "1023" {
			t.Errorf("the next id is %s: an id was given twice, or one left out", again)
		}
	}
}

func TestReset(t *testing.T) {
	d := newDesk(t, room.Options{Dir: t.TempDir(), Seed: 3}, Knobs{})
	d.login()
	before := d.good(200, "GET", "/leads", "")
	d.create("")
	d.good(204, "DELETE", "/leads/1002", "")
	if err := d.Reset(); err != nil {
		t.Fatal(err)
	}
	if got := d.good(200, "GET", "/leads", ""); got != before {
		t.Errorf("after reset: %s", got)
	}
	if id := d.create(""); id != "1004" || len(d.Ledger().Writes) != 1 {
		t.Errorf("made %s, ledger %v", id, d.Ledger().Writes)
	}
}

// TestLedger: one line a call, with the id of the lead; refused calls leave none.
func TestLedger(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	body := leadBody(t, "")
	d.good(200, "POST", "/leads", body)
	d.good(400, "POST", "/leads", `{"lead":{}}`)
	d.good(404, "PUT", "/leads/7", body)
	w := d.Ledger().Writes
	if len(w) != 1 || w[0].Method != "POST" || w[0].Path != "/leads" || w[0].ID != "1001" || w[0].Body != room.NewWritten(d.now, "", "", []byte(body)).Body {
		t.Errorf("ledger %+v", w)
	}
	if got := idList(slices.Repeat([]int64{7}, 1001)); len(got) != 2000+len("…") || !strings.HasSuffix(got, "7,…") {
		t.Errorf("a long list: %d bytes", len(got))
	}
}

// TestManyLeads: an export of many leads by id does not slow down with their number, and whole-account calls work.
func TestManyLeads(t *testing.T) {
	const n = 2_000
	d := newDesk(t, room.Options{Dir: t.TempDir(), Seed: n}, Knobs{})
	seen := make(map[string]bool, n)
	for page := 1; page <= n/100; page++ {
		for id := range strings.FieldsSeq(d.ids("sort=id&sort_order=ASC&per_page=100&page=" + strconv.Itoa(page))) {
			seen[id] = true
		}
	}
	if len(seen) != n {
		t.Errorf("%d leads on all pages", len(seen))
	}
	d.good(204, "PATCH", "/leads", `{"operations":[{"op":"replace","path":"/*/status","value":"notReady"}]}`)
	if got := inner(t, d.good(200, "GET", "/leads?filters[status]=notReady", ""), "count"); got != strconv.Itoa(n) {
		t.Errorf("patched: %s", got)
	}
	d.good(204, "DELETE", "/leads", "")
	if got := d.good(200, "GET", "/leads", ""); got != `{"count":0,"page":1,"per_page":100,"leads":[]}` {
		t.Errorf("left: %.100s", got)
	}
}

// BenchmarkStart100k starts with 100,000 leads: made up, and found in the folder.
func BenchmarkStart100k(b *testing.B) {
	sandboxtest.Starts(b, func(dir string) (io.Closer, error) { return New(room.Options{Dir: dir, Seed: 100_000}) })
}

// BenchmarkLists of 100,000 leads, over loopback: a page by id, one of a search that must be done anew, one of a search in
// what only the store has.
func BenchmarkLists(b *testing.B) {
	s, err := NewWith(room.Options{Seed: 100_000, Dir: b.TempDir()}, Knobs{})
	if err != nil {
		b.Fatal(err)
	}
	base := sandboxtest.Serve(b, Name, s)
	for name, query := range map[string]string{"by id": "sort=id&page=%d", "by mobile": "filters[mobile]=%%2B971500%d", "deep": "filters[wishlist][from_price]=%d", "expanded": "sort=id&page=%d"} {
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				n++
				r, err := http.NewRequestWithContext(b.Context(), "GET", base+"/leads?"+fmt.Sprintf(query, n%900+1), nil)
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer sandbox-static-token")
				if name == "expanded" {
					r.Header.Set(expandHeader, "true")
				}
				a, err := http.DefaultClient.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				size, err := io.Copy(io.Discard, a.Body)
				_ = a.Body.Close()
				if err != nil || a.StatusCode != 200 {
					b.Fatal(a.StatusCode, err)
				}
				b.SetBytes(size)
			}
		})
	}
}
