package jsonl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/sourcetest"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// drain reads a text: the columns, per row its cells as kind:text or !problem, and the fault.
func drain(in io.Reader, o Options) (columns []string, rows [][]string, lines []int64, fault error) {
	r, err := New(in, o)
	if err != nil {
		return nil, nil, nil, err
	}
	columns = r.Header().Names()
	for {
		var c pipeline.Chunk
		err := r.Next(context.Background(), &c)
		if errors.Is(err, io.EOF) {
			return columns, rows, lines, nil
		}
		var b record.Batch
		if err == nil {
			err = r.Decode(&c, &b)
		}
		for i := range b.Rows {
			lines = append(lines, b.Rows[i].Line)
			if b.Rows[i].Fate == record.Rejected {
				p := record.ProblemsOf(b.Rows[i].Err)[0]
				rows = append(rows, []string{"!" + p.Rule + " " + p.String()})
				continue
			}
			var cells []string
			for _, v := range b.Rows[i].Values {
				cells = append(cells, v.Kind().String()+":"+v.Text())
			}
			rows = append(rows, cells)
		}
		if err != nil {
			return columns, rows, lines, err
		}
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, in string
		columns  []string
		rows     [][]string
		lines    []int64
		err      string
	}{
		{name: "kinds", in: `{"a":"x","b":1.50,"c":true,"d":null,"e":[1,"2"],"f":{}}` + "\n",
			columns: []string{"a", "b", "c", "d", "e", "f"}, rows: [][]string{{"text:x", "number:1.50", "boolean:true", "null:", `list:[1,"2"]`, "json:{}"}}},
		{name: "digits stay", in: `{"a":12345678901234567890.000,"b":1E+2}`,
			columns: []string{"a", "b"}, rows: [][]string{{"number:12345678901234567890.000", "number:1E+2"}}},
		{name: "nested, and in another order", in: `{"a":{"b":{"c":1},"d":2},"e":3}` + "\r\n" + ` { "e" : 4 , "a" : { "d" : 5 } } ` + "\n",
			columns: []string{"a.b.c", "a.d", "e"}, rows: [][]string{{"number:1", "number:2", "number:3"}, {"absent:", "number:5", "number:4"}}},
		{name: "union of the keys", in: "{\"a\":1}\n\n{\"b\":2}\n", columns: []string{"a", "b"},
			rows: [][]string{{"number:1", "absent:"}, {"absent:", "number:2"}}, lines: []int64{1, 3}},
		{name: "escapes", in: `{"a\"":"x\ny \u00e9 \ud83e\udd86","b":["\u0041"]}`, columns: []string{`a"`, "b"},
			rows: [][]string{{"text:x\ny é 🦆", `list:["\u0041"]`}}},
		{name: "null for an object", in: "{\"u\":{\"n\":1,\"m\":2}}\n{\"u\":null}\n{\"u\":{}}\n", columns: []string{"u.n", "u.m"},
			rows: [][]string{{"number:1", "number:2"}, {"null:", "null:"}, {"absent:", "absent:"}}},
		{name: "bad lines", in: "{\"a\":1}\n{\"a\":}\n[1]\n{\"a\":1,\"a\":2}\n{\"a\":\"\\ud800\"}\n{\"a\":3}\n", columns: []string{"a"},
			rows: [][]string{{"number:1"},
				{`!json not JSON at character 6 of the line: invalid character '}' looking for beginning of value: {"a":}`},
				{"!json not a JSON object: [1]"}, {`!json column "a": the key stands twice: {"a":1,"a":2}`},
				{`!json column "a": the text holds half of a character (an unpaired surrogate): {"a":"\ud800"}`}, {"number:3"}}},
		{name: "a key twice, with members", in: `{"a":{"b":1},"a":"x"}` + "\n" + `{"a":"x","a":{"b":1}}` + "\n" + `{"a":{"c":1},"a":{"b":1}}` + "\n" + `{"a":{},"a":{"b":1}}` + "\n" + `{"a":{"b":1}}` + "\n" + `{"a":{}}` + "\n" + `{"a":"x"}` + "\n",
			columns: []string{"a.b", "a", "a.c"},
			rows: [][]string{
				{`!json column "a": the key stands twice: {"a":{"b":1},"a":"x"}`},
				{`!json column "a": the key stands twice: {"a":"x","a":{"b":1}}`},
				{`!json column "a": the key stands twice: {"a":{"c":1},"a":{"b":1}}`},
				{`!json column "a": the key stands twice: {"a":{},"a":{"b":1}}`},
				{"number:1", "absent:", "absent:"}, {"absent:", "json:{}", "absent:"}, {"absent:", "text:x", "absent:"}}},
		{name: "a key twice, never a value", in: `{"a":{"b":1,"c":1}}` + "\n" + `{"a":{},"a":{"b":1}}` + "\n" + `{"a":{"b":1},"a":{}}` + "\n" + `{"a":null,"a":{"b":1}}` + "\n" + `{"a":{"b":1},"a":null}` + "\n" + `{"a":null,"a":{}}` + "\n" + `{"a":{"b":1}}` + "\n",
			columns: []string{"a.b", "a.c"},
			rows: [][]string{
				{"number:1", "number:1"},
				{`!json column "a": the key stands twice: {"a":{},"a":{"b":1}}`},
				{`!json column "a": the key stands twice: {"a":{"b":1},"a":{}}`},
				{`!json column "a": the key stands twice: {"a":null,"a":{"b":1}}`},
				{`!json column "a": the key stands twice: {"a":{"b":1},"a":null}`},
				{`!json column "a": the key stands twice: {"a":null,"a":{}}`},
				{"number:1", "absent:"}}},
		{name: "a key behind the sample", in: strings.Repeat("{\"a\":1}\n", sampleLines) + "{\"a\":2,\"new\":3}\n", columns: []string{"a"},
			rows: append(repeat([]string{"number:1"}, sampleLines), []string{`!column column "new": the key "new" is not among the columns, which are the keys of the first 1000 lines: {"a":2,"new":3}`})},
		{name: "not UTF-8 far behind", in: strings.Repeat("{\"a\":1}\n", 9000) + "{\"a\":\"\xff\"}\n{\"a\":2}\n", columns: []string{"a"},
			rows: append(repeat([]string{"number:1"}, 9000), []string{"!json byte 7 of the line (0xFF) is not UTF-8: {\"a\":\"\ufffd\"}"}, []string{"number:2"})},
		{name: "not UTF-8 at once", in: "{\"a\":\"Caf\xe9\"}\n", columns: []string{"a"}, rows: [][]string{{"text:Café"}}},
		{name: "no encoding for sure", in: "{\"a\":\"\xe6\xe0\"}\n", err: "can't be told for sure"},
		{name: "cut off", in: "{\"a\":1}\n{\"a\":2,", columns: []string{"a"}, rows: [][]string{{"number:1"}}, err: "line 2: the file ends in the middle of this line"},
		{name: "no line end at the end", in: "{\"a\":1}\n{\"a\":2}", columns: []string{"a"}, rows: [][]string{{"number:1"}, {"number:2"}}},
		{name: "mark", in: "\ufeff{\"a\":1}\n", columns: []string{"a"}, rows: [][]string{{"number:1"}}},
		{name: "empty", in: "", err: "the file is empty"},
		{name: "blank", in: "\n \n", err: "the file is empty"},
		{name: "a list", in: "[{\"a\":1}]", err: "one JSON list, not an object a line"},
		{name: "csv", in: "a,b\n1,2\n", err: "no line at the beginning is a JSON object"},
		{name: "an empty key", in: "{\"\":1}\n", err: "column A has no name"},
	} {
		for name, in := range map[string]io.Reader{c.name: strings.NewReader(c.in), c.name + ", a byte at a time": iotest.OneByteReader(strings.NewReader(c.in))} {
			t.Run(name, func(t *testing.T) {
				columns, rows, lines, err := drain(in, Options{})
				if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				if diff := cmp.Diff(c.columns, columns); diff != "" {
					t.Errorf("columns: %s", diff)
				}
				if diff := cmp.Diff(c.rows, rows); diff != "" {
					t.Errorf("rows: %s", diff)
				}
				if c.lines != nil {
					if diff := cmp.Diff(c.lines, lines); diff != "" {
						t.Errorf("lines: %s", diff)
					}
				}
			})
		}
	}
}

