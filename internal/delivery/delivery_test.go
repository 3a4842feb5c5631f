package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// courierTo returns a courier that sends to h and never waits.
func courierTo(t *testing.T, h http.HandlerFunc, load schema.Load, ledger pipeline.Ledger) *Courier {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := api.New(api.Config{Vendor: "Acme", Base: base, Account: "test", RetryDelay: time.Microsecond})
	if err != nil {
		t.Fatal(err)
	}
	return NewCourier(client, load, ledger, time.Now, func(ctx context.Context, _ time.Duration) error { return ctx.Err() })
}

func row(n int64) *record.Row { return &record.Row{Num: n} }

func post() *api.Request {
	return &api.Request{Op: "POST /things", Method: http.MethodPost, Path: "/things", Body: []byte("{}")}
}

// drop closes the connection without an answer.
func drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_ = conn.Close()
}

func TestCall(t *testing.T) {
	for _, tt := range []struct {
		name       string
		answers    []int // statuses in turn, the last one again and again; 0 drops the connection
		idempotent bool
		verdict    Verdict
		stops      bool
		late       bool
		lines      []string
	}{
		{name: "taken", answers: []int{200}, lines: []string{"send 1 rows 7"}},
		{name: "refused", answers: []int{400}, verdict: Refused, lines: []string{"send 1 rows 7"}},
		{name: "turned away once", answers: []int{429, 200}, lines: []string{"send 1 rows 7", "undone 1", "send 2 rows 7"}},
		{name: "lost", answers: []int{0}, verdict: Unknown, late: true, lines: []string{"send 1 rows 7"}},
		{name: "lost and safe to repeat", answers: []int{0, 200}, idempotent: true, late: true, lines: []string{"send 1 rows 7", "send 2 rows 7"}},
		{name: "no right", answers: []int{403}, stops: true, lines: []string{"send 1 rows 7", "undone 1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, l := 0, deliverytest.NewLedger(t)
			k := courierTo(t, func(w http.ResponseWriter, _ *http.Request) {
				status := tt.answers[min(n, len(tt.answers)-1)]
				n++
				if status == 0 {
					drop(w)
					return
				}
				w.WriteHeader(status)
			}, schema.Load{}, l)
			r := post()
			r.Idempotent = tt.idempotent
			row := row(7)
			res, err := k.Call(t.Context(), r, row)
			if row.Late != tt.late {
				t.Errorf("what it sent may come late: %v, want %v", row.Late, tt.late)
			}
			if (err != nil) != tt.stops {
				t.Fatalf("error %v, want one: %v", err, tt.stops)
			}
			if err == nil && res.Verdict != tt.verdict {
				t.Errorf("verdict %d, want %d", res.Verdict, tt.verdict)
			}
			if diff := cmp.Diff(tt.lines, l.Log()); diff != "" {
				t.Errorf("ledger: %s", diff)
			}
		})
	}
}

// TestHalt makes sure that nothing follows a row that was left in doubt.
func TestHalt(t *testing.T) {
	sent := 0
	k := courierTo(t, func(http.ResponseWriter, *http.Request) { sent++ }, schema.Load{}, deliverytest.NewLedger(t))
	broken := errors.New("broken")
	k.Halt(broken)
	k.Halt(errors.New("later"))
	if _, err := k.Call(t.Context(), post(), row(1)); !errors.Is(err, broken) || sent != 0 {
		t.Errorf("error %v after %d calls, want the first one and no call", err, sent)
	}
}

// seen is what a vendor shows at a lookup.
type seen struct {
	id    string
	like  Likeness
	print uint64
	ago   time.Duration // since it was created; negative: undated
}

