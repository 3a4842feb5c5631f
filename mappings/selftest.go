package mappings

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// Test is one of a mapping's own tests: what becomes of one row.
type Test struct {
	Line   int // in the mapping file
	Row    []Cell
	Want   []Cell   // fields and their values; others are not looked at
	Reject []string // the fields for which the row must be refused
	Refuse bool     // the row must be refused, for whatever field
	Skip   bool     // the row must be left out by skip_when
}

// Cell is a named value of a test.
type Cell struct {
	Name  string
	Value record.Value
}

// TestResult is what a test gave.
type TestResult struct {
	Line    int    `json:"line"`
	Failure string `json:"failure,omitempty"` // what differs; "" if the test passes
}

func (p *parse) tests(n *node) []Test {
	if n.kind != sequence {
		p.add(n.at, "write - {row: {Column: cell}, want: {field: value}}", "tests is %s, where a list is needed", kindNames[n.kind])
		return nil
	}
	var out []Test
	for _, it := range n.items {
		keys := p.object(it, "a test", testKeys)
		if it.kind != object {
			continue
		}
		t := Test{Line: it.at.line}
		if keys["row"] == nil {
			p.add(it.at, "", "a test has no row")
		} else {
			t.Row = p.cells(keys["row"], "row")
		}
		if k := keys["want"]; k != nil {
			t.Want = p.cells(k, "want")
		}
		if k := keys["skip"]; k != nil {
			t.Skip = p.choice(k, "skip", []string{"true", "false"}) == "true"
		}
		if k := keys["reject"]; k != nil {
			p.reject(&t, k)
		}
		expects := 0
		for _, k := range []string{"want", "reject", "skip"} {
			if keys[k] != nil {
				expects++
			}
		}
		if expects != 1 {
			p.add(it.at, "add want, reject or skip", "a test says %d things about its row, where one is needed", expects)
		}
		out = append(out, t)
	}
	return out
}

func (p *parse) reject(t *Test, n *node) {
	t.Refuse = true
	switch n.kind {
	case scalar:
		if n.text != "true" {
			t.Reject = []string{n.text}
		}
	case sequence:
		for _, it := range n.items {
			if s, ok := p.text(it, "a field of reject"); ok {
				t.Reject = append(t.Reject, s)
			}
		}
	default:
		p.add(n.at, "write [field, field], or true", "reject is %s, where fields are needed", kindNames[n.kind])
	}
}

func (p *parse) cells(n *node, what string) []Cell {
	if n.kind != object {
		p.add(n.at, "", "%s is %s, where name: value is needed", what, kindNames[n.kind])
		return nil
	}
	out := make([]Cell, len(n.keys))
	for i, k := range n.keys {
		v := p.value(n.items[i])
		if n.items[i].kind == scalar {
			v = record.TextOf(n.items[i].text) // a cell keeps its blanks
		}
		out[i] = Cell{Name: k.text, Value: v}
	}
	return out
}

// RunTests runs a mapping's own tests, offline, in the order of the file. The error is that of a mapping which does not
// compile. Rows are held against the mapping alone, not against the vendor's rules for whole records, so that a test
// needs only the columns it is about.
func RunTests(m *Mapping, obj *schema.Object, mode schema.Mode) ([]TestResult, error) {
	names := m.Columns()
	for _, t := range m.Tests {
		for _, c := range t.Row {
			if c.Name != "" && !slices.Contains(names, c.Name) {
				names = append(names, c.Name)
			}
		}
	}
	header := record.LooseHeader(names)
	p, err := Compile(m, header, obj, Options{Mode: mode})
	if err != nil {
		return nil, err
	}
	known := m.Columns()
	results := make([]TestResult, len(m.Tests))
	for i := range m.Tests {
		t := &m.Tests[i]
		results[i] = TestResult{Line: t.Line, Failure: p.test(t, header, known)}
	}
	return results, nil
}

// test runs one test and says what differs.
func (p *Program) test(t *Test, header *record.Header, known []string) string {
	for _, c := range t.Row {
		if !slices.Contains(known, c.Name) {
			return fmt.Sprintf("the mapping reads no column %s", show(c.Name))
		}
	}
	b := &record.Batch{Header: header, Origin: header}
	row := b.Add()
	row.Num = 1
	row.Values = b.Cells(header.Len())
	for _, c := range t.Row {
		row.Values[header.Index(c.Name)] = c.Value
	}
	row.Origin = row.Values
	if err := p.Apply(b); err != nil {
		return err.Error()
	}
	row = &b.Rows[0]
	switch {
	case t.Skip && row.Fate == record.Skipped:
		return ""
	case t.Skip:
		return "the row is not skipped"
	case row.Fate == record.Skipped:
		return "the row is skipped"
	case t.Refuse:
		return refusals(row, t.Reject)
	case row.Fate == record.Rejected:
		return "the row is refused: " + row.Err.Error()
	}
	var wrong []string
	for _, c := range t.Want {
		i := p.header.Index(c.Name)
		if i < 0 {
			wrong = append(wrong, fmt.Sprintf("the mapping fills no field %s", show(c.Name)))
			continue
		}
		if got := row.Values[i]; !wanted(got, c.Value) {
			wrong = append(wrong, fmt.Sprintf("%s is %s, want %s", c.Name, display(got), display(c.Value)))
		}
	}
	return strings.Join(wrong, "; ")
}

func refusals(row *record.Row, fields []string) string {
	if row.Fate != record.Rejected {
		return "the row is not refused"
	}
	refused := map[string]bool{}
	for _, p := range record.ProblemsOf(row.Err) {
		refused[p.Field] = true
	}
	var wrong []string
	for _, f := range fields {
		if !refused[f] {
			wrong = append(wrong, fmt.Sprintf("the row is not refused for %s but: %v", f, row.Err))
		}
	}
	return strings.Join(wrong, "; ")
}

// wanted compares a value with what a test says, where everything but lists is a text.
func wanted(got, want record.Value) bool {
	if want.IsEmpty() {
		return got.IsEmpty()
	}
	if got.Kind() == record.List || want.Kind() == record.List {
		a, okA := got.Items()
		b, okB := want.Items()
		if !okB {
			return got.Cell() == want.Text()
		}
		return okA && slices.Equal(a, b)
	}
	return got.Text() == want.Text()
}

func display(v record.Value) string {
	switch v.Kind() {
	case record.Absent:
		return "left alone"
	case record.Null:
		return "emptied"
	}
	return show(v.Text())
}
