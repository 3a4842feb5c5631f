//go:build !amd64

package csv

// blocksOf writes a word for each whole block of data.
func (k *marks) blocksOf(words []uint64, data []byte) { k.portable(words, data) }
