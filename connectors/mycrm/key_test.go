package mycrm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/schema"
)

// TestUpsertSpellings upserts by numbers that are spelled in another way at the vendor.
func TestUpsertSpellings(t *testing.T) {
	t.Parallel()
	all := []string{"+971 55 999 1234", "+971559991234", "00971-55-999-1234", "971559991234", "(+971) 55/9991234"}
	for _, tt := range []struct {
		match     string
		kept, row []string
	}{
		{"contains", all, all},
		{"exact", []string{"+971559991234", "971559991234", "00971559991234"}, all},
	} {
		for _, kept := range tt.kept {
			for _, spelled := range tt.row {
				v := serve(t, "set text_match="+tt.match, 5)
				v.load(v.open(), schema.Load{Mode: schema.Create}, wholeHeader, person("Ada", kept), person("Near", "+971559991235"), person("Home", "0559991234"), person("Longer", "+9715599912345"))
				got := v.load(v.open(), schema.Load{Mode: schema.Upsert}, wholeHeader+"|city", person("Ada", spelled)+"|Dubai")
				if !strings.HasPrefix(got[0], "accepted updated") {
					t.Errorf("%s: %q at the vendor, %q in the row: %s", tt.match, kept, spelled, got)
				}
				if diff := cmp.Diff([]string{"Ada|Dubai", "Near|", "Home|", "Longer|"}, v.export(v.open(), schema.Query{}, "first_name", "city")[5:]); diff != "" {
					t.Errorf("%s: %q at the vendor, %q in the row: %s", tt.match, kept, spelled, diff)
				}
			}
		}
	}
}

// TestUpsertKeysApart never takes a national number for an international one, and refuses a row whose number two leads
// have in two spellings.
func TestUpsertKeysApart(t *testing.T) {
	t.Parallel()
	for _, match := range []string{"contains", "exact"} {
		v := serve(t, "set text_match="+match, 0)
		c := v.open()
		v.load(c, schema.Load{Mode: schema.Create}, wholeHeader, person("Ada", "0559991234"), person("Bob", "+971501112223"), person("Bo", "00971501112223"))
		got := v.load(c, schema.Load{Mode: schema.Upsert}, wholeHeader, person("New", "+971559991234"), person("Bob", "+971501112223"), person("Bob", "971501112223"))
		if diff := cmp.Diff([]string{"accepted created", "rejected mobile:ambiguous", "rejected mobile:ambiguous"}, cutIDs(got, 0)); diff != "" {
			t.Errorf("%s: %s", match, diff)
		}
	}
}

// TestUpsertSearches counts the searches of an upsert: once the vendor's filter has shown that it finds parts of
// numbers, a row takes one.
func TestUpsertSearches(t *testing.T) {
	t.Parallel()
	v := serve(t, "", 0)
	c := v.open()
	var rows []string
	for i := range 20 {
		rows = append(rows, person(fmt.Sprintf("P%d", i), fmt.Sprintf("+97155999%04d", i)))
	}
	for _, fate := range v.load(c, schema.Load{Mode: schema.Upsert}, wholeHeader, rows...) {
		if !strings.HasPrefix(fate, "accepted created") {
			t.Error(fate)
		}
	}
	if n := len(v.sent("GET /leads?")); n > 30 {
		t.Errorf("%d searches for 20 rows", n)
	}
	for _, fate := range v.load(c, schema.Load{Mode: schema.Upsert}, wholeHeader, rows...) {
		if !strings.HasPrefix(fate, "unchanged") && !strings.HasPrefix(fate, "accepted updated") {
			t.Error(fate)
		}
	}
	if n := len(v.export(c, schema.Query{}, "id")); n != 20 {
		t.Errorf("%d leads", n)
	}
}
