package fastpath

import (
	"syscall"
	"unsafe"
)

// recv is one recv(2), and does not wait. It bypasses the scheduler's bookkeeping for system
// calls that may.
func recv(fd uintptr, b []byte, flags uintptr) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd,
		uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), flags|syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// canPoll says whether polls are served on this system.
const canPoll = true

// hungUp reports whether nothing more will come than can be read already.
func hungUp(fd uintptr) bool {
	type pollfd struct {
		fd              int32
		events, revents int16
	}
	const rdhup, failed, hup = 0x2000, 0x8, 0x10 // POLLRDHUP, POLLERR, POLLHUP
	p, now := pollfd{fd: int32(fd), events: rdhup}, syscall.Timespec{}
	n, _, _ := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return n == 1 && p.revents&(rdhup|failed|hup) != 0
}

// send is one send(2) likewise.
func send(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd,
		uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
