package sinktest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/readers"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/writers"
)

// hostile are texts that some program takes for something else.
func hostile() []string {
	return []string{
		"", " ", "  both ends  ", "\t", "a\nb", "a\r\nb", "a\rb", "\n", "\r\n", "ends with a line\n", "\"", "\"\"", "a\"b\"c", "'", "''", "'=1", "''=1", "'00123",
		"=1+1", "=cmd|' /C calc'!A0", "+971501234567", "+A1", "-1", "--", "@SUM(A1)", "＝1", "\t=1", "- call back", "+1 (555) 010.2000",
		"00123", "007", "12345678901234567890", "0.1234567890123456789", "1e5", "9.7E+11", "1.50", ".5", "-0", "1,5", "1.234,56", "0x1F",
		"NaN", "nan", "Inf", "-Infinity", "null", "NULL", "None", "true", "FALSE", "#N/A", "#REF!", "#####",
		"2024-02-29", "2024-02-30", "1-3", "01/02/2024", "2024-02-29T13:14:15Z", "13:14:15", "25:00:00", "Jan-24",
		"Zoë", "Zoe\u0308", "美咲", "😀👩‍👩‍👧", "عربي\u200f", "\u00a0no-break\u00a0", "\u200bzero width", "a\u2028b\u2029c", "\ufeffmark", "\ufffd", "\ufffe\uffff",
		"\x00", "a\x00b", "\x01\x02\x1f", "a\x0bb\x0cc", "\x7f", "\u0085", "\x1a",
		"_x000D_", "_x0041_x0042_", "&amp; <b>]]></b>", "<?xml", "\\", "\\n", "\\\"", "a\\", "a,b", "a;b", "a|b", ",", ";", "#comment", "sep=;", "Total", "Summe: 12", "---",
		"[1,2]", "{\"a\":1}", "{'a':'b'}", "[", "SYLK", "ID", strings.Repeat("long ", 500),
	}
}

