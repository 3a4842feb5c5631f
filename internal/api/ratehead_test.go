package api

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAllowances(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC) // 1795334400
	cases := []struct {
		name, headers string
		left          int64
		until         time.Duration
		ok            bool
	}{
		{"nothing", "", 0, 0, false},
		{"limit only", "X-RateLimit-Limit: 3", 0, 0, false},
		{"seconds", "X-RateLimit-Limit: 100\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 30", 0, 30 * time.Second, true},
		{"a fraction", "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1.5", 0, 1500 * time.Millisecond, true},
		{"epoch seconds", "X-RateLimit-Remaining: 7\nX-RateLimit-Reset: 1795334420", 7, 20 * time.Second, true},
		{"epoch milliseconds", "X-Rate-Limit-Remaining: 7\nX-Rate-Limit-Reset: 1795334402500", 7, 2500 * time.Millisecond, true},
		{"epoch, long over", "X-Rate-Limit-Remaining: 0\nX-Rate-Limit-Reset: 1795330000", 0, 0, true},
		{"epoch by the vendor's clock", "Date: Sun, 22 Nov 2026 07:00:00 GMT\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1795330803", 0, 3 * time.Second, true},
		{"HTTP date", "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: Sun, 22 Nov 2026 08:00:07 GMT", 0, 7 * time.Second, true},
		{"RFC 3339", "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 2026-11-22T09:00:07+01:00", 0, 7 * time.Second, true},
		{"Go duration", "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 6m0s", 0, 6 * time.Minute, true},
		{"days", "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 86400", 0, time.Hour, true},
		{"none left, no end", "X-RateLimit-Remaining: 0", 0, time.Second, true},
		{"some left, no end", "X-RateLimit-Remaining: 5", 0, 0, false},
		{"less than none", "X-RateLimit-Remaining: -3\nX-RateLimit-Reset: 4", 0, 4 * time.Second, true},
		{"nonsense", "X-RateLimit-Remaining: many\nX-RateLimit-Reset: soon", 0, 0, false},
		{"negative end", "X-RateLimit-Remaining: 3\nX-RateLimit-Reset: -1", 0, 0, false},
		{"old draft", "RateLimit-Limit: 10, 10;w=60\nRateLimit-Remaining: 2\nRateLimit-Reset: 9", 2, 9 * time.Second, true},
		{"two windows", "X-RateLimit-Remaining: 0, 500\nX-RateLimit-Reset: 2, 3000", 0, 2 * time.Second, true},
		{"two windows, the other one", "X-RateLimit-Remaining: 8, 0\nX-RateLimit-Reset: 2, 300", 0, 5 * time.Minute, true},
		{"two remain, one end", "X-RateLimit-Remaining: 8, 3\nX-RateLimit-Reset: 2", 3, 2 * time.Second, true},
		{"draft 7", "RateLimit: limit=100, remaining=0, reset=5", 0, 5 * time.Second, true},
		{"draft 7, other order", "ratelimit: reset=5,remaining=12 , limit=100", 12, 5 * time.Second, true},
		{"draft 8", `RateLimit: "default";r=50;t=30`, 50, 30 * time.Second, true},
		{"draft 8, two policies", `RateLimit: "burst";r=0;t=5, "daily";r=100;t=3600`, 0, 5 * time.Second, true},
		{"draft 8, two lines", "RateLimit: \"daily\";r=9;t=3600\nRateLimit: \"burst\";r=9;t=5", 9, time.Hour, true},
		{"draft 8, window from the policy", "RateLimit-Policy: \"default\";q=100;w=10\nRateLimit: \"default\";r=0", 0, 10 * time.Second, true},
		{"draft 8, no quota", `RateLimit: "default";t=5`, 0, 0, false},
		{"several families", "X-RateLimit-Remaining: 4\nX-RateLimit-Reset: 4\nRateLimit: \"x\";r=1;t=8", 1, 8 * time.Second, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			for line := range strings.Lines(c.headers) {
				k, v, _ := strings.Cut(strings.TrimSpace(line), ": ")
				h.Add(k, v)
			}
			a, ok := scarcest(allowances(h, now))
			if ok != c.ok || ok && (a.left != c.left || a.until != c.until) {
				t.Errorf("%d within %v, %v; want %d within %v, %v", a.left, a.until, ok, c.left, c.until, c.ok)
			}
		})
	}
}

// TestResetAfter takes the end of a window from an answer that says "too fast" and nothing else.
func TestResetAfter(t *testing.T) {
	now := time.Now()
	for value, want := range map[string]time.Duration{"3": 3 * time.Second, "": 0, "x": 0} {
		h := http.Header{}
		if value != "" {
			h.Set("X-RateLimit-Reset", value)
		}
		if d, told := resetAfter(h, now); d != want || told != (want > 0) {
			t.Errorf("reset %q: %v, %v", value, d, told)
		}
	}
	if _, told := resetAfter(http.Header{"X-Ratelimit-Remaining": {"5"}, "X-Ratelimit-Reset": {"60"}}, now); told {
		t.Error("waits for a window that is not used up")
	}
}

func FuzzAllowances(f *testing.F) {
	f.Add("0", "30", `"default";r=50;t=30`, "100;w=60")
	f.Add("0, 1", "1795334400", "limit=1, remaining=0, reset=5", "")
	f.Add("1e309", "NaN", ";;==,", "\x00")
	f.Fuzz(func(t *testing.T, left, reset, field, policy string) {
		h := http.Header{"X-Ratelimit-Remaining": {left}, "X-Ratelimit-Reset": {reset}, "Ratelimit": {field}, "Ratelimit-Policy": {policy}, "X-Ratelimit-Limit": {policy}}
		for _, a := range allowances(h, time.Now()) {
			if a.left < -1 || a.until < 0 || a.until > maxReset {
				t.Fatalf("%+v", a)
			}
		}
	})
}
