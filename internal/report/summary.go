package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/crmetl/crmetl/pipeline"
)

// The states of a run. The first five are what summary.json says; the last two are told by its lock alone.
const (
	Succeeded   = "succeeded"
	Partial     = "partial"
	Stopped     = "stopped"
	Interrupted = "interrupted"
	Failed      = "failed"
	Running     = "running"
	Died        = "died"
)

// maxListed bounds how many kinds of rejection a summary lists.
const maxListed = 100

// otherRules stands for the kinds of rejection that are not told apart.
const otherRules = "(other)"

// Summary is how a run ended, as summary.json says it.
type Summary struct {
	Run        string            `json:"run"`
	Command    string            `json:"command"`
	Status     string            `json:"status"`
	Source     string            `json:"source"`
	Target     string            `json:"target"`
	Mode       string            `json:"mode"`
	Rows       Rows              `json:"rows"`
	Requests   Requests          `json:"requests"`
	Bytes      Bytes             `json:"bytes"`
	StartedAt  time.Time         `json:"started_at"`
	EndedAt    time.Time         `json:"ended_at"`
	Seconds    float64           `json:"seconds"` // at work, over all passes
	StopReason string            `json:"stop_reason"`
	Rejections []Rejection       `json:"rejections"`
	Files      map[string]string `json:"files"` // by what they are: success, rejected, unsure, report, output
	Todo       string            `json:"-"`     // what a person has to do before the run goes on, where the reason does not say it
}

// Rows counts an import's rows by fate; an export's by those read and those written.
type Rows struct {
	pipeline.Counts
	Export  bool  `json:"-"`
	Written int64 `json:"-"`
}

// MarshalJSON leaves out what the command does not count.
func (r Rows) MarshalJSON() ([]byte, error) {
	if r.Export {
		return json.Marshal(exportRows{Read: r.Read, Written: &r.Written})
	}
	return json.Marshal(r.Counts)
}

// UnmarshalJSON reads both forms.
func (r *Rows) UnmarshalJSON(data []byte) error {
	var e exportRows
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	*r = Rows{}
	if e.Written != nil {
		r.Export, r.Read, r.Written = true, e.Read, *e.Written
		return nil
	}
	return json.Unmarshal(data, &r.Counts)
}

type exportRows struct {
	Read    int64  `json:"read"`
	Written *int64 `json:"written"`
}

// Requests counts calls.
type Requests struct {
	Sent      int64 `json:"sent"`
	Retried   int64 `json:"retried"`
	Throttled int64 `json:"throttled"`
}

// Bytes counts what was read from the source and sent to the vendor.
type Bytes struct {
	Read int64 `json:"read"`
	Sent int64 `json:"sent"`
}

// Rejection is one kind of reason and the rows whose first problem it is.
type Rejection struct {
	Rule  string `json:"rule"`
	Field string `json:"field"`
	Rows  int64  `json:"rows"`
}

// Outcome returns the status of a run that came to its end.
func Outcome(c pipeline.Counts) string {
	if c.Rejected > 0 || c.Unsure > 0 {
		return Partial
	}
	return Succeeded
}

// ExitCode returns the exit code that goes with the summary. A run that was terminated by a signal other than an
// interrupt has a code of its own, which its caller knows.
func (s Summary) ExitCode() int {
	switch s.Status {
	case Succeeded:
		return 0
	case Partial:
		if s.Rows.Unsure > 0 {
			return 5
		}
		return 3
	case Stopped:
		return 4
	case Interrupted:
		return 130
	}
	return 1
}

// Resumable reports whether `crmetl resume` has something to carry on.
func (s Summary) Resumable() bool {
	return s.Status == Stopped || s.Status == Interrupted || s.Status == Died
}

// JSON returns the summary as summary.json has it, with a line end.
func (s Summary) JSON() ([]byte, error) {
	if s.Rejections == nil {
		s.Rejections = []Rejection{}
	}
	if s.Files == nil {
		s.Files = map[string]string{}
	}
	s.StartedAt, s.EndedAt = s.StartedAt.UTC().Truncate(time.Millisecond), s.EndedAt.UTC().Truncate(time.Millisecond)
	s.Seconds = float64(int64(s.Seconds*1000+0.5)) / 1000
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the summary: %w", err)
	}
	return append(data, '\n'), nil
}

// WriteSummary writes summary.json into a run's folder, whole or not at all.
func WriteSummary(dir string, s Summary) error {
	data, err := s.JSON()
	if err != nil {
		return err
	}
	o := Options{Write: (*os.File).Write, Sync: (*os.File).Sync}
	return replaceFile(filepath.Join(dir, SummaryFile), o, func(w *bufio.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// ReadSummary reads the summary of the run in dir. A run that has not come to an end has none: os.ErrNotExist.
func ReadSummary(dir string) (Summary, error) {
	path := filepath.Join(dir, SummaryFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return Summary{}, err
	}
	var s Summary
	if err := json.Unmarshal(data, &s); err != nil {
		return Summary{}, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}
