package mappings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

func TestMatch(t *testing.T) {
	m, ignored, near, err := Match([]string{"FIRST-NAME", "E mail", "Phone", "Sorce", "created", "id", "_row", "zzz"}, leads(), schema.Create)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range m.Fields {
		got = append(got, e.Field+"="+e.Columns[0])
	}
	if diff := cmp.Diff([]string{"first_name=FIRST-NAME", "email=E mail", "mobile=Phone"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Sorce", "created", "id", "zzz"}, ignored); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"Sorce": "source"}, near); diff != "" {
		t.Error(diff)
	}
	if _, _, _, err = Match([]string{"Phone", "mobile"}, leads(), schema.Create); err == nil || !strings.Contains(err.Error(), "both mean field mobile") {
		t.Error(err)
	}
	any := &schema.Object{Name: "events", Modes: []schema.Mode{schema.Send}, AnyField: true, Fields: []schema.Field{{Name: "email", Type: schema.Email}}}
	m, ignored, _, err = Match([]string{"E-Mail", "Shoe size", "_id"}, any, schema.Send)
	if err != nil || len(ignored) != 0 || len(m.Fields) != 2 || m.Fields[1].Field != "Shoe size" {
		t.Errorf("%v %v %v", m, ignored, err)
	}
	p, err := Compile(m, header(t, "E-Mail", "Shoe size", "_id"), any, Options{})
	if err != nil {
		t.Fatal(err)
	}
	row := apply(t, p, header(t, "E-Mail", "Shoe size", "_id"), record.TextOf("a@b.c"), record.NumberOf("42"), record.TextOf("x"))
	if diff := cmp.Diff(map[string]string{"email": "text a@b.c", "Shoe size": "number 42"}, shown(p, row)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"E-Mail", "Shoe size"}, p.Columns()); diff != "" {
		t.Error(diff)
	}
}

func TestExport(t *testing.T) {
	from := header(t, "id", "email", "user.first_name", "created")
	m := mustParse(t, contract)
	p, err := CompileExport(m, []string{"Agent", " id"}, from, leads())
	if err != nil {
		t.Fatal(err)
	}
	cells := []record.Value{record.TextOf("7"), record.TextOf("a@b.c"), record.TextOf(" Bob "), record.Of(record.Date, "2025-01-01")}
	row := apply(t, p, from, cells...)
	if diff := cmp.Diff(map[string]string{"Agent": "text  Bob ", "id": "text 7"}, shown(p, row)); diff != "" {
		t.Error(diff)
	}
	p, err = CompileExport(mustParse(t, "fields: {email: {column: [Mail, Mail 2]}, id: ID, notes: {value: x}}"), nil, from, leads())
	if err != nil || !cmp.Equal([]string{"Mail", "ID"}, p.Header().Names()) {
		t.Error(err)
	}
	for _, c := range []struct {
		columns []string
		want    string
	}{
		{[]string{"emial"}, "no field emial (did you mean email?)"}, {[]string{"id", "id"}, "stands twice"}, {nil, "names no columns"}, {[]string{"notes"}, "not part of an export"}, {[]string{"E_MAIL"}, "did you mean email?"},
	} {
		if _, err := CompileExport(nil, c.columns, from, leads()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.columns, err, c.want)
		}
	}
	_, err = CompileExport(mustParse(t, "columns:\n  A: id\n  B: nonesuch\n"), nil, from, leads())
	if err == nil || !strings.HasPrefix(err.Error(), "m.yaml:3:6: the export has no field nonesuch") {
		t.Error(err)
	}
}

func TestInit(t *testing.T) {
	columns := []string{"First Name", "E-mail", "Phone", "mobile", "Sorce", "created", "id", "yes", "", "_row", "a: \"b\"\n#\t\u2028c"}
	samples := [][]string{{"", "a@b.c", strings.Repeat("x", 100)}, {"Ada\nKing"}}
	var b bytes.Buffer
	if err := Init(&b, columns, samples, leads(), "mycrm/leads", schema.Create); err != nil {
		t.Fatal(err)
	}
	m, err := Parse("init.yaml", b.Bytes())
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if diff := cmp.Diff([]string{"First Name", "E-mail", "Phone"}, m.Columns()); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{"# Ada King", "# source: Sorce", "# mobile: field mobile has a column already", "# created: field created is set by the vendor", "# id: field id is not for mode create"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := Init(&b, []string{"x"}, nil, leads(), "mycrm/leads", schema.Update); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "# id: COLUMN  # required") {
		t.Error(b.String())
	}
	if _, err := Parse("init.yaml", b.Bytes()); err != nil {
		t.Error(err)
	}
}

