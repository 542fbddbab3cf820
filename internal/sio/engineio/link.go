package engineio

import "time"

// link is a transport that stays open and carries a session's messages both
// ways: a WebSocket or a WebTransport stream. Polling has none.
type link interface {
	consumer
	// transport is its name.
	transport() string
	// farewellLocked is the last message there will be. The caller holds Session.mu.
	farewellLocked(Reason) *Message
	// expire bounds everything that is still written to and read from it.
	expire(time.Duration)
	// resume makes sure that somebody reads, until the end.
	resume()
	// abandon cuts it; what runs for it ends by itself.
	abandon()
	// gone is closed when it has ended.
	gone() <-chan struct{}
}

var (
	_ link = (*wsConn)(nil)
	_ link = (*wtConn)(nil)
)

// offer makes l the candidate to take the session over from polling, whose probe
// then runs. It reports false while there is another one, or after an upgrade.
func (s *Session) offer(l link, input *candidateInput, probe func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != "" || s.link != nil || s.candidate != nil {
		return false
	}
	s.candidate, s.candidateInput = l, input
	s.srv.running.Go(probe)
	return true
}

// probing lets the pending poll and those that follow return at once: the
// browser waits for them.
func (s *Session) probing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probed = true
	if s.poll != nil {
		s.poll.wake()
	}
}

// withdraw ends a candidate's time; the polling session lives on.
func (s *Session) withdraw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.candidate, s.probed = nil, false
}

// left ends a session whose page was closed while it changed over: an answered
// browser polls no more until it has said "5", so that nothing else would tell
// before the heartbeat does. While a poll waits, its end is what counts.
func (s *Session) left() {
	s.mu.Lock()
	gone := s.probed && s.poll == nil
	s.mu.Unlock()
	if gone {
		s.Close(ReasonTransportClose)
	}
}

// adopt makes the candidate the session's transport. Queued messages follow over
// it as soon as a poll that is still being written has ended.
func (s *Session) adopt(l link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != "" {
		return false
	}
	s.link, s.candidate, s.probed = l, nil, false
	s.out.attach(l)
	if s.poll != nil {
		s.poll.wake()
	}
	return true
}

// cut ends whatever still carries a closed session.
func (s *Session) cut() {
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	if l != nil {
		l.abandon()
	}
	s.expireExchanges(0)
}
