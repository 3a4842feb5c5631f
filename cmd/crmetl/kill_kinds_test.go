package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Faults that come with kills: answers that are lost before and after the work is done, refusals for speed, errors.
const (
	someFaults = "POST * every=13 drop=after\n* p=0.02 status=500\n* #20- every=90 status=429 retry-after=1\nPUT * every=17 status=502 applied\n" +
		"PATCH * every=7 drop=after\nDELETE * every=11 drop=after\n* every=29 drop=before\n* slow=2ms..60ms"
	// Where nothing can be looked up, an error that may have come after the work ends the rows, so there are fewer of them.
	fewFaults = "POST * every=19 drop=after\n* p=0.05 status=429 retry-after=1\nPOST * every=23 drop=before\n* slow=2ms..60ms"
)

func killKinds() []*killKind {
	const mmc, crm, lunar, mapp = "mapmycustomers", "mycrm", "lunarsend", "mappconnect"
	v2 := []string{"CRMETL_LUNARSEND_PROFILE=v2"}
	return []*killKind{
		{name: "mapmycustomers_create", vendor: mmc, rate: 80, faults: someFaults, prepare: newCustomers, effects: customers},
		{name: "mapmycustomers_update", vendor: mmc, rate: 80, faults: someFaults, prepare: editCustomers, effects: customerFields, again: true},
		{name: "mapmycustomers_upsert", vendor: mmc, rate: 80, faults: someFaults, prepare: upsertCustomers, effects: customersByMail, again: true},
		{name: "mapmycustomers_delete", vendor: mmc, rate: 80, faults: someFaults, prepare: deleteCustomers, effects: deletions},
		{name: "mapmycustomers_routes", vendor: mmc, target: "routes", rate: 50, faults: someFaults, prepare: newRoutes, effects: routes},
		{name: "mycrm_create", vendor: crm, rate: 80, faults: someFaults, prepare: newLeads, effects: leads},
		{name: "mycrm_update", vendor: crm, rate: 100, faults: someFaults, prepare: editLeads, effects: leadFields, again: true},
		{name: "mycrm_patch", vendor: crm, rate: 80, faults: "PATCH * slow=100ms..300ms\n" + someFaults, prepare: patchLeads, effects: leadFields, again: true},
		{name: "mycrm_delete", vendor: crm, rate: 80, faults: someFaults, prepare: deleteLeads, effects: deletions},
		{name: "lunarsend_create", vendor: lunar, rate: 80, faults: someFaults, prepare: newContacts, effects: contacts},
		{name: "lunarsend_update", vendor: lunar, rate: 80, faults: someFaults, prepare: editContacts, effects: contactFields, again: true},
		{name: "lunarsend_delete", vendor: lunar, rate: 80, faults: someFaults, prepare: deleteContacts, effects: deletions},
		{name: "lunarsend_v2_create", vendor: lunar, env: v2, rate: 80, faults: someFaults, prepare: loneContacts, effects: contacts},
		{name: "lunarsend_v2_upsert", vendor: lunar, env: v2, rate: 80, faults: someFaults, prepare: upsertContacts, effects: contactsByMail, again: true},
		{name: "mappconnect_user", vendor: mapp, target: "user", rate: 20, faults: fewFaults, prepare: mappUsers, effects: mappEvents, again: true},
		{name: "mappconnect_transaction", vendor: mapp, target: "transaction", rate: 20, faults: fewFaults, prepare: mappOrders, effects: mappEvents, again: true},
		{name: "mappconnect_relateddata", vendor: mapp, target: "relateddata", rate: 20, faults: fewFaults, prepare: mappRelated, effects: mappEvents, blind: true},
		{name: "mappconnect_email", vendor: mapp, target: "email", rate: 20, faults: fewFaults, prepare: mappMails, effects: mappEvents, blind: true},
		{name: "mapmycustomers_export", vendor: mmc, rate: 100, round: (*killBench).killExport},
		{name: "mycrm_export", vendor: crm, rate: 20, round: (*killBench).killExport},
		{name: "lunarsend_v2_export", vendor: lunar, env: v2, rate: 20, round: (*killBench).killExport},
	}
}

