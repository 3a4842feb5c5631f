package mappings

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// leads is an object with a field of every type.
func leads() *schema.Object {
	writes := []schema.Mode{schema.Create, schema.Update}
	return &schema.Object{
		Name: "leads", Modes: []schema.Mode{schema.Create, schema.Update, schema.Delete}, GroupBy: "",
		Fields: []schema.Field{
			{Name: "id", Type: schema.ID, Modes: []schema.Mode{schema.Update, schema.Delete}, In: map[schema.Mode]string{schema.Update: "required", schema.Delete: "required"}},
			{Name: "first_name", Type: schema.Text, Modes: writes},
			{Name: "email", Type: schema.Email, Modes: writes, Aliases: []string{"E-mail"}, In: map[schema.Mode]string{schema.Create: "required_without=mobile"}},
			{Name: "mobile", Type: schema.Phone, Modes: writes, Aliases: []string{"Phone"}, In: map[schema.Mode]string{schema.Create: "required_without=email"}},
			{Name: "status", Type: schema.Enum, Modes: writes, Values: []string{"notYetContacted", "open", "grey"}, Same: map[string]string{"gray": "grey"}},
			{Name: "source", Type: schema.Text, Modes: writes},
			{Name: "country", Type: schema.Text, Modes: writes},
			{Name: "preference.from_price", Type: schema.Integer, Modes: writes},
			{Name: "preference.locations", Type: schema.List, Modes: writes},
			{Name: "rating", Type: schema.Number, Modes: writes},
			{Name: "vip", Type: schema.Bool, Modes: writes},
			{Name: "born", Type: schema.Date, Modes: writes},
			{Name: "seen", Type: schema.DateTime, Modes: writes},
			{Name: "visited", Type: schema.Epoch, Modes: writes},
			{Name: "extra", Type: schema.JSON, Modes: writes},
			{Name: "notes", Type: schema.Text, Modes: writes},
			{Name: "created", Type: schema.DateTime, ReadOnly: true},
		},
	}
}

// contract is the example of the command line's contract.
const contract = `version: 1
target: mycrm/leads
mode: create
fields:                                  # field of the vendor: where it comes from
  first_name: First Name                 # a column, copied; blanks at the ends go
  email:      {column: E-mail, apply: [lower]}
  mobile:     {column: [Mobile, Phone], apply: [{phone: AE}]}       # the first column with a value
  status:     {value: notYetContacted}
  source:     {column: Source, map: {PF: propertyfinder, Web: online}, otherwise: reject}   # or keep, or {value: other}
  country:    {column: Country, apply: [country], default: AE}
  preference.from_price: {column: Budget, apply: [integer]}
  preference.locations:  {column: Areas, apply: [{split: ","}]}
  notes:      {expr: 'row["Agent"] + ": " + trim(row["Comment"])'}
skip_when: 'row["Do not import"] == "yes"'
blank: omit                              # an empty cell: omit (leave the field alone), clear, reject; also per field
tests:                                   # run by crmetl mapping test, offline
  - row: {First Name: Ada, Mobile: 050 123 4567, Source: PF}
    want: {first_name: Ada, mobile: "+971501234567", source: propertyfinder}
  - {row: {Mobile: "9.71501E+11"}, reject: [mobile]}
columns:                                 # for export: column of the file: field
  E-mail: email
  Agent: user.first_name
`

var contractColumns = []string{"First Name", "E-mail", "Mobile", "Phone", "Source", "Country", "Budget", "Areas", "Agent", "Comment", "Do not import"}

