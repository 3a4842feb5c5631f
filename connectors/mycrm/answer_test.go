package mycrm_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/connectors/mycrm"
	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// TestCreateWithoutAnID answers creations with 200 and something that holds no lead, with and without making it: each
// lead must be there once, and be known by its id.
func TestCreateWithoutAnID(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "garbage", "{}", "[]", "null", `{"lead":null}`, `{"lead":{}}`, `{"id":0}`, `{"id":""}`, `{"lead":{"id":"-"}}`, `{"success":true}`, `{"message":"queued"}`} {
		for _, made := range []bool{true, false} {
			for _, mode := range []schema.Mode{schema.Create, schema.Upsert} {
				v := serve(t, "", 0)
				n := 0
				v.proxy(func(w http.ResponseWriter, r *http.Request, forward func()) bool {
					if r.Method != http.MethodPost || r.URL.Path != "/leads" {
						return false
					}
					if n++; n > 1 && !made {
						return false
					}
					if made {
						forward()
					}
					_, _ = io.WriteString(w, body)
					return true
				})
				c := v.open()
				got := v.load(c, schema.Load{Mode: mode}, wholeHeader, person("Ada", "0501111111"))
				var want []string
				for _, id := range v.export(c, schema.Query{}, "id") {
					want = append(want, "accepted created "+id)
				}
				if diff := cmp.Diff(want, got); diff != "" || len(want) != 1 {
					t.Errorf("%s answered with %q, made %v: %d leads (-there +told):\n%s", mode, body, made, len(want), diff)
				}
			}
		}
	}
}

// TestCreateNeverMade creates a lead at a vendor that always answers well and never makes it.
func TestCreateNeverMade(t *testing.T) {
	t.Parallel()
	for policy, want := range map[schema.Policy]string{schema.Check: "", schema.Hold: "unsure :unsure"} {
		v := serve(t, "", 0)
		v.proxy(func(w http.ResponseWriter, r *http.Request, _ func()) bool {
			return r.Method == http.MethodPost && r.URL.Path == "/leads"
		})
		got, err := v.try(v.open(), schema.Load{Mode: schema.Create, Unsure: policy}, wholeHeader, person("Ada", "0501111111"))
		if got[0] != want && want != "" || strings.HasPrefix(got[0], "accepted") {
			t.Errorf("%s: %q", policy, got)
		}
		if policy == schema.Check && !strings.HasPrefix(got[0], "rejected") && err == nil {
			t.Errorf("%s: %q without a word", policy, got)
		}
	}
}

// TestRefusedWith200 answers writes with 200 and a refusal: the row is refused in the vendor's words, and not sent again.
func TestRefusedWith200(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"success":false,"message":"no more leads"}`, `{"error":{"message":"no more leads"}}`, `{"status":"error","message":"no more leads"}`, `{"errors":["no more leads"],"lead":null}`} {
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			v := serve(t, "", 1)
			calls := 0
			v.proxy(func(w http.ResponseWriter, r *http.Request, _ func()) bool {
				if r.Method != method || !strings.HasPrefix(r.URL.Path, "/leads") {
					return false
				}
				calls++
				_, _ = io.WriteString(w, body)
				return true
			})
			c := v.open()
			b := mycrm.Table(wholeHeader, person("Ada", "0501111111"))
			load := schema.Load{Mode: schema.Create}
			if method == http.MethodPut {
				v.load(v.direct(), load, wholeHeader, person("Ada", "0501111111"))
				b, load.Mode = mycrm.Table("mobile|city", "0501111111|Dubai"), schema.Upsert
			}
			load.Header = b.Header
			sink, err := c.Sink(t.Context(), "leads", load, deliverytest.NewLedger(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := sink.Write(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if row := &b.Rows[0]; row.Fate != record.Rejected || !strings.Contains(row.Err.Error(), "no more leads") || calls != 1 {
				t.Errorf("%s answered with %s: %s %v, %d calls", method, body, row.Fate, row.Err, calls)
			}
		}
	}
}

// TestNoSuchAPI looks for the API in the wrong place: that is told as such, and is no fault of a row.
func TestNoSuchAPI(t *testing.T) {
	t.Parallel()
	v := serve(t, "", 3)
	setup := func(what string, err error, words ...string) {
		t.Helper()
		var known *api.Error
		if !errors.As(err, &known) || known.Class != api.Setup {
			t.Errorf("%s: error %v, want one of class config", what, err)
			return
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: the error lacks %q: %v", what, w, err)
			}
		}
	}
	wrong := []string{"base_url", v.settings["base_url"] + "/wrong"}
	_, err := v.open(wrong...).Ping(t.Context())
	setup("ping", err, "MyCRM", "base_url", "/wrong")
	_, err = v.tryExport(v.open(wrong...), schema.Query{}, "id")
	setup("export", err, "MyCRM", "base_url")
	for mode, table := range map[schema.Mode][]string{schema.Create: {wholeHeader, person("Ada", "0501111111")}, schema.Upsert: {wholeHeader, person("Ada", "0501111111")},
		schema.Update: {"id|status", "1001|prospect"}, schema.Patch: {"id|status", "1001|prospect", "1002|prospect"}, schema.Delete: {"id", "1001"}} {
		b := mycrm.Table(table[0], table[1:]...)
		l := deliverytest.NewLedger(t)
		sink, err := v.open(wrong...).Sink(t.Context(), "leads", schema.Load{Mode: mode, Header: b.Header}, l)
		if err != nil {
			t.Fatal(err)
		}
		setup(string(mode), sink.Write(t.Context(), b), "MyCRM", "base_url")
		if !b.Rows[0].Fate.Open() || l.InFlight() != 0 {
			t.Errorf("%s: the row is %s, %d calls have no outcome", mode, b.Rows[0].Fate, l.InFlight())
		}
	}

	for _, body := range []string{`{"hello":"world"}`, "pong", `{"error":"unknown method"}`} {
		v := serve(t, "", 3)
		v.proxy(func(w http.ResponseWriter, r *http.Request, _ func()) bool {
			_, _ = io.WriteString(w, body)
			return true
		})
		_, err := v.open().Ping(t.Context())
		setup("ping answered with "+body, err, "MyCRM", "base_url")
	}
}

// TestPingAsksForAToken finds a wrong address of the token service though there is a good token already, of the same
// host and account.
func TestPingAsksForAToken(t *testing.T) {
	t.Parallel()
	v := serve(t, "", 3)
	v.proxy(func(w http.ResponseWriter, r *http.Request, _ func()) bool {
		if r.URL.Path == "/odd" {
			_, _ = io.WriteString(w, `{"status":"fine"}`)
		}
		return r.URL.Path == "/odd"
	})
	dir, base := t.TempDir(), v.settings["base_url"]
	v.settings["token_url"] = base + "/auth/oauth/v1/token"
	if said, err := v.openIn(dir).Ping(t.Context()); err != nil || !strings.Contains(said, "3 leads") {
		t.Error(said, err)
	}
	for _, path := range []string{"/nowhere", "/odd"} {
		c := v.openIn(dir, "token_url", base+path)
		if err := c.Ready(t.Context()); err != nil {
			t.Fatalf("there is a token: %v", err)
		}
		_, err := c.Ping(t.Context())
		var known *api.Error
		if !errors.As(err, &known) || known.Class != api.Setup || !strings.Contains(err.Error(), "token_url") {
			t.Errorf("%s: error %v, want one of class config that names token_url", path, err)
		}
	}
}
