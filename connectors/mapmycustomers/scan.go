package mapmycustomers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/crmetl/crmetl/record"
)

// cutter finds where the elements of one JSON array end, byte by byte, in an answer that comes in pieces. It knows
// strings, escapes and nesting and nothing else: what is inside an element is checked by whoever decodes it.
type cutter struct {
	state    cutState
	depth    int   // open brackets inside the element
	quoted   bool  // inside a string
	escaped  bool  // after a backslash inside a string
	bom      int   // bytes of a byte order mark seen
	elements int64 // that have ended
}

type cutState uint8

const (
	beforeList    cutState = iota
	beforeFirst            // after "[": an element or "]"
	beforeElement          // after ",": an element
	inElement              // between the first and the last byte of an element
	afterElement           // "," or "]"
	afterList              // nothing but blanks
)

var errNoList = errors.New("the answer is no list")

// span is a run of elements: from is where the first one begins, -1 if none does; the last one that ended, if ended,
// did so at to.
type span struct {
	from, to int
	ended    bool
}

// scan goes over the next bytes of the answer and tells what began and ended there.
func (c *cutter) scan(data []byte) (span, error) {
	s := span{from: -1}
	const bom = "\xef\xbb\xbf"
	for i := 0; i < len(data); i++ {
		b := data[i]
		if c.quoted {
			switch {
			case c.escaped:
				c.escaped = false
			case b == '\\':
				c.escaped = true
			case b == '"':
				c.quoted = false
				if c.depth == 0 {
					s.to, s.ended = i+1, true
					c.end()
				}
			}
			continue
		}
		if c.state == inElement {
			switch b {
			case '"':
				c.quoted = true
			case '{', '[':
				c.depth++
			case '}', ']':
				if c.depth > 0 {
					c.depth--
					if c.depth == 0 {
						s.to, s.ended = i+1, true
						c.end()
					}
					continue
				}
				// The list ends right after a bare number or word.
				s.to, s.ended = i, true
				c.end()
				c.state = afterList
				if b == '}' {
					return s, fmt.Errorf("a } where the list should go on, after record %d", c.elements)
				}
			case ',', ' ', '\t', '\r', '\n':
				if c.depth == 0 {
					s.to, s.ended = i, true
					c.end()
					if b == ',' {
						c.state = beforeElement
					}
				}
			}
			continue
		}
		if b == ' ' || b == '\t' || b == '\r' || b == '\n' {
			continue
		}
		switch c.state {
		case beforeList:
			if c.bom < len(bom) && b == bom[c.bom] {
				c.bom++
				continue
			}
			if b != '[' || c.bom%len(bom) != 0 {
				return s, errNoList
			}
			c.state = beforeFirst
		case afterElement:
			switch b {
			case ',':
				c.state = beforeElement
			case ']':
				c.state = afterList
			default:
				return s, fmt.Errorf("%q where the list should go on, after record %d", b, c.elements)
			}
		case afterList:
			return s, fmt.Errorf("%q after the end of the list, which has %d records", b, c.elements)
		default:
			if b == ']' && c.state == beforeFirst {
				c.state = afterList
				continue
			}
			if b == ']' || b == '}' || b == ',' || b == ':' {
				return s, fmt.Errorf("%q where record %d should begin", b, c.elements+1)
			}
			if s.from < 0 {
				s.from = i
			}
			c.state = inElement
			switch b {
			case '"':
				c.quoted = true
			case '{', '[':
				c.depth = 1
			}
		}
	}
	return s, nil
}

func (c *cutter) end() {
	c.elements++
	c.state = afterElement
}

// scanner reads JSON values from s, from position i on.
type scanner struct {
	s     string
	i     int
	batch *record.Batch // whose the texts are that can't share the memory of s; may be nil
	buf   []byte        // where such a text is put together
}

const maxDepth = 100

func (p *scanner) fail(want string) error {
	end := min(len(p.s), p.i+20)
	if p.i >= len(p.s) {
		return fmt.Errorf("not valid JSON: it ends where %s should be", want)
	}
	return fmt.Errorf("not valid JSON: %q where %s should be", p.s[p.i:end], want)
}

func (p *scanner) blanks() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\r', '\n':
			p.i++
		default:
			return
		}
	}
}

// next passes blanks and tells the byte after them, 0 at the end.
func (p *scanner) next() byte {
	p.blanks()
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// text reads a string. Without escapes it shares the memory of s.
func (p *scanner) text() (string, error) {
	if p.next() != '"' {
		return "", p.fail("a string")
	}
	from := p.i + 1
	for i := from; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			p.i = i + 1
			return p.s[from:i], nil
		case c == '\\':
			return p.escaped(from, i)
		case c < ' ':
			p.i = i
			return "", p.fail("more of a string")
		}
	}
	p.i = len(p.s)
	return "", p.fail("the end of a string")
}

