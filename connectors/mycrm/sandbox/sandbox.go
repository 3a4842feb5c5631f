// Package sandbox imitates the leads of MyCRM (Property Finder), API v2: tokens, leads with their lists, single and bulk
// calls, custom fields, locations and users. It follows the vendor's document; what only public clients of the vendor
// show (how lists are paged, how tokens are asked for) follows those; where nothing is known, above all in the bodies of
// errors, the behaviour is this package's. A setting (Knobs) changes what matters.
//
// Two calls of the vendor are dangerous, and are so here: DELETE /leads without ids deletes every lead, and a bulk PATCH with
// the wildcard * changes every lead.
package sandbox

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// Name is the vendor's name, as in targets.
const Name = "mycrm"

// tokenPath is where credentials become a token, below the simulator's base. At the vendor it is another host's.
const tokenPath = "/auth/oauth/v1/token"

// The kinds of records in the store.
const (
	kindLeads    = "leads"    // as the API shows them, and what it does not show in a member "kept"
	kindCounters = "counters" // one record: the last ids given
)

const single = "1" // the id of a kind's only record

// Simulator is the vendor's API. Its records, ledger and faults are those of the Front.
type Simulator struct {
	room.Front

	made   Knobs // as it was made
	knobs  Knobs // with what the faults set; guarded by the Front, which asks one at a time
	seed   int
	tokens room.Tokens
	limit  room.Limiter
	paths  room.Endpoints[handler]

	mu       sync.RWMutex // guards what follows, and keeps it in step with the store
	index    index
	counters counters
	churned  int // changes made between pages since the faults were set
	loaded   bool

	found cache
}

// New returns the simulator as the vendor is, as far as that is known.
func New(o room.Options) (room.Simulator, error) {
	s, err := NewWith(o, Knobs{})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// NewWith returns the simulator with settings of its own. Options.Activation has no meaning here: tokens are good at once.
func NewWith(o room.Options, k Knobs) (*Simulator, error) {
	k, err := k.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Name, err)
	}
	s := &Simulator{made: k, knobs: k, seed: o.Seed, paths: endpoints()}
	s.tokens = room.Tokens{Header: tokenHeader, Hash: sha256.New}
	s.Front = room.Front{Name: Name, Arrive: s.arrive, Tune: s.tune, Fill: s.fill, Ready: s.ready}
	if err := s.Open(o); err != nil {
		return nil, err
	}
	return s, nil
}

// ready takes up the key and, unless fill has just made it, the index.
func (s *Simulator) ready() error {
	if err := s.tokens.Load(s.Store); err != nil || s.loaded {
		return err
	}
	return s.load()
}

// Settings returns the connection settings that reach the simulator served at base.
func (s *Simulator) Settings(base string) map[string]string {
	return map[string]string{
		"base_url":   base,
		"token_url":  base + tokenPath,
		"api_key":    s.made.APIKey,
		"api_secret": s.made.APISecret,
	}
}

// fill makes what a new account has.
func (s *Simulator) fill() error {
	if err := s.Store.Fill(s.tokens.Keep); err != nil {
		return err
	}
	if err := s.plant(); err != nil {
		return err
	}
	return s.load()
}

// call is one request on its way through the simulator.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	at    time.Time
	knobs Knobs
	body  []byte
	args  []string // the path's variable parts, decoded
	warns []string
}

// handler does the work of one endpoint.
type handler func(*Simulator, *call) error

const (
	pathLeads  = "/leads"
	pathPlural = "/leads/{id}"
	pathLead   = "/lead/{id}"
)

func endpoints() room.Endpoints[handler] {
	type m = map[string]handler
	return room.Endpoints[handler]{
		{Path: tokenPath, Methods: m{"POST": (*Simulator).credentialsToken}, Open: true},
		{Path: "/token", Methods: m{"POST": (*Simulator).passwordToken}, Open: true},
		{Path: pathLeads, Methods: m{"GET": (*Simulator).listLeads, "POST": (*Simulator).createLead, "PATCH": (*Simulator).patchLeads, "DELETE": (*Simulator).deleteLeads}},
		{Path: pathPlural, Methods: m{"GET": (*Simulator).getLead, "PUT": (*Simulator).putLead, "PATCH": (*Simulator).patchLead, "DELETE": (*Simulator).deleteLead}},
		{Path: pathLead, Methods: m{"DELETE": (*Simulator).deleteLead}},
		{Path: "/fields", Methods: m{"GET": (*Simulator).listFields}},
		{Path: "/locations", Methods: m{"GET": (*Simulator).listLocations}},
		{Path: "/users/{id}", Methods: m{"GET": (*Simulator).getUser}},
	}
}

// arrive decides on a request before its body is read: who asks, path, token and rate, in the order of arrival.
func (s *Simulator) arrive(r *http.Request, at time.Time) room.Arrival {
	e, args, known := s.paths.Find(r.URL.EscapedPath())
	a := room.Arrival{Route: e.Path, Paced: !e.Open}
	if !known {
		a.Route = "?"
	}
	c := &call{r: r, at: at, knobs: s.knobs, args: args}
	do := e.Methods[r.Method]
	refused := s.admit(c, e, known)
	a.Answer = func(w http.ResponseWriter) {
		c.w = w
		// The request is read to its end even if it is refused, or the client would see a broken connection where
		// there is an answer.
		body, err := room.ReadBody(r, maxBody)
		c.body = body
		if c.knobs.DroppedBodies && r.Method == http.MethodDelete {
			c.body = nil
		}
		if refused != nil {
			err = refused
		}
		if err == nil {
			err = do(s, c)
		}
		var wrong *room.Refusal
		if errors.As(err, &wrong) && wrong.Status == http.StatusMethodNotAllowed {
			others := slices.DeleteFunc(slices.Sorted(maps.Keys(e.Methods)), func(m string) bool { return m == r.Method })
			w.Header().Set("Allow", strings.Join(others, ", "))
		}
		if err != nil {
			c.fail(err)
		}
	}
	return a
}

