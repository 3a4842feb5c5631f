package mappconnect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// Payloads returns the function that renders an object's records as events, as the connection's settings say. An error of
// the function is a record.Problems.
func Payloads(object string, load schema.Load) (schema.Payloads, error) {
	st, err := readStyle(load.Settings)
	if err != nil {
		return nil, err
	}
	l, err := newLayout(object, load, st)
	if err != nil {
		return nil, err
	}
	return func(dst []byte, rows []*record.Row) ([]byte, error) {
		if len(rows) == 0 {
			return dst, nil
		}
		return l.append(dst, rows)
	}, nil
}

// append appends the event of one record, which is one row or several. What can't be sent is a record.Problems; dst is
// then as it was.
func (l *layout) append(dst []byte, rows []*record.Row) ([]byte, error) {
	e := encoder{l: l, rows: rows}
	if len(rows) > 1 {
		e.agree()
	}
	out := e.members(append(dst, '{'), l.root)
	if len(e.problems) > 0 {
		return dst, e.problems
	}
	if len(l.tail) > 0 {
		tail := l.tail
		if out[len(out)-1] == '{' {
			tail = tail[1:]
		}
		out = append(out, tail...)
	}
	return append(out, '}'), nil
}

// encoder writes one event.
type encoder struct {
	l        *layout
	rows     []*record.Row
	problems record.Problems
}

func (e *encoder) bad(field, rule, format string, args ...any) {
	e.problems = append(e.problems, record.Problem{Field: field, Rule: rule, Message: fmt.Sprintf(format, args...)})
}

// agree finds columns in which the rows of one record contradict each other.
func (e *encoder) agree() {
	for _, i := range e.l.common {
		v, from := e.pick(i)
		if v.IsEmpty() {
			continue
		}
		for _, row := range e.rows {
			if w := cell(row, i); !w.IsEmpty() && w != v {
				e.bad(e.l.header.Name(i), "group", "row %d has %q and row %d has %q; rows of one record must agree in it", from.Num, v.Cell(), row.Num, w.Cell())
				break
			}
		}
	}
}

// pick returns the value of a column from the first row that has one, and that row.
func (e *encoder) pick(at int) (record.Value, *record.Row) {
	v := cell(e.rows[0], at)
	if len(e.rows) == 1 || !v.IsEmpty() {
		return v, e.rows[0]
	}
	for _, row := range e.rows[1:] {
		if w := cell(row, at); !w.IsEmpty() {
			return w, row
		}
	}
	return v, e.rows[0]
}

// members appends the members of an object that have a value.
func (e *encoder) members(dst []byte, nodes []node) []byte {
	for i := range nodes {
		n := &nodes[i]
		if n.form == plain && len(e.rows) == 1 && uint(n.cell) < uint(len(e.rows[0].Values)) {
			if v := &e.rows[0].Values[n.cell]; v.Kind() == record.Text { // as most are
				if !v.IsEmpty() {
					dst = record.AppendString(n.key.Append(dst), v.Text())
				}
				continue
			}
		}
		begin := len(dst)
		dst = n.key.Append(dst)
		body := len(dst)
		if dst = e.value(dst, n); len(dst) == body {
			dst = dst[:begin] // there is nothing to say
		}
	}
	return dst
}

// value appends the value of a member; nothing if there is none.
func (e *encoder) value(dst []byte, n *node) []byte {
	switch n.form {
	case group:
		return e.object(dst, n.kids)
	case pairs:
		return e.pairs(dst, n)
	case itemList:
		return e.items(dst)
	case eventMode:
		return record.AppendString(dst, e.l.modeOf(e.rows[0]))
	}
	v, _ := e.pick(n.cell)
	if v.Kind() == record.Absent || v.Kind() == record.Text && v.IsEmpty() || n.form == flagTrue && v.Text() != "true" {
		return dst
	}
	out, err := e.l.style.append(dst, v, n.form)
	if err != nil {
		rule := "datetime"
		if v.Kind() == record.Fault {
			rule = "fault"
		}
		e.bad(n.name, rule, "%v", err)
		return dst
	}
	return out
}

// object appends an object of members, nothing if none has a value.
func (e *encoder) object(dst []byte, kids []node) []byte {
	out := e.members(append(dst, '{'), kids)
	if len(out) == len(dst)+1 {
		return dst
	}
	return append(out, '}')
}

// pairs appends names and values: those of the cell, and those of columns of their own.
func (e *encoder) pairs(dst []byte, n *node) []byte {
	v, _ := e.pick(n.cell)
	inner := ""
	if text := v.Text(); v.Kind() == record.JSON && len(text) > 1 && text[0] == '{' {
		inner = strings.TrimSpace(text[1 : len(text)-1])
	} else if !v.IsEmpty() {
		e.bad(n.name, string(schema.Pairs), "%q holds no names and values", v.Cell())
		return dst
	}
	out := append(append(dst, '{'), inner...)
	if len(n.kids) > 0 {
		from := len(out)
		out = e.members(out, n.kids)
		if len(out) > from && inner != "" {
			for _, name := range both(v.Text(), "{"+string(out[from+1:])+"}") {
				e.bad(n.name, "unique", "%q stands there and in a column of its own", name)
			}
		}
	}
	if len(out) == len(dst)+1 {
		return dst
	}
	return append(out, '}')
}

