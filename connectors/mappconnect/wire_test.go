package mappconnect

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// group makes one record of all rows.
func grouped(b *record.Batch) *record.Batch {
	for i := range b.Rows {
		b.Rows[i].Group = 1
	}
	return b
}

// TestWireRequests holds what is sent against the requests in the vendor's own document.
func TestWireRequests(t *testing.T) {
	groupSend := map[string]bool{optGroupSend: true}
	tests := []struct {
		name, object string
		mode         schema.Mode
		rows         *record.Batch
		options      map[string]bool
	}{
		{"user-add", objUser, schema.Upsert, table("email|group|first|second", "user@mapp.com|2324333335|firstval|secondval"), nil},
		{"user-delete", objUser, schema.Delete, table("email|group", "user@mapp.com|2324333335"), nil},
		{"sms", objSMS, schema.Send, table("recipientMobileNumber|messageId", "+48666777888|2324333335"), nil},
		{"push", objPush, schema.Send, table("email|pushMessageId|mobileAppId|param1", "john.smith@xx.xx|1234|5678|param 1 value"), nil},
		{"email", objEmail, schema.Send, table("email|messageId|first|second", "user@mapp.com|2324333335|firstval|secondval"), nil},
		{"email-formula", objEmail, schema.Send, table("email|messageId|externalTransactionFormula", "user@mapp.com|2324333335|myUniqueValue......"), nil},
		{"email-group", objEmail, schema.Send, table("group|messageId", "12|2324333335"), groupSend},
		{"transaction", objTransaction, schema.Upsert, grouped(table("email|messageId|items.sku|items.name|items.price|items.qty_ordered|group|orderId|transaction_date|currency",
			"test.example@mapp.com|9634|JB-129|George-H|15|1|8262|06032023|2020-04-28T12:30:08.537Z|GBP")), nil},
		{"transaction-delete", objTransaction, schema.Delete, table("orderId|email", "12345|test@test.com"), nil},
		{"product", objProduct, schema.Upsert, table("productSKU|productName|productPrice|productURL", "aaa-bbb-ccc|someName|123|http://somedomain.com"), nil},
		{"product-delete", objProduct, schema.Delete, table("productSKU", "aaa-bbb-ccc"), nil},
		{"cart", objCart, schema.Upsert, table("email|sku|createdAt|price|size", "test.example@mapp.com|0602-2023-123|2024-02-10T17:25:43.511Z|25|M"), nil},
		{"wishlist-ms", objWishlist, schema.Upsert, table("email|sku|createdAt|price|size", "test.example@mapp.com|0602-2023-123|1741867804875|25|M"), nil},
		{"browse-delete", objBrowse, schema.Delete, table("sku|email", "0602-2023-123|test@mapp.com"), nil},
		{"recommended", objRecommended, schema.Upsert, table("email|sku|accuracy|model", "test.example@mapp.com|0602-2023-123|12|25"), nil},
		{"recommended-delete", objRecommended, schema.Delete, table("sku|email", "0602-2023-123|test@mapp.com"), nil},
		{"coupon", objCoupon, schema.Create, table("listName|value", "campaing1|summer1jaosajsoas"), nil},
		{"batch", objUser, schema.Upsert, table("email|group|nosto_segments", "john@mapp.com|10144|High Value Customers area New York", "mary@gmail.com|10144|High Value Customers area New York"), nil},
		{"related-add", objRelated, schema.Add, table("datasetName|key|attributes", `testrdlistname|123|{"description":"some description","price":"567"}`), nil},
		{"related-update", objRelated, schema.Update, table("datasetName|key|attributes.description|attributes.price|filter.description", "testrdlistname|123|change description|890|lorem ipsum"), nil},
		{"related-delete", objRelated, schema.Delete, table("filter|datasetName|key", `{"description":"lorem ipsum"}|testrdlistname|123`), nil},
		{"related-bulk", objRelated, schema.Add, table("datasetName|key|importMode|attributes|filter", `testrdlistname|123|update|{"description":"some description","price":"567"}|-`, `testrdlistname|124|delete|-|{"description":"lorem ipsum"}`), map[string]bool{optReplace: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			var auth string
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				path := strings.TrimPrefix(r.URL.EscapedPath(), "/charon/api/v1/integration/"+testID)
				got = append(got, r.Method+" "+path+"?"+r.URL.RawQuery, string(body))
				auth = r.Header.Get("auth-token")
				if r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Accept") != "application/json" || r.Header.Get("Authorization") != "" {
					t.Errorf("headers are %v", r.Header)
				}
				u, _ := url.Parse(r.URL.RequestURI())
				exp := expOf(t, auth)
				if want := token(u, body, testSecret, exp); auth != want {
					t.Errorf("the token is %s, want %s", auth, want)
				}
			}))
			defer server.Close()
			f := &fake{t: t, url: server.URL}
			load := schema.Load{Mode: tt.mode, Options: tt.options, Header: tt.rows.Header}
			step, err := Check(tt.object, load)
			if err != nil {
				t.Fatal(err)
			}
			if err := step.Apply(tt.rows); err != nil {
				t.Fatal(err)
			}
			if err := f.load(f.connect(), tt.object, load, newLedger(t), tt.rows); err != nil {
				t.Fatal(err)
			}
			for _, row := range tt.rows.Rows {
				if row.Fate != record.Accepted || row.Action != "accepted" {
					t.Errorf("row %d is %s %s: %v", row.Num, row.Fate, row.Action, row.Err)
				}
			}
			want, err := os.ReadFile(filepath.Join("testdata", "wire", tt.name+".request"))
			if err != nil {
				t.Fatal(err)
			}
			first, body, _ := strings.Cut(string(want), "\n")
			if diff := cmp.Diff([]string{first, compact(t, body)}, got); diff != "" {
				t.Errorf("the request differs from the vendor's document (-document +sent):\n%s", diff)
			}
		})
	}
}
