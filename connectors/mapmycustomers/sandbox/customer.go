package sandbox

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// customer is a customer as the document shows it: names, order and types are its sample's. Numbers keep the digits they
// were sent with; nil is null.
type customer struct {
	ID         string       `json:"id"`
	Name       string       `json:"name"`
	Company    string       `json:"company"`
	Address    string       `json:"address"`
	City       string       `json:"city"`
	State      string       `json:"state"`
	Zip        string       `json:"zip"`
	Country    string       `json:"country"`
	Email      string       `json:"email"`
	Phone      string       `json:"phone"`
	Color      string       `json:"color"`
	Groups     []string     `json:"groups"`
	DealAmount *json.Number `json:"dealAmount"`
	Notes      string       `json:"notes"`
	Latitude   *json.Number `json:"latitude"`
	Longitude  *json.Number `json:"longitude"`
	LastVisit  *json.Number `json:"lastVisit"`
	NumVisits  *json.Number `json:"numVisits"`
	RemindAt   *json.Number `json:"remindAt"`
	RemindType string       `json:"remindType"`
	Custom0    string       `json:"custom0"`
	Custom1    string       `json:"custom1"`
	Custom2    string       `json:"custom2"`
	Custom3    string       `json:"custom3"`
	Custom4    string       `json:"custom4"`
	Custom5    string       `json:"custom5"`
	Custom6    string       `json:"custom6"`
	Custom7    string       `json:"custom7"`
	Custom8    string       `json:"custom8"`
	Custom9    string       `json:"custom9"`
	CreatedAt  phpDate      `json:"createdAt"`
	UpdatedAt  phpDate      `json:"updatedAt"`
}

// phpDate is a point in time as PHP's DateTime turns into JSON.
type phpDate struct {
	Date     string `json:"date"`
	ZoneType int    `json:"timezone_type"`
	Zone     string `json:"timezone"`
}

func newDate(t time.Time, k Knobs) phpDate {
	layout := time.DateTime
	if k.Micros {
		layout += ".000000"
	}
	return phpDate{t.UTC().Format(layout), 2, "Z"}
}

// colors are those of the document's GET /user.
func colors() []string {
	return []string{"black", "green", "blue", "grey", "orange", "pink", "purple", "red", "teal", "yellow",
		"neon red", "neon yellow", "neon green", "neon blue", "neon purple"}
}

// defaultColor is a new pin's. The document has none; its sample is red.
const defaultColor = "red"

// newCustomer is what is there before any field is set.
func newCustomer() customer {
	zero := json.Number("0")
	return customer{Color: defaultColor, Groups: []string{}, NumVisits: &zero}
}

// set sets one field from a request. The document lists no fields for writing: they are those of its sample of a read,
// without the id and the dates, which only the vendor can know; their types are the sample's too.
func (c *customer) set(m room.Member) (known bool, err error) {
	if to := c.text(m.Name); to != nil {
		s, ok := m.Text()
		if !ok {
			return true, room.Invalid("%s: want a string", m.Name)
		}
		if m.Name == "color" && !slices.Contains(colors(), s) {
			return true, room.Invalid("color: %q is none of %s", s, strings.Join(colors(), ", "))
		}
		*to = s
		return true, nil
	}
	switch m.Name {
	case "groups":
		list, ok := m.Texts()
		if !ok {
			return true, room.Invalid("groups: want an array of strings")
		}
		c.Groups = list
	case "dealAmount":
		return true, setNumber(&c.DealAmount, m)
	case "latitude":
		return true, setNumber(&c.Latitude, m)
	case "longitude":
		return true, setNumber(&c.Longitude, m)
	case "lastVisit":
		return true, setInteger(&c.LastVisit, m)
	case "remindAt":
		return true, setInteger(&c.RemindAt, m)
	case "numVisits":
		if m.IsNull() {
			return true, room.Invalid("numVisits: want a whole number")
		}
		return true, setInteger(&c.NumVisits, m)
	default:
		return false, nil
	}
	return true, nil
}

// text returns the field of the name, nil if it is none that holds a string.
func (c *customer) text(name string) *string {
	switch name {
	case "name":
		return &c.Name
	case "company":
		return &c.Company
	case "address":
		return &c.Address
	case "city":
		return &c.City
	case "state":
		return &c.State
	case "zip":
		return &c.Zip
	case "country":
		return &c.Country
	case "email":
		return &c.Email
	case "phone":
		return &c.Phone
	case "color":
		return &c.Color
	case "notes":
		return &c.Notes
	case "remindType":
		return &c.RemindType
	case "custom0":
		return &c.Custom0
	case "custom1":
		return &c.Custom1
	case "custom2":
		return &c.Custom2
	case "custom3":
		return &c.Custom3
	case "custom4":
		return &c.Custom4
	case "custom5":
		return &c.Custom5
	case "custom6":
		return &c.Custom6
	case "custom7":
		return &c.Custom7
	case "custom8":
		return &c.Custom8
	case "custom9":
		return &c.Custom9
	}
	return nil
}

func setNumber(to **json.Number, m room.Member) error {
	if m.IsNull() {
		*to = nil
		return nil
	}
	n, ok := m.Number()
	if !ok {
		return room.Invalid("%s: want a number or null", m.Name)
	}
	*to = &n
	return nil
}

func setInteger(to **json.Number, m room.Member) error {
	if m.IsNull() {
		*to = nil
		return nil
	}
	if _, ok := m.Integer(); !ok {
		return room.Invalid("%s: want a whole number or null", m.Name)
	}
	n := json.Number(m.Value)
	*to = &n
	return nil
}

