// Package pipeline moves rows from a Source through Steps into a Sink: in order, in batches, in bounded memory, with
// every row accounted for. It knows no file, no vendor and no mapping.
package pipeline

import (
	"context"
	"errors"

	"github.com/crmetl/crmetl/record"
)

// Chunk is a piece of a source, cut at a record boundary: what one Next hands to one Decode.
type Chunk struct {
	Data   []byte // the records as they stand in the source; reused by the next Next into this chunk
	Line   int64  // line, sheet row or element where the chunk begins, 1-based; 0 if unknown
	Cursor string // where the source could go on after this chunk
	Extra  any    // what else Decode needs; Next owns it and may use it again, Decode only reads it
}

// Source is where rows come from: a file, or a vendor's list.
//
// The engine makes one call of Next at a time, until it returns io.EOF or another error, and many of Decode at once.
// A source that ends before its data does must return an error other than io.EOF: a short read is never silent.
type Source interface {
	// Header names the columns; it is known before the first Next.
	Header() *record.Header
	// Next fills c with the next piece. It does the I/O and finds the boundary, nothing else. io.EOF, with c left
	// empty, is the only good end.
	Next(ctx context.Context, c *Chunk) error
	// Decode turns a chunk into rows. It is pure: it touches nothing but its arguments. It sets b.Header and
	// b.Origin to the source's header and, in each row, Line, Values and Origin (which may be the same slice). The
	// batch comes empty, with memory of its own to use (Add, Cells); texts must not share memory with c.Data. A
	// row that cannot be trusted is rejected (Row.Reject); an error means that nothing after this point can be.
	Decode(c *Chunk, b *record.Batch) error
	// Close frees what the source holds. The engine calls it exactly once.
	Close() error
}

// Step changes or refuses the rows of a batch. It does no I/O, keeps no row and no cell, and is called from many
// goroutines at once. It passes over rows that are no longer pending.
type Step interface {
	Apply(*record.Batch) error
}

// Sink is where rows go: a file, or a vendor.
type Sink interface {
	// Write delivers the open rows of a batch (Fate.Open) and gives each its fate. Rows in Doubt were perhaps
	// written by an earlier run: the sink finds out before it writes again. It is called from as many goroutines
	// as Options.Writers says; with one, in file order. Batch, rows and cells are used again for other rows: nothing
	// of them is kept after it returns, but for texts. An error stops the run: rows that have no fate by then have
	// not been sent, or are known to the ledger.
	Write(context.Context, *record.Batch) error
	// Commit makes the whole durable and visible. It is called at most once, after the last Write, and only if
	// every row has arrived.
	Commit(context.Context) error
	// Close frees what the sink holds and, without Commit before it, takes back what can be taken back. The
	// engine calls it exactly once.
	Close() error
}

// Ledger is what a sink tells before and after each call that changes something at a vendor, so that a run which
// dies in between knows what it did. The methods are safe for many goroutines.
type Ledger interface {
	// Sending is called when the call is about to leave, after any waiting for the vendor's rate. When it returns,
	// the intent is durable. op says what is called, as in "POST /customers".
	Sending(op string, rows ...*record.Row) (call int64, err error)
	// SendingAgain is Sending for a call that may be made again whatever became of it. When it returns, the intent
	// outlives the process; it is durable soon after.
	SendingAgain(op string, rows ...*record.Row) (call int64, err error)
	// Undone says that the call is known to have had no effect (refused connection, 429), so that its rows are as
	// if it had not been made.
	Undone(call int64, why string) error
	// Settled says what became of the rows of a call: their Fate, Action, ID and Err. Rows of the call that are
	// not named stay in doubt. It also takes rows that were settled without a call (call 0), such as a lookup
	// that found the row at the vendor. note is kept as evidence: the status, what a lookup found.
	Settled(call int64, note string, rows ...*record.Row) error
}

// History knows what earlier attempts of the same run did.
type History interface {
	// Recall tells what is known of a row. For one that is settled it also sets Fate, Action, ID and Err; for each, whether
	// it is Late: a call of an earlier attempt may still be on its way, whatever is known of the row by now.
	Recall(row *record.Row) Recall
}

// Recall is what a History knows of a row.
type Recall uint8

// What a History can know.
const (
	Fresh   Recall = iota // nothing, or nothing that had an effect: process the row
	Retired               // it was counted and reported already: pass over it
	Settled               // its fate is known but not reported yet: report it
	Unknown               // it was sent and the outcome is not known: process it with Fate Doubt
)

// ErrStopped is the error of a run that was asked to stop before its end.
var ErrStopped = errors.New("stopped before the end")

// Counts adds up rows by their fate.
type Counts struct {
	Read      int64 `json:"read"`
	Accepted  int64 `json:"accepted"`
	Rejected  int64 `json:"rejected"`
	Unsure    int64 `json:"unsure"`
	Unchanged int64 `json:"unchanged"`
	Skipped   int64 `json:"skipped"`
}

// Add counts one row by its fate; a row without a final fate is not counted.
func (c *Counts) Add(f record.Fate) {
	switch f {
	case record.Accepted:
		c.Accepted++
	case record.Rejected:
		c.Rejected++
	case record.Unsure:
		c.Unsure++
	case record.Unchanged:
		c.Unchanged++
	case record.Skipped:
		c.Skipped++
	default:
		return
	}
	c.Read++
}
