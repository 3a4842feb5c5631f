package report_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crmetl/crmetl/internal/journal"
	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// The simulation: a file of rows, an engine, and a vendor in memory, with every kind of trouble that a row can have.
// Which one it has follows from its number alone, so that the right end of every row is known.

type trouble int

const (
	fine      trouble = iota
	throttled         // the first call has no effect, and the vendor says so
	refused           // the vendor refuses it
	lost              // the vendor takes the first call, and the answer is lost; a lookup finds the row
	dropped           // the first call never arrives, which the caller cannot know; a lookup finds nothing
	opaque            // as lost, and no lookup helps: it stays unsure
	local             // refused before it is sent
	skipped           // left out on purpose
	same              // a lookup finds that the vendor has it already
	troubles
)

func troubleOf(row int64) trouble { return trouble((row * 7) % int64(troubles)) }

var expected = map[trouble]record.Fate{
	fine: record.Accepted, throttled: record.Accepted, refused: record.Rejected, lost: record.Accepted, dropped: record.Accepted,
	opaque: record.Unsure, local: record.Rejected, skipped: record.Skipped, same: record.Unchanged,
}

// kind is troubleOf, but for rows that make one record, which share their trouble; if they are refused before they are
// sent, then for one of them.
func (w *world) kind(row int64) trouble {
	if !w.groups {
		return troubleOf(row)
	}
	switch k := troubleOf((row-1)/6*2 + (row-1)%2 + 1); {
	case k == local && (row-1)%6/2 != 1, k == skipped:
		return fine
	default:
		return k
	}
}

// want is how the row must end.
func (w *world) want(row int64) record.Fate {
	if w.groups && troubleOf((row-1)/6*2+(row-1)%2+1) == local {
		return record.Rejected
	}
	return expected[w.kind(row)]
}

// vendor is what the other side knows; it outlives our process.
type vendor struct {
	applied map[int64]int
	tried   map[int64]int
}

func newVendor() *vendor { return &vendor{applied: map[int64]int{}, tried: map[int64]int{}} }

func (v *vendor) clone() *vendor {
	return &vendor{applied: maps.Clone(v.applied), tried: maps.Clone(v.tried)}
}

// source gives rows in pieces; the cells say which row they belong to.
type source struct {
	header *record.Header
	rows   int64
	next   int64
	piece  int64
}

func (s *source) Header() *record.Header { return s.header }
func (s *source) Close() error           { return nil }
func (s *source) Next(_ context.Context, c *pipeline.Chunk) error {
	if s.next >= s.rows {
		return io.EOF
	}
	c.Line = s.next
	s.next = min(s.next+s.piece, s.rows)
	c.Extra = s.next
	return nil
}
func (s *source) Decode(c *pipeline.Chunk, b *record.Batch) error {
	b.Header, b.Origin = s.header, s.header
	for n := c.Line + 1; n <= c.Extra.(int64); n++ {
		r := b.Add()
		r.Values = b.Cells(2)
		r.Values[0] = record.TextOf(cellOf(n))
		r.Values[1] = record.TextOf(strconv.FormatInt((n-1)/3, 10))
		r.Origin = r.Values
	}
	return nil
}

func cellOf(row int64) string { return fmt.Sprintf("row %d, \"quoted\"\nand more", row) }

// step refuses and skips rows before they are sent.
type step struct{ *world }

func (s step) Apply(b *record.Batch) error {
	for i := range b.Rows {
		r := &b.Rows[i]
		switch s.kind(numOf(r)) {
		case local:
			r.Reject(record.Problem{Field: "mobile", Rule: "required", Message: "is missing"})
		case skipped:
			r.Fate = record.Skipped
		}
	}
	return nil
}

func numOf(r *record.Row) int64 {
	s := strings.TrimPrefix(r.Values[0].Text(), "row ")
	n, _ := strconv.ParseInt(s[:strings.IndexByte(s, ',')], 10, 64)
	return n
}

// sink is a connector as it should be.
type sink struct {
	*world
	ledger pipeline.Ledger
	failAt int64 // the row at which the vendor is away; 0: never
}

var errAway = errors.New("the vendor is away")

