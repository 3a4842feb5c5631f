package lunarsend

import (
	"encoding/json"
	"errors"
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

func wire(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "wire", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// answering is a vendor that gives one answer and keeps the last request.
type answering struct {
	answer string
	got    string
	header http.Header
}

func (a *answering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.got = r.Method + " " + strings.TrimPrefix(r.URL.RequestURI(), "/api") + "\n" + string(body)
	a.header = r.Header
	_, _ = io.WriteString(w, a.answer)
}

func (a *answering) connect(t *testing.T, settings ...string) *Conn {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	f := &fake{t: t, url: server.URL}
	return f.connect(settings...)
}

const johnHeader = "first_name|last_name|email|phone|company|job_title|notes"
const johnRow = "John|Doe|johndoe@example.com|+1234567890|Example Inc.|Sales Manager|Interested in product demo"
const johnID, johnUUID = "12345678901234567890", "0b0c7a0e-5f0e-4f4a-9d51-2d6d3a8f9c01"

// TestWireRequests holds what is sent against the requests in the vendor's own document, and how its answers are taken.
func TestWireRequests(t *testing.T) {
	v2 := []string{"profile", "v2"}
	tests := []struct {
		request string
		mode    schema.Mode
		rows    *record.Batch
		set     []string
		answer  string
		want    string
	}{
		{"create.request", schema.Create, table(johnHeader, johnRow), nil, "id.json", "accepted created " + johnID},
		{"create.request", schema.Create, table(johnHeader, johnRow), nil, "contacts-2025.json", "accepted created " + johnID},
		{"edit.request", schema.Update, table("id|email|phone", johnID+"|example@example.com|1234567890"), []string{"phone_as", "integer"}, "id.json", "accepted updated " + johnID},
		{"edit-snake.request", schema.Update, table("id|email|phone", johnID+"|example@example.com|1234567890"), []string{"phone_as", "auto", "edit_naming", "snake"}, "id.json", "accepted updated " + johnID},
		{"delete.request", schema.Delete, table("id", johnID), nil, "deleted.txt", "accepted deleted " + johnID},
		{"delete.request", schema.Delete, table("id", johnID), nil, "deleted.json", "accepted deleted " + johnID},
		{"v2-create.request", schema.Create, table(johnHeader, johnRow), v2, "v2-create.json", "accepted created " + johnUUID},
		{"v2-create.request", schema.Create, table(johnHeader, johnRow), v2, "v2-create-error.json", "rejected email:vendor"},
		{"v2-edit.request", schema.Update, table("id|email", johnUUID+"|example@example.com"), v2, "v2-edit.json", "accepted updated " + johnUUID},
		{"v2-edit.request", schema.Update, table("id|email", johnUUID+"|example@example.com"), v2, "v2-edit-error.json", "rejected " + johnUUID + " id:not_found"},
	}
	for _, tt := range tests {
		t.Run(tt.request+" "+tt.answer, func(t *testing.T) {
			a := &answering{answer: wire(t, tt.answer)}
			c := a.connect(t, tt.set...)
			if _, err := write(t, c, schema.Load{Mode: tt.mode}, tt.rows); err != nil {
				t.Fatal(err)
			}
			if got := fates(tt.rows)[0]; got != tt.want {
				t.Errorf("the row is %s, want %s", got, tt.want)
			}
			if diff := cmp.Diff(deliverytest.Request(t, wire(t, tt.request)), deliverytest.Request(t, a.got)); diff != "" {
				t.Errorf("the request differs from the vendor's document (-document +sent):\n%s", diff)
			}
			for name, want := range map[string]string{"X-Api-Key": "secret&1", "Content-Type": "application/json", "User-Agent": "crmetl"} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestWireSearch searches as the document shows, and decodes the answers.
func TestWireSearch(t *testing.T) {
	only := map[string]string{"id": johnID}
	full := map[string]string{"id": johnID, "first_name": "John", "last_name": "Doe", "email": "johndoe@example.com", "company": "Example Inc.", "phone": "+1234567890",
		"job_title": "Sales Manager", "notes": "Interested in product demo", "name": "John Doe", "user_id": "42", "owner": "Jane Roe", "created_at": "2025-06-30T09:00:00Z"}
	v2 := map[string]string{"id": johnUUID, "first_name": "John", "last_name": "Doe", "email": "johndoe@example.com", "company": "Example Inc.", "phone": "+1234567890",
		"name": "John Doe", "user_id": "42", "owner": "Jane Roe", "last_activity": "2025-11-01", "tags": "VIP;Newsletter"}
	tests := []struct {
		request, answer string
		set             []string
		want            map[string]string
	}{
		{"read.request", "id.json", nil, only},
		{"read-body.request", "id.json", []string{"search_transport", "body"}, only},
		{"read.request", "contacts-2025.json", nil, full},
		{"v2-search.request", "v2-search.json", []string{"profile", "v2"}, v2},
	}
	for _, tt := range tests {
		t.Run(tt.request+" "+tt.answer, func(t *testing.T) {
			a := &answering{answer: wire(t, tt.answer)}
			src, err := a.connect(t, tt.set...).Source(t.Context(), contacts, schema.Query{Terms: []string{"company=Example Inc."}})
			if err != nil {
				t.Fatal(err)
			}
			rows, err := drain(t, src)
			if err != nil || len(rows) != 1 {
				t.Fatalf("%d rows, %v", len(rows), err)
			}
			if diff := cmp.Diff(tt.want, rows[0]); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(deliverytest.Request(t, wire(t, tt.request)), deliverytest.Request(t, a.got)); diff != "" {
				t.Errorf("the request differs from the vendor's document (-document +sent):\n%s", diff)
			}
		})
	}
}

// drain reads a source to its end; a row has the cells that are not empty.
func drain(t *testing.T, src pipeline.Source) (rows []map[string]string, err error) {
	t.Helper()
	defer func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}()
	c := &pipeline.Chunk{}
	for line := int64(1); ; {
		if err := src.Next(t.Context(), c); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return rows, err
		}
		if c.Line != line {
			t.Errorf("a chunk begins at contact %d, want %d", c.Line, line)
		}
		b := &record.Batch{}
		if err := src.Decode(c, b); err != nil {
			return rows, err
		}
		for _, r := range b.Rows {
			row := map[string]string{}
			for i, v := range r.Values {
				if !v.IsEmpty() {
					row[src.Header().Name(i)] = v.Cell()
				}
			}
			rows = append(rows, row)
			line = r.Line + 1
		}
	}
}

// TestParse reads the shapes that answers have, or might have.
func TestParse(t *testing.T) {
	tests := []struct {
		body   string
		ids    string // with commas
		single bool
		bad    bool
	}{
		{body: "", ids: ""},
		{body: "null"}, {body: "{}"}, {body: "[]"}, {body: `{"data":[]}`}, {body: `{"data":null}`}, {body: `{"message":"no contacts"}`},
		{body: `{"id":"1"}`, ids: "1", single: true},
		{body: "\ufeff {\"id\":12345678901234567890}", ids: "12345678901234567890", single: true},
		{body: `{"contact_id":"1"}`, ids: "1", single: true},
		{body: `{"contactID":"1"}`, ids: "1", single: true},
		{body: `{"data":{"id":"1"}}`, ids: "1", single: true},
		{body: `[{"id":"1"},{"id":2}]`, ids: "1,2"},
		{body: `{"data":[{"id":"1"}]}`, ids: "1"},
		{body: `[{"status":"success","data":{"id":"1"}}]`, ids: "1"},
		{body: `[{"success":true,"data":{"contact_id":"1"}}]`, ids: "1"},
		{body: `[{"status":"error","error":"no"}]`, ids: "!no"},
		{body: `[{"success":false,"error":"bad","message":"worse"}]`, ids: "!worse (bad)"},
		{body: `["12345678901234567890"]`, ids: "12345678901234567890"},
		{body: `"12345678901234567890"`, ids: "12345678901234567890", single: true},
		{body: `"successful"`, bad: true},
		{body: `{"first_name":"Ada"}`, bad: true},
		{body: `{"id":"1`, bad: true},
		{body: `thank you`, bad: true},
		{body: strings.Repeat("[", 20) + strings.Repeat("]", 20), bad: true},
	}
	for _, tt := range tests {
		a, err := parse([]byte(tt.body))
		var ids []string
		for _, e := range a.elements {
			if e.refusal != "" {
				e.id = "!" + e.refusal
			}
			ids = append(ids, e.id)
		}
		if (err != nil) != tt.bad || strings.Join(ids, ",") != tt.ids || a.single != tt.single {
			t.Errorf("%s: %v single %v, error %v", tt.body, ids, a.single, err)
		}
	}
}

// FuzzParse looks for answers that the parser chokes on, or out of which it makes contacts without ids.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"id.json", "contacts-2025.json", "v2-create.json", "v2-create-error.json", "v2-edit.json", "v2-search.json", "deleted.json"} {
		f.Add([]byte(wire(f, name)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := parse(body)
		if err != nil {
			return
		}
		for _, e := range a.elements {
			if e.id == "" && e.refusal == "" {
				t.Errorf("%q makes a contact without an id", body)
			}
			if !json.Valid(e.raw) && e.refusal == "" {
				t.Errorf("%q: the contact %q is no JSON", body, e.raw)
			}
		}
	})
}
