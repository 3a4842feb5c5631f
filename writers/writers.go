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
	"github.com/crmetl/crmetl/writers/internal/whole"
	"github.com/crmetl/crmetl/writers/jsonl"
	"github.com/crmetl/crmetl/writers/xlsx"
)

// Options say how a file is written.
type Options struct {
	Format    string                                               // csv, tsv, xlsx, jsonl; "" = by the name (also under .gz, .zst)
	Delimiter string                                               // csv: one character, or \t, tab; "" = comma
	BOM       bool                                                 // csv, tsv: begin with a byte order mark, for Excel
	Guard     bool                                                 // csv, tsv: keep spreadsheets from running texts as formulas
	Raw       bool                                                 // jsonl: the first cell of each row is JSON, a line of its own
	Nested    bool                                                 // jsonl: dots in names are nesting
	Record    func(dst []byte, rows []*record.Row) ([]byte, error) // jsonl: renders each record, one row or the rows of a group
	Sheet     string                                               // xlsx: name of the sheet
	Header    *record.Header                                       // the columns
	Stdout    io.Writer                                            // where "-" goes
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

type format struct {
	name     string
	suffixes []string
	open     func(io.Writer, Options) (encoder, error)
}

// formats returns the shelf.
func formats() []format {
	return []format{
		{"csv", []string{".csv"}, newCSV},
		{"tsv", []string{".tsv", ".tab"}, newCSV},
		{"xlsx", []string{".xlsx"}, newXLSX},
		{"jsonl", []string{".jsonl", ".ndjson"}, newJSONL},
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
	var out *whole.File
	if path == "-" {
		if o.Stdout == nil {
			return nil, errors.New("standard output is not available here; name a file")
		}
		out = whole.Stream(o.Stdout, "standard output")
	} else if out, err = whole.Create(path); err != nil {
		return nil, err
	}
	enc, err := f.open(out, o)
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

func newCSV(out io.Writer, o Options) (encoder, error) {
	c := csv.Options{Header: o.Header, Delimiter: o.Delimiter, BOM: o.BOM, Guard: o.Guard}
	if o.Format == "tsv" && c.Delimiter == "" {
		c.Delimiter = "tab"
	}
	return csv.New(out, c)
}

func newJSONL(out io.Writer, o Options) (encoder, error) {
	return jsonl.New(out, jsonl.Options{Header: o.Header, Raw: o.Raw, Nested: o.Nested, Record: o.Record})
}

func newXLSX(out io.Writer, o Options) (encoder, error) {
	return xlsx.New(out, xlsx.Options{Sheet: o.Sheet, Header: o.Header})
}
