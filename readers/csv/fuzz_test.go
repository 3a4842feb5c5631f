package csv

import (
	stdcsv "encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func seeds(f *testing.F) {
	for _, s := range []string{
		"a,b\n1,2\n", "a\r\nb\r\n", "a,\"b\r\nc\"\r\nd,e\r\n", "\"a\"\"b\",c\n", "a\"b,c\n", "a,\"b\"c,d\ne,f,g\n",
		"a,\"b\"c\nd,\"e\"\n", "\"a\n", "\n\n a \n\n", "a,b,\n,,\n", "\"\"\n\"\"\n", "\"\",\"\"", "x,\"y \"z\" w\",v\n1,2,3\n",
		"a,\"b \"c\nd\",e\nf,g,h\n", "a,b\rc,d\r", "a,\"b\" ,c\n\"d\" ,e,f\n", strings.Repeat("long cell,\"quoted \"\" one\"\n", 9),
		"é,ü\n\x00,\x01\n", "a,\"\",\"b\n", "1,\"he said \"no\nwell, ok\" and left\"\n3,4\n",
	} {
		f.Add(s)
	}
}

// FuzzAgainstStandard holds the reader against encoding/csv: wherever that is content, both see the same cells; where
// it finds a fault, so do we, after the same rows.
func FuzzAgainstStandard(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in string) {
		if !utf8.ValidString(in) || strings.Count(in, "\r") != strings.Count(in, "\r\n") || strings.HasPrefix(in, "\ufeff") || strings.HasPrefix(strings.ToLower(strings.TrimPrefix(in, `"`)), "sep=") || looksWide(in) {
			t.Skip("read in another way on purpose")
		}
		got := read(t, in, Options{Delimiter: ",", Quote: `"`, Escape: `"`, Comment: "none", HeaderRow: "none", Loose: true})
		std := stdcsv.NewReader(strings.NewReader(in))
		std.FieldsPerRecord = -1
		for i := 0; ; i++ {
			want, err := std.Read()
			switch {
			case errors.Is(err, io.EOF):
				if got.err != nil && i > 0 || len(got.rows) != i {
					t.Fatalf("%d rows and error %v, want %d rows", len(got.rows), got.err, i)
				}
				return
			case errors.Is(err, stdcsv.ErrBareQuote):
				return // text for us
			case err != nil:
				if got.err == nil && !slices.ContainsFunc(got.bad, func(s string) bool { return strings.Contains(s, "closing quote") }) {
					t.Fatalf("no fault, want %v; rows %q", err, got.rows)
				}
				return
			}
			if i >= len(got.rows) {
				t.Fatalf("%d rows and error %v, want row %q", len(got.rows), got.err, want)
			}
			cells := slices.Clone(got.rows[i])
			for k := range cells {
				cells[k] = strings.ReplaceAll(cells[k], "\r\n", "\n")
			}
			if !slices.Equal(cells, want) {
				t.Fatalf("row %d: %q, want %q", i, cells, want)
			}
		}
	})
}

// looksWide reports whether a text is taken for UTF-16 by its NUL bytes.
func looksWide(in string) bool { return strings.Count(in, "\x00") > 1 }

// rewind makes the reader begin again, with the smallest pieces and a byte a read.
func rewind(r *Reader, in string) {
	r.src, r.buf, r.end, r.fault = iotest.OneByteReader(strings.NewReader(in)), nil, nil, nil
	r.line, r.off, r.scan, r.open, r.piece, r.margin = 1, 0, 0, -1, 1, 1
}

// FuzzPieces holds large chunks against the smallest: where the text is cut must not matter.
func FuzzPieces(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in string) {
		for _, o := range []Options{
			{Delimiter: ",", HeaderRow: "none", Loose: true},
			{Delimiter: ",", Quote: `"`, Escape: `"`, Comment: "none", HeaderRow: "none", Loose: true},
			{Delimiter: "é", HeaderRow: "none", Loose: true},
			{Delimiter: ",", Escape: `\`, Comment: "#", HeaderRow: "none", Loose: true},
			{Delimiter: ", ", HeaderRow: "none", Loose: true},
			{Delimiter: ",", Quote: "none", HeaderRow: "none", Loose: true},
		} {
			if !utf8.ValidString(in) || strings.HasPrefix(in, "\ufeff") || strings.HasPrefix(strings.ToLower(strings.TrimPrefix(in, `"`)), "sep=") || looksWide(in) {
				t.Skip("a rewound reader has no encoding and no first line")
			}
			r, err := New(strings.NewReader(in), o)
			if err != nil {
				return
			}
			large := r.header
			rewind(r, in)
			r.piece, r.margin = pieceSize, lookMargin
			want := drain(r)
			rewind(r, in)
			got := drain(r)
			if large != r.header {
				t.Fatal("the header changed")
			}
			if got.text() != want.text() {
				t.Fatalf("%+v: in small pieces\n%s\nin one\n%s", o, got.text(), want.text())
			}
		}
	})
}

