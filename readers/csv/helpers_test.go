package csv

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// table is what a text reads as.
type table struct {
	header []string
	rows   [][]string // the cells as read
	bad    []string   // per row: its problems, "" if it has none
	lines  []int64
	err    error // the fault that ended reading
}

// drain reads a source to its end.
func drain(r *Reader) table {
	t := table{header: r.Header().Names()}
	for {
		var c pipeline.Chunk
		err := r.Next(context.Background(), &c)
		if errors.Is(err, io.EOF) {
			return t
		}
		if err == nil {
			var b record.Batch
			err = r.Decode(&c, &b)
			t.add(&b)
		}
		if err != nil {
			t.err = err
			return t
		}
	}
}

// copies panics unless a text that a row says can be copied reads as its cells, by the strict rules of the standard library.
func copies(line string, cells []string) {
	if line == "" {
		return
	}
	r := csv.NewReader(strings.NewReader(line + "\n"))
	r.FieldsPerRecord = -1
	all, err := r.ReadAll()
	want := strings.ReplaceAll(strings.Join(cells, "\x00"), "\r\n", "\n") // as it reads all line ends
	if err != nil || len(all) != 1 || len(all[0]) != len(cells) || strings.Join(all[0], "\x00") != want {
		panic(fmt.Sprintf("%q can be copied, it says; it reads as %q (%v), and the cells are %q", line, all, err, cells))
	}
}

func (t *table) add(b *record.Batch) {
	for i := range b.Rows {
		row := &b.Rows[i]
		cells := []string{}
		for _, v := range row.Origin {
			cells = append(cells, strings.Clone(v.Text()))
		}
		copies(row.Text, cells)
		t.rows = append(t.rows, cells)
		problem := ""
		if row.Err != nil {
			problem = row.Err.Error()
		}
		t.bad = append(t.bad, problem)
		t.lines = append(t.lines, row.Line)
	}
}

func read(t testing.TB, in string, o Options) table {
	t.Helper()
	r, err := New(strings.NewReader(in), o)
	if err != nil {
		return table{err: err}
	}
	return drain(r)
}

// text renders a table so that two can be compared.
func (t table) text() string {
	var b strings.Builder
	for i, r := range t.rows {
		fmt.Fprintf(&b, "line %d %q %s\n", t.lines[i], r, t.bad[i])
	}
	fmt.Fprintf(&b, "error %v", t.err)
	return b.String()
}
