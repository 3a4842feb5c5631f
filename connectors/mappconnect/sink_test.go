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
		{name: "all bad, many", object: objUser, rows: users(1000), fault: always("400 no mapping"), want: []string{"1-1000 pending"}, class: api.Setup, calls: 47},
		{name: "all bad, many, no limit", object: objUser, rows: users(110), settings: []string{keyRefusals, "0"}, fault: always("400 no mapping"), want: []string{"1-110 rejected :vendor"}, calls: 219},
		{name: "all bad, in doubt before", object: objUser, rows: doubtful(users(30)), fault: always("400 no mapping"), want: []string{"1-30 doubt"}, class: api.Setup, calls: 41},
		{name: "every other bad", object: objUser, rows: users(128), fault: odd("400 no"), want: alternating(128), calls: 255, events: 64},
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

		{name: "code in 200", object: objUser, rows: users(1), fault: always(answering + `{"errorCode":"INVALID_REQUEST","message":"the email is wrong"}`), want: []string{"1-1 rejected email:vendor"}, calls: 1},
		{name: "code in 200, batch", object: objUser, rows: users(3), fault: once(answering + `{"errorCode":"INVALID_REQUEST"}`), want: []string{"1-3 accepted accepted"}, calls: 3, events: 3},
		{name: "no code in 200", object: objUser, rows: users(3), fault: once(answering + `{"errorCode":"","error":null,"taken":3}`), want: []string{"1-3 accepted accepted"}, calls: 1},
		{name: "no error in a list", object: objUser, rows: users(2), fault: once(answering + ` [{"index":0},{"index":1,"errorCode":0}]`), want: []string{"1-2 accepted accepted"}, calls: 1},
		{name: "feedback in 200", object: objUser, rows: users(2), fault: always(answering + `[{"errorCode":"MISSING_FIELD","description":"skipping"}]`), want: []string{"1-2 rejected :vendor"}, calls: 3},
		{name: "places in 200", object: objUser, rows: users(3), fault: once(answering + `[{"index":0},{"index":2,"error":"bad group"}]`), want: []string{"1-2 accepted accepted", "3-3 rejected group:vendor"}, calls: 1},
		{name: "places from 1 in 200", object: objUser, rows: users(3), fault: once(answering + `[{"index":2,"error":"bad group"},{"index":3,"error":"bad group"}]`), want: []string{"1-1 accepted accepted", "2-3 rejected group:vendor"}, calls: 1},
		{name: "places in doubt in 200", object: objUser, rows: users(3), fault: once(answering + `[{"index":1,"error":"bad"}]`), want: []string{"1-3 accepted accepted"}, calls: 3, events: 3},
		{name: "one place twice in 200", object: objUser, rows: users(3), fault: once(answering + `[{"index":0,"error":"a"},{"index":0,"error":"b"}]`), want: []string{"1-3 accepted accepted"}, calls: 3, events: 3},
		{name: "one place good and bad in 200", object: objUser, rows: users(3), fault: once(answering + `[{"index":0},{"index":0,"error":"b"},{"index":1}]`), want: []string{"1-3 accepted accepted"}, calls: 3, events: 3},
		{name: "feedback in 200, mail", object: objEmail, rows: users2(mail), fault: always(answering + `[{"errorCode":"MISSING_FIELD"}]`), want: []string{"1-3 unsure :unsure"}, calls: 1},
		{name: "places in 200, mail", object: objEmail, rows: users2(mail), fault: always(answering + `[{"index":0,"errorCode":"MISSING_FIELD"}]`), want: []string{"1-1 rejected :vendor", "2-3 accepted accepted"}, calls: 1},

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
			if n := len(l.InDoubt()); n != tt.doubt {
				t.Errorf("%d rows are left in doubt, want %d", n, tt.doubt)
			}
			for _, r := range tt.rows.Rows {
				if tt.load.DryRun || len(f.calls) == 0 && r.Fate != record.Unsure {
					continue
				}
				if fate, ok := l.Fates()[r.Num]; ok != !r.Fate.Open() && r.Err == nil || ok && fate != r.Fate {
					t.Errorf("row %d is %s, and the ledger says %s", r.Num, r.Fate, fate)
				}
			}
		})
	}
}

