package lunarsend

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/sourcetest"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// people puts contacts there: 1 to n, every other one of Acme.
func people(f *fake, n int) {
	for i := 1; i <= n; i++ {
		f.add(fmt.Sprint(i), time.Hour, map[string]any{"first_name": fmt.Sprintf("P%d", i), "email": fmt.Sprintf("p%d@x.example", i),
			"company": []string{"Acme", "Bolt"}[i%2], "phone": "555"})
	}
}

func TestExport(t *testing.T) {
	v2 := []string{"profile", "v2"}
	tests := []struct {
		name   string
		set    []string
		q      schema.Query
		before func(f *fake)
		ids    string
		warns  []string // parts of warnings
		bad    string   // part of the error, of Source or of Next
	}{
		{name: "search", q: schema.Query{Terms: []string{"company=acme"}}, ids: "2 4", warns: []string{"and no others", "2 of 2 contacts came as ids only"}},
		{name: "search by another name of the field", q: schema.Query{Terms: []string{"Organisation=acme"}}, ids: "2 4"},
		{name: "several terms", q: schema.Query{Terms: []string{"company=acme", "email=p1@x.example", "phone=555"}}, ids: "2 4 1 3 5"},
		{name: "any field", before: func(f *fake) { f.shape = "full" }, q: schema.Query{Search: "P3"}, ids: "3"},
		{name: "one id shown", before: func(f *fake) { f.shape = "one" }, q: schema.Query{Terms: []string{"phone=555"}}, ids: "1", warns: []string{"one contact"}},
		{name: "no match", q: schema.Query{Terms: []string{"company=none"}}},
		{name: "404", before: func(f *fake) { f.fault = func(string, int) string { return missing404 } }, q: schema.Query{Terms: []string{"company=none"}}, warns: []string{"no such path"}},
		{name: "by id", q: schema.Query{ID: "3"}, ids: "3"},
		{name: "by id, none", q: schema.Query{ID: "33"}, bad: "no contact with the id 33"},
		{name: "legacy, all", bad: "can't list all contacts"},
		{name: "unknown field", q: schema.Query{Terms: []string{"colour=red"}}, bad: "no field to search by"},
		{name: "empty term", q: schema.Query{Terms: []string{"company= "}}, bad: "empty"},
		{name: "filter", q: schema.Query{Filters: []schema.Condition{{Name: "a"}}}, bad: "no filters"},
		{name: "sort", q: schema.Query{Sort: "email"}, bad: "no sorting"},
		{name: "v2, all", set: v2, ids: "1 2 3 4 5"},
		{name: "v2, search", set: v2, q: schema.Query{Terms: []string{"company=acme", "phone=555"}}, ids: "2 4 1 3 5"},
		{name: "v2, by id", set: v2, q: schema.Query{ID: "3"}, ids: "3"},
		{name: "v2, none", set: v2, before: func(f *fake) { f.recs = nil }, warns: []string{"lists no contacts"}},
		{name: "a field that can't be searched", before: func(f *fake) { f.fault = once("search", 6, refuse400) }, q: schema.Query{Search: "acme"}, ids: "2 4", warns: []string{"does not search by job_title"}},
		{name: "no field can be searched", before: func(f *fake) { f.fault = func(string, int) string { return refuse400 } }, q: schema.Query{Search: "acme"}, bad: "none of the searches"},
		{name: "a named field that can't be searched", before: func(f *fake) { f.fault = once("search", 1, refuse400) }, q: schema.Query{Terms: []string{"company=acme"}}, bad: "no, says the vendor"},
		{name: "v2, wrong path", set: v2, before: func(f *fake) { f.fault = func(string, int) string { return missing404 } }, bad: "no such path"},
		{name: "error on the way", set: v2, before: func(f *fake) { f.fault = once("search", 2, refuse400) }, bad: "no, says the vendor"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			people(f, 5)
			if tt.before != nil {
				tt.before(f)
			}
			var warns []string
			tt.q.Warn = func(s string) { warns = append(warns, s) }
			var ids []string
			src, err := f.connect(tt.set...).Source(t.Context(), contacts, tt.q)
			if err == nil {
				var rows []map[string]string
				rows, err = drain(t, src)
				for _, r := range rows {
					ids = append(ids, r["id"])
				}
			}
			if tt.bad != "" {
				if err == nil || !strings.Contains(err.Error(), tt.bad) {
					t.Fatalf("error %v, want %q in it", err, tt.bad)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(ids, " "); got != tt.ids {
				t.Errorf("contacts %s, want %s", got, tt.ids)
			}
			for _, w := range tt.warns {
				if !slices.ContainsFunc(warns, func(s string) bool { return strings.Contains(s, w) }) {
					t.Errorf("no warning of %q in %q", w, warns)
				}
			}
		})
	}
}

// TestPages holds a list of v2 against vendors whose pages can't be trusted.
func TestPages(t *testing.T) {
	row := func(id, total int) string { return fmt.Sprintf(`{"contact_id":"%d","total_count":%d}`, id, total) }
	tests := []struct {
		name  string
		pages []string // the last one comes again and again
		ids   string
		bad   string
	}{
		{name: "good", pages: []string{row(1, 3) + "," + row(2, 3), row(3, 3)}, ids: "1 2 3"},
		{name: "no total", pages: []string{`{"contact_id":"1"},{"contact_id":"2"}`, `{"contact_id":"3"}`, ""}, ids: "1 2 3"},
		{name: "overlap", pages: []string{row(1, 3) + "," + row(2, 3), row(2, 3) + "," + row(3, 3)}, ids: "1 2 3"},
		{name: "the page is ignored", pages: []string{row(1, 3) + "," + row(2, 3)}, bad: "page 1 shows contacts of earlier pages"},
		{name: "pages begin with 1", pages: []string{row(1, 3) + "," + row(2, 3), row(1, 3) + "," + row(2, 3), row(3, 3)}, bad: "page 1 shows"},
		{name: "too few", pages: []string{row(1, 3), ""}, bad: "says that there are 3 contacts and shows 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var page int
				_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
				_, _ = fmt.Fprintf(w, `{"data":[%s]}`, tt.pages[min(page, len(tt.pages)-1)])
			}))
			defer server.Close()
			f := &fake{t: t, url: server.URL}
			src, err := f.connect("profile", "v2").Source(t.Context(), contacts, schema.Query{})
			var ids []string
			if err == nil {
				var rows []map[string]string
				rows, err = drain(t, src)
				for _, r := range rows {
					ids = append(ids, r["id"])
				}
			}
			switch {
			case tt.bad != "" && (err == nil || !strings.Contains(err.Error(), tt.bad)):
				t.Errorf("error %v, want %q in it", err, tt.bad)
			case tt.bad == "" && (err != nil || strings.Join(ids, " ") != tt.ids):
				t.Errorf("contacts %v, %v, want %s", ids, err, tt.ids)
			}
		})
	}
}

