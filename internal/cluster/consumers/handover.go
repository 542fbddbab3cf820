package consumers

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/cluster"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// A holder tells the home which of its connections the consumer owns, in pieces and no
// faster than the consumer reads; the home has them wait in the order in which they came,
// among the deliveries. What the consumer knows of each holder's connections is kept, so
// that it can be told when the holder is away.

const (
	// handoverPiece is how many bytes one message has, and one connection more.
	handoverPiece = 256 << 10
	// maxUnreadHandover bounds what one holder has told for a consumer that this did not
	// read; one dispatch.Handover more is always possible.
	maxUnreadHandover = 1 << 20
	// handoverOverhead is what a message takes beside what it says, about.
	handoverOverhead = 64
	// maxReleasedIDs is how many ids one piece has.
	maxReleasedIDs = 500
)

// handover is one that waits to be read.
type handover struct {
	dispatch.Handover
	bytes uint32 // that its holder counts; 0: none
}

// handOver sends the next pieces of what the consumer is to be told, unless it has enough
// to read.
func (s *served) handOver() (told bool, err error) {
	s.mu.Lock()
	full := s.unreadHandover >= maxUnreadHandover
	s.mu.Unlock()
	if full {
		return false, nil
	}
	h, ok := s.subscription.Handover()
	if !ok {
		return false, nil
	}
	for _, m := range s.toHandovers(&h) {
		s.mu.Lock()
		s.unreadHandover += int(m.GetBytes())
		s.mu.Unlock()
		if err := s.send(&clusterv1.ConsumerMessage_Ownership{Ownership: m}); err != nil {
			return false, err
		}
	}
	return true, nil
}

// toHandovers is h in messages.
func (s *served) toHandovers(h *dispatch.Handover) (all []*clusterv1.Ownership) {
	m := &clusterv1.Ownership{Released: h.Released, Bytes: handoverOverhead}
	for _, id := range h.Released {
		m.Bytes += count(len(id))
	}
	add := func(v *sio.Connection, changed bool) {
		c, err := cluster.FromConnection(v)
		if err != nil { // data that is no JSON, which nobody was let in with
			s.peer.d.log.Error("a connection cannot be told to another node as it is", "group", s.name.group, "error", err)
			c = &clusterv1.Connection{Id: v.ID, Namespace: v.Namespace, User: v.UserID}
		}
		if changed {
			m.Changed = append(m.Changed, c)
		} else {
			m.Assigned = append(m.Assigned, c)
		}
		if m.Bytes += count(proto.Size(c)); m.GetBytes() >= handoverPiece {
			all = append(all, m)
			m = &clusterv1.Ownership{Bytes: handoverOverhead}
		}
	}
	for i := range h.Assigned {
		add(&h.Assigned[i], false)
	}
	for i := range h.Changed {
		add(&h.Changed[i], true)
	}
	if m.GetBytes() > handoverOverhead {
		all = append(all, m)
	}
	return all
}

// handoverRead notes that the consumer has read so many bytes.
func (s *served) handoverRead(bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unreadHandover -= bytes
}

// maxAssignments is how many connections one message has.
const maxAssignments = 1000

// tellAssignments tells the home, for its own use, which connections belong to the consumer.
func (s *served) tellAssignments() error {
	if !s.lifecycle {
		return nil
	}
	for some := range slices.Chunk(s.subscription.Assignments(), maxAssignments) {
		m := &clusterv1.Assigned{}
		for _, a := range some {
			m.Connections = append(m.Connections, &clusterv1.Assigned_Assignment{Id: a.ConnectionID, Namespace: a.Namespace, Owned: a.Owned, Told: a.Told})
		}
		if err := s.send(&clusterv1.ConsumerMessage_Assigned{Assigned: m}); err != nil {
			return err
		}
	}
	return nil
}

// Handover is as [dispatch.Subscription.Handover], for the connections of this node and
// the others, each in its turn.
func (s *Subscription) Handover() (dispatch.Handover, bool) {
	s.localHandover = !s.localHandover
	if s.localHandover {
		if h, ok := s.local.Handover(); ok {
			return h, true
		}
		return s.remoteHandover()
	}
	if h, ok := s.remoteHandover(); ok {
		return h, true
	}
	return s.local.Handover()
}

