package mycrm

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
)

// What the first update of a lead with notes has shown about those that an update does not name.
const (
	keepsNotes    = 1
	replacesNotes = 2
)

// listCheck finds out whether an update takes away the notes that it does not name, which the document leaves open. The
// first lead with notes is read again after its update; while that is going on, no other lead with notes is updated.
type listCheck struct {
	one   sync.Mutex
	shown atomic.Int32
}

// begin returns what is to be done after the update of a lead with these notes.
func (m *listCheck) begin(s *sink, have *lead) func(ctx context.Context, row *record.Row, whole *draft, adds []string) error {
	nothing := func(context.Context, *record.Row, *draft, []string) error { return nil }
	if len(have.Notes.bodies) == 0 || m.shown.Load() != 0 {
		return nothing
	}
	m.one.Lock()
	if m.shown.Load() != 0 {
		m.one.Unlock()
		return nothing
	}
	return func(ctx context.Context, row *record.Row, whole *draft, adds []string) error {
		defer m.one.Unlock()
		if row.Fate != record.Accepted {
			return nil
		}
		now, err := s.get(ctx, row.ID)
		if err != nil || now == nil || !now.Notes.there {
			return err
		}
		if !lacksNotes(now.Notes.bodies, nil, have.Notes.bodies) {
			m.shown.Store(keepsNotes)
			return nil
		}
		m.shown.Store(replacesNotes)
		return s.restore(ctx, row, whole, slices.Concat(have.Notes.bodies, adds))
	}
}

// restore gives a lead its notes back. Properties that it had selected can't be read, and so can't be given back: unless
// the file has them, the run ends.
func (s *sink) restore(ctx context.Context, row *record.Row, whole *draft, all []string) error {
	whole.values[s.layout.slot("notes")] = cellOf(all)
	res, err := s.call(ctx, http.MethodPut, leadPath(row.ID), s.layout.appendLead(nil, whole, true), false, row)
	if err != nil {
		return err
	}
	if err := s.Settle(res, "its notes were given back: "+res.Note(), row); err != nil {
		return err
	}
	said := "an update takes away the notes that it does not name; those of lead " + row.ID + " were written again"
	if res.Verdict != delivery.Taken {
		said = "an update takes away the notes that it does not name, and those of lead " + row.ID + " could not be written again"
	}
	if res.Verdict == delivery.Taken && s.layout.cells[s.layout.slot("properties")] >= 0 {
		s.Warn("%s. Updates send all notes of a lead from now on", said)
		return nil
	}
	err = &api.Error{Op: "PUT /leads", Class: api.Setup, Message: said + ". The properties that a lead has selected would go too, and they can't be read: nothing more is updated. Map the field properties, or use mode patch"}
	s.Halt(err)
	return err
}
