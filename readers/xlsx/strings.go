package xlsx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"unicode/utf8"
)

const (
	keepStrings = 8 << 20 // bytes of shared strings held in memory; more of them go to a file
	blockLen    = 64      // strings that come back from the file at once
	blockSlots  = 512     // blocks held in memory
	maxString   = 4 << 20 // bytes of one string; a cell of Excel holds 32,767 characters
)

// table holds the shared strings of a workbook: in memory while they are few, then in a file that no one else sees.
// It never changes once it is built, and may be used from many goroutines.
type table struct {
	count int
	kept  []string // all of them, if file is nil

	file   *os.File
	remove bool    // the file has still a name
	starts []int64 // where each block begins, and where the last one ends
	slots  []atomic.Pointer[block]
}

type block struct {
	num  int
	strs []string
}

// tableWriter builds a table.
type tableWriter struct {
	table
	keep  int
	size  int
	text  arena
	out   []byte
	at    int64
	inRow []byte
}

// add appends a string.
func (w *tableWriter) add(text []byte) error {
	if len(text) > maxString {
		return fmt.Errorf("shared string %d is larger than %d MiB", w.count, maxString>>20)
	}
	if w.file == nil {
		w.size += len(text) + 16
		if w.size <= w.keep {
			w.kept = append(w.kept, w.text.put(text))
			w.count++
			return nil
		}
		if err := w.spill(); err != nil {
			return err
		}
	}
	return w.write(text)
}

// spill moves what is held to a file.
func (w *tableWriter) spill() error {
	f, err := os.CreateTemp("", "crmetl-strings-*")
	if err != nil {
		return fmt.Errorf("its shared strings need a temporary file: %w", err)
	}
	w.file = f
	w.remove = os.Remove(f.Name()) != nil // where open files cannot be removed, close does it
	kept := w.kept
	w.kept, w.text, w.count = nil, arena{}, 0
	for _, s := range kept {
		if err := w.write([]byte(s)); err != nil {
			return err
		}
	}
	return nil
}

func (w *tableWriter) write(text []byte) error {
	if w.count%blockLen == 0 {
		w.starts = append(w.starts, w.at+int64(len(w.out)))
	}
	w.out = binary.AppendUvarint(w.out, uint64(len(text)))
	w.out = append(w.out, text...)
	w.count++
	if len(w.out) < 256<<10 {
		return nil
	}
	return w.flush()
}

func (w *tableWriter) flush() error {
	n, err := w.file.Write(w.out)
	w.at += int64(n)
	w.out = w.out[:0]
	if err != nil {
		return fmt.Errorf("its shared strings do not fit on disk: %w", err)
	}
	return nil
}

// done returns the finished table.
func (w *tableWriter) done() (*table, error) {
	if w.file != nil {
		if err := w.flush(); err != nil {
			return nil, err
		}
		w.starts = append(w.starts, w.at)
		w.slots = make([]atomic.Pointer[block], blockSlots)
	}
	return &table{count: w.count, kept: w.kept, file: w.file, remove: w.remove, starts: w.starts, slots: w.slots}, nil
}

// readStrings reads the part of the shared strings, keeping at most keep bytes of it in memory. size is how much of the
// XML it looks at at once.
func readStrings(r io.Reader, size, keep int) (t *table, err error) {
	c, err := newCutter(r, size, "sst", "sst", "si")
	if err != nil {
		return nil, err
	}
	w := &tableWriter{keep: keep}
	defer func() {
		if err != nil {
			_ = w.close()
		}
	}()
	var chunk []byte
	for {
		chunk, _, err = c.next(chunk[:0])
		if errors.Is(err, io.EOF) {
			return w.done()
		}
		if err == nil {
			err = w.items(chunk)
		}
		if err != nil {
			return nil, err
		}
	}
}

// items adds the strings of a chunk of <si> elements.
func (w *tableWriter) items(chunk []byte) error {
	if !utf8.Valid(chunk) {
		return broken("its text is not UTF-8")
	}
	s := scanner{data: chunk}
	for {
		if text, n := plainItem(s.data[s.pos:]); n > 0 {
			s.pos += n
			var err error
			if bytes.IndexByte(text, '&') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
				w.inRow, err = unescape(w.inRow[:0], text)
				text = w.inRow
			}
			if err == nil {
				if bytes.Contains(text, []byte("_x")) {
					w.inRow = unescapeUnits(append(w.inRow[:0], text...))
					text = w.inRow
				}
				err = w.add(text)
			}
			if err != nil {
				return err
			}
			continue
		}
		tok, err := s.next()
		if err != nil {
			return err
		}
		if tok == tokEOF {
			return nil
		}
		if tok != tokStart {
			continue
		}
		if string(local(s.name)) != "si" {
			if err := s.skipWithout("si"); err != nil {
				return err
			}
			continue
		}
		if w.inRow, err = richText(&s, w.inRow[:0]); err != nil {
			return err
		}
		if err := w.add(w.inRow); err != nil {
			return err
		}
	}
}

// plainItem takes the shape that nearly every shared string has, and returns its raw text and the item's length.
func plainItem(d []byte) (text []byte, n int) {
	const begin, space, end = "<si><t>", `<si><t xml:space="preserve">`, "</t></si>"
	at := len(begin)
	if !bytes.HasPrefix(d, []byte(begin)) {
		if !bytes.HasPrefix(d, []byte(space)) {
			return nil, 0
		}
		at = len(space)
	}
	i := bytes.IndexByte(d[at:], '<')
	if i < 0 || !bytes.HasPrefix(d[at+i:], []byte(end)) {
		return nil, 0
	}
	return d[at : at+i], at + i + len(end)
}

// get returns string i.
func (t *table) get(i int) (string, error) {
	if i < 0 || i >= t.count {
		return "", fmt.Errorf("it refers to shared string %d, and the workbook has %d of them", i, t.count)
	}
	if t.file == nil {
		return t.kept[i], nil
	}
	num := i / blockLen
	slot := &t.slots[num%blockSlots]
	b := slot.Load()
	if b == nil || b.num != num {
		var err error
		if b, err = t.load(num); err != nil {
			return "", err
		}
		slot.Store(b)
	}
	return b.strs[i%blockLen], nil
}

// load brings a block back from the file.
func (t *table) load(num int) (*block, error) {
	raw := make([]byte, t.starts[num+1]-t.starts[num])
	if _, err := t.file.ReadAt(raw, t.starts[num]); err != nil {
		return nil, fmt.Errorf("shared strings do not come back from the temporary file: %w", err)
	}
	text := string(raw)
	b := &block{num: num, strs: make([]string, 0, blockLen)}
	for at := 0; at < len(raw); {
		n, w := binary.Uvarint(raw[at:])
		if w <= 0 || n > uint64(len(raw)-at-w) {
			return nil, errors.New("shared strings were changed in the temporary file")
		}
		at += w
		b.strs = append(b.strs, text[at:at+int(n)])
		at += int(n)
	}
	if want := min(blockLen, t.count-num*blockLen); len(b.strs) != want {
		return nil, errors.New("shared strings were changed in the temporary file")
	}
	return b, nil
}

// close frees the file.
func (t *table) close() error {
	if t == nil || t.file == nil {
		return nil
	}
	err := t.file.Close()
	if t.remove {
		err = errors.Join(err, os.Remove(t.file.Name()))
	}
	return err
}
