package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/zeebo/blake3"

	"github.com/crmetl/crmetl/connectors"
	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/near"
	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/mappings"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
	"github.com/crmetl/crmetl/writers"
)

// exportFlags are the options of `crmetl export`.
type exportFlags struct {
	mapping, columns, sort, since, id string
	format, delimiter, runDir         string
	filters, search                   []string
	quote, lineEnd                    string
	expand, raw, rawCells, bom        bool
	rate                              float64
}

func (a *app) exportCommand() *cobra.Command {
	var f exportFlags
	c := &cobra.Command{
		Use:   "export TARGET FILE",
		Short: "Write a vendor's dataset to a file (- is standard output)",
		Long: `Write a vendor's dataset to a file (- is standard output). The file appears whole, or not at all: a list that is cut
off is an error.`,
		Example: "  crmetl export mapmycustomers/customers customers.xlsx\n  crmetl export mapmycustomers/customers - --format jsonl --raw\n  crmetl export mapmycustomers/customers ohio.csv --search ohio --columns id,name,company",
		Args:    exactly("TARGET", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.export(cmd.Context(), args[0], args[1], &f)
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.mapping, "mapping", "", "mapping `FILE` whose columns: say what is written")
	fs.StringVar(&f.columns, "columns", "", "the `FIELDS` to write, in this order, as in id,name,email")
	fs.StringArrayVar(&f.filters, "filter", nil, "`NAME=VALUE` that the vendor filters by (repeatable)")
	fs.StringVar(&f.sort, "sort", "", "`FIELD[:desc]` that the vendor sorts by")
	fs.BoolVar(&f.expand, "expand", false, "ask for related records in full, where the vendor offers that")
	fs.StringArrayVar(&f.search, "search", nil, "only what the vendor finds for this `TERM` (repeatable where the vendor has no list)")
	fs.StringVar(&f.since, "since", "", "only what changed since this `DATE`, or since the last export (last)")
	fs.StringVar(&f.id, "id", "", "only the record with this `ID`")
	fs.StringVar(&f.format, "format", "", "the file's format: csv, tsv, xlsx, jsonl, parquet or geojson (default: by its name)")
	fs.StringVar(&f.quote, "quote", "", "which cells of a CSV file stand in quotes: minimal or all (default: minimal)")
	fs.StringVar(&f.lineEnd, "line-end", "", "how lines of a CSV file end: lf or crlf (default: lf)")
	fs.BoolVar(&f.bom, "bom", false, "begin a CSV file with a byte order mark, for Excel")
	fs.StringVar(&f.delimiter, "delimiter", "", "the `CHARACTER` between cells of a CSV file (default: comma)")
	fs.BoolVar(&f.raw, "raw", false, "write the vendor's own JSON, a record a line")
	fs.BoolVar(&f.rawCells, "raw-cells", false, "leave CSV cells that a spreadsheet would run as formulas as they are (default: an apostrophe goes before them, which import takes away)")
	fs.StringVar(&f.runDir, "run-dir", "", "the run's folder (default: crmetl-runs/RUN_ID)")
	fs.Float64Var(&f.rate, "rate", 0, "requests a second, below the vendor's own limit")
	return c
}

// query turns the flags into what is asked of the vendor, checked against what the object offers.
func (a *app) query(t *target, f *exportFlags) (schema.Query, error) {
	q := schema.Query{ID: f.id, Terms: f.search, Expand: f.expand, Raw: f.raw, Warn: func(s string) { a.warn("%s", s) }}
	e := t.object.Export
	if len(f.search) > 0 {
		q.Search = f.search[0]
	}
	if !e.Any() {
		return q, usagef("%s offers no way to export %s", t.vendor.Title, t.object.Name)
	}
	if f.id != "" && !e.ByID {
		return q, usagef("--id: %s can't be fetched one by one", t.name)
	}
	if f.expand && !e.Expand {
		return q, usagef("--expand: %s offers no related records of %s", t.vendor.Title, t.object.Name)
	}
	if f.id != "" && len(f.search) > 0 {
		return q, usagef("--id and --search do not go together")
	}
	if len(f.search) > 0 && !e.Search {
		return q, usagef("--search: %s offers no search of %s", t.vendor.Title, t.object.Name)
	}
	if len(f.search) > 1 && !e.Terms {
		return q, usagef("--search: %s takes one term", t.name)
	}
	if slices.Contains(f.search, "") {
		return q, usagef("--search: the term is empty")
	}
	if f.id == "" && len(f.search) == 0 && !e.All {
		return q, usagef("%s can't list all %s; use --search TERM", t.vendor.Title, t.object.Name)
	}
	for _, c := range f.filters {
		name, value, ok := strings.Cut(c, "=")
		if !ok {
			return q, usagef("--filter %q: it is NAME=VALUE", c)
		}
		if len(e.Filters) == 0 {
			return q, usagef("--filter: %s offers no filters for %s", t.vendor.Title, t.object.Name)
		}
		q.Filters = append(q.Filters, schema.Condition{Name: name, Value: value})
	}
	if f.sort != "" {
		field, order, _ := strings.Cut(f.sort, ":")
		if len(e.Sorts) == 0 {
			return q, usagef("--sort: %s offers no order for %s", t.vendor.Title, t.object.Name)
		}
		if order != "" && order != "desc" && order != "asc" {
			return q, usagef("--sort %q: it is FIELD or FIELD:desc", f.sort)
		}
		if !slices.Contains(e.Sorts, field) {
			hint := ""
			if n := near.Name(field, e.Sorts); n != "" {
				hint = fmt.Sprintf("did you mean --sort %s?", n)
			}
			return q, hinted(exitUsage, fmt.Errorf("--sort %s: %s can be sorted by %s", field, t.name, strings.Join(e.Sorts, ", ")), hint)
		}
		q.Sort, q.Desc = field, order == "desc"
	}
	return q, nil
}

// lastExport remembers when the last good export of a target began, for --since last.
type lastExport struct {
	Target string    `json:"target"`
	Began  time.Time `json:"began"`
}

func (s *session) lastExportFile(t *target, account string, f *exportFlags) string {
	sum := blake3.Sum256([]byte(strings.Join([]string{t.vendor.Name, account, t.object.Name, strings.Join(f.search, "\x00"), strings.Join(f.filters, "\x00")}, "\x01")))
	return filepath.Join(s.stateDir, "exports", fmt.Sprintf("%x.json", sum[:12]))
}

// since works out --since.
func (s *session) since(t *target, account string, f *exportFlags) (time.Time, error) {
	if f.since == "" {
		return time.Time{}, nil
	}
	if t.object.Export.Since == "" {
		return time.Time{}, usagef("--since: %s do not say when they changed", t.name)
	}
	if f.since == "last" {
		data, err := os.ReadFile(s.lastExportFile(t, account, f))
		if errors.Is(err, os.ErrNotExist) {
			s.say("no earlier export of %s is known on this machine: everything is exported", t.name)
			return time.Time{}, nil
		}
		var last lastExport
		if err == nil {
			err = json.Unmarshal(data, &last)
		}
		if err != nil {
			return time.Time{}, usage(fmt.Errorf("--since last: %w", err))
		}
		return last.Began, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, f.since, time.UTC); err == nil {
			return at, nil
		}
	}
	return time.Time{}, usagef("--since %q: it is a date such as 2026-01-31, a time such as 2026-01-31T08:00:00Z, or last", f.since)
}

