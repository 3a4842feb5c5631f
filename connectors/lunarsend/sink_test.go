package lunarsend

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// once returns a fault function that asks for what at the nth call of a kind.
func once(kind string, nth int, what string) func(string, int) string {
	return func(k string, n int) string {
		if k == kind && n == nth {
			return what
		}
		return fine
	}
}

// always returns a fault function that asks for what at every call of a kind.
func always(kind, what string) func(string, int) string {
	return func(k string, _ int) string {
		if k == kind {
			return what
		}
		return fine
	}
}

// write runs a batch through a sink.
func write(t *testing.T, c *Conn, load schema.Load, b *record.Batch) (*deliverytest.Ledger, error) {
	t.Helper()
	l := deliverytest.NewLedger(t)
	load.Header = b.Header
	s, err := c.Sink(t.Context(), contacts, load, l)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Write(t.Context(), b)
	if rows := l.InDoubt(); len(rows) > 0 && err == nil {
		t.Errorf("rows %v have no outcome", rows)
	}
	return l, err
}

var ada = map[string]any{"first_name": "Ada", "last_name": "Byron", "email": "ada@x.example", "phone": "+1 555", "company": "Engines"}

const adaHeader, adaRow = "first_name|last_name|email|phone|company", "Ada|Byron|ada@x.example|+1 555|Engines"

