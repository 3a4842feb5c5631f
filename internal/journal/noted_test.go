package journal

import (
	"testing"

	"github.com/crmetl/crmetl/record"
)

// TestNoted counts accepted rows by their notes, over two passes.
func TestNoted(t *testing.T) {
	dir := t.TempDir()
	settle := func(j *Journal, num int64, fate record.Fate, note string) {
		t.Helper()
		row := &record.Row{Num: num}
		call, err := j.Sending("POST /customers", row)
		if err != nil {
			t.Fatal(err)
		}
		if fate == record.Accepted {
			row.Accept("created", "")
		} else {
			row.Reject(record.Problem{Rule: "vendor", Message: "no"})
		}
		if err := j.Settled(call, note, row); err != nil {
			t.Fatal(err)
		}
	}
	j, err := Create(dir, Spec{Run: "r"})
	if err != nil {
		t.Fatal(err)
	}
	settle(j, 1, record.Accepted, "200 ok [like 0a]")
	settle(j, 2, record.Accepted, "200 ok [like 0b]")
	settle(j, 3, record.Rejected, "400 no [like 0a]")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	settle(j, 4, record.Accepted, "200 ok [like 0a]")
	for text, want := range map[string]int64{"[like 0a]": 2, "[like 0b]": 1, "[like 0c]": 0} {
		if n, err := j.Noted(text); err != nil || n != want {
			t.Errorf("%s: %d, %v; want %d", text, n, err, want)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}
