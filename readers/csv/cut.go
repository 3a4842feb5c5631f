package csv

import (
	"bytes"
	"math/bits"
)

// search is what looking for a boundary came to.
type search uint8

const (
	found search = iota // the place is a boundary
	short               // the buffer ends first; the place is the quote that is open at its end, or -1
	lost                // at the place text follows a closing quote, and the record's end is not sure
)

// boundary finds the first record boundary in buf at or after piece. It remembers where it was, so that each byte
// is looked at once however often more has to be read.
func (r *Reader) boundary() (int, search) {
	if r.d.comment != "" || r.d.escape != 0 || r.d.wide {
		return r.boundaryByRecord()
	}
	if r.scan == 0 && r.open < 0 {
		if r.marks == nil {
			r.marks = new(window)
		}
		if n := r.quickBoundary(r.marks); n > 0 {
			r.marked = true
			return n, found
		}
	}
	return r.boundaryByQuote()
}

// boundaryByQuote goes from quote to quote, and looks at where each of them stands.
func (r *Reader) boundaryByQuote() (int, search) {
	buf, q, eof := r.buf, r.d.quote, r.end != nil
	p := r.scan
	for {
		if r.open >= 0 {
			k := bytes.IndexByte(buf[p:], q)
			if k < 0 {
				r.scan = len(buf)
				return r.open, short
			}
			k += p
			if k+1 < len(buf) && buf[k+1] == q {
				p = k + 2
				continue
			}
			r.scan = k
			if !eof && r.d.undecided(buf, k+1) {
				return r.open, short
			}
			if r.d.closes(buf, k+1) {
				r.open, p = -1, k+1
				continue
			}
			end, got := r.d.sure(buf, k+1, eof)
			if got == lost {
				return k + 1, lost
			}
			if got == short {
				return r.open, short
			}
			r.open, r.scan, p = -1, end, end
			if end >= r.piece {
				return end, found
			}
			continue
		}
		limit := len(buf)
		if q != 0 {
			if k := bytes.IndexByte(buf[p:], q); k >= 0 {
				limit = p + k
			}
		}
		if limit > r.piece {
			if n := endOfLine(buf[:limit], max(p, r.piece), eof || limit < len(buf)); n > 0 {
				return n, found
			}
		}
		if limit == len(buf) {
			// A CR at the end may be the first half of a CRLF: look at it again with what follows.
			if r.scan = limit; limit > p && buf[limit-1] == '\r' {
				r.scan = limit - 1
			}
			return -1, short
		}
		if r.d.opens(buf, limit) {
			r.open = limit
		}
		p = limit + 1
		r.scan = p
	}
}

// quickBoundary is boundary for a text in which each quote stands where one belongs: behind what ends a cell, before it, or
// beside another quote. Then what stands between a first quote and a second, a third and a fourth is inside of quotes. It
// returns 0 where it is not sure. w takes the marks of what it looked at.
func (r *Reader) quickBoundary(w *window) int {
	marks := newMarks(r.d.delim[0], r.d.quote)
	buf := r.buf[:min(len(r.buf), windowSize)]
	marks.find(w, buf)
	quotes, ends := &w.quotes, &w.ends
	var odd uint64
	left := uint64(1) // the first byte of a record may be a quote
	for base := 0; base < len(buf); base += blockSize {
		i := base / blockSize
		edges := quotes[i] | ends[i]
		right := edges >> 1
		if i+1 < len(quotes) && base+blockSize < len(buf) {
			right |= (quotes[i+1] | ends[i+1]) << (blockSize - 1)
		}
		in, after := inside(quotes[i], odd)
		wrong := quotes[i]&in&^(edges<<1|left) | quotes[i]&^in&^right
		if base+blockSize > r.piece {
			outer := ends[i] &^ in
			if base < r.piece {
				outer &= ^uint64(0) << (r.piece - base)
			}
			for ; outer != 0; outer &= outer - 1 {
				at := bits.TrailingZeros64(outer)
				if c := buf[base+at]; c != '\n' && c != '\r' {
					continue
				}
				if wrong&(1<<at-1) != 0 {
					return 0
				}
				return endOfLine(r.buf, base+at, r.end != nil)
			}
		}
		if wrong != 0 {
			return 0
		}
		odd, left = after, edges>>(blockSize-1)
	}
	return 0
}

// boundaryByRecord is boundary for dialects in which a quote alone does not tell where it stands.
func (r *Reader) boundaryByRecord() (int, search) {
	eof := r.end != nil
	for r.scan < len(r.buf) {
		got := r.d.record(r.buf, r.scan, eof, nil)
		if got.stray >= 0 {
			if _, verdict := r.d.sure(r.buf, got.stray, eof); verdict == lost {
				return got.stray, lost
			} else if verdict == short {
				return -1, short
			}
		}
		switch got.kind {
		case more:
			return -1, short
		case unclosed:
			return got.open, short
		}
		r.scan = got.end
		if r.scan >= r.piece {
			return r.scan, found
		}
	}
	return -1, short
}

// sure finds the end of a record in which text follows a closing quote, at place stray, if it is sure. There are two
// readings: the quote closed the cell and the text is damage, so that the record ends at the next line end outside of
// quotes; or the quote is part of the text and the cell goes on to a quote that stands before a delimiter or a line
// end. If both end the record at the same place, the end is sure. If they differ, it is sure only if the second reading
// is absurd: the next quote after the record opens a cell, as quotes in good rows do, or there is none.
func (d *dialect) sure(buf []byte, stray int, eof bool) (int, search) {
	first := d.rest(buf, stray, eof)
	if first.kind == more {
		return 0, short
	}
	if first.kind == unclosed {
		return 0, lost
	}
	limit, whole := len(buf), eof
	if limit > first.end+lookAhead {
		limit, whole = first.end+lookAhead, true
	}
	second, ok := d.lazyEnd(buf[:limit], stray, whole)
	if ok && second == first.end {
		return first.end, found
	}
	if endOfLine(buf, stray, eof) != first.end {
		return 0, lost
	}
	for k := first.end; k < limit; k++ {
		n := bytes.IndexByte(buf[k:limit], d.quote)
		if n < 0 {
			break
		}
		k += n
		if d.escape != 0 && k > 0 && buf[k-1] == d.escape {
			continue
		}
		if !whole && d.undecided(buf, k+1) {
			return 0, short
		}
		opens, closes := d.opens(buf, k), d.closes(buf, k+1)
		switch {
		case opens && !closes:
			return first.end, found
		case closes:
			return 0, lost
		case k+1 < limit && buf[k+1] == d.quote:
			k++
		}
	}
	if !whole {
		return 0, short
	}
	return first.end, found
}

// lazyEnd finds the end of a record, from a place inside a quoted cell, where only a quote before a delimiter or a line
// end closes.
func (d *dialect) lazyEnd(buf []byte, p int, eof bool) (int, bool) {
	quoted := true
	for p < len(buf) {
		c := buf[p]
		switch {
		case quoted && d.escape != 0 && c == d.escape:
			p += 2
		case quoted && c == d.quote && p+1 < len(buf) && buf[p+1] == d.quote:
			p += 2
		case quoted:
			quoted = c != d.quote || !d.closes(buf, p+1)
			p++
		case c == '\n' || c == '\r':
			n := endOfLine(buf, p, eof)
			return n, n > 0
		case d.delimAt(buf, p):
			p += len(d.delim)
			if p < len(buf) && buf[p] == d.quote {
				quoted = true
				p++
			}
		default:
			p++
		}
	}
	return len(buf), eof && !quoted
}
