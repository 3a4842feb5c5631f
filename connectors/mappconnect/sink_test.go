package mappconnect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

func classOf(err error) api.Class {
	var e *api.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Class
}

// poison refuses calls with events that contain one of the words.
func poison(status string, words ...string) func(int, []string) string {
	return func(_ int, events []string) string {
		for _, e := range events {
			for _, w := range words {
				if strings.Contains(e, w) {
					return status
				}
			}
		}
		return fine
	}
}

func always(what string) func(int, []string) string {
	return func(int, []string) string { return what }
}

func once(what string) func(int, []string) string {
	return func(n int, _ []string) string { return map[int]string{1: what}[n] }
}

func TestFates(t *testing.T) {
	mail := table("email|messageId", "a@example.com|1", "b@example.com|1", "c@example.com|1")
	tests := []struct {
		name, object string
		load         schema.Load
		rows         *record.Batch
		fault        func(int, []string) string
		settings     []string
		want         []string
		class        api.Class // of the error
		calls        int
		doubt        int // rows
		events       int // that the vendor has taken, those taken twice counted twice
	}{
		{name: "good", object: objUser, rows: users(3), want: []string{"1-3 accepted accepted"}, calls: 1, events: 3},
		{name: "one", object: objUser, rows: users(1), want: []string{"1-1 accepted accepted"}, calls: 1, events: 1},
		{name: "batches by size", object: objUser, rows: users(25), settings: []string{keyBatchSize, "10"}, want: []string{"1-25 accepted accepted"}, calls: 3, events: 25},
		{name: "batches by bytes", object: objUser, rows: users(60), settings: []string{keyBatchBytes, "1024"}, want: []string{"1-60 accepted accepted"}, calls: 3, events: 60},
		{name: "poison", object: objUser, rows: users(1000), fault: poison("400 bad event", `"u357@`), want: []string{"1-356 accepted accepted", "357-357 rejected :vendor", "358-1000 accepted accepted"}, calls: 21, events: 999},
		{name: "poison first and last", object: objUser, rows: users(8), fault: poison("422 bad event", `"u1@`, `"u8@`), want: []string{"1-1 rejected :vendor", "2-7 accepted accepted", "8-8 rejected :vendor"}, calls: 11, events: 6},
		{name: "field named", object: objUser, rows: users(1), fault: always("400 the email is wrong"), want: []string{"1-1 rejected email:vendor"}, calls: 1},
		{name: "all bad, few", object: objUser, rows: users(8), fault: always("400 no"), want: []string{"1-8 rejected :vendor"}, calls: 15},
		{name: "all bad, many", object: objUser, rows: users(1000), fault: always("400 no mapping"), want: []string{"1-20 rejected :vendor", "21-1000 pending"}, class: api.Setup, calls: 47},
		{name: "too long", object: objUser, rows: users(8), fault: func(_ int, e []string) string {
			if len(e) > 2 {
				return "413 too large"
			}
			return fine
		}, want: []string{"1-8 accepted accepted"}, calls: 7, events: 8},
		{name: "auth", object: objUser, rows: users(8), fault: always("401 no"), want: []string{"1-8 pending"}, class: api.Auth, calls: 1},
		{name: "permission", object: objUser, rows: users(8), fault: always("403 no"), want: []string{"1-8 pending"}, class: api.Permission, calls: 1},
		{name: "not there", object: objUser, rows: users(8), fault: always("404 no"), want: []string{"1-8 pending"}, class: api.Setup, calls: 1},
		{name: "account expired", object: objUser, rows: users(8), fault: always("417 expired"), want: []string{"1-8 pending"}, class: api.Setup, calls: 1},
		{name: "throttled", object: objEmail, rows: users2(mail), fault: once("500 Database Access Limit Exceeded"), want: []string{"1-3 accepted accepted"}, calls: 2, events: 3},
		{name: "error in 200", object: objUser, rows: users(2), fault: always(errorIn200), want: []string{"1-2 rejected :vendor"}, calls: 3},
		{name: "error in 200, mail", object: objEmail, rows: users2(mail), fault: always(errorIn200), want: []string{"1-3 unsure :unsure"}, calls: 1},

		{name: "lost before", object: objUser, rows: users(8), fault: once(dropBefore), want: []string{"1-8 accepted accepted"}, calls: 2, events: 8},
		{name: "lost after", object: objUser, rows: users(8), fault: once(dropAfter), want: []string{"1-8 accepted accepted"}, calls: 2, events: 16},
		{name: "page after", object: objUser, rows: users(8), fault: once(pageAfter), want: []string{"1-8 accepted accepted"}, calls: 2, events: 16},
		{name: "failing once", object: objUser, rows: users(8), fault: once("502"), want: []string{"1-8 accepted accepted"}, calls: 2, events: 8},
		{name: "failing event", object: objUser, rows: users(8), fault: poison("500 boom", `"u3@`), want: []string{"1-2 accepted accepted", "3-3 unsure :unsure", "4-8 accepted accepted"}, calls: 6 + 3 + 1 + 3 + 3 + 1 + 1, events: 7},
		{name: "failing vendor", object: objUser, rows: users(4), fault: always("500 boom"), want: []string{"1-4 unsure :unsure"}, calls: 6 + 6*3, events: 0},

		{name: "mail lost before", object: objEmail, rows: users2(mail), fault: once(dropBefore), want: []string{"1-3 unsure :unsure"}, calls: 1},
		{name: "mail lost after", object: objEmail, rows: users2(mail), fault: once(dropAfter), want: []string{"1-3 unsure :unsure"}, calls: 1, events: 3},
		{name: "mail lost, resend", object: objEmail, load: schema.Load{Unsure: schema.Resend}, rows: users2(mail), fault: once(dropAfter), want: []string{"1-3 accepted accepted"}, calls: 2, events: 6},
		{name: "mail refused", object: objEmail, rows: users2(mail), fault: poison("400 no", "b@"), want: []string{"1-1 accepted accepted", "2-2 rejected :vendor", "3-3 accepted accepted"}, calls: 5, events: 2},
		{name: "mail in doubt", object: objEmail, rows: doubtful(users2(mail)), want: []string{"1-3 unsure :unsure"}},
		{name: "mail in doubt, resend", object: objEmail, load: schema.Load{Unsure: schema.Resend}, rows: doubtful(users2(mail)), want: []string{"1-3 accepted accepted"}, calls: 1, events: 3},
		{name: "in doubt", object: objUser, rows: doubtful(users(3)), want: []string{"1-3 accepted accepted"}, calls: 1, events: 3},
		{name: "in doubt, hold", object: objUser, load: schema.Load{Unsure: schema.Hold}, rows: doubtful(users(3)), want: []string{"1-3 unsure :unsure"}},
		{name: "dry run", object: objUser, load: schema.Load{DryRun: true}, rows: users(3), want: []string{"1-3 accepted would upsert"}},

		{name: "both kinds", object: objUser, rows: table("email|messageId", "a@x.com|-", "b@x.com|9", "c@x.com|9", "d@x.com|-"), fault: once(fine), want: []string{"1-4 accepted accepted"}, calls: 3, events: 4},
		{name: "both kinds, one lost", object: objUser, rows: table("email|messageId", "a@x.com|-", "b@x.com|9", "c@x.com|9", "d@x.com|-"),
			fault: poison(dropAfter, `"9"`), want: []string{"1-1 accepted accepted", "2-3 unsure :unsure", "4-4 accepted accepted"}, calls: 3, events: 4},
		{name: "related add lost", object: objRelated, load: schema.Load{Mode: schema.Add}, rows: table("datasetName|key|importMode|attributes", `d|1|-|{"a":"b"}`, `d|1|update|{"a":"b"}`), fault: once(dropAfter),
			want: []string{"1-1 unsure :unsure", "2-2 accepted accepted"}, calls: 2, events: 2},
		{name: "double opt-in lost", object: objUser, rows: table("email|doubleOptIn", "a@x.com|true", "b@x.com|false"), fault: once(dropAfter), want: []string{"1-1 unsure :unsure", "2-2 accepted accepted"}, calls: 2, events: 2},
		{name: "unfit", object: objCart, rows: table("email|sku|createdAt", "a@x.com|1|2024-01-01", "a@x.com|2|soon", "a@x.com|3|-"), want: []string{"1-1 accepted accepted", "2-2 rejected createdAt:datetime", "3-3 accepted accepted"}, calls: 1, events: 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, l := newFake(t), newLedger(t)
			f.fault = tt.fault
			err := f.load(f.connect(tt.settings...), tt.object, tt.load, l, tt.rows)
			if (err != nil) != (tt.class != "") || classOf(err) != tt.class {
				t.Fatalf("error is %v, want one of class %q", err, tt.class)
			}
			if diff := cmp.Diff(tt.want, fates(tt.rows)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(f.calls) != tt.calls || len(f.events) != tt.events {
				t.Errorf("%d calls and %d events, want %d and %d", len(f.calls), len(f.events), tt.calls, tt.events)
			}
			if n := len(l.inDoubt()); n != tt.doubt {
				t.Errorf("%d rows are left in doubt, want %d", n, tt.doubt)
			}
			for _, r := range tt.rows.Rows {
				if tt.load.DryRun || len(f.calls) == 0 && r.Fate != record.Unsure {
					continue
				}
				if fate, ok := l.done[r.Num]; ok != !r.Fate.Open() && r.Err == nil || ok && fate != r.Fate {
					t.Errorf("row %d is %s, and the ledger says %s", r.Num, r.Fate, fate)
				}
			}
		})
	}
}

