package mappings

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/crmetl/crmetl/internal/near"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
	"github.com/crmetl/crmetl/transforms"
)

// Options say what a command adds to a mapping.
type Options struct {
	Mode     schema.Mode       // "": the mapping's, else the object's first
	Blank    string            // omit, clear or reject; "": the mapping's. What an entry says itself goes first.
	Defaults map[string]string // --default FIELD=VALUE: for empty cells, or for fields that nothing else fills
	// ExactNumbers says that the source's numbers have all their digits, as those of JSON do. A spreadsheet keeps 15:
	// an id that is a longer number is refused.
	ExactNumbers bool
}

// Compile holds a mapping against the columns of a file and an object of a vendor. The error is a Problems with every
// wrong name, argument, expression and constant, also those that Parse found.
func Compile(m *Mapping, origin *record.Header, obj *schema.Object, o Options) (*Program, error) {
	c := &compiler{finder: finder{file: m.Name, problems: append(Problems(nil), m.problems...)}, m: m, origin: origin, obj: obj, o: o}
	c.mode()
	c.target()
	p := &Program{in: origin, groupCell: -1}
	if obj.SoftDefaults && (c.o.Mode == schema.Update || c.o.Mode == schema.Upsert) {
		c.soft = map[string]record.Value{}
	}
	c.entries(p)
	c.defaults(p)
	p.soft = c.soft
	c.required()
	c.group(p)
	if m.SkipWhen != "" {
		p.skip = c.expression(m.SkipWhen, c.place("skip_when:"), &m.skip, "skip_when", true)
	}
	if len(p.steps) == 0 && len(c.problems) == 0 {
		c.add(c.place("fields"), "write field: column", "no field of %s is mapped", obj.Name)
	}
	if err := c.problems.err(); err != nil {
		return nil, err
	}
	names := make([]string, len(p.steps))
	p.columns = make([]string, len(p.steps))
	for i := range p.steps {
		names[i] = p.steps[i].field
		if len(p.steps[i].names) > 0 {
			p.columns[i] = p.steps[i].names[0]
		}
	}
	p.header = record.LooseHeader(names)
	p.quicken()
	read := map[string]bool{}
	for _, name := range m.Columns() {
		read[name] = true
	}
	for _, name := range origin.Names() {
		if !read[name] && name != "" && !strings.HasPrefix(name, "_") {
			p.unread = append(p.unread, name)
		}
	}
	if p.groupBy != "" && p.groupBy != "*" && p.groupCell < 0 {
		for i := range p.steps {
			if p.steps[i].field == p.groupBy {
				p.groupField = &p.steps[i]
			}
		}
		if p.groupField == nil {
			p.groupBy = ""
		}
	}
	return p, nil
}

type compiler struct {
	finder
	m      *Mapping
	origin *record.Header
	obj    *schema.Object
	o      Options
	mapped map[string]bool         // the fields that something fills
	soft   map[string]record.Value // defaults that do not go into the rows; nil where they do
}

// place returns where a top-level key stands ("mode"), or its value ("mode:").
func (c *compiler) place(key string) place { return c.m.at[key] }

func (c *compiler) mode() {
	if c.o.Mode == "" {
		c.o.Mode = c.m.Mode
	}
	if c.o.Mode == "" && len(c.obj.Modes) > 0 {
		c.o.Mode = c.obj.Modes[0]
	}
	if !c.obj.HasMode(c.o.Mode) {
		names := make([]string, len(c.obj.Modes))
		for i, m := range c.obj.Modes {
			names[i] = string(m)
		}
		if len(names) == 0 {
			c.add(c.place("mode:"), "", "%s can't be imported", c.obj.Name)
			return
		}
		c.add(c.place("mode:"), didYouMean(near.Name(string(c.o.Mode), names)), "%s has no mode %s; there is %s", c.obj.Name, show(string(c.o.Mode)), strings.Join(names, ", "))
	}
	switch Blank(c.o.Blank) {
	case "", Omit, Clear, Refuse:
	default:
		c.add(place{}, "", "blank is %s; it is one of %s", show(c.o.Blank), strings.Join(blanks, ", "))
	}
}

// target compares the object only: the connection's name is the user's own.
func (c *compiler) target() {
	if _, object, ok := strings.Cut(c.m.Target, "/"); ok && object != c.obj.Name && object != "" {
		c.add(c.place("target:"), "", "the mapping is for %s, not for %s", show(object), c.obj.Name)
	}
}

func (c *compiler) entries(p *Program) {
	c.mapped = map[string]bool{}
	first := map[string]place{}
	for i := range c.m.Fields {
		e := &c.m.Fields[i]
		if at, twice := first[e.Field]; twice {
			hint := ""
			if at.line > 0 {
				hint = fmt.Sprintf("the other stands in line %d", at.line)
			}
			c.add(e.pos(""), hint, "two entries fill field %s", show(e.Field))
			continue
		}
		first[e.Field] = e.pos("")
		f, ok := c.obj.Field(e.Field)
		if ok && e.Optional && !f.ReadOnly && !f.Takes(c.o.Mode) {
			continue
		}
		f = c.field(e.Field, e.pos(""))
		c.mapped[e.Field] = true
		if e.broken || f == nil {
			continue
		}
		if s, ok := c.step(e, f); ok {
			p.steps = append(p.steps, s)
		} else if e.Optional {
			c.mapped[e.Field] = false
		}
	}
}

