// Package report keeps the account of a run: the three result files with every row that a vendor took, refused or may
// have taken, the counts that add up to the rows read, the summary for programs and the one for people, and the list of
// runs.
//
// Result files and counts survive the death of the process at any moment. The journal's checkpoints decide what counts:
// the files are made durable before each, and whatever they hold beyond the last one is dropped and reported again.
package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// The files of a run folder.
const (
	SuccessFile  = "success.csv"
	RejectedFile = "rejected.csv"
	UnsureFile   = "unsure.csv"
	SummaryFile  = "summary.json"
)

// Log remembers what has been reported. The journal is one.
type Log interface {
	// Retired returns what earlier passes reported: rows with a final fate, rows that ended unsure, the counts of
	// both, and the note of the last checkpoint; nil if there has been none.
	Retired() (final, unsure *roaring64.Bitmap, counts pipeline.Counts, note []byte)
	// Checkpoint says what has been reported since the last one. When it returns, that is durable.
	Checkpoint(final, unsure *roaring64.Bitmap, counts pipeline.Counts, note []byte) error
}

// Options say how a Recorder works. The zero value is right, but for Stats.
type Options struct {
	// Stats returns what this pass has used so far. Time is added by the Recorder.
	Stats func() Usage
	// Began is when this pass began its work; zero means now.
	Began time.Time

	Write func(f *os.File, p []byte) (int, error) // nil: (*os.File).Write; for tests of full disks
	Sync  func(f *os.File) error                  // nil: (*os.File).Sync
	Now   func() time.Time                        // nil: time.Now
}

// Usage is what a run has used, over all its passes.
type Usage struct {
	Started  time.Time `json:"started_at"`
	Seconds  float64   `json:"seconds"`
	Requests Requests  `json:"requests"`
	Bytes    Bytes     `json:"bytes"`
}

// Recorder takes the rows whose journey is over. Retire, Checkpoint and Close are called from one goroutine; the other
// methods from any.
type Recorder struct {
	dir   string
	log   Log
	o     Options
	past  Usage
	began time.Time

	success, rejected, unsure *table

	mu       sync.Mutex
	counts   pipeline.Counts
	groups   map[Rejection]int64 // Rejection.Rows is 0 in a key
	warnings []string
	err      error

	// What has come since the last checkpoint, and what to go back to if the next one cannot be made.
	final, doubt *roaring64.Bitmap
	run          struct{ first, next uint64 } // rows one after the other that are still to go into final
	recent       map[Rejection]int64
	rows         int
	last         time.Time
	kept         pipeline.Counts
	pending      *checkpoint // one that is being made durable, nil if there is none

	open    *roaring64.Bitmap // all rows that count as unsure
	retried bool              // rows have come that stood in unsure.csv before
}

// A checkpoint is made when so much time has passed, or when so many rows have come and at least some time has passed:
// each costs up to four syncs, and at full speed a processor stands still for most of one: two a second cost W2 of the
// benchmarks 6% less than five.
const (
	checkpointEvery = time.Second
	checkpointRows  = 5000
	checkpointLeast = 500 * time.Millisecond
)

// maxGroups bounds how many kinds of rejection are told apart.
const maxGroups = 1000

