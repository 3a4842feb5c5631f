package readers

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/crmetl/crmetl/internal/sourcetest"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func gz(t testing.TB, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(s))
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zst(t testing.TB, s string) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	return z.EncodeAll([]byte(s), nil)
}

func zipped(t testing.TB, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create(name)
	if err == nil {
		_, err = f.Write([]byte("<x/>"))
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zipOf makes an archive of names and contents.
func zipOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := z.Create(files[i])
		if err == nil && files[i+1] != "" {
			_, err = f.Write([]byte(files[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// drain reads a file to its end.
func drain(path string, o Options) (rows int, r Reader, err error) {
	r, err = Open(path, o)
	if err != nil {
		return 0, nil, err
	}
	for {
		var c pipeline.Chunk
		if err = r.Next(context.Background(), &c); err != nil {
			break
		}
		var b record.Batch
		if err = r.Decode(&c, &b); err != nil {
			break
		}
		rows += len(b.Rows)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return rows, r, errors.Join(err, r.Close())
}

func TestFormats(t *testing.T) {
	const text = "a,b\n1,2\n3,4\n"
	for _, c := range []struct {
		name string
		data []byte
		o    Options
		want Evidence
	}{
		{"x.csv", []byte(text), Options{}, Evidence{Format: "csv", Delimiter: ",", HeaderRow: 1}},
		{"X.CSV", []byte(text), Options{}, Evidence{Format: "csv", Delimiter: ",", HeaderRow: 1}},
		{"x.csv.gz", gz(t, text), Options{}, Evidence{Format: "csv", Compression: "gzip", Delimiter: ",", HeaderRow: 1}},
		{"x.csv.zst", zst(t, text), Options{}, Evidence{Format: "csv", Compression: "zstd", Delimiter: ",", HeaderRow: 1}},
		{"x.tsv", []byte(strings.ReplaceAll(text, ",", "\t")), Options{}, Evidence{Format: "tsv", Delimiter: "\t", HeaderRow: 1}},
		{"x.csv.zip", zipOf(t, "folder/", "", "folder/leads.csv", text), Options{}, Evidence{Format: "csv", Compression: "zip", Delimiter: ",", HeaderRow: 1}},
		{"x.zip", zipOf(t, "leads.tsv", strings.ReplaceAll(text, ",", "\t")), Options{}, Evidence{Format: "tsv", Compression: "zip", Delimiter: "\t", HeaderRow: 1}},
		{"x.dat", []byte(text), Options{Format: "csv"}, Evidence{Format: "csv", Delimiter: ",", HeaderRow: 1}},
		{"x.dat.gz", gz(t, text), Options{Format: "CSV"}, Evidence{Format: "csv", Compression: "gzip", Delimiter: ",", HeaderRow: 1}},
		{"x.jsonl", []byte("{\"a\":1,\"b\":2}\n{\"a\":3}\n"), Options{}, Evidence{Format: "jsonl"}},
		{"x.ndjson.gz", gz(t, "{\"a\":1,\"b\":2}\n{\"a\":3}\n"), Options{}, Evidence{Format: "jsonl", Compression: "gzip"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, c.name, c.data)
			rows, r, err := drain(path, c.o)
			if err != nil || rows != 2 {
				t.Fatalf("%d rows, error %v, want 2", rows, err)
			}
			if n := r.BytesRead(); n != int64(len(c.data)) && (c.want.Compression != "zip" || n == 0 || n > int64(len(c.data))) {
				t.Errorf("%d bytes read, the file has %d", r.BytesRead(), len(c.data))
			}
			got := r.Evidence()
			if diff := cmp.Diff([]string{"a", "b"}, got.Columns); diff != "" {
				t.Error(diff)
			}
			got = Evidence{Format: got.Format, Compression: got.Compression, Delimiter: got.Delimiter, HeaderRow: got.HeaderRow}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	many := strings.Repeat("1,2,3\n", 50_000)
	for _, c := range []struct {
		name, file string
		data       []byte
		o          Options
		want       string
	}{
		{"empty", "leads.csv", nil, Options{}, "leads.csv: the file is empty"},
		{"empty gzip", "leads.csv.gz", nil, Options{}, "the file is empty"},
		{"gzip of nothing", "leads.csv.gz", gz(t, ""), Options{}, "the file is empty"},
		{"empty zstd", "leads.csv.zst", nil, Options{}, "the file is empty"},
		{"workbook named csv", "leads.csv", zipped(t, "[Content_Types].xml"), Options{}, "leads.csv: this is not csv text, it looks like an Excel workbook; pass --format xlsx"},
		{"zip named csv", "leads.csv", zipped(t, "leads.csv"), Options{}, "it looks like a zip archive; unpack it first"},
		{"old workbook", "leads.csv", []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 and more"), Options{}, "an old Excel workbook (.xls), or one with a password; save it as .xlsx"},
		{"gzip named csv", "leads.csv", gz(t, "a,b\n"), Options{}, "it looks like a gzip archive; give the file a name that ends in .gz"},
		{"zstd named csv", "leads.csv", zst(t, "a,b\n"), Options{}, "a name that ends in .zst"},
		{"workbook in gzip named csv", "leads.csv.gz", gz(t, string(zipped(t, "xl/workbook.xml"))), Options{}, "an Excel workbook; pass --format xlsx"},
		{"pdf", "leads.csv", []byte("%PDF-1.7\n"), Options{}, "a PDF document"},
		{"login page", "leads.csv", []byte("\n<!DOCTYPE html>\n<html>"), Options{}, "an HTML page"},
		{"xml", "leads.csv", []byte("<?xml version=\"1.0\"?>"), Options{}, "an XML document"},
		{"binary", "leads.csv", []byte("\x00\x01\xff\xfe\xfd" + strings.Repeat("\x00\xff\x10", 99)), Options{}, "this is no text"},
		{"json lines named csv", "leads.csv", []byte("{\"a\":1,\"b\":2}\n"), Options{}, "pass --format jsonl"},
		{"csv named xlsx", "leads.xlsx", []byte("a,b\n1,2\n"), Options{}, "this is not an Excel workbook; if it is text, pass --format csv"},
		{"pdf named xlsx", "leads.xlsx", []byte("%PDF-1.7\n"), Options{}, "looks like a PDF document"},
		{"no gzip", "leads.csv.gz", []byte("a,b\n1,2\n"), Options{}, "the name says gzip, the content does not read as such"},
		{"no zstd", "leads.csv.zst", []byte("a,b\n1,2\n"), Options{}, "the compressed file is damaged"},
		{"cut gzip", "leads.csv.gz", gz(t, many)[:60], Options{}, "the compressed file is cut off"},
		{"cut zstd", "leads.csv.zst", zst(t, many)[:20], Options{}, "the compressed file is cut off"},
		{"unknown extension", "leads.txt", []byte("a,b\n"), Options{}, `can't tell the format from the extension ".txt"; pass --format csv, tsv, xlsx, jsonl`},
		{"no extension", "leads", []byte("a,b\n"), Options{}, "has no extension to tell its format by; pass --format"},
		{"unknown format", "leads.csv", []byte("a,b\n"), Options{Format: "parquet"}, `there is no format "parquet"`},
		{"repeated header", "leads.csv", []byte("a,b,a\n"), Options{}, `leads.csv: line 1, the header: columns A and C are both named "a"`},
		{"encoding", "leads.csv", []byte("a,b\n\xe6\xe0,1\n"), Options{}, "leads.csv: line 2: byte 5 (0xE6) is not UTF-8, and which encoding it is can't be told for sure: "},
		{"encoding, far behind", "leads.csv.gz", gz(t, strings.Repeat("1,2\n", 50_000)+"\xe6\xe0,1\n"), Options{}, "line 50001: byte 200001 (0xE6) is not UTF-8"},
		{"encoding, other than told", "leads.csv", []byte("a,b\nCaf\xe9,1\n"), Options{Encoding: "utf-8"}, "leads.csv: line 2: byte 8 (0xE9) is not UTF-8; as windows-1252 the text there reads \"Café,1\""},
		{"two in a zip", "leads.zip", zipOf(t, "a.csv", "x\n", "folder/b.csv", "y\n", "__MACOSX/._a.csv", "z"), Options{}, "the archive has 2 files in it: a.csv, folder/b.csv; unpack the one that is meant"},
		{"nothing in a zip", "leads.zip", zipOf(t), Options{}, "the archive has no file in it"},
		{"workbook named zip", "leads.zip", zipped(t, "[Content_Types].xml"), Options{}, "a name that ends in .xlsx"},
		{"no zip", "leads.csv.zip", []byte("a,b\n1,2\n"), Options{}, "the name says zip, the content does not read as such"},
		{"empty zip", "leads.csv.zip", nil, Options{}, "the file is empty"},
		{"cut zip", "leads.csv.zip", zipOf(t, "leads.csv", many)[:200], Options{}, "the name says zip"},
		{"zip in zip", "leads.csv.zip", zipOf(t, "leads.csv", string(zipOf(t, "leads.csv", "a"))), Options{}, "it looks like a zip archive"},
		{"something else in a zip", "leads.zip", zipOf(t, "leads.pdf", "x"), Options{}, "pass --format"},
		{"a million columns", "leads.csv", []byte(strings.Repeat("a,", 1_000_000) + "\n"), Options{Loose: true}, "more than 50000 columns"},
		{"delimiter", "leads.csv", []byte("a,b;c\n"), Options{}, "leads.csv: the delimiter can't be told for sure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, c.file, c.data)
			r, err := Open(path, c.o)
			if err == nil {
				_ = r.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path+": ") || strings.Count(err.Error(), path) != 1 {
				t.Errorf("error %q, want the path once and %q", err, c.want)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "no.csv")
		_, err := Open(path, Options{})
		if err == nil || err.Error() != path+": there is no such file" || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("missing, without extension", func(t *testing.T) {
		if _, err := Open(filepath.Join(t.TempDir(), "no"), Options{}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("folder", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "dir.csv")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); err == nil || err.Error() != path+": this is a folder, not a file" {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no permission", func(t *testing.T) {
		if runtime.GOOS == "windows" || os.Geteuid() == 0 {
			t.Skip("permissions do not hold this user back")
		}
		path := write(t, "x.csv", []byte("a,b\n"))
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); err == nil || err.Error() != path+": no permission to read the file" {
			t.Errorf("error %v", err)
		}
	})
}

// TestSource runs the suite over packed files, cut anywhere: a packed file has no good end but its own.
func TestSource(t *testing.T) {
	var text strings.Builder
	text.WriteString("id,name\n")
	for i := range 500 {
		fmt.Fprintf(&text, "%d,name %x\n", i, i*i*7919)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"x.csv.gz": gz(t, text.String()), "x.csv.zst": zst(t, text.String())} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			open := func(n int) (pipeline.Source, error) {
				if err := os.WriteFile(path, data[:n], 0o600); err != nil {
					return nil, err
				}
				return Open(path, Options{})
			}
			sourcetest.Run(t, sourcetest.Suite{
				Open: func() (pipeline.Source, error) { return open(len(data)) },
				Cut:  &sourcetest.Cut{Size: len(data), Open: open, Legal: func(int) bool { return false }, Step: 7},
			})
		})
	}
}
