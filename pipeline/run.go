package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

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
	loads, write := make(chan *load, max(r.o.Writers, 2)), make(chan *load)
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
	return broken
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
