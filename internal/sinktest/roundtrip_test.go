package sinktest_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/readers"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/writers"
)

// FuzzRoundTrip writes cells and reads them back: every format must return what it was given, and a file that is read
// and written again must be the same.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"a,b", "x\"y;z", "\"", "\n;\r\n;\r", " ;\t; x ", ";;", "\ufeff;sep=,", "é;🦆;\u00a0", "a|b;c\td", "\x00;1", "#;'", "{\"a\":1};[1]"} {
		f.Add(s, "name;other")
	}
	f.Fuzz(func(t *testing.T, cells, names string) {
		columns := strings.Split(names, ";")
		values := strings.Split(cells, ";")
		for i := range columns {
			columns[i] = strings.TrimSpace(strings.Trim(columns[i], "\ufeff"))
		}
		header, err := record.NewHeader(columns)
		if err != nil || !utf8.ValidString(cells) || !utf8.ValidString(names) || strings.Contains(cells+names, "\x00") || len(columns) > 20 {
			t.Skip("no header, or text that looks like UTF-16")
		}
		for len(values)%len(columns) != 0 {
			values = append(values, "")
		}
		var want [][]string
		for part := range slices.Chunk(values, len(columns)) {
			want = append(want, part)
		}
		for name, o := range map[string]writers.Options{
			"x.csv": {}, "x.tsv": {}, "semicolon.csv": {Delimiter: ";"}, "mark.csv": {BOM: true}, "x.jsonl": {},
			"quotes.csv": {Quote: "all"}, "crlf.csv": {LineEnd: "crlf"}, "both.tsv": {Quote: "all", LineEnd: "crlf"},
		} {
			path := filepath.Join(t.TempDir(), name)
			o.Header = header
			if err := write(path, o, want); err != nil {
				t.Fatal(err)
			}
			gotColumns, got, err := read(path, readers.Options{Delimiter: delimiter(name, o)})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !slices.Equal(gotColumns, columns) || !slices.EqualFunc(got, want, slices.Equal) {
				t.Fatalf("%s: %q %q, want %q %q", name, gotColumns, got, columns, want)
			}
		}
	})
}

func delimiter(name string, o writers.Options) string {
	if o.Delimiter == "" && strings.HasSuffix(name, ".csv") {
		return ","
	}
	return o.Delimiter
}

func write(path string, o writers.Options, rows [][]string) error {
	w, err := writers.Create(path, o)
	if err != nil {
		return err
	}
	b := &record.Batch{Header: o.Header, Origin: o.Header}
	for _, cells := range rows {
		row := b.Add()
		row.Values = b.Cells(len(cells))
		for i, s := range cells {
			row.Values[i] = record.TextOf(s)
		}
	}
	ctx := context.Background()
	return errors.Join(w.Apply(b), w.Write(ctx, b), w.Commit(ctx), w.Close())
}

func read(path string, o readers.Options) (columns []string, rows [][]string, err error) {
	r, err := readers.Open(path, o)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		var c pipeline.Chunk
		var b record.Batch
		if err = r.Next(context.Background(), &c); err == nil {
			err = r.Decode(&c, &b)
		}
		for i := range b.Rows {
			if b.Rows[i].Err != nil {
				return nil, nil, b.Rows[i].Err
			}
			var cells []string
			for _, v := range b.Rows[i].Values {
				cells = append(cells, v.Text())
			}
			rows = append(rows, cells)
		}
		if errors.Is(err, io.EOF) {
			return r.Header().Names(), rows, nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
}
