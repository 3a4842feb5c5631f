// Package mapmycustomers connects to Map My Customers: its table of objects, fields and rules, the sinks that load
// customers, routes, groups and custom field labels, and the sources that export its lists. A call that creates a
// customer returns no id and is not safe to repeat; the sink finds out by a search what became of one that was
// interrupted.
package mapmycustomers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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
	set := conn.Read()
	username, password := set.Text(keyUsername, ""), conn.Settings[keyPassword]
	if username == "" {
		set.Missing(Schema(), keyUsername)
	}
	if password == "" {
		set.Missing(Schema(), keyPassword)
	}
	base := set.URL(keyBaseURL, defaultBase)
	activation := set.Duration(keyActivation, defaultActivation, 0)
	timeout := set.Duration(keyTimeout, defaultTimeout, 0)
	method := set.Choice(keyMethod, basicGet, basicPost, formPost)
	rate := set.Rate(keyRate, defaultRate)
	if err := set.Err(); err != nil {
		return nil, err
	}
	c := &Conn{account: strings.ToLower(base.Host) + "/" + strings.ToLower(username), now: time.Now, sleep: env.Sleep}
	var err error
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
