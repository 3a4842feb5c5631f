package report_test

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/crmetl/crmetl/internal/journal"
	"github.com/crmetl/crmetl/internal/report"
)

const errNoSpace = syscall.ENOSPC

// all takes a minute or more; without it, a share of the moments is tried.
var all = flag.Bool("crash.all", false, "die at every moment, not at a share of them")

// share returns about most of the snapshots, evenly spread.
func share(snaps []snapshot, most int) []snapshot {
	if *all || len(snaps) <= most {
		return snaps
	}
	var some []snapshot
	for i := range most {
		from, to := i*len(snaps)/most, (i+1)*len(snaps)/most
		some = append(some, snaps[from+rand.IntN(to-from)])
	}
	return some
}

// TestKilledAtAnyMoment runs the simulation once and takes a snapshot at every moment in which the process could die:
// at every byte of the journal, within every write to a report, before every call, and as a power cut would leave it.
// Each snapshot is taken up and must end as if nothing had happened. Some of those second passes are watched in turn.
func TestKilledAtAnyMoment(t *testing.T) {
	for name, h := range map[string]how{
		"one by one": {batch: 1},
		"batches":    {batch: 3},
		"groups":     {batch: 2, groups: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const rows = 20
			first := newWorld(t, rows)
			snaps := watch(t, first, h, true)
			finish(t, first, h)                // resumed after its end: the unsure rows are tried again
			again := watch(t, first, h, false) // and once more, watched
			t.Logf("%d moments in the first pass, %d in a pass after the end", len(snaps), len(again))
			if len(snaps) < 500 || len(again) < 20 {
				t.Fatal("the simulation shows too few of its moments")
			}
			snaps = append(share(snaps, 60), share(again, 20)...)
			for i, s := range snaps {
				w, free := s.restore(t, rows)
				if i%20 != 0 {
					finish(t, w, h)
				} else {
					for _, s2 := range share(watch(t, w, h, false), 6) {
						w2, free := s2.restore(t, rows)
						finish(t, w2, h)
						free()
						if t.Failed() {
							t.Fatalf("killed at moment %d (%s), then: %s", i, s.what, s2.what)
						}
					}
				}
				if t.Failed() {
					t.Fatalf("killed at moment %d: %s", i, s.what)
				}
				free()
			}
		})
	}
}

// watch makes a pass and returns the moments in which it could have died.
func watch(t *testing.T, w *world, h how, dense bool) []snapshot {
	t.Helper()
	var snaps []snapshot
	w.dense = dense
	w.watch = func(s snapshot) { snaps = append(snaps, s) }
	for name, data := range w.files() {
		w.synced[name] = int64(len(data))
	}
	w.checkEnd(mustPass(t, w, h), false)
	w.watch = nil
	return snaps
}

// finish takes a run up, which must go through, and then once more for what it left unsure.
func finish(t *testing.T, w *world, h how) {
	t.Helper()
	w.checkEnd(mustPass(t, w, h), false)
	w.checkEnd(mustPass(t, w, h), true)
}

func mustPass(t *testing.T, w *world, h how) report.Summary {
	t.Helper()
	s, err := w.pass(h)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestKilledWhileManyWrite does the same with many writers at once, at a few hundred random moments.
func TestKilledWhileManyWrite(t *testing.T) {
	const rows = 120
	rng := rand.New(rand.NewPCG(3, 4))
	h := how{batch: 2, writers: 4}
	w := newWorld(t, rows)
	var snaps []snapshot
	w.watch = func(s snapshot) {
		if rng.IntN(8) == 0 {
			snaps = append(snaps, s)
		}
	}
	w.checkEnd(mustPass(t, w, h), false)
	w.watch = nil
	t.Logf("%d moments", len(snaps))
	if len(snaps) < 40 {
		t.Fatal("the simulation shows too few of its moments")
	}
	for _, s := range share(snaps, 40) {
		w, free := s.restore(t, rows)
		finish(t, w, h)
		if t.Failed() {
			t.Fatalf("killed: %s", s.what)
		}
		free()
	}
}

// TestStoppedAtEveryRow lets the vendor go away at each row in turn, again and again, and looks at files and counts
// after every pass: rows that are unsure since an earlier pass and were not reached must still stand.
func TestStoppedAtEveryRow(t *testing.T) {
	const rows = 30
	for at := int64(1); at <= rows; at++ {
		w := newWorld(t, rows)
		for _, failAt := range []int64{at, (at*7)%rows + 1, rows, 1} {
			s, err := w.pass(how{batch: 2, failAt: failAt})
			if err != nil && !errors.Is(err, errAway) {
				t.Fatal(err)
			}
			w.checkFiles(s.Rows.Counts)
		}
		finish(t, w, how{batch: 2})
		if t.Failed() {
			t.Fatalf("at row %d", at)
		}
	}
}

// TestUnsureRowsStandUntilTried has a resumed pass end before it reaches the rows that are unsure.
func TestUnsureRowsStandUntilTried(t *testing.T) {
	w := newWorld(t, 30)
	before := mustPass(t, w, how{batch: 1})
	if before.Rows.Unsure < 6 {
		t.Fatalf("too few unsure rows for this test: %+v", before.Rows)
	}
	s, err := w.pass(how{batch: 1, failAt: 10})
	if !errors.Is(err, errAway) {
		t.Fatal(err)
	}
	w.checkFiles(s.Rows.Counts)
	if s.Rows.Unsure == 0 || s.Rows.Unsure >= before.Rows.Unsure || s.Rows.Read != 30 {
		t.Errorf("unsure rows before %d, after a pass that reached some %d", before.Rows.Unsure, s.Rows.Unsure)
	}
	finish(t, w, how{batch: 1})
}

// TestDiskFull fills the disk at each write in turn. The run must stop with an error that says so, with files and
// counts that agree, and go on when there is room.
func TestDiskFull(t *testing.T) {
	const rows = 20
	for full := 1; ; full++ {
		w := newWorld(t, rows)
		w.full = full
		s, err := w.pass(how{batch: 2})
		if err == nil {
			if full < 20 {
				t.Fatalf("only %d writes", full)
			}
			break
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("write %d: %v", full, err)
		}
		var reason interface{ StopReason() string }
		if !errors.As(err, &reason) || reason.StopReason() != "disk" {
			t.Fatalf("write %d: %v does not name its reason", full, err)
		}
		if s.Status != "" {
			w.checkFiles(s.Rows.Counts)
		}
		w.full = 0
		finish(t, w, how{batch: 2})
		if t.Failed() {
			t.Fatalf("disk full at write %d", full)
		}
	}
}

// TestBitFlips changes single bytes of a finished run's journal: reading must refuse it, or lose nothing but the end.
func TestBitFlips(t *testing.T) {
	w := newWorld(t, 12)
	mustPass(t, w, how{batch: 1})
	whole := w.files()
	data := []byte(whole[journal.FileName])
	// The last frame alone may go: a write that was under way looks no different.
	last := bytes.LastIndex(data, []byte("succeeded")) - 20
	if last < 0 {
		last = bytes.LastIndex(data, []byte("partial")) - 20
	}
	for i := 0; i < last; i += 11 {
		flipped := bytes.Clone(data)
		flipped[i] ^= 0x10
		whole[journal.FileName] = string(flipped)
		w, free := snapshot{files: whole, vendor: w.vendor}.restore(t, 12)
		if _, err := journal.Open(w.dir); err == nil {
			t.Fatalf("byte %d of %d: taken for good", i, len(data))
		}
		free()
	}
}
