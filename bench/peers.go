package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// scripts are what the peers are given to do. Each does the whole of the work; none of them checks an address or tells why
// a row is left out.
//
//go:embed peers
var scripts embed.FS

// tool is what a peer runs in: a program, a package of Node's or a module of Python's.
type tool struct {
	key, label string
	run        []string // how it is begun
	version    string
	why        string // it can't be used
}

// tools are those that are here and those that are not.
type tools struct {
	dir   string // of the scripts
	all   []tool
	nodes string // Node's packages
}

// findTools looks for every tool that a peer needs, and lays out the scripts.
func findTools(ctx context.Context, dir, packages string) (*tools, error) {
	t := &tools{dir: dir, all: []tool{
		{key: "mlr", label: "Miller"},
		{key: "taskset:mlr", label: "Miller on one processor (taskset)"},
		{key: "node:@duckdb/node-api", label: "DuckDB (@duckdb/node-api)"},
		{key: "duckdb", label: "DuckDB (program)"},
		{key: "node:nodejs-polars", label: "Polars (nodejs-polars)"},
		{key: "python:polars", label: "Polars (Python)"},
		{key: "python:pandas", label: "pandas"},
		{key: "python:", label: "Python"},
		{key: "node:", label: "Node"},
		{key: "node:papaparse", label: "PapaParse"},
		{key: "node:csv-parse", label: "csv-parse"},
		{key: "benthos", label: "Benthos (Redpanda Connect)"},
		{key: "node:xlsx", label: "SheetJS"},
		{key: "node:exceljs", label: "exceljs"},
		{key: "python:openpyxl", label: "openpyxl"},
		{key: "python:xlsxwriter", label: "XlsxWriter"},
		{key: "xlsx2csv", label: "xlsx2csv"},
		{key: "soffice", label: "LibreOffice"},
	}}
	if packages != "" {
		abs, err := filepath.Abs(packages)
		if err != nil {
			return nil, err
		}
		t.nodes = filepath.Join(abs, "node_modules")
	}
	for i := range t.all {
		t.find(ctx, &t.all[i])
	}
	files, err := scripts.ReadDir("peers")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := os.WriteFile(t.script(f.Name()), t.text(f.Name()), 0o644); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *tools) script(name string) string { return filepath.Join(t.dir, name) }

// text returns a script; there is one of every name that this package uses.
func (t *tools) text(name string) []byte {
	text, _ := scripts.ReadFile("peers/" + name)
	return text
}

func (t *tools) find(ctx context.Context, x *tool) {
	kind, name, _ := strings.Cut(x.key, ":")
	switch kind {
	case "node":
		t.node(ctx, x, name)
	case "python":
		python(ctx, x, name)
	case "benthos":
		for _, run := range [][]string{{"redpanda-connect", "run"}, {"benthos", "-c"}, {"rpk", "connect", "run"}} {
			ask := append(slices.Clone(run[:len(run)-1]), "--version")
			if x.version = version(printed(ctx, ask...)); x.version != "" {
				x.run = run
				return
			}
		}
		x.why = "not installed"
	case "taskset":
		x.run = []string{"taskset", "-c", "0", name}
		if x.version = version(printed(ctx, append(slices.Clone(x.run), "--version")...)); x.version == "" {
			x.why = "not installed"
		}
	default:
		x.run, x.version = []string{kind}, version(printed(ctx, kind, "--version"))
		if _, err := exec.LookPath(kind); err != nil || x.version == "" {
			x.why = "not installed"
		}
	}
}

// node looks for a package of Node's, by loading it; without a name it is Node itself.
func (t *tools) node(ctx context.Context, x *tool, name string) {
	x.run = []string{"node"}
	if _, err := exec.LookPath("node"); err != nil {
		x.why = "not installed"
		return
	}
	if name == "" {
		x.version = version(printed(ctx, "node", "--version"))
		return
	}
	about := filepath.Join(t.nodes, filepath.FromSlash(name), "package.json")
	if _, err := os.Stat(about); t.nodes == "" || err != nil {
		x.why = "not installed"
		return
	}
	cmd := exec.CommandContext(ctx, "node", "-e", "require(process.argv[1]); console.log(require(process.argv[2]).version)", name, about)
	cmd.Env = append(os.Environ(), "NODE_PATH="+t.nodes)
	out, err := cmd.CombinedOutput()
	if err != nil {
		x.why = "does not load: " + firstError(string(out))
		return
	}
	x.version = strings.TrimSpace(string(out))
}

