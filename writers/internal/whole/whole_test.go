package whole

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestLargeFile writes a file larger than what is left in the system's cache, in pieces of odd lengths: each byte must come back.
func TestLargeFile(t *testing.T) {
	const words = 11 << 20 // of eight bytes
	path := filepath.Join(t.TempDir(), "large")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	var piece []byte
	for i, n := uint64(0), 1; i < words; i, n = i+uint64(n), n*7%50021 {
		piece = piece[:0]
		for k := range min(uint64(n), words-i) {
			piece = binary.LittleEndian.AppendUint64(piece, i+k)
		}
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}

	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	got, want := make([]byte, 1<<20), make([]byte, 0, 1<<20)
	for i := uint64(0); i < words; i += 1 << 17 {
		want = want[:0]
		for k := range uint64(1 << 17) {
			want = binary.LittleEndian.AppendUint64(want, i+k)
		}
		if _, err := io.ReadFull(f, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("the megabyte from word %d on is not what was written; error %v", i, err)
		}
	}
	if n, err := f.Read(got); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d more bytes, error %v", n, err)
	}
}
