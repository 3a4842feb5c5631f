package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// mostEvents is the document's: "The maximum payload of a batch request is 1000 events. If the payload exceeds 1000, the
// entire payload is discarded and throws an exception (400)."
const mostEvents = 1000

// json wants the body to be JSON, strictly.
func (c *call) json() error {
	if err := room.NeedJSON(c.r, http.StatusUnsupportedMediaType); err != nil {
		return err
	}
	if err := checkJSON(c.body); err != nil {
		return room.Invalid("%v", err)
	}
	return nil
}

// subtype returns the request's subtype; nil if it is unknown and that does not matter.
func (c *call) subtype() (*subtype, string, error) {
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, "", room.Invalid("the query: %v", err)
	}
	names := query["subtype"]
	if len(names) != 1 || names[0] == "" {
		return nil, "", room.Invalid("want one subtype in the query")
	}
	one := c.rules.subtypes[names[0]]
	if one == nil && !c.rules.LooseSubtypes {
		return nil, "", room.Invalid("there is no subtype %q", names[0])
	}
	return one, names[0], nil
}

// postEvent answers POST event.
func (s *Simulator) postEvent(c *call) error {
	if err := c.json(); err != nil {
		return err
	}
	one, name, err := c.subtype()
	if err != nil {
		return err
	}
	if c.body[skipBlanks(c.body, 0)] != '{' {
		return room.Invalid("the body is not a JSON object")
	}
	return s.accept(c, one, name, [][]byte{bytes.TrimSpace(c.body)})
}

// postBatch answers POST event/batch.
func (s *Simulator) postBatch(c *call) error {
	if err := c.json(); err != nil {
		return err
	}
	one, name, err := c.subtype()
	if err != nil {
		return err
	}
	events, ok := splitArray(c.body)
	switch {
	case !ok:
		return room.Invalid("the body is not a JSON array")
	case len(events) > mostEvents:
		return room.Invalid("%d events are more than %d: nothing was accepted", len(events), mostEvents)
	}
	return s.accept(c, one, name, events)
}

// accept stores a request's events, or refuses all of them, and answers. With no delay each takes effect as it is stored.
// Only a full disk or an end of the process can leave a part of a batch stored; no success is answered then.
func (s *Simulator) accept(c *call, of *subtype, name string, events [][]byte) error {
	var one event
	for i, raw := range events {
		one.read(raw)
		if err := c.poison(of, &one); err != nil {
			return room.Invalid("event %d: %v", i, err)
		}
	}
	if err := s.keep(c, of, name, events); err != nil {
		return err
	}
	switch c.rules.Answer {
	case answerJSON:
		room.WriteRaw(c.w, http.StatusOK, []byte("{}"))
	case answer204:
		c.w.WriteHeader(http.StatusNoContent)
	default:
		c.w.Header().Set("Content-Length", "0")
		c.w.WriteHeader(http.StatusOK)
	}
	return nil
}

// poison refuses an event that the knobs say can't be accepted.
func (c *call) poison(of *subtype, one *event) error {
	if c.rules.PoisonText != "" && bytes.Contains(one.raw, []byte(c.rules.PoisonText)) {
		return fmt.Errorf("it contains %q", c.rules.PoisonText)
	}
	if !c.rules.PoisonSync {
		return nil
	}
	if !one.object {
		return fmt.Errorf("it is not a JSON object")
	}
	if of != nil {
		if missing := of.missing(one); len(missing) > 0 {
			return fmt.Errorf("mandatory fields are missing: %v", missing)
		}
	}
	return nil
}

// keep stores accepted events, each as a write of its own. Requests that come at once are kept one after the other.
func (s *Simulator) keep(c *call, of *subtype, name string, events [][]byte) error {
	const around = 40 // bytes that an event's envelope takes, without the subtype's name; a few more are no harm
	size := 0
	for _, raw := range events {
		size += len(raw) + around + len(name)
	}
	slab := make([]byte, 0, size) // one piece of memory for all of a request's events
	s.mu.Lock()
	defer s.mu.Unlock()
	later := c.rules.ApplyDelay > 0 || s.Store.Len(kindPending) > 0 // events never overtake each other
	due := s.Now().Add(c.rules.ApplyDelay)                          // by the clock that Settle goes by, without a clock_offset
	var w work
	w.begin(s, of, c.at, c.rules)
	for _, raw := range events {
		err := s.Store.Write(c.written(raw), func(tx *room.Tx) (string, error) {
			from := len(slab)
			number := tx.N()
			n := strconv.FormatInt(number, 10)
			slab = append(append(slab, `{"n":`...), n...)
			slab = append(slab, `,"subtype":`...)
			slab = appendText(slab, name)
			slab = append(slab, `,"event":`...)
			at := len(slab)
			slab = append(append(slab, oneLine(raw)...), '}')
			end := len(slab)
			tx.Put(kindInbox, n, slab[from:end:end])
			w.read(tx, number, slab[at:end-1:end-1])
			if later {
				tx.Put(kindPending, n, waiting{number, due.UTC()}.doc())
				return w.key(), nil
			}
			return w.key(), w.apply()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// waiting is a record of kindPending.
type waiting struct {
	N   int64     `json:"n"`
	Due time.Time `json:"due"`
}

func (w waiting) doc() []byte {
	return fmt.Appendf(nil, `{"n":%d,"due":"%s"}`, w.N, w.Due.Format(time.RFC3339Nano))
}

// Settle lets all events take effect whose apply_delay is over, in the order in which they were accepted. Records that are
// asked for over HTTP are settled already; who looks into the Store calls it first.
func (s *Simulator) Settle() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Store.Len(kindPending) == 0 {
		return nil
	}
	now := s.Now()
	for doc, err := range s.Store.List(kindPending).All() {
		if err != nil {
			return err
		}
		var one waiting
		if err := json.Unmarshal(doc, &one); err != nil {
			return fmt.Errorf("%s: %w", kindPending, err)
		}
		if one.Due.After(now) {
			return nil
		}
		if err := s.Store.Fill(func(tx *room.Tx) error { return s.settle(tx, one, doc) }); err != nil {
			return err
		}
	}
	return nil
}

// settle applies one event that has waited, unless a reset has taken it away meanwhile.
func (s *Simulator) settle(tx *room.Tx, one waiting, doc []byte) error {
	n := strconv.FormatInt(one.N, 10)
	if still, ok, err := tx.Get(kindPending, n); err != nil || !ok || !bytes.Equal(still, doc) {
		return err
	}
	kept, ok, err := tx.Get(kindInbox, n)
	if err != nil {
		return err
	}
	tx.Delete(kindPending, n)
	if !ok {
		return nil
	}
	var inbox struct {
		Subtype string          `json:"subtype"`
		Event   json.RawMessage `json:"event"`
	}
	if err := json.Unmarshal(kept, &inbox); err != nil {
		return fmt.Errorf("%s: %w", kindInbox, err)
	}
	rules := s.rules.Load()
	var w work
	w.begin(s, rules.subtypes[inbox.Subtype], one.Due, rules)
	w.read(tx, one.N, inbox.Event)
	return w.apply()
}
