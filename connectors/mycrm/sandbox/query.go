package sandbox

import (
	"cmp"
	"errors"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// node is a part of a query: filters[created][from]=x is filters, below it created, below that from.
type node struct {
	values []string // in order; PHP takes the last
	kids   map[string]*node
}

// query reads the query as PHP does: names with brackets nest, a[] adds to a list.
func (c *call) query() (*node, error) {
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, room.Invalid("the query can't be read: %v", err)
	}
	root := &node{}
	for name, all := range values {
		n := root
		for _, part := range splitName(name) {
			n = n.kid(part)
		}
		n.values = append(n.values, all...)
	}
	return root, nil
}

// splitName splits a[b][c] into a, b, c. A name with brackets that do not match is one part.
func splitName(name string) []string {
	first, rest, nested := strings.Cut(name, "[")
	if !nested || first == "" || !strings.HasSuffix(rest, "]") {
		return []string{name}
	}
	parts := strings.Split(rest[:len(rest)-1], "][")
	for _, p := range parts {
		if strings.ContainsAny(p, "[]") {
			return []string{name}
		}
	}
	return append([]string{first}, parts...)
}

func (n *node) kid(name string) *node {
	if n.kids == nil {
		n.kids = map[string]*node{}
	}
	k := n.kids[name]
	if k == nil {
		k = &node{}
		n.kids[name] = k
	}
	return k
}

// sorted goes through the parts below n, which may be nil.
func (n *node) sorted() iter.Seq2[string, *node] {
	return func(yield func(string, *node) bool) {
		if n == nil {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(n.kids)) {
			if !yield(name, n.kids[name]) {
				return
			}
		}
	}
}

// scalar is the one value of n.
func (n *node) scalar() (string, error) {
	if len(n.kids) > 0 || len(n.values) == 0 {
		return "", errors.New("want one value")
	}
	return n.values[len(n.values)-1], nil
}

// list is the values of n: a[]=x, a[0]=x, or a=x for a list of one.
func (n *node) list() ([]string, error) {
	out := slices.Clone(n.values)
	var places []int
	for name, k := range n.kids {
		if len(k.kids) > 0 {
			return nil, errors.New("want a list")
		}
		if name == "" {
			out = append(out, k.values...)
			continue
		}
		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || strconv.Itoa(i) != name {
			return nil, errors.New("want a list")
		}
		places = append(places, i)
	}
	slices.SortFunc(places, cmp.Compare)
	for _, i := range places {
		v, err := n.kids[strconv.Itoa(i)].scalar()
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// unknown notes something in the query that the vendor does not know.
func (c *call) unknown(wrong fieldErrors, name string) {
	if c.knobs.StrictFilters {
		wrong.add(name, "unknown")
		return
	}
	c.warn("%s is unknown and was ignored", strconv.QuoteToASCII(name))
}

// unknownParams does so for all parameters but the known.
func (c *call) unknownParams(wrong fieldErrors, q *node, known ...string) {
	for name := range q.sorted() {
		if !slices.Contains(known, name) {
			c.unknown(wrong, name)
		}
	}
}

// page reads page, from 1, and per_page, of which too much becomes as much as there can be.
func (c *call) page(wrong fieldErrors, q *node) (page, per int) {
	number := func(name string, def int) int {
		n := q.kids[name]
		if n == nil {
			return def
		}
		v, err := n.scalar()
		if err != nil {
			wrong.add(name, "%v", err)
			return def
		}
		i, err := strconv.Atoi(v)
		if err != nil || i < 1 {
			wrong.add(name, "want a whole number from 1")
			return def
		}
		return i
	}
	page, per = number("page", 1), number("per_page", c.knobs.DefaultPerPage)
	if c.knobs.IgnorePage {
		page = 1
	}
	return page, min(per, c.knobs.MaxPerPage)
}

// window is where a page begins and ends in a list of n.
func window(page, per, n int) (from, to int) {
	if page-1 > n/per {
		return n, n
	}
	from = min((page-1)*per, n)
	return from, min(from+per, n)
}
