package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// How the pace is kept.
//
// Everyone who wants to start a call takes a slot; slots lie a little more than 1/rate apart. Just before the first
// byte leaves, the start is checked against the starts that really were, because whoever wakes late, dials, or waits
// for a disk starts later than planned, and the punctual ones behind would then be too many in one second. Slots make
// the throughput, the check makes the promise. Both are kept in a small file that all processes share.
//
// The vendor counts a call when it looks at its clock: after the call left, and before its answer is here. A start
// therefore has a grace, by which the vendor may count it late. Its answer tells more: one that comes within the grace
// ends it, and the start is put on record as an earlier one. One that comes later, where most do not, may tell of a
// call that was counted late: the start is put on record as a later one, so that its grace ends with its answer, as
// long as the grace that other starts did not need makes up for it. Where answers are slow they tell nothing, and the
// grace alone has to do.
const (
	// slotStretch is how much wider than 1/rate the slots are. A window is kept from the end of a start's grace, which
	// is a share of the window, and a sliver longer, as the vendor's clock may go a little faster than ours. The window
	// with both may be no wider than the slots that lie in it, or it costs the rate.
	slotStretch  = 1.007
	windowGrace  = 0.0065
	windowSliver = 0.0005
	// neighbours may be this much closer than their slots, so that one late start does not delay all others for good.
	// No more than the rest does an answer take a start back: its neighbour would follow too soon.
	neighbourShare = 0.96

	maxStarts = 128                    // starts that are remembered; of a higher rate, windows shorter than a second are kept
	maxAhead  = time.Minute            // a slot further in the future comes from a wrong clock
	maxPause  = 15 * time.Minute       // a vendor that wants a longer rest is asked again then
	prepare   = 100 * time.Millisecond // how early before its start a call may be given its slot
	lateStart = time.Millisecond       // a start that differs so much from what is on record is put on record anew
	maxSpare  = 50 * time.Millisecond  // starts fall so far behind their slots, which is less than prepare, and catch up
)

// errHeld says that a call which was about to leave has to wait longer than a connection can be held.
var errHeld = errors.New("the account is paused")

// pacer keeps one account's pace.
type pacer struct {
	rate  float64
	every time.Duration // from slot to slot; 0: no limit
	gap   time.Duration // the least from start to start
	count int           // count+1 starts take at least span
	span  time.Duration
	grace time.Duration // how long after a start the vendor may count it: a part of span
	early time.Duration // how much earlier a start may be put on record, once its answer is there
	stop  <-chan struct{}
	wall  func() time.Time                                                               // the clock that processes share
	nap   func(ctx context.Context, stop, closed <-chan struct{}, d time.Duration) error // sleep, or one that lasts longer
	unit  time.Duration                                                                  // how long a lone start stands for, where no rate is configured

	flying atomic.Int64 // calls that left and have no answer yet
	slow   atomic.Bool  // the account is slowed down

	busy   chan struct{} // holds one: whoever works on what follows
	file   *paceFile     // nil: only this process
	mem    paceState     // as it was left last
	spare  time.Duration // grace that was not needed, and not spent yet
	recent []int64       // this process's last starts, where no rate is configured
	latest int64         // when headers were taken in last
	seen   time.Time     // when, with the monotonic clock
	at     int64         // when, by the wall clock
	warn   func(error)
}

// paceState is what is known of an account, in nanoseconds of the wall clock.
type paceState struct {
	next   int64   // the first free slot
	pause  int64   // nothing starts before
	wrote  int64   // when this was written; 0: not known
	quota  int64   // so many may start
	until  int64   // before this time, as the vendor said; 0: it said nothing
	limit  float64 // starts a second while the account is slowed down; 0: it is not
	top    float64 // what was too fast
	slowed int64   // when it was halved last
	raised int64   // when it was raised or halved last; 0: it was halved by what may be chance
	told   int64   // when the vendor last said "too fast" and for how long
	starts []int64 // the last starts, oldest first
}

// newPacer returns the pacer of an account. Without a folder, or with one that can't be used, it knows of this
// process only; warn is told once.
func newPacer(dir, host, account string, rate float64, stop <-chan struct{}, warn func(error)) *pacer {
	p := &pacer{rate: rate, stop: stop, wall: time.Now, nap: sleep, unit: defaultDelay, warn: warn, busy: make(chan struct{}, 1), count: 1}
	if rate > 0 {
		second := float64(time.Second)
		p.count = int(math.Ceil(rate))
		if parts := math.Ceil(rate / maxStarts); parts > 1 {
			p.count = int(rate / parts) // a part of the second each; as many of them make a whole one
		}
		p.every = time.Duration(second / rate * slotStretch)
		p.gap = time.Duration(second / rate * slotStretch * neighbourShare)
		window := second / rate * float64(p.count)
		p.grace = time.Duration(window * windowGrace)
		p.span = time.Duration(window*(1+windowSliver)) + p.grace
		p.early = min(p.grace, p.every-time.Duration(float64(p.every)*neighbourShare))
		if p.count == 1 {
			p.gap = p.span
		}
	}
	if dir != "" {
		f, err := newPaceFile(dir, accountKey(host, account))
		if err != nil {
			warn(err)
		} else {
			p.file = f
		}
	}
	return p
}

