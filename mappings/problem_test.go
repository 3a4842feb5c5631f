package mappings

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/schema"
	"github.com/crmetl/crmetl/transforms"
)

func transformNames() []string { return transforms.Names() }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// problemCases are mappings with problems: what is reported, each line as line:column: part of the message. The columns
// of the file are A, B and First Name.
var problemCases = []struct {
	name  string
	text  string
	want  []string
	shape bool // the JSON Schema finds it too
}{
	{"empty", "", []string{"1:1: empty"}, false},
	{"comment only", "# hi\n", []string{"1:1: empty"}, false},
	{"a list", "- a\n", []string{"1:1: the mapping is a list"}, true},
	{"a text", "hello\n", []string{"1:1: the mapping is one value"}, true},
	{"two documents", "fields: {email: A}\n---\nfields: {email: A}\n", []string{"3:7: second document"}, false},
	{"syntax", "fields: {email: A\nmode: create\n", []string{"2:1: "}, false},
	{"tab", "fields:\n\temail: A\n", []string{"2:1: tab"}, false},
	{"not UTF-8", "fields:\n  email: \xff\n", []string{"2:10: not UTF-8"}, false},
	{"NUL", "fields:\n  email: a\x00\n", []string{"2:1: NUL"}, false},
	{"unknown key", "feilds: {email: A}\nfields: {email: A}\n", []string{"1:1: unknown key feilds in the mapping (did you mean fields?)"}, true},
	{"duplicate keys", "mode: create\nfields:\n  email: A\n  email: B\nmode: update\n", []string{"4:3: key email stands twice (it stands in line 3", "5:1: key mode stands twice"}, false},
	{"anchors", "fields:\n  email: &c {column: A}\n  mobile: *c\n  notes: *d\n", []string{"4:10: alias *d stands for nothing"}, false},
	{"endless alias", "fields: &f\n  email: *f\n", []string{"2:10: would never end"}, false},
	{"merge key", "fields:\n  email: &c {column: A}\n  mobile: {<<: *c}\n", []string{"3:12: merge keys"}, false},
	{"tag", "fields:\n  email: !!str A\n", []string{"2:10: tag !!str"}, false},
	{"version", "version: 2\nfields: {email: A}\n", []string{"1:10: version 2"}, true},
	{"target", "target: leads\nfields: {email: A}\n", []string{"1:9: no target (write CONNECTION/OBJECT"}, true},
	{"mode", "mode: creat\nfields: {email: A}\n", []string{"1:7: mode is creat; it is one of"}, true},
	{"nothing mapped", "version: 1\n", []string{"1:1: maps nothing"}, true},
	{"source", "source: {fromat: csv, header_row: 0, delimiter: ab, format: ods, sheet: [1]}\nfields: {email: A}\n", []string{
		"1:10: unknown key fromat in source (did you mean format?)", "1:35: header_row", "1:49: delimiter", "1:61: format", "1:73: sheet is a list"}, true},
	{"field without source", "fields:\n  email:\n  mobile: A\n", []string{"2:3: field email has no source"}, true},
	{"field as a list", "fields:\n  email: [A, B]\n", []string{"2:10: field email is a list (write email: {column: [A, B]})"}, true},
	{"unknown entry key", "fields:\n  email: {column: A, aply: [lower]}\n", []string{"2:22: unknown key aply in field email (did you mean apply?)"}, true},
	{"two sources", "fields:\n  email: {column: A, value: x}\n", []string{"2:29: field email has column and value"}, true},
	{"only a default", "fields:\n  email: {default: x}\n", []string{"2:3: field email has no source (write value for a constant)"}, true},
	{"constant with apply", "fields:\n  email: {value: x, apply: [lower]}\n", []string{"2:28: nothing to work on"}, true},
	{"column twice", "fields:\n  email: {column: [A, A]}\n", []string{"2:23: column A stands twice"}, true},
	{"column of the wrong kind", "fields:\n  email: {column: {a: b}}\n", []string{"2:19: column is a block of keys"}, true},
	{"apply is no list", "fields:\n  email: {column: A, apply: lower}\n", []string{"2:29: apply is one value, where a list is needed (write [lower])"}, true},
	{"unknown transform", "fields:\n  email: {column: A, apply: [lowr, {splt: \",\"}]}\n", []string{"2:30: unknown transform lowr (did you mean lower?)", "2:37: unknown transform splt (did you mean split?)"}, true},
	{"wrong arguments", "fields:\n  email:\n    column: A\n    apply:\n      - {number: {decimals: \",\"}}\n      - {phone: QQ}\n      - split\n      - {lower: x}\n", []string{
		"5:19: number: option decimals is unknown; there is decimal, group, strip (did you mean decimal?)", "6:17: phone: \"QQ\" is no country code", "7:9: split: wants the separator", "8:17: lower: takes no argument"}, false},
	{"two in one step", "fields:\n  email: {column: A, apply: [{lower: , upper: }]}\n", []string{"2:30: a step of apply has 2 names"}, true},
	{"map", "fields:\n  email: {column: A, map: [a]}\n  notes: {column: B, map: {}}\n", []string{"2:27: map is a list", "3:27: map is a block of keys"}, true},
	{"map twice", "fields:\n  email: {column: A, map: {' a': x, 'a ': y}}\n", []string{"2:37: map names a twice"}, false},
	{"otherwise", "fields:\n  email: {column: A, map: {a: b}, otherwise: drop}\n  notes: {column: B, otherwise: keep}\n", []string{"2:46: otherwise is reject, keep or {value: …} (write {value: drop}", "3:33: otherwise has no map"}, true},
	{"blank", "blank: skip\nfields:\n  email: {column: A, blank: no}\n", []string{"1:8: blank is skip; it is one of omit, clear, reject", "3:29: blank is no"}, true},
	{"tests", "fields: {email: A}\ntests:\n  - {want: {email: x}}\n  - {row: {A: x}}\n  - {row: {A: x}, want: {email: x}, reject: [email]}\n  - {row: [x], wnat: 1, skip: true}\n", []string{
		"3:5: a test has no row", "4:5: says 0 things", "5:5: says 2 things", "6:11: row is a list", "6:16: unknown key wnat in a test (did you mean want?)"}, true},
	{"columns", "columns: {A: [x]}\n", []string{"1:14: the field of column A is a list"}, true},

	{"unknown field", "fields:\n  emial: A\n  mobile: B\n", []string{"2:3: leads has no field emial (did you mean email?)"}, false},
	{"unknown column", "fields:\n  email: First Nam\n  mobile: {column: [A, C]}\n", []string{"2:10: the file has no column \"First Nam\" (did you mean First Name?)", "3:24: the file has no column C"}, false},
	{"read only", "fields:\n  email: A\n  created: B\n", []string{"3:3: field created is set by the vendor"}, false},
	{"not in this mode", "mode: create\nfields:\n  email: A\n  id: B\n", []string{"4:3: field id is not for create, only for update, delete"}, false},
	{"mode of another object", "mode: upsert\nfields:\n  email: A\n", []string{"1:7: leads has no mode upsert; there is create, update, delete"}, false},
	{"required", "mode: update\nfields:\n  email: A\n", []string{"2:1: required field id is not mapped"}, false},
	{"one of two required", "mode: create\nfields:\n  notes: A\n", []string{"2:1: required field email is not mapped, and neither is mobile"}, false},
	{"target mismatch", "target: mycrm/deals\nfields:\n  email: A\n", []string{"1:9: the mapping is for deals, not for leads"}, false},
	{"group_by", "fields:\n  email: A\ngroup_by: A\n", []string{"3:11: rows are not brought together"}, false},
	{"constants", "fields:\n  email: A\n  status: {value: clsed}\n  rating: {column: B, default: high, map: {a: b}, otherwise: {value: c}}\n", []string{
		"3:19: \"clsed\" is none of the choices", "4:32: \"high\" is not a plain number", "4:47: \"b\" is not a plain number", "4:62: \"c\" is not a plain number"}, false},
	{"expressions", "fields:\n  email: A\n  notes: {expr: 'row[\"it''s\"] + row[\"Agnet\"]'}\n  source: {expr: upper(row.B) + 1}\n  country:\n    expr: |\n      row[\"A\"] +\n        row[\"First Nmae\"]\n  first_name: {expr: \"row[\\\"A\\\"] + trm(row.B)\"}\nskip_when: row[\"A\"] == row.D\n", []string{
		"3:22: unknown column \"it's\"", "4:31: mismatched types", "8:13: unknown column \"First Nmae\" (did you mean First Name?)", "9:36: unknown function trm (did you mean trim?)", "10:28: skip_when: unknown column \"D\""}, false},
	{"condition", "fields: {email: A}\nskip_when: row[\"A\"]\n", []string{"2:12: skip_when: expected bool"}, false},
	{"all at once", "vresion: 1\nfields:\n  emial: A\n  mobile: {column: C, apply: [lowr]}\n  notes: D\n", []string{
		"1:1: unknown key vresion", "3:3: no field emial", "4:31: unknown transform lowr", "5:10: no column D"}, true},
}

