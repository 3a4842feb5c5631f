package sandbox

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// claims are the middle part of a token. Times are seconds since 1970. What the vendor has in its tokens is not public.
type claims struct {
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	ID       string `json:"jti"`
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Use      string `json:"use"` // access, refresh
}

const (
	tokenHeader = `{"alg":"HS256","typ":"JWT"}`
	useAccess   = "access"
	useRefresh  = "refresh"
)

// granted is the answer to a request for a token.
type granted struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token,omitempty"`
}

// denial is OAuth's form of a refusal (RFC 6749, 5.2).
type denial struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func (c *call) deny(status int, code, text string) error {
	if status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", `Basic realm="mycrm"`)
	}
	room.WriteJSON(c.w, status, denial{code, text})
	return nil
}

// credentialsToken answers POST /auth/oauth/v1/token: Basic with the key and the secret, and a grant as JSON. There is no
// refresh token.
func (s *Simulator) credentialsToken(c *call) error {
	members, err := c.object()
	if err != nil {
		return err
	}
	grant := texts(members)
	key, secret, ok := c.r.BasicAuth()
	switch {
	case !ok || key != s.made.APIKey || secret != s.made.APISecret:
		return c.deny(http.StatusUnauthorized, "invalid_client", "wrong API key or secret")
	case grant["grant_type"] != "client_credentials":
		return c.deny(http.StatusBadRequest, "unsupported_grant_type", "want client_credentials")
	case grant["scope"] != "openid":
		return c.deny(http.StatusBadRequest, "invalid_scope", "want openid")
	}
	return s.grant(c, http.StatusOK, s.made.APIKey, false)
}

// passwordToken answers POST /token, the older way: a password grant as JSON or as a form, and a refresh token for the
// next time.
func (s *Simulator) passwordToken(c *call) error {
	grant := map[string]string{}
	switch t := strings.ToLower(c.r.Header.Get("Content-Type")); {
	case strings.HasPrefix(t, "application/x-www-form-urlencoded"):
		values, err := url.ParseQuery(string(c.body))
		if err != nil {
			return room.Invalid("the form can't be read: %v", err)
		}
		for name := range values {
			grant[name] = values.Get(name)
		}
	default:
		members, err := c.object()
		if err != nil {
			return err
		}
		grant = texts(members)
	}
	switch grant["grant_type"] {
	case "password":
		if grant["domain"] != s.made.Domain || grant["username"] != s.made.Username || grant["password"] != s.made.Password {
			return c.deny(http.StatusUnauthorized, "invalid_grant", "wrong domain, username or password")
		}
	case "refresh_token":
		var claim claims
		if !s.tokens.Read(grant["refresh_token"], &claim) || claim.Use != useRefresh || claim.Subject != s.made.Username {
			return c.deny(http.StatusUnauthorized, "invalid_grant", "unknown refresh token")
		}
	default:
		return c.deny(http.StatusBadRequest, "unsupported_grant_type", "want password or refresh_token")
	}
	return s.grant(c, c.knobs.TokenStatus, s.made.Username, grant["scope"] == "offline" || grant["grant_type"] == "refresh_token")
}

// texts are the members that are strings.
func texts(members []room.Member) map[string]string {
	out := map[string]string{}
	for _, m := range members {
		if t, ok := m.Text(); ok {
			out[m.Name] = t
		}
	}
	return out
}

func (s *Simulator) grant(c *call, status int, subject string, refresh bool) error {
	token, err := s.issue(c.at, c.knobs, subject, useAccess)
	if err != nil {
		return err
	}
	g := granted{AccessToken: token, TokenType: "Bearer", ExpiresIn: int64(c.knobs.TokenTTL / time.Second)}
	if refresh {
		if g.RefreshToken, err = s.issue(c.at, c.knobs, subject, useRefresh); err != nil {
			return err
		}
	}
	room.WriteJSON(c.w, status, g)
	return nil
}

// issue makes a token.
func (s *Simulator) issue(at time.Time, k Knobs, subject, use string) (string, error) {
	id := make([]byte, 12)
	if _, err := rand.Read(id); err != nil {
		return "", err
	}
	return s.tokens.Issue(claims{
		IssuedAt: at.Unix(), Expires: at.Unix() + int64(k.TokenTTL/time.Second),
		ID: base64.RawURLEncoding.EncodeToString(id), Issuer: "sandbox", Subject: subject, Use: use,
	})
}

// authorize checks the bearer token. counts is whether the caller is known, for the rate is counted by account.
func (s *Simulator) authorize(r *http.Request, at time.Time, k Knobs) (counts bool, err error) {
	token := room.Bearer(r)
	if token == "" {
		return false, unauthorized("want Authorization: Bearer TOKEN")
	}
	if k.StaticToken != off && token == k.StaticToken {
		return true, nil
	}
	var claim claims
	if !s.tokens.Read(token, &claim) || claim.Use != useAccess || claim.Subject != s.made.APIKey && claim.Subject != s.made.Username {
		return false, unauthorized("unknown token")
	}
	if at.Unix() >= claim.Expires {
		return true, unauthorized("the token has expired")
	}
	return true, nil
}

func unauthorized(text string) error { return room.Refuse(http.StatusUnauthorized, "%s", text) }
