package sandbox

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// number returns the number of the name, nil if there is none.
func (p *preference) number(name string) **int64 {
	switch name {
	case "from_price":
		return &p.FromPrice
	case "to_price":
		return &p.ToPrice
	case "from_size":
		return &p.FromSize
	case "to_size":
		return &p.ToSize
	case "from_bathroom":
		return &p.FromBathroom
	case "to_bathroom":
		return &p.ToBathroom
	case "from_bedroom":
		return &p.FromBedroom
	case "to_bedroom":
		return &p.ToBedroom
	}
	return nil
}

// array returns the elements of an array.
func array(m room.Member) ([]room.Member, bool) {
	var raw []json.RawMessage
	if len(m.Value) == 0 || m.Value[0] != '[' || json.Unmarshal(m.Value, &raw) != nil {
		return nil, false
	}
	out := make([]room.Member, len(raw))
	for i, r := range raw {
		out[i] = room.Member{Name: m.Name, Value: r}
	}
	return out, true
}

// integers returns the elements of an array of whole numbers; never nil.
func integers(m room.Member) ([]int64, bool) {
	all, ok := array(m)
	out := make([]int64, 0, len(all))
	for _, one := range all {
		n, is := one.Integer()
		ok = ok && is
		out = append(out, n)
	}
	return out, ok
}

// setPreference takes over what the lead is looking for. The document's table calls it an array, its sample shows an
// object: an array of one is the same.
func (d *draft) setPreference(m room.Member) {
	k := &d.c.knobs
	if k.PreferenceKey != both && m.Name != k.PreferenceKey && d.strict {
		if m.Name == keyPreference {
			delete(d.given, keyPreference)
		}
		d.c.warn("%s is unknown and was ignored", m.Name)
		return
	}
	d.given[keyPreference] = !m.IsNull()
	if m.IsNull() {
		d.Preferences, d.Amenities = []preference{}, []named{}
		return
	}
	isObject := m.Value[0] == '{'
	if isObject && k.PreferenceShape == shapeArray || !isObject && k.PreferenceShape == shapeObject {
		d.wrong.add(m.Name, "want an %s", k.PreferenceShape)
		return
	}
	body := m.Value
	if !isObject {
		all, ok := array(m)
		if !ok || len(all) != 1 {
			d.wrong.add(m.Name, "want an object, or an array of one")
			return
		}
		body = all[0].Value
	}
	members, err := room.ParseObject(body)
	if err != nil {
		d.wrong.add(m.Name, "%v", err)
		return
	}
	p := preference{ID: strconv.FormatInt(d.ID, 10), Locations: []location{}, Types: []propertyType{}}
	if old := d.preference(); old != nil {
		p = *old
	} else {
		d.first = true
	}
	if d.offered != "" {
		p.OfferingType = &d.offered
	}
	for _, one := range members {
		d.given[keyPreference+"."+one.Name] = !one.IsNull()
		d.setWish(&p, one)
	}
	d.Preferences = []preference{p}
}

// setWish takes over one member of the preference.
func (d *draft) setWish(p *preference, m room.Member) {
	where := keyPreference + "." + m.Name
	if to := p.number(m.Name); to != nil {
		n, ok := m.Integer()
		if !ok && !m.IsNull() {
			d.wrong.add(where, "want a whole number")
			return
		}
		*to = nil
		if ok {
			*to = &n
		}
		return
	}
	switch m.Name {
	case "types":
		d.setTypes(p, m, where)
	case "locations":
		d.setLocations(p, m, where)
	case "amenities":
		ids, ok := integers(m)
		if !ok && !m.IsNull() {
			d.wrong.add(where, "want an array of ids")
			return
		}
		d.Amenities = []named{}
		for _, id := range ids {
			d.Amenities = append(d.Amenities, amenityByID(id))
		}
	case "offering_type":
		if d.c.knobs.OfferingTypeAt == keyLead {
			d.c.warn("%s belongs beside the preference and was ignored", where)
			return
		}
		if m.IsNull() {
			if d.offered == "" {
				p.OfferingType = nil
			}
			return
		}
		v, ok := m.Text()
		if !ok || !slices.Contains(offeringTypes, v) {
			d.wrong.add(where, "want one of %s", strings.Join(offeringTypes, ", "))
			return
		}
		if d.offered != "" && d.offered != v {
			d.c.warn("offering_type is %s, %s is %s and counts", d.offered, where, v)
		}
		p.OfferingType = &v
	default:
		d.c.warn("%s is unknown and was ignored", strconv.QuoteToASCII(where))
	}
}

func (d *draft) setTypes(p *preference, m room.Member, where string) {
	ids, ok := integers(m)
	if !ok && !m.IsNull() || slices.ContainsFunc(ids, func(id int64) bool { return id < 1 }) {
		d.wrong.add(where, "want an array of ids")
		return
	}
	if len(ids) == 0 && d.strict && !m.IsNull() {
		d.wrong.add(where, "want at least one")
	}
	p.Types = []propertyType{}
	for _, id := range ids {
		p.Types = append(p.Types, propertyTypeByID(id, value(d.Kept.Category)))
	}
}

