package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/crmetl/crmetl/record"
)

// errBroken is the fault of whatever a test breaks.
var errBroken = errors.New("broken on purpose")

// fakeSource makes rows 1 to rows, per of them in a chunk. Each row holds its own number and its key, so that every
// test can tell a cell that went astray.
type fakeSource struct {
	rows, per  int
	key        func(i int) string // nil: no key
	refuse     func(i int) bool   // rows that Decode rejects
	failNext   int                // Next fails instead of giving the chunk with this row
	failDecode int                // Decode fails at this row
	onNext     func(from int)     // called before a chunk is handed out

	header *record.Header
	at     int
	closed int
	mu     sync.Mutex
}

func (s *fakeSource) Header() *record.Header {
	if s.header == nil {
		s.header = record.LooseHeader([]string{"num", "key"})
	}
	return s.header
}

func (s *fakeSource) Next(ctx context.Context, c *Chunk) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.at >= s.rows {
		return io.EOF
	}
	from, to := s.at+1, min(s.at+s.per, s.rows)
	s.at = to
	if s.onNext != nil {
		s.onNext(from)
	}
	if s.failNext >= from && s.failNext <= to {
		return fmt.Errorf("row %d: %w", s.failNext, errBroken)
	}
	// The chunk's memory is used again and again, as a reader would.
	c.Data = append(strconv.AppendInt(append(strconv.AppendInt(c.Data[:0], int64(from), 10), '-'), int64(to), 10), '\n')
	c.Line, c.Cursor = int64(from), strconv.Itoa(to)
	return nil
}

func (s *fakeSource) Decode(c *Chunk, b *record.Batch) error {
	b.Header, b.Origin = s.header, s.header
	left, right, _ := bytes.Cut(bytes.TrimSpace(c.Data), []byte{'-'})
	from, _ := strconv.Atoi(string(left))
	to, _ := strconv.Atoi(string(right))
	for i := from; i <= to; i++ {
		if i == s.failDecode {
			return fmt.Errorf("row %d: %w", i, errBroken)
		}
		cells := b.Cells(2)
		cells[0] = record.NumberOf(strconv.Itoa(i))
		if s.key != nil {
			cells[1] = record.TextOf(s.key(i))
		}
		row := b.Add()
		row.Line, row.Values, row.Origin = int64(i), cells, cells
		if s.refuse != nil && s.refuse(i) {
			row.Reject(record.Problem{Field: "num", Rule: "test", Message: "is refused"})
		}
	}
	return nil
}

func (s *fakeSource) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}

// fakeSink accepts rows, after a while.
type fakeSink struct {
	delay   func(row int64) time.Duration // nil: none
	failAt  int64                         // Write fails when it comes to this row; the rows before it are accepted
	forget  int64                         // this row is given no fate
	onRow   func(row *record.Row)         // called for every open row
	blocked <-chan struct{}               // Write waits for it

	mu        sync.Mutex
	sizes     []int // open rows of each Write
	written   []int64
	active    int
	most      int // most Writes at the same time
	committed int
	closed    int
	late      bool // something was called after Close, or written after Commit
}

func (s *fakeSink) Write(ctx context.Context, b *record.Batch) error {
	s.mu.Lock()
	s.late = s.late || s.closed > 0 || s.committed > 0
	s.active++
	s.most = max(s.most, s.active)
	open := 0
	for i := range b.Rows {
		if b.Rows[i].Fate.Open() {
			open++
		}
	}
	s.sizes = append(s.sizes, open)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.active--
		s.mu.Unlock()
	}()
	if s.blocked != nil {
		select {
		case <-s.blocked:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for i := range b.Rows {
		row := &b.Rows[i]
		if !row.Fate.Open() {
			continue
		}
		if s.onRow != nil {
			s.onRow(row)
		}
		if s.delay != nil {
			select {
			case <-time.After(s.delay(row.Num)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if row.Num == s.failAt {
			return fmt.Errorf("row %d: %w", row.Num, errBroken)
		}
		if row.Num == s.forget {
			continue
		}
		s.mu.Lock()
		s.written = append(s.written, row.Num)
		s.mu.Unlock()
		row.Accept("created", "")
	}
	return nil
}

func (s *fakeSink) Commit(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = s.late || s.closed > 0
	s.committed++
	return nil
}

func (s *fakeSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}

// stepFunc is a step made of a function.
type stepFunc func(*record.Batch) error

func (f stepFunc) Apply(b *record.Batch) error { return f(b) }

// checkClosed tells whether both ends were closed exactly once, and the sink committed as it should be.
func checkClosed(t *testing.T, src *fakeSource, sink *fakeSink, commits int) {
	t.Helper()
	if src.closed != 1 || sink.closed != 1 {
		t.Errorf("the source was closed %d times and the sink %d times, want once each", src.closed, sink.closed)
	}
	if sink.committed != commits {
		t.Errorf("the sink was committed %d times, want %d", sink.committed, commits)
	}
	if sink.late {
		t.Error("the sink was used after its end")
	}
	if sink.active != 0 {
		t.Errorf("%d writes were still under way when Run returned", sink.active)
	}
}

// checkSum tells whether the counts add up.
func checkSum(t *testing.T, c Counts) {
	t.Helper()
	if c.Read != c.Accepted+c.Rejected+c.Unsure+c.Unchanged+c.Skipped {
		t.Errorf("the counts do not add up: %+v", c)
	}
}

// numOf is the number that a row's cells carry.
func numOf(row *record.Row) int64 {
	n, err := strconv.ParseInt(row.Values[0].Text(), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// retired collects what Retire was told.
type retired struct {
	nums  []int64
	fates map[int64]record.Fate
}

func (r *retired) take(b *record.Batch) error {
	if r.fates == nil {
		r.fates = map[int64]record.Fate{}
	}
	for i := range b.Rows {
		r.nums = append(r.nums, b.Rows[i].Num)
		r.fates[b.Rows[i].Num] = b.Rows[i].Fate
	}
	return nil
}