// accountKey names an account's files.
func accountKey(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(h[:12])
}

// wait takes a slot and waits for it, by the monotonic clock: what happens to the wall clock, or to the account,
// meanwhile is seen by depart.
func (p *pacer) wait(ctx context.Context) error {
	for {
		var d time.Duration
		taken := true
		err := p.with(ctx, func(now int64, s *paceState) {
			slot := p.earliest(now, s)
			every, _ := p.spacing(s)
			if every > 0 {
				// What there is to do before the start is done while the last one's delay passes. Added up, such
				// delays would cost the rate.
				slot = max(now, s.shut(), s.next, slot-int64(min(every/2, prepare)))
			}
			if d = time.Duration(slot - now); d > lookAgain && s.changing(now) {
				d, taken = lookAgain, false
				return
			}
			if every > 0 {
				s.next = slot + int64(every)
			}
		})
		if err != nil {
			return err
		}
		if err := p.sleep(ctx, d, nil); err != nil {
			return err
		}
		if !taken {
			continue
		}
		// A pause that was ordered meanwhile takes the slot away.
		paused := false
		if d > 0 {
			err = p.with(ctx, func(now int64, s *paceState) { paused = s.shut() > now })
		}
		if err != nil || !paused {
			return err
		}
	}
}

// depart waits until a start keeps the pace and puts it on record: the call leaves at the returned time, or tells
// late when it really left. closed ends the wait as the connection is gone.
func (p *pacer) depart(ctx context.Context, closed <-chan struct{}) (int64, error) {
	for {
		var start int64
		var d time.Duration
		err := p.with(ctx, func(now int64, s *paceState) {
			if d = time.Duration(p.earliest(now, s) - now); d > 0 {
				return
			}
			start = now
			p.note(now, s)
		})
		if err != nil {
			return 0, err
		}
		if d <= 0 {
			return start, nil
		}
		if d > 2*time.Second+2*p.every {
			return 0, errHeld
		}
		if err := p.sleep(ctx, d, closed); err != nil {
			return 0, err
		}
	}
}

// late corrects a start that left later than depart said, and returns as when it is known from then on.
func (p *pacer) late(planned int64, by time.Duration) int64 {
	if p.every == 0 && !p.slow.Load() || by < lateStart {
		return planned
	}
	p.change(func(_ int64, s *paceState) { s.move(planned, by) })
	return planned + int64(by)
}

// answered corrects a start whose answer has just come: the vendor has counted it by now.
func (p *pacer) answered(start int64) {
	took := time.Duration(p.wall().UnixNano() - start)
	by := max(took-p.grace, -p.early)
	if p.early < lateStart || took < 0 || by > maxSpare || by.Abs() < lateStart {
		return
	}
	p.change(func(_ int64, s *paceState) {
		if by > p.spare || s.limit > 0 || !s.move(start, by) {
			return
		}
		if by < 0 {
			// A window is held up by the one before it, by each of its starts.
			p.spare += -by / time.Duration(p.count)
		} else {
			p.spare -= by
		}
		p.spare = min(p.spare, maxSpare, p.every/2)
	})
}

// move puts a start on record as one that was later, or earlier, and reports whether it was found. Who put it on
// record otherwise meanwhile knew more.
func (s *paceState) move(start int64, by time.Duration) bool {
	i := slices.Index(s.starts, start)
	if i < 0 {
		return false
	}
	s.starts[i] += int64(by)
	slices.Sort(s.starts)
	return true
}

// rest keeps everyone from starting a call for d.
func (p *pacer) rest(d time.Duration) {
	if d <= 0 {
		return
	}
	p.change(func(now int64, s *paceState) {
		until := now + int64(min(d, maxPause))
		s.pause = max(s.pause, until)
		s.next = max(s.next, until)
	})
}

// earliest tells when the next call may start.
func (p *pacer) earliest(now int64, s *paceState) int64 {
	e := max(now, s.shut())
	if _, gap := p.spacing(s); gap > 0 && len(s.starts) > 0 {
		n := len(s.starts)
		e = max(e, s.starts[n-1]+int64(gap))
		if p.every > 0 && n >= p.count {
			e = max(e, s.starts[n-p.count]+int64(p.span))
		}
	}
	return e
}

