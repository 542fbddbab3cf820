package direct

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// Conn returns c read and written directly, if it is a connection over TCP or a Unix socket; else c. One over TCP has a
// method TCP that returns c.
func Conn(c net.Conn) net.Conn {
	switch c := c.(type) {
	case *net.TCPConn:
		if raw, err := c.SyscallConn(); err == nil {
			return &tcpConn{c, raw}
		}
	case *net.UnixConn:
		if raw, err := c.SyscallConn(); err == nil {
			return &unixConn{c, raw}
		}
	}
	return c
}

// tcpConn is a connection over TCP.
type tcpConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

// TCP returns the connection.
func (c *tcpConn) TCP() *net.TCPConn { return c.TCPConn }

// Read implements net.Conn.
func (c *tcpConn) Read(b []byte) (int, error) { return read(c.TCPConn, c.raw, b) }

// Write implements net.Conn.
func (c *tcpConn) Write(b []byte) (int, error) { return write(c.TCPConn, c.raw, b) }

// unixConn is a connection over a Unix socket.
type unixConn struct {
	*net.UnixConn
	raw syscall.RawConn
}

// Read implements net.Conn.
func (c *unixConn) Read(b []byte) (int, error) { return read(c.UnixConn, c.raw, b) }

// Write implements net.Conn.
func (c *unixConn) Write(b []byte) (int, error) { return write(c.UnixConn, c.raw, b) }

// maxBytes bounds, in bytes, one system call: while it lasts, the processor is not given to others.
const maxBytes = 64 << 10

// transfer is one Read or Write.
type transfer struct {
	b     []byte
	n     int
	errno syscall.Errno
	// Methods of the transfer, made once.
	recv, send func(fd uintptr) bool
}

var transfers = sync.Pool{New: func() any {
	t := new(transfer)
	t.recv, t.send = t.receiveOnce, t.sendAll
	return t
}}

func read(c net.Conn, raw syscall.RawConn, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	t := transfers.Get().(*transfer)
	t.b, t.n, t.errno = b, 0, 0
	err := raw.Read(t.recv)
	n, err := t.end("read", c, err)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func write(c net.Conn, raw syscall.RawConn, b []byte) (int, error) {
	t := transfers.Get().(*transfer)
	t.b, t.n, t.errno = b, 0, 0
	err := raw.Write(t.send)
	return t.end("write", c, err)
}

// end gives the transfer back, and returns what came of it; err is that of the way to the socket.
func (t *transfer) end(op string, c net.Conn, err error) (int, error) {
	n, errno := t.n, t.errno
	t.b = nil
	transfers.Put(t)
	if err == nil && errno != 0 {
		err = &net.OpError{
			Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, errno),
		}
	}
	return n, err
}

// receiveOnce reads once; false: there is nothing to read yet.
func (t *transfer) receiveOnce(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd,
			uintptr(unsafe.Pointer(&t.b[0])), uintptr(min(len(t.b), maxBytes)), syscall.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			t.n, t.errno = int(n), 0
			return true
		case syscall.EAGAIN:
			return false
		case syscall.EINTR:
		default:
			t.errno = errno
			return true
		}
	}
}

// sendAll writes what is left; false: there is no room for all of it yet.
func (t *transfer) sendAll(fd uintptr) bool {
	for t.n < len(t.b) {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd,
			uintptr(unsafe.Pointer(&t.b[t.n])), uintptr(min(len(t.b)-t.n, maxBytes)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			t.n += int(n)
		case syscall.EAGAIN:
			return false
		case syscall.EINTR:
		default:
			t.errno = errno
			return true
		}
	}
	return true
}