func mustParse(t testing.TB, text string) *Mapping {
	t.Helper()
	m, err := Parse("m.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func header(t testing.TB, names ...string) *record.Header {
	t.Helper()
	h, err := record.NewHeader(names)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// apply runs one row through a program.
func apply(t testing.TB, p *Program, h *record.Header, cells ...record.Value) *record.Row {
	t.Helper()
	b := &record.Batch{Header: h, Origin: h}
	r := b.Add()
	r.Num, r.Values = 1, cells
	r.Origin = cells
	if err := p.Apply(b); err != nil {
		t.Fatal(err)
	}
	return &b.Rows[0]
}

func texts(s ...string) []record.Value {
	out := make([]record.Value, len(s))
	for i := range s {
		out[i] = record.TextOf(s[i])
	}
	return out
}

// shown renders a row's fields for comparison.
func shown(p *Program, r *record.Row) map[string]string {
	out := map[string]string{}
	for i, v := range r.Values {
		if v.Kind() != record.Absent {
			out[p.Header().Name(i)] = v.Kind().String() + " " + v.Text()
		}
	}
	return out
}

func TestContract(t *testing.T) {
	m := mustParse(t, contract)
	h := header(t, contractColumns...)
	p, err := Compile(m, h, leads(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	row := apply(t, p, h, texts(" Ada ", "ADA@X.COM", "", "050 123 4567", "web", "", "1200", "Marina, JLT", "Bob", " hot ", "no")...)
	want := map[string]string{
		"first_name": "text Ada", "email": "text ada@x.com", "mobile": "text +971501234567", "status": "text notYetContacted", "source": "text online",
		"country": "text AE", "preference.from_price": "number 1200", "preference.locations": `list ["Marina","JLT"]`, "notes": "text Bob: hot",
	}
	if diff := cmp.Diff(want, shown(p, row)); diff != "" || row.Fate != record.Pending {
		t.Error(row.Fate, row.Err, diff)
	}
	if got := row.Origin[0].Text(); got != " Ada " {
		t.Errorf("the cell as it was read is %q now", got)
	}
	if row := apply(t, p, h, texts("Ada", "", "", "", "", "", "", "", "", "", "yes")...); row.Fate != record.Skipped {
		t.Errorf("skip_when: %v %v", row.Fate, row.Err)
	}
	results, err := RunTests(m, leads(), schema.Create)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]TestResult{{Line: 17}, {Line: 19}}, results); diff != "" {
		t.Error(diff)
	}
	x, err := CompileExport(m, nil, header(t, "id", "user.first_name", "email"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"E-mail", "Agent"}, x.Header().Names()); diff != "" {
		t.Error(diff)
	}
}

// TestAllProblemsOfARow: a row is refused for every reason, each with field, column and rule.
func TestAllProblemsOfARow(t *testing.T) {
	h := header(t, contractColumns...)
	p, err := Compile(mustParse(t, contract), h, leads(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	cells := texts("", "a@b.c", "9.71501E+11", "", "Fax", "Atlantis", "12,5", "", "", "", "")
	cells[0] = record.Of(record.Fault, "#N/A")
	row := apply(t, p, h, cells...)
	var got []string
	for _, p := range record.ProblemsOf(row.Err) {
		got = append(got, p.Field+"|"+p.Column+"|"+p.Rule)
	}
	want := []string{"first_name|First Name|cell", "mobile|Mobile|digits", "source|Source|map", "country|Country|country", "preference.from_price|Budget|integer"}
	if diff := cmp.Diff(want, got); diff != "" || row.Fate != record.Rejected {
		t.Errorf("%v %s", row.Err, diff)
	}
	if !strings.Contains(row.Err.Error(), "#N/A") {
		t.Errorf("%v does not name the error", row.Err)
	}
}

func TestConversions(t *testing.T) {
	num, date, stamp := record.NumberOf, func(s string) record.Value { return record.Of(record.Date, s) }, func(s string) record.Value { return record.Of(record.DateTime, s) }
	text := record.TextOf
	cases := []struct {
		field string
		in    record.Value
		want  string // kind and text
		rule  string
	}{
		{"first_name", text("  Ada\u00a0"), "text Ada", ""},
		{"first_name", num("12.50"), "text 12.50", ""},
		{"first_name", record.BoolOf(true), "text TRUE", ""},
		{"first_name", record.ListOf([]string{"a", "b"}), "text a;b", ""},
		{"first_name", text("1.5E+3"), "text 1.5E+3", ""},
		{"first_name", record.Of(record.Fault, "#REF!"), "", "cell"},
		{"mobile", num("971501234567"), "text 971501234567", ""},
		{"mobile", num("971501234567.0"), "text 971501234567", ""},
		{"mobile", num("9.71501E+11"), "", "digits"},
		{"mobile", text("9.71501E+11"), "", "digits"},
		{"mobile", text("050 123"), "text 050 123", ""},
		{"status", text("NOTYETCONTACTED"), "text notYetContacted", ""},
		{"status", text("Gray"), "text grey", ""},
		{"status", text("opn"), "", "choice"},
		{"preference.from_price", text("+007"), "number 7", ""},
		{"preference.from_price", num("12.00"), "number 12", ""},
		{"preference.from_price", num("12.5"), "", "integer"},
		{"preference.from_price", text("12.0"), "", "integer"},
		{"preference.from_price", text("1e3"), "", "digits"},
		{"preference.from_price", date("2025-01-01"), "", "integer"},
		{"rating", text("-12.50"), "number -12.50", ""},
		{"rating", num("1e21"), "number 1e21", ""},
		{"rating", text("1,5"), "", "number"},
		{"rating", text("NaN"), "", "number"},
		{"rating", text(".5"), "", "number"},
		{"vip", text("YES"), "boolean true", ""},
		{"vip", num("0"), "boolean false", ""},
		{"vip", text("y"), "", "boolean"},
		{"born", text("1815-12-10"), "date 1815-12-10", ""},
		{"born", stamp("1815-12-10T00:00:00"), "date 1815-12-10", ""},
		{"born", stamp("1815-12-10T10:00:00"), "", "date"},
		{"born", text("1815-02-29"), "", "date"},
		{"born", text("10/12/1815"), "", "date"},
		{"born", num("45000"), "", "date"},
		{"seen", text("2025-04-03T10:00:00+04:00"), "date and time 2025-04-03T10:00:00+04:00", ""},
		{"seen", stamp("2025-04-03T10:00:00"), "date and time 2025-04-03T10:00:00Z", ""},
		{"seen", date("2025-04-03"), "date and time 2025-04-03T00:00:00Z", ""},
		{"seen", text("yesterday"), "", "datetime"},
		{"visited", text("1464295966"), "number 1464295966", ""},
		{"visited", text("2016-05-26T20:52:46Z"), "number 1464295966", ""},
		{"visited", num("1464295966.0"), "number 1464295966", ""},
		{"visited", text("1464295966000"), "", "epoch"},
		{"visited", num("1.5"), "", "epoch"},
		{"preference.locations", text("a; b;;a ;c"), `list ["a","b","c"]`, ""},
		{"preference.locations", text(`["a;b", 2, null, "a;b"]`), `list ["a;b","2"]`, ""},
		{"preference.locations", text(`[x]`), "", "list"},
		{"preference.locations", text(`[x] y;z`), `list ["[x] y","z"]`, ""},
		{"preference.locations", text(";;"), "", ""},
		{"preference.locations", text("[]"), "", ""},
		{"preference.locations", num("5"), `list ["5"]`, ""},
		{"preference.locations", record.ListOf([]string{" a", "a", ""}), `list ["a"]`, ""},
		{"extra", text(`{"a": 1}`), `json {"a": 1}`, ""},
		{"extra", text("x"), "", "json"},
		{"extra", record.Of(record.JSON, `{"b":2}`), `json {"b":2}`, ""},
		{"first_name", record.NullOf(), "", ""},
		{"first_name", record.ListOf(nil), "", ""},
		{"first_name", record.Value{}, "", ""},
	}
	obj := leads()
	obj.Fields[2].In, obj.Fields[3].In = nil, nil
	for _, c := range cases {
		h := header(t, "C")
		p, err := Compile(mustParse(t, "fields: {"+c.field+": C}"), h, obj, Options{})
		if err != nil {
			t.Fatal(err)
		}
		row := apply(t, p, h, c.in)
		ps := record.ProblemsOf(row.Err)
		switch {
		case c.rule != "" && (len(ps) != 1 || ps[0].Rule != c.rule || ps[0].Field != c.field || ps[0].Column != "C" || row.Fate != record.Rejected):
			t.Errorf("%s of %v: %v, want rule %s", c.field, c.in, row.Err, c.rule)
		case c.rule == "" && (row.Err != nil || shown(p, row)[c.field] != c.want):
			t.Errorf("%s of %v: %q %v, want %q", c.field, c.in, shown(p, row)[c.field], row.Err, c.want)
		}
	}
}

func TestIDsKeepEveryDigit(t *testing.T) {
	h := header(t, "C")
	m := mustParse(t, "mode: delete\nfields: {id: C}")
	for _, c := range []struct {
		exact bool
		in    record.Value
		want  string
	}{
		{false, record.NumberOf("123456789012345"), "123456789012345"}, {false, record.NumberOf("1234567890123456"), ""}, {true, record.NumberOf("1234567890123456"), "1234567890123456"},
		{true, record.NumberOf("1e21"), ""}, {false, record.TextOf("00012345678901234567"), "00012345678901234567"}, {false, record.TextOf("1.2E+14"), ""},
	} {
		p, err := Compile(m, h, leads(), Options{ExactNumbers: c.exact})
		if err != nil {
			t.Fatal(err)
		}
		row := apply(t, p, h, c.in)
		if ps := record.ProblemsOf(row.Err); (c.want == "") != (len(ps) == 1 && ps[0].Rule == "digits") || c.want != "" && row.Values[0] != record.TextOf(c.want) {
			t.Errorf("%v exact %v: %v %v", c.in, c.exact, row.Values, row.Err)
		}
	}
}

func TestSemantics(t *testing.T) {
	cases := []struct {
		name, fields string
		options      Options
		cells        string // of columns A and B, split by |
		want         string // of first_name, as kind and text; "!" and a rule for a refusal
	}{
		{"copied", "A", Options{}, " x |", "text x"},
		{"second candidate", "{column: [A, B]}", Options{}, " |y", "text y"},
		{"map is exact first", "{column: A, map: {a: small, A: big}}", Options{}, "A|", "text big"},
		{"map ignores case", "{column: A, map: {Abc: x}}", Options{}, " aBC |", "text x"},
		{"map in doubt refuses", "{column: A, map: {ab: x, AB: y}}", Options{}, "Ab|", "!map"},
		{"map keeps", "{column: A, map: {a: x}, otherwise: keep}", Options{}, "q|", "text q"},
		{"map has another", "{column: A, map: {a: x}, otherwise: {value: z}}", Options{}, "q|", "text z"},
		{"map refuses", "{column: A, map: {a: x}}", Options{}, "q|", "!map"},
		{"map passes empty cells", "{column: A, map: {a: x}}", Options{}, " |", ""},
		{"map names empty cells", "{column: A, map: {a: x, '': none}}", Options{}, " |", "text none"},
		{"map empties", "{column: A, map: {'-': null}}", Options{}, "-|", "null "},
		{"map gives nothing", "{column: A, map: {'-': ''}, default: d}", Options{}, "-|", "text d"},
		{"apply before map", "{column: A, apply: [lower], map: {a: x}}", Options{}, "A|", "text x"},
		{"apply in order", "{column: A, apply: [{replace: [a, b]}, upper]}", Options{}, "a|", "text B"},
		{"apply refuses by its name", "{column: A, apply: [email]}", Options{}, "a|", "!email"},
		{"default", "{column: A, default: d}", Options{}, " |", "text d"},
		{"default from the command", "{column: A, default: d}", Options{Defaults: map[string]string{"first_name": "e"}}, "|", "text e"},
		{"no default for a value", "{column: A, default: d}", Options{}, "x|", "text x"},
		{"default null empties", "{column: A, default: null}", Options{}, "|", "null "},
		{"blank omits", "A", Options{}, "|", ""},
		{"blank clears", "A", Options{Blank: "clear"}, " |", "null "},
		{"blank refuses", "A", Options{Blank: "reject"}, "|", "!blank"},
		{"blank of the field", "{column: A, blank: omit}", Options{Blank: "reject"}, "|", ""},
		{"constant", "{value: 007}", Options{}, "|", "text 007"},
		{"constant number", "{value: -5.0}", Options{}, "|", "text -5.0"},
		{"constant in hex", "{value: 0x1F}", Options{}, "|", "text 0x1F"},
		{"constant boolean", "{value: True}", Options{}, "|", "text True"},
		{"constant date", "{value: 2024-01-01}", Options{}, "|", "text 2024-01-01"},
		{"constant in quotes", `{value: "a\tb"}`, Options{}, "|", "text a\tb"},
		{"constant list", "{value: [a, b]}", Options{}, "|", "text a;b"},
		{"constant text over lines", "\n    value: >-\n      a\n      b\n", Options{}, "|", "text a b"},
		{"map of scalars", "{column: A, map: {1: one, true: two, null: three, ~: four, 1.50: five, 0x1F: six}}", Options{}, "1|", "text one"},
		{"map of true", "{column: A, map: {1: one, true: two}}", Options{}, "TRUE|", "text two"},
		{"map of null", "{column: A, map: {null: three}}", Options{}, "null|", "text three"},
		{"map of a number as written", "{column: A, map: {1.50: five}}", Options{}, "1.50|", "text five"},
		{"constant null", "{value: null}", Options{}, "|", "null "},
		{"expression", `{expr: 'row["A"] + row.B'}`, Options{}, "x|y", "text xy"},
		{"expression of nothing", `{expr: 'row["A"] == "" ? nil : "q"', default: d}`, Options{}, "|", "text d"},
		{"expression that fails", `{expr: 'string(int(row["A"]))'}`, Options{}, "x|", "!expr"},
		{"expression, then apply", `{expr: 'row["A"]', apply: [upper]}`, Options{}, "x|", "text X"},
	}
	obj := leads()
	obj.Fields[2].In, obj.Fields[3].In = nil, nil
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := header(t, "A", "B")
			p, err := Compile(mustParse(t, "version: 1\nfields:\n  first_name: "+c.fields), h, obj, c.options)
			if err != nil {
				t.Fatal(err)
			}
			row := apply(t, p, h, texts(strings.Split(c.cells, "|")...)...)
			got := shown(p, row)["first_name"]
			if ps := record.ProblemsOf(row.Err); len(ps) > 0 {
				got = "!" + ps[0].Rule
			}
			if got != c.want {
				t.Errorf("%q, want %q (%v)", got, c.want, row.Err)
			}
		})
	}
}

func TestListsAreMappedItemByItem(t *testing.T) {
	h := header(t, "A")
	obj := leads()
	obj.Fields[2].In, obj.Fields[3].In = nil, nil
	p, err := Compile(mustParse(t, `fields: {preference.locations: {column: A, apply: [{split: ","}, upper], map: {M: Marina, J: [JBR, JLT]}, otherwise: keep}}`), h, obj, Options{})
	if err != nil {
		t.Fatal(err)
	}
	row := apply(t, p, h, texts("m, j,x,")...)
	if got := row.Values[0].Text(); got != `["Marina","JBR","JLT","X"]` {
		t.Error(got, row.Err)
	}
}

func TestGroups(t *testing.T) {
	obj := leads()
	obj.GroupBy = "source"
	obj.Fields[2].In, obj.Fields[3].In = nil, nil
	h := header(t, "Order ID", "S")
	cases := []struct{ text, by, key string }{
		{"fields: {first_name: S}\ngroup_by: Order ID", "Order ID", "7"},
		{"fields: {source: {column: S, apply: [lower]}}", "source", "web"},
		{"fields: {first_name: S}", "", ""},
	}
	for _, c := range cases {
		p, err := Compile(mustParse(t, c.text), h, obj, Options{})
		if err != nil {
			t.Fatal(err)
		}
		before := p.GroupKey(&record.Row{Origin: texts(" 7", "WEB")})
		after := p.GroupKey(apply(t, p, h, texts(" 7", "WEB")...))
		if p.GroupBy() != c.by || before != c.key || after != c.key {
			t.Errorf("%s: by %q, key %q then %q", c.text, p.GroupBy(), before, after)
		}
		if got := p.GroupKey(&record.Row{}); got != "" {
			t.Errorf("a short row has the key %q", got)
		}
	}
	obj.GroupBy = "*"
	p, err := Compile(mustParse(t, "fields: {first_name: S}"), h, obj, Options{})
	if err != nil || p.GroupBy() != "*" || p.GroupKey(&record.Row{}) != "*" {
		t.Errorf("the whole file: %v", err)
	}
}
