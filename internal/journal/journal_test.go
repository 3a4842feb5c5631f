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
		if err := j.KeepLag(time.Duration(i) * time.Hour); err != nil {
			t.Fatal(err)
		}
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

// TestSyncedSoon checks that an outcome, and the intent of a call that may be made again, have left the process at once,
// and do not stay in the hands of the operating system.
func TestSyncedSoon(t *testing.T) {
	for name, tt := range map[string]struct {
		write func(*testing.T, *Journal)
		want  pipeline.Recall
	}{
		"outcome": {settled(0, record.Accepted, 1), pipeline.Settled},
		"intent": {func(t *testing.T, j *Journal) {
			if call, err := j.SendingAgain("POST /event/batch", row(1)); call != 1 || err != nil {
				t.Errorf("call %d, %v", call, err)
			}
		}, pipeline.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			var begun atomic.Bool
			synced := make(chan struct{}, 100)
			let := make(chan struct{})
			j, dir := create(t, Options{Sync: func(*os.File) error {
				if begun.Load() {
					<-let
					synced <- struct{}{}
				}
				return nil
			}})
			begun.Store(true)
			tt.write(t, j) // would not return if it waited for a sync
			// The operating system has it at once: a process that dies now loses nothing.
			if v, err := Read(dir); err != nil || v.Recall(row(1)) != tt.want {
				t.Errorf("not written at once: %v", err)
			}
			close(let)
			select {
			case <-synced:
			case <-time.After(10 * time.Second):
				t.Error("never synced")
			}
		})
	}
}

// TestCheckpointsAreDurable checks that a checkpoint is synced when it returns: unsure.csv is compacted by what it says.
func TestCheckpointsAreDurable(t *testing.T) {
	var synced atomic.Int64
	j, dir := create(t, Options{Sync: func(f *os.File) error {
		info, err := f.Stat()
		if err == nil && !info.IsDir() {
			synced.Store(info.Size())
		}
		return err
	}})
	for what, write := range map[string]func(){
		"checkpoint": func() { checkpoint(bitmap(1), bitmap())(t, j) },
		"finish": func() {
			if err := j.Finish("partial"); err != nil {
				t.Error(err)
			}
		},
		"sending": func() { sending(1)(t, j) },
	} {
		write()
		if info, err := os.Stat(filepath.Join(dir, FileName)); err != nil || info.Size() != synced.Load() {
			t.Errorf("%s: %d bytes are synced of %d, %v", what, synced.Load(), info.Size(), err)
		}
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
			for _, send := range []func(string, ...*record.Row) (int64, error){j.Sending, j.SendingAgain} {
				if _, err := send("POST /x", row(9)); !errors.Is(err, tt.err) {
					t.Errorf("Sending afterwards: %v", err)
				}
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
