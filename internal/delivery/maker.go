package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// Maker creates records, a call a row, where creating is not safe to repeat. Rows that can't be told apart at the vendor
// (twins) go one after the other, so that at most one of them is in doubt at a time, and are counted, so that a lookup
// which finds one of them does not take it for another row's. Its methods are safe for many goroutines.
type Maker struct {
	*Courier
	Clock *Clock
	Noun  string // what a record is called in messages: customer

	rows Locks

	mu      sync.Mutex
	prints  hashes          // of rows that were accepted
	ids     hashes          // of records that this process made
	perhaps map[uint64]twin // by print: rows that were left unsure; and, without a Counter, when rows were sent
	dates   bool            // there is no Counter
}

// NewMaker returns a maker of records that messages call by noun.
func NewMaker(k *Courier, clock *Clock, noun string) *Maker {
	_, counts := k.Ledger.(Counter)
	return &Maker{Courier: k, Clock: clock, Noun: noun, perhaps: map[uint64]twin{}, dates: !counts}
}

// twin is what is known of the rows with one print, besides how many of them were accepted.
type twin struct {
	n           int   // accepted; not kept here
	perhaps     int64 // left unsure
	first, last int64 // in seconds since 1970: when the first was sent, and the last accepted
}

// add notes that a row with the print was accepted.
func (m *Maker) add(print uint64, sent, done time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.prints.add(print)
	if !m.dates {
		return
	}
	x := m.perhaps[print]
	if sent.IsZero() {
		sent = done // found by a lookup
	}
	if x.first == 0 {
		x.first = sent.Unix()
	}
	x.last = done.Unix()
	m.perhaps[print] = x
}

// maybe notes that a row with the print was left unsure.
func (m *Maker) maybe(print uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x := m.perhaps[print]
	x.perhaps++
	m.perhaps[print] = x
}

func (m *Maker) of(print uint64) twin {
	m.mu.Lock()
	defer m.mu.Unlock()
	x := m.perhaps[print]
	x.n = m.prints.count(print)
	return x
}

func (m *Maker) isMine(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ids.count(xxh3.HashString(id)) > 0
}

// Made notes that a row has its record.
func (m *Maker) Made(row *record.Row, id string, print uint64, res Result) {
	row.Accept(Created, id)
	if id != "" {
		m.mu.Lock()
		m.ids.add(xxh3.HashString(id))
		m.mu.Unlock()
	}
	m.add(print, res.Since, m.Now())
}

// Creation is one row that becomes a new record.
type Creation struct {
	Row *record.Row
	// Print is the fingerprint of what the vendor can be expected to keep of the row: two rows with one print can't be
	// told apart there.
	Print uint64
	// Payload, if set, makes what Send sends. It is called once, before the first Send and after a row in doubt was looked
	// up: what can't be made any more may have been sent before. Its error refuses the row.
	Payload func() error
	// Send makes the call once.
	Send func() (Result, error)
	// ID reads the new record's id from the answer, "" if it holds none.
	ID func(Result) string
	// Look shows l every record of the vendor that may have come from the row (Look.See), and says in words where it
	// looked: "a search for …". It is called up to three times, try from 0, as what was just made may take a moment to
	// show.
	Look func(try int, l *Look) (where string, err error)
}

// Create sends a new record. One in doubt is looked up first.
func (m *Maker) Create(ctx context.Context, c Creation) error {
	release, err := m.rows.Take(ctx, c.Print)
	if err != nil {
		return err
	}
	defer release()
	if held, err := m.Held(c.Row); held || err != nil {
		return err
	}
	if c.Row.Fate == record.Doubt && m.Load.Unsure == schema.Check {
		found, err := m.find(ctx, c, m.began)
		if err != nil {
			return err
		}
		if done, err := m.conclude(Result{}, found, c.Row, c.Print); done || err != nil {
			return err
		}
	}
	return m.Post(ctx, c, func(res Result) (Finding, error) { return m.find(ctx, c, res.Since) })
}

