package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// checkJSON refuses what no strict reader of JSON takes: bytes that are not UTF-8, comments, commas before an end, a name
// that an object has twice, at any depth.
func checkJSON(body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("the body is not UTF-8")
	}
	if !json.Valid(body) {
		var v json.RawMessage
		return fmt.Errorf("the body is not valid JSON: %w", json.Unmarshal(body, &v))
	}
	var c nameCheck
	_, err := c.value(body, skipBlanks(body, 0))
	return err
}

// splitArray returns the elements of an array that checkJSON has passed; ok is false if it is something else.
func splitArray(body []byte) (elements [][]byte, ok bool) {
	i := skipBlanks(body, 0)
	if body[i] != '[' {
		return nil, false
	}
	for i = skipBlanks(body, i+1); body[i] != ']'; i = skipBlanks(body, i) {
		end := skipValue(body, i)
		elements = append(elements, body[i:end])
		if i = skipBlanks(body, end); body[i] == ',' {
			i++
		}
	}
	return elements, true
}

// splitObject appends the members of an object that checkJSON has passed to into; ok is false if it is something else.
// The values are parts of body. Names that are in the room behind into, from another object, are used again.
func splitObject(into []room.Member, body []byte) (members []room.Member, ok bool) {
	i := skipBlanks(body, 0)
	if body[i] != '{' {
		return into, false
	}
	for i = skipBlanks(body, i+1); body[i] != '}'; i = skipBlanks(body, i) {
		end := skipString(body, i)
		name := ""
		if n := len(into); n < cap(into) && into[:n+1][n].Name == string(body[i+1:end-1]) && bytes.IndexByte(body[i:end], '\\') < 0 {
			name = into[:n+1][n].Name
		} else {
			name = unquote(body[i:end])
		}
		i = skipBlanks(body, skipBlanks(body, end)+1) // over the colon
		end = skipValue(body, i)
		into = append(into, room.Member{Name: name, Value: body[i:end]})
		if i = skipBlanks(body, end); body[i] == ',' {
			i++
		}
	}
	return into, true
}

// The functions below walk over JSON that is known to be valid, so an index never runs over its end.

func skipBlanks(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString returns where the string that begins at i ends.
func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue returns where the value that begins at i ends.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		for depth := 0; ; {
			switch b[i] {
			case '"':
				i = skipString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			if i++; depth == 0 {
				return i
			}
		}
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	return i
}

// unquote returns the text of a valid JSON string.
func unquote(quoted []byte) string {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return string(inner)
	}
	return s
}

// nameCheck finds names that an object has twice.
type nameCheck struct {
	open [][]byte // the names so far of all objects that are open, the innermost last
}

// manyNames is from how many on an object's names are kept in a map.
const manyNames = 64

func (c *nameCheck) value(b []byte, i int) (end int, err error) {
	switch b[i] {
	case '{':
		return c.object(b, i)
	case '[':
		for i = skipBlanks(b, i+1); b[i] != ']'; i = skipBlanks(b, i) {
			if i, err = c.value(b, i); err != nil {
				return 0, err
			}
			if i = skipBlanks(b, i); b[i] == ',' {
				i++
			}
		}
		return i + 1, nil
	}
	return skipValue(b, i), nil
}

func (c *nameCheck) object(b []byte, i int) (end int, err error) {
	from := len(c.open)
	var many map[string]bool
	for i = skipBlanks(b, i+1); b[i] != '}'; i = skipBlanks(b, i) {
		end := skipString(b, i)
		name := b[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name = []byte(unquote(b[i:end]))
		}
		twice := false
		if many == nil {
			for _, other := range c.open[from:] {
				twice = twice || bytes.Equal(other, name)
			}
			c.open = append(c.open, name)
			if len(c.open)-from == manyNames {
				many = make(map[string]bool, 2*manyNames)
				for _, other := range c.open[from:] {
					many[string(other)] = true
				}
			}
		} else {
			twice = many[string(name)]
			many[string(name)] = true
		}
		if twice {
			return 0, fmt.Errorf("%q is there twice", name)
		}
		i = skipBlanks(b, skipBlanks(b, end)+1) // over the colon
		if i, err = c.value(b, i); err != nil {
			return 0, err
		}
		if i = skipBlanks(b, i); b[i] == ',' {
			i++
		}
	}
	c.open = c.open[:from]
	return i + 1, nil
}

// event is one event as its rules see it. It is good until the next one is read into it.
type event struct {
	raw     []byte // on one line
	object  bool
	members []room.Member
}

// read takes up an event that checkJSON has passed.
func (e *event) read(raw []byte) {
	e.raw = raw
	e.members, e.object = splitObject(e.members[:0], raw)
}

// value returns a member's value, nil if there is none.
func (e *event) value(name string) json.RawMessage {
	return find(e.members, name)
}

func find(members []room.Member, name string) json.RawMessage {
	for i := range members {
		if members[i].Name == name {
			return members[i].Value
		}
	}
	return nil
}

// text returns a member's value as text, "" if there is none that says anything.
func (e *event) text(name string) string { return text(e.value(name)) }

// text is what a value says: a string's text without blanks around it, a number or boolean as it is written. The document's
// examples have strings only; the vendor's own clients also send numbers and booleans. null, lists and objects say
// nothing.
func text(v json.RawMessage) string {
	if len(v) == 0 {
		return ""
	}
	switch v[0] {
	case '"':
		return strings.TrimSpace(unquote(v))
	case '{', '[', 'n':
		return ""
	}
	return string(v)
}

// flag reports whether a flag is set: "true" as in the document's examples, or true.
func (e *event) flag(name string) bool { return strings.EqualFold(e.text(name), "true") }

// oneLine returns a valid JSON value without line breaks, which can only stand between its parts.
func oneLine(raw []byte) []byte {
	if bytes.IndexByte(raw, '\n') < 0 && bytes.IndexByte(raw, '\r') < 0 {
		return raw
	}
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

// appendText appends s as a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == '"' || s[i] == '\\' {
			quoted, err := room.Marshal(s)
			if err != nil {
				quoted = []byte(`""`)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendMember appends a member, after a comma if it is not the first.
func appendMember(b []byte, name string, value []byte) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = appendText(b, name)
	b = append(b, ':')
	return append(b, value...)
}