// TestShipped: the mappings that ship are good, for Parse and for the JSON Schema.
func TestShipped(t *testing.T) {
	validate := jsonSchema(t)
	list := List()
	if len(list) < 4 {
		t.Fatalf("%d mappings ship", len(list))
	}
	for _, info := range list {
		m, data, err := Load(info.Name)
		if err != nil {
			t.Error(err)
			continue
		}
		if info.Doc == "" || info.Target == "" || info.Mode == "" || len(m.Tests) == 0 {
			t.Errorf("%+v: incomplete", info)
		}
		if err := validate(data); err != nil {
			t.Errorf("%s: %v", info.Name, err)
		}
	}
}

// jsonSchema returns a check of a YAML text against the JSON Schema.
func jsonSchema(t *testing.T) func([]byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(JSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("mapping.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mapping.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(data []byte) error {
		raw, err := yaml.YAMLToJSON(data)
		if err != nil {
			return err
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			return err
		}
		return s.Validate(v)
	}
}

// TestSchemaAgrees: what Parse takes, the JSON Schema takes, and what it refuses for its shape, Parse refuses.
func TestSchemaAgrees(t *testing.T) {
	validate := jsonSchema(t)
	if err := validate([]byte(contract)); err != nil {
		t.Error(err)
	}
	for _, c := range problemCases {
		if c.shape {
			if err := validate([]byte(c.text)); err == nil {
				t.Errorf("%s: the schema takes\n%s", c.name, c.text)
			}
		}
	}
	var s struct {
		Defs struct {
			Transform struct{ Enum []string }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(JSONSchema(), &s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(transformNames(), s.Defs.Transform.Enum); diff != "" {
		t.Error("the schema's transforms are not those of the table:", diff)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/good.yaml", contract)
	write(t, dir+"/bad.yaml", "fields: {a: }")
	m, data, err := Load(dir + "/good.yaml")
	if err != nil || m.Target != "mycrm/leads" || string(data) != contract {
		t.Error(err)
	}
	var ps Problems
	if _, _, err = Load(dir + "/bad.yaml"); !errors.As(err, &ps) {
		t.Error(err)
	}
	if _, _, err = Load(dir); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Error(err)
	}
	if _, _, err = Load("mapmycustomers/custmers"); err == nil || !strings.Contains(err.Error(), "did you mean mapmycustomers/customers?") {
		t.Error(err)
	}
}

func TestSourceOptions(t *testing.T) {
	m := mustParse(t, "source: {format: csv, encoding: windows-1256, delimiter: \"\\t\", sheet: 2, header_row: none, range: A1:K9}\nfields: {a: b}")
	if diff := cmp.Diff(Source{"csv", "windows-1256", "\t", "2", "none", "A1:K9"}, m.Source); diff != "" {
		t.Error(diff)
	}
}

func TestSelfTests(t *testing.T) {
	text := `fields: {first_name: A, email: {column: B, apply: [email]}, preference.locations: {column: C}, vip: {column: D}}
skip_when: row["A"] == "no"
tests:
  - {row: {A: x}, want: {first_name: y}}
  - {row: {A: x}, want: {nonesuch: y}}
  - {row: {B: x}, want: {first_name: null}}
  - {row: {B: x}, reject: [first_name]}
  - {row: {A: x}, reject: true}
  - {row: {A: no}, want: {first_name: no}}
  - {row: {A: yes}, skip: true}
  - {row: {Z: 1}, want: {first_name: null}}
  - {row: {C: "a;b"}, want: {preference.locations: [a]}}
  - {row: {A: no}, skip: true}
  - {row: {B: x, D: maybe}, reject: [email, vip]}
  - {row: {C: "a;b", D: yes}, want: {preference.locations: [a, b], vip: true, first_name: null}}
  - {row: {C: "a;b"}, want: {preference.locations: a;b}}
  - {row: {B: x}, reject: true}
`
	results, err := RunTests(mustParse(t, text), leads(), schema.Create)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"first_name is x, want y", "fills no field nonesuch", "the row is refused", "not refused for first_name", "not refused", "is skipped", "not skipped", "reads no column Z", "want", "", "", "", "", ""}
	for i, r := range results {
		if r.Line != i+4 || (want[i] == "") != (r.Failure == "") || !strings.Contains(r.Failure, want[i]) {
			t.Errorf("line %d: %q, want %q", r.Line, r.Failure, want[i])
		}
	}
	if len(results) != len(want) {
		t.Error(len(results), "results")
	}
}

func TestWrongBatch(t *testing.T) {
	h := header(t, "A")
	p, err := Compile(mustParse(t, "mode: delete\nfields: {id: A}"), h, leads(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(&record.Batch{Header: header(t, "B")}); err == nil {
		t.Error("a batch with other columns passes")
	}
	b := &record.Batch{Header: header(t, "A"), Origin: h}
	r := b.Add()
	r.Values = texts("x", "ragged")
	r.Reject(record.Problem{Rule: "ragged", Message: "too many cells"})
	doubt := b.Add()
	doubt.Values, doubt.Fate = texts("7"), record.Doubt
	if err := p.Apply(b); err != nil {
		t.Fatal(err)
	}
	if b.Rows[0].Values != nil || len(b.Rows[0].Origin) != 2 || len(record.ProblemsOf(b.Rows[0].Err)) != 1 {
		t.Errorf("the refused row became %+v", b.Rows[0])
	}
	if b.Rows[1].Values[0] != record.TextOf("7") || b.Rows[1].Fate != record.Doubt {
		t.Errorf("the row in doubt became %+v", b.Rows[1])
	}
}

func TestOptional(t *testing.T) {
	obj := leads()
	m := mustParse(t, "fields:\n  id: {column: id, optional: true}\n  email: {column: [m1, m2], optional: true}\n  source: {column: s, optional: true, default: web}\n  notes: {column: n, optional: true}\n")
	h := header(t, "m2", "id")
	p, err := Compile(m, h, obj, Options{})
	if err != nil {
		t.Fatal(err)
	}
	row := apply(t, p, h, texts("a@b.c", "7")...)
	if diff := cmp.Diff(map[string]string{"email": "text a@b.c", "source": "text web"}, shown(p, row)); diff != "" {
		t.Error(diff)
	}
	if _, err := Compile(m, header(t, "n"), obj, Options{}); err == nil || !strings.Contains(err.Error(), "required field email") {
		t.Error(err)
	}
	if fmt.Sprint(p.Header().Names()) != "[email source]" {
		t.Error(p.Header().Names())
	}
	p, err = Compile(m, header(t, "m1", "spare", "_row", "n"), obj, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"spare"}, p.Unread()); diff != "" {
		t.Error(diff)
	}
	// An optional expression of columns that the file lacks fills nothing, not even an emptied field.
	m = mustParse(t, "blank: clear\nfields:\n  email: m\n  notes: {expr: 'row?.[\"a\"] + row?.[\"b\"]', optional: true}\n  source: {expr: 'row?.[\"s\"]', optional: true, default: web}\n")
	for columns, want := range map[string]string{"m": "[email source]", "m a": "[email notes source]"} {
		p, err := Compile(m, header(t, strings.Fields(columns)...), obj, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(p.Header().Names()); got != want {
			t.Errorf("a file of %s fills %s, want %s", columns, got, want)
		}
	}
	m = mustParse(t, "fields: {email: m, notes: {expr: 'row[\"a\"]'}}")
	if _, err := Compile(m, header(t, "m"), obj, Options{}); err == nil || !strings.Contains(err.Error(), "unknown column") {
		t.Error(err)
	}
}
