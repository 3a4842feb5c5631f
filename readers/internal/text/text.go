// Package text finds a text file's encoding and turns the text into UTF-8. It never guesses in silence: bytes that are
// not of the encoding are an error with their place, and never become replacement characters.
package text

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/transform"
)

// Encoding is how a file's bytes are read as text.
type Encoding struct {
	Name  string   // utf-8, utf-16le, windows-1252, …
	Notes []string // how it is known
	// Guessed says that nothing but what the text looks like tells the encoding: the user must hear of it.
	Guessed bool

	mark  int  // bytes of the byte order mark
	units int  // bytes of a code unit of UTF-16 and UTF-32, otherwise 0
	big   bool // big-endian
	dec   encoding.Encoding
}

var marks = []struct {
	bytes string
	enc   Encoding
}{ // the longer ones first: a UTF-32LE mark begins like a UTF-16LE one
	{"\xff\xfe\x00\x00", Encoding{Name: "utf-32le", units: 4}},
	{"\x00\x00\xfe\xff", Encoding{Name: "utf-32be", units: 4, big: true}},
	{"\xef\xbb\xbf", Encoding{Name: "utf-8"}},
	{"\xff\xfe", Encoding{Name: "utf-16le", units: 2}},
	{"\xfe\xff", Encoding{Name: "utf-16be", units: 2, big: true}},
}

// Detect says how a file that begins with head is to be read. told is the encoding that the user named, or "". A byte
// order mark has the last word. Without any hint it is UTF-8 if all of head is, otherwise the encoding whose reading is
// sure (see Scan.Resolve); an error tells the place that is not UTF-8 and the readings to choose from. whole means that
// head is all of the file.
func Detect(head []byte, whole bool, told string) (Encoding, error) {
	want, err := byName(told)
	if err != nil {
		return Encoding{}, err
	}
	for _, m := range marks {
		if !bytes.HasPrefix(head, []byte(m.bytes)) {
			continue
		}
		e := m.enc
		e.mark = len(m.bytes)
		e.Notes = []string{fmt.Sprintf("encoding %s: the file begins with its byte order mark", e.Name)}
		if told != "" && want.Name != e.Name && (want.units != e.units || e.units == 0) {
			e.Notes = append(e.Notes, fmt.Sprintf("the encoding %s that was asked for is not used: the byte order mark says otherwise", told))
		}
		return e, nil
	}
	found, ok := byPattern(head)
	switch {
	case told != "" && want.units > 0 && ok && found.units == want.units && isBare(told):
		return found, nil // the user left the byte order open
	case told != "":
		want.Notes = []string{fmt.Sprintf("encoding %s: as told", want.Name)}
		if want.Name != "utf-8" {
			return want, nil
		}
	case ok:
		return found, nil
	default:
		want.Notes = []string{"encoding utf-8: the bytes are valid as such"}
	}
	at := Invalid(head, whole)
	if at < 0 {
		return want, nil
	}
	if told == "" {
		return resolveHead(head, whole)
	}
	return Encoding{}, NotUTF8(head, at, 0, 1)
}

// Marked reports whether the beginning of a text tells its encoding: by a byte order mark, or by where NUL bytes are.
func Marked(head []byte) bool {
	for _, m := range marks {
		if bytes.HasPrefix(head, []byte(m.bytes)) {
			return true
		}
	}
	_, ok := byPattern(head)
	return ok
}

// isBare reports whether the name of a UTF leaves the byte order open.
func isBare(name string) bool { k := fold(name); return k == "utf16" || k == "utf32" }

func fold(name string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(strings.TrimSpace(name)))
}

// aliases are names of encodings that people use and the registries do not know.
var aliases = map[string]string{
	"macroman": "macintosh", "mac": "macintosh", "maccyrillic": "x-mac-cyrillic", "sjis": "shift_jis", "shiftjis": "shift_jis", "cp932": "shift_jis", "ms932": "shift_jis",
	"cp936": "gbk", "cp949": "euc-kr", "uhc": "euc-kr", "euckr": "euc-kr", "cp950": "big5", "eucjp": "euc-jp", "ansi": "windows-1252", "win1250": "windows-1250",
	"win1251": "windows-1251", "win1252": "windows-1252", "win1256": "windows-1256", "windows1250": "windows-1250", "windows1251": "windows-1251",
	"windows1252": "windows-1252", "windows1253": "windows-1253", "windows1254": "windows-1254", "windows1255": "windows-1255", "windows1256": "windows-1256",
}

