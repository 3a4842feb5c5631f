// Package csv writes rows as delimited text: a header, then a line a row, with quotes only where they are needed (or
// around every cell), so that every reader, ours among them, gets back the cells that were written.
package csv

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/writers/internal/lines"
)

// Options say how the text is written.
type Options struct {
	Header    *record.Header // the columns; nil: those of the first batch
	Delimiter string         // one character, or \t, tab; "" = comma
	Quote     string         // which cells are quoted: minimal (those that need it) or all; "" = minimal
	LineEnd   string         // what ends a line: lf or crlf; "" = lf. Line ends inside cells stay as they are
	BOM       bool           // begin with a UTF-8 byte order mark
	Guard     bool           // an apostrophe keeps spreadsheets from running a text as a formula: record.Guard
}

// Writer renders and writes rows. Values are written as record.Value.Cell gives them.
type Writer struct {
	lines.Sink
	o Options
	d dialect
}

// dialect is how cells become a line.
type dialect struct {
	delim string
	end   string // of a line
	all   bool   // every cell is quoted
}

// New starts a text. It is an error if the delimiter is none, or if the words for quotes and line ends are not known.
func New(out io.Writer, o Options) (*Writer, error) {
	w := &Writer{o: o}
	var err error
	if w.d.delim, err = delimiter(o.Delimiter); err != nil {
		return nil, err
	}
	switch strings.ToLower(o.Quote) {
	case "", "minimal":
	case "all":
		w.d.all = true
	default:
		return nil, fmt.Errorf("%q is no way to quote cells; it is minimal or all", o.Quote)
	}
	switch strings.ToLower(o.LineEnd) {
	case "", "lf":
		w.d.end = "\n"
	case "crlf":
		w.d.end = "\r\n"
	default:
		return nil, fmt.Errorf("%q is no line end; it is lf or crlf", o.LineEnd)
	}
	w.Sink = lines.Sink{Out: out, Render: w.render, Start: w.start}
	return w, nil
}

func delimiter(s string) (string, error) {
	switch s {
	case "":
		return ",", nil
	case `\t`, "tab":
		return "\t", nil
	}
	if utf8.RuneCountInString(s) != 1 || !utf8.ValidString(s) || strings.ContainsAny(s, "\"\r\n\x00\ufeff") {
		return "", fmt.Errorf("%q can't separate cells; a delimiter is one character, such as , ; | or tab", s)
	}
	return s, nil
}

func (w *Writer) start(b *record.Batch) error {
	h := w.o.Header
	if h == nil && b != nil {
		h = b.Header
	}
	var out []byte
	if w.o.BOM {
		out = append(out, "\ufeff"...)
	}
	if h != nil && h.Len() > 0 {
		for i := range h.Len() {
			if i > 0 {
				out = append(out, w.d.delim...)
			}
			name := h.Name(i)
			if i == 0 && guarded(name) {
				out = appendQuoted(out, name)
				continue
			}
			out = w.d.appendCell(out, name, h.Len() == 1)
		}
		out = append(out, w.d.end...)
	}
	_, err := w.Out.Write(out)
	return err
}

// guarded reports whether a file that begins with name would be taken for something else: Excel's sep= line, or a
// byte order mark.
func guarded(name string) bool {
	return strings.HasPrefix(name, "\ufeff") || len(name) >= 4 && strings.EqualFold(name[:4], "sep=")
}

var errNoHeader = errors.New("the batch has no header")

func (w *Writer) render(b *record.Batch) (lines.Append, error) {
	h := w.o.Header
	if h == nil {
		h = b.Header
	}
	if h == nil {
		return nil, errNoHeader
	}
	return func(dst []byte, row *record.Row) ([]byte, error) {
		if len(row.Values) != h.Len() {
			return dst, fmt.Errorf("the row has %d cell(s), the file %d column(s)", len(row.Values), h.Len())
		}
		for i, v := range row.Values {
			if i > 0 {
				dst = append(dst, w.d.delim...)
			}
			s := v.Cell()
			if w.o.Guard && s != "" {
				switch v.Kind() {
				case record.Number, record.Bool, record.Date, record.DateTime, record.Time:
				default:
					s = record.Guard(s)
				}
			}
			dst = w.d.appendCell(dst, s, len(row.Values) == 1)
		}
		return append(dst, w.d.end...), nil
	}, nil
}

// AppendRecord appends cells as one line of text. delim is one character.
func AppendRecord(dst []byte, cells []string, delim string) []byte {
	d := dialect{delim: delim}
	for i, s := range cells {
		if i > 0 {
			dst = append(dst, delim...)
		}
		dst = d.appendCell(dst, s, len(cells) == 1)
	}
	return append(dst, '\n')
}

// appendCell appends one cell. A cell that is alone in its line is quoted if it is empty, since a line without
// characters is no row.
func (d *dialect) appendCell(dst []byte, s string, alone bool) []byte {
	if s == "" {
		if alone || d.all {
			dst = append(dst, '"', '"')
		}
		return dst
	}
	if !d.all && plain(s, d.delim) {
		return append(dst, s...)
	}
	return appendQuoted(dst, s)
}

// plain reports whether a cell can stand without quotes. Blanks at the ends are kept by quotes, because other readers
// cut them off.
func plain(s, delim string) bool {
	if s[0] <= ' ' || s[len(s)-1] <= ' ' || strings.HasPrefix(s, "\u00a0") || strings.HasSuffix(s, "\u00a0") {
		return false
	}
	d := delim[0]
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == d && (len(delim) == 1 || strings.HasPrefix(s[i:], delim)), c == '"', c == '\n', c == '\r':
			return false
		}
	}
	return true
}

func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			break
		}
		dst = append(dst, s[:i+1]...)
		dst = append(dst, '"')
		s = s[i+1:]
	}
	dst = append(dst, s...)
	return append(dst, '"')
}
