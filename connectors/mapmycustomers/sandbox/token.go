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

// claims are the middle part of a token, with the names and the order of the document's sample. Times are seconds since
// 1970.
type claims struct {
	IssuedAt  int64  `json:"iat"`
	ID        string `json:"jti"`
	Issuer    string `json:"iss"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	Data      struct {
		ObjectID string `json:"objectId"`
		Username string `json:"username"`
	} `json:"data"`
}

const tokenHeader = `{"typ":"JWT","alg":"HS512"}`

// token answers GET or POST /token: with Basic credentials, or with a form. The document shows Basic and names the form
// without its method; a form can only be posted.
func (s *Simulator) token(c *call) error {
	user, password, ok := c.r.BasicAuth()
	if !ok && c.r.Method == http.MethodPost {
		user, password, ok = c.form()
	}
	if !ok || user != s.made.Username || password != s.made.Password {
		return unauthorized("wrong username or password")
	}
	token, err := s.issue(c.at, c.knobs)
	if err != nil {
		return err
	}
	room.WriteJSON(c.w, http.StatusOK, struct {
		Token string `json:"token"`
	}{token})
	return nil
}

func unauthorized(text string) error { return room.Refuse(http.StatusUnauthorized, "%s", text) }

// form reads username and password from the body, in either of a form's two types.
func (c *call) form() (user, password string, ok bool) {
	r := c.r.Clone(c.r.Context())
	r.Body = http.NoBody
	var values url.Values
	switch t := strings.ToLower(c.r.Header.Get("Content-Type")); {
	case strings.HasPrefix(t, "application/x-www-form-urlencoded"):
		v, err := url.ParseQuery(string(c.body))
		if err != nil {
			return "", "", false
		}
		values = v
	case strings.HasPrefix(t, "multipart/form-data"):
		r.Body = readCloser{strings.NewReader(string(c.body))}
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			return "", "", false
		}
		values = r.MultipartForm.Value
	default:
		return "", "", false
	}
	return values.Get("username"), values.Get("password"), values.Has("username") && values.Has("password")
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// issue makes a token. Its times have whole seconds, as in the document's sample, where nbf is iat and ten.
func (s *Simulator) issue(at time.Time, k Knobs) (string, error) {
	id := make([]byte, 12)
	if _, err := rand.Read(id); err != nil {
		return "", err
	}
	var c claims
	c.IssuedAt = at.Unix()
	c.ID = base64.StdEncoding.EncodeToString(id)
	c.Issuer = "mapmycustomers.me"
	c.NotBefore = c.IssuedAt + int64(k.Activation/time.Second)
	c.Expires = c.IssuedAt + int64(k.TokenTTL/time.Second)
	c.Data.ObjectID = userID
	c.Data.Username = s.made.Username
	return s.tokens.Issue(c)
}

// authorize checks the bearer token. It also returns the token if it is one that was issued here, good or not, for the
// rate is counted by token.
func (s *Simulator) authorize(r *http.Request, at time.Time) (token string, c claims, err error) {
	token = room.Bearer(r)
	if token == "" {
		return "", c, unauthorized("want Authorization: Bearer TOKEN")
	}
	if !s.tokens.Read(token, &c) {
		return "", c, unauthorized("unknown token")
	}
	switch now := at.Unix(); {
	case now < c.NotBefore:
		return token, c, unauthorized("the token can't be used yet")
	case now >= c.Expires:
		return token, c, unauthorized("the token has expired")
	case c.Data.Username != s.made.Username:
		return token, c, unauthorized("unknown user")
	}
	return token, c, nil
}
