package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// contender is one program at one work.
type contender struct {
	name   string
	args   []string
	env    []string // besides this process's own
	stdout string   // the file that takes what it prints; "" throws it away
	fresh  []string // files and folders that must not be there when it begins: to remove them is no part of the work
	code   int      // the exit code of a good end, where it is not 0
	rows   int      // how many it works on, where that is not the work's number
	// check looks at what it wrote; nil if there is nothing to look at.
	check func(ctx context.Context) error
}

// job is a work that is ready to be done.
type job struct {
	list  []contender // the first is what the others are held against
	goals []goal
	done  func() // ends what was begun for the contenders; nil if there is nothing
}

// result is one run.
type result struct {
	wall, cpu time.Duration
	peak      int64 // MiB
	err       error
}

// figures are a contender's runs.
type figures struct {
	name string
	rows int
	runs []result
	err  error // why it was not measured
}

func (f *figures) add(r result) {
	if r.err != nil {
		f.err = r.err
		return
	}
	f.runs = append(f.runs, r)
}

// median and best are those of the time by the clock.
func (f *figures) median() time.Duration {
	all := f.walls()
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

func (f *figures) best() time.Duration { return f.walls()[0] }

func (f *figures) walls() []time.Duration {
	var all []time.Duration
	for _, r := range f.runs {
		all = append(all, r.wall)
	}
	slices.Sort(all)
	return all
}

// cpu is the least processor time of any run, user's and system's.
func (f *figures) cpu() time.Duration {
	return slices.MinFunc(f.runs, func(a, b result) int { return int(a.cpu - b.cpu) }).cpu
}

// peak is the most memory of any run.
func (f *figures) peak() int64 {
	return slices.MaxFunc(f.runs, func(a, b result) int { return int(a.peak - b.peak) }).peak
}

// speed is in rows a second, by the median.
func (f *figures) speed() float64 { return float64(f.rows) / f.median().Seconds() }

// thrift is the same by processor seconds.
func (f *figures) thrift() float64 { return float64(f.rows) / f.cpu().Seconds() }

// compare runs one work's contenders in turn and prints the table.
func (s *setting) compare(ctx context.Context, w workload) error {
	rows := int(float64(s.rows) * w.part)
	j, err := w.prepare(ctx, s, rows)
	if err != nil {
		return err
	}
	if j.done != nil {
		defer j.done()
	}
	list := slices.Concat(j.list[:1], slices.DeleteFunc(j.list[1:], s.skipped))
	if s.profiles != "" {
		list = slices.DeleteFunc(list, func(c contender) bool { return c.args[0] != s.crmetl })
	}
	all := make([]figures, len(list))
	for i, c := range list {
		all[i] = figures{name: c.name, rows: c.rows}
		if c.rows == 0 {
			all[i].rows = rows
		}
		if c.check == nil {
			continue
		}
		if all[i].err = s.run(ctx, c).err; all[i].err == nil {
			if err := c.check(ctx); err != nil {
				all[i].err = fmt.Errorf("its output differs: %w", err)
			}
		}
	}
	for range s.runs {
		for i, c := range list {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if all[i].err == nil {
				all[i].add(s.run(ctx, c))
			}
		}
	}
	if all[0].err != nil {
		return fmt.Errorf("%s: %w", all[0].name, all[0].err)
	}
	fmt.Printf("\n### %s: %s\n\n%s rows, runs of each in turn: %d%s.\n\n", w.name, w.title, thousands(rows), s.runs, load())
	printTable(os.Stdout, all)
	for _, g := range j.goals {
		fmt.Printf("- goal: %s\n", g(all))
	}
	return nil
}

func (s *setting) skipped(c contender) bool {
	name := strings.ToLower(c.name)
	return slices.ContainsFunc(s.skip, func(word string) bool { return strings.Contains(name, word) })
}

// run runs a contender once.
func (s *setting) run(ctx context.Context, c contender) (r result) {
	args := c.args[1:]
	if s.profiles != "" && c.args[0] == s.crmetl {
		f, err := os.CreateTemp(s.profiles, "*.prof")
		if err != nil {
			return result{err: err}
		}
		_ = f.Close()
		args = append(slices.Clone(args), "--cpuprofile", f.Name())
	}
	cmd := exec.CommandContext(ctx, c.args[0], args...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Dir = s.dir
	var said strings.Builder
	cmd.Stderr = &said
	for _, path := range c.fresh {
		if err := os.RemoveAll(path); err != nil {
			return result{err: err}
		}
	}
	if c.stdout != "" {
		out, err := os.Create(c.stdout)
		if err != nil {
			return result{err: err}
		}
		defer func() { r.err = errors.Join(r.err, out.Close()) }()
		cmd.Stdout = out
	}
	// What an earlier contender has left to be written to the disk is not to be waited for by this one, nor to be written
	// beside it. Where there is no such program, it is.
	_ = exec.CommandContext(ctx, "sync").Run()
	began := time.Now()
	err := cmd.Run()
	r.wall = time.Since(began)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == c.code {
		err = nil
	}
	if err != nil {
		return result{err: fmt.Errorf("%w: %s", err, firstError(said.String()))}
	}
	r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	r.peak = peak(cmd.ProcessState)
	return r
}

// firstError finds the line of what a program said that tells most: the first with "error:", or the first.
func firstError(said string) string {
	first, _, _ := strings.Cut(said, "\n")
	for line := range strings.Lines(said) {
		if strings.Contains(strings.ToLower(line), "error:") {
			first = strings.TrimSpace(line)
			break
		}
	}
	if len(first) > 120 {
		first = strings.ToValidUTF8(first[:120], "") + "…"
	}
	return first
}

// start starts a program that serves, and reads what it prints until said has seen enough. The memory and the time that it
// takes are nobody's: contenders are processes of their own. stop ends it.
func (s *setting) start(ctx context.Context, said func(line string) (enough bool), args ...string) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = s.dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = cmd.Stdout
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	drained := make(chan struct{})
	stop = func() {
		cancel()
		<-drained
		_ = cmd.Wait()
	}
	r := bufio.NewReader(out)
	last := ""
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			close(drained)
			stop()
			return nil, fmt.Errorf("%s did not start: %w: %s", args[0], err, last)
		}
		if last = strings.TrimSpace(line); said(last) {
			break
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, r)
		close(drained)
	}()
	return stop, nil
}
