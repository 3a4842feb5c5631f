package mappconnect

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/crmetl/crmetl/internal/api"
	"github.com/crmetl/crmetl/internal/delivery"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// lists are the paths of what can be exported.
var lists = map[string]string{
	objGroups: "/group", objMessages: "/message", objPushMessages: "/message/push", objSMSMessages: "/message/sms", objApps: "/mobile-app", objConnect: "/connect",
}

// rawColumn is the one column of an export of the vendor's own JSON.
const rawColumn = "record"

// Source starts an export. The vendor's lists are short and come whole: they are read before the first row.
func (c *Conn) Source(ctx context.Context, object string, q schema.Query) (pipeline.Source, error) {
	o, ok := Schema().Object(object)
	if !ok || !o.Export.Any() {
		return nil, fmt.Errorf("%s can't be exported from Mapp Connect: the API offers no way to read it", object)
	}
	if err := supported(o, q); err != nil {
		return nil, err
	}
	if err := c.Ready(ctx); err != nil {
		return nil, err
	}
	answer, err := c.get(ctx, lists[object])
	if err != nil {
		return nil, err
	}
	s := &source{}
	if object == objConnect {
		err = s.readConnect(answer.Body)
	} else {
		err = s.readList(answer.Body)
	}
	if err != nil {
		return nil, &api.Error{Op: "GET " + lists[object], Class: api.Protocol, Status: answer.Status, Message: err.Error() + ": " + delivery.Excerpt(answer.Body), Err: err}
	}
	if q.Raw {
		s.raw(object)
	}
	return s, nil
}

// supported refuses what the vendor can't do, instead of exporting something else than was asked for.
func supported(o *schema.Object, q schema.Query) error {
	switch {
	case len(q.Filters) > 0:
		return fmt.Errorf("filter %s: Mapp Connect offers no filters; export everything and filter the file", q.Filters[0].Name)
	case q.Sort != "":
		return fmt.Errorf("sort %s: Mapp Connect offers no sorting; export everything and sort the file", q.Sort)
	case q.Expand:
		return fmt.Errorf("expand: Mapp Connect has nothing to expand in %s", o.Name)
	case q.ID != "":
		return fmt.Errorf("%s has no export by id", o.Name)
	case q.Search != "" || len(q.Terms) > 0:
		return fmt.Errorf("%s has no search", o.Name)
	case !q.Since.IsZero():
		return fmt.Errorf("%s has no time stamp that --since could be compared with", o.Name)
	}
	return nil
}

// source holds a list that was read.
type source struct {
	header *record.Header
	rows   [][]record.Value
	done   bool
}

// member is one name and value of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// members reads a JSON object in its order.
func members(raw []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, fmt.Errorf("the answer is no JSON object")
	}
	var list []member
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("the answer is broken: %w", err)
		}
		var m member
		m.name, _ = name.(string)
		if err := d.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("the answer is broken: %w", err)
		}
		list = append(list, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("the answer is cut off: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("the answer goes on after its object")
	}
	return list, nil
}

// text is a JSON value as text: of a string its content, of null nothing.
func text(raw json.RawMessage) (record.Value, error) {
	v, err := record.ParseJSON(raw)
	if err != nil || v.Kind() == record.Null {
		return record.TextOf(""), err
	}
	return record.TextOf(v.Text()), nil
}

// readList reads ids and names: an object of them, or an array of objects. An empty array and null are empty lists.
func (s *source) readList(body []byte) error {
	var err error
	if s.header, err = record.NewHeader([]string{"id", "name"}); err != nil {
		return err
	}
	var list []json.RawMessage
	switch {
	case len(body) == 0:
		return fmt.Errorf("the answer is empty")
	case body[0] == '{':
		all, err := members(body)
		if err != nil {
			return err
		}
		for _, m := range all {
			name, err := text(m.value)
			if err != nil {
				return err
			}
			s.rows = append(s.rows, []record.Value{record.TextOf(m.name), name})
		}
	case json.Unmarshal(body, &list) != nil:
		return fmt.Errorf("the answer is no list")
	}
	for _, one := range list {
		var x struct {
			ID   json.RawMessage `json:"id"`
			Name json.RawMessage `json:"name"`
		}
		if json.Unmarshal(one, &x) != nil || len(x.ID) == 0 {
			return fmt.Errorf("the list holds something without an id")
		}
		id, err := text(x.ID)
		if err != nil {
			return err
		}
		name := record.TextOf("")
		if len(x.Name) > 0 {
			if name, err = text(x.Name); err != nil {
				return err
			}
		}
		s.rows = append(s.rows, []record.Value{id, name})
	}
	slices.SortStableFunc(s.rows, func(a, b []record.Value) int { return byNumber(a[0].Text(), b[0].Text()) })
	return nil
}

// byNumber compares ids as numbers, however long they are; what is no number comes last.
func byNumber(a, b string) int {
	digits := func(s string) (string, bool) {
		return strings.TrimLeft(s, "0"), s != "" && strings.Trim(s, "0123456789") == ""
	}
	x, isX := digits(a)
	y, isY := digits(b)
	switch {
	case isX && isY && len(x) != len(y):
		return len(x) - len(y)
	case isX && isY && x != y:
		return strings.Compare(x, y)
	case isX != isY && isX:
		return -1
	case isX != isY:
		return 1
	}
	return strings.Compare(a, b)
}

// readConnect reads what the integration says of itself: one row, its columns the names of the answer.
func (s *source) readConnect(body []byte) error {
	all, err := members(body)
	if err != nil {
		return err
	}
	var names []string
	var row []record.Value
	for _, m := range all {
		v, err := record.ParseJSON(m.value)
		if err != nil {
			return err
		}
		if v.Kind() == record.Number && strings.HasSuffix(strings.ToLower(m.name), "id") {
			v = record.TextOf(v.Text())
		}
		names, row = append(names, m.name), append(row, v)
	}
	if s.header, err = record.NewHeader(names); err != nil {
		return fmt.Errorf("its names can't be columns: %w", err)
	}
	if len(row) > 0 {
		s.rows = [][]record.Value{row}
	}
	return nil
}

// raw turns the rows into the vendor's JSON. A list's are written as objects with id and name.
func (s *source) raw(object string) {
	enc := record.FlatEncoder(s.header)
	for i, row := range s.rows {
		if object == objConnect || len(row) == 2 {
			s.rows[i] = []record.Value{record.Of(record.JSON, string(enc.Append(nil, row)))}
		}
	}
	s.header = record.LooseHeader([]string{rawColumn})
}

// Header names the columns.
func (s *source) Header() *record.Header { return s.header }

// Next hands out the list as one piece.
func (s *source) Next(ctx context.Context, c *pipeline.Chunk) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	*c = pipeline.Chunk{Data: c.Data[:0]}
	if s.done || len(s.rows) == 0 {
		return io.EOF
	}
	s.done = true
	c.Line, c.Extra = 1, s.rows
	return nil
}

// Decode makes rows of it.
func (s *source) Decode(c *pipeline.Chunk, b *record.Batch) error {
	rows, ok := c.Extra.([][]record.Value)
	if !ok {
		return fmt.Errorf("the list is not here any more")
	}
	b.Header, b.Origin = s.header, s.header
	for i, values := range rows {
		row := b.Add()
		row.Line, row.Values = c.Line+int64(i), append(b.Cells(len(values))[:0], values...)
		row.Origin = row.Values
	}
	return nil
}

// Close does nothing: the answer was read whole.
func (s *source) Close() error { return nil }
