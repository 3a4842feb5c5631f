// Package record holds the atom of crmetl: the value, the row and the batch of rows that travels through a pipeline.
// It knows no file, no vendor and no mapping, and imports nothing else of the project.
package record

import (
	"errors"
	"fmt"
	"strings"
)

// Fate is where a row's journey ended, or that it has not ended yet.
type Fate uint8

// The fates. A run is over when each of its rows has one of the last five.
const (
	Pending   Fate = iota // still travelling
	Doubt                 // an earlier attempt sent it and never learned the outcome: find out before sending again
	Accepted              // the vendor took it
	Rejected              // refused, by crmetl or by the vendor; Row.Err says why
	Unsure                // sent, and the outcome could not be learned; Row.Err says what was tried
	Unchanged             // the vendor has it already, just so
	Skipped               // left out on purpose
)

var fateNames = [...]string{"pending", "doubt", "accepted", "rejected", "unsure", "unchanged", "skipped"}

// String returns the fate's name as summaries spell it.
func (f Fate) String() string {
	if int(f) < len(fateNames) {
		return fateNames[f]
	}
	return "unknown"
}

// Open reports whether the row still needs a sink: it is pending or in doubt.
func (f Fate) Open() bool { return f <= Doubt }

// Header names the columns of rows. It never changes and is shared by all batches of a source.
type Header struct {
	names []string
	index map[string]int
}

// NewHeader returns a header that refuses empty and repeated names, because a mapping could not tell such columns
// apart.
func NewHeader(names []string) (*Header, error) {
	h := LooseHeader(names)
	var problems []error
	seen := make(map[string]int, len(names))
	for i, n := range names {
		if n == "" {
			problems = append(problems, fmt.Errorf("column %s has no name", ColumnName(i)))
			continue
		}
		if j, ok := seen[n]; ok {
			problems = append(problems, fmt.Errorf("columns %s and %s are both named %q", ColumnName(j), ColumnName(i), n))
			continue
		}
		seen[n] = i
	}
	return h, errors.Join(problems...)
}

// LooseHeader returns a header of any names; Index finds the first of a repeated name. It serves conversions from
// file to file, where columns keep their places.
func LooseHeader(names []string) *Header {
	h := &Header{names: append([]string(nil), names...), index: make(map[string]int, len(names))}
	for i, n := range h.names {
		if _, ok := h.index[n]; !ok {
			h.index[n] = i
		}
	}
	return h
}

// Len returns the number of columns.
func (h *Header) Len() int { return len(h.names) }

// Name returns the name of column i.
func (h *Header) Name(i int) string { return h.names[i] }

// Names returns a copy of all names.
func (h *Header) Names() []string { return append([]string(nil), h.names...) }

// Index returns the place of a column, or -1.
func (h *Header) Index(name string) int {
	if i, ok := h.index[name]; ok {
		return i
	}
	return -1
}

// ColumnName returns the letters that a spreadsheet shows above column i (0 is A).
func ColumnName(i int) string {
	var b []byte
	for i++; i > 0; i = (i - 1) / 26 {
		b = append(b, byte('A'+(i-1)%26))
	}
	for l, r := 0, len(b)-1; l < r; l, r = l+1, r-1 {
		b[l], b[r] = b[r], b[l]
	}
	return string(b)
}

// Row is one data row.
type Row struct {
	Num    int64   // 1-based data row in its source: its identity in journal and reports
	Line   int64   // 1-based line, sheet row or element in its source, 0 if unknown
	Values []Value // under Batch.Header
	Origin []Value // as read, under Batch.Origin: what rejected.csv repeats; may have more or fewer cells (ragged)
	Text   string  // Origin as a line of a CSV file with commas and quotes, if it was read from one and can be copied; or ""

	Fate   Fate
	Late   bool   // a call for the row broke off, now or in an earlier attempt: what it sent may still be on its way
	Action string // what became of an accepted row: created, updated, deleted, sent, accepted
	ID     string // the vendor's id, if it is known
	Err    error  // why the row is rejected or unsure: a Problems, or any error
	Group  int64  // rows that make one record share the Num of the record's first row; 0 if the row stands alone
	About  uint64 // hash of what the row is about, from the engine: rows with the same one go in order; 0: it stands alone
}

// Reject gives the row the fate Rejected and adds a problem to those it has.
func (r *Row) Reject(p Problem) {
	r.Fate = Rejected
	var ps Problems
	if errors.As(r.Err, &ps) {
		r.Err = append(ps[:len(ps):len(ps)], p)
		return
	}
	r.Err = Problems{p}
}

// Accept gives the row the fate Accepted.
func (r *Row) Accept(action, id string) {
	r.Fate, r.Action, r.Err = Accepted, action, nil
	if id != "" {
		r.ID = id
	}
}

// Problem is one reason to refuse a row.
type Problem struct {
	Field   string // the vendor's field, "" if the row as a whole is meant
	Column  string // the column it came from, if that has another name
	Rule    string // the rule that is broken: required, max, email, ragged, vendor, …
	Message string // for the person who mends the file: what is wrong and what would be right
}

