package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// toy is the smallest simulator: POST /v1/things keeps a body, GET /v1/things lists them.
type toy struct {
	Front
	color string
}

func newToy(t *testing.T, o Options) *toy {
	t.Helper()
	store, err := OpenStore(o.Dir, "toy")
	if err != nil {
		t.Fatal(err)
	}
	s := &toy{}
	s.Front = Front{Name: "toy", Prefix: "/v1", Store: store, Now: o.Clock(),
		Arrive: func(r *http.Request, at time.Time) Arrival {
			return Arrival{Route: strings.TrimPrefix(r.URL.Path, "/v1"), Paced: true, Answer: func(w http.ResponseWriter) { s.answer(w, r, at) }}
		},
		Tune: func(knobs []Knob) error {
			s.color = ""
			for _, k := range knobs {
				if k.Name != "color" {
					return UnknownKnob("toy", k, []string{"color"})
				}
				s.color = k.Value
			}
			return nil
		},
		Fill: func() error {
			return store.Fill(func(tx *Tx) error {
				for i := range o.Seed {
					tx.Put("things", Alnum("seed", int64(i), 10), fmt.Appendf(nil, `{"seed":%d}`, i))
				}
				return nil
			})
		},
	}
	if err := s.Start(o.Faults); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (s *toy) Settings(base string) map[string]string {
	return map[string]string{"base_url": base + "/v1"}
}

func (s *toy) answer(w http.ResponseWriter, r *http.Request, at time.Time) {
	if r.Method == http.MethodGet {
		WriteArray(w, s.Store.List("things"), r.URL.Query().Has("length"))
		return
	}
	body, err := ReadBody(r, 1<<20)
	if err != nil {
		WriteError(w, 400, BodyJSON, err.Error())
		return
	}
	err = s.Store.Write(NewWritten(at, r.Method, "/things", body), func(tx *Tx) (string, error) {
		id := Alnum("thing", tx.N(), 10)
		tx.Put("things", id, body)
		return id, nil
	})
	if err != nil {
		WriteError(w, 500, BodyJSON, err.Error())
		return
	}
	WriteJSON(w, http.StatusCreated, map[string]string{"message": "made"})
}

// serveToy serves a toy and returns its base URL.
func serveToy(t *testing.T, o Options) (*toy, string) {
	t.Helper()
	s := newToy(t, o)
	server, err := Serve(t.Context(), "127.0.0.1:0", map[string]Simulator{"toy": s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return s, server.URL("toy")
}

type answer struct {
	status int
	header http.Header
	body   string
	err    error // of the call, or of reading the body
	reused bool  // it came over a connection that was there already
}

func do(t *testing.T, method, url, body string) answer {
	t.Helper()
	var a answer
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { a.reused = c.Reused }})
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		a.err = err
		return a
	}
	defer func() { _ = got.Body.Close() }()
	a.status, a.header = got.StatusCode, got.Header
	b, err := io.ReadAll(got.Body)
	a.body, a.err = string(b), err
	return a
}

