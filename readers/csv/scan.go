package csv

import "encoding/binary"

// Eight bytes at a time.
const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
	// gather brings the low bits of eight bytes together in the highest byte of the product.
	gather = 0x0102040810204080
)

// blockSize is how many bytes one word of marks speaks of.
const blockSize = 64

// marks finds the bytes that mean something: delimiter, quote and line ends.
type marks struct{ delim, quote uint64 }

func newMarks(delim, quote byte) marks {
	m := marks{delim: uint64(delim) * ones, quote: uint64(delim) * ones}
	if quote != 0 {
		m.quote = uint64(quote) * ones
	}
	return m
}

// in returns a word with a bit for each byte of the block at base that means something, the first byte's lowest. A bit may
// also stand for a byte that only differs from such a one in its lowest bit and follows one: whoever looks at it sees that.
func (k *marks) in(data []byte, base int) (m uint64) {
	if left := len(data) - base; left < blockSize {
		var last [blockSize]byte
		copy(last[:], data[base:])
		return k.block(&last) & (1<<left - 1)
	}
	return k.block((*[blockSize]byte)(data[base:]))
}

func (k *marks) block(b *[blockSize]byte) (m uint64) {
	const np, cp = '\n' * ones, '\r' * ones
	for i := 0; i < blockSize; i += 8 {
		w := binary.LittleEndian.Uint64(b[i : i+8])
		x, y, z, v := w^k.delim, w^np, w^cp, w^k.quote
		// The high bit of each byte: the byte equals one of the four, so that one of these is zero.
		hit := ((x-ones)&^x | (y-ones)&^y | (z-ones)&^z | (v-ones)&^v) & tops
		m |= (hit >> 7 * gather) >> 56 << i
	}
	return m
}
