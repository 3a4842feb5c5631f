package mycrm

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// maxOddPairs is how many pairs of a channel and a source are told of that do not seem to go together.
const maxOddPairs = 10

// Check returns the step that refuses what the table can't say: locations that are none, and channels that no source
// but other has. A channel that seems to belong to another source is only told of, each pair once, as the document does
// not say which belong to which. Where a time frame was refused since a spreadsheet has made a date of it, it says so.
func Check(object string, load schema.Load) (pipeline.Step, error) {
	if load.Header == nil || object != leads {
		return nil, nil // there is nothing to check
	}
	return &check{load: load, location: regexp.MustCompile(`^[a-z]{3}(\.\d+)+$`), odd: map[string]bool{}, frame: load.Header.Index("time_frame"),
		locations: load.Header.Index("preference.locations"), source: load.Header.Index("source"), channel: load.Header.Index("source_channel")}, nil
}

type check struct {
	load                              schema.Load
	location                          *regexp.Regexp
	locations, source, channel, frame int

	mu  sync.Mutex
	odd map[string]bool // pairs of a channel and a source that were told of
}

// Apply refuses rows with bad locations or channels.
func (c *check) Apply(b *record.Batch) error {
	if c.locations < 0 && c.channel < 0 && c.frame < 0 {
		return nil
	}
	for i := range b.Rows {
		row := &b.Rows[i]
		if row.Fate == record.Rejected && c.frame >= 0 {
			explainDates(row, b.Origin)
		}
		if row.Fate != record.Pending {
			continue
		}
		if items, ok := cell(row, c.locations).Items(); ok {
			for _, t := range items {
				if !c.location.MatchString(t) {
					row.Reject(record.Problem{Field: "preference.locations", Rule: "location",
						Message: fmt.Sprintf("%q is no id of a location; one is written like are.2.15", t)})
				}
			}
		}
		c.checkChannel(row)
	}
	return nil
}

func (c *check) checkChannel(row *record.Row) {
	text := strings.TrimSpace(cell(row, c.channel).Text())
	source := strings.TrimSpace(cell(row, c.source).Text())
	if text == "" || source == "" || source == "other" {
		return
	}
	text = spellChannel(text)
	var all []string
	home := ""
	for _, s := range sources() {
		all = append(all, channelsOf()[s]...)
		if slices.Contains(channelsOf()[s], text) {
			home = s
		}
	}
	switch {
	case home == "":
		row.Reject(record.Problem{Field: "source_channel", Rule: "oneof",
			Message: fmt.Sprintf("%q is no channel; with the source %s it must be one of %s (any text goes with the source other)", text, source, strings.Join(all, ", "))})
	case home != source && c.load.Warn != nil && c.tell(text+"\x00"+source):
		c.load.Warn(fmt.Sprintf("the channel %s seems to belong to the source %s, and a row has it with %s; it is sent as it is", text, home, source))
	}
}

// tell reports whether a pair is to be told of: rows are looked at before the run and in it, and there may be many pairs.
func (c *check) tell(pair string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.odd[pair] || len(c.odd) == maxOddPairs {
		return false
	}
	c.odd[strings.Clone(pair)] = true
	return true
}

// explainDates adds to the refusal of a time frame what has become of it, if the cell holds a date.
func explainDates(row *record.Row, origin *record.Header) {
	var problems record.Problems
	if origin == nil || !errors.As(row.Err, &problems) {
		return
	}
	for i, p := range problems {
		if p.Field != "time_frame" {
			continue
		}
		column := p.Column
		if column == "" {
			column = p.Field
		}
		v := cell(&record.Row{Values: row.Origin}, origin.Index(column))
		at, dated := dateOf(v)
		if !dated {
			continue
		}
		was := "a time frame such as 1-3"
		if frame := frameOf(at); frame != "" {
			was = frame
		}
		problems = slices.Clone(problems)
		problems[i].Message = fmt.Sprintf("%q is a date, which a spreadsheet has made of %s: format the column as text and enter it again; it is one of %s", v.Cell(), was, strings.Join(timeFrames(), ", "))
		row.Err = problems
	}
}

// dateOf reads a cell as the date that a spreadsheet may have made of a time frame.
func dateOf(v record.Value) (time.Time, bool) {
	text := strings.TrimSpace(v.Text())
	if v.Kind() == record.Date || v.Kind() == record.DateTime {
		text = text[:min(len(text), len(time.DateOnly))]
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2-Jan", "Jan-2", "2-Jan-06", "2-Jan-2006", "2 Jan", "Jan 2", "2 Jan 2006", "2/1/2006", "1/2/2006", "2.1.2006", "2/1/06", "1/2/06"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// frameOf is the time frame whose two numbers are the day and the month of a date, "" if there is none.
func frameOf(t time.Time) string {
	day, month := t.Day(), int(t.Month())
	if frame := fmt.Sprintf("%d-%d", min(day, month), max(day, month)); slices.Contains(timeFrames(), frame) {
		return frame
	}
	return ""
}
