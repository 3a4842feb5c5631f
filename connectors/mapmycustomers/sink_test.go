package mapmycustomers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// on makes a fault of the nth call of a method.
func on(method string, nth int, what string) func(string, string, int) string {
	return func(m, _ string, n int) string {
		if m == method && n == nth {
			return what
		}
		return fine
	}
}

func always(method, what string) func(string, string, int) string {
	return func(m, _ string, _ int) string {
		if m == method {
			return what
		}
		return fine
	}
}

func both(fs ...func(string, string, int) string) func(string, string, int) string {
	return func(m, p string, n int) string {
		for _, f := range fs {
			if what := f(m, p, n); what != fine {
				return what
			}
		}
		return fine
	}
}

// TestSink sends rows to a vendor that misbehaves, and looks at the rows' fates and at what the vendor has in the end.
func TestSink(t *testing.T) {
	acme := map[string]any{"name": "Ada", "company": "Acme", "email": "ada@acme.example", "phone": "+1 (432) 456"}
	create := schema.Load{Mode: schema.Create}
	tests := []struct {
		name   string
		load   schema.Load
		object string
		rows   *record.Batch
		doubt  []int // rows that an earlier process left in doubt
		have   func(*fake)
		fault  func(method, path string, n int) string
		blind  bool // the ledger can't count
		want   []string
		recs   string // company or name of what the vendor has in the end
		puts   int
		err    string
	}{
		{name: "created", load: create, rows: table("name|company", "A|x", "|y"), want: []string{"accepted created", "accepted created"}, recs: "x y"},
		{name: "id from Location", load: create, fault: always("POST", with201), rows: table("name", "A"), want: []string{"accepted created new0000000"}, recs: "A"},
		{name: "id from the body", load: create, fault: always("POST", withIDs), rows: table("name", "A"), want: []string{"accepted created new0000000"}, recs: "A"},
		{name: "refused, and on with the next", load: create, fault: on("POST", 1, refuse400), rows: table("name", "A", "B"), want: []string{"rejected :vendor", "accepted created"}, recs: "B"},
		{name: "refused in an answer that says 200", load: create, fault: on("POST", 1, errorIn200), rows: table("name", "A", "B"), want: []string{"rejected :vendor", "accepted created"}, recs: "B"},
		{name: "done, answer lost", load: create, fault: on("POST", 1, dropAfter), rows: table("name", "A", "B"), want: []string{"accepted created new0000000", "accepted created"}, recs: "A B"},
		{name: "done, a page came back", load: create, fault: on("POST", 1, pageAfter), rows: table("name", "A"), want: []string{"accepted created new0000000"}, recs: "A"},
		{name: "not done, connection lost", load: create, fault: on("POST", 1, dropBefore), rows: table("name", "A"), want: []string{"accepted created"}, recs: "A"},
		{name: "not done, server error", load: create, fault: on("POST", 1, error500), rows: table("name", "A"), want: []string{"accepted created"}, recs: "A"},
		{name: "done, and it shows late", load: create, fault: both(on("POST", 1, dropAfter), on("GET", 1, hidden), on("GET", 2, hidden)), rows: table("name", "A"), want: []string{"accepted created new0000000"}, recs: "A"},
		{name: "one like it is there from last week", load: create, have: func(f *fake) { f.add("old", 200*time.Hour, acme) }, fault: on("POST", 1, dropBefore),
			rows: table("name|company", "Ada|Acme"), want: []string{"accepted created"}, recs: "Acme Acme"},
		{name: "the other of two twins is done", load: create, fault: on("POST", 2, dropBefore), rows: table("name", "A", "A"), want: []string{"accepted created", "accepted created"}, recs: "A A"},
		{name: "both twins are done", load: create, fault: on("POST", 2, dropAfter), rows: table("name", "A", "A"), want: []string{"accepted created", "accepted created"}, recs: "A A"},
		{name: "both twins are done, ledger can't count", load: create, blind: true, fault: on("POST", 2, dropAfter), rows: table("name", "A", "A"), want: []string{"accepted created", "accepted created"}, recs: "A A"},
		{name: "the other of two twins is done, ledger can't count", load: create, blind: true, fault: on("POST", 2, dropBefore), rows: table("name", "A", "A"), want: []string{"accepted created", "accepted created"}, recs: "A A"},
		{name: "a row with less is no twin of one with more", load: create, fault: on("POST", 2, dropBefore), rows: table("name|city", "A|Berlin", "A|-"), want: []string{"accepted created", "accepted created"}, recs: "A A"},
		{name: "a row with less, both done", load: create, fault: on("POST", 2, dropAfter), rows: table("name|city", "A|Berlin", "A|-"), want: []string{"accepted created", "accepted created new0000001"}, recs: "A A"},
		{name: "a vendor's default colour is no difference", load: create, fault: on("POST", 1, dropAfter), rows: table("name|color", "A|-"), want: []string{"accepted created new0000000"}, recs: "A"},
		{name: "two equal ones appeared", load: create, have: func(f *fake) { f.add("a", 0, acme); f.add("b", 0, acme) }, fault: on("POST", 1, dropBefore),
			rows: table("name|company", "Ada|Acme", "B|B"), want: []string{"unsure :unsure", "accepted created"}, recs: "Acme Acme B"},
		{name: "hold", load: schema.Load{Mode: schema.Create, Unsure: schema.Hold}, fault: on("POST", 1, dropAfter), rows: table("name", "A", "B"), want: []string{"unsure :unsure", "accepted created"}, recs: "A B"},
		{name: "resend", load: schema.Load{Mode: schema.Create, Unsure: schema.Resend}, fault: on("POST", 1, dropAfter), rows: table("name", "A"), want: []string{"accepted created"}, recs: "A A"},
		{name: "nothing works any more", load: create, fault: always("POST", error500), rows: table("name", "A", "B"), want: []string{"pending", "pending"}, err: "500"},
		{name: "doubt: it is there", load: create, have: func(f *fake) { f.add("a", time.Second, acme) }, doubt: []int{0}, rows: table("name|company", "Ada|Acme"), want: []string{"accepted created a"}, recs: "Acme"},
		{name: "doubt: it is not there", load: create, doubt: []int{0}, rows: table("name|company", "Ada|Acme"), want: []string{"accepted created"}, recs: "Acme"},
		{name: "doubt: an earlier twin may be what is there", load: create, blind: true, have: func(f *fake) { f.add("a", time.Second, acme) }, doubt: []int{0}, rows: table("name|company", "Ada|Acme"),
			want: []string{"unsure :unsure"}, recs: "Acme"},
		{name: "doubt: hold", load: schema.Load{Mode: schema.Create, Unsure: schema.Hold}, doubt: []int{0}, rows: table("name", "A"), want: []string{"unsure :unsure"}},
		{name: "doubt: resend", load: schema.Load{Mode: schema.Create, Unsure: schema.Resend}, doubt: []int{0}, rows: table("name", "A"), want: []string{"accepted created"}, recs: "A"},
		{name: "no term to search for", load: create, fault: on("POST", 1, dropAfter), rows: table("name|company|address", "A/B|..|."), want: []string{"accepted created new0000000"}, recs: ".."},
		{name: "dry run", load: schema.Load{Mode: schema.Create, DryRun: true}, rows: table("name", "A"), want: []string{"accepted would create"}},

		{name: "updated", load: schema.Load{Mode: schema.Update}, have: func(f *fake) { f.add("a", time.Hour, acme) }, rows: table("id|city", "a|Berlin", "b|Rome", "|x", "../../user|x", "a|-"),
			want: []string{"accepted updated a", "rejected b id:not_found", "rejected id:required", "rejected id:id", "unchanged a"}, recs: "Acme", puts: 2},
		{name: "an update is repeated", load: schema.Load{Mode: schema.Update}, have: func(f *fake) { f.add("a", time.Hour, acme) }, fault: on("PUT", 1, dropAfter), rows: table("id|city", "a|Berlin"),
			want: []string{"accepted updated a"}, recs: "Acme", puts: 2},
		{name: "one with a note is not", load: schema.Load{Mode: schema.Update}, have: func(f *fake) { f.add("a", time.Hour, acme) }, fault: on("PUT", 1, dropAfter), rows: table("id|notes", "a|called"),
			want: []string{"accepted updated a"}, recs: "Acme", puts: 1},
		{name: "one with a note that did not arrive", load: schema.Load{Mode: schema.Update}, have: func(f *fake) { f.add("a", time.Hour, acme) }, fault: on("PUT", 1, dropBefore), rows: table("id|notes", "a|called"),
			want: []string{"unsure a :unsure"}, recs: "Acme", puts: 1},
		{name: "doubt: a note that arrived", load: schema.Load{Mode: schema.Update}, have: func(f *fake) { f.add("a", time.Second, map[string]any{"name": "A", "notes": "hello; called"}) }, doubt: []int{0},
			rows: table("id|notes", "a|called"), want: []string{"accepted updated a"}, recs: "A"},
		{name: "an empty note is none", load: schema.Load{Mode: schema.Update}, have: func(f *fake) { f.add("a", time.Hour, acme) }, rows: table("id|notes", "a|~"), want: []string{"unchanged a"}, recs: "Acme"},
		{name: "changed only", load: schema.Load{Mode: schema.Update, ChangedOnly: true}, have: func(f *fake) { f.add("a", time.Hour, acme) },
			rows: table("id|company|name", "a|Acme|  Ada ", "a|ACME|Ada", "a|Acme|Ada"), want: []string{"unchanged a", "accepted updated a", "accepted updated a"}, recs: "Acme", puts: 2},

		{name: "deleted", load: schema.Load{Mode: schema.Delete}, have: func(f *fake) { f.add("a", time.Hour, acme) }, rows: table("id|name", "a|x", "a|x", "|x"),
			want: []string{"accepted deleted a", "rejected a id:not_found", "rejected id:required"}},
		{name: "a deletion is repeated", load: schema.Load{Mode: schema.Delete}, have: func(f *fake) { f.add("a", time.Hour, acme) }, fault: on("DELETE", 1, dropAfter), rows: table("id", "a"), want: []string{"accepted deleted a"}},
		{name: "doubt: deleted before", load: schema.Load{Mode: schema.Delete}, doubt: []int{0}, rows: table("id", "a"), want: []string{"accepted deleted a"}},

		{name: "upsert", load: schema.Load{Mode: schema.Upsert}, have: func(f *fake) { f.add("a", time.Hour, acme) },
			rows: table("email|name|company", "ADA@acme.example |Ada|Acme Ltd", "bob@x.example|Bob|Bobs", "|C|C", "bob@x.example|Bob|Bobs Ltd"),
			want: []string{"accepted updated a", "accepted created", "rejected email:required", "accepted updated new0000001"}, recs: "Acme Ltd Bobs Ltd", puts: 2},
		{name: "upsert by phone", load: schema.Load{Mode: schema.Upsert, Key: "phone"}, have: func(f *fake) { f.add("a", time.Hour, acme) }, rows: table("phone|name", "1432456|Ada L"), want: []string{"accepted updated a"}, recs: "Acme", puts: 1},
		{name: "upsert finds two", load: schema.Load{Mode: schema.Upsert}, have: func(f *fake) { f.add("a", time.Hour, acme); f.add("b", time.Hour, acme) },
			rows: table("email|name", "ada@acme.example|Ada"), want: []string{"rejected email:ambiguous"}, recs: "Acme Acme"},
		{name: "upsert, answer lost", load: schema.Load{Mode: schema.Upsert}, fault: on("POST", 1, dropAfter), rows: table("email|name", "b@x.example|Bob", "b@x.example|Bobby"),
			want: []string{"accepted created new0000000", "accepted updated new0000000"}, recs: "Bobby", puts: 1},
		{name: "upsert doubt: it is there", load: schema.Load{Mode: schema.Upsert}, have: func(f *fake) { f.add("a", 0, acme) }, doubt: []int{0}, rows: table("email|name", "ada@acme.example|Ada"), want: []string{"accepted created a"}, recs: "Acme"},
		{name: "upsert of what has not changed", load: schema.Load{Mode: schema.Upsert, ChangedOnly: true}, have: func(f *fake) { f.add("a", time.Hour, acme) }, rows: table("email|name", "ada@acme.example|Ada"),
			want: []string{"unchanged a"}, recs: "Acme"},
		{name: "upsert reads a list that breaks off again", load: schema.Load{Mode: schema.Upsert}, have: func(f *fake) { f.add("a", time.Hour, acme) }, fault: on("GET", 1, cutList), rows: table("email|name", "ada@acme.example|Ada L"),
			want: []string{"accepted updated a"}, recs: "Acme", puts: 1},
		{name: "upsert by id", load: schema.Load{Mode: schema.Upsert, Key: "id"}, have: func(f *fake) { f.add("a", time.Hour, acme) }, rows: table("id|name", "a|X", "zz|Y", "|Z"),
			want: []string{"accepted updated a", "rejected zz id:not_found", "rejected id:required"}, recs: "Acme", puts: 2},
		{name: "upsert dry run", load: schema.Load{Mode: schema.Upsert, DryRun: true}, have: func(f *fake) { f.add("a", time.Hour, acme) }, rows: table("email|name", "ada@acme.example|Ada", "b@x.example|Bob", "b@x.example|Bob"),
			want: []string{"accepted would update a", "accepted would create", "accepted would update"}, recs: "Acme"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			if tt.have != nil {
				tt.have(f)
			}
			f.fault = tt.fault
			l := deliverytest.NewLedger(t)
			f.before = func(method, path string) {
				if method != "GET" && l.InFlight() == 0 {
					t.Errorf("%s %s arrived before the ledger knew", method, path)
				}
			}
			for _, i := range tt.doubt {
				tt.rows.Rows[i].Fate = record.Doubt
			}
			tt.load.Header, tt.load.Started = tt.rows.Header, time.Now().Add(-10*time.Second)
			var to pipeline.Ledger = l
			if tt.blind {
				to = deliverytest.Forgetful(l)
			}
			conn := f.connect()
			sink, err := conn.Sink(t.Context(), customers, tt.load, to)
			if err != nil {
				t.Fatal(err)
			}
			err = sink.Write(t.Context(), tt.rows)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, fates(tt.rows)); diff != "" {
				t.Errorf("fates (-want +got):\n%s\n%s", diff, strings.Join(f.calls, "\n"))
			}
			var have []string
			for _, r := range f.recs {
				have = append(have, strings.TrimSpace(cmpOr(r["company"].(string), r["name"].(string))))
			}
			if got := strings.Join(have, " "); got != tt.recs {
				t.Errorf("the vendor has %q, want %q", got, tt.recs)
			}
			if got := len(f.sent("PUT ")); got != tt.puts {
				t.Errorf("%d updates were sent, want %d: %v", got, tt.puts, f.sent("PUT "))
			}
			if tt.load.Unsure != schema.Resend && l.InFlight() > 0 && !strings.Contains(tt.name, "repeated") {
				t.Errorf("calls without outcome are left: %v", l.Log())
			}
			for i := range tt.rows.Rows {
				r := &tt.rows.Rows[i]
				if fate, told := l.Fates()[r.Num]; told && fate != r.Fate {
					t.Errorf("row %d: the ledger was told %s, the row is %s", r.Num, fate, r.Fate)
				}
				if _, told := l.Fates()[r.Num]; !told && !tt.load.DryRun && (r.Fate == record.Accepted || r.Fate == record.Unsure) {
					t.Errorf("row %d: the ledger was not told that it is %s", r.Num, r.Fate)
				}
			}
		})
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// TestManyWriters sends twins and others from many goroutines to a vendor that loses every third answer and drops every
// fifth call: each row must be there exactly once.
func TestManyWriters(t *testing.T) {
	f := newFake(t)
	f.fault = func(method, _ string, n int) string {
		switch {
		case method != "POST":
			return fine
		case n%3 == 0:
			return dropAfter
		case n%5 == 0:
			return dropBefore
		}
		return fine
	}
	var lines []string
	for i := range 60 {
		lines = append(lines, fmt.Sprintf("Twin %d|Town", i%7), fmt.Sprintf("Single %d|-", i))
	}
	all := table("name|city", lines...)
	for _, counts := range []bool{true, false} {
		f.recs, f.count = nil, map[string]int{}
		l := deliverytest.NewLedger(t)
		var to pipeline.Ledger = l
		if !counts {
			to = deliverytest.Forgetful(l)
		}
		sink, err := f.connect().Sink(t.Context(), customers, schema.Load{Header: all.Header}, to)
		if err != nil {
			t.Fatal(err)
		}
		work := make(chan int)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for i := range work {
					b := &record.Batch{Header: all.Header, Rows: all.Rows[i : i+1]}
					b.Rows[0].Fate = record.Pending
					if err := sink.Write(context.Background(), b); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for i := range all.Rows {
			work <- i
		}
		close(work)
		wg.Wait()
		want, got := map[string]int{}, map[string]int{}
		for i, fate := range fates(all) {
			want[strings.Split(lines[i], "|")[0]]++
			if !strings.HasPrefix(fate, "accepted created") {
				t.Errorf("row %d is %s: %v", i+1, fate, all.Rows[i].Err)
			}
		}
		for _, r := range f.recs {
			got[r["name"].(string)]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ledger counts %v: the vendor has (-want +got):\n%s", counts, diff)
		}
	}
}

// TestDoubtStopsTwins leaves a row in doubt, as the lookup fails: its twin must not be sent, or nobody could tell later
// which of the two is there.
func TestDoubtStopsTwins(t *testing.T) {
	f := newFake(t)
	f.fault = func(method, _ string, _ int) string {
		if method == "GET" {
			return refuse401
		}
		return dropAfter
	}
	b := table("name", "A", "A")
	l := deliverytest.NewLedger(t)
	sink, err := f.connect().Sink(t.Context(), customers, schema.Load{Header: b.Header}, l)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Rows {
		err := sink.Write(t.Context(), &record.Batch{Header: b.Header, Rows: b.Rows[i : i+1]})
		var known *api.Error
		if !errors.As(err, &known) || known.Class != api.Auth {
			t.Errorf("row %d: error %v, want one of class auth", i+1, err)
		}
	}
	if n := len(f.sent("POST")); n != 1 {
		t.Errorf("%d creates were sent, want 1", n)
	}
	if l.InFlight() != 1 {
		t.Errorf("the ledger has %d open calls, want the 1 in doubt", l.InFlight())
	}
}

// TestReplacingUpdates meets a vendor whose updates empty what they do not mention.
func TestReplacingUpdates(t *testing.T) {
	f := newFake(t)
	f.wipes = true
	f.add("a", time.Hour, map[string]any{"name": "Ada", "email": "ada@acme.example", "custom0": "x", "groups": []string{"SC"}})
	f.add("b", time.Hour, map[string]any{"name": "Bob", "email": "bob@acme.example"})
	b := table("id|name", "a|Ada L", "b|Bob L")
	l := deliverytest.NewLedger(t)
	sink, err := f.connect().Sink(t.Context(), customers, schema.Load{Mode: schema.Update, Header: b.Header}, l)
	if err != nil {
		t.Fatal(err)
	}
	err = sink.Write(t.Context(), b)
	var known *api.Error
	if !errors.As(err, &known) || known.Class != api.Setup || !strings.Contains(err.Error(), "groups, email, custom0") && !strings.Contains(err.Error(), "email, groups, custom0") {
		t.Errorf("error %v, want one of class config that names the fields", err)
	}
	if got := f.recs[0]; got["name"] != "Ada L" || got["email"] != "ada@acme.example" || got["custom0"] != "x" {
		t.Errorf("the customer was not put right: %v", got)
	}
	if diff := cmp.Diff([]string{"accepted updated a", "pending"}, fates(b)); diff != "" {
		t.Error(diff)
	}
	if f.recs[1]["email"] != "bob@acme.example" {
		t.Error("the second customer was touched")
	}
}

func TestPayloads(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "a.pdf"), []byte(pdf), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, object string
		load         schema.Load
		rows         *record.Batch
		want         string
		problem      string
	}{
		{name: "texts stay texts", object: customers, rows: table("name|zip|phone|custom3", "A|02345|+1 432|007"), want: `{"name":"A","zip":"02345","phone":"+1 432","custom3":"007"}`},
		{name: "absent, null, empty", object: customers, rows: table("name|city|dealAmount|groups|company", "A|-|~|~|~"), want: `{"name":"A","dealAmount":null,"groups":[],"company":""}`},
		{name: "types", object: customers, rows: table("name|dealAmount|groups|color|lastVisit|remindAt|latitude", "A|1250.50| SC ;;New Leads;SC|Neon RED|2016-05-26T20:52:46Z|1466124582|-0.5"),
			want: `{"name":"A","dealAmount":1250.50,"groups":["SC","New Leads"],"color":"neon red","lastVisit":1464295966,"remindAt":1466124582,"latitude":-0.5}`},
		{name: "gray", object: customers, rows: table("name|color", "A|Gray"), want: `{"name":"A","color":"grey"}`},
		{name: "no number", object: customers, rows: table("name|dealAmount", "A|1,5"), problem: "dealAmount:number"},
		{name: "file", object: customers, load: schema.Load{Attachments: folder}, rows: table("name|file", "A|a.pdf"), want: `{"name":"A","file":"JVBERi0xLjQKYW4gYXR0YWNobWVudA=="}`},
		{name: "no folder", object: customers, rows: table("name|file", "A|a.pdf"), problem: "file:file"},
		{name: "no file named", object: customers, rows: table("name|file", "A|"), want: `{"name":"A"}`},
		{name: "delete", object: customers, load: schema.Load{Mode: schema.Delete}, rows: table("id|name", "abc|x"), want: `{"id":"abc"}`},
		{name: "route of ids", object: routes, rows: table("routeName|customerIds", "r|a; b;a"), want: `{"routeName":"r","customerIds":["a","b","a"]}`},
		{name: "route of both", object: routes, rows: table("routeName|customerId|customerIds", "r|a|-", "r|-|b;c"), want: `{"routeName":"r","customerIds":["a","b","c"]}`},
		{name: "route of none", object: routes, rows: table("routeName|customerId", "r|"), problem: "customerId:required"},
		{name: "groups", object: groups, rows: table("group", "a", " b ", "a"), want: `{"groups":["a","b"]}`},
		{name: "labels", object: customfields, rows: table("label|slot", "b\"d|0", "x|9"), want: `{"b\"d":0,"x":9}`},
		{name: "slot 10", object: customfields, rows: table("label|slot", "b|10"), problem: "slot:max"},
		{name: "slot twice", object: customfields, rows: table("label|slot", "b|1", "c|1"), problem: "slot:unique"},
		{name: "label twice", object: customfields, rows: table("label|slot", "b|1", "B|2"), problem: "label:unique"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.load.Header = tt.rows.Header
			render, err := Payloads(tt.object, tt.load)
			if err != nil {
				t.Fatal(err)
			}
			var rows []*record.Row
			for i := range tt.rows.Rows {
				rows = append(rows, &tt.rows.Rows[i])
			}
			got, err := render([]byte("x"), rows)
			problem := ""
			if ps := record.ProblemsOf(err); len(ps) > 0 {
				problem = ps[0].Field + ":" + ps[0].Rule
			}
			if problem != tt.problem || err == nil && string(got) != "x"+tt.want {
				t.Errorf("got %s, problem %q (%v); want %s, problem %q", got, problem, err, tt.want, tt.problem)
			}
		})
	}
}

