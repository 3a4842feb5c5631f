package xlsx

import (
	"archive/zip"
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/pipeline"
)

// text gathers XML.
type text struct{ strings.Builder }

func newText(size int) *text {
	var t text
	t.Grow(size)
	return &t
}

func (t *text) add(format string, args ...any) { fmt.Fprintf(t, format, args...) }

// parts is a workbook to be made. The zero value is one with an empty sheet.
type parts struct {
	sheet    string            // what stands in <sheetData>
	strings  string            // what stands in <sst>; "" leaves the part out
	formats  []string          // number formats: style 1 has the first one, and so on
	date1904 bool              //
	whole    map[string]string // parts that replace those made of the above
	drop     []string          // parts left out
	stored   bool              // nothing is compressed
}

const head = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"

// files returns the parts by name.
func (p parts) files() map[string]string {
	const main = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"`
	styles := newText(0)
	styles.add(head+`<styleSheet %s><numFmts count="%d">`, main, len(p.formats))
	for i, f := range p.formats {
		styles.add(`<numFmt numFmtId="%d" formatCode="%s"/>`, 164+i, strings.NewReplacer(`&`, "&amp;", `"`, "&quot;", "<", "&lt;").Replace(f))
	}
	styles.add(`</numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/>`)
	for i := range p.formats {
		styles.add(`<xf numFmtId="%d" applyNumberFormat="1"/>`, 164+i)
	}
	styles.add(`</cellXfs></styleSheet>`)
	props := ""
	if p.date1904 {
		props = `<workbookPr date1904="1"/>`
	}
	const rel = `http://schemas.openxmlformats.org/officeDocument/2006/relationships`
	files := map[string]string{
		"[Content_Types].xml": head + `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>` +
			`<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>` +
			`<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/><Override PartName="/xl/sharedStrings.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>`,
		"_rels/.rels":                head + `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="` + rel + `/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
		"xl/workbook.xml":            head + `<workbook ` + main + ` xmlns:r="` + rel + `">` + props + `<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": head + `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="` + rel + `/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="` + rel + `/styles" Target="styles.xml"/><Relationship Id="rId3" Type="` + rel + `/sharedStrings" Target="sharedStrings.xml"/></Relationships>`,
		"xl/styles.xml":              styles.String(),
		"xl/worksheets/sheet1.xml":   head + `<worksheet ` + main + `><sheetData>` + p.sheet + `</sheetData></worksheet>`,
	}
	if p.strings != "" {
		files["xl/sharedStrings.xml"] = head + `<sst ` + main + `>` + p.strings + `</sst>`
	}
	for name, text := range p.whole {
		files[name] = text
	}
	for _, name := range p.drop {
		delete(files, name)
	}
	return files
}

// zip returns the workbook.
func (p parts) zip(tb testing.TB) []byte {
	tb.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	files := p.files()
	for _, name := range sortedKeys(files) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		if p.stored {
			h.Method = zip.Store
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func (p parts) write(tb testing.TB, path string) {
	tb.Helper()
	if err := os.WriteFile(path, p.zip(tb), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// file writes the workbook into a folder of the test.
func (p parts) file(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "book.xlsx")
	p.write(tb, path)
	return path
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

type chunk = pipeline.Chunk
