package sio

import (
	"context"
	"slices"
	"time"
)

// A client may come back to another server than the one that it was cut off from. The
// other then has the connection moved to it, in steps, so that nothing is lost in
// between, and nothing comes twice:
//
//  1. It claims the connection, at the server that keeps it.
//  2. It keeps the connection too, as if it had been cut off here: from now on it asks for
//     what is sent to the connection's rooms, and logs it.
//  3. It waits until what others sent before they knew of that has arrived where it
//     went: at the one or at the other.
//  4. It takes the connection, with what that has missed at the other, which forgets it.
//  5. It waits until what the other had been sent, and this one too, has arrived here: so
//     that it is known by its [Origin], and not sent twice.
//
// Then its client comes back here, as to any server.

// Others are the servers that a client may have been cut off from. All methods may be
// called concurrently, and wait no longer than ctx allows.
type Others interface {
	// Claim finds the connection with this pid, for nobody else to come back as it until
	// Release, or a while has passed. See [Server.ClaimOffline]. Errors: also
	// [UnreachableError], if nobody has it who could be asked.
	Claim(ctx context.Context, namespace, pid, offset string) (OfflineSession, error)
	// Settle waits until every event has arrived, at the one or the other, that was sent
	// to the server that keeps the connection by who did not know that this one wants it
	// too.
	Settle(ctx context.Context, s *OfflineSession) error
	// Arrived waits until every event has arrived here that others had begun to send.
	Arrived(ctx context.Context) error
	// Take is [Server.TakeOffline] at that server.
	Take(ctx context.Context, s *OfflineSession, offset string, have []Origin) (Missed, error)
	// Release is [Server.ReleaseOffline] at that server. It does not wait.
	Release(s *OfflineSession)
	// ClaimAll and TakeAll are those of [Server] at a holder.
	ClaimAll(ctx context.Context, holder, namespace string) ([]OfflineSession, error)
	TakeAll(ctx context.Context, holder, namespace string, claims []OfflineSession, have []Origin) (Handover, error)
}

// OfflineSession is a connection that was cut off and may come back, as servers tell each
// other.
type OfflineSession struct {
	Namespace string
	PID       string // the client's secret
	ID        string
	User      string
	Admitted  string   // the user that its admission named; see [Changes.User]
	Rooms     []string // sorted
	Granted   []string // see Socket.granted
	Data      map[string]any
	Number    uint64        // see Socket.Number
	Left      time.Duration // how long it is kept
	Claim     uint64        // what Take and Release name it by, beside its pid
	Holder    string        // who keeps it; for Others
}

// Missed is what a connection may have missed at one server.
type Missed struct {
	Events []MissedEvent // in the order in which they were sent
	// Known are those of the events that the asker named which it had.
	Known []Origin
}

// MissedEvent is an event that a connection may have missed.
type MissedEvent struct {
	Offset string
	Emit   Emit // with its Origin
}

// claimTime is how long another server may take to take what it has claimed.
const claimTime = 30 * time.Second

// ClaimOffline claims a connection that was cut off from this server, for another: nobody
// comes back as it until ReleaseOffline, or half a minute later. It waits a little until the
// backend has heard of the end. It works after Close too. Errors: [ErrNotFound], [ErrBusy] if
// somebody has claimed it or the backend was too slow, [ErrForgotten].
func (s *Server) ClaimOffline(ctx context.Context, namespace, pid, offset string) (OfflineSession, error) {
	r := s.recoveryOf(namespace)
	if r == nil {
		return OfflineSession{}, ErrNotFound
	}
	o, err := r.find(pid, offset)
	if err != nil {
		return OfflineSession{}, err
	}
	if !r.awaitReport(o, ctx.Done()) {
		return OfflineSession{}, ErrBusy
	}
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	return r.exportLocked(o), nil
}

// exportLocked is o, which is claimed, for another server, whose claim ends by itself.
func (r *recovery) exportLocked(o *offlineSession) OfflineSession {
	o.away = true
	pid, claim := o.pid, o.claim
	time.AfterFunc(claimTime, func() { r.release(pid, claim) })
	return OfflineSession{
		Namespace: r.nsp.name, PID: pid, ID: o.id, User: o.user, Admitted: o.admitted, Rooms: o.rooms, Granted: o.granted, Data: o.data,
		Number: o.number, Left: time.Until(o.until), Claim: claim,
	}
}

// Offline returns how many connections may come back.
func (s *Server) Offline() (n int) {
	for _, nsp := range s.namespaces.all() {
		if r := nsp.recovery; r != nil {
			nsp.mu.Lock()
			n += len(r.pids)
			nsp.mu.Unlock()
		}
	}
	return n
}

