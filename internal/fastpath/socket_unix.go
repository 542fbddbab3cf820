//go:build unix && !linux

package fastpath

import "syscall"

// recv is one recv(2), and does not wait.
func recv(fd uintptr, b []byte, flags uintptr) (int, syscall.Errno) {
	n, _, err := syscall.Recvfrom(int(fd), b, int(flags)|syscall.MSG_DONTWAIT)
	if errno, ok := err.(syscall.Errno); ok { //nolint:errorlint // it is never wrapped
		return 0, errno
	}
	return n, 0
}

// canPoll says whether polls are served on this system.
const canPoll = false

func hungUp(uintptr) bool { return false }

func send(uintptr, []byte) (int, syscall.Errno) { return 0, syscall.EAGAIN }