// table makes a file of n records: row returns the cells of one, what it does, and whether it is wrong. Every so many
// rows one comes twice, if twins are wanted.
func (b *killBench) fill(header []string, n int, twins bool, row func(i int) (cells []string, print string, bad bool)) job {
	j := job{table: [][]string{header}}
	for i := range b.rows(n) {
		cells, print, bad := row(i)
		if twins && i > 3 && b.rng.IntN(10) == 0 {
			d := j.deeds[b.rng.IntN(len(j.deeds))]
			cells, print, bad = slices.Clone(j.table[d.rows[0]]), d.print, d.bad
		}
		j.table = append(j.table, cells)
		j.deeds = append(j.deeds, deed{rows: []int64{int64(i + 1)}, print: print, bad: bad})
	}
	return j
}

// rows is how many records a file has: fewer in the short form.
func (b *killBench) rows(n int) int {
	if *kills < 100 {
		return n * 3 / 5
	}
	return n
}

// seed loads a file without any disturbance and returns the ids of its records, in the file's order. All have addresses.
func (b *killBench) seed(j job) (ids []string) {
	b.t.Helper()
	name := "seed" + b.tag
	writeTable(b.t, filepath.Join(b.dir, name+".csv"), j.table)
	target := strings.Replace(b.target(), "/routes", "/customers", 1)
	b.must("import", name+".csv", target, "--run-dir", name)
	_, kind, _ := strings.Cut(target, "/")
	byMail := map[string]string{}
	for _, m := range b.records(kind) {
		byMail[text(m, "email")] = text(m, "id")
	}
	mail := slices.Index(j.table[0], "email")
	for _, r := range j.table[1:] {
		id := byMail[r[mail]]
		if id == "" {
			b.t.Fatalf("%s was not made", r[mail])
		}
		ids = append(ids, id)
	}
	return ids
}

// bad reports whether a row shall be a wrong one.
func (b *killBench) bad() bool { return b.rng.IntN(25) == 0 }

// effectsOf counts the prints of records.
func (b *killBench) effectsOf(kind string, prints func(m map[string]any) []string) map[string]int {
	out := map[string]int{}
	for _, m := range b.records(kind) {
		for _, p := range prints(m) {
			out[p]++
		}
	}
	return out
}

// edits makes a file that changes one field of each record; some records come twice, once more with the same field or
// with the other one.
func (b *killBench) edits(ids []string, one, other, wrongID string) job {
	j := job{table: [][]string{{"id", one, other}}}
	last := map[string]int{} // id and field: the deed that is in force
	add := func(id string, first bool, bad bool) {
		n := len(j.table)
		field, cells := one, []string{id, fmt.Sprintf("%s value %d", b.tag, n), ""}
		if !first {
			field = other
			cells[1], cells[2] = cells[2], cells[1]
		}
		d := deed{rows: []int64{int64(n)}, print: id + " " + field + "=" + cells[1] + cells[2], bad: bad}
		if k, ok := last[id+field]; ok && !bad {
			j.deeds[k].over = true
		}
		last[id+field] = len(j.deeds)
		j.table, j.deeds = append(j.table, cells), append(j.deeds, d)
	}
	for i, id := range ids {
		add(id, true, false)
		switch b.rng.IntN(12) {
		case 0:
			add(ids[b.rng.IntN(i+1)], false, false)
		case 1:
			add(ids[b.rng.IntN(i+1)], true, false)
		case 2:
			add(wrongID, true, true)
		}
	}
	return j
}

// fields are the prints of a record for edits.
func fields(names ...string) func(m map[string]any) []string {
	return func(m map[string]any) (out []string) {
		for _, n := range names {
			if v := text(m, n); v != "" {
				out = append(out, text(m, "id")+" "+n+"="+v)
			}
		}
		return out
	}
}

