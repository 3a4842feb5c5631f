package sandbox

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// Knobs settle what is not known of the vendor, and shorten what would take long. The zero value is the likeliest
// behaviour. Each can be set by a fault rule as well: `set put_mode=merge`.
type Knobs struct {
	// Writing.
	CreateStatus    int    // create_status: of a POST that made a lead, 200 (default) or 201
	InvalidStatus   int    // invalid_status: of a body or query that is refused, 400 (default) or 422
	Mandatory       string // mandatory: strict (default) wants all that the document calls mandatory, lenient nothing, and takes the names of a read as well
	MandatoryField  int    // mandatory_field: the id of a custom field without which no lead is taken; 0: none
	PutMode         string // put_mode: replace (default) clears what a PUT does not name, merge leaves it
	PutLists        string // put_lists: keep (default) leaves notes and properties that a PUT does not name, replace removes them
	Duplicates      string // duplicates: allow (default), or 409 for a mobile that another lead has
	PreferenceKey   string // preference_key: preference (default), preferences or both
	PreferenceShape string // preference_shape: both (default), object or array (of one)
	OfferingTypeAt  string // offering_type_at: either (default), preference or lead
	// Patching and deleting.
	PatchPath     string // patch_path: of the operations on one lead, short (default): /status, or long: /{id}/status
	BulkLoose     bool   // bulk_atomic=off: operations before a bad one are done
	MaxOperations int    // max_operations: in one PATCH; 0: no limit
	DeletePath    string // delete_path: both (default), plural: /leads/{id}, singular: /lead/{id}
	MissingDelete int    // missing_delete: the status of the path that delete_path leaves out, 404 (default) or 405
	DroppedBodies bool   // dropped_bodies=on: bodies of DELETE requests are lost on the way, as some proxies do
	// Reading.
	Bare             bool   // envelope=off: one lead is answered without {"lead":…}, and taken with or without
	ChannelKey       string // channel_key: what a read calls the channel: source_channel (default), channel (as the document has it) or both
	ReadOfferingType string // read_offering_type: sent (default), or category, as in the document's sample
	EmptyFields      string // empty_fields: a lead without custom fields has object (default) {} or array [], as PHP writes it
	DefaultPerPage   int    // default_per_page: 0: 100
	MaxPerPage       int    // max_per_page: what is more becomes this without a word; 0: 100
	OmitPage         bool   // omit_page=on: lists do not tell page and per_page
	OmitCount        bool   // omit_count=on: lists do not tell the count
	IgnorePage       bool   // ignore_page=on: every page is the first
	Churn            int    // churn: so many changes before the cursor while someone pages: a delete, an insert, a delete, …
	StrictFilters    bool   // strict_filters=on: unknown filters and sorts are refused, not ignored with a warning
	TextMatch        string // text_match: filters on text want contains (default) or exact, without regard to case
	Deny             string // deny: rights that the account lacks, with commas: lead.update,user.update
	// The rest.
	Rate        int            // rate: requests in a window; 0: no limit
	Window      time.Duration  // window: 0: 1 s
	RetryAfter  room.RetryForm // limit_retry_after: seconds, date, none (default)
	LimitBody   room.BodyStyle // limit_body: json (default), html, empty
	TokenTTL    time.Duration  // token_ttl: how long a token lasts, in whole seconds; 0: 30 minutes
	TokenStatus int            // token_status: of POST /token, 200 (default) or 201
	StaticToken string         // static_token: a token that is always good; "": sandbox-static-token; off: none
	APIKey      string         // "": sandbox-key
	APISecret   string         // "": sandbox-secret
	Domain      string         // of POST /token; "": sandbox
	Username    string         // of POST /token; "": ops@example.com
	Password    string         // of POST /token; "": sandbox
}

// Values of knobs that the code compares with.
const (
	strict   = "strict"
	lenient  = "lenient"
	merge    = "merge"
	replace  = "replace"
	keep     = "keep"
	allow    = "allow"
	conflict = "409"
	both     = "both"
	either   = "either"
	long     = "long"
	short    = "short"
	singular = "singular"
	plural   = "plural"
	sent     = "sent"
	contains = "contains"
	exact    = "exact"
	off      = "off"

	keyPreference  = "preference"
	keyPreferences = "preferences"
	keyLead        = "lead"
	shapeObject    = "object"
	shapeArray     = "array"
	keyChannel     = "channel"
	keySourceChan  = "source_channel"
	keyCategory    = "category"
)

// choice is a knob with a closed set of values, the first of which is the default.
type choice struct {
	name   string
	at     func(*Knobs) *string
	values []string
}