func TestProblems(t *testing.T) {
	for _, c := range problemCases {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse("m.yaml", []byte(c.text))
			if m != nil {
				_, err = Compile(m, header(t, "A", "B", "First Name"), leads(), Options{})
			}
			ps, _ := err.(Problems)
			var got []string
			for _, p := range ps {
				got = append(got, p.String())
			}
			for i := range max(len(got), len(c.want)) {
				if i >= len(got) || i >= len(c.want) {
					t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
				}
				at, part, _ := strings.Cut(c.want[i], ": ")
				if !strings.HasPrefix(got[i], "m.yaml:"+at+": ") || !strings.Contains(got[i], part) {
					t.Errorf("got  %s\nwant %s", got[i], c.want[i])
				}
			}
		})
	}
}

func TestCommandDefaults(t *testing.T) {
	h := header(t, "A")
	obj := leads()
	cases := []struct {
		defaults map[string]string
		want     string
	}{
		{map[string]string{"status": "OPEN", "email": "a@b.c"}, ""},
		{map[string]string{"status": "closed"}, `--default status: "closed" is none of the choices`},
		{map[string]string{"statsu": "open"}, "--default statsu: leads has no field statsu (did you mean status?)"},
		{map[string]string{"source": "x"}, "--default source: the mapping gives that field a constant already"},
		{map[string]string{"id": "7"}, "--default id: field id is not for create"},
	}
	for _, c := range cases {
		p, err := Compile(mustParse(t, "fields: {mobile: A, source: {value: web}}"), h, obj, Options{Mode: schema.Create, Defaults: c.defaults})
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: %v, want %q", c.defaults, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(map[string]string{"mobile": "text 1", "source": "text web", "email": "text a@b.c", "status": "text open"}, shown(p, apply(t, p, h, texts("1")...))); diff != "" {
			t.Error(diff)
		}
	}
}
