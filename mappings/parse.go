package mappings

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/crmetl/crmetl/internal/near"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
	"github.com/crmetl/crmetl/transforms"
)

// The keys of a mapping file, by where they stand.
var (
	topKeys     = []string{"version", "target", "mode", "source", "fields", "skip_when", "group_by", "blank", "tests", "columns"}
	entryKeys   = []string{"column", "value", "expr", "apply", "map", "otherwise", "default", "blank", "optional"}
	sourceKeys  = []string{"format", "encoding", "delimiter", "sheet", "header_row", "range", "quote", "escape", "comment", "skip_hidden", "fill_merged"}
	testKeys    = []string{"row", "want", "reject", "skip"}
	sourceKinds = []string{"csv", "tsv", "xlsx", "jsonl"}
	allModes    = []string{string(schema.Create), string(schema.Update), string(schema.Upsert), string(schema.Delete), string(schema.Patch), string(schema.Send), string(schema.Add), string(schema.Replace)}
	blanks      = []string{string(Omit), string(Clear), string(Refuse)}
)

// Parse reads a mapping file. name is what messages call it. The error is a Problems with everything that is wrong;
// the mapping comes with it if the file could be read as YAML at all, and Compile then reports those problems together
// with its own.
func Parse(name string, data []byte) (*Mapping, error) {
	p := &parse{finder: finder{file: name}}
	root := readYAML(&p.finder, data)
	if root == nil {
		return nil, p.problems.err()
	}
	m := p.mapping(root)
	m.Name, m.problems = name, p.problems
	return m, p.problems.err()
}

type parse struct{ finder }

// object returns the keys of a node that must be a block of keys; others than the known ones are problems.
func (p *parse) object(n *node, what string, known []string) map[string]*node {
	out := map[string]*node{}
	if n.kind != object {
		p.add(n.at, "", "%s is %s, where a block of keys is needed", what, kindNames[n.kind])
		return out
	}
	for i, k := range n.keys {
		ok := false
		for _, name := range known {
			ok = ok || name == k.text
		}
		if !ok {
			hint := didYouMean(near.Name(k.text, known))
			if hint == "" {
				hint = "there is " + strings.Join(known, ", ")
			}
			p.add(k.at, hint, "unknown key %s in %s", show(k.text), what)
			continue
		}
		out[k.text] = n.items[i]
	}
	return out
}

// text returns the text of a node that must be one value.
func (p *parse) text(n *node, what string) (string, bool) {
	if n.kind != scalar {
		p.add(n.at, "", "%s is %s, where one value is needed", what, kindNames[n.kind])
		return "", false
	}
	return n.text, true
}

// choice returns the text of a node that must be one of a few words.
func (p *parse) choice(n *node, what string, words []string) string {
	s, ok := p.text(n, what)
	if !ok {
		return ""
	}
	for _, w := range words {
		if s == w {
			return s
		}
	}
	p.add(n.at, didYouMean(near.Name(s, words)), "%s is %s; it is one of %s", what, show(s), strings.Join(words, ", "))
	return ""
}

func (p *parse) mapping(root *node) *Mapping {
	m := &Mapping{at: map[string]place{"": root.at}}
	keys := p.object(root, "the mapping", topKeys)
	for i, k := range root.keys {
		m.at[k.text] = k.at
		m.at[k.text+":"] = root.items[i].at
	}
	if n := keys["version"]; n != nil {
		if s, ok := p.text(n, "version"); ok && s != "1" {
			p.add(n.at, "write version: 1", "version %s is not known to this crmetl", show(s))
		}
	}
	if n := keys["target"]; n != nil {
		if s, ok := p.text(n, "target"); ok {
			if conn, obj, cut := strings.Cut(s, "/"); !cut || conn == "" || obj == "" || strings.Contains(obj, "/") {
				p.add(n.at, "write CONNECTION/OBJECT, such as mycrm/leads", "target %s is no target", show(s))
			}
			m.Target = s
		}
	}
	if n := keys["mode"]; n != nil {
		m.Mode = schema.Mode(p.choice(n, "mode", allModes))
	}
	if n := keys["blank"]; n != nil {
		m.Blank = Blank(p.choice(n, "blank", blanks))
	}
	if n := keys["skip_when"]; n != nil {
		m.SkipWhen, _ = p.text(n, "skip_when")
		m.skip = n.place
		if m.SkipWhen == "" && n.kind == scalar {
			p.add(n.at, "", "skip_when is empty")
		}
	}
	if n := keys["group_by"]; n != nil {
		m.GroupBy, _ = p.text(n, "group_by")
	}
	if n := keys["source"]; n != nil {
		m.Source = p.source(n)
	}
	if n := keys["fields"]; n != nil {
		m.Fields = p.fields(n)
	}
	if n := keys["columns"]; n != nil {
		m.Export = p.columns(n)
	}
	if n := keys["tests"]; n != nil {
		m.Tests = p.tests(n)
	}
	if keys["fields"] == nil && keys["columns"] == nil && root.kind == object {
		p.add(root.at, "add fields: {field: column}, or columns: {column: field} for an export", "the mapping maps nothing")
	}
	return m
}

