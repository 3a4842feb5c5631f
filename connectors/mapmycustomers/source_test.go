package mapmycustomers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// of makes a source of a list that is there already.
func of(object string, q schema.Query, list io.Reader) *source {
	o, _ := Schema().Object(object)
	s := &source{fields: newDecoder(o, q)}
	s.open("GET /"+object, list)
	return s
}

// TestLists reads lists that are whole, odd or broken; a broken one must never look like a short one.
func TestLists(t *testing.T) {
	date := `{"date":"2020-01-02 03:04:05","timezone_type":2,"timezone":"Z"}`
	tests := []struct {
		name, list string
		q          schema.Query
		want       []string // username, type, notes, createdAt, joined
		err        string
	}{
		{name: "empty", list: `[]`},
		{name: "blanks and a mark", list: "\xef\xbb\xbf \n[ ] \r\n"},
		{name: "one", list: `[{"username":"a","type":"t","notes":"n","createdAt":` + date + `}]`, want: []string{"a|t|n|2020-01-02T03:04:05Z"}},
		{name: "any order, unknown keys", list: `[{"x":{"y":[1,{"z":"]}"}]},"notes":"n","username":"a","type":null}]`, want: []string{"a||n|"}},
		{name: "escapes", list: `[{"notes":"a\"]}\\\n\u00e9\ud83d\ude00\/","username":"\u0061","type":"\ud800x"}]`, want: []string{"a|\ufffdx|a\"]}\\\né😀/|"}},
		{name: "escaped key", list: `[{"\u0075sername":"a"}]`, want: []string{"a|||"}},
		{name: "two and blanks", list: "[ {\"username\":\"a\"} ,\n\t{\"username\":\"b\"}\n]\n", want: []string{"a|||", "b|||"}},
		{name: "other types than documented", list: `[{"username":12.50,"type":true,"notes":["x","y"]}]`, want: []string{"12.50|TRUE|x;y|"}},
		{name: "since", list: `[{"username":"old","createdAt":{"date":"2019-12-31 23:59:59","timezone_type":2,"timezone":"Z"}},{"username":"new","createdAt":` + date + `},{"username":"undated"}]`,
			q: schema.Query{Since: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}, want: []string{"new|||2020-01-02T03:04:05Z", "undated|||"}},
		{name: "cut before the end", list: `[{"username":"a"}`, err: "cut off after 1 records"},
		{name: "cut after a comma", list: `[{"username":"a"},`, err: "cut off after 1 records"},
		{name: "cut in a record", list: `[{"username":"a"},{"user`, err: "cut off after 1 records"},
		{name: "cut in a string", list: `[{"username":"a]`, err: "cut off after 0 records"},
		{name: "nothing", list: ``, err: "cut off after 0 records"},
		{name: "more after the end", list: `[{"username":"a"}]]`, err: "after the end of the list"},
		{name: "two lists", list: `[][]`, err: "after the end of the list"},
		{name: "no comma", list: `[{"username":"a"}{"username":"b"}]`, err: "where the list should go on"},
		{name: "two commas", list: `[{"username":"a"},,{"username":"b"}]`, err: "where record 2 should begin"},
		{name: "comma at the end", list: `[{"username":"a"},]`, err: "where record 2 should begin"},
		{name: "wrong bracket", list: `[{"username":"a"}}`, err: "where the list should go on"},
		{name: "a message instead", list: `{"message":"come back later"}`, err: "come back later"},
		{name: "a page instead", list: `<html>no</html>`, err: "<html>no</html>"},
		{name: "no records", list: `[1,2]`, err: "a record in { }"},
		{name: "a null", list: `[null]`, err: "a record in { }"},
		{name: "bad JSON within", list: `[{"username":tru}]`, err: "record 1: username: not valid JSON"},
		{name: "bad JSON in a later record", list: `[{"username":"a"},{"username":01}]`, err: "record 2"},
		{name: "crossed brackets", list: `[{"username":["a"}]]`, err: "not valid JSON"},
	}
	for _, tt := range tests {
		for _, slow := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/slow=%v", tt.name, slow), func(t *testing.T) {
				var in io.Reader = strings.NewReader(tt.list)
				if slow {
					in = iotest.OneByteReader(in)
				}
				rows, err := drain(t, of(updates, tt.q, in))
				if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one with %q", err, tt.err)
				}
				var got []string
				for _, r := range rows {
					got = append(got, strings.Join([]string{r[0], r[2], r[3], r[5]}, "|"))
				}
				if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestCutAnywhere cuts a list at each of its bytes: none of the pieces may read as a whole list.
func TestCutAnywhere(t *testing.T) {
	list := strings.TrimSpace(wire(t, "customers.json"))
	for i := range len(list) {
		if rows, err := drain(t, of(customers, schema.Query{}, strings.NewReader(list[:i]))); err == nil {
			t.Fatalf("cut at byte %d of %d it reads as a list of %d records", i, len(list), len(rows))
		}
	}
}

// TestChunks reads a list of several chunks, with records of all sizes, in reads of all sizes.
func TestChunks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	var want []string
	b.WriteString("[")
	for i := range 3000 {
		if i > 0 {
			b.WriteString(", ")
		}
		name := fmt.Sprintf("u%d%s", i, strings.Repeat("x", random.IntN(600)))
		if i == 1500 {
			name += strings.Repeat("]},{", 200_000)
		}
		want = append(want, name)
		fmt.Fprintf(&b, `{"username":%q}`, name)
	}
	b.WriteString("]")
	rows, err := drain(t, of(updates, schema.Query{}, &uneven{random, b.String()}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, r[0])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff[:min(len(diff), 2000)])
	}
}

