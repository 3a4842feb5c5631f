// Package readers is the shelf of file formats that can be read: a table, and a lookup by name. Each format has a
// folder of its own. Open finds format and compression and hands the file to its reader.
package readers

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/readers/csv"
	"github.com/crmetl/crmetl/readers/jsonl"
	"github.com/crmetl/crmetl/readers/xlsx"
)

// Options say how a file is read. The zero value finds everything out.
type Options struct {
	Format    string // csv, tsv, xlsx, jsonl; "" = by the name (also under .gz, .zst)
	Delimiter string // one character, or \t, tab; "" = find out
	Encoding  string // "" = find out
	Sheet     string // name or 1-based number (xlsx)
	HeaderRow string // "" = find out / first, "none", or a 1-based number
	Range     string // A1:K900 (xlsx)
	Loose     bool   // conversions from file to file: keep empty and repeated column names as they are; otherwise they are an error that names the columns

	Quote   string // text files: the character around cells; "" = ", "none" = no quoting
	Escape  string // text files: the character that takes a quote's meaning away inside a quoted cell; "" = the quote, doubled
	Comment string // text files: lines that begin with it are passed over; "" = there are no comments
}

// Reader is an open file: a source that can also tell how it reads, and how far it has come.
type Reader interface {
	pipeline.Source
	// Evidence says how the file is read and why.
	Evidence() Evidence
	// BytesRead is how many bytes of the file, as it is stored, have been read so far. It may be called from any
	// goroutine.
	BytesRead() int64
}

// Evidence says how a file is read, and on what grounds.
type Evidence struct {
	Format      string   `json:"format"`
	Compression string   `json:"compression,omitempty"` // gzip, zstd
	Encoding    string   `json:"encoding,omitempty"`
	Delimiter   string   `json:"delimiter,omitempty"` // the character itself
	Quote       string   `json:"quote,omitempty"`     // the character itself, or none
	LineEnds    string   `json:"line_ends,omitempty"` // lf, crlf, cr, or mixed
	Sheet       string   `json:"sheet,omitempty"`
	Sheets      []string `json:"sheets,omitempty"`
	HeaderRow   int      `json:"header_row"` // 1-based line or sheet row of the header, 0 if there is none
	Columns     []string `json:"columns"`
	Notes       []string `json:"notes,omitempty"` // the grounds, in words
}

// format is one entry of the shelf.
type format struct {
	name     string
	suffixes []string
	open     func(*file, Options) (Reader, error)
}

// formats returns the shelf.
func formats() []format {
	return []format{
		{"csv", []string{".csv"}, openCSV},
		{"tsv", []string{".tsv", ".tab"}, openCSV},
		{"xlsx", []string{".xlsx", ".xlsm"}, openXLSX},
		{"jsonl", []string{".jsonl", ".ndjson"}, openJSONL},
	}
}

// Open opens a file for reading. The caller closes the reader, usually by running it. Errors name the file and say
// what to do: there is no such file, it is a folder, empty or may not be read, it is something else than its name
// says, its header is no good, or its format, encoding or delimiter can't be known.
func Open(path string, o Options) (Reader, error) {
	f, err := pick(path, o.Format)
	if err != nil {
		return nil, err
	}
	in, err := openFile(path)
	if err != nil {
		return nil, err
	}
	if err := in.check(f.name, o.Format != ""); err != nil {
		_ = in.Close()
		return nil, err
	}
	o.Format = f.name
	r, err := f.open(in, o)
	if err != nil {
		_ = in.Close()
		return nil, err
	}
	return r, nil
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
	if name != "" {
		return format{}, fmt.Errorf("%s: there is no format %q; the formats are %s", path, name, strings.Join(names, ", "))
	}
	base, _ := splitCompression(strings.ToLower(filepath.Base(path)))
	ext := filepath.Ext(base)
	for _, f := range all {
		for _, s := range f.suffixes {
			if ext == s {
				return f, nil
			}
		}
	}
	if _, err := os.Stat(path); err != nil {
		return format{}, openError(path, err)
	}
	what := "has no extension to tell its format by"
	if ext != "" {
		what = fmt.Sprintf("can't tell the format from the extension %q", ext)
	}
	return format{}, fmt.Errorf("%s: %s; pass --format %s", path, what, strings.Join(names, ", "))
}

