package connections

import (
	"container/list"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// maxOpenCalls is how many calls that need no key a stranger's connection may have under
// way: probes have one.
const maxOpenCalls = 10

// Conn is one connection. What notes calls may be called on nil, of a connection that is not
// bounded, and does nothing then. All methods may be called at once.
type Conn struct {
	net.Conn
	limiter *Limiter

	openCalls atomic.Int64 // that need no key, under way
	stranger  atomic.Bool  // it has a place among strangers

	mu     sync.Mutex
	calls  map[<-chan struct{}]int // under way, of somebody known, by what is closed when the caller's key is valid no longer; nil: for good
	called bool                    // somebody known has
	last   <-chan struct{}         // of who called last

	// Guarded by limiter.mu.
	removed bool
	place   *list.Element // among strangers; nil: it has none
	timer   *time.Timer
}

// Of returns the connection that c is, or is on top of, as NetConn of those above says: of
// TLS, say. Nil if that is not bounded.
func Of(c net.Conn) *Conn {
	for c != nil {
		switch above := c.(type) {
		case *Conn:
			return above
		case interface{ NetConn() net.Conn }:
			c = above.NetConn()
		default:
			return nil
		}
	}
	return nil
}

type contextKey struct{}

// NewContext returns ctx with c as the connection of its calls.
func NewContext(ctx context.Context, c *Conn) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// FromContext returns the connection of ctx's calls, nil if nobody said.
func FromContext(ctx context.Context) *Conn {
	c, _ := ctx.Value(contextKey{}).(*Conn)
	return c
}

// Begin notes that a call of somebody known begins, whose key is valid until ended is closed;
// nil: for good. End is called when the call has ended. The call keeps the connection as long
// as its key is valid.
func (c *Conn) Begin(ended <-chan struct{}) {
	if c == nil {
		return
	}
	c.begin(ended)
	if c.stranger.Load() {
		c.limiter.mu.Lock()
		c.welcomeLocked()
		c.limiter.mu.Unlock()
	}
}

func (c *Conn) begin(ended <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = map[<-chan struct{}]int{}
	}
	if ended != c.last && c.calls[c.last] == 0 {
		delete(c.calls, c.last)
	}
	c.calls[ended]++
	c.called, c.last = true, ended
}

// End notes the end of a call that Begin was told of, with the same.
func (c *Conn) End(ended <-chan struct{}) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[ended]--; c.calls[ended] == 0 && ended != c.last { // whose next call is not far
		delete(c.calls, ended)
	}
}

// known reports whether it is of somebody whose key is valid: who called last, or has a call
// under way; and whether it ever was.
func (c *Conn) known() (now, ever bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.called && !closed(c.last) {
		return true, true
	}
	for ended, n := range c.calls {
		if n > 0 && !closed(ended) {
			return true, true
		}
	}
	return false, c.called
}

// closed reports whether a channel is; nil never is.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// BeginOpen notes that a call begins that needs no key. It is false if a stranger's connection
// has too many of them; otherwise EndOpen is called when it has ended.
func (c *Conn) BeginOpen() bool {
	if c == nil {
		return true
	}
	if c.openCalls.Add(1) > maxOpenCalls && c.stranger.Load() {
		c.openCalls.Add(-1)
		return false
	}
	return true
}

// EndOpen notes the end of a call that BeginOpen let begin.
func (c *Conn) EndOpen() {
	if c != nil {
		c.openCalls.Add(-1)
	}
}

// Close closes the connection, and gives up its place.
func (c *Conn) Close() error {
	c.limiter.mu.Lock()
	c.limiter.removeLocked(c, "")
	c.limiter.mu.Unlock()
	return c.Conn.Close()
}

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// welcomeLocked notes that it is no stranger's. limiter.mu is held.
func (c *Conn) welcomeLocked() {
	if c.place != nil {
		c.limiter.strangers.Remove(c.place)
		c.place = nil
	}
	c.stranger.Store(false)
}

// check closes the connection if it has been a stranger's for the whole of the timeout, and
// sees, once in each, whether it is one's now.
func (c *Conn) check() {
	l := c.limiter
	l.mu.Lock()
	known, ever := c.known()
	switch {
	case c.removed:
	case known:
		c.welcomeLocked() // if a call has begun just now
		c.timer.Reset(l.timeout)
	case c.place == nil: // who calls next may have another key
		c.place = l.strangers.PushBack(c)
		c.stranger.Store(true)
		c.timer.Reset(l.timeout)
	default:
		why := NoCall
		if ever {
			why = KeyEnded
		}
		l.removeLocked(c, why)
		l.mu.Unlock()
		_ = c.Conn.Close()
		return
	}
	l.mu.Unlock()
}
