// Package delivery makes the calls that change something at a vendor: it tells the ledger of each before it leaves and
// what became of it, finds out by lookups what happened to a record whose answer was lost, and tells a record that the
// vendor fails on from a vendor that is down. Every connector's sink is built on it; it knows no vendor.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// Actions of accepted rows, as success.csv spells them. A dry run puts "would " and a verb there instead.
const (
	Created  = "created"
	Updated  = "updated"
	Deleted  = "deleted"
	Replaced = "replaced"
	Sent     = "sent"
	Accepted = "accepted" // taken for processing; whether it is applied shows later, if at all
)

// Courier makes the calls of one import and keeps its ledger. A sink that has one in it lacks only Write to be a
// pipeline.Sink. The exported fields are set by NewCourier and not changed after it. Its methods are safe for many
// goroutines.
type Courier struct {
	Client *api.Client
	Ledger pipeline.Ledger
	Load   schema.Load
	Now    func() time.Time
	Sleep  func(context.Context, time.Duration) error
	// Observe, if set, sees the header of every good answer.
	Observe func(http.Header)

	began time.Time     // as Load.Started before our clock's error was taken off
	slack time.Duration // how much older than that a record of an earlier pass may look

	mu     sync.Mutex
	dated  bool  // the vendor's clock was seen
	broken error // a row was left in doubt: no further row is sent
	wrote  int64 // calls that the vendor took or refused: it does answer
	failed int   // records that it fails on just now
	noise  noise // of records that must not be made twice
	warned map[string]bool

	goneOnce sync.Once
}

// NewCourier returns a courier for an import. ledger may be nil for runs that keep no journal, such as plan; a dry run
// never gets one. sleep must end early when the user asks to stop.
func NewCourier(client *api.Client, load schema.Load, ledger pipeline.Ledger, now func() time.Time, sleep func(context.Context, time.Duration) error) *Courier {
	if ledger == nil || load.DryRun {
		ledger = noLedger{}
	}
	if load.Unsure == "" {
		load.Unsure = schema.Check
	}
	if load.Started.IsZero() {
		load.Started = now()
	}
	k := &Courier{Client: client, Ledger: ledger, Load: load, Now: now, Sleep: sleep, warned: map[string]bool{}, began: load.Started}
	var lag time.Duration
	k.slack, lag = slackOf(ledger)
	k.Load.Started = load.Started.Add(-lag)
	return k
}

// Floor is the time that a record made by a call since then can bear at the least, if the call may have been an earlier
// pass's. Between it and Clock.Earliest nothing can be told.
func (k *Courier) Floor(c *Clock, since time.Time) time.Time { return c.Earliest(since).Add(-k.slack) }

// date notes how far the vendor's clock is behind ours, by the first answer that tells. An error of the ledger stays
// and is returned by what it is told next.
func (k *Courier) date(h http.Header) {
	keeper, ok := k.Ledger.(LagKeeper)
	at, err := http.ParseTime(h.Get("Date"))
	if !ok || err != nil {
		return
	}
	k.mu.Lock()
	seen := k.dated
	k.dated = true
	k.mu.Unlock()
	if !seen {
		_ = keeper.KeepLag(k.Now().Sub(at))
	}
}

// noLedger serves runs that keep no journal.
type noLedger struct{}

func (noLedger) Sending(string, ...*record.Row) (int64, error)      { return 0, nil }
func (noLedger) SendingAgain(string, ...*record.Row) (int64, error) { return 0, nil }
func (noLedger) Undone(int64, string) error                         { return nil }
func (noLedger) Settled(int64, string, ...*record.Row) error        { return nil }

// Settle tells the ledger what became of rows: by the last call of r, or without a call if r is empty.
func (k *Courier) Settle(r Result, note string, rows ...*record.Row) error {
	return k.Ledger.Settled(r.last(), note, rows...)
}

