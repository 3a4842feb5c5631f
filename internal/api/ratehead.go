package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxReset    = time.Hour   // a window that ends later is asked about again then
	shortWindow = time.Second // the shortest window in use: what "none left" means where no end is told
)

// allowance is what an answer says about the account's limit: so many more starts within so long.
type allowance struct {
	left  int64 // starts that remain; -1: not told
	until time.Duration
	ended bool // until was told
}

// rateFamilies are the prefixes of the usual header triples: prefix + Limit, Remaining, Reset.
var rateFamilies = []string{"X-Ratelimit-", "X-Rate-Limit-", "Ratelimit-", "X-Ratelimit-Requests-"}

// allowances reads all rate headers of an answer: the X-RateLimit and X-Rate-Limit triples, the RateLimit triple of
// the IETF's drafts up to 06, and the one RateLimit field of the later ones, in both of its forms. What can't be
// understood is passed over: a header can only make us slower.
func allowances(h http.Header, now time.Time) []allowance {
	var all []allowance
	// By the vendor's clock, if it tells the time: ours may be minutes off.
	if sent, err := http.ParseTime(h.Get("Date")); err == nil {
		now = sent
	}
	for _, prefix := range rateFamilies {
		left, reset := list(h.Values(prefix+"Remaining")), h.Values(prefix+"Reset")
		if len(left) == 0 && len(reset) == 0 {
			continue
		}
		// A date has a comma in it: only what is no date is a list.
		ends := list(reset)
		if len(reset) == 1 {
			if _, err := http.ParseTime(strings.TrimSpace(reset[0])); err == nil {
				ends = reset
			}
		}
		windows := policyWindows(h.Values(prefix + "Limit"))
		for i := range max(len(left), 1) {
			a := allowance{left: -1}
			if i < len(left) {
				a.left = count(left[i])
			}
			switch {
			case i < len(ends) && (len(ends) == len(left) || len(left) == 0):
				a.until, a.ended = resetIn(ends[i], now)
			default:
				for _, e := range ends { // whose end is whose can't be told
					if d, ok := resetIn(e, now); ok {
						a.until, a.ended = max(a.until, d), true
					}
				}
			}
			if !a.ended && i < len(windows) && windows[i] > 0 {
				a.until, a.ended = windows[i], true
			}
			if a.left >= 0 || a.ended {
				all = append(all, a)
			}
		}
	}
	return append(all, structured(h)...)
}

// structured reads the RateLimit field: `limit=100, remaining=0, reset=5`, or `"burst";r=0;t=5, "day";r=9;t=3600`. A
// policy that tells no end has the window that RateLimit-Policy gives it.
func structured(h http.Header) []allowance {
	field := strings.Join(h.Values("Ratelimit"), ",")
	if field == "" {
		return nil
	}
	windows := map[string]string{}
	for _, item := range list(h.Values("Ratelimit-Policy")) {
		name, params := parameters(item)
		windows[name] = params["w"]
	}
	var all []allowance
	flat := map[string]string{}
	for _, item := range list([]string{field}) {
		name, params := parameters(item)
		if key, value, ok := strings.Cut(name, "="); ok {
			flat[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
			continue
		}
		if _, ok := params["r"]; !ok {
			continue
		}
		a := allowance{left: count(params["r"])}
		if a.until, a.ended = seconds(params["t"]); !a.ended {
			a.until, a.ended = seconds(windows[name])
		}
		if a.left >= 0 {
			all = append(all, a)
		}
	}
	if flat["remaining"] != "" {
		a := allowance{left: count(flat["remaining"])}
		a.until, a.ended = seconds(flat["reset"])
		if a.left >= 0 {
			all = append(all, a)
		}
	}
	return all
}

// list splits header lines at their commas.
func list(lines []string) []string {
	var out []string
	for _, l := range lines {
		for item := range strings.SplitSeq(l, ",") {
			if item = strings.TrimSpace(item); item != "" {
				out = append(out, item)
			}
		}
	}
	return out
}

// parameters splits `"name";a=1;b=2`.
func parameters(item string) (name string, params map[string]string) {
	parts := strings.Split(item, ";")
	params = make(map[string]string, len(parts)-1)
	for _, p := range parts[1:] {
		key, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		params[strings.ToLower(strings.TrimSpace(key))] = strings.Trim(strings.TrimSpace(value), `"`)
	}
	return strings.TrimSpace(parts[0]), params
}

// policyWindows reads the windows of `100, 100;w=60, 5000;w=3600`.
func policyWindows(lines []string) []time.Duration {
	var out []time.Duration
	for _, item := range list(lines) {
		if _, params := parameters(item); params["w"] != "" {
			d, _ := seconds(params["w"])
			out = append(out, d)
		}
	}
	return out
}

// count reads how many starts remain; -1 if that can't be told. Less than none is none.
func count(s string) int64 {
	s, _, _ = strings.Cut(s, ";")
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	switch {
	case err != nil || f != f:
		return -1
	case f <= 0:
		return 0
	case f > 1e15:
		return 1e15
	}
	return int64(f)
}

// seconds reads a number of seconds, which may have a fraction, up to maxReset.
func seconds(s string) (time.Duration, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || f != f || f < 0 {
		return 0, false
	}
	return time.Duration(min(f, maxReset.Seconds()) * float64(time.Second)), true
}

// resetIn reads when a window ends: in so many seconds, at a second, millisecond, microsecond or nanosecond since
// 1970, or at a date; also "6m0s", which some Go services send. It is between 0 and maxReset from now.
func resetIn(s string, now time.Time) (time.Duration, bool) {
	s, _, _ = strings.Cut(s, ";")
	s = strings.TrimSpace(s)
	from := func(at time.Time) (time.Duration, bool) {
		return min(max(at.Sub(now), 0), maxReset), true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		if at, err := http.ParseTime(s); err == nil {
			return from(at)
		}
		if at, err := time.Parse(time.RFC3339, s); err == nil {
			return from(at)
		}
		if d, err := time.ParseDuration(s); err == nil && d >= 0 {
			return min(d, maxReset), true
		}
		return 0, false
	}
	// The ranges lie far apart: a window of three years is no window, and 1e8 seconds after 1970 was 1973.
	const oldest = 1e8
	switch {
	case f != f || f < 0:
		return 0, false
	case f < oldest:
		return seconds(s)
	case f < oldest*1e3:
		return from(time.Unix(int64(f), int64((f-float64(int64(f)))*1e9)))
	case f < oldest*1e6:
		return from(time.UnixMilli(int64(f)))
	case f < oldest*1e9:
		return from(time.UnixMicro(int64(f)))
	case f < oldest*1e11:
		return from(time.Unix(0, int64(f)))
	}
	return 0, false
}

// resetAfter returns when an answer that says "too fast" lets calls in again, if its rate headers tell: the last end of
// the windows that are used up.
func resetAfter(h http.Header, now time.Time) (d time.Duration, told bool) {
	for _, a := range allowances(h, now) {
		if a.ended && a.left <= 0 {
			d, told = max(d, a.until), true
		}
	}
	return d, told
}

// scarcest returns the allowance that binds first: the one with the fewest starts left, of equals the longest.
func scarcest(all []allowance) (a allowance, ok bool) {
	for _, x := range all {
		if x.left < 0 {
			continue
		}
		if !x.ended {
			if x.left > 0 {
				continue // nothing follows from it
			}
			x.until = shortWindow
		}
		if !ok || x.left < a.left || x.left == a.left && x.until > a.until {
			a, ok = x, true
		}
	}
	return a, ok
}
