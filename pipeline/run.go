package pipeline

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"sync"
	"time"

	"github.com/crmetl/crmetl/record"
)

// Options say how a run flows. The zero value is one pass in file order with one writer.
type Options struct {
	// Workers is how many goroutines read, decode and transform; 0 means one per processor.
	Workers int
	// Writers is how many goroutines write to the sink; 0 means one. With one, which is any of the workers, the sink
	// sees the rows in file order.
	Writers int
	// BatchSize is how many records one Write gets at most; 0 leaves the batches as the source cut them.
	BatchSize int
	// Key, if set, names what a row is about. Two rows with the same key are never written at the same time, and
	// always in file order; and where a call for the earlier one broke off, or may have in an earlier attempt, the later
	// one waits until it must have arrived. A row with the key "" is on its own. Key is called by many goroutines.
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
	// Retire is called with every batch, in file order, one at a time, when its rows have met their fate. Rows of a
	// batch whose write was broken off may have none: they are not counted. An error ends the run.
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
	r := &run{src: src, steps: steps, sink: sink, o: o, halt: make(chan struct{}), seed: maphash.MakeSeed(), began: time.Now()}
	err = r.flow(ctx)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = sink.Commit(ctx)
	}
	return r.counts, err
}

// run is one Run on its way. A worker reads chunks ahead when few are left, decodes one, and brings it to the arranger: in
// the file's order, for the others as well if theirs wait behind it. What is arranged goes to the writers, and from them
// in order again to retire; a single writer is the worker itself. So no goroutine waits for another while there is work
// that it could do, and what is on its way is bounded.
type run struct {
	src    Source
	steps  []Step
	sink   Sink
	o      Options
	counts Counts

	halt     chan struct{} // closed when no new row may enter: an error, or the end of the limit
	haltOnce sync.Once
	chunks   pool[Chunk]
	batches  pool[record.Batch] // that rows are decoded into: they have room for cells
	outs     pool[record.Batch] // for the sink, of rows whose cells are elsewhere
	line     line
	seed     maphash.Seed // of hashes of what rows are about
	began    time.Time

	first, untold error // see retire
}

// load is a batch on its way through the sink.
type load struct {
	batch *record.Batch
	from  []*share  // whose cells its rows use, other than its own
	keys  []uint64  // hashes of what its rows are about
	late  time.Time // when its calls that broke off will have arrived; zero if none did
	err   error
	ready chan struct{}
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
	a := newArranger(ctx, r)
	r.line.open(r.o.Workers)
	loads, write := make(chan *load, max(r.o.Writers, 2)), make(chan *load)
	var workers, writers sync.WaitGroup
	if r.o.Writers > 1 {
		a.loads, a.write = loads, write
		for range r.o.Writers {
			writers.Go(func() {
				for l := range write {
					r.deliver(ctx, l)
					close(l.ready)
				}
			})
		}
		writers.Go(func() {
			for l := range loads {
				<-l.ready
				r.retire(l)
			}
		})
	}
	for range r.o.Workers {
		workers.Go(func() {
			for p := r.next(ctx); p != nil; p = r.next(ctx) {
				if p.err == nil {
					p.err = r.decode(p)
				}
				r.pass(a, p)
			}
		})
	}
	workers.Wait()
	err := a.finish()
	close(loads)
	close(write)
	writers.Wait()
	if r.first == nil {
		r.first = err
	}
	return r.first
}

// deliver writes a load to the sink.
func (r *run) deliver(ctx context.Context, l *load) {
	if l.err = r.sink.Write(ctx, l.batch); l.err != nil {
		r.stop()
	}
	if len(l.keys) == 0 {
		return // nobody waits
	}
	for i := range l.batch.Rows {
		if l.batch.Rows[i].Late {
			l.late = time.Now().Add(settleTime)
			return
		}
	}
}

func (r *run) decode(p *piece) error {
	p.batch = r.batches.get()
	// A decoder that gives up has filled in the rows before the fault: they are good, and go through the steps.
	broken := r.src.Decode(p.chunk, p.batch)
	p.batch.Cursor = p.chunk.Cursor
	if cap(p.chunk.Data) > maxKeptChunk {
		p.chunk.Data = nil
	}
	r.chunks.put(p.chunk)
	p.chunk = nil
	for _, s := range r.steps {
		if err := s.Apply(p.batch); err != nil {
			p.batch = nil
			return err
		}
	}
	if r.o.Key != nil {
		r.name(p.batch)
	}
	return broken
}

// name notes what the rows are about, while their cells are in the processor's cache.
func (r *run) name(b *record.Batch) {
	for i := range b.Rows {
		row := &b.Rows[i]
		if !row.Fate.Open() {
			continue
		}
		if k := r.o.Key(row); k != "" {
			row.About = max(maphash.String(r.seed, k), 1)
		}
	}
}

// retire counts and reports a batch; it comes in file order. After an error it goes on counting, so that rows which
// were written are accounted for.
func (r *run) retire(l *load) {
	if l.err != nil && r.first == nil {
		r.first = l.err
	}
	for i := range l.batch.Rows {
		row := &l.batch.Rows[i]
		r.counts.Add(row.Fate)
		if row.Fate.Open() && l.err == nil && r.first == nil {
			r.first = fmt.Errorf("row %d was given to the sink and came back without a fate", row.Num)
			r.stop()
		}
	}
	if r.o.Retire != nil && r.untold == nil { // a later row is never reported before an earlier one
		if r.untold = r.o.Retire(l.batch); r.untold != nil {
			if r.first == nil {
				r.first = r.untold
			}
			r.stop()
		}
	}
	if r.first == nil {
		for _, s := range l.from {
			r.drop(s)
		}
		if r.o.BatchSize == 0 && r.o.Group == nil {
			r.recycle(&r.batches, l.batch)
		} else {
			r.recycle(&r.outs, l.batch)
		}
	}
}
