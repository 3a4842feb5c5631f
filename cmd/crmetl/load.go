package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/crmetl/crmetl/connectors"
	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/journal"
	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/schema"
)

// loadFlags are the options of import and plan.
type loadFlags struct {
	readFlags
	mapFlags
	dryRun      bool
	limit, skip int64
	maxErrors   string
	canary      int64
	concurrency int
	rate        float64
	batchSize   int
	runDir      string
	unsure      string
	changedOnly bool
	yes         bool
}

func (f *loadFlags) register(fs *pflag.FlagSet) {
	f.readFlags.register(fs)
	f.mapFlags.register(fs)
	fs.Int64Var(&f.limit, "limit", 0, "send `N` rows at most")
	fs.Int64Var(&f.skip, "skip", 0, "pass over the first `N` rows; they count as skipped")
	fs.Float64Var(&f.rate, "rate", 0, "requests a second, below the vendor's own limit")
	fs.IntVar(&f.batchSize, "batch-size", 0, "records in one call, below the vendor's own limit")
	fs.StringVar(&f.runDir, "run-dir", "", "the run's folder (default: crmetl-runs/RUN_ID)")
	fs.IntVar(&f.concurrency, "concurrency", 0, "calls under way at once (default: what the vendor's rate can use)")
	fs.StringVar(&f.maxErrors, "max-errors", "", "stop, resumable, past `N` or P% rejected rows (default: no limit)")
	fs.Int64Var(&f.canary, "canary", 0, "send `N` rows first, show the outcome, and go on only when told")
	fs.StringVar(&f.unsure, "unsure", "check", "rows whose outcome was lost: check at the vendor, resend, or hold")
	fs.BoolVar(&f.changedOnly, "changed-only", false, "send only rows that differ from what the vendor has")
	fs.BoolVar(&f.yes, "yes", false, "agree to what needs agreement, and to --canary's question")
}

// optionSource is where a run keeps how its source is called.
const optionSource = "(source)"

// carried are the options that a resumed run keeps from its start.
func (f *loadFlags) carried(fs *pflag.FlagSet, source string) map[string]string {
	kept := map[string]string{optionSource: source}
	fs.Visit(func(x *pflag.Flag) {
		switch x.Name {
		case "run-dir", "mapping", "mode", "key", "config", "json", "progress", "log-level", "log-format", "quiet", "dry-run", "default":
			return
		}
		kept[x.Name] = x.Value.String()
		if x.Name == "sandbox" {
			kept[x.Name] = absolute(x.Value.String())
		}
	})
	if len(f.defaults) > 0 {
		data, err := json.Marshal(f.defaults)
		if err == nil {
			kept["default"] = string(data)
		}
	}
	if f.attachments != "" {
		kept["attachments"] = absolute(f.attachments)
	}
	return kept
}

// restore reads back what carried kept.
func (f *loadFlags) restore(options map[string]string) error {
	fs := pflag.NewFlagSet("resume", pflag.ContinueOnError)
	f.register(fs)
	for _, name := range sortedKeys(options) {
		if name == "sandbox" || name == optionSource {
			continue
		}
		var err error
		if name == "default" {
			err = json.Unmarshal([]byte(options[name]), &f.defaults)
		} else {
			err = fs.Set(name, options[name])
		}
		if err != nil {
			return fmt.Errorf("the run's option --%s: %w", name, err)
		}
	}
	return nil
}

// check finds wrong values before anything is opened.
func (f *loadFlags) check() error {
	switch schema.Policy(f.unsure) {
	case schema.Check, schema.Resend, schema.Hold:
	default:
		return usagef("--unsure %q: it is check, resend or hold", f.unsure)
	}
	if f.limit < 0 || f.skip < 0 || f.canary < 0 || f.batchSize < 0 || f.concurrency < 0 {
		return usagef("--limit, --skip, --canary, --batch-size and --concurrency take numbers from 0")
	}
	if f.rate < 0 {
		return usagef("--rate %g: it is a number of requests a second, above 0", f.rate)
	}
	if _, _, err := parseMaxErrors(f.maxErrors); err != nil {
		return err
	}
	return nil
}

