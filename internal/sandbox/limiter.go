package sandbox

import "time"

// Limiter counts arrivals in a sliding window, by key. It is not safe for many goroutines: a Front calls its simulator
// one request at a time, so that arrivals are counted in the order of their times.
type Limiter struct {
	Rate int           // arrivals allowed in a window; 0: no limit
	Per  time.Duration // the window; 0: 1 s

	keys map[string][]time.Time // the last Rate+1 arrivals, oldest first
}

// Arrive counts an arrival and reports whether the limit allows it: at most Rate arrivals in any window, those that were
// refused among them. If not, wait says how long it is until an arrival would be allowed if none came before it.
func (l *Limiter) Arrive(key string, at time.Time) (wait time.Duration, ok bool) {
	if l.Rate <= 0 {
		return 0, true
	}
	per := l.Per
	if per == 0 {
		per = time.Second
	}
	if l.keys == nil {
		l.keys = map[string][]time.Time{}
	}
	if _, known := l.keys[key]; !known && len(l.keys) >= 1024 {
		for k, times := range l.keys {
			if at.Sub(times[len(times)-1]) >= per {
				delete(l.keys, k)
			}
		}
	}
	times := append(l.keys[key], at)
	if n := len(times) - l.Rate - 1; n > 0 {
		times = append(times[:0], times[n:]...)
	}
	l.keys[key] = times
	if len(times) <= l.Rate || at.Sub(times[0]) >= per {
		return 0, true
	}
	return times[1].Add(per).Sub(at), false
}

// peak finds the most arrivals in any one second.
type peak struct {
	times []time.Time
	most  int
}

func (p *peak) arrive(at time.Time) {
	old := 0
	for old < len(p.times) && at.Sub(p.times[old]) >= time.Second {
		old++
	}
	p.times = append(append(p.times[:0], p.times[old:]...), at)
	p.most = max(p.most, len(p.times))
}
