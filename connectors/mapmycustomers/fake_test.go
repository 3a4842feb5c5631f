package mapmycustomers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// fake is a vendor that does what its fault function says.
type fake struct {
	t   *testing.T
	url string

	mu     sync.Mutex
	recs   []map[string]any
	routes []map[string]any
	user   string
	tokens int
	calls  []string // "METHOD path body", token calls left out
	auth   []string // the Authorization of each of them
	now    func() time.Time

	// fault decides about a call; n counts the calls of one method, from 1.
	fault  func(method, path string, n int) string
	count  map[string]int
	before func(method, path string) // called when a call arrives
	wipes  bool                      // a PUT replaces the whole record
}

// What a fault function can ask for.
const (
	fine        = ""
	dropBefore  = "drop before"  // the connection breaks, nothing is done
	dropAfter   = "drop after"   // it is done, the connection breaks
	pageAfter   = "page after"   // it is done, a page comes back
	error500    = "500"          // nothing is done
	refuse400   = "400"          // the record is refused
	refuse401   = "401"          // the token is
	missing404  = "404"          // there is no such record
	cutList     = "cut"          // the list ends in the middle
	hidden      = "hidden"       // a list does not show what was made last
	with201     = "201 location" // it is done, and the answer names the id
	withIDs     = "id"           // it is done, and the answer holds the id
	errorIn200  = "error in 200" // nothing is done, and only the body says so
	noListThere = "no list"
)

