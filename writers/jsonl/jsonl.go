// Package jsonl writes rows as JSON Lines: an object a line, with the header's names in order.
package jsonl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/writers/internal/lines"
)

// Options say how the lines are written.
type Options struct {
	Header *record.Header // the columns; nil: those of each batch
	Nested bool           // dots in names are nesting: preference.from_price becomes {"preference":{"from_price":…}}
	Raw    bool           // the first cell of each row is JSON, and a line of its own
	// Record, if set, renders each record instead: one row, or the rows of a group. It is called from many goroutines.
	// An error that is a record.Problems rejects the rows.
	Record func(dst []byte, rows []*record.Row) ([]byte, error)
}

// Writer renders and writes rows. Absent cells are left out, Null is null, numbers keep their digits.
type Writer struct {
	lines.Sink
	o   Options
	enc *record.Encoder // nil if the header comes with the batches
}

// New starts a text. Names that can't be nested, or that stand twice, are an error: an object can't hold them.
func New(out io.Writer, o Options) (*Writer, error) {
	w := &Writer{o: o}
	w.Sink = lines.Sink{Out: out, Render: w.render}
	if o.Header != nil && !o.Raw && o.Record == nil {
		var err error
		if w.enc, err = encoder(o.Header, o.Nested); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func encoder(h *record.Header, nested bool) (*record.Encoder, error) {
	if nested {
		return record.NestedEncoder(h)
	}
	for i := range h.Len() {
		if j := h.Index(h.Name(i)); j != i {
			return nil, fmt.Errorf("columns %s and %s are both named %q, and a JSON object can't hold both; rename one", record.ColumnName(j), record.ColumnName(i), h.Name(i))
		}
	}
	return record.FlatEncoder(h), nil
}

func (w *Writer) render(b *record.Batch) (lines.Append, error) {
	if w.o.Raw {
		return appendRaw, nil
	}
	if w.o.Record != nil {
		return w.record(b), nil
	}
	h, enc := w.o.Header, w.enc
	if h == nil {
		if h = b.Header; h == nil {
			return nil, errors.New("the batch has no header")
		}
		var err error
		if enc, err = encoder(h, w.o.Nested); err != nil {
			return nil, err
		}
	}
	return func(dst []byte, row *record.Row) ([]byte, error) {
		if len(row.Values) != h.Len() {
			return dst, fmt.Errorf("the row has %d cell(s), the file %d column(s)", len(row.Values), h.Len())
		}
		return append(enc.Append(dst, row.Values), '\n'), nil
	}, nil
}

// record renders a batch's records; the lines of a group's later rows are part of its first one's.
func (w *Writer) record(b *record.Batch) lines.Append {
	var rows []*record.Row
	return func(dst []byte, row *record.Row) ([]byte, error) {
		rows = append(rows[:0], row)
		if row.Group != 0 {
			if row.Num != row.Group {
				return dst, nil
			}
			for i := range b.Rows {
				if r := &b.Rows[i]; r.Group == row.Group && r != row {
					rows = append(rows, r)
				}
			}
		}
		out, err := w.o.Record(dst, rows)
		if err == nil {
			return append(out, '\n'), nil
		}
		if ps := (record.Problems)(nil); errors.As(err, &ps) {
			for _, r := range rows {
				for _, p := range ps {
					r.Reject(p)
				}
			}
			return dst, nil
		}
		return dst, err
	}
}

// appendRaw appends the first cell's JSON, as it is unless it spreads over several lines.
func appendRaw(dst []byte, row *record.Row) ([]byte, error) {
	if len(row.Values) == 0 {
		return dst, errors.New("the row has no cell to write as it is")
	}
	text := strings.TrimSpace(row.Values[0].Text())
	if !json.Valid([]byte(text)) {
		return dst, fmt.Errorf("the first cell is not JSON: %.60q", text)
	}
	if !strings.ContainsAny(text, "\r\n") {
		return append(append(dst, text...), '\n'), nil
	}
	var one bytes.Buffer
	if err := json.Compact(&one, []byte(text)); err != nil {
		return dst, fmt.Errorf("the first cell is not JSON: %w", err)
	}
	return append(append(dst, one.Bytes()...), '\n'), nil
}
