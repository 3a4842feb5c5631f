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
	w, ok := c.Extra.(*window)
	if !ok || w.size != len(c.Data) {
		w = new(window)
	}
	data, marked, fault := r.valid(c, w)
	if len(data) == 0 {
		return fault
	}
	d := decoder{reader: r, data: data, b: b, line: c.Line, rowLine: c.Line, stray: -1}
	if _, last := c.Extra.(lastChunk); !last && r.bare > 0 && c.Line > r.bare && len(data) <= len(r.blanks) {
		d.bare, d.s = true, r.blanks // nobody looks at the cells: any text will do
	} else {
		d.s = string(data)
	}
	cells, rows := r.guess(data, w, marked)
	b.Rows = slices.Grow(b.Rows, rows)
	if d.bare {
		cells = r.header.Len()
	}
	d.vals = b.Room(min(cells, len(data)+1))[:0] // there are no more cells than bytes, whatever the header says
	if !r.d.common() {
		d.begin = -1
	}
	if r.d.simple() {
		d.fast(w, marked)
	} else {
		d.plain()
	}
	clear(d.vals[len(d.vals):cap(d.vals)]) // what stands there keeps a text of before alive
	return fault
}

// guess says how many cells and rows a text has: about, so that there is room for them.
func (r *Reader) guess(data []byte, w *window, marked bool) (cells, rows int) {
	width := max(r.header.Len(), 1)
	if marked {
		cells = 1
		for _, ends := range w.ends[:(len(data)+blockSize-1)/blockSize] {
			cells += bits.OnesCount64(ends)
		}
		return cells, cells/width + 1
	}
	rows = bytes.Count(data, []byte{'\n'}) + 1
	if rows == 1 {
		rows += bytes.Count(data, []byte{'\r'})
	}
	return rows * width, rows
}

