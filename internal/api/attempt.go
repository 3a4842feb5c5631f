package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	errTooLong = errors.New("the answer is too long")
	errPacked  = errors.New("packed in a way that was not asked for")
)

// attempt is one try of a call, from its departure to the last byte of its answer.
type attempt struct {
	cl     *Client
	r      *Request
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer // ends it; stopped while it waits for the pace
	repeat bool        // not the first of its call
	keep   bool        // the answer goes on being read after the attempt has returned: a stream

	mu      sync.Mutex
	on      *conn // what it leaves on
	strange bool  // it left on a connection that is not ours
	reused  bool
	held    error // why the gate kept it back
	planned int64 // when it left, as far as the pacer knows
	flying  bool  // counted among the pacer's calls on their way
	over    bool  // it has ended: what is late now counts no more
}

// try makes one attempt. It returns nil, nil if that was good, a verdict if not, and an error if the call is over for
// reasons of our own.
func (c *Client) try(ctx context.Context, r *Request, target *url.URL, n int, repeat bool, take func(*attempt, *http.Response) *verdict) (*verdict, error) {
	var err error
	if r.NoPace {
		err = sleep(ctx, c.c.Stop, nil, 0)
	} else {
		err = c.pace.wait(ctx)
	}
	if err != nil {
		return &verdict{class: Transient, err: err, effect: none}, nil
	}
	why := c.refuses() // it may have come to that meanwhile
	if why == "" && !c.circuit.enter(time.Now()) {
		why = c.refuses()
	}
	if why != "" {
		return &verdict{class: Transient, message: why, effect: none}, nil
	}
	hr, err := c.request(ctx, r, target)
	if err != nil {
		return because(err, Auth), nil
	}
	if err := checkHeaders(hr.Header); err != nil {
		return &verdict{class: Setup, err: err, effect: none}, nil
	}
	c.secrets.learn(hr.Header)
	if r.Sending != nil {
		if err := r.Sending(); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Op, err)
		}
	}
	begin := time.Now()
	a := &attempt{cl: c, r: r, repeat: repeat}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	a.timer = time.AfterFunc(c.c.Timeout, func() { a.cancel(errTimeout) })
	v := a.exchange(hr, take)
	if v != nil {
		v.sending = true
	}
	if v != nil || !a.keep {
		a.end()
	}
	a.adapt(v)
	c.report(ctx, r, v, n, time.Since(begin))
	return v, nil
}

// report writes the line of an attempt and keeps the circuit.
func (c *Client) report(ctx context.Context, r *Request, v *verdict, n int, took time.Duration) {
	switch {
	case v != nil && v.waits():
		c.circuit.away(time.Now(), v.rest)
	case v == nil, v.status != 0 && !v.outage:
		c.circuit.worked()
	case v.outage:
		c.circuit.failed(time.Now(), v.effect == unknown && !r.harmless() && !r.Idempotent)
	}
	if !c.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	args := []any{"vendor", c.c.Vendor, "op", c.Redact(r.Op), "attempt", n, "ms", took.Milliseconds()}
	if v != nil {
		args = append(args, "status", v.status, "class", string(v.class))
		if v.status == 0 && v.err != nil {
			args = append(args, "error", c.Redact(v.err.Error()))
		}
	}
	c.log.DebugContext(ctx, "call", args...)
}

// request builds what is sent. It can't be replayed below us: who sends again, and when, is decided here alone.
func (c *Client) request(ctx context.Context, r *Request, target *url.URL) (*http.Request, error) {
	hr := &http.Request{
		Method: r.Method, URL: target, Host: target.Host, Header: r.Header.Clone(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		// A body that can't be had again, even an empty one, keeps the transport from sending twice.
		Body: c.bodyOf(r), ContentLength: int64(len(r.Body)),
	}
	if hr.Header == nil {
		hr.Header = http.Header{}
	}
	if len(r.Body) == 0 && hr.Header.Get("Idempotency-Key") == "" && hr.Header.Get("X-Idempotency-Key") == "" {
		switch r.Method {
		case http.MethodPost, http.MethodPut, http.MethodPatch:
			hr.Body = http.NoBody // sent as Content-Length: 0; the transport does not repeat these methods
		}
	}
	setDefault(hr.Header, "Accept", "application/json")
	if len(r.Body) > 0 {
		setDefault(hr.Header, "Content-Type", "application/json")
	}
	hr.Header.Set("User-Agent", c.c.UserAgent)
	hr.Header.Set("Accept-Encoding", "gzip")
	hr = hr.WithContext(ctx)
	if r.Authorize != nil {
		if err := r.Authorize(ctx, hr); err != nil {
			return nil, err
		}
	}
	return hr, nil
}

// bodyOf returns what a request carries. What nobody watches goes together with the headers, if it is short: the transport
// knows that it is in memory.
func (c *Client) bodyOf(r *Request) io.ReadCloser {
	if r.Readers == nil {
		return io.NopCloser(bytes.NewReader(r.Body))
	}
	b := &watched{readers: r.Readers, sure: c.ours}
	b.Reset(r.Body)
	b.readers.Add(1)
	return b
}

// watched is a body that tells when it is read no more.
type watched struct {
	bytes.Reader
	readers *atomic.Int32
	sure    bool // who closes it does not read it at the same time, as some round trippers do
	once    sync.Once
}

// Close is called by the transport when it reads no more, which may be after the call has ended.
func (b *watched) Close() error {
	if b.sure {
		b.once.Do(func() { b.readers.Add(-1) })
	}
	return nil
}

func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" {
		h.Set(name, value)
	}
}

