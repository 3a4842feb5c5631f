package xlsx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

const (
	maxWindow = 288 << 10 // bytes of XML that a cutter looks at; a chunk is at least 8/9 of it, unless the sheet ends
	maxRecord = 16 << 20  // one row, or one shared string, as XML
	maxRow    = 1 << 20   // the last row of a sheet: 1,048,576
	maxColumn = 1 << 14   // its last column, XFD, as a count
)

// cutter cuts the records out of a part: the <row>s of a <sheetData>, the <si>s of an <sst>. It looks at where tags
// begin and at nothing else, which is cheap; what it hands out is parsed elsewhere. A cut lies before a record's start
// tag; rows of the same number stay together. What stands before and after the records is checked for being
// well-formed, to the end of the part.
type cutter struct {
	sc     *scanner
	record []byte // names with the prefix of the container's start tag
	box    []byte
	empty  bool // the container is its own end

	target  int // bytes that a chunk is to have
	lexed   int // how far behind sc.pos tags have been looked at
	last    int // where the last record begins, also behind sc.pos; what is before it is whole
	closing bool
	tag     scanner

	numbered bool // rows have numbers, and these are kept
	row      int  // number of the row that began last
	lastRow  int  // number of the row before last
	inChunk  bool // a record has begun since the last cut

	measure bool // find the width
	column  int  // of the cell that began last
	width   int  // columns up to the last one with a value
}

// newCutter reads up to the container, which stands in root: sheetData in worksheet, or sst alone.
func newCutter(r io.Reader, size int, root, box, record string) (*cutter, error) {
	c := &cutter{sc: newScanner(r, size, maxRecord), target: size / 9 * 8}
	for {
		tok, err := c.sc.next()
		if err != nil {
			return nil, err
		}
		name := string(local(c.sc.name))
		switch {
		case tok == tokEOF:
			return nil, broken("it has no <%s>", box)
		case tok != tokStart:
			continue
		case c.sc.depth() == c.nesting() && name != root:
			return nil, broken("its root element is <%s> and not <%s>", c.sc.name, root)
		}
		if name != box || box != root && c.sc.depth() != c.nesting()+1 {
			continue
		}
		prefix := c.sc.name[:len(c.sc.name)-len(name)]
		c.box = append(c.box, c.sc.name...)
		c.record = append(append(c.record, prefix...), record...)
		c.empty = c.sc.empty
		c.closing = c.empty
		return c, nil
	}
}

// nesting is the depth that the root's start tag leaves behind.
func (c *cutter) nesting() int {
	if c.sc.empty {
		return 0
	}
	return 1
}

// next appends the next records, with what stands between them, to dst and returns the number of the row before
// them. io.EOF comes after the rest of the part has been checked.
func (c *cutter) next(dst []byte) (chunk []byte, before int, err error) {
	before = c.lastRow
	for !c.closing {
		if err := c.lex(); err != nil {
			return dst, before, err
		}
		size := len(c.sc.data) - c.sc.pos
		if c.closing || c.last > 0 && size >= c.target {
			cut := c.last
			if c.closing {
				cut = c.lexed
			}
			dst = append(dst, c.sc.data[c.sc.pos:c.sc.pos+cut]...)
			c.sc.pos += cut
			c.lexed -= cut
			c.last = 0 // the record that begins there is in the next chunk
			if len(dst) > 0 {
				return dst, before, nil
			}
			continue
		}
		more, err := c.sc.fill()
		if err != nil {
			return dst, before, c.place(err)
		}
		if !more {
			return dst, before, c.place(errCut)
		}
	}
	if err := c.sc.finish(); err != nil {
		return dst, before, err
	}
	return dst, before, io.EOF
}

// place adds the row that is being read to an error.
func (c *cutter) place(err error) error {
	if !c.numbered || c.row == 0 {
		return err
	}
	return fmt.Errorf("at row %d: %w", c.row, err)
}

// lex looks at the tags in the window that it has not seen and notes where records end.
func (c *cutter) lex() error {
	d, i := c.sc.data[c.sc.pos:], c.lexed
	defer func() { c.lexed = i }()
	for {
		j := bytes.IndexByte(d[i:], '<')
		if j < 0 {
			i = len(d)
			return nil
		}
		i += j
		rest := d[i+1:]
		if len(rest) < len(c.box)+2 {
			return nil // the container's end tag alone is longer
		}
		switch rest[0] {
		case '/':
			if named(rest[1:], c.box) {
				c.closing = true
				return nil
			}
			i += 2
		case '!', '?':
			c.tag.data, c.tag.pos = d[i:], 0
			_, done, err := c.tag.step()
			if err != nil {
				return c.place(err)
			}
			if !done {
				return nil
			}
			i += c.tag.pos
		default:
			n, err := c.start(d[i:])
			if err != nil {
				return c.place(err)
			}
			if n == 0 {
				return nil
			}
			i += n
		}
	}
}

