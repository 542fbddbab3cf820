// Package engineio is the server side of Engine.IO protocol v4, and of v3 where
// that is let in: sessions, the transports that carry them (HTTP long polling,
// WebSocket and WebTransport) and the upgrade from the first to the others.
//
// It knows HTTP, WebSocket frames, Engine.IO packets, heartbeats and limits. It
// refuses to know what the messages mean: Socket.IO lives one floor up and is
// reached through [Handler] and [Receiver] alone.
//
// # The outbox
//
// Everything a session sends goes through its outbox, a queue bounded in bytes.
// Whoever carries bytes to the browser is the outbox's one consumer: a polling
// GET for the length of one request, a link - a websocket or a WebTransport
// stream - for as long as it lives. An upgrade is one consumer handing over to
// the next, so nothing is lost, repeated or reordered, and nobody needs a timer
// to get the last poll out.
//
// # Locks
//
//	Session.in  held while one inbound packet is handled, which may wait for a
//	            backend; taken before all others
//	Server.mu   the sessions and the admission limiter; takes no other
//	Session.mu  the session's state; takes outbox.mu, starter.mu and flusher.mu
//	outbox.mu   the queue; wakes the consumer, which takes starter.mu or flusher.mu
//	flusher.mu, starter.mu, candidateInput.mu, exchange.mu  innermost
//
// Under all of them but Session.in only memory is touched; under exchange.mu
// deadlines are set. Goroutines that callers under locks need are started by the
// server's starter.
//
// # Closing
//
// [Session.Close] is one idempotent act: the first reason wins, [Session.Done]
// closes, and a goroutine of the session's own tells the receiver and takes the
// transport down. It may be called from anywhere, under any lock. Every wait that
// follows is bounded, by closeWait, by shutdownWait in a shutdown, and by the end
// of Shutdown's context.
package engineio