func faults(t *testing.T, text string) *Faults {
	t.Helper()
	f, err := ParseFaults(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFaultsServed lets each fault happen once, over a real connection, and says what the client sees and whether the
// write took place.
func TestFaultsServed(t *testing.T) {
	for _, c := range []struct {
		rule    string
		status  int // 0: no answer
		body    string
		header  string // of Retry-After
		written bool
		alive   bool // the connection is used again
	}{
		{"POST /things #2 status=429 retry-after=2", 429, `{"error":"made to fail by the rule: POST /things #2 status=429 retry-after=2"}`, "2", false, true},
		{"POST * #2 status=503 retry-after=date", 503, `{"error":"made to fail by the rule: POST * #2 status=503 retry-after=date"}`, "Sun, 22 Nov 2026 10:00:03 GMT", false, true},
		{"POST * #2 html=502", 502, "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n<body><center><h1>502 Bad Gateway</h1></center><hr></body></html>\n", "", false, true},
		{"POST * #2 status=500 body=empty", 500, "", "", false, true},
		{"POST * #2 status=504 applied body=empty", 504, "", "", true, true},
		{"POST * #2 drop=before", 0, "", "", false, false},
		{"POST * #2 drop=after", 0, "", "", true, false},
		{"POST * #2 hang=30ms", 0, "", "", false, false},
		{"POST * #2 hang=30ms applied", 0, "", "", true, false},
		{"POST * #2 slow=30ms", 201, `{"message":"made"}`, "", true, true},
		{"POST * #2 cut=9", 201, `{"message`, "", true, false},
		{"POST * #2 cut=50%", 201, `{"message`, "", true, false},
		{"POST * #2 cut=50% clean", 201, `{"message`, "", true, true},
		{"POST * #2 cut=0", 201, ``, "", true, false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			now := time.Date(2026, 11, 22, 10, 0, 0, 500_000_000, time.UTC)
			s, base := serveToy(t, Options{Faults: faults(t, c.rule), Now: func() time.Time { return now }})
			if a := do(t, "POST", base+"/v1/things", `{"a":1}`); a.status != 201 {
				t.Fatalf("the first went wrong: %+v", a)
			}
			begun := time.Now()
			a := do(t, "POST", base+"/v1/things", `{"a":2}`)
			if (c.status == 0 || !c.alive) != (a.err != nil) || a.status != c.status || a.body != c.body || a.header.Get("Retry-After") != c.header {
				t.Errorf("saw %+v", a)
			}
			if waits := strings.Contains(c.rule, "=30ms"); waits && time.Since(begun) < 30*time.Millisecond {
				t.Error("it did not wait")
			}
			if got := len(s.Ledger().Writes) == 2; got != c.written {
				t.Errorf("written: %v", got)
			}
			if a := do(t, "POST", base+"/v1/things", `{"a":3}`); a.status != 201 || a.reused != c.alive {
				t.Errorf("the next went wrong: %+v", a)
			}
			l := s.Ledger()
			if n := l.Count("POST", "/things", -1); n != 3 {
				t.Errorf("counted %d requests", n)
			}
			if n := l.Count("POST", "/things", c.status); n < 1 {
				t.Errorf("no request counted with status %d: %+v", c.status, l.Requests)
			}
			broken := int64(0)
			for _, r := range l.Requests {
				if r.Broken {
					broken += r.Count
				}
			}
			if (broken == 1) == c.alive {
				t.Errorf("%d counted as broken: %+v", broken, l.Requests)
			}
		})
	}
}

// TestFaultsHangEnds sees to it that a request which hangs ends with its client and with the server.
func TestFaultsHangEnds(t *testing.T) {
	s := newToy(t, Options{Faults: faults(t, "* hang=1h")})
	server, err := Serve(t.Context(), "localhost:0", map[string]Simulator{"toy": s})
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error)
	go func() {
		r, err := http.Get(server.URL("toy") + "/v1/things")
		if err == nil {
			_ = r.Body.Close()
		}
		gone <- err
	}()
	for s.FaultState()[0].Seen == 0 {
		time.Sleep(time.Millisecond)
	}
	begun := time.Now()
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-gone; err == nil {
		t.Error("a request that hung was answered")
	}
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("closing took %s", d)
	}
}

// FaultState is the state of the faults in force.
func (s *toy) FaultState() []FaultState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.State()
}