// checkHeaders finds what can't be sent before the transport does, whose message would show the value.
func checkHeaders(h http.Header) error {
	for name, values := range h {
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("the value of header %s holds a line break or another control character; check the credentials for a stray one", name)
			}
		}
	}
	return nil
}

// exchange sends the request and takes the answer.
func (a *attempt) exchange(hr *http.Request, take func(*attempt, *http.Response) *verdict) *verdict {
	c := a.cl
	ctx := a.ctx
	if c.ours {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: a.gotConn})
	} else {
		if err := a.gate(nil); err != nil {
			return a.unsent(err)
		}
		a.left(time.Now())
	}
	resp, err := c.rt.RoundTrip(hr.WithContext(ctx))
	if err != nil {
		return a.failed(err)
	}
	a.count()
	a.answered(resp.Header)
	if resp.StatusCode/100 == 2 {
		v := take(a, resp)
		if v != nil {
			_ = resp.Body.Close()
		}
		return v
	}
	body, _ := a.readAll(resp, maxErrorBody) // what has come of an error's words is enough
	_ = resp.Body.Close()
	got := &Response{Status: resp.StatusCode, Header: resp.Header, Body: body}
	v := judge(got, hr.URL, c.c.Throttled, time.Now())
	v.answer = got
	return v
}

// gotConn is told which connection the request leaves on, before it does.
func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	cn := under(info.Conn)
	a.mu.Lock()
	a.on, a.reused = cn, info.Reused
	a.mu.Unlock()
	if cn != nil {
		cn.arm(a.gate, a.left)
		return
	}
	a.mu.Lock()
	a.strange = true
	a.mu.Unlock()
	if err := a.gate(nil); err != nil {
		a.cancel(err)
		return
	}
	a.left(time.Now())
}

