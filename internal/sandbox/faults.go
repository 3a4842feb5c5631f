package sandbox

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Faults are the failures that a simulator produces on demand, made by ParseFaults. A nil *Faults produces none. It is
// safe for many goroutines; which request fails depends on nothing but the order in which requests arrive.
type Faults struct {
	text  string
	rules []*faultRule
	knobs []Knob

	mu sync.Mutex // guards the rules' counters and random sources
}

// Knob is one setting of a simulator that a `set` rule asks for.
type Knob struct {
	Vendor string // "" for whichever simulator reads the rule
	Name   string
	Value  string
}

// Fault is what is to go wrong with one request. The zero value is nothing.
type Fault struct {
	Rule    string        // the rules that asked for it
	Slow    time.Duration // wait so long before doing the work
	Hang    time.Duration // wait so long, then close the connection without an answer
	Drop    bool          // close the connection without an answer
	Status  int           // answer with this status instead of the vendor's answer
	Retry   RetryAfter    // the Retry-After header that goes with Status
	Body    BodyStyle     // the body that goes with Status
	Applied bool          // do the work first, then fail: the write counts although the answer says otherwise
	Cut     *Cut          // send only a part of the answer's body
}

// Cut says how much of a body is sent.
type Cut struct {
	Percent float64 // of the whole body, if Bytes is negative
	Bytes   int64   // so many bytes, if not negative
	Clean   bool    // end the answer as if it were whole, instead of breaking the connection
}

// RetryAfter is a way to say when to come back.
type RetryAfter struct {
	Wait time.Duration
	Form RetryForm
}

// RetryForm is how a Retry-After header is written.
type RetryForm string

// The forms of a Retry-After header.
const (
	RetryNone    RetryForm = ""        // there is no header
	RetrySeconds RetryForm = "seconds" // Retry-After: 2
	RetryDate    RetryForm = "date"    // Retry-After: Fri, 31 Dec 1999 23:59:59 GMT
)

// BodyStyle is how the body of an error is written.
type BodyStyle string

// The styles of an error's body.
const (
	BodyJSON  BodyStyle = "" // {"error":"..."}
	BodyHTML  BodyStyle = "html"
	BodyEmpty BodyStyle = "empty"
)

// faultRule is one parsed rule with its counters.
type faultRule struct {
	text   string
	method string // "" for any
	path   []string
	any    bool // any path

	from, to int64 // the matching requests it applies to, 1-based; to 0: no end
	every    int64 // of these, each so many; 0 or 1: each
	times    int64 // at most so often; 0: no end
	p        float64
	seed     uint64
	slowest  time.Duration // if not 0, the wait is drawn from fault.Slow to this
	fault    Fault

	rng         *rand.Rand
	seen, fired int64
}

// ParseFaults reads rules, separated by ";" or newlines; "#" at the beginning of a line makes it a comment. A rule
// names the requests it is about, then what happens to them:
//
//	POST /customers #3 status=429 retry-after=2    the third POST to this path is refused
//	* p=0.05 status=500                            one request in twenty, the same ones each time
//	POST * #5 drop=before                          closes the connection without doing the work
//	POST * #5 drop=after                           does the work, then closes the connection without an answer
//	GET /customers/* hang=30s                      holds the connection so long, then closes it
//	* slow=200ms                                   answers, but later; slow=50ms..300ms draws the wait
//	GET /customers cut=50%                         sends half the body (cut=1000: so many bytes), then breaks off
//	* #7- every=10 html=502                        an HTML page with the status, from the seventh on, one in ten
//	POST * status=503 retry-after=date times=2     at most twice
//	set put_mode=replace mapmycustomers.rate=5     a simulator's own settings; with its name before, only this one's
//	set clock_offset=-90s                          a setting that all have: the vendor's clock is behind
//
// Which requests: a method or "*", then a path or "*" (in a path, "*" stands for one segment, "**" at the end for any
// rest), then of those that match `#N`, `#N-M` or `#N-` (counted from 1), `every=N`, `p=PROBABILITY` (with `seed=N` to
// draw differently) and `times=N`. What happens: `status=CODE` or `html=CODE` with `retry-after=SECONDS|date|date+SECONDS`,
// `body=json|html|empty`; `drop=before|after`; `hang=DURATION`; `slow=DURATION` or `slow=SHORTEST..LONGEST`; `cut=N%|BYTES`, with `clean` for a
// body that ends early but properly. `applied` with status, html or hang does the work before it fails. Where several
// rules meet a request, delays and the first failure apply.
//
// An error names the rule by its number and text, and the column in it.
func ParseFaults(text string) (*Faults, error) {
	f := &Faults{text: strings.TrimSpace(text)}
	number := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for part := range strings.SplitSeq(line, ";") {
			part = strings.TrimSpace(part)
			if part == "" {
				continue
			}
			number++
			if err := f.add(part); err != nil {
				return nil, fmt.Errorf("fault rule %d, %w", number, err)
			}
		}
	}
	return f, nil
}

