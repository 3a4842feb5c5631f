package api

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// limiter is a vendor that lets so many calls into each window.
type limiter struct {
	most    int
	window  time.Duration
	sliding bool // any window counts; else they lie end to end
	tells   bool // of the window, in its headers
	after   bool // with Retry-After, when it refuses
}

// limited is a limiter at work.
type limited struct {
	limiter
	mu      sync.Mutex
	in      []time.Time
	refused int
}

// call answers a call that arrives now.
func (l *limited) call() (h http.Header, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	from := now.Add(-l.window)
	if !l.sliding {
		from = now.Truncate(l.window).Add(-1)
	}
	n := 0
	for _, at := range l.in {
		if at.After(from) {
			n++
		}
	}
	if ok = n < l.most; ok {
		l.in = append(l.in, now)
		n++
	} else {
		l.refused++
	}
	h = http.Header{}
	left := now.Truncate(l.window).Add(l.window).Sub(now)
	if l.tells {
		h.Set("X-RateLimit-Limit", strconv.Itoa(l.most))
		h.Set("X-RateLimit-Remaining", strconv.Itoa(l.most-n))
		h.Set("X-RateLimit-Reset", strconv.FormatInt(int64((left+time.Second-1)/time.Second), 10))
	}
	if l.after && !ok {
		h.Set("Retry-After", "1")
	}
	return h, ok
}

// busy keeps callers of several processes at a vendor for so long, and returns the starts.
func busy(t *testing.T, dir string, rate float64, processes, callers int, long time.Duration, vendor func() (http.Header, bool)) []time.Time {
	t.Helper()
	var mu sync.Mutex
	var starts []time.Time
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var wg sync.WaitGroup
	for range processes {
		p := newPacer(dir, "crm.example", "ada", rate, nil, func(err error) { t.Error(err) })
		for range callers {
			wg.Go(func() {
				for p.wait(ctx) == nil {
					at, err := p.depart(ctx, nil)
					if errors.Is(err, errHeld) {
						continue
					}
					if err != nil {
						return
					}
					mu.Lock()
					starts = append(starts, time.Now())
					mu.Unlock()
					time.Sleep(50 * time.Millisecond)
					h, ok := vendor()
					time.Sleep(50 * time.Millisecond)
					p.flying.Add(-1)
					p.heard(h, at)
					if ok {
						p.faster(at)
						continue
					}
					d, told := retryAfter(h, time.Now())
					if !told {
						d, told = resetAfter(h, time.Now())
					}
					p.slower(at, told)
					if !told {
						p.rest(backoff(0, 1))
					} else {
						p.rest(d)
					}
				}
			})
		}
	}
	wg.Wait()
	return starts
}

// TestPaceFinds meets vendors whose limit nobody has told us: most of it is used, few calls are refused, and the
// configured rate is never exceeded. How long callers rest after a refusal without a word is drawn, so that the shares vary
// from run to run: it is those of several runs together that count.
func TestPaceFinds(t *testing.T) {
	cases := []struct {
		name    string
		rate    float64
		vendor  limiter
		refused float64 // at most this share of the starts
		used    float64 // at least this share of the limit
		shared  bool    // with another process, which takes its time to simulate
	}{
		{"untold, no rate", 0, limiter{most: 5, window: time.Second, sliding: true}, 0.12, 0.5, true},
		{"untold, too high a rate", 20, limiter{most: 5, window: time.Second, sliding: true}, 0.12, 0.5, false},
		{"untold, a good rate", 4, limiter{most: 5, window: time.Second, sliding: true}, 0, 0.7, false},
		{"Retry-After, no rate", 0, limiter{most: 5, window: time.Second, sliding: true, after: true}, 0.15, 0.5, false},
		{"told, no rate", 0, limiter{most: 10, window: 5 * time.Second, tells: true}, 0.02, 0.6, false},
		{"told, a rate", 20, limiter{most: 10, window: 5 * time.Second, tells: true}, 0.02, 0.6, true},
		{"told, a long window", 0, limiter{most: 100, window: time.Minute, tells: true}, 0.02, 0.6, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, processes := range []int{1, 2} {
				if processes > 1 && !c.shared {
					continue
				}
				t.Run(strconv.Itoa(processes), func(t *testing.T) {
					dir, runs := "", 5
					if processes > 1 {
						dir, runs = t.TempDir(), 1
					}
					var started, taken, turned int
					const long = 100 * time.Second
					for range runs {
						synctest.Test(t, func(t *testing.T) {
							v := &limited{limiter: c.vendor}
							starts := busy(t, dir, c.rate, processes, 8, long, v.call)
							started, taken, turned = started+len(starts), taken+len(v.in), turned+v.refused
							if c.rate > 0 {
								if window, got := closest(starts, int(c.rate)); window < time.Second || got > c.rate {
									t.Errorf("%d starts within %v, %.2f a second", int(c.rate)+1, window, got)
								}
							}
						})
					}
					refused := float64(turned) / float64(started)
					used := float64(taken) / float64(runs) / long.Seconds() * c.vendor.window.Seconds() / float64(c.vendor.most)
					t.Logf("%d starts, %.1f %% refused, %.0f %% of the limit used", started, 100*refused, 100*used)
					most, least := c.refused, c.used
					switch {
					case processes > 1 && c.rate == 0: // both begin each window together
						most, least = most+0.2, least/3
					case processes > 1: // one does not know what the other has under way
						most += 0.05
					}
					if refused > most || used < least {
						t.Errorf("%.3f refused, of at most %.3f; %.2f used, of at least %.2f", refused, most, used, least)
					}
				})
			}
		})
	}
}

