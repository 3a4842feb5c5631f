package transforms

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/record"
)

// TestExamples runs the documentation.
func TestExamples(t *testing.T) {
	for _, tr := range All() {
		t.Run(tr.Name, func(t *testing.T) {
			if tr.Doc == "" || len(tr.Examples) == 0 {
				t.Error("no documentation or no example")
			}
			for _, ex := range tr.Examples {
				f, err := tr.New(ex.Args)
				if err != nil {
					t.Errorf("%s: %v", ex.Args, err)
					continue
				}
				out, err := f(ex.In)
				switch {
				case ex.Error != "":
					if err == nil || !strings.Contains(err.Error(), ex.Error) {
						t.Errorf("{%s: %s} of %v: error %v, want one with %q", tr.Name, ex.Args, ex.In, err, ex.Error)
					}
				case err != nil:
					t.Errorf("{%s: %s} of %v: %v", tr.Name, ex.Args, ex.In, err)
				case out != ex.Out:
					t.Errorf("{%s: %s} of %v: %v, want %v", tr.Name, ex.Args, ex.In, out, ex.Out)
				}
			}
		})
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range Names() {
		if seen[n] {
			t.Errorf("%s stands twice", n)
		}
		seen[n] = true
		if _, ok := Lookup(n); !ok {
			t.Errorf("%s is not found", n)
		}
	}
	if _, ok := Lookup("nonesuch"); ok {
		t.Error("found what is not there")
	}
}

// TestEveryTransform holds what is true of all: empty cells pass, error cells never do, nothing is called that panics.
func TestEveryTransform(t *testing.T) {
	for _, tr := range All() {
		for _, ex := range tr.Examples {
			f, err := tr.New(ex.Args)
			if err != nil {
				t.Fatal(err)
			}
			if tr.Name != "if_empty" {
				for _, v := range []record.Value{{}, record.NullOf(), record.TextOf(""), record.TextOf(" ")} {
					if out, err := f(v); err != nil || !out.IsEmpty() {
						t.Errorf("%s of an empty cell: %v, %v", tr.Name, out, err)
					}
				}
			}
			out, err := f(record.Of(record.Fault, "#N/A"))
			var refusal *Refusal
			if tr.Name != "if_empty" && tr.Name != "join" && (!errors.As(err, &refusal) || refusal.Rule != "cell") {
				t.Errorf("%s of #N/A: %v, %v", tr.Name, out, err)
			}
			for k := record.Absent; k <= record.Fault; k++ {
				for _, s := range []string{"", "x", "[", `["a",1,null]`, "12", "-", "true", "\xff"} {
					_, _ = f(record.Of(k, s))
				}
			}
		}
	}
}

func TestArgumentsAreChecked(t *testing.T) {
	opts := Args{}
	cases := []struct {
		name string
		args Args
		want string
	}{
		{"lower", One("x"), "takes no argument"},
		{"number", One(","), "wants no argument or {decimal"},
		{"number", opts.With("decimals", One(",")), "option decimals is unknown"},
		{"number", opts.With("decimal", One(";")), "option decimal is"},
		{"number", opts.With("group", One(".")), "same sign"},
		{"number", opts.With("strip", One("1")), "not digits"},
		{"boolean", opts.With("maybe", One("x")), "unknown"},
		{"date", One("DD/QQ/YYYY"), "stands for nothing"},
		{"date", One("%d/%m"), "year, month and day"},
		{"date", One("%d/%m/%Y %Z"), "offsets"},
		{"datetime", One("YYYY-MM-DD hh:mm"), "no AM or PM"},
		{"datetime", opts.With("zone", One("Dubai")), "no time zone"},
		{"epoch", One("minutes"), "unit"},
		{"excel_date", One("1901"), "1904"},
		{"phone", One("XX"), "no country code"},
		{"phone", opts.With("check", One("no")), "one of valid, possible"},
		{"country", One("iso"), "alpha2"},
		{"split", Args{}, "separator"},
		{"split", One(""), "empty separator"},
		{"join", Args{}, "between"},
		{"replace", Many("a"), "[old, new]"},
		{"replace", Many("", "x"), "empty text"},
		{"extract", One("("), "missing closing )"},
		{"regex", One("a"), "[pattern, replacement]"},
		{"prefix", Args{}, "text to add"},
		{"truncate", One("0"), "from 1"},
		{"pad", One("100000"), "from 1 to 1000"},
		{"pad", opts.With("width", One("3")).With("with", One("ab")), "one character"},
		{"if_empty", Args{}, "wants the text"},
	}
	for _, c := range cases {
		tr, ok := Lookup(c.name)
		if !ok {
			t.Fatalf("no %s", c.name)
		}
		_, err := tr.New(c.args)
		var ae *ArgError
		if !errors.As(err, &ae) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %q", c.name, c.args, err, c.want)
		}
	}
}

