package mycrm

import (
	"context"
	"fmt"
	"strings"

	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// upsert updates the lead that has the row's key, or creates it.
func (s *sink) upsert(ctx context.Context, row *record.Row) error {
	l := s.layout
	text := strings.TrimSpace(cell(row, l.key).Text())
	if text == "" {
		row.Reject(record.Problem{Field: l.load.Key, Rule: "required", Message: "upsert matches on this field, and it is empty"})
		return nil
	}
	if l.load.Key == "id" {
		// An id is given by the vendor alone: a row with one can only be an update.
		if !s.identified(row) {
			return nil
		}
		return s.update(ctx, row, row.ID)
	}
	d, err := l.draft(row)
	if err != nil {
		return s.Unfit(err, row)
	}
	key := s.keyText(text)
	release, err := s.keys.Take(ctx, hash(key))
	if err != nil {
		return err
	}
	defer release()
	if held, err := s.Held(row); held || err != nil {
		return err
	}
	doubt := row.Fate == record.Doubt && s.Load.Unsure == schema.Check
	found, err := s.findKey(ctx, d, key, doubt)
	if err != nil {
		return err
	}
	switch found.Answer {
	case delivery.Unclear:
		if doubt {
			return s.Unsure(delivery.Result{}, "an earlier attempt sent it; "+found.Note, row)
		}
		row.Reject(record.Problem{Field: l.load.Key, Rule: "ambiguous", Message: found.Note})
		return nil
	case delivery.Present:
		return s.change(ctx, row, d, found.ID, doubt)
	}
	return s.insert(ctx, row, d, key)
}

// findKey looks for the lead that has a key. The vendor's filters may match parts: what they find is compared here. With
// patience, what was just made may take a moment to show.
func (s *sink) findKey(ctx context.Context, d *draft, key string, patient bool) (delivery.Finding, error) {
	s.mu.Lock()
	id := s.made[hash(key)]
	s.mu.Unlock()
	if id != "" {
		return delivery.Finding{Answer: delivery.Present, ID: id, Note: "an earlier row has made it"}, nil
	}
	if !patient {
		return s.lookKey(ctx, d, key)
	}
	return s.Patient(ctx, func(int) (delivery.Finding, error) { return s.lookKey(ctx, d, key) })
}

// insert creates the lead of an upsert.
func (s *sink) insert(ctx context.Context, row *record.Row, d *draft, key string) error {
	s.layout.fillNew(d)
	if row.Fate == record.Pending && s.lacking(row, d, true) {
		return nil
	}
	if id := strings.TrimSpace(cell(row, s.layout.id).Text()); id != "" {
		return s.refuse(row, record.Problem{Field: "id", Rule: "not_found", Message: fmt.Sprintf("the row names lead %s, and no lead has its %s", id, s.layout.load.Key)})
	}
	if s.Load.DryRun {
		row.Accept("would create", "")
		return nil
	}
	err := s.Post(ctx, s.creation(ctx, row, d), func(delivery.Result) (delivery.Finding, error) { return s.findKey(ctx, d, key, true) })
	if row.Fate == record.Accepted && row.ID != "" {
		s.mu.Lock()
		s.made[hash(key)] = row.ID
		s.mu.Unlock()
		s.probe(ctx, key)
	}
	return err
}

// change updates a lead that an upsert has found. A row in doubt may be why it is there, or just so.
func (s *sink) change(ctx context.Context, row *record.Row, d *draft, id string, doubt bool) error {
	if named := strings.TrimSpace(cell(row, s.layout.id).Text()); named != "" && named != id {
		return s.refuse(row, record.Problem{Field: "id", Rule: "ambiguous", Message: fmt.Sprintf("the row names lead %s, and its %s is that of lead %s", named, s.layout.load.Key, id)})
	}
	if doubt {
		have, err := s.get(ctx, id)
		if err != nil {
			return err
		}
		if have != nil && s.layout.compare(d, have, false) == delivery.Same && !lacksNotes(have.Notes.bodies, nil, s.notesOf(d)) {
			action := delivery.Updated
			if at, dated := moment(have.Created.Value); dated && !at.Before(s.Clock.Earliest(s.Load.Started)) {
				action = delivery.Created
			}
			row.Accept(action, id)
			return s.Settle(delivery.Result{}, fmt.Sprintf("lead %s has all that was sent", id), row)
		}
	}
	return s.update(ctx, row, id)
}
