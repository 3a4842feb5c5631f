package pipeline

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/crmetl/crmetl/record"
)

// piece is a chunk on its way to becoming a batch.
type piece struct {
	decoded bool
	chunk   *Chunk
	batch   *record.Batch
	err     error
}

// line is where pieces stand from when they are read to when they are arranged.
type line struct {
	mu      sync.Mutex
	changed sync.Cond // something to do, for who waits
	pieces  []*piece  // by their number modulo the length
	read    int64     // how many were read,
	taken   int64     // how many of them were taken to be decoded,
	passed  int64     // and how many were arranged
	stock   int64     // how many are read ahead
	reading bool      // a worker is at the source
	passing bool      // a worker is at the arranger
	drained bool      // nothing more is read
}

// ahead is how many pieces for each worker may be in line: one that the system has put aside must not stop the others.
const ahead = 4

func (l *line) open(workers int) {
	l.changed.L = &l.mu
	l.pieces = make([]*piece, ahead*workers)
	l.stock = 1 // a single worker does not let what it has read wait for more
	if workers > 1 {
		l.stock = int64(2 * workers)
	}
}

// room reports whether another piece may be read.
func (l *line) room() bool {
	return !l.drained && l.read-l.passed < int64(len(l.pieces))
}

// next returns a piece to decode, nil when there are no more. It reads ahead if few are left and nobody is at it.
func (r *run) next(ctx context.Context) *piece {
	l := &r.line
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if !l.reading && 2*(l.read-l.taken) < l.stock && l.room() {
			r.read(ctx)
		}
		switch {
		case l.taken < l.read:
			p := l.pieces[l.taken%int64(len(l.pieces))]
			l.taken++
			return p
		case l.drained:
			return nil
		}
		l.changed.Wait()
	}
}

// read fills the stock. The line is locked when it is called and when it returns, and free while the source is at work. A
// source error travels as a piece of its own, so that it is met in file order, after the rows before it.
func (r *run) read(ctx context.Context) {
	l := &r.line
	l.reading = true
	for l.read-l.taken < l.stock && l.room() {
		l.mu.Unlock()
		p := &piece{chunk: r.chunks.get(), err: io.EOF}
		if !r.stopped() && ctx.Err() == nil {
			p.err = r.src.Next(ctx, p.chunk)
		}
		l.mu.Lock()
		l.drained = p.err != nil
		if !errors.Is(p.err, io.EOF) {
			l.pieces[l.read%int64(len(l.pieces))] = p
			l.read++
			l.changed.Signal()
		}
	}
	l.reading = false
	l.changed.Broadcast()
}

// pass brings a piece to the arranger, and all that wait behind it, if it is its turn and nobody is at it.
func (r *run) pass(a *arranger, p *piece) {
	l := &r.line
	l.mu.Lock()
	defer l.mu.Unlock()
	p.decoded = true
	if l.passing {
		return
	}
	l.passing = true
	for l.passed < l.read {
		p := l.pieces[l.passed%int64(len(l.pieces))]
		if !p.decoded {
			break
		}
		l.mu.Unlock()
		a.accept(p)
		l.mu.Lock()
		l.passed++
		l.changed.Signal()
	}
	l.passing = false
}
