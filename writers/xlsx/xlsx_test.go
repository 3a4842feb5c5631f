package xlsx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"

	reader "github.com/crmetl/crmetl/readers/xlsx"
)

var _ pipeline.Sink = (*Writer)(nil)

// write makes a workbook of rows and returns its path.
func write(t *testing.T, o Options, limit int, batches ...*record.Batch) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.xlsx")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := New(f, o)
	if err != nil {
		t.Fatal(err)
	}
	if limit > 0 {
		w.limit = limit
	}
	for _, b := range batches {
		if err := w.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Commit(t.Context()), w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func batch(h *record.Header, rows ...[]record.Value) *record.Batch {
	b := &record.Batch{Header: h, Origin: h}
	for i, values := range rows {
		r := b.Add()
		r.Num = int64(i + 1)
		r.Values = values
	}
	return b
}

// read returns what our reader sees.
func read(t *testing.T, path string, o reader.Options) (header []string, rows [][]record.Value) {
	t.Helper()
	r, err := reader.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var c pipeline.Chunk
	for r.Next(t.Context(), &c) == nil {
		var b record.Batch
		if err := r.Decode(&c, &b); err != nil {
			t.Fatal(err)
		}
		for _, row := range b.Rows {
			if row.Err != nil {
				t.Fatal(row.Err)
			}
			rows = append(rows, row.Values)
		}
	}
	return r.Header().Names(), rows
}

func header(n int) *record.Header {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("column %d", i+1)
	}
	return record.LooseHeader(names)
}

var sameValue = cmp.Comparer(func(a, b record.Value) bool { return a == b })

