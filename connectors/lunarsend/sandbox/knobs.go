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

// withDefaults checks the knobs and fills in the defaults.
func (k Knobs) withDefaults() (Knobs, error) {
	if k.Window < 0 || k.MaxQueryAmount < 0 {
		return k, fmt.Errorf("window and max_query_amount can't be negative")
	}
	if err := room.Defaults(knobTable(&k)); err != nil {
		return k, err
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
	if k.APIKey == "" {
		k.APIKey = "sandbox"
	}
	return k, nil
}

// deletesBy reports whether the legacy API takes the id of a contact to delete from there.
func (k *Knobs) deletesBy(where string) bool { return listed(k.DeleteBy, where) }

// knobTable lists the knobs that can be set by name.
func knobTable(k *Knobs) []room.Setting {
	table := []room.Setting{
		room.Choice("answer", &k.Answer, shapeSingle, shapeArray, shapeFull, shapeData),
		room.Choice("search_answer", &k.SearchAnswer, shapeSingle, shapeFirst, shapeArray, shapeFull, shapeData),
		room.Choice("no_match", &k.NoMatch, "auto", "empty_object", "empty_array", "null", "404"),
		room.Choice("search_match", &k.SearchMatch, matchExact, "contains"),
		room.Choice("edit_naming", &k.EditNaming, namingBoth, namingCamel, namingSnake),
		room.Choice("edit_at", &k.EditAt, "both", editShared, editOwn),
		room.Choice("delete_answer", &k.DeleteAnswer, "text", "json_string", "object"),
		room.Choice("duplicates", &k.Duplicates, "allow", "400"),
		room.Choice("v2_delete", &k.V2Delete, "off", byBody, byQuery, byPath),
		room.Choice("v2_errors", &k.V2Errors, "split", "entries", "status"),
		room.Choice("v2_form", &k.V2Form, "documented", "status", "success"),
		room.Choice("v2_empty_search", &k.V2EmptySearch, "all", "none"),
		room.Choice("empty", &k.Empty, "null", "string"),
		room.Choice("phone_answer", &k.PhoneAnswer, "string", "as_sent"),
		code("v2_duplicate_status", &k.V2DuplicateStatus, http.StatusBadRequest, http.StatusConflict),
		code("v2_first_page", &k.V2FirstPage, 0, 1),
		code("create_status", &k.CreateStatus, http.StatusOK, http.StatusCreated),
		code("key_status", &k.KeyStatus, http.StatusUnauthorized, http.StatusForbidden),
		code("limit_status", &k.LimitStatus, http.StatusTooManyRequests, http.StatusInternalServerError),
		room.Switch("strict", &k.Lenient, "off"),
		room.Switch("legacy_arrays", &k.LegacyArrays, "on"),
		room.Switch("drop_delete_bodies", &k.DropDeleteBodies, "on"),
		room.Switch("ignore_get_bodies", &k.IgnoreGetBodies, "on"),
		room.Text("edit_fields", &k.EditFields, func(v string) error { return eachOf(v, editable()...) }),
		room.Text("delete_by", &k.DeleteBy, func(v string) error { return eachOf(v, byBody, byQuery, byPath) }),
		room.Number("max_query_amount", &k.MaxQueryAmount, 1, 100),
		room.Rate(&k.Rate),
		room.Period("window", &k.Window),
		room.LimitBody(&k.LimitBody),
		room.LimitRetryAfter(&k.RetryAfter),
	}
	slices.SortFunc(table, func(a, b room.Setting) int { return strings.Compare(a.Name, b.Name) })
	return table
}

// code is a knob that is one of a few numbers, the first of which is the default.
func code(name string, to *int, codes ...int) room.Setting {
	return room.Setting{
		Name: name,
		Set: func(v string) (err error) {
			*to, err = strconv.Atoi(v)
			if err != nil || !slices.Contains(codes, *to) {
				return fmt.Errorf("want one of %v", codes)
			}
			return nil
		},
		Default: func() error {
			if *to == 0 {
				*to = codes[0]
			}
			if !slices.Contains(codes, *to) {
				return fmt.Errorf("%s %d: want one of %v", name, *to, codes)
			}
			return nil
		},
	}
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
	if err := room.Tune(Name, knobTable(&k), settings); err != nil {
		return err
	}
	s.knobs = k
	s.paths = endpoints(k)
	s.limit.Rate, s.limit.Per = k.Rate, k.Window
	return nil
}
