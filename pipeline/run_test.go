package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/record"
)

// TestNoCellStrays sends rows through eight workers into a slow sink with eight writers and compares every cell with
// its row's number: when it is written, when the write ends, and when the row is reported.
func TestNoCellStrays(t *testing.T) {
	for _, o := range []Options{
		{Workers: 8, Writers: 8}, {Workers: 8, Writers: 8, BatchSize: 7}, {Workers: 8, Writers: 8, BatchSize: 1}, {Workers: 8},
		{Workers: 8, Writers: 8, BatchSize: 10, Group: pairsOf(3000)},
	} {
		t.Run(fmt.Sprintf("batch size %d, %d writers, groups %v", o.BatchSize, o.Writers, o.Group != nil), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const rows = 3000
				wrong := func(row *record.Row) bool {
					n := strconv.FormatInt(row.Num, 10)
					return row.Values[0].Text() != n || row.Values[1].Text() != "mapped "+n || row.Origin[0].Text() != n || row.Line != row.Num
				}
				var mu sync.Mutex
				strays := 0
				look := func(row *record.Row) {
					if wrong(row) {
						mu.Lock()
						strays++
						mu.Unlock()
					}
				}
				mapped := record.LooseHeader([]string{"num", "text"})
				mapping := stepFunc(func(b *record.Batch) error {
					b.Header = mapped
					for i := range b.Rows {
						cells := b.Cells(2)
						cells[0] = b.Rows[i].Values[0]
						cells[1] = record.TextOf("mapped " + b.Rows[i].Values[0].Text())
						b.Rows[i].Values = cells
					}
					return nil
				})
				random := rand.New(rand.NewPCG(1, 2))
				src := &fakeSource{rows: rows, per: 13, key: func(i int) string { return strconv.Itoa((i + 1) / 2) }}
				sink := &fakeSink{onRow: look, delay: func(int64) time.Duration {
					mu.Lock()
					defer mu.Unlock()
					return time.Duration(random.IntN(1000)) * time.Millisecond
				}}
				var last int64
				o.Retire = func(b *record.Batch) error {
					for i := range b.Rows {
						look(&b.Rows[i])
						last = b.Rows[i].Num
					}
					return nil
				}
				counts, err := Run(t.Context(), src, []Step{mapping}, sink, o)
				if err != nil || counts != (Counts{Read: rows, Accepted: rows}) {
					t.Errorf("counts = %+v, error = %v", counts, err)
				}
				if strays > 0 {
					t.Errorf("%d times a row held another row's cells", strays)
				}
				if last != rows {
					t.Errorf("the last row reported is %d", last)
				}
				if o.Writers > 1 && sink.most < 2 {
					t.Error("the writes did not overlap, so the test shows nothing")
				}
				checkClosed(t, src, sink, 1)
			})
		})
	}
}

// pairsOf groups rows 1 and 2, 3 and 4 and so on, by the cell under "num".
func pairsOf(int) *Grouping {
	return &Grouping{
		Key:  func(row *record.Row) string { return strconv.FormatInt((numOf(row)+1)/2, 10) },
		Last: func(key string) int64 { n, _ := strconv.ParseInt(key, 10, 64); return 2 * n },
	}
}

