//go:build unix

package main

import (
	"bytes"
	"context"
	stdcsv "encoding/csv"
	"errors"
	"io"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/crmetl/crmetl/connectors"
	"github.com/crmetl/crmetl/mappings"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/readers/csv"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
	"github.com/crmetl/crmetl/writers/jsonl"
)

// testRows is how many rows the stages work on: more than the caches hold.
const testRows = 20_000

// work is one of the mappings, compiled for the leads.
type work struct {
	data    []byte
	reader  *csv.Reader
	program *mappings.Program
	check   []pipeline.Step
	encode  *jsonl.Writer
}

func newWork(tb testing.TB, text string, out io.Writer) *work {
	tb.Helper()
	w := &work{data: leadsText(tb)}
	w.reader = w.open(tb)
	m, err := mappings.Parse("bench.yaml", []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	for _, c := range connectors.All() {
		for i := range c.Schema.Objects {
			o := &c.Schema.Objects[i]
			if m.Target != c.Schema.Name+"/"+o.Name {
				continue
			}
			if w.program, err = mappings.Compile(m, w.reader.Header(), o, mappings.Options{ExactNumbers: true}); err != nil {
				tb.Fatal(err)
			}
			checker, err := schema.NewChecker(o, w.program.Header(), m.Mode)
			if err != nil {
				tb.Fatal(err)
			}
			w.check = []pipeline.Step{checker}
			load := schema.Load{Mode: m.Mode, Header: w.program.Header()}
			own, err := c.Check(o.Name, load)
			if err != nil {
				tb.Fatal(err)
			}
			if own != nil {
				w.check = append(w.check, own)
			}
			payloads, err := c.Payloads(o.Name, load)
			if err != nil {
				tb.Fatal(err)
			}
			if w.encode, err = jsonl.New(out, jsonl.Options{Header: w.program.Header(), Record: payloads}); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if w.program == nil {
		tb.Fatalf("no vendor has %s", m.Target)
	}
	return w
}

func (w *work) open(tb testing.TB) *csv.Reader {
	tb.Helper()
	r, err := csv.New(bytes.NewReader(w.data), csv.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// chunks cuts the whole file.
func (w *work) chunks(tb testing.TB) []*pipeline.Chunk { return chunksOf(tb, w.open(tb)) }

// chunksOf reads a source to its end.
func chunksOf(tb testing.TB, r pipeline.Source) []*pipeline.Chunk {
	tb.Helper()
	defer r.Close()
	var all []*pipeline.Chunk
	for {
		c := &pipeline.Chunk{}
		err := r.Next(context.Background(), c)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, c)
	}
}

// steps returns the whole way of a row behind the reader.
func (w *work) steps() []pipeline.Step {
	return append(append([]pipeline.Step{w.program}, w.check...), w.encode)
}

// spent is the processor time of this process so far. On a machine that others use too, it says more than the clock.
func spent() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// perRow reports what a row took: by the clock, and of the processors.
func perRow(b *testing.B, rows int, cpu time.Duration) {
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(rows), "cpu-ns/row")
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkStandard is the measure of the others: encoding/csv reads the file and does nothing with it.
func BenchmarkStandard(b *testing.B) {
	w := newWork(b, mappingW1, io.Discard)
	b.ReportAllocs()
	rows, began := 0, spent()
	for b.Loop() {
		r := stdcsv.NewReader(bytes.NewReader(w.data))
		r.ReuseRecord = true
		for {
			if _, err := r.Read(); err != nil {
				break
			}
			rows++
		}
	}
	perRow(b, rows, spent()-began)
}

func BenchmarkRead(b *testing.B) {
	w := newWork(b, mappingW1, io.Discard)
	b.ReportAllocs()
	var c pipeline.Chunk
	rows, began := 0, spent()
	for b.Loop() {
		r := w.open(b)
		for {
			if err := r.Next(context.Background(), &c); err != nil {
				break
			}
		}
		rows += testRows
	}
	perRow(b, rows, spent()-began)
}

// act is what one stage does with a piece of the file and the batch that it becomes.
type act func(batch *record.Batch, c *pipeline.Chunk) error

// stage measures one act alone. Each piece of the file goes through the acts before it just then, so that it is in the
// caches as it is in a run. Allocations are counted in a pass of their own, because counting takes time.
func stage(b *testing.B, all []*pipeline.Chunk, measured act, before ...act) {
	var batch record.Batch
	pass := func(measure func(func() error) error) (rows int) {
		for _, c := range all {
			batch.Reset()
			for _, f := range before {
				if err := f(&batch, c); err != nil {
					b.Fatal(err)
				}
			}
			if err := measure(func() error { return measured(&batch, c) }); err != nil {
				b.Fatal(err)
			}
			rows += len(batch.Rows)
		}
		return rows
	}
	var took time.Duration
	rows := 0
	for b.Loop() {
		rows += pass(func(f func() error) error {
			began := spent()
			err := f()
			took += spent() - began
			return err
		})
	}
	allocs := uint64(0)
	counted := pass(func(f func() error) error {
		var from, to runtime.MemStats
		runtime.ReadMemStats(&from)
		err := f()
		runtime.ReadMemStats(&to)
		allocs += to.Mallocs - from.Mallocs
		return err
	})
	b.ReportMetric(0, "ns/op") // it holds the other acts too
	b.ReportMetric(float64(took.Nanoseconds())/float64(rows), "cpu-ns/row")
	b.ReportMetric(float64(allocs)/float64(counted), "allocs/row")
}

func (w *work) parseAct(batch *record.Batch, c *pipeline.Chunk) error {
	return w.reader.Decode(c, batch)
}

func (w *work) mapAct(batch *record.Batch, _ *pipeline.Chunk) error { return w.program.Apply(batch) }

func (w *work) checkAct(batch *record.Batch, _ *pipeline.Chunk) error {
	for _, s := range w.check {
		if err := s.Apply(batch); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) encodeAct(batch *record.Batch, _ *pipeline.Chunk) error { return w.encode.Apply(batch) }

func BenchmarkParse(b *testing.B) {
	w := newWork(b, mappingW1, io.Discard)
	stage(b, w.chunks(b), w.parseAct)
}

func BenchmarkMap(b *testing.B) {
	w := newWork(b, mappingW1, io.Discard)
	stage(b, w.chunks(b), w.mapAct, w.parseAct)
}

func BenchmarkCheck(b *testing.B) {
	w := newWork(b, mappingW1, io.Discard)
	stage(b, w.chunks(b), w.checkAct, w.parseAct, w.mapAct)
}

func BenchmarkEncode(b *testing.B) {
	w := newWork(b, mappingW1, io.Discard)
	stage(b, w.chunks(b), w.encodeAct, w.parseAct, w.mapAct, w.checkAct)
}

func BenchmarkMapMapp(b *testing.B) {
	w := newWork(b, mappingW2, io.Discard)
	stage(b, w.chunks(b), w.mapAct, w.parseAct)
}

func BenchmarkCheckMapp(b *testing.B) {
	w := newWork(b, mappingW2, io.Discard)
	stage(b, w.chunks(b), w.checkAct, w.parseAct, w.mapAct)
}

func BenchmarkEncodeMapp(b *testing.B) {
	w := newWork(b, mappingW2, io.Discard)
	stage(b, w.chunks(b), w.encodeAct, w.parseAct, w.mapAct, w.checkAct)
}

// BenchmarkWorker is what one worker does with each piece of the file, one after the other.
func BenchmarkWorker(b *testing.B) {
	w := newWork(b, mappingW1, io.Discard)
	all, steps := w.chunks(b), w.steps()
	var batch record.Batch
	b.ReportAllocs()
	rows, began := 0, spent()
	for b.Loop() {
		for _, c := range all {
			batch.Reset()
			if err := w.reader.Decode(c, &batch); err != nil {
				b.Fatal(err)
			}
			for _, s := range steps {
				if err := s.Apply(&batch); err != nil {
					b.Fatal(err)
				}
			}
			rows += len(batch.Rows)
		}
	}
	perRow(b, rows, spent()-began)
}

// BenchmarkWhole is the whole of W1, engine and all, in memory.
func BenchmarkWhole(b *testing.B) {
	w := newWork(b, mappingW1, io.Discard)
	b.ReportAllocs()
	rows, began := 0, spent()
	for b.Loop() {
		counts, err := pipeline.Run(context.Background(), w.open(b), w.steps(), w.encode, pipeline.Options{})
		if err != nil {
			b.Fatal(err)
		}
		rows += int(counts.Read)
	}
	perRow(b, rows, spent()-began)
}
