package mappconnect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// Check returns the step that holds rows against rules on several cells at once, which the table can't say: who a contact
// is, what would mail a whole group, what related data would replace or remove. An error is about the import as a whole.
func Check(object string, load schema.Load) (pipeline.Step, error) {
	st, err := readStyle(load.Settings)
	if err != nil {
		return nil, err
	}
	l, err := newLayout(object, load, st)
	if err != nil {
		return nil, err
	}
	at := func(name string) int { return l.header.Index(name) }
	c := &check{layout: l, external: at(fieldExternal), group: at(fieldGroup), remove: -1}
	for _, name := range []string{fieldUserID, fieldEmail, fieldMobile} {
		if i := at(name); i >= 0 {
			c.ids = append(c.ids, i)
		}
	}
	if load.Mode == schema.Delete {
		if f, ok := l.object.Field(fieldDelete); ok && f.Type == schema.Bool {
			c.remove = at(fieldDelete)
		}
	}
	for i := range l.root {
		if l.root[i].form == stamp {
			c.stamps = append(c.stamps, &l.root[i])
		}
	}
	if object == objUser && len(c.ids) == 0 && !load.Options[optNonUnique] {
		hint := ""
		if c.external >= 0 {
			hint = "; " + fieldExternal + " alone may mean several contacts: --" + optNonUnique + " takes it"
		}
		return nil, fmt.Errorf("no column says which contact a row is about: map one of %s, %s and %s%s", fieldEmail, fieldUserID, fieldMobile, hint)
	}
	l.warnNames()
	return c, nil
}

// warnNames says which names of field_names are neither a field's nor a column's: data would go under a name that was to
// be changed. It may be meant for another import under the same connection, so it is no error.
func (l *layout) warnNames() {
	if l.load.Warn == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(l.style.names)) {
		if l.header.Index(name) < 0 && !isField(name) {
			l.load.Warn(fmt.Sprintf("%s renames %s, and there is neither a field nor a column of that name: nothing is sent as %s", keyFields, name, l.style.names[name]))
		}
	}
}

// check is the step. Its methods are safe for many goroutines.
type check struct {
	layout          *layout
	ids             []int // cells that name one contact, the one that counts first
	external, group int
	remove          int // cell of the flag delete in mode delete
	stamps          []*node
	several         sync.Once
}

// Apply rejects rows that break a rule. A row that was refused before is looked at again, but for the fields that are
// known to be wrong, so that all of its problems are told at once.
func (c *check) Apply(b *record.Batch) error {
	for i := range b.Rows {
		row := &b.Rows[i]
		if c.readable(row) {
			c.row(row)
		}
	}
	return nil
}

func (c *check) readable(row *record.Row) bool {
	if row.Fate == record.Pending {
		return true
	}
	if row.Fate != record.Rejected || len(row.Values) != c.layout.header.Len() {
		return false
	}
	problems := record.ProblemsOf(row.Err)
	for _, p := range problems {
		if _, known := c.layout.object.Field(p.Field); !known && c.layout.header.Index(p.Field) < 0 {
			return false
		}
	}
	return len(problems) > 0
}

func (c *check) bad(row *record.Row, field, rule, format string, args ...any) {
	if slices.ContainsFunc(record.ProblemsOf(row.Err), func(p record.Problem) bool { return p.Field == field }) {
		return
	}
	row.Reject(record.Problem{Field: field, Rule: rule, Message: fmt.Sprintf(format, args...)})
}

