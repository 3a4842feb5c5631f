package api

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultAttempts = 6
	unknownAttempts = 3 // a host that is not known is most likely misspelt
	blockedAttempts = 3 // a firewall that refuses us seldom changes its mind, and asking on makes it worse
	defaultDelay    = time.Second
	maxDelay        = time.Minute
	breakAfter      = 20          // failures one after the other, over all calls
	breakDelays     = 15          // over at least so many first delays, if all of them could be repeated
	probeAfter      = time.Minute // then a call may try again
	retryShare      = 10          // one repetition for so many calls,
	retryFloor      = 100         // and these besides: sixteen callers may use up all their tries once
	outagePatience  = 150 * time.Second
)

// backoff returns how long to wait before try n+1, drawn from the whole range so that callers which failed together
// do not come back together.
func backoff(first time.Duration, n int) time.Duration {
	if first <= 0 {
		first = defaultDelay
	}
	top := min(first, maxDelay)
	for range n - 1 {
		if top = min(2*top, maxDelay); top == maxDelay {
			break
		}
	}
	return rand.N(top) + 1
}

// retryAfter reads how long the vendor wants to be left alone: whole seconds or a date, between 0 and 15 minutes.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	if strings.Trim(v, "0123456789") == "" {
		s, err := strconv.ParseInt(v, 10, 64)
		if err != nil { // more digits than an integer has
			return maxPause, true
		}
		return time.Duration(min(s, int64(maxPause/time.Second))) * time.Second, true
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	// By the vendor's clock, if it tells the time: ours may be minutes off.
	if sent, err := http.ParseTime(h.Get("Date")); err == nil {
		now = sent
	}
	return min(max(at.Sub(now), 0), maxPause), true
}

// waits reports whether the vendor turned a call away for a time that it named: maintenance, not a fault.
func (v *verdict) waits() bool {
	return v.status == http.StatusServiceUnavailable && v.told && v.rest >= time.Second
}

// costs reports whether another try is one that the run's budget pays for. "Too fast", and "come back then", keep
// calls in order and say nothing against the vendor; a connection that died idle took nothing with it.
func (v *verdict) costs() bool {
	return v.class != Limited && !v.atOnce && !v.waits()
}

// spentBudget says why a call is not tried again, or at all.
const spentBudget = "nothing more is sent, as too many of this run's calls had to be repeated; try again when the vendor is well"

// budget bounds the repetitions of all calls together: a vendor that fails at random is asked again, one that fails
// most of the time is not asked several times for every row. When it is spent, no call leaves any more: the run
// stops and can be resumed, rather than leave one record after the other in doubt.
type budget struct {
	calls, spent atomic.Int64
	out          atomic.Bool
}

// spend takes one repetition, if any is left.
func (b *budget) spend() bool {
	if b.spent.Add(1) <= retryFloor+b.calls.Load()/retryShare {
		return true
	}
	b.out.Store(true)
	return false
}

// circuit counts failures that say nothing about a record. When there were too many on end, no call leaves any more,
// so that an outage stops the run, which can be resumed, instead of grinding through every row.
type circuit struct {
	delay time.Duration // the first one of the backoff; 0 means 1 s

	mu    sync.Mutex
	count int       // failures one after the other
	since time.Time // when the first of them was
	loose int       // those among them that leave a record behind whose fate is not known
	gone  time.Time // since when calls are turned away for a time that the vendor names
	until time.Time // no call leaves before; zero: the circuit is closed
}

// shut says why calls are refused, if they are.
func (c *circuit) shut(now time.Time, vendor string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !now.Before(c.until):
		return ""
	case c.gone.IsZero():
		return fmt.Sprintf("%d calls in a row failed; nothing is sent until %s is back", breakAfter, vendor)
	}
	return fmt.Sprintf("%s has been turning every call away for %v; nothing is sent until it is back", vendor, now.Sub(c.gone).Round(time.Second))
}

// enter reports whether a call may leave. After a while one is let through to find out.
func (c *circuit) enter(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until.IsZero() {
		return true
	}
	if now.Before(c.until) {
		return false
	}
	c.until = now.Add(probeAfter)
	return true
}

// failed counts a failure. Calls that can be repeated may fail for a while, many at once; one that can't be leaves a
// record in doubt, each of them.
func (c *circuit) failed(now time.Time, loose bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count++; c.count == 1 {
		c.since = now
	}
	if loose {
		c.loose++
	}
	delay := c.delay
	if delay <= 0 {
		delay = defaultDelay
	}
	if c.loose >= breakAfter || c.count >= breakAfter && now.Sub(c.since) >= breakDelays*delay {
		c.until = now.Add(probeAfter)
	}
}

// away notes that a call was turned away until after rest.
func (c *circuit) away(now time.Time, rest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone.IsZero() {
		c.gone = now
	}
	if now.Sub(c.gone) >= max(outagePatience, 5*rest) {
		c.until = now.Add(probeAfter)
	}
}

func (c *circuit) worked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count, c.loose, c.gone, c.until = 0, 0, time.Time{}, time.Time{}
}
