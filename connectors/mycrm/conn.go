// Package mycrm connects to MyCRM of Property Finder: its table of leads, fields and rules, the sink that creates,
// changes, upserts, patches and deletes leads, and the source that exports them page by page. An update writes the whole
// lead, so it is read first; a create is not safe to repeat, and is looked up after a broken connection; DELETE /leads,
// which deletes everything if its body is lost, is made only where everything is meant.
package mycrm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/schema"
)

// Ways of setting up a connection; see the table of settings.
const (
	updateWhole  = "read-modify-write"
	updateSparse = "sparse"

	pathAuto     = "auto"
	pathPlural   = "plural"
	pathSingular = "singular"

	verifyFirst = "first"
	verifyAll   = "all"
	verifyNone  = "none"
)

// shape is how a lead is written, where the document can be read in more than one way.
type shape struct {
	envelope   bool
	preference string // key
	array      bool   // the preference stands in an array
	offering   string // preference, lead or both
	channel    string // source_channel, channel or both
}

// Conn is one account at MyCRM. Its methods are safe for many goroutines.
type Conn struct {
	api     *api.Client
	creds   *credentials
	account string
	base    string // base_url, without what may be secret
	shape   shape
	sparse  bool   // an update sends the row's fields alone
	deletes string // how a lead's deletion is addressed
	expand  string // the value of the header that asks for related records
	verify  string
	now     func() time.Time
	sleep   func(context.Context, time.Duration) error
	clock   delivery.Clock

	singular atomic.Int32 // what the first deletion has shown: 1 plural, 2 singular

	mu      sync.Mutex
	customs *catalogue // the account's custom fields, once they were asked for
}

func readShape(set *schema.Settings) shape {
	return shape{
		envelope:   set.Choice(keyEnvelope, "true", "false") == "true",
		preference: set.Choice(keyPreferenceKey, "preference", "preferences"),
		array:      set.Choice(keyPreferenceShape, "object", "array") == "array",
		offering:   set.Choice(keyOfferingTypeAt, "both", "preference", "lead"),
		channel:    set.Choice(keyChannelKey, "source_channel", "channel", "both"),
	}
}

// Open prepares a connection; it makes no call.
func Open(conn schema.Connection, env api.Env) (*Conn, error) {
	set := conn.Read()
	base := set.URL(keyBaseURL, defaultBase)
	who := readIdentity(set)
	timeout := set.Duration(keyTimeout, defaultTimeout, 0)
	rate, err := strconv.ParseFloat(set.Text(keyRate, "0"), 64) // 0 is no limit: the vendor documents none
	if err != nil || !(rate >= 0 && rate <= 1e6) {
		set.Bad(fmt.Errorf("%s %q is no number of requests a second", keyRate, set.Text(keyRate, "")))
	}
	c := &Conn{
		account: strings.ToLower(base.Host) + "/" + who.name,
		base:    base.Scheme + "://" + base.Host + base.EscapedPath(),
		shape:   readShape(set),
		sparse:  set.Choice(keyUpdateMode, updateWhole, updateSparse) == updateSparse,
		deletes: set.Choice(keyDeletePath, pathAuto, pathPlural, pathSingular),
		verify:  set.Choice(keyVerify, verifyAll, verifyFirst, verifyNone),
		expand:  set.Text(keyExpandValue, defaultExpand),
		now:     time.Now,
		sleep:   env.Sleep,
	}
	if err := set.Err(); err != nil {
		return nil, err
	}
	c.api, err = api.New(api.Config{Env: env, Vendor: "MyCRM", Base: base, Account: c.account, Rate: rate, Timeout: timeout, Secrets: who.secrets()})
	if err != nil {
		return nil, fmt.Errorf("connection %s: %w", conn.Name, err)
	}
	if c.creds, err = newCredentials(who, base, c.account, env, timeout); err != nil {
		return nil, fmt.Errorf("connection %s: %w", conn.Name, err)
	}
	return c, nil
}

// fingerprint names a secret without telling it.
func fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:6])
}

// Account names the account: host, and key or user.
func (c *Conn) Account() string { return c.account }

