package journal

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// Pass is one process's work on a run.
type Pass struct {
	Began  time.Time `json:"began"`
	PID    int       `json:"pid"`
	Host   string    `json:"host,omitempty"`
	Status string    `json:"-"` // what Finish was told; "" if the process died, or is still at it
	Ended  time.Time `json:"-"`
}

// state is what a journal's entries add up to. Rows that are retired cost a bit, if that; only rows between their
// first call and the next checkpoint have an entry of their own.
type state struct {
	spec   Spec
	passes []Pass

	call   int64 // the last call's number
	calls  map[int64]*callState
	rows   map[int64]*rowState
	final  *roaring64.Bitmap // retired, and never looked at again
	unsure *roaring64.Bitmap // retired as Unsure: counted and reported, to be tried again
	late   *roaring64.Bitmap // a call for them had no outcome when its pass ended, or when another call settled them
	counts pipeline.Counts
	note   []byte

	lag    time.Duration // how far the vendor's clock was behind ours when the run began
	lagged bool          // that is known
}

type callState struct {
	rows []span
	live int // rows that wait for the outcome of this call
}

type rowState struct {
	open []int64 // calls whose effect is not known
	// What the last Settled said; Pending before that.
	fate     record.Fate
	action   string
	id       string
	problems record.Problems
	hasErr   bool
}

func newState() *state {
	return &state{calls: map[int64]*callState{}, rows: map[int64]*rowState{}, final: roaring64.New(), unsure: roaring64.New(), late: roaring64.New()}
}

// load reads a journal's first size bytes.
func load(path string, f io.ReaderAt, size int64) (s *state, d *decoder, seed uint32, end int64, err error) {
	s, d = newState(), &decoder{}
	first := true
	seed, end, err = scan(path, f, size, func(payload []byte) error {
		e, err := d.decode(payload)
		if err != nil {
			return err
		}
		if first != (e.kind == kindSpec) {
			return errEntry
		}
		first = false
		return s.apply(e)
	})
	if err == nil && first {
		err = fmt.Errorf("%s ends before its first entry: no row was sent, start a new run", path)
	}
	s.final.RunOptimize()
	s.unsure.RunOptimize()
	return s, d, seed, end, err
}

func (s *state) apply(e *entry) error {
	switch e.kind {
	case kindSpec:
		if err := json.Unmarshal(e.data, &s.spec); err != nil {
			return fmt.Errorf("%w: %w", errEntry, err)
		}
	case kindPass:
		var p Pass
		if err := json.Unmarshal(e.data, &p); err != nil {
			return fmt.Errorf("%w: %w", errEntry, err)
		}
		s.passes = append(s.passes, p)
		for n, row := range s.rows {
			s.mayBeLate(n, row, 0)
		}
	case kindFinish:
		if n := len(s.passes); n > 0 {
			s.passes[n-1].Status, s.passes[n-1].Ended = e.text, time.UnixMilli(e.at).UTC()
		}
	case kindLag:
		seconds, err := strconv.ParseInt(e.text, 10, 64)
		if err != nil || max(seconds, -seconds) > maxLag {
			return errEntry
		}
		s.lag, s.lagged = time.Duration(seconds)*time.Second, true
	case kindSending:
		s.sending(e)
	case kindUndone:
		s.undone(e.call)
	case kindSettled:
		for i := range e.outcomes {
			s.settled(&e.outcomes[i], e.call)
		}
	case kindCheckpoint:
		s.checkpoint(e)
	}
	return nil
}

func (s *state) sending(e *entry) {
	s.call = max(s.call, e.call)
	c := &callState{rows: slices.Clone(e.rows)}
	for _, sp := range e.rows {
		for n := sp.first; n <= sp.last; n++ {
			row := s.rows[n]
			if row == nil {
				row = &rowState{}
				s.rows[n] = row
			}
			// A row that is sent again after its fate was known is in doubt until that call's outcome is known; if it
			// has none, what was known stays true.
			row.open = append(row.open, e.call)
			c.live++
		}
	}
	if c.live > 0 {
		s.calls[e.call] = c
	}
}

func (s *state) undone(call int64) {
	c := s.calls[call]
	if c == nil {
		return
	}
	for _, sp := range c.rows {
		for n := sp.first; n <= sp.last; n++ {
			row := s.rows[n]
			if row == nil {
				continue
			}
			row.open = slices.DeleteFunc(row.open, func(id int64) bool { return id == call })
			if len(row.open) == 0 && row.fate == record.Pending {
				delete(s.rows, n)
			}
		}
	}
	delete(s.calls, call)
}

func (s *state) settled(o *outcome, call int64) {
	for n := o.first; n <= o.last; n++ {
		row := s.rows[n]
		if row == nil {
			row = &rowState{}
			s.rows[n] = row
		}
		s.mayBeLate(n, row, call)
		s.letGo(row)
		*row = rowState{fate: o.fate, action: o.action, problems: o.problems, hasErr: o.hasErr}
		if o.ids != nil {
			row.id = o.ids[n-o.first]
		}
	}
}

// mayBeLate notes a row of which another call than this one has no outcome: it may still be on its way.
func (s *state) mayBeLate(n int64, row *rowState, call int64) {
	if slices.ContainsFunc(row.open, func(id int64) bool { return id != call }) {
		s.late.Add(uint64(n))
	}
}

// letGo takes a row out of the calls that it waited for.
func (s *state) letGo(row *rowState) {
	for _, id := range row.open {
		if c := s.calls[id]; c != nil {
			if c.live--; c.live == 0 {
				delete(s.calls, id)
			}
		}
	}
	row.open = nil
}

func (s *state) checkpoint(e *entry) {
	for _, sp := range e.final {
		s.forget(sp)
		s.final.AddRange(uint64(sp.first), uint64(sp.last)+1)
		if !s.unsure.IsEmpty() {
			s.unsure.RemoveRange(uint64(sp.first), uint64(sp.last)+1)
		}
	}
	for _, sp := range e.unsure {
		s.forget(sp)
		s.unsure.AddRange(uint64(sp.first), uint64(sp.last)+1)
	}
	s.counts = e.counts
	s.note = append(s.note[:0], e.data...)
}

// forget drops what is known of rows that are retired.
func (s *state) forget(sp span) {
	drop := func(n int64) {
		if row := s.rows[n]; row != nil {
			s.mayBeLate(n, row, 0)
			s.letGo(row)
			delete(s.rows, n)
		}
	}
	if sp.last-sp.first < int64(len(s.rows)) {
		for n := sp.first; n <= sp.last; n++ {
			drop(n)
		}
		return
	}
	for n := range s.rows {
		if sp.first <= n && n <= sp.last {
			drop(n)
		}
	}
}

// recall is History's question.
func (s *state) recall(row *record.Row) pipeline.Recall {
	row.Late = s.late.Contains(uint64(row.Num))
	if s.final.Contains(uint64(row.Num)) {
		return pipeline.Retired
	}
	known := s.rows[row.Num]
	if known == nil {
		if s.unsure.Contains(uint64(row.Num)) {
			return pipeline.Unknown
		}
		return pipeline.Fresh
	}
	if len(known.open) > 0 || known.fate == record.Pending || known.fate == record.Unsure {
		return pipeline.Unknown
	}
	row.Fate, row.Action, row.ID, row.Err = known.fate, known.action, known.id, nil
	if known.hasErr {
		row.Err = known.problems
	}
	return pipeline.Settled
}
