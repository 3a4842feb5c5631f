package transforms

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones work where the system has no time zone database

	"github.com/itchyny/timefmt-go"

	"github.com/crmetl/crmetl/record"
)

const isoDay = "2006-01-02"

// layout is one way to write dates and times, checked once.
type layout struct {
	text   string // as the user wrote it
	format string // in strftime's language
	head   string // the part of format that can be written back for comparison
}

// words translates the layouts that spreadsheets show, DD/MM/YYYY hh:mm:ss, the longest words first.
var words = []struct{ word, directive string }{
	{"YYYY", "%Y"}, {"yyyy", "%Y"}, {"YY", "%y"}, {"yy", "%y"},
	{"MMMM", "%B"}, {"MMM", "%b"}, {"MM", "%m"}, {"M", "%m"},
	{"DD", "%d"}, {"dddd", "%A"}, {"ddd", "%a"}, {"dd", "%d"}, {"D", "%d"}, {"d", "%d"},
	{"HH", "%H"}, {"H", "%H"}, {"hh", "%I"}, {"h", "%I"}, {"mm", "%M"}, {"m", "%M"}, {"ss", "%S"}, {"s", "%S"},
	{"AM", "%p"}, {"PM", "%p"}, {"A", "%p"}, {"a", "%p"}, {"Z", "%z"}, {"T", "T"},
}

// untestable finds the first directive whose text can't be compared after writing it back: a fraction may have fewer
// digits, a zone other signs.
var untestable = regexp.MustCompile(`%:*[fzZs]`)

func newLayout(text string) (layout, error) {
	l := layout{text: text, format: text}
	if !strings.Contains(text, "%") {
		f, err := fromWords(text)
		if err != nil {
			return l, err
		}
		l.format = f
	}
	if strings.Contains(l.format, "%Z") {
		return l, errors.New("names of zones (%Z) mean several zones each; use offsets (%z) or the option zone")
	}
	l.head = l.format
	if loc := untestable.FindStringIndex(l.format); loc != nil {
		l.head = l.format[:loc[0]]
	}
	for _, sample := range []time.Time{
		time.Date(2006, time.May, 14, 13, 45, 58, 0, time.UTC), time.Date(2023, time.November, 3, 2, 7, 9, 0, time.UTC),
	} {
		got, err := timefmt.Parse(timefmt.Format(sample, l.format), l.format)
		if err != nil {
			return l, fmt.Errorf("%s is no layout: %w", Quote(text), lastCause(err))
		}
		if got.Format(isoDay) != sample.Format(isoDay) {
			return l, fmt.Errorf("layout %s does not say year, month and day", Quote(text))
		}
		if got.Hour() != 0 && got.Hour() != sample.Hour() {
			return l, fmt.Errorf("layout %s has hours from 1 to 12 and no AM or PM", Quote(text))
		}
	}
	return l, nil
}

// lastCause leaves out what timefmt says around the cause: sample and layout.
func lastCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

func fromWords(text string) (string, error) {
	var b strings.Builder
next:
	for rest := text; rest != ""; {
		for _, w := range words {
			if strings.HasPrefix(rest, w.word) {
				b.WriteString(w.directive)
				rest = rest[len(w.word):]
				continue next
			}
		}
		if c := rest[0]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return "", fmt.Errorf("layout %s: %q stands for nothing; there is YYYY YY MMMM MMM MM DD HH hh mm ss AM Z, and %%d/%%m/%%Y", Quote(text), c)
		}
		b.WriteByte(rest[0])
		rest = rest[1:]
	}
	return b.String(), nil
}

// parse reads one date as the layout writes it. Days that don't exist, weekdays that don't fit and years of two digits
// where four belong are errors, which timefmt would let pass.
func (l layout) parse(s string, zone *time.Location) (time.Time, error) {
	t, err := timefmt.ParseInLocation(s, l.format, zone)
	if err != nil {
		return t, lastCause(err)
	}
	if t.Year() < 1000 {
		return t, errors.New("the year has fewer than four digits")
	}
	var given, back [64]byte
	if !bytes.HasPrefix(canonical(given[:0], s), canonicalBytes(timefmt.AppendFormat(back[:0], t, l.head))) {
		return t, errors.New("there is no such day or time")
	}
	return t, nil
}

// canonical appends a date so that two ways to write the same one are equal: small letters, no needless zeros, one
// blank for several.
func canonical(dst []byte, s string) []byte {
	return canonicalBytes(append(dst, s...))
}

