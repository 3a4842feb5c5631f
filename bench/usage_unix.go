//go:build unix

package main

import (
	"os"
	"runtime"
	"syscall"
)

// peak is the most memory that a process has had, in MiB.
func peak(p *os.ProcessState) int64 {
	u, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss) >> 20 //nolint:unconvert // other systems have another width
	}
	return int64(u.Maxrss) >> 10 //nolint:unconvert // the same
}
