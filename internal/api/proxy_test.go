package api

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
)

// proxy is a network between a client and a vendor that can be made as bad as one likes.
type proxy struct {
	*toxiproxy.Proxy
	t *testing.T
}

// toxiServer returns the proxies' server, with a logger that writes nowhere.
func toxiServer[M, L, S any](metrics M, build func(M, L) S) S {
	var quiet L
	return build(metrics, quiet)
}

// between starts a proxy before a vendor.
func between(t *testing.T, upstream net.Addr) *proxy {
	t.Helper()
	p := &proxy{t: t}
	p.open("127.0.0.1:0", upstream.String())
	return p
}

func (p *proxy) open(at, upstream string) {
	server := toxiServer(toxiproxy.NewMetricsContainer(nil), toxiproxy.NewServer)
	p.Proxy = toxiproxy.NewProxy(server, "vendor", at, upstream)
	if err := p.Start(); err != nil {
		p.t.Error(err)
	}
	p.t.Cleanup(p.Proxy.Stop)
}

// spoil adds a fault: `latency downstream latency=50 jitter=20`.
func (p *proxy) spoil(fault string) {
	p.t.Helper()
	words := strings.Fields(fault)
	var attributes []string
	for _, w := range words[2:] {
		name, value, _ := strings.Cut(w, "=")
		attributes = append(attributes, `"`+name+`":`+value)
	}
	_, err := p.Toxics.AddToxicJson(strings.NewReader(`{"type":"` + words[0] + `","stream":"` + words[1] + `","attributes":{` + strings.Join(attributes, ",") + `}}`))
	if err != nil {
		p.t.Fatal(err)
	}
}

// heal puts a network without faults in its place. The connections that had them end: some faults never let go.
func (p *proxy) heal() {
	p.Stop()
	p.open(p.Listen, p.Upstream)
}

