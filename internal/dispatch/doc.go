// Package dispatch brings what browsers do to the backends that consume it:
// groups, the subscriptions of their consumers, and the event queues between
// them. It is a sio.Backend, which a daemon wraps in admission.Backend; the gRPC
// services subscribe here for consumers. It knows Socket.IO's events, and neither
// gRPC nor the network.
//
// # Order and loss
//
// Each connection has, in every group, a queue: its events in order, the first
// of them in flight, the rest waiting. A queue is owned by one subscription as
// long as that lives, so one consumer sees all of a connection's events in order;
// at an event that its owner did not ask for, it moves to one that did, once
// nothing is in flight. Where the subscriptions' shares differ by more than a quarter,
// queues with nothing in them move, some at a time, to those that have the fewest and
// asked for all that the owner did; and, where there is none with nothing in it, queues
// whose next event has waited for a while, once nothing is in flight.
// An event leaves its queue when it is settled by an ack or a verdict, when it has
// failed too often, when nobody wants it any more, and with its group. When a subscription ends, its
// queues rewind to the first unacked event and move to another: delivery is at
// least once, and a repeated event says so by its attempt.
//
// # What a group accepts
//
// An event that one of its subscriptions asked for, or one that has ended, for as
// long as that is remembered. What it authorises it authorises until it is deleted.
//
// # Who is there already
//
// A group whose subscriptions ask for lifecycle is told of each connection once,
// before anything else of it. Those that were there before anybody asked are in the
// roster: each subscription walks through it, whenever it polls, and queues a Connected
// that is Existing for each that the group was not told of, a bounded number at a time
// for each subscription, so that a busy one keeps none from the others; what such a
// connection does meanwhile brings its Connected along. One that ends before its turn is
// not mentioned; once its Connected is queued, all the rest follows. A queue notes what
// its group was told, so a group that was without subscriptions for a while hears
// nothing twice. In a cluster it may have been told elsewhere that a connection is lost:
// then its Connected comes once more, Recovered, by a number of its own.
//
// # Bounds
//
// A queue, and the queues of a subscription together, are bounded in bytes. An
// event for which there is no room is not queued but held: the reader of its
// browser waits, and TCP passes that on, until there is room. Those that wait for
// the same subscription are let in as they came. An event larger than a bound is
// let in where nothing else waits, so a bound is exceeded by one event at the
// most. What an ended subscription leaves to others comes on top, and so does the
// end of a connection and an Existing, small events that nobody could wait with.
//
// A group serves a connection if a subscription is there for it and settles what it
// has of it. One that does not, while another group does, holds up nobody: it loses
// what it has no room for. The start of a connection comes on top, up to twice the
// bound; beyond that the group is told of the connection, as an Existing one, when a
// consumer joins, or with its next event for which there is room; and of no end before.
//
// A browser held up for too long is closed with [ReasonStalled]; its event goes
// with it, and is counted as dropped. What was queued stays until it is settled.
//
// # Consumers that are slow, hang or die
//
// The oldest delivery in flight of each queue is to be settled within the
// subscription's ack wait; else the queue rewinds and moves to another. A
// subscription ends only if its consumer does not read.
//
// An event that was given back, was not settled in time or brought its consumer
// down is struck; with Options.MaxAttempts strikes it becomes a dead letter. All
// that was in flight to a subscription that ends is suspect until it is settled. A quarter
// as many suspects at most are in flight to a subscription again, a quarter of that after
// the next end, and at last one, which another end strikes: so what only stood beside the
// culprit is not buried, and does not wait for all others.
//
// # Locks
//
//	Dispatcher.mu -> group.mu -> deadLetters.mu, publish.Topics.mu
//	client.mu, roster.mu, changes.mu, leaves
//
// Dispatcher.mu guards which groups, clients and tails there are; group.mu all
// that a group holds: subscriptions, queues, loads; deadLetters.mu the dead letters
// of all groups; roster.mu the list of connections; changes.mu, which is taken under locks of
// package sio, those that have changed. Under them only memory is
// touched: channels are closed, or sent to without waiting, and timers are set.
// Nothing is logged, encoded or written, no session is closed, and no other
// package's lock is taken, but those of package publish and of who hears of a consumer's
// end there.
package dispatch
