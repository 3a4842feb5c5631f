package main

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ran makes figures of runs that took so many milliseconds, with half of that on the processor.
func ran(name string, rows int, peak int64, ms ...int) figures {
	f := figures{name: name, rows: rows}
	for _, n := range ms {
		d := time.Duration(n) * time.Millisecond
		f.add(result{wall: d, cpu: d / 2, peak: peak})
		peak-- // the worst counts
	}
	return f
}

func TestTable(t *testing.T) {
	broken := figures{name: "broken", err: errors.New("exit status 1")}
	all := []figures{ran("first", 1000, 20, 500, 400, 900), ran("ours", 1000, 63, 250, 200), broken}
	var b strings.Builder
	printTable(&b, all)
	rows := slices.DeleteFunc(strings.Split(b.String(), "\n"), func(l string) bool {
		return !strings.HasPrefix(l, "| f") && !strings.HasPrefix(l, "| o") && !strings.HasPrefix(l, "-")
	})
	if diff := cmp.Diff([]string{
		"| first | 2,000 | 1.00 | 0.50 | 0.40 | 0.20 | 1.00 | 20 |",
		"| ours | 4,444 | 2.22 | 0.23 | 0.20 | 0.10 | 2.00 | 63 |",
		"- not measured: broken: exit status 1",
	}, rows); diff != "" {
		t.Error(diff)
	}
}

func TestGoals(t *testing.T) {
	all := []figures{ran("first", 1000, 20, 400), ran("ours", 1000, 63, 200), ran("theirs", 1000, 64, 600), {name: "broken", err: errors.New("no")},
		ran("one", 1, 1, 20), ran("small", 101, 1, 40), ran("large", 10001, 1, 2140)}
	for _, c := range []struct {
		goal goal
		want string
	}{
		{faster("ours", 3, "theirs", 0), "ours, 3 × theirs: 3.00, met; by processor seconds 3.00"},
		{faster("ours", 3.5, "theirs", 9), "ours, 3.5 × theirs: 3.00, not met; by processor seconds 3.00"},
		{faster("ours", 3, "broken", 1.13), "ours, 3 × broken, which was not measured and stood at 1.13 × first: 2.00, met; by processor seconds 2.00"},
		{faster("ours", 3, "broken", 0), "ours, 3 × broken: not measured"},
		{faster("broken", 3, "theirs", 0), "broken, 3 × theirs: not measured"},
		{below("ours", 64), "ours, under 64 MB: 63, met"},
		{below("theirs", 64), "theirs, under 64 MB: 64, not met"},
		{below("nobody", 64), "nobody, under 64 MB: not measured"},
		{growth("one", "small", "large", 5), `a row's processor time grows by less than 5% from "small" to "large": 100000 and 106000 ns, +6.0%, not met`},
		{growth("one", "large", "small", 5), `a row's processor time grows by less than 5% from "large" to "small": 106000 and 100000 ns, -5.7%, met`},
		{growth("one", "small", "broken", 5), `a row's processor time grows by less than 5% from "small" to "broken": not measured`},
	} {
		if got := c.goal(all); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// TestScripts finds each script that a peer is said to have, and a peer for each script.
func TestScripts(t *testing.T) {
	s := &setting{dir: t.TempDir(), tools: &tools{dir: "peers"}}
	named := []string{"w1.mlr", "w1_duckdb.sql", "w1_lead.js", "w2_benthos.yaml"} // those that stand elsewhere than in a peer's table
	for _, p := range slices.Concat(s.peersW1("in.csv"), s.peersW3("in.xlsx"), s.peersW4("in.csv")) {
		if p.script != "" {
			named = append(named, p.script)
		}
	}
	files, err := fs.ReadDir(scripts, "peers")
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, f := range files {
		there = append(there, f.Name())
	}
	slices.Sort(named)
	if diff := cmp.Diff(there, slices.Compact(named)); diff != "" {
		t.Errorf("scripts (-there +named):\n%s", diff)
	}
}