// canonicalBytes is canonical in place.
func canonicalBytes(s []byte) []byte {
	b := s[:0]
	for i, c := range s {
		inNumber := len(b) > 0 && b[len(b)-1] >= '0' && b[len(b)-1] <= '9'
		switch {
		case c == '0' && !inNumber && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9':
			continue
		case c == ' ' || c == '\t':
			if len(b) == 0 || b[len(b)-1] == ' ' {
				continue
			}
			c = ' '
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

// dateArgs is what date and datetime take: a layout, several, or options.
func dateArgs(a Args) (layouts []layout, zone *time.Location, err error) {
	zone = time.UTC
	if err = a.check("a layout such as DD/MM/YYYY, a list of layouts, or {format, zone}", []ArgKind{None, Scalar, Sequence, Options}, "format", "zone"); err != nil {
		return nil, nil, err
	}
	formats, option := a, ""
	if a.Kind == Options {
		formats, option = a.option("format"), "format"
		name, err := a.text("zone", "UTC")
		if err != nil {
			return nil, nil, err
		}
		if zone, err = time.LoadLocation(name); err != nil || name == "Local" || name == "" {
			return nil, nil, &ArgError{Option: "zone", Message: fmt.Sprintf("%s is no time zone, such as UTC or Asia/Dubai", Quote(name))}
		}
	}
	texts, err := formats.texts()
	if err != nil {
		return nil, nil, &ArgError{Option: option, Message: "wants one layout or a list of layouts"}
	}
	for _, t := range texts {
		l, err := newLayout(t)
		if err != nil {
			return nil, nil, &ArgError{Option: option, Message: err.Error()}
		}
		layouts = append(layouts, l)
	}
	return layouts, zone, nil
}

// ParseISO reads a date or a point in time as ISO 8601 writes it: 2006-01-02, alone or followed by "T" or a blank and
// 15:04, 15:04:05 or 15:04:05.999, alone (then it is in zone) or followed by Z, +04:00 or +0400. timed tells whether
// there is a time of day.
func ParseISO(s string, zone *time.Location) (t time.Time, timed bool, err error) {
	if len(s) < len(isoDay) || len(s) > 40 {
		return t, false, errors.New("not ISO 8601")
	}
	if len(s) == len(isoDay) {
		t, err = time.ParseInLocation(isoDay, s, zone)
		return t, false, err
	}
	if s[10] != 'T' && s[10] != 't' && s[10] != ' ' || len(s) < 16 {
		return t, false, errors.New("not ISO 8601")
	}
	end := 11
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == ':' || s[end] == '.') {
		end++
	}
	clock, offset := s[11:end], s[end:]
	form := "15:04:05"
	if len(clock) == 5 {
		form = "15:04"
	}
	day, err := time.Parse(isoDay, s[:10])
	if err != nil {
		return t, false, err
	}
	tod, err := time.Parse(form, clock)
	if err != nil {
		return t, false, err
	}
	switch {
	case offset == "Z" || offset == "z":
		zone = time.UTC
	case offset != "":
		form := "-07:00"
		if len(offset) == 5 {
			form = "-0700"
		} else if len(offset) == 3 {
			form = "-07"
		}
		z, err := time.Parse(form, offset)
		if err != nil {
			return t, false, err
		}
		_, secs := z.Zone()
		zone = time.FixedZone("", secs)
		if secs == 0 {
			zone = time.UTC
		}
	}
	t = time.Date(day.Year(), day.Month(), day.Day(), tod.Hour(), tod.Minute(), tod.Second(), tod.Nanosecond(), zone)
	if t.Hour() != tod.Hour() || t.Minute() != tod.Minute() {
		return t, true, fmt.Errorf("the clocks of %s skip that time", zone)
	}
	return t, true, nil
}

// Stamp writes a point in time canonically: RFC 3339 with the fraction it has.
func Stamp(t time.Time) string { return t.Format(time.RFC3339Nano) }

func newDate(a Args) (Func, error) {
	layouts, zone, err := dateArgs(a)
	if err != nil {
		return nil, err
	}
	return onCell(func(v record.Value, text string) (record.Value, error) {
		switch v.Kind() {
		case record.Date:
			return v, nil
		case record.DateTime:
			t, _, err := ParseISO(text, zone)
			if err != nil {
				return v, fmt.Errorf("%s is not a date: %w", Quote(text), err)
			}
			if a.option("zone").Kind != None {
				t = t.In(zone)
			}
			return record.Of(record.Date, t.Format(isoDay)), nil
		case record.Text:
			t, err := parseTime(text, layouts, zone)
			return record.Of(record.Date, t.Format(isoDay)), err
		case record.Number:
			if len(layouts) > 0 { // 20240501 as %Y%m%d
				t, err := parseTime(text, layouts, zone)
				return record.Of(record.Date, t.Format(isoDay)), err
			}
		}
		return v, notDate(v, text)
	}), nil
}

func newDateTime(a Args) (Func, error) {
	layouts, zone, err := dateArgs(a)
	if err != nil {
		return nil, err
	}
	return onCell(func(v record.Value, text string) (record.Value, error) {
		switch v.Kind() {
		case record.Date, record.DateTime:
			t, _, err := ParseISO(text, zone)
			if err != nil {
				return v, fmt.Errorf("%s is not a point in time: %w", Quote(text), err)
			}
			return record.Of(record.DateTime, Stamp(t)), nil
		case record.Text:
			t, err := parseTime(text, layouts, zone)
			return record.Of(record.DateTime, Stamp(t)), err
		case record.Number:
			if len(layouts) > 0 {
				t, err := parseTime(text, layouts, zone)
				return record.Of(record.DateTime, Stamp(t)), err
			}
		}
		return v, notDate(v, text)
	}), nil
}

func notDate(v record.Value, text string) error {
	if v.Kind() == record.Number {
		return fmt.Errorf("%s is a number, not a date; apply excel_date if it counts a spreadsheet's days, epoch if it counts seconds", text)
	}
	return fmt.Errorf("%s is a %s, not a date", Quote(text), v.Kind())
}

// parseTime reads a date by the first layout that fits, or as ISO 8601 if there is none.
func parseTime(s string, layouts []layout, zone *time.Location) (time.Time, error) {
	if len(layouts) == 0 {
		t, _, err := ParseISO(s, zone)
		if err != nil {
			return t, fmt.Errorf("%s is not a date such as 2006-01-31; name the layout, as in {date: DD/MM/YYYY}", Quote(s))
		}
		return t, nil
	}
	var first error
	for _, l := range layouts {
		t, err := l.parse(s, zone)
		if err == nil {
			return t, nil
		}
		if first == nil {
			first = err
		}
	}
	if len(layouts) == 1 {
		return time.Time{}, fmt.Errorf("%s is not a date as %s writes it: %w", Quote(s), layouts[0].text, first)
	}
	names := make([]string, len(layouts))
	for i, l := range layouts {
		names[i] = l.text
	}
	return time.Time{}, fmt.Errorf("%s is not a date as %s writes it", Quote(s), strings.Join(names, " or "))
}

// epochUnits are the units that epoch counts in, with how many make a second.
var epochUnits = []struct {
	name string
	each int64
}{{"s", 1}, {"ms", 1e3}, {"us", 1e6}, {"ns", 1e9}}

func newEpoch(a Args) (Func, error) {
	unit := a.Text
	if a.Kind == None {
		unit = "s"
	}
	each := int64(0)
	for _, u := range epochUnits {
		if a.Kind <= Scalar && u.name == unit {
			each = u.each
		}
	}
	if each == 0 {
		return nil, &ArgError{Message: "wants nothing, or the unit: s, ms, us or ns"}
	}
	return onCell(func(v record.Value, text string) (record.Value, error) {
		if v.Kind() == record.DateTime {
			return v, nil
		}
		lit, err := WholeNumber(text)
		if err != nil {
			return v, err
		}
		n, err := strconv.ParseInt(lit, 10, 64)
		if err != nil {
			return v, fmt.Errorf("%s is out of the range of time stamps", Quote(text))
		}
		secs, rest := n/each, n%each
		if rest < 0 {
			secs, rest = secs-1, rest+each
		}
		if secs >= EpochLimit || secs <= -EpochLimit {
			return v, fmt.Errorf("%s %s since 1970 is no date of this age; is it counted in another unit, as in {epoch: ms}?", text, unit)
		}
		return record.Of(record.DateTime, Stamp(time.Unix(secs, rest*(1e9/each)).UTC())), nil
	}), nil
}

// EpochLimit is the number of seconds since 1970 from which on a time stamp is certainly counted in another unit: it
// lies in the year 5138, and as milliseconds in 1973.
const EpochLimit = 1e11

func newExcelDate(a Args) (Func, error) {
	base := 1900
	switch {
	case a.Kind == None, a.Kind == Scalar && a.Text == "1900":
	case a.Kind == Scalar && a.Text == "1904":
		base = 1904
	default:
		return nil, &ArgError{Message: "wants nothing, or the year the workbook counts from: 1900 or 1904"}
	}
	return onCell(func(v record.Value, text string) (record.Value, error) {
		if v.Kind() == record.Date || v.Kind() == record.DateTime {
			return v, nil
		}
		lit, ok := PlainNumber(text)
		serial, err := strconv.ParseFloat(lit, 64)
		if !ok || err != nil || serial < 0 || serial >= 2958466 || base == 1900 && serial < 1 {
			return v, fmt.Errorf("%s is not a spreadsheet's day number, such as 45413 for 2024-05-01", Quote(text))
		}
		days := math.Floor(serial)
		millis := int64(math.Round((serial - days) * 86400e3))
		day := time.Date(1899, time.December, 30, 0, 0, 0, 0, time.UTC)
		switch {
		case base == 1904:
			day = time.Date(1904, time.January, 1, 0, 0, 0, 0, time.UTC)
		case days == 60:
			return v, fmt.Errorf("%s is 29 February 1900, a day that only spreadsheets know", text)
		case days < 60:
			day = day.AddDate(0, 0, 1)
		}
		t := day.AddDate(0, 0, int(days)).Add(time.Duration(millis) * time.Millisecond)
		if millis == 0 {
			return record.Of(record.Date, t.Format(isoDay)), nil
		}
		return record.Of(record.DateTime, t.Format("2006-01-02T15:04:05.999")), nil
	}), nil
}
