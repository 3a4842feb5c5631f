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

// Lines renders rows as lines of a result file: comma-separated, UTF-8, lines end with LF, quotes only where they are
// needed. Each line has the cells of the input as they were read, under the input's own header, and the columns that
// crmetl adds at the end.
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
		dst = append(appendCell(dst, n), ',')
	}
	dst = append(dst, strings.Join(l.own, ",")...)
	return append(dst, '\n')
}

// Append appends the line of a row.
func (l *Lines) Append(dst []byte, row *record.Row) []byte {
	for _, i := range l.keep {
		if i < len(row.Origin) {
			if v := &row.Origin[i]; v.Kind() == record.Text {
				dst = appendCell(dst, v.Text())
			} else {
				dst = appendCell(dst, v.Cell())
			}
		}
		dst = append(dst, ',')
	}
	dst = strconv.AppendInt(dst, row.Num, 10)
	if l.own[1] == colAction {
		dst = appendCell(append(dst, ','), row.Action)
		dst = appendCell(append(dst, ','), row.ID)
		return append(dst, '\n')
	}
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
	dst = appendCell(append(dst, ','), fieldOf(first))
	dst = appendCell(append(dst, ','), first.Rule)
	dst = appendCell(append(dst, ','), message)
	return append(dst, '\n')
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
		if i > l.width {
			dst = append(dst, ',')
		}
		dst = appendCell(dst, row.Origin[i].Cell())
	}
	return string(dst)
}

// appendCell appends one cell, in quotes if it would not read back otherwise. Every cell of every result file passes
// through here.
func appendCell(dst []byte, s string) []byte {
	if !needsQuotes(s) {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			break
		}
		dst = append(append(dst, s[:i+1]...), '"')
		s = s[i+1:]
	}
	return append(append(dst, s...), '"')
}

// needsQuotes also says so for blanks at the ends, which some readers trim when they stand bare, and for a leading
// byte order mark or '#', which some take for something else than data.
func needsQuotes(s string) bool {
	if s == "" {
		return false
	}
	if s[0] == ' ' || s[0] == '\t' || s[0] == '#' || strings.HasPrefix(s, "\uFEFF") {
		return true
	}
	if last := s[len(s)-1]; last == ' ' || last == '\t' {
		return true
	}
	for len(s) >= 8 {
		if maySpecial(s) {
			return anySpecial(s)
		}
		s = s[8:]
	}
	return anySpecial(s)
}

func anySpecial(s string) bool {
	for i := 0; i < len(s); i++ {
		if special[s[i]] {
			return true
		}
	}
	return false
}

// maySpecial reports whether there may be a special byte among the first eight: if there is none, none of the differences
// has a byte that is zero.
func maySpecial(s string) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	_ = s[7]
	w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	x, y, z, v := w^','*ones, w^'"'*ones, w^'\r'*ones, w^'\n'*ones
	return ((x-ones)&^x|(y-ones)&^y|(z-ones)&^z|(v-ones)&^v)&tops != 0
}

// special are the bytes that do not stand bare in a cell.
var special = [256]bool{',': true, '"': true, '\r': true, '\n': true}