func (p *parse) source(n *node) Source {
	var s Source
	keys := p.object(n, "source", sourceKeys)
	for _, x := range []struct {
		key string
		to  *string
	}{{"encoding", &s.Encoding}, {"delimiter", &s.Delimiter}, {"sheet", &s.Sheet}, {"header_row", &s.HeaderRow}, {"range", &s.Range}, {"quote", &s.Quote}, {"escape", &s.Escape}, {"comment", &s.Comment}} {
		if k := keys[x.key]; k != nil {
			*x.to, _ = p.text(k, x.key)
		}
	}
	if k := keys["skip_hidden"]; k != nil {
		s.SkipHidden = p.choice(k, "skip_hidden", []string{"true", "false"}) == "true"
	}
	if k := keys["fill_merged"]; k != nil {
		s.FillMerged = p.choice(k, "fill_merged", []string{"true", "false"}) == "true"
	}
	if k := keys["format"]; k != nil {
		s.Format = p.choice(k, "format", sourceKinds)
	}
	if k := keys["header_row"]; k != nil && k.kind == scalar && s.HeaderRow != "none" {
		first, last, run := strings.Cut(s.HeaderRow, "-")
		from, err := strconv.Atoi(first)
		to, err2 := from, error(nil)
		if run {
			to, err2 = strconv.Atoi(last)
		}
		if err != nil || err2 != nil || from < 1 || to < from {
			p.add(k.at, "", "header_row is %s; it is a row number from 1, a run of rows such as 2-3, or none", show(s.HeaderRow))
		}
	}
	for _, x := range []struct{ key, value string }{{"quote", s.Quote}, {"escape", s.Escape}} {
		if k := keys[x.key]; k != nil && k.kind == scalar && x.value != "none" && (len(x.value) != 1 || x.value[0] >= utf8.RuneSelf) {
			p.add(k.at, "", "%s is %s; it is one character, or none", x.key, show(x.value))
		}
	}
	if k := keys["delimiter"]; k != nil && k.kind == scalar && len([]rune(s.Delimiter)) != 1 {
		p.add(k.at, `a tab is "\t"`, "delimiter is %s; it is one character", show(s.Delimiter))
	}
	return s
}

func (p *parse) fields(n *node) []Entry {
	if n.kind == null {
		return nil // every line is still a comment; Compile says what is missing
	}
	if n.kind != object {
		p.add(n.at, "write field: column", "fields is %s, where field: column is needed", kindNames[n.kind])
		return nil
	}
	entries := make([]Entry, 0, len(n.keys))
	for i, k := range n.keys {
		entries = append(entries, p.entry(k, n.items[i]))
	}
	return entries
}

func (p *parse) entry(key, n *node) Entry {
	e := Entry{Field: key.text, at: map[string]place{"": key.at}}
	before := len(p.problems)
	if key.text == "" {
		p.add(key.at, "", "a field has no name")
	}
	switch n.kind {
	case null:
		if !n.bad {
			p.add(key.at, "write the column's name, or {value: …}", "field %s has no source", show(key.text))
		}
		e.broken = true
		return e
	case scalar:
		p.column(&e, n)
		e.broken = len(p.problems) > before
		return e
	case sequence:
		p.add(n.at, fmt.Sprintf("write %s: {column: [A, B]}", key.text), "field %s is a list", show(key.text))
		e.broken = true
		return e
	}
	keys := p.object(n, "field "+show(key.text), entryKeys)
	for i, k := range n.keys {
		e.at[k.text] = n.items[i].at
	}
	if !n.bad {
		p.origin(&e, keys)
	}
	if k := keys["apply"]; k != nil {
		e.Apply = p.apply(k)
	}
	if k := keys["map"]; k != nil {
		e.Map = p.pairs(k)
	}
	if k := keys["otherwise"]; k != nil {
		e.Otherwise = p.otherwise(k)
		if keys["map"] == nil {
			p.add(k.at, "add map, or use default for empty cells", "otherwise has no map to go with")
		}
	}
	if k := keys["default"]; k != nil {
		v := p.value(k)
		e.Default = &v
	}
	if k := keys["blank"]; k != nil {
		e.Blank = Blank(p.choice(k, "blank", blanks))
	}
	if k := keys["optional"]; k != nil {
		e.Optional = p.choice(k, "optional", []string{"true", "false"}) == "true"
	}
	e.broken = n.bad || len(p.problems) > before
	return e
}

