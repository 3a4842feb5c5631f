package mapmycustomers

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// layout says where the fields of an object stand in rows with one header.
type layout struct {
	object *schema.Object
	header *record.Header
	load   schema.Load
	fields []place        // what goes into a payload, in the header's order
	byName map[string]int // place in fields, of what can be compared with the vendor's record
	id     int            // cell of the id, -1 if there is none
	key    int            // cell of the key of an upsert, -1 if there is none
	keyOf  *schema.Field
}

// place is one field of a payload.
type place struct {
	cell  int
	field *schema.Field
	name  record.Key
	text  bool // its values are written as texts, but for lists
	note  bool // an empty one would add a note to a customer that is there
}

func newLayout(object string, load schema.Load, h *record.Header) (*layout, error) {
	o, ok := Schema().Object(object)
	if !ok || len(o.Modes) == 0 {
		return nil, fmt.Errorf("%s can't be imported into Map My Customers", object)
	}
	if load.Mode == "" {
		load.Mode = o.Modes[0]
	}
	if !o.HasMode(load.Mode) {
		return nil, fmt.Errorf("%s has no mode %s; it has %s", object, load.Mode, modeList(o.Modes))
	}
	if h == nil {
		return nil, errors.New("the rows have no header")
	}
	l := &layout{object: o, header: h, load: load, byName: map[string]int{}, id: -1, key: -1}
	var problems []error
	for i := range h.Len() {
		f, ok := o.Field(h.Name(i))
		switch {
		case !ok:
			problems = append(problems, fmt.Errorf("%s has no field %q", object, h.Name(i)))
		case !f.Takes(load.Mode):
			if f.Name == "id" || load.Mode == schema.Delete {
				continue // it tells the record apart, or nothing; the payload goes without
			}
			problems = append(problems, fmt.Errorf("field %s of %s can't be written with mode %s", f.Name, object, load.Mode))
		case object == customers && f.Name == "id":
			l.id = i
		default:
			if f.Type != schema.File {
				l.byName[f.Name] = len(l.fields)
			}
			l.fields = append(l.fields, place{cell: i, field: f, name: record.KeyOf(f.Name), text: isText(f), note: f.Name == "notes"})
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return l, l.needs()
}

// needs says which fields are missing from the header altogether.
func (l *layout) needs() error {
	has := func(name string) bool { return l.header.Index(name) >= 0 }
	switch l.object.Name {
	case customers:
		switch l.load.Mode {
		case schema.Update, schema.Delete:
			if l.id < 0 {
				return fmt.Errorf("mode %s needs the field id; an export of customers has it", l.load.Mode)
			}
			if l.load.Mode == schema.Update && len(l.fields) == 0 {
				return errors.New("there is nothing to update: only the field id is mapped")
			}
		case schema.Create:
			if !has("name") && !has("company") {
				return errors.New("mode create needs the field name or company")
			}
		case schema.Upsert:
			return l.chooseKey()
		}
	case routes:
		if !has("routeName") || !has("customerId") && !has("customerIds") {
			return errors.New("a route needs the field routeName, and customerId or customerIds")
		}
	case groups:
		if !has("group") {
			return errors.New("groups need the field group")
		}
	case customfields:
		if !has("label") || !has("slot") {
			return errors.New("customfields need the fields label and slot")
		}
	}
	return nil
}

// chooseKey settles what an upsert matches on.
func (l *layout) chooseKey() error {
	key := l.load.Key
	if key == "" {
		for _, k := range l.object.KeyFields {
			if l.header.Index(k) >= 0 {
				key = k
				break
			}
		}
	}
	f, ok := l.object.Field(key)
	if key == "" {
		return fmt.Errorf("mode upsert needs one of the fields %s to match on", strings.Join(l.object.KeyFields, ", "))
	}
	if !ok || f.ReadOnly || f.Type == schema.File || f.Type == schema.List {
		return fmt.Errorf("upsert can't match on %q; match on one of %s, or another text field", key, strings.Join(l.object.KeyFields, ", "))
	}
	if l.key = l.header.Index(key); l.key < 0 {
		return fmt.Errorf("upsert is to match on %s, but no column is mapped to it", key)
	}
	l.load.Key, l.keyOf = key, f
	return nil
}

func modeList(modes []schema.Mode) string {
	names := make([]string, len(modes))
	for i, m := range modes {
		names[i] = string(m)
	}
	return strings.Join(names, ", ")
}

func cell(row *record.Row, at int) record.Value {
	if at < 0 || at >= len(row.Values) {
		return record.Value{}
	}
	return row.Values[at]
}

// customer appends the payload of a customer: the fields that the row has, in the header's order. sent is how many
// there are. What can't be sent is a problem of the row.
func (l *layout) customer(dst []byte, row *record.Row, files bool) (body []byte, sent int, err error) {
	return l.payload(dst, row, files, l.load.Mode == schema.Update)
}

// payload does what customer does. An update leaves out an empty note: it would add one.
func (l *layout) payload(dst []byte, row *record.Row, files, update bool) (body []byte, sent int, err error) {
	var problems record.Problems
	dst = append(dst, '{')
	for i := range l.fields {
		p := &l.fields[i]
		if p.text && !(p.note && update) && uint(p.cell) < uint(len(row.Values)) {
			if v := &row.Values[p.cell]; v.Kind() != record.Absent && v.Kind() != record.List {
				sent++
				dst = record.AppendString(p.name.Append(dst), v.Text())
				continue
			}
		}
		v := cell(row, p.cell)
		if v.Kind() == record.Absent || p.field.Type == schema.File && (!files || v.IsEmpty()) || update && p.note && v.IsEmpty() {
			continue
		}
		sent++
		dst = p.name.Append(dst)
		var bad error
		if p.field.Type == schema.File {
			if dst, bad = appendFile(dst, l.load.Attachments, v.Text()); bad != nil {
				problems = append(problems, record.Problem{Field: p.field.Name, Rule: "file", Message: bad.Error()})
			}
			continue
		}
		if dst, bad = appendValue(dst, p.field, v); bad != nil {
			problems = append(problems, record.Problem{Field: p.field.Name, Rule: string(p.field.Type), Message: bad.Error()})
		}
	}
	if len(problems) > 0 {
		return dst, sent, problems
	}
	return append(dst, '}'), sent, nil
}

// isText reports whether the values of a field are written as texts, but for lists.
func isText(f *schema.Field) bool {
	switch f.Type {
	case schema.Text, schema.ID, schema.Email, schema.Phone:
		return true
	}
	return false
}

// addsNote reports whether an update with the row's cells adds a note.
func (l *layout) addsNote(row *record.Row) bool {
	i, ok := l.byName["notes"]
	return ok && !cell(row, l.fields[i].cell).IsEmpty()
}

// print is the fingerprint of what the vendor can be expected to keep of a row: two rows with one print are twins that
// can't be told apart there. Attachments are not part of it, as they can't be read back.
func (l *layout) print(value func(i int) record.Value) uint64 {
	var b []byte
	for i := range l.fields {
		if f := l.fields[i].field; f.Type != schema.File {
			b = append(append(b, norm(f, value(i))...), 0xff)
		}
	}
	return xxh3.Hash(b)
}

func (l *layout) printRow(row *record.Row) uint64 {
	return l.print(func(i int) record.Value { return cell(row, l.fields[i].cell) })
}

func (l *layout) printRemote(r *remote) uint64 {
	return l.print(func(i int) record.Value { return r.values[i] })
}

// compare holds a record of the vendor against what a row sends. Fields that the vendor does not return do not
// count. With created, the row made the record: a text that the row leaves out is blank there too.
func (l *layout) compare(row *record.Row, r *remote, created bool) delivery.Likeness {
	result, told := delivery.Same, false
	for i := range l.fields {
		f := l.fields[i].field
		if f.Type == schema.File || r.values[i].Kind() == record.Absent {
			continue
		}
		v := cell(row, l.fields[i].cell)
		have := norm(f, r.values[i])
		if v.Kind() == record.Absent {
			switch f.Type {
			case schema.Text, schema.Email, schema.Phone:
				if created && have != "" {
					result = delivery.Near
				}
			}
			continue
		}
		want := norm(f, v)
		if want != have && !(f.Name == "notes" && want != "" && strings.Contains(have, want)) {
			return delivery.Different
		}
		told = told || want != ""
	}
	if !told {
		return delivery.Different
	}
	return result
}

// route is a route as rows describe it.
type route struct {
	name string
	ids  []string
}

// route gathers the customers of one route from its rows, in order.
func (l *layout) route(rows []*record.Row) (route, record.Problems) {
	var r route
	var problems record.Problems
	name, one, many := l.header.Index("routeName"), l.header.Index("customerId"), l.header.Index("customerIds")
	for _, row := range rows {
		if r.name == "" {
			r.name = strings.TrimSpace(cell(row, name).Text())
		}
		if v := cell(row, one); !v.IsEmpty() {
			r.ids = append(r.ids, strings.TrimSpace(v.Text()))
		}
		// A route may pass a customer twice, so that repetitions stay.
		list, ok := cell(row, many).Items()
		if !ok {
			list = strings.Split(cell(row, many).Text(), ";")
		}
		for _, id := range list {
			if id = strings.TrimSpace(id); id != "" {
				r.ids = append(r.ids, id)
			}
		}
	}
	if r.name == "" {
		problems = append(problems, record.Problem{Field: "routeName", Rule: "required", Message: "a route needs a name"})
	}
	if len(r.ids) == 0 {
		problems = append(problems, record.Problem{Field: "customerId", Rule: "required", Message: "a route needs at least one customer"})
	}
	return r, problems
}

func (r route) append(dst []byte) []byte {
	dst = record.AppendString(append(dst, `{"routeName":`...), r.name)
	dst = append(append(dst, `,"customerIds":`...), record.ListOf(r.ids).Text()...)
	return append(dst, '}')
}

// groupNames are the groups that rows name, each once, in order.
func (l *layout) groupNames(rows []*record.Row) []string {
	at := l.header.Index("group")
	var names []string
	seen := map[string]bool{}
	for _, row := range rows {
		if g := strings.TrimSpace(plain(cell(row, at))); g != "" && !seen[g] {
			seen[g] = true
			names = append(names, g)
		}
	}
	return names
}

func appendGroups(dst []byte, names []string) []byte {
	return append(append(append(dst, `{"groups":`...), record.ListOf(names).Text()...), '}')
}

// label is one line of customfields.
type label struct {
	name string
	slot int
}

// labels reads the labels that rows give, and refuses slots that do not exist and what stands twice.
func (l *layout) labels(rows []*record.Row) ([]label, map[*record.Row]record.Problem) {
	name, slot := l.header.Index("label"), l.header.Index("slot")
	var list []label
	bad := map[*record.Row]record.Problem{}
	for _, row := range rows {
		x := label{name: strings.TrimSpace(plain(cell(row, name)))}
		n, err := strconv.Atoi(strings.TrimSpace(cell(row, slot).Text()))
		x.slot = n
		sameSlot := slices.IndexFunc(list, func(y label) bool { return y.slot == n })
		sameName := slices.IndexFunc(list, func(y label) bool { return strings.EqualFold(y.name, x.name) })
		switch {
		case x.name == "":
			bad[row] = record.Problem{Field: "label", Rule: "required", Message: "a custom field needs a label"}
		case err != nil || n < 0 || n > 9:
			bad[row] = record.Problem{Field: "slot", Rule: "max", Message: fmt.Sprintf("%q is no slot; there are 0 to 9", cell(row, slot).Text())}
		case sameSlot >= 0:
			bad[row] = record.Problem{Field: "slot", Rule: "unique", Message: fmt.Sprintf("slot %d is given to %q already", n, list[sameSlot].name)}
		case sameName >= 0:
			bad[row] = record.Problem{Field: "label", Rule: "unique", Message: fmt.Sprintf("label %q has slot %d already", x.name, list[sameName].slot)}
		default:
			list = append(list, x)
		}
	}
	return list, bad
}

func appendLabels(dst []byte, list []label) []byte {
	dst = append(dst, '{')
	for i, x := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(append(record.AppendString(dst, x.name), ':'), int64(x.slot), 10)
	}
	return append(dst, '}')
}

// Payloads returns the function that renders an object's records as request bodies. A delete has none: its id is
// shown instead. An error of the function is a record.Problems if the row is at fault.
func Payloads(object string, load schema.Load) (schema.Payloads, error) {
	l, err := newLayout(object, load, load.Header)
	if err != nil {
		return nil, err
	}
	return func(dst []byte, rows []*record.Row) ([]byte, error) {
		if len(rows) == 0 {
			return dst, nil
		}
		switch object {
		case routes:
			r, problems := l.route(rows)
			if len(problems) > 0 {
				return dst, problems
			}
			return r.append(dst), nil
		case groups:
			return appendGroups(dst, l.groupNames(rows)), nil
		case customfields:
			list, bad := l.labels(rows)
			for _, row := range rows {
				if p, ok := bad[row]; ok {
					return dst, record.Problems{p}
				}
			}
			return appendLabels(dst, list), nil
		}
		if l.load.Mode == schema.Delete {
			return append(record.AppendString(append(dst, `{"id":`...), cell(rows[0], l.id).Text()), '}'), nil
		}
		body, _, err := l.customer(dst, rows[0], true)
		if err != nil {
			return dst, err
		}
		return body, nil
	}, nil
}
