package report

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// line is one record of a result file, as it stands there.
type line struct {
	start, end int64 // where it stands, its line end included
	cells      [][]byte
	raw        []byte
	whole      bool // it ends with a line end
}

// scanLines reads the records of a result file one after the other. It understands what Lines writes and what an
// editor or spreadsheet makes of it in the same dialect (CRLF, other quotes). A line is good until fn returns.
func scanLines(r io.Reader, fn func(*line) error) error {
	b := bufio.NewReaderSize(r, 1<<16)
	var l line
	for {
		l.start, l.raw, l.whole = l.end, l.raw[:0], false
		quoted := false
		for {
			part, err := b.ReadSlice('\n')
			l.raw = append(l.raw, part...)
			if bytes.Count(part, []byte{'"'})%2 == 1 {
				quoted = !quoted
			}
			if err == nil && !quoted {
				l.whole = true
				break
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return err
			}
		}
		if len(l.raw) == 0 {
			return nil
		}
		l.end = l.start + int64(len(l.raw))
		l.cells = splitLine(l.cells[:0], l.raw)
		if err := fn(&l); err != nil {
			return err
		}
		if !l.whole {
			return nil
		}
	}
}

// splitLine cuts a record into its cells, which keep their quotes.
func splitLine(cells [][]byte, raw []byte) [][]byte {
	raw = bytes.TrimSuffix(raw, []byte("\n"))
	raw = bytes.TrimSuffix(raw, []byte("\r"))
	for {
		end, quoted := 0, false
		for end < len(raw) && (quoted || raw[end] != ',') {
			if raw[end] == '"' {
				quoted = !quoted
			}
			end++
		}
		cells = append(cells, raw[:end])
		if end == len(raw) {
			return cells
		}
		raw = raw[end+1:]
	}
}

// bare returns a cell without its quotes.
func bare(cell []byte) string {
	if len(cell) >= 2 && cell[0] == '"' && cell[len(cell)-1] == '"' {
		return string(bytes.ReplaceAll(cell[1:len(cell)-1], []byte(`""`), []byte(`"`)))
	}
	return string(cell)
}

// num returns the line's _row, or 0 if the line is none of ours.
func (l *line) num(lines *Lines) int64 {
	if len(l.cells) != lines.columns() || !l.whole {
		return 0
	}
	n, err := strconv.ParseInt(bare(l.cells[len(lines.keep)]), 10, 64)
	if err != nil || n < 1 {
		return 0
	}
	return n
}

// isHeader reports whether the line is the header that lines would write.
func (l *line) isHeader(lines *Lines) bool {
	if len(l.cells) != lines.columns() {
		return false
	}
	for i, c := range l.cells {
		name := bare(c)
		if i == 0 {
			name = string(bytes.TrimPrefix([]byte(name), []byte("\uFEFF")))
		}
		want := ""
		if i < len(lines.keep) {
			want = lines.names[i]
		} else {
			want = lines.own[i-len(lines.keep)]
		}
		if name != want {
			return false
		}
	}
	return true
}

// errOtherForm is told when a result file cannot be carried on.
func errOtherForm(path string) error {
	return fmt.Errorf("%s does not begin with the columns that this run writes, so it was changed or belongs to another run: move it elsewhere and resume again", path)
}
