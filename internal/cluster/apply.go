package cluster

import (
	"context"
	"errors"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/tracing"
)

// Apply carries out one operation here and at the peers that may have connections of
// the target. An Emit that is not to be Applied is handed to the links, and
// Result.Forwarded counts them; all else is answered when the peers have answered, or
// are named in Result.Unreachable. A Join, and a change of users, is in force for whatever any node
// is asked next, but for those that Result.Unreachable names.
//
// Errors are those of [sio.Server.Apply]. What a peer refused is an error too, if
// nothing else was done.
func (n *Node) Apply(ctx context.Context, op sio.Op) (sio.Result, error) {
	result, wait, err := n.Submit(ctx, op)
	if wait != nil {
		return wait()
	}
	return result, err
}

// Submit is Apply without its waiting for peers: when it returns, the operation has its
// place in the order. wait, which is to be called once, returns what Apply would have; nil:
// nothing is to be waited for, and that is what Submit returns. An operation that is submitted
// before a Join's wait has returned may miss members that the Join gave a room that its
// target names, at peers that had none; and so with users.
func (n *Node) Submit(ctx context.Context, op sio.Op) (result sio.Result, wait func() (sio.Result, error), err error) {
	if op, ok := op.(sio.Update); ok {
		result, err = n.update(ctx, op)
		return result, nil, err
	}
	under := n.applying.begin()
	defer n.applying.end(under)
	result, err = n.hub.Apply(ctx, op)
	if err != nil {
		return result, nil, err
	}
	to := sio.TargetOf(op)
	peers := n.interested(&to)
	switch o := op.(type) {
	case sio.Emit:
		o.Origin = sio.Origin{Epoch: n.opts.Self.Epoch, Number: result.Number}
		if !o.Applied {
			result, err = n.forward(ctx, peers, o, result)
			return result, nil, err
		}
		op = o
	}
	if adds(op) {
		return n.submitAdding(ctx, peers, op, result)
	}
	return n.submitAt(ctx, peers, op, result)
}

// adds reports whether an operation may make connections members of what the node that
// holds them had none of.
func adds(op sio.Op) bool {
	switch o := op.(type) {
	case sio.Join:
		return true
	case sio.Update:
		return o.User != nil
	case sio.UpdateAll:
		return o.User != nil
	}
	return false
}

// submitAdding is submitAt, and waits besides until all peers know of the rooms and users
// that this node has members of now.
func (n *Node) submitAdding(ctx context.Context, peers []*peer, op sio.Op, result sio.Result) (sio.Result, func() (sio.Result, error), error) {
	if len(n.all()) == 0 {
		return result, nil, nil
	}
	result, wait, err := n.submitAt(ctx, peers, op, result)
	if err != nil {
		return result, nil, err
	}
	return result, func() (sio.Result, error) {
		unconfirmed := n.confirm(ctx, nil)
		result := result
		var err error
		if wait != nil {
			result, err = wait()
		}
		if err == nil {
			n.unreachable(&result.Coverage, unconfirmed...)
		}
		return result, err
	}, nil
}

// forward hands an event that has been checked here to the links.
func (n *Node) forward(ctx context.Context, peers []*peer, op sio.Emit, result sio.Result) (sio.Result, error) {
	if len(peers) == 0 {
		return result, nil
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

// submitAt asks the peers to carry out an operation too; its wait adds what they did to
// result.
func (n *Node) submitAt(ctx context.Context, peers []*peer, op sio.Op, result sio.Result) (sio.Result, func() (sio.Result, error), error) {
	if len(peers) == 0 {
		return result, nil, nil
	}
	m, err := fromOp(op)
	if err != nil {
		return result, nil, err
	}
	answers, err := n.askAllLater(ctx, peers, &clusterv1.Message{Traceparent: tracing.Parent(ctx), Body: &clusterv1.Message_Operation{Operation: m}})
	if err != nil {
		return result, nil, err
	}
	return result, func() (sio.Result, error) { return n.sumUp(result, answers) }, nil
}

// sumUp adds what peers did to what was done here.
func (n *Node) sumUp(result sio.Result, answers func(take func(p *peer, a *clusterv1.Answer))) (sio.Result, error) {
	var refused error
	answers(func(p *peer, a *clusterv1.Answer) {
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
	if refused == nil {
		return result, nil
	}
	if result.Matched == 0 {
		return sio.Result{}, refused
	}
	result.Partial = true
	return result, nil
}

// update changes one connection, at the node that holds it.
func (n *Node) update(ctx context.Context, op sio.Update) (result sio.Result, err error) {
	m, err := fromOp(op)
	if err != nil {
		return result, err
	}
	err = n.atHolder(op.ID, op.Namespace, func(p *peer) (err error) {
		if p == nil {
			if result, err = n.hub.Apply(ctx, op); err == nil && adds(op) {
				n.unreachable(&result.Coverage, n.confirm(ctx, nil)...)
			}
			return err
		}
		a, err := n.askOne(ctx, p, &clusterv1.Message{Body: &clusterv1.Message_Operation{Operation: m}})
		result.Matched = int(a.GetResult().GetMatched())
		n.unreachable(&result.Coverage, a.GetUnconfirmed()...)
		if errors.Is(err, errUnsupported) {
			err = &sio.UnreachableError{Node: p.name}
		}
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
