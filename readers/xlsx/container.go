package xlsx

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"unicode/utf16"

	"github.com/klauspost/compress/flate"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
)

// Bounds that no honest workbook meets.
const (
	maxDirectory = 8 << 20   // bytes of the archive's directory
	maxSmallPart = 128 << 20 // inflated size of a part other than sheet and strings
	freeInflate  = 64 << 20  // inflated bytes that no ratio is asked of
	maxRatio     = 200       // inflated to packed
	maxPart      = 64 << 30  // inflated size of any part
)

// meter counts what is read of the file, and while a budget is set refuses to read more than that.
type meter struct {
	file   *os.File
	read   atomic.Int64
	budget atomic.Int64
}

var errDirectory = errors.New("its directory of parts is absurdly large")

func (m *meter) ReadAt(p []byte, off int64) (int, error) {
	if m.budget.Load() > 0 && m.budget.Add(-int64(len(p))) <= 0 {
		return 0, errDirectory
	}
	n, err := m.file.ReadAt(p, off)
	m.read.Add(int64(n))
	return n, err
}

// container is the zip archive that a workbook is.
type container struct {
	file  *os.File
	size  int64
	meter *meter
	parts map[string]*zip.File // by name: lower case, forward slashes, no leading slash; nil if it stands there twice
	spans []span               // where the parts that were opened lie
}

type span struct {
	name     string
	from, to int64
}

// openContainer opens the file and reads its directory. It tells what the file is if it is no workbook archive.
func openContainer(name string) (c *container, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err // names operation and file
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file; a workbook cannot be read from a pipe or a folder")
	}
	if err := sniff(f); err != nil {
		return nil, err
	}
	c = &container{file: f, size: info.Size(), meter: &meter{file: f}, parts: map[string]*zip.File{}}
	c.meter.budget.Store(maxDirectory)
	z, err := zip.NewReader(c.meter, info.Size())
	switch {
	case errors.Is(err, errDirectory):
		return nil, errDirectory
	case err != nil:
		return nil, fmt.Errorf("is a damaged or incomplete workbook (%w); get the file again", err)
	}
	c.meter.budget.Store(0)
	z.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser { return flate.NewReader(bufio.NewReaderSize(r, 32<<10)) })
	for _, p := range z.File {
		key := partKey(p.Name)
		if _, twice := c.parts[key]; twice {
			c.parts[key] = nil
			continue
		}
		c.parts[key] = p
	}
	if p := c.parts["mimetype"]; p != nil {
		return nil, errors.New("is an OpenDocument file, not an Excel workbook; save it as .xlsx")
	}
	if _, ok := c.parts["xl/workbook.bin"]; ok {
		return nil, errors.New("is a binary workbook (.xlsb); save it as .xlsx")
	}
	return c, nil
}

