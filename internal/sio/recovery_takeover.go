package sio

import (
	"context"
	"errors"
)

// TakeOver takes over up to a thousand connections of a namespace from a server that
// ends, and returns how many. Errors: those of [Others], [ErrClosed] if this server ends
// too, [ErrUnknownNamespace] and an [*Unavailable] if it cannot keep any of that namespace.
func (s *Server) TakeOver(ctx context.Context, holder, namespace string) (int, error) {
	n, err := s.namespaces.acquire(namespace) // a pattern may have to make it
	switch {
	case errors.Is(err, errInvalidNamespace):
		return 0, ErrUnknownNamespace
	case err != nil:
		return 0, err
	}
	defer s.namespaces.release(n)
	r := n.recovery
	if r == nil || s.opts.Others == nil {
		return 0, ErrUnknownNamespace
	}
	s.applying.RLock()
	closing := s.closing
	s.applying.RUnlock()
	if closing {
		return 0, ErrClosed
	}
	all, err := s.opts.Others.ClaimAll(ctx, holder, namespace)
	if err != nil || len(all) == 0 {
		return 0, err
	}
	arrived := map[string]*offlineSession{} // by pid
	var claims []OfflineSession
	for i := range all {
		if o := r.arrive(&all[i], ""); o != nil {
			arrived[o.pid] = o
			claims = append(claims, all[i])
		}
	}
	taken, err := r.takeAll(ctx, holder, claims, arrived)
	for i := range all {
		o := arrived[all[i].PID]
		if o == nil {
			continue // it was handed over
		}
		r.nsp.mu.Lock()
		r.abandonLocked(o, resultOf(err))
		r.nsp.mu.Unlock()
		s.opts.Others.Release(&all[i])
	}
	s.retention.evict()
	return taken, err
}

// takeAll takes over those that have arrived, and removes them from the map.
func (r *recovery) takeAll(ctx context.Context, holder string, claims []OfflineSession, arrived map[string]*offlineSession) (int, error) {
	others := r.nsp.server.opts.Others
	if len(claims) == 0 {
		return 0, errors.New("none of the connections that were claimed can be kept")
	}
	if err := others.Settle(ctx, &claims[0]); err != nil {
		return 0, err
	}
	h, err := others.TakeAll(ctx, holder, r.nsp.name, claims, r.haveSince(arrived[claims[0].PID].endPosition))
	if err != nil {
		return 0, err
	}
	r.tookOver(h.Sessions, arrived)
	if err := others.Arrived(ctx); err != nil {
		return 0, err
	}
	events := make([]*logged, len(h.Events))
	known := map[Origin]bool{}
	for i := range h.Events {
		events[i] = r.loggedElsewhere(&h.Events[i])
		known[events[i].origin] = true
	}
	for _, origin := range h.Known {
		known[origin] = true
	}
	taken := 0
	weighed := make([]bool, len(events))
	for i := range h.Sessions {
		s := &h.Sessions[i]
		o := arrived[s.PID]
		if o == nil {
			continue
		}
		p := &past{cut: s.Cut, whole: s.Whole, before: s.Before, known: known}
		var size int64
		for _, i := range s.Events {
			if i < 0 || i >= len(events) {
				return taken, errors.New("a connection was handed over without its events")
			}
			p.events = append(p.events, events[i])
			if size += 8; !weighed[i] { // they share it
				weighed[i] = true
				size += events[i].size
			}
		}
		if r.settleDown(o, p, s.LastOffset, size) {
			delete(arrived, s.PID)
			taken++
		}
	}
	return taken, nil
}

// tookOver notes that the other server keeps these no more.
func (r *recovery) tookOver(handed []HandedOver, arrived map[string]*offlineSession) {
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	for i := range handed {
		if o := arrived[handed[i].PID]; o != nil {
			o.taken = true
		}
	}
}

// settleDown makes o, which has arrived, one that its client may come back as. It is false
// if o was removed meanwhile.
func (r *recovery) settleDown(o *offlineSession, p *past, lastOffset string, size int64) bool {
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	if o.entry == nil {
		return false
	}
	o.past, o.history.lastOffset, o.claimed, o.moving = p, lastOffset, false, false
	o.size += size
	r.accountLocked(size)
	return true
}

// haveSince returns the events that this server was sent since a position.
func (r *recovery) haveSince(position uint64) (have []Origin) {
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	events, _ := r.log.from(max(position, r.log.first))
	for _, l := range events {
		have = append(have, l.origin)
	}
	return have
}
