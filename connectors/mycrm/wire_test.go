package mycrm

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

func wire(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "wire", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// connect opens a connection to a server that answers with handle; tokens are issued at /token-service.
func connect(t *testing.T, handle http.HandlerFunc, settings ...string) *Conn {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token-service" {
			_, _ = io.WriteString(w, `{"access_token":"the-token","token_type":"Bearer","expires_in":1800}`)
			return
		}
		handle(w, r)
	}))
	t.Cleanup(server.Close)
	set := map[string]string{"base_url": server.URL, "token_url": server.URL + "/token-service", "api_key": "key", "api_secret": "secret&1"}
	for i := 0; i < len(settings); i += 2 {
		set[settings[i]] = settings[i+1]
	}
	c, err := Open(schema.Connection{Name: "mycrm", Settings: set}, api.Env{Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	NoWaits(c)
	return c
}

// TestWireRequests holds what is sent against the requests in the vendor's own document, cleaned: where it contradicts
// itself, against the reading that this package takes.
func TestWireRequests(t *testing.T) {
	wishes := "|preference.locations|preference.types|preference.amenities|preference.offering_type|preference.from_price|preference.to_price|preference.from_size|preference.to_size|preference.from_bathroom|preference.to_bathroom|preference.from_bedroom|preference.to_bedroom"
	ops := "id|status|user|properties.add|properties.remove|mls.add|mls.remove"
	tests := []struct {
		name string
		mode schema.Mode
		rows *record.Batch
	}{
		{"create", schema.Create, Table("title|first_name|last_name|mobile|category|country|status|source|source_channel|financial"+wishes+"|notes|properties|fields.1|fields.Garden",
			"mr|Johnny|Trump|0478524147|residential|AE|prospect|offline|walkin|cash|are.2.15|2|1;2|sale|120000|125000|900|1200|2|3|2|3|My note|1;2;3|2 pets|TRUE")},
		{"update", schema.Update, Table("id|status|title|source|source_channel|financial", "35436|qualified|mr|offline|walkIn|cash")},
		{"delete", schema.Delete, Table("id", "35436")},
		{"patch", schema.Patch, Table(ops, "1|notYetContacted|2|3|1|112345|112345")},
		{"bulkpatch", schema.Patch, Table(ops, "1|notYetContacted|2|3|1|112345|112345", "2|prospect|-|-|-|-|-")},
		{"bulkdelete", schema.Delete, Table("id", "1", "2", "3")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			var header http.Header
			c := connect(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				switch {
				case r.Method == "GET" && r.URL.Path == "/fields":
					_, _ = io.WriteString(w, `{"fields":[{"id":1,"name":"Pets","type":"text"},{"id":3,"name":"Garden","type":"boolean"}]}`)
				case r.Method == "GET" && r.URL.Path == "/leads" && len(got) == 0:
					_, _ = io.WriteString(w, `{"count":3,"leads":[{"id":1},{"id":2},{"id":3}]}`)
				case r.Method == "GET" && r.URL.Path == "/leads":
					_, _ = io.WriteString(w, `{"count":0,"leads":[]}`)
				case r.Method == "GET":
					_, _ = io.WriteString(w, wire(t, "lead.json"))
				default:
					got = append(got, r.Method+" "+r.URL.Path+"\n"+string(body))
					header = r.Header
					if r.Method == "POST" || r.Method == "PUT" {
						_, _ = io.WriteString(w, wire(t, "lead.json"))
						return
					}
					w.WriteHeader(http.StatusNoContent)
				}
			}, "verify", "none")
			load := schema.Load{Mode: tt.mode, Header: tt.rows.Header, Options: map[string]bool{bulkDelete: tt.name == "bulkdelete"}}
			sink, err := c.Sink(t.Context(), leads, load, deliverytest.NewLedger(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := sink.Write(t.Context(), tt.rows); err != nil {
				t.Fatal(err)
			}
			for _, fate := range deliverytest.Fates(tt.rows) {
				if !strings.HasPrefix(fate, "accepted ") {
					t.Error(fate)
				}
			}
			if len(got) != 1 {
				t.Fatalf("%d calls: %q", len(got), got)
			}
			if diff := cmp.Diff(deliverytest.Request(t, wire(t, tt.name+".request")), deliverytest.Request(t, got[0])); diff != "" {
				t.Errorf("the request differs from the vendor's document (-document +sent):\n%s", diff)
			}
			if header.Get("Authorization") != "Bearer the-token" {
				t.Errorf("Authorization is %q", header.Get("Authorization"))
			}
			if strings.Contains(got[0], "{") && header.Get("Content-Type") != "application/json" {
				t.Errorf("Content-Type is %q", header.Get("Content-Type"))
			}
			if tt.name == "create" && tt.rows.Rows[0].ID != "35436" {
				t.Errorf("id %q", tt.rows.Rows[0].ID)
			}
		})
	}
}

// TestWireShapes writes a lead in the other ways that the document can be read.
func TestWireShapes(t *testing.T) {
	rows := Table("first_name|source_channel|preference.offering_type|preference.from_price|country", "Johnny|walkIn|sale|5|AE")
	for _, tt := range []struct {
		shape shape
		want  string
	}{
		{defaultShape(), `{"lead":{"first_name":"Johnny","country":"AE","source_channel":"walkIn","preference":{"offering_type":"sale","from_price":5},"offering_type":"sale"}}`},
		{shape{envelope: true, preference: "preferences", array: true, offering: "preference", channel: "channel"},
			`{"lead":{"first_name":"Johnny","country":"AE","channel":"walkIn","preferences":[{"offering_type":"sale","from_price":5}]}}`},
		{shape{preference: "preference", offering: "lead", channel: "both"},
			`{"first_name":"Johnny","country":"AE","channel":"walkIn","source_channel":"walkIn","preference":{"from_price":5},"offering_type":"sale"}`},
	} {
		l, err := newLayout(leads, schema.Load{Mode: schema.Create, Header: rows.Header}, tt.shape)
		if err != nil {
			t.Fatal(err)
		}
		d, err := l.draft(&rows.Rows[0])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, string(l.appendLead(nil, d, false))); diff != "" {
			t.Error(diff)
		}
	}
}

