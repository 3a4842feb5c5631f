package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/crmetl/crmetl/schema"
)

var update = flag.Bool("update", false, "write the generated pages instead of comparing them")

// TestDocs holds docs/vendors against the schemas that the pages are made from.
func TestDocs(t *testing.T) {
	for _, v := range vendors() {
		var page bytes.Buffer
		if err := schema.Markdown(&page, v); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("..", "..", "docs", "vendors", v.Name+".md")
		if *update {
			if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, page.Bytes()) {
			t.Errorf("%s is stale: go test ./cmd/crmetl -run Docs -update writes it anew", path)
		}
	}
}
