package record

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// FuzzAppendString holds what is appended against encoding/json: the same text comes back, and the slow and the quick
// way agree.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", "12345678", "Zoë Müller", "say \"hi\"", "a\\b", "line\nbreak", "\x00", "\x7f", "\x1f ", " ", "東京", "\xff", "1234567\"", "1234567é\n", strings.Repeat("long text, ", 9)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := AppendString([]byte("x"), s)
		if slow := string(append(appendEscaped([]byte("x\""), s), '"')); string(got) != slow {
			t.Fatalf("%q: %s, the slow way %s", s, got, slow)
		}
		var back string
		if err := json.Unmarshal(got[1:], &back); err != nil {
			t.Fatalf("%q: %s: %v", s, got, err)
		}
		var want string
		for _, r := range s {
			want += string(r) // a byte that is not UTF-8 comes as U+FFFD
		}
		if back != want {
			t.Fatalf("%q came back as %q", s, back)
		}
	})
}

// TestKey writes keys of all lengths into buffers of all sizes.
func TestKey(t *testing.T) {
	for n := range 60 {
		name := strings.Repeat("é\"x", n/4) + "abcd"[:n%4]
		k := KeyOf(name)
		for room := range 90 {
			dst := append(make([]byte, 0, room), '{')
			dst = append(k.Append(dst), '1')
			dst = append(append(k.Append(dst), '2'), '}')
			quoted, err := json.Marshal(name)
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("{%s:1,%s:2}", quoted, quoted); string(dst) != want {
				t.Fatalf("room for %d: %s, want %s", room, dst, want)
			}
		}
	}
}
