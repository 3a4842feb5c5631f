package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
)

// exitRejected is the exit code of a good end at which rows were refused.
const exitRejected = 3

// reading is the measure of the works that begin with the file of leads.
const reading = "encoding/csv, reading only"

// toNull is crmetl at W1, with what it makes thrown away.
func (s *setting) toNull(name, data, mapping string, more ...string) contender {
	args := []string{s.crmetl, "convert", data, os.DevNull, "--to-format", "jsonl", "--rejected", s.path("rejected.csv"), "--mapping", mapping, "-q"}
	return contender{name: name, args: append(args, more...), code: exitRejected}
}

func prepareW1(_ context.Context, s *setting, rows int) (job, error) {
	data, err := s.leads(rows)
	if err != nil {
		return job{}, err
	}
	mapping, err := s.write("w1.yaml", mappingW1)
	if err != nil {
		return job{}, err
	}
	check := func(_ context.Context, out string) error { return sameLines(data, out) }
	out := s.path("w1.jsonl")
	list := []contender{
		{name: reading, args: []string{s.self, "do-read", data}},
		{name: "crmetl, to a file", args: []string{s.crmetl, "convert", data, out, "--mapping", mapping, "-q"}, code: exitRejected,
			fresh: []string{out}, check: func(ctx context.Context) error { return check(ctx, out) }},
		s.toNull("crmetl, to null", data, mapping),
		s.toNull("crmetl, to null, one worker", data, mapping, "--workers", "1"),
	}
	const duck, null = "DuckDB, 2 threads, to a file", "DuckDB, 2 threads, to null"
	return job{list: append(list, s.tools.contenders(check, s.peersW1(data)...)...), goals: []goal{
		faster("crmetl, to null", 2.5, null, 1.13),
		faster("crmetl, to a file", 2.5, duck, 0.86),
		faster("crmetl, to a file", 25, "Miller", 0.95),
		// The goal was set by a figure that Miller reaches with one processor, and with two nearly twice.
		faster("crmetl, to a file", 25, "Miller, one processor", 0.95),
		faster("crmetl, to a file", 25, "Benthos", 0.85),
		below("crmetl, to null", 64),
		below("crmetl, to a file", 64),
	}}, nil
}

// prepareSizes is W1 with a tenth, with all and with five times the rows, and with one, which shows what starting costs.
func prepareSizes(_ context.Context, s *setting, rows int) (job, error) {
	mapping, err := s.write("w1.yaml", mappingW1)
	if err != nil {
		return job{}, err
	}
	var j job
	var names []string
	for _, n := range []int{rows, 1, rows / 10, 5 * rows} {
		data, err := s.leads(n)
		if err != nil {
			return job{}, err
		}
		name := "crmetl, " + thousands(n) + " rows"
		if len(j.list) == 0 {
			j.list = append(j.list, contender{name: reading, args: []string{s.self, "do-read", data}})
		}
		c := s.toNull(name, data, mapping)
		c.rows = n
		if n == 1 {
			c.name, c.code = "crmetl, one row", 0
		}
		j.list, names = append(j.list, c), append(names, c.name)
	}
	j.goals = []goal{growth(names[1], names[2], names[3], 5), below(names[0], 64), below(names[2], 64), below(names[3], 64)}
	return j, nil
}

// prepareW2 starts a server that reads each call and says yes.
func prepareW2(ctx context.Context, s *setting, rows int) (job, error) {
	data, err := s.leads(rows)
	if err != nil {
		return job{}, err
	}
	mapping, err := s.write("w2.yaml", mappingW2)
	if err != nil {
		return job{}, err
	}
	base := ""
	stop, err := s.start(ctx, func(line string) bool {
		base = "http://" + line
		return true
	}, s.self, "do-serve", "127.0.0.1:0")
	if err != nil {
		return job{}, err
	}
	accepted, err := countEvents(data)
	if err != nil {
		stop()
		return job{}, err
	}
	// Each event has one address, and there is no other @ in the data.
	check := func(ctx context.Context, _ string) error {
		var got struct{ Addresses int }
		if err := getJSON(ctx, base+addressesPath, &got); err != nil {
			return err
		}
		if got.Addresses != accepted {
			return fmt.Errorf("the server received %d events, not %d", got.Addresses, accepted)
		}
		return nil
	}
	env := append(s.homes(), "CRMETL_MAPPCONNECT_BASE_URL="+base+"/api/v1", "CRMETL_MAPPCONNECT_INTEGRATION_ID=7f7c1a3e-1111-4222-8333-123456789abc", "CRMETL_MAPPCONNECT_SECRET=secret")
	run := s.path("run")
	list := []contender{
		{name: reading, args: []string{s.self, "do-read", data}},
		{name: "crmetl import", args: []string{s.crmetl, "import", data, "mappconnect/user", "--mapping", mapping, "--run-dir", run, "-q"}, env: env, fresh: []string{run},
			check: func(ctx context.Context) error { return check(ctx, "") }},
	}
	list = append(list, s.tools.contenders(check, peer{name: "Benthos", tool: "benthos", script: "w2_benthos.yaml", env: []string{"IN=" + data, "URL=" + base + "/events"}, out: s.path("no-file")})...)
	return job{list: list, done: stop, goals: []goal{faster("crmetl import", 0.4, reading, 0), faster("crmetl import", 12, "Benthos", 0.38)}}, nil
}

