package mappings

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crmetl/crmetl/internal/near"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
	"github.com/crmetl/crmetl/transforms"
)

// converter gives a value, which is not empty and no error cell, the form that a field of some type has. It guesses
// nothing: what is not certain is an error, a sentence about the value. A *transforms.Refusal carries a rule of its own;
// any other error goes by the type's name.
type converter func(record.Value) (record.Value, error)

// converterOf returns the converter of a field. exact says that numbers of the source are exact whatever their length,
// which those of spreadsheets are not.
func converterOf(f *schema.Field, exact bool) converter {
	switch f.Type {
	case schema.ID, schema.Phone:
		return func(v record.Value) (record.Value, error) { return toDigits(v, exact) }
	case schema.Integer:
		return toInteger
	case schema.Number:
		return toNumber
	case schema.Bool:
		return toBool
	case schema.Date:
		return toDate
	case schema.DateTime:
		return toDateTime
	case schema.Epoch:
		return toEpoch
	case schema.Enum:
		return choiceConverter(f)
	case schema.List:
		return toList
	case schema.JSON:
		return toJSON
	case schema.Pairs:
		return transforms.PairsOf
	case schema.Text, schema.Email, schema.File:
		return toText
	}
	return asIs // an attribute that no table describes keeps the kind it has
}

// excelDigits is how many digits of a number a spreadsheet keeps; further ones are zeros or wrong.
const excelDigits = 15

func asIs(v record.Value) (record.Value, error) { return v, nil }

// toText takes any kind, as the text that a person sees.
func toText(v record.Value) (record.Value, error) {
	if v.Kind() == record.Text {
		return v, nil
	}
	return record.TextOf(v.Cell()), nil
}

// toDigits is for ids and phones: text whose every digit counts.
func toDigits(v record.Value, exact bool) (record.Value, error) {
	if v.Kind() == record.Number {
		if err := wholeDigits(v.Text(), exact); err != nil {
			return v, err
		}
		return record.TextOf(plainZeros(v.Text())), nil
	}
	if transforms.Scientific(v.Text()) {
		return v, lostDigits(v.Text())
	}
	return toText(v)
}

// plainZeros writes 971501234567.0, as some spreadsheets' writers do, without its needless fraction.
func plainZeros(literal string) string {
	if whole, err := transforms.WholeNumber(literal); err == nil {
		return whole
	}
	return literal
}

// wholeDigits refuses numbers whose digits can't all be trusted.
func wholeDigits(literal string, exact bool) error {
	if strings.ContainsAny(literal, "eE") {
		return lostDigits(literal)
	}
	digits := strings.TrimLeft(strings.TrimLeft(plainZeros(literal), "-"), "0.")
	if n := len(strings.ReplaceAll(digits, ".", "")); n > excelDigits && !exact {
		return &transforms.Refusal{Rule: "digits", Message: fmt.Sprintf("%s is a number of %d digits, of which a spreadsheet keeps %d; format the column as text and enter it again", literal, n, excelDigits)}
	}
	return nil
}

func lostDigits(s string) error {
	return &transforms.Refusal{Rule: "digits", Message: fmt.Sprintf("%s: digits were lost to scientific notation; format the column as text and export the file again", transforms.Quote(s))}
}

func toInteger(v record.Value) (record.Value, error) {
	switch v.Kind() {
	case record.Number:
		whole, err := transforms.WholeNumber(v.Text())
		if err != nil {
			return v, err
		}
		if whole == v.Text() {
			return v, nil
		}
		return record.NumberOf(whole), nil
	case record.Text:
		lit, ok := transforms.PlainNumber(v.Text())
		if ok && !strings.Contains(lit, ".") {
			return record.NumberOf(lit), nil
		}
		if transforms.Scientific(v.Text()) {
			return v, lostDigits(v.Text())
		}
		return v, fmt.Errorf("%s is not a whole number in plain digits; if the column writes numbers otherwise, say how with apply: [{integer: {group: …, decimal: …}}]", transforms.Quote(v.Text()))
	}
	return v, wrongKind(v, "a whole number")
}

