package sandbox

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/google/go-cmp/cmp"
)

// gallery is leads that differ in everything that can be filtered or sorted by.
func gallery(t *testing.T, k Knobs) *desk {
	t.Helper()
	d := newDesk(t, room.Options{}, k) // the clock: Sunday, 2026-11-22
	wish := func(members string) string {
		return `[` + edited(t, `{"id":"1","locations":[],"types":[]}`, members) + `]`
	}
	hold(t, d.Simulator,
		`{"id":1,"user":{"id":1},"first_name":"David","last_name":"Park","email":"D.Park@x.example","mobile":"+971501111111","status":"prospect","source":"portal","source_channel":"dubizzle",
			"created_at":"2026-11-01T00:00:00Z","updated_at":"2026-11-21T23:59:59Z","financial":"cash","quality":"good","address":"JLT, Cluster D","pobox":"11987","city":"Dubai","country":"AE","time_frame":"3-6",
			"preferences":`+wish(`"locations":[{"id":"are.1.1"},{"id":"are.2.15"}],"from_price":60000,"to_price":900000,"from_size":300,"to_size":350,"from_bathroom":3,"to_bathroom":4,"from_bedroom":3,"to_bedroom":4,"types":[{"id":2,"name":"Apartment"}]`)+`,
			"fields":{"1":"Shi Tzu","3":true,"8":1.50},"kept":{"category":"residential","properties":[1],"notes":[],"mls":[]}}`,
		`{"id":2,"user":{"id":3},"first_name":"Élodie","last_name":"davidson","email":"e@x.example","mobile":"0478524147","status":"qualified","source":"other","source_channel":"A friend",
			"created_at":"2026-10-31T23:59:59Z","updated_at":"2026-11-22T09:00:00Z","financial":"mortgage","mortgage_status":"not-pre-approved","bank":"Emirates NBD","time_frame":"0",
			"passport_number":"RDR7800","passport_expiry_date":"2026-11-30","legal_representative_first_name":"Shi","legal_representative_last_name":"Sha","legal_representative_email":"shi.sha@gmail.com","legal_representative_mobile":"+33","legal_representative_phone":"04",
			"preferences":`+wish(`"from_price":10,"from_size":9,"types":[{"id":5,"name":"Office"}]`)+`,
			"fields":{"3":false,"8":10},"kept":{"category":"commercial","properties":[2,3],"notes":[],"mls":[]}}`,
		`{"id":3,"user":null,"first_name":"Zoë","last_name":null,"email":null,"mobile":"+971501111112","status":"prospect","source":"portal","source_channel":"bayut","created_at":"2016-01-01T00:00:00Z","updated_at":"2017-01-01T12:00:00Z","country":"ae"}`)
	return d
}