// Warn says something about the run, each thing once.
func (k *Courier) Warn(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	k.mu.Lock()
	seen := k.warned[msg]
	k.warned[msg] = true
	k.mu.Unlock()
	if !seen && k.Load.Warn != nil {
		k.Load.Warn(msg)
	}
}

// Commit does nothing: every call stands by itself.
func (k *Courier) Commit(context.Context) error { return nil }

// Close does nothing: what was sent can't be taken back here.
func (k *Courier) Close() error { return nil }

// Verdict is how a call ended.
type Verdict uint8

// The verdicts.
const (
	Taken   Verdict = iota // the vendor says that it is done
	Refused                // the vendor refuses the record; nothing was changed
	Unknown                // it may have been done
)

// Result is what became of a call. Stopping the run is told by an error instead.
type Result struct {
	Verdict Verdict
	Status  int
	Header  http.Header
	Body    []byte
	Problem record.Problem // if refused
	Err     *api.Error     // if refused or unknown
	Since   time.Time      // when the first attempt that may count left

	calls []int64 // ids of attempts that left and are not known to have had no effect
}

func (r *Result) last() int64 {
	if len(r.calls) == 0 {
		return 0
	}
	return r.calls[len(r.calls)-1]
}

// Repeated reports whether an earlier attempt of the same call may have been applied.
func (r *Result) Repeated() bool { return len(r.calls) > 1 }

// Note is what the ledger keeps as evidence: the status and the beginning of the answer.
func (r *Result) Note() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.Status, Excerpt(r.Body)))
}

// Excerpt shows the beginning of an answer on one line.
func Excerpt(body []byte) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(body[:min(len(body), 400)]), "")), " ")
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return strings.ToValidUTF8(s, "")
}

// Call makes a call for rows; it sets the request's Sending and Undone. An error ends the run: the rows are then as they
// were, or known to the ledger. A request that is Idempotent has been repeated by the time its outcome is called
// unknown.
//
// Rows of which a call broke off are marked as late, whatever became of them.
func (k *Courier) Call(ctx context.Context, r *api.Request, rows ...*record.Row) (Result, error) {
	return k.call(ctx, r, k.Ledger.Sending, rows)
}

// CallAgain is Call for a request that whoever makes it repeats after any outcome: its intent need not be durable before it
// leaves. If the user wants rows in doubt left alone, it is, as a row that nobody knows to have been sent is in no doubt.
func (k *Courier) CallAgain(ctx context.Context, r *api.Request, rows ...*record.Row) (Result, error) {
	if k.Load.Unsure == schema.Hold {
		return k.call(ctx, r, k.Ledger.Sending, rows)
	}
	return k.call(ctx, r, k.Ledger.SendingAgain, rows)
}

func (k *Courier) call(ctx context.Context, r *api.Request, sending func(string, ...*record.Row) (int64, error), rows []*record.Row) (res Result, err error) {
	defer func() {
		if res.Repeated() || res.Verdict == Unknown {
			for _, row := range rows {
				row.Late = true
			}
		}
	}()
	if err := k.halted(); err != nil {
		return res, err
	}
	before := k.writes()
	r.Sending = func() error {
		id, err := sending(r.Op, rows...)
		if err != nil {
			return err
		}
		if len(res.calls) == 0 {
			res.Since = k.Now()
		}
		res.calls = append(res.calls, id)
		return nil
	}
	r.Undone = func(why string) error {
		if len(res.calls) == 0 {
			return nil
		}
		id := res.last()
		res.calls = res.calls[:len(res.calls)-1]
		return k.Ledger.Undone(id, why)
	}
	answer, err := k.Client.Do(ctx, r)
	if err == nil {
		k.date(answer.Header)
		if k.Observe != nil {
			k.Observe(answer.Header)
		}
		k.answered()
		res.Status, res.Header, res.Body = answer.Status, answer.Header, answer.Body
		return res, nil
	}
	var known *api.Error
	if !errors.As(err, &known) || ctx.Err() != nil {
		if len(res.calls) > 0 {
			k.Halt(err)
		}
		return res, err
	}
	res.Err, res.Status = known, known.Status
	switch known.Class {
	case api.Invalid, api.NotFound, api.Conflict:
		k.answered()
		res.Verdict, res.Problem = Refused, problemOf(known, k.Load.Header)
		return res, nil
	}
	// A call that may be repeated has been, time and again. If the vendor answered others meanwhile, it is this record
	// that it fails on, and the run need not end for it: whoever made the call looks what became of it.
	if known.Applied && (!r.Idempotent || known.Class == api.Protocol || k.writes() > before) {
		res.Verdict = Unknown
		return res, nil
	}
	if known.Applied {
		k.Halt(err)
		return res, err
	}
	return res, errors.Join(err, k.Undo(res, err.Error()))
}

