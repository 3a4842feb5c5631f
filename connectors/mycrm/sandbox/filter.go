package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
)

// filter decides on a lead. quick sees its brief, full the whole of it; nil says yes. Both must say yes.
type filter struct {
	quick func(*brief) bool
	full  func(*lead) bool
}

// filters reads all filters of GET /leads.
func (c *call) filters(wrong fieldErrors, n *node) []filter {
	var out []filter
	for name, part := range n.sorted() {
		where := "filters." + name
		var f filter
		var err error
		known := true
		switch name {
		case "wishlist", "legal_representative", "property_fields", "lead_fields":
			out = append(out, c.nested(wrong, name, part)...)
			continue
		case "created", "updated", "passport_expire", "time_frame_from":
			var days interval
			if days, err = c.interval(part); err == nil {
				f = dateFilter(name, days)
			}
		default:
			var v string
			if v, err = part.scalar(); err == nil {
				f, known, err = c.plain(name, v, n)
			}
		}
		switch {
		case err != nil:
			wrong.add(where, "%v", err)
		case !known:
			c.unknown(wrong, where)
		default:
			out = append(out, f)
		}
	}
	return out
}

// plain makes a filter with one value. all is every filter: that on channel looks at that on source.
func (c *call) plain(name, v string, all *node) (f filter, known bool, err error) {
	if choices, get := choiceFilter(name); get != nil {
		if !slices.Contains(choices, v) {
			return f, true, fmt.Errorf("%q is none of %s", v, strings.Join(choices, ", "))
		}
		return filter{full: func(l *lead) bool { return value(get(l)) == v }}, true, nil
	}
	if get := textFilter(name); get != nil {
		match := c.matcher(v)
		return filter{full: func(l *lead) bool { return match(value(get(l))) }}, true, nil
	}
	switch name {
	case "status":
		if !slices.Contains(statuses, v) {
			return f, true, fmt.Errorf("%q is none of %s", v, strings.Join(statuses, ", "))
		}
		return filter{quick: func(b *brief) bool { return b.status == v }}, true, nil
	case "channel":
		if err := checkChannel(v, all); err != nil {
			return f, true, err
		}
		return filter{full: func(l *lead) bool { return value(l.SourceChannel) == v }}, true, nil
	case "name":
		match := c.namesMatcher(v)
		return filter{quick: func(b *brief) bool { return match(b.names) }}, true, nil
	case "mobile":
		match := c.matcher(v)
		return filter{quick: func(b *brief) bool { return match(b.mobile) }}, true, nil
	case "query":
		match, names := c.matcher(v), c.namesMatcher(v)
		return filter{quick: func(b *brief) bool {
			return names(b.names) || match(b.mobile) || match(b.email) || strconv.FormatInt(b.id, 10) == v
		}}, true, nil
	case "country":
		return filter{full: func(l *lead) bool { return strings.EqualFold(value(l.Country), v) }}, true, nil
	case "id", "user", "excluded_user", "property":
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return f, true, errors.New("want an id")
		}
		return idFilter(name, n), true, nil
	}
	return f, false, nil
}

func idFilter(name string, n int64) filter {
	switch name {
	case "id":
		return filter{quick: func(b *brief) bool { return b.id == n }}
	case "user":
		return filter{quick: func(b *brief) bool { return b.user == n }}
	case "excluded_user":
		return filter{quick: func(b *brief) bool { return b.user != n }}
	}
	return filter{full: func(l *lead) bool { return slices.Contains(l.Kept.Properties, n) }}
}

func choiceFilter(name string) ([]string, func(*lead) *string) {
	switch name {
	case "source":
		return sources, func(l *lead) *string { return l.Source }
	case "financial":
		return financials, func(l *lead) *string { return l.Financial }
	case "mortgage_status":
		return mortgageStatuses, func(l *lead) *string { return l.MortgageStatus }
	case "quality":
		return qualities, func(l *lead) *string { return l.Quality }
	}
	return nil, nil
}

func textFilter(name string) func(*lead) *string {
	switch name {
	case "passport":
		return func(l *lead) *string { return l.Passport }
	case "bank":
		return func(l *lead) *string { return l.Bank }
	case "address":
		return func(l *lead) *string { return l.Address }
	case "pobox":
		return func(l *lead) *string { return l.Pobox }
	case "city":
		return func(l *lead) *string { return l.City }
	}
	return nil
}

