package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMessage(t *testing.T) {
	cases := []struct{ body, want string }{
		{``, ""},
		{"  \n", ""},
		{`{"message":"bad phone"}`, "bad phone"},
		{"\xef\xbb\xbf{\"message\":\"bad phone\"}", "bad phone"},
		{`{"error":"invalid_email","message":"the email is invalid"}`, "the email is invalid (invalid_email)"},
		{`{"error":"invalid_client","error_description":"no such key"}`, "no such key (invalid_client)"},
		{`{"error":{"message":"nested","code":7}}`, "nested"},
		{`{"errors":["a","b"]}`, "a; b"},
		{`{"errors":{"zip":["too long","not a number"],"email":"is taken"}}`, "email: is taken; zip: too long; not a number"},
		{`{"errors":[{"field":"zip","message":"too long"},{"message":"odd"}]}`, "zip: too long; odd"},
		{`{"message":"invalid","errors":{"zip":["too long"]}}`, "invalid: zip: too long"},
		{`{"title":"Bad Request","detail":"mobile is missing"}`, "mobile is missing (Bad Request)"},
		{`{"errorActor":"CLIENT","errorCode":"INVALID_REQUEST","message":"no"}`, "no (INVALID_REQUEST)"},
		{`{"Message":"capital"}`, "capital"},
		{`"only a string"`, "only a string"},
		{`[{"status":"error","error":"email taken"}]`, "email taken"},
		{`{"code":12345678901234567890}`, "12345678901234567890"},
		{`{"foo":"bar"}`, `{"foo":"bar"}`},
		{`{}`, `{}`},
		{`null`, `null`},
		{`{"message":`, `{"message":`},
		{"plain\ttext\r\nwith \x1b[31mcolours\x00 and \u202e tricks", "plain text with [31mcolours and tricks"},
		{"latin \xe9", "latin \uFFFD"},
		{`<html><head><title> 502 Bad&nbsp;Gateway </title></head><body>x</body></html>`, "502 Bad\u00a0Gateway"},
		{`<!doctype html><style>b{}</style><body><h1>Access &amp; more</h1><script>alert(1)</script> denied`, "Access & more denied"},
		{`<?xml version="1.0"?><Error><Message>No</Message></Error>`, "No"},
		{`<`, "<"},
	}
	for _, c := range cases {
		got := message(http.Header{}, []byte(c.body))
		want := strings.Join(strings.Fields(c.want), " ")
		if got != want {
			t.Errorf("%q: %q, want %q", c.body, got, want)
		}
	}
}

func TestFailure(t *testing.T) {
	cases := []struct {
		body string
		want bool
	}{
		{``, false}, {`{}`, false}, {`[{"error":"x"}]`, false}, {`{"data":{"error":"x"}}`, false},
		{`{"error":""}`, false}, {`{"error":null,"errors":{}}`, false}, {`{"errors":[ ]}`, false}, {`{"error":false}`, false}, {`{"error":0}`, false},
		{`{"error":"x"`, false}, {`{"error":"x"} trailing`, false}, {`"error"`, false},
		{`{"error":"x"}`, true}, {`{"errors":["x"]}`, true}, {`{"errors":{"a":"x"}}`, true}, {`{"error":true}`, true}, {`{"error":1}`, true}, {` {"id":1,"error":{"code":5}}`, true},
		{`{"success":false,"message":"no"}`, true}, {`{"ok":false}`, true}, {`{"success":true}`, false}, {`{"success":"false"}`, false}, {`{"ok":0,"success":null}`, false},
	}
	for _, c := range cases {
		if text, got := failure([]byte(c.body)); got != c.want || got && text == "" {
			t.Errorf("%s: %v %q", c.body, got, text)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"errors":{"a":[{"b":"c"}]}}`))
	f.Add([]byte(`<title>x</title>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := cut(message(nil, b), maxMessage)
		if !utf8.ValidString(s) || len(s) > maxMessage || strings.ContainsAny(s, "\r\n\x00\x1b") {
			t.Errorf("%q", s)
		}
		failure(b)
	})
}

func TestCut(t *testing.T) {
	for n := 3; n < 12; n++ {
		if got := cut("äöü€abc", n); len(got) > n || !utf8.ValidString(got) {
			t.Errorf("%d: %q", n, got)
		}
	}
}

