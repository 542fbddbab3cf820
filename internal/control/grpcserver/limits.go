package grpcserver

import (
	"time"

	"google.golang.org/grpc/keepalive"
)

// What one peer may cost, beside the sizes of messages.
const (
	// DefaultMaxStreams is how many calls one HTTP/2 connection may have under way.
	// Further calls wait in the client.
	DefaultMaxStreams = 1000

	// A bearer key and a tracing header or two need less than 2 KiB.
	maxHeaderBytes = 16 << 10

	// For the request of a call without a key, from its headers to its end. It has a
	// few bytes.
	openTimeout = 5 * time.Second

	// From accept to the end of the HTTP/2 handshake.
	connectTimeout = 10 * time.Second
)

// Event streams may be silent for hours: nothing ends them for being idle. A
// ping tells which peers are gone, and keeps proxies from forgetting the
// others (60 s is the shortest idle timeout among common ones). A peer that has not taken
// what was sent to it is gone after the timeout alone, on Linux: see setUserTimeout.
var (
	keepaliveParams = keepalive.ServerParameters{
		Time:    45 * time.Second,
		Timeout: 15 * time.Second,
	}
	keepalivePolicy = keepalive.EnforcementPolicy{
		MinTime:             5 * time.Second, // some clients ping every 10 s, and networks bring that closer together
		PermitWithoutStream: true,
	}
)
