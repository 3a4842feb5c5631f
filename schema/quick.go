package schema

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/crmetl/crmetl/record"
)

// The quick checks stand in front of validator, which takes about a microsecond for one value. Each accepts only
// what validator certainly accepts; whatever it does not accept goes to validator, which decides. FuzzQuick holds
// the two against each other.

// quickText returns the quick check of a rule for text, nil if there is none.
func quickText(r *rule) func(string) bool {
	if r.alts != nil {
		var any []func(string) bool
		for i := range r.alts {
			if q := quickText(&r.alts[i]); q != nil {
				any = append(any, q)
			}
		}
		if any == nil {
			return nil
		}
		return func(s string) bool {
			return slices.ContainsFunc(any, func(q func(string) bool) bool { return q(s) })
		}
	}
	p := r.param
	n, errInt := strconv.ParseInt(p, 0, 64)
	switch r.name {
	case "required":
		return func(s string) bool { return s != "" }
	case "max", "lte", "min", "gte", "len", "gt", "lt":
		if errInt != nil {
			return nil
		}
		return quickLength(r.name, n)
	case "eq":
		return func(s string) bool { return s == p }
	case "ne":
		return func(s string) bool { return s != p }
	case "oneof":
		choices := r.params()
		if len(choices) <= 8 { // faster than a map
			return func(s string) bool { return slices.Contains(choices, s) }
		}
		set := make(map[string]struct{}, len(choices))
		for _, v := range choices {
			set[v] = struct{}{}
		}
		return func(s string) bool { _, ok := set[s]; return ok }
	case "email":
		return plainEmail
	case "e164":
		return func(s string) bool {
			s = strings.TrimPrefix(s, "+")
			return len(s) >= 8 && len(s) <= 15 && s[0] != '0' && only(s, digits)
		}
	case "number":
		return func(s string) bool { return s != "" && only(s, digits) }
	case "numeric":
		return plainNumber
	case "alpha":
		return func(s string) bool { return s != "" && only(s, letters) }
	case "alphanum":
		return func(s string) bool { return s != "" && only(s, letters|digits) }
	case "ascii":
		return func(s string) bool { return only(s, printable) }
	case "printascii":
		return func(s string) bool { return only(s, printable) }
	case "latitude":
		return func(s string) bool { return plainDegrees(s, 90) }
	case "longitude":
		return func(s string) bool { return plainDegrees(s, 180) }
	case "uuid":
		return plainUUID
	case "url", "http_url", "uri":
		return plainURL
	case "startswith":
		return func(s string) bool { return strings.HasPrefix(s, p) }
	case "endswith":
		return func(s string) bool { return strings.HasSuffix(s, p) }
	case "contains":
		return func(s string) bool { return strings.Contains(s, p) }
	case "excludes":
		return func(s string) bool { return !strings.Contains(s, p) }
	case "datetime":
		return func(s string) bool { _, err := time.Parse(p, s); return err == nil }
	case "boolean":
		return func(s string) bool { return s == "true" || s == "false" }
	}
	return nil
}

// quickLength compares a text's length in characters. A text has at most as many characters as bytes.
func quickLength(name string, n int64) func(string) bool {
	count := func(s string) int64 { return int64(utf8.RuneCountInString(s)) }
	switch name {
	case "max", "lte":
		return func(s string) bool { return int64(len(s)) <= n || count(s) <= n }
	case "min", "gte":
		return func(s string) bool { return count(s) >= n }
	case "len":
		return func(s string) bool { return count(s) == n }
	case "gt":
		return func(s string) bool { return count(s) > n }
	}
	return func(s string) bool { return count(s) < n }
}

// quickNumber returns the quick check of a rule for a number's literal. With whole, validator is given an int64.
func quickNumber(r *rule, whole bool) func(string) bool {
	if !comparesNumbers(r.name) {
		return quickText(r) // such rules see the literal as text
	}
	if whole {
		n, err := strconv.ParseInt(r.param, 0, 64)
		if err != nil {
			return nil
		}
		holds := comparison[int64](r.name)
		return func(s string) bool { v, ok := smallInt(s); return ok && holds(v, n) }
	}
	f, err := strconv.ParseFloat(r.param, 64)
	if err != nil {
		return nil
	}
	holds := comparison[float64](r.name)
	return func(s string) bool {
		v, err := strconv.ParseFloat(s, 64)
		return err == nil && holds(v, f)
	}
}