// TestNetwork talks to a vendor through networks that fail in the ways networks fail. Whatever happens, a POST whose
// bytes may have arrived is sent once.
func TestNetwork(t *testing.T) {
	const (
		drop  = "reset_peer downstream timeout=0" // the request arrives, its answer is a reset
		lose  = "reset_peer upstream timeout=0"   // the request is lost in a reset
		mute  = "timeout downstream timeout=0"    // the answer never comes
		slice = "slicer downstream average_size=400 size_variation=1 delay=2000"
	)
	long := `{"id":1,"name":"` + strings.Repeat("x", 6000) + `"}`
	well := answer(200, "", long)
	cases := []struct {
		name    string
		method  string
		faults  string // separated by ";"
		vendor  http.HandlerFunc
		heals   int           // before this attempt; 0: never
		timeout time.Duration // 0: 5 s
		class   Class         // "" is success
		status  int
		applied bool
		says    string
		arrived int64 // whole requests
		told    string
	}{
		{name: "latency and jitter", method: "POST", faults: "latency downstream latency=30 jitter=20; latency upstream latency=30 jitter=20", vendor: well, arrived: 1, told: s},
		{name: "little bandwidth", method: "POST", faults: "bandwidth downstream rate=60; bandwidth upstream rate=60", vendor: well, arrived: 1, told: s},
		{name: "a trickle in time", method: "POST", faults: slice, vendor: well, arrived: 1, told: s},
		{name: "a trickle that takes too long, POST", method: "POST", faults: "bandwidth downstream rate=2", vendor: well, timeout: 300 * time.Millisecond, class: Transient, status: 200, applied: true, says: "no answer from", arrived: 1, told: s},
		{name: "a trickle that takes too long, GET", method: "GET", faults: "bandwidth downstream rate=2", vendor: well, timeout: 300 * time.Millisecond, heals: 2, arrived: 2, told: rep(s, 2)},
		{name: "reset before the answer, POST", method: "POST", faults: drop, vendor: well, class: Transient, applied: true, arrived: 1, told: s},
		{name: "reset before the answer, DELETE", method: "DELETE", faults: drop, vendor: well, class: Transient, applied: true, arrived: 1, told: s},
		{name: "reset before the answer, GET", method: "GET", faults: drop, vendor: well, heals: 3, arrived: 3, told: rep(s, 3)},
		{name: "reset before the answer, GET, forever", method: "GET", faults: drop, vendor: well, class: Transient, arrived: 6, told: rep(s, 6)},
		{name: "lost on its way, POST", method: "POST", faults: lose, vendor: well, class: Transient, applied: true, arrived: 0, told: s},
		{name: "lost on its way, GET", method: "GET", faults: lose, vendor: well, heals: 2, arrived: 1, told: rep(s, 2)},
		{name: "cut in the request, POST", method: "POST", faults: "limit_data upstream bytes=150", vendor: well, class: Transient, applied: true, arrived: 0, told: s},
		{name: "cut in the answer's header, POST", method: "POST", faults: "limit_data downstream bytes=20", vendor: well, class: Transient, applied: true, arrived: 1, told: s},
		{name: "cut in the answer, POST", method: "POST", faults: "limit_data downstream bytes=2000", vendor: well, class: Transient, status: 200, applied: true, says: "cut off", arrived: 1, told: s},
		{name: "cut in the answer, GET", method: "GET", faults: "limit_data downstream bytes=2000", vendor: well, heals: 3, arrived: 3, told: rep(s, 3)},
		{name: "cut in an error, POST", method: "POST", faults: "limit_data downstream bytes=300", vendor: answer(400, "", `{"message":"bad phone"}`+strings.Repeat(" ", 900)), class: Invalid, status: 400, says: "bad phone", arrived: 1, told: s},
		{name: "hangs, POST", method: "POST", faults: mute, vendor: well, timeout: 150 * time.Millisecond, class: Transient, applied: true, says: "no answer from", arrived: 1, told: s},
		{name: "hangs, GET", method: "GET", faults: mute, vendor: well, timeout: 150 * time.Millisecond, heals: 2, arrived: 2, told: rep(s, 2)},
		{name: "refused, POST", method: "POST", faults: "down", vendor: well, class: Transient, says: "refused", arrived: 0, told: rep(su, 6)},
		{name: "refused, then well, POST", method: "POST", faults: "down", vendor: well, heals: 4, arrived: 1, told: rep(su, 3) + " " + s},
		{name: "too long an answer, POST", method: "POST", faults: "latency downstream latency=10", vendor: answer(200, "", strings.Repeat("x", 30_000)), class: Protocol, status: 200, applied: true, says: "longer than 20000 bytes", arrived: 1, told: s},
		{name: "a redirect, POST", method: "POST", faults: slice, vendor: answer(307, "Location: http://127.0.0.1:1/x", ""), class: Setup, status: 307, says: "redirect", arrived: 1, told: su},
		{name: "200 with an error, POST", method: "POST", faults: slice, vendor: answer(200, "", `{"errors":[{"field":"zip","message":"too long"}]}`), class: Invalid, status: 200, says: "zip: too long", arrived: 1, told: s},
		{name: "502 page, POST", method: "POST", faults: slice, vendor: answer(502, "Content-Type: text/html", "<html><title>Bad gateway</title></html>"), class: Transient, status: 502, applied: true, says: "Bad gateway", arrived: 1, told: s},
		{name: "502 page, GET", method: "GET", faults: slice, vendor: answer(502, "Content-Type: text/html", "<html><title>Bad gateway</title></html>"), class: Transient, status: 502, arrived: 6, told: rep(s, 6)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var arrived atomic.Int64
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				b := make([]byte, 1000)
				if n, _ := r.Body.Read(b); int64(n) != r.ContentLength {
					return
				}
				arrived.Add(1)
				c.vendor(w, r)
			})
			p := between(t, srv.Listener.Addr())
			if c.faults == "down" {
				p.Stop()
			} else {
				for f := range strings.SplitSeq(c.faults, ";") {
					p.spoil(f)
				}
			}
			cl := testClient(t, "http://"+p.Listen, func(cf *Config) {
				cf.MaxAnswer = 20_000
				if c.timeout != 0 {
					cf.Timeout = c.timeout
				}
			})
			var told calls
			r := told.watch(&Request{Op: c.method + " /x", Method: c.method, Path: "/x"})
			if c.method == "POST" {
				r.Body = []byte(`{"name":"Ada"}`)
			}
			tell, attempts := r.Sending, 0
			r.Sending = func() error {
				if attempts++; attempts == c.heals {
					p.heal()
				}
				return tell()
			}
			_, err := cl.Do(t.Context(), r)
			check(t, err, c.class, c.status, c.applied, c.says)
			if n := arrived.Load(); n != c.arrived {
				t.Errorf("%d requests arrived, want %d", n, c.arrived)
			}
			if told.String() != c.told {
				t.Errorf("told %q, want %q", told.String(), c.told)
			}
		})
	}
}

