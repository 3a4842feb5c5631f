package text

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzValid holds the quick check against the standard library's.
func FuzzValid(f *testing.F) {
	for _, s := range []string{"", "abc", "abcdefgh", "abcdefghZoë", "東京とパリ", "\xff", "abcdefg\xc3", "abcdefg\xc3\xa9", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x9f\x98\x80!", strings.Repeat("é", 9), "aaaaaaaa\xe6\x9d"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, want := Valid(b), utf8.Valid(b); got != want {
			t.Fatalf("%q: %v, want %v", b, got, want)
		}
	})
}
