package engineio

// The upgrade of a session from polling to a link (Engine.IO v4, Upgrade). A
// candidate answers "2probe" with "3probe"; then the browser lets its last poll end
// and says "5" over the candidate.

// candidate is a link that may take a polling session over.
type candidate interface {
	link
	// next reads one packet.
	next() (inbound, error)
	// answerProbe writes the answer to a probe.
	answerProbe() error
	// ready lifts the bounds of time that hold for a candidate.
	ready()
}

var (
	_ candidate = (*wsConn)(nil)
	_ candidate = (*wtConn)(nil)
)

// negotiate speaks the upgrade with the peer of c until c is the session's
// transport, which it reports, or is to be closed: alone, the polling session lives
// on. It takes what the reference takes (engine.io/lib/socket.ts, _maybeUpgrade):
// every probe is answered, and "5" may come without one and with data behind it, as
// clients in PHP and .NET send it.
func (s *Session) negotiate(c candidate) bool {
	for {
		p, err := c.next()
		switch {
		case err != nil:
			return false
		case p.kind == packetPing && string(p.data) == "probe":
			if c.answerProbe() != nil {
				return false
			}
			s.probeAnswered()
		case p.kind == packetUpgrade:
			c.ready()
			return s.completeUpgrade(c)
		default:
			return false
		}
	}
}

// addCandidate makes l the candidate to take the session over from polling, whose
// probe then runs. It reports false while there is another one, or after an upgrade.
func (s *Session) addCandidate(l link, input *candidateInput, probe func()) bool {
	if !s.offer(l, input, probe) {
		return false
	}
	s.endIfBlocked(input.from)
	return true
}

func (s *Session) offer(l link, input *candidateInput, probe func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phasePolling {
		return false
	}
	s.phase, s.candidate, s.candidateInput = phaseOffered, l, input
	s.srv.start(probe)
	return true
}

// probeAnswered lets the pending poll and those that follow return at once: the
// browser waits for them.
func (s *Session) probeAnswered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseOffered {
		return
	}
	s.phase = phaseProbed
	if s.poll != nil {
		s.poll.wake()
	}
}

// removeCandidate ends a candidate's time; the polling session lives on, or ends by
// polling.
func (s *Session) removeCandidate() {
	s.srv.counters.failedUpgrades.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.candidate, s.candidateInput = nil, nil
	if s.phase == phaseOffered || s.phase == phaseProbed {
		s.phase = phasePolling
	}
}

// dropCandidate closes the candidate of a session that has ended, if there is one.
func (s *Session) dropCandidate() {
	s.mu.Lock()
	l := s.candidate
	s.candidate, s.candidateInput = nil, nil
	s.mu.Unlock()
	if l != nil {
		l.abort()
	}
}

// pageClosed ends a session whose page was closed while it changed over: an
// answered browser polls no more until it has said "5", so that nothing else would
// tell before the heartbeat does. While a poll waits, its end is what counts.
func (s *Session) pageClosed() {
	s.mu.Lock()
	gone := s.phase == phaseProbed && s.poll == nil
	s.mu.Unlock()
	if gone {
		s.Close(ReasonTransportClose)
	}
}

// completeUpgrade makes the candidate l the session's transport, and reports whether
// it was one still. Queued messages follow over it as soon as a poll that is still
// being written has ended, and so does the end of a session that is closing, unless
// a poll took that.
func (s *Session) completeUpgrade(l link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.candidate != l {
		return false
	}
	if s.phase == phaseClosing {
		s.link = l // whose last message it is
		if !s.out.replaceLast(s.lastMessageLocked()) {
			s.link = nil
			return false
		}
		s.signalLastTakenLocked()
	} else {
		s.phase, s.link = phaseLinked, l
		s.carriedFromLocked(s.candidateInput.from)
		s.srv.counters.upgraded[transportIndex(l.transport())].Add(1)
	}
	s.candidate, s.candidateInput = nil, nil
	s.out.attach(l)
	if s.poll != nil {
		s.poll.wake()
	}
	return true
}

// signalLastTakenLocked tells the teardown of a closed session, if it waits, that
// the last message has its way.
func (s *Session) signalLastTakenLocked() {
	if s.ending != nil && s.ending.lastTaken != nil {
		close(s.ending.lastTaken)
		s.ending.lastTaken = nil
	}
}

// awaitCandidate returns when the candidate, if there is one, has acted upon what
// its peer has said so far: a poll that comes after the "5" is refused, and one that
// is abandoned after it ends nothing.
func (s *Session) awaitCandidate() {
	s.mu.Lock()
	input := s.candidateInput
	s.mu.Unlock()
	if input != nil {
		input.wait(s.Done())
	}
}

// requestAbandoned ends a session whose browser has given up a poll or a POST. One
// that has changed over goes on: what is left of its polling no longer matters, as
// in the reference (engine.io/lib/socket.ts, clearTransport).
func (s *Session) requestAbandoned() {
	s.awaitCandidate()
	s.mu.Lock()
	carried := s.link != nil
	s.mu.Unlock()
	if !carried {
		s.Close(ReasonTransportError)
	}
}
