package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pq "github.com/parquet-go/parquet-go"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

var _ pipeline.Sink = (*Writer)(nil)

func batch(h *record.Header, rows ...[]record.Value) *record.Batch {
	b := &record.Batch{Header: h}
	for i, values := range rows {
		row := b.Add()
		row.Num, row.Values = int64(i+1), values
	}
	return b
}

// write returns the file of the rows, and what was said.
func write(t testing.TB, o Options, batches ...*record.Batch) (file []byte, said []string) {
	t.Helper()
	var out bytes.Buffer
	o.Dir = t.TempDir()
	o.Warn = func(s string) { said = append(said, s) }
	w, err := New(&out, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := w.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Commit(t.Context()), w.Close()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
	return out.Bytes(), said
}

// read returns a file's columns as name and type, and the values of its rows as text, in the order of the leaves.
func read(t testing.TB, data []byte) (columns []string, rows [][]string, groups int) {
	t.Helper()
	f, err := pq.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range f.Root().Columns() {
		kind := "LIST"
		if c.Leaf() {
			kind = c.Type().String()
		}
		columns = append(columns, c.Name()+" "+kind)
	}
	r := pq.NewGenericReader[any](f)
	defer func() { _ = r.Close() }()
	for {
		some := make([]pq.Row, 64)
		n, err := r.ReadRows(some)
		for _, values := range some[:n] {
			var row []string
			for _, v := range values {
				s := v.String()
				switch {
				case v.IsNull() && v.DefinitionLevel() == 1:
					s = "empty list"
				case v.IsNull():
					s = "null"
				case v.Kind() == pq.FixedLenByteArray:
					s = fmt.Sprintf("%x", v.ByteArray())
				}
				row = append(row, s)
			}
			rows = append(rows, row)
		}
		if errors.Is(err, io.EOF) {
			return columns, rows, len(f.RowGroups())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTypes(t *testing.T) {
	of, text, num := record.Of, record.TextOf, record.NumberOf
	micros := func(s string) string {
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(at.UnixMicro())
	}
	null := record.NullOf()
	for _, c := range []struct {
		name, said string
		in         []record.Value
		kind       string
		want       []string
		warn       string
	}{
		{"nothing", "", []record.Value{{}, null}, "STRING", []string{"null", "null"}, ""},
		{"text", "", []record.Value{text(""), text("007"), null}, "STRING", []string{"", "007", "null"}, ""},
		{"numbers among texts", "", []record.Value{num("7"), text("x")}, "STRING", []string{"7", "x"}, ""},
		{"text that looks like a number", "", []record.Value{text("7")}, "STRING", []string{"7"}, ""},
		{"text after numbers", "", []record.Value{num("7"), text("8")}, "STRING", []string{"7", "8"}, ""},
		{"id", "id", []record.Value{num("7"), text("008")}, "STRING", []string{"7", "008"}, ""},
		{"integers", "", []record.Value{num("7"), text(""), num("-9223372036854775808")}, "INT(64,true)", []string{"7", "null", "-9223372036854775808"}, ""},
		{"integers as said", "integer", []record.Value{text("7"), null, num("8")}, "INT(64,true)", []string{"7", "null", "8"}, ""},
		{"integers that none came of", "integer", []record.Value{null}, "INT(64,true)", []string{"null"}, ""},
		{"leading zeros", "integer", []record.Value{text("7"), text("007")}, "STRING", []string{"7", "007"}, `column "c" is text, not integer: row 2 has "007"`},
		{"long integers", "integer", []record.Value{num("7"), num("-9223372036854775809")}, "DECIMAL(38,0)", []string{fixed("7"), fixed("-9223372036854775809")}, ""},
		{"fractions", "", []record.Value{num("7"), num("0.50"), num("-1e3")}, "DOUBLE", []string{"7", "0.5", "-1000"}, ""},
		{"a number as said", "number", []record.Value{num("7")}, "DOUBLE", []string{"7"}, ""},
		{"many digits", "number", []record.Value{num("7"), num("12345678901234567.25"), num("-0.001")}, "DECIMAL(38,3)", []string{fixed("7000"), fixed("12345678901234567250"), fixed("-1")}, ""},
		{"too many digits", "number", []record.Value{num("1e30"), num("0.1234567890123456")}, "STRING", []string{"1e30", "0.1234567890123456"}, "is text, not number: row 2"},
		{"beyond a double", "", []record.Value{num("1e999")}, "STRING", []string{"1e999"}, ""},
		{"not a number", "number", []record.Value{text("NaN")}, "STRING", []string{"NaN"}, `row 1 has "NaN"`},
		{"booleans", "", []record.Value{record.BoolOf(true), null, record.BoolOf(false)}, "BOOLEAN", []string{"true", "null", "false"}, ""},
		{"booleans in text", "boolean", []record.Value{text("TRUE"), text("no")}, "STRING", []string{"TRUE", "no"}, `row 2 has "no"`},
		{"dates", "", []record.Value{of(record.Date, "1969-12-31"), of(record.Date, "2024-02-29"), of(record.Date, "0001-01-01")}, "DATE", []string{"-1", "19782", "-719162"}, ""},
		{"no date", "date", []record.Value{text("2024-02-30")}, "STRING", []string{"2024-02-30"}, "is text, not date"},
		{"instants", "datetime", []record.Value{of(record.DateTime, "2024-02-29T13:14:15.123456+04:00"), text("2024-02-29T13:14Z")}, "TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)", []string{micros("2024-02-29T09:14:15.123456Z"), micros("2024-02-29T13:14:00Z")}, ""},
		{"local times", "datetime", []record.Value{of(record.DateTime, "1969-12-31T23:59:59")}, "TIMESTAMP(isAdjustedToUTC=false,unit=MICROS)", []string{"-1000000"}, ""},
		{"both", "datetime", []record.Value{of(record.DateTime, "2024-02-29T13:14:15"), of(record.DateTime, "2024-02-29T13:14:15Z")}, "STRING", []string{"2024-02-29T13:14:15", "2024-02-29T13:14:15Z"}, "is text, not datetime: row 2"},
		{"nanoseconds", "", []record.Value{of(record.DateTime, "2024-02-29T13:14:15.123456789Z")}, "STRING", []string{"2024-02-29T13:14:15.123456789Z"}, ""},
		{"a year is no time stamp", "datetime", []record.Value{text("2024")}, "STRING", []string{"2024"}, `row 1 has "2024"`},
		{"epoch", "epoch", []record.Value{num("1466124582"), of(record.DateTime, "2016-05-26T20:52:46Z")}, "TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)", []string{"1466124582000000", micros("2016-05-26T20:52:46Z")}, ""},
		{"times of day", "", []record.Value{of(record.Time, "13:14:15.5")}, "TIME(isAdjustedToUTC=false,unit=MICROS)", []string{"47655500000"}, ""},
		{"durations", "", []record.Value{of(record.Time, "13:14:15"), of(record.Time, "25:00:00")}, "STRING", []string{"13:14:15", "25:00:00"}, ""},
		{"lists", "list", []record.Value{record.ListOf([]string{"a", ""}), null, record.ListOf(nil)}, "LIST", []string{"a", "", "null", "empty list"}, ""},
		{"lists of more than texts", "list", []record.Value{record.ListOf([]string{"a"}), of(record.List, `["null",null,1]`)}, "JSON", []string{`["a"]`, `["null",null,1]`}, ""},
		{"json", "", []record.Value{of(record.JSON, `{"a":1}`), of(record.List, `[1]`)}, "JSON", []string{`{"a":1}`, `[1]`}, ""},
		{"errors of sheets", "number", []record.Value{of(record.Fault, "#N/A")}, "STRING", []string{"#N/A"}, "is text, not number"},
		{"mixed", "", []record.Value{record.BoolOf(true), num("1")}, "STRING", []string{"TRUE", "1"}, ""},
		{"bytes that are no text", "", []record.Value{text("a\xffb")}, "STRING", []string{"a\ufffdb"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := record.LooseHeader([]string{"c"})
			b := batch(h)
			for i, v := range c.in {
				row := b.Add()
				row.Num, row.Values = int64(i+1), []record.Value{v}
			}
			file, said := write(t, Options{Header: h, Types: []string{c.said}}, b)
			columns, rows, _ := read(t, file)
			if diff := cmp.Diff([]string{"c " + c.kind}, columns); diff != "" {
				t.Error(diff)
			}
			var got []string
			for _, row := range rows {
				got = append(got, row...)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if len(rows) != len(c.in) {
				t.Errorf("%d rows, want %d", len(rows), len(c.in))
			}
			if (c.warn == "") != (said == nil) || !strings.Contains(strings.Join(said, ""), c.warn) {
				t.Errorf("said %q, want %q", said, c.warn)
			}
		})
	}
}

// fixed is a decimal of no places as 16 bytes.
func fixed(s string) string {
	n, _ := new(big.Int).SetString(s, 10)
	if n.Sign() < 0 {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	return fmt.Sprintf("%032x", n)
}

// TestManyRows has more than one row group, columns whose names are not in order or hold commas, and bounded memory.
func TestManyRows(t *testing.T) {
	h := record.LooseHeader([]string{"z", "a,b", "M.n"})
	const size, batches = 1000, 300
	var most uint64
	w, err := New(io.Discard, Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w.out = &out
	for i := range batches {
		b := batch(h)
		for k := range size {
			n := fmt.Sprint(i*size + k)
			row := b.Add()
			row.Values = []record.Value{record.NumberOf(n), record.TextOf("text " + n), record.TextOf(strings.Repeat("x", k%50))}
			if k%10 == 9 {
				row.Fate = record.Skipped
			}
		}
		if err := errors.Join(w.Apply(b), w.Write(t.Context(), b)); err != nil {
			t.Fatal(err)
		}
		var m runtime.MemStats
		if i%50 == 0 {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
		}
	}
	if err := errors.Join(w.Commit(t.Context()), w.Close()); err != nil {
		t.Fatal(err)
	}
	columns, rows, groups := read(t, out.Bytes())
	if diff := cmp.Diff([]string{"z INT(64,true)", "a,b STRING", "M.n STRING"}, columns); diff != "" {
		t.Error(diff)
	}
	if len(rows) != size*batches*9/10 || groups < 2 {
		t.Fatalf("%d rows in %d groups", len(rows), groups)
	}
	for i, row := range rows {
		n := i/9*10 + i%9
		if row[0] != fmt.Sprint(n) || row[1] != "text "+row[0] || len(row[2]) != n%size%50 {
			t.Fatalf("row %d is %q", i, row)
		}
	}
	if most > 64<<20 {
		t.Errorf("%d MiB of heap were in use before the end", most>>20)
	}
}

func TestErrors(t *testing.T) {
	for want, names := range map[string][]string{
		"column B has no name":                 {"a", ""},
		"columns A and C are both named \"a\"": {"a", "b", "a"},
	} {
		if _, err := New(io.Discard, Options{Header: record.LooseHeader(names)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	h := record.LooseHeader([]string{"a"})
	w, err := New(io.Discard, Options{Dir: "/no such folder"})
	if err != nil {
		t.Fatal(err)
	}
	b := batch(h, []record.Value{record.TextOf("x")})
	if err := w.Write(t.Context(), b); err == nil || !strings.Contains(err.Error(), "temporary file") || b.Rows[0].Fate != record.Pending {
		t.Errorf("error %v, the row is %v", err, b.Rows[0].Fate)
	}
	b.Rows[0].Values = nil
	if err := w.Apply(b); err == nil || !strings.Contains(err.Error(), "row 1: the row has 0 cell(s)") {
		t.Errorf("error %v", err)
	}
}

// FuzzColumn writes a column of two values, whatever they are, and finds them again.
func FuzzColumn(f *testing.F) {
	f.Add("integer", uint8(3), "12", uint8(2), "007")
	f.Add("number", uint8(3), "1e-7", uint8(3), "123456789012345678901234567890.5")
	f.Add("", uint8(6), "2024-02-29T13:14:15Z", uint8(8), `["a",null]`)
	f.Fuzz(func(t *testing.T, said string, k1 uint8, v1 string, k2 uint8, v2 string) {
		h := record.LooseHeader([]string{"c"})
		b := batch(h, []record.Value{record.Of(record.Kind(k1%11), v1)}, []record.Value{record.Of(record.Kind(k2%11), v2)})
		file, _ := write(t, Options{Header: h, Types: []string{said}}, b)
		columns, rows, _ := read(t, file)
		if len(rows) != 2 {
			t.Fatalf("%d rows", len(rows))
		}
		if columns[0] != "c STRING" {
			return
		}
		for i, row := range rows {
			v := b.Rows[i].Values[0]
			want := strings.ToValidUTF8(v.Cell(), "\ufffd")
			if v.Kind() <= record.Null {
				want = "null"
			}
			if row[0] != want {
				t.Errorf("%q came back as %q", want, row[0])
			}
		}
	})
}

// BenchmarkWrite writes rows of ten columns, to the end of the file.
func BenchmarkWrite(b *testing.B) {
	h := record.LooseHeader(strings.Split("a b c d e f g h i j", " "))
	all := batch(h)
	for i := range 1000 {
		row := all.Add()
		for k := range 10 {
			row.Values = append(row.Values, record.TextOf(fmt.Sprintf("text %d", i*k)))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		w, err := New(io.Discard, Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		for range 50 {
			for i := range all.Rows {
				all.Rows[i].Fate = record.Pending
			}
			if err := w.Write(b.Context(), all); err != nil {
				b.Fatal(err)
			}
		}
		if err := errors.Join(w.Commit(b.Context()), w.Close()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(50_000*b.N)/b.Elapsed().Seconds(), "rows/s")
}
