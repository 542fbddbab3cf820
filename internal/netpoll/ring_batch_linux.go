package netpoll

import (
	"runtime"
	"syscall"
	"unsafe"
)

// ringBatch makes writes by an io_uring.
type ringBatch struct {
	ring  *ring
	n     int
	used  int // of buffers
	items [MaxBatch]ringWrite

	buffers [maxBatchBuffers]syscall.Iovec
	headers [MaxBatch]syscall.Msghdr // of requests of several buffers
	sending sending                  // of writes by themselves

	// What write works with.
	at       int                  // of items: the next whose descriptor is to be held
	holding  *ringWrite           // that hold is called for
	held     [MaxBatch]*ringWrite // by their requests
	requests int
	hold     func(fd uintptr)                   // b.holdOne, made once
	done     func(request uint64, result int32) // b.finish, made once
}

// ringWrite is one write.
type ringWrite struct {
	socket  *socket
	result  *write
	buffers []syscall.Iovec
	made    bool // result is there
}

// maxBatchBuffers bounds the buffers of one batch. Each write has its part, and what those
// before it left.
const maxBatchBuffers = 32 * MaxBatch

// minTogether is from how many writes on a ring is worth its own cost: for one it takes a
// sixth longer than send(2), for four as long.
const minTogether = 4

func newRingBatch() *ringBatch {
	r := newRing(MaxBatch)
	if r == nil {
		return nil
	}
	b := &ringBatch{ring: r}
	b.hold, b.done = b.holdOne, b.finish
	return b
}

// add returns 0 if the ring does not write to s.
func (b *ringBatch) add(w *write, s Socket, bufs [][]byte) (taken int) {
	k, ok := s.(*socket)
	if !ok || b.ring.broken {
		return 0
	}
	taken = min(len(bufs), MaxBuffers, (len(b.buffers)-b.used)/(MaxBatch-b.n))
	buffers := b.buffers[b.used : b.used+taken]
	lay(buffers, bufs)
	b.items[b.n] = ringWrite{socket: k, result: w, buffers: buffers}
	b.used += taken
	b.n++
	return taken
}

// write makes the writes: together, and those that the ring does not make by themselves.
func (b *ringBatch) write() {
	if b.n >= minTogether {
		b.at, b.requests = 0, 0
		b.serve()
	}
	for i := range b.items[:b.n] {
		if w := &b.items[i]; !w.made {
			w.result.sent, w.result.err = w.socket.send(&b.sending, w.buffers)
		}
		b.items[i] = ringWrite{}
	}
	b.holding = nil
	clear(b.held[:b.requests])
	clear(b.headers[:b.requests])
	clear(b.buffers[:b.used])
	b.n, b.used, b.requests = 0, 0, 0
}

// serve holds the descriptors that are left, one within the other, so that none can be
// closed and given to another connection, and within the last has the ring serve all requests.
func (b *ringBatch) serve() {
	for b.at < b.n {
		w := &b.items[b.at]
		b.at++
		b.holding = w
		err := w.socket.rc.Control(b.hold)
		if err == nil {
			return // holdOne went on
		}
		w.result.err, w.made = err, true
	}
	taken := b.ring.serve(b.requests, b.done)
	for _, w := range b.held[:taken] {
		if !w.made { // it may be yet
			w.result.err, w.made = syscall.EIO, true
		}
	}
	runtime.KeepAlive(b)
}

// holdOne makes the request of the write whose descriptor is held now, and goes on.
func (b *ringBatch) holdOne(fd uintptr) {
	w, i := b.holding, b.requests
	r := b.ring.request(i)
	*r = request{fd: int32(fd), userData: uint64(i), messageFlags: sendFlags}
	if len(w.buffers) == 1 {
		r.opcode = opSend
		r.address, r.length = uint64(uintptr(unsafe.Pointer(w.buffers[0].Base))), uint32(w.buffers[0].Len)
	} else {
		h := &b.headers[i]
		h.Iov, h.Iovlen = &w.buffers[0], uint64(len(w.buffers))
		r.opcode = opSendmsg
		r.address, r.length = uint64(uintptr(unsafe.Pointer(h))), 1
	}
	b.held[i] = w
	b.requests++
	b.serve()
}

// finish notes what a request came to.
func (b *ringBatch) finish(request uint64, result int32) {
	w := b.held[request]
	w.made = true
	w.result.sent, w.result.err = outcome(int(max(result, 0)), syscall.Errno(max(-result, 0)))
}
