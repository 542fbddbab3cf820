package sio

import (
	"hash/maphash"
	"sync"
)

// maxLosses bounds how many connections that cannot be come back to are remembered, the
// latest, so that their clients can be told why: about 3 MiB.
const maxLosses = 50_000

// losses are the connections of a server that were kept and cannot be come back to any
// more, for reasons of its own. The zero value is empty.
type losses struct {
	mu      sync.Mutex
	reasons map[uint64]Recovery // by what stands for the pid
	order   []uint64            // those, the latest maxLosses
	next    int                 // in order: the oldest, once that is full
	untold  []LostConnection    // that the backend has not heard of, in order
	telling bool                // a goroutine tells it
}

var lossSeed = maphash.MakeSeed()

// of returns why the connection with this pid cannot be come back to: a [*LostError] if
// that is remembered, or [ErrNotFound].
func (l *losses) of(pid string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if why, ok := l.reasons[maphash.String(lossSeed, pid)]; ok {
		return &LostError{why}
	}
	return ErrNotFound
}

// rememberLocked notes why a connection cannot be come back to.
func (l *losses) rememberLocked(pid string, why Recovery) {
	key := maphash.String(lossSeed, pid)
	if l.reasons == nil {
		l.reasons = map[uint64]Recovery{}
	}
	_, known := l.reasons[key]
	l.reasons[key] = why
	switch {
	case known:
		return
	case len(l.order) < maxLosses:
		l.order = append(l.order, key)
		return
	}
	delete(l.reasons, l.order[l.next])
	l.order[l.next] = key
	l.next = (l.next + 1) % maxLosses
}

// loseLocked notes that o, which was removed for the reason that it says, cannot be come
// back to, and has the backend told, once that has heard of its end. Namespace.mu is held.
func (r *recovery) loseLocked(o *offlineSession) {
	s := r.nsp.server
	l := &s.losses
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rememberLocked(o.pid, o.lost)
	if o.told || !o.isReported() { // then endReported goes on
		return
	}
	o.told = true
	l.untold = append(l.untold, LostConnection{Namespace: r.nsp.name, ID: o.id, User: o.user, Number: o.number + 1, Why: o.lost})
	if !l.telling {
		l.telling = true
		go s.tellLosses()
	}
}

// lose is loseLocked for o, which was removed for another reason.
func (r *recovery) lose(o *offlineSession, why Recovery) {
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	o.lost = why
	r.loseLocked(o)
}

// endReported notes that the backend has heard of the end of o.
func (r *recovery) endReported(o *offlineSession) {
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	if o.entry == nil && o.lost != moved && !o.claimedHere() {
		r.loseLocked(o)
	}
}

// tellLosses tells the backend of what it has not heard of, unless the server closes.
func (s *Server) tellLosses() {
	open := s.begins()
	if open {
		defer s.callbacks.Done()
	}
	for all := s.losses.take(); all != nil; all = s.losses.take() {
		for _, l := range all {
			if open {
				s.backend.RecoveryExpired(l)
			}
		}
	}
}

// begins counts one more goroutine that calls the backend, unless the server closes.
func (s *Server) begins() bool {
	s.applying.RLock()
	defer s.applying.RUnlock()
	if !s.closing {
		s.callbacks.Add(1)
	}
	return !s.closing
}

// take takes what the backend has not heard of, nil if there is nothing: then who asked is
// to tell no more.
func (l *losses) take() []LostConnection {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.untold
	l.untold = nil
	l.telling = all != nil
	return all
}
