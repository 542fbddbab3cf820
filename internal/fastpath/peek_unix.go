//go:build unix

package fastpath

import "syscall"

// canPeek says whether this system can peek at connections.
const canPeek = true

// peek waits until the connection can be read from, or has ended, and returns a
// buffer with what can be read now, which stays in the socket; nil when the
// deadline passes first. A connection that waits occupies no buffer.
func peek(c socket) (b *buffer) {
	rc, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	err = rc.Read(func(fd uintptr) bool {
		b = buffers.Get().(*buffer)
		n, _, err := syscall.Recvfrom(int(fd), b.head[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		b.peeked = max(n, 0)
		if err != syscall.EAGAIN && err != syscall.EINTR {
			return true
		}
		b.release()
		b = nil
		return false
	})
	if err != nil && b != nil {
		b.release()
		b = nil
	}
	return b
}
