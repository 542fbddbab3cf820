//go:build unix

package h2split

import (
	"net"
	"syscall"
)

// peek waits until the connection can be read from, and returns how it begins, which stays
// in the socket: no more than the preface, and nothing at its end or when its deadline
// passes first. It reports false where it cannot look.
func peek(c net.Conn) (start string, ok bool) {
	sc := socket(c)
	if sc == nil {
		return "", false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return "", false
	}
	_ = rc.Read(func(fd uintptr) bool { // at an error there is no start
		var b [len(preface)]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		start = string(b[:max(n, 0)])
		return err != syscall.EAGAIN && err != syscall.EINTR
	})
	return start, true
}

// socket returns the socket that c is, or is on top of, as NetConn of those above says; nil
// if there is none. Whoever is on top has read nothing yet.
func socket(c net.Conn) syscall.Conn {
	for c != nil {
		switch above := c.(type) {
		case syscall.Conn:
			return above
		case interface{ NetConn() net.Conn }:
			c = above.NetConn()
		default:
			return nil
		}
	}
	return nil
}