// locationID is how the document's ids of places look.
var locationID = regexp.MustCompile(`^[a-z]{3}(\.[0-9]+)+$`)

func (d *draft) setLocations(p *preference, m room.Member, where string) {
	ids, ok := m.Texts()
	if !ok && !m.IsNull() || slices.ContainsFunc(ids, func(id string) bool { return !locationID.MatchString(id) }) {
		d.wrong.add(where, "want an array of ids of locations, as in are.2.15")
		return
	}
	if len(ids) == 0 && d.strict && !m.IsNull() {
		d.wrong.add(where, "want at least one")
	}
	p.Locations = []location{}
	for _, id := range ids {
		p.Locations = append(p.Locations, locationByID(id))
	}
}

// setNotes takes over notes. One with the id of a note of the lead is that note; others are new. Those that are not
// there any more stay or go as the knob says.
func (d *draft) setNotes(m room.Member) {
	all, ok := array(m)
	if !ok && !m.IsNull() {
		d.wrong.add("notes", "want an array of notes")
		return
	}
	notes := slices.Clone(d.Kept.Notes)
	if d.c.knobs.PutLists == replace {
		notes = []note{}
	}
	for i, one := range all {
		where := "notes." + strconv.Itoa(i)
		members, err := room.ParseObject(one.Value)
		if err != nil {
			d.wrong.add(where, "want an object with a body")
			continue
		}
		n := note{CreatedAt: stamp(d.c.at)}
		for _, part := range members {
			ok := true
			switch part.Name {
			case "id":
				n.ID, ok = part.Integer()
			case "body":
				n.Body, ok = part.Text()
			case "created_at":
			default:
				d.c.warn("%s is unknown and was ignored", strconv.QuoteToASCII(where+"."+part.Name))
			}
			if !ok {
				d.wrong.add(where+"."+part.Name, "want an integer for id, a string for body")
			}
		}
		if n.Body == "" {
			d.wrong.add(where+".body", "is required")
			continue
		}
		notes = d.keepNote(notes, n)
	}
	d.Kept.Notes = notes
}

func (d *draft) keepNote(notes []note, n note) []note {
	for i := range notes {
		if n.ID != 0 && notes[i].ID == n.ID {
			notes[i].Body = n.Body
			return notes
		}
	}
	old := slices.IndexFunc(d.Kept.Notes, func(o note) bool { return n.ID != 0 && o.ID == n.ID })
	if old >= 0 {
		n.CreatedAt = d.Kept.Notes[old].CreatedAt
	} else {
		d.e.counters.Note++
		n.ID = d.e.counters.Note
	}
	return append(notes, n)
}

// setFields takes over custom fields: an object of values by the field's id. An empty array is PHP's empty object.
func (d *draft) setFields(m room.Member) {
	if all, ok := array(m); m.IsNull() || ok && len(all) == 0 {
		if d.c.knobs.PutMode == replace {
			d.Fields = fieldValues{}
		}
		return
	}
	members, err := room.ParseObject(m.Value)
	if err != nil {
		d.wrong.add("fields", "want an object: the id of a field, its value")
		return
	}
	for _, one := range members {
		where := "fields." + one.Name
		field, ok := fieldOf("lead", one.Name)
		switch {
		case !ok:
			d.c.warn("%s is unknown and was ignored", strconv.QuoteToASCII(where))
		case one.IsNull():
			delete(d.Fields, one.Name)
		case !fits(field.Type, one):
			d.wrong.add(where, "want %s", typeInWords(field.Type))
		default:
			d.Fields[one.Name] = one.Value
		}
	}
}

// fits reports whether a value is of a custom field's type.
func fits(typ string, m room.Member) bool {
	text, isText := m.Text()
	switch typ {
	case typeNumber:
		_, ok := m.Number()
		return ok
	case typeBoolean:
		return string(m.Value) == "true" || string(m.Value) == "false"
	case typeDate:
		_, err := time.Parse(time.DateOnly, text)
		return isText && err == nil
	case typeEmail:
		name, host, ok := strings.Cut(text, "@")
		return isText && ok && name != "" && host != "" && !strings.ContainsAny(text, " \t\r\n") && !strings.Contains(host, "@")
	case typeURL:
		u, err := url.Parse(text)
		return isText && err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
	}
	return isText
}

func typeInWords(typ string) string {
	switch typ {
	case typeNumber:
		return "a number"
	case typeBoolean:
		return "true or false"
	case typeDate:
		return "a day as text, as in 2026-11-22"
	case typeEmail:
		return "an e-mail address"
	case typeURL:
		return "an http or https address"
	}
	return "a string"
}
