package xlsx

import (
	"archive/zip"
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

var long = flag.Bool("long", false, "run the tests that take minutes: a million rows, the race with excelize")

func needsLong(t *testing.T) {
	t.Helper()
	if !*long {
		t.Skip("it takes minutes: pass -long")
	}
}

// million writes a workbook of many rows with 20 columns, and never holds much of it. Six columns have texts of their
// own, eight share a few, and six have numbers.
func million(tb testing.TB, rows int, shared bool) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "million.xlsx")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	z := zip.NewWriter(f)
	const few = 1000
	p := parts{strings: " "}
	if !shared {
		p = parts{}
	}
	files := p.files()
	for _, name := range sortedKeys(files) {
		part, err := z.Create(name)
		if err != nil {
			tb.Fatal(err)
		}
		w := bufio.NewWriterSize(part, 1<<20)
		switch name {
		case "xl/worksheets/sheet1.xml":
			sheetOf(w, rows, few, shared)
		case "xl/sharedStrings.xml":
			_, _ = io.WriteString(w, `<sst>`)
			for i := range few + 6*rows {
				_, _ = fmt.Fprintf(w, `<si><t>%s</t></si>`, textOf(i, few))
			}
			_, _ = io.WriteString(w, `</sst>`)
		default:
			_, _ = io.WriteString(w, files[name])
		}
		if err := w.Flush(); err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

// textOf is shared string i.
func textOf(i, few int) string {
	if i < few {
		return fmt.Sprintf("Łódź, as often %d", i)
	}
	return fmt.Sprintf("text %d of its own", i*7919)
}

func sheetOf(w *bufio.Writer, rows, few int, shared bool) {
	_, _ = w.WriteString(`<worksheet><sheetData>`)
	for row := range rows + 1 {
		_, _ = fmt.Fprintf(w, `<row r="%d">`, row+1)
		for col := range 20 {
			ref := record.ColumnName(col)
			i := few + 6*(row-1) + col
			if col >= 6 {
				i = (row*31 + col*7) % few
			}
			switch {
			case row == 0:
				_, _ = fmt.Fprintf(w, `<c r="%s1" t="str"><v>column %d</v></c>`, ref, col)
			case col >= 14:
				_, _ = fmt.Fprintf(w, `<c r="%s%d"><v>%d</v></c>`, ref, row+1, row*col)
			case shared:
				_, _ = fmt.Fprintf(w, `<c r="%s%d" t="s"><v>%d</v></c>`, ref, row+1, i)
			default:
				_, _ = fmt.Fprintf(w, `<c r="%s%d" t="inlineStr"><is><t>%s</t></is></c>`, ref, row+1, textOf(i, few))
			}
		}
		_, _ = w.WriteString(`</row>`)
	}
	_, _ = w.WriteString(`</sheetData></worksheet>`)
}

// TestMillionRows reads a long sheet in little memory, and every cell of it right.
func TestMillionRows(t *testing.T) {
	needsLong(t)
	const rows, few = 1_000_000, 1000
	for _, shared := range []bool{false, true} {
		path := million(t, rows, shared)
		peak := watchMemory(t)
		n := 0
		err := each(path, Options{}, func(r *record.Row) error {
			n++
			for col, v := range r.Values {
				i := few + 6*(n-1) + col
				if col >= 6 {
					i = (n*31 + col*7) % few
				}
				want := fmt.Sprint(n * col)
				if col < 14 {
					want = textOf(i, few)
				}
				if v.Text() != want {
					return fmt.Errorf("row %d, column %d is %q, want %q", n, col, v.Text(), want)
				}
			}
			return nil
		})
		mb := peak()
		if err != nil || n != rows {
			t.Errorf("%d rows of %d, %v", n, rows, err)
		}
		t.Logf("shared %v: %d MiB of heap", shared, mb)
		if mb > 32 {
			t.Errorf("shared %v: %d MiB of heap were in use", shared, mb)
		}
	}
}

// TestFasterThanExcelize races with it, by turns in the same run.
func TestFasterThanExcelize(t *testing.T) {
	needsLong(t)
	for _, shared := range []bool{false, true} {
		path := leads(t, benchRows, shared)
		ours, theirs := time.Hour, time.Hour
		for range 3 {
			began := time.Now()
			drain(t, path)
			ours = min(ours, time.Since(began))
			began = time.Now()
			excelizeRows(t, path)
			theirs = min(theirs, time.Since(began))
		}
		ratio := theirs.Seconds() / ours.Seconds()
		t.Logf("shared %v: %v against %v, %.1f times as fast", shared, ours, theirs, ratio)
		if ratio < 8 {
			t.Errorf("shared %v: only %.1f times as fast as excelize", shared, ratio)
		}
	}
}

// TestAllocations counts what Decode allocates: a few blocks a chunk and next to nothing for each row.
func TestAllocations(t *testing.T) {
	for _, shared := range []bool{false, true} {
		r, err := Open(leads(t, 2000, shared), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var c pipeline.Chunk
		if err := r.Next(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
		rows := 0
		n := testing.AllocsPerRun(20, func() {
			var b record.Batch
			if err := r.Decode(&c, &b); err != nil {
				t.Fatal(err)
			}
			rows = len(b.Rows)
		})
		t.Logf("shared %v: %.2f allocations a row", shared, n/float64(rows))
		if n > 0.3*float64(rows) {
			t.Errorf("shared %v: %.0f allocations for %d rows", shared, n, rows)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestManySheets opens a workbook of ten thousand sheets, and one whose list of them has no end.
func TestManySheets(t *testing.T) {
	for n, says := range map[int]string{10_000: "", maxSheets + 1: "has more than 100000 sheets"} {
		b := newText(0)
		for i := range n {
			b.add(`<sheet name="s%d" sheetId="%d" r:id="rId1"/>`, i, i)
		}
		p := parts{sheet: grid(map[int][]string{1: {"a"}, 2: {"1"}}), whole: map[string]string{"xl/workbook.xml": `<workbook xmlns:r="r"><sheets>` + b.String() + `</sheets></workbook>`}}
		began := time.Now()
		lines, err := outline(p.file(t), Options{Sheet: "s9999"})
		switch {
		case says == "" && (err != nil || strings.Join(lines, " ") != "a 2: 1"):
			t.Errorf("%d sheets: %q, %v", n, lines, err)
		case says != "" && (err == nil || !strings.Contains(err.Error(), says)):
			t.Errorf("%d sheets: %v, want %s", n, err, says)
		case time.Since(began) > 5*time.Second:
			t.Errorf("%d sheets took %v", n, time.Since(began))
		}
	}
}
