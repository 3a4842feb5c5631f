// Package jsonl reads JSON Lines: an object a line. Objects inside an object become columns with dots in their names,
// lists stay lists, numbers keep their digits. The columns are known before the first row: they are the keys of the
// first lines, in the order in which they appear.
package jsonl

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/readers/internal/text"
	"github.com/crmetl/crmetl/record"
)

// Options say how the text is read.
type Options struct {
	Name     string         // what errors call the file
	Encoding string         // "" = find out
	Found    *text.Encoding // the encoding, where somebody looked at more of the text than its beginning; Encoding is then not looked at
}

// Evidence says how the text is read and why.
type Evidence struct {
	Encoding string
	Notes    []string
	Warnings []string // those of the notes that a user must hear of
}

// Sizes.
const (
	headSize    = 64 << 10
	pieceSize   = 64 << 10
	maxLine     = 16 << 20
	sampleLines = 1000
	sampleSize  = 1 << 20
)

// Reader is a pipeline.Source of JSON Lines. A line that is no object, or has a key that is no column, is a rejected
// row; a file whose last line is cut off ends with an error.
type Reader struct {
	name     string
	src      io.Reader
	enc      text.Encoding
	header   *record.Header
	columns  columns
	evidence Evidence

	// What Next knows. Decode uses none of it.
	buf   []byte
	piece int
	end   error
	fault error
	line  int64
	off   int64
	scan  int // no line ends before this place of buf
}

// New opens a text and reads the first lines for the columns. The reader does not close r.
func New(r io.Reader, o Options) (*Reader, error) {
	j := &Reader{name: o.Name, piece: pieceSize, line: 1}
	if err := j.start(r, o); err != nil {
		return nil, j.wrap(err)
	}
	return j, nil
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
	if o.Found != nil {
		r.enc = *o.Found
	} else if r.enc, err = text.Detect(head, err != nil, o.Encoding); err != nil {
		return err
	}
	r.evidence = Evidence{Encoding: r.enc.Name, Notes: r.enc.Notes}
	if r.enc.Guessed {
		r.evidence.Warnings = r.enc.Notes[:1:1]
	}
	r.src = r.enc.Reader(br)
	r.fill(sampleSize)
	for r.end == nil && len(r.buf) <= maxLine && bytes.IndexByte(r.buf, '\n') < 0 {
		r.fill(min(2*len(r.buf), maxLine+1))
	}
	if r.end != nil && !errors.Is(r.end, io.EOF) {
		return r.end
	}
	sample := bytes.TrimSpace(r.buf)
	switch {
	case len(sample) == 0:
		return errors.New("the file is empty")
	case sample[0] == '[':
		return errors.New("this is one JSON list, not an object a line; jq -c '.[]' makes lines of it")
	}
	return r.readColumns()
}

// readColumns takes the union of the keys of the first lines.
func (r *Reader) readColumns() error {
	s := newSampler()
	lines, objects := 0, 0
	rest := r.buf
	for lines < sampleLines && len(rest) > 0 {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		if !ended && r.end == nil && objects > 0 {
			break // the sample cuts it
		}
		rest = after
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		lines++
		if line[0] == '{' && json.Valid(line) {
			objects++
			s.add(line)
		}
	}
	if objects == 0 {
		return errors.New("no line at the beginning is a JSON object; a jsonl file has one object a line, as in {\"name\":\"Ada\"}")
	}
	var err error
	if r.header, err = record.NewHeader(s.names()); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	r.columns = newColumns(r.header)
	r.evidence.Notes = append(r.evidence.Notes, fmt.Sprintf("columns: the keys of the first %d lines, in the order in which they appear", lines))
	return nil
}

// Header names the columns.
func (r *Reader) Header() *record.Header { return r.header }

// Evidence says how the text is read and why.
func (r *Reader) Evidence() Evidence { return r.evidence }

// Close does nothing: the file belongs to whoever opened it.
func (r *Reader) Close() error { return nil }

