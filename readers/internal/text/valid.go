package text

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Valid is utf8.Valid, faster for text in which few characters are not ASCII.
func Valid(b []byte) bool {
	i := 0
	for i+8 <= len(b) {
		high := binary.LittleEndian.Uint64(b[i:]) & 0x8080808080808080
		if high == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(high) >> 3
		if b[i]-0xc2 < 0xe0-0xc2 && i+1 < len(b) && b[i+1]&0xc0 == 0x80 { // two bytes, as most of Europe's letters have
			i += 2
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			return false
		}
		i += n
	}
	return utf8.Valid(b[i:])
}
