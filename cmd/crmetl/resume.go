package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/crmetl/crmetl/internal/journal"
	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/mappings"
)

func (a *app) resumeCommand() *cobra.Command {
	var unsure string
	c := &cobra.Command{
		Use:   "resume [RUN]",
		Short: "Carry on an unfinished run (default: the newest)",
		Long: `Carry on an unfinished run where it stood. Rows that were sent without an answer are looked up at the vendor before they
are sent again. A finished run with unsure rows can be resumed too: those rows are tried again. RUN is an id, a unique
beginning of one, or a run's folder.`,
		Example: "  crmetl resume\n  crmetl resume 20261122T1015\n  crmetl resume crmetl-runs/20261122T101500Z-3f9a",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := a.unfinished(args)
			if err != nil {
				return err
			}
			return a.resumeRun(cmd.Context(), dir, unsure)
		},
	}
	c.Flags().StringVar(&unsure, "unsure", "", "rows whose outcome was lost: check, resend or hold (default: as the run began)")
	return c
}

// unfinished finds the folder of the run to resume.
func (a *app) unfinished(args []string) (string, error) {
	if len(args) == 1 {
		dir, err := report.Find(runsRoot(), args[0])
		return dir, usage(err)
	}
	runs, err := report.List(runsRoot(), held)
	if err != nil {
		return "", usage(err)
	}
	for _, r := range runs {
		if _, err := os.Stat(filepath.Join(r.Dir, journal.FileName)); err != nil {
			continue
		}
		switch r.Status {
		case "succeeded", "failed":
			continue
		case "partial":
			if r.Summary.Rows.Unsure == 0 {
				continue
			}
		}
		if held := journal.Holder(r.Dir); held != nil {
			continue
		}
		return r.Dir, nil
	}
	return "", hinted(exitUsage, errors.New("there is no unfinished run here"), "crmetl runs lists those in "+runsRoot()+"; a run with a folder of its own is named by it: crmetl resume DIR")
}

// resumeRun rebuilds a run from its journal and goes on with it.
func (a *app) resumeRun(ctx context.Context, dir, unsure string) error {
	view, err := journal.Read(dir)
	if err != nil {
		if errors.Is(err, journal.ErrAbsent) {
			err = fmt.Errorf("%s: there is nothing to resume: %w", dir, err)
		}
		return usage(err)
	}
	spec := view.Spec()
	before, err := report.ReadSummary(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return usage(err)
	}
	switch {
	case before.Status == "succeeded", before.Status == "partial" && before.Rows.Unsure == 0:
		a.say("run %s is finished: nothing is left to do", spec.Run)
		if err := a.finish(before, dir); err != nil || before.ExitCode() == exitOK {
			return err
		}
		return &exitError{code: before.ExitCode()}
	case before.Status == "failed":
		return usagef("run %s failed and can't be resumed", spec.Run)
	}
	f := &loadFlags{}
	if err := f.restore(spec.Options); err != nil {
		return usage(err)
	}
	if unsure != "" {
		f.unsure = unsure
	}
	if err := f.check(); err != nil {
		return err
	}
	f.runDir, f.mode, f.key = dir, spec.Mode, spec.Key
	if a.sandbox == "" {
		a.sandbox = spec.Options["sandbox"]
	}
	t, err := a.parseTarget(spec.Target)
	if err != nil {
		return err
	}
	m, text, err := keptMapping(spec.Mapping)
	if err != nil {
		return err
	}
	if m != nil {
		f.from(m)
	}
	src := &source{path: spec.Source.Path, name: spec.Options[optionSource], options: f.readFlags.options(false), cleanup: func() {}}
	if src.name == "" {
		src.name = spec.Source.Path
	}
	if _, err := os.Stat(src.path); err != nil {
		return hinted(exitUsage, fmt.Errorf("the source of run %s is gone: %w", spec.Run, err), "put the file back and resume again")
	}
	// Whether the file is still the same is checked before its header is looked at: a changed header would give a
	// less telling error.
	now := spec
	if now.Source, err = journal.SourceOf(src.path); err != nil {
		return usage(err)
	}
	now.Schema = t.object.Digest()
	if spec.Mapping.Text != "" {
		switch _, text, err := mappings.Load(spec.Mapping.Name); {
		case text != nil:
			now.Mapping.Digest = journal.Digest(text)
		case err != nil:
			a.warn("the mapping %s can't be read; the run goes on with the text that it began with", spec.Mapping.Name)
		}
	}
	if err := spec.Check(now); err != nil {
		return usage(err)
	}
	spec.Source = now.Source // the same content, perhaps written anew
	r, err := src.open()
	if err != nil {
		return err
	}
	origin, digits := r.Header(), exact(r)
	if err := r.Close(); err != nil {
		return usage(err)
	}
	f.mapping = spec.Mapping.Name
	re, err := a.compile(t, origin, digits, &f.mapFlags, m, text)
	if err != nil {
		return err
	}
	job := &loading{app: a, dir: dir, src: src, recipe: re, flags: f, spec: spec, resume: true}
	return job.run(ctx)
}
