package mappings

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/crmetl/crmetl/internal/columns"
	"github.com/crmetl/crmetl/schema"
	"github.com/crmetl/crmetl/transforms"
)

// Facts are what is known of a file beside its columns, so that the mapping can say it and next month's file is read in
// the same way.
type Facts struct {
	Source  Source           // how the file is read
	Profile *columns.Profile // what its columns hold; nil if nobody looked
}

// Init writes a mapping for a file's columns, to be completed by hand: columns that have a field's name or alias are
// mapped; the others stand as comments with the nearest field, and so do required fields that no column fits. samples
// are some of the file's rows, to show what a column holds. What facts say of the file is pinned: how it is read, in
// which order its dates stand, which sign its decimals have. What they leave open stands in both readings, to choose from.
// The text is good for Parse.
func Init(w io.Writer, names []string, samples [][]string, obj *schema.Object, target string, mode schema.Mode, facts Facts) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s from a file with %d columns. Lines that begin with # are proposals and notes.\n", oneLine(obj.Name), len(names))
	fmt.Fprintf(&b, "# crmetl describe %s lists the fields; crmetl mapping check finds mistakes.\n", oneLine(target))
	fmt.Fprintf(&b, "version: 1\ntarget: %s\nmode: %s\n", yamlText(target), yamlText(string(mode)))
	facts.Source.write(&b)
	b.WriteString("fields:\n")

	sample := func(i int) string {
		for _, row := range samples {
			if i < len(row) && strings.TrimSpace(row[i]) != "" {
				return "  # " + short(row[i])
			}
		}
		return ""
	}
	taken := map[string]bool{}
	var rest []int
	for i, c := range names {
		if strings.HasPrefix(c, "_") || strings.TrimSpace(c) == "" {
			continue
		}
		f, ok := obj.Match(c)
		if !ok && obj.AnyField {
			f, ok = &schema.Field{Name: c}, true
		}
		if !ok || !f.Takes(mode) || taken[f.Name] {
			rest = append(rest, i)
			continue
		}
		taken[f.Name] = true
		facts.entry(&b, f, c, i, sample(i))
	}
	if len(taken) == 0 {
		b.WriteString("  # no column has the name of a field: put fields and columns together here\n")
	}
	for _, i := range rest {
		c := names[i]
		f, ok := obj.Match(c)
		switch {
		case ok && f.ReadOnly:
			fmt.Fprintf(&b, "  # %s: field %s is set by the vendor\n", oneLine(c), f.Name)
		case ok && !f.Takes(mode):
			fmt.Fprintf(&b, "  # %s: field %s is not for mode %s\n", oneLine(c), f.Name, mode)
		case ok:
			fmt.Fprintf(&b, "  # %s: field %s has a column already; {column: [A, B]} takes the first with a value\n", oneLine(c), f.Name)
		default:
			meant := nearestField(obj, c, func(f *schema.Field) bool { return f.Takes(mode) && !taken[f.Name] })
			if meant == "" {
				meant = "FIELD"
			}
			fmt.Fprintf(&b, "  # %s: %s%s\n", yamlText(meant), yamlText(c), sample(i))
		}
	}
	for i := range obj.Fields {
		f := &obj.Fields[i]
		if rule := f.In[mode]; rule != "" && !taken[f.Name] && strings.Contains(rule, "required") {
			fmt.Fprintf(&b, "  # %s: COLUMN  # %s: %s\n", yamlText(f.Name), oneLine(rule), oneLine(f.Doc))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// oneLine makes a text fit for a comment.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
}

func short(s string) string {
	const most = 40
	s = strings.TrimSpace(oneLine(s))
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return s
}

// yamlText writes a text so that YAML reads the same text, as a key or as a value.
func yamlText(s string) string { return transforms.One(s).String() }

// write pins how the file is read.
func (s Source) write(b *strings.Builder) {
	var parts []string
	for _, x := range []struct{ key, value string }{
		{"format", s.Format}, {"encoding", s.Encoding}, {"delimiter", s.Delimiter}, {"quote", s.Quote}, {"escape", s.Escape}, {"comment", s.Comment},
		{"sheet", s.Sheet}, {"range", s.Range}, {"header_row", s.HeaderRow},
	} {
		switch {
		case x.value == "":
		case x.key == "header_row" && x.value != "none":
			parts = append(parts, x.key+": "+x.value)
		default:
			parts = append(parts, x.key+": "+yamlText(x.value))
		}
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, "source: {%s}\n", strings.Join(parts, ", "))
	}
}

