package sandbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// The log is a text file of lines whose first word says what they are; words are separated by tabs. Changes count only
// once a line after them has sealed them, so a write is there as a whole or not at all:
//
//	put KIND ID DOCUMENT
//	del KIND ID
//	did WRITTEN            seals what stands before it as one accepted write
//	ok                     seals what stands before it: made up at the first start
//	reset                  forgets everything before it
//	counts COUNTERS
const (
	linePut    = "put"
	lineDel    = "del"
	lineDid    = "did"
	lineOK     = "ok"
	lineReset  = "reset"
	lineCounts = "counts"
)

const (
	logName    = "records.log"
	newName    = "records.new"
	lockName   = "lock"
	holderName = "holder"
	logMagic   = "crmetl-sandbox 1 " // followed by the simulator's name
)

// logFile is the open log of a folder, with the folder's lock.
type logFile struct {
	dir, name string
	file      *os.File
	end       int64 // where the next line goes
	lock      *flock.Flock
	buf       []byte
}

// openLog locks the folder and opens its log, both made if they are not there.
func openLog(dir, name string) (*logFile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l := &logFile{dir: dir, name: name, lock: flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))}
	held, err := l.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	holder := filepath.Join(dir, holderName)
	if !held {
		who := "another process"
		if pid, err := os.ReadFile(holder); err == nil && len(bytes.TrimSpace(pid)) > 0 {
			who = "process " + string(bytes.TrimSpace(pid))
		}
		return nil, fmt.Errorf("%s is in use by %s: stop it, or use another folder", dir, who)
	}
	// The pid has a file of its own because a locked file can't be read everywhere.
	if err := os.WriteFile(holder, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		_ = l.lock.Close()
		return nil, err
	}
	_ = os.Remove(filepath.Join(dir, newName)) // left by a process that was killed while it compacted
	l.file, err = os.OpenFile(l.path(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		_ = l.lock.Close()
		return nil, err
	}
	return l, nil
}

func (l *logFile) path() string { return filepath.Join(l.dir, logName) }

func (l *logFile) close() error {
	err := l.file.Close()
	_ = os.Remove(filepath.Join(l.dir, holderName))
	return errors.Join(err, l.lock.Close())
}

func (l *logFile) readError(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return ErrClosed
	}
	return fmt.Errorf("read %s: %w", l.path(), err)
}

// append writes one set of changes with its seal in a single call, and sets where each entry's document stands.
func (l *logFile) append(ops []op, entries []*entry, w *Written) error {
	b := l.buf[:0]
	for i, o := range ops {
		if !logWord(o.kind) || !logWord(o.id) || bytes.IndexByte(o.doc, '\n') >= 0 {
			return fmt.Errorf("sandbox record %q %q: kinds and ids have no blanks, documents no newlines", o.kind, o.id)
		}
		if o.doc == nil {
			b = appendWords(b, lineDel, o.kind, o.id)
			b = append(b, '\n')
			continue
		}
		b = appendWords(b, linePut, o.kind, o.id)
		b = append(b, '\t')
		entries[i].off = l.end + int64(len(b))
		b = append(b, o.doc...)
		b = append(b, '\n')
	}
	b, err := appendSeal(b, w)
	if err != nil {
		return err
	}
	if err := l.write(b); err != nil {
		return err
	}
	for _, e := range entries {
		e.doc = nil
	}
	l.buf = b
	if cap(l.buf) > 1<<20 {
		l.buf = nil
	}
	return nil
}

func appendWords(b []byte, words ...string) []byte {
	for i, w := range words {
		if i > 0 {
			b = append(b, '\t')
		}
		b = append(b, w...)
	}
	return b
}

func logWord(s string) bool { return s != "" && !strings.ContainsAny(s, "\t\n\r ") }

func appendSeal(b []byte, w *Written) ([]byte, error) {
	if w == nil {
		return append(b, lineOK+"\n"...), nil
	}
	line, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	b = append(b, lineDid+"\t"...)
	b = append(b, line...)
	return append(b, '\n'), nil
}

// appendLine writes a line of its own.
func (l *logFile) appendLine(what string, rest []byte) error {
	b := append(l.buf[:0], what...)
	if rest != nil {
		b = append(b, '\t')
		b = append(b, rest...)
	}
	return l.write(append(b, '\n'))
}

// write adds b at the end. After a write that went wrong the log ends where it did before.
func (l *logFile) write(b []byte) error {
	if _, err := l.file.WriteAt(b, l.end); err != nil {
		err = fmt.Errorf("write %s: %w", l.path(), err)
		if cut := l.file.Truncate(l.end); cut != nil {
			return &tornError{errors.Join(err, cut)}
		}
		return err
	}
	l.end += int64(len(b))
	return nil
}

