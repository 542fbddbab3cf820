package engineio

import (
	"container/list"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Receiver hears one session. Its methods are called one at a time, in the
// order in which things happened, never again after Closed.
type Receiver interface {
	// Receive is called with each message from the browser and owns data. It
	// may block: the session reads nothing more meanwhile, so that the browser
	// feels it, and does not judge its heartbeat. It should stop blocking when the
	// session is done.
	Receive(data []byte, binary bool)
	// Closed is called once, after the session closed.
	Closed(Reason)
}

// Starter is a [Receiver] that wants to act first: with Engine.IO v3 it is the
// server that speaks first. Start is called once the open packet is on its way,
// in turn with Receive, and may block as that may.
type Starter interface{ Start() }

// Session is one browser's connection, whichever transport carries it. Its
// exported methods are safe for concurrent use and never block.
type Session struct {
	// Immutable.
	srv      *Server
	number   uint64  // counts the server's sessions
	id       string  // a bearer secret: never logged, never handed upwards
	protocol uint8   // of Engine.IO: 3 or 4
	secure   bool    // it was opened by TLS
	framing  framing // of its polls, and of its WebSocket where that does not say otherwise
	out      outbox
	from     netip.Addr // whom it counts for at the session limiter; invalid: nobody
	client   netip.Addr // of the request that opened it; invalid: it has none

	ended latch // it has closed

	pending *list.Element // its place among those that joined nothing; guarded by Server.mu

	in       sync.Mutex // held while the session is opened or one inbound packet is handled
	receiver Receiver   // written under mu too, where who does not handle packets reads it

	mu             sync.Mutex
	phase          phase
	ending         *ending         // in closing and closed
	link           link            // carries it, or carried it when it closed; nil: polls do
	candidate      link            // in offered and probed, and perhaps in closing
	candidateInput *candidateInput // of candidate
	poll           *poll           // the pending GET
	post           *exchange       // the POST that is being handled
	exchanges      []*exchange     // the requests that are being served
	heartbeat      heartbeat
	elsewhere      *netip.Addr // of the last poll or of link; nil: client
	age            *time.Timer // closes a session that has become too old; nil: there is no such age
}

// ending is what a session has from its close on.
type ending struct {
	reason     Reason
	detail     string        // what is known beside that; for people
	lastTaken  chan struct{} // closed when a GET took the last message, or the candidate took over, and nil then
	closeFrame *Message      // the last message of a WebSocket
}

// framingFor returns the framing of what this request's transport carries. A client
// without binary messages says b64, with every transport anew
// (engine.io/lib/server.ts, handshake).
func (s *Session) framingFor(r *http.Request) framing {
	f := s.framing &^ framingBase64
	if b64, _ := parameter(r.URL.RawQuery, "b64"); b64 != "" {
		f |= framingBase64
	}
	return f
}

// Protocol returns the version of Engine.IO that the client speaks: 3 or 4.
func (s *Session) Protocol() int { return int(s.protocol) }

// MarkJoined says that the session is used for something: from then on it is no
// longer one of the pending ones that [Limits] bound.
func (s *Session) MarkJoined() { s.srv.markJoined(s) }

// Transport returns the name of the transport that carries the session now.
func (s *Session) Transport() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transportLocked()
}

func (s *Session) transportLocked() string {
	if s.link != nil {
		return s.link.transport()
	}
	return transportPolling
}

// Reason returns why the session closed, empty while it is open.
func (s *Session) Reason() Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reasonLocked()
}

func (s *Session) reasonLocked() Reason {
	if s.ending == nil {
		return ""
	}
	return s.ending.reason
}

// Detail returns what is known beside the reason for which the session closed, for
// people; often nothing.
func (s *Session) Detail() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending == nil {
		return ""
	}
	return s.ending.detail
}

// Done is closed as soon as the session closes.
func (s *Session) Done() <-chan struct{} { return s.ended.done() }

// Ended reports whether Done is closed.
func (s *Session) Ended() bool { return s.ended.isSet() }

// Close closes the session; the first reason counts. What was queued before is
// still delivered when the reason is the server's own decision, within bounds
// of time. The receiver's Closed follows from another goroutine.
func (s *Session) Close(reason Reason) { s.CloseWith(reason, "") }

// CloseWith is Close with a word on what was wrong, for [Session.Detail]. The client
// does not hear it.
func (s *Session) CloseWith(reason Reason, detail string) { s.close(reason, detail) }

// close is CloseWith, and reports whether the session was open.
func (s *Session) close(reason Reason, detail string) bool {
	frame := reason.closeFrame()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.phase.open() {
		return false
	}
	// Made before the last message is queued: a pending poll may fetch it at once.
	s.phase, s.ending = phaseClosing, &ending{reason, detail, make(chan struct{}), frame}
	s.srv.counters.closed.Add(string(reason), 1)
	s.srv.heartbeats.unset(s)
	s.stopAgeLocked()
	s.ended.set()
	s.out.seal(s.lastMessageLocked(), !reason.graceful())
	link, taken := s.link, s.ending.lastTaken
	s.srv.start(func() { s.teardown(reason, link, taken) })
	return true
}

// open reports whether the session is open.
func (s *Session) open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase.open()
}

