package sandboxtest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/sandbox"
)

// echo is a simulator that answers with the path, and breaks off where that is asked for.
type echo struct{ closed bool }

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, r.URL.Path)
	if r.URL.Path == "/torn" {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func (e *echo) Settings(string) map[string]string { return nil }

func (e *echo) Close() error {
	e.closed = true
	return nil
}

// TestServe calls a simulator that is there for as long as a test.
func TestServe(t *testing.T) {
	var e echo
	t.Run("served", func(t *testing.T) {
		base := Serve(t, "echo", &e)
		for path, whole := range map[string]bool{"/whole": true, "/torn": false} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			a, body, err := Do(r)
			if a == nil || a.StatusCode != 200 || body != path || (err == nil) != whole {
				t.Errorf("%s: %q, %v", path, body, err)
			}
		}
		if e.closed {
			t.Error("it is closed before the test ends")
		}
	})
	if !e.closed {
		t.Error("it is not closed after the test")
	}
}

func TestWrites(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.FixedZone("", 3600))
	one := sandbox.Written{N: 1, Method: "POST", Path: "/x", ID: "7", Time: at}
	two := one
	two.N, two.ID = 2, "8"
	lines := Writes(sandbox.Ledger{Writes: []sandbox.Written{one, two}})
	if len(lines) != 2 || lines[0] == lines[1] {
		t.Errorf("%q", lines)
	}
	one.Time = at.UTC()
	if diff := cmp.Diff(lines[:1], Writes(sandbox.Ledger{Writes: []sandbox.Written{one}})); diff != "" {
		t.Error(diff)
	}
}

// heard is a test that keeps what it is told.
type heard struct {
	testing.TB
	errors []string
}

func (h *heard) Errorf(format string, args ...any) {
	h.errors = append(h.errors, fmt.Sprintf(format, args...))
}

// TestEnded ends what writes once more as it closes: the copy of the one that was killed does not have that.
func TestEnded(t *testing.T) {
	for _, tt := range []struct {
		name    string
		another error // of whoever opens the folder meanwhile
		errors  int
	}{
		{"locked", fmt.Errorf("the folder is in use by process %d", os.Getpid()), 0},
		{"not locked", nil, 1},
		{"fails in another way", errors.New("no such folder"), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			log := filepath.Join(dir, "records.log")
			if err := os.WriteFile(log, []byte("one\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			h := &heard{TB: t}
			dirs := Ended(h, dir, closing(func() error { return os.WriteFile(log, []byte("one\nend\n"), 0o600) }), func() (io.Closer, error) { return nil, tt.another })
			var got []string
			for _, dir := range dirs {
				b, err := os.ReadFile(filepath.Join(dir, "records.log"))
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(b))
			}
			if diff := cmp.Diff([]string{"one\nend\n", "one\n"}, got); diff != "" || len(h.errors) != tt.errors {
				t.Errorf("%s\ncomplaints %q, want %d", diff, h.errors, tt.errors)
			}
		})
	}
}

// closing is what is done when something closes.
type closing func() error

func (c closing) Close() error { return c() }

func TestElements(t *testing.T) {
	if diff := cmp.Diff([]string{"1", `{"a": [2]}`, "null"}, Elements(t, ` [1, {"a": [2]},null]`)); diff != "" {
		t.Error(diff)
	}
}
