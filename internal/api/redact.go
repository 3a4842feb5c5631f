package api

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// masked is what stands where a secret stood.
const masked = "[secret]"

// secretHeaders carry credentials. What was sent in them is a secret too, though nobody listed it: tokens come and go
// while a run lasts, and vendors repeat them in their messages.
var secretHeaders = []string{"Authorization", "Auth-Token", "X-Auth-Token", "X-Access-Token", "X-Api-Key", "Api-Key", "Apikey", "Proxy-Authorization", "Cookie"}

// Shapes that are secret whoever made them. Words are left alone: "basic authentication is required" must stay readable.
var (
	schemeShape = regexp.MustCompile(`(?i)\b(?:basic|bearer)\s+[a-z0-9+/=._~-]{6,}`)
	looksCoded  = regexp.MustCompile(`[0-9=+/]|[a-z][A-Z]`)
	shapes      = []*regexp.Regexp{
		regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?`),
		regexp.MustCompile(`(?i)"(?:access_?token|refresh_?token|id_?token|token|client_?secret|secret|api_?key|api_?secret|password)"\s*:\s*"(?:[^"\\]|\\.)*"`),
		regexp.MustCompile(`(?i)\b(?:access_token|refresh_token|auth_?token|token|client_secret|api_?key|api_?secret|password)=[^\s"'&;,]+`),
		regexp.MustCompile(`(?i)\b(?:authorization|auth-token|x-api-key)["']?\s*[:=]\s*["']?[a-z0-9+/=._~-]{12,}`),
		regexp.MustCompile(`(?i)\bhttps?://[^\s/@:]+:[^\s/@]+@`),
	}
)

// learned is how many header values are remembered: more than calls that run at once.
const learned = 64

// redactor takes secrets out of texts for people.
type redactor struct {
	fixed []string // every form of every configured secret

	mu       sync.Mutex
	seen     []string // header values, newest last
	replacer *strings.Replacer
}

// newRedactor knows the secrets and what they look like inside other texts. account is the name that basic
// authentication puts before a password.
func newRedactor(secrets []string, account string) *redactor {
	r := &redactor{}
	for _, s := range secrets {
		r.fixed = append(r.fixed, forms(s)...)
		if account != "" && s != "" {
			r.fixed = append(r.fixed, base64.StdEncoding.EncodeToString([]byte(account+":"+s)))
		}
	}
	return r
}

// learn remembers the credentials of a request that is about to leave.
func (r *redactor) learn(h http.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range secretHeaders {
		for _, v := range h[name] {
			// "Bearer abc": the part after the scheme turns up alone.
			if f := strings.Fields(v); len(f) > 1 {
				v = f[len(f)-1]
			}
			if len(v) < 6 || slices.Contains(r.seen, v) {
				continue
			}
			if len(r.seen) == learned {
				r.seen = slices.Delete(r.seen, 0, 1)
			}
			r.seen = append(r.seen, v)
			r.replacer = nil
		}
	}
}

// text returns s without secrets.
func (r *redactor) text(s string) string {
	if s == "" {
		return s
	}
	s = r.current().Replace(s)
	s = schemeShape.ReplaceAllStringFunc(s, func(m string) string {
		scheme, value, _ := strings.Cut(m, " ")
		if !looksCoded.MatchString(value) {
			return m
		}
		return scheme + " " + masked
	})
	for _, re := range shapes {
		s = re.ReplaceAllString(s, masked)
	}
	return s
}

func (r *redactor) current() *strings.Replacer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.replacer == nil {
		all := slices.Clone(r.fixed)
		for _, v := range r.seen {
			all = append(all, forms(v)...)
		}
		// The longest first: a secret that begins like another must go whole.
		slices.SortStableFunc(all, func(a, b string) int { return len(b) - len(a) })
		pairs := make([]string, 0, 2*len(all))
		for _, s := range slices.Compact(all) {
			pairs = append(pairs, s, masked)
		}
		r.replacer = strings.NewReplacer(pairs...)
	}
	return r.replacer
}

// error returns err with a text that is safe to show; what errors.Is and errors.As find stays.
func (r *redactor) error(err error) error {
	if err == nil {
		return nil
	}
	if s := err.Error(); r.text(s) != s {
		return &redactedError{text: r.text(s), err: err}
	}
	return err
}

type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }

func (e *redactedError) Unwrap() error { return e.err }

// forms returns a secret as it may stand in a text: plain, percent-encoded, inside a JSON string, and in base64, alone
// or as the middle of something longer.
func forms(secret string) []string {
	if len(secret) < 3 {
		return nil // would take the words out of every message
	}
	out := []string{secret}
	add := func(s string) {
		if len(s) >= 6 && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, s := range []string{url.QueryEscape(secret), url.PathEscape(secret)} {
		add(s)
		add(percent.ReplaceAllStringFunc(s, strings.ToLower))
	}
	if j, err := json.Marshal(secret); err == nil {
		add(string(j[1 : len(j)-1]))
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(secret) == nil {
		j := strings.TrimSpace(b.String())
		j = j[1 : len(j)-1]
		add(j)
		add(strings.ReplaceAll(j, "/", `\/`))
	}
	add(html.EscapeString(secret))
	for _, s := range slices.Clone(out) {
		add(oneLine(s)) // as a message shows it
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		add(enc.EncodeToString([]byte(secret)))
		// Within a longer text the secret begins at one of three places of a group; the characters that it shares
		// with its neighbours are left out.
		for shift, shared := range []int{0, 2, 3} {
			s := enc.EncodeToString(append(make([]byte, shift), secret...))
			whole := (shift + len(secret)) * 8 / 6
			if whole > shared {
				add(s[shared:whole])
			}
		}
	}
	return out
}

var percent = regexp.MustCompile(`%[0-9A-F]{2}`)
