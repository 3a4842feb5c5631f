package schema

import (
	"strings"
	"testing"

	"github.com/crmetl/crmetl/record"
)

// quickRules are rules that have a quick check, each for some type of field.
func quickRules() []Field {
	var fields []Field
	for _, r := range []string{
		"max=5", "min=2", "len=3", "gt=2", "lt=4", "gte=2", "lte=5", "max=0x4", "max=010", "eq=abc", "ne=abc",
		"oneof='neon red' black 'a0x7Cb' x", "oneof=a0x2Cb 0x7C c", "email", "e164", "number", "numeric", "alpha", "alphanum",
		"ascii", "printascii", "latitude", "longitude", "uuid", "url", "http_url", "uri", "startswith=ab", "endswith=ab", "contains=ab",
		"excludes=ab", "datetime=2006-01-02", "datetime=02/01/2006 15:04", "boolean", "email|e164", "uuid|len=3",
		"oneof=a'b c' 'd", "required",
	} {
		fields = append(fields, Field{Name: "f", Type: Text, Rules: r})
		if r != "required" {
			fields = append(fields, Field{Name: "f", Type: List, Rules: "dive," + r}, Field{Name: "f", Type: List, Rules: "dive,omitempty," + r})
		}
	}
	for _, r := range []string{"max=5", "min=-2", "len=3", "gt=2", "lt=16", "gte=2", "lte=010", "eq=1", "ne=1", "oneof=1 2 30", "numeric", "number"} {
		fields = append(fields, Field{Name: "f", Type: Integer, Rules: r}, Field{Name: "f", Type: Number, Rules: r})
	}
	fields = append(fields, Field{Name: "f", Type: Integer, Rules: "lt=0x10"})
	for _, r := range []string{"max=99.5", "min=0.1", "eq=1e2", "latitude", "longitude"} {
		fields = append(fields, Field{Name: "f", Type: Number, Rules: r})
	}
	for _, r := range []string{"max=2", "min=1", "len=2", "gt=1", "lt=3", "gte=1", "lte=2"} {
		fields = append(fields, Field{Name: "f", Type: List, Rules: r})
	}
	for _, r := range []string{
		"required", "required_with=g", "required_with=g h", "required_with_all=g h", "required_without=g", "required_without=g h",
		"required_without_all=g h", "required_if=g x", "required_if=g x h 'a b'", "required_unless=g x", "excluded_if=g x", "excluded_with=g",
		"excluded_without=g h", "excluded_unless=g x", "excluded_with_all=g h", "excluded_without_all=g h",
	} {
		fields = append(fields, Field{Name: "f", Type: Text, In: map[Mode]string{Create: r}}, Field{Name: "f", Type: List, In: map[Mode]string{Create: r}})
	}
	return fields
}

// fuzzCase is one rule, compiled.
type fuzzCase struct {
	rule    string
	checker *Checker
	check   *check
}

func fuzzCases(t testing.TB) []fuzzCase {
	h, err := record.NewHeader([]string{"f", "g", "h"})
	if err != nil {
		t.Fatal(err)
	}
	var cases []fuzzCase
	for _, f := range quickRules() {
		o := &Object{Name: "o", Fields: []Field{f, {Name: "g", Type: Text}, {Name: "h", Type: Text}}}
		c, err := NewChecker(o, h, Create)
		if err != nil {
			t.Fatal(err)
		}
		k := append(c.fields[0].inMode, c.fields[0].value...)[0]
		if k.quick == nil {
			if strings.HasPrefix(f.Rules, "oneof=a'") {
				continue
			}
			t.Fatalf("rule %q on a %s has no quick check", f.Rules+f.In[Create], f.Type)
		}
		cases = append(cases, fuzzCase{f.Rules + f.In[Create], c, k})
	}
	return cases
}

// agrees reports a value that the quick check accepts and validator does not. accepted tells whether the quick check
// accepts at all.
func (fc *fuzzCase) agrees(t testing.TB, values []record.Value) (accepted bool) {
	t.Helper()
	if !fc.check.quick(values[0], values) {
		return false
	}
	value, refs, known := fc.check.operands(values[0], values)
	if known == wrongType {
		t.Fatalf("rule %q: the quick check accepts %q, which is of the wrong type", fc.rule, values[0].Text())
	}
	found, err := fc.checker.ask(fc.check, value, refs)
	if err != nil {
		t.Fatalf("rule %q, value %q: %v", fc.rule, values[0].Text(), err)
	}
	if found != nil {
		t.Fatalf("rule %q: the quick check accepts %q with %q and %q; validator says %v", fc.rule, values[0].Text(), values[1].Text(), values[2].Text(), found)
	}
	return true
}

