package cluster

import (
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// What package sio says of connections that were cut off, as nodes tell it each other, and
// back.

func fromSession(s *sio.OfflineSession) (*clusterv1.Session, error) {
	data, err := fromData(s.Data)
	return &clusterv1.Session{
		Pid: s.PID, Id: s.ID, User: s.User, Admitted: &s.Admitted, Rooms: s.Rooms, Granted: s.Granted, Data: data, Number: s.Number, Left: int64(s.Left), Claim: s.Claim,
	}, err
}

func toSession(m *clusterv1.Session) (sio.OfflineSession, error) {
	data, err := toData(m.GetData())
	admitted := m.GetUser()
	if m.Admitted != nil {
		admitted = m.GetAdmitted()
	}
	return sio.OfflineSession{
		PID: m.GetPid(), ID: m.GetId(), User: m.GetUser(), Admitted: admitted, Rooms: m.GetRooms(), Granted: m.GetGranted(), Data: data,
		Number: m.GetNumber(), Left: time.Duration(m.GetLeft()), Claim: m.GetClaim(),
	}, err
}

func fromSessions(all []sio.OfflineSession) ([]*clusterv1.Session, error) {
	m := make([]*clusterv1.Session, len(all))
	for i := range all {
		var err error
		if m[i], err = fromSession(&all[i]); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func toSessions(m []*clusterv1.Session, namespace, holder string) ([]sio.OfflineSession, error) {
	all := make([]sio.OfflineSession, len(m))
	for i := range m {
		var err error
		if all[i], err = toSession(m[i]); err != nil {
			return nil, err
		}
		all[i].Namespace, all[i].Holder = namespace, holder
	}
	return all, nil
}

func fromHandover(h *sio.Handover) (*clusterv1.Handover, error) {
	m := &clusterv1.Handover{Known: fromOrigins(h.Known), Events: fromEvents(h.Events)}
	for i := range h.Sessions {
		s := &h.Sessions[i]
		session, err := fromSession(&s.OfflineSession)
		if err != nil {
			return nil, err
		}
		part := &clusterv1.Handover_HandedOver{
			Session: session, LastOffset: s.LastOffset, Cut: int32(s.Cut), Whole: s.Whole, Before: s.Before, //nolint:gosec // bounded as Events
		}
		for _, at := range s.Events {
			part.Events = append(part.Events, count(at))
		}
		m.Sessions = append(m.Sessions, part)
	}
	return m, nil
}

func toHandover(m *clusterv1.Handover, namespace, holder string) (sio.Handover, error) {
	h := sio.Handover{Known: toOrigins(m.GetKnown()), Events: toEvents(m.GetEvents())}
	for _, part := range m.GetSessions() {
		session, err := toSession(part.GetSession())
		if err != nil {
			return sio.Handover{}, err
		}
		session.Namespace, session.Holder = namespace, holder
		s := sio.HandedOver{OfflineSession: session, LastOffset: part.GetLastOffset(), Cut: int(part.GetCut()), Whole: part.GetWhole(), Before: part.GetBefore()}
		for _, at := range part.GetEvents() {
			s.Events = append(s.Events, int(at))
		}
		h.Sessions = append(h.Sessions, s)
	}
	return h, nil
}

func fromEvents(all []sio.MissedEvent) []*clusterv1.Missed_Event {
	m := make([]*clusterv1.Missed_Event, len(all))
	for i, e := range all {
		m[i] = &clusterv1.Missed_Event{Offset: e.Offset, Origin: fromOrigin(e.Emit.Origin), Emit: fromEmit(&e.Emit)}
	}
	return m
}

func toEvents(m []*clusterv1.Missed_Event) (all []sio.MissedEvent) {
	for _, e := range m {
		emit := toEmit(e.GetEmit())
		emit.Origin = toOrigin(e.GetOrigin())
		all = append(all, sio.MissedEvent{Offset: e.GetOffset(), Emit: emit})
	}
	return all
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
