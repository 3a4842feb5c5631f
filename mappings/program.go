package mappings

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crmetl/crmetl/internal/near"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/transforms"
)

// Program is a compiled mapping: a step of a pipeline that gives each row the vendor's fields, or an exported file's
// columns. It never changes and may be used by many goroutines at once.
type Program struct {
	in      *record.Header // the names of the cells that it reads
	header  *record.Header // the names of those that it fills
	steps   []step
	quick   []quick  // parallel to steps: the way for ordinary texts
	unread  []string // columns of the file that no field comes from
	columns []string // parallel to header: the column that a field comes from, "" if there is none
	export  bool     // cells come from a vendor, not from a file

	soft map[string]record.Value // defaults that are not in the rows

	skip *transforms.Expression

	groupBy    string
	groupCell  int   // the column that groups rows, -1 if a field does
	groupField *step // the field that groups rows, nil if a column does
}

// step fills one field.
type step struct {
	field     string
	cells     []int    // candidates, in order
	names     []string // of the candidates, for messages
	constant  bool
	export    bool         // the value passes as it is
	value     record.Value // of a constant, converted
	expr      *transforms.Expression
	apply     []Step
	exact     map[string]record.Value // the map, nil if there is none
	folded    map[string]record.Value // the same by small letters, where that leaves no doubt
	otherwise Otherwise
	fallback  *record.Value
	blank     Blank
	convert   converter
	rule      string // what a failed conversion is called
}

// Header names the fields, or the columns of an export, that Apply fills.
func (p *Program) Header() *record.Header { return p.header }

// Columns returns, parallel to Header, the column of the file that each field is read from; "" if it is an expression
// or a constant, the first candidate if there are several. It is what schema.Checker.Columns wants.
func (p *Program) Columns() []string { return slices.Clone(p.columns) }

// Defaults returns, by field, what records get that lack it, where such values do not go into the rows; see
// schema.Object.SoftDefaults.
func (p *Program) Defaults() map[string]record.Value { return p.soft }

// Unread returns the columns of the file that the mapping does not read, those that begin with "_" left out: what an
// import loses, to be told to the user.
func (p *Program) Unread() []string { return slices.Clone(p.unread) }

// GroupBy names what brings rows together into one record: a column of the file, or a field if the mapping names no
// column and the vendor's object has such a field; "*" if the whole file is one record, "" if each row is one.
func (p *Program) GroupBy() string { return p.groupBy }

// GroupKey returns the value that a row shares with the other rows of its record, "" if the row stands alone. It looks
// at the cells as they were read, so it may be called before and after Apply.
func (p *Program) GroupKey(row *record.Row) string {
	switch {
	case p.groupBy == "":
		return ""
	case p.groupField != nil:
		var scratch record.Row
		var v record.Value
		p.groupField.fill(&scratch, row.Origin, &v)
		return v.Text()
	case p.groupCell >= 0:
		if p.groupCell >= len(row.Origin) {
			return ""
		}
		return strings.TrimSpace(row.Origin[p.groupCell].Text())
	}
	return p.groupBy
}

// Apply fills the values of each row that still travels, under Header, from its cells, and refuses rows with a value
// that can't be converted, for all the reasons it finds. Rows for which skip_when is true are skipped. The cells as
// they were read stay under Origin. A batch with other columns than the program was compiled for is an error.
func (p *Program) Apply(b *record.Batch) error {
	if b.Header != p.in && (b.Header == nil || !slices.Equal(b.Header.Names(), p.in.Names())) {
		return errors.New("the batch has other columns than the mapping was compiled for")
	}
	if b.Origin == nil {
		b.Origin = b.Header
	}
	var scratch []byte
	for i := range b.Rows {
		row := &b.Rows[i]
		in := row.Values
		if row.Origin == nil {
			row.Origin = in
		}
		if !row.Fate.Open() {
			row.Values = nil
			continue
		}
		bared := p.export // only what a file holds has apostrophes
		if p.skip != nil {
			if !bared {
				in, bared = bare(b, in), true
			}
			skip, err := p.skip.True(in)
			if err != nil {
				row.Values = b.Cells(len(p.steps))
				refuse(row, "", "", "expr", fmt.Errorf("skip_when: %w", err))
				continue
			}
			if skip {
				row.Values = b.Cells(len(p.steps))
				row.Fate = record.Skipped
				continue
			}
		}
		row.Values = b.Room(len(p.steps))
		for j := range p.steps {
			out := &row.Values[j]
			if p.quick[j].fill(b, in, out, &scratch) {
				continue
			}
			if !bared {
				in, bared = bare(b, in), true
			}
			*out = record.Value{}
			p.steps[j].fill(row, in, out)
		}
	}
	b.Header = p.header
	return nil
}

// bare takes the apostrophes away that an export put before texts which spreadsheets would run as formulas. The cells as
// they were read stay as they are.
func bare(b *record.Batch, in []record.Value) []record.Value {
	out := in
	for i, v := range in {
		s := v.Text()
		if len(s) < 2 || s[0] != '\'' || v.Kind() != record.Text {
			continue
		}
		if t := record.Bare(s); len(t) != len(s) {
			if &out[0] == &in[0] {
				out = b.Cells(len(in))
				copy(out, in)
			}
			out[i] = record.TextOf(t)
		}
	}
	return out
}

