// Package schema describes vendors as data: their objects, fields, rules and limits. One table per vendor feeds the
// checker, the mapping check, `crmetl describe`, the pages under docs/vendors, the matching of columns, and the
// sandbox's limits.
package schema

import (
	"slices"
	"strings"
	"time"
)

// Type is what a field holds.
type Type string

// The types of field.
const (
	Text     Type = "text"
	ID       Type = "id"       // the vendor's own identifier: text, never a number
	Email    Type = "e-mail"   //
	Phone    Type = "phone"    // text as the vendor wants it
	Integer  Type = "integer"  //
	Number   Type = "number"   // a decimal number
	Bool     Type = "boolean"  //
	Date     Type = "date"     // a calendar day
	DateTime Type = "datetime" // a point in time, RFC 3339
	Epoch    Type = "epoch"    // a point in time as whole seconds since 1970; files hold it as RFC 3339 or as the number
	Enum     Type = "choice"   // one of Field.Values, compared without regard to case, written as the vendor spells it
	List     Type = "list"     // several texts; in one cell, split on ";"
	JSON     Type = "json"     // any JSON value
	Pairs    Type = "pairs"    // names and values: a JSON object, in a cell also with single quotes, {'a':'b'}
	Any      Type = "any"      // whatever it is: a text stays a text, a number a number
	File     Type = "file"     // the path of a file to attach, below --attachments
)

// Mode is what an import does at the vendor.
type Mode string

// The modes.
const (
	Create  Mode = "create"
	Update  Mode = "update"
	Upsert  Mode = "upsert"
	Delete  Mode = "delete"
	Patch   Mode = "patch"
	Send    Mode = "send"
	Add     Mode = "add"
	Replace Mode = "replace"
)

// Vendor is one CRM or marketing system.
type Vendor struct {
	Name    string      `json:"name,omitempty"`    // as in targets: mapmycustomers
	Title   string      `json:"title,omitempty"`   // as people write it: Map My Customers
	Docs    string      `json:"docs,omitempty"`    // where the vendor documents its API
	Checked string      `json:"checked,omitempty"` // the day the table was last held against the documents, 2006-01-02
	Rate    float64     `json:"rate,omitempty"`    // requests a second that the vendor allows; 0: it documents no limit
	Workers int         `json:"workers,omitempty"` // calls under way at once, unless the user says otherwise; 0: 16
	Keys    []ConfigKey `json:"keys,omitempty"`    // what a connection needs
	Objects []Object    `json:"objects,omitempty"`
	Notes   []string    `json:"notes,omitempty"` // what a user should know about the vendor as a whole
}

// Object finds an object by name.
func (v *Vendor) Object(name string) (*Object, bool) {
	for i := range v.Objects {
		if v.Objects[i].Name == name {
			return &v.Objects[i], true
		}
	}
	return nil, false
}

// ConfigKey is one setting of a connection: `base_url` in the config file, CRMETL_<VENDOR>_BASE_URL in the
// environment.
type ConfigKey struct {
	Name     string `json:"name,omitempty"` // lower case, as in the config file
	Doc      string `json:"doc,omitempty"`
	Default  string `json:"default,omitempty"`
	Required bool   `json:"required,omitempty"`
	Secret   bool   `json:"secret,omitempty"`
}

// Object is a kind of record of a vendor.
type Object struct {
	Name   string     `json:"name,omitempty"`
	Title  string     `json:"title,omitempty"`
	Doc    string     `json:"doc,omitempty"`
	Modes  []Mode     `json:"modes,omitempty"` // import modes, the default first; none: it can't be imported
	Export ExportInfo `json:"export"`

	KeyFields []string     `json:"key_fields,omitempty"` // what upsert can match on, the default first
	MaxBatch  int          `json:"max_batch,omitempty"`  // records in one call at most; 0 or 1: one call a record
	Batches   map[Mode]int `json:"batches,omitempty"`    // the same for modes where it is another number
	OrderBy   []string     `json:"order_by,omitempty"`   // fields that tell what a record is about: rows that agree in the first one that they have are sent in file order
	Options   []Option     `json:"options,omitempty"`    // flags of import and plan that this object alone has
	GroupBy   string       `json:"group_by,omitempty"`   // the field whose value brings rows together into one record; "" if a row is a record, "*" if the whole file is one
	Confirm   []Mode       `json:"confirm,omitempty"`    // modes that change so much that they need --yes
	// SoftDefaults says that an update or upsert reads the record first: a default is for what the record lacks, and never
	// goes over what it has. The sink gets them as Load.Defaults instead of in the rows.
	SoftDefaults bool     `json:"soft_defaults,omitempty"`
	AnyField     bool     `json:"any_field,omitempty"` // the vendor takes any attribute, not only Fields
	Fields       []Field  `json:"fields,omitempty"`
	Limits       []string `json:"limits,omitempty"` // in words, for describe and the docs
}

// Option is a flag of import and plan, off unless the user sets it: --allow-group-send. It lets through what an import
// does not do by itself.
type Option struct {
	Name  string `json:"name"`
	Doc   string `json:"doc"`
	Modes []Mode `json:"modes,omitempty"` // the modes it is for; none: all of them
	Batch int    `json:"batch,omitempty"` // records in one call at most if it is set; 0: as without it
}

// Option finds an option by name.
func (o *Object) Option(name string) (*Option, bool) {
	for i := range o.Options {
		if o.Options[i].Name == name {
			return &o.Options[i], true
		}
	}
	return nil, false
}

