package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// closest returns the shortest time in which rate+1 starts happened, and the starts a second from first to last.
func closest(starts []time.Time, n int) (window time.Duration, rate float64) {
	slices.SortFunc(starts, time.Time.Compare)
	window = time.Hour
	for i := n; i < len(starts); i++ {
		window = min(window, starts[i].Sub(starts[i-n]))
	}
	return window, float64(len(starts)-1) / starts[len(starts)-1].Sub(starts[0]).Seconds()
}

// TestPace runs callers against an account, by a clock of its own: whatever they do between their slot and their
// start, no window holds too many starts, and a busy account uses its rate.
func TestPace(t *testing.T) {
	t.Parallel()
	delays := map[string]func(*rand.Rand) time.Duration{
		"punctual":  func(*rand.Rand) time.Duration { return 0 },
		"disk":      func(r *rand.Rand) time.Duration { return time.Duration(r.IntN(20)) * time.Millisecond },
		"sometimes": func(r *rand.Rand) time.Duration { return time.Duration(r.IntN(50)/49*400) * time.Millisecond },
		"first": func() func(*rand.Rand) time.Duration {
			var n atomic.Int64
			return func(*rand.Rand) time.Duration {
				if n.Add(1) <= 4 {
					return 300 * time.Millisecond
				}
				return 0
			}
		}(),
	}
	for name, delay := range delays {
		for _, rate := range []float64{0.5, 2, 2.5, 3, 20, 150} {
			for _, shape := range []struct{ processes, callers int }{{1, 1}, {1, 8}, {3, 4}} {
				if shape.callers == 1 && (name == "disk" || name == "sometimes") && rate > 10 {
					continue // one caller who is slow does not keep the account busy
				}
				t.Run(fmt.Sprintf("%s/%v/%dx%d", name, rate, shape.processes, shape.callers), func(t *testing.T) {
					dir := ""
					if shape.processes > 1 {
						dir = t.TempDir()
					}
					synctest.Test(t, func(t *testing.T) {
						var mu sync.Mutex
						var starts []time.Time
						long := max(time.Duration(60/rate*float64(time.Second)), 6*time.Second)
						ctx, cancel := context.WithTimeout(t.Context(), long)
						defer cancel()
						var wg sync.WaitGroup
						for range shape.processes {
							p := newPacer(dir, "crm.example", "ada", rate, nil, func(err error) { t.Error(err) })
							for i := range shape.callers {
								wg.Go(func() {
									rnd := rand.New(rand.NewPCG(uint64(i), 7))
									for p.wait(ctx) == nil {
										time.Sleep(delay(rnd))
										if _, err := p.depart(ctx, nil); err != nil {
											if !errors.Is(err, context.DeadlineExceeded) {
												t.Error(err)
											}
											return
										}
										mu.Lock()
										starts = append(starts, time.Now())
										mu.Unlock()
									}
								})
							}
						}
						wg.Wait()
						n := max(1, int(rate))
						least := time.Second
						if float64(n) != rate {
							n = int(rate) + 1
							least = time.Duration(float64(n) / rate * float64(time.Second))
						}
						window, got := closest(starts, n)
						if window < least {
							t.Errorf("%d starts within %v, of %d", n+1, window, len(starts))
						}
						share := 0.99
						if name == "first" || name == "sometimes" {
							share = 0.8 // a start that is much too late takes the place of another one
						}
						if got < rate*share || got > rate {
							t.Errorf("%.3f starts a second of %v", got, rate)
						}
					})
				})
			}
		}
	}
}

// TestPaceLate puts a start that left late on record.
func TestPaceLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer("", "h", "a", 2, nil, nil)
		var starts []time.Time
		for i := range 6 {
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			at, err := p.depart(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if i == 2 {
				time.Sleep(200 * time.Millisecond)
				p.late(at, 200*time.Millisecond)
			}
			starts = append(starts, time.Now())
		}
		if window, _ := closest(starts, 2); window < time.Second {
			t.Errorf("3 starts within %v", window)
		}
	})
}

// TestPaceRest pauses the account for all processes, also those that have their slot already.
func TestPaceRest(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := newPacer(dir, "h", "a", 5, nil, nil)
		b := newPacer(dir, "h", "a", 0, nil, nil) // no rate, and still it has to rest
		other := newPacer(dir, "h", "b", 5, nil, nil)
		ctx := t.Context()
		if err := a.wait(ctx); err != nil {
			t.Fatal(err)
		}
		b.rest(30 * time.Second)
		begin := time.Now()
		if _, err := a.depart(ctx, nil); !errors.Is(err, errHeld) {
			t.Errorf("left during the rest: %v", err)
		}
		if err := other.wait(ctx); err != nil || time.Since(begin) != 0 {
			t.Errorf("another account: %v after %v", err, time.Since(begin))
		}
		var starts []time.Time
		for _, p := range []*pacer{a, a, a, b, a, a, a} {
			if err := p.wait(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := p.depart(ctx, nil); err != nil {
				t.Fatal(err)
			}
			if p == a {
				starts = append(starts, time.Now())
			}
		}
		if d := starts[0].Sub(begin); d != 30*time.Second {
			t.Errorf("rested for %v", d)
		}
		if window, _ := closest(starts, 5); window < time.Second {
			t.Errorf("6 starts within %v after the rest", window)
		}
		b.rest(48 * time.Hour)
		begin = time.Now()
		if err := b.wait(ctx); err != nil || time.Since(begin) != maxPause {
			t.Errorf("a rest of two days took %v, %v", time.Since(begin), err)
		}
	})
}

