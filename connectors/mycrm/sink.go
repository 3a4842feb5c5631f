package mycrm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// Sink starts an import. With Load.DryRun nothing that changes anything is sent: leads are looked up, and rows are
// accepted with the action that they would have.
func (c *Conn) Sink(ctx context.Context, object string, load schema.Load, ledger pipeline.Ledger) (pipeline.Sink, error) {
	l, err := newLayout(object, load, c.shape)
	if err != nil {
		return nil, err
	}
	k := delivery.NewCourier(c.api, load, ledger, c.now, c.sleep)
	l.load.Warn = func(s string) { k.Warn("%s", s) }
	if err := c.resolve(ctx, l); err != nil {
		return nil, err
	}
	k.Observe = func(h http.Header) {
		c.clock.Observe(h, c.now())
		warning(h, l.load.Warn)
	}
	s := &sink{Maker: delivery.NewMaker(k, &c.clock, "lead"), conn: c, layout: l, made: map[uint64]string{}}
	switch load.Mode {
	case schema.Update, schema.Upsert:
		if i := l.slot("notes"); l.cells[i] >= 0 {
			k.Warn("the field notes is mapped: each update sends its note, which the vendor is taken to add to the others")
		}
		if l.hasSpare("properties") {
			k.Warn("the default of properties goes to new leads only: what a lead has selected can't be read")
		}
		if c.sparse {
			k.Warn("%s is %s: updates send the rows' fields alone, and the vendor may clear or ask for the others", keyUpdateMode, updateSparse)
		}
	}
	return s, nil
}

// sink loads leads. It is safe for many goroutines.
type sink struct {
	*delivery.Maker
	conn   *Conn
	layout *layout
	lists  listCheck
	ids    delivery.Locks // leads that are read and written
	keys   delivery.Locks // rows with one key are sent one after the other

	reach   sync.Mutex
	reached bool // the API is where the settings say: a 404 is about a lead

	parts  atomic.Bool  // the filter for mobiles finds parts of them
	probes atomic.Int32 // leads that were searched for to learn that

	batches delivery.Locks // batches of a delete, with --bulk-delete
	waiting atomic.Int64   // how many there are, the one at work among them

	mu   sync.Mutex
	made map[uint64]string // leads that an upsert has made, by their key: the vendor's list may not show them yet

	proving sync.Mutex // held by the first bulk patch until its leads were read back
	trusted atomic.Bool
	doubted atomic.Bool  // a bulk patch was not what its answer said: each one is read back
	long    atomic.Int32 // form of the paths in a patch of one lead: 1 short, 2 with the id
}

