// Package dispatch brings what browsers do to the backends that consume it:
// groups, their subscriptions, and the queues between them. It is the sio.Backend of
// a daemon; whoever talks to the consumers (the gRPC services) joins groups
// here. It knows Socket.IO's events, and neither gRPC nor the network.
//
// # Order and loss
//
// Each connection has, in every group, a queue: its events in order, the first
// of them in flight, the rest waiting. A queue belongs to one subscription as long as
// that subscription lives, so one consumer sees all of a connection's events in
// order. An event leaves its queue when it is acked. When a subscription goes, its
// queues rewind to the first unacked event and move to another: delivery is at
// least once, and a repeated event says so by its attempt.
//
// # Bounds
//
// A queue and a subscription's queues together are bounded in bytes. An event for which
// there is no room is not queued: its browser is held up, which is to say that
// its reader waits, and TCP passes that on, until there is room. Those that wait
// for the same subscription are let in as they came. An event larger than a bound is
// let in where nothing else waits, so a bound is exceeded by one event at the
// most. What a subscription that goes leaves to others comes on top, and so does the
// end of a connection, a small event that nobody could wait with.
//
// A browser held up for too long is closed with [ReasonStalled]; its event goes
// with it, and is counted as dropped. What was queued stays until it is acked. A
// subscription that makes no progress while events wait is taken out of its group, so
// that others can have them.
//
// # Locks
//
//	Dispatcher.mu -> group.mu
//	client.mu
//
// Nothing blocks under them, and nothing above or below is called.
package dispatch
