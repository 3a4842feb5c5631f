package schema

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func acme() *Vendor {
	return &Vendor{
		Name: "acme", Title: "Acme CRM", Docs: "https://example.com/docs", Checked: "2026-11-01", Rate: 3,
		Keys: []ConfigKey{
			{Name: "base_url", Doc: "where the API is", Default: "https://example.com/api"},
			{Name: "password", Doc: "of the account", Required: true, Secret: true},
		},
		Objects: []Object{*people(), {Name: "routes", Title: "Routes", Export: ExportInfo{All: true, Filters: []Filter{{"since", "a day"}}}}},
		Notes:   []string{"it is slow"},
	}
}

// TestDigest changes each part of the table, one at a time, and expects the digest to change exactly if the part says
// something about what is allowed.
func TestDigest(t *testing.T) {
	explains := map[string]bool{
		"Object.Title": true, "Object.Doc": true, "Object.Limits": true, "ExportInfo.Doc": true, "Filter.Doc": true,
		"Option.Doc": true, "Field.Doc": true, "Field.Source": true, "Field.Example": true,
	}
	full := func() *Object {
		return &Object{
			Modes: []Mode{Create}, Export: ExportInfo{Filters: []Filter{{"a", "b"}}, Sorts: []string{"x"}}, KeyFields: []string{"k"}, Confirm: []Mode{Delete},
			Fields: []Field{{Name: "f", In: map[Mode]string{Create: "required"}, Values: []string{"v"}, Same: map[string]string{"a": "b"},
				Aliases: []string{"l"}, Modes: []Mode{Create}}},
			Limits: []string{"l"}, Batches: map[Mode]int{Create: 2}, OrderBy: []string{"k"}, Options: []Option{{Name: "o", Doc: "d", Modes: []Mode{Create}}},
		}
	}
	before := full().Digest()
	if before != full().Digest() || len(before) != 64 {
		t.Fatalf("the digest %q is not stable", before)
	}
	seen := 0
	for i := 0; ; i++ {
		o := full()
		n := 0
		name := ""
		change(reflect.ValueOf(o).Elem(), "Object", func(path string, v reflect.Value) {
			if n == i {
				name = path
				mutate(v)
			}
			n++
		})
		if name == "" {
			break
		}
		seen++
		if changed := o.Digest() != before; changed == explains[name] {
			t.Errorf("after a change of %s the digest is another: %v", name, changed)
		}
	}
	if seen < 25 {
		t.Fatalf("only %d parts of the table were changed", seen)
	}

	v := acme()
	vendor := v.Digest()
	v.Notes, v.Keys = nil, nil
	if v.Digest() != vendor {
		t.Error("notes and settings change the vendor's digest")
	}
	v.Objects[0].Fields[1].Rules = "max=21"
	if v.Digest() == vendor {
		t.Error("another rule leaves the vendor's digest as it is")
	}
}

// change visits each part of a struct.
func change(v reflect.Value, typ string, visit func(string, reflect.Value)) {
	for i := range v.NumField() {
		f, path := v.Field(i), typ+"."+v.Type().Field(i).Name
		switch {
		case f.Kind() == reflect.Struct:
			change(f, f.Type().Name(), visit)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct && f.Len() > 0:
			change(f.Index(0), f.Type().Elem().Name(), visit)
		default:
			visit(path, f)
		}
	}
}

func mutate(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "!")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int:
		v.SetInt(v.Int() + 1)
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case reflect.Map:
		key := reflect.New(v.Type().Key()).Elem()
		key.SetString("new")
		v.SetMapIndex(key, reflect.Zero(v.Type().Elem()))
	default:
		panic("a part of the table has the kind " + v.Kind().String())
	}
}

func TestFamilies(t *testing.T) {
	o := &Object{Fields: []Field{{Name: "id", Type: ID}, {Name: "fields.*", Type: Text, Rules: "max=3"}, {Name: "fields.fixed", Type: Integer}}}
	for _, tt := range []struct{ name, field, match string }{
		{"id", "id", "id"}, {"fields.3", "fields.3", "fields.3"}, {"fields.fixed", "fields.fixed", "fields.fixed"},
		{"Fields.Number of Pets", "", "fields.Number of Pets"}, {"fields.", "", ""}, {"fields", "", ""}, {"fields.*", "fields.*", "fields.*"}, {"other.x", "", ""},
	} {
		name := func(f *Field, ok bool) string {
			if !ok {
				return ""
			}
			return f.Name
		}
		if got := name(o.Field(tt.name)); got != tt.field {
			t.Errorf("Field(%q) = %q, want %q", tt.name, got, tt.field)
		}
		if got := name(o.Match(tt.name)); got != tt.match {
			t.Errorf("Match(%q) = %q, want %q", tt.name, got, tt.match)
		}
	}
	h, b := rowOf(t, o, "fields.3=abcd", "fields.4=abc")
	c, err := NewChecker(o, h, Create)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Apply(b); err != nil {
		t.Fatal(err)
	}
	if err := b.Rows[0].Err; err == nil || !strings.Contains(err.Error(), "fields.3") || strings.Contains(err.Error(), "fields.4") {
		t.Errorf("error = %v, want one of fields.3 alone", err)
	}
}

