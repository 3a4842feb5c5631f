package sandbox

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseFaults(t *testing.T) {
	for _, c := range []struct {
		rule string
		want Fault
	}{
		{"POST /customers #3 status=429 retry-after=2", Fault{Status: 429, Retry: RetryAfter{2 * time.Second, RetrySeconds}}},
		{"* p=0.05 status=500", Fault{Status: 500}},
		{"POST * #5 drop=before", Fault{Drop: true}},
		{"POST * #5 drop=after", Fault{Drop: true, Applied: true}},
		{"* hang=30s", Fault{Hang: 30 * time.Second}},
		{"* hang=30s applied", Fault{Hang: 30 * time.Second, Applied: true}},
		{"* slow=200ms", Fault{Slow: 200 * time.Millisecond}},
		{"GET /customers cut=50%", Fault{Cut: &Cut{Percent: 50, Bytes: -1}}},
		{"GET /customers cut=1000 clean", Fault{Cut: &Cut{Bytes: 1000, Clean: true}}},
		{"* html=502", Fault{Status: 502, Body: BodyHTML}},
		{"* status=503 retry-after=date", Fault{Status: 503, Retry: RetryAfter{2 * time.Second, RetryDate}}},
		{"* status=503 retry-after=date+60 body=empty applied", Fault{Status: 503, Body: BodyEmpty, Applied: true, Retry: RetryAfter{time.Minute, RetryDate}}},
		{"/customers status=500 slow=1s", Fault{Status: 500, Slow: time.Second}},
	} {
		f, err := ParseFaults(c.rule)
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		c.want.Rule = c.rule
		if diff := cmp.Diff(c.want, f.rules[0].fault); diff != "" {
			t.Errorf("%s:\n%s", c.rule, diff)
		}
	}
}

func TestParseFaultsErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"post * status=500", `fault rule 1, column 1 ("post" in "post * status=500"): a rule begins with`},
		{"* status=500; GET /a bogus", `fault rule 2, column 8 ("bogus" in "GET /a bogus"): want #N or NAME=VALUE`},
		{"* slow=1s\n# a comment\n\n* #0 status=500", `fault rule 2, column 3 ("#0" in "* #0 status=500"): want #N, #N-M`},
		{"* #5-3 status=500", `column 3 ("#5-3"`},
		{"* status=99", "want a status from 200 to 599"},
		{"* status=500 status=501", "column 14"},
		{"* status=500 html=502", "has a status already"},
		{"* p=1.5 status=500", "probability from 0 to 1"},
		{"* p=NaN status=500", "probability from 0 to 1"},
		{"* slow=5", "want a duration"},
		{"* hang=-1s", "want a duration"},
		{"* slow=2s..1s", "shorter duration first"},
		{"* slow=1s..", "want a duration"},
		{"* cut=100%", "below 100%"},
		{"* cut=-5", "number of bytes"},
		{"* drop=never", "before or after"},
		{"* #3", "says nothing of what is to happen"},
		{"*", "says nothing of what is to happen"},
		{"* drop=before cut=50%", "one of status"},
		{"* slow=1s retry-after=2", "go with status"},
		{"* slow=1s clean", "clean goes with cut"},
		{"* clean=yes cut=1", "clean takes no value"},
		{"* drop=after applied", "drop=after"},
		{"* status=500 retry-after=soon", "want seconds, date"},
		{"* status=500 retry-after=date5", "want seconds, date"},
		{"* status=500 body=xml", "json, html or empty"},
		{"GET /a/**/b status=500", `"**" can only end a path`},
		{"set", "set needs NAME=VALUE"},
		{"set put_mode", "set takes NAME=VALUE"},
		{"set mmc.=1", "VENDOR.NAME=VALUE"},
		{"é * status=500", "column 1"},
		{"* wörld=1 status=500", `column 3 ("wörld=1"`},
	} {
		_, err := ParseFaults(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %s", c.text, err, c.want)
		}
	}
}

