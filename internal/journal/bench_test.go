package journal

import (
	"sync"
	"testing"

	"github.com/crmetl/crmetl/record"
)

// BenchmarkSending measures durable calls a second on the machine's own disk, with four callers.
func BenchmarkSending(b *testing.B) {
	for _, callers := range []int{1, 4, 16} {
		b.Run(map[int]string{1: "1caller", 4: "4callers", 16: "16callers"}[callers], func(b *testing.B) {
			j, err := Create(b.TempDir(), Spec{Run: "bench"})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = j.Close() }()
			b.ResetTimer()
			var wg sync.WaitGroup
			for c := range callers {
				wg.Go(func() {
					for i := c; i < b.N; i += callers {
						row := &record.Row{Num: int64(i + 1)}
						call, err := j.Sending("POST /customers", row)
						if err != nil {
							b.Error(err)
							return
						}
						row.Accept("created", "id")
						if err := j.Settled(call, "201", row); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

// BenchmarkBatch measures calls that carry 1000 rows each.
func BenchmarkBatch(b *testing.B) {
	j, err := Create(b.TempDir(), Spec{Run: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	rows := make([]*record.Row, 1000)
	for i := range rows {
		rows[i] = &record.Row{}
	}
	n := int64(0)
	before := j.written
	for b.Loop() {
		for _, r := range rows {
			n++
			*r = record.Row{Num: n}
		}
		call, err := j.Sending("PUT /relateddata", rows...)
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range rows {
			r.Accept("accepted", "")
		}
		if err := j.Settled(call, "200", rows...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(j.written-before)/float64(n), "B/row")
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}
