// Package deliverytest is what the tests of sinks share: a ledger in memory that holds its caller to the rules, rows
// written as lines of text, and what became of them as lines of text again.
package deliverytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// Ledger is a journal in memory: a pipeline.Ledger, and a pipeline.History of what it was told. A caller that breaks the
// rules of pipeline.Ledger fails the test: a row whose fate is known may not be sent, a call that is not open neither undone
// nor settled, and by a call only its own rows are settled, with a fate.
type Ledger struct {
	// Final forbids sending an accepted row once more, which a sink may do to put right what it has done.
	Final bool

	t      testing.TB
	mu     sync.Mutex
	last   int64
	open   map[int64][]int64     // rows that wait for their outcome, by call
	undone map[int64][]int64     // rows of calls that had no effect
	done   map[int64]record.Fate // by row
	told   []string              // notes of accepted rows, one a row
	log    []string
}

// NewLedger returns an empty ledger.
func NewLedger(t testing.TB) *Ledger {
	return &Ledger{t: t, open: map[int64][]int64{}, undone: map[int64][]int64{}, done: map[int64]record.Fate{}}
}

// Sending opens a call.
func (l *Ledger) Sending(op string, rows ...*record.Row) (int64, error) {
	return l.sending("send", op, rows)
}

// SendingAgain opens a call that may be made again.
func (l *Ledger) SendingAgain(op string, rows ...*record.Row) (int64, error) {
	return l.sending("send again", op, rows)
}

func (l *Ledger) sending(how, op string, rows []*record.Row) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	for _, r := range rows {
		if !r.Fate.Open() && (l.Final || r.Fate != record.Accepted) {
			l.t.Errorf("%s: row %d is sent with fate %s", op, r.Num, r.Fate)
		}
		l.open[l.last] = append(l.open[l.last], r.Num)
	}
	l.log = append(l.log, fmt.Sprintf("%s %d rows %s", how, l.last, nums(rows)))
	return l.last, nil
}

// Undone closes a call as if it had not been made.
func (l *Ledger) Undone(call int64, why string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows, ok := l.open[call]
	if !ok {
		l.t.Errorf("call %d is undone but not open: %s", call, why)
	}
	l.undone[call] = rows
	delete(l.open, call)
	l.log = append(l.log, fmt.Sprintf("undone %d", call))
	return nil
}

// Settled closes a call when all its rows are settled; those that are not named stay in doubt. By a call that is undone
// a row may still be refused: it was given up.
func (l *Ledger) Settled(call int64, note string, rows ...*record.Row) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	left, open := l.open[call]
	of := left
	if !open {
		of = l.undone[call]
	}
	for _, r := range rows {
		if r.Fate.Open() {
			l.t.Errorf("row %d is settled with fate %s", r.Num, r.Fate)
		}
		switch {
		case call == 0:
		case !slices.Contains(of, r.Num):
			l.t.Errorf("row %d is settled by call %d, which is not open or not for it: %s", r.Num, call, note)
		case !open && r.Fate != record.Rejected:
			l.t.Errorf("row %d is %s by call %d, which had no effect: %s", r.Num, r.Fate, call, note)
		}
		left = slices.DeleteFunc(left, func(n int64) bool { return n == r.Num })
		l.done[r.Num] = r.Fate
		if r.Fate == record.Accepted {
			l.told = append(l.told, note)
		}
		l.log = append(l.log, fmt.Sprintf("settled %d row %d %s", call, r.Num, r.Fate))
	}
	if l.open[call] = left; len(left) == 0 {
		delete(l.open, call)
	}
	return nil
}

func nums(rows []*record.Row) string {
	var list []string
	for _, r := range rows {
		list = append(list, fmt.Sprint(r.Num))
	}
	return strings.Join(list, ",")
}

// Noted counts the accepted rows whose notes hold a text.
func (l *Ledger) Noted(text string) (rows int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, note := range l.told {
		if strings.Contains(note, text) {
			rows++
		}
	}
	return rows, nil
}

// Forgetful hides that a ledger can count its notes, as not every ledger can.
func Forgetful(l *Ledger) pipeline.Ledger { return struct{ pipeline.Ledger }{l} }

