package schema

import (
	"io"
	"strings"
)

// Markdown writes the vendor's page for docs/vendors: everything that the table knows, with the source of each fact.
func Markdown(w io.Writer, v *Vendor) error {
	p := &printer{w: w}
	p.line("<!-- Generated from the schema, do not edit. -->")
	p.line("\n# %s", v.Title)
	p.line("\nTargets begin with `%s/`. The vendor's documents: <%s>%s. Rate: %s.", v.Name, v.Docs, checkedWords(v), rateWords(v.Rate))
	if len(v.Notes) > 0 {
		p.line("")
		for _, n := range v.Notes {
			p.line("- %s", md(n))
		}
	}
	p.line("\n## Connection\n")
	p.line("| key | environment | | meaning |\n|---|---|---|---|")
	for _, k := range v.AllKeys() {
		p.line("| `%s` | `%s` | %s | %s |", k.Name, v.EnvName(k.Name), md(keyWords(k)), md(k.Doc))
	}
	p.line("\n## Objects\n")
	p.line("| target | import | export |\n|---|---|---|")
	for i := range v.Objects {
		o := &v.Objects[i]
		p.line("| [`%s/%s`](#%s) | %s | %s |", v.Name, o.Name, o.Name, modeWords(o), exportWords(o.Export))
	}
	for i := range v.Objects {
		p.objectPage(v, &v.Objects[i])
	}
	return p.err
}

func checkedWords(v *Vendor) string {
	if v.Checked == "" {
		return ""
	}
	return ", last compared on " + v.Checked
}

func (p *printer) objectPage(v *Vendor, o *Object) {
	p.line("\n## %s", o.Name)
	p.line("\n%s", md(strings.TrimSpace(o.Title+". "+o.Doc)))
	p.line("\n- Import: %s", modeWords(o))
	for _, m := range o.Confirm {
		p.line("- %s needs `--yes`", m)
	}
	if len(o.KeyFields) > 0 {
		p.line("- Upsert matches on %s", strings.Join(o.KeyFields, ", "))
	}
	if o.GroupBy != "" {
		p.line("- Rows: %s", groupWords(o))
	}
	if words := batchWords(o); words != "" {
		p.line("- Batches: %s", words)
	}
	for _, x := range o.Options {
		p.line("- Option `--%s`: %s", x.Name, strings.TrimPrefix(optionWords(x), "--"+x.Name+"  "))
	}
	p.line("- Export: %s", exportWords(o.Export))
	if o.Export.Doc != "" {
		p.line("- %s", md(o.Export.Doc))
	}
	if len(o.Export.Sorts) > 0 {
		p.line("- `--sort`: %s", strings.Join(o.Export.Sorts, ", "))
	}
	if o.Export.Since != "" {
		p.line("- `--since` compares `%s`", o.Export.Since)
	}
	if o.AnyField {
		p.line("- Any other column passes under its own name")
	}
	for _, l := range o.Limits {
		p.line("- %s", md(l))
	}
	p.line("\n| field | type | required | rules | also known as | example | meaning | source |\n|---|---|---|---|---|---|---|---|")
	for i := range o.Fields {
		f := &o.Fields[i]
		example := ""
		if f.Example != "" {
			example = "`" + strings.ReplaceAll(md(f.Example), "`", "'") + "`"
		}
		p.line("| `%s` | %s | %s | %s | %s | %s | %s | %s |", f.Name, f.Type, md(requiredWords(o, f)), md(ruleWords(o, f)),
			md(strings.Join(f.Aliases, ", ")), example, md(f.Doc), md(f.Source))
	}
	if len(o.Export.Filters) > 0 {
		p.line("\n| `--filter` | meaning |\n|---|---|")
		for _, f := range o.Export.Filters {
			p.line("| `%s` | %s |", f.Name, md(f.Doc))
		}
	}
}

// md makes a text fit for a cell of a table.
func md(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;", ">", "&gt;").Replace(s)
}

// everyConnection are the keys that each connection takes besides its vendor's own.
func everyConnection() []ConfigKey {
	return []ConfigKey{
		{Name: "rate", Doc: "requests a second that the vendor allows this account"},
		{Name: "timeout", Doc: "of one call", Default: "30s"},
	}
}

// AllKeys returns the settings that a connection to the vendor takes: its own, and rate and timeout, which every
// connection takes.
func (v *Vendor) AllKeys() []ConfigKey {
	keys := append([]ConfigKey(nil), v.Keys...)
	for _, k := range everyConnection() {
		known := false
		for i := range v.Keys {
			known = known || v.Keys[i].Name == k.Name
		}
		if !known {
			keys = append(keys, k)
		}
	}
	return keys
}
