package mapmycustomers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	mmc "github.com/crmetl/crmetl/connectors/mapmycustomers"
	"github.com/crmetl/crmetl/connectors/mapmycustomers/sandbox"
	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// serve starts the simulator with faults and returns the settings that reach it.
func serve(t *testing.T, faults string) map[string]string {
	t.Helper()
	sim, err := sandbox.NewWith(room.Options{Faults: sandboxtest.Faults(t, faults)}, sandbox.Knobs{Rate: -1, Activation: -1})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(func() {
		server.Close()
		_ = sim.Close()
	})
	settings := sim.Settings(server.URL)
	settings["rate"] = "100000"
	settings["token_activation"] = "0s"
	return settings
}

func open(t *testing.T, settings map[string]string, env api.Env) *mmc.Conn {
	t.Helper()
	c, err := mmc.Open(schema.Connection{Name: "mmc", Settings: settings}, env)
	if err != nil {
		t.Fatal(err)
	}
	mmc.NoWaits(c)
	return c
}

// names exports the customers and returns the value of one field of each, sorted.
func names(t *testing.T, c *mmc.Conn, field string) []string {
	t.Helper()
	src, err := c.Source(t.Context(), "customers", schema.Query{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	rows, err := deliverytest.Rows(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range rows {
		out = append(out, r.Values[src.Header().Index(field)].Text())
	}
	slices.Sort(out)
	return out
}

// TestFaultyVendor loads 120 rows, twins among them, with four writers into a simulator that loses answers, loses calls
// and refuses some for a while, and whose clock is behind: each row must be there exactly once.
func TestFaultyVendor(t *testing.T) {
	for _, faults := range []string{
		"",
		"POST /customers every=7 drop=after; POST /customers every=11 drop=before",
		"POST /customers every=5 drop=after; set clock_offset=-15m",
		"POST /customers every=9 html=502 applied; POST /customers every=13 status=500",
		"POST /customers every=17 html=200 applied; GET /customers/search/* #2 cut=50% clean",
	} {
		t.Run(faults, func(t *testing.T) {
			t.Parallel()
			settings := serve(t, faults)
			c := open(t, settings, api.Env{})
			var rows, want []string
			for i := range 120 {
				name := fmt.Sprintf("Customer %03d", i)
				if i%4 == 0 {
					name = fmt.Sprintf("Branch %d", i%12)
				}
				rows = append(rows, name+"|"+map[bool]string{true: "Ohio", false: "-"}[i%3 == 0])
				want = append(want, name)
			}
			slices.Sort(want)
			b := deliverytest.Table("name|city", rows...)
			l := deliverytest.NewLedger(t)
			sink, err := c.Sink(t.Context(), "customers", schema.Load{Mode: schema.Create, Header: b.Header, Started: time.Now()}, l)
			if err != nil {
				t.Fatal(err)
			}
			counts, err := pipeline.Run(t.Context(), deliverytest.Source(b), nil, sink, pipeline.Options{Workers: 2, Writers: 4, BatchSize: 1})
			if err != nil {
				t.Fatal(err)
			}
			if counts.Accepted != 120 || counts.Read != 120 {
				t.Errorf("counts %+v", counts)
			}
			if diff := cmp.Diff(want, names(t, c, "name")); diff != "" {
				t.Errorf("the vendor has (-want +got):\n%s", diff)
			}
			if n := l.InFlight(); n != 0 {
				t.Errorf("%d calls have no outcome", n)
			}
		})
	}
}

// TestKilledRun breaks runs off in the middle of calls, again and again, and carries them on with a new connection that
// only knows the ledger: in the end each row must be there exactly once.
func TestKilledRun(t *testing.T) {
	settings := serve(t, "set clock_offset=-5m")
	target := settings["base_url"]
	cache := t.TempDir()
	// A proxy that loses every answer to a create from a moment on, and tells: so the run can be killed right there.
	var after atomic.Int64
	var killer atomic.Pointer[context.CancelFunc]
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forward, err := http.NewRequest(r.Method, strings.TrimSuffix(target, "/api/v1")+r.URL.EscapedPath(), r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		forward.Header = r.Header
		apply := r.Method != "POST" || after.Add(-1)%2 == 0 || after.Load() > 0
		var answer *http.Response
		if apply {
			if answer, err = http.DefaultTransport.RoundTrip(forward); err != nil {
				return
			}
			defer func() { _ = answer.Body.Close() }()
		}
		if r.Method == "POST" && after.Load() <= 0 {
			(*killer.Load())()
			panic(http.ErrAbortHandler)
		}
		for k, v := range answer.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	}))
	defer proxy.Close()
	settings["base_url"] = proxy.URL + "/api/v1"

	var rows, want []string
	for i := range 60 {
		name := fmt.Sprintf("Killed %d", i%25)
		rows = append(rows, name+"|Acme")
		want = append(want, name)
	}
	slices.Sort(want)
	b := deliverytest.Table("name|company", rows...)
	l := deliverytest.NewLedger(t)
	started := time.Now()
	for pass := 1; ; pass++ {
		if pass > 40 {
			t.Fatal("the run does not come to an end")
		}
		after.Store(7)
		if pass > 15 {
			after.Store(1000)
		}
		ctx, cancel := context.WithCancel(t.Context())
		killer.Store(&cancel)
		c := open(t, settings, api.Env{CacheDir: cache})
		sink, err := c.Sink(ctx, "customers", schema.Load{Mode: schema.Create, Header: b.Header, Started: started}, l)
		if err != nil {
			t.Fatal(err)
		}
		_, err = pipeline.Run(ctx, deliverytest.Source(b), nil, sink, pipeline.Options{Workers: 2, Writers: 4, BatchSize: 1, History: l,
			Retire: func(b *record.Batch) error {
				for i := range b.Rows {
					if b.Rows[i].Fate == record.Unsure || b.Rows[i].Fate == record.Rejected {
						t.Errorf("row %d: %v", b.Rows[i].Num, b.Rows[i].Err)
					}
				}
				return nil
			}})
		cancel()
		if err == nil {
			break
		}
	}
	if diff := cmp.Diff(want, names(t, open(t, settings, api.Env{CacheDir: cache}), "name")); diff != "" {
		t.Errorf("the vendor has (-want +got):\n%s", diff)
	}
}

// TestRoundTrip creates, exports, updates, upserts and deletes against the simulator.
func TestRoundTrip(t *testing.T) {
	settings := serve(t, "")
	c := open(t, settings, api.Env{})
	run := func(load schema.Load, header string, rows ...string) pipeline.Counts {
		t.Helper()
		b := deliverytest.Table(header, rows...)
		load.Header = b.Header
		sink, err := c.Sink(t.Context(), "customers", load, deliverytest.NewLedger(t))
		if err != nil {
			t.Fatal(err)
		}
		counts, err := pipeline.Run(t.Context(), deliverytest.Source(b), nil, sink, pipeline.Options{BatchSize: 1,
			Retire: func(b *record.Batch) error {
				for _, r := range b.Rows {
					if r.Err != nil {
						t.Logf("row %d: %v", r.Num, r.Err)
					}
				}
				return nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		return counts
	}
	if n := run(schema.Load{Mode: schema.Create}, "name|email|zip|groups|dealAmount|color|remindAt", "Ada|ada@x.example|02345|SC;New|1250.50|Gray|2026-01-02T03:04:05Z", "Bob|bob@x.example|1|-|-|neon red|-"); n.Accepted != 2 {
		t.Errorf("%+v", n)
	}
	if n := run(schema.Load{Mode: schema.Upsert, ChangedOnly: true}, "email|name|zip|groups|dealAmount|color|remindAt", "ada@x.example|Ada|02345|New;SC|1250.5|grey|2026-01-02T03:04:05Z", "bob@x.example|Bob|2|-|-|neon red|-", "cyd@x.example|Cyd|-|-|-|teal|-"); n.Accepted != 2 || n.Unchanged != 1 {
		t.Errorf("%+v", n)
	}
	if diff := cmp.Diff([]string{"", "02345", "2"}, names(t, c, "zip")); diff != "" {
		t.Error(diff)
	}
	ids := names(t, c, "id")
	if n := run(schema.Load{Mode: schema.Update}, "id|notes", ids[0]+"|called", "nobody|called"); n.Accepted != 1 || n.Rejected != 1 {
		t.Errorf("%+v", n)
	}
	if n := run(schema.Load{Mode: schema.Delete}, "id", ids...); n.Accepted != 3 {
		t.Errorf("%+v", n)
	}
	if got := names(t, c, "id"); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}

// TestReplacingVendor runs an update against a simulator whose updates replace the whole record.
func TestReplacingVendor(t *testing.T) {
	settings := serve(t, "set put_mode=replace")
	c := open(t, settings, api.Env{})
	b := deliverytest.Table("name|email|city", "Ada|ada@x.example|Rome", "Bob|bob@x.example|Bern")
	sink, err := c.Sink(t.Context(), "customers", schema.Load{Mode: schema.Create, Header: b.Header}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pipeline.Run(t.Context(), deliverytest.Source(b), nil, sink, pipeline.Options{}); err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, id := range names(t, c, "id") {
		rows = append(rows, id+"|New name")
	}
	b = deliverytest.Table("id|name", rows...)
	if sink, err = c.Sink(t.Context(), "customers", schema.Load{Mode: schema.Update, Header: b.Header}, nil); err != nil {
		t.Fatal(err)
	}
	_, err = pipeline.Run(t.Context(), deliverytest.Source(b), nil, sink, pipeline.Options{BatchSize: 1})
	var known *api.Error
	if !errors.As(err, &known) || known.Class != api.Setup {
		t.Errorf("error %v, want one of class config", err)
	}
	if diff := cmp.Diff([]string{"Bern", "Rome"}, names(t, c, "city")); diff != "" {
		t.Error(diff)
	}
}