// lastMessageLocked returns the last message the transport of a closed session
// carries.
func (s *Session) lastMessageLocked() *Message {
	switch {
	case s.link != nil:
		return s.link.lastMessageLocked(s.ending.closeFrame)
	case s.ending.reason == ReasonTransportClose:
		// The browser closed the session itself: its poll gets a noop.
		return noopPacket
	}
	return closePacket
}

// teardown takes the transport down and tells the receiver. It runs once. l
// carried the session when it closed; nil: polls did.
func (s *Session) teardown(reason Reason, l link, lastTaken <-chan struct{}) {
	if reason.byPeer() {
		s.dropCandidate()
	}
	start := time.Now()
	wait := s.srv.closeBound(reason) // a writer stuck on a dead peer ends in time
	s.expireExchanges(wait)
	if l != nil {
		l.expire(wait)
		l.ensureReader()
	}
	s.tell(reason)
	if l == nil {
		s.awaitLastTaken(reason, lastTaken)
		s.dropCandidate()
		if l = s.carrier(); l != nil { // a candidate took over meanwhile
			wait = s.srv.closeBound(reason)
			if reason == ReasonShutdown {
				wait -= time.Since(start)
			}
			l.expire(wait)
			l.ensureReader()
		}
	}
	if l != nil {
		<-l.gone()
	}
	s.out.empty()
	s.mu.Lock()
	s.phase = phaseClosed
	if s.poll != nil {
		s.poll.wake() // came too late
	}
	s.mu.Unlock()
	s.srv.remove(s)
}

// carrier returns the link that carries the session, nil if polls do.
func (s *Session) carrier() link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link
}

// abort ends at once whatever still carries a closed session.
func (s *Session) abort() {
	if l := s.carrier(); l != nil {
		l.abort()
	}
	s.expireExchanges(0)
}

// tell hands the reason to the receiver, after the packet that is being handled.
func (s *Session) tell(reason Reason) {
	defer s.srv.receivers.Done()
	s.in.Lock()
	defer s.in.Unlock()
	if s.receiver != nil { // nil: the handler refused the session
		s.guard(func() { s.receiver.Closed(reason) })
	}
}

// awaitLastTaken keeps a session that closed by polling until a GET has fetched its
// last message, which comes after all others, by a poll of its own, or until the
// candidate takes it over: a browser that was to change over may have paused
// polling, and hears of the end over the candidate alone.
//
// A peer that broke the protocol or the connection is not waited for unless its
// GET is here; one that closed it itself may have sent a GET along that was overtaken;
// a shutdown waits for what is on its way.
func (s *Session) awaitLastTaken(reason Reason, taken <-chan struct{}) {
	s.mu.Lock()
	pending, upgrading := s.poll != nil, s.candidate != nil
	s.mu.Unlock()
	wait := lastPollWait
	switch {
	case reason == ReasonShutdown:
		wait = shutdownWait
	case pending, reason.graceful():
	case reason == ReasonPendingLimit:
		return // else there would soon be many more than the limit says
	case reason == ReasonTransportClose:
		wait = overtakenPollWait
	case upgrading:
		wait = closeWait
	default:
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-taken:
	case <-t.C:
	case <-s.srv.aborting:
	}
}

// openLocked begins the session's life, in this phase, and lets a Starter act,
// where the protocol has it so. It reports false when the session was closed
// meanwhile.
func (s *Session) openLocked(to phase) bool {
	if !s.phase.open() {
		return false
	}
	s.phase = to
	s.srv.counters.opened[transportIndex(s.transportLocked())].Add(1)
	s.heartbeat.start(s)
	s.startAgeLocked()
	if starter, ok := s.receiver.(Starter); ok && s.protocol == 3 {
		s.srv.start(func() {
			s.in.Lock()
			defer s.in.Unlock()
			s.mu.Lock()
			open := s.phase.open()
			s.heartbeat.hold(s)
			s.mu.Unlock()
			if open {
				s.guard(starter.Start)
			}
			s.releaseHeartbeat()
		})
	}
	return true
}

func (s *Session) releaseHeartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase.open() {
		s.heartbeat.release(s)
	}
}

// handle handles one packet from the browser, which came over a transport, and reports
// whether the session is open: else the packet is late, and means nothing. The caller holds s.in.
func (s *Session) handle(transport string, p inbound) (open bool) {
	s.countReceived(transport, p)
	s.mu.Lock()
	if !s.phase.open() {
		s.mu.Unlock()
		return false
	}
	s.heartbeat.heard(s, p.kind)
	if p.kind == packetMessage {
		s.heartbeat.hold(s)
	}
	s.mu.Unlock()

	switch p.kind {
	case packetMessage:
		s.guard(func() { s.receiver.Receive(p.data, p.binary) })
		s.releaseHeartbeat()
	case packetPing, packetPong:
		// Since v4 only the server pings, before only the client ("invalid
		// heartbeat direction", engine.io/lib/socket.ts).
		switch {
		case (p.kind == packetPing) != (s.protocol == 3):
			if p.kind == packetPing || s.protocol == 3 {
				s.CloseWith(ReasonTransportError, "invalid heartbeat direction")
			}
		case p.kind == packetPing:
			s.out.pushPong(pongPacket)
		}
	case packetClose:
		s.Close(ReasonTransportClose)
	}
	// Anything else means nothing here and is ignored, as in the reference.
	return true
}
