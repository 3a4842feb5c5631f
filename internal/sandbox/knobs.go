package sandbox

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Setting is one knob of a simulator by the name that rules use, `set NAME=VALUE`, and bound to the field that holds it.
// A simulator has a struct of knobs and a table of them: what Tune sets by name, and Defaults completes.
type Setting struct {
	Name    string
	Set     func(value string) error // takes a rule's value; the error says which values there are
	Default func() error             // fills a field that is zero, and refuses one that makes no sense; nil: neither
}

// Tune sets the knobs that rules ask for, in their order. It stops at the first that the table does not have, with an
// *UnknownKnobError, or whose value makes no sense; the fields are then half set and of no use.
func Tune(vendor string, table []Setting, wanted []Knob) error {
	for _, want := range wanted {
		i := slices.IndexFunc(table, func(one Setting) bool { return one.Name == want.Name })
		if i < 0 {
			names := make([]string, len(table))
			for i, one := range table {
				names[i] = one.Name
			}
			return UnknownKnob(vendor, want, names)
		}
		if err := table[i].Set(want.Value); err != nil {
			return fmt.Errorf("set %s=%s: %w", want.Name, want.Value, err)
		}
	}
	return nil
}

// Defaults completes and checks the fields of those settings that have defaults, in the table's order.
func Defaults(table []Setting) error {
	for _, one := range table {
		if one.Default == nil {
			continue
		}
		if err := one.Default(); err != nil {
			return err
		}
	}
	return nil
}

// OneOf refuses a value that is none of the words.
func OneOf(value string, words ...string) error {
	if !slices.Contains(words, value) {
		return fmt.Errorf("want one of %v", words)
	}
	return nil
}

// Choice is a knob that is one of a few words, the first of which is the default.
func Choice(name string, to *string, words ...string) Setting {
	return Setting{
		Name: name,
		Set: func(v string) error {
			*to = v
			return OneOf(v, words...)
		},
		Default: func() error {
			if *to == "" {
				*to = words[0]
			}
			if err := OneOf(*to, words...); err != nil {
				return fmt.Errorf("%s %q: %w", name, *to, err)
			}
			return nil
		},
	}
}

// Status is a knob that is one of two statuses of HTTP, the first of which is the default.
func Status(name string, to *int, usual, other int) Setting {
	return Setting{
		Name: name,
		Set: func(v string) error {
			*to, _ = strconv.Atoi(v)
			return OneOf(v, strconv.Itoa(usual), strconv.Itoa(other))
		},
		Default: func() error {
			if *to == 0 {
				*to = usual
			}
			if *to != usual && *to != other {
				return fmt.Errorf("%s %d: want %d or %d", name, *to, usual, other)
			}
			return nil
		},
	}
}

// Number is a knob that is a whole number, least or more; usual is the default.
func Number(name string, to *int, least, usual int) Setting {
	return Setting{
		Name: name,
		Set: func(v string) (err error) {
			*to, err = strconv.Atoi(v)
			if err != nil || *to < least {
				return fmt.Errorf("want a whole number from %d", least)
			}
			return nil
		},
		Default: func() error {
			if *to == 0 {
				*to = usual
			}
			if *to < least {
				return fmt.Errorf("%s %d: want a whole number from %d", name, *to, least)
			}
			return nil
		},
	}
}

// Rate is the knob "rate": requests in a window, where 0 is no limit.
func Rate(to *int) Setting {
	return Setting{Name: "rate", Set: func(v string) error {
		if err := Number("rate", to, 0, 0).Set(v); err != nil {
			return fmt.Errorf("want a whole number, 0 for no limit")
		}
		return nil
	}}
}

// Switch is a knob that is on or off. when is the word that sets the field: "off" for a field that says the opposite of
// the knob's name.
func Switch(name string, to *bool, when string) Setting {
	return Setting{Name: name, Set: func(v string) error {
		*to = v == when
		return OneOf(v, "on", "off")
	}}
}

// Text is a knob that is any text that check takes; nil: any.
func Text(name string, to *string, check func(string) error) Setting {
	return Setting{Name: name, Set: func(v string) error {
		*to = v
		if check == nil {
			return nil
		}
		return check(v)
	}}
}

// Delay is a knob that is a duration, which may be 0.
func Delay(name string, to *time.Duration) Setting { return duration(name, to, 0) }

// Period is a knob that is a duration above 0.
func Period(name string, to *time.Duration) Setting { return duration(name, to, 1) }

func duration(name string, to *time.Duration, least time.Duration) Setting {
	return Setting{Name: name, Set: func(v string) (err error) {
		*to, err = time.ParseDuration(v)
		if err != nil || *to < least {
			return fmt.Errorf("want a duration, as in 10s")
		}
		return nil
	}}
}

// LimitRetryAfter is the knob "limit_retry_after": how a refusal for the rate says when to come back.
func LimitRetryAfter(to *RetryForm) Setting {
	return Setting{Name: "limit_retry_after", Set: func(v string) error {
		*to = RetryForm(v)
		if v == "none" {
			*to = RetryNone
		}
		return OneOf(v, string(RetrySeconds), string(RetryDate), "none")
	}}
}

// LimitBody is the knob "limit_body": the body of a refusal for the rate.
func LimitBody(to *BodyStyle) Setting {
	return Setting{Name: "limit_body", Set: func(v string) error {
		*to = BodyStyle(v)
		if v == "json" {
			*to = BodyJSON
		}
		return OneOf(v, "json", string(BodyHTML), string(BodyEmpty))
	}}
}
