package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// swarm is many WebSocket clients in one loop over epoll, so that reading a message costs far
// less than sending it: with a goroutine for each, a figure of one processor would be the
// clients'.
type swarm struct {
	poll    int
	fds     []int
	partial map[int][]byte // the beginning of a frame, by descriptor
	stopped chan struct{}
	stop    atomic.Bool

	events, reads atomic.Int64

	mu       sync.Mutex
	sampling bool
	latency  []time.Duration
}

func newSwarm() (*swarm, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	s := &swarm{poll: fd, partial: map[int][]byte{}, stopped: make(chan struct{})}
	go s.loop()
	return s, nil
}

// close disconnects all.
func (s *swarm) close() {
	s.stop.Store(true)
	<-s.stopped
	for _, fd := range s.fds {
		syscall.Close(fd)
	}
	syscall.Close(s.poll)
}

// connect opens n clients, evenly over a time, the i-th asking for room i modulo rooms, and
// returns their ids by room.
func (s *swarm) connect(ctx context.Context, address string, p protocol, n, rooms int, over time.Duration) ([][]string, error) {
	ids := make([][]string, rooms)
	began := time.Now()
	var mu sync.Mutex
	var failed error
	var dialling sync.WaitGroup
	const dialers = 8
	for worker := range dialers {
		dialling.Go(func() {
			for i := worker; i < n; i += dialers {
				err := pause(ctx, time.Until(began.Add(over*time.Duration(i)/time.Duration(n))))
				var fd int
				var id string
				if err == nil {
					fd, id, err = p.connect(address, i%rooms)
				}
				mu.Lock()
				if err == nil {
					s.fds, ids[i%rooms] = append(s.fds, fd), append(ids[i%rooms], id)
					err = s.watch(fd)
				}
				if err != nil && failed == nil {
					failed = err
				}
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	dialling.Wait()
	return ids, failed
}

func (s *swarm) watch(fd int) error {
	if err := syscall.SetNonblock(fd, true); err != nil {
		return err
	}
	return syscall.EpollCtl(s.poll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

// loop reads what comes, until the end.
func (s *swarm) loop() {
	defer close(s.stopped)
	ready := make([]syscall.EpollEvent, 256)
	b := make([]byte, 64<<10)
	for !s.stop.Load() {
		n, err := syscall.EpollWait(s.poll, ready, 100)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
		for _, e := range ready[:max(n, 0)] {
			fd := int(e.Fd)
			has := copy(b, s.partial[fd])
			n, err := syscall.Read(fd, b[has:])
			if n <= 0 {
				if err == nil || !errors.Is(err, syscall.EAGAIN) {
					_ = syscall.EpollCtl(s.poll, syscall.EPOLL_CTL_DEL, fd, nil) // what is missing will be told
				}
				continue
			}
			s.reads.Add(1)
			rest := s.frames(fd, b[:has+n])
			if len(rest) > 0 {
				s.partial[fd] = slices.Clone(rest)
			} else if has > 0 {
				delete(s.partial, fd)
			}
		}
	}
}

// frames handles the whole frames and returns what is left.
func (s *swarm) frames(fd int, b []byte) (rest []byte) {
	events := 0
	for {
		payload, n := frame(b)
		if n == 0 {
			break
		}
		b = b[n:]
		switch {
		case string(payload) == "2": // Engine.IO's ping
			write(fd, maskedFrame("3"))
		case string(payload) == "{}": // centrifuge's
			write(fd, maskedFrame("{}"))
		default:
			events += s.count(payload)
		}
	}
	if events > 0 {
		s.events.Add(int64(events))
	}
	return b
}

// count returns the events in a frame: one, or with centrifuge perhaps several, by lines.
func (s *swarm) count(payload []byte) (events int) {
	for line := range bytes.SplitSeq(payload, []byte("\n")) {
		at := bytes.Index(line, []byte(`["m","T`))
		if at < 0 || len(line) < at+7+19 {
			continue
		}
		events++
		s.sample(line[at+7 : at+7+19])
	}
	return events
}

func (s *swarm) sample(sent []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sampling {
		return
	}
	ns, _ := strconv.ParseInt(string(sent), 10, 64)
	s.latency = append(s.latency, time.Duration(time.Now().UnixNano()-ns))
}

// sampled begins or ends taking the times of deliveries, and returns those that were taken.
func (s *swarm) sampled(on bool) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.latency
	s.sampling, s.latency = on, nil
	return taken
}

// frame returns the payload of the first frame, and how long that is as a whole; 0: it is not
// all there.
func frame(b []byte) (payload []byte, whole int) {
	if len(b) < 2 {
		return nil, 0
	}
	size, head := int(b[1]&0x7f), 2
	switch size {
	case 126:
		if len(b) < 4 {
			return nil, 0
		}
		size, head = int(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		if len(b) < 10 {
			return nil, 0
		}
		size, head = int(binary.BigEndian.Uint64(b[2:])), 10
	}
	if len(b) < head+size {
		return nil, 0
	}
	return b[head : head+size], head + size
}

func maskedFrame(text string) []byte {
	return append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
}

func write(fd int, b []byte) { _, _ = syscall.Write(fd, b) } // a connection that is lost is noticed by what is missing

// protocol is how a client of the swarm connects.
type protocol struct {
	path    string   // with its query
	steps   []string // what it says, each after a frame has come, or at once where greets is not set
	greets  bool     // the server speaks first
	replies int      // frames until it is there
	idKey   string   // in the last of them, before the id; empty: it has none
}

var (
	socketIO   = protocol{path: "/socket.io/?EIO=4&transport=websocket", steps: []string{"40"}, greets: true, replies: 2, idKey: `{"sid":"`}
	centrifuge = protocol{path: "/connection/websocket?v=1", steps: []string{`{"id":1,"connect":{}}`}, replies: 1}
)

// readFD reads something from a socket that waits. A socket with a time limit is interrupted by
// the signals by which the runtime has goroutines take turns (signal(7)).
func readFD(fd int, b []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, b)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case !errors.Is(err, syscall.EINTR):
			return 0, err
		}
	}
}

// connect opens one client that asks for a room, and returns its socket.
func (p protocol) connect(address string, room int) (fd int, id string, err error) {
	fd, err = dialFD(address)
	if err != nil {
		return 0, "", err
	}
	defer func() {
		if err != nil {
			syscall.Close(fd)
		}
	}()
	write(fd, fmt.Appendf(nil, "GET %s&room=r%d HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", p.path, room, address))
	b, has := make([]byte, 4096), 0
	more := func() error {
		n, err := readFD(fd, b[has:])
		if err != nil {
			return fmt.Errorf("connecting: the connection ended, or nothing came: %w", err)
		}
		has += n
		return nil
	}
	for !bytes.Contains(b[:has], []byte("\r\n\r\n")) {
		if err := more(); err != nil {
			return 0, "", err
		}
	}
	if !bytes.HasPrefix(b, []byte("HTTP/1.1 101")) {
		return 0, "", fmt.Errorf("connecting: %q", b[:has])
	}
	begin := bytes.Index(b, []byte("\r\n\r\n")) + 4
	steps := p.steps
	if !p.greets {
		write(fd, maskedFrame(steps[0]))
		steps = steps[1:]
	}
	for replies := 0; replies < p.replies || begin < has; { // a ping may come with a reply
		payload, n := frame(b[begin:has])
		for ; n == 0; payload, n = frame(b[begin:has]) {
			if err := more(); err != nil {
				return 0, "", err
			}
		}
		begin += n
		if string(payload) == "2" { // a ping, which socketioxide sends at once
			write(fd, maskedFrame("3"))
			continue
		}
		if replies++; replies > p.replies {
			continue // a broadcast to those that are there already
		}
		if len(steps) > 0 {
			write(fd, maskedFrame(steps[0]))
			steps = steps[1:]
		}
		_, after, _ := bytes.Cut(payload, []byte(p.idKey))
		value, _, _ := bytes.Cut(after, []byte(`"`))
		id = string(value)
	}
	return fd, id, nil
}

// dialFD connects a socket that blocks, for ten seconds at most.
func dialFD(address string) (int, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	to := &syscall.SockaddrInet4{Addr: [4]byte(net.ParseIP(host).To4())}
	if to.Port, err = strconv.Atoi(port); err != nil {
		return 0, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	_ = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 10})
	if err := syscall.Connect(fd, to); err != nil {
		syscall.Close(fd)
		return 0, err
	}
	return fd, nil
}
