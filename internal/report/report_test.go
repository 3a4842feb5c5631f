package report_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

func texts(cells ...string) []record.Value {
	var vs []record.Value
	for _, c := range cells {
		vs = append(vs, record.TextOf(c))
	}
	return vs
}

func TestLines(t *testing.T) {
	tests := map[string]struct {
		header  []string
		row     record.Row
		refused bool
		want    string
	}{
		"accepted": {
			[]string{"a", "b"}, record.Row{Num: 3, Origin: texts("1", "2"), Fate: record.Accepted, Action: "created", ID: "x"}, false,
			"a,b,_row,_action,_id\n1,2,3,created,x\n",
		},
		"rejected, all problems": {
			[]string{"Mobile"}, record.Row{Num: 1, Origin: texts("5"), Err: record.Problems{{Field: "mobile", Column: "Mobile", Rule: "phone", Message: "is no number"}, {Field: "x", Rule: "max", Message: "too long"}}}, true,
			"Mobile,_row,_field,_rule,_error\n5,1,mobile,phone,\"mobile (column \"\"Mobile\"\"): is no number; x: too long\"\n",
		},
		"a problem of a column without a field": {
			[]string{"a"}, record.Row{Num: 1, Origin: texts("5"), Err: record.Problems{{Column: "a", Rule: "encoding", Message: "bad"}}}, true,
			"a,_row,_field,_rule,_error\n5,1,a,encoding,\"column \"\"a\"\": bad\"\n",
		},
		"a plain error": {
			[]string{"a"}, record.Row{Num: 1, Origin: texts("5"), Err: errors.New("timeout")}, true,
			"a,_row,_field,_rule,_error\n5,1,,,timeout\n",
		},
		"cells that need quotes": {
			[]string{"a,b", "c", "d", "e", "f", "g"}, record.Row{Num: 1, Origin: texts("x\"y", "l1\r\nl2", " pad", "pad ", "#no", "\uFEFFx")}, false,
			"\"a,b\",c,d,e,f,g,_row,_action,_id\n\"x\"\"y\",\"l1\r\nl2\",\" pad\",\"pad \",\"#no\",\"\uFEFFx\",1,,\n",
		},
		"too few cells": {
			[]string{"a", "b", "c"}, record.Row{Num: 2, Origin: texts("1")}, true,
			"a,b,c,_row,_field,_rule,_error\n1,,,2,,,\n",
		},
		"too many cells": {
			[]string{"a"}, record.Row{Num: 2, Origin: texts("1", "2,5", "", "4", ""), Err: record.Problems{{Rule: "ragged", Message: "5 cells"}}}, true,
			"a,_row,_field,_rule,_error\n1,2,,ragged,\"5 cells; cells beyond the last column: \"\"2,5\"\",,4\"\n",
		},
		"empty cells beyond the last column": {
			[]string{"a"}, record.Row{Num: 2, Origin: texts("1", "", "")}, true,
			"a,_row,_field,_rule,_error\n1,2,,,\n",
		},
		"a rejected file read again": {
			[]string{"a", "_row", "_field", "b", "_rule", "_error", "_mine"}, record.Row{Num: 2, Origin: texts("1", "77", "old", "2", "old", "old", "kept")}, true,
			"a,b,_mine,_row,_field,_rule,_error\n1,2,kept,2,,,\n",
		},
		"typed cells": {
			[]string{"n", "b", "l"}, record.Row{Num: 1, Origin: []record.Value{record.NumberOf("1e21"), record.BoolOf(true), record.ListOf([]string{"x", "y"})}}, false,
			"n,b,l,_row,_action,_id\n1e21,TRUE,x;y,1,,\n",
		},
		"no columns": {nil, record.Row{Num: 1}, false, "_row,_action,_id\n1,,\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			lines := report.AcceptedLines
			if tt.refused {
				lines = report.RefusedLines
			}
			l := lines(record.LooseHeader(tt.header))
			got := string(l.Append(l.AppendHeader(nil), &tt.row))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzLines checks that any cell reads back as it was, but for what encoding/csv does to line ends.
func FuzzLines(f *testing.F) {
	f.Add("a", "b\"c", "d\n,e")
	f.Add("", "\r", "\r\n")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		l := report.RefusedLines(record.LooseHeader([]string{"a", "b"}))
		out := l.Append(l.AppendHeader(nil), &record.Row{Num: 1, Origin: texts(a, b), Err: record.Problems{{Message: c, Rule: "r"}}})
		got, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
		if err != nil || len(got) != 2 {
			t.Fatalf("%q: %v", out, err)
		}
		unix := func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }
		want := []string{unix(a), unix(b), "1", "", "r", unix(c)}
		if diff := cmp.Diff(want, got[1]); diff != "" {
			t.Error(diff)
		}
	})
}

