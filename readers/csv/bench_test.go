package csv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// benchText makes rows of 20 columns like those of a CRM: short texts, some quoted, a few not ASCII.
func benchText(rows int) []byte {
	var b bytes.Buffer
	for c := range 20 {
		if c > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "column %d", c)
	}
	b.WriteByte('\n')
	for i := range rows {
		fmt.Fprintf(&b, "%d,Zoë,Müller,zoe%d@example.com,+49 30 %07d,\"Hauptstr. %d, Hof\",10115,Berlin,DE,2026-01-%02d,new,Web,,,%d.50,true,\"says \"\"hi\"\"\",a;b,,x\n", i, i, i, i%90, i%28+1, i%1000)
	}
	return b.Bytes()
}

func chunks(b *testing.B, data []byte) (*Reader, []*pipeline.Chunk) {
	r, err := New(bytes.NewReader(data), Options{})
	if err != nil {
		b.Fatal(err)
	}
	var all []*pipeline.Chunk
	for {
		c := &pipeline.Chunk{}
		if err := r.Next(context.Background(), c); errors.Is(err, io.EOF) {
			return r, all
		} else if err != nil {
			b.Fatal(err)
		}
		all = append(all, c)
	}
}

func BenchmarkDecode(b *testing.B) {
	data := benchText(20000)
	r, all := chunks(b, data)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	rows := 0
	for b.Loop() {
		for _, c := range all {
			var batch record.Batch
			if err := r.Decode(c, &batch); err != nil {
				b.Fatal(err)
			}
			rows += len(batch.Rows)
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkNext(b *testing.B) {
	data := benchText(20000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	var c pipeline.Chunk
	for b.Loop() {
		r, err := New(bytes.NewReader(data), Options{})
		for err == nil {
			err = r.Next(context.Background(), &c)
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}
	b.ReportMetric(20000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
