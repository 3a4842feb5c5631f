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
)

// What a deletion has shown about its address.
const (
	foundPlural   = 1
	foundSingular = 2
)

// deletePaths are the addresses of a lead's deletion, in the order in which they are tried. The document has the
// singular, and everything else of it the plural; the first that works is used from then on.
func (c *Conn) deletePaths(id string) []string {
	plural, singular := leadPath(id), "/lead/"+id
	switch {
	case c.deletes == pathPlural, c.deletes == pathAuto && c.singular.Load() == foundPlural:
		return []string{plural}
	case c.deletes == pathSingular, c.deletes == pathAuto && c.singular.Load() == foundSingular:
		return []string{singular}
	}
	return []string{plural, singular}
}

// delete removes a lead. One that is gone already after a first attempt was deleted by that attempt.
func (s *sink) delete(ctx context.Context, row *record.Row) error {
	if s.Load.DryRun {
		row.Accept("would delete", row.ID)
		return nil
	}
	if held, err := s.Held(row); held || err != nil {
		return err
	}
	doubt := row.Fate == record.Doubt
	paths := s.conn.deletePaths(row.ID)
	for i, path := range paths {
		res, err := s.call(ctx, http.MethodDelete, path, nil, true, row)
		more := i+1 < len(paths)
		if more && noSuchMethod(err) {
			continue // the courier has told the ledger that it had no effect
		}
		if err != nil {
			return err
		}
		doubt = doubt || res.Repeated()
		gone := res.Verdict == delivery.Refused && res.Problem.Rule == "not_found"
		switch {
		case gone && more:
			if err := s.Undo(res, "404: there is no such lead, or no such address"); err != nil {
				return err
			}
			continue
		case gone && doubt:
			row.Accept(delivery.Deleted, row.ID)
			return s.Settle(res, "404: an earlier attempt deleted it", row)
		case gone:
			return s.Gone(res, "lead", row)
		case res.Verdict == delivery.Refused:
			return s.Reject(res, row)
		case res.Verdict == delivery.Unknown:
			return s.concludeDelete(ctx, res, row)
		}
		if len(paths) > 1 {
			s.conn.singular.Store(int32(i + 1))
		}
		row.Accept(delivery.Deleted, row.ID)
		return s.Settle(res, res.Note(), row)
	}
	return nil
}

// noSuchMethod reports whether the vendor knows the address and not that it deletes.
func noSuchMethod(err error) bool {
	var known *api.Error
	return errors.As(err, &known) && known.Status == http.StatusMethodNotAllowed
}

// concludeDelete finds out whether a lead is gone after a deletion whose answer can't be understood.
func (s *sink) concludeDelete(ctx context.Context, res delivery.Result, row *record.Row) error {
	have, err := s.get(ctx, row.ID)
	if err != nil {
		s.Halt(err)
		return err
	}
	if have != nil {
		return s.Unsure(res, "the answer to the deletion could not be understood, and the lead is still there: "+res.Err.Error(), row)
	}
	row.Accept(delivery.Deleted, row.ID)
	return s.Settle(res, "the lead was looked for and is gone", row)
}

// deleteMany deletes rows by DELETE /leads if they name every lead that the account has, one by one otherwise.
//
// "If you don't pass any ID, it will delete all leads", says the document: a proxy that drops the bodies of DELETE calls
// turns a call for three leads into one for all. Nothing that a client can send proves beforehand that bodies arrive: a
// call without effect is the same call with other ids, and is as dangerous. So the call is made only where its worst
// outcome is what was asked for. It is not repeated, and the leads are looked for afterwards.
//
// Batches go one after the other: whether the rows of one are all that is left is only then known. What of a batch is
// deleted one by one goes as many at once as there are batches waiting.
func (s *sink) deleteMany(ctx context.Context, rows []*record.Row) error {
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	release, err := s.batches.Take(ctx, 0)
	if err != nil {
		return err
	}
	defer release()
	var bulk, single []*record.Row
	var ids []string
	for _, row := range rows {
		if row.Fate == record.Doubt || slices.Contains(ids, row.ID) || len(ids) == deleteBatch {
			single = append(single, row)
			continue
		}
		ids = append(ids, row.ID)
		bulk = append(bulk, row)
	}
	all := false
	if len(ids) > 1 && !s.Load.DryRun {
		var err error
		if all, err = s.namesAll(ctx, ids); err != nil {
			return err
		}
	}
	if all {
		left, err := s.deleteBulk(ctx, bulk, ids)
		if err != nil {
			return err
		}
		bulk = left
	}
	err = inParallel(len(bulk), int(s.waiting.Load()), func(i int) error { return s.delete(ctx, bulk[i]) })
	for i := 0; i < len(single) && err == nil; i++ {
		err = s.delete(ctx, single[i])
	}
	return err
}

// namesAll reports whether ids are all leads that the account has: the vendor counts as many, and lists just those.
func (s *sink) namesAll(ctx context.Context, ids []string) (bool, error) {
	p, err := s.conn.page(ctx, listing{warn: s.layout.load.Warn}, 1)
	if err != nil {
		return false, err
	}
	have := slices.Sorted(slices.Values(p.ids))
	if p.count != int64(len(ids)) || !slices.Equal(have, slices.Sorted(slices.Values(ids))) {
		s.Warn("--%s: the account has other leads than those of a call, and a call whose body is lost would delete them too: leads are deleted one by one", bulkDelete)
		return false, nil
	}
	return true, nil
}

// deleteBulk makes the call for all leads of the account, and returns the rows whose leads are still there after it.
func (s *sink) deleteBulk(ctx context.Context, rows []*record.Row, ids []string) (left []*record.Row, err error) {
	body := appendIDs(nil, ids)
	if len(ids) == 0 || len(ids) > deleteBatch || len(body) < len(`{"leads":[1]}`) {
		return rows, nil // this must never be sent
	}
	res, err := s.call(ctx, http.MethodDelete, "/leads", body, false, rows...)
	switch {
	case noSuchMethod(err):
		return rows, nil
	case err != nil:
		return nil, err
	case res.Verdict == delivery.Refused:
		return rows, s.Undo(res, res.Note()+": refused")
	}
	there := map[string]bool{}
	if err := s.conn.all(ctx, listing{warn: s.layout.load.Warn}, func(l *lead) error {
		there[l.ID.Text()] = true
		return nil
	}); err != nil {
		s.Halt(err)
		return nil, err
	}
	var gone []*record.Row
	for _, row := range rows {
		if there[row.ID] {
			left = append(left, row)
			continue
		}
		row.Accept(delivery.Deleted, row.ID)
		gone = append(gone, row)
	}
	if len(gone) == 0 {
		return left, s.Undo(res, "the leads were read, and all are still there")
	}
	if len(left) > 0 {
		s.Warn("--%s: after a call for %d leads %d of them are still there; they are deleted one by one", bulkDelete, len(rows), len(left))
	}
	return left, s.Settle(res, fmt.Sprintf("%s; the leads were looked for and are gone", res.Note()), gone...)
}

func appendIDs(dst []byte, ids []string) []byte {
	dst = append(dst, `{"leads":[`...)
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, id...)
	}
	return append(dst, ']', '}')
}
