package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/crmetl/crmetl/internal/journal"
	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

func held(dir string) bool { return journal.Holder(dir) != nil }

func (a *app) runsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "runs [RUN]",
		Short:   "List runs, or show one",
		Example: "  crmetl runs\n  crmetl runs 20261122T1015\n  crmetl runs --json",
		Args:    atMost(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.listRuns()
			}
			dir, err := report.Find(runsRoot(), args[0])
			if err != nil {
				return usage(err)
			}
			return a.showRun(dir)
		},
	}
}

func (a *app) listRuns() error {
	runs, err := report.List(runsRoot(), held)
	if err != nil {
		return usage(err)
	}
	if a.json {
		list := []any{}
		for _, r := range runs {
			entry := map[string]any{"run": r.ID, "dir": r.Dir, "status": r.Status, "began": r.Began, "resumable": r.Resumable()}
			if r.Summary != nil {
				entry["summary"] = r.Summary
			}
			list = append(list, entry)
		}
		return a.printJSON(list)
	}
	if len(runs) == 0 {
		a.say("there are no runs in %s", runsRoot())
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tSTATUS\tCOMMAND\tROWS\tREJECTED\tUNSURE\tWHAT")
	for _, r := range runs {
		s := r.Summary
		if s == nil {
			what := ""
			if v, err := journal.Read(r.Dir); err == nil {
				what = v.Spec().Source.Path + " → " + v.Spec().Target
			}
			fmt.Fprintf(w, "%s\t%s\t\t\t\t\t%s\n", r.ID, statusWords(r), what)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s → %s\n", r.ID, statusWords(r), s.Command, thousands(s.Rows.Read), thousands(s.Rows.Rejected), thousands(s.Rows.Unsure), s.Source, s.Target)
	}
	return w.Flush()
}

func statusWords(r report.RunInfo) string {
	if r.Resumable() {
		return r.Status + " (can be resumed)"
	}
	return r.Status
}

func (a *app) showRun(dir string) error {
	info := report.Info(dir, held)
	if info.Err != nil {
		return usage(info.Err)
	}
	if info.Summary != nil {
		if a.json {
			return a.printJSON(info.Summary)
		}
		return report.Print(a.stdout, *info.Summary, dir)
	}
	v, err := journal.Read(dir)
	if err != nil {
		return usage(err)
	}
	spec := v.Spec()
	if a.json {
		return a.printJSON(map[string]any{"run": spec.Run, "status": info.Status, "source": spec.Source.Path, "target": spec.Target, "mode": spec.Mode, "rows": v.Counts(), "started_at": spec.Started})
	}
	_, err = fmt.Fprintf(a.stdout, "%s %s: %s → %s (%s)\nreported so far: %s rows\n", spec.Run, statusWords(info), spec.Source.Path, spec.Target, spec.Mode, thousands(v.Counts().Read))
	return err
}

// life is what explain knows of a row.
type life struct {
	Run     string        `json:"run"`
	Row     int64         `json:"row"`
	Line    int64         `json:"line,omitempty"`
	Source  string        `json:"source"`
	Target  string        `json:"target"`
	Cells   []cell        `json:"cells,omitempty"`
	Fields  []cell        `json:"fields,omitempty"`
	Payload string        `json:"payload,omitempty"`
	Refused string        `json:"refused,omitempty"` // by mapping or checks
	Notes   []string      `json:"notes,omitempty"`
	Calls   []callFacts   `json:"calls"`
	Results []resultFacts `json:"results"`

	calls   []journal.Call
	results []report.Result
}

// callFacts is a call as --json shows it.
type callFacts struct {
	Op       string     `json:"op"`
	Attempt  int        `json:"attempt"`
	Rows     int64      `json:"rows"`
	Sent     *time.Time `json:"sent,omitempty"`
	Ended    *time.Time `json:"ended,omitempty"`
	Outcome  string     `json:"outcome"`
	Fate     string     `json:"fate,omitempty"`
	Action   string     `json:"action,omitempty"`
	ID       string     `json:"id,omitempty"`
	Note     string     `json:"note,omitempty"`
	Problems string     `json:"problems,omitempty"`
}

// resultFacts is a line of a result file as --json shows it.
type resultFacts struct {
	Fate   string `json:"fate"`
	File   string `json:"file"`
	Action string `json:"action,omitempty"`
	ID     string `json:"id,omitempty"`
	Field  string `json:"field,omitempty"`
	Rule   string `json:"rule,omitempty"`
	Error  string `json:"error,omitempty"`
}

func (l *life) facts() {
	l.Calls, l.Results = []callFacts{}, []resultFacts{}
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	for _, c := range l.calls {
		f := callFacts{Op: c.Op, Attempt: c.Attempt, Rows: c.Rows, Sent: at(c.Sent), Ended: at(c.Ended), Outcome: string(c.Outcome), Action: c.Action, ID: c.VendorID, Note: c.Note}
		if c.Outcome == journal.CallSettled {
			f.Fate = c.Fate.String()
		}
		if len(c.Problems) > 0 {
			f.Problems = c.Problems.Error()
		}
		l.Calls = append(l.Calls, f)
	}
	for _, r := range l.results {
		l.Results = append(l.Results, resultFacts{Fate: r.Fate.String(), File: r.File, Action: r.Delivered.Action, ID: r.Delivered.ID, Field: r.Refused.Field, Rule: r.Refused.Rule, Error: r.Refused.Error})
	}
}

type cell struct {
	Name  string `json:"name"`
	Kind  string `json:"kind,omitempty"`
	Value string `json:"value"`
}

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "explain RUN ROW",
		Short:   "One row's whole life: cells, mapping, payload, calls, outcome",
		Long:    "One row's whole life: cells, mapping, payload, calls, outcome. ROW is the number in the column _row of the run's files.",
		Example: "  crmetl explain 20261122T1015 17",
		Args:    exactly("RUN", "ROW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := report.Find(runsRoot(), args[0])
			if err != nil {
				return usage(err)
			}
			n, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || n < 1 {
				return usagef("row %q: it is a number from 1, as in the column _row", args[1])
			}
			l, err := a.explain(cmd.Context(), dir, n)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(l)
			}
			return a.printLife(l)
		},
	}
}