func repeat(row []string, n int) [][]string {
	var out [][]string
	for range n {
		out = append(out, row)
	}
	return out
}

func TestLongLine(t *testing.T) {
	head := "{\"a\":1}\n"
	_, rows, _, err := drain(strings.NewReader(head+`{"a":"`+strings.Repeat("x", maxLine+maxLine/8)+`"}`+"\n"), Options{})
	if len(rows) != 1 || err == nil || !strings.Contains(err.Error(), "line 2: the line is longer than 16 MiB") {
		t.Errorf("%d rows, error %v", len(rows), err)
	}
	_, rows, _, err = drain(strings.NewReader(head+`{"a":"`+strings.Repeat("x", 3<<20)+`"}`+"\n"), Options{})
	if len(rows) != 2 || err != nil {
		t.Errorf("%d rows, error %v", len(rows), err)
	}
}

func TestSource(t *testing.T) {
	var in strings.Builder
	var want [][]string
	for i := range 3000 {
		if i%7 == 3 {
			in.WriteString("{\"id\":\n")
			want = append(want, []string{"!", "absent:", "absent:", "absent:"})
			continue
		}
		fmt.Fprintf(&in, "{\"id\":%d,\"user\":{\"name\":\"Zoë \\\"%d\\\"\"},\"tags\":[1,2]}\n", i, i)
		want = append(want, []string{fmt.Sprintf("number:%d", i), fmt.Sprintf("Zoë \"%d\"", i), "list:[1,2]"})
	}
	open := func(s string) (pipeline.Source, error) {
		r, err := New(strings.NewReader(s), Options{})
		if err == nil {
			r.piece = 16 << 10
		}
		return r, err
	}
	sourcetest.Run(t, sourcetest.Suite{
		Open:    func() (pipeline.Source, error) { return open(in.String()) },
		Columns: []string{"id", "user.name", "tags"},
		Rows:    want,
	})
	const short = "{\"a\":1,\"b\":\"é\"}\n{\"b\":\"x\",\"a\":2}\n"
	sourcetest.Run(t, sourcetest.Suite{
		Open: func() (pipeline.Source, error) { return open(short) },
		Cut: &sourcetest.Cut{
			Size:  len(short),
			Open:  func(n int) (pipeline.Source, error) { return open(short[:n]) },
			Legal: func(n int) bool { return n == len(short)-1 || short[n-1] == '\n' || short[n] == '\n' },
		},
	})
}

