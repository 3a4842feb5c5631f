package mapmycustomers

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

func wire(t testing.TB, name string) string { return string(readWire(t, name)) }

func readWire(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "wire", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const pdf = "%PDF-1.4\nan attachment"

// TestWireRequests holds what is sent against the requests in the vendor's own document.
func TestWireRequests(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "lead.pdf"), []byte(pdf), 0o600); err != nil {
		t.Fatal(err)
	}
	group := func(b *record.Batch) *record.Batch {
		for i := range b.Rows {
			b.Rows[i].Group = 1
		}
		return b
	}
	tests := []struct {
		name, object string
		mode         schema.Mode
		rows         *record.Batch
		answer       string
	}{
		{"create", customers, schema.Create, table("name|company|address|city|state|notes|file", "xyz|abc|6399 ridge road|sharon center|ohio|good lead should call again|lead.pdf"), `{"message":"Object created."}`},
		{"update", customers, schema.Update, table("id|name|company|address|city|state", "rSOUoiTGTh|xyz|abc|6399 ridge road|sharon center|ohio"), `{"message":"Customer with objectid rSOUoiTGTh successfully updated."}`},
		{"delete", customers, schema.Delete, table("id", "rSOUoiTGTh"), `{"message":"Customer deleted with objectid rSOUoiTGTh."}`},
		{"route", routes, schema.Create, group(table("routeName|customerId", "my-route-name|Amy5CnIySf", "my-route-name|Nk3vFYz1gJ")), `{"message":"Object created."}`},
		{"customfields", customfields, schema.Update, group(table("label|slot", "birthday|0", "socialStatus|1", "salesToDate|2")), `{"message":"User's custom fields successfully updated."}`},
		{"groups", groups, schema.Replace, group(table("group", "group1", "group2", "group3")), `{"message":"User's groups successfully updated."}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got string
			var header http.Header
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				switch {
				case r.URL.Path == "/api/v1/token":
					_, _ = io.WriteString(w, wire(t, "token.json"))
				case r.URL.Path == "/api/v1/user" && r.Method == "GET":
					_, _ = io.WriteString(w, `{"groups":["group3"]}`)
				case r.Method == "GET":
					_, _ = io.WriteString(w, wire(t, "customer.json"))
				default:
					got = r.Method + " " + strings.TrimPrefix(r.URL.Path, "/api/v1") + "\n" + string(body)
					header = r.Header
					_, _ = io.WriteString(w, tt.answer)
				}
			}))
			defer server.Close()
			f := &fake{t: t, url: server.URL}
			sink, err := f.connect().Sink(t.Context(), tt.object, schema.Load{Mode: tt.mode, Header: tt.rows.Header, Attachments: folder, Yes: true}, deliverytest.NewLedger(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := sink.Write(t.Context(), tt.rows); err != nil {
				t.Fatal(err)
			}
			for _, fate := range fates(tt.rows) {
				if !strings.HasPrefix(fate, "accepted ") {
					t.Error(fate)
				}
			}
			want := strings.ReplaceAll(wire(t, tt.name+".request"), "$base64file", base64.StdEncoding.EncodeToString([]byte(pdf)))
			if diff := cmp.Diff(deliverytest.Request(t, want), deliverytest.Request(t, got)); diff != "" {
				t.Errorf("the request differs from the vendor's document (-document +sent):\n%s", diff)
			}
			if header.Get("Authorization") != "Bearer "+token(t) {
				t.Errorf("Authorization is %q", header.Get("Authorization"))
			}
			if body := len(deliverytest.Request(t, got)) > 1; body && header.Get("Content-Type") != "application/json" {
				t.Errorf("Content-Type is %q", header.Get("Content-Type"))
			}
		})
	}
}

func token(t *testing.T) string {
	var x struct{ Token string }
	if err := json.Unmarshal([]byte(wire(t, "token.json")), &x); err != nil {
		t.Fatal(err)
	}
	return x.Token
}

// TestWireAnswers decodes the answers in the vendor's own document.
func TestWireAnswers(t *testing.T) {
	customerRow := []string{"rSOUoiTGTh", "new5", "", "360 County Road S-22-779", "Pawleys Island", "South Carolina", "29585", "United States", "", "", "red", "SC;New Leads", "", "",
		"33.43213", "-79.13183", "2016-05-26T20:52:46Z", "3", "2016-06-17T00:49:42Z", "Visit Again", "", "", "", "", "", "", "", "", "", "", "2016-05-21T02:27:42Z", "2016-05-24T04:28:39Z"}
	east := "35.37376,-89.87562;35.20126,-87.02965;35.89256,-84.14553;34.00071,-81.03481;35.22709,-80.84313"
	tests := []struct {
		object, path, file string
		query              schema.Query
		want               [][]string
	}{
		{object: customers, path: "/customers", file: "customers.json", want: [][]string{customerRow}},
		{object: customers, path: "/customers/rSOUoiTGTh", file: "customer.json", query: schema.Query{ID: "rSOUoiTGTh"}, want: [][]string{customerRow}},
		{object: customers, path: "/customers/search/island", file: "customers.json", query: schema.Query{Search: "island"}, want: [][]string{customerRow}},
		{object: routes, path: "/routes", file: "routes.json", want: [][]string{
			{"h8e44x3Ope", "east half", east, "2016-05-06T23:32:06Z", "2016-05-25T00:47:46Z"},
			{"GuWxXoPS4P", "New Mexico", "35.692130,-105.939590", "2016-05-06T23:30:17Z", "2016-05-25T16:23:34Z"}}},
		{object: territories, path: "/territories", file: "territories.json", want: [][]string{
			{"h8e44x3Ope", "Southern Track", east, "2016-05-06T23:32:06Z", "2016-05-25T00:47:46Z"},
			{"GuWxXoPS4P", "New Leads", "35.692130,-105.939590", "2016-05-06T23:30:17Z", "2016-05-25T16:23:34Z"}}},
		{object: updates, path: "/updates", file: "updates.json", want: [][]string{
			{"jack@gmail.com", "", "import", "20 pins", "web", "2018-01-04T19:37:42Z"},
			{"test@tester.com", "jl9xPVuk6z", "addedNote", "Good chat with Jim about next steps.", "web", "2018-01-04T19:39:34Z"}}},
		{object: user, path: "/user", file: "user.json", want: [][]string{
			{"jack@gmail.com", "jack daniels", "432-456-7891", "50000", strings.Join(colours(), ";"), "500", "Ohio;Latest Finds;Pittsburgh", "", "Ohio", "2014-12-18T17:32:32Z", "2016-05-26T18:11:03Z"}}},
		{object: groups, path: "/user", file: "user.json", want: [][]string{{"Ohio"}, {"Latest Finds"}, {"Pittsburgh"}}},
	}
	for _, tt := range tests {
		t.Run(tt.object+tt.path, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/api/v1/token":
					_, _ = io.WriteString(w, wire(t, "token.json"))
				case "/api/v1" + tt.path:
					_, _ = io.WriteString(w, wire(t, tt.file))
				default:
					t.Errorf("a call to %s", r.URL.Path)
				}
			}))
			defer server.Close()
			f := &fake{t: t, url: server.URL}
			src, err := f.connect().Source(t.Context(), tt.object, tt.query)
			if err != nil {
				t.Fatal(err)
			}
			got, err := drain(t, src)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// drain reads a source to its end and returns its cells as a text file shows them.
func drain(t *testing.T, src pipeline.Source) (rows [][]string, err error) {
	t.Helper()
	defer func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}()
	c := &pipeline.Chunk{}
	line := int64(1)
	for {
		if err := src.Next(t.Context(), c); err != nil {
			if err == io.EOF {
				err = nil
			}
			return rows, err
		}
		if c.Line != line {
			t.Errorf("a chunk begins at record %d, want %d", c.Line, line)
		}
		b := &record.Batch{}
		if err := src.Decode(c, b); err != nil {
			return rows, err
		}
		for _, r := range b.Rows {
			var cells []string
			for _, v := range r.Values {
				cells = append(cells, v.Cell())
			}
			rows = append(rows, cells)
			line = r.Line + 1
		}
	}
}
