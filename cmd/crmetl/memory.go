package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// roomy is how large the heap may grow before it is cleaned up, as long as little of it is in use: a run in bounded
// memory allocates fast and keeps little, and cleaning up by the usual rule, at twice what is in use, takes it a tenth of
// its time.
const roomy = 28 << 20

// atWork is what is in use at least once a run is under way: less is found in one that has just begun, and would let the
// heap grow too far before the next cycle.
const atWork = 7 << 20

// easeGC makes the collector wait until the heap has grown to roomy, from now to the end of the process. A heap that has
// more in use than half of that is cleaned up by the usual rule. $GOGC, if it is set, goes before.
func easeGC(getenv func(string) string) {
	if getenv("GOGC") == "" {
		(&easing{percent: 100, live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}).wait()
	}
}

// easing sets the collector's pace anew after each of its cycles.
type easing struct {
	percent int
	live    []metrics.Sample
}

// wait has look called when the next cycle has found that nobody holds the mark.
func (e *easing) wait() {
	type mark [32]byte // smaller ones share their memory with others
	runtime.AddCleanup(&mark{}, func(e *easing) { e.look() }, e)
}

func (e *easing) look() {
	metrics.Read(e.live)
	want := 100
	if n := max(e.live[0].Value.Uint64(), atWork); n < roomy/2 {
		want = min(int((roomy-n)*100/n), 400)
	}
	if d := want - e.percent; d > 10 || d < -10 {
		e.percent = want
		debug.SetGCPercent(want)
	}
	e.wait()
}
