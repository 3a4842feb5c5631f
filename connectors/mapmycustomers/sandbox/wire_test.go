package sandbox

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/google/go-cmp/cmp"
)

// exchange is one example of the vendor's document, as it stands there: a curl line, an empty line, the answer.
type exchange struct{ curl, answer string }

func readExchange(t *testing.T, name string) exchange {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "wire", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	curl, answer, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		t.Fatalf("%s: no empty line", name)
	}
	return exchange{curl, answer}
}

// sample is the example's answer without blanks. The document shortens lists with a line of dots.
func (e exchange) sample(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(strings.ReplaceAll(e.answer, "\n...\n", "\n"))); err != nil {
		t.Fatalf("%s: %v", e.answer, err)
	}
	return b.String()
}

// request reads the curl line as a shell and curl would.
func (e exchange) request(t *testing.T, base, token string) *http.Request {
	t.Helper()
	line := strings.NewReplacer("https://mapmycustomers.me", base, "{token}", token,
		"user_email:user_password", "ops@example.com:sandbox",
		// The document has the variable outside of JSON's quotes, where it is no JSON.
		"$base64file", `"`+base64.StdEncoding.EncodeToString([]byte("%PDF-1.4\n%%EOF\n"))+`"`).Replace(e.curl)
	var args []string
	for line != "" {
		var arg string
		if q := line[0]; q == '\'' || q == '"' {
			arg, line, _ = strings.Cut(line[1:], string(q))
			line = strings.TrimPrefix(line, " ")
		} else {
			arg, line, _ = strings.Cut(line, " ")
		}
		args = append(args, arg)
	}
	method, body, url := "GET", "", ""
	header := http.Header{}
	for i := 1; i < len(args); i++ {
		switch args[i] {
		case "-H":
			i++
			name, value, _ := strings.Cut(args[i], ": ")
			header.Set(name, value)
		case "-X":
			i++
			method = args[i]
		case "-d":
			i++
			body = args[i]
		case "--user":
			i++
			header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(args[i])))
		default:
			url = args[i]
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	return r
}

// start serves a simulator that puts nobody to a wait, and returns a token for it.
func start(t *testing.T, o room.Options, k Knobs) (s *Simulator, base, token string) {
	t.Helper()
	if k.Activation == 0 {
		k.Activation = -1
	}
	s, err := NewWith(o, k)
	if err != nil {
		t.Fatal(err)
	}
	base = sandboxtest.Serve(t, Name, s)
	token, err = s.issue(s.Now(), s.knobs)
	if err != nil {
		t.Fatal(err)
	}
	return s, base, token
}

func send(t *testing.T, r *http.Request) (status int, body string) {
	t.Helper()
	a, body, err := sandboxtest.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if ct := a.Header.Get("Content-Type"); a.StatusCode < 300 && ct != "application/json" {
		t.Errorf("%s %s: Content-Type %q", r.Method, r.URL, ct)
	}
	return a.StatusCode, body
}

