// Package mappings says which column of a file becomes which field of a vendor, and how. A mapping is a YAML file, or
// made from the names of the columns alone; Compile holds it against a file's header and a vendor's object, finds every
// wrong name before the first row, and gives a Program, a step of a pipeline that fills the vendor's fields from the
// file's cells. Mappings that ship with the tool and a JSON Schema of the format are embedded.
package mappings

import (
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
	"github.com/crmetl/crmetl/transforms"
)

// Mapping is a parsed mapping file, or what Match made of column names.
type Mapping struct {
	Name     string // the file, as messages name it; "" if there is none
	Target   string // CONNECTION/OBJECT; "" if the file does not say
	Mode     schema.Mode
	Fields   []Entry  // in the order of the file
	SkipWhen string   // an expression; rows for which it is true are left out on purpose
	GroupBy  string   // the column whose value brings rows together into one record
	Blank    Blank    // what an empty cell means; "" is Omit
	Export   []Column // the columns of an exported file, in the order of the mapping's `columns`
	Source   Source
	Tests    []Test

	at       map[string]place // of the top-level keys, and of their values by key and ":"
	skip     scalarPlace      // of SkipWhen
	problems Problems         // what Parse found
}

// Blank is what an empty cell means.
type Blank string

// The meanings of an empty cell.
const (
	Omit   Blank = "omit"   // leave the field alone
	Clear  Blank = "clear"  // empty the field
	Refuse Blank = "reject" // refuse the row
)

// Entry is where one field's value comes from: columns, a constant or an expression, exactly one of them.
type Entry struct {
	Field     string
	Columns   []string      // the first with a value counts
	Value     *record.Value // a constant
	Expr      string
	Apply     []Step
	Map       []Pair
	Otherwise Otherwise // what happens to a value that Map does not name
	Default   *record.Value
	Blank     Blank // "" is the mapping's
	Optional  bool  // the file may lack the columns, also all those of Expr, and the mode may lack the field

	at     map[string]place // of the entry's keys; "" is the field's name
	cols   []place          // of Columns
	expr   scalarPlace
	broken bool // Parse found a problem that would only cause others
}

// Step is one transform of an entry's apply list.
type Step struct {
	Name string
	Args transforms.Args

	run transforms.Func
}

// Pair is one line of a map: a value of the file and the vendor's value.
type Pair struct {
	From string
	To   record.Value

	at place
}

// Otherwise is what happens to a value that a map does not name: the row is refused, unless Keep or Value say
// otherwise.
type Otherwise struct {
	Keep  bool
	Value *record.Value
}

// Column is one column of an exported file.
type Column struct {
	Name  string
	Field string

	at place
}

// Source says how to read the file, where the mapping knows it: the options of the same names on the command line.
type Source struct {
	Format    string // csv, tsv, xlsx, jsonl
	Encoding  string
	Delimiter string // one character
	Sheet     string // a name or a number
	HeaderRow string // a number from 1, a run of rows such as 2-3, or "none"
	Range     string // A1:K900
	Quote     string // one character, or "none"
	Escape    string // one character, or "none"
	Comment   string // what lines begin with that are passed over, or "none"

	SkipHidden bool // leave out a workbook's hidden rows
	FillMerged bool // give every cell that a merged cell covers its value
}

// place is a position in the mapping file, both from 1; zero if there is none.
type place struct{ line, column int }

// pos returns where a key of the entry stands, or the entry itself.
func (e *Entry) pos(key string) place {
	if p, ok := e.at[key]; ok {
		return p
	}
	return e.at[""]
}

// Columns returns every column that the mapping reads, each once, in the order in which they stand. It is the header
// that a mapping is checked against when there is no file.
func (m *Mapping) Columns() []string {
	var out []string
	seen := map[string]bool{}
	add := func(names ...string) {
		for _, n := range names {
			if n != "" && !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
	}
	for i := range m.Fields {
		e := &m.Fields[i]
		add(e.Columns...)
		if e.Expr != "" {
			add(transforms.ExprColumns(e.Expr)...)
		}
	}
	if m.SkipWhen != "" {
		add(transforms.ExprColumns(m.SkipWhen)...)
	}
	add(m.GroupBy)
	return out
}
