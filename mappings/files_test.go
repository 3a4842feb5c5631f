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

	"github.com/crmetl/crmetl/internal/columns"
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
	if err := Init(&b, columns, samples, leads(), "mycrm/leads", schema.Create, Facts{}); err != nil {
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
	if err := Init(&b, []string{"x"}, nil, leads(), "mycrm/leads", schema.Update, Facts{}); err != nil {
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
	m := mustParse(t, "source: {format: csv, encoding: windows-1256, delimiter: \"\\t\", sheet: 2, header_row: none, range: A1:K9, quote: \"'\", escape: none, comment: \"#\"}\nfields: {a: b}")
	if diff := cmp.Diff(Source{Format: "csv", Encoding: "windows-1256", Delimiter: "\t", Sheet: "2", HeaderRow: "none", Range: "A1:K9", Quote: "'", Escape: "none", Comment: "#"}, m.Source); diff != "" {
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

// TestSourceOfWorkbooks reads what a mapping says of a workbook's rows and cells.
func TestSourceOfWorkbooks(t *testing.T) {
	m := mustParse(t, "source: {header_row: 2-3, skip_hidden: true, fill_merged: true}\nfields: {a: b}")
	if got := m.Source; got.HeaderRow != "2-3" || !got.SkipHidden || !got.FillMerged {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"source: {header_row: 3-2}", "source: {header_row: 2-}", "source: {skip_hidden: maybe}"} {
		if _, err := Parse("m.yaml", []byte("version: 1\n"+bad+"\nfields: {a: b}\n")); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// TestSoftDefaults keeps defaults out of the rows of an update, where the vendor's record is read first.
func TestSoftDefaults(t *testing.T) {
	obj := &schema.Object{Name: "leads", Modes: []schema.Mode{schema.Create, schema.Update}, SoftDefaults: true, Fields: []schema.Field{
		{Name: "id", Type: schema.ID}, {Name: "status", Type: schema.Enum, Values: []string{"new", "old"}}, {Name: "title", Type: schema.Text}, {Name: "price", Type: schema.Integer},
	}}
	m := mustParse(t, "fields:\n  id: id\n  status: {column: status, default: New}\n  title: {column: title, optional: true, default: mr}\n")
	o := Options{Mode: schema.Update, Defaults: map[string]string{"price": "5"}}
	p, err := Compile(m, header(t, "id", "status"), obj, o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"id", "status"}, p.Header().Names()); diff != "" {
		t.Error(diff)
	}
	want := map[string]record.Value{"status": record.TextOf("new"), "title": record.TextOf("mr"), "price": record.NumberOf("5")}
	if diff := cmp.Diff(want, p.Defaults(), cmp.AllowUnexported(record.Value{})); diff != "" {
		t.Error(diff)
	}
	b := &record.Batch{Header: p.in}
	row := b.Add()
	row.Values = []record.Value{record.TextOf("1"), record.TextOf("")}
	if err := p.Apply(b); err != nil || b.Rows[0].Values[1].Kind() != record.Absent {
		t.Errorf("%v, %v", b.Rows[0].Values, err)
	}
	o.Mode = schema.Create
	if p, err = Compile(m, header(t, "id", "status"), obj, o); err != nil || p.Defaults() != nil || len(p.Header().Names()) != 4 {
		t.Errorf("%v, %v, %v", p.Header().Names(), p.Defaults(), err)
	}
}

// TestInitPins writes down what a file's columns prove, and shows both readings of what they leave open.
func TestInitPins(t *testing.T) {
	obj := &schema.Object{Name: "leads", Modes: []schema.Mode{schema.Create}, Fields: []schema.Field{
		{Name: "born", Type: schema.Date}, {Name: "met", Type: schema.Date}, {Name: "seen", Type: schema.DateTime}, {Name: "iso", Type: schema.Date},
		{Name: "stamp", Type: schema.DateTime}, {Name: "price", Type: schema.Number}, {Name: "rooms", Type: schema.Integer}, {Name: "size", Type: schema.Number},
		{Name: "zip", Type: schema.Text},
	}}
	names := []string{"born", "met", "seen", "iso", "stamp", "price", "rooms", "size", "zip"}
	p := columns.New(names)
	for _, row := range [][]string{
		{"31/01/2026", "03/04/2026", "1.2.2026 10:30", "2026-01-31", "2026-01-31T10:00", "1.234,50", "1,234", "7", "01234"},
		{"01/02/2026", "05/06/2026", "31.12.2026 23:59", "2026-02-01", "2026-01-31 10:00", "7,5", "2,345", "8.5", "90210"},
	} {
		var cells []record.Value
		for _, c := range row {
			cells = append(cells, record.TextOf(c))
		}
		p.Add(cells)
	}
	var b strings.Builder
	facts := Facts{Source: Source{Encoding: "windows-1252", Delimiter: ";", Quote: `"`, HeaderRow: "3"}, Profile: p}
	if err := Init(&b, names, nil, obj, "mycrm/leads", schema.Create, facts); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"source: {encoding: windows-1252, delimiter: ';', quote: '\"', header_row: 3}\n",
		"  born: {column: born, apply: [{date: DD/MM/YYYY}]}  # the day comes first",
		"  # met: which of the numbers is the day can't be told: \"03/04/2026\" is 3 April 2026 as DD/MM/YYYY, and 4 March 2026 as MM/DD/YYYY",
		"  # met: {column: met, apply: [{date: DD/MM/YYYY}]}\n  # met: {column: met, apply: [{date: MM/DD/YYYY}]}\n  met: met\n",
		"  seen: {column: seen, apply: [{datetime: {format: 'DD.MM.YYYY HH:mm', zone: UTC}}]}  # the day comes first",
		"  iso: iso\n",
		"  stamp: {column: stamp, apply: [{datetime: {zone: UTC}}]}  # no time zone stands in the cells",
		"  price: {column: price, apply: [{number: {decimal: ',', group: '.'}}]}  # the comma is the decimal sign",
		"  # rooms: {column: rooms, apply: [{integer: {decimal: ',', group: '.'}}]}\n  # rooms: {column: rooms, apply: [{integer: {decimal: '.', group: ','}}]}\n",
		"  size: size\n", "  zip: zip\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s\nlacks %s", b.String(), want)
		}
	}
	m := mustParse(t, b.String())
	if diff := cmp.Diff(facts.Source, m.Source); diff != "" {
		t.Error(diff)
	}
	if _, err := Compile(m, record.LooseHeader(names), obj, Options{Mode: schema.Create}); err != nil {
		t.Error(err)
	}
	// Whichever line is chosen, it is good, and reads the column as it says.
	chosen := strings.NewReplacer("  # met: {column: met, apply: [{date: MM", "  met: {column: met, apply: [{date: MM", "  met: met\n", "", "  # rooms: {column: rooms, apply: [{integer: {decimal: '.'", "  rooms: {column: rooms, apply: [{integer: {decimal: '.'").Replace(b.String())
	prog, err := Compile(mustParse(t, chosen), record.LooseHeader(names), obj, Options{Mode: schema.Create})
	if err != nil {
		t.Fatal(err)
	}
	batch := &record.Batch{Header: record.LooseHeader(names)}
	row := batch.Add()
	for _, c := range []string{"31/01/2026", "03/04/2026", "31.12.2026 23:59", "2026-01-31", "2026-01-31 10:00", "1.234,50", "1,234", "8.5", "01234"} {
		row.Values = append(row.Values, record.TextOf(c))
	}
	if err := prog.Apply(batch); err != nil || batch.Rows[0].Err != nil {
		t.Fatal(err, batch.Rows[0].Err)
	}
	got := map[string]string{}
	for i, n := range prog.Header().Names() {
		got[n] = batch.Rows[0].Values[i].Cell()
	}
	want := map[string]string{"born": "2026-01-31", "met": "2026-03-04", "seen": "2026-12-31T23:59:00Z", "iso": "2026-01-31", "stamp": "2026-01-31T10:00:00Z", "price": "1234.50", "rooms": "1234", "size": "8.5", "zip": "01234"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
