// Package journal keeps what a run did in one append-only file in the run's folder, so that a run which dies at any
// moment can be carried on without losing a row or sending one twice.
//
// A call that changes something at a vendor is written down and made durable before it leaves (Sending; SendingAgain, if
// it does no harm twice: durable soon after) and again when its outcome is known (Undone, Settled). A call without an
// outcome leaves its rows in doubt. Checkpoints say which rows have been counted and reported. The file is a sequence of
// checksummed frames: cut at any byte, it reads back to the last whole one; broken in its middle, it is refused.
//
// The package also has the locks that keep two processes off one run and off one target.
package journal

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// FileName is the journal's name in a run's folder.
const FileName = "journal.db"

// syncDelay is how long an outcome, or the intent of a call that may be made again, may be known to the operating system
// only.
const syncDelay = 200 * time.Millisecond

// Errors of Create and Open that a caller may want to tell apart.
var (
	ErrExists = errors.New("the folder holds a run already")
	ErrAbsent = errors.New("the folder holds no journal")
	ErrClosed = errors.New("the journal is closed")
)

// Error is a journal that could not be written. From then on every call fails: what is not written down must not be
// done.
type Error struct {
	Path string
	Err  error
}

// Error says what is wrong and that nothing is lost.
func (e *Error) Error() string {
	todo := "mend the disk, and `crmetl resume` goes on"
	if errors.Is(e.Err, syscall.ENOSPC) || errors.Is(e.Err, syscall.EDQUOT) {
		todo = "make room, and `crmetl resume` goes on"
	}
	return fmt.Sprintf("write journal %s: %v; nothing more is sent and nothing is lost: %s", e.Path, e.Err, todo)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// StopReason names the reason as summary.json does.
func (e *Error) StopReason() string { return "disk" }

// Options change how a journal reaches the disk, so that tests can let a disk fill up or fail. The zero value is right
// for everything else.
type Options struct {
	Write func(f *os.File, p []byte) (int, error) // nil: (*os.File).Write
	Sync  func(f *os.File) error                  // nil: the cheapest sync that makes all data durable
	Now   func() time.Time                        // nil: time.Now
}

// Journal is a run's journal, open for writing. It is a pipeline.Ledger and a pipeline.History. All methods are safe
// for many goroutines.
type Journal struct {
	path   string
	o      Options
	unlock func() error
	past   *state // as it was when the journal was opened

	mu      sync.Mutex
	cond    *sync.Cond // synced, syncing or err changed
	file    *os.File
	enc     encoder
	call    int64
	written int64 // bytes that the operating system has
	synced  int64 // bytes that are durable
	syncing bool
	lagged  bool        // this pass has noted the vendor's clock
	later   *time.Timer // syncs what need not be durable at once; nil if none of that waits
	err     error
}

var (
	_ pipeline.Ledger  = (*Journal)(nil)
	_ pipeline.History = (*Journal)(nil)
)

// Create begins a run in dir, which is made if it does not exist, and locks it. A folder that holds a run gives
// ErrExists, one that another process works in a *Held.
func Create(dir string, s Spec) (*Journal, error) { return Options{}.Create(dir, s) }

// Open takes up the run in dir: it locks the folder, reads the journal back and cuts off an entry that was only half
// written. The error is a *Held, a *Damaged, or ErrAbsent, if it is one of these.
func Open(dir string) (*Journal, error) { return Options{}.Open(dir) }

// Create is the package's Create, with options.
func (o Options) Create(dir string, s Spec) (j *Journal, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the run's folder: %w", err)
	}
	unlock, err := takeLock(filepath.Join(dir, lockName), "run folder "+dir, s.Run)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = unlock()
		}
	}()
	path := filepath.Join(dir, FileName)
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s: %w: `crmetl resume %s` carries it on, or name another folder", dir, ErrExists, dir)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	j = &Journal{path: path, o: o.withDefaults(), unlock: unlock, past: newState()}
	j.cond = sync.NewCond(&j.mu)
	var salt [saltLen]byte
	_, _ = rand.Read(salt[:]) // never fails
	head := appendHead(nil, salt)
	if j.enc.seed, err = parseHead(head); err != nil {
		return nil, err
	}
	j.enc.strings = map[string]uint64{}
	spec, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	if len(spec) > maxPayload-64 {
		return nil, fmt.Errorf("the run's mapping and options take %d bytes; the journal takes %d at most", len(spec), maxPayload-64)
	}
	j.past.spec = s
	j.enc.buf = head
	j.enc.raw(kindSpec, j.now(), spec)
	if err := j.beginPass(); err != nil {
		return nil, err
	}
	// The journal appears with its first entries in it, or not at all.
	if err := j.writeNew(path+".new", j.enc.buf); err != nil {
		return nil, &Error{Path: path, Err: err}
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, &Error{Path: path, Err: err}
	}
	j.syncDir(dir)
	j.syncDir(filepath.Dir(dir))
	if j.file, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0); err != nil {
		return nil, &Error{Path: path, Err: err}
	}
	j.written, j.synced = int64(len(j.enc.buf)), int64(len(j.enc.buf))
	j.enc.buf = j.enc.buf[:0]
	return j, nil
}

