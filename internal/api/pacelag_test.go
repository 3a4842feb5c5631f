package api

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stamped is a vendor that counts calls in a sliding window by when it looks at its clock, which is after they arrive.
type stamped struct {
	late   func(n int, r *rand.Rand) time.Duration // how long after the n-th start its stamp is made
	answer func(r *rand.Rand) time.Duration        // how long after its stamp the answer comes
	slack  time.Duration                           // the timers of this machine wake up to so much late

	mu     sync.Mutex
	rnd    *rand.Rand
	starts []time.Time
	stamps []time.Time
}

// draw returns a random wait.
func (v *stamped) draw(f func(*rand.Rand) time.Duration) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	return f(v.rnd)
}

// nap is a sleep that lasts a little too long.
func (v *stamped) nap(ctx context.Context, stop, closed <-chan struct{}, d time.Duration) error {
	if d > 0 && v.slack > 0 {
		d += v.draw(func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(v.slack))) })
	}
	return sleep(ctx, stop, closed, d)
}

// call is a call that starts now; it returns with the answer.
func (v *stamped) call() {
	v.mu.Lock()
	v.starts = append(v.starts, time.Now())
	late := v.late(len(v.starts), v.rnd)
	v.mu.Unlock()
	time.Sleep(late)
	v.mu.Lock()
	v.stamps = append(v.stamps, time.Now())
	v.mu.Unlock()
	time.Sleep(v.draw(v.answer))
}

// saturate keeps callers of several processes at the vendor for so long. It returns how many starts came too soon
// after the one that many before, by the vendor's stamps, and the share of the rate that was used.
func (v *stamped) saturate(t *testing.T, dir string, rate float64, processes, callers int, long time.Duration) (violations int, share float64) {
	t.Helper()
	v.rnd = rand.New(rand.NewPCG(11, uint64(rate*10)))
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var wg sync.WaitGroup
	for range processes {
		p := newPacer(dir, "crm.example", "ada", rate, nil, func(err error) { t.Error(err) })
		p.nap = v.nap
		for range callers {
			wg.Go(func() {
				for p.wait(ctx) == nil {
					at, err := p.depart(ctx, nil)
					if err != nil {
						return
					}
					v.call()
					p.answered(at)
				}
			})
		}
	}
	wg.Wait()
	count := int(math.Ceil(rate))
	least := time.Duration(float64(count) / rate * float64(time.Second))
	_, got := closest(v.starts, count)
	closest(v.stamps, count) // sorts them
	for i := count; i < len(v.stamps); i++ {
		if v.stamps[i].Sub(v.stamps[i-count]) < least {
			violations++
		}
	}
	return violations, got / rate
}

// upTo draws evenly from a range.
func upTo(least, most time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return least + time.Duration(r.Int64N(int64(most-least)+1)) }
}

// TestPaceStamps meets vendors that look at their clock some time after a call has arrived. As much as the pacer
// allows for does no harm, however long the answers take; where answers come fast, one that does not tells of a stamp
// that may be as late.
func TestPaceStamps(t *testing.T) {
	t.Parallel()
	quick := upTo(200*time.Microsecond, time.Millisecond)
	slow := upTo(20*time.Millisecond, 800*time.Millisecond)
	// outliers are so far apart that what fast answers save pays for them, also if two processes share these answers.
	outliers := func(every int, most time.Duration) func(int, *rand.Rand) time.Duration {
		return func(n int, r *rand.Rand) time.Duration {
			if n%every == every-1 {
				return most - time.Duration(r.Int64N(int64(most/4)))
			}
			return time.Duration(r.Int64N(int64(500 * time.Microsecond)))
		}
	}
	allowed := func(rate float64) func(int, *rand.Rand) time.Duration {
		count := math.Ceil(rate)
		most := upTo(0, time.Duration(6.5e-3*count/rate*float64(time.Second))) // of the window
		return func(n int, r *rand.Rand) time.Duration {
			if n%2 == 0 {
				return 0
			}
			return most(r)
		}
	}
	cases := []struct {
		name   string
		rate   float64
		late   func(int, *rand.Rand) time.Duration
		answer func(*rand.Rand) time.Duration
	}{
		{"outliers", 0.5, outliers(20, 50*time.Millisecond), quick},
		{"outliers", 2.5, outliers(90, 50*time.Millisecond), quick},
		{"outliers", 3, outliers(100, 50*time.Millisecond), quick},
		{"outliers", 10, outliers(400, 40*time.Millisecond), quick},
		{"slow answers", 0.5, allowed(0.5), slow},
		{"slow answers", 2.5, allowed(2.5), slow},
		{"slow answers", 3, allowed(3), slow},
		{"slow answers", 10, allowed(10), slow},
		{"slow answers", 100, allowed(100), slow},
		{"middling answers", 3, allowed(3), upTo(4*time.Millisecond, 60*time.Millisecond)},
		{"fast answers", 3, allowed(3), quick},
		{"fast answers", 100, allowed(100), quick},
	}
	for _, c := range cases {
		for _, slack := range []time.Duration{0, time.Millisecond} {
			for _, processes := range []int{1, 2} {
				if processes > 1 && (slack == 0 || c.rate > 10) {
					continue // locks of two processes take their time to simulate
				}
				t.Run(fmt.Sprintf("%s/%v/%v/%d", c.name, c.rate, slack, processes), func(t *testing.T) {
					dir, long := "", 10*time.Minute
					if processes > 1 {
						dir = t.TempDir()
					}
					if c.rate > 10 || processes > 1 {
						long = 100 * time.Second
					}
					synctest.Test(t, func(t *testing.T) {
						v := &stamped{late: c.late, answer: c.answer, slack: slack}
						callers := 2 + int(c.rate)
						violations, share := v.saturate(t, dir, c.rate, processes, callers, long)
						t.Logf("%d starts, %d violations, %.2f %% of the rate", len(v.starts), violations, 100*share)
						if violations > 0 {
							t.Errorf("%d of %d starts came too soon", violations, len(v.starts))
						}
						if share < 0.99 || share > 1 {
							t.Errorf("%.2f %% of the rate were used", 100*share)
						}
					})
				})
			}
		}
	}
}

