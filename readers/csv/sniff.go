package csv

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/crmetl/crmetl/readers/internal/text"
)

// finding is a dialect with its evidence.
type finding struct {
	dialect
	skip     int    // bytes before the table: Excel's sep= line
	lineEnds string // lf, crlf, cr, mixed, or "" if there are none
	notes    []string
}

// candidates are the delimiters that are looked for.
const candidates = ",;\t|"

// sniff finds the dialect of a text that begins with head. whole says that head is all of it.
func sniff(head []byte, whole bool, o Options) (finding, error) {
	f := finding{lineEnds: lineEnds(head)}
	var err error
	if f.quote, err = oneByte("quote", o.Quote, '"'); err != nil {
		return f, err
	}
	if f.escape, err = oneByte("escape", o.Escape, 0); err != nil {
		return f, err
	}
	if f.escape == f.quote {
		f.escape = 0
	}
	f.comment = o.Comment
	sep, skip := sepLine(head)
	f.skip = skip
	switch {
	case o.Delimiter != "":
		if f.delim, err = delimiter(o.Delimiter, f.quote); err != nil {
			return f, err
		}
		f.notes = append(f.notes, fmt.Sprintf("delimiter %s: as told", shown(f.delim)))
	case sep != "":
		f.delim = sep
		f.notes = append(f.notes, fmt.Sprintf("delimiter %s: line 1 says so (%q), and is no data", shown(sep), bytes.TrimRight(head[:skip], "\r\n")))
	default:
		if err := f.choose(head, whole, o.HeaderRow); err != nil {
			return f, err
		}
	}
	f.wide = utf8.RuneCountInString(f.delim) > 1
	if o.HeaderRow == "" && skip == 0 {
		// Under a title nothing would be a row: every line would have more cells than the "header".
		if r := f.read(head, whole, f.delim); r.first == 1 && r.usual > 1 && r.records > 3 && r.share*r.records >= 100*(r.records-r.records/4) {
			return f, fmt.Errorf("the first line with text has one cell, and most lines have %d, from line %d on: it looks like a title above the table; pass --header-row %d", r.usual, r.begins, r.begins)
		}
	}
	return f, nil
}

// oneByte reads an option that is one ASCII character.
func oneByte(what, s string, unset byte) (byte, error) {
	switch {
	case s == "":
		return unset, nil
	case s == "none":
		return 0, nil
	case len(s) != 1 || s[0] >= utf8.RuneSelf || s[0] == '\n' || s[0] == '\r' || s[0] == 0:
		return 0, fmt.Errorf("the %s is one ASCII character or none, not %q", what, s)
	}
	return s[0], nil
}

func delimiter(s string, quote byte) (string, error) {
	if s == `\t` || s == "tab" {
		return "\t", nil
	}
	if !utf8.ValidString(s) || len(s) > 16 || strings.ContainsAny(s, "\r\n\x00") || quote != 0 && strings.IndexByte(s, quote) >= 0 {
		return "", fmt.Errorf("%q can't separate cells; a delimiter is one character, such as , ; | or tab", s)
	}
	return s, nil
}

// shown writes a delimiter so that it can be seen.
func shown(d string) string {
	switch d {
	case "\t":
		return "tab"
	case " ":
		return "blank"
	}
	return `"` + d + `"`
}

// sepLine recognizes Excel's first line that names the delimiter, and returns that and the line's length.
func sepLine(head []byte) (string, int) {
	n := endOfLine(head, 0, true)
	if n == 0 {
		n = len(head)
	}
	line := strings.TrimRight(string(head[:min(n, 16)]), "\r\n")
	line = strings.TrimSuffix(strings.TrimPrefix(line, `"`), `"`)
	if len(line) < 5 || !strings.EqualFold(line[:4], "sep=") || utf8.RuneCountInString(line[4:]) != 1 || line[4] == '"' {
		return "", 0
	}
	return line[4:], n
}