type uneven struct {
	random *rand.Rand
	rest   string
}

func (u *uneven) Read(p []byte) (int, error) {
	if u.rest == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 1+u.random.IntN(5000))], u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

func TestRaw(t *testing.T) {
	list := `[{"id":"a","x":[1, 2]} , {"id":"b"}]`
	s := of(customers, schema.Query{Raw: true}, strings.NewReader(list))
	if diff := cmp.Diff([]string{"record"}, s.Header().Names()); diff != "" {
		t.Error(diff)
	}
	rows, err := drain(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{`{"id":"a","x":[1, 2]}`}, {`{"id":"b"}`}}, rows); diff != "" {
		t.Error(diff)
	}
}

func TestDates(t *testing.T) {
	php := func(date, kind, zone string) string {
		return fmt.Sprintf(`{"date":%q,"timezone_type":%s,"timezone":%q}`, date, kind, zone)
	}
	tests := []struct {
		in, want string
		ok       bool
	}{
		{php("2016-05-21 02:27:42", "2", "Z"), "2016-05-21T02:27:42Z", true},
		{php("2016-05-21 02:27:42.000000", "2", "Z"), "2016-05-21T02:27:42Z", true},
		{php("2016-05-21 02:27:42.123450", "3", "UTC"), "2016-05-21T02:27:42.12345Z", true},
		{php("2016-05-21 02:27:42", "1", "+05:30"), "2016-05-20T20:57:42Z", true},
		{php("2016-05-21 02:27:42.5", "1", "-04:00"), "2016-05-21T06:27:42.5Z", true},
		{php("2016-05-21 02:27:42", "2", "EDT"), "2016-05-21T06:27:42Z", true},
		{php("2016-05-21 02:27:42", "2", "utc"), "2016-05-21T02:27:42Z", true},
		{php("2016-07-21 02:27:42", "3", "America/New_York"), "2016-07-21T06:27:42Z", true},
		{php("2016-01-31 02:27:42", "3", "America/New_York"), "2016-01-31T07:27:42Z", true},
		{php("2016-05-31 23:59:59", "2", "Z"), "2016-05-31T23:59:59Z", true},
		{php("2016-05-21 02:27:42", "2", "XYZ"), php("2016-05-21 02:27:42", "2", "XYZ"), false},
		{php("2016-05-21 02:27:42", "3", "Local"), php("2016-05-21 02:27:42", "3", "Local"), false},
		{php("2016-13-21 02:27:42", "2", "Z"), php("2016-13-21 02:27:42", "2", "Z"), false},
		{php("2016-02-30 02:27:42", "2", "Z"), php("2016-02-30 02:27:42", "2", "Z"), false},
		{php("2016-05-21 02:27:42", "7", "EST"), php("2016-05-21 02:27:42", "7", "EST"), false},
		{`"2016-05-21T02:27:42+02:00"`, "2016-05-21T00:27:42Z", true},
		{`"yesterday"`, "yesterday", false},
		{`1464295966`, "2016-05-26T20:52:46Z", true},
		{`null`, "", true},
		{`""`, "", true},
		{`{}`, "{}", false},
	}
	var z zones
	for _, tt := range tests {
		v, err := (&scanner{s: tt.in}).value()
		if err != nil {
			t.Fatal(err)
		}
		got, ok := z.moment(nil, v)
		if got.Text() != tt.want || ok != tt.ok {
			t.Errorf("%s: %q, %v; want %q, %v", tt.in, got.Text(), ok, tt.want, tt.ok)
		}
	}
	epochs := []struct {
		in, want string
		ok       bool
	}{
		{`1464295966`, "2016-05-26T20:52:46Z", true}, {`"1464295966"`, "2016-05-26T20:52:46Z", true}, {`0`, "1970-01-01T00:00:00Z", true}, {`-1`, "1969-12-31T23:59:59Z", true},
		{`1464295966.0`, "2016-05-26T20:52:46Z", true}, {`null`, "", true}, {`""`, "", true}, {`1e30`, "1e30", false}, {`"soon"`, "soon", false}, {`true`, "true", false},
	}
	for _, tt := range epochs {
		v, _ := (&scanner{s: tt.in}).value()
		if got, ok := epoch(nil, v); got.Text() != tt.want || ok != tt.ok {
			t.Errorf("%s: %q, %v; want %q, %v", tt.in, got.Text(), ok, tt.want, tt.ok)
		}
	}
}

