package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestNeverReplayedBelow meets servers that close a used connection after reading the request: net/http would send
// some methods again by itself.
func TestNeverReplayedBelow(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "DELETE", "PUT", "POST", "PATCH"} {
		for _, body := range []string{"", "{}"} {
			for _, header := range []string{"", "Idempotency-Key", "X-Idempotency-Key"} {
				t.Run(method+" "+body+" "+header, func(t *testing.T) {
					var arrived atomic.Int64
					srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
						if arrived.Add(1) == 2 {
							raw("")(w, r)
							return
						}
						answer(200, "", "")(w, r)
					})
					cl := testClient(t, srv.URL, func(c *Config) { c.Attempts = 1 })
					r := &Request{Op: method, Method: method, Body: []byte(body), Header: http.Header{}}
					if header != "" {
						r.Header.Set(header, "k")
					}
					if _, err := cl.Do(t.Context(), r); err != nil {
						t.Fatal(err)
					}
					_, err := cl.Do(t.Context(), r)
					check(t, err, Transient, 0, method != "GET" && method != "HEAD", "")
					if n := arrived.Load(); n != 2 {
						t.Errorf("%d arrivals, want 2", n)
					}
				})
			}
		}
	}
}

// TestDeadConnection reuses connections that the server has closed while nobody looked: nothing of the request left,
// so it may be sent again, whatever it is.
func TestDeadConnection(t *testing.T) {
	var arrived atomic.Int64
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) { arrived.Add(1); answer(200, "", "")(w, r) })
	cl := testClient(t, srv.URL, nil)
	var told calls
	for i := range 20 {
		if i%4 == 3 {
			srv.CloseClientConnections()
			time.Sleep(time.Duration(i%3) * time.Millisecond)
		}
		if _, err := cl.Do(t.Context(), told.watch(&Request{Op: "POST", Method: "POST", Body: []byte("{}")})); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if arrived.Load() != 20 {
		t.Errorf("%d arrivals, want 20", arrived.Load())
	}
	if n, u := strings.Count(told.String(), "sending"), strings.Count(told.String(), "undone"); n-u != 20 {
		t.Errorf("%d announced, %d taken back", n, u)
	}
}

// TestNeverLeft meets failures before the first byte.
func TestNeverLeft(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + l.Addr().String()
	_ = l.Close()
	plain := serve(t, answer(200, "", "{}"))
	secure := httptest.NewUnstartedServer(answer(200, "", "{}"))
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	defer secure.Close()
	nobody := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "crm.invalid", IsNotFound: true}}
	}}
	hung := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	cases := []struct {
		name, base string
		rt         http.RoundTripper
		class      Class
		says, told string
	}{
		{"refused", refused, nil, Transient, "refused", rep(su, 6)},
		{"no such host", "https://crm.invalid", nobody, Transient, "no host named crm.invalid", rep(su, 3)},
		{"never connects", "https://crm.invalid", hung, Transient, "no connection to crm.invalid within", rep(su, 6)},
		{"unknown issuer", secure.URL, nil, Setup, "certificate", su},
		{"no TLS there", strings.Replace(plain.URL, "http:", "https:", 1), nil, Setup, "does not speak TLS", su},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cl := testClient(t, c.base, func(cf *Config) {
				cf.Transport = c.rt
				if c.rt == hung {
					cf.Timeout = 20 * time.Millisecond
				}
			})
			var told calls
			_, err := cl.Do(t.Context(), told.watch(&Request{Op: "POST /x", Method: "POST", Path: "/x", Body: []byte("{}")}))
			check(t, err, c.class, 0, false, c.says)
			if told.String() != c.told {
				t.Errorf("told %q, want %q", told.String(), c.told)
			}
			if cl.Stats().Sent != 0 {
				t.Errorf("%d sent", cl.Stats().Sent)
			}
		})
	}
}

// TestTLS keeps exact knowledge through TLS: a server that closes after reading is met once, and a good one answers.
func TestTLS(t *testing.T) {
	var arrived atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == 2 {
			raw("")(w, r)
			return
		}
		answer(200, "", r.Proto)(w, r)
	}))
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	defer srv.Close()
	cl := testClient(t, srv.URL, func(c *Config) { c.Transport = srv.Client().Transport })
	got, err := cl.Do(t.Context(), &Request{Op: "POST", Method: "POST", Body: []byte("{}")})
	if err != nil || string(got.Body) != "HTTP/1.1" {
		t.Fatalf("%v, %v", got, err)
	}
	_, err = cl.Do(t.Context(), &Request{Op: "POST", Method: "POST", Body: []byte("{}")})
	check(t, err, Transient, 0, true, "")
	if arrived.Load() != 2 {
		t.Errorf("%d arrivals", arrived.Load())
	}
}

