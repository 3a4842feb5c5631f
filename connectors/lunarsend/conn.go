// Package lunarsend connects to Lunar Send: its table of contacts, the sink that creates, edits, upserts and deletes
// them, and the source that exports them. It speaks the legacy API of the vendor's document, which names no paths and
// can't list contacts, and v2, as far as the vendor's later pages describe it. What the document leaves open is a
// setting of the connection, and what can be found out from an answer is not taken on trust.
package lunarsend

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/schema"
)

// Conn is one account at Lunar Send. Its methods are safe for many goroutines.
type Conn struct {
	api     *api.Client
	set     settings
	key     string
	host    string
	account string
	now     func() time.Time
	sleep   func(context.Context, time.Duration) error
	clock   delivery.Clock

	unfound atomic.Pointer[string] // what Ready has against the path of searches
}

// settings say which API is spoken and how, where the document leaves it open.
type settings struct {
	v2         bool
	create     string // paths
	search     string
	edit       string
	delete     string
	searchBy   string
	deleteBy   string
	deleteSet  bool // deleteBy was chosen by the user
	naming     string
	editable   []string // fields that an edit may change
	compose    bool     // an edit sends first_name and last_name as name
	phone      string
	searchable []string // fields that a search takes
}

// defaults are the settings of a connection that sets nothing.
func defaults() settings {
	return settings{create: defaultPath, search: defaultPath, edit: defaultPath, delete: defaultPath, searchBy: inQuery, deleteBy: inBody,
		naming: namingCamel, editable: strings.Split(defaultEditable, ","), phone: phoneString, searchable: createFields("id")}
}

// createFields are the fields that the document gives a new contact, and more.
func createFields(more ...string) []string {
	return append([]string{"email", "first_name", "last_name", "company", "phone", "job_title", "notes"}, more...)
}

// Open prepares a connection; it makes no call.
func Open(conn schema.Connection, env api.Env) (*Conn, error) {
	read := conn.Read()
	key := read.Text(keyAPIKey, "")
	if key == "" {
		read.Bad(errors.New("it has no api_key: set CRMETL_LUNARSEND_API_KEY, or api_key in the config file"))
	}
	set := readSettings(read)
	base := read.URL(keyBaseURL, defaultBase)
	if set.v2 && !strings.HasSuffix(base.Path, "/v2") {
		base = base.JoinPath("v2")
	}
	timeout, err := time.ParseDuration(read.Text(keyTimeout, defaultTimeout))
	if err != nil || timeout <= 0 {
		read.Bad(fmt.Errorf("timeout %q is no duration; write it like %s", conn.Settings[keyTimeout], defaultTimeout))
	}
	rate := read.Rate(keyRate, defaultRate)
	if err := read.Err(); err != nil {
		return nil, err
	}
	// Nothing but the key tells accounts apart, and it must not be shown.
	sum := sha256.Sum256([]byte("lunarsend\x00" + key))
	host := strings.ToLower(base.Host)
	c := &Conn{set: set, key: key, host: host, account: host + "/" + hex.EncodeToString(sum[:6]), now: time.Now, sleep: env.Sleep}
	c.api, err = api.New(api.Config{Env: env, Vendor: "Lunar Send", Base: base, Account: c.account, Rate: rate, Timeout: timeout,
		Secrets: []string{key}, Throttled: throttled, MaxAnswer: 64 << 20})
	if err != nil {
		return nil, fmt.Errorf("connection %s: %w", conn.Name, err)
	}
	return c, nil
}

func readPath(read *schema.Settings, key string) string {
	p := read.Text(key, defaultPath)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	if strings.ContainsAny(p, "?#") {
		read.Bad(fmt.Errorf("%s %q is no path: it goes on with a query", key, p))
	}
	return strings.TrimRight(p, "/")
}

func readSettings(read *schema.Settings) settings {
	set := defaults()
	set.v2 = read.Choice(keyProfile, profileLegacy, profileV2) == profileV2
	set.create, set.search, set.edit, set.delete = readPath(read, keyCreate), readPath(read, keySearch), readPath(read, keyEdit), readPath(read, keyDelete)
	set.searchBy = read.Choice(keySearchBy, inQuery, inBody, inBoth)
	set.deleteBy = read.Choice(keyDeleteBy, inBody, inQuery, inPath)
	set.deleteSet = read.Text(keyDeleteBy, "") != ""
	set.naming = read.Choice(keyNaming, namingCamel, namingSnake, inBoth)
	set.compose = read.Choice(keyCompose, "off", "on") == "on"
	set.phone = read.Choice(keyPhone, phoneString, phoneInteger, phoneAuto)
	set.editable = nil
	for name := range strings.SplitSeq(read.Text(keyEditable, defaultEditable), ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(createFields("name"), name) {
			read.Bad(fmt.Errorf("edit_fields names %q, which is none of %s", name, strings.Join(createFields("name"), ", ")))
		}
		set.editable = append(set.editable, name)
	}
	if set.v2 {
		set.create, set.search, set.edit, set.delete = "/contacts", "/contacts/search", "/contacts", "/contacts"
		set.editable = createFields("user_id")
		set.compose = false
	}
	return set
}

