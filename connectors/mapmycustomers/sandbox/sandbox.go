// Package sandbox imitates Map My Customers, API v1, strictly by the vendor's document. Where the document is silent, the
// behaviour is this package's and can be changed by a setting (Knobs) if it matters.
package sandbox

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// Name is the vendor's name, as in targets.
const Name = "mapmycustomers"

const prefix = "/api/v1" // of every path in the document

// The kinds of records in the store. All but key and fields are kept as the API shows them.
const (
	kindCustomers   = "customers"
	kindRoutes      = "routes"
	kindTerritories = "territories"
	kindUpdates     = "updates"
	kindAccount     = "account"      // one record: GET /user
	kindFields      = "customfields" // one record: label → slot, which no call of the vendor returns
	kindFiles       = "files"        // what was attached, without the bytes, which no call of the vendor returns
	kindKey         = "key"          // one record: what tokens are signed with
)

const single = "1" // the id of a kind's only record

// Simulator is the vendor's API. Its records, ledger and faults are those of the Front.
type Simulator struct {
	room.Front

	made  Knobs // as it was made
	knobs Knobs // with what the faults set; guarded by the Front, which asks one at a time
	seed  int
	key   []byte
	limit room.Limiter
	paths []endpoint
	wait  time.Duration // what Settings says of a token's activation
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
	store, err := room.OpenStore(o.Dir, Name)
	if err != nil {
		return nil, err
	}
	s := &Simulator{made: k, knobs: k, seed: o.Seed, paths: endpoints()}
	s.Front.Name = Name
	s.Prefix = prefix
	s.Store = store
	s.Now = o.Clock()
	s.Front.Arrive = s.arrive
	s.Tune = s.tune
	s.Fill = s.fill
	if err := s.start(o.Faults); err != nil {
		_ = store.Close()
		return nil, fmt.Errorf("%s: %w", Name, err)
	}
	return s, nil
}

func (s *Simulator) start(faults *room.Faults) error {
	if err := s.Start(faults); err != nil {
		return err
	}
	doc, ok, err := s.Store.Get(kindKey, single)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("the folder has no key for tokens: remove it to start anew")
	}
	var key struct{ Key []byte }
	if err := json.Unmarshal(doc, &key); err != nil {
		return fmt.Errorf("key for tokens: %w", err)
	}
	s.key = key.Key
	s.wait = s.knobs.Activation
	return nil
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

// endpoint is one path of the document with its methods.
type endpoint struct {
	path    string
	methods map[string]handler
	open    bool // asks for no token and is not under the rate
}

// endpoints are the document's, in its order.
func endpoints() []endpoint {
	type m = map[string]handler
	return []endpoint{
		{path: "/token", methods: m{"GET": (*Simulator).token, "POST": (*Simulator).token}, open: true},
		{path: "/customers", methods: m{"GET": list(kindCustomers), "POST": (*Simulator).createCustomer}},
		{path: "/customers/search/{term}", methods: m{"GET": (*Simulator).searchCustomers}},
		{path: "/customers/{id}", methods: m{"GET": (*Simulator).getCustomer, "PUT": (*Simulator).updateCustomer, "DELETE": (*Simulator).deleteCustomer}},
		{path: "/routes", methods: m{"GET": list(kindRoutes), "POST": (*Simulator).createRoute}},
		{path: "/territories", methods: m{"GET": list(kindTerritories)}},
		{path: "/updates", methods: m{"GET": list(kindUpdates)}},
		{path: "/user", methods: m{"GET": (*Simulator).getUser}},
		{path: "/user/customfields", methods: m{"PUT": (*Simulator).putFields}},
		{path: "/user/groups", methods: m{"PUT": (*Simulator).putGroups}},
	}
}

// find returns the endpoint of an escaped path and its variable parts, decoded.
func (s *Simulator) find(path string) (endpoint, []string, bool) {
	parts := strings.Split(path, "/")
	for _, e := range s.paths {
		want := strings.Split(e.path, "/")
		if len(want) != len(parts) {
			continue
		}
		var args []string
		ok := true
		for i := range want {
			if strings.HasPrefix(want[i], "{") && parts[i] != "" {
				arg, err := url.PathUnescape(parts[i])
				ok = ok && err == nil
				args = append(args, arg)
			} else if want[i] != parts[i] {
				ok = false
			}
		}
		if ok {
			return e, args, true
		}
	}
	return endpoint{}, nil, false
}

