package api

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestFaults meets a vendor that misbehaves for its first answers and is well then. fault answers the first n calls,
// forever if n is 0.
func TestFaults(t *testing.T) {
	const page = "<!DOCTYPE html><html><head><title>Request blocked</title></head><body>no</body></html>"
	cases := []struct {
		name       string
		method     string
		idempotent bool
		fault      http.HandlerFunc
		n          int64
		class      Class // "" is success
		status     int
		applied    bool
		says       string
		arrived    int64 // calls that reached the vendor
		told       string
	}{
		{name: "well", method: "POST", fault: answer(201, "", `{"id":1}`), arrived: 1, told: s},
		{name: "429 then well", method: "POST", fault: answer(429, "Retry-After: 0", ``), n: 2, arrived: 3, told: su + " " + su + " " + s},
		{name: "503 then well", method: "POST", fault: answer(503, "", page), n: 2, arrived: 3, told: rep(su, 2) + " " + s},
		{name: "429 forever", method: "POST", fault: answer(429, "Retry-After: 0", `{"message":"slow down"}`), class: Limited, status: 429, says: "slow down", arrived: 6, told: rep(su, 6)},
		{name: "503 forever", method: "POST", fault: answer(503, "", ``), class: Transient, status: 503, arrived: 6, told: rep(su, 6)},
		{name: "500 on POST", method: "POST", fault: answer(500, "", `{"error":"oops"}`), class: Transient, status: 500, applied: true, says: "oops", arrived: 1, told: s},
		{name: "502 page on POST", method: "POST", fault: answer(502, "Content-Type: text/html", page), class: Transient, status: 502, applied: true, says: "Request blocked", arrived: 1, told: s},
		{name: "504 on PATCH", method: "PATCH", fault: answer(504, "", ``), class: Transient, status: 504, applied: true, arrived: 1, told: s},
		{name: "520 on POST", method: "POST", fault: answer(520, "", ``), class: Transient, status: 520, applied: true, arrived: 1, told: s},
		{name: "500 on DELETE, not idempotent", method: "DELETE", fault: answer(500, "", ``), class: Transient, status: 500, applied: true, arrived: 1, told: s},
		{name: "500 on GET", method: "GET", fault: answer(500, "", ``), n: 3, arrived: 4, told: rep(s, 4)},
		{name: "500 on GET forever", method: "GET", fault: answer(500, "", ``), class: Transient, status: 500, arrived: 6, told: rep(s, 6)},
		{name: "500 on idempotent PUT", method: "PUT", idempotent: true, fault: answer(500, "", ``), n: 2, arrived: 3, told: rep(s, 3)},
		{name: "502 on idempotent PUT forever", method: "PUT", idempotent: true, fault: answer(502, "", ``), class: Transient, status: 502, applied: true, arrived: 6, told: rep(s, 6)},
		{name: "408 on POST", method: "POST", fault: answer(408, "", ``), class: Transient, status: 408, applied: true, arrived: 1, told: s},
		{name: "closed after reading, POST", method: "POST", fault: raw(""), class: Transient, applied: true, arrived: 1, told: s},
		{name: "closed after reading, DELETE", method: "DELETE", fault: raw(""), class: Transient, applied: true, arrived: 1, told: s},
		{name: "closed after reading, PUT", method: "PUT", fault: raw(""), class: Transient, applied: true, arrived: 1, told: s},
		{name: "closed after reading, GET", method: "GET", fault: raw(""), n: 2, arrived: 3, told: rep(s, 3)},
		{name: "reset after reading, POST", method: "POST", fault: reset, class: Transient, applied: true, arrived: 1, told: s},
		{name: "reset after reading, GET", method: "GET", fault: reset, n: 2, arrived: 3, told: rep(s, 3)},
		{name: "hangs, POST", method: "POST", fault: hang, class: Transient, applied: true, says: "no answer from", arrived: 1, told: s},
		{name: "hangs, GET", method: "GET", fault: hang, n: 1, arrived: 2, told: rep(s, 2)},
		{name: "garbage instead of HTTP, POST", method: "POST", fault: raw("hello\r\n\r\n"), class: Transient, applied: true, arrived: 1, told: s},
		{name: "short answer, POST", method: "POST", fault: raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":"), class: Transient, status: 200, applied: true, says: "cut off", arrived: 1, told: s},
		{name: "short answer, GET", method: "GET", fault: raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":"), n: 2, arrived: 3, told: rep(s, 3)},
		{name: "short chunks, GET", method: "GET", fault: raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), class: Transient, status: 200, says: "cut off", arrived: 6, told: rep(s, 6)},
		{name: "short gzip, GET", method: "GET", fault: answer(200, "Content-Encoding: gzip", zipped(`{"id":1}`)[:20]), class: Transient, status: 200, says: "cut off", arrived: 6, told: rep(s, 6)},
		{name: "no gzip at all, GET", method: "GET", fault: answer(200, "Content-Encoding: gzip", `{"id":1,"name":"plain"}`), class: Transient, status: 200, arrived: 6, told: rep(s, 6)},
		{name: "brotli, GET", method: "GET", fault: answer(200, "Content-Encoding: br", `x`), class: Protocol, status: 200, says: `"br"`, arrived: 1, told: s},
		{name: "gzip", method: "GET", fault: answer(200, "Content-Encoding: gzip", zipped(`{"id":1}`)), arrived: 1, told: s},
		{name: "empty gzip", method: "DELETE", fault: answer(200, "Content-Encoding: gzip", ``), arrived: 1, told: s},
		{name: "huge answer, GET", method: "GET", fault: answer(200, "", strings.Repeat("x", 200_000)), class: Protocol, status: 200, says: "longer than 100000 bytes", arrived: 1, told: s},
		{name: "huge answer, POST", method: "POST", fault: answer(200, "", strings.Repeat("x", 200_000)), class: Protocol, status: 200, applied: true, arrived: 1, told: s},
		{name: "gzip bomb", method: "GET", fault: answer(200, "Content-Encoding: gzip", zipped(strings.Repeat("x", 10_000_000))), class: Protocol, status: 200, arrived: 1, told: s},
		{name: "huge error", method: "POST", fault: answer(400, "", `{"message":"no"}`+strings.Repeat(" ", 200_000)), class: Invalid, status: 400, says: "no", arrived: 1, told: s},
		{name: "400", method: "POST", fault: answer(400, "", `{"errors":{"email":["is taken"]}}`), class: Invalid, status: 400, says: "email: is taken", arrived: 1, told: s},
		{name: "422", method: "POST", fault: answer(422, "", `{"message":"bad phone"}`), class: Invalid, status: 422, says: "bad phone", arrived: 1, told: s},
		{name: "413", method: "POST", fault: answer(413, "", `too large`), class: Invalid, status: 413, says: "too large", arrived: 1, told: s},
		{name: "404", method: "DELETE", fault: answer(404, "", ``), class: NotFound, status: 404, arrived: 1, told: s},
		{name: "409", method: "POST", fault: answer(409, "", `{"error":"duplicate"}`), class: Conflict, status: 409, says: "duplicate", arrived: 1, told: s},
		{name: "401", method: "POST", fault: answer(401, "", `{"error":"who are you"}`), class: Auth, status: 401, says: "who are you", arrived: 1, told: su},
		{name: "403", method: "POST", fault: answer(403, "Content-Type: application/json", `{"message":"not yours"}`), class: Permission, status: 403, says: "not yours", arrived: 1, told: su},
		{name: "403 page", method: "POST", fault: answer(403, "Content-Type: text/html", page), class: Blocked, status: 403, says: "Request blocked", arrived: 3, told: rep(su, 3)},
		{name: "403 page called JSON", method: "GET", fault: answer(403, "Content-Type: application/json", "\n  "+page), class: Blocked, status: 403, arrived: 3, told: rep(su, 3)},
		{name: "403 page, then well", method: "POST", fault: answer(403, "", page), n: 2, arrived: 3, told: rep(su, 2) + " " + s},
		{name: "405", method: "POST", fault: answer(405, "", ``), class: Setup, status: 405, arrived: 1, told: su},
		{name: "302", method: "POST", fault: answer(302, "Location: https://other.example/login?token=abc", ``), class: Setup, status: 302, says: "https://other.example/login;", arrived: 1, told: su},
		{name: "308 to a path", method: "POST", fault: answer(308, "Location: /v2/x", ``), class: Setup, status: 308, says: "/v2/x;", arrived: 1, told: su},
		{name: "304", method: "GET", fault: answer(304, "", ``), class: Setup, status: 304, arrived: 1, told: su},
		{name: "200 with an error", method: "POST", fault: answer(200, "", "\xef\xbb\xbf {\"error\":\"email missing\"}"), class: Invalid, status: 200, says: "email missing", arrived: 1, told: s},
		{name: "200 with errors", method: "POST", fault: answer(200, "", `{"id":7,"errors":[{"field":"zip","message":"too long"}]}`), class: Invalid, status: 200, says: "zip: too long", arrived: 1, told: s},
		{name: "200 with empty errors", method: "POST", fault: answer(200, "", `{"id":7,"errors":[ ],"error":null}`), arrived: 1, told: s},
		{name: "200 with error false", method: "POST", fault: answer(200, "", `{"id":7,"error":false}`), arrived: 1, told: s},
		{name: "200 with a page, POST", method: "POST", fault: answer(200, "", page), class: Blocked, status: 200, applied: true, says: "Request blocked", arrived: 1, told: s},
		{name: "200 with a page, GET", method: "GET", fault: answer(200, "", page), class: Blocked, status: 200, arrived: 3, told: rep(s, 3)},
		{name: "204", method: "DELETE", fault: answer(204, "", ``), arrived: 1, told: s},
		{name: "plain text", method: "DELETE", fault: answer(200, "Content-Type: text/html", `Document deleted successfully`), arrived: 1, told: s},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var arrived atomic.Int64
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if k := arrived.Add(1); c.n == 0 || k <= c.n {
					c.fault(w, r)
					return
				}
				answer(200, "", `{"ok":true}`)(w, r)
			})
			cl := testClient(t, srv.URL, func(cf *Config) {
				cf.MaxAnswer = 100_000
				if strings.HasPrefix(c.name, "hangs") {
					cf.Timeout = 150 * time.Millisecond
				}
			})
			var told calls
			r := told.watch(&Request{Op: c.method + " /x", Method: c.method, Path: "/x", Idempotent: c.idempotent})
			if c.method != "GET" && c.method != "DELETE" {
				r.Body = []byte(`{"a":1}`)
			}
			got, err := cl.Do(t.Context(), r)
			check(t, err, c.class, c.status, c.applied, c.says)
			if c.class == "" && got == nil || c.class != "" && got != nil {
				t.Errorf("answer %v with error %v", got, err)
			}
			if n := arrived.Load(); n != c.arrived {
				t.Errorf("%d calls reached the vendor, want %d", n, c.arrived)
			}
			if told.String() != c.told {
				t.Errorf("told %q, want %q", told.String(), c.told)
			}
			st := cl.Stats()
			if st.Sent != c.arrived || st.Retried != c.arrived-1 {
				t.Errorf("stats %+v for %d arrivals", st, c.arrived)
			}
		})
	}
}
