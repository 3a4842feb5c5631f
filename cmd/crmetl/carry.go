package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/journal"
	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
	"github.com/crmetl/crmetl/transforms"
)

// carry opens the run's folder, sends what is to be sent, and ends the run. down is set if the vendor can't be reached
// now: the run is then begun and stopped at once, so that it can be resumed.
func (l *loading) carry(ctx context.Context, down error) (err error) {
	t := l.recipe.target
	unlock, err := journal.LockTarget(l.session.stateDir, t.vendor.Name, l.session.account(l.conn), t.object.Name, l.spec.Run)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if l.resume {
		l.journal, err = journal.Open(l.dir)
	} else {
		l.journal, err = journal.Create(l.dir, l.spec)
	}
	if err != nil {
		var held *journal.Held
		switch {
		case errors.As(err, &held):
			return err
		case errors.Is(err, journal.ErrExists):
			return hinted(exitUsage, err, "or name another folder with --run-dir")
		}
		return usage(err)
	}
	defer func() { err = errors.Join(err, l.journal.Close()) }()
	var sent atomic.Int64 // bytes read of the source, for the summary
	rec, err := report.NewRecorder(l.dir, l.recipe.origin, l.journal, report.Options{Began: l.began, Stats: func() report.Usage {
		s := l.conn.Stats()
		return report.Usage{Started: l.spec.Started, Requests: report.Requests{Sent: s.Sent, Retried: s.Retried, Throttled: s.Throttled}, Bytes: report.Bytes{Read: sent.Load(), Sent: s.BytesSent}}
	}})
	if err != nil {
		if !l.resume {
			l.forget()
		}
		return usage(err)
	}
	for _, w := range rec.Warnings() {
		l.warn("%s", w)
	}
	runErr := down
	if down == nil {
		runErr = l.send(ctx, rec, &sent)
	}
	var yes interface{ NeedsYes() string }
	if errors.As(runErr, &yes) {
		return l.refused(rec, yes.NeedsYes())
	}
	return l.end(ctx, rec, runErr)
}

// refused takes a run back that waits for the user's agreement: nothing was sent.
func (l *loading) refused(rec *report.Recorder, change string) error {
	fmt.Fprintln(l.stderr, strings.TrimRight(change, "\n"))
	err := errors.Join(rec.Close(), l.journal.Close())
	if !l.resume {
		for _, name := range []string{report.SuccessFile, report.RejectedFile, report.UnsureFile} {
			_ = os.Remove(filepath.Join(l.dir, name))
		}
		l.forget()
	}
	return errors.Join(err, hinted(exitUsage, errors.New("this changes much at once, and nothing was sent"), "if that is what you want, add --yes"))
}

// forget removes the journal of a run that came to nothing, and the folder if nothing else is in it.
func (l *loading) forget() {
	for _, name := range []string{journal.FileName, "lock"} {
		_ = os.Remove(filepath.Join(l.dir, name))
	}
	_ = os.Remove(l.dir)
}

