package netpoll

import "syscall"

// edgeTriggered is EPOLLET, which package syscall has as a negative number. With it an event is
// made once for an end, and for data none, as EPOLLIN is not asked for.
const edgeTriggered = 1 << 31

// HangUp watches whether the peer of a connection leaves.
type HangUp struct {
	poller           *Poller
	rc               syscall.RawConn
	called           func()
	slot, generation int32
}

// OnHangUp has f called when the peer of c closes it, or says that it sends nothing more, or
// when c is broken, also if that is so already. What the peer sent before may be unread
// still. F may be called more than once and before OnHangUp returns, from a goroutine that it
// must not hold up. Until Stop, one system call was made in all, however much is read and
// written meanwhile. OnHangUp returns nil when c cannot be watched.
func (p *Poller) OnHangUp(c syscall.Conn, f func()) *HangUp {
	rc, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	h := &HangUp{poller: p, rc: rc, called: f}
	var ok bool
	if h.slot, h.generation, ok = p.add(h); !ok {
		return nil
	}
	if h.control(syscall.EPOLL_CTL_ADD, syscall.EPOLLRDHUP|edgeTriggered) != nil {
		p.remove(h.slot)
		return nil
	}
	return h
}

// Stop ends the watching. It is to be called once, before the connection is closed. A call that
// is under way may come later.
func (h *HangUp) Stop() {
	_ = h.control(syscall.EPOLL_CTL_DEL, 0) // closing it would do the same
	h.poller.remove(h.slot)
}

func (h *HangUp) control(op int, events uint32) error {
	ev := syscall.EpollEvent{Events: events, Fd: h.slot, Pad: h.generation}
	var err error
	if e := h.rc.Control(func(fd uintptr) { err = syscall.EpollCtl(h.poller.fd, op, int(fd), &ev) }); e != nil {
		return e
	}
	return err
}

// Readable implements watched: an end can be read.
func (h *HangUp) Readable() { h.called() }
