package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/crmetl/crmetl/internal/journal"
	"github.com/crmetl/crmetl/internal/near"
	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/mappings"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/readers"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// readFlags say how a file is read.
type readFlags struct {
	format, delimiter, encoding string
	sheet, headerRow, cells     string
	quote, escape, comment      string
	skipHidden, fillMerged      bool
}

func (f *readFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.format, "format", "", "the file's format: csv, tsv, xlsx or jsonl (default: by its name)")
	fs.StringVar(&f.delimiter, "delimiter", "", "the `CHARACTER` between cells of a text file (default: found out)")
	fs.StringVar(&f.encoding, "encoding", "", "the text file's encoding, as in windows-1252 (default: found out)")
	fs.StringVar(&f.quote, "quote", "", "the `CHARACTER` around cells of a text file, or none (default: found out)")
	fs.StringVar(&f.escape, "escape", "", "the `CHARACTER` before a quote that is part of a quoted cell, or none: it is doubled (default: found out)")
	fs.StringVar(&f.comment, "comment", "", "lines of a text file that begin with this `TEXT` are left out, or none (default: found out)")
	fs.StringVar(&f.sheet, "sheet", "", "the workbook's sheet, by `NAME` or number (default: the first)")
	fs.StringVar(&f.headerRow, "header-row", "", "the `ROW` that holds the column names, or none; of a workbook also a run of rows, 2-3")
	fs.BoolVar(&f.skipHidden, "skip-hidden", false, "leave out the workbook's hidden rows")
	fs.BoolVar(&f.fillMerged, "fill-merged", false, "give every cell that a merged cell of the workbook covers its value")
	fs.StringVar(&f.cells, "range", "", "the `CELLS` of the sheet to read, as in A1:K900")
}

// from fills in what the mapping says of its files; flags win.
func (f *readFlags) from(m *mappings.Mapping) {
	for _, x := range []struct {
		flag *string
		kept string
	}{{&f.format, m.Source.Format}, {&f.delimiter, m.Source.Delimiter}, {&f.encoding, m.Source.Encoding}, {&f.sheet, m.Source.Sheet}, {&f.headerRow, m.Source.HeaderRow}, {&f.cells, m.Source.Range}, {&f.quote, m.Source.Quote}, {&f.escape, m.Source.Escape}, {&f.comment, m.Source.Comment}} {
		if *x.flag == "" {
			*x.flag = x.kept
		}
	}
	f.skipHidden, f.fillMerged = f.skipHidden || m.Source.SkipHidden, f.fillMerged || m.Source.FillMerged
}

// load reads the mapping that the flags name, nil if they name none.
func (f *mapFlags) load() (*mappings.Mapping, []byte, error) {
	if f.mapping == "" {
		return nil, nil, nil
	}
	m, text, err := mappings.Load(f.mapping)
	if m != nil {
		// Its problems are met again when it is compiled, together with those that only show against the file.
		return m, text, nil
	}
	return nil, nil, usage(err)
}

func (f *readFlags) options(loose bool) readers.Options {
	return readers.Options{Format: f.format, Delimiter: f.delimiter, Encoding: f.encoding, Sheet: f.sheet, HeaderRow: f.headerRow, Range: f.cells, Loose: loose, Quote: f.quote, Escape: f.escape, Comment: f.comment, SkipHidden: f.skipHidden, FillMerged: f.fillMerged}
}

// mapFlags say how rows become records.
type mapFlags struct {
	mapping, mode, key, blank string
	defaults                  []string
	attachments               string
	own                       map[string]*bool // the objects' own flags
}

func (f *mapFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.mapping, "mapping", "", "mapping `FILE`, or the name of a shipped one (default: columns by their names)")
	fs.StringVar(&f.mode, "mode", "", "what to do at the vendor: create, update, upsert, delete, … (default: the object's first)")
	fs.StringVar(&f.key, "key", "", "the `FIELD` that upsert matches on")
	fs.StringVar(&f.blank, "blank", "", "what an empty cell means: omit (leave the field alone), clear or reject")
	fs.StringArrayVar(&f.defaults, "default", nil, "`FIELD=VALUE` for records that have none (repeatable)")
	f.own = map[string]*bool{}
	for _, v := range vendors() {
		for _, o := range v.Objects {
			for _, x := range o.Options {
				if f.own[x.Name] == nil {
					f.own[x.Name] = fs.Bool(x.Name, false, fmt.Sprintf("%s/%s: %s", v.Name, o.Name, x.Doc))
				}
			}
		}
	}
	fs.StringVar(&f.attachments, "attachments", "", "the `DIR` that paths of attached files are looked up in")
}