func toNumber(v record.Value) (record.Value, error) {
	switch v.Kind() {
	case record.Number:
		return v, nil
	case record.Text:
		if lit, ok := transforms.PlainNumber(v.Text()); ok {
			return record.NumberOf(lit), nil
		}
		if transforms.Scientific(v.Text()) {
			return v, lostDigits(v.Text())
		}
		return v, fmt.Errorf("%s is not a plain number such as 1234.50; if the column writes numbers otherwise, say how with apply: [{number: {decimal: …, group: …}}]", transforms.Quote(v.Text()))
	}
	return v, wrongKind(v, "a number")
}

func wrongKind(v record.Value, want string) error {
	return fmt.Errorf("%s is a %s cell, not %s", transforms.Quote(v.Cell()), v.Kind(), want)
}

func toBool(v record.Value) (record.Value, error) {
	switch v.Kind() {
	case record.Bool:
		return v, nil
	case record.Text, record.Number:
		for _, w := range [...]struct {
			word string
			is   bool
		}{{"true", true}, {"yes", true}, {"1", true}, {"false", false}, {"no", false}, {"0", false}} {
			if strings.EqualFold(v.Text(), w.word) {
				return record.BoolOf(w.is), nil
			}
		}
	}
	return v, fmt.Errorf("%s is neither true nor false; other words need apply: [{boolean: {true: …, false: …}}]", transforms.Quote(v.Cell()))
}

const isoDay = "2006-01-02"

func toDate(v record.Value) (record.Value, error) {
	switch v.Kind() {
	case record.Date:
		return v, nil
	case record.Text, record.DateTime:
		t, timed, err := transforms.ParseISO(v.Text(), time.UTC)
		if err != nil {
			return v, notISO(v, "2006-01-31", "date: DD/MM/YYYY")
		}
		if timed && (t.Hour()|t.Minute()|t.Second()|t.Nanosecond()) != 0 {
			return v, fmt.Errorf("%s has a time of day, which a date can't hold; apply: [date] drops it", transforms.Quote(v.Text()))
		}
		if !timed {
			return record.Of(record.Date, v.Text()), nil
		}
		return record.Of(record.Date, t.Format(isoDay)), nil
	}
	return v, notISO(v, "2006-01-31", "date: DD/MM/YYYY")
}

func toDateTime(v record.Value) (record.Value, error) {
	switch v.Kind() {
	case record.Date, record.DateTime, record.Text:
		t, _, err := transforms.ParseISO(v.Text(), time.UTC)
		if err != nil {
			return v, notISO(v, "2006-01-31T15:04:05Z", "datetime: DD/MM/YYYY HH:mm")
		}
		return record.Of(record.DateTime, transforms.Stamp(t)), nil
	}
	return v, notISO(v, "2006-01-31T15:04:05Z", "datetime: DD/MM/YYYY HH:mm")
}

func notISO(v record.Value, example, apply string) error {
	if v.Kind() == record.Number {
		return fmt.Errorf("%s is a number, not a date such as %s; apply: [excel_date] reads a spreadsheet's day number", v.Text(), example)
	}
	return fmt.Errorf("%s is not a date such as %s; if the column writes dates otherwise, say how with apply: [{%s}]", transforms.Quote(v.Cell()), example, apply)
}

// toEpoch takes whole seconds since 1970, or ISO 8601.
func toEpoch(v record.Value) (record.Value, error) {
	switch v.Kind() {
	case record.Text, record.Number:
		lit, ok := transforms.PlainNumber(v.Text())
		if v.Kind() == record.Number {
			lit = plainZeros(v.Text())
		}
		if ok {
			n, err := strconv.ParseInt(lit, 10, 64)
			switch {
			case err != nil:
				return v, fmt.Errorf("%s is not a whole number of seconds since 1970", transforms.Quote(v.Text()))
			case n >= transforms.EpochLimit || n <= -transforms.EpochLimit:
				return v, fmt.Errorf("%s seconds since 1970 is no date of this age; apply: [{epoch: ms}] reads milliseconds", v.Text())
			}
			return record.NumberOf(lit), nil
		}
		if v.Kind() == record.Number {
			return v, fmt.Errorf("%s is not a whole number of seconds since 1970", transforms.Quote(v.Text()))
		}
		fallthrough
	case record.Date, record.DateTime:
		t, _, err := transforms.ParseISO(v.Text(), time.UTC)
		if err != nil {
			return v, notISO(v, "2006-01-31T15:04:05Z", "datetime: DD/MM/YYYY HH:mm")
		}
		return record.NumberOf(strconv.FormatInt(t.Unix(), 10)), nil
	}
	return v, notISO(v, "2006-01-31T15:04:05Z", "datetime: DD/MM/YYYY HH:mm")
}

