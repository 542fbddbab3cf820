package netpoll

import "net"

// MaxBuffers bounds the buffers of one [Socket.TryWrite]; Linux takes 1024.
const MaxBuffers = 256

// Socket is a connection that can be used without waiting: the operating
// system's, see [Poller.Socket], or a test's.
type Socket interface {
	// TryWrite writes bufs, the first [MaxBuffers] of them, as far as the
	// connection takes them at once, and returns the bytes written. Zero without
	// an error: it takes none now. No buffer may be empty. V is the caller's, to
	// work in.
	TryWrite(v *Vector, bufs [][]byte) (int, error)
	// Silent reports whether there is nothing to read just now, nor the end.
	Silent() bool
	// AwaitInput returns when there is something to read, or the end, or the read
	// deadline is over.
	AwaitInput()

	// Watch makes c known to what watches the socket, if it is not yet. It
	// reports false when the socket cannot be watched. The reader calls it.
	Watch(c *Conn) bool
	// Arm has c.Readable called, once, when there is something to read, or the
	// end. It reports false when that is not possible. Another reader may call
	// it, or Unwatch, at the same time.
	Arm() bool
	// Unwatch ends that. The reader calls it, once.
	Unwatch()
}

// Socket returns the socket of a connection, to be watched by p; nil where there
// is none: on systems other than Linux, over pipes, and where encryption stands
// between. A connection that is a Socket itself is returned as it is; one with a method
// TCP stands for the TCP connection that it returns.
func (p *Poller) Socket(c net.Conn) Socket {
	switch c := c.(type) {
	case Socket:
		return c
	case *net.TCPConn:
		return p.tcpSocket(c)
	case interface{ TCP() *net.TCPConn }:
		if tcp := c.TCP(); tcp != nil {
			return p.tcpSocket(tcp)
		}
	}
	return nil
}
