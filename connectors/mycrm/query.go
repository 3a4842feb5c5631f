package mycrm

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crmetl/crmetl/internal/near"
	"github.com/crmetl/crmetl/schema"
)

// listingOf turns what an export asks for into the vendor's filters and order.
func listingOf(o *schema.Object, q schema.Query, warn func(string)) (listing, error) {
	list := listing{query: url.Values{}, sort: q.Sort, desc: q.Desc, expand: q.Expand, warn: warn}
	switch {
	case q.Search != "":
		return list, fmt.Errorf("search %q: leads have no search; --filter query=… looks at id, names, mobile and e-mail", q.Search)
	case q.ID != "" && !goodID(q.ID):
		return list, fmt.Errorf("id %q: %w", q.ID, errBadID)
	case q.ID != "" && (len(q.Filters) > 0 || q.Sort != "" || !q.Since.IsZero()):
		return list, fmt.Errorf("one lead was asked for by its id: filters, an order and --since do not go with that")
	case q.Sort != "" && !slices.Contains(o.Export.Sorts, q.Sort):
		return list, fmt.Errorf("sort %q: leads are sorted by one of %s", q.Sort, strings.Join(o.Export.Sorts, ", "))
	}
	for _, f := range q.Filters {
		if err := addFilter(list.query, o, f, warn); err != nil {
			return list, err
		}
	}
	if !q.Since.IsZero() && q.ID == "" {
		// Days are the vendor's, and its time zone is not known: what the day before brings too much is left out here.
		from := q.Since.UTC().AddDate(0, 0, -1).Format(time.DateOnly)
		if at := "filters[updated][from]"; !list.query.Has(at) && !list.query.Has("filters[updated]") {
			list.query.Set(at, from)
		}
	}
	if q.Sort != "" && q.Sort != "id" {
		warn(fmt.Sprintf("sorted by %s, leads that change meanwhile may move between pages; each is written once, and their number is compared with the vendor's", q.Sort))
	}
	return list, nil
}

// addFilter writes NAME=VALUE as the vendor reads it: created.from=2016-01-01 as filters[created][from]=2016-01-01.
func addFilter(query url.Values, o *schema.Object, f schema.Condition, warn func(string)) error {
	name := strings.TrimSpace(f.Name)
	if name == "" {
		return fmt.Errorf("a filter has no name: write --filter NAME=VALUE")
	}
	if !listedFilter(o, name) {
		warn(fmt.Sprintf("the vendor's document does not name the filter %s; it is passed as it is", name))
	}
	value, err := filterValue(o, name, f.Value)
	if err != nil {
		return fmt.Errorf("filter %s: %w", name, err)
	}
	key := "filters"
	if strings.ContainsAny(name, "[]") {
		key += "[" + strings.TrimSuffix(strings.TrimPrefix(name, "["), "]") + "]" // written as the vendor does: created[from], [created][from]
		if head, rest, ok := strings.Cut(name, "["); ok && head != "" {
			key = "filters[" + head + "][" + rest
		}
	} else {
		for part := range strings.SplitSeq(name, ".") {
			key += "[" + part + "]"
		}
	}
	switch name {
	case "wishlist.locations", "wishlist.types":
		n := 0
		for item := range strings.SplitSeq(f.Value, ";") {
			if item = strings.TrimSpace(item); item != "" {
				query.Add(key+"["+strconv.Itoa(n)+"]", item)
				n++
			}
		}
	default:
		query.Set(key, value)
	}
	return nil
}

// filterValue holds a filter's value against what the table knows of it, and gives it the vendor's spelling: a filter that
// the vendor passes over in silence would export everything, and one that nothing fits, nothing.
func filterValue(o *schema.Object, name, text string) (string, error) {
	name = strings.Trim(strings.NewReplacer("][", ".", "[", ".", "]", "").Replace(name), ".")
	if head, end, _ := strings.Cut(name, "."); (end == "from" || end == "to") && listedFilter(o, head) {
		day := strings.TrimSpace(text)
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return text, fmt.Errorf("%q is no day; write it like 2016-01-31", text)
		}
		return day, nil
	}
	switch name {
	case "status", "source", "financial", "quality", "mortgage_status", "wishlist.category":
	default:
		return text, nil
	}
	f, ok := o.Field(strings.TrimPrefix(name, "wishlist."))
	if !ok {
		return text, nil
	}
	if v, known := choices(f)[strings.ToLower(strings.TrimSpace(text))]; known {
		return v, nil
	}
	hint := ""
	if meant := near.Name(text, f.Values); meant != "" {
		hint = fmt.Sprintf("; did you mean %s?", meant)
	}
	return text, fmt.Errorf("%q is none of the choices %s%s", text, strings.Join(f.Values, ", "), hint)
}

func listedFilter(o *schema.Object, name string) bool {
	return slices.ContainsFunc(o.Export.Filters, func(f schema.Filter) bool {
		if prefix, ok := strings.CutSuffix(f.Name, "*"); ok {
			return strings.HasPrefix(name, prefix) && len(name) > len(prefix)
		}
		return f.Name == name
	})
}

// goodID reports whether a text is the id of a lead. An empty id, a wildcard, or one that leads elsewhere in the address
// must never reach the vendor: DELETE /leads/ could be read as DELETE /leads, which deletes all of them.
func goodID(id string) bool { return digits(id) && id[0] != '0' }
