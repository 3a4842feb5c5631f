package pipeline

import (
	"math/rand/v2"
	"testing"
)

// TestHolders gives loads keys, of few different ones and of many, ends loads in any order, and holds what is waited for
// against a plain map.
func TestHolders(t *testing.T) {
	for _, kinds := range []uint64{3, 40, 5000} {
		r := rand.New(rand.NewPCG(kinds, 1))
		var h holders
		last := map[uint64]*load{} // who held a key last
		var open []*load
		end := func(i int) {
			close(open[i].ready)
			open = append(open[:i], open[i+1:]...)
		}
		for range 3000 {
			l := &load{ready: make(chan struct{})}
			mine := map[uint64]bool{}
			for range r.IntN(30) {
				k := r.Uint64N(kinds) * 0x9e3779b97f4a7c15
				l.keys = append(l.keys, k)
				mine[k] = true
			}
			// What l has to wait for ends while it waits, and nothing else does.
			need := map[*load]bool{}
			for k := range mine {
				if before := last[k]; before != nil && !before.done() {
					need[before] = true
				}
				last[k] = l
			}
			held := make(chan struct{})
			go func() { h.hold(l); close(held) }()
			for len(need) > 0 {
				select {
				case <-held:
					t.Fatalf("of %d kinds: a load did not wait for all %d earlier ones that share a key with it", kinds, len(need))
				default:
				}
				for i, x := range open {
					if need[x] {
						delete(need, x)
						end(i)
						break
					}
				}
			}
			<-held // it waits for nothing else, or this never ends
			open = append(open, l)
			for len(open) > r.IntN(20) {
				end(r.IntN(len(open)))
			}
		}
	}
}
