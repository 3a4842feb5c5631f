package api

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	cases := []struct {
		value, date string
		want        time.Duration
		ok          bool
	}{
		{"", "", 0, false},
		{"3", "", 3 * time.Second, true},
		{" 3 ", "", 3 * time.Second, true},
		{"0", "", 0, true},
		{"901", "", 15 * time.Minute, true},
		{"99999999999999999999999", "", 15 * time.Minute, true},
		{"-5", "", 0, false},
		{"1.5", "", 0, false},
		{"soon", "", 0, false},
		{"Sun, 22 Nov 2026 08:00:07 GMT", "", 7 * time.Second, true},
		{"Sun, 22 Nov 2026 07:59:00 GMT", "", 0, true},
		{"Mon, 23 Nov 2026 08:00:00 GMT", "", 15 * time.Minute, true},
		{"Sun, 22 Nov 2026 07:00:07 GMT", "Sun, 22 Nov 2026 07:00:00 GMT", 7 * time.Second, true},
		{"Sunday, 22-Nov-26 08:00:07 GMT", "", 7 * time.Second, true},
	}
	for _, c := range cases {
		h := http.Header{"Retry-After": {c.value}, "Date": {c.date}}
		if got, ok := retryAfter(h, now); got != c.want || ok != c.ok {
			t.Errorf("%q, date %q: %v %v, want %v %v", c.value, c.date, got, ok, c.want, c.ok)
		}
	}
}

func TestBackoff(t *testing.T) {
	for n, top := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 7: time.Minute, 400: time.Minute} {
		var all []time.Duration
		for range 200 {
			d := backoff(0, n)
			if d <= 0 || d > top {
				t.Fatalf("try %d: %v of at most %v", n, d, top)
			}
			all = append(all, d)
		}
		if slices.Min(all) > top/4 || slices.Max(all) < top*3/4 {
			t.Errorf("try %d: %v to %v is not the whole range", n, slices.Min(all), slices.Max(all))
		}
	}
}
