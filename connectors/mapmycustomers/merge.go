package mapmycustomers

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// mergeCheck watches the first update of a run. The vendor's document does not say whether an update keeps the fields
// that it does not mention or empties them; if it empties them, one customer is put right again and the run ends,
// before it does so to all.
type mergeCheck struct {
	mu    sync.Mutex
	looks int // customers that were read before their update
	done  bool
}

// maxLooks is how many customers are looked at for one that has a field to lose.
const maxLooks = 20

// keeps are fields whose change says nothing: the vendor counts, dates or derives them.
var keeps = []string{"id", "createdAt", "updatedAt", "lastVisit", "numVisits", "notes", "latitude", "longitude", fieldFile}

// begin is called before an update, and the function it returns after it. While the first update is watched, others
// wait.
func (m *mergeCheck) begin(ctx context.Context, s *customerSink, id string) (after func(*record.Row, error) error, err error) {
	pass := func(_ *record.Row, err error) error { return err }
	m.mu.Lock()
	if m.done {
		m.mu.Unlock()
		return pass, nil
	}
	var rest []schema.Field // that the rows do not have
	for _, f := range s.layout.object.Fields {
		if _, mapped := s.layout.byName[f.Name]; !mapped && !slices.Contains(keeps, f.Name) {
			rest = append(rest, f)
		}
	}
	before, err := s.values(ctx, id, rest)
	m.looks++
	m.done = len(rest) == 0 || m.looks == maxLooks
	tells := slices.ContainsFunc(rest, func(f schema.Field) bool { return f.Type != schema.Enum && norm(&f, before[f.Name]) != "" })
	if err != nil || !tells {
		m.mu.Unlock()
		if delivery.IsNotFound(err) || err == nil {
			return pass, nil // it has nothing to lose
		}
		return nil, err
	}
	return func(row *record.Row, err error) error {
		defer m.mu.Unlock()
		if err != nil || row.Fate != record.Accepted {
			return err
		}
		m.done = true
		now, err := s.values(ctx, id, rest)
		if err != nil {
			return nil // the update itself went well
		}
		var lost []schema.Field
		for _, f := range rest {
			v, there := now[f.Name]
			is, was := norm(&f, v), norm(&f, before[f.Name])
			if there && was != "" && is != was && (is == "" || f.Type == schema.Enum) {
				lost = append(lost, f)
			}
		}
		if len(lost) == 0 {
			return nil
		}
		err = s.putBack(ctx, row, id, lost, before)
		s.Halt(err)
		return err
	}, nil
}

// values reads some fields of a customer.
func (s *customerSink) values(ctx context.Context, id string, fields []schema.Field) (map[string]record.Value, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	body, err := s.conn.read(ctx, customerPath(id))
	if err != nil {
		return nil, err
	}
	out := map[string]record.Value{}
	p := &scanner{s: string(body)}
	err = p.object(0, func(key string) error {
		v, err := p.value()
		if slices.ContainsFunc(fields, func(f schema.Field) bool { return f.Name == key }) {
			out[key] = v
		}
		return err
	})
	return out, err
}

// putBack restores what an update has emptied, and ends the run.
func (s *customerSink) putBack(ctx context.Context, row *record.Row, id string, lost []schema.Field, before map[string]record.Value) error {
	body, sent, err := s.layout.payload(nil, row, false, true)
	if err != nil {
		return err
	}
	body = body[:len(body)-1]
	var names []string
	for i := range lost {
		names = append(names, lost[i].Name)
		if sent+i > 0 {
			body = append(body, ',')
		}
		body = append(record.AppendString(body, lost[i].Name), ':')
		body = before[lost[i].Name].AppendJSON(body)
	}
	why := fmt.Sprintf("updating customer %s also emptied %s, which the rows do not have: this account's updates replace the whole record", id, strings.Join(names, ", "))
	hint := "map those fields as well (an export of customers has them) and start a new run"
	if s.layout.addsNote(row) {
		return &api.Error{Op: "PUT " + customerPath(id), Class: api.Setup, Message: why + "; these values must be entered again: " + string(body) + "; " + hint}
	}
	res, err := s.call(ctx, http.MethodPut, customerPath(id), append(body, '}'), true, row)
	if err == nil && res.Verdict != delivery.Taken {
		err = res.Err
	}
	if err != nil {
		return fmt.Errorf("%s; putting them back went wrong as well: %w", why, err)
	}
	row.Accept(delivery.Updated, id)
	if err := s.Settle(res, "what the first update emptied was put back", row); err != nil {
		return err
	}
	return &api.Error{Op: "PUT " + customerPath(id), Class: api.Setup, Message: why + "; they were put back; " + hint}
}
