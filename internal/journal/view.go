package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// View is a journal as it stood when it was read.
type View struct {
	path  string
	size  int64
	state *state
}

// Read reads a journal without changing or locking it; another process may be writing it. The error is ErrAbsent or a
// *Damaged, if it is one of these.
func Read(dir string) (*View, error) {
	path := filepath.Join(dir, FileName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrAbsent)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s, _, _, end, err := load(path, f, info.Size())
	if err != nil {
		return nil, err
	}
	return &View{path: path, size: end, state: s}, nil
}

// Spec returns what the run is.
func (v *View) Spec() Spec { return v.state.spec }

// Passes returns the passes of the run, the first one first.
func (v *View) Passes() []Pass { return slices.Clone(v.state.passes) }

// Status returns what the last pass ended with, "" if it did not come to an end.
func (v *View) Status() string {
	if n := len(v.state.passes); n > 0 {
		return v.state.passes[n-1].Status
	}
	return ""
}

// Counts returns the counts of the last checkpoint.
func (v *View) Counts() pipeline.Counts { return v.state.counts }

// Recall tells what the journal knows of a row, as History does.
func (v *View) Recall(row *record.Row) pipeline.Recall { return v.state.recall(row) }

// Call is one call that a row took part in, or a fate that it got without a call.
type Call struct {
	ID      int64     // 0 for a fate without a call
	Attempt int       // 1 for the row's first call
	Op      string    // what was called: "POST /customers"
	Rows    int64     // how many rows the call carried
	Sent    time.Time // zero for a fate without a call
	Ended   time.Time // zero if the outcome was never learned
	Outcome Outcome
	Note    string // the evidence: status, why it had no effect, what a lookup found

	// What became of the row, if the outcome is CallSettled.
	Fate     record.Fate
	Action   string
	VendorID string
	Problems record.Problems
}

// Outcome is how a call ended, as far as one row is concerned.
type Outcome string

// The outcomes.
const (
	CallOpen    Outcome = "open"      // nothing is known
	CallUndone  Outcome = "no effect" // it is known to have changed nothing
	CallSettled Outcome = "settled"   // the row's fate is known
)

// Calls returns everything that happened to a row, in order. It reads the journal once more.
func (v *View) Calls(row int64) ([]Call, error) {
	f, err := os.Open(v.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var calls []Call
	var d decoder
	attempt := 0
	_, _, err = scan(v.path, f, v.size, func(payload []byte) error {
		e, err := d.decode(payload)
		if err != nil {
			return err
		}
		at := time.UnixMilli(e.at).UTC()
		// The row's own calls are few and the latest is meant most often.
		mine := len(calls) - 1
		for mine >= 0 && (calls[mine].ID != e.call || e.call == 0) {
			mine--
		}
		switch e.kind {
		case kindSending:
			var n int64
			var in bool
			for _, sp := range e.rows {
				n += sp.last - sp.first + 1
				in = in || sp.first <= row && row <= sp.last
			}
			if in {
				attempt++
				calls = append(calls, Call{ID: e.call, Attempt: attempt, Op: e.text, Rows: n, Sent: at, Outcome: CallOpen})
			}
		case kindUndone:
			if mine >= 0 {
				calls[mine].Ended, calls[mine].Outcome, calls[mine].Note = at, CallUndone, e.text
			}
		case kindSettled:
			for i := range e.outcomes {
				o := &e.outcomes[i]
				if row < o.first || row > o.last {
					continue
				}
				if mine < 0 {
					calls = append(calls, Call{ID: e.call, Rows: 1})
					mine = len(calls) - 1
				}
				c := &calls[mine]
				c.Ended, c.Outcome, c.Note, c.Fate, c.Action, c.Problems = at, CallSettled, e.text, o.fate, o.action, o.problems
				if o.ids != nil {
					c.VendorID = o.ids[row-o.first]
				}
			}
		}
		return nil
	})
	return calls, err
}