// entry writes the line of a field that a column fills, with the transform that the column needs.
func (f *Facts) entry(b *strings.Builder, field *schema.Field, column string, i int, sample string) {
	plain := func() { fmt.Fprintf(b, "  %s: %s%s\n", yamlText(field.Name), yamlText(column), sample) }
	if f.Profile == nil {
		plain()
		return
	}
	with := func(apply string) string {
		return fmt.Sprintf("%s: {column: %s, apply: [%s]}", yamlText(field.Name), yamlText(column), apply)
	}
	switch field.Type {
	case schema.Date, schema.DateTime, schema.Epoch:
		d := f.Profile.Date(i)
		pinned := with(dateStep(field.Type, d.Layout, d.Time))
		zone := ""
		if d.Time && field.Type != schema.Date {
			zone = "; no time zone stands in the cells: write the one they are meant in for UTC"
		}
		switch {
		case d.Open:
			// Without a transform, dates that are not ISO 8601 are refused, none is taken the wrong way.
			fmt.Fprintf(b, "  # %s: %s. Take one of these lines for the one below:\n", oneLine(column), oneLine(d.Text))
			fmt.Fprintf(b, "  # %s\n", pinned)
			if d.Other != "" {
				fmt.Fprintf(b, "  # %s\n", with(dateStep(field.Type, d.Other, d.Time)))
			}
			plain()
		case d.Layout == "" && zone == "":
			plain()
		default:
			fmt.Fprintf(b, "  %s  # %s%s\n", pinned, strings.TrimPrefix(oneLine(d.Text)+" ", " "), strings.TrimPrefix(zone, "; "))
		}
	case schema.Integer, schema.Number:
		n := f.Profile.Number(i)
		switch {
		case n.Open:
			// No line counts until one is chosen: a number can be taken the wrong way without anybody noticing.
			fmt.Fprintf(b, "  # %s: %s. Take the # off one of these lines:\n", oneLine(column), oneLine(n.Text))
			fmt.Fprintf(b, "  # %s\n", with(numberStep(field.Type, ",", ".")))
			fmt.Fprintf(b, "  # %s\n", with(numberStep(field.Type, ".", ",")))
		case n.Decimal == "":
			plain()
		default:
			fmt.Fprintf(b, "  %s  # %s\n", with(numberStep(field.Type, n.Decimal, n.Group)), oneLine(n.Text))
		}
	default:
		plain()
	}
}

// dateStep writes the transform for a layout. Where a field holds a point in time, the zone is named, too.
func dateStep(t schema.Type, layout string, clock bool) string {
	switch {
	case t == schema.Date:
		return fmt.Sprintf("{date: %s}", yamlText(layout))
	case layout == "":
		return "{datetime: {zone: UTC}}"
	case clock:
		return fmt.Sprintf("{datetime: {format: %s, zone: UTC}}", yamlText(layout))
	}
	return fmt.Sprintf("{datetime: %s}", yamlText(layout))
}

func numberStep(t schema.Type, decimal, group string) string {
	name := "number"
	if t == schema.Integer {
		name = "integer"
	}
	if group == "" {
		return fmt.Sprintf("{%s: {decimal: %s}}", name, yamlText(decimal))
	}
	return fmt.Sprintf("{%s: {decimal: %s, group: %s}}", name, yamlText(decimal), yamlText(group))
}
