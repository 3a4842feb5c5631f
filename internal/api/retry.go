package api

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	defaultAttempts = 6
	unknownAttempts = 3 // a host that is not known is most likely misspelt
	blockedAttempts = 3 // a firewall that refuses us seldom changes its mind, and asking on makes it worse
	defaultDelay    = time.Second
	maxDelay        = time.Minute
	breakAfter      = 20          // failures one after the other, over all calls
	probeAfter      = time.Minute // then a call may try again
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

// circuit counts failures that say nothing about a record. When there were too many on end, no call leaves any more,
// so that an outage stops the run, which can be resumed, instead of grinding through every row.
type circuit struct {
	mu    sync.Mutex
	count int
	until time.Time
}

// open reports whether calls are refused. After a while one is let through to find out.
func (c *circuit) open(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count < breakAfter {
		return false
	}
	if now.Before(c.until) {
		return true
	}
	c.until = now.Add(probeAfter)
	return false
}

func (c *circuit) failed(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count++; c.count >= breakAfter {
		c.until = now.Add(probeAfter)
	}
}

func (c *circuit) worked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count = 0
}
