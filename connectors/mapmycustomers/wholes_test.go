package mapmycustomers

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// records marks the rows of a batch as records, by group numbers.
func records(b *record.Batch, groups ...int64) *record.Batch {
	for i, g := range groups {
		b.Rows[i].Group = g
	}
	return b
}

func TestRoutes(t *testing.T) {
	tests := []struct {
		name  string
		rows  *record.Batch
		load  schema.Load
		doubt bool
		have  func(*fake)
		fault func(string, string, int) string
		want  []string
		posts []string
	}{
		{name: "by rows, in order, and alone", rows: records(table("routeName|customerId|customerIds", "n|a|", "n|b|", "s|-|x;y", "t|-|z"), 1, 1, 3, 0),
			want:  []string{"accepted created", "accepted created", "accepted created", "accepted created"},
			posts: []string{`{"routeName":"n","customerIds":["a","b"]}`, `{"routeName":"s","customerIds":["x","y"]}`, `{"routeName":"t","customerIds":["z"]}`}},
		{name: "one refused, all its rows are", rows: records(table("routeName|customerId", "n|a", "n|b", "m|c"), 1, 1, 3), fault: on("POST", 1, refuse400),
			want: []string{"rejected :vendor", "rejected :vendor", "accepted created"}, posts: []string{`{"routeName":"n","customerIds":["a","b"]}`, `{"routeName":"m","customerIds":["c"]}`}},
		{name: "answer lost", rows: records(table("routeName|customerId", "n|a", "n|b"), 1, 1), fault: on("POST", 1, dropAfter),
			want: []string{"accepted created rt00000000", "accepted created rt00000000"}, posts: []string{`{"routeName":"n","customerIds":["a","b"]}`}},
		{name: "not done", rows: records(table("routeName|customerId", "n|a"), 1), fault: on("POST", 1, dropBefore),
			want: []string{"accepted created"}, posts: []string{`{"routeName":"n","customerIds":["a"]}`, `{"routeName":"n","customerIds":["a"]}`}},
		{name: "twins", rows: records(table("routeName|customerIds", "n|a;b", "n|a;b"), 1, 2), fault: on("POST", 2, dropBefore),
			want: []string{"accepted created", "accepted created"}, posts: []string{`{"routeName":"n","customerIds":["a","b"]}`, `{"routeName":"n","customerIds":["a","b"]}`, `{"routeName":"n","customerIds":["a","b"]}`}},
		{name: "another route of that name", have: func(f *fake) {
			f.routes = append(f.routes, map[string]any{"id": "r", "name": "n", "points": []string{"1,2", "3,4"}, "createdAt": time.Now().UTC().Format(time.RFC3339)})
		}, rows: records(table("routeName|customerId", "n|a"), 1), fault: on("POST", 1, dropBefore), want: []string{"unsure :unsure"}, posts: []string{`{"routeName":"n","customerIds":["a"]}`}},
		{name: "doubt, not there", doubt: true, rows: records(table("routeName|customerId", "n|a"), 1), want: []string{"accepted created"}, posts: []string{`{"routeName":"n","customerIds":["a"]}`}},
		{name: "dry run", load: schema.Load{DryRun: true}, rows: records(table("routeName|customerId", "n|a"), 1), want: []string{"accepted would create"}},
		{name: "nothing to visit", rows: records(table("routeName|customerId", "n|", "n|"), 1, 1), want: []string{"rejected customerId:required", "rejected customerId:required"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			if tt.have != nil {
				tt.have(f)
			}
			f.fault = tt.fault
			if tt.doubt {
				for i := range tt.rows.Rows {
					tt.rows.Rows[i].Fate = record.Doubt
				}
			}
			tt.load.Header = tt.rows.Header
			l := deliverytest.NewLedger(t)
			sink, err := f.connect().Sink(t.Context(), routes, tt.load, l)
			if err != nil {
				t.Fatal(err)
			}
			if err := sink.Write(t.Context(), tt.rows); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.want, fates(tt.rows)); diff != "" {
				t.Errorf("fates (-want +got):\n%s", diff)
			}
			var posts []string
			for _, c := range f.sent("POST /routes ") {
				posts = append(posts, strings.TrimPrefix(c, "POST /routes "))
			}
			if diff := cmp.Diff(tt.posts, posts); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
			if l.InFlight() > 0 {
				t.Errorf("calls without outcome are left: %v", l.Log())
			}
		})
	}
}

