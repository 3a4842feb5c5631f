package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestCheckJSON(t *testing.T) {
	wide := func(last string) string {
		var b strings.Builder
		for i := range 200 {
			fmt.Fprintf(&b, `"n%d":%d,`, i, i)
		}
		return "{" + b.String() + last + "}"
	}
	for body, want := range map[string]string{
		`{}`:                              "",
		" \r\n[ 1 , \"a\" ,{ } , [ ] ]\t": "",
		`{"a":{"x":1},"b":{"x":1},"x":[{"x":1},{"x":2}]}`: "",
		wide(`"m":1`):                         "",
		`{"a":"\"}{][,:"}`:                    "",
		``:                                    "JSON",
		`{`:                                   "JSON",
		`{"a":1,}`:                            "JSON",
		`[1,]`:                                "JSON",
		`{"a":1}{"a":1}`:                      "JSON",
		`{"a":1} // x`:                        "JSON",
		`{"a":/* x */1}`:                      "JSON",
		`{'a':1}`:                             "JSON",
		`{a:1}`:                               "JSON",
		`{"a":01}`:                            "JSON",
		`{"a":+1}`:                            "JSON",
		`{"a":.5}`:                            "JSON",
		`{"a":NaN}`:                           "JSON",
		`{"a":True}`:                          "JSON",
		"{\"a\":\"\n\"}":                      "JSON",
		"\ufeff{}":                            "JSON",
		"{\"a\":\"\xff\"}":                    "UTF-8",
		`{"a":1,"a":1}`:                       `"a" is there twice`,
		`{"a":1,"\u0061":1}`:                  `"a" is there twice`,
		`{"x":{"a":1,"b":{},"a":2}}`:          `"a" is there twice`,
		`[1,[{"a":1},{"b":[{"c":0,"c":0}]}]]`: `"c" is there twice`,
		wide(`"n0":1`):                        `"n0" is there twice`,
		wide(`"n150":1`):                      `"n150" is there twice`,
	} {
		err := checkJSON([]byte(body))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", body, err, want)
		}
	}
}

func TestText(t *testing.T) {
	var e event
	e.read([]byte(`{"s":" a b ","u":"z\u00f6\"","n":12,"f":1.50,"t":true,"z":null,"o":{},"l":[],"e":"","b":" ","T":"TRUE","d":"no"}`))
	got := map[string]string{}
	for _, m := range e.members {
		got[m.Name] = text(m.Value)
	}
	want := map[string]string{"s": "a b", "u": `zö"`, "n": "12", "f": "1.50", "t": "true", "z": "", "o": "", "l": "", "e": "", "b": "", "T": "TRUE", "d": "no"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]bool{"t": true, "T": true, "d": false, "n": false, "nothing": false} {
		if e.flag(name) != want {
			t.Errorf("flag %s: %v", name, !want)
		}
	}
	if got := string(oneLine([]byte("{ \"a\" :\r\n [ 1,\n2 ] }"))); got != `{"a":[1,2]}` {
		t.Errorf("one line: %s", got)
	}
	for _, s := range []string{"", "a", `"`, `\`, "a\tb", "<&>", "zö 😀", "\u2028"} {
		var back string
		if err := json.Unmarshal(appendText(nil, s), &back); err != nil || back != s {
			t.Errorf("%q became %q, %v", s, back, err)
		}
	}
}

// FuzzJSON compares the reader with encoding/json: it takes what that takes, if no object has a name twice, and finds the
// same elements and members.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":[{"c":"d"},null]}`, `[{"a":"\u0061\\"},{"a":{}},1.5e3]`, `{"a":1,"\u0061":2}`, " [ ] ", `{"":{"":""}}`, `["]", "}"]`, `{"a\"":"\\\""}`, `-0`, `"x"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		err := checkJSON(body)
		twice, valid := slow(body)
		if (err == nil) != (valid && !twice) {
			t.Fatalf("%q: %v; valid %v, twice %v", body, err, valid, twice)
		}
		if err != nil {
			return
		}
		var array []json.RawMessage
		elements, isArray := splitArray(body)
		if theirs := json.Unmarshal(body, &array) == nil && !bytes.Equal(bytes.TrimSpace(body), []byte("null")); theirs != isArray || len(array) != len(elements) {
			t.Fatalf("%q: %d elements, want %d", body, len(elements), len(array))
		}
		for i := range elements {
			if !bytes.Equal(array[i], elements[i]) {
				t.Fatalf("%q: element %d is %q", body, i, elements[i])
			}
		}
		var object map[string]json.RawMessage
		members, isObject := splitObject(nil, body)
		if theirs := json.Unmarshal(body, &object) == nil && !bytes.Equal(bytes.TrimSpace(body), []byte("null")); theirs != isObject || len(object) != len(members) {
			t.Fatalf("%q: %d members, want %d", body, len(members), len(object))
		}
		for _, m := range members {
			if v, ok := object[m.Name]; !ok || !bytes.Equal(v, m.Value) {
				t.Fatalf("%q: member %q is %q, want %q", body, m.Name, m.Value, v)
			}
			_ = text(m.Value)
		}
		if !json.Valid(oneLine(body)) || bytes.ContainsAny(oneLine(body), "\r\n") {
			t.Fatalf("%q: one line is %q", body, oneLine(body))
		}
	})
}

// slow reads JSON with encoding/json's tokens.
func slow(body []byte) (twice, valid bool) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return false, false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	type level struct {
		names map[string]bool // nil for an array
		value bool            // a name has just been read
	}
	var open []level
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return twice, true
		}
		if err != nil {
			return false, false
		}
		if n := len(open); n > 0 && open[n-1].names != nil && !open[n-1].value {
			if name, ok := token.(string); ok {
				twice = twice || open[n-1].names[name]
				open[n-1].names[name], open[n-1].value = true, true
				continue
			}
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{names: map[string]bool{}})
			continue
		case json.Delim('['):
			open = append(open, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
		if n := len(open); n > 0 {
			open[n-1].value = false
		}
	}
}
