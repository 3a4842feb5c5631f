package xlsx

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"github.com/crmetl/crmetl/record"
)

// strange makes a workbook of two sheets that other programs are to read, and what they should see: the texts of the
// cells, numbers and times as a program prints them.
func strange(t *testing.T) (path string, want [][]string) {
	t.Helper()
	texts := []string{"plain", "00123", "+971501234567", "=1+1", "12345678901234567890", "  blanks  ", "a\nb", "<&>\"'", "Zoë 美咲 😀", "NaN", "2024-02-29", "TRUE", "#N/A", strings.Repeat("é", maxText)}
	h := record.LooseHeader([]string{"text", "number", "day", "yes"})
	b := batch(h)
	for i, s := range texts {
		row := b.Add()
		n := fmt.Sprintf("%d.25", i)
		row.Values = []record.Value{record.TextOf(s), record.NumberOf(n), record.Of(record.Date, fmt.Sprintf("2024-02-%02d", i+1)), record.BoolOf(i%2 == 0)}
		want = append(want, []string{s, n, row.Values[2].Text(), fmt.Sprint(i%2 == 0)})
	}
	return write(t, Options{Header: h, Sheet: "Leads"}, 10, b), want
}

// TestExcelize reads both sheets by excelize.
func TestExcelize(t *testing.T) {
	path, want := strange(t)
	f, err := excelize.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var got [][]string
	for _, sheet := range []string{"Leads", "Leads (2)"} {
		rows, err := f.GetRows(sheet)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows[1:] {
			row[3] = strings.ToLower(row[3])
			got = append(got, row)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%.2000s", diff)
	}
}

// TestOpenpyxl reads both sheets by openpyxl, if this machine has it.
func TestOpenpyxl(t *testing.T) {
	const script = `
import json, sys, openpyxl
rows = []
for mode in (True, False):
    book = openpyxl.load_workbook(sys.argv[1], read_only=mode)
    for sheet in book.worksheets:
        for i, (s, n, d, b) in enumerate(sheet.iter_rows(values_only=True)):
            if i > 0:
                rows.append([s, str(n), d.strftime('%Y-%m-%d'), str(b).lower()])
print(json.dumps(rows))`
	if err := exec.Command("python3", "-c", "import openpyxl").Run(); err != nil {
		t.Skip("there is no python3 with openpyxl: ", err)
	}
	path, want := strange(t)
	out, err := exec.Command("python3", "-c", script, path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got [][]string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append(want, want...), got); diff != "" {
		t.Errorf("%.2000s", diff)
	}
}

// TestLibreOffice reads the first sheet by LibreOffice, if this machine has it.
func TestLibreOffice(t *testing.T) {
	if testing.Short() {
		t.Skip("starts an office suite, which takes seconds")
	}
	office, err := exec.LookPath("soffice")
	if err != nil {
		t.Skip("LibreOffice is not installed: ", err)
	}
	path, want := strange(t)
	dir := t.TempDir()
	if out, err := exec.Command(office, "-env:UserInstallation=file://"+dir+"/profile", "--headless", "--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76", "--outdir", dir, path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := os.Open(filepath.Join(dir, "out.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	got := rows[1:]
	for _, row := range got {
		row[3] = strings.ToLower(row[3])
	}
	if diff := cmp.Diff(want[:9], got); diff != "" {
		t.Errorf("%.2000s", diff)
	}
}
