package mappconnect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// Sink starts an import. With Load.DryRun nothing is sent.
func (c *Conn) Sink(_ context.Context, object string, load schema.Load, ledger pipeline.Ledger) (pipeline.Sink, error) {
	l, err := newLayout(object, load, c.set.style)
	if err != nil {
		return nil, err
	}
	s := &sink{Courier: delivery.NewCourier(c.api, load, ledger, c.now, c.sleep), conn: c, layout: l}
	s.query = url.Values{"subtype": {c.set.subtypes[object]}}
	s.bytes.Store(int64(c.set.batchBytes))
	s.limit = c.set.refusals
	s.Observe = func(h http.Header) {
		c.observe(h)
		s.tellTime()
	}
	if c.set.guessed(object) {
		s.Warn("the vendor's document does not name the subtype for %s; it is sent as %s; if the vendor wants another, set subtype_names to %s=NAME", object, c.set.subtypes[object], object)
	}
	s.tellTime()
	return s, nil
}

// sink sends events. It is safe for many goroutines; each of them has one call under way at a time.
type sink struct {
	*delivery.Courier
	conn   *Conn
	layout *layout
	query  url.Values
	bytes  atomic.Int64 // of one body at most: the setting, or less once the vendor has found one too long
	limit  int          // of events refused with the same words before the run stops, once something was taken

	mu     sync.Mutex
	spare  []*parcel // whose room can be used again
	streak streak
	lost   int // calls in a row whose outcome is unknown
}

func (s *sink) tellTime() {
	if w := s.conn.clockWarning(); w != "" {
		s.Warn("%s", w)
	}
}

// event is one event of a batch.
type event struct {
	rows     []*record.Row
	from, to int // where it stands in the body
	once     bool
}

// Write sends the open rows of a batch, in order: as one call, or as several if they are too many, too long, or of both
// kinds, those that may be repeated and those that may not.
func (s *sink) Write(ctx context.Context, b *record.Batch) error {
	if err := delivery.Fits(b, s.layout.header); err != nil {
		return err
	}
	p := s.parcel()
	defer s.free(p)
	body := append(p.body, '[')
	events := slices.Grow(p.events, len(b.Rows))
	err := delivery.EachRecord(b, func(rows []*record.Row) error {
		e := event{rows: rows, once: s.layout.isOnce(rows)}
		if done, err := s.settled(e); done || err != nil {
			return err
		}
		if len(events) > 0 {
			body = append(body, ',')
		}
		e.from = len(body)
		grown, err := s.layout.append(body, rows)
		if err != nil {
			if len(events) > 0 {
				body = body[:len(body)-1]
			}
			return s.Unfit(err, rows...)
		}
		body = grown
		if e.to = len(body); s.Load.DryRun {
			delivery.Accept(rows, "would "+string(s.layout.load.Mode), "")
			return nil
		}
		events = append(events, e)
		return nil
	})
	p.events = events
	if p.body = body; err != nil || len(events) == 0 {
		return err
	}
	p.body = append(p.body, ']')
	for len(events) > 0 {
		n := s.fit(events)
		if err := s.send(ctx, p, events[:n], firstTries); err != nil {
			return err
		}
		events = events[n:]
	}
	return s.release(p)
}

// settled ends the way of rows that an earlier attempt may have sent, if they must not be sent again.
func (s *sink) settled(e event) (bool, error) {
	if done, err := s.Held(e.rows...); done || err != nil || !e.once || !delivery.Doubtful(e.rows) || s.Load.Unsure == schema.Resend {
		return done, err
	}
	return true, s.Unsure(delivery.Result{}, "an earlier attempt sent it and its outcome is not known; the vendor has no way to look it up, and sending it twice could do it twice", e.rows...)
}

// fit returns how many of the first events go into one call: events of one kind, within the limits. One event goes
// however long it is.
func (s *sink) fit(events []event) int {
	most, n := int(s.bytes.Load()), 1
	for n < len(events) && n < s.conn.set.batchSize && events[n].once == events[0].once && events[n].to-events[0].from+2 <= most {
		n++
	}
	return n
}