// partKey is the name under which a part is looked up: writers differ in case and slashes.
func partKey(name string) string {
	return strings.ToLower(strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(name, `\`, "/")), "/"))
}

// resolve returns the key of the part that a relationship of the part base points to.
func resolve(base, target string) string {
	target = strings.ReplaceAll(target, `\`, "/")
	if u, err := url.PathUnescape(target); err == nil {
		target = u
	}
	if strings.HasPrefix(target, "/") {
		return partKey(target)
	}
	return partKey(path.Join(path.Dir(base), target))
}

// sniff refuses what is no zip archive and says what it is.
func sniff(f *os.File) error {
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	head = head[:n]
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case n == 0:
		return errors.New("is empty")
	case bytes.HasPrefix(head, []byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1")):
		return sniffOLE(f)
	case bytes.HasPrefix(head, []byte("PK")):
		return nil
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return errors.New("is compressed with gzip; name it .xlsx.gz or unpack it")
	}
	switch kind, _, _ := strings.Cut(http.DetectContentType(head), ";"); {
	case kind == "text/html":
		return errors.New("is an HTML page, not a workbook; open it in a spreadsheet and save it as .xlsx")
	case kind == "text/xml":
		return errors.New("is an XML file, not a workbook; save it as .xlsx")
	case kind == "text/plain":
		return errors.New("is a text file, not a workbook; if it is CSV, say --format csv")
	}
	return errors.New("is not a workbook: it is no zip archive, as every .xlsx is; get the file again or save it as .xlsx")
}

// sniffOLE tells an encrypted workbook from one of Excel 97: both are OLE files, which name their streams in UTF-16.
func sniffOLE(f *os.File) error {
	wide := func(s string) []byte {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = append(b, byte(u), byte(u>>8))
		}
		return b
	}
	encrypted, old, older := wide("EncryptedPackage"), wide("Workbook\x00"), wide("Book\x00")
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, 64<<20), 64<<10)
	isOld := false
	for {
		window, err := r.Peek(r.Size())
		if bytes.Contains(window, encrypted) {
			return errors.New("is encrypted with a password; save it without one")
		}
		isOld = isOld || bytes.Contains(window, old) || bytes.Contains(window, older)
		if err != nil {
			break
		}
		if _, err := r.Discard(r.Size() - len(encrypted)); err != nil {
			break
		}
	}
	if isOld {
		return errors.New("is an old .xls workbook; save it as .xlsx")
	}
	return errors.New("is an OLE file (an old Office format, or encrypted with a password); save it as .xlsx without a password")
}

func (c *container) close() error { return c.file.Close() }

// has reports whether the archive holds a part.
func (c *container) has(key string) bool {
	_, ok := c.parts[key]
	return ok
}

// open returns the inflated text of a part, as UTF-8 and without its byte order mark.
func (c *container) open(key string) (*part, error) {
	f, ok := c.parts[key]
	switch {
	case !ok:
		return nil, fmt.Errorf("part %s is missing", key)
	case f == nil:
		return nil, fmt.Errorf("part %s stands in the archive twice; which one is right cannot be told", key)
	case f.Flags&1 != 0:
		return nil, fmt.Errorf("part %s is encrypted with a password; save the workbook without one", key)
	}
	if excessive(f.UncompressedSize64, f.CompressedSize64) { // what the archive promises; inflating checks what it keeps
		return nil, fmt.Errorf("part %s: %w", key, errBomb)
	}
	if err := c.claim(key, f); err != nil {
		return nil, err
	}
	body, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("part %s: %w", key, err)
	}
	p := &part{key: key, body: body, packed: int64(f.CompressedSize64), promised: f.UncompressedSize64}
	if err := p.decode(); err != nil {
		_ = body.Close()
		return nil, err
	}
	return p, nil
}

// claim refuses parts that share their bytes: the trick of archives that inflate to petabytes.
func (c *container) claim(key string, f *zip.File) error {
	at, err := f.DataOffset()
	if err != nil {
		return fmt.Errorf("part %s: %w", key, err)
	}
	end := at + int64(f.CompressedSize64)
	for _, s := range c.spans {
		if s.name == key {
			return nil
		}
		if at < s.to && s.from < end {
			return fmt.Errorf("parts %s and %s overlap in the archive; it is refused as unsafe", s.name, key)
		}
	}
	c.spans = append(c.spans, span{key, at, end})
	return nil
}

// part is the inflated text of one part. Its only good end is a bare io.EOF.
type part struct {
	key    string
	body   io.ReadCloser
	text   io.Reader // body, as UTF-8
	packed int64
	size   int64

	promised uint64 // size, as the archive says; only good for a guess
	ahead    *ahead // nil for a part that is read as it is asked for
}

// window returns how much of the part to look at at once.
func (p *part) window() int { return int(min(max(p.promised+1, 4<<10), maxWindow)) }

// readAhead lets the part be inflated while it is being looked at, if that is worth a goroutine. The part must be
// closed.
func (p *part) readAhead() {
	if p.ahead == nil && p.promised > 2*aheadSize {
		p.ahead = newAhead(p.text)
		p.text = p.ahead
	}
}

// Close frees the part.
func (p *part) Close() error {
	if p.ahead != nil {
		p.ahead.stop()
		p.ahead = nil
	}
	return p.body.Close()
}

func (p *part) Read(b []byte) (int, error) { return p.text.Read(b) }

var errBomb = fmt.Errorf("it inflates to more than %d times its size in the file; it is refused as unsafe", maxRatio)

// excessive reports whether a part inflates to more than any honest one.
func excessive(size, packed uint64) bool {
	return size > maxPart || size > freeInflate && size/max(packed, 1) > maxRatio
}

// inflater is the raw side of a part: it bounds and words what inflating brings.
type inflater struct{ p *part }

func (r inflater) Read(b []byte) (int, error) {
	p := r.p
	n, err := p.body.Read(b)
	p.size += int64(n)
	switch {
	case excessive(uint64(p.size), uint64(max(p.packed, 0))):
		return 0, errBomb
	case err == nil || err == io.EOF: // archive/zip gives a bare io.EOF only after size and checksum
		return n, err
	}
	return n, damaged{err}
}

// damaged is a part that does not inflate to what the archive promises.
type damaged struct{ cause error }

func (e damaged) Error() string {
	cause := strings.TrimPrefix(e.cause.Error(), "zip: ")
	switch {
	case errors.Is(e.cause, io.ErrUnexpectedEOF):
		cause = "they end too early"
	case errors.Is(e.cause, zip.ErrFormat):
		cause = "they are not as long as the archive says"
	}
	return fmt.Sprintf("its packed bytes are damaged (%s); get the file again", cause)
}

func (e damaged) Unwrap() error { return e.cause }

// decode finds the encoding by byte order mark or declaration.
func (p *part) decode() error {
	r := bufio.NewReaderSize(inflater{p}, 4<<10) // small, so that long reads pass it by
	head, err := r.Peek(256)
	if err != nil && err != io.EOF { //nolint:errorlint // see inflater
		return err
	}
	var enc encoding.Encoding
	switch {
	case bytes.HasPrefix(head, []byte("\xEF\xBB\xBF")):
		_, err := r.Discard(3)
		p.text = r
		return err
	case bytes.HasPrefix(head, []byte("\xFE\xFF")), bytes.HasPrefix(head, []byte("\xFF\xFE")):
		enc = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM)
	case bytes.HasPrefix(head, []byte("\x00<")):
		enc = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	case bytes.HasPrefix(head, []byte("<\x00")):
		enc = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	default:
		name := declaredEncoding(head)
		if name == "" || strings.EqualFold(name, "utf-8") || strings.EqualFold(name, "us-ascii") {
			p.text = r
			return nil
		}
		if enc, err = htmlindex.Get(name); err != nil || strings.HasPrefix(strings.ToLower(name), "utf-16") {
			return fmt.Errorf("part %s declares the encoding %q, which its bytes are not or which is not known", p.key, name)
		}
	}
	p.text = enc.NewDecoder().Reader(r)
	return nil
}

// declaredEncoding returns what <?xml encoding="…"?> says.
func declaredEncoding(head []byte) string {
	if !bytes.HasPrefix(head, []byte("<?xml")) {
		return ""
	}
	decl, _, _ := bytes.Cut(head, []byte("?>"))
	_, rest, ok := bytes.Cut(decl, []byte("encoding"))
	rest = bytes.TrimLeft(rest, " \t\r\n=")
	if !ok || len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
		return ""
	}
	name, _, ok := bytes.Cut(rest[1:], rest[:1])
	if !ok {
		return ""
	}
	return string(name)
}
