package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/internal/beside"
)

const module = "github.com/crmetl/crmetl/"

// room is a package, or all packages that a pattern names, and what its code may import of ours. In a pattern * is
// one folder. In a list, "…" stands for the package's own subfolders, and "internal" for the internal folder of its
// shelf.
type room struct {
	name string
	may  []string
	why  string
}

// rooms says who may import whom. The first pattern that fits counts. What is in no room fails the test: give it one.
var rooms = []room{
	{"cmd/*", []string{"*"}, "the command knows everybody"},
	{"bench", []string{"*"}, "measuring the whole knows everybody"},
	{"record", nil, "record is the atom: it imports nothing of ours"},
	{"schema", []string{"record", "internal/near"}, "the schema is data about vendors: it knows records, no file, no connection"},
	{"transforms", []string{"record", "internal/near"}, "a transform is a pure function on one cell"},
	{"mappings", []string{"record", "schema", "transforms", "internal/near", "internal/columns"}, "a mapping knows neither files nor connections"},
	{"pipeline", []string{"record"}, "the engine knows no file, no vendor and no mapping"},
	{"readers", []string{"…", "pipeline", "record", "internal/columns"}, "a switchboard knows its shelf"},
	{"readers/internal/*", []string{"record"}, "what readers share knows records at most"},
	{"readers/*", []string{"record", "pipeline", "internal"}, "files know nothing of vendors, and siblings never import siblings"},
	{"writers", []string{"…", "pipeline", "record"}, "a switchboard knows its shelf"},
	{"writers/internal/*", []string{"record", "internal/disk"}, "what writers share knows records at most"},
	{"writers/*", []string{"record", "pipeline", "internal"}, "files know nothing of vendors, and siblings never import siblings"},
	{"connectors", []string{"…", "schema", "pipeline", "internal/api", "internal/sandbox"}, "a switchboard knows its shelf"},
	{"connectors/*/sandbox", []string{"record", "schema", "internal/sandbox"}, "a simulator never knows the client that it judges"},
	{"connectors/*", []string{"record", "schema", "pipeline", "internal/api", "internal/delivery", "internal/near"}, "vendors know nothing of files, and siblings never import siblings"},
	{"internal/near", nil, "a leaf that everybody may use"},
	{"internal/disk", nil, "a leaf for all who write large files"},
	{"internal/columns", []string{"record"}, "what columns hold is seen from their cells alone"},
	{"internal/delivery", []string{"record", "schema", "pipeline", "internal/api"}, "what all sinks share knows no vendor"},
	{"internal/api", nil, "calls over HTTP know nothing of what they carry"},
	{"internal/journal", []string{"record", "pipeline"}, "the journal knows rows and the engine's interfaces"},
	{"internal/sandbox", []string{"record", "schema"}, "what simulators share knows no client"},
	{"internal/sourcetest", []string{"record", "pipeline"}, "a suite knows the interface that it tests"},
	{"internal/sinktest", []string{"record", "pipeline"}, "a suite knows the interface that it tests"},
	{"internal/deliverytest", []string{"record", "pipeline"}, "what the tests of sinks share knows the interfaces that they test, and no vendor"},
	{"internal/beside", nil, "what finds files for tests knows nothing else"},
	{"internal/sandboxtest", []string{"internal/sandbox", "internal/beside"}, "what the tests of simulators share knows no vendor"},
	{"internal/report", []string{"record", "pipeline", "internal/journal", "internal/disk"}, "reports are made of rows and what the journal knows of them"},
	{"internal/config", []string{"schema", "internal/near"}, "the config file knows which settings a vendor has"},
	{"internal/cluster", []string{"record", "pipeline", "internal/journal"}, "the distributed engine knows what the engine knows"},
	{"internal/house", nil, "the house rules know packages by name only"},
}

// source is one Go file of the project.
type source struct {
	path string // from the project's root, with slashes
	tree *ast.File
	fset *token.FileSet
}

func (s *source) pkg() string { return path.Dir(s.path) }

