package whole

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	// stays is how much of what was written last is left in the system's cache. A file that is no larger stays there whole:
	// whoever opens it next need not wait for the disk.
	stays = 16 << 20
	// lets is how far back is looked for what the disk has by now. A slow disk has less of it, and what it does not have stays.
	lets = 64 << 20
)

// passOn has the system begin to write the bytes from one place in the file to another to the disk, without waiting for it, so
// that little is left to wait for at the end. The memory of what the disk has already is given back, and the system uses it
// for what comes next: a file larger than the cache would push everything else out, and memory that is new to a virtual
// machine costs ten times what used memory does. What goes wrong shows at the end.
func passOn(f *os.File, from, to int64) {
	fd := int(f.Fd())
	_ = unix.SyncFileRange(fd, from, to-from, unix.SYNC_FILE_RANGE_WRITE)
	if end := to - stays; end > 0 {
		begin := max(0, end-lets)
		_ = unix.Fadvise(fd, begin, end-begin, unix.FADV_DONTNEED)
	}
}