// TestPaceSlower halves the pace once for calls that were refused together, keeps it for other processes and those to
// come, and goes back step by step.
func TestPaceSlower(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		a := newPacer(dir, "h", "a", 8, nil, nil)
		start := func(p *pacer) int64 {
			for {
				if err := p.wait(ctx); err != nil {
					t.Fatal(err)
				}
				at, err := p.depart(ctx, nil)
				if err == nil {
					return at
				}
				if !errors.Is(err, errHeld) {
					t.Fatal(err)
				}
			}
		}
		limit := func(p *pacer) (l float64) {
			p.change(func(_ int64, s *paceState) { l = s.limit })
			return l
		}
		first, second := start(a), start(a)
		time.Sleep(time.Second)
		a.slower(first, false)
		a.slower(second, false)
		if l := limit(a); l != 4 {
			t.Errorf("%v starts a second after two refusals at once, want 4", l)
		}
		b := newPacer(dir, "h", "a", 0, nil, nil)
		var starts []time.Time
		for i := range 16 {
			start([]*pacer{a, b}[i%2])
			starts = append(starts, time.Now())
		}
		if window, got := closest(starts, 4); window < time.Second || got > 4 || got < 3.8 {
			t.Errorf("two processes made %.2f starts a second, five within %v", got, window)
		}
		for range 20 {
			at := start(a)
			time.Sleep(time.Millisecond)
			a.slower(at, false)
		}
		if l := limit(newPacer(dir, "h", "a", 8, nil, nil)); l != slowest {
			t.Errorf("%v starts a second after many refusals, want %v", l, slowest)
		}
		begin, last := time.Now(), slowest
		for a.slow.Load() {
			a.faster(start(a))
			if l := limit(a); l != 0 && (l < last || l > last+8.0/raiseSteps+last/5) {
				t.Fatalf("from %v to %v starts a second", last, l)
			} else {
				last = l
			}
			if time.Since(begin) > 2*time.Minute {
				t.Fatalf("at %v after two minutes", last)
			}
		}
		t.Logf("back after %v", time.Since(begin))
		// One that is told when to come back is not slowed down; the second time on end it is.
		at := start(a)
		a.slower(at, true)
		a.rest(3 * time.Second)
		if l := limit(a); l != 0 {
			t.Errorf("slowed down to %v by the first Retry-After", l)
		}
		at = start(a)
		a.slower(at, true)
		if l := limit(a); l != 4 {
			t.Errorf("%v starts a second after two Retry-After on end, want 4", l)
		}
		time.Sleep(forgetSlow + time.Second)
		if l := limit(a); l != 0 {
			t.Errorf("still slow after %v of silence", forgetSlow)
		}
		time.Sleep(time.Minute)
		a.slower(start(a), true)
		if l := limit(a); l != 0 {
			t.Errorf("slowed down to %v by one long ago", l)
		}
	})
}