func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s *source) at(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// TestHouse holds the project against the rules.
func TestHouse(t *testing.T) {
	sources := project(t)
	if len(sources) < 20 {
		t.Fatalf("only %d files were found: the test looks in the wrong place", len(sources))
	}
	for _, problem := range inspect(sources) {
		t.Error(problem)
	}
}

// project parses every Go file below go.mod.
func project(t *testing.T) []*source {
	t.Helper()
	root := beside.Root(t)
	var sources []*source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			// depcheck only pins dependencies while the project is young.
			if p != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata") || rel == "internal/depcheck" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		s, err := parse(rel, string(text))
		if err != nil {
			return err
		}
		sources = append(sources, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

func parse(path, text string) (*source, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, path, text, parser.ParseComments)
	return &source{path, tree, fset}, err
}

// inspect returns everything that breaks a rule.
func inspect(sources []*source) []string {
	var problems []string
	packages := map[string][]*source{}
	for _, s := range sources {
		problems = append(problems, imports(s)...)
		if s.isTest() {
			continue
		}
		packages[s.pkg()] = append(packages[s.pkg()], s)
		problems = append(problems, calls(s)...)
	}
	for name, files := range packages {
		problems = append(problems, mutable(files)...)
		if !slices.ContainsFunc(files, func(s *source) bool { return strings.TrimSpace(s.tree.Doc.Text()) != "" }) {
			problems = append(problems, fmt.Sprintf("%s: no file has a package comment that says what the package provides", name))
		}
	}
	slices.Sort(problems)
	return problems
}

// imports holds a file's imports against the rooms.
func imports(s *source) []string {
	var problems []string
	pkg := s.pkg()
	i := slices.IndexFunc(rooms, func(r room) bool { return fits(r.name, pkg) })
	if i < 0 {
		return []string{fmt.Sprintf("%s: package %s has no place in the house: say in the test whom it may import, and why", s.path, pkg)}
	}
	r := rooms[i]
	for _, spec := range s.tree.Imports {
		full, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		target, ours := strings.CutPrefix(full, module)
		if !ours || allowed(r, pkg, target) {
			continue
		}
		switch {
		case !s.isTest():
			list := "nothing of ours"
			if len(r.may) > 0 {
				list = strings.Join(r.may, ", ")
			}
			problems = append(problems, fmt.Sprintf("%s imports %s: %s (%s may import %s)", s.at(spec), target, r.why, r.name, list))
		case target == pkg || strings.HasPrefix(target, pkg+"/"):
		case strings.HasPrefix(target, "cmd/"), path.Dir(target) == path.Dir(pkg) && path.Dir(pkg) != "internal" && path.Dir(pkg) != ".",
			path.Base(pkg) == "sandbox" && target == path.Dir(pkg):
			// Tests may borrow from anywhere else: a writer is tested by reading back what it wrote.
			problems = append(problems, fmt.Sprintf("%s imports %s: %s, not even in a test", s.at(spec), target, r.why))
		}
	}
	return problems
}

func allowed(r room, pkg, target string) bool {
	return slices.ContainsFunc(r.may, func(p string) bool {
		switch p {
		case "*":
			return true
		case "…":
			return strings.HasPrefix(target, pkg+"/")
		case "internal":
			return strings.HasPrefix(target, path.Dir(pkg)+"/internal/")
		}
		return p == target
	})
}

// fits reports whether a package's path has the pattern's form.
func fits(pattern, pkg string) bool {
	ok, err := path.Match(pattern, pkg)
	return err == nil && ok
}

// calls finds what no file may do: init functions, an end of the process anywhere but in main.go, panics.
func calls(s *source) []string {
	var problems []string
	ast.Inspect(s.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				problems = append(problems, s.at(n)+": func init: nothing happens by itself; call it where it is needed")
			}
		case *ast.CallExpr:
			switch f := n.Fun.(type) {
			case *ast.Ident:
				if f.Name == "panic" && f.Obj == nil && !abortsHandler(n) {
					problems = append(problems, s.at(n)+": panic: return an error that says what, where and what to do next")
				}
			case *ast.SelectorExpr:
				x, ok := f.X.(*ast.Ident)
				if !ok || x.Obj != nil {
					break
				}
				ends := x.Name == "os" && f.Sel.Name == "Exit" || x.Name == "log" && (strings.HasPrefix(f.Sel.Name, "Fatal") || strings.HasPrefix(f.Sel.Name, "Panic"))
				if ends && s.path != "cmd/crmetl/main.go" && s.path != "bench/main.go" {
					problems = append(problems, fmt.Sprintf("%s: %s.%s: only cmd/crmetl/main.go ends the process", s.at(n), x.Name, f.Sel.Name))
				}
			}
		}
		return true
	})
	return problems
}

