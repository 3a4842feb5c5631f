package schema

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Describe writes what a person should know about one object of a vendor, or about the vendor if object is "", as
// text for a terminal. An unknown object is an error.
func Describe(w io.Writer, v *Vendor, object string) error {
	p := &printer{w: w}
	if object == "" {
		p.vendor(v)
		return p.err
	}
	o, ok := v.Object(object)
	if !ok {
		return fmt.Errorf("%s has no object %q%s; it has %s", v.Name, object, didYouMean(object, v.objectNames()),
			joined(v.objectNames(), "and"))
	}
	p.object(v, o)
	return p.err
}

func (v *Vendor) objectNames() []string {
	names := make([]string, len(v.Objects))
	for i := range v.Objects {
		names[i] = v.Objects[i].Name
	}
	return names
}

// printer writes lines and keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// table writes rows in columns; a row without cells is an empty line.
func (p *printer) table(rows [][]string) {
	if p.err != nil {
		return
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		_, _ = fmt.Fprintln(t, "  "+strings.Join(r, "\t")) // a Builder takes everything
	}
	_ = t.Flush()
	for line := range strings.Lines(b.String()) {
		p.line("%s", strings.TrimRight(line, " \n"))
	}
}

func (p *printer) list(title string, items []string) {
	if len(items) == 0 {
		return
	}
	p.line("\n%s", title)
	for _, s := range items {
		p.line("  - %s", s)
	}
}

func (p *printer) vendor(v *Vendor) {
	p.line("%s (%s)", v.Title, v.Name)
	p.line("  documents  %s", v.Docs)
	if v.Checked != "" {
		p.line("  checked    %s", v.Checked)
	}
	p.line("  rate       %s", rateWords(v.Rate))
	p.line("\nObjects")
	var rows [][]string
	for i := range v.Objects {
		o := &v.Objects[i]
		rows = append(rows, []string{v.Name + "/" + o.Name, "import: " + modeWords(o), "export: " + exportWords(o.Export)})
	}
	p.table(rows)
	p.line("\nSettings of a connection")
	rows = nil
	for _, k := range v.AllKeys() {
		rows = append(rows, []string{k.Name, v.EnvName(k.Name), keyWords(k), k.Doc})
	}
	p.table(rows)
	p.list("Notes", v.Notes)
}

// maxChoices is how many bytes of choices stand in the table of fields; more would push it off the screen.
const maxChoices = 60

func (p *printer) object(v *Vendor, o *Object) {
	p.line("%s/%s: %s", v.Name, o.Name, o.Title)
	if o.Doc != "" {
		p.line("  %s", o.Doc)
	}
	p.line("")
	rows := [][]string{{"import", modeWords(o)}}
	for _, m := range o.Confirm {
		rows = append(rows, []string{"", string(m) + " needs --yes"})
	}
	if len(o.KeyFields) > 0 {
		rows = append(rows, []string{"upsert by", strings.Join(o.KeyFields, ", ")})
	}
	if o.GroupBy != "" {
		rows = append(rows, []string{"rows", groupWords(o)})
	}
	if words := batchWords(o); words != "" {
		rows = append(rows, []string{"batches", words})
	}
	for i, x := range o.Options {
		head := ""
		if i == 0 {
			head = "options"
		}
		rows = append(rows, []string{head, optionWords(x)})
	}
	rows = append(rows, []string{"export", exportWords(o.Export)})
	if o.Export.Doc != "" {
		rows = append(rows, []string{"", o.Export.Doc})
	}
	for _, f := range o.Export.Filters {
		rows = append(rows, []string{"", strings.TrimSpace("--filter " + f.Name + "=…  " + f.Doc)})
	}
	if len(o.Export.Sorts) > 0 {
		rows = append(rows, []string{"", "--sort " + strings.Join(o.Export.Sorts, ", ")})
	}
	if o.Export.Since != "" {
		rows = append(rows, []string{"", "--since compares " + o.Export.Since})
	}
	rows = append(rows, []string{"rate", rateWords(v.Rate)})
	p.table(rows)

	p.line("\nFields")
	rows = [][]string{{"NAME", "TYPE", "REQUIRED", "EXAMPLE", "RULES", "ALSO KNOWN AS"}}
	var choices []string
	for i := range o.Fields {
		f := &o.Fields[i]
		words := ruleWords(o, f)
		if all := strings.Join(f.Values, ", "); len(all) > maxChoices {
			words = strings.Replace(words, "one of "+all, fmt.Sprintf("one of %d choices, see below", len(f.Values)), 1)
			choices = append(choices, f.Name+": "+all)
		}
		rows = append(rows, []string{f.Name, string(f.Type), requiredWords(o, f), f.Example, words, strings.Join(f.Aliases, ", ")})
	}
	p.table(rows)
	if o.AnyField {
		p.line("  Any other column passes under its own name.")
	}
	p.list("Choices", choices)
	p.list("Limits", o.Limits)
}

