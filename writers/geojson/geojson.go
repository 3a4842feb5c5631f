// Package geojson writes rows as a GeoJSON FeatureCollection (RFC 7946), a feature a line, for maps: a row with
// latitude and longitude becomes a point, one with a list of points a line or a polygon. All cells are properties of
// the feature, so that nothing of a record is lost on the way.
package geojson

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/writers/internal/lines"
)

// Options say what is written.
type Options struct {
	// Header names the columns; nil: those of each batch. The place is in latitude and longitude (lat; lon, lng,
	// long), or in points: a list of texts, each latitude,longitude. An id is the feature's id as well.
	Header *record.Header
	// Shape is what a list of points is: line, or polygon, then as its outline; "" = line.
	Shape string
	// Warn is told at Commit which rows have no place; nil: nobody.
	Warn func(string)
}

// Writer renders and writes rows. A row without a place, or with one that can't be, has the geometry null.
type Writer struct {
	lines.Sink
	o       Options
	plan    *plan // nil if the header comes with the batches
	out     *separated
	scratch []byte
	none    spans // rows whose place is empty
	bad     spans // rows whose place can't be read
	why     error // of the first one
}

// New starts a collection. It is an error if no column can hold a place, or if two have one name.
func New(out io.Writer, o Options) (*Writer, error) {
	if o.Shape != "" && o.Shape != line && o.Shape != polygon {
		return nil, fmt.Errorf("%q is no shape of a list of points; it is %s or %s", o.Shape, line, polygon)
	}
	w := &Writer{o: o, out: &separated{out: out}}
	w.Sink = lines.Sink{Out: w.out, Render: w.render, Start: w.start}
	if o.Header != nil {
		var err error
		if w.plan, err = newPlan(o.Header, o.Shape); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// plan says where things are in the rows of a header.
type plan struct {
	width                        int
	id, latitude, longitude, pts int // columns, -1 if there is none
	shape                        string
	properties                   *record.Encoder
}

func newPlan(h *record.Header, shape string) (*plan, error) {
	for i := range h.Len() {
		if j := h.Index(h.Name(i)); j != i {
			return nil, fmt.Errorf("columns %s and %s are both named %q, and a feature can't hold both; rename one", record.ColumnName(j), record.ColumnName(i), h.Name(i))
		}
	}
	p := &plan{
		width: h.Len(), shape: shape, properties: record.FlatEncoder(h), id: h.Index("id"),
		latitude: find(h, "latitude", "lat"), longitude: find(h, "longitude", "lon", "lng", "long"), pts: find(h, "points"),
	}
	if p.pts < 0 && (p.latitude < 0 || p.longitude < 0) {
		return nil, errors.New("no column holds a place: a map needs latitude and longitude, or points; write another format, or name the columns so")
	}
	return p, nil
}

// find returns the column that has one of the names, case and what stands between words aside: the whole name, or what
// comes after its last dot.
func find(h *record.Header, names ...string) int {
	fold := strings.NewReplacer(" ", "", "_", "", "-", "")
	for _, nested := range []bool{false, true} {
		for _, want := range names {
			for i := range h.Len() {
				name := h.Name(i)
				if nested {
					name = name[strings.LastIndexByte(name, '.')+1:]
				}
				if fold.Replace(strings.ToLower(strings.TrimSpace(name))) == want {
					return i
				}
			}
		}
	}
	return -1
}

func (w *Writer) start(*record.Batch) error {
	return w.out.raw(`{"type":"FeatureCollection","features":[`)
}

// planOf returns the plan for a batch.
func (w *Writer) planOf(b *record.Batch) (*plan, error) {
	if w.plan != nil {
		return w.plan, nil
	}
	if b.Header == nil {
		return nil, errors.New("the batch has no header")
	}
	return newPlan(b.Header, w.o.Shape)
}

func (w *Writer) render(b *record.Batch) (lines.Append, error) {
	p, err := w.planOf(b)
	if err != nil {
		return nil, err
	}
	return p.append, nil
}

// append appends a feature, with the separator in front of it.
func (p *plan) append(dst []byte, row *record.Row) ([]byte, error) {
	if len(row.Values) != p.width {
		return dst, fmt.Errorf("the row has %d cell(s), the file %d column(s)", len(row.Values), p.width)
	}
	dst = append(dst, separator+`{"type":"Feature"`...)
	if p.id >= 0 && !row.Values[p.id].IsEmpty() {
		dst = append(dst, `,"id":`...)
		if v := row.Values[p.id]; v.Kind() == record.Number {
			dst = v.AppendJSON(dst)
		} else {
			dst = record.AppendString(dst, v.Text())
		}
	}
	dst = append(dst, `,"geometry":`...)
	begin := len(dst)
	var err error
	if dst, err = p.geometry(dst, row.Values); err != nil {
		dst = append(dst[:begin], "null"...)
	}
	dst = append(dst, `,"properties":`...)
	return append(p.properties.Append(dst, row.Values), '}'), nil
}

// Write puts out the open rows of the batch and notes which of them have no place.
func (w *Writer) Write(ctx context.Context, b *record.Batch) error {
	p, err := w.planOf(b)
	if err != nil {
		return err
	}
	for i := range b.Rows {
		row := &b.Rows[i]
		if !row.Fate.Open() || len(row.Values) != p.width {
			continue // the latter is an error of the write below
		}
		w.scratch, err = p.geometry(w.scratch[:0], row.Values)
		switch {
		case errors.Is(err, errNoPlace):
			w.none.add(row.Num)
		case err != nil:
			if w.bad.n == 0 {
				w.why = err
			}
			w.bad.add(row.Num)
		}
	}
	return w.Sink.Write(ctx, b)
}

// Commit ends the collection and says which rows have no place.
func (w *Writer) Commit(ctx context.Context) error {
	if err := w.Sink.Commit(ctx); err != nil {
		return err
	}
	if err := w.out.raw("\n]}\n"); err != nil {
		return err
	}
	if w.o.Warn == nil {
		return nil
	}
	if w.none.n > 0 {
		w.o.Warn(fmt.Sprintf("no place on the map: %s; the geometry is null", &w.none))
	}
	if w.bad.n > 0 {
		w.o.Warn(fmt.Sprintf("a place that can't be read: %s (the first: %v); the geometry is null", &w.bad, w.why))
	}
	return nil
}

// separator stands between features; rows are rendered with it in front, since nobody knows then which is first.
const separator = ",\n"

// separated leaves out the first separator's comma.
type separated struct {
	out   io.Writer
	begun bool
}

func (s *separated) Write(p []byte) (int, error) {
	if s.begun || len(p) == 0 {
		return s.out.Write(p)
	}
	s.begun = true
	n, err := s.out.Write(p[1:])
	return n + 1, err
}

// raw writes what is no feature.
func (s *separated) raw(text string) error {
	_, err := io.WriteString(s.out, text)
	return err
}

// maxSpans bounds how many spans of rows are named.
const maxSpans = 20

// spans is a set of row numbers, added in order, as a person would list them. The zero value is empty.
type spans struct {
	n    int64 // numbers in all
	more int64 // those that are not in list
	list [][2]int64
}

func (s *spans) add(n int64) {
	s.n++
	if last := len(s.list) - 1; last >= 0 && s.more == 0 && s.list[last][1]+1 == n {
		s.list[last][1] = n
		return
	}
	if len(s.list) == maxSpans {
		s.more++
		return
	}
	s.list = append(s.list, [2]int64{n, n})
}

// String returns the set as in "rows 3, 7-9 and 12 more".
func (s *spans) String() string {
	b := []byte("row")
	if s.n > 1 {
		b = append(b, 's')
	}
	for i, span := range s.list {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, ' '), span[0], 10)
		if span[1] > span[0] {
			b = strconv.AppendInt(append(b, '-'), span[1], 10)
		}
	}
	if s.more > 0 {
		b = append(strconv.AppendInt(append(b, " and "...), s.more, 10), " more"...)
	}
	return string(b)
}
