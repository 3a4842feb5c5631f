package mapmycustomers

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// Sink starts an import. With Load.DryRun nothing that changes anything is sent: rows are accepted with the action
// that they would have.
func (c *Conn) Sink(ctx context.Context, object string, load schema.Load, ledger pipeline.Ledger) (pipeline.Sink, error) {
	l, err := newLayout(object, load, load.Header)
	if err != nil {
		return nil, err
	}
	k := delivery.NewCourier(c.api, load, ledger, c.now, c.sleep)
	k.Observe = c.answered
	if object != customers {
		return &wholes{Courier: k, conn: c, layout: l}, nil
	}
	s := &customerSink{Maker: delivery.NewMaker(k, &c.clock, "customer"), conn: c, layout: l}
	if _, ok := l.byName["notes"]; ok && l.load.Mode != schema.Create && l.load.Mode != schema.Delete {
		k.Warn("the field notes is mapped: each update adds one more note to its customer")
	}
	return s, nil
}

// customerSink loads customers, a call a row. It is safe for many goroutines.
type customerSink struct {
	*delivery.Maker
	conn   *Conn
	layout *layout
	keys   delivery.Locks // rows with one key are sent one after the other

	building sync.Mutex
	index    *index // of what the vendor has, if it is needed

	merge mergeCheck
}

// Write sends the open rows of a batch one by one.
func (s *customerSink) Write(ctx context.Context, b *record.Batch) error {
	if err := delivery.Fits(b, s.layout.header); err != nil {
		return err
	}
	return delivery.EachRow(b, func(row *record.Row) error { return s.write(ctx, row) })
}

// answered notes that the vendor has taken the token of a call, and what time it is there.
func (c *Conn) answered(h http.Header) {
	c.clock.Observe(h, c.now())
	c.creds.good.Store(c.creds.last.Load())
}

// call makes a call that changes something for rows.
func (s *customerSink) call(ctx context.Context, method, path string, body []byte, idempotent bool, row *record.Row) (delivery.Result, error) {
	r := s.conn.request(method, path, body)
	r.Idempotent = idempotent
	return s.Call(ctx, r, row)
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

// create sends a new customer.
func (s *customerSink) create(ctx context.Context, row *record.Row) error {
	if s.Load.DryRun {
		return s.plan(row, "create", false)
	}
	return s.Create(ctx, s.creation(ctx, row))
}

// plan tells what would become of a row.
func (s *customerSink) plan(row *record.Row, action string, update bool) error {
	if action != "delete" {
		_, sent, err := s.layout.payload(nil, row, false, update)
		if err != nil {
			return s.Unfit(err, row)
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
	if s.Load.ChangedOnly && row.Fate == record.Pending {
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
	if s.Load.DryRun {
		return s.plan(row, "update", true)
	}
	if held, err := s.Held(row); held || err != nil {
		return err
	}
	body, sent, err := s.layout.payload(nil, row, false, true)
	if err != nil {
		return s.Unfit(err, row)
	}
	if sent == 0 {
		row.Fate = record.Unchanged
		return nil
	}
	note := s.layout.addsNote(row)
	if row.Fate == record.Doubt && note && s.Load.Unsure == schema.Check {
		return s.verify(ctx, row, id, delivery.Result{Since: s.Load.Started})
	}
	after, err := s.merge.begin(ctx, s, id)
	if err != nil {
		return err
	}
	res, err := s.call(ctx, http.MethodPut, customerPath(id), body, !note, row)
	if err == nil {
		switch {
		case res.Verdict == delivery.Refused:
			err = s.Reject(res, row)
		case res.Verdict == delivery.Taken:
			row.Accept(delivery.Updated, id)
			err = s.Settle(res, res.Note(), row)
		case s.Load.Unsure == schema.Hold || s.Load.Unsure == schema.Resend && note:
			err = s.Unsure(res, "the call broke off and its outcome is not known: "+res.Err.Error(), row)
		default:
			err = s.verify(ctx, row, id, res)
		}
	}
	return after(row, err)
}

// verify finds out whether an update that adds a note was applied, by reading the customer.
func (s *customerSink) verify(ctx context.Context, row *record.Row, id string, res delivery.Result) error {
	r, ok, err := s.get(ctx, id)
	if err != nil {
		s.Halt(err)
		return err
	}
	if !ok {
		res.Problem = record.Problem{Field: "id", Rule: "not_found", Message: fmt.Sprintf("there is no customer %s any more", id)}
		return s.Reject(res, row)
	}
	at, dated := s.conn.when(r.updated)
	if s.layout.compare(row, &r, false) == delivery.Same && (!dated || !at.Before(s.conn.clock.Earliest(res.Since))) {
		row.Accept(delivery.Updated, id)
		return s.Settle(res, "the customer was read: it has all that was sent", row)
	}
	why := fmt.Sprintf("the update of %s broke off, and the customer does not show that it was applied", id)
	if res.Err != nil {
		why += "; the last failure: " + res.Err.Error()
	}
	return s.Unsure(res, why, row)
}

// get reads one customer; ok is false if there is none.
func (s *customerSink) get(ctx context.Context, id string) (r remote, ok bool, err error) {
	body, err := s.conn.read(ctx, customerPath(id))
	if delivery.IsNotFound(err) {
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
	if s.Load.DryRun {
		return s.plan(row, "delete", false)
	}
	if held, err := s.Held(row); held || err != nil {
		return err
	}
	res, err := s.call(ctx, http.MethodDelete, customerPath(id), nil, true, row)
	if err != nil {
		return err
	}
	switch {
	case res.Verdict == delivery.Refused && res.Problem.Rule == "not_found" && (row.Fate == record.Doubt || res.Repeated()):
		row.Accept(delivery.Deleted, id)
		return s.Settle(res, "404: an earlier attempt deleted it", row)
	case res.Verdict == delivery.Refused:
		return s.Reject(res, row)
	case res.Verdict == delivery.Unknown:
		_, there, err := s.get(ctx, id)
		if err != nil {
			s.Halt(err)
			return err
		}
		if there {
			return s.Unsure(res, "the answer to the deletion could not be understood, and the customer is still there: "+res.Err.Error(), row)
		}
	}
	row.Accept(delivery.Deleted, id)
	return s.Settle(res, res.Note(), row)
}
