package mapmycustomers

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/crmetl/crmetl/internal/api"
)

// Ways to ask for a token. The vendor's document shows the credentials in a Basic header or as form data and names no
// method.
const (
	basicGet  = "basic-get"
	basicPost = "basic-post"
	formPost  = "form-post"
)

const (
	tokenLife     = 180 * 24 * time.Hour // "6 months per issuance", if the token itself says nothing
	early         = 30 * time.Second     // for so long after it was issued, a token that is refused may just not be good yet
	earlyWait     = 2 * time.Second
	earlyTries    = 5
	maxActivation = 10 * time.Minute // a token that says it needs longer is not believed
)

// credentials issue tokens and put them on calls.
type credentials struct {
	client             *api.Client
	store              *api.TokenStore
	username, password string
	method             string
	activation         time.Duration
	now                func() time.Time
	behind             func(time.Duration) // is told when the vendor's clock shows to be behind ours
	sleep              func(context.Context, time.Duration) error
	last               atomic.Pointer[string] // the token of the latest call
	good               atomic.Pointer[string] // a token that the vendor has taken: if it is refused now, it is not too young
}

// guard gives a call its token, and a second chance when the vendor refuses it: a new token may need a moment more
// than it says; an old one is replaced once.
func (c *credentials) guard(r *api.Request) {
	var used api.Token
	var tries int
	var replaced bool
	r.Authorize = func(ctx context.Context, h *http.Request) error {
		t, err := c.store.Get(ctx, c.issue)
		if err != nil {
			return err
		}
		used = t
		c.last.Store(&t.Value)
		c.learn(t)
		h.Header.Set("Authorization", "Bearer "+t.Value)
		return nil
	}
	r.Renew = func(ctx context.Context, _ *api.Response) (bool, error) {
		was := c.good.Load()
		taken := was != nil && *was == used.Value
		young := !taken && (c.now().Before(used.Issued.Add(early)) || c.now().Before(used.NotBefore.Add(early-10*time.Second)))
		if young && tries < earlyTries {
			tries++
			return true, c.sleep(ctx, earlyWait)
		}
		if replaced {
			return false, nil
		}
		replaced, tries = true, 0
		c.store.Renew(used)
		return true, nil
	}
}

// issue asks the vendor for a new token.
func (c *credentials) issue(ctx context.Context) (api.Token, error) {
	r := &api.Request{Op: "GET /token", Method: http.MethodGet, Path: "/token", Idempotent: true}
	basic := func(_ context.Context, h *http.Request) error {
		h.SetBasicAuth(c.username, c.password)
		return nil
	}
	switch c.method {
	case basicPost:
		r.Op, r.Method, r.Authorize = "POST /token", http.MethodPost, basic
	case formPost:
		r.Op, r.Method = "POST /token", http.MethodPost
		r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		r.Body = []byte(url.Values{"username": {c.username}, "password": {c.password}}.Encode())
	default:
		r.Authorize = basic
	}
	asked := c.now()
	answer, err := c.client.Do(ctx, r)
	if err != nil {
		var known *api.Error
		if errors.As(err, &known) && (known.Status == http.StatusUnauthorized || known.Status == http.StatusForbidden || known.Status == http.StatusBadRequest) {
			return api.Token{}, &api.Error{Op: r.Op, Class: api.Auth, Status: known.Status, Err: err,
				Message: strings.TrimSpace("the vendor refuses the username or the password. " + known.Message)}
		}
		return api.Token{}, err
	}
	var body struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(answer.Body, &body); err != nil || body.Token == "" {
		return api.Token{}, &api.Error{Op: r.Op, Class: api.Protocol, Status: answer.Status, Message: "the answer has no token", Err: err}
	}
	return c.dated(body.Token, asked, c.now()), nil
}

// dated works out from when until when a token is good. It is opaque: what it says of itself is used if it can be
// read, in relation to its own time of issue, so that the clocks need not agree.
func (c *credentials) dated(token string, asked, answered time.Time) api.Token {
	t := api.Token{Value: token, Issued: answered, Expires: asked.Add(tokenLife)}
	if c.activation > 0 {
		t.NotBefore = answered.Add(c.activation)
	}
	issued, notBefore, expires := claims(token)
	if issued.IsZero() {
		issued = asked // as if the clocks agreed
	}
	if life := expires.Sub(issued); !expires.IsZero() && life > 0 {
		t.Expires = asked.Add(life)
	}
	if wait := notBefore.Sub(issued); !notBefore.IsZero() && wait > c.activation && wait < maxActivation {
		t.NotBefore = answered.Add(wait)
	}
	return t
}

// learn compares the vendor's clock with ours, as they stood when a token was issued.
func (c *credentials) learn(t api.Token) {
	if issued, _, _ := claims(t.Value); !issued.IsZero() && !t.Issued.IsZero() {
		c.behind(t.Issued.Sub(issued))
	}
}

// claims reads iat, nbf and exp of a JSON Web Token; zero times are what it does not tell.
func claims(token string) (issued, notBefore, expires time.Time) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return
	}
	var c struct {
		Iat json.Number `json:"iat"`
		Nbf json.Number `json:"nbf"`
		Exp json.Number `json:"exp"`
	}
	if json.Unmarshal(raw, &c) != nil {
		return
	}
	at := func(n json.Number) time.Time {
		f, err := strconv.ParseFloat(n.String(), 64)
		if err != nil || f <= 0 || f > 1e11 {
			return time.Time{}
		}
		return time.Unix(int64(f), 0)
	}
	return at(c.Iat), at(c.Nbf), at(c.Exp)
}
