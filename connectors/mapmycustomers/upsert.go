package mapmycustomers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// index knows which customer has which key, and with ChangedOnly how its fields are. It keeps hashes, not records:
// some 60 bytes a customer.
type index struct {
	mu     sync.Mutex
	ids    map[uint64]string   // by hash of the key; "" was made in this run, and its id is not known
	many   map[uint64][]string // keys that several customers have
	place  map[uint64]int32    // by hash of the id: where its fields begin in hashes
	hashes []uint64            // of each field of the layout; 0 was not returned
}

func newIndex() *index {
	return &index{ids: map[uint64]string{}, many: map[uint64][]string{}, place: map[uint64]int32{}}
}

// indexed returns the index; the first call reads the list of all customers, as the vendor's search knows neither
// e-mail nor phone.
func (s *customerSink) indexed(ctx context.Context) (*index, error) {
	s.building.Lock()
	defer s.building.Unlock()
	if s.index == nil {
		ix, err := s.build(ctx)
		if err != nil {
			return nil, err
		}
		s.index = ix
	}
	return s.index, nil
}

// build reads the list; one that breaks off is read again from its beginning.
func (s *customerSink) build(ctx context.Context) (*index, error) {
	for try := 1; ; try++ {
		ix := newIndex()
		r := remote{}
		err := s.conn.each(ctx, "/customers", func(rec *scanner) error {
			if err := s.layout.parseInto(&r, rec); err != nil {
				return err
			}
			if s.layout.keyOf != nil {
				if key := s.layout.remoteKey(&r); key != "" {
					ix.add(key, strings.Clone(r.id))
				}
			}
			if s.Load.ChangedOnly {
				ix.keep(s.layout, &r)
			}
			return nil
		})
		var known *api.Error
		if err == nil || try == 3 || !errors.As(err, &known) || known.Class != api.Transient && known.Class != api.Protocol {
			return ix, err
		}
		if err := s.Sleep(ctx, delivery.LookupWaits()[1]); err != nil {
			return nil, err
		}
	}
}

// remoteKey is the key of a record of the vendor.
func (l *layout) remoteKey(r *remote) string {
	if l.keyOf.Type == schema.ID {
		return r.id
	}
	return keyNorm(l.keyOf, r.values[l.byName[l.keyOf.Name]])
}

// add notes that a customer has a key.
func (ix *index) add(key, id string) {
	h := xxh3.HashString(key)
	ix.mu.Lock()
	defer ix.mu.Unlock()
	switch old, ok := ix.ids[h]; {
	case !ok || old == "" || old == id:
		ix.ids[h] = id
	case ix.many[h] == nil:
		ix.many[h] = []string{old, id}
	default:
		ix.many[h] = append(ix.many[h], id)
	}
}

// lookup returns the customer that has a key; known is false if none has. several are those that share it.
func (ix *index) lookup(key string) (id string, known bool, several []string) {
	h := xxh3.HashString(key)
	ix.mu.Lock()
	defer ix.mu.Unlock()
	id, known = ix.ids[h]
	return id, known, ix.many[h]
}

// keep notes how a customer's fields are.
func (ix *index) keep(l *layout, r *remote) {
	ix.place[xxh3.HashString(r.id)] = int32(len(ix.hashes))
	for i := range l.fields {
		var h uint64
		if r.values[i].Kind() != record.Absent {
			h = xxh3.HashString(norm(l.fields[i].field, r.values[i])) | 1
		}
		ix.hashes = append(ix.hashes, h)
	}
}

// equal reports whether the customer has all that the row would send.
func (ix *index) equal(l *layout, id string, row *record.Row) bool {
	ix.mu.Lock()
	at, ok := ix.place[xxh3.HashString(id)]
	ix.mu.Unlock()
	if !ok {
		return false
	}
	for i := range l.fields {
		f := l.fields[i].field
		v := cell(row, l.fields[i].cell)
		if v.Kind() == record.Absent || f.Name == "notes" && v.IsEmpty() {
			continue
		}
		if ix.hashes[int(at)+i] != xxh3.HashString(norm(f, v))|1 {
			return false
		}
	}
	return true
}

// forget drops what is known of a customer's fields, because they change.
func (ix *index) forget(id string) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	delete(ix.place, xxh3.HashString(id))
}

