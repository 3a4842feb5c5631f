package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

func TestCalls(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	j, dir := create(t, Options{Sync: noSync, Now: func() time.Time { at = at.Add(time.Second); return at }})
	steps := []step{
		sending(1, 2, 3), undone(1), // 1
		sending(1, 2, 3),                  // 2
		settled(2, record.Accepted, 2, 3), // row 1 stays in doubt
		sending(7),
		settled(0, record.Rejected, 1),
	}
	for _, s := range steps {
		s(t, j)
	}
	if err := j.Finish("partial"); err != nil {
		t.Fatal(err)
	}
	v, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if v.Status() != "partial" || len(v.Passes()) != 1 || v.Spec().Options["rate"] != "2" {
		t.Errorf("status %q, passes %+v, spec %+v", v.Status(), v.Passes(), v.Spec())
	}
	calls, err := v.Calls(1)
	if err != nil {
		t.Fatal(err)
	}
	sec := func(n int) time.Time { return time.Date(2026, 11, 22, 10, 0, n, 0, time.UTC) }
	want := []Call{
		{ID: 1, Attempt: 1, Op: "POST /x", Rows: 3, Sent: sec(4), Ended: sec(5), Outcome: CallUndone, Note: "429"},
		{ID: 2, Attempt: 2, Op: "POST /x", Rows: 3, Sent: sec(6), Outcome: CallOpen},
		{Rows: 1, Ended: sec(9), Outcome: CallSettled, Note: "note", Fate: record.Rejected,
			Problems: record.Problems{{Field: "f", Column: "c", Rule: "vendor", Message: "no"}, {Message: "and no"}}},
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Error(diff)
	}
	if calls, err = v.Calls(3); err != nil || len(calls) != 2 || calls[1].VendorID != "id3" || calls[1].Fate != record.Accepted {
		t.Errorf("row 3: %+v, %v", calls, err)
	}
	if calls, err = v.Calls(55); err != nil || len(calls) != 0 {
		t.Errorf("row 55: %+v, %v", calls, err)
	}
}

// TestReadWhileWriting reads a journal again and again while it grows.
func TestReadWhileWriting(t *testing.T) {
	j, dir := create(t, Options{Sync: noSync})
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for n := int64(1); n <= 2000; n++ {
			sending(n)(t, j)
			settled(n, record.Accepted, n)(t, j)
		}
	})
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		v, err := Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Calls(17); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

func TestSpecCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "leads.csv")
	if err := os.WriteFile(file, []byte("a\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := SourceOf(file)
	if err != nil {
		t.Fatal(err)
	}
	if src.Size != 4 || src.Digest != Digest([]byte("a\n1\n")) || src.Path != file {
		t.Errorf("%+v", src)
	}
	then := Spec{Run: "r", Source: src, Target: "mycrm/leads", Account: "a", Mode: "create", Mapping: Mapping{Digest: "m"}, Schema: "s"}
	now := then
	now.Source.Modified = now.Source.Modified.Add(time.Hour) // touched, not changed
	now.Tool = "2"
	if err := then.Check(now); err != nil {
		t.Errorf("nothing changed: %v", err)
	}
	now.Source.Digest, now.Account = "blake3:00", "b"
	err = then.Check(now)
	if err == nil || !strings.Contains(err.Error(), "leads.csv") || !strings.Contains(err.Error(), "account") || strings.Contains(err.Error(), "mode") {
		t.Errorf("two things changed: %v", err)
	}
}

// FuzzDecode gives any bytes as an entry: they must be refused or understood, never crash or loop.
func FuzzDecode(f *testing.F) {
	var e encoder
	e.strings = map[string]uint64{}
	e.sending(5, 1, "POST /x", rows(1, 3))
	e.settled(6, 1, "200", []*record.Row{{Num: 1, Fate: record.Accepted, ID: "x"}, {Num: 2, Fate: record.Rejected, Err: errors.New("no")}})
	e.undone(7, 1, "429")
	e.checkpoint(8, bitmap(1, 2, 5), bitmap(3), pipeline.Counts{Read: 4}, []byte("note"))
	for b := e.buf; len(b) > 0; {
		n := int(b[0]) | int(b[1])<<8
		f.Add(b[frameHead : frameHead+n])
		b = b[frameHead+n:]
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) == 0 {
			return
		}
		var d decoder
		s := newState()
		for range 2 {
			e, err := d.decode(payload)
			if err != nil {
				return
			}
			spans := slices.Concat(e.rows, e.final, e.unsure)
			for _, o := range e.outcomes {
				spans = append(spans, span{o.first, o.last})
				if o.fate.Open() || o.ids != nil && int64(len(o.ids)) != o.last-o.first+1 {
					t.Errorf("rows %d to %d are %s, with %d ids", o.first, o.last, o.fate, len(o.ids))
				}
			}
			var total int64
			for _, sp := range spans {
				if sp.first < 1 || sp.last < sp.first {
					t.Errorf("rows %d to %d", sp.first, sp.last)
				}
				total += sp.last - sp.first + 1
			}
			if total > 1<<16 {
				return // understood, and too long to wait for
			}
			_ = s.apply(e)
		}
	})
}

// FuzzLoad gives any bytes as a journal.
func FuzzLoad(f *testing.F) {
	e := encoder{strings: map[string]uint64{}}
	head := appendHead(nil, [saltLen]byte{1, 2, 3})
	e.seed, _ = parseHead(head)
	e.buf = bytes.Clone(head)
	e.raw(kindSpec, 1, []byte("{}"))
	e.raw(kindPass, 2, []byte("{}"))
	e.sending(3, 1, "POST /x", rows(1, 3))
	f.Add(e.buf)
	f.Add(head)
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _, _, end, err := load("j", bytes.NewReader(data), int64(len(data)))
		if err == nil && (end < int64(headLen) || end > int64(len(data))) {
			t.Errorf("ends at %d of %d", end, len(data))
		}
	})
}
