package main

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/pipeline"
)

// check holds what a run says against what the vendor says.
type check struct {
	*killBench
	job    *job
	run    string
	before map[string]int // effects before the run
	ledger int            // and writes

	counts pipeline.Counts
	ends   map[int64]string // where each row ended
}

// all checks a run that has come to its end.
func (c *check) all() {
	c.t.Helper()
	c.sums()
	if n := int64(len(c.job.table) - 1); c.counts.Read != n {
		c.t.Errorf("%d rows were read of %d", c.counts.Read, n)
	}
	after := c.kind.effects(c.killBench)
	done := map[string]int{}
	for print, n := range after {
		if n -= c.before[print]; n > 0 {
			done[print] = n
		}
	}
	c.deeds(done)
	c.writes(done)
}

// sums checks a run's folder after a process that was not killed.
func (c *check) sums() {
	c.t.Helper()
	data, err := os.ReadFile(filepath.Join(c.run, report.SummaryFile))
	if err != nil {
		c.t.Fatalf("%v\n%s", err, c.log.String())
	}
	var sum report.Summary
	if err := json.Unmarshal(data, &sum); err != nil {
		c.t.Fatal(err)
	}
	c.counts = sum.Rows.Counts
	if r := c.counts; r.Read != r.Accepted+r.Rejected+r.Unsure+r.Unchanged+r.Skipped {
		c.t.Errorf("the rows do not add up: %+v", r)
	}
	c.ends = map[int64]string{}
	for name, want := range map[string]int64{report.SuccessFile: c.counts.Accepted, report.RejectedFile: c.counts.Rejected, report.UnsureFile: c.counts.Unsure} {
		rows := readTable(c.t, filepath.Join(c.run, name))
		if int64(len(rows)-1) != want {
			c.t.Errorf("%s has %d rows, the summary says %d", name, len(rows)-1, want)
		}
		c.rows(name, rows)
	}
	if n := int64(len(c.ends)); n+c.counts.Unchanged+c.counts.Skipped != c.counts.Read {
		c.t.Errorf("%d rows stand in the files, %d are unchanged or skipped, %d were read", n, c.counts.Unchanged+c.counts.Skipped, c.counts.Read)
	}
}

// rows checks that each line of a result file is a row of the input, as it was, that stands nowhere else.
func (c *check) rows(name string, table [][]string) {
	c.t.Helper()
	width := len(c.job.table[0])
	at := slices.Index(table[0], "_row")
	if !slices.Equal(table[0][:width], c.job.table[0]) || at < width {
		c.t.Fatalf("%s: the header is %q", name, table[0])
	}
	for _, line := range table[1:] {
		n, err := strconv.ParseInt(line[at], 10, 64)
		if err != nil || n < 1 || n >= int64(len(c.job.table)) {
			c.t.Errorf("%s: there is no row %q", name, line[at])
			continue
		}
		if !slices.Equal(line[:width], c.job.table[n]) {
			c.t.Errorf("%s, row %d: %q, want %q", name, n, line[:width], c.job.table[n])
		}
		if other, twice := c.ends[n]; twice {
			c.t.Errorf("row %d stands in %s and in %s", n, other, name)
		}
		c.ends[n] = name
	}
}

// interim checks what must hold even after a kill: the journal can be read, and the run can be told to be unfinished.
func (c *check) interim() {
	c.t.Helper()
	if c.rng.IntN(4) != 0 {
		return
	}
	if _, err := os.Stat(filepath.Join(c.run, "journal.db")); err != nil {
		return
	}
	if err := c.command(quick, "runs", c.run).Run(); err != nil {
		c.t.Errorf("runs: %v\n%s", err, c.log.String())
	}
}