func choices() []choice {
	return []choice{
		{"mandatory", func(k *Knobs) *string { return &k.Mandatory }, []string{strict, lenient}},
		{"put_mode", func(k *Knobs) *string { return &k.PutMode }, []string{replace, merge}},
		{"put_lists", func(k *Knobs) *string { return &k.PutLists }, []string{keep, replace}},
		{"duplicates", func(k *Knobs) *string { return &k.Duplicates }, []string{allow, conflict}},
		{"preference_key", func(k *Knobs) *string { return &k.PreferenceKey }, []string{keyPreference, keyPreferences, both}},
		{"preference_shape", func(k *Knobs) *string { return &k.PreferenceShape }, []string{both, shapeObject, shapeArray}},
		{"offering_type_at", func(k *Knobs) *string { return &k.OfferingTypeAt }, []string{either, keyPreference, keyLead}},
		{"patch_path", func(k *Knobs) *string { return &k.PatchPath }, []string{short, long}},
		{"delete_path", func(k *Knobs) *string { return &k.DeletePath }, []string{both, plural, singular}},
		{"channel_key", func(k *Knobs) *string { return &k.ChannelKey }, []string{keySourceChan, keyChannel, both}},
		{"read_offering_type", func(k *Knobs) *string { return &k.ReadOfferingType }, []string{sent, keyCategory}},
		{"empty_fields", func(k *Knobs) *string { return &k.EmptyFields }, []string{shapeObject, shapeArray}},
		{"text_match", func(k *Knobs) *string { return &k.TextMatch }, []string{contains, exact}},
	}
}

// statusKnob is a knob that is one of two statuses, the first of which is the default.
type statusKnob struct {
	name   string
	at     func(*Knobs) *int
	values [2]int
}

func statusKnobs() []statusKnob {
	return []statusKnob{
		{"create_status", func(k *Knobs) *int { return &k.CreateStatus }, [2]int{200, 201}},
		{"invalid_status", func(k *Knobs) *int { return &k.InvalidStatus }, [2]int{400, 422}},
		{"missing_delete", func(k *Knobs) *int { return &k.MissingDelete }, [2]int{404, 405}},
		{"token_status", func(k *Knobs) *int { return &k.TokenStatus }, [2]int{200, 201}},
	}
}

// amount is a knob that counts something; 0 is the default.
type amount struct {
	name string
	at   func(*Knobs) *int
	def  int
}

func amounts() []amount {
	return []amount{
		{"mandatory_field", func(k *Knobs) *int { return &k.MandatoryField }, 0},
		{"max_operations", func(k *Knobs) *int { return &k.MaxOperations }, 0},
		{"default_per_page", func(k *Knobs) *int { return &k.DefaultPerPage }, 100},
		{"max_per_page", func(k *Knobs) *int { return &k.MaxPerPage }, 100},
		{"churn", func(k *Knobs) *int { return &k.Churn }, 0},
		{"rate", func(k *Knobs) *int { return &k.Rate }, 0},
	}
}

// flag is a knob that is on or off.
type flag struct {
	name string
	at   func(*Knobs) *bool
	when string // what sets it
}

func flags() []flag {
	return []flag{
		{"bulk_atomic", func(k *Knobs) *bool { return &k.BulkLoose }, off},
		{"dropped_bodies", func(k *Knobs) *bool { return &k.DroppedBodies }, "on"},
		{"envelope", func(k *Knobs) *bool { return &k.Bare }, off},
		{"omit_page", func(k *Knobs) *bool { return &k.OmitPage }, "on"},
		{"omit_count", func(k *Knobs) *bool { return &k.OmitCount }, "on"},
		{"ignore_page", func(k *Knobs) *bool { return &k.IgnorePage }, "on"},
		{"strict_filters", func(k *Knobs) *bool { return &k.StrictFilters }, "on"},
	}
}

