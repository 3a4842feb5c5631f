// Package mappconnect connects to Mapp Connect: its table of objects, fields and rules, the sink that sends events in
// batches, each call signed by itself, and the sources that export its lists. The vendor takes events for processing and
// says no more, so a row is accepted and never known to be applied.
package mappconnect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/schema"
)

// Conn is one integration of Mapp Connect. Its methods are safe for many goroutines.
type Conn struct {
	api     *api.Client
	set     *settings
	account string
	now     func() time.Time
	sleep   func(context.Context, time.Duration) error

	millis atomic.Bool  // tokens say in milliseconds when they expire
	skew   atomic.Int64 // how far our clock is ahead of the vendor's
	ahead  atomic.Int64 // the same, once the vendor has refused a token that our clock had made: tokens go by the vendor's

	repeated atomic.Int64 // calls that were made again by the sink

	proving sync.Mutex
	proved  *pong
}

// Open prepares a connection; it makes no call.
func Open(conn schema.Connection, env api.Env) (*Conn, error) {
	set, err := readSettings(conn)
	if err != nil {
		return nil, err
	}
	c := &Conn{set: set, now: time.Now, sleep: env.Sleep, account: strings.ToLower(set.base.Host) + "/" + strings.ToLower(set.integration)}
	c.millis.Store(set.unit == unitMS)
	c.api, err = api.New(api.Config{Env: env, Vendor: "Mapp Connect", Base: set.base, Account: c.account, Rate: set.rate,
		Timeout: set.timeout, Secrets: []string{set.secret},
		Throttled: func(r *api.Response) bool {
			c.observe(r.Header) // each refusal passes here, and the vendor tells its time
			return throttled(r)
		}})
	if err != nil {
		return nil, fmt.Errorf("connection %s: %w", conn.Name, err)
	}
	return c, nil
}

// throttled knows how the vendor says "too fast": as its sibling service does, with a 500.
func throttled(r *api.Response) bool {
	return r.Status == http.StatusInternalServerError && bytes.Contains(bytes.ToLower(r.Body), []byte("limit exceeded"))
}

// Account names the account: host and integration.
func (c *Conn) Account() string { return c.account }

// Stats counts the calls made so far.
func (c *Conn) Stats() api.Stats {
	s := c.api.Stats()
	s.Retried += c.repeated.Load()
	return s
}

// pong is the answer to a ping.
type pong struct {
	Pong        bool        `json:"pong"`
	Integration string      `json:"integrationId"`
	Timestamp   json.Number `json:"timestamp"`
}

// Ready proves the credentials with a ping, and finds out whether tokens expire in seconds or in milliseconds. Once it
// has succeeded, it makes no further call.
func (c *Conn) Ready(ctx context.Context) error {
	_, err := c.ready(ctx)
	return err
}

func (c *Conn) ready(ctx context.Context) (*pong, error) {
	c.proving.Lock()
	defer c.proving.Unlock()
	if c.proved != nil {
		return c.proved, nil
	}
	p, err := c.ping(ctx)
	if turnedAway(err) && c.clockWarning() != "" {
		c.ahead.Store(c.skew.Load())
		p, err = c.ping(ctx)
	}
	if c.set.unit == unitAuto && turnedAway(err) {
		c.millis.Store(true)
		var again error
		if p, again = c.ping(ctx); again == nil {
			err = nil
		} else {
			c.millis.Store(false)
		}
	}
	if warning := c.clockWarning(); err != nil && turnedAway(err) && warning != "" {
		err = fmt.Errorf("%w; %s", err, warning)
	}
	if err == nil {
		c.proved = p
	}
	return p, err
}

// turnedAway reports whether a call ended because of its token.
func turnedAway(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && (e.Class == api.Auth || e.Class == api.Permission)
}

func (c *Conn) ping(ctx context.Context) (*pong, error) {
	answer, err := c.get(ctx, "/ping")
	if err != nil {
		return nil, err
	}
	p := &pong{}
	if err := json.Unmarshal(answer.Body, p); err != nil || !p.Pong {
		return nil, &api.Error{Op: "GET /ping", Class: api.Setup, Status: answer.Status,
			Message: "the answer is no pong; check base_url: " + delivery.Excerpt(answer.Body)}
	}
	if p.Integration != "" && !strings.EqualFold(p.Integration, c.set.integration) {
		return nil, &api.Error{Op: "GET /ping", Class: api.Setup, Status: answer.Status,
			Message: fmt.Sprintf("integration %s answers, not %s", p.Integration, c.set.integration)}
	}
	return p, nil
}

// Ping tries the credentials and says which integration answers.
func (c *Conn) Ping(ctx context.Context) (string, error) {
	if _, err := c.ready(ctx); err != nil {
		return "", err
	}
	s := "integration " + c.set.integration
	if c.millis.Load() {
		s += ", tokens in milliseconds"
	}
	if warning := c.clockWarning(); warning != "" {
		s += "; " + warning
	}
	return s, nil
}

// request prepares a call. path is escaped. The body must not change until the call has ended.
func (c *Conn) request(method, path string, query url.Values, body []byte) *api.Request {
	r := &api.Request{Op: method + " " + path, Method: method, Path: path, Query: query, Body: body}
	if len(query) > 0 {
		r.Op += "?" + query.Encode()
	}
	r.Authorize = func(_ context.Context, hr *http.Request) error {
		c.authorize(hr, body)
		return nil
	}
	return r
}

// get makes a GET call. A path that is not there means that cluster or integration are not what they should be.
func (c *Conn) get(ctx context.Context, path string) (*api.Response, error) {
	answer, err := c.api.Do(ctx, c.request(http.MethodGet, path, nil, nil))
	var e *api.Error
	if errors.As(err, &e) && e.Class == api.NotFound {
		return nil, c.lost(e)
	}
	if err == nil {
		c.observe(answer.Header)
		answer.Body = bytes.TrimSpace(bytes.TrimPrefix(answer.Body, []byte("\xef\xbb\xbf")))
	}
	return answer, err
}

// lost makes an error of the connection's settings of a 404.
func (c *Conn) lost(e *api.Error) error {
	text := fmt.Sprintf("%s knows no integration %s; check base_url (the cluster) and integration_id, and whether the integration is active", c.set.base.Host, c.set.integration)
	if e.Message != "" {
		text += "; it says: " + e.Message
	}
	return &api.Error{Op: e.Op, Class: api.Setup, Status: e.Status, Message: text, Err: e}
}
