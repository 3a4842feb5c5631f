package transforms

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/crmetl/crmetl/record"
)

// maxText is how long a text may grow by a transform or an expression, in bytes.
const maxText = 256 << 10

// trimmed takes the blanks away from the ends of a text; it is what every copied cell gets.
func trimmed(v record.Value) (record.Value, error) {
	return pure(func(s string) string { return s })(v)
}

// asText turns any kind of cell into the text that a person would see.
func asText(v record.Value) (record.Value, error) {
	switch v.Kind() {
	case record.Absent, record.Null, record.Text:
		return v, nil
	case record.Fault:
		return v, faulty(v)
	}
	return record.TextOf(v.Cell()), nil
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// title writes each word with one capital: after a blank or a sign, and after the apostrophe of O'Neil, but not after
// that of Ada's.
func title(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	inWord := 0 // letters of the word so far
	for _, r := range s {
		switch {
		case unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r):
			if inWord == 0 {
				r = unicode.ToTitle(r)
			} else {
				r = unicode.ToLower(r)
			}
			inWord++
		case (r == '\'' || r == '’') && inWord > 1:
			inWord++
		default:
			inWord = 0
		}
		b.WriteRune(r)
	}
	return b.String()
}

// digits keeps the digits of a text, those of other scripts as ASCII ones.
func digits(s string) (string, error) {
	if Scientific(s) {
		return "", lostDigits(s)
	}
	return strings.Map(func(r rune) rune {
		if d, ok := digitOf(r); ok {
			return '0' + rune(d)
		}
		return -1
	}, s), nil
}

// digitOf returns the value of a decimal digit of any script.
func digitOf(r rune) (int, bool) {
	if r >= '0' && r <= '9' {
		return int(r - '0'), true
	}
	if r < utf8.RuneSelf || !unicode.Is(unicode.Nd, r) {
		return 0, false
	}
	// Unicode keeps each script's decimal digits together in ascending order, in runs that are multiples of ten.
	for _, rg := range unicode.Nd.R16 {
		if r >= rune(rg.Lo) && r <= rune(rg.Hi) {
			return int(r-rune(rg.Lo)) % 10, true
		}
	}
	for _, rg := range unicode.Nd.R32 {
		if r >= rune(rg.Lo) && r <= rune(rg.Hi) {
			return int(r-rune(rg.Lo)) % 10, true
		}
	}
	return 0, false
}

// asciiDigits writes the digits of other scripts as ASCII ones and leaves all else.
func asciiDigits(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return strings.Map(func(r rune) rune {
				if d, ok := digitOf(r); ok {
					return '0' + rune(d)
				}
				return r
			}, s)
		}
	}
	return s
}

// Scientific reports whether a text is a number in scientific notation, such as 9.71501E+11: what a spreadsheet
// leaves of a long number that was saved as a number.
func Scientific(s string) bool {
	s = strings.TrimLeft(s, "+-")
	i := strings.IndexAny(s, "eE")
	if i <= 0 {
		return false
	}
	mantissa, exp := s[:i], strings.TrimLeft(s[i+1:], "+-")
	if exp == "" || len(exp) > 4 || strings.Trim(exp, "0123456789") != "" || len(s[i+1:])-len(exp) > 1 {
		return false
	}
	return strings.Trim(mantissa, "0123456789.,") == "" && strings.ContainsAny(mantissa, "0123456789")
}

func lostDigits(s string) error {
	return &Refusal{"digits", fmt.Sprintf("%s: digits were lost to scientific notation; format the column as text and export the file again", Quote(s))}
}

func newReplace(a Args) (Func, error) {
	var pairs []string // old, new, old, new …
	switch a.Kind {
	case Sequence:
		texts, err := a.texts()
		if err != nil || len(texts) != 2 {
			return nil, &ArgError{Message: "wants [old, new] or {old: new, …}"}
		}
		pairs = texts
	case Options:
		for i, name := range a.Names {
			if a.Items[i].Kind != Scalar && a.Items[i].Kind != None {
				return nil, &ArgError{Option: name, Message: "wants one text"}
			}
			pairs = append(pairs, name, a.Items[i].Text)
		}
	default:
		return nil, &ArgError{Message: "wants [old, new] or {old: new, …}"}
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == "" {
			return nil, &ArgError{Message: "can't replace an empty text"}
		}
	}
	return onText(func(s string) (string, error) {
		for i := 0; i < len(pairs); i += 2 {
			grow := strings.Count(s, pairs[i]) * (len(pairs[i+1]) - len(pairs[i]))
			if grow > 0 && len(s)+grow > maxText {
				return "", tooLong(len(s) + grow)
			}
			s = strings.ReplaceAll(s, pairs[i], pairs[i+1])
		}
		return s, nil
	}), nil
}

func tooLong(n int) error {
	return fmt.Errorf("the text would grow to %d bytes; %d is the limit", n, maxText)
}

// compileRegexp compiles a pattern, or says what is wrong with it.
func compileRegexp(option, pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, &ArgError{Option: option, Message: "is empty"}
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, &ArgError{Option: option, Message: strings.TrimPrefix(err.Error(), "error parsing regexp: ") + " in " + Quote(pattern)}
	}
	return re, nil
}

