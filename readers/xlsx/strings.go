package xlsx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

const (
	keepStrings = 3 << 20 // bytes of shared strings held in memory; those that follow go to a file
	blockLen    = 64      // strings that come back from the file at once
	cacheSlots  = 8 << 10 // strings from the file that are held in memory
	maxString   = 4 << 20 // bytes of one string; a cell of Excel holds 32,767 characters
)

// table holds the shared strings of a workbook: the first ones, which are those that come again and again, in memory,
// and the rest in a file that no one else sees. It never changes once it is built, and may be used from many
// goroutines.
type table struct {
	count   int
	missing string // the part that the workbook promises and does not hold

	refs  []uint64 // where each string that is held in memory stands: block, offset and length
	texts []string // the blocks

	file   *os.File
	remove bool    // the file has still a name
	starts []int64 // where each block of the file begins, and where the last one ends
	slots  []atomic.Pointer[cached]
}

// cached is a string from the file that was asked for out of order, and so probably is again.
type cached struct {
	index int
	text  string
}

// A reference has the length in the low bits, then the offset in the block, then the block.
const (
	lengthBits = 23
	offsetBits = 16
)

// cursor is where one reader stands in the file: most strings are asked for in their order, and the others are older.
type cursor struct {
	front, back blockOf
	text        arena
}

// blockOf is one block of strings from the file.
type blockOf struct {
	num  int // 1 + which one it is, 0 for none
	raw  []byte
	from [blockLen]int32 // where each begins
	ends [blockLen]int32 // where each ends
}

// tableWriter builds a table.
type tableWriter struct {
	table
	keep  int
	size  int
	block strings.Builder
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
		w.size += len(text) + 8
		if w.size <= w.keep {
			w.hold(text)
			return nil
		}
		if err := w.spill(); err != nil {
			return err
		}
	}
	return w.write(text)
}

// hold keeps a string in memory.
func (w *tableWriter) hold(text []byte) {
	if w.block.Cap()-w.block.Len() < len(text) || w.block.Len() >= 1<<offsetBits {
		if w.block.Cap() > 0 {
			w.texts = append(w.texts, w.block.String())
		}
		w.block = strings.Builder{}
		w.block.Grow(max(arenaBlock, len(text)))
	}
	w.refs = append(w.refs, uint64(len(w.texts))<<(offsetBits+lengthBits)|uint64(w.block.Len())<<lengthBits|uint64(len(text)))
	w.block.Write(text)
	w.count++
}

// spill opens the file for the strings that memory has no room for.
func (w *tableWriter) spill() error {
	f, err := os.CreateTemp("", "crmetl-strings-*")
	if err != nil {
		return fmt.Errorf("its shared strings need a temporary file: %w", err)
	}
	w.file = f
	w.remove = os.Remove(f.Name()) != nil // where open files cannot be removed, close does it
	return nil
}

func (w *tableWriter) write(text []byte) error {
	if (w.count-len(w.refs))%blockLen == 0 {
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
	if w.block.Cap() > 0 {
		w.texts = append(w.texts, w.block.String())
	}
	if w.file != nil {
		if err := w.flush(); err != nil {
			return nil, err
		}
		w.starts = append(w.starts, w.at)
		w.slots = make([]atomic.Pointer[cached], cacheSlots)
	}
	t := w.table
	return &t, nil
}

// readStrings reads the part of the shared strings, keeping at most keep bytes of it in memory. size is how much of the
// XML it looks at at once.
func readStrings(r io.Reader, size, keep int) (t *table, err error) {
	c, err := newCutter(r, size, "sst", "sst", "si", nil)
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

// get returns string i. cur belongs to the caller alone.
func (t *table) get(i int, cur *cursor) (string, error) {
	if t.missing != "" {
		return "", fmt.Errorf("part %s, which has the text of this cell, is missing; get the file again", t.missing)
	}
	if i < 0 || i >= t.count {
		return "", fmt.Errorf("it refers to shared string %d, and the workbook has %d of them", i, t.count)
	}
	if i < len(t.refs) {
		ref := t.refs[i]
		if ref&(1<<lengthBits-1) == 0 {
			return "", nil
		}
		at := ref >> lengthBits & (1<<offsetBits - 1)
		return t.texts[ref>>(offsetBits+lengthBits)][at : at+ref&(1<<lengthBits-1)], nil
	}
	i -= len(t.refs)
	num := i/blockLen + 1
	if num >= cur.front.num {
		if err := t.load(&cur.front, num); err != nil {
			return "", err
		}
		return cur.text.put(cur.front.at(i % blockLen)), nil
	}
	slot := &t.slots[i%cacheSlots]
	if c := slot.Load(); c != nil && c.index == i {
		return c.text, nil
	}
	if err := t.load(&cur.back, num); err != nil {
		return "", err
	}
	c := &cached{i, string(cur.back.at(i % blockLen))}
	slot.Store(c)
	return c.text, nil
}

// at returns a string of the block.
func (b *blockOf) at(i int) []byte { return b.raw[b.from[i]:b.ends[i]] }

var errTemporary = errors.New("shared strings were changed in the temporary file")

// load brings a block back from the file, if it is not there already.
func (t *table) load(b *blockOf, num int) error {
	if b.num == num {
		return nil
	}
	b.num = 0
	begin, end := t.starts[num-1], t.starts[num]
	b.raw = slices.Grow(b.raw[:0], int(end-begin))[:end-begin]
	if _, err := t.file.ReadAt(b.raw, begin); err != nil {
		return fmt.Errorf("shared strings do not come back from the temporary file: %w", err)
	}
	at, want := 0, min(blockLen, t.count-len(t.refs)-(num-1)*blockLen)
	for i := range want {
		n, w := binary.Uvarint(b.raw[at:])
		if w <= 0 || n > uint64(len(b.raw)-at-w) {
			return errTemporary
		}
		b.from[i] = int32(at + w)
		at += w + int(n)
		b.ends[i] = int32(at)
	}
	if at != len(b.raw) {
		return errTemporary
	}
	b.num = num
	return nil
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
