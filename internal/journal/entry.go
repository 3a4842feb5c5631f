package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// The kinds of entry. The number is the payload's first byte and never gets another meaning.
const (
	kindSpec       = 1 // the run, as JSON: always the first
	kindPass       = 2 // a process took the run up, as JSON
	kindSending    = 3
	kindUndone     = 4
	kindSettled    = 5
	kindCheckpoint = 6
	kindFinish     = 7
	kindLag        = 8 // how far the vendor's clock was behind ours, in seconds: at most one, in the first pass
)

const (
	// maxInterned and maxInternedLen bound the table of strings that are written once and then named by number:
	// operations, actions, rules. Operations may name ids and so be endlessly many.
	maxInterned    = 1024
	maxInternedLen = 80
	// softPayload is where a Settled is split into several frames.
	softPayload = 1 << 20
	// maxText bounds one text; a vendor's answer may be anything.
	maxText = 1 << 20
	// maxCallRows, maxRetired and maxRow bound the rows of one call, the rows of one checkpoint and a row's number, so
	// that no strange entry makes a loop endless.
	maxCallRows = 1 << 26
	maxRetired  = 1 << 34
	maxRow      = 1 << 48
	// maxLag bounds how wrong a clock can be, in seconds: a hundred years.
	maxLag = 100 * 365 * 24 * 60 * 60
)

// span is a run of row numbers, both ends included.
type span struct{ first, last int64 }

// outcome is what became of consecutive rows.
type outcome struct {
	span
	fate     record.Fate
	action   string
	ids      []string // one a row, or nil
	problems record.Problems
	hasErr   bool
}

// entry is one decoded entry. Which fields count depends on the kind.
type entry struct {
	kind     byte
	at       int64 // Unix milliseconds
	call     int64
	text     string // op, why, note or status
	data     []byte // JSON, or the checkpoint's note; good until the next decode
	rows     []span
	outcomes []outcome
	final    []span
	unsure   []span
	counts   pipeline.Counts
}

// encoder renders entries as frames. It remembers strings and times of what it wrote, as the decoder does of what it
// read, so entries must be written in the order of encoding.
type encoder struct {
	buf     []byte
	start   int
	seed    uint32
	strings map[string]uint64
	at      int64
}

func (e *encoder) begin(kind byte, at int64) {
	e.start = len(e.buf)
	e.buf = append(e.buf, make([]byte, frameHead)...)
	e.buf = append(e.buf, kind)
	e.int(at - e.at)
	e.at = at
}

func (e *encoder) seal()        { sealFrame(e.buf, e.start, e.seed) }
func (e *encoder) int(n int64)  { e.buf = binary.AppendVarint(e.buf, n) }
func (e *encoder) uint(n int64) { e.buf = binary.AppendUvarint(e.buf, uint64(n)) }

// text appends a string that is not expected to come again.
func (e *encoder) text(s string) {
	if len(s) > maxText {
		s = s[:maxText]
	}
	e.uint(int64(len(s)))
	e.buf = append(e.buf, s...)
}

// name appends a string that is expected to come again: 0 and the string, which from now on has a number; 1 and the
// string, which has none; or its number plus 2.
func (e *encoder) name(s string) {
	if n, ok := e.strings[s]; ok {
		e.uint(int64(n) + 2)
		return
	}
	if len(s) > maxInternedLen || len(e.strings) >= maxInterned {
		e.uint(1)
		e.text(s)
		return
	}
	e.uint(0)
	e.text(s)
	e.strings[s] = uint64(len(e.strings))
}

// spans appends row numbers as runs, each as its distance from the one before and its length.
func (e *encoder) spans(spans []span) {
	e.uint(int64(len(spans)))
	var last int64
	for _, s := range spans {
		e.int(s.first - last)
		e.uint(s.last - s.first)
		last = s.last
	}
}

func (e *encoder) sending(at, call int64, op string, rows []*record.Row) {
	e.begin(kindSending, at)
	e.uint(call)
	e.name(op)
	var spans []span
	for _, r := range rows {
		if n := len(spans); n > 0 && spans[n-1].last+1 == r.Num {
			spans[n-1].last++
			continue
		}
		spans = append(spans, span{r.Num, r.Num})
	}
	e.spans(spans)
	e.seal()
}

func (e *encoder) undone(at, call int64, why string) {
	e.begin(kindUndone, at)
	e.uint(call)
	e.text(why)
	e.seal()
}

// settled appends what became of rows, in one frame or, if it would grow large, in several; rows of one record are
// never parted, because half a record must not be believed. Rows without a final fate are left out.
func (e *encoder) settled(at, call int64, note string, rows []*record.Row) {
	begin := func() {
		e.begin(kindSettled, at)
		e.uint(call)
		e.text(note)
	}
	begin()
	var last int64
	for i := 0; i < len(rows); {
		row := rows[i]
		if row.Fate.Open() {
			i++
			continue
		}
		if len(e.buf)-e.start > softPayload && (row.Group == 0 || i == 0 || rows[i-1].Group != row.Group) {
			e.seal()
			begin()
			last = 0
		}
		problems := record.ProblemsOf(row.Err)
		n := 1
		for i+n < len(rows) && n < 10_000 && sameOutcome(rows[i+n], row, int64(n), problems) {
			n++
		}
		e.int(row.Num - last)
		e.uint(int64(n))
		flags := byte(row.Fate)
		if row.ID != "" {
			flags |= 1 << 4
		}
		if row.Err != nil {
			flags |= 1 << 5
		}
		e.buf = append(e.buf, flags)
		e.name(row.Action)
		if row.ID != "" {
			for _, r := range rows[i : i+n] {
				e.text(r.ID)
			}
		}
		if row.Err != nil {
			e.uint(int64(len(problems)))
			for _, p := range problems {
				e.name(p.Field)
				e.name(p.Column)
				e.name(p.Rule)
				e.text(p.Message)
			}
		}
		last = row.Num + int64(n) - 1
		i += n
	}
	e.seal()
}