// TestEnds is the table of the ways in which a run can end. Each runs with several numbers of workers and writers,
// in a bubble that notices goroutines which stay behind.
func TestEnds(t *testing.T) {
	type setup struct {
		src    *fakeSource
		steps  []Step
		sink   *fakeSink
		o      Options
		cancel context.CancelFunc
		stop   chan struct{}
	}
	tests := []struct {
		name    string
		set     func(*setup)
		err     error // nil: success
		commits int
		min     int64 // rows accepted at least
		max     int64 // and at most
		exact   *Counts
	}{
		{name: "all rows", set: func(*setup) {}, commits: 1, exact: &Counts{Read: 100, Accepted: 100}},
		{name: "empty source", set: func(s *setup) { s.src.rows = 0 }, commits: 1, exact: &Counts{}},
		{name: "one row", set: func(s *setup) { s.src.rows = 1 }, commits: 1, exact: &Counts{Read: 1, Accepted: 1}},
		{name: "all rows refused", set: func(s *setup) { s.src.refuse = func(int) bool { return true } }, commits: 1, exact: &Counts{Read: 100, Rejected: 100}},
		{name: "some rows refused", set: func(s *setup) { s.src.refuse = func(i int) bool { return i%4 == 0 } }, commits: 1, exact: &Counts{Read: 100, Rejected: 25, Accepted: 75}},
		{name: "source breaks at once", set: func(s *setup) { s.src.failNext = 1 }, err: errBroken, exact: &Counts{}},
		{name: "source breaks in Next", set: func(s *setup) { s.src.failNext = 58 }, err: errBroken, exact: &Counts{Read: 50, Accepted: 50}},
		{name: "source breaks in Decode", set: func(s *setup) { s.src.failDecode = 58 }, err: errBroken, exact: &Counts{Read: 57, Accepted: 57}},
		{name: "source breaks at the first row of a chunk", set: func(s *setup) { s.src.failDecode = 51 }, err: errBroken, exact: &Counts{Read: 50, Accepted: 50}},
		{name: "step breaks", set: func(s *setup) {
			s.steps = []Step{stepFunc(func(b *record.Batch) error {
				if len(b.Rows) > 0 && numOf(&b.Rows[0]) == 51 {
					return errBroken
				}
				return nil
			})}
		}, err: errBroken, exact: &Counts{Read: 50, Accepted: 50}},
		{name: "sink breaks", set: func(s *setup) { s.sink.failAt = 42 }, err: errBroken, max: 99},
		{name: "sink breaks at the first row", set: func(s *setup) { s.sink.failAt = 1 }, err: errBroken, max: 99},
		{name: "sink breaks at the last row", set: func(s *setup) { s.sink.failAt = 100 }, err: errBroken, exact: &Counts{Read: 99, Accepted: 99}},
		{name: "sink forgets a row", set: func(s *setup) { s.sink.forget = 42 }, err: errAny, max: 99},
		{name: "sink forgets the last row", set: func(s *setup) { s.sink.forget = 100 }, err: errAny, exact: &Counts{Read: 99, Accepted: 99}},
		{name: "report breaks", set: func(s *setup) {
			s.o.Retire = func(b *record.Batch) error {
				if b.Rows[len(b.Rows)-1].Num > 40 {
					return errBroken
				}
				return nil
			}
		}, err: errBroken, min: 40, max: 100},
		{name: "cancelled before the start", set: func(s *setup) { s.cancel() }, err: errAny, exact: &Counts{}},
		{name: "cancelled on the way", set: func(s *setup) {
			s.sink.delay = func(int64) time.Duration { return time.Second }
			s.src.onNext = func(from int) {
				if from > 60 {
					s.cancel()
				}
			}
		}, err: errAny, max: 99},
		{name: "stopped before the start", set: func(s *setup) { close(s.stop) }, err: ErrStopped, exact: &Counts{}},
		{name: "stopped on the way", set: func(s *setup) {
			s.sink.delay = func(int64) time.Duration { return time.Second }
			s.src.onNext = func(from int) {
				if from == 61 {
					close(s.stop)
				}
			}
		}, err: ErrStopped, max: 99},
		{name: "limit inside a chunk", set: func(s *setup) { s.o.Limit = 33 }, commits: 1, exact: &Counts{Read: 33, Accepted: 33}},
		{name: "limit at the end of a chunk", set: func(s *setup) { s.o.Limit = 30 }, commits: 1, exact: &Counts{Read: 30, Accepted: 30}},
		{name: "limit of one", set: func(s *setup) { s.o.Limit = 1 }, commits: 1, exact: &Counts{Read: 1, Accepted: 1}},
		{name: "limit at the last row", set: func(s *setup) { s.o.Limit = 100 }, commits: 1, exact: &Counts{Read: 100, Accepted: 100}},
		{name: "limit beyond the end", set: func(s *setup) { s.o.Limit = 101 }, commits: 1, exact: &Counts{Read: 100, Accepted: 100}},
		{name: "limit before a fault in Decode", set: func(s *setup) { s.o.Limit = 33; s.src.failDecode = 38 }, commits: 1, exact: &Counts{Read: 33, Accepted: 33}},
		{name: "limit just before a fault in Next", set: func(s *setup) { s.o.Limit = 30; s.src.failNext = 31 }, commits: 1, exact: &Counts{Read: 30, Accepted: 30}},
		{name: "skip", set: func(s *setup) { s.o.Skip = 33 }, commits: 1, exact: &Counts{Read: 100, Skipped: 33, Accepted: 67}},
		{name: "skip of refused rows", set: func(s *setup) { s.o.Skip = 33; s.src.refuse = func(i int) bool { return i <= 50 } }, commits: 1,
			exact: &Counts{Read: 100, Skipped: 33, Rejected: 17, Accepted: 50}},
		{name: "skip and limit", set: func(s *setup) { s.o.Skip = 33; s.o.Limit = 20 }, commits: 1, exact: &Counts{Read: 53, Skipped: 33, Accepted: 20}},
		{name: "skip beyond the end", set: func(s *setup) { s.o.Skip = 1000 }, commits: 1, exact: &Counts{Read: 100, Skipped: 100}},
	}
	shapes := []Options{
		{Workers: 1}, {Workers: 4, Writers: 3}, {Workers: 4, Writers: 3, BatchSize: 1}, {Workers: 2, BatchSize: 7}, {Workers: 4, Writers: 2, BatchSize: 1000},
	}
	for _, tt := range tests {
		for _, shape := range shapes {
			t.Run(fmt.Sprintf("%s/%d workers, %d writers, batch size %d", tt.name, shape.Workers, shape.Writers, shape.BatchSize), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					s := &setup{src: &fakeSource{rows: 100, per: 10}, sink: &fakeSink{}, o: shape, cancel: cancel, stop: make(chan struct{})}
					var seen retired
					s.o.Retire = seen.take
					tt.set(s)
					s.o.Stop = s.stop
					counts, err := Run(ctx, s.src, s.steps, s.sink, s.o)
					switch {
					case tt.err == nil && err != nil, tt.err != nil && err == nil:
						t.Errorf("error = %v, want %v", err, tt.err)
					case tt.err != nil && tt.err != errAny && !errors.Is(err, tt.err):
						t.Errorf("error = %v, want %v", err, tt.err)
					}
					checkClosed(t, s.src, s.sink, tt.commits)
					checkSum(t, counts)
					if tt.exact != nil && counts != *tt.exact {
						t.Errorf("counts = %+v, want %+v", counts, *tt.exact)
					}
					if tt.exact == nil && (counts.Accepted < tt.min || counts.Accepted > tt.max) {
						t.Errorf("%d rows were accepted, want %d to %d", counts.Accepted, tt.min, tt.max)
					}
					if counts.Accepted != int64(len(s.sink.written)) {
						t.Errorf("%d rows were counted as accepted, and %d were written", counts.Accepted, len(s.sink.written))
					}
					slices.Sort(s.sink.written)
					if n := len(slices.Compact(s.sink.written)); n != int(counts.Accepted) {
						t.Errorf("only %d of the %d written rows are different ones", n, counts.Accepted)
					}
					if !slices.IsSorted(seen.nums) {
						t.Errorf("the rows were not reported in file order: %v", seen.nums)
					}
				})
			})
		}
	}
}