// Write sends the open rows of a batch.
func (s *sink) Write(ctx context.Context, b *record.Batch) error {
	if err := delivery.Fits(b, s.layout.header); err != nil {
		return err
	}
	var rows []*record.Row
	for i := range b.Rows {
		row := &b.Rows[i]
		if row.Fate.Open() && (s.layout.load.Mode == schema.Create || s.layout.load.Mode == schema.Upsert || s.identified(row)) {
			rows = append(rows, row)
		}
	}
	switch m := s.layout.load.Mode; {
	case m == schema.Patch:
		return s.patch(ctx, rows)
	case m == schema.Delete && s.Load.Options[bulkDelete]:
		return s.deleteMany(ctx, rows)
	}
	for _, row := range rows {
		if err := s.write(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

func (s *sink) write(ctx context.Context, row *record.Row) error {
	switch s.layout.load.Mode {
	case schema.Create:
		return s.create(ctx, row)
	case schema.Upsert:
		return s.upsert(ctx, row)
	case schema.Delete:
		return s.delete(ctx, row)
	}
	return s.update(ctx, row, row.ID)
}

// identified reads the id of a row into row.ID; a row without a good one is rejected.
func (s *sink) identified(row *record.Row) bool {
	id := strings.TrimSpace(cell(row, s.layout.id).Text())
	switch {
	case id == "":
		row.Reject(record.Problem{Field: "id", Rule: "required", Message: "the id of the lead is missing"})
	case !goodID(id):
		row.Reject(record.Problem{Field: "id", Rule: "id", Message: fmt.Sprintf("%q is no id of a lead: ids are digits", id)})
	default:
		row.ID = id
		return true
	}
	return false
}

// refuse rejects a row; of one in doubt, which was sent before, the ledger is told.
func (s *sink) refuse(row *record.Row, p record.Problem) error {
	if row.Fate == record.Doubt {
		return s.Reject(delivery.Result{Problem: p}, row)
	}
	row.Reject(p)
	return nil
}

// call makes a call that changes something for rows.
func (s *sink) call(ctx context.Context, method, path string, body []byte, idempotent bool, rows ...*record.Row) (delivery.Result, error) {
	r := s.conn.request(method, path, nil, body)
	r.Idempotent = idempotent
	res, err := s.Call(ctx, r, rows...)
	if err == nil && res.Status == http.StatusNotFound {
		if err := s.reachable(ctx); err != nil {
			return res, errors.Join(err, s.Undo(res, "404: there is no such address"))
		}
	}
	if text := refusal(res.Body); err == nil && res.Verdict == delivery.Taken && text != "" {
		res.Verdict = delivery.Refused
		res.Err = &api.Error{Op: r.Op, Class: api.Invalid, Status: res.Status, Message: text}
		res.Problem = record.Problem{Rule: "vendor", Message: fmt.Sprintf("the vendor says: %s (%d)", text, res.Status)}
	}
	return res, explain(err, s.rights())
}

// rights are what the document asks for in an import of this mode.
func (s *sink) rights() string {
	carries := func(name string) bool { return s.layout.header.Index(name) >= 0 }
	rights := "lead.update"
	switch {
	case s.layout.load.Mode == schema.Patch:
		if carries("user") {
			rights += ", user.update (to assign an agent)"
		}
		if len(s.layout.ops) > 0 && s.layout.assigns() {
			rights += ", property.read (to assign properties)"
		}
	case carries("user"):
		rights += ", lead.update.other (to give the lead to an agent)"
	}
	return rights
}

// get reads one lead in full; nil if there is none.
func (s *sink) get(ctx context.Context, id string) (*lead, error) {
	body, err := s.conn.read(ctx, leadPath(id), nil, true, s.layout.load.Warn)
	if delivery.IsNotFound(err) {
		return nil, s.reachable(ctx) // there is none
	}
	if err == nil {
		body, err = bare(body)
	}
	if err != nil {
		return nil, protocol("GET "+leadPath(id), err)
	}
	l, err := parseLead(body)
	if err == nil && l.ID.Text() != id {
		err = fmt.Errorf("lead %s was asked for, and lead %s came", id, l.ID.Text())
	}
	if err != nil {
		return nil, protocol("GET "+leadPath(id), err)
	}
	return l, nil
}

// lacking rejects a row whose lead can't be written for want of fields, and reports whether it did.
func (s *sink) lacking(row *record.Row, d *draft, created bool) bool {
	names := append(s.layout.lacks(d), s.conn.customLacks(d, created)...)
	for _, name := range names {
		msg := "a new lead needs it"
		switch {
		case !created:
			msg = fmt.Sprintf("the lead has none, and an update must send it: map the field, or give those that have none one with --default %s=VALUE, or set %s to %s", name, keyUpdateMode, updateSparse)
		case s.layout.load.Mode == schema.Upsert:
			msg += fmt.Sprintf(": map the field, or give those that have none one with --default %s=VALUE", name)
		}
		row.Reject(record.Problem{Field: name, Rule: "required", Message: msg})
	}
	return len(names) > 0
}

// create sends a new lead.
func (s *sink) create(ctx context.Context, row *record.Row) error {
	d, err := s.layout.draft(row)
	if err != nil {
		return s.Unfit(err, row)
	}
	if row.Fate == record.Pending && s.lacking(row, d, true) {
		return nil
	}
	if s.Load.DryRun {
		row.Accept("would create", "")
		return nil
	}
	return s.Create(ctx, s.creation(ctx, row, d))
}

// creation is what the maker needs to know to make a row's lead.
func (s *sink) creation(ctx context.Context, row *record.Row, d *draft) delivery.Creation {
	body := s.layout.appendLead(nil, d, false)
	terms := s.terms(d)
	return delivery.Creation{
		Row: row, Print: s.layout.print(d),
		Send: func() (delivery.Result, error) { return s.post(ctx, body, row) },
		ID:   func(res delivery.Result) string { return identifier(res.Body) },
		Look: func(try int, l *delivery.Look) (string, error) {
			t := terms[try%len(terms)]
			err := s.conn.all(ctx, listing{query: t.query(), expand: true}, func(have *lead) error {
				at, dated := moment(have.Created.Value)
				l.See(have.ID.Text(), s.layout.compare(d, have, true), s.layout.print(s.layout.draftOf(have)), at, dated)
				return nil
			})
			return t.String(), err
		},
	}
}

// term is what a lookup filters by.
type term struct{ filter, value string }

func (t term) query() url.Values { return url.Values{"filters[" + t.filter + "]": {t.value}} }

func (t term) String() string { return fmt.Sprintf("a search for %s %q", t.filter, t.value) }

// terms are the filters that show a row's lead, the surest first. The vendor has no filter for e-mail addresses; query
// looks at them too.
func (s *sink) terms(d *draft) []term {
	text := func(name string) string { return strings.TrimSpace(d.values[s.layout.slot(name)].Text()) }
	var list []term
	if v := text("mobile"); v != "" {
		list = append(list, term{"mobile", v})
		if short := compact(v); short != v {
			list = append(list, term{"mobile", short})
		}
	}
	if v := text("email"); v != "" {
		list = append(list, term{"query", v})
	}
	if len(list) == 0 {
		list = append(list, term{"name", text("last_name")})
	}
	return list
}

// compact is a phone number without blanks and signs between its digits.
func compact(phone string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -()./\u00a0", r) {
			return -1
		}
		return r
	}, phone)
}

func hash(key string) uint64 { return xxh3.HashString(key) }