// NewRecorder begins or takes up the account of the run in dir. origin names the columns of the input. With a nil log
// there is nothing to resume.
//
// The rows that ended unsure in an earlier pass still stand in unsure.csv and in the counts, until they are retired
// again: those that no pass reaches stay there.
func NewRecorder(dir string, origin *record.Header, log Log, o Options) (*Recorder, error) {
	if o.Write == nil {
		o.Write = (*os.File).Write
	}
	if o.Sync == nil {
		o.Sync = (*os.File).Sync
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Stats == nil {
		o.Stats = func() Usage { return Usage{} }
	}
	now := o.Now()
	if o.Began.IsZero() {
		o.Began = now
	}
	r := &Recorder{
		dir: dir, log: log, o: o, began: o.Began, last: now,
		success:  &table{path: filepath.Join(dir, SuccessFile), lines: AcceptedLines(origin), o: o},
		rejected: &table{path: filepath.Join(dir, RejectedFile), lines: RefusedLines(origin), o: o},
		unsure:   &table{path: filepath.Join(dir, UnsureFile), lines: RefusedLines(origin), o: o},
		groups:   map[Rejection]int64{}, recent: map[Rejection]int64{},
		final: roaring64.New(), doubt: roaring64.New(), open: roaring64.New(),
	}
	if err := r.begin(); err != nil {
		r.closeFiles()
		return nil, err
	}
	return r, nil
}

// begin makes the files, or takes up those of an earlier pass.
func (r *Recorder) begin() error {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return &Error{r.dir, err}
	}
	var final, unsure *roaring64.Bitmap
	var note []byte
	if r.log != nil {
		final, unsure, r.counts, note = r.log.Retired()
	}
	if note == nil {
		r.past.Started = r.began.UTC()
		for _, t := range r.tables() {
			if err := t.create(); err != nil {
				return err
			}
		}
	} else {
		if err := json.Unmarshal(note, &r.past); err != nil {
			return fmt.Errorf("%s: the journal's last checkpoint cannot be read: %w", r.dir, err)
		}
		r.open = unsure.Clone()
		if err := r.takeUp(final); err != nil {
			return err
		}
		// An earlier pass's summary is not this one's.
		if err := os.Remove(filepath.Join(r.dir, SummaryFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return &Error{r.dir, err}
		}
	}
	r.kept = r.counts
	syncDir(r.dir, r.o)
	// From here on the files are known to be this run's.
	return r.Checkpoint()
}

// takeUp brings the files of an earlier pass to where the journal's last checkpoint was.
func (r *Recorder) takeUp(final *roaring64.Bitmap) error {
	isFinal := func(row int64) bool { return final.Contains(uint64(row)) }
	isOpen := func(row int64) bool { return r.open.Contains(uint64(row)) }
	var accepted, rejected int64
	if err := r.success.recover(isFinal, func(*line) { accepted++ }); err != nil {
		return err
	}
	n := len(r.rejected.lines.keep)
	if err := r.rejected.recover(isFinal, func(l *line) {
		rejected++
		r.count(r.groups, Rejection{Rule: bare(l.cells[n+2]), Field: bare(l.cells[n+1])}, 1)
	}); err != nil {
		return err
	}
	seen := roaring64.New()
	if err := r.unsure.recover(isOpen, func(l *line) { seen.Add(uint64(l.num(r.unsure.lines))) }); err != nil {
		return err
	}
	for _, c := range []struct {
		name        string
		found, want int64
	}{
		{SuccessFile, accepted, r.counts.Accepted},
		{RejectedFile, rejected, r.counts.Rejected},
		{UnsureFile, int64(seen.GetCardinality()), r.counts.Unsure},
	} {
		if c.found != c.want {
			r.warnings = append(r.warnings, fmt.Sprintf("%s has %d rows where the journal counts %d: it was changed since; the counts go by the journal", filepath.Join(r.dir, c.name), c.found, c.want))
		}
	}
	return nil
}

func (r *Recorder) tables() []*table { return []*table{r.success, r.rejected, r.unsure} }

// Retire reports and counts the rows of a batch that have met their fate. Rows that have not are left for the next
// pass. After an error nothing more is counted, and the account goes back to the last checkpoint.
func (r *Recorder) Retire(b *record.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	for i := range b.Rows {
		row := &b.Rows[i]
		if row.Fate.Open() {
			continue
		}
		if err := r.retire(row); err != nil {
			return r.fail(err)
		}
	}
	r.rows += len(b.Rows)
	if err := r.settle(false); err != nil {
		return err
	}
	passed := r.o.Now().Sub(r.last)
	if r.pending == nil && (passed >= checkpointEvery || r.rows >= checkpointRows && passed >= checkpointLeast) {
		return r.start()
	}
	return nil
}

func (r *Recorder) retire(row *record.Row) error {
	num := uint64(row.Num)
	again := !r.open.IsEmpty() && r.open.Contains(num)
	if again {
		r.retried = true
		r.counts.Unsure--
		r.counts.Read--
	}
	r.counts.Add(row.Fate)
	if row.Fate == record.Unsure {
		r.open.Add(num)
		r.doubt.Add(num)
	} else {
		if num != r.run.next {
			r.endRun()
			r.run.first = num
		}
		r.run.next = num + 1
		if again {
			r.open.Remove(num)
		}
	}
	switch row.Fate {
	case record.Accepted:
		return r.success.append(row)
	case record.Rejected:
		key := Rejection{}
		if ps := record.ProblemsOf(row.Err); len(ps) > 0 {
			key.Rule, key.Field = ps[0].Rule, fieldOf(ps[0])
		}
		r.count(r.recent, key, 1)
		return r.rejected.append(row)
	case record.Unsure:
		return r.unsure.append(row)
	}
	return nil
}

// count adds to a kind of rejection; kinds beyond the bound are counted together.
func (r *Recorder) count(in map[Rejection]int64, key Rejection, n int64) {
	if _, ok := in[key]; !ok && len(in) >= maxGroups {
		key = Rejection{Rule: otherRules}
	}
	in[key] += n
}

// Checkpoint makes everything that was retired durable, now.
func (r *Recorder) Checkpoint() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	return r.checkpoint()
}

