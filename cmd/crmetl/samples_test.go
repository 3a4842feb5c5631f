package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/schema"
)

// sample is how the sample file of an importable object is tried.
type sample struct {
	file  string   // below samples; "" is VENDOR/OBJECT.csv
	flags []string // of the import
	// back says how the records are exported again: "no" where the vendor can't list them, "" where it can, else what
	// the settings of the connection must be for it.
	back string
	// names are fields that an export calls otherwise.
	names map[string]string
	// lost are fields that do not come back as they went, with the reason.
	lost map[string]string
}

// samples are those that need more than their names say.
func samples() map[string]sample {
	return map[string]sample{
		"mapmycustomers/customers":    {file: "customers.csv", lost: map[string]string{"color": "the vendor gives every pin a colour"}},
		"mapmycustomers/routes":       {back: "no"}, // it lists points, not customers
		"mapmycustomers/groups":       {flags: []string{"--yes"}},
		"mapmycustomers/customfields": {flags: []string{"--yes"}, back: "no"},
		"mycrm/leads":                 {names: map[string]string{"fields.Number of pets": "fields.1"}},
		"lunarsend/contacts":          {back: "PROFILE=v2", lost: map[string]string{"job_title": "the search does not show it", "notes": "the search does not show them"}},
	}
}

// bench runs commands in a folder, against simulators in it.
type bench struct {
	t   *testing.T
	env map[string]string
	dir string
}

// run runs a command and returns its standard output; want is its exit code.
func (b *bench) run(want int, args ...string) string {
	b.t.Helper()
	var out, errs bytes.Buffer
	getenv := func(k string) string {
		if v, ok := b.env[k]; ok {
			return v
		}
		switch k {
		case "CRMETL_SANDBOX_RATE":
			return "1000"
		case "HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME":
			return b.dir
		}
		return ""
	}
	args = append(args, "--sandbox="+filepath.Join(b.dir, "sandbox"))
	if code := run(context.Background(), args, getenv, nil, strings.NewReader(""), &out, &errs); code != want {
		b.t.Fatalf("crmetl %s: exit %d, want %d\n%s%s", strings.Join(args, " "), code, want, out.String(), errs.String())
	}
	return out.String()
}

