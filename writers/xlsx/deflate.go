package xlsx

import (
	"bytes"
	"io"
	"runtime"

	"github.com/klauspost/compress/flate"
)

// Sizes of the work of one goroutine, and how many work at most. A block's matches do not reach into the one before,
// which costs less than a percent of the size.
const (
	blockSize  = 256 << 10
	maxWorkers = 8
	level      = 5
)

// deflater compresses a stream block by block, side by side, and puts the blocks out in order: each ends on a byte, so
// that together they are one stream. The result does not depend on the number of goroutines.
type deflater struct {
	out   io.Writer
	at    *block   // the block that is being filled; nil before the first byte
	queue []*block // on their way, in order
	free  []*block
	most  int // blocks on their way
}

// block is a piece of the stream.
type block struct {
	in   []byte
	out  bytes.Buffer
	pack *flate.Writer
	done chan error // one result each time the block is used
}

// newDeflater is a zip.Compressor.
func newDeflater(out io.Writer) (io.WriteCloser, error) {
	return &deflater{out: out, most: min(runtime.GOMAXPROCS(0), maxWorkers)}, nil
}

// Write takes p into blocks.
func (d *deflater) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if d.at == nil {
			if err := d.next(); err != nil {
				return 0, err
			}
		}
		k := min(len(p), blockSize-len(d.at.in))
		d.at.in = append(d.at.in, p[:k]...)
		p = p[k:]
		if len(d.at.in) == blockSize {
			d.send()
		}
	}
	return n, nil
}

// next takes an empty block. If as many as may be are on their way, it puts out the first of them.
func (d *deflater) next() error {
	if len(d.queue) == d.most {
		if err := d.receive(); err != nil {
			return err
		}
	}
	if n := len(d.free); n > 0 {
		d.at, d.free = d.free[n-1], d.free[:n-1]
		return nil
	}
	b := &block{in: make([]byte, 0, blockSize), done: make(chan error, 1)}
	var err error
	if b.pack, err = flate.NewWriter(&b.out, level); err != nil {
		return err
	}
	d.at = b
	return nil
}

// send lets a goroutine compress the block.
func (d *deflater) send() {
	b := d.at
	d.at, d.queue = nil, append(d.queue, b)
	go func() { b.done <- b.compress() }()
}

func (b *block) compress() error {
	b.out.Reset()
	b.pack.Reset(&b.out)
	if _, err := b.pack.Write(b.in); err != nil {
		return err
	}
	return b.pack.Flush()
}

// receive puts out the first block on its way.
func (d *deflater) receive() error {
	b := d.queue[0]
	d.queue = append(d.queue[:0], d.queue[1:]...)
	if err := <-b.done; err != nil {
		return err
	}
	_, err := d.out.Write(b.out.Bytes())
	b.in = b.in[:0]
	d.free = append(d.free, b)
	return err
}

// Close puts out all that is left and ends the stream.
func (d *deflater) Close() error {
	if d.at != nil && len(d.at.in) > 0 {
		d.send()
	}
	for len(d.queue) > 0 {
		if err := d.receive(); err != nil {
			return err
		}
	}
	_, err := d.out.Write([]byte{3, 0}) // an empty last block
	return err
}
