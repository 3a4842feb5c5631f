package delivery

import "slices"

// hashes is a bag of hashes that grows by eight bytes each: what a run has made is remembered to its end, and asked for
// only when an answer was lost.
type hashes struct {
	list   []uint64
	sorted int // so many at the beginning are in order
}

func (h *hashes) add(x uint64) { h.list = append(h.list, x) }

// count returns how often x was added.
func (h *hashes) count(x uint64) int {
	if h.sorted < len(h.list) {
		slices.Sort(h.list)
		h.sorted = len(h.list)
	}
	first, _ := slices.BinarySearch(h.list, x)
	n := 0
	for first+n < len(h.list) && h.list[first+n] == x {
		n++
	}
	return n
}
