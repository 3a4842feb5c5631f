package lunarsend

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// layout says where the fields of a contact stand in rows with one header, and which of them are sent.
type layout struct {
	header   *record.Header
	load     schema.Load
	set      settings
	create   []place // what makes a new contact
	edit     []place // what an edit changes
	first    int     // cells of the two names that an edit sends as name, -1 if it does not
	last     int
	id       int    // cell of the id, -1 if there is none
	key      int    // cell of the key of an upsert, -1 if there is none
	keyName  string // its field
	warnings []string
	warn     func(format string, args ...any)
}

// place is one field of a payload.
type place struct {
	cell int
	name string
}

func newLayout(object string, load schema.Load, set settings) (*layout, error) {
	o, ok := Schema().Object(object)
	if !ok {
		return nil, fmt.Errorf("Lunar Send has no object %s; it has contacts", object)
	}
	if load.Mode == "" {
		load.Mode = o.Modes[0]
	}
	h := load.Header
	switch {
	case !o.HasMode(load.Mode):
		return nil, fmt.Errorf("contacts has no mode %s; it has create, update, upsert, delete", load.Mode)
	case h == nil:
		return nil, errors.New("the rows have no header")
	}
	l := &layout{header: h, load: load, set: set, first: -1, last: -1, id: h.Index("id"), key: -1, warn: func(string, ...any) {}}
	var problems []error
	var idle []string // mapped, and not sent with an edit
	for i := range h.Len() {
		f, ok := o.Field(h.Name(i))
		switch {
		case !ok:
			problems = append(problems, fmt.Errorf("contacts has no field %q", h.Name(i)))
		case f.Name == "id" || load.Mode == schema.Delete:
		case !f.Takes(load.Mode):
			problems = append(problems, fmt.Errorf("field %s of contacts can't be written with mode %s", f.Name, load.Mode))
		default:
			if !l.take(place{i, f.Name}) {
				idle = append(idle, f.Name)
			}
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	idle = l.composed(idle)
	return l, l.needs(o, idle)
}

// take enters a field into the payloads that take it. It returns false if an edit is asked for and does not.
func (l *layout) take(p place) bool {
	news := createFields()
	if slices.Contains(l.set.editable, "user_id") {
		news = createFields("user_id")
	}
	if slices.Contains(news, p.name) {
		l.create = append(l.create, p)
	} else if l.load.Mode == schema.Create {
		l.warnings = append(l.warnings, fmt.Sprintf("field %s is not sent: the legacy API has no such field, profile v2 has", p.name))
	}
	if l.load.Mode == schema.Create || l.load.Mode == schema.Upsert && p.name == l.keyOf() {
		return true // the key of an upsert is what the contact has already
	}
	if !slices.Contains(l.set.editable, p.name) {
		return false
	}
	l.edit = append(l.edit, p)
	return true
}

// composed makes name of first_name and last_name, if the connection is set so, and returns what is still not sent.
func (l *layout) composed(idle []string) []string {
	if !l.set.compose || !slices.Contains(l.set.editable, "name") || !slices.Contains(idle, "first_name") || !slices.Contains(idle, "last_name") ||
		slices.ContainsFunc(l.edit, func(p place) bool { return p.name == "name" }) {
		return idle
	}
	l.first, l.last = l.header.Index("first_name"), l.header.Index("last_name")
	return slices.DeleteFunc(idle, func(n string) bool { return n == "first_name" || n == "last_name" })
}

// edits reports whether an edit could change anything.
func (l *layout) edits() bool { return len(l.edit) > 0 || l.first >= 0 }

// needs says what is missing from the header altogether, and what will not be sent.
func (l *layout) needs(o *schema.Object, idle []string) error {
	m := l.load.Mode
	if (m == schema.Update || m == schema.Delete) && l.id < 0 {
		return fmt.Errorf("mode %s needs the field id; an export of contacts has it", m)
	}
	if m == schema.Delete && l.set.v2 && !l.set.deleteSet {
		return errors.New("the vendor documents no delete for v2; use profile legacy, or set delete_transport to where v2 takes the id (body, query or path)")
	}
	if m == schema.Create || m == schema.Upsert {
		for _, name := range []string{"first_name", "email"} {
			if l.header.Index(name) < 0 {
				return fmt.Errorf("mode %s needs the field %s", m, name)
			}
		}
	}
	if m == schema.Upsert {
		if err := l.chooseKey(o); err != nil {
			return err
		}
	}
	api, can := "the legacy API", strings.Join(l.set.editable, ", ")
	if l.set.v2 {
		api = "v2"
	}
	switch {
	case m == schema.Update && !l.edits() && len(idle) == 0:
		return errors.New("there is nothing to update: only the field id is mapped")
	case m == schema.Update && !l.edits():
		return fmt.Errorf("there is nothing to update: %s can't edit %s, only %s; see the settings edit_fields and compose_name, or profile v2", api, strings.Join(idle, ", "), can)
	case m == schema.Update && len(idle) > 0:
		l.warnings = append(l.warnings, fmt.Sprintf("not sent, as %s can't edit it: %s; it edits %s", api, strings.Join(idle, ", "), can))
	case m == schema.Upsert && len(idle) > 0:
		l.warnings = append(l.warnings, fmt.Sprintf("sent for new contacts only, as %s can't edit it: %s; it edits %s", api, strings.Join(idle, ", "), can))
	}
	return nil
}

// keyOf is the field that an upsert matches on.
func (l *layout) keyOf() string {
	if l.load.Key == "" {
		return "email"
	}
	return l.load.Key
}

// chooseKey settles what an upsert matches on.
func (l *layout) chooseKey(o *schema.Object) error {
	l.keyName = l.keyOf()
	if !slices.Contains(o.KeyFields, l.keyName) {
		return fmt.Errorf("upsert can't match on %q; it matches on %s", l.keyName, strings.Join(o.KeyFields, ", "))
	}
	if l.key = l.header.Index(l.keyName); l.key < 0 {
		return fmt.Errorf("upsert is to match on %s, but no column is mapped to it", l.keyName)
	}
	return nil
}

func cell(row *record.Row, at int) record.Value {
	if at < 0 || at >= len(row.Values) {
		return record.Value{}
	}
	return row.Values[at]
}

// plain is a value as text, whatever it was in the file.
func plain(v record.Value) string {
	if v.Kind() == record.List {
		return v.Cell()
	}
	return v.Text()
}

// email is the row's address, as it is compared.
func (l *layout) email(row *record.Row) string {
	return keyNorm("email", cell(row, l.header.Index("email")))
}

// setting is one field that a payload sets.
type setting struct {
	name  string
	value record.Value
}

// created are the fields of the new contact that a row makes.
func (l *layout) created(row *record.Row) []setting { return l.settings(row, l.create) }

func (l *layout) settings(row *record.Row, places []place) []setting {
	list := make([]setting, 0, len(places)+1)
	for _, p := range places {
		if v := cell(row, p.cell); v.Kind() != record.Absent {
			list = append(list, setting{p.name, v})
		}
	}
	return list
}

// edited are the fields that an edit with the row sets.
func (l *layout) edited(row *record.Row) ([]setting, error) {
	list := l.settings(row, l.edit)
	if l.first < 0 {
		return list, nil
	}
	first, last := cell(row, l.first), cell(row, l.last)
	if (first.Kind() == record.Absent) != (last.Kind() == record.Absent) {
		field := "first_name"
		if last.Kind() == record.Absent {
			field = "last_name"
		}
		return nil, record.Problems{{Field: field, Rule: "required", Message: "the legacy API edits the name as a whole: give first_name and last_name, or neither"}}
	}
	if first.Kind() != record.Absent {
		list = append(list, setting{"name", record.TextOf(fullName(plain(first), plain(last)))})
	}
	return list, nil
}

func fullName(first, last string) string {
	return strings.TrimSpace(strings.TrimSpace(first) + " " + strings.TrimSpace(last))
}

// object appends settings as a JSON object. A field that is cleared is an empty text.
func (l *layout) object(dst []byte, list []setting) ([]byte, error) {
	var problems record.Problems
	dst = append(dst, '{')
	for i, x := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(record.AppendString(dst, x.name), ':')
		if x.name != "phone" {
			dst = record.AppendString(dst, plain(x.value))
			continue
		}
		var err error
		if dst, err = l.phone(dst, strings.TrimSpace(plain(x.value))); err != nil {
			problems = append(problems, record.Problem{Field: "phone", Rule: "integer", Message: err.Error()})
		}
	}
	if len(problems) > 0 {
		return dst, problems
	}
	return append(dst, '}'), nil
}

// maxDigits is how many digits a number keeps wherever it is read as floating point.
const maxDigits = 15

// phone appends a phone number as the connection sends it.
func (l *layout) phone(dst []byte, s string) ([]byte, error) {
	if l.set.phone == phoneString || s == "" {
		return record.AppendString(dst, s), nil
	}
	digits := onlyDigits(s)
	number := strings.TrimLeft(digits, "0")
	switch {
	case l.set.phone == phoneAuto && (number != s || len(number) > maxDigits):
		return record.AppendString(dst, s), nil
	case number == "":
		return dst, fmt.Errorf("%q has no digits, and phones are sent as numbers (phone_as)", s)
	case len(number) > maxDigits:
		return dst, fmt.Errorf("%q has more than %d digits and would not keep them as a number (phone_as)", s, maxDigits)
	case number != s:
		l.warn("phones are sent as numbers (phone_as): a leading + or 0 and everything else that is no digit is lost")
	}
	return append(dst, number...), nil
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// editBody is the body of an edit.
func editBody(dst []byte, set *settings, naming, id string, update []byte) []byte {
	if set.v2 {
		dst = record.AppendString(append(dst, `{"id":`...), id)
		if len(update) > 2 {
			dst = append(append(dst, ','), update[1:len(update)-1]...)
		}
		return append(dst, '}')
	}
	dst = append(dst, '{')
	if naming != namingSnake {
		dst = record.AppendString(append(dst, `"contactID":`...), id)
		dst = append(append(dst, `,"updateFields":`...), update...)
	}
	if naming == inBoth {
		dst = append(dst, ',')
	}
	if naming != namingCamel {
		dst = record.AppendString(append(dst, `"contact_id":`...), id)
		dst = append(append(dst, `,"update_fields":`...), update...)
	}
	return append(dst, '}')
}

func deleteBody(dst []byte, set *settings, id string) []byte {
	name := `{"contact_id":`
	if set.v2 {
		name = `{"id":`
	}
	return append(record.AppendString(append(dst, name...), id), '}')
}

// keyNorm is the form in which values of a field are compared; "" is nothing.
func keyNorm(field string, v record.Value) string {
	if v.IsEmpty() {
		return ""
	}
	s := strings.Join(strings.Fields(plain(v)), " ")
	switch field {
	case "id", "user_id":
		return s
	case "phone":
		// A vendor that keeps phones as numbers loses what stands before the first digit that counts.
		if d := strings.TrimLeft(onlyDigits(s), "0"); d != "" {
			return d
		}
		return strings.ToLower(s)
	case "email":
		return strings.ToLower(s)
	}
	return s
}

// likeness is how a contact of the vendor compares with what is sent.
type likeness uint8

const (
	untold    likeness = iota // the answer shows none of the fields
	agrees                    // all that is shown agrees
	disagrees                 // and the field that does not
)

// compare holds a contact against what is sent. Fields that the answer does not show do not count.
func compare(list []setting, c *contact) (like likeness, field string, all bool) {
	all = true
	for _, x := range list {
		v, ok := c.get(x.name)
		if !ok && x.name == "name" {
			first, a := c.get("first_name")
			last, b := c.get("last_name")
			v, ok = record.TextOf(fullName(first.Text(), last.Text())), a && b
		}
		switch {
		case !ok:
			all = false
		case keyNorm(x.name, v) != keyNorm(x.name, x.value):
			return disagrees, x.name, false
		default:
			like = agrees
		}
	}
	return like, "", all
}

// Payloads returns the function that renders contacts as request bodies, as the connection's settings say. A delete shows
// its id. An error of the function is a record.Problems if the row is at fault.
func Payloads(object string, load schema.Load) (schema.Payloads, error) {
	l, err := settled(object, load)
	if err != nil {
		return nil, err
	}
	set := l.set
	return func(dst []byte, rows []*record.Row) ([]byte, error) {
		if len(rows) == 0 {
			return dst, nil
		}
		row := rows[0]
		switch l.load.Mode {
		case schema.Delete:
			return deleteBody(dst, &set, strings.TrimSpace(cell(row, l.id).Text())), nil
		case schema.Update:
			list, err := l.edited(row)
			if err != nil {
				return dst, err
			}
			update, err := l.object(nil, list)
			if err != nil {
				return dst, err
			}
			return editBody(dst, &set, set.naming, strings.TrimSpace(cell(row, l.id).Text()), update), nil
		}
		body, err := l.object(dst, l.created(row))
		if err != nil {
			return dst, err
		}
		return body, nil
	}, nil
}

// Check holds an import against the connection's settings: whether its profile can do it, and whether there is something
// to send. It has no rules for single rows besides the table's.
func Check(object string, load schema.Load) (pipeline.Step, error) {
	_, err := settled(object, load)
	return nil, err
}

// settled makes the layout of an import without a connection.
func settled(object string, load schema.Load) (*layout, error) {
	read := schema.Connection{Settings: load.Settings}.Read()
	set := readSettings(read)
	if err := read.Err(); err != nil {
		return nil, err
	}
	return newLayout(object, load, set)
}