// drain reads a source to its end and returns the cells of some columns.
func drain(t *testing.T, src pipeline.Source, columns ...string) (rows [][]string, err error) {
	t.Helper()
	defer func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}()
	list, err := deliverytest.Rows(t.Context(), src)
	for _, r := range list {
		var cells []string
		for _, name := range columns {
			cells = append(cells, r.Values[src.Header().Index(name)].Cell())
		}
		rows = append(rows, cells)
	}
	return rows, err
}

// TestWireAnswers decodes the answers in the vendor's own document.
func TestWireAnswers(t *testing.T) {
	columns := []string{"id", "first_name", "last_name", "email", "mobile", "category", "country", "status", "financial", "time_frame", "user", "preference.types", "preference.locations", "preference.amenities",
		"preference.offering_type", "preference.from_price", "preference.to_bedroom", "preference.location_names", "preference.type_names", "preference.amenity_names", "fields.1", "fields.3", "created_at", "updated_at"}
	whole := []string{"35436", "Johnny", "Trump", "johnny.t@gmail.om", "0478524147", "residential", "UAE", "prospect", "", "0", "1", "2", "are.3.1200", "1", "", "120000", "3",
		"Wind Tower 1, Lake Almas West, Jumeirah Lake Towers, Dubai", "Apartment", "swimming pool", "2 pets", "TRUE", "2009-07-20T22:55:29Z", "2011-05-05T10:38:52Z"}
	short := func(id, name, place, price string) []string {
		row := make([]string, len(columns))
		row[0], row[1], row[12], row[15] = id, name, place, price
		if place != "" {
			row[17] = whole[17]
		}
		return row
	}
	tests := []struct {
		file    string
		query   schema.Query
		columns []string
		want    [][]string
	}{
		{"lead.json", schema.Query{ID: "35436"}, columns, [][]string{whole}},
		{"expanded.json", schema.Query{ID: "35436", Expand: true}, []string{"user", "user.first_name", "user.last_name", "notes"}, [][]string{{"1", "Jean", "Pac", "This is a note"}}},
		{"leads.json", schema.Query{}, columns, [][]string{short("223443", "Johnny", "", ""), short("8678530", "James", "are.3.1200", "120000")}},
		{"leads.json", schema.Query{Raw: true}, []string{"record"}, [][]string{{`{"id":223443,"first_name":"Johnny","preferences":[]}`}, {compactLead(t)}}},
	}
	for _, tt := range tests {
		c := connect(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/fields":
				_, _ = io.WriteString(w, `[{"id":3,"name":"Garden","type":"boolean"},{"id":1,"name":"Pets","type":"text"}]`)
			case r.URL.Path == "/leads" && r.URL.Query().Get("page") != "1":
				_, _ = io.WriteString(w, `{"leads":[]}`)
			default:
				if want := map[bool]string{true: "true"}[tt.query.Expand]; r.Header.Get("X-MyCRM-Expand-Data") != want {
					t.Errorf("X-MyCRM-Expand-Data is %q", r.Header.Get("X-MyCRM-Expand-Data"))
				}
				_, _ = io.WriteString(w, wire(t, tt.file))
			}
		})
		src, err := c.Source(t.Context(), leads, tt.query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := drain(t, src, tt.columns...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.file, diff)
		}
	}
}

