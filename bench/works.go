package main

import (
	"bufio"
	"context"
	stdcsv "encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/xuri/excelize/v2"
)

// workload is one of the works that issue and documentation speak of.
type workload struct {
	name, title string
	part        int // of the rows: one in so many
	// prepare makes the data and names the contenders; the first is what the others are held against. done ends what
	// was begun for them.
	prepare func(ctx context.Context, s *setting, rows int) (list []contender, done func(), err error)
}

var works = []workload{
	{"W1", "CSV to twelve mapped and checked fields, as JSON Lines", 1, prepareW1},
	{"W2", "the same rows as events, in signed calls of 1000 to a server on this machine, with journal and report", 1, prepareW2},
	{"W3", "XLSX to CSV", 10, prepareW3},
	{"W4", "CSV to XLSX", 10, prepareW4},
}

// exitRejected is the exit code of a good end at which rows were refused.
const exitRejected = 3

func nothing() {}

func (s *setting) path(name string) string { return filepath.Join(s.dir, name) }

// leads makes the file of leads.
func (s *setting) leads(rows int) (string, error) {
	path := s.path(fmt.Sprintf("leads-%d.csv", rows))
	return path, makeFile(path, rows)
}

// write writes a small file.
func (s *setting) write(name, text string) (string, error) {
	path := s.path(name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// installed returns the contenders whose programs are there.
func installed(list ...contender) []contender {
	var there []contender
	for _, c := range list {
		if _, err := exec.LookPath(c.args[0]); err != nil {
			continue
		}
		if c.args[0] == "python3" && exec.Command("python3", "-c", "import "+c.env[0]).Run() != nil {
			continue
		}
		c.env = nil
		there = append(there, c)
	}
	return there
}

func prepareW1(_ context.Context, s *setting, rows int) ([]contender, func(), error) {
	data, err := s.leads(rows)
	if err != nil {
		return nil, nil, err
	}
	mapping, err := s.write("w1.yaml", mappingW1)
	if err != nil {
		return nil, nil, err
	}
	out := s.path("w1.jsonl")
	list := []contender{
		{name: "encoding/csv, reading only", args: []string{s.self, "do-read", data}},
		{name: "crmetl, to a file", args: []string{s.crmetl, "convert", data, out, "--mapping", mapping, "-q"}, code: exitRejected},
		{name: "crmetl, to null", args: []string{s.crmetl, "convert", data, os.DevNull, "--to-format", "jsonl", "--rejected", s.path("rejected.csv"), "--mapping", mapping, "-q"}, code: exitRejected},
		{name: "crmetl, to null, one worker", args: []string{s.crmetl, "convert", data, os.DevNull, "--to-format", "jsonl", "--rejected", s.path("rejected.csv"), "--mapping", mapping, "-q", "--workers", "1"}, code: exitRejected},
	}
	list = append(list, installed(
		contender{name: "Miller", args: []string{"mlr", "--icsv", "--ojsonl", "--from", data, "filter", `$first_name != "" || $last_name != "" || $company != ""`,
			"then", "put", `-q`, `$email = tolower($email); $created_at = strftime(strptime($created_at, "%m/%d/%Y %H:%M"), "%Y-%m-%dT%H:%M:%SZ"); emit mapselect($*, "id", "last_name", "company", "email", "phone", "city", "country", "title", "annual_revenue", "created_at", "industry", "notes")`}},
		contender{name: "DuckDB", args: []string{"duckdb", "-c", "set threads=2; copy (" + strings.ReplaceAll(selectW1, "FILE", data) + ") to '" + s.path("w1-duckdb.jsonl") + "' (format json)"}},
		contender{name: "Python, csv and json", args: []string{"python3", "-c", pythonW1, data, s.path("w1-python.jsonl")}, env: []string{"json"}},
		contender{name: "pandas, in chunks", args: []string{"python3", "-c", pandasW1, data, s.path("w1-pandas.jsonl")}, env: []string{"pandas"}},
	)...)
	return list, nothing, nil
}

// prepareW2 starts a server that reads each call and says yes.
func prepareW2(ctx context.Context, s *setting, rows int) ([]contender, func(), error) {
	data, err := s.leads(rows)
	if err != nil {
		return nil, nil, err
	}
	mapping, err := s.write("w2.yaml", mappingW2)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	server := exec.CommandContext(ctx, s.self, "do-serve", "127.0.0.1:0")
	out, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		cancel()
		return nil, nil, err
	}
	done := func() { cancel(); _ = server.Wait() }
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("the server did not start: %w", err)
	}
	env := []string{"CRMETL_MAPPCONNECT_BASE_URL=http://" + strings.TrimSpace(addr) + "/api/v1", "CRMETL_MAPPCONNECT_INTEGRATION_ID=7f7c1a3e-1111-4222-8333-123456789abc",
		"CRMETL_MAPPCONNECT_SECRET=secret", "XDG_STATE_HOME=" + s.path("state"), "XDG_CACHE_HOME=" + s.path("cache")}
	run := s.path("run")
	return []contender{
		{name: "encoding/csv, reading only", args: []string{s.self, "do-read", data}},
		{name: "crmetl import", args: []string{"sh", "-c", `rm -rf "$0" && exec "$@"`, run, s.crmetl, "import", data, "mappconnect/user", "--mapping", mapping, "--run-dir", run, "-q"}, env: env},
	}, done, nil
}

