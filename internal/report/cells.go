package report

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/crmetl/crmetl/record"
)

// appendCell appends a cell and a comma.
func appendCell(dst []byte, s string) []byte {
	return appendCells(dst, []record.Value{record.TextOf(s)}, []int{0})
}

// appendCells appends those of the cells that keep names, each with a comma after it, and in quotes if it would not read
// back otherwise; one that is not there is empty. Every cell of every result file passes through here.
//
// A cell is copied in whole words while it is looked at. Of a long one the last word overlaps the one before it; a short
// one is a single word, with its comma and zeros that the next cell overwrites. Room for that is kept behind every cell.
// If the look leaves a doubt, which it seldom does, the cell is written once more with care.
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
		if len(dst)-at < n+8 {
			dst = slices.Grow(dst[:at], n+8)
			dst = dst[:cap(dst)]
		}
		var bare uint64
		switch {
		case n >= 8:
			v, w := record.Word(s), record.Word(s[n-8:])
			put(dst, at, v)
			put(dst, at+n-8, w)
			bare = standsBare(v) & standsBare(w)
			for i := 8; i < n-8; i += 8 {
				w := record.Word(s[i : i+8])
				put(dst, at+i, w)
				bare &= standsBare(w)
			}
			dst[at+n] = ','
		case n >= 4:
			w := record.Half(s) | record.Half(s[n-4:])<<(8*n-32)
			put(dst, at, w|','<<(8*n))
			bare = standsBare(w | tops<<(8*n))
		case n > 0:
			w := uint64(s[0]) | uint64(s[n/2])<<(n/2*8) | uint64(s[n-1])<<(8*n-8)
			put(dst, at, w|','<<(8*n))
			bare = standsBare(w | tops<<(8*n))
		default:
			dst[at] = ','
			at++
			continue
		}
		if bare&tops == tops && s[0] >= '$' && s[0] < bom[0] && s[n-1] > ' ' {
			at += n + 1
			continue
		}
		dst = append(appendCarefully(dst[:at], s), ',')
		at, dst = len(dst), dst[:cap(dst)]
	}
	return dst[:at]
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

const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// standsBare has the high bit of every byte that needs no quotes wherever it stands, except at the ends: of all but commas,
// quotes and control characters. Bytes that are not ASCII are left out of the sums, so that no carry goes from one byte
// to the next. Of an ASCII byte c, c+0x60 has its high bit if c is ' ' or more; (c^'"')+0x7f, if c is not a quote;
// (c^',')+0x7f, if it is no comma.
func standsBare(w uint64) uint64 {
	c := w &^ tops
	return (c+0x60*ones)&((c^'"'*ones)+0x7f*ones)&((c^','*ones)+0x7f*ones) | w
}

// put stores a word, which is one store.
func put(dst []byte, at int, w uint64) {
	binary.LittleEndian.PutUint64(dst[at:at+8:at+8], w)
}
