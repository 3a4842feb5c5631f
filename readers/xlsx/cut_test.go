package xlsx

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/crmetl/crmetl/record"
)

// mixed is a sheet with every shape of cell, and its strings.
func mixed(rows int) parts {
	sheet, strs := newText(0), newText(0)
	sheet.add(`<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>number</t></is></c><c r="C1" t="str"><v>day</v></c></row>`)
	strs.add(`<si><t>name</t></si>`)
	for i := 1; i <= rows; i++ {
		strs.add(`<si><r><rPr><b/></rPr><t xml:space="preserve">row </t></r><r><t>%d</t></r><rPh sb="0" eb="1"><t>no</t></rPh></si>`, i)
		sheet.add(`<row r="%d" spans="1:3"><c r="A%d" t="s"><v>%d</v></c><!-- </row> --><c r="B%d"><f>1+1</f><v>%d.5</v></c>`, i+1, i+1, i, i+1, i)
		sheet.add("<c r=\"C%d\" s=\"1\"><v>%d</v></c></row>\n", i+1, 45000+i)
	}
	return parts{sheet: sheet.String(), strings: strs.String(), formats: []string{"yyyy-mm-dd"}}
}

// TestCutSheet cuts the XML of the sheet anywhere, in a sound archive: a reader must never take that for a short sheet.
func TestCutSheet(t *testing.T) { cutPart(t, "xl/worksheets/sheet1.xml", mixed(2), 1) }

// TestCutLongSheet does so where the sheet is longer than a chunk.
func TestCutLongSheet(t *testing.T) { cutPart(t, "xl/worksheets/sheet1.xml", mixed(3000), 50_021) }

func TestCutStrings(t *testing.T) { cutPart(t, "xl/sharedStrings.xml", mixed(2), 3) }

func TestCutStyles(t *testing.T) { cutPart(t, "xl/styles.xml", mixed(1), 5) }

func TestCutWorkbook(t *testing.T) { cutPart(t, "xl/workbook.xml", mixed(1), 5) }

func TestCutRelations(t *testing.T) { cutPart(t, "xl/_rels/workbook.xml.rels", mixed(1), 5) }