// load reads the log into the index, cuts off what a killed process left unsealed, and compacts the log if much of it
// is out of date.
func (s *Store) load() error {
	l := s.log
	head := logMagic + l.name + "\n"
	r := &lineReader{r: bufio.NewReaderSize(l.file, 1<<20)}
	line, err := r.next()
	switch {
	case errors.Is(err, io.EOF):
		// New, or killed before the first line was whole.
		begun := make([]byte, len(head))
		n, err := l.file.ReadAt(begun, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return l.readError(err)
		}
		if !strings.HasPrefix(head, string(begun[:n])) {
			return fmt.Errorf("%s is not a log of this simulator: use another folder", l.path())
		}
		return l.write([]byte(head))
	case err != nil:
		return l.readError(err)
	case string(line)+"\n" != head:
		return fmt.Errorf("%s is not a log of this simulator: it begins with %q; use another folder", l.path(), clip(line))
	}

	sealed := r.off
	type change struct {
		kind string
		e    *entry
		gone bool
	}
	var open []change
	names := map[string]string{} // one string a kind instead of one a line
	for {
		at := r.off
		line, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return l.readError(err)
		}
		bad := func(why string) error {
			return fmt.Errorf("%s is damaged at byte %d: %s; remove the folder to start anew", l.path(), at, why)
		}
		what, rest, _ := bytes.Cut(line, []byte{'\t'})
		seal := false
		switch string(what) {
		case linePut, lineDel:
			name, rest, _ := bytes.Cut(rest, []byte{'\t'})
			id, doc, ok := bytes.Cut(rest, []byte{'\t'})
			if gone := string(what) == lineDel; len(id) == 0 || ok == gone {
				return bad(fmt.Sprintf("%q", clip(line)))
			}
			kind, known := names[string(name)]
			if !known {
				kind = string(name)
				names[kind] = kind
			}
			e := &entry{id: string(id), off: r.off - 1 - int64(len(doc)), size: len(doc)}
			open = append(open, change{kind, e, !ok})
		case lineDid:
			var w Written
			if err := json.Unmarshal(rest, &w); err != nil {
				return bad(err.Error())
			}
			s.writes = append(s.writes, w)
			seal = true
		case lineOK:
			seal = true
		case lineReset:
			s.kinds, s.writes, s.counts, s.dead = map[string]*kind{}, nil, nil, at
		case lineCounts:
			s.dead += int64(len(s.counts))
			s.counts = bytes.Clone(rest)
		default:
			return bad(fmt.Sprintf("%q", clip(line)))
		}
		if seal {
			for _, c := range open {
				s.apply(c.kind, c.e, c.gone)
			}
			open = open[:0]
		}
		if len(open) == 0 {
			sealed = r.off
		}
	}
	if err := l.file.Truncate(sealed); err != nil {
		return err
	}
	l.end = sealed
	if s.dead > 1<<20 && s.dead > l.end/4 {
		return s.compact()
	}
	return nil
}

func clip(b []byte) []byte {
	if len(b) > 60 {
		return b[:60]
	}
	return b
}

// compact writes the log anew with what still counts and puts it in the old one's place.
func (s *Store) compact() error {
	l := s.log
	path := filepath.Join(l.dir, newName)
	fail := func(err error) error {
		_ = os.Remove(path)
		return fmt.Errorf("compact %s: %w", l.path(), err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	end, err := s.copyTo(file)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fail(err)
	}
	// Neither file may be open while one takes the other's name: not every system allows that.
	_ = l.file.Close()
	renamed := os.Rename(path, l.path())
	if l.file, err = os.OpenFile(l.path(), os.O_RDWR, 0o600); err != nil {
		return fail(err)
	}
	if renamed != nil {
		return fail(renamed)
	}
	l.end, s.dead = end, 0
	return nil
}

// copyTo writes what counts to w and moves the entries to where they stand there.
func (s *Store) copyTo(w io.Writer) (end int64, err error) {
	out := bufio.NewWriterSize(w, 1<<20)
	put := func(parts ...[]byte) {
		for _, p := range parts {
			n, e := out.Write(p)
			end += int64(n)
			err = errors.Join(err, e)
		}
	}
	put([]byte(logMagic + s.log.name + "\n"))
	for _, name := range slices.Sorted(maps.Keys(s.kinds)) {
		k := s.kinds[name]
		l := s.listOf(k)
		moved := make([]*entry, 0, len(l.entries))
		i := 0
		for doc, e := range l.All() {
			if e != nil {
				return 0, e
			}
			put(appendWords(nil, linePut, name, l.entries[i].id), []byte{'\t'})
			moved = append(moved, &entry{id: l.entries[i].id, off: end, size: len(doc)})
			put(doc, []byte{'\n'})
			i++
		}
		k.order = moved
		for i, e := range moved {
			k.index[e.id] = i
		}
	}
	put([]byte(lineOK + "\n"))
	for i := range s.writes {
		line, e := appendSeal(nil, &s.writes[i])
		if e != nil {
			return 0, e
		}
		put(line)
	}
	if s.counts != nil {
		put([]byte(lineCounts+"\t"), s.counts, []byte{'\n'})
	}
	return end, errors.Join(err, out.Flush())
}

func (s *Store) listOf(k *kind) List {
	l := List{s: s}
	for _, e := range k.order {
		if e != nil {
			l.entries = append(l.entries, e)
		}
	}
	return l
}

// lineReader reads whole lines and knows where it is.
type lineReader struct {
	r    *bufio.Reader
	off  int64 // after the line read last
	long []byte
}

// next returns a line without its end, good until the next call. A last line without an end counts as io.EOF: it was
// being written when the process was killed.
func (l *lineReader) next() ([]byte, error) {
	l.long = l.long[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			l.long = append(l.long, part...)
			continue
		}
		if err != nil {
			return nil, err
		}
		line := part
		if len(l.long) > 0 {
			l.long = append(l.long, part...)
			line = l.long
		}
		l.off += int64(len(line))
		return line[:len(line)-1], nil
	}
}
