package control

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// When the arguments of an event come as values too; the contract states both.
const (
	// Bytes of JSON text. As values it takes up to six times as many, and
	// a consumer that asked for them must not be cut off by a browser that writes
	// [0,0,0,...].
	maxDecodedText = 128 << 10

	// Of arrays and objects. An object takes three messages for each level, and
	// protobuf's C++, Java and Python runtimes refuse more than 100.
	maxDecodedDepth = 30
)

// maxEventBytes bounds the message that carries one event. A packet with its
// attachments has at most two payloads' bytes; the rest is for decoded
// arguments, or a connection with its rooms and data. With the default payload
// it is below the 4 MiB that gRPC clients take by default.
func maxEventBytes(maxPayload int) int { return 2*maxPayload + 2<<20 }

// kinds are dispatch's kinds in the contract's words.
var kinds = map[dispatch.Kind]fanoutv1.Event_Kind{
	dispatch.Connecting:      fanoutv1.Event_CONNECTING,
	dispatch.Connected:       fanoutv1.Event_CONNECTED,
	dispatch.Message:         fanoutv1.Event_MESSAGE,
	dispatch.Disconnected:    fanoutv1.Event_DISCONNECTED,
	dispatch.RecoveryExpired: fanoutv1.Event_RECOVERY_EXPIRED,
}

// delivery is one delivery to a consumer. decode asks for its arguments as values
// too, include for the connection of a message.
func (e *Events) delivery(d *dispatch.Delivery, decode, include bool, view dispatch.View) *fanoutv1.Event {
	var m eventMessage
	connection := d.Connection
	if include || d.Kind == dispatch.Connected {
		connection = d.Current(view)
	}
	e.errors.describe(fanoutv1.EventService_Consume_FullMethodName, &m, d.Event, connection, view)
	m.event.DeliveryId, m.event.Attempt = d.ID(), d.Attempt
	m.event.ArgsJson = d.Args
	if decode {
		m.event.Args = decodeArgs([]byte(d.Args))
	}
	return &m.event
}

var cancelReasons = map[dispatch.CancelReason]fanoutv1.ConsumeResponse_Cancelled_Reason{
	dispatch.ClientLeft:  fanoutv1.ConsumeResponse_Cancelled_CLIENT_LEFT,
	dispatch.AckWaitOver: fanoutv1.ConsumeResponse_Cancelled_ACK_WAIT,
	dispatch.GivenBack:   fanoutv1.ConsumeResponse_Cancelled_NACKED,
	dispatch.NodeAway:    fanoutv1.ConsumeResponse_Cancelled_NODE_AWAY,
}

// maxCancelled bounds the ids of one message, so that it is within the least that a
// consumer may take: an id is at most 64 bytes long.
const maxCancelled = minMessageBytes / 128

// cancelled says what was taken back, the first delivery of a connection in the last
// message: a consumer that waits for that one knows then what else is gone.
func cancelled(c dispatch.Cancelled) (all []*fanoutv1.ConsumeResponse) {
	for ids := range slices.Chunk(c.IDs, maxCancelled) {
		all = append(all, &fanoutv1.ConsumeResponse{Response: &fanoutv1.ConsumeResponse_Cancelled_{
			Cancelled: &fanoutv1.ConsumeResponse_Cancelled{DeliveryIds: ids, Reason: cancelReasons[c.Reason]},
		}})
	}
	slices.Reverse(all)
	return all
}

// eventMessage is an Event and what it always points to, in one allocation: it
// is made for every event of every consumer.
type eventMessage struct {
	event fanoutv1.Event
	at    timestamppb.Timestamp
}

// describe fills m with all of ev but its arguments, which are shown in several
// ways, and with what view has of its connection, nil to leave that out. method is
// the one whose answer m is.
func (r *ErrorReporter) describe(method string, m *eventMessage, ev *dispatch.Event, connection *sio.Connection, view dispatch.View) {
	m.at.Seconds, m.at.Nanos = ev.ReceivedAt.Unix(), int32(ev.ReceivedAt.Nanosecond())
	m.event.Kind = kinds[ev.Kind]
	m.event.Namespace = ev.Namespace
	m.event.ConnectionId = ev.ConnectionID
	m.event.UserId = ev.UserID
	m.event.Sequence = ev.Sequence
	m.event.Event = ev.Name
	m.event.Attachments = ev.Attachments
	m.event.ReplyExpected = ev.ReplyExpected
	m.event.Traceparent = ev.Traceparent
	m.event.Existing, m.event.Replayed = ev.Existing, ev.Replayed()
	if ev.Kind == dispatch.RecoveryExpired {
		m.event.Recovery = toRecovery(sio.Recovery(ev.Reason))
	} else {
		// Reasons may repeat what a peer wrote.
		m.event.Reason = strings.ToValidUTF8(ev.Reason, "\uFFFD")
		m.event.Cause, m.event.Detail, m.event.Recoverable = toCause(ev.Reason), ev.Detail, ev.Recoverable
	}
	m.event.ReceivedAt = &m.at
	if connection != nil {
		c, err := fromConnection(connection, dataAsText, view.Handshake(ev.Kind))
		if err != nil {
			_ = r.Code(context.Background(), method,
				fmt.Errorf("an event is delivered without its connection: %w", err))
			return
		}
		m.event.Connection = c
	}
}

// decodeArgs returns the values of a JSON array, nil if they are not to be
// shown; see the constants above.
func decodeArgs(text []byte) []*structpb.Value {
	if len(text) > maxDecodedText {
		return nil
	}
	var args []any
	if json.Unmarshal(text, &args) != nil { // a number beyond float64, or nobody's arguments
		return nil
	}
	list := make([]*structpb.Value, len(args))
	for i, a := range args {
		if list[i] = decodeValue(a, maxDecodedDepth); list[i] == nil {
			return nil
		}
	}
	return list
}

// decodeValue returns nil for a value deeper than depth, and for one that no
// Value can hold.
func decodeValue(a any, depth int) *structpb.Value {
	if depth < 0 {
		return nil
	}
	switch a := a.(type) {
	case bool:
		return structpb.NewBoolValue(a)
	case float64:
		return structpb.NewNumberValue(a)
	case json.Number:
		n, err := a.Float64()
		if err != nil {
			return nil
		}
		return structpb.NewNumberValue(n)
	case string:
		return structpb.NewStringValue(a)
	case []any:
		list := &structpb.ListValue{Values: make([]*structpb.Value, len(a))}
		for i, e := range a {
			if list.Values[i] = decodeValue(e, depth-1); list.Values[i] == nil {
				return nil
			}
		}
		return structpb.NewListValue(list)
	case map[string]any:
		object := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(a))}
		for name, e := range a {
			v := decodeValue(e, depth-1)
			if v == nil {
				return nil
			}
			object.Fields[name] = v
		}
		return structpb.NewStructValue(object)
	}
	v, err := structpb.NewValue(a) // null, and what tokens are read as
	if err != nil {
		return nil
	}
	return v
}