// Stats counts the calls made so far, those for tokens among them.
func (c *Conn) Stats() api.Stats {
	s := c.api.Stats()
	if c.creds.client != nil {
		t := c.creds.client.Stats()
		s.Sent, s.Retried, s.Throttled = s.Sent+t.Sent, s.Retried+t.Retried, s.Throttled+t.Throttled
		s.BytesSent, s.BytesRead = s.BytesSent+t.BytesSent, s.BytesRead+t.BytesRead
	}
	return s
}

// Ready gets a token, from the cache or from the vendor: what is wrong with the credentials is found before the first
// row.
func (c *Conn) Ready(ctx context.Context) error { return c.creds.ready(ctx) }

// Ping gets a new token, whatever there is in the cache, asks for one lead, and says who we are and how many leads there
// are. An answer that is none of the API's is an error of the class api.Setup.
func (c *Conn) Ping(ctx context.Context) (string, error) {
	if err := c.creds.renew(ctx); err != nil {
		return "", err
	}
	p, err := c.page(ctx, listing{perPage: 1}, 1)
	var known *api.Error
	if errors.As(err, &known) && (known.Class == api.Protocol || known.Class == api.Invalid && known.Status/100 == 2) {
		return "", c.elsewhere(known)
	}
	if err != nil {
		return "", err
	}
	if p.count < 0 {
		return c.creds.who.name + ": leads can be read", nil
	}
	return fmt.Sprintf("%s: %d leads", c.creds.who.name, p.count), nil
}

// request prepares a call under the account's token. path is escaped.
func (c *Conn) request(method, path string, query url.Values, body []byte) *api.Request {
	r := &api.Request{Op: method + " " + path, Method: method, Path: path, Query: query, Body: body, Header: http.Header{"Accept": {"application/json"}}}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Idempotent = method == http.MethodGet
	c.creds.guard(r)
	return r
}

// read makes a GET call and returns its body, which must be JSON. expand asks for related records in full.
func (c *Conn) read(ctx context.Context, path string, query url.Values, expand bool, warn func(string)) ([]byte, error) {
	r := c.request(http.MethodGet, path, query, nil)
	if expand {
		r.Header.Set("X-MyCRM-Expand-Data", c.expand)
	}
	answer, err := c.api.Do(ctx, r)
	if err != nil {
		return nil, explain(err, "lead.read")
	}
	c.clock.Observe(answer.Header, c.now())
	warning(answer.Header, warn)
	body := bytes.TrimSpace(bytes.TrimPrefix(answer.Body, []byte("\xef\xbb\xbf")))
	if !json.Valid(body) {
		return nil, &api.Error{Op: r.Op, Class: api.Protocol, Status: answer.Status, Message: "the answer is no JSON: " + delivery.Excerpt(body)}
	}
	return body, nil
}

// warning passes on what the vendor warns of in a header of its answers.
func warning(h http.Header, warn func(string)) {
	if warn == nil {
		return
	}
	for _, text := range h.Values("X-MyCRM-API-Warning") {
		if text = delivery.Excerpt([]byte(text)); text != "" {
			warn("the vendor warns: " + text)
		}
	}
}

// elsewhere says that the API is not where the settings say.
func (c *Conn) elsewhere(known *api.Error) error {
	return &api.Error{Op: known.Op, Class: api.Setup, Status: known.Status, Err: known,
		Message: strings.TrimSuffix(fmt.Sprintf("the API of MyCRM is not at %s: check %s; %s", c.base, keyBaseURL, known.Message), "; ")}
}

// explain adds to a refusal for want of rights which right the document asks for.
func explain(err error, rights string) error {
	var known *api.Error
	if !errors.As(err, &known) || known.Class != api.Permission {
		return err
	}
	more := *known
	hint := "the vendor's document asks for the right " + rights + " here"
	if strings.Contains(more.Message, hint) {
		return err
	}
	if more.Message != "" {
		hint = more.Message + "; " + hint
	}
	more.Message, more.Err = hint, err
	return &more
}

func leadPath(id string) string { return "/leads/" + url.PathEscape(id) }
