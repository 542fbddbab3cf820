package engineio

import "github.com/fanoutd/fanoutd/internal/wsconn"

// Reason says why a session closed. The first seven are the reference's words
// (engine.io/lib/socket.ts, socket.io/lib/socket-types.ts); the rest are ours,
// where the reference has no such case.
type Reason string

const (
	ReasonTransportError Reason = "transport error"
	ReasonTransportClose Reason = "transport close"
	ReasonForcedClose    Reason = "forced close"
	ReasonPingTimeout    Reason = "ping timeout"
	ReasonParseError     Reason = "parse error"
	ReasonShutdown       Reason = "server shutting down"
	ReasonForcedServer   Reason = "forced server close"

	// ReasonSlowConsumer closes a session whose outbox is full: the browser
	// takes less than it is sent.
	ReasonSlowConsumer Reason = "slow consumer"
	// ReasonConnectTimeout closes a session that joined no namespace in time.
	ReasonConnectTimeout Reason = "connect timeout"
	// ReasonInternalError closes a session in whose handling the server panicked.
	ReasonInternalError Reason = "internal error"
	// ReasonPendingLimit closes the oldest of too many sessions that joined nothing.
	ReasonPendingLimit Reason = "too many pending sessions"
	// ReasonMaxAge closes a session that is older than [Options.MaxConnectionAge], so that
	// its client comes back, elsewhere perhaps.
	ReasonMaxAge Reason = "max connection age"
	// ReasonRebalance closes a session of a server that has more than its share, so that
	// its client comes back elsewhere.
	ReasonRebalance Reason = "rebalance"
)

// Reasons are those above. Layers above close sessions for reasons of their own.
var Reasons = []string{
	string(ReasonTransportError), string(ReasonTransportClose), string(ReasonForcedClose), string(ReasonPingTimeout),
	string(ReasonParseError), string(ReasonShutdown), string(ReasonForcedServer), string(ReasonSlowConsumer),
	string(ReasonConnectTimeout), string(ReasonInternalError), string(ReasonPendingLimit), string(ReasonMaxAge), string(ReasonRebalance),
}

// graceful reports whether what is queued is still worth delivering: the peer
// is there and did nothing wrong.
func (r Reason) graceful() bool {
	switch r {
	case ReasonTransportError, ReasonTransportClose, ReasonForcedClose, ReasonPingTimeout,
		ReasonParseError, ReasonSlowConsumer, ReasonConnectTimeout, ReasonPendingLimit, ReasonInternalError:
		return false
	}
	return true // the server's own decision, the reasons of the layers above among them
}

// byPeer reports whether the peer is gone, or broke the protocol: it is owed no
// more than what its pending poll takes.
func (r Reason) byPeer() bool {
	switch r {
	case ReasonTransportError, ReasonTransportClose, ReasonPingTimeout, ReasonParseError:
		return true
	}
	return false
}

// closeCode is the WebSocket status that goes with the reason (RFC 6455, 7.4.1).
// The reference closes without one; the stock client ignores it, people and
// other tools do not.
func (r Reason) closeCode() uint16 {
	switch r {
	case ReasonShutdown, ReasonMaxAge, ReasonRebalance:
		return 1001
	case ReasonParseError:
		return 1002
	case ReasonSlowConsumer, ReasonConnectTimeout, ReasonPingTimeout, ReasonPendingLimit:
		return 1008
	case ReasonInternalError:
		return 1011
	}
	return 1000
}

// CloseCode is the WebSocket status that ends a session for this reason, which may be one of
// the layers above.
func CloseCode(reason string) int { return int(Reason(reason).closeCode()) }

// closeFrame is the last frame of a WebSocket.
func (r Reason) closeFrame() *Message {
	c := r.closeCode()
	return frame(wsconn.OpClose, []byte{byte(c >> 8), byte(c)}, []byte(r))
}
