package mappconnect

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// early answers each call before it has read its body, which it does when some more calls were made.
type early struct {
	t      *testing.T
	bodies []io.ReadCloser // not read yet
	marks  []string        // what the bodies that were read began with
}

func (e *early) RoundTrip(r *http.Request) (*http.Response, error) {
	e.bodies = append(e.bodies, r.Body)
	if len(e.bodies) > 2 {
		e.read()
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func (e *early) read() {
	body, err := io.ReadAll(e.bodies[0])
	if err != nil {
		e.t.Error(err)
	}
	if err := e.bodies[0].Close(); err != nil {
		e.t.Error(err)
	}
	e.bodies = e.bodies[1:]
	events := eventsOf(e.t, "/event/batch", body)
	mark, _, _ := strings.Cut(events[0], "-")
	for _, event := range events {
		if !strings.HasPrefix(event, mark+"-") {
			e.t.Errorf("%s and %s in one batch", events[0], event)
		}
	}
	e.marks = append(e.marks, mark)
}

// TestEarlyAnswers has answers that come before a body was read: the next batch must not be written over what of the last
// one is still on its way.
func TestEarlyAnswers(t *testing.T) {
	e := &early{t: t}
	f := &fake{t: t, url: "https://mapp.example"}
	c, err := Open(schema.Connection{Name: "mapp", Settings: f.settings()}, api.Env{Transport: e})
	if err != nil {
		t.Fatal(err)
	}
	NoWaits(c)
	batch := func(n int) *record.Batch {
		var lines []string
		for i := range 50 {
			lines = append(lines, fmt.Sprintf("%c-%d@example.com|1", 'a'+n, i))
		}
		return table("email|group", lines...)
	}
	header := batch(0).Header
	sink, err := c.Sink(t.Context(), objUser, schema.Load{Header: header}, newLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 9 {
		b := batch(n)
		b.Header = header
		if err := sink.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	for len(e.bodies) > 0 {
		e.read()
	}
	want := ""
	for n := range 9 {
		want += fmt.Sprintf(`{"email":"%c`, 'a'+n)
	}
	if got := strings.Join(e.marks, ""); got != want {
		t.Errorf("batches that begin with %s, want %s", got, want)
	}
}

// TestRoomIsUsedAgain sends batches one after the other, which need no more room than one of them.
func TestRoomIsUsedAgain(t *testing.T) {
	f := newFake(t)
	made, err := f.connect().Sink(t.Context(), objUser, schema.Load{Header: users(1).Header}, newLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	s := made.(*sink)
	used := map[*parcel]bool{}
	for range 20 {
		b := users(50)
		b.Header = s.layout.header
		if err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for _, p := range s.spare {
			used[p] = true
		}
	}
	// A body that the transport lets go of late is not waited for.
	if len(used) == 0 || len(used) > 10 {
		t.Errorf("%d parcels came back from 20 batches", len(used))
	}
	if len(f.events) != 1000 {
		t.Errorf("%d events", len(f.events))
	}
}
