package api

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// vendor is a vendor without a network, so that hours of its life pass at once. It answers after 100 ms.
func vendor(answer func(n int64) (status int, header string)) (http.RoundTripper, *atomic.Int64) {
	var calls atomic.Int64
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		time.Sleep(100 * time.Millisecond)
		status, header := answer(calls.Add(1))
		h := http.Header{}
		for line := range strings.Lines(header) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), ": ")
			h.Set(k, v)
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
	}), &calls
}

// load makes many calls from some callers, as a run does: the first failure that stops the run ends it.
func load(t *testing.T, cl *Client, callers, rows int, r Request) (done, unsure int64, failed error) {
	t.Helper()
	var next, good, bad atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range callers {
		wg.Go(func() {
			for next.Add(1) <= int64(rows) {
				select {
				case <-stop:
					return
				default:
				}
				q := r
				_, err := cl.Do(t.Context(), &q)
				var e *Error
				switch {
				case err == nil:
					good.Add(1)
				case errors.As(err, &e) && e.Applied:
					bad.Add(1)
				default:
					mu.Lock()
					if failed == nil {
						failed = err
						close(stop)
					}
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	return good.Load(), bad.Load(), failed
}

var (
	post = Request{Op: "POST /x", Method: "POST", Path: "/x", Body: []byte("{}")}
	put  = Request{Op: "PUT /x", Method: "PUT", Path: "/x", Body: []byte("{}"), Idempotent: true}
)

// TestOutages survives what passes, and ends runs that would not get anywhere.
func TestOutages(t *testing.T) {
	down := func(long time.Duration, status int, header string) func() func(int64) (int, string) {
		return func() func(int64) (int, string) {
			begin := time.Now()
			return func(n int64) (int, string) {
				if at := time.Since(begin); at > 5*time.Second && at < 5*time.Second+long {
					h := header
					if h == "date" {
						h = "Retry-After: " + time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat)
					}
					return status, h
				}
				return 200, ""
			}
		}
	}
	random := func(share float64, status int) func() func(int64) (int, string) {
		return func() func(int64) (int, string) {
			var mu sync.Mutex
			rnd := rand.New(rand.NewPCG(1, 2))
			return func(int64) (int, string) {
				mu.Lock()
				defer mu.Unlock()
				if rnd.Float64() < share {
					return status, ""
				}
				return 200, ""
			}
		}
	}
	cases := []struct {
		name    string
		rate    float64
		callers int
		rows    int
		r       Request
		vendor  func() func(int64) (int, string)
		says    string        // "" is success
		most    int64         // calls that reach the vendor
		within  time.Duration // 0: any time
	}{
		{"503 for two minutes, back in 30 s", 3, 16, 100, post, down(2*time.Minute, 503, "Retry-After: 30"), "", 200, 4 * time.Minute},
		{"503 for two minutes, back in 5 s", 3, 16, 100, post, down(2*time.Minute, 503, "Retry-After: 5"), "", 600, 4 * time.Minute},
		{"503 for two minutes, a date, no rate", 0, 16, 2000, post, down(2*time.Minute, 503, "date"), "", 2200, 4 * time.Minute},
		{"429 for 30 s, untold", 3, 16, 100, post, down(30*time.Second, 429, ""), "", 200, 5 * time.Minute},
		{"503 for 10 s, untold", 3, 16, 100, post, down(10*time.Second, 503, ""), "", 200, 3 * time.Minute},
		{"502 for 10 s", 0, 16, 2000, put, down(10*time.Second, 502, ""), "", 2200, time.Minute},
		{"one in twenty fails", 0, 16, 8000, put, random(0.05, 500), "", 8600, 0},
		{"one in twenty fails, at a rate", 3, 4, 2000, put, random(0.05, 500), "", 2200, 0},
		{"three of four fail", 0, 16, 20_000, put, random(0.75, 500), "had to be repeated", 0, 0},
		{"half of them fail", 3, 4, 20_000, put, random(0.5, 500), "had to be repeated", 400, 0},
		{"503 for good, back in 10 s", 3, 16, 100, post, down(time.Hour, 503, "Retry-After: 10"), "503", 100, 4 * time.Minute},
		{"down for good", 0, 16, 10_000, put, down(time.Hour, 502, ""), "", 0, 3 * time.Minute},
		{"down for good, not to be repeated", 0, 16, 10_000, post, down(time.Hour, 502, ""), "20 calls in a row failed", 0, time.Minute},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt, calls := vendor(c.vendor())
				cl, err := New(Config{Env: Env{Transport: rt}, Vendor: "Acme", Base: mustURL(t, "https://crm.example"), Account: "ada", Rate: c.rate})
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				done, unsure, failed := load(t, cl, c.callers, c.rows, c.r)
				took := time.Since(begin)
				t.Logf("%d of %d done, %d unsure, %d calls, %v: %v", done, c.rows, unsure, calls.Load(), took.Round(time.Second), failed)
				ends := c.says != "" || c.most == 0
				switch {
				case !ends && (failed != nil || done+unsure != int64(c.rows)):
					t.Errorf("%d of %d rows done, %d unsure: %v", done, c.rows, unsure, failed)
				case ends && (failed == nil || !strings.Contains(failed.Error(), c.says)):
					t.Errorf("the error is %v, want %q", failed, c.says)
				}
				var e *Error
				if ends && (!errors.As(failed, &e) || e.Class != Transient || !e.Stops()) {
					t.Errorf("the run does not stop: %v", failed)
				}
				if c.most > 0 && calls.Load() > c.most {
					t.Errorf("%d calls reached the vendor, of at most %d", calls.Load(), c.most)
				}
				if c.within > 0 && took > c.within {
					t.Errorf("took %v", took)
				}
				if unsure > breakAfter+int64(c.callers) {
					t.Errorf("%d records in doubt", unsure)
				}
			})
		})
	}
}