// users2 copies a batch, so that several tests can have it.
func users2(b *record.Batch) *record.Batch {
	c := &record.Batch{Header: b.Header, Origin: b.Origin, Rows: slices.Clone(b.Rows)}
	return c
}

func doubtful(b *record.Batch) *record.Batch {
	for i := range b.Rows {
		b.Rows[i].Fate = record.Doubt
	}
	return b
}

// TestOrder: whatever is refused on the way, the events that are taken arrive in the rows' order.
func TestOrder(t *testing.T) {
	f := newFake(t)
	f.fault = poison("400 no", `"u7@`, `"u50@`, `"u51@`, `"u99@`)
	b := users(100)
	if err := f.load(f.connect(keyBatchSize, "64"), objUser, schema.Load{}, newLedger(t), b); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range b.Rows {
		if b.Rows[i].Fate == record.Accepted {
			want = append(want, fmt.Sprintf(`{"email":"u%d@example.com","group":"1"}`, i+1))
		}
	}
	if diff := cmp.Diff(want, f.events); diff != "" || len(want) != 96 {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAfterSuccess: once something was taken, refusals are sought out to the end, however many there are.
func TestAfterSuccess(t *testing.T) {
	f := newFake(t)
	f.fault = func(n int, _ []string) string {
		if n == 1 {
			return fine
		}
		return "400 no"
	}
	c := f.connect()
	s, err := c.Sink(t.Context(), objUser, schema.Load{Header: users(1).Header}, newLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	b := users(64)
	for _, b := range []*record.Batch{users(1), b} {
		if err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"1-64 rejected :vendor"}, fates(b)); diff != "" {
		t.Error(diff)
	}
	if err := errors.Join(s.Commit(t.Context()), s.Close()); err != nil {
		t.Error(err)
	}
}

// TestShrink: a body that was too long makes later ones shorter.
func TestShrink(t *testing.T) {
	f := newFake(t)
	limit := 2000
	f.fault = func(_ int, events []string) string {
		if len(strings.Join(events, ","))+2 > limit {
			return "413 too large"
		}
		return fine
	}
	c := f.connect()
	s, err := c.Sink(t.Context(), objUser, schema.Load{Header: users(1).Header}, newLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		before := len(f.calls)
		b := users(100)
		if err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"1-100 accepted accepted"}, fates(b)); diff != "" {
			t.Error(diff)
		}
		refused := 0
		for _, body := range f.bodies[before:] {
			if len(body) > limit {
				refused++
			}
		}
		if i == 1 && refused > 0 {
			t.Errorf("%d bodies were too long again", refused)
		}
	}
}

