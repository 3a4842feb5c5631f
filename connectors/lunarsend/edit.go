package lunarsend

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// update changes an existing contact: the fields that the row has, and no other. have is how the vendor shows it, nil if
// nobody has asked.
func (s *sink) update(ctx context.Context, row *record.Row, id string, have *contact) error {
	row.ID = id
	list, err := s.layout.edited(row)
	if err != nil {
		return s.Unfit(err, row)
	}
	body, err := s.layout.object(nil, list)
	if err != nil {
		return s.Unfit(err, row)
	}
	if s.Load.ChangedOnly && row.Fate == record.Pending && len(list) > 0 && id != "" {
		if have, err = s.ask(ctx, id, have); err != nil {
			return err
		}
		if have != nil {
			if like, _, all := compare(list, have); like == agrees && all {
				row.Fate = record.Unchanged
				return nil
			}
		}
	}
	if s.Load.DryRun {
		return s.plan(row, "update")
	}
	if held, err := s.Held(row); held || err != nil {
		return err
	}
	if len(list) == 0 {
		return s.nothing(row, id)
	}
	e := &edit{s: s, row: row, id: id, list: list, update: body}
	if s.conn.set.v2 || s.verified.Load() {
		return e.send(ctx)
	}
	release, err := s.first.Take(ctx, 0)
	if err != nil {
		return err
	}
	defer release()
	if s.verified.Load() {
		return e.send(ctx)
	}
	return e.alone(ctx)
}

// nothing ends a row that changes nothing. One in doubt was sent, with what made a new contact: it is there.
func (s *sink) nothing(row *record.Row, id string) error {
	if row.Fate == record.Doubt {
		row.Accept(delivery.Updated, id)
		return s.Settle(delivery.Result{}, "the contact is there, and the row changes nothing that can be edited", row)
	}
	row.Fate = record.Unchanged
	return nil
}

