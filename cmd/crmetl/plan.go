package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/mappings"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

func (a *app) planCommand() *cobra.Command {
	var f loadFlags
	c := &cobra.Command{
		Use:   "plan FILE TARGET",
		Short: "Say what import would do: no write reaches the vendor",
		Long: `Say what import would do: how many rows would go, which would be rejected and by which rule, three payloads to look at,
the number of requests, and how long they take at the vendor's limit. Nothing is sent, and no account is needed.
Rejected rows are written to rejected.csv of the run's folder, as import would.`,
		Example: "  crmetl plan leads.csv mapmycustomers/customers\n  crmetl plan leads.xlsx mapmycustomers/customers --mapping leads.yaml --json",
		Args:    exactly("FILE", "TARGET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.plan(cmd.Context(), args[0], args[1], &f)
		},
	}
	f.register(c.Flags())
	return c
}

// forecast is what plan finds.
type forecast struct {
	report.Summary
	Requests int64    `json:"requests_needed"`
	Rate     float64  `json:"rate"`
	Needs    float64  `json:"seconds_needed"`
	Time     string   `json:"time"`
	Ignored  []string `json:"ignored_columns"`
	Payloads []string `json:"sample_payloads"`
	NeedsYes bool     `json:"needs_yes,omitempty"`
	rules    tally
}

// planSamples is how many payloads plan shows.
const planSamples = 3

func (a *app) plan(ctx context.Context, file, targetName string, f *loadFlags) error {
	ctx, done := a.untilStop(ctx)
	defer done()
	if err := f.check(); err != nil {
		return err
	}
	t, err := a.parseTarget(targetName)
	if err != nil {
		return err
	}
	m, text, err := f.mapFlags.load()
	if err != nil {
		return err
	}
	if m != nil {
		f.from(m)
	}
	if f.runDir != "" {
		if err := freshDir(f.runDir); err != nil {
			return err
		}
	}
	src, err := a.file(file, &f.readFlags, false, "")
	if err != nil {
		return err
	}
	defer src.cleanup()
	src.hurry()
	if err = a.planFile(ctx, src, t, f, m, text); src.misread(err) {
		err = a.planFile(ctx, src, t, f, m, text)
	}
	return err
}

// planFile reads the file and says what an import would do.
func (a *app) planFile(ctx context.Context, src *source, t *target, f *loadFlags, m *mappings.Mapping, text []byte) error {
	r, err := src.open()
	if err != nil {
		return err
	}
	re, err := a.compile(t, r.Header(), exact(r), &f.mapFlags, m, text)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	began := time.Now().UTC()
	id, dir := report.NewRun(runsRoot(), began)
	if f.runDir != "" {
		dir = f.runDir
	}
	fc := &forecast{Ignored: append([]string{}, re.ignored...), Payloads: []string{}, rules: tally{}}
	fc.Summary = report.Summary{Run: id, Command: "plan", Source: src.name, Target: t.name, Mode: string(re.mode), StartedAt: began}
	s := &survey{}
	if re.program.GroupBy() != "" {
		if s, err = look(ctx, guarded(r, a.heap), re, f.skip, f.limit); err != nil {
			return a.planBroken(err)
		}
		if r, err = src.open(); err != nil {
			return err
		}
	}
	counts, err := a.forecast(ctx, r, re, s, f, fc, dir)
	src.hear(r)
	a.tellDamage(src, re, s)
	if err != nil {
		return a.planBroken(err)
	}
	s.records = fc.Requests
	fc.Requests = s.requests(re, f.batchSize)
	fc.Rate = a.rateOf(t, f.rate)
	if fc.Rate > 0 {
		fc.Needs = float64(fc.Requests) / fc.Rate
	}
	fc.Time = pace(fc.Requests, fc.Rate)
	for _, m := range t.object.Confirm {
		fc.NeedsYes = fc.NeedsYes || m == re.mode
	}
	fc.EndedAt = time.Now().UTC()
	fc.Seconds = fc.EndedAt.Sub(began).Seconds()
	fc.Status = "succeeded"
	if counts.Rejected > 0 {
		fc.Status = "partial"
	}
	fc.Rows = report.Rows{Counts: counts}
	fc.Rejections = fc.rules.list()
	fc.Bytes.Read = r.BytesRead()
	if fc.Files != nil || f.runDir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return usage(fmt.Errorf("run folder: %w", err))
		}
		if err := report.WriteSummary(dir, fc.Summary); err != nil {
			return err
		}
	}
	if a.json {
		err = a.printJSON(fc)
	} else {
		err = a.printForecast(fc, re)
	}
	if err == nil && counts.Rejected > 0 {
		err = &exitError{code: exitRejected}
	}
	return err
}

func (a *app) planBroken(err error) error {
	if errors.Is(err, pipeline.ErrStopped) || errors.Is(err, context.Canceled) {
		return &exitError{code: a.interruptCode(), err: errors.New("interrupted")}
	}
	return usage(err)
}

// rateOf is how many requests a second an import would make at most: what the vendor allows, what the connection says,
// and what the flag says. It touches no secret.
func (a *app) rateOf(t *target, flag float64) float64 {
	name, _, _ := strings.Cut(t.name, "/")
	rate := t.vendor.Rate
	said := ""
	if file, err := a.configFile(); err == nil {
		said = file.Plain(name, "rate")
	}
	if env := a.getenv(t.vendor.EnvName("rate")); name == t.vendor.Name && env != "" {
		said = env
	}
	if own, err := strconv.ParseFloat(said, 64); err == nil && own > 0 {
		rate = own
	}
	if flag > 0 && (rate == 0 || flag < rate) {
		rate = flag
	}
	return rate
}

