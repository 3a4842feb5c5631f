package xlsx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

const (
	maxWindow = 144 << 10 // bytes of XML that a cutter looks at; a chunk is at least 8/9 of it, unless the sheet ends
	maxRecord = 4 << 20   // one tag or text of any part, or one shared string, as XML
	maxRowXML = 2 << 20   // one row as XML: a dozen of them may be on their way at once
	maxRow    = 1 << 20   // the last row of a sheet: 1,048,576
	maxColumn = 1 << 14   // its last column, XFD, as a count
)

// cutter cuts the records out of a part: the <row>s of a <sheetData>, the <si>s of an <sst>. It looks at where tags
// begin and at nothing else, which is cheap; what it hands out is parsed elsewhere. A cut lies before a record's start
// tag; rows of the same number stay together. What stands before and after the records is checked for being
// well-formed, to the end of the part.
type cutter struct {
	sc    *scanner
	begin []byte // "<row", with the prefix of the container's start tag
	end   []byte // "</sheetData"

	rareBegin, rareEnd int // which bytes of these to look for

	target  int // bytes that a chunk is to have
	lexed   int // how far behind sc.pos tags have been looked at
	last    int // where the last record begins, also behind sc.pos; what is before it is whole
	closing bool
	slow    bool // look at every tag: for tests
	tag     scanner

	numbered bool // rows have numbers, and these are kept
	row      int  // number of the row that began last
	lastRow  int  // number of the row before last
	inChunk  bool // a record has begun since the last cut

	see     func(*scanner) error // looks at the start tags before and after the records; nil if nobody cares
	discard bool                 // nobody wants the records

	survey *survey // takes in what the rows tell; nil if that is known
	open   int     // behind the start tag of the row that survey has not seen yet, also behind sc.pos; -1 if there is none
}

// newCutter reads up to the container, which stands in root: sheetData in worksheet, or sst alone.
func newCutter(r io.Reader, size int, root, box, record string, see func(*scanner) error) (*cutter, error) {
	c := &cutter{sc: newScanner(r, size, maxRecord), target: size / 9 * 8, see: see, open: -1}
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
			if see != nil {
				if err := see(c.sc); err != nil {
					return nil, err
				}
			}
			continue
		}
		prefix := string(c.sc.name[:len(c.sc.name)-len(name)])
		c.begin, c.end = []byte("<"+prefix+record), []byte("</"+prefix+box)
		c.rareBegin, c.rareEnd = rarest(c.begin), rarest(c.end)
		c.closing = c.sc.empty
		if box != root {
			c.sc.max = max(maxRowXML, cap(c.sc.data))
		}
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
			if !c.discard {
				dst = append(dst, c.sc.data[c.sc.pos:c.sc.pos+cut]...)
			}
			c.sc.pos += cut
			c.lexed -= cut
			c.last = 0 // the record that begins there is in the next chunk
			if c.open >= 0 {
				c.open -= cut
			}
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
	if err := c.finish(); err != nil {
		return dst, before, err
	}
	return dst, before, io.EOF
}

// finish reads to the end of the part.
func (c *cutter) finish() error {
	for {
		tok, err := c.sc.next()
		if err != nil || tok == tokEOF {
			return err
		}
		if tok == tokStart && c.see != nil {
			if err := c.see(c.sc); err != nil {
				return err
			}
		}
	}
}

// place adds the row that is being read to an error.
func (c *cutter) place(err error) error {
	if !c.numbered || c.row == 0 {
		return err
	}
	return fmt.Errorf("at row %d: %w", c.row, err)
}

// lex looks at the tags in the window that it has not seen and notes where records end.
//
// Inside the container there are four kinds of "<" that matter: those of records, that of the container's end, and
// those of comments and CDATA sections, in which nothing is a tag. It looks for these and for no others.
func (c *cutter) lex() error {
	d, i := c.sc.data[c.sc.pos:], c.lexed
	defer func() { c.lexed = i }()
	limit := len(d) - len(c.end) // the last place where there is room for the longest name and what ends it
	if i >= limit {
		return nil
	}
	mark, end, begin := -1, -1, -1
	for {
		if mark < i {
			mark = i + declarationIn(d[i:])
		}
		if end < i {
			end = i + rareIndex(d[i:], c.end, c.rareEnd)
		}
		if begin < i {
			begin = i + c.record(d[i:])
		}
		at := min(mark, end, begin)
		if at >= limit {
			i = max(i, limit)
			return nil
		}
		i = at
		n, err := c.at(d[i:], at == mark)
		if err != nil {
			return c.place(err)
		}
		if c.closing {
			if err := c.seen(d, i); err != nil {
				return c.place(err)
			}
			return nil
		}
		if n == 0 {
			return nil
		}
		i += n
	}
}

// record returns where the next start tag of a record may be.
func (c *cutter) record(d []byte) int {
	if c.slow {
		return rareIndex(d, c.begin[:1], 0)
	}
	return rareIndex(d, c.begin, c.rareBegin)
}

// at looks at a tag and returns how much of it is done with, 0 if the window does not hold all of it.
func (c *cutter) at(tag []byte, declaration bool) (int, error) {
	switch {
	case declaration:
		c.tag.data, c.tag.pos = tag, 0
		_, done, err := c.tag.step()
		if err != nil || !done {
			return 0, err
		}
		return c.tag.pos, nil
	case named(tag, c.end):
		c.closing = true
	case named(tag, c.begin):
		return c.start(tag)
	}
	return 1, nil
}

