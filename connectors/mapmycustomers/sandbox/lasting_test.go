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

// TestAmbiguousCreate is the case that clients must get right: the vendor has made the customer, and the client can't know.
func TestAmbiguousCreate(t *testing.T) {
	for rule, made := range map[string]bool{
		"POST /customers #1 drop=after":         true,
		"POST /customers #1 drop=before":        false,
		"POST /customers #1 status=502 applied": true,
		"POST /customers #1 html=502":           false,
		"POST /customers #1 cut=0":              true,
	} {
		f := sandboxtest.Faults(t, rule)
		s, base, token := start(t, room.Options{Faults: f}, Knobs{})
		r := readExchange(t, "05-create").request(t, base, token)
		if a, _, err := sandboxtest.Do(r); err == nil && a.StatusCode < 500 {
			t.Errorf("%s: %d", rule, a.StatusCode)
		}
		if got := s.Store.Len(kindCustomers) == 1 && len(s.Ledger().Writes) == 1; got != made {
			t.Errorf("%s: made %v", rule, got)
		}
	}
}

// TestManyAtOnce makes customers from many sides while others read: none is lost, none is doubled, and no list is torn.
func TestManyAtOnce(t *testing.T) {
	s, base, token := start(t, room.Options{Dir: t.TempDir(), Seed: 100}, Knobs{Rate: -1})
	const writers, each = 8, 25
	call := func(method, path, body string) (int, string, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, base+prefix+path, strings.NewReader(body))
		if err != nil {
			return 0, "", err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		a, answer, err := sandboxtest.Do(r)
		if err != nil {
			return 0, "", err
		}
		return a.StatusCode, answer, nil
	}
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for i := range each {
				status, body, err := call("POST", "/customers", fmt.Sprintf(`{"name":"w%d-%d"}`, w, i))
				if status != 200 || err != nil {
					t.Errorf("create: %d %s %v", status, body, err)
				}
			}
		})
	}
	for range 2 {
		wait.Go(func() {
			for range 10 {
				status, body, err := call("GET", "/customers", "")
				if status != 200 || err != nil || !json.Valid([]byte(body)) {
					t.Errorf("list: %d, %d bytes, %v", status, len(body), err)
				}
			}
		})
	}
	wait.Wait()
	_, body, err := call("GET", "/customers", "")
	if err != nil {
		t.Fatal(err)
	}
	names, ids := map[string]bool{}, map[string]bool{}
	for _, doc := range sandboxtest.Elements(t, body) {
		var c customer
		if err := json.Unmarshal([]byte(doc), &c); err != nil {
			t.Fatal(err)
		}
		ids[c.ID] = true
		if strings.HasPrefix(c.Name, "w") {
			names[c.Name] = true
		}
	}
	l := s.Ledger()
	if len(names) != writers*each || len(ids) != writers*each+100 || len(l.Writes) != writers*each || l.Count("POST", "/customers", 200) != writers*each {
		t.Errorf("%d names, %d ids, %d writes", len(names), len(ids), len(l.Writes))
	}
	for i, w := range l.Writes {
		if w.N != int64(i)+1 || !ids[w.ID] {
			t.Errorf("ledger %d: %+v", i, w)
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
		return append(out, sandboxtest.Writes(d.Ledger())...)
	}
	want := look(first)
	for _, dir := range sandboxtest.Ended(t, dir, first, func() (io.Closer, error) { return New(room.Options{Dir: dir}) }) {
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
	if w.Code != 200 || !strings.HasPrefix(before, strings.TrimSuffix(w.Body.String(), "]")) || len(sandboxtest.Elements(t, w.Body.String())) != 3 {
		t.Errorf("after reset: %d %s", w.Code, w.Body)
	}
}

// TestSeeds are the same whatever their number, and all different.
func TestSeeds(t *testing.T) {
	few, many := newDesk(t, room.Options{Seed: 50}, Knobs{}), newDesk(t, room.Options{Seed: 2500, Dir: t.TempDir()}, Knobs{})
	a, b := sandboxtest.Elements(t, few.call("GET", "/customers", "").Body.String()), sandboxtest.Elements(t, many.call("GET", "/customers", "").Body.String())
	if diff := cmp.Diff(a, b[:50]); diff != "" || len(b) != 2500 {
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
	sandboxtest.Starts(b, func(dir string) (io.Closer, error) { return New(room.Options{Dir: dir, Seed: 200_000}) })
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
		base := sandboxtest.Serve(b, Name, s)
		token, err := s.issue(s.Now(), s.knobs)
		if err != nil {
			b.Fatal(err)
		}
		for _, path := range []string{"/customers", "/customers/search/coeur"} {
			b.Run(kept+path, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r, err := http.NewRequestWithContext(b.Context(), "GET", base+prefix+path, nil)
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
	}
}
