package pipeline

import (
	"sync"
	"sync/atomic"

	"github.com/crmetl/crmetl/record"
)

// maxKeptChunk is how many bytes a chunk keeps for its next use: one very long record must not hold on to memory that no
// other needs.
const maxKeptChunk = 1 << 20

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

// share counts the loads that use the cells of one decoded batch, and the arranger while it works on it.
type share struct {
	batch *record.Batch
	users atomic.Int32
}

// drop ends one use; the last one frees the batch for other rows.
func (r *run) drop(s *share) {
	if s.users.Add(-1) == 0 {
		r.recycle(&r.batches, s.batch)
	}
}

// recycle empties a batch and keeps it for the next rows of its kind. After a fault nothing is used again: a sink that was
// broken off may still be at work.
func (r *run) recycle(kind *pool[record.Batch], b *record.Batch) {
	if r.stopped() {
		return
	}
	b.Reset()
	kind.put(b)
}
