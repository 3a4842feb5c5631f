package mycrm_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/connectors/mycrm"
	"github.com/crmetl/crmetl/connectors/mycrm/sandbox"
	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/crmetl/crmetl/schema"
)

// vendor is a simulator, and what was asked of it.
type vendor struct {
	t        *testing.T
	settings map[string]string
	warnings []string

	mu    sync.Mutex
	calls []string // "METHOD /path body", calls for tokens left out
}

// serve starts the simulator with faults and made-up leads.
func serve(t *testing.T, faults string, seed int) *vendor {
	t.Helper()
	f := sandboxtest.Faults(t, faults)
	sim, err := sandbox.New(room.Options{Faults: f, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	v := &vendor{t: t}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		if !strings.Contains(r.URL.Path, "token") {
			v.mu.Lock()
			v.calls = append(v.calls, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
			v.mu.Unlock()
		}
		sim.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		_ = sim.Close()
	})
	v.settings = sim.Settings(server.URL)
	return v
}

// sent are the calls so far that begin with prefix.
func (v *vendor) sent(prefix string) (out []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range v.calls {
		if strings.HasPrefix(c, prefix) {
			out = append(out, c)
		}
	}
	return out
}

func (v *vendor) open(settings ...string) *mycrm.Conn {
	v.t.Helper()
	return v.openIn("", settings...)
}

// direct opens a connection that no proxy stands before.
func (v *vendor) direct() *mycrm.Conn {
	v.t.Helper()
	return v.open("base_url", strings.TrimSuffix(v.settings["token_url"], "/auth/oauth/v1/token"))
}

// openIn opens a connection that keeps its tokens in a folder.
func (v *vendor) openIn(dir string, settings ...string) *mycrm.Conn {
	v.t.Helper()
	set := map[string]string{}
	for k, s := range v.settings {
		set[k] = s
	}
	for i := 0; i < len(settings); i += 2 {
		set[settings[i]] = settings[i+1]
	}
	c, err := mycrm.Open(schema.Connection{Name: "mycrm", Settings: set}, api.Env{CacheDir: dir})
	if err != nil {
		v.t.Fatal(err)
	}
	mycrm.NoWaits(c)
	return c
}

// load imports rows and returns their fates.
func (v *vendor) load(c *mycrm.Conn, load schema.Load, header string, rows ...string) []string {
	v.t.Helper()
	out, err := v.try(c, load, header, rows...)
	if err != nil {
		v.t.Fatal(err)
	}
	return out
}

func (v *vendor) try(c *mycrm.Conn, load schema.Load, header string, rows ...string) ([]string, error) {
	v.t.Helper()
	b := mycrm.Table(header, rows...)
	load.Header = b.Header
	load.Warn = func(s string) { v.warnings = append(v.warnings, s) }
	if err := c.Prepare(v.t.Context(), "leads", load); err != nil {
		return nil, err
	}
	l := deliverytest.NewLedger(v.t)
	sink, err := c.Sink(v.t.Context(), "leads", load, l)
	if err != nil {
		return nil, err
	}
	err = sink.Write(v.t.Context(), b)
	if rows := l.InDoubt(); len(rows) > 0 && err == nil {
		v.t.Errorf("rows %v have no outcome", rows)
	}
	return deliverytest.Fates(b), err
}

// export reads leads and returns the cells of some columns, joined by "|".
func (v *vendor) export(c *mycrm.Conn, q schema.Query, columns ...string) []string {
	v.t.Helper()
	out, err := v.tryExport(c, q, columns...)
	if err != nil {
		v.t.Fatal(err)
	}
	return out
}

func (v *vendor) tryExport(c *mycrm.Conn, q schema.Query, columns ...string) (out []string, err error) {
	v.t.Helper()
	q.Warn = func(s string) { v.warnings = append(v.warnings, s) }
	src, err := c.Source(v.t.Context(), "leads", q)
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }()
	rows, err := deliverytest.Rows(v.t.Context(), src)
	for _, r := range rows {
		var cells []string
		for _, name := range columns {
			at := src.Header().Index(name)
			if at < 0 {
				return nil, fmt.Errorf("no column %s among %s", name, src.Header().Names())
			}
			cells = append(cells, r.Values[at].Cell())
		}
		out = append(out, strings.Join(cells, "|"))
	}
	return out, err
}

const (
	wholeHeader = "title|first_name|last_name|mobile|email|category|country|status|source|source_channel|financial|preference.types|preference.locations|preference.amenities|preference.offering_type|preference.from_price|preference.to_price"
	tail        = "|residential|AE|prospect|offline|walkIn|cash|2|are.2.15|1;2|sale|120000|125000"
)

func person(name, mobile string) string {
	return "mr|" + name + "|Trump|" + mobile + "|" + strings.ToLower(name) + "@example.com" + tail
}

