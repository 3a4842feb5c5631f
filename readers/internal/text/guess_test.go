package text

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// TestGuess reads names of countries and languages, as people of many languages write them, in the encodings that they
// use. Of many names the guess must be right; of few it may be left to the user, and is seldom wrong.
func TestGuess(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	right, asked, wrong := 0, 0, 0
	for _, c := range []struct{ langs, encoding string }{
		{"de fr es pt sv fi is", "windows-1252"}, {"de fr es", "macintosh"}, {"de fr pt", "ibm850"},
		{"pl cs sk hu", "windows-1250"}, {"pl cs hu", "iso-8859-2"}, {"tr", "windows-1254"}, {"lt", "windows-1257"},
		{"ru uk bg sr", "windows-1251"}, {"ru", "koi8-r"}, {"ru", "iso-8859-5"}, {"ru", "ibm866"},
		{"el", "windows-1253"}, {"el", "iso-8859-7"}, {"ar fa", "windows-1256"}, {"he", "windows-1255"}, {"th", "windows-874"},
		{"ja", "shift_jis"}, {"ja", "euc-jp"}, {"zh-Hans", "gb18030"}, {"zh-Hant", "big5"}, {"ko", "euc-kr"},
	} {
		for lang := range strings.FieldsSeq(c.langs) {
			names := namesIn(lang)
			for _, n := range []int{4, 60} {
				text, raw := someNames(t, rnd, names, c.encoding, n)
				got, err := Detect(raw, true, "")
				switch {
				case err != nil && !strings.Contains(err.Error(), "pass --encoding"):
					t.Errorf("%s in %s: error %v", lang, c.encoding, err)
				case err != nil:
					asked++
					if n > 10 {
						t.Logf("%s in %s, %d names: asked: %v", lang, c.encoding, n, err)
					}
				case !got.Guessed:
					continue
				case readAll(t, got, raw) == text:
					right++
				default:
					wrong++
					t.Logf("%s in %s, %d names: wrong: %s", lang, c.encoding, n, got.Notes)
					if n > 10 {
						t.Fail()
					}
				}
			}
		}
	}
	t.Logf("right %d, asked %d, wrong %d", right, asked, wrong)
	if wrong*50 > right || asked*4 > right {
		t.Errorf("right %d, asked %d, wrong %d: too many are asked or wrong", right, asked, wrong)
	}
}

