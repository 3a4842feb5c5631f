package main

import (
	"bufio"
	stdcsv "encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// each16 is how many lines of a result go unread for one that is held against the data.
const each16 = 16

// fieldsW1 are the fields of W1 in the mapping's order.
var fieldsW1 = []string{"custom0", "name", "company", "email", "phone", "city", "country", "custom1", "dealAmount", "custom2", "custom3", "notes"}

// wantedW1 makes of a lead what W1 asks for, in the order of fieldsW1; nil for one to be refused.
func wantedW1(lead []string) ([]string, error) {
	name := lead[2]
	if name == "" {
		name = lead[1]
	}
	if name == "" && lead[3] == "" {
		return nil, nil
	}
	at, err := time.Parse("01/02/2006 15:04", lead[17])
	if err != nil {
		return nil, err
	}
	return []string{lead[0], name, lead[3], strings.ToLower(lead[4]), lead[5], lead[7], lead[10], lead[11], lead[14], at.Format(time.RFC3339), lead[12], lead[19]}, nil
}

// sameLines holds JSON Lines against the leads that they were made of: how many there are, in which order, and every
// sixteenth one in full. A field that is missing, null or empty is the same.
func sameLines(data, out string) error {
	f, err := os.Open(out)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	n := -1 // the header is no row
	err = eachRecord(data, func(lead []string) error {
		if n++; n == 0 {
			return nil
		}
		want, err := wantedW1(lead)
		if err != nil || want == nil {
			return err
		}
		if !lines.Scan() {
			return errors.Join(fmt.Errorf("it ends before row %d", n), lines.Err())
		}
		if n%each16 == 0 {
			return sameLine(lines.Bytes(), want, n)
		}
		return nil
	})
	if err == nil && lines.Scan() {
		err = fmt.Errorf("it goes on after row %d, the last", n)
	}
	return err
}

func sameLine(line []byte, want []string, n int) error {
	var got map[string]any
	d := json.NewDecoder(strings.NewReader(string(line)))
	d.UseNumber()
	if err := d.Decode(&got); err != nil {
		return fmt.Errorf("row %d: %w", n, err)
	}
	for i, name := range fieldsW1 {
		text := ""
		if v := got[name]; v != nil {
			text = fmt.Sprint(v)
		}
		if text != want[i] {
			return fmt.Errorf("row %d: %s is %q, not %q", n, name, text, want[i])
		}
		delete(got, name)
	}
	if len(got) > 0 {
		return fmt.Errorf("row %d has %d fields too many", n, len(got))
	}
	return nil
}

// sameCells holds one CSV file against another, cell by cell. Empty cells at a row's end may be missing.
func sameCells(want, got string) error {
	f, err := os.Open(got)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	r := stdcsv.NewReader(bufio.NewReaderSize(f, 64<<10))
	r.ReuseRecord = true
	r.FieldsPerRecord = -1
	n := 0
	err = eachRecord(want, func(cells []string) error {
		n++
		row, err := r.Read()
		if err != nil {
			return fmt.Errorf("row %d: %w", n, err)
		}
		for i := range max(len(cells), len(row)) {
			if a, b := at(cells, i), at(row, i); a != b {
				return fmt.Errorf("row %d, column %d: %q, not %q", n, i+1, b, a)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("it goes on after row %d, the last", n)
	}
	return nil
}

func at(cells []string, i int) string {
	if i < len(cells) {
		return cells[i]
	}
	return ""
}
