package csv

// findBlocks writes three words for each block of 64 bytes: sixteen bytes at a time, with instructions that every amd64
// processor has.
//
//go:noescape
func findBlocks(quotes, ends, wide *uint64, data *byte, blocks int, delim, quote byte)

// blocks writes the words of each whole block of data, the first of them at place at.
func (k *marks) blocks(w *window, at int, data []byte) {
	if n := len(data) / blockSize; n > 0 {
		_ = w.ends[at+n-1]
		findBlocks(&w.quotes[at], &w.ends[at], &w.wide[at], &data[0], n, k.delim, k.quote)
	}
}