// errAny stands for any error.
var errAny = errors.New("any error")

func TestForgottenFateNamesTheRow(t *testing.T) {
	_, err := Run(t.Context(), &fakeSource{rows: 10, per: 5}, nil, &fakeSink{forget: 7}, Options{})
	if err == nil || !strings.Contains(err.Error(), "row 7") {
		t.Errorf("error = %v, want one that names row 7", err)
	}
}

// TestSourceFaultWaitsItsTurn breaks the source while the sink is slow: every row before the fault arrives.
func TestSourceFaultWaitsItsTurn(t *testing.T) {
	for _, size := range []int{0, 1, 3, 100} {
		synctest.Test(t, func(t *testing.T) {
			src := &fakeSource{rows: 1000, per: 10, failDecode: 506}
			sink := &fakeSink{delay: func(int64) time.Duration { return time.Second }}
			counts, err := Run(t.Context(), src, nil, sink, Options{Workers: 4, Writers: 3, BatchSize: size})
			if !errors.Is(err, errBroken) || counts != (Counts{Read: 505, Accepted: 505}) {
				t.Errorf("batch size %d: counts = %+v, error = %v", size, counts, err)
			}
			checkClosed(t, src, sink, 0)
		})
	}
}

// TestCloseErrors reports what goes wrong when the ends are closed, and at the commit.
func TestCloseErrors(t *testing.T) {
	for _, tt := range []struct{ source, sink, commit error }{
		{source: errBroken}, {sink: errBroken}, {commit: errBroken},
	} {
		_, err := Run(t.Context(), closeSource{&fakeSource{rows: 3, per: 3}, tt.source}, nil, closeSink{&fakeSink{}, tt.sink, tt.commit}, Options{})
		if !errors.Is(err, errBroken) {
			t.Errorf("%+v: error = %v", tt, err)
		}
	}
}

