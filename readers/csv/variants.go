package csv

import (
	"bytes"
	"fmt"
)

// rarer are delimiters that are looked for where none of the usual ones makes a table, with the columns that it must
// then have: blanks and colons stand in many a text.
var rarer = []struct {
	delim   string
	columns int
}{{":", 3}, {"~", 2}, {"^", 2}, {"\x1f", 2}, {"\x01", 2}, {"¦", 2}, {" ", 4}, {"#", 3}, {"+", 3}, {"/", 4}, {"_", 4}}

// unusual finds a delimiter that is none of the usual ones. Every line must have it as often as the others.
func (f *finding) unusual(s sample) (reading, bool) {
	var good []reading
	for _, x := range rarer {
		d := f.dialect
		if x.delim[0] == d.quote || x.delim[0] == d.escape {
			continue
		}
		d.delim, d.wide = x.delim, false
		if r := readAs(s, d); r.share == 100 && r.above == 0 && r.faults == 0 && r.usual >= x.columns && r.records >= 3 {
			good = append(good, r)
		}
	}
	return standout(good)
}

// variant is another way to quote, to be held against the usual one.
type variant struct {
	dialect
	better func(s sample, usual reading, fault error, other reading) bool
	why    string
}

// variants returns the dialects that the sample gives reason to try, where the user said nothing.
func variants(s sample, d dialect, o Options) []variant {
	var out []variant
	escapes := func(d dialect) bool {
		return o.Escape == "" && d.quote != 0 && bytes.Contains(s.head, []byte{'\\', d.quote})
	}
	if escapes(d) {
		v := d
		v.escape = '\\'
		out = append(out, variant{v, cleaner, fmt.Sprintf(`escape \: quotes inside cells are written \%c; read so, every cell is closed`, d.quote)})
	}
	if o.Quote == "" && bytes.Count(s.head, []byte{'\''}) >= 2 {
		v := d
		v.quote = '\''
		out = append(out, variant{v, apostrophes, "quote ': cells stand between single quotes"})
		if escapes(v) {
			v.escape = '\\'
			out = append(out, variant{v, apostrophes, `quote ': cells stand between single quotes, and \' is one inside a cell`})
		}
	}
	if n, first := hashLines(s); o.Comment == "" && s.whole && n > 0 {
		v := d
		v.comment = "#"
		out = append(out, variant{v, comments, fmt.Sprintf("comments: %d of the lines begin with # and have not the table's cells; they are left out, the first is %q; --comment none keeps them", n, clip(first))})
	}
	for _, c := range candidates {
		if o.Delimiter == "" && bytes.Contains(s.head, []byte(string(c)+string(c))) {
			v := d
			v.delim = string(c) + string(c)
			out = append(out, variant{v, doubled, fmt.Sprintf("delimiter %s: each stands twice, with nothing between", shown(string(c)))})
		}
	}
	return append(out, blanks(s, d, o)...)
}

// doubled says yes where every second column has no text at all, not even a name.
func doubled(_ sample, usual reading, fault error, other reading) bool {
	return fault == nil && other.delim == usual.delim+usual.delim && other.usual > 2 && other.records > 2 && other.usual*2-1 == usual.usual &&
		other.share == 100 && usual.share == 100 && other.first == other.usual && other.records == usual.records && other.faults == 0
}

// blanks returns the dialect in which a blank follows each delimiter, if quotes do: a, "b, c", d.
func blanks(s sample, d dialect, o Options) []variant {
	if o.Delimiter != "" && len(o.Delimiter) > 1 || o.Quote != "" || !bytes.Contains(s.head, []byte(` "`)) {
		return nil
	}
	var out []variant
	for _, c := range candidates {
		if o.Delimiter != "" && o.Delimiter != string(c) || !bytes.Contains(s.head, []byte(string(c)+` "`)) {
			continue
		}
		wide := string(c) + " "
		out = append(out, variant{d, func(s sample, usual reading, fault error, other reading) bool {
			return other.delim == wide && other.share == 100 && other.faults == 0 && other.quoted > 0 &&
				(fault != nil || usual.late > other.late && usual.usual <= other.usual || usual.share < 100)
		}, fmt.Sprintf("a blank follows each %s, before quotes, too: it is no part of the cells", shown(string(c)))})
		out[len(out)-1].delim = wide
	}
	return out
}

// cleaner says yes where the other reading has no faults and the usual one has.
func cleaner(_ sample, usual reading, fault error, other reading) bool {
	if other.faults > 0 || other.quoted == 0 {
		return false
	}
	return fault != nil || usual.faults > 0 || usual.share < other.share
}

// apostrophes says yes where cells stand between single quotes, without doubt: all that open close, no other quotes
// are used, and it is the rule in some column, or holds together what would fall apart.
func apostrophes(s sample, usual reading, fault error, other reading) bool {
	if other.faults > 0 || other.quoted == 0 || other.share < 100 || other.quoted < other.bare {
		return false
	}
	if usual.quoted > 0 && usual.quote == '"' {
		return false
	}
	if fault != nil || usual.faults > 0 && usual.quote == '\'' {
		return other.quoted >= 2
	}
	if usual.share < 100 && other.needed > 0 {
		return true
	}
	return other.usual >= usual.usual && other.quoted >= 2 && (other.needed > 0 || ruleOfAColumn(s, other))
}

// ruleOfAColumn reports whether nearly all cells of some column, header aside, are in quotes, numbers and empty ones not
// counted.
func ruleOfAColumn(s sample, r reading) bool {
	var cells []span
	quoted, filled := make([]int, r.usual), make([]int, r.usual)
	d := r.dialect
	for pos, n := 0, 0; pos < len(s.head); n++ {
		got := d.record(s.head, pos, s.whole, &cells)
		if got.kind == more || got.kind == unclosed {
			break
		}
		pos = got.end
		if got.kind == blank || n == 0 && r.records > 2 {
			continue
		}
		for i, c := range cells[:min(len(cells), r.usual)] {
			if c.to == c.from {
				continue
			}
			filled[i]++
			if c.from > 0 && s.head[c.from-1] == d.quote {
				quoted[i]++
			}
		}
	}
	for i := range quoted {
		if quoted[i] >= 3 && quoted[i]*10 >= filled[i]*9 {
			return true
		}
	}
	return false
}

// hashLines counts the lines that begin with #.
func hashLines(s sample) (n int, first string) {
	for at := 0; at < len(s.head); {
		end := endOfLine(s.head, at, true)
		if end == 0 {
			end = len(s.head)
		}
		if s.head[at] == '#' {
			if n++; n == 1 {
				first = string(bytes.TrimRight(s.head[at:end], "\r\n"))
			}
		}
		at = end
	}
	return n, first
}

// comments says yes where the table is uniform without the lines that begin with #, and none of those fits it.
func comments(s sample, usual reading, fault error, other reading) bool {
	if other.records == 0 || other.usual < 2 || other.faults > 0 || other.share < 90 {
		return false
	}
	if fault == nil && usual.share == 100 && usual.above == 0 && usual.usual >= other.usual {
		return false
	}
	d := other.dialect
	d.comment = ""
	var cells []span
	for pos := 0; pos < len(s.head); {
		hash := s.head[pos] == '#'
		got := other.record(s.head, pos, s.whole, nil)
		if hash && got.kind == blank {
			if d.record(s.head, pos, s.whole, &cells); len(cells) == other.usual {
				return false
			}
		}
		if got.end <= pos {
			break
		}
		pos = got.end
	}
	return true
}
