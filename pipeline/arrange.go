package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crmetl/crmetl/record"
)

// newArranger returns who numbers the rows, recalls what is known of them, brings groups together, cuts the sink's
// batches and hands them out. It is used by one goroutine at a time.
func newArranger(ctx context.Context, r *run) *arranger {
	a := &arranger{run: r, ctx: ctx}
	if r.o.Group != nil {
		a.groups = map[string]*group{}
	}
	return a
}

// accept arranges the next piece, unless it is all over.
func (a *arranger) accept(p *piece) {
	if a.over {
		return
	}
	err := a.piece(p)
	if err != nil || a.full {
		a.over, a.err = true, err
		a.run.stop()
	}
}

func (a *arranger) piece(p *piece) error {
	var full bool
	if p.batch != nil {
		var err error
		if full, err = a.take(p.batch); err != nil {
			return err
		}
	}
	switch {
	case a.o.StopAt > 0 && a.refused >= a.o.StopAt:
		return errors.Join(a.flush(), ErrStopped)
	case full: // what comes after the limit, be it a fault, is not looked at
		return a.end()
	case p.err != nil:
		// The rows before the fault are good and go on their way; the fault ends the run.
		return errors.Join(a.flush(), p.err)
	case a.stopped() || a.ctx.Err() != nil:
		return ErrStopped
	}
	return nil
}

// finish passes on what is left when no more pieces come, and returns why they ended.
func (a *arranger) finish() error {
	switch {
	case a.over:
		return a.err
	case a.stopped() || a.ctx.Err() != nil:
		return ErrStopped
	}
	return a.end()
}

// arranger holds what arrange knows between pieces.
type arranger struct {
	*run
	ctx          context.Context
	loads, write chan<- *load
	num          int64
	full         bool
	refused      int64
	out          *record.Batch // being filled, if BatchSize or Group asks for batches of our own
	from         []*share      // whose cells are in out
	current      *share        // the decoded batch that is being taken, nil with groups: their rows wait in no order
	open         int           // records in out that the sink will see
	groups       map[string]*group
	waiting      int
	held         holders
	over         bool  // nothing more is arranged
	err          error // why, if not for the limit
}

type group struct {
	rows   []record.Row
	header *record.Header
	origin *record.Header
	cursor string

	retired int64 // a row of it that an earlier attempt reported, 0 if there is none
}

// maxRetire bounds how many rows without work for the sink one batch carries along.
const maxRetire = 1000

// take accepts a decoded batch and reports whether the limit is reached.
func (a *arranger) take(b *record.Batch) (full bool, err error) {
	whole := a.o.BatchSize == 0 && a.groups == nil // the batch goes on as it is
	if !whole && a.groups == nil {
		a.current = &share{batch: b}
		a.current.users.Store(1)
		defer a.drop(a.current)
	}
	kept := 0
	for i := range b.Rows {
		row := &b.Rows[i]
		if a.o.Limit > 0 && a.num >= a.o.Skip+a.o.Limit {
			a.full = true
			break
		}
		a.num++
		row.Num = a.num
		if a.num <= a.o.Skip {
			row.Fate, row.Err = record.Skipped, nil
		}
		if a.o.History != nil {
			known := a.o.History.Recall(row)
			if row.Late && (known == Retired || known == Settled) {
				// The row is done with, and what it sent before this run began may come yet.
				a.held.await(row.About, a.began.Add(settleTime))
				row.Late = false
			}
			switch known {
			case Retired:
				if err := a.place(b, row, true); err != nil {
					return false, err
				}
				continue
			case Unknown:
				if row.Fate == record.Pending {
					row.Fate, row.Late = record.Doubt, true
				}
			}
		}
		if row.Fate == record.Rejected {
			a.refused++
		}
		if !whole {
			if err := a.place(b, row, false); err != nil {
				return false, err
			}
		} else {
			if kept != i {
				b.Rows[kept] = *row
			}
			kept++
		}
		if a.o.StopAt > 0 && a.refused >= a.o.StopAt {
			break
		}
	}
	if whole {
		clear(b.Rows[kept:])
		if b.Rows = b.Rows[:kept]; kept == 0 {
			a.recycle(&a.batches, b)
		} else if err := a.send(b, nil); err != nil {
			return false, err
		}
	}
	if a.o.Limit > 0 && a.num >= a.o.Skip+a.o.Limit {
		a.full = true
	}
	return a.full, nil
}

// place puts one row into its group, or straight into the sink's next batch. A row that is retired only marks its
// group: what is left of it is no whole record.
func (a *arranger) place(b *record.Batch, row *record.Row, retired bool) error {
	key := ""
	if a.groups != nil && row.Fate != record.Skipped {
		key = a.o.Group.Key(row)
	}
	if key == "" {
		if retired {
			return nil
		}
		return a.add(b, row)
	}
	g := a.groups[key]
	if g == nil {
		g = &group{}
		a.groups[key] = g
	}
	g.header, g.origin, g.cursor = b.Header, b.Origin, b.Cursor
	if retired {
		g.retired = row.Num
	} else {
		g.rows = append(g.rows, *row)
		a.waiting++
	}
	if row.Num >= a.o.Group.Last(key) {
		delete(a.groups, key)
		a.waiting -= len(g.rows)
		return a.addGroup(g)
	}
	limit := a.o.Group.MaxOpen
	if limit == 0 {
		limit = 200_000
	}
	if a.waiting > limit {
		return fmt.Errorf("row %d: more than %d rows wait for the rest of their group; sort the file so that rows of one group stand together", row.Num, limit)
	}
	return nil
}

