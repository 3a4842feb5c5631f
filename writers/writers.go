// Package writers is the shelf of file formats that can be written: a table, and a lookup by name. Each format has a
// folder of its own. Every file appears whole, by rename, or not at all.
package writers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/writers/csv"
	"github.com/crmetl/crmetl/writers/geojson"
	"github.com/crmetl/crmetl/writers/internal/whole"
	"github.com/crmetl/crmetl/writers/jsonl"
	"github.com/crmetl/crmetl/writers/parquet"
	"github.com/crmetl/crmetl/writers/xlsx"
)

// Options say how a file is written. What a format has no use for is not looked at, unless it would be lost.
type Options struct {
	Format    string                                               // csv, tsv, xlsx, jsonl, parquet, geojson; "" = by the name (also under .gz, .zst)
	Delimiter string                                               // csv: one character, or \t, tab; "" = comma
	Quote     string                                               // csv, tsv: which cells are quoted: minimal or all; "" = minimal
	LineEnd   string                                               // csv, tsv: lf or crlf; "" = lf
	BOM       bool                                                 // csv, tsv: begin with a byte order mark, for Excel
	Guard     bool                                                 // csv, tsv: keep spreadsheets from running texts as formulas
	Raw       bool                                                 // jsonl: the first cell of each row is JSON, a line of its own
	Nested    bool                                                 // jsonl: dots in names are nesting
	Record    func(dst []byte, rows []*record.Row) ([]byte, error) // jsonl: renders each record, one row or the rows of a group
	Sheet     string                                               // xlsx: name of the sheet
	Shape     string                                               // geojson: what a list of points is: line or polygon; "" = line
	Header    *record.Header                                       // the columns

	// Types say what the columns of Header hold, in the schema's words (text, id, phone, integer, number, boolean,
	// date, datetime, epoch, list, json, …); "" or a missing one: as the values are. xlsx keeps ids, phones and texts
	// as text also where a value is a number; parquet gives the column the type, as long as every value fits.
	Types []string

	Stdout io.Writer    // where "-" goes
	Warn   func(string) // is told what a person should know of the finished file, a line at a time; nil: nobody
}

// Writer is a file on its way. As a Step it renders batches, on any worker, after all other steps; as a Sink it puts
// them out in order, with one writer.
type Writer interface {
	pipeline.Sink
	pipeline.Step
}

// encoder is what the formats give: it renders and writes rows, and ends its format at Commit.
type encoder interface {
	pipeline.Sink
	pipeline.Step
}

// format is one entry of the shelf. open gets the file and its path, which is "" for a stream.
type format struct {
	name     string
	suffixes []string
	open     func(out io.Writer, path string, o Options) (encoder, error)
}

// formats returns the shelf.
func formats() []format {
	return []format{
		{"csv", []string{".csv"}, newCSV},
		{"tsv", []string{".tsv", ".tab"}, newCSV},
		{"xlsx", []string{".xlsx"}, newXLSX},
		{"jsonl", []string{".jsonl", ".ndjson"}, newJSONL},
		{"parquet", []string{".parquet"}, newParquet},
		{"geojson", []string{".geojson"}, newGeoJSON},
	}
}

// Create starts a file; "-" is standard output and needs a format. Nothing is seen at the path before Commit.
func Create(path string, o Options) (Writer, error) {
	f, err := pick(path, o.Format)
	if err != nil {
		return nil, err
	}
	o.Format = f.name
	if o.Raw && f.name != "jsonl" {
		return nil, fmt.Errorf("%s: raw records are JSON and go to a jsonl file, not to %s; name a .jsonl file or pass --format jsonl", path, f.name)
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	var out *whole.File
	place := path
	if path == "-" {
		if o.Stdout == nil {
			return nil, errors.New("standard output is not available here; name a file")
		}
		out, place = whole.Stream(o.Stdout, "standard output"), ""
	} else if out, err = whole.Create(path); err != nil {
		return nil, err
	}
	enc, err := f.open(out, place, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), out.Close())
	}
	return &writer{encoder: enc, out: out}, nil
}

func pick(path, name string) (format, error) {
	all := formats()
	var names []string
	for _, f := range all {
		if name != "" && strings.EqualFold(f.name, name) {
			return f, nil
		}
		names = append(names, f.name)
	}
	list := strings.Join(names, ", ")
	switch {
	case name != "":
		return format{}, fmt.Errorf("%s: there is no format %q to write; the formats are %s", path, name, list)
	case path == "-":
		return format{}, fmt.Errorf("standard output has no name to tell a format by; pass --format %s", list)
	}
	base, _ := whole.Compression(filepath.Base(path))
	ext := strings.ToLower(filepath.Ext(base))
	for _, f := range all {
		for _, s := range f.suffixes {
			if ext == s {
				return f, nil
			}
		}
	}
	return format{}, fmt.Errorf("%s: can't tell from the name what to write; name it .%s, or pass --format", path, strings.Join(names, ", ."))
}

// writer is an encoder over a file.
type writer struct {
	encoder
	out *whole.File
}

// Commit ends the format and puts the file in its place.
func (w *writer) Commit(ctx context.Context) error {
	if err := w.encoder.Commit(ctx); err != nil {
		return err
	}
	return w.out.Commit()
}

// Close frees encoder and file; without Commit nothing of the file is left.
func (w *writer) Close() error { return errors.Join(w.encoder.Close(), w.out.Close()) }

func newCSV(out io.Writer, _ string, o Options) (encoder, error) {
	c := csv.Options{Header: o.Header, Delimiter: o.Delimiter, Quote: o.Quote, LineEnd: o.LineEnd, BOM: o.BOM, Guard: o.Guard}
	if o.Format == "tsv" && c.Delimiter == "" {
		c.Delimiter = "tab"
	}
	return csv.New(out, c)
}

func newJSONL(out io.Writer, _ string, o Options) (encoder, error) {
	return jsonl.New(out, jsonl.Options{Header: o.Header, Raw: o.Raw, Nested: o.Nested, Record: o.Record})
}

func newParquet(out io.Writer, path string, o Options) (encoder, error) {
	dir := "" // of the temporary file: beside the target, where there must be room for it anyway
	if path != "" {
		dir = filepath.Dir(path)
	}
	return parquet.New(out, parquet.Options{Header: o.Header, Types: o.Types, Dir: dir, Warn: o.Warn})
}

func newGeoJSON(out io.Writer, _ string, o Options) (encoder, error) {
	return geojson.New(out, geojson.Options{Header: o.Header, Shape: o.Shape, Warn: o.Warn})
}

func newXLSX(out io.Writer, path string, o Options) (encoder, error) {
	x := xlsx.Options{Sheet: o.Sheet, Header: o.Header, Types: o.Types, Warn: o.Warn}
	if path == "" {
		return xlsx.New(out, x)
	}
	side := &sideFile{path: path + ".long-cells.csv"}
	x.Long = side.add
	enc, err := xlsx.New(out, x)
	if err != nil {
		return nil, err
	}
	return &withSide{encoder: enc, side: side}, nil
}
