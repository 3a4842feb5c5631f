package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// Knobs settle what the vendor's pages leave open. The zero value is the document's, or else the likeliest, behaviour.
// Each can be set by a fault rule as well: `set search_answer=full`. A text that is empty means the first of its values.
type Knobs struct {
	Answer       string // answer, of legacy create and edit: single_id {"id"}, array [{"id"}], full [contact], data {"data":{"id"}}
	SearchAnswer string // search_answer, legacy: single_id {"id"}, or [{"id"}…] for several; first_id; array; full [contact…]; data {"data":[contact…]}
	NoMatch      string // no_match, legacy: auto (as search_answer would), empty_object, empty_array, null, 404
	SearchMatch  string // search_match, both profiles, case aside: exact, contains
	EditNaming   string // edit_naming, legacy: both, camel (contactID, updateFields), snake (contact_id, update_fields)
	EditFields   string // edit_fields, legacy, separated by commas: name,email,phone; others are any field of a create
	EditAt       string // edit_at, legacy: both, shared (POST /contacts), own (POST /contacts/edit)
	DeleteBy     string // delete_by, legacy, separated by commas: body,query; the other is path
	DeleteAnswer string // delete_answer, legacy: text, json_string, object
	Duplicates   string // duplicates, an e-mail address that is there, legacy: allow, 400
	LegacyArrays bool   // legacy_arrays=on: a legacy create takes an array, all of it or nothing

	V2Delete          string // v2_delete: off (405), body, query, path; no page has one
	V2Errors          string // v2_errors: split (an array's in its entries, a single one's as a status), entries, status (nothing of an array happens)
	V2DuplicateStatus int    // v2_duplicate_status: 400 (default) or 409
	V2Form            string // v2_form: documented (status of a create, success of a PATCH), status, success
	V2EmptySearch     string // v2_empty_search, what an empty search_term finds: all, none
	V2FirstPage       int    // v2_first_page: 0 (default), or 1, where page 0 is page 1 as well
	MaxQueryAmount    int    // max_query_amount: contacts on a page of v2 at most, whatever is asked for; 0: 100

	CreateStatus     int            // create_status, both profiles: 200 (default) or 201
	Empty            string         // empty, a field without a value in a whole contact: null, string
	PhoneAnswer      string         // phone_answer, in a whole contact: string, as_sent (a number if it came as one)
	Lenient          bool           // strict=off: unknown fields are ignored, not refused, and null is an empty text
	DropDeleteBodies bool           // drop_delete_bodies=on: as a proxy does
	IgnoreGetBodies  bool           // ignore_get_bodies=on: as a proxy does
	KeyStatus        int            // key_status, of a missing or wrong key: 401 (default) or 403
	Rate             int            // rate: requests in a window and key; 0: 2, as documented; negative: no limit
	Window           time.Duration  // window: 0: 1 s
	LimitStatus      int            // limit_status: 429 (default) or 500, which the vendor's page explains with the same words
	LimitBody        room.BodyStyle // limit_body: json, html, empty
	RetryAfter       room.RetryForm // limit_retry_after: seconds, date, none; "": none, as no page promises one
	APIKey           string         // "": sandbox
}

// Values of the knobs that are compared in more than one place.
const (
	shapeSingle = "single_id"
	shapeArray  = "array"
	shapeFull   = "full"
	shapeData   = "data"
	shapeFirst  = "first_id"

	matchExact = "exact"

	namingBoth  = "both"
	namingCamel = "camel"
	namingSnake = "snake"

	editShared = "shared"
	editOwn    = "own"

	byBody  = "body"
	byQuery = "query"
	byPath  = "path"

	defaultEditFields = "name,email,phone"
	defaultDeleteBy   = byBody + "," + byQuery
)

// choice is a knob that is one of a few words, the first of them if it is empty.
type choice struct {
	name  string
	field func(*Knobs) *string
	words []string
}