// arrive decides on a request before its body is read: path, token and rate, in the order of arrival.
func (s *Simulator) arrive(r *http.Request, at time.Time) room.Arrival {
	path, ours := strings.CutPrefix(r.URL.EscapedPath(), prefix)
	e, args, known := s.find(path)
	known = known && ours
	a := room.Arrival{Route: e.path, Paced: !e.open}
	if !known {
		a.Route = "?"
	}

	c := &call{r: r, path: path, at: at, knobs: s.knobs, args: args}
	var refused error
	if !e.open {
		token, claim, err := s.authorize(r, at)
		c.claim, refused = claim, err
		if token != "" {
			if wait, ok := s.limit.Arrive(token, at); !ok && refused == nil {
				refused = &limited{wait}
			}
		}
	}
	do := e.methods[r.Method]
	switch {
	case !known:
		refused = &problem{http.StatusNotFound, "there is no such path"}
	case do == nil:
		refused = &problem{http.StatusMethodNotAllowed, "this path does not take " + r.Method}
	}
	a.Answer = func(w http.ResponseWriter) {
		c.w = w
		// The request is read to its end even if it is refused, or the client would see a broken connection where
		// there is an answer.
		body, err := room.ReadBody(r, maxBody)
		c.body = body
		switch {
		case refused != nil:
			err = refused
		case errors.Is(err, room.ErrTooLarge):
			err = &problem{http.StatusRequestEntityTooLarge, err.Error()}
		case err != nil:
			err = &problem{http.StatusBadRequest, err.Error()}
		default:
			err = do(s, c)
		}
		if err != nil {
			if do == nil && known {
				w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(e.methods)), ", "))
			}
			c.fail(err)
		}
	}
	return a
}

// maxBody is what is read of a request: twice a file of the largest size in base64, and more.
const maxBody = 16 << 20

// problem is a refusal with its status. The document gives no statuses and no bodies of errors.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

func invalid(format string, args ...any) error {
	return &problem{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func notFound(id string) error {
	return &problem{http.StatusNotFound, "there is no customer with objectid " + id}
}

// limited is the refusal of a request that comes too soon.
type limited struct{ wait time.Duration }

func (*limited) Error() string { return "rate limit exceeded" }

// fail answers with an error.
func (c *call) fail(err error) {
	var tooSoon *limited
	var wrong *problem
	switch {
	case errors.As(err, &tooSoon):
		after := room.RetryAfter{Wait: tooSoon.wait, Form: c.knobs.RetryAfter}
		after.Set(c.w.Header(), c.at)
		room.WriteError(c.w, http.StatusTooManyRequests, c.knobs.LimitBody, err.Error())
	case errors.As(err, &wrong):
		if wrong.status == http.StatusUnauthorized {
			c.w.Header().Set("WWW-Authenticate", `Bearer realm="mapmycustomers"`)
		}
		room.WriteError(c.w, wrong.status, room.BodyJSON, wrong.text)
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
	if !room.IsJSON(c.r) {
		return nil, &problem{http.StatusUnsupportedMediaType, "want Content-Type: application/json"}
	}
	members, err := room.ParseObject(c.body)
	if err != nil {
		return nil, invalid("%v", err)
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
	if s.key == nil {
		// Kept over a reset: tokens stay good, as an account's do when its records go.
		s.key = make([]byte, 64)
		if _, err := rand.Read(s.key); err != nil {
			return err
		}
	}
	err := s.Store.Fill(func(tx *room.Tx) error {
		tx.Put(kindKey, single, []byte(`{"key":"`+base64.StdEncoding.EncodeToString(s.key)+`"}`))
		for _, t := range sampleTerritories() {
			if err := put(tx, kindTerritories, t.ID, t); err != nil {
				return err
			}
		}
		return put(tx, kindAccount, single, newUser(s.made.Username, s.seed))
	})
	if err != nil {
		return err
	}
	return s.plant()
}

// put keeps v as JSON.
func put(tx *room.Tx, kind, id string, v any) error {
	doc, err := room.Marshal(v)
	if err != nil {
		return err
	}
	tx.Put(kind, id, doc)
	return nil
}