// send runs the pipeline.
func (l *loading) send(ctx context.Context, rec *report.Recorder, read *atomic.Int64) error {
	load := l.recipe.load
	load.Unsure, load.Yes, load.ChangedOnly = schema.Policy(l.flags.unsure), l.flags.yes, l.flags.changedOnly
	load.Started = l.spec.Started
	load.Warn = func(s string) { l.warn("%s", s) }
	sink, err := l.conn.Sink(ctx, l.recipe.target.object.Name, load, l.journal)
	if err != nil {
		return l.session.connectError(err, l.recipe.target)
	}
	r, err := l.src.open()
	if err != nil {
		return errors.Join(err, sink.Close())
	}
	p, err := l.newProgress("sending", l.survey.total, rec.Counts().Read)
	if err != nil {
		return errors.Join(err, r.Close(), sink.Close())
	}
	defer p.end()
	limit, percent, err := parseMaxErrors(l.flags.maxErrors)
	if err != nil {
		return errors.Join(err, r.Close(), sink.Close())
	}
	before := rec.Counts().Rejected // a resumed run has as much to spare again
	if percent >= 0 {
		limit = int64(math.Floor(percent * float64(l.survey.total) / 100))
	}
	o := pipeline.Options{
		Writers: l.writers(), BatchSize: l.recipe.target.object.BatchFor(l.recipe.mode, l.recipe.load.Options), Key: l.orderKey(), Group: l.survey.grouping(l.recipe),
		Skip: l.flags.skip, Limit: l.flags.limit, History: l.journal,
	}
	// What is under way when the limit is passed still ends and is reported.
	halt, over := newHalt(l.stop), error(nil)
	defer halt.stop()
	o.Stop = halt.c
	if limit >= 0 {
		o.StopAt = limit + 1
	}
	if l.flags.batchSize > 0 {
		o.BatchSize = min(o.BatchSize, l.flags.batchSize)
	}
	var alike sameness
	o.Retire = func(b *record.Batch) error {
		if err := rec.Retire(b); err != nil {
			return err
		}
		c := rec.Counts()
		if alike.add(b); !l.resume && l.flags.maxErrors == "" && alike.stops() && over == nil {
			over = &stopError{reason: "max_errors", err: fmt.Errorf("the vendor refuses every row for the same reason (%d so far): %s; if it is the rows all the same, crmetl resume sends the others", alike.n, alike.text)}
			halt.stop()
		}
		p.show(c)
		read.Store(r.BytesRead())
		if limit >= 0 && c.Rejected-before > limit && over == nil {
			over = &stopError{reason: "max_errors", err: fmt.Errorf("more rows were rejected than --max-errors %s allows", l.flags.maxErrors)}
			halt.stop()
		}
		return nil
	}
	if l.flags.canary > 0 && !l.resume {
		sink = newCanary(sink, l.flags.canary, l.askCanary)
	}
	l.heap.allow(roomyToWrite)
	_, err = pipeline.Run(ctx, guarded(r, l.heap), l.recipe.steps, sink, o)
	read.Store(r.BytesRead())
	if over != nil && (err == nil || errors.Is(err, pipeline.ErrStopped)) {
		return over
	}
	if err == nil {
		err = l.unchanged()
	}
	return err
}

// sameness watches whether the vendor refuses every row for one reason: then it is the mapping, the account or the
// connection that is wrong, and not the rows.
type sameness struct {
	n     int // rows that were sent and refused
	text  string
	key   string
	mixed bool // a row was taken, or refused for another reason
}

// maxAlike is how many rows are refused before the run stops.
const maxAlike = 50

func (s *sameness) stops() bool { return !s.mixed && s.n >= maxAlike }

func (s *sameness) add(b *record.Batch) {
	for i := range b.Rows {
		row := &b.Rows[i]
		switch row.Fate {
		case record.Accepted, record.Unchanged, record.Unsure:
			s.mixed = true
		case record.Rejected:
			ps := record.ProblemsOf(row.Err)
			if len(ps) == 0 || ps[0].Rule != "vendor" {
				continue // refused before it was sent
			}
			key := ps[0].Field + "\x00" + wordsOf(ps[0].Message)
			if s.n == 0 {
				s.key, s.text = key, ps[0].String()
			}
			s.n++
			s.mixed = s.mixed || key != s.key
		}
	}
}

// wordsOf is what messages about different rows have in common: what is quoted, and digits, are the row's own.
func wordsOf(message string) string {
	var b strings.Builder
	quote := rune(0)
	for _, r := range message {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '`':
			quote = r
		case r < '0' || r > '9':
			b.WriteRune(r)
		}
	}
	return b.String()
}

// halt is a channel that closes when another one does, or earlier.
type halt struct {
	c    chan struct{}
	once sync.Once
}

func newHalt(with <-chan struct{}) *halt {
	h := &halt{c: make(chan struct{})}
	go func() {
		select {
		case <-with:
			h.stop()
		case <-h.c:
		}
	}()
	return h
}

func (h *halt) stop() { h.once.Do(func() { close(h.c) }) }

// unchanged makes sure that the file which was read is the file that was looked at.
func (l *loading) unchanged() error {
	info, err := os.Stat(l.src.path)
	if err == nil && info.Size() == l.spec.Source.Size && info.ModTime().UTC().Equal(l.spec.Source.Modified) {
		return nil
	}
	if err == nil {
		now, e := journal.SourceOf(l.src.path)
		if e == nil && now.Digest == l.spec.Source.Digest {
			return nil
		}
		err = e
	}
	if err == nil {
		err = errors.New("its content is not what it was at the start")
	}
	return &stopError{reason: "source", err: fmt.Errorf("%s changed while it was read: %w", l.src.name, err)}
}

