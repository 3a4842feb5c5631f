package sandbox

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/google/go-cmp/cmp"
)

// exchange is one example of the vendor's document: the request and its body. Where the body is no JSON as it is printed
// there (a comma too many, a comment, quotes that are missing), there is that too.
type exchange struct{ name, path, body, printed string }

func examples(t *testing.T) []exchange {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "wire", "*.txt"))
	if err != nil || len(files) != 23 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var out []exchange
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parts := append(strings.Split(strings.TrimSuffix(string(b), "\n"), "\n\n"), "", "")
		_, path, ok := strings.Cut(parts[0], "/event")
		if !ok || len(parts) > 5 {
			t.Fatalf("%s: %q", file, parts)
		}
		out = append(out, exchange{strings.TrimSuffix(filepath.Base(file), ".txt"), "/event" + path, parts[1], parts[2]})
	}
	return out
}

const (
	knownContacts = `[{"email":"user@mapp.com","group":"12"},{"email":"john.smith@xx.xx","group":"12"},{"email":"test.example@mapp.com","group":"12"},{"mobileNumber":"+48666777888","group":"12"},{"email":"test@mapp.com","group":"12"}]`
	relatedAdded  = `{"datasetName":"testrdlistname","key":"123","entries":[{"description":"some description","price":"567"}]}`
)

// TestWire plays each example of the document: it is accepted, in the inbox as it was sent, and has the effect that the
// document names.
func TestWire(t *testing.T) {
	for name, c := range map[string]struct {
		before [2]string // a subtype and an event that came earlier
		kind   string
		want   []string
	}{
		"01-user-add":    {kind: kindUsers, want: []string{`{"email":"user@mapp.com","first":"firstval","second":"secondval","group":["2324333335"]}`}},
		"02-user-remove": {[2]string{"user", `[{"email":"user@mapp.com","group":"2324333335"},{"email":"b@mapp.com","group":"12"}]`}, kindUsers, []string{`{"email":"b@mapp.com","group":["12"]}`}},
		"03-sms": {[2]string{"user", knownContacts}, kindSent,
			[]string{`{"n":6,"subtype":"sms","messageId":"2324333335","contact":"mobileNumber:+48666777888","parameters":{}}`}},
		"04-push": {[2]string{"user", knownContacts}, kindSent,
			[]string{`{"n":6,"subtype":"push","pushMessageId":"1234","mobileAppId":"5678","contact":"email:john.smith@xx.xx","parameters":{"param1":"param 1 value"}}`}},
		"05-email": {[2]string{"user", knownContacts}, kindSent,
			[]string{`{"n":6,"subtype":"email","messageId":"2324333335","contact":"email:user@mapp.com","parameters":{"first":"firstval","second":"secondval"}}`}},
		"06-email-formula": {[2]string{"user", knownContacts}, kindSent,
			[]string{`{"n":6,"subtype":"email","messageId":"2324333335","contact":"email:user@mapp.com","parameters":{"externalTransactionFormula":"myUniqueValue......"}}`}},
		"07-email-group": {kind: kindSent, want: []string{`{"n":1,"subtype":"email","messageId":"2324333335","group":"12","parameters":{}}`}},
		"08-transaction": {kind: kindTransactions, want: []string{`{"email":"test.example@mapp.com","items":[{"sku":"JB-129","name":"George-H","price":"15","qty_ordered":"1"}],` +
			`"orderId":"06032023","transaction_date":"2020-04-28T12:30:08.537Z","currency":"GBP"}`}},
		"09-transaction-remove": {[2]string{"transaction", `[{"orderId":"12345","email":"test@test.com"},{"orderId":"6","email":"test@test.com"}]`}, kindTransactions, []string{`{"orderId":"6","email":"test@test.com"}`}},
		"10-product-add":        {kind: kindProducts, want: []string{`{"productSKU":"aaa-bbb-ccc","productName":"someName","productPrice":"123","productURL":"http://somedomain.com"}`}},
		"11-product-delete":     {[2]string{"product", `[{"productSKU":"aaa-bbb-ccc"},{"productSKU":"d"}]`}, kindProducts, []string{`{"productSKU":"d"}`}},
		"12-cart-add": {[2]string{"user", knownContacts}, kindCarts,
			[]string{`{"email":"test.example@mapp.com","sku":"0602-2023-123","createdAt":"2024-02-10T17:25:43.511Z","price":"25","size":"M"}`}},
		"13-cart-delete":        {[2]string{"user", knownContacts}, kindCarts, nil},
		"14-coupon":             {kind: kindCoupons, want: []string{`{"listName":"campaing1","value":"summer1jaosajsoas"}`}},
		"15-batch":              {kind: kindUsers, want: []string{`{"email":"john@mapp.com","nosto_segments":"High Value Customers area New York","group":["10144"]}`, `{"email":"mary@gmail.com","nosto_segments":"High Value Customers area New York","group":["10144"]}`}},
		"16-recommended-add":    {[2]string{"user", knownContacts}, kindRecommendations, []string{`{"email":"test.example@mapp.com","sku":"0602-2023-123","accuracy":"12","model":"25"}`}},
		"17-recommended-delete": {[2]string{"user", knownContacts}, kindRecommendations, nil},
		"18-related-add":        {kind: kindRelated, want: []string{relatedAdded}},
		"19-related-bulk-add":   {kind: kindRelated, want: []string{relatedAdded}},
		"20-related-update": {[2]string{"relateddata", `[{"datasetName":"testrdlistname","key":"123","importMode":"add","attributes":{"description":"lorem ipsum","price":"1","size":"M"}},
			{"datasetName":"testrdlistname","key":"123","importMode":"add","attributes":{"description":"other"}}]`}, kindRelated,
			[]string{`{"datasetName":"testrdlistname","key":"123","entries":[{"description":"change description","price":"890","size":"M"},{"description":"other"}]}`}},
		"21-related-bulk-update": {[2]string{"relateddata", `{"datasetName":"testrdlistname","key":"123","importMode":"add","attributes":{"size":"M"}}`}, kindRelated, []string{relatedAdded}},
		"22-related-delete": {[2]string{"relateddata", `[{"datasetName":"testrdlistname","key":"123","importMode":"add","attributes":{"description":"lorem ipsum"}},
			{"datasetName":"testrdlistname","key":"123","importMode":"add","attributes":{"description":"other"}}]`}, kindRelated,
			[]string{`{"datasetName":"testrdlistname","key":"123","entries":[{"description":"other"}]}`}},
		"23-related-bulk-delete": {[2]string{"relateddata", `{"datasetName":"testrdlistname","key":"123","importMode":"add","attributes":{"size":"M"}}`}, kindRelated, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, room.Options{}, Knobs{})
			if c.before[0] != "" {
				d.post(c.before[0], c.before[1])
			}
			earlier := d.Store.Len(kindInbox)
			for _, e := range examples(t) {
				if e.name != name {
					continue
				}
				w := d.call("POST", e.path, e.body)
				if w.Code != 200 || w.Body.Len() != 0 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				if diff := cmp.Diff(sent(t, e.body), inbox(t, d.records(kindInbox)[earlier:])); diff != "" {
					t.Errorf("inbox:\n%s", diff)
				}
				if len(d.Ledger().Writes) != d.Store.Len(kindInbox) {
					t.Errorf("ledger: %+v", d.Ledger().Writes)
				}
			}
			d.want(c.kind, c.want...)
			if got := d.reports(); got != nil {
				t.Errorf("feedback: %v", got)
			}
		})
	}
}

