package control

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// The RPCs of the RegistryService that change something; registry.go has those
// that ask.

const (
	maxReason      = 256 // bytes of why connections are ended; the contract states it
	maxLoggedNames = 8   // rooms, ids or users of a target that a line of the log names
)

func (r *Registry) Join(ctx context.Context, req *fanoutv1.JoinRequest) (*fanoutv1.JoinResponse, error) {
	return answer(r.join(ctx, req, place{}), joinResponse)
}

// join carries out a Join. at is where req lies in its request.
func (r *Registry) join(ctx context.Context, req *fanoutv1.JoinRequest, at place) pending {
	p := problemsAt(ctx, at)
	op := sio.Join{To: toTarget(&p, req.GetTo()), Rooms: toRooms(&p, req.GetRooms())}
	op.By = actorOf(ctx, op.To)
	return carryOut(ctx, r.hub, r.keys, &p, change{op, toKey(&p, req)}, nil)
}

func joinResponse(a applied) *fanoutv1.JoinResponse {
	return &fanoutv1.JoinResponse{Affected: count(a.Matched), Partial: a.Partial, Unreachable: a.Unreachable, Duplicate: a.duplicate}
}

func (r *Registry) Leave(ctx context.Context, req *fanoutv1.LeaveRequest) (*fanoutv1.LeaveResponse, error) {
	return answer(r.leave(ctx, req, place{}), leaveResponse)
}

func (r *Registry) leave(ctx context.Context, req *fanoutv1.LeaveRequest, at place) pending {
	p := problemsAt(ctx, at)
	op := sio.Leave{To: toTarget(&p, req.GetTo()), Rooms: toRooms(&p, req.GetRooms())}
	op.By = actorOf(ctx, op.To)
	return carryOut(ctx, r.hub, r.keys, &p, change{op, toKey(&p, req)}, nil)
}

func leaveResponse(a applied) *fanoutv1.LeaveResponse {
	return &fanoutv1.LeaveResponse{Affected: count(a.Matched), Partial: a.Partial, Unreachable: a.Unreachable, Duplicate: a.duplicate}
}

func (r *Registry) Disconnect(ctx context.Context, req *fanoutv1.DisconnectRequest) (*fanoutv1.DisconnectResponse, error) {
	return answer(r.disconnect(ctx, req, place{}), disconnectResponse)
}

func (r *Registry) disconnect(ctx context.Context, req *fanoutv1.DisconnectRequest, at place) pending {
	p := problemsAt(ctx, at)
	op := sio.Disconnect{To: toTarget(&p, req.GetTo()), Reason: req.GetReason()}
	op.By = actorOf(ctx, op.To)
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
	return carryOut(ctx, r.hub, r.keys, &p, change{op, toKey(&p, req)}, nil).then(func(a applied) {
		if !a.duplicate {
			r.logDisconnect(ctx, req, op.To, a.Matched)
		}
	})
}

func disconnectResponse(a applied) *fanoutv1.DisconnectResponse {
	return &fanoutv1.DisconnectResponse{Affected: count(a.Matched), Partial: a.Partial, Unreachable: a.Unreachable, Duplicate: a.duplicate}
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
	if to.Owner != (sio.Owner{}) {
		args = append(args, "group", to.Owner.Group, "consumer", to.Owner.ConsumerID)
	}
	if reason := req.GetReason(); reason != "" {
		args = append(args, "reason", reason)
	}
	if caller := identity.FromContext(ctx).Name; caller != "" {
		args = append(args, "caller", caller)
	}
	r.log.InfoContext(ctx, "a backend disconnected connections", args...)
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
	GetUserId() string
	GetIdempotencyKey() string
}

// toChanges converts changes, to this user if that is not nil.
func toChanges(p *problems, m updateMessage, user *string) sio.Changes {
	c := sio.Changes{
		Data: toData(p, "", m, 0), Replace: m.GetReplace(),
		Expire: toExpiry(p, "expire_at", m.GetExpireAt()), Lasting: m.GetClearExpireAt(),
	}
	if c.Lasting && m.GetExpireAt() != nil {
		p.add("clear_expire_at", "give expire_at or clear_expire_at, not both")
	}
	if user != nil {
		p.needEveryRoom("user_id") // who is meant by users is, whatever the rooms
		atMost(p, "user_id", *user, maxUser)
		c.User = user
	}
	return c
}

func (r *Registry) UpdateConnections(ctx context.Context, req *fanoutv1.UpdateConnectionsRequest) (*fanoutv1.UpdateConnectionsResponse, error) {
	return answer(r.updateAll(ctx, req, place{}), updateAllResponse)
}

func (r *Registry) updateAll(ctx context.Context, req *fanoutv1.UpdateConnectionsRequest, at place) pending {
	p := problemsAt(ctx, at)
	op := sio.UpdateAll{To: toTarget(&p, req.GetTo()), Changes: toChanges(&p, req, req.UserId)}
	op.By = actorOf(ctx, op.To)
	return carryOut(ctx, r.hub, r.keys, &p, change{op, toKey(&p, req)}, nil)
}

func updateAllResponse(a applied) *fanoutv1.UpdateConnectionsResponse {
	return &fanoutv1.UpdateConnectionsResponse{Affected: count(a.Matched), Partial: a.Partial, Unreachable: a.Unreachable, Duplicate: a.duplicate}
}

func (r *Registry) UpdateConnection(ctx context.Context, req *fanoutv1.UpdateConnectionRequest) (*fanoutv1.UpdateConnectionResponse, error) {
	return r.update(ctx, req, place{})
}

func (r *Registry) update(ctx context.Context, req *fanoutv1.UpdateConnectionRequest, at place) (*fanoutv1.UpdateConnectionResponse, error) {
	p := problemsAt(ctx, at)
	op := sio.Update{Namespace: namespaceName(req.GetNamespace()), ID: req.GetId()}
	p.needConnection(op.Namespace)
	if op.ID == "" {
		p.add("id", "must not be empty")
	}
	op.Changes = toChanges(&p, req, req.UserId)
	op.By = actorOf(ctx, sio.TargetOf(op))
	view := toView(&p, req.GetView())
	key := toKey(&p, req)
	if p.any() {
		checkNamespace(ctx, r.hub, &p, op.Namespace, "namespace")
		return nil, p.err()
	}
	done, err := submit(ctx, r.hub, r.keys, change{op, key}).get()
	switch {
	case errors.Is(err, sio.ErrNotFound):
		return nil, errNoConnection(op.Namespace, op.ID)
	case errors.Is(err, sio.ErrTooMuchData):
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	case err != nil:
		return nil, hubError(err, &p, "namespace")
	}
	c, err := r.connection(ctx, &p, op.Namespace, op.ID, view == dispatch.ViewFull)
	switch {
	case status.Code(err) == codes.NotFound && req.UserId != nil && r.blocks != nil && r.blocks.BlockedUser(req.GetUserId()):
		return nil, errUserBlocked(req.GetUserId())
	case err != nil:
		return nil, err
	}
	return &fanoutv1.UpdateConnectionResponse{Connection: c, Duplicate: done.duplicate, Partial: done.Partial, Unreachable: done.Unreachable}, nil
}