// post makes the call for some events that stand one after the other in a parcel, time and again if they may be repeated and
// the outcome is unknown.
func (s *sink) post(ctx context.Context, p *parcel, events []event, tries int) (delivery.Result, []*record.Row, error) {
	body := p.body
	from, to := events[0].from, events[len(events)-1].to
	path, part := "/event", body[from:to]
	if len(events) > 1 {
		path, part = "/event/batch", body
		if from != 1 || to != len(body)-1 {
			part = append(append(append(make([]byte, 0, to-from+2), '['), body[from:to]...), ']')
		}
	}
	rows := make([]*record.Row, 0, len(events))
	for _, e := range events {
		rows = append(rows, e.rows...)
	}
	send := s.Call
	if !events[0].once {
		send = s.CallAgain
	}
	for n := 1; ; n++ {
		call := s.conn.request(http.MethodPost, path, s.query, part)
		call.Readers = &p.readers
		res, err := send(ctx, call, rows...)
		if err != nil || res.Verdict != delivery.Unknown || !s.repeats(events) || n >= tries {
			return res, rows, err
		}
		if err := s.Sleep(ctx, time.Second<<min(n-1, 5)); err != nil {
			return res, rows, err // what was sent may be sent again by whoever resumes
		}
		s.conn.repeated.Add(1)
	}
}

// repeats reports whether events may be sent again while nobody knows whether they have arrived.
func (s *sink) repeats(events []event) bool {
	return !events[0].once || s.Load.Unsure == schema.Resend
}

// How often a call is tried that may be repeated: firstTries, and fewer times the parts of a batch that was given up.
const (
	firstTries = 6
	partTries  = 3
)

// parcel is a batch on its way.
type parcel struct {
	body    []byte
	readers atomic.Int32 // calls that may still read the body
	events  []event
	held    []refusal // in the order of the rows
}

// parcel returns an empty parcel, with the room that another one had.
func (s *sink) parcel() *parcel {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.spare)
	if n == 0 {
		return &parcel{body: make([]byte, 0, 1<<10)}
	}
	p := s.spare[n-1]
	s.spare = s.spare[:n-1]
	return p
}

// maxSpare is how many bytes of room are kept for another batch, whatever the setting.
const maxSpare = 4 << 20

// free takes a parcel back that has been sent. The transport may still read its body when a call has ended: it is left
// alone then.
func (s *sink) free(p *parcel) {
	if p.readers.Load() != 0 || cap(p.body) > max(2*s.conn.set.batchBytes, maxSpare) {
		return
	}
	p.body = p.body[:0]
	clear(p.events)
	p.events = p.events[:0]
	clear(p.held)
	p.held = p.held[:0]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare = append(s.spare, p)
}

// refusal is what the vendor has against one event. As long as it may be about the connection's settings instead, its
// rows are as if they had not been sent: the ledger was told that the call had no effect.
type refusal struct {
	res  delivery.Result
	rows []*record.Row
}

// hold keeps a refusal until it is clear what it is about.
func (s *sink) hold(p *parcel, res delivery.Result, rows []*record.Row) error {
	p.held = append(p.held, refusal{res, rows})
	return s.count(res)
}

// release rejects the rows whose refusals were held: something else was taken, or the batch has ended, so that it is the
// rows.
func (s *sink) release(p *parcel) error {
	for _, r := range p.held {
		delivery.Refuse(r.rows, r.res.Problem)
		if err := s.Settle(delivery.Result{}, fmt.Sprintf("%d refused: %s", r.res.Status, r.res.Problem.Message), r.rows...); err != nil {
			return err
		}
	}
	clear(p.held)
	p.held = p.held[:0]
	return nil
}

