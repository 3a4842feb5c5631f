package writers

import (
	"bytes"
	"context"
	stdcsv "encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	pq "github.com/parquet-go/parquet-go"

	"github.com/crmetl/crmetl/internal/sinktest"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/readers"
	"github.com/crmetl/crmetl/record"
)

// unpack opens a file, and what is packed in it.
func unpack(path string) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var r io.Reader = f
	switch filepath.Ext(path) {
	case ".gz":
		if r, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	case ".zst":
		z, err := zstd.NewReader(f)
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	}
	return io.ReadAll(r)
}

func readCSV(comma rune) func(string) ([]string, [][]string, error) {
	return func(path string) ([]string, [][]string, error) {
		data, err := unpack(path)
		if err != nil {
			return nil, nil, err
		}
		r := stdcsv.NewReader(bytes.NewReader(data))
		r.Comma = comma
		all, err := r.ReadAll()
		if err != nil || len(all) == 0 {
			return nil, nil, err
		}
		return all[0], all[1:], nil
	}
}

func readJSONL(path string) (columns []string, rows [][]string, err error) {
	data, err := unpack(path)
	if err != nil {
		return nil, nil, err
	}
	for line := range bytes.Lines(data) {
		d := json.NewDecoder(bytes.NewReader(line))
		columns = nil
		var row []string
		if _, err := d.Token(); err != nil {
			return nil, nil, err
		}
		for d.More() {
			for _, to := range []*[]string{&columns, &row} {
				tok, err := d.Token()
				if err != nil {
					return nil, nil, err
				}
				s, _ := tok.(string)
				*to = append(*to, s)
			}
		}
		rows = append(rows, row)
	}
	return columns, rows, nil
}

// readXLSX reads a workbook as import would.
func readXLSX(path string) (columns []string, rows [][]string, err error) {
	r, err := readers.Open(path, readers.Options{})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		var c pipeline.Chunk
		var b record.Batch
		if err = r.Next(context.Background(), &c); errors.Is(err, io.EOF) {
			return r.Header().Names(), rows, nil
		}
		if err == nil {
			err = r.Decode(&c, &b)
		}
		if err != nil {
			return nil, nil, err
		}
		for i := range b.Rows {
			var row []string
			for _, v := range b.Rows[i].Values {
				row = append(row, v.Text())
			}
			rows = append(rows, row)
		}
	}
}

