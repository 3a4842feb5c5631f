package mycrm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crmetl/crmetl/record"
)

// value is a JSON value of any kind. One that is missing stays Absent.
type value struct{ record.Value }

// UnmarshalJSON reads any value.
func (v *value) UnmarshalJSON(raw []byte) (err error) {
	v.Value, err = record.ParseJSON(raw)
	return err
}

// lead is a lead as the vendor returns it. Where the document contradicts itself, or real answers contradict it, both
// readings are taken.
type lead struct {
	ID          value   `json:"id"`
	Title       value   `json:"title"`
	FirstName   value   `json:"first_name"`
	MiddleName  value   `json:"middle_name"`
	LastName    value   `json:"last_name"`
	Email       value   `json:"email"`
	Mobile      value   `json:"mobile"`
	Phone       value   `json:"phone"`
	Category    value   `json:"category"`
	Address     value   `json:"address"`
	Pobox       value   `json:"pobox"`
	City        value   `json:"city"`
	Country     value   `json:"country"`
	Status      value   `json:"status"`
	Quality     value   `json:"quality"`
	Source      value   `json:"source"`
	Channel     value   `json:"channel"`
	SrcChannel  value   `json:"source_channel"`
	Financial   value   `json:"financial"`
	Mortgage    value   `json:"mortgage_status"`
	TimeFrame   value   `json:"time_frame"`
	Offering    value   `json:"offering_type"`
	User        person  `json:"user"`
	Preferences wishes  `json:"preferences"`
	Preference  wishes  `json:"preference"`
	Amenities   named   `json:"amenities"`
	Fields      customs `json:"fields"`
	Notes       notes   `json:"notes"`
	Matching    struct {
		Count     value `json:"count"`
		Inventory value `json:"inventory_count"`
		MLS       value `json:"mls_count"`
	} `json:"matching"`
	Bank           value `json:"bank"`
	Passport       value `json:"passport_number"`
	PassportExpiry value `json:"passport_expiry_date"`
	LegalFirst     value `json:"legal_representative_first_name"`
	LegalLast      value `json:"legal_representative_last_name"`
	LegalEmail     value `json:"legal_representative_email"`
	LegalMobile    value `json:"legal_representative_mobile"`
	Created        value `json:"created_at"`
	Updated        value `json:"updated_at"`
}

// person is the agent of a lead: {"id":1}, the whole user, a bare id, or null.
type person struct {
	id, first, last, email record.Value
}

// UnmarshalJSON reads any of the forms.
func (p *person) UnmarshalJSON(raw []byte) error {
	if raw[0] != '{' {
		v, err := record.ParseJSON(raw)
		p.id = v
		return err
	}
	var o struct {
		ID     value `json:"id"`
		First  value `json:"first_name"`
		Last   value `json:"last_name"`
		Email  value `json:"email"`
		Public struct {
			First value `json:"first_name"`
			Last  value `json:"last_name"`
			Email value `json:"email"`
		} `json:"public"`
	}
	err := json.Unmarshal(raw, &o)
	p.id = o.ID.Value
	p.first, p.last, p.email = or(o.First, o.Public.First), or(o.Last, o.Public.Last), or(o.Email, o.Public.Email)
	return err
}

// or returns the first value that says something.
func or(list ...value) record.Value {
	for _, v := range list {
		if !v.IsEmpty() {
			return v.Value
		}
	}
	return list[0].Value
}

// thing is something with an id: a type, a location, an amenity; or its bare id.
type thing struct {
	id, name, category string
}

// named is a list of things.
type named []thing

