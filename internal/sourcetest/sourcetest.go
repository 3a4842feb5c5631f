// Package sourcetest is the conformance suite of sources: what every reader of files and every vendor's list must do,
// whatever its format. A source's own test calls Run.
package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// Suite describes a source under test. Its data should make several chunks.
type Suite struct {
	// Open returns a fresh source over the same data each time.
	Open func() (pipeline.Source, error)
	// Columns are the names that the header must have; nil leaves them unchecked.
	Columns []string
	// Rows are the rows that must come, as the text of their cells; a rejected row begins with the cell "!". nil
	// takes those of the first reading, so that only the readings are held against each other.
	Rows [][]string
	// Cut, if set, tests what happens when the data ends early.
	Cut *Cut
}

// Cut says how the data can be cut short.
type Cut struct {
	Size int // length of the data
	// Open returns a source over the first n units of the data. An error of Open is as good as one of Next.
	Open func(n int) (pipeline.Source, error)
	// Legal reports whether n is a good end by the rules of the format, so that fewer rows without any error are
	// right: a CSV file that ends with a line.
	Legal func(n int) bool
	// Step is the distance of the places that are tried; 0 tries every place.
	Step int
}

// Run tests a source.
func Run(t *testing.T, s Suite) {
	t.Helper()
	want := s.Rows
	if want == nil {
		got := read(s.Open, 1)
		if got.err != nil {
			t.Fatalf("first reading: %v", got.err)
		}
		want = got.rows
	}
	if len(want) == 0 {
		t.Fatal("the suite needs data with rows")
	}
	t.Run("every row once and in order", func(t *testing.T) {
		for _, workers := range []int{1, 8} {
			got := read(s.Open, workers)
			if got.err != nil {
				t.Fatalf("%d decoders: %v", workers, got.err)
			}
			if s.Columns != nil {
				if diff := cmp.Diff(s.Columns, got.columns); diff != "" {
					t.Errorf("columns: %s", diff)
				}
			}
			if diff := cmp.Diff(want, got.rows); diff != "" {
				t.Errorf("%d decoders: %s", workers, clip(diff))
			}
		}
	})
	t.Run("through the engine", func(t *testing.T) { engine(t, s, want) })
	t.Run("decode is pure", func(t *testing.T) { pure(t, s, want) })
	t.Run("the end is final", func(t *testing.T) { final(t, s) })
	t.Run("a cancelled context ends reading", func(t *testing.T) { cancelled(t, s) })
	t.Run("nothing is left running", func(t *testing.T) { leaks(t, s) })
	if s.Cut != nil {
		t.Run("no short read in silence", func(t *testing.T) { cuts(t, s.Cut, want) })
	}
}

// reading is what came out of a source.
type reading struct {
	columns []string
	rows    [][]string
	err     error // of Open, Next or Decode
}

// read drains a source the way the engine does: one reader, some decoders, results back in order.
func read(open func() (pipeline.Source, error), workers int) reading {
	src, err := open()
	if err != nil {
		return reading{err: err}
	}
	r := reading{columns: src.Header().Names()}
	type job struct {
		chunk *pipeline.Chunk
		batch record.Batch
		err   error
	}
	var jobs []*job
	work := make(chan *job)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for j := range work {
				j.err = src.Decode(j.chunk, &j.batch)
				// The next Next may write over this memory: rows must not be in it.
				for i := range j.chunk.Data {
					j.chunk.Data[i] = 'X'
				}
			}
		})
	}
	for r.err == nil {
		j := &job{chunk: &pipeline.Chunk{}}
		if r.err = src.Next(context.Background(), j.chunk); r.err == nil {
			jobs = append(jobs, j)
			work <- j
		}
	}
	close(work)
	wg.Wait()
	if errors.Is(r.err, io.EOF) {
		r.err = nil
	}
	for _, j := range jobs {
		rows, err := texts(src, &j.batch)
		r.rows = append(r.rows, rows...)
		if j.err != nil {
			r.err = j.err
			break
		}
		r.err = errors.Join(r.err, err)
	}
	r.err = errors.Join(r.err, src.Close())
	return r
}

