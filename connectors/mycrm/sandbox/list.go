package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// listQuery is what GET /leads was asked for, but for the page.
type listQuery struct {
	filters []filter
	sort    string
	desc    bool
	key     string // the same for two pages of one list
}

// sortNames are the document's.
var sortNames = []string{sortID, "last_name", "email", "mobile", "user", "status", "created", "size", "type", "time_frame", "price"}

const sortID = "id"

// listLeads answers GET /leads.
func (s *Simulator) listLeads(c *call) error {
	if err := c.need("lead.read"); err != nil {
		return err
	}
	params, err := c.query()
	if err != nil {
		return err
	}
	wrong := fieldErrors{}
	q := c.listQuery(wrong, params)
	page, per := c.page(wrong, params)
	c.unknownParams(wrong, params, "filters", "sort", "sort_order", "page", "per_page")
	if err := wrong.orNil(); err != nil {
		return err
	}
	if page > 1 && c.knobs.Churn > 0 {
		if err := s.churn(c, q, (page-1)*per); err != nil {
			return err
		}
	}
	body, err := s.page(c, q, page, per)
	if err != nil {
		return err
	}
	room.WriteRaw(c.w, http.StatusOK, body)
	return nil
}

// listQuery reads filters and sorting.
func (c *call) listQuery(wrong fieldErrors, params *node) *listQuery {
	q := &listQuery{sort: sortID, filters: c.filters(wrong, params.kids["filters"])}
	if n := params.kids["sort"]; n != nil {
		name, err := n.scalar()
		switch {
		case err != nil:
			wrong.add("sort", "%v", err)
		case slices.Contains(sortNames, name):
			q.sort = name
		default:
			c.unknown(wrong, "sort "+name)
		}
	}
	if n := params.kids["sort_order"]; n != nil {
		order, err := n.scalar()
		q.desc = strings.EqualFold(order, "DESC")
		if err != nil || !q.desc && !strings.EqualFold(order, "ASC") {
			wrong.add("sort_order", "want ASC or DESC")
		}
	}
	values := c.r.URL.Query()
	values.Del("page")
	values.Del("per_page")
	// Named intervals mean something else tomorrow.
	q.key = c.knobs.TextMatch + "\n" + c.at.UTC().Format(time.DateOnly) + "\n" + values.Encode()
	return q
}

// page makes the answer of a page.
func (s *Simulator) page(c *call, q *listQuery, page, per int) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l, err := s.list(q)
	if err != nil {
		return nil, err
	}
	from, to := window(page, per, l.len())
	b := make([]byte, 0, (to-from+1)*1024)
	b = append(b, '{')
	if !c.knobs.OmitCount {
		b = strconv.AppendInt(append(b, `"count":`...), int64(l.len()), 10)
		b = append(b, ',')
	}
	if !c.knobs.OmitPage {
		b = strconv.AppendInt(append(b, `"page":`...), int64(page), 10)
		b = strconv.AppendInt(append(b, `,"per_page":`...), int64(per), 10)
		b = append(b, ',')
	}
	b = append(b, `"leads":[`...)
	first := true
	for i := from; i < to; i++ {
		doc, ok, err := s.Store.Get(kindLeads, strconv.FormatInt(l.at(i), 10))
		if err != nil {
			return nil, err
		}
		if !ok {
			continue // the sandbox is being reset
		}
		if doc, err = c.render(doc); err != nil {
			return nil, err
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, doc...)
	}
	return append(b, "]}"...), nil
}

// list finds the leads of a list. The caller holds the lock, for as long as it uses the result.
func (s *Simulator) list(q *listQuery) (listing, error) {
	if len(q.filters) == 0 && q.sort == sortID {
		return listing{all: s.index.briefs, desc: q.desc}, nil
	}
	s.found.mu.Lock()
	defer s.found.mu.Unlock()
	if s.found.key == q.key && s.found.version == s.index.version {
		return listing{ids: s.found.ids}, nil
	}
	ids, err := s.search(q)
	if err != nil {
		return listing{}, err
	}
	s.found.key, s.found.version, s.found.ids = q.key, s.index.version, ids
	return listing{ids: ids}, nil
}

