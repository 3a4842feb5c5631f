package xlsx

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"github.com/crmetl/crmetl/record"
)

// grid returns the XML of rows; "" is no cell at all.
func grid(rows map[int][]string) string {
	b := newText(0)
	for row := 1; row <= maxRow && len(rows) > 0; row++ {
		cells, ok := rows[row]
		if !ok {
			continue
		}
		delete(rows, row)
		b.add(`<row r="%d">`, row)
		for i, s := range cells {
			if s != "" {
				b.add(`<c r="%s%d" t="inlineStr"><is><t>%s</t></is></c>`, record.ColumnName(i), row, s)
			}
		}
		b.add(`</row>`)
	}
	return b.String()
}

// outline reads a workbook into lines: the header, then each row as number, cells and, if it is refused, the reason.
func outline(path string, o Options) ([]string, error) {
	r, err := Open(path, o)
	if err != nil {
		return nil, err
	}
	lines := []string{strings.Join(r.Header().Names(), "|")}
	if err := r.Close(); err != nil {
		return nil, err
	}
	err = each(path, o, func(row *record.Row) error {
		var cells []string
		for _, v := range row.Origin {
			cells = append(cells, v.Cell())
		}
		line := fmt.Sprintf("%d: %s", row.Line, strings.Join(cells, "|"))
		if row.Fate == record.Rejected {
			p := record.ProblemsOf(row.Err)[0]
			line += " !" + p.Rule + ": " + p.Message
		}
		lines = append(lines, line)
		return nil
	})
	return lines, err
}

