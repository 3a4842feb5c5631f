package mappings

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The bounds of a mapping file. Its parser needs time and memory that grow with the square of the nesting.
const (
	maxFile    = 1 << 20 // bytes
	maxNesting = 24
	maxNodes   = 40_000 // after aliases have been replaced by what they stand for
	maxTokens  = 30_000
)

// kind is what a node of a YAML file is.
type kind uint8

const (
	null kind = iota
	scalar
	sequence
	object
)

var kindNames = [...]string{"nothing", "one value", "a list", "a block of keys"}

// node is one node of a YAML file: a scalar keeps its text as it was written, since "007" is no number here.
type node struct {
	kind  kind
	text  string
	plain bool // the scalar stands without quotes
	bad   bool // a problem was reported here; what is missing because of it need not be reported too
	at    place
	place scalarPlace
	keys  []*node // of an object, parallel to items
	items []*node
	lines map[string]int // of an object: where each key stands
}

// scalarPlace knows where the characters of a scalar stand in the file, so that a problem within an expression can be
// shown at its place.
type scalarPlace struct {
	start place
	style byte   // 0 plain, the quote, or the sign of a block
	raw   string // of a quoted scalar: what stands between the quotes
}

// offset returns the place of character n of the scalar's text.
func (p scalarPlace) offset(text string, n int) place {
	at := p.start
	switch p.style {
	case '\'', '"':
		at.column++
		escape := p.style
		for raw := []rune(p.raw); n > 0 && len(raw) > 0; n-- {
			skip := 1
			if p.style == '\'' && raw[0] == rune(escape) || p.style == '"' && raw[0] == '\\' {
				skip = min(2, len(raw))
			}
			for _, r := range raw[:skip] {
				if at.column++; r == '\n' {
					return p.start // a quoted scalar over several lines is folded: its beginning is near enough
				}
			}
			raw = raw[skip:]
		}
	case '|', '>':
		for _, r := range text {
			if n == 0 {
				break
			}
			if n--; r == '\n' && p.style == '|' {
				at.line, at.column = at.line+1, p.start.column
				continue
			}
			at.column++
		}
	default:
		if strings.Contains(text, "\n") {
			return at
		}
		at.column += n
	}
	return at
}

// readYAML parses a file into nodes. It returns nil if the file can't be read as YAML; the problems say why.
func readYAML(f *finder, data []byte) (root *node) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	switch {
	case len(data) > maxFile:
		f.add(place{}, "", "the mapping has %d bytes; %d is the limit", len(data), maxFile)
		return nil
	case !utf8.Valid(data):
		f.add(badByte(data), "save the file as UTF-8", "the mapping is not UTF-8")
		return nil
	case bytes.IndexByte(data, 0) >= 0:
		line := 1 + bytes.Count(data[:bytes.IndexByte(data, 0)], []byte{'\n'})
		f.add(place{line, 1}, "", "the mapping holds a NUL character")
		return nil
	}
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	if at, ok := tabIndent(text); ok {
		f.add(at, "use blanks", "a tab indents the line, which YAML does not allow")
		return nil
	}
	// The parser is a library that fuzzing has made panic before; whatever it does, the file is what is wrong.
	defer func() {
		if p := recover(); p != nil {
			f.add(place{1, 1}, "", "the file can't be read as YAML: %v", p)
			root = nil
		}
	}()
	if at, ok := tooDeep(text); ok {
		f.add(at, "", "the file nests deeper than %d levels", maxNesting)
		return nil
	}
	tokens := lexer.Tokenize(text)
	if len(tokens) > maxTokens {
		f.add(place{}, "", "the mapping has more than %d words and signs", maxTokens)
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		f.syntax(err)
		return nil
	}
	var body ast.Node
	for _, d := range file.Docs {
		if d.Body == nil || d.Body.Type() == ast.DirectiveType || d.Body.Type() == ast.CommentType || d.Body.Type() == ast.CommentGroupType {
			continue
		}
		if body != nil {
			f.add(placeOf(d.Body.GetToken()), "keep one document in a file", "a second document begins")
			return nil
		}
		body = d.Body
	}
	if body == nil {
		f.add(place{1, 1}, "", "the mapping is empty")
		return nil
	}
	r := &yamlReader{finder: f, anchors: map[string]ast.Node{}, open: map[string]bool{}, lines: strings.Split(text, "\n")}
	root = r.node(body, 0)
	if r.count > maxNodes {
		f.problems = nil
		f.add(place{1, 1}, "", "the mapping has more than %d values once its aliases are replaced", maxNodes)
		return nil
	}
	return root
}