// word is one word of a rule with its column, 1-based, in characters.
type word struct {
	text string
	col  int
}

func words(rule string) []word {
	var out []word
	col, start, at := 0, -1, 0
	for i, r := range rule {
		col++
		space := r == ' ' || r == '\t' || r == '\r'
		switch {
		case !space && start < 0:
			start, at = i, col
		case space && start >= 0:
			out = append(out, word{rule[start:i], at})
			start = -1
		}
	}
	if start >= 0 {
		out = append(out, word{rule[start:], at})
	}
	return out
}

func (f *Faults) add(text string) error {
	ws := words(text)
	fail := func(w word, format string, args ...any) error {
		return fmt.Errorf("column %d (%q in %q): %s", w.col, w.text, text, fmt.Sprintf(format, args...))
	}
	if ws[0].text == "set" {
		if len(ws) == 1 {
			return fail(ws[0], "set needs NAME=VALUE")
		}
		for _, w := range ws[1:] {
			name, value, ok := strings.Cut(w.text, "=")
			if !ok || name == "" {
				return fail(w, "set takes NAME=VALUE")
			}
			vendor, knob, ok := strings.Cut(name, ".")
			if !ok {
				vendor, knob = "", name
			}
			if knob == "" {
				return fail(w, "set takes NAME=VALUE or VENDOR.NAME=VALUE")
			}
			f.knobs = append(f.knobs, Knob{vendor, knob, value})
		}
		return nil
	}

	r := &faultRule{text: text, from: 1, p: 1, any: true, fault: Fault{Rule: text}}
	method := ws[0]
	rest := ws[1:]
	switch {
	case method.text == "*":
	case strings.HasPrefix(method.text, "/"):
		rest = ws
	case slices.Contains(methods, method.text):
		r.method = method.text
	default:
		return fail(method, "a rule begins with a method in capitals, \"*\", a path, or set")
	}
	if len(rest) > 0 && rest[0].text == "*" {
		rest = rest[1:]
	} else if len(rest) > 0 && strings.HasPrefix(rest[0].text, "/") {
		r.any = false
		r.path = strings.Split(rest[0].text[1:], "/")
		if i := slices.Index(r.path, "**"); i >= 0 && i != len(r.path)-1 {
			return fail(rest[0], "\"**\" can only end a path")
		}
		rest = rest[1:]
	}
	p := ruleParser{rule: r, fail: fail}
	for _, w := range rest {
		if err := p.word(w); err != nil {
			return err
		}
	}
	last := ws[len(ws)-1]
	if err := p.finish(last); err != nil {
		return err
	}
	r.rng = rand.New(rand.NewPCG(r.seed, uint64(len(f.rules))))
	f.rules = append(f.rules, r)
	return nil
}

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// ruleParser reads the words after a rule's path.
type ruleParser struct {
	rule *faultRule
	fail func(w word, format string, args ...any) error

	seen         map[string]word
	body, retry  bool
	clean, apply bool
}

