package pipeline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/crmetl/crmetl/record"
)

// restless gives way at random places, so that workers meet in every order.
type restless struct{ fakeSource }

func giveWay() {
	for range rand.IntN(4) {
		runtime.Gosched()
	}
}

func (s *restless) Next(ctx context.Context, c *Chunk) error {
	giveWay()
	return s.fakeSource.Next(ctx, c)
}

func (s *restless) Decode(c *Chunk, b *record.Batch) error {
	giveWay()
	err := s.fakeSource.Decode(c, b)
	giveWay()
	return err
}

// TestNobodyIsForgotten runs many short pipelines: a worker that waits for a piece which nobody reads would wait for ever.
func TestNobodyIsForgotten(t *testing.T) {
	runs := 300
	if testing.Short() {
		runs = 60
	}
	for _, workers := range []int{1, 2, 3, 8} {
		for _, writers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%d workers, %d writers", workers, writers), func(t *testing.T) {
				for i := range runs {
					src := &restless{fakeSource{rows: 60 + i%7, per: 1 + i%3}}
					var last int64
					counts, err := Run(t.Context(), src, nil, &fakeSink{onRow: func(*record.Row) { giveWay() }}, Options{
						Workers: workers, Writers: writers, BatchSize: i % 3,
						Retire: func(b *record.Batch) error {
							for j := range b.Rows {
								if last++; b.Rows[j].Num != last {
									return fmt.Errorf("row %d was reported in place of row %d", b.Rows[j].Num, last)
								}
							}
							return nil
						},
					})
					if err != nil || counts.Accepted != int64(src.rows) {
						t.Fatalf("run %d: %+v, error %v; want %d accepted", i, counts, err, src.rows)
					}
				}
			})
		}
	}
}
