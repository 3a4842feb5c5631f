package record

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// FuzzItems holds the quick way of lists of texts against encoding/json, and the cell of a list against its items.
func FuzzItems(f *testing.F) {
	for _, s := range []string{`[]`, ` [ ] `, `["a"]`, "[\"a\" ,\t\"b,c\"\r\n]\n", `["a;b","c"]`, `[" a"]`, `[""]`, `["[a"]`, `["é","日本"]`, `["a\n\u00e9\"]"]`, `["a",1,null,{"b":[]}]`,
		`["a",]`, `["a"`, `["a"]]`, `["a"]x`, `["a""b"]`, `[,]`, `[`, ``, `null`, "[\"\x01\"]", "[\"\xff\"]", "[\"\x7f\"]", `[["a"]]`, "\u00a0[]", `[1e999]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		v := Of(List, list)
		got, ok := v.Items()
		want, wantOK := jsonItems(list)
		if ok != wantOK || !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Fatalf("%q: %q, %v; want %q, %v", list, got, ok, want, wantOK)
		}
		if ok != (json.Unmarshal([]byte(list), &[]json.RawMessage{}) == nil) { // not any: numbers may be beyond what a float holds
			t.Fatalf("%q: %v, but encoding/json disagrees", list, ok)
		}
		cell := list
		if ok && !slices.ContainsFunc(want, func(s string) bool { return s == "" || s != strings.TrimSpace(s) || strings.Contains(s, ";") }) &&
			(len(want) == 0 || want[0][0] != '[') {
			cell = strings.Join(want, ";")
		}
		if v.Cell() != cell {
			t.Fatalf("%q: the cell is %q, want %q", list, v.Cell(), cell)
		}
	})
}

// TestListAllocations makes cells of lists of texts, which cost no more than the text of the cell.
func TestListAllocations(t *testing.T) {
	for list, allow := range map[string]float64{`[]`: 0, `["Hot"]`: 0, `["Hot", "North, by the sea","Zürich"]`: 1, `["a","b","c","d","e","f","g","h"]`: 1} {
		v := Of(List, list)
		if n := testing.AllocsPerRun(100, func() { _ = v.Cell() }); n > allow {
			t.Errorf("%s: %g allocations, want %g", list, n, allow)
		}
	}
}

// TestIsEmpty holds the quick look at a text's first byte against what Go calls white space, for every character and byte.
func TestIsEmpty(t *testing.T) {
	check := func(s string) {
		t.Helper()
		if got, want := TextOf(s).IsEmpty(), strings.TrimSpace(s) == ""; got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
	for r := range rune(0x110000) {
		check(string(r))
	}
	for c := range 256 {
		check(string([]byte{byte(c)}))
		check(string([]byte{byte(c), ' '}))
		check(string([]byte{' ', byte(c)}))
	}
	for v, want := range map[Value]bool{{}: true, NullOf(): true, TextOf(""): true, TextOf(" \u00a0\u3000"): true, NumberOf("0"): false, Of(Bool, "false"): false} {
		if v.IsEmpty() != want {
			t.Errorf("%v %q: %v", v.Kind(), v.Text(), !want)
		}
	}
}
