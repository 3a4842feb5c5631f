package mycrm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// TestSchema compiles the rules for every mode, and holds the examples of the table against them.
func TestSchema(t *testing.T) {
	v := Schema()
	o := &v.Objects[0]
	reads := readers()
	for _, m := range o.Modes {
		var names []string
		for _, f := range o.Fields {
			if f.Takes(m) && !f.Family() {
				names = append(names, f.Name)
			}
			if f.Source == "" || f.Doc == "" || f.Example == "" {
				t.Errorf("field %s lacks a doc, a source or an example", f.Name)
			}
			if _, ok := reads[f.Name]; !ok && !f.NoExport && !f.Family() {
				t.Errorf("field %s is exported, and nothing reads it", f.Name)
			}
		}
		h := record.LooseHeader(names)
		c, err := schema.NewChecker(o, h, m)
		if err != nil {
			t.Fatal(err)
		}
		b := &record.Batch{Header: h, Origin: h}
		row := b.Add()
		row.Values = b.Cells(h.Len())
		for i, n := range names {
			f, _ := o.Field(n)
			switch f.Type {
			case schema.Integer:
				row.Values[i] = record.NumberOf(f.Example)
			case schema.List:
				row.Values[i] = record.ListOf(strings.Split(f.Example, ";"))
			default:
				row.Values[i] = record.TextOf(f.Example)
			}
		}
		if err := c.Apply(b); err != nil || b.Rows[0].Err != nil {
			t.Errorf("%s: %v %v", m, err, b.Rows[0].Err)
		}
	}
	mobile, _ := o.Match("Mobile Number")
	channel, _ := o.Match("Channel")
	pets, _ := o.Match("Fields.Number of Pets")
	if mobile.Name != "mobile" || channel.Name != "source_channel" || pets.Name != "fields.Number of Pets" {
		t.Error(mobile.Name, channel.Name, pets.Name)
	}
	country, _ := o.Field("country")
	for _, same := range []string{"UAE", "ARE", "United Arab Emirates"} {
		if country.Same[same] != "AE" {
			t.Errorf("%s is %q", same, country.Same[same])
		}
	}
	status, _ := o.Field("status")
	if status.Same["not yet contacted"] != "notYetContacted" {
		t.Error(status.Same)
	}
}

