// Package sandbox imitates Mapp Connect, API v1: a queue in front of Mapp Engage that accepts events and applies them
// later. It goes by the vendor's document, by what the vendor's own clients do for what the document leaves out (paths,
// signatures, the names of subtypes), and otherwise by settings (Knobs).
//
// What was accepted is in the records of kind "inbox", event by event in order. What came of it is in users, sent,
// transactions, products, carts, wishlists, browses, recommendations, coupons, relateddata and automations, and where it
// came to nothing, in feedback. An event that waits for its apply_delay is in pending too.
package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// Name is the vendor's name, as in targets.
const Name = "mappconnect"

// The account that Settings gives.
const (
	SandboxIntegration = "11111111-1111-4111-8111-111111111111"
	SandboxSecret      = "mappconnect-sandbox-secret"
)

const prefix = "/charon/api/v1" // of every path; what is signed begins at "/api/v1"

// The kinds of records in the store.
const (
	kindInbox           = "inbox"           // every accepted event, as it was sent
	kindPending         = "pending"         // the numbers of those that have not taken effect, with their time
	kindFeedback        = "feedback"        // why events came to nothing
	kindUsers           = "users"           // contacts
	kindIdentifiers     = "identifiers"     // a contact's further identifiers
	kindSent            = "sent"            // messages
	kindTransactions    = "transactions"    // by orderId
	kindProducts        = "products"        // by productSKU
	kindCarts           = "carts"           // by contact and sku, like the next three
	kindWishlists       = "wishlists"       //
	kindBrowses         = "browses"         //
	kindRecommendations = "recommendations" //
	kindCoupons         = "coupons"         // by list and value
	kindRelated         = "relateddata"     // by dataset and key
	kindAutomations     = "automations"     // by event
	kindGroups          = "groups"          // these five: what the GET paths list
	kindMessages        = "messages"        //
	kindPushMessages    = "push-messages"   //
	kindSMSMessages     = "sms-messages"    //
	kindApps            = "mobile-apps"     //
	kindConnect         = "connect"         // what shops said of themselves
)

// Simulator is the vendor's API. Its records, ledger and faults are those of the Front.
type Simulator struct {
	room.Front

	made  Knobs // as it was made
	seed  int
	limit room.Limiter // guarded by the Front, which asks one at a time
	paths map[string]map[string]handler
	rules atomic.Pointer[rules] // in force

	mu sync.Mutex // held while events are stored or applied, so that a batch's stay together
}

// New returns the simulator as the vendor is, as far as its document says.
func New(o room.Options) (room.Simulator, error) {
	return NewWith(o, Knobs{})
}

// NewWith returns the simulator with settings of its own. It fails if a setting makes no sense or the folder can't be
// used.
func NewWith(o room.Options, k Knobs) (*Simulator, error) {
	k, err := k.withDefaults()
	if err == nil {
		_, err = accepted(k.SubtypeNames)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Name, err)
	}
	s := &Simulator{made: k, seed: o.Seed, paths: endpoints()}
	s.Front = room.Front{Name: Name, Prefix: prefix, Arrive: s.arrive, Tune: s.tune, Fill: s.fill}
	if err := s.Open(o); err != nil {
		return nil, err
	}
	return s, nil
}

// Settings returns the connection settings that reach the simulator served at base.
func (s *Simulator) Settings(base string) map[string]string {
	return map[string]string{
		"base_url":       base + prefix,
		"integration_id": s.made.IntegrationID,
		"secret":         s.made.Secret,
	}
}

// ServeHTTP answers a request. Before the records are shown, what is due takes effect.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.EscapedPath(), "/_sandbox/records") {
		if err := s.Settle(); err != nil {
			room.WriteError(w, http.StatusInternalServerError, room.BodyJSON, err.Error())
			return
		}
	}
	s.Front.ServeHTTP(w, r)
}

// call is one request on its way through the simulator.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	path  string // without the prefix, escaped
	at    time.Time
	rules *rules
	body  []byte
}

// handler does the work of one path and method.
type handler func(*Simulator, *call) error

// endpoints are the paths below /integration/{id}, with their methods.
func endpoints() map[string]map[string]handler {
	type m = map[string]handler
	return map[string]map[string]handler{
		"/ping":         m{"GET": (*Simulator).ping},
		"/connect":      m{"GET": (*Simulator).getConnect, "POST": (*Simulator).postConnect},
		"/group":        m{"GET": list(kindGroups)},
		"/message":      m{"GET": list(kindMessages)},
		"/message/push": m{"GET": list(kindPushMessages)},
		"/message/sms":  m{"GET": list(kindSMSMessages)},
		"/mobile-app":   m{"GET": list(kindApps)},
		"/event":        m{"POST": (*Simulator).postEvent},
		"/event/batch":  m{"POST": (*Simulator).postBatch},
	}
}

