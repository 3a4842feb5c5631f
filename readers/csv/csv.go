// Package csv reads delimited text as a stream: it finds encoding, delimiter and header, cuts the text at record
// boundaries, and turns each piece into rows on any goroutine. A row that breaks the rules is rejected where its end is
// sure; where it is not, reading ends with an error, because nothing after it can be trusted.
package csv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/readers/internal/text"
	"github.com/crmetl/crmetl/record"
)

// Options say how the text is read. The zero value finds out what can be found out.
type Options struct {
	Name      string         // what errors call the file
	Delimiter string         // one character (more are taken, too), or \t, tab; "" = find out
	Encoding  string         // "" = find out
	HeaderRow string         // "" = the first line that is as wide as the table, "none", or a 1-based line
	Loose     bool           // keep column names as they are, also empty and repeated ones, and totals below the table
	Quote     string         // "" = find out, "none" = no quoting, or one ASCII character
	Escape    string         // "" = find out: a quote inside a quoted cell is doubled, or a backslash stands before it; or one ASCII character
	Comment   string         // lines that begin so are passed over; "" = find out whether there are lines that begin with #; "none" = there are no comments
	Bare      int64          // rows below this line have no cells, but for those of the last chunk: for whom counting them is enough; 0: all have
	Found     *text.Encoding // the encoding, where somebody looked at more of the text than its beginning; Encoding is then not looked at
}

// Evidence says how the text is read and why.
type Evidence struct {
	Encoding  string
	Delimiter string
	Quote     string // the character, or none
	Escape    string // the character that takes a quote's meaning away; "" = a quote is doubled
	Comment   string // what lines begin with that are left out; "" = there are none
	LineEnds  string // lf, crlf, cr, mixed; "" if the sample has none
	HeaderRow int    // 1-based line, 0 if there is no header
	Notes     []string
	Warnings  []string // those of the notes that a user must hear of: what was guessed or left out
}

// Sizes in bytes.
const (
	headSize   = 64 << 10  // what the dialect is found by
	pieceSize  = 31 << 10  // of a chunk, unless a record is longer: what a core's caches hold, with all that is made of it
	lookAhead  = 256 << 10 // how far the end of a damaged record is sought
	maxRecord  = 16 << 20  // of one record
	maxColumns = 50_000    // not bytes, but cells of a record: a header with more is none
	lookMargin = 1 << 10   // read beyond a chunk, so that its last record has its end in memory
)

// Reader is a pipeline.Source of delimited text.
type Reader struct {
	name     string
	src      io.Reader
	enc      text.Encoding
	d        dialect
	header   *record.Header
	evidence Evidence
	bare     int64
	blanks   string // what stands for the text of chunks whose cells nobody looks at

	// What Next knows. Decode uses none of it.
	buf    []byte  // text that is not handed out yet; begins at a record
	end    error   // why no more is read into buf: io.EOF, or a fault of the file
	fault  error   // what Next returns from now on
	line   int64   // where buf begins
	off    int64   // where buf begins, in bytes of the text
	piece  int     // bytes of a chunk, unless a record is longer
	margin int     // bytes to read beyond it
	scan   int     // where the search for a boundary goes on
	open   int     // the opening quote that scan is behind, -1 if scan is outside of quotes
	marks  *window // memory of quickBoundary; nil if there is none
	marked bool    // quickBoundary found the boundary of the chunk: its marks are there
}

// New opens a text. It reads the beginning: errors name the file and say what to do about an unknown encoding, bytes
// that are not of the encoding, a delimiter that can't be told, and a header with empty or repeated names. The reader
// does not close r.
func New(r io.Reader, o Options) (*Reader, error) {
	c := &Reader{name: o.Name, bare: o.Bare, piece: pieceSize, margin: lookMargin, line: 1, open: -1}
	if c.bare > 0 {
		c.blanks = strings.Repeat(" ", 2*pieceSize)
	}
	if err := c.start(r, o); err != nil {
		return nil, c.wrap(err)
	}
	return c, nil
}

// wrap puts the file's name before an error, unless a layer below did.
func (r *Reader) wrap(err error) error {
	if r.name == "" || errors.Is(err, io.EOF) || strings.HasPrefix(err.Error(), r.name+":") {
		return err
	}
	return fmt.Errorf("%s: %w", r.name, err)
}