func TestCreate(t *testing.T) {
	const first = "12345678900000000000"
	tests := []struct {
		name   string
		rows   []string
		set    []string
		before func(f *fake)
		want   []string
		count  int // contacts afterwards
	}{
		{name: "plain", want: []string{"accepted created " + first}, count: 1},
		{name: "answer lost, ids only", before: func(f *fake) { f.fault = once("create", 1, dropAfter) }, want: []string{"accepted created " + first}, count: 1},
		{name: "answer lost, one id", before: func(f *fake) { f.shape, f.fault = "one", once("create", 1, dropAfter) }, want: []string{"accepted created " + first}, count: 1},
		{name: "answer lost, full", before: func(f *fake) { f.shape, f.fault = "full", once("create", 1, dropAfter) }, want: []string{"accepted created " + first}, count: 1},
		{name: "answer lost, data", before: func(f *fake) { f.shape, f.fault = "data", once("create", 1, pageAfter) }, want: []string{"accepted created " + first}, count: 1},
		{name: "not understood", before: func(f *fake) { f.fault = once("create", 1, emptyAfter) }, want: []string{"accepted created " + first}, count: 1},
		{name: "answer without an id", before: func(f *fake) { f.fault = once("create", 1, noID) }, want: []string{"accepted created " + first}, count: 1},
		{name: "answer without an id, full", before: func(f *fake) { f.shape, f.fault = "full", once("create", 1, emptyList) }, want: []string{"accepted created " + first}, count: 1},
		{name: "empty answer", before: func(f *fake) { f.fault = once("create", 1, noAnswer) }, want: []string{"accepted created " + first}, count: 1},
		{name: "answer says nothing, and nothing was done", before: func(f *fake) { f.fault = once("create", 1, onlySaid) }, want: []string{"accepted created " + first}, count: 1},
		{name: "answers say nothing, and nothing is done", before: func(f *fake) { f.fault = always("create", onlySaid) }, want: []string{"unsure :unsure"}},
		{name: "answer claims it, and nothing was done", before: func(f *fake) { f.fault = once("create", 1, claimed) }, want: []string{"unsure :unsure"}},
		{name: "always without an id", rows: []string{adaRow, "Bob|B|bob@x.example|1|E"}, before: func(f *fake) { f.fault = always("create", noID) },
			want: []string{"accepted created " + first, "accepted created 12345678900000000001"}, count: 2},
		{name: "v2, answer without an id", set: []string{"profile", "v2"}, before: func(f *fake) { f.unique, f.fault = true, once("create", 1, named) }, want: []string{"accepted created " + first}, count: 1},
		{name: "call lost", before: func(f *fake) { f.fault = once("create", 1, dropBefore) }, want: []string{"accepted created " + first}, count: 1},
		{name: "call lost, one id", before: func(f *fake) { f.shape, f.fault = "one", once("create", 1, dropBefore) }, want: []string{"accepted created " + first}, count: 1},
		{name: "another 500", before: func(f *fake) { f.fault = once("create", 1, error500) }, want: []string{"accepted created " + first}, count: 1},
		{name: "refused", before: func(f *fake) { f.fault = once("create", 1, refuse400) }, want: []string{"rejected :vendor"}},
		{name: "call lost, address there before with other values", before: func(f *fake) {
			f.add("77777777", time.Hour, map[string]any{"email": "ada@x.example", "first_name": "Eve"})
			f.fault = once("create", 1, dropBefore)
		}, want: []string{"unsure :unsure"}, count: 1},
		{name: "call lost, address there before, dated", before: func(f *fake) {
			f.add("77777777", time.Hour, ada)
			f.shape, f.fault = "full", once("create", 1, dropBefore)
		}, want: []string{"accepted created 12345678900000000001"}, count: 2},
		{name: "answer lost, address there before", before: func(f *fake) {
			f.add("77777777", time.Hour, ada)
			f.fault = once("create", 1, dropAfter)
		}, want: []string{"unsure :unsure"}, count: 2},
		{name: "search by parts finds another", before: func(f *fake) {
			f.add("77777777", time.Hour, map[string]any{"email": "nada@x.example", "first_name": "Ada", "last_name": "Byron", "phone": "+1 555", "company": "Engines"})
			f.parts, f.fault = true, once("create", 1, dropBefore)
		}, want: []string{"unsure :unsure"}, count: 1},
		{name: "twins, the second lost before", rows: []string{adaRow, adaRow}, before: func(f *fake) { f.fault = once("create", 2, dropBefore) },
			want: []string{"accepted created " + first, "accepted created 12345678900000000001"}, count: 2},
		{name: "twins, the second lost after, ids only", rows: []string{adaRow, adaRow}, before: func(f *fake) { f.fault = once("create", 2, dropAfter) },
			want: []string{"accepted created " + first, "unsure :unsure"}, count: 2},
		{name: "twins, the second lost after, dated", rows: []string{adaRow, adaRow}, before: func(f *fake) { f.shape, f.fault = "full", once("create", 2, dropAfter) },
			want: []string{"accepted created " + first, "accepted created 12345678900000000001"}, count: 2},
		{name: "twins, the second lost, one id", rows: []string{adaRow, adaRow}, before: func(f *fake) { f.shape, f.fault = "one", once("create", 2, dropBefore) },
			want: []string{"accepted created " + first, "unsure :unsure"}, count: 1},
		{name: "search does not show it at first, then a duplicate", before: func(f *fake) {
			f.unique = true
			f.fault = func(kind string, n int) string {
				if kind == "create" && n == 1 {
					return dropAfter
				}
				if kind == "search" && n <= 3 {
					return missing404
				}
				return fine
			}
		}, want: []string{"accepted created " + first}, count: 1},
		{name: "duplicate", rows: []string{adaRow, adaRow}, before: func(f *fake) { f.unique = true }, want: []string{"accepted created " + first, "rejected email:vendor"}, count: 1},
		{name: "duplicate 409", rows: []string{adaRow, adaRow}, before: func(f *fake) { f.unique, f.dup = true, 409 }, want: []string{"accepted created " + first, "rejected email:vendor"}, count: 1},
		{name: "v2, answer lost", set: []string{"profile", "v2"}, before: func(f *fake) { f.unique, f.fault = true, once("create", 1, dropAfter) }, want: []string{"accepted created " + first}, count: 1},
		{name: "v2, answer lost, found on the second page", set: []string{"profile", "v2"}, before: func(f *fake) {
			for _, id := range []string{"71", "72"} {
				f.add(id, time.Hour, map[string]any{"email": id + "ada@x.example"})
			}
			f.parts, f.unique, f.fault = true, true, once("create", 1, dropAfter)
		}, want: []string{"accepted created 12345678900000000002"}, count: 3},
		{name: "v2, call lost", set: []string{"profile", "v2"}, before: func(f *fake) { f.unique, f.fault = true, once("create", 1, dropBefore) }, want: []string{"accepted created " + first}, count: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			if tt.before != nil {
				tt.before(f)
			}
			if tt.rows == nil {
				tt.rows = []string{adaRow}
			}
			b := table(adaHeader, tt.rows...)
			if _, err := write(t, f.connect(tt.set...), schema.Load{Mode: schema.Create}, b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, fates(b)); diff != "" {
				t.Errorf("%s\n%v\n%s", diff, b.Rows[len(b.Rows)-1].Err, strings.Join(f.calls, "\n"))
			}
			if len(f.recs) != tt.count {
				t.Errorf("the vendor has %d contacts, want %d", len(f.recs), tt.count)
			}
		})
	}
}

