package csv

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Eight bytes at a time.
const (
	ones = 0x0101010101010101
	lows = 0x7f7f7f7f7f7f7f7f
	// gather brings the low bits of eight bytes together in the highest byte of the product.
	gather = 0x0102040810204080
)

// blockSize is how many bytes one word of marks speaks of.
const blockSize = 64

// marks finds the bytes that mean something.
type marks struct {
	delim, quote byte
	bare         bool // there are no quotes
}

// newMarks takes 0 for a dialect without quotes.
func newMarks(delim, quote byte) marks {
	if quote == 0 {
		return marks{delim, delim, true}
	}
	return marks{delim, quote, false}
}

// window holds the marks of a piece of text: a word for each block of 64 bytes, the last one perhaps shorter, with a bit for
// each byte, the first byte's lowest.
type window struct {
	quotes words // of quotes
	ends   words // of what ends a cell: delimiters and line ends
	wide   words // of bytes that are not ASCII
	size   int   // bytes of the text; 0: there are no marks yet
}

// windowSize is how many bytes a window holds: those of a usual chunk.
const windowSize = 40 << 10

type words [windowSize / blockSize]uint64

// find writes the marks of data, which is no longer than a window.
func (k *marks) find(w *window, data []byte) {
	k.blocks(w, 0, data)
	w.size = len(data)
	n := len(data) / blockSize
	if left := len(data) % blockSize; left > 0 {
		var last [blockSize]byte
		copy(last[:], data[n*blockSize:])
		k.blocks(w, n, last[:])
		w.quotes[n] &= 1<<left - 1
		w.ends[n] &= 1<<left - 1
		n++
	}
	if k.bare {
		clear(w.quotes[:n])
	}
}

// cut leaves the marks of the text's first n bytes.
func (w *window) cut(n int) {
	if left := n % blockSize; left > 0 {
		in := uint64(1)<<left - 1
		w.quotes[n/blockSize] &= in
		w.ends[n/blockSize] &= in
		w.wide[n/blockSize] &= in
	}
	w.size = n
}

// portable is blocks without instructions of a certain processor.
func (k *marks) portable(w *window, at int, data []byte) {
	const np, cp = '\n' * ones, '\r' * ones
	delim, quote := uint64(k.delim)*ones, uint64(k.quote)*ones
	for ; len(data) >= blockSize; at, data = at+1, data[blockSize:] {
		b := (*[blockSize]byte)(data)
		var quotes, ends, wide uint64
		for i := 0; i < blockSize; i += 8 {
			u := binary.LittleEndian.Uint64(b[i : i+8])
			// A byte that equals the one that is sought is zero in one of these, and what is zero has no high bit here.
			x, y, z, v := u^delim, u^np, u^cp, u^quote
			quotes |= (^(v&lows + lows | v | lows) >> 7 * gather) >> 56 << i
			ends |= (^((x&lows+lows|x)&(y&lows+lows|y)&(z&lows+lows|z) | lows) >> 7 * gather) >> 56 << i
			wide |= (u &^ lows >> 7 * gather) >> 56 << i
		}
		w.quotes[at], w.ends[at], w.wide[at] = quotes, ends, wide
	}
}

// valid reports whether data, whose marks they are, is UTF-8.
func (w *window) valid(data []byte) bool {
	good := 0 // all before it was looked at
	for base := 0; base < len(data); base += blockSize {
		m := w.wide[base/blockSize]
		if good > base {
			if good >= base+blockSize {
				continue
			}
			m &= ^uint64(0) << (good - base)
		}
		for m != 0 {
			i := base + bits.TrailingZeros64(m)
			if i+1 < len(data) && data[i]-0xc2 < 0xe0-0xc2 && data[i+1]&0xc0 == 0x80 { // two bytes, as most of Europe's letters have
				good = i + 2
			} else if i+2 < len(data) && data[i]-0xe1 < 0xf0-0xe1 && data[i] != 0xed && data[i+1]&0xc0 == 0x80 && data[i+2]&0xc0 == 0x80 { // three
				good = i + 3
			} else if r, n := utf8.DecodeRune(data[i:]); r != utf8.RuneError || n > 1 {
				good = i + n
			} else {
				return false
			}
			if good >= base+blockSize {
				break
			}
			m &= ^uint64(0) << (good - base)
		}
	}
	return true
}

// inside turns the marks of quotes into marks of what stands behind an odd number of them, the odd ones among them.
// before is all ones if the number before the word is odd, otherwise 0; after is the same for the next word.
func inside(quotes, before uint64) (in, after uint64) {
	in = quotes
	for i := 1; i < 64; i *= 2 {
		in ^= in << i
	}
	in ^= before
	return in, uint64(int64(in) >> 63)
}
