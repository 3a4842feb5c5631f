package sandbox

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// The choices of the document.
var (
	titles           = []string{"mr", "ms", "miss", "mrs"}
	statuses         = []string{"notYetContacted", "calledNoReply", "prospect", "qualified", "viewingsInProgress", "contractSent", "contractSigned", "notReady", "notInterested"}
	qualities        = []string{"spam", "poor", "average", "good", "excellent", "hot"}
	financials       = []string{"other", "cash", "mortgage"}
	mortgageStatuses = []string{"pre-approved", "in-process", "not-pre-approved"}
	sources          = []string{"propertyfinder", "portal", "socialMedia", "online", "offline", sourceOther}
	timeFrames       = []string{"0", "1", "2", "3", "1-3", "3-6", "6-9", "9-12"}
	categories       = []string{"residential", "commercial"}
	offeringTypes    = []string{"sale", "rent"} // sale in the sample of a create; rent as well for properties
)

// sourceOther is the source whose channels are the customer's own.
const sourceOther = "other"

// channelsOf returns a source's channels. The document lists the channels in one row and says that some belong to some
// sources: the grouping is read off their order.
func channelsOf(source string) []string {
	switch source {
	case "propertyfinder":
		return []string{"callTracking", "sms", "email"}
	case "portal":
		return []string{"bayut", "dubizzle", "gulfNews", "justProperty", "justRentals", "otherPortal"}
	case "socialMedia":
		return []string{"facebook", "twitter", "google", "linkedIn", "otherSocialMedia"}
	case "online":
		return []string{"ourWebsite", "emailMarketing", "onlineMarketing", "otherOnline"}
	case "offline":
		return []string{"phone", "print", "outdoor", "expo", "walkIn", "referral", "otherOffline"}
	}
	return nil
}

// channels are all channels that the document names.
func channels() []string {
	var out []string
	for _, s := range sources {
		out = append(out, channelsOf(s)...)
	}
	return out
}

// lead is a lead as it is kept: as a read shows it, then what a read does not show. The order is about that of the
// document's sample; what only the table has, and what only real answers have, stands beside its like. nil is null.
type lead struct {
	leadHead
	SourceChannel *string `json:"source_channel"`
	TimeFrame     *string `json:"time_frame"`
	User          *ref    `json:"user"`
	leadTail
	Kept kept `json:"kept"`
}

type leadHead struct {
	ID             int64   `json:"id"`
	Title          *string `json:"title"`
	FirstName      *string `json:"first_name"`
	MiddleName     *string `json:"middle_name"`
	LastName       *string `json:"last_name"`
	Email          *string `json:"email"`
	Mobile         *string `json:"mobile"`
	Phone          *string `json:"phone"`
	Address        *string `json:"address"`
	Pobox          *string `json:"pobox"`
	City           *string `json:"city"`
	Country        *string `json:"country"`
	Status         *string `json:"status"`
	Quality        *string `json:"quality"`
	Financial      *string `json:"financial"`
	MortgageStatus *string `json:"mortgage_status"`
	Source         *string `json:"source"`
}

type leadTail struct {
	CreatedAt      time.Time    `json:"created_at"` // whole seconds, UTC
	UpdatedAt      time.Time    `json:"updated_at"`
	Preferences    []preference `json:"preferences"` // one or none; the first member that a brief has no use for
	Amenities      []named      `json:"amenities"`
	Fields         fieldValues  `json:"fields"`
	Matching       matching     `json:"matching"`
	Bank           *string      `json:"bank"`
	Passport       *string      `json:"passport_number"`
	PassportExpiry *string      `json:"passport_expiry_date"` // 2006-01-02
	LegalFirst     *string      `json:"legal_representative_first_name"`
	LegalLast      *string      `json:"legal_representative_last_name"`
	LegalEmail     *string      `json:"legal_representative_email"`
	LegalMobile    *string      `json:"legal_representative_mobile"`
	LegalPhone     *string      `json:"legal_representative_phone"`
}

// kept is what a read does not show, or not by itself.
type kept struct {
	Category   *string `json:"category"`
	Notes      []note  `json:"notes"`
	Properties []int64 `json:"properties"`
	MLS        []int64 `json:"mls"`
}

type ref struct {
	ID int64 `json:"id"`
}

type named struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

type note struct {
	ID        int64     `json:"id"`
	Body      string    `json:"body"`
	CreatedAt time.Time `json:"created_at"`
}

type matching struct {
	Count     int64 `json:"count"`
	Inventory int64 `json:"inventory_count"`
	MLS       int64 `json:"mls_count"`
}

type preference struct {
	ID           string         `json:"id"` // a string in the document's sample, unlike other ids
	Locations    []location     `json:"locations"`
	FromPrice    *int64         `json:"from_price"`
	ToPrice      *int64         `json:"to_price"`
	FromSize     *int64         `json:"from_size"`
	ToSize       *int64         `json:"to_size"`
	FromBathroom *int64         `json:"from_bathroom"`
	ToBathroom   *int64         `json:"to_bathroom"`
	FromBedroom  *int64         `json:"from_bedroom"`
	ToBedroom    *int64         `json:"to_bedroom"`
	OfferingType *string        `json:"offering_type"`
	Types        []propertyType `json:"types"`
}

type propertyType struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Category string `json:"category"`
}

