package netpoll

import (
	"os"
	"syscall"
	"unsafe"
)

// Turn lets a goroutine that has much to do give others a turn, those that wait for the
// network before all: where all processors are busy, the runtime looks for what has come
// from the network every 10 ms only, also if goroutines yield. It serves one goroutine at a
// time. On systems other than Linux, and on nil, it has no effect.
type Turn struct {
	file *os.File // an eventfd, which the runtime's own poller watches
	rc   syscall.RawConn
	made bool // the event is made
	wait func(fd uintptr) bool
}

// NewTurn returns a Turn, nil if the system has none left.
func NewTurn() *Turn {
	fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		return nil
	}
	t := &Turn{file: os.NewFile(fd, "eventfd")}
	rc, err := t.file.SyscallConn()
	if err != nil {
		t.file.Close()
		return nil
	}
	t.rc, t.wait = rc, t.happened
	return t
}

// Give waits for an event that is there at once. To find it the runtime has to look at the
// network, and what else it finds there has come before.
func (t *Turn) Give() {
	if t != nil {
		t.made = false
		_ = t.rc.Read(t.wait) // without a poller, or after Close, it does not wait
	}
}

// happened makes the event, to be waited for, or takes it.
func (t *Turn) happened(fd uintptr) bool {
	n := uint64(1)
	if t.made {
		_, _, _ = syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&n)), unsafe.Sizeof(n))
		return true
	}
	t.made = true
	_, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&n)), unsafe.Sizeof(n))
	return errno != 0
}

// Close gives up what it takes, once nobody gives turns any more.
func (t *Turn) Close() {
	if t != nil {
		t.file.Close()
	}
}
