package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestChecks breaks a result in each way that a check is there for.
func TestChecks(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var b bytes.Buffer
	if err := writeCSV(&b, 200, 42); err != nil {
		t.Fatal(err)
	}
	data := file("leads.csv", b.String())
	good := ""
	n := -1
	if err := eachRecord(data, func(lead []string) error {
		if n++; n == 0 {
			return nil
		}
		want, err := wantedW1(lead)
		if err != nil || want == nil {
			return err
		}
		line := "{"
		for i, name := range fieldsW1 {
			line += fmt.Sprintf("%q:%q,", name, want[i])
		}
		good += line[:len(line)-1] + "}\n"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	short := good[:strings.LastIndexByte(good[:len(good)-1], '\n')+1]
	for name, c := range map[string]struct {
		text string
		same bool
	}{
		"as wanted":     {good, true},
		"a line less":   {short, false},
		"a line more":   {good + "{}\n", false},
		"other fields":  {strings.ReplaceAll(good, "custom0", "id"), false},
		"other letters": {strings.ReplaceAll(good, "@", "@X"), false},
	} {
		if err := sameLines(data, file("out.jsonl", c.text)); (err == nil) != c.same {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		text string
		same bool
	}{
		"the same":    {b.String(), true},
		"a row less":  {b.String()[:bytes.LastIndexByte(b.Bytes()[:b.Len()-1], '\n')+1], false},
		"a row more":  {b.String() + "x\n", false},
		"other cells": {strings.ReplaceAll(b.String(), "L1000005", "L2000005"), false},
	} {
		if err := sameCells(data, file("out.csv", c.text)); (err == nil) != c.same {
			t.Errorf("%s: %v", name, err)
		}
	}
}
