package mycrm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// maxDigits is how many digits an id or another whole number has at most.
const maxDigits = 18

// digits reports whether a text is a number without a sign, as ids are.
func digits(s string) bool {
	return s != "" && len(s) <= maxDigits && strings.Trim(s, "0123456789") == ""
}

// fit gives a row's value the form in which it is written.
func (s *slot) fit(v record.Value) (record.Value, error) {
	switch s.form {
	case asWhole:
		n, ok := wholeNumber(v.Text())
		if !ok {
			return v, fmt.Errorf("%q is no whole number", v.Text())
		}
		return n, nil
	case asTexts, asIDs:
		list := texts(v)
		for _, t := range list {
			if s.form == asIDs && !digits(t) {
				return v, fmt.Errorf("%q is no id: ids are digits", t)
			}
		}
		if list == nil {
			return record.NullOf(), nil
		}
		return record.ListOf(list), nil
	}
	if v.Kind() == record.List || v.Kind() == record.JSON {
		if s.form == asNotes {
			return record.TextOf(v.Text()), nil
		}
		return v, errors.New("it is a list or an object, and a text is wanted")
	}
	if s.name == "source_channel" {
		return record.TextOf(spellChannel(v.Text())), nil
	}
	return record.TextOf(v.Text()), nil
}

// wholeNumber reads a whole number, such as an id; blanks around it and noughts before it do not count.
func wholeNumber(text string) (n record.Value, ok bool) {
	t := strings.TrimSpace(text)
	if !digits(t) {
		return n, false
	}
	return record.NumberOf(trimZeros(t)), true
}

// texts are the items of a list, or of a cell with ";" between them: without outer blanks and empty ones.
func texts(v record.Value) []string {
	items, ok := v.Items()
	if !ok {
		items = strings.Split(v.Cell(), ";")
	}
	var list []string
	for _, t := range items {
		if t = strings.TrimSpace(t); t != "" {
			list = append(list, t)
		}
	}
	return list
}

func trimZeros(s string) string {
	if t := strings.TrimLeft(s, "0"); t != "" {
		return t
	}
	return "0"
}

func (s *slot) rule() string {
	switch s.form {
	case asWhole:
		return string(schema.Integer)
	case asTexts, asIDs:
		return string(schema.List)
	}
	return string(schema.Text)
}

// spellChannel writes a channel as the vendor spells it, if it is one.
func spellChannel(text string) string {
	t := strings.TrimSpace(text)
	for _, list := range channelsOf() {
		for _, c := range list {
			if strings.EqualFold(schema.Fold(t), schema.Fold(c)) {
				return c
			}
		}
	}
	return t
}

// appendLead writes a lead. Without clears, what is Null is left out: a new lead has nothing to clear.
func (l *layout) appendLead(dst []byte, d *draft, clears bool) []byte {
	w := &writer{dst: dst}
	if l.shape.envelope {
		w.dst = append(w.dst, `{"lead":`...)
	}
	w.open()
	inside := false
	for i := range l.slots {
		s := &l.slots[i]
		if s.inside && !inside {
			inside = true
			l.appendPreference(w, d, clears)
		}
		v := d.values[i]
		if s.inside && !(s.key == "offering_type" && l.shape.offering != "preference" && !d.echoed) || !sends(v, clears) {
			continue
		}
		if s.name == "source_channel" && l.shape.channel != "source_channel" {
			w.key("channel").value(s, v)
			if l.shape.channel == "channel" {
				continue
			}
		}
		w.key(s.key).value(s, v)
	}
	l.appendCustom(w, d, clears)
	w.close()
	if l.shape.envelope {
		w.dst = append(w.dst, '}')
	}
	return w.dst
}

func sends(v record.Value, clears bool) bool {
	return v.Kind() != record.Absent && (clears || !v.IsEmpty())
}

