//go:build unix

package api

import (
	"errors"
	"net"
	"syscall"
)

// alive reports whether the other side has not closed a connection yet, and whether something came that was not read. The transport learns that from a goroutine of
// its own, which may be late; asked right before a write, the answer saves many a record from an unknown outcome.
func alive(nc net.Conn) (open, unread bool) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return true, false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return true, false
	}
	dead := false
	err = rc.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK) // the descriptor does not block
		switch {
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, syscall.EINTR):
		case err != nil, n == 0:
			dead = true
		default:
			unread = true
		}
	})
	return err == nil && !dead, unread
}
