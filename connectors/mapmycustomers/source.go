package mapmycustomers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

const (
	blanks     = " \t\r\n"
	firstChunk = 256 << 10 // bytes of the first chunk: some writers look at the rows of the first batch, as for widths of columns
	chunkSize  = 32 << 10  // bytes of all others: a run has a dozen under way, with their rows, in memory
	maxRecord  = 32 << 20  // bytes of one record at most
)

// Source starts an export. The vendor's lists come whole, in one answer: it is read as it comes and never held.
func (c *Conn) Source(ctx context.Context, object string, q schema.Query) (pipeline.Source, error) {
	o, ok := Schema().Object(object)
	if !ok || !o.Export.Any() {
		return nil, fmt.Errorf("%s can't be exported from Map My Customers", object)
	}
	if err := supported(o, q); err != nil {
		return nil, err
	}
	s := &source{fields: newDecoder(o, q)}
	var err error
	switch {
	case q.ID != "":
		var body []byte
		if body, err = c.read(ctx, "/customers/"+url.PathEscape(q.ID)); err == nil {
			s.open("the customer", single(body))
		}
	case q.Search != "":
		err = c.open(ctx, s, "/customers/search/"+url.PathEscape(strings.TrimSpace(q.Search)))
	case object == user:
		var body []byte
		if body, err = c.read(ctx, "/user"); err == nil {
			s.open("the user", single(body))
		}
	case object == groups:
		var u account
		if u, err = c.user(ctx); err == nil {
			s.open("the groups", strings.NewReader(groupRecords(u.Groups)))
		}
	default:
		err = c.open(ctx, s, "/"+object)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// supported refuses what the vendor can't do, instead of exporting something else than was asked for.
func supported(o *schema.Object, q schema.Query) error {
	switch {
	case len(q.Filters) > 0:
		return fmt.Errorf("filter %s: Map My Customers offers no filters; export everything and filter the file", q.Filters[0].Name)
	case q.Sort != "":
		return fmt.Errorf("sort %s: Map My Customers offers no sorting; export everything and sort the file", q.Sort)
	case q.Expand:
		return fmt.Errorf("expand: Map My Customers has nothing to expand in %s", o.Name)
	case q.ID != "" && !o.Export.ByID:
		return fmt.Errorf("%s has no export by id; only customers has", o.Name)
	case q.Search != "" && !o.Export.Search:
		return fmt.Errorf("%s has no search; only customers has", o.Name)
	case q.ID != "" && q.Search != "":
		return errors.New("an export is by id or by a search term, not both")
	case q.ID != "" && !usable(q.ID):
		return fmt.Errorf("id %q can't be part of an address", q.ID)
	case q.Search != "" && !usable(q.Search):
		return fmt.Errorf("search term %q can't be part of an address: it must not be blank, \".\" or \"..\" and must not hold \"/\"", q.Search)
	case !q.Since.IsZero() && o.Export.Since == "":
		return fmt.Errorf("%s has no time stamp that --since could be compared with", o.Name)
	}
	return nil
}

// usable reports whether a term can be one segment of a path.
func usable(term string) bool {
	term = strings.TrimSpace(term)
	return term != "" && term != "." && term != ".." && !strings.ContainsAny(term, "/\\\x00")
}

func (c *Conn) open(ctx context.Context, s *source, path string) error {
	stream, err := c.api.Stream(ctx, c.request("GET", path, nil))
	if err != nil {
		return err
	}
	c.clock.Observe(stream.Header, c.now())
	s.open("GET "+path, stream)
	s.close = stream.Close
	return nil
}

// single makes a list of one record.
func single(body []byte) io.Reader {
	return io.MultiReader(strings.NewReader("["), strings.NewReader(string(body)), strings.NewReader("]"))
}

func groupRecords(names []string) string {
	b := []byte{'['}
	for i, g := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(record.AppendString(append(b, `{"group":`...), g), '}')
	}
	return string(append(b, ']'))
}

// source reads one list.
type source struct {
	fields *decoder
	what   string // the list's name, for messages
	in     io.Reader
	close  func() error
	cut    cutter
	carry  []byte // what follows the last whole record
	ended  bool
}

func (s *source) open(what string, in io.Reader) { s.what, s.in = what, in }

// Header names the fields that the vendor returns, or "record" alone if its own JSON was asked for.
func (s *source) Header() *record.Header { return s.fields.header }

// Next cuts the next records off the list. The list must end with its "]": an answer that was broken off is an error.
func (s *source) Next(ctx context.Context, c *pipeline.Chunk) error {
	c.Data, c.Line = append(c.Data[:0], s.carry...), s.cut.elements+1
	from, to := -1, 0 // the whole records in c.Data
	if len(s.carry) > 0 {
		from = 0 // what is carried over begins with a record
	}
	size := chunkSize
	if s.cut.elements == 0 {
		size = firstChunk
	}
	for !s.ended && (to == 0 || len(c.Data) < size) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if len(c.Data)-to > maxRecord {
			return fmt.Errorf("%s: record %d is larger than %d MB", s.what, s.cut.elements+1, maxRecord>>20)
		}
		scanned := len(c.Data)
		room := size - scanned
		if room <= 0 {
			room = size // a record that is larger
		}
		c.Data = grow(c.Data, room)
		n, err := s.in.Read(c.Data[scanned : scanned+room])
		c.Data = c.Data[:scanned+n]
		found, bad := s.cut.scan(c.Data[scanned:])
		if from < 0 && found.from >= 0 {
			from = scanned + found.from
		}
		if found.ended {
			to = scanned + found.to
		}
		switch {
		case errors.Is(bad, errNoList):
			return s.noList(c.Data)
		case bad != nil:
			return fmt.Errorf("%s: %w", s.what, bad)
		case errors.Is(err, io.EOF):
			s.ended = true
			if s.cut.state != afterList {
				return fmt.Errorf("%s: the list was cut off after %d records", s.what, s.cut.elements)
			}
		case err != nil:
			return fmt.Errorf("%s: the list broke off after %d records: %w", s.what, s.cut.elements, err)
		}
	}
	if to == 0 {
		c.Data = c.Data[:0]
		return io.EOF
	}
	rest := bytes.TrimLeft(c.Data[to:], blanks)
	if len(rest) > 0 && rest[0] == ',' {
		rest = bytes.TrimLeft(rest[1:], blanks)
	}
	if s.cut.state == afterList {
		rest = nil
	}
	s.carry = append(s.carry[:0], rest...)
	c.Data = c.Data[:copy(c.Data, c.Data[from:to])]
	return nil
}

