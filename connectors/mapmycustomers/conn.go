// Package mapmycustomers connects to Map My Customers: its table of objects, fields and rules, the sinks that load
// customers, routes, groups and custom field labels, and the sources that export its lists. A call that creates a
// customer returns no id and is not safe to repeat; the sink finds out by a search what became of one that was
// interrupted.
package mapmycustomers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/schema"
)

// Conn is one account at Map My Customers. Its methods are safe for many goroutines.
type Conn struct {
	api     *api.Client
	creds   *credentials
	account string
	now     func() time.Time
	sleep   func(context.Context, time.Duration) error
	zones   zones
	clock   delivery.Clock
}

// Open prepares a connection; it makes no call.
func Open(conn schema.Connection, env api.Env) (*Conn, error) {
	set := func(key, def string) string {
		if v := strings.TrimSpace(conn.Settings[key]); v != "" {
			return v
		}
		return def
	}
	var problems []error
	username, password := set(keyUsername, ""), conn.Settings[keyPassword]
	if username == "" {
		problems = append(problems, fmt.Errorf("connection %s has no username: set CRMETL_MAPMYCUSTOMERS_USERNAME, or username in the config file", conn.Name))
	}
	if password == "" {
		problems = append(problems, fmt.Errorf("connection %s has no password: set CRMETL_MAPMYCUSTOMERS_PASSWORD, or password in the config file", conn.Name))
	}
	bad := func(err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("connection %s: %w", conn.Name, err))
		}
	}
	base, err := baseURL(set(keyBaseURL, defaultBase))
	bad(err)
	activation, err := duration(keyActivation, set(keyActivation, defaultActivation))
	bad(err)
	timeout, err := duration(keyTimeout, set(keyTimeout, defaultTimeout))
	bad(err)
	method, err := methodOf(set(keyMethod, ""))
	bad(err)
	rate, err := strconv.ParseFloat(set(keyRate, strconv.Itoa(defaultRate)), 64)
	if err != nil || !(rate > 0 && rate <= 1e6) {
		bad(fmt.Errorf("rate %q is no number of requests a second above 0", conn.Settings[keyRate]))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	c := &Conn{account: strings.ToLower(base.Host) + "/" + strings.ToLower(username), now: time.Now, sleep: env.Sleep}
	c.api, err = api.New(api.Config{Env: env, Vendor: "Map My Customers", Base: base, Account: c.account, Rate: rate, Timeout: timeout,
		Renewals: 2*earlyTries + 1, Secrets: []string{password}})
	if err != nil {
		return nil, fmt.Errorf("connection %s: %w", conn.Name, err)
	}
	c.creds = &credentials{client: c.api, username: username, password: password, method: method, activation: activation,
		behind: c.clock.Behind,
		store:  api.NewTokenStore(env, base.Host, c.account, password),
		now:    func() time.Time { return c.now() },
		sleep:  func(ctx context.Context, d time.Duration) error { return c.sleep(ctx, d) },
	}
	return c, nil
}

// baseURL reads the address of the API.
func baseURL(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(s, "/"))
	if err != nil {
		return nil, fmt.Errorf("base_url: %w", err)
	}
	return u, nil // the rest is checked by the api
}

// duration reads "10s", or a bare number of seconds.
func duration(key, s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if n, bare := strconv.ParseFloat(s, 64); bare == nil {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s %q is no duration; write it like 10s", key, s)
	}
	return d, nil
}

// Account names the account: host and user.
func (c *Conn) Account() string { return c.account }

// Stats counts the calls made so far.
func (c *Conn) Stats() api.Stats { return c.api.Stats() }

// Ready gets a token, from the cache or from the vendor, and waits until it is good: what is wrong with the credentials
// is found before the first row.
func (c *Conn) Ready(ctx context.Context) error {
	_, err := c.creds.store.Get(ctx, c.creds.issue)
	return err
}

// Ping signs in and says who we are and what the account allows.
func (c *Conn) Ping(ctx context.Context) (string, error) {
	u, err := c.user(ctx)
	if err != nil {
		return "", err
	}
	s := u.Username
	if u.Name != "" {
		s += " (" + u.Name + ")"
	}
	s += fmt.Sprintf(": %d groups", len(u.Groups))
	if u.NumPins != "" {
		s += ", limit " + u.NumPins.String() + " pins"
	}
	return s, nil
}

// account is what this package uses of GET /user.
type account struct {
	Username       string      `json:"username"`
	Name           string      `json:"name"`
	NumPins        json.Number `json:"numPins"`
	NumGroups      json.Number `json:"numGroups"`
	Colors         []string    `json:"colors"`
	Groups         []string    `json:"groups"`
	RequiredGroups []string    `json:"requiredGroups"`
}

func (c *Conn) user(ctx context.Context) (account, error) {
	var u account
	body, err := c.read(ctx, "/user")
	if err != nil {
		return u, err
	}
	if err := json.Unmarshal(body, &u); err != nil {
		return u, &api.Error{Op: "GET /user", Class: api.Protocol, Message: "the answer is no user: " + err.Error(), Err: err}
	}
	return u, nil
}

// request prepares a call under the account's token. path is escaped.
func (c *Conn) request(method, path string, body []byte) *api.Request {
	r := &api.Request{Op: method + " " + path, Method: method, Path: path, Body: body}
	if body != nil {
		r.Header = http.Header{"Content-Type": {"application/json"}}
	}
	r.Idempotent = method == http.MethodGet
	c.creds.guard(r)
	return r
}

// read makes a GET call and returns its body, which must be one JSON object as documented.
func (c *Conn) read(ctx context.Context, path string) ([]byte, error) {
	r := c.request(http.MethodGet, path, nil)
	answer, err := c.api.Do(ctx, r)
	if err != nil {
		return nil, err
	}
	c.clock.Observe(answer.Header, c.now())
	body := bytes.TrimSpace(bytes.TrimPrefix(answer.Body, []byte("\xef\xbb\xbf")))
	if len(body) == 0 || body[0] != '{' || !json.Valid(body) {
		return nil, &api.Error{Op: r.Op, Class: api.Protocol, Status: answer.Status, Message: "the answer is no JSON object: " + delivery.Excerpt(body)}
	}
	return body, nil
}

// message finds what an answer says in words: message, error or errors; else the beginning of the text.
func message(body []byte) string {
	var x struct {
		Message json.RawMessage `json:"message"`
		Error   json.RawMessage `json:"error"`
		Errors  json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(body, &x) == nil {
		for _, raw := range []json.RawMessage{x.Error, x.Errors, x.Message} {
			var s string
			if json.Unmarshal(raw, &s) == nil && strings.TrimSpace(s) != "" {
				return strings.TrimSpace(s)
			}
			var o struct {
				Message string `json:"message"`
			}
			if json.Unmarshal(raw, &o) == nil && o.Message != "" {
				return o.Message
			}
			if len(raw) > 2 && (raw[0] == '[' || raw[0] == '{') {
				return delivery.Excerpt(raw)
			}
		}
	}
	return delivery.Excerpt(body)
}
