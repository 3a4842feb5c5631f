package xlsx

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/xuri/excelize/v2"

	"github.com/crmetl/crmetl/record"
)

// leads makes a batch of n rows of 20 columns, as a CRM has them.
func leads(n int) *record.Batch {
	names := []string{"id", "first_name", "last_name", "company", "email", "phone", "street", "city", "state", "postal_code",
		"country", "title", "industry", "employees", "annual_revenue", "lead_source", "status", "created_at", "score", "notes"}
	words := []string{"Zoë", "Müller", "Acme & Co", "田中", "called", "left voicemail", "<asap>", "Königsallee", "San Francisco", "budget approved", "needs demo", "Olivia", "Иванов"}
	r := rand.New(rand.NewPCG(1, 2))
	b := batch(record.LooseHeader(names))
	for i := range n {
		row := b.Add()
		row.Num = int64(i + 1)
		row.Values = b.Cells(len(names))
		for k := range names {
			switch k {
			case 0, 13, 18:
				row.Values[k] = record.NumberOf(fmt.Sprint(r.IntN(1_000_000)))
			case 14:
				row.Values[k] = record.NumberOf(fmt.Sprintf("%d.%02d", r.IntN(10_000_000), r.IntN(100)))
			case 4:
				row.Values[k] = record.TextOf(fmt.Sprintf("user%d@example%d.com", i, r.IntN(9)))
			case 5:
				row.Values[k] = record.TextOf(fmt.Sprintf("+1 555 %07d", r.IntN(10_000_000)))
			case 17:
				row.Values[k] = record.Of(record.DateTime, fmt.Sprintf("20%02d-%02d-%02dT%02d:%02d:%02dZ", 10+r.IntN(15), 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60)))
			case 19:
				s := ""
				for range 6 + r.IntN(8) {
					s += words[r.IntN(len(words))] + " "
				}
				row.Values[k] = record.TextOf(s)
			default:
				row.Values[k] = record.TextOf(words[r.IntN(len(words))])
			}
		}
	}
	return b
}

// BenchmarkLeads writes 20 columns, and the same by excelize's StreamWriter.
func BenchmarkLeads(b *testing.B) {
	all := leads(20_000)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := byUs(io.Discard, all); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(all.Rows)*b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("excelize", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := byExcelize(io.Discard, all); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(all.Rows)*b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}

// byExcelize writes texts as texts and numbers as numbers with excelize's StreamWriter.
func byExcelize(out io.Writer, all *record.Batch) error {
	f := excelize.NewFile()
	defer func() { _ = f.Close() }()
	w, err := f.NewStreamWriter("Sheet1")
	if err != nil {
		return err
	}
	cells := make([]any, all.Header.Len())
	for k := range cells {
		cells[k] = all.Header.Name(k)
	}
	if err := w.SetRow("A1", cells); err != nil {
		return err
	}
	for i := range all.Rows {
		for k, v := range all.Rows[i].Values {
			cells[k] = v.Text()
			if v.Kind() == record.Number {
				n, err := strconv.ParseFloat(v.Text(), 64)
				if err != nil {
					return err
				}
				cells[k] = n
			}
		}
		cell, err := excelize.CoordinatesToCellName(1, i+2)
		if err != nil {
			return err
		}
		if err := w.SetRow(cell, cells); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Write(out)
}

// TestAllocations bounds what a row costs.
func TestAllocations(t *testing.T) {
	const size = 500
	b := leads(size)
	w, err := New(io.Discard, Options{Header: b.Header})
	if err != nil {
		t.Fatal(err)
	}
	per := testing.AllocsPerRun(20, func() {
		for i := range b.Rows {
			b.Rows[i].Fate = record.Pending
		}
		if err := w.Write(t.Context(), b); err != nil {
			t.Error(err)
		}
	}) / size
	if per > 0.5 {
		t.Errorf("%.2f allocations a row", per)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// byUs writes rows as an export does, batch by batch.
func byUs(out io.Writer, all *record.Batch) error {
	const size = 500
	w, err := New(out, Options{Header: all.Header})
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	for i := 0; i < len(all.Rows); i += size {
		part := &record.Batch{Header: all.Header, Rows: all.Rows[i:min(i+size, len(all.Rows))]}
		for k := range part.Rows {
			part.Rows[k].Fate = record.Pending
		}
		if err := w.Write(context.Background(), part); err != nil {
			return err
		}
	}
	return w.Commit(context.Background())
}
