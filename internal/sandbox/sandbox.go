// Package sandbox holds what the vendors' simulators share: records kept in a folder, faults on demand, a clock that
// tests can turn, and a server on loopback.
package sandbox

import (
	"net/http"
	"time"
)

// Simulator imitates one vendor's API, strictly by its documents.
type Simulator interface {
	http.Handler
	// Settings returns the connection settings (schema.ConfigKey names) that reach the simulator served at base, a
	// URL without trailing slash such as http://127.0.0.1:4711/mapmycustomers.
	Settings(base string) map[string]string
	// Close writes everything to the folder.
	Close() error
}

// Options configure a simulator. The zero value keeps everything in memory and does as the vendor does.
type Options struct {
	Dir        string           // where records are kept between runs; "" keeps them in memory
	Now        func() time.Time // nil: time.Now
	Faults     *Faults          // nil: none
	Activation time.Duration    // how long a new token waits until it is good; 0: 1 s
	Seed       int              // customers (leads, contacts) made up at the first start
}
