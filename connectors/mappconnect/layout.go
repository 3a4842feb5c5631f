package mappconnect

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// layout says how rows with one header become events of an object. It is compiled once and may be used by many
// goroutines.
type layout struct {
	object *schema.Object
	header *record.Header
	load   schema.Load
	style  style
	root   []node
	items  []node // of one item of a transaction
	whole  int    // cell of a transaction's items as JSON, -1 if there is none
	mode   int    // cell of importMode, -1 if there is none
	common []int  // cells in which all rows of one record must agree
	tail   []byte // members that every event ends with, each after its comma
	once   bool   // no event may be sent twice
	marks  []int  // cells that say so of one event: with a value, or for flags with true
}

// node is one member of an event, or an object of members.
type node struct {
	key  record.Key
	name string // of the field, for messages
	cell int    // position of the value, -1 if it has none of its own
	form form
	kids []node
}

// form is how a member is written.
type form uint8

const (
	plain     form = iota
	group          // an object of members
	pairs          // names and values: a cell, and members in columns of their own
	itemList       // the items of a transaction
	stamp          // a point in time
	flagTrue       // a flag that is left out unless it is true
	eventMode      // importMode: the row's, or the run's
)

func newLayout(object string, load schema.Load, st style) (*layout, error) {
	o, ok := Schema().Object(object)
	if !ok || len(o.Modes) == 0 {
		return nil, fmt.Errorf("%s can't be imported into Mapp Connect", object)
	}
	if load.Mode == "" {
		load.Mode = o.Modes[0]
	}
	if !o.HasMode(load.Mode) {
		return nil, fmt.Errorf("%s has no mode %s", object, load.Mode)
	}
	if load.Header == nil {
		return nil, errors.New("the rows have no header")
	}
	l := &layout{object: o, header: load.Header, load: load, style: st, whole: -1, mode: -1}
	switch object {
	case objEmail, objSMS, objPush, objAutomation:
		l.once = true
	}
	var problems []error
	for i := range l.header.Len() {
		problems = append(problems, l.add(i, l.header.Name(i)))
	}
	problems = append(problems, l.finish())
	return l, errors.Join(problems...)
}

// add places one column.
func (l *layout) add(cell int, name string) error {
	f, known := l.object.Field(name)
	switch {
	case !known && !l.object.AnyField:
		return fmt.Errorf("%s has no field %q", l.object.Name, name)
	case !known:
		f = &schema.Field{Name: name}
	case f.ReadOnly, !f.Takes(l.load.Mode):
		if l.load.Mode == schema.Delete {
			return nil // it does not tell what is deleted
		}
		return fmt.Errorf("field %s of %s can't be written with mode %s", name, l.object.Name, l.load.Mode)
	}
	wire := l.wire(name)
	if slices.ContainsFunc([]string{name, wire}, sendsMessage) || known && name == "doubleOptIn" {
		l.marks = append(l.marks, cell)
	}
	if l.object.Name == objTransaction && (name == fieldItems || strings.HasPrefix(name, fieldItems+".")) {
		return l.addItem(cell, name)
	}
	l.common = append(l.common, cell)
	n := node{name: name, cell: cell}
	switch {
	case name == fieldDelete && known && l.load.Mode == schema.Delete, name == fieldPartial && l.partial():
		return nil // it is set on every event
	case known && f.Type == schema.Bool:
		n.form = flagTrue // a vendor that asks whether a flag is there would take "false" for it
	case name == fieldCreated && known, name == fieldOrdered && known:
		n.form = stamp
	case l.object.Name == objRelated:
		return l.addRelated(n)
	}
	return place(&l.root, split(wire), n)
}

// sendsMessage reports whether a member of that name makes the vendor send a message.
func sendsMessage(name string) bool {
	return strings.EqualFold(name, fieldMessage) || strings.EqualFold(name, fieldPush)
}

// wire is the name of a field in calls.
func (l *layout) wire(name string) string {
	if to, ok := l.style.names[name]; ok {
		return to
	}
	return name
}

func (l *layout) partial() bool {
	return l.object.Name == objUser && l.load.Mode == schema.Upsert && l.load.Options[optPartial]
}

