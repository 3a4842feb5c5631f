package jsonl

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/crmetl/crmetl/record"
)

// visit is told what a walk through an object meets at a path: a value that is no object, an object without members,
// or, as the text "{", that the members of an object follow. path is only good during the call.
type visit func(path []byte, raw string) error

// members is what a visit is told before the members of an object.
const members = "{"

// walk goes through the members of the object that begins at s[i], in order, and returns the place after it. s must
// be valid JSON. path is the name of the object with a dot after it, or empty.
func walk(s string, i int, path []byte, f visit) (int, error) {
	i = blank(s, i+1)
	for s[i] != '}' {
		end := value(s, i)
		name := append(path, unquote(s[i:end])...)
		i = blank(s, blank(s, end)+1)
		var err error
		if s[i] == '{' && s[blank(s, i+1)] != '}' {
			if err = f(name, members); err == nil {
				i, err = walk(s, i, append(name, '.'), f)
			}
		} else {
			end = value(s, i)
			err = f(name, s[i:end])
			i = end
		}
		if err != nil {
			return i, err
		}
		if i = blank(s, i); s[i] == ',' {
			i = blank(s, i+1)
		}
	}
	return i + 1, nil
}

// blank passes over white space.
func blank(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r' || s[i] == '\n') {
		i++
	}
	return i
}

// value returns the place after the value that begins at s[i].
func value(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			for i++; s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth > 0 {
				continue
			}
			for i < len(s) && !strings.ContainsRune(",}] \t\r\n", rune(s[i])) {
				i++
			}
			return i
		}
		if depth == 0 {
			return i + 1
		}
	}
	return i
}

// unquote returns the text of a JSON string. A string without escapes is a part of s.
func unquote(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s[1 : len(s)-1]
	}
	var t string
	_ = json.Unmarshal([]byte(s), &t) // s is valid
	return t
}

// halfPair reports whether a JSON string escapes half of a surrogate pair, which is no character: reading it would put
// U+FFFD in its place.
func halfPair(s string) bool {
	high := false // the escape before was the first half
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			if high {
				return true
			}
			continue
		}
		i++
		if s[i] != 'u' {
			if high {
				return true
			}
			continue
		}
		c, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
		i += 4
		low := err == nil && c >= 0xdc00 && c < 0xe000
		if low != high {
			return true
		}
		high = err == nil && c >= 0xd800 && c < 0xdc00
	}
	return high
}

// valueOf returns the value of a JSON text that is valid.
func valueOf(raw string) record.Value {
	switch raw[0] {
	case '"':
		return record.TextOf(unquote(raw))
	case 'n':
		return record.NullOf()
	case 't', 'f':
		return record.Of(record.Bool, raw)
	case '[':
		return record.Of(record.List, raw)
	case '{':
		return record.Of(record.JSON, "{}") // objects with members never come here
	}
	return record.NumberOf(raw)
}

// sampler collects the names of columns.
type sampler struct {
	order []string
	firm  map[string]bool // the name had a value, not only null or an empty object
}

func newSampler() *sampler { return &sampler{firm: map[string]bool{}} }

func (s *sampler) add(line []byte) {
	_, _ = walk(string(line), 0, nil, func(path []byte, raw string) error { // the callback has no error
		if raw == members {
			return nil
		}
		firm, known := s.firm[string(path)]
		if !known {
			s.order = append(s.order, string(path))
		}
		s.firm[string(path)] = firm || raw != "null" && raw[0] != '{'
		return nil
	})
}

// names returns the columns. A name that only had null or an empty object is no column of its own if it has members
// elsewhere: {"user":null} beside {"user":{"name":"Ada"}}.
func (s *sampler) names() []string {
	parents := map[string]bool{}
	for _, n := range s.order {
		for i := range len(n) {
			if n[i] == '.' {
				parents[n[:i]] = true
			}
		}
	}
	var names []string
	for _, n := range s.order {
		if s.firm[n] || !parents[n] {
			names = append(names, n)
		}
	}
	return names
}

// columns finds the cell of a name.
type columns struct {
	index    map[string]int
	children map[string]*object // of a name with members
	own      []*object          // by column: that of children, for lines in which it has members
	header   *record.Header
}