func TestPlainNumber(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "-0.00": "0.00", "+5": "5", "007": "7", "-007.50": "-7.50", "0.5": "0.5", "00": "0", "12345678901234567890": "12345678901234567890",
		"": "", "-": "", ".5": "", "5.": "", "1e5": "", "1,5": "", " 1": "", "--1": "", "1.2.3": "", "0x10": "", "١": "", "NaN": "",
	} {
		if got, ok := PlainNumber(in); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v, want %q", in, got, ok, want)
		}
	}
}

func TestScientific(t *testing.T) {
	for _, s := range []string{"9.71501E+11", "9,71501E+11", "1e5", "-1.5E-3", "9E11"} {
		if !Scientific(s) {
			t.Errorf("%s is not seen", s)
		}
	}
	for _, s := range []string{"", "E11", "12", "1e", "1ee5", "A1E5", "1E5x", "12E34567", "e", "1e+-5"} {
		if Scientific(s) {
			t.Errorf("%s is seen", s)
		}
	}
}

func TestISO(t *testing.T) {
	tr, _ := Lookup("datetime")
	f, err := tr.New(Args{})
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"2025-04-03":                    "2025-04-03T00:00:00Z",
		"2025-04-03T18:30:05+04:00":     "2025-04-03T18:30:05+04:00",
		"2025-04-03 18:30:05.120 +0400": "",
		"2025-04-03 18:30:05.120+0400":  "2025-04-03T18:30:05.12+04:00",
		"2025-04-03T18:30-03":           "2025-04-03T18:30:00-03:00",
		"2025-02-29":                    "",
		"2025-04-03T25:00":              "",
		"20250403":                      "",
		"2025-04-03T18":                 "",
		"2025-04-03T18:30:05Zulu":       "",
	} {
		out, err := f(record.TextOf(in))
		if (err == nil) != (want != "") || err == nil && out.Text() != want {
			t.Errorf("%s: %s, %v, want %q", in, out.Text(), err, want)
		}
	}
}

func TestArgsString(t *testing.T) {
	a := Args{}.With("decimal", One(",")).With("strip", Many("AED", "it's")).With("yes", One("no"))
	if diff := cmp.Diff(`{decimal: ',', strip: [AED, 'it''s'], 'yes': 'no'}`, a.String()); diff != "" {
		t.Error(diff)
	}
}

// TestLower holds Lower against strings.ToLower, with each byte at each place of a word and behind it.
func TestLower(t *testing.T) {
	const plain = "anna.abel@example.com"
	for _, s := range []string{"", plain, "Anna", "ANNA.ABEL@EXAMPLE.COM", "zoë@example.com", "ZOË@EXAMPLE.COM", "İ", "ǅungla"} {
		if got, want := Lower(s), strings.ToLower(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
	for i := range len(plain) {
		for c := range 256 {
			s := plain[:i] + string([]byte{byte(c)}) + plain[i+1:]
			if got, want := Lower(s), strings.ToLower(s); got != want {
				t.Errorf("%q: %q, want %q", s, got, want)
			}
		}
	}
}
