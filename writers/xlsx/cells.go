package xlsx

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/crmetl/crmetl/record"
)

// append writes a row and reports whether it could; if not, the row is rejected and nothing is written.
func (x *Writer) append(row *record.Row) bool {
	if len(row.Values) > maxColumns {
		row.Reject(record.Problem{Rule: "max", Message: fmt.Sprintf("the row has %d cells, and a sheet has %d columns", len(row.Values), maxColumns)})
		return false
	}
	begin := len(x.buf)
	x.row++
	x.buf = append(strconv.AppendInt(append(x.buf, `<row r="`...), int64(x.row), 10), `">`...)
	for i, v := range row.Values {
		if !x.value(i, v) {
			x.buf = x.buf[:begin]
			x.row--
			row.Reject(x.overlong(row, i))
			return false
		}
	}
	x.buf = append(x.buf, `</row>`...)
	return true
}

func (x *Writer) overlong(row *record.Row, i int) record.Problem {
	p := record.Problem{Column: record.ColumnName(i), Rule: "max"}
	if i < x.o.Header.Len() && x.o.Header.Name(i) != "" {
		p.Column = x.o.Header.Name(i)
	}
	p.Message = fmt.Sprintf("row %d: the text is longer than the %d characters that a cell of a workbook can hold; shorten it, or write CSV", row.Num, maxText)
	return p
}

// value writes one cell, and nothing for an empty one. It returns false if the text is too long.
func (x *Writer) value(i int, v record.Value) bool {
	text := v.Text()
	switch v.Kind() {
	case record.Absent, record.Null:
		return true
	case record.Number:
		if fits(text) {
			x.number(i, 0, text)
			return true
		}
	case record.Bool:
		x.buf = append(x.cell(i), ` t="b"><v>0</v></c>`...)
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
	x.buf = append(appendText(x.cell(i), text), `</c>`...)
	return true
}

// cell begins a cell of the row: everything but the end of the tag.
func (x *Writer) cell(i int) []byte {
	for len(x.letters) <= i {
		x.letters = append(x.letters, record.ColumnName(len(x.letters)))
	}
	x.buf = append(append(x.buf, `<c r="`...), x.letters[i]...)
	return append(strconv.AppendInt(x.buf, int64(x.row), 10), '"')
}

// number writes a number in a style.
func (x *Writer) number(i, style int, literal string) {
	x.buf = x.cell(i)
	if style > 0 {
		x.buf = append(strconv.AppendInt(append(x.buf, ` s="`...), int64(style), 10), '"')
	}
	x.buf = append(append(append(x.buf, `><v>`...), literal...), `</v></c>`...)
}

// fits reports whether Excel holds the number without losing a digit.
func fits(literal string) bool {
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
		x.number(i, x.styles.date, strconv.Itoa(days(t)))
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
		x.number(i, style, serial(days(t), clock))
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
	x.number(i, style, serial(int(since/day), since%day))
	return true
}

func days(t time.Time) int { return int((t.Unix() - dayZero.Unix()) / int64(day/time.Second)) }

func serial(days int, clock time.Duration) string {
	return strconv.FormatFloat(float64(days)+float64(clock)/float64(day), 'f', -1, 64)
}

func parseDateTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02T15:04Z07:00"} {
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

// tooLong reports whether a cell cannot hold the text. Excel counts UTF-16 units.
func tooLong(s string) bool {
	if len(s) <= maxText {
		return false
	}
	n := 0
	for _, r := range s {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n > maxText
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

// escape appends text as XML. What XML cannot hold, and the carriage return, which it changes, gets the form _x000D_;
// what looks like that form already has its underscore written so.
func escape(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		size, with := 1, ""
		switch {
		case c == '&':
			with = "&amp;"
		case c == '<':
			with = "&lt;"
		case c == '>':
			with = "&gt;"
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
