package csv

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/crmetl/crmetl/readers/internal/text"
)

// line is a record near the beginning.
type line struct {
	at, end int
	number  int64
	cells   []string
	filled  int
}

// top finds the header below titles and passes over those. It errs where it can't tell.
func (f *finding) top(s sample, best reading) error {
	if best.usual < 2 || best.records < 2 {
		return nil
	}
	lines := f.lines(s)
	i := f.header(lines, best)
	if i == 0 {
		f.headless(lines)
		return nil
	}
	if i < 0 || looksLikeData(lines[i].cells) {
		if best.above == 0 {
			return nil
		}
		n := lines[min(best.above, len(lines)-1)].number
		return fmt.Errorf("the first lines with text have fewer cells than the %d that most lines have, from line %d on, and that line looks like data: is the header above it or missing? pass --header-row with its line, or --header-row none", best.usual, n)
	}
	f.skip += lines[i].at
	var said []string
	for _, l := range lines[:i] {
		said = append(said, fmt.Sprintf("%q", clip(strings.TrimSpace(strings.Join(l.cells, " ")))))
	}
	if len(said) > 3 {
		said = append(said[:3], "…")
	}
	f.warn("header: line %d; what stands above it is no part of the table and is left out: %s", lines[i].number, strings.Join(said, ", "))
	return nil
}

func clip(s string) string {
	r := []rune(s)
	if len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return s
}

// header returns which of the first lines is the header: the first that is as wide as the table and has more than a
// title in it; -1 if there is none.
func (f *finding) header(lines []line, best reading) int {
	for i, l := range lines {
		switch {
		case i > maxTitles:
			return -1
		case len(l.cells) != best.usual:
			if best.above == 0 && i == 0 {
				return 0
			}
		case l.filled > 1 || best.usual == 2 && l.filled > 0:
			return i
		default:
			// One cell of many: a title that a spreadsheet filled up with delimiters, if a full line of names follows.
			if next := i + 1; best.usual < 3 || next >= len(lines) || !f.names(lines[next:], best.usual) {
				return i
			}
		}
	}
	return -1
}

// names reports whether the first full line is one of names, with data below.
func (f *finding) names(lines []line, usual int) bool {
	for i, l := range lines {
		if i > maxTitles {
			return false
		}
		if len(l.cells) != usual || l.filled <= 1 {
			continue
		}
		return l.filled*10 >= usual*6 && i+1 < len(lines) && !looksLikeData(l.cells)
	}
	return false
}

// lines reads the first records.
func (f *finding) lines(s sample) []line {
	var out []line
	var cells []span
	number := int64(1)
	for pos := 0; pos < len(s.head) && len(out) < 2*maxTitles; {
		got := f.record(s.head, pos, s.whole, &cells)
		if got.kind == more || got.kind == unclosed {
			break
		}
		if got.kind != blank {
			l := line{at: pos, end: got.end, number: number}
			for _, c := range cells {
				t := strings.TrimSpace(f.text(string(s.head[c.from:c.to]), c))
				if t != "" {
					l.filled++
				}
				l.cells = append(l.cells, t)
			}
			out = append(out, l)
		}
		number += text.Lines(s.head[pos:got.end])
		pos = got.end
	}
	return out
}

// headless notes that the first line looks like the others: a file without a header.
func (f *finding) headless(lines []line) {
	if len(lines) > 1 && looksLikeData(lines[0].cells) {
		f.warn("header: line %d has numbers, dates or addresses in it, as data has; if the file has no header, pass --header-row none", lines[0].number)
	}
}

var dataForm = regexp.MustCompile(`^[-+]?[$€£]?[0-9][0-9.,' ]*%?$|^[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}([ T].*)?$|^[^@\s]+@[^@\s]+\.[^@\s]+$`)

// looksLikeData reports whether a line has cells as headers do not: numbers, dates, e-mail addresses. Years and small
// numbers alone may head columns.
func looksLikeData(cells []string) bool {
	data, filled := 0, 0
	for _, c := range cells {
		if c == "" {
			continue
		}
		filled++
		if dataForm.MatchString(c) && (len(c) > 4 || strings.ContainsAny(c, ".,/-")) || len(c) <= 4 && isNumber(c) {
			data++
		}
	}
	return data > 0 && (data*3 >= filled || data >= 2)
}

func isNumber(s string) bool {
	return s != "" && len(bytes.Trim([]byte(s), "0123456789")) == 0
}