// String returns the problem as reports show it.
func (p Problem) String() string {
	name := p.Field
	if p.Column != "" && p.Column != p.Field {
		if name == "" {
			name = fmt.Sprintf("column %q", p.Column)
		} else {
			name = fmt.Sprintf("%s (column %q)", name, p.Column)
		}
	}
	if name == "" {
		return p.Message
	}
	return name + ": " + p.Message
}

// Problems is why a row was refused: every reason that was found, the first one first.
type Problems []Problem

// Error joins all problems by "; ".
func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// ProblemsOf returns the problems behind an error: its own if it is a Problems, one without field or rule otherwise.
func ProblemsOf(err error) Problems {
	var ps Problems
	if err == nil || errors.As(err, &ps) {
		return ps
	}
	return Problems{{Message: err.Error()}}
}

// Batch is what moves through a pipeline: some rows in file order, and the memory that their cells live in. A batch
// owns its cells and its rows: an engine that has seen a batch through uses both again for other rows (Reset), so whoever
// is given one keeps no slice of it and no pointer into it. Texts are safe to keep: no text is ever overwritten.
type Batch struct {
	Header *Header // names of Row.Values; a step that renames or moves cells sets a new one
	Origin *Header // names of Row.Origin
	Rows   []Row
	Out    []byte // the batch as a writer's encoder rendered it, if one did
	Cursor string // where a source could go on after this batch

	free   []Value // unused cells of the current block
	blocks []block // all blocks, in the order of their use
	used   int     // how many of them were begun
	arena  *arena  // where texts of the batch are put together
}

// block is memory of cells.
type block struct {
	cells []Value
	top   int // cells from here on hold nothing
}

// cellBlock is how many cells a batch allocates at once.
const cellBlock = 1024

// Bounds of what an empty batch keeps for its next use: one batch of very long rows must not hold on to memory that no
// other needs.
const (
	maxKept    = 64 << 10 // cells
	maxKeptRow = 8 << 10  // rows
	maxKeptOut = 1 << 20  // bytes
)

// Reset empties the batch for reuse. Rows and cells handed out before must not be used any more.
func (b *Batch) Reset() {
	clear(b.Rows)
	if cap(b.Rows) > maxKeptRow {
		b.Rows = nil
	}
	if cap(b.Out) > maxKeptOut {
		b.Out = nil
	}
	b.leave()
	kept := 0
	for i := range b.blocks {
		if kept += len(b.blocks[i].cells); kept > maxKept && i > 0 {
			clear(b.blocks[i:])
			b.blocks = b.blocks[:i]
			break
		}
		if i >= b.used {
			b.blocks[i].end(0)
		}
	}
	*b = Batch{Rows: b.Rows[:0], Out: b.Out[:0], blocks: b.blocks, arena: b.arena}
}

// Add appends an empty row and returns it; the pointer is good until the next Add.
func (b *Batch) Add() *Row {
	if n := len(b.Rows); n < cap(b.Rows) {
		b.Rows = b.Rows[:n+1]
		row := &b.Rows[n]
		*row = Row{}
		return row
	}
	b.Rows = append(b.Rows, Row{})
	return &b.Rows[len(b.Rows)-1]
}

// Cells returns n fresh cells of the batch's own memory, all Absent.
func (b *Batch) Cells(n int) []Value {
	cells := b.Room(n)
	clear(cells)
	return cells
}

// Room returns n cells of the batch's own memory with whatever was in them before: for who fills each of them.
func (b *Batch) Room(n int) []Value {
	if n > len(b.free) {
		b.free = b.block(n)
	}
	cells := b.free[:n:n]
	b.free = b.free[n:]
	return cells
}

// block begins the next block of n cells or more: one from before Reset if it is large enough.
func (b *Batch) block(n int) []Value {
	b.leave()
	if b.used == len(b.blocks) || len(b.blocks[b.used].cells) < n {
		b.blocks = append(b.blocks[:b.used], block{cells: make([]Value, max(n, cellBlock))})
	}
	b.used++
	return b.blocks[b.used-1].cells
}

// leave ends the use of the current block.
func (b *Batch) leave() {
	if b.used > 0 {
		last := &b.blocks[b.used-1]
		last.end(len(last.cells) - len(b.free))
	}
}

// end empties the cells behind the first n. What stands there from an earlier use would keep that one's texts alive.
func (k *block) end(n int) {
	if n < k.top {
		clear(k.cells[n:k.top])
	}
	k.top = n
}

// arena is where many short texts share one piece of memory. What was written stays as it is for as long as somebody
// holds one of the texts.
type arena struct{ strings.Builder }

// arenaBlock is how many bytes of text share one allocation.
const arenaBlock = 16 << 10

// Text returns a copy of text as a string. Many of them share one allocation, which lives as long as any of them: it is
// for values of the batch's rows.
func (b *Batch) Text(text []byte) string {
	if len(text) > arenaBlock/8 {
		return string(text)
	}
	if b.arena == nil {
		b.arena = &arena{}
	}
	a := b.arena
	if a.Cap()-a.Len() < len(text) {
		a.Reset()
		a.Grow(arenaBlock)
	}
	from := a.Len()
	a.Write(text)
	return a.String()[from:]
}
