package cluster

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/drain"
)

const (
	// rebalanceRound is after how long is looked again how much each node has. Stock
	// clients come back after a second and a half at most.
	rebalanceRound = 5 * time.Second
	// rebalanceClosing is what of a round sessions are closed in.
	rebalanceClosing = 4 * time.Second
	// rebalanceTolerance is how much above the mean is even.
	rebalanceTolerance = 0.05
	// rebalanceLongest bounds a rebalance, in its times.
	rebalanceLongest = 3
)

// Load is how much a node has.
type Load struct {
	Name     string
	Sessions int // that are open
	Closing  int // of these, how many it is to close until the next look

	peer     *peer // nil: this node
	draining bool
}

// Balance is how much the nodes have.
type Balance struct {
	Nodes       []Load // by name; those that drain are left out
	Unreachable []string
	Even        bool // none has more than a little above the mean; then it is the last
}

// Rebalance has nodes with more sessions than the mean close what they have too much,
// evenly over this long, and calls yield before each round of that. A balancer in front that
// does not look at the load sends some back, so it goes on, at the same pace, until all have
// the same, or three times as long; or until ctx is done, or yield fails, which it returns.
func (n *Node) Rebalance(ctx context.Context, over time.Duration, yield func(Balance) error) error {
	over = max(over, rebalanceRound)
	excess := map[string]float64{} // by node
	before := false
	for range 1 + rebalanceLongest*int(over/rebalanceRound) {
		b := n.balance(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		even := plan(b.Nodes, over, excess)
		b.Even = even && before // what was closed last may not have come back at the first
		before = even
		for i := range b.Nodes {
			if at := &b.Nodes[i]; at.Closing > 0 && !n.closeAt(ctx, at) {
				at.Closing = 0
			}
		}
		if err := yield(b); err != nil || b.Even {
			return err
		}
		select {
		case <-time.After(rebalanceRound):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// plan sets how many sessions each node is to close in one round, and reports whether none
// has too many. excess, which it keeps up to date, is the most that a node had too much.
func plan(nodes []Load, over time.Duration, excess map[string]float64) (even bool) {
	sum := 0
	for i := range nodes {
		sum += nodes[i].Sessions
	}
	mean := float64(sum) / float64(len(nodes))
	even = true
	for i := range nodes {
		at := &nodes[i]
		more := float64(at.Sessions) - math.Ceil(mean)
		if more > max(1, mean*rebalanceTolerance) {
			even = false
		} else {
			continue
		}
		excess[at.Name] = max(excess[at.Name], more)
		at.Closing = int(min(more, math.Ceil(excess[at.Name]*rebalanceRound.Seconds()/over.Seconds())))
	}
	return even
}

// balance asks all nodes how much they have.
func (n *Node) balance(ctx context.Context) Balance {
	all := []Load{{Name: n.opts.Self.Name, Sessions: n.hub.OpenSessions(), draining: n.draining()}}
	var b Balance
	var peers []*peer
	for _, p := range n.all() {
		if p.suspected.Load() {
			b.Unreachable = append(b.Unreachable, p.name)
		} else {
			peers = append(peers, p)
		}
	}
	err := n.askAll(ctx, peers, closeSessions(0, 0), func(p *peer, a *clusterv1.Answer) {
		if a.GetLoad() == nil {
			b.Unreachable = append(b.Unreachable, p.name)
			return
		}
		all = append(all, Load{Name: p.name, Sessions: int(a.GetLoad().GetSessions()), peer: p, draining: a.GetLoad().GetDraining()})
	})
	if err != nil {
		n.log.Error("asking nodes for their load", "error", err)
	}
	for _, at := range all {
		if !at.draining {
			b.Nodes = append(b.Nodes, at)
		}
	}
	slices.SortFunc(b.Nodes, func(a, b Load) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(b.Unreachable)
	return b
}

func (n *Node) draining() bool { return n.opts.Drain != nil && n.opts.Drain.Phase() != drain.Serving }

// closeAt has a node close what it is to close in one round, and reports whether it does.
func (n *Node) closeAt(ctx context.Context, at *Load) bool {
	if at.peer == nil {
		return n.closeSome(at.Closing, rebalanceClosing)
	}
	_, err := n.askOne(ctx, at.peer, closeSessions(at.Closing, rebalanceClosing))
	return err == nil
}

func closeSessions(number int, over time.Duration) *clusterv1.Message {
	return &clusterv1.Message{Body: &clusterv1.Message_CloseSessions{CloseSessions: &clusterv1.CloseSessions{Count: count(number), Over: int64(over)}}}
}

// serveCloseSessions closes sessions for a peer, and tells it how much there is.
func (n *Node) serveCloseSessions(p *peer, request uint64, m *clusterv1.CloseSessions) {
	a := &clusterv1.Answer{Kind: &clusterv1.Answer_Load{Load: &clusterv1.Load{Sessions: count(n.hub.OpenSessions()), Draining: n.draining()}}}
	if m.GetCount() > 0 {
		if n.closeSome(int(m.GetCount()), time.Duration(m.GetOver())) {
			n.log.Info("sessions are closed to even out the load", "node", p.name, "sessions", m.GetCount())
		} else {
			a = &clusterv1.Answer{Code: clusterv1.Answer_BUSY}
		}
	}
	p.answer(request, a)
}

// closeSome begins to close so many sessions over this long, unless some are being closed
// already.
func (n *Node) closeSome(number int, over time.Duration) bool {
	if !n.moving.CompareAndSwap(false, true) {
		return false
	}
	n.serving.Go(func() {
		defer n.moving.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), over)
		defer cancel()
		go func() {
			select {
			case <-n.ended:
				cancel()
			case <-ctx.Done():
			}
		}()
		n.hub.CloseOldest(ctx, number, over)
	})
	return true
}