// texts renders the rows of a batch, and checks what every decoded batch must be.
func texts(src pipeline.Source, b *record.Batch) ([][]string, error) {
	var rows [][]string
	if b.Header != src.Header() || b.Origin == nil {
		return nil, errors.New("a decoded batch lacks the source's header, or that of the cells as read")
	}
	for i := range b.Rows {
		row := &b.Rows[i]
		var cells []string
		switch {
		case row.Fate == record.Rejected:
			if row.Err == nil || len(record.ProblemsOf(row.Err)) == 0 {
				return nil, fmt.Errorf("line %d: a rejected row without a reason", row.Line)
			}
			cells = append(cells, "!")
		case row.Fate != record.Pending:
			return nil, fmt.Errorf("line %d: a decoded row is %v", row.Line, row.Fate)
		case len(row.Values) != b.Header.Len():
			return nil, fmt.Errorf("line %d: %d cells under %d columns, and not rejected", row.Line, len(row.Values), b.Header.Len())
		}
		for _, v := range row.Values {
			cells = append(cells, v.Kind().String()+":"+strings.Clone(v.Text()))
		}
		rows = append(rows, cells)
	}
	return plainTexts(rows), nil
}

// plainTexts drops the kind of text cells, so that expectations are easy to write.
func plainTexts(rows [][]string) [][]string {
	for _, r := range rows {
		for i, c := range r {
			r[i] = strings.TrimPrefix(c, "text:")
		}
	}
	return rows
}

// gather is a sink that remembers what it saw.
type gather struct {
	src  pipeline.Source
	rows [][]string
	last int64
}

func (g *gather) retire(b *record.Batch) error {
	rows, err := texts(g.src, undecided(b))
	for i := range b.Rows {
		if b.Rows[i].Num != g.last+1 {
			return fmt.Errorf("row %d follows row %d", b.Rows[i].Num, g.last)
		}
		g.last++
	}
	g.rows = append(g.rows, rows...)
	return err
}

// undecided is the batch as it was before the sink accepted its rows.
func undecided(b *record.Batch) *record.Batch {
	c := *b
	c.Rows = slices.Clone(b.Rows)
	for i := range c.Rows {
		if c.Rows[i].Fate == record.Accepted {
			c.Rows[i].Fate = record.Pending
		}
	}
	return &c
}

func (g *gather) Write(_ context.Context, b *record.Batch) error {
	for i := range b.Rows {
		if b.Rows[i].Fate.Open() {
			b.Rows[i].Accept("read", "")
		}
	}
	return nil
}
func (g *gather) Commit(context.Context) error { return nil }
func (g *gather) Close() error                 { return nil }

func engine(t *testing.T, s Suite, want [][]string) {
	src, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	g := &gather{src: src}
	counts, err := pipeline.Run(context.Background(), src, nil, g, pipeline.Options{Workers: 4, Retire: g.retire})
	if err != nil {
		t.Fatal(err)
	}
	if counts.Read != int64(len(want)) || counts.Accepted+counts.Rejected != counts.Read {
		t.Errorf("counts %+v, want %d rows", counts, len(want))
	}
	if diff := cmp.Diff(want, g.rows); diff != "" {
		t.Error(clip(diff))
	}
}

// pure decodes each chunk several times at once, and again when its memory has been used for others.
func pure(t *testing.T, s Suite, want [][]string) {
	src, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer closeSource(t, src)
	const times = 4
	rows := make([][][]string, times)
	var kept []*record.Batch
	var c pipeline.Chunk // one chunk, used again and again
	for {
		err := src.Next(context.Background(), &c)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		batches := make([]*record.Batch, times)
		errs := make([]error, times)
		var wg sync.WaitGroup
		for k := range times {
			batches[k] = &record.Batch{}
			wg.Go(func() { errs[k] = src.Decode(&c, batches[k]) })
		}
		wg.Wait()
		for k := range times {
			if errs[k] != nil {
				t.Fatal(errs[k])
			}
			got, err := texts(src, batches[k])
			if err != nil {
				t.Fatal(err)
			}
			rows[k] = append(rows[k], got...)
		}
		kept = append(kept, batches[0])
	}
	for k := range times {
		if diff := cmp.Diff(want, rows[k]); diff != "" {
			t.Fatalf("decoded at once, copy %d: %s", k, clip(diff))
		}
	}
	var after [][]string
	for _, b := range kept {
		got, err := texts(src, b)
		if err != nil {
			t.Fatal(err)
		}
		after = append(after, got...)
	}
	if diff := cmp.Diff(want, after); diff != "" {
		t.Errorf("rows changed when their chunk was used again: %s", clip(diff))
	}
}