// TestPaceClock turns the clock that processes share.
func TestPaceClock(t *testing.T) {
	for _, jump := range []time.Duration{-24 * time.Hour, -30 * time.Second, -2 * time.Second, 300 * time.Millisecond, 30 * time.Second, 24 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				var off atomic.Int64
				wall := func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
				var ps []*pacer
				for range 2 {
					p := newPacer(dir, "h", "a", 3, nil, func(err error) { t.Error(err) })
					p.wall = wall
					ps = append(ps, p)
				}
				var starts []time.Time
				for i := range 40 {
					if i == 14 {
						off.Add(int64(jump))
					}
					if i == 30 { // a process that begins after the jump finds times of before
						off.Add(int64(jump))
						p := newPacer(dir, "h", "a", 3, nil, nil)
						p.wall = wall
						ps = append(ps, p)
					}
					p := ps[i%len(ps)]
					if jump > 0 && i == 32 {
						break // one that begins after a jump forward can't know of it
					}
					if err := p.wait(t.Context()); err != nil {
						t.Fatal(err)
					}
					if _, err := p.depart(t.Context(), nil); err != nil {
						t.Fatal(err)
					}
					starts = append(starts, time.Now())
				}
				if window, _ := closest(starts, 3); window < time.Second {
					t.Errorf("4 starts within %v", window)
				}
				if took := starts[len(starts)-1].Sub(starts[0]); took > 30*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestPaceFile meets files that are damaged, foreign, gone, or not ours to write.
func TestPaceFile(t *testing.T) {
	write := func(b []byte) func(string) error {
		return func(path string) error { return os.WriteFile(path, b, 0o600) }
	}
	future := time.Now().Add(time.Hour).UnixNano()
	cases := []struct {
		name  string
		spoil func(path string) error
		want  time.Duration // the least wait for the next start
		alone bool
	}{
		{"empty", write(nil), time.Second, false},
		{"text", write([]byte("hello")), time.Second, false},
		{"long", write(make([]byte, 1<<20)), time.Second, false},
		{"zeros", write(make([]byte, 64)), time.Second, false},
		{"torn", func(p string) error { return os.Truncate(p, 30) }, time.Second, false},
		{"a slot in an hour", write(encodePace(nil, &paceState{next: future})), time.Second, false},
		{"a start in an hour", write(encodePace(nil, &paceState{starts: []int64{future}})), time.Second, false},
		{"a pause in an hour", write(encodePace(nil, &paceState{pause: future})), 0, false},
		{"starts out of order", write(encodePace(nil, &paceState{starts: []int64{2, 1}})), time.Second, false},
		{"gone", os.Remove, 0, false},
		{"a link", func(p string) error {
			if err := os.Rename(p, p+".real"); err != nil {
				return err
			}
			return os.Symlink(p+".real", p)
		}, 0, true},
		{"for everybody", func(p string) error { return os.Chmod(p, 0o666) }, 0, true},
		{"a folder", func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, 0, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			first := newPacer(dir, "h", "a", 4, nil, nil)
			if err := first.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(dir, "pace", "*.pace"))
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			if fi, err := os.Stat(files[0]); err != nil || open(fi) {
				t.Errorf("%v %v", fi.Mode(), err)
			}
			if fi, err := os.Stat(filepath.Dir(files[0])); err != nil || open(fi) {
				t.Errorf("%v %v", fi.Mode(), err)
			}
			if err := c.spoil(files[0]); err != nil {
				t.Fatal(err)
			}
			var said []error
			p := newPacer(dir, "h", "a", 4, nil, func(err error) { said = append(said, err) })
			var wait time.Duration
			for range 2 {
				err = p.with(t.Context(), func(now int64, s *paceState) { wait = time.Duration(p.earliest(now, s) - now) })
				if err != nil {
					t.Fatal(err)
				}
			}
			if wait > 0 {
				wait += 100 * time.Millisecond // passed between the two looks
			}
			if wait < c.want || wait > 2*time.Second {
				t.Errorf("waits %v", wait)
			}
			if (len(said) == 1) != c.alone || len(said) > 1 {
				t.Errorf("said %v", said)
			}
		})
	}
	t.Run("no folder", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		said := 0
		p := newPacer(filepath.Join(file, "x"), "h", "a", 4, nil, func(error) { said++ })
		for range 2 {
			if err := p.wait(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if said != 1 {
			t.Errorf("said %d times", said)
		}
	})
}

func FuzzPaceFile(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodePace(nil, &paceState{next: 5, pause: 6, starts: []int64{1, 2, 3}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, found, err := decodePace(b)
		if (err == nil) != found {
			t.Fatalf("found %v, %v", found, err)
		}
		if found && string(encodePace(nil, &s)) != string(b) {
			t.Fatalf("%x reads as %+v", b, s)
		}
	})
}

// BenchmarkPaceFile measures what sharing costs a call: one slot and one start.
func BenchmarkPaceFile(b *testing.B) {
	p := newPacer(b.TempDir(), "h", "a", 1e9, nil, nil)
	for b.Loop() {
		if err := p.wait(b.Context()); err != nil {
			b.Fatal(err)
		}
		if _, err := p.depart(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	}
}

// TestPaceEnds ends every kind of waiting early.
func TestPaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		p := newPacer("", "h", "a", 0.01, stop, nil)
		if err := p.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := p.depart(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		closed := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(closed) })
		if _, err := p.depart(t.Context(), closed); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		time.AfterFunc(time.Second, func() { close(stop) })
		begin := time.Now()
		if err := p.wait(t.Context()); !errors.Is(err, ErrStopped) || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// TestPaceProcesses saturates an account from three processes and counts what arrives.
func TestPaceProcesses(t *testing.T) {
	const rate, processes, long = 20, 3, 2200 * time.Millisecond
	if base := os.Getenv("API_TEST_PACE_BASE"); base != "" {
		paceChild(t, base, os.Getenv("API_TEST_PACE_DIR"), rate)
		return
	}
	if testing.Short() {
		t.Skip("takes three seconds")
	}
	t.Parallel()
	arrived, left := paceRound(t, processes, long)
	window, got := closest(arrived, rate)
	own, ownRate := closest(left, rate)
	t.Logf("%d starts, %.2f a second, %d within %v, left within %v", len(arrived), got, rate+1, window, own)
	if own < time.Second || ownRate > rate {
		t.Errorf("%d starts left within %v, %.2f a second", rate+1, own, ownRate)
	}
	if len(left) < len(arrived) {
		t.Errorf("%d starts left, %d arrived", len(left), len(arrived))
	}
	// When the server looks at its clock, and whether three processes find the time to saturate anything, depends on
	// who else keeps this machine busy.
	if window < 900*time.Millisecond || got < rate*0.7 || got > rate*1.05 {
		t.Errorf("%.2f starts a second of %d, %d within %v", got, rate, rate+1, window)
	}
}

// paceRound returns when calls arrived, and when they left.
func paceRound(t *testing.T, processes int, long time.Duration) (arrived, left []time.Time) {
	var mu sync.Mutex
	done := make(chan struct{})
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		select {
		case <-done:
			w.WriteHeader(http.StatusGone)
			return
		default:
		}
		mu.Lock()
		arrived = append(arrived, now)
		mu.Unlock()
	})
	dir := t.TempDir()
	time.AfterFunc(long, func() { close(done) })
	var wg sync.WaitGroup
	for range processes {
		cmd := exec.Command(os.Args[0], "-test.run=^TestPaceProcesses$", "-test.v")
		cmd.Env = append(os.Environ(), "API_TEST_PACE_BASE="+srv.URL, "API_TEST_PACE_DIR="+dir)
		wg.Go(func() {
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				var at int64
				if n, _ := fmt.Sscanf(line, "left %d", &at); n == 1 {
					mu.Lock()
					left = append(left, time.Unix(0, at))
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return arrived, left
}

// clocked notes when each request leaves on a connection: its requests fit one write.
type clocked struct {
	net.Conn
	note func(time.Time)
}

func (c clocked) Write(b []byte) (int, error) {
	c.note(time.Now())
	return c.Conn.Write(b)
}

// paceChild calls until the server has had enough.
func paceChild(t *testing.T, base, dir string, rate float64) {
	var mu sync.Mutex
	var left []time.Time
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	rt := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		return clocked{nc, func(at time.Time) {
			mu.Lock()
			left = append(left, at)
			mu.Unlock()
		}}, err
	}}
	cl, err := New(Config{Env: Env{StateDir: dir, Transport: rt}, Vendor: "Acme", Base: u, Account: "ada", Rate: rate})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				_, err := cl.Do(t.Context(), &Request{Op: "POST", Method: "POST", Body: []byte("{}"), Sending: func() error { return nil }})
				var e *Error
				if errors.As(err, &e) && e.Class == NotFound {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, at := range left {
		fmt.Printf("left %d\n", at.UnixNano())
	}
}
