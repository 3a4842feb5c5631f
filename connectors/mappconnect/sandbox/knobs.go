package sandbox

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// Knobs settle what the vendor's document leaves open. The zero value is the document's, or else the likeliest,
// behaviour. Each but the credentials can be set by a fault rule as well: `set apply_delay=2s`.
type Knobs struct {
	IntegrationID string // "": SandboxIntegration
	Secret        string // "": SandboxSecret

	AuthStatus int           // auth_status: of a request without a good token, 401 (default) or 403
	ExpUnit    string        // exp_unit: any (default), s or ms: in which units a token may say when it expires
	StrictJWT  bool          // strict_jwt=on: tokens in base64url without padding only
	TokenMax   time.Duration // token_max_ttl: how far ahead a token may expire; 0: as far as it likes

	LooseSubtypes bool   // strict_subtypes=off: a subtype that nobody knows is accepted too
	SubtypeNames  string // subtype_names: NAME=SUBTYPE,...: more names; NAME= takes a name away

	MaxBody int64 // max_body: bytes of a request's body; 0: no limit

	Answer string // answer: to an event that was accepted: empty (default), json, 204

	PoisonSync bool   // poison=sync: an event without its mandatory fields is refused at once, and its batch with it
	PoisonText string // poison_text: so is an event that contains this text; "": none

	ApplyDelay    time.Duration // apply_delay: until an accepted event takes effect; 0: at once
	CreateUnknown bool          // unknown_contact=create: an event for a contact that is not there makes it; the default is drop
	StrictGroups  bool          // strict_groups=on: a group that is not there is an error
	StrictData    bool          // strict_datasets=on: a dataset that is not there is an error

	Rate        int            // rate: requests in a window; 0: no limit, as the document has none
	Window      time.Duration  // window: 0: 1 s
	LimitStatus int            // limit_status: 500 (default), as the vendor's sibling service has it, or 429
	RetryAfter  room.RetryForm // limit_retry_after: seconds, date, none (default)
	LimitBody   string         // limit_body: json (default), text, html, empty
}

// The values of knobs that are words.
const (
	unitAny, unitSeconds, unitMillis            = "any", "s", "ms"
	answerEmpty, answerJSON, answer204          = "empty", "json", "204"
	limitJSON, limitText, limitHTML, limitEmpty = "json", "text", "html", "empty"
)

// withDefaults checks the knobs and fills in the defaults.
func (k Knobs) withDefaults() (Knobs, error) {
	def := func(s *string, to string) {
		if *s == "" {
			*s = to
		}
	}
	def(&k.IntegrationID, SandboxIntegration)
	def(&k.Secret, SandboxSecret)
	if k.Window == 0 {
		k.Window = time.Second
	}
	switch {
	case k.Window < 0 || k.TokenMax < 0 || k.ApplyDelay < 0 || k.MaxBody < 0 || k.Rate < 0:
		return k, fmt.Errorf("window, token_max_ttl, apply_delay, max_body and rate can't be negative")
	case strings.ContainsAny(k.IntegrationID, "/?# \t\r\n"):
		return k, fmt.Errorf("integration id %q: want a UUID, or at least no blanks and slashes", k.IntegrationID)
	}
	if err := room.Defaults(knobTable(&k)); err != nil {
		return k, err
	}
	return k, nil
}

// knobTable lists the knobs that can be set by name.
func knobTable(k *Knobs) []room.Setting {
	return []room.Setting{
		room.Status("auth_status", &k.AuthStatus, 401, 403),
		room.Choice("exp_unit", &k.ExpUnit, unitAny, unitSeconds, unitMillis),
		room.Switch("strict_jwt", &k.StrictJWT, "on"),
		room.Delay("token_max_ttl", &k.TokenMax),
		either("strict_subtypes", &k.LooseSubtypes, "off", "on"),
		room.Text("subtype_names", &k.SubtypeNames, func(v string) error {
			_, err := accepted(v)
			return err
		}),
		{Name: "max_body", Set: func(v string) (err error) {
			k.MaxBody, err = whole(v)
			return err
		}},
		room.Choice("answer", &k.Answer, answerEmpty, answerJSON, answer204),
		either("poison", &k.PoisonSync, "sync", "async"),
		room.Text("poison_text", &k.PoisonText, nil),
		room.Delay("apply_delay", &k.ApplyDelay),
		either("unknown_contact", &k.CreateUnknown, "create", "drop"),
		room.Switch("strict_groups", &k.StrictGroups, "on"),
		room.Switch("strict_datasets", &k.StrictData, "on"),
		{Name: "rate", Set: func(v string) error {
			n, err := whole(v)
			k.Rate = int(n)
			return err
		}},
		{Name: "window", Set: func(v string) error {
			if err := room.Period("window", &k.Window).Set(v); err != nil {
				return fmt.Errorf("want a duration above 0, as in 1s")
			}
			return nil
		}},
		room.Status("limit_status", &k.LimitStatus, 500, 429),
		room.LimitRetryAfter(&k.RetryAfter),
		room.Choice("limit_body", &k.LimitBody, limitJSON, limitText, limitHTML, limitEmpty),
	}
}

// either is a knob that is one of two words, of which the first sets the field.
func either(name string, to *bool, yes, no string) room.Setting {
	return room.Setting{Name: name, Set: func(v string) error {
		*to = v == yes
		return room.OneOf(v, yes, no)
	}}
}

func whole(v string) (int64, error) {
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("want a whole number, 0 for no limit")
	}
	return int64(n), nil
}

// tune applies settings on top of those the simulator was made with.
func (s *Simulator) tune(settings []room.Knob) error {
	k := s.made
	if err := room.Tune(Name, knobTable(&k), settings); err != nil {
		return err
	}
	subtypes, err := accepted(k.SubtypeNames)
	if err != nil {
		return err
	}
	s.rules.Store(&rules{Knobs: k, subtypes: subtypes})
	s.limit.Rate, s.limit.Per = k.Rate, k.Window
	return nil
}

// rules are the knobs in force; they never change.
type rules struct {
	Knobs
	subtypes map[string]*subtype // by the name that a request may use
}

// accepted returns the subtypes by the names that requests may use, with the changes that a knob asks for.
func accepted(changes string) (map[string]*subtype, error) {
	known, out := map[string]*subtype{}, map[string]*subtype{}
	for _, one := range subtypes() {
		for _, name := range one.names {
			known[name], out[name] = one, one
		}
	}
	if changes == "" {
		return out, nil
	}
	for change := range strings.SplitSeq(changes, ",") {
		name, of, ok := strings.Cut(change, "=")
		switch one := known[of]; {
		case !ok || name == "":
			return nil, fmt.Errorf("want NAME=SUBTYPE, as in viewed=browse, or NAME= to take a name away; several with commas")
		case of == "":
			delete(out, name)
		case one == nil:
			return nil, fmt.Errorf("%s: there is no subtype %q", change, of)
		default:
			out[name] = one
		}
	}
	return out, nil
}
