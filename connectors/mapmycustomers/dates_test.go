package mapmycustomers

import (
	"strings"
	"testing"
	"time"

	"github.com/crmetl/crmetl/record"
)

// spelled is the form that a point in time has in a file.
const spelled = "2006-01-02T15:04:05.999999999Z"

// FuzzInstant holds the form of a point in time against the time package's own layouts, and looks that a batch keeps the
// texts of all of them.
func FuzzInstant(f *testing.F) {
	for _, s := range []int64{0, -1, 1464295966, -62_135_596_800, -62_167_219_201, 250_000_000_000, 253_402_300_799, 253_402_300_800, 1 << 40} {
		f.Add(s, int64(0))
		f.Add(s, int64(123_450_000))
	}
	f.Fuzz(func(t *testing.T, seconds, nanos int64) {
		at := time.Unix(seconds%(1<<45), nanos%1_000_000_000)
		want := at.UTC().Format(spelled)
		b := &record.Batch{}
		first := instant(b, at)
		second, alone := instant(b, at.Add(time.Hour)), instant(nil, at)
		if first.Kind() != record.DateTime || first.Text() != want || alone != first {
			t.Errorf("%d, %d: %q and %q, want %q", seconds, nanos, first.Text(), alone.Text(), want)
		}
		if want := at.Add(time.Hour).UTC().Format(spelled); second.Text() != want {
			t.Errorf("%d, %d: %q an hour later, want %q", seconds, nanos, second.Text(), want)
		}
	})
}

// FuzzMoment holds the quick way of dates in UTC against the way that all others go.
func FuzzMoment(f *testing.F) {
	for _, s := range []string{"2016-05-21 02:27:42", "2016-05-21 02:27:42.000000", "2016-05-31 23:59:59.999999", "2016-02-29 00:00:00.5", "2016-02-30 00:00:00", "0000-01-01 00:00:00",
		"2016-05-21T02:27:42", "2016-05-21 24:00:00", "2016-05-21 02:27:60", "2016-05-21 02:27:42.000000.000000", "2016-05-21 02:27", ""} {
		f.Add(s)
	}
	var z zones
	f.Fuzz(func(t *testing.T, date string) {
		date = strings.ToValidUTF8(date, "\ufffd")
		for _, zone := range []zoneName{{"1", "+00:00"}, {"2", "Z"}, {"2", "UTC"}, {"3", "UTC"}} {
			text := string(append(record.AppendString([]byte(`{"date":`), date), `,"timezone_type":`+zone.kind+`,"timezone":"`+zone.name+`"}`...))
			want, wantOK := text, false
			if at, err := z.php(date, zone.kind, zone.name); err == nil {
				want, wantOK = at.UTC().Format(spelled), true
			}
			for _, b := range []*record.Batch{nil, {}} {
				if got, ok := z.moment(b, record.Of(record.JSON, text)); ok != wantOK || got.Text() != want {
					t.Errorf("%s: %q, %v; want %q, %v", text, got.Text(), ok, want, wantOK)
				}
			}
		}
	})
}

// TestMomentAllocations reads the times of a record into a batch, where they must not cost an allocation each.
func TestMomentAllocations(t *testing.T) {
	var z zones
	values := []record.Value{
		record.Of(record.JSON, `{"date":"2016-05-21 02:27:42.000000","timezone_type":3,"timezone":"UTC"}`),
		record.Of(record.JSON, `{"date":"2016-05-21 02:27:42","timezone_type":2,"timezone":"Z"}`),
		record.Of(record.JSON, `{"date":"2016-05-21 02:27:42.123450","timezone_type":3,"timezone":"America/New_York"}`),
		record.Of(record.JSON, `{"date":"2016-05-21 02:27:42.000000","timezone_type":1,"timezone":"+05:30"}`),
		record.NumberOf("1464295966"),
		record.TextOf("2016-05-21T02:27:42Z"),
	}
	b := &record.Batch{}
	const each = 1000
	n := testing.AllocsPerRun(3, func() {
		for range each {
			for _, v := range values {
				if _, ok := z.moment(b, v); !ok {
					t.Fatalf("%s is not understood", v.Text())
				}
			}
		}
	})
	if n /= float64(each * len(values)); n > 0.01 {
		t.Errorf("%.3f allocations a time", n)
	}
}
