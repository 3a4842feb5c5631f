package mycrm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// Source starts an export: of one lead, or of a list, page by page, some pages ahead.
func (c *Conn) Source(ctx context.Context, object string, q schema.Query) (pipeline.Source, error) {
	o, ok := Schema().Object(object)
	if !ok {
		return nil, fmt.Errorf("%s can't be exported from MyCRM; it has %s", object, leads)
	}
	warn := once(q.Warn)
	list, err := listingOf(o, q, warn)
	if err != nil {
		return nil, err
	}
	s := &source{conn: c, warn: warn, pass: newPass(list)}
	if q.ID != "" {
		body, err := c.read(ctx, leadPath(q.ID), nil, q.Expand, warn)
		if err == nil {
			body, err = bare(body)
		}
		if err != nil {
			return nil, fmt.Errorf("lead %s: %w", q.ID, err)
		}
		s.alone = body
	} else {
		first, err := c.page(ctx, list, 1)
		if err != nil {
			return nil, err
		}
		s.ahead = append(s.ahead, ready(first))
	}
	s.rows, err = c.decoder(ctx, o, q, s, warn)
	return s, err
}

// once passes each message on a single time.
func once(warn func(string)) func(string) {
	if warn == nil {
		return func(string) {}
	}
	var mu sync.Mutex
	told := map[string]bool{}
	return func(s string) {
		mu.Lock()
		was := told[s]
		told[s] = true
		mu.Unlock()
		if !was {
			warn(s)
		}
	}
}

// source reads one list of leads, or one lead.
type source struct {
	conn  *Conn
	rows  *decoder
	warn  func(string)
	alone []byte // the only lead, if there is but one

	pass   *pass
	seen   idSet // what was handed out, over all passes
	again  bool  // this is the second pass
	ahead  []chan fetched
	asked  int64           // pages that were asked for in this pass
	ctx    context.Context // of the calls for pages
	cancel context.CancelFunc
	calls  sync.WaitGroup
	line   int64
	done   bool
}

// fetched is a page, or why there is none.
type fetched struct {
	page *page
	err  error
}

func ready(p *page) chan fetched {
	ch := make(chan fetched, 1)
	ch <- fetched{page: p}
	return ch
}

// Header names the fields of a lead, or "record" alone if the vendor's own JSON was asked for.
func (s *source) Header() *record.Header { return s.rows.header }

// Next takes the next page. Leads that were handed out before are left out. A list that was not read whole because it
// changed meanwhile is read once more; one that does not have what the vendor counts is an error.
func (s *source) Next(ctx context.Context, c *pipeline.Chunk) error {
	c.Data, c.Line = c.Data[:0], s.line+1
	if s.alone != nil {
		c.Data, s.alone, s.done = append(append(append(c.Data, '['), s.alone...), ']'), nil, true
		s.line++
		return nil
	}
	for !s.done {
		if s.pass.ended {
			if err := s.finish(); err != nil {
				return err
			}
			continue
		}
		p, err := s.next(ctx)
		if err != nil {
			return err
		}
		if err := s.pass.take(p); err != nil {
			return err
		}
		n := int64(0)
		for i, raw := range p.leads {
			if !s.seen.add(p.keys[i]) {
				continue
			}
			c.Data = append(append(c.Data, "[,"[min(n, 1)]), raw...)
			n++
		}
		if n > 0 {
			c.Data = append(c.Data, ']')
			s.line += n
			return nil
		}
	}
	return io.EOF
}

