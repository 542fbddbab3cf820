package connections

import (
	"container/list"
	"context"
	"net"
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

	calls     atomic.Int64                    // of somebody known, under way
	openCalls atomic.Int64                    // that need no key, under way
	stranger  atomic.Bool                     // it has a place among strangers
	ended     atomic.Pointer[<-chan struct{}] // of who called last; closed when that one's key is valid no longer

	// Guarded by limiter.mu.
	removed bool
	place   *list.Element // among strangers; nil: it has none
	known   bool          // somebody was
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
// nil: for good. End is called when the call has ended.
func (c *Conn) Begin(ended <-chan struct{}) {
	if c == nil {
		return
	}
	c.calls.Add(1)
	if last := c.ended.Load(); last == nil || *last != ended {
		c.remember(ended)
	}
	if c.stranger.Load() {
		c.limiter.mu.Lock()
		c.knownLocked()
		c.limiter.mu.Unlock()
	}
}

// remember is apart from Begin, or each call would allocate.
func (c *Conn) remember(ended <-chan struct{}) { c.ended.Store(&ended) }

// End notes the end of a call that Begin was told of.
func (c *Conn) End() {
	if c != nil {
		c.calls.Add(-1)
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

// knownLocked notes that it is no stranger's.
func (c *Conn) knownLocked() {
	c.known = true
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
	calls := c.calls.Load() > 0
	switch {
	case c.removed:
	case calls, c.place == nil && !c.keyEnded():
		c.knownLocked()
		c.timer.Reset(l.timeout)
	case c.place == nil: // who calls next may have another key
		c.place = l.strangers.PushBack(c)
		c.stranger.Store(true)
		c.timer.Reset(l.timeout)
	default:
		why := NoCall
		if c.known {
			why = KeyEnded
		}
		l.removeLocked(c, why)
		l.mu.Unlock()
		_ = c.Conn.Close()
		return
	}
	l.mu.Unlock()
}

// keyEnded reports whether the key of who called last is valid no longer.
func (c *Conn) keyEnded() bool {
	ended := c.ended.Load()
	if ended == nil {
		return false
	}
	select {
	case <-*ended:
		return true
	default:
		return false
	}
}