// named reports whether text begins with this name, and not with a longer one.
func named(text, name []byte) bool {
	return len(text) > len(name) && text[0] == name[0] && bytes.HasPrefix(text, name) && delim[text[len(name)]]
}

// start looks at a start tag and returns how much of it is done with, 0 if the window does not hold all of it.
func (c *cutter) start(tag []byte) (int, error) {
	name := tag[1:]
	isRecord := named(name, c.record)
	if !isRecord {
		if c.measure {
			return c.measureTag(tag)
		}
		return 1, nil
	}
	n, row := 1, c.row
	if c.numbered {
		var err error
		if n, err = c.parse(tag); n == 0 || err != nil {
			return n, err
		}
		if row, err = rowNumber(&c.tag, c.row); err != nil {
			return n, err
		}
	}
	if c.inChunk && (row != c.row || !c.numbered) {
		c.last, c.lastRow = c.at(tag), c.row
	}
	if row != c.row {
		c.column = 0
	}
	c.row, c.inChunk = row, true
	return n, nil
}

// at returns where in the window a tag stands.
func (c *cutter) at(tag []byte) int { return len(c.sc.data) - c.sc.pos - len(tag) }

// parse reads a start tag into c.tag.
func (c *cutter) parse(tag []byte) (int, error) {
	t := &c.tag
	t.data, t.pos, t.open, t.marks = tag, 0, t.open[:0], t.marks[:0]
	_, done, err := t.startTag()
	if err != nil || !done {
		return 0, err
	}
	return t.pos, nil
}

// measureTag follows the columns of cells and widens the sheet where a cell has a value.
func (c *cutter) measureTag(tag []byte) (int, error) {
	switch name := tag[1:]; {
	case tagIs(name, "c"):
		n, err := c.parse(tag)
		if n == 0 || err != nil {
			return n, err
		}
		col := c.column
		if ref, ok, err := c.tag.attr("r"); err != nil {
			return n, err
		} else if ok {
			if col, err = columnOf([]byte(ref)); err != nil {
				return n, err
			}
		}
		c.column = col + 1
		return n, nil
	case tagIs(name, "v") || tagIs(name, "is") || tagIs(name, "f"):
		c.width = max(c.width, c.column)
	}
	return 1, nil
}

// tagIs reports whether a tag has this local name, whatever its prefix.
func tagIs(text []byte, name string) bool {
	if len(text) <= len(name) {
		return false
	}
	if string(text[:len(name)]) == name && delim[text[len(name)]] {
		return true
	}
	for i, ch := range text {
		if delim[ch] {
			return false
		}
		if ch == ':' {
			return len(text) > i+1+len(name) && string(text[i+1:i+1+len(name)]) == name && delim[text[i+1+len(name)]]
		}
	}
	return false
}

// rowNumber returns the number of the row whose start tag t has just read: what it says, or the one after the row
// before. Rows must not descend. That of the row before may come again: some writers make a row of every cell.
func rowNumber(t *scanner, before int) (int, error) {
	r, ok, err := t.attr("r")
	if err != nil {
		return 0, err
	}
	n := before + 1
	if ok {
		if n = digits([]byte(r)); n < 1 {
			return 0, fmt.Errorf("%q is no row number", r)
		}
	}
	if n > maxRow {
		return 0, fmt.Errorf("row %.20s lies beyond the last row a sheet can have, %d", number(r, n), maxRow)
	}
	if n < before {
		return 0, fmt.Errorf("row %d stands after row %d; the sheet's rows are out of order; open the file in a spreadsheet and save it again", n, before)
	}
	return n, nil
}

func number(written string, n int) string {
	if written != "" {
		return written
	}
	return fmt.Sprint(n)
}

// digits reads a number without sign; it returns -1 if the text is none, and math.MaxInt32 if it is greater.
func digits(b []byte) int {
	if len(b) == 0 {
		return -1
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		if n = n*10 + int(c-'0'); n > math.MaxInt32 {
			n = math.MaxInt32
		}
	}
	return n
}

var errColumn = errors.New("lies beyond the last column a sheet can have, XFD")

// columnOf returns the 0-based column of a reference such as B7.
func columnOf(ref []byte) (int, error) {
	n, i := 0, 0
	for ; i < len(ref); i++ {
		c := ref[i] &^ 0x20
		if c < 'A' || c > 'Z' {
			break
		}
		if n = n*26 + int(c-'A') + 1; n > maxColumn {
			return 0, fmt.Errorf("cell %.20s %w", ref, errColumn)
		}
	}
	if i == 0 || digits(ref[i:]) < 1 {
		return 0, fmt.Errorf("%.20q is no cell reference", ref)
	}
	return n - 1, nil
}
