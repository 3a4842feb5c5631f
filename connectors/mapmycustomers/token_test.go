package mapmycustomers

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/schema"
)

func TestOpenErrors(t *testing.T) {
	good := map[string]string{"username": "u", "password": "p"}
	with := func(key, value string) map[string]string {
		m := map[string]string{key: value}
		for k, v := range good {
			if k != key {
				m[k] = v
			}
		}
		return m
	}
	tests := []struct {
		settings map[string]string
		want     []string
	}{
		{good, nil},
		{map[string]string{}, []string{"CRMETL_MAPMYCUSTOMERS_USERNAME", "CRMETL_MAPMYCUSTOMERS_PASSWORD"}},
		{with("password", ""), []string{"CRMETL_MAPMYCUSTOMERS_PASSWORD"}},
		{with("base_url", "http://mapmycustomers.me/api/v1"), []string{"https"}},
		{with("base_url", "mapmycustomers.me"), []string{"base_url"}},
		{with("base_url", "http://127.0.0.1:9/api/v1/"), nil},
		{with("rate", "0"), []string{"rate"}},
		{with("rate", "NaN"), []string{"rate"}},
		{with("timeout", "soon"), []string{"timeout"}},
		{with("timeout", "45"), nil},
		{with("token_activation", "-1s"), []string{"token_activation"}},
		{with("token_method", "oauth"), []string{"token_method", "basic-get"}},
	}
	for _, tt := range tests {
		c, err := Open(schema.Connection{Name: "mmc", Settings: tt.settings}, api.Env{})
		if (err != nil) != (tt.want != nil) {
			t.Errorf("%v: error %v", tt.settings, err)
		}
		for _, w := range tt.want {
			if err != nil && !strings.Contains(err.Error(), w) {
				t.Errorf("%v: error %v does not name %s", tt.settings, err, w)
			}
		}
		if err == nil && !strings.HasSuffix(c.Account(), "/u") {
			t.Errorf("account %q", c.Account())
		}
	}
}

func TestPing(t *testing.T) {
	got, err := newFake(t).connect().Ping(t.Context())
	if want := "ops@example.com (Olivia): 3 groups, limit 50000 pins"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestTokenMethods(t *testing.T) {
	for method, want := range map[string]string{
		"":           "GET Basic b3BzQGV4YW1wbGUuY29tOnNlY3JldCYx ",
		"basic-get":  "GET Basic b3BzQGV4YW1wbGUuY29tOnNlY3JldCYx ",
		"basic-post": "POST Basic b3BzQGV4YW1wbGUuY29tOnNlY3JldCYx ",
		"form-post":  "POST  password=secret%261&username=ops%40example.com",
	} {
		var got string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/v1/token" {
				body, _ := io.ReadAll(r.Body)
				got = r.Method + " " + r.Header.Get("Authorization") + " " + string(body)
				if len(body) > 0 && r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
					t.Errorf("Content-Type %q", r.Header.Get("Content-Type"))
				}
				_, _ = io.WriteString(w, `{"token":"x"}`)
				return
			}
			_, _ = io.WriteString(w, `{"username":"a"}`)
		}))
		f := &fake{t: t, url: server.URL}
		if _, err := f.connect("token_method", method).Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", method, err)
		}
		if got != want {
			t.Errorf("%s: the token was asked for by %q, want %q", method, got, want)
		}
		server.Close()
	}
}

func TestWrongPassword(t *testing.T) {
	f := newFake(t)
	_, err := f.connect("password", "wrong-password").Ping(t.Context())
	var known *api.Error
	if !errors.As(err, &known) || known.Class != api.Auth || !known.Stops() || strings.Contains(err.Error(), "wrong-password") {
		t.Errorf("error %v, want one of class auth without the password", err)
	}
	if f.tokens != 1 {
		t.Errorf("the password was tried %d times", f.tokens)
	}
}

// TestRefusedTokens meets 401: soon after a token was issued it is waited out, later the token is replaced once.
func TestRefusedTokens(t *testing.T) {
	tests := []struct {
		name   string
		old    bool // the token is older than 30 s
		fault  func(method, path string, n int) string
		tokens int // issued in all
		calls  int
		waits  int
		fails  bool
	}{
		{name: "good", tokens: 1, calls: 1},
		{name: "not good yet", fault: func(_, _ string, n int) string { return map[bool]string{n <= 3: refuse401}[true] }, tokens: 1, calls: 4, waits: 3},
		{name: "never good", fault: always("GET", refuse401), tokens: 2, calls: 12, waits: 10, fails: true},
		{name: "run out", old: true, fault: on("GET", 2, refuse401), tokens: 2, calls: 3},
		{name: "run out for good", old: true, fault: func(_, _ string, n int) string { return map[bool]string{n >= 2: refuse401}[true] }, tokens: 2, calls: 8, waits: 5, fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.fault = tt.fault
			c := f.connect()
			waits := 0
			c.sleep = func(_ context.Context, d time.Duration) error {
				if d == earlyWait {
					waits++
				}
				return nil
			}
			if tt.old {
				if _, err := c.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
				first := c.now
				later := first().Add(time.Minute)
				c.now = func() time.Time {
					if f.tokens > 1 {
						return first()
					}
					return later
				}
			}
			_, err := c.Ping(t.Context())
			var known *api.Error
			if tt.fails != (err != nil) || err != nil && (!errors.As(err, &known) || known.Class != api.Auth) {
				t.Errorf("error %v", err)
			}
			if f.tokens != tt.tokens || len(f.sent("")) != tt.calls || waits != tt.waits {
				t.Errorf("%d tokens, %d calls, %d waits; want %d, %d, %d", f.tokens, len(f.sent("")), waits, tt.tokens, tt.calls, tt.waits)
			}
		})
	}
}

