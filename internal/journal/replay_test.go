package journal

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// step is one thing that a run tells its journal; the tables below are made of them.
type step func(t *testing.T, j *Journal)

func sending(rows ...int64) step {
	return func(t *testing.T, j *Journal) {
		var rs []*record.Row
		for _, n := range rows {
			rs = append(rs, row(n))
		}
		if _, err := j.Sending("POST /x", rs...); err != nil {
			t.Error(err)
		}
	}
}

func undone(call int64) step {
	return func(t *testing.T, j *Journal) {
		if err := j.Undone(call, "429"); err != nil {
			t.Error(err)
		}
	}
}

func settled(call int64, fate record.Fate, rows ...int64) step {
	return func(t *testing.T, j *Journal) {
		var rs []*record.Row
		for _, n := range rows {
			r := row(n)
			switch r.Fate = fate; fate {
			case record.Accepted:
				r.Action, r.ID = "created", fmt.Sprint("id", n)
			case record.Rejected:
				r.Err = record.Problems{{Field: "f", Column: "c", Rule: "vendor", Message: "no"}, {Message: "and no"}}
			case record.Unsure:
				r.Err = errors.New("no answer")
			}
			rs = append(rs, r)
		}
		if err := j.Settled(call, "note", rs...); err != nil {
			t.Error(err)
		}
	}
}

func checkpoint(final, unsure *roaring64.Bitmap) step {
	return func(t *testing.T, j *Journal) {
		c := pipeline.Counts{Read: int64(final.GetCardinality() + unsure.GetCardinality())}
		if err := j.Checkpoint(final, unsure, c, []byte("{}")); err != nil {
			t.Error(err)
		}
	}
}

