package xlsx

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/crmetl/crmetl/record"
)

// FormulaFault is the text of the Fault that stands for a formula whose result the workbook does not hold: it was
// written by a program and never calculated. Opening and saving it in a spreadsheet fills the results in.
const FormulaFault = "#FORMULA"

const dayMs = 24 * 60 * 60 * 1000

// lastDay is the serial of 9999-12-31 plus one, in the system that counts from 1900.
const lastDay = 2958466

// numeral returns a stored number as a decimal literal, and false if the text is no number. Integers keep every
// digit that is stored; a fraction with more than 15 significant digits is what a binary double looks like, and
// becomes the shortest literal that means the same double.
func numeral(dst, raw []byte) ([]byte, bool) {
	mantissa, exp := raw, 0
	if i := bytes.IndexAny(raw, "eE"); i >= 0 {
		n, err := strconv.Atoi(string(raw[i+1:]))
		if err != nil || n > 400 || n < -400 {
			return dst, false
		}
		mantissa, exp = raw[:i], n
	}
	neg := false
	if len(mantissa) > 0 && (mantissa[0] == '-' || mantissa[0] == '+') {
		neg = mantissa[0] == '-'
		mantissa = mantissa[1:]
	}
	whole, frac, _ := bytes.Cut(mantissa, []byte("."))
	if len(whole)+len(frac) == 0 || !allDigits(whole) || !allDigits(frac) {
		return dst, false
	}
	whole = bytes.TrimLeft(whole, "0")
	integer := len(frac) == 0 && exp == 0
	significant := len(whole) + len(frac)
	if len(whole) == 0 {
		significant = len(bytes.TrimLeft(frac, "0"))
	}
	if significant == 0 {
		return append(dst, '0'), true
	}
	if !integer && significant > 15 || len(whole)+exp > 21 || exp < -20 {
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return dst, false
		}
		if m := math.Abs(f); m < 1e21 && m > 1e-20 || f == 0 {
			return strconv.AppendFloat(dst, f, 'f', -1, 64), true
		}
		return strconv.AppendFloat(dst, f, 'e', -1, 64), true
	}
	if neg {
		dst = append(dst, '-')
	}
	if exp == 0 {
		if len(whole) == 0 {
			dst = append(dst, '0')
		}
		dst = append(dst, whole...)
		if len(frac) > 0 {
			dst = append(append(dst, '.'), frac...)
		}
		return dst, true
	}
	return shift(dst, whole, frac, exp), true
}