// TestTokenIsKept opens two connections with one cache folder: one token serves both, and it is nobody else's to read.
func TestTokenIsKept(t *testing.T) {
	f := newFake(t)
	dir := t.TempDir()
	for range 2 {
		c, err := Open(schema.Connection{Name: "mmc", Settings: map[string]string{"base_url": f.url + "/api/v1", "username": "ops@example.com", "password": "secret&1", "token_activation": "0", "rate": "1000"}},
			api.Env{CacheDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if f.tokens != 1 {
		t.Errorf("%d tokens were issued, want 1", f.tokens)
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), "secret&1") {
			t.Errorf("%s holds the password", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDated(t *testing.T) {
	jwt := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".sig"
	}
	now := time.Unix(1_700_000_000, 0)
	day := 24 * time.Hour
	tests := []struct {
		token         string
		ready, ends   time.Duration // after now
		behind        time.Duration
		activationOff bool
	}{
		{token: "opaque", ready: 10 * time.Second, ends: 180 * day},
		{token: "a.b.c", ready: 10 * time.Second, ends: 180 * day},
		{token: "opaque", activationOff: true, ends: 180 * day},
		{token: jwt(`{"iat":1700000000,"nbf":1700000010,"exp":1700000070}`), ready: 10 * time.Second, ends: 70 * time.Second},
		{token: jwt(`{"iat":1700000000,"nbf":1700000030,"exp":1700000070}`), ready: 30 * time.Second, ends: 70 * time.Second},
		{token: jwt(`{"iat":1699990000,"nbf":1699990030,"exp":1699990070}`), ready: 30 * time.Second, ends: 70 * time.Second, behind: 10_000 * time.Second},
		{token: jwt(`{"iat":1700000000,"nbf":1700000005}`), activationOff: true, ready: 5 * time.Second, ends: 180 * day},
		{token: jwt(`{"exp":1700003600}`), ready: 10 * time.Second, ends: time.Hour},
		{token: jwt(`{"exp":1}`), ready: 10 * time.Second, ends: 180 * day},
		{token: jwt(`{"nbf":1800000000}`), ready: 10 * time.Second, ends: 180 * day},
		{token: jwt(`{"nbf":"x"`), ready: 10 * time.Second, ends: 180 * day},
	}
	for _, tt := range tests {
		var behind time.Duration
		c := &credentials{activation: 10 * time.Second, behind: func(d time.Duration) { behind = max(behind, d) }}
		if tt.activationOff {
			c.activation = 0
		}
		got := c.dated(tt.token, now, now)
		c.learn(got)
		var ready time.Duration
		if !got.NotBefore.IsZero() {
			ready = got.NotBefore.Sub(now)
		}
		if ready != tt.ready || got.Expires.Sub(now) != tt.ends || behind != tt.behind {
			t.Errorf("%s: good after %v until %v, clock behind %v; want %v, %v, %v", tt.token, ready, got.Expires.Sub(now), behind, tt.ready, tt.ends, tt.behind)
		}
	}
}

// TestSlowVendorClock creates a customer at a vendor whose clock is an hour behind, and loses the answer: the customer
// looks older than the call that made it.
func TestSlowVendorClock(t *testing.T) {
	f := newFake(t)
	f.now = func() time.Time { return time.Now().Add(-time.Hour) }
	f.fault = on("POST", 1, dropAfter)
	var issued atomic.Bool
	h := http.Handler(f)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			issued.Store(true)
			at := time.Now().Add(-time.Hour).Unix()
			body := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iat":%d,"nbf":%d,"exp":%d}`, at, at, at+1e6))
			fmt.Fprintf(w, `{"token":"e30.%s.x"}`, body)
			return
		}
		h.ServeHTTP(w, r)
	}))
	defer server.Close()
	f.url = server.URL
	b := table("name", "A")
	sink, err := f.connect().Sink(t.Context(), customers, schema.Load{Header: b.Header}, deliverytest.NewLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got := fates(b)[0]; got != "accepted created new0000000" || len(f.recs) != 1 {
		t.Errorf("%s; the vendor has %d", got, len(f.recs))
	}
}
