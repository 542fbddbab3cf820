package fastpath

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestShutdown: requests that are served are waited for, and end their connections; connections that wait
// for a request are closed.
func TestShutdown(t *testing.T) {
	serving, answer := make(chan bool), make(chan bool)
	p := servePolls(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "idle") {
			say(w, r)
			return
		}
		serving <- true
		<-answer
		say(w, r)
	})
	idle, silent, busy, shaking := p.dial(), p.dial(), p.dial(), p.dial()
	idle.asks(strings.Replace(aPoll(), "sid=a", "idle", 1))
	io.WriteString(busy, aPoll())
	<-serving
	io.WriteString(shaking, handshake("/socket.io/"))
	<-serving
	over := make(chan error, 1)
	go func() { over <- p.Shutdown(context.Background()) }()
	idle.ends()
	silent.ends()
	select {
	case err := <-over:
		t.Errorf("the shutdown has not waited: %v", err)
	default:
	}
	close(answer)
	for _, c := range []*client{busy, shaking} {
		if r, body := c.answer(); !r.Close || body == "" {
			t.Errorf("answered %v, %q", r, body)
		}
		c.ends()
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
	p.served(3, 0)
}

// TestShutdownLeavesHijacked: who has hijacked a connection has it for as long as it likes.
func TestShutdownLeavesHijacked(t *testing.T) {
	hijacked, over := make(chan bool), make(chan bool)
	p := servePolls(t, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		hijacked <- true
		<-over
		io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	c := p.dial()
	io.WriteString(c, handshake("/socket.io/"))
	<-hijacked
	if err := p.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	p.Close()
	close(over)
	if r, _ := c.answer(); r.StatusCode != http.StatusNoContent {
		t.Errorf("answered %d", r.StatusCode)
	}
}

// TestShutdownInTime: who waits for a shutdown has the last word, and Close ends what is served.
func TestShutdownInTime(t *testing.T) {
	serving, over := make(chan bool), make(chan error)
	p := servePolls(t, func(_ http.ResponseWriter, r *http.Request) {
		serving <- true
		<-r.Context().Done()
		over <- r.Context().Err()
	})
	c := p.dial()
	io.WriteString(c, aPoll())
	<-serving
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown returned %v", err)
	}
	p.Close()
	<-over
	c.ends()
}

// TestCloseBeforeServing: a poll that is about to be served when its connection is closed is
// canceled.
func TestCloseBeforeServing(t *testing.T) {
	if !canPoll {
		t.Skip("this system leaves polls to net/http")
	}
	l := listen(t)
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{socket: accepted.(socket)}
	if c.raw, err = c.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	c.abort()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if c.begin(cancel); ctx.Err() == nil {
		t.Error("it waits on")
	}
}
