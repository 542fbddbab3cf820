package netpoll

import (
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Poller watches parked connections with one goroutine, which starts with the
// first of them. The zero value is ready.
//
// Go's own poller cannot be asked to call back, hence an epoll instance of our
// own beside it; a descriptor may be in both. Our instance is in Go's too, which so
// says when there is something in it: the goroutine waits as for a connection. Waiting
// in epoll_wait would hold the processor that it had, with all that is to run on it,
// until the runtime's monitor takes that away, 20 us to 10 ms later.
type Poller struct {
	start, stop sync.Once
	// Written by start.
	running bool
	file    *os.File // the epoll instance, as the runtime knows it
	fd      int      // its descriptor
	stopped chan struct{}

	mu    sync.Mutex
	slots []slot
	free  []int32
}

// slot is a place for a connection. Its generation tells a late event of the one
// before from an event of this one.
type slot struct {
	watched    watched // nil: nobody's
	generation int32
}

// watched is told of what it asked for: a Conn or a HangUp.
type watched interface{ Readable() }

// open starts the poller, where the system lets us; else every connection keeps
// its reader.
func (p *Poller) open() {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return
	}
	if syscall.SetNonblock(fd, true) != nil { // what os.NewFile goes by
		syscall.Close(fd)
		return
	}
	file := os.NewFile(uintptr(fd), "epoll")
	wait, err := file.SyscallConn()
	if err != nil || file.SetReadDeadline(time.Time{}) != nil { // the runtime cannot wait for it
		file.Close()
		return
	}
	p.file, p.fd, p.running, p.stopped = file, fd, true, make(chan struct{})
	go p.run(wait) // Close waits for it
}

// Close ends the poller, once every connection was released and no Park is under
// way any more. It has no effect when it is called again.
func (p *Poller) Close() {
	p.start.Do(func() {}) // never to start any more
	p.stop.Do(func() {
		if p.running {
			p.file.Close()
			<-p.stopped
		}
	})
}

// Watched returns how many connections the poller knows, parked or not.
func (p *Poller) Watched() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.slots) - len(p.free)
}

// run calls back for what happens, until Close.
func (p *Poller) run(wait syscall.RawConn) {
	defer close(p.stopped)
	events := make([]syscall.EpollEvent, 256)
	var ready []watched
	for {
		n := 0
		err := wait.Read(func(fd uintptr) bool {
			n = pending(fd, events)
			return n > 0
		})
		if err != nil {
			return // closed
		}
		p.mu.Lock()
		for _, ev := range events[:n] {
			if s := p.slots[ev.Fd]; s.watched != nil && s.generation == ev.Pad {
				ready = append(ready, s.watched)
			}
		}
		p.mu.Unlock()
		for i, c := range ready {
			c.Readable()
			ready[i] = nil
		}
		ready = ready[:0]
	}
}

// pending takes the events that are there, and returns how many. It does not wait, and so
// bypasses the scheduler's bookkeeping for system calls that may.
func pending(epoll uintptr, events []syscall.EpollEvent) int {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, epoll,
			uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n)
		case syscall.EINTR:
		default:
			panic("netpoll: epoll_wait: " + errno.Error()) // the descriptor is ours alone
		}
	}
}

// add gives w a slot, if the poller runs.
func (p *Poller) add(w watched) (index, generation int32, ok bool) {
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
	p.slots[index].watched = w
	return index, p.slots[index].generation, true
}

// remove gives a slot to others.
func (p *Poller) remove(index int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.slots[index]
	s.watched = nil
	s.generation++
	p.free = append(p.free, index)
}
