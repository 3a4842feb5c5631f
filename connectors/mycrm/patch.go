package mycrm

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// Forms of the paths in a patch of one lead: the document's example has /status, its table /id/status.
const (
	shortPaths = 1
	longPaths  = 2
)

// opOf is one operation of a patch.
type opOf struct {
	place
	value record.Value
}

// patchOf is what a row changes of its lead.
type patchOf struct {
	id  string
	ops []opOf
}

// assigns reports whether the rows of a patch can assign properties.
func (l *layout) assigns() bool {
	return slices.ContainsFunc(l.ops, func(p place) bool { return p.op != "replace" })
}

// operations are what a row asks for. A patch can't clear anything.
func (l *layout) operations(row *record.Row) ([]opOf, error) {
	var ops []opOf
	var problems record.Problems
	bad := func(p place, rule, format string, args ...any) {
		problems = append(problems, record.Problem{Field: p.name, Rule: rule, Message: fmt.Sprintf(format, args...)})
	}
	for _, p := range l.ops {
		v := cell(row, p.cell)
		switch {
		case v.Kind() == record.Absent, v.Kind() == record.Text && v.IsEmpty():
			continue
		case v.IsEmpty():
			bad(p, "clear", "a patch can't clear it; leave the cell empty without blank: clear")
		case p.name == "status":
			ops = append(ops, opOf{p, record.TextOf(strings.TrimSpace(v.Text()))})
		case p.op == "replace":
			if n, ok := wholeNumber(v.Text()); ok {
				ops = append(ops, opOf{p, n})
			} else {
				bad(p, string(schema.Integer), "%q is no id of an agent: ids are digits", v.Text())
			}
		default:
			for _, t := range texts(v) {
				if n, ok := wholeNumber(t); ok {
					ops = append(ops, opOf{p, n})
				} else {
					bad(p, string(schema.List), "%q is no id: ids are digits", t)
				}
			}
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return ops, nil
}

// appendOperations writes a patch. With short, it is one lead's, whose id stands in the address. Ids are digits, so that
// the vendor's wildcard for all leads can't come up.
func appendOperations(dst []byte, list []patchOf, short bool) []byte {
	dst = append(dst, `{"operations":[`...)
	n := 0
	for _, p := range list {
		for _, op := range p.ops {
			path := op.path
			if !short {
				path = "/" + p.id + path
			}
			if n++; n > 1 {
				dst = append(dst, ',')
			}
			dst = record.AppendString(append(dst, `{"op":`...), op.op)
			dst = record.AppendString(append(dst, `,"path":`...), path)
			dst = append(op.value.AppendJSON(append(dst, `,"value":`...)), '}')
		}
	}
	return append(dst, ']', '}')
}

// patched is a row on its way.
type patched struct {
	row *record.Row
	patchOf
	assigns bool // it adds or removes properties, which is not surely safe to repeat
}

// patch sends what rows change: many in one call, of at most so many operations, where no outcome of theirs is in doubt.
func (s *sink) patch(ctx context.Context, rows []*record.Row) error {
	var group []patched
	ops := 0
	flush := func() error {
		err := s.patchGroup(ctx, group)
		group, ops = nil, 0
		return err
	}
	for _, row := range rows {
		p := patched{row: row, patchOf: patchOf{id: row.ID}}
		var err error
		if p.ops, err = s.layout.operations(row); err != nil {
			if err := s.Unfit(err, row); err != nil {
				return err
			}
			continue
		}
		p.assigns = slices.ContainsFunc(p.ops, func(o opOf) bool { return o.op != "replace" })
		switch {
		case len(p.ops) == 0:
			row.Fate = record.Unchanged
			continue
		case s.Load.DryRun:
			row.Accept("would update", row.ID)
			continue
		}
		if held, err := s.Held(row); held || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if row.Fate == record.Doubt {
			if err := s.patchDoubtful(ctx, p); err != nil {
				return err
			}
			continue
		}
		if ops+len(p.ops) > patchBatch {
			if err := flush(); err != nil {
				return err
			}
		}
		group, ops = append(group, p), ops+len(p.ops)
	}
	return flush()
}

// patchGroup sends rows in one call; a row that stands alone goes to its own address.
func (s *sink) patchGroup(ctx context.Context, group []patched) error {
	switch len(group) {
	case 0:
		return nil
	case 1:
		return s.patchOne(ctx, group[0])
	}
	if s.conn.verify == verifyFirst && !s.trusted.Load() {
		s.proving.Lock()
		defer s.proving.Unlock()
	}
	list, rows, assigns := make([]patchOf, len(group)), make([]*record.Row, len(group)), false
	for i, p := range group {
		list[i], rows[i], assigns = p.patchOf, p.row, assigns || p.assigns
	}
	body := appendOperations(nil, list, false)
	res, err := s.call(ctx, http.MethodPatch, "/leads", body, !assigns, rows...)
	switch {
	case noSuchMethod(err):
		s.Warn("the vendor takes no patches of several leads; each is sent alone")
		return s.patchEach(ctx, group)
	case err != nil:
		return err
	case res.Verdict == delivery.Refused:
		// Whether a part was applied is not documented. To replace something twice does no harm; what was to be added or
		// removed was refused with the rest.
		if err := s.Undo(res, res.Note()+": refused as a whole; each row is sent alone"); err != nil {
			return err
		}
		return s.patchEach(ctx, group)
	case res.Verdict == delivery.Unknown:
		return s.patchLost(ctx, res, group)
	}
	return s.patchTaken(ctx, res, group)
}

func (s *sink) patchEach(ctx context.Context, group []patched) error {
	for _, p := range group {
		if err := s.patchOne(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// patchTaken ends the way of rows whose call the vendor took. It says nothing about single leads, so that they are read
// back; a row that its lead does not show is sent alone, and judged by that.
func (s *sink) patchTaken(ctx context.Context, res delivery.Result, group []patched) error {
	answers := make([]delivery.Answer, len(group))
	check := s.conn.verify == verifyAll || s.doubted.Load() || s.conn.verify == verifyFirst && !s.trusted.Load()
	if check {
		err := inParallel(len(group), workers, func(i int) (err error) {
			answers[i], err = s.applied(ctx, group[i])
			return err
		})
		if err != nil {
			s.Halt(err)
			return err
		}
	}
	var rows []*record.Row
	var missed []patched
	for i, p := range group {
		if check && answers[i] == delivery.Absent {
			missed = append(missed, p)
			continue
		}
		p.row.Accept(delivery.Updated, p.id)
		rows = append(rows, p.row)
	}
	if check && len(missed) == 0 {
		s.trusted.Store(true)
	}
	if len(missed) > 0 {
		s.doubted.Store(true)
		s.Warn("a patch of %d leads was answered with %d, and %d of them do not show it; they are sent alone, and every patch is read back", len(group), res.Status, len(missed))
	}
	note := res.Note()
	if check {
		note += "; the leads were read back"
	}
	if len(rows) == 0 {
		if err := s.Undo(res, "the leads were read, and none shows the patch"); err != nil {
			return err
		}
	} else if err := s.Settle(res, note, rows...); err != nil {
		return err
	}
	return s.patchEach(ctx, missed)
}

// inParallel calls f with 0 to n-1, so many at a time, and returns its first error, after which it begins nothing new.
func inParallel(n, atOnce int, f func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var calls sync.WaitGroup
	for range min(max(atOnce, 1), n) {
		calls.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	calls.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// patchLost finds out what became of rows whose call has an unknown outcome.
func (s *sink) patchLost(ctx context.Context, res delivery.Result, group []patched) error {
	var again []patched
	settled := false
	for _, p := range group {
		if s.Load.Unsure == schema.Hold {
			if err := s.Unsure(res, "the call broke off and its outcome is not known: "+res.Err.Error(), p.row); err != nil {
				return err
			}
			continue
		}
		found := delivery.Absent
		if s.Load.Unsure == schema.Check {
			var err error
			if found, err = s.applied(ctx, p); err != nil {
				s.Halt(err)
				return err
			}
		}
		done, err := s.shown(res, found, p)
		switch {
		case err != nil:
			return err
		case done:
			settled = true
		default:
			p.row.Fate = record.Doubt // until it is sent again
			again = append(again, p)
		}
	}
	if len(again) > 0 && !settled && s.Load.Unsure == schema.Check {
		if err := s.Undo(res, "the leads were read, and none shows the patch"); err != nil {
			return err
		}
	}
	return s.patchEach(ctx, again)
}

// shown ends the way of a row whose call broke off, by what its lead shows of the patch. done is false if it shows that
// nothing was applied.
func (s *sink) shown(res delivery.Result, found delivery.Answer, p patched) (done bool, err error) {
	switch found {
	case delivery.Present:
		p.row.Accept(delivery.Updated, p.id)
		return true, s.Settle(res, "the lead was read: it has all that was sent", p.row)
	case delivery.Unclear:
		return true, s.Unsure(res, "the call broke off, and MLS listings of a lead can't be read back: "+res.Err.Error(), p.row)
	}
	return false, nil
}

// patchDoubtful sends a row that an earlier run may have sent. What only replaces is sent again.
func (s *sink) patchDoubtful(ctx context.Context, p patched) error {
	if !p.assigns || s.Load.Unsure != schema.Check {
		return s.patchOne(ctx, p)
	}
	found, err := s.applied(ctx, p)
	switch {
	case err != nil:
		return err
	case found == delivery.Present:
		p.row.Accept(delivery.Updated, p.id)
		return s.Settle(delivery.Result{}, "the lead was read: it has all that an earlier attempt sent", p.row)
	case found == delivery.Unclear:
		return s.Unsure(delivery.Result{}, "an earlier attempt sent it, and MLS listings of a lead can't be read back", p.row)
	}
	return s.patchOne(ctx, p)
}

// applied reads back what a row was to change. Present: it is so. Absent: it is not. Unclear: MLS listings can't be read,
// and the rest is so.
func (s *sink) applied(ctx context.Context, p patched) (delivery.Answer, error) {
	have, err := s.get(ctx, p.id)
	if err != nil || have == nil {
		return delivery.Absent, err
	}
	answer := delivery.Present
	for i, op := range p.ops {
		// Of several operations on one thing the last one counts.
		later := slices.ContainsFunc(p.ops[i+1:], func(o opOf) bool { return o.path == op.path && (o.op == "replace" || o.value == op.value) })
		switch {
		case later:
		case op.name == "status" && !strings.EqualFold(have.Status.Text(), op.value.Text()),
			op.name == "user" && have.User.id.Text() != op.value.Text():
			return delivery.Absent, nil
		case op.path == "/assignment/property":
			has, err := s.hasProperty(ctx, p.id, op.value.Text())
			if err != nil {
				return delivery.Unclear, err
			}
			if has != (op.op == "add") {
				return delivery.Absent, nil
			}
		case op.path == "/assignment/mls":
			answer = delivery.Unclear
		}
	}
	return answer, nil
}

// hasProperty reports whether a lead has selected a property; leads do not list theirs, but can be filtered by one.
func (s *sink) hasProperty(ctx context.Context, id, property string) (has bool, err error) {
	q := listing{query: url.Values{"filters[property]": {property}, "filters[id]": {id}}}
	err = s.conn.all(ctx, q, func(l *lead) error {
		has = has || l.ID.Text() == id
		return nil
	})
	return has, err
}

// patchOne sends one row to its lead's own address.
func (s *sink) patchOne(ctx context.Context, p patched) error {
	return s.Make(ctx, delivery.Once{
		Rows: []*record.Row{p.row},
		Send: func() (delivery.Result, error) { return s.patchSingle(ctx, p) },
		Taken: func(delivery.Result) {
			p.row.Accept(delivery.Updated, p.id)
		},
		Check: func(res delivery.Result) (bool, error) {
			found, err := s.applied(ctx, p)
			if err != nil {
				return false, err
			}
			if done, err := s.shown(res, found, p); done || err != nil {
				return done, err
			}
			return false, s.Undo(res, "the lead was read, and it is as it was")
		},
	})
}

// patchSingle makes the call of one row, with the short paths of the document's example; if the vendor refuses those,
// once with the long ones of its table. What works is kept to.
func (s *sink) patchSingle(ctx context.Context, p patched) (delivery.Result, error) {
	forms := []int32{shortPaths, longPaths}
	if known := s.long.Load(); known != 0 {
		forms = []int32{known}
	}
	var first delivery.Result
	for i, form := range forms {
		body := appendOperations(nil, []patchOf{p.patchOf}, form == shortPaths)
		res, err := s.call(ctx, http.MethodPatch, leadPath(p.id), body, !p.assigns, p.row)
		if err != nil {
			return res, err
		}
		if res.Verdict == delivery.Taken {
			s.long.Store(form)
		}
		if i > 0 && res.Verdict == delivery.Refused {
			res.Problem = first.Problem // the first answer is about what is wrong with the row
		}
		if i+1 == len(forms) || res.Verdict != delivery.Refused || res.Status != http.StatusBadRequest {
			return res, nil
		}
		if err := s.Undo(res, strconv.Itoa(res.Status)+": refused; the paths are tried with the id"); err != nil {
			return res, err
		}
		first = res
	}
	return first, nil
}