func TestFilters(t *testing.T) {
	d := gallery(t, Knobs{})
	for query, want := range map[string]string{
		"":                         "1 2 3",
		"filters[excluded_user]=3": "1 3", "filters[user]=3": "2", "filters[user]=9": "",
		"filters[id]=2": "2", "filters[id]=22": "",
		"filters[query]=david p": "1", "filters[query]=DAVID": "1 2", "filters[query]=2": "2 3", "filters[query]=park david": "1", "filters[query]=x.example": "1 2", "filters[query]=%2B9715": "1 3", "filters[query]=+9715": "",
		"filters[name]=david": "1 2", "filters[name]=ÉLODIE d": "2", "filters[name]=3": "", "filters[name]=zoë": "3",
		"filters[mobile]=0478524147": "2", "filters[mobile]=%2B97150111111": "1 3", "filters[mobile]=%2B971501111111": "1",
		"filters[status]=prospect": "1 3", "filters[source]=portal": "1 3", "filters[channel]=dubizzle": "1",
		"filters[source]=portal&filters[channel]=bayut": "3", "filters[source]=other&filters[channel]=A friend": "2", "filters[channel]=A friend": "2",
		"filters[created]=current_month": "1", "filters[created]=last_month": "2", "filters[created]=current_year": "1 2", "filters[created]=last_year": "",
		"filters[updated]=yesterday": "1", "filters[updated]=today": "2", "filters[updated]=current_week": "1 2", "filters[updated]=last_week": "",
		"filters[created][from]=2016-01-01&filters[created][to]=2017-01-01": "3", "filters[created][from]=2026-10-31": "1 2", "filters[created][to]=2026-10-31": "2 3",
		"filters[updated][to]=2017-01-01": "3", "filters[updated][to]=2016-12-31": "", "filters[updated][from]=2026-11-22": "2",
		"filters[property]=3": "2", "filters[property]=9": "",
		"filters[legal_representative][name]=shi sha": "2", "filters[legal_representative][name]=sha shi": "2", "filters[legal_representative][mobile]=33": "2", "filters[legal_representative][mobile]=04": "2", "filters[legal_representative][email]=SHI.SHA@": "2",
		"filters[passport]=rdr7800": "2", "filters[passport_expire]=current_month": "2", "filters[passport_expire][from]=2026-12-01": "",
		"filters[time_frame_from]=current_month": "", "filters[time_frame_from]=last_month": "2", "filters[time_frame_from][from]=2027-02-01&filters[time_frame_from][to]=2027-02-01": "1",
		"filters[financial]=mortgage": "2", "filters[mortgage_status]=not-pre-approved": "2", "filters[bank]=emirates nbd": "2", "filters[quality]=good": "1",
		"filters[address]=jlt": "1", "filters[pobox]=11987": "1", "filters[city]=dubai": "1", "filters[country]=AE": "1 3", "filters[country]=A": "",
		"filters[property_fields][21]=sea": "1", "filters[property_fields][22]=0": "2", "filters[property_fields][21]=test": "2",
		"filters[lead_fields][1]=shi": "1", "filters[lead_fields][3]=true": "1", "filters[lead_fields][3]=0": "2", "filters[lead_fields][8]=1.5": "1", "filters[lead_fields][8]=1e1": "2", "filters[lead_fields][8]=1e999999999": "", "filters[lead_fields][8]=x": "",
		"filters[wishlist][locations][]=are.2.15": "1", "filters[wishlist][locations][0]=are.9.9&filters[wishlist][locations][1]=are.1.1": "1", "filters[wishlist][locations]=are.1.1": "1", "filters[wishlist][locations][]=are.1": "",
		"filters[wishlist][from_price]=50000": "1", "filters[wishlist][to_price]=1000000": "1", "filters[wishlist][from_price]=10": "1 2", "filters[wishlist][from_size]=250&filters[wishlist][to_size]=400": "1",
		"filters[wishlist][from_bathroom]=3&filters[wishlist][to_bathroom]=5": "1", "filters[wishlist][from_bedroom]=3&filters[wishlist][to_bedroom]=5": "1", "filters[wishlist][from_bedroom]=4": "",
		"filters[wishlist][category]=commercial": "2", "filters[wishlist][types][]=2": "1", "filters[wishlist][types][]=2&filters[wishlist][types][]=5": "1 2",
		"filters[status]=prospect&filters[country]=AE&filters[wishlist][category]=residential": "1",
		"filters[user]=1&filters[user]=3": "2", // PHP takes the last
	} {
		if got := d.ids(strings.ReplaceAll(query, " ", "%20")); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	d.set("set text_match=exact")
	for query, want := range map[string]string{
		"filters[mobile]=%2B97150111111": "", "filters[mobile]=%2B971501111111": "1", "filters[query]=d.park@x.example": "1", "filters[name]=david": "1", "filters[name]=park": "1",
		"filters[name]=David Park": "1", "filters[city]=dub": "", "filters[bank]=emirates nbd": "2", "filters[address]=": "", "filters[query]=": "",
	} {
		if got := d.ids(strings.ReplaceAll(query, " ", "%20")); got != want {
			t.Errorf("exact: %s: %q, want %q", query, got, want)
		}
	}
}

// TestQueries that are wrong, and what is only unknown.
func TestQueries(t *testing.T) {
	d := gallery(t, Knobs{})
	for query, field := range map[string]string{
		"filters[status]=new": "filters.status", "filters[source]=x": "filters.source", "filters[user]=Jean": "filters.user", "filters[user][]=1": "filters.user",
		"filters[source]=portal&filters[channel]=facebook": "filters.channel", "filters[created]=next_month": "filters.created", "filters[created][from]=01/02/2016": "filters.created",
		"filters[created][since]=2016-01-01": "filters.created", "filters[created][from][]=2016-01-01": "filters.created", "filters[created][from]=2016-01-01T00:00:00Z": "filters.created",
		"filters[wishlist]=1": "filters.wishlist", "filters[wishlist][from_price]=x": "filters.wishlist.from_price", "filters[wishlist][category]=land": "filters.wishlist.category",
		"filters[wishlist][locations][a]=are.1.1": "filters.wishlist.locations", "filters[quality]=": "filters.quality",
		"page=0": "page", "page=-1": "page", "page=x": "page", "page[]=1": "page", "per_page=0": "per_page", "sort_order=UP": "sort_order", "sort[]=id": "sort",
	} {
		w := d.call("GET", "/leads?"+query, "")
		if got := refused(t, w.Body.String()); w.Code != 400 || !strings.HasPrefix(got, field+": ") {
			t.Errorf("%s: %d %s", query, w.Code, got)
		}
	}
	if w := d.call("GET", "/leads?a=%zz", ""); w.Code != 400 {
		t.Errorf("a broken query: %d", w.Code)
	}
	for query, name := range map[string]string{
		"filters[client]=1": "filters.client", "filters[wishlist][rooms]=1": "filters.wishlist.rooms", "filters[lead_fields][99]=x": "filters.lead_fields.99", "filters[lead_fields]['2']=x": "filters.lead_fields.'2'",
		"filters[legal_representative][fax]=1": "filters.legal_representative.fax", "limit=10": "limit", "$filters[lead_fields][2]=x": "$filters", "sort=city": "sort city", "filter[id]=1": "filter",
	} {
		d.set("")
		w := d.call("GET", "/leads?"+query, "")
		if got := w.Header().Get(warningHeader); w.Code != 200 || idsOf(t, w.Body.String()) != "1 2 3" || got != strconv.Quote(name)+" is unknown and was ignored" {
			t.Errorf("%s: %d, warning %s", query, w.Code, got)
		}
		d.set("set strict_filters=on")
		w = d.call("GET", "/leads?"+query, "")
		if got := refused(t, w.Body.String()); w.Code != 400 || got != name+": unknown" {
			t.Errorf("strict: %s: %d %s", query, w.Code, got)
		}
	}
}

func TestSplitName(t *testing.T) {
	for name, want := range map[string]string{
		"a": "a", "a[b]": "a|b", "a[b][c]": "a|b|c", "a[]": "a|", "a[b][]": "a|b|", "a[b": "a[b", "a]b": "a]b", "[b]": "[b]", "a[b]c": "a[b]c", "a[b[c]]": "a[b[c]]", "": "",
	} {
		if got := strings.Join(splitName(name), "|"); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestSorts(t *testing.T) {
	d := gallery(t, Knobs{})
	for name, want := range map[string]string{
		"id": "1 2 3", "last_name": "3 2 1", "email": "3 1 2", "mobile": "1 3 2", "user": "3 1 2", "status": "1 3 2", "created": "3 2 1",
		"size": "3 2 1", "type": "3 1 2", "time_frame": "3 2 1", "price": "3 2 1",
	} {
		for order, backwards := range map[string]bool{"": false, "&sort_order=ASC": false, "&sort_order=asc": false, "&sort_order=DESC": true, "&sort_order=desc": true} {
			ids := strings.Fields(want)
			if backwards {
				slices.Reverse(ids)
			}
			if got := d.ids("sort=" + name + order); got != strings.Join(ids, " ") {
				t.Errorf("sort=%s%s: %s, want %s", name, order, got, ids)
			}
		}
	}
	if got := d.ids("sort_order=DESC&filters[status]=prospect"); got != "3 1" {
		t.Errorf("filtered, backwards: %s", got)
	}
}

// pages follows the pages of a list to its end, as a client would that knows the count.
func (d *desk) pages(query string, per int) (ids []string, counts []string) {
	d.t.Helper()
	for page := 1; ; page++ {
		body := d.good(200, "GET", fmt.Sprintf("/leads?%s&page=%d&per_page=%d", query, page, per), "")
		got := strings.Fields(idsOf(d.t, body))
		counts = append(counts, inner(d.t, body, "count"))
		if len(got) == 0 {
			return ids, counts
		}
		ids = append(ids, got...)
	}
}

func TestPages(t *testing.T) {
	d := newDesk(t, room.Options{Seed: 250}, Knobs{})
	for _, c := range []struct {
		query, head string
		first, n    int
	}{
		{"", `{"count":250,"page":1,"per_page":100,"leads":[{"id":1001,`, 1001, 100},
		{"page=2", `{"count":250,"page":2,"per_page":100,"leads":[{"id":1101,`, 1101, 100},
		{"page=3", `{"count":250,"page":3,"per_page":100,"leads":[{"id":1201,`, 1201, 50},
		{"page=4", `{"count":250,"page":4,"per_page":100,"leads":[]}`, 0, 0},
		{"page=9223372036854775807", `{"count":250,"page":9223372036854775807,"per_page":100,"leads":[]}`, 0, 0},
		{"per_page=500", `{"count":250,"page":1,"per_page":100,`, 1001, 100},
		{"per_page=10&page=25", `{"count":250,"page":25,"per_page":10,`, 1241, 10},
		{"per_page=7&page=36", `{"count":250,"page":36,"per_page":7,`, 1246, 5},
		{"sort=id&sort_order=DESC&page=2", `{"count":250,"page":2,"per_page":100,`, 1150, 100},
		{"filters[query]=zzzz", `{"count":0,"page":1,"per_page":100,"leads":[]}`, 0, 0},
	} {
		body := d.good(200, "GET", "/leads?"+c.query, "")
		ids := strings.Fields(idsOf(t, body))
		if !strings.HasPrefix(body, c.head) || len(ids) != c.n || c.n > 0 && ids[0] != strconv.Itoa(c.first) {
			t.Errorf("%s: %d ids, %.100s", c.query, len(ids), body)
		}
	}
	for knobs, head := range map[string]string{
		"omit_page=on": `{"count":250,"leads":[{"id":1101,`, "omit_count=on": `{"page":2,"per_page":100,"leads":[{"id":1101,`, "omit_page=on omit_count=on": `{"leads":[{"id":1101,`,
		"ignore_page=on": `{"count":250,"page":1,"per_page":100,"leads":[{"id":1001,`, "default_per_page=20": `{"count":250,"page":2,"per_page":20,"leads":[{"id":1021,`,
		"max_per_page=30": `{"count":250,"page":2,"per_page":30,"leads":[{"id":1031,`,
	} {
		d.set("set " + knobs)
		if body := d.good(200, "GET", "/leads?page=2", ""); !strings.HasPrefix(body, head) {
			t.Errorf("%s: %.100s", knobs, body)
		}
	}
	d.set("set max_per_page=250 default_per_page=250")
	if got := strings.Fields(d.ids("")); len(got) != 250 {
		t.Errorf("per_page 250: %d", len(got))
	}
	d.set("")
	// Every sort goes through all leads once, and the found list is not kept beyond a change.
	for _, name := range sortNames {
		ids, _ := d.pages("sort="+name, 99)
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) != 250 {
			t.Errorf("sort=%s: %d leads", name, len(ids))
		}
	}
	d.ids("sort=created&sort_order=DESC")
	made := d.create("")
	if got := d.ids("sort=created&sort_order=DESC&per_page=1"); got != made {
		t.Errorf("after a create: %s", got)
	}
	d.good(204, "DELETE", "/leads/"+made, "")
	if got := d.ids("sort=created&sort_order=DESC&per_page=1"); got != "1250" {
		t.Errorf("after a delete: %s", got)
	}
}

// TestNamedIntervalsMove: a list that was found is not good for another day.
func TestNamedIntervalsMove(t *testing.T) {
	d := gallery(t, Knobs{})
	before := d.ids("filters[updated]=today")
	d.now = d.now.Add(24 * time.Hour)
	if got := d.ids("filters[updated]=yesterday"); got != before || d.ids("filters[updated]=today") != "" {
		t.Errorf("%q, yesterday %q", before, got)
	}
}

// TestChurn loses and doubles leads for a client that trusts pages.
func TestChurn(t *testing.T) {
	d := newDesk(t, room.Options{Seed: 50, Dir: t.TempDir()}, Knobs{})
	d.set("set churn=3")
	ids, counts := d.pages("sort=id&sort_order=ASC", 10)
	// 1010 goes before page 2, which therefore lacks 1011; 1000 comes in before page 3, which repeats what page 2 ended
	// with; the last of page 3 goes before page 4.
	var want []string
	for id := 1001; id <= 1050; id++ {
		switch id {
		case 1011, 1031:
			continue
		case 1021:
			want = append(want, "1021")
		}
		want = append(want, strconv.Itoa(id))
	}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"50", "49", "50", "49", "49", "49"}, counts); diff != "" {
		t.Error(diff)
	}
	again, _ := d.pages("sort=id", 10)
	if len(again) != 49 || again[0] != "1000" {
		t.Errorf("once it is over: %v", again)
	}
	if len(d.Ledger().Writes) != 0 {
		t.Errorf("others' changes are in the ledger: %v", d.Ledger().Writes)
	}
	d.set("set churn=1")
	if d.pages("", 10); d.Store.Len(kindLeads) != 48 {
		t.Errorf("set again: %d leads", d.Store.Len(kindLeads))
	}
	d.set("set churn=1")
	d.good(200, "GET", "/leads?page=2&filters[query]=zzzz", "")
	if d.Store.Len(kindLeads) != 48 {
		t.Error("an empty list lost a lead")
	}
}

