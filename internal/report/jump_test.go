package report_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/record"
)

// TestNewRun: runs of one second, by a clock that was set back or because there are many, have folders of their own.
func TestNewRun(t *testing.T) {
	root := t.TempDir()
	now := time.Date(2026, 11, 22, 10, 15, 0, 0, time.UTC)
	for i := range 1 << 13 {
		if err := os.Mkdir(filepath.Join(root, fmt.Sprintf("20261122T101500Z-%04x", i*8)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 {
		id, dir := report.NewRun(root, now)
		if filepath.Base(dir) != id {
			t.Fatalf("the run %s has the folder %s", id, dir)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if id, dir := report.NewRun(filepath.Join(root, "none", "yet"), now); id == "" || filepath.Base(dir) != id {
		t.Errorf("%q, %q", id, dir)
	}
}

// TestClockJumps has the clock set back and forth while rows are reported: counts and files do not depend on it, and no
// time at work is negative.
func TestClockJumps(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	jump := -40 * time.Minute
	origin, err := record.NewHeader([]string{"name"})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "run")
	r, err := report.NewRecorder(dir, origin, nil, report.Options{Now: func() time.Time {
		now, jump = now.Add(jump), -jump-time.Minute
		return now
	}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(50) {
		row := record.Row{Num: n + 1, Origin: []record.Value{record.TextOf("x")}}
		row.Accept("created", "")
		if err := r.Retire(&record.Batch{Header: origin, Origin: origin, Rows: []record.Row{row}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if c := r.Counts(); c.Read != 50 || c.Accepted != 50 {
		t.Errorf("%+v", c)
	}
	if s := r.Usage().Seconds; s < 0 {
		t.Errorf("%v seconds", s)
	}
}
