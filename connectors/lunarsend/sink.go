package lunarsend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// Sink starts an import. With Load.DryRun nothing that changes anything is sent: rows are accepted with the action that
// they would have.
func (c *Conn) Sink(ctx context.Context, object string, load schema.Load, ledger pipeline.Ledger) (pipeline.Sink, error) {
	l, err := newLayout(object, load, c.set)
	if err != nil {
		return nil, err
	}
	load.Mode = l.load.Mode
	k := delivery.NewCourier(c.api, load, ledger, c.now, c.sleep)
	k.Observe = func(h http.Header) { c.clock.Observe(h, c.now()) }
	l.load, l.warn = k.Load, k.Warn
	for _, w := range l.warnings {
		k.Warn("%s", w)
	}
	s := &sink{Courier: k, conn: c, layout: l, kept: newInventory(), proved: map[string]matching{}, known: map[uint64]string{}}
	s.naming.Store(&c.set.naming)
	if text := c.unfound.Load(); text != nil {
		k.Warn("%s", *text)
	}
	return s, nil
}

// sink loads contacts, a call a row. It is safe for many goroutines.
type sink struct {
	*delivery.Courier
	conn   *Conn
	layout *layout

	emails delivery.Locks // rows with one address are created one after the other
	keys   delivery.Locks // rows with one key are sent one after the other
	mu     sync.Mutex
	kept   *inventory
	known  map[uint64]string // ids of contacts that this run made, by hash of the key

	proving sync.Mutex
	proved  map[string]matching // how the search by a field compares

	searches atomic.Bool // a search is known to reach contacts, though others answer 404

	first    delivery.Locks         // until an edit is known to reach its contact, edits go alone
	verified atomic.Bool            // an edit has answered with the id that it was sent for
	naming   atomic.Pointer[string] // of edits; changed only by the one that goes alone

	deleteBy atomic.Pointer[string] // where the id of a delete goes, once the vendor has taken one
}

// Write sends the open rows of a batch one by one.
func (s *sink) Write(ctx context.Context, b *record.Batch) error {
	if err := delivery.Fits(b, s.layout.header); err != nil {
		return err
	}
	return delivery.EachRow(b, func(row *record.Row) error { return s.write(ctx, row) })
}

func (s *sink) write(ctx context.Context, row *record.Row) error {
	switch s.layout.load.Mode {
	case schema.Create:
		return s.create(ctx, row)
	case schema.Upsert:
		return s.upsert(ctx, row)
	}
	id, ok := s.rowID(row)
	if !ok {
		return nil
	}
	if s.layout.load.Mode == schema.Delete {
		return s.delete(ctx, row, id)
	}
	return s.update(ctx, row, id, nil)
}

// cutID is an id of many digits as a spreadsheet shows it after it took it for a number.
var cutID = regexp.MustCompile(`^[0-9](\.[0-9]+)?[eE]\+?[0-9]+$`)

// rowID reads the id of a row; a row without a good one is rejected. An empty id, or one that leads elsewhere in the
// address, must never reach the vendor.
func (s *sink) rowID(row *record.Row) (string, bool) {
	id := strings.TrimSpace(cell(row, s.layout.id).Text())
	switch {
	case id == "":
		row.Reject(record.Problem{Field: "id", Rule: "required", Message: "the id of the contact is missing"})
	case cutID.MatchString(id):
		row.Reject(record.Problem{Field: "id", Rule: "id", Message: fmt.Sprintf("%q is what a spreadsheet made of an id: digits are lost; format the column as text and fill it anew", id)})
	case !usable(id):
		row.Reject(record.Problem{Field: "id", Rule: "id", Message: fmt.Sprintf("%q is no id of a contact", id)})
	default:
		return id, true
	}
	return "", false
}

// usable reports whether a text can be an id, also as one segment of a path.
func usable(id string) bool {
	return id != "" && id != "." && id != ".." && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '/' || r == '\\' })
}

// call makes a call that changes something for a row. An answer of v2 that names a refusal in its entry is one.
func (s *sink) call(ctx context.Context, r *api.Request, row *record.Row) (delivery.Result, []element, error) {
	res, err := s.Call(ctx, r, row)
	if err != nil || res.Verdict != delivery.Taken {
		return res, nil, err
	}
	a, err := parse(res.Body)
	if err != nil {
		res.Verdict, res.Err = delivery.Unknown, &api.Error{Op: r.Op, Class: api.Protocol, Status: res.Status, Message: err.Error(), Applied: true}
		return res, nil, nil
	}
	for _, e := range a.elements {
		if e.refusal != "" {
			class := api.Invalid
			if strings.Contains(strings.ToLower(e.refusal), "not found") {
				class = api.NotFound
			}
			res.Err = &api.Error{Op: r.Op, Class: class, Status: res.Status, Message: e.refusal}
			res.Verdict = delivery.Refused
			res.Problem = record.Problem{Field: fieldIn(e.refusal, s.layout.header), Rule: "vendor", Message: "the vendor says: " + e.refusal}
			if class == api.NotFound {
				res.Problem.Field, res.Problem.Rule = "id", "not_found"
			}
		}
	}
	return res, a.elements, nil
}