func TestUnknownZoneWarnsOnce(t *testing.T) {
	var said []string
	rec := `{"username":"a","createdAt":{"date":"2016-05-21 02:27:42","timezone_type":2,"timezone":"QQQ"}}`
	rows, err := drain(t, of(updates, schema.Query{Warn: func(s string) { said = append(said, s) }}, strings.NewReader("["+rec+","+rec+"]")))
	if err != nil {
		t.Fatal(err)
	}
	if len(said) != 1 || !strings.Contains(said[0], "QQQ") {
		t.Errorf("warnings %q, want one", said)
	}
	if !strings.Contains(rows[0][5], "2016-05-21 02:27:42") {
		t.Errorf("the value was lost: %q", rows[0][5])
	}
}

func TestUnsupported(t *testing.T) {
	f := newFake(t)
	c := f.connect()
	tests := []struct {
		object string
		q      schema.Query
		want   string
	}{
		{customers, schema.Query{Filters: []schema.Condition{{Name: "city", Value: "Rome"}}}, "no filters"},
		{customers, schema.Query{Sort: "name"}, "no sorting"},
		{customers, schema.Query{Expand: true}, "expand"},
		{customers, schema.Query{Search: "a/b"}, "search term"},
		{customers, schema.Query{Search: ".."}, "search term"},
		{customers, schema.Query{ID: "../user"}, "id"},
		{customers, schema.Query{ID: "a", Search: "b"}, "not both"},
		{customers, schema.Query{ID: "a"}, "404"},
		{routes, schema.Query{ID: "a"}, "no export by id"},
		{routes, schema.Query{Search: "a"}, "no search"},
		{user, schema.Query{Since: time.Now()}, "no time stamp"},
		{customfields, schema.Query{}, "can't be exported"},
		{"leads", schema.Query{}, "can't be exported"},
	}
	for _, tt := range tests {
		if _, err := c.Source(t.Context(), tt.object, tt.q); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %+v: error %v, want one with %q", tt.object, tt.q, err, tt.want)
		}
	}
	if got := f.sent(""); len(got) != 1 {
		t.Errorf("calls were made: %v", got)
	}
}

