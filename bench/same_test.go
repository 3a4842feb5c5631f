//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// TestSameWithAnyWorkers runs the same file with one worker and with many, and the work of a row must not hang on it: what
// is written, in which order, which rows are refused, in which line they stand and why.
func TestSameWithAnyWorkers(t *testing.T) {
	for name, text := range map[string]string{"W1": mappingW1, "W2": mappingW2} {
		t.Run(name, func(t *testing.T) {
			run := func(workers int) (out string, rejects []string, counts pipeline.Counts) {
				var b bytes.Buffer
				w := newWork(t, text, &b)
				// Rows with too few cells, too many, and text after a closing quote are refused as they are read.
				w.data = bytes.Replace(w.data, []byte("\nL10000003,"), []byte("\nshort,row\nlong"+string(bytes.Repeat([]byte(",x"), 30))+"\n\"stray\"x,,,,,,,,,,,,,,,,,,,\nL10000003,"), 1)
				var last int64
				counts, err := pipeline.Run(context.Background(), w.open(t), w.steps(), w.encode, pipeline.Options{Workers: workers, Retire: func(b *record.Batch) error {
					for i := range b.Rows {
						row := &b.Rows[i]
						if last++; row.Num != last {
							return fmt.Errorf("row %d came after row %d", row.Num, last-1)
						}
						if row.Fate == record.Rejected {
							rejects = append(rejects, fmt.Sprintf("%d %d %s %v", row.Num, row.Line, row.Origin[0].Text(), row.Err))
						}
					}
					return nil
				}})
				if err != nil {
					t.Fatal(err)
				}
				return b.String(), rejects, counts
			}
			out, rejects, counts := run(1)
			if counts.Read != testRows+3 || len(rejects) < 3 || int64(bytes.Count([]byte(out), []byte{'\n'})) != counts.Accepted {
				t.Fatalf("counts %+v, %d rejects", counts, len(rejects))
			}
			for _, workers := range []int{2, 8, 2 * runtime.GOMAXPROCS(0)} {
				got, bad, c := run(workers)
				if got != out {
					t.Errorf("%d workers: the output differs", workers)
				}
				if diff := cmp.Diff(rejects, bad); diff != "" {
					t.Errorf("%d workers (-1 worker):\n%s", workers, diff)
				}
				if c != counts {
					t.Errorf("%d workers: %+v, want %+v", workers, c, counts)
				}
			}
		})
	}
}

// TestAllocations keeps the whole way of a row, engine and all, below two allocations.
func TestAllocations(t *testing.T) {
	for name, text := range map[string]string{"W1": mappingW1, "W2": mappingW2} {
		var b bytes.Buffer
		w := newWork(t, text, &b)
		n := testing.AllocsPerRun(3, func() {
			b.Reset()
			if _, err := pipeline.Run(context.Background(), w.open(t), w.steps(), w.encode, pipeline.Options{}); err != nil {
				t.Fatal(err)
			}
		})
		t.Logf("%s: %.3f allocations a row", name, n/testRows)
		if n/testRows > 2 {
			t.Errorf("%s: %.2f allocations a row, 2 are allowed", name, n/testRows)
		}
	}
}