func TestLayoutErrors(t *testing.T) {
	tests := []struct {
		object string
		load   schema.Load
		header string
		want   string
	}{
		{customers, schema.Load{}, "name|nmae", `no field "nmae"`},
		{customers, schema.Load{}, "city", "name or company"},
		{customers, schema.Load{Mode: schema.Update}, "name", "needs the field id"},
		{customers, schema.Load{Mode: schema.Update}, "id", "nothing to update"},
		{customers, schema.Load{Mode: schema.Update}, "id|file", "field file of customers can't be written with mode update"},
		{customers, schema.Load{Mode: schema.Upsert}, "city", "needs one of the fields email, id, phone, company, name"},
		{customers, schema.Load{Mode: schema.Upsert, Key: "email"}, "name", "no column is mapped"},
		{customers, schema.Load{Mode: schema.Upsert, Key: "groups"}, "name|groups", "can't match"},
		{customers, schema.Load{Mode: schema.Send}, "name", "no mode send"},
		{customers, schema.Load{}, "name|createdAt", "can't be written"},
		{territories, schema.Load{}, "name", "can't be imported"},
		{routes, schema.Load{}, "routeName", "customerId"},
		{groups, schema.Load{}, "", "group"},
	}
	for _, tt := range tests {
		tt.load.Header = table(tt.header).Header
		if _, err := Payloads(tt.object, tt.load); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s %s: error %v, want one with %q", tt.object, tt.load.Mode, tt.header, err, tt.want)
		}
	}
}

