//go:build !amd64

package csv

// blocks writes the words of each whole block of data, the first of them at place at.
func (k *marks) blocks(w *window, at int, data []byte) { k.portable(w, at, data) }
