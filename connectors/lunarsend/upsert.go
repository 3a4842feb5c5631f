package lunarsend

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// upsert updates the contact that has the row's key, or creates it.
func (s *sink) upsert(ctx context.Context, row *record.Row) error {
	l := s.layout
	if l.keyName == "id" {
		// An id is given by the vendor alone: a row with one can only be an update.
		if id, ok := s.rowID(row); ok {
			return s.update(ctx, row, id, nil)
		}
		return nil
	}
	key := keyNorm(l.keyName, cell(row, l.key))
	if key == "" {
		return s.Unfit(record.Problems{{Field: l.keyName, Rule: "required", Message: "upsert matches on this field, and it is empty"}}, row)
	}
	print := xxh3.HashString(key)
	release, err := s.keys.Take(ctx, print)
	if err != nil {
		return err
	}
	defer release()
	if held, err := s.Held(row); held || err != nil {
		return err
	}
	have, problem, err := s.match(ctx, row, print)
	switch {
	case err != nil:
		return err
	case problem != "" && row.Fate == record.Doubt && s.Load.Unsure == schema.Check:
		return s.Unsure(delivery.Result{}, "an earlier attempt sent it; "+problem, row)
	case problem != "":
		return s.Unfit(record.Problems{{Field: l.keyName, Rule: "ambiguous", Message: problem}}, row)
	case have != nil:
		return s.update(ctx, row, have.id, have)
	}
	err = s.create(ctx, row)
	if row.Fate == record.Accepted {
		s.mu.Lock()
		s.known[print] = strings.Clone(row.ID)
		s.mu.Unlock()
	}
	return err
}

// match finds the contact that has the row's key, nil if there is none. problem says why it can't be told.
func (s *sink) match(ctx context.Context, row *record.Row, print uint64) (have *contact, problem string, err error) {
	l := s.layout
	s.mu.Lock()
	id, made := s.known[print]
	s.mu.Unlock()
	if id != "" || made && s.Load.DryRun {
		return &contact{id: id}, "", nil // made by an earlier row of this run; a search may not show it yet
	}
	term := s.term(l.keyName, cell(row, l.key))
	f, err := s.conn.find(ctx, l.keyName, term)
	if refusedSearch(err) {
		return nil, fmt.Sprintf("a search for this %s was not understood, so that it can't be told whether there is such a contact: %v", l.keyName, err), nil
	}
	if err == nil && f.missing && !aboutContacts(f.words) {
		err = s.proveSearch(ctx)
	}
	if err != nil {
		return nil, "", err
	}
	list, sure, err := s.same(ctx, f, l.keyName, term)
	switch {
	case err != nil:
		return nil, "", err
	case len(list) > 1:
		return nil, "more than one contact has it: " + describe(list), nil
	case len(list) == 1 && !sure:
		return nil, fmt.Sprintf("a search finds %s, and it can't be told whether it has this %s", describe(list), l.keyName), nil
	case len(list) == 1:
		return &list[0], "", nil
	case made:
		return nil, "an earlier row of this file has made its contact, and the vendor does not show it yet; import this row again later", nil
	}
	return nil, "", nil
}

// proveSearch stops a run whose searches answer 404 for a contact too that the run has made: there is no such path, and
// every row would become a new contact.
func (s *sink) proveSearch(ctx context.Context) error {
	id := s.kept.sample()
	if id == "" || s.searches.Load() {
		return nil
	}
	f, err := s.Patient(ctx, func(int) (delivery.Finding, error) {
		control, err := s.conn.find(ctx, "id", id)
		if refusedSearch(err) || err == nil && !control.missing {
			return delivery.Finding{Answer: delivery.Present}, nil
		}
		return delivery.Finding{Answer: delivery.Absent}, err
	})
	if err != nil {
		return err
	}
	if f.Answer == delivery.Absent {
		err := &api.Error{Op: "GET " + s.conn.set.search, Class: api.Setup, Status: http.StatusNotFound,
			Message: fmt.Sprintf("searches answer 404, also for contact %s, which this run has just made, so that it can't be told which contacts are there; check base_url and paths_search", id)}
		s.Halt(err)
		return err
	}
	s.searches.Store(true)
	return nil
}
