// Package columns looks at whole columns of a table: in which order day and month stand, which sign the decimals have,
// and what a spreadsheet damaged. It decides only what the column proves; the rest it shows in both readings.
package columns

import (
	"fmt"
	"strings"

	"github.com/crmetl/crmetl/record"
)

// Profile counts the cells of a table. The zero value is ready; it is not for use by several goroutines at once. Memory
// is bounded by the number of columns.
type Profile struct {
	cols []column
}

// column is what is counted of one column.
type column struct {
	name   string
	filled int64
	dates  dates
	nums   numbers
	damage damage
}

// New returns a profile of columns with these names.
func New(names []string) *Profile {
	p := &Profile{cols: make([]column, len(names))}
	for i, n := range names {
		p.cols[i].name = n
	}
	return p
}

// Add counts a row. Cells beyond the columns are passed over.
func (p *Profile) Add(cells []record.Value) {
	for i := range cells[:min(len(cells), len(p.cols))] {
		v := &cells[i]
		if v.IsEmpty() {
			continue
		}
		c := &p.cols[i]
		c.filled++
		switch v.Kind() {
		case record.Fault:
			c.damage.faults.add(v.Text())
		case record.Text:
			if s := strings.TrimSpace(v.Text()); s != "" {
				c.text(s)
			}
		case record.Number:
			c.damage.number(v.Text())
		}
	}
}

func (c *column) text(s string) {
	switch first := s[0]; {
	case first >= '0' && first <= '9', first == '-', first == '+', first == '.', first == ',', first == '(':
		if !c.dates.add(s) {
			c.nums.add(s)
		}
		c.damage.add(s)
	case first == '#':
		c.damage.add(s)
	case len(s) <= 8:
		c.damage.month(s)
	}
}

// sampleOf counts cells and keeps the first.
type sampleOf struct {
	n     int64
	first string
}

func (s *sampleOf) add(cell string) {
	if s.n++; s.n == 1 {
		s.first = strings.Clone(cell)
	}
}

// Finding is something that a column shows.
type Finding struct {
	Column int    `json:"-"`      // from 0
	Letter string `json:"column"` // A, B, …
	Name   string `json:"name"`
	// Rule is date_order or decimal_sign for what the column decides or leaves open; digits, zeros, cell or date for
	// damage that a spreadsheet did.
	Rule string `json:"rule"`
	Text string `json:"text"` // a sentence, with examples
	Open bool   `json:"open"` // the column does not decide it: somebody must say which
}

// String renders a finding for a person.
func (f Finding) String() string {
	return fmt.Sprintf("column %s (%s): %s", f.Letter, f.Name, f.Text)
}

// Findings returns what the columns show, in their order.
func (p *Profile) Findings() []Finding {
	var out []Finding
	for i := range p.cols {
		c := &p.cols[i]
		say := func(rule, text string, open bool) {
			out = append(out, Finding{Column: i, Letter: record.ColumnName(i), Name: c.name, Rule: rule, Text: text, Open: open})
		}
		if d := p.Date(i); d.Text != "" {
			say("date_order", d.Text, d.Open)
		}
		if n := p.Number(i); n.Text != "" {
			say("decimal_sign", n.Text, n.Open)
		}
		c.damage.say(c, say)
	}
	return out
}

// plural writes a count with its noun.
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