func TestSearchIsEscaped(t *testing.T) {
	f := newFake(t)
	f.add("a", time.Hour, map[string]any{"name": "50% off? #1 & söhne+"})
	src, err := f.connect().Source(t.Context(), customers, schema.Query{Search: " 50% off? #1 & söhne+ "})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := drain(t, src)
	if err != nil || len(rows) != 1 {
		t.Errorf("%d rows, %v; calls %v", len(rows), err, f.sent(""))
	}
}

// TestCutStream reads a list over the network that breaks off.
func TestCutStream(t *testing.T) {
	for _, chunked := range []bool{true, false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/v1/token" {
				_, _ = io.WriteString(w, `{"token":"x"}`)
				return
			}
			list := "[" + strings.Repeat(`{"username":"a","notes":"`+strings.Repeat("n", 1000)+`"},`, 1000)
			if !chunked {
				w.Header().Set("Content-Length", fmt.Sprint(len(list)+100))
			}
			_, _ = io.WriteString(w, list)
			if chunked {
				panic(http.ErrAbortHandler)
			}
		}))
		f := &fake{t: t, url: server.URL}
		src, err := f.connect().Source(t.Context(), updates, schema.Query{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = drain(t, src)
		var known *api.Error
		if err == nil || !strings.Contains(err.Error(), "broke off") {
			t.Errorf("chunked %v: error %v", chunked, err)
		} else if ok := errors.As(err, &known); !ok {
			t.Errorf("chunked %v: %T is no api error", chunked, err)
		}
		server.Close()
	}
}

// TestSizesOfChunks looks at the sizes of chunks: a long first one, for who looks at the first rows as a whole, and short ones after
// it, which hold every record once.
func TestSizesOfChunks(t *testing.T) {
	const n = 3000
	s := of(customers, schema.Query{}, &sampleList{n: n, one: compact(t)})
	c, b, rows, chunks := &pipeline.Chunk{}, &record.Batch{}, 0, 0
	for {
		err := s.Next(t.Context(), c)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if chunks++; chunks == 1 && len(c.Data) < firstChunk*9/10 || len(c.Data) > firstChunk || chunks > 1 && len(c.Data) > chunkSize {
			t.Errorf("chunk %d has %d bytes", chunks, len(c.Data))
		}
		if c.Line != int64(rows+1) {
			t.Errorf("chunk %d begins with record %d, want %d", chunks, c.Line, rows+1)
		}
		b.Reset()
		if err := s.Decode(c, b); err != nil {
			t.Fatal(err)
		}
		rows += len(b.Rows)
	}
	if rows != n || chunks < 10 {
		t.Errorf("%d records in %d chunks, want %d", rows, chunks, n)
	}
}

// FuzzList holds the cutter and the scanner against encoding/json: what both accept must have the same records, and
// what encoding/json refuses must not come out as a list.
func FuzzList(f *testing.F) {
	for _, s := range []string{`[]`, `[{"username":"a"}]`, `[{"a":"\u00e9\"]"},{"b":[1,-2.5e3,true,null,{"c":{}}]}]`, "[{\"a\":1},\n{\"b\":2}]\n", `[{"a":1}`, `[{"a":01}]`, `[{"a":"\ud800"}]`, `{"message":"x"}`, `[{"a":1e999}]`} {
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, list string, size uint8) {
		if !utf8.ValidString(list) {
			list = strings.ToValidUTF8(list, "\ufffd") // how many marks stand for broken bytes does not matter
		}
		s := of(updates, schema.Query{Raw: true}, strings.NewReader(list))
		if size > 0 {
			s.in = &fixed{list, int(size)}
		}
		var got []string
		var err error
		c := &pipeline.Chunk{}
		for err == nil {
			if err = s.Next(t.Context(), c); err != nil {
				break
			}
			b := &record.Batch{}
			if err = s.Decode(c, b); err != nil {
				break
			}
			for _, r := range b.Rows {
				got = append(got, r.Values[0].Text())
			}
		}
		var want []json.RawMessage
		bad := json.Unmarshal([]byte(strings.TrimPrefix(list, "\xef\xbb\xbf")), &want)
		if err != io.EOF {
			return // refusing is always safe; TestLists says what must be accepted
		}
		if bad != nil {
			t.Fatalf("%q was read as %q, but %v", list, got, bad)
		}
		if len(want) != len(got) {
			t.Fatalf("%q was read as %q", list, got)
		}
		for i := range want {
			a, err := exact(want[i])
			b, errB := exact([]byte(got[i]))
			if err != nil || errB != nil || !reflect.DeepEqual(a, b) {
				t.Fatalf("record %d of %q was read as %q", i, list, got[i])
			}
		}
	})
}

