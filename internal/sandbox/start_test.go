package sandbox

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// TestOpen: what a simulator is made of comes in order, and a folder whose simulator can't start is free again.
func TestOpen(t *testing.T) {
	for _, c := range []struct {
		name  string
		fail  string // which step fails
		steps []string
		want  string
	}{
		{"new", "", []string{"tune", "fill", "ready"}, ""},
		{"again", "", []string{"tune", "ready"}, ""},
		{"bad settings", "tune", []string{"tune"}, "toy: tune: broken"},
		{"bad first records", "fill", []string{"tune", "fill"}, "toy: fill: broken"},
		{"bad records", "ready", []string{"tune", "ready"}, "toy: ready: broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			var steps []string
			step := func(name string) error {
				if steps = append(steps, name); name == c.fail {
					return fmt.Errorf("%s: broken", name)
				}
				return nil
			}
			front := func() *Front {
				return &Front{Name: "toy",
					Tune:  func([]Knob) error { return step("tune") },
					Fill:  func() error { return step("fill") },
					Ready: func() error { return step("ready") },
				}
			}
			if c.name == "again" || c.fail == "ready" {
				first := front()
				first.Ready = nil
				if err := first.Open(Options{Dir: dir}); err != nil {
					t.Fatal(err)
				}
				if err := first.Close(); err != nil {
					t.Fatal(err)
				}
				steps = nil
			}
			f := front()
			err := f.Open(Options{Dir: dir})
			if got := fmt.Sprint(err); got != c.want && (c.want != "" || err != nil) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if diff := cmp.Diff(c.steps, steps); diff != "" {
				t.Error(diff)
			}
			if err == nil {
				if f.Now == nil || f.Store == nil {
					t.Error("no clock or no store")
				}
				if err := f.Open(Options{Dir: dir}); err == nil {
					t.Error("a folder in use was opened")
				}
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
			}
			open(t, dir)
		})
	}
}

func TestFillMany(t *testing.T) {
	for _, n := range []int{0, 1, 1999, 2000, 2001, 4500} {
		s := open(t, "")
		next := 0
		err := s.FillMany(n, func(tx *Tx, i int) error {
			if i != next {
				t.Fatalf("%d: %d, want %d", n, i, next)
			}
			next++
			return tx.PutJSON("things", strconv.Itoa(i), i)
		})
		if err != nil || next != n || s.Len("things") != n || len(s.Writes()) != 0 {
			t.Errorf("%d: %d calls, %d things, %d writes, %v", n, next, s.Len("things"), len(s.Writes()), err)
		}
	}
	s := open(t, "")
	broken := errors.New("broken")
	err := s.FillMany(5000, func(tx *Tx, i int) error {
		if i == 3000 {
			return broken
		}
		return tx.PutJSON("things", strconv.Itoa(i), i)
	})
	if !errors.Is(err, broken) || s.Len("things") != 2000 {
		t.Errorf("%v, with %d things", err, s.Len("things"))
	}
}

func TestPutJSON(t *testing.T) {
	s := open(t, "")
	write(t, s, func(tx *Tx) {
		if err := tx.PutJSON("things", "a", map[string]string{"x": "<&>"}); err != nil {
			t.Error(err)
		}
		if err := tx.PutJSON("things", "b", make(chan int)); err == nil {
			t.Error("JSON has no channels")
		}
	})
	if got, want := docs(t, s, "things"), `{"x":"<&>"}`; !strings.Contains(got, want) || s.Len("things") != 1 {
		t.Errorf("%s", got)
	}
}

func TestReadBody(t *testing.T) {
	for _, c := range []struct {
		name string
		body io.Reader
		want string
		err  Refusal
	}{
		{"small", strings.NewReader("12345"), "12345", Refusal{}},
		{"empty", http.NoBody, "", Refusal{}},
		{"too large", strings.NewReader("123456"), "", Refusal{Status: 413, Text: "the body is too large"}},
		{"broken", iotest.ErrReader(errors.New("gone")), "", Refusal{Status: 400, Text: "read the body: gone"}},
	} {
		got, err := ReadBody(httptest.NewRequest("POST", "/", c.body), 5)
		var refused *Refusal
		if err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		if refused == nil {
			refused = &Refusal{}
		}
		if string(got) != c.want || *refused != c.err {
			t.Errorf("%s: %q %+v", c.name, got, *refused)
		}
	}
}

func TestNeedJSON(t *testing.T) {
	for header, good := range map[string]bool{
		"application/json":                true,
		"application/json; charset=utf-8": true,
		"Application/JSON":                true,
		"text/json":                       false,
		"application/json-patch+json":     false,
		"application/json; charset":       false,
		"":                                false,
	} {
		r := httptest.NewRequest("POST", "/", http.NoBody)
		r.Header.Set("Content-Type", header)
		err := NeedJSON(r, 415)
		var refused *Refusal
		if (err == nil) != good || !good && (!errors.As(err, &refused) || refused.Status != 415 || err.Error() != "want Content-Type: application/json") {
			t.Errorf("%q: %v", header, err)
		}
	}
}
