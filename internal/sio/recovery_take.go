package sio

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"time"
)

// What a server does that a connection is moved to.

// takeTime is how long a client that comes back waits for its connection to be moved.
const takeTime = 5 * time.Second

// takeAtOnce bounds how many connections are being moved to this server.
const takeAtOnce = 512

// claimElsewhere is claim for a client that was cut off from another server: its
// connection is kept here then.
func (r *recovery) claimElsewhere(ctx context.Context, pid, offset string) (*offlineSession, error) {
	s := r.nsp.server
	ctx, cancel := context.WithTimeout(ctx, takeTime)
	defer cancel()
	select {
	case s.taking <- struct{}{}:
		defer func() { <-s.taking }()
	case <-ctx.Done():
		return nil, ErrBusy
	}
	for {
		o, err := r.claimAnywhere(ctx, pid, offset)
		if !errors.Is(err, ErrBusy) {
			return o, err
		}
		select {
		case <-time.After(claimAgain):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// claimAgain is when a connection that somebody has claimed is asked for again: it may be
// on its way from one server to another.
const claimAgain = 50 * time.Millisecond

// claimAnywhere claims the connection with this pid here, if it has arrived meanwhile, or
// moves it here. ctx has a deadline.
func (r *recovery) claimAnywhere(ctx context.Context, pid, offset string) (*offlineSession, error) {
	o, err := r.find(pid, offset)
	if err == nil && !r.awaitReport(o, ctx.Done()) {
		err = ErrBusy
	}
	if !errors.Is(err, ErrNotFound) {
		return o, err
	}
	// When the client leaves this goes on: it comes back, and is to find its connection.
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	away, err := r.nsp.server.opts.Others.Claim(ctx, r.nsp.name, pid, offset)
	if err != nil {
		return nil, err
	}
	if o, err = r.take(ctx, &away, offset); err != nil {
		r.nsp.server.opts.Others.Release(&away)
	}
	return o, err
}

// take moves a connection that is claimed at another server here.
func (r *recovery) take(ctx context.Context, away *OfflineSession, offset string) (*offlineSession, error) {
	o := r.arrive(away, offset)
	if o == nil {
		return nil, ErrBusy
	}
	defer r.nsp.server.retention.evict()
	err := r.nsp.server.opts.Others.Settle(ctx, away)
	var m Missed
	if err == nil {
		if m, err = r.nsp.server.opts.Others.Take(ctx, away, offset, r.have(o)); err == nil {
			r.took(o)
		}
	}
	if err == nil {
		err = r.nsp.server.opts.Others.Arrived(ctx)
	}
	if err == nil {
		err = r.complete(o, m)
	}
	if err != nil {
		r.nsp.mu.Lock()
		defer r.nsp.mu.Unlock()
		r.abandonLocked(o, resultOf(err))
		return nil, err
	}
	return o, nil
}

// arrive keeps the connection as one that was cut off here, and has missed nothing since
// the offset, and claims it. It is nil if there is one of its name, or no room for its
// namespace.
func (r *recovery) arrive(away *OfflineSession, offset string) *offlineSession {
	o := &offlineSession{
		pid: away.PID, id: away.ID, user: away.User, admitted: away.Admitted, rooms: away.Rooms, granted: away.Granted, data: away.Data,
		until: time.Now().Add(min(away.Left, r.window)), reported: make(chan struct{}), number: away.Number, claimed: true, moving: true,
	}
	close(o.reported)
	o.weigh()
	if r.nsp.server.namespaces.enter(r.nsp) != nil {
		return nil
	}
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	if r.pids[o.pid] != nil || r.nsp.members.Lookup(o.id) != nil {
		return nil
	}
	if o.entry = r.index.Add(o.id, o.user, o); o.entry == nil {
		return nil
	}
	o.endPosition = r.log.next()
	o.history = eventHistory{joined: o.endPosition, roomsChanged: o.endPosition, lastOffset: offset}
	r.keepEntryLocked(o)
	return o
}

// insertLocked puts o into the order by the end of their time.
func (r *recovery) insertLocked(o *offlineSession) *list.Element {
	for e := r.order.Back(); e != nil; e = e.Prev() {
		if !e.Value.(*offlineSession).until.After(o.until) {
			return r.order.InsertAfter(o, e)
		}
	}
	return r.order.PushFront(o)
}

// took notes that the other server keeps o no more.
func (r *recovery) took(o *offlineSession) {
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	o.taken = true
}

// abandonLocked gives up o, which arrived and cannot be kept.
func (r *recovery) abandonLocked(o *offlineSession, why Recovery) {
	r.removeLocked(o, why) // unless it was before, for a reason of its own
	if o.taken {
		r.loseLocked(o)
	}
}

// have returns the events that this server was sent for o since it arrived.
func (r *recovery) have(o *offlineSession) (have []Origin) {
	r.nsp.mu.Lock()
	events, _ := r.log.from(o.endPosition)
	events = slices.Clone(events)
	r.nsp.mu.Unlock()
	for _, l := range events {
		if o.wants(&l.to, o.rooms) {
			have = append(have, l.origin)
		}
	}
	return have
}

// complete adds what o has missed at the other server. Its error is [ErrForgotten] if o
// was removed meanwhile.
func (r *recovery) complete(o *offlineSession, m Missed) error {
	p := &past{events: make([]*logged, len(m.Events)), known: map[Origin]bool{}}
	var size int64
	for i := range m.Events {
		p.events[i] = r.loggedElsewhere(&m.Events[i])
		p.known[p.events[i].origin] = true
		size += p.events[i].size
	}
	for _, origin := range m.Known {
		p.known[origin] = true
	}
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	if o.entry == nil {
		return ErrForgotten
	}
	o.past, o.moving = p, false
	o.size += size
	r.accountLocked(size)
	return nil
}
