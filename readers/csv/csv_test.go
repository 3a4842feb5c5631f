package csv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
	"unsafe"
	"weak"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// a case of reading: the rows, per row its problem ("" if it is good), the line it begins on, and the fault at the end.
type readCase struct {
	name  string
	in    string
	o     Options
	cols  string // the header, joined by |
	rows  []string
	bad   map[int]string // row → part of its problem
	lines []int64
	err   string // part of the fault
}

func cases() []readCase {
	return []readCase{
		{name: "lf", in: "a,b\n1,2\n3,4\n", cols: "a|b", rows: []string{"1|2", "3|4"}, lines: []int64{2, 3}},
		{name: "crlf", in: "a,b\r\n1,2\r\n3,4", cols: "a|b", rows: []string{"1|2", "3|4"}, lines: []int64{2, 3}},
		{name: "cr", in: "a,b\r1,2\r3,4\r", cols: "a|b", rows: []string{"1|2", "3|4"}, lines: []int64{2, 3}},
		{name: "mixed ends", in: "a,b\r\n1,2\n3,4\r5,6\n", cols: "a|b", rows: []string{"1|2", "3|4", "5|6"}, lines: []int64{2, 3, 4}},
		{name: "header only", in: "a,b\n", cols: "a|b"},
		{name: "header only, no line end", in: "a,b", cols: "a|b"},
		{name: "mark", in: "\ufeffa,b\n1,2\n", cols: "a|b", rows: []string{"1|2"}},
		{name: "mark before a quote", in: "\ufeff\"a\",b\n1,2\n", cols: "a|b", rows: []string{"1|2"}},
		{name: "header blanks go, cell blanks stay", in: " a ,b\t\n 1 ,2\n", cols: "a|b", rows: []string{" 1 |2"}},
		{name: "blank lines", in: "\n\na,b\n\n\r\n1,2\n\n", cols: "a|b", rows: []string{"1|2"}, lines: []int64{6}},
		{name: "a line of blanks is a row", in: "a,b\n  \n", cols: "a|b", rows: []string{"  "}, bad: map[int]string{0: "the row has 1 cell, the header 2"}},
		{name: "quotes", in: "a,b\n\"x,\"\"y\"\"\",\"1\n2\"\nz,w\n", cols: "a|b", rows: []string{"x,\"y\"|1\n2", "z|w"}, lines: []int64{2, 4}},
		{name: "line ends in quotes stay", in: "a,b\n\"x\r\ny\",\"p\rq\"\nz,w\n", cols: "a|b", rows: []string{"x\r\ny|p\rq", "z|w"}, lines: []int64{2, 5}},
		{name: "quote inside an unquoted cell", in: "a,b\n5\" pipe,2\n", cols: "a|b", rows: []string{"5\" pipe|2"}},
		{name: "nul", in: "a,b\n\x00,2\n", cols: "a|b", rows: []string{"\x00|2"}},
		{name: "empty cells", in: "a,b,c\n,,\n\"\",,\n", cols: "a|b|c", rows: []string{"||", "||"}},
		{name: "one column with an empty cell", in: "a\n\"\"\nx\n", cols: "a", rows: []string{"", "x"}},
		{name: "ragged", in: "a,b,c\n1,2\n1,2,3,4\n1,2,3\n", cols: "a|b|c", rows: []string{"1|2", "1|2|3|4", "1|2|3"},
			bad: map[int]string{0: "the row has 2 cells, the header 3", 1: "the row has 4 cells, the header 3"}},
		{name: "text after a closing quote", in: "a,b\n\"x\"y,2\n\"3\",4\n", cols: "a|b", rows: []string{"\"x\"y|2", "3|4"},
			bad: map[int]string{0: `column "a": line 2, cell 1: text follows the closing quote`}},
		{name: "unescaped quotes that end on the line", in: "a,b\n\"the \"best\" one\",2\n3,4\n", cols: "a|b", rows: []string{"\"the \"best\" one\"|2", "3|4"},
			bad: map[int]string{0: "closing quote"}},
		{name: "unescaped quotes that go on", in: "a,b\n1,2\n\"he said \"no\nway\" to it\",2\n3,4\n", cols: "a|b", rows: []string{"1|2"}, err: "line 3: text follows a closing quote"},
		{name: "unclosed", in: "a,b\n1,2\n3,\"4\n5,6\n7,8\n", cols: "a|b", rows: []string{"1|2"}, err: "line 3: a quote opens here and never closes"},
		{name: "unclosed, on the second line of its row", in: "a,b\n1,2\n\"3\n3\",\"4\n5,6\n", cols: "a|b", rows: []string{"1|2"}, err: "line 4: a quote opens here and never closes"},
		{name: "not UTF-8, in the header", in: "na\xefve,b\n", cols: "naïve|b"},
		{name: "no encoding for sure", in: "a,b\n\xe6\xe0,1\n", err: "line 2: byte 5 (0xE6) is not UTF-8, and which encoding it is can't be told for sure: "},
		{name: "windows-1252", in: "a,b\nCaf\xe9,\x80\n", o: Options{Encoding: "windows-1252"}, cols: "a|b", rows: []string{"Café|€"}},
		{name: "latin1 by its other name", in: "a,b\nCaf\xe9,x\n", o: Options{Encoding: "latin1"}, cols: "a|b", rows: []string{"Café|x"}},
		{name: "cp850", in: "a,b\nCaf\x82,x\n", o: Options{Encoding: "cp850"}, cols: "a|b", rows: []string{"Café|x"}},
		{name: "bytes that the encoding has not", in: "a,b\n1,2\nx\xffy,2\n", o: Options{Encoding: "shift_jis"}, cols: "a|b", rows: []string{"1|2"}, err: "line 3: bytes that are not shift_jis"},
		{name: "semicolon", in: "a;b\n1,5;2\n", cols: "a|b", rows: []string{"1,5|2"}},
		{name: "tab", in: "a\tb\n1,5\t2\n", cols: "a|b", rows: []string{"1,5|2"}},
		{name: "pipe", in: "a|b\n1,5|2\n", cols: "a|b", rows: []string{"1,5|2"}},
		{name: "one column", in: "name\nAda\nBob\n", cols: "name", rows: []string{"Ada", "Bob"}},
		{name: "told", in: "a:b\n1:2\n", o: Options{Delimiter: ":"}, cols: "a|b", rows: []string{"1|2"}},
		{name: "told tab", in: "a\tb\n1\t2\n", o: Options{Delimiter: `\t`}, cols: "a|b", rows: []string{"1|2"}},
		{name: "a wide delimiter", in: "a€b\n1€\"2€\"\n", o: Options{Delimiter: "€"}, cols: "a|b", rows: []string{"1|2€"}},
		{name: "sep line", in: "sep=|\r\na|b\r\n1,2|3\r\n", cols: "a|b", rows: []string{"1,2|3"}, lines: []int64{3}},
		{name: "sep line and told", in: "sep=;\na,b\n1,2\n", o: Options{Delimiter: ","}, cols: "a|b", rows: []string{"1|2"}},
		{name: "unclear", in: "a,b;c\n", err: `the delimiter can't be told for sure: "," gives 2 columns in all 1 lines; ";" gives 2 columns in all 1 lines; pass --delimiter`},
		{name: "a title above", in: "Leads of 2026\n\na,b\n1,2\n3,4\n5,6\n7,8\n", cols: "a|b", rows: []string{"1|2", "3|4", "5|6", "7|8"}, lines: []int64{4, 5, 6, 7}},
		{name: "titles filled up with delimiters", in: "Leads;;;\n;;;\nid;name;city;zip\n1;Ada;Rome;00100\n2;Bob;Pisa;00200\n", cols: "id|name|city|zip", rows: []string{"1|Ada|Rome|00100", "2|Bob|Pisa|00200"}, lines: []int64{4, 5}},
		{name: "titles above data", in: "Leads\n1,Ada,Rome\n2,Bob,Pisa\n3,Cy,Bari\n", err: "pass --header-row with its line, or --header-row none"},
		{name: "a short header", in: "id,name\n1,Ada,Rome\n2,Bob,Pisa\n3,Cy,Bari\n", cols: "id|name", rows: []string{"1|Ada|Rome", "2|Bob|Pisa", "3|Cy|Bari"}, bad: map[int]string{0: "3 cells", 1: "3 cells", 2: "3 cells"}},
		{name: "decimal commas, no header", in: "1,5;2,5;x\n2,5;3,5;y\n4,5;5,5;z\n", o: Options{HeaderRow: "none"}, cols: "column_1|column_2|column_3", rows: []string{"1,5|2,5|x", "2,5|3,5|y", "4,5|5,5|z"}},
		{name: "backslashes before quotes", in: "a,b\n1,\"x \\\"y\\\" z\"\n2,\"w\"\n", cols: "a|b", rows: []string{"1|x \"y\" z", "2|w"}},
		{name: "single quotes", in: "a,b\n1,'x, y'\n2,'it''s'\n", cols: "a|b", rows: []string{"1|x, y", "2|it's"}},
		{name: "apostrophes are no quotes", in: "a,b\n1,'tis\n2,o'clock'\n3,rock 'n' roll\n", cols: "a|b", rows: []string{"1|'tis", "2|o'clock'", "3|rock 'n' roll"}},
		{name: "blanks before quotes", in: "a, b, c\n1, \"x, y\", 2\n3, \"z\", 4\n", cols: "a|b|c", rows: []string{"1|x, y|2", "3|z|4"}},
		{name: "delimiters twice", in: "a||b||c\n1||2||3\n4||||6\n", cols: "a|b|c", rows: []string{"1|2|3", "4||6"}},
		{name: "empty columns", in: "a||b\n1|x|3\n4||6\n", o: Options{Loose: true}, cols: "a||b", rows: []string{"1|x|3", "4||6"}},
		{name: "a told header that is blank", in: "\na,b\n1,2\n", o: Options{HeaderRow: "1"}, cols: "a|b", rows: []string{"1|2"}, lines: []int64{3}},
		{name: "a told header without text behind", in: "a,b\n\n\n", o: Options{HeaderRow: "2"}, err: "line 2, where the header is said to be, has no text, nor has any line below it"},
		{name: "names in one column", in: "name\nDoe, John\nRoe, Jane\nPoe, Ed\nLowe, Al\n", err: "the first line with text is one cell, and \",\" gives 2 columns in 80% of 5 lines; if that line is a title, pass --header-row"},
		{name: "names in one column, told", in: "name\nDoe, John\nRoe, Jane\n", o: Options{Delimiter: "tab"}, cols: "name", rows: []string{"Doe, John", "Roe, Jane"}},
		{name: "two quoted cells prove nothing", in: "a,b\n1,'x'\n2,'y'\n", cols: "a|b", rows: []string{"1|'x'", "2|'y'"}},
		{name: "colons", in: "a:b:c\n1:2:3\n4:5:6\n", cols: "a|b|c", rows: []string{"1|2|3", "4|5|6"}},
		{name: "words are one column", in: "full name\nAda Lovelace\nBob Dylan\nCy Twombly\n", cols: "full name", rows: []string{"Ada Lovelace", "Bob Dylan", "Cy Twombly"}},
		{name: "hash lines", in: "# made by x\na,b\n1,2\n# half\n3,4\n", cols: "a|b", rows: []string{"1|2", "3|4"}},
		{name: "hash lines that fit are rows", in: "a,b\n#1,2\n3,4\n# half\n", cols: "a|b", rows: []string{"#1|2", "3|4", "# half"}, bad: map[int]string{2: "1 cell"}},
		{name: "no comments, as told", in: "a,b\n1,2\n# half\n", o: Options{Comment: "none"}, cols: "a|b", rows: []string{"1|2", "# half"}, bad: map[int]string{1: "1 cell"}},
		{name: "header row", in: "Report, for you\n\na,b\n1,2\n", o: Options{HeaderRow: "3"}, cols: "a|b", rows: []string{"1|2"}, lines: []int64{4}},
		{name: "header row beyond the end", in: "a,b\n1,2\n", o: Options{HeaderRow: "9"}, err: "the header row is said to be line 9, and the file ends before it"},
		{name: "no header", in: "1,2\n3,4\n", o: Options{HeaderRow: "none"}, cols: "column_1|column_2", rows: []string{"1|2", "3|4"}, lines: []int64{1, 2}},
		{name: "header row is no number", in: "a,b\n", o: Options{HeaderRow: "x"}, err: "the header row is a line number from 1, or none"},
		{name: "repeated names", in: "a,b,a\n", err: `line 1, the header: columns A and C are both named "a"`},
		{name: "an empty name", in: "a,,c\n", err: "line 1, the header: column B has no name"},
		{name: "loose", in: "a, ,a\n1,2,3\n", o: Options{Loose: true}, cols: "a| |a", rows: []string{"1|2|3"}},
		{name: "empty", in: "", err: "the file is empty"},
		{name: "nothing but a mark", in: "\ufeff", err: "the file is empty"},
		{name: "nothing but blank lines", in: "\n\n\n", err: "no line with text"},
		{name: "unclosed header", in: "a,\"b\n1,2\n", o: Options{Delimiter: ","}, err: "line 1: a quote opens here and never closes"},
		{name: "unknown encoding", in: "a\n", o: Options{Encoding: "klingon"}, err: `there is no encoding "klingon"`},
		{name: "impossible delimiter", in: "a\n", o: Options{Delimiter: "\n"}, err: "can't separate cells"},
		{name: "backslash", in: "a,b\n\"x \\\"y\\\"\",2\n", o: Options{Escape: `\`}, cols: "a|b", rows: []string{"x \"y\"|2"}},
		{name: "comments", in: "# c\na,b\n# \"d\n1,2\n", o: Options{Comment: "#"}, cols: "a|b", rows: []string{"1|2"}, lines: []int64{4}},
		{name: "other quote", in: "a,b\n'x,''y',2\n", o: Options{Quote: "'"}, cols: "a|b", rows: []string{"x,'y|2"}},
		{name: "no quote", in: "a,b\n\"x,2\n", o: Options{Quote: "none"}, cols: "a|b", rows: []string{"\"x|2"}},
	}
}

func TestRead(t *testing.T) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) { c.run(t, strings.NewReader(c.in)) })
		t.Run(c.name+", a byte at a time", func(t *testing.T) { c.run(t, iotest.OneByteReader(strings.NewReader(c.in))) })
	}
}

func (c *readCase) run(t *testing.T, in io.Reader) {
	t.Helper()
	var got table
	if r, err := New(in, c.o); err != nil {
		got.err = err
	} else {
		got = drain(r)
	}
	if c.err == "" && got.err != nil || c.err != "" && (got.err == nil || !strings.Contains(got.err.Error(), c.err)) {
		t.Fatalf("error %v, want %q", got.err, c.err)
	}
	if s := strings.Join(got.header, "|"); s != c.cols {
		t.Errorf("columns %q, want %q", s, c.cols)
	}
	var rows []string
	for i, r := range got.rows {
		rows = append(rows, strings.Join(r, "|"))
		if want := c.bad[i]; want == "" && got.bad[i] != "" || !strings.Contains(got.bad[i], want) {
			t.Errorf("row %d: problem %q, want %q", i, got.bad[i], want)
		}
	}
	if diff := cmp.Diff(c.rows, rows); diff != "" {
		t.Errorf("rows: %s", diff)
	}
	if c.lines != nil {
		if diff := cmp.Diff(c.lines, got.lines); diff != "" {
			t.Errorf("lines: %s", diff)
		}
	}
}

// wide encodes text as UTF-16 or UTF-32.
func wide(s string, units int, big, mark bool) string {
	var b []byte
	put := func(c uint32) {
		for k := range units {
			shift := 8 * k
			if big {
				shift = 8 * (units - 1 - k)
			}
			b = append(b, byte(c>>shift))
		}
	}
	if mark {
		put(0xfeff)
	}
	if units == 4 {
		for _, r := range s {
			put(uint32(r))
		}
		return string(b)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		put(uint32(u))
	}
	return string(b)
}

func TestWideEncodings(t *testing.T) {
	const in = "name,city\nZoë,東京\n🦆,x\n"
	for _, units := range []int{2, 4} {
		for _, big := range []bool{false, true} {
			for _, mark := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d bytes, big %v, mark %v", units, big, mark), func(t *testing.T) {
					text := wide(in, units, big, mark)
					c := readCase{cols: "name|city", rows: []string{"Zoë|東京", "🦆|x"}}
					c.run(t, iotest.OneByteReader(strings.NewReader(text)))
					for cut := 1; cut < units; cut++ {
						got := read(t, text[:len(text)-cut], Options{})
						if got.err == nil || !strings.Contains(got.err.Error(), "cut off") {
							t.Errorf("cut by %d: error %v", cut, got.err)
						}
					}
				})
			}
		}
	}
	t.Run("half a pair", func(t *testing.T) {
		text := wide("a,b\n1,2\n", 2, false, true) + "\x00\xd8x\x00,\x00y\x00\n\x00"
		if got := read(t, text, Options{}); got.err == nil || !strings.Contains(got.err.Error(), "half a character") {
			t.Errorf("error %v", got.err)
		}
	})
}

// TestLateFaults finds faults that stand far behind what Open looks at, and gets all rows before them.
func TestLateFaults(t *testing.T) {
	const rows = 30_000
	var good strings.Builder
	for i := range rows {
		fmt.Fprintf(&good, "%d,row number %d,\"quoted, too\"\n", i, i)
	}
	head := "id,name,note\n"
	for _, c := range []struct {
		name, tail, err string
		bad             int // rows after the good ones
	}{
		{"not UTF-8", "x,Caf\xe9,z\n1,2,3\n", fmt.Sprintf("line %d: byte %d (0xE9) is not UTF-8; as windows-1252 the text there reads \"x,Café,z\"", rows+2, len(head)+good.Len()+6), 0},
		{"cut within a character", "x,y,Caf\xc3", "is not UTF-8", 0},
		{"unclosed", "x,\"y,z\n1,2,3\n", fmt.Sprintf("line %d: a quote opens here", rows+2), 0},
		{"unclosed and long", "x,\"y,z\n" + strings.Repeat("1,2,3 and much more text\n", maxRecord/10), fmt.Sprintf("line %d: the row that begins here is longer than 16 MiB", rows+2), 0},
		{"damage", "x,\"y\"y,z\n1,2,3\n", "", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := read(t, head+good.String()+c.tail, Options{})
			if c.err == "" && got.err != nil || c.err != "" && (got.err == nil || !strings.Contains(got.err.Error(), c.err)) {
				t.Errorf("error %v, want %s", got.err, c.err)
			}
			if len(got.rows) != rows+c.bad {
				t.Errorf("%d rows, want %d", len(got.rows), rows+c.bad)
			}
		})
	}
}

// TestReadError passes on an error of the file below, after the whole rows before it.
func TestReadError(t *testing.T) {
	broken := errors.New("the disk is gone")
	in := "a,b\n" + strings.Repeat("1,2\n", 200_000)
	for _, cut := range []int{len(in) - 2, len(in) - 4, len(in) - 1} {
		r, err := New(io.MultiReader(strings.NewReader(in[:cut]), iotest.ErrReader(broken)), Options{Name: "x.csv"})
		if err != nil {
			t.Fatal(err)
		}
		got := drain(r)
		if !errors.Is(got.err, broken) || !strings.HasPrefix(got.err.Error(), "x.csv: ") {
			t.Errorf("error %v", got.err)
		}
		if len(got.rows) != 199_999 {
			t.Errorf("%d rows, want 199999", len(got.rows))
		}
	}
}

// TestCharmaps reads every byte of a single-byte encoding as that encoding does.
func TestCharmaps(t *testing.T) {
	for name, m := range map[string]*charmap.Charmap{"windows-1256": charmap.Windows1256, "iso-8859-15": charmap.ISO8859_15, "koi8-r": charmap.KOI8R} {
		var in, want []byte
		for b := 0x80; b < 0x100; b++ {
			if r := m.DecodeByte(byte(b)); r != '\ufffd' {
				in = append(in, byte(b))
				want = append(want, string(r)...)
			}
		}
		got := read(t, "a,b\n"+string(in)+",x\n", Options{Encoding: name})
		if got.err != nil || len(got.rows) != 1 || got.rows[0][0] != string(want) {
			t.Errorf("%s: %q, error %v", name, got.rows, got.err)
		}
	}
}

func TestEvidence(t *testing.T) {
	r, err := New(strings.NewReader("\ufeffx\r\n\r\na;b\r\n1;2\r\n"), Options{HeaderRow: "3"})
	if err != nil {
		t.Fatal(err)
	}
	want := Evidence{Encoding: "utf-8", Delimiter: ";", Quote: `"`, LineEnds: "crlf", HeaderRow: 3, Notes: []string{
		"encoding utf-8: the file begins with its byte order mark",
		`delimiter ";" gives 2 columns in all 2 lines`,
	}}
	if diff := cmp.Diff(want, r.Evidence()); diff != "" {
		t.Error(diff)
	}
}

// TestText has rows that can be copied into a file with commas and quotes as they stand, and such that can't.
func TestText(t *testing.T) {
	for in, want := range map[string][]string{
		"a,b\n1,2\r\n\"x, y\",\"z\"\"\r\nz\"\n\n,\n3,4":                       {"1,2", "\"x, y\",\"z\"\"\r\nz\"", ",", "3,4"},
		"a,b\n1,2 \" tall\n3,4\n\"5\"6,7\n8,9\n":                              {"", "3,4", "", "8,9"},
		"a,b\n\"" + strings.Repeat("long, ", 8000) + "\",2\n3,\"4 \"\" 4\"\n": {"\"" + strings.Repeat("long, ", 8000) + "\",2", "3,\"4 \"\" 4\""},
		"a;b\n1;2\n":                      {""},
		"a,b\n'1','2'\n'3','4, 5'\n":      {"", ""},
		"a,b\n1,\"x \\\"y\\\" z\"\n2,3\n": {"", ""},
		"a,b\n# no row\n1,2\n":            {""},
	} {
		r, err := New(strings.NewReader(in), Options{})
		if err != nil {
			t.Errorf("%.40q: %v", in, err)
			continue
		}
		var got []string
		for {
			var c pipeline.Chunk
			var b record.Batch
			if err := r.Next(context.Background(), &c); err != nil {
				break
			}
			if err := r.Decode(&c, &b); err != nil {
				t.Error(err)
			}
			for _, row := range b.Rows {
				got = append(got, row.Text)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.40q: %s", in, diff)
		}
	}
}

// TestTextsAreLetGo decodes chunk after chunk into one batch, each with fewer cells than the one before: the texts of those
// before are not kept.
func TestTextsAreLetGo(t *testing.T) {
	for _, o := range []Options{{Delimiter: ","}, {Delimiter: ",", Comment: "#"}} {
		letGo(t, o)
	}
}

func letGo(t *testing.T, o Options) {
	r, err := New(strings.NewReader("a,b,c\n1,2,3\n"), o)
	if err != nil {
		t.Fatal(err)
	}
	var b record.Batch
	var texts []weak.Pointer[byte]
	for n := 40; n > 0; n-- {
		b.Reset()
		c := pipeline.Chunk{Data: []byte(strings.Repeat("first,\"second, with, a, few, commas\",third\n", 10+n))}
		if err := r.Decode(&c, &b); err != nil {
			t.Fatal(err)
		}
		if len(b.Rows) != 10+n {
			t.Fatalf("%d rows, want %d", len(b.Rows), 10+n)
		}
		texts = append(texts, weak.Make(unsafe.StringData(b.Rows[0].Values[0].Text())))
	}
	runtime.GC()
	alive := 0
	for _, p := range texts {
		if p.Value() != nil {
			alive++
		}
	}
	if runtime.KeepAlive(&b); alive != 1 {
		t.Errorf("the texts of %d chunks are in memory, want that of the last one", alive)
	}
}
