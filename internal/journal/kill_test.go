package journal

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// TestKilledProcess has another process write a journal from four goroutines and kills it in the middle: every call that it was
// told is durable must be there, its locks must be free, and the run must go on.
func TestKilledProcess(t *testing.T) {
	if dir := os.Getenv("CRMETL_TEST_KILL"); dir != "" {
		writeUntilKilled(dir)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "run")
	cmd := exec.Command(exe, "-test.run", "^TestKilledProcess$")
	cmd.Env = append(os.Environ(), "CRMETL_TEST_KILL="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told := map[string][]int64{}
	in := bufio.NewScanner(out)
	for lines := 0; in.Scan(); lines++ {
		var what string
		var n int64
		if _, err := fmt.Sscan(in.Text(), &what, &n); err == nil {
			told[what] = append(told[what], n)
		}
		if lines == 200 {
			if h := Holder(dir); h == nil || h.PID != cmd.Process.Pid {
				t.Errorf("the folder is held by %v, not by process %d", h, cmd.Process.Pid)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if len(told["sent"]) < 50 {
		t.Fatalf("it wrote %d calls: %v", len(told["sent"]), told)
	}
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	for _, n := range told["sent"] {
		if got := j.Recall(row(n)); got == pipeline.Fresh {
			t.Errorf("row %d was sent and is not known", n)
		}
	}
	for _, n := range told["settled"] {
		r := row(n)
		if got := j.Recall(r); got != pipeline.Settled || r.Fate != record.Accepted {
			t.Errorf("row %d was settled and is %v, %v", n, got, r.Fate)
		}
	}
	sending(1)(t, j)
}

func writeUntilKilled(dir string) {
	j, err := Create(dir, Spec{Run: "killed"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var wg sync.WaitGroup
	for c := range int64(4) {
		wg.Go(func() {
			for n := c + 1; n < 1_000_000; n += 4 {
				r := row(n)
				call, err := j.Sending("POST /x", r)
				if err != nil {
					fmt.Println(err)
					return
				}
				fmt.Println("sent", n)
				r.Accept("created", "")
				if err := j.Settled(call, "201", r); err != nil {
					fmt.Println(err)
					return
				}
				fmt.Println("settled", n)
			}
		})
	}
	wg.Wait()
}
