package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Mapp Connect, of which every event that was taken is kept as it came.

func mappEvents(b *killBench) map[string]int {
	return b.effectsOf("inbox", func(m map[string]any) []string {
		e, _ := m["event"].(map[string]any)
		return []string{printEvent(e)}
	})
}

// printEvent writes an event with its members in order of their names.
func printEvent(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+"="+printEvent(v[k]))
		}
		return "{" + strings.Join(parts, " ") + "}"
	case []any:
		var parts []string
		for _, x := range v {
			parts = append(parts, printEvent(x))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprint(v)
}

func mappUsers(b *killBench) job {
	j := b.fill([]string{"email", "firstName:CORE", "group"}, 200, false, func(i int) ([]string, string, bool) {
		c := []string{fmt.Sprintf("u%d@example.com", i), "Name " + b.tag, "10144"}
		bad := b.bad()
		if bad {
			c[0] = "no address"
		}
		return c, printEvent(map[string]any{"email": c[0], "firstName:CORE": c[1], "group": c[2]}), bad
	})
	j.args = []string{"--batch-size", "6"}
	return j
}

func mappMails(b *killBench) job {
	j := b.fill([]string{"email", "messageId", "first"}, 200, true, func(i int) ([]string, string, bool) {
		c := []string{fmt.Sprintf("m%d@example.com", i), "2324333335", fmt.Sprint(b.tag, " ", i)}
		bad := b.bad()
		if bad {
			c[0] = "no address"
		}
		return c, printEvent(map[string]any{"email": c[0], "messageId": c[1], "first": c[2]}), bad
	})
	j.args = []string{"--batch-size", "6"}
	return j
}

func mappRelated(b *killBench) job {
	j := b.fill([]string{"datasetName", "key", "attributes.description"}, 200, true, func(i int) ([]string, string, bool) {
		c := []string{"list" + b.tag, fmt.Sprint(i % 50), fmt.Sprint("entry ", i)}
		return c, printEvent(map[string]any{"datasetName": c[0], "key": c[1], "importMode": "add", "attributes": map[string]any{"description": c[2]}}), false
	})
	j.args = []string{"--batch-size", "6"}
	return j
}

// mappOrders makes orders of one to four items whose rows stand between each other's.
func mappOrders(b *killBench) job {
	j := job{args: []string{"--batch-size", "5"}, table: [][]string{{"orderId", "email", "items.sku", "items.qty_ordered"}}}
	const orders, among = 150, 5
	var items [orders][]any
	left := make([]int, orders)
	for i := range left {
		left[i] = 1 + b.rng.IntN(4)
		j.deeds = append(j.deeds, deed{})
	}
	for first := 0; first < orders; {
		i := first + b.rng.IntN(min(among, orders-first))
		if left[i] == 0 {
			if i == first {
				first++
			}
			continue
		}
		left[i]--
		id, sku := fmt.Sprintf("%s-%05d", b.tag, i), fmt.Sprintf("00%d-%d", i, len(items[i]))
		j.table = append(j.table, []string{id, fmt.Sprintf("u%d@example.com", i), sku, fmt.Sprint(1 + i%3)})
		items[i] = append(items[i], map[string]any{"sku": sku, "qty_ordered": fmt.Sprint(1 + i%3)})
		d := &j.deeds[i]
		d.rows = append(d.rows, int64(len(j.table)-1))
		d.print = printEvent(map[string]any{"orderId": id, "email": fmt.Sprintf("u%d@example.com", i), "items": items[i]})
	}
	return j
}
