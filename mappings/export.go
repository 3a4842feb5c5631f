package mappings

import (
	"strings"

	"github.com/crmetl/crmetl/internal/near"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// CompileExport makes the program of an export: which of the vendor's fields become columns of the file, under which
// names, in which order. columns, if there are any, are names of the mapping's columns or of fields; otherwise the
// mapping's `columns` say it, otherwise its `fields` read the other way: a field goes under the column that an import
// takes it from. m may be nil. from names the fields that the source delivers; obj, which may be nil, knows fields that
// it does not. Values pass as they are. The error is a Problems.
func CompileExport(m *Mapping, columns []string, from *record.Header, obj *schema.Object) (*Program, error) {
	if m == nil {
		m = &Mapping{}
	}
	c := &compiler{finder: finder{file: m.Name, problems: append(Problems(nil), m.problems...)}, m: m, origin: from, obj: obj}
	if obj != nil {
		c.target()
	}
	named := m.Export
	if len(named) == 0 {
		named = reversed(m, obj)
	}
	chosen := named
	if len(columns) > 0 {
		c.file, chosen = "", nil
		for _, name := range columns {
			name = strings.TrimSpace(name)
			col := Column{Name: name, Field: name}
			for _, x := range named {
				if x.Name == name {
					col = Column{Name: name, Field: x.Field}
				}
			}
			chosen = append(chosen, col)
		}
	}
	if len(chosen) == 0 && len(c.problems) == 0 {
		c.add(place{}, "add columns: {column of the file: field}", "the mapping names no columns for an export")
	}
	p := &Program{in: from, groupCell: -1, export: true}
	var names []string
	seen := map[string]bool{}
	for _, col := range chosen {
		if seen[col.Name] {
			c.add(col.at, "", "column %s stands twice", show(col.Name))
			continue
		}
		seen[col.Name] = true
		cell := from.Index(col.Field)
		if cell < 0 {
			c.noField(col, from, obj)
			continue
		}
		names = append(names, col.Name)
		p.steps = append(p.steps, step{field: col.Field, cells: []int{cell}, export: true})
		p.columns = append(p.columns, col.Field)
	}
	if err := c.problems.err(); err != nil {
		return nil, err
	}
	p.header = record.LooseHeader(names)
	p.quicken()
	return p, nil
}

func (c *compiler) noField(col Column, from *record.Header, obj *schema.Object) {
	meant := near.Name(col.Field, from.Names())
	if obj != nil {
		if f, ok := obj.Match(col.Field); ok {
			if from.Index(f.Name) < 0 {
				hint := "leave it out"
				if obj.Export.Expand {
					hint += ", or ask for more with --expand"
				}
				c.add(col.at, hint, "field %s is not part of an export of %s", show(col.Field), obj.Name)
				return
			}
			meant = f.Name
		}
	}
	hint := didYouMean(meant)
	if hint == "" && from.Len() <= 60 {
		hint = "there is " + strings.Join(from.Names(), ", ")
	}
	c.add(col.at, hint, "the export has no field %s", show(col.Field))
}

// reversed reads an import's fields the other way; those that the vendor never gives back are left out.
func reversed(m *Mapping, obj *schema.Object) []Column {
	var out []Column
	for i := range m.Fields {
		e := &m.Fields[i]
		if obj != nil {
			if f, ok := obj.Field(e.Field); ok && f.NoExport {
				continue
			}
		}
		if len(e.Columns) > 0 {
			out = append(out, Column{Name: e.Columns[0], Field: e.Field, at: e.pos("")})
		}
	}
	return out
}