// TestPaceAnswered puts starts on record by when their answers came.
func TestPaceAnswered(t *testing.T) {
	const ms = time.Millisecond
	grace := time.Duration(float64(time.Second) * windowGrace)
	cases := []struct {
		name  string
		rate  float64
		spare time.Duration
		limit float64
		late  time.Duration // how late it left
		took  time.Duration // until its answer
		moved time.Duration // how much later it is on record then
		left  time.Duration // of the spare time
	}{
		{"at once", 4, 0, 0, 0, 0, -grace, grace / 4},
		{"soon", 4, 0, 0, 0, 2 * ms, 2*ms - grace, (grace - 2*ms) / 4},
		{"as allowed", 4, 3 * ms, 0, 0, grace, 0, 3 * ms},
		{"nearly as allowed", 4, 3 * ms, 0, 0, grace + ms/2, 0, 3 * ms},
		{"later", 4, 30 * ms, 0, 0, grace + 20*ms, 20 * ms, 10 * ms},
		{"later than can be paid for", 4, 19 * ms, 0, 0, grace + 20*ms, 0, 19 * ms},
		{"much later", 4, maxSpare, 0, 0, 500 * ms, 0, maxSpare},
		{"saved enough", 4, maxSpare, 0, 0, 0, -grace, maxSpare},
		{"left late", 4, 0, 0, 30 * ms, 0, -grace, grace / 4},
		{"slowed down", 4, maxSpare, 2, 0, 0, 0, maxSpare},
		{"neighbours are close", 100, 0, 0, 0, 0, 0, 0},
		{"no rate", 0, maxSpare, 0, 0, 20 * ms, 0, maxSpare},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPacer("", "h", "a", c.rate, nil, nil)
				p.spare = c.spare
				p.change(func(now int64, s *paceState) {
					if c.limit > 0 {
						s.limit, s.top, s.slowed = c.limit, c.rate, now
					}
				})
				at, err := p.depart(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.late)
				at = p.late(at, c.late)
				time.Sleep(c.took)
				p.answered(at)
				p.answered(at) // it moves once
				time.Sleep(90 * ms)
				p.late(at, 90*ms)
				want := []int64{at + int64(c.moved)}
				switch {
				case c.rate == 0:
					want = nil
				case c.moved == 0:
					want[0] += int64(90 * ms) // nothing was known of it
				}
				p.change(func(_ int64, s *paceState) {
					if !slices.Equal(s.starts, want) {
						t.Errorf("on record as %v, want %v", s.starts, want)
					}
				})
				if d := p.spare - c.left; d.Abs() > time.Microsecond {
					t.Errorf("%v to spare, want %v", p.spare, c.left)
				}
			})
		})
	}
}

// TestPaceCall tells the pacer of answers, and of none.
func TestPaceCall(t *testing.T) {
	for _, answered := range []bool{true, false} {
		t.Run(fmt.Sprint(answered), func(t *testing.T) {
			srv := serve(t, func(http.ResponseWriter, *http.Request) {
				if !answered {
					panic(http.ErrAbortHandler)
				}
			})
			// A grace of a third of a second, however busy this machine is.
			cl := testClient(t, srv.URL, func(c *Config) { c.Rate, c.Attempts = 0.02, 1 })
			before := time.Now().UnixNano()
			if _, err := cl.Do(t.Context(), &Request{Op: "GET", Method: "GET"}); (err == nil) != answered {
				t.Fatal(err)
			}
			cl.pace.change(func(_ int64, s *paceState) {
				if len(s.starts) != 1 || (s.starts[0] < before) != answered {
					t.Errorf("begun at %d, on record as %v", before, s.starts)
				}
			})
		})
	}
}