func TestValues(t *testing.T) {
	text := record.TextOf
	of := record.Of
	num := record.NumberOf
	cases := []struct {
		name     string
		in, want record.Value
	}{
		{"text", text("Ada"), text("Ada")},
		{"text that looks like a number", text("00123"), text("00123")},
		{"a phone number", text("+971501234567"), text("+971501234567")},
		{"a formula", text("=cmd|' /C calc'!A0"), text("=cmd|' /C calc'!A0")},
		{"blanks at the ends", text("  a \n"), text("  a \n")},
		{"a lone blank", text(" "), text(" ")},
		{"line ends", text("a\r\nb\rc\nd\te"), text("a\r\nb\rc\nd\te")},
		{"markup", text(`<a href="x">&amp;]]></a>`), text(`<a href="x">&amp;]]></a>`)},
		{"control characters", text("a\x00\x01\x1fb\x7f"), text("a\x00\x01\x1fb\x7f")},
		{"noncharacters", text("a\ufffe\uffff"), text("a\ufffe\uffff")},
		{"what looks escaped", text("_x0041_ _x005F_ _x000D_"), text("_x0041_ _x005F_ _x000D_")},
		{"what looks escaped, overlapping", text("_x0041_x0042_x0043_"), text("_x0041_x0042_x0043_")},
		{"an escape that completes another", text("_x0041\x01_"), text("_x0041\x01_")},
		{"unicode", text("Zoë 美咲 😀 \u200f عربي"), text("Zoë 美咲 😀 \u200f عربي")},
		{"bytes that are no text", text("a\xffb"), text("a\ufffdb")},
		{"empty", text(""), text("")},
		{"absent", record.Value{}, text("")},
		{"null", record.NullOf(), text("")},
		{"integer", num("42"), num("42")},
		{"price", num("-12.50"), num("-12.50")},
		{"15 digits", num("123456789012345"), num("123456789012345")},
		{"16 digits", num("1234567890123456"), text("1234567890123456")},
		{"long but round", num("12000000000000000000"), num("12000000000000000000")},
		{"a long fraction", num("0.12345678901234567"), text("0.12345678901234567")},
		{"scientific", num("1.5e3"), num("1500")},
		{"beyond a double", num("1e999"), text("1e999")},
		{"true", record.BoolOf(true), record.BoolOf(true)},
		{"false", record.BoolOf(false), record.BoolOf(false)},
		{"day", of(record.Date, "2024-02-29"), of(record.Date, "2024-02-29")},
		{"first day", of(record.Date, "1900-03-01"), of(record.Date, "1900-03-01")},
		{"day before", of(record.Date, "1900-02-28"), text("1900-02-28")},
		{"last day", of(record.Date, "9999-12-31"), of(record.Date, "9999-12-31")},
		{"no day", of(record.Date, "2024-02-30"), text("2024-02-30")},
		{"time stamp", of(record.DateTime, "2024-02-29T13:14:15"), of(record.DateTime, "2024-02-29T13:14:15")},
		{"time stamp at midnight", of(record.DateTime, "2024-02-29T00:00:00"), of(record.DateTime, "2024-02-29T00:00:00")},
		{"time stamp with fraction", of(record.DateTime, "2024-02-29T13:14:15.678"), of(record.DateTime, "2024-02-29T13:14:15.678")},
		{"time stamp that rounds up", of(record.DateTime, "2024-12-31T23:59:59.9999"), of(record.DateTime, "2025-01-01T00:00:00")},
		{"zone", of(record.DateTime, "2024-02-29T01:00:00+04:00"), of(record.DateTime, "2024-02-28T21:00:00Z")},
		{"UTC", of(record.DateTime, "2024-02-29T01:00:00Z"), of(record.DateTime, "2024-02-29T01:00:00Z")},
		{"time", of(record.Time, "13:14:15"), of(record.Time, "13:14:15")},
		{"midnight", of(record.Time, "00:00:00"), of(record.Time, "00:00:00")},
		{"last moment", of(record.Time, "23:59:59.9999"), of(record.Time, "23:59:59.999")},
		{"duration", of(record.Time, "255:10:10.5"), of(record.Time, "255:10:10.5")},
		{"list", record.ListOf([]string{"a", "b"}), text("a;b")},
		{"json", of(record.JSON, `{"a":1}`), text(`{"a":1}`)},
		{"fault", of(record.Fault, "#N/A"), text("#N/A")},
		{"as long as can be", text(strings.Repeat("é", maxText)), text(strings.Repeat("é", maxText))},
	}
	var in, want []record.Value
	for _, c := range cases {
		in, want = append(in, c.in), append(want, c.want)
	}
	h := header(len(in))
	b := batch(h, in)
	path := write(t, Options{}, 0, b)
	if r := b.Rows[0]; r.Fate != record.Accepted || r.Action != "written" {
		t.Errorf("the row is %v, %q", r.Fate, r.Action)
	}
	names, rows := read(t, path, reader.Options{})
	if diff := cmp.Diff(h.Names(), names); diff != "" {
		t.Error("header:", diff)
	}
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	for i, c := range cases {
		if got := rows[0][i]; got != want[i] {
			t.Errorf("%s: %v %.60q came back as %v %.60q, want %v %.60q", c.name, c.in.Kind(), c.in.Text(), got.Kind(), got.Text(), want[i].Kind(), want[i].Text())
		}
	}

	// excelize, as somebody else's eyes.
	f, err := excelize.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for i, want := range map[int]string{0: "Ada", 1: "00123", 3: "=cmd|' /C calc'!A0", 4: "  a \n", 10: "_x0041_ _x005F_ _x000D_", 18: "42", 26: "TRUE", 28: "2024-02-29", 33: "2024-02-29 13:14:15", 39: "13:14:15"} {
		cell, _ := excelize.CoordinatesToCellName(i+1, 2)
		got, err := f.GetCellValue("Sheet1", cell)
		if err != nil || got != want {
			t.Errorf("excelize sees %q in %s (%s), want %q (%v)", got, cell, cases[i].name, want, err)
		}
	}
	if formula, _ := f.GetCellFormula("Sheet1", "D2"); formula != "" {
		t.Errorf("text became the formula %q", formula)
	}
}

// TestRoundTrip writes random text, also of the hostile kind, and reads it back.
func TestRoundTrip(t *testing.T) {
	pieces := []string{"_x", "_x0041_", "0041", "_", "x", "\x00", "\x0b", "\r", "\n", " ", "&", "<", ">", "]]>", "\"", "'", "é", "😀", "=", "1", "\ufffe", "\uffff", "&#10;", "_x005F_", "_xD83D_", "a"}
	r := rand.New(rand.NewPCG(1, 2))
	const columns = 7
	h := header(columns)
	b := batch(h)
	var want [][]record.Value
	for range 700 {
		row := b.Add()
		for i := range columns {
			var s strings.Builder
			for range 1 + r.IntN(6) {
				s.WriteString(pieces[r.IntN(len(pieces))])
			}
			v := record.TextOf(s.String())
			if i == 3 {
				v = record.NumberOf(fmt.Sprint(r.Int64N(1e15)))
			}
			row.Values = append(row.Values, v)
		}
		want = append(want, row.Values)
	}
	path := write(t, Options{Header: h}, 0, b)
	_, rows := read(t, path, reader.Options{})
	if diff := cmp.Diff(want, rows, sameValue); diff != "" {
		t.Error(diff)
	}
}

