package control

import (
	"cmp"
	"context"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// maxDeadLetterIDs bounds one request; the contract states it.
const maxDeadLetterIDs = 1000

var deathReasons = map[dispatch.DeathReason]fanoutv1.DeadLetter_Reason{
	dispatch.Nacked:   fanoutv1.DeadLetter_NACKED,
	dispatch.Crashed:  fanoutv1.DeadLetter_CRASHED,
	dispatch.AckWait:  fanoutv1.DeadLetter_ACK_WAIT,
	dispatch.TooLarge: fanoutv1.DeadLetter_TOO_LARGE,
}

func (a *Admin) ListDeadLetters(ctx context.Context, req *fanoutv1.ListDeadLettersRequest) (*fanoutv1.ListDeadLettersResponse, error) {
	var p problems
	size := toPageSize(&p, req.GetPageSize())
	filter := dispatch.DeadLetterFilter{Group: req.GetGroup(), Connection: req.GetConnectionId()}
	if req.GetNamespace() != "" {
		filter.Namespace = namespaceName(req.GetNamespace())
	}
	list := newListing("dead letters", filter.Group, filter.Namespace, filter.Connection)
	after := list.toCursor(&p, req.GetPageToken())
	if p.any() {
		return nil, p.err()
	}
	resp := &fanoutv1.ListDeadLettersResponse{}
	if a.dispatcher == nil {
		return resp, nil
	}
	letters, more, nodes := a.dispatcher.DeadLetters(ctx, filter, after, size)
	resp.Unreachable = nodes.Unreachable
	bytes := 0
	for i := range letters {
		m := a.fromDeadLetter(&letters[i])
		if bytes += proto.Size(m); i > 0 && bytes > maxPageBytes {
			letters, more = letters[:i], true
			break
		}
		resp.DeadLetters = append(resp.DeadLetters, m)
	}
	if more {
		resp.NextPageToken = list.token(letters[len(letters)-1].ID)
	}
	return resp, nil
}

func (a *Admin) ReplayDeadLetters(ctx context.Context, req *fanoutv1.ReplayDeadLettersRequest) (*fanoutv1.ReplayDeadLettersResponse, error) {
	filter, err := toDeadLetterFilter(req)
	if err != nil {
		return nil, err
	}
	resp := &fanoutv1.ReplayDeadLettersResponse{}
	if a.dispatcher != nil {
		n, nodes, err := a.dispatcher.ReplayDeadLetters(ctx, filter)
		if err != nil {
			return nil, consumerError(err)
		}
		a.audit(ctx, "an operator replayed dead letters", "group", filter.Group, "affected", n)
		resp.Affected, resp.Partial, resp.Unreachable = count(n), nodes.Partial, nodes.Unreachable
	}
	return resp, nil
}

func (a *Admin) DeleteDeadLetters(ctx context.Context, req *fanoutv1.DeleteDeadLettersRequest) (*fanoutv1.DeleteDeadLettersResponse, error) {
	filter, err := toDeadLetterFilter(req)
	if err != nil {
		return nil, err
	}
	resp := &fanoutv1.DeleteDeadLettersResponse{}
	if a.dispatcher != nil {
		n, nodes := a.dispatcher.DeleteDeadLetters(ctx, filter)
		a.audit(ctx, "an operator deleted dead letters", "group", filter.Group, "affected", n)
		resp.Affected, resp.Partial, resp.Unreachable = count(n), nodes.Partial, nodes.Unreachable
	}
	return resp, nil
}

// toDeadLetterFilter converts a request that names dead letters of one group.
func toDeadLetterFilter(req interface {
	GetGroup() string
	GetIds() []string
	GetAll() bool
}) (dispatch.DeadLetterFilter, error) {
	var p problems
	if req.GetGroup() == "" {
		p.add("group", "must not be empty")
	}
	switch n := len(req.GetIds()); {
	case req.GetAll() == (n > 0):
		p.add("ids", "either ids or all has to be given")
	case n > maxDeadLetterIDs:
		p.add("ids", "%d entries, but at most %d are allowed", n, maxDeadLetterIDs)
	}
	return dispatch.DeadLetterFilter{Group: req.GetGroup(), IDs: req.GetIds()}, p.err()
}

func (a *Admin) fromDeadLetter(l *dispatch.DeadLetter) *fanoutv1.DeadLetter {
	var m eventMessage
	a.errors.describe(fanoutv1.AdminService_ListDeadLetters_FullMethodName, &m, l.Event, l.Event.Connection, dispatch.ViewDefault)
	m.event.DeliveryId, m.event.Attempt, m.event.ArgsJson = l.Event.ID(), l.Attempt, l.Event.Args
	return &fanoutv1.DeadLetter{
		Id: l.ID, Group: l.Group, Event: &m.event, Reason: deathReasons[l.Reason],
		ConsumerId: l.ConsumerID, Node: cmp.Or(l.Node, a.info.Node), DeadAt: timestamppb.New(l.DeadAt), Replaying: l.Replaying, OmittedBytes: uint64(max(l.Omitted, 0)),
	}
}
