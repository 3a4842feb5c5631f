// Package readers is the shelf of file formats that can be read: a table, and a lookup by name. Each format has a
// folder of its own. Open finds format and compression and hands the file to its reader.
package readers

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/crmetl/crmetl/internal/columns"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/readers/csv"
	"github.com/crmetl/crmetl/readers/internal/text"
	"github.com/crmetl/crmetl/readers/jsonl"
	"github.com/crmetl/crmetl/readers/xlsx"
	"github.com/crmetl/crmetl/record"
)

// Options say how a file is read. The zero value finds everything out.
type Options struct {
	Format    string // csv, tsv, xlsx, jsonl; "" = by the name (also under .gz, .zst, .zip)
	Delimiter string // one character, or \t, tab; "" = find out
	Encoding  string // "" = find out
	Sheet     string // name or 1-based number (xlsx)
	HeaderRow string // "" = find out / first, "none", or a 1-based number; xlsx also a run of rows whose names are joined, 2-3
	Range     string // A1:K900 (xlsx)

	SkipHidden bool // xlsx: leave out the rows that are hidden; otherwise they are read, and the evidence counts them
	FillMerged bool // xlsx: give every cell that a merged cell covers its value; otherwise only the first one has it

	// Loose is for conversions from file to file: it keeps empty and repeated column names as they are, which otherwise
	// are an error that names the columns, and totals below the table, which otherwise are refused rows.
	Loose bool

	// Hasty tells the encoding of delimited text by its beginning alone, if that is UTF-8, and spares a pass over the file.
	// Reading ends with an error at a byte that is not UTF-8: whoever asks for this opens the file again without it.
	Hasty bool

	// Bare, if not 0, gives delimited text's rows below that line no cells, but for the last ones: for a look at a file that
	// only counts its rows, and finds those that can't be read.
	Bare int64

	Quote   string // text files: the character around cells; "" = find out, "none" = no quoting
	Escape  string // text files: the character that takes a quote's meaning away inside a quoted cell; "" = find out, the quote itself = doubled
	Comment string // text files: lines that begin with it are passed over; "" = find out, "none" = there are no comments
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
	Compression string   `json:"compression,omitempty"` // gzip, zstd, zip
	Encoding    string   `json:"encoding,omitempty"`
	Delimiter   string   `json:"delimiter,omitempty"` // the character itself
	Quote       string   `json:"quote,omitempty"`     // the character itself, or none
	Escape      string   `json:"escape,omitempty"`    // the character that takes a quote's meaning away; "" = quotes are doubled
	Comment     string   `json:"comment,omitempty"`   // lines that begin with it are passed over
	LineEnds    string   `json:"line_ends,omitempty"` // lf, crlf, cr, or mixed
	Sheet       string   `json:"sheet,omitempty"`
	Sheets      []string `json:"sheets,omitempty"`
	HeaderRow   int      `json:"header_row"` // 1-based line or sheet row of the header, 0 if there is none
	Columns     []string `json:"columns"`
	Notes       []string `json:"notes,omitempty"` // the grounds, in words
	// Warnings are those of the notes that whoever uses the rows must hear of: what was guessed, taken for granted, or
	// left out.
	Warnings []string `json:"warnings,omitempty"`
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
		{"xlsx", []string{".xlsx", ".xlsm", ".xltx", ".xltm", ".xls", ".xlsb", ".ods"}, openXLSX},
		{"jsonl", []string{".jsonl", ".ndjson"}, openJSONL},
	}
}

