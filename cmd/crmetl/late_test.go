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
// killed, and reaches the vendor a second later all the same: it must not undo what the second row did.
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
		for _, dies := range []bool{true, false} {
			name := k.name + map[bool]string{true: ", killed", false: ", broken off"}[dies]
			t.Run(name, func(t *testing.T) {
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
				x := &lateWrite{took: time.Second, left: make(chan struct{}), arrived: make(chan struct{})}
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
				if dies {
					_ = cmd.Process.Kill()
					_ = cmd.Wait()
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