func TestCreate(t *testing.T) {
	const mine, other = 1, 2
	for _, tt := range []struct {
		name  string
		doubt bool
		load  schema.Load
		twins int64  // rows like it that earlier processes made
		drops int    // first answers that are lost
		there []seen // after the first loss
		want  string // fate, action and id
		sends int
	}{
		{name: "made", want: "accepted created new", sends: 1},
		{name: "lost, and it is there", drops: 1, there: []seen{{"a", Same, mine, 0}}, want: "accepted created a", sends: 1},
		{name: "lost, and it is not there", drops: 1, want: "accepted created new", sends: 2},
		{name: "an older one does not count", drops: 1, there: []seen{{"a", Same, mine, time.Hour}}, want: "accepted created new", sends: 2},
		{name: "another's does not count", drops: 1, there: []seen{{"a", Different, other, 0}}, want: "accepted created new", sends: 2},
		{name: "one that has more than was sent", drops: 1, there: []seen{{"a", Near, mine, 0}}, want: "unsure  ", sends: 1},
		{name: "one without a date", drops: 1, there: []seen{{"a", Same, mine, -1}}, want: "unsure  ", sends: 1},
		{name: "two where one is expected", drops: 1, there: []seen{{"a", Same, mine, 0}, {"b", Same, mine, 0}}, want: "unsure  ", sends: 1},
		{name: "the twin's alone", drops: 1, twins: 1, there: []seen{{"a", Same, mine, 0}}, want: "accepted created new", sends: 2},
		{name: "the twin's and its own", drops: 1, twins: 1, there: []seen{{"a", Same, mine, time.Second}, {"b", Same, mine, 0}}, want: "accepted created b", sends: 1},
		{name: "in doubt, and there", doubt: true, there: []seen{{"a", Same, mine, 0}}, want: "accepted created a"},
		{name: "in doubt, and not there", doubt: true, want: "accepted created new", sends: 1},
		{name: "held", doubt: true, load: schema.Load{Unsure: schema.Hold}, want: "unsure  "},
		{name: "lost and held", drops: 1, load: schema.Load{Unsure: schema.Hold}, want: "unsure  ", sends: 1},
		{name: "sent again as asked", drops: 1, load: schema.Load{Unsure: schema.Resend}, there: []seen{{"a", Same, mine, 0}}, want: "accepted created new", sends: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sent atomic.Int64 // the connection that is dropped says nothing to the one who waits for it
			ledger := deliverytest.NewLedger(t)
			for n := range tt.twins {
				if err := ledger.Settled(0, Mark(mine), &record.Row{Num: 100 + n, Fate: record.Accepted}); err != nil {
					t.Fatal(err)
				}
			}
			tt.load.Started = time.Now().Add(-10 * time.Second)
			k := courierTo(t, func(w http.ResponseWriter, _ *http.Request) {
				if sent.Add(1) <= int64(tt.drops) {
					drop(w)
				}
			}, tt.load, ledger)
			m := NewMaker(k, &Clock{}, "thing")
			r := row(3)
			if tt.doubt {
				r.Fate = record.Doubt
			}
			err := m.Create(t.Context(), Creation{
				Row: r, Print: mine,
				Send: func() (Result, error) { return m.Call(t.Context(), post(), r) },
				ID:   func(Result) string { return "new" },
				Look: func(_ int, l *Look) (string, error) {
					for _, s := range tt.there {
						l.See(s.id, s.like, s.print, time.Now().Add(-s.ago), s.ago >= 0)
					}
					return "a search", nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			sends := int(sent.Load())
			if got := fmt.Sprintf("%s %s %s", r.Fate, r.Action, r.ID); got != tt.want || sends != tt.sends {
				t.Errorf("%s after %d calls, want %s after %d; ledger:\n%s", got, sends, tt.want, tt.sends, strings.Join(ledger.Log(), "\n"))
			}
		})
	}
}

// TestPoison sends a record that the vendor always fails on, among others that it takes.
func TestPoison(t *testing.T) {
	l := deliverytest.NewLedger(t)
	k := courierTo(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Bad") != "" {
			drop(w)
		}
	}, schema.Load{}, l)
	m := NewMaker(k, &Clock{}, "thing")
	create := func(n int64, bad string) (*record.Row, error) {
		r := row(n)
		return r, m.Create(t.Context(), Creation{
			Row: r, Print: uint64(n),
			Send: func() (Result, error) {
				p := post()
				p.Header = http.Header{"X-Bad": {bad}}
				return m.Call(t.Context(), p, r)
			},
			ID:   func(Result) string { return "" },
			Look: func(int, *Look) (string, error) { return "a search", nil },
		})
	}
	if _, err := create(1, ""); err != nil {
		t.Fatal(err)
	}
	r, err := create(2, "yes")
	if err != nil || r.Fate != record.Rejected || !strings.Contains(r.Err.Error(), "failed on this row 6 times") {
		t.Errorf("the row is %s (%v), error %v; want it rejected", r.Fate, r.Err, err)
	}
	if r, err := create(3, ""); err != nil || r.Fate != record.Accepted {
		t.Errorf("the next row is %s, error %v", r.Fate, err)
	}

	// A vendor that answers nobody is down: the run ends, and the row is not refused for it.
	k = courierTo(t, func(w http.ResponseWriter, _ *http.Request) { drop(w) }, schema.Load{}, l)
	m = NewMaker(k, &Clock{}, "thing")
	if r, err = create(4, ""); err == nil || r.Fate != record.Pending {
		t.Errorf("the row is %s, error %v; want it pending, and an error", r.Fate, err)
	}
}

// TestBadLuck sends records to a vendor that loses every third call, wherever that strikes: who has all the bad luck is
// delivered at last, and one that the vendor can't take is still told from it.
func TestBadLuck(t *testing.T) {
	const rows, unlucky, bad = 60, 50, 55
	l := deliverytest.NewLedger(t)
	var mu sync.Mutex
	var calls, luckless int
	k := courierTo(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch n := r.Header.Get("X-Row"); {
		case n == strconv.Itoa(unlucky) && luckless < 8:
			luckless++
			drop(w)
		case n == strconv.Itoa(bad):
			drop(w)
		default:
			if calls++; calls%3 == 0 {
				drop(w)
			}
		}
	}, schema.Load{}, l)
	m := NewMaker(k, &Clock{}, "thing")
	for n := range int64(rows) {
		r := row(n)
		err := m.Create(t.Context(), Creation{
			Row: r, Print: uint64(n),
			Send: func() (Result, error) {
				p := post()
				p.Header = http.Header{"X-Row": {strconv.FormatInt(n, 10)}}
				return m.Call(t.Context(), p, r)
			},
			ID:   func(Result) string { return "" },
			Look: func(int, *Look) (string, error) { return "a search", nil },
		})
		if want := map[bool]record.Fate{true: record.Rejected, false: record.Accepted}[n == bad]; err != nil || r.Fate != want {
			t.Errorf("row %d is %s (%v), error %v; want it %s", n, r.Fate, r.Err, err, want)
		}
	}
}