func lineEnds(head []byte) string {
	crlf := bytes.Count(head, []byte("\r\n"))
	lf, cr := bytes.Count(head, []byte{'\n'})-crlf, bytes.Count(head, []byte{'\r'})-crlf
	switch {
	case crlf+lf+cr == 0:
		return ""
	case lf+cr == 0:
		return "crlf"
	case crlf+cr == 0:
		return "lf"
	case crlf+lf == 0:
		return "cr"
	}
	return "mixed"
}

// reading is what the sample looks like under one delimiter.
type reading struct {
	delim   string
	records int
	first   int   // cells of the first record
	usual   int   // the most frequent number of cells
	share   int   // percent of records that have it
	faults  int   // records with text after a closing quote, or an unclosed quote
	begins  int64 // line of the first record with the usual number of cells, counted from the sample's first
}

func (r reading) String() string {
	if r.share == 100 {
		return fmt.Sprintf("%s gives %d columns in all %d lines", shown(r.delim), r.usual, r.records)
	}
	return fmt.Sprintf("%s gives %d columns in %d%% of %d lines", shown(r.delim), r.usual, r.share, r.records)
}

// read reads the sample under one delimiter.
func (f *finding) read(head []byte, whole bool, delim string) reading {
	d := f.dialect
	d.delim = delim
	r := reading{delim: delim}
	var cells []span
	counts, lines := map[int]int{}, map[int]int64{}
	line := int64(1)
	for pos := 0; pos < len(head); {
		got := d.record(head, pos, whole, &cells)
		if got.kind == more || got.kind == unclosed {
			if got.kind == unclosed {
				r.faults++
			}
			break
		}
		at := line
		line += text.Lines(head[pos:got.end])
		pos = got.end
		if got.kind == blank {
			continue
		}
		if got.stray >= 0 {
			r.faults++
		}
		if r.records == 0 {
			r.first = len(cells)
		}
		r.records++
		if counts[len(cells)]++; counts[len(cells)] == 1 {
			lines[len(cells)] = at
		}
	}
	for n, times := range counts {
		if times > counts[r.usual] || times == counts[r.usual] && n > r.usual {
			r.usual = n
		}
	}
	r.begins = lines[r.usual]
	if r.records > 0 {
		r.share = counts[r.usual] * 100 / r.records
	}
	return r
}

// choose takes the delimiter under which the sample is a table. It prefers none to a wrong one.
func (f *finding) choose(head []byte, whole bool, headerRow string) error {
	if headerRow != "" && headerRow != "none" {
		// Lines above the header are no part of the table.
		var n int
		if _, err := fmt.Sscan(headerRow, &n); err == nil {
			for range n - 1 {
				head = head[endOfLine(head, 0, true):]
			}
		}
	}
	var all, good, uniform []reading
	for _, c := range candidates {
		r := f.read(head, whole, string(c))
		if r.records == 0 && !whole {
			r = f.read(head, true, string(c)) // one record that is longer than the sample
		}
		all = append(all, r)
		if r.usual > 1 && r.share >= 60 || r.first > 1 && r.records <= 2 {
			good = append(good, r)
			if r.share == 100 && r.faults == 0 {
				uniform = append(uniform, r)
			}
		}
	}
	if best, ok := clear(uniform); ok {
		f.take(best)
		return nil
	}
	if len(uniform) == 0 {
		if best, ok := clear(good); ok {
			f.take(best)
			return nil
		}
	}
	if len(good) > 1 {
		return ambiguous(good)
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
		f.delim = ","
		f.notes = append(f.notes, `delimiter ",": the header has no delimiter in it, so there is one column`)
		return nil
	case 1:
		f.take(inHeader[0])
		return nil
	}
	return ambiguous(inHeader)
}

func (f *finding) take(r reading) {
	f.delim = r.delim
	f.notes = append(f.notes, "delimiter "+r.String())
}

// clear returns the reading that stands out: the only one, or one with at least twice the columns of every other.
func clear(rs []reading) (reading, bool) {
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

func ambiguous(rs []reading) error {
	var s []string
	for _, r := range rs {
		s = append(s, r.String())
	}
	return errors.New("the delimiter can't be told for sure: " + strings.Join(s, "; ") + "; pass --delimiter")
}
