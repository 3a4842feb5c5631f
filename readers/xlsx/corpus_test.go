package xlsx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crmetl/crmetl/internal/beside"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// corpus returns the folder of workbooks from the wild that lies beside the repository.
func corpus(t *testing.T) string {
	t.Helper()
	return filepath.Dir(beside.Path(t, "corpora", "xlsx", "manifest.json"))
}

type corpusCase struct {
	Name, File, Expect, Kind, Outcome, Category string
	Repo                                        string `json:"source_repo"`
	want                                        expectation
}

type expectation struct {
	Sheet    string             `json:"sheet"`
	Category string             `json:"category"`
	Rows     [][]string         `json:"rows"`
	Types    []string           `json:"types"`
	Serials  map[string]float64 `json:"serials"`
	Text     [][]string         `json:"text"`
}

func corpusCases(t *testing.T, kind string) []corpusCase {
	dir := corpus(t)
	var all, cases []corpusCase
	load(t, filepath.Join(dir, "manifest.json"), &all)
	for _, c := range all {
		if c.Kind != kind {
			continue
		}
		load(t, filepath.Join(dir, c.Expect), &c.want)
		c.File = filepath.Join(dir, c.File)
		cases = append(cases, c)
	}
	if len(cases) == 0 {
		t.Fatalf("the corpus has no %s workbook", kind)
	}
	return cases
}

