package mapmycustomers

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// Actions of accepted rows.
const (
	created  = "created"
	updated  = "updated"
	deleted  = "deleted"
	replaced = "replaced"
)

// Sink starts an import. With Load.DryRun nothing that changes anything is sent: rows are accepted with the action
// that they would have.
func (c *Conn) Sink(ctx context.Context, object string, load schema.Load, ledger pipeline.Ledger) (pipeline.Sink, error) {
	l, err := newLayout(object, load, load.Header)
	if err != nil {
		return nil, err
	}
	k := newCourier(c, load, ledger)
	if object != customers {
		return &wholes{courier: k, layout: l}, nil
	}
	s := &customerSink{courier: k, layout: l, twins: newTwins(), ids: map[string]struct{}{}}
	if _, ok := l.byName["notes"]; ok && l.load.Mode != schema.Create && l.load.Mode != schema.Delete {
		k.warn("the field notes is mapped: each update adds one more note to its customer")
	}
	return s, nil
}

// customerSink loads customers, a call a row. It is safe for many goroutines.
type customerSink struct {
	*courier
	layout *layout

	rows  locks // rows that can't be told apart at the vendor are sent one after the other
	keys  locks // as are rows with one key
	twins *twins

	mu  sync.Mutex
	ids map[string]struct{} // of customers created in this process

	building sync.Mutex
	index    *index // of what the vendor has, if it is needed

	merge mergeCheck
}

