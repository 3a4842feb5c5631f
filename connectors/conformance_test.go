package connectors_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crmetl/crmetl/connectors"
	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/internal/sandboxtest"
	"github.com/crmetl/crmetl/internal/sourcetest"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// The suite that every connector runs, by being on the shelf. What a vendor does in particular is tested in its folder.

// each runs a test for every vendor.
func each(t *testing.T, test func(t *testing.T, c connectors.Connector)) {
	for _, c := range connectors.All() {
		t.Run(c.Schema.Name, func(t *testing.T) { test(t, c) })
	}
}

// TestTables holds the tables to what the rest relies on.
func TestTables(t *testing.T) {
	each(t, func(t *testing.T, c connectors.Connector) {
		v := c.Schema
		if found, ok := connectors.Lookup(v.Name); !ok || found.Schema.Title != v.Title || strings.ToLower(v.Name) != v.Name || v.Docs == "" || v.Checked == "" {
			t.Errorf("the vendor's entry lacks something: %+v", v)
		}
		for i := range v.Objects {
			o := &v.Objects[i]
			if len(o.Modes) == 0 && !o.Export.Any() {
				t.Errorf("%s can neither be imported nor exported", o.Name)
			}
			for _, m := range o.Modes {
				table(t, o, m)
			}
			for _, name := range slices.Concat(o.KeyFields, o.OrderBy) {
				if _, ok := o.Field(name); !ok {
					t.Errorf("%s: there is no field %s to match or order by", o.Name, name)
				}
			}
			for k := range o.Fields {
				if f := &o.Fields[k]; f.Source == "" || f.Doc == "" && f.Type != schema.Number && f.Type != schema.Integer {
					t.Errorf("%s: field %s does not say what it is or where that comes from", o.Name, f.Name)
				}
			}
			said := map[string]string{}
			for k := range o.Fields {
				f := &o.Fields[k]
				for _, name := range append([]string{f.Name}, f.Aliases...) {
					key := schema.Fold(name)
					if other, twice := said[key]; twice && other != f.Name {
						t.Errorf("%s: %q means %s and %s", o.Name, name, other, f.Name)
					}
					said[key] = f.Name
				}
			}
		}
	})
}

// table compiles an object's rules for a mode, and holds the examples of its fields against them.
func table(t *testing.T, o *schema.Object, m schema.Mode) {
	t.Helper()
	h, b := example(t, o, m)
	checker, err := schema.NewChecker(o, h, m)
	if err != nil {
		t.Errorf("%s %s: %v", o.Name, m, err)
		return
	}
	if err := checker.Apply(b); err != nil {
		t.Fatal(err)
	}
	if err := b.Rows[0].Err; err != nil {
		t.Errorf("%s %s: the examples break the rules: %v", o.Name, m, err)
	}
}

// example is a row of the examples of all fields that a mode takes. Files and families are left out, and so is a field
// whose parts have fields of their own: nobody fills in both.
func example(t *testing.T, o *schema.Object, m schema.Mode) (*record.Header, *record.Batch) {
	t.Helper()
	var names []string
	var cells []record.Value
	for i := range o.Fields {
		f := &o.Fields[i]
		if f.ReadOnly || !f.Takes(m) || f.Family() || f.Type == schema.File || f.Example == "" {
			continue
		}
		if slices.ContainsFunc(o.Fields, func(part schema.Field) bool {
			return strings.HasPrefix(part.Name, f.Name+".") && !part.Family() && part.Takes(m)
		}) {
			continue
		}
		names = append(names, f.Name)
		cells = append(cells, valueOf(t, f))
	}
	h, err := record.NewHeader(names)
	if err != nil {
		t.Fatal(err)
	}
	b := &record.Batch{Header: h, Origin: h}
	row := b.Add()
	row.Num, row.Values, row.Origin = 1, cells, cells
	return h, b
}

// valueOf is a field's example as the mapping would give it.
func valueOf(t *testing.T, f *schema.Field) record.Value {
	t.Helper()
	switch f.Type {
	case schema.Integer, schema.Number:
		return record.NumberOf(f.Example)
	case schema.Bool:
		return record.BoolOf(f.Example == "true")
	case schema.Date:
		return record.Of(record.Date, f.Example)
	case schema.DateTime:
		return record.Of(record.DateTime, f.Example)
	case schema.Epoch:
		return record.NumberOf("1464295966")
	case schema.List:
		return record.ListOf(strings.Split(f.Example, ";"))
	case schema.JSON, schema.Pairs:
		v, err := record.ParseJSON([]byte(strings.ReplaceAll(f.Example, "'", `"`)))
		if err != nil {
			t.Fatalf("field %s: the example: %v", f.Name, err)
		}
		return v
	}
	return record.TextOf(f.Example)
}

// TestPayloads renders the examples: what plan shows of every object is JSON.
func TestPayloads(t *testing.T) {
	each(t, func(t *testing.T, c connectors.Connector) {
		for i := range c.Schema.Objects {
			o := &c.Schema.Objects[i]
			for _, m := range o.Modes {
				h, b := example(t, o, m)
				render, err := c.Payloads(o.Name, schema.Load{Mode: m, Header: h})
				if err != nil {
					t.Errorf("%s %s: %v", o.Name, m, err)
					continue
				}
				body, err := render(nil, []*record.Row{&b.Rows[0]})
				if err != nil || !json.Valid(body) {
					t.Errorf("%s %s: %s, %v", o.Name, m, body, err)
				}
			}
		}
	})
}

