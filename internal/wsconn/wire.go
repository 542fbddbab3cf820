package wsconn

import (
	"net"
	"time"
)

// wire is the connection that gorilla gets: it reads from that of the Conn it serves, and
// what gorilla writes by itself after the handshake goes to whom that names.
type wire struct {
	net.Conn       // of the handshake, or of serves; nil: of neither
	serves   *Conn // nil: the handshake is being answered
	failed   error // of the last read: it comes again
}

// Read implements net.Conn.
func (w *wire) Read(b []byte) (n int, err error) {
	if w.failed != nil {
		return 0, w.failed
	}
	c := w.serves
	if len(c.early) > 0 {
		n = copy(b, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	if c.reading != nil {
		n, err = w.readBy(c.reading, b)
	} else {
		n, err = w.Conn.Read(b)
	}
	c.drained, w.failed = n < len(b), err
	return n, err
}

// readBy reads by f: apart, since what f is given has variables of its own.
func (w *wire) readBy(f func(read func()), b []byte) (n int, err error) {
	f(func() { n, err = w.Conn.Read(b) })
	return n, err
}

// Write takes the answer to the handshake, and later one frame of gorilla's.
func (w *wire) Write(b []byte) (int, error) {
	switch {
	case w.serves != nil:
		if w.serves.control != nil {
			w.serves.control.Answer(append([]byte(nil), b...))
		}
	case w.Conn != nil:
		return w.Conn.Write(b) // into an empty socket buffer: it does not wait
	}
	return len(b), nil
}

// SetDeadline is what gorilla does before it answers a handshake.
func (w *wire) SetDeadline(t time.Time) error {
	if w.Conn == nil {
		return nil
	}
	return w.Conn.SetDeadline(t)
}

// SetWriteDeadline has no meaning for what is only handed on.
func (w *wire) SetWriteDeadline(time.Time) error {
	return nil
}