func final(t *testing.T, s Suite) {
	src, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer closeSource(t, src)
	for {
		var c pipeline.Chunk
		if err = src.Next(context.Background(), &c); err != nil {
			break
		}
	}
	for range 3 {
		c := pipeline.Chunk{Data: []byte("left over")}
		if err = src.Next(context.Background(), &c); !errors.Is(err, io.EOF) {
			t.Fatalf("after the end: error %v, want io.EOF", err)
		}
		if len(c.Data) != 0 {
			t.Fatalf("after the end: the chunk holds %q", c.Data)
		}
	}
}

func cancelled(t *testing.T, s Suite) {
	src, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer closeSource(t, src)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 1_000_000 {
		var c pipeline.Chunk
		if err = src.Next(ctx, &c); err != nil {
			break
		}
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// leaks opens and closes sources, read to the end, in part and not at all, several times over: what each of them left
// running would add up. A connection that the HTTP client keeps for the next source does not. It has two goroutines here,
// and one or two in a server of this process, so that connections are counted by themselves.
func leaks(t *testing.T, s Suite) {
	const rounds, kept = 5, 2
	round := func() {
		for _, chunks := range []int{0, 1, 1 << 30} {
			src, err := s.Open()
			if err != nil {
				t.Fatal(err)
			}
			for range chunks {
				var c pipeline.Chunk
				if src.Next(context.Background(), &c) != nil {
					break
				}
			}
			if err := src.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	}
	round()
	time.Sleep(10 * time.Millisecond)
	before := runs()
	for range rounds {
		round()
	}
	for wait := time.Millisecond; ; wait *= 2 {
		now := runs()
		if now.others <= before.others+kept && now.connections <= before.connections+kept {
			return
		}
		if wait > time.Second {
			t.Fatalf("%d goroutines and %d connections after %d rounds, %d and %d before\n%s",
				now.others, now.connections, rounds, before.others, before.connections, now.stacks)
		}
		time.Sleep(wait) // goroutines end after their work does
	}
}

// running is what runs in this process.
type running struct {
	others      int // goroutines that are not those of an HTTP connection
	connections int // of HTTP clients
	stacks      []byte
}

func runs() running {
	var r running
	for size := 1 << 16; ; size *= 2 {
		r.stacks = make([]byte, size)
		if n := runtime.Stack(r.stacks, true); n < size {
			r.stacks = r.stacks[:n]
			break
		}
	}
	for stack := range bytes.SplitSeq(r.stacks, []byte("\n\n")) {
		switch has := func(s string) bool { return bytes.Contains(stack, []byte("net/http.(*"+s)) }; {
		case has("persistConn).readLoop"):
			r.connections++
		case has("persistConn).writeLoop"), has("conn).serve"), has("connReader).backgroundRead"):
		default:
			r.others++
		}
	}
	return r
}

func cuts(t *testing.T, c *Cut, want [][]string) {
	for n := 0; n < c.Size; n += max(c.Step, 1) {
		got := read(func() (pipeline.Source, error) { return c.Open(n) }, 1)
		good := got.rows
		if len(good) > len(want) {
			t.Fatalf("cut at %d: %d rows, the whole has %d", n, len(good), len(want))
		}
		rejected := false
		for i, r := range good {
			if refused(r) && (!refused(want[i]) || i == len(good)-1) {
				rejected = true
				good = good[:i]
				break
			}
		}
		if got.err == nil && !rejected && !c.Legal(n) && len(got.rows) < len(want) {
			t.Fatalf("cut at %d: %d of %d rows, and no error", n, len(got.rows), len(want))
		}
		// All rows but the last are those of the whole; the last may be cut where the format allows such an end.
		for i, r := range good {
			if !slices.Equal(r, want[i]) && (i < len(good)-1 || !c.Legal(n)) {
				t.Fatalf("cut at %d: row %d is %q, in the whole %q", n, i+1, r, want[i])
			}
		}
	}
}

func refused(r []string) bool { return len(r) > 0 && r[0] == "!" }

func closeSource(t *testing.T, src pipeline.Source) {
	t.Helper()
	if err := src.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// clip shortens a difference.
func clip(s string) string {
	if len(s) > 2000 {
		return s[:2000] + "…"
	}
	return s
}
