package xlsx

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// pressed compresses data, written in pieces of so many bytes, with so many goroutines.
func pressed(t *testing.T, data []byte, piece, most int) []byte {
	t.Helper()
	var out bytes.Buffer
	d := &deflater{out: &out, most: most}
	for len(data) > 0 {
		n := min(piece, len(data))
		if k, err := d.Write(data[:n]); k != n || err != nil {
			t.Fatalf("%d of %d bytes, error %v", k, n, err)
		}
		data = data[n:]
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDeflater(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 3*blockSize+17)
	for i := range data {
		data[i] = "<row>0123456789 abc"[r.IntN(19)]
	}
	for _, size := range []int{0, 1, blockSize - 1, blockSize, blockSize + 1, 2 * blockSize, len(data)} {
		want := pressed(t, data[:size], size+1, 1)
		got, err := io.ReadAll(flate.NewReader(bytes.NewReader(want)))
		if err != nil || !bytes.Equal(got, data[:size]) {
			t.Fatalf("%d bytes came back as %d, error %v", size, len(got), err)
		}
		for _, piece := range []int{1000, 64 << 10, blockSize, len(data)} {
			for _, most := range []int{1, 2, 8} {
				if !bytes.Equal(pressed(t, data[:size], piece, most), want) {
					t.Errorf("%d bytes in pieces of %d with %d goroutines are compressed in another way", size, piece, most)
				}
			}
		}
	}
}

func TestDeflaterErrors(t *testing.T) {
	broken := errors.New("no room")
	for room := range 3 {
		d := &deflater{out: &short{room, broken}, most: 2}
		var err error
		for range 8 {
			if err == nil {
				_, err = d.Write(make([]byte, blockSize))
			}
		}
		if err == nil {
			err = d.Close()
		}
		if !errors.Is(err, broken) {
			t.Errorf("room for %d writes: error %v", room, err)
		}
	}
}

// short takes so many writes.
type short struct {
	room int
	err  error
}

func (s *short) Write(p []byte) (int, error) {
	if s.room--; s.room < 0 {
		return 0, s.err
	}
	return len(p), nil
}