func TestReadingKnobs(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	id := d.create("")
	read := func() string { return d.good(200, "GET", "/leads/"+id, "") }
	has := func(name string) bool { return slices.Contains(names(t, inner(t, read(), "lead")), name) }
	if !has("source_channel") || has("channel") || !strings.Contains(read(), `"fields":{}`) || !strings.Contains(read(), `"offering_type":"sale"`) {
		t.Errorf("as it is: %s", read())
	}
	d.set("set channel_key=channel")
	if has("source_channel") || !has("channel") || !strings.Contains(read(), `"channel":"walkIn"`) {
		t.Errorf("channel_key=channel: %s", read())
	}
	d.set("set channel_key=both")
	if !has("source_channel") || !has("channel") {
		t.Errorf("channel_key=both: %s", read())
	}
	d.set("set empty_fields=array")
	if !strings.Contains(read(), `"fields":[]`) || strings.Contains(read(), `"fields":{`) {
		t.Errorf("empty_fields=array: %s", read())
	}
	d.set("set read_offering_type=category")
	if !strings.Contains(read(), `"offering_type":"residential"`) {
		t.Errorf("read_offering_type=category: %s", read())
	}
	d.set("set envelope=off")
	if bare := read(); inner(t, bare, "id") != id {
		t.Errorf("envelope=off: %s", bare)
	}
	for _, body := range []string{usual, leadBody(t, "")} {
		if got := d.good(200, "POST", "/leads", body); !strings.HasPrefix(got, `{"id":`) {
			t.Errorf("envelope=off: created %s", got)
		}
	}
	if got := d.ids(""); got != "1001 1002 1003" {
		t.Errorf("envelope=off: %s", got)
	}
	// All of a read at once, and in lists too.
	d.set("set channel_key=channel empty_fields=array")
	for _, doc := range sandboxtest.Elements(t, inner(t, d.good(200, "GET", "/leads", ""), "leads")) {
		if !strings.Contains(doc, `"channel":"walkIn"`) || !strings.Contains(doc, `"fields":[]`) {
			t.Errorf("in a list: %s", doc)
		}
	}
}