// removals makes a file that deletes most of the records.
func (b *killBench) removals(ids []string) job {
	j := job{table: [][]string{{"id", "remark"}}}
	for i, id := range ids {
		if i%9 == 4 {
			continue // one that must stay
		}
		j.table = append(j.table, []string{id, fmt.Sprint("row ", i)})
		j.deeds = append(j.deeds, deed{rows: []int64{int64(len(j.table) - 1)}, print: id})
	}
	return j
}

// deletions are the ids in the vendor's list of writes that were deleted.
func deletions(b *killBench) map[string]int {
	out := map[string]int{}
	for _, w := range b.ledger().Writes {
		if w.Method == "DELETE" {
			for id := range strings.SplitSeq(w.ID, ",") {
				out[id]++
			}
		}
	}
	return out
}

// Map My Customers.

func newCustomers(b *killBench) job {
	return b.fill([]string{"name", "company", "city", "email", "phone", "dealAmount"}, 110, true, func(i int) ([]string, string, bool) {
		c := []string{fmt.Sprintf("Person %d %s", i, b.tag), "Søn & Co", "City " + fmt.Sprint(i%7), fmt.Sprintf("p%d@example.com", i), fmt.Sprintf("432-456-%04d", i), fmt.Sprint(i, ".5")}
		if i%11 == 5 {
			c[1], c[2] = "", "" // like a row with a company, but less of it
		}
		if i%13 == 7 {
			c[0] = fmt.Sprintf("Person %d %s", i-1, b.tag) // someone else of the same name
		}
		bad := b.bad()
		if bad {
			c[3] = "no address"
		}
		return c, strings.Join(c, "|"), bad
	})
}

func customers(b *killBench) map[string]int {
	return b.effectsOf("customers", func(m map[string]any) []string {
		return []string{texts(m, "name", "company", "city", "email", "phone", "dealAmount")}
	})
}

// people are customers to change.
func people(b *killBench, n int) job {
	return b.fill([]string{"name", "email", "latitude", "longitude"}, n, false, func(i int) ([]string, string, bool) {
		return []string{fmt.Sprintf("Old %d", i), fmt.Sprintf("old%d@example.com", i), fmt.Sprintf("33.%05d", 10001+2*i), fmt.Sprintf("-79.%05d", 20001+2*i)}, "", false
	})
}

func editCustomers(b *killBench) job {
	j := b.edits(b.seed(people(b, 80)), "company", "city", "nosuchid99")
	j.args = []string{"--mode", "update"}
	return j
}

func customerFields(b *killBench) map[string]int {
	return b.effectsOf("customers", fields("company", "city"))
}

func upsertCustomers(b *killBench) job {
	b.seed(people(b, 50))
	j := b.upserts("name", "company")
	j.args = []string{"--mode", "upsert", "--key", "email"}
	return j
}

// upserts changes half of the seeded records and makes new ones, some of them in two rows.
func (b *killBench) upserts(name, field string) job {
	j := job{table: [][]string{{name, "email", field}}}
	last := map[string]int{}
	for n := 1; n <= b.rows(90); n++ {
		mail := fmt.Sprintf("new%d@example.com", n)
		if n%2 == 0 {
			mail = fmt.Sprintf("old%d@example.com", n/2)
		}
		if b.rng.IntN(12) == 0 && n > 2 {
			mail = j.table[1+b.rng.IntN(len(j.table)-1)][1]
		}
		cells := []string{"Who " + mail, mail, fmt.Sprintf("%s value %d", b.tag, n)}
		d := deed{rows: []int64{int64(n)}, print: strings.Join(cells, "|")}
		if k, ok := last[mail]; ok {
			j.deeds[k].over = true
		}
		last[mail] = len(j.deeds)
		j.table, j.deeds = append(j.table, cells), append(j.deeds, d)
	}
	return j
}

