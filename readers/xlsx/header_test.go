package xlsx

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// worksheet returns a workbook whose sheet has something before and after its rows.
func worksheet(before, rows, after string) parts {
	return parts{formats: []string{"d"}, whole: map[string]string{
		"xl/worksheets/sheet1.xml": `<worksheet>` + before + `<sheetData>` + rows + `</sheetData>` + after + `</worksheet>`,
	}}
}

// opened returns header, notes and lines of a workbook; the notes without those that every workbook of this kind has.
func opened(t *testing.T, p parts, o Options) (lines, notes []string, header int, err error) {
	t.Helper()
	path := p.file(t)
	r, err := Open(path, o)
	if err != nil {
		return nil, nil, 0, err
	}
	e := r.Evidence()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	lines, err = outline(path, o)
	return lines, e.Notes, e.HeaderRow, err
}

func TestTitles(t *testing.T) {
	const filter, frozen = `<autoFilter ref="A2:C5"/>`, `<sheetViews><sheetView><pane ySplit="2" topLeftCell="A3" state="frozen"/></sheetView></sheetViews>`
	people := func(top int) string {
		return grid(map[int][]string{top: {"name", "city", "phone"}, top + 1: {"Ada", "Rome", "1"}, top + 2: {"Bob", "Bern", "2"}, top + 3: {"Cy", "Oslo", "3"}})
	}
	two := grid(map[int][]string{2: {"name", "city"}, 3: {"Ada", "Rome"}, 4: {"Bob", "Bern"}})
	numbers := `<row r="2"><c r="A2" t="str"><v>name</v></c><c r="B2" t="str"><v>age</v></c></row><row r="3"><c r="A3" t="str"><v>Ada</v></c><c r="B3"><v>3</v></c></row>`
	title := grid(map[int][]string{1: {"Report"}})
	for _, c := range []struct {
		name, before, rows, after string
		o                         Options
		header                    int
		note, err                 string
	}{
		{"no title", "", people(1), "", Options{}, 1, "", ""},
		{"blank rows and nothing else", "", people(7), "", Options{}, 7, "", ""},
		{"one cell above three names", "", title + people(2), "", Options{}, 2, `header row 2: row 1 ("Report") is passed over as a title above the table, because all rows above it have a single cell`, ""},
		{"a blank row between", "", title + people(3), "", Options{}, 3, "a blank row stands between", ""},
		{"several titles", "", grid(map[int][]string{1: {"Report"}, 2: {"", "of today"}}) + people(4), "", Options{}, 4, `rows 1 to 2 ("Report", …) are passed over as titles`, ""},
		{"a filter", "", grid(map[int][]string{1: {"Report"}}) + people(2), filter, Options{}, 2, "filter begins here", ""},
		{"frozen rows", frozen, title + people(2), "", Options{}, 2, "frozen", ""},
		{"two columns, no other sign", "", title + two, "", Options{}, 0, "", "pass --header-row 2, or --header-row 1 if it is none"},
		{"two columns, frozen rows", frozen, title + two, "", Options{}, 2, "frozen", ""},
		{"two columns, numbers below a name", "", title + numbers, "", Options{}, 2, "column B has a name here", ""},
		{"a table with a stray cell", "", grid(map[int][]string{1: {"name"}, 2: {"Ada"}, 3: {"Bob", "why?"}, 4: {"Cy"}}), "", Options{}, 1, "", ""},
		{"names of all but one column", "", grid(map[int][]string{1: {"name", "city"}, 2: {"Ada", "Rome", "x"}, 3: {"Bob", "Bern", "x"}}), "", Options{}, 1, "", ""},
		{"told", "", title + two, "", Options{HeaderRow: "1"}, 1, "", ""},
		{"a conversion keeps the title", "", title + people(3), "", Options{Loose: true}, 1, "--header-row 3 begins there", ""},
		{"inside a range", "", title + people(3), "", Options{Range: "A3:C9"}, 3, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines, notes, header, err := opened(t, worksheet(c.before, c.rows, c.after), c.o)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if header != c.header {
				t.Errorf("header row %d, want %d: %q", header, c.header, lines)
			}
			if all := strings.Join(notes, "\n"); (all == "") != (c.note == "") || !strings.Contains(all, c.note) {
				t.Errorf("notes %q, want %q", notes, c.note)
			}
		})
	}
}

