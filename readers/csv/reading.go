package csv

import (
	"bytes"
	"fmt"
	"strings"
)

// reading is what the sample looks like under one dialect.
type reading struct {
	dialect
	records int
	first   int // cells of the first record
	usual   int // the most frequent number of cells
	share   int // percent of records that have it, from the first that has it on
	above   int // records before that one
	faults  int // records with text after a closing quote, or an unclosed quote
	quoted  int // cells in quotes
	needed  int // those of them that hold a delimiter, a line end or an escaped quote
	bare    int // cells outside of quotes that begin and end with the other quote
	late    int // cells that begin with a blank and a quote
	cells   int // all cells
	typed   int // those that are one plain thing: a number, a date, an address, a word, or nothing
}

func (r reading) String() string {
	lines, from := r.records-r.above, ""
	switch {
	case r.above == 1:
		from = " below the first"
	case r.above > 1:
		from = fmt.Sprintf(" below the first %d", r.above)
	}
	if r.share == 100 {
		return fmt.Sprintf("%s gives %d columns in all %d lines%s", shown(r.delim), r.usual, lines, from)
	}
	return fmt.Sprintf("%s gives %d columns in %d%% of %d lines%s", shown(r.delim), r.usual, r.share, lines, from)
}

// readAs reads the sample under a dialect.
func readAs(s sample, d dialect) reading {
	r := reading{dialect: d}
	var cells []span
	var widths []int
	gap, gaps := false, map[int]bool{} // blank lines, and the records below them
	counts := map[int]int{}
	for pos := 0; pos < len(s.head); {
		got := d.record(s.head, pos, s.whole, &cells)
		if got.kind == more || got.kind == unclosed {
			if got.kind == unclosed {
				r.faults++
			}
			break
		}
		pos = got.end
		if got.kind == blank {
			gap = true
			continue
		}
		if got.stray >= 0 {
			r.faults++
		}
		r.look(s.head, cells)
		if gap && len(widths) <= maxTitles {
			gaps[len(widths)] = true
		}
		gap = false
		widths = append(widths, len(cells))
		counts[len(cells)]++
	}
	if r.records = len(widths); r.records == 0 {
		return r
	}
	r.first = widths[0]
	for n, times := range counts {
		if times > counts[r.usual] || times == counts[r.usual] && n > r.usual {
			r.usual = n
		}
	}
	r.share = counts[r.usual] * 100 / r.records
	if above := titles(widths, r.usual); above > 0 && counts[r.usual] >= 2 && (r.usual > 2 || gaps[above]) {
		r.above = above
		r.share = counts[r.usual] * 100 / (r.records - above)
	}
	return r
}

// titles returns how many records at the beginning are too short for the table: what stands above it. Above a table of
// two columns there must be a blank line, too: a name above lines like "Lovelace, Ada" heads the only column.
func titles(widths []int, usual int) int {
	for i, n := range widths {
		if n == usual {
			return i
		}
		if i == maxTitles || n > max(1, usual*2/3) || i == 0 && n > max(1, usual/2) {
			return 0
		}
	}
	return 0
}

// maxTitles is how many lines may stand above a table.
const maxTitles = 30

// look counts what cells look like.
func (r *reading) look(buf []byte, cells []span) {
	for _, c := range cells {
		r.cells++
		raw := buf[c.from:c.to]
		if c.from > 0 && r.quote != 0 && buf[c.from-1] == r.quote && c.to < len(buf) && buf[c.to] == r.quote {
			r.quoted++
			if c.escaped && r.escape != 0 || bytes.ContainsAny(raw, "\r\n") || bytes.Contains(raw, []byte(r.delim)) {
				r.needed++
			}
			r.typed++
			continue
		}
		raw = bytes.TrimSpace(raw)
		n := len(raw)
		switch {
		case n >= 2 && (raw[0] == '"' || raw[0] == '\'') && raw[n-1] == raw[0] && raw[0] != r.quote:
			r.bare++
		case n >= 1 && raw[0] == r.quote && r.quote != 0:
			r.late++
		case plainCell(raw):
			r.typed++
		}
	}
}

