package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

func noSync(*os.File) error { return nil }

func create(t *testing.T, o Options) (*Journal, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	j, err := o.Create(dir, Spec{Run: "r1", Command: "import", Options: map[string]string{"rate": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, dir
}

func row(n int64) *record.Row { return &record.Row{Num: n} }

func rows(from, to int64) []*record.Row {
	var rs []*record.Row
	for n := from; n <= to; n++ {
		rs = append(rs, row(n))
	}
	return rs
}

func bitmap(rows ...uint64) *roaring64.Bitmap { return roaring64.BitmapOf(rows...) }

// step is one thing that a run tells its journal; the tables below are made of them.
type step func(t *testing.T, j *Journal)

func sending(rows ...int64) step {
	return func(t *testing.T, j *Journal) {
		var rs []*record.Row
		for _, n := range rows {
			rs = append(rs, row(n))
		}
		if _, err := j.Sending("POST /x", rs...); err != nil {
			t.Error(err)
		}
	}
}

func undone(call int64) step {
	return func(t *testing.T, j *Journal) {
		if err := j.Undone(call, "429"); err != nil {
			t.Error(err)
		}
	}
}

func settled(call int64, fate record.Fate, rows ...int64) step {
	return func(t *testing.T, j *Journal) {
		var rs []*record.Row
		for _, n := range rows {
			r := row(n)
			switch r.Fate = fate; fate {
			case record.Accepted:
				r.Action, r.ID = "created", fmt.Sprint("id", n)
			case record.Rejected:
				r.Err = record.Problems{{Field: "f", Column: "c", Rule: "vendor", Message: "no"}, {Message: "and no"}}
			case record.Unsure:
				r.Err = errors.New("no answer")
			}
			rs = append(rs, r)
		}
		if err := j.Settled(call, "note", rs...); err != nil {
			t.Error(err)
		}
	}
}

func checkpoint(final, unsure *roaring64.Bitmap) step {
	return func(t *testing.T, j *Journal) {
		c := pipeline.Counts{Read: int64(final.GetCardinality() + unsure.GetCardinality())}
		if err := j.Checkpoint(final, unsure, c, []byte("{}")); err != nil {
			t.Error(err)
		}
	}
}

func TestRecall(t *testing.T) {
	none := bitmap()
	tests := map[string]struct {
		steps []step
		want  pipeline.Recall
		fate  record.Fate
	}{
		"never seen":                     {nil, pipeline.Fresh, record.Pending},
		"sent":                           {[]step{sending(1)}, pipeline.Unknown, record.Pending},
		"sent with others":               {[]step{sending(5, 1, 2, 3)}, pipeline.Unknown, record.Pending},
		"no effect":                      {[]step{sending(1), undone(1)}, pipeline.Fresh, record.Pending},
		"sent again after no effect":     {[]step{sending(1), undone(1), sending(1)}, pipeline.Unknown, record.Pending},
		"first call open, second undone": {[]step{sending(1), sending(1), undone(2)}, pipeline.Unknown, record.Pending},
		"both undone, the later first":   {[]step{sending(1), sending(1), undone(2), undone(1)}, pipeline.Fresh, record.Pending},
		"accepted":                       {[]step{sending(1), settled(1, record.Accepted, 1)}, pipeline.Settled, record.Accepted},
		"rejected":                       {[]step{sending(1), settled(1, record.Rejected, 1)}, pipeline.Settled, record.Rejected},
		"unsure":                         {[]step{sending(1), settled(1, record.Unsure, 1)}, pipeline.Unknown, record.Pending},
		"settled without a call":         {[]step{settled(0, record.Unchanged, 1)}, pipeline.Settled, record.Unchanged},
		"the first try settles it":       {[]step{sending(1), sending(1), settled(1, record.Accepted, 1), undone(2)}, pipeline.Settled, record.Accepted},
		"a lookup after a lost call":     {[]step{sending(1), settled(0, record.Accepted, 1)}, pipeline.Settled, record.Accepted},
		"the rest of a call is open":     {[]step{sending(1, 2), settled(1, record.Accepted, 2)}, pipeline.Unknown, record.Pending},
		"fate still open is no fate":     {[]step{sending(1), settled(1, record.Doubt, 1)}, pipeline.Unknown, record.Pending},
		"sent again after its fate":      {[]step{settled(0, record.Rejected, 1), sending(1)}, pipeline.Unknown, record.Pending},
		"unsure, then sent and undone":   {[]step{sending(1), settled(1, record.Unsure, 1), sending(1), undone(2)}, pipeline.Unknown, record.Pending},
		"unsure, then accepted":          {[]step{sending(1), settled(1, record.Unsure, 1), settled(0, record.Accepted, 1)}, pipeline.Settled, record.Accepted},
		"retired":                        {[]step{sending(1), settled(1, record.Accepted, 1), checkpoint(bitmap(1), none)}, pipeline.Retired, record.Pending},
		"retired without a call":         {[]step{checkpoint(bitmap(1, 2, 3), none)}, pipeline.Retired, record.Pending},
		"retired unsure":                 {[]step{sending(1), settled(1, record.Unsure, 1), checkpoint(none, bitmap(1))}, pipeline.Unknown, record.Pending},
		"retired unsure, never settled":  {[]step{sending(1), checkpoint(none, bitmap(1))}, pipeline.Unknown, record.Pending},
		"unsure and retired, then tried": {[]step{checkpoint(none, bitmap(1)), sending(1)}, pipeline.Unknown, record.Pending},
		"unsure and retired, no effect":  {[]step{checkpoint(none, bitmap(1)), sending(1), undone(1)}, pipeline.Unknown, record.Pending},
		"unsure and retired, accepted":   {[]step{checkpoint(none, bitmap(1)), sending(1), settled(1, record.Accepted, 1)}, pipeline.Settled, record.Accepted},
		"unsure, accepted, retired":      {[]step{checkpoint(none, bitmap(1)), settled(0, record.Accepted, 1), checkpoint(bitmap(1), none)}, pipeline.Retired, record.Pending},
		"another row is retired":         {[]step{sending(1, 2), checkpoint(bitmap(2), none)}, pipeline.Unknown, record.Pending},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			j, dir := create(t, Options{Sync: noSync})
			for _, s := range tt.steps {
				s(t, j)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			// Twice: what is read once must read the same after a second opening.
			for range 2 {
				j, err := Options{Sync: noSync}.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				r := row(1)
				if got := j.Recall(r); got != tt.want || r.Fate != tt.fate {
					t.Errorf("Recall = %v, %v; want %v, %v", got, r.Fate, tt.want, tt.fate)
				}
				if len(j.past.rows) > 0 && tt.want == pipeline.Retired {
					t.Errorf("%d rows are still held", len(j.past.rows))
				}
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestSettledComesBack holds what a settled row reads back as against what was told.
func TestSettledComesBack(t *testing.T) {
	j, dir := create(t, Options{Sync: noSync})
	long := strings.Repeat("x", 200)
	told := []*record.Row{
		{Num: 7, Fate: record.Accepted, Action: "created", ID: "a"},
		{Num: 8, Fate: record.Accepted, Action: "created", ID: "ü\x00"},
		{Num: 9, Fate: record.Accepted, Action: "created"},
		{Num: 10, Fate: record.Accepted, Action: long},
		{Num: 3, Fate: record.Rejected, Err: record.Problems{{Field: "f", Column: long, Rule: "max", Message: "too\nlong"}, {Rule: "r"}}},
		{Num: 4, Fate: record.Rejected, Err: record.Problems{{Field: "f", Column: long, Rule: "max", Message: "too\nlong"}, {Rule: "r"}}},
		{Num: 5, Fate: record.Rejected, Err: errors.New("plain")},
		{Num: 6, Fate: record.Rejected},
		{Num: 1 << 40, Fate: record.Skipped},
	}
	if err := j.Settled(0, "found", told...); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	for _, want := range told {
		got := &record.Row{Num: want.Num}
		if r := j.Recall(got); r != pipeline.Settled {
			t.Fatalf("row %d: Recall = %v", want.Num, r)
		}
		if got.Fate != want.Fate || got.Action != want.Action || got.ID != want.ID || (got.Err == nil) != (want.Err == nil) {
			t.Errorf("row %d: got %+v, want %+v", want.Num, got, want)
		}
		if diff := cmp.Diff(record.ProblemsOf(want.Err), record.ProblemsOf(got.Err)); diff != "" {
			t.Errorf("row %d: %s", want.Num, diff)
		}
	}
}

// TestLargeSettledKeepsRecordsWhole splits what one call settled over several frames, and cuts it after each.
func TestLargeSettledKeepsRecordsWhole(t *testing.T) {
	j, dir := create(t, Options{Sync: noSync})
	var rs []*record.Row
	for n := int64(1); n <= 3000; n++ {
		r := row(n)
		r.Group = (n-1)/3*3 + 1
		r.Reject(record.Problem{Rule: "vendor", Message: fmt.Sprint(n, strings.Repeat("m", 2000))})
		rs = append(rs, r)
	}
	call, err := j.Sending("POST /orders", rs...)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Settled(call, "400", rs...); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	frames := frameEnds(t, dir)
	if len(frames) < 7 {
		t.Fatalf("%d frames", len(frames))
	}
	for _, end := range frames[2:] {
		s, _, _, _, err := load("", bytes.NewReader(data[:end]), end)
		if err != nil {
			t.Fatal(err)
		}
		for g := int64(1); g <= 3000; g += 3 {
			first := s.recall(row(g))
			if a, b := s.recall(row(g+1)), s.recall(row(g+2)); a != first || b != first {
				t.Fatalf("record of row %d: %v %v %v", g, first, a, b)
			}
		}
	}
}

func frameEnds(t *testing.T, dir string) (ends []int64) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	end := int64(headLen)
	if _, _, err := scan("", bytes.NewReader(data), int64(len(data)), func(p []byte) error {
		end += frameHead + int64(len(p))
		ends = append(ends, end)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return ends
}

// TestCutAnywhere cuts a journal at every byte: it must read back to the last whole frame, and go on from there.
func TestCutAnywhere(t *testing.T) {
	j, dir := create(t, Options{Sync: noSync})
	for i := int64(1); i <= 8; i++ {
		sending(i, i+1, i+20)(t, j)
		settled(i, record.Accepted, i)(t, j)
		checkpoint(bitmap(uint64(i)), bitmap())(t, j)
	}
	if err := j.Finish("partial"); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	ends := frameEnds(t, dir)
	path := filepath.Join(dir, FileName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range data {
		if err := os.WriteFile(path, data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		want := 0
		for want < len(ends) && ends[want] <= int64(cut) {
			want++
		}
		j, err := Options{Sync: noSync}.Open(dir)
		if want == 0 {
			if err == nil || !strings.Contains(err.Error(), "start a new run") {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		// What is appended must be read back, too.
		sending(99)(t, j)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if keep := ends[want-1]; !bytes.Equal(now[:keep], data[:keep]) {
			t.Fatalf("cut at %d: the whole frames have changed", cut)
		}
		if got := len(frameEnds(t, dir)); got != want+2 {
			t.Fatalf("cut at %d: %d frames, want %d and two new ones", cut, got, want)
		}
		v, err := Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		if v.Recall(row(99)) != pipeline.Unknown {
			t.Fatalf("cut at %d: the new call is not there", cut)
		}
	}
}

// TestDamage changes every byte before the last frame: whatever follows is whole, so the file must be refused.
func TestDamage(t *testing.T) {
	j, dir := create(t, Options{Sync: noSync})
	for i := int64(1); i <= 3; i++ {
		sending(i)(t, j)
		settled(i, record.Accepted, i)(t, j)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	ends := frameEnds(t, dir)
	data, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	for i := range ends[len(ends)-2] {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(data)
			bad[i] ^= bit
			_, _, _, _, err := load("j", bytes.NewReader(bad), int64(len(bad)))
			var d *Damaged
			if err == nil || i >= int64(headLen) && !errors.As(err, &d) {
				t.Fatalf("byte %d: %v", i, err)
			}
		}
	}
	// Zeros where the end was are what a power cut may leave: they count as cut off.
	zeros := append(bytes.Clone(data), make([]byte, 5000)...)
	if _, _, _, end, err := load("j", bytes.NewReader(zeros), int64(len(zeros))); err != nil || end != int64(len(data)) {
		t.Errorf("zeros at the end: %d, %v", end, err)
	}
}

func TestCreateAndOpenRefuse(t *testing.T) {
	j, dir := create(t, Options{})
	var held *Held
	if _, err := Open(dir); !errors.As(err, &held) || held.PID != os.Getpid() || held.Run != "r1" {
		t.Errorf("Open while it is open: %v", err)
	}
	if h := Holder(dir); h == nil || h.PID != os.Getpid() {
		t.Errorf("Holder = %v", h)
	}
	if _, err := Read(dir); err != nil {
		t.Errorf("Read while it is open: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if h := Holder(dir); h != nil {
		t.Errorf("Holder after Close = %v", h)
	}
	if _, err := Create(dir, Spec{}); !errors.Is(err, ErrExists) {
		t.Errorf("Create over a run: %v", err)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrAbsent) {
		t.Errorf("Open of nothing: %v", err)
	}
	if _, err := Read(t.TempDir()); !errors.Is(err, ErrAbsent) {
		t.Errorf("Read of nothing: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := j.Sending("x", row(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Sending after Close: %v", err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, FileName), []byte("SQLite format 3\x00 and what not, long enough"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(other); err == nil || !strings.Contains(err.Error(), "no crmetl journal") {
		t.Errorf("Open of another file: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, FileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("journal's mode %v, %v", info.Mode(), err)
	}
	if info, err = os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder's mode %v, %v", info.Mode(), err)
	}
}

func TestLockTarget(t *testing.T) {
	state := t.TempDir()
	unlock, err := LockTarget(state, "mycrm", "ops@example.com", "leads", "r1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = LockTarget(state, "mycrm", "ops@example.com", "leads", "r2")
	var held *Held
	if !errors.As(err, &held) || held.Run != "r1" || !strings.Contains(err.Error(), "mycrm/leads") || !strings.Contains(err.Error(), "run r1 (process ") {
		t.Errorf("second lock: %v", err)
	}
	for _, other := range [][3]string{{"mycrm", "ops@example.com", "x"}, {"mycrm", "else", "leads"}, {"mycr", "mops@example.com", "leads"}} {
		free, err := LockTarget(state, other[0], other[1], other[2], "r3")
		if err != nil {
			t.Errorf("%v: %v", other, err)
			continue
		}
		if err := free(); err != nil {
			t.Error(err)
		}
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = LockTarget(state, "mycrm", "ops@example.com", "leads", "r2")
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
	if _, err := LockTarget("", "mycrm", "a", "leads", "r"); err == nil {
		t.Error("a lock without a place")
	}
}

// TestSendingIsDurable checks the one promise that all others rest on: when Sending returns, its bytes were written
// before a sync began that has ended.
func TestSendingIsDurable(t *testing.T) {
	var mu sync.Mutex
	var written, durable int64
	var syncs atomic.Int64
	o := Options{
		Write: func(f *os.File, p []byte) (int, error) {
			n, err := f.Write(p)
			mu.Lock()
			written += int64(n)
			mu.Unlock()
			return n, err
		},
		Sync: func(*os.File) error {
			syncs.Add(1)
			mu.Lock()
			upTo := written
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			durable = max(durable, upTo)
			mu.Unlock()
			return nil
		},
	}
	j, dir := create(t, o)
	var wg sync.WaitGroup
	const callers, each = 16, 40
	before := syncs.Load()
	seen := make([]map[int64]bool, callers)
	for c := range callers {
		seen[c] = map[int64]bool{}
		wg.Go(func() {
			for i := range each {
				n := int64(c*each + i + 1)
				call, err := j.Sending("POST /x", row(n))
				if err != nil {
					t.Error(err)
					return
				}
				seen[c][call] = true
				// Its frame stands in the file before the durable mark.
				mu.Lock()
				mark := durable
				mu.Unlock()
				data, err := os.ReadFile(filepath.Join(dir, FileName))
				if err != nil {
					t.Error(err)
					return
				}
				s, _, _, _, err := load("", bytes.NewReader(data[:mark]), mark)
				if err != nil || s.recall(row(n)) == pipeline.Fresh {
					t.Errorf("row %d is not durable: %v", n, err)
					return
				}
				r := row(n)
				r.Accept("created", "")
				if err := j.Settled(call, "201", r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	calls := map[int64]bool{}
	for _, s := range seen {
		for c := range s {
			if calls[c] {
				t.Errorf("call %d was given twice", c)
			}
			calls[c] = true
		}
	}
	if n := syncs.Load() - before; n > callers*each*3/4 {
		t.Errorf("%d syncs for %d calls of %d callers: they do not share", n, callers*each, callers)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	v, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for n := int64(1); n <= callers*each; n++ {
		if got := v.Recall(row(n)); got != pipeline.Settled {
			t.Fatalf("row %d: %v", n, got)
		}
	}
}

// TestOutcomesAreSyncedSoon checks that an outcome does not stay in the hands of the operating system.
func TestOutcomesAreSyncedSoon(t *testing.T) {
	synced := make(chan struct{}, 100)
	j, dir := create(t, Options{Sync: func(*os.File) error { synced <- struct{}{}; return nil }})
	for len(synced) > 0 {
		<-synced
	}
	settled(0, record.Accepted, 1)(t, j)
	// The operating system has it at once: a process that dies now loses nothing.
	if v, err := Read(dir); err != nil || v.Recall(row(1)) != pipeline.Settled {
		t.Errorf("not written at once: %v", err)
	}
	select {
	case <-synced:
	case <-time.After(10 * time.Second):
		t.Error("never synced")
	}
}

func TestWriteErrorsStay(t *testing.T) {
	diskFull := &os.PathError{Op: "write", Path: "j", Err: syscall.ENOSPC}
	broken := &os.PathError{Op: "sync", Path: "j", Err: syscall.EIO}
	var full, bad atomic.Bool
	o := Options{
		Write: func(f *os.File, p []byte) (int, error) {
			if full.Load() {
				n, _ := f.Write(p[:len(p)/2])
				return n, diskFull
			}
			return f.Write(p)
		},
		Sync: func(*os.File) error {
			if bad.Load() {
				return broken
			}
			return nil
		},
	}
	for name, tt := range map[string]struct {
		flag *atomic.Bool
		err  error
	}{"disk full": {&full, syscall.ENOSPC}, "sync fails": {&bad, syscall.EIO}} {
		t.Run(name, func(t *testing.T) {
			j, dir := create(t, o)
			sending(1)(t, j)
			tt.flag.Store(true)
			var wg sync.WaitGroup
			for c := range int64(4) {
				wg.Go(func() {
					if _, err := j.Sending("POST /x", row(2+c)); !errors.Is(err, tt.err) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "resume") {
						t.Errorf("Sending: %v", err)
					}
				})
			}
			wg.Wait()
			tt.flag.Store(false)
			// The disk is well again, and still nothing is believed.
			if _, err := j.Sending("POST /x", row(9)); !errors.Is(err, tt.err) {
				t.Errorf("Sending afterwards: %v", err)
			}
			for what, err := range map[string]error{
				"Undone": j.Undone(1, ""), "Settled": j.Settled(1, "", row(1)), "Finish": j.Finish("stopped"),
				"Checkpoint": j.Checkpoint(bitmap(1), nil, pipeline.Counts{}, nil),
			} {
				if !errors.Is(err, tt.err) {
					t.Errorf("%s afterwards: %v", what, err)
				}
			}
			if err := j.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			j, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if j.Recall(row(1)) != pipeline.Unknown || j.Recall(row(9)) != pipeline.Fresh {
				t.Error("the journal does not hold what it acknowledged")
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMemoryIsBounded sends a million rows and checks what reading back keeps of them.
func TestMemoryIsBounded(t *testing.T) {
	j, dir := create(t, Options{Sync: noSync})
	const n, batch = 300_000, 1000
	rs := rows(1, batch)
	final := roaring64.New()
	for from := int64(0); from < n; from += batch {
		for i, r := range rs {
			*r = record.Row{Num: from + int64(i) + 1}
		}
		call, err := j.Sending("PUT /x", rs...)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rs {
			r.Accept("updated", "")
		}
		if err := j.Settled(call, "200", rs...); err != nil {
			t.Fatal(err)
		}
		if from == 5*batch {
			continue // its rows wait for a group, say
		}
		final.Clear()
		final.AddRange(uint64(from)+1, uint64(from)+batch+1)
		if err := j.Checkpoint(final, nil, pipeline.Counts{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	v, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.state.rows) != batch || len(v.state.calls) != 0 {
		t.Errorf("%d rows and %d calls are held", len(v.state.rows), len(v.state.calls))
	}
	if size := v.state.final.GetSizeInBytes(); size > 10_000 {
		t.Errorf("the retired rows take %d bytes", size)
	}
	if v.size > 100*n/batch {
		t.Errorf("the journal takes %d bytes for %d calls", v.size, n/batch)
	}
}

func TestCalls(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	j, dir := create(t, Options{Sync: noSync, Now: func() time.Time { at = at.Add(time.Second); return at }})
	steps := []step{
		sending(1, 2, 3), undone(1), // 1
		sending(1, 2, 3),                  // 2
		settled(2, record.Accepted, 2, 3), // row 1 stays in doubt
		sending(7),
		settled(0, record.Rejected, 1),
	}
	for _, s := range steps {
		s(t, j)
	}
	if err := j.Finish("partial"); err != nil {
		t.Fatal(err)
	}
	v, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if v.Status() != "partial" || len(v.Passes()) != 1 || v.Spec().Options["rate"] != "2" {
		t.Errorf("status %q, passes %+v, spec %+v", v.Status(), v.Passes(), v.Spec())
	}
	calls, err := v.Calls(1)
	if err != nil {
		t.Fatal(err)
	}
	sec := func(n int) time.Time { return time.Date(2026, 11, 22, 10, 0, n, 0, time.UTC) }
	want := []Call{
		{ID: 1, Attempt: 1, Op: "POST /x", Rows: 3, Sent: sec(4), Ended: sec(5), Outcome: CallUndone, Note: "429"},
		{ID: 2, Attempt: 2, Op: "POST /x", Rows: 3, Sent: sec(6), Outcome: CallOpen},
		{Rows: 1, Ended: sec(9), Outcome: CallSettled, Note: "note", Fate: record.Rejected,
			Problems: record.Problems{{Field: "f", Column: "c", Rule: "vendor", Message: "no"}, {Message: "and no"}}},
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Error(diff)
	}
	if calls, err = v.Calls(3); err != nil || len(calls) != 2 || calls[1].VendorID != "id3" || calls[1].Fate != record.Accepted {
		t.Errorf("row 3: %+v, %v", calls, err)
	}
	if calls, err = v.Calls(55); err != nil || len(calls) != 0 {
		t.Errorf("row 55: %+v, %v", calls, err)
	}
}

// TestReadWhileWriting reads a journal again and again while it grows.
func TestReadWhileWriting(t *testing.T) {
	j, dir := create(t, Options{Sync: noSync})
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for n := int64(1); n <= 2000; n++ {
			sending(n)(t, j)
			settled(n, record.Accepted, n)(t, j)
		}
	})
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		v, err := Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Calls(17); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

func TestSpecCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "leads.csv")
	if err := os.WriteFile(file, []byte("a\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := SourceOf(file)
	if err != nil {
		t.Fatal(err)
	}
	if src.Size != 4 || src.Digest != Digest([]byte("a\n1\n")) || src.Path != file {
		t.Errorf("%+v", src)
	}
	then := Spec{Run: "r", Source: src, Target: "mycrm/leads", Account: "a", Mode: "create", Mapping: Mapping{Digest: "m"}, Schema: "s"}
	now := then
	now.Source.Modified = now.Source.Modified.Add(time.Hour) // touched, not changed
	now.Tool = "2"
	if err := then.Check(now); err != nil {
		t.Errorf("nothing changed: %v", err)
	}
	now.Source.Digest, now.Account = "blake3:00", "b"
	err = then.Check(now)
	if err == nil || !strings.Contains(err.Error(), "leads.csv") || !strings.Contains(err.Error(), "account") || strings.Contains(err.Error(), "mode") {
		t.Errorf("two things changed: %v", err)
	}
}

// FuzzDecode gives any bytes as an entry: they must be refused or understood, never crash or loop.
func FuzzDecode(f *testing.F) {
	var e encoder
	e.strings = map[string]uint64{}
	e.sending(5, 1, "POST /x", rows(1, 3))
	e.settled(6, 1, "200", []*record.Row{{Num: 1, Fate: record.Accepted, ID: "x"}, {Num: 2, Fate: record.Rejected, Err: errors.New("no")}})
	e.undone(7, 1, "429")
	e.checkpoint(8, bitmap(1, 2, 5), bitmap(3), pipeline.Counts{Read: 4}, []byte("note"))
	for b := e.buf; len(b) > 0; {
		n := int(b[0]) | int(b[1])<<8
		f.Add(b[frameHead : frameHead+n])
		b = b[frameHead+n:]
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) == 0 {
			return
		}
		var d decoder
		s := newState()
		for range 2 {
			e, err := d.decode(payload)
			if err != nil {
				return
			}
			var total int64
			for _, sp := range e.rows {
				total += sp.last - sp.first + 1
			}
			for _, o := range e.outcomes {
				total += o.last - o.first + 1
			}
			if total > 1<<16 {
				return // understood, and too long to wait for
			}
			_ = s.apply(e)
		}
	})
}

// FuzzLoad gives any bytes as a journal.
func FuzzLoad(f *testing.F) {
	e := encoder{strings: map[string]uint64{}}
	head := appendHead(nil, [saltLen]byte{1, 2, 3})
	e.seed, _ = parseHead(head)
	e.buf = bytes.Clone(head)
	e.raw(kindSpec, 1, []byte("{}"))
	e.raw(kindPass, 2, []byte("{}"))
	e.sending(3, 1, "POST /x", rows(1, 3))
	f.Add(e.buf)
	f.Add(head)
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _, _, end, err := load("j", bytes.NewReader(data), int64(len(data)))
		if err == nil && (end < int64(headLen) || end > int64(len(data))) {
			t.Errorf("ends at %d of %d", end, len(data))
		}
	})
}