// parseMaxErrors reads N or P%.
func parseMaxErrors(s string) (rows int64, percent float64, err error) {
	if s == "" {
		return -1, -1, nil
	}
	if p, ok := strings.CutSuffix(s, "%"); ok {
		percent, err = strconv.ParseFloat(p, 64)
		if err == nil && percent >= 0 && percent <= 100 {
			return -1, percent, nil
		}
	} else if rows, err = strconv.ParseInt(s, 10, 64); err == nil && rows >= 0 {
		return rows, -1, nil
	}
	return -1, -1, usagef("--max-errors %q: it is a number of rows, or a part of them such as 5%%", s)
}

func (a *app) importCommand() *cobra.Command {
	var f loadFlags
	c := &cobra.Command{
		Use:   "import FILE TARGET",
		Short: "Load a file into a vendor, every row accounted for",
		Long: `Load a file into a vendor. Every row is checked against the vendor's rules before it is sent; every row ends in
exactly one of success.csv, rejected.csv and unsure.csv of the run's folder, unless it is unchanged or skipped. A run that
ends early goes on with crmetl resume.`,
		Example: `  crmetl import samples/customers.csv mapmycustomers/customers --sandbox
  crmetl import leads.xlsx mapmycustomers/customers --mapping leads.yaml
  crmetl import - mapmycustomers/customers --format csv < leads.csv
  crmetl import changes.csv mapmycustomers/customers --mode update --max-errors 5%`,
		Args: exactly("FILE", "TARGET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.dryRun {
				return a.plan(cmd.Context(), args[0], args[1], &f)
			}
			return a.importFile(cmd.Context(), args[0], args[1], &f, cmd.Flags())
		},
	}
	f.register(c.Flags())
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would happen, as plan does")
	return c
}

// importFile starts a run.
func (a *app) importFile(ctx context.Context, file, targetName string, f *loadFlags, fs *pflag.FlagSet) (err error) {
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
	began := time.Now().UTC()
	id, dir := report.NewRun(runsRoot(), began)
	if f.runDir != "" {
		dir = f.runDir
	}
	spool := ""
	made := false
	if file == "-" && f.format != "" {
		// A run reads its source more than once, and a resumed one again: standard input stays in the run's folder.
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return usage(fmt.Errorf("run folder: %w", err))
		}
		spool, made = dir, true
	}
	src, err := a.file(file, &f.readFlags, false, spool)
	if err != nil {
		return err
	}
	src.hurry()
	compile := func() (*recipe, error) {
		r, err := src.open()
		if err != nil {
			return nil, err
		}
		origin, digits := r.Header(), exact(r)
		if err := r.Close(); err != nil {
			return nil, usage(err)
		}
		return a.compile(t, origin, digits, &f.mapFlags, m, text)
	}
	re, err := compile()
	if err != nil {
		src.cleanup()
		return err
	}
	job := &loading{app: a, dir: dir, src: src, recipe: re, compile: compile, flags: f, spec: journal.Spec{
		Run: id, Command: "import", Target: t.name, Vendor: t.vendor.Name, Object: t.object.Name, Mode: string(re.mode), Key: re.key,
		Mapping: journal.Mapping{Name: mappingName(f.mapping), Text: string(re.text), Digest: journal.Digest(re.text)},
		Schema:  t.object.Digest(), Options: f.carried(fs, src.name), Started: began, Tool: versionInfo().Version,
	}}
	job.spec.Connection, _, _ = strings.Cut(t.name, "/")
	err = job.run(ctx)
	if job.journal == nil {
		// Nothing was begun: leave no trace.
		src.cleanup()
		if made {
			_ = os.Remove(dir)
		}
	}
	return err
}

// mappingName makes the path of a mapping independent of the folder that a resume is started in.
func mappingName(name string) string {
	if _, err := os.Stat(name); name == "" || err != nil {
		return name // a shipped one
	}
	return absolute(name)
}