func TestSeveralHeaderRows(t *testing.T) {
	rows := grid(map[int][]string{1: {"All people"}, 2: {"Contact", "", "Place", "", "ID"}, 3: {"First", "Last", "Street", "City"}, 4: {"Ada", "L", "S 1", "Rome", "7"}})
	const merges = `<mergeCells count="4"><mergeCell ref="A2:B2"/><mergeCell ref="C2:D2"/><mergeCell ref="E2:E3"/><mergeCell ref="x"/></mergeCells>`
	data := "4: Ada|L|S 1|Rome|7"
	for _, c := range []struct {
		o     Options
		after string
		want  []string
		err   string
	}{
		{Options{HeaderRow: "2-3"}, merges, []string{"Contact First|Contact Last|Place Street|Place City|ID", data}, ""},
		{Options{HeaderRow: " 2 : 3 "}, merges, []string{"Contact First|Contact Last|Place Street|Place City|ID", data}, ""},
		{Options{HeaderRow: "2-3", Loose: true}, merges, []string{"Contact First|Contact Last|Place Street|Place City|ID", data}, ""},
		{Options{HeaderRow: "2-3"}, "", []string{"Contact First|Last|Place Street|City|ID", data}, ""},
		{Options{HeaderRow: "3-2"}, "", nil, `header row "3-2" is neither`},
		{Options{HeaderRow: "0-2"}, "", nil, `header row "0-2" is neither`},
		{Options{HeaderRow: "2-x"}, "", nil, `header row "2-x" is neither`},
		{Options{HeaderRow: "1-99"}, "", nil, "a header has 16 at most"},
		{Options{HeaderRow: "2-3", Range: "A3:E9"}, "", nil, "lies outside the range"},
		{Options{HeaderRow: "8-9"}, "", nil, "header row 8-9 has no value"},
	} {
		lines, notes, header, err := opened(t, worksheet("", rows, c.after), c.o)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: error %v, want %q", c.o, err, c.err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, lines); err != nil || diff != "" || header != 3 {
			t.Errorf("%+v: header row %d, %v\n%s", c.o, header, err, diff)
		}
		if diff := cmp.Diff([]string{"the header is made of rows 2 to 3"}, notes); diff != "" {
			t.Error(diff)
		}
	}
}

func TestHidden(t *testing.T) {
	const cols = `<cols><col min="1" max="1" width="9"/><col min="2" max="2" hidden="1"/><col min="3" max="3" hidden="true"/><col min="9" max="16384" hidden="1"/></cols>`
	cell := func(row int) string {
		return fmt.Sprintf(`<c r="A%d" t="str"><v>v%d</v></c><c r="D%d"><v>1</v></c>`, row, row, row)
	}
	rows := `<row r="1"><c r="A1" t="str"><v>a</v></c><c r="B1" t="str"><v>b</v></c><c r="C1" t="str"><v>c</v></c><c r="D1" t="str"><v>d</v></c></row>` +
		`<row r="2" hidden="false">` + cell(2) + `</row><row r="3" hidden="1">` + cell(3) + `</row><row hidden="true" r="4">` + cell(4) + `</row>` +
		`<row r="5" spans="1:4" hidden="0">` + cell(5) + `</row><row r="6" spans="1:4" ht="0" hidden="1"/>`
	lines, notes, _, err := opened(t, worksheet(cols, rows, ""), Options{})
	if diff := cmp.Diff([]string{"a|b|c|d", "2: v2|||1", "3: v3|||1", "4: v4|||1", "5: v5|||1"}, lines); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"3 rows are hidden and read like the others", "hidden columns are read like the others: B to C"}, notes); diff != "" {
		t.Error(diff)
	}
	lines, notes, _, err = opened(t, worksheet(cols, rows, ""), Options{SkipHidden: true, Range: "A:D"})
	if diff := cmp.Diff([]string{"a|b|c|d", "2: v2|||1", "5: v5|||1"}, lines); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if len(notes) != 2 || notes[0] != "3 rows are hidden and left out" {
		t.Errorf("notes %q", notes)
	}
}

