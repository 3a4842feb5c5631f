package lunarsend

import (
	"slices"
	"strings"
	"sync"

	"github.com/zeebo/xxh3"
)

// made counts the contacts that this process made with one address: a lookup by the address, which is all that the
// vendor offers, must not take one of them for another row's.
type made struct {
	n       int64    // accepted
	perhaps int64    // left unsure
	ids     []uint64 // hashes of the contacts' ids, as far as the vendor has told them
}

// inventory keeps what was made by the hash of its address. Most addresses come once, and of those nothing is kept but
// the hash of the contact's id: a file may have millions. Its methods are safe for many goroutines.
type inventory struct {
	mu      sync.Mutex
	once    map[uint64]uint64 // address → contact; 0: its id is not known
	several map[uint64]made   // addresses that came twice, or that are in doubt
	example string            // the id of one contact
}

func newInventory() *inventory {
	return &inventory{once: map[uint64]uint64{}, several: map[uint64]made{}}
}

// of returns what was made with an address.
func (k *inventory) of(print uint64) made {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.get(print)
	m.ids = slices.Clone(m.ids)
	return m
}

func (k *inventory) get(print uint64) made {
	if id, ok := k.once[print]; ok {
		m := made{n: 1}
		if id != 0 {
			m.ids = []uint64{id}
		}
		return m
	}
	return k.several[print]
}

// put keeps what was made with an address that is no longer one of the many.
func (k *inventory) put(print uint64, m made) {
	delete(k.once, print)
	k.several[print] = m
}

// made notes a contact; id may be unknown.
func (k *inventory) made(print uint64, id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	hash := uint64(0)
	if id != "" {
		hash = xxh3.HashString(id)
		if k.example == "" {
			k.example = strings.Clone(id)
		}
	}
	m := k.get(print)
	if m.n == 0 && m.perhaps == 0 {
		k.once[print] = hash
		return
	}
	if m.n++; hash != 0 {
		m.ids = append(m.ids, hash)
	}
	k.put(print, m)
}

// perhaps notes a contact that may have been made, and of which nobody will know.
func (k *inventory) perhaps(print uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.get(print)
	m.perhaps++
	k.put(print, m)
}

// has reports whether an earlier row with the address has that contact.
func (k *inventory) has(print uint64, id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Contains(k.get(print).ids, xxh3.HashString(id))
}

// sample is the id of a contact that this run made, "" if there is none.
func (k *inventory) sample() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.example
}