// Open opens a file for reading. The caller closes the reader, usually by running it. Errors name the file and say
// what to do: there is no such file, it is a folder, empty or may not be read, it is something else than its name
// says, its header is no good, or its format, encoding or delimiter can't be known.
func Open(path string, o Options) (Reader, error) {
	_, compression := splitCompression(strings.ToLower(path))
	f, err := pick(path, o.Format)
	if err != nil && compression != "zip" {
		return nil, err
	}
	in, ferr := openFile(path)
	if ferr != nil {
		return nil, ferr
	}
	if compression == "zip" && o.Format == "" {
		// The file's own name says more than that of the archive.
		if x, ok := byName(in.inner); ok {
			f, err = x, nil
		}
	}
	if err != nil {
		_ = in.Close()
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
	if f, ok := byName(path); ok {
		return f, nil
	}
	base, _ := splitCompression(strings.ToLower(filepath.Base(path)))
	ext := filepath.Ext(base)
	if _, err := os.Stat(path); err != nil {
		return format{}, openError(path, err)
	}
	what := "has no extension to tell its format by"
	if ext != "" {
		what = fmt.Sprintf("can't tell the format from the extension %q", ext)
	}
	return format{}, fmt.Errorf("%s: %s; pass --format %s", path, what, strings.Join(names, ", "))
}

// byName finds the format that a file's name tells.
func byName(path string) (format, bool) {
	base, _ := splitCompression(strings.ToLower(filepath.Base(path)))
	for _, f := range formats() {
		if slices.Contains(f.suffixes, filepath.Ext(base)) {
			return f, true
		}
	}
	return format{}, false
}

// opened is a text reader together with the file below it.
type opened struct {
	pipeline.Source
	in       *file
	delim    *csv.Reader // nil for JSON Lines
	loose    bool
	mu       sync.Mutex
	evidence Evidence
}

// Evidence says how the text is read and why; more of it may be known at the end.
func (o *opened) Evidence() Evidence {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.evidence
}

func (o *opened) BytesRead() int64 { return min(o.in.read.Load(), o.in.size) }

// Decode turns a chunk into rows. It refuses totals and other lines below the table, and tells a spreadsheet's errors
// from texts, as in workbooks.
func (o *opened) Decode(c *pipeline.Chunk, b *record.Batch) error {
	err := o.Source.Decode(c, b)
	if o.delim == nil || err != nil {
		return err
	}
	if !o.loose && bytes.IndexByte(c.Data, '#') >= 0 {
		faults(b)
	}
	if said := o.delim.Foot(c, b, !o.loose); said != "" {
		o.mu.Lock()
		o.evidence.Notes = append(slices.Clone(o.evidence.Notes), said)
		o.evidence.Warnings = append(slices.Clone(o.evidence.Warnings), said)
		o.mu.Unlock()
	}
	return nil
}

// faults finds the cells that show a spreadsheet's error in place of a value: #N/A, #####.
func faults(b *record.Batch) {
	for i := range b.Rows {
		for k, v := range b.Rows[i].Origin {
			if s := v.Text(); len(s) > 2 && s[0] == '#' && columns.ErrorCell(s) {
				b.Rows[i].Origin[k] = record.Of(record.Fault, s)
				b.Rows[i].Text = ""
			}
		}
	}
}

// Close closes the reader and the file.
func (o *opened) Close() error {
	err := o.Source.Close()
	if cerr := o.in.Close(); err == nil {
		err = cerr
	}
	return err
}

// beginsUTF8 reports whether the beginning of the file is UTF-8.
func (in *file) beginsUTF8() bool {
	head, err := in.buf.Peek(headSize)
	return text.Invalid(head, err != nil) < 0
}

// encoding looks at the whole file, if its beginning leaves its encoding open: rows are not to be read as UTF-8 up to
// the one that shows that they are not. It returns nil if there is nothing to add to what the beginning tells.
func (in *file) encoding(told string) (*text.Encoding, error) {
	if told != "" || !in.regular {
		return nil, nil
	}
	head, err := in.buf.Peek(headSize)
	if err != nil || text.Marked(head) {
		return nil, nil // all of it is in the head, or it says so itself
	}
	again, err := openFile(in.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = again.Close() }()
	s, err := text.ScanAll(again)
	if err != nil {
		return nil, nil // reading comes to the same fault, after the rows before it
	}
	e, err := s.Resolve()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.path, err)
	}
	return &e, nil
}

func openCSV(in *file, o Options) (Reader, error) {
	var found *text.Encoding
	if !o.Hasty || !in.beginsUTF8() {
		var err error
		if found, err = in.encoding(o.Encoding); err != nil {
			return nil, err
		}
	}
	c := csv.Options{Name: in.path, Delimiter: o.Delimiter, Encoding: o.Encoding, HeaderRow: o.HeaderRow, Loose: o.Loose, Quote: o.Quote, Escape: o.Escape, Comment: o.Comment, Bare: o.Bare, Found: found}
	if o.Format == "tsv" && c.Delimiter == "" {
		c.Delimiter = "tab"
	}
	r, err := csv.New(in, c)
	if err != nil {
		return nil, err
	}
	e := r.Evidence()
	return &opened{Source: r, in: in, delim: r, loose: o.Loose, evidence: Evidence{
		Format: o.Format, Compression: in.compression, Encoding: e.Encoding, Delimiter: e.Delimiter, Quote: e.Quote, Escape: e.Escape, Comment: e.Comment,
		LineEnds: e.LineEnds, HeaderRow: e.HeaderRow, Columns: r.Header().Names(), Notes: append(in.notes(), e.Notes...), Warnings: e.Warnings,
	}}, nil
}

// notes says what the file was taken out of.
func (in *file) notes() []string {
	if in.inner == "" {
		return nil
	}
	return []string{fmt.Sprintf("archive: the one file in it is %s", shownName(in.inner))}
}

func openJSONL(in *file, o Options) (Reader, error) {
	found, err := in.encoding(o.Encoding)
	if err != nil {
		found = nil // JSON is UTF-8: lines that are not are refused, the others are read
	}
	r, err := jsonl.New(in, jsonl.Options{Name: in.path, Encoding: o.Encoding, Found: found})
	if err != nil {
		return nil, err
	}
	e := r.Evidence()
	return &opened{Source: r, in: in, evidence: Evidence{
		Format: o.Format, Compression: in.compression, Encoding: e.Encoding, Columns: r.Header().Names(), Notes: append(in.notes(), e.Notes...), Warnings: e.Warnings,
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
	r, err := xlsx.Open(path, xlsx.Options{
		Sheet: o.Sheet, HeaderRow: o.HeaderRow, Range: o.Range, Loose: o.Loose, SkipHidden: o.SkipHidden, FillMerged: o.FillMerged,
	})
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
