// Package sandbox imitates Lunar Send's contacts API: the legacy one, strictly by the vendor's document, and v2, by what
// the vendor's later pages say of it. Both are served at once over the same contacts. Where the pages are silent, the
// behaviour is this package's and can be changed by a setting (Knobs) if it matters.
package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// Name is the vendor's name, as in targets.
const Name = "lunarsend"

const prefix = "/api" // of every path, those of v2 included

// The kinds of records in the store.
const (
	kindContacts = "contacts"
	kindEmails   = "emails" // which contacts have an address: an index, which no call of the vendor returns
)

// Simulator is the vendor's API. Its records, ledger and faults are those of the Front.
type Simulator struct {
	room.Front

	made  Knobs // as it was made
	knobs Knobs // with what the faults set; guarded by the Front, which asks one at a time
	paths room.Endpoints[handler]
	limit room.Limiter
	seed  int

	// writing is held over a change of contacts, so that a request with several of them is checked and done as one.
	writing sync.Mutex
}

// New returns the simulator as the vendor is, as far as its pages say.
func New(o room.Options) (room.Simulator, error) {
	return NewWith(o, Knobs{})
}

// NewWith returns the simulator with settings of its own.
func NewWith(o room.Options, k Knobs) (*Simulator, error) {
	k, err := k.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Name, err)
	}
	s := &Simulator{made: k, knobs: k, seed: o.Seed}
	s.Front = room.Front{Name: Name, Prefix: prefix, Arrive: s.arrive, Tune: s.tune, Fill: s.plant}
	if err := s.Open(o); err != nil {
		return nil, err
	}
	return s, nil
}

// Settings returns the connection settings that reach the simulator served at base.
func (s *Simulator) Settings(base string) map[string]string {
	return map[string]string{"base_url": base + prefix, "api_key": s.made.APIKey}
}

// call is one request on its way through the simulator.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	path  string // without the prefix, escaped
	at    time.Time
	knobs Knobs
	query url.Values
	body  []byte
	args  []string // the path's variable parts, decoded
}

// handler does the work of one endpoint.
type handler func(*Simulator, *call) error

// endpoints are the paths that there are under the settings. The document names none; that creating is
// POST /api/contacts is what a later page of the vendor says, and the rest follows from it.
func endpoints(k Knobs) room.Endpoints[handler] {
	type m = map[string]handler
	legacy := m{"GET": (*Simulator).search, "POST": (*Simulator).post, "DELETE": (*Simulator).remove}
	edit, one, v2, v2one := m{}, m{}, m{"POST": (*Simulator).createV2, "PATCH": (*Simulator).patchV2}, m{}
	if k.EditAt != editShared {
		edit["POST"] = (*Simulator).edit
	}
	if k.deletesBy(byPath) {
		one["DELETE"] = (*Simulator).removePath
	}
	switch k.V2Delete {
	case byBody, byQuery:
		v2["DELETE"] = (*Simulator).removeV2
	case byPath:
		v2one["DELETE"] = (*Simulator).removeV2
	}
	return room.Endpoints[handler]{
		{Path: "/contacts", Methods: legacy},
		{Path: "/contacts/edit", Methods: edit},
		{Path: "/contacts/{id}", Methods: one},
		{Path: "/v2/contacts", Methods: v2},
		{Path: "/v2/contacts/search", Methods: m{"GET": (*Simulator).searchV2}},
		{Path: "/v2/contacts/{id}", Methods: v2one},
	}
}

// arrive decides on a request before its body is read: path, key and rate, in the order of arrival.
func (s *Simulator) arrive(r *http.Request, at time.Time) room.Arrival {
	path, ours := strings.CutPrefix(r.URL.EscapedPath(), prefix)
	e, args, known := s.paths.Find(path)
	known = known && ours
	a := room.Arrival{Route: e.Path, Paced: true}
	if !known {
		a.Route = "?"
	}

	c := &call{r: r, path: path, at: at, knobs: s.knobs, args: args}
	refused := s.authorize(r, at)
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
		err := c.read()
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

// authorize checks the key and, if it is good, counts the request towards its rate.
func (s *Simulator) authorize(r *http.Request, at time.Time) error {
	keys := r.Header.Values("X-Api-Key")
	if len(keys) != 1 || keys[0] != s.made.APIKey {
		return room.Refuse(s.knobs.KeyStatus, "the x-api-key header has no valid key")
	}
	if wait, ok := s.limit.Arrive(keys[0], at); !ok {
		return &limited{wait}
	}
	return nil
}

// maxBody is what is read of a request.
const maxBody = 16 << 20

// read takes in the query and the body, or what the settings leave of it.
func (c *call) read() error {
	body, err := room.ReadBody(c.r, maxBody)
	if err != nil {
		return err
	}
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return room.Invalid("the query can't be read: %v", err)
	}
	dropped := c.r.Method == http.MethodGet && c.knobs.IgnoreGetBodies || c.r.Method == http.MethodDelete && c.knobs.DropDeleteBodies
	if !dropped {
		c.body = body
	}
	return nil
}

func notFound(id string) error {
	return room.Refuse(http.StatusNotFound, "there is no contact with id %s", id)
}

// limited is the refusal of a request that comes too soon.
type limited struct{ wait time.Duration }

// Error is the vendor's own text, from its table of statuses.
func (*limited) Error() string { return "Rate limit exceeded" }

// failure is the body of an error. That is v2's; the document says nothing of the legacy API's.
type failure struct {
	Error   string `json:"error"`
	Message string `json:"message"`
}

// errorCode is what stands in "error" for a status. The vendor's pages give the shape, not the codes.
func errorCode(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "bad_request"
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusNotFound:
		return "not_found"
	case http.StatusMethodNotAllowed:
		return "method_not_allowed"
	case http.StatusConflict:
		return "conflict"
	case http.StatusRequestEntityTooLarge:
		return "payload_too_large"
	}
	return "internal_error"
}

// fail answers with an error.
func (c *call) fail(err error) {
	var tooSoon *limited
	var wrong *room.Refusal
	switch {
	case errors.As(err, &tooSoon):
		after := room.RetryAfter{Wait: tooSoon.wait, Form: c.knobs.RetryAfter}
		after.Set(c.w.Header(), c.at)
		if c.knobs.LimitBody != room.BodyJSON {
			room.WriteError(c.w, c.knobs.LimitStatus, c.knobs.LimitBody, err.Error())
			return
		}
		room.WriteJSON(c.w, c.knobs.LimitStatus, failure{"rate_limit_exceeded", err.Error()})
	case errors.As(err, &wrong):
		code := wrong.Code
		if code == "" {
			code = errorCode(wrong.Status)
		}
		room.WriteJSON(c.w, wrong.Status, failure{code, wrong.Text})
	default:
		room.WriteJSON(c.w, http.StatusInternalServerError, failure{errorCode(http.StatusInternalServerError), "the sandbox itself: " + err.Error()})
	}
}

// written describes the call for the ledger.
func (c *call) written() room.Written {
	return room.NewWritten(c.at, c.r.Method, c.path, c.body)
}

// json checks that the body is said to be JSON. Among the statuses the vendor lists there is none but 400 for one that
// is not.
func (c *call) json() error {
	return room.NeedJSON(c.r, http.StatusBadRequest)
}

// object reads the call's body as a JSON object.
func (c *call) object() ([]room.Member, error) {
	if err := c.json(); err != nil {
		return nil, err
	}
	members, err := room.ParseObject(c.body)
	if err != nil {
		return nil, room.Invalid("%v", err)
	}
	return members, nil
}
