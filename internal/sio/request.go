package sio

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/parser"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/stack"
)

// What a request for a namespace may cost until it is answered.
const (
	// waitingPackets is how many of the largest messages may wait behind it, in
	// bytes. Stock clients send nothing before they are connected.
	waitingPackets = 2
	// packetOverhead is what a packet costs beyond its bytes, about.
	packetOverhead = 256
	// firstRetry and lastRetry bound the pause before a request that nobody could
	// decide on is asked about again; it doubles.
	firstRetry = 500 * time.Millisecond
	lastRetry  = 5 * time.Second
)

var errWithdrawn = errors.New("the client has left")

// request is a CONNECT that is not answered yet. It is decided on by a goroutine
// of its namespace and session, and holds up nothing but that namespace.
type request struct {
	// Fixed at birth.
	conn     *conn
	name     string // of the namespace
	auth     []byte
	encoding parser.Encoding
	since    time.Time
	ctx      context.Context // ends when the client does not want it any more
	cancel   context.CancelCauseFunc

	// Guarded by conn.mu.
	taken     bool             // the goroutine has it
	withdrawn *End             // why the client does not want it any more; nil: it does
	waiting   []*parser.Packet // for its namespace, in order
	bytes     int              // of those

	// The goroutine's.
	nsp  *Namespace // acquired; nil: not yet
	next *request   // to be answered then
}

// answerAll answers the request, and those for its namespace that come meanwhile. A panic
// ends the session.
func (r *request) answerAll() {
	defer r.conn.guard()
	stack.Reserve()
	for r != nil {
		for retry := firstRetry; !r.answer(); retry = min(2*retry, lastRetry) {
			r.pause(retry/2 + rand.N(retry/2+1)) // so that not all come at once
		}
		r.cancel(nil)
		r = r.next
	}
}

// nextLocked returns the request that waits behind this one, which is answered;
// without one the goroutine has to end.
func (r *request) nextLocked() *request {
	next := r.conn.requestLocked(r.name)
	if next == nil {
		r.conn.connecting = without(r.conn.connecting, r.name)
		return nil
	}
	next.taken = true
	return next
}

// pause waits before the next attempt, but not past the time that there is.
func (r *request) pause(d time.Duration) {
	t := time.NewTimer(max(min(d, time.Until(r.deadline())), time.Nanosecond))
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.ctx.Done():
	}
}

func (r *request) deadline() time.Time {
	return r.since.Add(r.conn.server.opts.ConnectTimeout)
}

// answer asks the backend whether the client may join, and answers it. It is
// false if nobody could decide and it is to be asked again.
func (r *request) answer() (done bool) {
	if r.nsp == nil {
		var err error
		if r.nsp, err = r.conn.server.namespaces.acquire(r.name); err != nil {
			return r.endIf(func() bool { return r.withdrawn != nil || r.failLocked(err) })
		}
	}
	var result Recovery
	if pid, offset := wanted(r.auth); pid != "" && r.nsp.recovery != nil {
		o, err := r.nsp.recovery.claim(r.ctx, pid, offset)
		switch {
		case err != nil:
			r.conn.server.log.Debug("a client does not come back as what it was", "namespace", r.name, "error", err)
			result = resultOf(err)
		default:
			if done, result = r.comeBack(o, offset); result == Recovered {
				return done
			}
		}
	}
	s := newSocket(r.nsp, r.conn, r.encoding, r.auth)
	s.recovery = result
	return r.decide(s, func(a *Admission) bool {
		r.nsp.add(s, a)
		return true
	})
}

// comeBack asks the backend whether the client may join as what it was, which is claimed,
// and answers it. Unless the result is Recovered it is to be connected anew.
func (r *request) comeBack(o *offlineSession, offset string) (done bool, result Recovery) {
	s := newSocket(r.nsp, r.conn, r.encoding, r.auth)
	s.id, s.pid, s.recovering, s.recovery = o.id, o.pid, o, Recovered
	s.number.Store(o.number)
	result = Recovered
	done = r.decide(s, func(a *Admission) bool {
		if result = RecoveryOtherUser; o.isOf(a.User) {
			result = r.nsp.recovery.resume(s, o, offset, a)
		}
		if result != Recovered {
			r.conn.disconnected(s, End{Reason: ReasonNotRecovered})
			r.nsp.recovery.unclaim(o, s.number.Load())
		}
		return result == Recovered
	})
	return done, result
}