// withDefaults checks the knobs and fills in the defaults.
func (k Knobs) withDefaults() (Knobs, error) {
	for _, c := range choices() {
		v := c.at(&k)
		if *v == "" {
			*v = c.values[0]
		}
		if err := oneOf(*v, c.values...); err != nil {
			return k, fmt.Errorf("%s %q: %w", c.name, *v, err)
		}
	}
	for _, s := range statusKnobs() {
		v := s.at(&k)
		if *v == 0 {
			*v = s.values[0]
		}
		if *v != s.values[0] && *v != s.values[1] {
			return k, fmt.Errorf("%s %d: want %d or %d", s.name, *v, s.values[0], s.values[1])
		}
	}
	for _, a := range amounts() {
		v := a.at(&k)
		if *v == 0 {
			*v = a.def
		}
		if *v < 0 {
			return k, fmt.Errorf("%s %d: want a whole number from 0", a.name, *v)
		}
	}
	for _, d := range []struct {
		to  *string
		def string
	}{
		{&k.StaticToken, "sandbox-static-token"}, {&k.APIKey, "sandbox-key"}, {&k.APISecret, "sandbox-secret"},
		{&k.Domain, "sandbox"}, {&k.Username, "ops@example.com"}, {&k.Password, "sandbox"},
	} {
		if *d.to == "" {
			*d.to = d.def
		}
	}
	if k.Window == 0 {
		k.Window = time.Second
	}
	if k.TokenTTL == 0 {
		k.TokenTTL = 30 * time.Minute
	}
	if k.Window < 0 || k.TokenTTL < 0 {
		return k, fmt.Errorf("window and token_ttl can't be negative")
	}
	if _, ok := fieldOf("lead", strconv.Itoa(k.MandatoryField)); k.MandatoryField != 0 && !ok {
		return k, fmt.Errorf("mandatory_field %d: leads have no such custom field", k.MandatoryField)
	}
	return k, checkRights(k.Deny)
}

// rights are those that the document names.
var rights = []string{"lead.read", "lead.update", "lead.update.other", "user.update", "property.read"}

func (k Knobs) denied() []string { return strings.Split(k.Deny, ",") }

func checkRights(deny string) error {
	if deny == "" {
		return nil
	}
	for right := range strings.SplitSeq(deny, ",") {
		if err := oneOf(right, rights...); err != nil {
			return fmt.Errorf("deny %q: %w", right, err)
		}
	}
	return nil
}

// knob is one setting by name.
type knob struct {
	name string
	set  func(k *Knobs, value string) error
}

func knobTable() []knob {
	var out []knob
	for _, c := range choices() {
		out = append(out, knob{c.name, func(k *Knobs, v string) error {
			*c.at(k) = v
			return oneOf(v, c.values...)
		}})
	}
	for _, s := range statusKnobs() {
		out = append(out, knob{s.name, func(k *Knobs, v string) error {
			*s.at(k), _ = strconv.Atoi(v)
			return oneOf(v, strconv.Itoa(s.values[0]), strconv.Itoa(s.values[1]))
		}})
	}
	for _, a := range amounts() {
		out = append(out, knob{a.name, func(k *Knobs, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return fmt.Errorf("want a whole number from 0")
			}
			*a.at(k) = n
			return nil
		}})
	}
	for _, f := range flags() {
		out = append(out, knob{f.name, func(k *Knobs, v string) error {
			*f.at(k) = v == f.when
			return oneOf(v, "on", off)
		}})
	}
	return append(out, otherKnobs()...)
}

// otherKnobs are those that are like no other.
func otherKnobs() []knob {
	return []knob{
		{"deny", func(k *Knobs, v string) error {
			k.Deny = v
			return checkRights(v)
		}},
		{"window", func(k *Knobs, v string) error { return duration(&k.Window, v) }},
		{"token_ttl", func(k *Knobs, v string) error { return duration(&k.TokenTTL, v) }},
		{"static_token", func(k *Knobs, v string) error {
			k.StaticToken = v
			return nil
		}},
		{"limit_retry_after", func(k *Knobs, v string) error {
			k.RetryAfter = room.RetryForm(v)
			if v == "none" {
				k.RetryAfter = room.RetryNone
			}
			return oneOf(v, "seconds", "date", "none")
		}},
		{"limit_body", func(k *Knobs, v string) error {
			k.LimitBody = room.BodyStyle(v)
			if v == "json" {
				k.LimitBody = room.BodyJSON
			}
			return oneOf(v, "json", "html", "empty")
		}},
	}
}

func oneOf(v string, want ...string) error {
	for _, w := range want {
		if v == w {
			return nil
		}
	}
	return fmt.Errorf("want one of %v", want)
}

func duration(d *time.Duration, v string) error {
	n, err := time.ParseDuration(v)
	if err != nil || n <= 0 {
		return fmt.Errorf("want a duration, as in 10s")
	}
	*d = n
	return nil
}

// tune applies settings on top of those the simulator was made with.
func (s *Simulator) tune(settings []room.Knob) error {
	k := s.made
	table := knobTable()
next:
	for _, want := range settings {
		for _, one := range table {
			if one.name == want.Name {
				if err := one.set(&k, want.Value); err != nil {
					return fmt.Errorf("set %s=%s: %w", want.Name, want.Value, err)
				}
				continue next
			}
		}
		var names []string
		for _, one := range table {
			names = append(names, one.name)
		}
		return room.UnknownKnob(Name, want, names)
	}
	k, err := k.withDefaults()
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.churned = 0
	s.mu.Unlock()
	s.knobs = k
	s.limit.Rate, s.limit.Per = k.Rate, k.Window
	return nil
}