func TestCheck(t *testing.T) {
	b := Table("preference.locations|source|source_channel", "are.2.15;are.3|offline|walk in", "Dubai;are.2.|offline|x", "-|other|Friend", "-|portal|walkIn", "-|-|whatever")
	var warned []string
	step, err := Check(leads, schema.Load{Mode: schema.Create, Header: b.Header, Warn: func(s string) { warned = append(warned, s) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := step.Apply(b); err != nil {
		t.Fatal(err)
	}
	want := []string{"pending", "rejected preference.locations:location preference.locations:location source_channel:oneof", "pending", "pending", "pending"}
	if diff := cmp.Diff(want, deliverytest.Fates(b)); diff != "" {
		t.Error(diff)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "walkIn") {
		t.Error(warned)
	}
}

// TestCheckTellsPairsOnce looks at rows twice, as a run does, and at many pairs that do not go together.
func TestCheckTellsPairsOnce(t *testing.T) {
	var lines []string
	for _, source := range sources() {
		for _, channel := range []string{"walkIn", "facebook", "bayut", "sms", "expo"} {
			lines = append(lines, source+"|"+channel)
		}
	}
	for _, tt := range []struct {
		rows []string
		want int
	}{{[]string{"portal|walkIn", "portal|walkIn", "portal|facebook", "offline|walkIn"}, 2}, {lines, 10}} {
		b := Table("source|source_channel", tt.rows...)
		warned := map[string]int{}
		step, err := Check(leads, schema.Load{Mode: schema.Create, Header: b.Header, Warn: func(s string) { warned[s]++ }})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := step.Apply(b); err != nil {
				t.Fatal(err)
			}
		}
		if len(warned) != tt.want {
			t.Errorf("%d warnings, want %d: %v", len(warned), tt.want, warned)
		}
		for text, n := range warned {
			if n > 1 {
				t.Errorf("%d times: %s", n, text)
			}
		}
	}
}

// TestCheckExplainsDates tells what a spreadsheet has made of a time frame.
func TestCheckExplainsDates(t *testing.T) {
	day := func(k record.Kind, text string) record.Value { return record.Of(k, text) }
	for _, tt := range []struct {
		cell record.Value
		was  string // "" if it is no date
	}{
		{record.TextOf("2026-03-01"), "of 1-3:"}, {record.TextOf("01-Mar"), "of 1-3:"}, {record.TextOf("3-Jan"), "of 1-3:"}, {record.TextOf("6-Mar"), "of 3-6:"}, {record.TextOf("12-Sep"), "of 9-12:"},
		{day(record.Date, "2026-09-06"), "of 6-9:"}, {day(record.DateTime, "2026-01-03T00:00:00"), "of 1-3:"}, {record.TextOf("05/05/2026"), "such as 1-3:"}, {record.TextOf("soon"), ""}, {record.TextOf("4-5"), ""},
	} {
		b := Table("title|time_frame", "mr|-")
		b.Origin = record.LooseHeader([]string{"When", "Salutation"})
		row := &b.Rows[0]
		row.Origin = []record.Value{tt.cell, record.TextOf("mr")}
		row.Reject(record.Problem{Field: "title", Column: "Salutation", Rule: "choice", Message: "another"})
		row.Reject(record.Problem{Field: "time_frame", Column: "When", Rule: "choice", Message: "as it was"})
		step, err := Check(leads, schema.Load{Mode: schema.Create, Header: b.Header})
		if err != nil {
			t.Fatal(err)
		}
		if err := step.Apply(b); err != nil {
			t.Fatal(err)
		}
		ps := record.ProblemsOf(row.Err)
		if len(ps) != 2 || ps[0].Message != "another" || ps[1].Rule != "choice" || ps[1].Column != "When" {
			t.Fatalf("%v", ps)
		}
		text := ps[1].Message
		if tt.was == "" && text != "as it was" || tt.was != "" && !(strings.Contains(text, tt.was) && strings.Contains(text, "spreadsheet") && strings.Contains(text, "format the column as text")) {
			t.Errorf("%s: %s", tt.cell.Text(), text)
		}
	}
}

func TestNotes(t *testing.T) {
	for _, list := range [][]string{nil, {"plain"}, {"a; b"}, {"[odd"}, {`["looks like one"]`}, {"one", "two"}, {"[1]"}} {
		cell := cellOf(list)
		if diff := cmp.Diff(list, bodies(cell.Text())); diff != "" {
			t.Errorf("%q became the cell %q: %s", list, cell.Text(), diff)
		}
	}
	if diff := cmp.Diff([]string{"a", "b"}, bodies(`[{"body":"a"},"b",null]`)); diff != "" {
		t.Error(diff)
	}
}

func FuzzNotes(f *testing.F) {
	f.Add("a", "b")
	f.Add("[", `["x"]`)
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, list := range [][]string{{a}, {a, b}} {
			text, err := json.Marshal(list)
			if err != nil || strings.TrimSpace(a) == "" || strings.TrimSpace(b) == "" || !utf8.ValidString(a) || !utf8.ValidString(b) {
				return
			}
			if diff := cmp.Diff(list, bodies(cellOf(list).Text())); diff != "" {
				t.Errorf("%s: %s", text, diff)
			}
		}
	})
}

func FuzzPage(f *testing.F) {
	for _, s := range []string{`{"count":1,"leads":[{"id":1}]}`, `[{"lead":{"id":"x"}}]`, `{"leads":[{"id":1,"preferences":[{}],"user":3,"fields":[],"notes":["x"]}]}`, `{}`, `[1]`} {
		f.Add([]byte(s))
	}
	l, err := newLayout(leads, schema.Load{Mode: schema.Create, Header: record.LooseHeader([]string{"mobile"})}, defaultShape())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parsePage(body)
		if err != nil {
			return
		}
		for _, raw := range p.leads {
			have, err := parseLead(raw)
			if err != nil {
				continue
			}
			if out := l.appendLead(nil, l.draftOf(have), true); !json.Valid(out) {
				t.Errorf("%s became %s", raw, out)
			}
		}
	})
}

func TestPhones(t *testing.T) {
	for _, tt := range []struct {
		a, b       string
		same, like bool
	}{
		{"+971 50 123-4567", "00971501234567", true, true}, {"0501234567", "+971501234567", false, true}, {"0501234567", "0501234568", false, false}, {"123", "0123", false, false}, {"", "", true, true},
	} {
		if got := phoneDigits(tt.a) == phoneDigits(tt.b); got != tt.same {
			t.Errorf("%q and %q are one key: %v", tt.a, tt.b, got)
		}
		if got := samePhone(tt.a, tt.b); got != tt.like {
			t.Errorf("%q and %q may be one number: %v", tt.a, tt.b, got)
		}
	}
}

func TestIDSet(t *testing.T) {
	var s idSet
	var got []bool
	for _, id := range []uint64{5, 9, 7, 9, 7, 5, 10, 3, 3} {
		got = append(got, s.add(id))
	}
	if diff := cmp.Diff([]bool{true, true, true, false, false, false, true, true, false}, got); diff != "" || s.len() != 5 {
		t.Error(diff, s.len())
	}
}