// noList tells what came instead of a list; the vendor's own message if there is one.
func (s *source) noList(begin []byte) error {
	rest, _ := io.ReadAll(io.LimitReader(s.in, 64<<10)) // what can be read is shown, the rest does not matter
	body := append(append([]byte(nil), begin...), rest...)
	if msg := message(body); msg != "" {
		return fmt.Errorf("%s: no list came, but: %s", s.what, msg)
	}
	return fmt.Errorf("%s: no list came, but an answer of %d bytes", s.what, len(body))
}

// Close ends the call.
func (s *source) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// Decode turns the records of a chunk into rows.
func (s *source) Decode(c *pipeline.Chunk, b *record.Batch) error {
	if err := s.fields.decode(c, b); err != nil {
		return fmt.Errorf("%s: %w", s.what, err)
	}
	return nil
}

func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	return append(make([]byte, 0, max(2*cap(b), len(b)+n)), b...)
}

// decoder turns an object's records into rows; it is safe for many goroutines.
type decoder struct {
	header *record.Header
	index  map[string]int // place by field name
	names  []string
	types  []schema.Type
	raw    bool
	since  time.Time
	stamp  int // place of the field that since is compared with
	zones  zones
	warn   func(string)
	warned sync.Once
}

func newDecoder(o *schema.Object, q schema.Query) *decoder {
	d := &decoder{index: map[string]int{}, raw: q.Raw, since: q.Since, stamp: -1, warn: q.Warn}
	for i := range o.Fields {
		f := &o.Fields[i]
		if f.NoExport {
			continue
		}
		d.index[f.Name] = len(d.names)
		d.names = append(d.names, f.Name)
		d.types = append(d.types, f.Type)
	}
	if i, ok := d.index[o.Export.Since]; ok {
		d.stamp = i
	}
	d.header = record.LooseHeader(d.names)
	if q.Raw {
		d.header = record.LooseHeader([]string{"record"})
	}
	return d
}

