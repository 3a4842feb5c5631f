package mapmycustomers

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// many is how many customers the memory tests read: about 21 MB. With 200,000 (150 MB) an export has 7 MB in use and
// the index of an upsert 10 MB.
const many = 30_000

func manyCustomers(t *testing.T) *fake {
	one := compact(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/token" {
			_, _ = io.WriteString(w, `{"token":"x"}`)
			return
		}
		_, _ = io.CopyBuffer(struct{ io.Writer }{w}, bufio.NewReaderSize(&sampleList{n: many, one: strings.Replace(one, `"email":""`, `"email":"rSOUoiTGTh@x.example"`, 1)}, 64<<10), make([]byte, 64<<10))
	}))
	t.Cleanup(server.Close)
	return &fake{t: t, url: server.URL}
}

// heap is what is in use after a collection, in MB.
func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}

// TestExportMemory exports a long list and looks at the memory in use along the way.
func TestExportMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("measures memory while it reads 21 MB")
	}
	f := manyCustomers(t)
	before, most := heap(), 0.0
	src, err := f.connect().Source(t.Context(), customers, schema.Query{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	c, b := &pipeline.Chunk{}, &record.Batch{}
	rows, chunks := 0, 0
	for {
		err := src.Next(t.Context(), c)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if chunks++; chunks%4 == 0 { // the others are only cut, or the test takes long
			b.Reset()
			if err := src.Decode(c, b); err != nil {
				t.Fatal(err)
			}
			rows += len(b.Rows)
		}
		if chunks%5 == 0 {
			most = max(most, heap()-before)
		}
	}
	t.Logf("%d chunks, %.1f MB in use at most", chunks, most)
	if rows < many/5 || most > 12 {
		t.Errorf("%d rows were decoded, %.1f MB were in use", rows, most)
	}
}

// TestIndexMemory builds the index of an upsert, as it is kept for the whole run.
func TestIndexMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("measures memory while it reads 21 MB")
	}
	f := manyCustomers(t)
	h := table("email|name").Header
	sink, err := f.connect().Sink(t.Context(), customers, schema.Load{Mode: schema.Upsert, Header: h}, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	ix, err := sink.(*customerSink).indexed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	used := heap() - before
	t.Logf("%.1f MB for %d keys", used, len(ix.ids))
	if len(ix.ids) != many || used > 6 {
		t.Errorf("%d keys take %.1f MB", len(ix.ids), used)
	}
	runtime.KeepAlive(ix)
}