func readAll(t *testing.T, e Encoding, raw []byte) string {
	t.Helper()
	b, err := io.ReadAll(e.Reader(bytes.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// someNames makes a file of names that the encoding has.
func someNames(t *testing.T, rnd *rand.Rand, names []string, encoding string, n int) (text string, raw []byte) {
	t.Helper()
	e, err := byName(encoding)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("id,name,number\n")
	for range n {
		name := names[rnd.IntN(len(names))]
		if _, err := e.dec.NewEncoder().String(name); err == nil {
			fmt.Fprintf(&b, "%d,%s,%d\n", rnd.IntN(1000), name, rnd.IntN(100))
		}
	}
	raw, err = e.dec.NewEncoder().Bytes([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), raw
}

// TestGuessFew says what is made of a few bytes.
func TestGuessFew(t *testing.T) {
	for _, c := range []struct{ in, enc, err string }{
		{"name\nJos\xe9 \xc1lvarez\n", "windows-1252", ""},
		{"a,b\n1,\xa9\n", "windows-1252", ""},
		{"a\n\xa3 1,80\n", "windows-1252", ""},
		{"a\nCaf\xe9\n", "windows-1252", ""},
		{"a\nM\xfcller GmbH \x96 M\xfcnchen\n", "windows-1252", ""},
		{"a\n\x93quoted\x94\n", "windows-1252", ""},
		{"a\n\xa3ukasz\nJi\xf8\xed Dvo\xf8\xe1k\n\xa9koda Plze\xf2\n\xaeilina\n", "iso-8859-2", ""},
		{"a\n\xa9 2026 ACME\n", "windows-1252", ""},
		{"a\nx\x81\x8d\x8f\x81y\n", "", "line 2: byte 4 (0x81) is not UTF-8"},
		{"a\nZo\xc3\xab\nJos\xc3\xa9\nM\xc3\xbcller\nk\xc3\xb8n\n\xc3\xa9l\xc3\xa8ve\nCaf\xe9\n", "", "the file mixes encodings"},
		{"a\n\xe6\xe0\n", "", "can't be told for sure"},
		{"a\x00b\xff", "", "no text"},
	} {
		e, err := Detect([]byte(c.in), true, "")
		if c.err == "" && (err != nil || e.Name != c.enc || !e.Guessed) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: %s %q, error %v; want %s, %q", c.in, e.Name, e.Notes, err, c.enc, c.err)
		}
	}
}

// TestScan finds what stands far behind the beginning, in pieces of any size.
func TestScan(t *testing.T) {
	plain := strings.Repeat("1,plain text,3\n", 100_000)
	for _, c := range []struct{ tail, enc, err string }{
		{"", "utf-8", ""},
		{"2,Zo\xc3\xab,x\n", "utf-8", ""},
		{"2,Zo\xc3", "", "line 100001"},
		{"2,Garc\xeda Mu\xf1oz,x\n3,Jos\xe9,y\n", "windows-1252", ""},
		{"2," + strings.Repeat("\xc4\xe3\xba\xc3", 100) + "\n", "gb18030", ""},
	} {
		for _, r := range []io.Reader{strings.NewReader(plain + c.tail), iotest.HalfReader(strings.NewReader(plain + c.tail))} {
			s, err := ScanAll(r)
			if err != nil {
				t.Fatal(err)
			}
			e, err := s.Resolve()
			if e.Name != c.enc || c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%.40q: %s, error %v", c.tail, e.Name, err)
			}
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte("a,b\nCaf\xe9,1\n"))
	f.Add([]byte("\x83\x5c\x83\x60,\xa4\xa4"))
	f.Fuzz(func(t *testing.T, in []byte) {
		a, errA := Detect(in, true, "")
		b, errB := Detect(in, true, "")
		if a.Name != b.Name || fmt.Sprint(errA) != fmt.Sprint(errB) {
			t.Fatalf("%s and %s, %v and %v", a.Name, b.Name, errA, errB)
		}
		if errA == nil && a.Guessed {
			if s, err := io.ReadAll(a.Reader(bytes.NewReader(in))); err != nil || !utf8.Valid(s) {
				t.Fatalf("%s reads %q, error %v", a.Name, s, err)
			}
		}
	})
}

func namesIn(lang string) []string {
	tag := language.MustParse(lang)
	regions, langs := display.Regions(tag), display.Languages(tag)
	var out []string
	for _, r := range []string{"AE", "AL", "AM", "AT", "AU", "BA", "BE", "BG", "BR", "CA", "CH", "CI", "CN", "CZ", "DE", "DK", "DZ", "EE", "EG", "ES", "ET", "FI", "FR", "GB", "GE", "GR", "HK", "HR", "HU", "IE", "IL", "IN", "IQ", "IR", "IS", "IT", "JP", "KE", "KP", "KR", "KW", "LB", "LT", "LV", "MA", "MK", "MX", "NL", "NO", "NZ", "PE", "PL", "PT", "RO", "RS", "RU", "SA", "SE", "SI", "SK", "SY", "TH", "TN", "TR", "TW", "UA", "US", "VN", "ZA"} {
		if n := regions.Name(language.MustParseRegion(r)); n != "" {
			out = append(out, n)
		}
	}
	for _, l := range []string{"ar", "bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "he", "hi", "hr", "hu", "it", "ja", "ko", "lt", "lv", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "th", "tr", "uk", "zh"} {
		if n := langs.Name(language.MustParse(l)); n != "" {
			out = append(out, n)
		}
	}
	return out
}

// TestNames finds encodings by the names that people use.
func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"Windows-1252": "windows-1252", "cp1250": "windows-1250", "windows 1251": "windows-1251", "1256": "", "ISO-8859-1": "windows-1252", "iso-8859-2": "iso-8859-2",
		"ISO_8859-15": "iso-8859-15", "Mac Roman": "macintosh", "macintosh": "macintosh", "Shift-JIS": "shift_jis", "SJIS": "shift_jis", "cp932": "shift_jis",
		"GB18030": "gb18030", "GBK": "gbk", "gb2312": "gbk", "EUC-KR": "euc-kr", "cp949": "euc-kr", "Big5": "big5", "KOI8-R": "koi8-r", "utf-8": "utf-8", "UTF8": "utf-8",
		"UTF-16": "utf-16le", "utf-16be": "utf-16be", "klingon": "", "replacement": "",
	} {
		e, err := byName(name)
		if want == "" && err == nil || want != "" && (err != nil || e.Name != want) {
			t.Errorf("%q: %s, error %v, want %s", name, e.Name, err, want)
		}
	}
}
