package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crmetl/crmetl/internal/report"
)

// signalBench is a place for runs that are disturbed in other ways than by a kill.
func signalBench(t *testing.T, k killKind) *killBench {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signals")
	}
	t.Parallel()
	if k.vendor == "" {
		k.vendor = "mapmycustomers"
	}
	b := newKillBench(t, &k, rand.New(rand.NewPCG(1, uint64(len(t.Name())))))
	b.tag = "s"
	b.setFaults(quick, "")
	return b
}

// people writes a file of customers and returns its name.
func (b *killBench) people(n int) string {
	b.t.Helper()
	rows := [][]string{{"name", "company"}}
	for i := range n {
		rows = append(rows, []string{fmt.Sprintf("Person %d", i), fmt.Sprintf("Company %d", i)})
	}
	name := fmt.Sprintf("people%d.csv", n)
	writeTable(b.t, filepath.Join(b.dir, name), rows)
	return name
}

// process is a command on its way.
type process struct {
	*exec.Cmd
	t    *testing.T
	said strings.Builder // standard error
}

// launch starts a command at so many calls a second.
func (b *killBench) launch(rate int, args ...string) *process {
	b.t.Helper()
	p := &process{Cmd: b.command(rate, args...), t: b.t}
	p.Stderr, p.Stdout = &p.said, nil
	if err := p.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

// end waits for the exit code, -1 if a signal ended the process.
func (p *process) end() int {
	p.t.Helper()
	timer := time.AfterFunc(time.Minute, func() { _ = p.Process.Kill() })
	defer timer.Stop()
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.ProcessState.ExitCode()
}

// until waits for something to become true.
func (b *killBench) until(what string, ok func() bool) {
	b.t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.t.Fatalf("%s: it does not happen", what)
}

// wrote waits until the vendor has so many writes.
func (b *killBench) wrote(n int) {
	b.t.Helper()
	b.until(fmt.Sprint(n, " writes"), func() bool { return len(b.ledger().Writes) >= n })
}

func (b *killBench) summary(dir string) (s report.Summary) {
	b.t.Helper()
	data, err := os.ReadFile(filepath.Join(b.dir, dir, report.SummaryFile))
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// once checks that each of the first n people is at the vendor once.
func (b *killBench) once(n int) {
	b.t.Helper()
	seen := b.effectsOf("customers", func(m map[string]any) []string { return []string{texts(m, "name", "company")} })
	for i := range n {
		if p := fmt.Sprintf("Person %d|Company %d", i, i); seen[p] != 1 {
			b.t.Errorf("the vendor has %s %d times", p, seen[p])
		}
	}
	if len(seen) != n {
		b.t.Errorf("the vendor has %d customers, want %d", len(seen), n)
	}
}

// TestTwoRunsOnOneTarget: the second is told who holds it, and touches nothing.
func TestTwoRunsOnOneTarget(t *testing.T) {
	b := signalBench(t, killKind{})
	file := b.people(60)
	first := b.launch(20, "import", file, "mapmycustomers/customers", "--run-dir", "one")
	b.wrote(3)
	for _, args := range [][]string{
		{"import", file, "mapmycustomers/customers", "--run-dir", "two"},
		{"import", file, "mapmycustomers/customers", "--run-dir", "one"},
		{"resume", "one"},
	} {
		second := b.launch(20, args...)
		if code := second.end(); code != exitHeld {
			t.Fatalf("%v: exit code %d\n%s", args, code, second.said.String())
		}
		for _, want := range []string{fmt.Sprint("process ", first.Process.Pid), "is in use by run 20"} {
			if !strings.Contains(second.said.String(), want) {
				t.Errorf("%v: %q is not told: %s", args, want, second.said.String())
			}
		}
	}
	if _, err := os.Stat(filepath.Join(b.dir, "two")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the second run left its folder behind: %v", err)
	}
	if code := first.end(); code != exitOK {
		t.Fatalf("the first: exit code %d\n%s", code, first.said.String())
	}
	b.once(60)

	// Whoever is killed holds nothing any more.
	killed := b.launch(20, "import", b.people(80), "mapmycustomers/customers", "--run-dir", "three")
	b.wrote(63)
	_ = killed.Process.Kill()
	killed.end()
	b.must("import", b.people(1), "mapmycustomers/customers", "--run-dir", "four")
}

// TestManyRunsOneFolder makes many runs one after another, 200 in the long form (-kills 100 or more).
func TestManyRunsOneFolder(t *testing.T) {
	b := signalBench(t, killKind{})
	runs := 60
	switch {
	case testing.Short():
		runs = 20
	case *kills >= 100: // the long form, as of TestKill
		runs = 200
	}
	for i := range runs {
		writeTable(t, filepath.Join(b.dir, "one.csv"), [][]string{{"name", "company"}, {fmt.Sprintf("Person %d", i), fmt.Sprintf("Company %d", i)}})
		if err := b.command(quick, "import", "one.csv", "mapmycustomers/customers", "-q").Run(); err != nil {
			t.Fatalf("run %d: %v\n%s", i, err, b.log.String())
		}
	}
	b.once(runs)
	cmd := b.command(quick, "runs", "--json")
	cmd.Stdout = nil
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ Run, Status string }
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range list {
		seen[r.Run] = true
		if r.Status != report.Succeeded {
			t.Errorf("run %s: %s", r.Run, r.Status)
		}
	}
	if len(seen) != runs {
		t.Errorf("%d runs are listed, want %d", len(seen), runs)
	}
	// What the runs share does not grow with them.
	files := 0
	err = filepath.WalkDir(filepath.Join(b.dir, "home"), func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
		}
		return err
	})
	if err != nil || files == 0 || files > 12 {
		t.Errorf("%d files are kept for later runs, %v; want some, and no more than a dozen", files, err)
	}
}

