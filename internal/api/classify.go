package api

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// verdict is what an attempt means for the call.
type verdict struct {
	class   Class
	status  int
	message string
	err     error

	again   bool          // worth another try, if that does no harm
	effect  effect        // what the attempt may have done
	tries   int           // at most, if less than the call has; 0: no other limit
	rest    time.Duration // what the vendor asked for
	told    bool          // rest was asked for
	account bool          // the whole account has to wait
	renew   bool          // other credentials may help
	outage  bool          // counts against the circuit
	atOnce  bool          // the next try need not wait
	held    bool          // it was not a try at all: the pace was changed before it could leave
	sending bool          // Request.Sending was called
	page    bool          // message is a page's
	answer  *Response
}

// text says what it was.
func (v *verdict) text() string {
	switch {
	case v.status != 0 && v.message != "":
		return fmt.Sprintf("%d %s", v.status, v.message)
	case v.status != 0:
		return fmt.Sprintf("%d %s", v.status, http.StatusText(v.status))
	case v.message != "":
		return v.message
	case v.err != nil:
		return v.err.Error()
	}
	return string(v.class)
}

// effect is what an attempt did at the vendor.
type effect uint8

const (
	unknown effect = iota // it may have been applied
	none                  // as if it had not been made
	refused               // the vendor looked at it and said no: the caller settles that
)

// judge classifies an answer that is not a success. base is what was asked, throttled may be nil.
func judge(got *Response, base *url.URL, throttled func(*Response) bool, now time.Time) *verdict {
	status, h, body := got.Status, got.Header, got.Body
	tooFast := status == http.StatusTooManyRequests || status >= 400 && throttled != nil && throttled(got)
	v := &verdict{status: status, message: message(h, body), page: looksHTML(h, body)}
	set := func(c Class, e effect) { v.class, v.effect = c, e }
	switch {
	case tooFast:
		set(Limited, none)
		v.again, v.account = true, true
		if v.rest, v.told = retryAfter(h, now); !v.told {
			v.rest, v.told = resetAfter(h, now)
		}
	case status >= 300 && status < 400:
		set(Setup, none)
		v.message = redirected(h, base)
	case status == http.StatusUnauthorized:
		set(Auth, none)
		v.renew = true
	case status == http.StatusForbidden && blockedPage(h, body):
		set(Blocked, none)
		v.again, v.tries = true, blockedAttempts
	case status == http.StatusForbidden, status == http.StatusPaymentRequired:
		set(Permission, none)
	case status == http.StatusNotFound, status == http.StatusGone:
		set(NotFound, refused)
	case status == http.StatusMethodNotAllowed, status == http.StatusProxyAuthRequired:
		set(Setup, none)
	case status == http.StatusConflict:
		set(Conflict, refused)
	case status == http.StatusRequestTimeout:
		set(Transient, unknown)
		v.again, v.outage = true, true
	case status == http.StatusTooEarly:
		set(Transient, none)
		v.again = true
	case status == http.StatusServiceUnavailable:
		set(Transient, none)
		v.again, v.account = true, true
		v.rest, v.told = retryAfter(h, now)
		v.outage = !v.told // one that tells when it is over is waited for
	case status >= 500:
		set(Transient, unknown)
		v.again, v.outage = true, true
		v.rest, v.told = retryAfter(h, now)
	case status >= 400:
		set(Invalid, refused)
	default:
		set(Protocol, unknown)
		v.message = "an answer that no call asked for"
	}
	return v
}

// redirected says where a redirect leads, without the query: that may hold anything.
func redirected(h http.Header, base *url.URL) string {
	to, err := url.Parse(h.Get("Location"))
	if err != nil || h.Get("Location") == "" {
		return "the vendor redirects, but does not say where to; redirects are not followed: check base_url"
	}
	to = base.ResolveReference(to)
	path := oneLine(to.EscapedPath())
	if len(path) > 300 {
		path = "/…" // not a part of it, which could be a part of a secret
	}
	return fmt.Sprintf("the vendor redirects to %s://%s%s; redirects are not followed: check base_url", oneLine(to.Scheme), oneLine(to.Host), path)
}

// mismatch reports whether a handshake failed for a reason that another try can't change. The standard library has no
// type for what the other side says, and no name for what it finds itself.
func mismatch(err error) bool {
	text := err.Error()
	if !strings.Contains(text, "tls: ") {
		return false
	}
	for _, why := range []string{"protocol version", "handshake failure", "unsupported", "insufficient security", "unrecognized name", "certificate required", "no application protocol"} {
		if strings.Contains(text, why) {
			return true
		}
	}
	return false
}

// lost classifies an attempt that ended without a whole answer. sent tells whether a byte of it may have left.
func lost(err error, sent bool, host string, timeout time.Duration) *verdict {
	v := &verdict{class: Transient, err: err, effect: none, again: true, outage: true}
	if sent {
		v.effect = unknown
	}
	var (
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		issuer  x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.Is(err, errTimeout) && sent:
		v.message = fmt.Sprintf("no answer from %s within %v", host, timeout)
	case errors.Is(err, errTimeout):
		v.message = fmt.Sprintf("no connection to %s within %v", host, timeout)
	case errors.As(err, &dns) && dns.IsNotFound:
		v.tries = unknownAttempts
		v.message = fmt.Sprintf("there is no host named %s: check base_url and this machine's network", oneLine(dns.Name))
	case errors.As(err, &dns):
		v.message = fmt.Sprintf("the name %s can't be looked up: %s", oneLine(dns.Name), oneLine(dns.Err))
	case errors.As(err, &cert), errors.As(err, &issuer), errors.As(err, &name), errors.As(err, &invalid):
		v.class, v.again, v.outage = Setup, false, false
		v.message = fmt.Sprintf("%s does not prove that it is %s: %v", host, host, err)
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		v.class, v.again, v.outage = Setup, false, false
		v.message = host + " does not speak TLS there: check base_url"
	case !sent && mismatch(err):
		v.class, v.again, v.outage = Setup, false, false
		v.message = fmt.Sprintf("%s and crmetl find no way of TLS in common (it takes 1.2 and newer): %s", host, oneLine(err.Error()))
	default:
		text := oneLine(err.Error())
		if !strings.Contains(text, host) {
			text = host + ": " + text
		}
		v.message = cut(text, maxMessage)
	}
	return v
}