func newExtract(a Args) (Func, error) {
	if err := a.check("a regular expression, or {pattern, otherwise}", []ArgKind{Scalar, Options}, "pattern", "otherwise"); err != nil {
		return nil, err
	}
	pattern, option, otherwise := a.Text, "", "reject"
	if a.Kind == Options {
		var err error
		option = "pattern"
		if pattern, err = a.text("pattern", ""); err != nil {
			return nil, err
		}
		if otherwise, err = a.oneOf("otherwise", "reject", "keep", "empty"); err != nil {
			return nil, err
		}
	}
	re, err := compileRegexp(option, pattern)
	if err != nil {
		return nil, err
	}
	return onText(func(s string) (string, error) {
		m := re.FindStringSubmatchIndex(s)
		switch {
		case m == nil && otherwise == "keep":
			return s, nil
		case m == nil && otherwise == "empty":
			return "", nil
		case m == nil:
			return "", fmt.Errorf("%s has no part that matches %s", Quote(s), pattern)
		}
		for i := 2; i < len(m); i += 2 {
			if m[i] >= 0 {
				return s[m[i]:m[i+1]], nil
			}
		}
		return s[m[0]:m[1]], nil
	}), nil
}

func newRegex(a Args) (Func, error) {
	texts, err := a.texts()
	if err != nil || len(texts) != 2 {
		return nil, &ArgError{Message: "wants [pattern, replacement]"}
	}
	re, err := compileRegexp("", texts[0])
	if err != nil {
		return nil, err
	}
	return onText(func(s string) (string, error) {
		out := make([]byte, 0, len(s))
		last := 0
		for _, m := range re.FindAllStringSubmatchIndex(s, -1) {
			out = re.ExpandString(append(out, s[last:m[0]]...), texts[1], s, m)
			if last = m[1]; len(out) > maxText {
				return "", tooLong(len(out))
			}
		}
		return string(append(out, s[last:]...)), nil
	}), nil
}

// newAffix is the New of prefix and suffix.
func newAffix(join func(s, affix string) string) func(Args) (Func, error) {
	return func(a Args) (Func, error) {
		if a.Kind != Scalar || a.Text == "" {
			return nil, &ArgError{Message: "wants the text to add"}
		}
		return pure(func(s string) string { return join(s, a.Text) }), nil
	}
}

func newTruncate(a Args) (Func, error) {
	if a.Kind != Scalar {
		return nil, &ArgError{Message: "wants the greatest number of characters"}
	}
	most, err := Args{}.With("length", a).number("length", 0, maxText)
	if err != nil {
		return nil, &ArgError{Message: fmt.Sprintf("wants the greatest number of characters, from 1 to %d", maxText)}
	}
	return pure(func(s string) string {
		if len(s) <= most {
			return s
		}
		n := 0
		for i := range s {
			if n == most {
				return strings.TrimRightFunc(s[:i], unicode.IsSpace)
			}
			n++
		}
		return s
	}), nil
}

func newPad(a Args) (Func, error) {
	if err := a.check("a width, or {width, with, side}", []ArgKind{Scalar, Options}, "width", "with", "side"); err != nil {
		return nil, err
	}
	if a.Kind == Scalar {
		a = Args{}.With("width", a)
	}
	width, err := a.number("width", 0, 1000)
	if err != nil {
		return nil, err
	}
	with, err := a.text("with", "0")
	if err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(with) != 1 {
		return nil, &ArgError{Option: "with", Message: "is one character"}
	}
	side, err := a.oneOf("side", "left", "right")
	if err != nil {
		return nil, err
	}
	return pure(func(s string) string {
		n := width - utf8.RuneCountInString(s)
		switch {
		case n <= 0:
			return s
		case side == "left":
			return strings.Repeat(with, n) + s
		}
		return s + strings.Repeat(with, n)
	}), nil
}

func newIfEmpty(a Args) (Func, error) {
	if a.Kind != Scalar {
		return nil, &ArgError{Message: "wants the text for an empty cell"}
	}
	out := record.TextOf(a.Text)
	return func(v record.Value) (record.Value, error) {
		if v.IsEmpty() || v.Kind() == record.List && v.Text() == "[]" {
			return out, nil
		}
		return v, nil
	}, nil
}

// email checks the shape of an address and writes its domain in lower case; what stands before the @ is the
// mailbox's own affair.
func email(s string) (string, error) {
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s = s[7:]
	}
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || strings.Count(s, "@") != 1 || strings.ContainsAny(s, " \t\r\n\u00a0,;<>()[]\\\"") {
		return "", fmt.Errorf("%s is not one e-mail address, such as ada@example.com", Quote(s))
	}
	local, domain := s[:at], strings.ToLower(s[at+1:])
	if strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		return "", fmt.Errorf("%s is not an e-mail address: a dot stands where none may", Quote(s))
	}
	if !domainName(domain) {
		return "", fmt.Errorf("%s is not an e-mail address: %s is not a domain", Quote(s), Quote(domain))
	}
	return local + "@" + domain, nil
}

// domainName reports whether s has the shape of a domain with at least two labels.
func domainName(s string) bool {
	labels := strings.Split(s, ".")
	if len(labels) < 2 || len(s) > 253 {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for _, r := range l {
			if r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
				return false
			}
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// webAddress checks a web address, adds https:// where the scheme is missing, and writes scheme and host in lower case.
func webAddress(s string) (string, error) {
	full := s
	if !strings.Contains(full, "://") {
		full = "https://" + full
	}
	u, err := url.Parse(full)
	if err != nil || strings.ContainsAny(s, " \t\r\n") {
		return "", fmt.Errorf("%s is not a web address, such as https://example.com", Quote(s))
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%s is not a web address: it begins with %s, not with http or https", Quote(s), u.Scheme)
	}
	if !domainName(u.Hostname()) {
		return "", fmt.Errorf("%s is not a web address: %s is not a domain", Quote(s), Quote(u.Hostname()))
	}
	return u.String(), nil
}
