package sio

import (
	"container/list"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/parser"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// ReasonNotRecovered ends a socket that was decided on as one that comes back,
// and is then none: it is another user's now, or what it missed is gone. The
// client is connected anew, as a socket of its own.
const ReasonNotRecovered = "not recovered"

// recovery is what one namespace keeps for clients that are cut off: the latest
// events, and the connections that may come back
// (socket.io-adapter/lib/in-memory-adapter.ts, SessionAwareAdapter).
type recovery struct {
	// Immutable.
	nsp    *Namespace
	window time.Duration // how long an offline session is kept
	memory time.Duration // how long events are kept: a cut is noticed a heartbeat late

	// Guarded by Namespace.mu.
	log     eventLog
	pids    map[string]*offlineSession
	index   *room.Registry[*offlineSession]
	order   list.List   // of *offlineSession, by the end of their time
	pruning *time.Timer // runs while something is kept
	prune   time.Time   // when it fires

	// Guarded by retention.mu.
	oldest time.Time // since when the oldest item has been kept
	place  int       // in retention.order; -1: nothing is kept
}

func newRecovery(n *Namespace) *recovery {
	engine := n.server.engine.Options()
	window := n.server.opts.RecoveryWindow
	r := &recovery{
		nsp: n, window: window, memory: window + engine.PingInterval + engine.PingTimeout,
		pids: map[string]*offlineSession{}, index: room.New[*offlineSession](), place: -1,
	}
	r.index.Observe(n.observer())
	return r
}

// logged gives the event that o sends its offset, which goes with it to clients, and
// returns it as it is to be logged.
func (r *recovery) logged(o *Emit, number uint64, out *outgoing) *logged {
	epoch := r.nsp.server.opts.Engine.Epoch
	out.offset = formatOffset(epoch, number)
	origin := o.Origin
	if origin.Number == 0 {
		origin = Origin{epoch, number}
	}
	return newLogged(o, origin, out)
}

// appendLocked logs an event that is being sent, if anybody could miss it.
func (r *recovery) appendLocked(l *logged, msgs *messages) {
	if r.nsp.members.Len() == 0 && len(r.pids) == 0 {
		return
	}
	for e, m := range msgs {
		l.encoded(parser.Encoding(e), m)
	}
	r.log.append(l)
	r.keptLocked(l.size)
}

// keepLocked keeps s, which is about to leave, if it may come back.
func (r *recovery) keepLocked(s *Socket, reason string) {
	elsewhere := reason == ReasonShutdown && r.nsp.server.opts.Others != nil
	if s.pid == "" || !recoverable(reason) && !elsewhere {
		return
	}
	o := newOfflineSession(s, r.log.next(), time.Now().Add(r.window))
	s.offline = o
	o.entry = r.index.Add(o.id, o.user, o)
	r.keepEntryLocked(o)
}

// keepEntryLocked keeps o, which is in the index.
func (r *recovery) keepEntryLocked(o *offlineSession) {
	r.pids[o.pid] = o
	for _, name := range o.rooms {
		r.index.Join(o.entry, name)
	}
	o.place = r.insertLocked(o)
	r.pruneByLocked(o.until)
	r.nsp.server.namespaces.retain(r.nsp)
	r.keptLocked(o.size)
}

// keptLocked accounts for what was added. What is too old goes; what is too much
// goes with the next [retention.evict], which the caller owes once it has released
// the lock.
func (r *recovery) keptLocked(size int64) {
	r.accountLocked(size)
	r.pruneLocked(time.Now())
	if r.pruning == nil {
		r.pruneByLocked(time.Now().Add(r.window))
	}
}

// pruneByLocked has the timer fire at that time, unless it does so before.
func (r *recovery) pruneByLocked(at time.Time) {
	left := max(time.Until(at), time.Millisecond)
	switch {
	case r.pruning == nil:
		r.pruning = time.AfterFunc(left, r.pruneAll)
	case at.Before(r.prune):
		r.pruning.Reset(left)
	default:
		return
	}
	r.prune = at
}

// accountLocked accounts for n bytes more, or fewer, and for what is the oldest
// now.
func (r *recovery) accountLocked(n int64) {
	var oldest time.Time
	if l := r.log.oldest(); l != nil {
		oldest = l.at
	}
	if o := r.oldestLocked(); o != nil {
		if cut := o.until.Add(-r.window); oldest.IsZero() || cut.Before(oldest) {
			oldest = cut
		}
	}
	r.nsp.server.retention.add(r, n, oldest)
}

// removeAtOnce bounds how many items are removed before the lock is released: what
// is too old or too much may have been kept by a whole burst of operations, and
// in another namespace.
const removeAtOnce = 100

// evict removes the oldest items, for as long as too much is kept and they are the
// oldest of all namespaces.
func (r *recovery) evict() {
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	for range removeAtOnce {
		if r.nsp.server.retention.next() != r {
			return
		}
		r.evictOldestLocked()
	}
}

// oldestLocked returns the session that has been offline longest, or nil.
func (r *recovery) oldestLocked() *offlineSession {
	if front := r.order.Front(); front != nil {
		return front.Value.(*offlineSession)
	}
	return nil
}

// evictOldestLocked removes the event or the offline session that has been kept
// longest.
func (r *recovery) evictOldestLocked() {
	l, o := r.log.oldest(), r.oldestLocked()
	switch {
	case o != nil && (l == nil || o.until.Add(-r.window).Before(l.at)):
		r.removeLocked(o, RecoveryEvicted)
	case l != nil:
		r.accountLocked(-r.log.removeOldest())
	}
}

// pruneLocked removes what is too old, up to removeAtOnce items, and returns when
// there will be more of it; 0: there may be more already, negative: never.
func (r *recovery) pruneLocked(now time.Time) (due time.Duration) {
	for range removeAtOnce {
		due = -1
		if l := r.log.oldest(); l != nil {
			if due = l.at.Add(r.memory).Sub(now); due <= 0 {
				r.accountLocked(-r.log.removeOldest())
				continue
			}
		}
		o := r.oldestLocked()
		if o == nil {
			return due
		}
		if left := o.until.Sub(now); due < 0 || left < due {
			due = left
		}
		if due > 0 {
			return due
		}
		r.removeLocked(o, RecoveryExpired)
	}
	return 0
}

// pruneAll is the timer: it prunes what nobody adds to.
func (r *recovery) pruneAll() {
	for !r.pruneSome() {
	}
}

// pruneSome does what takes the lock for a short time, and reports whether that
// was all for now.
func (r *recovery) pruneSome() (done bool) {
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	switch due := r.pruneLocked(time.Now()); {
	case due == 0:
		return false
	case due > 0:
		r.pruning = nil
		r.pruneByLocked(time.Now().Add(due))
	default:
		r.pruning = nil
		r.log.entries = nil // gives the memory back
	}
	return true
}

// removeLocked removes o: its client cannot come back as it any more, for a reason that
// the backend hears; [moved]: it is a connection again, or another server keeps it.
func (r *recovery) removeLocked(o *offlineSession, why Recovery) {
	if o.entry == nil {
		return
	}
	o.lost = why
	if why != moved && !o.moving && !o.claimedHere() {
		r.loseLocked(o)
	}
	r.index.Remove(o.entry)
	r.order.Remove(o.place)
	o.entry = nil
	delete(r.pids, o.pid)
	r.accountLocked(-o.size)
	r.nsp.server.namespaces.release(r.nsp)
}

// discardLocked removes the offline sessions that an operation selects which
// changes connections: what it does must not be undone by their coming back.
func (r *recovery) discardLocked(sel room.Selector) {
	var all []*offlineSession
	r.index.Select(sel, func(e *room.Entry[*offlineSession]) { all = append(all, e.Value) })
	for _, o := range all {
		r.removeLocked(o, RecoveryChanged)
	}
}