func TestGroups(t *testing.T) {
	tests := []struct {
		name  string
		rows  *record.Batch
		load  schema.Load
		fault func(string, string, int) string
		want  []string
		puts  []string
		says  string // the difference that is shown
		warns []string
	}{
		{name: "shown, not sent", rows: table("group", "Ohio", "New"), want: []string{"pending", "pending"},
			says: "groups: 2 removed, 1 added, 1 kept\n  - Latest Finds\n  - Pittsburgh\n  + New"},
		{name: "sent", load: schema.Load{Yes: true}, rows: table("group", "Ohio", " New "), want: []string{"accepted replaced", "accepted replaced"}, puts: []string{`{"groups":["Ohio","New"]}`},
			warns: []string{"groups: 2 removed, 1 added, 1 kept\n  - Latest Finds\n  - Pittsburgh\n  + New"}},
		{name: "only shown", load: schema.Load{DryRun: true, Yes: true}, rows: table("group", "Ohio", "New"), want: []string{"accepted would replace", "accepted would replace"},
			warns: []string{"groups: 2 removed, 1 added, 1 kept\n  - Latest Finds\n  - Pittsburgh\n  + New"}},
		{name: "the same", load: schema.Load{Yes: true}, rows: table("group", "Ohio", "Latest Finds", "Pittsburgh"), want: []string{"unchanged", "unchanged", "unchanged"}},
		{name: "another order", rows: table("group", "Latest Finds", "Ohio", "Pittsburgh"), want: []string{"pending", "pending", "pending"}, says: "groups: 0 removed, 0 added, 3 kept; only their order changes"},
		{name: "a required one is missing", load: schema.Load{Yes: true}, rows: table("group", "New", "ohio"), want: []string{"rejected group:required", "rejected group:required"},
			warns: []string{`group "ohio" differs from "Ohio", which the account has, in case only: they are two groups to the vendor`}},
		{name: "twice", load: schema.Load{Yes: true}, rows: table("group", "Ohio", "Ohio"), want: []string{"accepted replaced", "accepted replaced"}, puts: []string{`{"groups":["Ohio"]}`},
			warns: []string{"1 groups stand twice in the file; each is sent once", "groups: 2 removed, 0 added, 1 kept\n  - Latest Finds\n  - Pittsburgh"}},
		{name: "none named", load: schema.Load{Yes: true}, rows: table("group", " "), want: []string{"rejected group:required"}},
		{name: "refused", load: schema.Load{Yes: true}, fault: on("PUT", 1, refuse400), rows: table("group", "Ohio"), want: []string{"rejected :vendor"}, puts: []string{`{"groups":["Ohio"]}`}, warns: []string{"groups: 2 removed, 0 added, 1 kept\n  - Latest Finds\n  - Pittsburgh"}},
		{name: "repeated", load: schema.Load{Yes: true}, fault: on("PUT", 1, dropAfter), rows: table("group", "Ohio"), want: []string{"accepted replaced"}, puts: []string{`{"groups":["Ohio"]}`, `{"groups":["Ohio"]}`}, warns: []string{"groups: 2 removed, 0 added, 1 kept\n  - Latest Finds\n  - Pittsburgh"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.fault = tt.fault
			var warns []string
			tt.load.Header, tt.load.Mode, tt.load.Warn = tt.rows.Header, schema.Replace, func(s string) { warns = append(warns, s) }
			sink, err := f.connect().Sink(t.Context(), groups, tt.load, deliverytest.NewLedger(t))
			if err != nil {
				t.Fatal(err)
			}
			err = sink.Write(t.Context(), tt.rows)
			var ask interface{ NeedsYes() string }
			if errors.As(err, &ask) != (tt.says != "") || ask != nil && ask.NeedsYes() != tt.says || err != nil && ask == nil {
				t.Errorf("error %v, want one that says %q", err, tt.says)
			}
			if diff := cmp.Diff(tt.want, fates(tt.rows)); diff != "" {
				t.Errorf("fates (-want +got):\n%s", diff)
			}
			var puts []string
			for _, c := range f.sent("PUT /user/groups ") {
				puts = append(puts, strings.TrimPrefix(c, "PUT /user/groups "))
			}
			if diff := cmp.Diff(tt.puts, puts); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.warns, warns); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGroupsInParts(t *testing.T) {
	f := newFake(t)
	b := table("group", "Ohio", "New")
	sink, err := f.connect().Sink(t.Context(), groups, schema.Load{Mode: schema.Replace, Header: b.Header, Yes: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	part := func(i int) error {
		return sink.Write(t.Context(), &record.Batch{Header: b.Header, Rows: b.Rows[i : i+1]})
	}
	if err := errors.Join(part(0), part(1)); err == nil || !strings.Contains(err.Error(), "several parts") {
		t.Errorf("error %v", err)
	}
	if got := f.sent("PUT"); len(got) != 1 {
		t.Errorf("sent %v", got)
	}
	b = table("group", "Ohio", "New")
	b.Rows[1].Reject(record.Problem{Rule: "max"})
	sink, err = f.connect().Sink(t.Context(), groups, schema.Load{Mode: schema.Replace, Header: b.Header, Yes: true}, nil)
	if err == nil {
		err = sink.Write(t.Context(), b)
	}
	if diff := cmp.Diff([]string{"rejected :group", "rejected :max"}, fates(b)); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestCustomFields(t *testing.T) {
	f := newFake(t)
	b := table("label|slot", "birthday|0", "social|7")
	load := schema.Load{Mode: schema.Update, Header: b.Header}
	sink, err := f.connect().Sink(t.Context(), customfields, load, deliverytest.NewLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	var ask *Unconfirmed
	if err := sink.Write(t.Context(), b); !errors.As(err, &ask) || !strings.Contains(ask.NeedsYes(), "custom7  social") {
		t.Errorf("error %v", err)
	}
	b = table("label|slot", "birthday|0", "social|0", "x|")
	load.Yes = true
	if sink, err = f.connect().Sink(t.Context(), customfields, load, deliverytest.NewLedger(t)); err != nil {
		t.Fatal(err)
	}
	if err := sink.Write(t.Context(), b); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"rejected :group", "rejected slot:unique", "rejected slot:max"}, fates(b)); diff != "" {
		t.Error(diff)
	}
	if got := f.sent("PUT"); len(got) != 0 {
		t.Errorf("sent %v", got)
	}
}

// TestSchema checks that the table is complete in itself.
func TestSchema(t *testing.T) {
	v := Schema()
	for _, o := range v.Objects {
		if len(o.Modes) == 0 && !o.Export.Any() {
			t.Errorf("%s can be neither imported nor exported", o.Name)
		}
		names := map[string]string{}
		for _, f := range o.Fields {
			if f.Doc == "" || f.Source == "" || f.Example == "" {
				t.Errorf("%s.%s has no doc, source or example", o.Name, f.Name)
			}
			for _, n := range append([]string{f.Name}, f.Aliases...) {
				if other, ok := names[schema.Fold(n)]; ok {
					t.Errorf("%s: %q means %s and %s", o.Name, n, other, f.Name)
				}
				names[schema.Fold(n)] = f.Name
			}
		}
		for _, k := range o.KeyFields {
			if _, ok := o.Field(k); !ok {
				t.Errorf("%s has no key field %s", o.Name, k)
			}
		}
	}
	for column, want := range map[string]string{"Company Name": "company", "E-mail": "email", "Pin Colour": "color", "Custom 3": "custom3", "CUSTOM_FIELD_9": "custom9", "Object ID": "id", "Long": "longitude", "Zip Code": "zip"} {
		o, _ := v.Object(customers)
		if f, ok := o.Match(column); !ok || f.Name != want {
			t.Errorf("column %q matches %v, want %s", column, f, want)
		}
	}
}

// TestNorm compares values as a lookup does.
func TestNorm(t *testing.T) {
	o, _ := Schema().Object(customers)
	tests := []struct {
		field, a, b string
		same        bool
	}{
		{"name", " Ada  Lovelace ", "Ada Lovelace", true}, {"name", "Ada", "ada", false}, {"name", "", "~", true},
		{"dealAmount", "1250.50", "1250.5", true}, {"dealAmount", "1e3", "1000", true}, {"dealAmount", "-0", "0.00", true}, {"dealAmount", "12345678901234567890.1", "12345678901234567890.2", false},
		{"dealAmount", "100", "10", false}, {"dealAmount", "0.001", "1e-3", true},
		{"latitude", "33.432134", "33.43213", true}, {"latitude", "33.43", "33.44", false}, {"latitude", "-0.00001", "0", true},
		{"lastVisit", "2016-05-26T20:52:46Z", "1464295966", true}, {"lastVisit", "2016-05-26T22:52:46+02:00", "1464295966", true},
		{"groups", "a;b", "b; a;a", true}, {"groups", "a;b", "a", false}, {"color", "Neon Red", "neon red", true}, {"color", "gray", "grey", true},
	}
	for _, tt := range tests {
		f, _ := o.Field(tt.field)
		b := table("a|b", tt.a+"|"+tt.b)
		x, y := norm(f, b.Rows[0].Values[0]), norm(f, b.Rows[0].Values[1])
		if (x == y) != tt.same {
			t.Errorf("%s: %q and %q are %q and %q", tt.field, tt.a, tt.b, x, y)
		}
	}
}

// TestRejectedMessage keeps the vendor's words.
func TestRejectedMessage(t *testing.T) {
	f := newFake(t)
	f.fault = always("POST", refuse400)
	b := table("name", "A")
	sink, err := f.connect().Sink(t.Context(), customers, schema.Load{Header: b.Header}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(b.Rows[0].Err); got != "the vendor says: no, says the vendor (400)" {
		t.Error(got)
	}
}
