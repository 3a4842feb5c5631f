package mappconnect

import (
	"context"
	"testing"
	"time"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// NoWaits lets a connection pass over its waits, except those of calls that are repeated below the sink.
func NoWaits(c *Conn) {
	c.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
}

// TestLedger is a journal in memory, for tests of other packages.
type TestLedger struct{ *ledger }

// NewTestLedger returns an empty one.
func NewTestLedger(t *testing.T) TestLedger { return TestLedger{newLedger(t)} }

// Recall makes the ledger a pipeline.History of what it was told.
func (l TestLedger) Recall(row *record.Row) pipeline.Recall {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.done[row.Num]; ok {
		return pipeline.Retired
	}
	if l.inDoubt()[row.Num] {
		return pipeline.Unknown
	}
	return pipeline.Fresh
}
