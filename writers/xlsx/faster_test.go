//go:build !race

package xlsx

import (
	"io"
	"testing"
	"time"

	"github.com/crmetl/crmetl/record"
)

// TestFaster holds the speed against excelize's StreamWriter, in turns. What it asks for is far below what is measured on
// a machine that has nothing else to do.
func TestFaster(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time")
	}
	all := leads(8000) // enough to make what a workbook costs by itself small
	best := [2]time.Duration{time.Hour, time.Hour}
	for range 3 {
		for i, write := range []func(io.Writer, *record.Batch) error{byUs, byExcelize} {
			begin := time.Now()
			if err := write(io.Discard, all); err != nil {
				t.Fatal(err)
			}
			best[i] = min(best[i], time.Since(begin))
		}
	}
	ratio := float64(best[1]) / float64(best[0])
	t.Logf("%.1f times as fast", ratio)
	if ratio < 2 {
		t.Errorf("%v for %d rows, excelize %v: %.1f times as fast, want 2 at least", best[0], len(all.Rows), best[1], ratio)
	}
}