func load(t *testing.T, name string, into any) {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// readAll returns all rows of a workbook with their cells as text, at their places in the sheet.
func readAll(path string, o Options) (rows [][]string, err error) {
	err = each(path, o, func(row *record.Row) error {
		if row.Fate != record.Pending {
			return fmt.Errorf("row %d: %w", row.Line, row.Err)
		}
		cells := make([]string, len(row.Values))
		for i, v := range row.Values {
			cells[i] = v.Cell()
		}
		rows = place(rows, int(row.Line), cells)
		return nil
	})
	return rows, err
}

// place puts the cells of a row where they stand in the sheet.
func place(rows [][]string, line int, cells []string) [][]string {
	if line > 200_000 {
		return rows // the bombs: it is enough that they end
	}
	for len(rows) < line {
		rows = append(rows, nil)
	}
	for len(cells) > 0 && cells[len(cells)-1] == "" {
		cells = cells[:len(cells)-1]
	}
	rows[line-1] = cells
	return rows
}

// converted reads a workbook as crmetl convert does, its header included.
func converted(path, sheet string) ([][]string, error) {
	o := Options{Sheet: sheet, Loose: true}
	r, err := Open(path, o)
	if err != nil {
		return nil, err
	}
	at, names := r.Evidence().HeaderRow, slices.Clone(r.Header().Names())
	if err := r.Close(); err != nil {
		return nil, err
	}
	rows, err := readAll(path, o)
	if err == nil && at > 0 {
		if len(rows) >= at && rows[at-1] != nil {
			return nil, fmt.Errorf("row %d is the header and a row too", at)
		}
		rows = place(rows, at, names)
	}
	return rows, err
}

// each reads a workbook as an engine with one worker would.
func each(path string, o Options, see func(*record.Row) error) error {
	r, err := Open(path, o)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	var c pipeline.Chunk
	for {
		err := r.Next(context.Background(), &c)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var b record.Batch
		if err := r.Decode(&c, &b); err != nil {
			return err
		}
		for i := range b.Rows {
			if err := see(&b.Rows[i]); err != nil {
				return err
			}
		}
	}
}

// knownFailures are the benign workbooks that are read otherwise than expected, with the reason. The list may only
// become shorter.
func knownFailures(t *testing.T) map[string]string {
	raw, err := os.ReadFile(filepath.Join("testdata", "known_failures.txt"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		if name, why, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(line, "#") {
			known[name] = why
		}
	}
	return known
}

// maxKnown is how long that list is. It goes down with every workbook that is taken off.
const maxKnown = 3

// tally counts by source how many files are read right.
type tally map[string][2]int

func (t tally) add(source string, right bool) {
	n := t[source]
	if n[1]++; right {
		n[0]++
	}
	t[source] = n
}

func (t tally) log(tb testing.TB) {
	for _, source := range slices.Sorted(maps.Keys(t)) {
		tb.Logf("%3d of %3d  %s", t[source][0], t[source][1], source)
	}
}

func TestCorpusBenign(t *testing.T) {
	cases := corpusCases(t, "benign")
	known := knownFailures(t)
	if len(known) > maxKnown {
		t.Errorf("%d failures are known, and there were %d before", len(known), maxKnown)
	}
	scores, passed := tally{}, 0
	for _, c := range cases {
		why := ""
		if rows, err := converted(c.File, c.want.Sheet); err != nil {
			why = err.Error()
		} else {
			why = c.want.differs(rows)
		}
		scores.add(c.Repo, why == "")
		_, expected := known[c.Name]
		delete(known, c.Name)
		switch {
		case why == "" && expected:
			t.Errorf("%s is read right now: take it off the list of known failures", c.Name)
		case why == "":
			passed++
		case !expected:
			t.Errorf("%s: %s", c.Name, why)
		default:
			t.Logf("known: %s: %s", c.Name, why)
		}
	}
	for name := range known {
		t.Errorf("%s is known to fail, and the corpus has no such workbook", name)
	}
	scores.log(t)
	score := float64(passed) / float64(len(cases))
	t.Logf("%d of %d workbooks are read right: %.1f%%", passed, len(cases), 100*score)
	if score < 0.97 {
		t.Errorf("the score is below 97%%")
	}
}

// differs says where rows differ from what is expected, "" if nowhere.
func (e *expectation) differs(got [][]string) string {
	if n := len(trimmed(e.Rows)); n != len(trimmed(got)) {
		return fmt.Sprintf("%d rows, want %d", len(trimmed(got)), n)
	}
	at := func(rows [][]string, i, j int) string {
		if i < len(rows) && j < len(rows[i]) {
			return rows[i][j]
		}
		return ""
	}
	for i := range max(len(got), len(e.Rows)) {
		n := 0
		if i < len(got) {
			n = len(got[i])
		}
		if i < len(e.Rows) {
			n = max(n, len(e.Rows[i]))
		}
		for j := range n {
			want, have, kind := at(e.Rows, i, j), at(got, i, j), byte('.')
			if i < len(e.Types) && j < len(e.Types[i]) {
				kind = e.Types[i][j]
			}
			serial, hasSerial := e.Serials[fmt.Sprintf("%d,%d", i+1, j+1)]
			if !hasSerial {
				serial = math.NaN()
			}
			if !sameCell(kind, want, at(e.Text, i, j), serial, have) {
				return fmt.Sprintf("cell %s%d is %q, want %q (type %c)", record.ColumnName(j), i+1, have, want, kind)
			}
		}
	}
	return ""
}

func trimmed(rows [][]string) [][]string {
	for len(rows) > 0 && strings.Join(rows[len(rows)-1], "") == "" {
		rows = rows[:len(rows)-1]
	}
	return rows
}

// sameCell holds the rules of the corpus.
func sameCell(kind byte, want, text string, serial float64, got string) bool {
	if got == want {
		return true
	}
	f, ferr := strconv.ParseFloat(got, 64)
	switch kind {
	case 's':
		return strings.ReplaceAll(got, "\r\n", "\n") == strings.ReplaceAll(want, "\r\n", "\n")
	case 'n':
		w, err := strconv.ParseFloat(strings.ReplaceAll(want, ",", ""), 64)
		return err == nil && ferr == nil && math.Abs(f-w) <= 1e-9*max(1, math.Abs(w))
	case 'b':
		return strings.ToUpper(got) == want
	case 'd':
		for _, form := range []string{text, strings.Replace(want, "T", " ", 1), want + "Z", want + "T00:00:00", want + " 00:00:00"} {
			if got == form {
				return true
			}
		}
		return ferr == nil && math.Abs(f-serial) < 1e-6
	}
	return false
}

// TestCorpusHostile reads the workbooks that are damaged, encrypted or made to do harm.
func TestCorpusHostile(t *testing.T) {
	scores := tally{}
	for _, c := range corpusCases(t, "hostile") {
		ok := t.Run(c.Name, func(t *testing.T) {
			began := time.Now()
			peak := watchMemory(t)
			rows, err := converted(c.File, "")
			took, mb := time.Since(began), peak()
			if took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			if mb > 256 {
				t.Errorf("it took %d MiB", mb)
			}
			switch {
			case err == nil && c.Outcome == "error":
				t.Errorf("%s: it was read, as %d rows, and should be refused", c.Category, len(rows))
			case err == nil && c.want.Rows != nil && c.want.differs(rows) != "":
				t.Errorf("%s: %s", c.Category, c.want.differs(rows))
			case err != nil && c.Outcome == "rows":
				t.Errorf("%s: %v", c.Category, err)
			case err != nil && !strings.Contains(err.Error(), filepath.Base(c.File)):
				t.Errorf("the error does not name the file: %v", err)
			case err != nil && c.Category == "encrypted" && !strings.Contains(err.Error(), "password"):
				t.Errorf("the error does not say that the file is encrypted: %v", err)
			}
			if err != nil {
				t.Logf("%s (%s, %v, %d MiB): %s", c.Category, c.Outcome, took.Round(time.Millisecond), mb, strings.TrimPrefix(err.Error(), filepath.Dir(c.File)))
			} else {
				t.Logf("%s (%s, %v, %d MiB): %d rows", c.Category, c.Outcome, took.Round(time.Millisecond), mb, len(rows))
			}
		})
		scores.add(c.Category, ok)
	}
	scores.log(t)
}

// watchMemory returns a function that says how many MiB of heap were in use at most since.
func watchMemory(t *testing.T) (peak func() uint64) {
	debug.FreeOSMemory()
	var top atomic.Uint64
	var base runtime.MemStats
	runtime.ReadMemStats(&base)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if m.HeapInuse > base.HeapInuse {
				top.Store(max(top.Load(), m.HeapInuse-base.HeapInuse))
			}
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-done
		return top.Load() >> 20
	}
}