func choices() []choice {
	return []choice{
		{"answer", func(k *Knobs) *string { return &k.Answer }, []string{shapeSingle, shapeArray, shapeFull, shapeData}},
		{"search_answer", func(k *Knobs) *string { return &k.SearchAnswer }, []string{shapeSingle, shapeFirst, shapeArray, shapeFull, shapeData}},
		{"no_match", func(k *Knobs) *string { return &k.NoMatch }, []string{"auto", "empty_object", "empty_array", "null", "404"}},
		{"search_match", func(k *Knobs) *string { return &k.SearchMatch }, []string{matchExact, "contains"}},
		{"edit_naming", func(k *Knobs) *string { return &k.EditNaming }, []string{namingBoth, namingCamel, namingSnake}},
		{"edit_at", func(k *Knobs) *string { return &k.EditAt }, []string{"both", editShared, editOwn}},
		{"delete_answer", func(k *Knobs) *string { return &k.DeleteAnswer }, []string{"text", "json_string", "object"}},
		{"duplicates", func(k *Knobs) *string { return &k.Duplicates }, []string{"allow", "400"}},
		{"v2_delete", func(k *Knobs) *string { return &k.V2Delete }, []string{"off", byBody, byQuery, byPath}},
		{"v2_errors", func(k *Knobs) *string { return &k.V2Errors }, []string{"split", "entries", "status"}},
		{"v2_form", func(k *Knobs) *string { return &k.V2Form }, []string{"documented", "status", "success"}},
		{"v2_empty_search", func(k *Knobs) *string { return &k.V2EmptySearch }, []string{"all", "none"}},
		{"empty", func(k *Knobs) *string { return &k.Empty }, []string{"null", "string"}},
		{"phone_answer", func(k *Knobs) *string { return &k.PhoneAnswer }, []string{"string", "as_sent"}},
	}
}

// code is a knob that is one of a few numbers, the first of them if it is 0.
type code struct {
	name  string
	field func(*Knobs) *int
	codes []int
}

func codes() []code {
	return []code{
		{"v2_duplicate_status", func(k *Knobs) *int { return &k.V2DuplicateStatus }, []int{http.StatusBadRequest, http.StatusConflict}},
		{"v2_first_page", func(k *Knobs) *int { return &k.V2FirstPage }, []int{0, 1}},
		{"create_status", func(k *Knobs) *int { return &k.CreateStatus }, []int{http.StatusOK, http.StatusCreated}},
		{"key_status", func(k *Knobs) *int { return &k.KeyStatus }, []int{http.StatusUnauthorized, http.StatusForbidden}},
		{"limit_status", func(k *Knobs) *int { return &k.LimitStatus }, []int{http.StatusTooManyRequests, http.StatusInternalServerError}},
	}
}

// switches are the knobs that are on or off.
func switches() map[string]func(k *Knobs, on bool) {
	return map[string]func(k *Knobs, on bool){
		"strict":             func(k *Knobs, on bool) { k.Lenient = !on },
		"legacy_arrays":      func(k *Knobs, on bool) { k.LegacyArrays = on },
		"drop_delete_bodies": func(k *Knobs, on bool) { k.DropDeleteBodies = on },
		"ignore_get_bodies":  func(k *Knobs, on bool) { k.IgnoreGetBodies = on },
	}
}

// withDefaults checks the knobs and fills in the defaults.
func (k Knobs) withDefaults() (Knobs, error) {
	for _, c := range choices() {
		at := c.field(&k)
		if *at == "" {
			*at = c.words[0]
		}
		if err := oneOf(*at, c.words...); err != nil {
			return k, fmt.Errorf("%s %q: %w", c.name, *at, err)
		}
	}
	for _, c := range codes() {
		at := c.field(&k)
		if *at == 0 {
			*at = c.codes[0]
		}
		if !slices.Contains(c.codes, *at) {
			return k, fmt.Errorf("%s %d: want one of %v", c.name, *at, c.codes)
		}
	}
	if k.EditFields == "" {
		k.EditFields = defaultEditFields
	}
	if k.DeleteBy == "" {
		k.DeleteBy = defaultDeleteBy
	}
	if err := eachOf(k.EditFields, editable()...); err != nil {
		return k, fmt.Errorf("edit_fields %q: %w", k.EditFields, err)
	}
	if err := eachOf(k.DeleteBy, byBody, byQuery, byPath); err != nil {
		return k, fmt.Errorf("delete_by %q: %w", k.DeleteBy, err)
	}
	if k.Rate == 0 {
		k.Rate = 2
	}
	k.Rate = max(k.Rate, 0)
	if k.Window == 0 {
		k.Window = time.Second
	}
	if k.MaxQueryAmount == 0 {
		k.MaxQueryAmount = 100
	}
	if k.APIKey == "" {
		k.APIKey = "sandbox"
	}
	if k.Window < 0 || k.MaxQueryAmount < 0 {
		return k, fmt.Errorf("window and max_query_amount can't be negative")
	}
	return k, nil
}