// homes are the folders that crmetl keeps things in between runs.
func (s *setting) homes() []string {
	return []string{"XDG_STATE_HOME=" + s.path("state"), "XDG_CACHE_HOME=" + s.path("cache")}
}

// countEvents counts the leads that become events: those that have an address, which is what the vendor asks for.
func countEvents(data string) (n int, err error) {
	err = eachRecord(data, func(lead []string) error {
		n += strings.Count(lead[4], "@")
		return nil
	})
	return n, err
}

func getJSON(ctx context.Context, url string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, answer.Status)
	}
	return json.NewDecoder(bufio.NewReader(answer.Body)).Decode(into)
}

func prepareW3(ctx context.Context, s *setting, rows int) (job, error) {
	return s.books(rows, "leads", func(data, book string) error {
		return s.must(ctx, s.crmetl, "convert", data, book, "-q")
	})
}

func prepareShared(ctx context.Context, s *setting, rows int) (job, error) {
	return s.books(rows, "shared", func(data, book string) error {
		return s.must(ctx, s.self, "do-book", data, book)
	})
}

func (s *setting) must(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", args[0], args[1], err, out)
	}
	return nil
}

// books has a workbook turned into CSV, made by write of the file of leads.
func (s *setting) books(rows int, name string, write func(data, book string) error) (job, error) {
	data, err := s.leads(rows)
	if err != nil {
		return job{}, err
	}
	book := s.path(fmt.Sprintf("%s-%d.xlsx", name, rows))
	if _, err := os.Stat(book); err != nil {
		if err := write(data, book); err != nil {
			return job{}, err
		}
	}
	check := func(_ context.Context, out string) error { return sameCells(data, out) }
	out := s.path("w3.csv")
	list := []contender{
		{name: "excelize, Rows of raw values", args: []string{s.self, "do-excelize", book}},
		{name: "crmetl", args: []string{s.crmetl, "convert", book, out, "-q"}, fresh: []string{out}, check: func(ctx context.Context) error { return check(ctx, out) }},
	}
	return job{list: append(list, s.tools.contenders(check, s.peersW3(book)...)...), goals: []goal{faster("crmetl", 8, list[0].name, 0), below("crmetl", 64)}}, nil
}

func prepareW4(_ context.Context, s *setting, rows int) (job, error) {
	data, err := s.leads(rows)
	if err != nil {
		return job{}, err
	}
	check := func(ctx context.Context, book string) error {
		back := s.path("w4-back.csv")
		if err := s.must(ctx, s.crmetl, "convert", book, back, "-q"); err != nil {
			return err
		}
		return sameCells(data, back)
	}
	out, streamed := s.path("w4.xlsx"), s.path("w4-excelize.xlsx")
	list := []contender{
		{name: "excelize, StreamWriter", args: []string{s.self, "do-stream", data, streamed}, fresh: []string{streamed}, check: func(ctx context.Context) error { return check(ctx, streamed) }},
		{name: "crmetl", args: []string{s.crmetl, "convert", data, out, "-q"}, fresh: []string{out}, check: func(ctx context.Context) error { return check(ctx, out) }},
	}
	return job{list: append(list, s.tools.contenders(check, s.peersW4(data)...)...), goals: []goal{faster("crmetl", 3, list[0].name, 0)}}, nil
}
