package mycrm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/schema"
)

// Ways to sign in.
const (
	authClient   = "client_credentials"
	authPassword = "password"
	authStatic   = "static"
)

// tokenLife is how long a token is good if its answer does not say it.
const tokenLife = 30 * time.Minute

// identity is who signs in, and how.
type identity struct {
	auth     string
	name     string // without secrets, for messages and the account's name
	user     string // the key, or the user's name
	password string // the secret of either
	domain   string
	token    string   // static
	url      *url.URL // where tokens are issued
}

func (who identity) secrets() []string {
	var list []string
	for _, s := range []string{who.password, who.token} {
		if s != "" {
			list = append(list, s)
		}
	}
	return list
}

// readIdentity reads who signs in.
func readIdentity(set *schema.Settings) identity {
	who := identity{auth: set.Choice(keyAuth, authClient, authPassword, authStatic), token: set.Text(keyToken, "")}
	if who.token != "" && who.auth == authClient {
		who.auth = authStatic // a token is there to be used
	}
	need := func(key string) string {
		v := set.Text(key, "")
		if v == "" {
			set.Missing(Schema(), key)
		}
		return v
	}
	switch who.auth {
	case authClient:
		who.user, who.password = need(keyAPIKey), need(keyAPISecret)
		who.name, who.token = who.user, ""
		who.url = set.URL(keyTokenURL, defaultToken)
	case authPassword:
		who.domain, who.user, who.password = need(keyDomain), need(keyUsername), need(keyPassword)
		who.name, who.token = strings.ToLower(who.domain+"/"+who.user), ""
		at := strings.TrimRight(set.Text(keyBaseURL, defaultBase), "/") + "/token"
		if own := set.Text(keyTokenURL, defaultToken); own != defaultToken {
			at = own
		}
		u, err := url.Parse(at)
		if err != nil {
			set.Bad(fmt.Errorf("%s: %w", keyTokenURL, err))
			u = &url.URL{}
		}
		who.url = u
	case authStatic:
		who.token = need(keyToken)
		who.name = "token-" + fingerprint(who.token)
	}
	return who
}

// credentials issue tokens and put them on calls.
type credentials struct {
	who    identity
	client *api.Client // of the host that issues tokens; nil for a static one
	path   string
	store  *api.TokenStore
	now    func() time.Time
}

func newCredentials(who identity, base *url.URL, account string, env api.Env, timeout time.Duration) (*credentials, error) {
	c := &credentials{who: who, now: time.Now}
	if who.auth == authStatic {
		return c, nil
	}
	host := *who.url
	c.path, host.Path, host.RawPath = who.url.EscapedPath(), "", ""
	var err error
	c.client, err = api.New(api.Config{Env: env, Vendor: "MyCRM's token service", Base: &host, Account: account, Timeout: timeout, Secrets: who.secrets()})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyTokenURL, err)
	}
	c.store = api.NewTokenStore(env, base.Host+"|"+host.Host, account, who.password)
	return c, nil
}

func (c *credentials) ready(ctx context.Context) error {
	if c.store == nil {
		return nil
	}
	_, err := c.store.Get(ctx, c.issue)
	return err
}

// renew has a new token issued, also if there is a good one: what is wrong with the credentials or the address of the
// token service shows at once.
func (c *credentials) renew(ctx context.Context) error {
	if c.store == nil {
		return nil
	}
	issued := false
	issue := func(ctx context.Context) (api.Token, error) {
		issued = true
		return c.issue(ctx)
	}
	old, err := c.store.Get(ctx, issue)
	if err == nil && !issued {
		c.store.Renew(old)
		_, err = c.store.Get(ctx, issue)
	}
	return err
}

// guard gives a call its token, and a new one if the vendor refuses it.
func (c *credentials) guard(r *api.Request) {
	var used api.Token
	r.Authorize = func(ctx context.Context, h *http.Request) error {
		if c.store == nil {
			h.Header.Set("Authorization", "Bearer "+c.who.token)
			return nil
		}
		t, err := c.store.Get(ctx, c.issue)
		if err != nil {
			return err
		}
		used = t
		h.Header.Set("Authorization", "Bearer "+t.Value)
		return nil
	}
	if c.store == nil {
		return
	}
	r.Renew = func(context.Context, *api.Response) (bool, error) {
		c.store.Renew(used)
		return true, nil
	}
}

// grant is the body of the call for a token.
type grant struct {
	Scope    string `json:"scope"`
	Type     string `json:"grant_type"`
	Domain   string `json:"domain,omitempty"`
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
}

// issue asks for a new token.
func (c *credentials) issue(ctx context.Context) (api.Token, error) {
	g := grant{Scope: "openid", Type: authClient}
	if c.who.auth == authPassword {
		g = grant{Scope: "offline", Type: authPassword, Domain: c.who.domain, Username: c.who.user, Password: c.who.password}
	}
	body, err := json.Marshal(g)
	if err != nil {
		return api.Token{}, err
	}
	r := &api.Request{Op: "POST " + c.path, Method: http.MethodPost, Path: c.path, Body: body, Idempotent: true, NoPace: true,
		Header: http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}}
	if c.who.auth == authClient {
		r.Authorize = func(_ context.Context, h *http.Request) error {
			h.SetBasicAuth(c.who.user, c.who.password)
			return nil
		}
	}
	asked := c.now()
	answer, err := c.client.Do(ctx, r)
	if err != nil {
		return api.Token{}, c.refused(r.Op, err)
	}
	var got struct {
		Token   string      `json:"access_token"`
		Expires json.Number `json:"expires_in"`
	}
	if err := json.Unmarshal(answer.Body, &got); err != nil || got.Token == "" {
		return api.Token{}, &api.Error{Op: r.Op, Class: api.Setup, Status: answer.Status, Message: "the answer has no access_token; check " + keyTokenURL, Err: err}
	}
	life := tokenLife
	if n, err := got.Expires.Float64(); err == nil && n > 0 && n < 1e9 {
		life = time.Duration(n * float64(time.Second))
	}
	return api.Token{Value: got.Token, Issued: asked, Expires: asked.Add(life)}, nil
}

// refused tells that the credentials are wrong, if that is what the service says.
func (c *credentials) refused(op string, err error) error {
	var known *api.Error
	if !errors.As(err, &known) {
		return err
	}
	switch {
	case known.Class == api.Auth, known.Class == api.Permission, known.Class == api.Invalid:
		what := "the key or the secret"
		if c.who.auth == authPassword {
			what = "the domain, the username or the password"
		}
		return &api.Error{Op: op, Class: api.Auth, Status: known.Status, Err: err,
			Message: strings.TrimSpace("the vendor refuses " + what + ". " + known.Message)}
	case known.Class == api.NotFound, known.Class == api.Setup && known.Status != 0, known.Class == api.Blocked && known.Status/100 == 2:
		return &api.Error{Op: op, Class: api.Setup, Status: known.Status, Err: err,
			Message: strings.TrimSpace("no tokens are issued there; check " + keyTokenURL + ". " + known.Message)}
	}
	return err
}
