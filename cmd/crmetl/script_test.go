package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"crmetl": main})
}

// TestScript runs the sessions under testdata/script: each is what a user types, and what comes back.
func TestScript(t *testing.T) {
	samples, err := filepath.Abs("../../samples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("SAMPLES", samples)
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, "home", "state"))
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, "home", "cache"))
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "home", "config"))
			// The simulators allow more than the vendors do, so that the sessions are short.
			e.Setenv("CRMETL_SANDBOX_RATE", "200")
			return os.MkdirAll(filepath.Join(e.WorkDir, "home"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exit":     cmdExit,
			"summary":  cmdSummary,
			"rows":     cmdRows,
			"cells":    cmdCells,
			"waitfile": cmdWaitFile,
			"nosecret": cmdNoSecret,
			"makefile": cmdMakeFile,
			"makelate": cmdMakeLate,
			"routes":   cmdRoutes,
			"png":      cmdPNG,
			"loadenv":  cmdLoadEnv,
			"tokens":   cmdTokens,
		},
	})
}

// cmdExit runs a command and demands its exit code: exit 3 crmetl import …
func cmdExit(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exit CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		var code int
		if _, e := fmt.Sscanf(err.Error(), "exit status %d", &code); e != nil {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = code
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdSummary checks fields of a summary.json, and that its rows add up: summary DIR rows.accepted=40 status=succeeded
func cmdSummary(ts *testscript.TestScript, _ bool, args []string) {
	path := filepath.Join(ts.MkAbs(args[0]), "summary.json")
	if found, _ := filepath.Glob(path); len(found) == 1 {
		path = found[0]
	}
	data, err := os.ReadFile(path)
	ts.Check(err)
	var sum map[string]any
	ts.Check(json.Unmarshal(data, &sum))
	if rows, ok := sum["rows"].(map[string]any); ok && sum["command"] != "export" {
		n := func(k string) float64 { f, _ := rows[k].(float64); return f }
		if n("read") != n("accepted")+n("rejected")+n("unsure")+n("unchanged")+n("skipped") {
			ts.Fatalf("the rows do not add up: %v", rows)
		}
	}
	for _, a := range args[1:] {
		path, want, _ := strings.Cut(a, "=")
		var v any = sum
		for _, k := range strings.Split(path, ".") {
			m, _ := v.(map[string]any)
			v = m[k]
		}
		if got := fmt.Sprint(v); got != want {
			ts.Fatalf("summary: %s is %s, want %s\n%s", path, got, want, data)
		}
	}
}

func readCSV(ts *testscript.TestScript, name string) [][]string {
	path := ts.MkAbs(name)
	if found, _ := filepath.Glob(path); len(found) == 1 {
		path = found[0]
	}
	f, err := os.Open(path)
	ts.Check(err)
	defer func() { _ = f.Close() }()
	r := csv.NewReader(bufio.NewReader(f))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	ts.Check(err)
	return rows
}

// cmdRows counts the data rows of a CSV file: rows FILE 40
func cmdRows(ts *testscript.TestScript, _ bool, args []string) {
	if got := fmt.Sprint(len(readCSV(ts, args[0])) - 1); got != args[1] {
		ts.Fatalf("%s has %s rows, want %s", args[0], got, args[1])
	}
}

// cmdCells checks a column of a CSV file, in order: cells FILE COLUMN a b c
func cmdCells(ts *testscript.TestScript, _ bool, args []string) {
	rows := readCSV(ts, args[0])
	col := -1
	for i, n := range rows[0] {
		if n == args[1] {
			col = i
		}
	}
	if col < 0 {
		ts.Fatalf("%s has no column %s: %v", args[0], args[1], rows[0])
	}
	var got []string
	for _, r := range rows[1:] {
		got = append(got, r[col])
	}
	if strings.Join(got, "\x00") != strings.Join(args[2:], "\x00") {
		ts.Fatalf("%s, column %s: %q, want %q", args[0], args[1], got, args[2:])
	}
}

// cmdWaitFile waits until a file exists: and, with a second argument, holds that text.
func cmdWaitFile(ts *testscript.TestScript, _ bool, args []string) {
	for range 1000 {
		found, _ := filepath.Glob(ts.MkAbs(args[0]))
		for _, f := range found {
			data, err := os.ReadFile(f)
			if err == nil && (len(args) < 2 || strings.Contains(string(data), args[1])) {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s did not come", args[0])
}

// cmdNoSecret searches every file below the work folder, and the last output, for a secret: nosecret TEXT [EXCEPT…]
func cmdNoSecret(ts *testscript.TestScript, _ bool, args []string) {
	check := func(where, text string) {
		if strings.Contains(text, args[0]) {
			ts.Fatalf("%s holds the secret", where)
		}
	}
	check("standard output", ts.ReadFile("stdout"))
	check("standard error", ts.ReadFile("stderr"))
	ts.Check(filepath.WalkDir(ts.MkAbs("."), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		for _, except := range args[1:] {
			if filepath.Base(path) == except {
				return nil
			}
		}
		data, err := os.ReadFile(path)
		check(path, string(data))
		return err
	}))
}

// cmdMakeFile writes a CSV file of so many customers: makefile FILE ROWS
func cmdMakeFile(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var b strings.Builder
	b.WriteString("name,company,city\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "Person %d,Company %d,City %d\n", i, i, i%7)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// cmdMakeLate writes a file that is ASCII for 200 KB and shows only at its end that it is windows-1252; with a second
// argument, that ends it: makelate FILE [TEXT]
func cmdMakeLate(ts *testscript.TestScript, _ bool, args []string) {
	var b strings.Builder
	b.WriteString("name,company,city\n")
	for i := range 6000 {
		fmt.Fprintf(&b, "Person %d,Company %d,City %d\n", i+1, i+1, i%7)
	}
	for _, city := range []string{"M\xfcnchen", "D\xfcsseldorf", "N\xfcrnberg", "Saarbr\xfccken", "K\xf6ln", "G\xf6ttingen", "Z\xfcrich", "L\xfcbeck"} {
		fmt.Fprintf(&b, "J\xfcrgen M\xfcller,B\xe4ckerei,%s\n", city)
	}
	b.WriteString(strings.Join(args[1:], ""))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// cmdRoutes writes routes over exported customers: two good ones whose rows interleave, and one with a hole.
func cmdRoutes(ts *testscript.TestScript, _ bool, args []string) {
	rows := readCSV(ts, args[0])
	var b strings.Builder
	b.WriteString("routeName,customerId\n")
	for i, name := range []string{"North", "East", "North", "Broken", "East", "Broken"} {
		id := rows[1+i%(len(rows)-1)][0]
		if i == 3 {
			id = ""
		}
		fmt.Fprintf(&b, "%s,%s\n", name, id)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(b.String()), 0o600))
}

// cmdPNG writes a file that begins like an image: png FILE
func cmdPNG(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("\x89PNG\r\n\x1a\n and so on"), 0o600))
}

// cmdLoadEnv sets what `crmetl sandbox` printed: loadenv FILE
func cmdLoadEnv(ts *testscript.TestScript, _ bool, args []string) {
	for _, line := range strings.Split(ts.ReadFile(args[0]), "\n") {
		if kv, ok := strings.CutPrefix(line, "export "); ok {
			k, v, _ := strings.Cut(kv, "=")
			ts.Setenv(k, strings.Trim(v, "'"))
		}
	}
}

// cmdTokens checks that tokens are kept, with a mode: tokens 0600
func cmdTokens(ts *testscript.TestScript, _ bool, args []string) {
	n := 0
	ts.Check(filepath.WalkDir(filepath.Join(ts.Getenv("XDG_CACHE_HOME"), "crmetl"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n++
		if got := fmt.Sprintf("%#o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", path, got, args[0])
		}
		return nil
	}))
	if n == 0 {
		ts.Fatalf("no token is kept")
	}
}
