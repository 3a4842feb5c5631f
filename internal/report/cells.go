package report

import (
	"slices"
	"strings"

	"github.com/crmetl/crmetl/record"
)

// cellSpecial looks for what makes a cell need quotes, or a closer look, wherever it stands.
var cellSpecial = record.WatchFor('"', ',')

// appendCell appends a cell and a comma.
func appendCell(dst []byte, s string) []byte {
	return appendCells(dst, []record.Value{record.TextOf(s)}, []int{0})
}

// appendCells appends those of the cells that keep names, each with a comma after it, and in quotes if it would not read
// back otherwise; one that is not there is empty. Every cell of every result file passes through here.
//
// A cell is looked at while it is copied. If that leaves a doubt, which it seldom does, the cell is written once more with
// care.
func appendCells(dst []byte, cells []record.Value, keep []int) []byte {
	at, dst := len(dst), dst[:cap(dst)]
	for _, k := range keep {
		s := ""
		if k < len(cells) {
			if v := &cells[k]; v.Kind() == record.Text {
				s = v.Text()
			} else {
				s = v.Cell()
			}
		}
		n := len(s)
		if len(dst)-at <= n {
			dst = slices.Grow(dst[:at], n+1)
			dst = dst[:cap(dst)]
		}
		special, _ := cellSpecial.Copy(dst[at:], s)
		if n == 0 || !special && s[0] >= '$' && s[0] < bom[0] && s[n-1] > ' ' {
			dst[at+n] = ','
			at += n + 1
			continue
		}
		dst = append(appendCarefully(dst[:at], s), ',')
		at, dst = len(dst), dst[:cap(dst)]
	}
	return dst[:at]
}

// copyable reports whether cells need no quotes for what they begin and end with.
func copyable(cells []record.Value) bool {
	for i := range cells {
		if s := cells[i].Text(); s != "" && (s[0] < '$' || s[0] >= bom[0] || s[len(s)-1] <= ' ') {
			return false
		}
	}
	return true
}

// appendCarefully appends a cell without its comma, and decides whether quotes are needed.
func appendCarefully(dst []byte, s string) []byte {
	if !needsQuotes(s) {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			break
		}
		dst = append(append(dst, s[:i+1]...), '"')
		s = s[i+1:]
	}
	return append(append(dst, s...), '"')
}

// bom is a byte order mark.
const bom = "\uFEFF"

// needsQuotes says so for commas, quotes and line ends; also for blanks at the ends, which some readers trim when they
// stand bare, and for a leading byte order mark or '#', which some take for something else than data.
func needsQuotes(s string) bool {
	if s == "" {
		return false
	}
	if s[0] == ' ' || s[0] == '\t' || s[0] == '#' || strings.HasPrefix(s, bom) {
		return true
	}
	if last := s[len(s)-1]; last == ' ' || last == '\t' {
		return true
	}
	return strings.IndexByte(s, ',') >= 0 || strings.IndexByte(s, '"') >= 0 || strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0
}