// send delivers events of one kind, which one call can hold. A batch that is refused, or that the vendor fails on time
// and again, goes again in halves, down to the event that is at fault.
func (s *sink) send(ctx context.Context, p *parcel, events []event, tries int) error {
	res, rows, err := s.post(ctx, p, events, tries)
	if err != nil {
		return err
	}
	var some map[int]string
	if res.Verdict == delivery.Taken {
		some = s.read(&res, len(events))
	}
	switch res.Verdict {
	case delivery.Taken:
		return s.accept(p, res, events, rows, some)
	case delivery.Unknown:
		return s.unknown(ctx, res, p, events, rows)
	}
	if stop := s.setup(res); stop != nil {
		s.Halt(stop)
		return errors.Join(stop, s.Undo(res, stop.Error()))
	}
	if res.Status/100 == 2 && len(events) > 1 && !s.repeats(events) {
		// It called itself a success and an error; which events it means, nobody knows.
		res.Err = &api.Error{Op: res.Err.Op, Class: api.Protocol, Status: res.Status, Message: res.Err.Message}
		return s.unknown(ctx, res, p, events, rows)
	}
	if res.Status == http.StatusRequestEntityTooLarge && len(events) > 1 {
		s.shrink(events[len(events)-1].to - events[0].from)
	}
	if err := s.Undo(res, "it was refused: "+res.Problem.Message); err != nil {
		return err
	}
	if len(events) == 1 {
		return s.hold(p, res, rows)
	}
	if err := s.refused(res); err != nil {
		return err
	}
	return s.halves(ctx, p, events, tries)
}

// accept ends the way of events that the vendor has taken, but for those that the answer refuses by their places.
func (s *sink) accept(p *parcel, res delivery.Result, events []event, rows []*record.Row, some map[int]string) error {
	s.accepted()
	for i, e := range events {
		if why, bad := some[i]; bad {
			delivery.Refuse(e.rows, s.problem(why, res.Status))
		} else {
			delivery.Accept(e.rows, delivery.Accepted, "")
		}
	}
	if err := s.Settle(res, res.Note(), rows...); err != nil {
		return err
	}
	return s.release(p)
}

// halves sends the first half of some events, and then the second.
func (s *sink) halves(ctx context.Context, p *parcel, events []event, tries int) error {
	n := len(events) / 2
	if err := s.send(ctx, p, events[:n], tries); err != nil {
		return err
	}
	return s.send(ctx, p, events[n:], tries)
}

// unknown acts on a call whose outcome is not known, if the vendor is there at all. What must not be repeated is unsure;
// of what may be, and has been, the event is sought that the vendor fails on.
func (s *sink) unknown(ctx context.Context, res delivery.Result, p *parcel, events []event, rows []*record.Row) error {
	repeats := s.repeats(events)
	if !repeats {
		why := "it was sent, and the answer was lost: " + res.Err.Error() + "; the vendor has no way to look it up, and sending it twice could do it twice"
		if err := s.Unsure(res, why, rows...); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.lost++
	n := s.lost
	s.mu.Unlock()
	if n >= maxStuck || !repeats && n >= maxLost {
		err := &api.Error{Op: res.Err.Op, Class: api.Transient, Status: res.Status, Err: res.Err, Applied: repeats,
			Message: fmt.Sprintf("%d calls one after the other got no answer to rely on; the last: %s", n, res.Err.Error())}
		s.Halt(err)
		return err
	}
	if _, err := s.conn.ping(ctx); err != nil || !repeats {
		return err
	}
	if len(events) > 1 {
		return s.halves(ctx, p, events, partTries)
	}
	return s.Unsure(res, "the vendor failed on it time and again, and not on a ping; the last failure: "+res.Err.Error(), rows...)
}

// After so many calls in a row without an outcome it is the vendor, and not the events: of those that can't be repeated,
// each leaves all of its rows unsure; of the others, it takes eleven from a batch down to one event.
const (
	maxLost  = 5
	maxStuck = 14
)

// setup returns the error that ends the run if a refusal is not about the events, but about the connection.
func (s *sink) setup(res delivery.Result) error {
	switch status := res.Status; {
	case status == http.StatusNotFound, status == http.StatusGone:
		return s.conn.lost(res.Err)
	case status/100 == 2, status == http.StatusBadRequest, status == http.StatusConflict, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		return nil
	}
	return &api.Error{Op: res.Err.Op, Class: api.Setup, Status: res.Status, Message: res.Err.Message, Err: res.Err}
}

// shrink notes that a body of so many bytes was too long.
func (s *sink) shrink(bytes int) {
	for {
		now, want := s.bytes.Load(), max(int64(bytes/2), leastBytes)
		if want >= now || s.bytes.CompareAndSwap(now, want) {
			return
		}
	}
}
