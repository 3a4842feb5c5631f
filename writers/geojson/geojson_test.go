package geojson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

var _ pipeline.Sink = (*Writer)(nil)

// write returns the collection of rows, and what was said.
func write(t *testing.T, o Options, h *record.Header, rows ...[]record.Value) (text string, said []string) {
	t.Helper()
	var out bytes.Buffer
	o.Warn = func(s string) { said = append(said, s) }
	w, err := New(&out, o)
	if err != nil {
		t.Fatal(err)
	}
	b := &record.Batch{Header: h}
	for i, values := range rows {
		row := b.Add()
		row.Num, row.Values = int64(i+1), values
	}
	if len(rows) > 0 {
		err = w.Write(t.Context(), b)
	}
	if err := errors.Join(err, w.Commit(t.Context()), w.Close()); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(out.Bytes()) {
		t.Fatalf("not JSON: %s", out.String())
	}
	return out.String(), said
}

func TestCollection(t *testing.T) {
	text, num := record.TextOf, record.NumberOf
	h := record.LooseHeader([]string{"id", "name", "Lat", "LNG"})
	rows := [][]record.Value{
		{text("jl9xPVuk6z"), text("Ada \"x\""), num("33.432130"), num("-79.13183")},
		{num("7"), record.NullOf(), num("0"), {}},
		{{}, text("nowhere"), text(""), record.NullOf()},
	}
	for _, o := range []Options{{}, {Header: h}} {
		got, said := write(t, o, h, rows...)
		want := `{"type":"FeatureCollection","features":[
{"type":"Feature","id":"jl9xPVuk6z","geometry":{"type":"Point","coordinates":[-79.13183,33.432130]},"properties":{"id":"jl9xPVuk6z","name":"Ada \"x\"","Lat":33.432130,"LNG":-79.13183}},
{"type":"Feature","id":7,"geometry":null,"properties":{"id":7,"name":null,"Lat":0}},
{"type":"Feature","geometry":null,"properties":{"name":"nowhere","Lat":"","LNG":null}}
]}
`
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{
			"no place on the map: row 3; the geometry is null",
			"a place that can't be read: row 2 (the first: the longitude is empty); the geometry is null",
		}, said); diff != "" {
			t.Error(diff)
		}
	}
	if got, said := write(t, Options{Header: h}, h); got != "{\"type\":\"FeatureCollection\",\"features\":[\n]}\n" || said != nil {
		t.Errorf("without rows: %q, %q", got, said)
	}
}

func TestGeometry(t *testing.T) {
	list := func(items ...string) record.Value { return record.ListOf(items) }
	const noPlace, bad = "no place", "can't be read"
	for _, c := range []struct {
		name, shape string
		points      record.Value
		want        string // a geometry, or part of what is said
	}{
		{"route", "", list("35.37376,-89.87562", "35.20126,-87.02965"), `{"type":"LineString","coordinates":[[-89.87562,35.37376],[-87.02965,35.20126]]}`},
		{"route in one cell", line, record.TextOf("35.5,-89.5; +.5 , -07 "), `{"type":"LineString","coordinates":[[-89.5,35.5],[-7,0.5]]}`},
		{"points as lists", line, record.Of(record.List, `[[1.50,2],[3,4]]`), `{"type":"LineString","coordinates":[[2,1.50],[4,3]]}`},
		{"points as objects", line, record.Of(record.List, `[{"lat":1,"lng":2},{"latitude":"3","longitude":4e0}]`), `{"type":"LineString","coordinates":[[2,1],[4e0,3]]}`},
		{"points as text", line, record.TextOf(`["1,2","3,4"]`), `{"type":"LineString","coordinates":[[2,1],[4,3]]}`},
		{"one point", line, list("1,2"), `{"type":"Point","coordinates":[2,1]}`},
		{"territory, counterclockwise", polygon, list("0,0", "0,10", "10,10"), `{"type":"Polygon","coordinates":[[[0,0],[10,0],[10,10],[0,0]]]}`},
		{"territory, clockwise", polygon, list("0,0", "10,10", "0,10"), `{"type":"Polygon","coordinates":[[[0,0],[10,0],[10,10],[0,0]]]}`},
		{"territory, closed", polygon, list("0,0", "0,10", "10,10", "0,0"), `{"type":"Polygon","coordinates":[[[0,0],[10,0],[10,10],[0,0]]]}`},
		{"territory over the date line", polygon, list("0,170", "0,-170", "10,-170", "10,170"), `{"type":"Polygon","coordinates":[[[170,0],[-170,0],[-170,10],[170,10],[170,0]]]}`},
		{"territory of two points", polygon, list("0,0", "0,10"), "an outline needs 3 points, and this one has 2"},
		{"no points", line, record.NullOf(), noPlace},
		{"an empty list", polygon, list(), noPlace},
		{"an empty cell", line, record.TextOf(" "), noPlace},
		{"half a point", line, list("1,2", "3"), `"3" is no point`},
		{"an empty half", line, list("1,"), "the longitude is empty"},
		{"no number", line, list("1,x"), `the longitude "x" is no decimal number`},
		{"not finite", line, list("NaN,Inf"), `the latitude "NaN" is no decimal number`},
		{"hexadecimal", line, list("0x1p3,1"), bad},
		{"too far north", line, list("90.0001,1"), `the latitude "90.0001" is not between -90 and 90`},
		{"too far east", line, list("90,180.5"), "is not between -180 and 180"},
		{"no list", line, record.TextOf("[1,"), "is no list of points"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := record.LooseHeader([]string{"points"})
			got, said := write(t, Options{Shape: c.shape}, h, []record.Value{c.points})
			want := `"geometry":` + c.want + `,"properties"`
			if c.want[0] != '{' {
				want = `"geometry":null,`
				if len(said) != 1 || !strings.Contains(said[0], c.want) {
					t.Errorf("said %q, want %q", said, c.want)
				}
			} else if said != nil {
				t.Errorf("said %q", said)
			}
			if !strings.Contains(got, want) {
				t.Errorf("%s\nwant %s", got, want)
			}
		})
	}
}

