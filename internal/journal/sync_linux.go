package journal

import (
	"errors"
	"os"
	"syscall"
)

// syncFile makes a file's data durable, and of what is known about it only what is needed to find the data again.
func syncFile(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "sync", Path: f.Name(), Err: err}
		}
		return nil
	}
}
