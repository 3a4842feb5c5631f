package mycrm_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/connectors/mycrm"
	"github.com/crmetl/crmetl/internal/deliverytest"
	"github.com/crmetl/crmetl/record"
	"github.com/crmetl/crmetl/schema"
)

// TestDefaultsFillGaps updates leads with defaults: what a lead has stays, what it lacks is filled.
func TestDefaultsFillGaps(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"read-modify-write", "sparse"} {
		faults := ""
		if mode == "sparse" {
			faults = "set put_mode=merge"
		}
		v := serve(t, faults, 0)
		c := v.open("update_mode", mode)
		v.load(c, schema.Load{Mode: schema.Create}, wholeHeader+"|city|quality|pobox|notes|properties|fields.1",
			person("Ada", "0501111111")+"|Dubai|hot|15109|old|1|2 pets", person("Bob", "0501111112")+"|-|-|-|-|3|-", person("Cyd", "0501111113")+"|Sharjah|good|-|-|-|-")
		ids := v.export(c, schema.Query{}, "id")
		load := schema.Load{Mode: schema.Update, Defaults: map[string]record.Value{
			"city": record.TextOf("Abu Dhabi"), "quality": record.TextOf("poor"), "notes": record.TextOf("from a list"), "properties": record.ListOf([]string{"9"}),
			"preference.to_size": record.NumberOf("800"), "fields.Number of pets": record.TextOf("none"),
		}}
		rows := []string{ids[0] + "|qualified|-", ids[1] + "|qualified|-", ids[2] + "|-|~"}
		dry := load
		dry.DryRun = true
		v.load(c, dry, "id|status|quality", rows...)
		want := []string{"accepted updated " + ids[0], "accepted updated " + ids[1], "accepted updated " + ids[2]}
		if diff := cmp.Diff(want, v.load(c, load, "id|status|quality", rows...)); diff != "" {
			t.Errorf("%s: %s", mode, diff)
		}
		got := v.export(c, schema.Query{Expand: true}, "status", "city", "quality", "pobox", "preference.to_size", "notes", "fields.1")
		filled := []string{"qualified|Dubai|hot|15109|800|old|2 pets", "qualified|Abu Dhabi|poor||800|from a list|none", "prospect|Sharjah|poor||800|from a list|none"}
		if diff := cmp.Diff(filled, got); diff != "" {
			t.Errorf("%s: %s", mode, diff)
		}
		if got := v.export(c, schema.Query{Filters: []schema.Condition{{Name: "property", Value: "9"}}}, "id"); len(got) > 0 {
			t.Errorf("%s: the default of properties went to %v", mode, got)
		}
		if !strings.Contains(strings.Join(v.warnings, ";"), "default of properties") {
			t.Errorf("%s: warnings %q", mode, v.warnings)
		}
		// Nothing is left to fill.
		puts := len(v.sent("PUT"))
		if diff := cmp.Diff([]string{"unchanged " + ids[0]}, v.load(c, load, "id|status", ids[0]+"|-")); diff != "" || len(v.sent("PUT")) != puts {
			t.Errorf("%s: %s", mode, diff)
		}
		// One more default is all that there is to write.
		load.Defaults["address"], load.ChangedOnly = record.TextOf("JLT"), true
		if diff := cmp.Diff(want[:1], v.load(c, load, "id|status", ids[0]+"|-")); diff != "" {
			t.Errorf("%s: %s", mode, diff)
		}
		if diff := cmp.Diff([]string{"JLT|Dubai"}, v.export(c, schema.Query{ID: ids[0]}, "address", "city")); diff != "" {
			t.Errorf("%s: %s", mode, diff)
		}
	}
}

// TestDefaultsOfMandatoryFields writes leads that lack what an update must send.
func TestDefaultsOfMandatoryFields(t *testing.T) {
	t.Parallel()
	v := serve(t, "set mandatory=lenient", 0)
	c := v.open()
	bare := strings.ReplaceAll(wholeHeader, "title|", "")
	v.load(c, schema.Load{Mode: schema.Upsert, Defaults: map[string]record.Value{"title": record.TextOf("mr")}}, bare, strings.TrimPrefix(person("Ada", "0501111111"), "mr|"))
	id := v.export(c, schema.Query{}, "id")[0]
	if diff := cmp.Diff([]string{"mr"}, v.export(c, schema.Query{}, "title")); diff != "" {
		t.Errorf("a new lead did not get the default: %s", diff)
	}
	for _, dry := range []bool{true, false} {
		load := schema.Load{Mode: schema.Upsert, DryRun: dry, Defaults: map[string]record.Value{"title": record.TextOf("ms"), "country": record.TextOf("SA")}}
		verbs := map[bool][]string{true: {"accepted would update " + id, "accepted would create"}, false: {"accepted updated " + id, "accepted created"}}[dry]
		cells := strings.ReplaceAll(strings.TrimPrefix(person("Ada", "0501111111"), "mr|"), "|AE|", "|-|")
		got := v.load(c, load, bare, cells, strings.ReplaceAll(strings.ReplaceAll(cells, "Ada", "Dan"), "0501111111", "0502222222"))
		if !dry {
			got = cutIDs(got, 1)
		}
		if diff := cmp.Diff(verbs, got); diff != "" {
			t.Errorf("dry %v: %s", dry, diff)
		}
	}
	if diff := cmp.Diff([]string{"Ada|mr|AE", "Dan|ms|SA"}, v.export(c, schema.Query{}, "first_name", "title", "country")); diff != "" {
		t.Error(diff)
	}
}

// TestDefaultsAdvice names the way out for leads that lack something, and refuses defaults that can't be.
func TestDefaultsAdvice(t *testing.T) {
	t.Parallel()
	v := serve(t, "set mandatory=lenient", 0)
	b := mycrm.Table("mobile|status", "0501111111|prospect")
	sink, err := v.open().Sink(t.Context(), "leads", schema.Load{Mode: schema.Upsert, Header: b.Header}, deliverytest.NewLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := b.Rows[0].Err; err == nil || !strings.Contains(err.Error(), "give those that have none one with --default title=VALUE") {
		t.Errorf("the row's error is %v", err)
	}
	for name, value := range map[string]string{"matching.count": "1", "user": "x", "fields.Nothing": "x", "fields.3": "maybe"} {
		load := schema.Load{Mode: schema.Update, Defaults: map[string]record.Value{name: record.TextOf(value)}}
		if _, err := v.try(v.open(), load, "id|status", "1|prospect"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the default %s=%s: error %v", name, value, err)
		}
	}
	if _, err := v.try(v.open(), schema.Load{Mode: schema.Create, Defaults: map[string]record.Value{"nonsense": record.TextOf("x")}}, wholeHeader); err != nil {
		t.Errorf("a create has its defaults in the rows: %v", err)
	}
}
