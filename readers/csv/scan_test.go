package csv

import (
	"strings"
	"testing"
)

// FuzzMarks asks for each byte by itself, of what this processor does and of what any does.
func FuzzMarks(f *testing.F) {
	f.Add([]byte("a,\"b\"\r\n"+strings.Repeat("x,\n\r\";-+\x2d\x0b\x8a\xac", 19)), byte(','), byte('"'))
	f.Add([]byte(strings.Repeat("\x00\x01\xff\x80\x0a\x0b\x0d\x0c", 9)), byte(0x80), byte(0))
	f.Fuzz(func(t *testing.T, data []byte, delim, quote byte) {
		k := newMarks(delim, quote)
		size := len(data)/blockSize + 1
		quotes, ends := make([]uint64, size), make([]uint64, size)
		k.find(quotes, ends, data)
		otherQuotes, otherEnds := make([]uint64, size), make([]uint64, size)
		k.portable(otherQuotes, otherEnds, data)
		odd, before := false, uint64(0)
		for at, c := range data {
			bit := func(words []uint64) bool { return words[at/blockSize]>>(at%blockSize)&1 == 1 }
			isQuote, isEnd := quote != 0 && c == quote, c == delim || c == '\n' || c == '\r'
			if bit(quotes) != isQuote || bit(ends) != isEnd {
				t.Fatalf("byte %d of %q for %q and %q: %v %v, want %v %v", at, data, delim, quote, bit(quotes), bit(ends), isQuote, isEnd)
			}
			if at < len(data)/blockSize*blockSize && (quote != 0 && bit(otherQuotes) != isQuote || bit(otherEnds) != isEnd) {
				t.Fatalf("portable: byte %d of %q for %q and %q: %v %v, want %v %v", at, data, delim, quote, bit(otherQuotes), bit(otherEnds), isQuote, isEnd)
			}
			odd = odd != isQuote
			in, after := inside(quotes[at/blockSize], before)
			if got := in>>(at%blockSize)&1 == 1; got != odd {
				t.Fatalf("byte %d of %q for %q: behind an odd number of quotes: %v, want %v", at, data, quote, got, odd)
			}
			if at%blockSize == blockSize-1 {
				before = after
			}
		}
		if left := len(data) % blockSize; quotes[size-1]>>left != 0 || ends[size-1]>>left != 0 {
			t.Fatalf("bits behind the end of %q: %#x %#x", data, quotes[size-1], ends[size-1])
		}
	})
}

func BenchmarkMarks(b *testing.B) {
	data := benchText(1000)
	quotes, ends := make([]uint64, len(data)/blockSize+1), make([]uint64, len(data)/blockSize+1)
	k := newMarks(',', '"')
	for _, x := range []struct {
		name string
		find func(quotes, ends []uint64, data []byte)
	}{{"find", k.find}, {"portable", k.portable}} {
		b.Run(x.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				x.find(quotes, ends, data)
			}
		})
	}
}
