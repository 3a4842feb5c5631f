package schema

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/record"
)

// people is an object with one of everything.
func people() *Object {
	return &Object{
		Name: "people", Title: "People", Modes: []Mode{Create, Update, Delete}, MaxBatch: 100, KeyFields: []string{"email"},
		Fields: []Field{
			{Name: "id", Type: ID, In: map[Mode]string{Update: "required", Delete: "required"}, Rules: "len=10"},
			{Name: "name", Type: Text, In: map[Mode]string{Create: "required_without=company"}, Rules: "max=20", Aliases: []string{"Full Name"}},
			{Name: "company", Type: Text, In: map[Mode]string{Create: "required_without=name"}, Rules: "max=20"},
			{Name: "email", Type: Email, Rules: "email,max=30", Example: "ada@example.com"},
			{Name: "phone", Type: Phone, Rules: "e164"},
			{Name: "color", Type: Enum, Values: []string{"black", "green", "neon red"}},
			{Name: "tags", Type: List, Rules: "max=3,dive,max=5"},
			{Name: "mails", Type: List, Rules: "dive,email"},
			{Name: "price.from", Type: Number, Rules: "min=0"},
			{Name: "price.to", Type: Number, Rules: "gtefield=price.from"},
			{Name: "rooms", Type: Integer, Rules: "min=0,max=50"},
			{Name: "born", Type: Date},
			{Name: "died", Type: Date, Rules: "gtfield=born"},
			{Name: "status", Type: Enum, Values: []string{"open", "sold"}},
			{Name: "buyer", Type: Text, In: map[Mode]string{Create: "required_if=status sold"}, Rules: "excludesall=<>"},
			{Name: "web", Type: Text, Rules: "url|email"},
			{Name: "member", Type: Bool, In: map[Mode]string{Update: "required"}},
		},
	}
}

// rowOf makes a row of "name=value" cells; the value's form says its kind.
func rowOf(t testing.TB, obj *Object, cells ...string) (*record.Header, *record.Batch) {
	t.Helper()
	var names []string
	var values []record.Value
	for _, c := range cells {
		name, text, _ := strings.Cut(c, "=")
		names = append(names, name)
		f, ok := obj.Field(name)
		switch {
		case !ok:
			t.Fatalf("no field %s", name)
		case text == "null":
			values = append(values, record.NullOf())
		case text == "absent":
			values = append(values, record.Value{})
		case strings.HasPrefix(text, "#"):
			values = append(values, record.Of(record.Fault, text))
		case f.Type == List && text != "":
			values = append(values, record.ListOf(strings.Split(text, ";")))
		case f.Type == List:
			values = append(values, record.ListOf(nil))
		case f.Type == Number || f.Type == Integer:
			values = append(values, record.NumberOf(text))
		case f.Type == Date:
			values = append(values, record.Of(record.Date, text))
		case f.Type == Bool:
			values = append(values, record.Of(record.Bool, text))
		default:
			values = append(values, record.TextOf(text))
		}
	}
	h, err := record.NewHeader(names)
	if err != nil {
		t.Fatal(err)
	}
	b := &record.Batch{Header: h}
	r := b.Add()
	r.Num, r.Values = 1, values
	return h, b
}