// gate holds the request back until the pace allows it.
func (a *attempt) gate(closed <-chan struct{}) error {
	a.timer.Stop()
	err := sleep(a.ctx, a.cl.c.Stop, nil, 0)
	var planned int64
	if err == nil && !a.r.NoPace {
		planned, err = a.cl.pace.depart(a.ctx, closed)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.planned, a.held = planned, err
	if planned != 0 {
		a.land() // of another connection that came to nothing
		a.flying = true
	}
	if a.over {
		a.land()
	}
	if err == nil {
		a.timer.Reset(a.cl.c.Timeout)
	}
	return err
}

// left is told when the first byte went. The call may be over by then.
func (a *attempt) left(at time.Time) {
	a.mu.Lock()
	planned := a.planned
	a.mu.Unlock()
	if planned == 0 {
		return
	}
	start := a.cl.pace.late(planned, time.Duration(at.UnixNano()-planned))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.planned == planned {
		a.planned = start
	}
}

// answered takes in what the vendor says of the account, whatever else it says.
func (a *attempt) answered(h http.Header) {
	a.mu.Lock()
	start := a.planned
	a.land()
	a.mu.Unlock()
	if start != 0 {
		a.cl.pace.answered(start)
		a.cl.pace.heard(h, start)
	}
}

// land tells the pacer that the vendor has counted the call, or that nobody will ever know.
func (a *attempt) land() {
	if a.flying {
		a.flying = false
		a.cl.pace.flying.Add(-1)
	}
}

// adapt makes the account slower or faster by how the attempt ended.
func (a *attempt) adapt(v *verdict) {
	a.mu.Lock()
	start := a.planned
	a.over = true
	a.land()
	a.mu.Unlock()
	switch {
	case start == 0:
	case v == nil, v.status != 0 && v.class != Limited && !v.outage:
		a.cl.pace.faster(start)
	case v.class == Limited:
		a.cl.pace.slower(start, v.told)
	}
}

// count counts the attempt as one that left.
func (a *attempt) count() {
	a.cl.sent.Add(1)
	if a.repeat {
		a.cl.retried.Add(1)
	}
	a.cl.bytesSent.Add(int64(len(a.r.Body)))
}

// failed classifies an attempt without an answer.
func (a *attempt) failed(err error) *verdict {
	a.mu.Lock()
	on, strange, reused, held := a.on, a.strange, a.reused, a.held
	a.mu.Unlock()
	sent := strange || !a.cl.ours && !dialing(err)
	if on != nil {
		sent = on.seal()
	}
	if !sent && held != nil {
		return a.unsent(held)
	}
	if sent {
		a.count()
	}
	v := a.ended(err, sent)
	if !sent && reused {
		// The connection had died while nobody used it: that says nothing about the vendor.
		v.atOnce, v.outage = true, false
	}
	return v
}

// unsent classifies an attempt that the gate kept back.
func (a *attempt) unsent(err error) *verdict {
	v := a.ended(err, false)
	switch {
	case errors.Is(err, errHeld):
		v.held = true
	case errors.Is(err, ErrStopped):
		v.again, v.message = false, ""
	case errors.Is(err, net.ErrClosed):
		v.atOnce = true
	}
	v.outage = false
	return v
}

// ended classifies an error by what ended the attempt.
func (a *attempt) ended(err error, sent bool) *verdict {
	if cause := context.Cause(a.ctx); cause != nil && !errors.Is(err, errHeld) && !errors.Is(err, ErrStopped) {
		err = cause
	}
	v := lost(err, sent, a.cl.c.Base.Host, a.cl.c.Timeout)
	if context.Cause(a.ctx) != nil && !errors.Is(err, errTimeout) {
		v.again, v.outage = false, false // the caller has had enough
	}
	return v
}

// broken classifies an answer that began well and can't be read to its end.
func (a *attempt) broken(status int, err error) *verdict {
	switch {
	case errors.Is(err, errTooLong):
		return &verdict{class: Protocol, status: status, err: err, message: fmt.Sprintf("the answer is longer than %d bytes", a.cl.c.MaxAnswer)}
	case errors.Is(err, errPacked):
		return &verdict{class: Protocol, status: status, err: err, message: "the answer is " + err.Error()}
	}
	v := a.ended(err, true)
	v.status = status
	if !errors.Is(v.err, errTimeout) {
		v.message = "the answer was cut off: " + v.message
	}
	return v
}

// dialing reports whether an error of a foreign round tripper is one of connecting.
func dialing(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns)
}

// end frees what the attempt holds.
func (a *attempt) end() {
	a.timer.Stop()
	a.cancel(nil)
}

// readAll reads an answer of at most limit bytes, unpacked.
func (a *attempt) readAll(hr *http.Response, limit int64) ([]byte, error) {
	defer func() { _ = hr.Body.Close() }()
	r, err := a.unpacked(hr, false)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if n := hr.ContentLength; n > 0 && n < limit {
		b.Grow(int(n) + bytes.MinRead)
	}
	_, err = b.ReadFrom(io.LimitReader(r, limit+1))
	if err == nil && int64(b.Len()) > limit {
		b.Truncate(int(limit))
		err = errTooLong
	}
	return b.Bytes(), err
}

// unpacked returns an answer's body without its transfer packing. With idle, the attempt ends when nothing has come
// for the timeout, however long it takes as a whole.
func (a *attempt) unpacked(hr *http.Response, idle bool) (io.Reader, error) {
	w := &wire{a: a, body: hr.Body, idle: idle}
	a.mu.Lock()
	on := a.on
	a.mu.Unlock()
	if idle && on != nil {
		// One read of a body may take many of the network: it goes on until its buffer or the chunk is full.
		came := func() { a.timer.Reset(a.cl.c.Timeout) }
		on.came.Store(&came)
	}
	switch enc := strings.ToLower(strings.TrimSpace(hr.Header.Get("Content-Encoding"))); enc {
	case "", "identity":
		return w, nil
	case "gzip", "x-gzip":
		return &gunzip{from: w}, nil
	default:
		return nil, fmt.Errorf("%w: %q", errPacked, oneLine(enc))
	}
}

// wire reads an answer as it comes from the network.
type wire struct {
	a    *attempt
	body io.Reader
	idle bool
}

func (w *wire) Read(p []byte) (int, error) {
	if w.idle {
		w.a.timer.Reset(w.a.cl.c.Timeout)
	}
	n, err := w.body.Read(p)
	if w.idle {
		w.a.timer.Stop()
	}
	w.a.cl.bytesRead.Add(int64(n))
	return n, err
}

// gunzip unpacks; it begins with the first read, because an empty answer has no gzip header.
type gunzip struct {
	from *wire
	z    *gzip.Reader
}

func (g *gunzip) Read(p []byte) (int, error) {
	if g.z == nil {
		z, err := gzip.NewReader(g.from)
		if err != nil {
			return 0, err // io.EOF if there is nothing at all
		}
		g.z = z
	}
	return g.z.Read(p)
}
