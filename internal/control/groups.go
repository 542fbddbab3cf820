package control

import (
	"context"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

func (a *Admin) DeleteGroup(ctx context.Context, req *fanoutv1.DeleteGroupRequest) (*fanoutv1.DeleteGroupResponse, error) {
	if req.GetGroup() == "" {
		return nil, invalid(&problems{}, "group", "must not be empty")
	}
	if a.dispatcher == nil {
		return nil, consumerError(dispatch.ErrNoGroup)
	}
	ended, nodes, err := a.dispatcher.DeleteGroup(ctx, req.GetGroup())
	if err != nil {
		return nil, consumerError(err)
	}
	a.audit(ctx, "an operator deleted a group", "group", req.GetGroup(), "consumers", ended)
	return &fanoutv1.DeleteGroupResponse{Affected: count(ended), Partial: nodes.Partial, Unreachable: nodes.Unreachable}, nil
}

func (a *Admin) DisconnectConsumer(ctx context.Context, req *fanoutv1.DisconnectConsumerRequest) (*fanoutv1.DisconnectConsumerResponse, error) {
	var p problems
	if req.GetGroup() == "" {
		p.add("group", "must not be empty")
	}
	if req.GetConsumerId() == "" {
		p.add("consumer_id", "must not be empty")
	}
	if p.any() {
		return nil, p.err()
	}
	if a.dispatcher == nil {
		return nil, consumerError(dispatch.ErrNoGroup)
	}
	nodes, err := a.dispatcher.DisconnectConsumer(ctx, req.GetGroup(), req.GetConsumerId())
	if err != nil {
		return nil, consumerError(err)
	}
	a.audit(ctx, "an operator disconnected a consumer", "group", req.GetGroup(), "consumer", req.GetConsumerId())
	return &fanoutv1.DisconnectConsumerResponse{Partial: nodes.Partial, Unreachable: nodes.Unreachable}, nil
}
