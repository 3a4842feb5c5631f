package columns

import (
	"fmt"
	"strings"
)

// damage counts what a spreadsheet does to texts that look like numbers and dates.
type damage struct {
	faults     sampleOf // #N/A, #####
	scientific sampleOf // 9.71501E+11
	days       sampleOf // 3-Jan, where 1-3 may have stood
	ranges     sampleOf // 4-10: what such a column holds
	zeros      sampleOf // 01234
	zeroWidth  int
	zeroMixed  bool // codes with zeros in front have several lengths
	whole      int64
	widths     [maxWidth + 1]int64 // of numbers without zeros in front
	shorter    [maxWidth + 1]string
	long       sampleOf // numbers of 16 digits and more
	rounded    int64    // those of them that end in zeros from the sixteenth digit on
}

// maxWidth is how many digits codes have at most.
const maxWidth = 20

// excelDigits is how many digits of a number a spreadsheet keeps.
const excelDigits = 15

func (d *damage) add(s string) {
	if s[0] == '#' {
		if ErrorCell(s) {
			d.faults.add(s)
		}
		return
	}
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	switch {
	case n == len(s):
		d.code(s)
	case scientific(s):
		d.scientific.add(s)
	default:
		d.month(s)
		if n <= 2 && s[n] == '-' && len(s) <= 5 {
			if _, end := digits(s, n+1); end == len(s) && end > n+1 {
				d.ranges.add(s)
			}
		}
	}
}

func (d *damage) number(literal string) {
	if strings.ContainsAny(literal, "eE") {
		d.scientific.add(literal)
	}
}

// code counts a cell of digits.
func (d *damage) code(s string) {
	d.whole++
	n := min(len(s), maxWidth)
	if s[0] == '0' && len(s) > 1 {
		if d.zeros.add(s); d.zeros.n == 1 {
			d.zeroWidth = n
		} else if d.zeroWidth != n {
			d.zeroMixed = true
		}
		return
	}
	if d.widths[n]++; d.widths[n] == 1 {
		d.shorter[n] = strings.Clone(s)
	}
	if len(s) > excelDigits {
		d.long.add(s)
		if strings.Trim(s[excelDigits:], "0") == "" {
			d.rounded++
		}
	}
}

// month counts what a spreadsheet makes of 1-3: 3-Jan, Jan-03.
func (d *damage) month(s string) {
	a, b, ok := strings.Cut(s, "-")
	if !ok || len(a) > 3 || len(b) > 4 {
		return
	}
	if isNumber(b) {
		a, b = b, a
	}
	if isNumber(a) && len(b) == 3 && strings.Contains("jan feb mar apr may jun jul aug sep oct nov dec mär mrz mai okt dez", strings.ToLower(b)) {
		d.days.add(s)
	}
}

func isNumber(s string) bool {
	_, end := digits(s, 0)
	return s != "" && end == len(s)
}

// scientific reports whether a text is a number with an exponent that a spreadsheet wrote: 9.71501E+11.
func scientific(s string) bool {
	at := strings.IndexAny(s, "eE")
	if at < 1 || at+2 >= len(s) || s[at+1] != '+' {
		return false
	}
	return strings.Trim(s[at+2:], "0123456789") == "" && strings.Trim(s[:at], "0123456789.,") == "" && len(strings.Trim(s[:at], "0123456789")) <= 1
}

// ErrorCell reports whether a text is what a spreadsheet shows in place of a value: an error's name, or a row of #
// where the column was too narrow.
func ErrorCell(s string) bool {
	switch s {
	case "#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#FIELD!", "#GETTING_DATA", "#ERROR!":
		return true
	}
	return len(s) >= 3 && strings.Trim(s, "#") == ""
}

func (d *damage) say(c *column, say func(rule, text string, open bool)) {
	if d.faults.n > 0 {
		say("cell", fmt.Sprintf("%s, such as %s, where values should be; correct the formula or widen the column, and export again", plural(d.faults.n, "spreadsheet error"), d.faults.first), false)
	}
	if d.scientific.n > 0 {
		say("digits", fmt.Sprintf("%s, such as %q: digits were lost to scientific notation; format the column as text and export again", plural(d.scientific.n, "cell"), d.scientific.first), false)
	}
	if d.long.n >= 2 && d.rounded == d.long.n {
		say("digits", fmt.Sprintf("%s of more than %d digits, and all end in zeros, such as %q: a spreadsheet keeps %d digits; format the column as text and export again", plural(d.long.n, "number"), excelDigits, d.long.first, excelDigits), false)
	}
	if n, first := d.lostZeros(c); n > 0 {
		say("zeros", fmt.Sprintf("%s, such as %q, %s shorter than the %d digits that the others have, such as %q: zeros in front were lost; format the column as text and export again", plural(n, "cell"), first, isAre(n), d.zeroWidth, d.zeros.first), false)
	}
	if d.days.n > 0 && (d.ranges.n > 0 || d.days.n*2 < c.filled) {
		say("date", fmt.Sprintf("%s, such as %q: what a spreadsheet makes of a range like 1-3; format the column as text and enter them again", plural(d.days.n, "cell"), d.days.first), false)
	}
}

func isAre(n int64) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// lostZeros returns how many cells are shorter than those with zeros in front, if the column is one of codes of one
// length, and the first of them.
func (d *damage) lostZeros(c *column) (n int64, first string) {
	if d.zeros.n == 0 || d.zeroMixed || d.zeroWidth < 3 || d.whole*10 < c.filled*9 {
		return 0, ""
	}
	for w := d.zeroWidth + 1; w <= maxWidth; w++ {
		if d.widths[w] > 0 {
			return 0, ""
		}
	}
	for w := d.zeroWidth - 1; w > 0; w-- {
		if d.widths[w] > 0 && n == 0 {
			first = d.shorter[w]
		}
		n += d.widths[w]
	}
	if n*2 > d.whole {
		return 0, "" // more short ones than others: they are so
	}
	return n, first
}
