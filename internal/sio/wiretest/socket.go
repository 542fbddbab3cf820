package wiretest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/fanoutd/fanoutd/internal/netpoll"
)

// Socket is one end of a connection inside the process that behaves as TCP does:
// it buffers what is written, up to a bound, and can be used without waiting. It
// is a net.Conn and a netpoll.Socket.
type Socket struct {
	*link
	in, out *half

	// Guarded by link.mu.
	closed   bool
	readBy   time.Time
	writeBy  time.Time
	watcher  *netpoll.Conn
	armed    bool
	attempts int // of TryWrite that found no room
	looks    int // by Silent
}

var (
	_ net.Conn       = (*Socket)(nil)
	_ netpoll.Socket = (*Socket)(nil)
)

// link is what both ends share.
type link struct {
	mu      sync.Mutex
	changed sync.Cond
	ends    [2]*Socket
}

// half is one direction.
type half struct {
	buf  []byte
	room int  // bytes it holds at most
	eof  bool // nothing more will be written
	gone bool // nobody reads any more
}

// SocketPair returns both ends of a connection that holds room bytes in each
// direction.
func SocketPair(room int) (a, b *Socket) {
	l := &link{}
	l.changed.L = &l.mu
	x, y := &half{room: room}, &half{room: room}
	a, b = &Socket{link: l, in: x, out: y}, &Socket{link: l, in: y, out: x}
	l.ends = [2]*Socket{a, b}
	return a, b
}

func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// notifyLocked wakes all that wait: something changed.
func (l *link) notifyLocked() {
	l.changed.Broadcast()
	for _, s := range l.ends {
		if s.armed && !s.silentLocked() {
			s.armed = false
			go s.watcher.Readable()
		}
	}
}

func (s *Socket) silentLocked() bool { return len(s.in.buf) == 0 && !s.in.eof && !s.closed }

// awaitLocked waits for something to read.
func (s *Socket) awaitLocked() error {
	for len(s.in.buf) == 0 {
		switch {
		case s.closed:
			return net.ErrClosed
		case passed(s.readBy):
			return os.ErrDeadlineExceeded
		case s.in.eof:
			return io.EOF
		}
		s.changed.Wait()
	}
	return nil
}

// Read implements net.Conn.
func (s *Socket) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.awaitLocked(); err != nil {
		return 0, err
	}
	n := copy(b, s.in.buf)
	s.in.buf = s.in.buf[n:]
	s.notifyLocked()
	return n, nil
}

// Write implements net.Conn.
func (s *Socket) Write(b []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.writableLocked(); err != nil {
			return n, err
		}
		n += s.putLocked(b[n:])
		if n == len(b) {
			return n, nil
		}
		if passed(s.writeBy) {
			return n, os.ErrDeadlineExceeded
		}
		s.changed.Wait()
	}
}

func (s *Socket) writableLocked() error {
	switch {
	case s.closed:
		return net.ErrClosed
	case s.out.gone:
		return syscall.EPIPE
	}
	return nil
}

func (s *Socket) putLocked(b []byte) int {
	n := min(len(b), s.out.room-len(s.out.buf))
	s.out.buf = append(s.out.buf, b[:n]...)
	if n > 0 {
		s.notifyLocked()
	}
	return n
}

// Close implements net.Conn.
func (s *Socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.out.eof, s.in.gone = true, true, true
	s.notifyLocked()
	return nil
}

// LocalAddr implements net.Conn.
func (s *Socket) LocalAddr() net.Addr { return &net.UnixAddr{Name: "socket", Net: "unix"} }

// RemoteAddr implements net.Conn.
func (s *Socket) RemoteAddr() net.Addr { return s.LocalAddr() }

// SetDeadline implements net.Conn.
func (s *Socket) SetDeadline(t time.Time) error {
	s.SetReadDeadline(t) //nolint:errcheck // never fails
	return s.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (s *Socket) SetReadDeadline(t time.Time) error { return s.setDeadline(&s.readBy, t) }

// SetWriteDeadline implements net.Conn.
func (s *Socket) SetWriteDeadline(t time.Time) error { return s.setDeadline(&s.writeBy, t) }

func (s *Socket) setDeadline(which *time.Time, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	*which = t
	s.changed.Broadcast()
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.changed.Broadcast()
		})
	}
	return nil
}

// TryWrite implements netpoll.Socket.
func (s *Socket) TryWrite(_ *netpoll.Vector, bufs [][]byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writableLocked(); err != nil {
		return 0, err
	}
	for _, b := range bufs[:min(len(bufs), netpoll.MaxBuffers)] {
		put := s.putLocked(b)
		if n += put; put < len(b) {
			break
		}
	}
	if n == 0 {
		s.attempts++
	}
	return n, nil
}

// Full returns how often TryWrite found no room at all.
func (s *Socket) Full() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts
}

// Looks returns how often Silent was asked.
func (s *Socket) Looks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

// Silent implements netpoll.Socket.
func (s *Socket) Silent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	return s.silentLocked()
}

// AwaitInput implements netpoll.Socket.
func (s *Socket) AwaitInput() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.awaitLocked() // the next read finds the error too
}

// Watch implements netpoll.Socket.
func (s *Socket) Watch(c *netpoll.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watcher = c
	return true
}

// Arm implements netpoll.Socket.
func (s *Socket) Arm() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watcher != nil {
		s.armed = true
		s.notifyLocked()
	}
	return true
}

// Unwatch implements netpoll.Socket.
func (s *Socket) Unwatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watcher, s.armed = nil, false
}

// Watched reports whether the socket is held by what watches it, and whether
// nobody reads from it meanwhile.
func (s *Socket) Watched() (held, parked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watcher != nil, s.armed
}