func cutPart(t *testing.T, name string, p parts, step int) {
	path := p.file(t)
	if rows, err := readAll(path, Options{}); err != nil {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	whole := p.files()[name]
	p.stored = true
	for at := 0; at < len(whole); at += step {
		p.whole = map[string]string{name: whole[:at]}
		p.write(t, path)
		if rows, err := readAll(path, Options{}); err == nil {
			t.Fatalf("%s cut after %d of %d bytes reads as %d rows without an error; it ends %q", name, at, len(whole), len(rows), tail(whole[:at]))
		} else if !strings.Contains(err.Error(), "book.xlsx") {
			t.Fatalf("cut after %d bytes: the error does not name the file: %v", at, err)
		}
	}
}

func tail(s string) string { return s[max(0, len(s)-40):] }

// TestCutArchive cuts the file itself, as a broken download does.
func TestCutArchive(t *testing.T) {
	raw := mixed(50).zip(t)
	path := filepath.Join(t.TempDir(), "book.xlsx")
	for at := 0; at < len(raw); at += 13 {
		write(t, path, raw[:at])
		if rows, err := readAll(path, Options{}); err == nil {
			t.Fatalf("the first %d of %d bytes read as %d rows without an error", at, len(raw), len(rows))
		}
	}
}

// TestFlippedBits changes one bit of the file: there is an error, or nothing has changed.
func TestFlippedBits(t *testing.T) {
	raw := mixed(50).zip(t)
	path := filepath.Join(t.TempDir(), "book.xlsx")
	write(t, path, raw)
	want, err := readAll(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(raw); at += 11 {
		bad := bytes.Clone(raw)
		bad[at] ^= 1 << (at % 8)
		write(t, path, bad)
		if got, err := readAll(path, Options{}); err == nil && !cmp.Equal(want, got) {
			t.Fatalf("bit %d of byte %d flipped: other rows and no error: %s", at%8, at, cmp.Diff(want, got))
		}
	}
}

func write(t testing.TB, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestMalformed lists sheets that are no XML, or not that of a sheet.
func TestMalformed(t *testing.T) {
	for name, sheet := range map[string]string{
		"row not closed":            `<row r="1"><c r="A1"><v>1</v></c>`,
		"cell not closed":           `<row r="1"><c r="A1"><v>1</v></row>`,
		"value not closed":          `<row r="1"><c r="A1"><v>1</c></row>`,
		"row closed twice":          `<row r="1"></row></row>`,
		"row in a row":              `<row r="1"><row r="2"></row>`,
		"row never begun":           `</row>`,
		"tag without name":          `<row r="1"><c r="A1"><v>1</v></c>< /row>`,
		"attribute without quotes":  `<row r=1></row>`,
		"attribute without end":     `<row r="1></row><row r="2"></row>`,
		"entity":                    `<row r="1"><c r="A1" t="str"><v>&xxe;</v></c></row>`,
		"bare ampersand":            `<row r="1"><c r="A1" t="str"><v>a & b</v></c></row>`,
		"reference to nothing":      `<row r="1"><c r="A1" t="str"><v>&#0;</v></c></row>`,
		"document type":             `<!DOCTYPE x [<!ENTITY a "b">]><row r="1"></row>`,
		"comment without end":       `<row r="1"></row><!-- `,
		"CDATA without end":         `<row r="1"><c r="A1" t="str"><v><![CDATA[ </v></c></row>`,
		"not UTF-8":                 "<row r=\"1\"><c r=\"A1\" t=\"str\"><v>\xff</v></c></row>",
		"row 0":                     `<row r="0"></row>`,
		"row beyond the last":       `<row r="1048577"></row>`,
		"row far beyond the last":   `<row r="99999999999999999999"></row>`,
		"row is no number":          `<row r="x"></row>`,
		"rows descend":              `<row r="1"><c r="A1"><v>1</v></c></row><row r="3"></row><row r="2"><c r="A2"><v>1</v></c></row>`,
		"column beyond the last":    `<row r="1"><c r="XFE1"><v>1</v></c></row>`,
		"column far beyond":         `<row r="1"><c r="ZZZZZZZZZZZZZZZ1"><v>1</v></c></row>`,
		"no reference":              `<row r="1"><c r="1A"><v>1</v></c></row>`,
		"shared string is missing":  `<row r="1"><c r="A1" t="s"><v>7</v></c></row>`,
		"shared string is negative": `<row r="1"><c r="A1" t="s"><v>-1</v></c></row>`,
		"shared string is no index": `<row r="1"><c r="A1" t="s"><v>x</v></c></row>`,
		"unknown type":              `<row r="1"><c r="A1" t="zz"><v>x</v></c></row>`,
		"rows in an element":        `<x><row r="1"></row></x>`,
		"cells in an element":       `<row r="1"><x><c r="A1"><v>1</v></c></x></row>`,
		"second root":               `</sheetData></worksheet><worksheet><sheetData>`,
		"nested without end":        strings.Repeat("<a>", 400) + strings.Repeat("</a>", 400),
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := readAll(parts{sheet: sheet}.file(t), Options{HeaderRow: "none"})
			if err == nil {
				t.Fatalf("no error, and %d rows: %q", len(rows), rows)
			}
			t.Log(err)
			if !strings.Contains(err.Error(), `book.xlsx: sheet "Sheet1": `) {
				t.Errorf("the error does not name file and sheet: %v", err)
			}
		})
	}
}

// tableOf returns a table of shared strings.
func tableOf(texts ...string) *table {
	w := &tableWriter{keep: keepStrings}
	for _, s := range texts {
		_ = w.add([]byte(s)) // it only gets held
	}
	t, _ := w.done()
	return t
}

// cutAll returns the rows of a sheet that is cut into pieces through a window of some size.
func cutAll(xml string, size int, slow bool) (rows [][]cell, seen survey, err error) {
	seen = survey{measure: true, slow: slow, rows: whole}
	c, err := newCutter(iotestReader{strings.NewReader(xml)}, size, "worksheet", "sheetData", "row", seen.element)
	if err != nil {
		return nil, seen, err
	}
	c.numbered, c.slow, c.survey = true, slow, &seen
	for {
		data, before, err := c.next(nil)
		if errors.Is(err, io.EOF) {
			return rows, seen, nil
		}
		if err != nil {
			return rows, seen, err
		}
		d := sheetDecoder{sc: scanner{data: data}, strings: tableOf("a", "b"), styles: []class{plain, dateTime}, row: before, slow: slow}
		for {
			ok, err := d.next()
			if err != nil {
				return rows, seen, err
			}
			if !ok {
				break
			}
			rows = append(rows, append([]cell{{column: -d.row}}, d.cells...))
		}
	}
}

// iotestReader hands out what it has in small pieces.
type iotestReader struct{ r io.Reader }

func (r iotestReader) Read(p []byte) (int, error) { return r.r.Read(p[:min(len(p), 7)]) }

// FuzzSheet reads damaged sheets: however the XML is cut into chunks, and on whichever path cells are read, the rows
// are the same, or there is an error.
func FuzzSheet(f *testing.F) {
	for _, body := range []string{
		mixed(2).sheet,
		`<row><c><v>1</v></c><c t="s"><v>1</v></c></row><row/><row r="7"><c r="B7" s="1"><v>1.5</v></c></row>`,
		`<row r="1"><c r="A1" t="inlineStr"><is><t xml:space="preserve"> a&amp;_x000D_b </t></is></c></row>`,
		`<row r="2"><c r="C2" t="str"><f>x</f><v>a</v></c><c r="A2" t="b"><v>1</v></c></row><row r="2"><c r="B2" t="e"><v>#N/A</v></c></row>`,
		`<row r="1"><c r="A1" t="d"><v>2024-01-01T00:00:00</v></c><c><is><r><t><![CDATA[</row>]]></t></r></is></c></row>`,
	} {
		f.Add(`<worksheet><cols/><sheetData>` + body + `</sheetData><x/></worksheet>`)
	}
	f.Add(`<worksheet><cols><col min="2" max="3" hidden="1"/></cols><sheetData><row r="1" hidden="1"><c s="1" r="B1"><v>1</v></c><c r="D1"/></row></sheetData><mergeCells><mergeCell ref="A1:B2"/></mergeCells></worksheet>`)
	f.Add(`<x:worksheet xmlns:x="y"><x:sheetData><x:row r="1"><x:c r="A1"><x:v>1</x:v></x:c></x:row></x:sheetData></x:worksheet>`)
	f.Fuzz(func(t *testing.T, xml string) {
		want, wantSeen, wantErr := cutAll(xml, 1<<16, false)
		for _, size := range []int{18, 64, 333} {
			for _, slow := range []bool{false, true} {
				got, seen, err := cutAll(xml, size, slow)
				if (err == nil) != (wantErr == nil) {
					t.Fatalf("window %d, slow %v: error %v, and %v with a large window", size, slow, err, wantErr)
				}
				if err == nil && !cmp.Equal(want, got, cmp.AllowUnexported(cell{}), cmpopts.EquateEmpty(), cmp.Comparer(func(a, b record.Value) bool { return a == b })) {
					t.Fatalf("window %d, slow %v: other rows:\n%v\n%v", size, slow, got, want)
				}
				// With prefixes here and there, the fast way may find too few columns, which refuses rows aloud.
				if err == nil && !strings.Contains(xml, ":") && (seen.width != wantSeen.width || seen.hidden != wantSeen.hidden) {
					t.Fatalf("window %d, slow %v: width %d and %d hidden, want %d and %d", size, slow, seen.width, seen.hidden, wantSeen.width, wantSeen.hidden)
				}
			}
		}
		if wantErr == nil {
			if n := strings.LastIndexByte(xml, '>'); n > 0 {
				if rows, _, err := cutAll(xml[:n], 1<<16, false); err == nil {
					t.Fatalf("without its last %q, %d rows and no error", ">", len(rows))
				}
			}
		}
	})
}

// FuzzWorkbook changes bytes of a workbook: it must end with rows or an error.
func FuzzWorkbook(f *testing.F) {
	raw := mixed(20).zip(f)
	f.Add(10, 3, byte(1), len(raw))
	f.Add(500, 900, byte(0xff), len(raw)-3)
	path := filepath.Join(f.TempDir(), "book.xlsx")
	f.Fuzz(func(t *testing.T, at, and int, with byte, end int) {
		bad := bytes.Clone(raw)
		bad[max(at, 0)%len(bad)] ^= with
		bad[max(and, 0)%len(bad)] += with
		write(t, path, bad[:max(end, 0)%(len(bad)+1)])
		rows, err := readAll(path, Options{})
		if err == nil && len(rows) != 21 {
			t.Fatalf("%d rows and no error", len(rows))
		}
	})
}