// memory is a Log that keeps what it is told.
type memory struct {
	final, unsure *roaring64.Bitmap
	counts        pipeline.Counts
	note          []byte
	checkpoints   int
	err           error
}

func newMemory() *memory { return &memory{final: roaring64.New(), unsure: roaring64.New()} }

func (m *memory) Retired() (final, unsure *roaring64.Bitmap, counts pipeline.Counts, note []byte) {
	return m.final.Clone(), m.unsure.Clone(), m.counts, m.note
}

func (m *memory) Checkpoint(final, unsure *roaring64.Bitmap, counts pipeline.Counts, note []byte) error {
	if m.err != nil {
		return m.err
	}
	m.checkpoints++
	m.final.Or(final)
	m.unsure.Or(unsure)
	m.unsure.AndNot(final)
	m.counts, m.note = counts, bytes.Clone(note)
	return nil
}

var abHeader = record.LooseHeader([]string{"a", "b"})

func batch(rows ...record.Row) *record.Batch {
	for i := range rows {
		rows[i].Origin = texts(fmt.Sprint("a", rows[i].Num), "b")
	}
	return &record.Batch{Header: abHeader, Origin: abHeader, Rows: rows}
}

func accepted(n int64) record.Row {
	return record.Row{Num: n, Fate: record.Accepted, Action: "created", ID: fmt.Sprint("id", n)}
}

func rejected(n int64, rule, field string) record.Row {
	return record.Row{Num: n, Fate: record.Rejected, Err: record.Problems{{Rule: rule, Field: field, Message: "no"}}}
}

func unsure(n int64) record.Row {
	return record.Row{Num: n, Fate: record.Unsure, Err: errors.New("no answer")}
}