// readParquet reads a file's columns, all of which are text, by a library.
func readParquet(path string) (columns []string, rows [][]string, err error) {
	data, err := unpack(path)
	if err != nil {
		return nil, nil, err
	}
	f, err := pq.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, nil, err
	}
	for _, column := range f.Root().Columns() {
		columns = append(columns, column.Name())
	}
	r := pq.NewGenericReader[any](f)
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		some := make([]pq.Row, 100)
		n, err := r.ReadRows(some)
		for _, values := range some[:n] {
			var row []string
			for _, v := range values {
				row = append(row, v.String())
			}
			rows = append(rows, row)
		}
		if errors.Is(err, io.EOF) {
			return columns, rows, nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// readGeoJSON reads the properties of the features, whose order is that of the columns.
func readGeoJSON(path string) (columns []string, rows [][]string, err error) {
	data, err := unpack(path)
	if err != nil {
		return nil, nil, err
	}
	var all struct {
		Type     string
		Features []struct {
			Type       string
			Geometry   json.RawMessage
			Properties struct{ ID, Name, Points string }
		}
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, nil, err
	}
	if all.Type != "FeatureCollection" {
		return nil, nil, fmt.Errorf("the collection is a %q", all.Type)
	}
	for _, f := range all.Features {
		if f.Type != "Feature" || string(f.Geometry) != "null" {
			return nil, nil, fmt.Errorf("a feature is a %q with the geometry %s", f.Type, f.Geometry)
		}
		rows = append(rows, []string{f.Properties.ID, f.Properties.Name, f.Properties.Points})
	}
	return []string{"id", "name", "points"}, rows, nil
}

func TestSinks(t *testing.T) {
	for _, s := range []sinktest.Suite{
		{Name: "out.csv", Read: readCSV(',')},
		{Name: "out.tsv", Read: readCSV('\t')},
		{Name: "out.csv.gz", Read: readCSV(',')},
		{Name: "out.CSV.zst", Read: readCSV(',')},
		{Name: "out.jsonl", Read: readJSONL, NoHeader: true},
		{Name: "out.jsonl.gz", Read: readJSONL, NoHeader: true},
		{Name: "out.xlsx", Read: readXLSX},
		{Name: "out.xlsx.gz", Read: readXLSX},
		{Name: "out.parquet", Read: readParquet},
		{Name: "out.parquet.zst", Read: readParquet},
		{Name: "out.geojson", Read: readGeoJSON, NoHeader: true, Columns: []string{"id", "name", "points"}},
		{Name: "out.GeoJSON.gz", Read: readGeoJSON, NoHeader: true, Columns: []string{"id", "name", "points"}},
	} {
		s.Create = func(path string, h *record.Header) (sinktest.Writer, error) {
			return Create(path, Options{Header: h})
		}
		t.Run(s.Name, func(t *testing.T) { sinktest.Run(t, s) })
	}
}

func header(t testing.TB, names ...string) *record.Header {
	t.Helper()
	h, err := record.NewHeader(names)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func rows(h *record.Header, all ...[]record.Value) *record.Batch {
	b := &record.Batch{Header: h, Origin: h}
	for i, cells := range all {
		row := b.Add()
		row.Num, row.Values, row.Origin = int64(i+1), cells, cells
	}
	return b
}

// TestText writes to standard output and holds the text against what it must be, to the byte.
func TestText(t *testing.T) {
	text, number := record.TextOf, record.NumberOf
	h := header(t, "a", "b.c")
	kinds := [][]record.Value{
		{text("x"), number("1.50")},
		{record.BoolOf(true), record.NullOf()},
		{record.ListOf([]string{"p", "q"}), {}},
		{record.Of(record.Date, "2026-01-31"), record.Of(record.JSON, `{"k":1}`)},
	}
	for _, c := range []struct {
		name string
		o    Options
		rows [][]record.Value
		want string
	}{
		{"csv", Options{Format: "csv", Header: h}, kinds, "a,b.c\nx,1.50\nTRUE,\np;q,\n2026-01-31,\"{\"\"k\"\":1}\"\n"},
		{"csv, its header from the rows", Options{Format: "csv"}, kinds[:1], "a,b.c\nx,1.50\n"},
		{"semicolon and mark", Options{Format: "csv", Header: h, Delimiter: ";", BOM: true}, kinds[2:3], "\ufeffa;b.c\n\"p;q\";\n"},
		{"a delimiter of several bytes", Options{Format: "csv", Header: h, Delimiter: "€"}, [][]record.Value{{text("5 €"), text("â")}}, "a€b.c\n\"5 €\"€â\n"},
		{"tsv", Options{Format: "tsv", Header: h}, [][]record.Value{{text("x,y"), text("p\tq")}}, "a\tb.c\nx,y\t\"p\tq\"\n"},
		{"quoting", Options{Format: "csv", Header: h}, [][]record.Value{{text(" x"), text("x ")}, {text("a\"b"), text("a\nb")}, {text("a\rb"), text("")}, {text("\u00a0x"), text("x y")}},
			"a,b.c\n\" x\",\"x \"\n\"a\"\"b\",\"a\nb\"\n\"a\rb\",\n\"\u00a0x\",x y\n"},
		{"quotes everywhere", Options{Format: "csv", Header: h, Quote: "all"}, [][]record.Value{{text("x\"y"), {}}, {number("1"), text("")}}, "\"a\",\"b.c\"\n\"x\"\"y\",\"\"\n\"1\",\"\"\n"},
		{"quotes where needed", Options{Format: "tsv", Header: h, Quote: "Minimal"}, [][]record.Value{{text("x"), text(" y")}}, "a\tb.c\nx\t\" y\"\n"},
		{"CRLF", Options{Format: "csv", Header: h, LineEnd: "CRLF", BOM: true}, [][]record.Value{{text("x"), text("a\nb\r\nc")}}, "\ufeffa,b.c\r\nx,\"a\nb\r\nc\"\r\n"},
		{"guarded", Options{Format: "csv", Header: h, Guard: true, Quote: "all"}, [][]record.Value{{text("=1+1"), number("-1")}, {text("+971 50 123"), text("'=x")}}, "\"a\",\"b.c\"\n\"'=1+1\",\"-1\"\n\"+971 50 123\",\"''=x\"\n"},
		{"one column", Options{Format: "csv", Header: header(t, "a")}, nil, "a\n"},
		{"geojson", Options{Format: "geojson", Header: header(t, "lat", "lon"), Shape: "polygon"}, [][]record.Value{{number("1.50"), text("2")}}, "{\"type\":\"FeatureCollection\",\"features\":[\n{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[2,1.50]},\"properties\":{\"lat\":1.50,\"lon\":\"2\"}}\n]}\n"},
		{"a header that Excel would read as an order", Options{Format: "csv", Header: header(t, "sep=;")}, nil, "\"sep=;\"\n"},
		{"jsonl", Options{Format: "jsonl", Header: h}, kinds, "{\"a\":\"x\",\"b.c\":1.50}\n{\"a\":true,\"b.c\":null}\n{\"a\":[\"p\",\"q\"]}\n{\"a\":\"2026-01-31\",\"b.c\":{\"k\":1}}\n"},
		{"jsonl, nested", Options{Format: "jsonl", Header: h, Nested: true}, kinds[:1], "{\"a\":\"x\",\"b\":{\"c\":1.50}}\n"},
		{"jsonl, its header from the rows", Options{Format: "jsonl"}, kinds[:1], "{\"a\":\"x\",\"b.c\":1.50}\n"},
		{"jsonl, raw", Options{Format: "jsonl", Raw: true, Header: h}, [][]record.Value{{record.Of(record.JSON, `{"z": 1,"a":[ ]}`), {}}, {record.Of(record.JSON, "{\n \"z\": 1.0\n}"), {}}}, "{\"z\": 1,\"a\":[ ]}\n{\"z\":1.0}\n"},
	} {
		for _, applied := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				var out bytes.Buffer
				c.o.Stdout = &out
				w, err := Create("-", c.o)
				if err != nil {
					t.Fatal(err)
				}
				if c.rows != nil {
					b := rows(h, c.rows...)
					if applied {
						err = w.Apply(b)
					}
					if err = errors.Join(err, w.Write(context.Background(), b)); err != nil {
						t.Fatal(err)
					}
				}
				if err := errors.Join(w.Commit(context.Background()), w.Close()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, out.String()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
	t.Run("an empty cell alone in its line", func(t *testing.T) {
		var out bytes.Buffer
		one := header(t, "a")
		w, err := Create("-", Options{Format: "csv", Header: one, Stdout: &out})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Write(context.Background(), rows(one, []record.Value{text("")}, []record.Value{{}})), w.Commit(context.Background()), w.Close()); err != nil {
			t.Fatal(err)
		}
		if out.String() != "a\n\"\"\n\"\"\n" {
			t.Errorf("%q", out.String())
		}
	})
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	h := header(t, "a", "a.b")
	for _, c := range []struct {
		name, path string
		o          Options
		want       string
	}{
		{"unknown format", "x.csv", Options{Format: "orc"}, `there is no format "orc" to write`},
		{"unknown extension", "x.txt", Options{}, "can't tell from the name what to write"},
		{"standard output without a format", "-", Options{Stdout: io.Discard}, "standard output has no name to tell a format by"},
		{"standard output without any", "-", Options{Format: "csv"}, "standard output is not available"},
		{"raw csv", "x.csv", Options{Raw: true}, "raw records are JSON"},
		{"delimiter", "x.csv", Options{Delimiter: "\""}, "can't separate cells"},
		{"quotes", "x.csv", Options{Quote: "some"}, "it is minimal or all"},
		{"line ends", "x.tsv", Options{LineEnd: "cr"}, "it is lf or crlf"},
		{"raw parquet", "x.parquet", Options{Raw: true}, "raw records are JSON"},
		{"a map without a place", "x.geojson", Options{Header: h}, "no column holds a place"},
		{"a shape", "x.geojson", Options{Header: header(t, "points"), Shape: "circle"}, "it is line or polygon"},
		{"parquet names that stand twice", "x.parquet", Options{Header: record.LooseHeader([]string{"a", "a"})}, `columns A and B are both named "a"`},
		{"nesting", "x.jsonl", Options{Nested: true, Header: h}, "stands twice, or both as a value and as an object"},
		{"names that stand twice", "x.jsonl", Options{Header: record.LooseHeader([]string{"a", "a"})}, `columns A and B are both named "a"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := c.path
			if path != "-" {
				path = filepath.Join(dir, path)
			}
			w, err := Create(path, c.o)
			if err == nil {
				_ = w.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
	t.Run("a row of another width", func(t *testing.T) {
		for _, format := range []string{"csv", "jsonl"} {
			w, err := Create("-", Options{Format: format, Header: h, Stdout: io.Discard})
			if err != nil {
				t.Fatal(err)
			}
			b := rows(h, []record.Value{record.TextOf("x")})
			if err := w.Apply(b); err == nil || !strings.Contains(err.Error(), "row 1: the row has 1 cell(s), the file 2 column(s)") {
				t.Errorf("%s: error %v", format, err)
			}
			if err := w.Write(context.Background(), b); err == nil || b.Rows[0].Fate != record.Pending {
				t.Errorf("%s: error %v, the row is %v", format, err, b.Rows[0].Fate)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("raw text that is no JSON", func(t *testing.T) {
		w, err := Create("-", Options{Format: "jsonl", Raw: true, Header: h, Stdout: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Apply(rows(h, []record.Value{record.TextOf("no JSON"), {}})); err == nil || !strings.Contains(err.Error(), "not JSON") {
			t.Errorf("error %v", err)
		}
	})
}

func TestLink(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.csv"), filepath.Join(dir, "link.csv")
	if err := os.WriteFile(real, []byte("older"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil && runtime.GOOS == "windows" {
		t.Skip("Windows asks for a right to make symbolic links: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	w, err := Create(link, Options{Header: header(t, "a")})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Commit(context.Background()), w.Close()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(real); err != nil || string(got) != "a\n" {
		t.Errorf("the file behind the link holds %q, error %v", got, err)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, error %v", st, err)
	}
}

// TestLongCells writes texts that no cell of a workbook can hold.
func TestLongCells(t *testing.T) {
	h := header(t, "id", "note")
	long := "begin, \"" + strings.Repeat("é\n", 20_000) + "end"
	two := rows(h, []record.Value{record.TextOf("7"), record.TextOf(long)}, []record.Value{record.TextOf(strings.Repeat("😀", 16_384)), record.TextOf("short")})
	make := func(path string, b *record.Batch, commit bool) (said []string) {
		t.Helper()
		w, err := Create(path, Options{Header: h, Sheet: "Leads", Warn: func(s string) { said = append(said, s) }})
		if err != nil {
			t.Fatal(err)
		}
		err = w.Write(context.Background(), b)
		if commit && err == nil {
			err = w.Commit(context.Background())
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return said
	}
	files := func(dir string) (names []string) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}

	dir := t.TempDir()
	said := make(filepath.Join(dir, "out.xlsx"), two, true)
	want := "texts that are longer than the 32767 characters of a cell: 2 (the first: row 1, column \"note\"); the workbook has their beginnings, out.xlsx.long-cells.csv has them whole"
	if diff := cmp.Diff([]string{want}, said); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"out.xlsx", "out.xlsx.long-cells.csv"}, files(dir)); diff != "" {
		t.Error(diff)
	}
	columns, cells, err := readCSV(',')(filepath.Join(dir, "out.xlsx.long-cells.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"sheet", "cell", "row", "column", "text"}, columns); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]string{{"Leads", "B2", "1", "note", long}, {"Leads", "A3", "2", "id", two.Rows[1].Values[0].Text()}}, cells); diff != "" {
		t.Errorf("%.500s", diff)
	}
	if _, cells, err = readXLSX(filepath.Join(dir, "out.xlsx")); err != nil {
		t.Fatal(err)
	}
	for i, place := range [][2]int{{0, 1}, {1, 0}} {
		got, whole := cells[place[0]][place[1]], two.Rows[place[0]].Values[place[1]].Text()
		begin, note, ok := strings.Cut(got, "… [cut here; all ")
		if !ok || !strings.HasPrefix(whole, begin) || len(begin) < 30_000 || !strings.HasSuffix(note, " characters are in out.xlsx.long-cells.csv, cell "+[]string{"B2", "A3"}[i]+"]") {
			t.Errorf("the cell has %d bytes and ends with %q", len(got), got[max(0, len(got)-120):])
		}
		if n := len(utf16.Encode([]rune(got))); n > 32_767 {
			t.Errorf("the cell has %d characters", n)
		}
	}

	for i := range two.Rows {
		two.Rows[i].Fate = record.Pending
	}
	dir = t.TempDir()
	if make(filepath.Join(dir, "out.xlsx"), two, false); files(dir) != nil {
		t.Errorf("left without commit: %v", files(dir))
	}
	dir = t.TempDir()
	if said := make(filepath.Join(dir, "out.xlsx"), rows(h, []record.Value{record.TextOf("7"), record.TextOf(strings.Repeat("é", 32_767))}), true); said != nil || len(files(dir)) != 1 {
		t.Errorf("a text that just fits: %q, %v", said, files(dir))
	}
}
