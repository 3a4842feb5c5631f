//go:build unix

package main

import (
	"os"
	"runtime"
	"syscall"
)

// peak is the most memory that a process has had, in MiB. On Linux that is at least what this process had when it began
// the other one.
func peak(p *os.ProcessState) int64 {
	u, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return mebibytes(u)
}

// ownPeak is the most memory that this process has had.
func ownPeak() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return mebibytes(&u)
}

func mebibytes(u *syscall.Rusage) int64 {
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss) >> 20 //nolint:unconvert // other systems have another width
	}
	return int64(u.Maxrss) >> 10 //nolint:unconvert // the same
}
