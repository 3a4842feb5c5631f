package record

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// jsonSpecial looks for what can't stand in a JSON string as it is.
var jsonSpecial = WatchFor('"', '\\')

// AppendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD; <, > and & stay as they are, since the text
// goes to an API and not into a page. The text is looked at while it is copied; one that can't stand as it is, which few
// are, is then written once more.
func AppendString(dst []byte, s string) []byte {
	at, n := len(dst), len(s)
	if cap(dst)-at < n+2 {
		dst = slices.Grow(dst, n+2)
	}
	room := dst[at : at+n+2]
	room[0], room[n+1] = '"', '"'
	if n > 0 {
		if seen := jsonSpecial.copy(room[1:n+1], s); seen != 0 {
			switch {
			case seen.wide() && !utf8.ValidString(s):
				return append(appendEscaped(dst[:at+1], s), '"')
			case seen.found():
				return append(appendMarked(dst[:at+1], s), '"')
			}
		}
	}
	return dst[:at+n+2]
}

// appendMarked appends the inside of a JSON string, of a text that is UTF-8: all that stands between two bytes which need an
// escape in one piece.
func appendMarked(dst []byte, s string) []byte {
	for {
		i := nextMarked(s)
		dst = append(dst, s[:i]...)
		if i == len(s) {
			return dst
		}
		dst = appendEscape(dst, s[i])
		s = s[i+1:]
	}
}

// nextMarked returns where the first byte is that needs an escape, or the length of s.
func nextMarked(s string) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		if bad, _ := look(word(s[i:i+8]), ones*'"', ones*'\\', 0, 0); bad != 0 {
			return i + bits.TrailingZeros64(bad)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// appendEscaped appends the inside of a JSON string, of any text.
func appendEscaped(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
			dst = append(append(dst, s[start:i]...), "\ufffd"...)
			i++
			start = i
			continue
		}
		dst = appendEscape(append(dst, s[start:i]...), c)
		i++
		start = i
	}
	return append(dst, s[start:]...)
}

// appendEscape appends a byte that can't stand in a JSON string as it is.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// AppendJSON appends the value as JSON. Absent and Null are null.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.kind {
	case Absent, Null:
		return append(dst, "null"...)
	case Number, Bool, List, JSON:
		return append(dst, v.text...)
	}
	return AppendString(dst, v.text)
}

// ParseJSON returns the value that a JSON text stands for: numbers keep their digits, arrays become lists, objects
// stay JSON.
func ParseJSON(raw []byte) (Value, error) {
	s := strings.TrimSpace(string(raw))
	if s == "" || !json.Valid([]byte(s)) {
		return Value{}, fmt.Errorf("not a JSON value: %.40q", s)
	}
	switch s[0] {
	case 'n':
		return NullOf(), nil
	case 't', 'f':
		return Of(Bool, s), nil
	case '"':
		var t string
		if err := json.Unmarshal([]byte(s), &t); err != nil {
			return Value{}, fmt.Errorf("not a JSON string: %w", err)
		}
		return TextOf(t), nil
	case '[':
		return Of(List, s), nil
	case '{':
		return Of(JSON, s), nil
	}
	return NumberOf(s), nil
}

// Key is the name of a member of a JSON object, ready to stand before its value.
type Key struct {
	long  string   // `,"name":`
	short [32]byte // the same, if it is no longer: so that it is copied at once
}

// KeyOf returns the key of a name.
func KeyOf(name string) Key {
	k := Key{long: string(append(AppendString([]byte{','}, name), ':'))}
	copy(k.short[:], k.long)
	return k
}

// Append appends the key, and in front of it a comma unless the object has just begun.
func (k *Key) Append(dst []byte) []byte {
	at := len(dst)
	first := at > 0 && dst[at-1] == '{'
	if first {
		at--
	}
	if cap(dst)-at < len(k.short) || len(k.long) > len(k.short) {
		dst = append(dst[:at], k.long...)
	} else {
		*(*[len(k.short)]byte)(dst[at : at+len(k.short)]) = k.short
		dst = dst[:at+len(k.long)]
	}
	if first {
		dst[at] = '{'
	}
	return dst
}

// Encoder renders rows as JSON objects straight from their cells. It is compiled once per header and may be used by
// many goroutines.
type Encoder struct{ root []node }

type node struct {
	key  Key
	cell int // position of the value, -1 for an object
	kids []node
}

// FlatEncoder returns an encoder that uses the header's names as they are, in order.
func FlatEncoder(h *Header) *Encoder {
	e := &Encoder{}
	for i, n := range h.names {
		e.root = append(e.root, node{key: KeyOf(n), cell: i})
	}
	return e
}

// NestedEncoder returns an encoder that reads dots in names as nesting: preference.from_price becomes
// {"preference":{"from_price":…}}. It is an error if a name is both a value and an object.
func NestedEncoder(h *Header) (*Encoder, error) {
	e := &Encoder{}
	for i, n := range h.names {
		if err := place(&e.root, strings.Split(n, "."), i, n); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func place(nodes *[]node, path []string, cell int, name string) error {
	key := KeyOf(path[0])
	at := -1
	for i := range *nodes {
		if (*nodes)[i].key == key {
			at = i
		}
	}
	if at < 0 {
		*nodes = append(*nodes, node{key: key, cell: -1})
		at = len(*nodes) - 1
	} else if len(path) == 1 || (*nodes)[at].cell >= 0 {
		return fmt.Errorf("field %q stands twice, or both as a value and as an object", name)
	}
	if len(path) == 1 {
		(*nodes)[at].cell = cell
		return nil
	}
	return place(&(*nodes)[at].kids, path[1:], cell, name)
}

// Append appends the row as one JSON object. Absent cells are left out, and so are objects without any cell; Null is
// null.
func (e *Encoder) Append(dst []byte, values []Value) []byte {
	return appendObject(dst, e.root, values)
}

func appendObject(dst []byte, nodes []node, values []Value) []byte {
	dst = append(dst, '{')
	for i := range nodes {
		n := &nodes[i]
		if n.cell < 0 {
			if !anyCell(n.kids, values) {
				continue
			}
		} else if n.cell >= len(values) || values[n.cell].kind == Absent {
			continue
		}
		dst = n.key.Append(dst)
		if n.cell < 0 {
			dst = appendObject(dst, n.kids, values)
			continue
		}
		dst = values[n.cell].AppendJSON(dst)
	}
	return append(dst, '}')
}

func anyCell(nodes []node, values []Value) bool {
	for i := range nodes {
		n := &nodes[i]
		if n.cell < 0 && anyCell(n.kids, values) || n.cell >= 0 && n.cell < len(values) && values[n.cell].kind != Absent {
			return true
		}
	}
	return false
}