// Write sends the open rows of a batch one by one.
func (s *customerSink) Write(ctx context.Context, b *record.Batch) error {
	if err := s.layout.fits(b); err != nil {
		return err
	}
	for i := range b.Rows {
		row := &b.Rows[i]
		if !row.Fate.Open() {
			continue
		}
		if err := s.write(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

// Commit does nothing: every call stands by itself.
func (s *customerSink) Commit(context.Context) error { return nil }

// Close does nothing: what was sent can't be taken back here.
func (s *customerSink) Close() error { return nil }

// fits checks that a batch has the fields that the run was set up for.
func (l *layout) fits(b *record.Batch) error {
	if b.Header == l.header || slices.Equal(b.Header.Names(), l.header.Names()) {
		return nil
	}
	return fmt.Errorf("rows with the fields %s came to a run for %s", strings.Join(b.Header.Names(), ", "), strings.Join(l.header.Names(), ", "))
}

func (s *customerSink) write(ctx context.Context, row *record.Row) error {
	switch s.layout.load.Mode {
	case schema.Create:
		return s.create(ctx, row)
	case schema.Upsert:
		return s.upsert(ctx, row)
	}
	id, ok := s.rowID(row)
	if !ok {
		return nil
	}
	if s.layout.load.Mode == schema.Delete {
		return s.delete(ctx, row, id)
	}
	return s.update(ctx, row, id)
}

// rowID reads the id of a row; a row without a good one is rejected. An empty id, or one that leads elsewhere in the
// address, must never reach the vendor.
func (s *customerSink) rowID(row *record.Row) (string, bool) {
	id := strings.TrimSpace(cell(row, s.layout.id).Text())
	switch {
	case id == "":
		row.Reject(record.Problem{Field: "id", Rule: "required", Message: "the id of the customer is missing"})
	case !usable(id):
		row.Reject(record.Problem{Field: "id", Rule: "id", Message: fmt.Sprintf("%q is no id of a customer", id)})
	default:
		return id, true
	}
	return "", false
}

func customerPath(id string) string { return "/customers/" + url.PathEscape(id) }

// held ends the way of a row in doubt if the user wants such rows left alone.
func (s *customerSink) held(row *record.Row) (bool, error) {
	if row.Fate != record.Doubt || s.load.Unsure != schema.Hold {
		return false, nil
	}
	return true, s.unsure(result{}, "an earlier attempt sent it and its outcome is not known; it was left alone, as asked", row)
}

// create sends a new customer. Rows that the vendor can't tell apart go one after the other, so that at most one of
// them is in doubt at a time.
func (s *customerSink) create(ctx context.Context, row *record.Row) error {
	if s.load.DryRun {
		return s.plan(row, "create", false)
	}
	print := s.layout.printRow(row)
	release, err := s.rows.take(ctx, print)
	if err != nil {
		return err
	}
	defer release()
	if held, err := s.held(row); held || err != nil {
		return err
	}
	if row.Fate == record.Doubt && s.load.Unsure == schema.Check {
		found, err := s.find(ctx, row, print, s.load.Started)
		if err != nil {
			return err
		}
		if done, err := s.conclude(result{}, found, row, print); done || err != nil {
			return err
		}
	}
	return s.post(ctx, row, print, func(res result) (finding, error) { return s.find(ctx, row, print, res.since) })
}

// maxSends is how often a create is sent when each time its outcome is unknown and a lookup says that it was not
// applied.
const maxSends = 4

// post sends a create until its outcome is known; find looks for it at the vendor.
func (s *customerSink) post(ctx context.Context, row *record.Row, print uint64, find func(result) (finding, error)) error {
	body, _, err := s.layout.customer(nil, row, true)
	if err != nil {
		return s.unfit(row, err)
	}
	try := s.try()
	defer try.end()
	for sends := 1; ; sends++ {
		try.send()
		res, err := s.call(ctx, http.MethodPost, "/customers", body, false, row)
		if err != nil {
			return err
		}
		switch res.verdict {
		case refused:
			return s.reject(res, row)
		case taken:
			id := identifier(res.header.Get("Location"), res.body)
			s.made(row, id, print, res)
			return s.settle(res, res.note()+" "+mark(print), row)
		}
		if s.load.Unsure == schema.Hold {
			s.twins.maybe(print)
			return s.unsure(res, "the call broke off and its outcome is not known: "+res.err.Error(), row)
		}
		if s.load.Unsure == schema.Check {
			found, err := find(res)
			if err != nil {
				s.halt(err)
				return err
			}
			if done, err := s.conclude(res, found, row, print); done || err != nil {
				return err
			}
		}
		if sends == maxSends {
			switch {
			case s.load.Unsure == schema.Resend:
				s.halt(res.err)
			case try.poison():
				return s.poison(res, sends, row)
			}
			return res.err
		}
		try.fail()
		if err := s.pause(ctx, sends); err != nil {
			s.halt(err)
			return err
		}
	}
}

// made notes that a row has its customer.
func (s *customerSink) made(row *record.Row, id string, print uint64, res result) {
	row.Accept(created, id)
	if id != "" {
		s.mu.Lock()
		s.ids[id] = struct{}{}
		s.mu.Unlock()
	}
	s.twins.add(print, res.since, s.conn.now())
}

// unfit rejects a row whose payload can't be made. A row in doubt was sent once, with a payload that could be made.
func (s *customerSink) unfit(row *record.Row, err error) error {
	was := row.Fate
	for _, p := range record.ProblemsOf(err) {
		row.Reject(p)
	}
	if was == record.Doubt {
		return s.settle(result{}, "refused before it was sent again: "+err.Error(), row)
	}
	return nil
}

// plan tells what would become of a row.
func (s *customerSink) plan(row *record.Row, action string, update bool) error {
	if action != "delete" {
		_, sent, err := s.layout.payload(nil, row, false, update)
		if err != nil {
			return s.unfit(row, err)
		}
		if sent == 0 && update {
			row.Fate = record.Unchanged
			return nil
		}
	}
	row.Accept("would "+action, row.ID)
	return nil
}

// update changes an existing customer: the fields that the row has, and no other.
func (s *customerSink) update(ctx context.Context, row *record.Row, id string) error {
	row.ID = id
	if s.load.ChangedOnly && row.Fate == record.Pending {
		ix, err := s.indexed(ctx)
		if err != nil {
			return err
		}
		if ix.equal(s.layout, id, row) {
			row.Fate = record.Unchanged
			return nil
		}
		defer ix.forget(id)
	}
	if s.load.DryRun {
		return s.plan(row, "update", true)
	}
	if held, err := s.held(row); held || err != nil {
		return err
	}
	body, sent, err := s.layout.payload(nil, row, false, true)
	if err != nil {
		return s.unfit(row, err)
	}
	if sent == 0 {
		row.Fate = record.Unchanged
		return nil
	}
	note := s.layout.addsNote(row)
	if row.Fate == record.Doubt && note && s.load.Unsure == schema.Check {
		return s.verify(ctx, row, id, result{since: s.load.Started})
	}
	after, err := s.merge.begin(ctx, s, id)
	if err != nil {
		return err
	}
	res, err := s.call(ctx, http.MethodPut, customerPath(id), body, !note, row)
	if err == nil {
		switch {
		case res.verdict == refused:
			err = s.reject(res, row)
		case res.verdict == taken:
			row.Accept(updated, id)
			err = s.settle(res, res.note(), row)
		case s.load.Unsure == schema.Hold || s.load.Unsure == schema.Resend && note:
			err = s.unsure(res, "the call broke off and its outcome is not known: "+res.err.Error(), row)
		default:
			err = s.verify(ctx, row, id, res)
		}
	}
	return after(row, err)
}

// verify finds out whether an update that adds a note was applied, by reading the customer.
func (s *customerSink) verify(ctx context.Context, row *record.Row, id string, res result) error {
	r, ok, err := s.get(ctx, id)
	if err != nil {
		s.halt(err)
		return err
	}
	if !ok {
		res.problem = record.Problem{Field: "id", Rule: "not_found", Message: fmt.Sprintf("there is no customer %s any more", id)}
		return s.reject(res, row)
	}
	at, dated := s.conn.when(r.updated)
	if s.layout.compare(row, &r, false) == same && (!dated || !at.Before(s.conn.earliest(res.since))) {
		row.Accept(updated, id)
		return s.settle(res, "the customer was read: it has all that was sent", row)
	}
	why := fmt.Sprintf("the update of %s broke off, and the customer does not show that it was applied", id)
	if res.err != nil {
		why += "; the last failure: " + res.err.Error()
	}
	return s.unsure(res, why, row)
}

// get reads one customer; ok is false if there is none.
func (s *customerSink) get(ctx context.Context, id string) (r remote, ok bool, err error) {
	body, err := s.conn.read(ctx, customerPath(id))
	if isNotFound(err) {
		return r, false, nil
	}
	if err == nil {
		r, err = s.layout.parseRemote(&scanner{s: string(body)})
	}
	return r, err == nil, err
}

// delete removes a customer. One that is gone already after a first attempt was deleted by that attempt.
func (s *customerSink) delete(ctx context.Context, row *record.Row, id string) error {
	row.ID = id
	if s.load.DryRun {
		return s.plan(row, "delete", false)
	}
	if held, err := s.held(row); held || err != nil {
		return err
	}
	res, err := s.call(ctx, http.MethodDelete, customerPath(id), nil, true, row)
	if err != nil {
		return err
	}
	switch {
	case res.verdict == refused && res.problem.Rule == "not_found" && (row.Fate == record.Doubt || res.repeated()):
		row.Accept(deleted, id)
		return s.settle(res, "404: an earlier attempt deleted it", row)
	case res.verdict == refused:
		return s.reject(res, row)
	case res.verdict == unknown:
		_, there, err := s.get(ctx, id)
		if err != nil {
			s.halt(err)
			return err
		}
		if there {
			return s.unsure(res, "the answer to the deletion could not be understood, and the customer is still there: "+res.err.Error(), row)
		}
	}
	row.Accept(deleted, id)
	return s.settle(res, res.note(), row)
}
