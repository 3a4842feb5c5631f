package mycrm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/connectors/mycrm"
	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// people are rows for a create, some of them twins.
func people(n int) (rows, want []string) {
	for i := range n {
		name, mobile := fmt.Sprintf("P%03d", i), fmt.Sprintf("+9715000%05d", i)
		if i%5 == 0 {
			name, mobile = fmt.Sprintf("Twin%d", i%15), fmt.Sprintf("+9715111%05d", i%15)
		}
		rows = append(rows, person(name, mobile))
		want = append(want, name)
	}
	slices.Sort(want)
	return rows, want
}

// TestFaultyVendor loads rows, twins among them, with four writers into a simulator that loses answers, loses calls and
// refuses some for a while: each row must be there exactly once.
func TestFaultyVendor(t *testing.T) {
	for _, faults := range []string{
		"",
		"POST /leads every=7 drop=after; POST /leads every=11 drop=before",
		"POST /leads every=5 drop=after; set clock_offset=-15m",
		"POST /leads every=9 html=502 applied; POST /leads every=13 status=500",
		"POST /leads every=17 status=401; GET /leads every=9 status=503; set text_match=exact",
		"POST /leads every=8 drop=after; set omit_count=on; set omit_page=on",
	} {
		t.Run(faults, func(t *testing.T) {
			t.Parallel()
			v := serve(t, faults, 0)
			c := v.open()
			rows, want := people(60)
			b := mycrm.Table(wholeHeader, rows...)
			l := deliverytest.NewLedger(t)
			sink, err := c.Sink(t.Context(), "leads", schema.Load{Mode: schema.Create, Header: b.Header, Started: time.Now()}, l)
			if err != nil {
				t.Fatal(err)
			}
			counts, err := pipeline.Run(t.Context(), deliverytest.Source(b), nil, sink, pipeline.Options{Workers: 2, Writers: 4, BatchSize: 1})
			if err != nil {
				t.Fatal(err)
			}
			if counts.Accepted != 60 {
				t.Errorf("counts %+v", counts)
			}
			got := v.export(c, schema.Query{}, "first_name")
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the vendor has (-want +got):\n%s", diff)
			}
			if n := l.InFlight(); n != 0 {
				t.Errorf("%d calls have no outcome", n)
			}
		})
	}
}

// proxy stands before the simulator; handle may answer a call itself, and returns false to pass it on.
func (v *vendor) proxy(handle func(w http.ResponseWriter, r *http.Request, forward func()) bool) {
	to, err := url.Parse(v.settings["base_url"])
	if err != nil {
		v.t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forward := func(copy bool) {
			out := r.Clone(context.Background())
			out.URL.Scheme, out.URL.Host, out.RequestURI, out.Host = to.Scheme, to.Host, "", to.Host
			answer, err := http.DefaultTransport.RoundTrip(out)
			if err != nil {
				v.t.Error(err)
				return
			}
			defer answer.Body.Close()
			if !copy {
				io.Copy(io.Discard, answer.Body)
				return
			}
			for k, values := range answer.Header {
				w.Header()[k] = values
			}
			w.WriteHeader(answer.StatusCode)
			io.Copy(w, answer.Body)
		}
		if !handle(w, r, func() { forward(false) }) {
			forward(true)
		}
	}))
	v.t.Cleanup(server.Close)
	v.settings["base_url"] = server.URL
}

