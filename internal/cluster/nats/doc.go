// Package nats is a bus over NATS: embedded, with a server in this process that keeps
// routes to those of the other nodes, or over a server that somebody else runs. Nothing
// outside this package knows NATS.
//
// # What is lost
//
// Core NATS tells nobody what it loses; the links above find out and repair it. Messages
// are lost by:
//
//   - A route that breaks: what was published until both ends noticed. A peer whose
//     connections are reset is noticed at once, a silent one after pingInterval times
//     pingsOut+1; the servers connect anew after a second.
//   - A handler that is slower than what arrives: what exceeds bus.MaxPending. Counted.
//   - A burst. Measured (BenchmarkBurst) with two nodes in one process on two cores,
//     sent as fast as Publish returns to a handler that does nothing: from one run to the
//     next between nothing and 60 % of half a gigabyte is lost, most of all in messages
//     of 4 KiB. They come over a route faster than the node's own connection takes them,
//     and beyond maxPending the server closes that and forgets what waits. A sender to
//     its own node is slowed down instead. A connection over loopback in place of the one
//     within the process loses as much.
//     Nothing of it is lost while all senders together have less under way than
//     bus.MaxPending, hence the windows of the links.
//
// The server's option no_fast_producer_stall is not for us: it drops silently what
// comes once three quarters of maxPending wait, without closing anything, and says
// "no responders" of it.
//
// Locks: conn.mu and subscription.mu guard memory. NATS's own locks are taken under
// neither, and handlers are called under none.
package nats
