package control

import (
	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// causes are the reasons for which connections end, as programs read them. Every
// reason has its row.
var causes = map[string]fanoutv1.Event_Cause{
	sio.ReasonClientDisconnect:  fanoutv1.Event_CLIENT_LEFT,
	sio.ReasonReplaced:          fanoutv1.Event_REPLACED,
	sio.ReasonServerDisconnect:  fanoutv1.Event_BACKEND,
	sio.ReasonExpired:           fanoutv1.Event_EXPIRED,
	sio.ReasonNotRecovered:      fanoutv1.Event_NOT_RECOVERED,
	sio.ReasonAttachmentTimeout: fanoutv1.Event_PROTOCOL,
	sio.ReasonUnknownParser:     fanoutv1.Event_PROTOCOL,
	sio.ReasonConnectOverflow:   fanoutv1.Event_PROTOCOL,
	sio.ReasonUnavailable:       fanoutv1.Event_OTHER,
	dispatch.ReasonStalled:      fanoutv1.Event_BACKEND_STALLED,
	dispatch.ReasonNodeLost:     fanoutv1.Event_NODE_LOST,

	sio.ReasonTransportClose: fanoutv1.Event_TRANSPORT_CLOSE,
	sio.ReasonTransportError: fanoutv1.Event_TRANSPORT_ERROR,
	sio.ReasonPingTimeout:    fanoutv1.Event_PING_TIMEOUT,
	sio.ReasonParseError:     fanoutv1.Event_PROTOCOL,
	sio.ReasonSlowConsumer:   fanoutv1.Event_SLOW,
	sio.ReasonForcedServer:   fanoutv1.Event_BACKEND,
	sio.ReasonShutdown:       fanoutv1.Event_SHUTDOWN,
	sio.ReasonMaxAge:         fanoutv1.Event_MAX_AGE,
	sio.ReasonRebalance:      fanoutv1.Event_REBALANCE,
	// Of sessions that joined nothing: of a connection only if it was let in at
	// that very moment.
	sio.ReasonForcedClose:    fanoutv1.Event_OTHER,
	sio.ReasonConnectTimeout: fanoutv1.Event_OTHER,
	sio.ReasonPendingLimit:   fanoutv1.Event_OTHER,
	sio.ReasonInternalError:  fanoutv1.Event_OTHER,
}

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
