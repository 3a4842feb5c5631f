package sandbox

import (
	"crypto/sha256"
	"crypto/sha512"
	"net/http/httptest"
	"strings"
	"testing"
)

type toyClaims struct {
	User string `json:"user"`
	Exp  int64  `json:"exp"`
}

// newTokens makes tokens with a key in the store.
func newTokens(t *testing.T, s *Store) *Tokens {
	t.Helper()
	tokens := &Tokens{Header: `{"alg":"HS256","typ":"JWT"}`, Hash: sha256.New}
	if err := s.Fill(tokens.Keep); err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestTokens(t *testing.T) {
	tokens := newTokens(t, open(t, ""))
	token, err := tokens.Issue(toyClaims{"a<b", 12})
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(token, ".")
	middle, signature, _ := strings.Cut(rest, ".")
	if head != "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9" || middle != "eyJ1c2VyIjoiYTxiIiwiZXhwIjoxMn0" || len(signature) != 43 {
		t.Errorf("token %s", token)
	}
	var got toyClaims
	if !tokens.Read(token, &got) || got != (toyClaims{"a<b", 12}) {
		t.Errorf("read %+v", got)
	}
	other := newTokens(t, open(t, ""))
	longer := &Tokens{Header: tokens.Header, Hash: sha512.New, key: tokens.key}
	for _, c := range []struct {
		name   string
		tokens *Tokens
		token  string
	}{
		{"another key", other, token},
		{"another hash", longer, token},
		{"another signature", tokens, head + "." + middle + "." + strings.ToLower(signature)},
		{"no signature", tokens, head + "." + middle + "."},
		{"other claims", tokens, head + ".eyJ1c2VyIjoicm9vdCJ9." + signature},
		{"other header", tokens, "e30." + middle + "." + signature},
		{"signed, but no claims", tokens, head + "." + tokens.sign(head)},
		{"signed, but not base64", tokens, head + ".?." + tokens.sign(head+".?")},
		{"signed, but not JSON", tokens, head + ".AAAA." + tokens.sign(head+".AAAA")},
		{"signed, but claims of another kind", tokens, head + ".W10." + tokens.sign(head+".W10")},
		{"no dots", tokens, "token"},
		{"nothing", tokens, ""},
	} {
		if c.tokens.Read(c.token, &toyClaims{}) {
			t.Errorf("%s: taken", c.name)
		}
	}
	if _, err := tokens.Issue(make(chan int)); err == nil {
		t.Error("a token of what JSON does not have")
	}
}

// TestTokensLast: a token is good after a restart and after a reset.
func TestTokensLast(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	tokens := newTokens(t, s)
	token, err := tokens.Issue(toyClaims{User: "u"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := s.Fill(tokens.Keep); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	next := &Tokens{Header: tokens.Header, Hash: tokens.Hash}
	if err := next.Load(open(t, dir)); err != nil {
		t.Fatal(err)
	}
	if !next.Read(token, &toyClaims{}) {
		t.Error("the token is lost")
	}
}

func TestTokensLoadErrors(t *testing.T) {
	for doc, want := range map[string]string{
		"":               "the folder has no key for tokens: remove it to start anew",
		`{"key":"?"}`:    "key for tokens: illegal base64",
		`{"key":`:        "key for tokens: unexpected end",
		`["c2VjcmV0"]`:   "key for tokens: json: cannot unmarshal array",
		`{"key":"c2Vj"}`: "",
	} {
		s := open(t, "")
		if doc != "" {
			write(t, s, func(tx *Tx) { tx.Put("key", "1", []byte(doc)) })
		}
		tokens := &Tokens{Hash: sha256.New}
		err := tokens.Load(s)
		switch {
		case want == "" && (err != nil || string(tokens.key) != "sec"):
			t.Errorf("%s: %q %v", doc, tokens.key, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("%s: %v, want %s", doc, err, want)
		}
	}
}

func TestBearer(t *testing.T) {
	for header, want := range map[string]string{
		"Bearer abc":         "abc",
		"bearer a.b.c":       "a.b.c",
		"Bearer a b":         "a b",
		"Bearer":             "",
		"Bearer ":            "",
		"Basic dTpw":         "",
		"Token token=Bearer": "",
		"":                   "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", header)
		if got := Bearer(r); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}