// loading is an import on its way: a new one, or one that goes on.
type loading struct {
	*app
	session *session
	dir     string
	src     *source
	recipe  *recipe
	compile func() (*recipe, error) // makes the recipe anew, when more is known of the file; nil in a resumed run
	flags   *loadFlags
	spec    journal.Spec
	resume  bool
	journal *journal.Journal
	conn    connectors.Conn
	survey  *survey
	began   time.Time
}

// run carries the load from the first look at the file to the exit code.
func (l *loading) run(ctx context.Context) error {
	l.began = time.Now() // in UTC it would lose the monotonic clock, and time may be set while the run goes on
	l.tell(l.recipe)
	var err error
	if l.session, err = l.open(ctx); err != nil {
		return err
	}
	defer l.session.close()
	t := l.recipe.target
	if l.conn, err = l.session.connect(t, l.flags.rate); err != nil {
		return err
	}
	now := l.spec
	now.Account = l.session.account(l.conn)
	var sum errgroup.Group
	if l.resume { // its file has been held against the run already
		if err := l.spec.Check(now); err != nil {
			return usage(err)
		}
	} else {
		sum.Go(func() (err error) {
			now.Source, err = journal.SourceOf(l.src.path)
			return usage(err)
		})
	}
	looking, looked := l.untilStop(ctx)
	err = l.look(looking)
	looked()
	if e := sum.Wait(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	l.spec = now
	down := l.session.prove(ctx, l.conn, t, l.recipe.load)
	var e *exitError
	if errors.As(down, &e) {
		return down
	}
	if down == nil {
		// What the sink would refuse as a whole is told before the run begins.
		dry := l.recipe.load
		dry.DryRun, dry.Warn = true, nil
		trial, err := l.conn.Sink(ctx, t.object.Name, dry, nil)
		var call *api.Error
		switch {
		case errors.As(err, &call) && (call.Class == api.Transient || call.Class == api.Limited), errors.Is(err, api.ErrStopped):
			down = err // asked at another moment, it may say yes
		case err != nil:
			return usage(err)
		default:
			if err := trial.Close(); err != nil {
				return err
			}
		}
	}
	return l.carry(ctx, down)
}

// interrupted is the error of a run that was stopped while it looked at its file.
func (l *loading) interrupted() error {
	return &exitError{code: l.interruptCode(), err: errors.New("interrupted before the first row was sent")}
}

// look makes the first pass: nothing is sent from a file that can't be read to its end.
func (l *loading) look(ctx context.Context) error {
	err := l.pass(ctx)
	if ctx.Err() == nil && l.src.misread(err) {
		if l.recipe, err = l.compile(); err == nil {
			err = l.pass(ctx)
		}
	}
	return err
}

func (l *loading) pass(ctx context.Context) error {
	bare := int64(watched)
	if l.recipe.program.GroupBy() != "" {
		bare = 0
	}
	r, err := l.src.openBare(bare)
	if err != nil {
		return err
	}
	l.survey, err = look(ctx, guarded(r, l.heap), l.recipe, l.flags.skip, l.flags.limit)
	if err != nil {
		if ctx.Err() != nil {
			return l.interrupted()
		}
		return hinted(exitUsage, err, "nothing was sent; mend the file and start again")
	}
	l.tellDamage(l.src, l.recipe, l.survey)
	if l.survey.groups == nil {
		return nil
	}
	// Whether groups can be brought together in memory shows when it is done.
	if r, err = l.src.open(); err != nil {
		return err
	}
	_, err = pipeline.Run(ctx, r, l.recipe.steps, sinkFunc(plan), pipeline.Options{BatchSize: 1, Group: l.survey.grouping(l.recipe), Skip: l.flags.skip, Limit: l.flags.limit})
	if ctx.Err() != nil {
		return l.interrupted()
	}
	return hinted(exitUsage, err, "nothing was sent")
}
