package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := OpenStore(dir, "toy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func write(t *testing.T, s *Store, fn func(*Tx)) {
	t.Helper()
	err := s.Write(NewWritten(time.Unix(0, 0), "POST", "/x", []byte("body")), func(tx *Tx) (string, error) {
		fn(tx)
		return "id" + strconv.FormatInt(tx.N(), 10), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// docs lists what a store has, in order.
func docs(t *testing.T, s *Store, kind string) string {
	t.Helper()
	var out []string
	for doc, err := range s.List(kind).All() {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(doc))
	}
	return strings.Join(out, " ")
}

// TestStore does the same with a folder and without.
func TestStore(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "folder": filepath.Join(t.TempDir(), "deep", "toy")} {
		t.Run(name, func(t *testing.T) {
			s := open(t, dir)
			write(t, s, func(tx *Tx) {
				tx.Put("a", "1", []byte(`{"n":1}`))
				tx.Put("a", "2", []byte(`{"n":2}`))
				tx.Put("b", "1", []byte(`{"b":1}`))
				if doc, ok, err := tx.Get("a", "2"); !ok || err != nil || string(doc) != `{"n":2}` {
					t.Errorf("a change does not see the one before: %s %v %v", doc, ok, err)
				}
				tx.Delete("b", "1")
				if tx.Has("b", "1") {
					t.Error("deleted and still there")
				}
			})
			write(t, s, func(tx *Tx) { tx.Put("a", "3", []byte(`{"n":3}`)) })
			before := s.List("a")
			write(t, s, func(tx *Tx) {
				tx.Put("a", "1", []byte(`{"n":11}`))
				tx.Delete("a", "2")
			})

			failed := errors.New("no")
			err := s.Write(Written{}, func(tx *Tx) (string, error) {
				tx.Put("a", "9", []byte("9"))
				return "", failed
			})
			if !errors.Is(err, failed) {
				t.Errorf("got %v", err)
			}

			check := func(s *Store) {
				t.Helper()
				if got := docs(t, s, "a"); got != `{"n":11} {"n":3}` {
					t.Errorf("a has %s", got)
				}
				if got := docs(t, s, "b"); got != "" || s.Len("a") != 2 || s.List("a").Bytes() != 15 {
					t.Errorf("b has %s; a has %d with %d bytes", got, s.Len("a"), s.List("a").Bytes())
				}
				doc, ok, err := s.Get("a", "1")
				if !ok || err != nil || string(doc) != `{"n":11}` {
					t.Errorf("got %s %v %v", doc, ok, err)
				}
				if _, ok, err := s.Get("a", "2"); ok || err != nil {
					t.Errorf("deleted and still there, or %v", err)
				}
				w := s.Writes()
				if len(w) != 3 || w[2].N != 3 || w[2].ID != "id3" || w[0].Method != "POST" || w[0].Body != NewWritten(time.Time{}, "", "", []byte("body")).Body {
					t.Errorf("writes %+v", w)
				}
				if diff := cmp.Diff([]string{"a"}, s.Kinds()); diff != "" {
					t.Error(diff)
				}
			}
			check(s)
			var old []string
			for doc, err := range before.All() {
				if err != nil {
					t.Fatal(err)
				}
				old = append(old, string(doc))
			}
			if diff := cmp.Diff([]string{`{"n":1}`, `{"n":2}`, `{"n":3}`}, old); diff != "" {
				t.Errorf("a list changed after it was taken:\n%s", diff)
			}
			if dir == "" {
				return
			}
			if err := s.Note([]byte(`{"x":1}`)); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
			check(s)
			if string(s.Noted()) != `{"x":1}` {
				t.Errorf("noted %s", s.Noted())
			}
			for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, logName): 0o600, filepath.Join(dir, lockName): 0o600} {
				info, err := os.Stat(path)
				if err != nil || info.Mode().Perm() != want {
					t.Errorf("%s: %v %v, want %v", path, info.Mode(), err, want)
				}
			}
			if err := s.Reset(); err != nil {
				t.Fatal(err)
			}
			_ = s.Close()
			s = open(t, dir)
			if len(s.Kinds()) != 0 || len(s.Writes()) != 0 || s.Noted() != nil {
				t.Errorf("reset and still there: %v", s.Kinds())
			}
		})
	}
}

