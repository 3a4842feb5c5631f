package delivery

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

func TestEachRow(t *testing.T) {
	b := &record.Batch{}
	for i, fate := range []record.Fate{record.Pending, record.Rejected, record.Doubt, record.Skipped, record.Accepted, record.Pending} {
		*b.Add() = record.Row{Num: int64(i + 1), Fate: fate}
	}
	var got []int64
	see := func(row *record.Row) error { got = append(got, row.Num); return nil }
	if err := EachRow(b, see); err != nil || !slices.Equal(got, []int64{1, 3, 6}) {
		t.Errorf("rows %v, error %v; want the open ones, 1, 3 and 6", got, err)
	}
	got = nil
	bad := errors.New("bad")
	err := EachRow(b, func(row *record.Row) error {
		if row.Num == 3 {
			return bad
		}
		return see(row)
	})
	if !errors.Is(err, bad) || !slices.Equal(got, []int64{1}) {
		t.Errorf("rows %v, error %v; want an end at row 3", got, err)
	}
}

// bySingles is a sink of calls: all but Write is the courier's.
type bySingles struct{ *Courier }

func (bySingles) Write(context.Context, *record.Batch) error { return nil }

var _ pipeline.Sink = bySingles{}
