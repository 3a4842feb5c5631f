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

// LagKeeper is what a ledger may offer besides: it keeps how far the vendor's clock was behind ours when the run began.
// Whoever takes the run up may find our clock set right meanwhile, and its own times of that day are then of no use.
type LagKeeper interface {
	// KeepLag notes the lag, the first time it is called in a run's first pass.
	KeepLag(time.Duration) error
	// Lag returns what was noted. known is false if earlier passes have noted nothing.
	Lag() (lag time.Duration, known bool)
}

// unknownLag is how wrong our clock may have been when a run began of which nobody has noted it: a day, as of a clock
// with the wrong date, and two hours.
const unknownLag = 26 * time.Hour

// slackOf is how much older than its run a record of the run may look, and how much of that is known.
func slackOf(ledger any) (slack, known time.Duration) {
	k, ok := ledger.(LagKeeper)
	if !ok {
		return 0, 0
	}
	lag, noted := k.Lag()
	if !noted {
		return unknownLag, 0
	}
	// Dates are whole seconds, and an answer takes its time.
	if lag < 10*time.Second {
		return 0, 0
	}
	return lag, lag
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