// fieldValues are the values of custom fields, by the field's id. Numbers keep their digits.
type fieldValues map[string]json.RawMessage

// newLead is what is there before any field is set.
func newLead() *lead {
	l := &lead{User: &ref{ownUser}}
	l.Preferences, l.Amenities, l.Fields = []preference{}, []named{}, fieldValues{}
	l.Kept = kept{Notes: []note{}, Properties: []int64{}, MLS: []int64{}}
	return l
}

// stamp makes a point in time as the vendor writes it: UTC, whole seconds.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// matchingOf is how much fits what the lead is looking for: made up, for there are no properties here, but always the same.
func matchingOf(id int64) matching {
	m := matching{Inventory: id % 5, MLS: id % 7}
	m.Count = m.Inventory + m.MLS
	return m
}

// keptMark is where a kept lead ends being what a read shows. It can't be inside a text, where its quotes would be
// escaped.
const keptMark = `,"kept":{`

// shown is a lead as a read shows it when the settings or the caller want it otherwise than it is kept.
type shown struct {
	leadHead
	Channel       json.RawMessage `json:"channel,omitempty"`
	SourceChannel json.RawMessage `json:"source_channel,omitempty"`
	TimeFrame     *string         `json:"time_frame"`
	User          any             `json:"user"`
	Notes         *[]note         `json:"notes,omitempty"`
	leadTail
	// Fields of an empty PHP array are [], not {}; this one wins over the embedded one.
	Fields any `json:"fields"`
}

// render turns a kept lead into what a read shows. The result may share memory with doc.
func (c *call) render(doc []byte) ([]byte, error) {
	user, notes := c.expands()
	k := &c.knobs
	if !user && !notes && k.ChannelKey == keySourceChan && k.ReadOfferingType == sent && k.EmptyFields == shapeObject {
		if i := bytes.LastIndex(doc, []byte(keptMark)); i >= 0 {
			return append(bytes.Clone(doc[:i]), '}'), nil
		}
	}
	var l lead
	if err := json.Unmarshal(doc, &l); err != nil {
		return nil, err
	}
	out := shown{leadHead: l.leadHead, leadTail: l.leadTail, TimeFrame: l.TimeFrame, User: l.User, Fields: l.Fields}
	channel, err := room.Marshal(l.SourceChannel)
	if err != nil {
		return nil, err
	}
	if k.ChannelKey != keySourceChan {
		out.Channel = channel
	}
	if k.ChannelKey != keyChannel {
		out.SourceChannel = channel
	}
	if user && l.User != nil {
		if full, ok := userByID(l.User.ID); ok {
			out.User = full
		}
	}
	if notes {
		out.Notes = &l.Kept.Notes
	}
	if k.EmptyFields == shapeArray && len(l.Fields) == 0 {
		out.Fields = []string{}
	}
	if k.ReadOfferingType == keyCategory {
		for i := range out.Preferences {
			out.Preferences[i].OfferingType = l.Kept.Category
		}
	}
	return room.Marshal(out)
}

// expandHeader asks for related records in full. The document gives it no value; public clients send true or a name.
const expandHeader = "X-MyCRM-Expand-Data"

// expands reports which related records the call wants in full.
func (c *call) expands() (user, notes bool) {
	for name := range strings.SplitSeq(c.r.Header.Get(expandHeader), ",") {
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "", "false", "0", off:
		case "user":
			user = true
		case "notes":
			notes = true
		default:
			user, notes = true, true
		}
	}
	return user, notes
}

// reply answers with one lead, as it is kept.
func (c *call) reply(status int, doc []byte) error {
	body, err := c.render(doc)
	if err != nil {
		return err
	}
	if !c.knobs.Bare {
		body = append(append([]byte(`{"lead":`), body...), '}')
	}
	room.WriteRaw(c.w, status, body)
	return nil
}

// getLead answers GET /leads/{id}.
func (s *Simulator) getLead(c *call) error {
	if err := c.need("lead.read"); err != nil {
		return err
	}
	id, err := c.leadID()
	if err != nil {
		return err
	}
	doc, ok, err := s.Store.Get(kindLeads, strconv.FormatInt(id, 10))
	if err != nil {
		return err
	}
	if !ok {
		return notFound(c.args[0])
	}
	return c.reply(http.StatusOK, doc)
}

// text returns the field of the name, nil if it is none that holds a text and can be written.
func (l *lead) text(name string) **string {
	switch name {
	case "title":
		return &l.Title
	case "first_name":
		return &l.FirstName
	case "middle_name":
		return &l.MiddleName
	case "last_name":
		return &l.LastName
	case "email":
		return &l.Email
	case "mobile":
		return &l.Mobile
	case keyCategory:
		return &l.Kept.Category
	case "address":
		return &l.Address
	case "pobox":
		return &l.Pobox
	case "city":
		return &l.City
	case "country":
		return &l.Country
	case "status":
		return &l.Status
	case "quality":
		return &l.Quality
	case "source":
		return &l.Source
	case keySourceChan, keyChannel:
		return &l.SourceChannel
	case "financial":
		return &l.Financial
	case "mortgage_status":
		return &l.MortgageStatus
	case "time_frame":
		return &l.TimeFrame
	}
	return nil
}

// value is a text that may be null.
func value(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}