func (s *sink) Commit(context.Context) error { return nil }
func (s *sink) Close() error                 { return nil }
func (s *sink) Write(_ context.Context, b *record.Batch) error {
	var fresh []*record.Row
	for i := range b.Rows {
		r := &b.Rows[i]
		if !r.Fate.Open() {
			continue
		}
		if s.failAt > 0 && r.Num >= s.failAt {
			return errAway
		}
		settled, err := s.lookup(r)
		if err != nil {
			return err
		}
		if !settled {
			fresh = append(fresh, r)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	for range 3 {
		again, err := s.call(fresh)
		if err != nil || len(again) == 0 {
			return err
		}
		fresh = again
	}
	return errors.New("still throttled")
}

// lookup decides on rows that can be decided without a call.
func (s *sink) lookup(r *record.Row) (bool, error) {
	kind := s.kind(r.Num)
	switch {
	case kind == same:
		r.Fate = record.Unchanged
	case r.Fate == record.Doubt && kind == opaque:
		r.Fate, r.Err = record.Unsure, errors.New("no lookup tells")
	case r.Fate == record.Doubt && s.has(r.Num):
		r.Accept("created", "id-"+strconv.FormatInt(r.Num, 10))
	default:
		return false, nil
	}
	return true, s.ledger.Settled(0, "looked up", r)
}

// call sends rows that are known not to be at the vendor.
func (s *sink) call(rows []*record.Row) (again []*record.Row, err error) {
	call, err := s.ledger.Sending("POST /things", rows...)
	if err != nil {
		return nil, err
	}
	var known []*record.Row
	var took, first bool
	for i, r := range rows {
		if i == 0 || r.Group == 0 || r.Group != rows[i-1].Group {
			took, first = s.post(rows[i:])
		}
		switch kind := s.kind(r.Num); {
		case kind == throttled && first:
			again = append(again, r)
			continue
		case kind == refused:
			r.Reject(record.Problem{Field: "email", Rule: "vendor", Message: "no such domain"})
		case (kind == lost || kind == dropped) && first:
			r.Fate, r.Err = record.Unsure, errors.New("no answer")
		case kind == opaque:
			r.Fate, r.Err = record.Unsure, errors.New("no answer, and no lookup tells")
		case took:
			r.Accept("created", "id-"+strconv.FormatInt(r.Num, 10))
		}
		known = append(known, r)
	}
	if len(known) == 0 {
		return again, s.ledger.Undone(call, "429")
	}
	if err := s.ledger.Settled(call, "207", known...); err != nil {
		return nil, err
	}
	// Of the same call, the throttled rows are settled by nobody: another call begins.
	return again, nil
}

// world is all that outlives our process: a folder and the vendor. While it is watched, each moment in which the
// process could die is kept as a snapshot.
type world struct {
	t      *testing.T
	dir    string
	rows   int64
	groups bool
	vendor *vendor

	mu     sync.Mutex
	watch  func(snapshot)
	dense  bool             // cut journal writes at every byte
	synced map[string]int64 // what a power cut leaves, by file
	now    time.Time
	full   int // writes until the disk is full; 0: never
	writes int
}

type snapshot struct {
	what   string
	files  map[string]string
	vendor *vendor
}

var epoch = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, rows int64) *world {
	return &world{t: t, dir: filepath.Join(t.TempDir(), "run"), rows: rows, vendor: newVendor(), synced: map[string]int64{}, now: epoch}
}

// restore makes a world of a snapshot, in a folder of its own; free removes it.
func (s snapshot) restore(t *testing.T, rows int64) (w *world, free func()) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "run")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range s.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w = &world{t: t, dir: dir, rows: rows, vendor: s.vendor.clone(), synced: map[string]int64{}, now: epoch}
	return w, func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}
}

func (w *world) files() map[string]string {
	files := map[string]string{}
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return files
	}
	for _, e := range entries {
		if data, err := os.ReadFile(filepath.Join(w.dir, e.Name())); err == nil && e.Name() != "lock" {
			files[e.Name()] = string(data)
		}
	}
	return files
}

func (w *world) has(row int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.vendor.applied[row] > 0
}

