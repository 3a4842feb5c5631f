package mappconnect

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the vendor's scheme hashes requests with SHA-1
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// authHeader carries a call's own token.
const authHeader = "auth-token"

// hashed writes what the vendor's scheme hashes of a call: the path from the last /api/v on, the body if there is one, and
// the query if there is one, each as it is sent. The writer takes whatever it is given.
func hashed(w io.Writer, u *url.URL, body []byte) {
	path := u.EscapedPath()
	if at := strings.LastIndex(path, "/api/v"); at >= 0 {
		path = path[at:]
	}
	_, _ = io.WriteString(w, path)
	if len(body) > 0 {
		_, _ = io.WriteString(w, "|")
		_, _ = w.Write(body)
	}
	if u.RawQuery != "" {
		_, _ = io.WriteString(w, "|"+u.RawQuery)
	}
}

// token returns the token of one call that expires at exp, in whatever unit the vendor wants.
func token(u *url.URL, body []byte, secret string, exp int64) string {
	hash := sha1.New() //nolint:gosec // the vendor's scheme
	hashed(hash, u, body)
	claims := `{"request-hash":"` + hex.EncodeToString(hash.Sum(nil)) + `","exp":` + strconv.FormatInt(exp, 10) + `}`
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + enc.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + enc.EncodeToString(mac.Sum(nil))
}

// authorize signs one attempt of a call: a token is good for these bytes and a short while.
func (c *Conn) authorize(hr *http.Request, body []byte) {
	exp := c.now().Add(c.set.ttl - time.Duration(c.ahead.Load()))
	stamp := exp.Unix()
	if c.millis.Load() {
		stamp = exp.UnixMilli()
	}
	hr.Header.Set(authHeader, token(hr.URL, body, c.set.secret, stamp))
}

// skewed is from how far apart two clocks are a danger to tokens.
const skewed = time.Minute

// observe notes what time it is at the vendor.
func (c *Conn) observe(h http.Header) {
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		c.skew.Store(int64(c.now().Sub(at)))
	}
}

// clockWarning says how far this machine's clock is off, "" if it is not.
func (c *Conn) clockWarning() string {
	d := time.Duration(c.skew.Load()).Round(time.Second)
	switch {
	case d > skewed:
		return "this machine's clock is " + d.String() + " ahead of the vendor's: tokens may be refused; set the clock"
	case d < -skewed:
		return "this machine's clock is " + (-d).String() + " behind the vendor's: tokens may be refused; set the clock"
	}
	return ""
}