// ask returns how the vendor shows a contact, nil if it can't be told.
func (s *sink) ask(ctx context.Context, id string, have *contact) (*contact, error) {
	if have != nil && !have.bare() {
		return have, nil
	}
	f, err := s.conn.find(ctx, "id", id)
	if refusedSearch(err) {
		return have, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range f.list {
		if f.list[i].id == id {
			return &f.list[i], nil
		}
	}
	return have, nil
}

// edit is one change of a contact on its way.
type edit struct {
	s      *sink
	row    *record.Row
	id     string
	list   []setting
	update []byte
}

// send makes an edit that is known to reach its contact, or of v2: it may be repeated.
func (e *edit) send(ctx context.Context) error {
	s := e.s
	res, err := e.call(ctx, true)
	if err != nil {
		return err
	}
	switch {
	case res.Verdict == delivery.Refused:
		return s.Reject(res, e.row)
	case res.Verdict == delivery.Taken:
		e.row.Accept(delivery.Updated, e.id)
		return s.Settle(res, res.Note(), e.row)
	case s.Load.Unsure != schema.Check:
		return s.Unsure(res, "the call broke off and its outcome is not known: "+res.Err.Error(), e.row)
	}
	f, err := e.look(ctx)
	if err != nil {
		s.Halt(err)
		return err
	}
	if f.Answer == delivery.Present {
		e.row.Accept(delivery.Updated, e.id)
		return s.Settle(res, f.Note, e.row)
	}
	return s.Unsure(res, "the call broke off ("+res.Err.Error()+"); "+f.Note, e.row)
}

// alone makes the first edit of a run. Editing and creating are both POST, perhaps at one path: until an answer has
// named the contact that the edit was for, an edit may have made a contact, and is not repeated without a look.
func (e *edit) alone(ctx context.Context) error {
	s := e.s
	if e.row.Fate == record.Doubt && s.Load.Unsure == schema.Check {
		f, err := e.look(ctx)
		if err != nil {
			return err
		}
		if f.Answer == delivery.Present {
			_, err := e.conclude(delivery.Result{}, f)
			return err
		}
		// Whether the earlier edit arrived or not, this one leaves the contact as the row says; and if edits do not reach
		// their contacts here, its answer tells.
	}
	return s.Make(ctx, delivery.Once{
		Rows:  []*record.Row{e.row},
		Send:  func() (delivery.Result, error) { return e.call(ctx, false) },
		Taken: func(delivery.Result) { e.row.Accept(delivery.Updated, e.id) },
		Check: func(res delivery.Result) (bool, error) {
			f, err := e.look(ctx)
			if err != nil {
				return false, err
			}
			return e.conclude(res, f)
		},
	})
}

// conclude acts on what a lookup says about a first edit. done is false if it is to be sent again.
func (e *edit) conclude(res delivery.Result, f delivery.Finding) (done bool, err error) {
	switch f.Answer {
	case delivery.Present:
		e.row.Accept(delivery.Updated, e.id)
		return true, e.s.Settle(res, f.Note, e.row)
	case delivery.Absent:
		return false, e.s.Undo(res, f.Note)
	}
	return true, e.s.Unsure(res, "it was sent and the answer was lost; "+f.Note, e.row)
}

// call makes the call once. While no edit has succeeded yet, one that the vendor does not understand is sent once more
// under the other names of the document.
func (e *edit) call(ctx context.Context, again bool) (delivery.Result, error) {
	s := e.s
	if s.conn.set.v2 {
		return e.patch(ctx)
	}
	names := *s.naming.Load()
	res, err := e.post(ctx, names, again)
	other := map[string]string{namingCamel: namingSnake, namingSnake: namingCamel}[names]
	if err != nil || again || other == "" || !e.misread(res) {
		return res, err
	}
	if err := s.Undo(res, "the vendor did not understand the names of the edit's fields"); err != nil {
		return res, err
	}
	s.naming.Store(&other) // before the others may go
	res, err = e.post(ctx, other, again)
	if err == nil && res.Verdict == delivery.Taken {
		s.Warn("the vendor takes edits with the names of edit_naming %s, not %s", other, names)
	} else {
		s.naming.Store(&names)
	}
	return res, err
}

// misread reports whether the vendor did not recognise the edit: it misses a name of the edit's own, or one that only a
// new contact needs.
func (e *edit) misread(res delivery.Result) bool {
	if misses(res, "contactid", "updatefields") {
		return true
	}
	sets := func(name string) bool {
		return slices.ContainsFunc(e.list, func(x setting) bool { return x.name == name })
	}
	return misses(res, "firstname") && !sets("first_name") || misses(res, "email") && !sets("email")
}

// deliver makes the call of an edit. An answer that names another contact stops the run.
func (e *edit) deliver(ctx context.Context, r *api.Request) (delivery.Result, []element, error) {
	res, list, err := e.s.call(ctx, r, e.row)
	if err != nil || res.Verdict != delivery.Taken {
		return res, nil, err
	}
	for _, x := range list {
		if x.id != "" && !strings.EqualFold(x.id, e.id) {
			return res, nil, e.misrouted(res, x.id)
		}
	}
	return res, list, nil
}

// post sends an edit to the legacy API.
func (e *edit) post(ctx context.Context, naming string, again bool) (delivery.Result, error) {
	s := e.s
	r := s.conn.request(http.MethodPost, s.conn.set.edit, nil, editBody(nil, &s.conn.set, naming, e.id, e.update))
	r.Op = "POST " + s.conn.set.edit + " (edit)"
	r.Idempotent = again
	res, list, err := e.deliver(ctx, r)
	if err != nil || res.Verdict != delivery.Taken {
		return res, err
	}
	switch {
	case s.verified.Load():
	case len(list) == 0 || list[0].id == "":
		s.Warn("the answer to the first edit does not name its contact, so that it can't be checked that edits reach the contacts they are for")
		s.verified.Store(true)
	default:
		s.verified.Store(true)
	}
	return res, nil
}

// misrouted stops the run after an edit that most likely made a contact.
func (e *edit) misrouted(res delivery.Result, id string) error {
	s := e.s
	s.verified.Store(false)
	text := fmt.Sprintf("the edit of contact %s was answered with contact %s: the vendor seems to have made a new contact of it; look at %s and delete it if so, and set paths_edit to where edits belong", e.id, id, id)
	e.row.Reject(record.Problem{Field: "id", Rule: "vendor", Message: text})
	if err := s.Settle(res, res.Note(), e.row); err != nil {
		return err
	}
	err := &api.Error{Op: "POST " + s.conn.set.edit + " (edit)", Class: api.Setup, Status: res.Status, Message: text, Err: errMisrouted}
	s.Halt(err)
	return err
}

// patch sends an edit to v2.
func (e *edit) patch(ctx context.Context) (delivery.Result, error) {
	s := e.s
	r := s.conn.request(http.MethodPatch, s.conn.set.edit, nil, editBody(nil, &s.conn.set, "", e.id, e.update))
	r.Idempotent = true
	res, _, err := e.deliver(ctx, r)
	return res, err
}

// look finds out whether an edit was applied: the contact shows what was sent, or searches for what was sent find it.
func (e *edit) look(ctx context.Context) (delivery.Finding, error) {
	return e.s.Patient(ctx, func(int) (delivery.Finding, error) {
		have, err := e.s.ask(ctx, e.id, nil)
		if err != nil {
			return delivery.Finding{Answer: delivery.Unclear}, err
		}
		if have != nil {
			switch like, field, all := compare(e.list, have); {
			case like == agrees && all:
				return delivery.Finding{Answer: delivery.Present, ID: e.id, Note: "contact " + e.id + " has all that was sent"}, nil
			case like == disagrees:
				return delivery.Finding{Answer: delivery.Absent, Note: fmt.Sprintf("contact %s has another %s", e.id, field)}, nil
			}
		}
		return e.search(ctx)
	})
}

// search looks for the contact by each value that was sent, where the vendor shows ids only.
func (e *edit) search(ctx context.Context) (delivery.Finding, error) {
	s := e.s
	told, absent := false, false
	for _, x := range e.list {
		term := s.term(x.name, x.value)
		if term == "" || !slices.Contains(s.conn.set.searchable, x.name) {
			continue
		}
		f, err := s.conn.find(ctx, x.name, term)
		if refusedSearch(err) {
			continue
		}
		if err != nil {
			return delivery.Finding{Answer: delivery.Unclear}, err
		}
		_, sure, err := s.same(ctx, f, x.name, term)
		if err != nil {
			return delivery.Finding{Answer: delivery.Unclear}, err
		}
		told = true
		switch {
		case !sure:
			return delivery.Finding{Answer: delivery.Unclear, Note: fmt.Sprintf("a search for its %s finds %s, and it can't be told whether that is its value", x.name, describe(f.list))}, nil
		case f.has(e.id):
		case len(f.list) > 0:
			return delivery.Finding{Answer: delivery.Unclear, Note: fmt.Sprintf("a search for its %s finds %s and not %s", x.name, describe(f.list), e.id)}, nil
		default:
			absent = true
		}
	}
	switch {
	case absent:
		return delivery.Finding{Answer: delivery.Absent, Note: "no contact has what was sent"}, nil
	case told:
		return delivery.Finding{Answer: delivery.Present, ID: e.id, Note: "searches for what was sent find contact " + e.id}, nil
	}
	return delivery.Finding{Answer: delivery.Unclear, Note: "the vendor does not show whether it was applied"}, nil
}

// term is what a value is searched for by.
func (s *sink) term(field string, v record.Value) string {
	if field == "phone" && s.conn.set.phone == phoneInteger {
		return keyNorm(field, v)
	}
	return strings.TrimSpace(plain(v))
}