func newRecorder(t *testing.T, dir string, log report.Log) *report.Recorder {
	t.Helper()
	r, err := report.NewRecorder(dir, abHeader, log, report.Options{Sync: func(*os.File) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRecorder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	log := newMemory()
	r := newRecorder(t, dir, log)
	for _, name := range []string{report.SuccessFile, report.RejectedFile, report.UnsureFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
			t.Errorf("%s at the beginning: %v, %v", name, info, err)
		}
	}
	if err := r.Retire(batch(accepted(1), rejected(2, "max", "x"), unsure(3), record.Row{Num: 4, Fate: record.Unchanged},
		record.Row{Num: 5, Fate: record.Skipped}, record.Row{Num: 6}, record.Row{Num: 7, Fate: record.Doubt}, rejected(8, "max", "x"), rejected(9, "min", "x"))); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pipeline.Counts{Read: 7, Accepted: 1, Rejected: 3, Unsure: 1, Unchanged: 1, Skipped: 1}, r.Counts()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]report.Rejection{{"max", "x", 2}, {"min", "x", 1}}, r.Rejections()); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{
		report.SuccessFile:  "a,b,_row,_action,_id\na1,b,1,created,id1\n",
		report.RejectedFile: "a,b,_row,_field,_rule,_error\na2,b,2,x,max,x: no\na8,b,8,x,max,x: no\na9,b,9,x,min,x: no\n",
		report.UnsureFile:   "a,b,_row,_field,_rule,_error\na3,b,3,,,no answer\n",
	} {
		if diff := cmp.Diff(want, read(t, dir, name)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if want := roaring64.BitmapOf(1, 2, 4, 5, 8, 9); !log.final.Equals(want) || !log.unsure.Equals(roaring64.BitmapOf(3)) {
		t.Errorf("the log has %v and %v", log.final, log.unsure)
	}
	if err := r.Retire(batch(accepted(6))); err == nil {
		t.Error("a row was retired after Close")
	}
}

// TestTakeUp changes the files between two passes in the ways that happen.
func TestTakeUp(t *testing.T) {
	const success = "a,b,_row,_action,_id\na1,b,1,created,id1\n"
	const rejects = "a,b,_row,_field,_rule,_error\na2,b,2,x,max,x: no\na4,b,4,x,max,x: no\n"
	tests := map[string]struct {
		file, text string
		want       string // "": as it was
		warn       bool
		err        string
	}{
		"nothing":                      {file: report.SuccessFile, text: success},
		"rows after the checkpoint":    {file: report.SuccessFile, text: success + "a6,b,6,created,id6\na7,b", want: success},
		"an unsure row accepted since": {file: report.SuccessFile, text: success + "a3,b,3,created,id3\n", want: success},
		"torn inside quotes":           {file: report.SuccessFile, text: success + "\"a6\n1,2,3", want: success},
		"zeros of a power cut":         {file: report.SuccessFile, text: success + strings.Repeat("\x00", 5000), want: success},
		"zeros, and lines after them":  {file: report.SuccessFile, text: success + strings.Repeat("\x00", 500) + "\na7,b,7,created,id7\n", want: success},
		"gone":                         {file: report.SuccessFile, text: "", want: "a,b,_row,_action,_id\n", warn: true},
		"the header torn":              {file: report.SuccessFile, text: "a,b,_r", want: "a,b,_row,_action,_id\n", warn: true},
		"mended in place": {
			file: report.RejectedFile, text: "a,b,_row,_field,_rule,_error\r\n\"MENDED\",b,2,x,max,x: no\r\na4,b,4,x,max,x: no\r\n",
			want: "a,b,_row,_field,_rule,_error\r\n\"MENDED\",b,2,x,max,x: no\r\na4,b,4,x,max,x: no\r\n",
		},
		"sorted, with later rows among them": {
			file: report.RejectedFile, text: "a,b,_row,_field,_rule,_error\na9,b,9,x,max,x: no\na4,b,4,x,max,x: no\na2,b,2,x,max,x: no\n",
			want: "a,b,_row,_field,_rule,_error\na4,b,4,x,max,x: no\na2,b,2,x,max,x: no\n",
		},
		"a row deleted":   {file: report.RejectedFile, text: "a,b,_row,_field,_rule,_error\na4,b,4,x,max,x: no\n", warn: true},
		"saved otherwise": {file: report.RejectedFile, text: "a;b;_row;_field;_rule;_error\na4;b;4;x;max;no\n", err: "move it elsewhere"},
		"other columns":   {file: report.RejectedFile, text: "a,c,_row,_field,_rule,_error\n", err: "move it elsewhere"},
		"unsure row doubled": {
			file: report.UnsureFile, text: "a,b,_row,_field,_rule,_error\na3,b,3,,,no answer\na3,b,3,,,still none\n",
		},
		"unsure row that is not": {
			file: report.UnsureFile, text: "a,b,_row,_field,_rule,_error\na1,b,1,,,x\na3,b,3,,,no answer\n",
			want: "a,b,_row,_field,_rule,_error\na3,b,3,,,no answer\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			log := newMemory()
			r := newRecorder(t, dir, log)
			if err := r.Retire(batch(accepted(1), rejected(2, "max", "x"), unsure(3), rejected(4, "max", "x"))); err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if got := read(t, dir, report.SuccessFile) + read(t, dir, report.RejectedFile); got != success+rejects {
				t.Fatal(got)
			}
			if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := report.NewRecorder(dir, abHeader, log, report.Options{})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want == "" {
				want = tt.text
			}
			if diff := cmp.Diff(want, read(t, dir, tt.file)); diff != "" {
				t.Error(diff)
			}
			if got := len(r.Warnings()) > 0; got != tt.warn {
				t.Errorf("warnings %q", r.Warnings())
			}
			if c := r.Counts(); c != (pipeline.Counts{Read: 4, Accepted: 1, Rejected: 2, Unsure: 1}) {
				t.Errorf("counts %+v", c)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, report.SuccessFile)
	const theirs = "name,score\nAda,1\n"
	if err := os.WriteFile(path, []byte(theirs), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := report.NewRecorder(dir, abHeader, newMemory(), report.Options{}); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("got %v", err)
	}
	if got := read(t, dir, report.SuccessFile); got != theirs {
		t.Errorf("the file is now %q", got)
	}
}

// TestUnsureRowsFindTheirEnd follows unsure rows over three passes.
func TestUnsureRowsFindTheirEnd(t *testing.T) {
	dir := t.TempDir()
	log := newMemory()
	for i, pass := range []struct {
		rows  []record.Row
		want  pipeline.Counts
		lines string
	}{
		{[]record.Row{unsure(1), unsure(2), accepted(3), unsure(4), unsure(5)}, pipeline.Counts{Read: 5, Accepted: 1, Unsure: 4}, "1 2 4 5"},
		{[]record.Row{accepted(1), unsure(2), rejected(4, "vendor", "x")}, pipeline.Counts{Read: 5, Accepted: 2, Rejected: 1, Unsure: 2}, "2 5"},
		{nil, pipeline.Counts{Read: 5, Accepted: 2, Rejected: 1, Unsure: 2}, "2 5"},
		{[]record.Row{unsure(2), {Num: 5, Fate: record.Unchanged}, unsure(6)}, pipeline.Counts{Read: 6, Accepted: 2, Rejected: 1, Unsure: 2, Unchanged: 1}, "2 6"},
	} {
		r := newRecorder(t, dir, log)
		if err := r.Retire(batch(pass.rows...)); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(pass.want, r.Counts()); diff != "" {
			t.Errorf("pass %d: %s", i, diff)
		}
		var nums []string
		if err := report.EachUnsure(dir, func(r report.Refused) error { nums = append(nums, fmt.Sprint(r.Row)); return nil }); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(nums, " "); got != pass.lines {
			t.Errorf("pass %d: unsure.csv has %s, want %s", i, got, pass.lines)
		}
	}
}

// lines counts the rows of each result file.
func lines(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	in := map[string]int64{}
	add := func(name string, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	add(report.SuccessFile, report.EachDelivered(dir, func(report.Delivered) error { in[report.SuccessFile]++; return nil }))
	add(report.RejectedFile, report.EachRejected(dir, func(report.Refused) error { in[report.RejectedFile]++; return nil }))
	add(report.UnsureFile, report.EachUnsure(dir, func(report.Refused) error { in[report.UnsureFile]++; return nil }))
	return in
}

// TestCountsAlwaysAddUp retires random rows in random batches over random passes, with random failures of the log.
func TestCountsAlwaysAddUp(t *testing.T) {
	for range 20 {
		dir := t.TempDir()
		log := newMemory()
		done := map[int64]record.Fate{}
		for range 4 {
			log.err = nil
			r := newRecorder(t, dir, log)
			for range rand.IntN(20) {
				if rand.IntN(15) == 0 {
					log.err = errors.New("no room")
				}
				var rows []record.Row
				for range rand.IntN(5) {
					n := rand.Int64N(60) + 1
					if f, ok := done[n]; ok && f != record.Unsure || log.final.Contains(uint64(n)) {
						continue
					}
					fate := record.Fate(rand.IntN(7))
					if !fate.Open() {
						done[n] = fate
					}
					rows = append(rows, record.Row{Num: n, Fate: fate, Err: errors.New("e")})
				}
				err := r.Retire(batch(rows...))
				if err == nil && rand.IntN(3) == 0 {
					err = r.Checkpoint()
				}
				c := r.Counts()
				if c.Read != c.Accepted+c.Rejected+c.Unsure+c.Unchanged+c.Skipped {
					t.Fatalf("%+v", c)
				}
				if err != nil {
					break
				}
			}
			err := r.Close()
			c := r.Counts()
			// Whether the log kept its last entry is not known then: the counts are those of the files.
			if in := lines(t, dir); err != nil && (c.Accepted != in[report.SuccessFile] || c.Rejected != in[report.RejectedFile] || c.Unsure > in[report.UnsureFile]) { // which is brought into order at a good end
				t.Fatalf("after %v the counts are %+v; the files have %v", err, c, in)
			}
			want := pipeline.Counts{}
			for _, f := range done {
				want.Add(f)
			}
			if c != want {
				t.Fatalf("counts %+v, want %+v", c, want)
			}
			var rows int64
			for _, g := range r.Rejections() {
				rows += g.Rows
			}
			if rows != c.Rejected {
				t.Fatalf("rejections list %d rows of %d", rows, c.Rejected)
			}
			if err != nil {
				// What was not kept will come again.
				for n := range done {
					if !log.final.Contains(uint64(n)) {
						delete(done, n)
					}
				}
				for it := log.unsure.Iterator(); it.HasNext(); {
					done[int64(it.Next())] = record.Unsure
				}
			}
		}
	}
}

func TestRejectionsAreBounded(t *testing.T) {
	r := newRecorder(t, t.TempDir(), nil)
	n := int64(0)
	for kind := range 3000 {
		for range 1 + kind%2 {
			n++
			if err := r.Retire(batch(rejected(n, "rule", fmt.Sprint("field ", kind)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := r.Rejections()
	var rows int64
	for _, g := range got {
		rows += g.Rows
	}
	if len(got) > 100 || rows != n || got[0].Rows != 2 || got[len(got)-1].Rule != "(other)" {
		t.Errorf("%d kinds with %d rows of %d; first %+v, last %+v", len(got), rows, n, got[0], got[len(got)-1])
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestUsageAddsUpOverPasses(t *testing.T) {
	dir := t.TempDir()
	log := newMemory()
	now := epoch
	var s report.Summary
	for range 3 {
		now = now.Add(time.Hour) // between the passes
		r, err := report.NewRecorder(dir, abHeader, log, report.Options{
			Now: func() time.Time { return now },
			Stats: func() report.Usage {
				return report.Usage{Requests: report.Requests{Sent: 10, Retried: 2, Throttled: 1}, Bytes: report.Bytes{Read: 100, Sent: 50}}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(1500 * time.Millisecond)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		r.Fill(&s)
	}
	if s.Seconds != 4.5 || s.Requests != (report.Requests{Sent: 30, Retried: 6, Throttled: 3}) || s.Bytes != (report.Bytes{Read: 300, Sent: 150}) ||
		!s.StartedAt.Equal(epoch.Add(time.Hour)) || !s.EndedAt.Equal(now) {
		t.Errorf("%+v", s)
	}
	if s.Files["rejected"] != filepath.Join(dir, "rejected.csv") {
		t.Errorf("files %v", s.Files)
	}
}