// TestSignals sends SIGINT and SIGTERM at any time: calls in flight finish, so that nothing is in doubt, and resume goes
// on.
func TestSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			b := signalBench(t, killKind{})
			b.setFaults(60, "* slow=5ms..120ms")
			want := map[syscall.Signal]int{syscall.SIGINT: exitInterrupted, syscall.SIGTERM: exitTerminated, syscall.SIGHUP: exitTerminated}[s]
			file := b.people(100)
			args := []string{"import", file, "mapmycustomers/customers", "--run-dir", "run"}
			delays := []time.Duration{5, 25, 60, 120, 200, 350, 500, 700, 0}
			for _, d := range delays {
				if _, err := os.Stat(filepath.Join(b.dir, "run", "journal.db")); err == nil {
					args = []string{"resume", "run"}
				}
				before := len(b.ledger().Writes)
				p := b.launch(60, args...)
				if d > 0 {
					time.Sleep(d * time.Millisecond)
					_ = p.Process.Signal(s)
				}
				switch code := p.end(); {
				case code == -1 && d > 0 && len(b.ledger().Writes) == before: // it had not begun to listen yet
				case code == want && d > 0:
					if _, err := os.Stat(filepath.Join(b.dir, "run", "journal.db")); err == nil {
						if sum := b.summary("run"); sum.Status != report.Interrupted || sum.Rows.Unsure != 0 {
							t.Errorf("after %d ms: %+v", d, sum)
						}
					}
				case code == exitOK:
				default:
					t.Fatalf("after %d ms: exit code %d\n%s", d, code, p.said.String())
				}
			}
			b.once(100)
			if sum := b.summary("run"); sum.Rows.Accepted != 100 || sum.Rows.Read != 100 {
				t.Errorf("%+v", sum.Rows)
			}
			// Nothing was in doubt, so nothing was looked up.
			for _, r := range b.ledger().Requests {
				if r.Method == "GET" && r.Path != "/token" {
					t.Errorf("%s %s: %d times", r.Method, r.Path, r.Count)
				}
			}
		})
	}
}

