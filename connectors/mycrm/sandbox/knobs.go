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

// withDefaults checks the knobs and fills in the defaults.
func (k Knobs) withDefaults() (Knobs, error) {
	if err := room.Defaults(knobTable(&k)); err != nil {
		return k, err
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
		if err := room.OneOf(right, rights...); err != nil {
			return fmt.Errorf("deny %q: %w", right, err)
		}
	}
	return nil
}

// knobTable lists the knobs that can be set by name.
func knobTable(k *Knobs) []room.Setting {
	return []room.Setting{
		room.Choice("mandatory", &k.Mandatory, strict, lenient),
		room.Choice("put_mode", &k.PutMode, replace, merge),
		room.Choice("put_lists", &k.PutLists, keep, replace),
		room.Choice("duplicates", &k.Duplicates, allow, conflict),
		room.Choice("preference_key", &k.PreferenceKey, keyPreference, keyPreferences, both),
		room.Choice("preference_shape", &k.PreferenceShape, both, shapeObject, shapeArray),
		room.Choice("offering_type_at", &k.OfferingTypeAt, either, keyPreference, keyLead),
		room.Choice("patch_path", &k.PatchPath, short, long),
		room.Choice("delete_path", &k.DeletePath, both, plural, singular),
		room.Choice("channel_key", &k.ChannelKey, keySourceChan, keyChannel, both),
		room.Choice("read_offering_type", &k.ReadOfferingType, sent, keyCategory),
		room.Choice("empty_fields", &k.EmptyFields, shapeObject, shapeArray),
		room.Choice("text_match", &k.TextMatch, contains, exact),
		room.Status("create_status", &k.CreateStatus, 200, 201),
		room.Status("invalid_status", &k.InvalidStatus, 400, 422),
		room.Status("missing_delete", &k.MissingDelete, 404, 405),
		room.Status("token_status", &k.TokenStatus, 200, 201),
		room.Number("mandatory_field", &k.MandatoryField, 0, 0),
		room.Number("max_operations", &k.MaxOperations, 0, 0),
		room.Number("default_per_page", &k.DefaultPerPage, 0, 100),
		room.Number("max_per_page", &k.MaxPerPage, 0, 100),
		room.Number("churn", &k.Churn, 0, 0),
		room.Number("rate", &k.Rate, 0, 0),
		room.Switch("bulk_atomic", &k.BulkLoose, off),
		room.Switch("dropped_bodies", &k.DroppedBodies, "on"),
		room.Switch("envelope", &k.Bare, off),
		room.Switch("omit_page", &k.OmitPage, "on"),
		room.Switch("omit_count", &k.OmitCount, "on"),
		room.Switch("ignore_page", &k.IgnorePage, "on"),
		room.Switch("strict_filters", &k.StrictFilters, "on"),
		room.Text("deny", &k.Deny, checkRights),
		room.Period("window", &k.Window),
		room.Period("token_ttl", &k.TokenTTL),
		room.Text("static_token", &k.StaticToken, nil),
		room.LimitRetryAfter(&k.RetryAfter),
		room.LimitBody(&k.LimitBody),
	}
}

// tune applies settings on top of those the simulator was made with.
func (s *Simulator) tune(settings []room.Knob) error {
	k := s.made
	if err := room.Tune(Name, knobTable(&k), settings); err != nil {
		return err
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