// Undo tells the ledger that the calls of a result had no effect.
func (k *Courier) Undo(res Result, why string) error {
	var problems []error
	for _, id := range res.calls {
		problems = append(problems, k.Ledger.Undone(id, why))
	}
	return errors.Join(problems...)
}

func (k *Courier) answered() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wrote++
}

// writes counts the calls that the vendor has answered. Where it goes on answering others while one record fails time
// and again, it is the record and not the vendor.
func (k *Courier) writes() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wrote
}

// Halt keeps everything that follows from being sent, because a row was left in doubt by err: a twin of that row, sent
// now, could later not be told from it.
func (k *Courier) Halt(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken == nil {
		k.broken = err
	}
}

func (k *Courier) halted() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.broken
}

// problemOf says which of the row's fields a refusal is about: that of a record that is not there is its id; else the
// first field that the vendor's words name.
func problemOf(e *api.Error, h *record.Header) record.Problem {
	p := record.Problem{Field: named(e.Message, h), Rule: "vendor", Message: e.Message}
	if e.Class == api.NotFound {
		p.Rule = "not_found"
		if h != nil && h.Index("id") >= 0 {
			p.Field = "id"
		}
	}
	if p.Message == "" {
		p.Message = e.Error()
	} else if e.Status != 0 {
		p.Message = fmt.Sprintf("the vendor says: %s (%d)", p.Message, e.Status)
	}
	return p
}

// named returns the field of h whose name stands first in a text as a word of its own, "" if none does. A plural means
// the field too.
func named(text string, h *record.Header) string {
	if h == nil {
		return ""
	}
	words := strings.FieldsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '.'
	})
	for _, word := range words {
		word = strings.Trim(word, ".")
		for i := range h.Len() {
			if n := h.Name(i); strings.EqualFold(word, n) || strings.EqualFold(word, n+"s") {
				return n
			}
		}
	}
	return ""
}

// Reject gives rows the vendor's refusal as their fate and tells the ledger.
func (k *Courier) Reject(res Result, rows ...*record.Row) error {
	for _, row := range rows {
		row.Reject(res.Problem)
	}
	return k.Settle(res, fmt.Sprintf("%d refused: %s", res.Status, res.Problem.Message), rows...)
}

// Unsure gives rows up: they were sent, and their outcome can't be learned.
func (k *Courier) Unsure(res Result, why string, rows ...*record.Row) error {
	for _, row := range rows {
		row.Fate = record.Unsure
		row.Err = record.Problems{{Rule: "unsure", Message: why}}
	}
	return k.Settle(res, why, rows...)
}

// Gone ends the way of a row whose record was to be deleted and is not there: nothing is left to do. The user is told once,
// as a wrong id looks the same.
func (k *Courier) Gone(res Result, noun string, row *record.Row) error {
	k.goneOnce.Do(func() {
		k.Warn("row %d: there is no %s %s; rows whose %s is gone already count as unchanged", row.Num, noun, row.ID, noun)
	})
	row.Fate = record.Unchanged
	return k.Settle(res, "404: it is not there", row)
}

