package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crmetl/crmetl/internal/report"
)

var (
	kills    = flag.Int("kills", 25, "how many processes TestKill kills, over all kinds of runs; 600 is the long form")
	killTalk = flag.Bool("kill.talk", false, "whether TestKill shows what the runs say")
	killSeed = flag.Uint64("kill.seed", 0, "what TestKill draws its rows and moments from; 0: from the clock")
)

// TestKill kills the program at random moments in runs of every kind, and while it resumes them, with and without
// faults of the vendor at the same time. Whatever happens, each row must end in exactly one place, and the vendor's own
// ledger must show each accepted row once.
//
//	go test ./cmd/crmetl -run TestKill                          # the short form, less than a minute
//	go test ./cmd/crmetl -run TestKill -kills 600 -timeout 60m  # the long form
//	go test ./cmd/crmetl -run TestKill/mycrm_patch -kills 900 -kill.seed 7 -v
//
// The vendors' simulators run in a process of their own, which is never killed: they are the witnesses. Exactly when a
// process dies depends on the machine, so a seed repeats the rows and the delays but not every outcome.
func TestKill(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("kill -9 is not what happens to processes on Windows")
	}
	if testing.Short() {
		t.Skip("processes are started and killed for most of a minute")
	}
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-kill.seed %d", seed)
	var all killTally
	kinds := killKinds()
	// The runs wait for their vendors' rates most of the time, so more of them go on at once than there are processors.
	turns := make(chan struct{}, max(4, 2*runtime.GOMAXPROCS(0)))
	var wg sync.WaitGroup
	for i, k := range kinds {
		k.odd = i % 4
		share := (*kills*(i+1) + len(kinds) - 1) / len(kinds)
		share -= (*kills*i + len(kinds) - 1) / len(kinds)
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			t.Run(k.name, func(t *testing.T) {
				h := fnv.New64a()
				_, _ = io.WriteString(h, k.name)
				b := newKillBench(t, k, rand.New(rand.NewPCG(seed, h.Sum64())))
				for round := 0; b.killed < share; round++ {
					b.round(round, share-b.killed)
					if t.Failed() {
						break
					}
				}
				all.add(k.name, b.sum)
			})
		})
	}
	wg.Wait()
	t.Logf("what came of it:\n%s", all.String())
}

// killKind is one kind of run.
type killKind struct {
	name    string
	vendor  string
	target  string // defaults to the vendor's customers, leads, contacts
	env     []string
	rate    int // calls a second, so that a run takes a second or two
	prepare func(b *killBench) job
	// effects counts what the vendor has done, by prints such as a deed has.
	effects func(b *killBench) map[string]int
	// again says that a call which is made twice does what it does once, and that the program makes use of it.
	again bool
	// blind says that the vendor offers no way to find out what became of a call: rows may end unsure.
	blind bool
	// faults are those of the rounds that have some.
	faults string
	odd    int // which rounds these are
	// round replaces the whole round, for what is no import.
	round func(b *killBench, most int)
}

// job is an import that is to be killed.
type job struct {
	args  []string // after FILE TARGET
	table [][]string
	deeds []deed
}

// deed is one record of a file: what it should do at the vendor.
type deed struct {
	rows  []int64 // of the file, from 1
	print string  // what the vendor has if it is done
	bad   bool    // it must be refused
	over  bool    // a later row undoes what it does
}

// killBench is a place where one kind is killed again and again.
type killBench struct {
	t    *testing.T
	kind *killKind
	rng  *rand.Rand
	dir  string
	base string // of the vendor's simulator
	env  []string

	late   atomic.Int64              // how long a write may take to reach the vendor, in nanoseconds, whoever waits for it
	slow   atomic.Pointer[lateWrite] // what happens to the next write
	tag    string                    // differs from round to round
	killed int
	sum    result
	log    bytes.Buffer // what the runs of this round said
}

// newKillBench starts the simulators.
func newKillBench(t *testing.T, k *killKind, rng *rand.Rand) *killBench {
	b := &killBench{t: t, kind: k, rng: rng, dir: t.TempDir()}
	home := filepath.Join(b.dir, "home")
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "CRMETL_") && !strings.HasPrefix(kv, "XDG_") {
			b.env = append(b.env, kv)
		}
	}
	b.env = append(b.env, "HOME="+home, "XDG_STATE_HOME="+home+"/state", "XDG_CACHE_HOME="+home+"/cache", "XDG_CONFIG_HOME="+home+"/config")
	settings := serveSandbox(t, b.dir, b.env)
	b.env = append(b.env, settings...)
	b.env = append(b.env, k.env...)
	for _, kv := range settings {
		if url, ok := strings.CutPrefix(kv, "CRMETL_"+strings.ToUpper(k.vendor)+"_BASE_URL="); ok {
			at := strings.Index(url, "/"+k.vendor)
			b.base = url[:at] + "/" + k.vendor
		}
	}
	if b.base == "" {
		t.Fatalf("the sandbox says nothing of %s: %q", k.vendor, settings)
	}
	b.detour()
	return b
}