// source is a file that can be read more than once: standard input is kept in a file first.
type source struct {
	path    string // where it is read from
	name    string // how messages and the summary call it
	options readers.Options
	cleanup func()
	warn    func(format string, args ...any) // hears of what was guessed or left out; nil = nobody does
	warned  int                              // how many of the reader's warnings it has heard
	hasty   bool                             // its encoding is told by its beginning, until that turns out to be wrong
}

// hurry spares the pass that finds the encoding: until misread says otherwise, it is what the beginning of the file looks
// like.
func (s *source) hurry() { s.hasty = s.options.Encoding == "" }

// misread reports whether an error may come of a beginning that looked like another encoding than the file has. The
// file is then to be read again, now with all that the whole of it tells.
func (s *source) misread(err error) bool {
	var broken *stopError
	if !s.hasty || !errors.As(err, &broken) || broken.reason != "source" {
		return false
	}
	s.hasty, s.options.Encoding = false, ""
	return true
}

// file returns the source for a FILE argument. Standard input is copied into spool (a folder), because a run reads
// its source twice: to plan, and to load.
func (a *app) file(arg string, f *readFlags, loose bool, spool string) (*source, error) {
	if arg != "-" {
		return &source{path: arg, name: arg, options: f.options(loose), cleanup: func() {}, warn: a.warn}, nil
	}
	if f.format == "" {
		return nil, hinted(exitUsage, errors.New("standard input has no name to tell its format by"), "add --format csv, tsv, xlsx or jsonl")
	}
	temp, err := os.CreateTemp(spool, "stdin-*."+f.format)
	if err != nil {
		return nil, usage(fmt.Errorf("standard input is kept in a temporary file: %w", err))
	}
	path := temp.Name()
	cleanup := func() { _ = os.Remove(path) }
	_, err = io.Copy(temp, a.stdin)
	var magic [4]byte
	_, _ = temp.ReadAt(magic[:], 0) // less than that is no archive
	if err = errors.Join(err, temp.Close()); err == nil {
		if packed := packing(magic, f.format); packed != "" {
			if err = os.Rename(path, path+packed); err == nil {
				path += packed
			}
		}
	}
	if err != nil {
		cleanup()
		return nil, usage(fmt.Errorf("standard input: %w", err))
	}
	return &source{path: path, name: "-", options: f.options(loose), cleanup: cleanup, warn: a.warn}, nil
}

// packing returns the ending of a file that begins so, if it is packed: a stream has no name to tell that by.
func packing(magic [4]byte, format string) string {
	switch {
	case magic[0] == 0x1f && magic[1] == 0x8b:
		return ".gz"
	case magic == [4]byte{0x28, 0xb5, 0x2f, 0xfd}:
		return ".zst"
	case magic == [4]byte{'P', 'K', 3, 4} && !strings.EqualFold(format, "xlsx"):
		return ".zip"
	}
	return ""
}

// exact reports whether numbers come with all their digits: text does, a workbook keeps fifteen of them.
func exact(r readers.Reader) bool { return r.Evidence().Format != "xlsx" }

func (s *source) open() (readers.Reader, error) { return s.openBare(0) }

// openBare opens the file to be looked at: below that line, rows need no cells.
func (s *source) openBare(below int64) (readers.Reader, error) {
	o := s.options
	o.Hasty, o.Bare = s.hasty, below
	r, err := readers.Open(s.path, o)
	if err != nil {
		if s.name != s.path {
			err = errors.New(strings.ReplaceAll(err.Error(), s.path, "standard input"))
		}
		return nil, usage(err)
	}
	e := r.Evidence()
	if err := s.fits(e.Format); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	s.hear(r)
	if s.options.Encoding == "" && e.Format != "xlsx" {
		s.options.Encoding = e.Encoding // found once, it need not be looked for again
	}
	return r, nil
}

// hear passes on the warnings of a reader that have not been heard: at the end of a file there may be more of them.
func (s *source) hear(r readers.Reader) {
	all := r.Evidence().Warnings
	if s.warn == nil {
		return
	}
	for ; s.warned < len(all); s.warned++ {
		s.warn("%s: %s", s.name, all[s.warned])
	}
}

