package sandbox

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/google/go-cmp/cmp"
)

// desk calls a simulator without a network, with a clock that stands still until it is moved.
type desk struct {
	*Simulator
	t   *testing.T
	now time.Time
}

func newDesk(t *testing.T, o room.Options, k Knobs) *desk {
	t.Helper()
	d := &desk{t: t, now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	if o.Now == nil {
		o.Now = func() time.Time { return d.now }
	}
	s, err := NewWith(o, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	d.Simulator = s
	return d
}

// signed makes a token by the vendor's rules, for the parts of a request as they are signed. payload gets the hash and
// has the other claims.
func signed(secret, path, body, query, payload string) string {
	data := path
	if body != "" {
		data += "|" + body
	}
	if query != "" {
		data += "|" + query
	}
	hash := sha1.Sum([]byte(data))
	text := b64(`{"alg":"HS256"}`) + "." + b64(fmt.Sprintf(payload, hex.EncodeToString(hash[:])))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + b64(string(mac.Sum(nil)))
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// request makes a signed request to a path below /integration/{id}, with its query.
func (d *desk) request(method, path, body string) *http.Request {
	target := prefix + "/integration/" + d.made.IntegrationID + path
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	before, query, _ := strings.Cut(target, "?")
	exp := fmt.Sprintf(`{"request-hash":"%%s","exp":%d}`, d.now.Unix()+600)
	r.Header.Set("auth-token", signed(d.made.Secret, strings.TrimPrefix(before, "/charon"), body, query, exp))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (d *desk) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func (d *desk) call(method, path, body string) *httptest.ResponseRecorder {
	return d.serve(d.request(method, path, body))
}

// post sends events, and wants them accepted.
func (d *desk) post(subtype string, events ...string) {
	d.t.Helper()
	for _, body := range events {
		path := "/event?subtype="
		if strings.HasPrefix(body, "[") {
			path = "/event/batch?subtype="
		}
		if w := d.call("POST", path+subtype, body); w.Code != 200 || w.Body.Len() != 0 {
			d.t.Fatalf("%s %s: %d %s", subtype, body, w.Code, w.Body)
		}
	}
}

// records are a kind's, as they are shown.
func (d *desk) records(kind string) []string {
	d.t.Helper()
	r := httptest.NewRequest("GET", "/_sandbox/records/"+kind, nil)
	r.RemoteAddr = "127.0.0.1:1234"
	w := d.serve(r)
	elements, ok := splitArray(w.Body.Bytes())
	if !ok || w.Code != 200 {
		d.t.Fatalf("%s: %d %s", kind, w.Code, w.Body)
	}
	var out []string
	for _, e := range elements {
		out = append(out, string(e))
	}
	return out
}

// want compares a kind's records.
func (d *desk) want(kind string, records ...string) {
	d.t.Helper()
	if diff := cmp.Diff(records, d.records(kind)); diff != "" {
		d.t.Errorf("%s:\n%s", kind, diff)
	}
}

// reports are the codes and fields of the feedback.
func (d *desk) reports() (out []string) {
	d.t.Helper()
	for _, doc := range d.records(kindFeedback) {
		members, _ := splitObject(nil, []byte(doc))
		fields, _ := room.Member{Value: find(members, "actionParams")}.Texts()
		out = append(out, text(find(members, "errorCode"))+" "+strings.Join(fields, ","))
	}
	return out
}

// set applies fault rules.
func (d *desk) set(rules string) {
	d.t.Helper()
	if err := d.SetFaults(sandboxtest.Faults(d.t, rules)); err != nil {
		d.t.Fatal(err)
	}
}