func (a *app) explain(ctx context.Context, dir string, n int64) (*life, error) {
	v, err := journal.Read(dir)
	if err != nil {
		if errors.Is(err, journal.ErrAbsent) {
			err = fmt.Errorf("%s has no journal, so it can't tell about single rows", dir)
		}
		return nil, usage(err)
	}
	spec := v.Spec()
	l := &life{Run: spec.Run, Row: n, Source: spec.Source.Path, Target: spec.Target}
	if l.calls, err = v.Calls(n); err != nil {
		return nil, err
	}
	if l.results, err = report.ReadResults(dir, n); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := a.retell(ctx, spec, l); err != nil {
		l.Notes = append(l.Notes, "the row can't be read from its source again: "+err.Error())
	}
	l.facts()
	if len(l.calls) == 0 && len(l.results) == 0 && l.Cells == nil && len(l.Notes) == 0 {
		return nil, usagef("%s has no row %d", filepath.Base(spec.Source.Path), n)
	}
	return l, nil
}

// errFound ends the reading of a source at the row that was looked for.
var errFound = errors.New("found")

// retell reads the row from its source again and maps it as the run did.
func (a *app) retell(ctx context.Context, spec journal.Spec, l *life) error {
	f := &loadFlags{}
	if err := f.restore(spec.Options); err != nil {
		return err
	}
	f.mapping, f.mode, f.key = spec.Mapping.Name, spec.Mode, spec.Key
	t, err := a.parseTarget(spec.Target)
	if err != nil {
		return err
	}
	now, err := journal.SourceOf(spec.Source.Path)
	if err != nil {
		return err
	}
	if now.Digest != spec.Source.Digest {
		return fmt.Errorf("%s has changed since", spec.Source.Path)
	}
	m, text, err := keptMapping(spec.Mapping)
	if err != nil {
		return err
	}
	if m != nil {
		f.from(m)
	}
	src := &source{path: spec.Source.Path, name: spec.Source.Path, options: f.options(false)}
	r, err := src.open()
	if err != nil {
		return err
	}
	re, err := a.compile(t, r.Header(), exact(r), &f.mapFlags, m, text)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	_, err = pipeline.Run(ctx, r, re.steps, sinkFunc(plan), pipeline.Options{Retire: func(b *record.Batch) error {
		for i := range b.Rows {
			if b.Rows[i].Num == l.Row {
				l.tell(b, &b.Rows[i], re)
				return errFound
			}
		}
		return nil
	}})
	if errors.Is(err, errFound) {
		return nil
	}
	return err
}

