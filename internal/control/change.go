package control

import (
	"context"
	"errors"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// The RPCs of the RegistryService that change something; registry.go has those
// that ask.

func (r *Registry) Join(ctx context.Context, req *fanoutv1.JoinRequest) (*fanoutv1.JoinResponse, error) {
	var p problems
	op := sio.Join{To: toTarget(&p, req.GetTo()), Rooms: toRooms(&p, req.GetRooms())}
	n, err := r.apply(ctx, &p, op.To, op)
	if err != nil {
		return nil, err
	}
	return &fanoutv1.JoinResponse{Affected: n}, nil
}

func (r *Registry) Leave(ctx context.Context, req *fanoutv1.LeaveRequest) (*fanoutv1.LeaveResponse, error) {
	var p problems
	op := sio.Leave{To: toTarget(&p, req.GetTo()), Rooms: toRooms(&p, req.GetRooms())}
	n, err := r.apply(ctx, &p, op.To, op)
	if err != nil {
		return nil, err
	}
	return &fanoutv1.LeaveResponse{Affected: n}, nil
}

func (r *Registry) Disconnect(ctx context.Context, req *fanoutv1.DisconnectRequest) (*fanoutv1.DisconnectResponse, error) {
	var p problems
	op := sio.Disconnect{To: toTarget(&p, req.GetTo())}
	switch req.GetMode() {
	case fanoutv1.DisconnectRequest_NAMESPACE:
	case fanoutv1.DisconnectRequest_TRANSPORT:
		op.Transport = true
	default:
		p.add("mode", "%d is no value of this field", req.GetMode())
	}
	n, err := r.apply(ctx, &p, op.To, op)
	if err != nil {
		return nil, err
	}
	return &fanoutv1.DisconnectResponse{Affected: n}, nil
}

// apply carries out op on to unless p has problems, and returns how many
// connections it matched.
func (r *Registry) apply(ctx context.Context, p *problems, to sio.Target, op sio.Op) (uint32, error) {
	if p.any() {
		checkNamespace(ctx, r.hub, p, to.Namespace, "to.namespace")
		return 0, p.err()
	}
	res, err := r.hub.Apply(ctx, op)
	if err != nil {
		return 0, hubError(err, p, "to.namespace")
	}
	return count(res.Matched), nil
}

func (r *Registry) UpdateConnection(ctx context.Context, req *fanoutv1.UpdateConnectionRequest) (*fanoutv1.UpdateConnectionResponse, error) {
	var p problems
	op := sio.Update{Namespace: namespaceName(req.GetNamespace()), ID: req.GetId()}
	if op.ID == "" {
		p.add("id", "must not be empty")
	}
	op.Data = toData(&p, "data", req.GetData())
	op.Expire = toExpiry(&p, "expire_at", req.GetExpireAt())
	if p.any() {
		checkNamespace(ctx, r.hub, &p, op.Namespace, "namespace")
		return nil, p.err()
	}
	res, err := r.hub.Apply(ctx, op)
	switch {
	case errors.Is(err, sio.ErrNotFound), err == nil && res.Matched == 0:
		return nil, errNoConnection(op.Namespace, op.ID)
	case err != nil:
		return nil, hubError(err, &p, "namespace")
	}
	c, err := r.connection(ctx, &p, op.Namespace, op.ID)
	if err != nil {
		return nil, err
	}
	return &fanoutv1.UpdateConnectionResponse{Connection: c}, nil
}
