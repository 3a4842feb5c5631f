package transforms

import (
	"fmt"
	"strings"

	"github.com/crmetl/crmetl/record"
)

// PlainNumber returns the canonical literal of a plain decimal number: an optional sign, digits, at most one "." with
// digits on both sides, no grouping and no exponent. Needless zeros before the number go, zeros after it stay. It
// allocates nothing if s is canonical already.
func PlainNumber(s string) (literal string, ok bool) {
	body, neg := s, false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		neg, body = s[0] == '-', s[1:]
	}
	dot := -1
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '.' && dot < 0:
			dot = i
		case c < '0' || c > '9':
			return "", false
		}
	}
	whole := len(body)
	if dot >= 0 {
		whole = dot
	}
	if whole == 0 || dot == len(body)-1 {
		return "", false
	}
	zeros := 0
	for zeros < whole-1 && body[zeros] == '0' {
		zeros++
	}
	if neg && strings.Trim(body, "0.") == "" {
		neg = false // there is no -0 in a file
	}
	switch {
	case neg && zeros == 0:
		return s, true
	case neg:
		return "-" + body[zeros:], true
	}
	return body[zeros:], true
}

// numberFormat is how a column writes its numbers.
type numberFormat struct {
	decimal, group string
	strip          []string // what may stand around a number: currencies, units
}

func newNumberFormat(a Args) (f numberFormat, err error) {
	f.decimal = "."
	if err = a.check("no argument or {decimal, group, strip}", []ArgKind{None, Options}, "decimal", "group", "strip"); err != nil {
		return f, err
	}
	if f.decimal, err = a.text("decimal", "."); err != nil {
		return f, err
	}
	if f.group, err = a.text("group", ""); err != nil {
		return f, err
	}
	if f.strip, err = a.option("strip").texts(); err != nil {
		return f, &ArgError{Option: "strip", Message: "wants one text or a list of texts"}
	}
	if f.decimal != "." && f.decimal != "," && f.decimal != "٫" {
		return f, &ArgError{Option: "decimal", Message: `is "." or ","`}
	}
	switch f.group {
	case "", ",", ".", " ", "'", "’", "_", "٬":
	default:
		return f, &ArgError{Option: "group", Message: `is one of "," "." "'" "_" or a blank`}
	}
	if f.group == f.decimal {
		return f, &ArgError{Option: "group", Message: "is the same sign as decimal; say both, as in {decimal: \",\", group: \".\"}"}
	}
	for _, s := range f.strip {
		if strings.TrimSpace(s) == "" || strings.ContainsAny(s, "0123456789+-.,") {
			return f, &ArgError{Option: "strip", Message: "takes currencies and units, not digits, signs or separators"}
		}
	}
	return f, nil
}

// parse reads one number as the format writes it.
func (f numberFormat) parse(s string) (string, error) {
	if lit, ok := PlainNumber(s); ok && f.group == "" && f.decimal == "." {
		return lit, nil
	}
	in := s
	if Scientific(s) {
		return "", lostDigits(s)
	}
	s = asciiDigits(s)
	sign := ""
	s = f.around(s)
	if rest, ok := cutMinus(s); ok {
		sign, s = "-", f.around(rest)
	} else if strings.HasPrefix(s, "+") {
		s = f.around(s[1:])
	}
	whole, fraction, cut := strings.Cut(s, f.decimal)
	if f.group != "" {
		var ok bool
		if whole, ok = f.ungroup(whole); !ok {
			return "", f.refuse(in)
		}
	}
	if cut {
		whole += "." + fraction
	}
	if whole == "" || whole[0] == '-' || whole[0] == '+' {
		return "", f.refuse(in)
	}
	lit, ok := PlainNumber(sign + whole)
	if !ok {
		return "", f.refuse(in)
	}
	return lit, nil
}

// around takes blanks and the strip texts away from both ends.
func (f numberFormat) around(s string) string {
	s = strings.TrimSpace(s)
	for again := true; again; {
		again = false
		for _, x := range f.strip {
			x = strings.TrimSpace(x)
			if len(s) > len(x) && strings.EqualFold(s[:len(x)], x) {
				s, again = strings.TrimSpace(s[len(x):]), true
			}
			if len(s) > len(x) && strings.EqualFold(s[len(s)-len(x):], x) {
				s, again = strings.TrimSpace(s[:len(s)-len(x)]), true
			}
		}
	}
	return s
}

func cutMinus(s string) (string, bool) {
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		return rest, true
	}
	return strings.CutPrefix(s, "\u2212") // the minus sign of typesetting
}

// ungroup takes the grouping away, if each group has its digits: three in the last, two (as in India) or three in
// the others.
func (f numberFormat) ungroup(s string) (string, bool) {
	if f.group == " " {
		s = strings.NewReplacer("\u00a0", " ", "\u202f", " ", "\u2009", " ").Replace(s)
	}
	groups := strings.Split(s, f.group)
	if len(groups) == 1 {
		return s, true
	}
	for i, g := range groups {
		ok := len(g) == 3
		switch {
		case i == 0:
			ok = len(g) >= 1 && len(g) <= 3
		case i < len(groups)-1:
			ok = len(g) == 3 || len(g) == 2 && len(groups[0]) <= 2
		}
		if !ok {
			return "", false
		}
	}
	return strings.Join(groups, ""), true
}

