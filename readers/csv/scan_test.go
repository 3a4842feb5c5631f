package csv

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzMarks asks for each byte by itself, of what this processor does and of what any does.
func FuzzMarks(f *testing.F) {
	f.Add([]byte("a,\"b\"\r\n"+strings.Repeat("x,\n\r\";-+\x2d\x0b\x8a\xac", 19)), byte(','), byte('"'))
	f.Add([]byte(strings.Repeat("Zoë, 東京 \U0001f600", 9)+"\xe6\x9d"), byte(','), byte('"'))
	f.Add([]byte(strings.Repeat("\x00\x01\xff\x80\x0a\x0b\x0d\x0c", 9)), byte(0x80), byte(0))
	f.Fuzz(func(t *testing.T, data []byte, delim, quote byte) {
		if data = data[:min(len(data), windowSize)]; len(data) == 0 {
			return
		}
		k := newMarks(delim, quote)
		var w, other window
		k.find(&w, data)
		k.portable(&other, 0, data)
		odd, before := false, uint64(0)
		for at, c := range data {
			bit := func(words *words) bool { return words[at/blockSize]>>(at%blockSize)&1 == 1 }
			isQuote, isEnd, isWide := quote != 0 && c == quote, c == delim || c == '\n' || c == '\r', c >= 0x80
			if bit(&w.quotes) != isQuote || bit(&w.ends) != isEnd || bit(&w.wide) != isWide {
				t.Fatalf("byte %d of %q for %q and %q: %v %v %v, want %v %v %v", at, data, delim, quote, bit(&w.quotes), bit(&w.ends), bit(&w.wide), isQuote, isEnd, isWide)
			}
			if at < len(data)/blockSize*blockSize && (quote != 0 && bit(&other.quotes) != isQuote || bit(&other.ends) != isEnd || bit(&other.wide) != isWide) {
				t.Fatalf("portable: byte %d of %q for %q and %q: %v %v %v, want %v %v %v", at, data, delim, quote, bit(&other.quotes), bit(&other.ends), bit(&other.wide), isQuote, isEnd, isWide)
			}
			odd = odd != isQuote
			in, after := inside(w.quotes[at/blockSize], before)
			if got := in>>(at%blockSize)&1 == 1; got != odd {
				t.Fatalf("byte %d of %q for %q: behind an odd number of quotes: %v, want %v", at, data, quote, got, odd)
			}
			if at%blockSize == blockSize-1 {
				before = after
			}
		}
		last := (len(data) - 1) / blockSize
		if left := len(data) % blockSize; left > 0 && (w.quotes[last]>>left != 0 || w.ends[last]>>left != 0) {
			t.Fatalf("bits behind the end of %q: %#x %#x", data, w.quotes[last], w.ends[last])
		}
		half := len(data) / 2
		var short window
		k.find(&short, data[:half])
		other = w
		other.cut(half)
		for i := range (half + blockSize - 1) / blockSize {
			if other.quotes[i] != short.quotes[i] || other.ends[i] != short.ends[i] || other.wide[i] != short.wide[i] {
				t.Fatalf("cut to %d bytes, %q has other marks in block %d than that piece by itself", half, data, i)
			}
		}
		if got, want := w.valid(data), utf8.Valid(data); got != want {
			t.Fatalf("%q is UTF-8: %v, want %v", data, got, want)
		}
	})
}

func BenchmarkMarks(b *testing.B) {
	data := benchText(100)
	var w window
	k := newMarks(',', '"')
	for _, x := range []struct {
		name string
		find func()
	}{{"find", func() { k.find(&w, data) }}, {"portable", func() { k.portable(&w, 0, data) }}, {"valid", func() { w.valid(data) }}} {
		b.Run(x.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				x.find()
			}
		})
	}
}