// TestCutStream cuts a streamed list in its middle: by what it will be, which is known, not by what has been sent.
func TestCutStream(t *testing.T) {
	const seed = 20000
	whole := ""
	for _, query := range []string{"", "?length"} {
		_, base := serveToy(t, Options{Seed: seed, Faults: faults(t, "GET * #2 cut=50%; GET * #3 cut=25% clean")})
		first := do(t, "GET", base+"/v1/things"+query, "")
		if first.err != nil || !json.Valid([]byte(first.body)) || strings.Count(first.body, "seed") != seed {
			t.Fatalf("the whole list is not whole: %v", first.err)
		}
		if got := first.header.Get("Content-Length"); (got == fmt.Sprint(len(first.body))) != (query != "") {
			t.Errorf("Content-Length %q for %d bytes", got, len(first.body))
		}
		if whole != "" && whole != first.body {
			t.Error("the list is another with its length")
		}
		whole = first.body
		half := do(t, "GET", base+"/v1/things"+query, "")
		if !errors.Is(half.err, io.ErrUnexpectedEOF) || half.body != whole[:len(whole)/2] {
			t.Errorf("cut in half: %d of %d bytes, %v", len(half.body), len(whole), half.err)
		}
		quarter := do(t, "GET", base+"/v1/things"+query, "")
		if quarter.err != nil || quarter.body != whole[:len(whole)/4] {
			t.Errorf("cut to a quarter: %d of %d bytes, %v", len(quarter.body), len(whole), quarter.err)
		}
	}
}

func TestAdmin(t *testing.T) {
	s, base := serveToy(t, Options{Seed: 2})
	for i := range 3 {
		do(t, "POST", base+"/v1/things", fmt.Sprintf(`{"a":%d}`, i))
	}
	a := do(t, "GET", base+"/_sandbox/ledger", "")
	var l Ledger
	if err := json.Unmarshal([]byte(a.body), &l); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.Ledger(), l); diff != "" {
		t.Errorf("over HTTP:\n%s", diff)
	}
	if len(l.Writes) != 3 || l.Writes[1].Body.String() != fmt.Sprintf("%x", sha256.Sum256([]byte(`{"a":1}`))) {
		t.Errorf("writes: %+v", l.Writes)
	}
	if l.MaxPerSecond < 1 || l.MaxPerSecond > 3 {
		t.Errorf("at most %d in a second", l.MaxPerSecond)
	}
	if a := do(t, "GET", base+"/_sandbox/records", ""); a.body != `{"sandbox":1,"things":5}` {
		t.Errorf("records: %s", a.body)
	}
	if a := do(t, "GET", base+"/_sandbox/records/things", ""); a.body != `[{"seed":0},{"seed":1},{"a":0},{"a":1},{"a":2}]` {
		t.Errorf("records: %s", a.body)
	}

	a = do(t, "POST", base+"/_sandbox/faults", "POST * #1 status=500; set color=red")
	if a.status != 200 || s.color != "red" {
		t.Errorf("faults: %+v", a)
	}
	if a := do(t, "POST", base+"/v1/things", `{}`); a.status != 500 {
		t.Errorf("no fault: %+v", a)
	}
	if a := do(t, "GET", base+"/_sandbox/faults", ""); a.body != `{"text":"POST * #1 status=500; set color=red","rules":[{"rule":"POST * #1 status=500","seen":1,"fired":1}]}` {
		t.Errorf("faults: %s", a.body)
	}
	for body, want := range map[string]string{
		"nonsense":             `fault rule 1, column 1`,
		"set taste=sour":       `has no setting \"taste\"; it has color, clock_offset`,
		"set other.taste=sour": "",
	} {
		a := do(t, "POST", base+"/_sandbox/faults", body)
		if (a.status == 400) != (want != "") || !strings.Contains(a.body, want) {
			t.Errorf("faults %q: %+v", body, a)
		}
	}
	if s.color != "" {
		t.Error("a setting outlives the faults it came with")
	}

	if a := do(t, "POST", base+"/_sandbox/reset", ""); a.status != 200 {
		t.Errorf("reset: %+v", a)
	}
	if l := s.Ledger(); len(l.Writes) != 0 || len(l.Requests) != 0 || l.MaxPerSecond != 0 || s.Store.Len("things") != 2 {
		t.Errorf("after reset: %+v", l)
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{{"GET", "reset", 405}, {"DELETE", "ledger", 405}, {"GET", "nothing", 404}, {"GET", "", 404}} {
		if a := do(t, c.method, base+"/_sandbox/"+c.path, ""); a.status != c.want {
			t.Errorf("%s %s: %d", c.method, c.path, a.status)
		}
	}
	away := httptest.NewRecorder()
	s.ServeHTTP(away, httptest.NewRequest("GET", "/_sandbox/ledger", nil)) // from 192.0.2.1
	if away.Code != http.StatusForbidden {
		t.Errorf("from afar: %d", away.Code)
	}
}

