package mycrm_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/schema"
)

// TestPatchReadBack patches 60 leads in two calls, of which the vendor takes the second without doing it: every bulk
// patch is read back, not the first alone.
func TestPatchReadBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		verify  []string
		done    int // leads that show the patch in the end
		singles int
	}{
		{nil, 60, 10},
		{[]string{"verify", "all"}, 60, 10},
		{[]string{"verify", "first"}, 50, 0},
		{[]string{"verify", "none"}, 50, 0},
	} {
		v := serve(t, "", 60)
		var bulks atomic.Int32
		v.proxy(func(w http.ResponseWriter, r *http.Request, _ func()) bool {
			if r.Method != http.MethodPatch || r.URL.Path != "/leads" || bulks.Add(1) != 2 {
				return false
			}
			w.WriteHeader(http.StatusNoContent)
			return true
		})
		c := v.open(tt.verify...)
		ids := v.export(c, schema.Query{}, "id")
		var rows, want []string
		for _, id := range ids {
			rows, want = append(rows, id+"|777"), append(want, "accepted updated "+id)
		}
		if diff := cmp.Diff(want, v.load(c, schema.Load{Mode: schema.Patch}, "id|properties.add", rows...)); diff != "" {
			t.Errorf("%v: %s", tt.verify, diff)
		}
		done := len(v.export(c, schema.Query{Filters: []schema.Condition{{Name: "property", Value: "777"}}}, "id"))
		if singles := len(v.sent("PATCH /leads/")); singles != tt.singles || done != tt.done {
			t.Errorf("%v: %d leads show the patch, %d were sent alone", tt.verify, done, singles)
		}
	}
}

// TestPatchJudgedAlone refuses the row whose lead does not show a patch that was taken, if the vendor refuses it alone.
func TestPatchJudgedAlone(t *testing.T) {
	t.Parallel()
	v := serve(t, "PATCH /leads/* status=422", 3)
	ids := v.export(v.open(), schema.Query{}, "id")
	v.proxy(func(w http.ResponseWriter, r *http.Request, _ func()) bool {
		if r.Method != http.MethodPatch || r.URL.Path != "/leads" {
			return false
		}
		w.WriteHeader(http.StatusNoContent)
		return true
	})
	was := v.export(v.open(), schema.Query{}, "status")
	rows := []string{ids[0] + "|" + was[0] + "|-", ids[1] + "|" + was[1] + "|-", ids[2] + "|-|777"}
	got := v.load(v.open(), schema.Load{Mode: schema.Patch}, "id|status|properties.add", rows...)
	if diff := cmp.Diff([]string{"accepted updated " + ids[0], "accepted updated " + ids[1], "rejected " + ids[2] + " status:vendor"}, got); diff != "" {
		t.Error(diff)
	}
}
