package mappings

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// FuzzQuick holds the quick ways of steps against the full ones: every cell, whatever is in it, must come out the same,
// and be refused for the same reasons.
func FuzzQuick(f *testing.F) {
	for _, s := range []string{"", " ", "a", " a ", "'=x", "'", "A@Example.COM", "É", "\u00a0x", "x\u3000", "0", "007", "12", "1e5", "9.71501E+11", "++9,7E+11", "-0", "01/31/2024 10:20", "02/30/2024 10:20",
		"1/3/2024 10:20", "01/31/2024 24:00", "2024-01-31", "31.01.2024", "20240131", "2024-01-31T10:20:30", "true", "a;b", "\x7f", "\xff", "'1'", "#N/A", "12 "} {
		f.Add(s, "other", uint8(record.Text))
		f.Add("", s, uint8(record.Text))
	}
	f.Add("12.5", "x", uint8(record.Number))
	f.Add("2024-01-31", "x", uint8(record.Date))
	fields := []schema.Field{
		{Name: "text", Type: schema.Text}, {Name: "lower", Type: schema.Email}, {Name: "upper", Type: schema.Text}, {Name: "two", Type: schema.Text},
		{Name: "id", Type: schema.ID}, {Name: "phone", Type: schema.Phone}, {Name: "int", Type: schema.Integer}, {Name: "num", Type: schema.Number}, {Name: "bool", Type: schema.Bool},
		{Name: "stamp", Type: schema.DateTime}, {Name: "stampText", Type: schema.Text}, {Name: "stamp2", Type: schema.DateTime}, {Name: "day", Type: schema.Date}, {Name: "dayText", Type: schema.Text}, {Name: "epoch", Type: schema.Epoch},
		{Name: "list", Type: schema.List}, {Name: "any", Type: schema.Any}, {Name: "numText", Type: schema.Text}, {Name: "choice", Type: schema.Enum, Values: []string{"Red", "A"}}, {Name: "filled", Type: schema.Text}, {Name: "needed", Type: schema.Text}, {Name: "cleared", Type: schema.Text},
		{Name: "chain", Type: schema.Text},
	}
	obj := &schema.Object{Name: "things", Modes: []schema.Mode{schema.Create}, Fields: fields}
	m, err := Parse("quick.yaml", []byte(`version: 1
target: v/things
fields:
  text: a
  lower: {column: a, apply: [lower]}
  upper: {column: a, apply: [upper]}
  two: {column: [a, b]}
  id: a
  phone: a
  int: a
  num: a
  bool: a
  stamp: {column: a, apply: [{datetime: MM/DD/YYYY HH:mm}]}
  stampText: {column: a, apply: [{datetime: [YYYYMMDD, DD.MM.YYYY]}]}
  stamp2: {column: a, apply: [{datetime: "%Y-%m-%dT%H:%M:%S"}]}
  day: {column: a, apply: [{date: MM/DD/YYYY HH:mm}]}
  dayText: {column: a, apply: [{date: DD.MM.YYYY}]}
  epoch: {column: a, apply: [{datetime: YYYY-MM-DD}]}
  list: a
  any: a
  numText: {column: a, apply: [number]}
  choice: a
  filled: {column: a, default: none}
  needed: {column: a, blank: reject}
  cleared: {column: a, blank: clear}
  chain: {column: [b, a], apply: [trim, lower, upper]}
`))
	if err != nil {
		f.Fatal(err)
	}
	origin := record.LooseHeader([]string{"a", "b"})
	short, err := Compile(m, origin, obj, Options{})
	if err != nil {
		f.Fatal(err)
	}
	full := *short
	full.quick = make([]quick, len(short.steps)) // no step has a quick way
	ways := 0
	for i := range short.quick {
		if short.quick[i].as != byFill {
			ways++
		}
	}
	if ways < len(fields)-1 {
		f.Fatalf("only %d of %d fields have a quick way", ways, len(fields))
	}
	apply := func(p *Program, a, b string, kind record.Kind) ([]record.Value, string) {
		batch := record.Batch{Header: origin}
		for range 2 { // the second time on memory that holds other cells
			batch.Reset()
			batch.Header = origin
			for _, cells := range [][]record.Value{{record.TextOf("another"), record.TextOf("row")}, {record.Of(kind, a), record.TextOf(b)}} {
				row := batch.Add()
				row.Values = append(batch.Room(2)[:0], cells...)
			}
			if err := p.Apply(&batch); err != nil {
				f.Fatal(err)
			}
		}
		row := &batch.Rows[1]
		if row.Err != nil {
			return append([]record.Value(nil), row.Values...), row.Err.Error()
		}
		return append([]record.Value(nil), row.Values...), ""
	}
	f.Fuzz(func(t *testing.T, a, b string, kind uint8) {
		k := record.Kind(kind)
		switch k {
		case record.Text, record.Absent, record.Null, record.Fault:
		case record.Number, record.Bool, record.Date, record.DateTime:
			if a != "12.5" && a != "2024-01-31" {
				k = record.Text // other contents are not of the kind
			}
		default:
			k = record.Text
		}
		got, gotErr := apply(short, a, b, k)
		want, wantErr := apply(&full, a, b, k)
		if gotErr != wantErr {
			t.Fatalf("%q: error %q, want %q", a, gotErr, wantErr)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(x, y record.Value) bool { return x == y })); diff != "" {
			t.Fatalf("%q (-full +quick):\n%s", a, diff)
		}
	})
}

// TestQuickAllocatesLittle keeps the quick ways from wrapping and copying.
func TestQuickAllocatesLittle(t *testing.T) {
	obj := &schema.Object{Name: "things", Modes: []schema.Mode{schema.Create}, Fields: []schema.Field{{Name: "text", Type: schema.Text}, {Name: "lower", Type: schema.Email}, {Name: "stamp", Type: schema.DateTime}, {Name: "num", Type: schema.Number}}}
	m, err := Parse("quick.yaml", []byte("version: 1\ntarget: v/things\nfields:\n  text: a\n  lower: {column: b, apply: [lower]}\n  stamp: {column: c, apply: [{datetime: DD/MM/YYYY}]}\n  num: d\n"))
	if err != nil {
		t.Fatal(err)
	}
	origin := record.LooseHeader([]string{"a", "b", "c", "d"})
	p, err := Compile(m, origin, obj, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const rows = 1000
	var batch record.Batch
	cells := []record.Value{record.TextOf("Ada Lovelace"), record.TextOf("Ada@Example.COM"), record.TextOf("10/12/1815"), record.TextOf("12")}
	fill := func() {
		batch.Reset()
		batch.Header = origin
		for range rows {
			batch.Add().Values = cells
		}
		if err := p.Apply(&batch); err != nil {
			t.Fatal(err)
		}
	}
	fill()
	if n := testing.AllocsPerRun(5, fill) / rows; n > 0.05 {
		t.Errorf("%.2f allocations a row", n)
	}
	if got := batch.Rows[rows-1].Values[1].Text() + " " + batch.Rows[0].Values[2].Text(); got != "ada@example.com 1815-12-10T00:00:00Z" {
		t.Errorf("the row is %q", got)
	}
}