// checkpoint makes what was retired durable and returns when it is.
func (r *Recorder) checkpoint() error {
	if err := r.settle(true); err != nil {
		return err
	}
	if err := r.start(); err != nil {
		return err
	}
	return r.settle(true)
}

// fail ends the account at the last checkpoint, so that counts and files agree with each other and with the journal.
func (r *Recorder) fail(err error) error {
	if r.pending != nil {
		_ = r.settle(true) // its own error is told by what it leaves behind
	}
	if r.err != nil {
		return r.err
	}
	r.err = err
	r.counts = r.kept
	clear(r.recent)
	for _, t := range r.tables() {
		_ = t.cut(t.safe) // a full disk still lets a file be cut; if not, resuming does it
	}
	return err
}

// Counts returns the counts of the whole run so far. They always add up.
func (r *Recorder) Counts() pipeline.Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// Rejections returns the rejected rows of the whole run by rule and field, the most frequent ones first. Kinds beyond
// a bound stand together at the end.
func (r *Recorder) Rejections() []Rejection {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[Rejection]int64, len(r.groups)+len(r.recent))
	waiting := map[Rejection]int64(nil)
	if r.pending != nil {
		waiting = r.pending.recent
	}
	for _, m := range []map[Rejection]int64{r.groups, waiting, r.recent} {
		for k, n := range m {
			r.count(all, k, n)
		}
	}
	list := make([]Rejection, 0, len(all))
	for k, n := range all {
		k.Rows = n
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b Rejection) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Rule, b.Rule))
	})
	if len(list) <= maxListed {
		return list
	}
	rest := Rejection{Rule: otherRules}
	kept := list[:0]
	for _, g := range list {
		if len(kept) < maxListed-1 && g.Rule != otherRules {
			kept = append(kept, g)
			continue
		}
		rest.Rows += g.Rows
	}
	return append(kept, rest)
}

// Warnings tells what was strange when the run was taken up.
func (r *Recorder) Warnings() []string { return slices.Clone(r.warnings) }

// Usage returns what the run has used over all its passes.
func (r *Recorder) Usage() Usage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.usage()
}

func (r *Recorder) usage() Usage {
	u, now := r.past, r.o.Stats()
	u.Seconds += max(0, r.o.Now().Sub(r.began).Seconds())
	u.Requests.Sent += now.Requests.Sent
	u.Requests.Retried += now.Requests.Retried
	u.Requests.Throttled += now.Requests.Throttled
	u.Bytes.Read += now.Bytes.Read
	u.Bytes.Sent += now.Bytes.Sent
	return u
}

// Fill writes the account into a summary: rows, rejections, files, and what the run has used.
func (r *Recorder) Fill(s *Summary) {
	u := r.Usage()
	s.Rows = Rows{Counts: r.Counts()}
	s.Rejections = r.Rejections()
	s.Requests, s.Bytes = u.Requests, u.Bytes
	s.StartedAt, s.EndedAt, s.Seconds = u.Started, r.o.Now().UTC(), u.Seconds
	if s.Files == nil {
		s.Files = map[string]string{}
	}
	s.Files["success"], s.Files["rejected"], s.Files["unsure"] = r.success.path, r.rejected.path, r.unsure.path
}

// Close makes a last checkpoint, brings unsure.csv into order and closes the files. After an earlier error it returns
// that error.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.closeFiles()
	if err := r.settle(true); err != nil {
		return err
	}
	if err := r.checkpoint(); err != nil {
		return err
	}
	if r.retried {
		if err := r.unsure.compact(func(row int64) bool { return r.open.Contains(uint64(row)) }); err != nil {
			r.err = err
			return err
		}
	}
	r.err = errors.New("the report is closed")
	return nil
}

func (r *Recorder) closeFiles() {
	for _, t := range r.tables() {
		if t.f != nil {
			_ = t.f.Close()
			t.f = nil
		}
	}
}
