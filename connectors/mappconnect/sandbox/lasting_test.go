package sandbox

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/google/go-cmp/cmp"
)

// TestDelay lets events wait, in order, over settings and processes.
func TestDelay(t *testing.T) {
	dir := t.TempDir()
	d := newDesk(t, room.Options{Dir: dir}, Knobs{ApplyDelay: 2 * time.Second})
	d.post("user", `[{"email":"a@b.c","group":"12","x":1},{"email":"d@e.f"}]`)
	d.now = d.now.Add(time.Second)
	d.post("user", `{"email":"a@b.c","x":2}`)
	d.want(kindUsers)
	d.want(kindPending, `{"n":1,"due":"2026-11-22T10:00:02Z"}`, `{"n":2,"due":"2026-11-22T10:00:02Z"}`, `{"n":3,"due":"2026-11-22T10:00:03Z"}`)
	d.now = d.now.Add(999 * time.Millisecond)
	d.want(kindUsers)
	d.now = d.now.Add(time.Millisecond)
	d.want(kindUsers, `{"email":"a@b.c","x":1,"group":["12"]}`)
	if diff := cmp.Diff([]string{"UNKNOWN_CONTACT "}, d.reports()); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(d.records(kindFeedback)[0], `"actionTime":"Sun Nov 22 10:00:02 UTC 2026"`) {
		t.Errorf("feedback %s", d.records(kindFeedback))
	}
	d.set("set apply_delay=0s")
	d.post("user", `{"email":"a@b.c","x":3}`) // waits for the one before it
	d.want(kindUsers, `{"email":"a@b.c","x":1,"group":["12"]}`)
	now := d.now
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	d = newDesk(t, room.Options{Dir: dir}, Knobs{})
	d.now = now
	if d.Store.Len(kindPending) != 2 {
		t.Errorf("%d wait", d.Store.Len(kindPending))
	}
	d.now = d.now.Add(time.Second)
	if err := d.Settle(); err != nil {
		t.Fatal(err)
	}
	if doc, _, err := d.Store.Get(kindUsers, "email:a@b.c"); err != nil || string(doc) != `{"email":"a@b.c","x":3,"group":["12"]}` {
		t.Errorf("%s, %v", doc, err)
	}
	d.post("user", `{"email":"a@b.c","x":4}`)
	if doc, _, err := d.Store.Get(kindUsers, "email:a@b.c"); err != nil || string(doc) != `{"email":"a@b.c","x":4,"group":["12"]}` {
		t.Errorf("without a delay it has no effect at once: %s, %v", doc, err)
	}
	d.set("set apply_delay=1h")
	d.post("user", `{"email":"a@b.c","x":5}`)
	if err := d.Reset(); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(2 * time.Hour)
	d.want(kindUsers)
	d.want(kindInbox)
}

// TestSurvives accepts events in one process and finds them in the next, closed or killed.
func TestSurvives(t *testing.T) {
	dir := t.TempDir()
	kinds := []string{kindInbox, kindUsers, kindIdentifiers, kindSent, kindProducts, kindCarts, kindRelated, kindFeedback, kindGroups}
	first := newDesk(t, room.Options{Dir: dir, Seed: 5}, Knobs{})
	first.post("user", `[{"email":"a b@c.d","mobileNumber":"+1","group":"12","messageId":"9634"},{"email":"x@y.z"}]`)
	first.post("product", "{\n\"productSKU\": \"a\\n b/c\"\n}")
	first.post("abandonedcart", `{"mobileNumber":"+1","sku":"s"}`)
	first.post("relatedData", `{"datasetName":"d","key":"k","importMode":"add","attributes":{"a":"b"}}`)
	look := func(d *desk) (out []string) {
		for _, kind := range kinds {
			out = append(append(out, kind), d.records(kind)...)
		}
		return append(out, sandboxtest.Writes(d.Ledger())...)
	}
	want := look(first)
	for _, dir := range sandboxtest.Ended(t, dir, first, func() (io.Closer, error) { return New(room.Options{Dir: dir}) }) {
		next := newDesk(t, room.Options{Dir: dir, Seed: 50}, Knobs{}) // seeded once only
		if diff := cmp.Diff(want, look(next)); diff != "" {
			t.Errorf("%s:\n%s", dir, diff)
		}
		if err := next.Reset(); err != nil {
			t.Fatal(err)
		}
		if next.Store.Len(kindUsers) != 50 || next.Store.Len(kindInbox) != 0 || next.Store.Len(kindGroups) != 4 {
			t.Errorf("after a reset: %v", next.Store.Kinds())
		}
	}
}

