package transforms

import (
	"strings"

	"github.com/crmetl/crmetl/record"
)

// text and the next few make the cells of the examples.
func text(s string) record.Value     { return record.TextOf(s) }
func number(s string) record.Value   { return record.NumberOf(s) }
func date(s string) record.Value     { return record.Of(record.Date, s) }
func datetime(s string) record.Value { return record.Of(record.DateTime, s) }
func list(s ...string) record.Value  { return record.ListOf(s) }

var (
	yes  = record.BoolOf(true)
	no   = record.BoolOf(false)
	none = Args{}
)

// table is every transform there is.
var table = []Transform{
	{
		Name: "trim", Doc: "takes blanks away from both ends; copied cells have that already", New: plain(trimmed),
		Examples: []Example{{In: text("  Ada "), Out: text("Ada")}, {In: list(" a ", "b"), Out: list("a", "b")}},
	},
	{
		Name: "squeeze", Doc: "makes each run of blanks one blank", New: plain(pure(squeeze)),
		Examples: []Example{{In: text(" Ada\u00a0  King\nLovelace "), Out: text("Ada King Lovelace")}},
	},
	{
		Name: "lower", Doc: "writes small letters", New: plain(pure(strings.ToLower)),
		Examples: []Example{{In: text("ADA@Example.COM"), Out: text("ada@example.com")}, {In: text(""), Out: text("")}},
	},
	{
		Name: "upper", Doc: "writes capital letters", New: plain(pure(strings.ToUpper)),
		Examples: []Example{{In: text("ab-12"), Out: text("AB-12")}},
	},
	{
		Name: "title", Doc: "writes each word with one capital", New: plain(pure(title)),
		Examples: []Example{
			{In: text("ADA o'neil-SMITH"), Out: text("Ada O'Neil-Smith")},
			{In: text("ada's 2nd HOUSE"), Out: text("Ada's 2nd House")},
		},
	},
	{
		Name: "text", Doc: "turns a number, date or boolean cell into the text that a person sees", New: plain(asText),
		Examples: []Example{{In: number("12.50"), Out: text("12.50")}, {In: yes, Out: text("TRUE")}, {In: list("a", "b"), Out: text("a;b")}},
	},
	{
		Name: "number", Args: `{decimal: ",", group: ".", strip: [AED, "%"]}`, New: newNumber,
		Doc: `reads a number; without options only plain ones ("." before the fraction, no thousands)`,
		Examples: []Example{
			{In: text("+1234.50"), Out: number("1234.50")},
			{In: text("1,234.50"), Error: `write {number: {group: ","}}`},
			{In: text("1,234"), Error: "ambiguous"},
			{In: text("AED 12"), Error: "strip: AED"},
			{In: text("1e5"), Error: "digits were lost"},
			{Args: none.With("group", One(",")), In: text("1,234.50"), Out: number("1234.50")},
			{Args: none.With("decimal", One(",")).With("group", One(".")), In: text("-1.234,5"), Out: number("-1234.5")},
			{Args: none.With("group", One(",")), In: text("12,34.5"), Error: "not a number as this column"},
			{Args: none.With("strip", Many("AED", "$")), In: text("AED -12.5"), Out: number("-12.5")},
		},
	},
	{
		Name: "integer", Args: `{group: ",", strip: AED}`, Doc: "reads a whole number, with number's options; a fraction other than zero is refused", New: newInteger,
		Examples: []Example{
			{In: text("0042"), Out: number("42")}, {In: number("12.00"), Out: number("12")},
			{In: text("12.5"), Error: "not a whole number"},
			{Args: none.With("group", One(",")), In: text("1,250,000"), Out: number("1250000")},
		},
	},
	{
		Name: "boolean", Args: `{true: [ja, j], false: nein}`, Doc: "reads true/false, yes/no, y/n, on/off, 1/0 and the words you add", New: newBoolean,
		Examples: []Example{
			{In: text("Yes"), Out: yes}, {In: number("0"), Out: no}, {In: text("maybe"), Error: "neither yes nor no"},
			{Args: none.With("true", Many("ja", "j")).With("false", One("nein")), In: text("Ja"), Out: yes},
		},
	},
	{
		Name: "date", Args: `DD/MM/YYYY, %d/%m/%Y, a list of layouts, or {format, zone}`, New: newDate,
		Doc: "reads a calendar day as the layout writes it, without a layout as ISO 8601; days that don't exist are refused",
		Examples: []Example{
			{Args: One("%d/%m/%Y"), In: text("03/04/2025"), Out: date("2025-04-03")},
			{Args: One("DD/MM/YYYY"), In: text("3/4/2025"), Out: date("2025-04-03")},
			{Args: One("D M YYYY"), In: text("3 4 2025"), Out: date("2025-04-03")},
			{Args: One("dddd, MMMM D, YYYY"), In: text("thursday, april 03, 2025"), Out: date("2025-04-03")},
			{Args: One("dddd, MMMM D, YYYY"), In: text("Friday, April 3, 2025"), Error: "no such day"},
			{Args: One("YYYYMMDD"), In: number("20250403"), Out: date("2025-04-03")},
			{Args: One("DD/MM/YYYY"), In: text("31/02/2025"), Error: "no such day"},
			{Args: One("DD/MM/YYYY"), In: text("03/04/25"), Error: "four digits"},
			{Args: Many("D MMM YYYY", "YYYY-MM-DD"), In: text("2025-04-03"), Out: date("2025-04-03")},
			{In: text("03/04/2025"), Error: "name the layout"},
			{In: date("2025-04-03"), Out: date("2025-04-03")},
			{In: datetime("2025-04-03T10:00:00"), Out: date("2025-04-03")},
			{In: number("45750"), Error: "excel_date"},
		},
	},
	{
		Name: "datetime", Args: `YYYY-MM-DD HH:mm, a list of layouts, or {format, zone}`, New: newDateTime,
		Doc: "reads a point in time as the layout writes it, without a layout as ISO 8601; without an offset it is in the zone, by default UTC",
		Examples: []Example{
			{Args: none.With("format", One("DD/MM/YYYY HH:mm")).With("zone", One("Asia/Dubai")), In: text("03/04/2025 18:30"), Out: datetime("2025-04-03T18:30:00+04:00")},
			{Args: One("%d/%m/%Y %I:%M %p"), In: text("3/4/2025 6:30 pm"), Out: datetime("2025-04-03T18:30:00Z")},
			{Args: One("%Y-%m-%d %H:%M:%S.%f %z"), In: text("2025-04-03 18:30:05.25 +0400"), Out: datetime("2025-04-03T18:30:05.25+04:00")},
			{Args: One("%Y-%m-%d %H:%M:%S"), In: text("2025-04-03 18:30:05"), Out: datetime("2025-04-03T18:30:05Z")},
			{In: text("2025-04-03 18:30"), Out: datetime("2025-04-03T18:30:00Z")},
			{In: datetime("2025-04-03T18:30:00"), Out: datetime("2025-04-03T18:30:00Z")},
			{In: date("2025-04-03"), Out: datetime("2025-04-03T00:00:00Z")},
			{Args: none.With("zone", One("Europe/Berlin")), In: text("2025-03-30T02:30:00"), Error: "not a date"},
		},
	},
	{
		Name: "epoch", Args: "ms", Doc: "reads a point in time from the seconds (or ms, us, ns) since 1970", New: newEpoch,
		Examples: []Example{
			{In: text("1700000000"), Out: datetime("2023-11-14T22:13:20Z")},
			{Args: One("ms"), In: number("1700000000250"), Out: datetime("2023-11-14T22:13:20.25Z")},
			{In: text("1700000000250"), Error: "another unit"},
		},
	},
	{
		Name: "excel_date", Args: "1904", Doc: "reads a date from the day number of a spreadsheet; the fraction is the time of day", New: newExcelDate,
		Examples: []Example{
			{In: number("45413"), Out: date("2024-05-01")}, {In: text("45413.75"), Out: datetime("2024-05-01T18:00:00")},
			{In: text("59"), Out: date("1900-02-28")}, {In: text("60"), Error: "only spreadsheets know"},
			{Args: One("1904"), In: number("0"), Out: date("1904-01-01")},
			{In: text("1 May"), Error: "day number"},
		},
	},
	{
		Name: "phone", Args: "AE, or {region: AE, check: possible}", New: newPhone,
		Doc: "reads a telephone number and writes it as +971501234567 (E.164); numbers without a country code are the region's",
		Examples: []Example{
			{Args: One("AE"), In: text("050 123 4567"), Out: text("+971501234567")},
			{Args: One("AE"), In: text("+44 20 7946 0958"), Out: text("+442079460958")},
			{Args: One("AE"), In: number("501234567"), Out: text("+971501234567")},
			{Args: One("AE"), In: number("971501234567.0"), Out: text("+971501234567")},
			{Args: One("AE"), In: number("9.71501E+11"), Error: "digits were lost to scientific notation"},
			{Args: One("AE"), In: number("9715012345670000"), Error: "more digits"},
			{Args: One("AE"), In: text("9.71501E+11"), Error: "digits were lost to scientific notation"},
			{Args: One("AE"), In: text("050 123 4567 / 050 765 4321"), Error: "more than one number"},
			{Args: One("AE"), In: text("04 123 4567 ext. 12"), Error: "extension"},
			{Args: One("AE"), In: text("12"), Error: "not a number that exists"},
			{In: text("050 123 4567"), Error: "name the country"},
		},
	},
	{
		Name: "digits", Doc: "keeps the digits only, those of other scripts as 0 to 9", New: plain(onText(digits)),
		Examples: []Example{{In: text("AB-12/3"), Out: text("123")}, {In: text("٠٥٠"), Out: text("050")}, {In: text("9.7E+11"), Error: "digits were lost"}},
	},
	{
		Name: "country", Args: "alpha3, or name", Doc: "turns a country's name or code into its ISO 3166 code", New: newCountry,
		Examples: []Example{
			{In: text("United Arab Emirates"), Out: text("AE")}, {In: text("UAE"), Out: text("AE")}, {In: text("uk"), Out: text("GB")},
			{In: text("U.S.A."), Out: text("US")}, {In: text("Atlantis"), Error: "no country"}, {In: text("RA"), Error: "no country"},
			{Args: One("name"), In: text("DE"), Out: text("Germany")}, {Args: One("alpha3"), In: text("Oman"), Out: text("OMN")},
		},
	},
	{
		Name: "currency", Doc: "turns a currency's name, sign or code into its ISO 4217 code", New: plain(onText(currency)),
		Examples: []Example{
			{In: text("aed"), Out: text("AED")}, {In: text("€"), Out: text("EUR")}, {In: text("US Dollar"), Out: text("USD")},
			{In: text("$"), Error: "several currencies"}, {In: text("XX"), Error: "no currency"},
		},
	},
	{
		Name: "email", Doc: "checks the shape of an e-mail address and writes its domain in small letters", New: plain(onText(email)),
		Examples: []Example{
			{In: text(" Ada@Example.COM "), Out: text("Ada@example.com")}, {In: text("mailto:a@b.co"), Out: text("a@b.co")},
			{In: text("ada"), Error: "not one e-mail address"}, {In: text("a@b.co, c@d.co"), Error: "not one e-mail address"}, {In: text("a@b"), Error: "not a domain"},
		},
	},
	{
		Name: "url", Doc: "checks a web address and adds https:// where the scheme is missing", New: plain(onText(webAddress)),
		Examples: []Example{
			{In: text("Example.com/A?b=C"), Out: text("https://example.com/A?b=C")}, {In: text("HTTP://example.com"), Out: text("http://example.com")},
			{In: text("ftp://example.com"), Error: "not with http"}, {In: text("n/a"), Error: "not a domain"},
		},
	},
	{
		Name: "split", Args: `",", or a list of separators`, Doc: "makes a list; blanks around the items and empty items go", New: newSplit,
		Examples: []Example{
			{Args: One(","), In: text("Marina, JLT,, "), Out: list("Marina", "JLT")}, {Args: Many(",", "/"), In: text("a/b,c"), Out: list("a", "b", "c")},
			{Args: One(","), In: text(""), Out: text("")},
		},
	},
	{
		Name: "pairs", Args: "lenient", New: newPairs,
		Doc: "reads names and values, as JSON or with single quotes; lenient lets apostrophes stand inside texts",
		Examples: []Example{
			{In: text("{'size': 'M', 'price': 5}"), Out: record.Of(record.JSON, `{"size":"M","price":5}`)},
			{In: text(`{"a":"b"}`), Out: record.Of(record.JSON, `{"a":"b"}`)}, {In: text(""), Out: text("")},
			{In: text("{'name':'O'Brien'}"), Error: "character 12"},
			{Args: One("lenient"), In: text("{'name':'O'Brien'}"), Out: record.Of(record.JSON, `{"name":"O'Brien"}`)},
		},
	},
	{
		Name: "join", Args: `", "`, Doc: "makes one text of a list", New: newJoin,
		Examples: []Example{{Args: One(", "), In: list("a", "b"), Out: text("a, b")}, {Args: One(", "), In: text("a"), Out: text("a")}},
	},
	{
		Name: "replace", Args: "[old, new], or {old: new, …}", Doc: "replaces one text by another, everywhere, in the order given", New: newReplace,
		Examples: []Example{
			{Args: Many("-", "/"), In: text("a-b-c"), Out: text("a/b/c")},
			{Args: none.With("St.", One("Street")).With("&", One("and")), In: text("Main St. & Co"), Out: text("Main Street and Co")},
		},
	},
	{
		Name: "extract", Args: `'\d+', or {pattern, otherwise: reject, keep or empty}`, New: newExtract,
		Doc: "keeps the part that matches a regular expression (its first group, if it has one); no match refuses the cell",
		Examples: []Example{
			{Args: One(`#(\d+)`), In: text("Unit #204, Marina"), Out: text("204")}, {Args: One(`\d+`), In: text("none"), Error: "no part that matches"},
			{Args: none.With("pattern", One(`\d+`)).With("otherwise", One("empty")), In: text("none"), Out: text("")},
		},
	},
	{
		Name: "regex", Args: `['\s*\(.*\)$', '']`, Doc: "replaces what matches a regular expression; $1 stands for its first group", New: newRegex,
		Examples: []Example{{Args: Many(`(\w+), (\w+)`, "$2 $1"), In: text("Lovelace, Ada"), Out: text("Ada Lovelace")}},
	},
	{
		Name: "prefix", Args: "ID-", Doc: "puts a text before a value", New: newAffix(func(s, a string) string { return a + s }),
		Examples: []Example{{Args: One("ID-"), In: number("7"), Out: text("ID-7")}, {Args: One("ID-"), In: text(""), Out: text("")}},
	},
	{
		Name: "suffix", Args: "' m²'", Doc: "puts a text after a value", New: newAffix(func(s, a string) string { return s + a }),
		Examples: []Example{{Args: One(" m²"), In: text("80"), Out: text("80 m²")}},
	},
	{
		Name: "truncate", Args: "255", Doc: "cuts a text after so many characters", New: newTruncate,
		Examples: []Example{{Args: One("4"), In: text("größer"), Out: text("größ")}, {Args: One("4"), In: text("abc"), Out: text("abc")}},
	},
	{
		Name: "pad", Args: `5, or {width: 5, with: "0", side: left}`, Doc: "fills a text up to a width, on the left with zeros unless told otherwise", New: newPad,
		Examples: []Example{
			{Args: One("5"), In: number("501"), Out: text("00501")},
			{Args: none.With("width", One("3")).With("with", One(".")).With("side", One("right")), In: text("a"), Out: text("a..")},
		},
	},
	{
		Name: "if_empty", Args: "unknown", Doc: "gives an empty cell a value, so that later steps see it", New: newIfEmpty,
		Examples: []Example{{Args: One("n/a"), In: text(" "), Out: text("n/a")}, {Args: One("n/a"), In: text("x"), Out: text("x")}},
	},
}
