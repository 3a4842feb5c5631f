package mycrm

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// NoWaits lets a connection pass over its waits, except those of repeated calls.
func NoWaits(c *Conn) {
	c.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
}

// TestLedger is a journal in memory that holds its caller to the rules.
type TestLedger struct {
	t    *testing.T
	mu   sync.Mutex
	last int64
	open map[int64][]int64     // rows by call whose outcome is not known
	done map[int64]record.Fate // by row
	told []string              // notes of accepted rows
}

// NewTestLedger returns an empty one.
func NewTestLedger(t *testing.T) *TestLedger {
	return &TestLedger{t: t, open: map[int64][]int64{}, done: map[int64]record.Fate{}}
}

func (l *TestLedger) Sending(op string, rows ...*record.Row) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	for _, r := range rows {
		if !r.Fate.Open() && r.Fate != record.Accepted { // an accepted one is put right
			l.t.Errorf("%s: row %d is sent with fate %s", op, r.Num, r.Fate)
		}
		l.open[l.last] = append(l.open[l.last], r.Num)
	}
	return l.last, nil
}

func (l *TestLedger) Undone(call int64, why string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.open[call]; !ok {
		l.t.Errorf("call %d is undone but not open: %s", call, why)
	}
	delete(l.open, call)
	return nil
}

func (l *TestLedger) Settled(call int64, note string, rows ...*record.Row) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rows {
		if r.Fate.Open() {
			l.t.Errorf("row %d is settled with fate %s", r.Num, r.Fate)
		}
		l.done[r.Num] = r.Fate
		if r.Fate == record.Accepted {
			l.told = append(l.told, note)
		}
		for id, nums := range l.open { // a row whose fate is known is in doubt nowhere
			var left []int64
			for _, n := range nums {
				if n != r.Num {
					left = append(left, n)
				}
			}
			if l.open[id] = left; len(left) == 0 {
				delete(l.open, id)
			}
		}
	}
	return nil
}

// Noted counts accepted rows by their notes.
func (l *TestLedger) Noted(text string) (n int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, note := range l.told {
		if strings.Contains(note, text) {
			n++
		}
	}
	return n, nil
}

// InFlight is how many calls have no outcome.
func (l *TestLedger) InFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// Recall makes the ledger a pipeline.History of what it was told.
func (l *TestLedger) Recall(row *record.Row) pipeline.Recall {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.done[row.Num]; ok {
		return pipeline.Retired
	}
	for _, rows := range l.open {
		for _, n := range rows {
			if n == row.Num {
				return pipeline.Unknown
			}
		}
	}
	return pipeline.Fresh
}

// Table makes a batch of rows of texts; "-" is an absent cell, "~" a null one, and "a;b" a list where the field is one.
func Table(header string, lines ...string) *record.Batch {
	h := record.LooseHeader(strings.Split(header, "|"))
	b := &record.Batch{Header: h, Origin: h}
	o := leadsObject()
	for i, line := range lines {
		row := b.Add()
		row.Num = int64(i + 1)
		cells := strings.Split(line, "|")
		row.Values = b.Cells(len(cells))
		for j, c := range cells {
			switch {
			case c == "-":
			case c == "~":
				row.Values[j] = record.NullOf()
			default:
				row.Values[j] = record.TextOf(c)
				if f, ok := o.Field(h.Name(j)); ok && f.Type == "list" {
					row.Values[j] = record.ListOf(strings.Split(c, ";"))
				}
			}
		}
		row.Origin = row.Values
	}
	return b
}

// Fates are what became of rows, in one line each.
func Fates(b *record.Batch) []string {
	var out []string
	for i := range b.Rows {
		r := &b.Rows[i]
		s := r.Fate.String()
		if r.Action != "" {
			s += " " + r.Action
		}
		if r.ID != "" {
			s += " " + r.ID
		}
		for _, p := range record.ProblemsOf(r.Err) {
			s += fmt.Sprintf(" %s:%s", p.Field, p.Rule)
		}
		out = append(out, s)
	}
	return out
}