// syntax reports what the parser says, at its place.
func (f *finder) syntax(err error) {
	at, message := place{1, 1}, err.Error()
	var ye yaml.Error
	if errors.As(err, &ye) {
		at, message = placeOf(ye.GetToken()), ye.GetMessage()
	}
	const most = 200
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "…"
	}
	f.add(at, "", "%s", message)
}

func badByte(data []byte) place {
	line, start := 1, 0
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n <= 1 {
			return place{line, 1 + utf8.RuneCount(data[start:i])}
		}
		if i += n; r == '\n' {
			line, start = line+1, i
		}
	}
	return place{line, 1}
}

// tabIndent finds a line that begins with a tab and holds more than blanks.
func tabIndent(text string) (place, bool) {
	line := 0
	for l := range strings.SplitSeq(text, "\n") {
		line++
		body := strings.TrimLeft(l, " ")
		if strings.HasPrefix(body, "\t") && strings.TrimSpace(body) != "" && !strings.HasPrefix(strings.TrimSpace(body), "#") {
			return place{line, 1 + len(l) - len(body)}, true
		}
	}
	return place{}, false
}

// tooDeep finds nesting that no mapping has, before the parser spends its time on it: brackets, and signs of lists and
// keys that follow each other on one line. It counts signs within unquoted texts too, which harms nobody at this limit.
func tooDeep(text string) (place, bool) {
	flow, line, column, run := 0, 1, 0, 0
	quote, skip := rune(0), false
	fresh := true // outside of brackets: a quote would begin a text here, and not stand in one
	for i, r := range text {
		column++
		switch {
		case r == '\n':
			line, column, run, skip, fresh = line+1, 0, 0, false, true
			if flow == 0 {
				quote = 0
			}
		case skip:
			skip = false
		case quote != 0:
			switch {
			case r == '\\' && quote == '"', r == quote && quote == '\'' && strings.HasPrefix(text[i+1:], "'"):
				skip = true
			case r == quote:
				quote = 0
			}
		case (r == '\'' || r == '"') && (flow > 0 || fresh):
			quote, fresh = r, false
		case r == ' ' && i > 0 && text[i-1] == ':':
			fresh = true
		case r == '[' || r == '{':
			flow++
		case (r == ']' || r == '}') && flow > 0:
			flow--
		case r == '-' || r == '?' || r == '&' || r == '!' || r == '*':
			run++
		case r == ' ' || r == '\t':
		default:
			fresh = false
			if run < maxNesting {
				run = 0
			}
		}
		if flow > maxNesting || run > 20*maxNesting {
			return place{line, column}, true
		}
	}
	return place{}, false
}

func placeOf(tk *token.Token) place {
	if tk == nil || tk.Position == nil {
		return place{1, 1}
	}
	return place{max(1, tk.Position.Line), max(1, tk.Position.Column)}
}

// yamlReader turns the library's tree into ours: aliases replaced, positions kept, everything bounded.
type yamlReader struct {
	*finder
	anchors map[string]ast.Node
	open    map[string]bool // anchors that are being read: an alias to one of them would never end
	lines   []string
	count   int
}