func (r *Reader) start(in io.Reader, o Options) error {
	br := bufio.NewReaderSize(in, headSize)
	head, err := br.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(head) == 0 {
		return errors.New("the file is empty")
	}
	if o.Found != nil {
		r.enc = *o.Found
	} else if r.enc, err = text.Detect(head, err != nil, o.Encoding); err != nil {
		return err
	}
	r.evidence = Evidence{Encoding: r.enc.Name, Notes: r.enc.Notes}
	if r.enc.Guessed {
		r.evidence.Warnings = r.enc.Notes[:1:1]
	}
	// What is not in the head is read straight into the chunks: br has nothing else.
	r.src = r.enc.Reader(io.MultiReader(bytes.NewReader(head), in))
	r.fill(headSize)
	if r.end != nil && !errors.Is(r.end, io.EOF) {
		return r.end // better before the first row than after some
	}
	if len(r.buf) == 0 {
		return errors.New("the file is empty: there is nothing in it but a byte order mark")
	}
	found, err := sniff(r.buf[:min(len(r.buf), headSize)], r.end != nil && len(r.buf) <= headSize, o)
	if err != nil {
		return err
	}
	r.d = found.dialect
	r.evidence.Delimiter, r.evidence.Quote, r.evidence.LineEnds = r.d.delim, "none", found.lineEnds
	if r.d.quote != 0 {
		r.evidence.Quote = string(rune(r.d.quote))
	}
	if r.d.escape != 0 {
		r.evidence.Escape = string(rune(r.d.escape))
	}
	r.evidence.Comment = r.d.comment
	r.evidence.Notes = append(r.evidence.Notes, found.notes...)
	r.evidence.Warnings = append(r.evidence.Warnings, found.warnings...)
	r.drop(found.skip)
	return r.readHeader(o)
}

// drop passes over the first n bytes of buf.
func (r *Reader) drop(n int) {
	r.line += text.Lines(r.buf[:n])
	r.off += int64(n)
	r.buf = r.buf[n:]
	r.scan, r.open = 0, -1
}

func (r *Reader) readHeader(o Options) error {
	row, none := 0, o.HeaderRow == "none"
	if o.HeaderRow != "" && !none {
		var err error
		if row, err = strconv.Atoi(o.HeaderRow); err != nil || row < 1 {
			return fmt.Errorf("the header row is a line number from 1, or none, not %q", o.HeaderRow)
		}
		if r.line > int64(row) {
			return fmt.Errorf("line %d is the sep= line of Excel; the header can't stand there", row)
		}
	}
	for r.line < int64(row) {
		n, err := r.lineEnd()
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("the header row is said to be line %d, and the file ends before it", row)
		}
		r.drop(n)
	}
	var cells []span
	for {
		rec, err := r.first(&cells)
		if err != nil {
			return err
		}
		if rec.kind != blank {
			names := make([]string, len(cells))
			for i, c := range cells {
				names[i] = r.d.text(string(r.buf[c.from:c.to]), c)
			}
			if row > 0 && r.line > int64(row) {
				said := fmt.Sprintf("header: line %d, as told, has no text; it is line %d", row, r.line)
				r.evidence.Notes, r.evidence.Warnings = append(r.evidence.Notes, said), append(r.evidence.Warnings, said)
			}
			return r.setHeader(names, rec.end, none, o)
		}
		if rec.end == 0 && row > 0 {
			return fmt.Errorf("line %d, where the header is said to be, has no text, nor has any line below it", row)
		}
		if rec.end == 0 {
			return errors.New("the file has no line with text in it")
		}
		r.drop(rec.end)
	}
}

// lineEnd returns where the first line of buf ends, whatever is in it; 0 if nothing is left.
func (r *Reader) lineEnd() (int, error) {
	for {
		if n := endOfLine(r.buf, 0, r.end != nil); n > 0 {
			return n, nil
		}
		if r.end != nil {
			if !errors.Is(r.end, io.EOF) {
				return 0, r.end
			}
			return len(r.buf), nil
		}
		if len(r.buf) > maxRecord {
			return 0, r.tooLong(0)
		}
		r.fill(2 * len(r.buf))
	}
}

// first reads the first record of buf.
func (r *Reader) first(cells *[]span) (rec, error) {
	for {
		got := r.d.record(r.buf, 0, r.end != nil, cells)
		switch {
		case got.kind == more && r.end == nil:
			if len(r.buf) > maxRecord {
				return got, r.tooLong(0)
			}
			r.fill(2 * len(r.buf))
			continue
		case r.end != nil && !errors.Is(r.end, io.EOF) && got.end == len(r.buf):
			return got, r.end
		case got.kind == unclosed:
			return got, r.unclosed(got.open)
		case got.stray >= 0:
			return got, fmt.Errorf("line %d: text follows a closing quote in the header; write quotes inside a cell twice", r.lineAt(got.stray))
		}
		return got, nil
	}
}

func (r *Reader) setHeader(names []string, end int, none bool, o Options) error {
	at := r.line
	if len(names) > maxColumns {
		return fmt.Errorf("line %d, the header: it has more than %d columns; that is no table, or not its delimiter (%s)", at, maxColumns, shown(r.d.delim))
	}
	if none {
		for i := range names {
			names[i] = "column_" + strconv.Itoa(i+1)
		}
		r.evidence.Notes = append(r.evidence.Notes, "header none: as told; columns are numbered")
	} else {
		r.evidence.HeaderRow = int(at)
		r.drop(end)
	}
	if o.Loose {
		r.header = record.LooseHeader(names)
		return nil
	}
	for i, n := range names {
		names[i] = strings.TrimSpace(strings.Trim(n, "\ufeff"))
	}
	var err error
	if r.header, err = record.NewHeader(names); err != nil {
		return fmt.Errorf("line %d, the header: %w", at, oneLine(err))
	}
	return nil
}

