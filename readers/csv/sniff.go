package csv

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// finding is a dialect with its evidence.
type finding struct {
	dialect
	skip     int    // bytes before the table: Excel's sep= line, or what stands above the header
	lineEnds string // lf, crlf, cr, mixed, or "" if there are none
	notes    []string
	warnings []string // those of the notes that a user must hear of: what was left out, or taken for granted
}

// warn notes something that a user must hear of.
func (f *finding) warn(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	f.notes, f.warnings = append(f.notes, s), append(f.warnings, s)
}

// candidates are the delimiters that are looked for.
const candidates = ",;\t|"

// sample is the beginning of a text that a dialect is found by.
type sample struct {
	head  []byte
	whole bool // head is all of the text
}

// sniff finds the dialect of a text that begins with head. whole says that head is all of it.
func sniff(head []byte, whole bool, o Options) (finding, error) {
	f := finding{lineEnds: lineEnds(head)}
	var err error
	if f.quote, err = oneByte("quote", o.Quote, '"'); err != nil {
		return f, err
	}
	if f.escape, err = oneByte("escape", o.Escape, 0); err != nil {
		return f, err
	}
	if f.escape == f.quote {
		f.escape = 0
	}
	if f.comment = o.Comment; f.comment == "none" {
		f.comment = ""
	}
	sep, skip := sepLine(head)
	f.skip = skip
	s := sample{head[skip:], whole}
	told := sep
	if o.Delimiter != "" {
		if told, err = delimiter(o.Delimiter, f.quote); err != nil {
			return f, err
		}
	}
	s.head = s.head[linesBefore(s.head, o.HeaderRow, skip):]
	best, err := f.search(s, told, o)
	if err != nil {
		return f, err
	}
	switch {
	case o.Delimiter != "":
		f.notes = append([]string{fmt.Sprintf("delimiter %s: as told", shown(f.delim))}, f.notes...)
	case sep != "":
		f.notes = append([]string{fmt.Sprintf("delimiter %s: line 1 says so (%q), and is no data", shown(sep), bytes.TrimRight(head[:skip], "\r\n"))}, f.notes...)
	}
	f.wide = utf8.RuneCountInString(f.delim) > 1
	if o.HeaderRow == "" && skip == 0 {
		err = f.top(s, best)
	}
	return f, err
}

// linesBefore returns the length of the lines above a header row that was told: they are no part of the table.
func linesBefore(head []byte, headerRow string, skip int) int {
	row, err := strconv.Atoi(headerRow)
	if err != nil {
		return 0
	}
	if skip > 0 {
		row--
	}
	at := 0
	for range min(row-1, len(head)) {
		at += endOfLine(head[at:], 0, true)
	}
	return at
}

// oneByte reads an option that is one ASCII character.
func oneByte(what, s string, unset byte) (byte, error) {
	switch {
	case s == "":
		return unset, nil
	case s == "none":
		return 0, nil
	case len(s) != 1 || s[0] >= utf8.RuneSelf || s[0] == '\n' || s[0] == '\r' || s[0] == 0:
		return 0, fmt.Errorf("the %s is one ASCII character or none, not %q", what, s)
	}
	return s[0], nil
}

func delimiter(s string, quote byte) (string, error) {
	if s == `\t` || s == "tab" {
		return "\t", nil
	}
	if !utf8.ValidString(s) || len(s) > 16 || strings.ContainsAny(s, "\r\n\x00") || quote != 0 && strings.IndexByte(s, quote) >= 0 {
		return "", fmt.Errorf("%q can't separate cells; a delimiter is one character, such as , ; | or tab", s)
	}
	return s, nil
}

// shown writes a delimiter so that it can be seen.
func shown(d string) string {
	switch d {
	case "\t":
		return "tab"
	case " ":
		return "blank"
	}
	return `"` + d + `"`
}

// sepLine recognizes Excel's first line that names the delimiter, and returns that and the line's length.
func sepLine(head []byte) (string, int) {
	n := endOfLine(head, 0, true)
	if n == 0 {
		n = len(head)
	}
	line := strings.TrimRight(string(head[:min(n, 16)]), "\r\n")
	line = strings.TrimSuffix(strings.TrimPrefix(line, `"`), `"`)
	if len(line) < 5 || !strings.EqualFold(line[:4], "sep=") || utf8.RuneCountInString(line[4:]) != 1 || line[4] == '"' {
		return "", 0
	}
	return line[4:], n
}

func lineEnds(head []byte) string {
	crlf := bytes.Count(head, []byte("\r\n"))
	lf, cr := bytes.Count(head, []byte{'\n'})-crlf, bytes.Count(head, []byte{'\r'})-crlf
	switch {
	case crlf+lf+cr == 0:
		return ""
	case lf+cr == 0:
		return "crlf"
	case crlf+cr == 0:
		return "lf"
	case crlf+lf == 0:
		return "cr"
	}
	return "mixed"
}