// field finds a field by its exact name and checks that the mode writes it; nil if it is unknown. An object that takes
// any attribute takes unknown ones.
func (c *compiler) field(name string, at place) *schema.Field {
	f, ok := c.obj.Field(name)
	if !ok {
		if c.obj.AnyField && name != "" {
			return &schema.Field{Name: name}
		}
		meant := ""
		if match, ok := c.obj.Match(name); ok {
			meant = match.Name
		} else {
			meant = nearestField(c.obj, name, nil)
		}
		c.add(at, didYouMean(meant), "%s has no field %s", c.obj.Name, show(name))
		return nil
	}
	switch {
	case f.ReadOnly:
		c.add(at, "leave it out", "field %s is set by the vendor and can't be written", show(name))
	case !f.Takes(c.o.Mode) && c.obj.HasMode(c.o.Mode):
		modes := make([]string, len(f.Modes))
		for i, m := range f.Modes {
			modes[i] = string(m)
		}
		c.add(at, "leave it out, or import with another mode", "field %s is not for %s, only for %s", show(name), c.o.Mode, strings.Join(modes, ", "))
	}
	return f
}

// nearestField is the field whose name or alias is nearest to a name, among those that ok lets pass.
func nearestField(obj *schema.Object, name string, ok func(*schema.Field) bool) string {
	var names []string
	of := map[string]string{}
	add := func(f *schema.Field, spellings ...string) {
		for _, n := range spellings {
			if _, known := of[n]; !known && !f.Family() && (ok == nil || ok(f)) {
				of[n] = f.Name
				names = append(names, n)
			}
		}
	}
	// Of equally near names the first is meant, and a field's own name comes before all aliases.
	for i := range obj.Fields {
		add(&obj.Fields[i], obj.Fields[i].Name)
	}
	for i := range obj.Fields {
		add(&obj.Fields[i], obj.Fields[i].Aliases...)
	}
	return of[near.Name(name, names)]
}

// step compiles one entry. It reports false if the entry fills nothing: it has a problem, or the file lacks its
// optional columns.
func (c *compiler) step(e *Entry, f *schema.Field) (step, bool) {
	before := len(c.problems)
	s := step{field: e.Field, apply: e.Apply, otherwise: e.Otherwise, fallback: e.Default, blank: Omit, convert: converterOf(f, c.o.ExactNumbers), rule: string(f.Type)}
	for _, b := range []Blank{c.m.Blank, Blank(c.o.Blank), e.Blank} {
		if b != "" {
			s.blank = b
		}
	}
	if d, ok := c.o.Defaults[e.Field]; ok && e.Value == nil {
		v := record.TextOf(strings.TrimSpace(d))
		s.fallback = &v
		c.constant(&s, v, Problem{Message: "--default " + e.Field + ": "})
	}
	at := func(key string) Problem {
		p := e.pos(key)
		return Problem{File: c.file, Line: p.line, Column: p.column}
	}
	switch {
	case e.Value != nil:
		s.constant = true
		s.value = c.constant(&s, *e.Value, at("value"))
		if isEmpty(s.value) && s.value.Kind() != record.Null {
			s.value = record.Value{}
			if s.blank == Clear {
				s.value = record.NullOf()
			}
		}
	case e.Expr != "" && e.Optional && !c.hasAny(transforms.ExprColumns(e.Expr)):
		if s.fallback == nil {
			return s, false
		}
	case e.Expr != "":
		s.expr = c.expression(e.Expr, e.pos("expr"), &e.expr, "field "+show(e.Field), false)
	default:
		for i, name := range e.Columns {
			cell := c.origin.Index(name)
			if cell >= 0 {
				s.cells, s.names = append(s.cells, cell), append(s.names, name)
			} else if !e.Optional {
				at := e.pos("")
				if i < len(e.cols) {
					at = e.cols[i]
				}
				c.add(at, didYouMean(near.Name(name, c.origin.Names())), "the file has no column %s", show(name))
			}
		}
		if len(s.cells) == 0 && s.fallback == nil {
			return s, false
		}
	}
	if e.Default != nil && s.fallback == e.Default {
		c.constant(&s, *e.Default, at("default"))
	}
	if c.soft != nil && s.fallback != nil {
		c.soften(&s)
		if len(s.cells) == 0 && s.expr == nil {
			return s, false
		}
	}
	if e.Otherwise.Value != nil {
		c.constant(&s, *e.Otherwise.Value, at("otherwise"))
	}
	c.lookups(&s, e)
	return s, len(c.problems) == before
}

// hasAny reports whether the file has one of the columns.
func (c *compiler) hasAny(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return c.origin.Index(name) >= 0 })
}

// constant converts a value that the mapping itself gives; where that fails, the mapping is wrong.
func (c *compiler) constant(s *step, v record.Value, at Problem) record.Value {
	if isEmpty(v) {
		return v
	}
	out, err := s.convert(v)
	if err != nil {
		at.Message += err.Error()
		c.problems = append(c.problems, at)
	}
	return out
}

