package mycrm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// spare is a default of an update or upsert: what a lead gets in a field in which it has nothing.
type spare struct {
	slot  int    // -1 for a custom field
	col   column // the custom field
	value record.Value
}

// takeDefaults reads the defaults that do not stand in the rows.
func (l *layout) takeDefaults() error {
	if l.load.Mode != schema.Update && l.load.Mode != schema.Upsert {
		return nil
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(l.load.Defaults)) {
		v := l.load.Defaults[name]
		if v.IsEmpty() {
			continue
		}
		if id, ok := strings.CutPrefix(name, familyPrefix); ok && id != "" {
			l.spare = append(l.spare, spare{slot: -1, col: column{cell: -1, name: name, meta: &definition{ID: id}}, value: v})
			continue
		}
		at := l.slot(name)
		if at < 0 {
			problems = append(problems, fmt.Errorf("field %s: a lead can't be given a default there", name))
			continue
		}
		fitted, err := l.slots[at].fit(v)
		if err != nil {
			problems = append(problems, fmt.Errorf("the default of field %s: %w", name, err))
			continue
		}
		l.spare = append(l.spare, spare{slot: at, value: fitted})
	}
	return errors.Join(problems...)
}

// hasSpare reports whether a field has such a default.
func (l *layout) hasSpare(name string) bool {
	return slices.ContainsFunc(l.spare, func(s spare) bool { return s.slot >= 0 && l.slots[s.slot].name == name })
}

// fillNew gives a new lead the defaults of the fields in which its row has nothing.
func (l *layout) fillNew(d *draft) {
	for _, s := range l.spare {
		switch {
		case s.slot < 0:
			fillCustom(d, s)
		case empty(d.values[s.slot]):
			d.values[s.slot] = s.value
		}
	}
}

// fillOld gives a lead that is there, as a row changes it, the defaults of the fields in which it then has nothing, and
// reports whether there were any. row, the part that the row has, gets them too. A default is never laid over what can't
// be read: the properties that a lead has selected, and notes that did not come.
func (l *layout) fillOld(whole, row *draft, have *lead) (changed bool) {
	for _, s := range l.spare {
		switch {
		case s.slot < 0:
			if fillCustom(whole, s) {
				fillCustom(row, s)
				changed = true
			}
			continue
		case !empty(whole.values[s.slot]), l.slots[s.slot].read == nil:
			continue
		case l.slots[s.slot].form == asNotes && (!have.Notes.there || len(have.Notes.bodies) > 0):
			continue
		}
		whole.values[s.slot], row.values[s.slot] = s.value, s.value
		changed = true
	}
	return changed
}

// fillCustom gives a lead a custom field's default if it has nothing there, and reports whether it did.
func fillCustom(d *draft, s spare) bool {
	at := slices.IndexFunc(d.custom, func(x custom) bool { return x.id == s.col.meta.ID })
	switch {
	case at < 0:
		d.custom = append(d.custom, custom{s.col.meta.ID, s.value})
	case empty(d.custom[at].value):
		d.custom[at].value = s.value
	default:
		return false
	}
	return true
}

// resolveDefaults gives the custom fields among the defaults their definitions, and their values the form of these.
func (l *layout) resolveDefaults(cat *catalogue) (problems []error) {
	for i := range l.spare {
		s := &l.spare[i]
		if s.slot >= 0 {
			continue
		}
		if err := cat.define(&s.col); err != nil {
			problems = append(problems, err)
			continue
		}
		v, err := s.col.meta.fit(s.value)
		if err != nil {
			problems = append(problems, fmt.Errorf("the default of field %s: %w", s.col.name, err))
			continue
		}
		s.value = v
	}
	return problems
}
