package report

import (
	"bufio"
	"embed"
	"encoding/csv"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// HTMLFile is the name of the report for a person.
const HTMLFile = "report.html"

const (
	htmlRows  = 200 // rows of each file that the page shows
	htmlCells = 8   // of the user's own columns
	htmlText  = 300 // characters of a cell
)

//go:embed report.html.tmpl
var htmlPage embed.FS

// page is what the template shows.
type page struct {
	Summary
	Counts []counted
	Share  string // of the rows that were accepted
	Lists  []listed
	Next   []string
}

type counted struct {
	Name, Number, Class string
}

// listed is the beginning of one result file.
type listed struct {
	Title, File string
	Total, Left string
	Names       []string // the user's columns that are shown
	Rows        []listedRow
}

type listedRow struct {
	Row, Field, Rule, Error string
	Cells                   []cellText
}

type cellText struct {
	Text string
	Bad  bool // it is what the row was refused for
}

// WriteHTML writes report.html into a run's folder: the run for a person, in one file that loads nothing. All that
// comes from the file or the vendor is escaped. It shows the first rows of rejected.csv and unsure.csv.
func WriteHTML(dir string, s Summary) error {
	t, err := template.New("report.html.tmpl").Funcs(template.FuncMap{"plural": plural, "grouped": grouped, "duration": duration}).ParseFS(htmlPage, "report.html.tmpl")
	if err != nil {
		return err
	}
	p := page{Summary: s, Counts: countsOf(s.Rows), Next: nextSteps(s, dir)}
	if s.Rows.Read > 0 && !s.Rows.Export {
		p.Share = strconv.FormatFloat(float64(s.Rows.Accepted)*100/float64(s.Rows.Read), 'f', 1, 64) + " %"
	}
	for _, l := range []struct {
		title, file string
		total       int64
	}{{"Rejected rows", RejectedFile, s.Rows.Rejected}, {"Rows that may or may not have arrived", UnsureFile, s.Rows.Unsure}} {
		if l.total == 0 || s.Rows.Export {
			continue
		}
		x, err := firstRefused(filepath.Join(dir, l.file))
		if err != nil {
			return err
		}
		x.Title, x.File, x.Total = l.title, l.file, grouped(l.total)
		if rest := l.total - int64(len(x.Rows)); rest > 0 {
			x.Left = grouped(rest)
		}
		p.Lists = append(p.Lists, *x)
	}
	o := Options{Write: (*os.File).Write, Sync: (*os.File).Sync}
	return replaceFile(filepath.Join(dir, HTMLFile), o, func(w *bufio.Writer) error { return t.Execute(w, p) })
}

func countsOf(r Rows) []counted {
	if r.Export {
		return []counted{{"read", grouped(r.Read), ""}, {"written", grouped(r.Written), "good"}}
	}
	return []counted{
		{"accepted", grouped(r.Accepted), "good"}, {"rejected", grouped(r.Rejected), "bad"}, {"unsure", grouped(r.Unsure), "unsure"},
		{"unchanged", grouped(r.Unchanged), ""}, {"skipped", grouped(r.Skipped), ""}, {"rows read", grouped(r.Read), "sum"},
	}
}

// firstRefused reads the first lines of rejected.csv or unsure.csv.
func firstRefused(path string) (*listed, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	in := csv.NewReader(f)
	in.FieldsPerRecord = -1
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	own := slices.Index(head, colRow)
	if own < 0 || len(head)-own < 4 {
		return nil, fmt.Errorf("%s does not have the columns of a result file", path)
	}
	l := &listed{Names: head[:min(own, htmlCells)]}
	for len(l.Rows) < htmlRows {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if len(cells) < len(head) {
			continue // the last line of a run that was killed
		}
		mine := cells[len(cells)-(len(head)-own):]
		row := listedRow{Row: mine[0], Field: mine[1], Rule: mine[2], Error: clipped(mine[3], 4*htmlText)}
		for i := range l.Names {
			// The message names the column, where it is not the field's own name.
			bad := head[i] == row.Field || strings.Contains(row.Error, fmt.Sprintf("(column %q)", head[i]))
			row.Cells = append(row.Cells, cellText{Text: clipped(cells[i], htmlText), Bad: bad})
		}
		l.Rows = append(l.Rows, row)
	}
	return l, nil
}

func clipped(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
