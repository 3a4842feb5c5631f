package lunarsend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// creation is one new contact on its way. Creating is not safe to repeat.
type creation struct {
	s     *sink
	row   *record.Row
	email string
	print uint64
	list  []setting
	body  []byte
	lost  bool // an attempt may have been applied

	silent bool // the last answer was a success that says nothing
	hushed int  // how many of them were
}

// create sends a new contact; rows with one address go one after the other. A row in doubt is looked up first.
func (s *sink) create(ctx context.Context, row *record.Row) error {
	if s.Load.DryRun {
		return s.plan(row, "create")
	}
	email := s.layout.email(row)
	if email == "" {
		return s.Unfit(record.Problems{{Field: "email", Rule: "required", Message: "a new contact needs an e-mail address"}}, row)
	}
	c := &creation{s: s, row: row, email: email, print: xxh3.HashString(email), list: s.layout.created(row), lost: row.Fate == record.Doubt}
	var err error
	if c.body, err = s.layout.object(nil, c.list); err != nil {
		return s.Unfit(err, row)
	}
	release, err := s.emails.Take(ctx, c.print)
	if err != nil {
		return err
	}
	defer release()
	if held, err := s.Held(row); held || err != nil {
		return err
	}
	if c.lost && s.Load.Unsure == schema.Check {
		f, err := c.find(ctx, s.Load.Started)
		if err != nil {
			return err
		}
		if done, err := c.conclude(delivery.Result{}, f); done || err != nil {
			return err
		}
	}
	return c.post(ctx)
}

// post sends the contact until its outcome is known.
func (c *creation) post(ctx context.Context) error {
	id := ""
	return c.s.Make(ctx, delivery.Once{
		Rows: []*record.Row{c.row}, Mark: delivery.Mark(c.print),
		Send: func() (res delivery.Result, err error) {
			res, id, err = c.send(ctx)
			return res, err
		},
		Taken: func(delivery.Result) { c.made(id) },
		Lost:  c.perhaps,
		Check: func(res delivery.Result) (bool, error) {
			f, err := c.find(ctx, res.Since)
			if err != nil {
				return false, err
			}
			if f.Answer == delivery.Absent && res.Status/100 == 2 && res.Err.Class == api.Protocol && (!c.silent || c.hushed > maxSilent) {
				f.Answer, f.Note = delivery.Unclear, "the vendor seemed to take it; "+f.Note
			}
			return c.conclude(res, f)
		},
	})
}

// send makes the call once. A refusal because of the address, after an attempt whose outcome is unknown, means that this
// attempt was applied.
func (c *creation) send(ctx context.Context) (delivery.Result, string, error) {
	s := c.s
	since := s.Load.Started
	c.silent = false
	r := s.conn.request(http.MethodPost, s.conn.set.create, nil, c.body)
	res, list, err := s.call(ctx, r, c.row)
	if err != nil {
		return res, "", err
	}
	switch res.Verdict {
	case delivery.Unknown:
		c.lost = true
	case delivery.Refused:
		if res.Status == http.StatusNotFound {
			// There is nothing that a new contact could be looked for in: it would meet every row.
			err := &api.Error{Op: r.Op, Class: api.Setup, Status: res.Status, Message: "there is no such path; check base_url and paths_create", Err: res.Err}
			return res, "", errors.Join(err, s.Undo(res, "404: there is no such path"))
		}
		if !c.lost || !taken(res) {
			break
		}
		f, err := c.find(ctx, since)
		if err != nil {
			s.Halt(err)
			return res, "", err
		}
		if f.Answer == delivery.Present {
			res.Verdict = delivery.Taken
			res.Body = []byte("refused, as an earlier attempt was applied: " + f.Note)
			return res, f.ID, nil
		}
	case delivery.Taken:
		for _, x := range list {
			if x.id != "" {
				if s.kept.has(c.print, x.id) {
					s.Warn("the vendor answered several rows with one contact, %s: it seems to keep one for each e-mail address", x.id)
				}
				return res, x.id, nil
			}
		}
		c.nameless(&res, r.Op)
	}
	return res, "", nil
}

// maxSilent is how often a contact is sent again after a success that says nothing, if a search does not find it.
const maxSilent = 1

// nameless makes an unknown outcome of a success that names no contact: it may come from something in between that never
// asked the vendor.
func (c *creation) nameless(res *delivery.Result, op string) {
	c.s.Warn("the vendor answers a new contact without its id; such a contact is looked up by its address")
	c.lost = true
	if c.silent = silent(res.Body); c.silent {
		c.hushed++
	}
	res.Verdict = delivery.Unknown
	res.Err = &api.Error{Op: op, Class: api.Protocol, Status: res.Status, Applied: true, Message: "the answer names no contact: " + excerpt(res.Body)}
}

