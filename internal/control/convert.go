package control

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// Bounds of what a backend may name. The daemon keeps rooms for as long as they
// have members, and keys for minutes, so they are bounded beyond the size of a
// request.
const (
	maxRooms    = 1000
	maxRoomName = 1024 // bytes
	maxKey      = 128  // bytes of an idempotency key, and of one to conflate by
)

// namespaceName is the full name of a namespace as a caller may write it.
func namespaceName(s string) string {
	switch {
	case s == "":
		return "/"
	case s[0] != '/':
		return "/" + s
	}
	return s
}

// namespacePattern is namespaceName where a pattern may be written too: a star alone is
// every namespace.
func namespacePattern(s string) string {
	if s == sio.EveryNamespace {
		return s
	}
	return namespaceName(s)
}

// toTarget converts the required field `to`, and holds it to the caller's limits. The target shares its slices with
// m, which nobody changes once it has been received.
func toTarget(p *problems, m *fanoutv1.Target) sio.Target {
	to := sio.Target{
		Namespace: namespacePattern(m.GetNamespace()),
		Selector: room.Selector{
			Rooms:  m.GetRooms(),
			Except: m.GetExcept(),
			IDs:    m.GetIds(),
			Users:  m.GetUsers(),
			All:    m.GetAll(),
		},
		Owner: toOwner(p, m.GetOwner()),
	}
	named := len(to.Rooms) + len(to.IDs) + len(to.Users)
	switch {
	case named == 0 && !to.All:
		p.add("to", `selects nobody: name rooms, ids or users, or say "all": true`)
	case named > 0 && to.All:
		p.add("to", "contradicts itself: all together with rooms, ids or users")
	}
	p.needTarget(m)
	noneEmpty(p, "to.rooms", to.Rooms)
	noneEmpty(p, "to.except", to.Except)
	noneEmpty(p, "to.ids", to.IDs)
	noneEmpty(p, "to.users", to.Users)
	return to
}

func toOwner(p *problems, m *fanoutv1.Target_Owner) sio.Owner {
	if m != nil && (m.GetGroup() == "" || m.GetConsumerId() == "") {
		p.add("to.owner", "must name a group and a consumer")
	}
	return sio.Owner{Group: m.GetGroup(), ConsumerID: m.GetConsumerId()}
}

func noneEmpty(p *problems, field string, names []string) {
	for i, s := range names {
		if s == "" {
			p.add(fmt.Sprintf("%s[%d]", field, i), "must not be empty")
		}
	}
}

// toRooms converts the required field `rooms` of Join and Leave.
func toRooms(p *problems, rooms []string) []string {
	if len(rooms) == 0 {
		p.add("rooms", "must name at least one room")
	}
	p.needRooms("rooms", rooms)
	names(p, "rooms", rooms, maxRooms, maxRoomName)
	return rooms
}

// names checks a list that the daemon keeps: how many they are, that none is
// empty, and how long they are in bytes.
func names(p *problems, field string, list []string, most, longest int) {
	if len(list) > most {
		p.add(field, "%d entries, but at most %d are allowed", len(list), most)
	}
	noneEmpty(p, field, list)
	for i, s := range list {
		if len(s) > longest {
			atMost(p, fmt.Sprintf("%s[%d]", field, i), s, longest)
		}
	}
}

// atMost bounds a text in bytes.
func atMost(p *problems, field, s string, longest int) {
	if len(s) > longest {
		p.add(field, "%d bytes, but at most %d are allowed", len(s), longest)
	}
}

// toExpiry converts the optional field `expire_at`; unset is the zero time. The
// first of January of year 1 is what an unset date looks like in some
// languages: taken for what it says it would mean never, here of all places.
func toExpiry(p *problems, field string, at *timestamppb.Timestamp) time.Time {
	switch {
	case at == nil:
		return time.Time{}
	case !at.IsValid():
		p.add(field, "is no valid time")
	case at.GetSeconds() < 0:
		p.add(field, "is before 1970")
	}
	return at.AsTime()
}

// toEvent checks the required name of an event to be sent.
func toEvent(p *problems, name string) string {
	if name == "" {
		p.add("event", "must not be empty")
	} else if parser.Reserved(name) {
		p.add("event", "%q is reserved by Socket.IO", name)
	}
	return name
}

// toEmit converts an emit and checks everything about it but its size.
func toEmit(p *problems, m *fanoutv1.EmitRequest) sio.Emit {
	op := sio.Emit{
		To:          toTarget(p, m.GetTo()),
		Event:       toEvent(p, m.GetEvent()),
		Attachments: m.GetAttachments(),
		Volatile:    m.GetVolatile(),
		Compress:    true,
	}
	if m != nil && m.Compress != nil {
		op.Compress = m.GetCompress()
	}
	op.Args = toArgs(p, m)
	toKey(p, m)
	op.ConflateKey = toConflateKey(p, m)
	op.Applied = m.GetWait() == fanoutv1.EmitRequest_APPLIED
	if _, known := fanoutv1.EmitRequest_Wait_name[int32(m.GetWait())]; !known {
		p.add("wait", "%d is no value of this field", m.GetWait())
	}
	return op
}