// next returns the next page, and asks for those that follow it.
func (s *source) next(ctx context.Context) (*page, error) {
	if s.cancel == nil {
		s.ctx, s.cancel = context.WithCancel(ctx)
	}
	s.asked = max(s.asked, s.pass.n+int64(len(s.ahead)))
	for len(s.ahead) == 0 || len(s.ahead) < workers && s.asked < s.pass.pages() {
		s.asked++
		s.ahead = append(s.ahead, s.fetch(s.asked))
	}
	ch := s.ahead[0]
	s.ahead = s.ahead[1:]
	select {
	case got := <-ch:
		return got.page, got.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *source) fetch(n int64) chan fetched {
	ch := make(chan fetched, 1)
	q := s.pass.q
	s.calls.Go(func() {
		p, err := s.conn.page(s.ctx, q, n)
		ch <- fetched{p, err}
	})
	return ch
}

// finish decides what a pass that has come to its end means.
func (s *source) finish() error {
	p := s.pass
	got := p.seen.len()
	if p.overlaps() {
		got = s.seen.len() // what one reading lacks then, the other one may have brought
	}
	for _, ch := range s.ahead { // pages behind the end
		<-ch
	}
	s.ahead = nil
	switch {
	case p.whole():
		s.done = true
	case !s.again:
		s.again = true
		s.pass, s.asked = newPass(p.q), 0
	case !p.moved() && got < p.count:
		return fmt.Errorf("GET /leads: the list ends early: the vendor counts %d leads and has sent %d of them, twice", p.count, got)
	default:
		s.done = true
		s.warn(fmt.Sprintf("leads were added or deleted while the list was read, twice: %d leads were exported, the vendor counted %d at the end", s.seen.len(), p.count))
	}
	return nil
}

// Close ends calls that are under way.
func (s *source) Close() error {
	if s.cancel != nil {
		s.cancel()
	}
	s.calls.Wait()
	return nil
}

// Decode turns the leads of a page into rows.
func (s *source) Decode(c *pipeline.Chunk, b *record.Batch) error { return s.rows.decode(c, b) }

// decoder turns leads into rows; it is safe for many goroutines.
type decoder struct {
	header *record.Header
	fields []field
	custom map[string]int // cell by id
	rest   int            // cell of custom fields that have none of their own, -1 if there is none
	raw    bool
	since  time.Time
	warn   func(string)
}

// field is one column.
type field struct {
	name string
	typ  schema.Type
	read func(*lead) record.Value
}

// decoder settles the columns: the table's, and those of the account's custom fields. If the account does not let us
// read which there are, those on the first page have columns, and what else comes stands as JSON in the column fields.
func (c *Conn) decoder(ctx context.Context, o *schema.Object, q schema.Query, s *source, warn func(string)) (*decoder, error) {
	d := &decoder{raw: q.Raw, since: q.Since, warn: warn, rest: -1, custom: map[string]int{}}
	if q.Raw {
		d.header = record.LooseHeader([]string{"record"})
		return d, nil
	}
	var ids []string
	cat, err := c.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range cat.fields {
		ids = append(ids, f.ID)
	}
	if cat.closed != nil {
		if ids, err = s.customIDs(); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(ids, compareIDs)
	reads := readers()
	var names []string
	for i := range o.Fields {
		f := &o.Fields[i]
		switch {
		case f.NoExport, !q.Expand && (f.Name == "notes" || strings.HasPrefix(f.Name, "user.")):
			continue
		case f.Family():
			for _, id := range slices.Compact(ids) {
				d.custom[id] = len(names)
				names = append(names, familyPrefix+id)
				d.fields = append(d.fields, field{})
			}
			if cat.closed != nil {
				d.rest = len(names)
				names = append(names, strings.TrimSuffix(familyPrefix, "."))
				d.fields = append(d.fields, field{})
			}
			continue
		}
		names = append(names, f.Name)
		d.fields = append(d.fields, field{f.Name, f.Type, reads[f.Name]})
	}
	d.header = record.LooseHeader(names)
	return d, nil
}

// customIDs are the custom fields of the leads that have come so far.
func (s *source) customIDs() ([]string, error) {
	list := []json.RawMessage{s.alone}
	if s.alone == nil {
		got := <-s.ahead[0]
		s.ahead[0] = ready(got.page)
		list = got.page.leads
	}
	var ids []string
	for _, raw := range list {
		l, err := parseLead(raw)
		if err != nil {
			return nil, err
		}
		for _, x := range l.Fields {
			if !slices.Contains(ids, x.id) {
				ids = append(ids, x.id)
			}
		}
	}
	return ids, nil
}

func (d *decoder) decode(c *pipeline.Chunk, b *record.Batch) error {
	b.Header, b.Origin = d.header, d.header
	var list []json.RawMessage
	if err := json.Unmarshal(c.Data, &list); err != nil {
		return fmt.Errorf("leads from number %d on: %w", c.Line, err)
	}
	for i, raw := range list {
		l, err := parseLead(raw)
		if err != nil {
			return fmt.Errorf("lead number %d of the export: %w", c.Line+int64(i), err)
		}
		if at, dated := moment(l.Updated.Value); dated && !d.since.IsZero() && at.Before(d.since) {
			continue // one without a time stamp stays: leaving it out would lose it
		}
		row := b.Add()
		row.Line = c.Line + int64(i)
		row.Values = b.Cells(d.header.Len())
		if d.raw {
			var line bytes.Buffer
			if err := json.Compact(&line, raw); err != nil {
				return err
			}
			row.Values[0] = record.Of(record.JSON, line.String())
		} else {
			d.fill(row.Values, l)
		}
		row.Origin = row.Values
	}
	return nil
}

func (d *decoder) fill(cells []record.Value, l *lead) {
	for i := range d.fields {
		if f := &d.fields[i]; f.read != nil {
			cells[i] = f.convert(f.read(l))
		}
	}
	var rest *writer
	for _, x := range l.Fields {
		if at, ok := d.custom[x.id]; ok {
			cells[at] = x.value
			continue
		}
		if d.rest < 0 {
			d.warn(fmt.Sprintf("leads have the custom field %s, which the account's list of fields does not name; it has no column (--raw exports it)", x.id))
			continue
		}
		if rest == nil {
			rest = &writer{}
			rest.open()
		}
		rest.key(x.id)
		rest.dst = x.value.AppendJSON(rest.dst)
	}
	if rest != nil {
		rest.close()
		cells[d.rest] = record.Of(record.JSON, string(rest.dst))
	}
}

// convert gives a value the form of its field's type. What has another form than the document says passes as it is.
func (f *field) convert(v record.Value) record.Value {
	switch f.typ {
	case schema.Integer, schema.List:
		if f.typ == schema.Integer && v.Kind() == record.Text {
			if n, err := record.ParseJSON([]byte(v.Text())); err == nil && n.Kind() == record.Number {
				return n
			}
		}
		return v
	case schema.DateTime:
		if t, ok := moment(v); ok {
			return record.Of(record.DateTime, t.Format(time.RFC3339Nano))
		}
		return v
	}
	switch v.Kind() {
	case record.Number, record.Bool:
		return record.TextOf(v.Text())
	}
	return v
}

// errBadID is what an id is that no lead can have.
var errBadID = errors.New("the ids of leads are digits")
