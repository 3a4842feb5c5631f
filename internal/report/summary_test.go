package report_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/pipeline"
)

func TestSummaryJSON(t *testing.T) {
	dir := t.TempDir()
	s := report.Summary{
		Run: "20261122T101500Z-3f9a", Command: "import", Status: report.Partial, Source: "leads.csv", Target: "mycrm/leads", Mode: "create",
		Rows:     report.Rows{Counts: pipeline.Counts{Read: 100, Accepted: 97, Rejected: 3}},
		Requests: report.Requests{Sent: 101, Retried: 1}, Bytes: report.Bytes{Read: 40121, Sent: 63012},
		StartedAt: epoch, EndedAt: epoch.Add(41200 * time.Millisecond), Seconds: 41.2,
		Rejections: []report.Rejection{{Rule: "required", Field: "mobile", Rows: 2}}, Files: map[string]string{"rejected": "x/rejected.csv"},
	}
	if err := report.WriteSummary(dir, s); err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(read(t, dir, report.SummaryFile))); err != nil {
		t.Fatal(err)
	}
	want := `{"run":"20261122T101500Z-3f9a","command":"import","status":"partial","source":"leads.csv","target":"mycrm/leads","mode":"create",` +
		`"rows":{"read":100,"accepted":97,"rejected":3,"unsure":0,"unchanged":0,"skipped":0},` +
		`"requests":{"sent":101,"retried":1,"throttled":0},"bytes":{"read":40121,"sent":63012},` +
		`"started_at":"2026-11-22T10:00:00Z","ended_at":"2026-11-22T10:00:41.2Z","seconds":41.2,` +
		`"stop_reason":"","rejections":[{"rule":"required","field":"mobile","rows":2}],"files":{"rejected":"x/rejected.csv"}}`
	if diff := cmp.Diff(want, compact.String()); diff != "" {
		t.Error(diff)
	}
	got, err := report.ReadSummary(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, got); diff != "" {
		t.Error(diff)
	}
	if names, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	s = report.Summary{Rows: report.Rows{Counts: pipeline.Counts{Read: 7}, Export: true}}
	if err := report.WriteSummary(dir, s); err != nil {
		t.Fatal(err)
	}
	if text := read(t, dir, report.SummaryFile); !strings.Contains(text, `"written": 0`) || strings.Contains(text, "accepted") || !strings.Contains(text, `"rejections": []`) {
		t.Error(text)
	}
	if got, err := report.ReadSummary(dir); err != nil || got.Rows != s.Rows {
		t.Errorf("%+v, %v", got.Rows, err)
	}
}

func TestExitCode(t *testing.T) {
	for _, tt := range []struct {
		s    report.Summary
		want int
	}{
		{report.Summary{Status: report.Succeeded}, 0},
		{report.Summary{Status: report.Failed}, 1},
		{report.Summary{Status: report.Partial, Rows: report.Rows{Counts: pipeline.Counts{Rejected: 1}}}, 3},
		{report.Summary{Status: report.Stopped}, 4},
		{report.Summary{Status: report.Partial, Rows: report.Rows{Counts: pipeline.Counts{Rejected: 1, Unsure: 1}}}, 5},
		{report.Summary{Status: report.Interrupted}, 130},
	} {
		if got := tt.s.ExitCode(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.s.Status, got, tt.want)
		}
	}
}

func TestRuns(t *testing.T) {
	root := t.TempDir()
	add := func(id string, s *report.Summary) string {
		dir := filepath.Join(root, id)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "journal.db"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if s != nil {
			s.Run = id
			if err := report.WriteSummary(dir, *s); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	oldest := add("20261120T101500Z-aaaa", &report.Summary{Status: report.Stopped})
	add("20261122T101500Z-3f9a", nil)
	alive := add("20261122T101500Z-3f9b", &report.Summary{Status: report.Stopped})
	if err := os.Mkdir(filepath.Join(root, "no-run"), 0o700); err != nil {
		t.Fatal(err)
	}
	runs, err := report.List(root, func(dir string) bool { return dir == alive })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range runs {
		got = append(got, r.ID+" "+r.Status)
	}
	want := []string{"20261122T101500Z-3f9b running", "20261122T101500Z-3f9a died", "20261120T101500Z-aaaa stopped"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if runs, err := report.List(filepath.Join(root, "nowhere"), nil); err != nil || runs != nil {
		t.Errorf("no folder: %v, %v", runs, err)
	}
	for _, tt := range []struct{ name, want, err string }{
		{"20261120", oldest, ""},
		{"20261122T101500Z-3f9b", alive, ""},
		{alive, alive, ""},
		{"", alive, ""},
		{"20261122", "", "2 runs: 20261122T101500Z-3f9b, 20261122T101500Z-3f9a"},
		{"1999", "", "no run"},
	} {
		dir, err := report.Find(root, tt.name)
		if dir != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("Find(%q) = %q, %v", tt.name, dir, err)
		}
	}
	id := report.NewRunID(time.Date(2026, 11, 22, 12, 15, 0, 0, time.FixedZone("", 7200)))
	if !strings.HasPrefix(id, "20261122T101500Z-") || len(id) != len("20261122T101500Z-3f9a") {
		t.Error(id)
	}
}

func TestPrint(t *testing.T) {
	tests := map[string]struct {
		s    report.Summary
		want string
	}{
		"partial": {report.Summary{
			Run: "r1", Command: "import", Status: report.Partial, Source: "leads.csv", Target: "mycrm/leads", Mode: "create",
			Rows:     report.Rows{Counts: pipeline.Counts{Read: 12345, Accepted: 12340, Rejected: 4, Unsure: 1}},
			Requests: report.Requests{Sent: 12350, Retried: 2}, Seconds: 6181.5,
			Rejections: []report.Rejection{{"required", "mobile", 3}, {"ragged", "", 1}},
		}, `import partial: leads.csv → mycrm/leads (create)

  accepted   12,340
  rejected        4
  unsure          1
             ------
  rows read  12,345

  12,350 requests (2 retried) · 1h43m2s · 2.0 rows/s

why rows were rejected:
  3  mobile  required
  1  -       ragged

the accepted rows: DIR/success.csv
the rejected rows and their reasons: DIR/rejected.csv
mended, that file is an input for the same mapping: columns that begin with _ are ignored
rows that may or may not have arrived: DIR/unsure.csv
look them up at the vendor; ` + "`crmetl resume DIR`" + ` asks it once more, where it can be asked
`},
		"stopped": {report.Summary{Run: "r1", Command: "import", Status: report.Stopped, StopReason: "auth", Source: "a", Target: "b"}, `import stopped (auth): a → b

  accepted   0
  rejected   0
             -
  rows read  0

nothing is lost: mend the credentials (` + "`crmetl ping`" + ` tries them), then ` + "`crmetl resume DIR`" + ` goes on
`},
		"export": {report.Summary{Command: "export", Status: report.Succeeded, Source: "b", Target: "out.csv", Rows: report.Rows{Export: true, Written: 7, Counts: pipeline.Counts{Read: 7}}}, `export succeeded: b → out.csv

  read       7
  written    7
`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := report.Print(&b, tt.s, "DIR"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, filepath.ToSlash(b.String())); diff != "" {
				t.Error(diff)
			}
		})
	}
}
