package lunarsend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// Source starts an export: everything with v2, one contact by its id, or the union of what several terms find. A term
// is FIELD=TEXT, or a text that is searched for in each field by which people look for contacts.
func (c *Conn) Source(ctx context.Context, object string, q schema.Query) (pipeline.Source, error) {
	if _, ok := Schema().Object(object); !ok {
		return nil, fmt.Errorf("Lunar Send has no object %s; it has contacts", object)
	}
	terms := q.Terms
	if len(terms) == 0 && q.Search != "" {
		terms = []string{q.Search}
	}
	if err := c.supported(q, terms); err != nil {
		return nil, err
	}
	s := &source{conn: c, raw: q.Raw, id: strings.TrimSpace(q.ID), seen: map[xxh3.Uint128]int32{}, warn: q.Warn, names: columns()}
	if s.warn == nil {
		s.warn = func(string) {}
	}
	s.header = record.LooseHeader(s.names)
	if q.Raw {
		s.header = record.LooseHeader([]string{"record"})
	}
	switch {
	case s.id != "":
		s.searches = []search{{by: "id", term: s.id}}
	case len(terms) == 0:
		s.searches = []search{{all: true}}
	default:
		for _, t := range terms {
			list, err := searches(t, c.set.searchable)
			if err != nil {
				return nil, err
			}
			for _, x := range list {
				if !slices.Contains(s.searches, x) {
					s.searches = append(s.searches, x)
				}
			}
		}
	}
	if len(terms) > 0 {
		s.warn("the file will hold the contacts that the search terms find, and no others")
	}
	// The first answer comes before any file is begun, so that a wrong id or key leaves none.
	first, err := s.fetch(ctx)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	s.first, s.over = first, err != nil
	if s.id != "" && len(first) == 0 {
		return nil, fmt.Errorf("there is no contact with the id %s", s.id)
	}
	return s, nil
}

// supported refuses what the vendor can't do, instead of exporting something else than was asked for.
func (c *Conn) supported(q schema.Query, terms []string) error {
	switch {
	case len(q.Filters) > 0:
		return fmt.Errorf("filter %s: Lunar Send offers no filters; use --search FIELD=TERM, or filter the file", q.Filters[0].Name)
	case q.Sort != "":
		return fmt.Errorf("sort %s: Lunar Send offers no sorting; sort the file", q.Sort)
	case q.Expand:
		return errors.New("expand: Lunar Send has nothing to expand in contacts")
	case !q.Since.IsZero():
		return errors.New("contacts have no time stamp that --since could be compared with")
	case q.ID != "" && len(terms) > 0:
		return errors.New("an export is by id or by search terms, not both")
	case q.ID == "" && len(terms) == 0 && !c.set.v2:
		return errors.New("the legacy API can't list all contacts; use --search FIELD=TERM (it may be repeated), or profile v2")
	}
	return nil
}

// search is one search of an export.
type search struct {
	by, term string
	all      bool // everything, with no term
	guess    bool // by a field that the user did not name
}

// searches are those that a term asks for.
func searches(text string, searchable []string) ([]search, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, errors.New("a search term is empty")
	}
	name, term, named := strings.Cut(text, "=")
	if !named {
		var list []search
		for _, by := range []string{"email", "first_name", "last_name", "company", "phone", "job_title"} {
			list = append(list, search{by: by, term: text, guess: true})
		}
		return list, nil
	}
	o := Schema().Objects[0]
	f, ok := o.Match(name)
	switch {
	case !ok || !slices.Contains(searchable, f.Name):
		return nil, fmt.Errorf("search %q: %q is no field to search by; there are %s. For a term that holds =, write FIELD=TERM", text, strings.TrimSpace(name), strings.Join(searchable, ", "))
	case strings.TrimSpace(term) == "":
		return nil, fmt.Errorf("search %q: the term is empty", text)
	}
	return []search{{by: f.Name, term: strings.TrimSpace(term)}}, nil
}

// source reads the answers of some searches, one at a time, each contact once.
type source struct {
	conn     *Conn
	searches []search
	at       int   // in searches
	page     int   // of that search
	distinct int64 // contacts that it has found
	total    int64 // and that the vendor says it finds; 0 if it does not say
	seen     map[xxh3.Uint128]int32
	raw      bool
	id       string
	names    []string
	header   *record.Header
	warn     func(string)
	first    []json.RawMessage
	begun    bool
	over     bool
	rows     int64
	bare     int64 // contacts of which only the id came
	missing  int   // searches that were answered 404
	refused  int   // and that the vendor did not understand
}

// Header names the fields, or "record" alone if the vendor's own JSON was asked for.
func (s *source) Header() *record.Header { return s.header }

// Close does nothing: each answer is read whole.
func (s *source) Close() error { return nil }

// Next fetches the next contacts.
func (s *source) Next(ctx context.Context, c *pipeline.Chunk) error {
	c.Data = c.Data[:0]
	list, over := s.first, s.over
	if s.begun {
		list = nil
		if !s.over {
			var err error
			list, err = s.fetch(ctx)
			if over = errors.Is(err, io.EOF); err != nil && !over {
				return err
			}
		}
	}
	s.begun, s.first = true, nil
	if over && !s.over {
		s.over = true
	}
	if len(list) == 0 {
		s.sum()
		return io.EOF
	}
	c.Line = s.rows + 1
	for _, raw := range list {
		c.Data = append(append(c.Data, raw...), '\n')
	}
	s.rows += int64(len(list))
	return nil
}

