package record

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestWatch asks for every byte at every place of a short text, and of a long one's beginning and end.
func TestWatch(t *testing.T) {
	w := WatchFor('"', '|')
	for name, way := range map[string]func([]byte, string) sighting{"as it is": w.copy, "portable": w.portable} {
		t.Run(name, func(t *testing.T) {
			for n := 1; n <= 70; n++ {
				for at := range n {
					for c := range 256 {
						b := []byte(strings.Repeat("a", n))
						b[at] = byte(c)
						room := []byte(strings.Repeat("-", n+2))
						seen := way(room[1:n+1], string(b))
						if got := string(room); got != "-"+string(b)+"-" {
							t.Fatalf("%q was copied as %q", b, got)
						}
						if want := c < ' ' || c == '"' || c == '|'; seen.found() != want || seen.wide() != (c >= utf8.RuneSelf) {
							t.Fatalf("byte %#x at %d of %d: %#x was seen", c, at, n, seen)
						}
					}
				}
			}
		})
	}
	if found, wide := w.Copy(nil, ""); found || wide {
		t.Error("something was found in nothing")
	}
}

// FuzzWatch holds both ways against a look at each byte.
func FuzzWatch(f *testing.F) {
	f.Add("plain", byte('"'), byte('\\'))
	f.Add("with \"quotes\", a\ttab and Zürich, longer than sixteen bytes", byte('"'), byte(','))
	f.Fuzz(func(t *testing.T, s string, one, two byte) {
		one, two = one&0x7f, two&0x7f
		w := WatchFor(one, two)
		bad := strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == rune(one) || r == rune(two) })
		high := strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0
		dst := bytes.Repeat([]byte{'-'}, len(s)+1)
		if found, wide := w.Copy(dst, s); found != bad || wide != high || string(dst) != s+"-" {
			t.Errorf("%q became %q, found %v, wide %v; want %v and %v", s, dst, found, wide, bad, high)
		}
		if seen := w.portable(dst[:len(s)], s); seen.found() != bad || seen.wide() != high || string(dst) != s+"-" {
			t.Errorf("portable: %q became %q, %#x was seen; want %v and %v", s, dst, seen, bad, high)
		}
	})
}
