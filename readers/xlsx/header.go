package xlsx

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/crmetl/crmetl/record"
)

// noHeader is the HeaderRow of a sheet without one.
const noHeader = "none"

// headerAt says where the header is: in rows top to bottom of the sheet. top is 0 if it is to be found, and -1 if
// there is none.
type headerAt struct{ top, bottom int }

// wantedHeader reads HeaderRow.
func (r *Reader) wantedHeader() (headerAt, error) {
	switch r.o.HeaderRow {
	case "":
		return headerAt{}, nil
	case noHeader:
		return headerAt{top: -1}, nil
	}
	from, to, two := strings.Cut(strings.ReplaceAll(r.o.HeaderRow, ":", "-"), "-")
	if !two {
		to = from
	}
	top, err := strconv.Atoi(strings.TrimSpace(from))
	bottom, err2 := strconv.Atoi(strings.TrimSpace(to))
	switch {
	case errors.Join(err, err2) != nil, top < 1, bottom < top, bottom > maxRow:
		return headerAt{}, fmt.Errorf("header row %q is neither the number of a sheet's row, nor a run of rows as 2-3, nor %q", r.o.HeaderRow, noHeader)
	case bottom-top >= maxHeaderRows:
		return headerAt{}, fmt.Errorf("header rows %s are %d rows; a header has %d at most", r.o.HeaderRow, bottom-top+1, maxHeaderRows)
	case top < r.area.top || bottom > r.area.bottom:
		return headerAt{}, fmt.Errorf("header row %s lies outside the range %s", r.o.HeaderRow, r.o.Range)
	}
	return headerAt{top, bottom}, nil
}

const (
	maxHeaderRows = 16 // that make one header
	headRows      = 64 // rows with a value that are looked at to find the header
)

// headRow is a row that may be the header, or stand above it: its cells that have a value.
type headRow struct {
	row   int
	cells []cell
}

func (h *headRow) left() int  { return h.cells[0].column }
func (h *headRow) right() int { return h.cells[len(h.cells)-1].column }

// allColumns reports whether the header takes in every column of the sheet, so that no row is too wide for it.
func (r *Reader) allColumns() bool { return r.o.Loose || r.o.HeaderRow == noHeader }

// readHeader finds the header and names the columns.
func (r *Reader) readHeader(want headerAt) error {
	r.left, r.dataFrom = r.area.left, r.area.top
	width := 0
	if r.allColumns() {
		width = max(0, min(r.seen.width, r.area.right+1)-r.left)
		if r.area.right < whole.right {
			width = r.area.right + 1 - r.left
		}
	}
	if want.top < 0 {
		names := make([]string, width)
		for i := range names {
			names[i] = record.ColumnName(r.left + i)
		}
		r.header = record.LooseHeader(names)
		return nil
	}
	rows, err := r.headRows(want)
	if err == nil && want.top == 0 {
		rows, err = r.pickHeader(rows)
	}
	if err != nil {
		return err
	}
	switch {
	case len(rows) > 0:
	case want.top > 0:
		return fmt.Errorf("header row %s has no value; say which row has the column names", r.o.HeaderRow)
	case !r.o.Loose:
		return errors.New("has no row with a value, and so no header")
	default:
		r.header = record.LooseHeader(make([]string, width))
		return nil
	}
	return r.nameColumns(rows, width, max(want.bottom, rows[len(rows)-1].row))
}

// nameColumns makes the header of the rows that have the names; bottom is the last row that belongs to it.
func (r *Reader) nameColumns(rows []headRow, width, bottom int) error {
	left, right := maxColumn, 0
	for i := range rows {
		left, right = min(left, rows[i].left()), max(right, rows[i].right())
	}
	names := r.joined(rows, left, right)
	if r.o.Loose {
		names = append(make([]string, left-r.left, width), names...)
		names = append(names, make([]string, max(0, width-len(names)))...)
	} else {
		r.left = left
	}
	r.evidence.HeaderRow, r.dataFrom = bottom, bottom+1
	if len(rows) > 1 {
		r.notef("the header is made of rows %d to %d", rows[0].row, bottom)
	}
	if r.o.Loose {
		r.header = record.LooseHeader(names)
		return nil
	}
	var err error
	if r.header, err = record.NewHeader(names); err != nil {
		return fmt.Errorf("header row %d: %w", bottom, inPlace(err, names, r.left))
	}
	return nil
}

