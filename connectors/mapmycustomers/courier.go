package mapmycustomers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// courier makes the calls that change something, and keeps the ledger.
type courier struct {
	conn   *Conn
	ledger pipeline.Ledger
	load   schema.Load

	mu     sync.Mutex
	broken error // a row was left in doubt: no further row is sent
	wrote  int64 // calls that the vendor took or refused: it does answer
	failed int   // records that it fails on just now
	warned map[string]bool
}

func newCourier(c *Conn, load schema.Load, ledger pipeline.Ledger) *courier {
	if ledger == nil || load.DryRun {
		ledger = noLedger{}
	}
	if load.Unsure == "" {
		load.Unsure = schema.Check
	}
	if load.Started.IsZero() {
		load.Started = c.now()
	}
	return &courier{conn: c, ledger: ledger, load: load, warned: map[string]bool{}}
}

// noLedger serves runs that keep no journal, such as plan.
type noLedger struct{}

func (noLedger) Sending(string, ...*record.Row) (int64, error) { return 0, nil }
func (noLedger) Undone(int64, string) error                    { return nil }
func (noLedger) Settled(int64, string, ...*record.Row) error   { return nil }
func (k *courier) settle(r result, note string, rows ...*record.Row) error {
	return k.ledger.Settled(r.last(), note, rows...)
}

// warn says something about the run, each thing once.
func (k *courier) warn(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	k.mu.Lock()
	seen := k.warned[msg]
	k.warned[msg] = true
	k.mu.Unlock()
	if !seen && k.load.Warn != nil {
		k.load.Warn(msg)
	}
}

// verdict is how a call ended.
type verdict uint8

const (
	taken   verdict = iota // the vendor says that it is done
	refused                // the vendor refuses the record; nothing was changed
	unknown                // it may have been done
)

// result is what became of a call. Stopping the run is told by an error instead.
type result struct {
	verdict verdict
	status  int
	header  http.Header
	body    []byte
	problem record.Problem // if refused
	err     *api.Error     // if refused or unknown
	calls   []int64        // ids of attempts that left and are not known to have had no effect
	since   time.Time      // when the first of them left
}

func (r *result) last() int64 {
	if len(r.calls) == 0 {
		return 0
	}
	return r.calls[len(r.calls)-1]
}

// repeated reports whether an earlier attempt of the same call may have been applied.
func (r *result) repeated() bool { return len(r.calls) > 1 }

// note is what the ledger keeps as evidence.
func (r *result) note() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.status, excerpt(r.body)))
}

// call makes a call for rows. An error ends the run: the rows are then as they were, or known to the ledger.
func (k *courier) call(ctx context.Context, method, path string, body []byte, idempotent bool, rows ...*record.Row) (result, error) {
	var res result
	if err := k.halted(); err != nil {
		return res, err
	}
	before := k.writes()
	r := k.conn.request(method, path, body)
	r.Idempotent = idempotent
	r.Sending = func() error {
		id, err := k.ledger.Sending(r.Op, rows...)
		if err != nil {
			return err
		}
		if len(res.calls) == 0 {
			res.since = k.conn.now()
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
		return k.ledger.Undone(id, why)
	}
	answer, err := k.conn.api.Do(ctx, r)
	if err == nil {
		k.conn.observe(answer.Header)
		k.conn.creds.good.Store(k.conn.creds.last.Load())
		k.answered()
		res.status, res.header, res.body = answer.Status, answer.Header, answer.Body
		return res, nil
	}
	var known *api.Error
	if !errors.As(err, &known) || ctx.Err() != nil {
		if len(res.calls) > 0 {
			k.halt(err)
		}
		return res, err
	}
	res.err, res.status = known, known.Status
	switch known.Class {
	case api.Invalid, api.NotFound, api.Conflict:
		k.answered()
		res.verdict, res.problem = refused, problemOf(known, k.load.Header)
		return res, nil
	}
	// A call that may be repeated has been, time and again. If the vendor answered others meanwhile, it is this record
	// that it fails on, and the run need not end for it: whoever made the call looks what became of it.
	if known.Applied && (!idempotent || known.Class == api.Protocol || k.writes() > before) {
		res.verdict = unknown
		return res, nil
	}
	if known.Applied {
		k.halt(err)
		return res, err
	}
	return res, errors.Join(err, k.undo(res, err.Error()))
}

// undo tells the ledger that calls had no effect.
func (k *courier) undo(res result, why string) error {
	var problems []error
	for _, id := range res.calls {
		problems = append(problems, k.ledger.Undone(id, why))
	}
	return errors.Join(problems...)
}

func (k *courier) answered() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wrote++
}

