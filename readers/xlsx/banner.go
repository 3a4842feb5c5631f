package xlsx

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/crmetl/crmetl/record"
)

// pickHeader returns the header among the first rows that have a value. It is the first of them, unless that is a
// title: few cells above a table that is far wider. A title is passed over only if the sheet gives a second sign of
// where the table begins; otherwise the user is asked, because a row of data taken for a header would be lost. A
// conversion keeps all rows and only says what it sees.
func (r *Reader) pickHeader(rows []headRow) ([]headRow, error) {
	if len(rows) < 2 || fits(rows, 0) {
		return rows[:min(len(rows), 1)], nil
	}
	for i := 1; i < len(rows); i++ {
		if !r.crowns(rows, i) {
			continue
		}
		sign := r.sign(rows, i)
		switch {
		case r.o.Loose:
			r.notef("row %d looks like a title above a table that begins at row %d; --header-row %d begins there", rows[0].row, rows[i].row, rows[i].row)
			return rows[:1], nil
		case sign == "":
			return nil, fmt.Errorf("row %d looks like a title above a table that begins at row %d; pass --header-row %d, or --header-row %d if it is none",
				rows[0].row, rows[i].row, rows[i].row, rows[0].row)
		}
		r.notef("header row %d: %s passed over as %s above the table, because %s", rows[i].row, above(rows, i), plural(i, "a title", "titles"), sign)
		return rows[i : i+1], nil
	}
	return rows[:1], nil
}

// fits reports whether row i may be the header of the rows after it: a run of names, different from each other, that
// most of these rows keep to.
func fits(rows []headRow, i int) bool {
	h := &rows[i]
	if h.right()-h.left()+1 != len(h.cells) {
		return false
	}
	names := map[string]bool{}
	for _, c := range h.cells {
		name := c.value.Cell()
		if names[name] || c.value.Kind() == record.Fault {
			return false
		}
		names[name] = true
	}
	outside := 0
	for j := i + 1; j < len(rows); j++ {
		if rows[j].left() < h.left() || rows[j].right() > h.right() {
			outside++
		}
	}
	return 2*outside <= len(rows)-i-1
}

// crowns reports whether row i fits the rows below it and looks like names, and the rows above it are too narrow to
// belong to them.
func (r *Reader) crowns(rows []headRow, i int) bool {
	h := &rows[i]
	texts := 0
	for _, c := range h.cells {
		if c.value.Kind() == record.Text {
			texts++
		}
	}
	if len(h.cells) < 2 || 2*texts < len(h.cells) || !fits(rows, i) {
		return false
	}
	for j := range i {
		if 2*len(rows[j].cells) > len(h.cells) {
			return false
		}
	}
	return true
}

// sign returns what besides its width says that row i is the header, "" if nothing does.
func (r *Reader) sign(rows []headRow, i int) string {
	h := &rows[i]
	switch {
	case r.seen.filter.top == h.row:
		return "the sheet's filter begins here"
	case r.seen.frozen == h.row:
		return "the rows up to this one are frozen"
	case h.row > rows[i-1].row+1:
		return "a blank row stands between"
	}
	for _, c := range h.cells {
		if c.value.Kind() != record.Text {
			continue
		}
		values, others := 0, 0
		for _, below := range rows[i+1:] {
			for _, v := range below.cells {
				if v.column == c.column {
					values++
					if v.value.Kind() != record.Text {
						others++
					}
				}
			}
		}
		if others > 0 && 2*others > values {
			return fmt.Sprintf("column %s has a name here and other than text below it", record.ColumnName(c.column))
		}
	}
	if len(h.cells) > 2 {
		single := true
		for j := range i {
			single = single && len(rows[j].cells) == 1
		}
		if single && allText(rows[i]) && len(rows)-i > 2 {
			return "all rows above it have a single cell"
		}
	}
	return ""
}

func allText(h headRow) bool {
	for _, c := range h.cells {
		if c.value.Kind() != record.Text {
			return false
		}
	}
	return true
}

// above names the rows before row i and shows the text of the first of them.
func above(rows []headRow, i int) string {
	text := rows[0].cells[0].value.Cell()
	if utf8.RuneCountInString(text) > 40 {
		text = string([]rune(text)[:39]) + "…"
	}
	if i == 1 {
		return fmt.Sprintf("row %d (%s) is", rows[0].row, strconv.Quote(text))
	}
	return fmt.Sprintf("rows %d to %d (%s, …) are", rows[0].row, rows[i-1].row, strconv.Quote(text))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