// quickSeeds are values near the edges of the rules.
var quickSeeds = []string{
	"", " ", "a", "ab", "abc", "abcd", "abcde", "abcdef", "éèêëē", "éèêëēø", "a\xffb", "x", "neon red", "black", "a|b", "a,b", "|",
	"ada@example.com", "ada.l+x@mail.example.co.uk", ".a@b.co", "a.@b.co", "a..b@c.de", "a@b", "a@-b.co", "a@b-.co", "a@b.c1", "a@b.c",
	"a_b-c@x--y.museum", "@b.co", "a@b..co", "a@" + strings.Repeat("x", 63) + ".com", "a@" + strings.Repeat("x", 64) + ".com",
	strings.Repeat("l", 64) + "@b.co", strings.Repeat("l", 65) + "@b.co", "a@b.xn--p1ai", "A@B.CO", "a@1.2.3.co",
	"+971501234567", "971501234567", "+0715012345", "+1", "+12345678", "1234567", "+1234567890123456", "0", "-0", "1", "-1", "007",
	"1.5", "-1.5", "1.", ".5", "1e2", "+5", "--5", "90", "89.9", "-90.0", "180", "179.99", "-179", "08", "9223372036854775807", "9223372036854775808",
	"100000000000000000000", "1e400", "3", "5", "99.5", "99.50000000000000001", "0x10", "16", "8", "9",
	"123e4567-e89b-12d3-a456-426614174000", "123E4567-e89b-12d3-a456-42661417400g",
	"https://example.com", "http://example.com/a/b.html?x=1", "https://example.com/a b", "https://example", "https://a.b.co/", "ftp://a.co", "https:///x",
	"2026-01-31", "2026-02-30", "31/01/2026 10:30", "true", "false", "TRUE", "1-3",
	`[]`, `["a"]`, `["a","b"]`, `["a","b","c"]`, `["",""]`, `["a" , "b"]`, `["a\u0041"]`, `[1,2]`, `["a]`, `["a",]`, `[,"a"]`, `["ada@example.com"]`,
	`["éèêëē"]`, "[\"a\xff\"]", "[\"a\nb\"]", `["abc"]`, `["a" "b"]`,
}

func TestQuickAcceptsWhatIsGood(t *testing.T) {
	cases := fuzzCases(t)
	for i := range cases {
		fc := &cases[i]
		accepted := 0
		for _, s := range quickSeeds {
			for _, v := range kindsOf(s) {
				for _, other := range []string{"", "x", "y"} {
					if fc.agrees(t, []record.Value{v, record.TextOf(other), record.TextOf("a b")}) {
						accepted++
					}
				}
			}
		}
		if accepted == 0 {
			t.Errorf("the quick check of %q accepts none of the values", fc.rule)
		}
	}
}

// kindsOf returns the values that a text may be.
func kindsOf(s string) []record.Value {
	values := []record.Value{record.TextOf(s), {}, record.NullOf()}
	if v, err := record.ParseJSON([]byte(s)); err == nil {
		values = append(values, v)
	}
	return append(values, record.ListOf([]string{s}), record.ListOf([]string{s, "ab"}))
}

// FuzzQuick holds the quick checks against validator: what they accept, it must accept.
func FuzzQuick(f *testing.F) {
	for _, s := range quickSeeds {
		f.Add(s, "x", "a b")
	}
	cases := fuzzCases(f)
	f.Fuzz(func(t *testing.T, s, g, h string) {
		if len(s) > 1<<12 {
			return
		}
		for _, v := range kindsOf(s) {
			values := []record.Value{v, record.TextOf(g), record.TextOf(h)}
			for i := range cases {
				cases[i].agrees(t, values)
			}
		}
	})
}

// benchObject is an object of twenty fields such as a CRM has.
func benchRows(b *testing.B) (*Object, *record.Header, *record.Batch) {
	b.Helper()
	o := &Object{Name: "leads", Fields: []Field{
		{Name: "first_name", In: map[Mode]string{Create: "required"}, Rules: "max=255"},
		{Name: "last_name", In: map[Mode]string{Create: "required"}, Rules: "max=255"},
		{Name: "company", In: map[Mode]string{Create: "required_without=last_name"}, Rules: "max=255"},
		{Name: "email", Rules: "email,max=255"}, {Name: "mobile", In: map[Mode]string{Create: "required"}, Rules: "max=30"},
		{Name: "address", Rules: "max=255"}, {Name: "city", Rules: "max=100"}, {Name: "country", Rules: "len=2"},
		{Name: "status", Type: Enum, Values: []string{"notYetContacted", "prospect", "qualified"}, In: map[Mode]string{Create: "required"}},
		{Name: "source", Type: Enum, Values: []string{"portal", "online", "offline"}},
		{Name: "from_price", Type: Integer, Rules: "min=0"}, {Name: "to_price", Type: Integer, Rules: "min=0"},
	}}
	var names []string
	for i := range o.Fields {
		names = append(names, o.Fields[i].Name)
	}
	h := record.LooseHeader(names)
	batch := &record.Batch{Header: h}
	for range 1000 {
		r := batch.Add()
		r.Values = []record.Value{
			record.TextOf("Ada"), record.TextOf("Lovelace"), record.TextOf("Analytical Engines Ltd"), record.TextOf("ada.lovelace@example.com"),
			record.TextOf("+971501234567"), record.TextOf("12 St James's Square"), record.TextOf("Dubai"), record.TextOf("AE"),
			record.TextOf("prospect"), record.TextOf("offline"), record.NumberOf("120000"), record.NumberOf("125000"),
		}
	}
	return o, h, batch
}

func benchmarkApply(b *testing.B, change func(*Checker, *record.Batch)) {
	o, h, batch := benchRows(b)
	c, err := NewChecker(o, h, Create)
	if err != nil {
		b.Fatal(err)
	}
	change(c, batch)
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch.Rows {
			batch.Rows[i].Fate, batch.Rows[i].Err = record.Pending, nil
		}
		if err := c.Apply(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(batch.Rows)), "ns/row")
}

func BenchmarkCheckGood(b *testing.B) { benchmarkApply(b, func(*Checker, *record.Batch) {}) }

func BenchmarkCheckBad(b *testing.B) {
	benchmarkApply(b, func(_ *Checker, batch *record.Batch) {
		for i := range batch.Rows {
			batch.Rows[i].Values[3] = record.TextOf("nobody")
		}
	})
}

func BenchmarkCheckWithoutQuick(b *testing.B) {
	benchmarkApply(b, func(c *Checker, _ *record.Batch) {
		never := func(record.Value, []record.Value) bool { return false }
		for i := range c.fields {
			for _, k := range c.fields[i].inMode {
				k.quick = never
			}
			for _, k := range c.fields[i].value {
				k.quick = nil
			}
		}
	})
}