func (s *setting) workbook(ctx context.Context, rows int) (string, error) {
	path := s.path(fmt.Sprintf("leads-%d.xlsx", rows))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	data, err := s.leads(rows)
	if err != nil {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, s.crmetl, "convert", data, path, "-q").CombinedOutput(); err != nil {
		return "", fmt.Errorf("make a workbook: %w: %s", err, out)
	}
	return path, nil
}

func prepareW3(ctx context.Context, s *setting, rows int) ([]contender, func(), error) {
	book, err := s.workbook(ctx, rows)
	if err != nil {
		return nil, nil, err
	}
	list := []contender{
		{name: "excelize, Rows of raw values", args: []string{s.self, "do-excelize", book}},
		{name: "crmetl", args: []string{s.crmetl, "convert", book, s.path("w3.csv"), "-q"}},
	}
	return append(list, installed(contender{name: "openpyxl, read-only", args: []string{"python3", "-c", openpyxlW3, book, s.path("w3-openpyxl.csv")}, env: []string{"openpyxl"}})...), nothing, nil
}

func prepareW4(_ context.Context, s *setting, rows int) ([]contender, func(), error) {
	data, err := s.leads(rows)
	if err != nil {
		return nil, nil, err
	}
	list := []contender{
		{name: "excelize, StreamWriter", args: []string{s.self, "do-stream", data}},
		{name: "crmetl", args: []string{s.crmetl, "convert", data, s.path("w4.xlsx"), "-q"}},
	}
	return append(list, installed(contender{name: "openpyxl, write-only", args: []string{"python3", "-c", openpyxlW4, data, s.path("w4-openpyxl.xlsx")}, env: []string{"openpyxl"}})...), nothing, nil
}

// inner is what this program does as a contender itself.
func inner(what, arg string) error {
	switch what {
	case "do-read":
		return eachRecord(arg, func([]string) error { return nil })
	case "do-serve":
		return serve(arg)
	case "do-excelize":
		return readBook(arg)
	case "do-stream":
		return writeBook(arg)
	}
	return fmt.Errorf("there is no %s", what)
}

// eachRecord reads a file with the standard library.
func eachRecord(path string, f func([]string) error) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	r := stdcsv.NewReader(bufio.NewReaderSize(in, 64<<10))
	r.ReuseRecord = true
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = f(cells)
		}
		if err != nil {
			return err
		}
	}
}

// serve answers every call with 200 once it has been read, until it is ended.
func serve(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		if strings.HasSuffix(r.URL.Path, "/ping") {
			_, _ = io.WriteString(w, `{"pong":true}`)
		}
	}))
}

func readBook(path string) error {
	f, err := excelize.OpenFile(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	rows, err := f.Rows(f.GetSheetName(0))
	if err != nil {
		return err
	}
	for rows.Next() {
		if _, err := rows.Columns(excelize.Options{RawCellValue: true}); err != nil {
			return err
		}
	}
	return errors.Join(rows.Error(), rows.Close())
}

func writeBook(path string) error {
	f := excelize.NewFile()
	w, err := f.NewStreamWriter("Sheet1")
	if err != nil {
		return err
	}
	row := make([]any, len(columns))
	n := 0
	if err := eachRecord(path, func(cells []string) error {
		for i, c := range cells {
			row[i] = c
		}
		n++
		return w.SetRow(fmt.Sprintf("A%d", n), row)
	}); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return errors.Join(f.SaveAs(strings.TrimSuffix(path, ".csv")+"-excelize.xlsx"), f.Close())
}