// detour puts a network between the program and the vendor: what has left goes on, and may arrive when its sender is dead.
func (b *killBench) detour() {
	there, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	delays := rand.New(rand.NewPCG(b.rng.Uint64(), 1))
	var mu sync.Mutex
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = there.Scheme, there.Host, there.Host
	}, ErrorLog: log.New(io.Discard, "", 0)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler) // it never left as a whole
		}
		ctx := context.WithoutCancel(r.Context())
		if most := b.late.Load(); most > 0 && r.Method != http.MethodGet {
			mu.Lock()
			d := time.Duration(delays.Int64N(most))
			if delays.IntN(3) > 0 {
				d = 0
			}
			mu.Unlock()
			time.Sleep(d)
		}
		out := r.WithContext(ctx)
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		if len(body) == 0 {
			out.Body = http.NoBody
		}
		if r.Method != http.MethodGet {
			if x := b.slow.Swap(nil); x != nil {
				x.pass(proxy, out)
			}
		}
		proxy.ServeHTTP(w, out)
	}))
	b.t.Cleanup(server.Close)
	for i, kv := range b.env {
		b.env[i] = strings.Replace(kv, there.Scheme+"://"+there.Host, server.URL, 1)
	}
}

// serveSandbox starts `crmetl sandbox` and returns the settings that it prints, as NAME=VALUE.
func serveSandbox(t *testing.T, dir string, env []string) (settings []string) {
	t.Helper()
	out, err := os.Create(filepath.Join(dir, "sandbox.env"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	said := filepath.Join(dir, "sandbox.err")
	errs, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errs.Close() }()
	cmd := exec.Command("crmetl", "sandbox", "--dir", filepath.Join(dir, "sandbox"))
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = env, dir, out, errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	for range 3000 {
		time.Sleep(10 * time.Millisecond)
		text, _ := os.ReadFile(said)
		if !bytes.Contains(text, []byte("interrupt to stop")) {
			continue
		}
		text, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if kv, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
				k, v, _ := strings.Cut(kv, "=")
				settings = append(settings, k+"="+strings.Trim(v, "'"))
			}
		}
		return settings
	}
	t.Fatal("the sandbox does not begin to serve")
	return nil
}

// quick is a rate that nothing waits for.
const quick = 5000

// setFaults gives the simulator a rate and failures.
func (b *killBench) setFaults(rate int, faults string) {
	b.t.Helper()
	text := faults
	if b.kind.vendor != "mappconnect" {
		text += fmt.Sprintf("\nset rate=%d", 2*rate)
	}
	if b.kind.vendor == "mapmycustomers" {
		text += "\nset token_activation=0s"
	}
	b.post("faults", text)
}

func (b *killBench) post(path, body string) {
	b.t.Helper()
	resp, err := http.Post(b.base+"/_sandbox/"+path, "text/plain", strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %d %s", path, resp.StatusCode, text)
	}
}

// command prepares a run at so many calls a second.
func (b *killBench) command(rate int, args ...string) *exec.Cmd {
	cmd := exec.Command("crmetl", args...)
	cmd.Dir = b.dir
	cmd.Env = append(slices.Clone(b.env), fmt.Sprintf("CRMETL_%s_RATE=%d", strings.ToUpper(b.kind.vendor), rate), "CRMETL_MAPMYCUSTOMERS_TOKEN_ACTIVATION=0s")
	cmd.Stdout, cmd.Stderr = &b.log, &b.log
	fmt.Fprintf(&b.log, "\n$ crmetl %s\n", strings.Join(args, " "))
	return cmd
}

// must runs a command that nothing disturbs.
func (b *killBench) must(args ...string) {
	b.t.Helper()
	if err := b.command(quick, args...).Run(); err != nil {
		b.t.Fatalf("%v: %v\n%s", args, err, b.log.String())
	}
}

// moment draws how long a process lives: a part of them dies while it begins.
func (b *killBench) moment() time.Duration {
	switch n := b.rng.IntN(100); {
	case n < 20:
		return time.Duration(b.rng.IntN(150)) * time.Millisecond
	case n < 85:
		return time.Duration(80+b.rng.IntN(1500)) * time.Millisecond
	}
	return time.Duration(1000+b.rng.IntN(4500)) * time.Millisecond
}