// TestSeeds are the same whatever their number, all different, like real ones in what they lack, and good to be sent again
// where they lack nothing.
func TestSeeds(t *testing.T) {
	few, many := newDesk(t, room.Options{Seed: 50}, Knobs{}), newDesk(t, room.Options{Seed: 1500, Dir: t.TempDir()}, Knobs{MaxPerPage: 5000, DefaultPerPage: 5000})
	a := sandboxtest.Elements(t, inner(t, few.good(200, "GET", "/leads", ""), "leads"))
	b := sandboxtest.Elements(t, inner(t, many.good(200, "GET", "/leads", ""), "leads"))
	if diff := cmp.Diff(a, b[:50]); diff != "" || len(b) != 1500 {
		t.Errorf("%d:\n%s", len(b), diff)
	}
	mobiles := map[string]bool{}
	whole, lacking := 0, 0
	for _, doc := range b {
		var l lead
		if err := json.Unmarshal([]byte(doc), &l); err != nil || mobiles[value(l.Mobile)] || value(l.Mobile) == "" {
			t.Fatalf("%s: %v", doc, err)
		}
		mobiles[value(l.Mobile)] = true
		p := l.preference()
		if l.Title == nil || l.FirstName == nil || l.LastName == nil || l.Country == nil || l.Status == nil || l.SourceChannel == nil || l.Financial == nil || p == nil {
			lacking++
			continue
		}
		whole++
		send := map[string]any{
			"title": l.Title, "first_name": l.FirstName, "last_name": l.LastName, "mobile": l.Mobile, "category": p.Types[0].Category, "country": l.Country, "status": l.Status,
			"source": l.Source, "source_channel": l.SourceChannel, "financial": l.Financial, "quality": l.Quality, "time_frame": l.TimeFrame, "mortgage_status": l.MortgageStatus, "fields": l.Fields,
			"preference": map[string]any{"types": []int64{p.Types[0].ID}, "locations": []string{p.Locations[0].ID}, "from_price": p.FromPrice, "to_price": p.ToPrice, "offering_type": p.OfferingType, "amenities": []int64{}},
		}
		body, err := room.Marshal(map[string]any{"lead": send})
		if err != nil {
			t.Fatal(err)
		}
		if whole <= 100 {
			if w := few.call("POST", "/leads", string(body)); w.Code != 200 || w.Header().Get(warningHeader) != "" {
				t.Fatalf("%s: %d %v %s", body, w.Code, w.Header(), w.Body)
			}
		}
	}
	if whole < 300 || lacking < 300 {
		t.Errorf("%d whole, %d lacking", whole, lacking)
	}
}