// deeds checks that each record was done once, by how it ended.
func (c *check) deeds(done map[string]int) {
	c.t.Helper()
	type ends struct{ accepted, unsure, over int }
	by := map[string]*ends{}
	for _, d := range c.job.deeds {
		e := by[d.print]
		if e == nil {
			e = &ends{}
			by[d.print] = e
		}
		where := c.ends[d.rows[0]]
		for _, n := range d.rows {
			if c.ends[n] != where {
				c.t.Errorf("rows %v make one record: row %d ended in %q, row %d in %q", d.rows, d.rows[0], where, n, c.ends[n])
			}
		}
		switch {
		case d.bad && where != report.RejectedFile:
			c.t.Errorf("rows %v (%s) are wrong and ended in %q", d.rows, d.print, where)
		case d.bad:
		case where == report.RejectedFile || where == "":
			c.t.Errorf("rows %v (%s) are right and ended in %q", d.rows, d.print, where)
		case d.over && where == report.SuccessFile:
			e.over++
		case where == report.UnsureFile:
			e.unsure++
		default:
			e.accepted++
		}
	}
	for print, e := range by {
		n := done[print]
		switch {
		case n < min(e.accepted, 1), !c.kind.again && n < e.accepted:
			c.sum.lost++
			c.t.Errorf("LOST: %s: %d accepted, %d unsure, and the vendor has it %d times", print, e.accepted, e.unsure, n)
		case !c.kind.again && n > e.accepted+e.unsure, n > 0 && e.accepted+e.unsure+e.over == 0:
			c.sum.doubled++
			c.t.Errorf("DOUBLED: %s: %d accepted, %d unsure, and the vendor has it %d times", print, e.accepted, e.unsure, n)
		}
	}
	for print, n := range done {
		if by[print] == nil {
			c.sum.doubled++
			c.t.Errorf("STRANGE: %s: the vendor has it %d times, and no row of the file asks for it", print, n)
		}
	}
}

// writes compares the number of accepted writes with what they did: what is done once must have been written once.
func (c *check) writes(done map[string]int) {
	c.t.Helper()
	writes, effects := len(c.vendorWrites()), 0
	for _, n := range done {
		effects += n
	}
	if !c.kind.again && writes != effects {
		c.t.Errorf("the vendor took %d writes and did %d things", writes, effects)
	}
	if c.counts.Unsure > 0 && !c.kind.blind {
		for n, where := range c.ends {
			if where == report.UnsureFile {
				fmt.Fprintf(&c.log, "unsure: row %d %q\n", n, c.job.table[n])
			}
		}
	}
}

// tell adds the run to what came of its kind.
func (c *check) tell() {
	c.sum.runs++
	c.sum.accepted += int(c.counts.Accepted)
	c.sum.rejected += int(c.counts.Rejected)
	c.sum.unsure += int(c.counts.Unsure)
	if c.kind.again {
		c.sum.writes += len(c.vendorWrites())
	}
}

// vendorWrites are the writes that the vendor has accepted since the run began.
func (c *check) vendorWrites() []sandbox.Written { return c.killBench.ledger().Writes[c.ledger:] }

// ledger asks the simulator.
func (b *killBench) ledger() (l sandbox.Ledger) {
	b.t.Helper()
	b.get("ledger", &l)
	return l
}

// records asks the simulator for the records of a kind.
func (b *killBench) records(kind string) (list []map[string]any) {
	b.t.Helper()
	b.get("records/"+kind, &list)
	return list
}

func (b *killBench) get(path string, v any) {
	b.t.Helper()
	resp, err := http.Get(b.base + "/_sandbox/" + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	d := json.NewDecoder(resp.Body)
	d.UseNumber()
	if err := d.Decode(v); err != nil || resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %d %v", path, resp.StatusCode, err)
	}
}

// text is a member of a record as text, "" if there is none.
func text(m map[string]any, name string) string {
	switch v := m[name].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// texts are several members with bars between them.
func texts(m map[string]any, names ...string) string {
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = text(m, n)
	}
	return strings.Join(parts, "|")
}

func readTable(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func writeTable(t *testing.T, path string, rows [][]string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := csv.NewWriter(f)
	if err := w.WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// result is what came of a kind.
type result struct {
	runs, kills, accepted, rejected, unsure, lost, doubled int
	writes                                                 int // of kinds whose calls may be made again
}

// killTally collects results.
type killTally struct {
	mu sync.Mutex
	by map[string]result
}

func (a *killTally) add(name string, r result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by == nil {
		a.by = map[string]result{}
	}
	a.by[name] = r
}

// String is the table of all kinds.
func (a *killTally) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "kind\truns\tkills\taccepted\trejected\tunsure\tlost\tdoubled\trepeatable writes\t")
	var total result
	line := func(name string, r result) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", name, r.runs, r.kills, r.accepted, r.rejected, r.unsure, r.lost, r.doubled, r.writes)
	}
	for _, name := range slices.SortedFunc(maps.Keys(a.by), cmp.Compare[string]) {
		r := a.by[name]
		line(name, r)
		total.runs += r.runs
		total.kills += r.kills
		total.accepted += r.accepted
		total.rejected += r.rejected
		total.unsure += r.unsure
		total.lost += r.lost
		total.doubled += r.doubled
		total.writes += r.writes
	}
	line("all", total)
	_ = w.Flush()
	return b.String()
}
