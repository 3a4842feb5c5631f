package report

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/pipeline"
)

// TestHTML writes the page of a run whose file and vendor are hostile, and looks for anything that would run or load.
func TestHTML(t *testing.T) {
	dir := t.TempDir()
	rejected := "name,\"<b>\",_row,_field,_rule,_error\n" +
		"\"<script>alert(1)</script>\",javascript:x,3,name,max,\"name (column \"\"<b>\"\"): \"\"<img src=x onerror=alert(2)>\"\" is too long\"\n" +
		strings.Repeat("Ada,x,4,email,email,email: no address\n", 300)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(RejectedFile, rejected)
	write(UnsureFile, "name,_row,_field,_rule,_error\nBob,9,,unsure,the answer was lost\n")
	s := Summary{
		Run: "20261122T101500Z-3f9a", Command: "import", Status: Partial, Source: "</title><script>x</script>.csv", Target: "mycrm/leads", Mode: "create",
		Rows: Rows{Counts: pipeline.Counts{Read: 1310, Accepted: 1008, Rejected: 301, Unsure: 1}}, Rejections: []Rejection{{"email", "email", 300}, {"max", "name", 1}},
	}
	if err := WriteHTML(dir, s); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, HTMLFile))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, bad := range []string{"<script", "<img", "<link", "http://", "https://", "url(", "src=\"", "<b>name"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	for _, want := range []string{"1,008", "&lt;script&gt;alert(1)", "76.9 %", "101 more are not shown", "the answer was lost", "default-src 'none'", `class="wrong">javascript:x`, `class="wrong">&lt;script`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := len(regexp.MustCompile(`<tr><td class="n">4</td>`).FindAllString(text, -1)); n != htmlRows-1 {
		t.Errorf("%d of the many rows are shown, want %d", n, htmlRows-1)
	}
	if st, err := os.Stat(filepath.Join(dir, HTMLFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}

	// A run without refused rows, and an export, need no result files.
	for _, s := range []Summary{{Command: "import", Status: Succeeded, Rows: Rows{Counts: pipeline.Counts{Read: 2, Accepted: 2}}}, {Command: "export", Rows: Rows{Export: true, Written: 5, Counts: pipeline.Counts{Read: 5}}}} {
		if err := WriteHTML(t.TempDir(), s); err != nil {
			t.Error(err)
		}
	}
}