// TestOutage: a vendor that is gone ends the run; what may be repeated stays in doubt, what may not is unsure.
func TestOutage(t *testing.T) {
	for _, object := range []string{objUser, objEmail} {
		f, l := newFake(t), newLedger(t)
		f.fault = always(dropBefore)
		f.ping = func(int) string { return "401 gone" }
		b := table("email|messageId", "a@x.com|-", "b@x.com|-")
		err := f.load(f.connect(), object, schema.Load{}, l, b)
		if classOf(err) != api.Auth {
			t.Fatalf("%s: error is %v", object, err)
		}
		want, doubt := []string{"1-2 pending"}, 2
		if object == objEmail {
			want, doubt = []string{"1-2 unsure :unsure"}, 0
		}
		if diff := cmp.Diff(want, fates(b)); diff != "" || len(l.inDoubt()) != doubt {
			t.Errorf("%s: %s; in doubt: %v", object, diff, l.inDoubt())
		}
	}
}

// TestLostMails: five lost calls in a row end the run, though the vendor answers pings.
func TestLostMails(t *testing.T) {
	f, l := newFake(t), newLedger(t)
	f.fault = always(dropAfter)
	b := table("email|messageId", "a@x.com|1", "b@x.com|1", "c@x.com|1", "d@x.com|1", "e@x.com|1", "f@x.com|1", "g@x.com|1")
	err := f.load(f.connect(keyBatchSize, "1"), objEmail, schema.Load{}, l, b)
	if classOf(err) != api.Transient {
		t.Fatalf("error is %v", err)
	}
	if diff := cmp.Diff([]string{"1-5 unsure :unsure", "6-7 pending"}, fates(b)); diff != "" || len(f.events) != 5 {
		t.Error(diff)
	}
}