func (p *ruleParser) word(w word) error {
	r := p.rule
	name, value, valued := strings.Cut(w.text, "=")
	if strings.HasPrefix(w.text, "#") {
		name, value = "#", w.text[1:]
	} else if want := name != "clean" && name != "applied"; want != valued {
		if want {
			return p.fail(w, "want #N or NAME=VALUE, with NAME one of p, seed, every, times, status, html, body, retry-after, drop, hang, slow, cut, or one of clean, applied")
		}
		return p.fail(w, "%s takes no value", name)
	}
	if p.seen == nil {
		p.seen = map[string]word{}
	}
	if before, twice := p.seen[name]; twice {
		return p.fail(w, "%s is there already, at column %d", name, before.col)
	}
	p.seen[name] = w

	var err error
	switch name {
	case "#":
		r.from, r.to, err = parseRange(value)
	case "every":
		r.every, err = parsePositive(value)
	case "times":
		r.times, err = parsePositive(value)
	case "p":
		r.p, err = strconv.ParseFloat(value, 64)
		if err != nil || !(r.p >= 0 && r.p <= 1) {
			err = fmt.Errorf("want a probability from 0 to 1")
		}
	case "seed":
		r.seed, err = strconv.ParseUint(value, 10, 64)
		if err != nil {
			err = fmt.Errorf("want a whole number")
		}
	case "status", "html":
		if r.fault.Status != 0 {
			return p.fail(w, "the rule has a status already")
		}
		r.fault.Status, err = parseStatus(value)
		if name == "html" {
			r.fault.Body = BodyHTML
		}
	case "body":
		p.body = true
		switch value {
		case "json":
			r.fault.Body = BodyJSON
		case "html", "empty":
			r.fault.Body = BodyStyle(value)
		default:
			err = fmt.Errorf("want json, html or empty")
		}
	case "retry-after":
		p.retry = true
		r.fault.Retry, err = ParseRetryAfter(value)
	case "drop":
		r.fault.Drop = true
		switch value {
		case "before":
		case "after":
			r.fault.Applied = true
		default:
			err = fmt.Errorf("want before or after")
		}
	case "hang":
		r.fault.Hang, err = parseDuration(value)
	case "slow":
		shortest, longest, ranged := strings.Cut(value, "..")
		if r.fault.Slow, err = parseDuration(shortest); err == nil && ranged {
			r.slowest, err = parseDuration(longest)
			if err == nil && r.slowest < r.fault.Slow {
				err = fmt.Errorf("want the shorter duration first")
			}
		}
	case "cut":
		r.fault.Cut, err = parseCut(value)
	case "clean":
		p.clean = true
	case "applied":
		p.apply = true
		r.fault.Applied = true
	default:
		return p.fail(w, "there is no %q; want #N, p, seed, every, times, status, html, body, retry-after, drop, hang, slow, cut, clean or applied", name)
	}
	if err != nil {
		return p.fail(w, "%v", err)
	}
	return nil
}

// finish checks what only the whole rule can tell.
func (p *ruleParser) finish(last word) error {
	fault := &p.rule.fault
	ends := 0
	for _, is := range []bool{fault.Status != 0, fault.Drop, fault.Hang > 0, fault.Cut != nil} {
		if is {
			ends++
		}
	}
	switch {
	case ends > 1:
		return p.fail(last, "a rule has one of status (html), drop, hang and cut")
	case ends == 0 && fault.Slow == 0:
		return p.fail(last, "the rule says nothing of what is to happen: status, html, drop, hang, slow or cut")
	case (p.body || p.retry) && fault.Status == 0:
		return p.fail(last, "body and retry-after go with status or html")
	case p.clean && fault.Cut == nil:
		return p.fail(last, "clean goes with cut")
	case p.apply && fault.Status == 0 && fault.Hang == 0:
		return p.fail(last, "applied goes with status, html or hang; for drop write drop=after")
	}
	if fault.Cut != nil {
		fault.Cut.Clean = p.clean
	}
	return nil
}

func parseRange(s string) (from, to int64, err error) {
	a, b, ranged := strings.Cut(s, "-")
	if from, err = parsePositive(a); err != nil {
		return 0, 0, fmt.Errorf("want #N, #N-M or #N-, counted from 1")
	}
	switch {
	case !ranged:
		return from, from, nil
	case b == "":
		return from, 0, nil
	}
	if to, err = parsePositive(b); err != nil || to < from {
		return 0, 0, fmt.Errorf("want #N, #N-M or #N-, counted from 1")
	}
	return from, to, nil
}

func parsePositive(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("want a whole number from 1")
	}
	return n, nil
}

func parseStatus(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 200 || n > 599 {
		return 0, fmt.Errorf("want a status from 200 to 599")
	}
	return n, nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("want a duration, as in 30s or 200ms")
	}
	return d, nil
}