// sent are the events of a body without blanks.
func sent(t *testing.T, body string) (out []string) {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(body)); err != nil {
		t.Fatal(err)
	}
	elements, ok := splitArray(b.Bytes())
	if !ok {
		return []string{b.String()}
	}
	for _, e := range elements {
		out = append(out, string(e))
	}
	return out
}

// inbox are the events of records of the inbox, without blanks.
func inbox(t *testing.T, records []string) (out []string) {
	t.Helper()
	for _, doc := range records {
		members, _ := splitObject(nil, []byte(doc))
		out = append(out, sent(t, string(find(members, "event")))...)
	}
	return out
}

// TestWireAsPrinted sends what is no JSON in the document as it is printed there: a strict reader refuses it.
func TestWireAsPrinted(t *testing.T) {
	n := 0
	for _, e := range examples(t) {
		if e.printed == "" {
			continue
		}
		n++
		d := newDesk(t, room.Options{}, Knobs{})
		if w := d.call("POST", e.path, e.printed); w.Code != 400 || !strings.Contains(w.Body.String(), "JSON") || d.Store.Len(kindInbox) != 0 {
			t.Errorf("%s: %d %s", e.name, w.Code, w.Body)
		}
	}
	if n != 3 {
		t.Errorf("%d examples", n)
	}
}

// TestWireIsTheDocuments finds each example in the vendor's document, blanks aside.
func TestWireIsTheDocuments(t *testing.T) {
	doc := sandboxtest.Document(t, "001_*.txt")
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
	text := squeeze(string(doc))
	for _, e := range examples(t) {
		want := e.printed
		if want == "" {
			want = e.body
		}
		if !strings.Contains(text, squeeze(want)) {
			t.Errorf("%s is not in the document", e.name)
		}
	}
}

func TestLists(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	for path, want := range map[string]string{
		"/ping":         `{"pong":true,"integrationId":"11111111-1111-4111-8111-111111111111","timestamp":1795341600000}`,
		"/connect":      `{"customersGroupId":"2324333335","subscribersGroupId":"10144","guestsGroupId":null}`,
		"/group":        `{"2324333335":"Customers","10144":"Newsletter","8262":"Buyers","12":"Friends & Family"}`,
		"/message":      `{"2324333335":"Welcome","9634":"Order confirmation","10200":"Sommerschlussverkauf – bis zu 50 %"}`,
		"/message/push": `{"1234":"Back in stock","1235":"Cart reminder"}`,
		"/message/sms":  `{"2324333335":"Appointment reminder","2324333336":"Your parcel is on its way"}`,
		"/mobile-app":   `{"5678":"Shop for iOS","5679":"Shop for Android"}`,
	} {
		w := d.call("GET", path, "")
		if w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	w := d.call("POST", "/connect", `{"params":{"website":"https://shop.example"}}`)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"customersGroupId":"2324333335"`) {
		t.Errorf("connect: %d %s", w.Code, w.Body)
	}
	d.want(kindConnect, `{"params":{"website":"https://shop.example"}}`)
	if len(d.Ledger().Writes) != 1 {
		t.Errorf("ledger %+v", d.Ledger().Writes)
	}
}
