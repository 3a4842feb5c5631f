package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// contact is a contact as it is kept. Names and order are those of the whole contacts that a page of the vendor of mid-2025
// shows; tags are v2's.
type contact struct {
	Email        string `json:"email"`
	Phone        string `json:"phone"`
	PhoneNumber  bool   `json:"phone_number,omitempty"` // the phone came as a number
	Company      string `json:"company"`
	CreatedAt    string `json:"created_at"` // RFC 3339
	ID           string `json:"id"`
	UserID       string `json:"user_id"`
	Owner        string `json:"owner"`
	LastActivity string `json:"last_activity"` // RFC 3339, or nothing
	LastName     string `json:"last_name"`
	JobTitle     string `json:"job_title"`
	Notes        string `json:"notes"`
	FirstName    string `json:"first_name"`
	Tags         []tag  `json:"tags"`
}

// tag is a label of a contact. No call sets one; made-up contacts have some.
type tag struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Color string `json:"color"`
}

// The account's only user, whom contacts belong to.
const (
	userID    = "7b1f0f5e-3c56-4b7e-9a53-0d4b3d0c9a11"
	userOwner = "Sandbox Owner"
)

func newContact(at time.Time) contact {
	return contact{CreatedAt: at.UTC().Format(time.RFC3339), UserID: userID, Owner: userOwner, Tags: []tag{}}
}

// createFields are the fields of the document's "Creating Contacts". The name of email is missing in the copy; the
// vendor's page has it.
func createFields() []string {
	return []string{"first_name", "email", "last_name", "company", "phone", "job_title", "notes"}
}

// v2Fields are those of a create in v2.
func v2Fields() []string { return append(createFields(), "user_id") }

// editable are what edit_fields can name.
func editable() []string { return append(createFields(), "name") }

// field returns the text of a field, nil if there is no such field.
func (c *contact) field(name string) *string {
	switch name {
	case "id", "contact_id":
		return &c.ID
	case "first_name":
		return &c.FirstName
	case "last_name":
		return &c.LastName
	case "email":
		return &c.Email
	case "phone":
		return &c.Phone
	case "company":
		return &c.Company
	case "job_title":
		return &c.JobTitle
	case "notes":
		return &c.Notes
	case "user_id":
		return &c.UserID
	case "owner":
		return &c.Owner
	}
	return nil
}

// set sets a field that is known to be one, or name, from a request.
func (c *contact) set(m room.Member, k *Knobs) error {
	text, ok := m.Text()
	number := false
	if !ok && m.Name == "phone" {
		// The document's table says Integer, its examples are a string and a number.
		var n int64
		n, number = m.Integer()
		number = number && n >= 0
		text, ok = strconv.FormatInt(n, 10), number
	}
	if !ok && m.IsNull() && k.Lenient {
		text, ok = "", true
	}
	switch {
	case !ok && m.Name == "phone":
		return room.Invalid("phone: want a string or a whole number")
	case !ok:
		return room.Invalid("%s: want a string", m.Name)
	case m.Name == "name":
		// An edit has one name, a contact has two.
		first, last, _ := strings.Cut(strings.TrimSpace(text), " ")
		c.FirstName, c.LastName = first, strings.TrimSpace(last)
		return nil
	case m.Name == "phone":
		c.PhoneNumber = number
	case m.Name == "user_id" && text != c.UserID:
		c.Owner = ""
	}
	*c.field(m.Name) = text
	return nil
}

// build makes a contact from the members of a create.
func (c *call) build(members []room.Member, fields []string) (contact, error) {
	one := newContact(c.at)
	for _, m := range members {
		if !slices.Contains(fields, m.Name) {
			if c.knobs.Lenient {
				continue
			}
			return one, room.Invalid("%s: a new contact has no such field", m.Name)
		}
		if err := one.set(m, &c.knobs); err != nil {
			return one, err
		}
	}
	return one, one.complete()
}

// complete reports what is missing of a contact: the document requires these two.
func (c *contact) complete() error {
	if strings.TrimSpace(c.FirstName) == "" {
		return room.Invalid("first_name is required")
	}
	if strings.TrimSpace(c.Email) == "" {
		return room.Invalid("email is required")
	}
	return nil
}

