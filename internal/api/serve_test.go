package api

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// noLeaks fails the test if goroutines are left when it is over.
func noLeaks(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 200 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
	})
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// testClient returns a client for a server, quick to retry.
func testClient(t *testing.T, base string, change func(*Config)) *Client {
	t.Helper()
	c := Config{Vendor: "Acme", Base: mustURL(t, base), Account: "ada", Timeout: 5 * time.Second, RetryDelay: time.Millisecond}
	if change != nil {
		change(&c)
	}
	cl, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// calls records what a request's callbacks were told.
type calls struct {
	mu  sync.Mutex
	log []string
}

func (c *calls) add(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = append(c.log, s)
}

func (c *calls) watch(r *Request) *Request {
	r.Sending = func() error { c.add("sending"); return nil }
	r.Undone = func(string) error { c.add("undone"); return nil }
	return r
}

func (c *calls) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.log, " ")
}

// hijack takes over the connection of a request that was read whole.
func hijack(w http.ResponseWriter, r *http.Request) net.Conn {
	_, _ = io.Copy(io.Discard, r.Body)
	nc, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	return nc
}

func answer(status int, header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for line := range strings.Lines(header) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), ": ")
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		nc := hijack(w, r)
		_, _ = io.WriteString(nc, text)
		_ = nc.Close()
	}
}

func reset(w http.ResponseWriter, r *http.Request) {
	nc := hijack(w, r)
	_ = nc.(*net.TCPConn).SetLinger(0)
	_ = nc.Close()
}

func hang(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func zipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

const (
	s  = "sending"
	su = "sending undone"
)

func rep(x string, n int) string { return strings.TrimSpace(strings.Repeat(x+" ", n)) }

// check compares an error; class "" wants none.
func check(t *testing.T, err error, class Class, status int, applied bool, says string) {
	t.Helper()
	if class == "" {
		if err != nil {
			t.Fatalf("error %v", err)
		}
		return
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want an *Error", err, err)
	}
	if e.Class != class || e.Status != status || e.Applied != applied {
		t.Errorf("class %q, status %d, applied %v, want %q, %d, %v: %v", e.Class, e.Status, e.Applied, class, status, applied, err)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("error %q does not say %q", err, says)
	}
}
