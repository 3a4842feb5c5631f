package sandbox

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/google/go-cmp/cmp"
)

// exchange is one example of the vendor's document, mended: a line of the form METHOD PATH or a curl line, headers, an empty
// line, then JSON: the request's body or, for a GET, the answer. What is not the document's has a + before it.
type exchange struct {
	method, target string
	header         http.Header
	json           string
	theirs         []string // the lines that the document has
}

func readExchange(t *testing.T, name string) exchange {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "wire", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	e := exchange{header: http.Header{}}
	var text strings.Builder
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		own := strings.HasPrefix(line, "+")
		line = strings.TrimPrefix(line, "+")
		if !own && strings.TrimSpace(line) != "" {
			e.theirs = append(e.theirs, line)
		}
		text.WriteString(line + "\n")
	}
	head, rest, _ := strings.Cut(text.String(), "\n\n")
	for i, line := range strings.Split(strings.TrimSpace(head), "\n") {
		if i > 0 {
			name, value, _ := strings.Cut(line, ": ")
			e.header.Set(name, value)
			continue
		}
		if url, ok := strings.CutPrefix(line, "$ curl -X GET '"); ok {
			e.method, e.target = "GET", strings.TrimPrefix(strings.TrimSuffix(url, "'"), "http://api-v2.mycrm.com")
			continue
		}
		e.method, e.target, _ = strings.Cut(line, " ")
	}
	e.json = rest
	return e
}

