// Package api carries requests to a vendor's HTTP API: under the vendor's rate, with retries where they are safe,
// with credentials that never leak, and with an answer to the one question that counts after a failure: may the
// call have been applied?
package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// Env is what the surroundings give to every connection.
type Env struct {
	StateDir  string            // where processes on this machine share an account's rate; "" keeps it in this process
	CacheDir  string            // where tokens are kept between runs (0600 in a 0700 folder); "" keeps them in memory
	Transport http.RoundTripper // nil: the default one, TLS 1.2 or newer
	Log       *slog.Logger      // nil: nothing is logged
	Stop      <-chan struct{}   // closed when the user asks to stop: waits end with ErrStopped, calls in flight go on
	UserAgent string
	Attempts  int // tries per call where Config says nothing; 0 means 6
}

// Sleep waits for d. It ends early with ErrStopped when the user asks to stop, or with the cause of the context's end.
func (e Env) Sleep(ctx context.Context, d time.Duration) error { return sleep(ctx, e.Stop, nil, d) }

// Config describes one account's client.
type Config struct {
	Env
	Vendor     string        // for messages: "Map My Customers"
	Base       *url.URL      // what request paths are appended to
	Account    string        // who we are there, without secrets: rate and tokens are kept by host and account
	Rate       float64       // request starts a second, never exceeded in any one second (2.5 is 3 in any 1.2 s); 0: no limit but the vendor's word
	Timeout    time.Duration // of connecting, of one call, and between two reads of a streamed answer; 0 means 30 s
	Attempts   int           // tries per call; 0 means 6
	MaxAnswer  int64         // bytes of an answer that is read whole; 0 means 16 MiB
	Secrets    []string      // never shown: replaced in every error and log line
	RetryDelay time.Duration // first delay of the backoff; 0 means 1 s
	Renewals   int           // how often a call may ask Request.Renew; 0 means 1

	// Throttled, if set, knows the vendor's own way to say "too fast" among answers of 400 and above; such an answer
	// counts as a 429: not applied, and the account waits.
	Throttled func(*Response) bool
}

// Request is one call.
type Request struct {
	Op         string // for messages and the journal: "POST /customers"
	Method     string
	Path       string // escaped, appended to Config.Base: "/customers/a%20b"
	Query      url.Values
	Header     http.Header
	Body       []byte
	Readers    *atomic.Int32 // if set, counts who may still read Body when the call has ended: an answer may come before all of it has left
	Idempotent bool          // repeating it after an unknown outcome does no harm
	NoPace     bool          // not under the vendor's rate (a token call of another host)

	// Sending is called when the call is about to leave, before each attempt, after all waiting but for a last
	// fraction of the way to its start. An error keeps the attempt back.
	Sending func() error
	// Undone is called after an attempt, announced by Sending, that is known to have had no effect and to say nothing
	// about the record: it never left, or was turned away (429, 503, 401, 403, a redirect). It is not called after an
	// answer about the record (Invalid, NotFound, Conflict), which the caller settles, nor when the outcome is unknown.
	Undone func(why string) error
	// Authorize sets the credentials, before each attempt.
	Authorize func(ctx context.Context, r *http.Request) error
	// Renew is called after a 401 and reports whether the credentials are new, so that the call is worth repeating.
	Renew func(ctx context.Context, answer *Response) (bool, error)
}

// Response is an answer, read whole.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Class says what kind of failure it was.
type Class string

// The classes of failure.
const (
	Auth       Class = "auth"         // credentials are wrong or have run out: the run stops, resumable
	Permission Class = "permission"   // the account may not do this: the run stops
	Invalid    Class = "validation"   // the vendor refuses this record
	NotFound   Class = "not_found"    // there is no such record
	Conflict   Class = "conflict"     // the vendor refuses this record as it has one like it
	Limited    Class = "rate_limited" // too many calls, also after waiting
	Transient  Class = "transient"    // the vendor or the network is in trouble
	Blocked    Class = "edge_blocked" // HTML from a proxy or firewall before the API
	Protocol   Class = "protocol"     // an answer that can't be understood
	Setup      Class = "config"       // redirect, unknown host, wrong path: the connection's settings are wrong
)

// Error is a call that did not succeed.
type Error struct {
	Op      string
	Class   Class
	Status  int    // HTTP status, 0 if there was no answer
	Message string // what the vendor said, cut and redacted
	Applied bool   // the call may have been applied
	Err     error  // the cause below, if any
}

// Error says what was tried and what came back.
func (e *Error) Error() string {
	s := e.Op + ": "
	switch {
	case e.Status != 0 && e.Message != "":
		s += fmt.Sprintf("%d %s: %s", e.Status, http.StatusText(e.Status), e.Message)
	case e.Status != 0:
		s += fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	case e.Message != "":
		s += e.Message
	case e.Err != nil:
		s += e.Err.Error()
	default:
		s += string(e.Class)
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// MaybeApplied reports whether the vendor may have done what was asked.
func (e *Error) MaybeApplied() bool { return e.Applied }

// Stops reports whether the failure says nothing about the record but ends the run: it would meet every other row too.
func (e *Error) Stops() bool {
	switch e.Class {
	case Auth, Permission, Limited, Transient, Blocked, Setup:
		return true
	}
	return false
}

// Stats counts what a client has done.
type Stats struct {
	Sent      int64 // requests that left, retries among them
	Retried   int64
	Throttled int64 // answers that said "too fast"
	BytesSent int64 // of request bodies
	BytesRead int64
}
