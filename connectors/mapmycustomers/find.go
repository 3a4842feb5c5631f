package mapmycustomers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/record"
)

// twins counts the records that this process made, by the print of their rows: a lookup that finds one of them must
// not take it for another row's.
type twins struct {
	mu sync.Mutex
	by map[uint64]twin
}

type twin struct {
	n           int32 // accepted
	perhaps     int32 // left unsure
	first, last int64 // in seconds since 1970: when the first was sent, and the last accepted
}

func newTwins() *twins { return &twins{by: map[uint64]twin{}} }

// add notes that a row with the print was accepted.
func (t *twins) add(print uint64, sent, done time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.by[print]
	if sent.IsZero() {
		sent = done // found by a lookup
	}
	if x.n == 0 {
		x.first = sent.Unix()
	}
	x.n++
	x.last = done.Unix()
	t.by[print] = x
}

// maybe notes that a row with the print was left unsure.
func (t *twins) maybe(print uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.by[print]
	x.perhaps++
	t.by[print] = x
}

func (t *twins) of(print uint64) twin {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.by[print]
}

// counter is what a ledger may offer besides: how many rows of the whole run, earlier processes included, were
// accepted by calls whose note contains a text. Without it, a row that an earlier process left in doubt is only taken
// for delivered or not delivered if the vendor has no record like it; else it stays unsure, since what is there may
// have come from a row just like it that was accepted before.
type counter interface {
	Noted(text string) (rows int64, err error)
}

// mark is the part of a note that a counter counts by.
func mark(print uint64) string { return fmt.Sprintf("[like %016x]", print) }

// answer is what a lookup says about a row.
type answer uint8

const (
	absent  answer = iota // the vendor does not have it
	present               // the vendor has it
	unclear               // it can't be told
)

// finding is the outcome of a lookup, with its evidence.
type finding struct {
	answer answer
	id     string
	note   string
}

// lookupWaits are the pauses before the second and third look: what was just made may take a moment to show.
var lookupWaits = [...]time.Duration{time.Second, 2 * time.Second}

// patient looks until the row is found, or the last look has not found it.
func (s *customerSink) patient(ctx context.Context, look func(try int) (finding, error)) (finding, error) {
	for try := 0; ; try++ {
		f, err := look(try)
		if err == nil && f.answer == present || try == len(lookupWaits) {
			return f, err
		}
		var known *api.Error
		if err != nil && !(errors.As(err, &known) && known.Class == api.Protocol) {
			return f, err // the call has been repeated already
		}
		if err := s.conn.sleep(ctx, lookupWaits[try]); err != nil {
			return f, err
		}
	}
}

// earliest is the time that a record made by a call since then can bear: clocks differ by a minute, and by what the
// vendor's answers have shown.
func (c *Conn) earliest(since time.Time) time.Time {
	return since.Add(-time.Minute - time.Duration(c.skew.Load())*time.Second)
}

// older reports whether a record with this time stamp was almost surely there before a call that was made since then,
// as far as the vendor's own clock is known. Such a record may be the call's all the same, if what stamps records and
// what stamps answers have different clocks: it is neither taken for the call's nor passed over.
func (c *Conn) older(at, since time.Time) bool {
	const grain = 2 * time.Second // time stamps are whole seconds, and calls take a moment
	return c.dated.Load() && at.Before(since.Add(-grain-time.Duration(c.skew.Load())*time.Second))
}

// when reads a time stamp of the vendor.
func (c *Conn) when(v record.Value) (time.Time, bool) {
	out, ok := c.zones.moment(v)
	if !ok || out.Kind() != record.DateTime {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, out.Text())
	return t, err == nil
}

// find looks for the customer that a create may have made, sent at the time since.
func (s *customerSink) find(ctx context.Context, row *record.Row, print uint64, since time.Time) (finding, error) {
	w, err := s.expect(row, print, since)
	if err != nil {
		return finding{}, err
	}
	return s.patient(ctx, func(try int) (finding, error) { return s.look(ctx, row, print, w, try) })
}

// window is what a lookup has to expect: from when on records count, and how many of those that look like the row
// are known to be others'.
type window struct {
	since   time.Time // see earliest, which is asked after the vendor's answer has told its time
	others  int64
	perhaps int64
	blind   bool // others' records may be there that nobody has counted
}

func (s *customerSink) expect(row *record.Row, print uint64, since time.Time) (window, error) {
	w := window{since: since}
	mine := s.twins.of(print)
	w.others, w.perhaps = int64(mine.n), int64(mine.perhaps)
	if c, ok := s.ledger.(counter); ok {
		n, err := c.Noted(mark(print))
		if err != nil {
			return w, err
		}
		if w.others = n; n > 0 {
			w.since = s.load.Started
		}
		return w, nil
	}
	w.blind = row.Fate == record.Doubt
	if mine.n > 0 {
		if time.Unix(mine.last, 0).Add(2 * time.Minute).Before(s.conn.earliest(since)) {
			w.others = 0 // so long ago that they can't be taken for this one
		} else {
			w.since = time.Unix(mine.first, 0)
		}
	}
	return w, nil
}