type closeSource struct {
	Source
	err error
}

func (s closeSource) Close() error { return errors.Join(s.err, s.Source.Close()) }

type closeSink struct {
	Sink
	err, commit error
}

func (s closeSink) Close() error { return errors.Join(s.err, s.Sink.Close()) }

func (s closeSink) Commit(ctx context.Context) error {
	return errors.Join(s.commit, s.Sink.Commit(ctx))
}

// TestCancelBreaksOffWrites cancels while a write hangs: Run returns, and the row has no fate.
func TestCancelBreaksOffWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		src, sink := &fakeSource{rows: 100, per: 10}, &fakeSink{blocked: make(chan struct{})}
		var seen retired
		time.AfterFunc(time.Hour, cancel)
		counts, err := Run(ctx, src, nil, sink, Options{Workers: 2, Writers: 2, BatchSize: 1, Retire: seen.take})
		if err == nil || counts != (Counts{}) {
			t.Errorf("counts = %+v, error = %v", counts, err)
		}
		for num, fate := range seen.fates {
			if !fate.Open() {
				t.Errorf("row %d is %v", num, fate)
			}
		}
		checkClosed(t, src, sink, 0)
	})
}

// TestStopLetsWritesFinish stops while writes are under way: they finish and are counted.
func TestStopLetsWritesFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		src, sink := &fakeSource{rows: 1000, per: 10}, &fakeSink{delay: func(int64) time.Duration { return time.Minute }}
		time.AfterFunc(90*time.Second, func() { close(stop) })
		counts, err := Run(t.Context(), src, nil, sink, Options{Workers: 2, Writers: 3, BatchSize: 1, Stop: stop})
		if !errors.Is(err, ErrStopped) {
			t.Errorf("error = %v", err)
		}
		// Three writes end after one minute; the three that follow are under way when the stop comes. What waits in
		// front of the writers by then may go too, no more.
		if counts.Accepted < 6 || counts.Accepted > 9 {
			t.Errorf("%d rows were accepted", counts.Accepted)
		}
		checkClosed(t, src, sink, 0)
	})
}