// fieldIn is the field that a refusal names, "" if it names none of the row's: first_name rather than name.
func fieldIn(text string, h *record.Header) string {
	text = foldName(text)
	found := ""
	for i := range h.Len() {
		if n := h.Name(i); n != "id" && len(n) > len(found) && strings.Contains(text, foldName(n)) {
			found = n
		}
	}
	return found
}

// foldName makes contact_id, contactID and "contact id" one.
func foldName(s string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
}

// misses reports whether the vendor refused a call because it did not see one of the names in it.
func misses(res delivery.Result, names ...string) bool {
	if res.Verdict != delivery.Refused || res.Err == nil || res.Err.Class != api.Invalid {
		return false
	}
	text := foldName(res.Err.Message)
	for _, n := range names {
		if strings.Contains(text, n) {
			return true
		}
	}
	return false
}

// plan tells what would become of a row.
func (s *sink) plan(row *record.Row, action string) error {
	var list []setting
	var err error
	switch action {
	case "update":
		if list, err = s.layout.edited(row); err == nil && len(list) == 0 {
			row.Fate = record.Unchanged
			return nil
		}
	case "create":
		list = s.layout.created(row)
	}
	if err == nil {
		_, err = s.layout.object(nil, list)
	}
	if err != nil {
		return s.Unfit(err, row)
	}
	row.Accept("would "+action, row.ID)
	return nil
}

// delete removes a contact. One that is gone already after a first attempt was deleted by that attempt.
func (s *sink) delete(ctx context.Context, row *record.Row, id string) error {
	row.ID = id
	if s.Load.DryRun {
		return s.plan(row, "delete")
	}
	if held, err := s.Held(row); held || err != nil {
		return err
	}
	res, err := s.deleteCall(ctx, row, id)
	if err != nil {
		return err
	}
	gone := res.Verdict == delivery.Refused && res.Problem.Rule == "not_found"
	switch {
	case gone && (row.Fate == record.Doubt || res.Repeated()):
		row.Accept(delivery.Deleted, id)
		return s.Settle(res, "404: an earlier attempt deleted it", row)
	case gone:
		return s.Gone(res, "contact", row)
	case res.Verdict == delivery.Refused:
		return s.Reject(res, row)
	case res.Verdict == delivery.Unknown:
		return s.deleted(ctx, row, id, res)
	}
	row.Accept(delivery.Deleted, id)
	return s.Settle(res, res.Note(), row)
}

// deleteCall makes the call. If the vendor does not see the id in the body, which proxies drop, it goes into the query,
// for the rest of the run too.
func (s *sink) deleteCall(ctx context.Context, row *record.Row, id string) (delivery.Result, error) {
	where := s.conn.set.deleteBy
	if p := s.deleteBy.Load(); p != nil {
		where = *p
	}
	for {
		res, err := s.Call(ctx, s.deleteRequest(where, id), row)
		// The answer is a text, a quoted text or an object: the status alone tells.
		p := s.deleteBy.Load()
		if err == nil && where == inBody && (p == nil || *p != inBody) && missesID(res) {
			if err := s.Undo(res, "the vendor did not see the id in the body"); err != nil {
				return res, err
			}
			where = inQuery
			continue
		}
		if err == nil && res.Verdict == delivery.Taken && s.deleteBy.CompareAndSwap(nil, &where) {
			if where != s.conn.set.deleteBy {
				s.Warn("the vendor does not see the body of a delete; the id goes into the query: set delete_transport to query")
			}
		}
		return res, err
	}
}

func missesID(res delivery.Result) bool {
	return misses(res, "contactid") || misses(res, "missing", "required", "noid", "needid") && misses(res, "id")
}

func (s *sink) deleteRequest(where, id string) *api.Request {
	path, name := s.conn.set.delete, "contact_id"
	if s.conn.set.v2 {
		name = "id"
	}
	var q url.Values
	var body []byte
	switch where {
	case inPath:
		path += "/" + url.PathEscape(id)
	case inQuery:
		q = url.Values{name: {id}}
	default:
		body = deleteBody(nil, &s.conn.set, id)
	}
	r := s.conn.request(http.MethodDelete, path, q, body)
	r.Idempotent = true
	return r
}

// deleted finds out whether a delete of unknown outcome was applied.
func (s *sink) deleted(ctx context.Context, row *record.Row, id string, res delivery.Result) error {
	f, err := s.conn.find(ctx, "id", id)
	why := "the call broke off and its outcome is not known: " + res.Err.Error()
	switch {
	case refusedSearch(err):
		return s.Unsure(res, why+"; the contact can't be searched by its id: "+err.Error(), row)
	case err != nil:
		s.Halt(err)
		return err
	case len(f.list) == 0 && !f.missing:
		row.Accept(delivery.Deleted, id)
		return s.Settle(res, "a search for the id finds no contact any more", row)
	}
	return s.Unsure(res, why, row)
}

// errMisrouted stops a run whose edits make contacts.
var errMisrouted = errors.New("the vendor takes edits for new contacts")