// TestRedact hides secrets in every form that a text may repeat them in, and leaves other words alone.
func TestRedact(t *testing.T) {
	secrets := []string{"hunter2-canary", `we"ird/p&ss <wörd>+%`, "longer", "longer-still", "ab"}
	r := newRedactor(secrets, "ada@example.com")
	jsonOf := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, s := range secrets[:4] {
		for _, prefix := range []string{"", "u:", "uu:", "uuu:", "ada@example.com:"} {
			for _, text := range []string{
				prefix + s,
				"?p=" + url.QueryEscape(prefix+s),
				"/" + url.PathEscape(prefix+s) + "/",
				"/" + strings.ToLower(url.PathEscape(prefix+s)) + "/",
				jsonOf(prefix + s),
				base64.StdEncoding.EncodeToString([]byte(prefix + s)),
				base64.URLEncoding.EncodeToString([]byte(prefix + s + "tail")),
				base64.RawStdEncoding.EncodeToString([]byte(prefix + s)),
			} {
				got := r.text("before " + text + " after")
				if !strings.Contains(got, masked) || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
					t.Errorf("%q: %q", text, got)
				}
				for _, f := range forms(s) {
					if strings.Contains(got, f) {
						t.Errorf("%q: %q shows %q", text, got, f)
					}
				}
			}
		}
	}
	if got := r.text("a longer-still b"); got != "a "+masked+" b" {
		t.Errorf("the shorter secret tore the longer one: %q", got)
	}
	for _, shape := range []string{
		"Authorization: Basic YWRhOnNlY3JldA==", "bearer AbCdEf123456", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
		`{"access_token":"abc\"def"}`, `{"password": "x"}`, "client_secret=abc&x=1", "https://crm.example/x?token=abcdef12", "x-api-key: 0123456789abcdef", "https://ada:pw@proxy.example/",
	} {
		got := newRedactor(nil, "").text(shape)
		if !strings.Contains(got, masked) {
			t.Errorf("%q stays", shape)
		}
		for _, part := range []string{"YWRhOn", "AbCdEf", "eyJ", "abc", "def\"", `"x"`, "0123", ":pw@"} {
			if strings.Contains(got, part) {
				t.Errorf("%q: %q", shape, got)
			}
		}
	}
	for _, plain := range []string{
		"basic authentication is required", "bearer token expired", "password is too short", "password: is required", "x-api-key: missing",
		"the token is invalid", "http://crm.example/a:b@c", "about 12 abs",
	} {
		if got := newRedactor([]string{"ab"}, "ada").text(plain); got != plain {
			t.Errorf("%q became %q", plain, got)
		}
	}
	if got := newRedactor(nil, "").text(""); got != "" {
		t.Error(got)
	}
}

// TestSecretsStayWhole shows no half of a secret where a text is cut, and none that lost its blanks or became HTML.
func TestSecretsStayWhole(t *testing.T) {
	const secret = `pass  phrase "canary"&more`
	token := "canary-" + strings.Repeat("0123456789", 20)
	for _, c := range []struct {
		name, location, body string
		status               int
	}{
		{"page", "", "<html><body>" + strings.Repeat("word ", 37) + "you sent " + token + "</body></html>", 502},
		{"page that calls itself a success", "", "<html><body>" + strings.Repeat("word ", 37) + "you sent " + token + "</body></html>", 200},
		{"long text", "", strings.Repeat("word ", maxMessage/5-3) + token, 400},
		{"redirect", "https://other.example/" + strings.Repeat("x", 250) + token, "", 302},
		{"blanks", "", "you sent " + secret, 400},
		{"HTML", "", `<html><title>you sent pass phrase &quot;canary&quot;&amp;more</title>`, 502},
		{"HTML in JSON", "", `{"message":"you sent pass  phrase &#34;canary&#34;&amp;more"}`, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := ""
			if c.location != "" {
				header = "Location: " + c.location
			}
			srv := serve(t, answer(c.status, header, c.body))
			cl := testClient(t, srv.URL, func(cf *Config) { cf.Secrets, cf.Attempts = []string{secret}, 1 })
			told := ""
			_, err := cl.Do(t.Context(), &Request{Op: "POST", Method: "POST", Header: http.Header{"X-Api-Key": {token}}, Undone: func(why string) error {
				told = why
				return nil
			}})
			if err == nil || strings.Contains(err.Error()+told, "canary") || strings.Contains(err.Error()+told, "0123") {
				t.Errorf("%v; told %q", err, told)
			}
			if len(err.Error()) > maxMessage+100 || strings.HasPrefix(c.body, "<") && len(err.Error()) > maxPage+100 {
				t.Errorf("%d bytes: %v", len(err.Error()), err)
			}
		})
	}
}

func TestRedactError(t *testing.T) {
	r := newRedactor([]string{"canary"}, "")
	cause := errors.New("a canary sang")
	err := r.error(fmt.Errorf("outside: %w", cause))
	if err.Error() != "outside: a "+masked+" sang" || !errors.Is(err, cause) {
		t.Error(err)
	}
	if plain := errors.New("quiet"); r.error(plain) != plain || r.error(nil) != nil {
		t.Error("a harmless error was changed")
	}
}

func TestRedactLearns(t *testing.T) {
	r := newRedactor(nil, "")
	for i := range 3 * learned {
		r.learn(http.Header{"Auth-Token": {fmt.Sprintf("token-%06d", i)}, "X-Other": {"visible"}})
	}
	if got := r.text(fmt.Sprintf("token-%06d visible", 3*learned-1)); got != masked+" visible" {
		t.Error(got)
	}
	if len(r.seen) != learned {
		t.Errorf("%d values are kept", len(r.seen))
	}
}