// origin reads where an entry's value comes from.
func (p *parse) origin(e *Entry, keys map[string]*node) {
	var given []string
	for _, k := range []string{"column", "value", "expr"} {
		if keys[k] != nil {
			given = append(given, k)
		}
	}
	switch {
	case len(given) == 0:
		hint := "add column, value or expr"
		if keys["default"] != nil {
			hint = "write value for a constant"
		}
		p.add(e.at[""], hint, "field %s has no source", show(e.Field))
	case len(given) > 1:
		p.add(e.at[given[1]], "keep one of them", "field %s has %s", show(e.Field), strings.Join(given, " and "))
	}
	if n := keys["column"]; n != nil {
		p.column(e, n)
	}
	if n := keys["expr"]; n != nil {
		if s, ok := p.text(n, "expr"); ok {
			e.Expr, e.expr = s, n.place
			if strings.TrimSpace(s) == "" {
				p.add(n.at, "", "expr is empty")
			}
		}
	}
	if n := keys["value"]; n != nil {
		v := p.value(n)
		e.Value = &v
		for _, k := range []string{"apply", "map", "default", "optional"} {
			if keys[k] != nil {
				p.add(e.at[k], "write the value as it should be", "field %s is a constant: %s has nothing to work on", show(e.Field), k)
			}
		}
	}
}

// column reads the name of a column, or several candidates.
func (p *parse) column(e *Entry, n *node) {
	names := []*node{n}
	if n.kind == sequence {
		names = n.items
		if len(names) == 0 {
			p.add(n.at, "", "field %s names no column", show(e.Field))
		}
	}
	for _, c := range names {
		s, ok := p.text(c, "column")
		if !ok {
			continue
		}
		if s == "" {
			p.add(c.at, "", "the column of field %s has no name", show(e.Field))
			continue
		}
		for _, other := range e.Columns {
			if other == s {
				p.add(c.at, "", "column %s stands twice", show(s))
			}
		}
		e.Columns, e.cols = append(e.Columns, s), append(e.cols, c.at)
	}
}

func (p *parse) apply(n *node) []Step {
	if n.kind != sequence {
		hint := ""
		if n.kind == scalar {
			hint = fmt.Sprintf("write [%s]", n.text)
		} else if n.kind == object {
			hint = "write [{name: argument}]"
		}
		p.add(n.at, hint, "apply is %s, where a list is needed", kindNames[n.kind])
		return nil
	}
	var steps []Step
	for _, it := range n.items {
		name, arg := it, (*node)(nil)
		switch {
		case it.kind == object && len(it.keys) == 1:
			name, arg = it.keys[0], it.items[0]
		case it.kind == object:
			p.add(it.at, "put each in its own braces", "a step of apply has %d names, where one is needed", len(it.keys))
			continue
		case it.kind != scalar:
			p.add(it.at, "", "a step of apply is %s, where the name of a transform is needed", kindNames[it.kind])
			continue
		}
		t, ok := transforms.Lookup(name.text)
		if !ok {
			hint := didYouMean(near.Name(name.text, transforms.Names()))
			if hint == "" {
				hint = "there is " + strings.Join(transforms.Names(), ", ")
			}
			p.add(name.at, hint, "unknown transform %s", show(name.text))
			continue
		}
		s := Step{Name: t.Name}
		if arg != nil {
			s.Args = argsOf(arg)
		}
		var err error
		if s.run, err = t.New(s.Args); err != nil {
			p.badArgument(&t, name, arg, err)
			continue
		}
		steps = append(steps, s)
	}
	return steps
}

