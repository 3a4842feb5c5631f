package readers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// file is an open file as readers see it: unpacked, counted, with a look ahead.
type file struct {
	path        string
	compression string // gzip, zstd, zip or ""
	inner       string // the name of the one file in a zip archive
	read        atomic.Int64
	size        int64 // of the file as it is stored
	regular     bool  // it can be read again
	f           *os.File
	unpack      func() // frees the decompressor
	unpacked    io.Reader
	buf         *bufio.Reader // what was looked at of unpacked, and is not read yet
}

// headSize is how far readers look ahead to find out what a file is.
const headSize = 64 << 10

// maxWindow bounds the memory that a zstd file may ask for: what zstd --long=27 makes.
const maxWindow = 128 << 20

// splitCompression takes .gz, .zst or .zip off a name.
func splitCompression(name string) (base, compression string) {
	for _, x := range []struct{ suffix, compression string }{{".gz", "gzip"}, {".zst", "zstd"}, {".zip", "zip"}} {
		if b, ok := strings.CutSuffix(name, x.suffix); ok {
			return b, x.compression
		}
	}
	return name, ""
}

// openError words the errors of opening a file as the rest of the program words its own.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &fileError{fmt.Sprintf("%s: there is no such file", path), err}
	case errors.Is(err, fs.ErrPermission):
		return &fileError{fmt.Sprintf("%s: no permission to read the file", path), err}
	}
	return fmt.Errorf("%s: %w", path, err)
}

// fileError says in plain words what an error of the file system means.
type fileError struct {
	text string
	err  error
}

func (e *fileError) Error() string { return e.text }
func (e *fileError) Unwrap() error { return e.err }

func openFile(path string) (*file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	in := &file{path: path, f: f, unpack: func() {}}
	if err := in.start(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return in, nil
}

func (in *file) start() error {
	st, err := in.f.Stat()
	if err != nil {
		return openError(in.path, err)
	}
	if st.IsDir() {
		return fmt.Errorf("%s: this is a folder, not a file", in.path)
	}
	in.size, in.regular = math.MaxInt64, st.Mode().IsRegular()
	if in.regular {
		in.size = st.Size()
	}
	var r io.Reader = &counter{in.f, &in.read}
	_, in.compression = splitCompression(strings.ToLower(in.path))
	switch in.compression {
	case "gzip":
		z, err := gzip.NewReader(bufio.NewReaderSize(r, headSize))
		if errors.Is(err, io.EOF) && in.read.Load() == 0 {
			return in.empty()
		}
		if err != nil {
			return fmt.Errorf("%s: the name says gzip, the content does not read as such: %w", in.path, cutOff(err))
		}
		r = in.packed(z)
	case "zip":
		z, err := in.openZip(st.Size())
		if err != nil {
			return err
		}
		r = in.packed(z)
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return fmt.Errorf("%s: %w", in.path, err)
		}
		in.unpack = z.Close
		r = in.packed(z)
	}
	in.unpacked, in.buf = r, bufio.NewReaderSize(r, headSize)
	return nil
}

func (in *file) empty() error { return fmt.Errorf("%s: the file is empty", in.path) }

// check looks at the first bytes and refuses a file that is not what the format says. told means that the user named
// the format.
func (in *file) check(format string, told bool) error {
	head, err := in.buf.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		if errors.Is(err, fs.ErrPermission) {
			return openError(in.path, err)
		}
		if in.compression != "" {
			return err
		}
		return fmt.Errorf("%s: %w", in.path, err)
	}
	if len(head) == 0 {
		return in.empty()
	}
	what, todo := looks(head)
	if format == "xlsx" {
		switch {
		case strings.HasPrefix(what, "an Excel workbook"), what == "a zip archive", what == oleName:
			return nil // the workbook reader knows more
		case what == "" || todo == "":
			return fmt.Errorf("%s: this is not an Excel workbook; if it is text, pass --format csv, tsv or jsonl", in.path)
		}
		return fmt.Errorf("%s: this is not an Excel workbook, it looks like %s; %s", in.path, what, todo)
	}
	if what != "" && !(told && strings.HasPrefix(what, "an HTML")) {
		return fmt.Errorf("%s: this is not %s text, it looks like %s; %s", in.path, format, what, todo)
	}
	if format != "jsonl" && !told && isJSONLine(head) {
		return fmt.Errorf("%s: this looks like JSON, an object a line; pass --format jsonl, or --format %s if it is not", in.path, format)
	}
	return nil
}

