package mappconnect

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/schema"
)

// expOf reads when a token expires.
func expOf(t *testing.T, jwt string) int64 {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", jwt)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Exp int64 }
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Exp
}

func TestToken(t *testing.T) {
	const base = "https://jamie.g.shortest-route.com/charon/api/v1/integration/" + testID
	tests := []struct {
		name, url, body string
		exp             int64
		data, want      string
	}{
		{"A", base + "/ping", "", 1700000600, "/api/v1/integration/" + testID + "/ping",
			"eyJhbGciOiJIUzI1NiJ9.eyJyZXF1ZXN0LWhhc2giOiIzNWNkMjViMzljNjFhNDI4YzM0YWQyN2ZkYTk3MmU2MjhkYzk3YTg2IiwiZXhwIjoxNzAwMDAwNjAwfQ.AFxAgw7c-Xo7fyXnQMdcsz2eWDS_y4VxFWGQAgHKxNk"},
		{"B", base + "/event?subtype=user", `{"email":"user@mapp.com","group":"2324333335"}`, 1700000600,
			"/api/v1/integration/" + testID + `/event|{"email":"user@mapp.com","group":"2324333335"}|subtype=user`,
			"eyJhbGciOiJIUzI1NiJ9.eyJyZXF1ZXN0LWhhc2giOiJkYjlhNDkyZjFmOTQ4ZmFhMGE0Mjc1NDdiNDRkZDk4OGRjMzk4NDA5IiwiZXhwIjoxNzAwMDAwNjAwfQ.vaE62J9tptIZPbCNAtHJKXZL0HLjEeXTbMweYk3Vw2c"},
		{"B in milliseconds", base + "/event?subtype=user", `{"email":"user@mapp.com","group":"2324333335"}`, 1700000600000, "", ".16mSHwQYV1uRPJAkKQKhKGiPZCIWJJjbPMSufAHrENA"},
		{"C", base + "/event/batch?subtype=user", `[{"email":"zoë@example.com","group":"10144"}]`, 1700000600, "",
			"eyJhbGciOiJIUzI1NiJ9.eyJyZXF1ZXN0LWhhc2giOiJjMzA3MTE0NmM5NjNkNzYwMzIyMjEwMGM0NTlhMjUwZTUyYmVmNzI5IiwiZXhwIjoxNzAwMDAwNjAwfQ.Pi7_910yeOUZwoMeyBrYpRF_XDBoUtfb4JG6bQf7RhY"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			if got := hashedText(u, []byte(tt.body)); tt.data != "" && got != tt.data {
				t.Errorf("hashed is %s, want %s", got, tt.data)
			}
			if got := token(u, []byte(tt.body), testSecret, tt.exp); !strings.HasSuffix(got, tt.want) {
				t.Errorf("token is %s, want %s", got, tt.want)
			}
		})
	}
	// The last /api/v counts, and the path stays escaped.
	u, _ := url.Parse("https://example.com/api/v9/proxy/api/v1/x%20y?a=b%20c")
	if got, want := hashedText(u, nil), "/api/v1/x%20y|a=b%20c"; got != want {
		t.Errorf("hashed is %s, want %s", got, want)
	}
}

func TestBaseURL(t *testing.T) {
	const path = "/charon/api/v1/integration/" + testID
	for in, want := range map[string]string{
		"eu-l3": "https://jamie.g.shortest-route.com" + path, "US-L3": "https://jamie.a.shortest-route.com" + path,
		"emc": "https://jamie.h.shortest-route.com" + path, "emc-us": "https://jamie.c.shortest-route.com" + path,
		"https://h.example/charon":             "https://h.example" + path,
		"https://h.example/charon/api/v1/":     "https://h.example" + path,
		"https://h.example/charon/api/v1":      "https://h.example" + path,
		"https://h.example" + path:             "https://h.example" + path,
		"https://charon-test.shortest.example": "https://charon-test.shortest.example/api/v1/integration/" + testID,
	} {
		u, err := baseURL(in, testID)
		if err != nil || u.String() != want {
			t.Errorf("%s: %v, %v; want %s", in, u, err, want)
		}
	}
	if _, err := baseURL("https://h.example/charon/api/v1/integration/other", testID); err == nil {
		t.Error("the path of another integration is taken")
	}
}

