package netpoll

import "sync/atomic"

// Conn is the state of one connection that is read from by one goroutine at a
// time, its reader, or by none while it is parked. Park and Release are the
// reader's; the other methods may be called by anybody.
type Conn struct {
	socket Socket
	reader Reader
	state  atomic.Int32
}

// Reader is who reads from a connection.
type Reader interface {
	// Ready is called when a reader is needed after [Conn.Park], from a goroutine that
	// it must not hold up.
	Ready()
}

// The states of a Conn. The goroutine that moves it out of parked makes the
// callback, so it is made once for each Park.
//
//	from      to        by
//	reading   parked    Park
//	parked    reading   Readable: the socket found something to read
//	parked    final     Unpark
//	reading   final     Unpark; Park has no effect from then on
//	reading   ended     Release
//	final     ended     Release
const (
	reading int32 = iota // somebody reads
	parked               // nobody reads; the socket is watched
	final                // somebody reads, until the end
	ended                // the socket is no longer watched
)

// NewConn returns the state of a connection that r is reading from.
func NewConn(s Socket, r Reader) *Conn {
	c := &Conn{}
	c.Init(s, r)
	return c
}

// Init makes a zero c the state of a connection that r is reading from.
func (c *Conn) Init(s Socket, r Reader) { c.socket, c.reader = s, r }

// AddTo is [Batch.Add], of a write to the connection.
func (c *Conn) AddTo(b *Batch, bufs [][]byte) (taken int) { return b.Add(c.socket, bufs) }

// Silent is [Socket.Silent].
func (c *Conn) Silent() bool { return c.socket.Silent() }

// AwaitInput is [Socket.AwaitInput].
func (c *Conn) AwaitInput() { c.socket.AwaitInput() }

// Park gives up reading until there is something to read, or the end: then Ready
// is called, which may be before Park returns. It reports false if that is not
// possible; then the caller is the reader still. After true, the caller must not
// read any more.
func (c *Conn) Park() bool {
	if !c.socket.Watch(c) || !c.state.CompareAndSwap(reading, parked) {
		return false
	}
	// From here on there may be another reader, and the end.
	if c.socket.Arm() {
		return true
	}
	return !c.state.CompareAndSwap(parked, reading)
}

// Unpark makes sure that there is a reader from now on until the end.
func (c *Conn) Unpark() {
	for {
		s := c.state.Load()
		if s == final || s == ended {
			return
		}
		if c.state.CompareAndSwap(s, final) {
			if s == parked {
				c.reader.Ready()
			}
			return
		}
	}
}

// Readable is called by the socket when there is something to read. A call that
// is not asked for, or late, has no effect.
func (c *Conn) Readable() {
	if c.state.CompareAndSwap(parked, reading) {
		c.reader.Ready()
	}
}

// Release ends the watching. It is to be called before the connection is closed,
// and has no effect when it is called again.
func (c *Conn) Release() {
	if c.state.Swap(ended) != ended {
		c.socket.Unwatch()
	}
}