// rareIndex is where sep begins in d, or the length of d. It looks for the byte sep[rare], which should be one that
// sheets hold few of: "<" is every tenth byte of them.
func rareIndex(d, sep []byte, rare int) int {
	for i := rare; i < len(d); i++ {
		j := bytes.IndexByte(d[i:], sep[rare])
		if j < 0 {
			break
		}
		i += j
		if at := i - rare; bytes.HasPrefix(d[at:], sep) {
			return at
		}
	}
	return len(d)
}

// rarest returns which byte of a tag's beginning is the rarest in sheets.
func rarest(tag []byte) int {
	const commonFirst = `<c/v>"rt=si eanolSxp:hRduw`
	best := 0
	for i, c := range tag {
		rank := strings.IndexByte(commonFirst, c)
		if rank < 0 {
			return i
		}
		if rank > strings.IndexByte(commonFirst, tag[best]) {
			best = i
		}
	}
	return best
}

// declarationIn returns where the next "<!" or "<?" is, or the length of d.
func declarationIn(d []byte) int {
	return min(secondIn(d, '!'), secondIn(d, '?'))
}

// secondIn returns where "<" is followed by c, or the length of d.
func secondIn(d []byte, c byte) int {
	for i := 0; ; i++ {
		j := bytes.IndexByte(d[i:], c)
		if j < 0 {
			return len(d)
		}
		if i += j; i > 0 && d[i-1] == '<' {
			return i - 1
		}
	}
}

// named reports whether a tag begins with this name, and not with a longer one.
func named(tag, name []byte) bool {
	return len(tag) > len(name) && bytes.HasPrefix(tag, name) && delim[tag[len(name)]]
}

// start looks at a record's start tag and returns how much of it is done with, 0 if the window does not hold all of it.
func (c *cutter) start(tag []byte) (int, error) {
	n, row := 1, c.row
	hidden := false
	if c.numbered {
		var err error
		if n, row, hidden, err = c.rowTag(tag); n == 0 || err != nil {
			return n, err
		}
	}
	here := len(c.sc.data) - c.sc.pos - len(tag)
	if err := c.seen(c.sc.data[c.sc.pos:], here); err != nil {
		return n, err
	}
	if c.survey != nil {
		c.open = here + n
		c.survey.begin(row, hidden)
	}
	if c.inChunk && (row != c.row || !c.numbered) {
		c.last, c.lastRow = here, c.row
	}
	c.row, c.inChunk = row, true
	return n, nil
}

// seen shows the survey the row that is open, which ends before d[end].
func (c *cutter) seen(d []byte, end int) error {
	if c.open < 0 {
		return nil
	}
	at := c.open
	c.open = -1
	return c.survey.row(d[at:end])
}

// rowTag reads the start tag of a row: its length, 0 if the window does not hold all of it, the row's number and
// whether it is hidden.
func (c *cutter) rowTag(tag []byte) (n, row int, hidden bool, err error) {
	if n, row = c.plainRow(tag); n > 0 {
		row, err = orderedRow("", row, c.row)
		return n, row, false, err
	}
	t := &c.tag
	t.data, t.pos, t.open, t.marks = tag, 0, t.open[:0], t.marks[:0]
	_, done, err := t.startTag()
	if err != nil || !done {
		return 0, c.row, false, err
	}
	if row, err = rowNumber(t, c.row); err != nil {
		return t.pos, c.row, false, err
	}
	return t.pos, row, t.says("hidden"), nil
}

// plainRow takes the shape that nearly every start tag of a row has. It returns 0 to leave the tag to rowTag.
func (c *cutter) plainRow(tag []byte) (n, row int) {
	const number = ` r="`
	at := len(c.begin)
	if c.slow || len(tag) < at+len(number) || string(tag[at:at+len(number)]) != number {
		return 0, 0
	}
	at += len(number)
	end := bytes.IndexByte(tag[at:], '>')
	if end < 0 {
		return 0, 0
	}
	rest := tag[at : at+end]
	quote := bytes.IndexByte(rest, '"')
	if quote < 1 || quote > 7 {
		return 0, 0
	}
	if row = digits(rest[:quote]); row < 1 {
		return 0, 0
	}
	if rest = rest[quote+1:]; len(rest) > 1 {
		// A ">" may stand in an attribute, and a tag that is malformed is to be complained about.
		if bytes.IndexByte(rest, '<') >= 0 || bytes.IndexByte(rest, '\'') >= 0 || bytes.Count(rest, []byte{'"'})%2 != 0 || mayHide(rest) {
			return 0, 0
		}
	}
	return at + end + 1, row
}

// mayHide reports whether attributes say that a row is hidden, or speak of it in an unusual way.
func mayHide(attrs []byte) bool {
	i := bytes.Index(attrs, []byte("hidden"))
	return i >= 0 && !bytes.HasPrefix(attrs[i:], []byte(`hidden="false"`)) && !bytes.HasPrefix(attrs[i:], []byte(`hidden="0"`))
}

// isTrue reads a boolean attribute.
func isTrue(v string) bool { return v == "1" || v == "true" }

// rowNumber returns the number of the row whose start tag t has just read: what it says, or the one after the row
// before. Rows must not descend. That of the row before may come again: some writers make a row of every cell.
func rowNumber(t *scanner, before int) (int, error) {
	for i := range t.attrs {
		if string(local(t.attrs[i].name)) != "r" {
			continue
		}
		if n := digits(t.attrs[i].value); n > 0 && n <= maxRow {
			return orderedRow("", n, before)
		}
		break
	}
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
	return orderedRow(r, n, before)
}

// orderedRow checks row n, which is written so, against the row before it.
func orderedRow(written string, n, before int) (int, error) {
	if n > maxRow {
		return 0, fmt.Errorf("row %.20s lies beyond the last row a sheet can have, %d", number(written, n), maxRow)
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