// byName finds an encoding by its name, UTF-8 if there is none.
func byName(name string) (Encoding, error) {
	switch fold(name) {
	case "", "utf8", "ascii", "usascii", "utf8sig", "utf8bom":
		return Encoding{Name: "utf-8"}, nil
	case "utf16", "utf16le", "unicode", "ucs2":
		return Encoding{Name: "utf-16le", units: 2}, nil
	case "utf16be":
		return Encoding{Name: "utf-16be", units: 2, big: true}, nil
	case "utf32", "utf32le":
		return Encoding{Name: "utf-32le", units: 4}, nil
	case "utf32be":
		return Encoding{Name: "utf-32be", units: 4, big: true}, nil
	}
	if other := aliases[fold(name)]; other != "" {
		name = other
	}
	unknown := fmt.Errorf("there is no encoding %q; use a name such as utf-8, utf-16le, windows-1252, windows-1251, iso-8859-15, shift_jis, gb18030, big5", name)
	if e, err := htmlindex.Get(name); err == nil {
		canonical, err := htmlindex.Name(e)
		if err != nil || canonical == "replacement" || canonical == "x-user-defined" {
			return Encoding{}, unknown
		}
		return Encoding{Name: canonical, dec: e}, nil
	}
	for _, n := range []string{name, "IBM" + strings.TrimPrefix(fold(name), "cp")} {
		e, err := ianaindex.IANA.Encoding(n)
		if err == nil && e != nil {
			return Encoding{Name: strings.ToLower(n), dec: e}, nil
		}
	}
	return Encoding{}, unknown
}

// byPattern finds UTF-16 and UTF-32 without a mark: every delimiter, digit and line end has its NUL bytes in the same
// places.
func byPattern(head []byte) (Encoding, bool) {
	head = head[:len(head)&^3]
	var nul [4]int
	for i, c := range head {
		if c == 0 {
			nul[i&3]++
		}
	}
	n := len(head) / 4
	even, odd := nul[0]+nul[2], nul[1]+nul[3]
	switch {
	case n == 0:
		return Encoding{}, false
	case nul[3] == n && nul[2] > n*9/10 && nul[0] == 0:
		return pattern("utf-32le", 4, false), true
	case nul[0] == n && nul[1] > n*9/10 && nul[3] == 0:
		return pattern("utf-32be", 4, true), true
	case odd > 2 && odd > n/4 && even*50 < odd:
		return pattern("utf-16le", 2, false), true
	case even > 2 && even > n/4 && odd*50 < even:
		return pattern("utf-16be", 2, true), true
	}
	return Encoding{}, false
}

func pattern(name string, units int, big bool) Encoding {
	return Encoding{Name: name, units: units, big: big, Notes: []string{fmt.Sprintf("encoding %s: by where the NUL bytes are", name)}}
}

// Invalid returns the place of the first byte that is not UTF-8, or -1. Without whole, a character that the end cuts
// is passed over.
func Invalid(b []byte, whole bool) int {
	if Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			if !whole && !utf8.FullRune(b[i:]) {
				return -1
			}
			return i
		}
		i += n
	}
	return -1
}

// NotUTF8 is the error for bytes that are not UTF-8. at is a place in b; b begins at the byte offset (0-based) and line
// (1-based) of the file that are given.
func NotUTF8(b []byte, at int, offset int64, line int64) error {
	line += Lines(b[:at])
	var shown string
	if s, err := charmap.Windows1252.NewDecoder().Bytes(around(b, at)); err == nil {
		shown = fmt.Sprintf("; as windows-1252 the text there reads %q: pass --encoding windows-1252 if that is right, else the encoding it has", s)
	}
	return fmt.Errorf("line %d: byte %d (0x%02X) is not UTF-8%s", line, offset+int64(at)+1, b[at], shown)
}