func compactLead(t *testing.T) string {
	p, err := parsePage([]byte(wire(t, "leads.json")))
	if err != nil {
		t.Fatal(err)
	}
	text := string(p.leads[1])
	for _, cut := range []string{"\n", "        ", "      ", "    "} {
		text = strings.ReplaceAll(text, cut, "")
	}
	return strings.NewReplacer(`": `, `":`, `, "`, `,"`).Replace(text)
}

// TestWireFilters holds the addresses of lists against the document's curl examples, cleaned of their typos.
func TestWireFilters(t *testing.T) {
	f := func(name, value string) schema.Condition { return schema.Condition{Name: name, Value: value} }
	tests := []struct {
		query schema.Query
		want  string
		warns int
	}{
		{schema.Query{Filters: []schema.Condition{f("client", "1")}}, "filters[client]=1&page=1&per_page=100&sort=id&sort_order=ASC", 1},
		{schema.Query{Filters: []schema.Condition{f("property_fields.1", "test"), f("lead_fields.2", "test")}}, "filters[lead_fields][2]=test&filters[property_fields][1]=test&page=1&per_page=100&sort=id&sort_order=ASC", 0},
		{schema.Query{Filters: []schema.Condition{f("status", "Not yet contacted"), f("wishlist.category", "Residential"), f("mortgage_status", "preapproved"), f("[created][to]", " 2017-01-01 ")}},
			"filters[created][to]=2017-01-01&filters[mortgage_status]=pre-approved&filters[status]=notYetContacted&filters[wishlist][category]=residential&page=1&per_page=100&sort=id&sort_order=ASC", 1},
		{schema.Query{Sort: "id", Desc: true}, "page=1&per_page=100&sort=id&sort_order=DESC", 0},
		{schema.Query{Sort: "last_name", Filters: []schema.Condition{f("created.from", "2016-01-01"), f("created.to", "2017-01-01"), f("updated", "current_month")}},
			"filters[created][from]=2016-01-01&filters[created][to]=2017-01-01&filters[updated]=current_month&page=1&per_page=100&sort=last_name&sort_order=ASC", 1},
		{schema.Query{Filters: []schema.Condition{f("wishlist.locations", "are.1.1;are.1.2"), f("legal_representative.name", "shi sha"), f("odd[key][x]", "1")}},
			"filters[legal_representative][name]=shi sha&filters[odd][key][x]=1&filters[wishlist][locations][0]=are.1.1&filters[wishlist][locations][1]=are.1.2&page=1&per_page=100&sort=id&sort_order=ASC", 1},
	}
	for _, tt := range tests {
		var got string
		warned := 0
		c := connect(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/leads" {
				var list []string
				for k, v := range r.URL.Query() {
					list = append(list, k+"="+v[0])
				}
				slices.Sort(list)
				got = strings.Join(list, "&")
			}
			_, _ = io.WriteString(w, `{"count":0,"leads":[],"fields":[]}`)
		})
		tt.query.Warn = func(string) { warned++ }
		src, err := c.Source(t.Context(), leads, tt.query)
		if err != nil {
			t.Fatal(err)
		}
		if rows, err := drain(t, src); err != nil || len(rows) != 0 {
			t.Error(rows, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Error(diff)
		}
		if warned != tt.warns {
			t.Errorf("%d warnings, want %d", warned, tt.warns)
		}
	}
	c := connect(t, func(http.ResponseWriter, *http.Request) { t.Error("a call was made") })
	for _, bad := range [][3]string{{"status", "prospekt", "did you mean prospect?"}, {"source", "web", "socialMedia"}, {"financial", "loan", "mortgage"}, {"quality", "best", "excellent"}, {"mortgage_status", "no", "in-process"},
		{"wishlist.category", "flat", "commercial"}, {"wishlist[category]", "", "commercial"}, {"created.from", "01/02/2016", "2016-01-31"}, {"updated[to]", "today", "2016-01-31"}, {"passport_expire.to", "2016-02-30", "2016-01-31"}, {"time_frame_from.from", "", "2016-01-31"}} {
		_, err := c.Source(t.Context(), leads, schema.Query{Filters: []schema.Condition{f(bad[0], bad[1])}})
		var known *api.Error
		if err == nil || errors.As(err, &known) || !strings.Contains(err.Error(), bad[2]) || !strings.Contains(err.Error(), bad[0]) {
			t.Errorf("filter %s=%s: error %v", bad[0], bad[1], err)
		}
	}
	for _, bad := range []schema.Query{{Sort: "firstname"}, {ID: "*"}, {ID: "5/../6"}, {Search: "x"}, {ID: "5", Sort: "id"}, {Filters: []schema.Condition{f("", "x")}}} {
		if _, err := c.Source(t.Context(), leads, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