// writes counts the calls that the vendor has answered. Where it goes on answering others while one record fails time
// and again, it is the record and not the vendor.
func (k *courier) writes() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wrote
}

// trial is the way of one record whose sending fails time and again.
type trial struct {
	k      *courier
	sends  int
	before int64 // answered writes when it was sent for the second time: those that were under way at the first have landed
	last   int64 // and when it was last sent
	failed bool
	stuck  bool
}

func (k *courier) try() *trial { return &trial{k: k} }

func (t *trial) send() {
	t.last = t.k.writes()
	if t.sends++; t.sends <= 2 {
		t.before = t.last
	}
}

func (t *trial) fail() { t.count(true, 1) }

// end takes the record off those that fail, unless it was given up: it fails still.
func (t *trial) end() {
	if !t.stuck {
		t.count(false, -1)
	}
}

func (t *trial) count(failed bool, by int) {
	if t.failed == failed {
		return
	}
	t.failed = failed
	t.k.mu.Lock()
	t.k.failed += by
	t.k.mu.Unlock()
}

// poison reports whether it is the record, and not the vendor, that is in trouble: other writes were answered between
// its second attempt and its last; or others were answered before, and no other record is failing.
func (t *trial) poison() bool {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	t.stuck = t.last == t.before && (t.k.wrote == 0 || t.k.failed > 1)
	return !t.stuck
}

// poison rejects a record on which the vendor failed with every attempt, though it is known not to be there.
func (k *courier) poison(res result, sends int, rows ...*record.Row) error {
	for _, row := range rows {
		row.Reject(record.Problem{Rule: "vendor", Message: fmt.Sprintf("the vendor failed on this row %d times and not on others; it was looked up and is not there; the last failure: %s", sends, res.err.Error())})
	}
	return k.settle(res, fmt.Sprintf("given up after %d attempts", sends), rows...)
}

// pause waits between two attempts at a record whose outcome was unknown.
func (k *courier) pause(ctx context.Context, sends int) error {
	return k.conn.sleep(ctx, time.Second<<min(sends-1, 4))
}

func (k *courier) halt(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken == nil {
		k.broken = err
	}
}

// halted is the error that left a row in doubt. Once there is one, nothing more is sent: a twin of that row, sent now,
// could later not be told from it.
func (k *courier) halted() error {
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
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' }) {
		for i := range h.Len() {
			if n := h.Name(i); strings.EqualFold(word, n) || strings.EqualFold(word, n+"s") {
				return n
			}
		}
	}
	return ""
}

// reject gives rows the vendor's refusal as their fate and tells the ledger.
func (k *courier) reject(res result, rows ...*record.Row) error {
	for _, row := range rows {
		row.Reject(res.problem)
	}
	return k.settle(res, fmt.Sprintf("%d refused: %s", res.status, res.problem.Message), rows...)
}

// unsure gives rows up: they were sent, and their outcome can't be learned.
func (k *courier) unsure(res result, why string, rows ...*record.Row) error {
	for _, row := range rows {
		row.Fate = record.Unsure
		row.Err = record.Problems{{Rule: "unsure", Message: why}}
	}
	return k.settle(res, why, rows...)
}

// observe learns from an answer how far the vendor's clock is behind ours, so that a lookup does not pass over a record
// that looks older than the call that made it.
func (c *Conn) observe(h http.Header) {
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	c.dated.Store(true)
	c.behind(c.now().Sub(at))
}

// behind notes that the vendor's clock was seen to be behind ours.
func (c *Conn) behind(d time.Duration) {
	for {
		old := c.skew.Load()
		if int64(d/time.Second) <= old || c.skew.CompareAndSwap(old, int64(d/time.Second)) {
			return
		}
	}
}

// locks lets one goroutine at a time hold a number.
type locks struct {
	mu   sync.Mutex
	held map[uint64]*lock
}

type lock struct {
	users int
	turn  chan struct{}
}

// take waits for n; the function it returns gives it back.
func (l *locks) take(ctx context.Context, n uint64) (func(), error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[uint64]*lock{}
	}
	x := l.held[n]
	if x == nil {
		x = &lock{turn: make(chan struct{}, 1)}
		l.held[n] = x
	}
	x.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if x.users--; x.users == 0 {
			delete(l.held, n)
		}
	}
	select {
	case x.turn <- struct{}{}:
		return func() { <-x.turn; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}

// taken reports whether somebody holds n or waits for it.
func (l *locks) taken(n uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[n] != nil
}

func isNotFound(err error) bool {
	var known *api.Error
	return errors.As(err, &known) && known.Class == api.NotFound
}