func exchanges(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/wire/*.txt")
	if err != nil || len(files) != 12 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".txt")
	}
	return files
}

// TestWireIsTheDocuments finds each line of the examples in the document.
func TestWireIsTheDocuments(t *testing.T) {
	doc := sandboxtest.Document(t, "002_*.txt")
	lines := map[string]bool{}
	for line := range strings.Lines(string(doc)) {
		lines[strings.TrimSpace(line)] = true
	}
	for _, name := range exchanges(t) {
		for _, line := range readExchange(t, name).theirs {
			if !lines[strings.TrimSpace(line)] {
				t.Errorf("%s: the document does not have %q", name, line)
			}
		}
	}
}

// start serves a simulator and returns its base.
func start(t *testing.T, o room.Options, k Knobs) (s *Simulator, base string) {
	t.Helper()
	s, err := NewWith(o, k)
	if err != nil {
		t.Fatal(err)
	}
	return s, sandboxtest.Serve(t, Name, s)
}

// send plays an example over a connection.
func (e exchange) send(t *testing.T, base string) (*http.Response, string) {
	t.Helper()
	body := ""
	if e.method != "GET" {
		body = e.json
	}
	r, err := http.NewRequestWithContext(t.Context(), e.method, base+e.target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range e.header {
		r.Header[name] = values
	}
	r.Header.Set("Authorization", "Bearer sandbox-static-token")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	a, answer, err := sandboxtest.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return a, answer
}

// hold puts leads into the store, given as the document shows them.
func hold(t *testing.T, s *Simulator, docs ...string) {
	t.Helper()
	err := s.change(nil, func(e *edit) (string, error) {
		for _, doc := range docs {
			l := newLead()
			if err := json.Unmarshal([]byte(doc), l); err != nil {
				return "", err
			}
			var more struct {
				Channel *string
				Notes   []note
			}
			if err := json.Unmarshal([]byte(doc), &more); err != nil {
				return "", err
			}
			if l.SourceChannel == nil {
				l.SourceChannel = more.Channel
			}
			l.Kept.Notes = append(l.Kept.Notes, more.Notes...)
			l.Matching = matchingOf(l.ID)
			e.put(l)
		}
		return "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// inner is what stands below a name in a JSON object.
func inner(t *testing.T, doc, name string) string {
	t.Helper()
	members, err := room.ParseObject([]byte(doc))
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	for _, m := range members {
		if m.Name == name {
			return string(m.Value)
		}
	}
	t.Fatalf("no %s in %s", name, doc)
	return ""
}

// covers wants every member of the sample in the answer, with the same value, down to the digits of numbers; the answer may
// have more members, and must have no more elements.
func covers(t *testing.T, where, sample, got string) {
	t.Helper()
	switch strings.TrimSpace(sample)[0] {
	case '{':
		members, err := room.ParseObject([]byte(sample))
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		for _, m := range members {
			covers(t, where+"."+m.Name, string(m.Value), inner(t, got, m.Name))
		}
	case '[':
		want, have := sandboxtest.Elements(t, sample), sandboxtest.Elements(t, got)
		if len(want) != len(have) {
			t.Errorf("%s: %s, want %s", where, got, sample)
			return
		}
		for i := range want {
			covers(t, where, want[i], have[i])
		}
	default:
		if sample != got {
			t.Errorf("%s: %s, want %s", where, got, sample)
		}
	}
}

// documented are the names of a lead's members that the document has in its table of a read or in its sample, and then
// those that only a public client's type of real answers has.
var (
	documented = strings.Fields(`id user title first_name middle_name last_name email mobile address pobox city country status
		quality financial mortgage_status source channel preferences time_frame created_at updated_at matching amenities fields`)
	observed = strings.Fields(`phone source_channel bank passport_number passport_expiry_date legal_representative_first_name
		legal_representative_last_name legal_representative_email legal_representative_mobile legal_representative_phone`)
)

func names(t *testing.T, doc string) []string {
	t.Helper()
	members, err := room.ParseObject([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range members {
		out = append(out, m.Name)
	}
	return out
}

// TestWireReads plays the document's reads against an account that has the document's leads, and wants the document's
// answers.
func TestWireReads(t *testing.T) {
	for _, name := range []string{"04-lead", "05-expanded", "06-leads"} {
		// Three things of the sample are not what real answers are thought to be: the channel's name, a category for an offering
		// type.
		s, base := start(t, room.Options{}, Knobs{ChannelKey: keyChannel, ReadOfferingType: keyCategory})
		e := readExchange(t, name)
		if name == "06-leads" {
			hold(t, s, sandboxtest.Elements(t, inner(t, e.json, "leads"))...)
		} else {
			hold(t, s, inner(t, e.json, "lead"))
		}
		if name == "04-lead" {
			// What the sample shows as an offering type is kept as the category.
			category := "residential"
			err := s.change(nil, func(e *edit) (string, error) {
				l, err := e.get(35436)
				if err == nil {
					l.Kept.Category = &category
					e.put(l)
				}
				return "", err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		a, body := e.send(t, base)
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json" || a.Header.Get(warningHeader) != "" {
			t.Errorf("%s: %d %v", name, a.StatusCode, a.Header)
		}
		covers(t, name, e.json, body)
		if name == "04-lead" {
			got := names(t, inner(t, body, "lead"))
			want := slices.Concat(documented, observed)
			want = slices.DeleteFunc(want, func(n string) bool { return n == "source_channel" })
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
	}
}

// TestWireQueries plays the document's curl lines.
func TestWireQueries(t *testing.T) {
	s, base := start(t, room.Options{}, Knobs{})
	hold(t, s,
		`{"id":1,"first_name":"a","fields":{"2":"Test of this"},"kept":{"properties":[3],"notes":[],"mls":[]}}`,
		`{"id":2,"first_name":"b","fields":{"2":"test"}}`,
		`{"id":3,"first_name":"c"}`)
	for name, want := range map[string]struct{ ids, warning string }{
		"01-client":        {"1 2 3", `"filters.client" is unknown and was ignored`},
		"02-custom-fields": {"1 2", `"filters.property_fields.1" is unknown and was ignored`}, // 1 is a field of leads here
		"03-sort":          {"3 2 1", ""},
	} {
		a, body := readExchange(t, name).send(t, base)
		if got := idsOf(t, body); a.StatusCode != 200 || got != want.ids || a.Header.Get(warningHeader) != want.warning {
			t.Errorf("%s: %d, leads %s, warning %q", name, a.StatusCode, got, a.Header.Get(warningHeader))
		}
	}
}

// idsOf lists the ids of a list.
func idsOf(t *testing.T, body string) string {
	t.Helper()
	var list struct{ Leads []struct{ ID json.Number } }
	if err := json.Unmarshal([]byte(body), &list); err != nil || list.Leads == nil {
		t.Fatalf("no leads in %s: %v", body, err)
	}
	out := make([]string, len(list.Leads))
	for i, l := range list.Leads {
		out[i] = l.ID.String()
	}
	return strings.Join(out, " ")
}

// TestWireWrites plays the document's writes one after the other.
func TestWireWrites(t *testing.T) {
	s, base := start(t, room.Options{}, Knobs{})
	e := readExchange(t, "07-create")
	a, body := e.send(t, base)
	if a.StatusCode != 200 || a.Header.Get(warningHeader) != "id is read-only and was ignored" {
		t.Fatalf("create: %d %v %s", a.StatusCode, a.Header, body)
	}
	made := inner(t, body, "lead")
	covers(t, "created", `{"id":1001,"first_name":"Johnny","source_channel":"walkIn","user":{"id":1},"amenities":[{"id":1,"name":"swimming pool"},{"id":2}],
		"preferences":[{"locations":[{"id":"are.2.15","community":"Dubai Marina","tower":null}],"from_price":120000,"to_price":125000,
		"from_size":900,"to_size":1200,"from_bathroom":2,"to_bathroom":3,"from_bedroom":2,"to_bedroom":3,"offering_type":"sale",
		"types":[{"id":2,"name":"Apartment","category":"residential"}]}]}`, made)
	doc, _, err := s.Store.Get(kindLeads, "1001")
	if err != nil {
		t.Fatal(err)
	}
	covers(t, "kept", `{"kept":{"category":"residential","notes":[{"id":1,"body":"My note"}],"properties":[1,2,3],"mls":[]}}`, string(doc))
	if _, again := (exchange{method: "GET", target: "/leads/1001"}).send(t, base); again != body {
		t.Errorf("read %s\ncreated %s", again, body)
	}

	// The sample's id is that of a lead that is there.
	hold(t, s, `{"id":223443,"first_name":"Old","pobox":"15109"}`, `{"id":1,"kept":{"properties":[1],"notes":[],"mls":[]}}`, `{"id":2}`, `{"id":3}`, `{"id":4}`)
	if a, body = readExchange(t, "08-update").send(t, base); a.StatusCode != 200 || a.Header.Get(warningHeader) != "" {
		t.Errorf("update: %d %v %s", a.StatusCode, a.Header, body)
	}
	covers(t, "updated", `{"id":223443,"first_name":"Johnny","pobox":null,"status":"qualified","preferences":[{"from_price":130000,"from_size":null,"offering_type":"sale"}],"amenities":[{"id":2}]}`, inner(t, body, "lead"))

	for _, name := range []string{"10-patch", "11-bulk-patch"} {
		if a, body = readExchange(t, name).send(t, base); a.StatusCode != 204 || body != "" {
			t.Errorf("%s: %d %s", name, a.StatusCode, body)
		}
		doc, _, err := s.Store.Get(kindLeads, "1")
		if err != nil {
			t.Fatal(err)
		}
		covers(t, name, `{"status":"notYetContacted","user":{"id":2},"kept":{"properties":[3],"mls":[]}}`, string(doc))
	}
	if a, body = readExchange(t, "12-bulk-delete").send(t, base); a.StatusCode != 204 || body != "" {
		t.Errorf("bulk delete: %d %s", a.StatusCode, body)
	}
	if a, body = readExchange(t, "09-delete").send(t, base); a.StatusCode != 204 || body != "" {
		t.Errorf("delete: %d %s", a.StatusCode, body)
	}
	if a, _ = readExchange(t, "09-delete").send(t, base); a.StatusCode != 404 {
		t.Errorf("deleted again: %d", a.StatusCode)
	}
	_, body = exchange{method: "GET", target: "/leads"}.send(t, base)
	if got := idsOf(t, body); got != "4 1001" {
		t.Errorf("left: %s", got)
	}
	var ledger bytes.Buffer
	for _, w := range s.Ledger().Writes {
		ledger.WriteString(w.Method + " " + w.Path + " " + w.ID + "\n")
	}
	want := "POST /leads 1001\nPUT /leads/223443 223443\nPATCH /leads/1 1\nPATCH /leads 1\nDELETE /leads 1,2,3\nDELETE /lead/223443 223443\n"
	if diff := cmp.Diff(want, ledger.String()); diff != "" {
		t.Error(diff)
	}
}