func (c *compiler) lookups(s *step, e *Entry) {
	if e.Map == nil {
		return
	}
	s.exact = make(map[string]record.Value, len(e.Map))
	s.folded = make(map[string]record.Value, len(e.Map))
	doubt := map[string]bool{}
	for _, pair := range e.Map {
		if !isEmpty(pair.To) {
			c.constant(s, pair.To, Problem{File: c.file, Line: pair.at.line, Column: pair.at.column})
		}
		s.exact[pair.From] = pair.To
		k := strings.ToLower(pair.From)
		if other, ok := s.folded[k]; ok && other != pair.To {
			doubt[k] = true
		}
		s.folded[k] = pair.To
	}
	for k := range doubt {
		delete(s.folded, k)
	}
}

// expression compiles an expression; a problem is shown at its place within it.
func (c *compiler) expression(source string, at place, in *scalarPlace, what string, condition bool) *transforms.Expression {
	x, err := transforms.CompileExpr(source, c.origin, condition)
	if err == nil {
		return x
	}
	var xe *transforms.ExprError
	hint := ""
	if errors.As(err, &xe) {
		hint = didYouMean(xe.Nearest)
		if in != nil && in.start.line > 0 {
			at = in.offset(source, xe.Offset)
		}
	}
	c.add(at, hint, "%s: %v", what, err)
	return nil
}

// defaults adds the fields that only --default fills.
func (c *compiler) defaults(p *Program) {
	names := make([]string, 0, len(c.o.Defaults))
	for name := range c.o.Defaults {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if c.mapped[name] {
			if e := c.entryOf(name); e != nil && e.Value != nil {
				c.problems = append(c.problems, Problem{Message: fmt.Sprintf("--default %s: the mapping gives that field a constant already", name)})
			}
			continue
		}
		at := len(c.problems)
		f := c.field(name, place{})
		for i := at; i < len(c.problems); i++ {
			c.problems[i].File, c.problems[i].Message = "", "--default "+name+": "+c.problems[i].Message
		}
		if f == nil {
			continue
		}
		c.mapped[name] = true
		s := step{field: name, constant: true, convert: converterOf(f, c.o.ExactNumbers)}
		s.value = c.constant(&s, record.TextOf(strings.TrimSpace(c.o.Defaults[name])), Problem{Message: "--default " + name + ": "})
		if isEmpty(s.value) {
			s.value = record.Value{}
		}
		if c.soft != nil {
			c.soft[name] = s.value
			continue
		}
		p.steps = append(p.steps, s)
	}
}

// soften takes a default out of the rows: the sink gives it to records that have none.
func (c *compiler) soften(s *step) {
	if v, err := s.convert(*s.fallback); err == nil && !isEmpty(v) {
		c.soft[s.field] = v
	}
	s.fallback = nil
}

func (c *compiler) entryOf(field string) *Entry {
	for i := range c.m.Fields {
		if c.m.Fields[i].Field == field {
			return &c.m.Fields[i]
		}
	}
	return nil
}

// required finds fields that every record of the mode needs and that nothing fills. What depends on the values of a
// row is left to the checker.
func (c *compiler) required() {
	if len(c.m.Fields) == 0 && len(c.m.problems) > 0 {
		return // the fields could not be read at all, which is reported
	}
	at := c.place("fields")
	if at == (place{}) {
		at = c.place("")
	}
	said := map[string]bool{}
	for i := range c.obj.Fields {
		f := &c.obj.Fields[i]
		if c.mapped[f.Name] {
			continue
		}
		for _, rule := range strings.Split(f.In[c.o.Mode], ",") {
			name, param, _ := strings.Cut(strings.TrimSpace(rule), "=")
			others := strings.Fields(param)
			switch name {
			case "required":
				c.add(at, "", "required field %s is not mapped", f.Name)
			case "required_without", "required_without_all":
				missing := 0
				for _, o := range others {
					if !c.mapped[o] {
						missing++
					}
				}
				if missing == 0 || name == "required_without_all" && missing < len(others) {
					continue
				}
				group := append([]string{f.Name}, others...)
				sort.Strings(group)
				if key := strings.Join(group, " "); !said[key] {
					said[key] = true
					c.add(at, "", "required field %s is not mapped, and neither is %s, one of which would do", f.Name, strings.Join(others, " or "))
				}
			}
		}
	}
}

// group finds what brings rows together.
func (c *compiler) group(p *Program) {
	name := c.m.GroupBy
	if name == "" {
		p.groupBy = c.obj.GroupBy
		return
	}
	p.groupBy = name
	at := c.place("group_by:")
	if c.obj.GroupBy == "" {
		c.add(at, "leave group_by out", "each row is one of %s; rows are not brought together", c.obj.Name)
		return
	}
	if p.groupCell = c.origin.Index(name); p.groupCell < 0 {
		c.add(at, didYouMean(near.Name(name, c.origin.Names())), "group_by: the file has no column %s", show(name))
	}
}