// TestSamples imports the sample of every object that can be imported into its simulator, and where the vendor can list
// the records, exports them and compares what an import of that file would send with what the sample sent.
func TestSamples(t *testing.T) {
	special := samples()
	root := filepath.Join("..", "..", "samples")
	used := []string{"customers-with-errors.csv", "hubspot-contacts.csv"}
	for _, v := range vendors() {
		for _, o := range v.Objects {
			if len(o.Modes) == 0 {
				continue
			}
			name := v.Name + "/" + o.Name
			s := special[name]
			if s.file == "" {
				s.file = filepath.Join(v.Name, o.Name+".csv")
			}
			used = append(used, s.file)
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				b := &bench{t: t, dir: dir, env: map[string]string{}}
				file := filepath.Join(root, s.file)
				if name == "mapmycustomers/routes" {
					file = b.routes(root, file)
				}
				b.run(0, append([]string{"import", file, name, "--run-dir", filepath.Join(dir, "run"), "--progress", "none"}, s.flags...)...)
				if !o.Export.Any() || s.back == "no" {
					return
				}
				if k, value, ok := strings.Cut(s.back, "="); ok {
					b.env[v.EnvName(k)] = value
				}
				b.compare(v, &o, file, s)
			})
		}
	}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if rel, err := filepath.Rel(root, path); err != nil || !slices.Contains(used, rel) {
			t.Errorf("%s is used by no test (%v)", path, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestForeignSample loads what another system exports into each vendor, by the mapping that ships for it.
func TestForeignSample(t *testing.T) {
	file := filepath.Join("..", "..", "samples", "hubspot-contacts.csv")
	for target, flags := range map[string][]string{
		"mapmycustomers/customers": nil, "lunarsend/contacts": nil, "mappconnect/user": nil,
		"mycrm/leads": {"--default", "title=ms", "--default", "category=residential", "--default", "preference.offering_type=sale", "--default", "preference.types=2",
			"--default", "preference.locations=are.2.15", "--default", "preference.amenities=1", "--default", "preference.from_price=0", "--default", "preference.to_price=2000000"},
	} {
		t.Run(target, func(t *testing.T) {
			b := &bench{t: t, dir: t.TempDir(), env: map[string]string{}}
			vendor, _, _ := strings.Cut(target, "/")
			b.run(0, append([]string{"import", file, target, "--mapping", vendor + "/hubspot-contacts", "--run-dir", filepath.Join(b.dir, "run"), "--progress", "none"}, flags...)...)
			if rows := b.table(filepath.Join(b.dir, "run", "success.csv")); len(rows) != 4 {
				t.Errorf("%d lines in success.csv, want a header and three rows", len(rows))
			}
		})
	}
}

// routes makes customers, and puts their ids in the place of the sample's, which stand for any.
func (b *bench) routes(root, file string) string {
	b.t.Helper()
	b.run(0, "import", filepath.Join(root, "customers.csv"), "mapmycustomers/customers", "--run-dir", filepath.Join(b.dir, "customers"), "--progress", "none")
	ids := strings.Fields(b.run(0, "export", "mapmycustomers/customers", "-", "--format", "csv", "--columns", "id", "--run-dir", filepath.Join(b.dir, "ids")))
	text, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i := range lines[1:] {
		route, _, _ := strings.Cut(lines[i+1], ",")
		lines[i+1] = route + "," + ids[i+1]
	}
	out := filepath.Join(b.dir, "routes.csv")
	if err := os.WriteFile(out, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return out
}

// compare exports the fields that the sample has, and holds what that file would send against what the sample sent.
func (b *bench) compare(v *schema.Vendor, o *schema.Object, file string, s sample) {
	b.t.Helper()
	name := v.Name + "/" + o.Name
	mapped := filepath.Join(b.dir, "mapped.csv")
	b.run(0, "convert", file, mapped, "--to", name, "-q")
	rows := b.table(mapped)
	keep := func(cells []string) (kept []string) {
		for i, f := range rows[0] {
			if s.lost[f] == "" {
				kept = append(kept, cells[i])
			}
		}
		return kept
	}
	fields := keep(rows[0])
	columns := slices.Clone(fields)
	for i, f := range fields {
		if n := s.names[f]; n != "" {
			columns[i] = n
		}
	}
	sent := [][]string{fields}
	for _, cells := range rows[1:] {
		sent = append(sent, keep(cells))
	}
	args := []string{"export", name, "-", "--format", "csv", "--columns", strings.Join(columns, ","), "--run-dir", filepath.Join(b.dir, "export")}
	if o.Export.Expand {
		args = append(args, "--expand")
	}
	exported := filepath.Join(b.dir, "exported.csv")
	if err := os.WriteFile(exported, []byte(b.run(0, args...)), 0o600); err != nil {
		b.t.Fatal(err)
	}
	came := b.table(exported)
	came[0] = fields
	if diff := cmp.Diff(b.payloads(sent, name), b.payloads(came, name)); diff != "" {
		b.t.Errorf("what came back is not what went in: %s", diff)
	}
}

// table reads a file of cells.
func (b *bench) table(path string) [][]string {
	b.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		b.t.Fatal(err)
	}
	return rows
}

// payloads are what an import of a table would send, sorted.
func (b *bench) payloads(rows [][]string, target string) []string {
	b.t.Helper()
	var text bytes.Buffer
	if err := csv.NewWriter(&text).WriteAll(rows); err != nil {
		b.t.Fatal(err)
	}
	file := filepath.Join(b.dir, "table.csv")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		b.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.run(0, "convert", file, "-", "--to-format", "jsonl", "--to", target, "-q")), "\n")
	slices.Sort(lines)
	return lines
}