// python looks for a module in the Python that is in $PATH and in the system's; without a name it is Python itself.
func python(ctx context.Context, x *tool, name string) {
	x.why = "not installed"
	for _, program := range []string{"python3", "/usr/bin/python3"} {
		if name == "" {
			x.version = version(printed(ctx, program, "--version"))
		} else {
			x.version = printed(ctx, program, "-c", "import sys, importlib.metadata as m; __import__(sys.argv[1]); print(m.version(sys.argv[1]))", name)
		}
		if x.version != "" {
			x.run, x.why = []string{program}, ""
			return
		}
	}
}

// version finds the number in what a program says of its version.
func version(said string) string {
	for word := range strings.FieldsSeq(said) {
		if word = strings.TrimLeft(word, "v"); word != "" && word[0] >= '0' && word[0] <= '9' {
			return strings.TrimRight(word, ",;")
		}
	}
	return said
}

// String lists all tools, those that are here with their versions.
func (t *tools) String() string {
	var here, missing, broken []string
	for _, x := range t.all {
		switch x.why {
		case "":
			here = append(here, x.label+" "+x.version)
		case "not installed":
			missing = append(missing, x.label)
		default:
			broken = append(broken, x.label+" "+x.why)
		}
	}
	text := "Peers: " + strings.Join(here, ", ") + "."
	if len(missing) > 0 {
		text += " Not installed: " + strings.Join(missing, ", ") + "."
	}
	if len(broken) > 0 {
		text += " Not usable: " + strings.Join(broken, "; ") + "."
	}
	return text
}

// peer is one of the others at one work.
type peer struct {
	name, tool string
	script     string   // "" where args say all
	args       []string // after the script
	env        []string
	out        string // what it writes, for the check
	prints     bool   // it prints that
}

// contenders returns the peers whose tools are here. Of several with one name, the first counts. check looks at what one
// has written.
func (t *tools) contenders(check func(ctx context.Context, out string) error, peers ...peer) []contender {
	var list []contender
	for _, p := range peers {
		i := slices.IndexFunc(t.all, func(x tool) bool { return x.key == p.tool })
		if i < 0 || t.all[i].why != "" || slices.ContainsFunc(list, func(c contender) bool { return c.name == p.name }) {
			continue
		}
		c := contender{name: p.name, args: slices.Clone(t.all[i].run), env: append(slices.Clone(p.env), "NODE_PATH="+t.nodes)}
		if p.script != "" {
			c.args = append(c.args, t.script(p.script))
		}
		c.args = append(c.args, p.args...)
		if p.prints {
			c.stdout = p.out
		}
		if p.out != "" && p.out != os.DevNull {
			c.fresh = []string{p.out}
			c.check = func(ctx context.Context) error { return check(ctx, p.out) }
		}
		list = append(list, c)
	}
	return list
}

