package h2split

import (
	"io"
	"net"
	"strings"
)

// preface is how a client of HTTP/2 begins that has not asked before. Three bytes of it are
// those of no other client.
const preface = "PRI"

// prefaced reports whether a connection begins with the preface, and returns it as it was,
// or else one that reads the same; nil if it ends, or takes too long, before that is known.
func prefaced(c net.Conn) (bool, net.Conn) {
	if start, ok := peek(c); ok {
		if start == "" {
			return false, nil
		}
		if len(start) == len(preface) || !strings.HasPrefix(preface, start) {
			return start == preface, c
		}
		// A piece of it: peeking again would not wait for the rest.
	}
	start := make([]byte, len(preface))
	for n := range start {
		if _, err := io.ReadFull(c, start[n:n+1]); err != nil {
			return false, nil
		}
		if start[n] != preface[n] {
			return false, &readConn{c, start[:n+1]}
		}
	}
	return true, &readConn{c, start}
}

// readConn is a connection of which the start has been read. It is read by one goroutine
// at a time.
type readConn struct {
	net.Conn
	start []byte
}

// NetConn returns the connection below, as that of a [crypto/tls.Conn] does.
func (c *readConn) NetConn() net.Conn { return c.Conn }

func (c *readConn) Read(p []byte) (int, error) {
	if len(c.start) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.start)
	c.start = c.start[n:]
	return n, nil
}
