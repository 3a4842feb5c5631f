package xlsx

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/record"
)

// sheetRows returns the values of a workbook's rows.
func sheetRows(t *testing.T, p parts, o Options) [][]record.Value {
	t.Helper()
	var rows [][]record.Value
	err := each(p.file(t), o, func(r *record.Row) error {
		if r.Err != nil {
			t.Errorf("row %d: %v", r.Line, r.Err)
		}
		rows = append(rows, r.Values)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestCells(t *testing.T) {
	text, num, fault := record.TextOf, record.NumberOf, func(s string) record.Value { return record.Of(record.Fault, s) }
	strs := []string{
		`<si><t>plain</t></si>`,
		`<si><t>a &amp; b &lt;c&gt; &#65;&#x42; &quot;&apos;</t></si>`,
		`<si><r><t>rich </t></r><r><rPr><sz val="9"/></rPr><t xml:space="preserve"> text</t></r></si>`,
		`<si><t>東京</t><rPh sb="0" eb="2"><t>トウキョウ</t></rPh><phoneticPr fontId="1"/></si>`,
		`<si><t>a_x000D_` + "\n" + `b_x0009__x005F_x0041_ _xZZZZ_ _xD83D__xDE00_</t></si>`,
		`<si><t/></si>`,
		`<si/>`,
		"<si><t>a\r\nb\rc&#13;</t></si>",
		`<x:si xmlns:x="y"><x:t>prefixed</x:t></x:si>`,
		`<si><t><![CDATA[<b>&amp;]]></t></si>`,
		`<si><t xml:space="preserve">  kept  </t></si>`,
	}
	cases := []struct {
		xml  string
		want record.Value
	}{
		{`t="s"><v>0</v>`, text("plain")},
		{`t="s"><v> 1 </v>`, text(`a & b <c> AB "'`)},
		{`t="s"><v>2</v>`, text("rich  text")},
		{`t="s"><v>3</v>`, text("東京")},
		{`t="s"><v>4</v>`, text("a\r\nb\t_x0041_ _xZZZZ_ 😀")},
		{`t="s"><v>5</v>`, text("")},
		{`t="s"><v>6</v>`, text("")},
		{`t="s"><v>7</v>`, text("a\nb\nc\r")},
		{`t="s"><v>8</v>`, text("prefixed")},
		{`t="s"><v>9</v>`, text("<b>&amp;")},
		{`t="s"><v>10</v>`, text("  kept  ")},
		{`t="s"><v></v>`, text("")},
		{`t="inlineStr"><is><t>in &amp; line</t></is>`, text("in & line")},
		{`t="inlineStr"><is><r><t>a</t></r><r><t>b</t></r><rPh sb="0" eb="1"><t>x</t></rPh></is>`, text("ab")},
		{`t="inlineStr"><is><t xml:space="preserve"> _x000A_ </t></is>`, text(" \n ")},
		{`t="inlineStr"><is><t>00123</t></is>`, text("00123")},
		{`t="inlineStr"><v>old</v>`, text("old")},
		{`><is><t>without type</t></is>`, text("without type")},
		{`t="str"><f>A1&amp;"x"</f><v>9.7E+11</v>`, text("9.7E+11")},
		{`t="str"><f>""</f><v></v>`, text("")},
		{`t="str"><v>_x0041_&amp;</v>`, text("A&")},
		{`t="b"><v>1</v>`, record.BoolOf(true)},
		{`t="b"><v>0</v>`, record.BoolOf(false)},
		{`t="b"><v>true</v>`, record.BoolOf(true)},
		{`t="e"><v>#N/A</v>`, fault("#N/A")},
		{`t="e"><f>1/0</f><v>#DIV/0!</v>`, fault("#DIV/0!")},
		{`><f>SUM(A1:A2)</f>`, fault(FormulaFault)},
		{`><f>SUM(A1:A2)</f><v/>`, fault(FormulaFault)},
		{`><f t="shared" si="0"/><v>12</v>`, num("12")},
		{`><v>12</v>`, num("12")},
		{`t="n"><v> 1.5 </v>`, num("1.5")},
		{`s="1"><v>45351</v>`, record.Of(record.Date, "2024-02-29")},
		{`s="1"><v>45351.5</v>`, record.Of(record.DateTime, "2024-02-29T12:00:00")},
		{`s="2"><v>45351</v>`, record.Of(record.DateTime, "2024-02-29T00:00:00")},
		{`s="3"><v>0.55156250000000007</v>`, record.Of(record.Time, "13:14:15")},
		{`s="3"><v>45351.5</v>`, record.Of(record.DateTime, "2024-02-29T12:00:00")},
		{`s="4"><v>1.5</v>`, record.Of(record.Time, "36:00:00")},
		{`s="1"><v>-1</v>`, num("-1")},
		{`s="1"><v>2958466</v>`, num("2958466")},
		{`s="1" t="s"><v>0</v>`, text("plain")},
		{`s="99"><v>45351</v>`, num("45351")},
		{`s="x"><v>45351</v>`, num("45351")},
		{`t="d" s="1"><v>2024-02-29T00:00:00</v>`, record.Of(record.Date, "2024-02-29")},
		{`t="d" s="2"><v>2024-02-29T00:00:00</v>`, record.Of(record.DateTime, "2024-02-29T00:00:00")},
		{`t="d"><v>2024-02-29</v>`, record.Of(record.Date, "2024-02-29")},
		{`t="d"><v>2014-02-14T08:27:48.765</v>`, record.Of(record.DateTime, "2014-02-14T08:27:48.765")},
		{`t="d"><v>2014-02-14T08:27:48.082389Z</v>`, record.Of(record.DateTime, "2014-02-14T08:27:48.082Z")},
		{`t="d"><v>13:14:15</v>`, record.Of(record.Time, "13:14:15")},
		{`t="d"><v>P1D</v>`, text("P1D")},
		{`><v>n/a</v>`, text("n/a")},
		{`>`, text("")},
		{`><extLst><ext/></extLst>`, text("")},
	}
	sheet := newText(0)
	for i, c := range cases {
		sheet.add(`<row r="%d"><c r="A%d" %s</c><c r="B%d"><v>0</v></c></row>`, i+1, i+1, c.xml, i+1)
	}
	p := parts{sheet: sheet.String(), strings: strings.Join(strs, ""), formats: []string{"yyyy-mm-dd", "dd/mm/yy h:mm", "h:mm AM/PM", "[h]:mm"}}
	p.strings = strings.Replace(p.strings, `<x:si xmlns:x="y"><x:t>prefixed</x:t></x:si>`, `<si><x:t xmlns:x="y">prefixed</x:t></si>`, 1)
	rows := sheetRows(t, p, Options{HeaderRow: "none"})
	if len(rows) != len(cases) {
		t.Fatalf("%d rows of %d", len(rows), len(cases))
	}
	for i, c := range cases {
		if got := rows[i][0]; got != c.want {
			t.Errorf("<c %s</c> is %v %q, want %v %q", c.xml, got.Kind(), got.Text(), c.want.Kind(), c.want.Text())
		}
	}
}

func TestNumeral(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "007": "7", "+5": "5", ".5": "0.5", "5.": "5", "-.25": "-0.25",
		"123456789012345":         "123456789012345",
		"1234567890123456789":     "1234567890123456789",
		"123456789012345678901":   "123456789012345678901",
		"0.10000000000000001":     "0.1",
		"0.30000000000000004":     "0.30000000000000004",
		"1234.5":                  "1234.5",
		"12.50":                   "12.50",
		"3.7000000000000002":      "3.7",
		"-1.1000000000000001":     "-1.1",
		"9.7150123E+11":           "971501230000",
		"9.7150123456799999E+11":  "971501234568",
		"1.2345678901234567E+16":  "12345678901234568",
		"1E3":                     "1000",
		"1.5e-3":                  "0.0015",
		"-2.5E-7":                 "-0.00000025",
		"0.05E+3":                 "50",
		"0.0123E2":                "1.23",
		"12.34E1":                 "123.4",
		"12.30E2":                 "1230",
		"100E-2":                  "1",
		"1E20":                    "100000000000000000000",
		"1E22":                    "1e+22",
		"1.7976931348623157E+308": "1.7976931348623157e+308",
		"5E-324":                  "5e-324",
		"0E5":                     "0",
	} {
		got, ok := numeral(nil, []byte(in))
		if !ok || string(got) != want {
			t.Errorf("%s is %s, %v, want %s", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "-", ".", "e5", "1e", "1e+", "NaN", "INF", "0x10", "1_000", "1,5", "1.2.3", "--1", "1e999", "1e401"} {
		if got, ok := numeral(nil, []byte(in)); ok {
			t.Errorf("%q is %s, want no number", in, got)
		}
	}
}

// FuzzNumeral compares with strconv: what is taken for a number is one, is a JSON number, and means the same.
func FuzzNumeral(f *testing.F) {
	for _, s := range []string{"0.05E+3", "1234567890123456", "-12.340", "1e-30", "00.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := numeral(nil, []byte(s))
		if !ok {
			return
		}
		want, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatalf("%q became %s", s, got)
		}
		if have, err := strconv.ParseFloat(string(got), 64); err != nil || have != want {
			t.Fatalf("%q became %s", s, got)
		}
		if v, err := record.ParseJSON(got); err != nil || v.Kind() != record.Number {
			t.Fatalf("%q became %s, which is no JSON number", s, got)
		}
	})
}

func TestMoment(t *testing.T) {
	for _, c := range []struct {
		serial   float64
		class    class
		date1904 bool
		want     string
		kind     record.Kind
	}{
		{1, dateOnly, false, "1900-01-01", record.Date},
		{59, dateOnly, false, "1900-02-28", record.Date},
		{60, dateOnly, false, "1900-02-29", record.Text},
		{60.5, dateTime, false, "1900-02-29T12:00:00", record.Text},
		{61, dateOnly, false, "1900-03-01", record.Date},
		{25569, dateOnly, false, "1970-01-01", record.Date},
		{2958465, dateOnly, false, "9999-12-31", record.Date},
		{0, dateOnly, true, "1904-01-01", record.Date},
		{1462, dateOnly, true, "1908-01-02", record.Date},
		{24107, dateOnly, true, "1970-01-01", record.Date},
		{0.5, dateTime, false, "12:00:00", record.Time},
		{0, timeOnly, false, "00:00:00", record.Time},
		{0.99999999999, timeOnly, false, "23:59:59.999", record.Time},
		{10.6320601851852, elapsed, false, "255:10:10", record.Time},
		{1.5, elapsed, false, "36:00:00", record.Time},
		{22606.51201388889, dateTime, false, "1961-11-21T12:17:18", record.DateTime},
		{41684.35264774306, dateTime, false, "2014-02-14T08:27:48.765", record.DateTime},
		{44196.999999999, dateTime, false, "2021-01-01T00:00:00", record.DateTime},
		{45000.5000057870, dateTime, false, "2023-03-15T12:00:00.5", record.DateTime},
	} {
		got, kind, ok := moment(nil, c.serial, c.class, c.date1904)
		if !ok || string(got) != c.want || kind != c.kind {
			t.Errorf("%v (class %d, 1904 %v) is %s %q, want %s %q", c.serial, c.class, c.date1904, kind, got, c.kind, c.want)
		}
	}
	for _, f := range []float64{-1, -0.5, math.NaN(), math.Inf(1), math.Inf(-1), 2958466, 1e300} {
		if got, _, ok := moment(nil, f, dateTime, false); ok {
			t.Errorf("%v is %s", f, got)
		}
	}
}

func TestClassOf(t *testing.T) {
	for class, codes := range map[class][]string{
		plain: {"", "General", "GENERAL", "0", "0.00", "#,##0.00", "0%", "0.00E+00", "##0.0e-0", "@", `"dd"0`, `0\d`, "[Red]0", "[$-409]0", "[>100]0;0", `_(* #,##0_)`, `0_d`, `0*d`,
			`"day" 0`, "# ?/?", `#,##0\ "km/h"`, `0;yyyy`, `General;[Red]-General`, `[$EUR] 0`, `"unclosed yyyy`, `[Magenta]0`},
		dateOnly: {"yyyy", "d", "m/d/yy", "dd-mmm", "mmm-yy", "mmmm", "m", "YYYY-MM-DD", "[$-F800]dddd, mmmm dd, yyyy", `yyyy"年"m"月"d"日"`, "[$-411]ggge", `dd\.mm\.yyyy;@`, "[Red]d", `[$-x-sysdate]dddd`, "e/m/d"},
		timeOnly: {"h:mm", "hh:mm:ss", "h:mm AM/PM", "mm:ss", "ss", "ss.000", "h", "hh\\:mm", "[$-409]h:mm:ss a/p", `h"h"mm`, "mm:ss.0"},
		dateTime: {"m/d/yy h:mm", "yyyy-mm-dd hh:mm:ss", "dd/mm/yyyy\\ hh:mm", "d h", "yyyy-mm-ddThh:mm", "mmm h:mm:ss", `d" days "h:mm`, "h:mm d/m"},
		elapsed:  {"[h]:mm", "[hh]:mm:ss", "[mm]:ss", "[ss]", "[h]", "[H]:MM", "[m]", "[s].00", `[h]"h "mm"m"`},
	} {
		for _, code := range codes {
			if got := classOf(code); got != class {
				t.Errorf("format %s is of class %d, want %d", code, got, class)
			}
		}
	}
}

// FuzzClassOf: no format breaks it; one without a letter of a date is a number, and only the first section counts.
func FuzzClassOf(f *testing.F) {
	f.Add(`[$-409]yyyy"x\" _d*;[h]`)
	f.Add("#,##0.00")
	f.Add("h:mm a/p")
	f.Fuzz(func(t *testing.T, code string) {
		got := classOf(code)
		if !strings.ContainsAny(strings.ToLower(code), "ymdhsgea") && got != plain {
			t.Errorf("%q is of class %d, and has no letter of a date", code, got)
		}
		if more := code + ";yyyy h"; !strings.ContainsAny(code, `"[\_*`) && classOf(more) != got {
			t.Errorf("%q is of class %d, and %q of %d", code, got, more, classOf(more))
		}
	})
}

func TestColumnOf(t *testing.T) {
	for i := range maxColumn {
		if got, err := columnOf([]byte(fmt.Sprintf("%s%d", record.ColumnName(i), 7))); err != nil || got != i {
			t.Fatalf("column %s is %d, %v, want %d", record.ColumnName(i), got, err, i)
		}
	}
	if got, err := columnOf([]byte("ab12")); err != nil || got != 27 {
		t.Errorf("ab12 is column %d, %v", got, err)
	}
	for _, ref := range []string{"", "A", "7", "A0", "7A", "A-1", "A1B", "XFE1", "$A$1", "A1 "} {
		if got, err := columnOf([]byte(ref)); err == nil {
			t.Errorf("%q is column %d", ref, got)
		}
	}
}