// TestSource runs the suite of all sources, over several pages.
func TestSource(t *testing.T) {
	f := newFake(t)
	people(f, 9)
	c := f.connect("profile", "v2")
	sourcetest.Run(t, sourcetest.Suite{Open: func() (pipeline.Source, error) { return c.Source(t.Context(), contacts, schema.Query{}) }, Columns: columns()})
}

func TestRaw(t *testing.T) {
	f := newFake(t)
	people(f, 1)
	f.recs[0]["unknown"] = 12345678901234567
	f.shape = "full"
	src, err := f.connect().Source(t.Context(), contacts, schema.Query{Terms: []string{"phone=555"}, Raw: true})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := drain(t, src)
	if err != nil || len(rows) != 1 || !strings.Contains(rows[0]["record"], `"unknown":12345678901234567`) {
		t.Errorf("%v %v", rows, err)
	}
}

func TestOpen(t *testing.T) {
	tests := []struct {
		set  map[string]string
		want string // part of the error
	}{
		{map[string]string{}, "api_key"},
		{map[string]string{"api_key": "k", "profile": "v3"}, "profile"},
		{map[string]string{"api_key": "k", "edit_fields": "name,colour"}, "colour"},
		{map[string]string{"api_key": "k", "phone_as": "x"}, "phone_as"},
		{map[string]string{"api_key": "k", "delete_transport": "x"}, "delete_transport"},
		{map[string]string{"api_key": "k", "rate": "-1"}, "rate"},
		{map[string]string{"api_key": "k", "timeout": "soon"}, "timeout"},
		{map[string]string{"api_key": "k", "paths_edit": "/a?b=c"}, "paths_edit"},
		{map[string]string{"api_key": "k", "base_url": "http://example.com/api"}, "not encrypted"},
	}
	for _, tt := range tests {
		if _, err := Open(schema.Connection{Name: "x", Settings: tt.set}, api.Env{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want %q in it", tt.set, err, tt.want)
		}
	}
	c, err := Open(schema.Connection{Name: "x", Settings: map[string]string{"api_key": "topsecretkey", "paths_edit": "contacts/edit/"}}, api.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(c.Account(), "topsecret") || !strings.HasPrefix(c.Account(), "lunarsend.com/") || c.set.edit != "/contacts/edit" {
		t.Errorf("account %s, edit path %s", c.Account(), c.set.edit)
	}
}

func TestPayloads(t *testing.T) {
	tests := []struct {
		mode      schema.Mode
		rows      *record.Batch
		want, bad string
	}{
		{mode: schema.Create, rows: table("first_name|email|phone", "Ada|a@x.example|0123"), want: `{"first_name":"Ada","email":"a@x.example","phone":"0123"}`},
		{mode: schema.Update, rows: table("id|email", "1|a@x.example"), want: `{"contactID":"1","updateFields":{"email":"a@x.example"}}`},
		{mode: schema.Upsert, rows: table("email|first_name", "a@x.example|Ada"), want: `{"email":"a@x.example","first_name":"Ada"}`},
		{mode: schema.Delete, rows: table("id", "1"), want: `{"contact_id":"1"}`},
		{mode: schema.Update, rows: table("id", "1"), bad: "nothing to update"},
	}
	for _, tt := range tests {
		p, err := Payloads(contacts, schema.Load{Mode: tt.mode, Header: tt.rows.Header})
		if tt.bad != "" {
			if err == nil || !strings.Contains(err.Error(), tt.bad) {
				t.Errorf("%s: %v, want %q in it", tt.mode, err, tt.bad)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := p(nil, []*record.Row{&tt.rows.Rows[0]})
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %s %v, want %s", tt.mode, got, err, tt.want)
		}
	}
}

// TestTable holds the table against its own rules: examples pass, and names are not used twice.
func TestTable(t *testing.T) {
	o := Schema().Objects[0]
	seen := map[string]string{}
	for i := range o.Fields {
		f := &o.Fields[i]
		for _, name := range append([]string{f.Name}, f.Aliases...) {
			if other, ok := seen[schema.Fold(name)]; ok && other != f.Name {
				t.Errorf("%q means %s and %s", name, other, f.Name)
			}
			seen[schema.Fold(name)] = f.Name
		}
	}
	for _, mode := range o.Modes {
		var names []string
		for i := range o.Fields {
			if o.Fields[i].Takes(mode) {
				names = append(names, o.Fields[i].Name)
			}
		}
		h := record.LooseHeader(names)
		check, err := schema.NewChecker(&o, h, mode)
		if err != nil {
			t.Fatal(err)
		}
		b := &record.Batch{Header: h, Origin: h}
		row := b.Add()
		row.Values = b.Cells(len(names))
		for i, n := range names {
			f, _ := o.Field(n)
			row.Values[i] = record.TextOf(f.Example)
		}
		row.Origin = row.Values
		if err := check.Apply(b); err != nil || row.Err != nil {
			t.Errorf("%s: the examples are refused: %v %v", mode, err, row.Err)
		}
	}
	if diff := cmp.Diff([]string{"email", "id", "phone"}, o.KeyFields); diff != "" {
		t.Error(diff)
	}
}
