package pipeline

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/crmetl/crmetl/record"
)

// Options say how a run flows. The zero value is one pass in file order with one writer.
type Options struct {
	// Workers is how many goroutines decode and transform; 0 means one per processor.
	Workers int
	// Writers is how many goroutines write to the sink; 0 means one. With one, the sink sees the rows in file order.
	Writers int
	// BatchSize is how many records one Write gets at most; 0 leaves the batches as the source cut them.
	BatchSize int
	// Key, if set, names what a row is about. Two rows with the same key are never written at the same time, and
	// always in file order. A row with the key "" is on its own.
	Key func(*record.Row) string
	// Group, if set, brings rows together that make one record.
	Group *Grouping
	// Skip passes over the first rows: they are counted as skipped.
	Skip int64
	// Limit ends the source after so many rows, those passed over by Skip not counted; 0 means no limit.
	Limit int64
	// StopAt ends the run with ErrStopped at the row that is the so-manyth refused before the sink, rows of earlier
	// attempts not counted; 0 means never. What comes after that row is left in the source.
	StopAt int64
	// History knows of earlier attempts; nil if there were none.
	History History
	// Retire is called with every batch, in file order, from one goroutine, when its rows have met their fate. Rows
	// of a batch whose write was broken off may have none: they are not counted. An error ends the run.
	Retire func(*record.Batch) error
	// Stop, when closed, ends reading; writes under way finish, and Run returns ErrStopped. Cancelling the context
	// breaks off those too.
	Stop <-chan struct{}
}

// Grouping says which rows make one record.
type Grouping struct {
	// Key names the record that a row belongs to; "" means that the row stands alone.
	Key func(*record.Row) string
	// Last tells the number of the last row with the key; a group is written once that row has come.
	Last func(key string) int64
	// MaxOpen is how many rows may wait for the rest of their groups; 0 means 200,000.
	MaxOpen int
}

// Run moves all rows from src through steps to sink and returns what became of them. It closes source and sink in
// every case, each once, and commits the sink only if everything went well. The first error wins; rows in flight
// finish before it is returned, unless ctx is cancelled.
func Run(ctx context.Context, src Source, steps []Step, sink Sink, o Options) (counts Counts, err error) {
	defer func() { err = errors.Join(err, sink.Close()) }()
	defer func() { err = errors.Join(err, src.Close()) }()
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	o.Writers = max(o.Writers, 1)
	r := &run{src: src, steps: steps, sink: sink, o: o, halt: make(chan struct{})}
	err = r.flow(ctx)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = sink.Commit(ctx)
	}
	return r.counts, err
}

// run is one Run on its way. Data flows read → decode (Workers) → arrange → write (Writers) → retire; the channels
// between them are short, which bounds the memory, and the two ordered ones keep file order.
type run struct {
	src    Source
	steps  []Step
	sink   Sink
	o      Options
	counts Counts

	early    bool          // rows were left in the source
	halt     chan struct{} // closed when no new row may enter: an error, or the end of the limit
	haltOnce sync.Once
	chunks   pool[Chunk]
	batches  pool[record.Batch]
}

// pool keeps what waits for its next use. What came last goes first: it is still in the processor's caches, and what is
// not needed is never touched.
type pool[T any] struct {
	mu   sync.Mutex
	free []*T
}

func (p *pool[T]) get() *T {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		x := p.free[n-1]
		p.free = p.free[:n-1]
		return x
	}
	return new(T)
}

func (p *pool[T]) put(x *T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, x)
}

// piece is a chunk on its way to becoming a batch.
type piece struct {
	chunk *Chunk
	batch *record.Batch
	err   error
	ready chan struct{}
}

// load is a batch on its way through the sink.
type load struct {
	batch *record.Batch
	from  []*share // whose cells its rows use, other than its own
	keys  []uint64 // hashes of what its rows are about
	err   error
	ready chan struct{}
}