// whole is a contact as answers show it. What is nil is null.
type whole struct {
	Email        *string `json:"email"`
	Phone        any     `json:"phone"`
	Company      *string `json:"company"`
	CreatedAt    string  `json:"created_at"`
	ID           string  `json:"id"`
	UserID       *string `json:"user_id"`
	Owner        *string `json:"owner"`
	LastActivity *string `json:"last_activity"`
	LastName     *string `json:"last_name"`
	JobTitle     *string `json:"job_title"`
	Notes        *string `json:"notes"`
	FirstName    *string `json:"first_name"`
}

func (c *contact) whole(k *Knobs) whole {
	return whole{
		Email: k.shown(c.Email), Phone: c.phone(k), Company: k.shown(c.Company), CreatedAt: c.CreatedAt, ID: c.ID,
		UserID: k.shown(c.UserID), Owner: k.shown(c.Owner), LastActivity: k.shown(c.LastActivity),
		LastName: k.shown(c.LastName), JobTitle: k.shown(c.JobTitle), Notes: k.shown(c.Notes), FirstName: k.shown(c.FirstName),
	}
}

// shown is a text in an answer.
func (k *Knobs) shown(text string) *string {
	if text == "" && k.Empty == "null" {
		return nil
	}
	return &text
}

func (c *contact) phone(k *Knobs) any {
	if c.PhoneNumber && k.PhoneAnswer == "as_sent" {
		return json.Number(c.Phone)
	}
	return k.shown(c.Phone)
}

// idLength is the length of the document's ids.
const idLength = 20

// legacyID makes the nth id of the legacy API.
func legacyID(n int64) string { return room.Digits("contact", n, idLength) }

// uuid makes the nth id of v2, always the same.
func uuid(space string, n int64) string {
	b := sha256.Sum256([]byte(space + strconv.FormatInt(n, 10)))
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func v2ID(n int64) string { return uuid("v2 contact ", n) }

// holders are the contacts that have an address.
type holders struct {
	Email string   `json:"email"` // in lower case
	IDs   []string `json:"ids"`
}

// emailKey is the id of an address among kindEmails.
func emailKey(email string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(email)))
	return hex.EncodeToString(sum[:])
}

// reader is a Store or a Tx.
type reader interface {
	Get(kind, id string) ([]byte, bool, error)
}

// withEmail returns who has an address.
func withEmail(from reader, email string) ([]string, error) {
	doc, ok, err := from.Get(kindEmails, emailKey(email))
	if err != nil || !ok {
		return nil, err
	}
	var h holders
	err = json.Unmarshal(doc, &h)
	return h.IDs, err
}

func duplicate(k *Knobs, v2 bool, email string) error {
	r := &room.Refusal{Status: http.StatusBadRequest, Code: "duplicate_email", Text: fmt.Sprintf("email: there is a contact with %s already", email)}
	if v2 {
		r.Status = k.V2DuplicateStatus
	}
	return r
}

// setEmails says who has an address.
func setEmails(tx *room.Tx, email string, ids []string) error {
	if len(ids) == 0 {
		tx.Delete(kindEmails, emailKey(email))
		return nil
	}
	return tx.PutJSON(kindEmails, emailKey(email), holders{strings.ToLower(email), ids})
}

// insert keeps a new contact under its id.
func insert(tx *room.Tx, one *contact) error {
	ids, err := withEmail(tx, one.Email)
	if err != nil {
		return err
	}
	if err := setEmails(tx, one.Email, append(slices.Clip(ids), one.ID)); err != nil {
		return err
	}
	return tx.PutJSON(kindContacts, one.ID, one)
}

// move takes a contact out of the index under one address and, unless it is "", enters it under another.
func move(tx *room.Tx, id, from, to string) error {
	if emailKey(from) == emailKey(to) {
		return nil
	}
	ids, err := withEmail(tx, from)
	if err != nil {
		return err
	}
	if err := setEmails(tx, from, slices.DeleteFunc(ids, func(one string) bool { return one == id })); err != nil {
		return err
	}
	if to == "" {
		return nil
	}
	if ids, err = withEmail(tx, to); err != nil {
		return err
	}
	return setEmails(tx, to, append(ids, id))
}

// find returns a contact.
func find(from reader, id string) (contact, error) {
	var one contact
	doc, ok, err := from.Get(kindContacts, id)
	switch {
	case err != nil:
		return one, err
	case !ok:
		return one, notFound(id)
	}
	err = json.Unmarshal(doc, &one)
	return one, err
}
