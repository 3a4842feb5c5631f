package api

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
)

// paceMagic begins a pace file. After it come, little endian, 8 bytes each: the numbers of a paceState in the order of
// its fields, the number of starts, and the starts; then a CRC-32 of all before it (4 bytes). Files of earlier
// versions begin with oldMagic and hold only the next slot, the pause and the starts.
const (
	paceMagic = "crmetlp2"
	oldMagic  = "crmetlp1"
	paceHead  = 10 // numbers before the number of starts
	oldHead   = 2
)

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

// read returns what the file holds, and its bytes; found is false if there is none yet.
func (f *paceFile) read() (s paceState, b []byte, found bool, err error) {
	b, err = readPrivate(f.path, 8*(maxStarts+paceHead+4))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil, false, nil
	case errors.Is(err, errNotPrivate), err != nil && errors.Is(err, fs.ErrPermission):
		return s, nil, false, err
	case err != nil:
		return s, nil, false, errTorn
	}
	s, found, err = decodePace(b)
	return s, b, found, err
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
	for _, n := range []int64{s.next, s.pause, s.wrote, s.quota, s.until, bits(s.limit), bits(s.top), s.slowed, s.raised, s.told, int64(len(s.starts))} {
		b = le.AppendUint64(b, uint64(n))
	}
	for _, t := range s.starts {
		b = le.AppendUint64(b, uint64(t))
	}
	return le.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func bits(f float64) int64 { return int64(math.Float64bits(f)) }

func decodePace(b []byte) (s paceState, found bool, err error) {
	le := binary.LittleEndian
	if len(b) < len(paceMagic)+4 || le.Uint32(b[len(b)-4:]) != crc32.ChecksumIEEE(b[:len(b)-4]) {
		return s, false, errTorn
	}
	head := paceHead
	switch string(b[:len(paceMagic)]) {
	case paceMagic:
	case oldMagic:
		head = oldHead
	default:
		return s, false, errTorn
	}
	numbers := b[len(paceMagic) : len(b)-4]
	if len(numbers)%8 != 0 || len(numbers) < 8*(head+1) {
		return s, false, errTorn
	}
	times := make([]int64, len(numbers)/8)
	for i := range times {
		times[i] = int64(le.Uint64(numbers[8*i:]))
	}
	if n := times[head]; n < 0 || n > maxStarts || int(n) != len(times)-head-1 {
		return s, false, errTorn
	}
	s = paceState{next: times[0], pause: times[1], starts: times[head+1:]}
	if head == paceHead {
		s.wrote, s.quota, s.until = times[2], times[3], times[4]
		s.limit, s.top = math.Float64frombits(uint64(times[5])), math.Float64frombits(uint64(times[6]))
		s.slowed, s.raised, s.told = times[7], times[8], times[9]
	}
	if min(s.next, s.pause, s.wrote, s.quota, s.until, s.slowed, s.raised, s.told) < 0 || s.limit != s.limit || s.top != s.top ||
		!slices.IsSorted(s.starts) || len(s.starts) > 0 && s.starts[0] <= 0 {
		return paceState{}, false, errTorn
	}
	return s, true, nil
}