// random returns a value of any kind. plain numbers are those that every format holds as numbers.
func random(r *rand.Rand, texts []string) record.Value {
	text := func() string {
		s := texts[r.IntN(len(texts))]
		for r.IntN(3) == 0 {
			s += texts[r.IntN(len(texts))]
		}
		return s
	}
	switch r.IntN(16) {
	case 0:
		return record.Value{}
	case 1:
		return record.NullOf()
	case 2:
		return record.NumberOf(fmt.Sprint(r.Int64N(1e15) - 5e14))
	case 3:
		return record.NumberOf(fmt.Sprintf("%d.%02d", r.IntN(1e9), 1+r.IntN(99)))
	case 4:
		return record.NumberOf(fmt.Sprintf("-%d.000001", 1+r.IntN(1e6)))
	case 5:
		return record.BoolOf(r.IntN(2) == 0)
	case 6:
		return record.Of(record.Date, fmt.Sprintf("%04d-%02d-%02d", 1901+r.IntN(8000), 1+r.IntN(12), 1+r.IntN(28)))
	case 7:
		zone := []string{"", "Z"}[r.IntN(2)]
		return record.Of(record.DateTime, fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d%s", 1901+r.IntN(300), 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), zone))
	case 8:
		return record.Of(record.Time, fmt.Sprintf("%02d:%02d:%02d", r.IntN(100), r.IntN(60), r.IntN(60)))
	case 9:
		items := make([]string, r.IntN(4))
		for i := range items {
			items[i] = text()
		}
		return record.ListOf(items)
	case 10:
		return record.Of(record.JSON, string(append(append([]byte(`{"k":`), record.TextOf(text()).AppendJSON(nil)...), '}')))
	case 11:
		return record.Of(record.Fault, "#N/A")
	}
	return record.TextOf(text())
}

// asText is what text files give back: what a person would type.
func asText(v record.Value) record.Value { return record.TextOf(v.Cell()) }

// asJSON is what JSON Lines give back: values that JSON has as they are, all else as text.
func asJSON(v record.Value) record.Value {
	switch v.Kind() {
	case record.Date, record.DateTime, record.Time, record.Fault:
		return record.TextOf(v.Text())
	}
	return v
}

// asSheet is what a workbook gives back: typed values as they are, lists and the like as text, nothing as no text.
func asSheet(v record.Value) record.Value {
	switch v.Kind() {
	case record.Number, record.Bool, record.Date, record.DateTime, record.Time:
		return v
	case record.List:
		return record.TextOf(v.Cell())
	}
	return record.TextOf(v.Text())
}

// content is what a text file's cell says; its reader may take #N/A for an error of the sheet that the file came from.
func content(v record.Value) record.Value { return record.TextOf(v.Text()) }

// bare takes a guard's apostrophe away, as an import does.
func bare(v record.Value) record.Value { return record.TextOf(record.Bare(v.Text())) }

// TestRoundTripKinds writes values of all kinds, and texts of the worst sort, and reads them back through every format
// that can hold them.
func TestRoundTripKinds(t *testing.T) {
	same := func(v record.Value) record.Value { return v }
	for _, c := range []struct {
		name string
		o    writers.Options
		in   readers.Options
		want func(record.Value) record.Value // of what was written
		got  func(record.Value) record.Value // of what was read
	}{
		{"x.csv", writers.Options{}, readers.Options{Delimiter: ","}, asText, content},
		{"guarded.csv", writers.Options{Guard: true}, readers.Options{Delimiter: ","}, asText, bare},
		{"excel.csv", writers.Options{BOM: true, Quote: "all", LineEnd: "crlf", Delimiter: ";"}, readers.Options{Delimiter: ";"}, asText, content},
		{"found.csv", writers.Options{Quote: "all"}, readers.Options{}, asText, content},
		{"x.tsv", writers.Options{}, readers.Options{}, asText, content},
		{"crlf.tsv.gz", writers.Options{LineEnd: "crlf"}, readers.Options{}, asText, content},
		{"x.jsonl", writers.Options{}, readers.Options{}, asJSON, same},
		{"x.jsonl.zst", writers.Options{}, readers.Options{}, asJSON, same},
		{"x.xlsx", writers.Options{}, readers.Options{}, asSheet, same},
	} {
		t.Run(c.name, func(t *testing.T) {
			const rows, columns = 400, 8
			r := rand.New(rand.NewPCG(7, 11))
			texts := hostile()
			names := make([]string, columns)
			for i := range names {
				names[i] = fmt.Sprintf("column %d", i)
			}
			h, err := record.NewHeader(names)
			if err != nil {
				t.Fatal(err)
			}
			b := &record.Batch{Header: h, Origin: h}
			for n := range rows {
				row := b.Add()
				row.Num = int64(n + 1)
				for k := range columns {
					v := random(r, texts)
					switch {
					case n == 0, k == 0: // a row without any value, and a column without any, are nothing in some formats
						v = record.TextOf(fmt.Sprint("row ", n))
					case n < len(texts) && k == 1:
						v = record.TextOf(texts[n])
					case n == 17 && k == 5:
						v = record.TextOf(strings.Repeat("é\"\n ", 8_191)) // almost as much as a cell can hold
					}
					if strings.Contains(c.name, "jsonl") && v.Kind() == record.JSON {
						v = record.Of(record.JSON, "{}") // members become columns of their own
					}
					row.Values = append(row.Values, v)
				}
			}
			path := filepath.Join(t.TempDir(), c.name)
			c.o.Header = h
			w, err := writers.Create(path, c.o)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(w.Apply(b), w.Write(t.Context(), b), w.Commit(t.Context()), w.Close()); err != nil {
				t.Fatal(err)
			}
			header, got := readValues(t, path, c.in)
			if fmt.Sprint(header) != fmt.Sprint(names) {
				t.Fatalf("columns %q", header)
			}
			if len(got) != rows {
				t.Fatalf("%d rows came back, %d were written", len(got), rows)
			}
			for n, row := range got {
				for k, v := range row {
					if in := b.Rows[n].Values[k]; c.got(v) != c.want(in) {
						t.Errorf("row %d, column %d: %v %.80q came back as %v %.80q", n, k, in.Kind(), in.Text(), v.Kind(), v.Text())
					}
				}
			}
		})
	}
}

func readValues(t *testing.T, path string, o readers.Options) (header []string, rows [][]record.Value) {
	t.Helper()
	r, err := readers.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for {
		var c pipeline.Chunk
		var b record.Batch
		if err = r.Next(context.Background(), &c); err == nil {
			err = r.Decode(&c, &b)
		}
		for i := range b.Rows {
			if b.Rows[i].Err != nil {
				t.Fatal(b.Rows[i].Err)
			}
			rows = append(rows, b.Rows[i].Values)
		}
		if errors.Is(err, io.EOF) {
			return r.Header().Names(), rows
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestRoundTripNested reads objects, whose members become columns, and writes them as what they were.
func TestRoundTripNested(t *testing.T) {
	text := `{"id":"1","preference":{"from_price":1.50,"areas":["a",{"b":null}]},"fields":{"3":"=1"},"empty":{}}` + "\n" +
		`{"id":"2","preference":{"areas":null},"note":"\u0000\r\n"}` + "\n"
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	names, rows := readValues(t, in, readers.Options{})
	h, err := record.NewHeader(names)
	if err != nil {
		t.Fatal(err)
	}
	b := &record.Batch{Header: h, Origin: h}
	for _, values := range rows {
		row := b.Add()
		row.Values = values
	}
	w, err := writers.Create(out, writers.Options{Header: h, Nested: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(t.Context(), b), w.Commit(t.Context()), w.Close()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, []byte(text)) {
		t.Errorf("%s\nwant %s (error %v)", got, text, err)
	}
}
