package delivery

import (
	"context"
	"sync"
)

// Locks lets one goroutine at a time hold a number. The zero value is ready.
type Locks struct {
	mu   sync.Mutex
	held map[uint64]*lock
}

type lock struct {
	users int
	turn  chan struct{}
}

// Take waits for n; the function it returns gives it back.
func (l *Locks) Take(ctx context.Context, n uint64) (func(), error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[uint64]*lock{}
	}
	x := l.held[n]
	if x == nil {
		x = &lock{turn: make(chan struct{}, 1)}
		l.held[n] = x
	}
	x.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if x.users--; x.users == 0 {
			delete(l.held, n)
		}
	}
	select {
	case x.turn <- struct{}{}:
		return func() { <-x.turn; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}

// Taken reports whether somebody holds n or waits for it.
func (l *Locks) Taken(n uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[n] != nil
}
