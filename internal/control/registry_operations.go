package control

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// The RPCs of the RegistryService that change something; registry.go has those
// that ask.

const (
	maxReason      = 256 // bytes of why connections are ended; the contract states it
	maxLoggedNames = 8   // rooms, ids or users of a target that a line of the log names
)

func (r *Registry) Join(ctx context.Context, req *fanoutv1.JoinRequest) (*fanoutv1.JoinResponse, error) {
	return r.join(ctx, req, "").get()
}

// join carries out a Join. at is the path of req in its request.
func (r *Registry) join(ctx context.Context, req *fanoutv1.JoinRequest, at string) pending[*fanoutv1.JoinResponse] {
	p := problemsOf(ctx, at)
	op := sio.Join{To: toTarget(&p, req.GetTo()), Rooms: toRooms(&p, req.GetRooms())}
	return apply(ctx, r, &p, change{op, toKey(&p, req)}, func(res sio.Result, duplicate bool) *fanoutv1.JoinResponse {
		return &fanoutv1.JoinResponse{Affected: count(res.Matched), Partial: res.Partial, Unreachable: res.Unreachable, Duplicate: duplicate}
	})
}

func (r *Registry) Leave(ctx context.Context, req *fanoutv1.LeaveRequest) (*fanoutv1.LeaveResponse, error) {
	return r.leave(ctx, req, "").get()
}

func (r *Registry) leave(ctx context.Context, req *fanoutv1.LeaveRequest, at string) pending[*fanoutv1.LeaveResponse] {
	p := problemsOf(ctx, at)
	op := sio.Leave{To: toTarget(&p, req.GetTo()), Rooms: toRooms(&p, req.GetRooms())}
	return apply(ctx, r, &p, change{op, toKey(&p, req)}, func(res sio.Result, duplicate bool) *fanoutv1.LeaveResponse {
		return &fanoutv1.LeaveResponse{Affected: count(res.Matched), Partial: res.Partial, Unreachable: res.Unreachable, Duplicate: duplicate}
	})
}

func (r *Registry) Disconnect(ctx context.Context, req *fanoutv1.DisconnectRequest) (*fanoutv1.DisconnectResponse, error) {
	return r.disconnect(ctx, req, "").get()
}

func (r *Registry) disconnect(ctx context.Context, req *fanoutv1.DisconnectRequest, at string) pending[*fanoutv1.DisconnectResponse] {
	p := problemsOf(ctx, at)
	op := sio.Disconnect{To: toTarget(&p, req.GetTo()), Reason: req.GetReason()}
	switch req.GetMode() {
	case fanoutv1.DisconnectRequest_NAMESPACE:
	case fanoutv1.DisconnectRequest_TRANSPORT:
		op.Mode = sio.DisconnectTransport
	case fanoutv1.DisconnectRequest_SESSION:
		op.Mode = sio.DisconnectSession
	default:
		p.add("mode", "%d is no value of this field", req.GetMode())
	}
	if op.Mode != sio.DisconnectNamespace && p.caller.Limited() {
		p.deny("mode") // it ends the clients' connections to other namespaces too
	}
	atMost(&p, "reason", req.GetReason(), maxReason)
	return apply(ctx, r, &p, change{op, toKey(&p, req)}, func(res sio.Result, duplicate bool) *fanoutv1.DisconnectResponse {
		if !duplicate {
			r.logDisconnect(ctx, req, op.To, res.Matched)
		}
		return &fanoutv1.DisconnectResponse{Affected: count(res.Matched), Partial: res.Partial, Unreachable: res.Unreachable, Duplicate: duplicate}
	})
}

// logDisconnect logs who ended how many connections: without it, nothing but the
// clients' complaints would tell.
func (r *Registry) logDisconnect(ctx context.Context, req *fanoutv1.DisconnectRequest, to sio.Target, affected int) {
	args := []any{"mode", req.GetMode().String(), "namespace", to.Namespace, "affected", affected}
	for _, part := range []struct {
		name  string
		names []string
	}{{"rooms", to.Rooms}, {"ids", to.IDs}, {"users", to.Users}, {"except", to.Except}} {
		if n := len(part.names); n > 0 {
			args = append(args, part.name, part.names[:min(n, maxLoggedNames)])
		}
	}
	if reason := req.GetReason(); reason != "" {
		args = append(args, "reason", reason)
	}
	if caller := identity.FromContext(ctx).Name; caller != "" {
		args = append(args, "caller", caller)
	}
	r.log.InfoContext(ctx, "a backend disconnected connections", args...)
}