// refuse adds a problem to a row. A refusal with a rule of its own goes by that rule.
func refuse(row *record.Row, field, column, rule string, err error) {
	var r *transforms.Refusal
	if errors.As(err, &r) {
		rule = r.Rule
	}
	row.Reject(record.Problem{Field: field, Column: column, Rule: rule, Message: err.Error()})
}

// fill computes one field from the cells of a row; what goes wrong is added to the row.
func (s *step) fill(row *record.Row, in []record.Value, out *record.Value) {
	switch {
	case s.constant:
		*out = s.value
		return
	case s.export:
		if c := s.cells[0]; c < len(in) {
			*out = in[c]
		}
		return
	}
	var v record.Value
	column := ""
	if s.expr != nil {
		var err error
		if v, err = s.expr.Eval(in); err != nil {
			refuse(row, s.field, "", "expr", err)
			return
		}
	} else {
		v, column = s.pick(in)
		if v.Kind() == record.Fault {
			refuse(row, s.field, column, "cell", fmt.Errorf("the cell holds the spreadsheet's error %s; correct the formula or empty the cell", v.Text()))
			return
		}
	}
	if v.Kind() == record.Text {
		v = trim(v)
	}
	for i := range s.apply {
		var err error
		if v, err = s.apply[i].run(v); err != nil {
			refuse(row, s.field, column, s.apply[i].Name, err)
			return
		}
	}
	if s.exact != nil {
		var err error
		if v, err = s.translate(v); err != nil {
			refuse(row, s.field, column, "map", err)
			return
		}
		if v.Kind() == record.Null { // the map says so: the field is emptied, whatever blank says
			*out = v
			return
		}
	}
	if isEmpty(v) && s.fallback != nil {
		v = *s.fallback
		if v.Kind() == record.Null {
			*out = v
			return
		}
	}
	if !isEmpty(v) {
		if v.Kind() == record.Text {
			v = trim(v)
		}
		var err error
		if v, err = s.convert(v); err != nil {
			refuse(row, s.field, column, s.rule, err)
			return
		}
		if v.Kind() != record.Absent {
			*out = v
			return
		}
	}
	switch s.blank {
	case Clear:
		*out = record.NullOf()
	case Refuse:
		refuse(row, s.field, column, "blank", errors.New("the cell is empty, and the mapping refuses rows without a value"))
	}
}

// pick returns the first candidate with a value, and the name of its column.
func (s *step) pick(in []record.Value) (record.Value, string) {
	for i, c := range s.cells {
		if c < len(in) && !isEmpty(in[c]) {
			return in[c], s.names[i]
		}
	}
	if len(s.names) == 0 {
		return record.Value{}, ""
	}
	return record.Value{}, s.names[0]
}

// isEmpty reports whether a value is what `blank` is about; a list without items is.
func isEmpty(v record.Value) bool {
	return v.IsEmpty() || v.Kind() == record.List && v.Text() == "[]"
}

// trim takes blanks away from both ends of a text.
func trim(v record.Value) record.Value {
	s := v.Text()
	if t := strings.TrimSpace(s); len(t) != len(s) {
		return record.TextOf(t)
	}
	return v
}

// translate looks a value up in the map; a list's items one by one. Empty values pass, unless the map names them.
func (s *step) translate(v record.Value) (record.Value, error) {
	if v.Kind() != record.List {
		if isEmpty(v) {
			if to, ok := s.exact[""]; ok {
				return to, nil
			}
			return record.Value{}, nil
		}
		return s.lookUp(v)
	}
	items, ok := v.Items()
	if !ok {
		return v, fmt.Errorf("%s is not a list of texts", transforms.Quote(v.Text()))
	}
	var out []string
	for _, it := range items {
		to, err := s.lookUp(trim(record.TextOf(it)))
		if err != nil {
			return v, err
		}
		if more, ok := to.Items(); ok {
			out = append(out, more...)
		} else if !to.IsEmpty() {
			out = append(out, to.Text())
		}
	}
	return record.ListOf(out), nil
}

func (s *step) lookUp(v record.Value) (record.Value, error) {
	key := strings.TrimSpace(v.Cell())
	if to, ok := s.exact[key]; ok {
		return to, nil
	}
	if to, ok := s.folded[strings.ToLower(key)]; ok {
		return to, nil
	}
	switch {
	case s.otherwise.Keep:
		return v, nil
	case s.otherwise.Value != nil:
		return *s.otherwise.Value, nil
	}
	names := make([]string, 0, len(s.exact))
	for n := range s.exact {
		names = append(names, n)
	}
	slices.Sort(names)
	hint := "it names " + strings.Join(names, ", ")
	if n := near.Name(key, names); n != "" {
		hint = fmt.Sprintf("did you mean %s?", n)
	} else if len(hint) > 200 {
		hint = fmt.Sprintf("it names %d others", len(names))
	}
	return v, fmt.Errorf("%s is not in the mapping's map (%s)", transforms.Quote(key), hint)
}