// Recall knows rows that were settled, and those that were sent and are in doubt.
func (l *Ledger) Recall(row *record.Row) pipeline.Recall {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.done[row.Num]; ok {
		return pipeline.Retired
	}
	for _, rows := range l.open {
		if slices.Contains(rows, row.Num) {
			return pipeline.Unknown
		}
	}
	return pipeline.Fresh
}

// InFlight is how many calls have no outcome. A call whose rows were all settled by other calls is one of them.
func (l *Ledger) InFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// InDoubt are the rows that were sent and never settled, in order.
func (l *Ledger) InDoubt() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows := map[int64]bool{}
	for _, list := range l.open {
		for _, n := range list {
			if _, ok := l.done[n]; !ok {
				rows[n] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(rows))
}

// Fates is what the ledger was told of rows, by their numbers.
func (l *Ledger) Fates() map[int64]record.Fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.done)
}

// Log is all that the ledger was told, in order: "send 1 rows 7,8", "undone 1", "settled 2 row 7 accepted".
func (l *Ledger) Log() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.log)
}

// Table makes a batch of rows. The names of the header and the cells of a line are parted by "|"; "-" is an absent cell,
// "~" a null one, what begins with "{" a JSON object, and the rest is text. Rows are numbered from 1.
func Table(header string, lines ...string) *record.Batch {
	h := record.LooseHeader(strings.Split(header, "|"))
	b := &record.Batch{Header: h, Origin: h}
	for i, line := range lines {
		row := b.Add()
		row.Num, row.Line = int64(i+1), int64(i+2)
		cells := strings.Split(line, "|")
		row.Values = b.Cells(len(cells))
		for j, c := range cells {
			switch {
			case c == "-":
			case c == "~":
				row.Values[j] = record.NullOf()
			case strings.HasPrefix(c, "{"):
				row.Values[j] = record.Of(record.JSON, c)
			default:
				row.Values[j] = record.TextOf(c)
			}
		}
		row.Origin = row.Values
	}
	return b
}

// Fates are what became of the rows of a batch, a line each: the fate, the action, the id, and the field and the rule of
// each problem, as in "accepted created 17" and "rejected email:required".
func Fates(b *record.Batch) []string {
	var out []string
	for i := range b.Rows {
		r := &b.Rows[i]
		s := r.Fate.String()
		for _, word := range []string{r.Action, r.ID} {
			if word != "" {
				s += " " + word
			}
		}
		for _, p := range record.ProblemsOf(r.Err) {
			s += " " + p.Field + ":" + p.Rule
		}
		out = append(out, s)
	}
	return out
}

// Source serves the rows of a batch, each as a chunk of its own. The batch stays as it is.
func Source(b *record.Batch) pipeline.Source { return &source{all: b} }

type source struct {
	all  *record.Batch
	next int
}

func (s *source) Header() *record.Header { return s.all.Header }

func (s *source) Next(ctx context.Context, c *pipeline.Chunk) error {
	*c = pipeline.Chunk{Data: c.Data[:0]}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.next == len(s.all.Rows) {
		return io.EOF
	}
	c.Line, c.Extra = s.all.Rows[s.next].Line, s.next
	s.next++
	return nil
}

func (s *source) Decode(c *pipeline.Chunk, b *record.Batch) error {
	at, ok := c.Extra.(int)
	if !ok {
		return errors.New("a chunk of another source")
	}
	b.Header, b.Origin = s.all.Header, s.all.Header
	values := s.all.Rows[at].Values
	row := b.Add()
	row.Line, row.Values = c.Line, b.Cells(len(values))
	copy(row.Values, values)
	row.Origin = row.Values
	return nil
}

func (s *source) Close() error { return nil }

// Rows reads a source to its end. With an error come the rows before it.
func Rows(ctx context.Context, src pipeline.Source) (rows []record.Row, err error) {
	chunk := &pipeline.Chunk{}
	for {
		b := &record.Batch{}
		if err := src.Next(ctx, chunk); errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return rows, err
		}
		if err := src.Decode(chunk, b); err != nil {
			return rows, err
		}
		rows = append(rows, b.Rows...)
	}
}

// Request takes a request apart that is written as its first line, "POST /customers", and its body: what must be the same
// in two requests that say the same, the body as a JSON value.
func Request(t testing.TB, text string) []any {
	t.Helper()
	first, body, _ := strings.Cut(strings.TrimSpace(text), "\n")
	out := []any{first}
	if strings.TrimSpace(body) != "" {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		out = append(out, v)
	}
	return out
}