// addGroup passes a whole group on. A group with a refused row is refused whole: half an order is a wrong order.
func (a *arranger) addGroup(g *group) error {
	var bad *record.Row
	for i := range g.rows {
		g.rows[i].Group = g.rows[0].Num
		if g.rows[i].Fate == record.Rejected && bad == nil {
			bad = &g.rows[i]
		}
	}
	for i := range g.rows {
		row := &g.rows[i]
		switch {
		case !row.Fate.Open():
		case bad == nil && g.retired == 0:
		case row.Fate == record.Doubt:
			row.Fate, row.Err = record.Unsure, fmt.Errorf("row %d of the same record is done, and what became of this one is not known", g.retired)
		case bad == nil:
			row.Reject(record.Problem{Rule: "group", Message: fmt.Sprintf("row %d of the same record was refused before the run was resumed, and a record is sent whole or not at all", g.retired)})
		default:
			row.Reject(record.Problem{Rule: "group", Message: fmt.Sprintf("row %d of the same record was refused, and a record is sent whole or not at all", bad.Num)})
		}
	}
	from := &record.Batch{Header: g.header, Origin: g.origin, Cursor: g.cursor}
	for i := range g.rows {
		if err := a.add(from, &g.rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// add puts a row into the sink's next batch. A batch ends when it holds BatchSize records, but never inside a group.
func (a *arranger) add(from *record.Batch, row *record.Row) error {
	isNew := row.Fate.Open()
	if isNew && row.Group != 0 && a.out != nil && len(a.out.Rows) > 0 {
		last := &a.out.Rows[len(a.out.Rows)-1]
		isNew = last.Group != row.Group || !last.Fate.Open()
	}
	// Finished rows that travel along must neither pile up nor break up the sink's batches too early.
	crowded := a.out != nil && len(a.out.Rows)-a.open >= max(maxRetire, 4*a.o.BatchSize) && (row.Group == 0 || row.Group == row.Num)
	if a.out != nil && (a.out.Header != from.Header || isNew && a.open >= max(a.o.BatchSize, 1) || !isNew && crowded) {
		if err := a.flush(); err != nil {
			return err
		}
	}
	if a.out == nil {
		a.out = a.outs.get()
		a.out.Header, a.out.Origin = from.Header, from.Origin
	}
	if s := a.current; s != nil && (len(a.from) == 0 || a.from[len(a.from)-1] != s) {
		s.users.Add(1)
		a.from = append(a.from, s)
	}
	a.out.Rows = append(a.out.Rows, *row)
	a.out.Cursor = from.Cursor
	if isNew {
		a.open++
	}
	// A single record need not wait for company: at a slow vendor the next row may be long in coming.
	if a.o.BatchSize == 1 && a.open == 1 && row.Group == 0 {
		return a.flush()
	}
	return nil
}

func (a *arranger) flush() error {
	b, from := a.out, a.from
	a.out, a.from, a.open = nil, nil, 0
	if b == nil || len(b.Rows) == 0 {
		return nil
	}
	return a.send(b, from)
}

// end passes on what is left when the source has ended.
func (a *arranger) end() error {
	if len(a.groups) > 0 {
		// A limit may cut a group: what has come of it is not the record that the file describes.
		for _, g := range a.groups {
			if !a.full && len(g.rows) > 0 {
				return fmt.Errorf("row %d: its group did not end where the first pass saw it end; the file changed while it was read", g.rows[0].Num)
			}
		}
	}
	return a.flush()
}

// send hands a batch to the sink, after every earlier one that shares a key with it.
func (a *arranger) send(b *record.Batch, from []*share) error {
	l := &load{batch: b, from: from}
	work := false
	for i := range b.Rows {
		work = work || b.Rows[i].Fate.Open()
	}
	if a.o.Key != nil && work {
		l.keys = make([]uint64, 0, len(b.Rows))
		for i := range b.Rows {
			if row := &b.Rows[i]; row.About != 0 && row.Fate.Open() {
				l.keys = append(l.keys, row.About)
			}
		}
		if a.write == nil {
			a.rest(a.held.arrival(l))
		} else if len(l.keys) > 0 {
			a.rest(a.held.hold(l))
		}
	}
	if work && (a.stopped() || a.ctx.Err() != nil) {
		return ErrStopped
	}
	if a.write == nil {
		if work {
			a.deliver(a.ctx, l)
			a.held.settle(l)
		}
		a.retire(l)
		return nil
	}
	l.ready = make(chan struct{})
	a.loads <- l
	if !work {
		close(l.ready)
		return nil
	}
	a.write <- l
	return nil
}

// rest waits for a moment to come, or for the end of the run.
func (a *arranger) rest(until time.Time) {
	if until.IsZero() {
		return
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.halt:
	case <-a.o.Stop:
	case <-a.ctx.Done():
	}
}
