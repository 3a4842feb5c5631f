package lunarsend

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// NoWaits lets a connection pass over its waits, except those of the rate and of repeated calls.
func NoWaits(c *Conn) {
	c.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
}

// TestLedger is a journal in memory, for tests of other packages.
type TestLedger struct{ counting }

// NewTestLedger returns an empty one.
func NewTestLedger(t *testing.T) TestLedger { return TestLedger{counting{newLedger(t)}} }

// InFlight is how many calls have no outcome.
func (l TestLedger) InFlight() int { return l.inFlight() }

// Recall makes the ledger a pipeline.History of what it was told.
func (l TestLedger) Recall(row *record.Row) pipeline.Recall {
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

// Fates is what became of rows so far.
func (l TestLedger) Fates() map[int64]record.Fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.done)
}