// fits refuses options that mean nothing for the file's format: they would be ignored in silence.
func (s *source) fits(format string) error {
	o := s.options
	for _, x := range []struct{ flag, value, only string }{{"sheet", o.Sheet, "xlsx"}, {"range", o.Range, "xlsx"}, {"delimiter", o.Delimiter, "text"}, {"encoding", o.Encoding, "text"}, {"quote", o.Quote, "text"}, {"escape", o.Escape, "text"}, {"comment", o.Comment, "text"}} {
		workbook := format == "xlsx"
		if x.value != "" && workbook != (x.only == "xlsx") {
			return usagef("--%s means nothing for a %s file", x.flag, format)
		}
	}
	if format != "xlsx" && (o.SkipHidden || o.FillMerged) {
		return usagef("--skip-hidden and --fill-merged mean nothing for a %s file", format)
	}
	return nil
}

// plan of how the rows of a source become records of a target: mapping and checks, compiled.
type recipe struct {
	target      *target
	mode        schema.Mode
	key         string
	mapping     *mappings.Mapping
	text        []byte // the mapping file's own text, nil if columns are matched by name
	program     *mappings.Program
	steps       []pipeline.Step
	origin      *record.Header
	ignored     []string
	suggestions map[string]string
	load        schema.Load
}

// compile turns flags, mapping and header into a recipe. Every wrong name is found here, before the first row. Without
// a mapping (nil) columns are matched by their names. exact says that the file's numbers have all their digits, as
// those of a workbook may not.
func (a *app) compile(t *target, origin *record.Header, exact bool, f *mapFlags, given *mappings.Mapping, text []byte) (*recipe, error) {
	r := &recipe{target: t, origin: origin, key: f.key, mapping: given, text: text}
	var err error
	if given != nil {
		if m := r.mapping.Target; m != "" && !sameTarget(m, t) {
			return nil, hinted(exitUsage, fmt.Errorf("mapping %s is for %s, the import goes to %s", f.mapping, m, t.name), "crmetl mapping list shows the shipped mappings")
		}
	}
	if r.mode, err = chooseMode(t, f.mode, r.mapping); err != nil {
		return nil, err
	}
	if r.mapping == nil {
		r.mapping, r.ignored, r.suggestions, err = mappings.Match(origin.Names(), t.object, r.mode)
		if err != nil {
			return nil, hinted(exitUsage, err, "write a mapping: crmetl mapping init FILE "+t.name)
		}
	}
	defaults, err := parseDefaults(f.defaults)
	if err != nil {
		return nil, err
	}
	switch f.blank {
	case "", "omit", "clear", "reject":
	default:
		return nil, usagef("--blank %q: it is omit, clear or reject", f.blank)
	}
	r.program, err = mappings.Compile(r.mapping, origin, t.object, mappings.Options{Mode: r.mode, Blank: f.blank, Defaults: defaults, ExactNumbers: exact})
	if err != nil {
		hint := ""
		if given == nil && len(f.defaults) == 0 {
			hint = "rename the columns, or write a mapping: crmetl mapping init FILE " + t.name
		}
		return nil, hinted(exitUsage, err, hint)
	}
	if given != nil {
		r.ignored = r.program.Unread()
	}
	checker, err := schema.NewChecker(t.object, r.program.Header(), r.mode)
	if err != nil {
		return nil, usage(err)
	}
	checker.Columns = r.program.Columns()
	if r.key != "" && r.mode != schema.Upsert {
		return nil, usagef("--key says what upsert matches on; it does not go with mode %s", r.mode)
	}
	if keys := t.object.KeyFields; r.key != "" && len(keys) > 0 && !slices.Contains(keys, r.key) {
		return nil, usagef("--key %s: %s can be matched by %s", r.key, t.name, strings.Join(keys, ", "))
	}
	for _, name := range r.program.Header().Names() {
		if field, ok := t.object.Field(name); ok && field.Type == schema.File && f.attachments == "" {
			return nil, hinted(exitUsage, fmt.Errorf("field %s takes files, and no folder is named that they are in", name), "add --attachments DIR, or leave the column out")
		}
	}
	if f.attachments != "" {
		if info, err := os.Stat(f.attachments); err != nil || !info.IsDir() {
			return nil, usagef("--attachments %s: there is no such folder", f.attachments)
		}
	}
	if r.key != "" && r.mode == schema.Upsert && r.program.Header().Index(r.key) < 0 {
		hint := "map a column to it"
		if n := near.Name(r.key, r.program.Header().Names()); n != "" {
			hint = fmt.Sprintf("did you mean --key %s?", n)
		}
		return nil, hinted(exitUsage, fmt.Errorf("--key %s: no column is mapped to that field", r.key), hint)
	}
	r.load = schema.Load{Mode: r.mode, Key: r.key, Header: r.program.Header(), Attachments: f.attachments, Warn: func(s string) { a.warn("%s", s) }}
	r.load.Defaults = r.program.Defaults()
	if r.load.Settings, err = a.plainSettings(t); err != nil {
		return nil, err
	}
	if r.load.Options, err = f.optionsFor(t, r.mode); err != nil {
		return nil, err
	}
	r.steps = []pipeline.Step{r.program, checker}
	if t.via.Check != nil {
		step, err := t.via.Check(t.object.Name, r.load)
		if err != nil {
			return nil, usage(err)
		}
		if step != nil {
			r.steps = append(r.steps, step)
		}
	}
	return r, nil
}