// TestStuck: a vendor that fails on every event and answers pings ends the run before all events were tried.
func TestStuck(t *testing.T) {
	f, l := newFake(t), newLedger(t)
	f.fault = func(_ int, _ []string) string { return "500 boom" }
	b := users(1000)
	c := f.connect()
	err := f.load(c, objUser, schema.Load{}, l, b)
	if classOf(err) != api.Transient || len(f.calls) > 6+13*3 {
		t.Errorf("error is %v after %d calls", err, len(f.calls))
	}
	if st := c.Stats(); st.Retried == 0 || st.Sent != int64(len(f.calls)+f.pings) {
		t.Errorf("stats are %+v", st)
	}
}

func TestWarnings(t *testing.T) {
	f := newFake(t)
	f.date = time.Now().Add(time.Hour)
	var told []string
	load := schema.Load{Warn: func(s string) { told = append(told, s) }}
	c := f.connect(keySubtypes, "browse=shown")
	for range 2 {
		if err := f.load(c, objBrowse, load, newLedger(t), table("email|sku", "a@x.com|1")); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(f.calls, []string{"POST /event?subtype=shown", "POST /event?subtype=shown"}) {
		t.Errorf("calls are %v", f.calls)
	}
	if len(told) != 2 || !strings.Contains(told[0], "behind the vendor's") { // once a run
		t.Errorf("warnings are %q", told)
	}
	f.date, told = time.Time{}, nil
	if err := f.load(f.connect(), objBrowse, load, newLedger(t), table("email|sku", "a@x.com|1")); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || !strings.Contains(told[0], "set subtype_names to browse=NAME") {
		t.Errorf("warnings are %q", told)
	}
}

func TestStop(t *testing.T) {
	f, l := newFake(t), newLedger(t)
	f.fault = always("500 boom")
	c := f.connect()
	c.sleep = func(context.Context, time.Duration) error { return api.ErrStopped }
	b := users(3)
	err := f.load(c, objUser, schema.Load{}, l, b)
	if !errors.Is(err, api.ErrStopped) || len(f.calls) != 1 || len(l.inDoubt()) != 3 {
		t.Errorf("%v after %d calls, in doubt %v", err, len(f.calls), l.inDoubt())
	}
}

func TestGroups(t *testing.T) {
	f := newFake(t)
	b := table("orderId|email|currency|items.sku|items.dims.w", "1|a@x.com|-|A|5", "1|-|GBP|B|-", "2|b@x.com|-|-|-", "3|c@x.com|GBP|C|-", "3|c@x.com|EUR|D|-")
	for i, g := range []int64{1, 1, 0, 4, 4} {
		b.Rows[i].Group = g
	}
	if err := f.load(f.connect(), objTransaction, schema.Load{}, newLedger(t), b); err != nil {
		t.Fatal(err)
	}
	want := []string{`{"orderId":"1","email":"a@x.com","currency":"GBP","items":[{"sku":"A","dims":{"w":"5"}},{"sku":"B"}]}`, `{"orderId":"2","email":"b@x.com"}`}
	if diff := cmp.Diff(want, f.events); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1-3 accepted accepted", "4-5 rejected currency:group"}, fates(b)); diff != "" {
		t.Error(diff)
	}
}
