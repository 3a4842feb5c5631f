package transforms

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/crmetl/crmetl/record"
)

// Quick is a transform's way for the texts that it is mostly given: without an error to make, without a cell to wrap, and
// into memory that the caller brings. It takes only what it is sure of; its Func decides the rest.
type Quick struct {
	Kind record.Kind // of what comes out
	// Append appends what becomes of text to dst. same says that text itself is the result, and dst stays as it was. With
	// ok false the Func has to look. text is not empty and has no blanks at its ends.
	Append func(dst []byte, text string) (out []byte, same, ok bool)
}

// QuickOf returns the quick way of a transform with these arguments, nil if there is none. The arguments are those that
// its New has accepted.
func QuickOf(name string, a Args) *Quick {
	switch name {
	case "trim":
		return &Quick{record.Text, func(dst []byte, text string) ([]byte, bool, bool) { return dst, true, true }}
	case "lower":
		return &Quick{record.Text, func(dst []byte, text string) ([]byte, bool, bool) { return quickCase(dst, text, 'A') }}
	case "upper":
		return &Quick{record.Text, func(dst []byte, text string) ([]byte, bool, bool) { return quickCase(dst, text, 'a') }}
	case "number", "integer":
		if a.Kind == None {
			return &Quick{record.Number, func(dst []byte, text string) ([]byte, bool, bool) { return dst, true, plainDigits(text) }}
		}
	case "date", "datetime":
		layouts, zone, err := dateArgs(a)
		if err != nil || zone != time.UTC || len(layouts) == 0 {
			return nil
		}
		d, ok := newFixed(layouts[0].format) // the first layout that fits counts
		if !ok {
			return nil
		}
		if name == "date" {
			return &Quick{record.Date, d.appendDay}
		}
		return &Quick{record.DateTime, d.appendStamp}
	}
	return nil
}

// quickCase turns the case of the ASCII letters from first ('A' or 'a') on, eight bytes at a time. Other letters have cases
// of their own.
func quickCase(dst []byte, s string, first byte) (out []byte, same, ok bool) {
	from := len(dst)
	dst = append(dst, s...)
	b := dst[from:]
	var wide, turned uint64
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		// The high bit of each byte: it is a letter of that case, if it is ASCII.
		letters := (w + uint64(0x80-first)*ones) &^ (w + uint64(0x80-first-26)*ones) & tops
		binary.LittleEndian.PutUint64(b, w^letters>>2)
		wide, turned = wide|w, turned|letters
	}
	for i, c := range b {
		if c-first < 26 {
			b[i] = c ^ 0x20
			turned = 1
		}
		wide |= uint64(c)
	}
	if wide&tops != 0 {
		return dst[:from], false, false
	}
	if turned == 0 {
		return dst[:from], true, true
	}
	return dst, false, true
}

// Lower is strings.ToLower, quicker for ASCII.
func Lower(s string) string {
	var room [64]byte
	switch lower, same, ok := quickCase(room[:0], s, 'A'); {
	case same:
		return s
	case ok:
		return string(lower)
	}
	return strings.ToLower(s)
}

const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// plainDigits reports whether s is a whole number that is its own literal.
func plainDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return s != "" && (s[0] != '0' || len(s) == 1)
}

// fixed reads dates whose parts stand at fixed places: digits and signs, each part with all of its digits.
type fixed struct {
	size  int
	at    [6]int // where year, month, day, hour, minute and second begin; -1: they are not there
	signs []sign
}

// sign is a character between the parts of a date.
type sign struct {
	at   int
	char byte
}

// newFixed compiles a layout in strftime's language; ok is false if it has parts of another kind, or one twice.
func newFixed(format string) (*fixed, bool) {
	f := &fixed{at: [6]int{-1, -1, -1, -1, -1, -1}}
	for i := 0; i < len(format); i++ {
		switch c := format[i]; {
		case c == '%' && i+1 < len(format):
			i++
			part := strings.IndexByte("YmdHMS", format[i])
			if part < 0 || f.at[part] >= 0 {
				return nil, false
			}
			f.at[part] = f.size
			if f.size += 2; part == 0 {
				f.size += 2
			}
		case c == '/', c == '-', c == '.', c == ':', c == ' ', c == ',', c == 'T':
			f.signs = append(f.signs, sign{f.size, c})
			f.size++
		default:
			return nil, false
		}
	}
	return f, f.at[0] >= 0 && f.at[1] >= 0 && f.at[2] >= 0
}

// read takes a date apart.
func (f *fixed) read(s string) (year, month, day, hour, minute, second int, ok bool) {
	if len(s) != f.size {
		return
	}
	for _, x := range f.signs {
		if s[x.at] != x.char {
			return
		}
	}
	y := f.at[0]
	year = two(s[y:])*100 + two(s[y+2:])
	month, day = two(s[f.at[1]:]), two(s[f.at[2]:])
	if at := f.at[3]; at >= 0 {
		hour = two(s[at:])
	}
	if at := f.at[4]; at >= 0 {
		minute = two(s[at:])
	}
	if at := f.at[5]; at >= 0 {
		second = two(s[at:])
	}
	ok = year >= 1000 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 && minute < 60 && second < 60 && (day <= 28 || day <= daysOf(year, month))
	return
}

// two is the number of two digits, or too large a one for any part of a date.
func two(s string) int {
	tens, ones := s[0]-'0', s[1]-'0'
	if tens > 9 || ones > 9 {
		return 1_000_000
	}
	return int(tens)*10 + int(ones)
}

func daysOf(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

func (f *fixed) appendDay(dst []byte, s string) ([]byte, bool, bool) {
	year, month, day, _, _, _, ok := f.read(s)
	if !ok {
		return dst, false, false
	}
	return appendDay(dst, year, month, day), false, true
}

func (f *fixed) appendStamp(dst []byte, s string) ([]byte, bool, bool) {
	year, month, day, hour, minute, second, ok := f.read(s)
	if !ok {
		return dst, false, false
	}
	dst = appendDay(dst, year, month, day)
	return append(dst, 'T', digit(hour/10), digit(hour), ':', digit(minute/10), digit(minute), ':', digit(second/10), digit(second), 'Z'), false, true
}

func appendDay(dst []byte, year, month, day int) []byte {
	return append(dst, digit(year/1000), digit(year/100), digit(year/10), digit(year), '-', digit(month/10), digit(month), '-', digit(day/10), digit(day))
}

// digit is the last digit of n.
func digit(n int) byte { return '0' + byte(n%10) }