// reported returns when a file of a run's folder other than the journal changes: results are on their way to the disk,
// and the journal does not know it yet. It returns false when over is closed before that.
func reported(run string, over <-chan struct{}) bool {
	sizes := func() (all [5]int64) {
		for i, name := range []string{report.SuccessFile, report.RejectedFile, report.UnsureFile, report.SummaryFile, report.SummaryFile + ".new"} {
			if info, err := os.Stat(filepath.Join(run, name)); err == nil {
				all[i] = info.Size() + 1
			}
		}
		return all
	}
	for first := sizes(); ; time.Sleep(50 * time.Microsecond) {
		select {
		case <-over:
			return false
		default:
			if sizes() != first {
				return true
			}
		}
	}
}

// start runs a command for so long at most; 0: to its end. With watch, it is killed at the latest when a result file of
// that run's folder changes. It returns the exit code, -1 if the process was killed.
func (b *killBench) start(life time.Duration, watch string, args ...string) int {
	b.t.Helper()
	cmd := b.command(b.kind.rate, args...)
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	limit := life
	if life == 0 {
		limit = 2 * time.Minute
	}
	timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if watch != "" {
		over := make(chan struct{})
		defer close(over)
		go func() {
			if reported(watch, over) {
				_ = cmd.Process.Kill()
			}
		}()
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	code := cmd.ProcessState.ExitCode()
	if code == -1 {
		if life == 0 {
			b.t.Fatalf("it did not end\n%s", b.log.String())
		}
		b.killed++
		fmt.Fprintf(&b.log, "(killed)\n")
	}
	return code
}

// round makes one import and kills it so often at most.
func (b *killBench) round(n, most int) {
	b.t.Helper()
	b.log.Reset()
	b.tag = fmt.Sprintf("r%d", n)
	before := b.killed
	if b.kind.round != nil {
		b.setFaults(quick, "")
		b.kind.round(b, most)
		b.sum.kills += b.killed - before
		b.sum.runs++
		return
	}
	b.setFaults(quick, "")
	b.post("reset", "")
	j := b.kind.prepare(b)
	c := &check{killBench: b, job: &j, run: filepath.Join(b.dir, "run"+b.tag), before: b.kind.effects(b), ledger: len(b.ledger().Writes)}
	faults := "* slow=2ms..60ms"
	if (n+b.kind.odd)%2 == 1 {
		faults = b.kind.faults
	}
	b.setFaults(b.kind.rate, faults)
	b.late.Store(int64((n+b.kind.odd)/2%2) * int64(1200*time.Millisecond))
	defer b.late.Store(0)
	writeTable(b.t, filepath.Join(b.dir, b.tag+".csv"), j.table)
	wanted := min(most, 1+b.rng.IntN(6))
	for passes := 0; ; passes++ {
		if passes > 60 {
			b.t.Fatalf("it does not come to an end\n%s", b.log.String())
		}
		life := time.Duration(0)
		if b.killed-before < wanted {
			life = b.moment()
		}
		args := []string{"resume", c.run}
		if _, err := os.Stat(filepath.Join(c.run, "journal.db")); errors.Is(err, os.ErrNotExist) {
			args = append([]string{"import", b.tag + ".csv", b.target(), "--run-dir", c.run}, j.args...)
		}
		began := time.Now()
		watch := ""
		if life > 0 && b.rng.IntN(4) == 0 {
			life, watch = 10*time.Second, c.run
		}
		code := b.start(life, watch, args...)
		fmt.Fprintf(&b.log, "(exit code %d after %v)\n", code, time.Since(began).Round(time.Millisecond))
		switch code {
		case -1:
			c.interim()
			continue
		case exitStopped:
			c.sums()
			continue
		case exitOK, exitRejected, exitUnsure:
		default:
			b.t.Fatalf("exit code %d\n%s", code, b.log.String())
		}
		break
	}
	c.all()
	if c.counts.Unsure > 0 && !b.t.Failed() {
		// Nothing may be doubled when the unsure rows are tried again.
		b.start(0, "", "resume", c.run)
		c.all()
	}
	b.sum.kills += b.killed - before
	c.tell()
	if b.t.Failed() || *killTalk {
		b.t.Logf("round %d, faults %q\n%s", n, faults, b.log.String())
	}
}

func (b *killBench) target() string {
	if b.kind.target != "" {
		return b.kind.vendor + "/" + b.kind.target
	}
	return map[string]string{"mapmycustomers": "mapmycustomers/customers", "mycrm": "mycrm/leads", "lunarsend": "lunarsend/contacts"}[b.kind.vendor]
}
