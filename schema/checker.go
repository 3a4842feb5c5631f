package schema

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-playground/validator/v10"

	"github.com/crmetl/crmetl/internal/near"
	"github.com/crmetl/crmetl/record"
)

// Checker is the pipeline step that holds rows against an object's rules. It is compiled once for the columns that
// the rows carry and the mode of the import, and may be used by many goroutines at once.
//
// validator/v10 decides. Quick checks in front of it accept what is certainly good, so that a good row costs a tenth
// of what validator takes.
type Checker struct {
	// Columns names the column of the file that each column of the header came from, for messages; "" or a short
	// list leaves it out. It is set before the first Apply.
	Columns []string

	header   *record.Header
	fields   []fieldCheck
	validate *validator.Validate
	missing  []string
}

// fieldCheck holds the checks of one field.
type fieldCheck struct {
	col    int      // where the value stands, -1 if the rows do not carry the field
	inMode []*check // for any value, also a missing one
	value  []*check // for a value that is there
}

// check is one rule of one field, ready to run.
type check struct {
	field *Field
	rule  rule
	refs  []operand // the other fields that the rule names
	as    shape     // how validator is given the value
	typ   reflect.Type
	quick func(v record.Value, row []record.Value) bool // reports that the value is certainly good; nil: never
	gaps  *sync.Map                                     // what validator said, by which of the values are there; nil: texts count too
}

// operand is another field that a rule names.
type operand struct {
	field *Field
	col   int
}

// shape is how validator is given a value.
type shape uint8

const (
	asText  shape = iota // a string
	asWhole              // an int64, or a float64 if it is too long for that
	asFloat              // a float64
	asTime               // a time.Time
	asList               // a []string
)

