package report

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxPrinted bounds how many kinds of rejection a person is shown.
const maxPrinted = 10

// Print writes the end of a run for a person: a table that adds up, why rows were refused, where they are, and what
// to do next. dir is the run's folder, "" if it left none.
func Print(w io.Writer, s Summary, dir string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s", s.Command, s.Status)
	if s.StopReason != "" {
		fmt.Fprintf(&b, " (%s)", s.StopReason)
	}
	if s.Source != "" || s.Target != "" {
		fmt.Fprintf(&b, ": %s → %s", orDash(s.Source), orDash(s.Target))
	}
	if s.Mode != "" {
		fmt.Fprintf(&b, " (%s)", s.Mode)
	}
	b.WriteString("\n\n")
	printRows(&b, s.Rows)
	printUse(&b, s)
	if len(s.Rejections) > 0 {
		b.WriteString("\nwhy rows were rejected:\n")
		printRejections(&b, s.Rejections)
	}
	if next := nextSteps(s, dir); len(next) > 0 {
		b.WriteString("\n")
		for _, n := range next {
			b.WriteString(n + "\n")
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func printRows(b *bytes.Buffer, r Rows) {
	width := len(grouped(max(r.Read, r.Written)))
	line := func(name string, n int64) { fmt.Fprintf(b, "  %-10s %*s\n", name, width, grouped(n)) }
	if r.Export {
		line("read", r.Read)
		line("written", r.Written)
		return
	}
	line("accepted", r.Accepted)
	line("rejected", r.Rejected)
	for _, more := range []struct {
		name string
		n    int64
	}{{"unsure", r.Unsure}, {"unchanged", r.Unchanged}, {"skipped", r.Skipped}} {
		if more.n > 0 {
			line(more.name, more.n)
		}
	}
	fmt.Fprintf(b, "  %-10s %s\n", "", strings.Repeat("-", width))
	line("rows read", r.Read)
}

func printUse(b *bytes.Buffer, s Summary) {
	var parts []string
	if s.Requests.Sent > 0 {
		calls := plural(s.Requests.Sent, "request")
		var of []string
		if s.Requests.Retried > 0 {
			of = append(of, grouped(s.Requests.Retried)+" retried")
		}
		if s.Requests.Throttled > 0 {
			of = append(of, grouped(s.Requests.Throttled)+" throttled")
		}
		if len(of) > 0 {
			calls += " (" + strings.Join(of, ", ") + ")"
		}
		parts = append(parts, calls)
	}
	if s.Seconds > 0 {
		parts = append(parts, duration(s.Seconds))
		if s.Rows.Read > 0 && s.Seconds >= 1 {
			parts = append(parts, fmt.Sprintf("%.1f rows/s", float64(s.Rows.Read)/s.Seconds))
		}
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, "\n  %s\n", strings.Join(parts, " · "))
	}
}

func printRejections(b *bytes.Buffer, list []Rejection) {
	shown := list[:min(len(list), maxPrinted)]
	var rows int64
	for _, g := range list[len(shown):] {
		rows += g.Rows
	}
	width, names := 1, 0
	for _, g := range shown {
		width = max(width, len(grouped(g.Rows)))
		names = max(names, utf8.RuneCountInString(oneLine(g.Field)))
	}
	for _, g := range shown {
		name := oneLine(g.Field)
		fmt.Fprintf(b, "  %*s  %s%s  %s\n", width, grouped(g.Rows), name, strings.Repeat(" ", names-utf8.RuneCountInString(name)), orDash(g.Rule))
	}
	if len(list) > len(shown) {
		fmt.Fprintf(b, "  %*s  in %s\n", width, grouped(rows), plural(int64(len(list)-len(shown)), "other kind"))
	}
}

// oneLine returns a field's name for a table: short, on one line.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 40 {
		s = string(r[:39]) + "…"
	}
	return orDash(s)
}

// nextSteps says what there is to do.
func nextSteps(s Summary, dir string) []string {
	var steps []string
	run := s.Run
	if dir != "" && filepath.Base(dir) != run {
		run = dir // a folder that the user chose is how the run is found
	}
	if dir != "" && s.Rows.Accepted > 0 {
		steps = append(steps, fmt.Sprintf("the accepted rows: %s", filepath.Join(dir, SuccessFile)))
	}
	if dir != "" && s.Rows.Rejected > 0 {
		steps = append(steps, fmt.Sprintf("the rejected rows and their reasons: %s", filepath.Join(dir, RejectedFile)))
		if !s.Resumable() {
			steps = append(steps, "mended, that file is an input for the same mapping: columns that begin with _ are ignored")
		}
	}
	if dir != "" && s.Rows.Unsure > 0 {
		steps = append(steps, fmt.Sprintf("rows that may or may not have arrived: %s", filepath.Join(dir, UnsureFile)))
		if !s.Resumable() {
			steps = append(steps, fmt.Sprintf("look them up at the vendor; `crmetl resume %s` asks it once more, where it can be asked", run))
		}
	}
	if page := s.Files["report"]; page != "" && s.Rows.Rejected+s.Rows.Unsure > 0 {
		steps = append(steps, "the run on a page: "+page)
	}
	switch s.Status {
	case Stopped, Interrupted:
		why := map[string]string{
			"auth":        "mend the credentials (`crmetl ping` tries them), then ",
			"disk":        "make room on the disk, then ",
			"max_errors":  "look at the rejected rows; if the rest shall go on, ",
			"quota":       "when the account has quota again, ",
			"source":      "when the source can be read again, ",
			"unavailable": "when the vendor is back, ",
		}[s.StopReason]
		if s.Todo != "" {
			why = s.Todo + ", then "
		}
		steps = append(steps, fmt.Sprintf("nothing is lost: %s`crmetl resume %s` goes on", why, run))
	}
	return steps
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(n) + " " + what + "s"
}

// grouped writes a number with its digits in threes.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
