package csv

// findBlocks writes a word for each block of 64 bytes: sixteen bytes at a time, with instructions that every amd64
// processor has.
//
//go:noescape
func findBlocks(words *uint64, data *byte, blocks int, delim, quote byte)

// blocksOf writes a word for each whole block of data.
func (k *marks) blocksOf(words []uint64, data []byte) {
	n := len(data) / blockSize
	if n == 0 {
		return
	}
	_ = words[n-1]
	findBlocks(&words[0], &data[0], n, k.delim, k.quote)
}
