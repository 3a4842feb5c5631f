package geojson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/crmetl/crmetl/record"
)

// What a list of points can be.
const (
	line    = "line"
	polygon = "polygon"
)

// errNoPlace is the error of a row whose cells for a place are empty.
var errNoPlace = errors.New("no place")

// point is a place on the map: as numbers, and as the literals that are written, so that no digit is lost.
type point struct {
	lat, lon         float64
	latText, lonText string
}

// geometry appends the geometry of a row: that of its list of points if there is one, else its point.
func (p *plan) geometry(dst []byte, cells []record.Value) ([]byte, error) {
	if p.pts >= 0 {
		points, err := pointsOf(cells[p.pts])
		if err != nil {
			return dst, err
		}
		if len(points) > 0 {
			return p.shaped(dst, points)
		}
	}
	if p.latitude < 0 || p.longitude < 0 || cells[p.latitude].IsEmpty() && cells[p.longitude].IsEmpty() {
		return dst, errNoPlace
	}
	at, err := pointOf(cells[p.latitude].Text(), cells[p.longitude].Text())
	if err != nil {
		return dst, err
	}
	return append(at.append(append(dst, `{"type":"Point","coordinates":`...)), '}'), nil
}

// shaped appends points as what they are. A line of one point is that point.
func (p *plan) shaped(dst []byte, points []point) ([]byte, error) {
	if p.shape == polygon {
		ring, err := outline(points)
		if err != nil {
			return dst, err
		}
		return append(appendPoints(append(dst, `{"type":"Polygon","coordinates":[`...), ring), ']', '}'), nil
	}
	if len(points) == 1 {
		return append(points[0].append(append(dst, `{"type":"Point","coordinates":`...)), '}'), nil
	}
	return append(appendPoints(append(dst, `{"type":"LineString","coordinates":`...), points), '}'), nil
}

// outline closes a ring and turns it counterclockwise, as RFC 7946 wants an outer ring.
func outline(points []point) ([]point, error) {
	ring := slices.Clone(points)
	if first, last := ring[0], ring[len(ring)-1]; len(ring) == 1 || first.lat != last.lat || first.lon != last.lon {
		ring = append(ring, first)
	}
	if len(ring) < 4 {
		return nil, fmt.Errorf("an outline needs 3 points, and this one has %d", len(ring)-1)
	}
	// The shoelace formula. From point to point the shorter way counts, also across the date line.
	area, east := 0.0, ring[0].lon
	for i := 1; i < len(ring); i++ {
		step := math.Remainder(ring[i].lon-ring[i-1].lon, 360)
		area += east*ring[i].lat - (east+step)*ring[i-1].lat
		east += step
	}
	if area < 0 {
		slices.Reverse(ring)
	}
	return ring, nil
}

func appendPoints(dst []byte, points []point) []byte {
	dst = append(dst, '[')
	for i := range points {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = points[i].append(dst)
	}
	return append(dst, ']')
}

// append appends a position: longitude first.
func (p *point) append(dst []byte) []byte {
	dst = append(append(dst, '['), p.lonText...)
	return append(append(append(dst, ','), p.latText...), ']')
}

// pointsOf reads a list of points: a list, its JSON, or texts with ; between them. An empty cell has none.
func pointsOf(v record.Value) ([]point, error) {
	text := strings.TrimSpace(v.Text())
	if text == "" {
		return nil, nil
	}
	var items []string
	if v.Kind() == record.List || text[0] == '[' {
		var ok bool
		if items, ok = record.Of(record.List, text).Items(); !ok {
			return nil, fmt.Errorf("%.60q is no list of points", text)
		}
	} else {
		items = strings.Split(text, ";")
	}
	points := make([]point, 0, len(items))
	for _, s := range items {
		lat, lon, err := pair(strings.TrimSpace(s))
		if err != nil {
			return nil, err
		}
		at, err := pointOf(lat, lon)
		if err != nil {
			return nil, err
		}
		points = append(points, at)
	}
	return points, nil
}

// pair splits one point: latitude,longitude; the same as a JSON array; or an object that names the two.
func pair(s string) (lat, lon string, err error) {
	switch {
	case strings.HasPrefix(s, "["):
		var two []json.Number
		if json.Unmarshal([]byte(s), &two) == nil && len(two) == 2 {
			return two[0].String(), two[1].String(), nil
		}
	case strings.HasPrefix(s, "{"):
		var named map[string]any
		d := json.NewDecoder(bytes.NewReader([]byte(s)))
		d.UseNumber()
		if d.Decode(&named) == nil {
			lat, okLat := member(named, "latitude", "lat")
			lon, okLon := member(named, "longitude", "lng", "lon", "long")
			if okLat && okLon {
				return lat, lon, nil
			}
		}
	default:
		if lat, lon, ok := strings.Cut(s, ","); ok {
			return lat, lon, nil
		}
	}
	return "", "", fmt.Errorf("%.60q is no point; it is latitude,longitude", s)
}

func member(of map[string]any, names ...string) (string, bool) {
	for _, n := range names {
		if v, ok := of[n]; ok && v != nil {
			return fmt.Sprint(v), true
		}
	}
	return "", false
}

func pointOf(lat, lon string) (point, error) {
	var p point
	var err error
	if p.lat, p.latText, err = degrees("latitude", lat, 90); err != nil {
		return p, err
	}
	p.lon, p.lonText, err = degrees("longitude", lon, 180)
	return p, err
}

// degrees reads a decimal number of degrees.
func degrees(name, s string, most float64) (float64, string, error) {
	text := strings.TrimPrefix(strings.TrimSpace(s), "+")
	if text == "" {
		return 0, "", fmt.Errorf("the %s is empty", name)
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.Trim(text, "0123456789.-+eE") != "" {
		return 0, "", fmt.Errorf("the %s %.40q is no decimal number", name, s)
	}
	if math.Abs(x) > most {
		return 0, "", fmt.Errorf("the %s %.40q is not between -%v and %v", name, s, most, most)
	}
	if !json.Valid([]byte(text)) {
		text = strconv.FormatFloat(x, 'f', -1, 64) // such as .5 or 07
	}
	return x, text, nil
}
