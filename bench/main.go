// Command bench measures crmetl as a whole, against whichever of its peers are installed, and prints tables in Markdown:
//
//	go run ./bench                          W1 to W6, a million rows, five runs each
//	go run ./bench -rows 100000 -n 3 W1     one work, smaller
//	go run ./bench -peers ~/peers           with the packages of Node's in ~/peers/node_modules
//	go run ./bench -w5 10m W5               ten minutes at the vendor's limit
//	go run ./bench -profiles /tmp/p W1 W2   crmetl alone, with a processor profile of each run
//
// Each contender is a process of its own. What it writes is looked at once, before it is measured: one that does not do
// the work is named and left out. Then they run in turn, A B C A B C …: on a machine that others use too, ratios within
// one such run say something and times do not. Ratios are those of the medians, against the first contender.
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
	"slices"
	"strings"
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

// setting is what all works need.
type setting struct {
	self, crmetl string
	dir          string // of data and results
	rows, runs   int
	skip         []string // contenders whose names have one of these are left out
	profiles     string   // a folder for a processor profile of each of crmetl's runs, the only ones then; "" for none
	tools        *tools

	limit time.Duration // how long W5 takes
	rate  int           // requests a second that the vendor of W5 allows
}

// workload is one of the works that issue and documentation speak of: contenders side by side, or something of its own.
type workload struct {
	name, title string
	part        float64 // of the rows
	prepare     func(ctx context.Context, s *setting, rows int) (job, error)
	alone       func(ctx context.Context, s *setting) error
}

var works = []workload{
	{name: "W1", title: "CSV to twelve mapped and checked fields, as JSON Lines", part: 1, prepare: prepareW1},
	{name: "W1sizes", title: "W1, what a row costs in files of all sizes", part: 1, prepare: prepareSizes},
	{name: "W2", title: "the same rows as events, in signed calls of 1000 to a server on this machine, with journal and report", part: 1, prepare: prepareW2},
	{name: "W3", title: "XLSX to CSV", part: 0.1, prepare: prepareW3},
	{name: "W3shared", title: "XLSX with shared strings to CSV", part: 0.1, prepare: prepareShared},
	{name: "W4", title: "CSV to XLSX", part: 0.1, prepare: prepareW4},
	{name: "W5", title: "import at the limit of a vendor who answers after 20 to 800 ms", alone: measureW5},
	{name: "W6", title: "a vendor's list, one JSON array, to CSV and XLSX", part: 0.2, prepare: prepareW6},
}

func bench(ctx context.Context, args []string) error {
	if len(args) > 1 && strings.HasPrefix(args[0], "do-") {
		return inner(args[0], args[1:]...)
	}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	rows := fs.Int("rows", 1_000_000, "rows of W1 and W2; W3 and W4 have a tenth, W6 a fifth")
	runs := fs.Int("n", 5, "runs of each contender")
	dir := fs.String("dir", filepath.Join(os.TempDir(), "crmetl-bench"), "folder for data and results")
	program := fs.String("crmetl", "", "the program to measure (default: built from this checkout)")
	peers := fs.String("peers", os.Getenv("PEERS"), "folder whose node_modules has the peers that are packages of Node's (default $PEERS)")
	skip := fs.String("skip", "", "leave out the contenders whose names have one of these words, separated by commas")
	profiles := fs.String("profiles", "", "run crmetl alone, and leave a processor profile of each run in this folder")
	limit := fs.Duration("w5", time.Minute, "how long W5 takes")
	rate := fs.Int("w5rate", 3, "requests a second that the vendor of W5 allows")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	chosen, err := choose(fs.Args())
	if err != nil {
		return err
	}
	if *rows < 100 || *runs < 1 || *rate < 1 || *limit < 10*time.Second {
		return fmt.Errorf("want -rows from 100, -n and -w5rate from 1, -w5 from 10s")
	}
	s := &setting{crmetl: *program, rows: *rows, runs: *runs, limit: *limit, rate: *rate}
	if s.self, err = os.Executable(); err != nil {
		return err
	}
	if s.dir, err = filepath.Abs(*dir); err != nil {
		return err
	}
	if *skip != "" {
		s.skip = strings.Split(strings.ToLower(*skip), ",")
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	if *profiles != "" {
		if s.profiles, err = filepath.Abs(*profiles); err != nil {
			return err
		}
		if err := os.MkdirAll(s.profiles, 0o755); err != nil {
			return err
		}
	}
	if s.crmetl == "" {
		s.crmetl = s.path("crmetl")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", s.crmetl, "github.com/crmetl/crmetl/cmd/crmetl").CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w: %s", err, out)
		}
	}
	if s.tools, err = findTools(ctx, s.path("peers"), *peers); err != nil {
		return err
	}
	commit := printed(ctx, "git", "describe", "--always", "--dirty")
	if commit == "" || *program != "" {
		commit = s.crmetl
	}
	fmt.Printf("%s; crmetl: %s; %s.\n\n%s\n", time.Now().UTC().Format(time.DateOnly), commit, machine(ctx), s.tools)
	for _, w := range chosen {
		measure := w.alone
		if measure == nil {
			measure = func(ctx context.Context, s *setting) error { return s.compare(ctx, w) }
		}
		if err := measure(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

// choose returns the works of these names, or all.
func choose(names []string) ([]workload, error) {
	for _, n := range names {
		if !slices.ContainsFunc(works, func(w workload) bool { return w.name == n }) {
			var all []string
			for _, w := range works {
				all = append(all, w.name)
			}
			return nil, fmt.Errorf("there is no work %s; there are %s", n, strings.Join(all, ", "))
		}
	}
	if len(names) == 0 {
		return works, nil
	}
	return slices.DeleteFunc(slices.Clone(works), func(w workload) bool { return !slices.Contains(names, w.name) }), nil
}

func (s *setting) path(name string) string { return filepath.Join(s.dir, name) }

// write writes a small file.
func (s *setting) write(name, text string) (string, error) {
	path := s.path(name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// leads makes the file of leads.
func (s *setting) leads(rows int) (string, error) {
	path := s.path(fmt.Sprintf("leads-%d.csv", rows))
	return path, makeFile(path, func(f *os.File) error { return writeCSV(f, rows, 42) })
}
