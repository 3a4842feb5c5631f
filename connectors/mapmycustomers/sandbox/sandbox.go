// Package sandbox imitates Map My Customers, API v1, strictly by the vendor's document. Where the document is silent, the
// behaviour is this package's and can be changed by a setting (Knobs) if it matters.
package sandbox

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// Name is the vendor's name, as in targets.
const Name = "mapmycustomers"

const prefix = "/api/v1" // of every path in the document

// The kinds of records in the store. All but fields are kept as the API shows them.
const (
	kindCustomers   = "customers"
	kindRoutes      = "routes"
	kindTerritories = "territories"
	kindUpdates     = "updates"
	kindAccount     = "account"      // one record: GET /user
	kindFields      = "customfields" // one record: label → slot, which no call of the vendor returns
	kindFiles       = "files"        // what was attached, without the bytes, which no call of the vendor returns
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
	wait   time.Duration // what Settings says of a token's activation
}

// New returns the simulator as the vendor is, as far as its document says.
func New(o room.Options) (room.Simulator, error) {
	return NewWith(o, Knobs{})
}

// NewWith returns the simulator with settings of its own.
func NewWith(o room.Options, k Knobs) (*Simulator, error) {
	if k.Activation == 0 {
		k.Activation = o.Wait()
	}
	k, err := k.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Name, err)
	}
	s := &Simulator{made: k, knobs: k, seed: o.Seed, paths: endpoints()}
	s.tokens = room.Tokens{Header: tokenHeader, Hash: sha512.New}
	s.Front = room.Front{Name: Name, Prefix: prefix, Arrive: s.arrive, Tune: s.tune, Fill: s.fill, Ready: s.ready}
	if err := s.Open(o); err != nil {
		return nil, err
	}
	return s, nil
}

// ready takes up what Settings and the tokens need.
func (s *Simulator) ready() error {
	s.wait = s.knobs.Activation
	return s.tokens.Load(s.Store)
}

// Settings returns the connection settings that reach the simulator served at base.
func (s *Simulator) Settings(base string) map[string]string {
	return map[string]string{
		"base_url":         base + prefix,
		"username":         s.made.Username,
		"password":         s.made.Password,
		"token_activation": s.wait.String(),
	}
}

// call is one request on its way through the simulator.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	path  string // without the prefix, escaped
	at    time.Time
	knobs Knobs
	body  []byte
	claim claims
	args  []string // the path's variable parts, decoded
}

// handler does the work of one endpoint.
type handler func(*Simulator, *call) error

// endpoints are the document's, in its order.
func endpoints() room.Endpoints[handler] {
	type m = map[string]handler
	return room.Endpoints[handler]{
		{Path: "/token", Methods: m{"GET": (*Simulator).token, "POST": (*Simulator).token}, Open: true},
		{Path: "/customers", Methods: m{"GET": list(kindCustomers), "POST": (*Simulator).createCustomer}},
		{Path: "/customers/search/{term}", Methods: m{"GET": (*Simulator).searchCustomers}},
		{Path: "/customers/{id}", Methods: m{"GET": (*Simulator).getCustomer, "PUT": (*Simulator).updateCustomer, "DELETE": (*Simulator).deleteCustomer}},
		{Path: "/routes", Methods: m{"GET": list(kindRoutes), "POST": (*Simulator).createRoute}},
		{Path: "/territories", Methods: m{"GET": list(kindTerritories)}},
		{Path: "/updates", Methods: m{"GET": list(kindUpdates)}},
		{Path: "/user", Methods: m{"GET": (*Simulator).getUser}},
		{Path: "/user/customfields", Methods: m{"PUT": (*Simulator).putFields}},
		{Path: "/user/groups", Methods: m{"PUT": (*Simulator).putGroups}},
	}
}

// arrive decides on a request before its body is read: path, token and rate, in the order of arrival.
func (s *Simulator) arrive(r *http.Request, at time.Time) room.Arrival {
	path, ours := strings.CutPrefix(r.URL.EscapedPath(), prefix)
	e, args, known := s.paths.Find(path)
	known = known && ours
	a := room.Arrival{Route: e.Path, Paced: !e.Open}
	if !known {
		a.Route = "?"
	}

	c := &call{r: r, path: path, at: at, knobs: s.knobs, args: args}
	var refused error
	if !e.Open {
		token, claim, err := s.authorize(r, at)
		c.claim, refused = claim, err
		if token != "" {
			if wait, ok := s.limit.Arrive(token, at); !ok && refused == nil {
				refused = &limited{wait}
			}
		}
	}
	do := e.Methods[r.Method]
	switch {
	case !known:
		refused = room.Refuse(http.StatusNotFound, "there is no such path")
	case do == nil:
		refused = room.Refuse(http.StatusMethodNotAllowed, "this path does not take %s", r.Method)
	}
	a.Answer = func(w http.ResponseWriter) {
		c.w = w
		// The request is read to its end even if it is refused, or the client would see a broken connection where
		// there is an answer.
		body, err := room.ReadBody(r, maxBody)
		c.body = body
		if refused != nil {
			err = refused
		}
		if err == nil {
			err = do(s, c)
		}
		if err != nil {
			if do == nil && known {
				w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(e.Methods)), ", "))
			}
			c.fail(err)
		}
	}
	return a
}

// maxBody is what is read of a request: twice a file of the largest size in base64, and more.
const maxBody = 16 << 20

func notFound(id string) error {
	return room.Refuse(http.StatusNotFound, "there is no customer with objectid %s", id)
}

// limited is the refusal of a request that comes too soon.
type limited struct{ wait time.Duration }

func (*limited) Error() string { return "rate limit exceeded" }

// fail answers with an error.
func (c *call) fail(err error) {
	var tooSoon *limited
	var wrong *room.Refusal
	switch {
	case errors.As(err, &tooSoon):
		after := room.RetryAfter{Wait: tooSoon.wait, Form: c.knobs.RetryAfter}
		after.Set(c.w.Header(), c.at)
		room.WriteError(c.w, http.StatusTooManyRequests, c.knobs.LimitBody, err.Error())
	case errors.As(err, &wrong):
		if wrong.Status == http.StatusUnauthorized {
			c.w.Header().Set("WWW-Authenticate", `Bearer realm="mapmycustomers"`)
		}
		room.WriteError(c.w, wrong.Status, room.BodyJSON, wrong.Text)
	default:
		room.WriteError(c.w, http.StatusInternalServerError, room.BodyJSON, "the sandbox itself: "+err.Error())
	}
}

// message is the answer of every write.
type message struct {
	Message string `json:"message"`
}

func (c *call) say(status int, text string) error {
	room.WriteJSON(c.w, status, message{text})
	return nil
}

// written describes the call for the ledger.
func (c *call) written() room.Written {
	return room.NewWritten(c.at, c.r.Method, c.path, c.body)
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

// list answers with all records of a kind.
func list(kind string) handler {
	return func(s *Simulator, c *call) error {
		room.WriteArray(c.w, s.Store.List(kind), c.knobs.ContentLength)
		return nil
	}
}

// fill makes what a new account has.
func (s *Simulator) fill() error {
	err := s.Store.Fill(func(tx *room.Tx) error {
		if err := s.tokens.Keep(tx); err != nil {
			return err
		}
		for _, t := range sampleTerritories() {
			if err := tx.PutJSON(kindTerritories, t.ID, t); err != nil {
				return err
			}
		}
		return tx.PutJSON(kindAccount, single, newUser(s.made.Username, s.seed))
	})
	if err != nil {
		return err
	}
	return s.plant()
}