// comparesNumbers reports whether a rule takes a number as a number and not as text.
func comparesNumbers(name string) bool {
	switch name {
	case "max", "min", "len", "eq", "ne", "gt", "gte", "lt", "lte":
		return true
	}
	return false
}

func comparison[T int64 | float64](name string) func(v, param T) bool {
	switch name {
	case "max", "lte":
		return func(v, p T) bool { return v <= p }
	case "min", "gte":
		return func(v, p T) bool { return v >= p }
	case "gt":
		return func(v, p T) bool { return v > p }
	case "lt":
		return func(v, p T) bool { return v < p }
	case "ne":
		return func(v, p T) bool { return v != p }
	}
	return func(v, p T) bool { return v == p }
}

// smallInt reads a whole number that surely fits.
func smallInt(s string) (int64, bool) {
	d := strings.TrimPrefix(s, "-")
	if d == "" || len(d) > 18 {
		return 0, false
	}
	var v int64
	for i := 0; i < len(d); i++ {
		if d[i] < '0' || d[i] > '9' {
			return 0, false
		}
		v = v*10 + int64(d[i]-'0')
	}
	if len(d) < len(s) {
		v = -v
	}
	return v, true
}

// quickList returns the quick check of a rule for a list, given as a JSON array.
func quickList(r *rule) func(string) bool {
	if r.item {
		q := quickText(r)
		if q == nil {
			return nil
		}
		return func(s string) bool {
			_, sure := plainItems(s, func(item string) bool { return r.omit && item == "" || q(item) })
			return sure
		}
	}
	n, err := strconv.ParseInt(r.param, 0, 64)
	if err != nil || !slices.Contains([]string{"max", "lte", "min", "gte", "len", "gt", "lt"}, r.name) {
		return nil
	}
	holds := comparison[int64](r.name)
	if r.name == "len" {
		holds = comparison[int64]("eq")
	}
	return func(s string) bool {
		count, sure := plainItems(s, func(string) bool { return true })
		return sure && holds(count, n)
	}
}

// plainItems walks over a JSON array of strings without escapes. It is unsure about any other, and once good refuses
// an item.
func plainItems(s string, good func(string) bool) (count int64, sure bool) {
	if len(s) < 2 || s[0] != '[' || s[len(s)-1] != ']' {
		return 0, false
	}
	s = s[1 : len(s)-1]
	for s != "" {
		if count > 0 {
			if s[0] != ',' {
				return 0, false
			}
			s = s[1:]
		}
		if s == "" || s[0] != '"' {
			return 0, false
		}
		end := strings.IndexByte(s[1:], '"')
		if end < 0 {
			return 0, false
		}
		item := s[1 : 1+end]
		for i := 0; i < len(item); i++ {
			if item[i] == '\\' || item[i] < ' ' {
				return 0, false
			}
		}
		if !utf8.ValidString(item) || !good(item) {
			return 0, false
		}
		count++
		s = s[end+2:]
	}
	return count, true
}

// quickValue returns the quick check of a rule for a value of a field, nil if there is none.
func quickValue(r *rule, as shape) func(record.Value, []record.Value) bool {
	var q func(string) bool
	kind := record.Text
	switch as {
	case asText:
		if q = quickText(r); q != nil {
			return func(v record.Value, _ []record.Value) bool { return q(v.Text()) }
		}
	case asWhole:
		q, kind = quickNumber(r, true), record.Number
	case asFloat:
		q, kind = quickNumber(r, false), record.Number
	case asList:
		q, kind = quickList(r), record.List
	}
	if q == nil {
		return nil
	}
	return func(v record.Value, _ []record.Value) bool { return v.Kind() == kind && q(v.Text()) }
}