// TestSecondSignal breaks off a call that hangs.
func TestSecondSignal(t *testing.T) {
	b := signalBench(t, killKind{})
	b.setFaults(quick, "POST /customers #6 hang=40s applied")
	p := b.launch(50, "import", b.people(20), "mapmycustomers/customers", "--run-dir", "run", "--concurrency", "4")
	b.wrote(6)
	_ = p.Process.Signal(os.Interrupt)
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	_ = p.Process.Signal(os.Interrupt)
	if code := p.end(); code != exitInterrupted {
		t.Fatalf("exit code %d\n%s", code, p.said.String())
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("the second signal took %v", d)
	}
	if sum := b.summary("run"); sum.Status != report.Interrupted {
		t.Errorf("status %s", sum.Status)
	}
	b.must("resume", "run")
	b.once(20)
}

// TestSignalWhileWaiting ends a wait that the vendor asked for, one between two attempts and one for a lost answer's
// record.
func TestSignalWhileWaiting(t *testing.T) {
	for name, faults := range map[string]string{
		"too fast":            "POST /customers #3- status=429 retry-after=600",
		"down":                "POST /customers #3- status=503",
		"lost, and not there": "POST /customers #3- drop=before",
		"hangs":               "POST /customers #3 hang=1500ms applied",
	} {
		t.Run(name, func(t *testing.T) {
			b := signalBench(t, killKind{})
			b.setFaults(quick, faults)
			p := b.launch(50, "import", b.people(20), "mapmycustomers/customers", "--run-dir", "run", "--concurrency", "1")
			b.wrote(2)
			time.Sleep(400 * time.Millisecond)
			began := time.Now()
			_ = p.Process.Signal(os.Interrupt)
			if code, took := p.end(), time.Since(began); code != exitInterrupted || took > 3*time.Second {
				t.Fatalf("exit code %d after %v\n%s", code, took, p.said.String())
			}
			if sum := b.summary("run"); sum.Status != report.Interrupted || sum.Rows.Unsure+sum.Rows.Rejected != 0 {
				t.Errorf("%+v", sum)
			}
			b.setFaults(quick, "")
			_ = os.RemoveAll(filepath.Join(b.dir, "home", "state")) // nobody wants to wait for ten minutes
			b.must("resume", "run")
			b.once(20)
		})
	}
}

// TestSignalWhileLooking ends the first look at a long file at once, and what only reads.
func TestSignalWhileLooking(t *testing.T) {
	b := signalBench(t, killKind{})
	f, err := os.Create(filepath.Join(b.dir, "long.csv"))
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("Somebody,Some Company\n", 1000)
	_, _ = f.WriteString("name,company\n")
	for range 4000 {
		_, _ = f.WriteString(line)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"import", "long.csv", "mapmycustomers/customers", "--run-dir", "run"},
		{"inspect", "long.csv"}, {"plan", "long.csv", "mapmycustomers/customers"}, {"convert", "long.csv", "out.csv"},
	} {
		p := b.launch(quick, args...)
		time.Sleep(200 * time.Millisecond)
		began := time.Now()
		_ = p.Process.Signal(os.Interrupt)
		code, took := p.end(), time.Since(began)
		if code == exitOK && args[0] != "import" {
			continue // it was done before the signal came
		}
		if code != exitInterrupted || took > 2*time.Second {
			t.Errorf("%v: exit code %d after %v\n%s", args, code, took, p.said.String())
		}
		if _, err := os.Stat(filepath.Join(b.dir, "out.csv")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("out.csv is left behind: %v", err)
		}
	}
	// A machine that is fast enough is past the look by then: the run has begun, and says that it was interrupted.
	data, err := os.ReadFile(filepath.Join(b.dir, "run", "summary.json"))
	switch {
	case err == nil && !strings.Contains(string(data), `"status": "interrupted"`):
		t.Errorf("the run was interrupted, and says\n%s", data)
	case err != nil:
		if _, err := os.Stat(filepath.Join(b.dir, "run")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the run's folder is left behind: %v", err)
		}
		if n := len(b.ledger().Writes); n != 0 {
			t.Errorf("%d writes", n)
		}
	}
}