// Open is the package's Open, with options.
func (o Options) Open(dir string) (j *Journal, err error) {
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: there is nothing to resume", dir, ErrAbsent)
	}
	unlock, err := takeLock(filepath.Join(dir, lockName), "run folder "+dir, filepath.Base(dir))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = unlock()
		}
	}()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	past, d, seed, end, err := load(path, f, info.Size())
	if err != nil {
		return nil, err
	}
	past.calls = nil
	j = &Journal{path: path, o: o.withDefaults(), unlock: unlock, past: past, file: f, call: past.call, written: end}
	j.cond = sync.NewCond(&j.mu)
	j.enc = encoder{seed: seed, at: d.at, strings: make(map[string]uint64, len(d.strings))}
	for i, s := range d.strings {
		j.enc.strings[s] = uint64(i)
	}
	if end < info.Size() {
		if err := f.Truncate(end); err != nil {
			return nil, &Error{Path: path, Err: err}
		}
	}
	if err := j.beginPass(); err != nil {
		return nil, err
	}
	if err := j.write(); err != nil {
		return nil, err
	}
	if err := j.commit(j.written); err != nil {
		return nil, err
	}
	return j, nil
}

func (o Options) withDefaults() Options {
	if o.Write == nil {
		o.Write = (*os.File).Write
	}
	if o.Sync == nil {
		o.Sync = syncFile
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (j *Journal) now() int64 { return j.o.Now().UnixMilli() }

// beginPass encodes the entry that says who works on the run from here on.
func (j *Journal) beginPass() error {
	host, _ := os.Hostname()
	data, err := json.Marshal(Pass{Began: j.o.Now().UTC(), PID: os.Getpid(), Host: host})
	if err == nil {
		j.enc.raw(kindPass, j.now(), data)
	}
	return err
}

func (j *Journal) writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = j.o.Write(f, data)
	if err == nil {
		err = j.o.Sync(f)
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a new name in dir durable, where the system has a way to do so.
func (j *Journal) syncDir(dir string) {
	if runtime.GOOS == "windows" {
		return
	}
	if f, err := os.Open(dir); err == nil {
		_ = j.o.Sync(f)
		_ = f.Close()
	}
}

// Spec returns what the run is.
func (j *Journal) Spec() Spec { return j.past.spec }

// Passes returns the passes before this one; the status of the last is what became of the run so far.
func (j *Journal) Passes() []Pass {
	n := len(j.past.passes)
	return j.past.passes[:n:n]
}

// Retired returns what earlier passes have counted and reported: the rows with a final fate, the rows that ended
// unsure and are tried again, the counts of both, and the note of the last checkpoint. The caller must not change them.
func (j *Journal) Retired() (final, unsure *roaring64.Bitmap, counts pipeline.Counts, note []byte) {
	return j.past.final, j.past.unsure, j.past.counts, j.past.note
}

// Recall tells what earlier passes know of a row. What this pass does changes no answer.
func (j *Journal) Recall(row *record.Row) pipeline.Recall { return j.past.recall(row) }

// write gives what is encoded to the operating system, so that it outlives this process. j.mu is held, or nobody else
// has the journal yet.
func (j *Journal) write() error {
	if j.err != nil {
		j.enc.buf = j.enc.buf[:0]
		return j.err
	}
	_, err := j.o.Write(j.file, j.enc.buf)
	if err != nil {
		return j.fail(err)
	}
	j.written += int64(len(j.enc.buf))
	j.enc.buf = j.enc.buf[:0]
	return nil
}

// fail makes err the answer to everything from now on. j.mu is held.
func (j *Journal) fail(err error) error {
	if j.err == nil {
		j.err = &Error{Path: j.path, Err: err}
	}
	j.enc.buf = j.enc.buf[:0]
	j.cond.Broadcast()
	return j.err
}

// commit returns when the first upTo bytes are durable. One sync serves all who wait.
func (j *Journal) commit(upTo int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.commitLocked(upTo)
}

func (j *Journal) commitLocked(upTo int64) error {
	for j.synced < upTo {
		if j.err != nil {
			return j.err
		}
		if j.syncing {
			j.cond.Wait()
			continue
		}
		j.syncing = true
		target := j.written
		j.mu.Unlock()
		err := j.o.Sync(j.file)
		j.mu.Lock()
		j.syncing = false
		if err != nil {
			// What a failed sync has dropped never becomes durable by another one.
			return j.fail(err)
		}
		j.synced = target
		j.cond.Broadcast()
	}
	return nil
}

// commitLater makes what is written durable before long.
func (j *Journal) commitLater() {
	if j.later != nil {
		return
	}
	j.later = time.AfterFunc(syncDelay, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.later = nil
		if !errors.Is(j.err, ErrClosed) {
			_ = j.commitLocked(j.written) // an error stays, and the next call returns it
		}
	})
}

// Sending writes down that a call with these rows is about to leave. When it returns without an error, that is durable.
func (j *Journal) Sending(op string, rows ...*record.Row) (call int64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if call, err = j.intent(op, rows); err != nil {
		return 0, err
	}
	return call, j.commitLocked(j.written)
}

// SendingAgain writes down that a call with these rows is about to leave, which may be made again whatever becomes of
// it. If the machine fails before that is durable, resume makes the call again without knowing of the first; it would
// have done so anyway.
func (j *Journal) SendingAgain(op string, rows ...*record.Row) (call int64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if call, err = j.intent(op, rows); err == nil {
		j.commitLater()
	}
	return call, err
}

// intent gives the operating system what a call is about to do. j.mu is held.
func (j *Journal) intent(op string, rows []*record.Row) (call int64, err error) {
	if j.err != nil {
		return 0, j.err
	}
	call = j.call + 1
	j.enc.sending(j.now(), call, op, rows)
	if err := j.write(); err != nil {
		return 0, err
	}
	j.call = call
	return call, nil
}

// Undone writes down that a call is known to have had no effect. Rows of it that are in doubt because of another call
// stay so.
func (j *Journal) Undone(call int64, why string) error {
	return j.append(func(at int64) { j.enc.undone(at, call, why) })
}

// Settled writes down what became of the rows of a call, or, with call 0, of rows that were settled without one. Rows
// whose fate is still open are left out.
func (j *Journal) Settled(call int64, note string, rows ...*record.Row) error {
	return j.append(func(at int64) { j.enc.settled(at, call, note, rows) })
}

// Checkpoint writes down what has been counted and reported since the last checkpoint: rows with a final fate, and rows
// that ended unsure. A row that was unsure before and is final now leaves the unsure ones. counts is of the whole run;
// note is kept and given back by Retired. What is reported must be durable before; when Checkpoint returns without an
// error, so is the checkpoint.
func (j *Journal) Checkpoint(final, unsure *roaring64.Bitmap, counts pipeline.Counts, note []byte) error {
	return j.appendNow(func(at int64) { j.enc.checkpoint(at, final, unsure, counts, note) })
}

func (j *Journal) append(encode func(at int64)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	encode(j.now())
	if err := j.write(); err != nil {
		return err
	}
	j.commitLater()
	return nil
}

// appendNow is append, and returns when the entry is durable.
func (j *Journal) appendNow(encode func(at int64)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	encode(j.now())
	if err := j.write(); err != nil {
		return err
	}
	return j.commitLocked(j.written)
}

// KeepLag notes how far the vendor's clock is behind ours, rounded to seconds. Only the first note of a run's first pass
// counts: it says how right our clock was when the run began.
func (j *Journal) KeepLag(d time.Duration) error {
	const most = maxLag * time.Second
	seconds := int64(min(max(d, -most), most).Round(time.Second) / time.Second)
	if len(j.past.passes) > 0 {
		return nil
	}
	j.mu.Lock()
	kept := j.lagged
	j.lagged = true
	j.mu.Unlock()
	if kept {
		return nil
	}
	return j.append(func(at int64) { j.enc.raw(kindLag, at, strconv.AppendInt(nil, seconds, 10)) })
}

// Lag returns what earlier passes have noted of the vendor's clock. known is false if there were some and they have not;
// in a run's first pass the lag is 0.
func (j *Journal) Lag() (lag time.Duration, known bool) {
	return j.past.lag, j.past.lagged || len(j.past.passes) == 0
}

// Finish writes down how this pass ended, in summary.json's words, and makes all that was written durable.
func (j *Journal) Finish(status string) error {
	return j.appendNow(func(at int64) { j.enc.raw(kindFinish, at, []byte(status)) })
}

// Close makes all that was written durable, and frees the run for others. A journal that is closed without Finish reads
// as one whose process died.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if errors.Is(j.err, ErrClosed) {
		return nil
	}
	var err error
	if j.err == nil {
		err = j.commitLocked(j.written)
	}
	for j.syncing {
		j.cond.Wait()
	}
	j.err = ErrClosed
	if j.later != nil {
		j.later.Stop()
	}
	return errors.Join(err, j.file.Close(), j.unlock())
}
