package pipeline

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/record"
)

// TestHolders gives loads keys, of few different ones and of many, ends loads in any order, and holds what is waited for
// against a plain map.
func TestHolders(t *testing.T) {
	for _, kinds := range []uint64{3, 40, 5000} {
		r := rand.New(rand.NewPCG(kinds, 1))
		var h holders
		last := map[uint64]*load{} // who held a key last
		var open []*load
		end := func(i int) {
			close(open[i].ready)
			open = append(open[:i], open[i+1:]...)
		}
		for range 3000 {
			l := &load{ready: make(chan struct{})}
			mine := map[uint64]bool{}
			for range r.IntN(30) {
				k := r.Uint64N(kinds) * 0x9e3779b97f4a7c15
				l.keys = append(l.keys, k)
				mine[k] = true
			}
			// What l has to wait for ends while it waits, and nothing else does.
			need := map[*load]bool{}
			for k := range mine {
				if before := last[k]; before != nil && !before.done() {
					need[before] = true
				}
				last[k] = l
			}
			held := make(chan struct{})
			go func() { h.hold(l); close(held) }()
			for len(need) > 0 {
				select {
				case <-held:
					t.Fatalf("of %d kinds: a load did not wait for all %d earlier ones that share a key with it", kinds, len(need))
				default:
				}
				for i, x := range open {
					if need[x] {
						delete(need, x)
						end(i)
						break
					}
				}
			}
			<-held // it waits for nothing else, or this never ends
			open = append(open, l)
			for len(open) > r.IntN(20) {
				end(r.IntN(len(open)))
			}
		}
	}
}

// TestLateCalls breaks calls off, now and in an earlier attempt: the next row about the same record waits until what was
// sent must have arrived, and no other row does.
func TestLateCalls(t *testing.T) {
	key := func(i int) string {
		switch i {
		case 3, 40, 60: // 3 breaks off
			return "a"
		case 10, 41: // 10 is in doubt from an earlier attempt
			return "b"
		case 20, 21: // nothing happens to these
			return "c"
		}
		return strconv.Itoa(i)
	}
	for _, writers := range []int{1, 4} {
		for _, size := range []int{1, 5} {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var mu sync.Mutex
				at := map[int64]time.Duration{}
				sink := &fakeSink{onRow: func(row *record.Row) {
					row.Late = row.Num == 3
					mu.Lock()
					defer mu.Unlock()
					at[row.Num] = time.Since(began)
				}}
				counts, err := Run(t.Context(), &fakeSource{rows: 80, per: 7, key: key}, nil, sink, Options{
					Workers: 2, Writers: writers, BatchSize: size, Key: func(row *record.Row) string { return row.Values[1].Text() }, History: doubtOf(10),
				})
				if err != nil || counts.Accepted != 80 {
					t.Fatalf("counts = %+v, error = %v", counts, err)
				}
				for num, when := range at {
					if want := time.Duration(0); num <= 35 && when != want || num >= 41 && when != settleTime {
						t.Errorf("%d writers, batches of %d: row %d was written after %v", writers, size, num, when)
					}
				}
				if at[40] != settleTime {
					t.Errorf("%d writers, batches of %d: row 40 was written after %v, and what row 3 sent may have come later", writers, size, at[40])
				}
			})
		}
	}
}

// TestLateFromBefore takes up a run whose rows 2 and 3 are done with, though of each a call is out that an earlier attempt
// knew no outcome of: the next rows about the same records wait until it must have arrived, those of others do not.
func TestLateFromBefore(t *testing.T) {
	past := recalled{1: {Settled, false}, 2: {Retired, true}, 3: {Settled, true}, 4: {Fresh, true}}
	keys := map[int]string{1: "a", 5: "a", 2: "b", 7: "b", 3: "c", 8: "c", 4: "d", 9: "d", 6: "e", 10: "b"}
	for _, writers := range []int{1, 4} {
		for _, late := range []time.Duration{0, time.Second, 5 * time.Second} { // when row 7 comes
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var mu sync.Mutex
				at := map[int64]time.Duration{}
				src := &fakeSource{rows: 10, per: 1, key: func(i int) string { return keys[i] }, onNext: func(from int) {
					if from == 7 {
						time.Sleep(late)
					}
				}}
				counts, err := Run(t.Context(), src, nil, &fakeSink{onRow: func(row *record.Row) {
					mu.Lock()
					defer mu.Unlock()
					at[row.Num] = time.Since(began)
				}}, Options{Workers: 2, Writers: writers, BatchSize: 1, Key: func(row *record.Row) string { return row.Values[1].Text() }, History: past})
				if err != nil || counts.Accepted != 9 {
					t.Fatalf("counts = %+v, error = %v", counts, err)
				}
				then := max(settleTime, late)
				want := map[int64]time.Duration{4: 0, 5: 0, 6: 0, 7: then, 8: then, 9: then, 10: then}
				if diff := cmp.Diff(want, at); diff != "" {
					t.Errorf("%d writers, row 7 comes after %v: when rows were written: %s", writers, late, diff)
				}
			})
		}
	}
}

// recalled is a history by row.
type recalled map[int64]struct {
	what Recall
	late bool
}

func (h recalled) Recall(row *record.Row) Recall {
	known := h[row.Num]
	if row.Late = known.late; known.what == Settled {
		row.Accept("done", "")
	}
	return known.what
}

// TestStopWhileLate stops a run that waits for late calls.
func TestStopWhileLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, stop := time.Now(), make(chan struct{})
		sink := &fakeSink{onRow: func(row *record.Row) { row.Late = true }}
		time.AfterFunc(time.Second, func() { close(stop) })
		counts, err := Run(t.Context(), &fakeSource{rows: 2, per: 1}, nil, sink, Options{
			Writers: 2, BatchSize: 1, Key: func(*record.Row) string { return "a" }, Stop: stop,
		})
		if !errors.Is(err, ErrStopped) || counts.Accepted != 1 || time.Since(began) != time.Second {
			t.Errorf("after %v: counts = %+v, error = %v", time.Since(began), counts, err)
		}
	})
}

// doubtOf is a history in which one row was sent without an answer.
type doubtOf int64

func (d doubtOf) Recall(row *record.Row) Recall {
	if row.Num == int64(d) {
		return Unknown
	}
	return Fresh
}
