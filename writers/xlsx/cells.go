package xlsx

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/crmetl/crmetl/record"
)

// append writes a row, or rejects it and writes nothing.
func (x *Writer) append(row *record.Row) error {
	if len(row.Values) > maxColumns {
		row.Reject(record.Problem{Rule: "max", Message: fmt.Sprintf("the row has %d cells, and a sheet has %d columns", len(row.Values), maxColumns)})
		return nil
	}
	begin := len(x.buf)
	x.row++
	x.digits = strconv.AppendInt(x.digits[:0], int64(x.row), 10)
	x.buf = append(append(append(x.buf, `<row r="`...), x.digits...), `">`...)
	for i, v := range row.Values {
		if x.value(i, v) {
			continue
		}
		if x.o.Long == nil {
			x.buf = x.buf[:begin]
			x.row--
			row.Reject(x.overlong(row, i))
			return nil
		}
		if err := x.long(row, i); err != nil {
			return err
		}
	}
	x.buf = append(x.buf, `</row>`...)
	return nil
}

func (x *Writer) overlong(row *record.Row, i int) record.Problem {
	return record.Problem{Column: x.columnName(i), Rule: "max",
		Message: fmt.Sprintf("row %d: the text is longer than the %d characters that a cell of a workbook can hold; shorten it, or write CSV", row.Num, maxText)}
}

func (x *Writer) columnName(i int) string {
	if i < x.o.Header.Len() && x.o.Header.Name(i) != "" {
		return x.o.Header.Name(i)
	}
	return record.ColumnName(i)
}

// long writes the beginning of a text that no cell can hold, and says in the cell where the whole of it is.
func (x *Writer) long(row *record.Row, i int) error {
	text := cellText(row.Values[i])
	l := LongText{Sheet: x.sheets[len(x.sheets)-1], Cell: record.ColumnName(i) + string(x.digits), Row: row.Num, Column: x.columnName(i), Text: text}
	file, err := x.o.Long(l)
	if err != nil {
		return err
	}
	if x.longs++; x.longs == 1 {
		x.firstLong = fmt.Sprintf("row %d, column %q", l.Row, l.Column)
		x.longFile = file
	}
	note := fmt.Sprintf("… [cut here; all %d characters are in %s, cell %s]", utf8.RuneCountInString(text), file, l.Cell)
	x.text(i, beginning(text, maxText-units(note))+note)
	return nil
}

// beginning returns as much of a text as fits into so many UTF-16 units.
func beginning(s string, most int) string {
	n := 0
	for i, r := range s {
		if n += utf16.RuneLen(r); n > most {
			return s[:i]
		}
	}
	return s
}

// cellText is the text of a value that is written as one.
func cellText(v record.Value) string {
	if v.Kind() == record.List {
		return v.Cell()
	}
	return v.Text()
}

// value writes one cell, and nothing for an empty one. It returns false if the text is too long.
func (x *Writer) value(i int, v record.Value) bool {
	text := v.Text()
	switch v.Kind() {
	case record.Absent, record.Null:
		return true
	case record.Number:
		if fits(text) && !x.isText(i) {
			x.number(i, text)
			return true
		}
	case record.Bool:
		x.cell(i)
		x.buf = append(x.buf, ` t="b"><v>0</v></c>`...)
		if text == "true" {
			x.buf[len(x.buf)-len(`0</v></c>`)] = '1'
		}
		return true
	case record.Date, record.DateTime, record.Time:
		if x.moment(i, v.Kind(), text) {
			return true
		}
	case record.List:
		text = v.Cell()
	}
	if text == "" {
		return true
	}
	if tooLong(text) {
		return false
	}
	x.text(i, text)
	return true
}

// isText reports whether column i is said to hold texts, so that what looks like a number there is none.
func (x *Writer) isText(i int) bool {
	if i >= len(x.o.Types) {
		return false
	}
	switch strings.ToLower(x.o.Types[i]) {
	case "", "any", "integer", "number", "boolean", "date", "datetime", "epoch", "list", "json", "pairs":
		return false
	}
	return true
}

// text writes a cell of text. One that begins like a number or a formula gets the format of text, so that it stays one
// when somebody edits it.
func (x *Writer) text(i int, s string) {
	x.cell(i)
	switch c := s[0]; {
	case c >= '0' && c <= '9', c == '+', c == '-', c == '=', c == '@', c == '.', c == '(', c == '\'':
		x.buf = append(x.buf, x.textStyle...)
	}
	x.buf = append(appendText(x.buf, s), `</c>`...)
}

