// Package netpoll uses connections without waiting for their peers: it writes
// what a connection takes at once, looks whether there is something to read, and
// parks a connection that is silent, so that no goroutine waits for it. It calls
// back when there is something to read.
//
// It knows no protocol and reads nothing: bytes are its caller's.
//
// A [Conn] is the state of one connection, over a [Socket]: the operating
// system's, see [Poller.Socket], or a test's. On systems other than Linux there
// is none, and callers wait in goroutines.
//
// A [HangUp] says when the peer of a connection leaves, of which reading is another's.
//
// A [Batch] makes writes to many connections in one system call, by io_uring, where the
// system has one for us.
//
// A [Turn] has who waits for the network get a turn from a goroutine that is busy.
//
// # Locks
//
// Poller.mu guards the table of parked connections; only memory is touched under
// it. A Conn has no lock: its state is one atomic value. Callbacks are made under
// no lock.
package netpoll
