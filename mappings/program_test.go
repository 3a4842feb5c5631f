package mappings

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

const wide = `fields:
  first_name: First Name
  email: {column: E-mail, apply: [lower]}
  mobile: Mobile
  status: {value: open}
  source: {column: Source, map: {PF: propertyfinder, Web: online}, otherwise: keep}
  country: {column: Country, default: AE}
  preference.from_price: Budget
  preference.locations: Areas
  rating: Rating
  vip: VIP
  born: {column: Born, apply: [{date: DD/MM/YYYY}]}
  notes: Comment
`

var wideColumns = []string{"First Name", "E-mail", "Mobile", "Source", "Country", "Budget", "Areas", "Rating", "VIP", "Born", "Comment", "Agent"}

func wideCells(cells []record.Value, n int) {
	for i, s := range [...]string{"Ada %d", "ADA%d@X.COM", "+97150%d", "PF", "", "%d", "Marina;JLT %d", "%d.5", "yes", "10/12/1815", " note %d ", "agent %d"} {
		if strings.Contains(s, "%") {
			s = fmt.Sprintf(s, n)
		}
		cells[i] = record.TextOf(s)
	}
}

// TestSharedProgram: eight goroutines share a program, batches are used again, and no cell of one row ever reaches
// another row.
func TestSharedProgram(t *testing.T) {
	h := header(t, wideColumns...)
	text := strings.Replace(wide, "  notes: Comment", `  notes: {expr: 'row["Agent"] + "/" + trim(row["Comment"])'}`, 1)
	p, err := Compile(mustParse(t, text), h, leads(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			b := &record.Batch{}
			for round := range 30 {
				b.Reset()
				b.Header, b.Origin = h, h
				for i := range 50 {
					row := b.Add()
					row.Num = int64(1 + g*1_000_000 + round*1000 + i)
					row.Values = b.Cells(h.Len())
					wideCells(row.Values, int(row.Num))
					if i%7 == 0 { // sparse rows show whatever an earlier row left behind
						clear(row.Values)
						row.Values[2] = record.TextOf(fmt.Sprintf("+97150%d", row.Num))
					}
					row.Origin = row.Values
				}
				if err := p.Apply(b); err != nil {
					t.Error(err)
					return
				}
				for i := range b.Rows {
					row := &b.Rows[i]
					n := fmt.Sprint(row.Num)
					want := []string{"Ada " + n, "ada" + n + "@x.com", "+97150" + n, "open", "propertyfinder", "AE", n, `["Marina","JLT ` + n + `"]`, n + ".5", "true", "1815-12-10", "agent " + n + "/note " + n}
					if i%7 == 0 {
						want = []string{"", "", "+97150" + n, "open", "", "AE", "", "", "", "", "", "/"}
					}
					for j, v := range row.Values {
						if v.Text() != want[j] || row.Err != nil {
							t.Errorf("row %s: %s is %q, want %q (%v)", n, p.Header().Name(j), v.Text(), want[j], row.Err)
							return
						}
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestAllocations: a row costs nothing beyond its new texts.
func TestAllocations(t *testing.T) {
	h := header(t, "A", "B", "C", "D")
	obj := leads()
	p, err := Compile(mustParse(t, "fields: {first_name: A, mobile: B, rating: C, status: {value: open}, source: {column: D, map: {PF: x}}}"), h, obj, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const rows = 100
	b := &record.Batch{Header: h, Origin: h}
	for range rows {
		b.Add().Origin = texts(" Ada ", "+971501234567", "12.5", "PF")
	}
	allocs := testing.AllocsPerRun(20, func() {
		b.Header = h
		for i := range b.Rows {
			b.Rows[i].Values = b.Rows[i].Origin
		}
		if err := p.Apply(b); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > rows/10 {
		t.Errorf("%.0f allocations for %d rows", allocs, rows)
	}
}

// TestHostileFiles: what makes YAML parsers run for hours or fill memory ends at once.
func TestHostileFiles(t *testing.T) {
	laughs := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		laughs += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	deep := ""
	for i := range 1000 {
		deep += strings.Repeat(" ", i) + "a:\n"
	}
	cases := map[string]string{
		"laughs": laughs, "indented": deep, "long": "fields: {email: " + strings.Repeat("x", 900_000) + "}", "too long": strings.Repeat("#", maxFile+1),
		"keys": "fields:\n" + manyLines("  f%d: A\n", 20_000), "nothing but commas": "a: [" + strings.Repeat(",", 100_000),
	}
	for _, sign := range []string{"[", "{", "{a: ", "a: [", "[{", "- ", "? ", "&a ", "!!str ", "*a ", "- - ", "|", "'", "\"", ": ", "<<: ", "-\n", "a:\n", "%", "---\n", "{a: [", "\t", "@", "`", "- ? ", "? - "} {
		cases["many "+sign] = strings.Repeat(sign, 60_000/len(sign))
		cases[sign] = strings.Repeat(sign, 2_000)
	}
	for name, text := range cases {
		start := time.Now()
		m, err := Parse("m.yaml", []byte(text))
		if m != nil && err == nil {
			_, err = Compile(m, header(t, "A"), leads(), Options{})
		}
		if err == nil {
			t.Errorf("%q passes", name)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%q takes %v", name, d)
		}
	}
}

func manyLines(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func BenchmarkApply(b *testing.B) {
	h := header(b, wideColumns...)
	p, err := Compile(mustParse(b, wide), h, leads(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	const rows = 1000
	origins := make([][]record.Value, rows)
	for i := range origins {
		origins[i] = make([]record.Value, h.Len())
		wideCells(origins[i], i)
	}
	batch := &record.Batch{}
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		batch.Header, batch.Origin = h, h
		for i := range origins {
			r := batch.Add()
			r.Values, r.Origin = origins[i], origins[i]
		}
		if err := p.Apply(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// FuzzMapping: no file makes Parse or Compile panic, and what passes runs.
func FuzzMapping(f *testing.F) {
	f.Add(contract)
	f.Add(wide)
	for _, c := range problemCases {
		f.Add(c.text)
	}
	h := header(f, contractColumns...)
	obj := leads()
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4000 {
			return
		}
		m, err := Parse("m.yaml", []byte(text))
		if m == nil {
			if err == nil {
				t.Fatal("neither a mapping nor a problem")
			}
			return
		}
		for _, target := range []*record.Header{h, record.LooseHeader(m.Columns())} {
			p, cerr := Compile(m, target, obj, Options{Mode: schema.Create})
			if err != nil && cerr == nil {
				t.Fatal("a mapping with problems compiles")
			}
			if cerr == nil {
				cells := make([]record.Value, target.Len())
				for i := range cells {
					cells[i] = record.Of(record.Kind(i%11), "1")
				}
				b := &record.Batch{Header: target, Origin: target}
				b.Add().Values = cells
				if err := p.Apply(b); err != nil {
					t.Fatal(err)
				}
			}
		}
		_, _ = RunTests(m, obj, schema.Create)
		_, _ = CompileExport(m, nil, h, obj)
	})
}

// FuzzInit: whatever the columns are called, the proposal parses and maps the same columns.
func FuzzInit(f *testing.F) {
	f.Add("First Name", "a: b # c", "x")
	f.Add("'", "\"", "- ")
	f.Add(strings.Repeat("[", 40), strings.Repeat("{ it's '", 30), "[[")
	f.Add(strings.Repeat("[\"", 40), strings.Repeat("{\\", 30)+"\n", "[[")
	f.Fuzz(func(t *testing.T, a, b, sample string) {
		if !utf8.ValidString(a) || !utf8.ValidString(b) || !utf8.ValidString(sample) {
			return // readers give nothing else
		}
		obj := leads()
		obj.AnyField = true
		var out strings.Builder
		if err := Init(&out, []string{a, b}, [][]string{{sample, sample}}, obj, "mycrm/leads", schema.Create, Facts{}); err != nil {
			t.Fatal(err)
		}
		m, err := Parse("m.yaml", []byte(out.String()))
		if err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		for _, c := range m.Columns() {
			if c != a && c != b {
				t.Errorf("column %q is none of %q, %q\n%s", c, a, b, out.String())
			}
		}
	})
}

// TestTooDeep counts brackets that nest, and none in quoted texts.
func TestTooDeep(t *testing.T) {
	many := strings.Repeat("[", maxNesting+1)
	for text, want := range map[string]bool{
		"a: " + many: true, "- " + many: true, "'k': " + many: true, "\"k\\\"\": " + many: true, "a 'b: " + many: true, "x- 'b: " + many: true,
		"a: 'b'\nc: " + many: true, "a: 'it''s'\n'it''s': " + many: true, "a: [\n'x',\n" + many: true,
		"'" + many + "': '" + many + "'": false, `"\"` + many + `": "` + many + `"`: false, "- 'it''s " + many + "'": false, "a: [b, '" + many + "']": false,
	} {
		if _, got := tooDeep(text); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