// addItem places a column of items, or the one that holds them all.
func (l *layout) addItem(cell int, name string) error {
	if !slices.ContainsFunc(l.root, func(n node) bool { return n.form == itemList }) {
		l.root = append(l.root, node{key: record.KeyOf(l.wire(fieldItems)), name: fieldItems, cell: -1, form: itemList})
	}
	if name == fieldItems {
		l.whole = cell
		return nil
	}
	return place(&l.items, split(strings.TrimPrefix(l.wire(name), fieldItems+".")), node{name: name, cell: cell})
}

// addRelated places a column of related data; its members have an order of their own.
func (l *layout) addRelated(n node) error {
	for _, family := range []string{fieldAttributes, fieldFilter} {
		ok := strings.HasPrefix(n.name, family+".")
		if !ok && n.name != family {
			continue
		}
		at := slices.IndexFunc(l.root, func(x node) bool { return x.name == family })
		if at < 0 {
			at = len(l.root)
			l.root = append(l.root, node{key: record.KeyOf(l.wire(family)), name: family, cell: -1, form: pairs})
		}
		if !ok {
			l.root[at].cell = n.cell
			return nil
		}
		rest := strings.TrimPrefix(l.wire(n.name), family+".")
		if len(split(rest)) > 1 {
			return fmt.Errorf("column %s: the values of %s can't nest", n.name, family)
		}
		return place(&l.root[at].kids, []string{rest}, n)
	}
	if n.name == fieldMode {
		l.mode, n.form = n.cell, eventMode
	}
	return place(&l.root, []string{l.wire(n.name)}, n)
}

// finish adds what no column holds.
func (l *layout) finish() error {
	switch {
	case l.object.Name == objRelated:
		if l.mode < 0 {
			if err := place(&l.root, []string{l.wire(fieldMode)}, node{name: fieldMode, cell: -1, form: eventMode}); err != nil {
				return err
			}
		}
		rank := map[string]int{fieldMode: 1, fieldAttributes: 2, fieldFilter: 3}
		slices.SortStableFunc(l.root, func(a, b node) int { return rank[a.name] - rank[b.name] })
	case l.load.Mode == schema.Delete:
		l.always(fieldDelete)
	case l.partial():
		l.always(fieldPartial)
	}
	return nil
}

// always sets a flag on every event.
func (l *layout) always(field string) {
	name := record.KeyOf(l.wire(field))
	l.tail = l.style.appendBool(name.Append(l.tail), "true")
}

// split takes a name with dots apart, if each part looks like a name; else it is one name, dots and all.
func split(name string) []string {
	parts := strings.Split(name, ".")
	if slices.ContainsFunc(parts, func(p string) bool { return !isName(p) }) {
		return []string{name}
	}
	return parts
}

// isName reports whether s is a letter or "_", and then letters, digits, "_", ":" and "-".
func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		case i > 0 && (c >= '0' && c <= '9' || c == ':' || c == '-'):
		default:
			return false
		}
	}
	return s != ""
}

// place puts a value where its name says, in objects that it shares with others.
func place(nodes *[]node, path []string, n node) error {
	k := record.KeyOf(path[0])
	at := slices.IndexFunc(*nodes, func(x node) bool { return x.key == k })
	if len(path) == 1 {
		if at >= 0 {
			return fmt.Errorf("two columns become %s in calls: %s and %s", record.AppendString(nil, path[0]), (*nodes)[at].name, n.name)
		}
		n.key = k
		*nodes = append(*nodes, n)
		return nil
	}
	if at < 0 {
		at = len(*nodes)
		*nodes = append(*nodes, node{key: k, name: n.name, cell: -1, form: group})
	} else if (*nodes)[at].form != group {
		return fmt.Errorf("column %s needs an object where column %s has a value", n.name, (*nodes)[at].name)
	}
	return place(&(*nodes)[at].kids, path[1:], n)
}

// isOnce reports whether the event of some rows must not be sent twice.
func (l *layout) isOnce(rows []*record.Row) bool {
	if l.once {
		return true
	}
	for _, row := range rows {
		for _, i := range l.marks {
			if v := cell(row, i); !v.IsEmpty() && v.Text() != "false" {
				return true
			}
		}
	}
	return l.object.Name == objRelated && l.modeOf(rows[0]) == string(schema.Add)
}

// modeOf is what is done with a row of related data.
func (l *layout) modeOf(row *record.Row) string {
	if v := cell(row, l.mode); !v.IsEmpty() {
		return v.Text()
	}
	return string(l.load.Mode)
}

func cell(row *record.Row, at int) record.Value {
	if at < 0 || at >= len(row.Values) {
		return record.Value{}
	}
	return row.Values[at]
}
