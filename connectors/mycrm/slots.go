package mycrm

import (
	"slices"
	"strings"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// form is how a field is written.
type form uint8

const (
	asText  form = iota // a text
	asWhole             // a whole number
	asTexts             // a list of texts
	asIDs               // a list of whole numbers
	asNotes             // a list of {"body":…}
)

// slot is one field of a lead as it is written.
type slot struct {
	name   string // of the schema
	key    string // as it is written; without preference.
	inside bool   // in the preference
	form   form
	must   bool              // a new lead needs it
	same   map[string]string // of a choice: the vendor's spelling by any spelling in lower case
	read   func(*lead) record.Value
}

// slotsOf are all fields that make up a written lead, in the order of the schema.
func slotsOf(o *schema.Object) []slot {
	var list []slot
	reads := readers()
	for i := range o.Fields {
		f := &o.Fields[i]
		if !f.Takes(schema.Create) || f.Family() || f.Name == "id" {
			continue
		}
		s := slot{name: f.Name, key: f.Name, must: f.In[schema.Create] == "required", read: reads[f.Name]}
		s.key, s.inside = strings.CutPrefix(f.Name, "preference.")
		switch {
		case f.Name == "notes":
			s.form = asNotes
		case f.Name == "preference.locations":
			s.form = asTexts
		case f.Type == schema.List:
			s.form = asIDs
		case f.Type == schema.Integer:
			s.form = asWhole
		case f.Type == schema.Enum:
			s.same = choices(f)
		}
		list = append(list, s)
	}
	return list
}

// choices are the vendor's spellings of a field's choices by all that mean them, in lower case.
func choices(f *schema.Field) map[string]string {
	m := make(map[string]string, len(f.Values)+len(f.Same))
	for from, to := range f.Same {
		m[strings.ToLower(from)] = to
	}
	for _, v := range f.Values {
		m[strings.ToLower(v)] = v
	}
	return m
}

// spell writes a choice as the vendor spells it; what is none stays as it is.
func (s *slot) spell(text string) string {
	if v, ok := s.same[strings.ToLower(strings.TrimSpace(text))]; ok {
		return v
	}
	return text
}

// readers say where a field stands in a lead that the vendor returned. A field without one can't be read back.
func readers() map[string]func(*lead) record.Value {
	return map[string]func(*lead) record.Value{
		"id":                              func(l *lead) record.Value { return l.ID.Value },
		"title":                           func(l *lead) record.Value { return l.Title.Value },
		"first_name":                      func(l *lead) record.Value { return l.FirstName.Value },
		"middle_name":                     func(l *lead) record.Value { return l.MiddleName.Value },
		"last_name":                       func(l *lead) record.Value { return l.LastName.Value },
		"email":                           func(l *lead) record.Value { return l.Email.Value },
		"mobile":                          func(l *lead) record.Value { return l.Mobile.Value },
		"category":                        (*lead).category,
		"address":                         func(l *lead) record.Value { return l.Address.Value },
		"pobox":                           func(l *lead) record.Value { return l.Pobox.Value },
		"city":                            func(l *lead) record.Value { return l.City.Value },
		"country":                         func(l *lead) record.Value { return l.Country.Value },
		"status":                          func(l *lead) record.Value { return l.Status.Value },
		"quality":                         func(l *lead) record.Value { return l.Quality.Value },
		"source":                          func(l *lead) record.Value { return l.Source.Value },
		"source_channel":                  func(l *lead) record.Value { return or(l.SrcChannel, l.Channel) },
		"financial":                       func(l *lead) record.Value { return l.Financial.Value },
		"mortgage_status":                 func(l *lead) record.Value { return l.Mortgage.Value },
		"time_frame":                      func(l *lead) record.Value { return l.TimeFrame.Value },
		"user":                            func(l *lead) record.Value { return l.User.id },
		"preference.types":                func(l *lead) record.Value { return l.wish().Types.list(idOf) },
		"preference.locations":            func(l *lead) record.Value { return l.wish().Locations.list(idOf) },
		"preference.amenities":            func(l *lead) record.Value { return l.amenities().list(idOf) },
		"preference.offering_type":        (*lead).offering,
		"preference.from_price":           func(l *lead) record.Value { return l.wish().FromPrice.Value },
		"preference.to_price":             func(l *lead) record.Value { return l.wish().ToPrice.Value },
		"preference.from_size":            func(l *lead) record.Value { return l.wish().FromSize.Value },
		"preference.to_size":              func(l *lead) record.Value { return l.wish().ToSize.Value },
		"preference.from_bathroom":        func(l *lead) record.Value { return l.wish().FromBath.Value },
		"preference.to_bathroom":          func(l *lead) record.Value { return l.wish().ToBath.Value },
		"preference.from_bedroom":         func(l *lead) record.Value { return l.wish().FromBed.Value },
		"preference.to_bedroom":           func(l *lead) record.Value { return l.wish().ToBed.Value },
		"notes":                           func(l *lead) record.Value { return cellOf(l.Notes.bodies) },
		"phone":                           func(l *lead) record.Value { return l.Phone.Value },
		"user.first_name":                 func(l *lead) record.Value { return l.User.first },
		"user.last_name":                  func(l *lead) record.Value { return l.User.last },
		"user.email":                      func(l *lead) record.Value { return l.User.email },
		"preference.type_names":           func(l *lead) record.Value { return l.wish().Types.list(nameOf) },
		"preference.location_names":       func(l *lead) record.Value { return l.wish().Locations.list(nameOf) },
		"preference.amenity_names":        func(l *lead) record.Value { return l.amenities().list(nameOf) },
		"matching.count":                  func(l *lead) record.Value { return l.Matching.Count.Value },
		"matching.inventory_count":        func(l *lead) record.Value { return l.Matching.Inventory.Value },
		"matching.mls_count":              func(l *lead) record.Value { return l.Matching.MLS.Value },
		"bank":                            func(l *lead) record.Value { return l.Bank.Value },
		"passport_number":                 func(l *lead) record.Value { return l.Passport.Value },
		"passport_expiry_date":            func(l *lead) record.Value { return l.PassportExpiry.Value },
		"legal_representative_first_name": func(l *lead) record.Value { return l.LegalFirst.Value },
		"legal_representative_last_name":  func(l *lead) record.Value { return l.LegalLast.Value },
		"legal_representative_email":      func(l *lead) record.Value { return l.LegalEmail.Value },
		"legal_representative_mobile":     func(l *lead) record.Value { return l.LegalMobile.Value },
		"created_at":                      func(l *lead) record.Value { return l.Created.Value },
		"updated_at":                      func(l *lead) record.Value { return l.Updated.Value },
	}
}

// norm is what of a field's value counts when the vendor's is held against a row's: the order of a list does not, nor
// does case where the vendor has choices, nor the form of a phone number.
func (s *slot) norm(v record.Value) string {
	switch s.form {
	case asTexts, asIDs:
		items, _ := v.Items()
		for i := range items {
			items[i] = strings.TrimSpace(items[i])
		}
		slices.Sort(items)
		return strings.Join(items, "\x1f")
	case asNotes:
		return strings.Join(bodies(v.Text()), "\x1f")
	}
	text := strings.TrimSpace(v.Text())
	switch s.name {
	case "mobile":
		return phoneDigits(text)
	case "first_name", "middle_name", "last_name", "address", "pobox", "city":
		return strings.Join(strings.Fields(text), " ")
	}
	return strings.ToLower(s.spell(text))
}

// phoneDigits are the digits of a phone number, without the two noughts or the plus before a country's code.
func phoneDigits(s string) string {
	d := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
	if d == "" {
		return strings.ToLower(strings.TrimSpace(s))
	}
	return strings.TrimPrefix(d, "00")
}

// samePhone reports whether two numbers may be one, written with and without the country's code.
func samePhone(a, b string) bool {
	a, b = phoneDigits(a), phoneDigits(b)
	if a == b {
		return true
	}
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	const enough = 7
	return len(a) >= enough && len(b) >= enough && (strings.HasSuffix(a, b) || strings.HasSuffix(b, a))
}
