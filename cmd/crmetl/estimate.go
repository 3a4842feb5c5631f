package main

import (
	"slices"
	"time"
)

// How the time left is estimated.
//
// What counts is the pace at which rows are done now: a run begins slowly (a token becomes good, a first page is
// looked up), pauses when a vendor asks for it, passes over rows that need no call, and changes its pace when the
// vendor's limit does. So the pace is measured over the last minute only, and from the end of one batch to the end of
// another, because between them nothing can be seen. A pause is no part of the pace, unless pauses come again and
// again: then the pace is measured from the end of one to the end of another.
const (
	etaWindow = time.Minute
	etaEvents = 10 // a window has so many batches, however long that takes
	etaMarks  = 256
	etaApart  = 250 * time.Millisecond // marks are at least so far apart
	etaSettle = 2 * time.Second        // before that, nothing is told
	etaPause  = 5 * time.Second        // the shortest pause,
	etaMuch   = 8                      // which is also so many times longer than what is usual
	etaPauses = 6                      // pauses that are remembered
	etaAlike  = 0.15                   // a pace that differs less from the whole run's may be the same
)

// mark is how far a run was at a time.
type mark struct {
	at   time.Time
	busy time.Duration // time of the run until then, without pauses
	done int64
}

// rest is a pause: from the last batch before it to the first one after it.
type rest struct{ from, to mark }

// estimate learns a run's pace.
type estimate struct {
	first   mark   // from which the whole run is measured
	last    mark   // when rows were done last
	recent  []mark // newest last
	pauses  []rest // newest last
	settled bool   // first is set
}

// newEstimate begins with the rows of earlier attempts.
func newEstimate(start time.Time, done int64) *estimate {
	return &estimate{last: mark{start, 0, done}}
}

// add tells how many rows are done now.
func (e *estimate) add(now time.Time, done int64) {
	if done <= e.last.done || now.Before(e.last.at) {
		return
	}
	gap := now.Sub(e.last.at)
	next := mark{now, e.last.busy + gap, done}
	if len(e.recent) > 0 && e.long(gap) {
		next.busy = e.last.busy + e.usual() // one batch of usual length was done meanwhile
		e.pauses = append(e.pauses, rest{e.last, next})
		if len(e.pauses) > etaPauses {
			e.pauses = slices.Delete(e.pauses, 0, 1)
		}
	}
	e.last = next
	if n := len(e.recent); n == 0 || now.Sub(e.recent[n-1].at) >= etaApart {
		if n == etaMarks {
			e.recent = slices.Delete(e.recent, 0, 1)
		}
		e.recent = append(e.recent, next)
	}
	if !e.settled && len(e.recent) > 1 && next.busy-e.recent[0].busy >= etaSettle {
		// What was done before, all at once, needed no calls: rows that are skipped, or were done already.
		e.settled, e.first = true, next
		e.recent = append(e.recent[:0], next)
	}
}

// usual is how long it takes from one batch to the next.
func (e *estimate) usual() time.Duration {
	w := e.window()
	if len(w) < 2 {
		return 0
	}
	return (w[len(w)-1].busy - w[0].busy) / time.Duration(len(w)-1)
}

// long reports whether so much time without a row is a pause.
func (e *estimate) long(gap time.Duration) bool {
	usual := e.usual()
	return usual > 0 && gap > max(etaPause, etaMuch*usual)
}

// window returns the marks that the pace is taken from.
func (e *estimate) window() []mark {
	n := len(e.recent)
	i := n
	for i > 0 && (e.last.busy-e.recent[i-1].busy <= etaWindow || n-i < etaEvents) {
		i--
	}
	return e.recent[i:]
}

// speed returns the rows a second from one mark to another.
func speed(from, to mark, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return float64(to.done-from.done) / took.Seconds()
}

// rhythm returns the pace of a run that pauses again and again, with its pauses, and how much of the pause that falls
// to the rows at hand is over already. at is false for a run that does not.
func (e *estimate) rhythm(now time.Time) (rate float64, over time.Duration, at bool) {
	all := e.pauses
	under := len(e.recent) > 0 && e.long(now.Sub(e.last.at))
	if under {
		all = append(all[:len(all):len(all)], rest{from: e.last})
	}
	n := len(all)
	if n < 2 {
		return 0, 0, false
	}
	from, to := all[0].from, all[n-1].from
	cycle, rows := to.at.Sub(from.at)/time.Duration(n-1), float64(to.done-from.done)/float64(n-1)
	if cycle <= 0 || now.Sub(to.at) > 3*cycle {
		return 0, 0, false
	}
	var length time.Duration
	for _, p := range e.pauses {
		length += p.to.at.Sub(p.from.at) / time.Duration(len(e.pauses))
	}
	if under {
		over = min(now.Sub(e.last.at), length)
	} else {
		over = time.Duration(float64(length) * max(0, 1-float64(e.last.done-to.done)/rows))
	}
	return speed(from, to, to.at.Sub(from.at)), over, true
}

// rate returns the rows a second that can be expected from now on, if nothing is in the way; 0 if that is not known yet.
func (e *estimate) rate() float64 {
	w := e.window()
	if len(w) < 2 || !e.settled {
		return 0
	}
	lately := speed(w[0], e.last, e.last.busy-w[0].busy)
	whole := speed(e.first, e.last, e.last.busy-e.first.busy)
	if whole > 0 && lately > whole*(1-etaAlike) && lately < whole*(1+etaAlike) {
		return (lately + whole) / 2 // chance or change, who knows: it halves the error of either
	}
	return lately
}

// left returns how long the rest of total rows takes; ok is false as long as nobody can tell.
func (e *estimate) left(now time.Time, total int64) (d time.Duration, ok bool) {
	rows := float64(total - e.last.done)
	rate, over, ok := e.rhythm(now)
	if !ok {
		rate = e.rate()
		over = min(max(now.Sub(e.last.at), 0), e.usual()) // of the batch under way
	}
	if rows <= 0 || rate <= 0 {
		return 0, false
	}
	return max(time.Duration(rows/rate*float64(time.Second))-over, 0), true
}
