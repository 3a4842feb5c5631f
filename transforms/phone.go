package transforms

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"

	"github.com/crmetl/crmetl/record"
)

// newPhone reads telephone numbers as libphonenumber does and writes them in E.164. What E.164 can't hold (an
// extension, a second number) refuses the cell instead of being dropped.
func newPhone(a Args) (Func, error) {
	if err := a.check("a country code such as AE, or {region, check}", []ArgKind{None, Scalar, Options}, "region", "check"); err != nil {
		return nil, err
	}
	region, option := a.Text, ""
	check := "valid"
	if a.Kind == Options {
		var err error
		option = "region"
		if region, err = a.text("region", ""); err != nil {
			return nil, err
		}
		if check, err = a.oneOf("check", "valid", "possible"); err != nil {
			return nil, err
		}
	}
	region = strings.ToUpper(region)
	if region == "UK" {
		region = "GB"
	}
	if region != "" && phonenumbers.GetCountryCodeForRegion(region) == 0 {
		return nil, &ArgError{Option: option, Message: fmt.Sprintf("%s is no country code, such as AE", Quote(region))}
	}
	read := onText(func(s string) (string, error) { return phone(s, region, check == "valid") })
	return func(v record.Value) (record.Value, error) {
		if v.Kind() == record.Number {
			whole, err := WholeNumber(v.Text())
			switch {
			case Scientific(v.Text()):
				return v, err
			case err != nil || whole[0] == '-':
				return v, fmt.Errorf("%s is not a telephone number", Quote(v.Text()))
			case len(whole) > 15:
				return v, &Refusal{"digits", fmt.Sprintf("%s has more digits than a spreadsheet keeps of a number; format the column as text", Quote(v.Text()))}
			}
			v = record.TextOf(whole)
		}
		return read(v)
	}, nil
}

func phone(s, region string, valid bool) (string, error) {
	if Scientific(s) {
		return "", lostDigits(s)
	}
	if len(s) > 80 {
		return "", fmt.Errorf("%s is not one telephone number", Quote(s))
	}
	n, err := phonenumbers.Parse(s, region)
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode) && region == "":
		return "", fmt.Errorf("%s has no country; write it as +971…, or name the country: {phone: AE}", Quote(s))
	case err != nil && len(onlyDigits(s)) > 15:
		return "", severalNumbers(s)
	case err != nil:
		return "", fmt.Errorf("%s is not a telephone number", Quote(s))
	case n.GetExtension() != "":
		return "", fmt.Errorf("%s has an extension, which this form of number can't hold; move it to another column", Quote(s))
	}
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	given := onlyDigits(s)
	if strings.ContainsFunc(s, unicode.IsLetter) && !label(s) {
		return "", fmt.Errorf("%s holds letters; write the number in digits", Quote(s))
	}
	// libphonenumber stops at what looks like a second number; the end of what was written must be the end of what
	// was read.
	tail := given[max(0, len(given)-4):]
	if !strings.HasSuffix(e164, tail) || len(given) > len(e164)+7 {
		return "", severalNumbers(s)
	}
	if !phonenumbers.IsPossibleNumber(n) || valid && !phonenumbers.IsValidNumber(n) {
		where := ""
		if r := phonenumbers.GetRegionCodeForCountryCode(int(n.GetCountryCode())); r != "" && r != "ZZ" && r != "001" {
			where = " in " + r
		}
		return "", fmt.Errorf("%s is not a number that exists%s (read as %s)", Quote(s), where, e164)
	}
	return e164, nil
}

func severalNumbers(s string) error {
	return fmt.Errorf("%s seems to hold more than one number; keep one in the cell", Quote(s))
}

// label reports whether all letters stand before the first digit, as in "Tel: 050 123 4567".
func label(s string) bool {
	first := strings.IndexFunc(s, unicode.IsDigit)
	return first >= 0 && !strings.ContainsFunc(s[first:], unicode.IsLetter)
}

func onlyDigits(s string) string {
	out, err := digits(s)
	if err != nil {
		return ""
	}
	return out
}
