package report

import (
	"strings"
	"testing"
)

// FuzzNeedsQuotes holds the quick look at a cell against the plain one.
func FuzzNeedsQuotes(f *testing.F) {
	for _, s := range []string{"", "a", "12345678", "1234567,", "12345678,", "a\"b", "line\nbreak", "-+-+-+-+", "\r", "Zoë, Müller", "!#!#!#!#!#", "\x0b\x0c\x0b\x0c\x0b\x0c\x0b\x0c", strings.Repeat("plain ", 9) + "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := strings.ContainsAny(s, ",\"\r\n")
		if s != "" {
			last := s[len(s)-1]
			want = want || s[0] == ' ' || s[0] == '\t' || s[0] == '#' || last == ' ' || last == '\t' || strings.HasPrefix(s, "\ufeff")
		}
		if got := needsQuotes(s); got != want {
			t.Fatalf("%q: %v, want %v", s, got, want)
		}
	})
}
