package csv

import (
	"bytes"
	"fmt"
	"math/bits"
	"slices"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/readers/internal/text"
	"github.com/crmetl/crmetl/record"
)

// Decode turns a chunk into rows. All cells are parts of one copy of the chunk's text.
func (r *Reader) Decode(c *pipeline.Chunk, b *record.Batch) error {
	b.Header, b.Origin = r.header, r.header
	data, fault := r.valid(c)
	if len(data) == 0 {
		return fault
	}
	d := decoder{reader: r, data: data, b: b, line: c.Line, rowLine: c.Line, stray: -1}
	if _, last := c.Extra.(lastChunk); !last && r.bare > 0 && c.Line > r.bare && len(data) <= len(r.blanks) {
		d.bare, d.s = true, r.blanks // nobody looks at the cells: any text will do
	} else {
		d.s = string(data)
	}
	// A chunk has no more cells than bytes, whatever the header says.
	lines := bytes.Count(data, []byte{'\n'}) + 1
	if lines == 1 {
		lines += bytes.Count(data, []byte{'\r'})
	}
	b.Rows = slices.Grow(b.Rows, lines)
	room := lines * r.header.Len()
	if d.bare {
		room = r.header.Len()
	}
	d.vals = b.Room(min(room, len(data)+1))[:0]
	if r.d.simple() {
		d.fast()
	} else {
		d.plain()
	}
	return fault
}

// valid returns the records of the chunk before the first one with bytes that are not of the encoding, and the error
// that ends reading there.
func (r *Reader) valid(c *pipeline.Chunk) ([]byte, error) {
	at := -1
	var fault error
	if r.enc.Replaces() {
		if at = bytes.Index(c.Data, []byte("\ufffd")); at >= 0 {
			fault = fmt.Errorf("line %d: bytes that are not %s; pass the --encoding that the file has", c.Line+text.Lines(c.Data[:at]), r.enc.Name)
		}
	} else if !r.enc.Transcoded() {
		if !text.Valid(c.Data) {
			at = text.Invalid(c.Data, true)
			var after int64
			if _, err := fmt.Sscan(c.Cursor, &after); err != nil {
				after = int64(len(c.Data))
			}
			fault = text.NotUTF8(c.Data, at, after-int64(len(c.Data)), c.Line)
		}
	}
	if at < 0 {
		return c.Data, nil
	}
	pos := 0
	for {
		got := r.d.record(c.Data, pos, true, nil)
		if got.end > at || got.end <= pos {
			return c.Data[:pos], r.wrap(fault)
		}
		pos = got.end
	}
}

// decoder is one Decode on its way.
type decoder struct {
	reader  *Reader
	data    []byte
	s       string // the same as data, for the cells to share
	b       *record.Batch
	vals    []record.Value // room for the cells of all rows
	first   int            // where the current row's cells begin among all cells
	line    int64          // of the place that is looked at
	rowLine int64          // where the current row begins
	stray   int            // cell of the current row with text after its closing quote, or -1
	where   int64          // line of that text
	bare    bool           // the rows are to have no cells
}

// endRow makes a row of the cells since the last one, and returns the cells of all rows.
func (d *decoder) endRow(vals []record.Value) []record.Value {
	cells := vals[d.first:len(vals):len(vals)]
	d.first = len(vals)
	row := d.b.Add()
	row.Line = d.rowLine
	if d.bare {
		d.first, vals = 0, vals[:0]
	} else {
		row.Values, row.Origin = cells, cells
	}
	if d.stray >= 0 {
		d.refuseQuote(row)
	}
	if n := d.reader.header.Len(); len(cells) != n {
		row.Reject(record.Problem{Rule: "ragged", Message: fmt.Sprintf("the row has %s, the header %d", count(len(cells)), n)})
	}
	return vals
}

func (d *decoder) refuseQuote(row *record.Row) {
	p := record.Problem{Rule: "quote", Message: fmt.Sprintf("line %d, cell %d: text follows the closing quote; write quotes inside a cell twice", d.where, d.stray+1)}
	if h := d.reader.header; d.stray < h.Len() {
		p.Column = h.Name(d.stray)
	}
	row.Reject(p)
	d.stray = -1
}

