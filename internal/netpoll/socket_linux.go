package netpoll

import (
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// socket is a TCP connection's Socket.
type socket struct {
	rc     syscall.RawConn
	poller *Poller

	// Written by the first Watch, before anybody else can know the slot.
	watched    bool
	slot       int32
	generation int32

	known atomic.Bool // epoll has the descriptor, or is just about to
}

func (p *Poller) tcpSocket(c *net.TCPConn) Socket {
	rc, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return &socket{rc: rc, poller: p}
}

// Vector is what [Socket.TryWrite] needs to allocate nothing. The zero value is
// ready; it serves one call at a time.
type Vector struct {
	buffers [MaxBuffers]syscall.Iovec
	sending sending
}

// TryWrite implements [Socket]. It does not go through RawConn.Write, which prepares to
// wait: a tenth of what a short write takes.
func (s *socket) TryWrite(v *Vector, bufs [][]byte) (int, error) {
	bufs = bufs[:min(len(bufs), MaxBuffers)]
	buffers := v.buffers[:len(bufs)]
	lay(buffers, bufs)
	n, err := s.send(&v.sending, buffers)
	clear(buffers)
	runtime.KeepAlive(bufs)
	return n, err
}

// lay has buffers refer to what bufs hold.
func lay(buffers []syscall.Iovec, bufs [][]byte) {
	for i := range buffers {
		buffers[i].Base = &bufs[i][0]
		buffers[i].SetLen(len(bufs[i]))
	}
}

// sending is one sendmsg(2).
type sending struct {
	buffers []syscall.Iovec
	sent    int
	errno   syscall.Errno
	make    func(fd uintptr) // c.sendmsg, made once
}

// send makes one write, and allocates nothing but in the first call with c.
func (s *socket) send(c *sending, buffers []syscall.Iovec) (int, error) {
	if c.make == nil {
		c.make = c.sendmsg
	}
	c.buffers = buffers
	err := s.rc.Control(c.make)
	c.buffers = nil
	if err != nil {
		return 0, err
	}
	return outcome(c.sent, c.errno)
}

// outcome is the result of one send: an errno that says to come again is none.
func outcome(sent int, errno syscall.Errno) (int, error) {
	switch errno {
	case 0:
		return sent, nil
	case syscall.EAGAIN, syscall.EINTR:
		return 0, nil
	}
	return 0, errno
}

// sendFlags have a send neither wait nor raise a signal.
const sendFlags = syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL

// sendmsg is one sendmsg(2). It bypasses the scheduler's bookkeeping for system
// calls that may block: this one does not, and handing the processor over and
// back for each would cost half as much again as the call.
func (c *sending) sendmsg(fd uintptr) {
	var n uintptr
	if len(c.buffers) == 1 { // as a rule, and the kernel has less to look at
		n, _, c.errno = syscall.RawSyscall6(syscall.SYS_SENDTO, fd,
			uintptr(unsafe.Pointer(c.buffers[0].Base)), uintptr(c.buffers[0].Len), sendFlags, 0, 0)
	} else {
		hdr := syscall.Msghdr{Iov: &c.buffers[0], Iovlen: uint64(len(c.buffers))}
		n, _, c.errno = syscall.RawSyscall(syscall.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&hdr)), sendFlags)
	}
	c.sent = int(n)
}

// Silent implements [Socket]. It does not go through RawConn.Read, which would wait
// for an AwaitInput, or a read, that is under way.
func (s *socket) Silent() bool {
	silent := false
	err := s.rc.Control(func(fd uintptr) { silent = nothing(fd) })
	return err == nil && silent
}

// AwaitInput implements [Socket].
func (s *socket) AwaitInput() {
	_ = s.rc.Read(func(fd uintptr) bool { return !nothing(fd) }) // the next read finds the error too
}

// nothing reports whether a read would wait.
func nothing(fd uintptr) bool {
	var b byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1,
		syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return errno == syscall.EAGAIN
}

// Watch implements [Socket].
func (s *socket) Watch(c *Conn) bool {
	if !s.watched {
		s.slot, s.generation, s.watched = s.poller.add(c)
	}
	return s.watched
}

// Arm implements [Socket]. A late call, after another reader's, does no harm: all
// calls say the same, and who is called back looks at the state.
func (s *socket) Arm() bool {
	ev := syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT,
		Fd:     s.slot, Pad: s.generation,
	}
	op := syscall.EPOLL_CTL_ADD
	if s.known.Swap(true) {
		op = syscall.EPOLL_CTL_MOD
	}
	var err error
	e := s.rc.Control(func(fd uintptr) {
		err = syscall.EpollCtl(s.poller.fd, op, int(fd), &ev)
		switch { // another reader's call was faster, or is still to come
		case err == syscall.EEXIST:
			err = syscall.EpollCtl(s.poller.fd, syscall.EPOLL_CTL_MOD, int(fd), &ev)
		case err == syscall.ENOENT:
			err = syscall.EpollCtl(s.poller.fd, syscall.EPOLL_CTL_ADD, int(fd), &ev)
		}
	})
	return e == nil && err == nil
}

// Unwatch implements [Socket]. Closing the descriptor takes it from epoll.
func (s *socket) Unwatch() {
	if s.watched {
		s.poller.remove(s.slot)
	}
}
