package report

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"github.com/crmetl/crmetl/internal/disk"
	"github.com/crmetl/crmetl/record"
)

// Error is a report file that could not be written. The run stops, and nothing is lost: what is not reported durably
// is reported again when the run is resumed.
type Error struct {
	Path string
	Err  error
}

// Error says what is wrong and what to do.
func (e *Error) Error() string {
	todo := "mend the disk, and `crmetl resume` goes on"
	if errors.Is(e.Err, syscall.ENOSPC) || errors.Is(e.Err, syscall.EDQUOT) {
		todo = "make room, and `crmetl resume` goes on"
	}
	return fmt.Sprintf("write %s: %v; nothing is lost: %s", e.Path, e.Err, todo)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// StopReason names the reason as summary.json does.
func (e *Error) StopReason() string { return "disk" }

// flushAt is how many bytes a table keeps before it writes: more would only push other things out of the caches.
const flushAt = 1 << 17

// pageSize is what the places in a file where writes begin and end are multiples of, as far as can be: a page that is written
// in two pieces costs the system more than twice.
const pageSize = 4 << 10

// table is one result file, open for appending.
type table struct {
	path  string
	lines *Lines
	o     Options
	f     *os.File
	buf   []byte
	size  int64 // bytes that the operating system has
	begun int64 // bytes that are on their way to the disk
	safe  int64 // bytes that are durable and counted by a checkpoint
}

// create begins a table. A file that holds more than a header belongs to somebody else.
func (t *table) create() error {
	head := t.lines.AppendHeader(nil)
	old, err := os.ReadFile(t.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if !bytes.HasPrefix(head, old) {
		return fmt.Errorf("%s exists already and is not this run's: move it elsewhere, or name another folder for the run", t.path)
	}
	return t.restart()
}

// restart makes the table an empty one.
func (t *table) restart() error {
	if t.f == nil {
		f, err := os.OpenFile(t.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return &Error{t.path, err}
		}
		t.f = f
	}
	if err := t.cut(0); err != nil {
		return err
	}
	t.buf = t.lines.AppendHeader(t.buf[:0])
	return t.flush()
}

// recover takes up a table that an earlier pass left behind, in whatever state: it keeps the lines of rows that the
// journal counts, and drops what follows them. It goes by what the lines say, not by lengths, so that a file which
// its user has mended in the meantime keeps the changes. each is called with every line that stays.
func (t *table) recover(keep func(row int64) bool, each func(*line)) error {
	f, err := os.OpenFile(t.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return &Error{t.path, err}
	}
	t.f = f
	var end int64
	var first, dropped, mixed, torn bool
	head := t.lines.AppendHeader(nil)
	err = scanLines(f, func(l *line) error {
		if !first {
			first = true
			end = l.end
			if torn = !l.whole && bytes.HasPrefix(head, l.raw); torn || l.whole && l.isHeader(t.lines) {
				return nil
			}
			return errOtherForm(t.path)
		}
		switch n := l.num(t.lines); {
		case n > 0 && keep(n):
			mixed = mixed || dropped
			end = l.end
			each(l)
		case n > 0:
			dropped = true
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case !first || torn:
		return t.restart()
	case mixed:
		return t.rewrite(func(w *bufio.Writer) error {
			first := true
			return scanLines(io.NewSectionReader(f, 0, end), func(l *line) error {
				if n := l.num(t.lines); !first && n > 0 && !keep(n) {
					return nil
				}
				first = false
				_, err := w.Write(l.raw)
				return err
			})
		})
	}
	return t.cut(end)
}

// compact leaves one line for each row that keep names, the last one, in the order of the rows.
func (t *table) compact(keep func(row int64) bool) error {
	type place struct{ row, start, end int64 }
	var places []place
	var head int64
	if _, err := t.f.Seek(0, io.SeekStart); err != nil {
		return &Error{t.path, err}
	}
	err := scanLines(t.f, func(l *line) error {
		if head == 0 {
			head = l.end
			return nil
		}
		if n := l.num(t.lines); n > 0 && keep(n) {
			places = append(places, place{n, l.start, l.end})
		}
		return nil
	})
	if err != nil {
		return &Error{t.path, err}
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.row, b.row) })
	return t.rewrite(func(w *bufio.Writer) error {
		if _, err := io.Copy(w, io.NewSectionReader(t.f, 0, head)); err != nil {
			return err
		}
		for i, p := range places {
			if i+1 < len(places) && places[i+1].row == p.row {
				continue
			}
			if _, err := io.Copy(w, io.NewSectionReader(t.f, p.start, p.end-p.start)); err != nil {
				return err
			}
		}
		return nil
	})
}

// rewrite replaces the file by what fill writes, whole or not at all.
func (t *table) rewrite(fill func(*bufio.Writer) error) error {
	err := replaceFile(t.path, t.o, func(w *bufio.Writer) error {
		err := fill(w)
		if runtime.GOOS == "windows" {
			// An open file cannot be replaced there.
			err = errors.Join(err, t.f.Close())
		}
		return err
	})
	if err != nil {
		return err
	}
	_ = t.f.Close()
	if t.f, err = os.OpenFile(t.path, os.O_RDWR|os.O_APPEND, 0); err != nil {
		return &Error{t.path, err}
	}
	info, err := t.f.Stat()
	if err != nil {
		return &Error{t.path, err}
	}
	t.size, t.begun = info.Size(), info.Size()
	return nil
}

func (t *table) cut(size int64) error {
	t.buf, t.size, t.begun = t.buf[:0], size, size
	if err := t.f.Truncate(size); err != nil {
		return &Error{t.path, err}
	}
	return nil
}

func (t *table) flush() error { return t.write(len(t.buf)) }

// write gives the first n bytes of what waits to the operating system.
func (t *table) write(n int) error {
	if n == 0 {
		return nil
	}
	if _, err := t.o.Write(t.f, t.buf[:n]); err != nil {
		return &Error{t.path, err}
	}
	if t.size += int64(n); t.size-t.begun >= disk.Every {
		disk.Begin(t.f, t.begun, t.size)
		t.begun = t.size
	}
	t.buf = t.buf[:copy(t.buf, t.buf[n:])]
	return nil
}

// append adds the line of a row.
func (t *table) append(row *record.Row) error {
	t.buf = t.lines.Append(t.buf, row)
	if len(t.buf) < flushAt {
		return nil
	}
	return t.write(len(t.buf) - int((t.size+int64(len(t.buf)))%pageSize))
}

// sync makes what the operating system has durable. It may go on while lines are appended.
func (t *table) sync() error {
	if err := t.o.Sync(t.f); err != nil {
		return &Error{t.path, err}
	}
	return nil
}

// replaceFile writes a file whole or not at all, for its owner only.
func replaceFile(path string, o Options, fill func(*bufio.Writer) error) (err error) {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return &Error{path, err}
	}
	w := bufio.NewWriterSize(writerFunc(func(p []byte) (int, error) { return o.Write(f, p) }), flushAt)
	err = fill(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = o.Sync(f)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
		return &Error{path, err}
	}
	syncDir(filepath.Dir(path), o)
	return nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// syncDir makes a new name in dir durable, where the system has a way to do so.
func syncDir(dir string, o Options) {
	if runtime.GOOS == "windows" {
		return
	}
	if f, err := os.Open(dir); err == nil {
		_ = o.Sync(f)
		_ = f.Close()
	}
}