func FuzzText(f *testing.F) {
	f.Add("_x0041_x0042_")
	f.Add("a\x00b\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) || tooLong(s) || s == "" {
			t.Skip("not what a cell can hold: no UTF-8, too long, or nothing at all, which is no cell")
		}
		h := header(2)
		path := write(t, Options{Header: h}, 0, batch(h, []record.Value{record.TextOf(s), record.TextOf("end")}))
		_, rows := read(t, path, reader.Options{})
		if len(rows) != 1 || rows[0][0] != record.TextOf(s) {
			t.Errorf("%q came back as %v", s, rows)
		}
	})
}

func TestMoreRowsThanASheetHolds(t *testing.T) {
	h := header(2)
	b := batch(h)
	for i := range 10 {
		row := b.Add()
		row.Values = []record.Value{record.NumberOf(fmt.Sprint(i)), record.TextOf("x")}
	}
	path := write(t, Options{Sheet: "Leads", Header: h}, 5, b)
	total := 0
	for i, want := range []int{4, 4, 2} {
		names, rows := read(t, path, reader.Options{Sheet: fmt.Sprint(i + 1)})
		if len(rows) != want || names[0] != "column 1" {
			t.Errorf("sheet %d has %d rows under %q, want %d", i+1, len(rows), names, want)
		}
		total += len(rows)
		for j, row := range rows {
			if got := row[0].Text(); got != fmt.Sprint(i*4+j) {
				t.Errorf("row %d of sheet %d is %s", j+1, i+1, got)
			}
		}
	}
	if total != 10 {
		t.Errorf("%d rows in all", total)
	}
	f, err := excelize.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if diff := cmp.Diff([]string{"Leads", "Leads (2)", "Leads (3)"}, f.GetSheetList()); diff != "" {
		t.Error(diff)
	}
}

func TestFates(t *testing.T) {
	h := record.LooseHeader([]string{"id", "note"})
	cell := func(s string) []record.Value { return []record.Value{record.TextOf(s), record.TextOf("n")} }
	b := batch(h, cell("pending"), cell("rejected"), cell("skipped"), cell("long"), cell("doubt"))
	b.Rows[1].Reject(record.Problem{Rule: "x"})
	b.Rows[2].Fate = record.Skipped
	b.Rows[3].Values[1] = record.TextOf(strings.Repeat("x", maxText+1))
	b.Rows[4].Fate = record.Doubt
	_, rows := read(t, write(t, Options{Header: h}, 0, b), reader.Options{})
	if len(rows) != 2 || rows[0][0].Text() != "pending" || rows[1][0].Text() != "doubt" {
		t.Errorf("written: %v", rows)
	}
	r := b.Rows[3]
	if r.Fate != record.Rejected || !strings.Contains(r.Err.Error(), "row 4") || !strings.Contains(r.Err.Error(), `"note"`) {
		t.Errorf("the long cell: %v, %v", r.Fate, r.Err)
	}
}

func TestLooks(t *testing.T) {
	h := record.LooseHeader([]string{"id", "a rather long name of a column"})
	path := write(t, Options{Sheet: "It's a [very] long name of a sheet", Header: h}, 0, batch(h, []record.Value{record.TextOf("1"), record.TextOf("x")}))
	f, err := excelize.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	sheet := f.GetSheetList()[0]
	if want := "It's a _very_ long name of a sh"; sheet != want {
		t.Errorf("the sheet is %q, want %q", sheet, want)
	}
	if p, err := f.GetPanes(sheet); err != nil || !p.Freeze || p.YSplit != 1 {
		t.Errorf("panes: %+v, %v", p, err)
	}
	narrow, _ := f.GetColWidth(sheet, "A")
	wide, _ := f.GetColWidth(sheet, "B")
	if narrow < 5 || wide < 30 {
		t.Errorf("widths %v and %v", narrow, wide)
	}
	id, _ := f.GetCellStyle(sheet, "A1")
	if s, err := f.GetStyle(id); err != nil || s.Font == nil || !s.Font.Bold {
		t.Errorf("the header is not bold: %+v, %v", s, err)
	}
}