// NewChecker compiles the rules of an object for rows with these columns and an import in this mode. Columns that are
// no fields of the object carry no rules. Every rule that validator does not know, can't apply to the field's type,
// or that names a field which the object does not have, is an error; all of them are reported at once.
func NewChecker(obj *Object, header *record.Header, mode Mode) (*Checker, error) {
	c := &Checker{header: header, validate: validator.New(validator.WithRequiredStructEnabled())}
	var problems []error
	for _, f := range obj.fieldsOf(header) {
		inMode, always, err := f.rulesOf(mode)
		if err != nil {
			problems = append(problems, fmt.Errorf("field %s: %w", f.Name, err))
			continue
		}
		fc := fieldCheck{col: header.Index(f.Name)}
		for _, r := range inMode {
			k, err := c.compile(obj, f, r)
			switch {
			case err != nil:
				problems = append(problems, err)
			case r.onMissing():
				fc.inMode = append(fc.inMode, k)
				if r.name == "required" && fc.col < 0 {
					c.missing = append(c.missing, f.Name)
				}
			default:
				fc.value = append(fc.value, k)
			}
		}
		for _, r := range always {
			k, err := c.compile(obj, f, r)
			if err != nil {
				problems = append(problems, err)
				continue
			}
			fc.value = append(fc.value, k)
		}
		if len(fc.inMode) > 0 || fc.col >= 0 && len(fc.value) > 0 {
			c.fields = append(c.fields, fc)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("object %s: %w", obj.Name, err)
	}
	return c, nil
}

// fieldsOf returns the object's fields, a family such as fields.* by its members among the columns.
func (o *Object) fieldsOf(header *record.Header) []*Field {
	var out []*Field
	families := false
	for i := range o.Fields {
		if f := &o.Fields[i]; !f.Family() {
			out = append(out, f)
		} else {
			families = true
		}
	}
	for i := 0; families && i < header.Len(); i++ {
		if f, ok := o.Field(header.Name(i)); ok && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

// Missing returns the fields that every row needs in this mode and that no column carries: with any of them, no row
// can pass.
func (c *Checker) Missing() []string { return slices.Clone(c.missing) }

// compile prepares one rule, and tries it on a made-up value so that validator finds fault with it now.
func (c *Checker) compile(obj *Object, f *Field, r rule) (*check, error) {
	k := &check{field: f, rule: r, as: shapeOf(f, &r)}
	for _, name := range r.names() {
		if r.alts != nil && (&rule{name: name}).refersTo() != namesNothing {
			return nil, fmt.Errorf("field %s: rule %q: a rule on other fields can't stand beside \"|\"", f.Name, r.text)
		}
	}
	for _, alt := range r.alts { // the first alternative that holds would hide what is wrong with the others
		if _, err := c.compile(obj, f, alt); err != nil {
			return nil, err
		}
	}
	tag := r.tag()
	if kind := r.refersTo(); kind != namesNothing {
		params := r.params()
		if len(params) == 0 || kind == namesOther && len(params) > 1 || kind == namesValues && len(params)%2 != 0 {
			return nil, fmt.Errorf("field %s: rule %q: its parameter must be %s", f.Name, r.text, parameterForm(kind))
		}
		if r.item {
			return nil, fmt.Errorf("field %s: rule %q: an item of a list can't be held against other fields", f.Name, r.text)
		}
		step := 1
		if kind == namesValues {
			step = 2
		}
		for i := 0; i < len(params); i += step {
			other, ok := obj.Field(params[i])
			if !ok {
				return nil, fmt.Errorf("field %s: rule %q names a field that %s does not have: %s%s",
					f.Name, r.text, obj.Name, params[i], didYouMean(params[i], fieldNames(obj)))
			}
			k.refs = append(k.refs, operand{other, c.header.Index(other.Name)})
			params[i] = "F" + strconv.Itoa(len(k.refs))
			if step == 2 {
				params[i+1] = "'" + params[i+1] + "'"
			}
		}
		tag = r.tag(params...)
	}
	if err := k.agree(); err != nil {
		return nil, fmt.Errorf("field %s: rule %q: %w", f.Name, r.text, err)
	}
	anyType := reflect.TypeFor[any]()
	fields := []reflect.StructField{{Name: "F0", Type: anyType, Tag: reflect.StructTag("validate:" + strconv.Quote(tag))}}
	for i := range k.refs {
		fields = append(fields, reflect.StructField{Name: "F" + strconv.Itoa(i+1), Type: anyType})
	}
	k.typ = reflect.StructOf(fields)
	if err := c.try(k); err != nil {
		return nil, fmt.Errorf("field %s: rule %q: %w", f.Name, r.text, err)
	}
	if k.rule.onMissing() {
		k.quick = quickPresence(k)
		switch r.name {
		case "required", "required_with", "required_with_all", "required_without", "required_without_all":
			if len(k.refs) < 63 {
				k.gaps = &sync.Map{}
			}
		}
	} else {
		k.quick = quickValue(&k.rule, k.as)
	}
	return k, nil
}

func parameterForm(kind reference) string {
	switch kind {
	case namesValues:
		return "pairs of a field and a value"
	case namesOther:
		return "one field"
	}
	return "one or more fields"
}

func fieldNames(obj *Object) []string {
	names := make([]string, len(obj.Fields))
	for i := range obj.Fields {
		names[i] = obj.Fields[i].Name
	}
	return names
}

func didYouMean(name string, candidates []string) string {
	if n := near.Name(name, candidates); n != "" {
		return fmt.Sprintf("; did you mean %s?", n)
	}
	return ""
}

// shapeOf says how validator is given the value of a field for a rule.
func shapeOf(f *Field, r *rule) shape {
	if r.onMissing() {
		return asText // only whether it is there counts
	}
	against := r.refersTo() == namesOther
	ordered := against && r.name != "fieldcontains" && r.name != "fieldexcludes" || slices.ContainsFunc(r.names(), comparesNumbers)
	switch f.Type {
	case List:
		return asList
	case Integer, Epoch:
		if ordered {
			return asWhole
		}
	case Number:
		if ordered {
			return asFloat
		}
	case Date, DateTime:
		if against && ordered {
			return asTime
		}
	}
	return asText
}

// agree sees to it that a value and the fields which it is held against are given in the same shape.
func (k *check) agree() error {
	if k.rule.refersTo() != namesOther {
		return nil
	}
	other := k.refs[0].field
	as := shapeOf(other, &k.rule)
	switch {
	case as == k.as:
	case k.as == asWhole && as == asFloat || k.as == asFloat && as == asWhole:
		k.as = asFloat
	default:
		return fmt.Errorf("%s is of type %s and %s of type %s: they can't be compared", k.field.Name, k.field.Type, other.Name, other.Type)
	}
	return nil
}

// try runs a rule on a made-up value. What validator thinks of the value does not matter; that it can judge it does.
func (c *Checker) try(k *check) error {
	samples := map[shape]any{asText: "1", asWhole: int64(1), asFloat: 1.5, asTime: time.Unix(0, 0), asList: []string{"1"}}
	refs := make([]any, len(k.refs))
	for i := range refs {
		refs[i] = samples[k.as]
		if k.rule.refersTo() != namesOther {
			refs[i] = "1"
		}
	}
	_, err := c.ask(k, samples[k.as], refs)
	return err
}

// ask puts one value to validator and returns what it finds wrong, nil if the value is good. An error means that the
// rule can't judge such a value.
func (c *Checker) ask(k *check, value any, refs []any) (found validator.ValidationErrors, err error) {
	defer func() {
		if r := recover(); r != nil { // validator's answer to a rule that does not fit
			err = rulePanic(k, fmt.Sprint(r))
		}
	}()
	ptr := reflect.New(k.typ)
	set := func(i int, v any) {
		if v != nil {
			ptr.Elem().Field(i).Set(reflect.ValueOf(v))
		}
	}
	set(0, value)
	for i, v := range refs {
		set(i+1, v)
	}
	err = c.validate.Struct(ptr.Interface())
	if errors.As(err, &found) {
		return found, nil
	}
	return nil, err
}

func rulePanic(k *check, text string) error {
	if strings.Contains(text, "Undefined validation function") {
		_, name, _ := strings.Cut(text, "'")
		name, _, _ = strings.Cut(name, "'")
		return fmt.Errorf("validator has no such rule%s", didYouMean(name, knownRules()))
	}
	return fmt.Errorf("it does not fit a field of type %s: %s", k.field.Type, text)
}

// Apply holds each pending row against the rules and rejects it with every problem that it has.
func (c *Checker) Apply(b *record.Batch) error {
	if b.Header != nil && b.Header != c.header && !slices.Equal(b.Header.Names(), c.header.Names()) {
		return fmt.Errorf("the checker was made for the columns %s, and the rows have %s",
			strings.Join(c.header.Names(), ", "), strings.Join(b.Header.Names(), ", "))
	}
	for i := range b.Rows {
		row := &b.Rows[i]
		broken, ok := c.mapped(row)
		if !ok {
			continue
		}
		if err := c.row(row, broken); err != nil {
			return err
		}
	}
	return nil
}

// mapped reports whether the row's values can be looked at: those of a pending row, and those of a row that the mapping
// refused, but for the fields that it could not fill. A row that was refused as it was read has no values under our
// header.
func (c *Checker) mapped(row *record.Row) (broken []string, ok bool) {
	if row.Fate == record.Pending {
		return nil, true
	}
	if row.Fate != record.Rejected || len(row.Values) != c.header.Len() {
		return nil, false
	}
	for _, p := range record.ProblemsOf(row.Err) {
		if c.header.Index(p.Field) < 0 {
			return nil, false
		}
		broken = append(broken, p.Field)
	}
	return broken, len(broken) > 0
}

func (c *Checker) row(row *record.Row, broken []string) error {
	values := row.Values
	for i := range min(len(values), c.header.Len()) {
		if values[i].Kind() == record.Fault {
			c.reject(row, c.header.Name(i), i, "fault", fmt.Sprintf("the cell holds the spreadsheet's error %s", values[i].Text()))
		}
	}
	var told []string // fields of which one is required: a gap that several of them complain about is one problem
	for i := range c.fields {
		f := &c.fields[i]
		v := at(values, f.col)
		if v.Kind() == record.Fault || f.col >= 0 && slices.Contains(broken, c.header.Name(f.col)) {
			continue
		}
		for _, k := range f.inMode {
			if len(broken) > 0 && k.oneOf() != "" {
				continue // what it looks at may be what could not be filled
			}
			if k.quick(v, values) {
				continue
			}
			group := k.oneOf()
			if group != "" && slices.Contains(told, group) {
				continue
			}
			bad, err := c.judge(row, k, f.col)
			if err != nil {
				return err
			}
			if bad && group != "" {
				told = append(told, group)
			}
		}
		if len(f.value) == 0 || !there(v) {
			continue
		}
		for _, k := range f.value {
			if k.quick != nil && k.quick(v, values) {
				continue
			}
			if _, err := c.judge(row, k, f.col); err != nil {
				return err
			}
		}
	}
	return nil
}

// judge asks validator about one value and rejects the row if it is bad.
func (c *Checker) judge(row *record.Row, k *check, col int) (bad bool, err error) {
	v := at(row.Values, col)
	var there uint64
	if k.gaps != nil {
		there = k.present(v, row.Values)
		if said, ok := k.gaps.Load(there); ok {
			message, _ := said.(string)
			if message != "" {
				c.reject(row, k.field.Name, col, k.rule.label(), message)
			}
			return message != "", nil
		}
	}
	value, refs, verdict := k.operands(v, row.Values)
	switch verdict {
	case holds:
		return false, nil
	case wrongType:
		p := record.Problem{Rule: string(k.field.Type), Message: notOfType(k.field.Type)}
		if !slices.ContainsFunc(record.ProblemsOf(row.Err), func(q record.Problem) bool { return q.Field == k.field.Name && q.Rule == p.Rule }) {
			c.reject(row, k.field.Name, col, p.Rule, p.Message)
		}
		return true, nil
	}
	found, err := c.ask(k, value, refs)
	if err != nil {
		return false, fmt.Errorf("row %d: field %s: rule %q: %w", row.Num, k.field.Name, k.rule.text, err)
	}
	message := ""
	if found != nil {
		message = k.message(v, found)
		c.reject(row, k.field.Name, col, k.rule.label(), message)
	}
	if k.gaps != nil {
		k.gaps.Store(there, message)
	}
	return found != nil, nil
}

func (c *Checker) reject(row *record.Row, field string, col int, rule, message string) {
	p := record.Problem{Field: field, Rule: rule, Message: message}
	if col >= 0 && col < len(c.Columns) {
		p.Column = c.Columns[col]
	}
	row.Reject(p)
}

// verdict is what is known of a value before validator is asked.
type verdict uint8

const (
	open verdict = iota
	holds
	wrongType
)

// operands returns what validator is given: the value and the fields that the rule names, nil for what is missing.
func (k *check) operands(v record.Value, row []record.Value) (value any, refs []any, known verdict) {
	if k.rule.onMissing() {
		if filled(v) {
			value = v.Text()
		}
		refs = make([]any, len(k.refs))
		for i, o := range k.refs {
			if w := at(row, o.col); filled(w) {
				refs[i] = w.Text()
			}
		}
		return value, refs, open
	}
	value, ok := give(v, k.as)
	if !ok {
		return nil, nil, wrongType
	}
	for _, o := range k.refs {
		w := at(row, o.col)
		if !filled(w) {
			return nil, nil, holds // there is nothing to hold it against
		}
		other, ok := give(w, k.as)
		if !ok {
			return nil, nil, holds // the other field is told to be wrong by its own rules
		}
		a, whole := value.(int64)
		b, otherWhole := other.(int64)
		if whole && !otherWhole {
			value = float64(a)
		} else if otherWhole && !whole {
			other = float64(b)
		}
		refs = append(refs, other)
	}
	return value, refs, open
}

// at returns the value in a column; the row does not carry column -1, and a row may be short.
func at(values []record.Value, col int) record.Value {
	if col < 0 || col >= len(values) {
		return record.Value{}
	}
	return values[col]
}

// filled reports whether there is something in the value: a list without items is nothing.
func filled(v record.Value) bool {
	if v.Kind() == record.List {
		s := strings.TrimSpace(v.Text())
		return len(s) > 2 && (s[0] != '[' || strings.TrimSpace(s[1:len(s)-1]) != "")
	}
	return there(v)
}

// there is !v.IsEmpty(), faster for a text that begins with a letter or digit.
func there(v record.Value) bool {
	if s := v.Text(); s != "" && s[0] > ' ' && s[0] <= '~' {
		return true
	}
	return !v.IsEmpty()
}

// give returns a value as validator is given it, and false if it can't be had in that shape.
func give(v record.Value, as shape) (any, bool) {
	text := strings.TrimSpace(v.Text())
	switch as {
	case asWhole:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, true
		}
		if t, ok := asInstant(v); ok {
			return t.Unix(), true
		}
		return giveFloat(text)
	case asFloat:
		return giveFloat(text)
	case asTime:
		return asInstant(v)
	case asList:
		if items, ok := v.Items(); ok {
			return items, true
		}
		return []string{v.Text()}, true
	}
	return v.Text(), true
}

func giveFloat(text string) (any, bool) {
	f, err := strconv.ParseFloat(text, 64)
	if errors.Is(err, strconv.ErrRange) {
		return f, true // too great is still a number: ±Inf compares rightly
	}
	return f, err == nil
}

// asInstant reads a date, or a date and time; a time without zone counts as UTC.
func asInstant(v record.Value) (time.Time, bool) {
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, strings.TrimSpace(v.Text())); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// label is the rule's name in reports.
func (r *rule) label() string { return strings.Join(r.names(), "|") }

// oneOf names the fields of which one is required, the same for each of them; "" if the rule is another.
func (k *check) oneOf() string {
	if k.rule.name != "required_without_all" && (k.rule.name != "required_without" || len(k.refs) != 1) {
		return ""
	}
	names := k.rule.fields()
	names = append(slices.Clone(names), k.field.Name)
	slices.Sort(names)
	return strings.Join(names, " ")
}
