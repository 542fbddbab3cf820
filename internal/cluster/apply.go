package cluster

import (
	"context"
	"errors"
	"sync"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/tracing"
)

// Apply carries out one operation here and at the peers that may have connections of
// the target. An Emit that is not to be Applied is handed to the links, and
// Result.Forwarded counts them; all else is answered when the peers have answered, or
// are named in Result.Unreachable. A Join is in force for whatever any node is asked
// next, but for those that Result.Unreachable names.
//
// Errors are those of [sio.Server.Apply]. What a peer refused is an error too, if
// nothing else was done.
func (n *Node) Apply(ctx context.Context, op sio.Op) (sio.Result, error) {
	switch op := op.(type) {
	case sio.Emit:
		return n.emit(ctx, op)
	case sio.Update:
		return n.update(ctx, op)
	}
	under := n.applying.begin()
	handed := sync.OnceFunc(func() { n.applying.end(under) })
	defer handed()
	to := sio.TargetOf(op)
	result, err := n.hub.Apply(ctx, op)
	if err != nil {
		return result, err
	}
	if _, ok := op.(sio.Join); ok {
		n.unreachable(&result.Coverage, n.confirm(ctx, nil)...)
	}
	return n.applyAt(ctx, n.interested(&to), op, result, handed)
}

// emit hands the event to the connections here first: so it has been checked.
func (n *Node) emit(ctx context.Context, op sio.Emit) (sio.Result, error) {
	under := n.applying.begin()
	handed := sync.OnceFunc(func() { n.applying.end(under) })
	defer handed()
	result, err := n.hub.Apply(ctx, op)
	if err != nil {
		return result, err
	}
	op.Origin = sio.Origin{Epoch: n.opts.Self.Epoch, Number: result.Number}
	peers := n.interested(&op.To)
	if len(peers) == 0 {
		return result, nil
	}
	if op.Applied {
		return n.applyAt(ctx, peers, op, result, handed)
	}
	message, err := marshal(&clusterv1.Message{
		Traceparent: tracing.Parent(ctx), Body: &clusterv1.Message_Operation{Operation: fromEmit(&op)},
	})
	if err != nil {
		return result, err
	}
	for _, p := range peers {
		if err := n.send(ctx, p, message); err != nil {
			n.unreachable(&result.Coverage, p.name)
			continue
		}
		result.Forwarded++
	}
	return result, nil
}

// applyAt carries out an operation at the peers too, and adds what it did to result. It
// calls asked when the links have it.
func (n *Node) applyAt(ctx context.Context, peers []*peer, op sio.Op, result sio.Result, asked func()) (sio.Result, error) {
	if len(peers) == 0 {
		return result, nil
	}
	m, err := fromOp(op)
	if err != nil {
		return result, err
	}
	var refused error
	err = n.askAllThen(ctx, peers, &clusterv1.Message{Traceparent: tracing.Parent(ctx), Body: &clusterv1.Message_Operation{Operation: m}}, asked, func(p *peer, a *clusterv1.Answer) {
		if a == nil {
			n.unreachable(&result.Coverage, p.name)
			return
		}
		result.Matched += int(a.GetResult().GetMatched())
		n.unreachable(&result.Coverage, a.GetUnconfirmed()...)
		switch err := toError(a.GetCode()); {
		case err == nil, errors.Is(err, sio.ErrUnknownNamespace): // it serves others than this node
		case errors.Is(err, sio.ErrClosed), errors.Is(err, errPeer), errors.Is(err, errUnsupported):
			n.unreachable(&result.Coverage, p.name)
		default:
			refused = err
		}
	})
	if err == nil && refused != nil && result.Matched == 0 {
		return sio.Result{}, refused
	}
	if refused != nil {
		result.Partial = true
	}
	return result, err
}

// update changes one connection, at the node that holds it.
func (n *Node) update(ctx context.Context, op sio.Update) (result sio.Result, err error) {
	m, err := fromOp(op)
	if err != nil {
		return result, err
	}
	err = n.atHolder(op.ID, op.Namespace, func(p *peer) (err error) {
		if p == nil {
			result, err = n.hub.Apply(ctx, op)
			return err
		}
		a, err := n.askOne(ctx, p, &clusterv1.Message{Body: &clusterv1.Message_Operation{Operation: m}})
		result.Matched = int(a.GetResult().GetMatched())
		return err
	})
	return result, err
}

// away names the peer that has not answered.
func away(p *peer, err error) error {
	if errors.Is(err, errUnreachable) {
		return &sio.UnreachableError{Node: p.name}
	}
	return err
}

// unreachable adds names of nodes that took no part, each once.
func (n *Node) unreachable(c *sio.Coverage, names ...string) {
	for _, name := range names {
		c.Miss(name)
	}
}
