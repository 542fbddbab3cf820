package control

import (
	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// End is a reason for which connections or their sessions end.
type End struct {
	Reason string
	Cause  fanoutv1.Event_Cause // the reason for programs
	When   string               // for people, in Markdown
}

// Ends are all of them. Those of cause OTHER end sessions that joined nothing: a connection
// only if it was let in at that very moment.
var Ends = []End{
	{sio.ReasonClientDisconnect, fanoutv1.Event_CLIENT_LEFT, "The client left the namespace: its page called `disconnect()`."},
	{sio.ReasonServerDisconnect, fanoutv1.Event_BACKEND, "A backend disconnected it, mode NAMESPACE or SESSION, or its user was blocked. The stock client says \"io server disconnect\" and stays away until its page connects again."},
	{sio.ReasonForcedServer, fanoutv1.Event_BACKEND, "A backend disconnected it, mode TRANSPORT or SESSION. After TRANSPORT the stock client comes back by itself."},
	{sio.ReasonReplaced, fanoutv1.Event_REPLACED, "The client connected to this namespace once more within its session."},
	{sio.ReasonExpired, fanoutv1.Event_EXPIRED, "Its authorisation ran out. The stock client comes back by itself: give it a new token, by a function as `auth`."},
	{sio.ReasonNotRecovered, fanoutv1.Event_NOT_RECOVERED, "It wanted to come back as the connection that it was, and could not. It is connected anew."},
	{sio.ReasonTransportClose, fanoutv1.Event_TRANSPORT_CLOSE, "What carried the session closed: a page that was closed, a network that was lost, a proxy with a short timeout."},
	{sio.ReasonTransportError, fanoutv1.Event_TRANSPORT_ERROR, "What carried it broke, or two requests came where one may be. `detail` says what."},
	{sio.ReasonPingTimeout, fanoutv1.Event_PING_TIMEOUT, "The client did not answer a ping within `ping-timeout`: its network is gone or its page sleeps."},
	{sio.ReasonParseError, fanoutv1.Event_PROTOCOL, "The client sent what is no Engine.IO or Socket.IO, or more than is allowed. `detail` says what."},
	{sio.ReasonAttachmentTimeout, fanoutv1.Event_PROTOCOL, "The client began a packet and did not send its attachments in time."},
	{sio.ReasonUnknownParser, fanoutv1.Event_PROTOCOL, "The client has a parser that is not known here. Use the default one or socket.io-msgpack-parser."},
	{sio.ReasonConnectOverflow, fanoutv1.Event_PROTOCOL, "The client sent too much for a namespace before it was let in."},
	{sio.ReasonSlowConsumer, fanoutv1.Event_SLOW, "The client takes less than it is sent: its queue is full. Send less, or `volatile`; see `max-queue`."},
	{dispatch.ReasonStalled, fanoutv1.Event_BACKEND_STALLED, "No consumer took its events in time. Add instances, or look at what they do."},
	{dispatch.ReasonNodeLost, fanoutv1.Event_NODE_LOST, "The node that held it is gone. Its client comes back at another."},
	{sio.ReasonShutdown, fanoutv1.Event_SHUTDOWN, "The node drains or shuts down. The client comes back at another."},
	{sio.ReasonMaxAge, fanoutv1.Event_MAX_AGE, "The session was older than `max-connection-age`. The client comes back by itself."},
	{sio.ReasonRebalance, fanoutv1.Event_REBALANCE, "An operator spread the sessions over the nodes. The client comes back by itself."},
	{sio.ReasonUnavailable, fanoutv1.Event_OTHER, "Nobody could decide whether the client may connect: no consumer, no answer of the hook, no keys for tokens. It comes back by itself."},
	{sio.ReasonForcedClose, fanoutv1.Event_OTHER, "The session was closed before it joined anything."},
	{sio.ReasonConnectTimeout, fanoutv1.Event_OTHER, "The client joined no namespace in time."},
	{sio.ReasonPendingLimit, fanoutv1.Event_OTHER, "Too many sessions joined nothing, and this was the oldest of them."},
	{sio.ReasonInternalError, fanoutv1.Event_OTHER, "A mistake of the daemon, which its log has at level error."},
}

// causes are those of the reasons.
var causes = func() map[string]fanoutv1.Event_Cause {
	all := make(map[string]fanoutv1.Event_Cause, len(Ends))
	for _, e := range Ends {
		all[e.Reason] = e.Cause
	}
	return all
}()

// toCause returns what programs read for a reason, NONE for none.
func toCause(reason string) fanoutv1.Event_Cause {
	if reason == "" {
		return fanoutv1.Event_NONE
	}
	if cause, known := causes[reason]; known {
		return cause
	}
	return fanoutv1.Event_OTHER
}