// forecast runs the rows through mapping and checks; fc.Requests counts records.
func (a *app) forecast(ctx context.Context, src pipeline.Source, re *recipe, s *survey, f *loadFlags, fc *forecast, dir string) (pipeline.Counts, error) {
	payload, err := re.target.via.Payloads(re.target.object.Name, re.load)
	if err != nil {
		return pipeline.Counts{}, errors.Join(err, src.Close())
	}
	refused := newRejects(filepath.Join(dir, "rejected.csv"), re.origin)
	o := pipeline.Options{Skip: f.skip, Limit: f.limit, Stop: a.stop, Group: s.grouping(re)}
	if o.Group != nil {
		o.BatchSize = 1
	}
	o.Retire = func(b *record.Batch) error {
		for i := range b.Rows {
			s.watch(re, &b.Rows[i])
			if b.Rows[i].Fate == record.Rejected {
				fc.rules.add(&b.Rows[i])
			}
		}
		return refused.retire(b)
	}
	var body []byte
	counts, err := pipeline.Run(ctx, guarded(src, a.heap), re.steps, sinkFunc(func(b *record.Batch) error {
		err := eachRecord(b, func(rows []*record.Row) error {
			show := len(fc.Payloads) < planSamples
			if !show && o.Group == nil {
				fc.Requests++
				return nil
			}
			// Whether the rows of a record agree shows when it is put together.
			var err error
			body, err = payload(body[:0], rows)
			if ps := (record.Problems)(nil); errors.As(err, &ps) {
				for _, row := range rows {
					for _, p := range ps {
						row.Reject(p)
					}
				}
				return nil
			}
			fc.Requests++
			if !show {
				return err
			}
			fc.Payloads = append(fc.Payloads, longText.ReplaceAllStringFunc(string(body), func(s string) string {
				return fmt.Sprintf(`"%s… (%s characters)"`, s[1:25], thousands(int64(len(s)-2)))
			}))
			return err
		})
		if err != nil {
			return err
		}
		return plan(b)
	}), o)
	err = errors.Join(err, refused.close())
	if path := refused.written(); path != "" {
		fc.Files = map[string]string{"rejected": path}
	}
	return counts, err
}

// longText is a file in a payload: nobody reads that.
var longText = regexp.MustCompile(`"[A-Za-z0-9+/=]{1000,}"`)

// eachRecord calls f with the open rows of each record of a batch.
func eachRecord(b *record.Batch, f func([]*record.Row) error) error {
	var rows []*record.Row
	for i := 0; i < len(b.Rows); {
		rows = rows[:0]
		first := &b.Rows[i]
		for ; i < len(b.Rows) && (&b.Rows[i] == first || b.Rows[i].Group != 0 && b.Rows[i].Group == first.Group); i++ {
			rows = append(rows, &b.Rows[i])
		}
		if !first.Fate.Open() {
			continue
		}
		if err := f(rows); err != nil {
			return fmt.Errorf("row %d: %w", first.Num, err)
		}
	}
	return nil
}

func (a *app) printForecast(fc *forecast, re *recipe) error {
	w := a.stdout
	c := fc.Rows
	fmt.Fprintf(w, "plan: %s → %s (%s); nothing was sent\n\n", fc.Source, fc.Target, fc.Mode)
	fmt.Fprintf(w, "  %s, %s, %s\n", plural(c.Accepted, "row"), plural(fc.Requests, "request"), fc.Time)
	fmt.Fprintf(w, "  read %s = %s to send + %s rejected + %s skipped\n", thousands(c.Read), thousands(c.Accepted), thousands(c.Rejected), thousands(c.Skipped))
	fmt.Fprintf(w, "\n  fields: %s\n", strings.Join(re.program.Header().Names(), ", "))
	if len(fc.Ignored) > 0 {
		fmt.Fprintf(w, "  ignored columns: %s\n", describeIgnored(re))
	}
	if len(fc.rules) > 0 {
		fmt.Fprintf(w, "\n  problems:\n")
		keys := make([][2]string, 0, len(fc.rules))
		for k := range fc.rules {
			keys = append(keys, k)
		}
		sort.Slice(keys, func(i, j int) bool {
			x, y := fc.rules[keys[i]], fc.rules[keys[j]]
			return x.rows > y.rows || x.rows == y.rows && x.first < y.first
		})
		for i, k := range keys {
			if i == 20 {
				fmt.Fprintf(w, "    and %d more kinds\n", len(keys)-i)
				break
			}
			e := fc.rules[k]
			fmt.Fprintf(w, "    %-12s %-14s %10s, first row %d: %s\n", k[0], k[1], plural(e.rows, "row"), e.first, clip(e.text, 120))
		}
		fmt.Fprintf(w, "  rejected rows: %s\n", fc.Files["rejected"])
	}
	if len(fc.Payloads) > 0 {
		fmt.Fprintf(w, "\n  the first payloads:\n")
		for _, p := range fc.Payloads {
			fmt.Fprintf(w, "    %s\n", clip(p, 1000))
		}
	}
	if fc.NeedsYes {
		fmt.Fprintf(w, "\n  this mode changes much at once: import asks for --yes\n")
	}
	return nil
}

// maxIgnored is how many ignored columns are listed.
const maxIgnored = 20

// describeIgnored lists columns that go nowhere, with what they may have meant.
func describeIgnored(re *recipe) string {
	var parts []string
	for i, c := range re.ignored {
		if i == maxIgnored {
			return strings.Join(parts, ", ") + fmt.Sprintf(" and %s more", thousands(int64(len(re.ignored)-i)))
		}
		if s := re.suggestions[c]; s != "" {
			parts = append(parts, fmt.Sprintf("%q (near %s)", c, s))
			continue
		}
		parts = append(parts, fmt.Sprintf("%q", c))
	}
	return strings.Join(parts, ", ")
}
