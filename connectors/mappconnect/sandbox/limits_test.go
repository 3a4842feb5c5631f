package sandbox

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/google/go-cmp/cmp"
)

func TestRefused(t *testing.T) {
	many := func(n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(`{"email":"a@b.c","group":"12"},`, n), ",") + "]"
	}
	d := newDesk(t, room.Options{}, Knobs{})
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/event?subtype=user", `[]`, 400, "not a JSON object"},
		{"POST", "/event?subtype=user", `"x"`, 400, "not a JSON object"},
		{"POST", "/event?subtype=user", ``, 415, "application/json"},
		{"POST", "/event?subtype=user", ` `, 400, "JSON"},
		{"POST", "/event?subtype=user", `{"email":"a","email":"b"}`, 400, "twice"},
		{"POST", "/event?subtype=users", `{}`, 400, `no subtype \"users\"`},
		{"POST", "/event?subtype=User", `{}`, 400, "no subtype"},
		{"POST", "/event?subtype=", `{}`, 400, "want one subtype"},
		{"POST", "/event", `{}`, 400, "want one subtype"},
		{"POST", "/event?subtype=user&subtype=email", `{}`, 400, "want one subtype"},
		{"POST", "/event?subtype=%zz", `{}`, 400, "query"},
		{"POST", "/event/batch?subtype=user", `{"email":"a@b.c"}`, 400, "not a JSON array"},
		{"POST", "/event/batch?subtype=user", many(1001), 400, "1001 events are more than 1000"},
		{"POST", "/event/batch?subtype=user", many(2)[:20], 400, "JSON"},
		{"GET", "/event?subtype=user", "", 405, "GET"},
		{"PUT", "/event?subtype=user", "{}", 405, "PUT"},
		{"POST", "/group", "{}", 405, "POST"},
		{"GET", "/groups", "", 404, "no such path"},
		{"GET", "/group/", "", 404, "no such path"},
		{"GET", "/", "", 404, "no such path"},
		{"POST", "/connect", `[]`, 400, "not a JSON object"},
	} {
		w := d.call(c.method, c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || !strings.HasPrefix(w.Body.String(), `{"errorActor":"CLIENT","errorCode":"`) {
			t.Errorf("%s %s %.40s: %d %s", c.method, c.path, c.body, w.Code, w.Body)
		}
	}
	r := d.request("POST", "/event?subtype=user", `{"email":"a@b.c","group":"12"}`)
	for typ, want := range map[string]int{"": 415, "text/plain": 415, "application/json; charset=utf-8": 200} {
		r := r.Clone(t.Context())
		r.Body = d.request("POST", "/event?subtype=user", `{"email":"a@b.c","group":"12"}`).Body
		r.Header.Set("Content-Type", typ)
		if w := d.serve(r); w.Code != want {
			t.Errorf("%q: %d", typ, w.Code)
		}
	}
	for _, path := range []string{"/api/v1/integration/" + SandboxIntegration + "/ping", prefix + "/integration/", prefix + "/ping", "/"} {
		if w := d.serve(httptest.NewRequest("GET", path, nil)); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	other := d.request("GET", "/ping", "")
	other.URL.Path = strings.Replace(other.URL.Path, "1111", "2222", 1)
	if w := d.serve(other); w.Code != 404 || !strings.Contains(w.Body.String(), "no integration") {
		t.Errorf("another integration: %d %s", w.Code, w.Body)
	}
	if n := len(d.Ledger().Writes); n != 1 || d.Store.Len(kindInbox) != 1 {
		t.Errorf("%d writes", n)
	}
	d.post("user", many(1000), "[]")
	if n := d.Store.Len(kindInbox); n != 1001 {
		t.Errorf("%d in the inbox", n)
	}
}

// TestLedger has a line an event, with the event's own digest.
func TestLedger(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	d.post("user", `[{"email":"a@b.c","group":"12"}, {"userId":"7"}]`)
	d.post("product", `{"productSKU":"s"}`)
	d.post("wishlist", `{"email":"a@b.c","sku":"s"}`)
	d.post("coupon", `{"listName":"l","value":"v"}`)
	d.post("relateddata", `{"datasetName":"d","key":"k","importMode":"delete"}`)
	d.post("email", `{"group":"12","messageId":"9634"}`)
	d.post("transaction", `{"email":"a@b.c","orderId":"o"}`)
	var got []string
	for i, w := range d.Ledger().Writes {
		if w.N != int64(i)+1 || w.Method != "POST" || !w.Time.Equal(d.now) {
			t.Errorf("%+v", w)
		}
		got = append(got, strings.TrimPrefix(w.Path, "/integration/"+SandboxIntegration)+" "+w.ID)
	}
	want := []string{"/event/batch a@b.c", "/event/batch 7", "/event s", "/event a@b.c/s", "/event l/v", "/event d/k", "/event 12/9634", "/event o"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if w := d.Ledger().Writes[1]; w.Body != room.NewWritten(time.Time{}, "", "", []byte(`{"userId":"7"}`)).Body {
		t.Errorf("digest %s", w.Body)
	}
}

func TestRate(t *testing.T) {
	for _, c := range []struct {
		set              string
		status           int
		retry, typ, body string
	}{
		{"", 500, "", "application/json", `{"errorActor":"SERVER","errorCode":"LIMIT_EXCEEDED","message":"Database Access Limit Exceeded"}`},
		{"limit_status=429 limit_retry_after=seconds limit_body=text", 429, "1", "text/plain; charset=utf-8", "Database Access Limit Exceeded"},
		{"limit_retry_after=date limit_body=html", 500, "Sun, 22 Nov 2026 10:00:01 GMT", "text/html; charset=utf-8", "<!DOCTYPE html>"},
		{"limit_retry_after=none limit_body=empty", 500, "", "", ""},
	} {
		d := newDesk(t, room.Options{}, Knobs{})
		for range 30 {
			if w := d.call("GET", "/ping", ""); w.Code != 200 {
				t.Fatalf("without a limit: %d", w.Code)
			}
		}
		d.set("set rate=3 window=500ms " + c.set)
		for range 3 {
			if w := d.call("GET", "/ping", ""); w.Code != 200 {
				t.Fatalf("below the limit: %d", w.Code)
			}
		}
		w := d.call("POST", "/event?subtype=product", `{"productSKU":"s"}`)
		if w.Code != c.status || w.Header().Get("Retry-After") != c.retry || w.Header().Get("Content-Type") != c.typ || !strings.HasPrefix(w.Body.String(), c.body) || (c.body == "") != (w.Body.Len() == 0) {
			t.Errorf("%s: %d %v %s", c.set, w.Code, w.Header(), w.Body)
		}
		if d.Store.Len(kindInbox) != 0 {
			t.Error("a refused event was stored")
		}
		d.now = d.now.Add(500 * time.Millisecond)
		d.post("product", `{"productSKU":"s"}`)
	}
}

// TestPoison refuses a batch for one event, as a client must be able to bear.
func TestPoison(t *testing.T) {
	const batch = `[{"productSKU":"a"},{"productName":"b"},{"productSKU":"c"}]`
	const odd = `[{"productSKU":"a"},[1]]`
	for _, c := range []struct {
		set, body string
		status    int
		says      string
	}{
		{"", batch, 200, ""},
		{"", odd, 200, ""},
		{"set poison=async", batch, 200, ""},
		{"set poison=sync", batch, 400, "event 1: mandatory fields are missing: [productSKU]"},
		{"set poison=sync", odd, 400, "event 1: it is not a JSON object"},
		{"set poison=sync", `[{"productSKU":"a"},{"productSKU":"c"}]`, 200, ""},
		{"set poison=sync", `{"productName":"a"}`, 400, "event 0: mandatory"},
		{"set poison_text=\"c\"", batch, 400, `event 2: it contains`},
		{"set poison_text=\"d\"", batch, 200, ""},
	} {
		d := newDesk(t, room.Options{}, Knobs{})
		d.set(c.set)
		path := "/event/batch?subtype=product"
		if c.body[0] == '{' {
			path = "/event?subtype=product"
		}
		w := d.call("POST", path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || (d.Store.Len(kindInbox) == 0) != (c.status == 400) || (len(d.Ledger().Writes) == 0) != (c.status == 400) {
			t.Errorf("%s %s: %d %s, %d stored", c.set, c.body, w.Code, w.Body, d.Store.Len(kindInbox))
		}
	}
}

func TestKnobs(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	product := func() *httptest.ResponseRecorder {
		return d.call("POST", "/event?subtype=product", `{"productSKU":"s"}`)
	}
	for set, want := range map[string]string{"": "200 ", "set answer=empty": "200 ", "set answer=json": "200 {}", "set answer=204": "204 "} {
		d.set(set)
		if w := product(); fmt.Sprintf("%d %s", w.Code, w.Body) != want {
			t.Errorf("%s: %d %s", set, w.Code, w.Body)
		}
	}
	for set, want := range map[string]int{"": 200, "set max_body=0": 200, "set max_body=18": 200, "set max_body=17": 413} {
		d.set(set)
		if w := product(); w.Code != want {
			t.Errorf("%s: %d", set, w.Code)
		}
	}
	for _, c := range []struct {
		set, subtype string
		status       int
	}{
		{"", "viewed", 400},
		{"set strict_subtypes=on", "viewed", 400},
		{"set strict_subtypes=off", "viewed", 200},
		{"set subtype_names=viewed=browse", "viewed", 200},
		{"set subtype_names=viewed=browse", "browse", 200},
		{"set subtype_names=viewed=browse,browse=,abandonedbrowse=", "viewed", 200},
		{"set subtype_names=viewed=browse,browse=,abandonedbrowse=", "browse", 400},
		{"set subtype_names=viewed=browse,browse=,abandonedbrowse=", "abandonedbrowse", 400},
		{"set mappconnect.subtype_names=viewed=browse", "user", 200},
	} {
		d.set(c.set)
		if w := d.call("POST", "/event?subtype="+c.subtype, `{"email":"a@b.c","sku":"1"}`); w.Code != c.status {
			t.Errorf("%s, %s: %d %s", c.set, c.subtype, w.Code, w.Body)
		}
	}
	d.set("set subtype_names=viewed=browse unknown_contact=create")
	d.post("viewed", `{"email":"v@b.c","sku":"1"}`)
	d.want(kindBrowses, `{"email":"v@b.c","sku":"1"}`)
	if got := d.records(kindUsers); !cmp.Equal(got, []string{`{"email":"v@b.c","group":[]}`}) {
		t.Errorf("users %v", got)
	}
}

func TestKnobsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"set colour=red":                       `has no setting "colour"; it has auth_status,`,
		"set auth_status=400":                  "want one of",
		"set exp_unit=us":                      "want one of",
		"set strict_jwt=yes":                   "want one of",
		"set token_max_ttl=5":                  "want a duration",
		"set strict_subtypes=no":               "want one of",
		"set subtype_names=viewed":             "want NAME=SUBTYPE",
		"set subtype_names==browse":            "want NAME=SUBTYPE",
		"set subtype_names=viewed=looked":      `there is no subtype "looked"`,
		"set max_body=-1":                      "want a whole number",
		"set answer=200":                       "want one of",
		"set poison=on":                        "want one of",
		"set apply_delay=-1s":                  "want a duration",
		"set unknown_contact=keep":             "want one of",
		"set strict_groups=1":                  "want one of",
		"set strict_datasets=1":                "want one of",
		"set rate=x":                           "want a whole number",
		"set window=0s":                        "want a duration above 0",
		"set limit_status=503":                 "want one of",
		"set limit_retry_after=2":              "want one of",
		"set limit_body=xml":                   "want one of",
		"set subtype_names=a=user,b=newspaper": `there is no subtype "newspaper"`,
	} {
		f := sandboxtest.Faults(t, text)
		d := newDesk(t, room.Options{}, Knobs{})
		if err := d.SetFaults(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := NewWith(room.Options{Faults: f}, Knobs{}); err == nil {
			t.Errorf("%s: New took it", text)
		}
	}
	for _, k := range []Knobs{{AuthStatus: 400}, {LimitStatus: 200}, {Window: -1}, {TokenMax: -1}, {ApplyDelay: -1}, {MaxBody: -1}, {Rate: -1},
		{IntegrationID: "a b"}, {ExpUnit: "x"}, {Answer: "x"}, {LimitBody: "x"}, {SubtypeNames: "x"}} {
		if _, err := NewWith(room.Options{}, k); err == nil {
			t.Errorf("%+v: New took it", k)
		}
	}
}

func TestSettings(t *testing.T) {
	sim, err := New(room.Options{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sim.Close() }()
	want := map[string]string{"base_url": "http://127.0.0.1:4711/mappconnect/charon/api/v1", "integration_id": "11111111-1111-4111-8111-111111111111", "secret": "mappconnect-sandbox-secret"}
	if diff := cmp.Diff(want, sim.Settings("http://127.0.0.1:4711/mappconnect")); diff != "" {
		t.Error(diff)
	}
	var _ room.Simulator = (*Simulator)(nil)
	if s, ok := sim.(*Simulator); !ok || s.Store.Len(kindUsers) != 3 || s.Store.Len(kindIdentifiers) != 3 {
		t.Error("seeds are missing")
	}
}
