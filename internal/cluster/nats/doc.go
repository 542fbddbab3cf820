// Package nats is a bus over NATS: embedded, with a server in this process that keeps
// routes to those of the other nodes, or over a server that somebody else runs. Nothing
// outside this package knows NATS.
//
// # What is lost, measured
//
// Core NATS tells nobody what it loses. Three things lose messages here, each counted or
// seen by the links above:
//
//   - A route that breaks: what was published until both ends noticed. A peer that
//     resets its connections is noticed at once, a silent one after pingInterval times
//     pingsOut; the servers connect anew after a second.
//   - A handler that is slower than what arrives: what exceeds bus.MaxPending.
//   - A burst: see burst.go for what was measured and which bounds follow.
//
// Locks: conn.mu and subscription.mu guard memory. NATS's own locks are taken under
// neither, and handlers are called under none.
package nats
