package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
)

// sniff is how much of a stream is looked at before it is handed out: a failure that calls itself a success is short.
const sniff = 4 << 10

// Stream is an answer that is read as it comes. It is for one goroutine, and must be closed.
type Stream struct {
	Status int
	Header http.Header

	a    *attempt
	body io.Closer
	r    *bufio.Reader
	err  error
}

// Stream makes a call and returns as soon as its answer has begun well; up to then it is like Do. From then on nothing
// is repeated. The answer may take as long as it likes, as long as something comes within each Config.Timeout.
func (c *Client) Stream(ctx context.Context, r *Request) (*Stream, error) {
	var s *Stream
	err := c.call(ctx, r, func(a *attempt, hr *http.Response) *verdict {
		a.timer.Stop()
		body, err := a.unpacked(hr, true)
		if err != nil {
			return a.broken(hr.StatusCode, err)
		}
		br := bufio.NewReaderSize(body, 64<<10)
		head, err := br.Peek(sniff)
		if err != nil && !errors.Is(err, io.EOF) {
			return a.broken(hr.StatusCode, err)
		}
		whole := err != nil
		if b := trimBOM(head); whole || len(b) > 0 && b[0] == '<' {
			if v := notMeant(hr, head); v != nil {
				return v
			}
		}
		a.keep = true
		s = &Stream{Status: hr.StatusCode, Header: hr.Header, a: a, body: hr.Body, r: br}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Read reads on. io.EOF is the end that the vendor meant; an answer that is cut off, stands still or can't be unpacked
// ends with an *Error.
func (s *Stream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err == nil {
		return n, nil
	}
	if !errors.Is(err, io.EOF) {
		v := s.a.broken(s.Status, err)
		c := s.a.cl
		harmless := s.a.r.Method == http.MethodGet || s.a.r.Method == http.MethodHead
		err = &Error{Op: c.Redact(s.a.r.Op), Class: v.class, Status: s.Status, Message: cut(c.Redact(v.message), maxMessage), Applied: !harmless, Err: c.secrets.error(v.err)}
	}
	s.err = err
	s.a.end()
	return n, err
}

// Close ends the call, whether or not all of the answer was read.
func (s *Stream) Close() error {
	if s.err == nil {
		s.err = errors.New("the stream is closed")
	}
	s.a.end()
	return s.body.Close()
}
