package record

import (
	"strings"
	"testing"
)

func TestGuard(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "Ada": "Ada", "+971 50 123-4567": "+971 50 123-4567", "-12.50": "-12.50", "-1e-5": "-1e-5", "-": "-", "+1 (555) 010.2000": "+1 (555) 010.2000",
		"=1+1": "'=1+1", "@SUM(A1)": "'@SUM(A1)", "+A1": "'+A1", "-2+cmd|' /C calc'!A0": "'-2+cmd|' /C calc'!A0", "\t=1": "'\t=1", "\r=1": "'\r=1",
		"'=1": "''=1", "'+971": "''+971", "'Ada": "'Ada", "'": "'", "＝1": "'＝1", "- call back": "'- call back", "--": "'--", "O'Brien": "O'Brien",
	} {
		if got := Guard(in); got != want {
			t.Errorf("Guard(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzGuard(f *testing.F) {
	for _, s := range []string{"", "'", "''=", "=1", "+1e5", "-e", "'+1", "＠", "\xef", "'\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g := Guard(s)
		if Bare(g) != s {
			t.Errorf("%q became %q and came back as %q", s, g, Bare(g))
		}
		if g != "" && strings.ContainsRune("=@\t\r\n", rune(g[0])) {
			t.Errorf("%q stays %q", s, g)
		}
	})
}
