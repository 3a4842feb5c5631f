package mappings

import (
	"fmt"
	"strings"

	"github.com/crmetl/crmetl/schema"
)

// maxSuggestions is for how many columns the nearest field is sought: who has more does not read them.
const maxSuggestions = 200

// Match makes a mapping of column names alone: a column maps to the field that has its name or alias, case, blanks, "_"
// and "-" aside. Anything less is only a suggestion. It also returns the columns that are not used, in file order, and
// for those that come near a field, that field's name. Columns that begin with "_" are left out without a word: they
// are results of an earlier run. Where the vendor takes any attribute, columns that match no field pass under their own
// names. A field that two columns mean is a problem: which of them is meant is not for a program to say.
func Match(columns []string, obj *schema.Object, mode schema.Mode) (m *Mapping, ignored []string, suggestions map[string]string, err error) {
	m = &Mapping{Mode: mode}
	suggestions = map[string]string{}
	from := map[string]string{}
	var problems Problems
	for _, c := range columns {
		if strings.HasPrefix(c, "_") {
			continue
		}
		f, ok := obj.Match(c)
		name := c
		switch {
		case ok && f.Takes(mode):
			name = f.Name
		case ok, !obj.AnyField || strings.TrimSpace(c) == "":
			ignored = append(ignored, c)
			continue
		}
		if other, twice := from[name]; twice {
			problems = append(problems, Problem{
				Message: fmt.Sprintf("columns %s and %s both mean field %s", show(other), show(c), name),
				Hint:    fmt.Sprintf("rename one of them, or write a mapping with %s: {column: [%s, %s]}", name, other, c),
			})
			continue
		}
		from[name] = c
		m.Fields = append(m.Fields, Entry{Field: name, Columns: []string{c}})
	}
	for i, c := range ignored {
		if i == maxSuggestions {
			break
		}
		if _, ok := obj.Match(c); ok {
			continue // a field that this mode does not write is no misspelling of another
		}
		meant := nearestField(obj, c, func(f *schema.Field) bool { return f.Takes(mode) && from[f.Name] == "" })
		if meant != "" {
			suggestions[c] = meant
		}
	}
	return m, ignored, suggestions, problems.err()
}
