package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
)

// Digest names what the table says about an object, as 64 hexadecimal digits: a run that was begun under other rules
// is not carried on. Texts that only explain (titles, docs, sources, examples, limits in words) do not count.
func (o *Object) Digest() string { return digest(o.rulesOnly()) }

// Digest names what the table says about a vendor and all its objects, as Object.Digest does for one.
func (v *Vendor) Digest() string {
	plain := Vendor{Name: v.Name, Rate: v.Rate}
	for i := range v.Objects {
		plain.Objects = append(plain.Objects, v.Objects[i].rulesOnly())
	}
	return digest(plain)
}

// rulesOnly returns the object without what only explains.
func (o *Object) rulesOnly() Object {
	p := *o
	p.Title, p.Doc, p.Limits, p.Export.Doc = "", "", nil, ""
	p.Export.Filters = slices.Clone(o.Export.Filters)
	for i := range p.Export.Filters {
		p.Export.Filters[i].Doc = ""
	}
	p.Options = slices.Clone(o.Options)
	for i := range p.Options {
		p.Options[i].Doc = ""
	}
	p.Fields = slices.Clone(o.Fields)
	for i := range p.Fields {
		p.Fields[i].Doc, p.Fields[i].Source, p.Fields[i].Example = "", "", ""
	}
	return p
}

func digest(table any) string {
	text, err := json.Marshal(table) // maps are written in order of their keys
	if err != nil {
		// Only a number that JSON does not know can be in the way: a rate of NaN.
		text = []byte(err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
