package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/crmetl/crmetl/mappings"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/readers"
	"github.com/crmetl/crmetl/writers"
)

// convertFlags are the options of `crmetl convert`.
type convertFlags struct {
	readFlags
	mapFlags
	to, rejected          string
	toFormat, toDelimiter string
	toQuote, toLineEnd    string
	toShape               string
	bom                   bool
	limit, skip           int64
	workers               int
}

func (a *app) convertCommand() *cobra.Command {
	var f convertFlags
	c := &cobra.Command{
		Use:   "convert FILE OUT",
		Short: "Read a file as import would, and write it as another",
		Long: `Read a file as import would, and write it as another. Without a mapping every cell stays as it was read: CSV to CSV
changes the dialect only, XLSX to CSV gives what a person sees as data. With --mapping or --to the rows are mapped and
checked as for an import, and written as the vendor's records (JSON Lines: the payloads).`,
		Example: "  crmetl convert leads.xlsx leads.csv\n  crmetl convert leads.csv payloads.jsonl --to mapmycustomers/customers\n  crmetl convert leads.csv mapped.csv --mapping leads.yaml",
		Args:    exactly("FILE", "OUT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.convert(cmd.Context(), args[0], args[1], &f)
		},
	}
	fs := c.Flags()
	f.readFlags.register(fs)
	f.mapFlags.register(fs)
	fs.StringVar(&f.to, "to", "", "map and check the rows for this `TARGET`")
	fs.StringVar(&f.rejected, "rejected", "", "write refused rows to this `FILE` (default: OUT.rejected.csv)")
	fs.StringVar(&f.toFormat, "to-format", "", "the format of OUT: csv, tsv, xlsx, jsonl, parquet or geojson (default: by its name)")
	fs.StringVar(&f.toQuote, "to-quote", "", "which cells of a CSV OUT stand in quotes: minimal or all (default: minimal)")
	fs.StringVar(&f.toLineEnd, "to-line-end", "", "how lines of a CSV OUT end: lf or crlf (default: lf)")
	fs.StringVar(&f.toShape, "to-shape", "", "what a list of points is in a GeoJSON OUT: line or polygon (default: line)")
	fs.StringVar(&f.toDelimiter, "to-delimiter", "", "the `CHARACTER` between cells of a CSV OUT (default: comma)")
	fs.BoolVar(&f.bom, "bom", false, "begin a CSV OUT with a byte order mark, for Excel")
	fs.Int64Var(&f.limit, "limit", 0, "convert `N` rows at most")
	fs.Int64Var(&f.skip, "skip", 0, "pass over the first `N` rows")
	fs.IntVar(&f.workers, "workers", 0, "goroutines that read and map (default: one a processor)")
	_ = fs.MarkHidden("workers")
	return c
}

func (a *app) convert(ctx context.Context, in, out string, f *convertFlags) error {
	ctx, done := a.untilStop(ctx)
	defer done()
	mapped := f.to != "" || f.mapping != ""
	m, text, err := f.mapFlags.load()
	if err != nil {
		return err
	}
	if m != nil {
		f.from(m)
	}
	src, err := a.file(in, &f.readFlags, !mapped, "")
	if err != nil {
		return err
	}
	defer src.cleanup()
	if out != "-" && sameFile(src.path, out) {
		return usagef("%s: the output would overwrite the input", out)
	}
	read := func(again bool) error { return a.convertFile(ctx, src, out, f, m, text, again) }
	if canTakeBack(out) {
		src.hurry()
	}
	if err = read(false); src.misread(err) {
		err = read(true)
	}
	return err
}

// canTakeBack reports whether what is written to a path is not seen before its end.
func canTakeBack(path string) bool {
	if path == "-" {
		return false
	}
	info, err := os.Stat(path)
	return err != nil || info.Mode().IsRegular() || path == os.DevNull
}