// TestPaceChance takes a single refusal at a configured rate for chance: the account is slow for a moment. One that is
// refused again, or has no configured rate, comes back step by step.
func TestPaceChance(t *testing.T) {
	cases := []struct {
		name        string
		rate        float64
		again       time.Duration // a second refusal so long after the first; 0: there is none
		least, most time.Duration // until it is back, from the last refusal
	}{
		{"once", 3, 0, raiseEvery, 3 * time.Second},
		{"at once again", 3, time.Second, 10 * time.Second, 2 * time.Minute},
		{"again when it is back", 3, 10 * time.Second, 10 * time.Second, time.Minute},
		{"long after", 3, 2 * time.Minute, raiseEvery, 3 * time.Second},
		{"no rate", 0, 0, 10 * time.Second, 5 * time.Minute},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				p := newPacer(dir, "h", "a", c.rate, nil, func(err error) { t.Error(err) })
				call := func() int64 {
					if err := p.wait(t.Context()); err != nil {
						t.Fatal(err)
					}
					at, err := p.depart(t.Context(), nil)
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(100 * time.Millisecond)
					p.answered(at)
					return at
				}
				for range 20 {
					p.faster(call())
				}
				refused := time.Now()
				p.slower(call(), false)
				if !p.slow.Load() {
					t.Error("not slowed down")
				}
				if c.again > 0 {
					for time.Since(refused) < c.again {
						p.faster(call())
					}
					refused = time.Now()
					p.slower(call(), false)
				}
				for p.slow.Load() && time.Since(refused) < 10*time.Minute {
					p.faster(call())
				}
				if d := time.Since(refused); d < c.least || d > c.most {
					t.Errorf("back after %v, want %v to %v", d, c.least, c.most)
				}
			})
		})
	}
}

// TestPaceNoRate gives an account without a rate a pace when the vendor says "too fast".
func TestPaceNoRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer("", "h", "a", 0, nil, nil)
		at := int64(0)
		for range 21 {
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			at, _ = p.depart(t.Context(), nil)
			time.Sleep(100 * time.Millisecond)
		}
		p.slower(at, false)
		var l float64
		p.change(func(_ int64, s *paceState) { l = s.limit })
		if l < 4.5 || l > 5.5 {
			t.Errorf("%.2f starts a second after 10 were too many", l)
		}
	})
}

// TestPaceQuota starts nothing in a window that is used up, in no process, and no sooner for a clock that jumps.
func TestPaceQuota(t *testing.T) {
	for _, jump := range []time.Duration{0, -5 * time.Hour, -10 * time.Minute, -3 * time.Second, 3 * time.Second, 10 * time.Minute, 5 * time.Hour} {
		for _, kind := range []string{"quota", "rest"} {
			t.Run(fmt.Sprintf("%s/%v", kind, jump), func(t *testing.T) {
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) {
					var off atomic.Int64
					process := func() *pacer {
						p := newPacer(dir, "h", "a", 3, nil, func(err error) { t.Error(err) })
						p.wall = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
						return p
					}
					a, b := process(), process()
					for _, p := range []*pacer{a, b} {
						if err := p.wait(t.Context()); err != nil {
							t.Fatal(err)
						}
						if _, err := p.depart(t.Context(), nil); err != nil {
							t.Fatal(err)
						}
					}
					begin := time.Now()
					h := http.Header{"Retry-After": {"20"}}
					if kind == "quota" {
						h = http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"20"}}
					}
					a.heard(h, begin.UnixNano())
					time.Sleep(5 * time.Second)
					off.Add(int64(jump))
					all := []*pacer{b, a}
					if jump <= 0 {
						all = append(all, process()) // one that begins after a jump forward finds a rest that is over
					}
					var wg sync.WaitGroup
					var mu sync.Mutex
					var starts []time.Time
					for _, p := range all {
						for range 3 {
							wg.Go(func() {
								for {
									if err := p.wait(t.Context()); err != nil {
										t.Error(err)
										return
									}
									if _, err := p.depart(t.Context(), nil); !errors.Is(err, errHeld) {
										break
									}
								}
								mu.Lock()
								defer mu.Unlock()
								starts = append(starts, time.Now())
							})
						}
					}
					wg.Wait()
					window, _ := closest(starts, 3)
					if d := starts[0].Sub(begin); d < 20*time.Second || d > 26*time.Second {
						t.Errorf("the first start was after %v, want 20 s", d)
					}
					if window < time.Second {
						t.Errorf("4 starts within %v", window)
					}
					if d := starts[len(starts)-1].Sub(starts[0]); d > 6*time.Second {
						t.Errorf("9 starts took %v", d)
					}
				})
			})
		}
	}
}