// checkChannel: "If source is defined, channel must be related to the defined source."
func checkChannel(v string, all *node) error {
	if n := all.kids["source"]; n != nil {
		source, err := n.scalar()
		if err != nil || source == sourceOther {
			return nil
		}
		if related := channelsOf(source); related != nil && !slices.Contains(related, v) {
			return fmt.Errorf("%q is none of the channels of %s: %s", v, source, strings.Join(related, ", "))
		}
	}
	return nil
}

// matcher compares texts as the knob says, without regard to case.
func (c *call) matcher(v string) func(string) bool {
	if c.knobs.TextMatch == exact {
		return func(s string) bool { return s != "" && strings.EqualFold(s, v) }
	}
	v = strings.ToLower(v)
	return func(s string) bool { return strings.Contains(strings.ToLower(s), v) }
}

// namesMatcher compares with the names of a brief: first and last, last and first, and either alone if the match is
// exact.
func (c *call) namesMatcher(v string) func(names string) bool {
	v = strings.ToLower(v)
	if c.knobs.TextMatch != exact {
		return func(names string) bool { return strings.Contains(names, v) }
	}
	return func(names string) bool {
		a, b, _ := strings.Cut(names, namesMark)
		return a == v || b == v || v != "" && (strings.HasPrefix(a, v+" ") && strings.HasSuffix(b, " "+v) || strings.HasPrefix(b, v+" ") && strings.HasSuffix(a, " "+v))
	}
}

// interval is a range of days; a zero end is open.
type interval struct{ from, to time.Time } // to: the first moment after it

func (i interval) has(t time.Time) bool {
	return !t.Before(i.from) && (i.to.IsZero() || t.Before(i.to))
}

// interval reads a named interval, or days from and to, both of them included. Which names there are besides
// current_month is not public, and neither is the time zone: it is UTC here.
func (c *call) interval(n *node) (interval, error) {
	if len(n.kids) == 0 {
		name, err := n.scalar()
		if err != nil {
			return interval{}, err
		}
		return namedInterval(name, c.at.UTC())
	}
	var out interval
	for name, part := range n.sorted() {
		v, err := part.scalar()
		if err != nil {
			return out, err
		}
		day, err := time.Parse(time.DateOnly, v)
		if err != nil {
			return out, fmt.Errorf("%s %q: want a day, as in 2016-01-01", name, v)
		}
		switch name {
		case "from":
			out.from = day
		case "to":
			out.to = day.AddDate(0, 0, 1)
		default:
			return out, fmt.Errorf("%q: want from and to", name)
		}
	}
	return out, nil
}

func namedInterval(name string, now time.Time) (interval, error) {
	year, month, day := now.Date()
	at := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	monday := day - (int(now.Weekday())+6)%7
	switch name {
	case "today":
		return interval{at(year, month, day), at(year, month, day+1)}, nil
	case "yesterday":
		return interval{at(year, month, day-1), at(year, month, day)}, nil
	case "current_week":
		return interval{at(year, month, monday), at(year, month, monday+7)}, nil
	case "last_week":
		return interval{at(year, month, monday-7), at(year, month, monday)}, nil
	case "current_month":
		return interval{at(year, month, 1), at(year, month+1, 1)}, nil
	case "last_month":
		return interval{at(year, month-1, 1), at(year, month, 1)}, nil
	case "current_year":
		return interval{at(year, 1, 1), at(year+1, 1, 1)}, nil
	case "last_year":
		return interval{at(year-1, 1, 1), at(year, 1, 1)}, nil
	}
	return interval{}, fmt.Errorf("%q is no interval: want from and to, or one of today, yesterday, current_week, last_week, current_month, last_month, current_year, last_year", name)
}

func dateFilter(name string, days interval) filter {
	switch name {
	case "created":
		return filter{quick: func(b *brief) bool { return days.has(time.Unix(b.created, 0)) }}
	case "updated":
		return filter{quick: func(b *brief) bool { return days.has(time.Unix(b.updated, 0)) }}
	case "passport_expire":
		return filter{full: func(l *lead) bool {
			day, err := time.Parse(time.DateOnly, value(l.PassportExpiry))
			return err == nil && days.has(day)
		}}
	}
	// time_frame_from. A lead has no such date; its time_frame is in months, so it begins that long after the lead.
	return filter{full: func(l *lead) bool {
		first, _, _ := strings.Cut(value(l.TimeFrame), "-")
		months, err := strconv.Atoi(first)
		return err == nil && days.has(l.CreatedAt.AddDate(0, months, 0))
	}}
}

