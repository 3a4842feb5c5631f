package journal

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// TestLag: the first note of a run's first pass is what later passes are told.
func TestLag(t *testing.T) {
	for name, tt := range map[string]struct {
		first, second []time.Duration
		lag           time.Duration
		known         bool
	}{
		"nothing noted":           {nil, nil, 0, false},
		"noted":                   {[]time.Duration{3 * time.Hour}, nil, 3 * time.Hour, true},
		"the vendor is ahead":     {[]time.Duration{-90*time.Minute - 400*time.Millisecond}, nil, -90 * time.Minute, true},
		"the first note counts":   {[]time.Duration{time.Second, time.Hour}, nil, time.Second, true},
		"of the first pass":       {nil, []time.Duration{time.Hour}, 0, false},
		"whatever later ones say": {[]time.Duration{time.Minute}, []time.Duration{time.Hour}, time.Minute, true},
		"out of any bounds":       {[]time.Duration{1<<63 - 1}, nil, 100 * 365 * 24 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			j, err := Create(dir, Spec{Run: "r"})
			if err != nil {
				t.Fatal(err)
			}
			if lag, known := j.Lag(); lag != 0 || !known {
				t.Errorf("a first pass: %v, %v", lag, known)
			}
			for _, notes := range [][]time.Duration{tt.first, tt.second} {
				for _, d := range notes {
					if err := j.KeepLag(d); err != nil {
						t.Fatal(err)
					}
				}
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				if j, err = Open(dir); err != nil {
					t.Fatal(err)
				}
			}
			if lag, known := j.Lag(); lag != tt.lag || known != tt.known {
				t.Errorf("%v, %v, want %v, %v", lag, known, tt.lag, tt.known)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestClockJumps has the clock go anywhere between two entries: what is known of the rows does not depend on it.
func TestClockJumps(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	jumps := []time.Duration{-8 * time.Hour, 30 * 24 * time.Hour, -60 * 365 * 24 * time.Hour, time.Millisecond, 90 * 365 * 24 * time.Hour}
	at := 0
	o := Options{Now: func() time.Time {
		now = now.Add(jumps[at%len(jumps)])
		at++
		return now
	}}
	dir := filepath.Join(t.TempDir(), "run")
	j, err := o.Create(dir, Spec{Run: "r"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		sending(1, 2, 3)(t, j)
		undone(1)(t, j)
		sending(4)(t, j)
		settled(2, record.Accepted, 4)(t, j)
		sending(5)(t, j)
		if err := j.Finish("stopped"); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if j, err = o.Open(dir); err != nil {
			t.Fatal(err)
		}
	}
	for n, want := range map[int64]pipeline.Recall{4: pipeline.Settled, 5: pipeline.Unknown, 6: pipeline.Fresh} {
		if got := j.Recall(row(n)); got != want {
			t.Errorf("row %d: %v, want %v", n, got, want)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	v, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if calls, err := v.Calls(5); err != nil || len(calls) != 3 {
		t.Errorf("row 5 has the calls %+v, %v", calls, err)
	}
}