// TestCustomFields resolves names to ids, tells all that is wrong at once, and converts values by their types.
func TestCustomFields(t *testing.T) {
	var calls, posted atomic.Int32
	var body []byte
	c := connect(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			posted.Add(1)
			body, _ = io.ReadAll(r.Body)
			_, _ = io.WriteString(w, `{"id":77}`)
			return
		}
		calls.Add(1)
		if r.URL.Query().Get("filters[resource]") != "lead" {
			t.Errorf("query %s", r.URL.RawQuery)
		}
		_, _ = io.WriteString(w, `{"count":6,"fields":[{"id":1,"name":"Number of Pets","type":"number"},{"id":2,"name":"Twice","type":"text"},{"id":3,"name":"twice ","type":"text"},
			{"id":"4","name":"Garden","type":"boolean","mandatory":true},{"id":5,"name":"Since","type":"date"},{"id":6,"name":"Site","type":"URL"}]}`)
	})
	prepare := func(mode schema.Mode, names ...string) error {
		return c.Prepare(t.Context(), leads, schema.Load{Mode: mode, Header: record.LooseHeader(append([]string{"id", "mobile"}[map[schema.Mode]int{schema.Create: 1}[mode]:], names...))})
	}
	if err := prepare(schema.Create); err != nil || calls.Load() != 0 {
		t.Error(err, calls.Load())
	}
	err := prepare(schema.Create, "fields.number_of_pets", "fields.1", "fields.TWICE", "fields.Gardn", "fields.9")
	if err == nil {
		t.Fatal("nothing was found wrong")
	}
	for _, want := range []string{"are the same custom field", "fields.TWICE: the account has several", "did you mean fields.Garden?", "fields.9: the account has no such", "fields.4 (Garden): the account asks"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if err := prepare(schema.Update, "fields.Twice", "fields.Since"); err != nil {
		t.Error(err)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls for the custom fields", n)
	}
	header := "title|first_name|last_name|mobile|category|country|status|source|source_channel|financial|preference.types|preference.locations|preference.amenities|preference.offering_type|preference.from_price|preference.to_price|fields.Number of Pets|fields.Garden|fields.Since|fields.Site"
	good := "mr|A|B|0501|residential|AE|prospect|offline|walkIn|cash|2|are.1|1|sale|1|2|"
	b := Table(header, good+"2.50|yes|2026-01-31|https://x.example", good+"two|maybe|31/01/2026|x", good+"2|~|-|x")
	sink, err := c.Sink(t.Context(), leads, schema.Load{Mode: schema.Create, Header: b.Header}, deliverytest.NewLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	want := []string{"accepted created 77", "rejected fields.Number of Pets:number fields.Garden:boolean fields.Since:date", "rejected fields.4:required"}
	if diff := cmp.Diff(want, deliverytest.Fates(b)); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(string(body), `"fields":{"1":2.50,"4":true,"5":"2026-01-31","6":"https://x.example"}`) {
		t.Errorf("sent %s", body)
	}
}

// TestTokens signs in in each of the ways.
func TestTokens(t *testing.T) {
	var asked []string
	var used []string
	n := 0
	serve := func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			body, _ := io.ReadAll(r.Body)
			asked = append(asked, r.Header.Get("Authorization")+" "+string(body))
			n++
			fmt.Fprintf(w, `{"access_token":"t%d","expires_in":"1800"}`, n)
			return
		}
		used = append(used, r.Header.Get("Authorization"))
		if r.Header.Get("Authorization") == "Bearer t1" {
			w.WriteHeader(401)
			return
		}
		if r.UserAgent() == "" {
			t.Error("no User-Agent")
		}
		_, _ = io.WriteString(w, `{"count":12,"leads":[{"id":5}]}`)
	}
	c := connect(t, serve, "auth", "password", "domain", "acme.example", "username", "ops", "password", "pw", "token_url", "")
	said, err := c.Ping(t.Context())
	if err != nil || said != "acme.example/ops: 12 leads" {
		t.Error(said, err)
	}
	grant := ` {"scope":"offline","grant_type":"password","domain":"acme.example","username":"ops","password":"pw"}`
	if diff := cmp.Diff([][]string{{grant, grant}, {"Bearer t1", "Bearer t2"}}, [][]string{asked, used}); diff != "" {
		t.Error(diff)
	}
	if c.Stats().Sent != 4 {
		t.Errorf("%+v", c.Stats())
	}
	c = connect(t, serve, "token", "fixed-token")
	if said, err = c.Ping(t.Context()); err != nil || strings.Contains(said+c.Account(), "fixed") || used[len(used)-1] != "Bearer fixed-token" {
		t.Error(said, c.Account(), err)
	}
	for _, set := range [][]string{{"api_key", ""}, {"auth", "magic"}, {"auth", "password"}, {"auth", "static"}, {"rate", "fast"}, {"timeout", "x"}, {"base_url", "http://example.com"}, {"delete_path", "both"}, {"token_url", "http://example.com/t"}} {
		settings := map[string]string{"api_key": "k", "api_secret": "s"}
		settings[set[0]] = set[1]
		if _, err := Open(schema.Connection{Name: "mycrm", Settings: settings}, api.Env{}); err == nil {
			t.Errorf("%v was taken", set)
		}
	}
}