func TestBatchFor(t *testing.T) {
	o := &Object{MaxBatch: 1, Batches: map[Mode]int{Patch: 50}, Options: []Option{{Name: "bulk", Modes: []Mode{Delete}, Batch: 100}}}
	for _, tt := range []struct {
		mode Mode
		on   map[string]bool
		want int
	}{{Create, nil, 1}, {Patch, nil, 50}, {Delete, nil, 1}, {Delete, map[string]bool{"bulk": true}, 100}, {Create, map[string]bool{"bulk": true}, 1}} {
		if got := o.BatchFor(tt.mode, tt.on); got != tt.want {
			t.Errorf("%s %v: %d, want %d", tt.mode, tt.on, got, tt.want)
		}
	}
	if n := (&Object{}).BatchFor(Create, nil); n != 1 {
		t.Errorf("%d, want 1", n)
	}
}

func TestDescribe(t *testing.T) {
	var b strings.Builder
	if err := Describe(&b, acme(), "people"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"acme/people: People", "create (default), update, delete", "at most 100 records in one call", "3 requests a second",
		"update, delete", "create: unless company is given", "at most 20 characters", "Full Name", "ada@example.com",
		"one of black, green, neon red", "at most 3 items; each item at most 5 characters", "at least price.from", "create: if status is sold",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the description lacks %q:\n%s", want, b.String())
		}
	}
	long := acme()
	long.Objects[0].Fields[5].Values = strings.Split(strings.Repeat("choice ", 20)+"last", " ")
	b.Reset()
	if err := Describe(&b, long, "people"); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); !strings.Contains(s, "one of 21 choices, see below") || !strings.Contains(s, "Choices\n  - color: choice, choice") {
		t.Errorf("a long list of choices is not set apart:\n%s", s)
	}
	b.Reset()
	if err := Describe(&b, acme(), ""); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"acme/people", "acme/routes", "CRMETL_ACME_PASSWORD", "required, secret", "CRMETL_ACME_RATE", "it is slow"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the vendor's description lacks %q:\n%s", want, b.String())
		}
	}
	for line := range strings.Lines(b.String()) {
		if strings.TrimRight(line, " \n") != strings.TrimSuffix(line, "\n") {
			t.Errorf("line %q ends in blanks", line)
		}
	}
	err := Describe(&b, acme(), "poeple")
	if err == nil || !strings.Contains(err.Error(), "did you mean people?") {
		t.Errorf("error = %v", err)
	}
}

func TestMarkdown(t *testing.T) {
	v := acme()
	v.Objects[0].Fields[0].Doc = "a|b <c>"
	v.Objects[0].Fields[0].Source = "page 3"
	var b strings.Builder
	if err := Markdown(&b, v); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Generated from the schema, do not edit", "# Acme CRM", "| source |", "| page 3 |", `a\|b &lt;c&gt;`, "`acme/people`", "last compared on 2026-11-01",
		"`CRMETL_ACME_BASE_URL`", "| `since` | a day |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, b.String())
		}
	}
	columns := 0
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if columns != 0 && n != columns {
			t.Errorf("a row with %d bars in a table with %d: %s", n, columns, line)
		}
		columns = n
	}
	if err := Markdown(brokenWriter{}, v); !errors.Is(err, errFull) {
		t.Errorf("error = %v, want the writer's", err)
	}
}

var errFull = errors.New("disk is full")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, fmt.Errorf("write: %w", errFull) }

func FuzzRules(f *testing.F) {
	for _, s := range []string{"max=255", "email|url", "dive,omitempty,max=3", "required_if=status 'a b'", ",", "=", "oneof='", "dive,dive", "len=", "min=1|", "required_without=f"} {
		f.Add(s)
	}
	h, _ := rowOf(f, people(), "name=x")
	f.Fuzz(func(t *testing.T, rules string) {
		o := people()
		o.Fields = append(o.Fields, Field{Name: "f", Type: Text, Rules: rules, In: map[Mode]string{Create: rules}}, Field{Name: "l", Type: List, Rules: rules})
		c, err := NewChecker(o, h, Create)
		if err != nil {
			return
		}
		_, b := rowOf(t, people(), "name=Ada")
		if err := c.Apply(b); err != nil {
			t.Errorf("rules %q are taken, and then: %v", rules, err)
		}
	})
}