// throttled reports whether an answer says that calls came too fast: besides 429, the vendor's page explains 500 with
// "Rate limit exceeded".
func throttled(r *api.Response) bool {
	if r.Status < 500 {
		return false
	}
	body := bytes.ToLower(r.Body)
	for _, words := range []string{"rate limit", "rate_limit", "ratelimit", "too many requests", "too_many_requests"} {
		if bytes.Contains(body, []byte(words)) {
			return true
		}
	}
	return false
}

// Account names the account: the host, and a hash of the key.
func (c *Conn) Account() string { return c.account }

// Stats counts the calls made so far.
func (c *Conn) Stats() api.Stats { return c.api.Stats() }

func (c *Conn) profile() string {
	if c.set.v2 {
		return profileV2
	}
	return profileLegacy
}

// Ready proves the key with a search, so that a wrong one is found before the first row. Where searches answer 404, the
// sink warns: creates may work all the same.
func (c *Conn) Ready(ctx context.Context) error {
	_, err := c.try(ctx)
	var lost *lostError
	if errors.As(err, &lost) {
		text := lost.Error()
		c.unfound.Store(&text)
		return nil
	}
	return err
}

// Ping searches for an address that nobody has, as the vendor has no call that says who we are.
func (c *Conn) Ping(ctx context.Context) (string, error) {
	note, err := c.try(ctx)
	var lost *lostError
	if errors.As(err, &lost) {
		return "", &api.Error{Op: "GET " + c.set.search, Class: api.Setup, Status: http.StatusNotFound, Message: lost.Error()}
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s takes the key (profile %s)%s", c.host, c.profile(), note), nil
}

// try makes calls that change nothing. A refusal of what was searched for comes after the key was looked at; a 404 says
// nothing, unless it speaks of contacts.
func (c *Conn) try(ctx context.Context) (note string, err error) {
	nobody := "nobody-" + strings.ToLower(rand.Text())
	words := ""
	for _, x := range []struct{ by, term string }{{"email", nobody + "@crmetl.invalid"}, {"id", nobody}} {
		var known *api.Error
		hits, err := c.find(ctx, x.by, x.term)
		switch {
		case refusedSearch(err) && errors.As(err, &known):
			return "; it did not understand the search: " + known.Message, nil
		case err != nil:
			return "", err
		case !hits.missing || aboutContacts(hits.words):
			return "", nil
		}
		words = hits.words
	}
	return "", &lostError{c.set.search, c.set.v2, words}
}

// lostError says that searches find no path.
type lostError struct {
	path  string
	v2    bool
	words string
}

// Error says what to check.
func (e *lostError) Error() string {
	check := "base_url and paths_search"
	if e.v2 {
		check = "base_url and profile"
	}
	s := fmt.Sprintf("searches at %s answer 404, by e-mail and by id: most likely there is no such path, and the key was perhaps not looked at; check %s", e.path, check)
	if e.words != "" {
		s += "; the vendor says: " + e.words
	}
	return s
}

// aboutContacts reports whether a 404 says that there is no contact, rather than no path.
func aboutContacts(words string) bool {
	words = strings.ToLower(words)
	has := func(list ...string) bool {
		return slices.ContainsFunc(list, func(w string) bool { return strings.Contains(words, w) })
	}
	return has("contact", "match", "record", "result") && !has("/", "path", "route", "url", "uri", "endpoint", "resource", "page", "cannot", "method")
}

// request prepares a call under the account's key. path is escaped.
func (c *Conn) request(method, path string, query url.Values, body []byte) *api.Request {
	return &api.Request{Op: method + " " + path, Method: method, Path: path, Query: query, Body: body,
		Header: http.Header{"Content-Type": {"application/json"}}, Idempotent: method == http.MethodGet,
		Authorize: func(_ context.Context, r *http.Request) error {
			r.Header.Set("x-api-key", c.key)
			return nil
		}}
}
