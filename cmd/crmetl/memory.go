package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// How large the heap may grow before it is cleaned up, as long as less than half of that is in use: a run in bounded memory
// allocates fast and keeps little, and cleaning up by the usual rule, at twice what is in use, takes it a tenth of its time.
// A run that sends keeps whole batches, with all that is read of their rows, for each of its calls.
const (
	roomy        = 34 << 20
	roomyToWrite = 80 << 20
)

// atWork is what is in use at least once a run is under way: less is found in one that has just begun, and would let the
// heap grow too far before the next cycle.
const atWork = 7 << 20

// easeGC makes the collector wait until the heap has grown to roomy, from now to the end of the process. A heap that has
// more in use than half of that is cleaned up by the usual rule. $GOGC, if it is set, goes before: then nil is returned.
func easeGC(getenv func(string) string) *easing {
	if getenv("GOGC") != "" {
		return nil
	}
	e := &easing{percent: 100, live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	e.room.Store(roomy)
	e.look()
	return e
}

// easing sets the collector's pace anew after each of its cycles.
type easing struct {
	room    atomic.Uint64
	percent int
	live    []metrics.Sample
}

// allow lets the heap grow to room bytes from the next cycle on. It does nothing for nil.
func (e *easing) allow(room uint64) {
	if e != nil {
		e.room.Store(room)
	}
}

// allowed is how large the heap may grow.
func (e *easing) allowed() uint64 {
	if e == nil {
		return roomy
	}
	return e.room.Load()
}

// wait has look called when the next cycle has found that nobody holds the mark.
func (e *easing) wait() {
	type mark [32]byte // smaller ones share their memory with others
	runtime.AddCleanup(&mark{}, func(e *easing) { e.look() }, e)
}

func (e *easing) look() {
	metrics.Read(e.live)
	want, room := 100, e.allowed()
	if n := max(e.live[0].Value.Uint64(), atWork); n < room/2 {
		want = min(int((room-n)*100/n), 400)
	}
	if d := want - e.percent; d > 10 || d < -10 {
		e.percent = want
		debug.SetGCPercent(want)
	}
	e.wait()
}

// collecting is a source whose decoders clean the heap up themselves, shortly before the collector would begin. Beside
// workers that keep all processors busy the collector takes its time, in which pointers are written at a higher price; when
// one of them stands aside until it is done, it has a processor to itself.
type collecting struct {
	pipeline.Source
	most  *easing
	since atomic.Int64 // bytes decoded since the last look
	mu    sync.Mutex
	heap  [3]metrics.Sample // see newCollecting
}

// lookEvery is how many bytes are decoded between two looks at the heap.
const lookEvery = 512 << 10

// newCollecting returns a source for a run that lets the heap grow as far as most says.
func newCollecting(src pipeline.Source, most *easing) *collecting {
	return &collecting{Source: src, most: most, heap: [3]metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/goal:bytes"},
	}}
}

// Decode decodes a chunk.
func (c *collecting) Decode(k *pipeline.Chunk, b *record.Batch) error {
	n := int64(len(k.Data))
	err := c.Source.Decode(k, b)
	if c.since.Add(n) >= lookEvery && c.mu.TryLock() {
		defer c.mu.Unlock()
		c.since.Store(0)
		metrics.Read(c.heap[:])
		live, now, goal := c.heap[0].Value.Uint64(), c.heap[1].Value.Uint64(), c.heap[2].Value.Uint64()
		if goal > 1<<40 {
			return err // GOGC=off
		}
		if room := c.most.allowed(); live < room/2 {
			goal = min(goal, room) // it was set when less was in use
		}
		// The collector begins by itself at seven tenths of the way from what is in use to its goal, or later.
		if now > live && goal > live && (now-live)*20 >= (goal-live)*13 {
			runtime.GC()
		}
	}
	return err
}
