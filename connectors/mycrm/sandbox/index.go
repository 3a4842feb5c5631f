package sandbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// brief is what is held in memory of a lead: enough to find it by what callers ask for most.
type brief struct {
	id, user         int64 // user 0: none
	created, updated int64 // seconds since 1970
	status           string
	mobile, email    string
	names            string // lower case: first and last name, then last and first
}

// namesMark stands between the two orders of a brief's names.
const namesMark = "\x00"

func briefOf(l *lead) *brief {
	first, last := strings.ToLower(value(l.FirstName)), strings.ToLower(value(l.LastName))
	b := &brief{
		id: l.ID, created: l.CreatedAt.Unix(), updated: l.UpdatedAt.Unix(), status: value(l.Status),
		mobile: value(l.Mobile), email: value(l.Email), names: first + " " + last + namesMark + last + " " + first,
	}
	if i := slices.Index(statuses, b.status); i >= 0 {
		b.status = statuses[i] // one string for all leads
	}
	if l.User != nil {
		b.user = l.User.ID
	}
	return b
}

// index has all leads in the order of their ids.
type index struct {
	briefs  []*brief
	version uint64 // changes with the leads
}

func (x *index) find(id int64) (int, bool) {
	return slices.BinarySearchFunc(x.briefs, id, func(b *brief, id int64) int { return cmp.Compare(b.id, id) })
}

func (x *index) has(id int64) bool {
	_, ok := x.find(id)
	return ok
}

func (x *index) ids() []int64 {
	out := make([]int64, len(x.briefs))
	for i, b := range x.briefs {
		out[i] = b.id
	}
	return out
}

// apply takes up what an edit did.
func (x *index) apply(leads map[int64]*lead) {
	x.version++
	gone := 0
	for id, l := range leads {
		i, known := x.find(id)
		switch {
		case l == nil && known:
			gone++
			if len(leads) == 1 {
				x.briefs = slices.Delete(x.briefs, i, i+1)
			}
		case l == nil:
		case known:
			x.briefs[i] = briefOf(l)
		default:
			x.briefs = slices.Insert(x.briefs, i, briefOf(l))
		}
	}
	if gone > 0 && len(leads) > 1 {
		x.briefs = slices.DeleteFunc(x.briefs, func(b *brief) bool {
			l, changed := leads[b.id]
			return changed && l == nil
		})
	}
}

// load makes the index anew from the store.
func (s *Simulator) load() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.Store.List(kindLeads)
	x := index{version: s.index.version + 1, briefs: make([]*brief, 0, all.Len())}
	for doc, err := range all.All() {
		if err != nil {
			return err
		}
		b, err := readBrief(doc)
		if err != nil {
			return err
		}
		x.briefs = append(x.briefs, b)
	}
	slices.SortFunc(x.briefs, func(a, b *brief) int { return cmp.Compare(a.id, b.id) })
	s.counters = counters{Lead: firstID - 1}
	doc, ok, err := s.Store.Get(kindCounters, single)
	if err == nil && ok {
		err = json.Unmarshal(doc, &s.counters)
	}
	if err != nil {
		return err
	}
	if n := len(x.briefs); n > 0 {
		s.counters.Lead = max(s.counters.Lead, x.briefs[n-1].id)
	}
	s.index, s.loaded, s.churned = x, true, 0
	return nil
}

func readBrief(doc []byte) (*brief, error) {
	var l lead
	// Only what a brief has, all of which stands before the preferences: the rest is long. The name of a member can't be
	// in a text, where its quotes would be escaped.
	if head, _, ok := bytes.Cut(doc, []byte(`,"preferences":`)); ok {
		doc = append(head[:len(head):len(head)], '}')
	}
	part := struct {
		ID        *int64   `json:"id"`
		FirstName **string `json:"first_name"`
		LastName  **string `json:"last_name"`
		Email     **string `json:"email"`
		Mobile    **string `json:"mobile"`
		Status    **string `json:"status"`
		User      **ref    `json:"user"`
		Created   any      `json:"created_at"`
		Updated   any      `json:"updated_at"`
	}{&l.ID, &l.FirstName, &l.LastName, &l.Email, &l.Mobile, &l.Status, &l.User, &l.CreatedAt, &l.UpdatedAt}
	if err := json.Unmarshal(doc, &part); err != nil {
		return nil, err
	}
	return briefOf(&l), nil
}

// firstID is the id of the first lead. Those below it are for the leads that come in between pages.
const firstID = 1001

// counters are the last ids given. They are kept: an id is never given twice.
type counters struct {
	Lead int64 `json:"lead"`
	Low  int64 `json:"low"` // of the leads that came in between pages
	Note int64 `json:"note"`
}

// edit is a set of changes to leads that happen together or not at all.
type edit struct {
	s        *Simulator
	tx       *room.Tx
	leads    map[int64]*lead // as changed so far; nil: deleted
	counters counters
}

// change makes the changes of fn, as one accepted write with the id that fn returns if w is not nil. If fn fails, nothing
// has happened.
func (s *Simulator) change(w *room.Written, fn func(*edit) (id string, err error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changeLocked(w, fn)
}

func (s *Simulator) changeLocked(w *room.Written, fn func(*edit) (id string, err error)) error {
	e := &edit{s: s, leads: map[int64]*lead{}, counters: s.counters}
	do := func(tx *room.Tx) (string, error) {
		e.tx = tx
		id, err := fn(e)
		if err != nil {
			return "", err
		}
		return id, e.flush()
	}
	var err error
	if w == nil {
		err = s.Store.Fill(func(tx *room.Tx) error {
			_, err := do(tx)
			return err
		})
	} else {
		err = s.Store.Write(*w, do)
	}
	if err != nil {
		return err
	}
	s.counters = e.counters
	s.index.apply(e.leads)
	return nil
}

// get returns a lead as the changes so far leave it, nil if there is none. The caller may change it and keep it with put.
func (e *edit) get(id int64) (*lead, error) {
	if l, changed := e.leads[id]; changed {
		return l, nil
	}
	doc, ok, err := e.tx.Get(kindLeads, strconv.FormatInt(id, 10))
	if err != nil || !ok {
		return nil, err
	}
	l := &lead{}
	if err := json.Unmarshal(doc, l); err != nil {
		return nil, err
	}
	return l, nil
}

func (e *edit) put(l *lead)     { e.leads[l.ID] = l }
func (e *edit) delete(id int64) { e.leads[id] = nil }

// flush hands the changes to the store, which looks through them one by one: not before they are all there.
func (e *edit) flush() error {
	ids := make([]int64, 0, len(e.leads))
	for id := range e.leads {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		key := strconv.FormatInt(id, 10)
		if e.leads[id] == nil {
			e.tx.Delete(kindLeads, key)
		} else if err := e.tx.PutJSON(kindLeads, key, e.leads[id]); err != nil {
			return err
		}
	}
	if e.counters == e.s.counters {
		return nil
	}
	return e.tx.PutJSON(kindCounters, single, e.counters)
}

// cache keeps the last list that took work to find, for its next page.
type cache struct {
	mu      sync.Mutex
	key     string
	version uint64
	ids     []int64
}

// listing is the ids of a list, in its order.
type listing struct {
	ids  []int64
	all  []*brief // instead of ids: everything
	desc bool     // all is to be read from its end
}

func (l listing) len() int {
	if l.all != nil {
		return len(l.all)
	}
	return len(l.ids)
}

func (l listing) at(i int) int64 {
	switch {
	case l.all == nil:
		return l.ids[i]
	case l.desc:
		return l.all[len(l.all)-1-i].id
	}
	return l.all[i].id
}