// look searches once and counts.
func (s *customerSink) look(ctx context.Context, row *record.Row, print uint64, w window, try int) (finding, error) {
	type hit struct {
		id string
		at time.Time
	}
	var hits []hit
	var doubtful []string // records like the row that something else may explain
	path, what := s.searchFor(row, try)
	err := s.conn.each(ctx, path, func(rec *scanner) error {
		r, err := s.layout.parseRemote(rec)
		if err != nil {
			return err
		}
		like := s.layout.compare(row, &r, true)
		if like == different {
			return nil
		}
		at, dated := s.conn.when(r.created)
		if dated && at.Before(s.conn.earliest(w.since)) {
			return nil
		}
		if dated && like != near && s.conn.older(at, w.since) {
			like = near
		}
		if other := s.layout.printRemote(&r); other != print {
			if s.twins.of(other).n > 0 {
				return nil // it is that row's
			}
			if s.rows.taken(other) {
				like = near // that row is being sent right now
			}
		}
		if like == near || !dated {
			doubtful = append(doubtful, strings.Clone(r.id))
			return nil
		}
		hits = append(hits, hit{strings.Clone(r.id), at})
		return nil
	})
	if err != nil {
		return finding{answer: unclear}, err
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return b.at.Compare(a.at) })
	var ids, fresh []string
	for _, h := range hits {
		ids = append(ids, h.id)
		if !s.isMine(h.id) {
			fresh = append(fresh, h.id)
		}
	}
	found := int64(len(hits))
	switch {
	case found == 0 && w.others == 0 && len(doubtful) == 0:
		return finding{answer: absent, note: what + " found no such customer"}, nil
	case w.blind:
		return finding{answer: unclear, note: fmt.Sprintf("%s found %s, which may have come from an equal row that was sent before", what, list(append(ids, doubtful...)))}, nil
	case found == w.others+w.perhaps+1 && len(fresh) > 0:
		f := finding{answer: present, note: fmt.Sprintf("%s found it: %s", what, fresh[0])}
		if len(hits) == 1 || len(hits) > 1 && !hits[0].at.Equal(hits[1].at) || len(fresh) == 1 {
			f.id = fresh[0]
		}
		return f, nil
	case found == w.others && len(doubtful) == 0:
		return finding{answer: absent, note: fmt.Sprintf("%s found the %d customers of equal rows and no other", what, found)}, nil
	}
	return finding{answer: unclear, note: fmt.Sprintf("%s found %s where %d were expected, or one more", what, list(append(ids, doubtful...)), w.others)}, nil
}

func list(ids []string) string {
	switch len(ids) {
	case 0:
		return "no customer"
	case 1:
		return "customer " + ids[0]
	}
	if len(ids) > 10 {
		return fmt.Sprintf("%d customers, among them %s", len(ids), strings.Join(ids[:10], ", "))
	}
	return "customers " + strings.Join(ids, ", ")
}

func (s *customerSink) isMine(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.ids[id]
	return ok
}

// searchFor returns the list to look for a row in: a search by what tells most, another word at each try, or
// everything if no word can be searched for.
func (s *customerSink) searchFor(row *record.Row, try int) (path, what string) {
	var terms []string
	for _, name := range []string{"company", "name", "address"} {
		if i, ok := s.layout.byName[name]; ok {
			if v := strings.TrimSpace(plain(cell(row, s.layout.fields[i].cell))); usable(v) {
				terms = append(terms, v)
			}
		}
	}
	if len(terms) == 0 {
		return "/customers", "the list of all customers"
	}
	term := terms[try%len(terms)]
	return "/customers/search/" + url.PathEscape(term), fmt.Sprintf("a search for %q", term)
}

// conclude acts on what a lookup found. done is false if the row is to be sent (again).
func (s *customerSink) conclude(res result, f finding, row *record.Row, print uint64) (done bool, err error) {
	switch f.answer {
	case present:
		s.made(row, f.id, print, res)
		return true, s.settle(res, f.note+" "+mark(print), row)
	case absent:
		return false, s.undo(res, f.note)
	}
	s.twins.maybe(print)
	return true, s.unsure(res, "it was sent and the answer was lost; "+f.note, row)
}

// findKey looks for the customers that have a key.
func (s *customerSink) findKey(ctx context.Context, row *record.Row, key string) (finding, error) {
	return s.patient(ctx, func(try int) (finding, error) {
		path, what := s.searchFor(row, try)
		var ids []string
		err := s.conn.each(ctx, path, func(rec *scanner) error {
			r, err := s.layout.parseRemote(rec)
			if err == nil && s.layout.remoteKey(&r) == key {
				ids = append(ids, strings.Clone(r.id))
			}
			return err
		})
		f := finding{answer: absent, note: fmt.Sprintf("%s found no customer with that %s", what, s.layout.keyOf.Name)}
		switch {
		case err != nil:
			return finding{answer: unclear}, err
		case len(ids) == 1:
			f = finding{answer: present, id: ids[0], note: fmt.Sprintf("%s found it: %s", what, ids[0])}
		case len(ids) > 1:
			f = finding{answer: unclear, note: fmt.Sprintf("%s found %s with that %s", what, list(ids), s.layout.keyOf.Name)}
		}
		return f, nil
	})
}
