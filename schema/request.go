package schema

import (
	"time"

	"github.com/crmetl/crmetl/record"
)

// Connection is one account at one vendor, with its secrets resolved.
type Connection struct {
	Name     string            // as in targets; the vendor's own name unless the config file says otherwise
	Settings map[string]string // by ConfigKey.Name; a missing key has its default
}

// Query is what an export asks for.
type Query struct {
	ID      string
	Search  string   // the first of Terms
	Terms   []string // of --search; more than one only where ExportInfo.Terms says so
	Filters []Condition
	Sort    string
	Desc    bool
	Expand  bool
	Since   time.Time // zero: everything
	Raw     bool      // the vendor's own JSON, one value a row, instead of fields
	Warn    func(string)
}

// Condition is one --filter NAME=VALUE.
type Condition struct{ Name, Value string }

// Policy says what to do about a row whose earlier call has an unknown outcome.
type Policy string

// The policies of --unsure.
const (
	Check  Policy = "check"  // look it up at the vendor; adopt it, send it again, or leave it unsure
	Resend Policy = "resend" // send it again: at least once
	Hold   Policy = "hold"   // leave it unsure
)

// Load is what an import asks for.
type Load struct {
	Mode        Mode
	Key         string         // the field that upsert matches on
	Header      *record.Header // the vendor's fields that the rows carry, in order
	Unsure      Policy
	Yes         bool                    // the user agreed to what needs --yes
	Options     map[string]bool         // the object's own options that are set
	DryRun      bool                    // send nothing that changes anything; say through Warn what would be done
	Defaults    map[string]record.Value // of an object with SoftDefaults: what fields get that a record lacks, converted
	Settings    map[string]string       // the connection's settings that are no secrets: how payloads look without a connection
	ChangedOnly bool                    // leave out rows that the vendor has already
	Attachments string                  // the folder that File fields are resolved under; "" refuses them
	Started     time.Time               // when the run began, for lookups after a resume
	Warn        func(string)            // says something about the run as a whole, once
}

// Payloads renders records as the vendor's own request bodies, without any call: what plan shows and convert --to
// writes. rows are those of one record.
type Payloads func(dst []byte, rows []*record.Row) ([]byte, error)
