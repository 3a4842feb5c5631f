package readers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/internal/beside"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// corpus finds the shared files beside the repository.
func corpus(t testing.TB) string {
	t.Helper()
	return beside.Path(t, "corpora", "csv")
}

type corpusCase struct {
	Name, File, Expect, Tier, Outcome string
	Detectable                        bool
	Alternatives                      [][][]string
	Dialect                           struct {
		Delimiter, Quote, Escape, Encoding, Comment string
		HeaderLine                                  int `json:"header_line"`
	}
}

// source is where a case comes from: the first word of its name.
func (c *corpusCase) source() string {
	s, _, _ := strings.Cut(c.Name, "-")
	return s
}

// options are those of convert: nothing but the file, or all that there is to say.
func (c *corpusCase) options(told bool) Options {
	o := Options{Loose: true}
	if !told {
		return o
	}
	if c.Dialect.HeaderLine == 0 {
		o.HeaderRow = "none"
	} else if c.Dialect.HeaderLine > 1 {
		o.HeaderRow = fmt.Sprint(c.Dialect.HeaderLine)
	}
	o.Delimiter, o.Encoding, o.Escape = c.Dialect.Delimiter, c.Dialect.Encoding, c.Dialect.Escape
	if o.Quote = c.Dialect.Quote; o.Quote == "" {
		o.Quote, o.Escape = "none", ""
	}
	if o.Comment = c.Dialect.Comment; o.Comment == "" {
		o.Comment = "none"
	}
	return o
}

// read reads a case as convert does. refused is how many rows it would put aside, with the reason.
func (c *corpusCase) read(dir string, told bool) (rows [][]string, refused int, err error) {
	o := c.options(told)
	r, err := Open(filepath.Join(dir, c.File), o)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if o.HeaderRow != "none" {
		rows = append(rows, r.Header().Names())
	}
	for {
		var chunk pipeline.Chunk
		if err := r.Next(context.Background(), &chunk); errors.Is(err, io.EOF) {
			return rows, refused, nil
		} else if err != nil {
			return nil, refused, err
		}
		var b record.Batch
		if err := r.Decode(&chunk, &b); err != nil {
			return nil, refused, err
		}
		for i := range b.Rows {
			if b.Rows[i].Fate == record.Rejected {
				refused++
				continue
			}
			cells := make([]string, len(b.Rows[i].Origin))
			for k, v := range b.Rows[i].Origin {
				cells[k] = strings.Clone(v.Text())
			}
			rows = append(rows, cells)
		}
	}
}

// check returns why a case is read wrong, "" if it is read right or may be refused and is.
func (c *corpusCase) check(t *testing.T, dir string, told bool) (why string, refused bool) {
	got, rejects, err := c.read(dir, told)
	if c.Outcome == "no_crash" {
		return "", err != nil
	}
	if err == nil && rejects > 0 && c.Outcome != "rows" {
		return "", true // the rows at fault are named, the others are read
	}
	if err != nil {
		if c.Outcome == "rows" {
			return strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""), true
		}
		return "", true
	}
	raw, err := os.ReadFile(filepath.Join(dir, c.Expect))
	if err != nil {
		t.Fatal(err)
	}
	var want [][]string
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	for _, w := range append([][][]string{want}, c.Alternatives...) {
		if slices.EqualFunc(dense(got), dense(w), slices.Equal) {
			return "", false
		}
	}
	for i := range max(len(got), len(want)) {
		var g, w []string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if !slices.Equal(g, w) {
			return fmt.Sprintf("%d rows, want %d; row %d is %.150q, want %.150q", len(got), len(want), i, g, w), false
		}
	}
	return "rows differ", false
}

// dense leaves out rows without text and empty cells at the end of rows.
func dense(rows [][]string) [][]string {
	var out [][]string
	for _, r := range rows {
		for len(r) > 0 && r[len(r)-1] == "" {
			r = r[:len(r)-1]
		}
		if strings.TrimSpace(strings.Join(r, "")) != "" {
			out = append(out, r)
		}
	}
	return out
}

// known reads the file of known failures: a way ("told" or "found"), a name and the reason on each line.
func known(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "corpus-known.txt"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
			f := strings.SplitN(line, " ", 3)
			if len(f) < 3 {
				t.Fatalf("known failure without a reason: %s", line)
			}
			all[f[0]+" "+f[1]] = f[2]
		}
	}
	return all
}

// TestCorpus reads every shared file as convert does, told its dialect and then not. What fails must be known, with a
// reason, and what is known must fail: the list only shrinks.
func TestCorpus(t *testing.T) {
	dir := corpus(t)
	raw, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []corpusCase
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	reasons := known(t)
	for _, way := range []string{"told", "found"} {
		t.Run(way, func(t *testing.T) {
			type score struct{ right, refused, wrong int }
			sources := map[string]*score{}
			var all score
			for i := range cases {
				c := &cases[i]
				if way == "found" && !c.Detectable {
					continue
				}
				s := sources[c.source()]
				if s == nil {
					s = &score{}
					sources[c.source()] = s
				}
				why, refused := c.check(t, dir, way == "told")
				reason, expected := reasons[way+" "+c.Name]
				switch {
				case why != "":
					s.wrong++
					all.wrong++
					t.Logf("wrong: %s (%s): %s", c.Name, c.Tier, why)
					if !expected {
						t.Errorf("%s %s fails and is not known to", way, c.Name)
					}
				case expected:
					t.Errorf("%s %s does not fail any more (%s): take it off testdata/corpus-known.txt", way, c.Name, reason)
				case refused:
					s.refused++
					all.refused++
				default:
					s.right++
					all.right++
				}
			}
			for _, n := range slices.Sorted(maps.Keys(sources)) {
				t.Logf("%-12s right %d, refused as it may be %d, wrong %d", n, sources[n].right, sources[n].refused, sources[n].wrong)
			}
			n := all.right + all.refused + all.wrong
			t.Logf("%s: %d of %d right (%.1f%%), %d of them refused", way, n-all.wrong, n, 100-float64(all.wrong)*100/float64(n), all.refused)
			if target := map[string]int{"told": 97, "found": 93}[way]; (n-all.wrong)*100 < n*target {
				t.Errorf("less than %d%%", target)
			}
		})
	}
}
