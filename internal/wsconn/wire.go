package wsconn

import (
	"net"
	"time"
)

// wire is the connection that gorilla gets: it reads from the real one, and what
// gorilla writes by itself after the handshake goes to the caller.
type wire struct {
	net.Conn
	open    bool         // the handshake was answered
	early   []byte       // came with the handshake; read first
	control func([]byte) // takes gorilla's frames; nil: dropped
	reading func(func()) // wraps each read; nil: none
}

// Read implements net.Conn.
func (w *wire) Read(b []byte) (n int, err error) {
	if len(w.early) > 0 {
		n = copy(b, w.early)
		if w.early = w.early[n:]; len(w.early) == 0 {
			w.early = nil
		}
		return n, nil
	}
	if w.reading != nil {
		w.reading(func() { n, err = w.Conn.Read(b) })
		return n, err
	}
	return w.Conn.Read(b)
}

// Write takes the answer to the handshake, and later one frame of gorilla's.
func (w *wire) Write(b []byte) (int, error) {
	if !w.open {
		return w.Conn.Write(b) // into an empty socket buffer: it does not wait
	}
	if w.control != nil {
		w.control(append([]byte(nil), b...))
	}
	return len(b), nil
}

// SetWriteDeadline has no meaning for what is only handed on.
func (w *wire) SetWriteDeadline(time.Time) error {
	return nil
}
