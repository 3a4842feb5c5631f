// Package sinktest is the conformance suite of sinks that write files: whole or not at all, in order, with every row
// accounted for. A writer's own test calls Run.
package sinktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// Writer is a file on its way: it renders batches as a step and puts them out as a sink.
type Writer interface {
	pipeline.Sink
	pipeline.Step
}

// Suite describes a writer under test.
type Suite struct {
	// Name is the file's base name.
	Name string
	// Create starts a file with the header.
	Create func(path string, h *record.Header) (Writer, error)
	// Read reads a finished file back: the header, and the text of the cells.
	Read func(path string) (columns []string, rows [][]string, err error)
	// NoHeader says that the format has no place for the header in a file without rows.
	NoHeader bool
	// Columns are the names of the three columns, for a format that wants some; nil: id, name, note. The third has
	// texts of any kind.
	Columns []string
}

func (s *Suite) header(t testing.TB) *record.Header {
	t.Helper()
	names := s.Columns
	if names == nil {
		names = []string{"id", "name", "note"}
	}
	h, err := record.NewHeader(names)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// batch makes n rows from number first on; every fifth is rejected.
func batch(h *record.Header, first, n int) (*record.Batch, [][]string) {
	b := &record.Batch{Header: h, Origin: h}
	var want [][]string
	for i := first; i < first+n; i++ {
		cells := b.Cells(3)
		text := []string{fmt.Sprint(i), fmt.Sprintf("Zoë, \"%d\"", i), "two\nlines\t; " + strings.Repeat("x", i%7)}
		for k, s := range text {
			cells[k] = record.TextOf(s)
		}
		row := b.Add()
		row.Num, row.Values, row.Origin = int64(i), cells, cells
		if i%5 == 0 {
			row.Reject(record.Problem{Rule: "test", Message: "left out"})
			continue
		}
		want = append(want, text)
	}
	return b, want
}

// Run tests a writer.
func Run(t *testing.T, s Suite) {
	t.Run("whole at commit", func(t *testing.T) { whole(t, s) })
	t.Run("nothing without commit", func(t *testing.T) { nothing(t, s) })
	t.Run("an older file stays until commit", func(t *testing.T) { older(t, s) })
	t.Run("no rows", func(t *testing.T) { empty(t, s) })
	t.Run("rows that leave after apply", func(t *testing.T) { leaving(t, s) })
	t.Run("through the engine", func(t *testing.T) { engine(t, s) })
	t.Run("write errors surface", func(t *testing.T) { full(t, s) })
	t.Run("create errors", func(t *testing.T) { create(t, s) })
}

func (s *Suite) path(t *testing.T) string { return filepath.Join(t.TempDir(), s.Name) }

// only fails unless the folder of path holds just the names.
func only(t *testing.T, path string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(append([]string{}, names...), got); diff != "" {
		t.Errorf("files in the folder: %s", diff)
	}
}

func (s *Suite) expect(t *testing.T, path string, h *record.Header, want [][]string) {
	t.Helper()
	columns, rows, err := s.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) > 0 || !s.NoHeader {
		if diff := cmp.Diff(h.Names(), columns); diff != "" {
			t.Errorf("columns: %s", diff)
		}
	}
	if len(rows) == 0 && len(want) == 0 {
		return
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows: %.2000s", diff)
	}
}

func (s *Suite) start(t *testing.T, path string) (Writer, *record.Header) {
	t.Helper()
	h := s.header(t)
	w, err := s.Create(path, h)
	if err != nil {
		t.Fatal(err)
	}
	return w, h
}

