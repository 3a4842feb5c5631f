package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/google/go-cmp/cmp"
)

// desk calls a simulator without a network, with a clock that stands still until it is moved.
type desk struct {
	*Simulator
	t      *testing.T
	now    time.Time
	token  string
	expand string
}

func newDesk(t *testing.T, o room.Options, k Knobs) *desk {
	t.Helper()
	d := &desk{t: t, now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), token: "sandbox-static-token"}
	if o.Now == nil {
		o.Now = func() time.Time { return d.now }
	}
	s, err := NewWith(o, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	d.Simulator = s
	return d
}

// set replaces the fault rules.
func (d *desk) set(text string) {
	d.t.Helper()
	if err := d.SetFaults(sandboxtest.Faults(d.t, text)); err != nil {
		d.t.Fatal(err)
	}
}

// call sends a request as a client should, a second after the last.
func (d *desk) call(method, path, body string) *httptest.ResponseRecorder {
	d.t.Helper()
	d.now = d.now.Add(time.Second)
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("User-Agent", "test")
	r.Header.Set("Authorization", "Bearer "+d.token)
	if d.expand != "" {
		r.Header.Set(expandHeader, d.expand)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

// good calls and wants the status.
func (d *desk) good(status int, method, path, body string) string {
	d.t.Helper()
	w := d.call(method, path, body)
	if w.Code != status {
		d.t.Fatalf("%s %s %s: %d %s", method, path, body, w.Code, w.Body)
	}
	return w.Body.String()
}

// create makes a lead out of the usual one and members that replace or add to its own.
func (d *desk) create(members string) string {
	d.t.Helper()
	return inner(d.t, inner(d.t, d.good(d.knobs.CreateStatus, "POST", "/leads", leadBody(d.t, members)), "lead"), "id")
}

// ids lists leads.
func (d *desk) ids(query string) string {
	d.t.Helper()
	return idsOf(d.t, d.good(200, "GET", "/leads?"+query, ""))
}

// kept is a lead as the store has it.
func (d *desk) kept(id string) string {
	d.t.Helper()
	doc, ok, err := d.Store.Get(kindLeads, id)
	if err != nil || !ok {
		d.t.Fatalf("lead %s: %v, %v", id, ok, err)
	}
	return string(doc)
}

const (
	usualWish = `{"types":[2],"locations":["are.2.15"],"from_price":100,"to_price":200,"offering_type":"sale","amenities":[]}`
	usual     = `{"title":"mr","first_name":"Ada","last_name":"Low","mobile":"+971501234567","category":"residential","country":"AE",` +
		`"status":"prospect","source":"offline","source_channel":"walkIn","financial":"cash","preference":` + usualWish + `}`
)

// edited replaces members of a JSON object, or adds them; those that are "-" go.
func edited(t *testing.T, doc, members string) string {
	t.Helper()
	var old, changes map[string]json.RawMessage
	if err := json.Unmarshal([]byte(doc), &old); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{`+members+`}`), &changes); err != nil {
		t.Fatalf("%s: %v", members, err)
	}
	for name, v := range changes {
		if string(v) == `"-"` {
			delete(old, name)
		} else {
			old[name] = v
		}
	}
	b, err := room.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func leadBody(t *testing.T, members string) string {
	return `{"lead":` + edited(t, usual, members) + `}`
}

func wishBody(t *testing.T, members string) string {
	return leadBody(t, `"preference":`+edited(t, usualWish, members))
}

// refused are the fields that an answer complains about.
func refused(t *testing.T, body string) string {
	t.Helper()
	var e struct{ Errors map[string][]string }
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	var out []string
	for name, all := range e.Errors {
		for _, one := range all {
			out = append(out, name+": "+one)
		}
	}
	if len(out) != 1 {
		return fmt.Sprint(len(out), " errors ", body)
	}
	return out[0]
}

// TestMandatory leaves out, nulls and blanks each field.
func TestMandatory(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	fields := strings.Fields("title first_name last_name mobile category country status source source_channel financial preference " +
		"preference.types preference.locations preference.from_price preference.to_price preference.offering_type preference.amenities")
	id := d.create("")
	for _, method := range []string{"POST", "PUT"} {
		path := "/leads"
		if method == "PUT" {
			path += "/" + id
		}
		for _, name := range fields {
			for _, with := range []string{`"-"`, `null`} {
				body := leadBody(t, fmt.Sprintf("%q:%s", name, with))
				if wish, ok := strings.CutPrefix(name, "preference."); ok {
					body = wishBody(t, fmt.Sprintf("%q:%s", wish, with))
				}
				w := d.call(method, path, body)
				if got := refused(t, w.Body.String()); w.Code != 400 || got != name+": is required" {
					t.Errorf("%s without %s (%s): %d %s", method, name, with, w.Code, w.Body)
				}
			}
		}
		for _, name := range []string{"first_name", "last_name", "mobile", "country"} {
			w := d.call(method, path, leadBody(t, fmt.Sprintf(`%q:" \t"`, name)))
			if got := refused(t, w.Body.String()); w.Code != 400 || got != name+": can't be blank" {
				t.Errorf("%s with blank %s: %d %s", method, name, w.Code, w.Body)
			}
		}
	}
	w := d.call("POST", "/leads", `{"lead":{}}`)
	var all struct{ Errors map[string][]string }
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil || len(all.Errors) != 11 {
		t.Errorf("nothing: %s", w.Body)
	}
	if len(d.Ledger().Writes) != 1 {
		t.Errorf("%d writes", len(d.Ledger().Writes))
	}
	d.set("set mandatory=lenient")
	w = d.call("POST", "/leads", `{"lead":{"last_name":"x","channel":"walkIn","preferences":[{"from_price":1}]}}`)
	covers(t, "lenient", `{"last_name":"x","first_name":null,"source_channel":"walkIn","preferences":[{"from_price":1,"types":[]}]}`, inner(t, w.Body.String(), "lead"))
	if w := d.call("POST", "/leads", `{"lead":{"status":"new"}}`); w.Code != 400 {
		t.Errorf("lenient with a bad status: %d", w.Code)
	}
}

func TestCreateRules(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct{ members, wrong, warning string }{
		{``, ``, ``},
		{`"title":"Mr"`, `title: "Mr" is none of mr, ms, miss, mrs`, ``},
		{`"title":7`, `title: want a string`, ``},
		{`"status":"new"`, `status: "new" is none of notYetContacted,`, ``},
		{`"category":"land"`, `category: "land" is none of`, ``},
		{`"source":"Portal"`, `source: "Portal" is none of`, ``},
		{`"financial":""`, `financial: "" is none of`, ``},
		{`"quality":"bad"`, `quality: "bad" is none of`, ``},
		{`"mortgage_status":"done"`, `mortgage_status: "done" is none of`, ``},
		{`"time_frame":"4"`, `time_frame: "4" is none of`, ``},
		{`"time_frame":1`, `time_frame: want a string`, ``},
		{`"time_frame":"1-3","quality":"hot","mortgage_status":"in-process"`, ``, ``},
		{`"quality":null,"middle_name":null,"email":null`, ``, ``},
		{`"mobile":971501234567`, `mobile: want a string`, ``},
		{`"country":"UAE"`, ``, ``},
		{`"source_channel":"tv"`, `source_channel: "tv" is none of`, ``},
		{`"source_channel":"bayut"`, ``, `source_channel bayut is no channel of offline`},
		{`"source":"other","source_channel":"A friend"`, ``, ``},
		{`"channel":"bayut"`, ``, ``}, // the document's name in a read
		{`"source_channel":"-","channel":"walkIn"`, `source_channel: is required`, ``},
		{`"user":3`, ``, ``},
		{`"user":null`, ``, ``},
		{`"user":"3"`, `user: want the id of a user`, ``},
		{`"user":{"id":3}`, `user: want the id of a user`, ``},
		{`"user":99`, `user: there is no user 99`, ``},
		{`"notes":[{"body":"a"},{"body":"b"}],"properties":[]`, ``, ``},
		{`"notes":"a"`, `notes: want an array`, ``},
		{`"notes":["a"]`, `notes.0: want an object`, ``},
		{`"notes":[{"text":"a"}]`, `notes.0.body: is required`, `"notes.0.text" is unknown and was ignored`},
		{`"properties":["1"]`, `properties: want an array of ids`, ``},
		{`"properties":1`, `properties: want an array of ids`, ``},
		{`"shoe_size":44,"bank":"HSBC"`, ``, `"bank" is unknown and was ignored; "shoe_size" is unknown and was ignored`},
		{`"First_Name":"x"`, ``, `"First_Name" is unknown and was ignored`},
		{`"é\n":"x"`, ``, `"\u00e9\n" is unknown and was ignored`},
		{`"created_at":"2009-07-20T22:55:29Z","matching":{}`, ``, `created_at is read-only and was ignored; matching is read-only and was ignored`},
		{`"preference":[` + usualWish + `]`, ``, ``},
		{`"preference":[]`, `preference: want an object, or an array of one`, ``},
		{`"preference":[` + usualWish + `,` + usualWish + `]`, `preference: want an object, or an array of one`, ``},
		{`"preference":"sale"`, `preference: want an object, or an array of one`, ``},
		{`"preferences":` + usualWish, ``, `preferences is unknown and was ignored`},
		{`"preference":"-","preferences":` + usualWish, `preference: is required`, `preferences is unknown and was ignored`},
		{`"offering_type":"rent"`, ``, `offering_type is rent, preference.offering_type is sale and counts`},
		{`"offering_type":"buy"`, `offering_type: want one of sale, rent`, ``},
		{`"fields":{"1":"2 pets","3":true,"4":"2026-11-22","5":"a@b.example","6":"+33","7":"https://x.example/","8":1.50}`, ``, ``},
		{`"fields":[]`, ``, ``},
		{`"fields":{}`, ``, ``},
		{`"fields":null`, ``, ``},
		{`"fields":["2 pets"]`, `fields: want an object`, ``},
		{`"fields":{"1":2}`, `fields.1: want a string`, ``},
		{`"fields":{"3":"true"}`, `fields.3: want true or false`, ``},
		{`"fields":{"4":"22/11/2026"}`, `fields.4: want a day`, ``},
		{`"fields":{"4":"2026-02-30"}`, `fields.4: want a day`, ``},
		{`"fields":{"5":"a.example"}`, `fields.5: want an e-mail address`, ``},
		{`"fields":{"7":"x.example"}`, `fields.7: want an http or https address`, ``},
		{`"fields":{"8":"1.5"}`, `fields.8: want a number`, ``},
		{`"fields":{"99":"x","21":"sea","01":"x"}`, ``, `"fields.99" is unknown and was ignored; "fields.21" is unknown and was ignored; "fields.01" is unknown and was ignored`},
		{`"address":"` + long + `"`, ``, ``},
	} {
		d := newDesk(t, room.Options{}, Knobs{})
		body := leadBody(t, c.members)
		if strings.Contains(c.members, "fields.99") || strings.Contains(c.members, `"99"`) {
			body = strings.Replace(leadBody(t, ""), `{"lead":{`, `{"lead":{`+c.members+`,`, 1) // in this order
		}
		w := d.call("POST", "/leads", body)
		short := c.members[:min(len(c.members), 100)]
		if got := w.Header().Get(warningHeader); got != c.warning {
			t.Errorf("%s: warning %s, want %s", short, got, c.warning)
		}
		if c.wrong == "" {
			if w.Code != 200 || d.Store.Len(kindLeads) != 1 || len(d.Ledger().Writes) != 1 {
				t.Errorf("%s: %d %.200s", short, w.Code, w.Body)
			}
			continue
		}
		if got := refused(t, w.Body.String()); w.Code != 400 || !strings.HasPrefix(got, c.wrong) || d.Store.Len(kindLeads) != 0 {
			t.Errorf("%s: %d %s, want %s", short, w.Code, got, c.wrong)
		}
	}
}

func TestWishRules(t *testing.T) {
	for members, wrong := range map[string]string{
		`"from_size":900,"to_size":null,"from_bathroom":0`: "",
		`"types":[2,7]`:                                "",
		`"types":2`:                                    "types: want an array",
		`"types":["2"]`:                                "types: want an array",
		`"types":[0]`:                                  "types: want an array",
		`"types":[{"id":2}]`:                           "types: want an array",
		`"types":[]`:                                   "types: want at least one",
		`"locations":[]`:                               "locations: want at least one",
		`"locations":["are.3.1200","are.9.9.9"]`:       "",
		`"locations":"are.2.15"`:                       "locations: want an array",
		`"locations":["Dubai"]`:                        "locations: want an array",
		`"locations":["are."]`:                         "locations: want an array",
		`"locations":[{"id":"are.2.15"}]`:              "locations: want an array",
		`"from_price":"100"`:                           "from_price: want a whole number",
		`"from_price":100.0`:                           "from_price: want a whole number",
		`"to_bedroom":1.5`:                             "to_bedroom: want a whole number",
		`"amenities":[1,2]`:                            "",
		`"amenities":["swimming pool"]`:                "amenities: want an array",
		`"offering_type":"residential"`:                "offering_type: want one of sale, rent",
		`"offering_type":7`:                            "offering_type: want one of sale, rent",
		`"from_price":9999999999999,"to_price":-1`:     "",
		`"from_price":99999999999999999999`:            "from_price: want a whole number",
		`"category":"residential"`:                     "",
		`"id":"1"`:                                     "",
		`"offering_type":"rent"`:                       "",
		`"types":[2],"types_":[1],"from_price":100000`: "",
	} {
		d := newDesk(t, room.Options{}, Knobs{})
		w := d.call("POST", "/leads", wishBody(t, members))
		if wrong == "" {
			if w.Code != 200 {
				t.Errorf("%s: %d %s", members, w.Code, w.Body)
			}
		} else if got := refused(t, w.Body.String()); w.Code != 400 || !strings.HasPrefix(got, "preference."+wrong) {
			t.Errorf("%s: %d %s, want %s", members, w.Code, got, wrong)
		}
	}
}

// TestBodies sends what is no lead in an envelope.
func TestBodies(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	for body, want := range map[string]struct {
		status int
		says   string
	}{
		``:                                     {415, "application/json"},
		`{`:                                    {400, "JSON"},
		usual:                                  {400, `{"errors":{"lead":["is required"]}}`},
		`{"lead":null}`:                        {400, `"lead":["the body is not a JSON object"]`},
		`{"lead":[` + usual + `]}`:             {400, `"lead":["the body is not a JSON object"]`},
		`[` + usual + `]`:                      {400, "not a JSON object"},
		`{"lead":` + usual + `,}`:              {400, "JSON"},
		`{"lead":` + usual + `} // a comment`:  {400, "JSON"},
		`{"lead":{"title":"mr","title":"ms"}}`: {400, "twice"},
		"{\"lead\":{\"first_name\":\"\xff\"}}": {400, "UTF-8"},
		`{"lead":` + usual + `,"x":1}`:         {200, `"id":1001`},
		strings.Repeat(" ", 16<<20) + "{}":     {413, "too large"},
	} {
		w := d.call("POST", "/leads", body)
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.says) {
			t.Errorf("%.60s: %d %s", body, w.Code, w.Body)
		}
	}
	r := httptest.NewRequest("POST", "/leads", strings.NewReader(leadBody(t, "")))
	r.Header.Set("User-Agent", "test")
	r.Header.Set("Authorization", "Bearer "+d.token)
	r.Header.Set("Content-Type", "text/plain")
	w := httptest.NewRecorder()
	if d.ServeHTTP(w, r); w.Code != 415 {
		t.Errorf("text/plain: %d", w.Code)
	}
}

// TestManyWarnings: a header has an end.
func TestManyWarnings(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	var members []string
	for i := range 50 {
		members = append(members, fmt.Sprintf(`"x%02d":1`, i))
	}
	w := d.call("POST", "/leads", leadBody(t, strings.Join(members, ",")))
	got := strings.Split(w.Header().Get(warningHeader), "; ")
	if w.Code != 200 || len(got) != 20 || got[18] != `"x18" is unknown and was ignored` || got[19] != "and more" {
		t.Errorf("%d %q", w.Code, got)
	}
}

// TestText carries what spreadsheets break: it comes back as it was sent.
func TestText(t *testing.T) {
	d := newDesk(t, room.Options{Dir: t.TempDir()}, Knobs{})
	id := d.create(`"first_name":"Zoë \"Z\" <O'Brien> & عمر 😀","mobile":"0478524147","pobox":"00115","address":"a\nb\tc\\d\u2028\u0000","fields":{"1":" ,\"kept\":{ ","8":0.10},"notes":[{"body":",\"kept\":{}"}]`)
	got := inner(t, d.good(200, "GET", "/leads/"+id, ""), "lead")
	var l lead
	if err := json.Unmarshal([]byte(got), &l); err != nil {
		t.Fatal(err)
	}
	if value(l.FirstName) != `Zoë "Z" <O'Brien> & عمر 😀` || value(l.Mobile) != "0478524147" || value(l.Pobox) != "00115" || value(l.Address) != "a\nb\tc\\d\u2028\x00" || string(l.Fields["8"]) != "0.10" || string(l.Fields["1"]) != `" ,\"kept\":{ "` {
		t.Errorf("got %s", got)
	}
	if strings.Contains(got, "notes") || strings.Contains(got, "category\":\"residential\",\"notes") {
		t.Errorf("a read shows what it should not: %s", got)
	}
}

func TestPut(t *testing.T) {
	const before = `"pobox":"15109","email":"a@b.example","quality":"hot","user":3,"fields":{"1":"2 pets","3":true},"notes":[{"body":"first"}],"properties":[1,2]`
	kept := `"kept":{"notes":[{"id":1,"body":"first"}],"properties":[1,2],"mls":[]}`
	for _, c := range []struct {
		knobs   Knobs
		members string // "": an update that names one field only
		status  int
		want    string
	}{
		{Knobs{}, `"first_name":"Bob"`, 200, `{"first_name":"Bob","pobox":null,"email":null,"quality":null,"user":{"id":1},"fields":{},` + kept + `}`},
		{Knobs{}, `"user":null,"fields":{"1":null,"3":false},"properties":[],"notes":[{"id":1,"body":"changed"},{"body":"second"},{"id":77,"body":"third"}]`, 200,
			`{"user":null,"fields":{"3":false},"kept":{"notes":[{"id":1,"body":"changed"},{"id":2,"body":"second"},{"id":3,"body":"third"}],"properties":[]}}`},
		{Knobs{PutLists: replace}, `"pobox":"1"`, 200, `{"kept":{"notes":[],"properties":[]}}`},
		{Knobs{PutLists: replace}, `"notes":[{"id":1,"body":"first"},{"body":"second"}]`, 200, `{"kept":{"notes":[{"id":2,"body":"first"},{"id":3,"body":"second"}],"properties":[]}}`},
		{Knobs{}, `"id":1001`, 200, `{}`},
		{Knobs{}, `"id":1002`, 400, ``},
		{Knobs{}, `"id":"1001"`, 400, ``},
		{Knobs{}, ``, 400, ``},
		{Knobs{PutMode: merge}, ``, 200, `{"first_name":"Cy","pobox":"15109","email":"a@b.example","user":{"id":3},"fields":{"1":"2 pets","3":true},"preferences":[{"from_price":100}],` + kept + `}`},
		{Knobs{PutMode: merge}, `"email":null,"fields":{"1":null},"preference":{"from_price":150}`, 200, `{"email":null,"fields":{"3":true},"preferences":[{"from_price":150,"to_price":200,"offering_type":"sale"}]}`},
		{Knobs{PutMode: merge}, `"mobile":null`, 400, ``},
		{Knobs{PutMode: merge}, `"preference":null`, 400, ``},
		{Knobs{PutMode: merge}, `"preference":{"from_price":null}`, 400, ``},
		{Knobs{PutMode: merge}, `"preference":{"offering_type":null}`, 400, ``},
		{Knobs{PutMode: merge, Mandatory: lenient}, `"preference":null`, 200, `{"preferences":[],"amenities":[]}`},
	} {
		d := newDesk(t, room.Options{}, c.knobs)
		id := d.create(before)
		created := inner(t, d.kept(id), "created_at")
		body := leadBody(t, c.members)
		if c.members == "" {
			body = `{"lead":{"first_name":"Cy"}}`
		}
		old := d.kept(id)
		w := d.call("PUT", "/leads/"+id, body)
		if w.Code != c.status {
			t.Errorf("%+v %s: %d %s", c.knobs, c.members, w.Code, w.Body)
			continue
		}
		now := d.kept(id)
		if c.status != 200 {
			if now != old || len(d.Ledger().Writes) != 1 {
				t.Errorf("%s: changed to %s", c.members, now)
			}
			continue
		}
		covers(t, c.members, c.want, now)
		if inner(t, now, "created_at") != created || inner(t, now, "updated_at") != `"`+d.now.Format(time.RFC3339)+`"` {
			t.Errorf("dates of %s", now)
		}
		if got := inner(t, d.good(200, "GET", "/leads/"+id, ""), "lead"); got != inner(t, w.Body.String(), "lead") {
			t.Errorf("answered %s, read %s", w.Body, got)
		}
	}
}

// TestPutKeepsWhatItCantCarry: fields that no call can write outlive a full replacement.
func TestPutKeepsWhatItCantCarry(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	hold(t, d.Simulator, `{"id":7,"phone":"04","bank":"HSBC","passport_number":"RDR7800","legal_representative_email":"x@y.example","city":"Dubai","created_at":"2009-07-20T22:55:29Z","kept":{"mls":[5],"notes":[],"properties":[]}}`)
	d.good(200, "PUT", "/leads/7", leadBody(t, ""))
	covers(t, "after", `{"phone":"04","bank":"HSBC","passport_number":"RDR7800","legal_representative_email":"x@y.example","city":null,"created_at":"2009-07-20T22:55:29Z","kept":{"mls":[5]}}`, d.kept("7"))
}

func TestPatch(t *testing.T) {
	for _, c := range []struct {
		operations string
		status     int
		wrong      string
		want       string
	}{
		{`{"op":"replace","path":"/status","value":"qualified"}`, 204, "", `{"status":"qualified"}`},
		{`{"op":"replace","path":"/assignment/user","value":2}`, 204, "", `{"user":{"id":2}}`},
		{`{"op":"replace","path":"/assignment/user","value":"2"}`, 204, "", `{"user":{"id":2}}`},
		{`{"op":"add","path":"/assignment/property","value":"9"},{"op":"add","path":"/assignment/property","value":9},{"op":"remove","path":"/assignment/property","value":8}`, 204, "", `{"kept":{"properties":[9]}}`},
		{`{"op":"add","path":"/assignment/mls","value":112345}`, 204, "", `{"kept":{"mls":[112345]}}`},
		{`{"op":"replace","path":"/status","value":"new"}`, 400, "operations.0.value", ""},
		{`{"op":"replace","path":"/status","value":{"status":"qualified"}}`, 400, "operations.0.value", ""},
		{`{"op":"replace","path":"/status"}`, 400, "operations.0.value", ""},
		{`{"op":"add","path":"/status","value":"qualified"}`, 400, "operations.0.op", ""},
		{`{"path":"/status","value":"qualified"}`, 400, "operations.0.op", ""},
		{`{"op":"replace","path":"/status","value":"qualified"},{"op":"replace","path":"/assignment/user","value":99}`, 400, "operations.1.value", ""},
		{`{"op":"replace","path":"/assignment/user","value":2.5}`, 400, "operations.0.value", ""},
		{`{"op":"replace","path":"/assignment/property","value":1}`, 400, "operations.0.op", ""},
		{`{"op":"add","path":"/assignment/property","value":"x"}`, 400, "operations.0.value", ""},
		{`{"op":"add","path":"/assignment/property","value":0}`, 400, "operations.0.value", ""},
		{`{"op":"replace","path":"/1001/status","value":"qualified"}`, 400, "operations.0.path", ""},
		{`{"op":"replace","path":"/*/status","value":"qualified"}`, 400, "operations.0.path", ""},
		{`{"op":"replace","path":"/first_name","value":"x"}`, 400, "operations.0.path", ""},
		{`{"op":"replace","value":"x"}`, 400, "operations.0.path", ""},
		{`7`, 400, "operations.0", ""},
		{``, 400, "operations", ""},
	} {
		d := newDesk(t, room.Options{}, Knobs{})
		id := d.create("")
		before := d.kept(id)
		w := d.call("PATCH", "/leads/"+id, `{"operations":[`+c.operations+`]}`)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.operations, w.Code, w.Body)
			continue
		}
		if c.wrong == "" {
			covers(t, c.operations, c.want, d.kept(id))
			if inner(t, d.kept(id), "updated_at") == inner(t, before, "updated_at") || d.Ledger().Writes[1].ID != id {
				t.Errorf("%s: not noted", c.operations)
			}
		} else if got := refused(t, w.Body.String()); !strings.HasPrefix(got, c.wrong+": ") || d.kept(id) != before {
			t.Errorf("%s: %s", c.operations, got)
		}
	}
	d := newDesk(t, room.Options{}, Knobs{PatchPath: long})
	id := d.create("")
	for path, want := range map[string]int{"/" + id + "/status": 204, "/status": 400, "/*/status": 400, "/1002/status": 400} {
		if w := d.call("PATCH", "/leads/"+id, `{"operations":[{"op":"replace","path":"`+path+`","value":"qualified"}]}`); w.Code != want {
			t.Errorf("long: %s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, body := range []string{`{}`, `{"operations":null}`, `{"operations":{}}`, `[]`} {
		if w := d.call("PATCH", "/leads/"+id, body); w.Code != 400 {
			t.Errorf("%s: %d", body, w.Code)
		}
	}
	d.set("set max_operations=2")
	one := `{"op":"add","path":"/` + id + `/assignment/mls","value":1}`
	for n, want := range map[int]int{2: 204, 3: 400} {
		if w := d.call("PATCH", "/leads", `{"operations":[`+strings.TrimSuffix(strings.Repeat(one+",", n), ",")+`]}`); w.Code != want {
			t.Errorf("%d operations: %d %s", n, w.Code, w.Body)
		}
	}
}

func TestBulkPatch(t *testing.T) {
	status := func(path, v string) string {
		return `{"op":"replace","path":"` + path + `/status","value":"` + v + `"}`
	}
	for _, c := range []struct {
		loose      bool
		operations string
		code       int
		statuses   string // of the three leads
		ledger     string
	}{
		{false, status("/1001", "qualified") + "," + status("/1003", "notReady"), 204, "qualified prospect notReady", "1001,1003"},
		{false, status("/*", "qualified"), 204, "qualified qualified qualified", "*"},
		{false, status("/1002", "notReady") + "," + status("/*", "qualified"), 204, "qualified qualified qualified", "*"},
		{false, status("/1001", "qualified") + "," + status("/1001", "notReady"), 204, "notReady prospect prospect", "1001"},
		{false, status("/1001", "qualified") + "," + status("/77", "notReady"), 400, "prospect prospect prospect", ""},
		{false, status("/1001", "qualified") + "," + status("/1002", "new"), 400, "prospect prospect prospect", ""},
		{false, status("", "qualified"), 400, "prospect prospect prospect", ""},
		{false, status("/x", "qualified"), 400, "prospect prospect prospect", ""},
		{false, status("/01001", "qualified"), 400, "prospect prospect prospect", ""},
		{true, status("/1001", "qualified") + "," + status("/77", "notReady") + "," + status("/1002", "notReady"), 400, "qualified prospect prospect", "1001"},
		{true, status("/1001", "qualified") + "," + status("/1002", "new") + "," + status("/1003", "notReady"), 400, "qualified prospect prospect", "1001"},
		{true, status("/77", "qualified") + "," + status("/1001", "notReady"), 400, "prospect prospect prospect", ""},
		{true, status("/1001", "new"), 400, "prospect prospect prospect", ""},
		{true, status("/1001", "qualified"), 204, "qualified prospect prospect", "1001"},
	} {
		d := newDesk(t, room.Options{}, Knobs{BulkLoose: c.loose})
		ids := []string{d.create(""), d.create(""), d.create("")}
		w := d.call("PATCH", "/leads", `{"operations":[`+c.operations+`]}`)
		var got []string
		for _, id := range ids {
			got = append(got, strings.Trim(inner(t, d.kept(id), "status"), `"`))
		}
		noted := ""
		if writes := d.Ledger().Writes; len(writes) > 3 {
			noted = writes[3].ID
		}
		if w.Code != c.code || strings.Join(got, " ") != c.statuses || noted != c.ledger {
			t.Errorf("%s: %d %s, ledger %q, %s", c.operations, w.Code, got, noted, w.Body)
		}
		if q := d.ids("filters[status]=qualified"); len(strings.Fields(q)) != strings.Count(c.statuses, "qualified") {
			t.Errorf("%s: the index has %s", c.operations, q)
		}
	}
}

// TestDeleteAll is the vendor's most dangerous call.
func TestDeleteAll(t *testing.T) {
	for _, c := range []struct {
		body    string
		dropped bool
		status  int
		left    string
		ledger  string
	}{
		{``, false, 204, "", "*"},
		{`{}`, false, 204, "", "*"},
		{`{"leads":[]}`, false, 204, "", "*"},
		{`{"leads":null}`, false, 204, "", "*"},
		{`{"lead":[1001]}`, false, 204, "", "*"},
		{`{"leads":[1001,1003]}`, false, 204, "1002", "1001,1003"},
		{`{"leads":[1002,77]}`, false, 204, "1001 1003", "1002,77"},
		{`{"leads":["1001"]}`, false, 400, "1001 1002 1003", ""},
		{`{"leads":1001}`, false, 400, "1001 1002 1003", ""},
		{`[1001]`, false, 400, "1001 1002 1003", ""},
		{`{"leads":[1001,]}`, false, 400, "1001 1002 1003", ""},
		{`{"leads":[1001]}`, true, 204, "", "*"},
		{`{"leads":[1001,]}`, true, 204, "", "*"},
	} {
		d := newDesk(t, room.Options{Dir: t.TempDir()}, Knobs{DroppedBodies: c.dropped})
		for range 3 {
			d.create("")
		}
		w := d.call("DELETE", "/leads", c.body)
		noted := ""
		if writes := d.Ledger().Writes; len(writes) > 3 {
			noted = writes[3].ID
		}
		if left := d.ids(""); w.Code != c.status || left != c.left || noted != c.ledger || d.Store.Len(kindLeads) != len(strings.Fields(left)) {
			t.Errorf("%s, dropped %v: %d, left %q, ledger %q", c.body, c.dropped, w.Code, left, noted)
		}
		// Other bodies are not touched.
		if c.dropped {
			d.create("")
			d.good(204, "DELETE", "/leads/1004", "")
		}
		if id := d.create(""); id <= "1003" {
			t.Errorf("%s: id %s was given twice", c.body, id)
		}
	}
}

func TestDeletePaths(t *testing.T) {
	for _, c := range []struct {
		knobs                Knobs
		plural, singular     int
		allowPlural, allowed string
	}{
		{Knobs{}, 204, 204, "", ""},
		{Knobs{DeletePath: plural}, 204, 404, "", ""},
		{Knobs{DeletePath: singular}, 404, 204, "", ""},
		{Knobs{DeletePath: plural, MissingDelete: 405}, 204, 405, "", ""},
		{Knobs{DeletePath: singular, MissingDelete: 405}, 405, 204, "GET, PATCH, PUT", ""},
	} {
		d := newDesk(t, room.Options{}, c.knobs)
		a, b := d.create(""), d.create("")
		p, s := d.call("DELETE", "/leads/"+a, ""), d.call("DELETE", "/lead/"+b, "")
		if p.Code != c.plural || s.Code != c.singular || p.Header().Get("Allow") != c.allowPlural || p.Body.Len() > 0 != (c.plural >= 400) {
			t.Errorf("%+v: %d %v, %d", c.knobs, p.Code, p.Header(), s.Code)
		}
	}
	d := newDesk(t, room.Options{}, Knobs{})
	for _, id := range []string{"77", "x", "01", "1.0", "%31"} {
		want := 404
		for _, call := range [][2]string{{"GET", ""}, {"DELETE", ""}, {"PUT", leadBody(t, "")}, {"PATCH", `{"operations":[{"op":"replace","path":"/status","value":"prospect"}]}`}} {
			if w := d.call(call[0], "/leads/"+id, call[1]); w.Code != want {
				t.Errorf("%s /leads/%s: %d %s", call[0], id, w.Code, w.Body)
			}
		}
	}
	if len(d.Ledger().Writes) != 0 {
		t.Errorf("ledger %+v", d.Ledger().Writes)
	}
}

func TestPathsAndMethods(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	d.create("")
	for path, allow := range map[string]string{
		"/leads": "DELETE, GET, PATCH, POST", "/leads/1001": "DELETE, GET, PATCH, PUT", "/lead/1001": "DELETE", "/fields": "GET", "/locations": "GET",
		"/users/1": "GET", "/token": "POST", tokenPath: "POST",
		"/leads/": "", "/lead": "", "/lead/1/2": "", "/users": "", "/": "", "/properties": "", "//leads": "", "/api/leads": "",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			if strings.Contains(allow, method) {
				continue
			}
			want := 405
			if allow == "" {
				want = 404
			}
			if w := d.call(method, path, ""); w.Code != want || w.Header().Get("Allow") != allow {
				t.Errorf("%s %s: %d, Allow %q", method, path, w.Code, w.Header().Get("Allow"))
			}
		}
	}
}

func TestExpand(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	id := d.create(`"user":2,"notes":[{"body":"hello"}]`)
	full := `{"user":{"id":2,"first_name":"Aisha","last_name":"Al Mansoori","email":"agent2@agency.example"}}`
	for header, want := range map[string][2]bool{
		"": {}, "false": {}, "0": {}, "true": {true, true}, "1": {true, true}, "user": {true, false}, "notes": {false, true}, "user, notes": {true, true}, "all": {true, true},
	} {
		d.expand = header
		for _, doc := range []string{inner(t, d.good(200, "GET", "/leads/"+id, ""), "lead"), sandboxtest.Elements(t, inner(t, d.good(200, "GET", "/leads", ""), "leads"))[0]} {
			if want[0] {
				covers(t, header, full, doc)
			} else if inner(t, doc, "user") != `{"id":2}` {
				t.Errorf("%q: %s", header, doc)
			}
			if want[1] {
				covers(t, header, `{"notes":[{"id":1,"body":"hello","created_at":"2026-11-22T10:00:01Z"}]}`, doc)
			} else if strings.Contains(doc, `"notes"`) {
				t.Errorf("%q: %s", header, doc)
			}
			if strings.Contains(doc, `"kept"`) {
				t.Errorf("%q: %s", header, doc)
			}
		}
	}
	d.expand = "true"
	d.good(200, "PUT", "/leads/"+id, leadBody(t, `"user":null`))
	covers(t, "no user", `{"user":null}`, inner(t, d.good(200, "GET", "/leads/"+id, ""), "lead"))
}

func TestLookups(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	for query, want := range map[string]string{
		"": "", "filters[resource]=": "", "filters[resource]=leads": "", "filters[resource][]=lead": "", "filters=lead": "",
		"filters[resource]=lead": "1 2 3 4 5 6 7 8", "filters%5Bresource%5D=property": "21 22", "filters[resource]=user": "empty",
	} {
		w := d.call("GET", "/fields?"+query, "")
		if want == "" {
			if w.Code != 400 || !strings.Contains(w.Body.String(), "filters.resource") {
				t.Errorf("%s: %d %s", query, w.Code, w.Body)
			}
			continue
		}
		var ids []string
		for _, f := range sandboxtest.Elements(t, inner(t, w.Body.String(), "fields")) {
			ids = append(ids, inner(t, f, "id"))
		}
		if got := strings.Join(ids, " "); got != want && want != "empty" || want == "empty" && got != "" {
			t.Errorf("%s: %s", query, got)
		}
	}
	covers(t, "field", `{"id":3,"resource":"lead","name":"Pets allowed","description":"","type":"boolean","mandatory":false,"restricted":false}`,
		sandboxtest.Elements(t, inner(t, d.good(200, "GET", "/fields?filters[resource]=lead", ""), "fields"))[2])

	for term, want := range map[string]int{"": 13, "marina": 4, "MARINA": 4, "jumeirah": 3, "wind tower 1": 1, "nowhere": 0, "Lake Almas West": 2} {
		body := d.good(200, "GET", "/locations?"+url.Values{"filters[string]": {term}}.Encode(), "")
		if got := len(sandboxtest.Elements(t, inner(t, body, "location"))); got != want || inner(t, body, "count") != strconv.Itoa(want) {
			t.Errorf("%q: %s", term, body)
		}
	}
	body := d.good(200, "GET", "/locations?page=2&per_page=10", "")
	if len(sandboxtest.Elements(t, inner(t, body, "location"))) != 3 || inner(t, body, "count") != "13" {
		t.Errorf("page 2: %s", body)
	}
	covers(t, "user", `{"user":{"id":1,"public":{"first_name":"Jean","last_name":"Pac","email":"agent1@agency.example"}}}`, d.good(200, "GET", "/users/1", ""))
	for _, id := range []string{"0", "11", "x"} {
		d.good(404, "GET", "/users/"+id, "")
	}
}

// TestTables: the channels are those of the document, in its order, and nothing made up can't be sent.
func TestTables(t *testing.T) {
	want := strings.Fields(`callTracking sms email bayut dubizzle gulfNews justProperty justRentals otherPortal facebook twitter google linkedIn
		otherSocialMedia ourWebsite emailMarketing onlineMarketing otherOnline phone print outdoor expo walkIn referral otherOffline`)
	if diff := cmp.Diff(want, channels()); diff != "" {
		t.Error(diff)
	}
	for _, l := range locations() {
		if !locationID.MatchString(l.ID) {
			t.Errorf("location %s", l.ID)
		}
	}
}