// silent reports whether an answer says nothing at all, not even that it is a success.
func silent(body []byte) bool {
	nothing := strings.NewReplacer("\xef\xbb\xbf", "", "{", "", "}", "", "[", "", "]", "", `"data"`, "", `"contacts"`, "", ":", "", "null", "", " ", "", "\t", "", "\r", "", "\n", "")
	return nothing.Replace(string(body)) == ""
}

// taken reports whether a refusal says that there is a contact with the address.
func taken(res delivery.Result) bool {
	if res.Err == nil {
		return false
	}
	text := strings.ToLower(res.Err.Message)
	about := strings.Contains(foldName(text), "email")
	if res.Err.Class == api.Conflict {
		return about || text == ""
	}
	said := slices.ContainsFunc([]string{"duplicate", "already", "exist", "unique", "taken", "in use"}, func(w string) bool { return strings.Contains(text, w) })
	return res.Err.Class == api.Invalid && about && said
}

// made notes that the row has its contact.
func (c *creation) made(id string) {
	c.row.Accept(delivery.Created, id)
	c.s.kept.made(c.print, id)
}

// perhaps notes that the row may have its contact, and that nobody will know.
func (c *creation) perhaps() { c.s.kept.perhaps(c.print) }

// conclude acts on what a lookup found. done is false if the row is to be sent (again).
func (c *creation) conclude(res delivery.Result, f delivery.Finding) (done bool, err error) {
	switch f.Answer {
	case delivery.Present:
		c.made(f.ID)
		return true, c.s.Settle(res, f.Note+" "+delivery.Mark(c.print), c.row)
	case delivery.Absent:
		return false, c.s.Undo(res, f.Note)
	}
	c.perhaps()
	return true, c.s.Unsure(res, "it was sent and the answer was lost; "+f.Note, c.row)
}

// expected is what a lookup by the address has to expect besides the row's own contact.
type expected struct {
	others  int64    // rows of this run with the address that were accepted
	perhaps int64    // and left unsure
	ids     []uint64 // hashes of the contacts' ids
	blind   bool     // others may be there that nobody has counted
	since   time.Time
}

func (c *creation) expect(since time.Time) (expected, error) {
	m := c.s.kept.of(c.print)
	e := expected{others: m.n, perhaps: m.perhaps, ids: m.ids, since: since}
	if counter, ok := c.s.Ledger.(delivery.Counter); ok {
		n, err := counter.Noted(delivery.Mark(c.print))
		if err != nil {
			return e, err
		}
		e.others = n
	} else {
		e.blind = c.row.Fate == record.Doubt
	}
	if e.others > 0 {
		e.since = c.s.Load.Started
	}
	return e, nil
}

// find looks for the contact that a create may have made, sent at the time since.
func (c *creation) find(ctx context.Context, since time.Time) (delivery.Finding, error) {
	e, err := c.expect(since)
	if err != nil {
		return delivery.Finding{}, err
	}
	return c.s.Patient(ctx, func(int) (delivery.Finding, error) { return c.look(ctx, e) })
}

// look searches once. The address is all that there is to search by, and contacts may share one: what is found counts
// as the row's only if nothing speaks against it.
func (c *creation) look(ctx context.Context, e expected) (delivery.Finding, error) {
	s := c.s
	unclear := func(format string, args ...any) (delivery.Finding, error) {
		return delivery.Finding{Answer: delivery.Unclear, Note: "a search for " + c.email + " " + fmt.Sprintf(format, args...)}, nil
	}
	f, err := s.conn.find(ctx, "email", c.email)
	if refusedSearch(err) {
		return unclear("was not understood: %v", err)
	}
	if err != nil {
		return delivery.Finding{Answer: delivery.Unclear}, err
	}
	list, sure, err := s.same(ctx, f, "email", c.email)
	if err != nil {
		return delivery.Finding{Answer: delivery.Unclear}, err
	}
	var mine, fresh, older []contact
	for _, x := range list {
		at, dated := x.created()
		switch {
		case slices.Contains(e.ids, xxh3.HashString(x.id)):
			mine = append(mine, x)
		case dated && s.conn.clock.Older(at, e.since): // only by the vendor's own clock
			older = append(older, x)
		default:
			fresh = append(fresh, x)
		}
	}
	hidden := e.others - int64(len(mine)) // contacts of this run that have the address and are not known by id
	switch {
	case hidden > 0 && sure && !e.blind && !f.single && allDated(fresh) && !doubtful(older, e.since, s):
		return c.count(fresh, hidden, e.perhaps)
	case len(fresh) == 0 && f.single && len(list) > 0:
		return unclear("finds %s, and the vendor shows one contact only", describe(list))
	case len(fresh) == 0 && hidden > 0:
		return unclear("does not find all contacts that this run made with it")
	case len(fresh) == 0 && doubtful(older, e.since, s):
		return unclear("finds %s, which is hardly old enough to be another's", describe(older))
	case len(fresh) == 0:
		return c.absent(ctx, f)
	case !sure:
		return unclear("finds %s, and it can't be told whether that is its address", describe(fresh))
	case e.blind:
		return unclear("finds %s, which may have come from another row with that address", describe(fresh))
	case len(fresh) > 1 || hidden > 0 || e.perhaps > 0:
		return unclear("finds %s, which may have come from other rows with that address", describe(fresh))
	}
	x := &fresh[0]
	if _, dated := x.created(); !dated && e.others > 0 {
		return unclear("finds %s, which may have been there before: the vendor does not say when it was made, and other rows have that address", describe(fresh))
	}
	return c.weigh(ctx, x)
}