func TestThrottled(t *testing.T) {
	for _, what := range []string{limited429, limited500} {
		f := newFake(t)
		f.fault = once("create", 1, what)
		c := f.connect()
		b := table(adaHeader, adaRow)
		l, err := write(t, c, schema.Load{}, b)
		if err != nil || len(f.recs) != 1 || c.Stats().Throttled != 1 {
			t.Errorf("%s: %v, %d contacts, %+v", what, err, len(f.recs), c.Stats())
		}
		if len(f.sent("GET")) != 0 || !slices.ContainsFunc(l.Log(), func(s string) bool { return strings.HasPrefix(s, "undone") }) {
			t.Errorf("%s: it was looked up, though a throttled call has no effect: %v", what, l.Log())
		}
	}
}

func TestUpdate(t *testing.T) {
	const id = "12345678901234567890"
	tests := []struct {
		name   string
		header string
		rows   []string
		set    []string
		load   schema.Load
		before func(f *fake)
		want   []string
		sent   []string // POST and PATCH calls
	}{
		{name: "plain", header: "id|email|phone", rows: []string{id + "|new@x.example|1"}, want: []string{"accepted updated " + id},
			sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"email":"new@x.example","phone":"1"}}`}},
		{name: "snake", set: []string{"edit_naming", "snake"}, header: "id|phone", rows: []string{id + "|1"}, want: []string{"accepted updated " + id},
			sent: []string{`POST /contacts {"contact_id":"` + id + `","update_fields":{"phone":"1"}}`}},
		{name: "both", set: []string{"edit_naming", "both"}, header: "id|phone", rows: []string{id + "|1"}, want: []string{"accepted updated " + id},
			sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"phone":"1"},"contact_id":"` + id + `","update_fields":{"phone":"1"}}`}},
		{name: "the other names", header: "id|phone", rows: []string{id + "|1", id + "|2"}, before: func(f *fake) { f.naming = "contact_id" },
			want: []string{"accepted updated " + id, "accepted updated " + id},
			sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"phone":"1"}}`, `POST /contacts {"contact_id":"` + id + `","update_fields":{"phone":"1"}}`,
				`POST /contacts {"contact_id":"` + id + `","update_fields":{"phone":"2"}}`}},
		{name: "not editable", header: "id|phone|notes", rows: []string{id + "|1|x"}, want: []string{"accepted updated " + id},
			sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"phone":"1"}}`}},
		{name: "widened", set: []string{"edit_fields", "notes"}, header: "id|phone|notes", rows: []string{id + "|1|x"}, want: []string{"accepted updated " + id},
			sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"notes":"x"}}`}},
		{name: "composed", set: []string{"compose_name", "on"}, header: "id|first_name|last_name", rows: []string{id + "|Ada|King", id + "|Ada|-", id + "|Ada|~"},
			want: []string{"accepted updated " + id, "rejected last_name:required 12345678901234567890", "accepted updated " + id}[:3],
			sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"name":"Ada King"}}`, `POST /contacts {"contactID":"` + id + `","updateFields":{"name":"Ada"}}`}},
		{name: "nothing to send", header: "id|phone", rows: []string{id + "|-"}, want: []string{"unchanged " + id}},
		{name: "not there", header: "id|phone", rows: []string{"777|1"}, want: []string{"rejected 777 id:not_found"},
			sent: []string{`POST /contacts {"contactID":"777","updateFields":{"phone":"1"}}`}},
		{name: "bad ids", header: "id|phone", rows: []string{"-|1", "1.2345678901234568E+19|1", "a/b|1"}, want: []string{"rejected id:required", "rejected id:id", "rejected id:id"}},
		{name: "first answer lost", header: "id|phone", rows: []string{id + "|1-777"}, before: func(f *fake) { f.fault = once("edit", 1, dropAfter) },
			want: []string{"accepted updated " + id}, sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"phone":"1-777"}}`}},
		{name: "first call lost", header: "id|phone", rows: []string{id + "|1-777"}, before: func(f *fake) { f.fault = once("edit", 1, dropBefore) },
			want: []string{"accepted updated " + id}, sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"phone":"1-777"}}`, `POST /contacts {"contactID":"` + id + `","updateFields":{"phone":"1-777"}}`}},
		{name: "first call lost, search by parts", header: "id|phone", rows: []string{id + "|555"}, before: func(f *fake) { f.parts, f.fault = true, once("edit", 1, dropBefore) },
			want: []string{"unsure " + id + " :unsure"}, sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"phone":"555"}}`}},
		{name: "first call lost, full", header: "id|name", rows: []string{id + "|Ada King"}, before: func(f *fake) { f.shape, f.fault = "full", once("edit", 1, dropBefore) },
			want: []string{"accepted updated " + id}, sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"name":"Ada King"}}`, `POST /contacts {"contactID":"` + id + `","updateFields":{"name":"Ada King"}}`}},
		{name: "a later answer is not understood", header: "id|email", rows: []string{id + "|b@x.example", id + "|c@x.example"}, before: func(f *fake) { f.fault = once("edit", 2, emptyAfter) },
			want: []string{"accepted updated " + id, "accepted updated " + id},
			sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"email":"b@x.example"}}`, `POST /contacts {"contactID":"` + id + `","updateFields":{"email":"c@x.example"}}`}},
		{name: "held", header: "id|email", rows: []string{id + "|b@x.example", id + "|c@x.example"}, load: schema.Load{Unsure: schema.Hold}, before: func(f *fake) { f.fault = once("edit", 2, emptyAfter) },
			want: []string{"accepted updated " + id, "unsure " + id + " :unsure"},
			sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"email":"b@x.example"}}`, `POST /contacts {"contactID":"` + id + `","updateFields":{"email":"c@x.example"}}`}},
		{name: "first answer names nobody", header: "id|email", rows: []string{id + "|b@x.example"}, before: func(f *fake) { f.fault = once("edit", 1, noID) },
			want: []string{"accepted updated " + id}, sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"email":"b@x.example"}}`}},
		{name: "changed only", header: "id|phone", rows: []string{id + "|1 (555)", id + "|2"}, load: schema.Load{ChangedOnly: true}, before: func(f *fake) { f.shape = "full" },
			want: []string{"unchanged " + id, "accepted updated " + id}, sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"phone":"2"}}`}},
		{name: "integer", set: []string{"phone_as", "integer"}, header: "id|phone", rows: []string{id + "|+1 (234) 567-890", id + "|1234567890123456"},
			want: []string{"accepted updated " + id, "rejected " + id + " phone:integer"}, sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"phone":1234567890}}`}},
		{name: "auto", set: []string{"phone_as", "auto"}, header: "id|phone", rows: []string{id + "|123", id + "|0123"},
			want: []string{"accepted updated " + id, "accepted updated " + id}, sent: []string{`POST /contacts {"contactID":"` + id + `","updateFields":{"phone":123}}`, `POST /contacts {"contactID":"` + id + `","updateFields":{"phone":"0123"}}`}},
		{name: "dry run", header: "id|phone", rows: []string{id + "|1"}, load: schema.Load{DryRun: true}, want: []string{"accepted would update " + id}},
		{name: "v2", set: []string{"profile", "v2"}, header: "id|first_name|notes", rows: []string{id + "|Ada|~"}, want: []string{"accepted updated " + id},
			sent: []string{`PATCH /v2/contacts {"id":"` + id + `","first_name":"Ada","notes":""}`}},
		{name: "v2, lost", set: []string{"profile", "v2"}, header: "id|first_name", rows: []string{id + "|Ada"}, before: func(f *fake) { f.fault = once("edit", 1, dropAfter) },
			want: []string{"accepted updated " + id}, sent: []string{`PATCH /v2/contacts {"id":"` + id + `","first_name":"Ada"}`, `PATCH /v2/contacts {"id":"` + id + `","first_name":"Ada"}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.add(id, time.Hour, ada)
			if tt.before != nil {
				tt.before(f)
			}
			b := table(tt.header, tt.rows...)
			tt.load.Mode = schema.Update
			if _, err := write(t, f.connect(tt.set...), tt.load, b); err != nil {
				t.Fatal(err)
			}
			got := fates(b)
			if tt.name == "composed" {
				tt.want[1] = "rejected " + id + " last_name:required"
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s%v", diff, b.Rows[0].Err)
			}
			if diff := cmp.Diff(tt.sent, append(f.sent("POST"), f.sent("PATCH")...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMisrouted stops a run whose edits make contacts, after the first.
func TestMisrouted(t *testing.T) {
	f := newFake(t)
	f.makes = true
	f.add("1", time.Hour, ada)
	b := table("id|phone", "1|5", "1|6")
	_, err := write(t, f.connect(), schema.Load{Mode: schema.Update}, b)
	var known *api.Error
	if !errors.As(err, &known) || known.Class != api.Setup || !errors.Is(err, errMisrouted) || !strings.Contains(err.Error(), "9999") {
		t.Errorf("error %v, want one of class config that names contact 9999", err)
	}
	if diff := cmp.Diff([]string{"rejected 1 id:vendor", "pending"}, fates(b)); diff != "" {
		t.Error(diff)
	}
	if n := len(f.sent("POST")); n != 1 {
		t.Errorf("%d edits were sent, want 1", n)
	}
}

// TestFirstEditAlone sees to it that no edit leaves before the first has proved where edits go.
func TestFirstEditAlone(t *testing.T) {
	f := newFake(t)
	for i := range 8 {
		f.add(fmt.Sprint(i), time.Hour, ada)
	}
	f.fault = once("edit", 1, dropAfter)
	c := f.connect()
	h := table("id|email").Header
	s, err := c.Sink(t.Context(), contacts, schema.Load{Mode: schema.Update, Header: h}, deliverytest.NewLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			b := table("id|email", fmt.Sprintf("%d|n%d@x.example", i, i))
			if err := s.Write(t.Context(), b); err != nil || b.Rows[0].Fate != record.Accepted {
				t.Errorf("%v %v", err, fates(b))
			}
		})
	}
	wg.Wait()
	kinds := ""
	for _, call := range f.calls[:3] {
		kinds += call[:1]
	}
	if kinds[0] != 'P' || kinds[1] != 'G' {
		t.Errorf("the first calls are %v, want the edit and its lookup", f.calls[:3])
	}
}