// TestBoth has a list of points and a point: the list goes before, unless it is empty.
func TestBoth(t *testing.T) {
	h := record.LooseHeader([]string{"points", "address.latitude", "address.longitude"})
	num := record.NumberOf
	got, _ := write(t, Options{}, h, []record.Value{record.ListOf([]string{"1,2", "3,4"}), num("5"), num("6")}, []record.Value{record.NullOf(), num("5"), num("6")})
	if !strings.Contains(got, `"LineString"`) || !strings.Contains(got, `{"type":"Point","coordinates":[6,5]}`) {
		t.Error(got)
	}
}

func TestErrors(t *testing.T) {
	for want, o := range map[string]Options{
		"no column holds a place":  {Header: record.LooseHeader([]string{"id", "latitude"})},
		"are both named":           {Header: record.LooseHeader([]string{"points", "a", "a"})},
		"is no shape of a list of": {Shape: "circle"},
	} {
		if _, err := New(&bytes.Buffer{}, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	w, err := New(&bytes.Buffer{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &record.Batch{Header: record.LooseHeader([]string{"id"})}
	b.Add()
	if err := w.Write(t.Context(), b); err == nil || !strings.Contains(err.Error(), "no column holds a place") {
		t.Errorf("error %v", err)
	}
}

func TestSpans(t *testing.T) {
	var s spans
	for _, n := range []int64{1, 2, 3, 7} {
		s.add(n)
	}
	if got := s.String(); got != "rows 1-3, 7" {
		t.Error(got)
	}
	for n := int64(10); n < 100; n += 2 {
		s.add(n)
	}
	if got := s.String(); !strings.HasSuffix(got, ", 44 and 27 more") || s.n != 49 || len(s.list) != maxSpans {
		t.Errorf("%s, %d in %d spans", got, s.n, len(s.list))
	}
}

// FuzzPlace holds the writer to JSON and to places that are on the map, whatever the cells have.
func FuzzPlace(f *testing.F) {
	f.Add("35.3,-89.8;35.2,-87.0", "1", "2", true)
	f.Add(`[{"lat":1,"lon":"x"}]`, "-90", "+.5", false)
	f.Add("[[1,2],null]", "1e400", "0x1", true)
	f.Fuzz(func(t *testing.T, points, lat, lon string, area bool) {
		o := Options{}
		if area {
			o.Shape = polygon
		}
		h := record.LooseHeader([]string{"points", "lat", "lon"})
		got, _ := write(t, o, h, []record.Value{record.TextOf(points), record.TextOf(lat), record.TextOf(lon)})
		var all struct {
			Features []struct {
				Geometry *struct {
					Type        string
					Coordinates json.RawMessage
				}
			}
		}
		if err := json.Unmarshal([]byte(got), &all); err != nil || len(all.Features) != 1 {
			t.Fatalf("%d features, error %v", len(all.Features), err)
		}
		if g := all.Features[0].Geometry; g != nil {
			if err := onMap(g.Coordinates); err != nil {
				t.Error(err)
			}
		}
	})
}

// onMap goes down to the positions.
func onMap(raw json.RawMessage) error {
	var position [2]float64
	if json.Unmarshal(raw, &position) == nil {
		if position[0] < -180 || position[0] > 180 || position[1] < -90 || position[1] > 90 {
			return fmt.Errorf("%s is not on the map", raw)
		}
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	for _, r := range list {
		if err := onMap(r); err != nil {
			return err
		}
	}
	return nil
}
