package sandbox

import (
	"context"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"
)

// maxDrain bounds what is read of a request's body that nobody wants.
const maxDrain = 64 << 20

// serve answers r with work, or lets it fail as the fault says. A fault that closes the connection panics with
// http.ErrAbortHandler, which makes net/http close it without another word.
func (f Fault) serve(w http.ResponseWriter, r *http.Request, now func() time.Time, work func(http.ResponseWriter)) {
	if f.Slow > 0 && !pause(r.Context(), f.Slow) {
		panic(http.ErrAbortHandler)
	}
	ends := f.Drop || f.Hang > 0 || f.Status != 0
	switch {
	case f.Cut != nil:
		cut := &cutWriter{ResponseWriter: w, cut: *f.Cut, left: f.Cut.Bytes}
		work(cut)
		cut.finish()
		return
	case !ends:
		work(w)
		return
	case f.Applied:
		work(&sinkWriter{header: http.Header{}})
	default:
		// The client must have sent all of its request before it learns that nothing was done, or it would see a
		// broken pipe where a vendor's answer is meant.
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxDrain))
	}
	if f.Hang > 0 {
		pause(r.Context(), f.Hang)
	}
	if f.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	f.Retry.Set(w.Header(), now())
	WriteError(w, f.Status, f.Body, "made to fail by the rule: "+f.Rule)
}

// pause waits, and reports false if the client has gone meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Set writes the Retry-After header, if there is to be one. A date has whole seconds only, so it is rounded up: a client that
// obeys it never comes too early.
func (a RetryAfter) Set(h http.Header, now time.Time) {
	switch a.Form {
	case RetrySeconds:
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(a.Wait.Seconds()))))
	case RetryDate:
		at := now.Add(a.Wait).UTC()
		if whole := at.Truncate(time.Second); whole.Before(at) {
			at = whole.Add(time.Second)
		}
		h.Set("Retry-After", at.Format(http.TimeFormat))
	}
}

// sinkWriter takes an answer that nobody is to see.
type sinkWriter struct{ header http.Header }

func (s *sinkWriter) Header() http.Header         { return s.header }
func (s *sinkWriter) Write(p []byte) (int, error) { return len(p), nil }
func (s *sinkWriter) WriteHeader(int)             {}

// Expect tells how many bytes a streamed body will have, before the first of them. A fault that cuts the body at a share of it
// needs to know; with declare, the client is told by a Content-Length as well.
func Expect(w http.ResponseWriter, size int64, declare bool) {
	for inner := w; inner != nil; {
		if c, ok := inner.(*cutWriter); ok {
			c.size, c.sized = size, true
		}
		u, ok := inner.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		inner = u.Unwrap()
	}
	if declare {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
}

// cutWriter lets the beginning of a body through. As long as it does not know where to cut, it holds the body back.
type cutWriter struct {
	http.ResponseWriter
	cut    Cut
	size   int64
	sized  bool
	left   int64 // what may still pass; negative: not known
	status int
	begun  bool
	held   []byte
}

// Unwrap lets http.ResponseController reach the connection.
func (c *cutWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// WriteHeader holds the status back until the body is known to begin.
func (c *cutWriter) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
}

func (c *cutWriter) Write(p []byte) (int, error) {
	if c.left < 0 {
		if !c.sized {
			c.held = append(c.held, p...)
			return len(p), nil
		}
		c.left = int64(float64(c.size) * c.cut.Percent / 100)
	}
	return len(p), c.pass(p)
}

func (c *cutWriter) begin() {
	if c.begun {
		return
	}
	c.begun = true
	if c.cut.Clean {
		c.Header().Del("Content-Length")
	}
	if c.status != 0 {
		c.ResponseWriter.WriteHeader(c.status)
	}
}

func (c *cutWriter) pass(p []byte) error {
	c.begin()
	n := min(int64(len(p)), c.left)
	c.left -= n
	_, err := c.ResponseWriter.Write(p[:n])
	if err == nil && n < int64(len(p)) && !c.cut.Clean {
		c.abort()
	}
	return err
}

// abort sends what has passed so far and breaks the connection.
func (c *cutWriter) abort() {
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// finish sends the share of a body whose size was not known before its end.
func (c *cutWriter) finish() {
	if c.left < 0 {
		size := int64(len(c.held))
		if c.sized {
			size = c.size
		}
		c.left = int64(float64(size) * c.cut.Percent / 100)
		if err := c.pass(c.held); err != nil {
			return
		}
	}
	c.begin()
	if !c.cut.Clean {
		c.abort()
	}
}