// deletesBy reports whether the legacy API takes the id of a contact to delete from there.
func (k *Knobs) deletesBy(where string) bool { return listed(k.DeleteBy, where) }

// knob is one setting by name.
type knob struct {
	name string
	set  func(k *Knobs, value string) error
}

func knobTable() []knob {
	var table []knob
	for _, c := range choices() {
		table = append(table, knob{c.name, func(k *Knobs, v string) error {
			*c.field(k) = v
			return oneOf(v, c.words...)
		}})
	}
	for _, c := range codes() {
		table = append(table, knob{c.name, func(k *Knobs, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || !slices.Contains(c.codes, n) {
				return fmt.Errorf("want one of %v", c.codes)
			}
			*c.field(k) = n
			return nil
		}})
	}
	for name, set := range switches() {
		table = append(table, knob{name, func(k *Knobs, v string) error {
			set(k, v == "on")
			return oneOf(v, "on", "off")
		}})
	}
	table = append(table, otherKnobs()...)
	slices.SortFunc(table, func(a, b knob) int { return strings.Compare(a.name, b.name) })
	return table
}

// otherKnobs are those that have values of their own kind.
func otherKnobs() []knob {
	return []knob{
		{"edit_fields", func(k *Knobs, v string) error {
			k.EditFields = v
			return eachOf(v, editable()...)
		}},
		{"delete_by", func(k *Knobs, v string) error {
			k.DeleteBy = v
			return eachOf(v, byBody, byQuery, byPath)
		}},
		{"max_query_amount", func(k *Knobs, v string) (err error) {
			k.MaxQueryAmount, err = strconv.Atoi(v)
			if err != nil || k.MaxQueryAmount < 1 {
				return fmt.Errorf("want a whole number from 1")
			}
			return nil
		}},
		{"rate", func(k *Knobs, v string) (err error) {
			k.Rate, err = strconv.Atoi(v)
			if err != nil || k.Rate < 0 {
				return fmt.Errorf("want a whole number, 0 for no limit")
			}
			return nil
		}},
		{"window", func(k *Knobs, v string) error {
			d, err := time.ParseDuration(v)
			if err != nil || d <= 0 {
				return fmt.Errorf("want a duration, as in 10s")
			}
			k.Window = d
			return nil
		}},
		{"limit_body", func(k *Knobs, v string) error {
			k.LimitBody = room.BodyStyle(v)
			if v == "json" {
				k.LimitBody = room.BodyJSON
			}
			return oneOf(v, "json", "html", "empty")
		}},
		{"limit_retry_after", func(k *Knobs, v string) error {
			k.RetryAfter = room.RetryForm(v)
			if v == "none" {
				k.RetryAfter = room.RetryNone
			}
			return oneOf(v, "seconds", "date", "none")
		}},
	}
}

func oneOf(v string, want ...string) error {
	if !slices.Contains(want, v) {
		return fmt.Errorf("want one of %v", want)
	}
	return nil
}

// eachOf checks a list with commas.
func eachOf(list string, want ...string) error {
	for v := range strings.SplitSeq(list, ",") {
		if !slices.Contains(want, v) {
			return fmt.Errorf("want some of %v, with commas between them", want)
		}
	}
	return nil
}

// listed reports whether a list with commas has the word.
func listed(list, word string) bool {
	for v := range strings.SplitSeq(list, ",") {
		if v == word {
			return true
		}
	}
	return false
}

// tune applies settings on top of those the simulator was made with.
func (s *Simulator) tune(settings []room.Knob) error {
	k := s.made
	table := knobTable()
	for _, want := range settings {
		i := slices.IndexFunc(table, func(one knob) bool { return one.name == want.Name })
		if i < 0 {
			var names []string
			for _, one := range table {
				names = append(names, one.name)
			}
			return room.UnknownKnob(Name, want, names)
		}
		if err := table[i].set(&k, want.Value); err != nil {
			return fmt.Errorf("set %s=%s: %w", want.Name, want.Value, err)
		}
	}
	s.knobs = k
	s.paths = endpoints(k)
	s.limit.Rate, s.limit.Per = k.Rate, k.Window
	return nil
}
