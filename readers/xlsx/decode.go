package xlsx

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/crmetl/crmetl/record"
)

// cell is one cell with a value.
type cell struct {
	column int
	value  record.Value
}

// sheetDecoder turns the XML of rows into cells. One serves one chunk; what it shares with others only gets read.
type sheetDecoder struct {
	sc       scanner
	strings  *table
	shared   cursor
	styles   []class
	lost     string // the part of the styles, if the workbook promises one and does not hold it
	date1904 bool
	slow     bool // take the general path for every cell: for tests

	begun  bool // the start tag of a row has been read, and ahead is its number
	ahead  int
	veiled bool   // that row is hidden
	row    int    // number of the row that was read last
	hidden bool   // it is hidden
	cells  []cell // its cells that have a value, by column
	twice  int    // 1 + a column that stands in the row twice, or 0
	column int    // where a cell without reference would stand
	sorted bool

	text arena
	buf  []byte
	num  []byte
}

// rawCell is a cell as its XML states it.
type rawCell struct {
	column  int
	style   int
	kind    []byte // attribute t
	text    []byte // of <v>, or of <is>
	escaped bool   // references in text are not resolved yet
	value   bool   // there is a <v>
	inline  bool   // the text is that of an <is>
	formula bool
}

// next reads a row and returns false behind the last one. Elements that follow each other under the same row number
// are one row.
func (d *sheetDecoder) next() (bool, error) {
	if !d.begun {
		if err := d.seek(); err != nil || !d.begun {
			return false, err
		}
		if d.ahead == d.row {
			return false, fmt.Errorf("row %d stands in the sheet twice", d.row)
		}
	}
	d.row, d.hidden = d.ahead, d.veiled
	d.cells, d.twice, d.column, d.sorted = d.cells[:0], 0, 0, true
	for d.begun && d.ahead == d.row {
		if !d.sc.empty {
			if err := d.readCells(); err != nil {
				return false, err
			}
		}
		if err := d.seek(); err != nil {
			return false, err
		}
	}
	if !d.sorted {
		d.sort()
	}
	return true, nil
}

// seek reads up to the start tag of the next row.
func (d *sheetDecoder) seek() error {
	d.begun = false
	for {
		tok, err := d.sc.next()
		switch {
		case err != nil || tok == tokEOF:
			return err
		case tok != tokStart:
			continue
		case string(local(d.sc.name)) == "row":
			d.ahead, err = rowNumber(&d.sc, d.row)
			d.begun = err == nil
			d.veiled = d.sc.says("hidden")
			return err
		}
		if err := d.sc.skipWithout("row"); err != nil {
			return err
		}
	}
}

// sort puts cells that came out of order into their places.
func (d *sheetDecoder) sort() {
	slices.SortStableFunc(d.cells, func(a, b cell) int { return a.column - b.column })
	for i := 1; i < len(d.cells); i++ {
		if d.cells[i].column == d.cells[i-1].column {
			d.twice = d.cells[i].column + 1
		}
	}
}

// readCells reads up to the end of the row.
func (d *sheetDecoder) readCells() error {
	for {
		if !d.slow {
			n, err := d.plainCell(d.sc.data[d.sc.pos:])
			if err != nil {
				return err
			}
			if n > 0 {
				d.sc.pos += n
				continue
			}
		}
		tok, err := d.sc.next()
		switch {
		case err != nil:
			return err
		case tok == tokEOF:
			return errCut
		case tok == tokEnd:
			return nil
		case tok != tokStart:
			continue
		case string(local(d.sc.name)) == "c":
			err = d.anyCell()
		default:
			err = d.sc.skipWithout("c")
		}
		if err != nil {
			return err
		}
	}
}