// TestForeignRoundTripper paces and judges what is no *http.Transport.
func TestForeignRoundTripper(t *testing.T) {
	n := 0
	cl := testClient(t, "https://crm.example", func(c *Config) {
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			n++
			switch n {
			case 1:
				return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
			case 2:
				return nil, errors.New("broken pipe")
			}
			return nil, errors.New("unexpected call")
		})
	})
	var told calls
	_, err := cl.Do(t.Context(), told.watch(&Request{Op: "POST", Method: "POST"}))
	check(t, err, Transient, 0, true, "broken pipe")
	if told.String() != su+" "+s {
		t.Error(told.String())
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRenew(t *testing.T) {
	cases := []struct {
		name     string
		good     string // the credential that the vendor takes
		renewals int
		asks     int
		class    Class
		told     string
	}{
		{"new ones help", "1", 0, 1, "", su + " " + s},
		{"new ones do not help", "9", 0, 1, Auth, su + " " + su},
		{"asked thrice", "3", 3, 3, "", rep(su, 3) + " " + s},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer token-number-"+c.good {
					answer(401, "", `{"error":"bad token `+r.Header.Get("Authorization")+`"}`)(w, r)
				}
			})
			cl := testClient(t, srv.URL, func(cf *Config) { cf.Renewals = c.renewals })
			asked := 0
			var told calls
			r := told.watch(&Request{Op: "POST", Method: "POST"})
			r.Authorize = func(_ context.Context, hr *http.Request) error {
				hr.Header.Set("Authorization", fmt.Sprintf("Bearer token-number-%d", asked))
				return nil
			}
			r.Renew = func(_ context.Context, a *Response) (bool, error) {
				if a == nil || a.Status != 401 {
					t.Errorf("asked after %v", a)
				}
				asked++
				return true, nil
			}
			_, err := cl.Do(t.Context(), r)
			check(t, err, c.class, map[bool]int{true: 401}[c.class != ""], false, "")
			if err != nil && strings.Contains(err.Error(), "token-number") {
				t.Errorf("the error shows the token: %v", err)
			}
			if asked != c.asks || told.String() != c.told {
				t.Errorf("asked %d times, told %q", asked, told.String())
			}
		})
	}
}

// TestAuthorizeFails keeps what a token call may have done apart from what the call may have done.
func TestAuthorizeFails(t *testing.T) {
	srv := serve(t, answer(200, "", "{}"))
	cl := testClient(t, srv.URL, nil)
	for _, c := range []struct {
		err   error
		class Class
	}{
		{&Error{Op: "token", Class: Transient, Status: 502, Applied: true}, Transient},
		{&Error{Op: "token", Class: Invalid, Status: 400, Message: "wrong grant"}, Auth},
		{errors.New("no keyring"), Auth},
		{ErrStopped, Transient},
	} {
		var told calls
		r := told.watch(&Request{Op: "POST /x", Method: "POST"})
		r.Authorize = func(context.Context, *http.Request) error { return c.err }
		_, err := cl.Do(t.Context(), r)
		check(t, err, c.class, 0, false, c.err.Error())
		if !errors.Is(err, c.err) || told.String() != "" {
			t.Errorf("%v, told %q", err, told.String())
		}
	}
}

// TestCallbacksFail ends a call when the journal does not work.
func TestCallbacksFail(t *testing.T) {
	var arrived atomic.Int64
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) { arrived.Add(1); w.WriteHeader(429) })
	cl := testClient(t, srv.URL, nil)
	full := errors.New("disk full")
	_, err := cl.Do(t.Context(), &Request{Op: "POST /x", Method: "POST", Sending: func() error { return full }})
	if !errors.Is(err, full) || arrived.Load() != 0 {
		t.Errorf("%v after %d arrivals", err, arrived.Load())
	}
	_, err = cl.Do(t.Context(), &Request{Op: "POST /x", Method: "POST", Undone: func(string) error { return full }})
	if !errors.Is(err, full) || arrived.Load() != 1 {
		t.Errorf("%v after %d arrivals", err, arrived.Load())
	}
}

