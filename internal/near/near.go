// Package near finds the name that was probably meant, for "did you mean".
package near

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// Name returns the candidate that was probably meant by a name that is none of them, or "" if none is near. Case,
// blanks and the signs _ - . count less than letters.
func Name(name string, candidates []string) string {
	key := nearKey(name)
	if key == "" || len(key) > 200 {
		return ""
	}
	best, least := "", 1<<30
	for _, c := range candidates {
		k := nearKey(c)
		if k == "" || len(k) > 200 {
			continue
		}
		d := 2 * levenshtein.ComputeDistance(key, k)
		if swapped(key, k) {
			d = 2
		}
		if d > 0 && shares(key, k) {
			d = min(d, 3) // "mobile number" for "mobile": more letters, same name
		}
		limit := 2 * ((len([]rune(key)) + 1) / 3)
		if len([]rune(key)) < 3 {
			limit = 0 // at two letters every other name is near
		}
		if d <= limit && d < least {
			best, least = c, d
		}
	}
	return best
}

// swapped reports whether two neighbouring letters have changed places: one slip of the fingers, not two.
func swapped(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i+1 < len(a); i++ {
		if a[i] != b[i] {
			return a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
		}
	}
	return false
}

// shares reports whether one key begins or ends with the other, and that is long enough to mean something.
func shares(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return len(a) >= 4 && 3*len(a) >= len(b) && (strings.HasPrefix(b, a) || strings.HasSuffix(b, a))
}

func nearKey(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\u00a0', '_', '-', '.':
			return -1
		}
		return r
	}, strings.ToLower(s))
}
