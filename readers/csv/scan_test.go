package csv

import (
	"strings"
	"testing"
)

// FuzzMarks asks for each byte by itself.
func FuzzMarks(f *testing.F) {
	f.Add([]byte("a,\"b\"\r\n"+strings.Repeat("x,\n\r\";-+\x2d\x0b\x8a\xac", 9)), byte(','), byte('"'))
	f.Fuzz(func(t *testing.T, data []byte, delim, quote byte) {
		k := newMarks(delim, quote)
		for base := 0; base < len(data); base += 7 {
			m := k.in(data, base)
			for i := range blockSize {
				at := base + i
				want := at < len(data) && (data[at] == delim || data[at] == '\n' || data[at] == '\r' || quote != 0 && data[at] == quote)
				maybe := at > 0 && at < len(data) // only what is like a byte that means something, and stands behind one
				if got := m>>i&1 == 1; got != want && (want || !maybe) {
					t.Fatalf("byte %d of %q for %q and %q: %v, want %v", at, data, delim, quote, got, want)
				}
			}
		}
	})
}
