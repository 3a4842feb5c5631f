package schema

import (
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
)

// Nearest finds the candidate that a misspelt name most likely means, for "did you mean". Case, blanks, "_" and "-"
// do not count, and two letters that changed places count as one mistake. It reports false if none is near enough:
// about one letter in three may differ. Of candidates that are equally near, the first one is meant.
func Nearest(name string, candidates []string) (string, bool) {
	key := Fold(name)
	length := utf8.RuneCountInString(key)
	if length == 0 {
		return "", false
	}
	best, found := "", false
	limit := (length + 1) / 3
	if length < 3 {
		limit = 0 // at two letters every other name is near
	}
	for _, c := range candidates {
		if d := distance(key, Fold(c)); d <= limit {
			best, found, limit = c, true, d-1
		}
	}
	return best, found
}

func distance(a, b string) int {
	if len(a) == len(b) {
		i := 0
		for i < len(a) && a[i] == b[i] {
			i++
		}
		if i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:] {
			return 1
		}
	}
	return levenshtein.ComputeDistance(a, b)
}