// opened is a text reader together with the file below it.
type opened struct {
	pipeline.Source
	in       *file
	evidence Evidence
}

func (o *opened) Evidence() Evidence { return o.evidence }
func (o *opened) BytesRead() int64   { return o.in.read.Load() }

// Close closes the reader and the file.
func (o *opened) Close() error {
	err := o.Source.Close()
	if cerr := o.in.Close(); err == nil {
		err = cerr
	}
	return err
}

func openCSV(in *file, o Options) (Reader, error) {
	c := csv.Options{Name: in.path, Delimiter: o.Delimiter, Encoding: o.Encoding, HeaderRow: o.HeaderRow, Loose: o.Loose, Quote: o.Quote, Escape: o.Escape, Comment: o.Comment}
	if o.Format == "tsv" && c.Delimiter == "" {
		c.Delimiter = "tab"
	}
	r, err := csv.New(in, c)
	if err != nil {
		return nil, err
	}
	e := r.Evidence()
	return &opened{Source: r, in: in, evidence: Evidence{
		Format: o.Format, Compression: in.compression, Encoding: e.Encoding, Delimiter: e.Delimiter, Quote: e.Quote,
		LineEnds: e.LineEnds, HeaderRow: e.HeaderRow, Columns: r.Header().Names(), Notes: e.Notes,
	}}, nil
}

func openJSONL(in *file, o Options) (Reader, error) {
	r, err := jsonl.New(in, jsonl.Options{Name: in.path, Encoding: o.Encoding})
	if err != nil {
		return nil, err
	}
	e := r.Evidence()
	return &opened{Source: r, in: in, evidence: Evidence{
		Format: o.Format, Compression: in.compression, Encoding: e.Encoding, Columns: r.Header().Names(), Notes: e.Notes,
	}}, nil
}

// workbook is an XLSX reader, and the temporary file that a compressed workbook was unpacked to.
type workbook struct {
	*xlsx.Reader
	evidence Evidence
	temp     string
}

func (w *workbook) Evidence() Evidence { return w.evidence }

// Close closes the workbook and removes the temporary file, if there is one.
func (w *workbook) Close() error {
	err := w.Reader.Close()
	if w.temp != "" {
		_ = os.Remove(w.temp)
	}
	return err
}

func openXLSX(in *file, o Options) (Reader, error) {
	defer func() { _ = in.Close() }() // a workbook is read from its end: the reader opens it by itself
	w := &workbook{}
	path := in.path
	if in.compression != "" {
		var err error
		if w.temp, err = unpack(in); err != nil {
			return nil, err
		}
		path = w.temp
	}
	r, err := xlsx.Open(path, xlsx.Options{Sheet: o.Sheet, HeaderRow: o.HeaderRow, Range: o.Range, Loose: o.Loose})
	if err != nil {
		if w.temp != "" {
			_ = os.Remove(w.temp)
			return nil, fmt.Errorf("%s, unpacked: %w", in.path, err)
		}
		return nil, err
	}
	e := r.Evidence()
	w.Reader = r
	w.evidence = Evidence{Format: o.Format, Compression: in.compression, Sheet: e.Sheet, Sheets: e.Sheets, HeaderRow: e.HeaderRow, Columns: r.Header().Names(), Notes: e.Notes}
	return w, nil
}

// unpack copies a compressed workbook into a temporary file that only its owner can read.
func unpack(in *file) (string, error) {
	t, err := os.CreateTemp("", "crmetl-*.xlsx")
	if err != nil {
		return "", fmt.Errorf("%s: it is unpacked into a temporary file: %w", in.path, err)
	}
	_, err = io.Copy(t, in)
	if cerr := t.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(t.Name())
		return "", fmt.Errorf("%s: it is unpacked into a temporary file: %w", in.path, err)
	}
	return t.Name(), nil
}