// writers is how many calls are under way at once: enough for an answer that takes some seconds.
func (l *loading) writers() int {
	if l.flags.concurrency > 0 {
		return l.flags.concurrency
	}
	if n := l.recipe.target.vendor.Workers; n > 0 {
		return n
	}
	return 16
}

// orderKey names what a row is about, so that two rows about the same record keep their order.
func (l *loading) orderKey() func(*record.Row) string {
	r, h := l.recipe, l.recipe.program.Header()
	fields := r.target.object.OrderBy
	switch {
	case r.mode == schema.Upsert && r.load.Key != "":
		fields = []string{r.load.Key}
	case r.mode == schema.Upsert && len(r.target.object.KeyFields) > 0:
		for _, f := range r.target.object.KeyFields { // the first that is mapped is what upsert matches on
			if h.Index(f) >= 0 {
				fields = []string{f}
				break
			}
		}
	case len(fields) == 0 && r.mode != schema.Create:
		fields = []string{"id"}
	}
	var cells []int
	for _, f := range fields {
		if i := h.Index(f); i >= 0 {
			cells = append(cells, i)
		}
	}
	if len(cells) == 0 {
		return nil
	}
	return func(r *record.Row) string {
		for _, i := range cells {
			if i < len(r.Values) && !r.Values[i].IsEmpty() {
				return transforms.Lower(strings.TrimSpace(r.Values[i].Text()))
			}
		}
		return ""
	}
}

// stopError ends a run that can be resumed, for a reason of the contract's list.
type stopError struct {
	reason string
	err    error
}

func (e *stopError) Error() string      { return e.err.Error() }
func (e *stopError) Unwrap() error      { return e.err }
func (e *stopError) StopReason() string { return e.reason }

// sourceGuard marks the source's errors as its own.
type sourceGuard struct{ pipeline.Source }

// guarded returns a file's source as the engine is to see it.
func guarded(src pipeline.Source, heap *easing) pipeline.Source {
	return newCollecting(&sourceGuard{src}, heap)
}

func (g *sourceGuard) Next(ctx context.Context, c *pipeline.Chunk) error {
	return g.mark(g.Source.Next(ctx, c))
}

func (g *sourceGuard) Decode(c *pipeline.Chunk, b *record.Batch) error {
	return g.mark(g.Source.Decode(c, b))
}

func (g *sourceGuard) mark(err error) error {
	if err == nil || isEnd(err) {
		return err
	}
	return &stopError{reason: "source", err: err}
}

// canary lets so many rows through first, and the rest only when told.
type canary struct {
	pipeline.Sink
	left int64
	ask  func(pipeline.Counts) error

	mu      sync.Mutex
	landed  *sync.Cond // flying or phase changed
	flying  int        // writes of the first rows that are under way
	counts  pipeline.Counts
	phase   canaryPhase
	verdict error
}

type canaryPhase uint8

const (
	canaryFirst canaryPhase = iota
	canaryAsking
	canaryTold
)

func newCanary(s pipeline.Sink, n int64, ask func(pipeline.Counts) error) *canary {
	c := &canary{Sink: s, left: n, ask: ask}
	c.landed = sync.NewCond(&c.mu)
	return c
}

func (c *canary) Write(ctx context.Context, b *record.Batch) error {
	first, err := c.admit(b)
	if err != nil {
		return err
	}
	err = c.Sink.Write(ctx, b)
	if first {
		c.mu.Lock()
		for i := range b.Rows {
			c.counts.Add(b.Rows[i].Fate)
		}
		c.flying--
		c.landed.Broadcast()
		c.mu.Unlock()
	}
	return err
}

// admit counts a batch among the first ones, or waits for them to land and for the answer.
func (c *canary) admit(b *record.Batch) (first bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left > 0 {
		for i := range b.Rows {
			if b.Rows[i].Fate.Open() {
				c.left--
			}
		}
		c.flying++
		return true, nil
	}
	for c.phase == canaryFirst && c.flying > 0 || c.phase == canaryAsking {
		c.landed.Wait()
	}
	if c.phase == canaryFirst {
		c.phase = canaryAsking
		counts := c.counts
		c.mu.Unlock()
		verdict := c.ask(counts)
		c.mu.Lock()
		c.phase, c.verdict = canaryTold, verdict
		c.landed.Broadcast()
	}
	return false, c.verdict
}