func (r *yamlReader) node(n ast.Node, depth int) *node {
	out := &node{kind: null, at: place{1, 1}}
	if r.count++; r.count > maxNodes || n == nil {
		return out
	}
	out.at = placeOf(n.GetToken())
	if depth > maxNesting {
		r.add(out.at, "", "the file nests deeper than %d levels", maxNesting)
		return out
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		out.kind = object
		if len(n.Values) > 0 && !n.IsFlowStyle {
			out.at = placeOf(n.Values[0].Key.GetToken())
		}
		for _, v := range n.Values {
			r.pair(out, v, depth)
		}
	case *ast.MappingValueNode:
		out.kind = object
		out.at = placeOf(n.Key.GetToken())
		r.pair(out, n, depth)
	case *ast.SequenceNode:
		out.kind = sequence
		for _, v := range n.Values {
			out.items = append(out.items, r.node(v, depth+1))
		}
	case *ast.AnchorNode:
		name := nodeName(n.Name)
		r.anchors[name] = n.Value
		r.open[name] = true
		out = r.node(n.Value, depth)
		r.open[name] = false
	case *ast.AliasNode:
		name := nodeName(n.Value)
		target, ok := r.anchors[name]
		switch {
		case !ok:
			out.bad = true
			r.add(out.at, "", "alias *%s stands for nothing; no &%s comes before it", name, name)
		case r.open[name]:
			out.bad = true
			r.add(out.at, "", "alias *%s stands within &%s and would never end", name, name)
		default:
			at := out.at
			out = r.node(target, depth+1)
			out.at = at
		}
	case *ast.TagNode:
		out.bad = true
		r.add(out.at, "leave it out; quote the value if it is a text", "tag %s is not needed in a mapping", n.Start.Value)
		out = r.node(n.Value, depth+1)
	default:
		r.scalar(out, n)
	}
	return out
}

func nodeName(n ast.Node) string {
	if n == nil || n.GetToken() == nil {
		return ""
	}
	return n.GetToken().Value
}

func (r *yamlReader) pair(out *node, v *ast.MappingValueNode, depth int) {
	switch v.Key.Type() {
	case ast.MergeKeyType:
		out.bad = true
		r.add(placeOf(v.Key.GetToken()), "write the keys out", "merge keys (<<) are not part of mapping files")
		return
	case ast.MappingKeyType:
		out.bad = true
		r.add(placeOf(v.Key.GetToken()), "write key: value", "keys with ? are not part of mapping files")
		return
	}
	key := r.node(v.Key, depth+1)
	if key.kind != scalar && key.kind != null {
		r.add(key.at, "", "a key must be a text")
		return
	}
	if key.kind == null {
		key.kind = scalar
	}
	if first, twice := out.lines[key.text]; twice {
		r.add(key.at, fmt.Sprintf("it stands in line %d too; leave one of them", first), "key %s stands twice", show(key.text))
		return
	}
	if out.lines == nil {
		out.lines = map[string]int{}
	}
	out.lines[key.text] = key.at.line
	out.keys = append(out.keys, key)
	out.items = append(out.items, r.node(v.Value, depth+1))
}

func (r *yamlReader) scalar(out *node, n ast.Node) {
	tk := n.GetToken()
	out.kind, out.plain = scalar, true
	out.place = scalarPlace{start: out.at}
	switch n := n.(type) {
	case *ast.NullNode:
		out.kind, out.text = null, ""
		if tk != nil && strings.TrimSpace(tk.Value) != "" && tk.Type == token.NullType && strings.Contains(tk.Origin, tk.Value) {
			out.text = tk.Value
		}
	case *ast.LiteralNode:
		out.plain = false
		out.text = n.Value.Value
		out.place.style = '|'
		if n.Start != nil && strings.HasPrefix(n.Start.Value, ">") {
			out.place.style = '>'
		}
		line := out.at.line + 1
		indent := 0
		if line <= len(r.lines) {
			indent = len(r.lines[line-1]) - len(strings.TrimLeft(r.lines[line-1], " "))
		}
		out.place.start = place{line, indent + 1}
	case *ast.StringNode:
		out.text = n.Value
		if tk == nil {
			return
		}
		switch tk.Type {
		case token.SingleQuoteType:
			out.plain, out.place.style = false, '\''
		case token.DoubleQuoteType:
			out.plain, out.place.style = false, '"'
		}
		if !out.plain {
			raw := strings.TrimSpace(tk.Origin)
			out.place.raw = strings.TrimSuffix(strings.TrimPrefix(raw, string(out.place.style)), string(out.place.style))
		}
	default:
		if tk != nil {
			out.text = tk.Value
		}
	}
}

// show returns a name as messages show it.
func show(s string) string {
	if s == "" || len(s) > 60 || strings.ContainsAny(s, " \n\t\"'") {
		return fmt.Sprintf("%.60q", s)
	}
	return s
}
