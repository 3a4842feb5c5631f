package sandbox

import (
	"encoding/json"
	"strings"
	"testing"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/google/go-cmp/cmp"
)

func TestUsers(t *testing.T) {
	type events []string
	for name, c := range map[string]struct {
		knobs  Knobs
		events events
		users  []string
		report []string
	}{
		"new without a group": {events: events{`{"email":"a@b.c"}`}, report: []string{"UNKNOWN_CONTACT "}},
		"new with create":     {knobs: Knobs{CreateUnknown: true}, events: events{`{"email":"a@b.c"}`}, users: []string{`{"email":"a@b.c","group":[]}`}},
		"changed": {events: events{`{"email":"a@b.c","group":"12","x":"1","y":2}`, `{"email":"a@b.c","x":null,"z":"a\"\u00e9"}`},
			users: []string{`{"email":"a@b.c","x":null,"y":2,"z":"a\"\u00e9","group":["12"]}`}},
		"group as a number": {events: events{`{"email":"a@b.c","group":12}`, `{"email":"a@b.c","group":"12"}`}, users: []string{`{"email":"a@b.c","group":["12"]}`}},
		"two groups":        {events: events{`{"email":"a@b.c","group":"12"}`, `{"email":"a@b.c","group":"8262"}`}, users: []string{`{"email":"a@b.c","group":["12","8262"]}`}},
		"unsubscribed":      {events: events{`{"email":"a@b.c","group":"12"}`, `{"email":"a@b.c","group":"8262"}`, `{"email":"a@b.c","group":"12","unsubscribe":true}`}, users: []string{`{"email":"a@b.c","group":["8262"]}`}},
		"flags are no attributes": {events: events{`{"email":"a@b.c","group":"12","doubleOptIn":"true","subscribe":"true","partialUpdate":"true","updateonly":"false","delete":"false"}`},
			users: []string{`{"email":"a@b.c","group":["12"]}`}},
		"deleted":         {events: events{`{"email":"a@b.c","group":"12"}`, `{"email":"a@b.c","delete":true}`, `{"email":"a@b.c","delete":"true"}`}, report: []string{"UNKNOWN_CONTACT "}},
		"update only":     {events: events{`{"email":"a@b.c","group":"12","updateonly":"true"}`}, report: []string{"UNKNOWN_CONTACT "}},
		"nobody":          {events: events{`{"group":"12"}`, `{"email":" ","group":"12"}`, `{"email":null,"group":"12"}`}, report: []string{"MISSING_FIELD email", "MISSING_FIELD email", "MISSING_FIELD email"}},
		"any identifier":  {events: events{`{"userId":7,"group":"12"}`, `{"mobileNumber":"+49 1","group":"12"}`}, users: []string{`{"userId":7,"group":["12"]}`, `{"mobileNumber":"+49 1","group":["12"]}`}},
		"case counts":     {events: events{`{"email":"a@b.c","group":"12"}`, `{"email":"A@b.c"}`}, users: []string{`{"email":"a@b.c","group":["12"]}`}, report: []string{"UNKNOWN_CONTACT "}},
		"other spelling":  {events: events{`{"userID":"7","group":"12"}`, `{"userId":"7","x":1}`}, users: []string{`{"userID":"7","userId":"7","x":1,"group":["12"]}`}},
		"by the second":   {events: events{`{"email":"a@b.c","mobileNumber":"+1","group":"12"}`, `{"mobileNumber":"+1","x":1}`}, users: []string{`{"email":"a@b.c","mobileNumber":"+1","x":1,"group":["12"]}`}},
		"userId is first": {events: events{`{"email":"a@b.c","group":"12"}`, `{"userId":"7","group":"12"}`, `{"userId":"7","email":"a@b.c","x":1}`}, users: []string{`{"email":"a@b.c","group":["12"]}`, `{"userId":"7","group":["12"]}`}, report: []string{"IDENTIFIER_TAKEN "}},
		"new address": {events: events{`{"userId":"7","email":"a@b.c","group":"12"}`, `{"userId":"7","email":"new@b.c"}`, `{"email":"a@b.c"}`, `{"email":"new@b.c","x":1}`},
			users: []string{`{"userId":"7","email":"new@b.c","x":1,"group":["12"]}`}, report: []string{"UNKNOWN_CONTACT "}},
		"unknown group":        {events: events{`{"email":"a@b.c","group":"555"}`}, users: []string{`{"email":"a@b.c","group":["555"]}`}},
		"unknown group strict": {knobs: Knobs{StrictGroups: true}, events: events{`{"email":"a@b.c","group":"555"}`, `{"email":"a@b.c","group":"12"}`}, users: []string{`{"email":"a@b.c","group":["12"]}`}, report: []string{"UNKNOWN_GROUP group"}},
		"a batch":              {events: events{`[{"email":"a@b.c","group":"12"},7,{"email":"d@b.c"},{"email":"e@b.c","group":"12"}]`}, users: []string{`{"email":"a@b.c","group":["12"]}`, `{"email":"e@b.c","group":["12"]}`}, report: []string{"MALFORMED_EVENT ", "UNKNOWN_CONTACT "}},
		"no attribute is lost": {events: events{`{"email":"a@b.c","group":"12","groups":"g","n":{"a":[1,2]},"firstName:CORE":"x"}`}, users: []string{`{"email":"a@b.c","groups":"g","n":{"a":[1,2]},"firstName:CORE":"x","group":["12"]}`}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, room.Options{}, c.knobs)
			d.post("user", c.events...)
			d.want(kindUsers, c.users...)
			if diff := cmp.Diff(c.report, d.reports()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestEffects sends events of every other subtype.
func TestEffects(t *testing.T) {
	const known = `{"email":"a@b.c","userId":"7","mobileNumber":"+1","group":"12"}` // the first event of each case
	type events []string
	for name, c := range map[string]struct {
		subtype string
		events  events
		kind    string
		want    []string
		report  []string
	}{
		"a user with a message": {"user", events{`{"email":"a@b.c","messageId":"9634","x":"1"}`}, kindSent, []string{`{"n":2,"subtype":"user","messageId":"9634","contact":"email:a@b.c","parameters":{"x":"1"}}`}, nil},
		"email to nobody":       {"email", events{`{"email":"x@y.z","messageId":"9634"}`}, kindSent, nil, []string{"UNKNOWN_CONTACT "}},
		"email with a group":    {"email", events{`{"email":"x@y.z","messageId":"9634","group":"12"}`}, kindUsers, []string{`{"email":"a@b.c","userId":"7","mobileNumber":"+1","group":["12"]}`, `{"email":"x@y.z","group":["12"]}`}, nil},
		"unknown message":       {"email", events{`{"email":"a@b.c","messageId":"1"}`, `{"group":"12","messageId":"1234"}`}, kindSent, nil, []string{"UNKNOWN_MESSAGE messageId", "UNKNOWN_MESSAGE messageId"}},
		"email without":         {"email", events{`{"email":"a@b.c"}`, `{"messageId":"9634"}`, `{}`}, kindSent, nil, []string{"MISSING_FIELD messageId", "MISSING_FIELD email", "MISSING_FIELD email,messageId"}},
		"email twice":           {"email", events{`{"email":"a@b.c","messageId":"9634"}`, `{"email":"a@b.c","messageId":"9634"}`}, kindSent, []string{`{"n":2,"subtype":"email","messageId":"9634","contact":"email:a@b.c","parameters":{}}`, `{"n":3,"subtype":"email","messageId":"9634","contact":"email:a@b.c","parameters":{}}`}, nil},
		"sms by userId":         {"sms", events{`{"recipientId":"7","messageId":2324333336}`}, kindSent, []string{`{"n":2,"subtype":"sms","messageId":"2324333336","contact":"email:a@b.c","parameters":{}}`}, nil},
		"sms without":           {"sms", events{`{"messageId":"2324333336"}`}, kindSent, nil, []string{"MISSING_FIELD email"}},
		"an e-mail as an sms":   {"sms", events{`{"email":"a@b.c","messageId":"9634"}`}, kindSent, nil, []string{"UNKNOWN_MESSAGE messageId"}},
		"push":                  {"push", events{`{"mobileNumber":"+1","pushMessageId":"1235","mobileAppId":"5679"}`}, kindSent, []string{`{"n":2,"subtype":"push","pushMessageId":"1235","mobileAppId":"5679","contact":"email:a@b.c","parameters":{}}`}, nil},
		"push without":          {"push", events{`{"email":"a@b.c"}`, `{"email":"a@b.c","pushMessageId":"1","mobileAppId":"5678"}`, `{"email":"a@b.c","pushMessageId":"1234","mobileAppId":"1"}`}, kindSent, nil, []string{"MISSING_FIELD pushMessageId,mobileAppId", "UNKNOWN_MESSAGE pushMessageId", "UNKNOWN_MOBILE_APP mobileAppId"}},
		"an order of nobody's":  {"transaction", events{`{"email":"x@y.z","orderId":"1"}`}, kindTransactions, []string{`{"email":"x@y.z","orderId":"1"}`}, nil},
		"a mail for nobody's":   {"transaction", events{`{"email":"x@y.z","orderId":"1","messageId":"9634"}`}, kindTransactions, []string{`{"email":"x@y.z","orderId":"1"}`}, []string{"UNKNOWN_CONTACT "}},
		"an order changed":      {"transaction", events{`{"email":"a@b.c","orderId":"1","items":[{"sku":"a"},{"sku":"b"}],"currency":"GBP"}`, `{"email":"a@b.c","orderId":"1","items":[{"sku":"c"}]}`}, kindTransactions, []string{`{"email":"a@b.c","orderId":"1","items":[{"sku":"c"}],"currency":"GBP"}`}, nil},
		"an order mailed":       {"transaction", events{`{"email":"a@b.c","orderId":"1","messageId":"9634","items":[{"sku":"a"}]}`}, kindSent, []string{`{"n":2,"subtype":"transaction","messageId":"9634","contact":"email:a@b.c","parameters":{"orderId":"1","items":[{"sku":"a"}]}}`}, nil},
		"an order without":      {"transaction", events{`{"email":"a@b.c"}`, `{"orderId":"1"}`}, kindTransactions, nil, []string{"MISSING_FIELD orderId", "MISSING_FIELD email"}},
		"a product changed":     {"product", events{`{"productSKU":"a b","x":1}`, `{"productSKU":"a b","x":2,"y":3}`, `{"productSKU":"a%20b"}`}, kindProducts, []string{`{"productSKU":"a b","x":2,"y":3}`, `{"productSKU":"a%20b"}`}, nil},
		"a product without":     {"product", events{`{"delete":"true"}`, `{"productSKU":""}`}, kindProducts, nil, []string{"MISSING_FIELD productSKU", "MISSING_FIELD productSKU"}},
		"a cart of nobody's":    {"abandonedcart", events{`{"email":"x@y.z","sku":"1"}`}, kindCarts, nil, nil},
		"a cart by any name":    {"abandonedCart", events{`{"email":"a@b.c","sku":"1","x":1}`, `{"mobileNumber":"+1","sku":"1","x":2}`, `{"userId":"7","sku":"2"}`, `{"userId":"7","sku":"2","delete":"true"}`}, kindCarts, []string{`{"email":"a@b.c","sku":"1","x":2,"mobileNumber":"+1"}`}, nil},
		"a wishlist":            {"wishlist", events{`{"email":"a@b.c","sku":"1"}`, `{"email":"a@b.c"}`}, kindWishlists, []string{`{"email":"a@b.c","sku":"1"}`}, []string{"MISSING_FIELD sku"}},
		"browse":                {"browse", events{`{"email":"a@b.c","sku":"1","createdAt":"1741867804875"}`}, kindBrowses, []string{`{"email":"a@b.c","sku":"1","createdAt":"1741867804875"}`}, nil},
		"browse by the other":   {"abandonedbrowse", events{`{"email":"a@b.c","sku":"1"}`}, kindBrowses, []string{`{"email":"a@b.c","sku":"1"}`}, nil},
		"coupons":               {"coupon", events{`[{"listName":"l","value":"1"},{"listName":"l","value":"2"},{"listName":"m","value":"1"},{"listName":"l","value":"1"}]`, `{"listName":"l"}`}, kindCoupons, []string{`{"listName":"l","value":"1"}`, `{"listName":"l","value":"2"}`, `{"listName":"m","value":"1"}`}, []string{"MISSING_FIELD value"}},
		"an automation":         {"automation", events{`{"email":"a@b.c","externalEvent":"e","x":1}`, `{"email":"x@y.z","externalEvent":"e"}`, `{"email":"a@b.c"}`}, kindAutomations, []string{`{"n":2,"contact":"email:a@b.c","event":{"email":"a@b.c","externalEvent":"e","x":1}}`}, []string{"UNKNOWN_CONTACT ", "MISSING_FIELD externalEvent"}},
		"nothing known of it":   {"webpush", events{`{"a":1}`}, kindSent, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, room.Options{}, Knobs{})
			d.post("user", known)
			d.post(c.subtype, c.events...)
			d.want(c.kind, c.want...)
			if diff := cmp.Diff(c.report, d.reports()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRelatedData(t *testing.T) {
	add := func(attributes string) string {
		return `{"datasetName":"d","key":"k","importMode":"add","attributes":` + attributes + `}`
	}
	two := "[" + add(`{"a":"1","b":"x"}`) + "," + add(`{"a":"2","b":"x"}`) + "]"
	do := func(mode, rest string) string {
		return `{"datasetName":"d","key":"k","importMode":"` + mode + `"` + rest + `}`
	}
	for name, c := range map[string]struct {
		event  string // after two entries were added
		want   string // the entries then
		report []string
	}{
		"add the same":               {add(`{"a":"1","b":"x"}`), `{"a":"1","b":"x"},{"a":"2","b":"x"},{"a":"1","b":"x"}`, nil},
		"update replaces all":        {do("update", `,"attributes":{"c":1}`), `{"c":1}`, nil},
		"update of one":              {do("update", `,"attributes":{"b":"y","c":1},"filter":{"a":"2"}`), `{"a":"1","b":"x"},{"a":"2","b":"y","c":1}`, nil},
		"update of both":             {do("update", `,"attributes":{"b":"y"},"filter":{"b":"x"}`), `{"a":"1","b":"y"},{"a":"2","b":"y"}`, nil},
		"update of none":             {do("update", `,"attributes":{"b":"y"},"filter":{"b":"X"}`), `{"a":"1","b":"x"},{"a":"2","b":"x"}`, nil},
		"filter has all its names":   {do("delete", `,"filter":{"a":"1","b":"y"}`), `{"a":"1","b":"x"},{"a":"2","b":"x"}`, nil},
		"filter by a number":         {do("delete", `,"filter":{"a":1}`), `{"a":"2","b":"x"}`, nil},
		"an empty filter":            {do("delete", `,"filter":{}`), ``, nil},
		"delete all":                 {do("delete", ``), ``, nil},
		"delete heeds no attributes": {do("delete", `,"attributes":{"a":"1"}`), ``, nil},
		"delete of another key":      {strings.Replace(do("delete", ``), `"k"`, `"j"`, 1), `{"a":"1","b":"x"},{"a":"2","b":"x"}`, nil},
		"filter is no object":        {do("delete", `,"filter":"{'a':'1'}"`), `{"a":"1","b":"x"},{"a":"2","b":"x"}`, []string{"INVALID_FIELD filter"}},
		"attributes are no object":   {do("update", `,"attributes":"{'a':'1'}"`), `{"a":"1","b":"x"},{"a":"2","b":"x"}`, []string{"MISSING_FIELD attributes"}},
		"add without attributes":     {do("add", ``), `{"a":"1","b":"x"},{"a":"2","b":"x"}`, []string{"MISSING_FIELD attributes"}},
		"unknown mode":               {do("replace", `,"attributes":{"a":"1"}`), `{"a":"1","b":"x"},{"a":"2","b":"x"}`, []string{"INVALID_FIELD importMode"}},
		"nothing there":              {`{}`, `{"a":"1","b":"x"},{"a":"2","b":"x"}`, []string{"MISSING_FIELD datasetName,key,importMode,attributes"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, room.Options{}, Knobs{})
			d.post("relateddata", two, c.event)
			if c.want == "" {
				d.want(kindRelated)
			} else {
				d.want(kindRelated, `{"datasetName":"d","key":"k","entries":[`+c.want+`]}`)
			}
			if diff := cmp.Diff(c.report, d.reports()); diff != "" {
				t.Error(diff)
			}
		})
	}
	d := newDesk(t, room.Options{}, Knobs{StrictData: true})
	d.post("relatedData", add(`{"a":"1"}`), strings.Replace(add(`{"a":"1"}`), `"d"`, `"testrdlistname"`, 1))
	d.want(kindRelated, `{"datasetName":"testrdlistname","key":"k","entries":[{"a":"1"}]}`)
	if diff := cmp.Diff([]string{"UNKNOWN_DATASET datasetName"}, d.reports()); diff != "" {
		t.Error(diff)
	}
}

// TestFeedback holds the one documented case against the names and types that the vendor gives.
func TestFeedback(t *testing.T) {
	d := newDesk(t, room.Options{}, Knobs{})
	d.post("product", `{"delete":"true"}`)
	var one feedback
	doc := d.records(kindFeedback)[0]
	if err := json.Unmarshal([]byte(doc), &one); err != nil {
		t.Fatal(err)
	}
	want := feedback{ErrorCode: "MISSING_FIELD", CustomerID: 1, ActionTime: "Sun Nov 22 10:00:00 UTC 2026", IntegrationID: SandboxIntegration,
		UUID: "00000000-0000-4000-8000-000000000001", ExecutorID: 1, DomainID: 1, MappingName: "product", Collocation: "sandbox", Sysname: "sandbox",
		ActionParams: []string{"productSKU"}, Description: "Skipping product deletion - missing mandatory field: productSKU", N: 1}
	if diff := cmp.Diff(want, one); diff != "" {
		t.Error(diff)
	}
	d.want(kindInbox, `{"n":1,"subtype":"product","event":{"delete":"true"}}`)
}