// TestMaybeAppliedStays remembers an attempt of unknown outcome when a later one is answered.
func TestMaybeAppliedStays(t *testing.T) {
	var arrived atomic.Int64
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == 1 {
			raw("")(w, r)
			return
		}
		w.WriteHeader(404)
	})
	cl := testClient(t, srv.URL, nil)
	_, err := cl.Do(t.Context(), &Request{Op: "DELETE /x", Method: "DELETE", Path: "/x", Idempotent: true})
	check(t, err, NotFound, 404, true, "")
}

// TestRedirectTakesNothing lets no credential reach the place that a redirect names.
func TestRedirectTakesNothing(t *testing.T) {
	var reached atomic.Int64
	other := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		srv := serve(t, answer(status, "Location: "+other.URL+"/steal?x=1", ""))
		cl := testClient(t, srv.URL, nil)
		for _, method := range []string{"GET", "POST"} {
			r := &Request{Op: method, Method: method, Header: http.Header{"X-Api-Key": {"k-123456"}}}
			_, err := cl.Do(t.Context(), r)
			check(t, err, Setup, status, false, other.URL+"/steal;")
			_, err = cl.Stream(t.Context(), r)
			check(t, err, Setup, status, false, other.URL+"/steal;")
		}
	}
	if reached.Load() != 0 {
		t.Errorf("%d calls reached the other host", reached.Load())
	}
}

func TestRequestOnTheWire(t *testing.T) {
	got := make(chan *http.Request, 1)
	body := make(chan string, 1)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- r
		body <- string(b)
	})
	cl := testClient(t, srv.URL+"/api/v1/", func(c *Config) { c.UserAgent = "crmetl/1.2" })
	cases := []struct {
		name          string
		r             Request
		uri, body     string
		length        int64
		header, value string
	}{
		{"get", Request{Method: "GET", Path: "/customers/a%2Fb%20c", Query: url.Values{"page": {"1"}, "filters[q]": {"ä"}}}, "/api/v1/customers/a%2Fb%20c?filters%5Bq%5D=%C3%A4&page=1", "", 0, "User-Agent", "crmetl/1.2"},
		{"root", Request{Method: "GET"}, "/api/v1", "", 0, "Accept-Encoding", "gzip"},
		{"get with a body", Request{Method: "GET", Path: "/c", Body: []byte("{}")}, "/api/v1/c", "{}", 2, "Content-Type", "application/json"},
		{"delete", Request{Method: "DELETE", Path: "/c/1"}, "/api/v1/c/1", "", 0, "Content-Type", ""},
		{"delete with a body", Request{Method: "DELETE", Path: "/c", Body: []byte(`{"id":1}`)}, "/api/v1/c", `{"id":1}`, 8, "Accept", "application/json"},
		{"post", Request{Method: "POST", Path: "/c", Body: []byte(`a=1`), Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}, "/api/v1/c", "a=1", 3, "Content-Type", "application/x-www-form-urlencoded"},
		{"empty post", Request{Method: "POST", Path: "/c"}, "/api/v1/c", "", 0, "Content-Length", "0"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := cl.Do(t.Context(), &c.r); err != nil {
				t.Fatal(err)
			}
			r, b := <-got, <-body
			if r.RequestURI != c.uri || b != c.body || r.ContentLength != c.length || len(r.TransferEncoding) != 0 || r.Header.Get(c.header) != c.value {
				t.Errorf("%s %s, body %q (%d, %v), %s: %q", r.Method, r.RequestURI, b, r.ContentLength, r.TransferEncoding, c.header, r.Header.Get(c.header))
			}
		})
	}
	for _, path := range []string{"customers", "/a/../b", "/a/%2e%2e/b", "/..", "/a?b=1", "/a#b", "/%zz", "/./a"} {
		_, err := cl.Do(t.Context(), &Request{Op: "GET", Method: "GET", Path: path})
		check(t, err, Setup, 0, false, "path")
	}
	_, err := cl.Do(t.Context(), &Request{Op: "GET", Method: "GET", Header: http.Header{"X-Api-Key": {"canary-42\n"}}})
	check(t, err, Setup, 0, false, "X-Api-Key")
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("shows the key: %v", err)
	}
}

