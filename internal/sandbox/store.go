package sandbox

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"
)

// Store keeps a simulator's records: JSON documents, by kind and id, in the order in which they were made, and the list
// of accepted writes. With a folder it is an append-only log, of which a killed process loses at most a write that it
// had not answered yet; without, it is memory. It is safe for many goroutines.
//
// Only an index is held in memory when there is a folder; documents are read from the log when they are asked for.
type Store struct {
	mu     sync.RWMutex
	kinds  map[string]*kind
	writes []Written
	counts []byte // the last counters noted, as JSON
	dead   int64  // bytes of the log that nothing refers to any more

	log   *logFile // nil: in memory
	notes error    // why the log can't be written any more
}

// entry is one version of a document; it never changes.
type entry struct {
	id   string
	doc  []byte // nil if it is in the log
	off  int64
	size int
}

type kind struct {
	order []*entry // nil where one was deleted
	index map[string]int
	bytes int64
}

// Written is one accepted write.
type Written struct {
	N      int64     `json:"n"` // 1 for the first since the folder was made or reset
	Time   time.Time `json:"time"`
	Method string    `json:"method"`
	Path   string    `json:"path"` // as asked for, escaped, without what all the vendor's paths share
	Body   Digest    `json:"sha256"`
	ID     string    `json:"id,omitempty"` // of the record that was made, changed or deleted
}

// ErrClosed is the error of a store that was closed.
var ErrClosed = errors.New("the sandbox is closed")