// TestClockOffset turns the vendor's clock without turning this machine's.
func TestClockOffset(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	s := newToy(t, Options{Now: func() time.Time { return now }, Faults: faults(t, "set clock_offset=-90s; POST * #2 status=503 retry-after=date+10")})
	for _, want := range []string{"", "Sun, 22 Nov 2026 09:58:40 GMT"} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("POST", "/v1/things", strings.NewReader(`{}`)))
		if got := w.Header().Get("Date"); got != "Sun, 22 Nov 2026 09:58:30 GMT" || w.Header().Get("Retry-After") != want {
			t.Errorf("%v", w.Header())
		}
	}
	if got := s.Ledger().Writes[0].Time; !got.Equal(now.Add(-90 * time.Second)) {
		t.Errorf("written at %s", got)
	}
	f := faults(t, "set clock_offset=late")
	if err := s.SetFaults(f); err == nil {
		t.Error("a clock can't be late by no time")
	}
}

// TestLedgerSurvives keeps the ledger, counters included, between processes.
func TestLedgerSurvives(t *testing.T) {
	o := Options{Dir: t.TempDir(), Seed: 3}
	s := newToy(t, o)
	for range 2 {
		r := httptest.NewRequest("POST", "/v1/things", strings.NewReader(`{}`))
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
	want := s.Ledger()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s = newToy(t, o)
	if diff := cmp.Diff(want, s.Ledger()); diff != "" || s.Store.Len("things") != 5 {
		t.Errorf("%d things:\n%s", s.Store.Len("things"), diff)
	}
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/things", strings.NewReader(`{}`)))
	if n := s.Ledger().Count("POST", "/things", 201); n != 3 {
		t.Errorf("counted %d", n)
	}
}

// TestFillInterrupted starts over when a process was killed while it made the first records.
func TestFillInterrupted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Fill(func(tx *Tx) error { tx.Put("things", "half", []byte("{}")); return nil }); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	f := newToy(t, Options{Dir: dir, Seed: 3})
	if f.Store.Len("things") != 3 {
		t.Errorf("%d things", f.Store.Len("things"))
	}
}

