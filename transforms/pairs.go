package transforms

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/crmetl/crmetl/record"
)

// ParsePairs reads names and values as one cell holds them, and returns them as a JSON object in the same order: a JSON
// object of texts, numbers, true, false and null, or the same with single quotes: {'size':'M','price':5}. Numbers keep
// their digits. Within single quotes, \', \\, \n, \t, \uXXXX and the other escapes of JSON are known, and a doubled one is
// an apostrophe.
//
// What is not certain is an error that names the character, counted from 1: an object or a list as a value, a name that
// stands twice, a comma before the end, an apostrophe inside a text. If lenient, an apostrophe ends a text only if blanks
// and a colon, a comma, a brace or the end follow it.
func ParsePairs(s string, lenient bool) (string, error) {
	p := &pairs{s: s, lenient: lenient}
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("%s is not UTF-8", Quote(s))
	}
	if err := p.object(); err != nil {
		return "", err
	}
	return string(p.out), nil
}

// PairsOf converts a cell that holds names and values, as text or as a JSON object, into a JSON object of plain values.
// Empty cells pass untouched.
func PairsOf(v record.Value) (record.Value, error) { return pairsOf(v, false) }

func pairsOf(v record.Value, lenient bool) (record.Value, error) {
	switch v.Kind() {
	case record.Absent, record.Null:
		return v, nil
	case record.Fault:
		return v, faulty(v)
	case record.Text:
		if v.IsEmpty() {
			return v, nil
		}
	case record.JSON:
	default:
		return v, fmt.Errorf("%s is a %s, where names and values are needed, such as {'size':'M'}", Quote(v.Cell()), v.Kind())
	}
	text, err := ParsePairs(v.Text(), lenient)
	if err != nil {
		return v, err
	}
	return record.Of(record.JSON, text), nil
}

// newPairs makes the transform of that name.
func newPairs(a Args) (Func, error) {
	switch {
	case a.Kind == None:
		return PairsOf, nil
	case a.Kind == Scalar && a.Text == "lenient":
		return func(v record.Value) (record.Value, error) { return pairsOf(v, true) }, nil
	}
	return nil, &ArgError{Message: "takes lenient, or nothing"}
}

// pairs is a parser at work.
type pairs struct {
	s       string
	at      int // in bytes
	lenient bool
	out     []byte
	names   []string
	seen    map[string]bool // the same, once they are many
}

// manyPairs is from how many names on duplicates are sought in a map.
const manyPairs = 32

// fail says what stands at a place, counted in bytes, and what is wrong with it.
func (p *pairs) fail(at int, format string, args ...any) error {
	what := "the cell ends"
	if at < len(p.s) {
		r, _ := utf8.DecodeRuneInString(p.s[at:])
		what = fmt.Sprintf("%q stands", r)
		if strings.ContainsRune("‘’‚“”„«»`´", r) {
			format += "; it is no quote that programs know, write ' or \""
		}
	}
	return fmt.Errorf("character %d: %s %s", utf8.RuneCountInString(p.s[:at])+1, what, fmt.Sprintf(format, args...))
}

func (p *pairs) blanks() {
	for p.at < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.at]) >= 0 {
		p.at++
	}
}

// next passes over blanks and returns the byte that follows, 0 at the end.
func (p *pairs) next() byte {
	p.blanks()
	if p.at == len(p.s) {
		return 0
	}
	return p.s[p.at]
}

func (p *pairs) object() error {
	if p.next() != '{' {
		return p.fail(p.at, "where { should begin names and values, as in {'size':'M'}")
	}
	p.at++
	p.out = append(p.out, '{')
	for first := true; ; first = false {
		c := p.next()
		if c == '}' && first {
			break
		}
		if c == '}' {
			return p.fail(p.at, "after a comma, where one more name should follow")
		}
		if err := p.pair(first); err != nil {
			return err
		}
		if c = p.next(); c == '}' {
			break
		}
		if c != ',' {
			return p.fail(p.at, "where a comma or } should follow; an apostrophe inside a text is written \\' or ''")
		}
		p.at++
	}
	p.at++
	p.out = append(p.out, '}')
	if p.blanks(); p.at < len(p.s) {
		return p.fail(p.at, "after the closing }")
	}
	return nil
}

func (p *pairs) pair(first bool) error {
	if !first {
		p.out = append(p.out, ',')
	}
	if c := p.next(); c != '\'' && c != '"' {
		return p.fail(p.at, "where a name in quotes should begin")
	}
	begin := p.at
	name, err := p.quoted()
	if err != nil {
		return err
	}
	if p.twice(name) {
		return p.fail(begin, "before the name %s, which is there twice", Quote(name))
	}
	if p.next() != ':' {
		return p.fail(p.at, "where a colon should follow the name %s; an apostrophe inside a text is written \\' or ''", Quote(name))
	}
	p.at++
	p.out = append(record.AppendString(p.out, name), ':')
	return p.value(name)
}

