package csv

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
)

// corpus finds the shared files beside the repository.
func corpus(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skip("no go.mod above the test")
		}
		dir = up
	}
	dir = filepath.Join(dir, "..", "shared", "corpora", "csv")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the shared files are not here: ../shared/corpora/csv")
	}
	return dir
}

type corpusCase struct {
	Name, File, Expect, Tier, Outcome string
	Detectable                        bool
	Alternatives                      [][][]string
	Dialect                           struct {
		Delimiter, Quote, Escape, Encoding, Comment string
		SkipLines                                   int `json:"skip_lines"`
		HeaderLine                                  int `json:"header_line"`
	}
}

func (c *corpusCase) options(told bool) Options {
	o := Options{Name: c.File, Loose: true}
	if c.Dialect.HeaderLine == 0 {
		o.HeaderRow = "none"
	} else if c.Dialect.HeaderLine > 1 {
		o.HeaderRow = fmt.Sprint(c.Dialect.HeaderLine)
	}
	if !told {
		return o
	}
	o.Delimiter, o.Encoding, o.Comment = c.Dialect.Delimiter, c.Dialect.Encoding, c.Dialect.Comment
	if o.Quote = c.Dialect.Quote; o.Quote == "" {
		o.Quote = "none"
	}
	if c.Dialect.Escape != c.Dialect.Quote {
		o.Escape = c.Dialect.Escape
	}
	return o
}

// TestCorpus reads every shared file, told its dialect and then not, and holds the score against what it must be.
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
	for _, told := range []bool{true, false} {
		t.Run(fmt.Sprintf("told=%v", told), func(t *testing.T) {
			type score struct{ pass, refused, fail int }
			tiers := map[string]*score{}
			var rows, right int
			for _, c := range cases {
				if !told && !c.Detectable {
					continue
				}
				s := tiers[c.Tier]
				if s == nil {
					s = &score{}
					tiers[c.Tier] = s
				}
				why, refused := c.check(t, dir, told)
				if c.Outcome == "rows" {
					rows++
				}
				switch {
				case why != "":
					s.fail++
					t.Logf("%s (%s, %s): %s", c.Name, c.Tier, c.Outcome, why)
					continue
				case refused:
					s.refused++
				default:
					s.pass++
				}
				if c.Outcome == "rows" {
					right++
				}
			}
			var names []string
			for n := range tiers {
				names = append(names, n)
			}
			sort.Strings(names)
			for _, n := range names {
				t.Logf("%-18s right %d, refused %d, wrong %d", n, tiers[n].pass, tiers[n].refused, tiers[n].fail)
			}
			t.Logf("rows: %d of %d", right, rows)
			if want := map[bool]int{true: 95, false: 80}[told]; right*100 < rows*want {
				t.Errorf("%d of %d files read right, want %d%%", right, rows, want)
			}
		})
	}
}

func (c *corpusCase) check(t *testing.T, dir string, told bool) (why string, refused bool) {
	f, err := os.Open(filepath.Join(dir, c.File))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var got [][]string
	r, err := New(f, c.options(told))
	if err == nil {
		tab := drain(r)
		if c.Dialect.HeaderLine > 0 {
			got = append(got, tab.header)
		}
		got = append(got, tab.rows...)
		err = tab.err
	}
	if c.Outcome == "no_crash" {
		return "", err != nil
	}
	if err != nil {
		if c.Outcome == "rows" {
			return err.Error(), true
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
	return fmt.Sprintf("%d rows %.300q, want %d %.300q", len(got), got, len(want), want), false
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
