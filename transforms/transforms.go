// Package transforms provides named pure functions on one cell, the `apply` of a mapping file, and the expression step,
// its `expr` and `skip_when`. Each function stands in one table with its documentation and with examples that are its
// test; none of them guesses: a value that can't be converted for certain is an error.
package transforms

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/crmetl/crmetl/record"
)

// Func converts one cell. It is pure and may be called from many goroutines. An error is a sentence about the value,
// with what would be right; a *Refusal carries a rule of its own.
type Func func(record.Value) (record.Value, error)

// Transform is one named function on a cell.
type Transform struct {
	Name     string
	Args     string // what stands after the name in a mapping, as YAML; "" if nothing does
	Doc      string // one line
	Examples []Example
	New      func(Args) (Func, error) // checks the arguments once; an *ArgError says which option is wrong
}

// Example shows what a transform makes of a cell: documentation and test in one.
type Example struct {
	Args  Args
	In    record.Value
	Out   record.Value // if Error is ""
	Error string       // a part of the message
}

// Refusal is the error of a value that breaks a rule which has a name of its own, such as "digits" for digits that were
// lost before the file was written. Any other error of a Func goes by the transform's name.
type Refusal struct{ Rule, Message string }

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }

// All returns the table of transforms, in the order of the documentation.
func All() []Transform { return append([]Transform(nil), table...) }

// Lookup finds a transform by its name.
func Lookup(name string) (Transform, bool) {
	for _, t := range table {
		if t.Name == name {
			return t, true
		}
	}
	return Transform{}, false
}

// Names returns the names of all transforms.
func Names() []string {
	names := make([]string, len(table))
	for i, t := range table {
		names[i] = t.Name
	}
	return names
}

// Quote returns a value as messages show it: in quotes and not longer than a line can bear.
func Quote(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// onText makes a Func of a function on text. Blanks at the ends go first. Empty cells pass untouched, a list is
// converted item by item, any other kind by the text that a person would see.
func onText(f func(string) (string, error)) Func {
	return func(v record.Value) (record.Value, error) {
		switch v.Kind() {
		case record.Absent, record.Null:
			return v, nil
		case record.Fault:
			return v, faulty(v)
		case record.List:
			items, ok := v.Items()
			if !ok {
				return v, fmt.Errorf("%s is not a list of texts", Quote(v.Text()))
			}
			for i, s := range items {
				out, err := f(strings.TrimSpace(s))
				if err != nil {
					return v, err
				}
				items[i] = out
			}
			return record.ListOf(items), nil
		}
		in := strings.TrimSpace(v.Cell())
		if in == "" {
			return v, nil
		}
		out, err := f(in)
		if err != nil {
			return v, err
		}
		return record.TextOf(out), nil
	}
}

// pure is onText for a function that can't refuse.
func pure(f func(string) string) Func {
	return onText(func(s string) (string, error) { return f(s), nil })
}

// onCell makes a Func of a function on one cell of any kind. Empty cells pass untouched; lists are refused.
func onCell(f func(v record.Value, text string) (record.Value, error)) Func {
	return func(v record.Value) (record.Value, error) {
		switch v.Kind() {
		case record.Absent, record.Null:
			return v, nil
		case record.Fault:
			return v, faulty(v)
		case record.List, record.JSON:
			return v, fmt.Errorf("%s is a %s, where one value is needed", Quote(v.Text()), v.Kind())
		}
		text := strings.TrimSpace(v.Cell())
		if text == "" {
			return v, nil
		}
		return f(v, text)
	}
}

// faulty is the refusal of a spreadsheet's error cell, whatever should be done with it.
func faulty(v record.Value) error {
	return &Refusal{"cell", fmt.Sprintf("the cell holds the spreadsheet's error %s; correct the formula or empty the cell", v.Text())}
}

// plain is the New of a transform without arguments.
func plain(f Func) func(Args) (Func, error) {
	return func(a Args) (Func, error) {
		if a.Kind != None {
			return nil, &ArgError{Message: "takes no argument"}
		}
		return f, nil
	}
}
