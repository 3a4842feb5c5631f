package api

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// errSealed is what a write meets after its request was given up.
var errSealed = errors.New("the request was given up")

// conn is a network connection that can say whether a request has begun to leave, and holds its first byte back until
// the vendor's rate allows it. Both need the very place where bytes pass into the network: everything above it may
// dial, shake hands, find a dead connection, or be cancelled in between.
type conn struct {
	net.Conn

	mu     sync.Mutex
	gate   func(closed <-chan struct{}) error // asked before the first byte of the request
	left   func(at time.Time)                 // told when it had gone
	begun  bool                               // a byte of the request may have left
	dead   bool                               // nothing may leave any more
	used   bool                               // a request has left on it
	closed chan struct{}
	once   sync.Once
	came   atomic.Pointer[func()] // told of every read that brought something
}

// arm prepares the connection for a request: gate is asked before its first byte, left is told when that has gone.
func (c *conn) arm(gate func(<-chan struct{}) error, left func(time.Time)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gate, c.left, c.begun = gate, left, false
	c.came.Store(nil)
}

// Read reads into b.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if f := c.came.Load(); n > 0 && f != nil {
		(*f)()
	}
	return n, err
}

// seal lets nothing leave any more and reports whether any byte of the request may have left before.
func (c *conn) seal() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	return c.begun
}

// Write sends b.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	gate, left, used := c.gate, c.left, c.used
	c.gate, c.left = nil, nil
	c.used = c.used || gate != nil
	c.mu.Unlock()
	if gate != nil {
		err := gate(c.closed)
		// What comes unasked on a connection that was used is a goodbye: TLS has one, and some servers write 408 before
		// they close. On a new one it may be a part of TLS that came late.
		if open, unread := alive(c.Conn); err == nil && (!open || unread && used) {
			err = net.ErrClosed
		}
		if err != nil {
			c.seal()
			return 0, err
		}
	}
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return 0, errSealed
	}
	c.begun = true
	c.mu.Unlock()
	n, err := c.Conn.Write(b)
	if gate == nil {
		return n, err
	}
	if n == 0 && err != nil {
		c.mu.Lock()
		c.begun = false
		c.mu.Unlock()
	} else if left != nil {
		left(time.Now()) // after the write: rather too late than too early, should we have been held up in between
	}
	return n, err
}

// ReadFrom sends what r has. A body that is in memory leaves as it lies there, without a copy of its parts.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		if b, ok := l.R.(interface {
			io.WriterTo
			Len() int
		}); ok && int64(b.Len()) <= l.N {
			n, err := b.WriteTo(c)
			l.N -= n
			return n, err
		}
	}
	return io.Copy(struct{ io.Writer }{c}, r)
}

// Close closes the connection; a request that waits at the gate is told.
func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// under finds our connection below what TLS and proxies put on top of it.
func under(nc net.Conn) *conn {
	for nc != nil {
		if c, ok := nc.(*conn); ok {
			return c
		}
		u, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		nc = u.NetConn()
	}
	return nil
}

// transport returns what carries the calls, and whether its connections are ours. A round tripper that is not an
// *http.Transport is used as it is: calls through it are paced before they reach it, and every failure within it
// counts as one after sending.
func transport(given http.RoundTripper) (rt http.RoundTripper, ours bool) {
	var t *http.Transport
	switch g := given.(type) {
	case nil:
		t = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			TLSHandshakeTimeout: 15 * time.Second,
			MaxIdleConns:        64,
			MaxIdleConnsPerHost: 64,
			// Shorter than what common servers allow (5 s): who closes first decides, and a server that closes
			// just as a record leaves makes its fate unknown.
			IdleConnTimeout: 4 * time.Second,
		}
	case *http.Transport:
		if g == nil {
			return transport(nil)
		}
		t = g.Clone()
	default:
		return given, false
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{}
	}
	t.TLSClientConfig.MinVersion = max(t.TLSClientConfig.MinVersion, tls.VersionTLS12)
	// HTTP/1.1 carries one request at a time on a connection, which is what makes "nothing was sent" a fact; at the
	// vendors' rates HTTP/2 has nothing to offer.
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	t.TLSClientConfig.NextProtos = slices.DeleteFunc(slices.Clone(t.TLSClientConfig.NextProtos), func(p string) bool { return p == "h2" })
	t.DisableCompression = true // we ask for gzip and unpack it ourselves, to see a cut-off answer for what it is
	t.MaxResponseHeaderBytes = 256 << 10
	dial := t.DialContext
	if dial == nil {
		dial = (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &conn{Conn: nc, closed: make(chan struct{})}, nil
	}
	return t, true
}
