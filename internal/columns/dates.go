package columns

import (
	"fmt"
	"strings"
)

// dates counts cells that are three numbers with the same sign between them, a time maybe behind.
type dates struct {
	n         int64
	sep       byte
	mixed     bool // other signs, other lengths of years, other times
	short     bool // years of two digits
	clock     string
	yearFirst int64
	first     sampleOf // the first number is above 12: a day
	second    sampleOf // the second number is above 12: a day
	open      sampleOf // both may be either
	same      sampleOf // both are the same number
}

// Date is what a column of dates shows.
type Date struct {
	Layout string // as the transforms date and datetime take it, DD/MM/YYYY; "" if it is none, or needs none, as ISO 8601 does
	Other  string // the other layout, where the column leaves it open
	Open   bool
	Time   bool   // there is a time of day in the cells
	Text   string // a sentence, "" if there is nothing to say
}

// add counts a cell, and reports whether it has the form of a date.
func (d *dates) add(s string) bool {
	a, i := digits(s, 0)
	if i == 0 || i > 4 || i >= len(s) {
		return false
	}
	sep := s[i]
	if sep != '/' && sep != '-' && sep != '.' {
		return false
	}
	b, j := digits(s, i+1)
	if n := j - i - 1; n < 1 || n > 2 || j >= len(s) || s[j] != sep {
		return false
	}
	_, k := digits(s, j+1)
	long := k - j - 1
	if long < 1 || long > 4 || long == 3 {
		return false
	}
	clock, ok := clockOf(s[k:])
	if !ok {
		return false
	}
	yearFirst := i == 4
	if yearFirst && long > 2 || !yearFirst && (i > 2 || long == 1) {
		return false
	}
	short := !yearFirst && long == 2
	if d.n++; d.n == 1 {
		d.sep, d.short, d.clock = sep, short, clock
	} else if d.sep != sep || d.short != short || d.clock != clock {
		d.mixed = true
	}
	switch {
	case yearFirst:
		d.yearFirst++
	case a > 31 || b > 31 || a > 12 && b > 12 || a == 0 || b == 0: // no date of any order
	case a > 12:
		d.first.add(s)
	case b > 12:
		d.second.add(s)
	case a != b:
		d.open.add(s)
	default:
		d.same.add(s)
	}
	return true
}

// digits reads a number of at most four digits.
func digits(s string, from int) (n, end int) {
	for end = from; end < len(s) && end < from+5 && s[end] >= '0' && s[end] <= '9'; end++ {
		n = n*10 + int(s[end]-'0')
	}
	return n, end
}

// clockOf returns the layout of what stands behind a date: nothing, or a blank or T and a time.
func clockOf(s string) (string, bool) {
	if s == "" {
		return "", true
	}
	if s[0] != ' ' && s[0] != 'T' || len(s) < 5 {
		return "", false
	}
	form := s[:1]
	colons, i := 0, 1
	for ; i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == ':'); i++ {
		if s[i] == ':' {
			colons++
		}
	}
	rest := strings.ToUpper(strings.TrimSpace(s[i:]))
	half := rest == "AM" || rest == "PM"
	switch {
	case rest != "" && !half || colons < 1 || colons > 2:
		return "", false
	case half:
		form += "hh:mm"
	default:
		form += "HH:mm"
	}
	if colons == 2 {
		form += ":ss"
	}
	if half {
		form += s[i:i+strings.Index(s[i:], strings.TrimSpace(s[i:]))] + "AM"
	}
	return form, true
}

// clear is which part of the dates must prove an order, if there are many: one day above 12 among hundreds of dates is
// no proof but a slip.
const clear = 10

// Date returns what a column of dates shows. A column of few dates among other texts shows nothing.
func (p *Profile) Date(i int) Date {
	c := &p.cols[i]
	d := &c.dates
	if d.n == 0 || d.n*10 < c.filled*8 {
		return Date{}
	}
	out := Date{Time: d.clock != ""}
	sep, year := string(d.sep), "YYYY"
	if d.short {
		year = "YY"
	}
	dmy, mdy := "DD"+sep+"MM"+sep+year+d.clock, "MM"+sep+"DD"+sep+year+d.clock
	few := func(n int64) bool { return d.n >= 20 && n*clear < d.n }
	switch {
	case d.yearFirst == d.n && d.sep == '-':
		return out // ISO 8601
	case d.yearFirst == d.n:
		out.Layout = "YYYY" + sep + "MM" + sep + "DD" + d.clock
		out.Text = fmt.Sprintf("dates are written %s", out.Layout)
	case d.yearFirst > 0:
		out.Open, out.Text = true, fmt.Sprintf("%s of %d dates begin with the year, the others do not", plural(d.yearFirst, "date"), d.n)
	case d.first.n > 0 && d.second.n == 0 && !few(d.first.n):
		out.Layout = dmy
		out.Text = fmt.Sprintf("the day comes first: %s can be read in no other way, such as %q", plural(d.first.n, "date"), d.first.first)
	case d.second.n > 0 && d.first.n == 0 && !few(d.second.n):
		out.Layout = mdy
		out.Text = fmt.Sprintf("the month comes first: %s can be read in no other way, such as %q", plural(d.second.n, "date"), d.second.first)
	case d.first.n > 0 && d.second.n > 0:
		out.Open, out.Layout, out.Other = true, dmy, mdy
		out.Text = fmt.Sprintf("both orders stand in it: %q (%d) begin with the day, %q (%d) with the month", d.first.first, d.first.n, d.second.first, d.second.n)
	default:
		out.Open, out.Layout, out.Other = true, dmy, mdy
		out.Text = d.ask(dmy, mdy)
	}
	if d.mixed {
		out.Text += "; not all are written alike"
	}
	return out
}

// ask shows both readings.
func (d *dates) ask(dmy, mdy string) string {
	show := d.open.first
	if show == "" {
		show = d.first.first + d.second.first
	}
	switch {
	case show == "" && d.same.n > 0:
		return fmt.Sprintf("which of the numbers is the day can't be told: %q reads the same either way, as %s or %s", d.same.first, dmy, mdy)
	case show == "":
		return "they look like dates, and none of them is one"
	}
	a, i := digits(show, 0)
	b, j := digits(show, i+1)
	year, _ := digits(show, min(j+1, len(show)))
	s := ""
	if a >= 1 && a <= 12 && b >= 1 && b <= 12 {
		s = fmt.Sprintf("%q is %d %s %02d as %s, and %d %s %02d as %s", show, a, months[b-1], year, dmy, b, months[a-1], year, mdy)
	} else {
		s = fmt.Sprintf("%q stands nearly alone against %d dates that may be read either way", show, d.n-d.first.n-d.second.n)
	}
	return "which of the numbers is the day can't be told: " + s
}

var months = [...]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