func sameOutcome(r, first *record.Row, distance int64, problems record.Problems) bool {
	return r.Num == first.Num+distance && r.Fate == first.Fate && r.Action == first.Action && (r.ID == "") == (first.ID == "") &&
		(r.Err == nil) == (first.Err == nil) && (r.Err == nil || slices.Equal(record.ProblemsOf(r.Err), problems))
}

func (e *encoder) checkpoint(at int64, final, unsure *roaring64.Bitmap, c pipeline.Counts, note []byte) {
	e.begin(kindCheckpoint, at)
	e.spans(spansOf(final))
	e.spans(spansOf(unsure))
	for _, n := range []int64{c.Read, c.Accepted, c.Rejected, c.Unsure, c.Unchanged, c.Skipped} {
		e.int(n)
	}
	e.buf = append(e.buf, note...)
	e.seal()
}

// raw appends an entry that is JSON or plain text.
func (e *encoder) raw(kind byte, at int64, data []byte) {
	e.begin(kind, at)
	e.buf = append(e.buf, data...)
	e.seal()
}

func spansOf(b *roaring64.Bitmap) []span {
	var spans []span
	if b == nil {
		return nil
	}
	for it := b.Iterator(); it.HasNext(); {
		n := int64(it.Next())
		if k := len(spans); k > 0 && spans[k-1].last+1 == n {
			spans[k-1].last = n
			continue
		}
		spans = append(spans, span{n, n})
	}
	return spans
}

// decoder reads entries back, in order.
type decoder struct {
	strings []string
	at      int64
	e       entry

	rest []byte
	bad  bool
}

var errEntry = errors.New("holds an entry that this version of crmetl does not understand: resume with the version that began the run")

// decode reads one payload; the entry is good until the next decode.
func (d *decoder) decode(payload []byte) (*entry, error) {
	d.rest, d.bad = payload[1:], false
	e := &d.e
	*e = entry{kind: payload[0], rows: e.rows[:0], outcomes: e.outcomes[:0], final: e.final[:0], unsure: e.unsure[:0]}
	d.at += d.int()
	e.at = d.at
	switch e.kind {
	case kindSpec, kindPass, kindFinish, kindLag:
		e.data = d.rest
		e.text = string(d.rest)
		d.rest = nil
	case kindSending:
		e.call = d.uint()
		e.text = d.name()
		e.rows = d.spans(e.rows, maxCallRows)
	case kindUndone:
		e.call = d.uint()
		e.text = d.text()
	case kindSettled:
		e.call = d.uint()
		e.text = d.text()
		d.outcomes(e)
	case kindCheckpoint:
		e.final = d.spans(e.final, maxRetired)
		e.unsure = d.spans(e.unsure, maxRetired)
		c := &e.counts
		for _, n := range []*int64{&c.Read, &c.Accepted, &c.Rejected, &c.Unsure, &c.Unchanged, &c.Skipped} {
			*n = d.int()
		}
		e.data = d.rest
		d.rest = nil
	default:
		return nil, fmt.Errorf("%w (kind %d)", errEntry, e.kind)
	}
	if d.bad || len(d.rest) > 0 {
		return nil, errEntry
	}
	return e, nil
}

func (d *decoder) outcomes(e *entry) {
	var last, total int64
	for len(d.rest) > 0 && !d.bad {
		var o outcome
		o.first = last + d.int()
		n := d.uint()
		if total += n; n < 1 || total > maxCallRows || o.first < 1 || o.first > maxRow || len(d.rest) == 0 {
			d.bad = true
			return
		}
		o.last = o.first + n - 1
		last = o.last
		flags := d.rest[0]
		d.rest = d.rest[1:]
		o.fate = record.Fate(flags & 0xf)
		if o.fate.Open() || o.fate > record.Skipped || flags>>6 != 0 {
			d.bad = true
			return
		}
		o.action = d.name()
		if flags&(1<<4) != 0 {
			if n > int64(len(d.rest)) {
				d.bad = true
				return
			}
			o.ids = make([]string, n)
			for i := range o.ids {
				o.ids[i] = d.text()
			}
		}
		if o.hasErr = flags&(1<<5) != 0; o.hasErr {
			n := d.uint()
			if n > int64(len(d.rest)) {
				d.bad = true
				return
			}
			for range n {
				o.problems = append(o.problems, record.Problem{Field: d.name(), Column: d.name(), Rule: d.name(), Message: d.text()})
			}
		}
		e.outcomes = append(e.outcomes, o)
	}
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) uint() int64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > 1<<62 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return int64(n)
}

func (d *decoder) text() string {
	n := d.uint()
	if n > int64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) name() string {
	switch n := d.uint(); {
	case n == 0:
		s := d.text()
		if !d.bad {
			d.strings = append(d.strings, s)
		}
		return s
	case n == 1:
		return d.text()
	case n-2 < int64(len(d.strings)):
		return d.strings[n-2]
	}
	d.bad = true
	return ""
}

func (d *decoder) spans(dst []span, most int64) []span {
	n := d.uint()
	if n > int64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return dst
	}
	var last, total int64
	for range n {
		s := span{first: last + d.int()}
		size := d.uint()
		if d.bad || s.first < 1 || s.first > maxRow || size > maxRow || size >= most-total {
			d.bad = true
			return dst
		}
		s.last = s.first + size
		total += size + 1
		last = s.last
		dst = append(dst, s)
	}
	return dst
}
