package sandbox

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	room "github.com/crmetl/crmetl/internal/sandbox"
)

// deleteLead answers DELETE /leads/{id} and DELETE /lead/{id}.
func (s *Simulator) deleteLead(c *call) error {
	if err := c.need("lead.update"); err != nil {
		return err
	}
	id, err := c.leadID()
	if err != nil {
		return err
	}
	err = s.change(c.written(), func(e *edit) (string, error) {
		if !s.index.has(id) {
			return "", notFound(c.args[0])
		}
		e.delete(id)
		return c.args[0], nil
	})
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// deleteLeads answers DELETE /leads: "An array of property ID. If you don't pass any ID, it will delete all leads." No
// ids are passed by an empty body, by an object without leads, and by leads that are null or an empty array. Ids that no lead
// has are passed over.
func (s *Simulator) deleteLeads(c *call) error {
	if err := c.need("lead.update"); err != nil {
		return err
	}
	ids, err := c.idsToDelete()
	if err != nil {
		return err
	}
	err = s.change(c.written(), func(e *edit) (string, error) {
		if len(ids) == 0 {
			for _, id := range s.index.ids() {
				e.delete(id)
			}
			return everyLead, nil
		}
		for _, id := range ids {
			if s.index.has(id) {
				e.delete(id)
			}
		}
		return idList(ids), nil
	})
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// idsToDelete reads the ids of a bulk delete, none if all leads are meant.
func (c *call) idsToDelete() ([]int64, error) {
	if len(c.body) == 0 {
		return nil, nil
	}
	members, err := c.object()
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, m := range members {
		if m.Name != "leads" {
			c.warn("%s is unknown and was ignored", strconv.QuoteToASCII(m.Name))
			continue
		}
		var ok bool
		if ids, ok = integers(m); !ok && !m.IsNull() {
			return nil, fieldErrors{"leads": {"want an array of ids"}}
		}
	}
	return ids, nil
}

// everyLead stands for all leads, in the paths of a bulk PATCH as in the ledger.
const everyLead = "*"

// idList is how the ledger names the leads of a bulk call.
func idList(ids []int64) string {
	const most = 1000
	var b strings.Builder
	for i, id := range ids {
		if i == most {
			return b.String() + ",…"
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(id, 10))
	}
	return b.String()
}

// operation is one of a PATCH.
type operation struct {
	at    int
	op    string
	lead  string // what the path begins with, in a bulk call: an id, or * for all
	path  string // /status, /assignment/user, …
	value room.Member
}

func (o operation) wrong(part, format string, args ...any) error {
	f := fieldErrors{}
	f.add("operations."+strconv.Itoa(o.at)+"."+part, format, args...)
	return f
}

const (
	pathStatus   = "/status"
	pathUser     = "/assignment/user"
	pathProperty = "/assignment/property"
	pathMLS      = "/assignment/mls"
)

// operations reads the body of a PATCH. With leads, each path begins with a lead.
func (c *call) operations(leads bool) ([]operation, error) {
	members, err := c.object()
	if err != nil {
		return nil, err
	}
	var all []room.Member
	for _, m := range members {
		if m.Name != "operations" {
			c.warn("%s is unknown and was ignored", strconv.QuoteToASCII(m.Name))
			continue
		}
		var ok bool
		if all, ok = array(m); !ok {
			return nil, fieldErrors{"operations": {"want an array"}}
		}
	}
	if len(all) == 0 {
		return nil, fieldErrors{"operations": {"is required"}}
	}
	if most := c.knobs.MaxOperations; most > 0 && len(all) > most {
		return nil, fieldErrors{"operations": {"there are " + strconv.Itoa(len(all)) + ", more than " + strconv.Itoa(most)}}
	}
	out := make([]operation, len(all))
	for i, m := range all {
		out[i], err = c.operation(i, m, leads)
		if err != nil {
			// What comes before it may still be done.
			return out[:i], err
		}
	}
	return out, nil
}

func (c *call) operation(i int, m room.Member, leads bool) (operation, error) {
	o := operation{at: i}
	members, err := room.ParseObject(m.Value)
	if err != nil {
		return o, fieldErrors{"operations." + strconv.Itoa(i): {"want an object with op, path and value"}}
	}
	for _, part := range members {
		ok := true
		switch part.Name {
		case "op":
			o.op, ok = part.Text()
		case "path":
			o.path, ok = part.Text()
		case "value":
			o.value = part
		default:
			c.warn("operations.%d.%s is unknown and was ignored", i, strconv.QuoteToASCII(part.Name))
		}
		if !ok {
			return o, o.wrong(part.Name, "want a string")
		}
	}
	if leads {
		first, rest, ok := strings.Cut(strings.TrimPrefix(o.path, "/"), "/")
		if !ok || !strings.HasPrefix(o.path, "/") {
			return o, o.wrong("path", "want /{id}/status or /{id}/assignment/…")
		}
		if id, err := strconv.ParseInt(first, 10, 64); first != everyLead && (err != nil || strconv.FormatInt(id, 10) != first) {
			return o, o.wrong("path", "%s is neither an id nor *", strconv.Quote(first))
		}
		o.lead, o.path = first, "/"+rest
	}
	return o, c.checkOperation(o)
}

// checkOperation checks what does not depend on the lead.
func (c *call) checkOperation(o operation) error {
	ops := []string{"replace"}
	needs := "lead.update"
	switch o.path {
	case pathStatus:
		if v, ok := o.value.Text(); !ok || !slices.Contains(statuses, v) {
			return o.wrong("value", "want one of %s", strings.Join(statuses, ", "))
		}
	case pathUser:
		needs = "user.update"
		id, ok := loose(o.value)
		if _, known := userByID(id); !ok || !known {
			return o.wrong("value", "want the id of a user")
		}
	case pathProperty, pathMLS:
		ops, needs = []string{"add", "remove"}, "property.read"
		if id, ok := loose(o.value); !ok || id < 1 {
			return o.wrong("value", "want an id")
		}
	default:
		return o.wrong("path", "%s is none of %s", strconv.Quote(o.path), strings.Join([]string{pathStatus, pathUser, pathProperty, pathMLS}, ", "))
	}
	if !slices.Contains(ops, o.op) {
		return o.wrong("op", "%s can't be done to %s: want %s", strconv.Quote(o.op), o.path, strings.Join(ops, " or "))
	}
	return c.need(needs)
}

// loose reads an id that is a number or, as in the document's sample, a string.
func loose(m room.Member) (int64, bool) {
	if t, ok := m.Text(); ok {
		n, err := strconv.ParseInt(t, 10, 64)
		return n, err == nil
	}
	return m.Integer()
}

// apply does the operation to a lead.
func (o operation) apply(l *lead) {
	switch o.path {
	case pathStatus:
		v, _ := o.value.Text()
		l.Status = &v
	case pathUser:
		id, _ := loose(o.value)
		l.User = &ref{id}
	case pathProperty:
		l.Kept.Properties = o.assign(l.Kept.Properties)
	case pathMLS:
		l.Kept.MLS = o.assign(l.Kept.MLS)
	}
}

// assign adds or removes an id. What is there already, or is not there, is no error.
func (o operation) assign(ids []int64) []int64 {
	id, _ := loose(o.value)
	i := slices.Index(ids, id)
	switch {
	case o.op == "add" && i < 0:
		return append(ids, id)
	case o.op == "remove" && i >= 0:
		return slices.Delete(ids, i, i+1)
	}
	return ids
}

// patchLead answers PATCH /leads/{id}. The document's sample has paths without the id, its table paths with it.
func (s *Simulator) patchLead(c *call) error {
	if err := c.need("lead.update"); err != nil {
		return err
	}
	id, err := c.leadID()
	if err != nil {
		return err
	}
	ops, err := c.operations(c.knobs.PatchPath == long)
	if err != nil {
		return err
	}
	for _, o := range ops {
		if o.lead != "" && o.lead != c.args[0] {
			return o.wrong("path", "want /%s%s", c.args[0], o.path)
		}
	}
	err = s.change(c.written(), func(e *edit) (string, error) {
		l, err := e.get(id)
		if err != nil {
			return "", err
		}
		if l == nil {
			return "", notFound(c.args[0])
		}
		for _, o := range ops {
			o.apply(l)
		}
		l.UpdatedAt = stamp(c.at)
		e.put(l)
		return c.args[0], nil
	})
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// patchLeads answers PATCH /leads. Whether the vendor does what stands before a bad operation is not known: a setting.
func (s *Simulator) patchLeads(c *call) error {
	if err := c.need("lead.update"); err != nil {
		return err
	}
	ops, refused := c.operations(true)
	if refused != nil && (!c.knobs.BulkLoose || len(ops) == 0) {
		return refused
	}
	err := s.change(c.written(), func(e *edit) (string, error) {
		touched, err := s.applyAll(c, e, ops)
		if err == nil {
			return touched, nil
		}
		var fields fieldErrors
		if !errors.As(err, &fields) || !c.knobs.BulkLoose || touched == "" {
			return "", err
		}
		refused = err
		return touched, nil
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// applyAll does the operations one by one, up to the first whose lead is not there, and says which leads they changed.
func (s *Simulator) applyAll(c *call, e *edit, ops []operation) (touched string, err error) {
	var ids []int64
	all := false
	say := func() string {
		if all {
			return everyLead
		}
		return idList(ids)
	}
	for _, o := range ops {
		targets := []int64{}
		if o.lead == everyLead {
			all = true
			targets = s.index.ids()
		} else if id, err := strconv.ParseInt(o.lead, 10, 64); err == nil {
			targets = append(targets, id)
		}
		for _, id := range targets {
			l, err := e.get(id)
			if err != nil {
				return "", err
			}
			if l == nil {
				return say(), o.wrong("path", "there is no lead %d", id)
			}
			o.apply(l)
			l.UpdatedAt = stamp(c.at)
			e.put(l)
		}
		if o.lead != everyLead && !slices.Contains(ids, targets[0]) {
			ids = append(ids, targets[0])
		}
	}
	return say(), nil
}