func TestDelete(t *testing.T) {
	const id = "12345678901234567890"
	tests := []struct {
		name   string
		set    []string
		rows   []string
		doubt  bool
		before func(f *fake)
		want   []string
		sent   []string
	}{
		{name: "body", rows: []string{id}, want: []string{"accepted deleted " + id}, sent: []string{`DELETE /contacts {"contact_id":"` + id + `"}`}},
		{name: "query", set: []string{"delete_transport", "query"}, rows: []string{id}, want: []string{"accepted deleted " + id}, sent: []string{`DELETE /contacts?contact_id=` + id}},
		{name: "dropped bodies", rows: []string{id, "2"}, before: func(f *fake) { f.blind = true }, want: []string{"accepted deleted " + id, "accepted deleted 2"},
			sent: []string{`DELETE /contacts {"contact_id":"` + id + `"}`, `DELETE /contacts?contact_id=` + id, `DELETE /contacts?contact_id=2`}},
		{name: "not there", rows: []string{"3"}, want: []string{"unchanged 3"}, sent: []string{`DELETE /contacts {"contact_id":"3"}`}},
		{name: "answer lost", rows: []string{"2"}, before: func(f *fake) { f.fault = once("delete", 1, dropAfter) }, want: []string{"accepted deleted 2"},
			sent: []string{`DELETE /contacts {"contact_id":"2"}`, `DELETE /contacts {"contact_id":"2"}`}},
		{name: "in doubt and gone", doubt: true, rows: []string{"3"}, want: []string{"accepted deleted 3"}, sent: []string{`DELETE /contacts {"contact_id":"3"}`}},
		{name: "empty id", rows: []string{" "}, want: []string{"rejected id:required"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.add(id, time.Hour, ada)
			f.add("2", time.Hour, ada)
			if tt.before != nil {
				tt.before(f)
			}
			b := table("id", tt.rows...)
			if tt.doubt {
				b.Rows[0].Fate = record.Doubt
			}
			if _, err := write(t, f.connect(tt.set...), schema.Load{Mode: schema.Delete}, b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, fates(b)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.sent, f.sent("DELETE")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUpsert(t *testing.T) {
	const id, fresh = "12345678901234567890", "12345678900000000001"
	tests := []struct {
		name   string
		set    []string
		load   schema.Load
		header string
		rows   []string
		before func(f *fake)
		want   []string
	}{
		{name: "update", rows: []string{"Ada|X|ADA@x.example|9|Y"}, want: []string{"accepted updated " + id}},
		{name: "create, then update", rows: []string{"Bob|B|bob@x.example|9|Y", "Bob|B|bob@x.example|8|Y"}, want: []string{"accepted created " + fresh, "accepted updated " + fresh}},
		{name: "ambiguous", rows: []string{adaRow}, before: func(f *fake) { f.add("2", time.Hour, ada) }, want: []string{"rejected email:ambiguous"}},
		{name: "several found, one shown to be it", rows: []string{adaRow}, before: func(f *fake) {
			f.shape, f.parts = "full", true
			f.add("2", time.Hour, map[string]any{"email": "nada@x.example"})
		}, want: []string{"accepted updated " + id}},
		{name: "only another by a part of the value", rows: []string{"Da|B|da@x.example|1|Y"}, before: func(f *fake) { f.parts = true }, want: []string{"rejected email:ambiguous"}},
		{name: "unchanged", load: schema.Load{ChangedOnly: true}, rows: []string{adaRow}, before: func(f *fake) { f.shape = "full" }, want: []string{"unchanged " + id}},
		{name: "by phone", load: schema.Load{Key: "phone"}, rows: []string{"Ada|X|other@x.example|+1 555|Y"}, want: []string{"accepted updated " + id}},
		{name: "by id", load: schema.Load{Key: "id"}, header: "id|email|first_name|phone", rows: []string{id + "|ada@x.example|Ada|7", "9|ada@x.example|Ada|7", "-|ada@x.example|Ada|7"},
			want: []string{"accepted updated " + id, "rejected 9 id:not_found", "rejected id:required"}},
		{name: "answer lost", rows: []string{"Bob|B|bob@x.example|9|Y"}, before: func(f *fake) { f.fault = once("create", 1, dropAfter) }, want: []string{"accepted created " + fresh}},
		{name: "nothing editable", header: "email|first_name", rows: []string{"ada@x.example|Eve"}, want: []string{"unchanged " + id}},
		{name: "v2", set: []string{"profile", "v2"}, header: "email|first_name", rows: []string{"ada@x.example|Eve", "bob@x.example|Bob"}, want: []string{"accepted updated " + id, "accepted created " + fresh}},
		{name: "dry run", load: schema.Load{DryRun: true}, rows: []string{adaRow, "Bob|B|bob@x.example|9|Y", "Bob|B|bob@x.example|8|Y"}, want: []string{"accepted would update " + id, "accepted would create", "accepted would update"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.add(id, time.Hour, ada)
			if tt.before != nil {
				tt.before(f)
			}
			if tt.header == "" {
				tt.header = adaHeader
			}
			b := table(tt.header, tt.rows...)
			tt.load.Mode = schema.Upsert
			if _, err := write(t, f.connect(tt.set...), tt.load, b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, fates(b)); diff != "" {
				t.Errorf("%s%v\n%s", diff, b.Rows[0].Err, strings.Join(f.calls, "\n"))
			}
		})
	}
}

// TestDoubt resumes rows that an earlier process has sent.
func TestDoubt(t *testing.T) {
	tests := []struct {
		name   string
		unsure schema.Policy
		before func(f *fake)
		plain  bool // the ledger can't count
		want   string
	}{
		{name: "there", before: func(f *fake) { f.add("5", 0, ada) }, want: "accepted created 5"},
		{name: "not there", before: func(*fake) {}, want: "accepted created 12345678900000000000"},
		{name: "there, and nobody counts", plain: true, before: func(f *fake) { f.add("5", 0, ada) }, want: "unsure :unsure"},
		{name: "hold", unsure: schema.Hold, before: func(*fake) {}, want: "unsure :unsure"},
		{name: "resend, refused as a duplicate", unsure: schema.Resend, before: func(f *fake) {
			f.unique = true
			f.add("5", 0, ada)
		}, want: "accepted created 5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			tt.before(f)
			b := table(adaHeader, adaRow)
			b.Rows[0].Fate = record.Doubt
			l := deliverytest.NewLedger(t)
			load := schema.Load{Mode: schema.Create, Header: b.Header, Unsure: tt.unsure, Started: time.Now().Add(-time.Minute)}
			s, err := f.connect().Sink(t.Context(), contacts, load, l)
			if tt.plain {
				s, err = f.connect().Sink(t.Context(), contacts, load, deliverytest.Forgetful(l))
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Write(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if got := fates(b)[0]; got != tt.want {
				t.Errorf("got %s (%v), want %s", got, b.Rows[0].Err, tt.want)
			}
		})
	}
}

// TestDoubtfulEdit resumes edits, and upserts that edit, while nothing proves yet where edits go.
func TestDoubtfulEdit(t *testing.T) {
	const id = "12345678901234567890"
	tests := []struct {
		name        string
		mode        schema.Mode
		header, row string
		shape, want string
		edits       int
	}{
		{name: "applied", mode: schema.Update, header: "id|phone", row: id + "|+1 555", want: "accepted updated " + id},
		{name: "applied, full", mode: schema.Update, header: "id|phone", row: id + "|+1 555", shape: "full", want: "accepted updated " + id},
		{name: "not applied", mode: schema.Update, header: "id|phone", row: id + "|777", want: "accepted updated " + id, edits: 1},
		{name: "not applied, full", mode: schema.Update, header: "id|phone", row: id + "|777", shape: "full", want: "accepted updated " + id, edits: 1},
		{name: "upsert, applied", mode: schema.Upsert, header: adaHeader, row: adaRow, want: "accepted updated " + id},
		{name: "upsert, nothing to edit", mode: schema.Upsert, header: "email|first_name", row: "ada@x.example|Ada", want: "accepted updated " + id},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.add(id, time.Hour, ada)
			if tt.shape != "" {
				f.shape = tt.shape
			}
			b := table(tt.header, tt.row)
			b.Rows[0].Fate = record.Doubt
			if _, err := write(t, f.connect(), schema.Load{Mode: tt.mode}, b); err != nil {
				t.Fatal(err)
			}
			if got := fates(b)[0]; got != tt.want || f.count["edit"] != tt.edits {
				t.Errorf("got %s (%v) after %d edits, want %s after %d", got, b.Rows[0].Err, f.count["edit"], tt.want, tt.edits)
			}
		})
	}
}

// TestRefusedImports are imports that end before their first row.
func TestRefusedImports(t *testing.T) {
	f := newFake(t)
	tests := []struct {
		object, header, want string
		load                 schema.Load
		set                  []string
	}{
		{object: "people", header: "id", want: "no object people"},
		{object: contacts, header: "email", load: schema.Load{Mode: schema.Create}, want: "first_name"},
		{object: contacts, header: "email", load: schema.Load{Mode: schema.Update}, want: "needs the field id"},
		{object: contacts, header: "id", load: schema.Load{Mode: schema.Update}, want: "only the field id"},
		{object: contacts, header: "id|notes", load: schema.Load{Mode: schema.Update}, want: "can't edit notes"},
		{object: contacts, header: "id|owner", load: schema.Load{Mode: schema.Update}, want: "field owner"},
		{object: contacts, header: "id|colour", load: schema.Load{Mode: schema.Update}, want: "no field"},
		{object: contacts, header: "id", load: schema.Load{Mode: schema.Delete}, set: []string{"profile", "v2"}, want: "no delete for v2"},
		{object: contacts, header: "email|first_name", load: schema.Load{Mode: schema.Upsert, Key: "company"}, want: "can't match"},
		{object: contacts, header: "email|first_name", load: schema.Load{Mode: schema.Upsert, Key: "phone"}, want: "no column"},
		{object: contacts, header: "email|first_name", load: schema.Load{Mode: schema.Patch}, want: "no mode patch"},
	}
	for _, tt := range tests {
		tt.load.Header = record.LooseHeader(strings.Split(tt.header, "|"))
		_, err := f.connect(tt.set...).Sink(t.Context(), tt.object, tt.load, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v, want %q in it", tt.load.Mode, tt.header, err, tt.want)
		}
	}
	load := schema.Load{Mode: schema.Delete, Header: record.LooseHeader([]string{"id"})}
	if _, err := f.connect("profile", "v2", "delete_transport", "query").Sink(t.Context(), contacts, load, nil); err != nil {
		t.Errorf("a delete of v2 that was asked for: %v", err)
	}
	if len(f.calls) > 0 {
		t.Errorf("calls were made: %v", f.calls)
	}
}
