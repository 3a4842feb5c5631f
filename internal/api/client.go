package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// ErrStopped ends a call that was waiting when Env.Stop was closed. Find it with errors.Is; the *Error around it says
// whether an earlier attempt of the call may have been applied.
var ErrStopped = errors.New("stopped before the call left")

// errTimeout cancels an attempt that took too long.
var errTimeout = errors.New("timeout")

const (
	defaultTimeout = 30 * time.Second
	defaultAnswer  = 16 << 20
	maxErrorBody   = 64 << 10
)

// Client makes the calls of one account. Its methods are safe for many goroutines.
type Client struct {
	c       Config
	rt      http.RoundTripper
	ours    bool // rt's connections know whether a request has begun to leave
	pace    *pacer
	secrets *redactor
	log     *slog.Logger
	circuit circuit
	budget  budget

	sent, retried, throttled, bytesSent, bytesRead atomic.Int64
}

// New checks c and returns a client; it makes no call. Only https is taken, and plain http to this machine itself.
func New(c Config) (*Client, error) {
	if c.Vendor == "" {
		c.Vendor = "the vendor"
	}
	base, err := checkBase(c.Base)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Vendor, err)
	}
	if c.Rate < 0 || math.IsNaN(c.Rate) || c.Timeout < 0 || c.Attempts < 0 || c.Env.Attempts < 0 || c.MaxAnswer < 0 || c.Renewals < 0 {
		return nil, fmt.Errorf("%s: rate, timeout, attempts and sizes can't be negative", c.Vendor)
	}
	c.Base = base
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Attempts == 0 {
		c.Attempts = c.Env.Attempts
	}
	if c.Attempts == 0 {
		c.Attempts = defaultAttempts
	}
	if c.MaxAnswer == 0 {
		c.MaxAnswer = defaultAnswer
	}
	if c.Renewals == 0 {
		c.Renewals = 1
	}
	if c.UserAgent == "" {
		c.UserAgent = "crmetl"
	}
	cl := &Client{c: c, secrets: newRedactor(c.Secrets, c.Account), log: c.Log}
	if cl.log == nil {
		cl.log = slog.New(slog.DiscardHandler)
	}
	cl.rt, cl.ours = transport(c.Transport)
	cl.pace = newPacer(c.StateDir, base.Host, c.Account, c.Rate, c.Stop, func(err error) {
		cl.log.Warn("the rate can't be shared with other processes on this machine; only this one keeps it",
			"vendor", c.Vendor, "error", cl.Redact(err.Error()))
	})
	if c.RetryDelay > 0 {
		cl.pace.unit, cl.circuit.delay = c.RetryDelay, c.RetryDelay
	}
	return cl, nil
}

// checkBase refuses addresses that would send credentials in the clear or to a place nobody named.
func checkBase(u *url.URL) (*url.URL, error) {
	if u == nil {
		return nil, errors.New("base_url is missing")
	}
	host := strings.ToLower(u.Host)
	switch {
	case u.User != nil:
		return nil, fmt.Errorf("base_url of %s holds a user or a password; give them as settings of their own", host)
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "", u.Opaque != "":
		return nil, fmt.Errorf("base_url %q is not an address of the form https://host/path", u.Redacted())
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("base_url %s://%s%s goes on with a query or a fragment; leave that out", u.Scheme, host, u.EscapedPath())
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, fmt.Errorf("http://%s%s is not encrypted; use https (plain http is taken only for this machine)", host, u.EscapedPath())
	}
	c := *u
	c.Host = host
	return &c, nil
}

// loopback reports whether a host name can only mean this machine.
func loopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Stats counts what was done so far.
func (c *Client) Stats() Stats {
	return Stats{
		Sent: c.sent.Load(), Retried: c.retried.Load(), Throttled: c.throttled.Load(),
		BytesSent: c.bytesSent.Load(), BytesRead: c.bytesRead.Load(),
	}
}

// Redact returns s without the account's secrets, in whatever form they stand in it, and without credentials of calls
// made lately.
func (c *Client) Redact(s string) string { return c.secrets.text(s) }

// Close gives up connections that wait for another call. The client can still be used.
func (c *Client) Close() {
	if t, ok := c.rt.(interface{ CloseIdleConnections() }); ok && c.ours {
		t.CloseIdleConnections()
	}
}

