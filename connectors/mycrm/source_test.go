package mycrm_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crmetl/crmetl/connectors/mycrm"
	"github.com/crmetl/crmetl/schema"
)

// TestExportPages exports lists that come in all the ways that are not documented.
func TestExportPages(t *testing.T) {
	for _, tt := range []struct {
		faults string
		rows   int
		bad    string // in the error
	}{
		{"", 250, ""},
		{"set max_per_page=30", 250, ""},
		{"set omit_page=on", 250, ""},
		{"set omit_page=on; set max_per_page=30", 250, ""},
		{"set omit_count=on; set max_per_page=30", 250, ""},
		{"set omit_count=on; set omit_page=on; set max_per_page=30", 250, ""},
		{"set channel_key=channel; set empty_fields=array; set read_offering_type=category", 250, ""},
		{"GET /leads every=3 status=503; GET /leads every=5 drop=after", 250, ""},
		{"set ignore_page=on", 0, "turn pages"},
		{"set ignore_page=on; set omit_count=on", 0, "turn pages"},
		{"GET /leads #2 cut=50% clean", 0, "JSON"},
	} {
		t.Run(tt.faults, func(t *testing.T) {
			t.Parallel()
			v := serve(t, tt.faults, 250)
			got, err := v.tryExport(v.open(), schema.Query{}, "id")
			if tt.bad != "" {
				if err == nil || !strings.Contains(err.Error(), tt.bad) {
					t.Errorf("error %v, want one with %q", err, tt.bad)
				}
				return
			}
			if err != nil || len(got) != tt.rows || !slices.IsSortedFunc(got, func(a, b string) int {
				x, _ := strconv.Atoi(a)
				y, _ := strconv.Atoi(b)
				return x - y
			}) {
				t.Errorf("%d rows, error %v", len(got), err)
			}
			if slices.Sort(got); len(slices.Compact(got)) != tt.rows {
				t.Error("a lead was exported twice")
			}
		})
	}
}

// TestExportWhileItChanges exports while leads are deleted and added: none is in the file twice, and who was there all the
// time is in the file, or the run tells that the list did not stand still. Pages come as they are asked for, and one after
// the other: only then it is sure which changes can be seen.
func TestExportWhileItChanges(t *testing.T) {
	before := serve(t, "", 250)
	quiet := before.export(before.open(), schema.Query{}, "id") // made-up leads are always the same
	for _, churn := range []string{"1", "2", "3", "40"} {
		for _, ordered := range []bool{false, true} {
			v := serve(t, "set churn="+churn, 250)
			if ordered {
				v.proxy(inOrder())
			}
			c := v.open()
			got := v.export(c, schema.Query{}, "id")
			told := strings.Contains(strings.Join(v.warnings, ";"), "added or deleted")
			now := v.export(c, schema.Query{}, "id")
			missing := 0
			for _, id := range quiet {
				if slices.Contains(now, id) && !slices.Contains(got, id) {
					missing++
				}
			}
			if missing > 0 && !told {
				t.Errorf("churn %s, in order %v: %d leads are missing without a word", churn, ordered, missing)
			}
			if slices.Sort(got); len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Errorf("churn %s, in order %v: a lead is there twice", churn, ordered)
			}
			if churn == "1" && (told || missing > 0) || churn == "40" && ordered && !told {
				t.Errorf("churn %s, in order %v: told %v, missing %d", churn, ordered, told, missing)
			}
		}
	}
}

// inOrder lets a page of leads through when the one before it has been answered.
func inOrder() func(http.ResponseWriter, *http.Request, func()) bool {
	var mu sync.Mutex
	change := sync.NewCond(&mu)
	pages := map[int]context.Context{} // of the calls of this reading: ended when the call is answered
	return func(_ http.ResponseWriter, r *http.Request, _ func()) bool {
		n, err := strconv.Atoi(r.URL.Query().Get("page"))
		if r.URL.Path != "/leads" || err != nil {
			return false
		}
		mu.Lock()
		if n == 1 {
			clear(pages)
		}
		pages[n] = r.Context()
		change.Broadcast()
		for n > 1 && pages[n-1] == nil {
			change.Wait()
		}
		last := pages[n-1]
		mu.Unlock()
		if n > 1 {
			<-last.Done()
		}
		return false
	}
}

