package transforms

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/crmetl/crmetl/internal/near"
)

// ArgKind says what an Args holds.
type ArgKind uint8

// The kinds of argument.
const (
	None     ArgKind = iota // nothing: the name stands alone
	Scalar                  // one text
	Sequence                // a list
	Options                 // names with values, in order
)

// Args is what a mapping gives a transform: a small tree, as YAML has it, with every scalar as its text.
type Args struct {
	Kind  ArgKind
	Text  string   // of a Scalar
	Items []Args   // of a Sequence, or the values of Options
	Names []string // of Options, parallel to Items; each stands once
}

// ArgError is the error of wrong arguments.
type ArgError struct {
	Option  string // the option that is wrong or unknown; "" if it is the argument as a whole
	Nearest string // the option that was probably meant
	Message string
}

// Error returns the message, with the option that it is about.
func (e *ArgError) Error() string {
	if e.Option != "" {
		return fmt.Sprintf("option %s %s", e.Option, e.Message)
	}
	return e.Message
}

// One returns a Scalar argument.
func One(text string) Args { return Args{Kind: Scalar, Text: text} }

// Many returns a Sequence of scalars.
func Many(texts ...string) Args {
	a := Args{Kind: Sequence}
	for _, t := range texts {
		a.Items = append(a.Items, One(t))
	}
	return a
}

// With returns a copy of an Options argument, or of no argument, that has one option more.
func (a Args) With(name string, value Args) Args {
	a.Kind = Options
	a.Names = append(a.Names[:len(a.Names):len(a.Names)], name)
	a.Items = append(a.Items[:len(a.Items):len(a.Items)], value)
	return a
}

// String returns the argument as YAML in one line; "" for no argument.
func (a Args) String() string {
	switch a.Kind {
	case Scalar:
		return yamlScalar(a.Text)
	case Sequence:
		parts := make([]string, len(a.Items))
		for i, it := range a.Items {
			parts[i] = it.String()
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case Options:
		parts := make([]string, len(a.Items))
		for i, it := range a.Items {
			parts[i] = yamlScalar(a.Names[i]) + ": " + it.String()
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return ""
}

// yamlScalar writes a text so that YAML reads the same text wherever a scalar may stand.
func yamlScalar(s string) string {
	bare := s != "" && s == strings.TrimSpace(s)
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		if !letter && (i == 0 || !(r >= '0' && r <= '9' || r == '-' || r == ' ' || r == '.' || r == '/')) {
			bare = false
		}
	}
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		bare = false
	}
	if bare {
		return s
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// check refuses an argument that is none of the wanted kinds, and options that are none of the wanted names.
func (a Args) check(want string, kinds []ArgKind, options ...string) error {
	ok := false
	for _, k := range kinds {
		ok = ok || a.Kind == k
	}
	if !ok {
		return &ArgError{Message: "wants " + want}
	}
	if a.Kind != Options {
		return nil
	}
	for _, n := range a.Names {
		known := false
		for _, o := range options {
			known = known || n == o
		}
		if !known {
			return &ArgError{Option: n, Nearest: near.Name(n, options), Message: "is unknown; there is " + strings.Join(options, ", ")}
		}
	}
	return nil
}

// option returns one option, or no argument.
func (a Args) option(name string) Args {
	for i, n := range a.Names {
		if n == name {
			return a.Items[i]
		}
	}
	return Args{}
}

// text returns the text of a scalar option, or the default if the option is not given.
func (a Args) text(name, otherwise string) (string, error) {
	o := a.option(name)
	switch o.Kind {
	case None:
		return otherwise, nil
	case Scalar:
		return o.Text, nil
	}
	return "", &ArgError{Option: name, Message: "wants one text"}
}

// oneOf is text for an option with a fixed set of values, the first of which is the default.
func (a Args) oneOf(name string, values ...string) (string, error) {
	s, err := a.text(name, values[0])
	if err != nil {
		return "", err
	}
	for _, v := range values {
		if s == v {
			return s, nil
		}
	}
	return "", &ArgError{Option: name, Message: "is one of " + strings.Join(values, ", ")}
}

// number returns a scalar option as a number from 1 to limit.
func (a Args) number(name string, otherwise, limit int) (int, error) {
	s, err := a.text(name, strconv.Itoa(otherwise))
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > limit {
		return 0, &ArgError{Option: name, Message: fmt.Sprintf("is a number from 1 to %d", limit)}
	}
	return n, nil
}

// texts returns a scalar as a list of one, or a sequence of scalars; nil for no argument.
func (a Args) texts() ([]string, error) {
	switch a.Kind {
	case None:
		return nil, nil
	case Scalar:
		return []string{a.Text}, nil
	case Sequence:
		out := make([]string, len(a.Items))
		for i, it := range a.Items {
			if it.Kind != Scalar {
				return nil, &ArgError{Message: "wants texts"}
			}
			out[i] = it.Text
		}
		return out, nil
	}
	return nil, &ArgError{Message: "wants one text or a list of texts"}
}
