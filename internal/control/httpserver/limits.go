package httpserver

import "time"

// What one peer may cost, beside the sizes of messages.
const (
	// A bearer key and a tracing header or two need less than 2 KiB.
	maxHeaderBytes = 16 << 10

	// A request of a call without a key, or one that any key may make, also unpacked: a
	// name or two.
	maxOpenBytes = 4 << 10

	// From accept, or the end of the last answer, to the end of the headers.
	headerTimeout = 10 * time.Second

	// Between calls, so that a client keeps a connection that it uses now and then.
	idleTimeout = 3 * time.Minute

	// For a request, from the end of its headers to its own, but for those that stream:
	// 16 MiB come in time at 2.2 Mbit/s. It is also for an answer, or a piece of one, to
	// be taken.
	messageTimeout = time.Minute

	// The same for the request of a call without a key. It has a few bytes.
	openTimeout = 5 * time.Second

	// For what is being sent when a stream ends.
	lastAnswer = time.Second

	// Answers below it are not worth their compression.
	compressMinBytes = 1 << 10
)

// Nothing ends a connection of HTTP/2 because it is silent, as those are that carry event
// streams. A ping tells which peers are gone.
const (
	pingAfter   = 45 * time.Second
	pingTimeout = 15 * time.Second
)
