package mapmycustomers

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// appendValue appends a cell as the JSON that the field takes. Null clears: "" for texts, [] for lists, null for
// numbers.
func appendValue(dst []byte, f *schema.Field, v record.Value) ([]byte, error) {
	switch f.Type {
	case schema.Number, schema.Integer:
		s := v.Text()
		if v.Kind() == record.Number && allDigits(s) && (s[0] != '0' || len(s) == 1) {
			return append(dst, s...), nil // as most are
		}
		if v.IsEmpty() {
			return append(dst, "null"...), nil
		}
		s = strings.TrimSpace(s)
		p := &scanner{s: s}
		if lit, err := p.number(); err != nil || len(lit) != len(s) {
			return dst, fmt.Errorf("%q is no number", v.Text())
		}
		return append(dst, s...), nil
	case schema.Epoch:
		if v.IsEmpty() {
			return append(dst, "null"...), nil
		}
		s, ok := seconds(v)
		if !ok {
			return dst, fmt.Errorf("%q is no point in time like 2016-05-26T20:52:46Z, nor seconds since 1970", v.Text())
		}
		return append(dst, s...), nil
	case schema.List:
		return append(dst, record.ListOf(items(v)).Text()...), nil
	case schema.Enum:
		if v.IsEmpty() {
			return append(dst, `""`...), nil
		}
		return record.AppendString(dst, choice(f, v.Text())), nil
	}
	return record.AppendString(dst, plain(v)), nil
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return s != ""
}

// plain is a value as text, whatever it was in the file.
func plain(v record.Value) string {
	if v.Kind() == record.List {
		return v.Cell()
	}
	return v.Text()
}

// items are the texts of a list: without outer blanks, empty ones and repetitions, in their order.
func items(v record.Value) []string {
	raw, ok := v.Items()
	if !ok && !v.IsEmpty() {
		raw = strings.Split(v.Text(), ";")
	}
	out := raw[:0:0]
	for _, s := range raw {
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// choice is a text as the vendor spells that choice; another text stays as it is.
func choice(f *schema.Field, s string) string {
	s = strings.TrimSpace(s)
	for same, means := range f.Same {
		if strings.EqualFold(s, same) {
			return means
		}
	}
	for _, c := range f.Values {
		if strings.EqualFold(s, c) {
			return c
		}
	}
	return s
}

// norm is the form in which two values of a field are compared, whether they come from a file or from the vendor:
// blanks do not count, nor the order of a list, and numbers and times count by their value. Nothing is "".
func norm(f *schema.Field, v record.Value) string {
	if v.IsEmpty() {
		return ""
	}
	switch f.Type {
	case schema.Number, schema.Integer:
		if f.Name == "latitude" || f.Name == "longitude" {
			// About ten metres: vendors round what they keep.
			if x, err := strconv.ParseFloat(strings.TrimSpace(v.Text()), 64); err == nil {
				return strconv.FormatFloat(math.Round(x*1e4)/1e4+0, 'f', 4, 64)
			}
		}
		return decimal(strings.TrimSpace(v.Text()))
	case schema.Epoch:
		if s, ok := seconds(v); ok {
			return s
		}
	case schema.List:
		list := items(v)
		slices.Sort(list)
		return strings.Join(list, "\x00")
	case schema.Enum:
		return strings.ToLower(choice(f, v.Text()))
	}
	return strings.Join(strings.Fields(plain(v)), " ")
}

// decimal brings a decimal literal into one form per value: digits without zeros at the ends, and an exponent. A text
// that is no number stays as it is.
func decimal(s string) string {
	p := &scanner{s: s}
	if lit, err := p.number(); err != nil || len(lit) != len(s) {
		return s
	}
	neg := s[0] == '-'
	mantissa, exp, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(s, "-")), "e")
	e := 0
	if exp != "" {
		var err error
		if e, err = strconv.Atoi(exp); err != nil {
			return s
		}
	}
	whole, frac, _ := strings.Cut(mantissa, ".")
	e -= len(frac)
	digits := strings.TrimLeft(whole+frac, "0")
	trimmed := strings.TrimRight(digits, "0")
	if trimmed == "" {
		return "0"
	}
	e += len(digits) - len(trimmed)
	if neg {
		trimmed = "-" + trimmed
	}
	return trimmed + "e" + strconv.Itoa(e)
}

// keyNorm is the form in which upsert compares keys; "" is no key.
func keyNorm(f *schema.Field, v record.Value) string {
	s := norm(f, v)
	switch f.Type {
	case schema.ID:
		return s
	case schema.Phone:
		digits := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, s)
		if digits != "" {
			return digits
		}
	}
	return strings.ToLower(s)
}

// remote is one record of the vendor, as far as a layout needs it.
type remote struct {
	id        string
	created   record.Value
	updated   record.Value
	values    []record.Value // by place in layout.fields; Absent if the vendor did not return the field
	routeName string
	points    int
}

// parseRemote reads one record of the vendor's list.
func (l *layout) parseRemote(rec *scanner) (remote, error) {
	var r remote
	err := l.parseInto(&r, rec)
	return r, err
}

// parseInto does what parseRemote does, in memory that is used again.
func (l *layout) parseInto(r *remote, rec *scanner) error {
	values := r.values
	if values == nil {
		values = make([]record.Value, len(l.fields))
	}
	clear(values)
	*r = remote{values: values, points: -1}
	return rec.object(0, func(key string) error {
		v, err := rec.value()
		if err != nil {
			return err
		}
		switch key {
		case "id":
			r.id = v.Text()
		case "createdAt":
			r.created = v
		case "updatedAt":
			r.updated = v
		case "points":
			if list, ok := v.Items(); ok {
				r.points = len(list)
			}
		}
		if key == "name" {
			r.routeName = v.Text()
		}
		if i, ok := l.byName[key]; ok {
			r.values[i] = v
		}
		return nil
	})
}

// identifier reads an id out of an answer to a create, if there is one: the last segment of Location, or id.
func identifier(location string, body []byte) string {
	if location != "" {
		location, _, _ = strings.Cut(location, "?")
		location = strings.TrimRight(location, "/")
		if i := strings.LastIndexByte(location, '/'); i >= 0 {
			location = location[i+1:]
		}
		if location != "" && location != customers && location != routes {
			return location
		}
	}
	var x struct {
		ID       json.RawMessage `json:"id"`
		ObjectID json.RawMessage `json:"objectId"`
	}
	if json.Unmarshal(body, &x) != nil {
		return ""
	}
	for _, raw := range []json.RawMessage{x.ID, x.ObjectID} {
		if v, err := record.ParseJSON(raw); err == nil && (v.Kind() == record.Text || v.Kind() == record.Number) {
			return v.Text()
		}
	}
	return ""
}