// named reports whether the customer has what each must have: "at least a company or contact name".
func (c *customer) named() error {
	if strings.TrimSpace(c.Name) == "" && strings.TrimSpace(c.Company) == "" {
		return room.Invalid("name or company is required")
	}
	return nil
}

// createCustomer answers POST /customers.
func (s *Simulator) createCustomer(c *call) error {
	members, err := c.object()
	if err != nil {
		return err
	}
	one := newCustomer()
	var file *attachment
	for _, m := range members {
		known, err := one.set(m)
		if m.Name == "file" {
			known = true
			file, err = readFile(m)
		}
		if err != nil {
			return err
		}
		if !known && !c.knobs.Lenient {
			return room.Invalid("%s: a customer has no such field that can be set", m.Name)
		}
	}
	if err := one.named(); err != nil {
		return err
	}
	one.CreatedAt = newDate(c.at, c.knobs)
	one.UpdatedAt = one.CreatedAt
	err = s.Store.Write(c.written(), func(tx *room.Tx) (string, error) {
		for n := tx.N(); one.ID == "" || tx.Has(kindCustomers, one.ID); n += 1 << 40 {
			one.ID = room.Alnum("customer", n, idLength)
		}
		if file != nil {
			file.CustomerID = one.ID
			if err := tx.PutJSON(kindFiles, one.ID, file); err != nil {
				return "", err
			}
		}
		if err := s.note(tx, c, update{Type: "import", Notes: "1 pins"}); err != nil {
			return "", err
		}
		return one.ID, tx.PutJSON(kindCustomers, one.ID, one)
	})
	if err != nil {
		return err
	}
	return c.say(c.knobs.CreateStatus, "Object created.")
}

// idLength is the length of the document's ids.
const idLength = 10

// updateCustomer answers PUT /customers/{id}.
func (s *Simulator) updateCustomer(c *call) error {
	id := c.args[0]
	members, err := c.object()
	if err != nil {
		return err
	}
	err = s.Store.Write(c.written(), func(tx *room.Tx) (string, error) {
		doc, ok, err := tx.Get(kindCustomers, id)
		if err != nil {
			return "", err
		}
		if !ok {
			return "", notFound(id)
		}
		var old customer
		if err := json.Unmarshal(doc, &old); err != nil {
			return "", err
		}
		one := old
		if c.knobs.PutMode == replace {
			one = newCustomer()
			one.ID, one.CreatedAt, one.Notes = old.ID, old.CreatedAt, old.Notes
		}
		for _, m := range members {
			known, err := one.set(m)
			if err != nil {
				return "", err
			}
			if !known && !c.knobs.Lenient {
				return "", room.Invalid("%s: a customer has no such field that can be changed", m.Name)
			}
			if m.Name == "notes" {
				// "Including a 'notes' key will produce a new note for the existing customer": what was there
				// stays.
				added := one.Notes
				if old.Notes != "" {
					one.Notes = old.Notes + "\n" + added
				}
				if err := s.note(tx, c, update{CustomerID: id, Type: "addedNote", Notes: added}); err != nil {
					return "", err
				}
			}
		}
		if err := one.named(); err != nil {
			return "", err
		}
		one.UpdatedAt = newDate(c.at, c.knobs)
		return id, tx.PutJSON(kindCustomers, id, one)
	})
	if err != nil {
		return err
	}
	return c.say(200, "Customer with objectid "+id+" successfully updated.")
}

// deleteCustomer answers DELETE /customers/{id}.
func (s *Simulator) deleteCustomer(c *call) error {
	id := c.args[0]
	err := s.Store.Write(c.written(), func(tx *room.Tx) (string, error) {
		if !tx.Has(kindCustomers, id) {
			return "", notFound(id)
		}
		tx.Delete(kindCustomers, id)
		if tx.Has(kindFiles, id) {
			tx.Delete(kindFiles, id)
		}
		return id, nil
	})
	if err != nil {
		return err
	}
	return c.say(200, "Customer deleted with objectid "+id+".")
}

// getCustomer answers GET /customers/{id}.
func (s *Simulator) getCustomer(c *call) error {
	doc, ok, err := s.Store.Get(kindCustomers, c.args[0])
	if err != nil {
		return err
	}
	if !ok {
		return notFound(c.args[0])
	}
	room.WriteRaw(c.w, 200, doc)
	return nil
}

// attachment is what is kept of a file.
type attachment struct {
	CustomerID string      `json:"customerId"`
	Type       string      `json:"type"`
	Bytes      int         `json:"bytes"`
	SHA256     room.Digest `json:"sha256"`
}

// maxFile is the document's 5MB, read as decoded bytes: "Files may not be over 5MB in size".
const maxFile = 5_000_000

// readFile checks a file: "An image or PDF file can be attached as a base64 encoded string."
func readFile(m room.Member) (*attachment, error) {
	text, ok := m.Text()
	if !ok {
		return nil, room.Invalid("file: want a string")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, room.Invalid("file: want base64")
	}
	if len(b) > maxFile {
		return nil, room.Invalid("file: %d bytes are over 5MB", len(b))
	}
	kind := ""
	switch {
	case bytes.HasPrefix(b, []byte("%PDF-")):
		kind = "application/pdf"
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		kind = "image/png"
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		kind = "image/jpeg"
	case bytes.HasPrefix(b, []byte("GIF87a")), bytes.HasPrefix(b, []byte("GIF89a")):
		kind = "image/gif"
	case len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		kind = "image/webp"
	default:
		return nil, room.Invalid("file: neither an image (PNG, JPEG, GIF, WebP) nor a PDF")
	}
	return &attachment{Type: kind, Bytes: len(b), SHA256: room.NewWritten(time.Time{}, "", "", b).Body}, nil
}
