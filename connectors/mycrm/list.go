package mycrm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/zeebo/xxh3"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
)

// perPage is how many leads a page is asked to have. The document shows no pages; public clients use page and per_page,
// and answers echo them.
const perPage = 100

// listing is a list of leads that is read page by page.
type listing struct {
	query   url.Values // filters
	sort    string     // "" is id
	desc    bool
	perPage int // 0 is perPage
	expand  bool
	warn    func(string)
}

// page is one page of a list.
type page struct {
	count   int64 // of the whole list; -1 if the answer does not say it
	perPage int64 // as the answer says, 0 if it does not
	leads   []json.RawMessage
	ids     []string
	keys    []uint64 // of the ids
}

// all reads a whole list, a lead at a time, which is short as a rule: what a lookup finds.
func (c *Conn) all(ctx context.Context, q listing, f func(*lead) error) error {
	for p := newPass(q); !p.ended; {
		x, err := c.page(ctx, q, p.n+1)
		if err != nil {
			return err
		}
		before := p.seen.len()
		if err := p.take(x); err != nil {
			return err
		}
		if p.seen.len() == before {
			continue
		}
		for _, raw := range x.leads {
			l, err := parseLead(raw)
			if err == nil {
				err = f(l)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// byID reports whether the list is sorted by id, upwards: what is deleted or added then moves pages in one way only.
func (q listing) byID() bool { return (q.sort == "" || q.sort == "id") && !q.desc }

// page reads page n, from 1.
func (c *Conn) page(ctx context.Context, q listing, n int64) (*page, error) {
	query := maps.Clone(q.query)
	if query == nil {
		query = url.Values{}
	}
	size, order, sort := q.perPage, "ASC", q.sort
	if size == 0 {
		size = perPage
	}
	if q.desc {
		order = "DESC"
	}
	if sort == "" {
		sort = "id"
	}
	query.Set("page", strconv.FormatInt(n, 10))
	query.Set("per_page", strconv.Itoa(size))
	query.Set("sort", sort)
	query.Set("sort_order", order)
	body, err := c.read(ctx, "/leads", query, q.expand, q.warn)
	var known *api.Error
	if n == 1 && errors.As(err, &known) && (known.Class == api.NotFound || known.Status == http.StatusMethodNotAllowed) {
		return nil, c.elsewhere(known) // a list can't be missing
	}
	if err != nil {
		return nil, err
	}
	p, err := parsePage(body)
	if err != nil {
		return nil, &api.Error{Op: "GET /leads", Class: api.Protocol, Message: fmt.Sprintf("page %d: %v", n, err), Err: err}
	}
	return p, nil
}

// parsePage reads a page: {"count":…,"page":…,"per_page":…,"leads":[…]}, as public clients have it, without the numbers,
// as the document has it, or the bare array.
func parsePage(body []byte) (*page, error) {
	p := &page{count: -1}
	var o struct {
		Count   json.Number       `json:"count"`
		PerPage json.Number       `json:"per_page"`
		Leads   []json.RawMessage `json:"leads"`
	}
	if body = bytes.TrimSpace(body); len(body) > 0 && body[0] == '[' {
		if err := json.Unmarshal(body, &o.Leads); err != nil {
			return nil, err
		}
	} else {
		if err := json.Unmarshal(body, &o); err != nil {
			return nil, err
		}
		if o.Leads == nil {
			return nil, fmt.Errorf("the answer holds no leads: %s", delivery.Excerpt(body))
		}
	}
	if n, err := o.Count.Int64(); err == nil && n >= 0 {
		p.count = n
	}
	if n, err := o.PerPage.Int64(); err == nil && n > 0 {
		p.perPage = n
	}
	p.leads = o.Leads
	for i, raw := range p.leads {
		if inner, err := bare(raw); err == nil {
			p.leads[i], raw = inner, inner
		}
		var x struct {
			ID value `json:"id"`
		}
		if err := json.Unmarshal(raw, &x); err != nil || x.ID.IsEmpty() {
			return nil, fmt.Errorf("lead %d of the page has no id: %s", i+1, delivery.Excerpt(raw))
		}
		p.ids = append(p.ids, x.ID.Text())
		p.keys = append(p.keys, keyOf(x.ID.Value))
	}
	return p, nil
}

// keyOf is an id as a number: itself, or the hash of one that is none.
func keyOf(id record.Value) uint64 {
	if n, err := strconv.ParseUint(id.Text(), 10, 64); err == nil {
		return n
	}
	return xxh3.HashString(id.Text())
}

// idSet is a set of ids. Those that come in order, as a list sorted by id brings them, take 8 bytes each.
type idSet struct {
	sorted []uint64
	rest   map[uint64]struct{}
}

// add reports whether an id is new.
func (s *idSet) add(id uint64) bool {
	if len(s.sorted) == 0 || id > s.sorted[len(s.sorted)-1] {
		if _, ok := s.rest[id]; ok {
			return false
		}
		s.sorted = append(s.sorted, id)
		return true
	}
	if _, ok := slices.BinarySearch(s.sorted, id); ok {
		return false
	}
	if _, ok := s.rest[id]; ok {
		return false
	}
	if s.rest == nil {
		s.rest = map[uint64]struct{}{}
	}
	s.rest[id] = struct{}{}
	return true
}

func (s *idSet) len() int64 { return int64(len(s.sorted) + len(s.rest)) }

// pass is one reading of a list from its first page to its last.
type pass struct {
	q      listing
	n      int64 // pages read
	first  int64 // what the first page said the list has, -1 if nothing
	count  int64 // and the latest one
	least  int64 // and the lowest
	seen   idSet
	last   []uint64 // ids of the latest page
	rows   int64
	rising bool // ids came upwards only
	ended  bool
	size   int64 // leads of a page, as far as that is known
}

func newPass(q listing) *pass { return &pass{q: q, first: -1, count: -1, least: -1, rising: true} }

// take adds the next page. An error says that the list can't be read page by page.
func (p *pass) take(x *page) error {
	p.n++
	if x.count >= 0 {
		if p.first < 0 {
			p.first, p.least = x.count, x.count
		}
		p.count, p.least = x.count, min(p.least, x.count)
	}
	if p.n == 1 {
		if p.size = x.perPage; p.size == 0 {
			p.size = perPage
		}
		if n := int64(len(x.keys)); 0 < n && n < p.count {
			p.size = min(p.size, n) // a page may have fewer than was asked for, and the answer need not say so
		}
	}
	fresh := 0
	for i, id := range x.keys {
		before := uint64(0)
		if i > 0 {
			before = x.keys[i-1]
		} else if len(p.last) > 0 {
			before = p.last[len(p.last)-1]
		}
		p.rising = p.rising && (id > before || p.rows == 0 && i == 0)
		if p.seen.add(id) {
			fresh++
		}
	}
	p.rows += int64(len(x.keys))
	if len(x.keys) > 0 && fresh == 0 && (slices.Equal(x.keys, p.last) || p.count < 0) {
		return &api.Error{Op: "GET /leads", Class: api.Protocol,
			Message: fmt.Sprintf("page %d has the leads of a page before it: the vendor does not turn pages, and the list can't be read to its end", p.n)}
	}
	p.last = x.keys
	switch {
	case len(x.keys) == 0:
		p.ended = true
	case p.count >= 0:
		p.ended = p.seen.len() >= p.count || p.n*p.size >= p.count && int64(len(x.keys)) < p.size || p.n*p.size >= p.count+p.size
	default:
		p.ended = x.perPage > 0 && int64(len(x.keys)) < x.perPage
	}
	return nil
}

// pages is how many pages the list surely has, 0 if that is not known.
func (p *pass) pages() int64 {
	if p.count < 0 || p.size == 0 {
		return 0
	}
	return (p.count + p.size - 1) / p.size
}

// whole reports whether the pass has certainly brought every lead of the list: as many as the vendor counts, while none
// was taken away. A list that is not sorted by id must not have grown either.
func (p *pass) whole() bool {
	switch {
	case p.count < 0:
		return !p.overlaps()
	case p.seen.len() != p.count, p.overlaps(), p.least < p.first:
		return false
	}
	return p.count == p.first || p.q.byID() && p.rising
}

// overlaps reports whether a lead came twice, as one does where others before it come and go between two pages.
func (p *pass) overlaps() bool { return p.seen.len() != p.rows }

// moved reports whether the list changed while it was read.
func (p *pass) moved() bool { return p.count != p.first || p.least != p.first }