// oneLine puts joined errors on one line.
func oneLine(err error) error {
	return &lineError{strings.ReplaceAll(err.Error(), "\n", "; "), err}
}

type lineError struct {
	text string
	err  error
}

func (e *lineError) Error() string { return e.text }
func (e *lineError) Unwrap() error { return e.err }

// Header names the columns.
func (r *Reader) Header() *record.Header { return r.header }

// Evidence says how the text is read and why.
func (r *Reader) Evidence() Evidence { return r.evidence }

// Close does nothing: the file belongs to whoever opened it.
func (r *Reader) Close() error { return nil }

// Next fills c with whole records.
func (r *Reader) Next(ctx context.Context, c *pipeline.Chunk) error {
	if old, ok := c.Extra.(*window); ok {
		r.marks = old
	}
	c.Data, c.Line, c.Cursor, c.Extra = c.Data[:0], 0, "", nil
	r.marked = false
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if r.fault != nil {
		return r.fault
	}
	n, fault := r.whole()
	if at, wide := r.tooWide(n); wide {
		n, fault = at, fmt.Errorf("line %d: the row has more than %d cells; that is no table, or not its delimiter", r.lineAt(at), maxColumns)
	}
	if fault != nil {
		r.fault = r.wrap(fault)
	}
	if n == 0 {
		if r.fault == nil {
			r.fault = io.EOF
		}
		return r.fault
	}
	if n == len(r.buf) && r.end == nil {
		r.fill(n + 1)
	}
	switch {
	case n == len(r.buf) && fault == nil:
		c.Extra = lastChunk{}
	case r.marked && n <= windowSize: // a line end may lie across the window's end
		r.marks.cut(n)
		c.Extra, r.marks = r.marks, nil // whoever decodes it need not look for them again
	}
	// The chunk takes the buffer and leaves its own, so that only the tail is copied.
	full, tail := r.buf[:n], r.buf[n:]
	r.buf = append(c.Data[:0], tail...)
	c.Data = full
	c.Line = r.line
	r.line += text.Lines(full)
	r.off += int64(n)
	c.Cursor = strconv.FormatInt(r.off, 10)
	r.scan, r.open = 0, -1
	return nil
}

// tooWide finds the first record of the first n bytes of buf that has more cells than a table.
func (r *Reader) tooWide(n int) (int, bool) {
	if n <= maxColumns || bytes.Count(r.buf[:n], []byte(r.d.delim)) < maxColumns {
		return 0, false
	}
	var cells []span
	for pos := 0; pos < n; {
		got := r.d.record(r.buf, pos, r.end != nil, &cells)
		if len(cells) > maxColumns {
			return pos, true
		}
		if got.end <= pos {
			break
		}
		pos = got.end
	}
	return 0, false
}

// fill reads until buf holds want bytes or the text ends.
func (r *Reader) fill(want int) {
	if cap(r.buf) < want {
		r.buf = append(make([]byte, 0, want+lookMargin), r.buf...)
	}
	for idle := 0; len(r.buf) < want && r.end == nil; {
		n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		if err != nil {
			r.end = err
			return
		}
		if idle++; n > 0 {
			idle = 0
		} else if idle > 100 {
			r.end = io.ErrNoProgress
		}
	}
}

// whole finds how much of buf can be handed out. With a fault, nothing after it can.
func (r *Reader) whole() (int, error) {
	r.fill(r.piece + r.margin)
	for {
		n, got := r.boundary()
		switch {
		case got == found:
			return n, nil
		case got == lost:
			at := r.startOf(n)
			return at, fmt.Errorf("line %d: text follows a closing quote, and where the row ends is not sure; nothing after it can be trusted; write quotes inside a cell twice", r.lineAt(n))
		case r.end == nil && len(r.buf) < r.piece+r.margin+maxRecord:
			r.fill(len(r.buf) + max(r.margin, len(r.buf)/2))
		case r.end == nil:
			at := r.startOf(len(r.buf))
			return at, r.tooLong(at)
		case !errors.Is(r.end, io.EOF):
			return r.startOf(len(r.buf)), r.end
		case n >= 0:
			return r.startOf(n), r.unclosed(n)
		default:
			return len(r.buf), nil
		}
	}
}

// startOf returns where the record begins that holds the byte at place at, or that ends there unfinished.
func (r *Reader) startOf(at int) int {
	pos := 0
	for pos < len(r.buf) {
		got := r.d.record(r.buf, pos, false, nil)
		if got.kind == more || got.end > at {
			break
		}
		pos = got.end
	}
	return pos
}

// lineAt returns the line of a place in buf.
func (r *Reader) lineAt(at int) int64 { return r.line + text.Lines(r.buf[:at]) }

func (r *Reader) unclosed(open int) error {
	return fmt.Errorf("line %d: a quote opens here and never closes; nothing after it can be trusted", r.lineAt(open))
}

func (r *Reader) tooLong(at int) error {
	return fmt.Errorf("line %d: the row that begins here is longer than %d MiB; a quote that opens and never closes is the usual reason", r.lineAt(at), maxRecord>>20)
}