func TestChecker(t *testing.T) {
	long := strings.Repeat("x", 19) + "é"
	tests := []struct {
		name  string
		mode  Mode
		cells []string
		want  []string // "field rule: message"
	}{
		{"good", Create, []string{"name=Ada", "email=ada@example.com", "color=neon red", "tags=a;b", "rooms=0", "price.from=1.5", "price.to=1.5"}, nil},
		{"neither name nor company is one problem", Create, []string{"name=", "company= "},
			[]string{"name required_without: name or company is required: both are empty"}},
		{"columns that are not there", Create, []string{"email=a@b.co"},
			[]string{"name required_without: name or company is required: both are empty"}},
		{"company is enough", Create, []string{"name=null", "company=ACME"}, nil},
		{"another mode", Update, []string{"name=", "id=absent", "member=false"}, []string{"id required: is required"}},
		{"false is a value", Update, []string{"id=0123456789", "member=false"}, nil},
		{"characters, not bytes", Create, []string{"name=" + long}, nil},
		{"too long", Create, []string{"name=" + long + "é"}, []string{"name max: must be at most 20 characters, has 21"}},
		{"wrong length", Delete, []string{"id=123"}, []string{"id len: must be exactly 10 characters, has 3"}},
		{"all problems", Create, []string{"name=" + long + "!", "email=" + strings.Repeat("no", 20), "color=purple", "rooms=51"}, []string{
			"name max: must be at most 20 characters, has 21", "email email: is not an e-mail address",
			"email max: must be at most 30 characters, has 40", "color oneof: must be one of black, green, neon red",
			"rooms max: must be at most 50, is 51"}},
		{"did you mean", Create, []string{"name=A", "color=neon rd"},
			[]string{"color oneof: must be one of black, green, neon red; did you mean neon red?"}},
		{"phone", Create, []string{"name=A", "phone=050 123"}, []string{"phone e164: is not a phone number in international form, as in +971501234567"}},
		{"too many items", Create, []string{"name=A", "tags=a;b;c;d"}, []string{"tags max: must have at most 3 items, has 4"}},
		{"bad items", Create, []string{"name=A", "tags=a;bbbbbb;cccccc"},
			[]string{"tags max: item 2 must be at most 5 characters, has 6; 1 item more with the same problem"}},
		{"bad address in a list", Create, []string{"name=A", "mails=a@b.co;nobody"}, []string{"mails email: item 2 is not an e-mail address"}},
		{"empty list", Create, []string{"name=A", "tags="}, nil},
		{"numbers are compared as numbers", Create, []string{"name=A", "price.from=-0.01", "rooms=9"}, []string{"price.from min: must be at least 0, is -0.01"}},
		{"against another field", Create, []string{"name=A", "price.from=100", "price.to=20"}, []string{"price.to gtefield: must be at least price.from, is 20"}},
		{"against a field that is empty", Create, []string{"name=A", "price.from=null", "price.to=20"}, nil},
		{"dates", Create, []string{"name=A", "born=2001-01-01", "died=2000-01-01"}, []string{"died gtfield: must be greater than born, is 2000-01-01"}},
		{"required_if", Create, []string{"name=A", "status=sold"}, []string{"buyer required_if: is required if status is sold"}},
		{"required_if does not apply", Create, []string{"name=A", "status=open"}, nil},
		{"alternatives", Create, []string{"name=A", "web=nothing"}, []string{"web url|email: must be a web address, or be an e-mail address"}},
		{"alternatives, second", Create, []string{"name=A", "web=a@b.co"}, nil},
		{"error cell", Create, []string{"name=A", "company=#N/A"}, []string{"company fault: the cell holds the spreadsheet's error #N/A"}},
		{"null clears", Update, []string{"id=0123456789", "member=true", "email=null"}, nil},
		{"a number too long for 64 bits", Create, []string{"name=A", "rooms=99999999999999999999"}, []string{"rooms max: must be at most 50, is 99999999999999999999"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, b := rowOf(t, people(), tt.cells...)
			c, err := NewChecker(people(), h, tt.mode)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Apply(b); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range record.ProblemsOf(b.Rows[0].Err) {
				got = append(got, p.Field+" "+p.Rule+": "+p.Message)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if want := map[bool]record.Fate{true: record.Pending, false: record.Rejected}[len(tt.want) == 0]; b.Rows[0].Fate != want {
				t.Errorf("fate = %v, want %v", b.Rows[0].Fate, want)
			}
		})
	}
}

func TestCheckerRowsThatAreDone(t *testing.T) {
	h, b := rowOf(t, people(), "name=")
	c, err := NewChecker(people(), h, Create)
	if err != nil {
		t.Fatal(err)
	}
	for _, fate := range []record.Fate{record.Rejected, record.Skipped, record.Accepted, record.Unchanged} {
		b.Rows[0].Fate = fate
		if err := c.Apply(b); err != nil || b.Rows[0].Err != nil {
			t.Errorf("a row that is %v was checked: %v, %v", fate, err, b.Rows[0].Err)
		}
	}
}

func TestCheckerNamesColumns(t *testing.T) {
	h, b := rowOf(t, people(), "name=Ada", "email=x")
	c, err := NewChecker(people(), h, Create)
	if err != nil {
		t.Fatal(err)
	}
	c.Columns = []string{"Name", "E-mail"}
	if err := c.Apply(b); err != nil {
		t.Fatal(err)
	}
	if got, want := b.Rows[0].Err.Error(), `email (column "E-mail"): is not an e-mail address`; got != want {
		t.Errorf("error = %q, want %q", got, want)
	}
}

func TestCheckerOtherColumns(t *testing.T) {
	h, _ := rowOf(t, people(), "name=Ada")
	c, err := NewChecker(people(), h, Create)
	if err != nil {
		t.Fatal(err)
	}
	_, b := rowOf(t, people(), "company=ACME")
	if err := c.Apply(b); err == nil {
		t.Error("rows with other columns were checked")
	}
}

func TestCheckerMissing(t *testing.T) {
	h, _ := rowOf(t, people(), "name=Ada")
	c, err := NewChecker(people(), h, Update)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"id", "member"}, c.Missing()); diff != "" {
		t.Error(diff)
	}
}

