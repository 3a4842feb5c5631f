package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/record"
)

// groupSink notes the records that it is given, each as the numbers of its rows.
type groupSink struct {
	fakeSink
	records []string
}

func (s *groupSink) Write(ctx context.Context, b *record.Batch) error {
	var group int64
	for i := range b.Rows {
		row := &b.Rows[i]
		if !row.Fate.Open() {
			continue
		}
		n := strconv.FormatInt(row.Num, 10)
		if row.Group != 0 && row.Group == group {
			s.records[len(s.records)-1] += " " + n
		} else {
			s.records = append(s.records, n)
		}
		group = row.Group
	}
	return s.fakeSink.Write(ctx, b)
}

// grouping reads keys from a text, one letter a row; "." stands for no key.
func grouping(text string) (*fakeSource, *Grouping) {
	last := map[string]int64{}
	for i, c := range text {
		last[string(c)] = int64(i + 1)
	}
	src := &fakeSource{rows: len(text), per: 3, key: func(i int) string { return strings.TrimPrefix(text[i-1:i], ".") }}
	return src, &Grouping{
		Key:  func(row *record.Row) string { return row.Values[1].Text() },
		Last: func(key string) int64 { return last[key] },
	}
}

func TestGroups(t *testing.T) {
	tests := []struct {
		name    string
		rows    string
		size    int
		refuse  []int
		skip    int64
		limit   int64
		history recallFunc
		want    []string // records, in the order of their ends
		sizes   []int    // open rows of each write
		counts  Counts
	}{
		{name: "one after the other", rows: "aabbb", size: 10, want: []string{"1 2", "3 4 5"}, sizes: []int{5}, counts: Counts{Read: 5, Accepted: 5}},
		{name: "interleaved", rows: "abacb.c", size: 10, want: []string{"1 3", "2 5", "6", "4 7"}, sizes: []int{7}, counts: Counts{Read: 7, Accepted: 7}},
		{name: "a record a write", rows: "abacb.c", size: 1, want: []string{"1 3", "2 5", "6", "4 7"}, sizes: []int{2, 2, 1, 2}, counts: Counts{Read: 7, Accepted: 7}},
		{name: "batches count records, not rows", rows: "aaabbbccc.", size: 2, want: []string{"1 2 3", "4 5 6", "7 8 9", "10"}, sizes: []int{6, 4}, counts: Counts{Read: 10, Accepted: 10}},
		{name: "without a batch size", rows: "aab", want: []string{"1 2", "3"}, sizes: []int{2, 1}, counts: Counts{Read: 3, Accepted: 3}},
		{name: "rows without key", rows: "...", size: 2, want: []string{"1", "2", "3"}, sizes: []int{2, 1}, counts: Counts{Read: 3, Accepted: 3}},
		{name: "a refused member refuses its group", rows: "abacb", size: 10, refuse: []int{3}, want: []string{"4", "2 5"}, sizes: []int{3}, counts: Counts{Read: 5, Accepted: 3, Rejected: 2}},
		{name: "a refused first member", rows: "aab", size: 1, refuse: []int{1}, want: []string{"3"}, sizes: []int{1}, counts: Counts{Read: 3, Accepted: 1, Rejected: 2}},
		{name: "a refused last member", rows: "aab", size: 1, refuse: []int{2}, want: []string{"3"}, sizes: []int{1}, counts: Counts{Read: 3, Accepted: 1, Rejected: 2}},
		{name: "limit inside a group", rows: "abaabb", size: 10, limit: 4, want: []string{"1 3 4"}, sizes: []int{3}, counts: Counts{Read: 3, Accepted: 3}},
		{name: "limit at the end of a group", rows: "aabb", size: 10, limit: 2, want: []string{"1 2"}, sizes: []int{2}, counts: Counts{Read: 2, Accepted: 2}},
		{name: "settled group", rows: "aabb", size: 10, history: func(row *record.Row) Recall {
			if row.Num <= 2 {
				row.Accept("sent", "")
				return Settled
			}
			return Fresh
		}, want: []string{"3 4"}, sizes: []int{2}, counts: Counts{Read: 4, Accepted: 4}},
		{name: "retired group", rows: "abab", size: 10, history: func(row *record.Row) Recall {
			if row.Num%2 == 1 {
				return Retired
			}
			return Fresh
		}, want: []string{"2 4"}, sizes: []int{2}, counts: Counts{Read: 2, Accepted: 2}},
		{name: "group in doubt", rows: "aab", size: 10, history: func(row *record.Row) Recall {
			if row.Num <= 2 {
				return Unknown
			}
			return Fresh
		}, want: []string{"1 2", "3"}, sizes: []int{3}, counts: Counts{Read: 3, Accepted: 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src, g := grouping(tt.rows)
			src.refuse = func(i int) bool {
				for _, r := range tt.refuse {
					if r == i {
						return true
					}
				}
				return false
			}
			sink := &groupSink{}
			var seen retired
			o := Options{BatchSize: tt.size, Group: g, Skip: tt.skip, Limit: tt.limit, Retire: seen.take}
			if tt.history != nil {
				o.History = tt.history
			}
			counts, err := Run(t.Context(), src, nil, sink, o)
			if err != nil {
				t.Fatal(err)
			}
			if counts != tt.counts {
				t.Errorf("counts = %+v, want %+v", counts, tt.counts)
			}
			if diff := cmp.Diff(tt.want, sink.records); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.sizes, sink.sizes); diff != "" {
				t.Errorf("rows of the writes (-want +got):\n%s", diff)
			}
			if int64(len(seen.nums)) != counts.Read {
				t.Errorf("%d rows were reported and %d counted", len(seen.nums), counts.Read)
			}
		})
	}
}

