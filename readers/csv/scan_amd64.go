package csv

// findBlocks writes two words for each block of 64 bytes: sixteen bytes at a time, with instructions that every amd64
// processor has.
//
//go:noescape
func findBlocks(quotes, ends *uint64, data *byte, blocks int, delim, quote byte)

// blocks writes the words of each whole block of data.
func (k *marks) blocks(quotes, ends []uint64, data []byte) {
	n := len(data) / blockSize
	if n == 0 {
		return
	}
	_, _ = quotes[n-1], ends[n-1]
	findBlocks(&quotes[0], &ends[0], &data[0], n, k.delim, k.quote)
}
