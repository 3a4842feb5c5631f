package xlsx

import (
	"bytes"
	"slices"
	"strings"
)

// maxMerges bounds what is kept of the merged cells of a sheet.
const maxMerges = 1 << 18

// survey is what the first look at a sheet brings to light: how wide it is, what is hidden, merged and filtered.
type survey struct {
	measure bool // find the width
	slow    bool // look at every tag for it: for tests
	rows    area // what is looked at

	width   int    // columns up to the last one with a value
	hidden  int    // rows that are hidden
	columns []area // runs of columns that are hidden
	merges  []area // merged cells
	more    bool   // there are more of them than are kept
	frozen  int    // rows that stay when the sheet is scrolled
	filter  area   // that of the automatic filter, its header included; the zero area if there is none

	at     int // number of the row that is looked at
	column int // of the cell that began last
	tag    scanner
}

// begin takes in the start tag of a row.
func (s *survey) begin(row int, hidden bool) {
	if row != s.at {
		s.column = 0
	}
	s.at = row
	if hidden && row >= s.rows.top && row <= s.rows.bottom {
		s.hidden++
	}
}

// row takes in the XML of a row behind its start tag. It widens the sheet where a cell has a value.
func (s *survey) row(xml []byte) error {
	if !s.measure {
		return nil
	}
	if s.slow || declarationIn(xml) < len(xml) {
		return s.everyTag(xml)
	}
	for i := 0; ; {
		next := nextCell(xml[i:])
		if next > 0 {
			// What stands before the next cell: the inside of this one, or what only everyTag knows.
			if s.column > s.width && hasValue(xml[i:i+next]) {
				s.width = s.column
			}
			if i == 0 && bytes.IndexByte(xml[:next], ':') >= 0 {
				return s.everyTag(xml)
			}
		}
		if i += next; i == len(xml) {
			return nil
		}
		n, err := s.cell(xml[i:])
		if err != nil {
			return err
		}
		i += n
	}
}

// nextCell returns where the next "<c" is, or the length of xml.
func nextCell(xml []byte) int {
	for i := 0; ; i++ {
		j := bytes.IndexByte(xml[i:], '<')
		if j < 0 || i+j+1 == len(xml) {
			return len(xml)
		}
		if i += j; xml[i+1] == 'c' {
			return i
		}
	}
}

// cell takes in the start tag of a cell and returns how much of it is done with.
func (s *survey) cell(tag []byte) (int, error) {
	const ref = `<c r="`
	if len(tag) > len(ref)+4 && string(tag[:len(ref)]) == ref {
		col := 0
		for i := len(ref); i < len(ref)+4; i++ {
			if c := tag[i]; c >= 'A' && c <= 'Z' {
				col = col*26 + int(c-'A') + 1
			} else if c > '0' && c <= '9' && i > len(ref) && col <= maxColumn {
				s.column = col
				return i, nil
			} else {
				break
			}
		}
	}
	if !named(tag, []byte("<c")) {
		return len("<c"), nil
	}
	return s.anyCell(tag)
}

// anyCell is cell for every way in which the tag may be written.
func (s *survey) anyCell(tag []byte) (int, error) {
	t := &s.tag
	t.data, t.pos, t.open, t.marks = tag, 0, t.open[:0], t.marks[:0]
	_, done, err := t.startTag()
	if err != nil {
		return 0, err
	}
	if !done {
		return len(tag), nil // the row's end shows what is wrong with it
	}
	ref, ok, err := t.attr("r")
	if err != nil {
		return 0, err
	}
	s.column++
	if ok {
		col, err := columnOf([]byte(ref))
		if err != nil {
			return 0, err
		}
		s.column = col + 1
	}
	return t.pos, nil
}

// hasValue reports whether the inside of a cell holds an element that gives it a value.
func hasValue(xml []byte) bool {
	for i := 0; ; i++ {
		j := bytes.IndexByte(xml[i:], '<')
		if j < 0 {
			return false
		}
		i += j
		if tag := xml[i+1:]; tagIs(tag, "v") || tagIs(tag, "is") || tagIs(tag, "f") {
			return true
		}
	}
}

// everyTag is row for rows that are written in a way of their own: with prefixes, comments or CDATA sections.
func (s *survey) everyTag(xml []byte) error {
	for i := 0; ; {
		j := bytes.IndexByte(xml[i:], '<')
		if j < 0 || i+j+1 == len(xml) {
			return nil
		}
		i += j
		n := 1
		var err error
		switch tag := xml[i+1:]; {
		case tag[0] == '!' || tag[0] == '?':
			s.tag.data, s.tag.pos = xml[i:], 0
			if _, _, err = s.tag.step(); err == nil {
				n = max(s.tag.pos, 1)
			}
		case tagIs(tag, "c"):
			n, err = s.anyCell(xml[i:])
		case tagIs(tag, "v") || tagIs(tag, "is") || tagIs(tag, "f"):
			s.width = max(s.width, s.column)
		}
		if err != nil {
			return err
		}
		i += n
	}
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

// element takes in a start tag that stands before or after the rows.
func (s *survey) element(sc *scanner) error {
	level := sc.depth()
	if !sc.empty {
		level--
	}
	switch name := string(local(sc.name)); {
	case name == "mergeCell" && level == 2:
		a, ok, err := refOf(sc)
		if err != nil || !ok {
			return err
		}
		if s.more = s.more || len(s.merges) == maxMerges; !s.more {
			s.merges = append(s.merges, a)
		}
	case name == "autoFilter" && level == 1:
		a, ok, err := refOf(sc)
		if ok {
			s.filter = a
		}
		return err
	case name == "pane" && level == 3:
		state, _, err := sc.attr("state")
		if err != nil {
			return err
		}
		rows, _, err := sc.attr("ySplit")
		if strings.HasPrefix(state, "frozen") {
			s.frozen = max(s.frozen, digits([]byte(rows)))
		}
		return err
	case name == "col" && level == 2:
		return s.cols(sc)
	}
	return nil
}

// refOf returns the cells that an element's ref names; ok is false if there are none to be understood.
func refOf(sc *scanner) (a area, ok bool, err error) {
	ref, ok, err := sc.attr("ref")
	if err != nil || !ok || ref == "" {
		return area{}, false, err
	}
	if a, err = parseArea(ref); err != nil {
		return area{}, false, nil //nolint:nilerr // rows do not depend on it
	}
	return a, true, nil
}

// cols takes in a run of columns.
func (s *survey) cols(sc *scanner) error {
	var from, to, hidden string
	for _, x := range []struct {
		name string
		into *string
	}{{"min", &from}, {"max", &to}, {"hidden", &hidden}} {
		v, _, err := sc.attr(x.name)
		if err != nil {
			return err
		}
		*x.into = v
	}
	left, right := digits([]byte(from)), digits([]byte(to))
	if isTrue(hidden) && left > 0 && right >= left && len(s.columns) < maxColumn {
		s.columns = append(s.columns, area{left: left - 1, right: min(right, maxColumn) - 1})
	}
	return nil
}

// hiddenUpTo returns the runs of hidden columns, as far as the sheet has such columns.
func (s *survey) hiddenUpTo(last int) []area {
	var runs []area
	for _, a := range s.columns {
		if a.left > last {
			continue
		}
		a.right = min(a.right, last)
		if n := len(runs); n > 0 && runs[n-1].right+1 == a.left {
			runs[n-1].right = a.right
			continue
		}
		runs = append(runs, a)
	}
	return slices.Clip(runs)
}