// BatchFor is how many records one call of an import takes at most, 1 or more. on tells which options are set; nil: none.
func (o *Object) BatchFor(m Mode, on map[string]bool) int {
	n := o.MaxBatch
	if b, ok := o.Batches[m]; ok {
		n = b
	}
	for _, x := range o.Options {
		if on[x.Name] && x.Batch > 0 && (len(x.Modes) == 0 || slices.Contains(x.Modes, m)) {
			n = x.Batch
		}
	}
	return max(n, 1)
}

// ExportInfo says how an object can be exported.
type ExportInfo struct {
	All     bool     `json:"all,omitempty"`     // everything at once
	ByID    bool     `json:"by_id,omitempty"`   // one record, --id
	Search  bool     `json:"search,omitempty"`  // --search
	Terms   bool     `json:"terms,omitempty"`   // --search may be repeated: what any of the terms finds
	Filters []Filter `json:"filters,omitempty"` // --filter NAME=VALUE
	Sorts   []string `json:"sorts,omitempty"`   // --sort FIELD
	Expand  bool     `json:"expand,omitempty"`  // --expand asks for related records in full
	Since   string   `json:"since,omitempty"`   // the field that --since compares, "" if the object has none
	Shape   string   `json:"shape,omitempty"`   // what a list of points is on a map: line or polygon
	Doc     string   `json:"doc,omitempty"`     // what the export can't cover
}

// Any reports whether there is any way to export the object.
func (e ExportInfo) Any() bool { return e.All || e.ByID || e.Search }

// Filter is one named filter of a vendor's list.
type Filter struct {
	Name string `json:"name"`
	Doc  string `json:"doc,omitempty"`
}

// Field is one field of an object. A field that nests is named with dots: preference.from_price. A name that ends in
// ".*" stands for all names that begin so: fields.* for fields.3.
type Field struct {
	Name     string            `json:"name,omitempty"`
	Type     Type              `json:"type,omitempty"`
	Rules    string            `json:"rules,omitempty"`     // rules for a value that is there, in validator/v10's language: "max=255"
	In       map[Mode]string   `json:"in,omitempty"`        // rules that hold in one mode, also for a missing value: "required", "required_without=company"
	Values   []string          `json:"values,omitempty"`    // the choices of an Enum, as the vendor spells them
	Same     map[string]string `json:"same,omitempty"`      // other spellings of choices that mean the same: gray → grey
	Aliases  []string          `json:"aliases,omitempty"`   // column names that mean this field
	ReadOnly bool              `json:"read_only,omitempty"` // the vendor sets it
	NoExport bool              `json:"no_export,omitempty"` // the vendor does not return it
	Modes    []Mode            `json:"modes,omitempty"`     // the import modes that take it; none: all of them
	Doc      string            `json:"doc,omitempty"`
	Source   string            `json:"source,omitempty"`  // where the fact comes from: a place in the vendor's document, or "guess" with the reason
	Example  string            `json:"example,omitempty"` // a valid cell
}

// Field finds a field by its exact name, or as one of a family such as fields.*; that one comes under the name itself.
func (o *Object) Field(name string) (*Field, bool) {
	for i := range o.Fields {
		if o.Fields[i].Name == name && !o.Fields[i].Family() {
			return &o.Fields[i], true
		}
	}
	for i := range o.Fields {
		if prefix, ok := strings.CutSuffix(o.Fields[i].Name, "*"); ok && len(name) > len(prefix) && strings.HasPrefix(name, prefix) {
			f := o.Fields[i]
			f.Name = name
			return &f, true
		}
	}
	return nil, false
}

// Family reports whether the field stands for all names that begin like its own.
func (f *Field) Family() bool { return strings.HasSuffix(f.Name, ".*") }

// Match finds the field that a column means by its name or an alias; case, blanks, "_" and "-" aside. Of a family's
// names, case counts after the family's own part.
func (o *Object) Match(column string) (*Field, bool) {
	key := Fold(column)
	if key == "" {
		return nil, false
	}
	for i := range o.Fields {
		if Fold(o.Fields[i].Name) == key && !o.Fields[i].Family() {
			return &o.Fields[i], true
		}
	}
	for i := range o.Fields {
		for _, a := range o.Fields[i].Aliases {
			if Fold(a) == key {
				return &o.Fields[i], true
			}
		}
	}
	head, rest, nested := strings.Cut(strings.TrimSpace(column), ".")
	if !nested {
		return nil, false
	}
	for i := range o.Fields {
		if prefix, ok := strings.CutSuffix(o.Fields[i].Name, "*"); ok && Fold(prefix) == Fold(head)+"." {
			return o.Field(prefix + rest)
		}
	}
	return nil, false
}

// Fold reduces a column's or field's name to what is compared: lower case, without blanks, "_" and "-".
func Fold(name string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\n', '\r', '\u00a0', '_', '-', '\ufeff':
			return -1
		}
		return r
	}, strings.ToLower(name))
}

// Takes reports whether an import in the mode can write the field.
func (f *Field) Takes(m Mode) bool {
	if f.ReadOnly {
		return false
	}
	for _, x := range f.Modes {
		if x == m {
			return true
		}
	}
	return len(f.Modes) == 0
}

// HasMode reports whether the object can be imported in the mode.
func (o *Object) HasMode(m Mode) bool {
	for _, x := range o.Modes {
		if x == m {
			return true
		}
	}
	return false
}

// Interval is the shortest time between two calls at a rate of so many a second.
func Interval(rate float64) time.Duration {
	if rate <= 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / rate)
}
