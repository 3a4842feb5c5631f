package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// killExport exports a dataset again and again, and kills it: the file is there whole or it is not there.
func (b *killBench) killExport(most int) {
	b.t.Helper()
	if b.tag == "r0" {
		b.plant()
	}
	b.setFaults(b.kind.rate, "GET * slow=20ms..500ms")
	out := filepath.Join(b.dir, "out"+b.tag)
	if err := os.Mkdir(out, 0o700); err != nil {
		b.t.Fatal(err)
	}
	file := filepath.Join(out, "all."+[]string{"csv", "xlsx", "jsonl"}[b.rng.IntN(3)])
	old := ""
	if b.rng.IntN(2) == 0 {
		old = "what an earlier export wrote"
		if err := os.WriteFile(file, []byte(old), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	wanted, before := min(most, 1+b.rng.IntN(6)), b.killed
	for b.killed-before < wanted {
		if code := b.start(b.moment()/3, "", "export", b.target(), file); code == exitOK {
			break
		} else if code != -1 {
			b.t.Fatalf("exit code %d\n%s", code, b.log.String())
		}
		now, err := os.ReadFile(file)
		if whole := err == nil && b.complete(file); old == "" && err == nil && !whole || old != "" && string(now) != old && !whole {
			b.t.Fatalf("killed, and %s has %d bytes (%v)\n%s", file, len(now), err, b.log.String())
		}
	}
	if code := b.start(0, "", "export", b.target(), file); code != exitOK {
		b.t.Fatalf("exit code %d\n%s", code, b.log.String())
	}
	if !b.complete(file) {
		b.t.Errorf("%s is not complete\n%s", file, b.log.String())
	}
	left, err := os.ReadDir(out)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range left {
		if f.Name() != filepath.Base(file) && (!strings.HasPrefix(f.Name(), ".") || !strings.HasSuffix(f.Name(), ".part")) {
			b.t.Errorf("%s is left behind and could be taken for a result", f.Name())
		}
	}
}

// exported is how many records an export has to bring.
const exported = 450

// plant makes them.
func (b *killBench) plant() {
	b.t.Helper()
	switch b.kind.vendor {
	case "mapmycustomers":
		b.seed(people(b, exported))
	case "mycrm":
		oldLeads(b, exported)
	default:
		oldContacts(b, exported)
	}
}

// complete reports whether a file that was exported can be read to its end and has every record once.
func (b *killBench) complete(file string) bool {
	b.t.Helper()
	plain := filepath.Join(b.dir, "plain.csv")
	if err := b.command(quick, "convert", file, plain).Run(); err != nil {
		return false
	}
	rows := readTable(b.t, plain)
	mail := slices.Index(rows[0], "email")
	seen := map[string]bool{}
	for _, r := range rows[1:] {
		seen[r[mail]] = true
	}
	for i := range b.rows(exported) {
		if !seen[fmt.Sprintf("old%d@example.com", i)] {
			return false
		}
	}
	return len(rows)-1 == b.rows(exported)
}
