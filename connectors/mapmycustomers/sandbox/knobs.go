package sandbox

import (
	"fmt"
	"strconv"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// Knobs settle what the vendor's document leaves open, and shorten what would take months. The zero value is the
// document's, or else the likeliest, behaviour. Each can be set by a fault rule as well: `set put_mode=replace`.
type Knobs struct {
	PutMode       string         // put_mode: merge (default) leaves fields that a PUT does not name, replace clears them
	CreateStatus  int            // create_status: of a POST that made something, 200 (default) or 201
	Rate          int            // rate: requests in a window and token; 0: 3, as documented; negative: no limit
	Window        time.Duration  // window: 0: 1 s
	RetryAfter    room.RetryForm // limit_retry_after: seconds, date, none; "": none, as the document promises nothing
	LimitBody     room.BodyStyle // limit_body: json, html, empty
	Activation    time.Duration  // token_activation: until a new token is good, in whole seconds; 0: Options.Activation; negative: none
	TokenTTL      time.Duration  // token_ttl: how long a token lasts; 0: 180 days, the document's 6 months
	Lenient       bool           // strict=off: fields that the document does not know are ignored, not refused
	Micros        bool           // micros=on: dates made from now on have microseconds, as newer PHP writes them
	ContentLength bool           // content_length=on: lists come with their size, not in chunks
	Username      string         // "": ops@example.com
	Password      string         // "": sandbox
}

const (
	merge   = "merge"
	replace = "replace"
)

// withDefaults checks the knobs and fills in the defaults.
func (k Knobs) withDefaults() (Knobs, error) {
	def := func(is bool, set func()) {
		if is {
			set()
		}
	}
	def(k.PutMode == "", func() { k.PutMode = merge })
	def(k.CreateStatus == 0, func() { k.CreateStatus = 200 })
	def(k.Rate == 0, func() { k.Rate = 3 })
	def(k.Rate < 0, func() { k.Rate = 0 })
	def(k.Window == 0, func() { k.Window = time.Second })
	def(k.Activation < 0, func() { k.Activation = 0 })
	def(k.TokenTTL == 0, func() { k.TokenTTL = 180 * 24 * time.Hour })
	def(k.Username == "", func() { k.Username = "ops@example.com" })
	def(k.Password == "", func() { k.Password = "sandbox" })
	switch {
	case k.PutMode != merge && k.PutMode != replace:
		return k, fmt.Errorf("put_mode %q: want merge or replace", k.PutMode)
	case k.CreateStatus < 200 || k.CreateStatus > 299:
		return k, fmt.Errorf("create_status %d: want 200 or 201", k.CreateStatus)
	case k.Window < 0 || k.TokenTTL < 0:
		return k, fmt.Errorf("window and token_ttl can't be negative")
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
		{"put_mode", func(k *Knobs, v string) error {
			k.PutMode = v
			return oneOf(v, merge, replace)
		}},
		{"create_status", func(k *Knobs, v string) error {
			k.CreateStatus, _ = strconv.Atoi(v)
			return oneOf(v, "200", "201")
		}},
		{"rate", func(k *Knobs, v string) (err error) {
			k.Rate, err = strconv.Atoi(v)
			if err != nil || k.Rate < 0 {
				return fmt.Errorf("want a whole number, 0 for no limit")
			}
			return nil
		}},
		{"window", func(k *Knobs, v string) error { return duration(&k.Window, v) }},
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
		{"token_activation", func(k *Knobs, v string) error { return duration(&k.Activation, v) }},
		{"token_ttl", func(k *Knobs, v string) error { return duration(&k.TokenTTL, v) }},
		{"strict", func(k *Knobs, v string) error {
			k.Lenient = v == "off"
			return oneOf(v, "on", "off")
		}},
		{"micros", func(k *Knobs, v string) error {
			k.Micros = v == "on"
			return oneOf(v, "on", "off")
		}},
		{"content_length", func(k *Knobs, v string) error {
			k.ContentLength = v == "on"
			return oneOf(v, "on", "off")
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
	s.knobs = k
	s.limit.Rate, s.limit.Per = k.Rate, k.Window
	return nil
}