// abortsHandler reports whether a call is panic(http.ErrAbortHandler): the way that net/http gives a handler to break
// off an answer, which a simulator needs.
func abortsHandler(call *ast.CallExpr) bool {
	if len(call.Args) != 1 {
		return false
	}
	sel, ok := call.Args[0].(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "ErrAbortHandler" {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == "http" && x.Obj == nil
}

// mutable finds maps and slices of a package that are changed after their declaration: state that runs would share.
func mutable(files []*source) []string {
	vars := map[string]bool{}
	specs := map[*ast.ValueSpec]bool{}
	for _, s := range files {
		for _, d := range s.tree.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				v := spec.(*ast.ValueSpec)
				specs[v] = true
				for i, name := range v.Names {
					if isContainer(v.Type) || i < len(v.Values) && isContainer(valueType(v.Values[i])) {
						vars[name.Name] = true
					}
				}
			}
		}
	}
	var problems []string
	for _, s := range files {
		global := func(e ast.Expr) (string, bool) {
			for {
				switch x := e.(type) {
				case *ast.IndexExpr:
					e = x.X
					continue
				case *ast.ParenExpr:
					e = x.X
					continue
				case *ast.Ident:
					if !vars[x.Name] {
						return "", false
					}
					if x.Obj == nil {
						return x.Name, true // declared in another file of the package
					}
					spec, ok := x.Obj.Decl.(*ast.ValueSpec)
					return x.Name, ok && specs[spec]
				}
				return "", false
			}
		}
		note := func(n ast.Node, e ast.Expr) {
			if name, ok := global(e); ok {
				problems = append(problems, fmt.Sprintf("%s: the package's variable %s is changed: state belongs to a value that a caller makes", s.at(n), name))
			}
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, e := range n.Lhs {
						note(n, e)
					}
				}
			case *ast.IncDecStmt:
				note(n, n.X)
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear" || f.Name == "copy") && len(n.Args) > 0 {
					note(n, n.Args[0])
				}
			}
			return true
		})
	}
	return problems
}

// isContainer reports whether a type is written as a map or a slice.
func isContainer(typ ast.Expr) bool {
	switch t := typ.(type) {
	case *ast.MapType:
		return true
	case *ast.ArrayType:
		return t.Len == nil
	}
	return false
}

// valueType is the type that a literal or make spells out, nil for other values.
func valueType(v ast.Expr) ast.Expr {
	switch v := v.(type) {
	case *ast.CompositeLit:
		return v.Type
	case *ast.CallExpr:
		if f, ok := v.Fun.(*ast.Ident); ok && f.Name == "make" && len(v.Args) > 0 {
			return v.Args[0]
		}
	}
	return nil
}

