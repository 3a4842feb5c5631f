package mappconnect

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// row makes a batch of one row of any kinds.
func row(names string, values ...record.Value) *record.Batch {
	b := table(names, strings.Repeat("|", len(values)-1))
	copy(b.Rows[0].Values, values)
	return b
}

func text2(s string) record.Value { return record.TextOf(s) }

func TestPayloads(t *testing.T) {
	rename := map[string]string{"email": "mail", "delete": "remove", "items.sku": "items.productSKU", "attributes": "values", "importMode": "mode"}
	tests := []struct {
		name, object string
		mode         schema.Mode
		options      string
		style        style
		rows         *record.Batch
		want         string
		bad          string // field:rule of the problem
	}{
		{name: "kinds", object: objUser, rows: row("email|n|b|d|t|l|j|z|e|a|c", text2("a@x.com"), record.NumberOf("12.50"), record.BoolOf(true), record.Of(record.Date, "2024-02-10"),
			record.Of(record.DateTime, "2024-02-10T18:25:43.5+01:00"), record.ListOf([]string{"x", "y"}), record.Of(record.JSON, `{"k":[1]}`), record.NullOf(), text2(" "), record.Value{}, record.Of(record.Time, "15:04:05")),
			want: `{"email":"a@x.com","n":"12.50","b":"true","d":"2024-02-10","t":"2024-02-10T17:25:43.500Z","l":["x","y"],"j":{"k":[1]},"z":null,"c":"15:04:05"}`},
		{name: "other style", object: objUser, style: style{numbers: true, booleans: true, emptyText: true}, rows: row("email|n|b|z|id", text2("a@x.com"), record.NumberOf("12345678901234567890.10"), record.BoolOf(false), record.NullOf(), text2("007")),
			want: `{"email":"a@x.com","n":12345678901234567890.10,"b":false,"z":"","id":"007"}`},
		{name: "names", object: objUser, rows: table("email|firstName:CORE|a.b|a.c.d|x.1|First Name|v1.0 rate", "a@x.com|Ada|1|2|3|4|5"),
			want: `{"email":"a@x.com","firstName:CORE":"Ada","a":{"b":"1","c":{"d":"2"}},"x.1":"3","First Name":"4","v1.0 rate":"5"}`},
		{name: "objects without values", object: objUser, rows: table("a.b|email|c.d", "-|a@x.com|-"), want: `{"email":"a@x.com"}`},
		{name: "delete flag", object: objUser, rows: table("email|delete|unsubscribe", "a@x.com|true|false"), want: `{"email":"a@x.com","delete":"true"}`},
		{name: "flags", object: objUser, rows: table("email|unsubscribe|subscribe|doubleOptIn|updateonly|partialUpdate", "a@x.com|true|true|true|true|true"), want: `{"email":"a@x.com","unsubscribe":"true","subscribe":"true","doubleOptIn":"true","updateonly":"true","partialUpdate":"true"}`},
		{name: "flags that are false", object: objUser, rows: table("email|unsubscribe|subscribe|doubleOptIn|updateonly|partialUpdate", "a@x.com|false|false|false|false|false"), want: `{"email":"a@x.com"}`},
		{name: "flags to be cleared", object: objUser, rows: table("email|unsubscribe|subscribe", "a@x.com|~|~"), want: `{"email":"a@x.com"}`},
		{name: "kinds of columns that are no fields", object: objUser, rows: row("email|vip|seen|zoned|born|n", text2("a@x.com"), record.BoolOf(true), record.Of(record.DateTime, "2024-02-10T17:25:43"), record.Of(record.DateTime, "2024-02-10T17:25:43.5+02:00"), record.Of(record.Date, "1982-02-18"), record.NumberOf("3.5")),
			want: `{"email":"a@x.com","vip":"true","seen":"2024-02-10T17:25:43.000Z","zoned":"2024-02-10T15:25:43.500Z","born":"1982-02-18","n":"3.5"}`},
		{name: "no delete flag", object: objUser, rows: table("email|delete", "a@x.com|false"), want: `{"email":"a@x.com"}`},
		{name: "mode delete", object: objUser, mode: schema.Delete, rows: table("email|delete|unsubscribe", "a@x.com|-|true"), want: `{"email":"a@x.com","delete":"true"}`},
		{name: "mode delete, boolean", object: objProduct, mode: schema.Delete, style: style{booleans: true}, rows: table("productSKU|productName", "1|x"), want: `{"productSKU":"1","delete":true}`},
		{name: "partial", object: objUser, options: optPartial, rows: table("partialUpdate|email", "false|a@x.com"), want: `{"email":"a@x.com","partialUpdate":"true"}`},
		{name: "renamed", object: objUser, mode: schema.Delete, style: style{names: rename}, rows: table("email|x", "a@x.com|1"), want: `{"mail":"a@x.com","x":"1","remove":"true"}`},
		{name: "renamed item", object: objTransaction, style: style{names: rename}, rows: table("orderId|items.sku", "1|A"), want: `{"orderId":"1","items":[{"productSKU":"A"}]}`},
		{name: "renamed parts", object: objRelated, mode: schema.Add, style: style{names: rename}, rows: table("datasetName|key|attributes.a", "d|1|x"), want: `{"datasetName":"d","key":"1","mode":"add","values":{"a":"x"}}`},
		{name: "quotes", object: objUser, rows: table("email|na\"me", "a@x.com|say \"hi\" <&> \u2028"), want: `{"email":"a@x.com","na\"me":"say \"hi\" <&> ` + "\u2028" + `"}`},
		{name: "both attributes", object: objRelated, mode: schema.Add, rows: table("datasetName|key|attributes|attributes.1.d|attributes.e", `d|1|{"a": 1}|x|-`), want: `{"datasetName":"d","key":"1","importMode":"add","attributes":{"a": 1,"1.d":"x"}}`},
		{name: "one attribute twice", object: objRelated, mode: schema.Add, rows: table("datasetName|key|attributes|attributes.a", `d|1|{"a":1}|x`), bad: "attributes:unique"},
		{name: "attributes as text", object: objRelated, mode: schema.Add, rows: table("datasetName|key|attributes", `d|1|x`), bad: "attributes:pairs"},
		{name: "items in a cell", object: objTransaction, rows: row("orderId|items", text2("1"), record.Of(record.List, ` [ {"sku":"A"}, {"sku":"B"} ] `)), want: `{"orderId":"1","items":[{"sku":"A"}, {"sku":"B"}]}`},
		{name: "an item in a cell", object: objTransaction, rows: row("orderId|items", text2("1"), record.Of(record.JSON, `{"sku":"A"}`)), want: `{"orderId":"1","items":[{"sku":"A"}]}`},
		{name: "no items", object: objTransaction, rows: row("orderId|items", text2("1"), record.Of(record.List, `[]`)), want: `{"orderId":"1"}`},
		{name: "items of another kind", object: objTransaction, rows: row("orderId|items", text2("1"), record.ListOf([]string{"A"})), bad: "items:json"},
		{name: "items twice", object: objTransaction, rows: row("orderId|items|items.sku", text2("1"), record.Of(record.List, `[{"sku":"A"}]`), text2("B")), bad: "items:unique"},
		{name: "time", object: objCart, rows: table("email|createdAt", "a@x.com|2024-02-10 17:25"), want: `{"email":"a@x.com","createdAt":"2024-02-10T17:25:00.000Z"}`},
		{name: "day", object: objCart, rows: table("email|createdAt", "a@x.com|2024-02-10"), want: `{"email":"a@x.com","createdAt":"2024-02-10T00:00:00.000Z"}`},
		{name: "seconds", object: objCart, rows: table("email|createdAt", "a@x.com|1741867804"), bad: "createdAt:datetime"},
		{name: "error cell", object: objUser, rows: row("email|x", text2("a@x.com"), record.Of(record.Fault, "#N/A")), bad: "x:fault"},
		{name: "blank order field", object: objTransaction, rows: grouped(table("orderId|currency|items.sku", "1|~|A", "1|GBP|B", "1|-|C")), want: `{"orderId":"1","currency":"GBP","items":[{"sku":"A"},{"sku":"B"},{"sku":"C"}]}`},
		{name: "contradiction", object: objTransaction, rows: grouped(table("orderId|currency", "1|EUR", "1|GBP")), bad: "currency:group"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := newLayout(tt.object, schema.Load{Mode: tt.mode, Header: tt.rows.Header, Options: map[string]bool{tt.options: true}}, tt.style)
			if err != nil {
				t.Fatal(err)
			}
			var rows []*record.Row
			for i := range tt.rows.Rows {
				rows = append(rows, &tt.rows.Rows[i])
			}
			got, err := l.append([]byte("x"), rows)
			if tt.bad != "" {
				if ps := record.ProblemsOf(err); len(ps) == 0 || ps[0].Field+":"+ps[0].Rule != tt.bad || string(got) != "x" {
					t.Errorf("%s, %v; want a problem of %s", got, err, tt.bad)
				}
				return
			}
			if err != nil || string(got) != "x"+tt.want {
				t.Errorf("%v\n got %s\nwant x%s", err, got, tt.want)
			}
			if !json.Valid(got[1:]) {
				t.Errorf("%s is no JSON", got[1:])
			}
		})
	}
}