func TestEnough(t *testing.T) {
	for _, tt := range []struct {
		noise noise
		want  int
	}{
		{noise{}, 6}, // what is not known is taken for one in twenty
		{noise{1, 0}, 6},
		{noise{100, 0}, 4},
		{noise{1e6, 0}, 4},
		{noise{1e6, 5e4}, 6},
		{noise{1e6, 1e5}, 7},
		{noise{1e6, 2e5}, 11},
		{noise{1e6, 9e5}, maxSends},
	} {
		if got := tt.noise.enough(); got != tt.want {
			t.Errorf("%d of %d calls lost: %d sends are enough, want %d", tt.noise.failed, tt.noise.sends, got, tt.want)
		}
	}
}

func TestEachRecord(t *testing.T) {
	b := &record.Batch{}
	add := func(num, group int64, fate record.Fate) {
		*b.Add() = record.Row{Num: num, Group: group, Fate: fate}
	}
	add(1, 0, record.Pending)
	add(2, 2, record.Pending)
	add(3, 2, record.Doubt)
	add(4, 4, record.Pending)
	add(5, 4, record.Rejected)
	add(6, 0, record.Skipped)
	add(7, 7, record.Skipped)
	add(8, 7, record.Pending)
	var got []string
	if err := EachRecord(b, func(rows []*record.Row) error {
		var nums []string
		for _, r := range rows {
			nums = append(nums, fmt.Sprint(r.Num))
		}
		got = append(got, strings.Join(nums, ","))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "2,3", "8"}, got); diff != "" {
		t.Error(diff)
	}
	if r := b.Rows[3]; r.Fate != record.Rejected || !strings.Contains(r.Err.Error(), "row 5 of the same record was refused") {
		t.Errorf("row 4 is %s: %v", r.Fate, r.Err)
	}
	b.Rows[4].Fate, b.Rows[3].Fate = record.Accepted, record.Pending
	if err := EachRecord(b, func([]*record.Row) error { return nil }); err == nil || !strings.Contains(err.Error(), "row 4: it belongs to one record with row 5") {
		t.Errorf("error %v", err)
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var c Clock
	if c.Older(now.Add(-time.Hour), now) {
		t.Error("a vendor that never told its time can't show that a record is older")
	}
	h := http.Header{"Date": {now.Add(-5 * time.Minute).Format(http.TimeFormat)}}
	c.Observe(h, now)
	c.Observe(http.Header{"Date": {"nonsense"}}, now)
	if got := c.Earliest(now); !got.Equal(now.Add(-6 * time.Minute)) {
		t.Errorf("earliest %v", got)
	}
	for ago, older := range map[time.Duration]bool{5 * time.Minute: false, 5*time.Minute + 3*time.Second: true, 0: false} {
		if c.Older(now.Add(-ago), now) != older {
			t.Errorf("%v ago: older is %v", ago, !older)
		}
	}
}

func TestLocks(t *testing.T) {
	var l Locks
	inside, most := 0, 0
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			release, err := l.Take(t.Context(), 1)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			inside++
			most = max(most, inside)
			mu.Unlock()
			mu.Lock()
			inside--
			mu.Unlock()
			release()
		})
	}
	wg.Wait()
	if most != 1 || l.Taken(1) {
		t.Errorf("%d held it at once; taken after all: %v", most, l.Taken(1))
	}
	release, err := l.Take(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Take(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	release()
}

func TestNamed(t *testing.T) {
	h := record.LooseHeader([]string{"email", "preference.from_price", "name"})
	for text, want := range map[string]string{
		"The Email is taken": "email", "preference.from_price must be a number.": "preference.from_price", "names: too long": "name", "nothing here": "", "emailing": "",
	} {
		if got := named(text, h); got != want {
			t.Errorf("%q names %q, want %q", text, got, want)
		}
	}
}

// TestHashes holds the bag against a map.
func TestHashes(t *testing.T) {
	var h hashes
	want := map[uint64]int{}
	for i := range 2000 {
		x := uint64(i*i*2654435761) % 700
		h.add(x)
		want[x]++
		if i%97 == 0 {
			for _, y := range []uint64{x, uint64(i) % 701, 1 << 60} {
				if got := h.count(y); got != want[y] {
					t.Fatalf("%d was added %d times, and counts %d", y, want[y], got)
				}
			}
		}
	}
}
