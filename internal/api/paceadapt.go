package api

import (
	"net/http"
	"slices"
	"time"
)

// How the pace adapts.
//
// A vendor says "too fast" in two ways. It tells when to come back (Retry-After, or a window that is used up): then
// nothing starts before. Or it does not: then the account's pace is halved, for all processes, and comes back to
// where it was in even steps while answers are good. Neither can make anyone faster than the configured rate.
//
// A configured rate is what the vendor has documented, and we keep it: a single refusal is most likely chance, as a call
// that took longer on its way than others. Then the first step leads all the way back, unless there is another refusal.
const (
	slowest    = 0.1              // starts a second; no vendor that answers at all wants less
	raiseSteps = 20               // from nothing back to where it was, if that was not too far down
	wayUp      = 8                // without a configured rate: far enough above what was too fast to be free again
	raiseEvery = 2 * time.Second  // at most one step in that time
	forgetSlow = 10 * time.Minute // a pace that nobody used for that long says nothing any more
	toldAgain  = 30 * time.Second // a second "too fast" so soon after a rest that the first one asked for: the pace is wrong
	chanceOnce = 20 * time.Second // a refusal so soon after the pace was halved last is no chance: the steps take as long
	lookAgain  = time.Second      // while the pace may change, nobody takes a slot further ahead
	sameWindow = 1500 * time.Millisecond
	observed   = 10 * time.Second
	maxRecent  = 32
)

// spacing returns how far apart slots lie, and the least from start to start, as the account is now.
func (p *pacer) spacing(s *paceState) (every, gap time.Duration) {
	every, gap = p.every, p.gap
	if s.limit > 0 {
		if slow := time.Duration(float64(time.Second) / s.limit * slotStretch); slow > every {
			return slow, slow
		}
	}
	return every, gap
}

// shut returns when the account opens again: after a pause, or at the end of a window that is used up.
func (s *paceState) shut() int64 {
	if s.quota <= 0 {
		return max(s.pause, s.until)
	}
	return s.pause
}

// changing reports whether the account may be slower now than it will be soon.
func (s *paceState) changing(now int64) bool {
	return s.limit > 0 || s.quota <= 0 && s.until > now
}

// heard takes in what the headers of any answer say of the account. start is when its call started.
func (p *pacer) heard(h http.Header, start int64) {
	now := time.Now()
	if d, ok := retryAfter(h, now); ok {
		p.rest(d)
	}
	a, ok := scarcest(allowances(h, now))
	if !ok || a.until <= 0 {
		return
	}
	p.change(func(now int64, s *paceState) {
		others := p.flying.Load() // the vendor may not have counted them yet
		until, quota := now+int64(min(a.until, maxReset)), max(0, a.left-others)
		known := s.until > now && until <= s.until+int64(sameWindow)
		switch {
		case a.left == 0:
			s.quota, s.until = 0, max(until, s.until)
		case known && (others > 0 || start <= p.latest):
			// Of calls that overtake each other, the one with less left was counted last.
			s.quota = min(s.quota, quota)
		default:
			s.quota, s.until = quota, until
		}
		p.latest = now
	})
}

// slower halves the account's pace after an answer that said "too fast" to a call that started at start. told says
// that the answer tells when to come back: then only the second one on end means that the pace itself is wrong.
func (p *pacer) slower(start int64, told bool) {
	p.change(func(now int64, s *paceState) {
		if start <= s.slowed {
			return // it had left before the pace was halved
		}
		if told {
			last := s.told
			s.told = now
			if last == 0 || start <= last || start-max(last, s.pause) > int64(toldAgain) {
				return
			}
		}
		pace := s.limit
		if pace == 0 {
			pace = p.recently(start)
		}
		if p.rate > 0 && (s.limit == 0 || pace > p.rate) {
			pace = p.rate
		}
		chance := p.rate > 0 && s.limit == 0 && !told && now-s.slowed > int64(chanceOnce)
		s.top, s.limit = pace, max(pace/2, min(slowest, pace))
		s.slowed, s.raised = now, now
		if chance {
			s.raised = 0
		}
	})
}

// faster takes the account one step back to where it was, after a good answer to a call that started at start.
func (p *pacer) faster(start int64) {
	if !p.slow.Load() {
		return
	}
	p.change(func(now int64, s *paceState) {
		if s.limit == 0 || start <= s.slowed || now-max(s.slowed, s.raised) < int64(raiseEvery) {
			return
		}
		chance := s.raised == 0
		s.limit += max(s.top/raiseSteps, s.limit/raiseSteps*2, p.rate/raiseSteps/2)
		s.raised = now
		if full := max(s.top, p.rate); chance || p.rate > 0 && s.limit >= full || s.limit >= wayUp*full {
			s.limit, s.top = 0, 0
		}
		if n := len(s.starts); n > 0 {
			every, _ := p.spacing(s)
			s.next = min(s.next, s.starts[n-1]+int64(every))
		}
	})
}

// recently returns the starts a second that this process made lately; a lone one counts as one in p.unit.
func (p *pacer) recently(start int64) float64 {
	n, first, last := 0, start, start
	for _, at := range p.recent {
		if at > start-int64(observed) {
			n++
			first, last = min(first, at), max(last, at)
		}
	}
	return float64(max(n, 1)) / max(time.Duration(last-first), p.unit).Seconds()
}

// note remembers a start.
func (p *pacer) note(now int64, s *paceState) {
	p.flying.Add(1)
	if s.until > now && s.quota > 0 {
		s.quota--
	}
	if every, _ := p.spacing(s); every > 0 {
		s.starts = append(s.starts, now)
	}
	if p.every == 0 {
		if len(p.recent) == maxRecent {
			p.recent = slices.Delete(p.recent, 0, 1)
		}
		p.recent = append(p.recent, now)
	}
}

// shift moves all times but those of starts, after the clock was set.
func (s *paceState) shift(by int64) {
	for _, t := range []*int64{&s.pause, &s.until, &s.slowed, &s.raised, &s.told} {
		if *t != 0 {
			*t = max(0, *t+by)
		}
	}
}

// adaptable drops what no process of ours can have written, and a slowness that nobody needs any more.
func (s *paceState) adaptable(now int64) {
	if s.until > now+int64(maxReset+maxAhead) {
		s.until, s.quota = 0, 0
	}
	s.slowed, s.raised, s.told = min(s.slowed, now), min(s.raised, now), min(s.told, now)
	if !(s.limit > 0) || s.limit > 1e9 || !(s.top >= s.limit) || now-max(s.slowed, s.raised) > int64(forgetSlow) {
		s.limit, s.top = 0, 0
	}
}
