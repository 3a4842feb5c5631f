package mappings

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/crmetl/crmetl/schema"
	"github.com/crmetl/crmetl/transforms"
)

// Init writes a mapping for a file's columns, to be completed by hand: columns that have a field's name or alias are
// mapped; the others stand as comments with the nearest field, and so do required fields that no column fits. samples
// are some of the file's rows, to show what a column holds. The text is good for Parse.
func Init(w io.Writer, columns []string, samples [][]string, obj *schema.Object, target string, mode schema.Mode) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s from a file with %d columns. Lines that begin with # are proposals and notes.\n", oneLine(obj.Name), len(columns))
	fmt.Fprintf(&b, "# crmetl describe %s lists the fields; crmetl mapping check finds mistakes.\n", oneLine(target))
	fmt.Fprintf(&b, "version: 1\ntarget: %s\nmode: %s\nfields:\n", yamlText(target), yamlText(string(mode)))

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
	for i, c := range columns {
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
		fmt.Fprintf(&b, "  %s: %s%s\n", yamlText(f.Name), yamlText(c), sample(i))
	}
	if len(taken) == 0 {
		b.WriteString("  # no column has the name of a field: put fields and columns together here\n")
	}
	for _, i := range rest {
		c := columns[i]
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
