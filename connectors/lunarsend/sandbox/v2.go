package sandbox

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// outcome is what v2 says of one contact. The page of creates has status, the example of PATCH has success.
type outcome struct {
	Status  string `json:"status,omitempty"` // success, error
	Success *bool  `json:"success,omitempty"`
	Error   string `json:"error,omitempty"`
	Data    any    `json:"data"`
}

// outcome describes what became of one contact: err is nil or a *room.Refusal.
func (c *call) outcome(data any, err error, documented string) outcome {
	o := outcome{Data: data}
	good := err == nil
	if !good {
		o.Error = err.Error()
	}
	form := c.knobs.V2Form
	if form == "documented" {
		form = documented
	}
	switch {
	case form == "success":
		o.Success = &good
	case good:
		o.Status = "success"
	default:
		o.Status = "error"
	}
	return o
}

// isRefusal reports whether the request is to blame for an error, not the simulator.
func isRefusal(err error) bool {
	var r *room.Refusal
	return errors.As(err, &r)
}

// createV2 answers POST /v2/contacts: with a contact or an array of them.
func (s *Simulator) createV2(c *call) error {
	if err := c.json(); err != nil {
		return err
	}
	docs := []json.RawMessage{c.body}
	several := isArray(c.body)
	var err error
	if several {
		docs, err = array(c.body)
	} else {
		_, err = c.object()
	}
	if err != nil {
		return err
	}
	all := make([]contact, len(docs))
	wrong := make([]error, len(docs))
	for i, doc := range docs {
		if all[i], wrong[i] = c.buildV2(doc); wrong[i] != nil && !isRefusal(wrong[i]) {
			return wrong[i]
		}
	}
	if c.knobs.V2Errors == "status" || c.knobs.V2Errors == "split" && !several {
		for _, err := range wrong {
			if err != nil {
				return err
			}
		}
		if err := s.createAll(c, all, true); err != nil {
			return err
		}
	} else if err := s.createEach(c, all, wrong); err != nil {
		return err
	}
	list := make([]outcome, len(docs))
	for i, doc := range docs {
		var data any = all[i].whole(&c.knobs)
		if wrong[i] != nil {
			data = nil
			if json.Valid(doc) {
				data = doc
			}
		}
		list[i] = c.outcome(data, wrong[i], "status")
	}
	room.WriteJSON(c.w, c.knobs.CreateStatus, list)
	return nil
}

// createEach makes the contacts that can be and notes what is wrong with the others.
func (s *Simulator) createEach(c *call, all []contact, wrong []error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	for i := range all {
		if wrong[i] != nil {
			continue
		}
		err := s.create(c, &all[i], true)
		if err != nil && !isRefusal(err) {
			return err
		}
		wrong[i] = err
	}
	return nil
}

// buildV2 makes a contact from a create's object.
func (c *call) buildV2(doc []byte) (contact, error) {
	members, err := room.ParseObject(doc)
	if err != nil {
		return contact{}, room.Invalid("%v", err)
	}
	fields, rest, err := unnest(members)
	if err != nil {
		return contact{}, err
	}
	if len(rest) > 0 && !c.knobs.Lenient {
		return contact{}, room.Invalid("%s: stands beside data", rest[0].Name)
	}
	return c.build(fields, v2Fields())
}

// unnest returns the fields of a contact and, if they are nested under data, what stands beside it: the vendor's table
// nests them, its example does not.
func unnest(members []room.Member) (fields, rest []room.Member, err error) {
	i := slices.IndexFunc(members, func(m room.Member) bool { return m.Name == "data" })
	if i < 0 {
		return members, nil, nil
	}
	if fields, err = room.ParseObject(members[i].Value); err != nil {
		return nil, nil, room.Invalid("data: want an object")
	}
	return fields, slices.Delete(slices.Clone(members), i, i+1), nil
}

// patchV2 answers PATCH /v2/contacts.
func (s *Simulator) patchV2(c *call) error {
	members, err := c.object()
	if err != nil {
		return err
	}
	inner, beside, err := unnest(members)
	if err != nil {
		return err
	}
	var id string
	var sets []room.Member
	take := func(m room.Member, nested bool) error {
		if m.Name == "id" {
			text, ok := m.Text()
			if !ok || strings.TrimSpace(text) == "" || id != "" && text != id {
				return room.Invalid("id: want a string, the id of one contact")
			}
			id = text
			return nil
		}
		if nested && slices.Contains(v2Fields(), m.Name) {
			sets = append(sets, m)
		} else if !c.knobs.Lenient {
			return room.Invalid("%s: a contact has no such field that can be changed", m.Name)
		}
		return nil
	}
	for _, m := range inner {
		if err := take(m, true); err != nil {
			return err
		}
	}
	for _, m := range beside {
		if err := take(m, false); err != nil {
			return err
		}
	}
	if id == "" {
		return room.Invalid("id is required")
	}
	if len(sets) == 0 && !c.knobs.Lenient {
		return room.Invalid("there is nothing to change")
	}
	one, err := s.change(c, id, sets, true)
	if isRefusal(err) && c.knobs.V2Errors == "entries" {
		room.WriteJSON(c.w, http.StatusOK, []outcome{c.outcome(json.RawMessage(c.body), err, "success")})
		return nil
	}
	if err != nil {
		return err
	}
	room.WriteJSON(c.w, http.StatusOK, []outcome{c.outcome(one.whole(&c.knobs), nil, "success")})
	return nil
}

