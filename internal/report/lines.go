package report

import (
	"strconv"
	"strings"

	"github.com/crmetl/crmetl/record"
)

// The columns that crmetl adds to the user's own.
const (
	colRow    = "_row"
	colAction = "_action"
	colID     = "_id"
	colField  = "_field"
	colRule   = "_rule"
	colError  = "_error"
)

// ownColumns are never taken over from the input: a file that crmetl wrote and that is read again brings last time's.
var ownColumns = []string{colRow, colAction, colID, colField, colRule, colError}

// Lines renders rows as lines of a result file: comma-separated, UTF-8, lines end with LF, quotes where they are needed,
// or where the input has them. Each line has the cells of the input as they were read, under the input's own header, and
// the columns that crmetl adds at the end.
//
// A row with too few cells gets empty ones. A row with too many keeps the ones beyond the last column too: in _error,
// as there is no column for them and the header, once written, stands. It is not safe for many goroutines.
type Lines struct {
	keep  []int // the input's columns that are repeated
	names []string
	width int // columns of the input
	own   []string
}

// AcceptedLines renders lines of success.csv.
func AcceptedLines(origin *record.Header) *Lines { return newLines(origin, colRow, colAction, colID) }

// RefusedLines renders lines of rejected.csv and unsure.csv.
func RefusedLines(origin *record.Header) *Lines {
	return newLines(origin, colRow, colField, colRule, colError)
}

func newLines(origin *record.Header, own ...string) *Lines {
	l := &Lines{width: origin.Len(), own: own}
	for i := range origin.Len() {
		name := origin.Name(i)
		mine := false
		for _, o := range ownColumns {
			mine = mine || name == o
		}
		if !mine {
			l.keep = append(l.keep, i)
			l.names = append(l.names, name)
		}
	}
	return l
}

// columns returns how many cells a line has.
func (l *Lines) columns() int { return len(l.keep) + len(l.own) }

// AppendHeader appends the header line.
func (l *Lines) AppendHeader(dst []byte) []byte {
	for _, n := range l.names {
		dst = appendCell(dst, n)
	}
	dst = append(dst, strings.Join(l.own, ",")...)
	return append(dst, '\n')
}

// Append appends the line of a row.
func (l *Lines) Append(dst []byte, row *record.Row) []byte {
	if len(l.keep) == l.width && row.Text != "" && len(row.Origin) == l.width && copyable(row.Origin) {
		dst = append(append(dst, row.Text...), ',')
	} else {
		dst = appendCells(dst, row.Origin, l.keep)
	}
	dst = append(strconv.AppendInt(dst, row.Num, 10), ',')
	if l.own[1] == colAction {
		dst = appendCell(appendCell(dst, row.Action), row.ID)
	} else {
		dst = l.appendWhy(dst, row)
	}
	dst[len(dst)-1] = '\n'
	return dst
}

// appendWhy appends why a row is refused or unsure: the field and the rule of its first problem, and all that is said.
func (l *Lines) appendWhy(dst []byte, row *record.Row) []byte {
	problems := record.ProblemsOf(row.Err)
	var first record.Problem
	if len(problems) > 0 {
		first = problems[0]
	}
	message := ""
	if row.Err != nil {
		message = row.Err.Error()
	}
	if extra := l.extra(row); extra != "" {
		if message != "" {
			message += "; "
		}
		message += "cells beyond the last column: " + extra
	}
	return appendCell(appendCell(appendCell(dst, fieldOf(first)), first.Rule), message)
}

// fieldOf names what a problem is about: the field, or the column if no field is meant.
func fieldOf(p record.Problem) string {
	if p.Field == "" {
		return p.Column
	}
	return p.Field
}

// extra returns the cells beyond the header, as they would stand in a line, or "" if there is nothing in them.
func (l *Lines) extra(row *record.Row) string {
	end := len(row.Origin)
	for end > l.width && row.Origin[end-1].Cell() == "" {
		end--
	}
	var dst []byte
	for i := l.width; i < end; i++ {
		dst = appendCells(dst, row.Origin, []int{i})
	}
	return strings.TrimSuffix(string(dst), ",")
}
