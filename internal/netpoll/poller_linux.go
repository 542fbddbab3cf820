package netpoll

import (
	"sync"
	"syscall"
	"unsafe"
)

// Poller watches parked connections with one goroutine, which starts with the
// first of them. The zero value is ready.
//
// Go's own poller cannot be asked to call back, hence an epoll instance of our
// own beside it; a descriptor may be in both.
type Poller struct {
	start, stop sync.Once
	// Written by start.
	running bool
	fd      int // of epoll
	wakeFD  int // an eventfd, to end the wait
	stopped chan struct{}

	mu    sync.Mutex
	slots []slot
	free  []int32
}

// slot is a place for a connection. Its generation tells a late event of the one
// before from an event of this one.
type slot struct {
	conn       *Conn
	generation int32
}

// open starts the poller, where the system lets us; else every connection keeps
// its reader.
func (p *Poller) open() {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return
	}
	wake, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		syscall.Close(fd)
		return
	}
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: -1}
	if syscall.EpollCtl(fd, syscall.EPOLL_CTL_ADD, int(wake), &ev) != nil {
		syscall.Close(fd)
		syscall.Close(int(wake))
		return
	}
	p.fd, p.wakeFD, p.running, p.stopped = fd, int(wake), true, make(chan struct{})
	go p.run() // Close waits for it
}

// Close ends the poller, once every connection was released and no Park is under
// way any more. It has no effect when it is called again.
func (p *Poller) Close() {
	p.start.Do(func() {}) // never to start any more
	p.stop.Do(func() {
		if !p.running {
			return
		}
		one := uint64(1)
		_, _ = syscall.Write(p.wakeFD, (*[8]byte)(unsafe.Pointer(&one))[:])
		<-p.stopped
		syscall.Close(p.fd)
		syscall.Close(p.wakeFD)
	})
}

// Watched returns how many connections the poller knows, parked or not.
func (p *Poller) Watched() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.slots) - len(p.free)
}

func (p *Poller) run() {
	defer close(p.stopped)
	events := make([]syscall.EpollEvent, 256)
	var ready []*Conn
	for {
		n, err := syscall.EpollWait(p.fd, events, -1)
		if err != nil && err != syscall.EINTR {
			panic("netpoll: epoll_wait: " + err.Error()) // the descriptor is ours alone
		}
		end := false
		p.mu.Lock()
		for _, ev := range events[:max(n, 0)] {
			if ev.Fd < 0 {
				end = true
			} else if s := p.slots[ev.Fd]; s.conn != nil && s.generation == ev.Pad {
				ready = append(ready, s.conn)
			}
		}
		p.mu.Unlock()
		if end {
			return
		}
		for i, c := range ready {
			c.Readable()
			ready[i] = nil
		}
		ready = ready[:0]
	}
}

// add gives c a slot, if the poller runs.
func (p *Poller) add(c *Conn) (index, generation int32, ok bool) {
	p.start.Do(p.open)
	if !p.running {
		return 0, 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		index, p.free = p.free[n-1], p.free[:n-1]
	} else {
		index = int32(len(p.slots))
		p.slots = append(p.slots, slot{})
	}
	p.slots[index].conn = c
	return index, p.slots[index].generation, true
}

// remove gives a slot to others.
func (p *Poller) remove(index int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.slots[index]
	s.conn = nil
	s.generation++
	p.free = append(p.free, index)
}