// TestBudget counts repetitions over all calls of a client.
func TestBudget(t *testing.T) {
	var b budget
	for range retryFloor {
		if !b.spend() {
			t.Fatal("the floor can't be spent")
		}
	}
	if b.out.Load() || b.spend() {
		t.Error("more than the floor without a call")
	}
	if !b.out.Load() {
		t.Error("not known to be spent")
	}
	b = budget{}
	b.calls.Add(5 * retryShare)
	for range retryFloor + 5 {
		if !b.spend() {
			t.Fatal("fifty calls do not pay for five repetitions")
		}
	}
	if b.spend() {
		t.Error("fifty calls pay for six repetitions")
	}
}

// TestHeadersSlow obeys the rate headers of good answers, through the client.
func TestHeadersSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var arrived []time.Time
		rt, _ := vendor(func(n int64) (int, string) {
			mu.Lock()
			defer mu.Unlock()
			arrived = append(arrived, time.Now())
			switch n {
			case 3:
				return 200, "RateLimit: limit=3, remaining=0, reset=10"
			case 6:
				return 404, "Retry-After: 20"
			case 8:
				return 429, "X-RateLimit-Reset: " + strconv.FormatInt(time.Now().Add(30*time.Second).UnixMilli(), 10)
			}
			return 200, ""
		})
		cl, err := New(Config{Env: Env{Transport: rt}, Vendor: "Acme", Base: mustURL(t, "https://crm.example"), Account: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		for range 9 {
			if _, err := cl.Do(t.Context(), &post); err != nil {
				check(t, err, NotFound, 404, false, "")
			}
		}
		var pauses []string
		for i := 1; i < len(arrived); i++ {
			pauses = append(pauses, fmt.Sprint(arrived[i].Sub(arrived[i-1]).Round(100*time.Millisecond)))
		}
		if got, want := strings.Join(pauses, " "), "100ms 100ms 10.1s 100ms 100ms 20.1s 100ms 30.1s 100ms"; got != want {
			t.Errorf("paused %s, want %s", got, want)
		}
	})
}