// nested makes the filters below a name: wishlist[from_price], lead_fields[2].
func (c *call) nested(wrong fieldErrors, name string, n *node) []filter {
	if len(n.values) > 0 || len(n.kids) == 0 {
		wrong.add("filters."+name, "want filters[%s][…]", name)
		return nil
	}
	var out []filter
	for key, part := range n.sorted() {
		where := "filters." + name + "." + key
		var full func(*lead) bool
		var err error
		if name == "wishlist" {
			full, err = wish(key, part)
		} else {
			var v string
			if v, err = part.scalar(); err == nil {
				full = c.below(name, key, v)
			}
		}
		switch {
		case err != nil:
			wrong.add(where, "%v", err)
		case full == nil:
			c.unknown(wrong, where)
		default:
			out = append(out, filter{full: full})
		}
	}
	return out
}

// below makes a filter with one value below a name, nil if there is none.
func (c *call) below(name, key, v string) func(*lead) bool {
	switch {
	case name == "lead_fields":
		if _, ok := fieldOf("lead", key); ok {
			return func(l *lead) bool { return c.fieldIs(l.Fields[key], v) }
		}
	case name == "property_fields":
		if _, ok := fieldOf("property", key); ok {
			return func(l *lead) bool {
				return slices.ContainsFunc(l.Kept.Properties, func(id int64) bool { return c.fieldIs(propertyFields(id)[key], v) })
			}
		}
	case key == "name":
		match := c.namesMatcher(v)
		return func(l *lead) bool {
			first, last := strings.ToLower(value(l.LegalFirst)), strings.ToLower(value(l.LegalLast))
			return first+last != "" && match(first+" "+last+namesMark+last+" "+first)
		}
	case key == "mobile":
		match := c.matcher(v)
		return func(l *lead) bool { return match(value(l.LegalMobile)) || match(value(l.LegalPhone)) }
	case key == "email":
		match := c.matcher(v)
		return func(l *lead) bool { return match(value(l.LegalEmail)) }
	}
	return nil
}

// fieldIs compares the value of a custom field: texts as other texts, numbers as numbers, booleans as true, false, 1 or 0.
func (c *call) fieldIs(raw json.RawMessage, v string) bool {
	if len(raw) == 0 {
		return false
	}
	switch raw[0] {
	case '"':
		var s string
		return json.Unmarshal(raw, &s) == nil && c.matcher(v)(s)
	case 't':
		return v == "true" || v == "1"
	case 'f':
		return v == "false" || v == "0"
	}
	if _, err := strconv.ParseFloat(v, 64); err != nil {
		return false // also what is too long to be worked out
	}
	a, ok := new(big.Rat).SetString(string(raw))
	b, right := new(big.Rat).SetString(v)
	return ok && right && a.Cmp(b) == 0
}

// wish makes a filter on what the lead is looking for, nil if there is none of the name.
func wish(key string, n *node) (func(*lead) bool, error) {
	switch key {
	case "locations", "types":
		want, err := n.list()
		if err != nil {
			return nil, err
		}
		return func(l *lead) bool {
			p := l.preference()
			return p != nil && (key == "locations" && slices.ContainsFunc(p.Locations, func(x location) bool { return slices.Contains(want, x.ID) }) ||
				key == "types" && slices.ContainsFunc(p.Types, func(x propertyType) bool { return slices.Contains(want, strconv.FormatInt(x.ID, 10)) }))
		}, nil
	case keyCategory:
		v, err := n.scalar()
		if err == nil && !slices.Contains(categories, v) {
			err = fmt.Errorf("%q is none of %s", v, strings.Join(categories, ", "))
		}
		return func(l *lead) bool { return value(l.Kept.Category) == v }, err
	}
	if new(preference).number(key) == nil {
		return nil, nil
	}
	v, err := n.scalar()
	if err != nil {
		return nil, err
	}
	want, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return nil, errors.New("want a whole number")
	}
	return func(l *lead) bool {
		p := l.preference()
		if p == nil {
			return false
		}
		has := *p.number(key)
		return has != nil && (strings.HasPrefix(key, "from_") && *has >= want || strings.HasPrefix(key, "to_") && *has <= want)
	}, nil
}