// Post sends a new record, and asks find what became of a call whose outcome is unknown.
func (m *Maker) Post(ctx context.Context, c Creation, find func(Result) (Finding, error)) error {
	if c.Payload != nil {
		if err := c.Payload(); err != nil {
			return m.Unfit(err, c.Row)
		}
	}
	return m.Make(ctx, Once{
		Rows: []*record.Row{c.Row}, Mark: Mark(c.Print), Send: c.Send,
		Taken: func(res Result) { m.Made(c.Row, c.ID(res), c.Print, res) },
		Lost:  func() { m.maybe(c.Print) },
		Check: func(res Result) (bool, error) {
			found, err := find(res)
			if err != nil {
				return false, err
			}
			return m.conclude(res, found, c.Row, c.Print)
		},
	})
}

// conclude acts on what a lookup found. done is false if the row is to be sent (again).
func (m *Maker) conclude(res Result, f Finding, row *record.Row, print uint64) (done bool, err error) {
	switch f.Answer {
	case Present:
		m.Made(row, f.ID, print, res)
		return true, m.Settle(res, f.Note+" "+Mark(print), row)
	case Absent:
		return false, m.Undo(res, f.Note)
	}
	m.maybe(print)
	return true, m.Unsure(res, "it was sent and the answer was lost; "+f.Note, row)
}

// Counter is what a ledger may offer besides: how many rows of the whole run, earlier processes included, were accepted
// by calls whose note contains a text. Without it, a row that an earlier process left in doubt is only taken for
// delivered or not delivered if the vendor has no record like it; else it stays unsure, since what is there may have
// come from a row just like it that was accepted before.
type Counter interface {
	Noted(text string) (rows int64, err error)
}

// Mark is the part of a note that a Counter counts by.
func Mark(print uint64) string { return fmt.Sprintf("[like %016x]", print) }

// Answer is what a lookup says about a row.
type Answer uint8

// The answers.
const (
	Absent  Answer = iota // the vendor does not have it
	Present               // the vendor has it
	Unclear               // it can't be told
)

// Finding is the outcome of a lookup, with its evidence.
type Finding struct {
	Answer Answer
	ID     string
	Note   string
}

// LookupWaits are the pauses before the second and third look: what was just made may take a moment to show.
func LookupWaits() []time.Duration { return []time.Duration{time.Second, 2 * time.Second} }

// Patient looks until the row is found, or the last look has not found it.
func (k *Courier) Patient(ctx context.Context, look func(try int) (Finding, error)) (Finding, error) {
	waits := LookupWaits()
	for try := 0; ; try++ {
		f, err := look(try)
		if err == nil && f.Answer == Present || try == len(waits) {
			return f, err
		}
		var known *api.Error
		if err != nil && !(errors.As(err, &known) && known.Class == api.Protocol) {
			return f, err // the call has been repeated already
		}
		if err := k.Sleep(ctx, waits[try]); err != nil {
			return f, err
		}
	}
}

// window is what a lookup has to expect: from when on records count, and how many of those that look like the row are
// known to be others'.
type window struct {
	since   time.Time // see Clock.Earliest, which is asked after the vendor's answer has told its time
	others  int64
	perhaps int64
	blind   bool // others' records may be there that nobody has counted
}

func (m *Maker) expect(row *record.Row, print uint64, since time.Time) (window, error) {
	w := window{since: since}
	mine := m.of(print)
	w.others, w.perhaps = int64(mine.n), mine.perhaps
	if c, ok := m.Ledger.(Counter); ok {
		n, err := c.Noted(Mark(print))
		if err != nil {
			return w, err
		}
		if w.others = n; n > 0 {
			w.since = m.began
		}
		return w, nil
	}
	w.blind = row.Fate == record.Doubt
	if mine.n > 0 {
		if time.Unix(mine.last, 0).Add(2 * time.Minute).Before(m.Clock.Earliest(since)) {
			w.others = 0 // so long ago that they can't be taken for this one
		} else {
			w.since = time.Unix(mine.first, 0)
		}
	}
	return w, nil
}