// share counts the loads that use the cells of one decoded batch, and the arranger while it works on it.
type share struct {
	batch *record.Batch
	users atomic.Int32
}

// drop ends one use; the last one frees the batch for other rows.
func (r *run) drop(s *share) {
	if s.users.Add(-1) == 0 {
		r.recycle(s.batch)
	}
}

// recycle empties a batch and keeps it for the next rows. After a fault nothing is used again: a sink that was broken
// off may still be at work.
func (r *run) recycle(b *record.Batch) {
	if r.stopped() {
		return
	}
	b.Reset()
	r.batches.put(b)
}

func (r *run) stop() { r.haltOnce.Do(func() { close(r.halt) }) }

func (r *run) stopped() bool {
	select {
	case <-r.halt:
		return true
	case <-r.o.Stop:
		return true
	default:
		return false
	}
}

func (r *run) flow(ctx context.Context) error {
	pieces, decode := make(chan *piece, 2*r.o.Workers), make(chan *piece)
	loads, write := make(chan *load, 2*r.o.Writers), make(chan *load)
	var g errgroup.Group // no shared context: an error lets calls in flight finish
	g.Go(func() error {
		defer close(pieces)
		defer close(decode)
		return r.read(ctx, pieces, decode)
	})
	for range r.o.Workers {
		g.Go(func() error {
			for p := range decode {
				p.err = r.decode(p)
				close(p.ready)
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(loads)
		defer close(write)
		err := r.arrange(ctx, pieces, loads, write)
		r.stop()
		for range pieces { //nolint:revive // what was read but not used is dropped
		}
		if errors.Is(err, ErrStopped) {
			r.early = true // what made it stop is told by whoever knows
			return nil
		}
		return err
	})
	for range r.o.Writers {
		g.Go(func() error {
			for l := range write {
				if l.err = r.sink.Write(ctx, l.batch); l.err != nil {
					r.stop()
				}
				close(l.ready)
			}
			return nil
		})
	}
	g.Go(func() error { return r.retire(loads) })
	if err := g.Wait(); err != nil || !r.early {
		return err
	}
	return ErrStopped
}

// read cuts the source into pieces. A source error travels as a piece of its own, so that it is met in file order,
// after the rows before it.
func (r *run) read(ctx context.Context, pieces, decode chan<- *piece) error {
	for !r.stopped() && ctx.Err() == nil {
		c := r.chunks.get()
		err := r.src.Next(ctx, c)
		if errors.Is(err, io.EOF) {
			return nil
		}
		p := &piece{chunk: c, err: err, ready: make(chan struct{})}
		select {
		case pieces <- p:
		case <-r.halt:
			return nil
		}
		if err != nil {
			close(p.ready)
			return nil
		}
		decode <- p
	}
	return nil
}

func (r *run) decode(p *piece) error {
	p.batch = r.batches.get()
	// A decoder that gives up has filled in the rows before the fault: they are good, and go through the steps.
	broken := r.src.Decode(p.chunk, p.batch)
	p.batch.Cursor = p.chunk.Cursor
	p.chunk.Extra = nil
	r.chunks.put(p.chunk)
	p.chunk = nil
	for _, s := range r.steps {
		if err := s.Apply(p.batch); err != nil {
			p.batch = nil
			return err
		}
	}
	return broken
}

// arrange numbers the rows, recalls what is known of them, brings groups together, cuts the sink's batches and hands
// them out.
func (r *run) arrange(ctx context.Context, pieces <-chan *piece, loads, write chan<- *load) error {
	a := &arranger{run: r, ctx: ctx, loads: loads, write: write, busy: map[uint64]*load{}, seed: maphash.MakeSeed()}
	if r.o.Group != nil {
		a.groups = map[string]*group{}
	}
	for p := range pieces {
		<-p.ready
		var full bool
		if p.batch != nil {
			var err error
			if full, err = a.take(p.batch); err != nil {
				return err
			}
		}
		if a.o.StopAt > 0 && a.refused >= a.o.StopAt {
			return errors.Join(a.flush(), ErrStopped)
		}
		if full {
			break // what comes after the limit, be it a fault, is not looked at
		}
		if p.err != nil {
			// The rows before the fault are good and go on their way; the fault ends the run.
			return errors.Join(a.flush(), p.err)
		}
		if r.stopped() || ctx.Err() != nil {
			return ErrStopped
		}
	}
	if (r.stopped() || ctx.Err() != nil) && !a.full {
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
	busy         map[uint64]*load // by hash of a key: the last load that holds it
	holding      []*load          // the loads in busy
	seed         maphash.Seed
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
			switch a.o.History.Recall(row) {
			case Retired:
				if err := a.place(b, row, true); err != nil {
					return false, err
				}
				continue
			case Unknown:
				if row.Fate == record.Pending {
					row.Fate = record.Doubt
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
		if b.Rows = b.Rows[:kept]; kept == 0 {
			a.recycle(b)
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
		return a.add(b, *row)
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
		if err := a.add(from, g.rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// add puts a row into the sink's next batch. A batch ends when it holds BatchSize records, but never inside a group.
func (a *arranger) add(from *record.Batch, row record.Row) error {
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
		a.out = a.batches.get()
		a.out.Header, a.out.Origin = from.Header, from.Origin
	}
	if s := a.current; s != nil && (len(a.from) == 0 || a.from[len(a.from)-1] != s) {
		s.users.Add(1)
		a.from = append(a.from, s)
	}
	a.out.Rows = append(a.out.Rows, row)
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
	l := &load{batch: b, from: from, ready: make(chan struct{})}
	work := false
	for i := range b.Rows {
		if !b.Rows[i].Fate.Open() {
			continue
		}
		work = true
		if a.o.Key != nil && a.o.Writers > 1 {
			if k := a.o.Key(&b.Rows[i]); k != "" {
				l.keys = append(l.keys, maphash.String(a.seed, k))
			}
		}
	}
	if len(l.keys) > 0 {
		a.hold(l)
	}
	if work && (a.stopped() || a.ctx.Err() != nil) {
		return ErrStopped
	}
	a.loads <- l
	if !work {
		close(l.ready)
		return nil
	}
	a.write <- l
	return nil
}

// hold waits for every earlier load that holds one of l's keys, and gives them to l. Two keys with one hash wait for each
// other in vain, which does no harm.
func (a *arranger) hold(l *load) {
	for _, k := range l.keys {
		if before := a.busy[k]; before != nil {
			<-before.ready
		}
	}
	a.holding = slices.DeleteFunc(a.holding, func(x *load) bool {
		select {
		case <-x.ready:
		default:
			return false
		}
		for _, k := range x.keys {
			if a.busy[k] == x {
				delete(a.busy, k)
			}
		}
		return true
	})
	for _, k := range l.keys {
		a.busy[k] = l
	}
	a.holding = append(a.holding, l)
}

// retire counts and reports the batches in file order. After an error it goes on counting, so that rows which were
// written are accounted for.
func (r *run) retire(loads <-chan *load) error {
	var first, untold error
	for l := range loads {
		<-l.ready
		if l.err != nil && first == nil {
			first = l.err
		}
		for i := range l.batch.Rows {
			row := &l.batch.Rows[i]
			r.counts.Add(row.Fate)
			if row.Fate.Open() && l.err == nil && first == nil {
				first = fmt.Errorf("row %d was given to the sink and came back without a fate", row.Num)
				r.stop()
			}
		}
		if r.o.Retire != nil && untold == nil { // a later row is never reported before an earlier one
			if untold = r.o.Retire(l.batch); untold != nil {
				if first == nil {
					first = untold
				}
				r.stop()
			}
		}
		if first == nil {
			for _, s := range l.from {
				r.drop(s)
			}
			r.recycle(l.batch)
		}
	}
	return first
}