// UnmarshalJSON reads a list of objects or of bare ids; null is no list.
func (n *named) UnmarshalJSON(raw []byte) error {
	if raw[0] != '[' {
		return nil // null, or something that the document does not know
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	*n = make(named, 0, len(list))
	for _, item := range list {
		t, err := newThing(item)
		if err != nil {
			return err
		}
		*n = append(*n, t)
	}
	return nil
}

func newThing(raw json.RawMessage) (thing, error) {
	if len(raw) == 0 || raw[0] != '{' {
		v, err := record.ParseJSON(raw)
		return thing{id: v.Text()}, err
	}
	var o struct {
		ID        value `json:"id"`
		Name      value `json:"name"`
		Category  value `json:"category"`
		Tower     value `json:"tower"`
		Sub       value `json:"sub_community"`
		Community value `json:"community"`
		City      value `json:"city"`
	}
	err := json.Unmarshal(raw, &o)
	t := thing{id: o.ID.Text(), name: o.Name.Text(), category: o.Category.Text()}
	if t.name == "" {
		var parts []string
		for _, v := range []value{o.Tower, o.Sub, o.Community, o.City} {
			if !v.IsEmpty() {
				parts = append(parts, v.Text())
			}
		}
		t.name = strings.Join(parts, ", ")
	}
	return t, err
}

// list returns the ids or the names of things, Null if there is none.
func (n named) list(of func(thing) string) record.Value {
	var items []string
	for _, t := range n {
		if s := of(t); s != "" {
			items = append(items, s)
		}
	}
	if items == nil {
		return record.NullOf()
	}
	return record.ListOf(items)
}

func idOf(t thing) string   { return t.id }
func nameOf(t thing) string { return t.name }

// wish is what a lead looks for.
type wish struct {
	Types     named `json:"types"`
	Locations named `json:"locations"`
	Amenities named `json:"amenities"`
	Offering  value `json:"offering_type"`
	Category  value `json:"category"`
	FromPrice value `json:"from_price"`
	ToPrice   value `json:"to_price"`
	FromSize  value `json:"from_size"`
	ToSize    value `json:"to_size"`
	FromBath  value `json:"from_bathroom"`
	ToBath    value `json:"to_bathroom"`
	FromBed   value `json:"from_bedroom"`
	ToBed     value `json:"to_bedroom"`
}

// wishes is a preference: an object, a list of at most one, or null.
type wishes struct {
	wish
	there bool
}

// UnmarshalJSON reads any of the forms.
func (w *wishes) UnmarshalJSON(raw []byte) error {
	switch raw[0] {
	case '{':
		w.there = true
		return json.Unmarshal(raw, &w.wish)
	case '[':
		var list []wish
		if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 {
			return err
		}
		w.wish, w.there = list[0], true
	}
	return nil
}

// custom is the value of one custom field of a lead.
type custom struct {
	id    string
	value record.Value
}

// customs are the custom fields of a lead, by id, in order.
type customs []custom

// UnmarshalJSON reads an object of values by id. An empty one may come as [], as PHP writes it.
func (c *customs) UnmarshalJSON(raw []byte) error {
	if raw[0] != '{' {
		return nil
	}
	var m map[string]value
	if err := json.Unmarshal(raw, &m); err != nil {
		return err
	}
	for id, v := range m {
		*c = append(*c, custom{id, v.Value})
	}
	slices.SortFunc(*c, func(a, b custom) int { return compareIDs(a.id, b.id) })
	return nil
}

// compareIDs orders ids of digits as numbers, and others after them.
func compareIDs(a, b string) int {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	switch {
	case errX == nil && errY == nil && x < y, errX == nil && errY != nil:
		return -1
	case errX == nil && errY == nil && x > y, errX != nil && errY == nil:
		return 1
	}
	return strings.Compare(a, b)
}

// notes are the bodies of a lead's notes.
type notes struct {
	bodies []string
	there  bool // the answer has notes at all: it was expanded
}

// UnmarshalJSON reads a list of objects with a body, or of texts.
func (n *notes) UnmarshalJSON(raw []byte) error {
	if raw[0] != '[' {
		return nil
	}
	n.there = true
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	for _, item := range list {
		var o struct {
			Body value `json:"body"`
		}
		v, err := record.ParseJSON(item)
		if err != nil {
			return err
		}
		if v.Kind() == record.JSON {
			if err := json.Unmarshal(item, &o); err != nil {
				return err
			}
			v = o.Body.Value
		}
		if !v.IsEmpty() {
			n.bodies = append(n.bodies, v.Text())
		}
	}
	return nil
}

// bodies reads a cell of notes: one note, or a JSON array of several texts.
func bodies(text string) []string {
	t := strings.TrimSpace(text)
	if strings.HasPrefix(t, "[") {
		var n notes
		if json.Unmarshal([]byte(t), &n) == nil && n.there {
			return n.bodies
		}
	}
	if t == "" {
		return nil
	}
	return []string{text}
}

// cellOf writes notes so that bodies reads them again.
func cellOf(list []string) record.Value {
	if len(list) == 0 {
		return record.NullOf()
	}
	if again := bodies(list[0]); len(list) == 1 && len(again) == 1 && again[0] == list[0] {
		return record.TextOf(list[0])
	}
	return record.TextOf(record.ListOf(list).Text())
}

// wish returns the preference, whichever key it came under.
func (l *lead) wish() *wish {
	if l.Preference.there && !l.Preferences.there {
		return &l.Preference.wish
	}
	return &l.Preferences.wish
}

// amenities stand beside the preference in answers, and inside it in requests.
func (l *lead) amenities() named {
	if len(l.Amenities) == 0 {
		return l.wish().Amenities
	}
	return l.Amenities
}

// offering is sale or rent, or what else the vendor has there. The document's example of an answer has residential in
// this place, which is a category.
func (l *lead) offering() record.Value {
	w := l.wish()
	for _, v := range []value{l.Offering, w.Offering} {
		if !v.IsEmpty() && !isCategory(v.Value) {
			return v.Value
		}
	}
	return record.Value{}
}

// category is what the lead looks for, wherever the answer says it.
func (l *lead) category() record.Value {
	w := l.wish()
	for _, v := range []value{l.Category, w.Category} {
		if !v.IsEmpty() {
			return v.Value
		}
	}
	for _, v := range []value{w.Offering, l.Offering} {
		if isCategory(v.Value) {
			return v.Value
		}
	}
	for _, t := range w.Types {
		if v := record.TextOf(t.category); isCategory(v) {
			return v
		}
	}
	return l.Category.Value
}

func isCategory(v record.Value) bool {
	return strings.EqualFold(v.Text(), "residential") || strings.EqualFold(v.Text(), "commercial")
}

// moment reads a time stamp.
func moment(v record.Value) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, v.Text())
	return t, err == nil
}

// errNoLead is what an answer is that holds none.
var errNoLead = errors.New("the answer holds no lead")

// bare takes a lead out of its envelope, if it is in one.
func bare(body []byte) ([]byte, error) {
	var o struct {
		Lead json.RawMessage `json:"lead"`
		ID   json.RawMessage `json:"id"`
	}
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoLead, err)
	}
	inner := bytes.TrimSpace(o.Lead)
	switch {
	case len(inner) > 0 && inner[0] == '{':
		return inner, nil
	case o.ID != nil:
		return body, nil
	}
	return nil, errNoLead
}

// parseLead reads one lead.
func parseLead(raw []byte) (*lead, error) {
	l := &lead{}
	if err := json.Unmarshal(raw, l); err != nil {
		return nil, fmt.Errorf("a lead can't be read: %w", err)
	}
	if l.ID.IsEmpty() {
		return nil, fmt.Errorf("%w: it has no id", errNoLead)
	}
	return l, nil
}
