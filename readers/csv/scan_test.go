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
		words := make([]uint64, len(data)/blockSize+1)
		k.find(words, data)
		other := make([]uint64, len(words))
		k.portable(other, data)
		for at, c := range data {
			want := c == delim || c == '\n' || c == '\r' || quote != 0 && c == quote
			if got := words[at/blockSize]>>(at%blockSize)&1 == 1; got != want {
				t.Fatalf("byte %d of %q for %q and %q: %v, want %v", at, data, delim, quote, got, want)
			}
			if got := other[at/blockSize]>>(at%blockSize)&1 == 1; at < len(data)/blockSize*blockSize && got != want {
				t.Fatalf("portable: byte %d of %q for %q and %q: %v, want %v", at, data, delim, quote, got, want)
			}
		}
		if left := len(data) % blockSize; words[len(words)-1]>>left != 0 {
			t.Fatalf("bits behind the end of %q: %#x", data, words[len(words)-1])
		}
	})
}

func BenchmarkMarks(b *testing.B) {
	data := benchText(1000)
	words := make([]uint64, len(data)/blockSize+1)
	k := newMarks(',', '"')
	for _, x := range []struct {
		name string
		find func([]uint64, []byte)
	}{{"find", k.find}, {"portable", k.portable}} {
		b.Run(x.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				x.find(words, data)
			}
		})
	}
}
