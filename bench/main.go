// Command bench measures crmetl as a whole, against whichever of its peers are installed, and prints a table:
//
//	go run ./bench                          a million rows, five times each
//	go run ./bench -rows 100000 -n 3 W1     one work, smaller
//
// Each contender is a process of its own. They run in turn, A B C A B C …, and the best run of each counts: on a machine
// that others use too, ratios within one such run say something and times do not. What ratios are taken against is
// encoding/csv, which reads the same file and does nothing with it.
//
// The stages of the way are Go benchmarks: go test -bench . ./bench
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := bench(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

// contender is one program at one work.
type contender struct {
	name string
	args []string
	env  []string // besides this process's own
	code int      // the exit code of a good end, where it is not 0
}

// result is the best of a contender's runs.
type result struct {
	wall, cpu time.Duration
	peak      int64 // MiB, of the worst run
	err       error
}

// setting is what all works need.
type setting struct {
	self, crmetl string
	dir          string
	rows, runs   int
}

func bench(ctx context.Context, args []string) error {
	if len(args) > 1 && strings.HasPrefix(args[0], "do-") {
		return inner(args[0], args[1])
	}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	rows := fs.Int("rows", 1_000_000, "rows of W1 and W2; W3 and W4 have a tenth")
	runs := fs.Int("n", 5, "runs of each contender")
	dir := fs.String("dir", filepath.Join(os.TempDir(), "crmetl-bench"), "folder for data and results")
	program := fs.String("crmetl", "", "the program to measure (default: built from this checkout)")
	if err := fs.Parse(args); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s := &setting{self: self, crmetl: *program, dir: *dir, rows: *rows, runs: *runs}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	if s.crmetl == "" {
		s.crmetl = filepath.Join(s.dir, "crmetl")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", s.crmetl, "github.com/crmetl/crmetl/cmd/crmetl").CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w: %s", err, out)
		}
	}
	fmt.Printf("%s, %s/%s, %d processors, %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly))
	for _, w := range works {
		if fs.NArg() > 0 && !slices.Contains(fs.Args(), w.name) {
			continue
		}
		if err := s.measure(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

// measure runs one work's contenders in turn and prints the table.
func (s *setting) measure(ctx context.Context, w workload) error {
	rows := s.rows / w.part
	list, done, err := w.prepare(ctx, s, rows)
	if err != nil {
		return err
	}
	defer done()
	best := make([]result, len(list))
	for range s.runs {
		for i, c := range list {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if best[i].err == nil {
				best[i].add(s.run(ctx, c))
			}
		}
	}
	fmt.Printf("\n%s: %s, %d rows, best of %d\n", w.name, w.title, rows, s.runs)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\trows/s\tratio\tseconds\tprocessor seconds\tMB\t")
	for i, c := range list {
		if r := best[i]; r.err != nil {
			fmt.Fprintf(t, "%s\t%v\t\t\t\t\t\n", c.name, r.err)
		} else {
			fmt.Fprintf(t, "%s\t%.0f\t%.3f\t%.2f\t%.2f\t%d\t\n", c.name, float64(rows)/r.wall.Seconds(), best[0].wall.Seconds()/r.wall.Seconds(), r.wall.Seconds(), r.cpu.Seconds(), r.peak)
		}
	}
	return t.Flush()
}

func (r *result) add(x result) {
	if r.wall == 0 || x.wall < r.wall {
		r.wall = x.wall
	}
	if r.cpu == 0 || x.cpu < r.cpu {
		r.cpu = x.cpu
	}
	r.peak, r.err = max(r.peak, x.peak), x.err
}

func (s *setting) run(ctx context.Context, c contender) result {
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Dir = s.dir
	var said strings.Builder
	cmd.Stderr = &said
	began := time.Now()
	err := cmd.Run()
	r := result{wall: time.Since(began)}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == c.code {
		err = nil
	}
	if err != nil {
		text, _, _ := strings.Cut(said.String(), "\n")
		r.err = fmt.Errorf("%w: %.60s", err, text)
		return r
	}
	r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	r.peak = peak(cmd.ProcessState)
	return r
}