func TestNew(t *testing.T) {
	cases := []struct{ base, says string }{
		{"https://crm.example/api", ""},
		{"http://127.0.0.1:8080", ""},
		{"http://127.9.9.9", ""},
		{"http://[::1]:80/x", ""},
		{"http://localhost:1", ""},
		{"http://LOCALHOST", ""},
		{"http://crm.example", "http://crm.example is not encrypted; use https (plain http is taken only for this machine)"},
		{"http://localhost.example", "not encrypted"},
		{"http://127.0.0.1.example", "not encrypted"},
		{"http://0.0.0.0", "not encrypted"},
		{"http://10.0.0.1", "not encrypted"},
		{"https://ada:canary@crm.example", "holds a user or a password"},
		{"https://ada@crm.example", "holds a user"},
		{"ftp://crm.example", "not an address"},
		{"crm.example", "not an address"},
		{"https:///x", "not an address"},
		{"https://:443/x", "not an address"},
		{"https:crm.example", "not an address"},
		{"https://crm.example?x=1", "query"},
		{"https://crm.example/#x", "fragment"},
	}
	for _, c := range cases {
		_, err := New(Config{Vendor: "Acme", Base: mustURL(t, c.base)})
		switch {
		case c.says == "" && err != nil, c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %q", c.base, err, c.says)
		case err != nil && strings.Contains(err.Error(), "canary"):
			t.Errorf("%s: shows the password: %v", c.base, err)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("no base, no error")
	}
	if _, err := New(Config{Base: mustURL(t, "https://crm.example"), Rate: -1}); err == nil {
		t.Error("a negative rate, no error")
	}
}

// TestThrottled believes a vendor's own way to say "too fast".
func TestThrottled(t *testing.T) {
	var arrived atomic.Int64
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch arrived.Add(1) {
		case 1:
			answer(500, "", `{"message":"Database Access Limit Exceeded"}`)(w, r)
		case 3:
			answer(500, "", `{"message":"something else"}`)(w, r)
		}
	})
	cl := testClient(t, srv.URL, func(c *Config) {
		c.Throttled = func(a *Response) bool { return a.Status == 500 && bytes.Contains(a.Body, []byte("Limit Exceeded")) }
	})
	var told calls
	r := told.watch(&Request{Op: "POST", Method: "POST"})
	if _, err := cl.Do(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if told.String() != su+" "+s || cl.Stats().Throttled != 1 {
		t.Errorf("told %q, %+v", told.String(), cl.Stats())
	}
	_, err := cl.Do(t.Context(), r)
	check(t, err, Transient, 500, true, "something else")
}

// TestPaused keeps calls that have not been announced yet from being so while the account is paused.
func TestPaused(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int64
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == 1 {
			answer(429, "Retry-After: 1", "")(w, r)
		}
	})
	begin := time.Now()
	cl := testClient(t, srv.URL, func(c *Config) { c.Rate = 20 })
	var told calls
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := cl.Do(t.Context(), told.watch(&Request{Op: "POST", Method: "POST"})); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(600 * time.Millisecond)
	if n := arrived.Load(); n != 1 {
		t.Errorf("%d arrived during the pause", n)
	}
	wg.Wait()
	if took := time.Since(begin); took < time.Second || took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	if n := strings.Count(told.String(), "sending"); n > 8 {
		t.Errorf("announced %d times: %s", n, told.String())
	}
	if arrived.Load() != 7 {
		t.Errorf("%d arrived", arrived.Load())
	}
}

// TestCircuit refuses calls after many failures on end, and takes up again after a success.
func TestCircuit(t *testing.T) {
	var down atomic.Bool
	var arrived atomic.Int64
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		if down.Load() {
			w.WriteHeader(502)
		}
	})
	cl := testClient(t, srv.URL, nil)
	get := &Request{Op: "GET", Method: "GET"}
	down.Store(true)
	var err error
	for range 4 {
		_, err = cl.Do(t.Context(), get)
	}
	check(t, err, Transient, 0, false, "20 calls in a row failed")
	if arrived.Load() != breakAfter {
		t.Errorf("%d arrivals", arrived.Load())
	}
	var told calls
	_, err = cl.Do(t.Context(), told.watch(&Request{Op: "POST", Method: "POST"}))
	check(t, err, Transient, 0, false, "20 calls")
	var e *Error
	if !errors.As(err, &e) || !e.Stops() || told.String() != "" {
		t.Errorf("%v, told %q", err, told.String())
	}
	down.Store(false)
	cl.circuit.mu.Lock()
	cl.circuit.until = time.Time{} // a minute later
	cl.circuit.mu.Unlock()
	for range 2 {
		if _, err := cl.Do(t.Context(), get); err != nil {
			t.Error(err)
		}
	}
}