// Held ends the way of rows in doubt if the user wants such rows left alone.
func (k *Courier) Held(rows ...*record.Row) (bool, error) {
	if !Doubtful(rows) || k.Load.Unsure != schema.Hold {
		return false, nil
	}
	return true, k.Unsure(Result{}, "an earlier attempt sent it and its outcome is not known; it was left alone, as asked", rows...)
}

// Unfit rejects rows whose payload can't be made. A row in doubt was sent once, with a payload that could be made: the
// ledger is told.
func (k *Courier) Unfit(err error, rows ...*record.Row) error {
	doubt := Doubtful(rows)
	for _, row := range rows {
		for _, p := range record.ProblemsOf(err) {
			row.Reject(p)
		}
	}
	if doubt {
		return k.Settle(Result{}, "refused before it was sent again: "+err.Error(), rows...)
	}
	return nil
}

// Doubtful reports whether an earlier attempt may have sent one of the rows.
func Doubtful(rows []*record.Row) bool {
	return slices.ContainsFunc(rows, func(r *record.Row) bool { return r.Fate == record.Doubt })
}

// Accept gives rows the fate Accepted.
func Accept(rows []*record.Row, action, id string) {
	for _, row := range rows {
		row.Accept(action, id)
	}
}

// Refuse rejects rows for one reason.
func Refuse(rows []*record.Row, p record.Problem) {
	for _, row := range rows {
		row.Reject(p)
	}
}

// Whole returns the rows of one record that are to be sent. If one was refused, the others are no whole record any more
// and are refused too; if the fate of one is known already, that is an error.
func Whole(all []record.Row) ([]*record.Row, error) {
	var rows []*record.Row
	var bad *record.Row
	for i := range all {
		switch row := &all[i]; {
		case row.Fate.Open():
			rows = append(rows, row)
		case row.Fate != record.Skipped:
			bad = row
		}
	}
	if bad == nil || len(rows) == 0 {
		return rows, nil
	}
	if bad.Fate != record.Rejected {
		return nil, fmt.Errorf("row %d: it belongs to one record with row %d, which is %s already", rows[0].Num, bad.Num, bad.Fate)
	}
	Refuse(rows, record.Problem{Rule: "group", Message: fmt.Sprintf("row %d of the same record was refused, and a record is sent whole or not at all", bad.Num)})
	return nil, nil
}

// EachRow calls f with each open row of a batch.
func EachRow(b *record.Batch, f func(row *record.Row) error) error {
	for i := range b.Rows {
		row := &b.Rows[i]
		if !row.Fate.Open() {
			continue
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return nil
}

// EachRecord calls f with the open rows of each record of a batch: rows with one Group make one, others stand alone.
func EachRecord(b *record.Batch, f func(rows []*record.Row) error) error {
	alone := make([]*record.Row, len(b.Rows)) // one allocation for all rows that stand alone
	for i := 0; i < len(b.Rows); {
		if row := &b.Rows[i]; row.Group == 0 {
			if row.Fate.Open() {
				alone[i] = row
				if err := f(alone[i : i+1 : i+1]); err != nil {
					return err
				}
			}
			i++
			continue
		}
		n := 1
		for i+n < len(b.Rows) && b.Rows[i].Group != 0 && b.Rows[i+n].Group == b.Rows[i].Group {
			n++
		}
		rows, err := Whole(b.Rows[i : i+n])
		if err == nil && len(rows) > 0 {
			err = f(rows)
		}
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}

// Fits checks that a batch has the fields that a run was set up for.
func Fits(b *record.Batch, h *record.Header) error {
	if b.Header == h || slices.Equal(b.Header.Names(), h.Names()) {
		return nil
	}
	return fmt.Errorf("rows with the fields %s came to a run for %s", strings.Join(b.Header.Names(), ", "), strings.Join(h.Names(), ", "))
}

// IsNotFound reports whether a vendor said that there is no such record.
func IsNotFound(err error) bool {
	var known *api.Error
	return errors.As(err, &known) && known.Class == api.NotFound
}
