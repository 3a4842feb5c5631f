package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/crmetl/crmetl/internal/columns"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/readers"
	"github.com/crmetl/crmetl/record"
)

// inspection is what `crmetl inspect` finds.
type inspection struct {
	File     string           `json:"file"`
	How      readers.Evidence `json:"how"`
	Rows     int64            `json:"rows"`
	Refused  int64            `json:"refused"`
	Problems []string         `json:"problems"`
	Columns  []columnFacts    `json:"columns"`
	First    [][]string       `json:"first_rows"`
	// Findings say what whole columns show: the order of day and month, the decimal sign, damage by a spreadsheet.
	Findings []columns.Finding `json:"findings"`
	Error    string            `json:"error,omitempty"`

	profile *columns.Profile
}

// columnFacts is what a column holds, counted over the whole file.
type columnFacts struct {
	Column string           `json:"column"`
	Name   string           `json:"name"`
	Type   string           `json:"type"`
	Empty  int64            `json:"empty"`
	Filled int64            `json:"filled"`
	Kinds  map[string]int64 `json:"kinds"`
	kinds  [len(kindNames)]int64
}

// The looks of a cell, the narrowest first.
const (
	looksInteger = iota
	looksNumber
	looksBool
	looksDate
	looksDateTime
	looksTime
	looksEmail
	looksFault
	looksText
)

var kindNames = [...]string{"integer", "number", "boolean", "date", "datetime", "time", "e-mail", "error", "text"}

func (a *app) inspectCommand() *cobra.Command {
	var rf readFlags
	c := &cobra.Command{
		Use:     "inspect FILE",
		Short:   "Say how a file is read, on what evidence, and what is in it",
		Example: "  crmetl inspect leads.csv\n  crmetl inspect leads.xlsx --sheet 2 --json",
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := a.file(args[0], &rf, true, "")
			if err != nil {
				return err
			}
			defer src.cleanup()
			src.warn = nil // what there is to hear of stands among the notes
			r, err := src.open()
			if err != nil {
				return err
			}
			ctx, done := a.untilStop(cmd.Context())
			defer done()
			in, err := inspect(ctx, src.name, r)
			if ctx.Err() != nil {
				return &exitError{code: a.interruptCode(), err: errors.New("interrupted")}
			}
			if err != nil && in == nil {
				return err
			}
			if a.json {
				return errors.Join(a.printJSON(in), err)
			}
			return errors.Join(in.print(a.stdout), err)
		},
	}
	rf.register(c.Flags())
	return c
}

// inspect reads a whole file. It returns what it found also where the file breaks, together with the fault.
func inspect(ctx context.Context, name string, r readers.Reader) (*inspection, error) {
	in := &inspection{File: name, How: r.Evidence(), Problems: []string{}, First: [][]string{}, Findings: []columns.Finding{}, profile: columns.New(r.Header().Names())}
	for i, n := range r.Header().Names() {
		in.Columns = append(in.Columns, columnFacts{Column: record.ColumnName(i), Name: n})
	}
	_, err := pipeline.Run(ctx, r, nil, sinkFunc(func(b *record.Batch) error {
		for i := range b.Rows {
			if b.Rows[i].Fate.Open() {
				b.Rows[i].Accept("read", "")
			}
		}
		return nil
	}), pipeline.Options{Workers: 1, Retire: func(b *record.Batch) error {
		for i := range b.Rows {
			in.add(&b.Rows[i])
		}
		return nil
	}})
	for i := range in.Columns {
		in.Columns[i].finish()
	}
	in.How = r.Evidence()
	in.Findings = append(in.Findings, in.profile.Findings()...)
	if err != nil {
		in.Error = err.Error()
		return in, usage(err)
	}
	return in, nil
}

// sinkFunc is a sink that only looks.
type sinkFunc func(*record.Batch) error

func (f sinkFunc) Write(_ context.Context, b *record.Batch) error { return f(b) }
func (f sinkFunc) Commit(context.Context) error                   { return nil }
func (f sinkFunc) Close() error                                   { return nil }

// The most of what one inspection shows.
const (
	inspectRows     = 5
	inspectProblems = 10
)

func (in *inspection) add(row *record.Row) {
	in.Rows++
	if row.Fate == record.Rejected {
		in.Refused++
		if len(in.Problems) < inspectProblems {
			in.Problems = append(in.Problems, fmt.Sprintf("row %d (line %d): %v", row.Num, row.Line, row.Err))
		}
	}
	if len(in.First) < inspectRows {
		cells := make([]string, 0, len(row.Origin))
		for _, v := range row.Origin {
			cells = append(cells, v.Cell())
		}
		in.First = append(in.First, cells)
	}
	in.profile.Add(row.Origin)
	for i, v := range row.Origin {
		if i >= len(in.Columns) {
			break
		}
		c := &in.Columns[i]
		if v.IsEmpty() {
			c.Empty++
			continue
		}
		c.Filled++
		c.kinds[looks(v)]++
	}
}

