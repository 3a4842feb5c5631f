package transforms

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/crmetl/crmetl/internal/beside"
	"github.com/crmetl/crmetl/record"
)

// FuzzTransforms: no text makes a transform panic, and what comes out is canonical for its kind.
func FuzzTransforms(f *testing.F) {
	for _, tr := range All() {
		for _, ex := range tr.Examples {
			f.Add(ex.In.Text())
		}
	}
	var funcs []Func
	var names []string
	for _, tr := range All() {
		for _, ex := range tr.Examples {
			fn, err := tr.New(ex.Args)
			if err != nil {
				f.Fatal(err)
			}
			funcs, names = append(funcs, fn), append(names, tr.Name+" "+ex.Args.String())
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		for i, fn := range funcs {
			out, err := fn(record.TextOf(s))
			if err != nil {
				continue
			}
			bad := false
			switch out.Kind() {
			case record.Number, record.List:
				bad = !json.Valid([]byte(out.Text()))
			case record.Date:
				_, err = time.Parse(isoDay, out.Text())
				bad = err != nil
			case record.DateTime:
				_, _, err = ParseISO(out.Text(), time.UTC)
				bad = err != nil
			}
			if bad {
				t.Errorf("%s of %q gives %q", names[i], s, out.Text())
			}
		}
	})
}

// FuzzPlainNumber: what passes is a JSON number of the same value, and canonical.
func FuzzPlainNumber(f *testing.F) {
	f.Add("-007.50")
	f.Fuzz(func(t *testing.T, s string) {
		lit, ok := PlainNumber(s)
		if !ok {
			return
		}
		again, ok := PlainNumber(lit)
		if !json.Valid([]byte(lit)) || !ok || again != lit {
			t.Errorf("%q gives %q", s, lit)
		}
	})
}

// TestPhoneTable holds phone against libphonenumber's own table of numbers.
func TestPhoneTable(t *testing.T) {
	data, err := os.ReadFile(beside.Path(t, "corpora", "phone.json"))
	if err != nil {
		t.Fatal(err)
	}
	var numbers []struct {
		E164, National, Region string
		Prefix                 string `json:"national_prefix"`
		Valid                  bool
	}
	if err := json.Unmarshal(data, &numbers); err != nil {
		t.Fatal(err)
	}
	tr, _ := Lookup("phone")
	wrong := 0
	for _, n := range numbers {
		forms := []string{n.E164, strings.Replace(n.E164, "+", "00", 1)}
		args := One(n.Region)
		if n.Region == "001" {
			forms, args = forms[:1], Args{}
		} else if n.Prefix != "" {
			forms = append(forms[:1], n.Prefix+n.National)
		} else {
			forms = append(forms[:1], n.National)
		}
		fn, err := tr.New(args)
		if err != nil {
			t.Errorf("region %s: %v", n.Region, err)
			continue
		}
		for _, form := range forms {
			out, err := fn(record.TextOf(form))
			if n.Valid && (err != nil || out.Text() != n.E164) {
				wrong++
				t.Logf("%s in %s: %s %v, want %s", form, n.Region, out.Text(), err, n.E164)
			}
		}
	}
	if wrong*50 > len(numbers) {
		t.Errorf("%d of %d numbers are read otherwise", wrong, len(numbers))
	}
}
