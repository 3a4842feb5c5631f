//go:build !amd64

package csv

// blocks writes the words of each whole block of data.
func (k *marks) blocks(quotes, ends []uint64, data []byte) { k.portable(quotes, ends, data) }
