package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"

	"github.com/crmetl/crmetl/pipeline"
)

// progress shows how far a run has come: a bar on a terminal, a line now and then elsewhere.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	bar   *progressbar.ProgressBar
	total int64
	next  time.Time
	every time.Duration
	what  string
	eta   *estimate
	now   func() time.Time
}

// plainEvery is how often a line is printed where there is no terminal.
const plainEvery = 10 * time.Second

// newProgress starts showing progress over total rows; 0 means that the number is not known.
func (a *app) newProgress(what string, total, done int64) (*progress, error) {
	mode := a.progress
	switch mode {
	case "auto":
		mode = "plain"
		if f, ok := a.stderr.(*os.File); ok && isatty.IsTerminal(f.Fd()) && a.getenv("CI") == "" && a.getenv("TERM") != "dumb" {
			mode = "bar"
		}
		if a.quiet {
			mode = "none"
		}
	case "bar", "plain", "none":
	default:
		return nil, usagef("--progress %q: it is auto, bar, plain or none", a.progress)
	}
	p := &progress{w: a.stderr, total: total, what: what, every: plainEvery, now: time.Now}
	switch mode {
	case "none":
		p.w = nil
	case "bar":
		size := total
		if size <= 0 {
			size = -1
		}
		p.bar = progressbar.NewOptions64(size, progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(24),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(false))
		if done > 0 {
			_ = p.bar.Set64(done)
		}
	}
	start := p.now()
	p.eta = newEstimate(start, done)
	p.next = start.Add(p.every)
	return p, nil
}

// show tells where the run is now.
func (p *progress) show(c pipeline.Counts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w == nil {
		return
	}
	now := p.now()
	p.eta.add(now, c.Read)
	if p.bar != nil {
		p.bar.Describe(p.label(c, now))
		_ = p.bar.Set64(c.Read)
		return
	}
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(p.every)
	line := fmt.Sprintf("%s: %s", p.what, thousands(c.Read))
	if p.total > 0 {
		line += " of " + thousands(p.total)
	}
	line += " rows"
	if c.Rejected > 0 {
		line += ", " + thousands(c.Rejected) + " rejected"
	}
	if c.Unsure > 0 {
		line += ", " + thousands(c.Unsure) + " unsure"
	}
	if left, ok := p.eta.left(now, p.total); ok {
		line += ", about " + duration(left) + " left"
	}
	fmt.Fprintln(p.w, line)
}

// label is what stands before the bar.
func (p *progress) label(c pipeline.Counts, now time.Time) string {
	s := p.what
	if n := c.Rejected + c.Unsure; n > 0 {
		s += ", " + thousands(n) + " refused"
	}
	if left, ok := p.eta.left(now, p.total); ok {
		s += ", about " + duration(left) + " left"
	}
	return s
}

// end takes the bar away, so that the summary stands alone.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
	p.w = nil
}
