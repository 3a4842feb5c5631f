package xlsx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// maxDepth is how deep elements may nest; real parts stay below 30.
const maxDepth = 256

// errBroken is behind every complaint about XML that is not well-formed.
var errBroken = errors.New("its XML is damaged")

// errCut says that a part ends before its XML does.
var errCut = fmt.Errorf("%w: it ends in the middle; the file was cut off or damaged on its way, get it again", errBroken)

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errBroken, fmt.Sprintf(format, args...))
}

type token uint8

const (
	tokEOF token = iota
	tokStart
	tokEnd
	tokText
)

type attr struct{ name, value []byte } // name as written, value still escaped

// scanner pulls tokens from XML. It enforces that elements nest and that the text is complete, refuses document type
// declarations and passes over comments and processing instructions. What it returns is good until the next call.
//
// With a src it slides a window over the stream; without, data is all there is.
type scanner struct {
	data []byte
	pos  int
	src  io.Reader
	max  int // largest window

	name  []byte // of a start or end tag, with its prefix
	attrs []attr
	empty bool   // a start tag that is its own end; no end token follows
	text  []byte // of a text token
	raw   bool   // the text is CDATA: nothing in it is escaped

	open  []byte // names of the open elements, one after the other
	marks []int  // where each begins
	eof   bool
	root  bool // the root element has been seen
}

func newScanner(src io.Reader, window, limit int) *scanner {
	return &scanner{data: make([]byte, 0, window), src: src, max: limit}
}

// depth is the number of open elements.
func (s *scanner) depth() int { return len(s.marks) }

