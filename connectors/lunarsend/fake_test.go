package lunarsend

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

	mu    sync.Mutex
	recs  []map[string]any
	calls []string // "METHOD path?query body"
	heads []http.Header
	count map[string]int

	// fault decides about a call; n counts the calls of one kind (create, edit, search, delete), from 1.
	fault  func(kind string, n int) string
	shape  string // of what a search shows: ids (an array), one ({"id"} of the first), full, data
	parts  bool   // a search finds parts of values
	unique bool   // an address is taken once
	naming string // the names that an edit has: "" for all, contactID or contact_id
	blind  bool   // the bodies of deletes are dropped
	makes  bool   // edits make contacts
	words  string // of refusals that fault asks for
	dup    int    // status of the refusal of a second address
}

// What a fault function can ask for.
const (
	fine       = ""
	dropBefore = "drop before" // the connection breaks, nothing is done
	dropAfter  = "drop after"  // it is done, the connection breaks
	pageAfter  = "page after"  // it is done, a page comes back
	emptyAfter = "text after"  // it is done, and the answer is no JSON
	error500   = "500"         // nothing is done
	limited500 = "500 limited" // nothing is done, as calls come too fast
	limited429 = "429"
	refuse400  = "400"        // the record is refused
	refuse401  = "401"        // the key is
	missing404 = "404"        // there is no such path
	noID       = "no id"      // it is done, and the answer is {}
	emptyList  = "empty list" // it is done, and the answer is []
	noAnswer   = "no answer"  // it is done, and the answer is empty
	named      = "named"      // it is done, and the answer says so without naming it
	onlySaid   = "only said"  // nothing is done, and the answer is {}
	claimed    = "claimed"    // nothing is done, and the answer says that it is
)