// recoveryOf returns the recovery of a namespace that is there, or nil.
func (s *Server) recoveryOf(namespace string) *recovery {
	if n := s.namespaces.find(namespace); n != nil {
		return n.recovery
	}
	return nil
}

// ReleaseOffline gives up a claim, if it stands.
func (s *Server) ReleaseOffline(namespace, pid string, claim uint64) {
	if r := s.recoveryOf(namespace); r != nil {
		r.release(pid, claim)
	}
}

func (r *recovery) release(pid string, claim uint64) {
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	if o := r.pids[pid]; o != nil && o.claim == claim {
		o.claimed, o.away = false, false
	}
}

// TakeOffline hands a connection that was claimed over to another server, which keeps it
// from now on, with what it has missed here since the offset. have are events that the
// other was sent too. Errors: [ErrNotFound] if the claim does not stand, [ErrForgotten],
// [ErrTooLarge] if it has missed more than a client is sent at once; then it cannot come back.
func (s *Server) TakeOffline(namespace, pid, offset string, claim uint64, have []Origin) (Missed, error) {
	r := s.recoveryOf(namespace)
	if r == nil {
		return Missed{}, ErrNotFound
	}
	o, m, err := r.beginTake(pid, offset, claim)
	if err != nil {
		return Missed{}, err
	}
	r.nsp.mu.Lock()
	entries := slices.Clone(r.log.entries)
	r.nsp.mu.Unlock()
	known := r.knownOf(entries, []*past{o.past}, have)
	for {
		m.look(o, o.rooms)
		switch r.tryTake(o, m) {
		case resumed:
			all, err := r.missed(m, known)
			if err != nil {
				r.lose(o, resultOf(err))
			}
			return all, err
		case refused:
			return Missed{}, &LostError{m.refused}
		case behind:
		}
	}
}

func (r *recovery) beginTake(pid, offset string, claim uint64) (*offlineSession, *missed, error) {
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	o := r.pids[pid]
	if o == nil || !o.claimed || o.claim != claim {
		return nil, nil, ErrNotFound
	}
	before, position, why := o.missedFrom(&r.log, offset)
	if why != Recovered {
		r.removeLocked(o, why)
		return nil, nil, &LostError{why}
	}
	return o, &missed{before: before, position: position}, nil
}

// tryTake removes o once the log has been read to its end.
func (r *recovery) tryTake(o *offlineSession, m *missed) resumption {
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	at := m.readLocked(&r.log, o, o.rooms)
	switch at {
	case resumed:
		r.removeLocked(o, moved)
	case refused:
		r.removeLocked(o, m.refused)
	case behind:
	}
	return at
}

// knownOf returns those of the events that the log has, or connections' pasts have.
func (r *recovery) knownOf(entries []*logged, pasts []*past, have []Origin) (known []Origin) {
	asked := map[Origin]bool{}
	for _, origin := range have {
		asked[origin] = true
		if slices.ContainsFunc(pasts, func(p *past) bool { return p != nil && p.known[origin] }) {
			known = append(known, origin)
		}
	}
	for _, l := range entries {
		if asked[l.origin] {
			known = append(known, l.origin)
		}
	}
	return known
}

// missed is what has been read, for another server.
func (r *recovery) missed(m *missed, known []Origin) (Missed, error) {
	all := Missed{Known: known, Events: make([]MissedEvent, len(m.events))}
	var size int64
	for i, l := range m.events {
		size += l.out.size()
		all.Events[i] = r.missedEvent(l)
	}
	if size > int64(r.nsp.server.engine.Options().MaxQueue) {
		return Missed{}, ErrTooLarge
	}
	return all, nil
}

// missedEvent is an event of the log for another server.
func (r *recovery) missedEvent(l *logged) MissedEvent {
	return MissedEvent{Offset: l.offset, Emit: Emit{
		To: Target{Namespace: r.nsp.name, Selector: l.to}, Event: l.out.event, Args: l.out.args,
		Attachments: l.out.packet.Attachments, Compress: !l.out.plain, ConflateKey: l.out.key, Origin: l.origin,
	}}
}

// loggedElsewhere is the inverse of missedEvent.
func (r *recovery) loggedElsewhere(e *MissedEvent) *logged {
	out := r.nsp.outgoing(&e.Emit)
	out.offset = e.Offset
	l := newLogged(&e.Emit, e.Emit.Origin, out)
	l.removed = true // it is in no log, and not accounted for
	return l
}
