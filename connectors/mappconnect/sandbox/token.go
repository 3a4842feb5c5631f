package sandbox

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// AuthHeader is the header in which the simulator says why it refused a token. The vendor has nothing like it.
const AuthHeader = "X-Sandbox-Auth"

// Why a token was refused, as AuthHeader says it.
const (
	AuthMissing   = "missing"       // there is no header auth-token
	AuthMalformed = "malformed"     // it is not a JWT with HS256, a request-hash and an exp
	AuthSignature = "bad-signature" // it was signed with another secret
	AuthHash      = "hash-mismatch" // it was made for another path, body or query
	AuthExpired   = "expired"       // exp is over
	AuthUnit      = "exp-unit"      // exp is in the units that exp_unit rules out
	AuthTooFar    = "exp-too-far"   // exp is further ahead than token_max_ttl allows
)

// millisFrom is from where on a number of time is taken for milliseconds: as seconds it would be the year 5138, as
// milliseconds it was 1973.
const millisFrom = 1e11

// verify checks a request's token, by the vendor's rules: JWT with HS256 whose request-hash is the SHA-1 of path, body
// and query as they were sent. It returns why the token is refused, "" if it is good.
func verify(r *http.Request, body []byte, at time.Time, k Knobs) string {
	token := r.Header.Get("auth-token")
	if token == "" {
		return AuthMissing
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return AuthMalformed
	}
	var decoded [3][]byte
	for i, part := range parts {
		b, ok := decode(part, k.StrictJWT)
		if !ok {
			return AuthMalformed
		}
		decoded[i] = b
	}
	var head struct {
		Alg string `json:"alg"`
	}
	if json.Unmarshal(decoded[0], &head) != nil || head.Alg != "HS256" {
		return AuthMalformed
	}
	mac := hmac.New(sha256.New, []byte(k.Secret))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if !hmac.Equal(decoded[2], mac.Sum(nil)) {
		return AuthSignature
	}
	var claims struct {
		Hash *string      `json:"request-hash"`
		Exp  *json.Number `json:"exp"`
	}
	if json.Unmarshal(decoded[1], &claims) != nil || claims.Hash == nil || claims.Exp == nil {
		return AuthMalformed
	}
	if *claims.Hash != requestHash(r, body) {
		return AuthHash
	}
	return expiry(claims.Exp.String(), at, k)
}

// decode reads a part of a token: base64 in either alphabet, with or without padding, since widely used clients of the
// vendor mix the alphabets; strict takes base64url without padding alone.
func decode(part string, strict bool) ([]byte, bool) {
	if !strict {
		part = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(part, "="))
	}
	b, err := base64.RawURLEncoding.DecodeString(part)
	return b, err == nil && !strings.ContainsAny(part, "\r\n")
}

// requestHash is the SHA-1, in hex, of the request's path from its last "/api/v" on, and after a pipe each the body and
// the query if there are any.
func requestHash(r *http.Request, body []byte) string {
	path := r.URL.EscapedPath()
	if i := strings.LastIndex(path, "/api/v"); i >= 0 {
		path = path[i:]
	}
	h := sha1.New() // the vendor's choice; what protects a request is the HMAC around it
	h.Write([]byte(path))
	if len(body) > 0 {
		h.Write([]byte{'|'})
		h.Write(body)
	}
	if r.URL.RawQuery != "" {
		h.Write([]byte("|" + r.URL.RawQuery))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// expiry checks exp. Clients in production send seconds or milliseconds, so both are taken unless a knob says otherwise.
func expiry(exp string, at time.Time, k Knobs) string {
	n, err := strconv.ParseFloat(exp, 64)
	if err != nil || n != math.Trunc(n) || n < 0 || n > 1e17 {
		return AuthMalformed
	}
	millis := n >= millisFrom
	if millis && k.ExpUnit == unitSeconds || !millis && k.ExpUnit == unitMillis {
		return AuthUnit
	}
	if !millis {
		n *= 1000
	}
	switch left := time.UnixMilli(int64(n)).Sub(at); {
	case left <= 0:
		return AuthExpired
	case k.TokenMax > 0 && left > k.TokenMax:
		return AuthTooFar
	}
	return ""
}