// TestPaceJumps turns the clock of busy processes back and forth, again and again: no window ever holds too many
// starts, and nobody stands still for long.
func TestPaceJumps(t *testing.T) {
	for _, rate := range []float64{0.5, 2.5, 3, 20} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				var off atomic.Int64
				var mu sync.Mutex
				var starts []time.Time
				long := 90 * time.Second
				ctx, cancel := context.WithTimeout(t.Context(), long)
				defer cancel()
				var wg sync.WaitGroup
				for range 3 {
					p := newPacer(dir, "h", "a", rate, nil, func(err error) { t.Error(err) })
					p.wall = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
					for range 2 {
						wg.Go(func() {
							for p.wait(ctx) == nil {
								if _, err := p.depart(ctx, nil); err == nil {
									mu.Lock()
									starts = append(starts, time.Now())
									mu.Unlock()
								} else if !errors.Is(err, errHeld) {
									return
								}
							}
						})
					}
				}
				rnd := rand.New(rand.NewPCG(5, uint64(rate*10)))
				jumps := 0
				for ctx.Err() == nil {
					time.Sleep(time.Duration(rnd.IntN(12_000)) * time.Millisecond)
					by := time.Duration(rnd.Int64N(int64([]time.Duration{time.Second, time.Minute, 5 * time.Hour}[rnd.IntN(3)])))
					off.Add(int64(by) * int64(1-2*rnd.IntN(2)))
					jumps++
				}
				wg.Wait()
				n := max(1, int(math.Ceil(rate)))
				window, got := closest(starts, n)
				least := time.Duration(float64(n) / rate * float64(time.Second))
				t.Logf("%d jumps, %.2f starts a second, %d within %v", jumps, got, n+1, window)
				if window < least {
					t.Errorf("%d starts within %v, want %v", n+1, window, least)
				}
				slowest := time.Duration(0)
				for i := 1; i < len(starts); i++ {
					slowest = max(slowest, starts[i].Sub(starts[i-1]))
				}
				if most := 6 * max(time.Second, time.Duration(float64(time.Second)/rate)); slowest > most || got < rate/3 {
					t.Errorf("stood still for %v, %.2f starts a second", slowest, got)
				}
			})
		})
	}
}

// TestPaceQuotaCounts leaves no more than the vendor allows, counting those that are still on their way.
func TestPaceQuotaCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer("", "h", "a", 0, nil, nil)
		h := func(left, reset string) http.Header {
			return http.Header{"Ratelimit-Remaining": {left}, "Ratelimit-Reset": {reset}}
		}
		quota := func() (n int64) {
			p.change(func(_ int64, s *paceState) { n = s.quota })
			return n
		}
		steps := []struct {
			left, reset string
			others      int64
			sleep       time.Duration
			want        int64
		}{
			{"5", "60", 2, 0, 3},                 // two more may not be counted yet
			{"9", "60", 1, 0, 3},                 // overtaken by the one before
			{"9", "60", 0, 0, 3},                 // and again
			{"4", "60", 0, 1, 4},                 // nothing was on its way: that is how many there are
			{"50", "60", 3, 2 * time.Second, 47}, // the end moves on: a bucket that fills again
			{"2", "58", 8, 0, 0},
			{"0", "1", 0, 0, 0},
			{"8", "60", 0, time.Minute, 8}, // the next window
		}
		for i, s := range steps {
			time.Sleep(s.sleep)
			p.flying.Store(s.others)
			p.heard(h(s.left, s.reset), time.Now().UnixNano())
			if got := quota(); got != s.want {
				t.Errorf("step %d: %d may start, want %d", i, got, s.want)
			}
		}
		begin := time.Now()
		for range 9 {
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := p.depart(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(begin); d != time.Minute {
			t.Errorf("nine starts of eight took %v", d)
		}
	})
}

// TestPaceFileOld reads a file of the format before this one, and leaves one of this.
func TestPaceFileOld(t *testing.T) {
	dir := t.TempDir()
	p := newPacer(dir, "h", "a", 2, nil, nil)
	now := time.Now().UnixNano()
	b := []byte(oldMagic)
	for _, n := range []int64{now + 5, now + int64(time.Minute), 2, now - 100, now - 50} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	if err := os.WriteFile(p.file.path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var got paceState
	p.change(func(_ int64, s *paceState) { got = *s })
	if got.pause != now+int64(time.Minute) || len(got.starts) != 2 || got.starts[1] != now-50 {
		t.Errorf("read %+v", got)
	}
	b, err := os.ReadFile(filepath.Clean(p.file.path))
	if err != nil {
		t.Fatal(err)
	}
	if s, found, err := decodePace(b); err != nil || !found || s.pause != got.pause || string(b[:8]) != paceMagic {
		t.Errorf("left %q, read as %+v, %v", b, s, err)
	}
}