func TestStoreClosed(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		s := open(t, dir)
		write(t, s, func(tx *Tx) { tx.Put("a", "1", []byte("1")) })
		for range 2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Fill(func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}

// TestStoreCut cuts the log after each byte: what was sealed is there, what was not is gone, and writing goes on.
func TestStoreCut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	sizes := []int64{s.log.end}
	for i := range 3 {
		write(t, s, func(tx *Tx) {
			tx.Put("a", strconv.Itoa(i), fmt.Appendf(nil, `{"i":%d}`, i))
			tx.Put("b", strconv.Itoa(i), []byte(`{}`))
			if i > 0 {
				tx.Delete("a", strconv.Itoa(i-1))
			}
		})
		sizes = append(sizes, s.log.end)
	}
	_ = s.Close()
	whole, err := os.ReadFile(filepath.Join(dir, logName))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) + 1 {
		if err := os.WriteFile(filepath.Join(dir, logName), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenStore(dir, "toy")
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		want := 0
		for want < 3 && int64(cut) >= sizes[want+1] {
			want++
		}
		if len(s.Writes()) != want || s.Len("b") != want || s.Len("a") != min(want, 1) {
			t.Errorf("cut at %d: %d writes, %d and %d records, want %d", cut, len(s.Writes()), s.Len("a"), s.Len("b"), want)
		}
		if cut%11 != 0 { // opening twice takes its time
			_ = s.Close()
			continue
		}
		write(t, s, func(tx *Tx) { tx.Put("a", "new", []byte("{}")) })
		_ = s.Close()
		s, err = OpenStore(dir, "toy")
		if err != nil || len(s.Writes()) != want+1 {
			t.Fatalf("cut at %d, then written: %v", cut, err)
		}
		_ = s.Close()
	}
}

func TestStoreDamaged(t *testing.T) {
	for _, c := range []struct{ log, want string }{
		{"crmetl-sandbox 1 other\n", "not a log of this simulator"},
		{"something else", "not a log of this simulator"},
		{"crmetl-sandbox 1 toy\nput\ta\t1\t{}\nnonsense\nok\n", "damaged at byte 32"},
		{"crmetl-sandbox 1 toy\nput\ta\nok\n", "damaged at byte 21"},
		{"crmetl-sandbox 1 toy\ndid\t{\n", "damaged at byte 21"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, logName), []byte(c.log), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenStore(dir, "toy")
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.log, err, c.want)
		}
	}
}

func TestStoreRefusesWordsThatBreakTheLog(t *testing.T) {
	s := open(t, t.TempDir())
	for _, c := range [][3]string{{"a", "x\ty", "{}"}, {"a", "", "{}"}, {"a b", "x", "{}"}, {"a", "x", "{\n}"}} {
		if err := s.Fill(func(tx *Tx) error { tx.Put(c[0], c[1], []byte(c[2])); return nil }); err == nil {
			t.Errorf("%q was kept", c)
		}
	}
}

func TestStoreCompacts(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	big := `{"x":"` + strings.Repeat("x", 10000) + `"}`
	for i := range 400 {
		write(t, s, func(tx *Tx) {
			tx.Put("a", strconv.Itoa(i%40), []byte(big))
			tx.Put("b", strconv.Itoa(i), []byte(strconv.Itoa(i)))
		})
	}
	write(t, s, func(tx *Tx) { tx.Delete("a", "7") })
	_ = s.Close()
	before, _ := os.Stat(filepath.Join(dir, logName))
	s = open(t, dir)
	after, _ := os.Stat(filepath.Join(dir, logName))
	if after.Size() > before.Size()/5 {
		t.Errorf("%d bytes before, %d after", before.Size(), after.Size())
	}
	check := func(s *Store, writes int) {
		t.Helper()
		if s.Len("a") != 39 || s.Len("b") != 400 || s.Len("c") != 0 || len(s.Writes()) != writes {
			t.Errorf("%d, %d and %d records, %d writes", s.Len("a"), s.Len("b"), s.Len("c"), len(s.Writes()))
		}
		if doc, ok, err := s.Get("a", "39"); !ok || err != nil || string(doc) != big {
			t.Errorf("a record is another after compaction: %v", err)
		}
	}
	check(s, 401)
	order := docs(t, s, "b")
	write(t, s, func(tx *Tx) { tx.Put("c", "1", []byte("{}")) })
	write(t, s, func(tx *Tx) { tx.Delete("c", "1") })
	_ = s.Close()
	s = open(t, dir)
	check(s, 403)
	if docs(t, s, "b") != order {
		t.Error("the order changed")
	}
}