// FuzzBoundary holds the quick way to a boundary against the careful one: of texts that end there, and of such that go on.
func FuzzBoundary(f *testing.F) {
	for _, s := range []string{"a,b\n", "\"a\",\"b\"\r\n", "\"a\n\"\"b\",c\nd\n", "a\"b\n\"c\n\"\n", "\"\"\"\"\n\"a\"b\n", "\r\r\n\n"} {
		f.Add(s, 1, 1)
		f.Add(s, 7, 40)
	}
	f.Fuzz(func(t *testing.T, in string, piece, times int) {
		text := strings.Repeat(in, max(1, times%50))
		for _, end := range []error{nil, io.EOF} {
			for _, quote := range []byte{'"', 0} {
				r := &Reader{d: dialect{delim: ",", quote: quote}, buf: []byte(text), piece: 1 + max(0, piece)%(len(text)+1), end: end, open: -1}
				quick := r.quickBoundary(new(window))
				if n, got := r.boundaryByQuote(); quick > 0 && (got != found || n != quick) {
					t.Fatalf("from %d in %q: %d, and by care %d (%v)", r.piece, text, quick, n, got)
				}
			}
		}
	})
}

// FuzzDecoders holds the fast decoder against the plain one.
func FuzzDecoders(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in string) {
		o := Options{Delimiter: ",", Quote: `"`, Escape: `"`, Comment: "none", HeaderRow: "none", Loose: true}
		fast := read(t, in, o)
		o.Comment = "\x00never\x00" // what makes the dialect unusual
		plain := read(t, in, o)
		if diff := cmp.Diff(plain.text(), fast.text()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzBare holds rows that are only counted against those that are read: the same ones are there, and the same are refused.
func FuzzBare(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in string) {
		for _, o := range []Options{
			{Delimiter: ",", Quote: `"`, Escape: `"`, Comment: "none", HeaderRow: "none", Loose: true, Bare: 1},
			{Delimiter: ",", Escape: `\`, Comment: "#", HeaderRow: "none", Loose: true, Bare: 1},
		} {
			if !utf8.ValidString(in) || strings.HasPrefix(in, "\ufeff") || strings.HasPrefix(strings.ToLower(strings.TrimPrefix(in, `"`)), "sep=") || looksWide(in) {
				t.Skip("a rewound reader has no encoding and no first line")
			}
			r, err := New(strings.NewReader(in), o)
			if err != nil {
				return
			}
			for _, piece := range []int{1, 100, pieceSize} {
				r.bare = o.Bare
				rewind(r, in)
				r.piece = piece
				got := drain(r)
				r.bare = 0
				rewind(r, in)
				r.piece = piece
				want := drain(r)
				for _, rows := range [][][]string{want.rows, got.rows} {
					for i := range rows {
						rows[i] = nil
					}
				}
				if got.text() != want.text() {
					t.Fatalf("%+v, pieces of %d: only counted\n%s\nread\n%s", o, piece, got.text(), want.text())
				}
			}
		}
	})
}

// TestBare reads rows of which only the first and the last are asked for.
func TestBare(t *testing.T) {
	in := "a,b\n1,2\n\"x\ny\",4\n5\n6,7\n8,9\n"
	r, err := New(strings.NewReader(in), Options{Bare: 2})
	if err != nil {
		t.Fatal(err)
	}
	r.piece, r.margin = 1, 1
	want := "line 2 [\"1\" \"2\"] \nline 3 [] \nline 5 [] the row has 1 cell, the header 2\nline 6 [] \nline 7 [\"8\" \"9\"] \nerror <nil>"
	if got := drain(r).text(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// FuzzSniff holds the sniffer to its word: it ends, it says the same twice, what it left above the table ends at a line,
// and a dialect that it found reads the text.
func FuzzSniff(f *testing.F) {
	seeds(f)
	for _, s := range []string{
		"Title\n\na;b;c\n1;2;3\n4;5;6\n", "# x\na,b\n1,2\n", "a:b:c\n1:2:3\n4:5:6\n", "a, b\n1, \"x, y\"\n", "a,b\n1,'x, y'\n2,'z'\n",
		"a,b\n\"x \\\"y\\\"\",2\n", "1,5;2,5\n2,5;3,5\n3,5;4,5\n", "a|b,c\n", "sep=;\na;b\n", "#\n#\n", "t;;\n;;\nid;name;city\n1;2;3\n", "Total\n1,2,3\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, o := range []Options{{}, {Delimiter: ";"}, {HeaderRow: "2"}, {HeaderRow: "none"}, {Quote: "'"}} {
			for _, whole := range []bool{true, false} {
				a, errA := sniff([]byte(in), whole, o)
				b, errB := sniff([]byte(in), whole, o)
				if diff := cmp.Diff(fmt.Sprintf("%+v %v", a, errA), fmt.Sprintf("%+v %v", b, errB)); diff != "" {
					t.Fatalf("%+v: %s", o, diff)
				}
				if errA != nil {
					continue
				}
				if a.delim == "" || len(a.notes) == 0 || len(a.warnings) > len(a.notes) {
					t.Fatalf("%+v: %+v", o, a)
				}
				if a.skip > len(in) || a.skip > 0 && in[a.skip-1] != '\n' && in[a.skip-1] != '\r' && a.skip < len(in) {
					t.Fatalf("%+v: %d bytes of %q left out", o, a.skip, in)
				}
			}
		}
	})
}
