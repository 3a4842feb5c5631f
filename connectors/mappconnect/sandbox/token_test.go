package sandbox

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// TestVectors accepts tokens that were made elsewhere, by the vendor's rules.
func TestVectors(t *testing.T) {
	const (
		integration = "11111111-2222-3333-4444-555555555555"
		secret      = "example-secret-0123456789abcdef0"
		head        = "eyJhbGciOiJIUzI1NiJ9."
		user        = `{"email":"user@mapp.com","group":"2324333335"}`
	)
	millis := base64.RawURLEncoding.EncodeToString([]byte(`{"request-hash":"db9a492f1f948faa0a427547b44dd988dc398409","exp":1700000600000}`))
	for name, c := range map[string]struct{ method, path, body, token string }{
		"A":                 {"GET", "/ping", "", head + "eyJyZXF1ZXN0LWhhc2giOiIzNWNkMjViMzljNjFhNDI4YzM0YWQyN2ZkYTk3MmU2MjhkYzk3YTg2IiwiZXhwIjoxNzAwMDAwNjAwfQ.AFxAgw7c-Xo7fyXnQMdcsz2eWDS_y4VxFWGQAgHKxNk"},
		"B":                 {"POST", "/event?subtype=user", user, head + "eyJyZXF1ZXN0LWhhc2giOiJkYjlhNDkyZjFmOTQ4ZmFhMGE0Mjc1NDdiNDRkZDk4OGRjMzk4NDA5IiwiZXhwIjoxNzAwMDAwNjAwfQ.vaE62J9tptIZPbCNAtHJKXZL0HLjEeXTbMweYk3Vw2c"},
		"B in milliseconds": {"POST", "/event?subtype=user", user, head + millis + ".16mSHwQYV1uRPJAkKQKhKGiPZCIWJJjbPMSufAHrENA"},
		"C": {"POST", "/event/batch?subtype=user", `[{"email":"zoë@example.com","group":"10144"}]`,
			head + "eyJyZXF1ZXN0LWhhc2giOiJjMzA3MTE0NmM5NjNkNzYwMzIyMjEwMGM0NTlhMjUwZTUyYmVmNzI5IiwiZXhwIjoxNzAwMDAwNjAwfQ.Pi7_910yeOUZwoMeyBrYpRF_XDBoUtfb4JG6bQf7RhY"},
	} {
		d := newDesk(t, room.Options{}, Knobs{IntegrationID: integration, Secret: secret})
		send := func(at time.Time, token string) (int, string) {
			d.now = at
			r := httptest.NewRequest(c.method, prefix+"/integration/"+integration+c.path, strings.NewReader(c.body))
			r.Header.Set("auth-token", token)
			r.Header.Set("Content-Type", "application/json")
			w := d.serve(r)
			return w.Code, w.Header().Get(AuthHeader)
		}
		end := time.Unix(1700000600, 0)
		last := strings.LastIndex(c.token, ".")
		plain := c.token[:last] + strings.NewReplacer("-", "+", "_", "/").Replace(c.token[last:]) + "=" // as some of the vendor's clients write it
		for _, one := range []struct {
			at     time.Time
			token  string
			status int
			reason string
		}{
			{end.Add(-600 * time.Second), c.token, 200, ""},
			{end.Add(-time.Millisecond), c.token, 200, ""},
			{end, c.token, 401, AuthExpired},
			{end.Add(-time.Second), plain, 200, ""},
			{end.Add(-time.Second), c.token[:last] + ".AAAA", 401, AuthSignature},
			{end.Add(-time.Second), c.token[:last], 401, AuthMalformed},
		} {
			status, reason := send(one.at, one.token)
			if status != one.status || reason != one.reason {
				t.Errorf("%s at %s: %d %q, want %d %q", name, one.at, status, reason, one.status, one.reason)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	at := "/api/v1/integration/" + SandboxIntegration
	const body = `{"email":"a@b.c","group":"12"}`
	exp := fmt.Sprint(d.now.Unix() + 600)
	good := `{"request-hash":"%s","exp":` + exp + `}`
	head := func(json string) string {
		token := signed(SandboxSecret, at+"/event", body, "subtype=user", good)
		_, rest, _ := strings.Cut(token, ".")
		return b64(json) + "." + rest
	}
	for name, c := range map[string]struct{ token, reason string }{
		"none":              {"", AuthMissing},
		"good":              {signed(SandboxSecret, at+"/event", body, "subtype=user", good), ""},
		"whole float":       {signed(SandboxSecret, at+"/event", body, "subtype=user", `{"request-hash":"%s","exp":`+exp+`.0}`), ""},
		"more claims":       {signed(SandboxSecret, at+"/event", body, "subtype=user", `{"iat":1,"request-hash":"%s","exp":`+exp+`}`), ""},
		"bearer":            {"Bearer " + signed(SandboxSecret, at+"/event", body, "subtype=user", good), AuthMalformed},
		"no JWT":            {"abc", AuthMalformed},
		"no base64":         {"a.b!.c", AuthMalformed},
		"alg none":          {head(`{"alg":"none"}`), AuthMalformed},
		"alg HS512":         {head(`{"alg":"HS512"}`), AuthMalformed},
		"other head":        {head(`{"typ":"JWT","alg":"HS256"}`), AuthSignature},
		"other secret":      {signed("x", at+"/event", body, "subtype=user", good), AuthSignature},
		"charon in path":    {signed(SandboxSecret, "/charon"+at+"/event", body, "subtype=user", good), AuthHash},
		"other path":        {signed(SandboxSecret, at+"/event/batch", body, "subtype=user", good), AuthHash},
		"other body":        {signed(SandboxSecret, at+"/event", body+" ", "subtype=user", good), AuthHash},
		"no body":           {signed(SandboxSecret, at+"/event", "", "subtype=user", good), AuthHash},
		"no query":          {signed(SandboxSecret, at+"/event", body, "", good), AuthHash},
		"query first":       {signed(SandboxSecret, at+"/event", "subtype=user", body, good), AuthHash},
		"question mark":     {signed(SandboxSecret, at+"/event", body, "?subtype=user", good), AuthHash},
		"no exp":            {signed(SandboxSecret, at+"/event", body, "subtype=user", `{"request-hash":"%s"}`), AuthMalformed},
		"exp as text":       {signed(SandboxSecret, at+"/event", body, "subtype=user", `{"request-hash":"%s","exp":"x"}`), AuthMalformed},
		"exp with fraction": {signed(SandboxSecret, at+"/event", body, "subtype=user", `{"request-hash":"%s","exp":`+exp+`.5}`), AuthMalformed},
		"exp negative":      {signed(SandboxSecret, at+"/event", body, "subtype=user", `{"request-hash":"%s","exp":-1}`), AuthMalformed},
		"exp huge":          {signed(SandboxSecret, at+"/event", body, "subtype=user", `{"request-hash":"%s","exp":1e30}`), AuthMalformed},
		"exp over":          {signed(SandboxSecret, at+"/event", body, "subtype=user", `{"request-hash":"%s","exp":1}`), AuthExpired},
		"no hash":           {signed(SandboxSecret, at+"/event", body, "subtype=user", `{"hash":"%s","exp":`+exp+`}`), AuthMalformed},
		"no object":         {signed(SandboxSecret, at+"/event", body, "subtype=user", `["%s"]`), AuthMalformed},
	} {
		for _, status := range []string{"401", "403"} {
			d.set("set auth_status=" + status)
			r := d.request("POST", "/event?subtype=user", body)
			r.Header.Set("auth-token", c.token)
			if c.token == "" {
				r.Header.Del("auth-token")
			}
			w := d.serve(r)
			want := status
			if c.reason == "" {
				want = "200"
			}
			if fmt.Sprint(w.Code) != want || w.Header().Get(AuthHeader) != c.reason {
				t.Errorf("%s: %d %q, want %s %q", name, w.Code, w.Header().Get(AuthHeader), want, c.reason)
			}
			if w.Code >= 400 && !strings.HasPrefix(w.Body.String(), `{"errorActor":"CLIENT","errorCode":"AUTHENTICATION_FAILED","message":"`) {
				t.Errorf("%s: %s", name, w.Body)
			}
		}
	}
	if n := d.Store.Len(kindInbox); n != 6 {
		t.Errorf("%d events were accepted", n)
	}
}

// TestTokenKnobs rules out one form of tokens after the other.
func TestTokenKnobs(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	for _, c := range []struct {
		set, exp string
		want     string
	}{
		{"set exp_unit=any", "S", ""},
		{"set exp_unit=any", "S000", ""},
		{"set exp_unit=s", "S", ""},
		{"set exp_unit=s", "S000", AuthUnit},
		{"set exp_unit=ms", "S000", ""},
		{"set exp_unit=ms", "S", AuthUnit},
		{"set token_max_ttl=10m", "S", ""},
		{"set token_max_ttl=10m", "S000", ""},
		{"set token_max_ttl=599s", "S", AuthTooFar},
		{"set token_max_ttl=599s", "S000", AuthTooFar},
		{"set clock_offset=9m59s", "S", ""},
		{"set clock_offset=10m", "S", AuthExpired},
		{"set clock_offset=10m", "S000", AuthExpired},
	} {
		d.set(c.set)
		r := d.request("GET", "/ping", "")
		exp := strings.ReplaceAll(c.exp, "S", fmt.Sprint(d.now.Unix()+600))
		r.Header.Set("auth-token", signed(SandboxSecret, "/api/v1/integration/"+SandboxIntegration+"/ping", "", "", `{"request-hash":"%s","exp":`+exp+`}`))
		w := d.serve(r)
		if got := w.Header().Get(AuthHeader); got != c.want || (w.Code == 200) != (c.want == "") {
			t.Errorf("%s, exp %s: %d %q, want %q", c.set, c.exp, w.Code, got, c.want)
		}
	}

	// A signature that has a letter in which the alphabets differ, and one that ends so that padding is right.
	strict := newDesk(t, room.Options{}, Knobs{StrictJWT: true})
	for n := 0; ; n++ {
		exp := fmt.Sprintf(`{"request-hash":"%%s","exp":%d}`, d.now.Unix()+600+int64(n))
		token := signed(SandboxSecret, "/api/v1/integration/"+SandboxIntegration+"/ping", "", "", exp)
		last := strings.LastIndex(token, ".")
		other := token[:last] + strings.NewReplacer("-", "+", "_", "/").Replace(token[last:])
		if other == token {
			continue
		}
		for text, want := range map[string]string{token: "", other: AuthMalformed, token + "=": AuthMalformed, other + "=": AuthMalformed} {
			for k, want := range map[*desk]string{d: "", strict: want} {
				k.set("")
				r := k.request("GET", "/ping", "")
				r.Header.Set("auth-token", text)
				if got := k.serve(r).Header().Get(AuthHeader); got != want {
					t.Errorf("%s, strict %v: %q, want %q", text[last:], k == strict, got, want)
				}
			}
		}
		break
	}
}
