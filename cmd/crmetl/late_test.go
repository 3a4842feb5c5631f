package main

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crmetl/crmetl/internal/journal"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// lateWrite is a write whose sender learns nothing of it, and that reaches the vendor later.
type lateWrite struct {
	took          time.Duration
	left, arrived chan struct{}
}

// pass breaks the connection off and lets the request go on by itself.
func (x *lateWrite) pass(vendor http.Handler, r *http.Request) {
	go func() {
		time.Sleep(x.took)
		vendor.ServeHTTP(httptest.NewRecorder(), r)
		close(x.arrived)
	}()
	close(x.left)
	panic(http.ErrAbortHandler)
}

// TestLateWrite changes a record by two rows. The call for the first one breaks off, for good or because the process is
// killed, and reaches the vendor later all the same: it must not undo what the second row did. Nor may it if the process
// that takes the run up is killed as well, once it has made that call anew.
func TestLateWrite(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("kill -9 is not what happens to processes on Windows")
	}
	if testing.Short() {
		t.Skip("what is late takes its time")
	}
	fields := map[string]string{"mapmycustomers_update": "company", "mycrm_update": "address", "lunarsend_update": "phone", "lunarsend_v2_upsert": "company", "mapmycustomers_upsert": "company"}
	for _, k := range killKinds() {
		field, ok := fields[k.name]
		if !ok {
			continue
		}
		for kills, how := range []string{"broken off", "killed", "killed twice"} {
			t.Run(k.name+", "+how, func(t *testing.T) {
				t.Parallel()
				b := newKillBench(t, k, rand.New(rand.NewPCG(1, 2)))
				b.tag = "r0"
				b.setFaults(quick, "")
				j := k.prepare(b) // it makes the records, and its second row is about one that is there
				header, one, two := j.table[0], slices.Clone(j.table[2]), slices.Clone(j.table[2])
				at := slices.Index(header, field)
				one[at], two[at] = "+18435550001", "+18435550002"
				file, run := filepath.Join(b.dir, "two.csv"), filepath.Join(b.dir, "run")
				writeTable(t, file, [][]string{header, one, two})
				x := &lateWrite{took: time.Duration(max(kills, 1)) * time.Second, left: make(chan struct{}), arrived: make(chan struct{})}
				b.slow.Store(x)
				cmd := b.command(quick, append([]string{"import", file, b.target(), "--run-dir", run}, j.args...)...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				select {
				case <-x.left:
				case <-time.After(time.Minute):
					_ = cmd.Process.Kill()
					_ = cmd.Wait()
					t.Fatalf("nothing was written within a minute\n%s", b.log.String())
				}
				if kills > 0 {
					_ = cmd.Process.Kill()
					_ = cmd.Wait()
					if kills > 1 {
						b.killOnceSettled(run, 1)
					}
					b.must("resume", run)
				} else if err := cmd.Wait(); err != nil {
					t.Fatalf("%v\n%s", err, b.log.String())
				}
				<-x.arrived
				prints := slices.Collect(maps.Keys(k.effects(b)))
				has := func(value string) bool {
					return slices.ContainsFunc(prints, func(print string) bool { return strings.Contains(print, value) })
				}
				if has(one[at]) || !has(two[at]) {
					t.Errorf("the vendor has %q, want %s\n%s", prints, two[at], b.log.String())
				}
			})
		}
	}
}

// killOnceSettled takes a run up and kills the process when the journal knows what became of a row.
func (b *killBench) killOnceSettled(run string, row int64) {
	b.t.Helper()
	cmd := b.command(quick, "resume", run)
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		v, err := journal.Read(run)
		if err == nil {
			if known := v.Recall(&record.Row{Num: row}); known == pipeline.Settled || known == pipeline.Retired {
				_ = cmd.Process.Kill()
				<-ended
				return
			}
		}
		select {
		case err := <-ended:
			b.t.Fatalf("it ended by itself: %v\n%s", err, b.log.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
