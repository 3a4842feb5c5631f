package mapmycustomers

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
)

// when reads a time stamp of the vendor.
func (c *Conn) when(v record.Value) (time.Time, bool) {
	out, ok := c.zones.moment(nil, v)
	if !ok || out.Kind() != record.DateTime {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, out.Text())
	return t, err == nil
}

// creation is what the maker needs to know to make a row's customer.
func (s *customerSink) creation(ctx context.Context, row *record.Row) delivery.Creation {
	var body []byte
	return delivery.Creation{
		Row: row, Print: s.layout.printRow(row),
		Payload: func() (err error) {
			body, _, err = s.layout.customer(nil, row, true)
			return err
		},
		Send: func() (delivery.Result, error) { return s.call(ctx, http.MethodPost, "/customers", body, false, row) },
		ID:   func(res delivery.Result) string { return identifier(res.Header.Get("Location"), res.Body) },
		Look: func(try int, l *delivery.Look) (string, error) {
			path, what := s.searchFor(row, try)
			return what, s.conn.each(ctx, path, func(rec *scanner) error {
				r, err := s.layout.parseRemote(rec)
				if err != nil {
					return err
				}
				at, dated := s.conn.when(r.created)
				l.See(r.id, s.layout.compare(row, &r, true), s.layout.printRemote(&r), at, dated)
				return nil
			})
		},
	}
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

// findKey looks for the customers that have a key.
func (s *customerSink) findKey(ctx context.Context, row *record.Row, key string) (delivery.Finding, error) {
	return s.Patient(ctx, func(try int) (delivery.Finding, error) {
		path, what := s.searchFor(row, try)
		var ids []string
		err := s.conn.each(ctx, path, func(rec *scanner) error {
			r, err := s.layout.parseRemote(rec)
			if err == nil && s.layout.remoteKey(&r) == key {
				ids = append(ids, strings.Clone(r.id))
			}
			return err
		})
		f := delivery.Finding{Answer: delivery.Absent, Note: fmt.Sprintf("%s found no customer with that %s", what, s.layout.keyOf.Name)}
		switch {
		case err != nil:
			return delivery.Finding{Answer: delivery.Unclear}, err
		case len(ids) == 1:
			f = delivery.Finding{Answer: delivery.Present, ID: ids[0], Note: fmt.Sprintf("%s found it: %s", what, ids[0])}
		case len(ids) > 1:
			f = delivery.Finding{Answer: delivery.Unclear, Note: fmt.Sprintf("%s found %s with that %s", what, s.List(ids), s.layout.keyOf.Name)}
		}
		return f, nil
	})
}
