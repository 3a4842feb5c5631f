package mapmycustomers

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// Unconfirmed is the error of an import that changes so much that the user has to agree to it first. Nothing was sent.
type Unconfirmed struct {
	Object     string
	Difference string // what would change, in lines
}

// Error says what would change and how to agree.
func (e *Unconfirmed) Error() string {
	return fmt.Sprintf("%s: nothing was sent; say --yes to make these changes:\n%s", e.Object, e.Difference)
}

// NeedsYes returns what would change.
func (e *Unconfirmed) NeedsYes() string { return e.Difference }

// wholes loads records that are made of several rows: routes, and the one list of groups or of labels. It is safe for
// many goroutines.
type wholes struct {
	*delivery.Courier
	conn   *Conn
	layout *layout
	names  delivery.Locks

	mu   sync.Mutex
	sent bool           // the list of groups or labels was sent
	made map[uint64]int // routes made in this process, by payload
}

// Write sends the open records of a batch.
func (s *wholes) Write(ctx context.Context, b *record.Batch) error {
	if err := delivery.Fits(b, s.layout.header); err != nil {
		return err
	}
	if s.layout.object.Name == routes {
		return delivery.EachRecord(b, func(rows []*record.Row) error { return s.route(ctx, rows) })
	}
	rows, err := delivery.Whole(b.Rows)
	if err != nil || len(rows) == 0 {
		return err
	}
	// A second list would undo the first one.
	s.mu.Lock()
	again := s.sent
	s.sent = true
	s.mu.Unlock()
	if again {
		return fmt.Errorf("row %d: %s are one record, the whole file, and it came in several parts", rows[0].Num, s.layout.object.Name)
	}
	if s.layout.object.Name == groups {
		return s.groups(ctx, rows)
	}
	return s.labels(ctx, rows)
}

// route creates one route. The vendor returns no id; after a lost answer the list of routes tells.
func (s *wholes) route(ctx context.Context, rows []*record.Row) error {
	r, problems := s.layout.route(rows)
	if len(problems) > 0 {
		for _, p := range problems {
			delivery.Refuse(rows, p)
		}
		return nil
	}
	if s.Load.DryRun {
		delivery.Accept(rows, "would create", "")
		return nil
	}
	body := r.append(nil)
	print := xxh3.Hash(body)
	release, err := s.names.Take(ctx, xxh3.HashString(r.name))
	if err != nil {
		return err
	}
	defer release()
	if held, err := s.Held(rows...); held || err != nil {
		return err
	}
	if delivery.Doubtful(rows) && s.Load.Unsure == schema.Check {
		if done, err := s.checkRoute(ctx, delivery.Result{Since: s.Load.Started}, r, print, rows); done || err != nil {
			return err
		}
	}
	return s.Make(ctx, delivery.Once{
		Rows: rows, Mark: delivery.Mark(print),
		Send: func() (delivery.Result, error) {
			return s.Call(ctx, s.conn.request(http.MethodPost, "/routes", body), rows...)
		},
		Taken: func(res delivery.Result) {
			s.count(print)
			delivery.Accept(rows, delivery.Created, identifier(res.Header.Get("Location"), res.Body))
		},
		Check: func(res delivery.Result) (bool, error) { return s.checkRoute(ctx, res, r, print, rows) },
	})
}

func (s *wholes) count(print uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == nil {
		s.made = map[uint64]int{}
	}
	s.made[print]++
}

// checkRoute looks for a route that may have been made. It shows points and not customers, so that only its name and
// the number of its points can be compared. done is false if the route is to be sent (again).
func (s *wholes) checkRoute(ctx context.Context, res delivery.Result, r route, print uint64, rows []*record.Row) (done bool, err error) {
	s.mu.Lock()
	others := int64(s.made[print])
	s.mu.Unlock()
	ledger, counts := s.Ledger.(delivery.Counter)
	if counts {
		if others, err = ledger.Noted(delivery.Mark(print)); err != nil {
			return false, err
		}
		others /= int64(len(rows))
	}
	since := res.Since
	if others > 0 {
		since = s.Load.Started
	}
	var ids []string
	waits := delivery.LookupWaits()
	for try := 0; ; try++ {
		ids = ids[:0]
		near := 0
		err := s.conn.each(ctx, "/routes", func(rec *scanner) error {
			x, err := s.layout.parseRemote(rec)
			if err != nil || strings.TrimSpace(x.routeName) != r.name {
				return err
			}
			if at, dated := s.conn.when(x.created); dated && at.Before(s.Floor(&s.conn.clock, since)) {
				return nil
			}
			if x.points != len(r.ids) {
				near++ // a customer without a place has no point
				return nil
			}
			ids = append(ids, strings.Clone(x.id))
			return nil
		})
		if err != nil {
			s.Halt(err)
			return false, err
		}
		switch {
		case int64(len(ids)) == others+1 && near == 0 && (counts || !delivery.Doubtful(rows)):
			id := ""
			if len(ids) == 1 {
				id = ids[0]
			}
			s.count(print)
			delivery.Accept(rows, delivery.Created, id)
			return true, s.Settle(res, "the list of routes has it "+delivery.Mark(print), rows...)
		case try < len(waits):
			if err := s.Sleep(ctx, waits[try]); err != nil {
				s.Halt(err)
				return false, err
			}
			continue
		case int64(len(ids)) == others && near == 0:
			return false, s.Undo(res, "the list of routes does not have it")
		}
		return true, s.Unsure(res, fmt.Sprintf("it was sent and the answer was lost; there are %d routes of that name that may be it, of which %d are other rows'", len(ids)+near, others), rows...)
	}
}

