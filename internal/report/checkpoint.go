package report

import (
	"encoding/json"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/crmetl/crmetl/pipeline"
)

// checkpoint is one on its way to the disk. Rows that are retired meanwhile belong to the next one.
type checkpoint struct {
	final, doubt *roaring64.Bitmap
	recent       map[Rejection]int64
	counts       pipeline.Counts
	sizes        [3]int64 // of the tables
	done         chan struct{}
	unsynced     error // a file could not be made durable
	unlogged     error // the log could not be told
}

// endRun brings the last rows into final, all at once.
func (r *Recorder) endRun() {
	if r.run.next > r.run.first {
		r.final.AddRange(r.run.first, r.run.next)
	}
	r.run.first, r.run.next = 0, 0
}

// start gives what was retired to the operating system, and has it made durable while the run goes on.
func (r *Recorder) start() error {
	r.endRun()
	c := &checkpoint{final: r.final, doubt: r.doubt, recent: r.recent, counts: r.counts, done: make(chan struct{})}
	var dirty []*table
	for i, t := range r.tables() {
		if err := t.flush(); err != nil {
			return r.fail(err)
		}
		if c.sizes[i] = t.size; t.size != t.safe {
			dirty = append(dirty, t)
		}
	}
	note, err := json.Marshal(r.usage())
	if err != nil {
		return r.fail(err)
	}
	r.final, r.doubt, r.recent = roaring64.New(), roaring64.New(), map[Rejection]int64{}
	r.rows, r.last, r.pending = 0, r.o.Now(), c
	go func() {
		defer close(c.done)
		for _, t := range dirty {
			if c.unsynced = t.sync(); c.unsynced != nil {
				return
			}
		}
		if r.log != nil {
			c.unlogged = r.log.Checkpoint(c.final, c.doubt, c.counts, note)
		}
	}()
	return nil
}

// settle takes in how the pending checkpoint ended; with wait, when it has.
func (r *Recorder) settle(wait bool) error {
	c := r.pending
	if c == nil {
		return r.err
	}
	if !wait {
		select {
		case <-c.done:
		default:
			return nil
		}
	}
	<-c.done
	r.pending = nil
	if c.unsynced != nil {
		return r.fail(c.unsynced)
	}
	for i, t := range r.tables() {
		t.safe = c.sizes[i]
	}
	for k, n := range c.recent {
		r.count(r.groups, k, n)
	}
	r.kept = c.counts
	if c.unlogged != nil {
		// Whether the checkpoint reached the disk is not known, so the files must hold what it says, and no more. If it
		// did not, resuming drops the lines that it would have covered and writes them anew.
		return r.fail(c.unlogged)
	}
	return nil
}