func TestStop(t *testing.T) {
	noLeaks(t)
	entered := make(chan struct{}, 1)
	release := make(chan struct{})
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			entered <- struct{}{}
			<-release
		case "/limited":
			w.Header().Set("Retry-After", "600")
			entered <- struct{}{}
			w.WriteHeader(429)
		}
	})
	stop := make(chan struct{})
	cl := testClient(t, srv.URL, func(c *Config) { c.Stop = stop })
	inFlight, waiting := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := cl.Do(context.Background(), &Request{Op: "POST", Method: "POST", Path: "/slow"})
		inFlight <- err
	}()
	<-entered
	var told calls
	go func() {
		_, err := cl.Do(context.Background(), told.watch(&Request{Op: "POST", Method: "POST", Path: "/limited"}))
		waiting <- err
	}()
	<-entered
	time.Sleep(20 * time.Millisecond)
	close(stop)
	err := <-waiting
	check(t, err, Transient, 0, false, "stopped")
	if !errors.Is(err, ErrStopped) || told.String() != su {
		t.Errorf("%v, told %q", err, told.String())
	}
	close(release)
	if err := <-inFlight; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	if _, err := cl.Do(context.Background(), &Request{Op: "GET", Method: "GET"}); !errors.Is(err, ErrStopped) {
		t.Errorf("a new call: %v", err)
	}
}

// TestCancel breaks calls off: in flight the outcome is unknown, before that there is none.
func TestCancel(t *testing.T) {
	noLeaks(t)
	srv := serve(t, hang)
	cl := testClient(t, srv.URL, func(c *Config) { c.Rate = 0.01 })
	ctx, cancel := context.WithCancel(context.Background())
	var told calls
	r := told.watch(&Request{Op: "POST", Method: "POST", Body: []byte("{}"), Idempotent: true})
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := cl.Do(ctx, r)
	check(t, err, Transient, 0, true, "canceled")
	if !errors.Is(err, context.Canceled) || told.String() != s {
		t.Errorf("%v, told %q", err, told.String())
	}
	ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err = cl.Do(ctx, r)
	check(t, err, Transient, 0, false, "deadline")
	if !errors.Is(err, context.DeadlineExceeded) || told.String() != s {
		t.Errorf("%v, told %q", err, told.String())
	}
	if n := cl.Stats().Sent; n != 1 {
		t.Errorf("%d sent", n)
	}
}

// TestSecretsStayIn plants secrets wherever a vendor or a network could repeat them.
func TestSecretsStayIn(t *testing.T) {
	const password, key = `pa$s "w/ord<ü>`, "canary-key-0123456789"
	var log bytes.Buffer
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(400)
		_, _ = fmt.Fprintf(w, `{"message":%q,"errors":[%q,%q,%q]}`, "you sent "+r.Header.Get("Authorization"),
			"key "+r.Header.Get("X-Api-Key"), "q "+r.URL.RawQuery, "plain "+r.URL.Query().Get("p"))
	})
	cl := testClient(t, srv.URL, func(c *Config) {
		c.Secrets = []string{password}
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	_, err := cl.Do(t.Context(), &Request{Op: "POST /x?p=" + url.QueryEscape(password), Method: "POST", Query: url.Values{"p": {password}},
		Authorize: func(_ context.Context, r *http.Request) error {
			r.SetBasicAuth("ada@example.com", password)
			r.Header.Set("X-Api-Key", key)
			return nil
		}})
	check(t, err, Invalid, 400, false, "you sent")
	shown := err.Error() + log.String()
	basic := &http.Request{Header: http.Header{}}
	basic.SetBasicAuth("ada@example.com", password)
	for _, secret := range append(forms(password), key, strings.TrimPrefix(basic.Header.Get("Authorization"), "Basic ")) {
		if strings.Contains(shown, secret) {
			t.Errorf("%q is shown in %s", secret, shown)
		}
	}
	if !strings.Contains(log.String(), "status=400") || !strings.Contains(log.String(), "attempt=1") {
		t.Errorf("log: %s", log.String())
	}
}
