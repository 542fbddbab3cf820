package cluster

import (
	"context"
	"errors"
	"time"

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
	if len(n.all()) == 0 {
		return found, sio.ErrNotFound
	}
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
			if said := toError(a.GetCode()); said != nil && !errors.Is(said, errUnsupported) {
				err = said
			}
		}
	})
	if asking != nil {
		return sio.OfflineSession{}, asking
	}
	return found, err
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
	n := (*Node)(o)
	p := n.peer(s.Holder)
	if p == nil {
		return sio.Missed{}, sio.ErrNotFound
	}
	a, err := n.askOne(ctx, p, aboutOffline(&clusterv1.OfflineSession{
		Namespace: s.Namespace, Pid: s.PID, Claim: s.Claim,
		Kind: &clusterv1.OfflineSession_Take_{Take: &clusterv1.OfflineSession_Take{Offset: offset, Have: fromOrigins(have)}},
	}))
	if err != nil {
		return sio.Missed{}, away(p, err)
	}
	missed := sio.Missed{Known: toOrigins(a.GetMissed().GetKnown())}
	for _, e := range a.GetMissed().GetEvents() {
		emit := toEmit(e.GetEmit())
		emit.Origin = toOrigin(e.GetOrigin())
		missed.Events = append(missed.Events, sio.MissedEvent{Offset: e.GetOffset(), Emit: emit})
	}
	return missed, nil
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

// serveOffline answers a peer about a connection that was cut off from this node.
func (n *Node) serveOffline(p *peer, request uint64, m *clusterv1.OfflineSession) {
	if _, ok := m.GetKind().(*clusterv1.OfflineSession_Release_); ok {
		n.hub.ReleaseOffline(m.GetNamespace(), m.GetPid(), m.GetClaim())
		return
	}
	select {
	case p.moves <- struct{}{}:
	default:
		p.answer(request, &clusterv1.Answer{Code: clusterv1.Answer_BUSY})
		return
	}
	n.serving.Go(func() {
		defer func() { <-p.moves }()
		ctx, cancel := context.WithTimeout(context.Background(), n.opts.AnswerTimeout)
		defer cancel()
		a, err := n.answerOffline(ctx, p, m)
		if err != nil {
			a = &clusterv1.Answer{Code: n.code(p, err)}
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
			n.log.Debug("what was sent has not arrived", "for", p.name, "error", err)
			return nil, sio.ErrBusy // too slow, or a node of them is gone
		}
		return &clusterv1.Answer{}, nil
	case *clusterv1.OfflineSession_Take_:
		missed, err := n.hub.TakeOffline(m.GetNamespace(), m.GetPid(), kind.Take.GetOffset(), m.GetClaim(), toOrigins(kind.Take.GetHave()))
		if err != nil {
			return nil, err
		}
		return &clusterv1.Answer{Kind: &clusterv1.Answer_Missed{Missed: fromMissed(&missed)}}, nil
	}
	return nil, errUnsupported
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

func fromSession(s *sio.OfflineSession) (*clusterv1.Session, error) {
	data, err := fromData(s.Data)
	return &clusterv1.Session{
		Id: s.ID, User: s.User, Rooms: s.Rooms, Granted: s.Granted, Data: data, Number: s.Number, Left: int64(s.Left), Claim: s.Claim,
	}, err
}

func toSession(m *clusterv1.Session) (sio.OfflineSession, error) {
	data, err := toData(m.GetData())
	return sio.OfflineSession{
		ID: m.GetId(), User: m.GetUser(), Rooms: m.GetRooms(), Granted: m.GetGranted(), Data: data,
		Number: m.GetNumber(), Left: time.Duration(m.GetLeft()), Claim: m.GetClaim(),
	}, err
}

func fromMissed(missed *sio.Missed) *clusterv1.Missed {
	m := &clusterv1.Missed{Known: fromOrigins(missed.Known), Events: make([]*clusterv1.Missed_Event, len(missed.Events))}
	for i, e := range missed.Events {
		m.Events[i] = &clusterv1.Missed_Event{Offset: e.Offset, Origin: fromOrigin(e.Emit.Origin), Emit: fromEmit(&e.Emit)}
	}
	return m
}

func fromOrigin(o sio.Origin) *clusterv1.Origin {
	return &clusterv1.Origin{Epoch: o.Epoch, Number: o.Number}
}

func toOrigin(m *clusterv1.Origin) sio.Origin {
	return sio.Origin{Epoch: m.GetEpoch(), Number: m.GetNumber()}
}

func fromOrigins(all []sio.Origin) (m []*clusterv1.Origin) {
	for _, o := range all {
		m = append(m, fromOrigin(o))
	}
	return m
}

func toOrigins(m []*clusterv1.Origin) (all []sio.Origin) {
	for _, o := range m {
		all = append(all, toOrigin(o))
	}
	return all
}