// OpenStore opens the folder of the named simulator, or a store in memory if dir is "". It fails if another process has
// the folder open, and says which.
func OpenStore(dir, name string) (*Store, error) {
	s := &Store{kinds: map[string]*kind{}}
	if dir == "" {
		return s, nil
	}
	log, err := openLog(dir, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s.log = log
	if err := s.load(); err != nil {
		_ = log.close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// Tx is a set of changes that happen together or not at all.
type Tx struct {
	s   *Store
	ops []op
}

type op struct {
	kind, id string
	doc      []byte // nil: delete
}

// N is the number of the write under way. No write after it has the same, so ids are made from it.
func (tx *Tx) N() int64 { return int64(len(tx.s.writes)) + 1 }

// Get returns a document as the changes so far leave it. The caller must not change it.
func (tx *Tx) Get(kind, id string) ([]byte, bool, error) {
	for _, o := range slices.Backward(tx.ops) {
		if o.kind == kind && o.id == id {
			return o.doc, o.doc != nil, nil
		}
	}
	e := tx.s.find(kind, id)
	if e == nil {
		return nil, false, nil
	}
	doc, err := tx.s.read(e)
	return doc, err == nil, err
}

// Has reports whether there is such a document, as the changes so far leave it.
func (tx *Tx) Has(kind, id string) bool {
	for _, o := range slices.Backward(tx.ops) {
		if o.kind == kind && o.id == id {
			return o.doc != nil
		}
	}
	return tx.s.find(kind, id) != nil
}

// Put makes a document, at the end of its kind, or changes it where it stands. The store keeps doc.
func (tx *Tx) Put(kind, id string, doc []byte) { tx.ops = append(tx.ops, op{kind, id, doc}) }

// PutJSON puts v as JSON.
func (tx *Tx) PutJSON(kind, id string, v any) error {
	doc, err := Marshal(v)
	if err != nil {
		return err
	}
	tx.Put(kind, id, doc)
	return nil
}

// Delete removes a document.
func (tx *Tx) Delete(kind, id string) { tx.ops = append(tx.ops, op{kind, id, nil}) }

// Write makes the changes of fn and lists them as one accepted write, with the id that fn returns. If fn fails, nothing
// has happened and Write returns its error. When Write returns without an error, a killed process keeps the changes.
func (s *Store) Write(w Written, fn func(*Tx) (id string, err error)) error {
	return s.change(fn, &w)
}

// Fill makes the changes of fn without listing them: what was there before the first write.
func (s *Store) Fill(fn func(*Tx) error) error {
	return s.change(func(tx *Tx) (string, error) { return "", fn(tx) }, nil)
}

// FillMany calls fn with 0 to n-1 and makes its changes as Fill does, those of a few thousand calls at a time.
func (s *Store) FillMany(n int, fn func(tx *Tx, i int) error) error {
	const step = 2000
	for from := 0; from < n; from += step {
		err := s.Fill(func(tx *Tx) error {
			for i := from; i < min(from+step, n); i++ {
				if err := fn(tx, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) change(fn func(*Tx) (string, error), w *Written) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notes != nil {
		return s.notes
	}
	tx := &Tx{s: s}
	id, err := fn(tx)
	if err != nil {
		return err
	}
	if w != nil {
		w.N, w.ID = tx.N(), id
	}
	entries := make([]*entry, len(tx.ops))
	for i, o := range tx.ops {
		entries[i] = &entry{id: o.id, doc: o.doc, size: len(o.doc)}
	}
	if s.log != nil {
		if err := s.log.append(tx.ops, entries, w); err != nil {
			return s.broken(err)
		}
	}
	for i, o := range tx.ops {
		s.apply(o.kind, entries[i], o.doc == nil)
	}
	if w != nil {
		s.writes = append(s.writes, *w)
	}
	return nil
}

// broken takes note that the log could not be written, unless it could be put back to where it was.
func (s *Store) broken(err error) error {
	var torn *tornError
	if errors.As(err, &torn) {
		s.notes = err
	}
	return err
}

// apply changes the index.
func (s *Store) apply(name string, e *entry, gone bool) {
	k := s.kinds[name]
	if k == nil {
		k = &kind{index: map[string]int{}}
		s.kinds[name] = k
	}
	i, known := k.index[e.id]
	if known {
		old := k.order[i]
		k.bytes -= int64(old.size)
		s.dead += int64(old.size)
	}
	switch {
	case gone && known:
		k.order[i] = nil
		delete(k.index, e.id)
		k.tidy()
	case gone:
	case known:
		k.order[i] = e
		k.bytes += int64(e.size)
	default:
		k.index[e.id] = len(k.order)
		k.order = append(k.order, e)
		k.bytes += int64(e.size)
	}
}

// tidy closes the gaps that deletes leave, once they are most of the list.
func (k *kind) tidy() {
	if len(k.order) < 1024 || len(k.index) > len(k.order)/2 {
		return
	}
	order := make([]*entry, 0, len(k.index))
	for _, e := range k.order {
		if e != nil {
			k.index[e.id] = len(order)
			order = append(order, e)
		}
	}
	k.order = order
}

func (s *Store) find(name, id string) *entry {
	k := s.kinds[name]
	if k == nil {
		return nil
	}
	i, ok := k.index[id]
	if !ok {
		return nil
	}
	return k.order[i]
}

// read returns a document. The result of a store in memory is shared.
func (s *Store) read(e *entry) ([]byte, error) {
	if e.doc != nil {
		return e.doc, nil
	}
	doc := make([]byte, e.size)
	if _, err := s.log.file.ReadAt(doc, e.off); err != nil {
		return nil, s.log.readError(err)
	}
	return doc, nil
}

// Get returns a document. The caller must not change it.
func (s *Store) Get(kind, id string) ([]byte, bool, error) {
	s.mu.RLock()
	e := s.find(kind, id)
	s.mu.RUnlock()
	if e == nil {
		return nil, false, nil
	}
	doc, err := s.read(e)
	return doc, err == nil, err
}

// Len counts the documents of a kind.
func (s *Store) Len(kind string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if k := s.kinds[kind]; k != nil {
		return len(k.index)
	}
	return 0
}

// List is the documents of a kind, or some of them, as they were at one moment.
type List struct {
	s       *Store
	entries []*entry
}

// List returns all documents of a kind in the order in which they were made. Writes that come later do not show in it.
func (s *Store) List(kind string) List {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l := List{s: s}
	if k := s.kinds[kind]; k != nil {
		l.entries = make([]*entry, 0, len(k.index))
		for _, e := range k.order {
			if e != nil {
				l.entries = append(l.entries, e)
			}
		}
	}
	return l
}

// Len counts the documents of the list.
func (l List) Len() int { return len(l.entries) }

// Bytes adds up the documents' sizes.
func (l List) Bytes() int64 {
	var n int64
	for _, e := range l.entries {
		n += int64(e.size)
	}
	return n
}

// Slice returns the documents from i to before j.
func (l List) Slice(i, j int) List { return List{l.s, l.entries[i:j]} }

// All goes through the documents. A document is good until the next one. The last pair may be an error alone.
func (l List) All() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var buf []byte
		var start, end int64 // what of the log is in buf
		for _, e := range l.entries {
			if e.doc != nil {
				if !yield(e.doc, nil) {
					return
				}
				continue
			}
			if e.off < start || e.off+int64(e.size) > end {
				if buf == nil {
					buf = make([]byte, readAhead)
				}
				if e.size > len(buf) {
					buf = make([]byte, e.size)
				}
				n, err := l.s.log.file.ReadAt(buf, e.off)
				if n < e.size {
					yield(nil, l.s.log.readError(err))
					return
				}
				start, end = e.off, e.off+int64(n)
			}
			if !yield(buf[e.off-start:e.off-start+int64(e.size)], nil) {
				return
			}
		}
	}
}

// readAhead is how much of the log is read at once when a list is gone through.
const readAhead = 256 << 10

// Where returns the documents of the list that keep says yes to.
func (l List) Where(keep func(doc []byte) bool) (List, error) {
	out := List{s: l.s}
	i := 0
	for doc, err := range l.All() {
		if err != nil {
			return List{}, err
		}
		if keep(doc) {
			out.entries = append(out.entries, l.entries[i])
		}
		i++
	}
	return out, nil
}

// Writes returns the accepted writes so far, in order. The caller must not change them.
func (s *Store) Writes() []Written {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.writes[:len(s.writes):len(s.writes)]
}

// Reset forgets every document, every write and the counters.
func (s *Store) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notes != nil {
		return s.notes
	}
	if s.log != nil {
		if err := s.log.appendLine(lineReset, nil); err != nil {
			return s.broken(err)
		}
		s.dead = s.log.end
	}
	s.kinds, s.writes, s.counts = map[string]*kind{}, nil, nil
	return nil
}

// Note keeps a simulator's counters, as JSON, for the next process that opens the folder.
func (s *Store) Note(counts []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notes != nil {
		return s.notes
	}
	if s.log != nil {
		if err := s.log.appendLine(lineCounts, counts); err != nil {
			return s.broken(err)
		}
	}
	s.counts = counts
	return nil
}

// Noted returns what Note kept last, nil if there is nothing.
func (s *Store) Noted() []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.counts
}

// Close frees the folder. Closing twice does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log == nil || errors.Is(s.notes, ErrClosed) {
		s.notes = ErrClosed
		return nil
	}
	s.notes = ErrClosed
	return s.log.close()
}

// tornError is a log that has a part of a write at its end which could not be taken back.
type tornError struct{ err error }

func (e *tornError) Error() string { return e.err.Error() }
func (e *tornError) Unwrap() error { return e.err }
