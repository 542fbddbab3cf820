//go:build linux

package netpoll

import (
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

func awaitHangUp(t *testing.T, called <-chan struct{}) {
	t.Helper()
	select {
	case <-called:
	case <-time.After(patience):
		t.Fatal("the end is not noticed")
	}
}

// unixPair returns both ends of a connection over a unix socket.
func unixPair(t *testing.T) (server, client *net.UnixConn) {
	t.Helper()
	s, c := ends(t, "unix", filepath.Join(t.TempDir(), "s"))
	return s.(*net.UnixConn), c.(*net.UnixConn)
}

// TestHangUp: a peer that leaves is noticed, in whichever way it does, and nothing else is
// taken for that.
func TestHangUp(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn){
		"closes":      func(c *net.TCPConn) { c.Close() },
		"half closes": func(c *net.TCPConn) { c.CloseWrite() },
		"resets":      func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
		"with data before": func(c *net.TCPConn) {
			c.Write([]byte("x"))
			c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var p Poller
			defer p.Close()
			server, client := pair(t)
			called := make(chan struct{}, 10)
			h := p.OnHangUp(server, func() { called <- struct{}{} })
			defer h.Stop()
			echo := make([]byte, 4)
			for range 3 { // data in both directions
				client.Write([]byte("ping"))
				io.ReadFull(server, echo)
				server.Write(echo)
				io.ReadFull(client, echo)
			}
			if len(called) > 0 {
				t.Error("data was taken for an end")
			}
			leave(client)
			awaitHangUp(t, called)
		})
	}
	t.Run("unix", func(t *testing.T) {
		var p Poller
		defer p.Close()
		server, client := unixPair(t)
		called := make(chan struct{}, 10)
		h := p.OnHangUp(server, func() { called <- struct{}{} })
		defer h.Stop()
		client.Close()
		awaitHangUp(t, called)
	})
}

// TestHangUpBefore: an end that was there before is noticed, too.
func TestHangUpBefore(t *testing.T) {
	var p Poller
	defer p.Close()
	server, client := pair(t)
	client.Close()
	io.ReadAll(server)
	called := make(chan struct{}, 10)
	h := p.OnHangUp(server, func() { called <- struct{}{} })
	defer h.Stop()
	awaitHangUp(t, called)
}

// TestHangUpStop: who has stopped is not called, and the connection can be watched anew, by
// the same poller or by another.
func TestHangUpStop(t *testing.T) {
	var p, q Poller
	defer p.Close()
	defer q.Close()
	server, client := pair(t)
	stopped := make(chan struct{}, 10)
	p.OnHangUp(server, func() { stopped <- struct{}{} }).Stop()
	if n := p.Watched(); n != 0 {
		t.Errorf("%d connections are watched", n)
	}
	again, other := make(chan struct{}, 10), make(chan struct{}, 10)
	h := p.OnHangUp(server, func() { again <- struct{}{} })
	defer h.Stop()
	o := q.OnHangUp(server, func() { other <- struct{}{} })
	defer o.Stop()
	client.Close()
	awaitHangUp(t, again)
	awaitHangUp(t, other)
	if len(stopped) > 0 {
		t.Error("called after Stop")
	}
}

// TestHangUpClosed: a connection that is closed cannot be watched.
func TestHangUpClosed(t *testing.T) {
	var p Poller
	defer p.Close()
	server, _ := pair(t)
	server.Close()
	if h := p.OnHangUp(server, func() {}); h != nil || p.Watched() != 0 {
		t.Errorf("watches %v, %d in all", h, p.Watched())
	}
}