// object is a name with members, as user beside the columns user.name and user.mail.
type object struct {
	place int // among the objects
	cells []int
}

func newColumns(h *record.Header) columns {
	c := columns{index: make(map[string]int, h.Len()), children: map[string]*object{}, header: h}
	for i := range h.Len() {
		n := h.Name(i)
		c.index[n] = i
		for k := range len(n) {
			if n[k] == '.' {
				o := c.children[n[:k]]
				if o == nil {
					o = &object{place: len(c.children)}
					c.children[n[:k]] = o
				}
				o.cells = append(o.cells, i)
			}
		}
	}
	for i := range h.Len() {
		c.own = append(c.own, c.children[h.Name(i)])
	}
	return c
}

// find returns the cell of a name, -1 if it is no column, and what is known of its members. guess is tried first, since
// lines tend to have the same keys in the same order.
func (c *columns) find(name []byte, guess int) (int, *object) {
	i, ok := guess, guess < c.header.Len() && c.header.Name(guess) == string(name)
	if !ok {
		if i, ok = c.index[string(name)]; !ok {
			return -1, c.children[string(name)]
		}
	}
	return i, c.own[i]
}

// walker fills rows.
type walker struct {
	columns *columns
	path    []byte // memory of paths
	met     []bool // by object: whether the line had it
}

// refusal carries a problem through a walk.
type refusal struct{ record.Problem }

// Error returns the problem's text.
func (r refusal) Error() string { return r.String() }

func refuse(rule, column, format string, args ...any) error {
	return refusal{record.Problem{Rule: rule, Column: column, Message: fmt.Sprintf(format, args...)}}
}

// row reads a line into cells. It returns the reason if the line is refused.
func (w *walker) row(raw []byte, s string, cells []record.Value) (record.Problem, bool) {
	err := w.read(raw, s, cells)
	var r refusal
	if errors.As(err, &r) {
		return r.Problem, false
	}
	return record.Problem{}, true
}

func (w *walker) read(raw []byte, s string, cells []record.Value) error {
	if !utf8.Valid(raw) {
		at := 0
		for at < len(raw) {
			r, n := utf8.DecodeRune(raw[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		return refuse("json", "", "byte %d of the line (0x%02X) is not UTF-8", at+1, raw[at])
	}
	if !json.Valid(raw) {
		var v any
		var se *json.SyntaxError
		if err := json.Unmarshal(raw, &v); errors.As(err, &se) {
			return refuse("json", "", "not JSON at character %d of the line: %v", se.Offset, se)
		}
		return refuse("json", "", "not JSON")
	}
	begin := blank(s, 0)
	if s[begin] != '{' {
		return refuse("json", "", "not a JSON object")
	}
	next := 0
	w.met = append(w.met[:0], make([]bool, len(w.columns.children))...)
	_, err := walk(s, begin, w.path[:0], func(path []byte, value string) error {
		if value[0] == '"' && halfPair(value) {
			return refuse("json", string(path), "the text holds half of a character (an unpaired surrogate)")
		}
		i, o := w.columns.find(path, next)
		if i >= 0 && cells[i].Kind() != record.Absent || o != nil && w.met[o.place] {
			return refuse("json", string(path), "the key stands twice")
		}
		switch {
		case value == members: // of which none is a column if o is nil: the first of them says so
			if o != nil {
				w.met[o.place] = true
			}
			return nil
		case i >= 0:
			cells[i] = valueOf(value)
			next = i + 1
			return nil
		case o != nil && value[0] == '{': // an empty object: nothing to say about its members
			w.met[o.place] = true
			return nil
		case o != nil && value == "null": // no object: its members are null, too
			w.met[o.place] = true
			for _, i := range o.cells {
				if cells[i].Kind() != record.Absent {
					return refuse("json", string(path), "the key stands twice")
				}
				cells[i] = record.NullOf()
			}
			return nil
		}
		return refuse("column", string(path), "the key %q is not among the columns, which are the keys of the first %d lines", path, sampleLines)
	})
	return err
}