var (
	integerForm  = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]{0,17})$`)
	numberForm   = regexp.MustCompile(`^[-+]?[0-9]+([.,][0-9]+)?([eE][-+]?[0-9]+)?$`)
	dateForm     = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$|^[0-9]{1,2}[./-][0-9]{1,2}[./-]([0-9]{2}|[0-9]{4})$`)
	dateTimeForm = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}`)
	emailForm    = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
)

// looks says what a cell looks like. A number with leading zeros is text: an id, a postal code or a phone.
func looks(v record.Value) int {
	switch v.Kind() {
	case record.Bool:
		return looksBool
	case record.Date:
		return looksDate
	case record.DateTime:
		return looksDateTime
	case record.Time:
		return looksTime
	case record.Fault:
		return looksFault
	case record.List, record.JSON:
		return looksText
	}
	s := strings.TrimSpace(v.Text())
	switch {
	case integerForm.MatchString(s):
		return looksInteger
	case numberForm.MatchString(s) && (s[0] != '0' || len(s) == 1 || s[1] == '.' || s[1] == ',') && !strings.HasPrefix(s, "+"):
		return looksNumber
	case dateForm.MatchString(s):
		return looksDate
	case dateTimeForm.MatchString(s):
		return looksDateTime
	case emailForm.MatchString(s):
		return looksEmail
	}
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no":
		return looksBool
	}
	return looksText
}

// finish names the column's type: the one that all its cells share, text otherwise.
func (c *columnFacts) finish() {
	c.Kinds = map[string]int64{}
	c.Type = "empty"
	for k, n := range c.kinds {
		if n == 0 {
			continue
		}
		c.Kinds[kindNames[k]] = n
		switch {
		case c.Type == "empty" || c.Type == "integer" && k == looksNumber:
			c.Type = kindNames[k]
		case c.Type != kindNames[k]:
			c.Type = "text"
		}
	}
}

func (in *inspection) print(w io.Writer) error {
	h := in.How
	fmt.Fprintf(w, "%s\n", in.File)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-12s %s\n", name, value)
		}
	}
	line("format", strings.TrimSpace(h.Format+" "+h.Compression))
	line("encoding", h.Encoding)
	line("delimiter", shown(h.Delimiter))
	line("quote", h.Quote)
	line("escape", h.Escape)
	line("comments", h.Comment)
	line("line ends", h.LineEnds)
	line("sheet", h.Sheet)
	if h.HeaderRow > 0 {
		line("header", fmt.Sprintf("row %d", h.HeaderRow))
	} else {
		line("header", "none")
	}
	line("rows", fmt.Sprintf("%s, %s refused", thousands(in.Rows), thousands(in.Refused)))
	for _, n := range h.Notes {
		line("note", n)
	}
	for _, p := range in.Problems {
		line("problem", p)
	}
	if int64(len(in.Problems)) < in.Refused {
		line("", fmt.Sprintf("and %s more", thousands(in.Refused-int64(len(in.Problems)))))
	}
	for _, f := range in.Findings {
		what := "column"
		switch {
		case f.Open:
			what = "unclear"
		case damage(f.Rule):
			what = "damage"
		}
		line(what, fmt.Sprintf("%s (%s): %s", f.Letter, f.Name, f.Text))
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "  \tCOLUMN\tTYPE\tFILLED\tEMPTY\tFIRST VALUES")
	for i, c := range in.Columns {
		var first []string
		for _, row := range in.First {
			if i < len(row) && strings.TrimSpace(row[i]) != "" && len(first) < 3 {
				first = append(first, clip(row[i], 24))
			}
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\n", c.Column, clip(c.Name, 32), c.Type, thousands(c.Filled), thousands(c.Empty), strings.Join(first, " | "))
	}
	return t.Flush()
}

// damage reports whether a finding's rule is about what a spreadsheet did to cells.
func damage(rule string) bool { return rule != "date_order" && rule != "decimal_sign" }

func shown(delimiter string) string {
	switch delimiter {
	case "\t":
		return "tab"
	case ",":
		return "comma"
	case ";":
		return "semicolon"
	case "|":
		return "pipe"
	}
	return delimiter
}

// clip shortens text for a table and keeps it on one line.
func clip(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}

// thousands writes a count as people read it: 12,400.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural writes a count with its noun: 1 row, 12,400 rows.
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}
