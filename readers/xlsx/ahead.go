package xlsx

import (
	"io"
	"sync"
)

const (
	aheadSize   = 64 << 10 // bytes of a block
	aheadBlocks = 4
)

// ahead reads a stream in a goroutine of its own, a few blocks before they are asked for: inflating is a third of the
// work of reading a workbook, and need not wait for the rest.
type ahead struct {
	full chan []byte
	free chan []byte
	quit chan struct{}
	done sync.WaitGroup
	err  error  // how the stream ended; to be read when full is closed
	now  []byte // the block that is handed out, and what is left of it
	rest []byte
}

func newAhead(r io.Reader) *ahead {
	a := &ahead{full: make(chan []byte, aheadBlocks), free: make(chan []byte, aheadBlocks), quit: make(chan struct{})}
	for range aheadBlocks {
		a.free <- make([]byte, aheadSize)
	}
	a.done.Go(func() { a.run(r) })
	return a
}

func (a *ahead) run(r io.Reader) {
	defer close(a.full)
	for {
		var block []byte
		select {
		case block = <-a.free:
		case <-a.quit:
			a.err = io.ErrClosedPipe
			return
		}
		n := 0
		for n < len(block) && a.err == nil {
			var m int
			m, a.err = r.Read(block[n:])
			n += m
		}
		a.full <- block[:n]
		if a.err != nil {
			return
		}
	}
}

// Read hands out what was read. The error that ended the stream comes after everything before it.
func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.now != nil {
			a.free <- a.now[:cap(a.now)]
			a.now = nil
		}
		block, ok := <-a.full
		if !ok {
			return 0, a.err
		}
		a.now, a.rest = block, block
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// stop ends the goroutine and waits for it. Nothing may be read after it.
func (a *ahead) stop() {
	close(a.quit)
	a.done.Wait()
}