func (l *layout) appendPreference(w *writer, d *draft, clears bool) {
	any := false
	for i := range l.slots {
		s := &l.slots[i]
		if !s.inside || !sends(d.values[i], clears) || s.key == "offering_type" && l.shape.offering == "lead" && !d.echoed {
			continue
		}
		if !any {
			any = true
			w.key(l.shape.preference)
			if l.shape.array {
				w.dst = append(w.dst, '[')
			}
			w.open()
		}
		w.key(s.key).value(s, d.values[i])
	}
	if any {
		w.close()
		if l.shape.array {
			w.dst = append(w.dst, ']')
		}
	}
}

func (l *layout) appendCustom(w *writer, d *draft, clears bool) {
	any := false
	for _, c := range d.custom {
		if !sends(c.value, clears) {
			continue
		}
		if !any {
			any = true
			w.key("fields").open()
		}
		w.key(c.id)
		w.dst = c.value.AppendJSON(w.dst)
	}
	if any {
		w.close()
	}
}

// writer appends a JSON object, key by key.
type writer struct {
	dst   []byte
	first bool
}

func (w *writer) open() {
	w.dst = append(w.dst, '{')
	w.first = true
}

func (w *writer) close() {
	w.dst = append(w.dst, '}')
	w.first = false
}

func (w *writer) key(name string) *writer {
	if !w.first {
		w.dst = append(w.dst, ',')
	}
	w.first = false
	w.dst = append(record.AppendString(w.dst, name), ':')
	return w
}

func (w *writer) value(s *slot, v record.Value) {
	if v.IsEmpty() {
		w.dst = append(w.dst, "null"...)
		return
	}
	switch s.form {
	case asNotes:
		for i, body := range bodies(v.Text()) {
			w.dst = append(w.dst, "[,"[min(i, 1)])
			w.dst = append(record.AppendString(append(w.dst, `{"body":`...), body), '}')
		}
		w.dst = append(w.dst, ']')
	case asIDs, asTexts:
		items, _ := v.Items()
		w.dst = append(w.dst, '[')
		for i, t := range items {
			if i > 0 {
				w.dst = append(w.dst, ',')
			}
			if s.form == asIDs && digits(t) {
				w.dst = append(w.dst, trimZeros(t)...)
			} else {
				w.dst = record.AppendString(w.dst, t)
			}
		}
		w.dst = append(w.dst, ']')
	default:
		if s.form == asWhole && v.Kind() == record.Text && digits(v.Text()) {
			v = record.NumberOf(trimZeros(v.Text()))
		}
		w.dst = v.AppendJSON(w.dst)
	}
}

// Payloads returns the function that renders an object's records as request bodies. An update is shown as the fields
// that the row lays over the lead, an upsert as the lead that it may make, with the defaults; a delete has no body: its id is shown instead. Custom fields that are named, not
// numbered, stand under their names, as only the account knows their ids.
func Payloads(object string, load schema.Load) (schema.Payloads, error) {
	set := schema.Connection{Settings: load.Settings}.Read()
	shape := readShape(set)
	if err := set.Err(); err != nil {
		return nil, err
	}
	l, err := newLayout(object, load, shape)
	if err != nil {
		return nil, err
	}
	return func(dst []byte, rows []*record.Row) ([]byte, error) {
		if len(rows) == 0 {
			return dst, nil
		}
		row := rows[0]
		switch l.load.Mode {
		case schema.Delete:
			return append(record.AppendString(append(dst, `{"id":`...), cell(row, l.id).Text()), '}'), nil
		case schema.Patch:
			ops, err := l.operations(row)
			if err != nil {
				return dst, err
			}
			return appendOperations(dst, []patchOf{{cell(row, l.id).Text(), ops}}, true), nil
		}
		d, err := l.draft(row)
		if err != nil {
			return dst, err
		}
		if l.load.Mode == schema.Upsert {
			l.fillNew(d)
		}
		return l.appendLead(dst, d, l.load.Mode == schema.Update), nil
	}, nil
}
