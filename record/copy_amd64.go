package record

import "unsafe"

// copyWatched copies n bytes, 1 or more: sixteen at a time, with instructions that every amd64 processor has.
//
//go:noescape
func copyWatched(dst, src *byte, n int, w *Watch) sighting

// copy copies s, which is not empty, to dst, which is as long.
func (w *Watch) copy(dst []byte, s string) sighting {
	return copyWatched(&dst[0], unsafe.StringData(s), len(s), w)
}
