package columns

import (
	"strings"
	"testing"

	"github.com/crmetl/crmetl/record"
)

// many repeats cells, separated by blanks unless there is a bar.
func many(s string, times int) []string {
	sep := " "
	if strings.Contains(s, "|") {
		sep = "|"
	}
	var out []string
	for range times {
		out = append(out, strings.Split(s, sep)...)
	}
	return out
}

func profileOf(cells []string) *Profile {
	p := New([]string{"x"})
	for _, c := range cells {
		p.Add([]record.Value{record.TextOf(c)})
	}
	return p
}

func TestFindings(t *testing.T) {
	for _, c := range []struct {
		name  string
		cells []string
		want  []string // rule, ? if open, and a part of the text
	}{
		{"ISO", many("2026-01-31 2026-02-01", 3), nil},
		{"day first", many("31/01/2026 01/02/2026", 3), []string{`date_order: the day comes first: 3 dates can be read in no other way, such as "31/01/2026"`}},
		{"month first", many("1/31/26 2/1/26", 1), []string{`date_order: the month comes first: 1 date`}},
		{"either", many("03/04/2026 05/06/2026", 3), []string{`date_order?: which of the numbers is the day can't be told: "03/04/2026" is 3 April 2026 as DD/MM/YYYY, and 4 March 2026 as MM/DD/YYYY`}},
		{"both", many("31.01.2026 01.31.2026", 1), []string{`date_order?: both orders stand in it: "31.01.2026" (1) begin with the day, "01.31.2026" (1) with the month`}},
		{"one slip among many", append(many("03/04/2026", 100), "31/01/2026"), []string{"date_order?: which of the numbers is the day can't be told"}},
		{"with times", []string{"31/01/2026 10:30", "01/02/2026 23:59"}, []string{"date_order: the day comes first"}},
		{"versions are no dates", many("1.2.3 1.2.4 10.0.1", 2), nil},
		{"addresses are no dates", many("10.0.0.1", 4), nil},
		{"texts with a date among them", many("a b c 01/02/2026", 2), nil},
		{"decimal comma", many("1,5 1.234,50 7", 2), []string{`decimal_sign: the comma is the decimal sign, as in "1,5"`}},
		{"plain", many("1.5 2.25 7", 2), nil},
		{"thousands", many("1,234.50 7", 2), []string{`decimal_sign: the point is the decimal sign, and "," stands between thousands, as in "1,234.50"`}},
		{"either sign", many("1,234 5,678", 2), []string{`decimal_sign?: whether the comma is the decimal sign can't be told: "1,234" is 1234 if it separates thousands, and 1.234 if it is`}},
		{"either point", many("1.234 5.678", 2), []string{`decimal_sign?: whether the point is the decimal sign`}},
		{"both signs", many("1,5 1.5", 1), []string{"decimal_sign?: both decimal signs stand in it"}},
		{"phones are no numbers", many("050 123 4567|+971 50 123 4567", 2), nil},
		{"scientific", many("9.71501E+11 9,71502E+11 1E5", 1), []string{`digits: 2 cells, such as "9.71501E+11": digits were lost`}},
		{"rounded", many("1234567890123450 9876543210987600", 1), []string{"digits: 2 numbers of more than 15 digits"}},
		{"long ids", many("1234567890123456 9876543210987600", 1), nil},
		{"zeros lost", many("01234 02139 90210 2139", 1), []string{`zeros: 1 cell, such as "2139", is shorter than the 5 digits that the others have, such as "01234"`}},
		{"zeros kept", many("01234 02139 90210", 1), nil},
		{"codes of all lengths", many("01234 0213 1 22", 1), nil},
		{"errors", many("#N/A #REF! ##### 5 #1", 1), []string{"cell: 3 spreadsheet errors, such as #N/A"}},
		{"ranges turned to days", many("4-10 3-Jan 11-50 51-200", 1), []string{`date: 1 cell, such as "3-Jan": what a spreadsheet makes of a range`}},
		{"nothing", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := profileOf(c.cells).Findings()
			if len(got) != len(c.want) {
				t.Fatalf("findings %v, want %q", got, c.want)
			}
			for i, f := range got {
				rule := f.Rule
				if f.Open {
					rule += "?"
				}
				if s := rule + ": " + f.Text; !strings.HasPrefix(s, c.want[i]) {
					t.Errorf("finding %s\nwant %s", s, c.want[i])
				}
			}
		})
	}
}

func TestDate(t *testing.T) {
	for in, want := range map[string]Date{
		"31/01/2026":             {Layout: "DD/MM/YYYY"},
		"2026/01/31":             {Layout: "YYYY/MM/DD"},
		"31.1.26":                {Layout: "DD.MM.YY"},
		"01/31/2026 10:30 PM":    {Layout: "MM/DD/YYYY hh:mm AM", Time: true},
		"31-01-2026 22:30:05":    {Layout: "DD-MM-YYYY HH:mm:ss", Time: true},
		"2026-01-31":             {},
		"03/04/2026":             {Layout: "DD/MM/YYYY", Other: "MM/DD/YYYY", Open: true},
		"2026-01-31T10:00":       {Time: true},
		"31/01/2026 and so on":   {},
		"31/01":                  {},
		"99/99/2026":             {Layout: "DD/MM/YYYY", Other: "MM/DD/YYYY", Open: true},
		"123456/1/1":             {},
		"1/2/3":                  {},
		"31/01/2026 10:30:00.00": {},
	} {
		got := profileOf([]string{in}).Date(0)
		got.Text = ""
		if got != want {
			t.Errorf("%s: %+v, want %+v", in, got, want)
		}
	}
}

func FuzzAdd(f *testing.F) {
	for _, s := range []string{"31/01/2026 10:30 PM", "1.234,50", "#N/A", "3-Jan", "9.71501E+11", "00123", "-", "1-", "1/", "1/2/", "(1,5)%", "1'000.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := New([]string{"a", "b"})
		for range 3 {
			p.Add([]record.Value{record.TextOf(s), record.NumberOf(s), record.TextOf(s)})
		}
		for _, x := range p.Findings() {
			if x.Text == "" || x.String() == "" {
				t.Errorf("%q: %+v", s, x)
			}
		}
	})
}
