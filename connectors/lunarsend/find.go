package lunarsend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
)

const (
	pageSize    = 100 // contacts asked for at once in v2
	lookupPages = 10  // pages that a lookup reads at most: what it looks for is shared by few
)

// found is what a search found.
type found struct {
	list    []contact
	single  bool   // one contact came, not in a list
	missing bool   // the answer was 404: there is none, or no such path
	words   string // of the 404
}

// has reports whether a contact is among what was found.
func (f *found) has(id string) bool {
	return slices.ContainsFunc(f.list, func(c contact) bool { return c.id == id })
}

// searchCall prepares a search. page counts from 0 and matters to v2 only.
func (c *Conn) searchCall(by, term string, page int) *api.Request {
	if c.set.v2 {
		q := url.Values{"search_term": {term}, "query_amount": {strconv.Itoa(pageSize)}, "page": {strconv.Itoa(page)}}
		if by != "" {
			q.Set("search_by", by)
		}
		return c.request(http.MethodGet, c.set.search, q, nil)
	}
	var q url.Values
	var body []byte
	if c.set.searchBy != inBody {
		q = url.Values{"searchby": {by}, "search": {term}}
	}
	if c.set.searchBy != inQuery {
		body = record.AppendString([]byte(`{"searchby":`), by)
		body = append(record.AppendString(append(body, `,"search":`...), term), '}')
	}
	return c.request(http.MethodGet, c.set.search, q, body)
}

// page makes one search.
func (c *Conn) page(ctx context.Context, by, term string, page int) (found, error) {
	r := c.searchCall(by, term, page)
	got, err := c.api.Do(ctx, r)
	if delivery.IsNotFound(err) {
		f := found{missing: true}
		var known *api.Error
		if errors.As(err, &known) {
			f.words = known.Message
		}
		return f, nil
	}
	if err != nil {
		return found{}, err
	}
	c.clock.Observe(got.Header, c.now())
	protocol := func(text string) error {
		return &api.Error{Op: r.Op, Class: api.Protocol, Status: got.Status, Message: text}
	}
	a, err := parse(got.Body)
	if err != nil {
		return found{}, protocol(err.Error())
	}
	f := found{single: a.single}
	for i := range a.elements {
		e := &a.elements[i]
		if e.refusal != "" {
			return found{}, &api.Error{Op: r.Op, Class: api.Invalid, Status: got.Status, Message: e.refusal}
		}
		f.list = append(f.list, e.contact)
	}
	return f, nil
}

// find returns the contacts that a search by a field finds, all pages of it.
func (c *Conn) find(ctx context.Context, by, term string) (found, error) {
	all, err := c.page(ctx, by, term, 0)
	if err != nil || !c.set.v2 || len(all.list) == 0 {
		return all, err
	}
	ids := map[string]bool{}
	for _, x := range all.list {
		ids[x.id] = true
	}
	for page := 1; int64(len(ids)) < all.list[0].total; page++ {
		if page == lookupPages {
			return all, &api.Error{Op: "GET " + c.set.search, Class: api.Protocol,
				Message: fmt.Sprintf("a search by %s finds %d contacts, too many to tell one of them", by, all.list[0].total)}
		}
		more, err := c.page(ctx, by, term, page)
		if err != nil {
			return all, err
		}
		before := len(ids)
		for _, x := range more.list {
			if !ids[x.id] {
				ids[x.id] = true
				all.list = append(all.list, x)
			}
		}
		if len(ids) == before {
			return all, &api.Error{Op: "GET " + c.set.search, Class: api.Protocol,
				Message: fmt.Sprintf("the vendor says that a search by %s finds %d contacts and shows %d", by, all.list[0].total, before)}
		}
	}
	return all, nil
}

// refusedSearch reports whether the vendor does not take such a search, which says nothing about its contacts.
func refusedSearch(err error) bool {
	var known *api.Error
	return errors.As(err, &known) && (known.Class == api.Invalid || known.Class == api.Conflict || known.Class == api.Protocol)
}

// matching is what is known of how the vendor's search compares.
type matching uint8

const (
	unproven matching = iota
	whole             // the whole value has to agree
	parts             // a part of the value is enough
)

// same returns the contacts among f whose field has the value, and reports whether that is certain. Where the answer
// shows the field, it is compared on this side. Where it does not, it counts whether the search is one by whole values:
// a search for ann@… must not find joann@….
func (s *sink) same(ctx context.Context, f found, by, value string) (list []contact, sure bool, err error) {
	want := keyNorm(by, record.TextOf(value))
	sure = true
	for i := range f.list {
		x := &f.list[i]
		v, ok := x.get(by)
		if by == "id" {
			v, ok = record.TextOf(x.id), true
		}
		if !ok {
			m, err := s.matches(ctx, x.id, by, value)
			if err != nil {
				return nil, false, err
			}
			sure = sure && m == whole
		} else if keyNorm(by, v) != want {
			continue
		}
		if !slices.ContainsFunc(list, func(y contact) bool { return y.id == x.id }) {
			list = append(list, *x)
		}
	}
	return list, sure, nil
}

// matches finds out, once a run and field, whether a search finds a contact by a part of its value: by searching for
// the value of one that was found, without its first and without its last character.
func (s *sink) matches(ctx context.Context, id, by, value string) (matching, error) {
	s.proving.Lock()
	defer s.proving.Unlock()
	if m := s.proved[by]; m != unproven {
		return m, nil
	}
	runes := []rune(strings.TrimSpace(value))
	if len(runes) < 2 {
		return unproven, nil
	}
	m := whole
	for _, term := range []string{string(runes[1:]), string(runes[:len(runes)-1])} {
		f, err := s.conn.find(ctx, by, term)
		if refusedSearch(err) {
			continue // not even searched for
		}
		if err != nil {
			return unproven, err
		}
		if f.has(id) || f.single {
			m = parts
		}
	}
	if m == parts {
		s.Warn("the vendor's search by %s finds parts of values too, and shows no values: where one is found, it can't be told whether it is the right one", by)
	}
	s.proved[by] = m
	return m, nil
}

// describe names contacts in a message.
func describe(list []contact) string {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].id
	}
	switch {
	case len(ids) == 1:
		return "contact " + ids[0]
	case len(ids) > 10:
		return fmt.Sprintf("%d contacts, among them %s", len(ids), strings.Join(ids[:10], ", "))
	}
	return "contacts " + strings.Join(ids, ", ")
}