// escaped reads on in a string that began at from and has its first backslash at i.
func (p *scanner) escaped(from, i int) (string, error) {
	b := append(slices.Grow(p.buf[:0], i-from+32), p.s[from:i]...)
	for i < len(p.s) {
		c := p.s[i]
		switch {
		case c == '"':
			p.i, p.buf = i+1, b
			return kept(p.batch, b), nil
		case c < ' ':
			p.i = i
			return "", p.fail("more of a string")
		case c != '\\':
			b = append(b, c)
			i++
			continue
		}
		if i+1 >= len(p.s) {
			break
		}
		i += 2
		switch p.s[i-1] {
		case '"', '\\', '/':
			b = append(b, p.s[i-1])
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, ok := hex4(p.s[i:])
			if !ok {
				p.i = i - 2
				return "", p.fail("a \\u escape")
			}
			i += 4
			if r >= 0xd800 && r < 0xe000 {
				low, ok := rune(0), false
				if r < 0xdc00 && strings.HasPrefix(p.s[i:], `\u`) {
					low, ok = hex4(p.s[i+2:])
				}
				if ok && low >= 0xdc00 && low < 0xe000 {
					r = 0x10000 + (r-0xd800)<<10 + (low - 0xdc00)
					i += 6
				} else {
					r = utf8.RuneError
				}
			}
			b = utf8.AppendRune(b, r)
		default:
			p.i = i - 2
			return "", p.fail("an escape")
		}
	}
	p.i = len(p.s)
	return "", p.fail("the end of a string")
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var r rune
	for i := range 4 {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number reads a number and returns its literal.
func (p *scanner) number() (string, error) {
	from, i, s := p.i, p.i, p.s
	digits := func() bool {
		first := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > first
	}
	if i < len(s) && s[i] == '-' {
		i++
	}
	zero := i < len(s) && s[i] == '0'
	first := i
	if !digits() || zero && i > first+1 {
		return "", p.fail("a number")
	}
	if i < len(s) && s[i] == '.' {
		i++
		if !digits() {
			return "", p.fail("a number")
		}
	}
	if i < len(s) && s[i]|' ' == 'e' {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return "", p.fail("a number")
		}
	}
	p.i = i
	return s[from:i], nil
}

// word reads true, false or null.
func (p *scanner) word() (string, error) {
	for _, w := range []string{"null", "true", "false"} {
		if strings.HasPrefix(p.s[p.i:], w) {
			p.i += len(w)
			return w, nil
		}
	}
	return "", p.fail("a value")
}

// skip passes over one value of any kind and checks it; it returns its text.
func (p *scanner) skip(depth int) (string, error) {
	c := p.next()
	from := p.i
	var err error
	switch {
	case c == '"':
		_, err = p.text()
	case c == '{':
		err = p.object(depth, func(string) error {
			_, err := p.skip(depth + 1)
			return err
		})
	case c == '[':
		err = p.array(depth, func() error {
			_, err := p.skip(depth + 1)
			return err
		})
	case c == '-' || c >= '0' && c <= '9':
		_, err = p.number()
	default:
		_, err = p.word()
	}
	return p.s[from:p.i], err
}

// object reads an object: field is called at each value, with its key, and reads the value.
func (p *scanner) object(depth int, field func(key string) error) error {
	if p.next() != '{' {
		return p.fail("a record in { }")
	}
	if depth > maxDepth {
		return fmt.Errorf("not valid here: JSON that nests more than %d deep", maxDepth)
	}
	p.i++
	if p.next() == '}' {
		p.i++
		return nil
	}
	for {
		key, err := p.text()
		if err != nil {
			return err
		}
		if p.next() != ':' {
			return p.fail("a colon")
		}
		p.i++
		if err := field(key); err != nil {
			return err
		}
		switch p.next() {
		case ',':
			p.i++
		case '}':
			p.i++
			return nil
		default:
			return p.fail("a comma or }")
		}
	}
}

// array reads an array: item is called at each element and reads it.
func (p *scanner) array(depth int, item func() error) error {
	if p.next() != '[' {
		return p.fail("a list in [ ]")
	}
	if depth > maxDepth {
		return fmt.Errorf("not valid here: JSON that nests more than %d deep", maxDepth)
	}
	p.i++
	if p.next() == ']' {
		p.i++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		switch p.next() {
		case ',':
			p.i++
		case ']':
			p.i++
			return nil
		default:
			return p.fail("a comma or ]")
		}
	}
}

// value reads any value: text as Text, numbers with their digits, arrays as List, objects as JSON.
func (p *scanner) value() (record.Value, error) {
	switch c := p.next(); {
	case c == '"':
		s, err := p.text()
		return record.TextOf(s), err
	case c == '{':
		s, err := p.skip(0)
		return record.Of(record.JSON, s), err
	case c == '[':
		s, err := p.skip(0)
		return record.Of(record.List, s), err
	case c == '-' || c >= '0' && c <= '9':
		s, err := p.number()
		return record.NumberOf(s), err
	}
	s, err := p.word()
	if s == "null" {
		return record.NullOf(), err
	}
	return record.Of(record.Bool, s), err
}