func TestPayloadsFunction(t *testing.T) {
	b := table("email|group", "a@x.com|1")
	render, err := Payloads(objUser, schema.Load{Mode: schema.Delete, Header: b.Header})
	if err != nil {
		t.Fatal(err)
	}
	got, err := render(nil, []*record.Row{&b.Rows[0]})
	if err != nil || string(got) != `{"email":"a@x.com","group":"1","delete":"true"}` {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := render(nil, nil); err != nil || len(got) != 0 {
		t.Errorf("%s, %v", got, err)
	}
}

func TestLayoutErrors(t *testing.T) {
	for _, tt := range []struct {
		object  string
		mode    schema.Mode
		columns string
		bad     string
	}{
		{objGroups, "", "id", "can't be imported"}, {"nothing", "", "id", "can't be imported"},
		{objEmail, schema.Upsert, "email", "no mode upsert"},
		{objRelated, "", "datasetName|other", `no field "other"`},
		{objUser, "", "email|a.b|a", "needs an object|become"},
		{objUser, "", "email|a|a.b", "needs an object"},
		{objUser, "", "email|email", "two columns become"},
		{objRelated, "", "datasetName|key|attributes.a.b", "can't nest"},
	} {
		_, err := newLayout(tt.object, schema.Load{Mode: tt.mode, Header: record.LooseHeader(strings.Split(tt.columns, "|"))}, style{})
		ok := err != nil
		if ok {
			ok = false
			for part := range strings.SplitSeq(tt.bad, "|") {
				ok = ok || strings.Contains(err.Error(), part)
			}
		}
		if !ok {
			t.Errorf("%s %s: error = %v, want %q", tt.object, tt.columns, err, tt.bad)
		}
	}
	if _, err := newLayout(objUser, schema.Load{}, style{}); err == nil {
		t.Error("no header is taken")
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name, object string
		mode         schema.Mode
		options      string
		rows         *record.Batch
		want         string // field:rule of each problem, "" if the row is good
	}{
		{name: "email", object: objUser, rows: table("email", "a@x.com")},
		{name: "nobody", object: objUser, rows: table("email|userId", "-|-"), want: "email:identifier"},
		{name: "externalID", object: objUser, rows: table("email|externalID", "-|7"), want: "externalID:identifier"},
		{name: "externalID allowed", object: objUser, options: optNonUnique, rows: table("email|externalID", "-|7")},
		{name: "nobody though allowed", object: objUser, options: optNonUnique, rows: table("email|externalID|x", "-|-|1"), want: "email:identifier"},
		{name: "attribute", object: objUser, options: optNonUnique, rows: table("customer|city", "7|Rome")},
		{name: "recipient", object: objEmail, rows: table("email|group|messageId", "a@x.com|12|1")},
		{name: "group send", object: objEmail, rows: table("email|group|messageId", "-|12|1"), want: "group:group"},
		{name: "group send, no recipients at all", object: objEmail, rows: table("group|messageId", "12|1"), want: "group:group"},
		{name: "group send allowed", object: objEmail, options: optGroupSend, rows: table("group|messageId", "12|1")},
		{name: "mobile recipient", object: objEmail, rows: table("mobileNumber|group|messageId", "+1|12|1")},
		{name: "add", object: objRelated, mode: schema.Add, rows: table("datasetName|key|attributes|filter", `d|1|{"a":1}|-`)},
		{name: "add nothing", object: objRelated, mode: schema.Add, rows: table("datasetName|key|attributes|attributes.x", `d|1|{}|-`), want: "attributes:required"},
		{name: "add cleared", object: objRelated, mode: schema.Add, rows: table("datasetName|key|attributes", `d|1|~`), want: "attributes:required"},
		{name: "add with filter", object: objRelated, mode: schema.Add, rows: table("datasetName|key|attributes.x|filter.y", `d|1|2|3`), want: "filter:excluded"},
		{name: "update", object: objRelated, mode: schema.Update, rows: table("datasetName|key|attributes.x|filter.y", `d|1|2|3`)},
		{name: "update all", object: objRelated, mode: schema.Update, rows: table("datasetName|key|attributes.x", `d|1|2`), want: "filter:filter"},
		{name: "update all allowed", object: objRelated, mode: schema.Update, options: optReplace, rows: table("datasetName|key|attributes.x", `d|1|2`)},
		{name: "update nothing", object: objRelated, mode: schema.Update, rows: table("datasetName|key", `d|1`), want: "attributes:required filter:filter"},
		{name: "delete", object: objRelated, mode: schema.Delete, rows: table("datasetName|key|filter", `d|1|{"a":1}`)},
		{name: "delete all", object: objRelated, mode: schema.Delete, rows: table("datasetName|key", `d|1`), want: "filter:filter"},
		{name: "delete all allowed", object: objRelated, mode: schema.Delete, options: optDeleteAll, rows: table("datasetName|key", `d|1`)},
		{name: "delete by attributes", object: objRelated, mode: schema.Delete, options: optDeleteAll, rows: table("datasetName|key|attributes", `d|1|{"a":1}`), want: "attributes:excluded"},
		{name: "mode of the row", object: objRelated, mode: schema.Add, rows: table("datasetName|key|importMode|attributes", `d|1|delete|{"a":1}`), want: "attributes:excluded filter:filter"},
		{name: "mode of the run", object: objRelated, mode: schema.Delete, rows: table("datasetName|key|importMode|filter", `d|1|-|{"a":1}`)},
		{name: "one attribute twice", object: objRelated, mode: schema.Add, rows: table("datasetName|key|attributes|attributes.a", `d|1|{"a":1}|x`), want: "attributes:unique"},
		{name: "delete that does not", object: objUser, mode: schema.Delete, rows: table("email|delete", "a@x.com|false"), want: "delete:delete"},
		{name: "delete that does", object: objUser, mode: schema.Delete, rows: table("email|delete", "a@x.com|true")},
		{name: "bad time", object: objCart, rows: table("email|sku|createdAt", "a@x.com|1|10.02.2024"), want: "createdAt:datetime"},
		{name: "milliseconds", object: objCart, rows: table("email|sku|createdAt", "a@x.com|1|1741867804875")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			step, err := Check(tt.object, schema.Load{Mode: tt.mode, Header: tt.rows.Header, Options: map[string]bool{tt.options: true}})
			if err != nil {
				t.Fatal(err)
			}
			if err := step.Apply(tt.rows); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range record.ProblemsOf(tt.rows.Rows[0].Err) {
				got = append(got, p.Field+":"+p.Rule)
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("problems are %q, want %q: %v", s, tt.want, tt.rows.Rows[0].Err)
			}
		})
	}
}

