package schema

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-playground/validator/v10"

	"github.com/crmetl/crmetl/internal/near"
	"github.com/crmetl/crmetl/record"
)

// forms says in words what a rule without a number asks of a text: "must be" or "is not" goes before it.
var forms = map[string]string{
	"email": "an e-mail address", "url": "a web address", "http_url": "a web address", "https_url": "a web address with https",
	"uri": "a URI", "e164": "a phone number in international form, as in +971501234567", "numeric": "a number",
	"number": "made of digits only", "alpha": "made of the letters a to z only", "alphanum": "made of the letters a to z and digits only",
	"alphaunicode": "made of letters only", "alphanumunicode": "made of letters and digits only",
	"alphaspace": "made of the letters a to z and blanks only", "alphanumspace": "made of the letters a to z, digits and blanks only",
	"ascii": "made of ASCII characters only", "printascii": "made of printable ASCII characters only", "boolean": "true or false",
	"uuid": "a UUID", "uuid4": "a UUID of version 4", "json": "JSON", "base64": "base64", "hexcolor": "a colour as in #ff8800",
	"hexadecimal": "a hexadecimal number", "iso3166_1_alpha2": "a country code of two letters, as in AE",
	"iso3166_1_alpha3": "a country code of three letters, as in ARE", "country_code": "a country code, as in AE",
	"iso4217": "a currency code, as in AED", "bcp47_language_tag": "a language code, as in en-GB", "timezone": "a time zone, as in Asia/Dubai",
	"latitude": "a latitude, from -90 to 90", "longitude": "a longitude, from -180 to 180", "lowercase": "in lower case",
	"uppercase": "in upper case", "fqdn": "a host name", "hostname": "a host name", "hostname_rfc1123": "a host name", "ip": "an IP address",
	"ipv4": "an IPv4 address", "unique": "without repeated items", "datauri": "a data URI", "html": "HTML",
}

// knownRules are the rules that a misspelt one may mean.
func knownRules() []string {
	names := []string{
		"required", "required_if", "required_unless", "required_with", "required_with_all", "required_without",
		"required_without_all", "excluded_if", "excluded_unless", "excluded_with", "excluded_with_all", "excluded_without",
		"excluded_without_all", "len", "min", "max", "eq", "ne", "lt", "lte", "gt", "gte", "eqfield", "nefield", "gtfield",
		"gtefield", "ltfield", "ltefield", "oneof", "oneofci", "startswith", "endswith", "contains", "containsany",
		"excludes", "excludesall", "startsnotwith", "endsnotwith", "datetime", "dive",
	}
	for name := range forms {
		names = append(names, name)
	}
	return sorted(names)
}

// comparisonWords says what a comparison asks for, before the number.
var comparisonWords = map[string]string{
	"max": "at most", "lte": "at most", "min": "at least", "gte": "at least", "len": "exactly", "eq": "exactly",
	"gt": "more than", "lt": "less than", "ne": "anything but",
}

// fieldWords says what a comparison with another field asks for, before the field's name.
var fieldWords = map[string]string{
	"eqfield": "the same as", "nefield": "other than", "gtfield": "greater than", "gtefield": "at least", "ltfield": "less than",
	"ltefield": "at most", "fieldcontains": "a text that contains", "fieldexcludes": "a text without",
}

// edgeWords says what a rule on a part of a text asks for, before that part.
var edgeWords = map[string]string{
	"startswith": "begin with", "endswith": "end with", "contains": "contain", "containsany": "contain one of",
	"startsnotwith": "not begin with", "endsnotwith": "not end with", "excludes": "not contain", "excludesall": "not contain any of",
}

// words says what the rule asks for. The phrase begins with a verb that "must" can stand before, unless the rule asks
// whether a value is there.
func (r *rule) words(t Type) string {
	if r.alts != nil {
		var parts []string
		for i := range r.alts {
			parts = append(parts, r.alts[i].words(t))
		}
		return strings.Join(parts, ", or ")
	}
	list := t == List && !r.item
	number := t == Integer || t == Number || t == Epoch
	if w, ok := comparisonWords[r.name]; ok && r.param != "" {
		switch {
		case r.name == "eq" || r.name == "ne":
			return "be " + w + " " + quoteText(r.param, number)
		case list:
			return "have " + w + " " + counted(r.param, "item")
		case number:
			return "be " + w + " " + r.param
		}
		return "be " + w + " " + counted(r.param, "character")
	}
	if w, ok := fieldWords[r.name]; ok {
		return "be " + w + " " + r.param
	}
	if w, ok := edgeWords[r.name]; ok {
		return w + " " + strconv.Quote(r.param)
	}
	if w, ok := forms[r.name]; ok {
		return "be " + w
	}
	fields := r.fields()
	switch r.name {
	case "oneof", "oneofci":
		return "be one of " + strings.Join(r.params(), ", ")
	case "noneof", "noneofci":
		return "be none of " + strings.Join(r.params(), ", ")
	case "datetime":
		return "be a date in the form " + layoutWords(r.param)
	case "required":
		return "required"
	case "required_with":
		return "required if " + isGiven(fields, "or")
	case "required_with_all":
		return "required if " + isGiven(fields, "and")
	case "required_without":
		return "required unless " + isGiven(fields, "and")
	case "required_without_all":
		return "required unless " + isGiven(fields, "or")
	case "required_if":
		return "required if " + pairs(r.params(), "and")
	case "required_unless":
		return "required unless " + pairs(r.params(), "or")
	case "excluded_with":
		return "must be empty if " + isGiven(fields, "or")
	case "excluded_with_all":
		return "must be empty if " + isGiven(fields, "and")
	case "excluded_without":
		return "must be empty unless " + isGiven(fields, "and")
	case "excluded_without_all":
		return "must be empty unless " + isGiven(fields, "or")
	case "excluded_if":
		return "must be empty if " + pairs(r.params(), "and")
	case "excluded_unless":
		return "must be empty unless " + pairs(r.params(), "or")
	}
	return "hold to the rule " + r.text
}