// optionsFor returns the object's own options that are set, and refuses those of other objects: they would be ignored in
// silence.
func (f *mapFlags) optionsFor(t *target, mode schema.Mode) (map[string]bool, error) {
	on := map[string]bool{}
	for _, name := range sortedKeys(f.own) {
		if !*f.own[name] {
			continue
		}
		x, ok := t.object.Option(name)
		if !ok {
			return nil, usagef("--%s means nothing for %s", name, t.name)
		}
		if len(x.Modes) > 0 && !slices.Contains(x.Modes, mode) {
			return nil, usagef("--%s means nothing for mode %s", name, mode)
		}
		on[name] = true
	}
	return on, nil
}

// parseDefaults reads FIELD=VALUE.
func parseDefaults(given []string) (map[string]string, error) {
	out := map[string]string{}
	for _, d := range given {
		field, value, ok := strings.Cut(d, "=")
		if !ok {
			return nil, usagef("--default %q: it is FIELD=VALUE", d)
		}
		out[field] = value
	}
	return out, nil
}

// sameTarget reports whether a mapping's target means t: the same words, or the vendor's own name and the object.
func sameTarget(m string, t *target) bool {
	return m == t.name || m == t.vendor.Name+"/"+t.object.Name
}

func chooseMode(t *target, flag string, m *mappings.Mapping) (schema.Mode, error) {
	if len(t.object.Modes) == 0 {
		hint := ""
		if t.object.Export.Any() {
			hint = "it can be exported: crmetl export " + t.name + " FILE"
		}
		return "", hinted(exitUsage, fmt.Errorf("%s offers no way to import %s", t.vendor.Title, t.object.Name), hint)
	}
	mode := t.object.Modes[0]
	if m != nil && m.Mode != "" {
		mode = m.Mode
	}
	if flag != "" {
		mode = schema.Mode(flag)
	}
	if !t.object.HasMode(mode) {
		var names []string
		for _, x := range t.object.Modes {
			names = append(names, string(x))
		}
		return "", usagef("mode %q: %s can be imported with %s", mode, t.name, strings.Join(names, ", "))
	}
	return mode, nil
}

// tell says once which columns are not used.
func (a *app) tell(r *recipe) {
	if len(r.ignored) == 0 {
		return
	}
	a.say("ignored columns: %s", describeIgnored(r))
}

// freshDir refuses a folder that holds a run: its files are not to be overwritten.
func freshDir(dir string) error {
	for _, name := range []string{journal.FileName, report.SummaryFile, report.SuccessFile, report.RejectedFile, report.UnsureFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return hinted(exitUsage, fmt.Errorf("%s: the folder holds a run already", dir), "name another folder with --run-dir")
		}
	}
	return nil
}

// runsRoot is the folder that runs are kept in unless --run-dir names one run's own.
func runsRoot() string { return report.RunsFolder }

// absolute makes a path independent of the folder that a resume is started in.
func absolute(path string) string {
	if path == "" || path == "-" {
		return path
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// keptMapping is the mapping of a run that goes on: its file may be gone or changed.
func keptMapping(kept journal.Mapping) (*mappings.Mapping, []byte, error) {
	if kept.Text == "" {
		return nil, nil, nil
	}
	m, err := mappings.Parse(kept.Name, []byte(kept.Text))
	return m, []byte(kept.Text), usage(err)
}
