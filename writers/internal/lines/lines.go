// Package lines is what text formats share: rows that are rendered one by one, on any worker, and put out in order.
package lines

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/crmetl/crmetl/record"
)

// Sink writes one piece of text a row.
type Sink struct {
	Out io.Writer
	// Render returns what renders the rows of a batch. It is called from many goroutines at once.
	Render func(*record.Batch) (Append, error)
	// Start is called before the first row, and at the latest at Commit, then with a nil batch. It writes what
	// stands above the rows.
	Start   func(*record.Batch) error
	started bool
}

// Append renders one row at the end of dst and keeps nothing of it.
type Append func(dst []byte, row *record.Row) ([]byte, error)

// prefix is how many bytes of Batch.Out hold the number of rendered rows. Rows may leave a batch after Apply (a limit,
// a resume, a refusal), never join it: as long as the number of open rows is the same, the text is that of the batch.
const prefix = 8

// Apply renders the open rows of the batch into Batch.Out.
func (s *Sink) Apply(b *record.Batch) error {
	render, err := s.Render(b)
	if err != nil {
		return err
	}
	out := append(b.Out[:0], make([]byte, prefix)...)
	var n uint64
	for i := range b.Rows {
		row := &b.Rows[i]
		if !row.Fate.Open() {
			continue
		}
		if out, err = render(out, row); err != nil {
			return where(row, err)
		}
		if row.Fate.Open() {
			n++
		}
	}
	binary.LittleEndian.PutUint64(out, n)
	b.Out = out
	return nil
}

// where adds the row to an error.
func where(row *record.Row, err error) error {
	switch {
	case row.Num > 0:
		return fmt.Errorf("row %d: %w", row.Num, err)
	case row.Line > 0:
		return fmt.Errorf("line %d: %w", row.Line, err)
	}
	return err
}

// Write puts out the open rows of the batch and accepts them.
func (s *Sink) Write(ctx context.Context, b *record.Batch) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := s.start(b); err != nil {
		return err
	}
	var open uint64
	for i := range b.Rows {
		if b.Rows[i].Fate.Open() {
			open++
		}
	}
	if len(b.Out) < prefix || binary.LittleEndian.Uint64(b.Out) != open {
		if err := s.Apply(b); err != nil {
			return err
		}
	}
	if _, err := s.Out.Write(b.Out[prefix:]); err != nil {
		return err
	}
	for i := range b.Rows {
		if b.Rows[i].Fate.Open() {
			b.Rows[i].Accept("written", "")
		}
	}
	return nil
}

func (s *Sink) start(b *record.Batch) error {
	if s.started || s.Start == nil {
		return nil
	}
	s.started = true
	return s.Start(b)
}

// Commit writes what is missing of a file without rows. Making it durable is up to the owner of Out.
func (s *Sink) Commit(context.Context) error { return s.start(nil) }

// Close does nothing: Out belongs to whoever gave it.
func (s *Sink) Close() error { return nil }
