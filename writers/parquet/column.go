package parquet

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/crmetl/crmetl/record"
)

// form is what the values of a column have in common.
type form uint8

const (
	unknown form = iota // no value was seen, and nothing was said
	text
	integer // a number column that was said to hold integers, or all of whose values are
	number
	decimal // numbers that a double can't hold
	boolean
	date
	instant // a point in time
	local   // a time stamp without a zone
	clock
	list
	object // any JSON
)

// formOf returns the form that a word of the schema means.
func formOf(said string) form {
	switch strings.ToLower(said) {
	case "integer":
		return integer
	case "number":
		return number
	case "boolean":
		return boolean
	case "date":
		return date
	case "datetime", "epoch":
		return instant
	case "list":
		return list
	case "json", "pairs":
		return object
	case "", "any":
		return unknown
	}
	return text
}

// column is what is known of a column so far.
type column struct {
	name string
	said string // what the caller says that it holds
	form form
	some bool // it has a value

	whole, fraction int    // digits before and after the point, at most
	misfit          string // the first value that is not what was said
	misfitRow       int64

	sampled  int                 // the first values of a column of text
	distinct map[uint64]struct{} // their hashes
}

// sampleSize is how many texts tell whether a column repeats itself.
const sampleSize = 1000

// repeats reports whether a dictionary of the column's texts would be much shorter than the column.
func (c *column) repeats() bool { return 2*len(c.distinct) <= c.sampled }

func (c *column) sample(v record.Value) {
	if c.sampled == sampleSize {
		return
	}
	if c.distinct == nil {
		c.distinct = map[uint64]struct{}{}
	}
	c.sampled++
	c.distinct[xxh3.HashString(v.Text())] = struct{}{}
}

// empty reports whether a value is none in a column that is no text.
func empty(v record.Value) bool {
	return v.Kind() <= record.Null || v.Kind() == record.Text && v.Text() == ""
}

// see takes notice of a value of row n.
func (c *column) see(v record.Value, n int64) {
	if empty(v) {
		return
	}
	if c.form == text {
		c.sample(v)
		return
	}
	next := c.next(v)
	if next == text && c.form != unknown && formOf(c.said) != unknown {
		c.misfit, c.misfitRow = shorten(v.Cell()), n
	}
	c.form, c.some = next, true
}

// shorten cuts a value for a message.
func shorten(s string) string {
	const most = 60
	if r := []rune(s[:min(len(s), 4*most)]); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// next returns the form of the column with one more value.
func (c *column) next(v record.Value) form {
	if v.Kind() == record.Text && formOf(c.said) == unknown {
		return text // a text counts as another type only where that type was said
	}
	was := c.form
	if was == unknown {
		was = own(v.Kind())
	}
	s := v.Text()
	switch was {
	case integer, number, decimal:
		if v.Kind() == record.Number || v.Kind() == record.Text {
			return c.nextNumber(was, s)
		}
	case boolean:
		if _, ok := truth(v); ok {
			return boolean
		}
	case date:
		if _, ok := dayOf(s); ok && (v.Kind() == record.Date || v.Kind() == record.Text) {
			return date
		}
	case instant, local:
		if next, ok := stampForm(v, strings.EqualFold(c.said, "epoch")); ok && (next == was || !c.some) {
			return next
		}
	case clock:
		if _, ok := clockOf(s); ok && v.Kind() == record.Time {
			return clock
		}
	case list, object:
		switch {
		case was == list && v.Kind() == record.List && texts(s):
			return list
		case (v.Kind() == record.List || v.Kind() == record.JSON) && json.Valid([]byte(s)):
			return object
		}
	}
	return text
}

// own is the form that a kind of value has by itself.
func own(k record.Kind) form {
	switch k {
	case record.Number:
		return integer
	case record.Bool:
		return boolean
	case record.Date:
		return date
	case record.DateTime:
		return instant
	case record.Time:
		return clock
	case record.List:
		return list
	case record.JSON:
		return object
	}
	return text
}

// nextNumber notes how many digits a number has: they decide what can hold all of the column.
func (c *column) nextNumber(was form, s string) form {
	whole, fraction, significant, ok := digits(s)
	if !ok {
		return text
	}
	c.whole, c.fraction = max(c.whole, whole), max(c.fraction, fraction)
	if was == integer {
		if fraction == 0 {
			if _, err := strconv.ParseInt(s, 10, 64); err == nil {
				return integer
			}
		}
		was = number
	}
	if was == number {
		// 15 digits go through a double and come back; its exponent is tried only beyond what any price has.
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || significant > 15 || f != 0 && math.Abs(f) < 1e-300 {
			was = decimal
		}
	}
	if was == decimal && c.whole+c.fraction > maxDigits {
		return text
	}
	return was
}

// maxDigits is the precision of a decimal of 16 bytes.
const maxDigits = 38

// digits counts those of a JSON number, its exponent worked out: before the point, after it, and the significant ones.
func digits(s string) (whole, fraction, significant int, ok bool) {
	if s == "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') || !json.Valid([]byte(s)) {
		return 0, 0, 0, false
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(s, "-")), "e")
	shift := 0
	if exponent != "" {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil || shift < -10_000 || shift > 10_000 {
			return 0, 0, 0, false
		}
	}
	before, after, _ := strings.Cut(mantissa, ".")
	all := strings.TrimLeft(before+after, "0")
	shift -= len(after)
	trimmed := strings.TrimRight(all, "0")
	shift += len(all) - len(trimmed)
	if trimmed == "" {
		return 1, 0, 1, true
	}
	return max(len(trimmed)+shift, 1), max(-shift, 0), len(trimmed), true
}

