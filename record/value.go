package record

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Kind says what a Value holds.
type Kind uint8

// The kinds of value. Absent, Null and an empty Text are three different things: "leave the field alone",
// "clear it" and "there was a cell, and it was empty".
const (
	Absent   Kind = iota // no value: the field is left alone
	Null                 // an explicit nothing: the field is cleared
	Text                 // text, exactly as read
	Number               // a decimal literal ("-12.50", "1e21"): never a float, so that no digit is lost
	Bool                 // "true" or "false"
	Date                 // a calendar day, "2006-01-02"
	DateTime             // a point in time or a local time stamp, "2006-01-02T15:04:05[.999][Z|±hh:mm]"
	Time                 // a time of day or a duration, "15:04:05[.999]"; hours may exceed 24
	List                 // a list, as a JSON array
	JSON                 // any other JSON value, as JSON
	Fault                // a spreadsheet's error cell: its name, "#N/A"
)

var kindNames = [...]string{"absent", "null", "text", "number", "boolean", "date", "date and time", "time", "list", "json", "error"}

// String returns the kind's name as messages show it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Value is one cell. It is passed by value, never changes, and keeps its content as canonical text, so that ids,
// phone numbers and long numbers pass through untouched. The zero Value is Absent.
type Value struct {
	kind Kind
	text string
}

// Of returns a value of kind k. The text must be in the canonical form of the kind; see the constants.
func Of(k Kind, text string) Value { return Value{k, text} }

// TextOf returns a Text value.
func TextOf(s string) Value { return Value{Text, s} }

// NumberOf returns a Number value; literal must be a JSON number.
func NumberOf(literal string) Value { return Value{Number, literal} }

// BoolOf returns a Bool value.
func BoolOf(b bool) Value {
	if b {
		return Value{Bool, "true"}
	}
	return Value{Bool, "false"}
}

// NullOf returns the Null value.
func NullOf() Value { return Value{Null, ""} }

// ListOf returns a List value of text items.
func ListOf(items []string) Value {
	b := []byte{'['}
	for i, s := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, s)
	}
	return Value{List, string(append(b, ']'))}
}

// Kind returns what the value holds.
func (v Value) Kind() Kind { return v.kind }

// Text returns the canonical text: the text of a Text, the digits of a Number, the JSON of a List. It is "" for
// Absent and Null.
func (v Value) Text() string { return v.text }

// IsEmpty reports whether there is nothing in the value: Absent, Null, or text made of blanks only.
func (v Value) IsEmpty() bool {
	switch v.kind {
	case Absent, Null:
		return true
	case Text:
		if s := v.text; s != "" && s[0] > ' ' && s[0] != 0xc2 && (s[0] < 0xe1 || s[0] > 0xe3) {
			return false // no blank begins so
		}
		return strings.TrimSpace(v.text) == ""
	}
	return false
}

// Items returns the elements of a List as text, and false if v is no list. Elements that are no strings come as
// their JSON.
func (v Value) Items() ([]string, bool) {
	if v.kind != List {
		return nil, false
	}
	if items, ok := plainItems(make([]string, 0, strings.Count(v.text, ",")+1), v.text); ok {
		return items, true
	}
	return jsonItems(v.text)
}

// plainItems appends the elements of a list that holds nothing but texts without escapes, as most do. They share its
// memory.
func plainItems(to []string, list string) ([]string, bool) {
	s := afterBlanks(list)
	if s == "" || s[0] != '[' || !utf8.ValidString(list) {
		return nil, false
	}
	if s = afterBlanks(s[1:]); s != "" && s[0] == ']' {
		return to, afterBlanks(s[1:]) == ""
	}
	for {
		if s == "" || s[0] != '"' {
			return nil, false
		}
		end := 1
		for end < len(s) && s[end] != '"' && s[end] != '\\' && s[end] >= ' ' {
			end++
		}
		if end == len(s) || s[end] != '"' {
			return nil, false
		}
		to = append(to, s[1:end])
		if s = afterBlanks(s[end+1:]); s == "" {
			return nil, false
		}
		switch s[0] {
		case ']':
			return to, afterBlanks(s[1:]) == ""
		case ',':
			s = afterBlanks(s[1:])
		default:
			return nil, false
		}
	}
}

// afterBlanks leaves out what JSON allows between two words.
func afterBlanks(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t' || s[0] == '\r' || s[0] == '\n') {
		s = s[1:]
	}
	return s
}

// jsonItems returns the elements of any list.
func jsonItems(list string) ([]string, bool) {
	var raw []json.RawMessage
	if json.Unmarshal([]byte(list), &raw) != nil {
		return nil, false
	}
	items := make([]string, len(raw))
	for i, r := range raw {
		if len(r) > 0 && r[0] == '"' && json.Unmarshal(r, &items[i]) == nil {
			continue
		}
		items[i] = string(r)
	}
	return items, true
}

// Cell returns the value as one cell of a text file: what a person types there. Booleans are TRUE and FALSE, dates
// ISO 8601, a list's items are joined by ';'. A list that would not read back from that form (an item that is
// empty, holds ';' or begins like JSON) stays a JSON array.
func (v Value) Cell() string {
	switch v.kind {
	case Bool:
		if v.text == "true" {
			return "TRUE"
		}
		return "FALSE"
	case List:
		var room [16]string
		items, ok := plainItems(room[:0], v.text)
		if !ok {
			items, ok = jsonItems(v.text)
		}
		if !ok {
			return v.text
		}
		for i, s := range items {
			if s != strings.TrimSpace(s) || s == "" || strings.Contains(s, ";") || i == 0 && s[0] == '[' {
				return v.text
			}
		}
		if len(items) == 0 {
			return ""
		}
		return strings.Join(items, ";")
	}
	return v.text
}