func (a *app) export(ctx context.Context, targetName, file string, f *exportFlags) error {
	t, err := a.parseTarget(targetName)
	if err != nil {
		return err
	}
	q, err := a.query(t, f)
	if err != nil {
		return err
	}
	if f.runDir != "" {
		if err := freshDir(f.runDir); err != nil {
			return err
		}
	}
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if f.rate < 0 {
		return usagef("--rate %g: it is a number of requests a second, above 0", f.rate)
	}
	conn, err := s.connect(t, f.rate)
	if err != nil {
		return err
	}
	if q.Since, err = s.since(t, s.account(conn), f); err != nil {
		return err
	}
	began := time.Now()
	src, err := conn.Source(ctx, t.object.Name, q)
	var call *api.Error
	if err != nil && !errors.As(err, &call) && !errors.Is(err, api.ErrStopped) && ctx.Err() == nil {
		return usage(err) // what was asked for can't be asked
	}
	if err != nil {
		return notWritten(file, s.connectError(err, t))
	}
	steps, w, err := a.exportSteps(src.Header(), t, file, f)
	if err != nil {
		return errors.Join(err, src.Close())
	}
	x := &exporting{session: s, target: t, conn: conn, file: file, began: began}
	return x.run(ctx, src, steps, w, f)
}

// exportSteps builds what stands between the vendor's list and the file.
func (a *app) exportSteps(from *record.Header, t *target, file string, f *exportFlags) ([]pipeline.Step, writers.Writer, error) {
	var steps []pipeline.Step
	var behind []string // the fields of the columns, if those have names of their own
	header := from
	if f.raw && (f.mapping != "" || f.columns != "") {
		return nil, nil, usagef("--raw writes the vendor's own JSON: --mapping and --columns do not go with it")
	}
	if f.mapping != "" || f.columns != "" {
		var m *mappings.Mapping
		if f.mapping != "" {
			var err error
			if m, _, err = mappings.Load(f.mapping); err != nil {
				return nil, nil, usage(err)
			}
		}
		var columns []string
		if f.columns != "" {
			columns = strings.Split(f.columns, ",")
		}
		p, err := mappings.CompileExport(m, columns, from, t.object)
		if err != nil {
			return nil, nil, usage(err)
		}
		steps, header, behind = append(steps, p), p.Header(), p.Columns()
	}
	fields := header.Names()
	if len(steps) > 0 {
		fields = behind
	}
	w, err := writers.Create(file, writers.Options{
		Format: f.format, Delimiter: f.delimiter, Quote: f.quote, LineEnd: f.lineEnd, BOM: f.bom, Guard: !f.rawCells, Raw: f.raw,
		Header: header, Types: typesOf(t.object, fields), Sheet: t.object.Name, Shape: t.object.Export.Shape,
		Stdout: a.stdout, Warn: func(s string) { a.warn("%s", s) },
	})
	if err != nil {
		return nil, nil, usage(err)
	}
	return append(steps, w), w, nil
}