// post brings the first of the rows to the vendor, with those that make one record with it, if they arrive.
func (w *world) post(rows []*record.Row) (took, first bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watch != nil {
		w.watch(snapshot{fmt.Sprintf("before row %d arrives", rows[0].Num), w.files(), w.vendor.clone()})
	}
	for i, r := range rows {
		if i > 0 && (r.Group == 0 || r.Group != rows[0].Group) {
			break
		}
		w.vendor.tried[r.Num]++
		first = w.vendor.tried[r.Num] == 1
		switch kind := w.kind(r.Num); {
		case kind == refused, first && (kind == throttled || kind == dropped):
		default:
			w.vendor.applied[r.Num]++
			took = true
		}
	}
	return took, first
}

var errFull = &os.PathError{Op: "write", Path: "disk", Err: errNoSpace}

func (w *world) write(f *os.File, p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
	if w.full > 0 && w.writes >= w.full {
		n, _ := f.Write(p[:len(p)/2])
		return n, errFull
	}
	name := filepath.Base(f.Name())
	if w.watch != nil {
		cuts := []int{0, 1, len(p) / 2, len(p) - 1}
		if w.dense && name == journal.FileName {
			cuts = cuts[:0]
			for k := range len(p) {
				cuts = append(cuts, k)
			}
		}
		last := -1
		for _, k := range cuts {
			if k <= last {
				continue
			}
			last = k
			files := w.files()
			files[name] += string(p[:k])
			w.watch(snapshot{fmt.Sprintf("%d of %d bytes into %s", k, len(p), name), files, w.vendor.clone()})
		}
		w.powerCut()
	}
	return f.Write(p)
}

// powerCut keeps what is left when everything goes that was not synced, from the reports only, from the journal only,
// and from both.
func (w *world) powerCut() {
	for mask := 1; mask < 4; mask++ {
		files := w.files()
		for name, data := range files {
			isJournal := name == journal.FileName
			if size := w.synced[name]; size < int64(len(data)) && (isJournal && mask&1 != 0 || !isJournal && mask&2 != 0) {
				files[name] = data[:size]
			}
		}
		w.watch(snapshot{fmt.Sprintf("power cut %d", mask), files, w.vendor.clone()})
	}
}

func (w *world) sync(f *os.File) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.IsDir() {
		w.synced[strings.TrimSuffix(filepath.Base(f.Name()), ".new")] = info.Size()
	}
	return nil
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(150 * time.Millisecond)
	return w.now
}

// how says how a pass goes.
type how struct {
	batch   int
	writers int
	groups  bool
	failAt  int64
}

// pass is one process: it begins the run or takes it up, and works until the end or the first trouble.
func (w *world) pass(h how) (s report.Summary, err error) {
	w.groups = h.groups
	jo := journal.Options{Write: w.write, Sync: w.sync, Now: w.clock}
	j, err := jo.Open(w.dir)
	if errors.Is(err, journal.ErrAbsent) {
		j, err = jo.Create(w.dir, journal.Spec{Run: "sim", Command: "import"})
	}
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	header := record.LooseHeader([]string{"Name", "Order"})
	rec, err := report.NewRecorder(w.dir, header, j, report.Options{Write: w.write, Sync: w.sync, Now: w.clock})
	if err != nil {
		return s, err
	}
	if warnings := rec.Warnings(); len(warnings) > 0 {
		w.t.Errorf("warnings: %q", warnings)
	}
	po := pipeline.Options{Workers: 1, Writers: max(h.writers, 1), BatchSize: h.batch, History: j, Retire: rec.Retire}
	if h.writers > 1 {
		po.Workers = 2
	}
	if h.groups {
		// Records of three rows, of which every second one is interleaved with the next.
		key := func(r *record.Row) string { return groupOf(r.Num) }
		po.Group = &pipeline.Grouping{Key: key, Last: func(k string) int64 { return lastOf(k, w.rows) }}
	}
	src := &source{header: header, rows: w.rows, piece: 4}
	_, err = pipeline.Run(context.Background(), src, []pipeline.Step{step{w}}, &sink{w, j, h.failAt}, po)
	err = errors.Join(err, rec.Close())
	rec.Fill(&s)
	s.Status = report.Outcome(s.Rows.Counts)
	if err != nil {
		s.Status = report.Stopped
	}
	if ferr := j.Finish(s.Status); err == nil {
		err = ferr
	}
	return s, err
}