// cell begins a cell of the row: everything but the end of the tag.
func (x *Writer) cell(i int) {
	for len(x.starts) <= i {
		x.starts = append(x.starts, `<c r="`+record.ColumnName(len(x.starts)))
	}
	x.buf = append(append(append(x.buf, x.starts[i]...), x.digits...), '"')
}

// number writes a number as it stands.
func (x *Writer) number(i int, literal string) {
	x.cell(i)
	x.buf = append(append(append(x.buf, `><v>`...), literal...), `</v></c>`...)
}

// serial writes days, and a part of one, in a style that shows them as a date or a time.
func (x *Writer) serial(i, style, days int, clock time.Duration) {
	x.cell(i)
	x.buf = append(strconv.AppendInt(append(x.buf, ` s="`...), int64(style), 10), `"><v>`...)
	if clock == 0 {
		x.buf = strconv.AppendInt(x.buf, int64(days), 10)
	} else {
		x.buf = strconv.AppendFloat(x.buf, float64(days)+float64(clock)/float64(day), 'f', -1, 64)
	}
	x.buf = append(x.buf, `</v></c>`...)
}

// fits reports whether Excel holds the number without losing a digit.
func fits(literal string) bool {
	if len(literal) <= 15 && isPlain(literal) {
		return true
	}
	mantissa, _, scientific := strings.Cut(strings.ToLower(literal), "e")
	digits, leading, zeros := 0, true, 0
	for _, c := range mantissa {
		switch {
		case c == '-' || c == '.':
		case c < '0' || c > '9':
			return false
		case c == '0':
			if !leading {
				zeros++ // counts only if another digit follows
			}
		default:
			leading = false
			digits += zeros + 1
			zeros = 0
		}
	}
	if digits > 15 {
		return false
	}
	if scientific || len(literal) > 300 {
		f, err := strconv.ParseFloat(literal, 64)
		return err == nil && (math.Abs(f) > 1e-300 || digits == 0)
	}
	return len(mantissa) > 0
}