// TestBatchSizes counts the rows of each write.
func TestBatchSizes(t *testing.T) {
	third := func(i int) bool { return i%3 == 0 }
	tests := []struct {
		name            string
		rows, per, size int
		refuse          func(int) bool
		skip            int64
		want            []int
	}{
		{name: "chunks smaller than batches", rows: 2500, per: 64, size: 1000, want: []int{1000, 1000, 500}},
		{name: "chunks greater than batches", rows: 2500, per: 2100, size: 1000, want: []int{1000, 1000, 500}},
		{name: "chunks as great as batches", rows: 3000, per: 1000, size: 1000, want: []int{1000, 1000, 1000}},
		{name: "as the source cuts them", rows: 25, per: 10, size: 0, want: []int{10, 10, 5}},
		{name: "one by one", rows: 3, per: 10, size: 1, want: []int{1, 1, 1}},
		{name: "refused rows between", rows: 3750, per: 64, size: 1000, refuse: third, want: []int{1000, 1000, 500}},
		{name: "refused rows between, small batches", rows: 15, per: 4, size: 4, refuse: third, want: []int{4, 4, 2}},
		{name: "skipped rows", rows: 3500, per: 64, size: 1000, skip: 1000, want: []int{1000, 1000, 500}},
		{name: "only refused rows", rows: 5000, per: 64, size: 1000, refuse: func(int) bool { return true }, want: nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src, sink := &fakeSource{rows: tt.rows, per: tt.per, refuse: tt.refuse}, &fakeSink{}
			counts, err := Run(t.Context(), src, nil, sink, Options{Workers: 2, BatchSize: tt.size, Skip: tt.skip})
			if err != nil || counts.Read != int64(tt.rows) {
				t.Fatalf("counts = %+v, error = %v", counts, err)
			}
			if diff := cmp.Diff(tt.want, sink.sizes); diff != "" {
				t.Errorf("sizes of the writes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRefusedRowsDoNotPileUp bounds how many finished rows a batch carries along while it waits for work.
func TestRefusedRowsDoNotPileUp(t *testing.T) {
	const rows = 50_000
	tests := []struct {
		name string
		o    Options
		fate func(i int) bool
	}{
		{"all refused", Options{BatchSize: 10}, func(int) bool { return true }},
		{"one good row first", Options{BatchSize: 10}, func(i int) bool { return i > 1 }},
		{"one by one", Options{BatchSize: 1}, func(i int) bool { return i > 1 }},
		{"groups", Options{BatchSize: 10, Group: pairsOf(rows)}, func(int) bool { return true }},
		{"groups, a good one first", Options{BatchSize: 10, Group: pairsOf(rows)}, func(i int) bool { return i > 2 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			most := 0
			tt.o.Retire = func(b *record.Batch) error { most = max(most, len(b.Rows)); return nil }
			counts, err := Run(t.Context(), &fakeSource{rows: rows, per: 100, refuse: tt.fate}, nil, &fakeSink{}, tt.o)
			if err != nil || counts.Read != rows {
				t.Fatalf("counts = %+v, error = %v", counts, err)
			}
			if most > rows/10 {
				t.Errorf("%d of %d rows stood in one batch", most, rows)
			}
		})
	}
}

// TestKeys writes rows of few keys with many writers: two rows of one key are never written at the same time, and
// always in file order.
func TestKeys(t *testing.T) {
	for _, size := range []int{0, 1, 5} {
		t.Run(fmt.Sprintf("batch size %d", size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const rows = 2000
				var mu sync.Mutex
				random := rand.New(rand.NewPCG(3, 4))
				key := func(i int) string {
					if i%5 == 0 {
						return "" // on its own
					}
					return "key " + strconv.Itoa(i*7919%40)
				}
				src := &fakeSource{rows: rows, per: 3, key: key}
				last := map[string]int64{}
				sink := &keySink{begin: func(row *record.Row) error {
					mu.Lock()
					defer mu.Unlock()
					if k := row.Values[1].Text(); k != "" {
						if last[k] > row.Num {
							return fmt.Errorf("row %d comes after row %d of the same key", row.Num, last[k])
						}
						last[k] = row.Num
					}
					return nil
				}, delay: func() time.Duration {
					mu.Lock()
					defer mu.Unlock()
					return time.Duration(random.IntN(5000)) * time.Millisecond
				}, busy: map[string]int{}}
				o := Options{Workers: 4, Writers: 8, BatchSize: size, Key: func(row *record.Row) string { return row.Values[1].Text() }}
				counts, err := Run(t.Context(), src, nil, sink, o)
				if err != nil || counts.Accepted != rows {
					t.Errorf("counts = %+v, error = %v", counts, err)
				}
				if sink.most < 3 {
					t.Errorf("at most %d writes ran at the same time: the test shows nothing", sink.most)
				}
			})
		})
	}
}

// keySink fails if two writes that hold the same key overlap.
type keySink struct {
	begin func(*record.Row) error
	delay func() time.Duration

	mu     sync.Mutex
	busy   map[string]int
	active int
	most   int
}

func (s *keySink) Write(_ context.Context, b *record.Batch) error {
	keys := map[string]bool{}
	for i := range b.Rows {
		if k := b.Rows[i].Values[1].Text(); k != "" {
			keys[k] = true
		}
	}
	if err := s.enter(keys, 1); err != nil {
		return err
	}
	for i := range b.Rows {
		if err := s.begin(&b.Rows[i]); err != nil {
			return err
		}
		time.Sleep(s.delay())
		b.Rows[i].Accept("created", "")
	}
	return s.enter(keys, -1)
}

func (s *keySink) enter(keys map[string]bool, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active += n
	s.most = max(s.most, s.active)
	for k := range keys {
		if s.busy[k] += n; s.busy[k] > 1 {
			return fmt.Errorf("two writes hold %s at the same time", k)
		}
	}
	return nil
}

func (s *keySink) Commit(context.Context) error { return nil }
func (s *keySink) Close() error                 { return nil }

// TestRetireInOrder finishes writes in the wrong order: they are reported in file order all the same, from one
// goroutine.
func TestRetireInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rows = 500
		src := &fakeSource{rows: rows, per: 7, refuse: func(i int) bool { return i%11 == 0 }}
		sink := &fakeSink{delay: func(n int64) time.Duration { return time.Duration(n*7919%97) * time.Second }}
		var seen retired
		inside := false
		counts, err := Run(t.Context(), src, nil, sink, Options{Workers: 4, Writers: 8, BatchSize: 2, Retire: func(b *record.Batch) error {
			if inside {
				t.Error("Retire is called twice at the same time")
			}
			inside = true
			defer func() { inside = false }()
			time.Sleep(time.Second)
			return seen.take(b)
		}})
		if err != nil || counts.Read != rows {
			t.Fatalf("counts = %+v, error = %v", counts, err)
		}
		if slices.IsSorted(sink.written) {
			t.Error("the writes ended in file order: the test shows nothing")
		}
		for i, n := range seen.nums {
			if n != int64(i+1) {
				t.Fatalf("row %d was reported at place %d", n, i+1)
			}
		}
		if len(seen.nums) != rows {
			t.Errorf("%d rows were reported", len(seen.nums))
		}
	})
}