// peersW1 are those that turn leads into JSON Lines.
func (s *setting) peersW1(data string) []peer {
	out := func(name string) string { return s.path("w1-" + name + ".jsonl") }
	duck := func(threads int, to, out string) []peer {
		name := fmt.Sprintf("DuckDB, %d threads, %s", threads, to)
		if threads == 1 {
			name = "DuckDB, 1 thread, " + to
		}
		sql := strings.NewReplacer("THREADS", fmt.Sprint(threads), "'IN'", quoted(data), "'OUT'", quoted(out)).Replace(string(s.tools.text("w1_duckdb.sql")))
		return []peer{
			{name: name, tool: "node:@duckdb/node-api", script: "w1_duckdb.js", args: []string{data, out, fmt.Sprint(threads)}, out: out},
			{name: name, tool: "duckdb", args: []string{"-c", sql}, out: out},
		}
	}
	simple := func(name, tool, script string) peer {
		o := out(script)
		return peer{name: name, tool: tool, script: script, args: []string{data, o}, out: o}
	}
	miller := func(name, tool, out string) peer {
		args := []string{"--icsv", "--ojsonl", "put", "-f", s.tools.script("w1.mlr"),
			"then", "cut", "-o", "-f", "id,last_name,company,email,phone,city,country,title,annual_revenue,created_at,industry,notes",
			"then", "rename", "id,custom0,last_name,name,title,custom1,annual_revenue,dealAmount,created_at,custom2,industry,custom3", data}
		return peer{name: name, tool: tool, args: args, out: out, prints: true}
	}
	list := slices.Concat(duck(2, "to a file", out("duckdb2")), duck(2, "to null", os.DevNull), duck(1, "to a file", out("duckdb1")), duck(1, "to null", os.DevNull))
	return append(list,
		miller("Miller", "mlr", out("miller")),
		miller("Miller, one processor", "taskset:mlr", out("miller1")),
		peer{name: "Benthos", tool: "benthos", script: "w1_benthos.yaml", env: []string{"IN=" + data, "OUT=" + out("benthos")}, out: out("benthos")},
		simple("Polars on Node", "node:nodejs-polars", "w1_polars.js"),
		simple("Polars on Python", "python:polars", "w1_polars.py"),
		simple("pandas, 50,000 rows at a time", "python:pandas", "w1_pandas.py"),
		simple("Python, csv and json", "python:", "w1_csv.py"),
		simple("PapaParse on Node", "node:papaparse", "w1_papaparse.js"),
		simple("csv-parse on Node", "node:csv-parse", "w1_csvparse.js"),
	)
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// peersW3 are those that read workbooks.
func (s *setting) peersW3(book string) []peer {
	simple := func(name, tool, script string) peer {
		out := s.path("w3-" + script + ".csv")
		return peer{name: name, tool: tool, script: script, args: []string{book, out}, out: out}
	}
	plain := s.path("w3-xlsx2csv.csv")
	return []peer{
		simple("openpyxl, read-only", "python:openpyxl", "w3_openpyxl.py"),
		{name: "xlsx2csv", tool: "xlsx2csv", args: []string{book, plain}, out: plain},
		simple("SheetJS", "node:xlsx", "w3_sheetjs.js"),
		simple("exceljs, streaming", "node:exceljs", "w3_exceljs.js"),
		s.office(book, "csv", "csv:Text - txt - csv (StarCalc):44,34,76,1"),
	}
}

// peersW4 are those that write workbooks. All cells are texts, as in the file of leads.
func (s *setting) peersW4(data string) []peer {
	simple := func(name, tool, script string) peer {
		out := s.path("w4-" + script + ".xlsx")
		return peer{name: name, tool: tool, script: script, args: []string{data, out}, out: out}
	}
	var texts []string // LibreOffice: which column is of which kind, 2 being text
	for i := range columns {
		texts = append(texts, fmt.Sprintf("%d/2", i+1))
	}
	return []peer{
		simple("openpyxl, write-only", "python:openpyxl", "w4_openpyxl.py"),
		simple("XlsxWriter, constant memory", "python:xlsxwriter", "w4_xlsxwriter.py"),
		simple("SheetJS", "node:xlsx", "w4_sheetjs.js"),
		simple("exceljs, streaming", "node:exceljs", "w4_exceljs.js"),
		s.office(data, "xlsx", "xlsx", "--infilter=Text - txt - csv (StarCalc):44,34,76,1,"+strings.Join(texts, "/")),
	}
}

// office has LibreOffice convert a file. It names the result itself.
func (s *setting) office(in, ext, to string, more ...string) peer {
	dir := s.path("libreoffice")
	base := filepath.Base(in)
	out := filepath.Join(dir, strings.TrimSuffix(base, filepath.Ext(base))+"."+ext)
	args := append([]string{"-env:UserInstallation=file://" + filepath.ToSlash(s.path("libreoffice-profile")), "--headless", "--convert-to", to}, more...)
	return peer{name: "LibreOffice", tool: "soffice", args: append(args, "--outdir", dir, in), out: out}
}
