package forward

import (
	"context"
	"net"
	"time"
)

// patient is a connection to another node that ends when nothing comes, or goes, for so
// long, and what it may be without use for before somebody waits for an answer.
type patient struct {
	net.Conn
	patience time.Duration
}

// dialer connects to other nodes.
func dialer(patience time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &patient{c, patience}, nil
	}
}

func (c *patient) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.patience + min(idleTimeout, c.patience))); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *patient) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.patience)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
