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
	mu     sync.Mutex
	w      io.Writer
	bar    *progressbar.ProgressBar
	total  int64
	start  time.Time
	next   time.Time
	every  time.Duration
	what   string
	counts pipeline.Counts
	base   int64 // rows of earlier attempts
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
	p := &progress{w: a.stderr, total: total, what: what, start: time.Now(), every: plainEvery, base: done}
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
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true))
		if done > 0 {
			_ = p.bar.Set64(done)
		}
	}
	p.next = p.start.Add(p.every)
	return p, nil
}

// show tells where the run is now.
func (p *progress) show(c pipeline.Counts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts = c
	if p.w == nil {
		return
	}
	if p.bar != nil {
		if c.Rejected+c.Unsure > 0 {
			p.bar.Describe(fmt.Sprintf("%s, %s refused", p.what, thousands(c.Rejected+c.Unsure)))
		}
		_ = p.bar.Set64(c.Read)
		return
	}
	now := time.Now()
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
	if done := c.Read - p.base; done > 0 && p.total > c.Read {
		left := time.Duration(float64(now.Sub(p.start)) / float64(done) * float64(p.total-c.Read))
		line += ", about " + duration(left) + " left"
	}
	fmt.Fprintln(p.w, line)
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
