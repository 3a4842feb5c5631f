package sandbox

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Digest is the SHA-256 of a request's body, in hex as text.
type Digest [sha256.Size]byte

// MarshalText writes the digest in hex.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads hex.
func (d *Digest) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(d) {
		return fmt.Errorf("digest %q: want %d hex digits", text, hex.EncodedLen(len(d)))
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// String returns the digest in hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Ledger is what a simulator did since its folder was made or reset: what tests compare with what a client says it did.
type Ledger struct {
	Vendor       string         `json:"vendor"`
	Writes       []Written      `json:"writes"`
	Requests     []RequestCount `json:"requests"`
	MaxPerSecond int            `json:"max_per_second"` // most requests under the vendor's rate in any 1 s, refused ones among them
}

// RequestCount counts requests that were alike and ended alike.
type RequestCount struct {
	Method string `json:"method"`
	Path   string `json:"path"`             // without what all the vendor's paths share; ids and terms as {id}, {term}
	Status int    `json:"status"`           // 0: the connection was closed without an answer
	Broken bool   `json:"broken,omitempty"` // the connection was closed before the answer's end
	Count  int64  `json:"count"`
}

// Count adds up the requests to a method and path, with the status or, if it is negative, any.
func (l Ledger) Count(method, path string, status int) int64 {
	var n int64
	for _, r := range l.Requests {
		if r.Method == method && r.Path == path && (status < 0 || r.Status == status) {
			n += r.Count
		}
	}
	return n
}

// counters are the part of a ledger that is no list of writes.
type counters struct {
	requests map[RequestCount]int64 // by everything but Count
	peak     peak
}

// notedCounters is how counters are kept between runs.
type notedCounters struct {
	Requests     []RequestCount `json:"requests"`
	MaxPerSecond int            `json:"max_per_second"`
}

func newCounters(noted []byte) (counters, error) {
	c := counters{requests: map[RequestCount]int64{}}
	if noted == nil {
		return c, nil
	}
	var n notedCounters
	if err := json.Unmarshal(noted, &n); err != nil {
		return c, fmt.Errorf("counters of the sandbox: %w", err)
	}
	for _, r := range n.Requests {
		count := r.Count
		r.Count = 0
		c.requests[r] += count
	}
	c.peak.most = n.MaxPerSecond
	return c, nil
}

func (c *counters) list() []RequestCount {
	out := make([]RequestCount, 0, len(c.requests))
	for r, n := range c.requests {
		r.Count = n
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b RequestCount) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method), cmp.Compare(a.Status, b.Status), boolInt(a.Broken)-boolInt(b.Broken))
	})
	return out
}

func (c *counters) note() ([]byte, error) {
	return json.Marshal(notedCounters{c.list(), c.peak.most})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// NewWritten describes a write for Store.Write.
func NewWritten(at time.Time, method, path string, body []byte) Written {
	return Written{Time: at.UTC(), Method: method, Path: path, Body: sha256.Sum256(body)}
}