// TestManyAtOnce sends batches from many sides: none is lost, none doubled, and each stays together.
func TestManyAtOnce(t *testing.T) {
	s, err := NewWith(room.Options{Dir: t.TempDir()}, Knobs{})
	if err != nil {
		t.Fatal(err)
	}
	settings := s.Settings(sandboxtest.Serve(t, Name, s))
	const writers, batches, each = 6, 5, 40
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for b := range batches {
				events := make([]string, each)
				for i := range events {
					events[i] = fmt.Sprintf(`{"email":"%d-%d-%d@b.c","group":"12"}`, w, b, i)
				}
				if status, err := postTo(t, settings, "/event/batch?subtype=user", "["+strings.Join(events, ",")+"]"); status != 200 || err != nil {
					t.Errorf("%d, %v", status, err)
				}
			}
		})
	}
	wait.Wait()
	seen := map[string]bool{}
	last, run := "", 0
	for _, w := range s.Ledger().Writes {
		if seen[w.ID] {
			t.Errorf("%s twice", w.ID)
		}
		seen[w.ID] = true
		batch := w.ID[:strings.LastIndex(w.ID, "-")]
		if batch != last && run%each != 0 {
			t.Errorf("%s is torn: %d", last, run)
		}
		last, run = batch, run+1
	}
	if len(seen) != writers*batches*each || s.Store.Len(kindUsers) != len(seen) || s.Store.Len(kindInbox) != len(seen) ||
		s.Ledger().Count("POST", "/integration/{id}/event/batch", 200) != writers*batches {
		t.Errorf("%d events, %d users", len(seen), s.Store.Len(kindUsers))
	}
}

// postTo sends a signed request over the network.
func postTo(t testing.TB, settings map[string]string, path, body string) (int, error) {
	target := "/integration/" + settings["integration_id"] + path
	before, query, _ := strings.Cut(target, "?")
	r, err := http.NewRequestWithContext(t.Context(), "POST", settings["base_url"]+target, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("auth-token", signed(settings["secret"], "/api/v1"+before, body, query, `{"request-hash":"%s","exp":`+strconv.FormatInt(time.Now().Unix()+60, 10)+`}`))
	r.Header.Set("Content-Type", "application/json")
	a, _, err := sandboxtest.Do(r)
	if err != nil {
		return 0, err
	}
	return a.StatusCode, nil
}

// TestAmbiguous is the case that clients must get right: the vendor has the event, and the client can't know.
func TestAmbiguous(t *testing.T) {
	for rule, kept := range map[string]int{
		"POST /integration/*/event #1 drop=after":         1,
		"POST /integration/*/event #1 drop=before":        0,
		"POST /integration/*/event #1 status=502 applied": 1,
		"POST /integration/*/event #1 html=502":           0,
	} {
		f := sandboxtest.Faults(t, rule)
		s, err := NewWith(room.Options{Faults: f}, Knobs{})
		if err != nil {
			t.Fatal(err)
		}
		if status, err := postTo(t, s.Settings(sandboxtest.Serve(t, Name, s)), "/event?subtype=email", `{"email":"a@b.c","messageId":"9634"}`); err == nil && status < 500 {
			t.Errorf("%s: %d", rule, status)
		}
		if s.Store.Len(kindInbox) != kept || len(s.Ledger().Writes) != kept {
			t.Errorf("%s: %d kept", rule, s.Store.Len(kindInbox))
		}
	}
}

// BenchmarkBatch sends batches of 1000 events over loopback, of new contacts and of contacts that are there, into memory and
// into a folder.
func BenchmarkBatch(b *testing.B) {
	for _, kept := range []string{"memory", "folder"} {
		for _, again := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/again=%v", kept, again), func(b *testing.B) {
				var o room.Options
				if kept == "folder" {
					o.Dir = b.TempDir()
				}
				s, err := NewWith(o, Knobs{})
				if err != nil {
					b.Fatal(err)
				}
				settings := s.Settings(sandboxtest.Serve(b, Name, s))
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					var body strings.Builder
					for i := range mostEvents {
						id := i
						if !again {
							id = n*mostEvents + i
						}
						fmt.Fprintf(&body, `%c{"email":"contact%d@example.com","group":"10144","firstName":"First %d","lastName":"Last","city":"Zürich","score":"%d"}`, "[,"[min(i, 1)], id, id, n)
					}
					n++
					body.WriteByte(']')
					if status, err := postTo(b, settings, "/event/batch?subtype=user", body.String()); status != 200 || err != nil {
						b.Fatal(status, err)
					}
				}
			})
		}
	}
}