// plainCell takes the shapes that nearly every cell has and returns the cell's length, or 0 to leave it to anyCell.
// It never takes what anyCell would read otherwise.
func (d *sheetDecoder) plainCell(x []byte) (int, error) {
	if len(x) < 4 || x[0] != '<' || x[1] != 'c' || x[2] != ' ' && x[2] != '>' {
		return 0, nil
	}
	c := rawCell{column: d.column}
	i := 2
	for i+3 < len(x) && x[i] == ' ' {
		name := x[i+1]
		if x[i+2] != '=' || x[i+3] != '"' {
			return 0, nil
		}
		at := i + 4
		i = at
		for i < len(x) && x[i] != '"' {
			if x[i] == '&' || x[i] == '<' {
				return 0, nil
			}
			i++
		}
		if i == len(x) {
			return 0, nil
		}
		value := x[at:i]
		i++
		switch name {
		case 'r':
			var err error
			if c.column, err = columnOf(value); err != nil {
				return 0, nil
			}
		case 's':
			c.style = digits(value)
		case 't':
			c.kind = value
		default:
			return 0, nil
		}
	}
	if i+2 >= len(x) {
		return 0, nil
	}
	if x[i] == '/' && x[i+1] == '>' {
		return i + 2, d.add(&c)
	}
	if x[i] != '>' {
		return 0, nil
	}
	i++
	var before, after string
	switch rest := x[i:]; {
	case bytes.HasPrefix(rest, []byte("<v>")):
		before, after, c.value = "<v>", "</v></c>", true
	case bytes.HasPrefix(rest, []byte("<is><t>")):
		before, after, c.inline = "<is><t>", "</t></is></c>", true
	case bytes.HasPrefix(rest, []byte(`<is><t xml:space="preserve">`)):
		before, after, c.inline = `<is><t xml:space="preserve">`, "</t></is></c>", true
	case bytes.HasPrefix(rest, []byte("</c>")):
		return i + len("</c>"), d.add(&c)
	default:
		return 0, nil
	}
	at := i + len(before)
	j := bytes.IndexByte(x[at:], '<')
	if j < 0 || !bytes.HasPrefix(x[at+j:], []byte(after)) {
		return 0, nil
	}
	c.text, c.escaped = x[at:at+j], true
	return at + j + len(after), d.add(&c)
}

// anyCell reads a cell whose start tag was just read.
func (d *sheetDecoder) anyCell() error {
	c := rawCell{column: d.column}
	for i := range d.sc.attrs {
		a := &d.sc.attrs[i]
		switch string(a.name) {
		case "r":
			ref, err := unescape(nil, a.value)
			if err != nil {
				return err
			}
			if c.column, err = columnOf(ref); err != nil {
				return err
			}
		case "s":
			c.style = digits(a.value)
		case "t":
			c.kind = append([]byte(nil), a.value...)
		}
	}
	if d.sc.empty {
		return d.add(&c)
	}
	depth := d.sc.depth()
	d.buf = d.buf[:0]
	inValue := false
	for {
		tok, err := d.sc.next()
		if err != nil {
			return err
		}
		switch tok {
		case tokEOF:
			return errCut
		case tokEnd:
			inValue = false
			if d.sc.depth() < depth {
				c.text = d.buf
				return d.add(&c)
			}
		case tokText:
			if inValue {
				if d.buf, err = d.sc.appendText(d.buf); err != nil {
					return err
				}
			}
		case tokStart:
			switch string(local(d.sc.name)) {
			case "v":
				if c.inline { // the text of <is> goes before a stray <v>
					err = d.sc.skip()
					break
				}
				c.value, inValue = true, !d.sc.empty
				d.buf = d.buf[:0]
			case "is":
				c.inline, c.value = true, false
				d.buf, err = richText(&d.sc, d.buf[:0])
			case "f":
				c.formula = true
				err = d.sc.skip()
			default:
				err = d.sc.skip()
			}
			if err != nil {
				return err
			}
		}
	}
}

