package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/crmetl/crmetl/pipeline"
)

// steady is a run at so many rows a second, in batches.
func steady(rate float64, batch int64) func(done int64, at time.Duration) time.Duration {
	return func(int64, time.Duration) time.Duration {
		return time.Duration(float64(batch) / rate * float64(time.Second))
	}
}

// TestEstimate simulates runs and asks, from two minutes on, how long they will still take: the answer is never more
// than a tenth off.
func TestEstimate(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	cases := []struct {
		name  string
		total int64
		base  int64 // rows of earlier attempts
		jump  int64 // rows that pass at once after the first answer
		batch int64
		slow  time.Duration                                    // before the first row
		next  func(done int64, at time.Duration) time.Duration // to the next batch
		from  time.Duration                                    // when the answers must be right; 0: after two minutes
		off   float64                                          // how far they may be off; 0: a tenth
		blind [2]time.Duration                                 // when no answer can be right: the run does not know of what is coming
	}{
		{name: "steady", total: 3000, batch: 1, next: steady(3, 1), from: 5 * time.Second, off: 0.02},
		{name: "steady, large batches", total: 20_000, batch: 100, next: steady(5, 100)},
		{name: "fast", total: 2_000_000, batch: 1000, next: steady(5000, 1000)},
		{name: "slow start", total: 3000, batch: 1, slow: 30 * time.Second, next: steady(3, 1), from: 40 * time.Second},
		{name: "slow start, short run", total: 500, batch: 1, slow: 60 * time.Second, next: steady(3, 1)},
		{name: "resumed", total: 10_000, base: 9000, batch: 1, slow: 10 * time.Second, next: steady(3, 1), from: 20 * time.Second},
		{name: "rows that need no call", total: 10_000, jump: 7000, batch: 1, slow: 10 * time.Second, next: steady(3, 1), from: 20 * time.Second},
		{name: "uneven", total: 3000, batch: 1, next: func(int64, time.Duration) time.Duration {
			return time.Duration(rnd.IntN(667)) * time.Millisecond
		}},
		{name: "bursts", total: 6000, batch: 1, next: func(done int64, _ time.Duration) time.Duration {
			if done%16 == 0 {
				return 4 * time.Second // sixteen writers in step
			}
			return time.Millisecond
		}},
		{name: "a pause in the middle", total: 3000, batch: 1, next: func(done int64, _ time.Duration) time.Duration {
			if done == 600 {
				return 90 * time.Second
			}
			return time.Second / 3
		}, blind: [2]time.Duration{0, 291 * time.Second}},
		{name: "a pause before two minutes", total: 1500, batch: 1, next: func(done int64, _ time.Duration) time.Duration {
			if done == 90 {
				return 60 * time.Second
			}
			return time.Second / 3
		}},
		{name: "a pause a minute", total: 3000, batch: 1, next: func(done int64, _ time.Duration) time.Duration {
			if done%100 == 0 {
				return 50 * time.Second
			}
			return 100 * time.Millisecond
		}, from: 130 * time.Second},
		{name: "slower from the middle on", total: 3000, batch: 1, next: func(done int64, _ time.Duration) time.Duration {
			if done >= 900 {
				return 2 * time.Second / 3
			}
			return time.Second / 3
		}, blind: [2]time.Duration{0, 365 * time.Second}},
		{name: "faster from the middle on", total: 6000, batch: 1, next: func(done int64, _ time.Duration) time.Duration {
			if done >= 300 {
				return time.Second / 4
			}
			return time.Second
		}, blind: [2]time.Duration{0, 365 * time.Second}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			begin := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
			type point struct {
				at   time.Duration
				done int64
			}
			var run []point
			at, done := c.slow, c.base
			for done < c.total {
				at += c.next(done, at)
				done = min(done+c.batch, c.total)
				run = append(run, point{at, done})
				if len(run) == 1 && c.jump > 0 {
					done += c.jump
					run = append(run, point{at, done})
				}
			}
			end := run[len(run)-1].at
			from, off := c.from, c.off
			if from == 0 {
				from = 2 * time.Minute
			}
			if off == 0 {
				off = 0.1
			}
			e := newEstimate(begin, c.base)
			worst, asked := 0.0, 0
			k := 0
			for now := time.Duration(0); now < end; now += 500 * time.Millisecond {
				for ; k < len(run) && run[k].at <= now; k++ {
					e.add(begin.Add(run[k].at), run[k].done)
				}
				left := end - now
				if now < from || left < 10*time.Second || now >= c.blind[0] && now < c.blind[1] {
					continue
				}
				got, ok := e.left(begin.Add(now), c.total)
				if !ok {
					t.Fatalf("after %v of %v: nothing is known", now, end)
				}
				asked++
				// Nobody wants to know seconds of the last minute more exactly than a batch takes.
				slack := max(off*left.Seconds(), 3, float64(e.usual())/1e9)
				if d := math.Abs((got - left).Seconds()); d > slack {
					t.Fatalf("after %v of %v: %v left, want %v", now, end, got, left)
				} else {
					worst = max(worst, d/left.Seconds())
				}
			}
			t.Logf("asked %d times, at most %.1f %% off", asked, 100*worst)
			if asked < 10 {
				t.Errorf("asked %d times only", asked)
			}
		})
	}
}

