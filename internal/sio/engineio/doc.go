// Package engineio is the server side of Engine.IO protocol v4, and of v3 where
// that is let in: sessions, the transports that carry them (HTTP long polling,
// WebSocket and WebTransport) and the upgrade from the first to the others.
//
// It knows HTTP, WebSocket frames, Engine.IO packets, heartbeats and limits. It
// does not know what the messages mean: Socket.IO is one layer up and is reached
// through [Handler], [Receiver] and [Starter] alone.
//
// # The outbox
//
// Everything a session sends goes through its outbox, a queue bounded in bytes.
// It has one writer at a time: a polling GET for the length of one request, a
// link - a WebSocket or a WebTransport stream - for as long as it lives. An
// upgrade is one writer handing over to the next, so nothing is lost, repeated or
// reordered, and no timer is needed to get the last poll out.
//
// # Locks
//
//	Session.in  held while the handler opens the session, while a packet of a
//	            link or all packets of a POST are handled, and while the receiver
//	            starts or learns of the end; each may wait for a backend; taken
//	            before all others
//	Server.mu   the sessions and the session limiter; takes no other
//	Session.mu  the session's state; takes outbox.mu, starter.mu and flusher.mu
//	outbox.mu   the queue; wakes the writer, which takes starter.mu or flusher.mu
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
// transport down. It takes Session.mu, outbox.mu and starter.mu, so it may be
// called under every lock that may be held when those are taken, and under none of
// them. Every wait that follows is bounded: by closeWait for a link; for a last
// poll by lastPollWait, or overtakenPollWait after the browser's own close packet;
// by shutdownWait in a shutdown; and by the end of Shutdown's context.
package engineio
