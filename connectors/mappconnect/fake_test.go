package mappconnect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

const (
	testID     = "11111111-2222-3333-4444-555555555555"
	testSecret = "example-secret-0123456789abcdef0"
)

// fake is a vendor that does what its fault function says.
type fake struct {
	t   *testing.T
	url string

	mu     sync.Mutex
	calls  []string // "METHOD path?query", pings left out
	bodies []string
	pings  int
	events []string // taken, in order

	// fault decides about a call of the sink; n counts them from 1, events are those of its body.
	fault func(n int, events []string) string
	ping  func(n int) string
	date  time.Time // of answers; zero: now
}

// What a fault function can ask for, besides "STATUS" and "STATUS message".
const (
	fine       = ""
	dropBefore = "drop before" // the connection breaks, nothing is done
	dropAfter  = "drop after"  // it is done, the connection breaks
	pageAfter  = "page after"  // it is done, a page comes back
	errorIn200 = "error in 200"
	answering  = "answer " // 200 with the body that follows; nothing is kept
)

func newFake(t *testing.T) *fake {
	f := &fake{t: t}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/charon/api/v1/integration/"+testID)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.date.IsZero() {
		w.Header().Set("Date", f.date.UTC().Format(http.TimeFormat))
	}
	var what string
	var list []string
	if path == "/ping" {
		f.pings++
		if f.ping != nil {
			what = f.ping(f.pings)
		}
	} else {
		call := r.Method + " " + path
		if r.URL.RawQuery != "" {
			call += "?" + r.URL.RawQuery
		}
		f.calls, f.bodies = append(f.calls, call), append(f.bodies, string(body))
		list = eventsOf(f.t, path, body)
		if len(list) > 1000 {
			what = "400 too many"
		} else if f.fault != nil {
			what = f.fault(len(f.calls), list)
		}
	}
	if what == dropBefore {
		drop(w)
		return
	}
	if what == errorIn200 {
		_, _ = io.WriteString(w, `{"error":"nothing was done"}`)
		return
	}
	if body, ok := strings.CutPrefix(what, answering); ok {
		_, _ = io.WriteString(w, body)
		return
	}
	if len(what) >= 3 && what[0] >= '1' && what[0] <= '9' {
		var status int
		_, _ = fmt.Sscan(what[:3], &status)
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"message":%q}`, strings.TrimSpace(what[3:]))
		return
	}
	f.events = append(f.events, list...)
	switch {
	case what == dropAfter:
		drop(w)
	case what == pageAfter:
		_, _ = io.WriteString(w, "<html>welcome to the wireless network</html>")
	case path == "/ping":
		_, _ = fmt.Fprintf(w, `{"pong":true,"integrationId":%q,"timestamp":1700000000000}`, testID)
	}
}

func drop(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// eventsOf takes a body apart.
func eventsOf(t *testing.T, path string, body []byte) []string {
	switch path {
	case "/event":
		if !json.Valid(body) || body[0] != '{' {
			t.Errorf("an event is no JSON object: %s", body)
		}
		return []string{string(body)}
	case "/event/batch":
		var raw []json.RawMessage
		if err := json.Unmarshal(body, &raw); err != nil {
			t.Errorf("a batch is no JSON array: %s", body)
		}
		var list []string
		for _, x := range raw {
			list = append(list, string(x))
		}
		return list
	}
	t.Errorf("a call to %s", path)
	return nil
}

func (f *fake) settings() map[string]string {
	return map[string]string{keyBaseURL: f.url + "/charon/api/v1", keyIntegration: testID, keySecret: testSecret}
}

func (f *fake) connect(set ...string) *Conn {
	f.t.Helper()
	settings := f.settings()
	for i := 0; i+1 < len(set); i += 2 {
		settings[set[i]] = set[i+1]
	}
	c, err := Open(schema.Connection{Name: "mapp", Settings: settings}, api.Env{})
	if err != nil {
		f.t.Fatal(err)
	}
	NoWaits(c)
	return c
}

// load sends a batch.
func (f *fake) load(c *Conn, object string, load schema.Load, l *deliverytest.Ledger, b *record.Batch) error {
	f.t.Helper()
	load.Header = b.Header
	s, err := c.Sink(f.t.Context(), object, load, l)
	if err != nil {
		f.t.Fatal(err)
	}
	err = s.Write(f.t.Context(), b)
	f.mu.Lock() // whoever broke a connection off has ended by then
	defer f.mu.Unlock()
	return err
}

// newLedger returns a ledger for a sink that never puts right what the vendor has accepted.
func newLedger(t *testing.T) *deliverytest.Ledger {
	l := deliverytest.NewLedger(t)
	l.Final = true
	return l
}

// table is short for what the tests below are tables of.
func table(header string, lines ...string) *record.Batch { return deliverytest.Table(header, lines...) }

// users makes n rows of contacts.
func users(n int) *record.Batch {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf("u%d@example.com|1", i+1))
	}
	return table("email|group", lines...)
}

// fates are what became of rows, in one line each; equal ones that follow each other are one line.
func fates(b *record.Batch) []string {
	lines := deliverytest.Fates(b)
	var out []string
	from := 0
	for i, line := range lines {
		if i+1 == len(lines) || lines[i+1] != line {
			out = append(out, fmt.Sprintf("%d-%d %s", from+1, i+1, line))
			from = i + 1
		}
	}
	return out
}

// compact removes blanks from JSON.
func compact(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(s)); err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	return b.String()
}
