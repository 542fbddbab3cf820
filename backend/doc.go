// Package backend is for programs behind fanoutd: it sends events to browsers,
// and hears what browsers send. It is a thin layer over the generated contract
// (package fanoutv1), for what every backend would write again: reconnects,
// events of one connection in order, acknowledgement after the work is done,
// and a clean end. What it has no helper for is a call away, see [Client.GRPC].
//
// # Sending
//
// [Dial] a daemon, then [Client.Emit] to a [Target]: [All], [Rooms], [IDs],
// [Users]. Arguments are whatever encoding/json marshals; a []byte becomes a
// binary attachment. [Reached] says how many connections have it, and which nodes of a cluster did not answer.
// What has to happen in one order, without waiting for each step, goes
// by a stream of [Client.Commands].
//
// # Hearing
//
// A [Consumer] is one member of a group; the members of a group share the
// work. Register handlers, then [Consumer.Run] until its context ends:
//
//   - Events of one connection are handled one at a time, in order; different
//     connections at once, up to [ConsumerOptions.Concurrency].
//   - An event is acknowledged when its handler has returned without an error.
//     An error gives it back: it comes again after a pause, which a [RetryError]
//     chooses, until the daemon makes it a dead letter (its setting max-attempts,
//     10 by default), and what follows it from that connection waits. So return
//     an error for what may work later (a database that is away), and answer
//     what a browser got wrong with a reply. An [ArgsError], which [Args.Decode]
//     returns, is never retried.
//   - Delivery is at least once: after a lost connection or process an event
//     may come again, with [Event.Attempt] above 1. A process does not handle
//     again what it has just handled; another one cannot know. [Event.Key]
//     names the event at every attempt: keep it with what you store, or make
//     it the idempotency key of what you emit.
//   - A handler may take as long as it needs: the daemon is told that it is at
//     work. It holds its connection up meanwhile, so long work is better handed
//     over. Its context ends if the daemon takes the event back.
//
// A program that keeps something for each connection that it handles, such as a library
// of sockets, learns of these by [Consumer.OnAssigned] and [Consumer.OnReleased]: all that
// it owns when it starts, and each before anything that the connection does.
//
// Backends reach each other by [Client.Publish] and [Consumer.OnPublished]. Who is there, and
// who comes and goes, is told by [Client.Watch]; [Client.Block] keeps somebody out.
//
// Everything here may be used by several goroutines at once, except that all
// handlers are to be registered before Run.
package backend