// quickPresence returns the quick check of a rule that asks whether values are there.
func quickPresence(k *check) func(record.Value, []record.Value) bool {
	refs := k.refs
	some := func(row []record.Value, there bool) bool {
		for i := range refs {
			if filled(at(row, refs[i].col)) == there {
				return true
			}
		}
		return false
	}
	var free func(row []record.Value) bool // reports that the field need not be there
	switch k.rule.name {
	case "required_with":
		free = func(row []record.Value) bool { return !some(row, true) }
	case "required_with_all":
		free = func(row []record.Value) bool { return some(row, false) }
	case "required_without":
		free = func(row []record.Value) bool { return !some(row, false) }
	case "required_without_all":
		free = func(row []record.Value) bool { return some(row, true) }
	case "required_if":
		p := k.rule.params()
		free = func(row []record.Value) bool {
			for i := range refs {
				if v := at(row, refs[i].col); filled(v) && v.Text() != p[2*i+1] {
					return true
				}
			}
			return false
		}
	}
	if strings.HasPrefix(k.rule.name, "excluded") {
		return func(v record.Value, _ []record.Value) bool { return !filled(v) }
	}
	return func(v record.Value, row []record.Value) bool { return filled(v) || free != nil && free(row) }
}

// Classes of ASCII characters.
const (
	digits uint8 = 1 << iota
	letters
	mailPunct // what an address has before the @, besides letters, digits and dots
	hexes
	urlPunct
	printable
)

// classes tells the classes of each byte.
var classes = func() (t [256]uint8) {
	mark := func(chars string, class uint8) {
		for i := 0; i < len(chars); i++ {
			t[chars[i]] |= class
		}
	}
	mark("0123456789", digits|hexes)
	mark("abcdefABCDEF", hexes)
	mark("_+-", mailPunct)
	mark("-._~/", urlPunct)
	for c := byte(' '); c <= '~'; c++ {
		t[c] |= printable
		if c|' ' >= 'a' && c|' ' <= 'z' {
			t[c] |= letters
		}
	}
	return t
}()

// only reports whether every byte is of one of the classes.
func only(s string, class uint8) bool {
	for i := 0; i < len(s); i++ {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

// plainEmail accepts addresses such as ada.lovelace+crm@mail.example.com.
func plainEmail(s string) bool {
	if len(s) > 254 {
		return false
	}
	dot := true
	for i := 0; i < len(s) && i <= 64; i++ {
		switch c := s[i]; {
		case classes[c]&(letters|digits|mailPunct) != 0:
			dot = false
		case c == '.' && !dot:
			dot = true
		default:
			return c == '@' && !dot && plainHost(s[i+1:])
		}
	}
	return false
}

// plainHost accepts names such as mail.example.com: at least two parts, the last one of letters only.
func plainHost(s string) bool {
	if len(s) > 253 {
		return false
	}
	part, parts, onlyLetters := 0, 0, true // where the part begins, how many are before it, what is in it
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case classes[c]&letters != 0:
		case classes[c]&digits != 0 || c == '-' && i > part:
			onlyLetters = false
		case c == '.' && i > part && i-part <= 63 && s[i-1] != '-':
			part, onlyLetters = i+1, true
			parts++
		default:
			return false
		}
	}
	return parts > 0 && onlyLetters && len(s)-part > 1 && len(s)-part <= 63
}

// plainURL accepts addresses such as https://www.example.com/a/b.html.
func plainURL(s string) bool {
	rest, ok := strings.CutPrefix(s, "https://")
	if !ok {
		if rest, ok = strings.CutPrefix(s, "http://"); !ok {
			return false
		}
	}
	host, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	return plainHost(host) && only(path, letters|digits|urlPunct)
}

// plainNumber accepts numbers such as -12.50.
func plainNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, frac, dot := strings.Cut(s, ".")
	return whole != "" && only(whole, digits) && (!dot || frac != "" && only(frac, digits))
}

// plainDegrees accepts numbers such as -8.25, without leading zeros, below the limit.
func plainDegrees(s string, limit int) bool {
	if !plainNumber(s) {
		return false
	}
	whole, _, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	if len(whole) > 3 || len(whole) > 1 && whole[0] == '0' {
		return false
	}
	n, err := strconv.Atoi(whole)
	return err == nil && n < limit
}

func plainUUID(s string) bool {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	return only(s[:8], hexes) && only(s[9:13], hexes) && only(s[14:18], hexes) && only(s[19:23], hexes) && only(s[24:], hexes)
}
