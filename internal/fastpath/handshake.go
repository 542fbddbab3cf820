package fastpath

import (
	"net/http"
	"time"
)

// handshake has the handler answer a handshake. A connection that it hijacks is no longer the
// server's.
func (c *conn) handshake(r *http.Request) {
	s := c.listener.server
	w := &response{conn: c.socket, header: http.Header{}, onHijack: func() { s.remove(c) }}
	defer func() {
		switch p := recover(); {
		case p != nil:
			s.report("a WebSocket handshake caused a panic", c.socket, p)
			c.Close()
		case !w.hijacked:
			if d := s.headerTimeout(); d > 0 {
				c.SetDeadline(time.Now().Add(d))
			}
			w.send(r)
			c.Close()
		}
	}()
	s.Handler.ServeHTTP(w, r)
}
