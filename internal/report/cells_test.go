package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/record"
)

// plainCell is a cell as it must stand in a line, found the plain way.
func plainCell(s string) string {
	quotes := strings.ContainsAny(s, ",\"\r\n")
	if s != "" {
		last := s[len(s)-1]
		quotes = quotes || s[0] == ' ' || s[0] == '\t' || s[0] == '#' || last == ' ' || last == '\t' || strings.HasPrefix(s, "\ufeff")
	}
	if !quotes {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// checkCell holds the quick way of a cell against the plain one, with room bytes free behind what is there already.
func checkCell(t *testing.T, s string, room int) {
	t.Helper()
	const before = "before,"
	dst := append(make([]byte, 0, len(before)+room), before...)
	got := appendCell(dst, s)
	if want := before + plainCell(s) + ","; string(got) != want {
		t.Fatalf("%q with room for %d: %q, want %q", s, room, got, want)
	}
}

// TestCellBytes has every byte at every place of cells of every length up to some words, among bytes of several kinds.
func TestCellBytes(t *testing.T) {
	for _, fill := range []byte{'a', '+', '~', 0x1f, 0x80, 0xff} {
		for n := range 41 {
			cell := bytes.Repeat([]byte{fill}, n)
			checkCell(t, string(cell), n)
			for at := range n {
				for b := range 256 {
					cell[at] = byte(b)
					checkCell(t, string(cell), (at+b)%(2*n+16))
				}
				cell[at] = fill
			}
		}
	}
}

// TestCellPairs has every two bytes that follow each other, as a carry might go from one to the other.
func TestCellPairs(t *testing.T) {
	cell := []byte("xxxxxxxxxxxx")
	for a := range 256 {
		for b := range 256 {
			cell[3], cell[4] = byte(a), byte(b)
			checkCell(t, string(cell), 64)
			checkCell(t, string(cell[2:6]), 64)
		}
	}
}

// TestCellsThatAreNotThere has a row with fewer cells than columns, and one with cells that are not repeated.
func TestCellsThatAreNotThere(t *testing.T) {
	cells := []record.Value{record.TextOf("first cell"), record.TextOf("b"), {}, record.BoolOf(true), record.TextOf("a \"quoted\" one")}
	for room := range 64 {
		got := string(appendCells(make([]byte, 0, room), cells, []int{0, 2, 3, 4, 5, 6}))
		if want := `first cell,,TRUE,"a ""quoted"" one",,,`; got != want {
			t.Fatalf("room for %d: %q, want %q", room, got, want)
		}
	}
}

// FuzzAppendCell holds the quick way of any cell against the plain one.
func FuzzAppendCell(f *testing.F) {
	for _, s := range []string{"", "a", "12345678", "1234567,", "12345678,", "a\"b", "line\nbreak", "-+-+-+-+", "\r", "Zoë, Müller", "!#!#!#!#!#", "\x0b\x0c\x0b\x0c\x0b\x0c\x0b\x0c", "\ufeffmark", "\uff21 wide", "😀 smile", " blank", "tab\t", "tab\tinside", strings.Repeat("plain ", 9) + "x"} {
		f.Add(s, uint8(len(s)))
	}
	f.Fuzz(func(t *testing.T, s string, room uint8) {
		checkCell(t, s, int(room))
		if got, want := needsQuotes(s), plainCell(s) != s; got != want {
			t.Fatalf("%q: %v, want %v", s, got, want)
		}
	})
}

// TestCopiedLines has rows whose text can be copied, and such that are written cell by cell although they have one: another
// number of cells than the header, and cells that would need quotes where they have none.
func TestCopiedLines(t *testing.T) {
	h, err := record.NewHeader([]string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := record.NewHeader([]string{"a", "_row"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		header *record.Header
		text   string
		cells  []string
		want   string
	}{
		{h, `1,2`, []string{"1", "2"}, `1,2`},
		{h, `"1",`, []string{"1", ""}, `"1",`},
		{h, `"x, y","z ""z"""`, []string{"x, y", `z "z"`}, `"x, y","z ""z"""`},
		{h, "\"x\r\ny\",2", []string{"x\r\ny", "2"}, "\"x\r\ny\",2"},
		{h, ` 1,2`, []string{" 1", "2"}, `" 1",2`},
		{h, `1,2 `, []string{"1", "2 "}, `1,"2 "`},
		{h, `#1,2`, []string{"#1", "2"}, `"#1",2`},
		{h, "\ufeff1,2", []string{"\ufeff1", "2"}, "\"\ufeff1\",2"},
		{h, `1`, []string{"1"}, `1,`},
		{h, `1,2,3`, []string{"1", "2", "3"}, `1,2`},
		{h, "", []string{"1", "2"}, `1,2`},
		{again, `1,2`, []string{"1", "2"}, `1`},
	} {
		row := record.Row{Num: 7, Text: c.text, Fate: record.Accepted, Action: "created", ID: "x"}
		for _, s := range c.cells {
			row.Origin = append(row.Origin, record.TextOf(s))
		}
		if got, want := string(AcceptedLines(c.header).Append(nil, &row)), c.want+",7,created,x\n"; got != want {
			t.Errorf("%q: %q, want %q", c.text, got, want)
		}
	}
}
