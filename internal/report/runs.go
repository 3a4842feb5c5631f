package report

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// RunsFolder is where runs keep their folders, below the current one.
const RunsFolder = "crmetl-runs"

// journalName is how a folder of a run without a summary is known.
const journalName = "journal.db"

// runTime is the form of a run id's first half.
const runTime = "20060102T150405Z"

// NewRunID returns a name for a run that begins now: 20261122T101500Z-3f9a.
func NewRunID(now time.Time) string {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails
	return now.UTC().Format(runTime) + "-" + hex.EncodeToString(b[:])
}

// NewRun returns the id of a run that begins now, and a folder for it in root that is not there yet: two runs of one
// second may draw the same id.
func NewRun(root string, now time.Time) (id, dir string) {
	for range 1000 {
		id = NewRunID(now)
		dir = filepath.Join(root, id)
		if _, err := os.Lstat(dir); err != nil {
			break // it is not there, or whoever makes it will say what is wrong
		}
	}
	return id, dir
}

// RunInfo is a run as a list shows it.
type RunInfo struct {
	ID      string
	Dir     string
	Status  string    // a summary's status, Running, or Died: it can be resumed
	Began   time.Time // by its id, else by its folder
	Summary *Summary  // nil if the run has not come to an end
	Err     error     // the summary is there and cannot be read
}

// Resumable reports whether `crmetl resume` has something to carry on.
func (i RunInfo) Resumable() bool {
	return i.Status == Stopped || i.Status == Interrupted || i.Status == Died
}

// List returns the runs in root, the newest first. held says whether a process works in a folder: it tells a run that
// goes on from one that died. A root that does not exist has no runs.
func List(root string, held func(dir string) bool) ([]RunInfo, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var runs []RunInfo
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		if isRun(dir) {
			runs = append(runs, Info(dir, held))
		}
	}
	slices.SortFunc(runs, func(a, b RunInfo) int {
		return cmp.Or(b.Began.Compare(a.Began), cmp.Compare(b.ID, a.ID))
	})
	return runs, nil
}

// Info returns what a list shows of the run in dir.
func Info(dir string, held func(dir string) bool) RunInfo {
	info := RunInfo{ID: filepath.Base(dir), Dir: dir}
	stamp, _, _ := strings.Cut(info.ID, "-")
	if t, err := time.Parse(runTime, stamp); err == nil {
		info.Began = t
	} else if fi, err := os.Stat(dir); err == nil {
		info.Began = fi.ModTime().UTC()
	}
	s, err := ReadSummary(dir)
	switch {
	case err == nil:
		info.Summary, info.Status = &s, s.Status
		info.ID = cmp.Or(s.Run, info.ID)
	case !errors.Is(err, os.ErrNotExist):
		info.Err, info.Status = err, Died
	default:
		info.Status = Died
	}
	if held != nil && held(dir) {
		info.Status = Running
	}
	return info
}

func isRun(dir string) bool {
	for _, name := range []string{journalName, SummaryFile} {
		if fi, err := os.Stat(filepath.Join(dir, name)); err == nil && fi.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// Find returns the folder of the run that name means: an id, a unique beginning of one, or a folder. An empty name is
// the newest run.
func Find(root, name string) (dir string, err error) {
	if name != "" {
		if exact := filepath.Join(root, name); !strings.ContainsAny(name, `/\`) && isRun(exact) {
			return exact, nil
		}
		if isRun(name) {
			return name, nil
		}
	}
	runs, err := List(root, nil)
	if err != nil {
		return "", err
	}
	if len(runs) == 0 {
		if name == "" {
			return "", fmt.Errorf("there are no runs in %s", root)
		}
		return "", fmt.Errorf("there is no run %q: %s has no runs, and it is no run's folder", name, root)
	}
	if name == "" {
		return runs[0].Dir, nil
	}
	var found []RunInfo
	for _, r := range runs {
		if r.ID == name {
			return r.Dir, nil
		}
		if strings.HasPrefix(r.ID, name) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("there is no run %q in %s, and it is no run's folder: `crmetl runs` lists them", name, root)
	case 1:
		return found[0].Dir, nil
	}
	var ids []string
	for _, r := range found[:min(len(found), 5)] {
		ids = append(ids, r.ID)
	}
	if len(found) > len(ids) {
		ids = append(ids, fmt.Sprintf("and %d more", len(found)-len(ids)))
	}
	return "", fmt.Errorf("%q is the beginning of %d runs: %s", name, len(found), strings.Join(ids, ", "))
}