// decide asks whether s may join, and lets join make it a member, or answers that
// it may not be. It is false if nothing was answered.
func (r *request) decide(s *Socket, join func(*Admission) bool) (done bool) {
	c := r.conn
	admission, err := c.server.connecting(r.ctx, s, r.auth)
	return r.endIf(func() bool {
		switch {
		case r.withdrawn != nil:
			if err == nil { // it never became a member
				c.disconnected(s, *r.withdrawn)
			}
			r.unclaimLocked(s)
			c.server.namespaces.release(r.nsp)
			return true
		case err != nil:
			if errors.Is(err, ErrBlocked) {
				c.server.counters.blocked.Add(1)
			}
			r.unclaimLocked(s)
			return r.failLocked(err)
		case c.server.blockedUser(admission.User):
			c.server.counters.blocked.Add(1)
			c.disconnected(s, newEnd(ReasonServerDisconnect, whyBlocked))
			r.unclaimLocked(s)
			return r.failLocked(ErrBlocked)
		case c.server.namespaces.enter(r.nsp) != nil:
			c.disconnected(s, newEnd(ReasonUnavailable, errTooManyNamespaces.Message))
			r.unclaimLocked(s)
			return r.failLocked(errTooManyNamespaces)
		case join(&admission):
			if user, _ := s.User(); c.server.blockedUser(user) { // since: nobody else looks for it any more
				r.nsp.disconnect(Disconnect{
					To: Target{Namespace: r.name, Selector: room.Selector{IDs: []string{s.id}}}, Mode: DisconnectSession, Reason: whyBlocked,
				})
			}
			r.joinedLocked(s)
			return true
		}
		return false
	})
}

// endIf calls f with conn.mu held, and notes what follows the request if that
// reports that it is answered.
func (r *request) endIf(f func() bool) (done bool) {
	r.conn.exclusively(func() {
		if session := r.conn.session; session.Ended() { // of which it will hear next
			r.withdrawLocked(newEnd(string(session.Reason()), session.Detail()))
		}
		if done = f(); done {
			r.next = r.nextLocked()
		}
	})
	return done
}

// unclaimLocked lets somebody else come back as what s wanted to be.
func (r *request) unclaimLocked(s *Socket) {
	if s.recovering != nil {
		r.nsp.recovery.unclaim(s.recovering, s.number.Load())
	}
}

// requestLocked returns the CONNECT of a namespace that is not answered, nil: none.
func (c *conn) requestLocked(namespace string) *request {
	for _, r := range c.requests {
		if r.name == namespace {
			return r
		}
	}
	return nil
}

// removeLocked takes the request off those that are not answered.
func (r *request) removeLocked() {
	r.conn.requests = without(r.conn.requests, r)
}

// without returns the list without an element, nil if nothing is left.
func without[T comparable](list []T, element T) []T {
	if list = slices.DeleteFunc(list, func(e T) bool { return e == element }); len(list) == 0 {
		return nil
	}
	return list
}

// withdrawLocked ends a request that the client does not want any more.
func (r *request) withdrawLocked(why End) {
	if r.withdrawn != nil {
		return
	}
	r.withdrawn, r.waiting = &why, nil
	r.cancel(errWithdrawn)
	r.removeLocked()
	r.conn.presence.withdraw(r.name)
}

// failLocked answers that the client may not join. It is false if nobody decided
// so, and the client keeps its session for other namespaces, that it is in or may
// get into: it is asked again, until the time is up.
func (r *request) failLocked(err error) (done bool) {
	c := r.conn
	others := c.inNamespaceLocked() || len(c.requests) > 1
	if passing(err) && others && time.Now().Before(r.deadline()) {
		return false
	}
	r.removeLocked()
	c.presence.withdraw(r.name)
	if r.nsp != nil {
		c.server.namespaces.release(r.nsp)
	}
	c.fail(r.name, err)
	if len(r.waiting) > 0 {
		c.refuse(notJoined, nil)
	}
	return true
}

// joinedLocked notes that s is a member, and handles what has waited for that.
func (r *request) joinedLocked(s *Socket) {
	c := r.conn
	c.stopTimeoutLocked()
	c.session.MarkJoined()
	r.removeLocked()
	c.putLocked(s)
	s.countRecovery(&c.server.counters.recoveries)
	c.server.backend.Connected(s)
	for _, p := range r.waiting {
		if c.session.Ended() {
			return
		}
		c.handleLocked(s, p)
	}
	r.waiting = nil
}

// holdLocked lets a packet wait until the request is answered.
func (r *request) holdLocked(p *parser.Packet) {
	r.bytes += packetOverhead + len(p.Data)
	for _, a := range p.Attachments {
		r.bytes += len(a)
	}
	if int64(r.bytes) > waitingPackets*r.conn.server.engine.Options().MaxPayload {
		r.conn.session.Close(ReasonConnectOverflow)
		return
	}
	r.waiting = append(r.waiting, p)
}
