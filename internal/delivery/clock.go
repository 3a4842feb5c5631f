package delivery

import (
	"net/http"
	"sync/atomic"
	"time"
)

// Clock learns from a vendor's answers how far the vendor's clock is behind ours, so that a lookup does not pass over a
// record that looks older than the call which made it. The zero value knows nothing yet; its methods are safe for many
// goroutines.
type Clock struct {
	dated atomic.Bool  // the vendor's answers say what time it is there
	skew  atomic.Int64 // how far the vendor's clock is behind ours at most, in seconds
}

// Observe looks at the Date of an answer that came at the time now.
func (c *Clock) Observe(h http.Header, now time.Time) {
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	c.dated.Store(true)
	c.Behind(now.Sub(at))
}

// Behind notes that the vendor's clock was seen to be so much behind ours.
func (c *Clock) Behind(d time.Duration) {
	for {
		old := c.skew.Load()
		if int64(d/time.Second) <= old || c.skew.CompareAndSwap(old, int64(d/time.Second)) {
			return
		}
	}
}

// Earliest is the time that a record made by a call since then can bear: clocks differ by a minute, and by what the
// vendor's answers have shown.
func (c *Clock) Earliest(since time.Time) time.Time {
	return since.Add(-time.Minute - time.Duration(c.skew.Load())*time.Second)
}

// Older reports whether a record with this time stamp was almost surely there before a call that was made since then,
// as far as the vendor's own clock is known. Such a record may be the call's all the same, if what stamps records and
// what stamps answers have different clocks: it is neither taken for the call's nor passed over.
func (c *Clock) Older(at, since time.Time) bool {
	const grain = 2 * time.Second // time stamps are whole seconds, and calls take a moment
	return c.dated.Load() && at.Before(since.Add(-grain-time.Duration(c.skew.Load())*time.Second))
}
