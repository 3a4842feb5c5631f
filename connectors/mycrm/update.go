package mycrm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// protocol makes an answer that can't be understood an error of the api's kind.
func protocol(op string, err error) error {
	var known *api.Error
	if errors.As(err, &known) {
		return err
	}
	return &api.Error{Op: op, Class: api.Protocol, Message: err.Error(), Err: err}
}

// update lays a row over the lead that has its id, and writes the lead whole.
func (s *sink) update(ctx context.Context, row *record.Row, id string) error {
	row.ID = id
	if held, err := s.Held(row); held || err != nil {
		return err
	}
	over, err := s.layout.draft(row)
	if err != nil {
		return s.Unfit(err, row)
	}
	release, err := s.ids.Take(ctx, hash(id))
	if err != nil {
		return err
	}
	defer release()
	have, err := s.get(ctx, id)
	if err != nil {
		return err
	}
	if have == nil {
		return s.refuse(row, record.Problem{Field: "id", Rule: "not_found", Message: fmt.Sprintf("there is no lead %s", id)})
	}
	return s.rewrite(ctx, row, have, over)
}

// rewrite sends a lead with a row's fields laid over it.
func (s *sink) rewrite(ctx context.Context, row *record.Row, have *lead, over *draft) error {
	whole := s.layout.draftOf(have)
	changed := s.layout.overlay(whole, over)
	changed = s.layout.fillOld(whole, over, have) || changed
	doubt := row.Fate == record.Doubt
	if s.conn.sparse {
		whole = over
	} else if !doubt && s.lacking(row, whole, false) {
		return nil
	}
	adds := s.notesOf(over)
	if !doubt && !changed && (s.Load.ChangedOnly || !s.carries(over)) {
		row.Fate = record.Unchanged
		return nil
	}
	if s.Load.DryRun {
		row.Accept("would update", row.ID)
		return nil
	}
	if doubt && len(adds) > 0 && s.Load.Unsure == schema.Check {
		if done, err := s.concludeNotes(row, have, over, adds); done || err != nil {
			return err
		}
	}
	before := have.Notes.bodies
	after := s.lists.begin(s, have)
	if s.lists.shown.Load() == replacesNotes && len(before) > 0 {
		whole.values[s.layout.slot("notes")] = cellOf(slices.Concat(before, adds))
	}
	body := s.layout.appendLead(nil, whole, true)
	err := s.Make(ctx, delivery.Once{
		Rows: []*record.Row{row},
		Send: func() (delivery.Result, error) {
			return s.call(ctx, http.MethodPut, leadPath(row.ID), body, len(adds) == 0, row)
		},
		Taken: func(delivery.Result) { row.Accept(delivery.Updated, row.ID) },
		Check: func(res delivery.Result) (bool, error) { return s.verify(ctx, row, over, adds, before, res) },
	})
	return errors.Join(err, after(ctx, row, whole, adds))
}

// carries reports whether a row has anything to send.
func (s *sink) carries(d *draft) bool {
	return len(d.custom) > 0 || slices.ContainsFunc(d.values, func(v record.Value) bool { return v.Kind() != record.Absent })
}

// notesOf are the notes that a row adds.
func (s *sink) notesOf(d *draft) []string { return bodies(d.values[s.layout.slot("notes")].Text()) }

// lacksNotes reports whether one of the notes does not stand in the list once more than before.
func lacksNotes(list, before, adds []string) bool {
	count := func(in []string, body string) (n int) {
		for _, b := range in {
			if b == body {
				n++
			}
		}
		return n
	}
	return slices.ContainsFunc(adds, func(body string) bool { return count(list, body) < count(before, body)+count(adds, body) })
}

// verify finds out whether an update whose answer was lost was applied, by reading the lead: it has all that was sent,
// and each note once more than before. done is false if it was not.
func (s *sink) verify(ctx context.Context, row *record.Row, over *draft, adds, before []string, res delivery.Result) (done bool, err error) {
	have, err := s.get(ctx, row.ID)
	if err != nil {
		return false, err
	}
	if have == nil {
		res.Problem = record.Problem{Field: "id", Rule: "not_found", Message: fmt.Sprintf("there is no lead %s any more", row.ID)}
		return true, s.Reject(res, row)
	}
	same := s.layout.compare(over, have, false) != delivery.Different || len(adds) > 0 && !s.more(over)
	switch {
	case same && !lacksNotes(have.Notes.bodies, before, adds):
		row.Accept(delivery.Updated, row.ID)
		return true, s.Settle(res, "the lead was read: it has all that was sent", row)
	case len(adds) == 0 || have.Notes.there && slices.Equal(have.Notes.bodies, before):
		return false, s.Undo(res, "the lead was read, and it is as it was")
	}
	return true, s.Unsure(res, fmt.Sprintf("the update of lead %s broke off, and the lead shows a part of it; the last failure: %v", row.ID, res.Err), row)
}

// more reports whether a row has anything besides notes.
func (s *sink) more(d *draft) bool {
	for i, v := range d.values {
		if v.Kind() != record.Absent && s.layout.slots[i].form != asNotes {
			return true
		}
	}
	return len(d.custom) > 0
}

// concludeNotes finds out whether an earlier run has sent a row that adds notes. How many such notes there were before
// it is not known any more.
func (s *sink) concludeNotes(row *record.Row, have *lead, over *draft, adds []string) (done bool, err error) {
	if have.Notes.there && lacksNotes(have.Notes.bodies, nil, adds) {
		return false, nil // it was not applied
	}
	at, dated := moment(have.Updated.Value)
	same := s.layout.compare(over, have, false) != delivery.Different || !s.more(over)
	if have.Notes.there && same && dated && !at.Before(s.Clock.Earliest(s.Load.Started)) {
		row.Accept(delivery.Updated, row.ID)
		return true, s.Settle(delivery.Result{}, "the lead was read: it has all that an earlier attempt sent", row)
	}
	return true, s.Unsure(delivery.Result{}, fmt.Sprintf("an earlier attempt sent it, and lead %s does not show whether its note came from there", row.ID), row)
}
