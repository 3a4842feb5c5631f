package pipeline

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/crmetl/crmetl/record"
)

// everyThird refuses rows 3, 6, 9, …
type everyThird struct{}

func (everyThird) Apply(b *record.Batch) error {
	for i := range b.Rows {
		if b.Rows[i].Line%3 == 0 {
			b.Rows[i].Reject(record.Problem{Rule: "third"})
		}
	}
	return nil
}

// lines is a source of numbered rows, ten a chunk.
type lines struct{ next, last int64 }

func (s *lines) Header() *record.Header { return record.LooseHeader([]string{"n"}) }
func (s *lines) Close() error           { return nil }
func (s *lines) Next(_ context.Context, c *Chunk) error {
	if s.next >= s.last {
		return io.EOF
	}
	c.Line = s.next + 1
	s.next += 10
	return nil
}
func (s *lines) Decode(c *Chunk, b *record.Batch) error {
	b.Header, b.Origin = s.Header(), s.Header()
	for i := range int64(10) {
		b.Add().Line = c.Line + i
	}
	return nil
}

type accepting struct{ lines []int64 }

func (s *accepting) Write(_ context.Context, b *record.Batch) error {
	for i := range b.Rows {
		if b.Rows[i].Fate.Open() {
			s.lines = append(s.lines, b.Rows[i].Line)
			b.Rows[i].Accept("ok", "")
		}
	}
	return nil
}
func (s *accepting) Commit(context.Context) error { return nil }
func (s *accepting) Close() error                 { return nil }

// TestStopAt ends exactly at the row that is one too many, whatever has been read already.
func TestStopAt(t *testing.T) {
	for _, size := range []int{0, 1, 7} {
		sink := &accepting{}
		var told Counts
		counts, err := Run(t.Context(), &lines{last: 1000}, []Step{everyThird{}}, sink, Options{BatchSize: size, StopAt: 5, Retire: func(b *record.Batch) error {
			for i := range b.Rows {
				told.Add(b.Rows[i].Fate)
			}
			return nil
		}})
		want := Counts{Read: 15, Accepted: 10, Rejected: 5}
		if !errors.Is(err, ErrStopped) || counts != want || told != want || sink.lines[len(sink.lines)-1] != 14 {
			t.Errorf("batches of %d: %v, %+v, told %+v, last line %d", size, err, counts, told, sink.lines[len(sink.lines)-1])
		}
	}
}