// both returns the names that two objects share.
func both(a, b string) []string {
	var x, y map[string]json.RawMessage
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return nil
	}
	var names []string
	for name := range x {
		if _, ok := y[name]; ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// items appends the items of a transaction, one a row that has any of their columns, in the rows' order.
func (e *encoder) items(dst []byte) []byte {
	out := append(dst, '[')
	add := func(item []byte) {
		if len(out) > len(dst)+1 {
			out = append(out, ',')
		}
		out = append(out, item...)
	}
	var room [256]byte
	for _, row := range e.rows {
		one := encoder{l: e.l, rows: []*record.Row{row}}
		item := one.object(room[:0], e.l.items)
		e.problems = append(e.problems, one.problems...)
		all := cell(row, e.l.whole)
		switch {
		case !all.IsEmpty() && len(item) > 0:
			e.bad(fieldItems, "unique", "row %d has items in one cell and in columns of their own", row.Num)
		case len(item) > 0:
			add(item)
		case all.IsEmpty():
		default:
			inner, err := elements(all)
			if err != nil {
				e.bad(fieldItems, string(schema.JSON), "%v", err)
			} else if inner != "" {
				add([]byte(inner))
			}
		}
	}
	if len(out) == len(dst)+1 {
		return dst
	}
	return append(out, ']')
}

// elements returns what stands between the brackets of an array of objects; one object stands for itself.
func elements(v record.Value) (string, error) {
	text := strings.TrimSpace(v.Text())
	wrong := fmt.Errorf("%.60q is no JSON array of items", text)
	switch {
	case v.Kind() == record.JSON && strings.HasPrefix(text, "{"):
		return text, nil
	case v.Kind() != record.List:
		return "", wrong
	}
	var list []json.RawMessage
	if json.Unmarshal([]byte(text), &list) != nil || len(text) < 2 {
		return "", wrong
	}
	for _, x := range list {
		if len(x) == 0 || x[0] != '{' {
			return "", wrong
		}
	}
	return strings.TrimSpace(text[1 : len(text)-1]), nil
}

// append appends a value that is not absent.
func (s style) append(dst []byte, v record.Value, as form) ([]byte, error) {
	text := v.Text()
	switch v.Kind() {
	case record.Null:
		if s.emptyText {
			return append(dst, `""`...), nil
		}
		return append(dst, "null"...), nil
	case record.Fault:
		return dst, fmt.Errorf("the cell holds the spreadsheet's error %s", text)
	case record.DateTime:
		return appendStamp(dst, text)
	case record.Bool:
		return s.appendBool(dst, text), nil
	case record.List, record.JSON:
		return append(dst, text...), nil
	}
	if as == stamp {
		return appendStamp(dst, text)
	}
	if v.Kind() == record.Number && s.numbers {
		return append(dst, text...), nil
	}
	return record.AppendString(dst, text), nil
}

func (s style) appendBool(dst []byte, text string) []byte {
	if s.booleans {
		return append(dst, text...)
	}
	return record.AppendString(dst, text)
}

// layouts are the forms of ISO 8601 that files have. A fraction of the second is read with each.
var layouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly, "2006-01-02T15:04:05Z0700",
	"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04"}

// appendStamp appends a point in time as the document writes it: in UTC, with milliseconds. Milliseconds since 1970 pass
// as they are, as text. A time without a zone is UTC.
func appendStamp(dst []byte, text string) ([]byte, error) {
	if canonical(text) {
		return append(append(append(dst, '"'), text[:19]...), `.000Z"`...), nil
	}
	text = strings.TrimSpace(text)
	if n := len(text); n >= 12 && n <= 14 && strings.Trim(text, "0123456789") == "" {
		return record.AppendString(dst, text), nil
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return append(t.UTC().AppendFormat(append(dst, '"'), "2006-01-02T15:04:05.000Z"), '"'), nil
		}
	}
	if text != "" && len(text) < 12 && strings.Trim(text, "0123456789") == "" {
		return dst, fmt.Errorf("%q has too few digits for milliseconds since 1970; apply: [epoch] reads seconds", text)
	}
	return dst, fmt.Errorf("%q is neither a date such as 2024-02-10T17:25:43Z nor milliseconds since 1970; if the column writes dates otherwise, say how with apply: [{datetime: DD/MM/YYYY HH:mm}]", text)
}

// canonical reports whether a text is a point in time as mappings write it, 2024-02-10T17:25:43Z, of a day that its month
// has in every year: others are looked at in full.
func canonical(s string) bool {
	const form = "0000-00-00T00:00:00Z"
	if len(s) != len(form) {
		return false
	}
	wrong := byte(0)
	for i := range len(form) {
		if form[i] == '0' {
			d := s[i] - '0'
			wrong |= (d + 0x76 | d) & 0x80 // more than 9
		} else {
			wrong |= s[i] ^ form[i]
		}
	}
	if wrong != 0 {
		return false
	}
	two := func(at int) byte { return (s[at]-'0')*10 + s[at+1] - '0' }
	month, day := two(5), two(8)
	days := [13]byte{1: 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	return month <= 12 && day >= 1 && day <= days[month] && two(11) < 24 && two(14) < 60 && two(17) < 60
}