// arrive decides what can be decided without the body: path and rate, in the order of arrival.
func (s *Simulator) arrive(r *http.Request, at time.Time) room.Arrival {
	c := &call{r: r, at: at, rules: s.rules.Load()}
	escaped := r.URL.EscapedPath()
	c.path = strings.TrimPrefix(escaped, prefix)
	id, rest := "", ""
	if tail, ok := strings.CutPrefix(escaped, prefix+"/integration/"); ok {
		id, rest, _ = strings.Cut(tail, "/")
		rest = "/" + rest
	}
	methods := s.paths[rest]
	a := room.Arrival{Route: "/integration/{id}" + rest, Paced: methods != nil}
	if methods == nil {
		a.Route = "?"
	}
	var late time.Duration
	inTime := true
	if methods != nil && id == c.rules.IntegrationID {
		late, inTime = s.limit.Arrive("", at)
	}
	a.Answer = func(w http.ResponseWriter) {
		c.w = w
		if err := s.answer(c, id, methods, late, inTime); err != nil {
			c.fail(err)
		}
	}
	return a
}

// answer reads the body and goes through what every request must pass, in the order of a gateway in front of a service.
func (s *Simulator) answer(c *call, id string, methods map[string]handler, late time.Duration, inTime bool) error {
	// The request is read to its end even if it is refused, or the client would see a broken connection where there is
	// an answer.
	body, err := readBody(c.r)
	c.body = body
	switch {
	case err != nil:
		return err
	case c.rules.MaxBody > 0 && int64(len(body)) > c.rules.MaxBody:
		return room.Refuse(http.StatusRequestEntityTooLarge, "the body is too large")
	case id != c.rules.IntegrationID && id != "":
		return room.Refuse(http.StatusNotFound, "there is no integration %s", id)
	case id == "":
		return room.Refuse(http.StatusNotFound, "there is no such path")
	}
	if reason := verify(c.r, body, c.at, c.rules.Knobs); reason != "" {
		c.w.Header().Set(AuthHeader, reason)
		return room.Refuse(c.rules.AuthStatus, "authentication failed")
	}
	do := methods[c.r.Method]
	switch {
	case methods == nil:
		return room.Refuse(http.StatusNotFound, "there is no such path")
	case do == nil:
		c.w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
		return room.Refuse(http.StatusMethodNotAllowed, "this path does not take %s", c.r.Method)
	case !inTime:
		return &limited{late}
	}
	return do(s, c)
}

// mostBody is what is read of a request: far above any batch that makes sense.
const mostBody = 64 << 20

// readBody reads a request's body, into a buffer of the size that the client announces.
func readBody(r *http.Request) ([]byte, error) {
	if n := r.ContentLength; n > 0 && n <= mostBody {
		b := make([]byte, n)
		for got := 0; got < len(b); {
			m, err := r.Body.Read(b[got:])
			if got += m; err != nil && got < len(b) {
				return nil, room.Invalid("read the body: %v", err)
			}
		}
		return b, nil
	}
	return room.ReadBody(r, mostBody)
}

// limited is the refusal of a request that comes too soon.
type limited struct{ wait time.Duration }

// Error is the text by which the vendor's sibling service says that a client is too fast.
func (*limited) Error() string { return "Database Access Limit Exceeded" }

// trouble is the body of an error. The document has none; this is the shape that the vendor's Engage API uses.
type trouble struct {
	Actor   string `json:"errorActor"` // CLIENT or SERVER
	Code    string `json:"errorCode"`
	Message string `json:"message"`
}

// fail answers with an error.
func (c *call) fail(err error) {
	var tooSoon *limited
	var wrong *room.Refusal
	switch {
	case errors.As(err, &tooSoon):
		after := room.RetryAfter{Wait: tooSoon.wait, Form: c.rules.RetryAfter}
		after.Set(c.w.Header(), c.at)
		c.tooSoon(err.Error())
	case errors.As(err, &wrong):
		code := "INVALID_REQUEST"
		switch wrong.Status {
		case http.StatusUnauthorized, http.StatusForbidden:
			code = "AUTHENTICATION_FAILED"
		case http.StatusNotFound:
			code = "NOT_FOUND"
		}
		room.WriteJSON(c.w, wrong.Status, trouble{"CLIENT", code, wrong.Text})
	default:
		room.WriteJSON(c.w, http.StatusInternalServerError, trouble{"SERVER", "SANDBOX", "the sandbox itself: " + err.Error()})
	}
}

func (c *call) tooSoon(text string) {
	switch status := c.rules.LimitStatus; c.rules.LimitBody {
	case limitText:
		c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		c.w.WriteHeader(status)
		_, _ = c.w.Write([]byte(text)) // a client that has gone is no failure of ours
	case limitHTML:
		room.WriteError(c.w, status, room.BodyHTML, text)
	case limitEmpty:
		room.WriteError(c.w, status, room.BodyEmpty, text)
	default:
		room.WriteJSON(c.w, status, trouble{"SERVER", "LIMIT_EXCEEDED", text})
	}
}

// written describes an event, or another body, for the ledger.
func (c *call) written(body []byte) room.Written {
	return room.NewWritten(c.at, c.r.Method, c.path, body)
}