func TestRecall(t *testing.T) {
	none := bitmap()
	tests := map[string]struct {
		steps []step
		want  pipeline.Recall
		fate  record.Fate
	}{
		"never seen":                     {nil, pipeline.Fresh, record.Pending},
		"sent":                           {[]step{sending(1)}, pipeline.Unknown, record.Pending},
		"sent with others":               {[]step{sending(5, 1, 2, 3)}, pipeline.Unknown, record.Pending},
		"no effect":                      {[]step{sending(1), undone(1)}, pipeline.Fresh, record.Pending},
		"sent again after no effect":     {[]step{sending(1), undone(1), sending(1)}, pipeline.Unknown, record.Pending},
		"first call open, second undone": {[]step{sending(1), sending(1), undone(2)}, pipeline.Unknown, record.Pending},
		"both undone, the later first":   {[]step{sending(1), sending(1), undone(2), undone(1)}, pipeline.Fresh, record.Pending},
		"accepted":                       {[]step{sending(1), settled(1, record.Accepted, 1)}, pipeline.Settled, record.Accepted},
		"rejected":                       {[]step{sending(1), settled(1, record.Rejected, 1)}, pipeline.Settled, record.Rejected},
		"unsure":                         {[]step{sending(1), settled(1, record.Unsure, 1)}, pipeline.Unknown, record.Pending},
		"settled without a call":         {[]step{settled(0, record.Unchanged, 1)}, pipeline.Settled, record.Unchanged},
		"the first try settles it":       {[]step{sending(1), sending(1), settled(1, record.Accepted, 1), undone(2)}, pipeline.Settled, record.Accepted},
		"a lookup after a lost call":     {[]step{sending(1), settled(0, record.Accepted, 1)}, pipeline.Settled, record.Accepted},
		"the rest of a call is open":     {[]step{sending(1, 2), settled(1, record.Accepted, 2)}, pipeline.Unknown, record.Pending},
		"fate still open is no fate":     {[]step{sending(1), settled(1, record.Doubt, 1)}, pipeline.Unknown, record.Pending},
		"sent again after its fate":      {[]step{settled(0, record.Rejected, 1), sending(1)}, pipeline.Unknown, record.Pending},
		"accepted, then sent and undone": {[]step{sending(1), settled(1, record.Accepted, 1), sending(1), undone(2)}, pipeline.Settled, record.Accepted},
		"accepted, sent, half undone":    {[]step{settled(0, record.Accepted, 1), sending(1), sending(1), undone(2)}, pipeline.Unknown, record.Pending},
		"unsure, then sent and undone":   {[]step{sending(1), settled(1, record.Unsure, 1), sending(1), undone(2)}, pipeline.Unknown, record.Pending},
		"unsure, then accepted":          {[]step{sending(1), settled(1, record.Unsure, 1), settled(0, record.Accepted, 1)}, pipeline.Settled, record.Accepted},
		"retired":                        {[]step{sending(1), settled(1, record.Accepted, 1), checkpoint(bitmap(1), none)}, pipeline.Retired, record.Pending},
		"retired without a call":         {[]step{checkpoint(bitmap(1, 2, 3), none)}, pipeline.Retired, record.Pending},
		"retired unsure":                 {[]step{sending(1), settled(1, record.Unsure, 1), checkpoint(none, bitmap(1))}, pipeline.Unknown, record.Pending},
		"retired unsure, never settled":  {[]step{sending(1), checkpoint(none, bitmap(1))}, pipeline.Unknown, record.Pending},
		"unsure and retired, then tried": {[]step{checkpoint(none, bitmap(1)), sending(1)}, pipeline.Unknown, record.Pending},
		"unsure and retired, no effect":  {[]step{checkpoint(none, bitmap(1)), sending(1), undone(1)}, pipeline.Unknown, record.Pending},
		"unsure and retired, accepted":   {[]step{checkpoint(none, bitmap(1)), sending(1), settled(1, record.Accepted, 1)}, pipeline.Settled, record.Accepted},
		"unsure, accepted, retired":      {[]step{checkpoint(none, bitmap(1)), settled(0, record.Accepted, 1), checkpoint(bitmap(1), none)}, pipeline.Retired, record.Pending},
		"another row is retired":         {[]step{sending(1, 2), checkpoint(bitmap(2), none)}, pipeline.Unknown, record.Pending},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			j, dir := create(t, Options{Sync: noSync})
			for _, s := range tt.steps {
				s(t, j)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			// Twice: what is read once must read the same after a second opening.
			for range 2 {
				j, err := Options{Sync: noSync}.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				r := row(1)
				if got := j.Recall(r); got != tt.want || r.Fate != tt.fate {
					t.Errorf("Recall = %v, %v; want %v, %v", got, r.Fate, tt.want, tt.fate)
				}
				if len(j.past.rows) > 0 && tt.want == pipeline.Retired {
					t.Errorf("%d rows are still held", len(j.past.rows))
				}
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestLateRowsStayLate settles rows of which another call has no outcome: whatever becomes of them, it may still be on its
// way, and who takes the run up must know. A nil step is the death of the process.
func TestLateRowsStayLate(t *testing.T) {
	none := bitmap()
	tests := map[string]struct {
		steps []step
		want  pipeline.Recall
		late  bool
	}{
		"never seen":                        {nil, pipeline.Fresh, false},
		"answered":                          {[]step{sending(1), settled(1, record.Accepted, 1)}, pipeline.Settled, false},
		"answered, another pass":            {[]step{sending(1), settled(1, record.Accepted, 1), nil}, pipeline.Settled, false},
		"answered and retired":              {[]step{sending(1), settled(1, record.Accepted, 1), checkpoint(bitmap(1), none)}, pipeline.Retired, false},
		"no effect":                         {[]step{sending(1), undone(1)}, pipeline.Fresh, false},
		"broke off, sent again":             {[]step{sending(1, 2), sending(1), settled(2, record.Accepted, 1)}, pipeline.Settled, true},
		"broke off, sent again, retired":    {[]step{sending(1), sending(1), settled(2, record.Accepted, 1), checkpoint(bitmap(1), none)}, pipeline.Retired, true},
		"broke off, found":                  {[]step{sending(1), settled(0, record.Accepted, 1)}, pipeline.Settled, true},
		"broke off, given up":               {[]step{sending(1), settled(0, record.Unsure, 1), checkpoint(none, bitmap(1)), settled(0, record.Accepted, 1)}, pipeline.Settled, true},
		"died, sent again":                  {[]step{sending(1), nil, sending(1), settled(2, record.Accepted, 1)}, pipeline.Settled, true},
		"died, sent again, retired":         {[]step{sending(1), nil, sending(1), settled(2, record.Accepted, 1), checkpoint(bitmap(1), none)}, pipeline.Retired, true},
		"died, sent again, died again":      {[]step{sending(1), nil, sending(1), settled(2, record.Accepted, 1), nil, checkpoint(bitmap(1), none), nil}, pipeline.Retired, true},
		"died, not there":                   {[]step{sending(1), nil, undone(1)}, pipeline.Fresh, true},
		"died, and then it was another row": {[]step{sending(2), nil, sending(1), settled(2, record.Accepted, 1)}, pipeline.Settled, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			j, dir := create(t, Options{Sync: noSync})
			for _, s := range append(tt.steps, nil) {
				if s != nil {
					s(t, j)
					continue
				}
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				var err error
				if j, err = (Options{Sync: noSync}).Open(dir); err != nil {
					t.Fatal(err)
				}
			}
			r := row(1)
			if got := j.Recall(r); got != tt.want || r.Late != tt.late {
				t.Errorf("Recall = %v, late %v; want %v, %v", got, r.Late, tt.want, tt.late)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestSettledComesBack holds what a settled row reads back as against what was told.
func TestSettledComesBack(t *testing.T) {
	j, dir := create(t, Options{Sync: noSync})
	long := strings.Repeat("x", 200)
	told := []*record.Row{
		{Num: 7, Fate: record.Accepted, Action: "created", ID: "a"},
		{Num: 8, Fate: record.Accepted, Action: "created", ID: "ü\x00"},
		{Num: 9, Fate: record.Accepted, Action: "created"},
		{Num: 10, Fate: record.Accepted, Action: long},
		{Num: 3, Fate: record.Rejected, Err: record.Problems{{Field: "f", Column: long, Rule: "max", Message: "too\nlong"}, {Rule: "r"}}},
		{Num: 4, Fate: record.Rejected, Err: record.Problems{{Field: "f", Column: long, Rule: "max", Message: "too\nlong"}, {Rule: "r"}}},
		{Num: 5, Fate: record.Rejected, Err: errors.New("plain")},
		{Num: 6, Fate: record.Rejected},
		{Num: 1 << 40, Fate: record.Skipped},
	}
	if err := j.Settled(0, "found", told...); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	for _, want := range told {
		got := &record.Row{Num: want.Num}
		if r := j.Recall(got); r != pipeline.Settled {
			t.Fatalf("row %d: Recall = %v", want.Num, r)
		}
		if got.Fate != want.Fate || got.Action != want.Action || got.ID != want.ID || (got.Err == nil) != (want.Err == nil) {
			t.Errorf("row %d: got %+v, want %+v", want.Num, got, want)
		}
		if diff := cmp.Diff(record.ProblemsOf(want.Err), record.ProblemsOf(got.Err)); diff != "" {
			t.Errorf("row %d: %s", want.Num, diff)
		}
	}
}
