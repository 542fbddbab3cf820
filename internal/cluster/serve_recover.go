package cluster

import (
	"context"
	"errors"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// serveOffline answers a peer about a connection that was cut off from this node.
func (n *Node) serveOffline(p *peer, request uint64, m *clusterv1.OfflineSession) {
	if _, ok := m.GetKind().(*clusterv1.OfflineSession_Release_); ok {
		n.hub.ReleaseOffline(m.GetNamespace(), m.GetPid(), m.GetClaim())
		return
	}
	select {
	case p.awaited <- struct{}{}:
	default:
		p.answer(request, &clusterv1.Answer{Code: clusterv1.Answer_BUSY})
		return
	}
	n.serving.Go(func() {
		defer func() { <-p.awaited }()
		ctx, cancel := context.WithTimeout(context.Background(), n.opts.AnswerTimeout)
		defer cancel()
		a, err := n.answerOffline(ctx, p, m)
		if err != nil {
			a = n.notRecovered(p, err)
		}
		p.answer(request, a)
	})
}

func (n *Node) answerOffline(ctx context.Context, p *peer, m *clusterv1.OfflineSession) (*clusterv1.Answer, error) {
	switch kind := m.GetKind().(type) {
	case *clusterv1.OfflineSession_ClaimIt:
		s, err := n.hub.ClaimOffline(ctx, m.GetNamespace(), m.GetPid(), kind.ClaimIt.GetOffset())
		if err != nil {
			return nil, err
		}
		n.consumed(ctx, s.ID)
		session, err := fromSession(&s)
		if err != nil {
			return nil, err
		}
		return &clusterv1.Answer{Kind: &clusterv1.Answer_Session{Session: session}}, nil
	case *clusterv1.OfflineSession_Settle_:
		if err := n.arrived(ctx, p.epoch, kind.Settle.GetHolder()); err != nil {
			n.log.Debug("what was sent has not arrived", "node", p.name, "error", err)
			return nil, sio.ErrBusy // too slow, or a node of them is gone
		}
		return &clusterv1.Answer{}, nil
	case *clusterv1.OfflineSession_Take_:
		missed, err := n.hub.TakeOffline(m.GetNamespace(), m.GetPid(), kind.Take.GetOffset(), m.GetClaim(), toOrigins(kind.Take.GetHave()))
		if err != nil {
			return nil, err
		}
		return &clusterv1.Answer{Kind: &clusterv1.Answer_Missed{Missed: &clusterv1.Missed{Known: fromOrigins(missed.Known), Events: fromEvents(missed.Events)}}}, nil
	case *clusterv1.OfflineSession_HandOver_:
		taken, err := n.hub.TakeOver(ctx, p.epoch, m.GetNamespace())
		if err != nil {
			return nil, err
		}
		return &clusterv1.Answer{Kind: &clusterv1.Answer_Result{Result: &clusterv1.Result{Matched: count(taken)}}}, nil
	case *clusterv1.OfflineSession_ClaimAll_:
		sessions, err := fromSessions(n.hub.ClaimAll(m.GetNamespace()))
		if err != nil {
			return nil, err
		}
		return &clusterv1.Answer{Kind: &clusterv1.Answer_Sessions{Sessions: &clusterv1.Sessions{Sessions: sessions}}}, nil
	case *clusterv1.OfflineSession_TakeAll_:
		claims, err := toSessions(kind.TakeAll.GetSessions(), m.GetNamespace(), "")
		if err != nil {
			return nil, err
		}
		h := n.hub.TakeAll(m.GetNamespace(), claims, toOrigins(kind.TakeAll.GetHave()))
		handover, err := fromHandover(&h)
		if err != nil {
			return nil, err
		}
		return &clusterv1.Answer{Kind: &clusterv1.Answer_Handover{Handover: handover}}, nil
	}
	return nil, errUnsupported
}

// notRecovered is the answer that something failed.
func (n *Node) notRecovered(p *peer, err error) *clusterv1.Answer {
	a := &clusterv1.Answer{Code: n.code(p, err)}
	if lost := (*sio.LostError)(nil); errors.As(err, &lost) {
		a.Lost = string(lost.Why)
	}
	return a
}

// whyLost is the error of an answer about a connection that was cut off.
func whyLost(a *clusterv1.Answer) error {
	if a.GetCode() == clusterv1.Answer_FORGOTTEN && a.GetLost() != "" {
		return &sio.LostError{Why: sio.Recovery(a.GetLost())}
	}
	return toError(a.GetCode())
}

// consumedTime is how long a client that has come back to another node waits for consumers
// to settle what it did before.
const consumedTime = time.Second

// consumed waits for that, so that consumers hear of the return afterwards.
func (n *Node) consumed(ctx context.Context, id string) {
	if n.consumers == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, consumedTime)
	defer cancel()
	n.consumers.Settled(ctx, id)
}