// isPlain reports whether a number is made of nothing but digits, a sign and a point.
func isPlain(literal string) bool {
	for i := 0; i < len(literal); i++ {
		if c := literal[i]; (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return literal != ""
}

// The first day that all spreadsheets agree on, and the one that serial numbers count from before it.
var (
	firstDay = time.Date(1900, time.March, 1, 0, 0, 0, 0, time.UTC)
	dayZero  = time.Date(1899, time.December, 30, 0, 0, 0, 0, time.UTC)
)

const day = 24 * time.Hour

// hasZone reports whether a time stamp says which zone it is in.
func hasZone(text string) bool {
	_, clock, _ := strings.Cut(text, "T")
	return strings.ContainsAny(clock, "Z+-")
}

// moment writes a date, a time or both as the number that Excel keeps, and returns false if it cannot.
func (x *Writer) moment(i int, kind record.Kind, text string) bool {
	style := 0
	var since time.Duration
	switch kind {
	case record.Date:
		t, err := time.Parse(time.DateOnly, text)
		if err != nil || t.Before(firstDay) {
			return false
		}
		x.serial(i, x.styles.date, days(t), 0)
		return true
	case record.DateTime:
		t, ok := parseDateTime(text)
		if !ok || t.Before(firstDay) {
			return false
		}
		t = t.Round(time.Millisecond)
		if t.Year() > 9999 {
			return false
		}
		clock := t.Sub(t.Truncate(day))
		whole := clock%time.Second == 0
		switch {
		case hasZone(text) && whole:
			style = x.styles.utc
		case hasZone(text):
			style = x.styles.utcMs
		case whole:
			style = x.styles.dateTime
		default:
			style = x.styles.dateTimeMs
		}
		x.serial(i, style, days(t), clock)
		return true
	}
	since, ok := parseTime(text)
	if !ok {
		return false
	}
	exact := since%time.Second == 0
	switch {
	case since < day && exact:
		style = x.styles.clock
	case since < day:
		style = x.styles.clockMs
	case exact:
		style = x.styles.elapsed
	default:
		style = x.styles.elapsedMs
	}
	x.serial(i, style, int(since/day), since%day)
	return true
}

func days(t time.Time) int { return int((t.Unix() - dayZero.Unix()) / int64(day/time.Second)) }

func parseDateTime(text string) (time.Time, bool) {
	layouts := [...]string{"2006-01-02T15:04:05.999999999", "2006-01-02T15:04"}
	if hasZone(text) {
		layouts = [...]string{time.RFC3339Nano, "2006-01-02T15:04Z07:00"}
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// maxHours is what the last serial number of Excel stands for, as a duration.
const maxHours = 71_003_183

// parseTime reads 15:04:05[.999], where the hours may exceed 24.
func parseTime(text string) (time.Duration, bool) {
	h, rest, ok := strings.Cut(text, ":")
	hours, err := strconv.ParseUint(h, 10, 32)
	// More than 290 years overflow a Duration.
	if !ok || err != nil || hours > min(maxHours, uint64(math.MaxInt64/time.Hour-1)) {
		return 0, false
	}
	t, err := time.Parse("04:05.999999999", rest)
	if err != nil {
		return 0, false
	}
	d := time.Duration(hours)*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
	if r := d.Round(time.Millisecond); hours < 24 && r >= day {
		return d.Truncate(time.Millisecond), true // a time of day does not become the next day
	}
	return d.Round(time.Millisecond), true
}

// tooLong reports whether a cell cannot hold the text.
func tooLong(s string) bool { return len(s) > maxText && units(s) > maxText }

// units counts a text as Excel does: in UTF-16 units.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// appendText closes the tag of a cell and appends its text.
func appendText(dst []byte, s string) []byte {
	dst = append(dst, ` t="inlineStr"><is><t`...)
	if s != "" && (blank(s[0]) || blank(s[len(s)-1])) {
		dst = append(dst, ` xml:space="preserve"`...)
	}
	return append(escape(append(dst, '>'), s), `</t></is>`...)
}

func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// plain are the characters that most texts are made of, and that stay as they are.
var plain = [256]bool{
	' ': true, '!': true, '"': true, '#': true, '$': true, '%': true, '\'': true, '(': true, ')': true, '*': true, '+': true,
	',': true, '-': true, '.': true, '/': true, '0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true,
	'7': true, '8': true, '9': true, ':': true, ';': true, '=': true, '?': true, '@': true, 'A': true, 'B': true, 'C': true,
	'D': true, 'E': true, 'F': true, 'G': true, 'H': true, 'I': true, 'J': true, 'K': true, 'L': true, 'M': true, 'N': true,
	'O': true, 'P': true, 'Q': true, 'R': true, 'S': true, 'T': true, 'U': true, 'V': true, 'W': true, 'X': true, 'Y': true,
	'Z': true, '[': true, '\\': true, ']': true, '^': true, '`': true, 'a': true, 'b': true, 'c': true, 'd': true, 'e': true,
	'f': true, 'g': true, 'h': true, 'i': true, 'j': true, 'k': true, 'l': true, 'm': true, 'n': true, 'o': true, 'p': true,
	'q': true, 'r': true, 's': true, 't': true, 'u': true, 'v': true, 'w': true, 'x': true, 'y': true, 'z': true, '{': true,
	'|': true, '}': true, '~': true,
}

// escape appends text as XML. What XML cannot hold gets the form _x0001_, and what looks like that form already has its
// underscore written so. A carriage return is a reference, since a bare one would be read as a line feed; Excel writes
// _x000D_, which openpyxl, for one, takes for text.
func escape(dst []byte, s string) []byte {
	start, i := 0, 0
	for i < len(s) && plain[s[i]] {
		i++
	}
	for i < len(s) {
		c := s[i]
		size, with := 1, ""
		switch {
		case c == '&':
			with = "&amp;"
		case c == '<':
			with = "&lt;"
		case c == '>':
			with = "&gt;"
		case c == '\r':
			with = "&#13;"
		case c < ' ' && c != '\n' && c != '\t':
			with = fmt.Sprintf("_x%04X_", c)
		case c == '_' && looksEscaped(s[i:]):
			with = "_x005F_"
		case c >= utf8.RuneSelf:
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				with = "\ufffd"
			case r == 0xFFFE || r == 0xFFFF:
				with = fmt.Sprintf("_x%04X_", r)
			}
		}
		if with != "" {
			dst = append(append(dst, s[start:i]...), with...)
			start = i + size
		}
		i += size
	}
	return append(dst, s[start:]...)
}

// looksEscaped reports whether text begins like _x0041_. The last underscore is not asked for: it may come from the
// escape of the character that follows.
func looksEscaped(s string) bool {
	if len(s) < 6 || s[1] != 'x' {
		return false
	}
	for _, c := range []byte(s[2:6]) {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}