// valid returns the records of the chunk before the first one with bytes that are not of the encoding, and the error
// that ends reading there. w has the chunk's marks or is empty; marked means that it has those of the records.
func (r *Reader) valid(c *pipeline.Chunk, w *window) (data []byte, marked bool, err error) {
	at := -1
	marked = w.size > 0
	var fault error
	if r.enc.Replaces() {
		if at = bytes.Index(c.Data, []byte("\ufffd")); at >= 0 {
			fault = fmt.Errorf("line %d: bytes that are not %s; pass the --encoding that the file has", c.Line+text.Lines(c.Data[:at]), r.enc.Name)
		}
	} else if !r.enc.Transcoded() {
		good := false
		if !marked && r.d.simple() && len(c.Data) <= windowSize {
			marks := newMarks(r.d.delim[0], r.d.quote)
			marks.find(w, c.Data)
			marked = true
		}
		if marked {
			good = w.valid(c.Data)
		} else {
			good = text.Valid(c.Data)
		}
		if !good {
			at = text.Invalid(c.Data, true)
			var after int64
			if _, err := fmt.Sscan(c.Cursor, &after); err != nil {
				after = int64(len(c.Data))
			}
			fault = text.NotUTF8(c.Data, at, after-int64(len(c.Data)), c.Line)
		}
	}
	if at < 0 {
		return c.Data, marked, nil
	}
	pos := 0
	for {
		got := r.d.record(c.Data, pos, true, nil)
		if got.end > at || got.end <= pos {
			return c.Data[:pos], false, r.wrap(fault)
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
	begin   int            // of the current row, if it can be copied as it stands; otherwise -1
}

// endRow makes a row of the cells since the last one, and returns the cells of all rows. The text of the row ends at end.
func (d *decoder) endRow(vals []record.Value, end int) []record.Value {
	cells := vals[d.first:len(vals):len(vals)]
	d.first = len(vals)
	row := d.b.Add()
	row.Line = d.rowLine
	if d.bare {
		d.first, vals = 0, vals[:0]
	} else {
		row.Values, row.Origin = cells, cells
		if d.begin >= 0 {
			row.Text = d.s[d.begin:end]
		}
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
			d.vals = d.endRow(d.vals, got.end)
		}
		pos = got.end
	}
}

// fast decodes dialects with a delimiter of one byte. It looks at 64 bytes at a time for those that mean something, so
// that the processor guesses wrong once in a block and not once in a cell. marked means that w has the marks of the text,
// which is no longer than a window.
func (d *decoder) fast(w *window, marked bool) {
	delim, quote := d.reader.d.delim[0], d.reader.d.quote
	marks := newMarks(delim, quote)
	n := len(d.data)
	x := cutter{decoder: d, vals: d.vals, delim: delim, quote: quote, skip: -1, open: -1, copies: d.begin == 0}
	for from := 0; from < n; from += windowSize {
		to := min(from+windowSize, n)
		if !marked {
			marks.find(w, d.data[from:to])
		}
		for base := from; base < to; base += blockSize {
			at := (base - from) / blockSize
			if q := w.quotes[at]; q == 0 && x.plain() {
				x.bareBlock(base, w.ends[at])
			} else {
				x.block(base, q|w.ends[at])
			}
		}
	}
	x.end()
	d.vals = x.vals
}

// cutter cuts a text into cells, block by block.
type cutter struct {
	*decoder
	delim, quote byte
	vals         []record.Value
	start        int   // where the cell begins
	skip         int   // a mark that says nothing, as it is the second half of something; -1: none
	open         int   // the quote that began a cell which is not closed yet, or -1
	whole        bool  // the cell is in vals already: it was quoted, and nothing but its end follows
	escaped      bool  // there are quotes inside the quotes
	inner        int64 // line ends inside the row's quotes
	copies       bool  // rows can be copied as they stand, unless there is something odd about them
}

// plain reports that the cutter is inside an unquoted cell.
func (x *cutter) plain() bool { return x.open < 0 && !x.whole && x.skip < 0 }

// bareBlock is block for one without quotes, where the cutter is plain.
func (x *cutter) bareBlock(base int, m uint64) {
	data, s, delim := x.data, x.s, x.delim
	vals, start := x.vals, x.start
	for m != 0 {
		i := base + bits.TrailingZeros64(m)
		m &= m - 1
		if data[i] == delim {
			vals = append(vals, record.TextOf(s[start:i]))
			start = i + 1
			continue
		}
		x.vals, x.start = vals, start
		x.endLine(i)
		vals, start = x.vals, x.start
		if x.skip >= 0 {
			x.skip = -1
			if m &= m - 1; start > base+blockSize {
				x.skip = start - 1 // the line end's second half is in the next block
			}
		}
	}
	x.vals, x.start = vals, start
}

// endLine ends a row at a line end outside of quotes.
func (x *cutter) endLine(i int) {
	if !x.whole && (x.start < i || len(x.vals) > x.first) {
		x.vals = append(x.vals, record.TextOf(x.s[x.start:i]))
		x.whole = true
	}
	if x.whole {
		x.vals = x.endRow(x.vals, i)
		x.whole = false
	}
	x.line += 1 + x.inner
	x.rowLine, x.inner = x.line, 0
	x.start, x.skip = i+1, -1
	if x.data[i] == '\r' && i+1 < len(x.data) && x.data[i+1] == '\n' {
		x.skip = i + 1
		x.start++
	}
	if x.copies {
		x.begin = x.start
	}
}

// block cuts at the marks m of the block at base.
func (x *cutter) block(base int, m uint64) {
	data, n := x.data, len(x.data)
	for m != 0 {
		i := base + bits.TrailingZeros64(m)
		m &= m - 1
		switch c := data[i]; {
		case i == x.skip:
			x.skip = -1
		case x.open >= 0 && c != x.quote:
			if c == '\n' || c == '\r' && (i+1 == n || data[i+1] != '\n') {
				x.inner++
			}
		case x.open >= 0 && i+1 < n && data[i+1] == x.quote:
			x.escaped = true
			x.skip = i + 1
		case x.open >= 0:
			x.close(i)
		case c == x.delim:
			if !x.whole {
				x.vals = append(x.vals, record.TextOf(x.s[x.start:i]))
			}
			x.whole, x.start = false, i+1
		case c == '\n' || c == '\r':
			x.endLine(i)
		case i == x.start:
			x.open = i
		default:
			x.begin = -1 // any other quote outside of quotes is text, which others may read otherwise
		}
	}
}

// close ends the quotes of a cell at i.
func (x *cutter) close(i int) {
	next := i + 1
	if next == len(x.data) || x.data[next] == x.delim || x.data[next] == '\n' || x.data[next] == '\r' {
		x.vals = append(x.vals, record.TextOf(x.reader.d.text(x.s[x.open+1:i], span{x.open + 1, i, x.escaped})))
		x.whole = true
	} else {
		x.begin = -1
		if x.stray < 0 { // the cell goes on, unquoted
			x.stray, x.where = len(x.vals)-x.first, x.line+x.inner
		}
	}
	x.open, x.escaped = -1, false
}

// end takes up what the text ends with. Next never cuts inside quotes; a chunk of another maker is read as it stands.
func (x *cutter) end() {
	n := len(x.data)
	switch {
	case x.open >= 0:
		x.begin = -1
		x.vals = append(x.vals, record.TextOf(x.reader.d.text(x.s[x.open+1:n], span{x.open + 1, n, x.escaped})))
	case !x.whole && (x.start < n || len(x.vals) > x.first):
		x.vals = append(x.vals, record.TextOf(x.s[x.start:n]))
	case !x.whole:
		return
	}
	x.endRow(x.vals, n)
}
