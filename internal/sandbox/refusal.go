package sandbox

import (
	"fmt"
	"net/http"
)

// Refusal is the error of a request that is to blame for it. How the vendor writes it is the simulator's.
type Refusal struct {
	Status int    // of HTTP
	Code   string // the vendor's word for it, where there is one beside the status; "": none
	Text   string // for people
}

// Error is the text.
func (r *Refusal) Error() string { return r.Text }

// Refuse returns a *Refusal.
func Refuse(status int, format string, args ...any) error {
	return &Refusal{Status: status, Text: fmt.Sprintf(format, args...)}
}

// Invalid refuses a request for what it says, with 400.
func Invalid(format string, args ...any) error {
	return Refuse(http.StatusBadRequest, format, args...)
}
