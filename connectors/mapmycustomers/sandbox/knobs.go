package sandbox

import (
	"fmt"
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

// knobTable lists the knobs that can be set by name.
func knobTable(k *Knobs) []room.Setting {
	return []room.Setting{
		room.Choice("put_mode", &k.PutMode, merge, replace),
		room.Status("create_status", &k.CreateStatus, 200, 201),
		room.Rate(&k.Rate),
		room.Delay("window", &k.Window),
		room.LimitRetryAfter(&k.RetryAfter),
		room.LimitBody(&k.LimitBody),
		room.Delay("token_activation", &k.Activation),
		room.Delay("token_ttl", &k.TokenTTL),
		room.Switch("strict", &k.Lenient, "off"),
		room.Switch("micros", &k.Micros, "on"),
		room.Switch("content_length", &k.ContentLength, "on"),
	}
}

// tune applies settings on top of those the simulator was made with.
func (s *Simulator) tune(settings []room.Knob) error {
	k := s.made
	if err := room.Tune(Name, knobTable(&k), settings); err != nil {
		return err
	}
	s.knobs = k
	s.limit.Rate, s.limit.Per = k.Rate, k.Window
	return nil
}