func TestNewCheckerErrors(t *testing.T) {
	tests := []struct {
		name  string
		field Field
		want  string
	}{
		{"unknown rule", Field{Name: "a", Type: Text, Rules: "emial"}, `field a: rule "emial": validator has no such rule; did you mean email?`},
		{"unknown among alternatives", Field{Name: "a", Type: Text, Rules: "email|ulr"}, "did you mean url?"},
		{"unknown after dive", Field{Name: "a", Type: List, Rules: "dive,emial"}, "did you mean email?"},
		{"unknown field", Field{Name: "a", Type: Text, In: map[Mode]string{Create: "required_without=compny"}}, "did you mean company?"},
		{"unknown field in a pair", Field{Name: "a", Type: Text, In: map[Mode]string{Create: "required_if=sttus x"}}, "did you mean status?"},
		{"odd pairs", Field{Name: "a", Type: Text, In: map[Mode]string{Create: "required_if=status"}}, "pairs of a field and a value"},
		{"no parameter", Field{Name: "a", Type: Text, In: map[Mode]string{Create: "required_with"}}, "one or more fields"},
		{"bad number", Field{Name: "a", Type: Text, Rules: "max=many"}, `rule "max=many": it does not fit a field of type text`},
		{"bad number in the second alternative", Field{Name: "a", Type: Text, Rules: "email|max=many"}, `rule "max=many"`},
		{"fraction for a whole number", Field{Name: "a", Type: Integer, Rules: "max=1.5"}, "it does not fit a field of type integer"},
		{"dive into a text", Field{Name: "a", Type: Text, Rules: "dive,max=3"}, "it does not fit a field of type text"},
		{"other types", Field{Name: "a", Type: Text, Rules: "gtefield=rooms"}, "can't be compared"},
		{"reads files", Field{Name: "a", Type: Text, Rules: "file"}, "must not read files"},
		{"empty rule", Field{Name: "a", Type: Text, Rules: "max=3,,min=1"}, "empty rule"},
		{"bad choice", Field{Name: "a", Type: Enum, Values: []string{"don't"}}, "single quote"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := people()
			o.Fields = append(o.Fields, tt.field)
			h, _ := rowOf(t, o, "name=x")
			_, err := NewChecker(o, h, Create)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestNewCheckerTellsAllErrors(t *testing.T) {
	o := people()
	o.Fields = append(o.Fields, Field{Name: "a", Rules: "emial"}, Field{Name: "b", Rules: "ulr"})
	h, _ := rowOf(t, o, "name=x")
	_, err := NewChecker(o, h, Create)
	if err == nil || !strings.Contains(err.Error(), "emial") || !strings.Contains(err.Error(), "ulr") {
		t.Errorf("error = %v, want both", err)
	}
}

// TestCheckerManyGoroutines sends good and bad rows through one checker from many goroutines: each row must get its
// own problems and no other's.
func TestCheckerManyGoroutines(t *testing.T) {
	o := people()
	h, _ := rowOf(t, o, "name=", "email=", "rooms=0")
	c, err := NewChecker(o, h, Create)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 200 {
				b := &record.Batch{Header: h}
				n := 51 + w*1000 + i
				for k := range 3 {
					r := b.Add()
					r.Values = []record.Value{record.TextOf("x"), record.TextOf("a@b.co"), record.NumberOf("7")}
					if k == 1 {
						r.Values[2] = record.NumberOf(fmt.Sprint(n))
					}
				}
				if err := c.Apply(b); err != nil {
					t.Error(err)
					return
				}
				want := fmt.Sprintf("rooms: must be at most 50, is %d", n)
				if b.Rows[0].Err != nil || b.Rows[2].Err != nil || b.Rows[1].Err == nil || b.Rows[1].Err.Error() != want {
					t.Errorf("errors = %v, %v, %v; want only %q", b.Rows[0].Err, b.Rows[1].Err, b.Rows[2].Err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}
