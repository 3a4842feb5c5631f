// Package sandbox holds what the vendors' simulators share: records kept in a folder, a ledger of what was accepted,
// faults on demand, knobs that rules can set, a limit on the rate of calls, a clock that tests can turn, paths with their
// methods, signed tokens, and a server on loopback.
//
// A simulator is an http.Handler that owns one Front. The Front keeps the books for every request: it serves the
// paths below /_sandbox/, counts the request, asks the Faults whether it is to fail, and lets the simulator answer it.
// Nothing in this package knows a vendor.
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

// DefaultActivation is how long a new token waits until it is good when Options.Activation is zero: shorter than any
// vendor's, so that trying something out costs no patience.
const DefaultActivation = time.Second

// Clock returns o.Now, or the real clock.
func (o Options) Clock() func() time.Time {
	if o.Now != nil {
		return o.Now
	}
	return time.Now
}

// Wait returns o.Activation, or DefaultActivation.
func (o Options) Wait() time.Duration {
	if o.Activation == 0 {
		return DefaultActivation
	}
	return max(0, o.Activation)
}
