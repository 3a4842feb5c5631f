package csv

import (
	"bytes"
	"strings"
)

// dialect is how cells and records are told apart.
type dialect struct {
	delim   string
	quote   byte   // 0: there are no quotes
	escape  byte   // 0: a quote inside a quoted cell is doubled
	comment string // "": there are no comments
	wide    bool   // delim is more than one character
}

// simple reports whether the fast decoder knows the dialect.
func (d *dialect) simple() bool { return len(d.delim) == 1 && d.escape == 0 && d.comment == "" }

// common reports whether a record can go into a file with commas and quotes as it stands.
func (d *dialect) common() bool { return d.simple() && d.delim == "," && d.quote == '"' }

// kind is what a record is.
type kind uint8

const (
	row      kind = iota
	blank         // a line without characters, or a comment
	more          // its end is not in the buffer
	unclosed      // the text ends inside a quoted cell
)

// rec is one record in a buffer.
type rec struct {
	kind  kind
	end   int // where the next record begins
	stray int // the first place where text follows a closing quote, or -1
	open  int // the quote that is not closed
}

// span is one cell in a buffer.
type span struct {
	from, to int
	escaped  bool // quotes or escapes in it are to be resolved
}

// endOfLine returns the place after the first line end at or after p, or 0. A CR at the end of the buffer may be half of
// a CRLF: without eof it is no line end yet.
func endOfLine(buf []byte, p int, eof bool) int {
	for ; p < len(buf); p++ {
		switch {
		case buf[p] == '\n':
			return p + 1
		case buf[p] != '\r':
		case p+1 < len(buf) && buf[p+1] == '\n':
			return p + 2
		case p+1 < len(buf) || eof:
			return p + 1
		default:
			return 0
		}
	}
	return 0
}

// delimAt reports whether a delimiter stands at p.
func (d *dialect) delimAt(buf []byte, p int) bool {
	return p < len(buf) && buf[p] == d.delim[0] && (len(d.delim) == 1 || bytes.HasPrefix(buf[p:], []byte(d.delim)))
}

// opens reports whether a quote at p begins a cell, given that p is outside of quotes.
func (d *dialect) opens(buf []byte, p int) bool {
	if p == 0 || buf[p-1] == '\n' || buf[p-1] == '\r' {
		return true
	}
	if len(d.delim) == 1 {
		return buf[p-1] == d.delim[0]
	}
	return bytes.HasSuffix(buf[:p], []byte(d.delim))
}

// closes reports whether a cell ends at p: a delimiter, a line end or the end of the buffer stands there.
func (d *dialect) closes(buf []byte, p int) bool {
	return p >= len(buf) || buf[p] == '\n' || buf[p] == '\r' || d.delimAt(buf, p)
}

// record reads the record at p. Its cells go to cells, if that is not nil; the slice is reused. eof says that the
// buffer ends where the text ends.
func (d *dialect) record(buf []byte, p int, eof bool, cells *[]span) rec {
	if cells != nil {
		*cells = (*cells)[:0]
	}
	r := rec{stray: -1, open: -1}
	if p >= len(buf) {
		r.kind, r.end = more, p
		if eof {
			r.kind = blank
		}
		return r
	}
	if d.comment != "" {
		left := buf[p:min(len(buf), p+len(d.comment))]
		if strings.HasPrefix(d.comment, string(left)) && (len(left) == len(d.comment) || !eof) {
			r.end = endOfLine(buf, p, eof)
			switch {
			case r.end > 0 && len(left) == len(d.comment):
				r.kind = blank
			case eof:
				r.kind, r.end = blank, len(buf)
			default:
				r.kind = more
			}
			return r
		}
	}
	if buf[p] == '\n' || buf[p] == '\r' {
		if r.kind, r.end = blank, endOfLine(buf, p, eof); r.end == 0 {
			r.kind = more
		}
		return r
	}
	d.cells(buf, p, false, eof, cells, &r)
	return r
}

// rest reads on from a place p inside an unquoted cell to the end of the record.
func (d *dialect) rest(buf []byte, p int, eof bool) rec {
	r := rec{stray: -1, open: -1}
	d.cells(buf, p, true, eof, nil, &r)
	return r
}

// cells reads cells to the end of the record, from p on: a place where a cell begins, or one inside an unquoted cell.
func (d *dialect) cells(buf []byte, p int, inside, eof bool, cells *[]span, r *rec) {
	for ; ; inside = false {
		cell, next, quoted := span{from: p}, p, false
		if !inside && d.quote != 0 && p < len(buf) && buf[p] == d.quote {
			end, escaped := d.closing(buf, p+1)
			if end < 0 || !eof && d.undecided(buf, end+1) {
				r.kind, r.open = more, p
				if eof {
					r.kind, r.end = unclosed, len(buf)
				}
				return
			}
			next = end + 1
			if quoted = d.closes(buf, next); quoted {
				cell = span{p + 1, end, escaped}
			} else if r.stray < 0 {
				r.stray = next
			}
		}
		for next < len(buf) && !d.closes(buf, next) {
			next++
		}
		if !quoted {
			cell.to = next
		}
		if cells != nil && len(*cells) <= maxColumns { // one more says that there are too many
			*cells = append(*cells, cell)
		}
		switch {
		case next >= len(buf):
			if r.end = next; !eof {
				r.kind = more
			}
			return
		case buf[next] == '\n', buf[next] == '\r':
			if r.end = endOfLine(buf, next, eof); r.end == 0 {
				r.kind = more
			}
			return
		}
		p = next + len(d.delim)
	}
}

// undecided reports whether more must be read to know what stands at p.
func (d *dialect) undecided(buf []byte, p int) bool {
	return p >= len(buf) || len(buf)-p < len(d.delim) && strings.HasPrefix(d.delim, string(buf[p:]))
}

// closing finds the quote that closes a cell whose text begins at p, or -1, and tells whether quotes or escapes inside
// are to be resolved.
func (d *dialect) closing(buf []byte, p int) (end int, escaped bool) {
	for p < len(buf) {
		if d.escape == 0 {
			k := bytes.IndexByte(buf[p:], d.quote)
			if k < 0 {
				return -1, escaped
			}
			p += k
		}
		switch c := buf[p]; {
		case d.escape != 0 && c == d.escape:
			escaped = true
			p += 2
		case c != d.quote:
			p++
		case p+1 < len(buf) && buf[p+1] == d.quote:
			escaped = true
			p += 2
		default:
			return p, escaped
		}
	}
	return -1, escaped
}

// text returns the text of a cell whose raw text is s.
func (d *dialect) text(s string, c span) string {
	if !c.escaped {
		return s
	}
	q := string(rune(d.quote))
	if d.escape == 0 {
		return strings.ReplaceAll(s, q+q, q)
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		// An escape takes the meaning of a quote, a delimiter and another escape away; before anything else it is text.
		if next := s[i+1:]; next != "" && (s[i] == d.escape && (next[0] == d.quote || next[0] == d.escape || strings.HasPrefix(next, d.delim)) || s[i] == d.quote && next[0] == d.quote) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