// TestRejectedGroupSaysWhy names the member that is to blame on the others.
func TestRejectedGroupSaysWhy(t *testing.T) {
	src, g := grouping("aaa")
	src.refuse = func(i int) bool { return i == 2 }
	errs := map[int64]string{}
	_, err := Run(t.Context(), src, nil, &fakeSink{}, Options{Group: g, Retire: func(b *record.Batch) error {
		for i := range b.Rows {
			errs[b.Rows[i].Num] = record.ProblemsOf(b.Rows[i].Err)[0].Rule + " " + b.Rows[i].Err.Error()
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for num, want := range map[int64]string{1: "group row 2 ", 2: "test num: is refused", 3: "group row 2 "} {
		if !strings.HasPrefix(errs[num], want) {
			t.Errorf("row %d: %q, want %q …", num, errs[num], want)
		}
	}
}

// TestPartlyRetiredGroup carries on a run that died between the reports of two rows of one refused group: what is
// left of the group must not be sent as if it were a whole record.
func TestPartlyRetiredGroup(t *testing.T) {
	for name, retiredRow := range map[string]int64{"first row": 1, "last row": 3} {
		t.Run(name, func(t *testing.T) {
			src, g := grouping("aaab")
			src.refuse = func(i int) bool { return i == int(retiredRow) }
			sink := &groupSink{}
			h := recallFunc(func(row *record.Row) Recall {
				if row.Num == retiredRow {
					return Retired
				}
				return Fresh
			})
			counts, err := Run(t.Context(), src, nil, sink, Options{BatchSize: 10, Group: g, History: h})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"4"}, sink.records); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if want := (Counts{Read: 3, Accepted: 1, Rejected: 2}); counts != want {
				t.Errorf("counts = %+v, want %+v", counts, want)
			}
		})
	}
}

func TestGroupThatNeverEnds(t *testing.T) {
	src, g := grouping("aab")
	g.Last = func(string) int64 { return 100 }
	sink := &fakeSink{}
	_, err := Run(t.Context(), src, nil, sink, Options{Group: g})
	if err == nil || !strings.Contains(err.Error(), "the file changed while it was read") {
		t.Errorf("error = %v", err)
	}
	checkClosed(t, src, sink, 0)
}

func TestTooManyOpenGroups(t *testing.T) {
	src := &fakeSource{rows: 1000, per: 10, key: func(i int) string { return strconv.Itoa(i % 100) }}
	g := &Grouping{
		Key:     func(row *record.Row) string { return row.Values[1].Text() },
		Last:    func(key string) int64 { n, _ := strconv.Atoi(key); return int64(900 + n) },
		MaxOpen: 250,
	}
	sink := &fakeSink{}
	_, err := Run(t.Context(), src, nil, sink, Options{Group: g})
	if err == nil || !strings.Contains(err.Error(), "row 251") || !strings.Contains(err.Error(), "sort the file") {
		t.Errorf("error = %v", err)
	}
	if len(sink.written) > 0 {
		t.Errorf("%d rows were written", len(sink.written))
	}
	checkClosed(t, src, sink, 0)
}

// TestStoppedBetweenGroups stops, or cancels, while groups are open: that is no change of the file.
func TestStoppedBetweenGroups(t *testing.T) {
	for _, how := range []string{"stop", "cancel", "cancel while reading"} {
		for from := 1; from <= 100; from += 9 {
			t.Run(fmt.Sprintf("%s at row %d", how, from), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					stop := make(chan struct{})
					src := &fakeSource{rows: 100, per: 9, key: func(i int) string { return strconv.Itoa(i % 50) }}
					src.onNext = func(f int) {
						if f != from {
							return
						}
						switch how {
						case "stop":
							close(stop)
						case "cancel":
							cancel()
						default:
							time.Sleep(time.Second) // what was read before has gone through
							cancel()
						}
					}
					g := &Grouping{
						Key:  func(row *record.Row) string { return row.Values[1].Text() },
						Last: func(key string) int64 { n, _ := strconv.Atoi(key); return int64(100 - (50-n)%50) },
					}
					sink := &fakeSink{delay: func(int64) time.Duration { return time.Millisecond }}
					_, err := Run(ctx, src, nil, sink, Options{Workers: 2, Group: g, BatchSize: 1, Stop: stop})
					if !errors.Is(err, ErrStopped) && !errors.Is(err, context.Canceled) {
						t.Errorf("error = %v", err)
					}
					checkClosed(t, src, sink, 0)
				})
			})
		}
	}
}
