package consumers

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/cluster"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// The types of package dispatch as nodes tell them each other, and back.

func fromOptions(o *dispatch.SubscriptionOptions, limit int, since int64) *clusterv1.Subscribe {
	return &clusterv1.Subscribe{
		Group: o.Group, ConsumerId: o.ConsumerID, Namespaces: o.Namespaces, Events: o.Events,
		Lifecycle: o.Lifecycle, Assignments: o.Assignments, SkipExisting: o.SkipExisting, RecoveryExpired: o.RecoveryExpired, Authorize: o.Authorize, AckWait: int64(o.AckWait),
		IncludeConnection: o.IncludeConnection, View: int32(o.View), Limit: count(limit), MaxInFlight: count(o.MaxInFlight), Since: since, Node: o.Node,
		Caller: o.Caller, OnlyOwn: o.OnlyOwn, OneByOne: o.OneByOne, NoEvents: o.NoEvents, Topics: o.Topics,
	}
}

func toOptions(m *clusterv1.Subscribe) dispatch.SubscriptionOptions {
	return dispatch.SubscriptionOptions{
		Group: m.GetGroup(), ConsumerID: m.GetConsumerId(), Namespaces: m.GetNamespaces(), Events: m.GetEvents(),
		Lifecycle: m.GetLifecycle(), Assignments: m.GetAssignments(), SkipExisting: m.GetSkipExisting(), RecoveryExpired: m.GetRecoveryExpired(), Authorize: m.GetAuthorize(), AckWait: time.Duration(m.GetAckWait()),
		IncludeConnection: m.GetIncludeConnection(), View: dispatch.View(m.GetView()), MaxInFlight: int(m.GetMaxInFlight()), Node: m.GetNode(), Relayed: true,
		Caller: m.GetCaller(), OnlyOwn: m.GetOnlyOwn(), OneByOne: m.GetOneByOne(), NoEvents: m.GetNoEvents(), Topics: m.GetTopics(),
	}
}