// keep puts records into the store as they are.
func keep(t *testing.T, s *Simulator, kind, array string) {
	t.Helper()
	var all []json.RawMessage
	if err := json.Unmarshal([]byte(array), &all); err != nil {
		t.Fatal(err)
	}
	err := s.Store.Fill(func(tx *room.Tx) error {
		for i, doc := range all {
			var one struct{ ID string }
			if err := json.Unmarshal(doc, &one); err != nil {
				return err
			}
			if one.ID == "" {
				one.ID = fmt.Sprint(i)
			}
			tx.Put(kind, one.ID, doc)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestWire plays each example of the document against an account that has the document's records, and wants the
// document's answer, byte for byte but for blanks.
func TestWire(t *testing.T) {
	for _, name := range []string{"02-customers", "03-customer", "04-search", "05-create", "06-update", "07-delete",
		"08-routes", "09-create-route", "10-territories", "11-updates", "12-user", "13-customfields", "14-groups"} {
		t.Run(name, func(t *testing.T) {
			s, base, token := start(t, room.Options{}, Knobs{})
			customers := readExchange(t, "02-customers").sample(t)
			keep(t, s, kindCustomers, customers)
			switch name {
			case "08-routes":
				keep(t, s, kindRoutes, readExchange(t, name).sample(t))
			case "09-create-route":
				keep(t, s, kindCustomers, `[{"id":"Amy5CnIySf","latitude":1,"longitude":2},{"id":"Nk3vFYz1gJ","latitude":3,"longitude":4}]`)
			case "11-updates":
				keep(t, s, kindUpdates, readExchange(t, name).sample(t))
			case "12-user":
				err := s.Store.Fill(func(tx *room.Tx) error {
					tx.Put(kindAccount, single, []byte(readExchange(t, name).sample(t)))
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			e := readExchange(t, name)
			status, body := send(t, e.request(t, base, token))
			if status != 200 {
				t.Errorf("status %d", status)
			}
			if diff := cmp.Diff(e.sample(t), body); diff != "" {
				t.Error(diff)
			}

			var after string
			switch name {
			case "05-create":
				_, after = send(t, exchange{curl: `curl -H "Authorization: Bearer {token}" https://mapmycustomers.me/api/v1/customers/search/SHARON`}.request(t, base, token))
				want := []string{`"name":"xyz","company":"abc","address":"6399 ridge road","city":"sharon center","state":"ohio"`, `"notes":"good lead should call again"`}
				for _, w := range want {
					if !strings.Contains(after, w) {
						t.Errorf("created %s, without %s", after, w)
					}
				}
				if s.Store.Len(kindFiles) != 1 {
					t.Error("the file is gone")
				}
			case "06-update":
				_, after = send(t, readExchange(t, "03-customer").request(t, base, token))
				if !strings.Contains(after, `"name":"xyz","company":"abc","address":"6399 ridge road","city":"sharon center","state":"ohio","zip":"29585"`) {
					t.Errorf("updated to %s", after)
				}
			case "07-delete":
				if status, _ := send(t, e.request(t, base, token)); status != 404 {
					t.Errorf("deleted again: %d", status)
				}
			case "09-create-route":
				_, after = send(t, readExchange(t, "08-routes").request(t, base, token))
				if !strings.Contains(after, `"name":"my-route-name","points":["1,2","3,4"]`) {
					t.Errorf("made %s", after)
				}
			case "14-groups":
				_, after = send(t, readExchange(t, "12-user").request(t, base, token))
				if !strings.Contains(after, `"groups":["group1","group2","group3"],"hiddenGroups"`) {
					t.Errorf("user is now %s", after)
				}
			}
		})
	}
}

// TestShapes holds what the simulator makes itself against the document's samples: the same names in the same order,
// with values of the same types.
func TestShapes(t *testing.T) {
	_, base, token := start(t, room.Options{Seed: 1}, Knobs{Rate: -1})
	get := func(path string) string {
		t.Helper()
		_, body := send(t, exchange{curl: `curl -H "Authorization: Bearer {token}" https://mapmycustomers.me/api/v1` + path}.request(t, base, token))
		return body
	}
	send(t, readExchange(t, "05-create").request(t, base, token))
	for _, doc := range sandboxtest.Elements(t, get("/customers")) {
		if diff := cmp.Diff(shape(t, readExchange(t, "03-customer").sample(t)), shape(t, doc), nullable); diff != "" {
			t.Errorf("customer:\n%s", diff)
		}
	}
	if diff := cmp.Diff(shape(t, readExchange(t, "12-user").sample(t)), shape(t, get("/user"))); diff != "" {
		t.Errorf("user:\n%s", diff)
	}
	for _, doc := range sandboxtest.Elements(t, get("/updates")) {
		if diff := cmp.Diff(shape(t, sandboxtest.Elements(t, readExchange(t, "11-updates").sample(t))[0]), shape(t, doc)); diff != "" {
			t.Errorf("update:\n%s", diff)
		}
	}
	var ids []string
	for _, doc := range sandboxtest.Elements(t, get("/customers")) {
		var one struct{ ID string }
		if err := json.Unmarshal([]byte(doc), &one); err != nil || len(one.ID) != 10 {
			t.Errorf("id %q, %v", one.ID, err)
		}
		ids = append(ids, one.ID)
	}
	body, err := room.Marshal(map[string]any{"routeName": "r", "customerIds": ids})
	if err != nil {
		t.Fatal(err)
	}
	send(t, exchange{curl: `curl -H "Authorization: Bearer {token}" -H "Content-Type: application/json" -X POST -d '` + string(body) + `' https://mapmycustomers.me/api/v1/routes`}.request(t, base, token))
	for _, doc := range sandboxtest.Elements(t, get("/routes")) {
		if diff := cmp.Diff(shape(t, sandboxtest.Elements(t, readExchange(t, "08-routes").sample(t))[0]), shape(t, doc)); diff != "" {
			t.Errorf("route:\n%s", diff)
		}
	}
}

// nullable lets a number be null, as dealAmount is in the sample.
var nullable = cmp.Comparer(func(a, b kindOf) bool {
	return a == b || a == "null" && b == "number" || a == "number" && b == "null"
})

type kindOf string

type field struct {
	Name string
	Kind kindOf
}

// shape lists an object's members with their types, in order.
func shape(t *testing.T, doc string) []field {
	t.Helper()
	members, err := room.ParseObject([]byte(doc))
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	var out []field
	for _, m := range members {
		kind := kindOf("number")
		switch m.Value[0] {
		case '"':
			kind = "string"
		case '[':
			kind = "array"
		case 'n':
			kind = "null"
		case '{':
			kind = "object"
			for _, inner := range shape(t, string(m.Value)) {
				out = append(out, field{m.Name + "." + inner.Name, inner.Kind})
			}
		}
		out = append(out, field{m.Name, kind})
	}
	return out
}

// TestWireToken plays the document's token example. Its sample is damaged (a letter of its header is missing), but its
// middle can be read.
func TestWireToken(t *testing.T) {
	now := time.Unix(1496282843, 900_000_000) // the sample's time of issue
	_, base, _ := start(t, room.Options{Now: func() time.Time { return now }}, Knobs{Activation: 10 * time.Second, TokenTTL: 70 * time.Second})
	e := readExchange(t, "01-token")
	status, body := send(t, e.request(t, base, ""))
	if diff := cmp.Diff(shape(t, e.sample(t)), shape(t, body)); diff != "" || status != 200 {
		t.Fatalf("%d %s", status, diff)
	}
	var got, sample struct{ Token string }
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(e.answer), &sample); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(got.Token, ".")
	if len(parts) != 3 || len(parts[2]) != 86 {
		t.Fatalf("token %s", got.Token)
	}
	head, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil || string(head) != `{"typ":"JWT","alg":"HS512"}` || !strings.HasPrefix(sample.Token, parts[0][:16]) {
		t.Errorf("header %s, %v", head, err)
	}
	middle, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if got := string(middle); !strings.HasPrefix(got, `{"iat":1496282843,"jti":"`) ||
		!strings.HasSuffix(got, `","iss":"mapmycustomers.me","nbf":1496282853,"exp":1496282913,"data":{"objectId":"gjmVUryhoI","username":"ops@example.com"}}`) {
		t.Errorf("claims %s", got)
	}
	// The readable parts of the sample's claims.
	for _, part := range []string{`{"iat":1496282843,"jti":"`, `iss":"mapmycustomers.me","nbf":1496282853,`, `exp":1496282913,"data":{"objectId":"gjmVUryhoI","username":"`} {
		found := false
		for shift := range 4 {
			raw, _ := base64.RawURLEncoding.DecodeString(strings.Repeat("A", shift) + strings.Split(sample.Token, ".")[1])
			found = found || bytes.Contains(raw, []byte(part))
		}
		if !found {
			t.Errorf("the sample does not say %s", part)
		}
	}
}