func TestMerged(t *testing.T) {
	rows := grid(map[int][]string{1: {"city", "name", "x", "y"}, 2: {"Rome", "Ada"}, 3: {"", "Bob", "1", "2"}, 4: {"", "Cy", "both"}, 6: {"", "Di"}, 2000: {"late", "Eve"}, 2001: {"", "Fay"}})
	const merges = `<mergeCells><mergeCell ref="A2:A4"/><mergeCell ref="C4:D4"/><mergeCell ref="A2000:A2001"/><mergeCell ref="B1:B2"/><mergeCell ref="D4:F4"/></mergeCells>`
	for fill, want := range map[bool][]string{
		false: {"city|name|x|y", "2: Rome|Ada||", "3: |Bob|1|2", "4: |Cy|both|", "6: |Di||", "2000: late|Eve||", "2001: |Fay||"},
		true:  {"city|name|x|y", "2: Rome|Ada||", "3: Rome|Bob|1|2", "4: Rome|Cy|both|both", "6: |Di||", "2000: late|Eve||", "2001: late|Fay||"},
	} {
		lines, notes, _, err := opened(t, worksheet("", rows, merges), Options{FillMerged: fill})
		if diff := cmp.Diff(want, lines); err != nil || diff != "" {
			t.Errorf("fill %v: %v\n%s", fill, err, diff)
		}
		if said := len(notes) == 1; said != fill {
			t.Errorf("fill %v: notes %q", fill, notes)
		}
	}
	tall := newText(0)
	tall.add(`<mergeCells>`)
	for range 2000 {
		tall.add(`<mergeCell ref="A2:A1048576"/>`)
	}
	tall.add(`</mergeCells>`)
	if _, _, _, err := opened(t, worksheet("", rows, tall.String()), Options{FillMerged: true}); err == nil || !strings.Contains(err.Error(), "too many rows") {
		t.Errorf("tall merges: %v", err)
	}
	if _, _, _, err := opened(t, worksheet("", rows, tall.String()), Options{}); err != nil {
		t.Errorf("tall merges that are not filled: %v", err)
	}
}

// TestLostParts reads workbooks whose writer left parts out: they are read as far as that is certain.
func TestLostParts(t *testing.T) {
	cell := func(attrs, v string) string {
		return `<row r="1"><c r="A1" t="str"><v>a</v></c></row><row r="2"><c r="A2" ` + attrs + `><v>` + v + `</v></c></row>`
	}
	for _, c := range []struct {
		name string
		p    parts
		want string
	}{
		{"no styles, none used", parts{sheet: cell("", "5"), drop: []string{"xl/styles.xml"}}, "2: 5"},
		{"no styles, text", parts{sheet: cell(`s="3" t="str"`, "x"), drop: []string{"xl/styles.xml"}}, "2: x"},
		{"no styles, a number that may be a date", parts{sheet: cell(`s="3"`, "45000"), drop: []string{"xl/styles.xml"}}, "part xl/styles.xml, which tells whether this is a number or a date, is missing"},
		{"no strings, none used", parts{sheet: cell("", "5"), drop: []string{"xl/sharedStrings.xml"}}, "2: 5"},
		{"no strings", parts{sheet: cell(`t="s"`, "0"), drop: []string{"xl/sharedStrings.xml"}}, "part xl/sharedstrings.xml, which has the text of this cell, is missing"},
		{"no theme, no content types", parts{sheet: cell("", "5"), drop: []string{"[Content_Types].xml"}}, "2: 5"},
		{"wrong counts", parts{sheet: cell(`t="s"`, "1"), whole: map[string]string{"xl/sharedStrings.xml": `<sst count="9" uniqueCount="1"><si><t>x</t></si><si><t>y</t></si></sst>`}}, "2: y"},
	} {
		lines, _, _, err := opened(t, c.p, Options{})
		if got := fmt.Sprint(lines, err); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