// search goes through all leads.
func (s *Simulator) search(q *listQuery) ([]int64, error) {
	// Leads are read from the store only for what their briefs can't tell.
	deep := slices.Contains([]string{"size", "type", "time_frame", "price"}, q.sort) ||
		slices.ContainsFunc(q.filters, func(f filter) bool { return f.full != nil })
	var found []sortKey
next:
	for _, b := range s.index.briefs {
		for _, f := range q.filters {
			if f.quick != nil && !f.quick(b) {
				continue next
			}
		}
		var l *lead
		if deep {
			doc, ok, err := s.Store.Get(kindLeads, strconv.FormatInt(b.id, 10))
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			l = &lead{}
			if err := json.Unmarshal(doc, l); err != nil {
				return nil, err
			}
			for _, f := range q.filters {
				if f.full != nil && !f.full(l) {
					continue next
				}
			}
		}
		found = append(found, q.keyOf(b, l))
	}
	slices.SortFunc(found, func(a, b sortKey) int {
		order := cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.text, b.text), cmp.Compare(a.id, b.id))
		if q.desc {
			return -order
		}
		return order
	})
	ids := make([]int64, len(found))
	for i, k := range found {
		ids[i] = k.id
	}
	return ids, nil
}

// sortKey is what a lead is sorted by: a number, then a text, then the id.
type sortKey struct {
	number int64
	text   string
	id     int64
}

// keyOf makes the key. What is not there comes first. l is nil unless the sort needs it.
func (q *listQuery) keyOf(b *brief, l *lead) sortKey {
	k := sortKey{id: b.id}
	switch q.sort {
	case "last_name":
		_, k.text, _ = strings.Cut(b.names, namesMark)
	case "email":
		k.text = strings.ToLower(b.email)
	case "mobile":
		k.text = b.mobile
	case "user":
		k.number = b.user
	case "status":
		k.text = b.status
	case "created":
		k.number = b.created
	case "time_frame":
		k.number = int64(slices.Index(timeFrames, value(l.TimeFrame)))
	case "type":
		if p := l.preference(); p != nil && len(p.Types) > 0 {
			k.text = p.Types[0].Name
		}
	case "price", "size":
		k.number = -1
		if p := l.preference(); p != nil {
			from := p.FromPrice
			if q.sort == "size" {
				from = p.FromSize
			}
			if from != nil {
				k.number = *from
			}
		}
	}
	return k
}

// preference returns what the lead is looking for, nil if there is nothing.
func (l *lead) preference() *preference {
	if len(l.Preferences) == 0 {
		return nil
	}
	return &l.Preferences[0]
}

// churn imitates others at work while someone pages: before a page, the last lead of the pages before it goes, so that what
// follows moves up; before the next, a lead comes in with an id below all others, so that what follows moves down; and so
// on, as often as the knob says.
func (s *Simulator) churn(c *call, q *listQuery, cursor int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.churned >= c.knobs.Churn {
		return nil
	}
	s.churned++
	if s.churned%2 == 0 {
		return s.changeLocked(nil, func(e *edit) (string, error) {
			for e.counters.Low++; s.index.has(firstID - e.counters.Low); e.counters.Low++ {
			}
			if e.counters.Low >= firstID {
				return "", nil // there is no lower id
			}
			l := newVocabulary().seedling(int(1_000_000+e.counters.Low), firstID-e.counters.Low)
			l.CreatedAt, l.UpdatedAt, l.Kept.Notes = stamp(c.at), stamp(c.at), []note{}
			e.put(l)
			return "", nil
		})
	}
	l, err := s.list(q)
	if err != nil || l.len() == 0 {
		return err
	}
	id := l.at(min(cursor, l.len()) - 1)
	return s.changeLocked(nil, func(e *edit) (string, error) {
		e.delete(id)
		return "", nil
	})
}