func newFake(t *testing.T) *fake {
	f := &fake{t: t, count: map[string]int{}, shape: "ids", dup: 400}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/api")
	call := r.Method + " " + path
	if r.URL.RawQuery != "" {
		call += "?" + r.URL.RawQuery
	}
	f.calls = append(f.calls, strings.TrimSpace(call+" "+string(body)))
	f.heads = append(f.heads, r.Header)
	var in map[string]any
	_ = json.Unmarshal(body, &in)
	kind := kindOf(r.Method, in)
	f.count[kind]++
	what := fine
	if f.fault != nil {
		what = f.fault(kind, f.count[kind])
	}
	refusals := map[string]int{error500: 500, limited500: 500, limited429: 429, refuse400: 400, refuse401: 401, missing404: 404}
	switch status := refusals[what]; {
	case what == dropBefore:
		panic(http.ErrAbortHandler)
	case what == limited500 || what == limited429:
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"message":"Rate limit exceeded"}`)
		return
	case status != 0:
		w.WriteHeader(status)
		words := "no, says the vendor"
		if f.words != "" {
			words = f.words
		}
		_, _ = io.WriteString(w, quote("%s", words))
		return
	case what == onlySaid:
		_, _ = io.WriteString(w, "{}")
		return
	case what == claimed:
		_, _ = io.WriteString(w, `[{"status":"success","data":{}}]`)
		return
	}
	status, answer := f.do(kind, r.URL.Query(), in, strings.HasPrefix(path, "/v2/"))
	switch what {
	case dropAfter:
		panic(http.ErrAbortHandler)
	case pageAfter:
		answer = "<html>welcome to the wireless network</html>"
	case emptyAfter:
		answer = "thank you"
	case noID:
		answer = "{}"
	case emptyList:
		answer = "[]"
	case noAnswer:
		answer = ""
	case named:
		answer = `[{"status":"success","data":{}}]`
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

func kindOf(method string, in map[string]any) string {
	switch method {
	case "GET":
		return "search"
	case "DELETE":
		return "delete"
	case "PATCH":
		return "edit"
	}
	for _, name := range []string{"contactID", "contact_id", "updateFields", "update_fields"} {
		if _, ok := in[name]; ok {
			return "edit"
		}
	}
	return "create"
}

func quote(format string, args ...any) string {
	b, _ := json.Marshal(map[string]string{"message": fmt.Sprintf(format, args...)})
	return string(b)
}

func (f *fake) do(kind string, q url.Values, in map[string]any, v2 bool) (status int, answer string) {
	switch kind {
	case "search":
		return f.search(q, v2)
	case "create":
		for _, r := range f.recs {
			if f.unique && strings.EqualFold(r["email"].(string), in["email"].(string)) {
				return f.dup, quote("a contact with this email already exists")
			}
		}
		r := f.add(fmt.Sprintf("1234567890%010d", len(f.recs)), 0, in)
		if v2 {
			b, _ := json.Marshal([]any{map[string]any{"status": "success", "data": r}})
			return 200, string(b)
		}
		return 200, fmt.Sprintf(`{"id":%q}`, r["id"])
	case "delete":
		id, _ := in["contact_id"].(string)
		if f.blind {
			id = ""
		}
		if q.Has("contact_id") {
			id = q.Get("contact_id")
		}
		if id == "" {
			return 400, quote("contact_id is required")
		}
		i := f.at(id)
		if i < 0 {
			return 404, quote("there is no contact %s", id)
		}
		f.recs = slices.Delete(f.recs, i, i+1)
		return 200, "Document deleted successfully"
	}
	return f.edit(in)
}

func (f *fake) edit(in map[string]any) (int, string) {
	id, _ := in["id"].(string)
	set := in
	for _, names := range [][2]string{{"contactID", "updateFields"}, {"contact_id", "update_fields"}} {
		if v, ok := in[names[0]].(string); ok && (f.naming == "" || f.naming == names[0]) {
			id, set = v, in[names[1]].(map[string]any)
		}
	}
	if id == "" {
		return 400, quote("%s is required", f.naming)
	}
	if f.makes {
		return 200, fmt.Sprintf(`{"id":%q}`, f.add("9999", 0, set)["id"])
	}
	i := f.at(id)
	if i < 0 {
		return 404, quote("there is no contact %s", id)
	}
	for k, v := range set {
		f.recs[i][k] = v
	}
	return 200, fmt.Sprintf(`{"id":%q}`, id)
}

func (f *fake) search(q url.Values, v2 bool) (int, string) {
	by, term := q.Get("searchby"), q.Get("search")
	if v2 {
		by, term = q.Get("search_by"), q.Get("search_term")
	}
	hits := []map[string]any{}
	for _, r := range f.recs {
		have := strings.ToLower(fmt.Sprint(r[by]))
		if have == strings.ToLower(term) || f.parts && strings.Contains(have, strings.ToLower(term)) || v2 && term == "" {
			hits = append(hits, r)
		}
	}
	if v2 {
		var page int
		_, _ = fmt.Sscan(q.Get("page"), &page)
		const size = 2
		rows := []map[string]any{}
		for i := page * size; i < len(hits) && i < page*size+size; i++ {
			row := map[string]any{"contact_id": hits[i]["id"], "total_count": len(hits), "tags": []any{map[string]any{"id": "1", "name": "VIP", "color": "red"}}}
			for _, k := range []string{"first_name", "last_name", "email", "phone", "company"} {
				row[k] = hits[i][k]
			}
			rows = append(rows, row)
		}
		b, _ := json.Marshal(map[string]any{"data": rows})
		return 200, string(b)
	}
	ids := []map[string]any{}
	for _, r := range hits {
		ids = append(ids, map[string]any{"id": r["id"]})
	}
	var out any = ids
	switch f.shape {
	case "full":
		out = hits
	case "data":
		out = map[string]any{"data": hits}
	case "one":
		out = map[string]any{}
		if len(ids) > 0 {
			out = ids[0]
		}
	}
	b, _ := json.Marshal(out)
	return 200, string(b)
}

func (f *fake) at(id string) int {
	return slices.IndexFunc(f.recs, func(r map[string]any) bool { return r["id"] == id })
}

// add puts a contact there that was made a while ago.
func (f *fake) add(id string, age time.Duration, fields map[string]any) map[string]any {
	r := map[string]any{"id": id, "created_at": time.Now().Add(-age).UTC().Format(time.RFC3339)}
	for _, k := range createFields() {
		r[k] = ""
	}
	for k, v := range fields {
		r[k] = v
	}
	f.recs = append(f.recs, r)
	return r
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
	set := map[string]string{"base_url": f.url + "/api", "api_key": "secret&1", "rate": "100000"}
	for i := 0; i < len(settings); i += 2 {
		set[settings[i]] = settings[i+1]
	}
	c, err := Open(schema.Connection{Name: "lunar", Settings: set}, api.Env{Attempts: 3})
	if err != nil {
		f.t.Fatal(err)
	}
	c.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return c
}

// table and fates are short for what the tests below are tables of.
func table(header string, lines ...string) *record.Batch { return deliverytest.Table(header, lines...) }

func fates(b *record.Batch) []string { return deliverytest.Fates(b) }