// add takes in a cell; those without a value only move the column on.
func (d *sheetDecoder) add(c *rawCell) error {
	if c.column >= maxColumn {
		return fmt.Errorf("a cell %w", errColumn)
	}
	d.column = c.column + 1
	v, err := d.value(c)
	if err != nil {
		return fmt.Errorf("cell %s%d: %w", record.ColumnName(c.column), d.row, err)
	}
	if v.Kind() == record.Absent {
		return nil
	}
	if n := len(d.cells); n > 0 && d.cells[n-1].column >= c.column {
		d.sorted = false
	}
	d.cells = append(d.cells, cell{c.column, v})
	return nil
}

// value returns what a cell holds, Absent if nothing.
func (d *sheetDecoder) value(c *rawCell) (record.Value, error) {
	if c.inline {
		return d.textValue(c)
	}
	kind := string(c.kind) // does not allocate: it only gets compared
	if len(c.text) == 0 {
		if c.formula && kind != "str" {
			return record.Of(record.Fault, FormulaFault), nil
		}
		return record.Value{}, nil
	}
	switch kind {
	case "str", "inlineStr":
		return d.textValue(c)
	case "", "n":
		return d.numberValue(c)
	case "s":
		text := bytes.TrimSpace(c.text)
		i := digits(text)
		if i < 0 {
			return record.Value{}, fmt.Errorf("%.20q is no number of a shared string", text)
		}
		s, err := d.strings.get(i, &d.shared)
		if s == "" || err != nil {
			return record.Value{}, err
		}
		return record.TextOf(s), nil
	}
	text, err := d.resolved(c)
	if err != nil {
		return record.Value{}, err
	}
	text = bytes.TrimSpace(text)
	switch kind {
	case "b":
		return record.BoolOf(string(text) != "0" && string(text) != "false"), nil
	case "e":
		return record.Of(record.Fault, d.text.put(text)), nil
	case "d":
		return isoValue(string(text), d.class(c.style)), nil
	}
	return record.Value{}, fmt.Errorf("its type %.20q is none that a workbook knows", kind)
}

// resolved returns the cell's text without escapes of XML. It is good until the next cell.
func (d *sheetDecoder) resolved(c *rawCell) ([]byte, error) {
	if !c.escaped || bytes.IndexByte(c.text, '&') < 0 && bytes.IndexByte(c.text, '\r') < 0 {
		return c.text, nil
	}
	var err error
	d.buf, err = unescape(d.buf[:0], c.text)
	return d.buf, err
}

func (d *sheetDecoder) textValue(c *rawCell) (record.Value, error) {
	text, err := d.resolved(c)
	if err != nil {
		return record.Value{}, err
	}
	// richText, on the other path, has resolved these already.
	if (c.escaped || !c.inline) && bytes.Contains(text, []byte("_x")) {
		d.num = unescapeUnits(append(d.num[:0], text...))
		text = d.num
	}
	if len(text) == 0 {
		return record.Value{}, nil
	}
	return record.TextOf(d.text.put(text)), nil
}

func (d *sheetDecoder) class(style int) class {
	if style >= 0 && style < len(d.styles) {
		return d.styles[style]
	}
	return plain
}

func (d *sheetDecoder) numberValue(c *rawCell) (record.Value, error) {
	text, err := d.resolved(c)
	if err != nil {
		return record.Value{}, err
	}
	text = bytes.TrimSpace(text)
	if d.lost != "" && c.style > 0 {
		return record.Value{}, fmt.Errorf("part %s, which tells whether this is a number or a date, is missing; get the file again, or save it again in a spreadsheet", d.lost)
	}
	if cl := d.class(c.style); cl != plain {
		if f, err := strconv.ParseFloat(string(text), 64); err == nil {
			t, kind, ok := moment(d.num[:0], f, cl, d.date1904)
			d.num = t
			if ok {
				return record.Of(kind, d.text.put(t)), nil
			}
		}
	}
	var ok bool
	if d.num, ok = numeral(d.num[:0], text); ok {
		return record.NumberOf(d.text.put(d.num)), nil
	}
	if len(text) == 0 {
		return record.Value{}, nil
	}
	return record.TextOf(d.text.put(text)), nil
}
