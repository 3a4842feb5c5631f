package mycrm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

const familyPrefix = "fields."

// layout says where the fields of a lead stand in rows with one header.
type layout struct {
	object *schema.Object
	header *record.Header
	load   schema.Load
	shape  shape
	slots  []slot
	cells  []int    // place of each slot in the header, -1 if the rows do not carry it
	custom []column // custom fields that the rows carry
	id     int      // cell of the id, -1 if there is none
	key    int      // cell of the key of an upsert, -1 if there is none
	ops    []place  // what a patch changes
	spare  []spare  // what a lead gets that lacks it
}

// column is a custom field of rows.
type column struct {
	cell int
	name string // as in the header: fields.3
	meta *definition
}

// place is a field of a patch.
type place struct {
	cell     int
	name, op string
	path     string
}

// defaultShape is how a lead is written unless the connection says otherwise.
func defaultShape() shape {
	return shape{envelope: true, preference: "preference", offering: "both", channel: "source_channel"}
}

func newLayout(object string, load schema.Load, sh shape) (*layout, error) {
	o, ok := Schema().Object(object)
	if !ok {
		return nil, fmt.Errorf("%s can't be imported into MyCRM; it has %s", object, leads)
	}
	if load.Mode == "" {
		load.Mode = o.Modes[0]
	}
	h := load.Header
	switch {
	case !o.HasMode(load.Mode):
		return nil, fmt.Errorf("%s has no mode %s; it has create, update, upsert, delete and patch", object, load.Mode)
	case h == nil:
		return nil, errors.New("the rows have no header")
	}
	l := &layout{object: o, header: h, load: load, shape: sh, slots: slotsOf(o), id: h.Index("id"), key: -1}
	for i := range l.slots {
		l.cells = append(l.cells, h.Index(l.slots[i].name))
	}
	var problems []error
	for i := range h.Len() {
		name := h.Name(i)
		f, ok := o.Field(name)
		switch {
		case !ok || f.Family():
			problems = append(problems, fmt.Errorf("%s has no field %q", object, name))
		case name == "id" || load.Mode == schema.Delete:
		case !f.Takes(load.Mode):
			problems = append(problems, fmt.Errorf("field %s of %s can't be written with mode %s", name, object, load.Mode))
		case strings.HasPrefix(name, familyPrefix):
			l.custom = append(l.custom, column{cell: i, name: name, meta: &definition{ID: name[len(familyPrefix):]}})
		case load.Mode == schema.Patch:
			l.ops = append(l.ops, operation(name, i))
		}
	}
	problems = append(problems, l.takeDefaults())
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return l, l.needs()
}

func operation(name string, cell int) place {
	p := place{cell: cell, name: name, op: "replace", path: "/status"}
	switch what, op, list := strings.Cut(name, "."); {
	case list && what == "properties":
		p.op, p.path = op, "/assignment/property"
	case list:
		p.op, p.path = op, "/assignment/mls"
	case name == "user":
		p.path = "/assignment/user"
	}
	return p
}

// needs says which fields are missing from the header altogether.
func (l *layout) needs() error {
	switch m := l.load.Mode; {
	case m == schema.Upsert:
		return l.chooseKey()
	case m != schema.Create && l.id < 0:
		return fmt.Errorf("mode %s needs the field id; an export of leads has it", m)
	case m == schema.Update && !l.any() && len(l.spare) == 0, m == schema.Patch && len(l.ops) == 0:
		return fmt.Errorf("there is nothing to %s: only the field id is mapped", m)
	}
	return nil
}

// any reports whether the rows carry anything of a lead.
func (l *layout) any() bool {
	return len(l.custom) > 0 || slices.ContainsFunc(l.cells, func(i int) bool { return i >= 0 })
}

// chooseKey settles what an upsert matches on.
func (l *layout) chooseKey() error {
	keys := l.object.KeyFields
	if l.load.Key == "" {
		at := slices.IndexFunc(keys, func(k string) bool { return l.header.Index(k) >= 0 })
		if at < 0 {
			return fmt.Errorf("mode upsert needs one of the fields %s to match on", strings.Join(keys, ", "))
		}
		l.load.Key = keys[at]
	}
	if !slices.Contains(keys, l.load.Key) {
		return fmt.Errorf("upsert can't match on %q: the vendor's list can be searched by %s", l.load.Key, strings.Join(keys, ", "))
	}
	if l.key = l.header.Index(l.load.Key); l.key < 0 {
		return fmt.Errorf("upsert is to match on %s, but no column is mapped to it", l.load.Key)
	}
	return nil
}

func cell(row *record.Row, at int) record.Value {
	if at < 0 || at >= len(row.Values) {
		return record.Value{}
	}
	return row.Values[at]
}

// draft is a lead to be written: the value of each slot, and custom fields.
type draft struct {
	values []record.Value
	custom []custom
	echoed bool // offering_type is what the vendor has there, and neither sale nor rent
}