// FuzzQuery: no query breaks the simulator.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{"filters[client]=1", "filters[wishlist][locations][]=are.1.1", "filters[created][from]=2016-01-01", "sort=id&sort_order=DESC&page=2", "filters[a][b[c]]=%zz", "filters[wishlist][types][9999999999]=1"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		d := newDesk(t, room.Options{Seed: 3}, Knobs{})
		if _, err := url.ParseRequestURI("/leads?" + q); err != nil || strings.ContainsAny(q, " \r\n\t#") {
			t.Skip("no request line")
		}
		if w := d.call("GET", "/leads?"+q, ""); w.Code != 200 && w.Code != 400 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// FuzzLead: no body breaks the simulator, and what it takes it can show.
func FuzzLead(f *testing.F) {
	f.Add(`{"lead":` + usual + `}`)
	f.Add(`{"lead":{"preference":[{}],"notes":[{"id":1}],"fields":[],"user":null}}`)
	f.Fuzz(func(t *testing.T, body string) {
		d := newDesk(t, room.Options{}, Knobs{Mandatory: lenient})
		d.create("")
		for _, c := range [][2]string{{"POST", "/leads"}, {"PUT", "/leads/1001"}, {"PATCH", "/leads/1001"}, {"PATCH", "/leads"}} {
			if w := d.call(c[0], c[1], body); w.Code >= 500 {
				t.Errorf("%s %s: %d %s", c[0], c[1], w.Code, w.Body)
			}
		}
		d.expand = "true"
		if got := d.good(200, "GET", "/leads", ""); !json.Valid([]byte(got)) {
			t.Errorf("list %s", got)
		}
	})
}