// groupOf interleaves records: rows 1 3 5 make one, rows 2 4 6 the next, and so on.
func groupOf(row int64) string {
	block, place := (row-1)/6, (row-1)%6
	return fmt.Sprintf("%d-%d", block, place%2)
}

func lastOf(key string, rows int64) int64 {
	var block, place int64
	_, _ = fmt.Sscanf(key, "%d-%d", &block, &place)
	last := block*6 + 5 + place
	for last > rows {
		last -= 2
	}
	return last
}

// files3 reads the three result files: rows by file.
func (w *world) results() map[int64][]record.Fate {
	w.t.Helper()
	rows := map[int64][]record.Fate{}
	add := func(row int64, f record.Fate) { rows[row] = append(rows[row], f) }
	if err := errors.Join(
		report.EachDelivered(w.dir, func(d report.Delivered) error {
			if d.Action != "created" || d.ID != "id-"+strconv.FormatInt(d.Row, 10) {
				w.t.Errorf("success.csv: %+v", d)
			}
			add(d.Row, record.Accepted)
			return nil
		}),
		report.EachRejected(w.dir, func(r report.Refused) error {
			if r.Rule == "" || r.Error == "" {
				w.t.Errorf("rejected.csv: %+v", r)
			}
			add(r.Row, record.Rejected)
			return nil
		}),
		report.EachUnsure(w.dir, func(r report.Refused) error { add(r.Row, record.Unsure); return nil }),
	); err != nil {
		w.t.Error(err)
	}
	return rows
}

// checkFiles holds the result files against the counts.
func (w *world) checkFiles(c pipeline.Counts) {
	w.t.Helper()
	if c.Read != c.Accepted+c.Rejected+c.Unsure+c.Unchanged+c.Skipped {
		w.t.Errorf("counts do not add up: %+v", c)
	}
	var got pipeline.Counts
	for row, fates := range w.results() {
		if len(fates) != 1 {
			w.t.Errorf("row %d stands in %v", row, fates)
		}
		got.Add(fates[0])
	}
	if got.Accepted != c.Accepted || got.Rejected != c.Rejected || got.Unsure != c.Unsure {
		w.t.Errorf("files hold %+v, counts say %+v", got, c)
	}
}

// checkEnd holds a finished run against what must have become of every row. Rows whose first answer was lost in the
// last pass may still be unsure, unless the run was resumed after its end: settled.
func (w *world) checkEnd(s report.Summary, settled bool) {
	w.t.Helper()
	w.checkFiles(s.Rows.Counts)
	if s.Rows.Read != w.rows {
		w.t.Errorf("%d rows counted of %d", s.Rows.Read, w.rows)
	}
	var listed int64
	for _, g := range s.Rejections {
		listed += g.Rows
	}
	if listed != s.Rows.Rejected {
		w.t.Errorf("rejections list %d rows of %d: %+v", listed, s.Rows.Rejected, s.Rejections)
	}
	results := w.results()
	for row := int64(1); row <= w.rows; row++ {
		n := w.vendor.applied[row]
		if n > 1 {
			w.t.Errorf("row %d (%d) reached the vendor %d times", row, w.kind(row), n)
		}
		want := w.want(row)
		var got record.Fate
		if len(results[row]) == 1 {
			got = results[row][0]
		}
		if kind := w.kind(row); !settled && got == record.Unsure && (kind == lost || kind == dropped) {
			continue
		}
		if (want == record.Skipped || want == record.Unchanged) && got != record.Pending || want < record.Unchanged && got != want {
			w.t.Errorf("row %d (%d) ended %v, want %v", row, w.kind(row), got, want)
		}
		if got == record.Accepted && n != 1 || got == record.Rejected && n != 0 {
			w.t.Errorf("row %d is %v and stands %d times at the vendor", row, got, n)
		}
	}
	if rand.IntN(10) == 0 {
		for row := range results {
			res, err := report.ReadResults(w.dir, row)
			if err != nil || len(res) != 1 || res[0].Cells[0] != cellOf(row) {
				w.t.Errorf("row %d reads back as %+v, %v", row, res, err)
			}
		}
	}
}