// Do makes a call and returns its answer, read whole: a status of 2xx whose body does not say that it is an error.
// Attempts that had no effect are repeated, others only if the request is a GET, a HEAD or Idempotent: each call at most
// Config.Attempts times (longer, while the vendor says by 503 and Retry-After when it will be back), and all calls of
// a client together no more than one in ten of them. What goes beyond that, or fails again and again, closes the client
// for a while, or for good: every call is then refused with a Transient error, before it leaves.
//
// Every error is an *Error, except those of Request.Sending and Request.Undone, which come as they are, wrapped.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	var answer *Response
	err := c.call(ctx, r, func(a *attempt, hr *http.Response) *verdict {
		body, err := a.readAll(hr, c.c.MaxAnswer)
		if err != nil {
			return a.broken(hr.StatusCode, err)
		}
		if v := notMeant(hr, body); v != nil {
			return v
		}
		answer = &Response{Status: hr.StatusCode, Header: hr.Header, Body: body}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// notMeant looks for failures that call themselves a success.
func notMeant(hr *http.Response, body []byte) *verdict {
	if b := trimBOM(body); len(b) > 0 && b[0] == '<' {
		// Who made this page, and whether the call went past it, nobody knows.
		return &verdict{class: Blocked, status: hr.StatusCode, again: true, tries: blockedAttempts, page: true,
			message: "a page instead of data: " + message(hr.Header, body)}
	}
	if text, bad := failure(body); bad {
		return &verdict{class: Invalid, status: hr.StatusCode, message: text, effect: refused}
	}
	return nil
}

// call makes attempts until one succeeds or it makes no sense to go on. take gets the answer of each that ended with
// 2xx and returns nil if it is good.
func (c *Client) call(ctx context.Context, r *Request, take func(*attempt, *http.Response) *verdict) error {
	harmless := r.harmless()
	maybe := false // an attempt may have been applied
	fail := func(v *verdict) error {
		most := maxMessage
		if v.page {
			most = maxPage
		}
		return &Error{Op: c.Redact(r.Op), Class: v.class, Status: v.status, Applied: maybe, Err: c.secrets.error(v.err),
			Message: cut(c.Redact(v.message), most)}
	}
	target, err := c.target(r)
	if err != nil {
		return fail(&verdict{class: Setup, err: err})
	}
	c.budget.calls.Add(1)
	renewals, left := 0, false
	for n := 1; ; n++ {
		if why := c.refuses(); why != "" {
			return fail(&verdict{class: Transient, message: why})
		}
		v, err := c.try(ctx, r, target, n, left, take)
		if err != nil {
			return err
		}
		if v == nil {
			return nil
		}
		left = left || v.sending && !v.held
		if v.effect == unknown && !harmless {
			maybe = true
		}
		if v.class == Limited {
			c.throttled.Add(1)
		}
		if v.effect == none && v.sending && r.Undone != nil {
			if err := r.Undone(cut(c.Redact(v.text()), 200)); err != nil {
				return fmt.Errorf("%s: %w", r.Op, errors.Join(err, fail(v)))
			}
		}
		if v.held {
			n--
			continue
		}
		if v.renew && r.Renew != nil && renewals < c.c.Renewals {
			again, err := r.Renew(ctx, v.answer)
			if err != nil {
				return fail(because(err, Auth))
			}
			if again {
				renewals++
				n--
				continue
			}
		}
		wait := v.rest
		if v.again && !v.told && !v.atOnce {
			wait = backoff(c.c.RetryDelay, n)
		}
		shared := v.account && !r.NoPace
		if shared {
			c.pace.rest(wait)
		}
		last := c.c.Attempts
		if v.tries > 0 {
			last = min(last, v.tries)
		}
		if v.waits() {
			// It says when it will be back, which no number of tries can tell better.
			if last = n; c.refuses() == "" {
				last++
			}
		}
		if !v.again || n >= last || v.effect != none && !harmless && !r.Idempotent {
			return fail(v)
		}
		if v.costs() && !c.budget.spend() {
			v.class, v.message = Transient, v.text()+"; "+spentBudget
			return fail(v)
		}
		if !shared {
			if err := sleep(ctx, c.c.Stop, nil, wait); err != nil {
				return fail(&verdict{class: Transient, err: err, message: err.Error() + "; before that: " + v.text()})
			}
		}
	}
}

// refuses says why no call leaves any more, if so.
func (c *Client) refuses() string {
	if c.budget.out.Load() {
		return spentBudget
	}
	return c.circuit.shut(time.Now(), c.c.Vendor)
}

// harmless reports whether a request changes nothing, however often it is made.
func (r *Request) harmless() bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// because classifies an error that a callback returned. What another call may have done says nothing about this one.
func because(err error, class Class) *verdict {
	v := &verdict{class: class, err: err, effect: none, message: err.Error()}
	var e *Error
	switch {
	case errors.As(err, &e):
		v.class = e.Class
		if e.Class == Invalid || e.Class == NotFound || e.Class == Conflict || e.Class == Protocol {
			v.class = class // it was about the credentials, not about a record
		}
	case errors.Is(err, ErrStopped), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		v.class = Transient
	}
	return v
}

// target returns the address of a call.
func (c *Client) target(r *Request) (*url.URL, error) {
	u := *c.c.Base
	raw := strings.TrimRight(u.EscapedPath(), "/") + r.Path
	if r.Path != "" && r.Path[0] != '/' || strings.ContainsAny(r.Path, "?#") {
		return nil, fmt.Errorf("the path %q does not begin with a slash, or goes on with a query", r.Path)
	}
	path, err := url.PathUnescape(raw)
	if err != nil {
		return nil, fmt.Errorf("the path %q is not escaped: %w", r.Path, err)
	}
	for seg := range strings.SplitSeq(path, "/") {
		// Servers and proxies take these as steps, and another resource would be meant.
		if seg == "." || seg == ".." {
			return nil, fmt.Errorf("the path %q leaves its place", r.Path)
		}
	}
	u.Path, u.RawPath = path, raw
	u.RawQuery = r.Query.Encode()
	return &u, nil
}