// fill brings more of the stream into the window and reports whether there was more. The unread part moves to the
// front.
func (s *scanner) fill() (bool, error) {
	if s.src == nil || s.eof {
		return false, nil
	}
	if s.pos > 0 {
		n := copy(s.data, s.data[s.pos:])
		s.data, s.pos = s.data[:n], 0
	}
	if len(s.data) == cap(s.data) {
		if len(s.data) >= s.max {
			return false, fmt.Errorf("a single piece of its XML is larger than %d MiB", s.max>>20)
		}
		grown := make([]byte, len(s.data), min(2*cap(s.data), s.max))
		copy(grown, s.data)
		s.data = grown
	}
	got := false
	for len(s.data) < cap(s.data) {
		n, err := s.src.Read(s.data[len(s.data):cap(s.data)])
		s.data = s.data[:len(s.data)+n]
		got = got || n > 0
		if err == io.EOF { // only the bare one is a good end: parts wrap what went wrong
			s.eof = true
			break
		}
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

// next returns the next token; tokEOF comes only once every element is closed.
func (s *scanner) next() (token, error) {
	for {
		if s.pos == len(s.data) {
			more, err := s.fill()
			if err != nil {
				return tokEOF, err
			}
			if !more {
				if len(s.marks) > 0 || s.src != nil && !s.root {
					return tokEOF, errCut
				}
				return tokEOF, nil
			}
			continue
		}
		tok, done, err := s.step()
		if err != nil {
			return tokEOF, err
		}
		if done {
			if tok != tokEOF {
				return tok, nil
			}
			continue
		}
		more, err := s.fill()
		if err != nil {
			return tokEOF, err
		}
		if !more {
			if s.data[s.pos] != '<' {
				s.text, s.raw, s.pos = s.data[s.pos:], false, len(s.data)
				return tokText, s.stray()
			}
			return tokEOF, errCut
		}
	}
}

// stray complains about text outside the root element.
func (s *scanner) stray() error {
	if s.src != nil && len(s.marks) == 0 && len(bytes.TrimSpace(bytes.Trim(s.text, "\x00\ufeff"))) > 0 {
		return broken("there is text outside its root element: %.20q", s.text)
	}
	return nil
}

// step reads one token at pos. done is false if the window does not hold all of it; tokEOF with done means that
// something was passed over.
func (s *scanner) step() (tok token, done bool, err error) {
	d := s.data[s.pos:]
	if d[0] != '<' {
		i := bytes.IndexByte(d, '<')
		if i < 0 {
			return tokEOF, false, nil
		}
		s.text, s.raw = d[:i], false
		s.pos += i
		return tokText, true, s.stray()
	}
	if len(d) < 2 {
		return tokEOF, false, nil
	}
	switch d[1] {
	case '/':
		i := bytes.IndexByte(d, '>')
		if i < 0 {
			return tokEOF, false, nil
		}
		s.name = bytes.TrimRight(d[2:i], " \t\r\n")
		s.pos += i + 1
		return tokEnd, true, s.pop()
	case '?':
		i := bytes.Index(d, []byte("?>"))
		if i < 0 {
			return tokEOF, false, nil
		}
		s.pos += i + 2
		return tokEOF, true, nil
	case '!':
		return s.declaration(d)
	}
	return s.startTag()
}

// declaration reads a comment or a CDATA section and refuses everything else that begins with "<!".
func (s *scanner) declaration(d []byte) (tok token, done bool, err error) {
	const comment, cdata = "<!--", "<![CDATA["
	if len(d) < len(cdata) && (bytes.HasPrefix([]byte(cdata), d) || bytes.HasPrefix([]byte(comment), d)) {
		return tokEOF, false, nil
	}
	switch {
	case bytes.HasPrefix(d, []byte(comment)):
		i := bytes.Index(d[len(comment):], []byte("-->"))
		if i < 0 {
			return tokEOF, false, nil
		}
		s.pos += len(comment) + i + 3
		return tokEOF, true, nil
	case bytes.HasPrefix(d, []byte(cdata)):
		i := bytes.Index(d, []byte("]]>"))
		if i < 0 {
			return tokEOF, false, nil
		}
		s.text, s.raw = d[len(cdata):i], true
		s.pos += i + 3
		return tokText, true, s.stray()
	}
	return tokEOF, true, errDTD
}

// errDTD refuses document types: a workbook has no use for one, and they can expand without end or fetch files.
var errDTD = errors.New("its XML declares a document type or entities, which no workbook needs; it is refused as unsafe")

// delim tells the bytes that end a name.
var delim = [256]bool{' ': true, '\t': true, '\r': true, '\n': true, '>': true, '/': true, '=': true, '<': true, '"': true, '\'': true, '&': true}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// startTag reads a start tag with its attributes.
func (s *scanner) startTag() (token, bool, error) {
	d, i := s.data, s.pos+1
	begin := i
	for i < len(d) && !delim[d[i]] {
		i++
	}
	if i == len(d) {
		return tokEOF, false, nil
	}
	if i == begin {
		return tokEOF, true, broken("there is a %q without a name", "<")
	}
	s.name, s.attrs = d[begin:i], s.attrs[:0]
	for {
		for i < len(d) && isSpace(d[i]) {
			i++
		}
		if i+1 >= len(d) && (i == len(d) || d[i] != '>') {
			return tokEOF, false, nil
		}
		if d[i] == '>' {
			s.empty, s.pos = false, i+1
			return tokStart, true, s.push()
		}
		if d[i] == '/' {
			if d[i+1] != '>' {
				return tokEOF, true, broken("the tag %q is malformed", s.name)
			}
			s.empty, s.pos, s.root = true, i+2, true
			return tokStart, true, nil
		}
		at := i
		for i < len(d) && !delim[d[i]] {
			i++
		}
		name := d[at:i]
		for i < len(d) && isSpace(d[i]) {
			i++
		}
		if i == len(d) {
			return tokEOF, false, nil
		}
		if len(name) == 0 || d[i] != '=' {
			return tokEOF, true, broken("the tag %q is malformed", s.name)
		}
		for i++; i < len(d) && isSpace(d[i]); i++ {
		}
		if i == len(d) {
			return tokEOF, false, nil
		}
		quote := d[i]
		if quote != '"' && quote != '\'' {
			return tokEOF, true, broken("an attribute of %q has no quotes", s.name)
		}
		i++
		at = i
		for i < len(d) && d[i] != quote {
			if d[i] == '<' {
				return tokEOF, true, broken("an attribute of %q does not end", s.name)
			}
			i++
		}
		if i == len(d) {
			return tokEOF, false, nil
		}
		s.attrs = append(s.attrs, attr{name, d[at:i]})
		i++
	}
}

func (s *scanner) push() error {
	if len(s.marks) == 0 && s.src != nil && s.root {
		return broken("it has more than one root element")
	}
	if len(s.marks) == maxDepth {
		return broken("its elements nest deeper than %d", maxDepth)
	}
	s.root = true
	s.marks = append(s.marks, len(s.open))
	s.open = append(s.open, s.name...)
	return nil
}

func (s *scanner) pop() error {
	if len(s.marks) == 0 {
		return broken("</%s> ends an element that was never begun", s.name)
	}
	at := s.marks[len(s.marks)-1]
	if !bytes.Equal(s.open[at:], s.name) {
		return broken("<%s> is closed by </%s>", s.open[at:], s.name)
	}
	s.open, s.marks = s.open[:at], s.marks[:len(s.marks)-1]
	return nil
}

// skip passes over the rest of the element whose start tag was just read.
func (s *scanner) skip() error { return s.skipWithout("") }

// skipWithout is skip for an element that does not belong where it stands: one that is looked for, called but, must
// not be lost in it.
func (s *scanner) skipWithout(but string) error {
	if s.empty {
		return nil
	}
	for depth := len(s.marks); ; {
		tok, err := s.next()
		if err != nil {
			return err
		}
		switch {
		case tok == tokEnd && len(s.marks) < depth:
			return nil
		case tok == tokEOF:
			return errCut
		case tok == tokStart && but != "" && string(local(s.name)) == but:
			return broken("a <%s> stands in an element that it does not belong to", s.name)
		}
	}
}

// attr returns the value of an attribute by its name without prefix, unescaped; ok tells whether it is there.
func (s *scanner) attr(name string) (value string, ok bool, err error) {
	for i := range s.attrs {
		if string(local(s.attrs[i].name)) == name {
			b, err := unescape(nil, s.attrs[i].value)
			return string(b), true, err
		}
	}
	return "", false, nil
}

// says reports whether a boolean attribute is there and true.
func (s *scanner) says(name string) bool {
	for i := range s.attrs {
		if a := &s.attrs[i]; string(a.name) == name {
			return isTrue(string(a.value))
		}
	}
	return false
}

// local returns a name without its prefix.
func local(name []byte) []byte {
	if i := bytes.IndexByte(name, ':'); i >= 0 {
		return name[i+1:]
	}
	return name
}

// appendText appends the text of the current text token: references resolved, line ends as XML wants them.
func (s *scanner) appendText(dst []byte) ([]byte, error) {
	if s.raw {
		return appendLines(dst, s.text), nil
	}
	return unescape(dst, s.text)
}

// appendLines appends text with CRLF and CR turned into LF, as every XML reader must.
func appendLines(dst, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '\r')
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(append(dst, text[:i]...), '\n')
		text = text[i+1:]
		if len(text) > 0 && text[0] == '\n' {
			text = text[1:]
		}
	}
}

