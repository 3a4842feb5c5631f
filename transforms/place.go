package transforms

import (
	"fmt"
	"strings"

	"github.com/biter777/countries"
)

// spellings are common names of countries that the library does not know or takes for others, in capitals and
// without signs.
var spellings = map[string]string{
	"UK": "GB", "UNITEDKINGDOMOFGREATBRITAINANDNORTHERNIRELAND": "GB", "ENGLAND": "GB", "SCOTLAND": "GB", "WALES": "GB", "NORTHERNIRELAND": "GB",
	"UAE": "AE", "EMIRATES": "AE", "KSA": "SA", "KINGDOMOFSAUDIARABIA": "SA", "الإماراتالعربيةالمتحدة": "AE", "الإمارات": "AE", "السعودية": "SA", "مصر": "EG",
	"USA": "US", "AMERICA": "US", "RUSSIANFEDERATION": "RU", "HOLLAND": "NL", "CZECHREPUBLIC": "CZ", "CZECHIA": "CZ",
	"SOUTHKOREA": "KR", "REPUBLICOFKOREA": "KR", "KOREAREPUBLICOF": "KR", "NORTHKOREA": "KP", "VIETNAM": "VN", "IVORYCOAST": "CI", "COTEDIVOIRE": "CI",
	"CÔTEDIVOIRE": "CI", "TURKIYE": "TR", "TÜRKIYE": "TR", "BURMA": "MM", "SWAZILAND": "SZ", "MACEDONIA": "MK", "CAPEVERDE": "CV", "DEUTSCHLAND": "DE",
	"ESPAÑA": "ES", "ITALIA": "IT", "SUISSE": "CH", "SCHWEIZ": "CH", "BRASIL": "BR", "INDIA": "IN", "BHARAT": "IN", "PALESTINE": "PS", "HONGKONG": "HK",
}

// newCountry turns names and codes of countries into ISO 3166 codes or English names.
func newCountry(a Args) (Func, error) {
	form := "alpha2"
	if a.Kind == Scalar {
		form = a.Text
	}
	if a.Kind > Scalar || form != "alpha2" && form != "alpha3" && form != "name" {
		return nil, &ArgError{Message: "wants nothing, or the form: alpha2, alpha3 or name"}
	}
	return onText(func(s string) (string, error) {
		c := countryOf(s)
		if c == countries.Unknown {
			return "", fmt.Errorf("%s is no country; write its ISO code, such as AE, or its English name", Quote(s))
		}
		switch form {
		case "alpha3":
			return c.Alpha3(), nil
		case "name":
			return c.String(), nil
		}
		return c.Alpha2(), nil
	}), nil
}

func countryOf(s string) countries.CountryCode {
	key := letters(s)
	if code, ok := spellings[key]; ok {
		key = code
	}
	c := countries.ByName(key)
	// The library also takes codes that are none of ISO's (RA for Argentina): short texts must be the code itself.
	short := len(key) <= 3
	if !c.IsValid() || len(c.Alpha2()) != 2 || short && c.Alpha2() != key && c.Alpha3() != key {
		return countries.Unknown
	}
	return c
}

// letters reduces a name to its letters, in capitals; what stands in brackets goes.
func letters(s string) string {
	if i := strings.IndexByte(s, '('); i > 0 {
		s = s[:i]
	}
	s = strings.ToUpper(s)
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" .,-'’\u00a0&", r) {
			return -1
		}
		return r
	}, strings.TrimPrefix(strings.TrimSpace(s), "THE "))
}

// signs are currencies by the sign or word that files hold. Signs of several currencies, such as $, are left out.
var signs = map[string]string{
	"€": "EUR", "£": "GBP", "₹": "INR", "₽": "RUB", "₺": "TRY", "₩": "KRW", "₪": "ILS", "₴": "UAH", "₦": "NGN", "₫": "VND", "฿": "THB", "US$": "USD", "A$": "AUD",
	"C$": "CAD", "DH": "AED", "DHS": "AED", "د.إ": "AED", "درهم": "AED", "DIRHAM": "AED", "DIRHAMS": "AED", "SR": "SAR", "EUROS": "EUR", "POUND STERLING": "GBP",
}

func currency(s string) (string, error) {
	up := strings.ToUpper(s)
	if code, ok := signs[up]; ok {
		return code, nil
	}
	c := countries.CurrencyCodeByName(s)
	if !c.IsValid() || len(up) <= 3 && c.Alpha() != up {
		if strings.ContainsAny(s, "$¥") {
			return "", fmt.Errorf("%s stands for several currencies; write the ISO code, such as USD", Quote(s))
		}
		return "", fmt.Errorf("%s is no currency; write its ISO code, such as AED", Quote(s))
	}
	return c.Alpha(), nil
}
