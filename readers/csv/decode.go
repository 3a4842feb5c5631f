package csv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"

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
	d := decoder{reader: r, data: data, s: string(data), b: b, line: c.Line, rowLine: c.Line, stray: -1}
	// A chunk has no more cells than bytes, whatever the header says.
	lines := bytes.Count(data, []byte{'\n'}) + 1
	if lines == 1 {
		lines += bytes.Count(data, []byte{'\r'})
	}
	b.Rows = append(make([]record.Row, 0, len(b.Rows)+lines), b.Rows...)
	d.vals = b.Cells(min(lines*r.header.Len(), len(data)+1))[:0]
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
		if at = text.Invalid(c.Data, true); at >= 0 {
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
	vals    []record.Value // cells of all rows so far
	first   int            // where the current row's cells begin in vals
	line    int64          // of the place that is looked at
	rowLine int64          // where the current row begins
	stray   int            // cell of the current row with text after its closing quote, or -1
	where   int64          // line of that text
}

// endRow makes a row of the cells since the last one.
func (d *decoder) endRow() {
	cells := d.vals[d.first:len(d.vals):len(d.vals)]
	d.first = len(d.vals)
	row := d.b.Add()
	row.Line, row.Values, row.Origin = d.rowLine, cells, cells
	if d.stray >= 0 {
		d.refuseQuote(row)
	}
	if n := d.reader.header.Len(); len(cells) != n {
		row.Reject(record.Problem{Rule: "ragged", Message: fmt.Sprintf("the row has %s, the header %d", count(len(cells)), n)})
	}
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
			d.endRow()
		}
		pos = got.end
	}
}

const (
	ones = 0x0101010101010101
	low7 = 0x7f7f7f7f7f7f7f7f
)

// fast decodes dialects with a delimiter of one byte, looking at eight bytes at a time for those that mean something.
func (d *decoder) fast() {
	data, s := d.data, d.s
	delim, quote := d.reader.d.delim[0], d.reader.d.quote
	dp, np, cp := uint64(delim)*ones, uint64('\n')*ones, uint64('\r')*ones
	qp := dp
	if quote != 0 {
		qp = uint64(quote) * ones
	}
	start, pos, n := 0, 0, len(data)
	done := false // the last cell is already in vals
words:
	for pos < n {
		var w uint64
		if pos+8 <= n {
			w = binary.LittleEndian.Uint64(data[pos:])
		} else {
			var last [8]byte
			copy(last[:], data[pos:])
			w = binary.LittleEndian.Uint64(last[:])
		}
		// The high bit of each byte of m: the byte equals one of the four.
		x, y, z, v := w^dp, w^np, w^cp, w^qp
		m := ^((x&low7 + low7 | x) & (y&low7 + low7 | y) & (z&low7 + low7 | z) & (v&low7 + low7 | v)) &^ low7
		for ; m != 0; m &= m - 1 {
			i := pos + bits.TrailingZeros64(m)>>3
			switch c := data[i]; {
			case c == delim:
				d.vals = append(d.vals, record.TextOf(s[start:i]))
				start = i + 1
			case c == '\n' || c == '\r':
				if start < i || len(d.vals) > d.first {
					d.vals = append(d.vals, record.TextOf(s[start:i]))
					d.endRow()
				}
				d.line++
				d.rowLine = d.line
				start = i + 1
				if c == '\r' && start < n && data[start] == '\n' {
					start++
					pos = start
					continue words
				}
			case i != start || quote == 0:
				// a quote inside an unquoted cell is text
			default:
				end, escaped := d.reader.d.closing(data, i+1)
				if end < 0 {
					// Next never cuts inside quotes; a chunk of another maker is read as it stands.
					end = n
				}
				cell := span{i + 1, end, escaped}
				raw := s[cell.from:cell.to]
				breaks := int64(0)
				if strings.IndexByte(raw, '\n') >= 0 || strings.IndexByte(raw, '\r') >= 0 {
					breaks = text.Lines(data[cell.from:cell.to])
				}
				d.line += breaks
				pos = min(end+1, n)
				if pos < n && data[pos] != delim && data[pos] != '\n' && data[pos] != '\r' {
					if d.stray < 0 {
						d.stray, d.where = len(d.vals)-d.first, d.line
					}
					continue words // the cell goes on, unquoted
				}
				d.vals = append(d.vals, record.TextOf(d.reader.d.text(raw, cell)))
				if pos == n {
					d.endRow()
					done = true
					break words
				}
				if data[pos] == delim {
					pos++
					start = pos
					continue words
				}
				d.endRow()
				d.line++
				d.rowLine = d.line
				if data[pos] == '\r' && pos+1 < n && data[pos+1] == '\n' {
					pos++
				}
				pos++
				start = pos
				continue words
			}
		}
		pos += 8
	}
	if !done && (start < n || len(d.vals) > d.first) {
		d.vals = append(d.vals, record.TextOf(s[start:]))
		d.endRow()
	}
}