// TestExportEndsEarly exports a list whose last pages never come.
func TestExportEndsEarly(t *testing.T) {
	v := serve(t, "", 350)
	v.proxy(func(w http.ResponseWriter, r *http.Request, _ func()) bool {
		if r.URL.Path != "/leads" || r.URL.Query().Get("page") < "3" {
			return false
		}
		_, _ = io.WriteString(w, `{"count":350,"page":3,"per_page":100,"leads":[]}`)
		return true
	})
	if got, err := v.tryExport(v.open(), schema.Query{}, "id"); err == nil || !strings.Contains(err.Error(), "350") || !strings.Contains(err.Error(), "200") {
		t.Errorf("%d rows, error %v", len(got), err)
	}
}

// TestExportPagesOverlap exports a list in which a lead goes and another one comes between two pages, so that the count stays
// and the pages overlap. What one reading lacks, the other may have; what both lack is missed.
func TestExportPagesOverlap(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pages  [2][3]int // the first lead of each page, in each reading
		counts [2]int    // what the last page of each reading says
		rows   int
		told   bool
		failed string // in the error
	}{
		{"as it should be", [2][3]int{{1, 101, 201}, {1, 101, 201}}, [2]int{250, 250}, 250, false, ""},
		{"once", [2][3]int{{1, 100, 201}, {1, 101, 201}}, [2]int{250, 250}, 250, false, ""},
		{"twice, elsewhere", [2][3]int{{1, 100, 201}, {1, 101, 200}}, [2]int{250, 250}, 250, true, ""},
		{"twice, in one place", [2][3]int{{1, 100, 201}, {1, 100, 201}}, [2]int{250, 250}, 0, false, "249"},
		{"cut short after it changed", [2][3]int{{1, 101, 201}, {1, 101, 251}}, [2]int{249, 250}, 0, false, "200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			asked := map[string]int{}
			v := serve(t, "", 1)
			v.proxy(func(w http.ResponseWriter, r *http.Request, _ func()) bool {
				page := r.URL.Query().Get("page")
				n, err := strconv.Atoi(page)
				if r.URL.Path != "/leads" || err != nil || n > 3 {
					return false
				}
				mu.Lock()
				defer mu.Unlock()
				reading, count := min(asked[page], 1), 250
				first := tt.pages[reading][n-1]
				if asked[page]++; n == 3 {
					count = tt.counts[reading]
				}
				var leads []string
				for id := first; id < first+100 && id <= 250 && (n < 3 || len(leads) < 50); id++ {
					leads = append(leads, fmt.Sprintf(`{"id":%d}`, id))
				}
				_, _ = fmt.Fprintf(w, `{"count":%d,"page":%d,"per_page":100,"leads":[%s]}`, count, n, strings.Join(leads, ","))
				return true
			})
			got, err := v.tryExport(v.open(), schema.Query{}, "id")
			if tt.failed != "" {
				if err == nil || !strings.Contains(err.Error(), "has sent "+tt.failed) {
					t.Errorf("%d rows, error %v", len(got), err)
				}
				return
			}
			if slices.Sort(got); err != nil || len(slices.Compact(got)) != tt.rows {
				t.Errorf("%d rows, error %v", len(got), err)
			}
			if told := strings.Contains(strings.Join(v.warnings, ";"), "added or deleted"); told != tt.told {
				t.Errorf("warnings %q", v.warnings)
			}
		})
	}
}

// TestExportSince leaves out what changed before.
func TestExportSince(t *testing.T) {
	v := serve(t, "", 200)
	c := v.open()
	all := v.export(c, schema.Query{}, "updated_at", "id")
	slices.Sort(all)
	at, err := time.Parse(time.RFC3339, strings.Split(all[150], "|")[0])
	if err != nil {
		t.Fatal(err)
	}
	got := v.export(c, schema.Query{Since: at}, "updated_at", "id")
	slices.Sort(got)
	if diff := cmp.Diff(all[150:], got); diff != "" {
		t.Error(diff)
	}
	if calls := v.sent("GET /leads?filters%5Bupdated%5D%5Bfrom%5D=" + at.UTC().AddDate(0, 0, -1).Format(time.DateOnly)); len(calls) == 0 {
		t.Errorf("the vendor did not filter: %q", v.sent("GET /leads"))
	}
}