const oleName = "an old Excel workbook (.xls), or one with a password"

// looks tells what a file that is no text is, and what to do about it.
func looks(head []byte) (what, todo string) {
	has := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case has("PK\x03\x04"), has("PK\x05\x06"), has("PK\x07\x08"):
		if bytes.Contains(head, []byte("[Content_Types].xml")) || bytes.Contains(head, []byte("xl/")) || bytes.Contains(head, []byte("_rels/")) {
			return "an Excel workbook", "pass --format xlsx"
		}
		return "a zip archive", "unpack it first, give the file a name that ends in .zip, or pass --format xlsx if it is a workbook"
	case has("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
		return oleName, "save it as .xlsx without a password"
	case has("\x1f\x8b"):
		return "a gzip archive", "give the file a name that ends in .gz"
	case has("\x28\xb5\x2f\xfd"):
		return "a zstd archive", "give the file a name that ends in .zst"
	case has("BZh"), has("\xfd7zXZ\x00"), has("7z\xbc\xaf\x27\x1c"), has("Rar!\x1a\x07"):
		return "a compressed archive", "unpack it first (gzip and zstd are read as they are)"
	case has("%PDF-"):
		return "a PDF document", "export the table as CSV or XLSX"
	case has("PAR1"), has("SQLite format 3\x00"), has("\x89PNG"), has("\xff\xd8\xff"), has("\x7fELF"):
		return "a binary file", "export the table as CSV or XLSX"
	}
	start := bytes.ToLower(bytes.TrimLeft(head[:min(len(head), 512)], "\xef\xbb\xbf \t\r\n"))
	for _, tag := range []string{"<!doctype html", "<html", "<table"} {
		if bytes.HasPrefix(start, []byte(tag)) {
			return "an HTML page", "export the table as CSV or XLSX (a page in place of a file is often a login page)"
		}
	}
	if bytes.HasPrefix(start, []byte("<?xml")) {
		return "an XML document", "export the table as CSV or XLSX"
	}
	return "", ""
}

// isJSONLine reports whether the first line is a JSON object, whole.
func isJSONLine(head []byte) bool {
	line, _, _ := bytes.Cut(bytes.TrimLeft(head, "\xef\xbb\xbf \t\r\n"), []byte("\n"))
	return len(line) > 1 && line[0] == '{' && json.Valid(line)
}

// Read reads the unpacked content.
func (in *file) Read(p []byte) (int, error) {
	if in.buf.Buffered() > 0 {
		return in.buf.Read(p)
	}
	return in.unpacked.Read(p)
}

// Close closes the file.
func (in *file) Close() error {
	in.unpack()
	in.unpack = func() {}
	err := in.f.Close()
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// What a packed file may become: beyond bombSize, no more than bombFactor times what has been read of it. Tables of
// people and places shrink to a tenth, seldom to a fiftieth.
const (
	bombSize   = 1 << 30
	bombFactor = 200
)

// packed words the errors of a decompressor, and stops one that makes much too much of a file.
type packed struct {
	in  *file
	r   io.Reader
	out int64
}

func (in *file) packed(r io.Reader) *packed { return &packed{in: in, r: r} }

func (p *packed) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if p.out += int64(n); p.out > bombSize && p.out/bombFactor > p.in.read.Load() {
		return 0, fmt.Errorf("%s: more than %d MiB come out of %d KiB: this is no table but an archive made to fill memory and disks; unpack it yourself if you trust it", p.in.path, p.out>>20, p.in.read.Load()>>10)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", p.in.path, cutOff(err))
	}
	return n, err
}

// cutOff explains an end that came too early; an io.EOF below must not look like a good end.
func cutOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &fileError{"the compressed file is cut off: its end is missing", io.ErrUnexpectedEOF}
	}
	return fmt.Errorf("the compressed file is damaged: %w", err)
}
