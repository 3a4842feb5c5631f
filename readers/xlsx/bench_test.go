package xlsx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"

	"github.com/xuri/excelize/v2"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// leads writes a workbook of leads, 20 columns wide, with its strings shared or in line.
func leads(tb testing.TB, rows int, shared bool) string {
	tb.Helper()
	sheet := newText(rows * 1200)
	var strs *text
	count := 0
	if shared {
		strs = newText(rows * 600)
	}
	str := func(ref, format string, args ...any) {
		s := fmt.Sprintf(format, args...)
		if !shared {
			sheet.add(`<c r="%s" t="inlineStr"><is><t>%s</t></is></c>`, ref, s)
			return
		}
		sheet.add(`<c r="%s" t="s"><v>%d</v></c>`, ref, count)
		strs.add(`<si><t>%s</t></si>`, s)
		count++
	}
	for row := 1; row <= rows+1; row++ {
		sheet.add(`<row r="%d">`, row)
		for col := range 20 {
			ref := fmt.Sprintf("%s%d", record.ColumnName(col), row)
			switch {
			case row == 1:
				str(ref, "column %d", col+1)
			case col%7 == 3:
				sheet.add(`<c r="%s"><v>%d</v></c>`, ref, 1000*(row%900+1)+col)
			case col == 17:
				sheet.add(`<c r="%s" s="1"><v>%d.%d</v></c>`, ref, 40000+row%4000, row%1000)
			default:
				str(ref, "Zoë %d of a middling length %d", row*31%977, row)
			}
		}
		sheet.add(`</row>`)
	}
	b := parts{sheet: sheet.String(), formats: []string{"yyyy\\-mm\\-dd hh:mm"}}
	if shared {
		b.strings = strs.String()
	}
	path := filepath.Join(tb.TempDir(), "leads.xlsx")
	b.write(tb, path)
	return path
}

const benchRows = 20_000

// drain reads a workbook as the engine does, with two goroutines that decode.
func drain(tb testing.TB, path string) int {
	r, err := Open(path, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	chunks := make(chan *pipeline.Chunk, 4)
	free := make(chan *pipeline.Chunk, 8)
	for range cap(free) {
		free <- &pipeline.Chunk{}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	rows := 0
	for range 2 {
		wg.Go(func() {
			for c := range chunks {
				var b record.Batch
				if err := r.Decode(c, &b); err != nil {
					tb.Error(err)
				}
				free <- c
				mu.Lock()
				rows += len(b.Rows)
				mu.Unlock()
			}
		})
	}
	for {
		c := <-free
		err := r.Next(context.Background(), c)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			tb.Fatal(err)
		}
		chunks <- c
	}
	close(chunks)
	wg.Wait()
	return rows
}

func BenchmarkRead(b *testing.B) {
	for _, shared := range []bool{false, true} {
		path := leads(b, benchRows, shared)
		b.Run(fmt.Sprintf("shared=%v", shared), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n := drain(b, path); n != benchRows {
					b.Fatalf("%d rows", n)
				}
			}
			b.ReportMetric(float64(benchRows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	r, err := Open(leads(b, 2000, false), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var c pipeline.Chunk
	if err := r.Next(b.Context(), &c); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(c.Data)))
	rows := 0
	b.ReportAllocs()
	for b.Loop() {
		var batch record.Batch
		if err := r.Decode(&c, &batch); err != nil {
			b.Fatal(err)
		}
		rows += len(batch.Rows)
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkExcelize is what there is to beat.
func BenchmarkExcelize(b *testing.B) {
	for _, shared := range []bool{false, true} {
		path := leads(b, benchRows, shared)
		b.Run(fmt.Sprintf("shared=%v", shared), func(b *testing.B) {
			for b.Loop() {
				if n := excelizeRows(b, path); n != benchRows+1 {
					b.Fatalf("%d rows", n)
				}
			}
			b.ReportMetric(float64(benchRows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func excelizeRows(tb testing.TB, path string) int {
	f, err := excelize.OpenFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rows, err := f.Rows("Sheet1")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	n := 0
	for rows.Next() {
		if _, err := rows.Columns(excelize.Options{RawCellValue: true}); err != nil {
			tb.Fatal(err)
		}
		n++
	}
	return n
}