// TestLife creates, updates, upserts, patches, exports and deletes.
func TestLife(t *testing.T) {
	v := serve(t, "", 0)
	c := v.open()
	got := v.load(c, schema.Load{Mode: schema.Create}, wholeHeader+"|notes|properties", person("Ada", "+971501111111")+"|My note; and more|1;2;3", person("Bob", "0501111112")+"|-|-",
		"mr|Cyd|Trump|~|cyd@example.com"+tail+"|-|-")
	if diff := cmp.Diff([]string{"accepted created 1001", "accepted created 1002", "rejected mobile:required"}, trimIDs(got)); diff != "" {
		t.Fatalf("%s\n%v", diff, got)
	}
	ids := v.export(c, schema.Query{}, "id")
	got = v.load(c, schema.Load{Mode: schema.Update}, "id|status|city|user|preference.to_price", ids[0]+"|qualified|Dubai|2|130000", ids[1]+"|-|-|-|-", "999999|qualified|-|-|-", "*|qualified|-|-|-")
	if diff := cmp.Diff([]string{"accepted updated " + ids[0], "unchanged " + ids[1], "rejected 999999 id:not_found", "rejected id:id"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{ids[0] + "|Ada|qualified|Dubai|130000|2|My note; and more|1;2"}, v.export(c, schema.Query{ID: ids[0], Expand: true}, "id", "first_name", "status", "city", "preference.to_price", "user", "notes", "preference.amenities")); diff != "" {
		t.Error(diff)
	}
	got = v.load(c, schema.Load{Mode: schema.Update, ChangedOnly: true}, "id|status|country", ids[0]+"|qualified|AE", ids[1]+"|qualified|AE")
	if diff := cmp.Diff([]string{"unchanged " + ids[0], "accepted updated " + ids[1]}, got); diff != "" {
		t.Error(diff)
	}
	got = v.load(c, schema.Load{Mode: schema.Upsert}, wholeHeader, person("Ada", "+971 50 111 1111"), person("Dan", "0509999999"), person("Dana", "0509999999"), "mr|Eve|Trump|~|eve@example.com"+tail)
	if diff := cmp.Diff([]string{"accepted updated " + ids[0], "accepted created", "accepted updated", "rejected mobile:required"}, cutIDs(got, 1)); diff != "" {
		t.Error(diff)
	}
	got = v.load(c, schema.Load{Mode: schema.Upsert, Key: "email"}, "email|quality", "BOB@example.com|hot", "new@example.com|hot")
	if got[0] != "accepted updated "+ids[1] || !strings.HasPrefix(got[1], "rejected title:required first_name:required") {
		t.Error(got)
	}
	got = v.load(c, schema.Load{Mode: schema.Patch}, "id|status|user|properties.add|properties.remove|mls.add", ids[0]+"|contractSent|1|4;5|1|112345", ids[1]+"|contractSigned|-|-|-|-", "31337|prospect|-|-|-|-", ids[1]+"|-|-|-|-|-")
	if diff := cmp.Diff([]string{"accepted updated " + ids[0], "accepted updated " + ids[1], "rejected 31337 id:not_found", "unchanged " + ids[1]}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Ada|contractSent|1", "Bob|contractSigned|1", "Dana|prospect|1"}, v.export(c, schema.Query{}, "first_name", "status", "user")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Ada"}, v.export(c, schema.Query{Filters: []schema.Condition{{Name: "property", Value: "5"}}}, "first_name")); diff != "" {
		t.Error(diff)
	}
	got = v.load(c, schema.Load{Mode: schema.Delete}, "id", ids[0], ids[1], ids[1], "~")
	if diff := cmp.Diff([]string{"accepted deleted " + ids[0], "accepted deleted " + ids[1], "unchanged " + ids[1], "rejected id:required"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Dana"}, v.export(c, schema.Query{}, "first_name")); diff != "" {
		t.Error(diff)
	}
}

// trimIDs makes the ids of accepted rows count from 1001.
func trimIDs(fates []string) []string {
	out := slices.Clone(fates)
	for i, n := 0, 1001; i < len(out); i++ {
		if words := strings.Fields(out[i]); len(words) == 3 && words[0] == "accepted" {
			out[i] = fmt.Sprintf("%s %s %d", words[0], words[1], n)
			n++
		}
	}
	return out
}

// cutIDs takes the ids off accepted rows from number from on.
func cutIDs(fates []string, from int) []string {
	out := slices.Clone(fates)
	for i := from; i < len(out); i++ {
		if words := strings.Fields(out[i]); len(words) == 3 && words[0] == "accepted" {
			out[i] = words[0] + " " + words[1]
		}
	}
	return out
}
