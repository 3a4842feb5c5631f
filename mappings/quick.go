package mappings

import (
	"unicode"
	"unicode/utf8"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
	"github.com/crmetl/crmetl/transforms"
)

// The quick way of a step stands in front of fill. It is for text cells with nothing strange about them, which most are:
// it makes no error, wraps nothing and allocates nothing. What it is not sure of, it leaves to fill, which decides;
// FuzzQuick holds the two against each other.

// quick is how a step fills its field from ordinary texts. It holds all that this takes, so that a row's fields are filled
// from a few lines of the cache.
type quick struct {
	cell  int   // the first candidate
	more  []int // the others, in order
	apply []*transforms.Quick
	as    target
	omit  bool // an empty cell leaves the field alone, and needs no look
	step  *step
}

// target is how a text becomes what the field holds.
type target uint8

const (
	byFill    target = iota // there is no quick way
	byConvert               // the field's converter is asked
	asText                  // as it is, or as a transform wrote it
	asNumber                // digits, as they are
	asDigits                // an id or a phone number: as it is, unless it looks like a number that lost digits
	asCell                  // the cell passes, whatever it holds
)

// quicken prepares the quick ways of all steps.
func (p *Program) quicken() {
	p.quick = make([]quick, len(p.steps))
	for i := range p.steps {
		p.quick[i] = p.steps[i].quicken()
	}
}

func (s *step) quicken() quick {
	q := quick{step: s, omit: s.fallback == nil && s.blank == Omit && len(s.apply) == 0}
	if s.export && len(s.cells) == 1 {
		q.as = asCell
		q.cell = s.cells[0]
		return q
	}
	if s.constant || s.exact != nil || s.expr != nil || len(s.cells) == 0 {
		return q
	}
	q.cell, q.more = s.cells[0], s.cells[1:]
	kind, t := record.Text, schema.Type(s.rule)
	for _, a := range s.apply {
		way := transforms.QuickOf(a.Name, a.Args)
		if way == nil || kind != record.Text {
			return q // what takes texts is given texts
		}
		q.apply, kind = append(q.apply, way), way.Kind
	}
	q.as = byConvert
	switch {
	case kind == record.Text && (t == schema.Text || t == schema.Email || t == schema.File), kind == record.DateTime && t == schema.DateTime:
		q.as = asText
	case kind == record.Text && (t == schema.Integer || t == schema.Number):
		q.as = asNumber
	case kind == record.Text && (t == schema.ID || t == schema.Phone):
		q.as = asDigits
	}
	return q
}

// fill fills the field if there is no doubt about it, and otherwise reports false and leaves it to the step's fill.
func (q *quick) fill(b *record.Batch, in []record.Value, out *record.Value, scratch *[]byte) bool {
	if q.as == byFill || q.cell >= len(in) {
		return false
	}
	v := &in[q.cell]
	if q.as == asCell {
		*out = *v
		return true
	}
	for _, c := range q.more {
		if v.Text() != "" || v.Kind() != record.Text || c >= len(in) {
			break
		}
		v = &in[c]
	}
	text := v.Text()
	if v.Kind() != record.Text {
		return false
	}
	if text == "" {
		*out = record.Value{}
		return q.omit
	}
	if !tidy(text) {
		return false
	}
	if q.as == asText && len(q.apply) == 0 {
		*out = *v
		return true
	}
	return q.make(b, text, out, scratch)
}

// make is fill for a text that something is to be done with.
func (q *quick) make(b *record.Batch, text string, out *record.Value, scratch *[]byte) bool {
	kind := record.Text
	for _, t := range q.apply {
		made, same, ok := t.Append((*scratch)[:0], text)
		if !ok {
			return false
		}
		if kind = t.Kind; !same {
			*scratch = made
			text = b.Text(made)
		}
	}
	switch q.as {
	case asText:
		*out = record.Of(kind, text)
	case asNumber:
		if !plainDigits(text) {
			return false
		}
		*out = record.NumberOf(text)
	case asDigits:
		if mayHaveLost(text) {
			return false
		}
		*out = record.TextOf(text)
	default:
		v, err := q.step.convert(record.Of(kind, text))
		if err != nil || v.Kind() == record.Absent {
			return false
		}
		*out = v
	}
	return true
}

// edge tells of the bytes that a text may begin and end with: no blank, no apostrophe that spreadsheets are kept from
// formulas by, and no part of a character that is not ASCII, which may be a blank too.
var edge = func() (t [256]bool) {
	for c := byte('!'); c <= '~'; c++ {
		t[c] = c != '\''
	}
	return t
}()

// tidy reports whether a text has no blanks at its ends, nor an apostrophe.
func tidy(s string) bool {
	return edge[s[0]] && edge[s[len(s)-1]] || tidyWide(s)
}

func tidyWide(s string) bool {
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	return first > ' ' && first != '\'' && last > ' ' && !unicode.IsSpace(first) && !unicode.IsSpace(last)
}

// plainDigits reports whether s is a whole number that is its own literal.
func plainDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return s != "" && (s[0] != '0' || len(s) == 1)
}

// mayHaveLost reports whether a text could be a number in scientific notation: signs, digits and points, an e, and a
// digit at the end.
func mayHaveLost(s string) bool {
	if s[len(s)-1]-'0' > 9 {
		return false
	}
	i := 0
	for i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	for i < len(s) && (s[i]-'0' <= 9 || s[i] == '.' || s[i] == ',') {
		i++
	}
	return i < len(s) && s[i]|0x20 == 'e'
}
