package xlsx

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// arena keeps the text of many cells in few allocations. The strings stay good when it moves on to a new block.
type arena struct{ b strings.Builder }

const arenaBlock = 32 << 10

// put keeps a copy of text.
func (a *arena) put(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	if a.b.Cap()-a.b.Len() < len(text) {
		a.b = strings.Builder{}
		a.b.Grow(max(arenaBlock, len(text)))
	}
	at := a.b.Len()
	a.b.Write(text)
	return a.b.String()[at:]
}

// richText appends the text of a string item, or of an inline string, whose start tag was just read: its runs, one
// after the other, without the phonetic hints.
func richText(s *scanner, dst []byte) ([]byte, error) {
	if s.empty {
		return dst, nil
	}
	outer := s.depth()
	inText := 0 // depth of the <t> that is open
	for {
		tok, err := s.next()
		if err != nil {
			return dst, err
		}
		switch tok {
		case tokEOF:
			return dst, errCut
		case tokEnd:
			if s.depth() < outer {
				return unescapeUnits(dst), nil
			}
			if s.depth() < inText {
				inText = 0
			}
		case tokText:
			if inText > 0 {
				if dst, err = s.appendText(dst); err != nil {
					return dst, err
				}
			}
		case tokStart:
			switch string(local(s.name)) {
			case "t":
				if !s.empty {
					inText = s.depth()
				}
			case "rPh", "rPr", "phoneticPr", "extLst":
				if err := s.skip(); err != nil {
					return dst, err
				}
			}
		}
	}
}

// unescapeUnits resolves _x000D_ and its like in place: how workbooks write UTF-16 units that XML has no place for.
// A literal "_x000D_" is written _x005F_x000D_.
func unescapeUnits(b []byte) []byte {
	i := bytes.Index(b, []byte("_x"))
	if i < 0 {
		return b
	}
	out := b[:i]
	for i < len(b) {
		u, ok := unit(b[i:])
		if !ok {
			out = append(out, b[i])
			i++
			continue
		}
		i += unitLen
		r := rune(u)
		if utf16.IsSurrogate(r) {
			low, pair := unit(b[i:])
			if r = utf16.DecodeRune(r, rune(low)); pair && r != utf8.RuneError {
				i += unitLen
			} else {
				r = utf8.RuneError
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

const unitLen = len("_x000D_")

func unit(b []byte) (uint16, bool) {
	if len(b) < unitLen || b[0] != '_' || b[1] != 'x' || b[6] != '_' {
		return 0, false
	}
	var u uint16
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		u = u<<4 | uint16(c)
	}
	return u, true
}
