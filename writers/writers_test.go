package writers

import (
	"bytes"
	"context"
	stdcsv "encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/crmetl/crmetl/internal/sinktest"
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

func TestSinks(t *testing.T) {
	for _, s := range []sinktest.Suite{
		{Name: "out.csv", Read: readCSV(',')},
		{Name: "out.tsv", Read: readCSV('\t')},
		{Name: "out.csv.gz", Read: readCSV(',')},
		{Name: "out.CSV.zst", Read: readCSV(',')},
		{Name: "out.jsonl", Read: readJSONL, NoHeader: true},
		{Name: "out.jsonl.gz", Read: readJSONL, NoHeader: true},
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
		{"one column", Options{Format: "csv", Header: header(t, "a")}, nil, "a\n"},
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
		{"unknown format", "x.csv", Options{Format: "parquet"}, `there is no format "parquet" to write`},
		{"unknown extension", "x.txt", Options{}, "can't tell from the name what to write"},
		{"standard output without a format", "-", Options{Stdout: io.Discard}, "standard output has no name to tell a format by"},
		{"standard output without any", "-", Options{Format: "csv"}, "standard output is not available"},
		{"raw csv", "x.csv", Options{Raw: true}, "raw records are JSON"},
		{"delimiter", "x.csv", Options{Delimiter: "\""}, "can't separate cells"},
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
	if err := os.Symlink(real, link); err != nil {
		t.Skip(err)
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