// removeV2 answers DELETE in v2, which no page of the vendor has.
func (s *Simulator) removeV2(c *call) error {
	id := ""
	switch c.knobs.V2Delete {
	case byPath:
		id = c.args[0]
	case byQuery:
		id = c.query.Get("id")
	default:
		if len(c.body) == 0 {
			break
		}
		members, err := c.object()
		if err != nil {
			return err
		}
		for _, m := range members {
			ok := true
			if m.Name == "id" {
				id, ok = m.Text()
			} else if !c.knobs.Lenient {
				return room.Invalid("%s: a delete has id alone", m.Name)
			}
			if !ok {
				return room.Invalid("id: want a string")
			}
		}
	}
	if strings.TrimSpace(id) == "" {
		return room.Invalid("id is required")
	}
	if err := s.drop(c, id); err != nil {
		return err
	}
	room.WriteJSON(c.w, http.StatusOK, []outcome{c.outcome(onlyID{id}, nil, "success")})
	return nil
}

// row is a contact as v2's search shows it.
type row struct {
	ContactID    string  `json:"contact_id"`
	FirstName    *string `json:"first_name"`
	LastName     *string `json:"last_name"`
	Phone        any     `json:"phone"`
	Email        *string `json:"email"`
	Company      *string `json:"company"`
	Owner        *string `json:"owner"`
	LastActivity *string `json:"last_activity"`
	UserID       *string `json:"user_id"`
	Tags         []tag   `json:"tags"`
	TotalCount   int     `json:"total_count"` // of all that match, on every row
}

// defaultAmount is the size of a page that nobody named. No page of the vendor has it.
const defaultAmount = 10

// searchV2 answers GET /v2/contacts/search.
func (s *Simulator) searchV2(c *call) error {
	for name, values := range c.query {
		known := slices.Contains([]string{"search_term", "search_by", "query_amount", "per_page", "page"}, name)
		if !c.knobs.Lenient && (!known || len(values) > 1) {
			return room.Invalid("%s: a search has search_term, search_by, query_amount and page, once each", name)
		}
	}
	page, err := c.whole("page", 0, c.knobs.V2FirstPage)
	if err != nil {
		return err
	}
	page = max(0, page-c.knobs.V2FirstPage)
	// The page about searching has query_amount, the one about getting started per_page.
	amount, err := c.whole("per_page", 1, defaultAmount)
	if err != nil {
		return err
	}
	if amount, err = c.whole("query_amount", 1, amount); err != nil {
		return err
	}
	amount = min(amount, c.knobs.MaxQueryAmount)

	some, total, err := s.page(c, page, amount)
	if err != nil {
		return err
	}
	return s.writeList(c, `{"data":`, some, func(one *contact) any {
		k := &c.knobs
		return row{one.ID, k.shown(one.FirstName), k.shown(one.LastName), one.phone(k), k.shown(one.Email), k.shown(one.Company),
			k.shown(one.Owner), k.shown(one.LastActivity), k.shown(one.UserID), one.Tags, total}
	}, "}")
}

// page returns the ids on a page, counted from 0, and how many there are on all of them.
func (s *Simulator) page(c *call, page, amount int) (some []string, total int, err error) {
	term, by := c.query.Get("search_term"), c.query.Get("search_by")
	if term == "" {
		if c.knobs.V2EmptySearch == "none" {
			return nil, 0, nil
		}
		all := s.Store.List(kindContacts)
		from, to := bounds(page, amount, all.Len())
		some, err = ids(all.Slice(from, to))
		return some, all.Len(), err
	}
	if by == "" {
		return nil, 0, room.Invalid("search_by is required with a search_term")
	}
	if fields := append(v2Fields(), "id", "contact_id", "owner"); !slices.Contains(fields, by) {
		return nil, 0, room.Invalid("search_by: %q is none of %s", by, strings.Join(fields, ", "))
	}
	all, err := s.match(by, term, &c.knobs)
	if err != nil {
		return nil, 0, err
	}
	from, to := bounds(page, amount, len(all))
	return all[from:to], len(all), nil
}

// bounds are those of a page in a list of n.
func bounds(page, amount, n int) (from, to int) {
	if page > n/amount {
		return n, n
	}
	return page * amount, min(page*amount+amount, n)
}

// whole reads a whole number from the query.
func (c *call) whole(name string, least, missing int) (int, error) {
	text := c.query.Get(name)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, room.Invalid("%s: want a whole number from %d", name, least)
	}
	return n, nil
}