// TestPipes: whoever reads what a run says may go away, and whoever writes what it reads.
func TestPipes(t *testing.T) {
	b := signalBench(t, killKind{})
	b.setFaults(quick, "")
	b.people(60)
	shell := func(want int, script string) string {
		t.Helper()
		cmd := exec.Command("sh", "-c", script)
		c := b.command(40)
		cmd.Dir, cmd.Env = c.Dir, append(c.Env, "CRMETL_MAPMYCUSTOMERS_RATE=40")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if code := cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("%s: exit code %d, want %d\n%s", script, code, want, out)
		}
		return string(out)
	}
	// An import goes on when nobody listens any more.
	shell(0, `(crmetl import people60.csv mapmycustomers/customers --run-dir deaf --progress plain --json; echo $? > code) 2>&1 | true; sleep 0.1; test "$(cat code)" != "" && grep -q '"accepted": 60' deaf/summary.json`)
	b.once(60)
	// An export ends, and says nothing of it.
	b.post("reset", "")
	b.must("import", b.people(3000), "mapmycustomers/customers", "--run-dir", "many")
	out := shell(0, `crmetl export mapmycustomers/customers - --format csv 2> err | head -1; cat err`)
	if !strings.HasPrefix(out, "id,") || strings.Count(out, "\n") != 1 {
		t.Errorf("export - | head says %q", out)
	}
	shell(0, `(crmetl export mapmycustomers/customers - --format csv; echo $? > code2) 2> err | head -1; test "$(cat code2)" = 141 && test ! -s err`)
	// No input at all, and no files to talk to.
	b.post("reset", "")
	shell(2, `crmetl import - mapmycustomers/customers --format csv --run-dir none <&-`)
	shell(2, `crmetl import - mapmycustomers/customers --format csv --run-dir none < /dev/null`)
	shell(2, `printf 'name,company\nA,"b' | crmetl import - mapmycustomers/customers --format csv --run-dir none`)
	if _, err := os.Stat(filepath.Join(b.dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a run that never began left its folder behind: %v", err)
	}
	shell(4, `crmetl import people60.csv mapmycustomers/customers --run-dir canary --canary 5 <&-`)
	shell(0, `crmetl resume canary <&- >&- 2>&-`)
	b.once(60)
}

// TestClockSetBack has our clock wrong by hours when a run begins, and set right before it is resumed: seen from here,
// the vendor's clock moves.
func TestClockSetBack(t *testing.T) {
	for _, c := range []struct{ name, before, after string }{
		{"ours was ahead", "-3h", "0s"}, {"ours was behind", "3h", "0s"}, {"ours is ahead now", "0s", "-3h"}, {"ours is behind now", "0s", "3h"},
	} {
		for _, k := range killKinds() {
			if !strings.HasSuffix(k.name, "_create") && !strings.HasSuffix(k.name, "_routes") || c.before != "-3h" && k.name != "mycrm_create" {
				continue // all of it where it is quick; where it is dangerous for all
			}
			t.Run(k.name+"/"+c.name, func(t *testing.T) {
				b := signalBench(t, *k)
				j := k.prepare(b)
				writeTable(t, filepath.Join(b.dir, "rows.csv"), j.table)
				run := &check{killBench: b, job: &j, run: filepath.Join(b.dir, "run"), before: k.effects(b), ledger: len(b.ledger().Writes)}
				// A token from another time would be tried for a while, and is not what this is about.
				forget := func() { _ = os.RemoveAll(filepath.Join(b.dir, "home", "cache")) }
				forget()
				// The fifth call is done, and its answer does not come before the process is gone.
				b.setFaults(quick, "set clock_offset="+c.before+"\nPOST * #5- hang=20s applied")
				p := b.launch(200, append([]string{"import", "rows.csv", b.target(), "--run-dir", "run"}, j.args...)...)
				b.wrote(run.ledger + 5)
				time.Sleep(50 * time.Millisecond)
				_ = p.Process.Kill()
				p.end()
				forget()
				b.setFaults(quick, "set clock_offset="+c.after)
				if code := b.start(0, "", "resume", "run"); code != exitRejected && code != exitOK && code != exitUnsure {
					t.Fatalf("exit code %d\n%s", code, b.log.String())
				}
				run.all()
				if run.counts.Unsure > 20 {
					t.Errorf("%d rows are unsure", run.counts.Unsure)
				}
			})
		}
	}
}
