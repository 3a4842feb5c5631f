// Package disk hands large files to the disk while they grow, on Linux; elsewhere it does nothing, and the sync at the end writes
// all of a file. What goes wrong shows at that sync.
package disk

import "os"

// Every is how many bytes are worth a call of Begin.
const Every = 4 << 20

// Begin has the system write the bytes of f from one place to another to the disk, without waiting for it, so that little is
// left to wait for at the next sync.
func Begin(f *os.File, from, to int64) { begin(f, from, to) }

// LetGo gives back the memory of what stands before a place in f and is on the disk. The system uses it for what comes next: a file
// larger than the cache would push everything else out, and memory that is new to a virtual machine costs ten times what
// used memory does.
func LetGo(f *os.File, to int64) { letGo(f, to) }