// apply carries out a change of a target's connections unless p has problems, and answers
// what it did.
func apply[T any](ctx context.Context, r *Registry, p *problems, c change, answer func(res sio.Result, duplicate bool) T) pending[T] {
	if p.any() {
		checkNamespace(ctx, r.hub, p, sio.TargetOf(c.op).Namespace, "to.namespace")
		return failed[T](p.err())
	}
	return submit(ctx, r.hub, r.keys, p, c, func(res sio.Result, duplicate bool, err error) (none T, _ error) {
		switch {
		case errors.Is(err, sio.ErrTooManyRooms), errors.Is(err, sio.ErrTooMuchData):
			return none, status.Error(codes.FailedPrecondition, err.Error())
		case err != nil:
			return none, hubError(err, p, "to.namespace")
		}
		return answer(res, duplicate), nil
	})
}

// toKey checks an idempotency key.
func toKey(p *problems, m interface{ GetIdempotencyKey() string }) string {
	atMost(p, "idempotency_key", m.GetIdempotencyKey(), maxKey)
	return m.GetIdempotencyKey()
}

// updateMessage asks for changes of connections.
type updateMessage interface {
	dataMessage
	GetReplace() bool
	GetExpireAt() *timestamppb.Timestamp
	GetClearExpireAt() bool
	GetIdempotencyKey() string
}

func toChanges(p *problems, m updateMessage) sio.Changes {
	c := sio.Changes{
		Data: toData(p, "", m, 0), Replace: m.GetReplace(),
		Expire: toExpiry(p, "expire_at", m.GetExpireAt()), Lasting: m.GetClearExpireAt(),
	}
	if c.Lasting && m.GetExpireAt() != nil {
		p.add("clear_expire_at", "give expire_at or clear_expire_at, not both")
	}
	return c
}

func (r *Registry) UpdateConnections(ctx context.Context, req *fanoutv1.UpdateConnectionsRequest) (*fanoutv1.UpdateConnectionsResponse, error) {
	return r.updateAll(ctx, req, "").get()
}

func (r *Registry) updateAll(ctx context.Context, req *fanoutv1.UpdateConnectionsRequest, at string) pending[*fanoutv1.UpdateConnectionsResponse] {
	p := problemsOf(ctx, at)
	op := sio.UpdateAll{To: toTarget(&p, req.GetTo()), Changes: toChanges(&p, req)}
	return apply(ctx, r, &p, change{op, toKey(&p, req)}, func(res sio.Result, duplicate bool) *fanoutv1.UpdateConnectionsResponse {
		return &fanoutv1.UpdateConnectionsResponse{Affected: count(res.Matched), Partial: res.Partial, Unreachable: res.Unreachable, Duplicate: duplicate}
	})
}

func (r *Registry) UpdateConnection(ctx context.Context, req *fanoutv1.UpdateConnectionRequest) (*fanoutv1.UpdateConnectionResponse, error) {
	return r.update(ctx, req, "")
}

func (r *Registry) update(ctx context.Context, req *fanoutv1.UpdateConnectionRequest, at string) (*fanoutv1.UpdateConnectionResponse, error) {
	p := problemsOf(ctx, at)
	op := sio.Update{Namespace: namespaceName(req.GetNamespace()), ID: req.GetId()}
	p.needConnection(op.Namespace)
	if op.ID == "" {
		p.add("id", "must not be empty")
	}
	op.Changes = toChanges(&p, req)
	key := toKey(&p, req)
	if p.any() {
		checkNamespace(ctx, r.hub, &p, op.Namespace, "namespace")
		return nil, p.err()
	}
	duplicate, err := submit(ctx, r.hub, r.keys, &p, change{op, key}, func(_ sio.Result, duplicate bool, err error) (bool, error) {
		switch {
		case errors.Is(err, sio.ErrNotFound):
			return false, errNoConnection(op.Namespace, op.ID)
		case errors.Is(err, sio.ErrTooMuchData):
			return false, status.Error(codes.FailedPrecondition, err.Error())
		case err != nil:
			return false, hubError(err, &p, "namespace")
		}
		return duplicate, nil
	}).get()
	if err != nil {
		return nil, err
	}
	c, err := r.connection(ctx, &p, op.Namespace, op.ID)
	if err != nil {
		return nil, err
	}
	return &fanoutv1.UpdateConnectionResponse{Connection: c, Duplicate: duplicate}, nil
}
