package mappconnect_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	mapp "github.com/crmetl/crmetl/connectors/mappconnect"
	"github.com/crmetl/crmetl/connectors/mappconnect/sandbox"
	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/deliverytest"
	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// serve starts the simulator with faults.
func serve(t *testing.T, faults string) (base string, settings map[string]string) {
	t.Helper()
	sim, err := sandbox.New(room.Options{Faults: sandboxtest.Faults(t, faults)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(func() {
		server.Close()
		_ = sim.Close()
	})
	return server.URL, sim.Settings(server.URL)
}

func open(t *testing.T, settings map[string]string) *mapp.Conn {
	t.Helper()
	c, err := mapp.Open(schema.Connection{Name: "mapp", Settings: settings}, api.Env{})
	if err != nil {
		t.Fatal(err)
	}
	mapp.NoWaits(c)
	return c
}

// records returns what the simulator has of a kind, in its order.
func records(t *testing.T, base, kind string) (list []map[string]any) {
	t.Helper()
	resp, err := http.Get(base + "/_sandbox/records/" + kind)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	return list
}

// load runs an import as the command does, its checks included.
func load(t *testing.T, c *mapp.Conn, object string, l schema.Load, rows *record.Batch, o pipeline.Options, ledger *deliverytest.Ledger) (pipeline.Counts, error) {
	t.Helper()
	l.Header = rows.Header
	step, err := mapp.Check(object, l)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := c.Sink(t.Context(), object, l, ledger)
	if err != nil {
		t.Fatal(err)
	}
	if o.BatchSize == 0 {
		o.BatchSize = 1000
	}
	return pipeline.Run(t.Context(), deliverytest.Source(rows), []pipeline.Step{step}, sink, o)
}

// TestFaultyVendor loads 3000 contacts with four writers into a simulator that loses answers, loses calls and refuses
// some for a while: each must be there, and what one of them was sent first must have arrived first.
func TestFaultyVendor(t *testing.T) {
	for _, faults := range []string{
		"",
		"POST * every=3 drop=after; POST * every=4 drop=before",
		"POST * every=3 html=502 applied; POST * #2 status=500",
		"POST * #2 html=200 applied; set exp_unit=ms",
		"set max_body=20000",
	} {
		t.Run(faults, func(t *testing.T) {
			t.Parallel()
			base, settings := serve(t, faults)
			settings["batch_size"] = "250"
			c := open(t, settings)
			if err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			var rows []string
			for i := range 3000 {
				rows = append(rows, fmt.Sprintf("user%d@example.com|10144|%d", i%2000, i/2000))
			}
			o := pipeline.Options{Workers: 2, Writers: 4, BatchSize: 250, Key: func(r *record.Row) string { return r.Values[0].Text() }}
			counts, err := load(t, c, "user", schema.Load{}, deliverytest.Table("email|group|version", rows...), o, deliverytest.NewLedger(t))
			if err != nil || counts.Accepted != 3000 || counts.Read != 3000 {
				t.Fatalf("counts %+v, %v", counts, err)
			}
			seen := 0
			for _, u := range records(t, base, "users") {
				var n int
				email, _ := u["email"].(string)
				if _, err := fmt.Sscanf(email, "user%d@", &n); err != nil {
					continue
				}
				seen++
				if want := map[bool]string{true: "1", false: "0"}[n < 1000]; fmt.Sprint(u["version"]) != want {
					t.Errorf("%s has version %v, want %s", email, u["version"], want)
				}
			}
			if seen != 2000 {
				t.Errorf("%d contacts are there, want 2000", seen)
			}
		})
	}
}

// TestMailsOnce sends e-mails through a simulator that loses answers, resumed with what the ledger knows: no message goes
// twice, and what is neither sent nor refused is unsure.
func TestMailsOnce(t *testing.T) {
	base, settings := serve(t, "POST * every=5 drop=after; POST * every=7 drop=before; POST * every=11 status=500")
	settings["batch_size"] = "10"
	var rows []string
	for i := range 400 {
		rows = append(rows, fmt.Sprintf("user%d@example.com|2324333335|%d", i, i))
	}
	c := open(t, settings)
	counts, err := load(t, c, "email", schema.Load{}, deliverytest.Table("email|messageId|n", rows...), pipeline.Options{Writers: 4, BatchSize: 10}, deliverytest.NewLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	if counts.Accepted+counts.Unsure != 400 || counts.Unsure == 0 || counts.Accepted == 0 {
		t.Errorf("counts %+v", counts)
	}
	times := map[string]int{}
	for _, e := range records(t, base, "inbox") {
		event, _ := e["event"].(map[string]any)
		times[fmt.Sprint(event["n"])]++
	}
	for n, k := range times {
		if k > 1 {
			t.Errorf("row %s was sent %d times", n, k)
		}
	}
	if int64(len(times)) < counts.Accepted {
		t.Errorf("%d messages for %d accepted rows", len(times), counts.Accepted)
	}
}

// TestPoison: an event that the vendor refuses is found, whatever batch it is in.
func TestPoison(t *testing.T) {
	_, settings := serve(t, "set poison_text=POISON")
	var rows []string
	for i := range 1500 {
		name := "fine"
		if i%400 == 7 {
			name = "POISON"
		}
		rows = append(rows, fmt.Sprintf("sku%d|%s", i, name))
	}
	counts, err := load(t, open(t, settings), "product", schema.Load{}, deliverytest.Table("productSKU|productName", rows...), pipeline.Options{Writers: 2}, deliverytest.NewLedger(t))
	if err != nil || counts.Accepted != 1496 || counts.Rejected != 4 {
		t.Errorf("counts %+v, %v", counts, err)
	}
}

// TestThrottled: a vendor that says "too fast" gets everything in the end.
func TestThrottled(t *testing.T) {
	base, settings := serve(t, "set rate=1 window=300ms")
	settings["batch_size"] = "1"
	counts, err := load(t, open(t, settings), "coupon", schema.Load{}, deliverytest.Table("listName|value", "a|1", "a|2", "a|3"), pipeline.Options{Writers: 2}, deliverytest.NewLedger(t))
	if err != nil || counts.Accepted != 3 || len(records(t, base, "coupons")) != 3 {
		t.Errorf("counts %+v, %v", counts, err)
	}
}

// TestObjects loads a row of each object and looks what the simulator made of it.
func TestObjects(t *testing.T) {
	base, settings := serve(t, "")
	c := open(t, settings)
	run := func(object string, mode schema.Mode, header string, rows ...string) {
		t.Helper()
		on := map[string]bool{"rd-replace": true, "rd-delete-all-for-key": true, "allow-group-send": true}
		counts, err := load(t, c, object, schema.Load{Mode: mode, Options: on}, deliverytest.Table(header, rows...), pipeline.Options{}, deliverytest.NewLedger(t))
		if err != nil || counts.Accepted != int64(len(rows)) {
			t.Errorf("%s %s: counts %+v, %v", object, mode, counts, err)
		}
	}
	run("user", schema.Upsert, "email|group|first", "ada@x.example|10144|Ada", "bob@x.example|10144|Bob")
	run("transaction", schema.Upsert, "orderId|email|items.sku|items.price", "1|ada@x.example|A|5", "2|bob@x.example|B|6")
	run("product", schema.Upsert, "productSKU|productName", "A|Apple")
	run("abandonedcart", schema.Upsert, "email|sku|price", "ada@x.example|A|5")
	run("wishlist", schema.Upsert, "email|sku", "ada@x.example|A")
	run("browse", schema.Upsert, "email|sku", "ada@x.example|A")
	run("recommendedproduct", schema.Upsert, "email|sku|accuracy|model", "ada@x.example|A|1|2")
	run("coupon", schema.Create, "listName|value", "l|1")
	run("relateddata", schema.Add, "datasetName|key|attributes|attributes.c", `d|1|{"a":"b"}|x`, `d|2|-|y`)
	run("relateddata", schema.Update, "datasetName|key|importMode|attributes.a|filter.a", "d|1|update|n|b", "d|2|delete|-|-")
	run("automation", schema.Send, "email|externalEvent", "ada@x.example|hello")
	want := map[string]int{"users": 2, "transactions": 2, "products": 1, "carts": 1, "wishlists": 1, "browses": 1, "recommendations": 1, "coupons": 1, "automations": 1, "feedback": 0}
	for kind, n := range want {
		if got := records(t, base, kind); len(got) != n {
			t.Errorf("%s: %v, want %d", kind, got, n)
		}
	}
	run("user", schema.Delete, "email", "bob@x.example")
	run("transaction", schema.Delete, "orderId|email", "2|bob@x.example")
	run("product", schema.Delete, "productSKU", "A")
	run("abandonedcart", schema.Delete, "email|sku", "ada@x.example|A")
	for kind, n := range map[string]int{"users": 1, "transactions": 1, "products": 0, "carts": 0} {
		if got := records(t, base, kind); len(got) != n {
			t.Errorf("%s after deleting: %v, want %d", kind, got, n)
		}
	}
}

// TestExports reads all lists of the simulator.
func TestExports(t *testing.T) {
	_, settings := serve(t, "")
	c := open(t, settings)
	if s, err := c.Ping(t.Context()); err != nil || !strings.Contains(s, settings["integration_id"]) {
		t.Errorf("%q, %v", s, err)
	}
	for _, object := range []string{"groups", "messages", "push-messages", "sms-messages", "mobile-apps", "connect"} {
		src, err := c.Source(t.Context(), object, schema.Query{})
		if err != nil {
			t.Errorf("%s: %v", object, err)
			continue
		}
		if diff := cmp.Diff([]string{"id", "name"}, src.Header().Names()); diff != "" && object != "connect" {
			t.Errorf("%s: %s", object, diff)
		}
		chunk, b := &pipeline.Chunk{}, &record.Batch{}
		if err := src.Next(t.Context(), chunk); err != nil && !(object == "connect" && errors.Is(err, io.EOF)) {
			t.Errorf("%s: %v", object, err)
		} else if err == nil {
			if err := src.Decode(chunk, b); err != nil || len(b.Rows) == 0 {
				t.Errorf("%s: %d rows, %v", object, len(b.Rows), err)
			}
		}
		if !slices.IsSortedFunc(b.Rows, func(x, y record.Row) int { return len(x.Values[0].Text()) - len(y.Values[0].Text()) }) {
			t.Errorf("%s is not in the order of its ids", object)
		}
	}
}

// TestWrongAccount: what is wrong with a connection is found before the first row.
func TestWrongAccount(t *testing.T) {
	for key, value := range map[string]string{"secret": "other", "integration_id": "00000000-0000-4000-8000-000000000000"} {
		_, settings := serve(t, "")
		settings[key] = value
		var known *api.Error
		begin := time.Now()
		if err := open(t, settings).Ready(t.Context()); !errors.As(err, &known) || !known.Stops() || time.Since(begin) > 5*time.Second {
			t.Errorf("%s: %v", key, err)
		}
	}
}