// FuzzAgainstStandard holds rows against encoding/json: a line is refused if that refuses it, and the cells of others
// are its values.
func FuzzAgainstStandard(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `{"a":{"b":[{"c":"}"}]},"d":"\\"}`, `{"a":"\ud83e\udd86"}`, `{"a":"\ud800x"}`, ` { "a" : { } } `, `[]`, `{"a":null,"a":1}`, `{"a":{"b":[{"c":1}]},"a":"x"}`, `{"a":{"b":1},"a":{"c":2}}`, `{"a":1}{`, `{"a":-0.10e5,"b":true}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\n\x00") || strings.ToValidUTF8(line, "") != line {
			t.Skip("more than a line, not told from UTF-16, or in an encoding that has to be guessed")
		}
		columns, rows, _, err := drain(strings.NewReader(line+"\n"), Options{})
		var want map[string]any
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if d.Decode(&want) != nil || want == nil || !json.Valid([]byte(line)) {
			if err == nil && (len(rows) != 1 || rows[0][0][0] != '!') {
				t.Fatalf("read as %q", rows)
			}
			return
		}
		if err != nil || len(rows) != 1 || len(rows[0]) > 0 && rows[0][0] != "" && rows[0][0][0] == '!' {
			return // stricter on purpose: keys that stand twice, half characters, no name
		}
		flat := map[string]string{}
		flatten("", want, flat)
		got := map[string]string{}
		for i, c := range columns {
			_, text, _ := strings.Cut(rows[0][i], ":")
			if strings.HasPrefix(rows[0][i], "list:") {
				var v any
				d := json.NewDecoder(strings.NewReader(text))
				d.UseNumber()
				if err := d.Decode(&v); err != nil {
					t.Fatal(err)
				}
				text = fmt.Sprint(v)
			}
			got[c] = text
		}
		if diff := cmp.Diff(flat, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func flatten(path string, m map[string]any, out map[string]string) {
	for k, v := range m {
		switch v := v.(type) {
		case map[string]any:
			if len(v) > 0 {
				flatten(path+k+".", v, out)
				continue
			}
			out[path+k] = "{}"
		case nil:
			out[path+k] = ""
		default:
			out[path+k] = fmt.Sprint(v)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	var in strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&in, `{"id":%d,"first":"Zoë","last":"Müller","email":"zoe%d@example.com","address":{"street":"Hauptstr. %d","zip":"10115","city":"Berlin"},"score":%d.50,"ok":true,"tags":["a","b"],"note":"says \"hi\""}`+"\n", i, i, i, i)
	}
	r, err := New(strings.NewReader(in.String()), Options{})
	if err != nil {
		b.Fatal(err)
	}
	c := pipeline.Chunk{Data: []byte(in.String()), Line: 1}
	b.SetBytes(int64(in.Len()))
	b.ReportAllocs()
	for b.Loop() {
		var batch record.Batch
		if err := r.Decode(&c, &batch); err != nil || len(batch.Rows) != 5000 {
			b.Fatal(len(batch.Rows), err)
		}
	}
	b.ReportMetric(5000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