func (d *decoder) decode(c *pipeline.Chunk, b *record.Batch) error {
	b.Header, b.Origin = d.header, d.header
	s := string(c.Data)
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	p := &scanner{s: s, batch: b}
	var scratch []record.Value
	if d.raw {
		scratch = make([]record.Value, len(d.names))
	}
	for n := c.Line; ; n++ {
		p.blanks()
		from := p.i
		cells := scratch
		if d.raw {
			clear(cells)
		} else {
			cells = b.Cells(len(d.names))
		}
		if err := d.record(p, cells); err != nil {
			return fmt.Errorf("record %d: %w", n, err)
		}
		if d.wanted(cells) {
			row := b.Add()
			row.Line = n
			if d.raw {
				cells = b.Cells(1)
				cells[0] = record.Of(record.JSON, s[from:p.i])
			}
			row.Values, row.Origin = cells, cells
		}
		switch p.next() {
		case ',':
			p.i++
		case 0:
			if p.i >= len(s) {
				return nil
			}
			fallthrough
		default:
			return fmt.Errorf("record %d: %w", n, p.fail("a comma"))
		}
	}
}

// record reads one record into cells; keys that the table does not know are passed over.
func (d *decoder) record(p *scanner, cells []record.Value) error {
	guess := 0 // the vendor writes its keys in one order, most of the time ours
	return p.object(0, func(key string) error {
		at := -1
		if guess < len(d.names) && d.names[guess] == key {
			at = guess
		} else if i, ok := d.index[key]; ok {
			at = i
		}
		if at < 0 {
			_, err := p.skip(1)
			return err
		}
		guess = at + 1
		v, err := p.value()
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		cells[at] = d.convert(p.batch, at, v)
		return nil
	})
}

// convert gives a value the form of its field's type. What has another form than the document says passes as it is.
func (d *decoder) convert(b *record.Batch, at int, v record.Value) record.Value {
	ok := true
	out := v
	switch d.types[at] {
	case schema.DateTime:
		out, ok = d.zones.moment(b, v)
	case schema.Epoch:
		out, ok = epoch(b, v)
	}
	if !ok {
		d.warned.Do(func() {
			if d.warn != nil {
				d.warn(fmt.Sprintf("%s %s is no time that is understood; such values are exported as they came", d.names[at], v.Text()))
			}
		})
	}
	return out
}

// wanted reports whether a record is as young as was asked for. One without a time stamp is: leaving it out would
// lose it.
func (d *decoder) wanted(cells []record.Value) bool {
	if d.since.IsZero() || d.stamp < 0 {
		return true
	}
	t, err := time.Parse(time.RFC3339Nano, cells[d.stamp].Text())
	return err != nil || !t.Before(d.since)
}

// each calls f at every record of a list, in order, without holding the list; f reads the record. The list is read
// once: an error after some records leaves it to the caller to forget them and begin again.
func (c *Conn) each(ctx context.Context, path string, f func(rec *scanner) error) error {
	s := &source{fields: &decoder{}}
	if err := c.open(ctx, s, path); err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // what could go wrong was seen while reading
	s.what = "while the list was read"
	chunk := &pipeline.Chunk{}
	for {
		err := s.Next(ctx, chunk)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return broken(err, "GET "+path)
		}
		p := &scanner{s: string(chunk.Data)}
		for p.next() != 0 {
			if err := f(p); err != nil {
				return broken(err, "GET "+path)
			}
			if p.next() == ',' {
				p.i++
			}
		}
	}
}

// broken makes an error of the api's kind of one that was met while reading a list.
func broken(err error, op string) error {
	var known *api.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, api.ErrStopped) {
		return err
	}
	return &api.Error{Op: op, Class: api.Protocol, Message: err.Error(), Err: err}
}