// draft makes a lead of a row. What the row does not have is Absent; what it clears is Null.
func (l *layout) draft(row *record.Row) (*draft, error) {
	d := &draft{values: make([]record.Value, len(l.slots))}
	var problems record.Problems
	for i := range l.slots {
		v := cell(row, l.cells[i])
		if v.Kind() == record.Text && v.IsEmpty() {
			v = record.NullOf()
		}
		s := &l.slots[i]
		if v.IsEmpty() {
			if s.form != asNotes { // there is no clearing of notes, only adding
				d.values[i] = v
			}
			continue
		}
		var err error
		if d.values[i], err = s.fit(v); err != nil {
			problems = append(problems, record.Problem{Field: s.name, Rule: s.rule(), Message: err.Error()})
		}
	}
	for _, c := range l.custom {
		v := cell(row, c.cell)
		switch {
		case v.Kind() == record.Absent:
			continue
		case v.IsEmpty():
			v = record.NullOf()
		default:
			var err error
			if v, err = c.meta.fit(v); err != nil {
				problems = append(problems, record.Problem{Field: c.name, Rule: c.meta.rule(), Message: err.Error()})
			}
		}
		d.custom = append(d.custom, custom{c.meta.ID, v})
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return d, nil
}

// draftOf makes a written lead of one that the vendor returned. What the vendor has nothing in is left out. Notes are:
// each would be added once more.
func (l *layout) draftOf(have *lead) *draft {
	d := &draft{values: make([]record.Value, len(l.slots))}
	for i := range l.slots {
		s := &l.slots[i]
		if s.read == nil || s.form == asNotes {
			continue
		}
		v := s.read(have)
		if v.IsEmpty() {
			continue
		}
		if s.form == asText {
			v = record.TextOf(s.spell(v.Text()))
		}
		d.values[i] = v
	}
	if at := l.slot("preference.offering_type"); d.values[at].IsEmpty() {
		if v := have.wish().Offering.Value; !v.IsEmpty() {
			d.values[at], d.echoed = v, true
		}
	}
	for _, c := range have.Fields {
		if !c.value.IsEmpty() {
			d.custom = append(d.custom, c)
		}
	}
	return d
}

func (l *layout) slot(name string) int {
	return slices.IndexFunc(l.slots, func(s slot) bool { return s.name == name })
}

// overlay lays what a row has over a lead and reports whether that changes anything. A note always does.
func (l *layout) overlay(under, over *draft) (changed bool) {
	for i, v := range over.values {
		if v.Kind() == record.Absent {
			continue
		}
		s := &l.slots[i]
		changed = changed || s.norm(v) != s.norm(under.values[i]) || s.read == nil && !v.IsEmpty() || s.form == asNotes && !v.IsEmpty()
		under.values[i] = v
		if s.name == "preference.offering_type" {
			under.echoed = false
		}
	}
	for _, c := range over.custom {
		at := slices.IndexFunc(under.custom, func(x custom) bool { return x.id == c.id })
		if at < 0 {
			changed = changed || !c.value.IsEmpty()
			under.custom = append(under.custom, c)
			continue
		}
		changed = changed || !sameCustom(under.custom[at].value, c.value)
		under.custom[at].value = c.value
	}
	return changed
}

func sameCustom(a, b record.Value) bool {
	return strings.TrimSpace(a.Text()) == strings.TrimSpace(b.Text())
}

// lacks are the fields without a value that a lead needs to be written whole.
func (l *layout) lacks(d *draft) []string {
	var list []string
	for i := range l.slots {
		if l.slots[i].must && empty(d.values[i]) {
			list = append(list, l.slots[i].name)
		}
	}
	return list
}

func empty(v record.Value) bool {
	items, ok := v.Items()
	return v.IsEmpty() || ok && len(items) == 0
}

// print is the fingerprint of what the vendor can be expected to keep of a lead: two rows with one print are twins that
// can't be told apart there.
func (l *layout) print(d *draft) uint64 {
	var b []byte
	for i := range l.slots {
		if s := &l.slots[i]; s.read != nil && s.form != asNotes && s.name != "preference.offering_type" && s.name != "user" {
			b = append(append(b, s.norm(d.values[i])...), 0xff)
		}
	}
	return xxh3.Hash(b)
}

// compare holds a lead of the vendor against what a row sends. Fields that the vendor does not return do not count. With
// created, the row made the lead: a text that the row leaves out is blank there too.
func (l *layout) compare(row *draft, have *lead, created bool) delivery.Likeness {
	result, told := delivery.Same, false
	for i := range l.slots {
		s := &l.slots[i]
		if s.read == nil || s.form == asNotes {
			continue
		}
		got := s.read(have)
		if got.Kind() == record.Absent {
			continue
		}
		want := row.values[i]
		if want.Kind() == record.Absent {
			if created && s.plain() && !got.IsEmpty() {
				result = delivery.Near
			}
			continue
		}
		if s.name == "mobile" && samePhone(want.Text(), got.Text()) {
			told = true
			continue
		}
		if s.norm(want) != s.norm(got) {
			return delivery.Different
		}
		told = told || !want.IsEmpty()
	}
	for _, c := range row.custom {
		at := slices.IndexFunc(have.Fields, func(x custom) bool { return x.id == c.id })
		if at >= 0 && !sameCustom(have.Fields[at].value, c.value) {
			return delivery.Different
		}
	}
	if !told {
		return delivery.Different
	}
	return result
}

// plain reports whether the vendor fills a field with nothing of its own.
func (s *slot) plain() bool {
	switch s.name {
	case "first_name", "middle_name", "last_name", "email", "address", "pobox", "city":
		return true
	}
	return false
}