func (l *life) tell(b *record.Batch, row *record.Row, re *recipe) {
	l.Line = row.Line
	l.Cells = []cell{}
	for i, v := range row.Origin {
		name := "(beyond the header)"
		if i < re.origin.Len() {
			name = re.origin.Name(i)
		}
		l.Cells = append(l.Cells, cell{name, v.Kind().String(), v.Cell()})
	}
	switch row.Fate {
	case record.Rejected:
		l.Refused = row.Err.Error()
	case record.Skipped:
		l.Notes = append(l.Notes, "skipped by the mapping's skip_when, or by --skip")
	default:
		for i, v := range row.Values {
			if v.Kind() != record.Absent {
				l.Fields = append(l.Fields, cell{b.Header.Name(i), v.Kind().String(), v.Text()})
			}
		}
		payload, err := re.target.via.Payloads(re.target.object.Name, re.load)
		if err == nil {
			var body []byte
			if body, err = payload(nil, []*record.Row{row}); err == nil {
				l.Payload = string(body)
			}
		}
		if err != nil {
			l.Notes = append(l.Notes, "the payload can't be shown: "+err.Error())
		}
		if re.program.GroupBy() != "" {
			l.Notes = append(l.Notes, "the row makes one record with others; the payload here is its own part")
		}
	}
}

// likeness is what a connector keeps in a note to tell equal rows apart; it says nothing to a person.
var likeness = regexp.MustCompile(` ?\[like [0-9a-f]+\]`)

func (a *app) printLife(l *life) error {
	w := a.stdout
	fmt.Fprintf(w, "row %d of %s → %s, run %s\n", l.Row, l.Source, l.Target, l.Run)
	if l.Line > 0 {
		fmt.Fprintf(w, "  line %d of the source\n", l.Line)
	}
	show := func(title string, cells []cell) {
		if len(cells) == 0 {
			return
		}
		fmt.Fprintf(w, "\n%s\n", title)
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		for _, c := range cells {
			fmt.Fprintf(t, "  %s\t%s\t%s\n", clip(c.Name, 32), c.Kind, clip(c.Value, 100))
		}
		_ = t.Flush()
	}
	show("as read", l.Cells)
	show("as mapped", l.Fields)
	if l.Refused != "" {
		fmt.Fprintf(w, "\nrefused before sending\n  %s\n", l.Refused)
	}
	if l.Payload != "" {
		fmt.Fprintf(w, "\npayload\n  %s\n", clip(l.Payload, 2000))
	}
	if len(l.calls) > 0 {
		fmt.Fprintf(w, "\ncalls\n")
	}
	for _, c := range l.calls {
		line := "  "
		if !c.Sent.IsZero() {
			line += c.Sent.Format("2006-01-02 15:04:05.000Z07:00") + "  "
		}
		if c.Op == "" {
			line += "without a call"
		}
		line += c.Op
		if c.Attempt > 1 {
			line += fmt.Sprintf(" (attempt %d)", c.Attempt)
		}
		switch c.Outcome {
		case journal.CallOpen:
			line += ": no answer is known"
		case journal.CallUndone:
			line += ": had no effect"
		default:
			line += ": " + c.Fate.String()
			if c.Action != "" {
				line += " (" + c.Action + ")"
			}
		}
		if c.VendorID != "" {
			line += ", id " + c.VendorID
		}
		if c.Note != "" {
			line += ", " + clip(likeness.ReplaceAllString(c.Note, ""), 300)
		}
		if len(c.Problems) > 0 && !strings.Contains(c.Note, c.Problems[0].Message) {
			line += ", " + clip(c.Problems.Error(), 300)
		}
		fmt.Fprintln(w, line)
	}
	for _, n := range l.Notes {
		fmt.Fprintf(w, "\n%s\n", n)
	}
	fmt.Fprintln(w, "\noutcome")
	if len(l.results) == 0 {
		fmt.Fprintln(w, "  in none of the result files")
	}
	for _, r := range l.results {
		fmt.Fprintf(w, "  %s\n", resultWords(r))
	}
	return nil
}

// resultWords says where a row ended.
func resultWords(r report.Result) string {
	name := filepath.Base(r.File)
	if r.Fate == record.Accepted {
		s := fmt.Sprintf("accepted (%s)", r.Delivered.Action)
		if r.Delivered.ID != "" {
			s += ", id " + r.Delivered.ID
		}
		return s + ", in " + name
	}
	return fmt.Sprintf("%s, in %s: %s", r.Fate, name, clip(r.Refused.Error, 300))
}