// badArgument puts a transform's complaint at the option it is about.
func (p *parse) badArgument(t *transforms.Transform, name, arg *node, err error) {
	at, hint := name.at, ""
	if arg != nil {
		at = arg.at
	}
	var ae *transforms.ArgError
	if errors.As(err, &ae) {
		if ae.Option != "" && arg != nil && arg.kind == object {
			for i, k := range arg.keys {
				if k.text == ae.Option {
					if at = arg.items[i].at; ae.Nearest != "" || strings.Contains(ae.Message, "unknown") {
						at = k.at
					}
				}
			}
		}
		hint = didYouMean(ae.Nearest)
	}
	if hint == "" && t.Args != "" {
		hint = "such as " + t.Name + ": " + t.Args
	}
	p.add(at, hint, "%s: %v", t.Name, err)
}

func argsOf(n *node) transforms.Args {
	switch n.kind {
	case scalar:
		return transforms.One(n.text)
	case sequence:
		a := transforms.Args{Kind: transforms.Sequence}
		for _, it := range n.items {
			a.Items = append(a.Items, argsOf(it))
		}
		return a
	case object:
		a := transforms.Args{Kind: transforms.Options}
		for i, k := range n.keys {
			a = a.With(k.text, argsOf(n.items[i]))
		}
		return a
	}
	return transforms.Args{}
}

func (p *parse) pairs(n *node) []Pair {
	if n.kind != object || len(n.keys) == 0 {
		p.add(n.at, "write {value of the file: value of the vendor}", "map is %s, where pairs are needed", kindNames[n.kind])
		return nil
	}
	pairs := make([]Pair, len(n.keys))
	seen := map[string]*node{}
	for i, k := range n.keys {
		from := strings.TrimSpace(k.text)
		if other := seen[from]; other != nil {
			p.add(k.at, fmt.Sprintf("it stands in line %d too", other.at.line), "map names %s twice", show(from))
		}
		seen[from] = k
		pairs[i] = Pair{From: from, To: p.value(n.items[i]), at: n.items[i].at}
	}
	return pairs
}

func (p *parse) otherwise(n *node) Otherwise {
	const form = "otherwise is reject, keep or {value: …}"
	switch n.kind {
	case scalar:
		switch n.text {
		case "reject":
			return Otherwise{}
		case "keep":
			return Otherwise{Keep: true}
		}
		p.add(n.at, fmt.Sprintf("write {value: %s} for a constant", n.text), form)
	case object:
		keys := p.object(n, "otherwise", []string{"value"})
		if k := keys["value"]; k != nil {
			v := p.value(k)
			return Otherwise{Value: &v}
		}
		if len(n.keys) == 0 {
			p.add(n.at, "", form)
		}
	default:
		p.add(n.at, "", form)
	}
	return Otherwise{}
}

// value turns a node into a value: a text, an explicit nothing, a list of texts, or JSON.
func (p *parse) value(n *node) record.Value {
	switch n.kind {
	case null:
		return record.NullOf()
	case scalar:
		return record.TextOf(strings.TrimSpace(n.text))
	case sequence:
		items := make([]string, 0, len(n.items))
		for _, it := range n.items {
			if it.kind != scalar {
				return record.Of(record.List, string(appendNode(nil, n)))
			}
			items = append(items, it.text)
		}
		return record.ListOf(items)
	}
	return record.Of(record.JSON, string(appendNode(nil, n)))
}

// appendNode renders a node as JSON; plain scalars that JSON knows keep their type.
func appendNode(dst []byte, n *node) []byte {
	switch n.kind {
	case scalar:
		if n.plain && n.text != "" && json.Valid([]byte(n.text)) && n.text[0] != '"' && n.text[0] != '{' && n.text[0] != '[' {
			return append(dst, n.text...)
		}
		return record.AppendString(dst, n.text)
	case sequence:
		dst = append(dst, '[')
		for i, it := range n.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendNode(dst, it)
		}
		return append(dst, ']')
	case object:
		dst = append(dst, '{')
		for i, k := range n.keys {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(record.AppendString(dst, k.text), ':')
			dst = appendNode(dst, n.items[i])
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

func (p *parse) columns(n *node) []Column {
	if n.kind != object || len(n.keys) == 0 {
		p.add(n.at, "write column of the file: field", "columns is %s, where column: field is needed", kindNames[n.kind])
		return nil
	}
	var out []Column
	for i, k := range n.keys {
		field, ok := p.text(n.items[i], "the field of column "+show(k.text))
		switch {
		case !ok:
			continue
		case k.text == "" || field == "":
			p.add(k.at, "", "a column of the export has no name or no field")
			continue
		}
		out = append(out, Column{Name: k.text, Field: field, at: n.items[i].at})
	}
	return out
}