// fill reads until buf holds want bytes or the text ends.
func (r *Reader) fill(want int) {
	if cap(r.buf) < want {
		r.buf = append(make([]byte, 0, want+headSize), r.buf...)
	}
	for idle := 0; len(r.buf) < want && r.end == nil; {
		n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		if idle++; n > 0 {
			idle = 0
		}
		if r.end = err; err == nil && idle > 100 {
			r.end = io.ErrNoProgress
		}
	}
}

// Next fills c with whole lines.
func (r *Reader) Next(ctx context.Context, c *pipeline.Chunk) error {
	c.Data, c.Line, c.Cursor, c.Extra = c.Data[:0], 0, "", nil
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if r.fault != nil {
		return r.fault
	}
	n, fault := r.whole()
	if fault != nil {
		r.fault = r.wrap(fault)
	}
	if n == 0 {
		if r.fault == nil {
			r.fault = io.EOF
		}
		return r.fault
	}
	full, tail := r.buf[:n], r.buf[n:]
	r.buf = append(c.Data[:0], tail...)
	c.Data, c.Line = full, r.line
	r.line += int64(bytes.Count(full, []byte{'\n'}))
	r.off += int64(n)
	c.Cursor = strconv.FormatInt(r.off, 10)
	r.scan = 0
	return nil
}

// whole finds how much of buf can be handed out. With a fault, nothing after it can.
func (r *Reader) whole() (int, error) {
	r.fill(r.piece)
	for {
		if n := bytes.LastIndexByte(r.buf[r.scan:], '\n'); n >= 0 {
			n += r.scan + 1
			if n > r.piece { // what was read ahead for the columns is more than a piece
				if k := bytes.IndexByte(r.buf[r.piece-1:], '\n'); k >= 0 {
					n = r.piece + k
				}
			}
			return n, nil
		}
		r.scan = len(r.buf)
		switch {
		case r.end == nil && len(r.buf) <= maxLine:
			r.fill(min(2*max(len(r.buf), r.piece), maxLine+1))
			continue
		case r.end == nil:
			return 0, fmt.Errorf("line %d: the line is longer than %d MiB", r.line, maxLine>>20)
		case !errors.Is(r.end, io.EOF):
			return 0, r.end
		}
		if last := bytes.TrimSpace(r.buf); len(last) > 0 && !json.Valid(last) {
			return 0, fmt.Errorf("line %d: the file ends in the middle of this line; it is cut off", r.line)
		}
		return len(r.buf), nil
	}
}

// Decode turns a chunk into rows. All cells are parts of one copy of the chunk's text, unless they have escapes in
// them.
func (r *Reader) Decode(c *pipeline.Chunk, b *record.Batch) error {
	b.Header, b.Origin = r.header, r.header
	if r.enc.Replaces() {
		if at := bytes.Index(c.Data, []byte("\ufffd")); at >= 0 {
			start := bytes.LastIndexByte(c.Data[:at], '\n') + 1
			r.lines(c.Data[:start], c.Line, b)
			return r.wrap(fmt.Errorf("line %d: bytes that are not %s; pass the --encoding that the file has", c.Line+text.Lines(c.Data[:at]), r.enc.Name))
		}
	}
	r.lines(c.Data, c.Line, b)
	return nil
}

func (r *Reader) lines(data []byte, line int64, b *record.Batch) {
	all := string(data)
	w := walker{columns: &r.columns, path: make([]byte, 0, 256)}
	for at := 0; at < len(data); line++ {
		end := bytes.IndexByte(data[at:], '\n')
		if end < 0 {
			end = len(data) - at
		}
		raw, s := data[at:at+end], all[at:at+end]
		at += end + 1
		if strings.TrimSpace(s) == "" {
			continue
		}
		row := b.Add()
		row.Line = line
		row.Values = b.Cells(r.header.Len())
		row.Origin = row.Values
		if p, ok := w.row(raw, s, row.Values); !ok {
			p.Message += ": " + cut(strings.TrimSpace(s))
			clear(row.Values)
			row.Reject(p)
		}
	}
}

// cut shortens a line for a message.
func cut(s string) string {
	const most = 200
	if len(s) <= most {
		return strings.ToValidUTF8(s, "\ufffd")
	}
	n := most
	for n > most-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.ToValidUTF8(s[:n], "\ufffd") + "…"
}
