package cluster

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

const (
	// watchBeat is after how much silence a watch says that it goes on.
	watchBeat = 5 * time.Second
	// watchSilence is after how much silence it is begun anew: an answer was lost.
	watchSilence = 4 * watchBeat
	// watchLeft is how long a watch goes on whose peer does not take what it tells. It may
	// have forgotten it, or wait for a reader, who is so slow then that it begins anew.
	watchLeft = 5 * time.Minute
	// maxWatchBytes bounds the events of one answer, about.
	maxWatchBytes = 1 << 20
)

// serveWatch tells a peer what becomes of connections of this node.
func (n *Node) serveWatch(p *peer, number uint64, m *clusterv1.WatchConnections) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &served{cancel: cancel, credit: make(chan struct{}, 1)}
	if !p.begin(number, s) {
		cancel()
		p.answer(number, &clusterv1.Answer{Code: clusterv1.Answer_BUSY})
		return
	}
	n.serving.Go(func() {
		defer p.finish(number, s)
		w, err := n.hub.Watch(ctx, sio.WatchRequest{To: toTarget(m.GetTo()), Connections: m.GetConnections(), Rooms: m.GetRooms(), Users: m.GetUsers(), Handshake: m.GetHandshake()})
		if err != nil {
			p.answer(number, &clusterv1.Answer{Code: n.code(p, err)})
			return
		}
		defer w.Stop()
		if err := p.sendWatch(ctx, number, s, w); err != nil {
			p.answer(number, &clusterv1.Answer{Code: n.code(p, err)})
		}
	})
}

// sendWatch sends what w tells, one message for each that the peer takes, until ctx ends.
func (p *peer) sendWatch(ctx context.Context, number uint64, s *served, w sio.Watch) error {
	beat := time.NewTimer(watchBeat)
	defer beat.Stop()
	for {
		var events []sio.WatchEvent
		select {
		case <-w.Ready():
			if events = w.Next(); len(events) == 0 {
				continue
			}
		case <-beat.C:
		case <-ctx.Done():
			return nil
		}
		for first := true; first || len(events) > 0; first = false {
			m, rest, err := fromWatchEvents(events)
			if err != nil {
				return err
			}
			events = rest
			p.answer(number, &clusterv1.Answer{More: true, Kind: &clusterv1.Answer_Watch{Watch: m}})
			beat.Reset(watchLeft)
			select {
			case <-s.credit:
			case <-beat.C:
				return nil
			case <-ctx.Done():
				return nil
			}
		}
		beat.Reset(watchBeat)
	}
}

// fromWatchEvents are the first of the events, as many as fit one message, and the rest.
func fromWatchEvents(events []sio.WatchEvent) (*clusterv1.WatchEvents, []sio.WatchEvent, error) {
	m, bytes := &clusterv1.WatchEvents{}, 0
	for i := range events {
		if bytes > maxWatchBytes {
			return m, events[i:], nil
		}
		e := &events[i]
		one := &clusterv1.WatchEvents_WatchEvent{
			Kind: int32(e.Kind), Namespace: e.Namespace, Id: e.ID, Rooms: e.Rooms, Name: e.Name, Reason: e.Reason, //nolint:gosec // an enum
		}
		if e.Connection != nil {
			var err error
			if one.Connection, err = FromConnection(e.Connection); err != nil {
				return nil, nil, err
			}
		}
		bytes += proto.Size(one)
		m.Events = append(m.Events, one)
	}
	return m, nil, nil
}

// toWatchEvents is the inverse of fromWatchEvents, but for the node.
func toWatchEvents(m *clusterv1.WatchEvents) ([]sio.WatchEvent, error) {
	events := make([]sio.WatchEvent, len(m.GetEvents()))
	for i, one := range m.GetEvents() {
		e := &events[i]
		*e = sio.WatchEvent{
			Kind: sio.WatchKind(one.GetKind()), Namespace: one.GetNamespace(), ID: one.GetId(), Rooms: one.GetRooms(), Name: one.GetName(), Reason: one.GetReason(),
		}
		if one.Connection != nil {
			c, err := ToConnection(one.GetConnection())
			if err != nil {
				return nil, err
			}
			e.Connection = &c
		}
	}
	return events, nil
}
