package columns

import (
	"fmt"
	"strings"
)

// numbers counts cells that are numbers with signs between their digits.
type numbers struct {
	n          int64    // numbers of any form
	point      sampleOf // a point that can only be the decimal sign
	comma      sampleOf // a comma that can only be the decimal sign
	groupPoint sampleOf // a point that can only separate thousands
	groupComma sampleOf
	groupOther sampleOf // a blank or an apostrophe that separates thousands
	openPoint  sampleOf // 1.234: either
	openComma  sampleOf // 1,234: either
}

// Number is what a column of numbers shows.
type Number struct {
	Decimal string // the decimal sign, "" if the column does not say or needs no word, as 1234.5 does
	Group   string // the sign between thousands, "" if there is none
	Open    bool
	Text    string
}

// add counts a cell.
func (d *numbers) add(s string) {
	s = strings.TrimLeft(s, "+-(")
	s = strings.TrimRight(s, ")% ")
	if s == "" || s[0] < '0' || s[0] > '9' {
		return
	}
	points, commas, others, run := 0, 0, 0, 0
	last := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			run++
			continue
		case c == '.':
			points++
		case c == ',':
			commas++
		case c == ' ' || c == '\'':
			others++
		default:
			return
		}
		last, run = s[i], 0
	}
	if run == 0 {
		return
	}
	d.n++
	whole := len(s) - run - 1
	switch {
	case others > 0 && (last == ' ' || last == '\'') && run != 3:
		d.n-- // a phone number, or several numbers
		return
	case others > 0:
		d.groupOther.add(s)
		if last == '.' {
			d.point.add(s)
		} else if last == ',' {
			d.comma.add(s)
		}
	case points > 0 && commas > 0 && last == '.' && points == 1:
		d.point.add(s)
		d.groupComma.add(s)
	case points > 0 && commas > 0 && last == ',' && commas == 1:
		d.comma.add(s)
		d.groupPoint.add(s)
	case points > 0 && commas > 0:
		d.n--
	case points > 1 && run == 3:
		d.groupPoint.add(s)
	case commas > 1 && run == 3:
		d.groupComma.add(s)
	case points > 1 || commas > 1:
		d.n-- // a version, an address of a computer, a list
	case points == 1 && run == 3 && whole <= 3 && s[0] != '0':
		d.openPoint.add(s)
	case commas == 1 && run == 3 && whole <= 3 && s[0] != '0':
		d.openComma.add(s)
	case points == 1:
		d.point.add(s)
	case commas == 1:
		d.comma.add(s)
	}
}

// Number returns what a column of numbers shows. A column of few numbers among other texts shows nothing.
func (p *Profile) Number(i int) Number {
	c := &p.cols[i]
	d := &c.nums
	if d.n == 0 || d.n*10 < c.filled*9 {
		return Number{}
	}
	point, comma := d.point.n+d.groupComma.n, d.comma.n+d.groupPoint.n
	group := func(sign string, sure, open int64) string {
		switch {
		case sure+open > 0:
			return sign
		case d.groupOther.n > 0 && strings.Contains(d.groupOther.first, "'"):
			return "'"
		case d.groupOther.n > 0:
			return " "
		}
		return ""
	}
	example := func(samples ...sampleOf) string {
		for _, s := range samples {
			if s.n > 0 {
				return fmt.Sprintf("%q", s.first)
			}
		}
		return ""
	}
	few := func(n int64) bool { return d.n >= 20 && n*clear < d.openPoint.n+d.openComma.n }
	switch {
	case point > 0 && comma > 0:
		return Number{Open: true, Text: fmt.Sprintf("both decimal signs stand in it: %s has a point, %s a comma", example(d.point, d.groupComma), example(d.comma, d.groupPoint))}
	case comma > 0 && !few(comma):
		return Number{Decimal: ",", Group: group(".", d.groupPoint.n, d.openPoint.n), Text: fmt.Sprintf("the comma is the decimal sign, as in %s", example(d.comma, d.groupPoint))}
	case point > 0 && !few(point):
		g := group(",", d.groupComma.n, d.openComma.n)
		if g == "" {
			return Number{} // plain numbers
		}
		return Number{Decimal: ".", Group: g, Text: fmt.Sprintf("the point is the decimal sign, and %q stands between thousands, as in %s", g, example(d.groupComma, d.openComma, d.groupOther))}
	case d.openComma.n > 0 && d.openPoint.n == 0:
		return Number{Open: true, Text: d.ask(d.openComma.first, ",")}
	case d.openPoint.n > 0 && d.openComma.n == 0:
		return Number{Open: true, Text: d.ask(d.openPoint.first, ".")}
	case d.openPoint.n > 0:
		return Number{Open: true, Text: fmt.Sprintf("the decimal sign can't be told: %q and %q stand in it", d.openPoint.first, d.openComma.first)}
	case d.groupOther.n > 0:
		return Number{Decimal: ".", Group: group("", 0, 0), Text: fmt.Sprintf("thousands are set apart, as in %q", d.groupOther.first)}
	}
	return Number{}
}

// ask shows both readings.
func (d *numbers) ask(s, sign string) string {
	name := map[string]string{",": "comma", ".": "point"}[sign]
	return fmt.Sprintf("whether the %s is the decimal sign can't be told: %q is %s if it separates thousands, and %s if it is", name, s, strings.ReplaceAll(s, sign, ""), strings.ReplaceAll(s, sign, "."))
}