// fromEvent has the connection where it matters: of a message, if its consumer wants it.
func fromEvent(e *dispatch.Event, include bool, view dispatch.View) (*clusterv1.Event, error) {
	m := &clusterv1.Event{
		Kind: int32(e.Kind), Namespace: e.Namespace, ConnectionId: e.ConnectionID, Epoch: e.Epoch, User: e.UserID, Sequence: e.Sequence, //nolint:gosec // an enum
		Name: []byte(e.Name), Args: []byte(e.Args), Attachments: e.Attachments, ReplyExpected: e.ReplyExpected,
		Reason: []byte(e.Reason), Detail: []byte(e.Detail), ReceivedAt: timestamppb.New(e.ReceivedAt), Existing: e.Existing, Replay: e.Replay,
		Traceparent: e.Traceparent, Recoverable: e.Recoverable,
	}
	if e.Kind == dispatch.Message && !include {
		return m, nil
	}
	if c := e.Current(view); c != nil {
		var err error
		if m.Connection, err = cluster.FromConnection(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func toEvent(m *clusterv1.Event) (*dispatch.Event, error) {
	e := &dispatch.Event{
		Kind: dispatch.Kind(m.GetKind()), Namespace: m.GetNamespace(), ConnectionID: m.GetConnectionId(), Epoch: m.GetEpoch(), UserID: m.GetUser(), Sequence: m.GetSequence(),
		Name: string(m.GetName()), Args: string(m.GetArgs()), Attachments: m.GetAttachments(), ReplyExpected: m.GetReplyExpected(),
		Reason: string(m.GetReason()), Detail: string(m.GetDetail()), ReceivedAt: m.GetReceivedAt().AsTime(), Existing: m.GetExisting(), Replay: m.GetReplay(),
		Traceparent: m.GetTraceparent(), Recoverable: m.GetRecoverable(),
	}
	if m.GetConnection() != nil {
		c, err := cluster.ToConnection(m.GetConnection())
		if err != nil {
			return nil, err
		}
		e.Connection = &c
	}
	return e, nil
}

// sizeOf is about how much memory an event takes.
func sizeOf(m *clusterv1.Event) int {
	n := 512 + len(m.GetName()) + len(m.GetArgs()) + len(m.GetDetail())
	for _, a := range m.GetAttachments() {
		n += len(a)
	}
	return n + len(m.GetConnection().GetData())
}

func fromVerdict(v *dispatch.Verdict) (*clusterv1.Verdict, error) {
	m := &clusterv1.Verdict{Allow: v.Allow, Message: v.Message, Data: v.Data, Retry: v.Retry, User: v.User, Rooms: v.Rooms}
	if !v.ExpiresAt.IsZero() {
		m.ExpiresAt = timestamppb.New(v.ExpiresAt)
	}
	if v.UserData != nil {
		var err error
		if m.UserData, err = json.Marshal(v.UserData); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// toVerdict keeps numbers as they are written.
func toVerdict(m *clusterv1.Verdict) (dispatch.Verdict, error) {
	v := dispatch.Verdict{Allow: m.GetAllow(), Message: m.GetMessage(), Data: m.GetData(), Retry: m.GetRetry(), User: m.GetUser(), Rooms: m.GetRooms()}
	if m.GetExpiresAt() != nil {
		v.ExpiresAt = m.GetExpiresAt().AsTime()
	}
	if len(m.GetUserData()) > 0 {
		d := json.NewDecoder(bytes.NewReader(m.GetUserData()))
		d.UseNumber()
		if err := d.Decode(&v.UserData); err != nil {
			return v, err
		}
	}
	return v, nil
}

func count(n int) uint32 { return uint32(max(n, 0)) } //nolint:gosec // ten thousand at most

// causes are why subscriptions end, as nodes tell each other.
var causes = []struct {
	err   error
	cause clusterv1.Ended_Cause
}{
	{dispatch.ErrInterrupted, clusterv1.Ended_INTERRUPTED},
	{dispatch.ErrReplaced, clusterv1.Ended_REPLACED},
	{dispatch.ErrGroupDeleted, clusterv1.Ended_GROUP_DELETED},
	{dispatch.ErrDisconnected, clusterv1.Ended_DISCONNECTED},
	{dispatch.ErrTooMany, clusterv1.Ended_TOO_MANY},
	{dispatch.ErrTaken, clusterv1.Ended_TAKEN},
	{dispatch.ErrClosed, clusterv1.Ended_CLOSED},
	{dispatch.ErrDrained, clusterv1.Ended_CLOSED},
}

func fromCause(err error) *clusterv1.Ended {
	for _, c := range causes {
		if errors.Is(err, c.err) {
			return &clusterv1.Ended{Cause: c.cause, Text: err.Error()}
		}
	}
	return &clusterv1.Ended{Text: err.Error()}
}

func toCause(m *clusterv1.Ended) error {
	for _, c := range causes {
		if c.cause == m.GetCause() {
			return c.err
		}
	}
	return dispatch.ErrInterrupted
}

// names are errors of calls, as nodes tell each other.
var names = map[string]error{
	"bad id": dispatch.ErrBadID, "no reply": dispatch.ErrNoReply, "too large": sio.ErrTooLarge,
	"no group": dispatch.ErrNoGroup, "no consumer": dispatch.ErrNoConsumer, "no room": dispatch.ErrNoRoom,
	"too many": dispatch.ErrTooMany,
}

// failed is the name of errFailed.
const failed = "failed"

// errFailed is what a call ends with that failed inside a peer, whose log says why.
var errFailed = errors.New("consumers: a node failed; its log says why")

func nameOf(err error) string {
	if err == nil {
		return ""
	}
	for name, e := range names {
		if errors.Is(err, e) {
			return name
		}
	}
	return failed
}

func errorOf(name string) error {
	if name == "" {
		return nil
	}
	if err, ok := names[name]; ok {
		return err
	}
	return errFailed
}
