package engineio

import "time"

// link is a transport that stays open and carries a session's messages both
// ways: a WebSocket or a WebTransport stream. Polling has none.
type link interface {
	writer
	// transport is its name.
	transport() string
	// lastMessageLocked is the last message there will be: frame, a WebSocket's
	// close frame, or another. The caller holds Session.mu.
	lastMessageLocked(frame *Message) *Message
	// expire bounds everything that is still written to and read from it.
	expire(time.Duration)
	// ensureReader makes sure that somebody reads, until the end.
	ensureReader()
	// abort closes it at once; what runs for it ends by itself.
	abort()
	// gone is closed when it has ended.
	gone() <-chan struct{}
}

var (
	_ link = (*wsConn)(nil)
	_ link = (*wtConn)(nil)
)

// openLink makes l, which the session was opened over, its transport. It reports
// false when the session was closed meanwhile; else Server.running counts the
// caller, which is to say when it has arranged for reading.
func (s *Session) openLink(l link) bool {
	open := s.srv.openPacket(s, l.transport())
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.phase.open() {
		return false
	}
	s.srv.running.Add(1)
	s.link = l
	s.out.pushControl(open)
	s.out.attach(l)
	return s.openLocked(phaseLinked)
}