func TestReady(t *testing.T) {
	f := newFake(t)
	c := f.connect()
	for range 2 {
		if err := c.Ready(t.Context()); err != nil || f.pings != 1 || c.millis.Load() {
			t.Fatalf("%v after %d pings", err, f.pings)
		}
	}
	if s, err := c.Ping(t.Context()); err != nil || !strings.Contains(s, testID) {
		t.Errorf("%q, %v", s, err)
	}
	if c.Account() != strings.TrimPrefix(f.url, "http://")+"/"+testID {
		t.Errorf("account is %s", c.Account())
	}

	f = newFake(t)
	f.ping = func(n int) string { return map[int]string{1: "401 no"}[n] }
	c = f.connect()
	if err := c.Ready(t.Context()); err != nil || !c.millis.Load() {
		t.Errorf("%v; milliseconds: %v", err, c.millis.Load())
	}

	f = newFake(t)
	f.ping = func(int) string { return "403 no" }
	f.date = time.Now().Add(-10 * time.Minute)
	c = f.connect()
	if err := c.Ready(t.Context()); err == nil || f.pings != 3 || c.millis.Load() || !strings.Contains(err.Error(), "ahead of the vendor's") {
		t.Errorf("%v after %d pings", err, f.pings)
	}

	// A clock that is off makes tokens that have run out already; the vendor's own time makes good ones.
	f = newFake(t)
	f.ping = func(n int) string { return map[int]string{1: "401 expired"}[n] }
	f.date = time.Now().Add(2 * time.Hour)
	c = f.connect()
	if err := c.Ready(t.Context()); err != nil || f.pings != 2 || c.millis.Load() || time.Duration(c.ahead.Load()) > -time.Hour {
		t.Errorf("%v after %d pings, clock ahead %v", err, f.pings, time.Duration(c.ahead.Load()))
	}

	f = newFake(t)
	f.ping = func(int) string { return "401" }
	c = f.connect(keyExpUnit, "ms")
	if err := c.Ready(t.Context()); err == nil || f.pings != 1 {
		t.Errorf("%v after %d pings", err, f.pings)
	}

	f = newFake(t)
	f.ping = func(int) string { return "404 none" }
	if err := f.connect().Ready(t.Context()); classOf(err) != api.Setup || !strings.Contains(err.Error(), testID) {
		t.Errorf("%v", err)
	}
}

func TestExpiry(t *testing.T) {
	f := newFake(t)
	for unit, want := range map[string]int64{unitS: 1700000600, unitMS: 1700000600000} {
		c := f.connect(keyExpUnit, unit)
		c.now = func() time.Time { return time.Unix(1700000000, 0) }
		r := c.request(http.MethodGet, "/ping", nil, nil)
		hr, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, c.set.base.String()+"/ping", nil)
		if err := r.Authorize(t.Context(), hr); err != nil {
			t.Fatal(err)
		}
		if got := expOf(t, hr.Header.Get(authHeader)); got != want {
			t.Errorf("%s: exp is %d, want %d", unit, got, want)
		}
	}
}

func TestSettings(t *testing.T) {
	good := (&fake{url: "http://127.0.0.1:1"}).settings()
	tests := []struct{ key, value, bad string }{
		{keyBaseURL, "", "it has no base_url: set CRMETL_MAPPCONNECT_BASE_URL"}, {keyIntegration, "", "it has no integration_id"}, {keySecret, "", "it has no secret"},
		{keyBaseURL, "http://example.com", "not encrypted"},
		{keyBatchSize, "1001", "from 1 to 1000"}, {keyBatchSize, "x", "from 1 to 1000"}, {keyBatchBytes, "10", "batch_bytes"},
		{keyExpUnit, "h", "is none of auto, s, ms"}, {keyNumbers, "float", "string, number"}, {keyFlags, "yes", "string, boolean"}, {keyEmpty, "omit", "null"},
		{keyTTL, "soon", "token_ttl"}, {keyRate, "0", "rate"}, {keyTimeout, "x", "timeout"},
		{keyFields, "email", "name=name"}, {keyFields, "a=b,a=c", "twice"}, {keyFields, "a=x,b=x", "both"},
		{keyFields, "userID=uid", "did you mean userId?"}, {keyRefusals, "-1", "refusal_limit"},
		{keySubtypes, "nothing=x", `no object "nothing"`},
	}
	for _, tt := range tests {
		settings := map[string]string{}
		for k, v := range good {
			settings[k] = v
		}
		settings[tt.key] = tt.value
		_, err := Open(schema.Connection{Name: "mapp", Settings: settings}, api.Env{})
		if err == nil || !strings.Contains(err.Error(), tt.bad) || !strings.Contains(err.Error(), "connection mapp") {
			t.Errorf("%s=%s: error = %v, want one with %q", tt.key, tt.value, err, tt.bad)
		}
	}
	s, err := readSettings(schema.Connection{Settings: map[string]string{keyBaseURL: "emc", keyIntegration: "i", keySecret: "s", keySubtypes: "related_data=relatedData, Browse=browse"}})
	if err != nil || s.subtypes[objRelated] != "relatedData" || s.subtypes[objBrowse] != "browse" || s.subtypes[objUser] != objUser || s.guessed(objBrowse) || s.guessed(objRelated) {
		t.Errorf("%+v, %v", s, err)
	}
}

func hashedText(u *url.URL, body []byte) string {
	var b strings.Builder
	hashed(&b, u, body)
	return b.String()
}