// TestFaultsFire says for each rule which of 12 requests to a path it meets.
func TestFaultsFire(t *testing.T) {
	for _, c := range []struct {
		rule, method, path string
		want               string
	}{
		{"POST /customers #3 status=500", "POST", "/customers", "[3]"},
		{"POST /customers #3 status=500", "GET", "/customers", "[]"},
		{"POST /customers #3 status=500", "POST", "/customers/x", "[]"},
		{"/customers #3-5 status=500", "PUT", "/customers", "[3 4 5]"},
		{"* #10- status=500", "PUT", "/x", "[10 11 12]"},
		{"* #2- every=4 status=500", "PUT", "/x", "[2 6 10]"},
		{"* every=5 times=2 status=500", "PUT", "/x", "[1 6]"},
		{"* times=3 status=500", "PUT", "/x", "[1 2 3]"},
		{"GET /customers/* #1 status=500", "GET", "/customers/a", "[1]"},
		{"GET /customers/* #1 status=500", "GET", "/customers", "[]"},
		{"GET /customers/* #1 status=500", "GET", "/customers/", "[]"},
		{"GET /customers/* #1 status=500", "GET", "/customers/search/a", "[]"},
		{"GET /customers/** #1 status=500", "GET", "/customers/search/a", "[1]"},
		{"GET /customers/search/* #1 status=500", "GET", "/customers/search/a%20b", "[1]"},
		{"* p=0 status=500", "GET", "/a", "[]"},
		{"* p=1 #1-2 status=500", "GET", "/a", "[1 2]"},
	} {
		f, err := ParseFaults(c.rule)
		if err != nil {
			t.Fatal(err)
		}
		met := []int{}
		for i := 1; i <= 12; i++ {
			if f.Next(c.method, c.path).Status != 0 {
				met = append(met, i)
			}
		}
		if got := fmt.Sprint(met); got != c.want {
			t.Errorf("%s for %s %s: met %s, want %s", c.rule, c.method, c.path, got, c.want)
		}
	}
}

func TestFaultsChanceIsFixed(t *testing.T) {
	draw := func(text string) (out []int) {
		f, err := ParseFaults(text)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2000 {
			if f.Next("GET", "/a").Status != 0 {
				out = append(out, i)
			}
		}
		return out
	}
	a, b, c := draw("* p=0.05 status=500"), draw("* p=0.05 status=500"), draw("* p=0.05 seed=2 status=500")
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("the same rule met different requests:\n%s", diff)
	}
	if cmp.Equal(a, c) {
		t.Error("another seed met the same requests")
	}
	if len(a) < 60 || len(a) > 140 {
		t.Errorf("p=0.05 met %d of 2000", len(a))
	}
}

func TestFaultsTogether(t *testing.T) {
	f, err := ParseFaults("* slow=1s; * slow=2s; POST * drop=before; * status=500\nset a=1 other.b=2 mine.c=3=4")
	if err != nil {
		t.Fatal(err)
	}
	got := f.Next("POST", "/a")
	want := Fault{Rule: "* slow=1s; * slow=2s; POST * drop=before", Slow: 3 * time.Second, Drop: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Knob{{"", "a", "1"}, {"mine", "c", "3=4"}}, f.Knobs("mine")); diff != "" {
		t.Error(diff)
	}
	state := f.State()
	if state[3].Seen != 1 || state[3].Fired != 0 || state[2].Fired != 1 {
		t.Errorf("state %+v", state)
	}
}

func TestFaultsJitter(t *testing.T) {
	draw := func() (out []time.Duration) {
		f, err := ParseFaults("* slow=50ms..300ms")
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			d := f.Next("GET", "/a").Slow
			if d < 50*time.Millisecond || d > 300*time.Millisecond {
				t.Errorf("waits %s", d)
			}
			out = append(out, d)
		}
		return out
	}
	a := draw()
	if !cmp.Equal(a, draw()) || a[0] == a[1] {
		t.Errorf("waits %s, then %s", a[0], a[1])
	}
}

func TestNoFaults(t *testing.T) {
	var f *Faults
	if got := f.Next("GET", "/"); got != (Fault{}) || f.String() != "" || f.Knobs("x") != nil || len(f.State()) != 0 {
		t.Errorf("nil faults do something: %+v", got)
	}
}

func FuzzParseFaults(f *testing.F) {
	for _, s := range []string{"* status=500", "POST /a #3- every=2 cut=5%; set a=b", "GET /a/** p=0.5 hang=1s applied", "#\n;;", "é ö=1", "* retry-after=date+9 html=502"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		faults, err := ParseFaults(text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fault rule ") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		faults.Next("GET", "/a/b")
		again, err := ParseFaults(faults.String())
		if err != nil || len(again.rules) != len(faults.rules) || len(again.knobs) != len(faults.knobs) {
			t.Errorf("%q parses differently from its own text %q: %v", text, faults.String(), err)
		}
	})
}