// plainCell reports whether a cell is one thing, with nothing in it that might separate cells.
func plainCell(raw []byte) bool {
	commas := 0
	for i, c := range raw {
		switch c {
		case ';', '|', '\t':
			return false
		case ',':
			if commas++; commas > 1 || i == 0 || i+1 == len(raw) || !digit(raw[i-1]) || !digit(raw[i+1]) {
				return false
			}
		}
	}
	return true
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// search finds the dialect under which the sample is a table. told is the delimiter if it is known.
func (f *finding) search(s sample, told string, o Options) (reading, error) {
	best, err := f.choose(s, told)
	if told == "" && o.HeaderRow != "none" && err == nil && best.usual < 2 && best.first < 2 {
		if other, ok := f.unusual(s); ok {
			best = other
		}
	}
	why := ""
	for _, v := range variants(s, f.dialect, o) {
		g := finding{dialect: v.dialect}
		under := told
		if v.delim != "" {
			under = v.delim
		}
		other, oerr := g.choose(s, under)
		if oerr == nil && under == "" && other.usual < 2 {
			if x, ok := g.unusual(s); ok {
				other = x
			}
		}
		if oerr == nil && v.better(s, best, err, other) {
			best, err, why = other, nil, v.why
		}
	}
	if err != nil {
		return best, err
	}
	f.dialect = best.dialect
	if told == "" {
		if best.usual < 2 && best.first < 2 {
			f.notes = append(f.notes, fmt.Sprintf("delimiter %s: the header has no delimiter in it, so there is one column", shown(f.delim)))
		} else {
			f.notes = append(f.notes, "delimiter "+best.String())
		}
	}
	if why != "" {
		f.warn("%s", why)
	}
	return best, nil
}

// choose takes the delimiter under which the sample is a table. It prefers none to a wrong one.
func (f *finding) choose(s sample, told string) (reading, error) {
	under := func(delim string) reading {
		d := f.dialect
		d.delim, d.wide = delim, len([]rune(delim)) > 1
		r := readAs(s, d)
		if r.records == 0 && !s.whole {
			r = readAs(sample{s.head, true}, d) // one record that is longer than the sample
		}
		return r
	}
	if told != "" {
		return under(told), nil
	}
	var all, good, uniform []reading
	for _, c := range candidates {
		r := under(string(c))
		all = append(all, r)
		if r.usual > 1 && r.share >= 60 && (r.first > 1 || r.above > 0) || r.first > 1 && r.records <= 2 {
			good = append(good, r)
			if r.share == 100 && r.faults == 0 && r.above == 0 {
				uniform = append(uniform, r)
			}
		}
	}
	if best, ok := standout(uniform); ok {
		return best, nil
	}
	if len(uniform) == 0 {
		if best, ok := standout(good); ok {
			return best, nil
		}
	}
	if len(good) > 1 {
		if best, ok := byCells(good); ok {
			return best, nil
		}
		return reading{}, ambiguous(good)
	}
	// No delimiter makes a table. The header has the last word: the only one that stands in it, or none at all.
	var inHeader []reading
	for _, r := range all {
		if r.first > 1 {
			inHeader = append(inHeader, r)
		}
	}
	switch len(inHeader) {
	case 0:
		for _, r := range all {
			if r.usual > 1 && r.share >= 60 && r.records > 3 {
				return reading{}, fmt.Errorf("the delimiter can't be told for sure: the first line with text is one cell, and %s; if that line is a title, pass --header-row with the header's line; if there is one column, pass a --delimiter that is not in the file, such as tab", r)
			}
		}
		return all[0], nil
	case 1:
		return inHeader[0], nil
	}
	return reading{}, ambiguous(inHeader)
}

// standout returns the reading that stands out: the only one, or one with at least twice the columns of every other.
func standout(rs []reading) (reading, bool) {
	if len(rs) == 0 {
		return reading{}, false
	}
	best := rs[0]
	for _, r := range rs[1:] {
		if r.usual*r.share > best.usual*best.share {
			best = r
		}
	}
	for _, r := range rs {
		if r.delim != best.delim && best.usual*best.share < 2*r.usual*r.share {
			return reading{}, false
		}
	}
	return best, true
}

// byCells returns the reading whose cells are whole things, where those of the others are torn or stuck together:
// 1,5;2,5 is two numbers under ";" and three bits under ",".
func byCells(rs []reading) (reading, bool) {
	var best reading
	found := false
	for _, r := range rs {
		if r.records < 3 || r.share < 90 || r.faults > 0 || r.typed < r.cells*95/100 {
			continue
		}
		if found {
			return reading{}, false
		}
		best, found = r, true
	}
	for _, r := range rs {
		if r.delim != best.delim && r.typed > r.cells*3/4 {
			return reading{}, false
		}
	}
	return best, found
}

func ambiguous(rs []reading) error {
	var s []string
	for _, r := range rs {
		s = append(s, r.String())
	}
	return fmt.Errorf("the delimiter can't be told for sure: %s; pass --delimiter", strings.Join(s, "; "))
}
