// Package connectors is the shelf of vendors: a table, and a lookup by name. Each vendor has a folder of its own, with
// its schema, its client and its simulator.
package connectors

import (
	"context"

	"github.com/crmetl/crmetl/connectors/lunarsend"
	lunarbox "github.com/crmetl/crmetl/connectors/lunarsend/sandbox"
	"github.com/crmetl/crmetl/connectors/mapmycustomers"
	mmcbox "github.com/crmetl/crmetl/connectors/mapmycustomers/sandbox"
	"github.com/crmetl/crmetl/connectors/mappconnect"
	mappbox "github.com/crmetl/crmetl/connectors/mappconnect/sandbox"
	"github.com/crmetl/crmetl/connectors/mycrm"
	mycrmbox "github.com/crmetl/crmetl/connectors/mycrm/sandbox"
	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/sandbox"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/schema"
)

// All lists the vendors, in the order of `crmetl describe`.
func All() []Connector {
	return []Connector{
		{
			Schema:   mapmycustomers.Schema(),
			Open:     func(c schema.Connection, env api.Env) (Conn, error) { return mapmycustomers.Open(c, env) },
			Payloads: mapmycustomers.Payloads,
			Check:    mapmycustomers.Check,
			Sandbox:  mmcbox.New,
		},
		{
			Schema:   mappconnect.Schema(),
			Open:     func(c schema.Connection, env api.Env) (Conn, error) { return mappconnect.Open(c, env) },
			Payloads: mappconnect.Payloads,
			Check:    mappconnect.Check,
			Sandbox:  mappbox.New,
		},
		{
			Schema:   mycrm.Schema(),
			Open:     func(c schema.Connection, env api.Env) (Conn, error) { return mycrm.Open(c, env) },
			Payloads: mycrm.Payloads,
			Check:    mycrm.Check,
			Sandbox:  mycrmbox.New,
		},
		{
			Schema:   lunarsend.Schema(),
			Open:     func(c schema.Connection, env api.Env) (Conn, error) { return lunarsend.Open(c, env) },
			Payloads: lunarsend.Payloads,
			Check:    lunarsend.Check,
			Sandbox:  lunarbox.New,
		},
	}
}

// Lookup finds a vendor by name.
func Lookup(name string) (Connector, bool) {
	for _, c := range All() {
		if c.Schema.Name == name {
			return c, true
		}
	}
	return Connector{}, false
}

// Connector is one vendor: what it is, how to reach it, and how to imitate it.
type Connector struct {
	Schema *schema.Vendor
	// Open prepares a connection; it makes no call.
	Open func(schema.Connection, api.Env) (Conn, error)
	// Payloads returns the function that renders an object's records as request bodies, without any connection.
	Payloads func(object string, load schema.Load) (schema.Payloads, error)
	// Check returns the step that holds rows, as the mapping has made them, against what the vendor's table can't say:
	// attached files, combinations of cells. It needs no connection. nil, or a step that is nil, checks nothing. An
	// error says what is wrong with the import as a whole.
	Check func(object string, load schema.Load) (pipeline.Step, error)
	// Sandbox returns the vendor's simulator.
	Sandbox func(sandbox.Options) (sandbox.Simulator, error)
}

// Conn is an account at a vendor.
type Conn interface {
	// Account names the account without secrets; runs against the same account keep out of each other's way.
	Account() string
	// Ping tries the credentials and says in a line who we are there.
	Ping(ctx context.Context) (string, error)
	// Source starts an export.
	Source(ctx context.Context, object string, q schema.Query) (pipeline.Source, error)
	// Sink starts an import. It reports every call that changes something to the ledger.
	Sink(ctx context.Context, object string, load schema.Load, ledger pipeline.Ledger) (pipeline.Sink, error)
	// Stats counts the calls made so far.
	Stats() api.Stats
}
