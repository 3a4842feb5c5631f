package xlsx

import (
	"fmt"
	"strings"
)

// area is the part of a sheet that is read: columns 0-based, rows 1-based, both ends included.
type area struct {
	left, right int
	top, bottom int
}

// whole is every cell that a sheet can have.
var whole = area{0, maxColumn - 1, 1, maxRow}

// parseArea reads A1:K900, A:K or 2:900; "" is the whole sheet.
func parseArea(s string) (area, error) {
	if s == "" {
		return whole, nil
	}
	wrong := fmt.Errorf("range %q is none; say it as A1:K900, A:K or 2:900", s)
	from, to, two := strings.Cut(strings.ReplaceAll(strings.TrimSpace(s), "$", ""), ":")
	if !two {
		to = from
	}
	left, top, ok := corner(from)
	right, bottom, ok2 := corner(to)
	if !ok || !ok2 || (left < 0) != (right < 0) || top == 0 && left < 0 {
		return area{}, wrong
	}
	a := area{left, right, top, bottom}
	if left < 0 {
		a.left, a.right = whole.left, whole.right
	}
	if top == 0 {
		a.top = whole.top
	}
	if bottom == 0 {
		a.bottom = whole.bottom
	}
	if a.left > a.right || a.top > a.bottom {
		return area{}, wrong
	}
	return a, nil
}

// corner reads B7, B or 7; what is left out is -1 as a column and 0 as a row.
func corner(s string) (column, row int, ok bool) {
	i := strings.IndexFunc(s, func(r rune) bool { return r >= '0' && r <= '9' })
	if i < 0 {
		i = len(s)
	}
	column = -1
	if i > 0 {
		c, err := columnOf([]byte(s[:i] + "1"))
		if err != nil {
			return 0, 0, false
		}
		column = c
	}
	if i < len(s) {
		if row = digits([]byte(s[i:])); row < 1 || row > maxRow {
			return 0, 0, false
		}
	}
	return column, row, len(s) > 0
}
