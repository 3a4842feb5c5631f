package transforms

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/record"
)

func TestParsePairs(t *testing.T) {
	tests := []struct {
		name, in string
		lenient  bool
		want     string
		bad      string // a part of the error
	}{
		{name: "the document's add", in: `{'description':'some description','price':'567'}`, want: `{"description":"some description","price":"567"}`},
		{name: "json", in: `{ "description" : "some description", "price" : "567" }`, want: `{"description":"some description","price":"567"}`},
		{name: "nothing", in: ` { } `, want: `{}`},
		{name: "order stays", in: `{'b':1,'a':2}`, want: `{"b":1,"a":2}`},
		{name: "kinds", in: `{'n':-12.50,'e':1E+3,'t':true,'f':false,'z':null,'s':'x'}`, want: `{"n":-12.50,"e":1E+3,"t":true,"f":false,"z":null,"s":"x"}`},
		{name: "digits", in: `{"n":12345678901234567890.10}`, want: `{"n":12345678901234567890.10}`},
		{name: "escapes", in: `{'a':'O\'Brien \\ \n \t \u00e9 \ud83d\ude00'}`, want: `{"a":"O'Brien \\ \n \t é 😀"}`},
		{name: "doubled", in: `{'a':'O''Brien','b':'','c':''''}`, want: `{"a":"O'Brien","b":"","c":"'"}`},
		{name: "both quotes", in: `{'a':"O'Brien","b":'say "hi"'}`, want: `{"a":"O'Brien","b":"say \"hi\""}`},
		{name: "line break", in: "{'a':\n'x\ny'}", want: `{"a":"x\ny"}`},
		{name: "braces in a text", in: `{'a':'{x},[y]:z'}`, want: `{"a":"{x},[y]:z"}`},
		{name: "lenient", in: `{'it's':'O'Brien's, he said' , 'b':'don't'}`, lenient: true, want: `{"it's":"O'Brien's, he said","b":"don't"}`},
		{name: "lenient json", in: `{"a":"b"}`, lenient: true, want: `{"a":"b"}`},

		{name: "apostrophe", in: `{'a':'O'Brien'}`, bad: `character 9: 'B' stands where a comma or } should follow`},
		{name: "apostrophe in a name", in: `{'a'b':'c'}`, bad: `character 5: 'b' stands where a colon should follow the name "a"`},
		{name: "comma at the end", in: `{'a':'b',}`, bad: `character 10: '}' stands after a comma`},
		{name: "twice", in: `{'ä':1, 'ä':2}`, bad: `character 9: '\'' stands before the name "ä", which is there twice`},
		{name: "object", in: `{'a':{'b':1}}`, bad: `character 6: '{' stands where the value of "a"`},
		{name: "list", in: `{"a":["b"]}`, bad: `character 6: '[' stands`},
		{name: "no braces", in: `a=b`, bad: `character 1: 'a' stands where { should begin`},
		{name: "empty", in: ` `, bad: `character 2: the cell ends where { should begin`},
		{name: "not closed", in: `{'a':'b'`, bad: `character 9: the cell ends where a comma or }`},
		{name: "text not closed", in: `{'a':'b}`, bad: `character 9: the cell ends before the text that begins at character 6; its closing ' is missing`},
		{name: "no quotes", in: `{a:'b'}`, bad: `character 2: 'a' stands where a name in quotes`},
		{name: "bare value", in: `{'a':b}`, bad: `character 6: 'b' stands where the value of "a"`},
		{name: "bad number", in: `{'a':007}`, bad: `character 6: '0' stands`},
		{name: "no value", in: `{'a':}`, bad: `character 6: '}' stands where the value`},
		{name: "two objects", in: `{'a':1}{}`, bad: `character 8: '{' stands after the closing }`},
		{name: "typographic", in: `{‘a’:1}`, bad: "no quote that programs know"},
		{name: "escape", in: `{'a':'\x'}`, bad: `character 7: '\\' stands before a character`},
		{name: "escape at the end", in: `{'a':'\`, bad: `the cell ends after a backslash`},
		{name: "half a pair", in: `{'a':'\ud83d'}`, bad: `character 7`},
		{name: "short code", in: `{'a':'\u00'}`, bad: `character 7`},
		{name: "control", in: "{\"a\":\"x\ny\"}", bad: `character 8: '\n' stands inside a text in double quotes`},
		{name: "not utf-8", in: "{'a':'\xff'}", bad: "not UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParsePairs(tt.in, tt.lenient)
			if tt.bad != "" {
				if err == nil || !strings.Contains(err.Error(), tt.bad) {
					t.Errorf("%q and error %v, want one with %q", got, err, tt.bad)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("%s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestParsePairsMany(t *testing.T) {
	var b strings.Builder
	b.WriteString("{")
	for i := range 200 {
		b.WriteString("'" + strings.Repeat("x", i) + "':1,")
	}
	if _, err := ParsePairs(b.String()+"'y':2}", false); err != nil {
		t.Error(err)
	}
	if _, err := ParsePairs(b.String()+"'xxx':2}", false); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("error = %v", err)
	}
}

func TestPairsOf(t *testing.T) {
	for _, tt := range []struct {
		in, want record.Value
		bad      string
	}{
		{in: record.Value{}, want: record.Value{}},
		{in: record.NullOf(), want: record.NullOf()},
		{in: record.TextOf(" "), want: record.TextOf(" ")},
		{in: record.TextOf("{'a':'b'}"), want: record.Of(record.JSON, `{"a":"b"}`)},
		{in: record.Of(record.JSON, `{"a": 1.0}`), want: record.Of(record.JSON, `{"a":1.0}`)},
		{in: record.Of(record.JSON, `{"a": {}}`), bad: "can't nest"},
		{in: record.ListOf([]string{"a"}), bad: "is a list"},
		{in: record.NumberOf("1"), bad: "is a number"},
		{in: record.Of(record.Fault, "#N/A"), bad: "#N/A"},
	} {
		got, err := PairsOf(tt.in)
		if tt.bad != "" {
			if err == nil || !strings.Contains(err.Error(), tt.bad) {
				t.Errorf("%v: error = %v, want %q", tt.in, err, tt.bad)
			}
		} else if err != nil || got != tt.want {
			t.Errorf("%v: %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
}

// FuzzParsePairs: what passes is a JSON object of plain values; a JSON object of plain values passes and means the same;
// what strict reading takes, lenient reading takes for the same.
func FuzzParsePairs(f *testing.F) {
	for _, s := range []string{`{'a':'b'}`, `{"a":1.50,"b":null}`, `{'a':'O''B'}`, `{'a':'O'B'}`, `{"a":{"b":1}}`, `{'a':'\u00e9',}`, `{"a":1,"a":2}`, `{'':''}`, "{'a':'\n'}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, lenient := range []bool{false, true} {
			got, err := ParsePairs(s, lenient)
			if err != nil {
				continue
			}
			names, values, ok := members(got)
			if !ok {
				t.Fatalf("%q gives %q, which is no JSON object of plain values, each name once", s, got)
			}
			again, err := ParsePairs(got, lenient)
			if err != nil || again != got {
				t.Errorf("%q gives %q, and that gives %q, %v", s, got, again, err)
			}
			if n, v, plain := members(s); plain && (!cmp.Equal(n, names) || !cmp.Equal(v, values)) {
				t.Errorf("%q gives %q", s, got)
			}
		}
		strict, err := ParsePairs(s, false)
		if _, _, plain := members(s); plain && err != nil && !strings.Contains(strings.ToLower(s), `\ud`) {
			t.Errorf("%q is a JSON object of plain values, and is refused: %v", s, err)
		}
		// A quote that lenient reading passes over is one that strict reading does not take.
		if loose, bad := ParsePairs(s, true); err == nil && (bad != nil || loose != strict) {
			t.Errorf("%q gives %q if strict and %q, %v if lenient", s, strict, loose, bad)
		}
	})
}

// members reads a JSON object of plain values, each name once.
func members(s string) (names []string, values []any, ok bool) {
	if !json.Valid([]byte(s)) || !bytes.Equal([]byte(s), []byte(strings.ToValidUTF8(s, "?"))) {
		return nil, nil, false
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, nil, false
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil || seen[name.(string)] {
			return nil, nil, false
		}
		seen[name.(string)] = true
		value, err := d.Token()
		if _, nested := value.(json.Delim); err != nil || nested {
			return nil, nil, false
		}
		names, values = append(names, name.(string)), append(values, value)
	}
	return names, values, true
}
