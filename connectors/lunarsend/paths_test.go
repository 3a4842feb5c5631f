package lunarsend

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// TestWrongPath stops a run whose creates meet no path: every row would.
func TestWrongPath(t *testing.T) {
	f := newFake(t)
	f.fault = func(string, int) string { return missing404 }
	b := table(adaHeader, adaRow, adaRow)
	l, err := write(t, f.connect(), schema.Load{}, b)
	var known *api.Error
	if !errors.As(err, &known) || known.Class != api.Setup || !strings.Contains(err.Error(), "paths_create") {
		t.Errorf("error %v, want one of class config that names paths_create", err)
	}
	if l.InFlight() != 0 || b.Rows[0].Fate != record.Pending {
		t.Errorf("%d calls have no outcome, the row is %s", l.InFlight(), b.Rows[0].Fate)
	}
}

func TestKeyRefused(t *testing.T) {
	f := newFake(t)
	f.fault = func(string, int) string { return refuse401 }
	c := f.connect()
	var known *api.Error
	if err := c.Ready(t.Context()); !errors.As(err, &known) || known.Class != api.Auth {
		t.Errorf("Ready: %v", err)
	}
	b := table(adaHeader, adaRow)
	if _, err := write(t, c, schema.Load{}, b); !errors.As(err, &known) || known.Class != api.Auth {
		t.Errorf("Write: %v", err)
	}
	f.fault = nil
	if s, err := c.Ping(t.Context()); err != nil || !strings.Contains(s, "legacy") {
		t.Errorf("Ping: %q, %v", s, err)
	}
}

// TestNoSearch: where searches answer 404, a ping fails, an import warns, and an upsert stops before it makes a contact of
// every row; unless the 404 speaks of contacts.
func TestNoSearch(t *testing.T) {
	for _, tt := range []struct {
		words, check string
		set          []string
		good         bool
	}{
		{words: "", check: "base_url and paths_search"},
		{words: "Cannot GET /contacts", check: "Cannot GET"},
		{words: "there is no such page for contacts", check: "paths_search"},
		{words: "", check: "base_url and profile", set: []string{"profile", "v2"}},
		{words: "there is no contact with email x", good: true},
	} {
		f := newFake(t)
		f.words, f.fault = tt.words, always("search", missing404)
		c := f.connect(tt.set...)
		text, err := c.Ping(t.Context())
		var known *api.Error
		if tt.good != (err == nil) || err != nil && (!errors.As(err, &known) || known.Class != api.Setup || !strings.Contains(err.Error(), tt.check)) {
			t.Errorf("%q: Ping: %q, %v", tt.words, text, err)
		}
		if err := c.Ready(t.Context()); err != nil {
			t.Errorf("%q: Ready: %v", tt.words, err)
		}
		var told []string
		load := schema.Load{Mode: schema.Create, Warn: func(s string) { told = append(told, s) }}
		b := table(adaHeader, adaRow, "Bob|B|bob@x.example|1|E")
		if _, err := write(t, c, load, b); err != nil || len(f.recs) != 2 || len(told) != map[bool]int{false: 1}[tt.good] {
			t.Errorf("%q: create: %v, %d contacts, warnings %q", tt.words, err, len(f.recs), told)
		}
		f.recs = nil
		load.Mode, load.Key = schema.Upsert, "email"
		b = table(adaHeader, adaRow, "Bob|B|bob@x.example|1|E", "Cy|C|cy@x.example|2|E")
		_, err = write(t, c, load, b)
		if tt.good {
			if err != nil || len(f.recs) != 3 {
				t.Errorf("%q: upsert: %v, %d contacts", tt.words, err, len(f.recs))
			}
		} else if !errors.As(err, &known) || known.Class != api.Setup || len(f.recs) != 1 || b.Rows[1].Fate != record.Pending {
			t.Errorf("%q: upsert: %v, %d contacts, %v", tt.words, err, len(f.recs), fates(b))
		}
	}
}

// TestInventory: of an address that comes once, little is kept; twins are told apart.
func TestInventory(t *testing.T) {
	k := newInventory()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const n = 200_000
	for i := range uint64(n) {
		k.made(i*0x9e3779b97f4a7c15, fmt.Sprintf("1234567890%010d", i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if per := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n; per > 64 {
		t.Errorf("%d bytes are kept a contact", per)
	}
	k.made(0, "b")
	k.perhaps(0)
	k.perhaps(7)
	k.made(7, "c")
	k.made(7, "")
	m, x := k.of(0), k.of(7)
	if m.n != 2 || m.perhaps != 1 || !k.has(0, "b") || !k.has(0, "12345678900000000000") || k.has(0, "c") || x.n != 2 || x.perhaps != 1 || len(x.ids) != 1 {
		t.Errorf("%+v, %+v", m, x)
	}
	if k.sample() != "12345678900000000000" || len(k.several) != 2 || len(k.once) != n-1 {
		t.Errorf("%s, %d, %d", k.sample(), len(k.several), len(k.once))
	}
}
