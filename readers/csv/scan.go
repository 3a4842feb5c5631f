package csv

import "encoding/binary"

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

// find writes two words for each block of 64 bytes, the last one perhaps shorter: a bit for each byte that is a quote, and
// one for each that ends a cell, which are delimiters and line ends. The first byte's bits are the lowest.
func (k *marks) find(quotes, ends []uint64, data []byte) {
	k.blocks(quotes, ends, data)
	whole := len(data) / blockSize
	if left := len(data) % blockSize; left > 0 {
		var last [blockSize]byte
		copy(last[:], data[whole*blockSize:])
		k.blocks(quotes[whole:whole+1], ends[whole:whole+1], last[:])
		quotes[whole] &= 1<<left - 1
		ends[whole] &= 1<<left - 1
		whole++
	}
	if k.bare {
		clear(quotes[:whole])
	}
}

// portable is blocks without instructions of a certain processor.
func (k *marks) portable(quotes, ends []uint64, data []byte) {
	const np, cp = '\n' * ones, '\r' * ones
	delim, quote := uint64(k.delim)*ones, uint64(k.quote)*ones
	for at := 0; at+blockSize <= len(data); at += blockSize {
		b := (*[blockSize]byte)(data[at:])
		var q, e uint64
		for i := 0; i < blockSize; i += 8 {
			w := binary.LittleEndian.Uint64(b[i : i+8])
			// A byte that equals the one that is sought is zero in one of these, and what is zero has no high bit here.
			x, y, z, v := w^delim, w^np, w^cp, w^quote
			q |= (^(v&lows + lows | v | lows) >> 7 * gather) >> 56 << i
			e |= (^((x&lows+lows|x)&(y&lows+lows|y)&(z&lows+lows|z) | lows) >> 7 * gather) >> 56 << i
		}
		quotes[at/blockSize], ends[at/blockSize] = q, e
	}
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
