package engineio

import "time"

// heartbeat is what a session waits for: its next ping, or the end of the wait for
// a pong. Session.mu guards it.
type heartbeat struct {
	// Its place among the heartbeats of its server, whose mutex guards that.
	previous, next *Session

	deadline time.Duration // by Server.clock; changed under heartbeats.mu too
	since    time.Duration // by Server.clock: held and awaiting; 0: not both

	slot  int16 // 1 + its index; 0: none. As its place is guarded
	exact bool  // it is not to be looked at early. Likewise

	awaiting bool // a ping went out, no pong came yet
	extended bool // something else came meanwhile
	held     bool // the browser is not read from, because its packet is being handled
}

func (h *heartbeat) start(s *Session) {
	wait := s.srv.opts.PingInterval
	if s.protocol == 3 {
		// The client pings: there is only to wait for it.
		wait += s.srv.opts.PingTimeout
		h.awaiting = true
	}
	h.reset(s, wait)
}

func (h *heartbeat) reset(s *Session, d time.Duration) {
	s.srv.heartbeats.set(s, s.srv.clock()+d, h.awaiting)
}

// heard notes a packet from the browser. A pong starts the next interval; any
// other packet shows life and extends the wait for the pong, once
// (engine.io/lib/socket.ts since 6.6.12).
// Of a v3 client, which pings, only pings count.
func (h *heartbeat) heard(s *Session, kind byte) {
	switch {
	case s.protocol == 3:
		if kind == packetPing {
			h.reset(s, s.srv.opts.PingInterval+s.srv.opts.PingTimeout)
		}
	case !h.awaiting:
	case kind == packetPong:
		h.awaiting, h.extended = false, false
		h.reset(s, s.srv.opts.PingInterval)
	case !h.extended:
		h.extended = true
		h.reset(s, s.srv.opts.PingTimeout)
	}
}

// hold stops the clock of the wait for the browser: a backend may take its time with
// what it sent, and what it sends meanwhile is not read.
func (h *heartbeat) hold(s *Session) {
	h.held = true
	if h.awaiting {
		h.since = s.srv.clock()
	}
}

// release ends hold: the wait is as much longer.
func (h *heartbeat) release(s *Session) {
	h.held = false
	if h.since > 0 {
		h.reset(s, h.deadline-h.since)
		h.since = 0
	}
}

// beat is called when the deadline has come, or for a ping a little before. It may have
// been moved since.
func (s *Session) beat() {
	s.mu.Lock()
	h := &s.heartbeat
	if !s.phase.open() || s.srv.heartbeats.before(h.deadline, h.awaiting) {
		s.mu.Unlock()
		return
	}
	if h.awaiting {
		held := h.held // then release starts the timer
		s.mu.Unlock()
		if !held {
			s.Close(ReasonPingTimeout)
		}
		return
	}
	h.awaiting = true
	if h.held {
		h.since = s.srv.clock()
	}
	h.reset(s, s.srv.opts.PingTimeout)
	s.mu.Unlock()
	s.out.pushControl(pingPacket)
}