func (p *pairs) twice(name string) bool {
	if p.seen != nil {
		was := p.seen[name]
		p.seen[name] = true
		return was
	}
	if slices.Contains(p.names, name) {
		return true
	}
	if p.names = append(p.names, name); len(p.names) >= manyPairs {
		p.seen = make(map[string]bool, 2*manyPairs)
		for _, n := range p.names {
			p.seen[n] = true
		}
	}
	return false
}

func (p *pairs) value(name string) error {
	switch c := p.next(); {
	case c == '\'' || c == '"':
		text, err := p.quoted()
		if err != nil {
			return err
		}
		p.out = record.AppendString(p.out, text)
		return nil
	case c == '{' || c == '[':
		return p.fail(p.at, "where the value of %s should be a text, a number, true, false or null; values can't nest", Quote(name))
	}
	end := p.at
	for end < len(p.s) && strings.IndexByte(" \t\r\n,}:", p.s[end]) < 0 {
		end++
	}
	// A number, true, false or null: the words that JSON has without quotes.
	if word := p.s[p.at:end]; word != "" && json.Valid([]byte(word)) {
		p.out = append(p.out, word...)
		p.at = end
		return nil
	}
	return p.fail(p.at, "where the value of %s should be a text in quotes, a number, true, false or null", Quote(name))
}

// quoted reads a text in quotes of either kind.
func (p *pairs) quoted() (string, error) {
	quote, begin := p.s[p.at], p.at
	p.at++
	var b []byte
	for from := p.at; p.at < len(p.s); {
		switch c := p.s[p.at]; {
		case c == quote:
			if quote == '\'' && strings.HasPrefix(p.s[p.at:], "''") {
				b = append(append(b, p.s[from:p.at]...), '\'')
				p.at += 2
				from = p.at
				continue
			}
			if quote == '\'' && p.lenient && !p.closes(p.at+1) {
				p.at++
				continue
			}
			text := p.s[from:p.at]
			p.at++
			if b == nil {
				return text, nil
			}
			return string(append(b, text...)), nil
		case c == '\\':
			b = append(b, p.s[from:p.at]...)
			var err error
			if b, err = p.escape(b, quote); err != nil {
				return "", err
			}
			from = p.at
		case c < ' ' && quote == '"':
			return "", p.fail(p.at, "inside a text in double quotes, where it is written \\n, \\t or \\u%04x", c)
		default:
			p.at++
		}
	}
	return "", p.fail(len(p.s), "before the text that begins at character %d; its closing %c is missing", utf8.RuneCountInString(p.s[:begin])+1, quote)
}

// closes reports whether what follows a text may follow there.
func (p *pairs) closes(at int) bool {
	rest := strings.TrimLeft(p.s[at:], " \t\r\n")
	return rest == "" || strings.IndexByte(":,}", rest[0]) >= 0
}

// escape reads what begins with a backslash.
func (p *pairs) escape(b []byte, quote byte) ([]byte, error) {
	begin := p.at
	if p.at += 2; p.at > len(p.s) {
		return b, p.fail(len(p.s), "after a backslash")
	}
	switch c := p.s[p.at-1]; c {
	case '\\', '/', '"':
		return append(b, c), nil
	case '\'':
		if quote == '\'' {
			return append(b, c), nil
		}
	case 'n':
		return append(b, '\n'), nil
	case 't':
		return append(b, '\t'), nil
	case 'r':
		return append(b, '\r'), nil
	case 'b':
		return append(b, '\b'), nil
	case 'f':
		return append(b, '\f'), nil
	case 'u':
		r, ok := p.unit()
		if ok && utf16.IsSurrogate(r) && strings.HasPrefix(p.s[p.at:], `\u`) {
			p.at += 2
			low, whole := p.unit()
			r = utf16.DecodeRune(r, low)
			ok = whole && r != utf8.RuneError
		}
		if ok && !utf16.IsSurrogate(r) {
			return utf8.AppendRune(b, r), nil
		}
		return b, p.fail(begin, "before u, where four digits of a character should follow, as in \\u00e9")
	}
	p.at = begin
	return b, p.fail(begin, "before a character that it can't stand before; a backslash is written \\\\")
}

// unit reads four hexadecimal digits.
func (p *pairs) unit() (rune, bool) {
	if len(p.s)-p.at < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(p.s[p.at:p.at+4], 16, 16)
	p.at += 4
	return rune(n), err == nil
}
