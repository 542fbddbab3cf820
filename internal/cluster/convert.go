package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// The types of package sio as nodes tell them each other, and back.

func fromTarget(t *sio.Target) *clusterv1.Target {
	m := &clusterv1.Target{Namespace: t.Namespace, Rooms: t.Rooms, Except: t.Except, Ids: t.IDs, Users: t.Users, All: t.All}
	if (t.Owner != sio.Owner{}) {
		m.Owner = &clusterv1.Target_Owner{Group: t.Owner.Group, ConsumerId: t.Owner.ConsumerID}
	}
	return m
}

func toTarget(m *clusterv1.Target) sio.Target {
	return sio.Target{Namespace: m.GetNamespace(), Selector: room.Selector{
		Rooms: m.GetRooms(), Except: m.GetExcept(), IDs: m.GetIds(), Users: m.GetUsers(), All: m.GetAll(),
	}, Owner: sio.Owner{Group: m.GetOwner().GetGroup(), ConsumerID: m.GetOwner().GetConsumerId()}}
}

func fromOp(op sio.Op) (*clusterv1.Operation, error) {
	switch op := op.(type) {
	case sio.Emit:
		return fromEmit(&op), nil
	case sio.Join:
		return &clusterv1.Operation{To: fromTarget(&op.To), Kind: &clusterv1.Operation_Join{Join: &clusterv1.Rooms{Names: op.Rooms}}, By: string(op.By)}, nil
	case sio.Leave:
		return &clusterv1.Operation{To: fromTarget(&op.To), Kind: &clusterv1.Operation_Leave{Leave: &clusterv1.Rooms{Names: op.Rooms}}, By: string(op.By)}, nil
	case sio.Disconnect:
		return &clusterv1.Operation{To: fromTarget(&op.To), Kind: &clusterv1.Operation_Disconnect{
			Disconnect: &clusterv1.Disconnect{Mode: int32(op.Mode), Reason: op.Reason},
		}, By: string(op.By)}, nil
	case sio.Update:
		return fromUpdate(&clusterv1.Target{Namespace: op.Namespace, Ids: []string{op.ID}}, &op.Changes, false)
	case sio.UpdateAll:
		return fromUpdate(fromTarget(&op.To), &op.Changes, true)
	}
	panic(fmt.Sprintf("cluster: unknown operation %T", op)) // the set is sealed
}

func fromUpdate(to *clusterv1.Target, c *sio.Changes, all bool) (*clusterv1.Operation, error) {
	data, err := fromData(c.Data)
	update := &clusterv1.Update{Data: data, Replace: c.Replace, Expire: fromTime(c.Expire), Lasting: c.Lasting, All: all}
	m := &clusterv1.Operation{To: to, Kind: &clusterv1.Operation_Update{Update: update}, By: string(c.By)}
	if c.User != nil {
		m.Kind = &clusterv1.Operation_UpdateUser{UpdateUser: &clusterv1.UpdateUser{Update: update, User: *c.User}}
	}
	return m, err
}

func toUpdate(to sio.Target, m *clusterv1.Update, by sio.Actor, user *string) (sio.Op, error) {
	data, err := toData(m.GetData())
	changes := sio.Changes{Data: data, Replace: m.GetReplace(), Expire: toTime(m.GetExpire()), Lasting: m.GetLasting(), User: user, By: by}
	switch {
	case err != nil:
		return nil, err
	case m.GetAll():
		return sio.UpdateAll{To: to, Changes: changes}, nil
	case len(to.IDs) != 1:
		return nil, errUnsupported
	}
	return sio.Update{Namespace: to.Namespace, ID: to.IDs[0], Changes: changes}, nil
}

func fromEmit(op *sio.Emit) *clusterv1.Operation {
	return &clusterv1.Operation{To: fromTarget(&op.To), Kind: &clusterv1.Operation_Emit{Emit: &clusterv1.Emit{
		Event: op.Event, Args: op.Args, Attachments: op.Attachments, Volatile: op.Volatile, Compress: op.Compress, Number: op.Origin.Number,
		ConflateKey: op.ConflateKey,
	}}}
}

// errUnsupported: a peer wants what this node does not know.
var errUnsupported = errors.New("cluster: a peer wants what this version does not know")

func toOp(m *clusterv1.Operation) (sio.Op, error) {
	to, by := toTarget(m.GetTo()), sio.Actor(m.GetBy())
	switch kind := m.GetKind().(type) {
	case *clusterv1.Operation_Emit:
		return toEmit(m), nil
	case *clusterv1.Operation_Join:
		return sio.Join{To: to, Rooms: kind.Join.GetNames(), By: by}, nil
	case *clusterv1.Operation_Leave:
		return sio.Leave{To: to, Rooms: kind.Leave.GetNames(), By: by}, nil
	case *clusterv1.Operation_Disconnect:
		return sio.Disconnect{To: to, Mode: sio.DisconnectMode(kind.Disconnect.GetMode()), Reason: kind.Disconnect.GetReason(), By: by}, nil
	case *clusterv1.Operation_Update:
		return toUpdate(to, kind.Update, by, nil)
	case *clusterv1.Operation_UpdateUser:
		return toUpdate(to, kind.UpdateUser.GetUpdate(), by, &kind.UpdateUser.User)
	}
	return nil, errUnsupported
}

func toEmit(m *clusterv1.Operation) sio.Emit {
	e := m.GetEmit()
	return sio.Emit{
		To: toTarget(m.GetTo()), Event: e.GetEvent(), Args: e.GetArgs(), Attachments: e.GetAttachments(),
		Volatile: e.GetVolatile(), ConflateKey: e.GetConflateKey(), Compress: e.GetCompress(),
	}
}

