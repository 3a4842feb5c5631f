package api

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// paceMagic begins a pace file. After it come, little endian: the next slot, the pause, the number of starts (each 8
// bytes), the starts, and a CRC-32 of all before it (4 bytes).
const paceMagic = "crmetlp1"

var (
	errTorn = errors.New("is damaged")
	errBusy = errors.New("is locked by another process")
)

// paceFile is where processes share an account's pace. The lock is a file of its own, because on some systems a
// locked file can't be read through another handle.
type paceFile struct {
	path string
	flk  *flock.Flock
	buf  []byte
}

func newPaceFile(parent, key string) (*paceFile, error) {
	dir, err := privateDir(parent, "pace")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, key)
	f := &paceFile{path: path + ".pace", flk: newLock(path + ".lock")}
	if err := f.lock(); err != nil && !errors.Is(err, errBusy) {
		return nil, err
	}
	f.unlock()
	return f, nil
}

func newLock(path string) *flock.Flock {
	return flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
}

// lock takes the lock, which others hold for microseconds. Asking again beats waiting in the kernel, which no one
// could end.
func (f *paceFile) lock() error {
	pause := 20 * time.Microsecond
	for start := time.Now(); ; {
		ok, err := f.flk.TryLock()
		if err != nil || ok {
			return err
		}
		if time.Since(start) > 2*time.Second {
			return errBusy
		}
		time.Sleep(pause)
		pause = min(2*pause, 500*time.Microsecond)
	}
}

func (f *paceFile) unlock() { _ = f.flk.Unlock() }

// read returns what the file holds; found is false if there is none yet.
func (f *paceFile) read() (s paceState, found bool, err error) {
	b, err := readPrivate(f.path, 8*(maxStarts+8))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, false, nil
	case errors.Is(err, errNotPrivate), err != nil && errors.Is(err, fs.ErrPermission):
		return s, false, err
	case err != nil:
		return s, false, errTorn
	}
	return decodePace(b)
}

// write replaces what the file holds, in place: a reader never sees half of it, thanks to the lock, and what a crash
// leaves behind is found by its checksum.
func (f *paceFile) write(s *paceState) error {
	f.buf = encodePace(f.buf[:0], s)
	w, err := openPrivate(f.path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	_, err = w.WriteAt(f.buf, 0)
	if err == nil {
		var fi fs.FileInfo
		if fi, err = w.Stat(); err == nil && fi.Size() > int64(len(f.buf)) {
			err = w.Truncate(int64(len(f.buf)))
		}
	}
	return errors.Join(err, w.Close())
}

func encodePace(b []byte, s *paceState) []byte {
	b = append(b, paceMagic...)
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(s.next))
	b = le.AppendUint64(b, uint64(s.pause))
	b = le.AppendUint64(b, uint64(len(s.starts)))
	for _, t := range s.starts {
		b = le.AppendUint64(b, uint64(t))
	}
	return le.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func decodePace(b []byte) (s paceState, found bool, err error) {
	const head = len(paceMagic) + 3*8
	le := binary.LittleEndian
	if len(b) < head+4 || string(b[:len(paceMagic)]) != paceMagic || le.Uint32(b[len(b)-4:]) != crc32.ChecksumIEEE(b[:len(b)-4]) {
		return s, false, errTorn
	}
	n := le.Uint64(b[head-8:])
	if n > maxStarts || len(b) != head+8*int(n)+4 {
		return s, false, errTorn
	}
	r := bytes.NewReader(b[len(paceMagic):])
	times := make([]int64, 3+n)
	if binary.Read(r, le, times) != nil || r.Len() != 4 {
		return s, false, io.ErrUnexpectedEOF
	}
	s = paceState{next: times[0], pause: times[1], starts: times[3:]}
	for i, t := range s.starts {
		if t <= 0 || i > 0 && t < s.starts[i-1] || s.next < 0 || s.pause < 0 {
			return s, false, errTorn
		}
	}
	return s, true, nil
}