func TestUpsertKeyDefaults(t *testing.T) {
	for header, want := range map[string]string{"name|email": "email", "name|id|phone": "id", "name|phone": "phone", "name|company": "company", "name|city": "name"} {
		l, err := newLayout(customers, schema.Load{Mode: schema.Upsert}, table(header).Header)
		if err != nil || l.load.Key != want {
			t.Errorf("%s: key %q, %v; want %q", header, l.load.Key, err, want)
		}
	}
}

// TestFiles checks attachments, and that nothing outside of the folder can be reached.
func TestFiles(t *testing.T) {
	top := t.TempDir()
	folder := filepath.Join(top, "in")
	for name, content := range map[string]string{
		"in/ok.pdf": pdf, "in/sub/ok.png": "\x89PNG\r\n\x1a\nxxx", "in/ok.jpg": "\xff\xd8\xff\xe0", "in/ok.gif": "GIF89a..", "in/ok.webp": "RIFF\x00\x00\x00\x00WEBPVP8 ",
		"in/no.webp": "RIFF\x00\x00\x00\x00WAVEfmt ", "in/no.txt": "hello", "in/empty.pdf": "", "out.pdf": pdf,
		"in/most.pdf": "%PDF-" + strings.Repeat("x", maxFile-5), "in/large.pdf": "%PDF-" + strings.Repeat("x", maxFile-4),
	} {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"away.pdf": "../out.pdf", "near.pdf": "ok.pdf", "up": ".."} {
		if err := os.Symlink(to, filepath.Join(folder, link)); err != nil && runtime.GOOS == "windows" {
			t.Skip("Windows asks for a right to make symbolic links: ", err)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	good := []string{"ok.pdf", "sub/ok.png", `sub\ok.png`, "ok.jpg", "ok.gif", "ok.webp", "near.pdf", "most.pdf", " ok.pdf "}
	bad := []string{"no.webp", "no.txt", "empty.pdf", "large.pdf", "../out.pdf", "away.pdf", "up/out.pdf", filepath.Join(top, "out.pdf"), "none.pdf", "sub", "."}
	var lines []string
	for _, name := range append(slices.Clone(good), bad...) {
		lines = append(lines, "A|"+name)
	}
	b := table("name|file", append(lines, "A|-")...)
	step, err := Check(customers, schema.Load{Attachments: folder})
	if err != nil {
		t.Fatal(err)
	}
	if err := step.Apply(b); err != nil {
		t.Fatal(err)
	}
	for i, fate := range fates(b) {
		want := "pending"
		if i >= len(good) && i < len(good)+len(bad) {
			want = "rejected file:file"
		}
		if fate != want {
			t.Errorf("%q is %s, want %s: %v", b.Rows[i].Values[1].Text(), fate, want, b.Rows[i].Err)
		}
	}
}