// TestRetireEndsAtItsError expects no further report once one has failed: a later row must not be reported before an
// earlier one.
func TestRetireEndsAtItsError(t *testing.T) {
	calls := 0
	counts, err := Run(t.Context(), &fakeSource{rows: 100, per: 10}, nil, &fakeSink{}, Options{Workers: 2, Retire: func(b *record.Batch) error {
		if b.Rows[0].Num > 30 {
			calls++
			return errBroken
		}
		return nil
	}})
	if !errors.Is(err, errBroken) || calls != 1 {
		t.Errorf("after its error Retire was called %d times more; error = %v, counts = %+v", calls-1, err, counts)
	}
}

// TestBoundedMemory lets the sink hang and counts how far the source is read.
func TestBoundedMemory(t *testing.T) {
	for _, o := range []Options{
		{Workers: 2}, {Workers: 4, Writers: 4}, {Workers: 4, Writers: 4, BatchSize: 1}, {Workers: 4, Writers: 2, BatchSize: 1000},
	} {
		synctest.Test(t, func(t *testing.T) {
			const per = 10
			release := make(chan struct{})
			src, sink := &fakeSource{rows: 1_000_000, per: per}, &fakeSink{blocked: release}
			read := 0
			src.onNext = func(from int) { read = from + per - 1 }
			stop := make(chan struct{})
			o.Stop = stop
			done := make(chan error)
			go func() {
				_, err := Run(t.Context(), src, nil, sink, o)
				done <- err
			}()
			synctest.Wait() // everything that can move has moved
			writers, workers := max(o.Writers, 1), o.Workers
			// Chunks: those between reader and arranger, one in the hands of each, and what the loads hold.
			chunks := 2*workers + workers + 3
			rows := chunks*per + (2*writers+writers+2)*max(o.BatchSize, per)
			if read > rows {
				t.Errorf("%+v: %d rows were read while the sink hung, want at most %d", o, read, rows)
			}
			close(stop)
			close(release)
			if err := <-done; !errors.Is(err, ErrStopped) {
				t.Errorf("error = %v", err)
			}
			checkClosed(t, src, sink, 0)
		})
	}
}

