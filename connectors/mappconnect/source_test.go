package mappconnect

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/schema"
)

// export reads an object whose answer is body.
func export(t *testing.T, object, body string, q schema.Query) (rows [][]string, err error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := expOf(t, r.Header.Get(authHeader)); got < time.Now().Unix() {
			t.Errorf("the token expired at %d", got)
		}
		switch strings.TrimPrefix(r.URL.Path, "/charon/api/v1/integration/"+testID) {
		case "/ping":
			_, _ = io.WriteString(w, `{"pong":true}`)
		case lists[object]:
			_, _ = io.WriteString(w, body)
		default:
			t.Errorf("a call to %s", r.URL.Path)
		}
	}))
	defer server.Close()
	src, err := (&fake{t: t, url: server.URL}).connect().Source(t.Context(), object, q)
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }()
	rows = append(rows, src.Header().Names())
	list, err := deliverytest.Rows(t.Context(), src)
	for i, r := range list {
		if r.Line != int64(i+1) {
			t.Errorf("row %d has line %d", i+1, r.Line)
		}
		var cells []string
		for _, v := range r.Values {
			cells = append(cells, v.Cell())
		}
		rows = append(rows, cells)
	}
	return rows, err
}

func TestLists(t *testing.T) {
	head := []string{"id", "name"}
	tests := []struct {
		name, object, body string
		query              schema.Query
		want               [][]string
		bad                string
	}{
		{name: "groups", object: objGroups, body: `{"2324333335":"Customers","12":"Näwsletter","x":"?","00007":"seven","100":null}`,
			want: [][]string{head, {"00007", "seven"}, {"12", "Näwsletter"}, {"100", ""}, {"2324333335", "Customers"}, {"x", "?"}}},
		{name: "long ids", object: objMessages, body: "\xef\xbb\xbf {\"12345678901234567891\":\"b\",\"12345678901234567890\":\"a\"}", want: [][]string{head, {"12345678901234567890", "a"}, {"12345678901234567891", "b"}}},
		{name: "empty object", object: objPushMessages, body: `{}`, want: [][]string{head}},
		{name: "empty array", object: objSMSMessages, body: `[]`, want: [][]string{head}},
		{name: "null", object: objApps, body: `null`, want: [][]string{head}},
		{name: "array", object: objApps, body: `[{"id":20,"name":"b"},{"name":"a","id":"3"},{"id":12345678901234567890}]`, want: [][]string{head, {"3", "a"}, {"20", "b"}, {"12345678901234567890", ""}}},
		{name: "raw", object: objGroups, body: `{"12":"A \"b\""}`, query: schema.Query{Raw: true}, want: [][]string{{"record"}, {`{"id":"12","name":"A \"b\""}`}}},
		{name: "cut", object: objGroups, body: `{"12":"A",`, bad: "broken"},
		{name: "cut at the end", object: objGroups, body: `{"12":"A"`, bad: "cut off"},
		{name: "more", object: objGroups, body: `{"12":"A"}{}`, bad: "goes on"},
		{name: "text", object: objGroups, body: `"12"`, bad: "no list"},
		{name: "nothing", object: objGroups, body: ``, bad: "empty"},
		{name: "no ids", object: objGroups, body: `[{"name":"a"}]`, bad: "without an id"},
		{name: "connect", object: objConnect, body: `{"customersGroupId":12345678901234567,"name":"Shop","guestsGroupId":null,"more":{"a":[1]},"on":true}`,
			want: [][]string{{"customersGroupId", "name", "guestsGroupId", "more", "on"}, {"12345678901234567", "Shop", "", `{"a":[1]}`, "TRUE"}}},
		{name: "connect, nothing", object: objConnect, body: `{}`, want: [][]string{nil}},
		{name: "connect, raw", object: objConnect, body: `{"a":1}`, query: schema.Query{Raw: true}, want: [][]string{{"record"}, {`{"a":1}`}}},
		{name: "connect, a list", object: objConnect, body: `[]`, bad: "no JSON object"},
		{name: "contacts", object: objUser, bad: "can't be exported"},
		{name: "filter", object: objGroups, query: schema.Query{Filters: []schema.Condition{{Name: "a"}}}, bad: "no filters"},
		{name: "sort", object: objGroups, query: schema.Query{Sort: "id"}, bad: "no sorting"},
		{name: "id", object: objGroups, query: schema.Query{ID: "1"}, bad: "by id"},
		{name: "search", object: objGroups, query: schema.Query{Search: "1"}, bad: "no search"},
		{name: "expand", object: objGroups, query: schema.Query{Expand: true}, bad: "expand"},
		{name: "since", object: objGroups, query: schema.Query{Since: time.Unix(0, 0)}, bad: "--since"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := export(t, tt.object, tt.body, tt.query)
			if tt.bad != "" {
				if err == nil || !strings.Contains(err.Error(), tt.bad) {
					t.Errorf("error = %v, want one with %q", err, tt.bad)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestExportAuth(t *testing.T) {
	f := newFake(t)
	f.ping = func(int) string { return "401 no" }
	if _, err := f.connect().Source(t.Context(), objGroups, schema.Query{}); classOf(err) != api.Auth {
		t.Errorf("error = %v", err)
	}
}