// groups replaces the account's groups.
func (s *wholes) groups(ctx context.Context, rows []*record.Row) error {
	want := s.layout.groupNames(rows)
	if len(want) == 0 {
		delivery.Refuse(rows, record.Problem{Field: "group", Rule: "required", Message: "no group is named; an empty list would remove all groups"})
		return nil
	}
	u, err := s.conn.user(ctx)
	if err != nil {
		return err
	}
	d := compareGroups(u.Groups, want)
	for _, c := range d.cases {
		s.Warn("%s", c)
	}
	if len(want) < len(rows) {
		s.Warn("%d groups stand twice in the file; each is sent once", len(rows)-len(want))
	}
	if n, err := u.NumGroups.Int64(); err == nil && n > 0 && int64(len(want)) > n {
		s.Warn("%d groups are more than the %d that the account seems to allow", len(want), n)
	}
	var missing []string
	for _, g := range u.RequiredGroups {
		if !slices.Contains(want, g) {
			missing = append(missing, strconv.Quote(g))
		}
	}
	if len(missing) > 0 {
		delivery.Refuse(rows, record.Problem{Field: "group", Rule: "required", Message: "the account requires " + strings.Join(missing, ", ") + ", which the file would remove; add it"})
		return s.settleDoubt(rows)
	}
	if slices.Equal(u.Groups, want) {
		if delivery.Doubtful(rows) {
			delivery.Accept(rows, delivery.Replaced, "")
			return s.Settle(delivery.Result{}, "the account has exactly these groups", rows...)
		}
		for _, row := range rows {
			row.Fate = record.Unchanged
		}
		return nil
	}
	return s.put(ctx, "/user/groups", appendGroups(nil, want), "replace", delivery.Replaced, d.String(), rows)
}

// labels sets the labels of the custom fields.
func (s *wholes) labels(ctx context.Context, rows []*record.Row) error {
	list, bad := s.layout.labels(rows)
	if len(bad) > 0 {
		for _, row := range rows {
			if p, ok := bad[row]; ok {
				row.Reject(p)
			} else {
				row.Reject(record.Problem{Rule: "group", Message: "another row of the file was refused, and the labels are sent whole or not at all"})
			}
		}
		return s.settleDoubt(rows)
	}
	var b strings.Builder
	b.WriteString("labels of custom fields (what they are now can't be read):")
	for _, x := range list {
		fmt.Fprintf(&b, "\n  custom%d  %s", x.slot, x.name)
	}
	return s.put(ctx, "/user/customfields", appendLabels(nil, list), "update", delivery.Updated, b.String(), rows)
}

// settleDoubt tells the ledger of rows that were refused without a call; those that were in doubt are known to it.
func (s *wholes) settleDoubt(rows []*record.Row) error {
	return s.Settle(delivery.Result{}, "refused before it was sent", rows...)
}

// put sends a list that replaces another one. Sending it twice does what sending it once does.
func (s *wholes) put(ctx context.Context, path string, body []byte, would, action, difference string, rows []*record.Row) error {
	if s.Load.DryRun {
		s.Warn("%s", difference)
		delivery.Accept(rows, "would "+would, "")
		return nil
	}
	if !s.Load.Yes {
		return &Unconfirmed{Object: s.layout.object.Name, Difference: difference}
	}
	s.Warn("%s", difference)
	if held, err := s.Held(rows...); held || err != nil {
		return err
	}
	call := s.conn.request(http.MethodPut, path, body)
	call.Idempotent = true
	res, err := s.Call(ctx, call, rows...)
	if err != nil {
		return err
	}
	switch res.Verdict {
	case delivery.Refused:
		return s.Reject(res, rows...)
	case delivery.Unknown:
		return s.Unsure(res, "the answer could not be understood: "+res.Err.Error(), rows...)
	}
	delivery.Accept(rows, action, "")
	return s.Settle(res, res.Note(), rows...)
}

// groupChange is how one list of groups differs from another.
type groupChange struct{ added, removed, kept, cases []string }

func compareGroups(have, want []string) groupChange {
	var d groupChange
	for _, g := range want {
		if slices.Contains(have, g) {
			d.kept = append(d.kept, g)
			continue
		}
		d.added = append(d.added, g)
	}
	for _, g := range have {
		if slices.Contains(want, g) {
			continue
		}
		d.removed = append(d.removed, g)
		for _, w := range d.added {
			if strings.EqualFold(g, w) {
				d.cases = append(d.cases, fmt.Sprintf("group %q differs from %q, which the account has, in case only: they are two groups to the vendor", w, g))
			}
		}
	}
	for i, a := range want {
		for _, b := range want[:i] {
			if strings.EqualFold(a, b) {
				d.cases = append(d.cases, fmt.Sprintf("groups %q and %q differ in case only: they are two groups to the vendor", b, a))
			}
		}
	}
	return d
}

// String shows the difference in lines, what is removed first.
func (d groupChange) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "groups: %d removed, %d added, %d kept", len(d.removed), len(d.added), len(d.kept))
	if len(d.removed)+len(d.added) == 0 {
		b.WriteString("; only their order changes")
	}
	for _, g := range d.removed {
		b.WriteString("\n  - " + g)
	}
	for _, g := range d.added {
		b.WriteString("\n  + " + g)
	}
	return b.String()
}