// convertFile reads the file once, if its rows are on their own, and writes the other. again says that it does so once
// more.
func (a *app) convertFile(ctx context.Context, src *source, out string, f *convertFlags, m *mappings.Mapping, text []byte, again bool) error {
	r, err := src.open()
	if err != nil {
		return err
	}
	var re *recipe
	var s *survey
	if f.to != "" || m != nil {
		if re, err = a.recipeFor(r, f, m, text); err == nil && re.program.GroupBy() != "" {
			// Where rows make a record together, a first pass finds where groups end.
			if s, err = look(ctx, guarded(r, a.heap), re, f.skip, f.limit); err == nil {
				r, err = src.open()
			}
		}
		if ctx.Err() != nil {
			err = &exitError{code: a.interruptCode(), err: fmt.Errorf("%s: stopped, nothing was written", out)}
		}
		if err != nil {
			return errors.Join(err, r.Close())
		}
		if !again {
			a.tell(re)
		}
	}
	o := pipeline.Options{Workers: f.workers, Skip: f.skip, Limit: f.limit, Stop: a.stop}
	format, err := writers.FormatOf(out, f.toFormat)
	if err != nil {
		return errors.Join(usage(err), r.Close())
	}
	wo := writers.Options{
		Format: f.toFormat, Delimiter: f.toDelimiter, Quote: f.toQuote, LineEnd: f.toLineEnd, BOM: f.bom, Shape: f.toShape,
		Header: r.Header(), Stdout: a.stdout, Warn: func(s string) { a.warn("%s", s) },
	}
	var steps []pipeline.Step
	if re != nil {
		steps = re.steps
		wo.Header = re.program.Header()
		wo.Types = typesOf(re.target.object, wo.Header.Names())
		if o.Group = groupingOf(s, re); o.Group != nil {
			o.BatchSize = 1
		}
	}
	if re != nil && format == "jsonl" {
		if wo.Record, err = re.target.via.Payloads(re.target.object.Name, re.load); err != nil {
			return errors.Join(usage(err), r.Close())
		}
	}
	w, err := writers.Create(out, wo)
	if err != nil {
		return errors.Join(usage(err), r.Close())
	}
	if o.Group == nil {
		// Groups exist only in front of the sink, which then renders by itself.
		steps = append(steps[:len(steps):len(steps)], w)
	}
	if f.rejected == "" {
		f.rejected = out + ".rejected.csv"
		if out == "-" {
			f.rejected = "rejected.csv"
		}
	}
	refused := newRejects(f.rejected, r.Header())
	o.Retire = refused.retire
	counts, err := pipeline.Run(ctx, guarded(r, a.heap), steps, w, o)
	src.hear(r)
	if e := refused.close(); err == nil {
		err = e
	}
	if errors.Is(err, pipeline.ErrStopped) || ctx.Err() != nil {
		return &exitError{code: a.interruptCode(), err: fmt.Errorf("%s: stopped, nothing was written", out)}
	}
	var broken *stopError
	if errors.As(err, &broken) {
		return hinted(exitUsage, fmt.Errorf("%w; %s was not written", err, out), "")
	}
	if err != nil {
		return hinted(exitFailed, err, "")
	}
	return a.converted(out, f.rejected, counts)
}

// converted says how a conversion ended.
func (a *app) converted(out, rejected string, c pipeline.Counts) error {
	if a.json && out != "-" {
		if err := a.printJSON(map[string]any{"command": "convert", "rows": map[string]int64{"read": c.Read, "written": c.Accepted, "rejected": c.Rejected, "skipped": c.Skipped}}); err != nil {
			return err
		}
	} else {
		line := fmt.Sprintf("%s read, %s written", plural(c.Read, "row"), thousands(c.Accepted))
		if c.Skipped > 0 {
			line += fmt.Sprintf(", %s skipped", thousands(c.Skipped))
		}
		if c.Rejected > 0 {
			line += fmt.Sprintf(", %s refused: %s", thousands(c.Rejected), rejected)
		}
		a.say("%s", line)
	}
	if c.Rejected > 0 {
		return &exitError{code: exitRejected}
	}
	return nil
}

// recipeFor compiles the mapping of a conversion; its target is that of --to, or the mapping's own.
func (a *app) recipeFor(r readers.Reader, f *convertFlags, m *mappings.Mapping, text []byte) (*recipe, error) {
	name := f.to
	if name == "" {
		name = m.Target
	}
	if name == "" {
		return nil, hinted(exitUsage, fmt.Errorf("mapping %s names no target", f.mapping), "add --to TARGET")
	}
	t, err := a.parseTarget(name)
	if err != nil {
		return nil, err
	}
	return a.compile(t, r.Header(), exact(r), &f.mapFlags, m, text)
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