// count tells by their number whether the row's contact is among those that this run made with the address, where the
// vendor shows all of them and when they were made.
func (c *creation) count(fresh []contact, hidden, perhaps int64) (delivery.Finding, error) {
	n := int64(len(fresh))
	note := fmt.Sprintf("a search for %s finds %d contacts of this run that are not known by their ids, and %d were made", c.email, n, hidden)
	switch n {
	case hidden:
		if perhaps == 0 {
			return delivery.Finding{Answer: delivery.Absent, Note: note}, nil
		}
	case hidden + perhaps + 1:
		return delivery.Finding{Answer: delivery.Present, Note: note, ID: c.newest(fresh)}, nil
	}
	return delivery.Finding{Answer: delivery.Unclear, Note: note}, nil
}

// newest is the id of the contact that was made last and has what was sent, "" if it can't be told.
func (c *creation) newest(list []contact) string {
	id, at, ties := "", time.Time{}, false
	for i := range list {
		like, _, _ := compare(c.list, &list[i])
		t, _ := list[i].created()
		switch {
		case like == disagrees:
		case id == "" || t.After(at):
			id, at, ties = list[i].id, t, false
		case t.Equal(at):
			ties = true
		}
	}
	if ties {
		return ""
	}
	return id
}

func allDated(list []contact) bool {
	return !slices.ContainsFunc(list, func(x contact) bool {
		_, dated := x.created()
		return !dated
	})
}

// doubtful reports whether a contact was made so shortly before the call that clocks may explain it.
func doubtful(older []contact, since time.Time, s *sink) bool {
	return slices.ContainsFunc(older, func(x contact) bool {
		at, _ := x.created()
		return !at.Before(s.Floor(&s.conn.clock, since))
	})
}

// absent says that the vendor has no such contact. A 404 may mean that there is no such path: then a search for a
// contact that is known to be there says 404 too.
func (c *creation) absent(ctx context.Context, f found) (delivery.Finding, error) {
	none := delivery.Finding{Answer: delivery.Absent, Note: "a search for " + c.email + " finds no such contact"}
	id := c.s.kept.sample()
	if !f.missing || id == "" {
		return none, nil
	}
	control, err := c.s.conn.find(ctx, "id", id)
	if refusedSearch(err) {
		return none, nil
	}
	if err == nil && control.missing {
		return delivery.Finding{Answer: delivery.Unclear, Note: "searches answer 404, also for contact " + id + ", which was just made: check paths_search"}, nil
	}
	return none, err
}

// weigh holds the one contact with the address against the row. Where the vendor shows ids only, searches by the row's
// other values must find it too, or it is another's.
func (c *creation) weigh(ctx context.Context, x *contact) (delivery.Finding, error) {
	like, field, _ := compare(c.list, x)
	if like == disagrees {
		return delivery.Finding{Answer: delivery.Unclear, Note: fmt.Sprintf("contact %s has its e-mail address and another %s", x.id, field)}, nil
	}
	note := fmt.Sprintf("found by its e-mail address: contact %s", x.id)
	if !x.bare() {
		return delivery.Finding{Answer: delivery.Present, ID: x.id, Note: note + ", which has what was sent"}, nil
	}
	for _, v := range c.list {
		term := c.s.term(v.name, v.value)
		if term == "" || v.name == "email" || v.name == "notes" || v.name == "user_id" {
			continue
		}
		f, err := c.s.conn.find(ctx, v.name, term)
		if refusedSearch(err) || err == nil && f.single && !f.has(x.id) {
			continue // it tells nothing
		}
		if err != nil {
			return delivery.Finding{Answer: delivery.Unclear}, err
		}
		if !f.has(x.id) {
			return delivery.Finding{Answer: delivery.Unclear, Note: fmt.Sprintf("contact %s has its e-mail address, and a search for its %s does not find that contact", x.id, v.name)}, nil
		}
		note += ", also by its " + v.name
	}
	return delivery.Finding{Answer: delivery.Present, ID: x.id, Note: note}, nil
}