// admit returns why a request is refused before anything looks at its body, nil if it is not.
func (s *Simulator) admit(c *call, e room.Endpoint[handler], known bool) error {
	if c.r.UserAgent() == "" {
		return errBlocked // the edge looks before the API does
	}
	if !known {
		return room.Refuse(http.StatusNotFound, "there is no such path")
	}
	if e.Methods[c.r.Method] == nil {
		return room.Refuse(http.StatusMethodNotAllowed, "this path does not take %s", c.r.Method)
	}
	if c.r.Method == http.MethodDelete &&
		(e.Path == pathLead && c.knobs.DeletePath == plural || e.Path == pathPlural && c.knobs.DeletePath == singular) {
		return room.Refuse(c.knobs.MissingDelete, "leads are not deleted here")
	}
	if e.Open {
		return nil
	}
	counts, err := s.authorize(c.r, c.at, c.knobs)
	if counts {
		if wait, ok := s.limit.Arrive(Name, c.at); !ok && err == nil {
			return &limited{wait}
		}
	}
	return err
}

// maxBody is what is read of a request.
const maxBody = 16 << 20

// errBlocked is the refusal of the vendor's edge, which wants a User-Agent.
var errBlocked = errors.New("blocked at the edge")

func notFound(id string) error {
	return room.Refuse(http.StatusNotFound, "there is no lead %s", strconv.QuoteToASCII(id))
}

// fieldErrors are what is wrong with a body or a query, by field: preference.from_price, filters.status.
type fieldErrors map[string][]string

func (f fieldErrors) add(name, format string, args ...any) {
	f[name] = append(f[name], fmt.Sprintf(format, args...))
}

func (f fieldErrors) Error() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		out = append(out, name+": "+strings.Join(f[name], ", "))
	}
	return strings.Join(out, "; ")
}

// orNil returns the errors if there are any.
func (f fieldErrors) orNil() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// limited is the refusal of a request that comes too soon.
type limited struct{ wait time.Duration }

func (*limited) Error() string { return "rate limit exceeded" }

// fail answers with an error.
func (c *call) fail(err error) {
	var tooSoon *limited
	var wrong *room.Refusal
	var fields fieldErrors
	switch {
	case errors.Is(err, errBlocked):
		room.WriteError(c.w, http.StatusForbidden, room.BodyHTML, "")
	case errors.As(err, &tooSoon):
		after := room.RetryAfter{Wait: tooSoon.wait, Form: c.knobs.RetryAfter}
		after.Set(c.w.Header(), c.at)
		room.WriteError(c.w, http.StatusTooManyRequests, c.knobs.LimitBody, err.Error())
	case errors.As(err, &fields):
		room.WriteJSON(c.w, c.knobs.InvalidStatus, struct {
			Errors fieldErrors `json:"errors"`
		}{fields})
	case errors.As(err, &wrong):
		if wrong.Status == http.StatusUnauthorized {
			c.w.Header().Set("WWW-Authenticate", `Bearer realm="mycrm"`)
		}
		room.WriteError(c.w, wrong.Status, room.BodyJSON, wrong.Text)
	default:
		room.WriteError(c.w, http.StatusInternalServerError, room.BodyJSON, "the sandbox itself: "+err.Error())
	}
}

// warningHeader is the vendor's header for what it took, but not as it was meant.
const warningHeader = "X-MyCRM-API-Warning"

// warn adds a warning to the answer.
func (c *call) warn(format string, args ...any) {
	const most = 20
	switch len(c.warns) {
	case most:
		return
	case most - 1:
		c.warns = append(c.warns, "and more")
	default:
		c.warns = append(c.warns, fmt.Sprintf(format, args...))
	}
	c.w.Header().Set(warningHeader, strings.Join(c.warns, "; "))
}

// need refuses the call if the account lacks a right.
func (c *call) need(rights ...string) error {
	for _, right := range rights {
		if slices.Contains(c.knobs.denied(), right) {
			return room.Refuse(http.StatusForbidden, "this call needs the right %s", right)
		}
	}
	return nil
}

// written describes the call for the ledger.
func (c *call) written() *room.Written {
	w := room.NewWritten(c.at, c.r.Method, c.r.URL.EscapedPath(), c.body)
	return &w
}

// object reads the call's body as a JSON object.
func (c *call) object() ([]room.Member, error) {
	if err := room.NeedJSON(c.r, http.StatusUnsupportedMediaType); err != nil {
		return nil, err
	}
	members, err := room.ParseObject(c.body)
	if err != nil {
		return nil, room.Invalid("%v", err)
	}
	return members, nil
}

// leadID reads the id in the path.
func (c *call) leadID() (int64, error) {
	id, err := strconv.ParseInt(c.args[0], 10, 64)
	if err != nil || strconv.FormatInt(id, 10) != c.args[0] {
		return 0, notFound(c.args[0])
	}
	return id, nil
}