// change changes the state, however long that takes: what an answer said must not get lost.
func (p *pacer) change(change func(now int64, s *paceState)) {
	_ = p.with(context.Background(), change)
}

// with changes the state, alone among all goroutines and processes. now is the wall clock's time.
func (p *pacer) with(ctx context.Context, change func(now int64, s *paceState)) error {
	select {
	case p.busy <- struct{}{}:
		defer func() { <-p.busy }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s, shared := p.mem, false
	if p.file != nil {
		switch err := p.file.lock(); {
		case errors.Is(err, errBusy): // someone was stopped while holding it, and sends nothing meanwhile
		case err != nil:
			p.alone(err)
		default:
			shared = true
			defer p.file.unlock()
		}
	}
	wall := p.wall()
	now, mono := wall.UnixNano(), time.Now()
	var known []byte // the file, if it tells the state
	if shared {
		switch read, b, found, err := p.file.read(); {
		case errors.Is(err, errTorn):
			s = p.spent(now, s)
		case err != nil:
			p.alone(err)
			shared = false
		case found:
			s, known = read, b
		}
	}
	s = p.turned(now, mono.Sub(p.seen), s)
	s = p.sane(now, s)
	change(now, &s)
	if n := len(s.starts); n > maxStarts {
		s.starts = slices.Delete(s.starts, 0, n-maxStarts)
	}
	p.slow.Store(s.limit > 0)
	if known == nil || !bytes.Equal(known, encodePace(nil, &s)) {
		s.wrote = now
		if shared {
			if err := p.file.write(&s); err != nil {
				p.alone(err)
			}
		}
	}
	p.mem, p.seen, p.at = s, mono, now
	return nil
}

// alone goes on without the other processes, and says so once.
func (p *pacer) alone(err error) {
	if p.file != nil {
		p.warn(err)
		p.file = nil
	}
}

// turned returns a state whose times are of a wall clock that was set since, by the clock as it is now. gone is the
// true time since this process looked last. What is left of a rest stays; of the starts nothing is known any more.
func (p *pacer) turned(now int64, gone time.Duration, s paceState) paceState {
	if !p.seen.IsZero() {
		// Ordinary correction is slower than this.
		if drift := time.Duration(now-p.at) - gone; drift.Abs() > 20*time.Millisecond+gone/500 {
			// Another process may have written after the clock was set: its times are good.
			if s.wrote == p.mem.wrote || drift < 0 && s.wrote > now || drift > 0 && s.wrote <= p.at+int64(gone) {
				s.shift(int64(drift))
			}
			p.recent, p.latest = nil, 0
			return p.spent(now, s)
		}
	}
	if ahead := s.wrote - now; ahead > int64(50*time.Millisecond) {
		// Whoever wrote this is gone, and the clock was set back: at least what was left then is left now.
		s.shift(-ahead)
		return p.spent(now, s)
	}
	return s
}

// spent is the state of an account of whose starts nothing certain is known: as if the whole rate had just been used.
func (p *pacer) spent(now int64, s paceState) paceState {
	s.starts, s.next = nil, 0
	if every, _ := p.spacing(&s); every > 0 {
		n := 1
		if p.every > 0 {
			n = p.count
		}
		for range n {
			s.starts = append(s.starts, now)
		}
		s.next = now + int64(max(p.span, every))
	}
	return s
}

// sane drops times that no clock of ours can have written.
func (p *pacer) sane(now int64, s paceState) paceState {
	if s.pause > now+int64(maxPause+maxAhead) {
		s.pause = 0
	}
	s.adaptable(now)
	n := len(s.starts)
	every, _ := p.spacing(&s)
	ahead := int64(maxAhead + 64*every)
	if n > 0 && s.starts[n-1] > now+int64(50*time.Millisecond) || s.next > max(now, s.shut())+ahead {
		return p.spent(now, s)
	}
	return s
}

// sleep waits for d. It ends early with the context's error, ErrStopped, or net.ErrClosed.
func (p *pacer) sleep(ctx context.Context, d time.Duration, closed <-chan struct{}) error {
	return p.nap(ctx, p.stop, closed, d)
}

// sleep waits for d, of which nothing may be left. It ends early with the context's error, with ErrStopped when stop
// is closed, with net.ErrClosed when closed is.
func sleep(ctx context.Context, stop, closed <-chan struct{}, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-stop:
		return ErrStopped
	default:
	}
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-stop:
		return ErrStopped
	case <-closed:
		return net.ErrClosed
	}
}