// settle decides the type of a column of which nothing is known.
func (c *column) settle() {
	if c.form == unknown {
		c.form = text
	}
}

func truth(v record.Value) (value, ok bool) {
	if v.Kind() != record.Bool && v.Kind() != record.Text {
		return false, false
	}
	switch {
	case strings.EqualFold(v.Text(), "true"):
		return true, true
	case strings.EqualFold(v.Text(), "false"):
		return false, true
	}
	return false, false
}

// dayOf returns the number of days since 1970.
func dayOf(s string) (int32, bool) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, false
	}
	return int32(floorDiv(t.Unix(), 86_400)), true
}

func floorDiv(a, b int64) int64 {
	if a < 0 {
		return -((-a + b - 1) / b)
	}
	return a / b
}

// stampForm tells which kind of time stamp a value is.
func stampForm(v record.Value, epoch bool) (form, bool) {
	s := v.Text()
	switch v.Kind() {
	case record.DateTime, record.Text:
		if _, ok := stampOf(s, instant); ok && (epoch || strings.Contains(s, "T")) {
			return instant, true
		}
		_, ok := stampOf(s, local)
		return local, ok
	case record.Number:
		_, ok := stampOf(s, instant)
		return instant, ok && epoch
	}
	return text, false
}

// stampOf returns microseconds since 1970. A whole number is seconds since then.
func stampOf(s string, f form) (int64, bool) {
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		return seconds * 1_000_000, f == instant && seconds > -1e11 && seconds < 1e12
	}
	layouts := [...]string{"2006-01-02T15:04:05.999999999", "2006-01-02T15:04"}
	if f == instant {
		layouts = [...]string{time.RFC3339Nano, "2006-01-02T15:04Z07:00"}
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMicro(), t.Nanosecond()%1000 == 0
		}
	}
	return 0, false
}

// clockOf returns microseconds since midnight.
func clockOf(s string) (int64, bool) {
	t, err := time.Parse("15:04:05.999999999", s)
	if err != nil || t.Nanosecond()%1000 != 0 {
		return 0, false
	}
	return t.Sub(t.Truncate(24 * time.Hour)).Microseconds(), true
}

// texts reports whether all items of a JSON list are texts.
func texts(s string) bool {
	var items []*string // null is nil, and no text
	return json.Unmarshal([]byte(s), &items) == nil && !slices.Contains(items, nil)
}
