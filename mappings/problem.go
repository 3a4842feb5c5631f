package mappings

import (
	"fmt"
	"sort"
	"strings"
)

// Problem is one thing that is wrong with a mapping.
type Problem struct {
	File         string // "" if no file is involved
	Line, Column int    // from 1, in characters; 0 if the problem has no place
	Message      string
	Hint         string // what would be right: "did you mean first_name?"
}

// String returns the problem as one line: file:line:column: message (hint).
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	b.WriteString(strings.ReplaceAll(p.Message, "\n", " "))
	if p.Hint != "" {
		fmt.Fprintf(&b, " (%s)", strings.ReplaceAll(p.Hint, "\n", " "))
	}
	return b.String()
}

// Problems is the error of a mapping: everything that is wrong, in the order of the file.
type Problems []Problem

// Error returns one line a problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// err returns the problems in file order, each once, or nil if there are none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	sort.SliceStable(ps, func(i, j int) bool {
		if ps[i].Line != ps[j].Line {
			return ps[i].Line < ps[j].Line
		}
		return ps[i].Column < ps[j].Column
	})
	out := ps[:0:0]
	for i, p := range ps {
		if i == 0 || p != ps[i-1] {
			out = append(out, p)
		}
	}
	return out
}

// finder collects problems of one file.
type finder struct {
	file     string
	problems Problems
}

func (f *finder) add(at place, hint, format string, args ...any) {
	f.problems = append(f.problems, Problem{File: f.file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// didYouMean is the hint for a wrong name, "" if no right one is near.
func didYouMean(nearest string) string {
	if nearest == "" {
		return ""
	}
	return "did you mean " + nearest + "?"
}