// place is a simulator that is served, and a connection to it.
type place struct {
	sim    sandbox.Simulator
	server *sandbox.Server
	url    string
}

func serve(t *testing.T, c connectors.Connector, faults string, seed int) *place {
	t.Helper()
	f := sandboxtest.Faults(t, faults)
	sim, err := c.Sandbox(sandbox.Options{Faults: f, Activation: -1, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	server, err := sandbox.Serve(t.Context(), "127.0.0.1:0", map[string]sandbox.Simulator{c.Schema.Name: sim})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close(); _ = sim.Close() })
	return &place{sim: sim, server: server, url: server.URL(c.Schema.Name)}
}

func (p *place) open(t *testing.T, c connectors.Connector, change func(map[string]string)) connectors.Conn {
	t.Helper()
	set := p.sim.Settings(p.url)
	set["rate"] = "1000"
	if _, ok := set["token_activation"]; ok {
		set["token_activation"] = "0s"
	}
	if change != nil {
		change(set)
	}
	conn, err := c.Open(schema.Connection{Name: c.Schema.Name, Settings: set}, api.Env{Attempts: 2})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// writes are what a simulator has accepted.
func (p *place) writes(t *testing.T) int {
	t.Helper()
	answer, err := http.Get(p.url + "/_sandbox/ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var l sandbox.Ledger
	if err := json.NewDecoder(answer.Body).Decode(&l); err != nil {
		t.Fatal(err)
	}
	return len(l.Writes)
}

// TestDryRun sends the examples of every object and mode with DryRun: the vendor's ledger stays empty.
func TestDryRun(t *testing.T) {
	each(t, func(t *testing.T, c connectors.Connector) {
		p := serve(t, c, "set rate=1000", 3)
		conn := p.open(t, c, nil)
		for i := range c.Schema.Objects {
			o := &c.Schema.Objects[i]
			for _, m := range o.Modes {
				h, b := example(t, o, m)
				sink, err := conn.Sink(t.Context(), o.Name, schema.Load{Mode: m, Header: h, DryRun: true, Yes: true}, nil)
				if err != nil {
					t.Errorf("%s %s: %v", o.Name, m, err)
					continue
				}
				if err := sink.Write(t.Context(), b); err != nil {
					t.Errorf("%s %s: %v", o.Name, m, err)
				}
				if b.Rows[0].Fate.Open() {
					t.Errorf("%s %s: the row has no fate", o.Name, m)
				}
				if err := sink.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		if n := p.writes(t); n != 0 {
			t.Errorf("%d writes reached the vendor", n)
		}
	})
}

// TestWrongSecret tries each connection with a wrong secret: a clear refusal, and the secret nowhere in it.
func TestWrongSecret(t *testing.T) {
	const wrong = "canary-secret-7f3a"
	each(t, func(t *testing.T, c connectors.Connector) {
		p := serve(t, c, "", 0)
		conn := p.open(t, c, func(set map[string]string) {
			for _, k := range c.Schema.AllKeys() {
				if _, used := set[k.Name]; used && k.Secret {
					set[k.Name] = wrong
				}
			}
		})
		_, err := conn.Ping(t.Context())
		var call *api.Error
		if !errors.As(err, &call) || call.Class != api.Auth && call.Class != api.Permission {
			t.Fatalf("error %v, want one about the credentials", err)
		}
		if strings.Contains(err.Error(), wrong) || strings.Contains(conn.Account(), wrong) {
			t.Errorf("the secret is shown: %v, account %s", err, conn.Account())
		}
	})
}

// TestSources reads every list of every simulator as sources are read, in order, by many, and cut off.
func TestSources(t *testing.T) {
	each(t, func(t *testing.T, c connectors.Connector) {
		p := serve(t, c, "set rate=1000", 250)
		lists := 0
		for i := range c.Schema.Objects {
			o := &c.Schema.Objects[i]
			if !o.Export.All {
				continue
			}
			conn := p.open(t, c, func(set map[string]string) {
				if c.Schema.Name == "lunarsend" {
					set["profile"] = "v2" // the legacy API has no list
				}
			})
			open := func() (pipeline.Source, error) {
				return conn.Source(t.Context(), o.Name, schema.Query{Warn: func(string) {}})
			}
			src, err := open()
			if err != nil {
				t.Errorf("%s: %v", o.Name, err)
				continue
			}
			var chunk pipeline.Chunk
			none := src.Next(t.Context(), &chunk)
			if err := src.Close(); err != nil {
				t.Error(err)
			}
			if errors.Is(none, io.EOF) {
				continue // the account has none
			}
			if none != nil {
				t.Errorf("%s: %v", o.Name, none)
				continue
			}
			lists++
			t.Run(o.Name, func(t *testing.T) { sourcetest.Run(t, sourcetest.Suite{Open: open}) })
		}
		if lists == 0 {
			t.Error("the simulator has nothing to list")
		}
	})
}

// TestPages makes sure that each vendor has its page, and each importable object its sample.
func TestPages(t *testing.T) {
	each(t, func(t *testing.T, c connectors.Connector) {
		page, err := os.ReadFile(filepath.Join("..", "docs", "vendors", c.Schema.Name+".md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range c.Schema.Objects {
			if !bytes.Contains(page, []byte("\n## "+o.Name+"\n")) {
				t.Errorf("the page does not have %s", o.Name)
			}
		}
	})
}