func TestCheckAgain(t *testing.T) {
	b := table("email|group|messageId|x", "-|12|1|1", "-|12|1|1", "-|12|1|1", "-|12|1|1")
	b.Rows[0].Reject(record.Problem{Field: "messageId", Rule: "digits"})
	b.Rows[1].Reject(record.Problem{Field: "group", Rule: "digits"})
	b.Rows[2].Reject(record.Problem{Rule: "ragged"})
	b.Rows[3].Fate = record.Skipped
	step, err := Check(objEmail, schema.Load{Header: b.Header})
	if err != nil {
		t.Fatal(err)
	}
	if err := step.Apply(b); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{2, 1, 1, 0} {
		if n := len(record.ProblemsOf(b.Rows[i].Err)); n != want {
			t.Errorf("row %d has %d problems, want %d: %v", i+1, n, want, b.Rows[i].Err)
		}
	}
}

func TestCheckWhole(t *testing.T) {
	h := record.LooseHeader([]string{"externalID", "city"})
	if _, err := Check(objUser, schema.Load{Header: h}); err == nil || !strings.Contains(err.Error(), "--"+optNonUnique) {
		t.Errorf("error = %v", err)
	}
	var told []string
	b := table("email|userId", "a@x.com|1", "b@x.com|2")
	step, err := Check(objUser, schema.Load{Header: b.Header, Warn: func(s string) { told = append(told, s) }})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := step.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "userId first") {
		t.Errorf("warnings are %q", told)
	}
}

