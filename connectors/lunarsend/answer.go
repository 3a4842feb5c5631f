package lunarsend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/crmetl/crmetl/record"
)

// columns are the fields of a contact, in the order of the table.
func columns() []string {
	o := Schema().Objects[0]
	names := make([]string, len(o.Fields))
	for i := range o.Fields {
		names[i] = o.Fields[i].Name
	}
	return names
}

// contact is one contact as an answer shows it.
type contact struct {
	id     string
	raw    json.RawMessage
	fields []shown
	total  int64 // total_count, which v2 repeats in every contact; -1 if it is not there
}

// shown is one field of a contact.
type shown struct {
	name  string // as the table spells it
	value record.Value
}

// get returns a field; ok is false if the answer does not show it.
func (c *contact) get(name string) (record.Value, bool) {
	for _, f := range c.fields {
		if f.name == name {
			return f.value, true
		}
	}
	return record.Value{}, false
}

// bare reports whether the answer shows nothing but the id.
func (c *contact) bare() bool { return len(c.fields) == 0 }

// created is when the contact was made, if the answer says so. A time without a zone may be hours off, and is none.
func (c *contact) created() (time.Time, bool) {
	v, _ := c.get("created_at")
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999Z0700"} {
		if t, err := time.Parse(layout, v.Text()); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// element is one entry of an answer to a change.
type element struct {
	contact
	refusal string // what the vendor has against it, "" if it took it
}

// answer is what a body holds.
type answer struct {
	elements []element
	single   bool // one contact came, not in a list: there may be others that the vendor does not show
}

// parse reads an answer in any of the shapes that the vendor's pages show: {"id"}, [{"id"}], {"data":{…}},
// {"data":[…]}, [{"status","data":{…}}], [{"success","data":{…}}], and the empty forms.
func parse(body []byte) (answer, error) {
	var a answer
	body = bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(body), []byte("\xef\xbb\xbf")))
	if len(body) == 0 {
		return a, nil
	}
	if !json.Valid(body) {
		return a, fmt.Errorf("the answer is no JSON: %s", excerpt(body))
	}
	err := a.read(body, false, 0)
	return a, err
}

func excerpt(body []byte) string {
	if len(body) > 200 {
		body = body[:200]
	}
	return strconv.Quote(strings.ToValidUTF8(string(body), ""))
}

// read adds what a JSON value holds.
func (a *answer) read(raw json.RawMessage, listed bool, depth int) error {
	raw = bytes.TrimSpace(raw)
	if depth > 4 {
		return fmt.Errorf("the answer nests too deep: %s", excerpt(raw))
	}
	switch {
	case string(raw) == "null":
		return nil
	case raw[0] == '[':
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return err
		}
		for _, x := range list {
			if err := a.read(x, true, depth+1); err != nil {
				return err
			}
		}
		return nil
	case raw[0] == '{':
		return a.object(raw, listed, depth)
	}
	if v, err := record.ParseJSON(raw); err == nil && likeID.MatchString(v.Text()) && strings.ContainsAny(v.Text(), "0123456789") {
		a.add(element{contact: contact{id: v.Text(), raw: raw, total: -1}}, listed)
		return nil
	}
	return fmt.Errorf("the answer shows no contact: %s", excerpt(raw))
}

// likeID is what an id looks like where nothing else says that it is one.
var likeID = regexp.MustCompile(`^[0-9A-Za-z-]{8,64}$`)

func (a *answer) add(e element, listed bool) {
	a.elements = append(a.elements, e)
	a.single = a.single || !listed
}

// object adds a contact, or what stands around one.
func (a *answer) object(raw json.RawMessage, listed bool, depth int) error {
	e := element{contact: contact{raw: raw, total: -1}}
	var wrap envelope
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		name, _ := key.(string)
		if !wrap.take(name, value) {
			e.take(name, value)
		}
	}
	refusal := wrap.refusal()
	switch {
	case e.id != "":
		e.refusal = refusal
		a.add(e, listed)
	case refusal != "":
		a.add(element{refusal: refusal}, listed)
	case wrap.list != nil:
		return a.read(wrap.list, listed, depth+1)
	case !e.bare():
		return fmt.Errorf("the answer shows a contact without its id: %s", excerpt(raw))
	}
	return nil // {} and {"message":"…"}: no contact
}

// envelope is what can stand around a contact.
type envelope struct {
	list              json.RawMessage
	status, text, why string
	failed            bool
}

// take keeps a member that belongs to the envelope.
func (w *envelope) take(name string, value json.RawMessage) bool {
	s := ""
	if v, err := record.ParseJSON(value); err == nil {
		s = v.Text()
	}
	switch name {
	case "data", "contacts", "contact", "results":
		if value[0] != '{' && value[0] != '[' && string(value) != "null" {
			return false
		}
		w.list = value
	case "status":
		w.status = strings.ToLower(s)
	case "success":
		w.failed = w.failed || s == "false"
	case "error", "errors":
		if s != "false" && s != "[]" && s != "{}" {
			w.why = s
		}
	case "message":
		w.text = s
	default:
		return false
	}
	return true
}

// refusal is what the vendor has against the record, "" if nothing.
func (w *envelope) refusal() string {
	if !w.failed && w.status != "error" && w.status != "failed" && w.why == "" {
		return ""
	}
	switch {
	case w.why != "" && w.text != "" && w.why != w.text:
		return w.text + " (" + w.why + ")"
	case w.why+w.text != "":
		return w.why + w.text
	}
	return "the vendor says that it failed, not why"
}

// take keeps a member of a contact. Names are taken without regard to case and underscores: the vendor's pages have
// first_name and firstName, id, contact_id and contactID.
func (e *contact) take(name string, value json.RawMessage) {
	key := strings.ToLower(strings.ReplaceAll(name, "_", ""))
	v, err := record.ParseJSON(value)
	if err != nil {
		return
	}
	switch key {
	case "id", "contactid":
		if v.Kind() == record.Text && strings.TrimSpace(v.Text()) != "" || v.Kind() == record.Number {
			e.id = strings.TrimSpace(v.Text())
		}
	case "totalcount":
		if n, err := strconv.ParseInt(v.Text(), 10, 64); err == nil && n >= 0 {
			e.total = n
		}
	case "tags":
		e.fields = append(e.fields, shown{"tags", tags(value)})
	default:
		if known := fieldOf(key); known != "" {
			if v.Kind() == record.Number {
				v = record.TextOf(v.Text())
			}
			e.fields = append(e.fields, shown{known, v})
		}
	}
}

// fieldOf is the table's name of a field in an answer, "" if it has none.
func fieldOf(key string) string {
	switch key {
	case "firstname":
		return "first_name"
	case "lastname":
		return "last_name"
	case "jobtitle":
		return "job_title"
	case "userid":
		return "user_id"
	case "lastactivity":
		return "last_activity"
	case "createdat":
		return "created_at"
	case "email", "company", "phone", "notes", "name", "owner":
		return key
	}
	return ""
}

// tags are the names of a contact's tags; tags without names stay as they came.
func tags(raw json.RawMessage) record.Value {
	var list []struct {
		Name *string `json:"name"`
	}
	v, _ := record.ParseJSON(raw)
	if json.Unmarshal(raw, &list) != nil {
		return v
	}
	names := make([]string, len(list))
	for i, t := range list {
		if t.Name == nil {
			return v
		}
		names[i] = *t.Name
	}
	return record.ListOf(names)
}