func (c *check) row(row *record.Row) {
	known := 0
	for _, i := range c.ids {
		if !cell(row, i).IsEmpty() {
			known++
		}
	}
	if known > 1 && c.layout.load.Warn != nil {
		c.several.Do(func() {
			c.layout.load.Warn(fmt.Sprintf("rows have more than one identifier of a contact, such as line %d: the vendor looks at %s first, then %s, then %s", row.Line, fieldUserID, fieldEmail, fieldMobile))
		})
	}
	switch c.layout.object.Name {
	case objUser:
		c.user(row, known)
	case objEmail:
		if known == 0 && !cell(row, c.group).IsEmpty() && !c.layout.load.Options[optGroupSend] {
			c.bad(row, fieldGroup, "group", "the row has no recipient: the message would go to the whole group %s; --%s takes such rows", cell(row, c.group).Text(), optGroupSend)
		}
	case objRelated:
		c.related(row)
	}
	if v := cell(row, c.remove); !v.IsEmpty() && v.Text() != "true" {
		c.bad(row, fieldDelete, fieldDelete, "it says %s, and the mode is delete; leave the row out, or import it with mode upsert", v.Cell())
	}
	for _, n := range c.stamps {
		if v := cell(row, n.cell); !v.IsEmpty() && v.Kind() != record.Fault {
			if _, err := appendStamp(nil, v.Text()); err != nil {
				c.bad(row, n.name, "datetime", "%v", err)
			}
		}
	}
}

func (c *check) user(row *record.Row, known int) {
	external := !cell(row, c.external).IsEmpty()
	allowed := c.layout.load.Options[optNonUnique]
	switch {
	case known > 0:
	case external && !allowed:
		c.bad(row, fieldExternal, "identifier", "it is no unique identifier: all contacts that have it would be changed; --%s takes such rows", optNonUnique)
	case external, allowed && len(c.ids) == 0 && c.external < 0:
		// An attribute says who is meant; which one, only the integration's mapping knows.
	default:
		c.bad(row, fieldEmail, "identifier", "a contact needs %s, %s or %s", fieldEmail, fieldUserID, fieldMobile)
	}
}

func (c *check) related(row *record.Row) {
	l := c.layout
	mode := strings.ToLower(l.modeOf(row))
	attributes, filter := c.has(row, fieldAttributes), c.has(row, fieldFilter)
	switch schema.Mode(mode) {
	case schema.Add, schema.Update:
		if !attributes {
			c.bad(row, fieldAttributes, "required", "to %s, names and values are needed, such as {'price':'567'}", mode)
		}
		if mode == string(schema.Add) && filter {
			c.bad(row, fieldFilter, "excluded", "a filter says nothing for add; leave it out, or update")
		}
		if mode == string(schema.Update) && !filter && !l.load.Options[optReplace] {
			c.bad(row, fieldFilter, "filter", "without a filter, an update replaces all records of the key; --%s takes such rows", optReplace)
		}
	case schema.Delete:
		if attributes {
			c.bad(row, fieldAttributes, "excluded", "attributes do not say what is deleted: all records of the key would be; put them under filter, or leave them out")
		}
		if !filter && !l.load.Options[optDeleteAll] {
			c.bad(row, fieldFilter, "filter", "without a filter, all records of the key are deleted; --%s takes such rows", optDeleteAll)
		}
	default:
		c.bad(row, fieldMode, "oneof", "%q is not add, update or delete", mode)
	}
	e := encoder{l: l, rows: []*record.Row{row}}
	for i := range l.root {
		if l.root[i].form == pairs {
			e.pairs(nil, &l.root[i])
		}
	}
	for _, p := range e.problems {
		c.bad(row, p.Field, p.Rule, "%s", p.Message)
	}
}

// has reports whether a row has names and values of a family: in a cell, or in columns of their own.
func (c *check) has(row *record.Row, family string) bool {
	for i := range c.layout.root {
		n := &c.layout.root[i]
		if n.name != family || n.form != pairs {
			continue
		}
		if v := cell(row, n.cell); !v.IsEmpty() && strings.Trim(v.Text(), "{} \t\r\n") != "" {
			return true
		}
		return slices.ContainsFunc(n.kids, func(k node) bool { return !cell(row, k.cell).IsEmpty() })
	}
	return false
}