func count(n int) string {
	if n == 1 {
		return "1 cell"
	}
	return fmt.Sprintf("%d cells", n)
}

// plain decodes any dialect, a record at a time.
func (d *decoder) plain() {
	dialect := &d.reader.d
	var cells []span
	counted := 0
	for pos := 0; pos < len(d.data); {
		got := dialect.record(d.data, pos, true, &cells)
		d.line += text.Lines(d.data[counted:pos])
		counted, d.rowLine = pos, d.line
		if got.kind != blank {
			for i, c := range cells {
				if got.stray >= 0 && d.stray < 0 && c.from < got.stray && got.stray <= c.to {
					d.stray, d.where = i, d.line+text.Lines(d.data[pos:got.stray])
				}
				d.vals = append(d.vals, record.TextOf(dialect.text(d.s[c.from:c.to], c)))
			}
			d.vals = d.endRow(d.vals)
		}
		pos = got.end
	}
}

// windowSize is how many bytes there are marks for at once: those of a usual chunk.
const windowSize = 40 << 10

// words are the marks of a window.
type words [windowSize / blockSize]uint64

// fast decodes dialects with a delimiter of one byte. It looks at 64 bytes at a time for those that mean something, so
// that the processor guesses wrong once in a block and not once in a cell.
func (d *decoder) fast() {
	data, s := d.data, d.s
	delim, quote := d.reader.d.delim[0], d.reader.d.quote
	marks := newMarks(delim, quote)
	var quotes, ends words
	n := len(data)
	vals := d.vals
	start := 0     // where the cell begins
	skip := -1     // a mark that says nothing: the second half of something
	open := -1     // the quote that began a cell that is not closed yet
	whole := false // the cell is in vals already: it was quoted, and nothing but its end follows
	escaped := false
	var inner int64 // line ends inside the row's quotes
	for from := 0; from < n; from += windowSize {
		to := min(from+windowSize, n)
		marks.find(quotes[:], ends[:], data[from:to])
		for base := from; base < to; base += blockSize {
			m := quotes[(base-from)/blockSize] | ends[(base-from)/blockSize]
			for m != 0 {
				i := base + bits.TrailingZeros64(m)
				m &= m - 1
				c := data[i]
				if c == delim && open < 0 && !whole {
					vals = append(vals, record.TextOf(s[start:i]))
					start = i + 1
					continue
				}
				switch {
				case i == skip:
				case open >= 0 && c != quote:
					if c == '\n' || c == '\r' && (i+1 == n || data[i+1] != '\n') {
						inner++
					}
				case open >= 0 && i+1 < n && data[i+1] == quote:
					escaped = true
					skip = i + 1
				case open >= 0: // the cell's closing quote
					switch next := i + 1; {
					case next == n || data[next] == delim || data[next] == '\n' || data[next] == '\r':
						vals = append(vals, record.TextOf(d.reader.d.text(s[open+1:i], span{open + 1, i, escaped})))
						whole = true
					case d.stray < 0: // the cell goes on, unquoted
						d.stray, d.where = len(vals)-d.first, d.line+inner
					}
					open, escaped = -1, false
				case c == delim:
					whole, start = false, i+1
				case c == '\n' || c == '\r':
					if !whole && (start < i || len(vals) > d.first) {
						vals = append(vals, record.TextOf(s[start:i]))
						whole = true
					}
					if whole {
						vals = d.endRow(vals)
						whole = false
					}
					d.line += 1 + inner
					d.rowLine, inner = d.line, 0
					start = i + 1
					if c == '\r' && start < n && data[start] == '\n' {
						skip = start
						start++
					}
				case i == start:
					open = i // any other quote outside of quotes is text
				}
			}
		}
	}
	// Next never cuts inside quotes; a chunk of another maker is read as it stands.
	switch {
	case open >= 0:
		vals = append(vals, record.TextOf(d.reader.d.text(s[open+1:n], span{open + 1, n, escaped})))
	case !whole && (start < n || len(vals) > d.first):
		vals = append(vals, record.TextOf(s[start:n]))
	case !whole:
		return
	}
	d.endRow(vals)
}
