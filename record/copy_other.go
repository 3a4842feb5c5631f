//go:build !amd64

package record

// copy copies s, which is not empty, to dst, which is as long.
func (w *Watch) copy(dst []byte, s string) sighting { return w.portable(dst, s) }
