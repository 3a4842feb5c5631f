package report

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gocarina/gocsv"

	"github.com/crmetl/crmetl/record"
)

// Delivered is a line of success.csv, without the user's own columns.
type Delivered struct {
	Row    int64  `csv:"_row"`
	Action string `csv:"_action"`
	ID     string `csv:"_id"`
}

// Refused is a line of rejected.csv or unsure.csv, without the user's own columns.
type Refused struct {
	Row   int64  `csv:"_row"`
	Field string `csv:"_field"`
	Rule  string `csv:"_rule"`
	Error string `csv:"_error"`
}

// EachDelivered calls fn with every line of a run's success.csv, in the order of the file.
func EachDelivered(dir string, fn func(Delivered) error) error {
	return each(filepath.Join(dir, SuccessFile), fn)
}

// EachRejected calls fn with every line of a run's rejected.csv, in the order of the file.
func EachRejected(dir string, fn func(Refused) error) error {
	return each(filepath.Join(dir, RejectedFile), fn)
}

// EachUnsure calls fn with every line of a run's unsure.csv, in the order of the file.
func EachUnsure(dir string, fn func(Refused) error) error {
	return each(filepath.Join(dir, UnsureFile), fn)
}

func each[T any](path string, fn func(T) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return decode(path, f, fn)
}

// decode reads the typed columns of a result file.
func decode[T any](path string, r io.Reader, fn func(T) error) error {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	var zero T
	u, err := gocsv.NewUnmarshaller(in, zero)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	for {
		v, err := u.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		t, ok := v.(T)
		if !ok {
			return fmt.Errorf("read %s: unexpected record %T", path, v)
		}
		if err := fn(t); err != nil {
			return err
		}
	}
}

// Result is what the result files say of one row.
type Result struct {
	Fate      record.Fate // Accepted, Rejected or Unsure
	File      string
	Names     []string // the input's columns
	Cells     []string // the row's cells as they were read
	Delivered Delivered
	Refused   Refused // of a row that is rejected or unsure
}

// ReadResults returns what a run's files say of a data row. It is one line at most
// when the run has ended; none if the row was unchanged, skipped or never reached.
func ReadResults(dir string, row int64) ([]Result, error) {
	var found []Result
	for _, f := range []struct {
		name string
		fate record.Fate
	}{{SuccessFile, record.Accepted}, {RejectedFile, record.Rejected}, {UnsureFile, record.Unsure}} {
		path := filepath.Join(dir, f.name)
		res, err := findRow(path, f.fate, row)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if res != nil {
			found = append(found, *res)
		}
	}
	return found, nil
}

// errEnough ends a scan that has found what it looked for.
var errEnough = errors.New("enough")

// findRow looks for the line of a row; only that line is decoded, as the file may have millions.
func findRow(path string, fate record.Fate, row int64) (*Result, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	lines := AcceptedLines(record.LooseHeader(nil))
	if fate != record.Accepted {
		lines = RefusedLines(record.LooseHeader(nil))
	}
	res := &Result{Fate: fate, File: path}
	var text []byte // the header and, at the end, the line
	head := 0
	err = scanLines(f, func(l *line) error {
		if head == 0 {
			text = append(text, l.raw...)
			head = len(text)
			for _, c := range l.cells {
				res.Names = append(res.Names, bare(c))
			}
			width := len(res.Names) - len(lines.own)
			if width < 0 || res.Names[width] != colRow {
				return fmt.Errorf("%s does not have the columns of a result file", path)
			}
			lines.keep, res.Names = make([]int, width), res.Names[:width]
			return nil
		}
		if l.num(lines) != row {
			return nil
		}
		text = append(text[:head], l.raw...)
		res.Cells = res.Cells[:0]
		for _, c := range l.cells[:len(lines.keep)] {
			res.Cells = append(res.Cells, bare(c))
		}
		if fate == record.Unsure {
			// While a run is resumed, the row may stand there again, further down.
			return nil
		}
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) || len(text) == head {
		return nil, err
	}
	if fate == record.Accepted {
		err = decode(path, bytes.NewReader(text), func(d Delivered) error { res.Delivered = d; return nil })
	} else {
		err = decode(path, bytes.NewReader(text), func(r Refused) error { res.Refused = r; return nil })
	}
	return res, err
}