// TestRefusals tells wrong credentials, missing rights and the firewall apart.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		status int
		kind   string
		body   string
		class  api.Class
		words  string
	}{
		{403, "application/json", `{"message":"no"}`, api.Permission, "lead.update"},
		{403, "text/html", `<html><title>ERROR: The request could not be satisfied</title></html>`, api.Blocked, "could not be satisfied"},
		{401, "application/json", `{"message":"expired"}`, api.Auth, "expired"},
	} {
		c := connect(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", tt.kind)
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		}, "delete_path", "plural")
		b := Table("id", "5")
		sink, err := c.Sink(t.Context(), leads, schema.Load{Mode: schema.Delete, Header: b.Header}, deliverytest.NewLedger(t))
		if err != nil {
			t.Fatal(err)
		}
		err = sink.Write(t.Context(), b)
		var known *api.Error
		if !errors.As(err, &known) || known.Class != tt.class || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%d %s: %v", tt.status, tt.kind, err)
		}
		if !b.Rows[0].Fate.Open() {
			t.Errorf("the row is %s", b.Rows[0].Fate)
		}
	}
	server := connect(t, func(http.ResponseWriter, *http.Request) {}, "token_url", "http://127.0.0.1:1/none")
	if err := server.Ready(t.Context()); err == nil {
		t.Error("a token came from nowhere")
	}
}

// TestWarningHeader passes the vendor's warnings on, each once.
func TestWarningHeader(t *testing.T) {
	c := connect(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-MyCRM-API-Warning", "soon gone")
		w.WriteHeader(http.StatusNoContent)
	})
	var warned []string
	b := Table("id", "5", "6")
	sink, err := c.Sink(t.Context(), leads, schema.Load{Mode: schema.Delete, Header: b.Header, Warn: func(s string) { warned = append(warned, s) }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"the vendor warns: soon gone"}, warned); diff != "" {
		t.Error(diff)
	}
}

// TestPayloads shows what plan shows, without a connection.
func TestPayloads(t *testing.T) {
	for _, tt := range []struct {
		mode schema.Mode
		rows *record.Batch
		want string
	}{
		{schema.Delete, Table("id", "5"), `{"id":"5"}`},
		{schema.Update, Table("id|city|quality", "5|Dubai|~"), `{"lead":{"city":"Dubai","quality":null}}`},
		{schema.Patch, Table("id|status|mls.remove", "5|prospect|7;8"), `{"operations":[{"op":"replace","path":"/status","value":"prospect"},{"op":"remove","path":"/assignment/mls","value":7},{"op":"remove","path":"/assignment/mls","value":8}]}`},
		{schema.Create, Table("mobile|fields.Pets", "+97150|two"), `{"lead":{"mobile":"+97150","fields":{"Pets":"two"}}}`},
	} {
		p, err := Payloads(leads, schema.Load{Mode: tt.mode, Header: tt.rows.Header})
		if err != nil {
			t.Fatal(err)
		}
		got, err := p(nil, []*record.Row{&tt.rows.Rows[0]})
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %s, %v", tt.mode, got, err)
		}
	}
	for _, bad := range []schema.Load{{Mode: schema.Update, Header: record.LooseHeader([]string{"city"})}, {Mode: schema.Update, Header: record.LooseHeader([]string{"id"})},
		{Mode: schema.Patch, Header: record.LooseHeader([]string{"id", "city"})}, {Mode: schema.Upsert, Header: record.LooseHeader([]string{"city"})}, {Mode: schema.Upsert, Key: "city", Header: record.LooseHeader([]string{"city"})},
		{Mode: schema.Create, Header: record.LooseHeader([]string{"matching.count"})}, {Mode: schema.Create, Header: record.LooseHeader([]string{"nme"})}, {Mode: schema.Send, Header: record.LooseHeader([]string{"id"})}, {}} {
		if _, err := Payloads(leads, bad); err == nil {
			t.Errorf("%s of %v was taken", bad.Mode, bad.Header)
		}
	}
}
