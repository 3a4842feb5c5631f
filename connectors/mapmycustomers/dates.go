package mapmycustomers

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // dates may name their zone, on machines without zone files too

	"github.com/crmetl/crmetl/record"
)

// zones keeps the time zones that were found, since the vendor's records name the same few again and again; it is safe for
// many goroutines.
type zones struct {
	mu    sync.RWMutex
	found map[zoneName]*time.Location
}

// zoneName is a zone as PHP names it: by kind 1 (an offset), 2 (an abbreviation) or 3 (a name).
type zoneName struct{ kind, name string }

// abbreviations are the zone names that mean one offset only, in hours and minutes as PHP reads them.
var abbreviations = map[string]int{
	"Z": 0, "UTC": 0, "GMT": 0, "WET": 0, "WEST": 60, "CET": 60, "CEST": 120, "EET": 120, "EEST": 180, "MSK": 180,
	"EST": -300, "EDT": -240, "CST": -360, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420,
	"AKST": -540, "AKDT": -480, "HST": -600, "JST": 540, "AEST": 600, "AEDT": 660, "NZST": 720, "NZDT": 780,
}

// moment reads a point in time as the vendor writes it: an object of PHP's DateTime, RFC 3339, or null. ok is false
// if it can't be understood; the value is then the raw text. A new text belongs to b, if there is one.
func (z *zones) moment(b *record.Batch, v record.Value) (out record.Value, ok bool) {
	switch v.Kind() {
	case record.Null, record.Absent:
		return v, true
	case record.Text:
		if strings.TrimSpace(v.Text()) == "" {
			return v, true
		}
		t, err := time.Parse(time.RFC3339Nano, v.Text())
		if err != nil {
			return v, false
		}
		return instant(b, t), true
	case record.Number:
		return epoch(b, v)
	case record.JSON:
		var date, zone, kind string
		p := &scanner{s: v.Text()}
		err := p.object(0, func(key string) error {
			var dst *string
			switch key {
			case "date":
				dst = &date
			case "timezone":
				dst = &zone
			case "timezone_type":
				dst = &kind
			default:
				_, err := p.skip(1)
				return err
			}
			x, err := p.value()
			*dst = x.Text()
			return err
		})
		if err == nil {
			whole := strings.TrimSuffix(date, ".000000") // as PHP ends a time since 7.1
			if (zone == "Z" || zone == "UTC" || zone == "+00:00") && plainDate(whole) {
				var room [len("2006-01-02T15:04:05Z")]byte
				text := append(append(room[:0], whole...), 'Z')
				text[10] = 'T'
				return record.Of(record.DateTime, kept(b, text)), true
			}
			if t, err := z.php(date, kind, zone); err == nil {
				return instant(b, t), true
			}
		}
	}
	return record.TextOf(v.Text()), false
}

// plainDate reports whether s is surely a valid "2006-01-02 15:04:05".
func plainDate(s string) bool {
	if len(s) != 19 || s[4] != '-' || s[7] != '-' || s[10] != ' ' || s[13] != ':' || s[16] != ':' {
		return false
	}
	two := func(i, low, high int) bool {
		a, b := s[i], s[i+1]
		n := int(a-'0')*10 + int(b-'0')
		return a >= '0' && a <= '9' && b >= '0' && b <= '9' && n >= low && n <= high
	}
	return two(0, 0, 99) && two(2, 0, 99) && two(5, 1, 12) && two(8, 1, 28) && two(11, 0, 23) && two(14, 0, 59) && two(17, 0, 59)
}

// php reads PHP's DateTime: a local time and its zone.
func (z *zones) php(date, kind, zone string) (time.Time, error) {
	where, err := z.find(zoneName{kind, zone})
	if err != nil {
		return time.Time{}, err
	}
	return time.ParseInLocation("2006-01-02 15:04:05.999999999", date, where)
}

func (z *zones) find(n zoneName) (*time.Location, error) {
	z.mu.RLock()
	where, ok := z.found[n]
	z.mu.RUnlock()
	if ok {
		return where, nil
	}
	where, err := location(n.kind, n.name)
	if err != nil {
		return nil, err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.found == nil {
		z.found = map[zoneName]*time.Location{}
	}
	z.found[zoneName{strings.Clone(n.kind), strings.Clone(n.name)}] = where // not the whole list with it
	return where, nil
}

func location(kind, zone string) (*time.Location, error) {
	switch kind {
	case "1":
		t, err := time.Parse("-07:00", zone)
		if err != nil {
			if t, err = time.Parse("-07:00:00", zone); err != nil {
				return nil, err
			}
		}
		_, offset := t.Zone()
		return time.FixedZone("", offset), nil
	case "2":
		minutes, ok := abbreviations[strings.ToUpper(zone)]
		if !ok {
			return nil, fmt.Errorf("time zone %q is not known", zone)
		}
		return time.FixedZone("", minutes*60), nil
	case "3":
		if zone == "" || zone == "Local" {
			return nil, fmt.Errorf("no time zone is named %q", zone)
		}
		return time.LoadLocation(zone)
	}
	return nil, fmt.Errorf("time zone type %q is not known", kind)
}

// epoch reads whole seconds since 1970, also as text. A new text belongs to b, if there is one.
func epoch(b *record.Batch, v record.Value) (record.Value, bool) {
	switch v.Kind() {
	case record.Null, record.Absent:
		return v, true
	case record.Text:
		if strings.TrimSpace(v.Text()) == "" {
			return v, true
		}
	case record.Number:
	default:
		return record.TextOf(v.Text()), false
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(v.Text(), ".0"), 10, 64)
	if err != nil || n < -62_135_596_800 || n > 250_000_000_000 {
		return record.TextOf(v.Text()), false
	}
	return instant(b, time.Unix(n, 0)), true
}

// instant is a point in time in UTC: what the time package formats fastest, and without a text of its own.
func instant(b *record.Batch, t time.Time) record.Value {
	var room [len(time.RFC3339Nano)]byte
	return record.Of(record.DateTime, kept(b, t.UTC().AppendFormat(room[:0], time.RFC3339Nano)))
}

// kept returns a text that was put together for a batch, among the others of the batch. Without one it stands alone.
func kept(b *record.Batch, text []byte) string {
	if b == nil {
		return string(text)
	}
	return b.Text(text)
}

// seconds turns a point in time of a file into whole seconds since 1970: RFC 3339, a day, a local time (taken as
// UTC), or the number itself.
func seconds(v record.Value) (string, bool) {
	s := strings.TrimSpace(v.Text())
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return s, true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return strconv.FormatInt(t.Unix(), 10), true
		}
	}
	return "", false
}
