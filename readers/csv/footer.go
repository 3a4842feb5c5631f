package csv

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/crmetl/crmetl/pipeline"
	"github.com/crmetl/crmetl/record"
)

// lastChunk marks the chunk behind which nothing follows.
type lastChunk struct{}

// maxFooters is how many lines at the end may close a table.
const maxFooters = 6

// Foot looks at the rows of a chunk, if it is the file's last, for lines that close the table: totals, counts, who made
// the report and when. They are no records. With refuse they become rejected rows with the rule "footer"; without, they
// stay rows. It returns a sentence about them, "" if there are none.
func (r *Reader) Foot(c *pipeline.Chunk, b *record.Batch, refuse bool) string {
	if _, last := c.Extra.(lastChunk); !last || r.header.Len() < 2 {
		return ""
	}
	n, first := 0, ""
	var line int64
	for i := len(b.Rows) - 1; i >= 0 && n < maxFooters; i-- {
		row := &b.Rows[i]
		word, empty := footer(row.Origin, r.header.Len())
		if empty {
			continue
		}
		if word == "" {
			break
		}
		n, first, line = n+1, word, row.Line
		if refuse {
			row.Err, row.Fate = nil, record.Pending
			row.Reject(record.Problem{Rule: "footer", Message: fmt.Sprintf("the line %q closes the table and is no record of it", clip(word))})
		}
	}
	switch {
	case n == 0:
		return ""
	case n == 1:
		return fmt.Sprintf("footer: line %d (%q) closes the table and is no record of it", line, clip(first))
	}
	return fmt.Sprintf("footer: the last %d lines, from line %d (%q) on, close the table and are no records of it", n, line, clip(first))
}

var (
	totalForm = regexp.MustCompile(`(?i)^(\*+ *)?((grand|sub|overall|sum)[- ]?)?(totals?|summe|gesamt(summe)?|zwischensumme|insgesamt|suma|somme|totale|total g[eé]n[eé]ral|totaal|toplam|razem|celkem|итого|всего|المجموع|الإجمالي|الاجمالي|合計|合计|总计|總計|小计|小計|총계|합계)( *\*+)?( *[:=(] *[-0-9., ()]*)?$`)
	closeForm = regexp.MustCompile(`(?i)^(-+ ?)?(end of (the )?(report|file|list|data|table|export)|(this )?(report|file|list|export)( was)? (generated|created|run|exported|produced)\b.*|(generated|created|exported|printed|produced|downloaded) (by|on|at|from|with)\b.*|\(?[0-9][0-9.,]* (rows?|records?|entries|results?|contacts?|leads?|customers?|lines?)( (affected|selected|found|exported|returned|in total|total))?\)?\.?|(number of |total |row |record )?(rows?|records?|count|entries|results?)( count)? ?[:=] ?[0-9][0-9.,]*|copyright\b.*|©.*|confidential( information)?\b.*)( ?-+)?$`)
	numeric   = regexp.MustCompile(`^[-+(]?[\p{Sc}A-Z]{0,3} ?[-0-9][0-9.,' \x{a0}]*\)? ?[%\p{Sc}A-Z]{0,3}$`)
)

// footer returns what tells that a row closes a table, "" if nothing does. empty means that the row has no text.
func footer(cells []record.Value, columns int) (word string, empty bool) {
	filled, numbers, at := 0, 0, -1
	for i, v := range cells {
		s := strings.TrimSpace(v.Text())
		if s == "" {
			continue
		}
		if filled++; at < 0 {
			at = i
			continue
		}
		if numeric.MatchString(s) {
			numbers++
		}
	}
	if filled == 0 {
		return "", true
	}
	s := strings.TrimSpace(cells[at].Text())
	if len(s) > 200 || filled >= columns && columns > 2 || filled != numbers+1 {
		return "", false
	}
	if totalForm.MatchString(s) && (numbers > 0 || len(cells) != columns || strings.ContainsAny(s, "0123456789:")) || filled == 1 && closeForm.MatchString(s) {
		return s, false
	}
	return "", false
}