// TestEstimateUnknown says nothing that it can't know.
func TestEstimateUnknown(t *testing.T) {
	begin := time.Now()
	e := newEstimate(begin, 0)
	if d, ok := e.left(begin.Add(time.Minute), 100); ok {
		t.Errorf("%v before the first row", d)
	}
	e.add(begin.Add(time.Minute), 10)
	if d, ok := e.left(begin.Add(time.Minute), 100); ok {
		t.Errorf("%v after one batch", d)
	}
	for i := range 40 {
		e.add(begin.Add(time.Minute+time.Duration(i)*time.Second), 10+int64(i))
	}
	e.add(begin, 1000) // a clock that was set back
	e.add(begin.Add(time.Hour), 5)
	if d, ok := e.left(begin.Add(99*time.Second), 0); ok {
		t.Errorf("%v of a total that is not known", d)
	}
	if d, ok := e.left(begin.Add(99*time.Second), 149); !ok || d < 95*time.Second || d > 105*time.Second {
		t.Errorf("%v, %v, want 100 s", d, ok)
	}
	if d, ok := e.left(begin.Add(99*time.Second), 49); ok {
		t.Errorf("%v when all is done", d)
	}
}

// TestProgressPlain prints a line now and then, with the time left.
func TestProgressPlain(t *testing.T) {
	var out bytes.Buffer
	a := &app{stderr: &out, progress: "plain", getenv: func(string) string { return "" }}
	p, err := a.newProgress("sending", 3000, 0)
	if err != nil {
		t.Fatal(err)
	}
	now := p.now()
	p.now = func() time.Time { return now }
	now = now.Add(20 * time.Second) // the token becomes good
	for i := range int64(300) {
		now = now.Add(time.Second / 3)
		p.show(pipeline.Counts{Read: i + 1, Accepted: i, Rejected: 1})
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if want := "sending: 1 of 3,000 rows, 1 rejected"; lines[0] != want {
		t.Errorf("%q, want %q", lines[0], want)
	}
	if got, want := lines[len(lines)-1], "sending: 280 of 3,000 rows, 1 rejected, about 15 min left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if len(lines) != 10 {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
	out.Reset()
	if p.end(); out.Len() != 0 {
		t.Errorf("the end says %q", out.String())
	}
}

// TestProgressBar says the time left beside the bar.
func TestProgressBar(t *testing.T) {
	var out bytes.Buffer
	a := &app{stderr: &out, progress: "bar", getenv: func(string) string { return "" }}
	p, err := a.newProgress("sending", 3000, 1000)
	if err != nil {
		t.Fatal(err)
	}
	now := p.now()
	p.now = func() time.Time { return now }
	for i := range int64(300) {
		now = now.Add(time.Second / 3)
		p.show(pipeline.Counts{Read: 1000 + i + 1, Accepted: i, Unsure: 2})
	}
	if got, want := p.label(pipeline.Counts{Unsure: 2}, now), "sending, 2 refused, about 9 min left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	p.end()
}