func finish(t *testing.T, w Writer) {
	t.Helper()
	if err := w.Commit(context.Background()); err != nil {
		t.Fatalf("commit: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// whole applies batches at once, writes them in order, and finds them all.
func whole(t *testing.T, s Suite) {
	path := s.path(t)
	w, h := s.start(t, path)
	var want [][]string
	var batches []*record.Batch
	for i := range 40 {
		b, rows := batch(h, i*50+1, 50)
		batches = append(batches, b)
		want = append(want, rows...)
	}
	errs := make([]error, len(batches))
	var wg sync.WaitGroup
	for i, b := range batches {
		wg.Go(func() { errs[i] = w.Apply(b) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("apply: %v", err)
	}
	for i, b := range batches {
		if i%8 == 7 {
			b.Out = nil // a batch that was put together anew has not been applied
		}
		if err := w.Write(context.Background(), b); err != nil {
			t.Fatalf("write: %v", err)
		}
		for k := range b.Rows {
			switch row := &b.Rows[k]; {
			case row.Num%5 == 0 && row.Fate != record.Rejected:
				t.Fatalf("row %d was rejected and is %v", row.Num, row.Fate)
			case row.Num%5 != 0 && (row.Fate != record.Accepted || row.Action != "written"):
				t.Fatalf("row %d is %v (%s), want accepted (written)", row.Num, row.Fate, row.Action)
			}
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is there before commit: %v", err)
	}
	finish(t, w)
	only(t, path, s.Name)
	s.expect(t, path, h, want)
	if st, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v; rows are for their owner only", st.Mode(), err)
	}
}

func nothing(t *testing.T, s Suite) {
	path := s.path(t)
	w, h := s.start(t, path)
	for i := range 10 {
		b, _ := batch(h, i*1000+1, 1000)
		if err := w.Write(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	only(t, path)
	w, _ = s.start(t, path)
	if err := w.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	only(t, path)
}

func older(t *testing.T, s Suite) {
	path := s.path(t)
	if err := os.WriteFile(path, []byte("older"), 0o640); err != nil {
		t.Fatal(err)
	}
	w, h := s.start(t, path)
	b, want := batch(h, 1, 3)
	if err := w.Write(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "older" {
		t.Errorf("before commit the file holds %q, error %v", got, err)
	}
	finish(t, w)
	only(t, path, s.Name)
	s.expect(t, path, h, want)
	if st, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, error %v, want that of the older file", st.Mode(), err)
	}
}

func empty(t *testing.T, s Suite) {
	path := s.path(t)
	w, h := s.start(t, path)
	finish(t, w)
	only(t, path, s.Name)
	s.expect(t, path, h, nil)
}

// leaving refuses, skips and drops rows between Apply and Write, as the engine may.
func leaving(t *testing.T, s Suite) {
	path := s.path(t)
	w, h := s.start(t, path)
	b, want := batch(h, 1, 4)
	if err := w.Apply(b); err != nil {
		t.Fatal(err)
	}
	b.Rows[0].Fate = record.Skipped
	b.Rows = b.Rows[:3]
	if err := w.Write(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	finish(t, w)
	s.expect(t, path, h, want[1:3])
}

// made is a source of batches.
type made struct {
	h *record.Header
	n int
}

func (m *made) Header() *record.Header { return m.h }
func (m *made) Next(_ context.Context, c *pipeline.Chunk) error {
	if m.n == 20 {
		return io.EOF
	}
	m.n++
	c.Line = int64(m.n)
	return nil
}
func (m *made) Decode(c *pipeline.Chunk, b *record.Batch) error {
	x, _ := batch(m.h, int(c.Line-1)*30+1, 30)
	*b = *x
	return nil
}
func (m *made) Close() error { return nil }

func engine(t *testing.T, s Suite) {
	for _, o := range []pipeline.Options{{Workers: 8}, {Workers: 8, BatchSize: 7}, {Workers: 2, Skip: 11, Limit: 333}} {
		path := s.path(t)
		w, h := s.start(t, path)
		counts, err := pipeline.Run(context.Background(), &made{h: h}, []pipeline.Step{w}, w, o)
		if err != nil {
			t.Fatal(err)
		}
		_, all := batch(h, 1, 600)
		var want [][]string
		for _, r := range all {
			var n int64
			if _, err := fmt.Sscan(r[0], &n); err != nil {
				t.Fatal(err)
			}
			if n > o.Skip && (o.Limit == 0 || n <= o.Skip+o.Limit) {
				want = append(want, r)
			}
		}
		if counts.Accepted != int64(len(want)) {
			t.Errorf("%+v: %d rows accepted, want %d", o, counts.Accepted, len(want))
		}
		s.expect(t, path, h, want)
	}
}

// full writes to a device that is always full, where the system has one.
func full(t *testing.T, s Suite) {
	const device = "/dev/full"
	if _, err := os.Stat(device); err != nil {
		t.Skip("there is no device that is always full")
	}
	path := s.path(t)
	if err := os.Symlink(device, path); err != nil {
		t.Fatal(err)
	}
	w, h := s.start(t, path)
	var err error
	for i := 0; i < 300 && err == nil; i++ {
		b, _ := batch(h, i*100+1, 100)
		if err = w.Write(context.Background(), b); err != nil {
			for k := range b.Rows {
				if b.Rows[k].Fate == record.Accepted {
					t.Fatalf("row %d is accepted, and its write was not", b.Rows[k].Num)
				}
			}
		}
	}
	if err == nil {
		err = w.Commit(context.Background())
	}
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("error %v, want one that names %s and says that the disk is full", err, path)
	}
	if err := w.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func create(t *testing.T, s Suite) {
	dir := t.TempDir()
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "missing", s.Name), "there is no folder"},
		{filepath.Join(dir, s.Name), "this is a folder"},
	} {
		if strings.Contains(c.want, "this is") {
			if err := os.Mkdir(c.path, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		w, err := s.Create(c.path, s.header(t))
		if err == nil {
			_ = w.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: error %v, want %q", c.path, err, c.want)
		}
	}
}