// TestRulesBite breaks each rule once: a rule that nothing can break guards nothing.
func TestRulesBite(t *testing.T) {
	imp := func(target string) string {
		return "// Package p is one.\npackage p\n\nimport _ \"" + module + target + "\"\n"
	}
	body := func(code string) string { return "// Package p is one.\npackage p\n\n" + code + "\n" }
	tests := []struct{ name, path, text, want string }{
		{"record imports schema", "record/a.go", imp("schema"), "record/a.go:4 imports schema: record is the atom"},
		{"schema imports record", "schema/a.go", imp("record"), ""},
		{"schema imports pipeline", "schema/a.go", imp("pipeline"), "schema/a.go:4 imports pipeline"},
		{"transforms import schema", "transforms/a.go", imp("schema"), "imports schema"},
		{"mappings import pipeline", "mappings/a.go", imp("pipeline"), "imports pipeline"},
		{"engine imports journal", "pipeline/a.go", imp("internal/journal"), "the engine knows no file"},
		{"reader imports its sibling", "readers/csv/a.go", imp("readers/xlsx"), "siblings never import siblings"},
		{"reader's test imports its sibling", "readers/csv/a_test.go", imp("readers/xlsx"), "not even in a test"},
		{"reader imports what readers share", "readers/csv/a.go", imp("readers/internal/text"), ""},
		{"reader imports what writers share", "readers/csv/a.go", imp("writers/internal/lines"), "imports writers/internal/lines"},
		{"reader imports a schema", "readers/csv/a.go", imp("schema"), "files know nothing of vendors"},
		{"switchboard imports its shelf", "readers/a.go", imp("readers/csv"), ""},
		{"writer's test reads back", "writers/xlsx/a_test.go", imp("readers/xlsx"), ""},
		{"vendor imports its sibling", "connectors/a/a.go", imp("connectors/b"), "siblings never import siblings"},
		{"vendor imports a mapping", "connectors/a/a.go", imp("mappings"), "imports mappings"},
		{"vendor imports its simulator", "connectors/a/a.go", imp("connectors/a/sandbox"), "imports connectors/a/sandbox"},
		{"vendor's test imports its simulator", "connectors/a/a_test.go", imp("connectors/a/sandbox"), ""},
		{"simulator imports the client", "connectors/a/sandbox/a.go", imp("connectors/a"), "never knows the client"},
		{"simulator's test imports the client", "connectors/a/sandbox/a_test.go", imp("connectors/a"), "not even in a test"},
		{"api imports record", "internal/api/a.go", imp("record"), "imports record"},
		{"a test imports the command", "schema/a_test.go", imp("cmd/crmetl"), "not even in a test"},
		{"the command imports all", "cmd/crmetl/a.go", imp("internal/journal"), ""},
		{"a stranger", "internal/new/a.go", body(""), "package internal/new has no place in the house"},
		{"others' packages", "record/a.go", "// Package p is one.\npackage p\n\nimport _ \"example.com/x\"\n", ""},
		{"init", "record/a.go", body("func init() {}"), "record/a.go:4: func init"},
		{"init as a method", "record/a.go", body("type t int\nfunc (t) init() {}"), ""},
		{"panic", "record/a.go", body("func f() { panic(1) }"), "record/a.go:4: panic"},
		{"panic in a test", "record/a_test.go", body("func f() { panic(1) }"), ""},
		{"panic of its own", "record/a.go", body("func panic(int) {}\nfunc f() { panic(1) }"), ""},
		{"a handler that breaks off", "record/a.go", body("import \"net/http\"\nfunc f() { panic(http.ErrAbortHandler) }"), ""},
		{"exit", "cmd/crmetl/run.go", body("import \"os\"\nfunc f() { os.Exit(1) }"), "only cmd/crmetl/main.go ends the process"},
		{"exit in main.go", "cmd/crmetl/main.go", body("import \"os\"\nfunc f() { os.Exit(1) }"), ""},
		{"log.Fatal", "record/a.go", body("import \"log\"\nfunc f() { log.Fatal(1) }"), "log.Fatal"},
		{"map entry set", "record/a.go", body("var m = map[int]int{}\nfunc f() { m[1] = 2 }"), "record/a.go:5: the package's variable m is changed"},
		{"map made", "record/a.go", body("var m = make(map[int]int)\nfunc f() { m[1]++ }"), "variable m"},
		{"entry deleted", "record/a.go", body("var m map[int]int\nfunc f() { delete(m, 1) }"), "variable m"},
		{"slice grown", "record/a.go", body("var s []int\nfunc f() { s = append(s, 1) }"), "variable s"},
		{"table that is only read", "record/a.go", body("var s = []int{1}\nfunc f() int { return s[0] }"), ""},
		{"local of the same name", "record/a.go", body("var s = []int{1}\nfunc f() { s := []int{}; s = append(s, 1); _ = s }"), ""},
		{"no comment", "record/a.go", "package p\n", "no file has a package comment"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parse(tt.path, tt.text)
			if err != nil {
				t.Fatal(err)
			}
			got := inspect([]*source{s})
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("problems = %q, want none", got)
			case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
				t.Errorf("problems = %q, want one with %q", got, tt.want)
			}
		})
	}
}