// message tells the person who mends the file what is wrong with a value that validator refused.
func (k *check) message(v record.Value, found validator.ValidationErrors) string {
	r, t := &k.rule, k.field.Type
	if r.onMissing() {
		return k.gapMessage()
	}
	if r.item {
		text, _ := found[0].Value().(string)
		s := "item " + itemNumber(found[0].Field()) + " " + valueMessage(r, Text, text)
		if len(found) > 1 {
			s += fmt.Sprintf("; %s more with the same problem", counted(strconv.Itoa(len(found)-1), "item"))
		}
		return s
	}
	if items, ok := v.Items(); ok && t == List {
		if _, counts := comparisonWords[r.name]; counts {
			return "must " + r.words(t) + ", has " + strconv.Itoa(len(items))
		}
		return "must " + r.words(t)
	}
	return valueMessage(r, t, v.Text())
}

func valueMessage(r *rule, t Type, text string) string {
	_, compares := comparisonWords[r.name]
	_, against := fieldWords[r.name]
	switch {
	case r.alts != nil:
		return "must " + r.words(t)
	case compares && r.name != "eq" && r.name != "ne":
		if t == Integer || t == Number || t == Epoch {
			return "must " + r.words(t) + ", is " + text
		}
		return "must " + r.words(t) + ", has " + strconv.Itoa(utf8.RuneCountInString(text))
	case r.name == "oneof" || r.name == "oneofci":
		s := "must " + r.words(t)
		if n := near.Name(text, r.params()); n != "" {
			s += fmt.Sprintf("; did you mean %s?", n)
		}
		return s
	case against:
		return "must " + r.words(t) + ", is " + text
	}
	if w, ok := forms[r.name]; ok {
		return "is not " + w
	}
	return "must " + r.words(t)
}

// gapMessage is the message of a rule that asks whether values are there.
func (k *check) gapMessage() string {
	if k.oneOf() == "" {
		w := k.rule.words(k.field.Type)
		if strings.HasPrefix(w, "required") {
			return "is " + w
		}
		return w
	}
	names := append([]string{k.field.Name}, k.rule.fields()...)
	if len(names) == 2 {
		return names[0] + " or " + names[1] + " is required: both are empty"
	}
	return "one of " + joined(names, "or") + " is required: all are empty"
}

// notOfType says that a value is not what a field of the type holds.
func notOfType(t Type) string {
	switch t {
	case Integer:
		return "is not a whole number"
	case Epoch, Date, DateTime:
		return "is not a date"
	}
	return "is not a " + string(t)
}

func itemNumber(field string) string {
	_, rest, _ := strings.Cut(field, "[")
	n, err := strconv.Atoi(strings.TrimSuffix(rest, "]"))
	if err != nil {
		return field
	}
	return strconv.Itoa(n + 1)
}

func counted(n, noun string) string {
	if n == "1" {
		return n + " " + noun
	}
	return n + " " + noun + "s"
}

func quoteText(s string, number bool) string {
	if number {
		return s
	}
	return strconv.Quote(s)
}

func isGiven(fields []string, word string) string {
	if len(fields) > 1 && word == "and" {
		return joined(fields, word) + " are given"
	}
	return joined(fields, word) + " is given"
}

func pairs(params []string, word string) string {
	var list []string
	for i := 0; i+1 < len(params); i += 2 {
		list = append(list, params[i]+" is "+params[i+1])
	}
	return joined(list, word)
}

// joined is a, b and c.
func joined(list []string, word string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " " + word + " " + list[len(list)-1]
}

func layoutWords(layout string) string {
	sample := time.Date(2026, 1, 31, 23, 59, 0, 0, time.UTC)
	return sample.Format(layout)
}