// ParseRetryAfter reads a number of seconds, "date" (two seconds ahead) or "date+SECONDS".
func ParseRetryAfter(s string) (RetryAfter, error) {
	after := RetryAfter{Form: RetrySeconds}
	number := s
	if rest, ok := strings.CutPrefix(s, "date"); ok {
		after.Form = RetryDate
		number = "2"
		if rest != "" {
			if number, ok = strings.CutPrefix(rest, "+"); !ok {
				return RetryAfter{}, fmt.Errorf("want seconds, date or date+SECONDS")
			}
		}
	}
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return RetryAfter{}, fmt.Errorf("want seconds, date or date+SECONDS")
	}
	after.Wait = time.Duration(n) * time.Second
	return after, nil
}

func parseCut(s string) (*Cut, error) {
	if number, ok := strings.CutSuffix(s, "%"); ok {
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || !(n >= 0 && n < 100) {
			return nil, fmt.Errorf("want a share from 0%% to below 100%%, or a number of bytes")
		}
		return &Cut{Percent: n, Bytes: -1}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("want a share from 0%% to below 100%%, or a number of bytes")
	}
	return &Cut{Bytes: n}, nil
}

// Next counts a request and says what is to go wrong with it. path is the vendor's, escaped, without the prefix that
// all its paths share.
func (f *Faults) Next(method, path string) Fault {
	if f == nil {
		return Fault{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var out Fault
	failed := false
	for _, r := range f.rules {
		if !r.matches(method, path) || !r.fires() {
			continue
		}
		ends := r.fault.Status != 0 || r.fault.Drop || r.fault.Hang > 0 || r.fault.Cut != nil
		if ends && failed {
			continue
		}
		r.fired++
		slow := out.Slow + r.fault.Slow
		if r.slowest > r.fault.Slow {
			slow += time.Duration(r.rng.Int64N(int64(r.slowest - r.fault.Slow)))
		}
		rule := r.text
		if out.Rule != "" {
			rule = out.Rule + "; " + r.text
		}
		if ends {
			failed = true
			out = r.fault
		}
		out.Slow, out.Rule = slow, rule
	}
	return out
}

func (r *faultRule) matches(method, path string) bool {
	if r.method != "" && r.method != method {
		return false
	}
	if r.any {
		return true
	}
	rest := strings.TrimPrefix(path, "/")
	for i, want := range r.path {
		if want == "**" {
			return true
		}
		segment, after, more := strings.Cut(rest, "/")
		if segment != want && (want != "*" || segment == "") {
			return false
		}
		if i == len(r.path)-1 {
			return !more
		}
		if !more {
			return false
		}
		rest = after
	}
	return false
}

// fires counts a matching request and reports whether the rule applies to it.
func (r *faultRule) fires() bool {
	r.seen++
	if r.seen < r.from || r.to != 0 && r.seen > r.to {
		return false
	}
	if r.every > 1 && (r.seen-r.from)%r.every != 0 {
		return false
	}
	// The draw comes before the check of times, so that the draws of later requests do not depend on it.
	if r.p < 1 && r.rng.Float64() >= r.p {
		return false
	}
	return r.times == 0 || r.fired < r.times
}

// Knobs returns the settings asked for that concern the named simulator, in order.
func (f *Faults) Knobs(vendor string) []Knob {
	if f == nil {
		return nil
	}
	var out []Knob
	for _, k := range f.knobs {
		if k.Vendor == "" || k.Vendor == vendor {
			out = append(out, k)
		}
	}
	return out
}

// Without returns the faults without a setting, for a simulator that does not have it. The counters are shared.
func (f *Faults) Without(k Knob) *Faults {
	return &Faults{text: f.text, rules: f.rules, knobs: slices.DeleteFunc(slices.Clone(f.knobs), func(x Knob) bool { return x == k })}
}

// FaultState is one rule with what it has seen so far.
type FaultState struct {
	Rule  string `json:"rule"`
	Seen  int64  `json:"seen"`  // requests that matched its method and path
	Fired int64  `json:"fired"` // requests that it acted upon
}

// State lists the rules with their counters.
func (f *Faults) State() []FaultState {
	out := []FaultState{}
	if f == nil {
		return out
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		out = append(out, FaultState{r.text, r.seen, r.fired})
	}
	return out
}

// String returns the text the faults were parsed from.
func (f *Faults) String() string {
	if f == nil {
		return ""
	}
	return f.text
}