// remoteHandover returns what there is to be told of connections of other nodes, and of
// nodes that were lost.
func (s *Subscription) remoteHandover() (dispatch.Handover, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return dispatch.Handover{}, false
	}
	if h, ok := s.lost.handover(); ok {
		return h, true
	}
	if len(s.ready) == 0 || s.ready[0].handover == nil {
		return dispatch.Handover{}, false
	}
	d := s.shiftLocked()
	if r := d.from; r != nil {
		d.handover.Released = slices.DeleteFunc(d.handover.Released, func(id string) bool { return !r.assigned[id] })
		for _, id := range d.handover.Released {
			delete(r.assigned, id)
		}
		for i := range d.handover.Assigned {
			r.assigned[d.handover.Assigned[i].ID] = true
			r.readConnection(&d.handover.Assigned[i])
		}
		d.handover.Changed = slices.DeleteFunc(d.handover.Changed, func(c sio.Connection) bool { return !r.assigned[c.ID] })
		for i := range d.handover.Changed {
			r.readConnection(&d.handover.Changed[i])
		}
		if d.handover.bytes > 0 {
			r.peer.post(&clusterv1.ConsumerMessage{Number: r.number, Body: &clusterv1.ConsumerMessage_OwnershipRead{
				OwnershipRead: &clusterv1.OwnershipRead{Bytes: d.handover.bytes},
			}})
		}
	}
	return d.handover.Handover, true
}

// handoverLocked has what a holder tells wait to be read.
func (s *Subscription) handoverLocked(r *remote, m *clusterv1.Ownership) error {
	h := &handover{dispatch.Handover{Released: m.GetReleased()}, m.GetBytes()}
	var err error
	if h.Assigned, err = toConnections(m.GetAssigned()); err != nil {
		return err
	}
	if h.Changed, err = toConnections(m.GetChanged()); err != nil {
		return err
	}
	s.ready = append(s.ready, delivery{from: r, handover: h})
	s.poke()
	return nil
}

func toConnections(m []*clusterv1.Connection) (all []sio.Connection, err error) {
	for _, c := range m {
		v, err := cluster.ToConnection(c)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// releaseLocked has the consumer told that it owns these connections no more, of a holder
// that was away.
func (s *Subscription) releaseLocked(ids []string) {
	for some := range slices.Chunk(ids, maxReleasedIDs) {
		s.ready = append(s.ready, delivery{handover: &handover{Handover: dispatch.Handover{Released: some}}})
	}
	s.poke()
}

// unreadEndLocked returns what stays in the place of a delivery that was not read and is
// taken back: of an end, after which the holder takes the consumer to know that it owns the
// connection no more, that it is released. False: nothing.
func (s *Subscription) unreadEndLocked(d *delivery) (release delivery, ok bool) {
	if d.from == nil || d.Kind != dispatch.Disconnected || d.Replayed() || !s.options.Assignments {
		return delivery{}, false
	}
	return delivery{from: d.from, handover: &handover{Handover: dispatch.Handover{Released: []string{d.ConnectionID}}}}, true
}

// awayLocked keeps what the consumer knows of a holder that is away: only when it is back,
// or gone, it is known what became of these. over says that it has ended the consumer's
// place for good, as it does when that is drained: then the consumer owns nothing there.
func (s *Subscription) awayLocked(r *remote, over bool) {
	if len(r.assigned) > 0 {
		s.awayAssigned[r.peer.epoch] = r.assigned
	}
	if over || s.draining {
		s.backLocked(r.peer.epoch)
	}
}

// backLocked has released what belonged to the consumer at a holder that is back, and says
// anew what does.
func (s *Subscription) backLocked(epoch string) {
	s.releaseLocked(slices.Sorted(maps.Keys(s.awayAssigned[epoch])))
	delete(s.awayAssigned, epoch)
}

// goneLocked is backLocked for a holder that is gone, and whose connections the consumer
// is told the ends of: these stand for the release, and what it does not know to be its
// own is assigned first.
func (s *Subscription) goneLocked(epoch string, ends []dispatch.Delivery) {
	known := s.awayAssigned[epoch]
	delete(s.awayAssigned, epoch)
	if !s.options.Assignments {
		return
	}
	for _, d := range ends {
		if !known[d.ConnectionID] {
			s.lost.assign(d)
		}
		delete(known, d.ConnectionID)
	}
	s.releaseLocked(slices.Sorted(maps.Keys(known)))
}

// assign has the consumer told that it owns the connection of an end that it is to be told.
// More is not known of it.
func (l *lost) assign(d dispatch.Delivery) {
	l.unassigned = append(l.unassigned, sio.Connection{ID: d.ConnectionID, Namespace: d.Namespace, UserID: d.UserID})
}

// handover returns the next of these. The ends follow when none is left.
func (l *lost) handover() (h dispatch.Handover, ok bool) {
	n := min(len(l.unassigned), maxReleasedIDs)
	h.Assigned = slices.Clone(l.unassigned[:n])
	l.unassigned = l.unassigned[n:]
	return h, n > 0
}

// withdrawLocked takes an end back that was not delivered: a connection of which the consumer
// knew is released.
func (s *Subscription) withdrawLocked(d dispatch.Delivery) {
	if !s.options.Assignments {
		return
	}
	i := slices.IndexFunc(s.lost.unassigned, func(c sio.Connection) bool { return c.ID == d.ConnectionID })
	if i >= 0 {
		s.lost.unassigned = slices.Delete(s.lost.unassigned, i, i+1)
		return
	}
	s.releaseLocked([]string{d.ConnectionID})
}
