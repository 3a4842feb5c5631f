// Package whole writes files that appear whole, by rename, or not at all.
package whole

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/crmetl/crmetl/internal/disk"
)

// File is a file on its way. What is written goes to a temporary file beside the target, packed if the target's name
// asks for it; Commit puts it in the target's place. It is used by one goroutine at a time.
type File struct {
	name string // the target, as the user called it
	path string // where it really is, links followed
	temp string // "" if the target is written directly: a device, a pipe, standard output
	mode fs.FileMode
	f    *os.File // nil for a stream
	buf  *bufio.Writer
	pack io.WriteCloser // nil if nothing is packed
	err  error          // the first error; nothing is written after it
}

// bufferSize is less than a rendered batch, which then goes to a stream or a device without a copy.
const bufferSize = 16 << 10

// fileBuffer is what goes to a file at once. It is whole pages, from one page's beginning to another's end: that is worth a
// copy, as a page that is written in two pieces costs the system more than twice.
const fileBuffer = 256 << 10

// Compression returns the packing that a name asks for (gzip, zstd or "") and the name without its suffix.
func Compression(name string) (base, packing string) {
	lower := strings.ToLower(name)
	switch {
	case strings.HasSuffix(lower, ".gz"):
		return name[:len(name)-3], "gzip"
	case strings.HasSuffix(lower, ".zst"):
		return name[:len(name)-4], "zstd"
	}
	return name, ""
}

// Create starts a file. The target is not touched, but whatever would keep it from being written is found out now: a
// missing folder, no permission, a folder in its place. A new file can be read by its owner only, since rows are
// personal data; one that is replaced keeps its mode. Devices and pipes are written directly.
func Create(path string) (*File, error) {
	w := &File{name: path, path: path, mode: 0o600}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		w.path = real
	}
	st, err := os.Stat(w.path)
	switch {
	case err == nil && st.IsDir():
		return nil, fmt.Errorf("%s: this is a folder; name a file in it", path)
	case err == nil && !st.Mode().IsRegular():
		if w.f, err = os.OpenFile(w.path, os.O_WRONLY, 0); err != nil {
			return nil, fmt.Errorf("%s: %w", path, plain(err))
		}
		return w, w.start(w.f, bufferSize)
	case err == nil:
		w.mode = st.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", path, plain(err))
	}
	dir := filepath.Dir(w.path)
	if w.f, err = os.CreateTemp(dir, "."+filepath.Base(w.path)+".*.part"); err != nil {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &Error{fmt.Sprintf("%s: there is no folder %s; create it first", path, dir), err}
		case errors.Is(err, fs.ErrPermission):
			return nil, &Error{fmt.Sprintf("%s: no permission to write in the folder %s", path, dir), err}
		}
		return nil, fmt.Errorf("%s: %w", path, plain(err))
	}
	w.temp = w.f.Name()
	return w, w.start(&early{f: w.f}, fileBuffer)
}

// stays is how much of what was written last is left in the system's cache. A file that is no larger stays there whole: whoever
// opens it next need not wait for the disk.
const stays = 16 << 20

// early writes to a new file and has what is written brought to the disk meanwhile.
type early struct {
	f           *os.File
	size, begun int64 // bytes that are written, and that are on their way to the disk
}

func (e *early) Write(p []byte) (int, error) {
	n, err := e.f.Write(p)
	if e.size += int64(n); e.size-e.begun >= disk.Every {
		disk.Begin(e.f, e.begun, e.size)
		e.begun = e.size
		if e.size > stays {
			disk.LetGo(e.f, e.size-stays)
		}
	}
	return n, err
}

// Stream wraps a writer that is neither created nor closed here: standard output. name is for messages.
func Stream(out io.Writer, name string) *File {
	w := &File{name: name}
	w.buf = bufio.NewWriterSize(out, bufferSize)
	return w
}

func (w *File) start(out io.Writer, size int) error {
	w.buf = bufio.NewWriterSize(out, size)
	_, packing := Compression(w.name)
	switch packing {
	case "gzip":
		w.pack = gzip.NewWriter(w.buf)
	case "zstd":
		z, err := zstd.NewWriter(w.buf, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", w.name, err), w.Close())
		}
		w.pack = z
	}
	return nil
}

// Write writes p. After an error every further call returns that error.
func (w *File) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	var out io.Writer = w.buf
	if w.pack != nil {
		out = w.pack
	}
	n, err := out.Write(p)
	return n, w.fail(err)
}

func (w *File) fail(err error) error {
	if err == nil || w.err != nil {
		return w.err
	}
	if errors.Is(err, syscall.ENOSPC) {
		w.err = &Error{fmt.Sprintf("%s: the disk is full", w.name), err}
	} else {
		w.err = fmt.Errorf("%s: %w", w.name, plain(err))
	}
	return w.err
}

// Commit makes the file durable and puts it in its place. After an error the target is as it was before.
func (w *File) Commit() error {
	if w.err != nil {
		return w.err
	}
	if w.pack != nil {
		if err := w.pack.Close(); err != nil {
			return w.fail(err)
		}
		w.pack = nil
	}
	if err := w.buf.Flush(); err != nil || w.f == nil {
		return w.fail(err)
	}
	if w.temp == "" {
		err := w.f.Close()
		w.f = nil
		return w.fail(err)
	}
	if err := errors.Join(w.f.Chmod(w.mode), w.f.Sync()); err != nil {
		return w.fail(err)
	}
	err := w.f.Close()
	w.f = nil
	if err != nil {
		return w.fail(err)
	}
	if err := os.Rename(w.temp, w.path); err != nil {
		return w.fail(err)
	}
	w.temp = ""
	return w.fail(syncDir(filepath.Dir(w.path)))
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder can't be synced there, and need not be
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil // some file systems can't sync a folder
	}
	_ = d.Close()
	return err
}

// Close frees what the file holds and, without a Commit before it, removes what was written.
func (w *File) Close() error {
	if z, ok := w.pack.(*zstd.Encoder); ok && w.pack != nil {
		z.Reset(nil) // ends its work without another write
	}
	w.pack = nil
	var err error
	if w.f != nil {
		err = w.f.Close()
		w.f = nil
	}
	if w.temp != "" {
		if rerr := os.Remove(w.temp); err == nil {
			err = rerr
		}
		w.temp = ""
	}
	if err != nil {
		return fmt.Errorf("%s: %w", w.name, plain(err))
	}
	return nil
}

// Error says in plain words what an error of the file system means for the file.
type Error struct {
	Text string
	Err  error
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// plain takes the operation and the temporary file's name out of an error: the user knows the file by another.
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		return le.Err
	}
	return err
}