// askCanary shows how the first rows ended and asks whether to go on.
func (l *loading) askCanary(c pipeline.Counts) error {
	fmt.Fprintf(l.stderr, "\ncanary: %s accepted, %s rejected, %s unsure\n", thousands(c.Accepted), thousands(c.Rejected), thousands(c.Unsure))
	if l.flags.yes {
		return nil
	}
	if l.src.name != "-" && isTerminal(l.stdin) {
		fmt.Fprint(l.stderr, "go on with the rest? [y/N] ")
		var answer string
		_, _ = fmt.Fscanln(l.stdin, &answer)
		if a := strings.ToLower(strings.TrimSpace(answer)); a == "y" || a == "yes" {
			return nil
		}
	}
	return &stopError{reason: "canary", err: errors.New("stopped after the canary; crmetl resume sends the rest")}
}

// end writes the summary, shows it, and turns it into the exit code.
func (l *loading) end(ctx context.Context, rec *report.Recorder, runErr error) error {
	closeErr := rec.Close()
	if runErr == nil {
		runErr = closeErr
	}
	sum := report.Summary{Run: l.spec.Run, Command: l.spec.Command, Source: l.src.name, Target: l.spec.Target, Mode: l.spec.Mode}
	rec.Fill(&sum)
	code, said := l.judge(ctx, &sum, runErr)
	if err := l.journal.Finish(sum.Status); err != nil && said == nil {
		code, said = exitStopped, err
		sum.Status, sum.StopReason = report.Stopped, "disk"
	}
	l.page(l.dir, &sum)
	if err := report.WriteSummary(l.dir, sum); err != nil {
		said = errors.Join(said, err)
		if code == exitOK || code == exitRejected {
			code = exitStopped
		}
	}
	if err := l.finish(sum, l.dir); err != nil {
		said = errors.Join(said, err)
	}
	if said != nil {
		return &exitError{code: code, err: said}
	}
	if code != exitOK {
		return &exitError{code: code}
	}
	return nil
}

// page writes the report for a person. The run does not depend on it.
func (a *app) page(dir string, sum *report.Summary) {
	if err := report.WriteHTML(dir, *sum); err != nil {
		a.warn("%v", err)
		return
	}
	if sum.Files == nil {
		sum.Files = map[string]string{}
	}
	sum.Files["report"] = filepath.Join(dir, report.HTMLFile)
}

// judge gives the summary its status and returns the exit code, and what is left to say.
func (l *loading) judge(ctx context.Context, sum *report.Summary, err error) (int, error) {
	if err == nil {
		sum.Status = report.Outcome(sum.Rows.Counts)
		return sum.ExitCode(), nil
	}
	var reason interface{ StopReason() string }
	var call *api.Error
	interrupted := errors.Is(err, pipeline.ErrStopped) || errors.Is(err, api.ErrStopped) || ctx.Err() != nil
	switch {
	case interrupted && l.signal() != nil:
		sum.Status = report.Interrupted
		return l.interruptCode(), nil
	case errors.As(err, &reason):
		sum.Status, sum.StopReason = report.Stopped, reason.StopReason()
	case errors.As(err, &call):
		sum.Status, sum.StopReason = report.Stopped, stopReason(call.Class)
		if call.Class == api.Setup {
			sum.Todo = "mend the connection's settings"
		}
	default:
		sum.Status = report.Failed
		var e *exitError
		if errors.As(err, &e) {
			return e.code, err
		}
		return exitFailed, err
	}
	return exitStopped, err
}

func stopReason(c api.Class) string {
	switch c {
	case api.Auth, api.Permission:
		return "auth"
	case api.Limited:
		return "quota"
	}
	return "unavailable"
}

// finish shows a run's end: for a program on standard output, for a person on standard error.
func (a *app) finish(sum report.Summary, dir string) error {
	if a.json {
		data, err := sum.JSON()
		if err != nil {
			return err
		}
		_, err = a.stdout.Write(data)
		return err
	}
	if a.quiet {
		return nil
	}
	return report.Print(a.stderr, sum, dir)
}
