package connectors

import (
	"github.com/crmetl/crmetl/connectors/mapmycustomers"
	mmcbox "github.com/crmetl/crmetl/connectors/mapmycustomers/sandbox"
	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/schema"
)

// All lists the vendors, in the order of `crmetl describe`.
func All() []Connector {
	return []Connector{
		{
			Schema:     mapmycustomers.Schema(),
			Open:       func(c schema.Connection, env api.Env) (Conn, error) { return mapmycustomers.Open(c, env) },
			Payloads:   mapmycustomers.Payloads,
			CheckFiles: mapmycustomers.CheckFiles,
			Sandbox:    mmcbox.New,
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