// choiceConverter compares without regard to case and writes the vendor's spelling.
func choiceConverter(f *schema.Field) converter {
	spelling := make(map[string]record.Value, 2*len(f.Values))
	for _, s := range f.Values {
		spelling[s] = record.TextOf(s)
	}
	for _, s := range f.Values {
		if k := strings.ToLower(s); spelling[k] == (record.Value{}) {
			spelling[k] = record.TextOf(s)
		}
	}
	for from, to := range f.Same {
		if k := strings.ToLower(from); spelling[k] == (record.Value{}) {
			spelling[k] = record.TextOf(to)
		}
	}
	return func(v record.Value) (record.Value, error) {
		s := v.Text()
		if v.Kind() == record.List {
			return v, wrongKind(v, "one choice")
		}
		if to, ok := spelling[s]; ok {
			return to, nil
		}
		if to, ok := spelling[strings.ToLower(s)]; ok {
			return to, nil
		}
		hint := "one of " + strings.Join(f.Values, ", ")
		if n := near.Name(s, f.Values); n != "" {
			hint = fmt.Sprintf("did you mean %s?", n)
		} else if len(hint) > 300 {
			hint = fmt.Sprintf("there are %d choices; crmetl describe lists them", len(f.Values))
		}
		return v, fmt.Errorf("%s is none of the choices (%s)", transforms.Quote(v.Cell()), hint)
	}
}

// toList splits a text at ";", or reads it as a JSON array. Blanks around items go, and so do empty items and those
// that stand in the list already. A list of nothing is an empty cell.
func toList(v record.Value) (record.Value, error) {
	var room [8]string
	items := room[:0]
	switch v.Kind() {
	case record.JSON:
		return v, fmt.Errorf("%s is a JSON object, not a list", transforms.Quote(v.Text()))
	case record.Text:
		s := v.Text()
		if s[0] != '[' {
			for item := range strings.SplitSeq(s, ";") {
				items = append(items, item)
			}
			break
		}
		list, err := record.ParseJSON([]byte(s))
		if err != nil || list.Kind() != record.List {
			if strings.HasSuffix(s, "]") {
				return v, fmt.Errorf("%s looks like a JSON array and is none", transforms.Quote(s))
			}
			items = strings.Split(s, ";")
			break
		}
		v = list
		fallthrough
	case record.List:
		var raw []any
		if err := json.Unmarshal([]byte(v.Text()), &raw); err != nil {
			return v, fmt.Errorf("%s is not a list", transforms.Quote(v.Text()))
		}
		for _, x := range raw {
			switch x.(type) {
			case []any, map[string]any:
				return v, nil // a list of objects is the vendor's affair
			}
		}
		all, ok := v.Items()
		if !ok || len(all) != len(raw) {
			return v, fmt.Errorf("%s is not a list", transforms.Quote(v.Text()))
		}
		for i, s := range all {
			if raw[i] != nil {
				items = append(items, s)
			}
		}
	default:
		items = append(items, v.Cell())
	}
	if items = distinct(items); len(items) == 0 {
		return record.Value{}, nil
	}
	var text [128]byte
	b := append(text[:0], '[')
	for i, s := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = record.AppendString(b, s)
	}
	return record.Of(record.List, string(append(b, ']'))), nil
}

// distinct trims items and drops the empty and the repeated ones, in place.
func distinct(items []string) []string {
	const few = 16
	var seen map[string]bool
	if len(items) > few {
		seen = make(map[string]bool, len(items))
	}
	kept := items[:0]
	for _, s := range items {
		s = strings.TrimSpace(s)
		if s == "" || seen[s] || seen == nil && slices.Contains(kept, s) {
			continue
		}
		if seen != nil {
			seen[s] = true
		}
		kept = append(kept, s)
	}
	return kept
}

func toJSON(v record.Value) (record.Value, error) {
	if v.Kind() != record.Text {
		return v, nil
	}
	out, err := record.ParseJSON([]byte(v.Text()))
	if err != nil {
		return v, fmt.Errorf("%s is not a JSON value; a text stands in double quotes", transforms.Quote(v.Text()))
	}
	return out, nil
}
