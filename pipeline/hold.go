package pipeline

import "time"

// settleTime is how long a call that broke off, or that the process which made it did not outlive, may still be on its
// way to the vendor. What is written later about the same record must not be overtaken by it.
const settleTime = 3 * time.Second

// holders knows which loads hold which keys, by the keys' hashes. Two keys with one hash wait for each other in vain, which
// does no harm. A load that is done holds nothing any more: what the table has of it lapses by itself, and goes when the
// table is made anew.
type holders struct {
	loads []*load // in the order of their numbers, without gaps; those in front that are done go
	first int64   // the number of loads[0], from 1
	slots []slot  // open addressing; the length is a power of two
	used  int     // slots that are not empty

	late map[uint64]time.Time // keys of loads that are done and had late calls, and when those will have arrived
}

// slot says which load held a key last. It has no pointer: the collector need not look at the table.
type slot struct {
	key  uint64
	load int64 // its number; 0: the slot is empty
}

// leastSlots is how many slots a table has at least.
const leastSlots = 1 << 10

// hold waits for every earlier load that holds one of l's keys, and gives them to l. It returns when the late calls of
// those loads will have arrived.
func (h *holders) hold(l *load) (until time.Time) {
	if h.first == 0 {
		h.first = 1
	}
	for len(h.loads) > 0 && h.loads[0].done() {
		h.settle(h.loads[0])
		h.loads[0] = nil
		h.loads = h.loads[1:]
		h.first++
	}
	if 2*(h.used+len(l.keys)) > len(h.slots) {
		h.renew(len(l.keys))
	}
	until = h.arrival(l)
	h.loads = append(h.loads, l)
	number := h.first + int64(len(h.loads)) - 1
	for _, k := range l.keys {
		if before := h.take(k, number); before >= h.first && before < number {
			earlier := h.loads[before-h.first]
			<-earlier.ready
			until = latest(until, earlier.late)
		}
	}
	return until
}

// settle notes the late calls of a load that is done.
func (h *holders) settle(l *load) {
	if l.late.IsZero() {
		return
	}
	for _, k := range l.keys {
		h.await(k, l.late)
	}
}

// await notes when late calls about a key will have arrived.
func (h *holders) await(key uint64, until time.Time) {
	if key == 0 {
		return
	}
	if h.late == nil {
		h.late = map[uint64]time.Time{}
	}
	h.late[key] = latest(h.late[key], until)
}

// arrival returns when the late calls of loads that are settled and share a key with l will have arrived.
func (h *holders) arrival(l *load) (until time.Time) {
	if len(h.late) == 0 {
		return until
	}
	now := time.Now()
	for k, at := range h.late {
		if at.Before(now) {
			delete(h.late, k)
		}
	}
	for _, k := range l.keys {
		until = latest(until, h.late[k])
	}
	return until
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// take gives a key to a load and returns the number of the one that had it last, 0 if the table knows of none.
func (h *holders) take(key uint64, number int64) (before int64) {
	mask := uint64(len(h.slots) - 1)
	for i := key & mask; ; i = (i + 1) & mask {
		switch s := &h.slots[i]; {
		case s.load == 0:
			*s = slot{key, number}
			h.used++
			return 0
		case s.key == key:
			before, s.load = s.load, number
			return before
		}
	}
}

// renew makes a table of what is still held, with room for more keys.
func (h *holders) renew(more int) {
	keys := more
	for _, l := range h.loads {
		keys += len(l.keys)
	}
	size := leastSlots
	for size < 4*keys {
		size *= 2
	}
	if size == len(h.slots) {
		clear(h.slots)
	} else {
		h.slots = make([]slot, size)
	}
	h.used = 0
	for i, l := range h.loads {
		for _, k := range l.keys {
			h.take(k, h.first+int64(i))
		}
	}
}

// done reports whether the load has been through the sink.
func (l *load) done() bool {
	select {
	case <-l.ready:
		return true
	default:
		return false
	}
}
