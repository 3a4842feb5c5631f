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
	unitAny, unitSeconds, unitMillis                    = "any", "s", "ms"
	answerEmpty, answerJSON, answer204                  = "empty", "json", "204"
	limitJSON, limitText, limitHTML, limitEmpty, isNone = "json", "text", "html", "empty", "none"
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
	def(&k.ExpUnit, unitAny)
	def(&k.Answer, answerEmpty)
	def(&k.LimitBody, limitJSON)
	if k.AuthStatus == 0 {
		k.AuthStatus = 401
	}
	if k.Window == 0 {
		k.Window = time.Second
	}
	if k.LimitStatus == 0 {
		k.LimitStatus = 500
	}
	switch {
	case k.AuthStatus != 401 && k.AuthStatus != 403:
		return k, fmt.Errorf("auth_status %d: want 401 or 403", k.AuthStatus)
	case k.LimitStatus != 500 && k.LimitStatus != 429:
		return k, fmt.Errorf("limit_status %d: want 500 or 429", k.LimitStatus)
	case k.Window < 0 || k.TokenMax < 0 || k.ApplyDelay < 0 || k.MaxBody < 0 || k.Rate < 0:
		return k, fmt.Errorf("window, token_max_ttl, apply_delay, max_body and rate can't be negative")
	case strings.ContainsAny(k.IntegrationID, "/?# \t\r\n"):
		return k, fmt.Errorf("integration id %q: want a UUID, or at least no blanks and slashes", k.IntegrationID)
	}
	for _, word := range []struct {
		name, value string
		want        []string
	}{
		{"exp_unit", k.ExpUnit, []string{unitAny, unitSeconds, unitMillis}},
		{"answer", k.Answer, []string{answerEmpty, answerJSON, answer204}},
		{"limit_body", k.LimitBody, []string{limitJSON, limitText, limitHTML, limitEmpty}},
	} {
		if err := oneOf(word.value, word.want...); err != nil {
			return k, fmt.Errorf("%s %q: %w", word.name, word.value, err)
		}
	}
	return k, nil
}

// knob is one setting by name.
type knob struct {
	name string
	set  func(k *Knobs, value string) error
}

func knobTable() []knob {
	return []knob{
		{"auth_status", func(k *Knobs, v string) error {
			k.AuthStatus, _ = strconv.Atoi(v)
			return oneOf(v, "401", "403")
		}},
		{"exp_unit", func(k *Knobs, v string) error { return word(&k.ExpUnit, v, unitAny, unitSeconds, unitMillis) }},
		{"strict_jwt", func(k *Knobs, v string) error { return onOff(&k.StrictJWT, v, "on", "off") }},
		{"token_max_ttl", func(k *Knobs, v string) error { return duration(&k.TokenMax, v) }},
		{"strict_subtypes", func(k *Knobs, v string) error { return onOff(&k.LooseSubtypes, v, "off", "on") }},
		{"subtype_names", func(k *Knobs, v string) error {
			k.SubtypeNames = v
			_, err := accepted(v)
			return err
		}},
		{"max_body", func(k *Knobs, v string) error {
			n, err := whole(v)
			k.MaxBody = int64(n)
			return err
		}},
		{"answer", func(k *Knobs, v string) error { return word(&k.Answer, v, answerEmpty, answerJSON, answer204) }},
		{"poison", func(k *Knobs, v string) error { return onOff(&k.PoisonSync, v, "sync", "async") }},
		{"poison_text", func(k *Knobs, v string) error {
			k.PoisonText = v
			return nil
		}},
		{"apply_delay", func(k *Knobs, v string) error { return duration(&k.ApplyDelay, v) }},
		{"unknown_contact", func(k *Knobs, v string) error { return onOff(&k.CreateUnknown, v, "create", "drop") }},
		{"strict_groups", func(k *Knobs, v string) error { return onOff(&k.StrictGroups, v, "on", "off") }},
		{"strict_datasets", func(k *Knobs, v string) error { return onOff(&k.StrictData, v, "on", "off") }},
		{"rate", func(k *Knobs, v string) (err error) {
			k.Rate, err = whole(v)
			return err
		}},
		{"window", func(k *Knobs, v string) error {
			if err := duration(&k.Window, v); err != nil || k.Window == 0 {
				return fmt.Errorf("want a duration above 0, as in 1s")
			}
			return nil
		}},
		{"limit_status", func(k *Knobs, v string) error {
			k.LimitStatus, _ = strconv.Atoi(v)
			return oneOf(v, "500", "429")
		}},
		{"limit_retry_after", func(k *Knobs, v string) error {
			k.RetryAfter = room.RetryForm(v)
			if v == isNone {
				k.RetryAfter = room.RetryNone
			}
			return oneOf(v, string(room.RetrySeconds), string(room.RetryDate), isNone)
		}},
		{"limit_body", func(k *Knobs, v string) error {
			return word(&k.LimitBody, v, limitJSON, limitText, limitHTML, limitEmpty)
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

func word(to *string, v string, want ...string) error {
	*to = v
	return oneOf(v, want...)
}

func onOff(to *bool, v, yes, no string) error {
	*to = v == yes
	return oneOf(v, yes, no)
}

func whole(v string) (int, error) {
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("want a whole number, 0 for no limit")
	}
	return int(n), nil
}

func duration(d *time.Duration, v string) error {
	n, err := time.ParseDuration(v)
	if err != nil || n < 0 {
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
