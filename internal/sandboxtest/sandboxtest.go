// Package sandboxtest is what the tests of simulators share: one that is served, calls that are made to it, what is left
// of it when its process ends, and the vendor's document that it must agree with.
package sandboxtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/internal/beside"
	"github.com/crmetl/crmetl/internal/sandbox"
)

// Faults parses rules that must be good.
func Faults(t testing.TB, rules string) *sandbox.Faults {
	t.Helper()
	f, err := sandbox.ParseFaults(rules)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Serve serves a simulator on loopback until the test ends, and closes it then. It returns its base.
func Serve(t testing.TB, name string, s sandbox.Simulator) string {
	t.Helper()
	t.Cleanup(func() { _ = s.Close() })
	server, err := sandbox.Serve(t.Context(), "127.0.0.1:0", map[string]sandbox.Simulator{name: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server.URL(name)
}

// Do sends a request over the network and reads the answer to its end: one that breaks off is an error, and comes with
// what there is of it.
func Do(r *http.Request) (answer *http.Response, body string, err error) {
	answer, err = http.DefaultClient.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	b, err := io.ReadAll(answer.Body)
	return answer, string(b), err
}

// Writes is what a ledger says of each accepted write, a line each.
func Writes(l sandbox.Ledger) (lines []string) {
	for _, w := range l.Writes {
		lines = append(lines, fmt.Sprint(w.N, w.Method, w.Path, w.ID, w.Body, w.Time.UTC()))
	}
	return lines
}

// Ended ends a simulator that keeps its records in dir, and returns the folders that the next may find: dir as Close
// leaves it, and a copy as it would be had the process been killed before. Until then open, which opens dir once more,
// must be told who has it.
func Ended(t testing.TB, dir string, s io.Closer, open func() (io.Closer, error)) []string {
	t.Helper()
	killed := t.TempDir()
	log, err := os.ReadFile(filepath.Join(dir, "records.log"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(killed, "records.log"), log, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(); err == nil || !strings.Contains(err.Error(), "in use by process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return []string{dir, killed}
}

// Starts measures how long a simulator takes to open a folder: an empty one, which it fills with what is made up, and one
// that it has filled before.
func Starts(b *testing.B, open func(dir string) (io.Closer, error)) {
	start := func(b *testing.B, dir string) {
		s, err := open(dir)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("made up", func(b *testing.B) {
		for b.Loop() {
			start(b, b.TempDir())
		}
	})
	b.Run("found", func(b *testing.B) {
		dir := b.TempDir()
		start(b, dir)
		for b.Loop() {
			start(b, dir)
		}
	})
}

// Elements takes a JSON array apart.
func Elements(t testing.TB, array string) []string {
	t.Helper()
	var all []json.RawMessage
	if err := json.Unmarshal([]byte(array), &all); err != nil {
		t.Fatalf("%s: %v", array, err)
	}
	out := make([]string, len(all))
	for i, doc := range all {
		out[i] = string(doc)
	}
	return out
}

// Document is a vendor's own document, by a pattern of its file's name. The documents are not ours to give away: they may
// stand beside the repository, in shared/vendor-docs, and where they do not, the test is skipped.
func Document(t testing.TB, pattern string) []byte {
	t.Helper()
	doc, err := os.ReadFile(beside.Path(t, "vendor-docs", pattern))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}