// typesOf are the types of fields, in the schema's words; "" of what the object does not know.
func typesOf(o *schema.Object, fields []string) []string {
	types := make([]string, len(fields))
	for i, name := range fields {
		if f, ok := o.Field(name); ok {
			types[i] = string(f.Type)
		}
	}
	return types
}

// exporting is an export on its way.
type exporting struct {
	*session
	target *target
	conn   connectors.Conn
	file   string
	began  time.Time
}

func (x *exporting) run(ctx context.Context, src pipeline.Source, steps []pipeline.Step, w writers.Writer, f *exportFlags) error {
	id, dir := report.NewRun(runsRoot(), x.began)
	if f.runDir != "" {
		dir = f.runDir
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return errors.Join(usage(fmt.Errorf("run folder: %w", err)), src.Close(), w.Close())
	}
	sum := report.Summary{Run: id, Command: "export", Source: x.target.name, Target: x.file, StartedAt: x.began.UTC()}
	p, err := x.newProgress("exporting", 0, 0)
	if err != nil {
		return errors.Join(err, src.Close(), w.Close())
	}
	var so pipeline.Counts
	counts, err := pipeline.Run(ctx, newCollecting(src, x.heap), steps, w, pipeline.Options{Stop: x.stop, Retire: func(b *record.Batch) error {
		for i := range b.Rows {
			so.Add(b.Rows[i].Fate)
		}
		p.show(so)
		return nil
	}})
	p.end()
	took := time.Since(x.began)
	sum.EndedAt, sum.Seconds = time.Now().UTC(), took.Seconds()
	calls := x.conn.Stats()
	sum.Rows = report.Rows{Export: true, Written: counts.Accepted}
	sum.Rows.Read = counts.Read
	sum.Requests = report.Requests{Sent: calls.Sent, Retried: calls.Retried, Throttled: calls.Throttled}
	sum.Bytes = report.Bytes{Read: calls.BytesRead, Sent: calls.BytesSent}
	var code int
	switch {
	case err == nil:
		sum.Status = "succeeded"
		if counts.Rejected > 0 {
			sum.Status, code = "partial", exitRejected
		}
	case errors.Is(err, pipeline.ErrStopped), ctx.Err() != nil, errors.Is(err, api.ErrStopped):
		sum.Status, code, err = "interrupted", x.interruptCode(), fmt.Errorf("interrupted: %s was not written", x.file)
	default:
		sum.Status, code = "failed", exitFailed
		err = notWritten(x.file, x.connectError(err, x.target))
		var e *exitError
		var call *api.Error
		// What breaks off in the middle is no mistake of the settings, nor is a page that somebody put in the way.
		if errors.As(err, &e) && counts.Read == 0 && !(errors.As(err, &call) && call.Class == api.Blocked) {
			code = e.code
		}
	}
	x.page(dir, &sum)
	if e := report.WriteSummary(dir, sum); e != nil && err == nil {
		err, code = e, exitFailed
	}
	if err != nil {
		return &exitError{code: code, err: err}
	}
	if err := x.remember(f); err != nil {
		x.warn("--since last will not know of this export: %v", err)
	}
	if x.json && x.file != "-" {
		err = x.finish(sum, dir)
	} else {
		x.say("%s: %s of %s, %s, %s", x.file, plural(counts.Accepted, "row"), x.target.name, plural(sum.Requests.Sent, "request"), duration(took))
	}
	if err == nil && code != exitOK {
		err = &exitError{code: code}
	}
	return err
}

// notWritten says that an error left no file.
func notWritten(file string, err error) error {
	if file == "-" {
		return err
	}
	var e *exitError
	if errors.As(err, &e) && e.err != nil {
		return &exitError{code: e.code, err: fmt.Errorf("%w; %s was not written", e.err, file), hint: e.hint}
	}
	return fmt.Errorf("%w; %s was not written", err, file)
}

// remember notes when a good export began, for --since last.
func (x *exporting) remember(f *exportFlags) error {
	if x.target.object.Export.Since == "" || f.id != "" {
		return nil
	}
	file := x.lastExportFile(x.target, x.account(x.conn), f)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	data, err := json.Marshal(lastExport{Target: x.target.name, Began: x.began.UTC()})
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o600)
}
