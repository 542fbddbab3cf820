package cluster

import (
	"context"
	"errors"
	"maps"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// A client that was cut off from one node and comes back to another. Package sio says in
// which steps its connection is moved; this is who is asked.

// Others is to be the [sio.Options.Others] of the server that Start is given.
func (n *Node) Others() sio.Others { return (*others)(n) }

type others Node

// notSettledError: nobody can say what a client has missed.
type notSettledError struct {
	node string
	why  string
}

func (e *notSettledError) Error() string { return "node " + e.node + " " + e.why }

// Claim implements sio.Others: it asks all peers.
func (o *others) Claim(ctx context.Context, namespace, pid, offset string) (found sio.OfflineSession, err error) {
	n := (*Node)(o)
	err = sio.ErrNotFound
	asking := n.askAll(ctx, n.all(), aboutOffline(&clusterv1.OfflineSession{
		Namespace: namespace, Pid: pid, Kind: &clusterv1.OfflineSession_ClaimIt{ClaimIt: &clusterv1.OfflineSession_Claim{Offset: offset}},
	}), func(p *peer, a *clusterv1.Answer) {
		switch {
		case found.Holder != "":
		case a == nil:
			err = &sio.UnreachableError{Node: p.name}
		case a.GetSession() != nil && a.GetCode() == clusterv1.Answer_OK:
			if found, err = toSession(a.GetSession()); err == nil {
				found.Namespace, found.PID, found.Holder = namespace, pid, p.epoch
			}
		case errors.Is(err, sio.ErrNotFound): // no better reason is known
			if said := whyLost(a); said != nil && !errors.Is(said, errUnsupported) {
				err = said
			}
		}
	})
	switch {
	case asking != nil:
		return sio.OfflineSession{}, asking
	case errors.Is(err, sio.ErrNotFound) && !n.lives(epochOf(pid)):
		return sio.OfflineSession{}, &sio.LostError{Why: sio.RecoveryNodeGone}
	}
	return found, err
}

// lives reports whether the epoch is this node's, or that of a peer.
func (n *Node) lives(epoch string) bool {
	return epoch == n.opts.Self.Epoch || n.peer(epoch) != nil
}

// Settle implements sio.Others: what every node was sending when it was asked has arrived.
func (o *others) Settle(ctx context.Context, s *sio.OfflineSession) error {
	n := (*Node)(o)
	if unconfirmed := n.confirm(ctx, nil); len(unconfirmed) > 0 {
		return &notSettledError{unconfirmed[0], "does not confirm that it knows what is wanted here"}
	}
	if err := n.arrived(ctx, s.Holder); err != nil {
		return err
	}
	return n.settle(ctx, s.Holder)
}

// Arrived implements sio.Others.
func (o *others) Arrived(ctx context.Context) error { return (*Node)(o).settle(ctx, "") }

// settle has every peer say that what it was sending has arrived, here and at the node
// with this epoch, if one is given. From a peer that is gone nothing comes any more.
func (n *Node) settle(ctx context.Context, holder string) (err error) {
	asking := n.askAll(ctx, n.all(), aboutOffline(&clusterv1.OfflineSession{
		Kind: &clusterv1.OfflineSession_Settle_{Settle: &clusterv1.OfflineSession_Settle{Holder: holder}},
	}), func(p *peer, a *clusterv1.Answer) {
		_, there := n.mesh.Peer(p.epoch)
		switch {
		case a == nil && there:
			err = &sio.UnreachableError{Node: p.name}
		case a != nil && a.GetCode() != clusterv1.Answer_OK:
			err = &notSettledError{p.name, "does not say that what it sent has arrived: " + a.GetCode().String()}
		}
	})
	return errors.Join(err, asking)
}

// arrived waits until all events have arrived at these nodes that were being sent when
// it was called.
func (n *Node) arrived(ctx context.Context, epochs ...string) error {
	if !n.begun() {
		return errUnreachable
	}
	if err := n.applying.wait(ctx); err != nil {
		return err
	}
	for _, epoch := range epochs {
		if epoch == n.opts.Self.Epoch || epoch == "" {
			continue
		}
		at, err := n.mesh.Send(ctx, epoch, mustMarshal(&clusterv1.Message{})) // says nothing
		if err != nil {
			return err
		}
		if err := n.mesh.Confirmed(ctx, epoch, at); err != nil {
			return err
		}
	}
	return nil
}

// Take implements sio.Others.
func (o *others) Take(ctx context.Context, s *sio.OfflineSession, offset string, have []sio.Origin) (sio.Missed, error) {
	a, err := (*Node)(o).askHolder(ctx, s.Holder, &clusterv1.OfflineSession{
		Namespace: s.Namespace, Pid: s.PID, Claim: s.Claim,
		Kind: &clusterv1.OfflineSession_Take_{Take: &clusterv1.OfflineSession_Take{Offset: offset, Have: fromOrigins(have)}},
	})
	if err != nil {
		return sio.Missed{}, err
	}
	return sio.Missed{Known: toOrigins(a.GetMissed().GetKnown()), Events: toEvents(a.GetMissed().GetEvents())}, nil
}

// ClaimAll implements sio.Others.
func (o *others) ClaimAll(ctx context.Context, holder, namespace string) ([]sio.OfflineSession, error) {
	a, err := (*Node)(o).askHolder(ctx, holder, &clusterv1.OfflineSession{
		Namespace: namespace, Kind: &clusterv1.OfflineSession_ClaimAll_{ClaimAll: &clusterv1.OfflineSession_ClaimAll{}},
	})
	if err != nil {
		return nil, err
	}
	return toSessions(a.GetSessions().GetSessions(), namespace, holder)
}

// TakeAll implements sio.Others.
func (o *others) TakeAll(ctx context.Context, holder, namespace string, claims []sio.OfflineSession, have []sio.Origin) (sio.Handover, error) {
	all := make([]*clusterv1.Session, len(claims))
	for i := range claims {
		all[i] = &clusterv1.Session{Pid: claims[i].PID, Claim: claims[i].Claim}
	}
	a, err := (*Node)(o).askHolder(ctx, holder, &clusterv1.OfflineSession{
		Namespace: namespace, Kind: &clusterv1.OfflineSession_TakeAll_{TakeAll: &clusterv1.OfflineSession_TakeAll{Sessions: all, Have: fromOrigins(have)}},
	})
	if err != nil {
		return sio.Handover{}, err
	}
	return toHandover(a.GetHandover(), namespace, holder)
}

// askHolder asks the node with this epoch about connections that it keeps.
func (n *Node) askHolder(ctx context.Context, holder string, m *clusterv1.OfflineSession) (*clusterv1.Answer, error) {
	p := n.peer(holder)
	if p == nil {
		return nil, sio.ErrNotFound
	}
	a, err := n.askOne(ctx, p, aboutOffline(m))
	return a, away(p, err)
}

// HandOver hands the connections that were cut off from this node over to peers, as long
// as there are any and ctx is not done, and returns how many.
func (n *Node) HandOver(ctx context.Context) (handed int) {
	failed := map[string]bool{} // by epoch
	for _, namespace := range n.hub.OfflineNamespaces() {
		refused := maps.Clone(failed)
		for ctx.Err() == nil {
			p := n.heir(refused, handed)
			if p == nil {
				break
			}
			a, err := n.askOne(ctx, p, aboutOffline(&clusterv1.OfflineSession{
				Namespace: namespace, Kind: &clusterv1.OfflineSession_HandOver_{HandOver: &clusterv1.OfflineSession_HandOver{}},
			}))
			if err != nil {
				n.log.Warn("a node does not take over the connections that may come back", "node", p.name, "error", err)
				refused[p.epoch] = true
				failed[p.epoch] = !errors.Is(err, sio.ErrUnknownNamespace) // it may take others
				continue
			}
			if a.GetResult().GetMatched() == 0 {
				break
			}
			handed += int(a.GetResult().GetMatched())
		}
	}
	return handed
}

// heir returns one of the peers that answer and have not refused; nil: there is none.
func (n *Node) heir(refused map[string]bool, turn int) *peer {
	var able []*peer
	for _, p := range n.all() {
		if !p.suspected.Load() && !refused[p.epoch] {
			able = append(able, p)
		}
	}
	if len(able) == 0 {
		return nil
	}
	return able[turn%len(able)]
}

// Release implements sio.Others.
func (o *others) Release(s *sio.OfflineSession) {
	if p := (*Node)(o).peer(s.Holder); p != nil {
		p.post(mustMarshal(aboutOffline(&clusterv1.OfflineSession{
			Namespace: s.Namespace, Pid: s.PID, Claim: s.Claim, Kind: &clusterv1.OfflineSession_Release_{Release: &clusterv1.OfflineSession_Release{}},
		})))
	}
}

func aboutOffline(m *clusterv1.OfflineSession) *clusterv1.Message {
	return &clusterv1.Message{Body: &clusterv1.Message_OfflineSession{OfflineSession: m}}
}