func TestStoreManyDeletes(t *testing.T) {
	s := open(t, "")
	for i := range 3000 {
		write(t, s, func(tx *Tx) { tx.Put("a", strconv.Itoa(i), []byte(strconv.Itoa(i))) })
	}
	for i := range 2997 {
		write(t, s, func(tx *Tx) { tx.Delete("a", strconv.Itoa(i)) })
	}
	if got := docs(t, s, "a"); got != "2997 2998 2999" || s.Len("a") != 3 || len(s.kinds["a"].order) > 1024 {
		t.Errorf("got %s of %d", got, len(s.kinds["a"].order))
	}
	if doc, ok, err := s.Get("a", "2998"); !ok || err != nil || string(doc) != "2998" {
		t.Errorf("got %s", doc)
	}
}

const childDir = "CRMETL_TEST_STORE"

// TestStoreChild is not a test: it is the process that the next two start.
func TestStoreChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("runs only as a child of other tests")
	}
	s, err := OpenStore(dir, "toy")
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		err := s.Write(Written{}, func(tx *Tx) (string, error) {
			tx.Put("a", strconv.Itoa(i), []byte(`{"pad":"`+strings.Repeat("p", 5000)+`"}`))
			return strconv.Itoa(i), nil
		})
		if err != nil {
			os.Exit(1)
		}
		fmt.Println(i) // the answer
	}
}

func startChild(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestStoreChild$")
	c.Env = append(os.Environ(), childDir+"="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c, bufio.NewScanner(out)
}

// TestStoreKilled kills a process while it writes: nothing that it had answered is lost.
func TestStoreKilled(t *testing.T) {
	for round := range 3 {
		dir := t.TempDir()
		c, lines := startChild(t, dir)
		last := -1
		for lines.Scan() {
			last, _ = strconv.Atoi(lines.Text())
			if last == 40+17*round {
				_ = c.Process.Kill()
			}
		}
		_ = c.Wait()
		s := open(t, dir)
		if n := len(s.Writes()); n < last+1 || n > last+2 || s.Len("a") != n {
			t.Errorf("answered %d writes, found %d and %d records", last+1, n, s.Len("a"))
		}
	}
}

func TestStoreLocked(t *testing.T) {
	dir := t.TempDir()
	c, lines := startChild(t, dir)
	lines.Scan()
	_, err := OpenStore(dir, "toy")
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "in use by process "+strconv.Itoa(c.Process.Pid)) {
		t.Errorf("got %v, want the pid %d", err, c.Process.Pid)
	}
	_ = c.Process.Kill()
	for lines.Scan() {
	}
	_ = c.Wait()
	open(t, dir) // a killed process holds nothing
}

// TestStoreCantWrite refuses everything after a write whose remains it could not take back.
func TestStoreCantWrite(t *testing.T) {
	s := open(t, t.TempDir())
	write(t, s, func(tx *Tx) { tx.Put("a", "1", []byte("1")) })
	_ = s.log.file.Close()
	for range 2 {
		if err := s.Fill(func(tx *Tx) error { tx.Put("a", "2", []byte("2")); return nil }); err == nil {
			t.Error("written to a closed file")
		}
	}
	if s.Len("a") != 1 {
		t.Error("a write that failed shows")
	}
	if _, _, err := s.Get("a", "1"); err == nil {
		t.Error("read from a closed file")
	}
	for _, err := range s.List("a").All() {
		if err == nil {
			t.Error("listed from a closed file")
		}
	}
}