// odd refuses calls with an event whose number is odd.
// TestIntents checks which calls wait until their intent is durable: those whose events must not be sent twice, and all if
// rows in doubt are to be left alone.
func TestIntents(t *testing.T) {
	for name, tt := range map[string]struct {
		object string
		load   schema.Load
		rows   *record.Batch
		want   []string
	}{
		"users":       {object: objUser, rows: users(2), want: []string{"send again 1 rows 1,2"}},
		"users, hold": {object: objUser, load: schema.Load{Unsure: schema.Hold}, rows: users(2), want: []string{"send 1 rows 1,2"}},
		"mails":       {object: objEmail, rows: table("email|messageId", "a@example.com|1"), want: []string{"send 1 rows 1"}},
		"mails, resend": {object: objEmail, load: schema.Load{Unsure: schema.Resend}, rows: table("email|messageId", "a@example.com|1"),
			want: []string{"send 1 rows 1"}},
		"both kinds": {object: objUser, rows: table("email|messageId", "a@x.com|-", "b@x.com|9"), want: []string{"send again 1 rows 1", "send 2 rows 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			l := newLedger(t)
			if err := f.load(f.connect(), tt.object, tt.load, l, tt.rows); err != nil {
				t.Fatal(err)
			}
			sent := slices.DeleteFunc(l.Log(), func(s string) bool { return !strings.HasPrefix(s, "send") })
			if diff := cmp.Diff(tt.want, sent); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func odd(status string) func(int, []string) string {
	return func(_ int, events []string) string {
		for _, e := range events {
			if at := strings.IndexByte(e, '@'); (e[at-1]-'0')%2 == 1 {
				return status
			}
		}
		return fine
	}
}

// alternating are the fates of rows of which every odd one is refused.
func alternating(n int) []string {
	var want []string
	for i := 1; i < n; i += 2 {
		want = append(want, fmt.Sprintf("%d-%d rejected :vendor", i, i), fmt.Sprintf("%d-%d accepted accepted", i+1, i+1))
	}
	return want
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

// TestAfterSuccess: refusals that come after a success are sought out, but not without end: then the rows stay open, and
// whoever resumes sends them.
func TestAfterSuccess(t *testing.T) {
	vary := func(n int) string { return "400 " + strings.Repeat("x", n%97) + " is no group" }
	same := func(n int) string { return fmt.Sprintf(`400 row %d has no group "%s"`, n, strings.Repeat("x", n%97)) }
	for _, tt := range []struct {
		name   string
		rows   int
		refuse func(n int) string
		want   string
		stops  bool
	}{
		{name: "few", rows: 60, refuse: same, want: "1-60 rejected group:vendor"},
		{name: "many", rows: 64, refuse: same, want: "1-64 pending", stops: true},
		{name: "few in other words", rows: 90, refuse: vary, want: "1-90 rejected group:vendor"},
		{name: "many in other words", rows: 500, refuse: vary, want: "1-500 pending", stops: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, l := newFake(t), newLedger(t)
			f.fault = func(n int, _ []string) string {
				if n == 1 {
					return fine
				}
				return tt.refuse(n)
			}
			c := f.connect()
			s, err := c.Sink(t.Context(), objUser, schema.Load{Header: users(1).Header}, l)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Write(t.Context(), users(1)); err != nil {
				t.Fatal(err)
			}
			b := users(tt.rows)
			for i := range b.Rows {
				b.Rows[i].Num += 1000
			}
			err = s.Write(t.Context(), b)
			if (err != nil) != tt.stops || tt.stops && classOf(err) != api.Setup {
				t.Fatalf("error is %v", err)
			}
			if diff := cmp.Diff([]string{tt.want}, fates(b)); diff != "" {
				t.Error(diff)
			}
			if n := len(l.InDoubt()); n != 0 {
				t.Errorf("%d rows are in doubt", n)
			}
			if err := errors.Join(s.Commit(t.Context()), s.Close()); err != nil {
				t.Error(err)
			}
			if !tt.stops {
				return
			}
			if len(f.calls) > 1+2*201 || len(l.Fates()) != 1 {
				t.Errorf("%d calls, %d rows are settled", len(f.calls), len(l.Fates()))
			}
			f.fault = nil // it was mended
			if err := f.load(c, objUser, schema.Load{}, l, b); err != nil || fates(b)[0] != fmt.Sprintf("1-%d accepted accepted", tt.rows) {
				t.Errorf("resumed: %v, %v", err, fates(b))
			}
		})
	}
}

// TestStopBetween: what was refused before something else was taken is the rows' fault, whatever comes later.
func TestStopBetween(t *testing.T) {
	f, l := newFake(t), newLedger(t)
	f.fault = func(_ int, events []string) string {
		if len(events) == 1 && strings.Contains(events[0], `"u5@`) {
			return fine
		}
		return "400 no mapping"
	}
	b := users(100)
	if err := f.load(f.connect(), objUser, schema.Load{}, l, b); classOf(err) != api.Setup {
		t.Fatalf("error is %v", err)
	}
	if diff := cmp.Diff([]string{"1-4 rejected :vendor", "5-5 accepted accepted", "6-100 pending"}, fates(b)); diff != "" || len(l.Fates()) != 5 {
		t.Errorf("%s; settled: %v", diff, l.Fates())
	}
}

func TestAlike(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"no mapping", "no mapping", true},
		{"no mapping", "no group", false},
		{"row 7 is bad", "row 1234 is bad", true},
		{`group "a b" is unknown`, `group "c" is unknown`, true},
		{"group 'it' is unknown", "group 'that one' is unknown", true},
		{"can't read it, can't say why", "can't read that, can't say why", false},
		{"ann@x.example is bad", "bob@y.example is bad", true},
		{"id 1b4e28ba-2fa1-11d2 is bad", "id ffff-0 is bad", true},
		{"an open \"quote", "an open \"quotation", false},
		{"", "", true},
	} {
		if got := alike(tt.a) == alike(tt.b); got != tt.want {
			t.Errorf("%q and %q: %v (%q, %q)", tt.a, tt.b, got, alike(tt.a), alike(tt.b))
		}
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
		if diff := cmp.Diff(want, fates(b)); diff != "" || len(l.InDoubt()) != doubt {
			t.Errorf("%s: %s; in doubt: %v", object, diff, l.InDoubt())
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
	if !errors.Is(err, api.ErrStopped) || len(f.calls) != 1 || len(l.InDoubt()) != 3 {
		t.Errorf("%v after %d calls, in doubt %v", err, len(f.calls), l.InDoubt())
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
