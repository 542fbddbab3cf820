package engineio

import (
	"sync"
	"syscall"
	"unsafe"
)

// poller watches the WebSockets that are silent, so that none of them needs a
// goroutine to wait in, with its stack: silence is what most connections do
// most of the time. A connection is watched for one event at a time; then its
// reader runs until there is nothing to read, and parks it again.
//
// Go's own poller cannot be asked to call back, hence a second epoll instance
// beside it; a descriptor may be in both.
type poller struct {
	fd      int // of epoll
	wakeFD  int // an eventfd, to end the wait
	stopped chan struct{}

	mu    sync.Mutex
	slots []slot
	free  []int32
}

// slot is a place for a connection. Its generation tells a late event of the
// one before from an event of this one.
type slot struct {
	conn       *wsConn
	generation int32
}

// parking is a connection's place in its poller; only its reader touches it.
type parking struct {
	taken bool
	index int32
	armed bool // the descriptor is known to epoll
}

// lazyPoller is a poller that starts with its first connection.
type lazyPoller struct {
	once sync.Once
	p    *poller
}

func (l *lazyPoller) get() *poller {
	l.once.Do(func() { l.p = newPoller() })
	return l.p
}

func (l *lazyPoller) stop() {
	l.once.Do(func() {}) // never to start any more
	l.p.stop()
}

// newPoller returns nil when the system does not let us: then every connection
// keeps its goroutine.
func newPoller() *poller {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	wake, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		syscall.Close(fd)
		return nil
	}
	p := &poller{fd: fd, wakeFD: int(wake), stopped: make(chan struct{})}
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: -1}
	if syscall.EpollCtl(fd, syscall.EPOLL_CTL_ADD, p.wakeFD, &ev) != nil {
		syscall.Close(fd)
		syscall.Close(p.wakeFD)
		return nil
	}
	go p.run() // stop waits for it
	return p
}

// stop ends the poller, when no connection is left.
func (p *poller) stop() {
	if p == nil {
		return
	}
	one := uint64(1)
	_, _ = syscall.Write(p.wakeFD, (*[8]byte)(unsafe.Pointer(&one))[:])
	<-p.stopped
	syscall.Close(p.fd)
	syscall.Close(p.wakeFD)
}

func (p *poller) run() {
	defer close(p.stopped)
	events := make([]syscall.EpollEvent, 256)
	var ready []*wsConn
	for {
		n, err := syscall.EpollWait(p.fd, events, -1)
		if err != nil && err != syscall.EINTR {
			panic("engineio: epoll_wait: " + err.Error()) // the descriptor is ours alone
		}
		p.mu.Lock()
		for _, ev := range events[:max(n, 0)] {
			if ev.Fd < 0 {
				p.mu.Unlock()
				return
			}
			if s := p.slots[ev.Fd]; s.conn != nil && s.generation == ev.Pad {
				ready = append(ready, s.conn)
			}
		}
		p.mu.Unlock()
		for i, t := range ready {
			t.resume()
			ready[i] = nil
		}
		ready = ready[:0]
	}
}

// watch has t resumed once there is something to read. It reports false when
// that is not possible.
func (p *poller) watch(t *wsConn) bool {
	if p == nil || t.rc == nil {
		return false
	}
	k := &t.parking
	p.mu.Lock()
	if !k.taken {
		k.taken = true
		if n := len(p.free); n > 0 {
			k.index, p.free = p.free[n-1], p.free[:n-1]
		} else {
			k.index = int32(len(p.slots))
			p.slots = append(p.slots, slot{})
		}
		p.slots[k.index].conn = t
	}
	ev := syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT,
		Fd:     k.index, Pad: p.slots[k.index].generation,
	}
	p.mu.Unlock()
	op := syscall.EPOLL_CTL_ADD
	if k.armed {
		op = syscall.EPOLL_CTL_MOD
	}
	k.armed = true // before the event can bring another reader
	var err error
	if e := t.rc.Control(func(fd uintptr) { err = syscall.EpollCtl(p.fd, op, int(fd), &ev) }); e != nil || err != nil {
		k.armed = op == syscall.EPOLL_CTL_MOD
		return false
	}
	return true
}

// forget gives t's place to others. Closing the descriptor ends the watch itself.
func (t *wsConn) forget() {
	if !t.parking.taken {
		return
	}
	p := t.session.srv.poller.get()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.slots[t.parking.index]
	s.conn = nil
	s.generation++
	p.free = append(p.free, t.parking.index)
	t.parking = parking{}
}

// silent reports whether there is nothing to read from the connection just now.
func (t *wsConn) silent() bool {
	if t.rc == nil {
		return false
	}
	silent := false
	err := t.rc.Read(func(fd uintptr) bool {
		var b byte
		_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1,
			syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
		silent = errno == syscall.EAGAIN
		return true // never wait here
	})
	return err == nil && silent
}