// TestTypes has numbers in columns of ids and texts, which stay texts, also when somebody edits them.
func TestTypes(t *testing.T) {
	h := record.LooseHeader([]string{"id", "phone", "score", "any", "text"})
	num := record.NumberOf
	path := write(t, Options{Header: h, Types: []string{"id", "phone", "integer", ""}}, 0, batch(h, []record.Value{num("12"), num("971501234567"), num("7"), num("8"), record.TextOf("=1")}))
	_, rows := read(t, path, reader.Options{})
	text := record.TextOf
	if diff := cmp.Diff([][]record.Value{{text("12"), text("971501234567"), num("7"), num("8"), text("=1")}}, rows, sameValue); diff != "" {
		t.Error(diff)
	}
	f, err := excelize.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for cell, want := range map[string]string{"A2": "@", "B2": "@", "C2": "", "D2": "", "E2": "@"} {
		id, err := f.GetCellStyle("Sheet1", cell)
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.GetStyle(id)
		got := ""
		if err == nil && (s.NumFmt == 49 || s.CustomNumFmt != nil) {
			got = "@"
		}
		if got != want {
			t.Errorf("the format of %s is %q, want %q", cell, got, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	h := header(1)
	b := batch(h)
	for range 5 {
		row := b.Add()
		row.Values = []record.Value{record.TextOf("x")}
	}
	var said []string
	write(t, Options{Header: h, Warn: func(s string) { said = append(said, s) }}, 3, b)
	if diff := cmp.Diff([]string{`one sheet can't hold all rows: they go on, on the sheets "Sheet1 (2)" to "Sheet1 (3)"`}, said); diff != "" {
		t.Error(diff)
	}
}

func TestNoRows(t *testing.T) {
	h := header(3)
	names, rows := read(t, write(t, Options{Header: h}, 0), reader.Options{})
	if len(rows) != 0 || len(names) != 3 {
		t.Errorf("%q, %v", names, rows)
	}
}

// full is a disk with no room left.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestDiskFull(t *testing.T) {
	h := header(3)
	var good bytes.Buffer
	make := func(to interface{ Write([]byte) (int, error) }) error {
		w, err := New(to, Options{Header: h})
		if err != nil {
			return err
		}
		defer func() { _ = w.Close() }()
		return errors.Join(w.Write(context.Background(), batch(h, []record.Value{record.TextOf("x")})), w.Commit(context.Background()))
	}
	if err := make(&good); err != nil {
		t.Fatal(err)
	}
	for room := 0; room < good.Len(); room += 211 {
		if err := make(&full{room}); err == nil {
			t.Fatalf("a disk with room for %d of %d bytes is no error", room, good.Len())
		}
	}
}

// TestLeavesNothing writes much and looks for what is left.
func TestLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	const rows, columns, size = 10_000, 12, 500
	h := header(columns)
	w, err := New(&full{1 << 40}, Options{Header: h})
	if err != nil {
		t.Fatal(err)
	}
	b := batch(h)
	for range size {
		row := b.Add()
		for i := range columns {
			row.Values = append(row.Values, record.TextOf(fmt.Sprintf("some text of column %d", i)))
		}
	}
	var most uint64
	for range rows / size {
		for i := range b.Rows {
			b.Rows[i].Fate = record.Pending
		}
		if err := w.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapInuse)
	}
	if err := errors.Join(w.Commit(t.Context()), w.Close()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
	if most > 64<<20 {
		t.Errorf("%d MiB of heap were in use", most>>20)
	}
	t.Logf("%d KiB of heap at most", most>>10)
}

func BenchmarkWrite(b *testing.B) {
	h := header(12)
	batch := batch(h)
	for n := range 1000 {
		row := batch.Add()
		for i := range 12 {
			v := record.TextOf(fmt.Sprintf("text %d of row %d, Zoë", i, n*7919))
			if i%4 == 3 {
				v = record.NumberOf(fmt.Sprint(n * 7919))
			}
			row.Values = append(row.Values, v)
		}
	}
	w, err := New(&full{1 << 60}, Options{Header: h})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch.Rows {
			batch.Rows[i].Fate = record.Pending
		}
		if err := w.Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(1000*b.N)/b.Elapsed().Seconds(), "rows/s")
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}