func customersByMail(b *killBench) map[string]int {
	return b.byMail("customers", "name", "email", "company")
}

// byMail counts records by their fields, and finds addresses that two records have.
func (b *killBench) byMail(kind string, names ...string) map[string]int {
	mails := map[string]int{}
	out := b.effectsOf(kind, func(m map[string]any) []string {
		mails[text(m, "email")]++
		return []string{texts(m, names...)}
	})
	for mail, n := range mails {
		if n > 1 {
			out["two records of "+mail] = n
		}
	}
	return out
}

func deleteCustomers(b *killBench) job {
	j := b.removals(b.seed(people(b, 100)))
	j.args = []string{"--mode", "delete"}
	return j
}

// newRoutes makes routes whose rows stand between each other's.

func newRoutes(b *killBench) job {
	seed := people(b, 30)
	ids := b.seed(seed)
	j := job{table: [][]string{{"routeName", "customerId"}}}
	type open struct{ at, left int }
	var going []open
	points := map[int][]string{}
	for made := 0; made < b.rows(45) || len(going) > 0; {
		if made < b.rows(45) && len(going) < 4 {
			j.deeds = append(j.deeds, deed{print: fmt.Sprintf("Route %d %s", made, b.tag)})
			going = append(going, open{made, 1 + b.rng.IntN(4)})
			made++
		}
		i := b.rng.IntN(len(going))
		g, who := &going[i], b.rng.IntN(len(ids))
		d := &j.deeds[g.at]
		name, _, _ := strings.Cut(d.print, "|")
		j.table = append(j.table, []string{name, ids[who]})
		d.rows = append(d.rows, int64(len(j.table)-1))
		points[g.at] = append(points[g.at], seed.table[who+1][2]+","+seed.table[who+1][3])
		if g.left--; g.left == 0 {
			d.print += "|" + strings.Join(points[g.at], ";")
			going = slices.Delete(going, i, i+1)
		}
	}
	return j
}

func routes(b *killBench) map[string]int {
	return b.effectsOf("routes", func(m map[string]any) []string {
		var points []string
		list, _ := m["points"].([]any)
		for _, p := range list {
			points = append(points, fmt.Sprint(p))
		}
		return []string{text(m, "name") + "|" + strings.Join(points, ";")}
	})
}

// MyCRM.

func leadHeader() []string {
	return strings.Split("first_name,last_name,email,mobile,city,title,category,country,status,source,source_channel,financial,"+
		"preference.types,preference.locations,preference.amenities,preference.offering_type,preference.from_price,preference.to_price", ",")
}

func leadCells(first, last, email, mobile, city string) []string {
	return append([]string{first, last, email, mobile, city}, strings.Split("mr,residential,AE,prospect,offline,walkIn,cash,2,are.2.15,1,sale,120000,125000", ",")...)
}

func newLeads(b *killBench) job {
	return b.fill(leadHeader(), 110, true, func(i int) ([]string, string, bool) {
		c := leadCells(fmt.Sprint("First", i), "Last "+b.tag, fmt.Sprintf("lead%d@example.com", i), fmt.Sprintf("+97150%07d", i), "Dubai")
		if i%13 == 7 {
			c[3] = fmt.Sprintf("+97150%07d", i-1) // one who shares a phone
		}
		if i%17 == 3 {
			c[2] = ""
		}
		print := strings.Join(c[:5], "|")
		bad := b.bad()
		if bad {
			c[8] = "nosuchstatus"
		}
		return c, print, bad
	})
}

func leads(b *killBench) map[string]int {
	return b.effectsOf("leads", func(m map[string]any) []string {
		return []string{texts(m, "first_name", "last_name", "email", "mobile", "city")}
	})
}

func oldLeads(b *killBench, n int) []string {
	return b.seed(b.fill(leadHeader(), n, false, func(i int) ([]string, string, bool) {
		return leadCells(fmt.Sprint("Old", i), "Lead", fmt.Sprintf("old%d@example.com", i), fmt.Sprintf("+97155%07d", i), ""), "", false
	}))
}