// fromData is the text of a JSON object, nil for no data.
func fromData(data map[string]any) ([]byte, error) {
	if data == nil {
		return nil, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(data); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// toData keeps numbers as they are written.
func toData(text []byte) (data map[string]any, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&data)
	return data, err
}

func fromTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func toTime(m *timestamppb.Timestamp) time.Time {
	if m == nil {
		return time.Time{}
	}
	return m.AsTime()
}

// FromConnection is a connection as nodes tell it each other.
func FromConnection(c *sio.Connection) (*clusterv1.Connection, error) {
	data, err := fromData(c.Data)
	if err != nil {
		return nil, err
	}
	m := &clusterv1.Connection{
		Cursor: c.Cursor, Node: c.Node, Id: c.ID, Namespace: c.Namespace, User: c.UserID, Rooms: c.Rooms,
		Transport: c.Transport, Protocol: int32(c.Protocol), Session: c.Session, //nolint:gosec // 3 or 4
		ConnectedAt: fromTime(c.ConnectedAt), Recovered: c.Recovered(), Recovery: string(c.Recovery), Data: data, Expire: fromTime(c.Expire),
		QueuedBytes: int64(c.QueuedBytes), VolatileDropped: int64(c.VolatileDropped), RemoteAddress: c.RemoteAddr,
	}
	if h := c.Handshake; h != nil {
		m.IssuedAt, m.Secure, m.Url = fromTime(h.IssuedAt), h.Secure, h.URL
		m.Query, m.Headers, m.Auth = h.Query, h.Headers, h.Auth
	}
	return m, nil
}

// ToConnection is the inverse of FromConnection.
func ToConnection(m *clusterv1.Connection) (sio.Connection, error) {
	data, err := toData(m.GetData())
	if err != nil {
		return sio.Connection{}, err
	}
	c := sio.Connection{
		Cursor: m.GetCursor(), Node: m.GetNode(), ID: m.GetId(), Namespace: m.GetNamespace(), UserID: m.GetUser(), Rooms: m.GetRooms(),
		Transport: m.GetTransport(), Protocol: int(m.GetProtocol()), Session: m.GetSession(),
		ConnectedAt: toTime(m.GetConnectedAt()), Recovery: toRecovery(m), Data: data, Expire: toTime(m.GetExpire()),
		QueuedBytes: int(m.GetQueuedBytes()), VolatileDropped: int(m.GetVolatileDropped()), RemoteAddr: m.GetRemoteAddress(),
	}
	if m.GetIssuedAt() != nil {
		c.Handshake = &sio.Handshake{
			IssuedAt: toTime(m.GetIssuedAt()), Secure: m.GetSecure(), URL: m.GetUrl(),
			Query: m.GetQuery(), Headers: m.GetHeaders(), Auth: m.GetAuth(),
		}
	}
	return c, nil
}

// toRecovery reads what older nodes say too.
func toRecovery(m *clusterv1.Connection) sio.Recovery {
	if m.GetRecovered() {
		return sio.Recovered
	}
	return sio.Recovery(m.GetRecovery())
}

func fromNames(page *sio.NamePage) *clusterv1.Names {
	m := &clusterv1.Names{Names: make([]*clusterv1.Names_Name, len(page.Names)), Next: page.Next}
	for i, n := range page.Names {
		m.Names[i] = &clusterv1.Names_Name{Name: n.Name, Connections: count(n.Connections), Rooms: count(n.Rooms)}
	}
	return m
}

func fromCounts(c *sio.Counts) *clusterv1.Counts {
	m := &clusterv1.Counts{Total: count(c.Total), Groups: make(map[string]uint32, len(c.Groups))}
	for name, n := range c.Groups {
		m.Groups[name] = count(n)
	}
	return m
}

// count is n as messages have it.
func count(n int) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) } //nolint:gosec // it is bounded

// codes are the errors of package sio that nodes tell each other.
var codes = []struct {
	err  error
	code clusterv1.Answer_Code
}{
	{errUnsupported, clusterv1.Answer_UNSUPPORTED},
	{sio.ErrUnknownNamespace, clusterv1.Answer_UNKNOWN_NAMESPACE},
	{sio.ErrTooLarge, clusterv1.Answer_TOO_LARGE},
	{sio.ErrClosed, clusterv1.Answer_CLOSED},
	{sio.ErrNotFound, clusterv1.Answer_NOT_FOUND},
	{sio.ErrTooManyRooms, clusterv1.Answer_TOO_MANY_ROOMS},
	{sio.ErrTooMuchData, clusterv1.Answer_TOO_MUCH_DATA},
	{sio.ErrBusy, clusterv1.Answer_BUSY},
	{sio.ErrBadCursor, clusterv1.Answer_BAD_CURSOR},
	{sio.ErrForgotten, clusterv1.Answer_FORGOTTEN},
}

func fromError(err error) clusterv1.Answer_Code {
	if err == nil {
		return clusterv1.Answer_OK
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return clusterv1.Answer_INTERNAL
}

// errPeer is a failure inside a peer, which its log tells of.
var errPeer = errors.New("cluster: a peer failed; its log says why")

func toError(code clusterv1.Answer_Code) error {
	if code == clusterv1.Answer_OK {
		return nil
	}
	for _, c := range codes {
		if c.code == code {
			return c.err
		}
	}
	return errPeer
}