// TestNoFields exports and imports where the account's custom fields can't be read.
func TestNoFields(t *testing.T) {
	v := serve(t, "GET /fields status=403", 40)
	c := v.open()
	src, err := c.Source(t.Context(), "leads", schema.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if names := src.Header().Names(); !slices.Contains(names, "fields") || !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "fields.") }) {
		t.Errorf("columns %v", names)
	}
	_ = src.Close()
	if _, err := v.try(c, schema.Load{Mode: schema.Update}, "id|fields.Pets", "1|x"); err == nil || !strings.Contains(err.Error(), "name it by its id") {
		t.Errorf("error %v", err)
	}
	id := v.export(c, schema.Query{}, "id")[0]
	if got := v.load(c, schema.Load{Mode: schema.Create}, wholeHeader+"|fields.1", person("Ada", "0501112223")+"|2 pets"); !strings.HasPrefix(got[0], "accepted created") {
		t.Error(id, got)
	}
	if !strings.Contains(strings.Join(v.warnings, ";"), "sent as they are") {
		t.Errorf("warnings %q", v.warnings)
	}
}

// TestRoundTrip exports leads into CSV and creates them again from it at another account: both must then export the same.
func TestRoundTrip(t *testing.T) {
	from, to := serve(t, "", 0), serve(t, "", 0)
	c := from.open()
	header := wholeHeader + "|notes|city|time_frame|quality|preference.from_size|preference.to_size|fields.1|fields.3"
	got := from.load(c, schema.Load{Mode: schema.Create}, header,
		person("Ada", "+971501111111")+`|a; b and "c"|Dubai|1-3|hot|900|1200|2 pets|TRUE`,
		person("Bob", "0501111112")+`|["one","two; three"]|-|0|-|-|-|-|FALSE`,
		person("Zoë", "0501111113")+"|-|-|-|-|-|-|1250.5|-")
	for _, fate := range got {
		if !strings.HasPrefix(fate, "accepted created") {
			t.Fatal(got)
		}
	}
	write := func(v *vendor) (names []string, file []byte) {
		src, err := v.open().Source(t.Context(), "leads", schema.Query{Expand: true})
		if err != nil {
			t.Fatal(err)
		}
		names = src.Header().Names()
		_ = src.Close()
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		rows := v.export(v.open(), schema.Query{Expand: true}, names...)
		for _, row := range rows {
			if err := w.Write(strings.Split(row, "|")); err != nil {
				t.Fatal(err)
			}
		}
		w.Flush()
		return names, b.Bytes()
	}
	names, file := write(from)
	records, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	o, _ := mycrm.Schema().Object("leads")
	var cols []string
	var at []int
	for i, n := range names {
		if f, ok := o.Match(n); ok && f.Takes(schema.Create) {
			cols, at = append(cols, f.Name), append(at, i)
		}
	}
	var rows []string
	for _, r := range records {
		var cells []string
		for _, i := range at {
			cell := r[i]
			if cell == "" {
				cell = "-"
			}
			cells = append(cells, cell)
		}
		rows = append(rows, strings.Join(cells, "|"))
	}
	for _, fate := range to.load(to.open(), schema.Load{Mode: schema.Create}, strings.Join(cols, "|"), rows...) {
		if !strings.HasPrefix(fate, "accepted created") {
			t.Error(fate)
		}
	}
	same := []string{"title", "first_name", "mobile", "category", "country", "source_channel", "time_frame", "user", "preference.types", "preference.locations", "preference.amenities", "preference.offering_type", "preference.from_size", "notes", "fields.1", "fields.3"}
	if diff := cmp.Diff(from.export(from.open(), schema.Query{Expand: true}, same...), to.export(to.open(), schema.Query{Expand: true}, same...)); diff != "" {
		t.Errorf("(-first +second):\n%s", diff)
	}
}