// shift appends whole.frac × 10^exp written in full.
func shift(dst, whole, frac []byte, exp int) []byte {
	all := append(append(make([]byte, 0, len(whole)+len(frac)), whole...), frac...)
	point := len(whole) + exp
	begin := len(dst)
	switch {
	case point <= 0:
		dst = append(dst, "0."...)
		for ; point < 0; point++ {
			dst = append(dst, '0')
		}
		dst = append(dst, all...)
	case point >= len(all):
		dst = append(dst, all...)
		for n := len(all); n < point; n++ {
			dst = append(dst, '0')
		}
		// 0.05E+3 has brought zeros to the front.
		lead := len(dst[begin:]) - len(bytes.TrimLeft(dst[begin:], "0"))
		return append(dst[:begin], dst[begin+lead:]...)
	default:
		lead := min(len(all)-len(bytes.TrimLeft(all, "0")), point-1)
		dst = append(append(append(dst, all[lead:point]...), '.'), all[point:]...)
	}
	return append(dst[:begin], bytes.TrimRight(bytes.TrimRight(dst[begin:], "0"), ".")...)
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// moment returns what a serial number means under a date format; ok is false if it means no date there, as a
// negative number does. What has a day and a time of day keeps both, whatever the format shows of them.
func moment(dst []byte, serial float64, c class, date1904 bool) (text []byte, kind record.Kind, ok bool) {
	limit := float64(lastDay)
	if date1904 {
		limit += dayOf1900 - dayOf1904
	}
	if !(serial >= 0) || serial >= limit {
		return dst, record.Absent, false
	}
	ms := int64(math.Round(serial * dayMs))
	if serial < 1 {
		ms = min(ms, dayMs-1) // a time of day never rounds up into the next day
	}
	day, clock := ms/dayMs, ms%dayMs
	switch {
	case c == elapsed:
		return appendClock(dst, ms), record.Time, true
	case day == 0 && (!date1904 || c == timeOnly || clock > 0):
		return appendClock(dst, clock), record.Time, true
	}
	kind = record.Date
	if date1904 {
		dst = appendDay(dst, day+dayOf1904)
	} else {
		switch {
		case day == 60:
			// 1900 was no leap year, but spreadsheets show this day: it is kept as the text that a person sees.
			dst, kind = append(dst, "1900-02-29"...), record.Text
		case day < 60:
			dst = appendDay(dst, day+dayOf1900+1)
		default:
			dst = appendDay(dst, day+dayOf1900)
		}
	}
	if clock == 0 && c == dateOnly {
		return dst, kind, true
	}
	if kind == record.Date {
		kind = record.DateTime
	}
	dst = appendClock(append(dst, 'T'), clock)
	if c == dateTimeUTC {
		dst = append(dst, 'Z')
	}
	return dst, kind, true
}

// The days that serial 0 stands for, counted from 1970-01-01.
const (
	dayOf1900 = -25569 // 1899-12-30
	dayOf1904 = -24107 // 1904-01-01
)

func appendDay(dst []byte, day int64) []byte {
	return time.Unix(day*(dayMs/1000), 0).UTC().AppendFormat(dst, time.DateOnly)
}

// appendClock appends milliseconds as 15:04:05[.999]; hours go on past 24.
func appendClock(dst []byte, ms int64) []byte {
	two := func(n int64) {
		if n < 10 {
			dst = append(dst, '0')
		}
		dst = strconv.AppendInt(dst, n, 10)
	}
	two(ms / 3_600_000)
	dst = append(dst, ':')
	two(ms / 60_000 % 60)
	dst = append(dst, ':')
	two(ms / 1000 % 60)
	if ms %= 1000; ms > 0 {
		dst = append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
		dst = bytes.TrimRight(dst, "0")
	}
	return dst
}

// isoForms are the ways in which cells of type d are written.
var isoForms = []struct {
	layout string
	kind   record.Kind
}{
	{time.DateOnly, record.Date},
	{"2006-01-02T15:04:05.999999999", record.DateTime},
	{"2006-01-02T15:04:05.999999999Z07:00", record.DateTime},
	{"2006-01-02T15:04", record.DateTime},
	{"2006-01-02 15:04:05.999999999", record.DateTime},
	{"15:04:05.999999999", record.Time},
	{"T15:04:05.999999999", record.Time},
	{"15:04", record.Time},
	{"T15:04", record.Time},
}

// isoValue returns the value of a cell of type d. A day at midnight is a day, if that is all its format shows; what
// cannot be understood stays the text it is.
func isoValue(text string, c class) record.Value {
	for _, f := range isoForms {
		t, err := time.Parse(f.layout, text)
		if err != nil {
			continue
		}
		t = t.Round(time.Millisecond)
		midnight := t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0 && t.Nanosecond() == 0
		switch {
		case f.kind == record.Date, f.kind == record.DateTime && midnight && c == dateOnly:
			return record.Of(record.Date, t.Format(time.DateOnly))
		case f.kind == record.Time:
			return record.Of(record.Time, t.Format("15:04:05.999"))
		case strings.HasSuffix(f.layout, "Z07:00"):
			return record.Of(record.DateTime, t.Format("2006-01-02T15:04:05.999Z07:00"))
		}
		return record.Of(record.DateTime, t.Format("2006-01-02T15:04:05.999"))
	}
	return record.TextOf(text)
}