// refuse says why s is no number, and which option would make it one.
func (f numberFormat) refuse(s string) error {
	dot, comma := strings.LastIndexByte(s, '.'), strings.LastIndexByte(s, ',')
	hint := ""
	try := func(g numberFormat, option string) {
		g.strip = f.strip
		if hint == "" {
			if _, err := g.parseQuietly(s); err == nil {
				hint = option
			}
		}
	}
	if f.decimal == "." && f.group == "" {
		if comma >= 0 && dot < 0 && strings.Count(s, ",") == 1 && len(s)-comma == 4 {
			return fmt.Errorf(`%s is ambiguous: write {number: {group: ","}} if "," separates thousands, {number: {decimal: ","}} if it is the decimal sign`, Quote(s))
		}
		if comma > dot {
			try(numberFormat{decimal: ","}, `{number: {decimal: ","}}`)
			try(numberFormat{decimal: ",", group: "."}, `{number: {decimal: ",", group: "."}}`)
		}
		try(numberFormat{decimal: ".", group: ","}, `{number: {group: ","}}`)
		try(numberFormat{decimal: ",", group: "."}, `{number: {decimal: ",", group: "."}}`)
		try(numberFormat{decimal: ".", group: " "}, `{number: {group: " "}}`)
		try(numberFormat{decimal: ",", group: " "}, `{number: {decimal: ",", group: " "}}`)
		try(numberFormat{decimal: ".", group: "'"}, `{number: {group: "'"}}`)
	}
	if hint != "" {
		return fmt.Errorf("%s is not a plain number; write %s if the column writes its numbers so", Quote(s), hint)
	}
	if i, j := strings.IndexAny(s, "0123456789"), strings.LastIndexAny(s, "0123456789"); i >= 0 {
		if unit := strings.Trim(strings.TrimSpace(s[:i]+" "+s[j+1:]), "+-"); unit != "" && len(f.strip) == 0 && len(unit) < 12 {
			return fmt.Errorf("%s is not a plain number; write {number: {strip: %s}} to leave out what stands around it", Quote(s), yamlScalar(strings.TrimSpace(unit)))
		}
	}
	return fmt.Errorf("%s is not a number as this column should write it (decimal sign %q, thousands %q)", Quote(s), f.decimal, f.group)
}

// parseQuietly is parse without the search for a hint.
func (f numberFormat) parseQuietly(s string) (string, error) {
	s = f.around(s)
	rest, neg := cutMinus(s)
	whole, fraction, cut := strings.Cut(f.around(rest), f.decimal)
	if f.group != "" {
		var ok bool
		if whole, ok = f.ungroup(whole); !ok {
			return "", fmt.Errorf("no")
		}
	}
	if cut {
		whole += "." + fraction
	}
	if lit, ok := PlainNumber(whole); ok && whole[0] != '-' && whole[0] != '+' {
		if neg {
			lit = "-" + lit
		}
		return lit, nil
	}
	return "", fmt.Errorf("no")
}

func newNumber(a Args) (Func, error) {
	f, err := newNumberFormat(a)
	if err != nil {
		return nil, err
	}
	return onCell(func(v record.Value, text string) (record.Value, error) {
		switch v.Kind() {
		case record.Number:
			return v, nil
		case record.Text:
			lit, err := f.parse(text)
			return record.NumberOf(lit), err
		}
		return v, fmt.Errorf("%s is a %s, not a number", Quote(text), v.Kind())
	}), nil
}

func newInteger(a Args) (Func, error) {
	f, err := newNumberFormat(a)
	if err != nil {
		return nil, err
	}
	return onCell(func(v record.Value, text string) (record.Value, error) {
		lit := text
		switch v.Kind() {
		case record.Number:
		case record.Text:
			var err error
			if lit, err = f.parse(text); err != nil {
				return v, err
			}
		default:
			return v, fmt.Errorf("%s is a %s, not a whole number", Quote(text), v.Kind())
		}
		lit, err := WholeNumber(lit)
		return record.NumberOf(lit), err
	}), nil
}

// WholeNumber returns the literal of a number without its fraction, if that is made of zeros; any other fraction and
// any exponent is an error.
func WholeNumber(literal string) (string, error) {
	if Scientific(literal) {
		return "", lostDigits(literal)
	}
	lit, ok := PlainNumber(literal)
	if !ok {
		return "", fmt.Errorf("%s is not a whole number", Quote(literal))
	}
	whole, fraction, cut := strings.Cut(lit, ".")
	if cut && strings.Trim(fraction, "0") != "" {
		return "", fmt.Errorf("%s is not a whole number", Quote(literal))
	}
	return whole, nil
}

func newBoolean(a Args) (Func, error) {
	if err := a.check("no argument or {true: words, false: words}", []ArgKind{None, Options}, "true", "false"); err != nil {
		return nil, err
	}
	words := map[string]bool{
		"true": true, "yes": true, "y": true, "1": true, "on": true,
		"false": false, "no": false, "n": false, "0": false, "off": false,
	}
	for i, name := range a.Names {
		own, err := a.Items[i].texts()
		if err != nil {
			return nil, &ArgError{Option: name, Message: "wants one word or a list of words"}
		}
		for _, w := range own {
			words[strings.ToLower(strings.TrimSpace(w))] = name == "true"
		}
	}
	return onCell(func(v record.Value, text string) (record.Value, error) {
		if v.Kind() == record.Bool {
			return v, nil
		}
		if b, ok := words[strings.ToLower(text)]; ok {
			return record.BoolOf(b), nil
		}
		return v, fmt.Errorf("%s is neither yes nor no; write true or false, or name the words: {boolean: {true: …, false: …}}", Quote(text))
	}), nil
}