// around returns a few words of the line around a place.
func around(b []byte, at int) []byte {
	from, to := max(0, at-24), min(len(b), at+24)
	if i := bytes.LastIndexAny(b[from:at], "\r\n"); i >= 0 {
		from += i + 1
	}
	if i := bytes.IndexAny(b[at:to], "\r\n"); i >= 0 {
		to = at + i
	}
	return b[from:to]
}

// Lines counts the line ends in b: LF, CRLF, and CR on its own.
func Lines(b []byte) int64 {
	n := bytes.Count(b, []byte{'\n'})
	for {
		i := bytes.IndexByte(b, '\r')
		if i < 0 {
			return int64(n)
		}
		if b = b[i+1:]; len(b) == 0 || b[0] != '\n' {
			n++
		}
	}
}

// Transcoded reports whether the reader's text differs from the file's bytes, so that places in it are not places in
// the file.
func (e Encoding) Transcoded() bool { return e.units > 0 || e.dec != nil }

// Replaces reports whether U+FFFD in the reader's text stands for bytes that are not of the encoding.
func (e Encoding) Replaces() bool { return e.dec != nil && e.Name != "gb18030" }

// Reader returns the text of r as UTF-8, without byte order mark. UTF-8 itself is passed through unchecked; bytes that
// another encoding does not know come as U+FFFD if Replaces says so, otherwise they are an error.
func (e Encoding) Reader(r io.Reader) io.Reader {
	if e.mark > 0 {
		r = &skipper{r: r, n: e.mark}
	}
	switch {
	case e.units > 0:
		return &units{r: r, e: e, at: int64(e.mark)}
	case e.dec != nil:
		return transform.NewReader(r, e.dec.NewDecoder())
	}
	return r
}

// skipper leaves out the first bytes.
type skipper struct {
	r io.Reader
	n int
}

func (s *skipper) Read(p []byte) (int, error) {
	for s.n > 0 {
		n, err := io.CopyN(io.Discard, s.r, int64(s.n))
		s.n -= int(n)
		if err != nil {
			return 0, err
		}
	}
	return s.r.Read(p)
}

// units decodes UTF-16 and UTF-32 strictly.
type units struct {
	r   io.Reader
	e   Encoding
	at  int64 // byte offset of raw[0] in the file
	raw []byte
	buf []byte // memory of out
	out []byte // decoded, not yet given
	err error
}

func (u *units) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		u.fill()
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

func (u *units) fill() {
	const size = 32 << 10
	if cap(u.raw) < size {
		u.raw = append(make([]byte, 0, size), u.raw...)
	}
	n, err := u.r.Read(u.raw[len(u.raw):cap(u.raw)])
	u.raw = u.raw[:len(u.raw)+n]
	end := errors.Is(err, io.EOF)
	out := u.buf[:0]
	i, bad := 0, ""
	for i+u.e.units <= len(u.raw) && bad == "" {
		c, n := u.unit(i), u.e.units
		if u.e.units == 2 && c >= 0xd800 && c < 0xe000 {
			if i+4 > len(u.raw) && !end {
				break
			}
			if low := uint32(0); c < 0xdc00 && i+4 <= len(u.raw) {
				if low = u.unit(i + 2); low >= 0xdc00 && low < 0xe000 {
					c, n = 0x10000+(c-0xd800)<<10+(low-0xdc00), 4
				}
			}
		}
		if c > utf8.MaxRune || c >= 0xd800 && c < 0xe000 {
			bad = fmt.Sprintf("byte %d: not %s: half a character", u.at+int64(i)+1, u.e.Name)
			break
		}
		out = utf8.AppendRune(out, rune(c))
		i += n
	}
	switch {
	case bad != "":
		u.err = errors.New(bad)
	case end && i < len(u.raw):
		u.err = fmt.Errorf("byte %d: the %s text ends within a character; the file is cut off", u.at+int64(i)+1, u.e.Name)
	default:
		u.err = err
	}
	u.at += int64(i)
	u.raw = u.raw[:copy(u.raw, u.raw[i:])]
	u.buf, u.out = out, out
}

// unit returns the code unit at i.
func (u *units) unit(i int) uint32 {
	var c uint32
	for k := range u.e.units {
		b := uint32(u.raw[i+k])
		if u.e.big {
			c = c<<8 | b
		} else {
			c |= b << (8 * k)
		}
	}
	return c
}