// toConflateKey converts the optional field `conflate_key`. Callers have keys of their own, so
// that none drops what another has sent; the length tells where the name ends.
func toConflateKey(p *problems, m *fanoutv1.EmitRequest) string {
	key := m.GetConflateKey()
	if key == "" {
		return ""
	}
	atMost(p, "conflate_key", key, maxKey)
	if m.GetVolatile() {
		p.add("conflate_key", "contradicts volatile, which drops the last event too")
	}
	return strconv.Itoa(len(p.caller.Name)) + " " + p.caller.Name + " " + key
}

// fromConnection converts what is known about one connection, its data in this
// form, and its handshake if that is asked for.
func fromConnection(c *sio.Connection, data dataForm, handshake bool) (*fanoutv1.Connection, error) {
	m := &fanoutv1.Connection{
		Id:          c.ID,
		Namespace:   c.Namespace,
		UserId:      c.UserID,
		Rooms:       c.Rooms,
		Transport:   c.Transport,
		Protocol:    count(c.Protocol),
		Node:        c.Node,
		ConnectedAt: timestamppb.New(c.ConnectedAt),
		QueuedBytes: count(c.QueuedBytes),

		RemoteAddress: c.RemoteAddr,

		VolatileDropped: count(c.VolatileDropped),
	}
	if len(c.Data) > 0 {
		if err := setData(m, c.Data, data); err != nil {
			return nil, fmt.Errorf("data of connection %s: %w", c.ID, err)
		}
	}
	m.Recovered, m.Recovery = c.Recovered(), toRecovery(c.Recovery)
	m.Session = c.Session
	if !c.Expire.IsZero() {
		m.ExpiresAt = timestamppb.New(c.Expire)
	}
	if handshake && c.Handshake != nil {
		m.Handshake = fromHandshake(c.Handshake, data)
		m.Handshake.Address = c.RemoteAddr
		if data == dataAsStruct {
			m.Query = c.Handshake.Query //nolint:staticcheck // kept for those who read it here
		}
	}
	return m, nil
}

// fromHandshake converts a handshake, its auth in this form.
func fromHandshake(h *sio.Handshake, auth dataForm) *fanoutv1.Handshake {
	m := &fanoutv1.Handshake{
		Headers: h.Headers, Query: h.Query, Url: h.URL, Secure: h.Secure,
		IssuedAt: timestamppb.New(h.IssuedAt),
	}
	if h.Auth != "" && auth == dataAsStruct {
		if object, err := parseObject(h.Auth); err == nil {
			m.Auth = decodeValue(object, maxDecodedDepth).GetStructValue()
		}
	}
	if m.Auth == nil {
		m.AuthJson = h.Auth
	}
	return m
}

// toView converts a field `view`.
func toView(p *problems, v fanoutv1.Connection_View) dispatch.View {
	view, ok := views[v]
	if !ok {
		p.add("view", "%d is no value of this field", v)
	}
	return view
}

var views = map[fanoutv1.Connection_View]dispatch.View{
	fanoutv1.Connection_DEFAULT: dispatch.ViewDefault,
	fanoutv1.Connection_BASIC:   dispatch.ViewBasic,
	fanoutv1.Connection_FULL:    dispatch.ViewFull,
}

// count is n as the contract's counts are: 32 bits, which JSON prints as a
// number where 64 would be a string.
func count(n int) uint32 {
	return uint32(min(max(n, 0), math.MaxUint32))
}

// toDuration converts a duration that may be unset, which is 0.
func toDuration(p *problems, field string, m *durationpb.Duration, least, most time.Duration) time.Duration {
	if m == nil {
		return 0
	}
	d := m.AsDuration()
	if m.CheckValid() != nil || d < least || d > most {
		p.add(field, "must be from %s to %s", least, most)
	}
	return d
}

// checkNamespace adds the problem that the namespace is unknown to a request
// that has others: it would otherwise show only once these are cured. The good
// path never pays for this, since the Hub looks there anyway.
func checkNamespace(ctx context.Context, hub Hub, p *problems, namespace, field string) {
	if !p.any() {
		return
	}
	namespaceExists(ctx, hub, p, namespace, field)
}

// namespaceExists adds the problem that the namespace is unknown.
func namespaceExists(ctx context.Context, hub Hub, p *problems, namespace, field string) {
	if exists, err := hub.HasNamespace(ctx, namespace); err == nil && !exists {
		p.add(field, "no such namespace")
	}
}
