package sandbox

import (
	"fmt"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// feedback is what the vendor says, later and elsewhere, of an event that it accepted and could not apply. Its members are
// those of the vendor's one documented case, an event of a product without productSKU; the codes but MISSING_FIELD are
// this package's.
type feedback struct {
	ErrorCode     string   `json:"errorCode"`
	CustomerID    int64    `json:"customerId"`
	ActionTime    string   `json:"actionTime"` // as Java writes dates
	IntegrationID string   `json:"integration_id"`
	UUID          string   `json:"uuid"`
	ExecutorID    int64    `json:"executorId"`
	DomainID      int64    `json:"domainId"`
	MappingName   string   `json:"mappingName"` // the subtype
	Collocation   string   `json:"collocation"`
	Sysname       string   `json:"sysname"`
	ActionParams  []string `json:"actionParams"` // the fields in question
	Description   string   `json:"description"`
	N             int64    `json:"n"` // of the event in the inbox; not the vendor's
}

// javaDate is how Java writes a date as text.
const javaDate = "Mon Jan 02 15:04:05 MST 2006"

// feedback reports that the event came to nothing, or to less than it asked for.
func (w *work) feedback(code, why string, fields ...string) error {
	action := "import"
	if w.e.flag("delete") {
		action = "deletion"
	}
	if fields == nil {
		fields = []string{}
	}
	doc, err := room.Marshal(feedback{
		ErrorCode: code, CustomerID: 1, ActionTime: w.at.UTC().Format(javaDate), IntegrationID: w.rules.IntegrationID,
		UUID: fmt.Sprintf("00000000-0000-4000-8000-%012d", w.number), ExecutorID: 1, DomainID: 1, MappingName: w.of.names[0],
		Collocation: "sandbox", Sysname: "sandbox", ActionParams: fields,
		Description: "Skipping " + w.of.names[0] + " " + action + " - " + why, N: w.number,
	})
	if err != nil {
		return err
	}
	w.tx.Put(kindFeedback, w.n, doc)
	return nil
}
