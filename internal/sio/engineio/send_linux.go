package engineio

import (
	"net"
	"runtime"
	"syscall"
	"unsafe"
)

// maxFrames bounds the frames of one system call; the kernel takes 1024.
const maxFrames = 256

// scratch is what sending without waiting needs, kept to allocate nothing.
type scratch struct {
	spare  []*Message
	iov    [maxFrames]syscall.Iovec
	count  int
	sent   int
	errno  syscall.Errno
	onceFD func(fd uintptr) bool // s.send, made once
}

func (s *scratch) init() { s.onceFD = s.send }

// rawConn returns the handle for sending without waiting, or nil where that is
// not possible: in tests over pipes, and where encryption stands between.
func rawConn(c net.Conn) syscall.RawConn {
	if t, ok := c.(*net.TCPConn); ok {
		if rc, err := t.SyscallConn(); err == nil {
			return rc
		}
	}
	return nil
}

// trySend sends the frames of msgs, as many as the connection takes at once,
// and returns the bytes sent. Zero bytes without an error: it takes none now.
func (s *scratch) trySend(rc syscall.RawConn, msgs []*Message) (int, error) {
	s.count, s.sent, s.errno = 0, 0, 0
	for _, m := range msgs {
		if s.count == maxFrames {
			break
		}
		s.iov[s.count].Base = &m.frame[0]
		s.iov[s.count].SetLen(len(m.frame))
		s.count++
	}
	err := rc.Write(s.onceFD)
	clear(s.iov[:s.count])
	runtime.KeepAlive(msgs)
	switch {
	case err != nil:
		return 0, err
	case s.errno == syscall.EAGAIN || s.errno == syscall.EINTR:
		return 0, nil
	case s.errno != 0:
		return 0, s.errno
	}
	return s.sent, nil
}

// send is one sendmsg(2). It bypasses the scheduler's bookkeeping for system
// calls that may block: this one does not, and handing the processor over and
// back for each would cost half as much again as the call.
func (s *scratch) send(fd uintptr) bool {
	hdr := syscall.Msghdr{Iov: &s.iov[0], Iovlen: uint64(s.count)}
	n, _, errno := syscall.RawSyscall(syscall.SYS_SENDMSG, fd,
		uintptr(unsafe.Pointer(&hdr)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
	s.sent, s.errno = int(n), errno
	return true // never wait for writability here
}