// upsert updates the customer that has the row's key, or creates it.
func (s *customerSink) upsert(ctx context.Context, row *record.Row) error {
	l := s.layout
	key := keyNorm(l.keyOf, cell(row, l.key))
	if key == "" {
		row.Reject(record.Problem{Field: l.keyOf.Name, Rule: "required", Message: "upsert matches on this field, and it is empty"})
		return nil
	}
	if l.keyOf.Type == schema.ID {
		// An id is given by the vendor alone: a row with one can only be an update.
		id, ok := s.rowID(row)
		if !ok {
			return nil
		}
		return s.update(ctx, row, id)
	}
	release, err := s.keys.Take(ctx, xxh3.HashString(key))
	if err != nil {
		return err
	}
	defer release()
	ix, err := s.indexed(ctx)
	if err != nil {
		return err
	}
	id, known, several := ix.lookup(key)
	if len(several) > 0 {
		row.Reject(record.Problem{Field: l.keyOf.Name, Rule: "ambiguous", Message: "more than one customer has it: " + s.List(several)})
		return nil
	}
	if held, err := s.Held(row); held || err != nil {
		return err
	}
	doubt := row.Fate == record.Doubt && s.Load.Unsure == schema.Check
	if !known && doubt || known && id == "" && !s.Load.DryRun {
		f, err := s.findKey(ctx, row, key)
		if err != nil {
			return err
		}
		switch {
		case f.Answer == delivery.Unclear:
			return s.unsettled(row, doubt, f.Note)
		case f.Answer == delivery.Absent && known:
			if f, err = s.relist(ctx, key); err != nil {
				return err
			}
			if f.Answer != delivery.Present {
				return s.unsettled(row, doubt, f.Note)
			}
		}
		if id, known = f.ID, f.Answer == delivery.Present; known {
			ix.add(key, id)
		}
	}
	if known {
		return s.change(ctx, ix, row, id, doubt)
	}
	if s.Load.DryRun {
		ix.add(key, "")
		return s.plan(row, "create", false)
	}
	err = s.Post(ctx, s.creation(ctx, row), func(delivery.Result) (delivery.Finding, error) { return s.findKey(ctx, row, key) })
	if row.Fate == record.Accepted {
		ix.add(key, row.ID)
	}
	return err
}

// relist reads the whole list again, for a customer that was made in this run and that a search does not find.
func (s *customerSink) relist(ctx context.Context, key string) (delivery.Finding, error) {
	fresh, err := s.build(ctx)
	if err != nil {
		return delivery.Finding{}, err
	}
	id, known, several := fresh.lookup(key)
	switch {
	case len(several) > 0:
		return delivery.Finding{Answer: delivery.Unclear, Note: "more than one customer has it: " + s.List(several)}, nil
	case !known:
		return delivery.Finding{Answer: delivery.Absent, Note: "an earlier row of this file has the same " + s.layout.keyOf.Name + ", and the vendor does not list its customer yet; import this row again later"}, nil
	}
	return delivery.Finding{Answer: delivery.Present, ID: id}, nil
}

// unsettled ends a row whose customer could not be told: unsure if it may have been sent, refused if it was not.
func (s *customerSink) unsettled(row *record.Row, sent bool, why string) error {
	if sent {
		return s.Unsure(delivery.Result{}, "an earlier attempt sent it; "+why, row)
	}
	row.Reject(record.Problem{Field: s.layout.keyOf.Name, Rule: "ambiguous", Message: why})
	return nil
}

// change updates a customer that an upsert has found. A row in doubt may be why it is there, or just so.
func (s *customerSink) change(ctx context.Context, ix *index, row *record.Row, id string, doubt bool) error {
	if doubt {
		r, ok, err := s.get(ctx, id)
		if err != nil {
			return err
		}
		if ok && s.layout.compare(row, &r, false) == delivery.Same {
			action := delivery.Updated
			if at, dated := s.conn.when(r.created); dated && !at.Before(s.conn.clock.Earliest(s.Load.Started)) {
				action = delivery.Created
			}
			row.Accept(action, id)
			return s.Settle(delivery.Result{}, fmt.Sprintf("customer %s has all that was sent", id), row)
		}
	}
	defer ix.forget(id)
	return s.update(ctx, row, id)
}
