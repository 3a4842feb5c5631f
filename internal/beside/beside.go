// Package beside finds, for tests, files that may stand beside the repository, in a folder named shared: documents of
// vendors and files from the wild, which are not ours to give away.
package beside

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Root returns the repository's folder.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = up
	}
}

// Path returns the path of a file or folder below shared; its last part may be a pattern of filepath.Match, of which
// there must be one. Where it is not there, the test is skipped and says what is missing.
func Path(t testing.TB, parts ...string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(append([]string{filepath.Dir(Root(t)), "shared"}, parts...)...))
	if err != nil || len(found) > 1 {
		t.Fatalf("%s means %v, %v; want one file", strings.Join(parts, "/"), found, err)
	}
	if len(found) == 0 {
		t.Skipf("it is not beside the repository: ../shared/%s", strings.Join(parts, "/"))
	}
	return found[0]
}
