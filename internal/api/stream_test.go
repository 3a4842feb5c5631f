package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestStream(t *testing.T) {
	noLeaks(t)
	big := "[" + strings.Repeat(`{"id":"1234567890"},`, 50_000) + "{}]"
	drip := func(w http.ResponseWriter, r *http.Request) {
		for i := range 8 {
			_, _ = fmt.Fprintf(w, "[%d]\n", i)
			w.(http.Flusher).Flush()
			time.Sleep(40 * time.Millisecond)
		}
	}
	stall := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, big[:10_000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	cases := []struct {
		name  string
		fault http.HandlerFunc
		n     int64
		class Class // of Stream
		read  Class // of the reading
		says  string
		want  string
		calls int64
	}{
		{name: "whole", fault: answer(200, "", big), want: big, calls: 1},
		{name: "gzip", fault: answer(200, "Content-Encoding: gzip", zipped(big)), want: big, calls: 1},
		{name: "empty", fault: answer(200, "", ""), calls: 1},
		{name: "slow but steady", fault: drip, want: "[0]\n[1]\n[2]\n[3]\n[4]\n[5]\n[6]\n[7]\n", calls: 1},
		{name: "short", fault: raw(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(big)+1, big)), read: Transient, says: "cut off", calls: 1},
		{name: "short chunks", fault: raw(fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(big), big)), read: Transient, says: "cut off", calls: 1},
		{name: "short gzip", fault: answer(200, "Content-Encoding: gzip", zipped(randomText(200_000))[:100_000]), read: Transient, says: "cut off", calls: 1},
		{name: "damaged gzip", fault: answer(200, "Content-Encoding: gzip", zipped(randomText(200_000))[:100_000]+strings.Repeat("x", 50_000)), read: Transient, calls: 1},
		{name: "stalls", fault: stall, read: Transient, says: "within 150ms", calls: 1},
		{name: "502 first", fault: answer(502, "", ""), n: 2, want: "{}", calls: 3},
		{name: "short from the start", fault: raw("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n[1,2"), n: 2, want: "{}", calls: 3},
		{name: "error inside 200", fault: answer(200, "", `{"error":"no list today"}`), class: Invalid, says: "no list today", calls: 1},
		{name: "page", fault: answer(200, "", "<html><title>Log in</title>"+strings.Repeat(" ", 9000)), class: Blocked, says: "Log in", calls: 3},
		{name: "401", fault: answer(401, "", ``), class: Auth, calls: 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var n atomic.Int64
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if k := n.Add(1); c.n == 0 || k <= c.n {
					c.fault(w, r)
					return
				}
				answer(200, "", "{}")(w, r)
			})
			cl := testClient(t, srv.URL, func(c *Config) { c.Timeout = 150 * time.Millisecond })
			st, err := cl.Stream(t.Context(), &Request{Op: "GET /list", Method: "GET"})
			if c.class != "" {
				var e *Error
				if !errors.As(err, &e) || e.Class != c.class || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("%v, want %q, %q", err, c.class, c.says)
				}
			} else if err != nil {
				t.Fatal(err)
			} else {
				got, err := io.ReadAll(st)
				if c.read == "" && (err != nil || string(got) != c.want) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if c.read != "" {
					var e *Error
					if !errors.As(err, &e) || e.Class != c.read || e.Applied || !strings.Contains(err.Error(), c.says) {
						t.Errorf("%v, want %q, %q", err, c.read, c.says)
					}
				}
				if err := st.Close(); err != nil {
					t.Error(err)
				}
				if _, err := st.Read(make([]byte, 1)); err == nil {
					t.Error("a read after the end")
				}
			}
			if n.Load() != c.calls {
				t.Errorf("%d calls, want %d", n.Load(), c.calls)
			}
		})
	}
	t.Run("closed early", func(t *testing.T) {
		srv := serve(t, stall)
		cl := testClient(t, srv.URL, nil)
		st, err := cl.Stream(t.Context(), &Request{Op: "GET", Method: "GET"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(st).ReadByte(); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

// randomText does not compress well.
func randomText(n int) string {
	b := make([]byte, n)
	x := uint32(9)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}
