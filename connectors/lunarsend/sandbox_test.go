package lunarsend_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/connectors/lunarsend"
	"github.com/crmetl/crmetl/connectors/lunarsend/sandbox"
	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// serve starts the simulator with faults and returns the settings that reach it.
func serve(t *testing.T, faults string, knobs sandbox.Knobs) map[string]string {
	t.Helper()
	if knobs.Rate == 0 {
		knobs.Rate = -1
	}
	sim, err := sandbox.NewWith(room.Options{Faults: sandboxtest.Faults(t, faults)}, knobs)
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
	return settings
}

func open(t *testing.T, settings map[string]string, more ...string) *lunarsend.Conn {
	t.Helper()
	set := map[string]string{}
	for k, v := range settings {
		set[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		set[more[i]] = more[i+1]
	}
	c, err := lunarsend.Open(schema.Connection{Name: "lunar", Settings: set}, api.Env{})
	if err != nil {
		t.Fatal(err)
	}
	lunarsend.NoWaits(c)
	return c
}

// export lists all contacts, through v2, which shows those of the legacy API too.
func export(t *testing.T, settings map[string]string) (rows []map[string]string) {
	t.Helper()
	src, err := open(t, settings, "profile", "v2").Source(t.Context(), "contacts", schema.Query{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	list, err := deliverytest.Rows(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		row := map[string]string{}
		for i, v := range r.Values {
			row[src.Header().Name(i)] = v.Text()
		}
		rows = append(rows, row)
	}
	return rows
}

// tally counts what became of rows, by the part of the row that tells them apart.
type tally struct {
	mu              sync.Mutex
	accepted, maybe map[string]int
}

func newTally() *tally { return &tally{accepted: map[string]int{}, maybe: map[string]int{}} }

func (c *tally) retire(col int) func(*record.Batch) error {
	return func(b *record.Batch) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		for i := range b.Rows {
			switch r := &b.Rows[i]; r.Fate {
			case record.Accepted:
				c.accepted[r.Values[col].Text()]++
			case record.Unsure:
				c.maybe[r.Values[col].Text()]++
			}
		}
		return nil
	}
}

// hold checks that each address is at the vendor as often as rows with it were accepted, and at most as often more as
// rows were left unsure.
func (c *tally) hold(t *testing.T, rows []map[string]string, all []string) {
	t.Helper()
	have := map[string]int{}
	for _, r := range rows {
		have[r["email"]]++
	}
	for _, email := range slices.Compact(slices.Sorted(slices.Values(all))) {
		if n, least := have[email], c.accepted[email]; n < least || n > least+c.maybe[email] {
			t.Errorf("%s is there %d times, and %d rows were accepted and %d unsure", email, n, least, c.maybe[email])
		}
		delete(have, email)
	}
	for email, n := range have {
		t.Errorf("%s is there %d times, and no row has it", email, n)
	}
}

// TestFaultyVendor loads rows, some with one address, with four writers into simulators that lose answers and calls and
// answer in each shape: no row may be lost or doubled, and only rows that share an address may be left unsure.
func TestFaultyVendor(t *testing.T) {
	shapes := []sandbox.Knobs{
		{}, {SearchAnswer: "array", Answer: "array"}, {SearchAnswer: "full", Answer: "full"}, {SearchAnswer: "data", Answer: "data", NoMatch: "404"},
		{SearchAnswer: "first_id", NoMatch: "empty_array"}, {Duplicates: "400"}, {CreateStatus: 201, Empty: "string", NoMatch: "null"},
	}
	faults := []string{
		"",
		"POST /contacts every=7 drop=after; POST /contacts every=11 drop=before",
		"POST /contacts every=9 html=502 applied; POST /contacts every=13 status=500",
		"POST /contacts every=17 html=200 applied; GET /contacts #2 cut=50% clean",
	}
	for i, k := range shapes {
		for j, f := range faults {
			t.Run(fmt.Sprintf("%d %s", i, f), func(t *testing.T) {
				t.Parallel()
				load(t, serve(t, f, k), j == 0)
			})
		}
	}
	for j, f := range faults {
		t.Run("v2 "+f, func(t *testing.T) {
			t.Parallel()
			settings := serve(t, strings.ReplaceAll(f, "/contacts", "/v2/contacts"), sandbox.Knobs{V2DuplicateStatus: 400 + j%2*9})
			settings["profile"] = "v2"
			load(t, settings, true)
		})
	}
}

// load imports contacts; sure says that no row may be left unsure.
func load(t *testing.T, settings map[string]string, sure bool) {
	var rows, all []string
	for i := range 40 {
		email := fmt.Sprintf("c%02d@x.example", i)
		if i%10 == 0 {
			email = fmt.Sprintf("twin%d@x.example", i%3)
		}
		all = append(all, email)
		rows = append(rows, fmt.Sprintf("C%d|%s|Acme|+1 555 %d", i, email, i))
	}
	b := deliverytest.Table("first_name|email|company|phone", rows...)
	seen := newTally()
	sink, err := open(t, settings).Sink(t.Context(), "contacts", schema.Load{Mode: schema.Create, Header: b.Header, Started: time.Now()}, deliverytest.NewLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	counts, err := pipeline.Run(t.Context(), deliverytest.Source(b), nil, sink, pipeline.Options{Workers: 2, Writers: 4, BatchSize: 1, Retire: seen.retire(1)})
	if err != nil {
		t.Fatal(err)
	}
	if counts.Read != 40 || counts.Accepted < 36 || sure && counts.Unsure > 0 {
		t.Errorf("counts %+v", counts)
	}
	for email := range seen.maybe {
		if !strings.HasPrefix(email, "twin") {
			t.Errorf("%s is unsure, though no other row has it", email)
		}
	}
	seen.hold(t, export(t, settings), all)
}

// TestRate loads at the vendor's own rate and is never told to slow down.
func TestRate(t *testing.T) {
	settings := serve(t, "", sandbox.Knobs{Rate: 20, Window: time.Second})
	settings["rate"] = "20"
	c := open(t, settings)
	var rows []string
	for i := range 25 {
		rows = append(rows, fmt.Sprintf("C|c%d@x.example", i))
	}
	b := deliverytest.Table("first_name|email", rows...)
	sink, err := c.Sink(t.Context(), "contacts", schema.Load{Header: b.Header}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pipeline.Run(t.Context(), deliverytest.Source(b), nil, sink, pipeline.Options{Writers: 4, BatchSize: 1}); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Throttled != 0 || s.Sent != 25 {
		t.Errorf("%+v", s)
	}
}

// TestRoundTrip creates, upserts, edits, exports and deletes through both APIs.
func TestRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		name  string
		knobs sandbox.Knobs
		set   []string
	}{
		{name: "legacy"},
		{name: "legacy, full", knobs: sandbox.Knobs{SearchAnswer: "full"}},
		{name: "legacy, snake only", knobs: sandbox.Knobs{EditNaming: "snake"}},
		{name: "legacy, camel only", knobs: sandbox.Knobs{EditNaming: "camel"}, set: []string{"edit_naming", "snake"}},
		{name: "legacy, own edit path", knobs: sandbox.Knobs{EditAt: "own"}, set: []string{"paths_edit", "/contacts/edit"}},
		{name: "legacy, bodies of deletes dropped", knobs: sandbox.Knobs{DropDeleteBodies: true}},
		{name: "legacy, delete by path", knobs: sandbox.Knobs{DeleteBy: "path"}, set: []string{"delete_transport", "path"}},
		{name: "legacy, search by body", set: []string{"search_transport", "body"}},
		{name: "legacy, search by both", set: []string{"search_transport", "both"}, knobs: sandbox.Knobs{IgnoreGetBodies: true}},
		{name: "legacy, search by parts", knobs: sandbox.Knobs{SearchMatch: "contains", SearchAnswer: "full"}},
		{name: "v2", set: []string{"profile", "v2", "delete_transport", "query"}, knobs: sandbox.Knobs{V2Delete: "query"}},
		{name: "v2, body", set: []string{"profile", "v2", "delete_transport", "body"}, knobs: sandbox.Knobs{V2Delete: "body", V2Form: "success", V2Errors: "entries"}},
		{name: "v2, path", set: []string{"profile", "v2", "delete_transport", "path"}, knobs: sandbox.Knobs{V2Delete: "path", V2Form: "status", MaxQueryAmount: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			settings := serve(t, "", tt.knobs)
			c := open(t, settings, tt.set...)
			if err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			run := func(load schema.Load, header string, want pipeline.Counts, rows ...string) {
				t.Helper()
				b := deliverytest.Table(header, rows...)
				load.Header = b.Header
				sink, err := c.Sink(t.Context(), "contacts", load, deliverytest.NewLedger(t))
				if err != nil {
					t.Fatal(err)
				}
				got, err := pipeline.Run(t.Context(), deliverytest.Source(b), nil, sink, pipeline.Options{BatchSize: 1, Writers: 4,
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
				if got != want {
					t.Errorf("%s: %+v, want %+v", load.Mode, got, want)
				}
			}
			run(schema.Load{Mode: schema.Create}, "first_name|email|phone", pipeline.Counts{Read: 2, Accepted: 2}, "Ada|ada@x.example|+1 555", "Bob|bob@x.example|0049")
			run(schema.Load{Mode: schema.Upsert}, "email|first_name|phone", pipeline.Counts{Read: 2, Accepted: 2}, "ADA@x.example|Ada|+1 777", "cyd@x.example|Cyd|-")
			ids := map[string]string{}
			phones := map[string]string{}
			for _, r := range export(t, settings) {
				ids[r["email"]], phones[r["email"]] = r["id"], r["phone"]
			}
			if diff := cmp.Diff(map[string]string{"ada@x.example": "+1 777", "bob@x.example": "0049", "cyd@x.example": ""}, phones); diff != "" {
				t.Fatal(diff)
			}
			run(schema.Load{Mode: schema.Update}, "id|phone", pipeline.Counts{Read: 3, Accepted: 2, Rejected: 1}, ids["bob@x.example"]+"|1", "nobody|2", ids["ada@x.example"]+"|3")
			var rows []string
			for _, id := range ids {
				rows = append(rows, id)
			}
			run(schema.Load{Mode: schema.Delete}, "id", pipeline.Counts{Read: 4, Accepted: 3, Unchanged: 1}, append(rows, "nobody")...)
			if left := export(t, settings); len(left) != 0 {
				t.Errorf("left over: %v", left)
			}
		})
	}
}

// TestOnlyParts runs upserts against a search that finds parts of values and shows ids only: no contact but the right
// one may be edited.
func TestOnlyParts(t *testing.T) {
	settings := serve(t, "", sandbox.Knobs{SearchMatch: "contains"})
	c := open(t, settings)
	for _, rows := range [][]string{{"Joann|joann@x.example|1"}, {"Ann|ann@x.example|2"}} {
		b := deliverytest.Table("first_name|email|phone", rows...)
		sink, err := c.Sink(t.Context(), "contacts", schema.Load{Mode: schema.Upsert, Header: b.Header}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pipeline.Run(t.Context(), deliverytest.Source(b), nil, sink, pipeline.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	rows := export(t, settings)
	if len(rows) != 1 || rows[0]["phone"] != "1" {
		t.Errorf("the vendor has %v, want Joann as she was made", rows)
	}
}

// TestKilledRun kills an import again and again while answers are lost, and resumes it: no row may be lost or doubled.
func TestKilledRun(t *testing.T) {
	settings := serve(t, "", sandbox.Knobs{SearchAnswer: "full"})
	target := strings.TrimSuffix(settings["base_url"], "/api")
	// A proxy that loses every answer to a create from a moment on, and tells: so the run can be killed right there.
	var after atomic.Int64
	var killer atomic.Pointer[context.CancelFunc]
	losing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forward, err := http.NewRequest(r.Method, target+r.URL.RequestURI(), r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		forward.Header = r.Header
		left := int64(1)
		if r.Method == "POST" {
			left = after.Add(-1)
		}
		if left > 0 || left%2 == 0 {
			answer, err := http.DefaultTransport.RoundTrip(forward)
			if err != nil {
				return
			}
			defer func() { _ = answer.Body.Close() }()
			if left > 0 {
				for k, v := range answer.Header {
					w.Header()[k] = v
				}
				w.WriteHeader(answer.StatusCode)
				_, _ = io.Copy(w, answer.Body)
				return
			}
		}
		(*killer.Load())()
		panic(http.ErrAbortHandler)
	})

	var rows, all []string
	for i := range 50 {
		email := fmt.Sprintf("killed%d@x.example", i%20)
		rows, all = append(rows, fmt.Sprintf("K%d|%s", i, email)), append(all, email)
	}
	b := deliverytest.Table("first_name|email", rows...)
	l := deliverytest.NewLedger(t)
	started := time.Now()
	seen := newTally()
	for pass := 1; ; pass++ {
		if pass > 40 {
			t.Fatal("the run does not come to an end")
		}
		after.Store(6)
		if pass > 15 {
			after.Store(1000)
		}
		ctx, cancel := context.WithCancel(t.Context())
		killer.Store(&cancel)
		proxy := httptest.NewServer(losing)
		sink, err := open(t, settings, "base_url", proxy.URL+"/api").Sink(ctx, "contacts", schema.Load{Mode: schema.Create, Header: b.Header, Started: started}, l)
		if err != nil {
			t.Fatal(err)
		}
		_, err = pipeline.Run(ctx, deliverytest.Source(b), nil, sink, pipeline.Options{Workers: 2, Writers: 4, BatchSize: 1, History: l})
		cancel()
		proxy.Close() // waits for calls that the run has left behind: none may arrive after the next one looks
		if err == nil {
			break
		}
	}
	for n, fate := range l.Fates() {
		email := all[n-1]
		if fate == record.Accepted {
			seen.accepted[email]++
		} else {
			seen.maybe[email]++
		}
	}
	if len(l.Fates()) != 50 {
		t.Errorf("%d rows have a fate, want 50", len(l.Fates()))
	}
	seen.hold(t, export(t, settings), all)
	unsure := 0
	for _, n := range seen.maybe {
		unsure += n
	}
	t.Logf("%d rows unsure", unsure)
}
