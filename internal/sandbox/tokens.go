package sandbox

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"strings"
)

// Tokens makes and reads the tokens that a simulator gives out: JWTs, signed by HMAC with a key of the simulator's own. The
// key is the one record of the store's kind "key", which no call of a vendor returns, so that tokens outlive the process;
// they stay good over a reset too, as an account's do when its records go.
type Tokens struct {
	Header string           // the first part of a token, as JSON
	Hash   func() hash.Hash // the one that Header names: sha256.New for HS256

	key []byte
}

const keyKind, keyID = "key", "1"

// keyRecord is how the key is kept.
type keyRecord struct {
	Key []byte `json:"key"`
}

// Keep puts the key among the records of a first start, and makes it if there is none yet.
func (t *Tokens) Keep(tx *Tx) error {
	if t.key == nil {
		t.key = make([]byte, 64)
		if _, err := rand.Read(t.key); err != nil {
			return err
		}
	}
	return tx.PutJSON(keyKind, keyID, keyRecord{t.key})
}

// Load takes the key from the records.
func (t *Tokens) Load(s *Store) error {
	doc, ok, err := s.Get(keyKind, keyID)
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("the folder has no key for tokens: remove it to start anew")
	}
	var kept keyRecord
	if err := json.Unmarshal(doc, &kept); err != nil {
		return fmt.Errorf("key for tokens: %w", err)
	}
	t.key = kept.Key
	return nil
}

// Issue makes a token that says what claims, a struct with JSON names, has.
func (t *Tokens) Issue(claims any) (string, error) {
	body, err := Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(t.Header)) + "." + base64.RawURLEncoding.EncodeToString(body)
	return signed + "." + t.sign(signed), nil
}

// Read takes in what a token says, and reports whether it was made with this key.
func (t *Tokens) Read(token string, claims any) bool {
	i := strings.LastIndexByte(token, '.')
	if i < 0 || !hmac.Equal([]byte(token[i+1:]), []byte(t.sign(token[:i]))) {
		return false
	}
	_, middle, _ := strings.Cut(token[:i], ".")
	body, err := base64.RawURLEncoding.DecodeString(middle)
	return err == nil && json.Unmarshal(body, claims) == nil
}

func (t *Tokens) sign(text string) string {
	h := hmac.New(t.Hash, t.key)
	h.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// Bearer returns the token of a request's Authorization header, "" if it has none.
func Bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}