// exact reads a JSON text whose numbers keep their digits: some are beyond what a float64 holds.
func exact(text []byte) (v any, err error) {
	if !json.Valid(text) {
		return nil, errors.New("not one JSON text")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

type fixed struct {
	rest string
	size int
}

func (r *fixed) Read(p []byte) (int, error) {
	if r.rest == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.size)], r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// FuzzText holds the scanner's strings against encoding/json.
func FuzzText(f *testing.F) {
	for _, s := range []string{`"a"`, `"\n\u00e9\ud83d\ude00"`, `"\ud800\ud800"`, `"\ud800\u0041"`, `"\x"`, `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "\ufffd")
		p := &scanner{s: s}
		got, err := p.text()
		p.blanks()
		var want string
		bad := json.Unmarshal([]byte(s), &want)
		if err == nil && p.i == len(s) && (bad != nil || want != got) {
			t.Fatalf("%q is %q, but encoding/json says %q, %v", s, got, want, bad)
		}
		if bad == nil && strings.HasPrefix(s, `"`) && err != nil {
			t.Fatalf("%q is refused: %v", s, err)
		}
		// In a batch's memory texts are the same, and one does not overwrite another.
		b := &scanner{s: s + " " + s, batch: &record.Batch{}}
		first, _ := b.text()
		if b.next() == '"' {
			_, _ = b.text()
		}
		if err == nil && first != got {
			t.Fatalf("%q is %q, but %q in a batch", s, got, first)
		}
	})
}

// sampleList is a list of n customers, some 700 bytes each.
type sampleList struct {
	n, i int
	one  string
	rest string
	done bool
}

func (l *sampleList) Read(p []byte) (int, error) {
	for l.rest == "" {
		switch {
		case l.done:
			return 0, io.EOF
		case l.i == l.n:
			l.rest, l.done = "]", true
		default:
			sep := ","
			if l.i == 0 {
				sep = "["
			}
			l.i++
			l.rest = sep + strings.Replace(l.one, "rSOUoiTGTh", fmt.Sprintf("rSO%07d", l.i), 2)
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

func compact(b testing.TB) string {
	var v json.RawMessage
	_ = json.Unmarshal(readWire(b, "customer.json"), &v)
	out, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	return string(out)
}

func BenchmarkDecode(b *testing.B) {
	s := of(customers, schema.Query{}, &sampleList{n: 400, one: compact(b)})
	c := &pipeline.Chunk{}
	if err := s.Next(b.Context(), c); err != nil {
		b.Fatal(err)
	}
	batch := &record.Batch{}
	var n int
	b.SetBytes(int64(len(c.Data)))
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		if err := s.Decode(c, batch); err != nil {
			b.Fatal(err)
		}
		n += len(batch.Rows)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkNext(b *testing.B) {
	one := compact(b)
	var data strings.Builder
	_, _ = io.Copy(&data, &sampleList{n: 20000, one: one})
	b.SetBytes(int64(data.Len()))
	for b.Loop() {
		s := of(customers, schema.Query{}, strings.NewReader(data.String()))
		c := &pipeline.Chunk{}
		for {
			if err := s.Next(b.Context(), c); err != nil {
				break
			}
		}
	}
}