func TestServeLoopbackOnly(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:0": true, "localhost:0": true, "127.0.0.2:0": true,
		"0.0.0.0:0": false, ":0": false, "[::]:0": false, "192.0.2.1:0": false, "example.com:0": false, "127.0.0.1": false, "": false,
	} {
		s, err := Serve(t.Context(), addr, nil)
		if err == nil {
			_ = s.Close()
		}
		if (err == nil) != ok {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a, b := newToy(t, Options{}), newToy(t, Options{Seed: 1})
	s, err := Serve(ctx, "127.0.0.1:0", map[string]Simulator{"a": a, "b": b})
	if err != nil {
		t.Fatal(err)
	}
	if s.URL("a") != "http://"+s.Addr()+"/a" {
		t.Error(s.URL("a"))
	}
	if got := do(t, "GET", s.URL("a")+"/v1/things", ""); got.body != "[]" {
		t.Errorf("a: %+v", got)
	}
	if got := do(t, "GET", s.URL("b")+"/v1/things", ""); got.body != `[{"seed":0}]` {
		t.Errorf("b: %+v", got)
	}
	if got := do(t, "GET", s.URL("c")+"/v1/things", ""); got.status != 404 || !strings.Contains(got.body, "there are a, b") {
		t.Errorf("c: %+v", got)
	}
	cancel()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := do(t, "GET", s.URL("a")+"/v1/things", ""); got.err == nil {
		t.Error("still there after its end")
	}
}

func TestLimiter(t *testing.T) {
	start := time.Unix(1000, 0)
	for _, c := range []struct {
		name  string
		at    []int // milliseconds
		allow string
	}{
		{"three, then one too many", []int{0, 0, 0, 0}, "yyyn"},
		{"the fourth just inside the second", []int{0, 100, 200, 999}, "yyyn"},
		{"the fourth a second after the first", []int{0, 100, 200, 1000}, "yyyy"},
		{"one refused counts as an arrival", []int{0, 100, 200, 300, 1100, 1250, 1299, 1300}, "yyynyynn"},
		{"a steady third of a second", []int{0, 334, 668, 1002, 1336, 1670}, "yyyyyy"},
		{"a little too fast", []int{0, 333, 666, 999}, "yyyn"},
	} {
		l := Limiter{Rate: 3}
		got := ""
		for i, ms := range c.at {
			at := start.Add(time.Duration(ms) * time.Millisecond)
			wait, ok := l.Arrive("token", at)
			if _, other := l.Arrive(fmt.Sprint("another", i), at); !other {
				t.Errorf("%s: keys mix", c.name)
			}
			if ok {
				got += "y"
				continue
			}
			got += "n"
			if wait <= 0 || wait > time.Second {
				t.Errorf("%s: wait %s", c.name, wait)
			}
		}
		if got != c.allow {
			t.Errorf("%s: %s, want %s", c.name, got, c.allow)
		}
	}
	l := Limiter{Rate: 1}
	for i := range 5000 {
		l.Arrive(fmt.Sprint(i), start.Add(time.Duration(i)*10*time.Millisecond))
	}
	if len(l.keys) > 1024 {
		t.Errorf("%d keys are kept", len(l.keys))
	}
	if _, ok := (&Limiter{}).Arrive("a", start); !ok {
		t.Error("no rate is no limit")
	}
}

func TestParseObject(t *testing.T) {
	for _, c := range []struct{ in, want, err string }{
		{` {"b":1, "a":[1, 2],"c":"\u00e9"} `, `b=1 a=[1, 2] c="\u00e9"`, ""},
		{`{}`, ``, ""},
		{``, "", "ends too early"},
		{`{"a":1`, "", "ends too early"},
		{`{"a":1}}`, "", "after the JSON object"},
		{`{"a":1}{}`, "", "after the JSON object"},
		{`{"a":1,"a":2}`, "", `"a" is there twice`},
		{`{"a":1,}`, "", "not valid JSON"},
		{`{a:1}`, "", "not valid JSON"},
		{`[1]`, "", "not a JSON object"},
		{`null`, "", "not a JSON object"},
		{"{\"a\":\"\xff\"}", "", "not UTF-8"},
		{"\xef\xbb\xbf{}", "", "not valid JSON"},
	} {
		got, err := ParseObject([]byte(c.in))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %s", c.in, err, c.err)
			}
			continue
		}
		var out []string
		for _, m := range got {
			out = append(out, m.Name+"="+string(m.Value))
		}
		if s := strings.Join(out, " "); err != nil || s != c.want {
			t.Errorf("%s: %s, %v", c.in, s, err)
		}
	}
}

func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `{"a":[{}],"b":null}`, `{`, `[]`, `{"a":1}x`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		members, err := ParseObject(in)
		var m map[string]json.RawMessage
		plain := json.Unmarshal(in, &m)
		if err == nil && (plain != nil || len(m) != len(members)) {
			t.Errorf("%q: %d members, encoding/json has %d and says %v", in, len(members), len(m), plain)
		}
		for _, one := range members {
			one.Text()
			one.Texts()
			one.Number()
			one.Integer()
		}
	})
}

func TestMadeIDs(t *testing.T) {
	seen := map[string]bool{}
	for i := range int64(20000) {
		id := Alnum("x", i, 10)
		if len(id) != 10 || seen[id] || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
			t.Fatalf("%q", id)
		}
		seen[id] = true
		if n := Digits("x", i, 20); len(n) != 20 || n[0] == '0' || strings.Trim(n, "0123456789") != "" {
			t.Fatalf("%q", n)
		}
	}
	again := Alnum("x", 1, 10)
	if Alnum("x", 1, 10) == Alnum("y", 1, 10) || Alnum("x", 1, 10) != again {
		t.Error("ids depend on their space and number alone")
	}
}
