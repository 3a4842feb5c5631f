package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/crmetl/crmetl/internal/columns"
	"github.com/crmetl/crmetl/internal/report"
	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// survey is what one pass over a file learns before the first row is sent: how many rows would go, where groups end,
// and whether the file can be read to its end at all.
type survey struct {
	records int64            // calls' worth of rows: groups counted once; of a file without groups, rows that can be read
	total   int64            // rows read
	groups  map[uint64]*span // by hash of the group's key
	profile *columns.Profile // of the first rows
}

// span is the part of the file that a group takes.
type span struct {
	last int64
	bad  bool
}

// look passes over the whole source without sending anything.
func look(ctx context.Context, src pipeline.Source, r *recipe, skip, limit int64) (*survey, error) {
	s := &survey{}
	grouped := r.program.GroupBy() != ""
	if grouped {
		s.groups = map[uint64]*span{}
	}
	steps := r.steps
	if !grouped {
		steps = nil // whether the file can be read to its end, and how many rows it has, needs no mapping
	}
	_, err := pipeline.Run(ctx, src, steps, sinkFunc(plan), pipeline.Options{Skip: skip, Limit: limit, Retire: func(b *record.Batch) error {
		for i := range b.Rows {
			row := &b.Rows[i]
			s.total = row.Num
			s.watch(r, row)
			if grouped && row.Fate != record.Skipped {
				if key := r.program.GroupKey(row); key != "" {
					s.member(xxh3.HashString(key), row)
					continue
				}
			}
			if row.Fate == record.Accepted {
				s.records++
			}
		}
		return nil
	}})
	for _, g := range s.groups {
		// A group with a refused row is refused whole; see pipeline.Grouping.
		if !g.bad {
			s.records++
		}
	}
	return s, err
}

// watched is how many lines damage is looked for in: a column that a spreadsheet damaged shows it early.
const watched = 20_000

// watch looks at the columns of the first rows.
func (s *survey) watch(r *recipe, row *record.Row) {
	if row.Line > watched || row.Origin == nil {
		return
	}
	if s.profile == nil {
		s.profile = columns.New(r.origin.Names())
	}
	s.profile.Add(row.Origin)
}

// tellDamage names what a spreadsheet did to columns that the recipe reads, and what those leave open, before the first
// call.
func (a *app) tellDamage(src *source, r *recipe, s *survey) {
	if s == nil || s.profile == nil {
		return
	}
	unread := r.program.Unread()
	for _, f := range s.profile.Findings() {
		switch {
		case slices.Contains(unread, f.Name):
		case damage(f.Rule):
			a.warn("%s: %s (rule %s)", src.name, f, f.Rule)
		case f.Open && r.asIs(f.Name, f.Rule):
			a.warn("%s: %s; a mapping says which is meant: crmetl mapping init FILE %s", src.name, f, r.target.name)
		}
	}
}

// asIs reports whether a column goes into a field of numbers, or of dates, without a transform that says how it is
// written.
func (r *recipe) asIs(column, rule string) bool {
	for _, e := range r.mapping.Fields {
		field, ok := r.target.object.Field(e.Field)
		if !ok || len(e.Apply) > 0 || !slices.Contains(e.Columns, column) {
			continue
		}
		switch field.Type {
		case schema.Integer, schema.Number:
			return rule == "decimal_sign"
		case schema.Date, schema.DateTime, schema.Epoch:
			return rule == "date_order"
		}
	}
	return false
}

// plan accepts what a sink would be given.
func plan(b *record.Batch) error {
	for i := range b.Rows {
		if b.Rows[i].Fate.Open() {
			b.Rows[i].Accept("planned", "")
		}
	}
	return nil
}

func (s *survey) member(key uint64, row *record.Row) {
	g := s.groups[key]
	if g == nil {
		g = &span{}
		s.groups[key] = g
	}
	g.last = row.Num
	if row.Fate == record.Rejected {
		g.bad = true
	}
}

// grouping returns how the rows of the recipe come together, or nil.
func (s *survey) grouping(r *recipe) *pipeline.Grouping {
	if s.groups == nil {
		return nil
	}
	return &pipeline.Grouping{Key: r.program.GroupKey, Last: func(key string) int64 {
		if g := s.groups[xxh3.HashString(key)]; g != nil {
			return g.last
		}
		return 0
	}}
}

// requests is how many calls the records take.
func (s *survey) requests(r *recipe, batch int) int64 {
	n := int64(r.target.object.BatchFor(r.mode, r.load.Options))
	if batch > 0 {
		n = min(n, int64(batch))
	}
	return (s.records + n - 1) / n
}

// tally counts rejections by rule and field, with the first row of each.
type tally map[[2]string]*tallied

type tallied struct {
	rows  int64
	first int64
	text  string
}

func (t tally) add(row *record.Row) {
	ps := record.ProblemsOf(row.Err)
	if len(ps) == 0 {
		return
	}
	k := [2]string{ps[0].Rule, ps[0].Field}
	if ps[0].Field == "" {
		k[1] = ps[0].Column
	}
	e := t[k]
	if e == nil {
		e = &tallied{first: row.Num, text: ps[0].String()}
		t[k] = e
	}
	e.rows++
}

// pace says how long so many requests take at a rate: "1 h 9 min at 3 requests/s".
func pace(requests int64, rate float64) string {
	if rate <= 0 {
		return "as fast as the vendor answers"
	}
	return fmt.Sprintf("%s at %g requests/s", duration(time.Duration(float64(requests)/rate*float64(time.Second))), rate)
}

// duration writes a duration as people say it: "42 s", "1 h 9 min", "2 d 3 h".
func duration(d time.Duration) string {
	s := int64(math.Round(d.Seconds()))
	m := int64(math.Round(d.Minutes()))
	h := int64(math.Round(d.Hours()))
	switch {
	case s < 1:
		return "less than a second"
	case s < 120:
		return fmt.Sprintf("%d s", s)
	case m < 60:
		return fmt.Sprintf("%d min", m)
	case m < 48*60:
		return fmt.Sprintf("%d h %d min", m/60, m%60)
	}
	return fmt.Sprintf("%d d %d h", h/24, h%24)
}

// groupingOf is s.grouping for a survey that may not have been made.
func groupingOf(s *survey, r *recipe) *pipeline.Grouping {
	if s == nil {
		return nil
	}
	return s.grouping(r)
}

// list returns the tally as a summary has it, the most frequent first.
func (t tally) list() []report.Rejection {
	list := make([]report.Rejection, 0, len(t))
	for k, e := range t {
		list = append(list, report.Rejection{Rule: k[0], Field: k[1], Rows: e.rows})
	}
	slices.SortFunc(list, func(a, b report.Rejection) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Field, b.Field))
	})
	return list
}
