// Package dispatch brings what browsers do to the backends that consume it:
// groups, their members, and the queues between them. It is the sio.Backend of
// a daemon; whoever talks to the consumers (the gRPC services) joins groups
// here. It knows Socket.IO's events, and neither gRPC nor the network.
//
// # Order and loss
//
// Each connection has, in every group, a lane: its events in order, the first
// of them in flight, the rest waiting. A lane belongs to one member as long as
// that member lives, so one consumer sees all of a connection's events in
// order. An event leaves its lane when it is acked. When a member goes, its
// lanes rewind to the first unacked event and move to another: delivery is at
// least once, and a repeated event says so by its attempt.
//
// # Bounds
//
// A lane and a member's lanes together are bounded in bytes. The event that
// exceeds a bound is still queued, and then holds its browser up: its reader
// waits, and TCP passes that on. A browser held up for too long is closed with
// [ReasonStalled]. A member that makes no progress while events wait is taken
// out of its group, so that others can have them.
//
// # Locks
//
//	Dispatcher.mu -> group.mu
//	client.mu
//
// Nothing blocks under them, and nothing above or below is called.
package dispatch
