//go:build unix

package front

import "syscall"

// canPeek says that connections can be looked at on this system.
const canPeek = true

// peek waits for the connection to say something, or to end, and returns a buffer
// with what can be read of it now; nil when the deadline passes first. A silent
// connection occupies no buffer.
func peek(c conn) (d *buffer) {
	rc, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	err = rc.Read(func(fd uintptr) bool {
		d = buffers.Get().(*buffer)
		n, _, err := syscall.Recvfrom(int(fd), d.head[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		d.peeked = max(n, 0)
		if err != syscall.EAGAIN && err != syscall.EINTR {
			return true
		}
		buffers.Put(d)
		d = nil
		return false
	})
	if err != nil && d != nil {
		buffers.Put(d)
		d = nil
	}
	return d
}
