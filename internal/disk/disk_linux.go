package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// reach is how far back LetGo looks for what the disk has by now. A slow disk has less of it, and what it does not have stays.
const reach = 64 << 20

func begin(f *os.File, from, to int64) {
	_ = unix.SyncFileRange(int(f.Fd()), from, to-from, unix.SYNC_FILE_RANGE_WRITE)
}

func letGo(f *os.File, to int64) {
	from := max(0, to-reach)
	_ = unix.Fadvise(int(f.Fd()), from, to-from, unix.FADV_DONTNEED)
}