// TestKilledRun breaks runs off in the middle of calls, again and again, and carries them on with a new connection that
// only knows the ledger: in the end each row must be there exactly once.
func TestKilledRun(t *testing.T) {
	v := serve(t, "", 0)
	var left atomic.Int64
	var killer atomic.Pointer[context.CancelFunc]
	v.proxy(func(_ http.ResponseWriter, r *http.Request, forward func()) bool {
		if r.Method != http.MethodPost || strings.Contains(r.URL.Path, "token") || left.Add(-1) > 0 {
			return false
		}
		if left.Load()%2 == 0 {
			forward()
		}
		(*killer.Load())()
		panic(http.ErrAbortHandler)
	})
	rows, want := people(50)
	b := mycrm.Table(wholeHeader, rows...)
	l := deliverytest.NewLedger(t)
	started := time.Now()
	for pass := 1; ; pass++ {
		if pass > 40 {
			t.Fatal("the run does not come to an end")
		}
		left.Store(7)
		if pass > 10 {
			left.Store(1000)
		}
		ctx, cancel := context.WithCancel(t.Context())
		killer.Store(&cancel)
		c := v.open()
		sink, err := c.Sink(ctx, "leads", schema.Load{Mode: schema.Create, Header: b.Header, Started: started}, l)
		if err != nil {
			t.Fatal(err)
		}
		_, err = pipeline.Run(ctx, deliverytest.Source(b), nil, sink, pipeline.Options{Workers: 2, Writers: 4, BatchSize: 1, History: l,
			Retire: func(b *record.Batch) error {
				for i := range b.Rows {
					if f := b.Rows[i].Fate; f == record.Unsure || f == record.Rejected {
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
	got := v.export(v.open(), schema.Query{}, "first_name")
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the vendor has (-want +got):\n%s", diff)
	}
}

// TestDeleteAllCannotHappen deletes some leads, with and without --bulk-delete, through a proxy that loses the bodies of
// DELETE calls: the others must stay.
func TestDeleteAllCannotHappen(t *testing.T) {
	for _, options := range []map[string]bool{nil, {"bulk-delete": true}} {
		v := serve(t, "set dropped_bodies=on", 130)
		c := v.open()
		ids := v.export(c, schema.Query{}, "id")
		for _, step := range [][]string{ids[:100], ids[100:103], {ids[103]}} {
			got := v.load(c, schema.Load{Mode: schema.Delete, Options: options}, "id", step...)
			for i, fate := range got {
				if fate != "accepted deleted "+step[i] {
					t.Errorf("options %v: %s", options, fate)
				}
			}
		}
		if diff := cmp.Diff(ids[104:], v.export(c, schema.Query{}, "id")); diff != "" {
			t.Errorf("options %v: the vendor has (-want +got):\n%s", options, diff)
		}
		for _, call := range v.sent("DELETE ") {
			if strings.HasPrefix(call, "DELETE /leads ") || call == "DELETE /leads" || call == "DELETE /leads/" {
				t.Errorf("options %v: %s was sent", options, call)
			}
		}
		if told := strings.Contains(strings.Join(v.warnings, ";"), "one by one"); told != (options != nil) {
			t.Errorf("options %v: warnings %q", options, v.warnings)
		}
	}
}

// TestBulkDelete deletes all leads that the account has, which may be one call.
func TestBulkDelete(t *testing.T) {
	bulk := map[string]bool{"bulk-delete": true}
	for _, faults := range []string{"", "set dropped_bodies=on", "DELETE /leads drop=after", "DELETE /leads status=500", "DELETE /leads status=405", "DELETE /leads status=422"} {
		v := serve(t, faults, 30)
		c := v.open()
		ids := v.export(c, schema.Query{}, "id")
		rows := append(slices.Clone(ids), ids[0], "~")
		got := v.load(c, schema.Load{Mode: schema.Delete, Options: bulk}, "id", rows...)
		for i, id := range ids {
			if got[i] != "accepted deleted "+id {
				t.Errorf("%s: %s", faults, got[i])
			}
		}
		if diff := cmp.Diff([]string{"unchanged " + ids[0], "rejected id:required"}, got[30:]); diff != "" {
			t.Errorf("%s: %s", faults, diff)
		}
		if left := v.export(c, schema.Query{}, "id"); len(left) > 0 {
			t.Errorf("%s: %v are left", faults, left)
		}
		if calls := v.sent("DELETE /leads {"); len(calls) != 1 || calls[0] != `DELETE /leads {"leads":[`+strings.Join(ids, ",")+`]}` {
			t.Errorf("%s: %q", faults, calls)
		}
	}
}

// TestBulkDeleteOfTheRest deletes all of 164 leads with four writers: the batch that comes last has all that is left, and
// goes in one call.
func TestBulkDeleteOfTheRest(t *testing.T) {
	t.Parallel()
	v := serve(t, "", 164)
	c := v.open()
	b := mycrm.Table("id", v.export(c, schema.Query{}, "id")...)
	sink, err := c.Sink(t.Context(), "leads", schema.Load{Mode: schema.Delete, Header: b.Header, Options: map[string]bool{"bulk-delete": true}}, deliverytest.NewLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	counts, err := pipeline.Run(t.Context(), deliverytest.Source(b), nil, sink, pipeline.Options{Workers: 2, Writers: 4, BatchSize: 100})
	if err != nil || counts.Accepted != 164 {
		t.Errorf("%+v, %v", counts, err)
	}
	if left := v.export(c, schema.Query{}, "id"); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	bulk, single := len(v.sent("DELETE /leads {")), len(v.sent("DELETE /leads/"))
	if bulk != 1 || single != 64 && single != 100 {
		t.Errorf("%d calls for many leads and %d for one", bulk, single)
	}
}

// TestDeletePaths deletes at vendors that know one of the two addresses only.
func TestDeletePaths(t *testing.T) {
	t.Parallel()
	for _, faults := range []string{"set delete_path=plural", "set delete_path=singular", "set delete_path=singular missing_delete=405"} {
		v := serve(t, faults, 3)
		c := v.open()
		ids := v.export(c, schema.Query{}, "id")
		got := v.load(c, schema.Load{Mode: schema.Delete}, "id", append(ids, "424242")...)
		want := []string{"accepted deleted " + ids[0], "accepted deleted " + ids[1], "accepted deleted " + ids[2], "unchanged 424242"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", faults, diff)
		}
		most := 4
		if strings.Contains(faults, "singular") {
			most = 5 // the first is tried in both ways
		}
		if calls := v.sent("DELETE"); len(calls) != most {
			t.Errorf("%s: %q", faults, calls)
		}
	}
	v := serve(t, "DELETE /leads/* #1 drop=after", 1)
	c := v.open()
	ids := v.export(c, schema.Query{}, "id")
	if got := v.load(c, schema.Load{Mode: schema.Delete}, "id", ids[0]); got[0] != "accepted deleted "+ids[0] {
		t.Error(got)
	}
}

// TestUpdateFaults loses the answers of updates, with and without notes: a note must be there once.
func TestUpdateFaults(t *testing.T) {
	for _, faults := range []string{"PUT /leads/* every=2 drop=after", "PUT /leads/* every=2 drop=before", "PUT /leads/* #2 html=200 applied", "set put_mode=merge"} {
		t.Run(faults, func(t *testing.T) {
			t.Parallel()
			v := serve(t, faults, 0)
			c := v.open()
			v.load(c, schema.Load{Mode: schema.Create}, wholeHeader+"|notes", person("Ada", "0501111111")+"|old", person("Bob", "0501111112")+"|old")
			ids := v.export(c, schema.Query{}, "id")
			for i := range 3 {
				v.load(c, schema.Load{Mode: schema.Update}, "id|status|notes", ids[0]+"|qualified|n"+strconv.Itoa(i), ids[1]+"|qualified|-")
			}
			want := []string{`qualified|["old","n0","n1","n2"]`, "qualified|old"}
			if diff := cmp.Diff(want, v.export(c, schema.Query{Expand: true}, "status", "notes")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestReplacingVendor updates leads at a vendor whose updates take away the notes that they do not name: they come back,
// and nothing more is updated, as properties would go too.
func TestReplacingVendor(t *testing.T) {
	v := serve(t, "set put_lists=replace", 0)
	c := v.open()
	v.load(c, schema.Load{Mode: schema.Create}, wholeHeader+"|notes|properties", person("Ada", "0501111111")+"|old|1;2", person("Bob", "0501111112")+"|old|3")
	ids := v.export(c, schema.Query{}, "id")
	_, err := v.try(c, schema.Load{Mode: schema.Update}, "id|status", ids[0]+"|qualified", ids[1]+"|qualified")
	var known *api.Error
	if !errors.As(err, &known) || known.Class != api.Setup {
		t.Errorf("error %v, want one of class config", err)
	}
	if diff := cmp.Diff([]string{"qualified|old", "prospect|old"}, v.export(c, schema.Query{Expand: true}, "status", "notes")); diff != "" {
		t.Error(diff)
	}
	got := v.load(v.open(), schema.Load{Mode: schema.Update}, "id|status|properties|notes", ids[0]+"|notReady|1;2|-", ids[1]+"|notReady|3|new")
	if diff := cmp.Diff([]string{"accepted updated " + ids[0], "accepted updated " + ids[1]}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"notReady|old", `notReady|["old","new"]`}, v.export(c, schema.Query{Expand: true}, "status", "notes")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(ids[1:], v.export(c, schema.Query{Filters: []schema.Condition{{Name: "property", Value: "3"}}}, "id")); diff != "" {
		t.Error(diff)
	}
}

// TestPatchFaults patches many leads in one call, which is refused, lost, done in part, or not done at all.
func TestPatchFaults(t *testing.T) {
	for _, faults := range []string{
		"", "PATCH /leads drop=after", "PATCH /leads drop=before", "PATCH /leads #1 html=200 applied", "PATCH /leads status=500", "PATCH /leads status=405",
		"PATCH /leads/* every=2 drop=after", "set patch_path=long", "set bulk_atomic=off", "set max_operations=4",
	} {
		t.Run(faults, func(t *testing.T) {
			t.Parallel()
			v := serve(t, faults, 6)
			c := v.open()
			ids := v.export(c, schema.Query{}, "id")
			rows := []string{ids[0] + "|notReady|-", ids[1] + "|prospect|7", "424242|notReady|-", ids[2] + "|notReady|7;8", ids[3] + "|contractSent|-"}
			got := v.load(c, schema.Load{Mode: schema.Patch}, "id|status|properties.add", rows...)
			want := []string{"accepted updated " + ids[0], "accepted updated " + ids[1], "rejected 424242 id:not_found", "accepted updated " + ids[2], "accepted updated " + ids[3]}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"notReady", "prospect", "notReady", "contractSent"}, v.export(c, schema.Query{}, "status")[:4]); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{ids[1], ids[2]}, v.export(c, schema.Query{Filters: []schema.Condition{{Name: "property", Value: "7"}}}, "id")); diff != "" {
				t.Error(diff)
			}
			for _, call := range v.sent("PATCH") {
				if strings.Contains(call, "*") {
					t.Errorf("a wildcard was sent: %s", call)
				}
			}
		})
	}
}

// TestPatchNotDone patches at a vendor that answers well and does nothing the first time.
func TestPatchNotDone(t *testing.T) {
	v := serve(t, "", 3)
	v.proxy(func(w http.ResponseWriter, r *http.Request, _ func()) bool {
		if r.Method != http.MethodPatch || r.URL.Path != "/leads" {
			return false
		}
		w.WriteHeader(http.StatusNoContent)
		return true
	})
	c := v.open()
	ids := v.export(c, schema.Query{}, "id")
	got := v.load(c, schema.Load{Mode: schema.Patch}, "id|user|status", ids[0]+"|2|notReady", ids[1]+"|2|notReady", ids[2]+"|3|notReady")
	if diff := cmp.Diff([]string{"accepted updated " + ids[0], "accepted updated " + ids[1], "accepted updated " + ids[2]}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"2|notReady", "2|notReady", "3|notReady"}, v.export(c, schema.Query{}, "user", "status")); diff != "" {
		t.Error(diff)
	}
	if len(v.warnings) == 0 || !strings.Contains(v.warnings[0], "do not show it") {
		t.Errorf("warnings %q", v.warnings)
	}
}

// TestUpsertFaults upserts rows, many of the same leads, at a vendor that loses answers.
func TestUpsertFaults(t *testing.T) {
	t.Parallel()
	v := serve(t, "POST /leads every=3 drop=after; POST /leads every=4 drop=before; PUT /leads/* every=6 drop=after", 0)
	c := v.open()
	var rows []string
	for i := range 40 {
		rows = append(rows, person(fmt.Sprintf("P%02d", i), fmt.Sprintf("05012345%02d", i%13)))
	}
	b := mycrm.Table(wholeHeader, rows...)
	sink, err := c.Sink(t.Context(), "leads", schema.Load{Mode: schema.Upsert, Header: b.Header, Started: time.Now()}, deliverytest.NewLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	counts, err := pipeline.Run(t.Context(), deliverytest.Source(b), nil, sink, pipeline.Options{Workers: 2, Writers: 4, BatchSize: 1})
	if err != nil || counts.Accepted != 40 {
		t.Errorf("%+v, %v", counts, err)
	}
	if got := v.export(c, schema.Query{}, "mobile"); len(got) != 13 {
		t.Errorf("%d leads: %v", len(got), got)
	}
	got := v.load(c, schema.Load{Mode: schema.Create}, wholeHeader, person("Same", "0501234500"))
	got = append(got, v.load(c, schema.Load{Mode: schema.Upsert}, wholeHeader, person("Same", "0501234500"))...)
	if !strings.HasPrefix(got[1], "rejected mobile:ambiguous") {
		t.Error(got)
	}
}