// EnvName is the environment variable that sets a key of the vendor's own connection: CRMETL_MYCRM_API_KEY.
func (v *Vendor) EnvName(key string) string {
	return "CRMETL_" + strings.ToUpper(v.Name) + "_" + strings.ToUpper(key)
}

// batchWords says how many records go into one call, "" if it is one.
func batchWords(o *Object) string {
	var parts []string
	for _, m := range o.Modes {
		if n := o.BatchFor(m, nil); n > 1 {
			if n == o.MaxBatch && len(o.Batches) == 0 {
				return fmt.Sprintf("at most %d records in one call", n)
			}
			parts = append(parts, fmt.Sprintf("%s: at most %d records in one call", m, n))
		}
	}
	return strings.Join(parts, "; ")
}

func optionWords(x Option) string {
	s := "--" + x.Name + "  " + x.Doc
	if len(x.Modes) > 0 {
		names := make([]string, len(x.Modes))
		for i, m := range x.Modes {
			names[i] = string(m)
		}
		s += " (" + strings.Join(names, ", ") + ")"
	}
	return s
}

func rateWords(rate float64) string {
	if rate <= 0 {
		return "the vendor documents no limit"
	}
	return strconv.FormatFloat(rate, 'f', -1, 64) + " requests a second"
}

func keyWords(k ConfigKey) string {
	switch {
	case k.Required && k.Secret:
		return "required, secret"
	case k.Required:
		return "required"
	case k.Default != "":
		return "default " + k.Default
	case k.Secret:
		return "secret"
	}
	return "optional"
}

func modeWords(o *Object) string {
	if len(o.Modes) == 0 {
		return "–"
	}
	var list []string
	for i, m := range o.Modes {
		s := string(m)
		if i == 0 && len(o.Modes) > 1 {
			s += " (default)"
		}
		list = append(list, s)
	}
	return strings.Join(list, ", ")
}

func exportWords(e ExportInfo) string {
	var list []string
	if e.All {
		list = append(list, "all")
	}
	if e.ByID {
		list = append(list, "one record (--id)")
	}
	if e.Search {
		list = append(list, "--search")
	}
	if len(list) == 0 {
		return "–"
	}
	return strings.Join(list, ", ")
}

func groupWords(o *Object) string {
	if o.GroupBy == "*" {
		return "the whole file makes one record"
	}
	return "rows with the same " + o.GroupBy + " make one record"
}

// requiredWords says in which modes a value is needed: "yes", "create, upsert", "create: unless company is given".
func requiredWords(o *Object, f *Field) string {
	var order []string
	modes := map[string][]string{}
	for _, m := range o.Modes {
		rules, err := parseRules(f.In[m])
		if err != nil {
			continue // NewChecker tells
		}
		for _, r := range rules {
			if !strings.HasPrefix(r.name, "required") {
				continue
			}
			why := strings.TrimSpace(strings.TrimPrefix(r.words(f.Type), "required"))
			if modes[why] == nil {
				order = append(order, why)
			}
			modes[why] = append(modes[why], string(m))
		}
	}
	var list []string
	for _, why := range order {
		s := strings.Join(modes[why], ", ")
		if len(modes[why]) == len(o.Modes) {
			s = "yes"
		}
		switch {
		case why != "" && s == "yes":
			s = why
		case why != "":
			s += ": " + why
		}
		list = append(list, s)
	}
	return strings.Join(list, "; ")
}

// ruleWords says what a field's values must be like.
func ruleWords(o *Object, f *Field) string {
	var list []string
	if f.ReadOnly {
		list = append(list, "set by the vendor")
	}
	if f.NoExport {
		list = append(list, "not exported")
	}
	if limited(o, f) {
		var m []string
		for _, x := range f.Modes {
			m = append(m, string(x))
		}
		list = append(list, "only in "+joined(m, "and"))
	}
	_, always, err := f.rulesOf("")
	if err == nil {
		for i := range always {
			list = append(list, phrase(&always[i], f.Type))
		}
	}
	for _, m := range o.Modes {
		rules, err := parseRules(f.In[m])
		if err != nil {
			continue
		}
		for i := range rules {
			if !strings.HasPrefix(rules[i].name, "required") {
				list = append(list, string(m)+": "+phrase(&rules[i], f.Type))
			}
		}
	}
	return strings.Join(list, "; ")
}

// limited reports whether a field is taken in some modes only; that a delete takes little but the key goes without
// saying.
func limited(o *Object, f *Field) bool {
	if len(f.Modes) == 0 || f.ReadOnly {
		return false
	}
	for _, m := range o.Modes {
		if m != Delete && !f.Takes(m) {
			return true
		}
	}
	return false
}

// phrase is a rule's words as they stand in a table: without the verb where it says nothing.
func phrase(r *rule, t Type) string {
	w := strings.TrimPrefix(strings.TrimPrefix(r.words(t), "be "), "have ")
	if r.item {
		return "each item " + w
	}
	return w
}