// joined returns the names of columns left to right: what the header's rows say, one after the other. A cell that is
// merged over several columns speaks for all of them, unless it stands in the last row.
func (r *Reader) joined(rows []headRow, left, right int) []string {
	names := make([]string, right-left+1)
	for i, h := range rows {
		said := make([]string, len(names))
		for _, c := range h.cells {
			text := c.value.Cell()
			switch {
			case len(rows) > 1:
				text = strings.Join(strings.Fields(text), " ")
			case !r.o.Loose:
				text = strings.TrimSpace(text)
			}
			to := c.column
			if i < len(rows)-1 {
				to = r.mergedTo(h.row, c.column)
			}
			for col := c.column; col <= min(to, right); col++ {
				said[col-left] = text
			}
		}
		for j, text := range said {
			switch {
			case text == "" || text == names[j]:
			case names[j] == "":
				names[j] = text
			default:
				names[j] += " " + text
			}
		}
	}
	return names
}

// mergedTo returns the last column of the merged cell that begins here, or the column itself.
func (r *Reader) mergedTo(row, column int) int {
	for _, a := range r.seen.merges {
		if a.top == row && a.left == column {
			return a.right
		}
	}
	return column
}

// inPlace repeats NewHeader's complaint with the columns as the sheet has them.
func inPlace(err error, names []string, left int) error {
	if left == 0 {
		return err
	}
	padded := make([]string, left, left+len(names))
	for i := range padded {
		padded[i] = fmt.Sprintf("\x00%d", i)
	}
	_, err = record.NewHeader(append(padded, names...))
	return err
}

// headRows returns the rows that want names, or the first rows that have a value.
func (r *Reader) headRows(want headerAt) ([]headRow, error) {
	limit := headRows
	if want.top > 0 {
		limit = maxHeaderRows
	}
	var rows []headRow
	var twice error
	err := r.eachRow(func(d *sheetDecoder) (bool, error) {
		if d.row > r.area.bottom || want.top > 0 && d.row > want.bottom || len(rows) == limit {
			return false, nil
		}
		if d.row < max(r.area.top, want.top) || want.top == 0 && d.hidden && r.o.SkipHidden {
			return true, nil
		}
		all := slices.Clone(r.inside(d))
		cells := slices.DeleteFunc(slices.Clone(all), func(c cell) bool { return c.value.IsEmpty() })
		if len(cells) == 0 {
			return true, nil
		}
		if r.o.Loose {
			cells = all
		}
		if d.twice > 0 && (want.top > 0 || len(rows) == 0) && twice == nil {
			twice = fmt.Errorf("header row %d: cell %s%d stands in the sheet twice", d.row, record.ColumnName(d.twice-1), d.row)
		}
		rows = append(rows, headRow{d.row, cells})
		return true, nil
	})
	return rows, errors.Join(err, twice)
}

// eachRow reads the sheet from its beginning and shows each row, until see has seen enough.
func (r *Reader) eachRow(see func(*sheetDecoder) (more bool, err error)) error {
	if err := r.rewind(nil, nil); err != nil {
		return err
	}
	var buf []byte
	for {
		data, before, err := r.cut.next(buf[:0])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		buf = data
		d := r.decoder(data, before)
		for {
			ok, err := d.next()
			if err != nil {
				return fmt.Errorf("row %d: %w", d.row, err)
			}
			if !ok {
				break
			}
			if more, err := see(d); err != nil || !more {
				return err
			}
		}
	}
}