// TestTable holds the table against itself: rules compile for every object and mode, and each example is taken.
func TestTable(t *testing.T) {
	for _, o := range Schema().Objects {
		for _, mode := range o.Modes {
			var names []string
			for _, f := range o.Fields {
				if !f.Family() && f.Takes(mode) {
					names = append(names, f.Name)
				}
			}
			h := record.LooseHeader(names)
			if _, err := schema.NewChecker(&o, h, mode); err != nil {
				t.Errorf("%s %s: %v", o.Name, mode, err)
			}
			if _, err := newLayout(o.Name, schema.Load{Mode: mode, Header: h}, style{}); err != nil {
				t.Errorf("%s %s: %v", o.Name, mode, err)
			}
		}
		for _, f := range o.OrderBy {
			if _, ok := o.Field(f); !ok {
				t.Errorf("%s is ordered by %s, which it does not have", o.Name, f)
			}
		}
		for _, f := range o.Fields {
			if f.Doc == "" || f.Source == "" || f.Example == "" && !f.Family() {
				t.Errorf("%s.%s has no doc, source or example", o.Name, f.Name)
			}
		}
	}
}

func BenchmarkEvents(b *testing.B) {
	rows := users(1000)
	l, err := newLayout(objUser, schema.Load{Header: rows.Header}, style{})
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	one := make([]*record.Row, 1)
	b.ReportAllocs()
	for b.Loop() {
		buf = buf[:0]
		for i := range rows.Rows {
			one[0] = &rows.Rows[i]
			if buf, err = l.append(buf, one); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// TestRenames: a name that is to be changed and that nothing has is told, and one of a field or a column is not.
func TestRenames(t *testing.T) {
	var told []string
	load := schema.Load{Header: table("email|points", "a@x.com|1").Header, Warn: func(s string) { told = append(told, s) },
		Settings: map[string]string{keyFields: "email=mail,points=POINTS,sku=productSKU,attributes.size=SIZE,nosuch=other"}}
	if _, err := Check(objUser, load); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || !strings.Contains(told[0], "renames nosuch") {
		t.Errorf("warnings are %q", told)
	}
	load.Settings = map[string]string{keyFields: "EMail=mail"}
	if _, err := Check(objUser, load); err == nil || !strings.Contains(err.Error(), "did you mean email?") {
		t.Errorf("error is %v", err)
	}
}

// TestStamps holds the quick way of points in time against time.Parse, for each day that a month may have and some that none
// has.
func TestStamps(t *testing.T) {
	for _, year := range []int{1900, 2000, 2023, 2024} {
		for month := range 14 {
			for day := range 33 {
				for _, clock := range []string{"00:00:00", "23:59:59", "24:00:00", "12:60:00", "12:00:60"} {
					text := fmt.Sprintf("%04d-%02d-%02dT%sZ", year, month, day, clock)
					out, err := appendStamp([]byte("x"), text)
					at, wrong := time.Parse(time.RFC3339, text)
					switch want := `x"` + at.Format("2006-01-02T15:04:05.000Z") + `"`; {
					case wrong != nil && (err == nil || string(out) != "x"):
						t.Errorf("%s: %s, though it is no point in time: %v", text, out, wrong)
					case wrong == nil && (err != nil || string(out) != want):
						t.Errorf("%s: %s, %v; want %s", text, out, err, want)
					}
				}
			}
		}
	}
	const good = "2024-02-10T17:25:43Z"
	for i := range len(good) {
		for c := range 256 {
			text := good[:i] + string([]byte{byte(c)}) + good[i+1:]
			at, err := time.Parse(time.RFC3339, text)
			if want := err == nil && at.Format("2006-01-02T15:04:05Z") == text; canonical(text) != want {
				t.Errorf("%q: %v", text, !want)
			}
		}
	}
}
