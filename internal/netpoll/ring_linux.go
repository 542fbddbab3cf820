package netpoll

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

// ring is an io_uring: requests that the kernel serves together, in one system call
// (io_uring_setup(2), io_uring_enter(2); the layouts are those of linux/io_uring.h). It
// serves one goroutine at a time.
type ring struct {
	fd               uintptr
	rings, submitted []byte // mapped: the two rings, and the requests
	broken           bool   // it serves nothing any more

	tail         *uint32 // of requests, ours
	mask         uint32
	requests     []request
	head         *uint32 // of completions, ours
	completed    *uint32 // their tail, the kernel's
	completeMask uint32
	completions  []completion
}

// request is a struct io_uring_sqe.
type request struct {
	opcode, flags        uint8
	_                    uint16
	fd                   int32
	_                    uint64
	address              uint64
	length, messageFlags uint32
	userData             uint64
	_                    [3]uint64
}

// completion is a struct io_uring_cqe.
type completion struct {
	userData uint64
	result   int32
	_        uint32
}

// ringParams is a struct io_uring_params.
type ringParams struct {
	requests, completions, flags, threadCPU, threadIdle, features, workers uint32

	_           [3]uint32
	requestRing struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32

		_ uint64
	}
	completionRing struct {
		head, tail, mask, entries, overflow, completions, flags, _ uint32

		_ uint64
	}
}

// suffice reports whether the system serves all that is asked of it here.
func (p *ringParams) suffice() bool { return p.features&needed == needed }

// The system calls, by the numbers that they have on every architecture.
const (
	sysRingSetup = 425
	sysRingEnter = 426
)

const (
	opSendmsg = 9
	opSend    = 26

	mapRings    = 0
	mapRequests = 0x10000000

	await = 1 // a flag of io_uring_enter(2)

	// Features: both rings are one mapping; and one that came with opSend, in Linux 5.6. Of a request
	// that it does not know the system says that it is invalid, as it may of a connection.
	oneMapping      = 1 << 0
	currentPosition = 1 << 3 // IORING_FEAT_RW_CUR_POS
	needed          = oneMapping | currentPosition
)

// newRing returns a ring of so many requests, a power of two; nil where the system has
// none, or none for us: Linux before 5.6, and many containers.
func newRing(requests uint32) *ring {
	var p ringParams
	fd, _, errno := syscall.Syscall(sysRingSetup, uintptr(requests), uintptr(unsafe.Pointer(&p)), 0) // closed on exec
	if errno != 0 {
		return nil
	}
	r := &ring{fd: fd}
	if !p.suffice() || !r.open(&p) {
		r.close()
		return nil
	}
	return r
}

func (r *ring) open(p *ringParams) bool {
	size := max(p.requestRing.array+4*p.requests, p.completionRing.completions+p.completions*uint32(unsafe.Sizeof(completion{})))
	var err error
	if r.rings, err = r.mapped(mapRings, int(size)); err != nil {
		return false
	}
	if r.submitted, err = r.mapped(mapRequests, int(p.requests)*int(unsafe.Sizeof(request{}))); err != nil {
		return false
	}
	at := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.rings[offset])) }
	r.tail, r.mask = at(p.requestRing.tail), *at(p.requestRing.mask)
	r.head, r.completed, r.completeMask = at(p.completionRing.head), at(p.completionRing.tail), *at(p.completionRing.mask)
	r.requests = unsafe.Slice((*request)(unsafe.Pointer(&r.submitted[0])), p.requests)
	r.completions = unsafe.Slice((*completion)(unsafe.Pointer(&r.rings[p.completionRing.completions])), p.completions)
	for i, array := 0, unsafe.Slice(at(p.requestRing.array), p.requests); i < len(array); i++ {
		array[i] = uint32(i) // each place has its request, for good
	}
	return true
}

func (r *ring) mapped(offset int64, size int) ([]byte, error) {
	return syscall.Mmap(int(r.fd), offset, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_POPULATE)
}

func (r *ring) close() {
	for _, m := range [][]byte{r.rings, r.submitted} {
		if m != nil {
			_ = syscall.Munmap(m)
		}
	}
	_ = syscall.Close(int(r.fd))
}

// request returns the i-th of the requests that are served next.
func (r *ring) request(i int) *request { return &r.requests[(*r.tail+uint32(i))&r.mask] }

// serve has the first n requests served, none of which may wait, and calls done for each
// with its userData and its result, of which a negative one is an errno's. It returns how
// many the system took; the others were not served.
func (r *ring) serve(n int, done func(userData uint64, result int32)) (taken int) {
	atomic.StoreUint32(r.tail, *r.tail+uint32(n))
	for taken < n {
		// As sendmsg does, this bypasses the scheduler: nothing waits.
		got, _, errno := syscall.RawSyscall6(sysRingEnter, r.fd, uintptr(n-taken), 0, 0, 0, 0)
		if errno != 0 || got == 0 {
			r.broken = errno != 0 && errno != syscall.EINTR && errno != syscall.EAGAIN && errno != syscall.EBUSY
			atomic.StoreUint32(r.tail, *r.tail-uint32(n-taken))
			break
		}
		taken += int(got)
	}
	for completed := r.reap(done); completed < taken; completed += r.reap(done) {
		// Requests that do not wait are complete by now, as far as is known.
		_, _, errno := syscall.Syscall6(sysRingEnter, r.fd, 0, 1, await, 0, 0)
		if errno != 0 && errno != syscall.EINTR {
			r.broken = true
			break
		}
	}
	return taken
}

// reap calls done for the requests that are complete, and returns how many they are.
func (r *ring) reap(done func(userData uint64, result int32)) int {
	head, tail := *r.head, atomic.LoadUint32(r.completed)
	for i := head; i != tail; i++ {
		c := &r.completions[i&r.completeMask]
		done(c.userData, c.result)
	}
	atomic.StoreUint32(r.head, tail)
	return int(tail - head)
}