// TestResetBeforeWrite is given a connection that is reset before the request has left: nothing was sent, so it is
// sent again, whatever it is.
func TestResetBeforeWrite(t *testing.T) {
	var arrived atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		w.Header().Set("Connection", "close")
	}))
	bad := &resetting{Listener: srv.Listener, over: make(chan struct{}, 9)}
	srv.Listener = bad
	srv.Start()
	defer srv.Close()
	cl := testClient(t, srv.URL, func(c *Config) {
		c.Transport = &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			<-bad.over
			return nc, err
		}}
	})
	var told calls
	r := told.watch(&Request{Op: "POST", Method: "POST", Body: []byte("{}")})
	for i := range 2 {
		if i == 1 {
			bad.next.Store(1)
		}
		if _, err := cl.Do(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if arrived.Load() != 2 || told.String() != s+" "+su+" "+s {
		t.Errorf("%d arrived, told %q", arrived.Load(), told.String())
	}
	if st := cl.Stats(); st.Sent != 2 {
		t.Errorf("%+v", st)
	}
}

// resetting resets the next connections.
type resetting struct {
	net.Listener
	next atomic.Int64
	over chan struct{} // told of every connection, when it has got its due
}

func (l *resetting) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		good := l.next.Add(-1) < 0
		if !good {
			_ = nc.(*net.TCPConn).SetLinger(0)
			_ = nc.Close()
		}
		l.over <- struct{}{}
		if good {
			return nc, nil
		}
	}
}

// TestTrickledStream takes as long as it needs, as long as something comes.
func TestTrickledStream(t *testing.T) {
	t.Parallel()
	srv := serve(t, answer(200, "", strings.Repeat("x", 12_000)))
	p := between(t, srv.Listener.Addr())
	p.spoil("slicer downstream average_size=1000 size_variation=10 delay=40000")
	cl := testClient(t, "http://"+p.Listen, func(c *Config) { c.Timeout, c.Attempts = 250*time.Millisecond, 2 })
	begin := time.Now()
	st, err := cl.Stream(t.Context(), &Request{Op: "GET", Method: "GET"})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	n, b := 0, make([]byte, 4096)
	for err == nil {
		var k int
		k, err = st.Read(b)
		n += k
	}
	if took := time.Since(begin); n != 12_000 || took < 300*time.Millisecond {
		t.Errorf("%d bytes in %v: %v", n, took, err)
	}
	p.spoil(`timeout downstream timeout=0`)
	_, err = cl.Stream(t.Context(), &Request{Op: "GET", Method: "GET"})
	check(t, err, Transient, 0, false, "no answer from")
}

// TestNames meets name servers that know no such host, and ones in trouble.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		code  byte
		says  string
		tries int
	}{
		{3, "there is no host named crm.example: check base_url", 3},
		{2, "the name crm.example can't be looked up", 6},
	} {
		t.Run(c.says, func(t *testing.T) {
			t.Parallel()
			ns, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ns.Close()
			go func() {
				b := make([]byte, 1500)
				for {
					n, from, err := ns.ReadFrom(b)
					if err != nil {
						return
					}
					b[2], b[3] = 0x81, 0x80|c.code
					b[10], b[11] = 0, 0 // no additional records, which come last
					end := 12
					for end < n && b[end] != 0 {
						end += int(b[end]) + 1
					}
					_, _ = ns.WriteTo(b[:end+5], from)
				}
			}()
			r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "udp", ns.LocalAddr().String())
			}}
			cl := testClient(t, "https://crm.example", func(cf *Config) {
				cf.Transport = &http.Transport{DialContext: (&net.Dialer{Resolver: r}).DialContext}
			})
			var told calls
			_, err = cl.Do(t.Context(), told.watch(&Request{Op: "POST", Method: "POST", Body: []byte("{}")}))
			check(t, err, Transient, 0, false, c.says)
			if told.String() != rep(su, c.tries) {
				t.Errorf("told %q", told.String())
			}
		})
	}
}

// tapped writes down what arrives at a listener.
type tapped struct {
	net.Listener
	mu   sync.Mutex
	seen strings.Builder
}

func (l *tapped) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tap{nc, l}, nil
}

func (l *tapped) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen.String()
}

type tap struct {
	net.Conn
	l *tapped
}

func (c *tap) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.l.seen.Write(b[:n])
	return n, err
}
