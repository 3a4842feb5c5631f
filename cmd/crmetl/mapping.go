package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/crmetl/crmetl/mappings"
	"github.com/crmetl/crmetl/readers"
	"github.com/crmetl/crmetl/record"
)

func (a *app) mappingCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "mapping",
		Short: "Write, check and test mapping files",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	c.AddCommand(a.mappingInit(), a.mappingCheck(), a.mappingTest(), a.mappingList(), a.mappingShow(), a.mappingSchema())
	return c
}

func (a *app) mappingInit() *cobra.Command {
	var rf readFlags
	var mode string
	c := &cobra.Command{
		Use:     "init FILE TARGET",
		Short:   "Propose a mapping of a file's columns, on standard output",
		Example: "  crmetl mapping init leads.xlsx mapmycustomers/customers > leads.yaml",
		Args:    exactly("FILE", "TARGET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := a.parseTarget(args[1])
			if err != nil {
				return err
			}
			m, err := chooseMode(t, mode, nil)
			if err != nil {
				return err
			}
			src, err := a.file(args[0], &rf, false, "")
			if err != nil {
				return err
			}
			defer src.cleanup()
			r, err := src.open()
			if err != nil {
				return err
			}
			seen, err := inspect(cmd.Context(), src.name, r)
			if err != nil {
				return err
			}
			var out bytes.Buffer
			facts := mappings.Facts{Source: pinned(seen.How, &rf), Profile: seen.profile}
			if err := mappings.Init(&out, r.Header().Names(), seen.First, t.object, t.name, m, facts); err != nil {
				return err
			}
			for _, f := range seen.Findings {
				if f.Open || damage(f.Rule) {
					a.warn("%s: %s", src.name, f)
				}
			}
			_, err = a.stdout.Write(out.Bytes())
			return err
		},
	}
	rf.register(c.Flags())
	c.Flags().StringVar(&mode, "mode", "", "the import mode to write it for (default: the object's first)")
	return c
}

// pinned returns how a file is read, for a mapping to say, so that the next file is read in the same way.
func pinned(e readers.Evidence, told *readFlags) mappings.Source {
	s := mappings.Source{Format: told.format, Sheet: told.sheet, Range: told.cells, HeaderRow: told.headerRow}
	if e.HeaderRow > 0 && s.HeaderRow == "" && e.Format != "jsonl" {
		s.HeaderRow = strconv.Itoa(e.HeaderRow)
	}
	if e.Format != "xlsx" {
		s.Encoding, s.Delimiter, s.Quote, s.Escape, s.Comment = e.Encoding, e.Delimiter, e.Quote, e.Escape, e.Comment
	}
	if utf8.RuneCountInString(s.Delimiter) != 1 {
		s.Delimiter = told.delimiter
	}
	return s
}

func (a *app) mappingCheck() *cobra.Command {
	var rf readFlags
	var given []string
	c := &cobra.Command{
		Use:     "check MAPPING [FILE]",
		Short:   "Find every problem of a mapping, also against a file's columns",
		Example: "  crmetl mapping check leads.yaml\n  crmetl mapping check leads.yaml leads.xlsx",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("MAPPING is missing")
			}
			return atMost(2)(cmd, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			m, _, broken := mappings.Load(args[0])
			if m == nil || m.Target == "" {
				return errors.Join(usage(broken), noTarget(args[0], m))
			}
			t, err := a.parseTarget(m.Target)
			if err != nil {
				return errors.Join(usage(broken), err)
			}
			mode, err := chooseMode(t, "", m)
			if err != nil {
				return errors.Join(usage(broken), err)
			}
			origin := record.LooseHeader(m.Columns())
			if len(args) == 2 {
				rf.from(m)
				src, err := a.file(args[1], &rf, false, "")
				if err != nil {
					return err
				}
				defer src.cleanup()
				r, err := src.open()
				if err != nil {
					return err
				}
				origin = r.Header()
				if err := r.Close(); err != nil {
					return err
				}
			}
			defaults, err := parseDefaults(given)
			if err != nil {
				return err
			}
			p, err := mappings.Compile(m, origin, t.object, mappings.Options{Mode: mode, Defaults: defaults})
			if err != nil {
				return usage(err)
			}
			a.say("%s: good: %d fields of %s (%s)", args[0], p.Header().Len(), t.name, mode)
			return nil
		},
	}
	rf.register(c.Flags())
	c.Flags().StringArrayVar(&given, "default", nil, "`FIELD=VALUE` as the import will be given (repeatable)")
	return c
}

// noTarget is the error of a mapping that does not say what it is for.
func noTarget(name string, m *mappings.Mapping) error {
	if m == nil || m.Target != "" {
		return nil
	}
	return hinted(exitUsage, fmt.Errorf("mapping %s names no target", name), "add a line such as target: mapmycustomers/customers")
}

func (a *app) mappingTest() *cobra.Command {
	return &cobra.Command{
		Use:     "test MAPPING",
		Short:   "Run a mapping's own tests, offline",
		Example: "  crmetl mapping test leads.yaml",
		Args:    exactly("MAPPING"),
		RunE: func(_ *cobra.Command, args []string) error {
			m, _, err := mappings.Load(args[0])
			if err != nil {
				return usage(err)
			}
			if err := noTarget(args[0], m); err != nil {
				return err
			}
			t, err := a.parseTarget(m.Target)
			if err != nil {
				return err
			}
			mode, err := chooseMode(t, "", m)
			if err != nil {
				return err
			}
			results, err := mappings.RunTests(m, t.object, mode)
			if err != nil {
				return usage(err)
			}
			failed := 0
			for _, r := range results {
				if r.Failure != "" {
					failed++
					fmt.Fprintf(a.stdout, "FAIL %s:%d: %s\n", args[0], r.Line, r.Failure)
				}
			}
			fmt.Fprintf(a.stdout, "%d passed, %d failed\n", len(results)-failed, failed)
			if len(results) == 0 {
				return hinted(exitUsage, fmt.Errorf("%s has no tests", args[0]), "add some under tests: {row: {…}, want: {…}}")
			}
			if failed > 0 {
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
}

func (a *app) mappingList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the shipped mappings",
		Args:  exactly(),
		RunE: func(*cobra.Command, []string) error {
			list := mappings.List()
			if a.json {
				return a.printJSON(list)
			}
			name, target := 0, 0
			for _, m := range list {
				name, target = max(name, len(m.Name)), max(target, len(m.Target))
			}
			for _, m := range list {
				fmt.Fprintf(a.stdout, "%-*s  %-*s  %s\n", name, m.Name, target, m.Target, m.Doc)
			}
			return nil
		},
	}
}

func (a *app) mappingShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Print a shipped mapping",
		Example: "  crmetl mapping show mapmycustomers/customers > mine.yaml",
		Args:    exactly("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			_, text, err := mappings.Load(args[0])
			if err != nil {
				return usage(err)
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
}

func (a *app) mappingSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of mapping files, for editors",
		Args:  exactly(),
		RunE: func(*cobra.Command, []string) error {
			_, err := a.stdout.Write(mappings.JSONSchema())
			return err
		},
	}
}