func TestLayouts(t *testing.T) {
	table := grid(map[int][]string{2: {"", " name ", "city"}, 3: {"", "Ada", "Rome"}, 5: {"", "Bob"}, 6: {"", "", ""}, 9: {"", "Cy", "Oslo", "far"}, 10: {"left", "Di", "Bern"}})
	plainTable := grid(map[int][]string{1: {"name", "city"}, 2: {"Ada", "Rome"}, 3: {"Bob", "Bern"}})
	twice := grid(map[int][]string{1: {"a", "", "a"}, 2: {"1", "2", "3"}, 3: {"1", "2", "3", "4"}})
	for _, c := range []struct {
		name  string
		sheet string
		o     Options
		want  []string
		err   string
	}{
		{"plain", plainTable, Options{}, []string{"name|city", "2: Ada|Rome", "3: Bob|Bern"}, ""},
		{"header row found, blank rows passed over, ragged rows refused", table, Options{}, []string{"name|city", "3: Ada|Rome", "5: Bob|",
			"9: Cy|Oslo|far !ragged: cell D9 has a value, but the header goes from column B to column C; name the column, or empty the cell",
			"10: Di|Bern !ragged: cell A10 has a value, but the header goes from column B to column C; name the column, or empty the cell"}, ""},
		{"loose keeps every column", table, Options{Loose: true}, []string{"| name |city|", "3: |Ada|Rome|", "5: |Bob||", "9: |Cy|Oslo|far", "10: left|Di|Bern|"}, ""},
		{"no header", table, Options{HeaderRow: "none"}, []string{"A|B|C|D", "2: | name |city|", "3: |Ada|Rome|", "5: |Bob||", "9: |Cy|Oslo|far", "10: left|Di|Bern|"}, ""},
		{"header row by number", table, Options{HeaderRow: "3"}, []string{"Ada|Rome", "5: Bob|",
			"9: Cy|Oslo|far !ragged: cell D9 has a value, but the header goes from column B to column C; name the column, or empty the cell",
			"10: Di|Bern !ragged: cell A10 has a value, but the header goes from column B to column C; name the column, or empty the cell"}, ""},
		{"header row is blank", table, Options{HeaderRow: "4"}, nil, "header row 4 has no value"},
		{"header row is no number", table, Options{HeaderRow: "first"}, nil, `header row "first" is neither`},
		{"range", table, Options{Range: "B2:C9"}, []string{"name|city", "3: Ada|Rome", "5: Bob|", "9: Cy|Oslo"}, ""},
		{"range, no header", table, Options{Range: "$B$3:$D$9", HeaderRow: "none"}, []string{"B|C|D", "3: Ada|Rome|", "5: Bob||", "9: Cy|Oslo|far"}, ""},
		{"range of columns", table, Options{Range: "B:B"}, []string{"name", "3: Ada", "5: Bob", "9: Cy", "10: Di"}, ""},
		{"range of rows", plainTable, Options{Range: "2:2", HeaderRow: "none"}, []string{"A|B", "2: Ada|Rome"}, ""},
		{"range outside", plainTable, Options{Range: "K5:L9", Loose: true}, []string{"|"}, ""},
		{"range that is none", plainTable, Options{Range: "K9:A1"}, nil, `range "K9:A1" is none`},
		{"header row outside the range", plainTable, Options{Range: "A2:B9", HeaderRow: "1"}, nil, "lies outside the range"},
		{"names missing and repeated", twice, Options{}, nil, `sheet "Sheet1": header row 1: column B has no name`},
		{"names missing and repeated, loose", twice, Options{Loose: true}, []string{"a||a|", "2: 1|2|3|", "3: 1|2|3|4"}, ""},
		{"no rows", "", Options{}, nil, "has no row with a value"},
		{"no rows, loose", "", Options{Loose: true}, []string{""}, ""},
		{"no rows, no header", "", Options{HeaderRow: "none"}, []string{""}, ""},
		{"rows and cells without references", `<row><c t="str"><v>a</v></c><c t="str"><v>b</v></c></row><row/><row><c/><c><v>2</v></c></row><row r="7"><c r="B7"><v>3</v></c><c r="A7"><v>4</v></c></row><row><c><v>5</v></c></row>`,
			Options{}, []string{"a|b", "3: |2", "7: 4|3", "8: 5|"}, ""},
		{"a row in several elements", `<row r="1"><c r="A1" t="str"><v>a</v></c></row><row r="1"><c r="B1" t="str"><v>b</v></c></row><row r="2"><c r="B2"><v>2</v></c></row><row r="2"><c r="A2"><v>1</v></c></row>`,
			Options{}, []string{"a|b", "2: 1|2"}, ""},
		{"a cell twice", plainTable + `<row r="4"><c r="A4"><v>1</v></c><c r="A4"><v>2</v></c></row>`, Options{}, []string{"name|city", "2: Ada|Rome", "3: Bob|Bern",
			"4: 2| !duplicate: cell A4 stands in the sheet twice, and which one is right cannot be told; open the file in a spreadsheet and save it again"}, ""},
		{"header of other kinds", `<row r="1"><c r="A1"><v>2024</v></c><c r="B1" t="b"><v>1</v></c><c r="C1" s="1"><v>45351</v></c></row><row r="2"><c r="A2"><v>1</v></c></row>`,
			Options{}, []string{"2024|TRUE|2024-02-29", "2: 1||"}, ""},
		{"styled and empty cells widen nothing", plainTable + `<row r="4"><c r="A4" t="str"><v>x</v></c><c r="XFD4" s="1"/></row>`, Options{Loose: true}, []string{"name|city", "2: Ada|Rome", "3: Bob|Bern", "4: x|"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := outline(parts{sheet: c.sheet, formats: []string{"d"}}.file(t), c.o)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

const sheetXML = `<worksheet xmlns="m"><sheetData><row r="1"><c r="A1" t="str"><v>name</v></c></row><row r="2"><c r="A2" t="str"><v>%s</v></c></row></sheetData></worksheet>`

// several is a workbook with more than one sheet.
func several() parts {
	const rel = `http://purl.oclc.org/ooxml/officeDocument/relationships/`
	return parts{whole: map[string]string{
		"xl/workbook.xml": `<workbook xmlns:r="x"><sheets><sheet name="Chart" sheetId="9" r:id="c"/><sheet name="Secret" sheetId="1" state="hidden" r:id="a"/>` +
			`<sheet name="Léads &amp; more" sheetId="2" r:id="b"/><sheet name="1" sheetId="3" state="veryHidden" r:id="d"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="c" Type="` + rel + `chartsheet" Target="chartsheets/sheet1.xml"/><Relationship Id="a" Type="` + rel + `worksheet" Target="worksheets/sheet1.xml"/>` +
			`<Relationship Id="b" Type="` + rel + `worksheet" Target="/xl/worksheets/Sheet2.XML"/><Relationship Id="d" Type="` + rel + `worksheet" Target=".\worksheets\sheet3.xml"/></Relationships>`,
		"xl/worksheets/sheet1.xml":  fmt.Sprintf(sheetXML, "secret"),
		`xl\worksheets\sheet2.xml`:  "\ufeff" + fmt.Sprintf(sheetXML, "leads"),
		"XL/worksheets/sheet3.xml":  fmt.Sprintf(sheetXML, "one"),
		"xl/chartsheets/sheet1.xml": `<chartsheet/>`,
	}, drop: []string{"xl/styles.xml"}}
}

func TestSheets(t *testing.T) {
	path := several().file(t)
	for want, value := range map[string]string{"": "leads", "Léads & more": "leads", "léads & MORE": "leads", "Secret": "secret", "2": "leads", "1": "one", "3": "one"} {
		got, err := outline(path, Options{Sheet: want})
		if err != nil || got[1] != "2: "+value {
			t.Errorf("sheet %q: %q, %v, want %s", want, got, err, value)
		}
	}
	for want, says := range map[string]string{
		"Chart":  `sheet "Chart" is a chartsheet`,
		"Nobody": `has no sheet "Nobody"; it has "Secret", "Léads & more", "1"`,
		"4":      "has no sheet 4; it has 3 worksheets",
	} {
		if got, err := outline(path, Options{Sheet: want}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("sheet %q: %q, %v, want %s", want, got, err, says)
		}
	}
	r, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	want := Evidence{Sheet: "Léads & more", Sheets: []string{"Secret", "Léads & more", "1"}, HeaderRow: 1,
		Notes: []string{`worksheets "Secret", "1" are hidden; --sheet reads one of them`, "1 of the workbook's sheets hold charts or dialogs and no rows", "the workbook has no styles: dates cannot be told from numbers"}}
	if diff := cmp.Diff(want, r.Evidence()); diff != "" {
		t.Error(diff)
	}
}

func TestNamespacesAndEncodings(t *testing.T) {
	prefixed := `<?xml version="1.0"?><s:worksheet xmlns:s="x"><s:sheetPr/><s:sheetData><s:row r="1"><s:c r="A1" t="str"><s:v>name</s:v></s:c></s:row>` +
		`<s:row r="2"><s:c r="A2" t="inlineStr"><s:is><s:r><s:t>Ada</s:t></s:r></s:is></s:c></s:row></s:sheetData><s:pageMargins left="1"/></s:worksheet>` + "\n<!-- end -->\n"
	wide := func(order binary.AppendByteOrder, s string) string {
		var b []byte
		for _, u := range utf16.Encode([]rune("\ufeff" + s)) {
			b = order.AppendUint16(b, u)
		}
		return string(b)
	}
	ada := fmt.Sprintf(sheetXML, "Ada")
	for name, sheet := range map[string]string{
		"prefixed":      prefixed,
		"UTF-16LE":      wide(binary.LittleEndian, `<?xml version="1.0" encoding="UTF-16"?>`+ada),
		"UTF-16BE":      wide(binary.BigEndian, ada),
		"Windows-1252":  `<?xml version="1.0" encoding="windows-1252"?>` + ada,
		"single quotes": strings.ReplaceAll(ada, `"`, `'`),
		"spaces":        strings.NewReplacer(`"2">`, "\"2\"\n >", `</row>`, "</row >", `</v>`, "</v\t>").Replace(ada),
	} {
		got, err := outline(parts{whole: map[string]string{"xl/worksheets/sheet1.xml": sheet}}.file(t), Options{})
		if diff := cmp.Diff([]string{"name", "2: Ada"}, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// TestStrangers opens files that are no workbooks.
func TestStrangers(t *testing.T) {
	ole := "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1" + strings.Repeat("\x00", 70_000)
	name := func(s string) string { return strings.Join(strings.Split(s, ""), "\x00") + "\x00" }
	sheets := newText(0)
	for i := range 10_000 {
		sheets.add(`<sheet name="s%d" sheetId="%d" r:id="rId1"/>`, i, i)
	}
	for _, c := range []struct{ name, content, says string }{
		{"empty", "", "is empty"},
		{"text", "a,b\n1,2\n", "is a text file"},
		{"html", "<html><table>", "is an HTML page"},
		{"gzip", "\x1f\x8b\x08", "gzip"},
		{"rubbish", "\x00\x01\x02", "is not a workbook"},
		{"encrypted", ole + name("EncryptedPackage"), "is encrypted with a password; save it without one"},
		{"xls", ole + name("Workbook") + "\x00\x00", "is an old .xls workbook; save it as .xlsx"},
		{"other OLE", ole, "is an OLE file"},
		{"cut zip", "PK\x03\x04 and so on", "damaged or incomplete"},
		{"xlsb", string(parts{whole: map[string]string{"xl/workbook.bin": "x"}}.zip(t)), "is a binary workbook (.xlsb)"},
		{"ods", string(parts{whole: map[string]string{"mimetype": "x"}}.zip(t)), "is an OpenDocument file"},
		{"no workbook", string(parts{drop: []string{"xl/workbook.xml"}}.zip(t)), "part xl/workbook.xml is missing"},
		{"no relations", string(parts{drop: []string{"xl/_rels/workbook.xml.rels"}}.zip(t)), "part xl/_rels/workbook.xml.rels, which says where its sheets are, is missing"},
		{"no sheet", string(parts{drop: []string{"xl/worksheets/sheet1.xml"}}.zip(t)), `sheet "Sheet1": part xl/worksheets/sheet1.xml is missing`},
		{"styles promised", string(parts{sheet: `<row r="1"><c r="A1" s="1"><v>45000</v></c></row>`, drop: []string{"xl/styles.xml"}}.zip(t)), `cell A1: part xl/styles.xml, which tells whether this is a number or a date, is missing`},
		{"no sheets", string(parts{whole: map[string]string{"xl/workbook.xml": "<workbook/>"}}.zip(t)), "has no worksheet"},
		{"no rows element", string(parts{whole: map[string]string{"xl/worksheets/sheet1.xml": "<worksheet/>"}}.zip(t)), "it has no <sheetData>"},
		{"other root", string(parts{whole: map[string]string{"xl/worksheets/sheet1.xml": "<html><sheetData/></html>"}}.zip(t)), "its root element is <html>"},
		{"part twice", string(parts{whole: map[string]string{"XL/Worksheets/Sheet1.xml": "x"}}.zip(t)), "stands in the archive twice"},
		{"entities", string(parts{sheet: "<row/>", strings: "<si/>", whole: map[string]string{"xl/sharedStrings.xml": `<!DOCTYPE a [<!ENTITY b "c">]><sst/>`}}.zip(t)), "declares a document type"},
		{"many sheets", string(parts{whole: map[string]string{"xl/workbook.xml": `<workbook xmlns:r="r">` + sheets.String() + `</workbook>`}}.zip(t)), "has no row with a value"},
		{"bomb", string(parts{sheet: strings.Repeat(`<row>`+strings.Repeat(`<c><v>1</v></c>`, 1000)+`</row>`, 4500)}.zip(t)), "inflates to more than"},
		{"long row", string(parts{sheet: `<row>` + strings.Repeat(`<c><v>1</v></c>`, 1_130_000) + `</row>`}.zip(t)), "larger than 2 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "stranger.xlsx")
			write(t, path, []byte(c.content))
			r, err := Open(path, Options{})
			if err == nil {
				_ = r.Close()
				t.Fatal("it opens")
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "stranger.xlsx") {
				t.Errorf("the error is %q, want %q", err, c.says)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none.xlsx"), Options{}); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := Open(t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("a folder: %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		if next := inner.Unwrap(); next != nil {
			err = next
			continue
		}
		return err
	}
}

// TestSpill puts the strings aside on disk and finds them again.
func TestSpill(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	const n = 10_000
	b := newText(0)
	b.add(`<sst>`)
	want := make([]string, n)
	for i := range n {
		want[i] = strings.Repeat("ü", i%50) + fmt.Sprint(i)
		switch i % 1000 {
		case 0:
			want[i] = ""
		case 7:
			want[i] = strings.Repeat("long", 10_000+i)
		}
		b.add(`<si><t>%s</t></si>`, want[i])
	}
	b.add(`</sst>`)
	for _, keep := range []int{0, 1000, 200_000, 1 << 30} {
		tab, err := readStrings(strings.NewReader(b.String()), 4<<10, keep)
		if err != nil {
			t.Fatal(err)
		}
		if spilled := tab.file != nil; spilled != (keep < 1<<20) || tab.count != n {
			t.Errorf("keep %d: spilled %v, %d strings", keep, spilled, tab.count)
		}
		var cur cursor
		for i := range 4 * n {
			at := i * 7919 % n
			if i >= 3*n {
				at = i - 3*n
			}
			if got, err := tab.get(at, &cur); err != nil || got != want[at] {
				t.Fatalf("keep %d: string %d is %q, %v, want %q", keep, at, got, err, want[at])
			}
		}
		for _, at := range []int{-1, n, 1 << 40} {
			if got, err := tab.get(at, &cur); err == nil {
				t.Errorf("string %d is %q", at, got)
			}
		}
		if err := tab.close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := readStrings(strings.NewReader(b.String()[:b.Len()/2]), 4<<10, 1000); err == nil {
		t.Error("half of the strings are no error")
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestAgainstExcelize reads a larger workbook with both.
func TestAgainstExcelize(t *testing.T) {
	for _, shared := range []bool{false, true} {
		path := leads(t, 1500, shared)
		f, err := excelize.OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := f.GetRows("Sheet1", excelize.Options{RawCellValue: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := readAll(path, Options{HeaderRow: "none"})
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(want); i++ { // dates are serial numbers over there
			want[i][17], got[i][17] = "", ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestBytesRead(t *testing.T) {
	path := leads(t, 3000, true)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	before := r.BytesRead()
	for c := new(chunk); r.Next(t.Context(), c) == nil; {
		if now := r.BytesRead(); now < before || now > info.Size() {
			t.Fatalf("%d bytes of %d after %d", now, info.Size(), before)
		}
	}
	if now := r.BytesRead(); now != info.Size() {
		t.Errorf("%d bytes of %d at the end", now, info.Size())
	}
}