// find looks for the record that a create may have made, sent at the time since.
func (m *Maker) find(ctx context.Context, c Creation, since time.Time) (Finding, error) {
	w, err := m.expect(c.Row, c.Print, since)
	if err != nil {
		return Finding{}, err
	}
	return m.Patient(ctx, func(try int) (Finding, error) {
		l := &Look{m: m, w: w, print: c.Print}
		where, err := c.Look(try, l)
		if err != nil {
			return Finding{Answer: Unclear}, err
		}
		return l.finding(where), nil
	})
}

// Likeness is how a record of the vendor compares with a row.
type Likeness uint8

// The degrees of likeness.
const (
	Different Likeness = iota
	Near               // all that was sent is there, but more than a blank field explains
	Same
)

// Look gathers the records of the vendor that may have come from a row.
type Look struct {
	m        *Maker
	w        window
	print    uint64
	hits     []hit
	doubtful []string // records like the row that something else may explain
}

type hit struct {
	id string
	at time.Time
}

// See shows a record: how like the row it is, its own print as if it were a row, and when it was created, if it says so.
func (l *Look) See(id string, like Likeness, print uint64, at time.Time, dated bool) {
	switch {
	case like == Different, dated && at.Before(l.m.Floor(l.m.Clock, l.w.since)):
		return
	case dated && like != Near && (l.m.Clock.Older(at, l.w.since) || at.Before(l.m.Clock.Earliest(l.w.since))):
		like = Near
	}
	if print != l.print {
		if l.m.of(print).n > 0 {
			return // it is that row's
		}
		if l.m.rows.Taken(print) {
			like = Near // that row is being sent right now
		}
	}
	if like == Near || !dated {
		l.doubtful = append(l.doubtful, strings.Clone(id))
		return
	}
	l.hits = append(l.hits, hit{strings.Clone(id), at})
}

// finding weighs what was seen.
func (l *Look) finding(where string) Finding {
	m, w := l.m, l.w
	slices.SortStableFunc(l.hits, func(a, b hit) int { return b.at.Compare(a.at) })
	var ids, fresh []string
	for _, h := range l.hits {
		ids = append(ids, h.id)
		if !m.isMine(h.id) {
			fresh = append(fresh, h.id)
		}
	}
	found := int64(len(l.hits))
	switch {
	case found == 0 && w.others == 0 && len(l.doubtful) == 0:
		return Finding{Answer: Absent, Note: where + " found no such " + m.Noun}
	case w.blind:
		return Finding{Answer: Unclear, Note: fmt.Sprintf("%s found %s, which may have come from an equal row that was sent before", where, m.List(append(ids, l.doubtful...)))}
	case found == w.others+w.perhaps+1 && len(fresh) > 0:
		f := Finding{Answer: Present, Note: fmt.Sprintf("%s found it: %s", where, fresh[0])}
		if len(l.hits) == 1 || len(l.hits) > 1 && !l.hits[0].at.Equal(l.hits[1].at) || len(fresh) == 1 {
			f.ID = fresh[0]
		}
		return f
	case found == w.others && len(l.doubtful) == 0:
		return Finding{Answer: Absent, Note: fmt.Sprintf("%s found the %d %ss of equal rows and no other", where, found, m.Noun)}
	}
	return Finding{Answer: Unclear, Note: fmt.Sprintf("%s found %s where %d were expected, or one more", where, m.List(append(ids, l.doubtful...)), w.others)}
}

// List names records in a message.
func (m *Maker) List(ids []string) string {
	switch len(ids) {
	case 0:
		return "no " + m.Noun
	case 1:
		return m.Noun + " " + ids[0]
	}
	if len(ids) > 10 {
		return fmt.Sprintf("%d %ss, among them %s", len(ids), m.Noun, strings.Join(ids[:10], ", "))
	}
	return m.Noun + "s " + strings.Join(ids, ", ")
}
