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

// marks finds the bytes that mean something: delimiter, quote and line ends.
type marks struct{ delim, quote byte }

// newMarks takes 0 for a dialect without quotes.
func newMarks(delim, quote byte) marks {
	if quote == 0 {
		quote = delim
	}
	return marks{delim, quote}
}

// find writes a word for each block of 64 bytes, the last one perhaps shorter, with a bit for each byte that means
// something, the first byte's lowest.
func (k *marks) find(words []uint64, data []byte) {
	k.blocksOf(words, data)
	if whole := len(data) &^ (blockSize - 1); whole < len(data) {
		var last [blockSize]byte
		left := copy(last[:], data[whole:])
		at := whole / blockSize
		k.blocksOf(words[at:at+1], last[:])
		words[at] &= 1<<left - 1
	}
}

// portable is blocksOf without instructions of a certain processor.
func (k *marks) portable(words []uint64, data []byte) {
	const np, cp = '\n' * ones, '\r' * ones
	delim, quote := uint64(k.delim)*ones, uint64(k.quote)*ones
	for at := 0; at+blockSize <= len(data); at += blockSize {
		b := (*[blockSize]byte)(data[at:])
		var m uint64
		for i := 0; i < blockSize; i += 8 {
			w := binary.LittleEndian.Uint64(b[i : i+8])
			// A byte that equals one of the four is zero in one of these, and what is zero has no high bit here.
			x, y, z, v := w^delim, w^np, w^cp, w^quote
			miss := (x&lows + lows | x) & (y&lows + lows | y) & (z&lows + lows | z) & (v&lows + lows | v)
			m |= (^(miss | lows) >> 7 * gather) >> 56 << i
		}
		words[at/blockSize] = m
	}
}