// unescape appends text with its references resolved. Only the five of XML itself and numeric ones exist.
func unescape(dst, text []byte) ([]byte, error) {
	for {
		i := bytes.IndexByte(text, '&')
		if i < 0 {
			return appendLines(dst, text), nil
		}
		dst = appendLines(dst, text[:i])
		text = text[i+1:]
		end := bytes.IndexByte(text[:min(len(text), 12)], ';')
		if end < 0 {
			return dst, broken("there is a %q without its %q", "&", ";")
		}
		ref := text[:end]
		text = text[end+1:]
		switch string(ref) {
		case "amp":
			dst = append(dst, '&')
		case "lt":
			dst = append(dst, '<')
		case "gt":
			dst = append(dst, '>')
		case "quot":
			dst = append(dst, '"')
		case "apos":
			dst = append(dst, '\'')
		default:
			r, ok := charRef(ref)
			if !ok {
				return dst, broken("it refers to &%s;, which XML does not know", ref)
			}
			dst = utf8.AppendRune(dst, r)
		}
	}
}

// charRef resolves #10 and #xA.
func charRef(ref []byte) (rune, bool) {
	if len(ref) < 2 || ref[0] != '#' {
		return 0, false
	}
	digits, base := ref[1:], 10
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(string(digits), base, 32)
	if err != nil || n > utf8.MaxRune || n >= 0xD800 && n < 0xE000 || n == 0 {
		return 0, false
	}
	return rune(n), true
}