func newFake(t *testing.T) *fake {
	f := &fake{t: t, count: map[string]int{}, now: time.Now, routes: []map[string]any{},
		user: `{"username":"ops@example.com","name":"Olivia","numPins":50000,"numGroups":500,"groups":["Ohio","Latest Finds","Pittsburgh"],"requiredGroups":["Ohio"]}`}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/api/v1")
	if path == "/token" {
		f.mu.Lock()
		f.tokens++
		n := f.tokens
		f.mu.Unlock()
		if name, pass, ok := r.BasicAuth(); ok && (name != "ops@example.com" || pass != "secret&1") {
			w.WriteHeader(401)
			return
		}
		fmt.Fprintf(w, `{"token":"opaque-%d"}`, n)
		return
	}
	if f.before != nil {
		f.before(r.Method, path)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, strings.TrimSpace(r.Method+" "+path+" "+string(body)))
	f.auth = append(f.auth, r.Header.Get("Authorization"))
	f.count[r.Method]++
	what := fine
	if f.fault != nil {
		what = f.fault(r.Method, path, f.count[r.Method])
	}
	status := map[string]int{error500: 500, refuse400: 400, refuse401: 401, missing404: 404}[what]
	switch {
	case status != 0:
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"message":"no, says the vendor"}`)
		return
	case what == dropBefore:
		f.drop(w)
		return
	case what == errorIn200:
		fmt.Fprint(w, `{"error":"nothing was done"}`)
		return
	case what == noListThere:
		fmt.Fprint(w, `{"message":"come back later"}`)
		return
	}
	answer, id := f.do(r.Method, path, body, what)
	switch what {
	case dropAfter:
		f.drop(w)
	case pageAfter:
		fmt.Fprint(w, "<html>welcome to the wireless network</html>")
	case with201:
		w.Header().Set("Location", "/api/v1/customers/"+id)
		w.WriteHeader(201)
		fmt.Fprint(w, answer)
	case withIDs:
		fmt.Fprintf(w, `{"message":"Object created.","id":%q}`, id)
	case cutList:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answer[:len(answer)/2])
	default:
		if answer == "" {
			w.WriteHeader(404)
			answer = `{"message":"there is none"}`
		}
		fmt.Fprint(w, answer)
	}
}

func (f *fake) drop(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func (f *fake) do(method, path string, body []byte, what string) (answer, id string) {
	var in map[string]any
	_ = json.Unmarshal(body, &in)
	last := path[strings.LastIndexByte(path, '/')+1:]
	last, _ = url.PathUnescape(last)
	stamp := map[string]any{"date": f.now().UTC().Format("2006-01-02 15:04:05"), "timezone_type": 2, "timezone": "Z"}
	list := func(keep func(map[string]any) bool) string {
		out := []map[string]any{}
		for i, r := range f.recs {
			if keep(r) && !(what == hidden && i == len(f.recs)-1) {
				out = append(out, r)
			}
		}
		b, _ := json.Marshal(out)
		return string(b)
	}
	at := slices.IndexFunc(f.recs, func(r map[string]any) bool { return r["id"] == last })
	switch {
	case method == "GET" && path == "/customers":
		return list(func(map[string]any) bool { return true }), ""
	case method == "GET" && strings.HasPrefix(path, "/customers/search/"):
		return list(func(r map[string]any) bool {
			for _, k := range []string{"name", "company", "address", "city", "state", "zip", "country"} {
				if strings.Contains(strings.ToLower(r[k].(string)), strings.ToLower(last)) {
					return true
				}
			}
			return false
		}), ""
	case method == "GET" && path == "/user":
		return f.user, ""
	case method == "GET" && path == "/routes":
		b, _ := json.Marshal(f.routes)
		return string(b), ""
	case method == "POST" && path == "/customers":
		id = fmt.Sprintf("new%07d", len(f.recs))
		f.recs = append(f.recs, customer(id, in, stamp))
		return `{"message":"Object created."}`, id
	case method == "POST" && path == "/routes":
		id = fmt.Sprintf("rt%08d", len(f.routes))
		f.routes = append(f.routes, map[string]any{"id": id, "name": in["routeName"], "points": in["customerIds"], "createdAt": stamp})
		return `{"message":"Object created."}`, id
	case method == "PUT" && strings.HasPrefix(path, "/user/"):
		return `{"message":"User's groups successfully updated."}`, ""
	case at < 0:
		return "", ""
	case method == "GET":
		b, _ := json.Marshal(f.recs[at])
		return string(b), ""
	case method == "PUT":
		if f.wipes {
			f.recs[at] = customer(last, nil, f.recs[at]["createdAt"])
		}
		for k, v := range in {
			f.recs[at][k] = v
		}
		f.recs[at]["updatedAt"] = stamp
		return fmt.Sprintf(`{"message":"Customer with objectid %s successfully updated."}`, last), ""
	case method == "DELETE":
		f.recs = slices.Delete(f.recs, at, at+1)
		return fmt.Sprintf(`{"message":"Customer deleted with objectid %s."}`, last), ""
	}
	return "", ""
}

// customer is a whole record of the vendor, as its document shows them.
func customer(id string, in map[string]any, stamp any) map[string]any {
	r := map[string]any{"id": id, "createdAt": stamp, "updatedAt": stamp, "groups": []string{}, "dealAmount": nil, "color": "red"}
	for _, k := range []string{"name", "company", "address", "city", "state", "zip", "country", "email", "phone", "notes", "custom0"} {
		r[k] = ""
	}
	for k, v := range in {
		if k != fieldFile {
			r[k] = v
		}
	}
	return r
}

// add puts a record there that was made a while ago.
func (f *fake) add(id string, age time.Duration, fields map[string]any) {
	f.recs = append(f.recs, customer(id, fields, map[string]any{"date": time.Now().Add(-age).UTC().Format("2006-01-02 15:04:05"), "timezone_type": 2, "timezone": "Z"}))
}

// sent are the calls so far that begin with prefix.
func (f *fake) sent(prefix string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, c := range f.calls {
		if strings.HasPrefix(c, prefix) {
			out = append(out, c)
		}
	}
	return out
}

// connect opens a connection to the fake that does not really wait.
func (f *fake) connect(settings ...string) *Conn {
	f.t.Helper()
	set := map[string]string{"base_url": f.url + "/api/v1", "username": "ops@example.com", "password": "secret&1", "token_activation": "0s", "rate": "100000"}
	for i := 0; i < len(settings); i += 2 {
		set[settings[i]] = settings[i+1]
	}
	c, err := Open(schema.Connection{Name: "mmc", Settings: set}, api.Env{})
	if err != nil {
		f.t.Fatal(err)
	}
	c.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return c
}

// table and fates are short for what the tests below are tables of.
func table(header string, lines ...string) *record.Batch { return deliverytest.Table(header, lines...) }

func fates(b *record.Batch) []string { return deliverytest.Fates(b) }
