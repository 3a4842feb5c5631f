package sandbox

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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
			return true, invalid("%s: want a string", m.Name)
		}
		if m.Name == "color" && !slices.Contains(colors(), s) {
			return true, invalid("color: %q is none of %s", s, strings.Join(colors(), ", "))
		}
		*to = s
		return true, nil
	}
	switch m.Name {
	case "groups":
		list, ok := m.Texts()
		if !ok {
			return true, invalid("groups: want an array of strings")
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
			return true, invalid("numVisits: want a whole number")
		}
		return true, setInteger(&c.NumVisits, m)
	default:
		return false, nil
	}
	return true, nil
}

// text returns the field of the name, if it is one that holds a string.
func (c *customer) text(name string) *string {
	return map[string]*string{
		"name": &c.Name, "company": &c.Company, "address": &c.Address, "city": &c.City, "state": &c.State,
		"zip": &c.Zip, "country": &c.Country, "email": &c.Email, "phone": &c.Phone, "color": &c.Color,
		"notes": &c.Notes, "remindType": &c.RemindType, "custom0": &c.Custom0, "custom1": &c.Custom1,
		"custom2": &c.Custom2, "custom3": &c.Custom3, "custom4": &c.Custom4, "custom5": &c.Custom5,
		"custom6": &c.Custom6, "custom7": &c.Custom7, "custom8": &c.Custom8, "custom9": &c.Custom9,
	}[name]
}

func setNumber(to **json.Number, m room.Member) error {
	if m.IsNull() {
		*to = nil
		return nil
	}
	n, ok := m.Number()
	if !ok {
		return invalid("%s: want a number or null", m.Name)
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
		return invalid("%s: want a whole number or null", m.Name)
	}
	n := json.Number(m.Value)
	*to = &n
	return nil
}

// named reports whether the customer has what each must have: "at least a company or contact name".
func (c *customer) named() error {
	if strings.TrimSpace(c.Name) == "" && strings.TrimSpace(c.Company) == "" {
		return invalid("name or company is required")
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
			return invalid("%s: a customer has no such field that can be set", m.Name)
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
			if err := put(tx, kindFiles, one.ID, file); err != nil {
				return "", err
			}
		}
		if err := s.note(tx, c, update{Type: "import", Notes: "1 pins"}); err != nil {
			return "", err
		}
		return one.ID, put(tx, kindCustomers, one.ID, one)
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
				return "", invalid("%s: a customer has no such field that can be changed", m.Name)
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
		return id, put(tx, kindCustomers, id, one)
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

// searchCustomers answers GET /customers/search/{term}: case-insensitive, in name, company, address, city, state, zip and
// country.
func (s *Simulator) searchCustomers(c *call) error {
	term := strings.ToLower(c.args[0])
	quick := []byte(term)
	if !plain(quick) {
		quick = nil
	}
	var broken error
	found, err := s.Store.List(kindCustomers).Where(func(doc []byte) bool {
		// Most records do not have the term anywhere: those need no decoding.
		if quick != nil && plainText(doc) && !containsFold(doc, quick) {
			return false
		}
		var f struct{ Name, Company, Address, City, State, Zip, Country string }
		if err := json.Unmarshal(doc, &f); err != nil {
			broken = err
			return false
		}
		for _, v := range [...]string{f.Name, f.Company, f.Address, f.City, f.State, f.Zip, f.Country} {
			if strings.Contains(strings.ToLower(v), term) {
				return true
			}
		}
		return false
	})
	if err == nil {
		err = broken
	}
	if err != nil {
		return err
	}
	room.WriteArray(c.w, found, c.knobs.ContentLength)
	return nil
}

// plain reports whether a term looks the same in JSON as it does outside.
func plain(b []byte) bool {
	return !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r >= utf8.RuneSelf || r == '"' || r == '\\' })
}

// plainText reports whether a document has only ASCII and no escapes that hide letters, so that folding its bytes is
// folding its text.
func plainText(doc []byte) bool {
	for _, b := range doc {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return !bytes.Contains(doc, []byte(`\u`))
}

// containsFold reports whether doc has term, which is lower-case ASCII.
func containsFold(doc, term []byte) bool {
	if len(term) == 0 {
		return true
	}
	lower, upper := term[0], term[0]
	if 'a' <= lower && lower <= 'z' {
		upper -= 'a' - 'A'
	}
next:
	for i := 0; i+len(term) <= len(doc); i++ {
		if doc[i] != lower && doc[i] != upper {
			continue
		}
		for j := 1; j < len(term); j++ {
			b := doc[i+j]
			if 'A' <= b && b <= 'Z' {
				b += 'a' - 'A'
			}
			if b != term[j] {
				continue next
			}
		}
		return true
	}
	return false
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
		return nil, invalid("file: want a string")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, invalid("file: want base64")
	}
	if len(b) > maxFile {
		return nil, invalid("file: %d bytes are over 5MB", len(b))
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
		return nil, invalid("file: neither an image (PNG, JPEG, GIF, WebP) nor a PDF")
	}
	return &attachment{Type: kind, Bytes: len(b), SHA256: room.NewWritten(time.Time{}, "", "", b).Body}, nil
}