// sum says at the end what the file can't hold.
func (s *source) sum() {
	if s.bare > 0 {
		s.warn(fmt.Sprintf("%d of %d contacts came as ids only: the API shows no other fields of them", s.bare, s.rows))
		s.bare = 0
	}
	if s.missing == len(s.searches) {
		s.warn("every search was answered 404: there are no such contacts, or there is no such path; see paths_search")
		s.missing = 0
	}
}

// fetch returns the contacts of the next answer that has new ones, io.EOF after the last.
func (s *source) fetch(ctx context.Context) ([]json.RawMessage, error) {
	for s.at < len(s.searches) {
		x := s.searches[s.at]
		f, err := s.conn.page(ctx, x.by, x.term, s.page)
		var known *api.Error
		if x.guess && errors.As(err, &known) && known.Class == api.Invalid {
			s.warn(fmt.Sprintf("the vendor does not search by %s: %s", x.by, known.Message))
			s.refused++
			f.list, err = nil, nil
			if s.refused == len(s.searches) {
				return nil, errors.New("the vendor understood none of the searches; name a field, as in --search company=TERM")
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x, err)
		}
		if x.all && f.missing {
			return nil, fmt.Errorf("%s: the vendor answers 404, so there is no such path: check base_url", x)
		}
		fresh, found := s.take(x, &f)
		if s.page > 0 && len(f.list) > 0 && found == 0 {
			return nil, fmt.Errorf("%s: page %d shows contacts of earlier pages and no other; the vendor's pages can't be told apart, so nothing is exported", x, s.page)
		}
		done, err := s.ended(x, &f)
		if err != nil {
			return nil, err
		}
		if s.page++; done {
			s.at, s.page, s.distinct, s.total = s.at+1, 0, 0, 0
		}
		if len(fresh) > 0 {
			return fresh, nil
		}
	}
	return nil, io.EOF
}

// take keeps what is new of an answer: to the export, and found to the search.
func (s *source) take(x search, f *found) (fresh []json.RawMessage, found int) {
	if f.missing {
		s.missing++
	}
	if f.single && s.id == "" {
		s.warn("the vendor answers a search with one contact; if others match too, it does not show them")
	}
	for i := range f.list {
		one := &f.list[i]
		if s.id != "" && one.id != s.id {
			continue
		}
		s.total = max(s.total, one.total)
		key := xxh3.HashString128(one.id)
		last, known := s.seen[key]
		if known && last == int32(s.at) {
			continue
		}
		s.seen[key] = int32(s.at)
		found++
		if known {
			continue
		}
		if one.bare() {
			s.bare++
		}
		fresh = append(fresh, one.raw)
	}
	s.distinct += int64(found)
	return fresh, found
}

// ended reports whether a search has shown all that it finds. Only v2 has pages.
func (s *source) ended(x search, f *found) (bool, error) {
	switch {
	case !s.conn.set.v2, s.id != "", s.page == 0 && len(f.list) == 0 && !x.all:
		return true, nil
	case len(f.list) == 0 && s.page == 0 && x.all:
		s.warn("the vendor lists no contacts for an empty search term: there are none, or v2 does not list that way; then use --search FIELD=TERM")
		return true, nil
	case len(f.list) == 0 && s.distinct < s.total:
		return true, fmt.Errorf("%s: the vendor says that there are %d contacts and shows %d; nothing is exported, as the file would not be whole", x, s.total, s.distinct)
	}
	return len(f.list) == 0 || s.total > 0 && s.distinct >= s.total, nil
}

// String names the search in messages.
func (x search) String() string {
	if x.all {
		return "the list of all contacts"
	}
	return fmt.Sprintf("the search %s=%s", x.by, x.term)
}

// Decode turns the contacts of a chunk into rows. An id that came without an object around it makes a row of its own.
func (s *source) Decode(c *pipeline.Chunk, b *record.Batch) error {
	b.Header, b.Origin = s.header, s.header
	d := json.NewDecoder(bytes.NewReader(c.Data))
	for n := c.Line; ; n++ {
		var raw json.RawMessage
		if err := d.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("contact %d: %w", n, err)
		}
		row := b.Add()
		row.Line = n
		if s.raw {
			row.Values = b.Cells(1)
			row.Values[0] = record.Of(record.JSON, string(raw))
			row.Origin = row.Values
			continue
		}
		var a answer
		if err := a.read(raw, true, 0); err != nil || len(a.elements) != 1 {
			return fmt.Errorf("contact %d: %w", n, errors.Join(err, fmt.Errorf("%s is no contact", excerpt(raw))))
		}
		row.Values = b.Cells(len(s.names))
		one := &a.elements[0]
		for i, name := range s.names {
			if v, ok := one.get(name); ok {
				row.Values[i] = v
			}
		}
		row.Values[slices.Index(s.names, "id")] = record.TextOf(one.id)
		s.compose(row)
		row.Origin = row.Values
	}
}

// compose fills in the whole name of a contact that came with its two.
func (s *source) compose(row *record.Row) {
	at := func(name string) *record.Value { return &row.Values[slices.Index(s.names, name)] }
	first, last := at("first_name"), at("last_name")
	if at("name").Kind() == record.Absent && (!first.IsEmpty() || !last.IsEmpty()) {
		*at("name") = record.TextOf(fullName(first.Text(), last.Text()))
	}
}
