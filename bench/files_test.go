//go:build unix

package main

import (
	"bytes"
	"context"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/crmetl/crmetl/connectors"
	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/pipeline"
	readcsv "github.com/crmetl/crmetl/readers/csv"
	readxlsx "github.com/crmetl/crmetl/readers/xlsx"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
	"github.com/crmetl/crmetl/writers"
	writecsv "github.com/crmetl/crmetl/writers/csv"
	writexlsx "github.com/crmetl/crmetl/writers/xlsx"
)

// leadsText is the leads as CSV.
func leadsText(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := writeCSV(&b, testRows, 42); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func openLeads(tb testing.TB, text []byte) pipeline.Source {
	tb.Helper()
	r, err := readcsv.New(bytes.NewReader(text), readcsv.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// bookOf writes the leads as a workbook.
func bookOf(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "leads.xlsx")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	flow(tb, openLeads(tb, leadsText(tb)), toXLSX(tb, f))
	return path
}

func openBook(tb testing.TB, path string) pipeline.Source {
	tb.Helper()
	r, err := readxlsx.Open(path, readxlsx.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func toCSV(tb testing.TB, out io.Writer) writers.Writer {
	tb.Helper()
	w, err := writecsv.New(out, writecsv.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

func toXLSX(tb testing.TB, out io.Writer) writers.Writer {
	tb.Helper()
	w, err := writexlsx.New(out, writexlsx.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// flow moves all rows of a source into a file.
func flow(tb testing.TB, src pipeline.Source, w writers.Writer) {
	tb.Helper()
	c, err := pipeline.Run(context.Background(), src, []pipeline.Step{w}, w, pipeline.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	if c.Read != testRows || c.Accepted != testRows {
		tb.Fatalf("%d rows read, %d written, want %d", c.Read, c.Accepted, testRows)
	}
}

// vendor is an account whose list of customers is ready to be read.
type vendor struct{ conn connectors.Conn }

func newVendor(tb testing.TB) *vendor {
	tb.Helper()
	c, ok := connectors.Lookup("mapmycustomers")
	if !ok {
		tb.Fatal("there is no mapmycustomers")
	}
	sim, err := c.Sandbox(sandbox.Options{Seed: testRows})
	if err != nil {
		tb.Fatal(err)
	}
	defer sim.Close()
	// The list is asked for on the sandbox's own path, which wants no token.
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/_sandbox/records/customers", nil)
	r.RemoteAddr = "127.0.0.1:1"
	sim.ServeHTTP(w, r)
	list := filepath.Join(tb.TempDir(), "customers.json")
	if err := os.WriteFile(list, w.Body.Bytes(), 0o600); err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(lister(list))
	tb.Cleanup(server.Close)
	conn, err := c.Open(schema.Connection{Name: "bench", Settings: map[string]string{"base_url": server.URL + "/api/v1", "username": "u", "password": "p", "token_activation": "0s",
		"rate": "100000"}}, api.Env{})
	if err != nil {
		tb.Fatal(err)
	}
	return &vendor{conn}
}

func (v *vendor) open(tb testing.TB) pipeline.Source {
	tb.Helper()
	src, err := v.conn.Source(context.Background(), "customers", schema.Query{Warn: func(s string) { tb.Error(s) }})
	if err != nil {
		tb.Fatal(err)
	}
	return src
}

// readStage measures the part of a source that one goroutine does: it is opened and cut into pieces.
func readStage(b *testing.B, open func() pipeline.Source) {
	b.ReportAllocs()
	rows, began := 0, spent()
	for b.Loop() {
		src := open()
		var c pipeline.Chunk
		for src.Next(context.Background(), &c) == nil {
			c = pipeline.Chunk{Data: c.Data[:0]}
		}
		if err := src.Close(); err != nil {
			b.Fatal(err)
		}
		rows += testRows
	}
	perRow(b, rows, spent()-began)
}

// BenchmarkReadBook verifies a workbook and cuts its sheet into pieces.
func BenchmarkReadBook(b *testing.B) {
	path := bookOf(b)
	readStage(b, func() pipeline.Source { return openBook(b, path) })
}

func BenchmarkParseBook(b *testing.B) {
	src := openBook(b, bookOf(b))
	stage(b, chunksOf(b, src), func(batch *record.Batch, c *pipeline.Chunk) error { return src.Decode(c, batch) })
}

// BenchmarkEncodeCSV is the last stage of W3 and of W6.
func BenchmarkEncodeCSV(b *testing.B) {
	src, w := openLeads(b, leadsText(b)), toCSV(b, io.Discard)
	stage(b, chunksOf(b, src), func(batch *record.Batch, _ *pipeline.Chunk) error { return w.Apply(batch) },
		func(batch *record.Batch, c *pipeline.Chunk) error { return src.Decode(c, batch) })
}

// BenchmarkWriteBook makes a workbook of the leads; what goroutines of the writer do counts too.
func BenchmarkWriteBook(b *testing.B) {
	src := openLeads(b, leadsText(b))
	all := chunksOf(b, src)
	batches := make([]record.Batch, len(all))
	for i, c := range all {
		if err := src.Decode(c, &batches[i]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	rows, began := 0, spent()
	for b.Loop() {
		w := toXLSX(b, io.Discard)
		for i := range batches {
			for k := range batches[i].Rows {
				batches[i].Rows[k].Fate = record.Pending
			}
			if err := w.Write(context.Background(), &batches[i]); err != nil {
				b.Fatal(err)
			}
			rows += len(batches[i].Rows)
		}
		if err := w.Commit(context.Background()); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
	perRow(b, rows, spent()-began)
}

// BenchmarkReadCustomers receives a vendor's list and cuts it into pieces; what the server does counts too.
func BenchmarkReadCustomers(b *testing.B) {
	v := newVendor(b)
	readStage(b, func() pipeline.Source { return v.open(b) })
}

func BenchmarkParseCustomers(b *testing.B) {
	src := newVendor(b).open(b)
	stage(b, chunksOf(b, src), func(batch *record.Batch, c *pipeline.Chunk) error { return src.Decode(c, batch) })
}

// BenchmarkStandardCustomers is the measure of W6: encoding/json decodes the list and nothing else is done.
func BenchmarkStandardCustomers(b *testing.B) {
	v := newVendor(b)
	var list []byte
	for _, c := range chunksOf(b, v.open(b)) {
		list = append(append(list, c.Data...), ',')
	}
	list = append(append([]byte{'['}, bytes.TrimRight(list, ",")...), ']')
	b.ReportAllocs()
	rows, began := 0, spent()
	for b.Loop() {
		if err := eachElement(bytes.NewReader(list), func(*customer) error { rows++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	perRow(b, rows, spent()-began)
}

// TestAllocationsOfFiles keeps the ways from file to file, and from a vendor's list to a file, below two allocations a row.
func TestAllocationsOfFiles(t *testing.T) {
	leads, book, v := leadsText(t), bookOf(t), newVendor(t)
	for _, c := range []struct {
		name string
		open func() pipeline.Source
		to   func(testing.TB, io.Writer) writers.Writer
	}{
		{"W3", func() pipeline.Source { return openBook(t, book) }, toCSV},
		{"W4", func() pipeline.Source { return openLeads(t, leads) }, toXLSX},
		{"W6, CSV", func() pipeline.Source { return v.open(t) }, toCSV},
		{"W6, XLSX", func() pipeline.Source { return v.open(t) }, toXLSX},
	} {
		n := testing.AllocsPerRun(2, func() { flow(t, c.open(), c.to(t, io.Discard)) }) / testRows
		t.Logf("%s: %.3f allocations a row", c.name, n)
		if n > 2 {
			t.Errorf("%s: %.2f allocations a row, 2 are allowed", c.name, n)
		}
	}
}