func editLeads(b *killBench) job {
	j := b.edits(oldLeads(b, 70), "address", "city", "99999999")
	j.args = []string{"--mode", "update"}
	return j
}

func leadFields(b *killBench) map[string]int {
	return b.effectsOf("leads", fields("address", "city", "status"))
}

func patchLeads(b *killBench) job {
	ids := oldLeads(b, 300)
	states := []string{"qualified", "viewingsInProgress", "contractSent", "notReady"}
	j := job{args: []string{"--mode", "patch"}, table: [][]string{{"id", "status"}}}
	for i, id := range ids {
		s := states[b.rng.IntN(len(states))]
		bad := i%140 == 90
		if bad {
			id = "99999999"
		}
		j.table = append(j.table, []string{id, s})
		j.deeds = append(j.deeds, deed{rows: []int64{int64(i + 1)}, print: id + " status=" + s, bad: bad})
	}
	return j
}

func deleteLeads(b *killBench) job {
	j := b.removals(oldLeads(b, 100))
	j.args = []string{"--mode", "delete"}
	return j
}

// Lunar Send.

func newContacts(b *killBench) job { return manyContacts(b, true) }

// loneContacts have no twins, which this version of the API refuses.
func loneContacts(b *killBench) job { return manyContacts(b, false) }

func manyContacts(b *killBench, twins bool) job {
	return b.fill([]string{"first_name", "last_name", "email", "phone", "company"}, 110, twins, func(i int) ([]string, string, bool) {
		c := []string{fmt.Sprint("First", i), "Last " + b.tag, fmt.Sprintf("c%d@example.com", i), fmt.Sprintf("+1843555%04d", i), "Éclair & Sons"}
		if i%17 == 3 {
			c[3], c[4] = "", ""
		}
		bad := b.bad()
		if bad {
			c[2] = "no address"
		}
		return c, strings.Join(c, "|"), bad
	})
}

func contacts(b *killBench) map[string]int {
	return b.effectsOf("contacts", func(m map[string]any) []string {
		return []string{texts(m, "first_name", "last_name", "email", "phone", "company")}
	})
}

func oldContacts(b *killBench, n int) []string {
	return b.seed(b.fill([]string{"first_name", "email"}, n, false, func(i int) ([]string, string, bool) {
		return []string{fmt.Sprint("Old", i), fmt.Sprintf("old%d@example.com", i)}, "", false
	}))
}

func editContacts(b *killBench) job {
	ids := oldContacts(b, 80)
	j := job{args: []string{"--mode", "update"}, table: [][]string{{"id", "phone"}}}
	last := map[string]int{}
	for n := 1; n <= b.rows(90); n++ {
		id := ids[n%len(ids)]
		if b.rng.IntN(12) == 0 {
			id = ids[b.rng.IntN(len(ids))]
		}
		phone := fmt.Sprintf("+1843%d%04d", 100+len(b.tag), n)
		bad := b.bad()
		if bad {
			id = "12345678901234567890"
		}
		if k, ok := last[id]; ok && !bad {
			j.deeds[k].over = true
		}
		last[id] = len(j.deeds)
		j.table = append(j.table, []string{id, phone})
		j.deeds = append(j.deeds, deed{rows: []int64{int64(n)}, print: id + " phone=" + phone, bad: bad})
	}
	return j
}

func contactFields(b *killBench) map[string]int { return b.effectsOf("contacts", fields("phone")) }

func deleteContacts(b *killBench) job {
	j := b.removals(oldContacts(b, 100))
	j.args = []string{"--mode", "delete"}
	return j
}

func upsertContacts(b *killBench) job {
	oldContacts(b, 50)
	j := b.upserts("first_name", "company")
	j.args = []string{"--mode", "upsert", "--key", "email"}
	return j
}

func contactsByMail(b *killBench) map[string]int {
	return b.byMail("contacts", "first_name", "email", "company")
}