// TestHistory carries on a run: what is done is passed over, what is settled is reported, what is unknown comes in
// doubt.
func TestHistory(t *testing.T) {
	for _, size := range []int{0, 1, 4} {
		h := recallFunc(func(row *record.Row) Recall {
			switch {
			case row.Num <= 10:
				return Retired
			case row.Num <= 13:
				row.Accept("created", "id-"+strconv.FormatInt(row.Num, 10))
				return Settled
			case row.Num <= 15:
				return Unknown
			}
			return Fresh
		})
		var doubted []int64
		sink := &fakeSink{onRow: func(row *record.Row) {
			if row.Fate == record.Doubt {
				doubted = append(doubted, row.Num)
			}
		}}
		var seen retired
		counts, err := Run(t.Context(), &fakeSource{rows: 20, per: 6}, nil, sink, Options{BatchSize: size, History: h, Retire: seen.take})
		if err != nil || counts != (Counts{Read: 10, Accepted: 10}) {
			t.Errorf("batch size %d: counts = %+v, error = %v", size, counts, err)
		}
		if diff := cmp.Diff([]int64{14, 15}, doubted); diff != "" {
			t.Errorf("batch size %d: rows in doubt (-want +got):\n%s", size, diff)
		}
		if diff := cmp.Diff([]int64{14, 15, 16, 17, 18, 19, 20}, sink.written); diff != "" {
			t.Errorf("batch size %d: rows written (-want +got):\n%s", size, diff)
		}
		if diff := cmp.Diff([]int64{11, 12, 13, 14, 15, 16, 17, 18, 19, 20}, seen.nums); diff != "" {
			t.Errorf("batch size %d: rows reported (-want +got):\n%s", size, diff)
		}
	}
}

type recallFunc func(*record.Row) Recall

func (f recallFunc) Recall(row *record.Row) Recall { return f(row) }

// TestRefusedRowIsNotInDoubt keeps a row that is refused today out of the sink, also if its past is unknown.
func TestRefusedRowIsNotInDoubt(t *testing.T) {
	h := recallFunc(func(*record.Row) Recall { return Unknown })
	sink := &fakeSink{}
	counts, err := Run(t.Context(), &fakeSource{rows: 4, per: 2, refuse: func(i int) bool { return i == 2 }}, nil, sink, Options{History: h})
	if err != nil || counts != (Counts{Read: 4, Accepted: 3, Rejected: 1}) || slices.Contains(sink.written, 2) {
		t.Errorf("counts = %+v, error = %v, written %v", counts, err, sink.written)
	}
}

func TestCountsAdd(t *testing.T) {
	var c Counts
	for f := record.Pending; f <= record.Skipped; f++ {
		c.Add(f)
	}
	if want := (Counts{Read: 5, Accepted: 1, Rejected: 1, Unsure: 1, Unchanged: 1, Skipped: 1}); c != want {
		t.Errorf("counts = %+v, want %+v", c, want)
	}
}
